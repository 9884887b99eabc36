"""Ingest: what agencies write, and what miglink makes of it."""

import datetime as dt
import gzip
import re
from collections.abc import Iterable
from operator import itemgetter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from miglink.config.sources import Source
from miglink.config.stages import Period
from miglink.engine import Engine
from miglink.errors import SourceError
from miglink.stages.ingest import Ingested, ingest

PERIOD = Period.model_validate({"from": dt.date(2012, 1, 1), "to": dt.date(2023, 12, 31)})
HEADER = "WHEN;MOVE;DOC;STATE;NAT;NAME;SEX;BORN"
BORDER: dict[str, Any] = {
    "kind": "crossings",
    "format": {"separator": ";", "encoding": "latin-1", "trailer": "TOTAL"},
    "columns": {
        "crossed_at": {"from": "WHEN", "formats": ["%d/%m/%Y %H:%M"], "midnight_is_unknown": True},
        "direction": {"from": "MOVE", "map": {"E": "arrival", "S": "departure"}, "unmapped": "reject"},
        "document_number": "DOC",
        "document_country": {"from": "STATE", "unmapped": "missing"},
        "citizenship": {"from": "NAT", "unmapped": "missing"},
        "full_name": {"from": "NAME", "separators": ["<<", ","]},
        "sex": {"from": "SEX", "map": {"M": "male", "F": "female"}, "missing": ["<"]},
        "birth_date": {"from": "BORN", "formats": ["%y%m%d", "%d/%m/%Y"]},
    },
    "repeat_minutes": 15,
    "bounds": {"max_rejected_share": 1.0},
}


def read(engine: Engine, folder: Path, lines: list[str], **changes: Any) -> Ingested:
    """Ingest one border file with these lines under HEADER."""
    path = folder / "border.csv"
    path.write_bytes("\r\n".join([HEADER, *lines, ""]).encode("latin-1"))
    source = Source.model_validate({**BORDER, "files": str(path), **changes}, strict=False)
    return ingest(engine, {"border": source}, {}, PERIOD)


def rows(engine: Engine, table: Any, select: str = "*") -> list[dict[str, Any]]:
    return engine.collect(f"SELECT {select} FROM t", t=table).to_dicts()


def read_each(
    engine: Engine, folder: Path, field: str, values: Iterable[str], select: str
) -> dict[str, dict[str, Any]]:
    """Ingest crossings that are alike but for their documents and one field; what is read of each of its values."""
    documents = {f"X{number}": value for number, value in enumerate(values)}
    lines = [crossing(**{"DOC": document, field: value}) for document, value in documents.items()]
    found = rows(engine, read(engine, folder, lines).records, f"document_number, {select}")
    return {documents[row["document_number"]]: row for row in found}


def crossing(**values: str) -> str:
    """One line of the border file; what is not said is unremarkable."""
    plain = {
        "WHEN": "05/03/2013 10:20", "MOVE": "E", "DOC": "AB123456", "STATE": "ESP", "NAT": "ESP",
        "NAME": "GARCIA<LOPEZ<<ANA", "SEX": "F", "BORN": "800719",
    }  # fmt: skip
    return ";".join({**plain, **values}.values())


BIRTH_DATES = {
    "800719": (dt.date(1980, 7, 19), "day"),
    "120101": (dt.date(2012, 1, 1), "day"),
    "140101": (dt.date(1914, 1, 1), "day"),  # a child not yet born: born a century before
    "130305": (dt.date(2013, 3, 5), "day"),  # born on the day of the crossing
    "94<<<<": (dt.date(1994, 1, 1), "year"),
    "19/07/1980": (dt.date(1980, 7, 19), "day"),
    "31/02/1980": (None, None),
    "000229": (dt.date(2000, 2, 29), "day"),
    "010229": (None, None),  # 29 February of no leap year, in neither century
    "": (None, None),
}


def test_birth_dates(engine: Engine, tmp_path: Path) -> None:
    select = "birth_date, birth_date_precision"
    found = read_each(engine, tmp_path, "BORN", BIRTH_DATES, select)
    assert {
        born: (row["birth_date"], row["birth_date_precision"]) for born, row in found.items()
    } == BIRTH_DATES


