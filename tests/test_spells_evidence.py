"""Missing crossings and the evidence: the cases of tests/cases/missing_crossings.yml."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from ruamel.yaml import YAML

from given_tables import make_table
from miglink.config.stages import Period, SpellsSettings
from miglink.engine import Engine
from miglink.stages.spells import Country, find_spells

CASES = YAML(typ="safe").load(Path(__file__).parent / "cases" / "missing_crossings.yml")
PERIOD = Period.model_validate({"from": date(2014, 1, 1), "to": date(2023, 12, 31)})
PERSON = {
    "person_id": "a", "birth_date": date(1970, 1, 1), "birth_date_precision": "day", "is_born_here": False,
    "n_identities": 1, "n_records": 1, "is_doubtful": False, "id_since_date": date(2020, 1, 1),
}  # fmt: skip


def records_of(case: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of a case: `A 2016-01-01` a crossing, `permits 2016-01-01 2017-01-05 work` evidence."""
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
        {"source": record["kind"], "record_id": f"{number}", "is_repeat": False} | record
        for number, record in enumerate(records)
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
def test_missing_crossings(engine: Engine, case: dict[str, Any]) -> None:
    records = records_of(case)
    owners = [
        {key: record[key] for key in ("source", "record_id")} | {"person_id": "a"} for record in records
    ]
    country = Country(PERIOD, case.get("listed", False), ("work", "study"))
    tables = [
        make_table(engine, *given)
        for given in (("records", records), ("record_persons", owners), ("persons", [PERSON]))
    ]
    spells = pl.read_parquet(
        find_spells(engine, tables[0], tables[1], tables[2], country, SpellsSettings()).path
    )
    found = spells.sort("sequence").select(
        pl.concat_str("state", pl.col("likely_date").cast(pl.String), separator=" ", ignore_nulls=True)
    )
    assert found.to_series().to_list() == case["expect"]
    unresolved = spells.filter(state="unresolved")
    assert (unresolved["earliest_date"] == unresolved["start_date"]).all()
    assert (unresolved["latest_date"] >= unresolved["likely_date"]).all()
    assert (unresolved["latest_date"] == unresolved["end_date"].fill_null(date(2024, 1, 1))).all()
