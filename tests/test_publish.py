"""Stage 9: files that are whole and describe themselves, nothing that identifies, and a readable summary."""

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet
import pytest
from rich.console import Console

from given_published import END, Rows, little_run, make_whole
from given_tables import TYPES
from miglink.codes.groups import group_by_year
from miglink.config import read_shell
from miglink.engine import Engine
from miglink.runfolder import files_of
from miglink.stages.publish import Publication, publish, render_summary
from miglink.stages.publish.linked import LINKED
from miglink.tables import IDENTIFYING


def published(engine: Engine, folder: Path, publication: Publication | None = None) -> dict[str, Path]:
    tables = {name: make_whole(engine, name, rows) for name, rows in little_run().items()}
    paths = publish(engine, tables, folder, END, publication or Publication())
    return {path.relative_to(folder).as_posix(): path for path in paths}


COMPARED = (
    "stock_differences",
    "flow_differences",
    "person_time",
    "mobility",
    "list_status",
    "expired_stays",
)
AGGREGATES = ("stocks", "flows", "accounts", *COMPARED, "quality")
PERSONS = (
    "persons", "person_traits", "citizenship_groups", "residence", "migrations", "spells", "listed_people", "crossings",
)  # fmt: skip


def test_files_are_whole_and_where_they_belong(engine: Engine, tmp_path: Path) -> None:
    paths = published(engine, tmp_path / "run")
    outputs = {f"outputs/{name}.{form}" for name in AGGREGATES for form in ("parquet", "csv")}
    linked = {f"linked/{name}.parquet" for name in PERSONS}
    described = {"outputs/datapackage.json", "linked/datapackage.json"}
    assert set(paths) == outputs | linked | described | {"outputs/report.html"}
    written = {path for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert written == {file for path in paths.values() for file in files_of(path)}
    for name in AGGREGATES:
        given = pl.read_parquet(tmp_path / "tables" / f"{name}.parquet")
        assert pl.read_parquet(paths[f"outputs/{name}.parquet"]).equals(given)
        as_text = pl.read_csv(paths[f"outputs/{name}.csv"], schema=given.schema)
        assert as_text.equals(given)
        assert given.height > 0


def test_formats_are_chosen(engine: Engine, tmp_path: Path) -> None:
    paths = published(engine, tmp_path / "run", Publication(formats=("csv",)))
    assert {path.suffix for name, path in paths.items() if name.startswith("outputs/")} == {
        ".csv",
        ".html",
        ".json",
    }
    assert "linked/persons.parquet" in paths


def test_tables_of_publishers_stand_beside_ours(engine: Engine, tmp_path: Path) -> None:
    shell = read_shell("migr_imm1ctz", tmp_path)
    asked = Publication(reporting_country="NZL", shells=(shell,), table_rules={shell.name: "nz_12_16"})
    paths = published(engine, tmp_path, asked)
    table = pl.read_parquet(paths["outputs/migr_imm1ctz.parquet"])
    assert pl.read_csv(paths["outputs/migr_imm1ctz.csv"], schema=table.schema).equals(table)
    germans = table.filter(citizen="DE", sex="M", age="TOTAL")
    assert germans.select("agedef", "OBS_VALUE", "OBS_FLAG", "n_undetermined").rows() == [
        ("COMPLET", 3, "p", 1),
        ("REACH", 3, "p", 1),
    ]
    package = json.loads(paths["outputs/datapackage.json"].read_text("utf-8"))
    rows = {resource["name"]: resource.get("rows") for resource in package["resources"]}
    assert rows["migr_imm1ctz.csv"] == table.height
    assert rows["shells.csv"] == 1
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_published_twice_gives_the_same_bytes(engine: Engine, tmp_path: Path) -> None:
    first, again = published(engine, tmp_path / "first"), published(engine, tmp_path / "again")
    contents = [
        [(file.name, file.read_bytes()) for path in paths.values() for file in files_of(path)]
        for paths in (first, again)
    ]
    assert contents[0] == contents[1]


@pytest.mark.parametrize("breaks", ["parquet", "csv", "html", "json"])
def test_a_file_that_is_not_whole_has_no_name(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks: str
) -> None:
    file = {"json": "datapackage.json", "html": "report.html"}.get(breaks, f"stocks.{breaks}")
    before = published(engine, tmp_path / "run")[f"outputs/{file}"]
    content = before.read_bytes()

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no space left")

    owner, method = {
        "parquet": (pyarrow.parquet.ParquetWriter, "write_batch"),
        "csv": (pl.DataFrame, "write_csv"),
        "html": (Path, "write_text"),
        "json": (Path, "write_text"),
    }[breaks]
    with monkeypatch.context() as patched:
        patched.setattr(owner, method, fail)
        for folder in ("run", "first run"):
            with pytest.raises(OSError, match="no space left"):
                published(engine, tmp_path / folder)
    # A description of files that may be new already is worse than none.
    assert not list(tmp_path.rglob("outputs/datapackage.json"))
    assert not list((tmp_path / "first run").rglob(f"*.{breaks}"))
    if breaks != "json":
        assert before.read_bytes() == content


def test_every_column_is_described(engine: Engine, tmp_path: Path) -> None:
    for path in published(engine, tmp_path).values():
        if path.suffix != ".parquet":
            continue
        package = json.loads((path.parent / "datapackage.json").read_text("utf-8"))
        (resource,) = (found for found in package["resources"] if found["name"] == path.name)
        assert all(len(field["description"]) > 3 for field in resource["schema"]["fields"])
        if path.is_dir():  # parts that Spark wrote are described there alone
            assert resource["path"] == [f"{path.name}/{file.name}" for file in files_of(path)]
            assert path.parent.name == "linked"
            continue
        schema = pyarrow.parquet.read_schema(path)
        assert schema.metadata[b"description"].endswith(b".")
        assert all(len(column.metadata[b"description"]) > 3 for column in schema), path.name
    described = pyarrow.parquet.read_schema(tmp_path / "outputs" / "stocks.parquet").field("n_settled")
    assert described.metadata[b"description"] == b"persons whose status is resident"
    assert described.metadata[b"unit"] == b"count"


def test_linked_files_are_as_their_contract_says(engine: Engine, tmp_path: Path) -> None:
    paths = published(engine, tmp_path)
    for name, contract in LINKED.items():
        frame = pl.read_parquet(paths[f"linked/{name}.parquet"])
        assert frame.schema == {column.name: TYPES[column.type] for column in contract.columns}, name
        required = [column.name for column in contract.columns if not column.nullable]
        assert frame.select(pl.col(required).null_count()).sum_horizontal().item() == 0, name
        assert not contract.key or frame.select(contract.key).is_unique().all()
        assert frame.height > 0


def test_linked_files_hold_nothing_that_identifies(engine: Engine, tmp_path: Path) -> None:
    harmless = {"sex", "citizenship", "birth_country"}
    forbidden = {column.name for column in IDENTIFYING} - harmless
    forbidden |= {"surname", "given_names", "record_id", "start_record_id", "start_source", "identity_id"}
    forbidden |= {"death_date", "mother_person_id", "visa_number", "crossed_at"}
    for name, path in published(engine, tmp_path).items():
        text = path.read_text("utf-8") if path.suffix != ".parquet" else pl.read_parquet(path).write_csv()
        assert not [word for word in ("SECRET", "X123", "1980-05-17", "C-0017") if word in text]
        if path.suffix == ".parquet":
            columns = pl.read_parquet_schema(path)
            assert not forbidden & set(columns), name
            is_of_persons = name.startswith("linked/") and "citizenship_groups" not in name
            assert ("person_id" in columns) == is_of_persons


def test_traits_begin_with_the_first_status_and_name_nobody(engine: Engine, tmp_path: Path) -> None:
    """A register enters a birth on its day, so that a trait held before observation would begin on a birthday."""
    traits = pl.read_parquet(published(engine, tmp_path)["linked/person_traits.parquet"])
    always = date(1, 1, 1)
    assert traits.select("trait", "value", "valid_from", "valid_to").rows() == [
        ("citizenship", "AUS", always, date(2019, 12, 31)),
        ("citizenship", "NZL", date(2019, 12, 31), END),
        ("citizenship", "FRA", END, None),
        ("region", "north", always, None),
    ]


def test_linked_persons_and_crossings(engine: Engine, tmp_path: Path) -> None:
    paths = published(engine, tmp_path)
    persons = pl.read_parquet(paths["linked/persons.parquet"])
    assert persons.to_dicts() == [
        {
            "person_id": "a",
            "sex": "female",
            "birth_year": 1980,
            "birth_country": "FJI",
            "citizenship": "NZL",
            "region": "north",
            "death_year": 2019,
            "is_born_here": False,
            "first_record_year": 2018,
            "last_record_year": 2019,
            "n_records": 4,
            "is_doubtful": True,
        }
    ]
    # The double scan is left out, the register is no crossing, and the earlier hour comes first.
    crossings = pl.read_parquet(paths["linked/crossings.parquet"])
    assert crossings["direction"].to_list() == ["departure", "arrival"]
    assert crossings["port"].to_list() == ["AKL", "AKL"]
    assert pl.read_parquet(paths["linked/spells.parquet"])["state"].to_list() == ["absent"]


def test_the_group_of_a_citizenship_is_that_of_the_year(engine: Engine, tmp_path: Path) -> None:
    paths = published(engine, tmp_path, Publication(reporting_country="NZL"))
    groups = pl.read_parquet(paths["linked/citizenship_groups.parquet"])
    # From the year before the observation, for the status at its start, to the year of the last stock.
    assert groups["year"].unique().to_list() == [2018, 2019, 2020]
    assert dict(groups.filter(year=2019).select("citizenship", "citizenship_group").iter_rows()) == {
        "AUS": "other",
        "FRA": "eu",
        "NZL": "national",
        "XXX": "unknown",
    }


def test_a_member_is_a_member_from_the_first_january_after_it_joined() -> None:
    groups = group_by_year(["HRV", "GBR", "XXA"], [2013, 2014, 2020, 2021], "NZL")
    of = {(country, year): group for year, country, group in groups.iter_rows()}
    assert of[("HRV", 2013)] != "eu"
    assert of[("HRV", 2014)] == "eu"
    assert of[("GBR", 2020)] == "eu"
    assert of[("GBR", 2021)] == "other"
    assert of[("XXA", 2021)] == "stateless"
    assert groups.height == 12


def summary(engine: Engine, run: Mapping[str, Rows], width: int = 160) -> list[str]:
    stocks, flow, account = (make_whole(engine, name, run[name]) for name in ("stocks", "flows", "accounts"))
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(render_summary(stocks, flow, account))
    return captured.get().splitlines()


def test_summary_tells_settled_from_undetermined(engine: Engine) -> None:
    lines = summary(engine, little_run())
    assert lines[0].strip() == "Migration by year: rule nz_12_16, policy unresolved"
    final = next(line for line in lines if " 2018 " in line and "rule" not in line)
    assert final.replace("│", " ").split() == [
        "2018",
        "2,000",
        "0",
        "3,500",
        "0",
        "-1,500",
        "0",
        "1,234,567",
        "0",
    ]
    provisional = next(line for line in lines if " 2019 " in line)
    words = provisional.replace("│", " ").split()
    assert words == ["2019", "p", "10", "7", "4", "7", "6", "7", "1,234,568", "9", "p"]
    assert final.index("3,500") + 5 == provisional.index(" 4 ") + 2  # numbers end in the same column
    assert "travellers only" in " ".join(lines)
    for number in ("88,888", "77,777", "66,666", "NOR"):  # months, quarters, other breakdowns are not in it
        assert number not in " ".join(lines)


def test_summary_has_points_with_their_intervals(engine: Engine) -> None:
    run = little_run()
    assert "Estimates" not in " ".join(summary(engine, run))
    for row in (*run["flows"], *run["stocks"]):
        row |= {
            "n": row["n_settled"] + 1.25,
            "lower": row["n_settled"] + 0.5,
            "upper": row["n_settled"] + 7.5,
        }
    run["stocks"][1] |= {"interval_flag": "too_wide"}
    for width in (160, 80):
        lines = summary(engine, run, width)
        start = next(
            n for n, line in enumerate(lines) if "Estimates: rule nz_12_16, policy unresolved" in line
        )
        rows = [line.replace("│", " ").split() for line in lines[start:]]
        year = next(n for n, row in enumerate(rows) if row[:1] == ["2019"])
        assert rows[year] == ["2019", "11", "p", "5", "p", "7", "p", "1,234,569", "pw"]
        # Bounds are rounded outwards.
        assert rows[year + 1] == ["[10,", "18]", "[4,", "12]", "[6,", "14]", "[1,234,568,", "1,234,576]"]


def test_summary_breaks_down_the_last_final_year(engine: Engine) -> None:
    lines = summary(engine, little_run())
    start = next(n for n, line in enumerate(lines) if "Settled residents in 2018" in line)
    rows = [line.replace("│", " ").split() for line in lines[start:]]
    cells = [row for row in rows if row and row[0] in ("female", "candidate", "total")]
    assert [row[0] for row in cells] == ["female", "candidate", "total"]
    assert cells[0] == ["female", "1,234,567", "0", "0", "1", "0", "0", "0", "1,234,568"]


def test_summary_cuts_no_number_in_a_narrow_terminal(engine: Engine) -> None:
    wide, narrow = ("\n".join(summary(engine, little_run(), width)) for width in (160, 80))
    assert "…" not in narrow
    assert narrow.count("1,234,567") == wide.count("1,234,567") == 4


def test_summary_without_a_final_year_says_so(engine: Engine) -> None:
    run = little_run()
    run["flows"] = [row for row in run["flows"] if row["period"] == "2019"]
    run["accounts"] = [row | {"period": "2019", "status": "provisional"} for row in run["accounts"]]
    lines = summary(engine, run)
    assert lines[-1].startswith("No year is final yet")
    assert any("2018" in line and "1,234,567" in line for line in lines)


def test_summary_speaks_of_years_only_where_flows_are_published_by_year(engine: Engine) -> None:
    run = little_run()
    run["flows"] = [row for row in run["flows"] if row["period"] == "2018-Q1"]
    lines = summary(engine, run)
    assert lines[0].strip() == "Stocks: rule nz_12_16, policy unresolved"
    assert "Flows are not published by year" in " ".join(" ".join(lines).split())
    # The accounts are of years all the same.
    assert any("Settled residents in 2018" in line for line in lines)
    run["accounts"] = [row | {"status": "provisional"} for row in run["accounts"]]
    said = " ".join(" ".join(summary(engine, run)).split())
    assert "Migration by year" not in said and "No year is final" not in said and "immi-" not in said


def test_summary_of_nothing(engine: Engine) -> None:
    assert summary(engine, {"stocks": [], "flows": [], "accounts": []})[0].startswith(
        "There is nothing to count"
    )
