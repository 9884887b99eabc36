"""The files of the agencies: each source in its own columns, codes and format (synthetic/README.md)."""

import gzip
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from miglink.codes import APOSTROPHES, ascii_characters, icao_characters
from miglink.codes import countries as country_codes
from synthetic.chance import Chance
from synthetic.documents import write_numbers
from synthetic.journeys import ARRIVAL, PORTS, is_by_land
from synthetic.names import load_names
from synthetic.noise import CAUSES
from synthetic.records import Country
from synthetic.world import HOME, NEVER, NONE, countries

NAME_FIELD = 39
# Characters that are read for one another, and digits a typist mistakes.
_MISREAD = dict(zip("O0I1B8S5Z2", "0O1I8B5S2Z", strict=True)) | {
    "3": "8", "4": "9", "6": "0", "7": "1", "9": "4",
}  # fmt: skip
_VISAS = ("TOURIST", "BUSINESS", "VISIT", "STUDY", "WORK", "RETURN")
_PERMITS = ("STU", "WRK", "FAM", "PRT", "SEA", "FRO", "PER")


@dataclass(frozen=True)
class _Spellings:
    """Every name in the spellings that the agencies use; the last is blank, so that -1 is no name."""

    registry: pl.Series
    capitals: pl.Series
    plain: pl.Series
    machine: pl.Series


@cache
def _spellings() -> _Spellings:
    registry = pl.concat([load_names().texts, pl.Series([""])])
    capitals = registry.str.to_uppercase()
    characters = set("".join(capitals))
    plain = dict.fromkeys(APOSTROPHES, "") | ascii_characters("".join(sorted(characters)))
    latin = {c: icao_characters().get(c, plain.get(c, c)) for c in characters if not c.isascii()}
    machine = dict.fromkeys(APOSTROPHES, "") | latin | {" ": "<", "-": "<"}
    return _Spellings(registry, capitals, _replace(capitals, plain), _replace(capitals, machine))


def _replace(texts: pl.Series, characters: dict[str, str]) -> pl.Series:
    return texts.str.replace_many(list(characters), list(characters.values()))


def write_sources(
    sources: dict[str, pl.DataFrame], country: Country, folder: Path, chance: Chance
) -> pl.DataFrame:
    """Write the files of every source below the folder.

    Gives source, record_id, person and causes (bits of CAUSES) of each record, sorted by source and record_id.
    """
    numbers = write_numbers(country.documents)
    (folder / "border").mkdir(parents=True, exist_ok=True)
    keys = []
    for name, write in (
        ("activity", _activity), ("births", _births), ("border", None), ("census", _census), ("deaths", _deaths),
        ("permits", _permits), ("register", _register), ("visas", _visas),
    ):  # fmt: skip
        if write is None:
            keys.append(_write_border(sources["border"], numbers, folder / "border", chance))
            continue
        frame = sources[name].sort("day", "person", maintain_order=True)
        rows = write(frame, numbers)
        _write(rows, name, folder)
        keys.append(
            frame.select("person", "causes").with_columns(source=pl.lit(name), record_id=rows.to_series(0))
        )
    return pl.concat([key.select("source", "record_id", "person", "causes") for key in keys])


def _write(rows: pl.DataFrame, name: str, folder: Path) -> None:
    if name in {"permits", "activity"}:
        rows.write_parquet(folder / f"{name}.parquet")
    elif name == "register":
        # Without a time of writing, or the same seed would not give the same bytes.
        with gzip.GzipFile(folder / "register.csv.gz", "wb", compresslevel=6, mtime=0) as stream:
            stream.write(rows.write_csv(separator="|").encode())
    else:
        rows.write_csv(folder / f"{name}.csv", separator=";" if name in {"visas", "births"} else ",")


