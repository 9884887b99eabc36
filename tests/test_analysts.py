"""docs/analysts.md: its examples run and give the published figures; linked/ holds nothing that names a person."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.parquet
import pytest

from miglink.config import Config, read_config
from miglink.engine import Table, open_engine
from miglink.stages.publish import Publication, publish
from miglink.tables import TABLES
from synthetic.__main__ import make_country
from synthetic.chance import Chance

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "analysts.md"
YEAR = 2018
CENSUS = (
    "sources.census.columns.reference_date={constant: '2021-03-15'}",
    "sources.census.columns.weight=weight",
    "sources.census.columns.employed=employed",
    "estimates.traits=[employed]",
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Config]:
    """A folder with runs/national, the run of a small country, and its configuration."""
    folder = tmp_path_factory.mktemp("analysts")
    make_country(2000, "medium", Chance(5), folder / "made")
    out = folder / "runs" / "national"
    weigh_census(folder / "made" / "census.csv")
    shutil.copy(folder / "made" / "census.csv", folder)
    choices = [part for override in CENSUS for part in ("--set", override)]
    config_path = folder / "made" / "country.yml"
    command = [sys.executable, "-m", "miglink", "run", str(config_path), "--out", str(out), *choices]
    paths = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths}
    )
    assert done.returncode == 0, done.stderr
    config = read_config(config_path, CENSUS)
    publish_again(config, out)
    return folder, config


def weigh_census(path: Path) -> None:
    """Make a survey of the census: with weights, what is asked of persons, and somebody whom nobody else knows."""
    number = pl.int_range(pl.len())
    census = pl.read_csv(path, infer_schema=False)
    stranger = {"form": "S1", "surname": "Quarrington", "given_names": "Ottilie", "birth_date": "1961-11-29"}
    pl.concat([census, pl.DataFrame(stranger)], how="diagonal").with_columns(
        weight=(number % 3 + 1) * 0.35,
        employed=pl.when(number % 7 < 4).then(pl.lit("yes")).when(number % 7 < 6).then(pl.lit("no")),
    ).write_csv(path)


def publish_again(config: Config, out: Path) -> None:
    tables = {path.stem: Table(path.stem, path) for path in (out / "tables").glob("*.parquet")}
    assert config.residence is not None
    assert config.estimates is not None
    told = Publication(
        config.name,
        tuple(config.sources),
        {rule.name: rule.title for rule in config.residence.rules},
        config.estimates.reporting_country,
        config.publish.formats,
        config.estimates.traits,
    )
    with closing(open_engine("duckdb", out / "tables")) as engine:
        publish(engine, tables, out, config.observation.data_to_date, told)


@pytest.fixture
def run(finished: tuple[Path, Config], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run, where the examples of the page find it."""
    monkeypatch.chdir(finished[0])
    return finished[0] / "runs" / "national"


def published_net(run: Path) -> dict[str, tuple[int, int]]:
    """Net migration and undetermined by group, from outputs/; groups without any are left out."""
    flows = pl.read_parquet(run / "outputs" / "flows.parquet")
    chosen = {"rule": "nz_12_16", "policy": "unresolved", "period": str(YEAR), "flow": "net"}
    texts = {column.name for column in TABLES["flows"].columns if column.type == "VARCHAR"}
    dimensions = [name for name in TABLES["flows"].key if name in texts - set(chosen) - {"citizenship_group"}]
    parts = flows.filter(**chosen).filter(
        *(pl.col(dimension) == "total" for dimension in dimensions), pl.col("citizenship_group") != "total"
    )
    rows = parts.select("citizenship_group", "n_settled", "n_undetermined").iter_rows()
    return {group: (net, undetermined) for group, net, undetermined in rows if (net, undetermined) != (0, 0)}


def some(rows: pl.DataFrame) -> dict[str, tuple[int, int]]:
    return {group: (int(net), int(n)) for group, net, n in rows.iter_rows() if (net, n) != (0, 0)}


def person_years(run: Path) -> dict[str, float]:
    """Days of each state counted one by one, from the table of the stage."""
    spells = pl.read_parquet(run / "tables" / "spells.parquet").filter(draw=0)
    days = pl.date_range(date(YEAR, 1, 1), date(YEAR, 12, 31), eager=True).to_list()
    found: dict[str, int] = {}
    for start, end, state in spells.select("start_date", "end_date", "state").iter_rows():
        if end is None or end > days[0]:
            found[state] = found.get(state, 0) + sum(
                start <= day and (end is None or day < end) for day in days
            )
    return {state: n / 365 for state, n in found.items()}


