"""Border files as no one wants them, runs of them through the front door, and the search for personal data."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from miglink.cli import main

HEADER = "day,way,surname,given,born,doc"
FIELDS = tuple(HEADER.split(","))
CONFIG = """\
name: small
period: {{from: 2012-01-01, to: 2018-12-31}}
key: {{demo: true}}
sources:
  border:
    kind: crossings
    files: {files}
    format: {form}
    columns:
      {further}
      crossed_date: day
      direction: {{from: way, map: {{in: arrival, out: departure}}}}
      surname: surname
      given_names: given
      birth_date: born
      document_number: doc
    bounds: {{max_rejected_share: {share}}}
residence: {{rules: [nz_12_16]}}
estimates: {{reporting_country: NZL}}
"""
# What the unremarkable rows say of persons.
SURNAMES = ("Zymborska", "Quillfeather", "Oyelowo")
PERSONAL = (*SURNAMES, "Wilhelmine", "1980-07-19", "XK00")


def row(number: int = 0, **values: str) -> str:
    """One line of a border file; what is not said is unremarkable."""
    plain = {
        "day": f"2014-{1 + number % 12:02d}-{1 + number % 28:02d}",
        "way": "out" if number % 2 else "in",
        "surname": SURNAMES[number % 3],
        "given": "Wilhelmine",
        "born": "1980-07-19",
        "doc": f"XK00{number:06d}",
    }
    return ",".join({**plain, **values}.values())


def text(*further: str, n: int = 20, end: str = "\n") -> str:
    """A border file: header, n unremarkable rows, then the further lines."""
    return end.join([HEADER, *(row(number) for number in range(n)), *further, ""])


def frame(n: int = 3) -> pl.DataFrame:
    """The same rows as a table."""
    return pl.DataFrame([row(number).split(",") for number in range(n)], schema=FIELDS, orient="row")


@dataclass(frozen=True)
class Done:
    """What a run left behind: exit code, what it printed, its folder."""

    code: int
    printed: str
    folder: Path

    def accounts(self) -> tuple[int, int, int]:
        """Rows read, accepted and rejected."""
        (counts,) = self.table("row_accounts").select("n_read", "n_accepted", "n_rejected").iter_rows()
        return counts

    def table(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(self.folder / "tables" / f"{name}.parquet", glob=False)


Run = Callable[..., Done]


def runner(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """What runs a configuration whose border files are in this folder; by default the first stage alone."""

    def run_config(
        files: str | list[str] = "border.csv",
        form: str = "{}",
        share: float = 1.0,
        further: str = "",
        out: str = "run",
        to: Sequence[str] = ("--to", "ingest"),
    ) -> Done:
        config = folder / "config.yml"
        written = json.dumps(files, ensure_ascii=False)
        config.write_text(CONFIG.format(files=written, form=form, share=share, further=further), "utf-8")
        code = main(["run", str(config), "--out", str(folder / out), *to])
        said = capsys.readouterr()
        return Done(code, said.out + said.err, folder / out)

    return run_config


def assert_nothing_personal(done: Done, *values: str) -> None:
    """No value stands in what was printed, in the log, the manifest, a name of a file, or what may leave the folder."""
    places = {"what was printed": done.printed.encode()}
    for path in (path for path in done.folder.rglob("*") if path.is_file()):
        places[f"the name {path.name}"] = str(path.relative_to(done.folder)).encode()
        if path.parent.name != "tables":
            places[path.name] = path.read_bytes()
        if path.suffix == ".parquet" and path.parent.name != "tables":
            places[path.name] += pl.read_parquet(path, glob=False).cast(pl.String).write_csv().encode()
    escaped = [json.dumps(value)[1:-1] for value in values]
    for value in {*values, *escaped, *PERSONAL} - {""}:
        found = [
            place for place, content in places.items() if value.encode("utf-8", "surrogatepass") in content
        ]
        assert not found, (value, found)


def assert_failed(done: Done, *said: str, personal: Sequence[str] = ()) -> None:
    """Exit code 1, a message with these words, no published and no half-written file, nothing personal."""
    assert done.code == 1, done.printed
    assert "defect" not in done.printed
    assert [part for part in said if part not in done.printed] == [], done.printed
    assert "source border: " in done.printed
    left = [path for path in done.folder.rglob("*") if path.is_file()]
    assert {path.parent.name for path in left} <= {done.folder.name, "tables"}
    assert {path.name for path in left if path.parent == done.folder} <= {"manifest.json", "log.jsonl"}
    assert not [path for path in done.folder.rglob("*") if path.suffix == ".part" or path.name == "scratch"]
    assert_nothing_personal(done, *personal)


def write(folder: Path, content: str | bytes, name: str = "border.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path