NAMES = {
    "GARCIA<LOPEZ<<ANA": ("GARCIA LOPEZ", "ANA"),
    "SCHROEDER<<KLAUS<UWE<<<<<<<<<<<": ("SCHROEDER", "KLAUS UWE"),
    "BOLANXXOS<DUARTE<<ALBERTO": ("BOLANOS DUARTE", "ALBERTO"),
    "VAN<DER<ZEE<<JOHANNA": ("VAN DER ZEE", "JOHANNA"),
    "ACUÑA RIAÑO, PABLO CARLOS": ("ACUNA RIANO", "PABLO CARLOS"),
    "O'BRIEN, SEAN": ("OBRIEN", "SEAN"),
    "AL-AHMAD, HYE-JUN": ("AL AHMAD", "HYE JUN"),
    "FOXX<<JAMIE": ("FOXX", "JAMIE"),
    "ADIWINATA": ("ADIWINATA", None),
}


def test_names(engine: Engine, tmp_path: Path) -> None:
    found = read_each(engine, tmp_path, "NAME", NAMES, "surname_ascii, given_names_ascii")
    assert {name: (row["surname_ascii"], row["given_names_ascii"]) for name, row in found.items()} == NAMES


def test_names_without_separator_are_split_by_the_names_of_others(engine: Engine, tmp_path: Path) -> None:
    others = ["GARCIA<LOPEZ<<ANA", "LOPEZ<RUIZ<<MARIA<ANA", "TAYLOR<<KAREN", "RUIZ<<KAREN<MARIA"]
    lines = [crossing(NAME=name) for name in [*others, "TAYLOR MARIA", "LOPEZ GARCIA KAREN ANA"]]
    found = rows(engine, read(engine, tmp_path, lines).records, "surname, given_names")
    assert {"surname": "TAYLOR", "given_names": "MARIA"} in found
    assert {"surname": "LOPEZ GARCIA", "given_names": "KAREN ANA"} in found


def test_icao_and_ascii_spelling_differ(engine: Engine, tmp_path: Path) -> None:
    (row,) = rows(engine, read(engine, tmp_path, [crossing(NAME="MÜLLER, JÖRG")]).records)
    assert (row["surname_icao"], row["given_names_icao"]) == ("MUELLER", "JOERG")
    assert (row["surname_ascii"], row["given_names_ascii"]) == ("MULLER", "JORG")
    assert row["surname"] == "MÜLLER"


REASONS: list[tuple[dict[str, str], str]] = [
    ({"WHEN": ""}, "crossed_date_missing"),
    ({"WHEN": "31/02/2018 16:36"}, "crossed_date_unreadable"),
    ({"WHEN": "01/04/2012 29:49"}, "crossed_date_unreadable"),
    ({"WHEN": "00/00/0000 00:00"}, "crossed_date_unreadable"),
    ({"MOVE": ""}, "direction_missing"),
    ({"MOVE": "?"}, "direction_unknown"),
    ({"NAME": "", "DOC": ""}, "no_identifying_field"),
]


def test_rejected_rows_have_a_reason(engine: Engine, tmp_path: Path) -> None:
    lines = [crossing(), *(crossing(**changes) for changes, _ in REASONS), crossing(DOC="ZZ1")]
    result = read(engine, tmp_path, lines)
    assert sorted(rows(engine, result.rejected), key=itemgetter("row_number")) == [
        {"source": "border", "file": "border.csv", "row_number": row_number, "reason": reason}
        for row_number, (_, reason) in enumerate(REASONS, start=2)
    ]
    (account,) = rows(engine, result.row_accounts, "n_read, n_accepted, n_rejected")
    assert account == {"n_read": len(lines), "n_accepted": 2, "n_rejected": len(REASONS)}


def test_lines_that_do_not_fit_the_header_are_rejected(engine: Engine, tmp_path: Path) -> None:
    result = read(
        engine, tmp_path, [crossing(), "05/03/2013 10:20;E", "", crossing(DOC="X1") + ";more;fields"]
    )
    assert sorted(row["reason"] for row in rows(engine, result.rejected)) == ["malformed_line"] * 2
    (account,) = rows(engine, result.row_accounts, "n_read, n_accepted, n_rejected")
    assert account == {"n_read": 3, "n_accepted": 1, "n_rejected": 2}


