"""Finished runs, written by hand: persons, their records and histories, and the figures that count them."""

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from given_country import ABROAD, RESIDENT, RULE, UNCLEAR, Country
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
            self.records.append({**row, "is_repeat": False, "record_date": day, **further})


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


FIRST, LAST = date(2018, 12, 31), date(2019, 12, 31)
QUICK: dict[str, Any] = {"breakdowns": [["sex"], ["citizenship"]], "periods": ["year"]}
Statuses = Sequence[tuple[date | None, str]]
# A person in one run: the records, the statuses, and what else is known.
Held = tuple[Sequence[Record], Statuses, Mapping[str, Any]]


def held(records: Sequence[Record], *statuses: tuple[date | None, str], **facts: Any) -> Held:
    return records, statuses, facts


def deliver(persons: Sequence[Held], name: str) -> Delivery:
    """A delivery with these persons; an undetermined status that follows one abroad may be an immigration."""
    found = Delivery()
    for number, (records, statuses, facts) in enumerate(persons):
        person = f"{name}{number}"
        found.add(person, *statuses, **facts)
        found.hold(person, *records)
        for (_, before), (day, status) in pairwise(statuses):
            if (before, status) == (ABROAD, UNCLEAR) and day is not None:
                found.migrate(person, day, "immigration", "undetermined")
    return found


def one(name: str, day: date, **further: Any) -> list[Record]:
    return [crossing(name, day, **further)]


DAY = date(2017, 6, 1)
STAYS, COMES = (None, ABROAD), (DAY, RESIDENT)
# Reason -> the persons concerned in the earlier and in the later run.
CASES: dict[str, tuple[list[Held], list[Held]]] = {
    "new_person": ([], [held(one("n", DAY), STAYS, COMES)]),
    "gone_person": ([held(one("g", DAY), STAYS, COMES)], []),
    "merged": (
        [held(one("m1", DAY), STAYS, COMES), held(one("m2", DAY), (None, RESIDENT), (DAY, ABROAD))],
        [held([*one("m1", DAY), *one("m2", DAY)], (None, RESIDENT))],
    ),
    "split": (
        [held([*one("s1", DAY), *one("s2", DAY)], (None, RESIDENT))],
        [held(one("s1", DAY), (None, RESIDENT), (DAY, ABROAD)), held(one("s2", DAY), STAYS, COMES)],
    ),
    "regrouped": (
        [held([*one("r1", DAY), *one("r2", DAY)], STAYS, COMES), held(one("r3", DAY), STAYS)],
        [held(one("r1", DAY), STAYS), held([*one("r2", DAY), *one("r3", DAY)], STAYS)],
    ),
    "new_records": (
        [held(one("new_records", DAY), STAYS)],
        [held([*one("new_records", DAY), *one("late", FIRST)], STAYS, COMES)],
    ),
    "withdrawn_records": (
        [held([*one("withdrawn_records", DAY), *one("w", DAY)], STAYS, COMES)],
        [held(one("withdrawn_records", DAY), STAYS)],
    ),
    "changed_records": (
        [held(one("c", DAY, direction="arrival"), STAYS, COMES)],
        [held(one("c", DAY, direction="departure"), STAYS)],
    ),
    "settled": (
        [held(one("settled", DAY), STAYS, (DAY, UNCLEAR))],
        [held(one("settled", DAY), STAYS, COMES)],
    ),
    "unsettled": (
        [held(one("unsettled", DAY), STAYS, COMES)],
        [held(one("unsettled", DAY), STAYS, (DAY, UNCLEAR))],
    ),
    # What is dated after the earlier run's data came in time: the data reach further.
    "longer_observation": (
        [held(one("longer_observation", DAY), STAYS)],
        [held([*one("longer_observation", DAY), *one("next", LAST)], STAYS, COMES)],
    ),
}


def write_cases(folder: Path) -> Sequence[Path]:
    """All cases in one country, among persons whom nothing moves, and one whom a trait moves alone."""
    sides: list[list[Held]] = []
    for side in (0, 1):
        steady = [held(one(f"steady{n}", DAY), (None, RESIDENT)) for n in range(3)]
        trait = held(one("trait", DAY), STAYS, COMES, citizenship=("NZL", "AUS")[side])
        later = (DAY, date(2017, 8, 1))[side]
        month = held(one("month", later), STAYS, (later, RESIDENT))
        sides.append([*steady, trait, month, *(person for case in CASES.values() for person in case[side])])
    ends = {FIRST: deliver(sides[0], "zz"), LAST: deliver(sides[1], "a")}
    return write_runs(folder, ends, **QUICK | {"periods": ["year", "month"]})


def copy_run(run: Path, folder: Path, **manifest: Any) -> Path:
    """The run again, with parts of its manifest replaced."""
    shutil.copytree(run, folder)
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | manifest), encoding="utf-8")
    return folder
