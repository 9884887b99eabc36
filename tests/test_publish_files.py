"""Stage 9: CSV that every program reads alike and that holds no formula; datapackage.json that frictionless accepts."""

import csv
import io
import json
import re
import socket
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from given_tables import make_table
from miglink.config.stages import PublishSettings
from miglink.engine import Engine
from miglink.stages.publish import Publication, publish
from miglink.stages.publish.delimited import guard_formulas, write_csv
from miglink.tables import TABLES

END = date(2020, 1, 1)
# What a source may hold; all of it must come through as the text it is.
NASTY = [
    "=cmd|' /C calc'!A0",
    "=HYPERLINK(\"http://example.org/?\"&A1,\"look\")",
    "+44 1",
    "-9",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "＝1",
    "'=1",
    "''-2",
    '"=1',
    "Quai; =1",
    "Quai;=1",
    'Quai;"=1',
    "a\n-1",
    "a\tb",
    "'s-Hertogenbosch",
    "Rhône-Alpes, Auvergne",
    'the "old" port',
    "line\nbreak",
    "carriage\rreturn",
    "both\r\nof them",
    "<script>alert(1)</script>",
    "&amp; <b>bold</b>",
    " blanks ",
    "Ἀθῆναι 東京 🛂",
    "NULL",
    "NA",
    "total",
    "2019-03",
]  # fmt: skip


def unguarded(text: str) -> str:
    """The way back that docs/analysts.md states."""
    text = re.sub(r"^'(['\"]*[=+\-@＝＋－＠\t\r\n\x00])", r"\1", text)
    return re.sub(r"([;\t\r\n])'(['\"]*[=+\-@＝＋－＠])", r"\1\2", text)


def begins_formula(cell: str) -> bool:
    """Whether a spreadsheet takes a cell for a formula, or drops what stands before one."""
    return cell.startswith(tuple("=+-@＝＋－＠\t\r\n\x00"))


def guarded(texts: list[str]) -> list[str]:
    return guard_formulas(pl.DataFrame({"text": texts}, schema={"text": pl.String}))["text"].to_list()


@pytest.fixture
def outputs(engine: Engine, tmp_path: Path) -> Path:
    """The folder outputs/ of a run whose sources hold what they should not."""
    cell = {c.name: "total" for c in TABLES["stocks"].columns if c.type == "VARCHAR" and not c.nullable}
    counts: dict[str, Any] = {"n_undetermined": 0, "data_to_date": END, "status": "final"}
    rows = {
        "stocks": [
            cell | counts | {"period": text, "n_settled": number, "n": number / 3}
            for number, text in enumerate(NASTY)
        ],
        "quality": [
            {"stage": "ingest", "measure": "share", "item": text, "value": 1 / 3} for text in NASTY
        ],
        "persons": [{"person_id": "a", "is_born_here": False, "n_identities": 1, "n_records": 1}
                    | {"is_doubtful": False, "id_since_date": END}],
        "person_traits": [{"person_id": "a", "trait": "citizenship", "value": "FRA", "source": "border"}
                          | {"valid_from": date(1, 1, 1)}],
    }  # fmt: skip
    names = ("stocks", "flows", "accounts", "quality", "persons", "person_traits", "residence", "migrations")
    compared = (
        "stock_differences",
        "flow_differences",
        "person_time",
        "mobility",
        "list_status",
        "expired_stays",
    )
    tables = {
        name: make_table(engine, name, rows.get(name, []))
        for name in (*names, *compared, "listed_people", "spells", "records", "record_persons")
    }
    told = Publication("National_2019", ("register", "border"), {"nz_12_16": "365 of 487 days"}, "NZL")
    publish(engine, tables, tmp_path / "run", END, told)
    return tmp_path / "run" / "outputs"


def test_no_text_becomes_a_formula() -> None:
    for text, written in zip(NASTY, guarded(NASTY), strict=True):
        # Quotes have gone by the time a spreadsheet looks at a cell; a semicolon or tab may have cut it before.
        cells = [written, *(cell.lstrip('"') for cell in re.split(r"[;\t\r\n]", written)[1:])]
        assert not any(begins_formula(cell) for cell in cells), text
        assert unguarded(written) == text