def test_a_malformed_line_and_a_rejected_row_may_bear_the_same_number(engine: Engine, tmp_path: Path) -> None:
    result = read(engine, tmp_path, [crossing(), "", "05/03/2013;E", crossing(MOVE="?"), crossing(MOVE="!")])
    (account,) = rows(engine, result.row_accounts, "n_read, n_accepted, n_rejected")
    assert account == {"n_read": 4, "n_accepted": 1, "n_rejected": 3}


def test_control_total(engine: Engine, tmp_path: Path) -> None:
    result = read(engine, tmp_path, [crossing(), crossing(DOC="X1"), "TOTAL;2;2013;;;;;"])
    assert rows(engine, result.row_accounts, "n_read, n_trailers") == [{"n_read": 2, "n_trailers": 1}]
    with pytest.raises(SourceError, match="states 3 rows in its control line and holds 2"):
        read(engine, tmp_path, [crossing(), crossing(DOC="X1"), "TOTAL;3;2013;;;;;"])


def test_double_scan_is_kept_and_marked(engine: Engine, tmp_path: Path) -> None:
    times = ["10:20", "10:28", "10:55", "11:30"]
    lines = [crossing(WHEN=f"05/03/2013 {time}") for time in times] + [
        crossing(WHEN="05/03/2013 10:21", MOVE="S")
    ]
    found = rows(engine, read(engine, tmp_path, lines).records, "crossed_at, direction, is_repeat")
    repeats = [row for row in found if row["is_repeat"]]
    assert [(row["crossed_at"].strftime("%H:%M"), row["direction"]) for row in repeats] == [
        ("10:28", "arrival")
    ]


def test_midnight_is_an_unknown_hour(engine: Engine, tmp_path: Path) -> None:
    (row,) = rows(engine, read(engine, tmp_path, [crossing(WHEN="05/03/2013 00:00")]).records)
    assert (row["crossed_date"], row["crossed_at"]) == (dt.date(2013, 3, 5), None)


COUNTRIES = {
    "D": "DEU",
    "D<<": "DEU",
    "ROM": "ROU",
    "NO": "NOR",
    "XXA": "XXA",
    "RKS": "RKS",
    "GBD": "GBR",
    "?": None,
}


def test_country_codes(engine: Engine, tmp_path: Path) -> None:
    found = read_each(engine, tmp_path, "NAT", COUNTRIES, "citizenship")
    assert {code: row["citizenship"] for code, row in found.items()} == COUNTRIES


