"""Repeat the agency files with other names and documents, for a run of realistic shape at any size.

    python -m benchmarks.repeat_agency 20 --out DIR      writes DIR/agency/… and DIR/repeated.yml

Each repetition exchanges letters of names (vowels for vowels, consonants for consonants; N and X stay, for the
machine-readable zone writes Ñ as NXX), the characters of document numbers, and the digits of person numbers, and moves
dates of birth within their month.
Errors stay errors: a misread character is misread in every repetition.
"""

import argparse
import gzip
import random
from pathlib import Path

import polars as pl

AGENCY = Path(__file__).parent.parent / "tests" / "data" / "agency"
CONFIG = Path(__file__).parent.parent / "configs" / "agency.yml"


def exchange(rng: random.Random, *groups: str) -> dict[str, str]:
    """A permutation of the characters within each group."""
    pairs: dict[str, str] = {}
    for group in groups:
        shuffled = list(group)
        rng.shuffle(shuffled)
        pairs |= dict(zip(group, shuffled, strict=True))
    return pairs


class Repetition:
    """The exchanges of one repetition; repetition 0 leaves everything as it is."""

    def __init__(self, number: int) -> None:
        rng = random.Random(number)
        upper = exchange(rng, "AEIOU", "BCDFGHJKLMPQRSTVWYZ")
        accented = dict(zip("ÁÉÍÓÚ", "AEIOU", strict=True))
        back = {plain: letter for letter, plain in accented.items()}
        letters = upper | {letter: back[upper[plain]] for letter, plain in accented.items()}
        letters |= {letter.lower(): other.lower() for letter, other in letters.items()}
        # What is misread for one another moves together, so that misreadings stay recognisable.
        alike = exchange(rng, "0158")
        letter = dict(zip("0158", "OISB", strict=True))
        documents = exchange(rng, "ACDEFGHJKLMNPRTUVWXYZ", "234679") | alike
        documents |= {letter[digit]: letter[other] for digit, other in alike.items()}
        documents |= {plain.lower(): other.lower() for plain, other in documents.items() if plain.isalpha()}
        digits = exchange(rng, "123456789")
        same = number == 0
        self.number = number
        self.letters = {} if same else letters
        self.documents = {} if same else documents
        self.digits = {} if same else digits

    def name(self, column: str) -> pl.Expr:
        """Names with their letters exchanged."""
        return self._exchanged(column, self.letters)

    def document(self, column: str) -> pl.Expr:
        """Document numbers with their characters exchanged; the posts' leading `No` stays."""
        written = self._exchanged(column, self.documents)
        number = (
            pl.when(pl.col(column).str.starts_with("No "))
            .then("No " + written.str.slice(3))
            .otherwise(written)
        )
        return number.alias(column)

    def person_number(self, column: str) -> pl.Expr:
        """Person numbers with their digits exchanged (the check letter is not read by miglink)."""
        return self._exchanged(column, self.digits)

    def birth_day(self, column: str) -> pl.Expr:
        """Dates of birth moved within their month, or every person would have a double born on the same day.

        The first of a month stays, for it may stand for an unknown day, and so do the last three days.
        """
        text = pl.col(column)
        is_first = text.str.contains(r"^\d\d[-/]")
        day = (
            pl.when(is_first).then(text.str.head(2)).otherwise(text.str.tail(2)).cast(pl.Int64, strict=False)
        )
        moved = (2 + (day - 2 + 4 * self.number) % 27).cast(pl.String).str.zfill(2)
        changed = pl.when(is_first).then(moved + text.str.slice(2)).otherwise(text.str.head(-2) + moved)
        return pl.when(day.is_between(2, 28)).then(changed).otherwise(text)

    def key(self, column: str) -> pl.Expr:
        """Keys of the agency, told apart by the repetition."""
        return (
            pl.when(pl.col(column).is_not_null())
            .then(pl.format("{}#{}", column, pl.lit(self.number)))
            .alias(column)
        )

    def _exchanged(self, column: str, pairs: dict[str, str]) -> pl.Expr:
        if not pairs:
            return pl.col(column)
        # Through private-use characters, so that no letter is exchanged twice.
        marks = {letter: chr(0xE000 + index) for index, letter in enumerate(pairs)}
        first = pl.col(column).str.replace_many(list(marks), list(marks.values()))
        return first.str.replace_many([marks[k] for k in pairs], [pairs[k] for k in pairs])