def _write_border(frame: pl.DataFrame, numbers: pl.Series, folder: Path, chance: Chance) -> pl.DataFrame:
    """A file for each year, in the order in which scans came in: some posts by land send theirs days later."""
    keys = []
    dated = frame.with_columns(year=pl.col("day").cast(pl.Date).dt.year())
    for year in sorted(dated["year"].unique()):
        of_year = dated.filter(pl.col("year") == year)
        at = (of_year["person"].to_numpy(), of_year["day"].to_numpy(), of_year["minute"].to_numpy())
        late = is_by_land(of_year["port"].to_numpy()) & chance.happens(0.05, "late", *at)
        came = of_year["day"].to_numpy().astype(np.int64) * 1440 + of_year["minute"].to_numpy()
        came += np.where(late, chance.whole(1440, 9 * 1440, "how late", *at), 0)
        ordered = of_year.with_columns(came=pl.Series(came)).sort(
            "came", "person", "direction", maintain_order=True
        )
        scan = pl.Series("scan", np.arange(1, ordered.height + 1) + int(year) * 100_000_000).cast(pl.String)
        _border(ordered, scan, numbers).write_csv(folder / f"{year}.csv")
        keys.append(
            _mark_truncated(ordered).select("person", "causes", source=pl.lit("border"), record_id=scan)
        )
    return pl.concat(keys)


def _border(frame: pl.DataFrame, scan: pl.Series, numbers: pl.Series) -> pl.DataFrame:
    typed = frame["is_typed"]
    machine = _machine_name(frame).str.head(NAME_FIELD)
    by_hand = _whole_name(frame, _spellings().capitals, ", ")
    born = frame["birth_day"].cast(pl.Date)
    issuer = _shown(frame, "border")
    at = pl.col("day").cast(pl.Int64) * 1440 + pl.col("minute")
    return frame.select(
        scan=scan,
        time=(at * 60_000_000).cast(pl.Datetime("us")).dt.strftime("%Y-%m-%d %H:%M"),
        way=pl.when(pl.col("direction") == int(ARRIVAL)).then(pl.lit("IN")).otherwise(pl.lit("OUT")),
        post=pl.Series(PORTS)[frame["port"].to_numpy()],
        reading=pl.when(typed).then(pl.lit("T")).otherwise(pl.lit("M")),
        document=_document(frame, numbers),
        issuer=issuer,
        nationality=issuer,
        holder=pl.when(typed).then(by_hand).otherwise(machine),
        sex=_sex(frame, "M", "F"),
        born=pl.when(typed).then(born.dt.strftime("%d.%m.%Y")).otherwise(born.dt.strftime("%y%m%d")),
        reason=pl.col("purpose").replace_strict(
            dict(enumerate("TBVSWR")), default="", return_dtype=pl.String
        ),
    )


def _mark_truncated(frame: pl.DataFrame) -> pl.DataFrame:
    cut = (_machine_name(frame).str.len_chars() > NAME_FIELD) & ~frame["is_typed"]
    bit = 1 << CAUSES.index("truncated_name")
    return frame.with_columns(
        causes=pl.when(cut).then(pl.col("causes") | bit).otherwise("causes").cast(pl.Int16)
    )


def _visas(frame: pl.DataFrame, numbers: pl.Series) -> pl.DataFrame:
    surname, given = _names(frame, _spellings().plain)
    kind = pl.col("purpose").replace_strict(
        dict(enumerate(_VISAS)), default="TOURIST", return_dtype=pl.String
    )
    return frame.select(
        visa_no=_numbered("V", frame),
        family_name=surname,
        given_names=given,
        sex=_sex(frame, "1", "2"),
        date_of_birth=_iso("birth_day"),
        nationality=_shown(frame, "name"),
        passport=_document(frame, numbers),
        visa_class=kind,
        issued=_iso("day"),
        valid_from=_iso("valid_from"),
        valid_until=_iso("valid_to"),
    )


def _permits(frame: pl.DataFrame, numbers: pl.Series) -> pl.DataFrame:
    surname, given = _names(frame, _spellings().registry)
    return frame.select(
        permit_no=_numbered("P", frame),
        category=pl.Series(_PERMITS)[frame["purpose"].to_numpy()],
        begins=pl.col("valid_from").cast(pl.Date),
        expires=pl.col("valid_to").cast(pl.Date),
        family_name=surname,
        given_names=given,
        birth_date=_iso("birth_day"),
        nationality=_country(frame, "country", "alpha2"),
        sex=_sex(frame, "m", "f"),
        passport=_document(frame, numbers),
        person_no=_pin("pin"),
        district="district",
    )