def test_what_is_no_formula_stays_as_it_is() -> None:
    plain = ["'s-Hertogenbosch", "Rhône-Alpes", "a=b", "2019-03-01", "C++", "<b>", "", " =1", "total"]
    assert guarded(plain) == plain


@given(
    st.lists(st.text(alphabet=st.sampled_from(list("=+-@'\";\t\r\n\x00 ab＝,")), max_size=12), max_size=20)
)
def test_the_way_back_is_unique(texts: list[str]) -> None:
    written = guarded(texts)
    assert [unguarded(text) for text in written] == texts
    assert not any(begins_formula(text) for text in written)


def test_numbers_and_dates_are_left_alone() -> None:
    numbers = pl.DataFrame(
        {"net": [-5, None], "share": [-0.5, 1e-9], "day": [END, None], "is_it": [True, None]}
    )
    assert guard_formulas(numbers).equals(numbers)


def test_csv_is_as_rfc_4180_says(engine: Engine, tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "text": ["a,b", 'c"d', None, "", "-"],
            "n": [-1, None, 3, 4, 5],
            "share": [0.1, 1234567.0, None, 1 / 3, -2.0],
            "day": [END, None, date(1, 1, 1), END, END],
            "is_it": [True, False, None, True, True],
        }
    )
    path = write_csv(engine.step("given", "SELECT * FROM frame", frame=frame), tmp_path / "new" / "given.csv")
    assert path.read_bytes() == (
        b"text,n,share,day,is_it\r\n"
        b'"a,b",-1,0.1,2020-01-01,true\r\n'
        b'"c""d",,1234567.0,,false\r\n'
        b",3,,0001-01-01,\r\n"
        b'"",4,0.3333333333333333,2020-01-01,true\r\n'
        b"'-,5,-2.0,2020-01-01,true\r\n"
    )


def test_a_table_without_rows_has_its_header(outputs: Path) -> None:
    header = ",".join(column.name for column in TABLES["flows"].columns)
    assert (outputs / "flows.csv").read_bytes() == f"{header}\r\n".encode()


def ask(select: str) -> pl.DataFrame:
    with duckdb.connect() as connection:
        rows: pl.DataFrame = connection.sql(select).pl()
    return rows


def test_every_reader_reads_the_same(outputs: Path) -> None:
    path = outputs / "quality.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        by_python = [row["item"] for row in csv.DictReader(stream)]
    by_polars = pl.read_csv(path)["item"].to_list()
    by_duckdb = ask(f"SELECT item FROM read_csv('{path}', header = true, quote = '\"', escape = '\"')")
    options = pyarrow.csv.ParseOptions(newlines_in_values=True)
    by_arrow = pyarrow.csv.read_csv(path, parse_options=options)["item"].to_pylist()
    in_order = sorted(NASTY)
    assert by_python == by_polars == by_arrow
    assert by_duckdb["item"].to_list() == by_python
    assert sorted(map(unguarded, by_python)) == in_order
    assert sorted(pl.read_parquet(outputs / "quality.parquet")["item"].to_list()) == in_order


def forbid_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError("the network is not to be used")

    monkeypatch.setattr(socket.socket, "connect", fail)
    monkeypatch.setattr(socket, "getaddrinfo", fail)