def of_python(name: str) -> pl.DataFrame:
    """What the example of the page calls `name`."""
    (text,) = [block for block in blocks("python") if f"\n{name} = (" in block]
    known: dict[str, Any] = {}
    exec(compile(text, PAGE.name, "exec"), known)
    frame: pl.DataFrame = known[name]
    return frame


def ask(select: str) -> pl.DataFrame:
    with duckdb.connect() as connection:
        rows: pl.DataFrame = connection.sql(select).pl()
    return rows


def of_sql(name: str) -> pl.DataFrame:
    (text,) = [block for block in blocks("sql") if f"AS {name}\n" in block]
    return ask(text)


def test_net_migration_is_the_published_figure(run: Path) -> None:
    expected = published_net(run)
    assert len(expected) >= 3
    assert sum(abs(net) for net, _ in expected.values()) > 0
    assert some(of_python("net")) == expected
    (text,) = [block for block in blocks("sql") if "AS net" in block]
    assert some(ask(text)) == expected


def test_person_years_are_the_days_counted_one_by_one(run: Path) -> None:
    expected = person_years(run)
    assert {"present", "absent"} <= set(expected)
    for found in (of_python("person_years"), of_sql("person_years")):
        years = {state: n for state, n in found.iter_rows() if n > 0}
        assert years == pytest.approx({state: n for state, n in expected.items() if n > 0})


def test_the_persons_behind_a_difference_are_those_counted(run: Path) -> None:
    differences = pl.read_parquet(run / "outputs" / "stock_differences.parquet").filter(
        rule="nz_12_16", policy="midpoint", other_policy="unresolved", period=f"{YEAR}-01-01"
    )
    expected = differences.filter(pl.col("other_status") != "resident")
    assert expected["n"].sum() > 0
    (text,) = [block for block in blocks("sql") if "AS other_basis\n" in block]
    for found in (of_python("behind"), ask(text)):
        counted = found.group_by("basis", "other_status", "other_basis").len()
        assert sorted(counted.rows()) == sorted(
            expected.select("basis", "other_status", "other_basis", "n").rows()
        )


def test_an_indicator_by_migratory_status_adds_up_to_the_list(run: Path) -> None:
    """Each record is counted once; all of them, with their weights, are the census."""
    census = pl.read_csv(run.parents[1] / "census.csv")
    published = pl.read_parquet(run / "outputs" / "list_status.parquet").filter(
        source="census", rule="nz_12_16", policy="unresolved", period="2021-03-15"
    )
    expected = (
        published.group_by("migratory_status").agg(pl.col("n", "weight").sum()).sort("migratory_status")
    )
    (text,) = [block for block in blocks("sql") if "AS employed_share" in block]
    found = of_python("employment")
    assert (
        found.select("migratory_status", "n_records").rows()
        == expected.select("migratory_status", "n").rows()
    )
    assert found["persons"].to_list() == pytest.approx(expected["weight"].to_list())
    assert found.drop("migratory_status").rows() == [pytest.approx(row[1:]) for row in ask(text).rows()]
    assert found["n_records"].sum() == census.height
    assert found["persons"].sum() == pytest.approx(census["weight"].sum())
    employed = (found["employed_share"] * found["persons"]).sum()
    assert employed == pytest.approx(census.filter(employed="yes")["weight"].sum())
    # The census counts who lives here: the other sources agree of nearly all whom they know.
    n = dict(found.select("migratory_status", "n_records").rows())
    elsewhere = sum(n.get(name, 0) for name in ("non_resident", "temporary"))
    assert 1 <= n["unknown"] < 0.1 * census.height
    assert elsewhere < 0.1 * census.height
    assert len(n) > 5
    (text,) = [block for block in blocks("python") if "employed_by_arrival" in block]
    known: dict[str, Any] = {}
    exec(compile(text, PAGE.name, "exec"), known)
    assert known["employed_by_arrival"]["employed_share"].is_between(0.3, 0.9).all()
    assert known["employed_by_arrival"].height >= 2


