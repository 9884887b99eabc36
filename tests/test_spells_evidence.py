"""Missing crossings and the evidence: the cases of tests/cases/missing_crossings.yml and trust.yml."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from given_tables import name_table
from miglink.config.stages import Period, SpellsSettings
from miglink.engine import Engine
from miglink.stages.spells import Country, find_spells

FOLDER = Path(__file__).parent / "cases"
CASES, TRUST_CASES = (YAML(typ="safe").load(FOLDER / name) for name in ("missing_crossings.yml", "trust.yml"))
PERIOD = Period.model_validate({"from": date(2014, 1, 1), "to": date(2023, 12, 31)})
PERSON = {
    "birth_date": date(1970, 1, 1), "birth_date_precision": "day", "is_born_here": False,
    "n_identities": 1, "n_records": 1, "is_doubtful": False, "id_since_date": date(2020, 1, 1),
}  # fmt: skip
Cases = dict[str, dict[str, Any]]


def records_of(case: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of a case, which is a person of its name.

    `A 2016-01-01` is a crossing, `permits 2016-01-01 2017-01-05 work` evidence.
    """
    records: list[dict[str, Any]] = []
    for text in case["crossings"]:
        letter, day = text.split()
        direction = {"A": "arrival", "D": "departure"}[letter]
        records.append({"kind": "crossings", "crossed_date": date.fromisoformat(day), "direction": direction})
    for text in case.get("evidence", ()):
        kind, first, *rest = text.split()
        last = date.fromisoformat(rest[0]) if rest else None
        end = {"ended_date" if kind == "register" else "valid_to": last}
        why = {"end_reason" if kind == "register" else "purpose": rest[1] if len(rest) > 1 else None}
        records.append({"kind": kind, "valid_from": date.fromisoformat(first)} | end | why)
    return [
        {"source": record["kind"], "record_id": f"{case['name']} {number}", "is_repeat": False} | record
        for number, record in enumerate(records)
    ]


def follow(
    engine: Engine, cases: Cases, is_listed: bool, settings: SpellsSettings
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, list[str]]]:
    """Spells and contradictions of the persons of the cases, and the spells as cases state them."""
    records = {name: records_of(case) for name, case in cases.items()}
    owners = [
        {key: record[key] for key in ("source", "record_id")} | {"person_id": name}
        for name, own in records.items()
        for record in own
    ]
    given = (
        ("records", [record for own in records.values() for record in own]),
        ("record_persons", owners),
        ("persons", [PERSON | {"person_id": name} for name in cases]),
    )
    tables = [name_table(engine, *one) for one in given]
    country = Country(PERIOD, is_listed, ("work", "study"))
    found = find_spells(engine, tables[0], tables[1], tables[2], country, settings)
    spells, contradictions = (pl.read_parquet(table.path) for table in found)
    told = pl.concat_str("state", pl.col("likely_date").cast(pl.String), separator=" ", ignore_nulls=True)
    stated = {name: spells.filter(person_id=name).sort("sequence").select(told) for name in cases}
    return spells, contradictions, {name: rows.to_series().to_list() for name, rows in stated.items()}


@pytest.mark.parametrize("is_listed", [False, True], ids=["no list of the population", "listed"])
def test_missing_crossings(engine: Engine, is_listed: bool) -> None:
    cases = {case["name"]: case for case in CASES if case.get("listed", False) is is_listed}
    assert len(cases) == (10 if is_listed else 9)
    spells, contradictions, stated = follow(engine, cases, is_listed, SpellsSettings())
    assert stated == {name: case["expect"] for name, case in cases.items()}
    unresolved = spells.filter(state="unresolved")
    assert (unresolved["earliest_date"] == unresolved["start_date"]).all()
    assert (unresolved["latest_date"] >= unresolved["likely_date"]).all()
    assert (unresolved["latest_date"] == unresolved["end_date"].fill_null(date(2024, 1, 1))).all()
    # Where no two kinds speak there is nothing to lose.
    assert set(contradictions["person_id"]) <= {
        name for name, case in cases.items() if len(case.get("evidence", ())) > 1
    }


ORDERS = sorted({(order, case.get("listed", False)) for case in TRUST_CASES for order in case["orders"]})


# Orders differ by what their SQL is told only: two of them on both engines, the others on DuckDB.
BOTH = ("activity register permit", "permit register activity")
on_both = pytest.mark.parametrize(("order", "is_listed"), [one for one in ORDERS if one[0] in BOTH])
on_duckdb = pytest.mark.parametrize(("order", "is_listed"), [one for one in ORDERS if one[0] not in BOTH])


@on_both
def test_the_most_trusted_evidence_decides_and_what_loses_is_kept(
    engine: Engine, order: str, is_listed: bool
) -> None:
    check_order(engine, order, is_listed)


@on_duckdb
def test_another_order_gives_another_answer(duckdb_engine: Engine, order: str, is_listed: bool) -> None:
    check_order(duckdb_engine, order, is_listed)


def check_order(engine: Engine, order: str, is_listed: bool) -> None:
    cases = {
        case["name"]: case
        for case in TRUST_CASES
        if case.get("listed", False) is is_listed and order in case["orders"]
    }
    settings = SpellsSettings.model_validate({"trust": ("death", "crossing", *order.split())})
    _, contradictions, stated = follow(engine, cases, is_listed, settings)
    assert stated == {name: case["orders"][order]["spells"] for name, case in cases.items()}
    said = ("loser", "loser_says", "winner", pl.col("since_date").cast(pl.String))
    told = contradictions.sort("loser").select("person_id", lost=pl.concat_str(*said, separator=" "))
    assert {name: told.filter(person_id=name)["lost"].to_list() for name in cases} == {
        name: case["orders"][order]["lost"] for name, case in cases.items()
    }


def test_the_records_that_contradict_each_other_are_named(duckdb_engine: Engine) -> None:
    """Of two signs of life the later; the spell is the one after the last arrival."""
    name = "a last arrival - de-registered, and signs of life for a while; the permit outlasts both"
    cases = {case["name"]: case for case in TRUST_CASES if case["name"] == name}
    _, contradictions, _ = follow(duckdb_engine, cases, True, SpellsSettings())
    sides = [f"{side}_{column}" for side in ("loser", "winner") for column in ("source", "record_id")]
    assert contradictions.sort("loser").select("sequence", *sides).rows() == [
        (2, "permits", f"{name} 4", "register", f"{name} 1"),
        (2, "register", f"{name} 1", "activity", f"{name} 3"),
    ]


@pytest.mark.parametrize(
    ("borders", "trust", "said"),
    [
        ("recorded", ("death", "crossing", "permit", "permit"), "a kind is given twice"),
        ("recorded", ("crossing", "register"), "`death` is left out, and nobody would ever die"),
        ("recorded", ("death", "register"), "`crossing` is left out, but presence comes from crossings"),
        ("open", ("death", "register"), None),
    ],
)
def test_orders_of_trust_that_cannot_be(borders: str, trust: tuple[str, ...], said: str | None) -> None:
    given = {"borders": borders, "trust": trust}
    if said is None:
        assert SpellsSettings.model_validate(given).over_death == ()
        return
    with pytest.raises(ValidationError, match=said):
        SpellsSettings.model_validate(given)


def test_only_what_cannot_be_given_ahead_overrules_a_death() -> None:
    trust = ("visa", "register", "crossing", "permit", "death", "activity")
    assert SpellsSettings.model_validate({"trust": trust}).over_death == ("register", "crossing")