def test_birth_date_after_the_crossing_is_not_believed(engine: Engine, tmp_path: Path) -> None:
    (row,) = rows(engine, read(engine, tmp_path, [crossing(BORN="01/01/2020")]).records)
    assert row["birth_date"] is None
    assert row["notes"] == "birth_date_after_record"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": {**BORDER["columns"], "port": "PASO"}}, r"no column `PASO` \(for port\)"),
        ({"bounds": {"min_rows": 5}}, r"2 rows, fewer than bounds.min_rows \(5\)"),
        ({"bounds": {"max_rows": 1}}, r"2 rows, more than bounds.max_rows \(1\)"),
        ({"bounds": {"max_rejected_share": 0.1}}, r"1 of 2 rows rejected.*direction_unknown 1"),
        ({"columns": {**BORDER["columns"], "record_id": "NAT"}}, "2 rows share their record_id"),
        (
            {"columns": {**BORDER["columns"], "direction": {"from": "MOVE", "map": {"E": "arrival"}}}},
            r"direction: 1 rows hold a code that is not known \(one is in border.csv, row 2\)",
        ),
        ({"files": "nowhere/*.csv"}, r"no file matches nowhere/\*.csv"),
    ],
)
def test_what_stops_a_run(engine: Engine, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    second = "?" if "rejected" in str(changes) or "map" in message or "hold a code" in message else "S"
    lines = [crossing(), crossing(MOVE=second, DOC="X1")]
    with pytest.raises(SourceError, match=message) as error:
        read(engine, tmp_path, lines, **changes)
    assert not re.search("GARCIA|AB123456|800719", str(error.value))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"WHEN;MOVE;WHEN\n", "repeats a column"),
        ("WHEN;MOVE;AÑO\n1;2;3\n".encode("latin-1"), "cannot be read in utf-8"),
    ],
)
def test_unreadable_file(engine: Engine, tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    source = Source.model_validate({**BORDER, "files": str(path), "format": {"separator": ";"}}, strict=False)
    with pytest.raises(SourceError, match=message):
        ingest(engine, {"bad": source}, {}, PERIOD)


def test_files_of_one_source_must_have_one_header(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("WHEN;MOVE;DOC\n")
    (tmp_path / "b.csv").write_text("WHEN;DIR;DOC\n")
    source = Source.model_validate({**BORDER, "files": str(tmp_path / "*.csv")}, strict=False)
    with pytest.raises(SourceError, match=r"b.csv has another header than a.csv: missing \['MOVE'\]"):
        ingest(engine, {"border": source}, {}, PERIOD)


@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_lines_that_end_in_different_ways(engine: Engine, tmp_path: Path, ending: str) -> None:
    lines = [HEADER, crossing(), crossing(DOC="X1"), crossing(MOVE="?"), crossing(DOC="X2")]
    content = "".join(line + ("\r\n" if n % 2 else "\n") for n, line in enumerate(lines)).encode("latin-1")
    path = tmp_path / f"mixed{ending}"
    path.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    source = Source.model_validate({**BORDER, "files": str(path)}, strict=False)
    result = ingest(engine, {"border": source}, {}, PERIOD)
    (account,) = rows(engine, result.row_accounts, "n_read, n_accepted, n_rejected")
    assert account == {"n_read": 4, "n_accepted": 3, "n_rejected": 1}
    (rejected,) = rows(engine, result.rejected)
    assert (rejected["file"], rejected["row_number"]) == (path.name, 3)


def test_register_with_gzip_joined_names_and_numeric_countries(engine: Engine, tmp_path: Path) -> None:
    text = "PIN|AP1|AP2|NAME|BORN|CIT|FROM|TO\n12.345.678-Z|MARTI\u0301NEZ||ANA|19710000|040|19900101|\n"
    (tmp_path / "r.csv.gz").write_bytes(gzip.compress(text.encode()))
    source = Source.model_validate(
        {
            "kind": "register",
            "files": str(tmp_path / "r.csv.gz"),
            "format": {"separator": "|"},
            "columns": {
                "person_id": {"from": "PIN", "keep": "digits"},
                "person_number": {"from": "PIN", "keep": "digits"},
                "surname": {"from": ["AP1", "AP2"]},
                "given_names": "NAME",
                "birth_date": {"from": "BORN", "formats": ["%Y%m%d"]},
                "citizenship": "CIT",
                "registered_from": {"from": "FROM", "formats": ["%Y%m%d"]},
                "registered_to": {"from": "TO", "formats": ["%Y%m%d"]},
            },
        },
        strict=False,
    )
    (row,) = rows(engine, ingest(engine, {"register": source}, {}, PERIOD).records)
    assert (row["surname"], row["surname_ascii"]) == (
        "MARTÍNEZ",
        "MARTINEZ",
    )  # decomposed accents are composed
    assert (row["person_number"], row["given_person"]) == ("12345678", "register:12345678")
    assert (row["citizenship"], row["birth_date"], row["birth_date_precision"]) == (
        "AUT",
        dt.date(1971, 1, 1),
        "year",
    )
    assert (row["valid_from"], row["ended_date"]) == (dt.date(1990, 1, 1), None)


def test_parquet_months_in_words_and_activity_of_a_year(engine: Engine, tmp_path: Path) -> None:
    pl.DataFrame({"id": [7], "year": [2015]}).write_parquet(tmp_path / "a.parquet")
    (tmp_path / "d.csv").write_text("n,when,born,name\nA1,07-ENE-2012,??-???-1937,ROSA\n", encoding="utf-8")
    months = ["ENE", "FEB", "MAR", "ABR", "MAY", "JUN", "JUL", "AGO", "SEP", "OCT", "NOV", "DIC"]
    spanish = {"formats": ["%d-%b-%Y"], "months": months}
    sources = {
        "activity": {
            "kind": "activity",
            "files": str(tmp_path / "a.parquet"),
            "format": {"type": "parquet"},
            "columns": {"person_number": "id", "active_from": {"from": "year", "formats": ["%Y"]}},
        },
        "deaths": {
            "kind": "vital",
            "files": str(tmp_path / "d.csv"),
            "columns": {
                "record_id": "n",
                "event": {"constant": "death"},
                "event_date": {"from": "when", **spanish},
                "birth_date": {"from": "born", **spanish},
                "surname": "name",
            },
        },
    }
    checked = {name: Source.model_validate(source, strict=False) for name, source in sources.items()}
    activity, death = rows(engine, ingest(engine, checked, {}, PERIOD).records)
    assert (activity["valid_from"], activity["valid_to"]) == (dt.date(2015, 1, 1), dt.date(2015, 12, 31))
    assert (death["event_date"], death["reason"], death["record_id"]) == (dt.date(2012, 1, 7), "death", "A1")
    assert (death["birth_date"], death["birth_date_precision"]) == (dt.date(1937, 1, 1), "year")


def test_identical_rows_get_ids_of_their_own_whatever_their_order(engine: Engine, tmp_path: Path) -> None:
    lines = [crossing(), crossing(DOC="X1"), crossing(), crossing(DOC="X2")]
    first = rows(engine, read(engine, tmp_path, lines).records)
    second = rows(engine, read(engine, tmp_path, lines[::-1]).records)
    assert first == second
    assert len({row["record_id"] for row in first}) == 4


def test_a_key_of_several_columns_and_dates_without_time(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(
        "post,number,day,way,name\nA1,1,2015-03-04,in,ANA\nA2,1,2015-03-05,out,ANA\n"
    )
    columns = {
        "record_id": ["post", "number"],
        "crossed_date": "day",
        "direction": {"from": "way", "map": {"in": "arrival", "out": "departure"}},
        "given_names": "name",
    }
    source = {"kind": "crossings", "files": str(tmp_path / "c.csv"), "columns": columns}
    result = ingest(engine, {"posts": Source.model_validate(source, strict=False)}, {}, PERIOD)
    assert rows(engine, result.records, "record_id, crossed_date, crossed_at") == [
        {"record_id": "A1/1", "crossed_date": dt.date(2015, 3, 4), "crossed_at": None},
        {"record_id": "A2/1", "crossed_date": dt.date(2015, 3, 5), "crossed_at": None},
    ]


def test_judgements_bind_on_one_side_and_the_latest_counts(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "j.csv").write_text(
        "sl,l,sr,r,v,at\nb,2,b,1,match,2020-01-01\nb,1,b,2,non_match,2021-01-01\nb,3,b,4,unsure,\n"
    )
    columns = {
        "source_l": "sl",
        "record_id_l": "l",
        "source_r": "sr",
        "record_id_r": "r",
        "verdict": "v",
        "decided_at": "at",
    }
    source = {"kind": "judgements", "files": str(tmp_path / "j.csv"), "columns": columns}
    path = tmp_path / "border.csv"
    path.write_text(HEADER + "\n" + crossing() + "\n")
    sources = {
        "clerk": Source.model_validate(source, strict=False),
        "border": Source.model_validate({**BORDER, "files": str(path)}, strict=False),
    }
    result = ingest(engine, sources, {}, PERIOD)
    accounts = rows(engine, result.row_accounts, "source, n_read, n_accepted")
    assert {"source": "clerk", "n_read": 3, "n_accepted": 3} in accounts
    found = rows(engine, result.judgements, "record_id_l, record_id_r, verdict")
    assert found == [
        {"record_id_l": "1", "record_id_r": "2", "verdict": "non_match"},
        {"record_id_l": "3", "record_id_r": "4", "verdict": "unsure"},
    ]