def test_the_metadata_is_where_the_page_says(run: Path) -> None:
    (text,) = [block for block in blocks("python") if "read_parquet_metadata" in block]
    known: dict[str, Any] = {}
    exec(compile(text, PAGE.name, "exec"), known)
    assert "end_date" in {column["name"] for column in known["columns"]}
    (text,) = [block for block in blocks("sql") if "parquet_kv_metadata" in block]
    ((schema,),) = ask(text).rows()
    assert '"end_date"' in schema
    assert all(block.count("(") == block.count(")") for block in blocks("r"))
    assert run.is_dir()


def test_every_file_and_its_key_is_on_the_page(run: Path) -> None:
    page = PAGE.read_text("utf-8")
    for path in (run / "linked").glob("*.parquet"):
        key = pl.read_parquet_metadata(path)["key"]
        row = next(line for line in page.splitlines() if line.startswith(f"| `{path.stem}` |"))
        assert row.split("|")[3].strip() == (key or "none"), path.name


def values(folder: Path) -> Iterator[tuple[str, pl.Series]]:
    """Every column of text of the files of a folder, with the name of its file."""
    for path in sorted(folder.iterdir()):
        if path.suffix == ".parquet":
            for column in pl.read_parquet(path).select(pl.col(pl.String)):
                yield f"{path.name}: {column.name}", column.drop_nulls().unique()
        elif path.suffix == ".csv":
            text = pl.read_csv(path, infer_schema=False)
            for column in text:
                yield f"{path.name}: {column.name}", column.drop_nulls().unique()


def test_no_value_that_names_a_person_is_published(run: Path) -> None:
    """Names, documents, person numbers, record ids and days of birth of the input: no file holds them as a value."""
    records = pl.read_parquet(run / "tables" / "records.parquet")
    named = [
        column
        for column in records.columns
        if re.search("surname|given_name|document_number|number$", column)
    ]
    assert {"surname", "given_names", "surname_icao", "document_number", "person_number"} <= set(named)
    births = records["birth_date"].cast(pl.String)
    hidden = pl.concat([*(records[column] for column in [*named, "record_id"]), births]).drop_nulls().unique()
    assert hidden.len() > 3000
    # Three letters are codes of countries, too. Short ones are parts of words: they are looked for as whole values.
    hidden = hidden.filter(hidden.str.len_chars() > 3)
    long = hidden.filter(hidden.str.len_chars() > 6).to_list()
    for folder in ("linked", "outputs"):
        n_values = 0
        for where, column in values(run / folder):
            if folder == "outputs" and ("period" in where or "data_to_date" in where):
                continue  # days of reference, among which a birthday may fall
            n_values += column.len()
            assert not column.is_in(hidden.implode()).any(), where
            if "person_id" not in where:
                assert not column.str.contains_any(long).any(), where
        assert n_values > 100
        text = (run / folder / "datapackage.json").read_text("utf-8")
        text += "".join(
            str(pyarrow.parquet.read_schema(path).metadata) for path in (run / folder).glob("*.parquet")
        )
        assert not pl.Series([text]).str.contains_any(long).any()


def test_no_date_is_the_birthday_of_its_person(run: Path) -> None:
    """But for children born in the period, whose history begins on that day."""
    born = pl.read_parquet(run / "tables" / "persons.parquet").select(
        "person_id", "birth_date", "is_born_here"
    )
    found: set[tuple[str, str]] = set()
    n_dates = 0
    for path in sorted((run / "linked").glob("*.parquet")):
        frame = pl.read_parquet(path)
        if "person_id" not in frame.columns:
            continue
        joined = frame.join(born, on="person_id", how="inner", suffix="_true")
        for column in frame.select(pl.col(pl.Date)).columns:
            n_dates += joined[column].count()
            on_birthday = joined.filter(pl.col(column) == pl.col("birth_date"))
            before = on_birthday.filter(pl.col("birth_date") < date(2014, 1, 1))
            assert before.is_empty(), f"{path.name}: {column}"
            if not on_birthday.is_empty():
                found.add((path.stem, column))
    assert n_dates > 1000
    beginnings = {("residence", "from_date"), ("residence", "status_final_date"), ("spells", "start_date")}
    assert ("spells", "start_date") in found
    assert found <= beginnings | {("person_traits", "valid_from"), ("person_traits", "valid_to")}