def test_frictionless_accepts_the_packages(outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Size and hash of every file; of CSV also types, required values, the key and the number of rows."""
    forbid_network(monkeypatch)
    from frictionless import validate

    for folder in (outputs, outputs.parent / "linked"):
        report = validate(str(folder / "datapackage.json"))
        assert report.valid, report.flatten(["name", "type", "note"])
        files = {path.name for path in folder.iterdir()} - {"datapackage.json"}
        assert {task.name for task in report.tasks} == files
    of_csv = [task.type for task in validate(str(outputs / "datapackage.json")).tasks if ".csv" in task.name]
    assert of_csv == ["table"] * len(list(outputs.glob("*.csv")))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("stocks.csv", b",final\r\n", b",Final\r\n"),
        ("stocks.csv", b"2020-01-01", b"01/01/2020"),
        ("quality.csv", b"ingest,share,NA,", b"ingest,share,NULL,"),
        ("stocks.parquet", b"PAR1", b"PAR2"),
    ],
)
def test_frictionless_finds_what_was_changed(
    outputs: Path, monkeypatch: pytest.MonkeyPatch, file: str, old: bytes, new: bytes
) -> None:
    forbid_network(monkeypatch)
    from frictionless import validate

    content = (outputs / file).read_bytes()
    assert old in content
    (outputs / file).write_bytes(content.replace(old, new, 1))
    report = validate(str(outputs / "datapackage.json"))
    assert [task.name for task in report.tasks if not task.valid] == [file]


def test_the_package_says_what_the_run_was(outputs: Path) -> None:
    text = (outputs / "datapackage.json").read_bytes()
    assert b"\r" not in text
    package = json.loads(text)
    assert package["name"] == "national_2019-outputs"
    assert package["title"] == "Migration statistics: National_2019"
    assert package["data_to_date"] == "2020-01-01"
    assert package["rules"] == {"nz_12_16": "365 of 487 days"}
    assert package["sources"] == [{"title": "border"}, {"title": "register"}]
    assert not {"created", "licenses", "path"} & set(package)
    assert str(outputs) not in text.decode()
    *resources, report = package["resources"]
    assert (report["path"], report["mediatype"], report["type"]) == ("report.html", "text/html", "file")
    for resource in resources:
        table, form = resource["path"].split(".")
        contract = TABLES[table]
        assert (resource["name"], resource["format"]) == (resource["path"], form)
        assert resource["description"] == contract.sentence
        assert resource["schema"]["primaryKey"] == list(contract.key)
        fields = resource["schema"]["fields"]
        assert [field["name"] for field in fields] == [column.name for column in contract.columns]
        assert [field["description"] for field in fields] == [column.meaning for column in contract.columns]
        required = [field["name"] for field in fields if field.get("constraints", {}).get("required")]
        assert required == [column.name for column in contract.columns if not column.nullable]


def test_persons_are_what_the_histories_refer_to(outputs: Path) -> None:
    package = json.loads((outputs.parent / "linked" / "datapackage.json").read_text("utf-8"))
    refer = {resource["name"] for resource in package["resources"] if "foreignKeys" in resource["schema"]}
    histories = ("person_traits", "residence", "migrations", "spells", "listed_people", "crossings")
    assert refer == {f"{name}.parquet" for name in histories}


def test_every_reader_finds_the_metadata_of_parquet(outputs: Path) -> None:
    path = outputs / "stocks.parquet"
    by_polars = pl.read_parquet_metadata(path)
    by_arrow = {k.decode(): v.decode() for k, v in pyarrow.parquet.read_schema(path).metadata.items()}
    rows = ask(f"SELECT decode(key), decode(value) FROM parquet_kv_metadata('{path}')").rows()
    for found in (by_polars, by_arrow, dict(rows)):
        assert found["description"] == TABLES["stocks"].sentence
        assert found["key"] == ", ".join(TABLES["stocks"].key)
        assert (found["run"], found["data_to_date"]) == ("National_2019", "2020-01-01")
        assert json.loads(found["rules"]) == {"nz_12_16": "365 of 487 days"}
        described = {field["name"]: field for field in json.loads(found["table_schema"])["fields"]}
        assert described["n_settled"]["description"] == "persons whose status is resident"
        assert described["n_settled"]["unit"] == "count"
        assert described["data_to_date"]["unit"] == "local calendar day"


def test_formats_are_known_and_named_once() -> None:
    assert PublishSettings().formats == ("parquet", "csv")
    for wrong in (("csv", "csv"), (), ("xlsx",), ("sdmx-csv", "sdmx-ml")):
        with pytest.raises(ValueError, match="formats"):
            PublishSettings.model_validate({"formats": wrong})


def test_the_csv_of_the_page_is_the_csv_written() -> None:
    """The examples that docs/analysts.md gives in words."""
    assert guarded(["-9", "=1", "a;=1", "a\t+1"]) == ["'-9", "'=1", "a;'=1", "a\t'+1"]
    written = io.BytesIO()
    guard_formulas(pl.DataFrame({"code": ["-9"], "n": [-9]})).write_csv(written)
    assert written.getvalue().splitlines()[1] == b"'-9,-9"