def _register(frame: pl.DataFrame, numbers: pl.Series) -> pl.DataFrame:
    surname, given = _names(frame, _spellings().capitals)
    removed = pl.col("removed") < int(NEVER)
    reason, removal = pl.Series(["first", "immigration"]), pl.Series(["death", "departure", "ex officio"])
    return frame.select(
        entry_no=_numbered("R", frame),
        pin=_pin("pin"),
        surname=surname,
        given_names=given,
        sex=_sex(frame, "M", "W"),
        born=pl.col("birth_day").cast(pl.Date).dt.strftime("%Y%m%d"),
        birth_country=_country(frame, "birth_country", "numeric"),
        citizenship=_country(frame, "country", "numeric"),
        citizenship_2=_country(frame, "second_country", "numeric"),
        district="district",
        passport=_document(frame, numbers),
        since=pl.col("day").cast(pl.Date).dt.strftime("%Y%m%d"),
        reason=reason[frame["reason"].to_numpy()],
        until=pl.when(removed).then(pl.col("removed").cast(pl.Date).dt.strftime("%Y%m%d")),
        removal=pl.when(removed).then(removal[frame["removal"].to_numpy()]),
    )


def _census(frame: pl.DataFrame, _: pl.Series) -> pl.DataFrame:
    surname, given = _names(frame, _spellings().registry)
    return frame.select(
        form=_numbered("C", frame),
        surname=surname,
        given_names=given,
        sex=_sex(frame, "male", "female"),
        birth_date=_iso("birth_day"),
        birth_country=_country(frame, "birth_country", "alpha3"),
        citizenship=_country(frame, "country", "alpha3"),
        district="district",
    )


def _activity(frame: pl.DataFrame, _: pl.Series) -> pl.DataFrame:
    # Who has no number is named, the surname first.
    unnumbered = pl.col("pin") == int(NONE)
    name = _whole_name(frame, _spellings().plain, ", ")
    return frame.select(
        row=_numbered("A", frame),
        year="year",
        register=pl.Series(["tax", "school", "health"])[frame["domain"].to_numpy()],
        person_no=_pin("pin"),
        name=pl.when(unnumbered).then(name),
        birth_date=pl.when(unnumbered).then(pl.col("birth_day").cast(pl.Date).dt.strftime("%d/%m/%Y")),
    )


def _births(frame: pl.DataFrame, _: pl.Series) -> pl.DataFrame:
    surname, given = _names(frame, _spellings().registry)
    return frame.select(
        act=_numbered("B", frame),
        born=_iso("day"),
        surname=surname,
        given_names=given,
        sex=_sex(frame, "M", "F"),
        pin=_pin("pin"),
        mother_pin=_pin("mother_pin"),
    )


def _deaths(frame: pl.DataFrame, numbers: pl.Series) -> pl.DataFrame:
    surname, given = _names(frame, _spellings().registry)
    return frame.select(
        act=_numbered("D", frame),
        died=_iso("day"),
        surname=surname,
        given_names=given,
        sex=_sex(frame, "M", "F"),
        birth_date=_iso("birth_day"),
        citizenship=_country(frame, "country", "alpha3"),
        pin=_pin("pin"),
        passport=_document(frame, numbers),
    )


