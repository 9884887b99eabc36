"""Persons of whom something is recorded after a death: which of the two is believed, and what is said of the other."""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl

from given_run import BORDER, CONFIG, run, write
from given_tables import name_table
from miglink.config.stages import Period, PersonsSettings
from miglink.engine import Engine
from miglink.stages.persons import Country, Linked, find_persons

DEATHS: dict[str, list[dict[str, Any]]] = {
    "crossed": [
        {"kind": "vital", "reason": "death", "day": dt.date(2015, 5, 1)},
        {"kind": "crossings", "day": dt.date(2016, 1, 1)},
        {"kind": "crossings", "day": dt.date(2016, 2, 1)},
    ],
    # The first death is overruled, the second is not.
    "died twice": [
        {"kind": "vital", "reason": "death", "day": dt.date(2015, 5, 1)},
        {"kind": "vital", "reason": "death", "day": dt.date(2018, 5, 1)},
        {"kind": "crossings", "day": dt.date(2016, 1, 1)},
    ],
    "seen": [
        {"kind": "vital", "reason": "death", "day": dt.date(2015, 5, 1)},
        {"kind": "activity", "day": dt.date(2016, 1, 1)},
    ],
    # A removal by death, and a permit, which says nothing of it.
    "registered": [
        {"kind": "register", "end_reason": "death", "day": dt.date(2010, 1, 1), "ended_date": dt.date(2015, 5, 1)},
        {"kind": "register", "day": dt.date(2016, 1, 1)},
        {"kind": "permits", "day": dt.date(2017, 1, 1)},
    ],
    # A crossing on the day of death, and a sign of life of that year, do not come after it.
    "at peace": [
        {"kind": "vital", "reason": "death", "day": dt.date(2015, 5, 1)},
        {"kind": "crossings", "day": dt.date(2015, 5, 1)},
        {"kind": "activity", "day": dt.date(2015, 1, 1)},
    ],
}  # fmt: skip
FIRST, SECOND = "2015-05-01", "2018-05-01"
CROSSING = ("crossing_after_death", FIRST, "2016-02-01")
ONE_CROSSING = ("crossing_after_death", FIRST, "2016-01-01")
SIGN = ("activity_after_death", FIRST, "2016-01-01")
REGISTRATION = ("register_after_death", FIRST, "2016-01-01")


ALL = {CROSSING: "the death", ONE_CROSSING: "the death", SIGN: "the death", REGISTRATION: "the death"}


def test_a_crossing_overrules_a_death_where_it_is_trusted_more(engine: Engine) -> None:
    died = {"crossed": None, "died twice": SECOND, "seen": FIRST, "registered": FIRST}
    check_deaths(engine, ("crossing",), died, ALL | {CROSSING: "the crossing", ONE_CROSSING: "the crossing"})


def test_by_default_a_death_is_believed(duckdb_engine: Engine) -> None:
    check_deaths(
        duckdb_engine, (), dict.fromkeys(("crossed", "died twice", "seen", "registered"), FIRST), ALL
    )


def test_signs_of_life_and_registrations_overrule_a_death_where_they_are_trusted_more(
    duckdb_engine: Engine,
) -> None:
    died = {"crossed": FIRST, "died twice": FIRST, "seen": None, "registered": None}
    winners = ALL | {SIGN: "the sign of life", REGISTRATION: "the registration"}
    check_deaths(duckdb_engine, ("register", "activity"), died, winners)


def check_deaths(
    engine: Engine,
    over_death: tuple[str, ...],
    died: dict[str, str | None],
    winners: dict[tuple[str, str, str], str],
) -> None:
    """The date of death of each person, and what stands in `conflicts` of what came after."""
    dated = {"crossings": "crossed_date", "vital": "event_date"}
    records = [
        {
            "source": record["kind"],
            "record_id": f"{name} {number}",
            "is_repeat": False,
            "record_date": record["day"],
        }
        | {dated.get(record["kind"], "valid_from"): record["day"]}
        | {key: value for key, value in record.items() if key != "day"}
        for name, own in DEATHS.items()
        for number, record in enumerate(own)
    ]
    names = [str(record["record_id"]).rsplit(" ", 1)[0] for record in records]
    linked = Linked(
        name_table(engine, "records", records),
        name_table(engine, "identities", [{"identity_id": name, "n_records": 1} for name in DEATHS]),
        name_table(
            engine,
            "record_identities",
            [
                {"source": record["source"], "record_id": record["record_id"], "identity_id": name}
                for record, name in zip(records, names, strict=True)
            ],
        ),
        name_table(engine, "links", []),
        name_table(engine, "judgements", []),
    )
    period = Period.model_validate({"from": dt.date(2012, 1, 1), "to": dt.date(2023, 12, 31)})
    country = Country("QVR", period, (), over_death=over_death)
    found = find_persons(engine, linked, country, PersonsSettings(), "key")
    owners = engine.collect("SELECT identity_id, person_id FROM t", t=found.identity_persons)
    persons = engine.collect("SELECT person_id, CAST(death_date AS VARCHAR) AS died FROM t", t=found.persons)
    assert dict(owners.join(persons, on="person_id").select("identity_id", "died").iter_rows()) == {
        **died,
        "at peace": FIRST,
    }
    conflicts = engine.collect("SELECT kind, detail_l, detail_r, winner FROM t", t=found.conflicts)
    later = conflicts.filter(pl.col("kind").str.ends_with("_after_death"))
    assert {row[:3]: row[3] for row in later.iter_rows()} == winners
    assert conflicts.filter(kind="dead_twice")["winner"].to_list() == [
        "the earlier date" if died["died twice"] == FIRST else "a later date"
    ]


def test_the_order_of_trust_reaches_the_persons_of_a_run(tmp_path: Path) -> None:
    """Whose death lies between two crossings; the run that goes on in another order makes the persons anew."""
    deaths = """\
  deaths:
    kind: vital
    files: deaths.csv
    columns: {event: {constant: death}, event_date: DAY, surname: NAME, birth_date: BORN, document_number: PASS}
residence:"""
    write(tmp_path, CONFIG.replace("residence:", deaths), "config.yml")
    write(tmp_path, BORDER, "border.csv")
    write(tmp_path, "DAY,NAME,BORN,PASS\n2013-05-01,PEREZ,1980-05-17,A1\n", "deaths.csv")

    def found(*further: str) -> tuple[list[dt.date], list[str], int]:
        assert run(tmp_path, "--to", "spells", *further) == 0
        tables = tmp_path / "run" / "tables"
        died = pl.read_parquet(tables / "persons.parquet")["death_date"].drop_nulls().to_list()
        winners = pl.read_parquet(tables / "conflicts.parquet")["winner"].to_list()
        return died, winners, pl.read_parquet(tables / "spells.parquet").height

    # An arrival and an absence before it for either person; the departure of the one counts if the death does not.
    assert found() == ([dt.date(2013, 5, 1)], ["the death"], 4)
    order = "spells.trust=[crossing, death, activity]"
    assert found("--resume", "--set", order) == ([], ["the crossing"], 5)