def repeated(frame: pl.DataFrame, n: int, change: dict[str, str]) -> pl.DataFrame:
    """N repetitions of a frame, each with the named columns changed."""
    parts = []
    for number in range(n):
        repetition = Repetition(number)
        parts.append(
            frame.with_columns(
                getattr(repetition, how)(column).alias(column) for column, how in change.items()
            )
        )
    return pl.concat(parts)


def write_repeated(n: int, out: Path) -> None:
    """Write every file of the agencies n times over, in its own format, and a configuration that reads them."""
    (out / "agency" / "border").mkdir(parents=True, exist_ok=True)
    for path in sorted((AGENCY / "border").glob("*.csv")):
        _border(path, out / "agency" / "border" / path.name, n)
    names = {"APPL_FAM_NM": "name", "APPL_GIV_NM": "name"}
    _csv("visas.csv", out, n, ",", {**names, "PPT_NO": "document", "VSA_NO": "key", "DOB": "birth_day"})
    names = {"apellidos": "name", "nombres": "name", "acta": "key"}
    _csv(
        "deaths.csv",
        out,
        n,
        "\t",
        {**names, "pasaporte": "document", "num_id": "person_number", "f_nacimiento": "birth_day"},
    )
    _csv(
        "births.csv",
        out,
        n,
        ";",
        {**names, "id_nacido": "person_number", "madre_id": "person_number", "fec_nac": "birth_day"},
    )
    _register(out / "agency" / "register.csv.gz", n)
    _parquet(
        "permits.parquet",
        out,
        n,
        {"apenom": "name", "nro_pas": "document", "nro_permiso": "key", "f_nac": "birth_day"},
        "pin",
    )
    _parquet("activity.parquet", out, n, {"apenom": "name", "fnac": "birth_day"}, "id_pers")
    config = CONFIG.read_text(encoding="utf-8").replace("../tests/data/agency", "agency")
    (out / "repeated.yml").write_text(
        config.replace("name: quevara", f"name: quevara_x{n}"), encoding="utf-8"
    )


def _border(path: Path, target: Path, n: int) -> None:
    """A border file, with the control total of its new number of rows."""
    header, *lines = path.read_text(encoding="latin-1").splitlines()
    rows = [line.split(";") for line in lines if line and not line.startswith("TOTAL REGISTROS")]
    frame = pl.DataFrame(rows, schema=header.split(";"), orient="row")
    larger = repeated(frame, n, {"APE_NOM": "name", "NRO_DOCUM": "document", "F_NACIM": "birth_day"})
    body = larger.write_csv(separator=";", include_header=False, quote_style="never", line_terminator="\r\n")
    trailer = f"TOTAL REGISTROS;{larger.height};{path.stem[:4]}" + ";" * (frame.width - 3) + "\r\n"
    target.write_bytes((header + "\r\n" + body + trailer).encode("latin-1"))


def _register(target: Path, n: int) -> None:
    text = gzip.decompress((AGENCY / "register.csv.gz").read_bytes())
    names = {"AP1": "name", "AP2": "name", "NOMB": "name"}
    register = pl.read_csv(text, separator="|", infer_schema=False)
    larger = repeated(
        register, n, {**names, "PASAP": "document", "PIN": "person_number", "F_NAC": "birth_day"}
    )
    target.write_bytes(gzip.compress(larger.write_csv(separator="|").encode()))


def _parquet(name: str, out: Path, n: int, change: dict[str, str], number: str) -> None:
    """A Parquet file whose person numbers are integers."""
    frame = pl.read_parquet(AGENCY / name).with_columns(pl.col(number).cast(pl.String))
    larger = repeated(frame, n, {**change, number: "person_number"})
    larger.with_columns(pl.col(number).cast(pl.Int64)).write_parquet(out / "agency" / name)


def _csv(name: str, out: Path, n: int, separator: str, change: dict[str, str]) -> None:
    frame = pl.read_csv(AGENCY / name, separator=separator, infer_schema=False)
    repeated(frame, n, change).write_csv(out / "agency" / name, separator=separator)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("n", type=int, help="number of repetitions")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    arguments = parser.parse_args()
    write_repeated(arguments.n, arguments.out)