def _names(frame: pl.DataFrame, spelling: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Surname and given names, in each other's place where they were swapped."""
    surname = _join(frame, spelling, ("surname", "second_surname"), " ")
    given = _join(frame, spelling, ("given", "second_given"), " ")
    swapped = frame["is_swapped"]
    return given.zip_with(swapped, surname), surname.zip_with(swapped, given)


def _whole_name(frame: pl.DataFrame, spelling: pl.Series, between: str) -> pl.Series:
    surname, given = _names(frame, spelling)
    return _concat(surname, between, given)


def _machine_name(frame: pl.DataFrame) -> pl.Series:
    """The name line of the machine-readable zone, before it is cut (ICAO Doc 9303-3, section 4.6)."""
    spelling = _spellings().machine
    surname = _join(frame, spelling, ("surname", "second_surname"), "<")
    given = _join(frame, spelling, ("given", "second_given"), "<")
    swapped = frame["is_swapped"]
    return _concat(given.zip_with(swapped, surname), "<<", surname.zip_with(swapped, given))


def _concat(left: pl.Series, between: str, right: pl.Series) -> pl.Series:
    return pl.DataFrame({"l": left, "r": right}).select(pl.concat_str("l", pl.lit(between), "r")).to_series()


def _join(frame: pl.DataFrame, spelling: pl.Series, columns: tuple[str, str], between: str) -> pl.Series:
    first, second = (spelling[frame[column].to_numpy() % spelling.len()] for column in columns)
    both = pl.DataFrame({"first": first, "second": second})
    more = pl.when(pl.col("second") == "").then(pl.lit("")).otherwise(pl.lit(between) + pl.col("second"))
    return both.select(pl.col("first") + more).to_series()


def _document(frame: pl.DataFrame, numbers: pl.Series) -> pl.Series:
    """The passport's number, one character misread where it was."""
    document = frame["document"].to_numpy()
    if numbers.is_empty():
        return pl.Series([None] * frame.height, dtype=pl.String)
    shown = numbers[np.maximum(document, 0)]
    wrong = np.flatnonzero((frame["misreading"].to_numpy() != 0) & (document != NONE))
    if wrong.size:
        text, how = shown[wrong], frame["misreading"].to_numpy()[wrong]
        at = pl.Series(how.astype(np.int64)) % text.str.len_chars().cast(pl.Int64)
        pieces = pl.DataFrame({"text": text, "at": at})
        character = pl.col("text").str.slice(pl.col("at"), 1)
        read = character.replace(list(_MISREAD), list(_MISREAD.values()))
        other = pl.when(read == character).then(pl.lit("X")).otherwise(read)
        whole = pl.concat_str(
            pl.col("text").str.slice(0, pl.col("at")), other, pl.col("text").str.slice(pl.col("at") + 1)
        )
        shown = shown.scatter(wrong, pieces.select(whole).to_series())
    whole_numbers: pl.Series = shown.set(pl.Series(document == NONE), None).alias("document")
    return whole_numbers


def _sex(frame: pl.DataFrame, male: str, female: str) -> pl.Series:
    return pl.Series([male, female])[frame["sex"].to_numpy()]


def _iso(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Date).dt.strftime("%Y-%m-%d")


def _pin(column: str) -> pl.Expr:
    return pl.when(pl.col(column) != int(NONE)).then(pl.col(column).cast(pl.String).str.zfill(9))


def _numbered(letter: str, frame: pl.DataFrame) -> pl.Series:
    """A running number; records are in the order of their day."""
    return letter + pl.Series(np.arange(1, frame.height + 1)).cast(pl.String).str.zfill(8)


def _shown(frame: pl.DataFrame, column: str) -> pl.Series:
    """The citizenship shown, as a column of `countries` writes it."""
    return countries()[column][frame["country"].to_numpy()]


def _country(frame: pl.DataFrame, column: str, scheme: str) -> pl.Series:
    """Countries in a scheme of codes (alpha2, alpha3, numeric); blank where there is none."""
    place: NDArray[np.int16] = frame[column].to_numpy()
    return _coded(scheme)[place % (countries().height + 1)]


@cache
def _coded(scheme: str) -> pl.Series:
    """The code of each of `countries`, and null at the end; Marenia's own are of the ranges left to users."""
    own = {"alpha2": "QM", "alpha3": HOME, "numeric": "958"}[scheme]
    listed = (
        country_codes()
        .filter(pl.col("scheme") == scheme)
        .unique("country", keep="first", maintain_order=True)
    )
    codes = countries().join(listed, on="country", how="left", maintain_order="left")["code"]
    return pl.concat(
        [
            codes.to_frame().select(pl.col("code").fill_null(own)).to_series(),
            pl.Series([None], dtype=pl.String),
        ]
    )
