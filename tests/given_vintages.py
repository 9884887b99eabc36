"""Finished runs, written by hand: persons, their records and histories, and the figures that count them."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from given_country import RULE, Country
from given_tables import make_table
from miglink.engine.duckdb_engine import DuckDBEngine

BEFORE = date(2015, 12, 31)
# A record: its id, the day it speaks of, and whatever else it says.
Record = tuple[str, date, Mapping[str, Any]]


def crossing(record_id: str, day: date, **further: Any) -> Record:
    return record_id, day, further


class Delivery(Country):
    """A country with the records that each person is made of."""

    def __init__(self) -> None:
        super().__init__(before=BEFORE)
        self.records: list[dict[str, Any]] = []

    def hold(self, person: str, *records: Record) -> None:
        for record_id, day, further in records:
            row = {"source": "border", "record_id": record_id, "person_id": person, "kind": "crossings"}
            self.records.append(row | {"is_repeat": False, "record_date": day} | further)


def write_run(folder: Path, given: Delivery, to: date, **how: Any) -> Path:
    """The folder of a run that observed up to a day; `config` and `manifest` replace parts of either."""
    engine = DuckDBEngine(folder / "tables")
    of_estimates = {name: how[name] for name in ("breakdowns", "periods") if name in how}
    given.estimate(engine, to=to, **of_estimates)
    make_table(engine, "records", given.records)
    make_table(engine, "record_persons", given.records)
    engine.close()
    config = {
        "name": "given",
        "engine": {},
        "period": {"from": str(BEFORE + timedelta(days=1)), "to": str(to)},
        "sources": {"border": {"kind": "crossings", "files": ["border.csv"]}},
        "residence": {"rules": [{"name": RULE, "threshold": {"value": 365}}]},
        "estimates": {"reporting_country": "NZL"},
    }
    manifest = {
        "state": "finished",
        "miglink": "0.1.0",
        "stages": [
            {"name": name, "outputs": {}, "rests_on": {"key": "a"}} for name in ("persons", "estimates")
        ],
        "config": config | how.get("config", {}),
    }
    text = json.dumps(manifest | how.get("manifest", {}))
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    return folder


def write_runs(folder: Path, ends: Mapping[date, Delivery], **how: Any) -> Sequence[Path]:
    """A run for each day on which data end."""
    return [write_run(folder / str(to), given, to, **how) for to, given in ends.items()]
