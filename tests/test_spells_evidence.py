"""Missing crossings and the evidence: the cases of tests/cases/missing_crossings.yml."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from ruamel.yaml import YAML

from given_tables import name_table
from miglink.config.stages import Period, SpellsSettings
from miglink.engine import Engine
from miglink.stages.spells import Country, find_spells

CASES = YAML(typ="safe").load(Path(__file__).parent / "cases" / "missing_crossings.yml")
PERIOD = Period.model_validate({"from": date(2014, 1, 1), "to": date(2023, 12, 31)})
PERSON = {
    "birth_date": date(1970, 1, 1), "birth_date_precision": "day", "is_born_here": False,
    "n_identities": 1, "n_records": 1, "is_doubtful": False, "id_since_date": date(2020, 1, 1),
}  # fmt: skip


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
        purpose = rest[1] if len(rest) > 1 else None
        records.append({"kind": kind, "valid_from": date.fromisoformat(first), "purpose": purpose} | end)
    return [
        {"source": record["kind"], "record_id": f"{case['name']} {number}", "is_repeat": False} | record
        for number, record in enumerate(records)
    ]


@pytest.mark.parametrize("is_listed", [False, True], ids=["no list of the population", "listed"])
def test_missing_crossings(engine: Engine, is_listed: bool) -> None:
    cases = {case["name"]: case for case in CASES if case.get("listed", False) is is_listed}
    assert len(cases) == (10 if is_listed else 9)
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
    spells = pl.read_parquet(
        find_spells(engine, tables[0], tables[1], tables[2], country, SpellsSettings()).path
    )
    told = pl.concat_str("state", pl.col("likely_date").cast(pl.String), separator=" ", ignore_nulls=True)
    found = {name: spells.filter(person_id=name).sort("sequence").select(told) for name in cases}
    assert {name: rows.to_series().to_list() for name, rows in found.items()} == {
        name: case["expect"] for name, case in cases.items()
    }
    unresolved = spells.filter(state="unresolved")
    assert (unresolved["earliest_date"] == unresolved["start_date"]).all()
    assert (unresolved["latest_date"] >= unresolved["likely_date"]).all()
    assert (unresolved["latest_date"] == unresolved["end_date"].fill_null(date(2024, 1, 1))).all()
