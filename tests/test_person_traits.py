"""Stage 4: regions and further columns of persons, each value from the day on which it was first stated."""

from datetime import date
from typing import Any

import polars as pl

from miglink.engine import Engine
from miglink.stages.persons.facts import collect_traits

SCHEMA = dict.fromkeys(
    ("person_id", "source", "kind", "region", "education", "citizenship", "citizenship_2"), pl.String
)


def traits(engine: Engine, *records: dict[str, Any], country: str = "NZL") -> list[tuple[Any, ...]]:
    seen = pl.DataFrame(list(records), schema=SCHEMA | {"record_date": pl.Date, "ended_date": pl.Date})
    table = collect_traits(engine, {"person_records": engine.frame("seen", seen)}, country, ("education",))
    return engine.collect(
        "SELECT person_id, trait, value, valid_from, valid_to, source FROM t", t=table
    ).rows()


def record(person: str, source: str, year: int | None, **values: str) -> dict[str, Any]:
    day = {"record_date": date(year, 1, 1)} if year else {}
    return {"person_id": person, "source": source, "kind": source} | day | values


START = date(1, 1, 1)


def test_a_further_column_comes_from_any_record_and_a_region_from_the_register(engine: Engine) -> None:
    found = traits(
        engine,
        record("a", "register", 2015, region="north"),
        record("a", "people", 2017, region="south", education="school"),
        record("a", "activity", 2018, education="school"),
        record("a", "people", 2020, education="university"),
    )
    assert found == [
        ("a", "education", "school", START, date(2020, 1, 1), "people"),
        ("a", "education", "university", date(2020, 1, 1), None, "people"),
        ("a", "region", "north", START, None, "register"),
    ]


def test_values_of_one_day(engine: Engine) -> None:
    found = traits(
        engine,
        *(record("a", source, 2015, education="university") for source in ("people", "activity")),
        record("a", "permits", 2015, education="school"),
        *(record("b", "people", None, education=value) for value in ("university", "school")),
    )
    # The most frequent stands; of two stated once, the smaller. An undated record speaks of all time.
    assert found == [
        ("a", "education", "university", START, None, "activity"),
        ("b", "education", "school", START, None, "people"),
    ]


def test_the_reporting_country_comes_first_then_a_member_of_the_union(engine: Engine) -> None:
    both = (
        *(record("a", "register", year, citizenship="BRA") for year in (2015, 2016, 2017)),
        record("a", "permits", 2018, citizenship="FRA"),
        *(record("b", "register", year, citizenship="BRA") for year in (2020, 2021, 2022)),
        record("b", "permits", 2021, citizenship="GBR"),
        record("c", "permits", 2018, citizenship="FRA", citizenship_2="DEU"),
        # Romania joined in 2007, and whoever had its citizenship became a citizen of the Union with it.
        record("d", "register", 2003, citizenship="BRA", citizenship_2="ROU"),
        record("d", "people", 2021, citizenship="BRA"),
    )
    in_union = {(person, value) for person, _, value, *_ in traits(engine, *both, country="DEU")}
    # The United Kingdom was no member in 2021.
    assert in_union == {("a", "FRA"), ("b", "BRA"), ("c", "DEU"), ("d", "ROU")}
    outside = {(person, value) for person, _, value, *_ in traits(engine, *both)}
    # Of two members the one that the permit names first.
    assert outside == {("a", "FRA"), ("b", "BRA"), ("c", "FRA"), ("d", "ROU")}


def test_of_other_citizenships_the_one_that_is_stated_comes_before_the_passport_shown(engine: Engine) -> None:
    records = (
        record("a", "register", 2015, citizenship="TUR", citizenship_2="BRA"),
        *(record("a", "crossings", year, citizenship="BRA") for year in (2016, 2017, 2018)),
        # Nobody states it: the one most shown.
        record("b", "crossings", 2016, citizenship="TUR"),
        *(record("b", "crossings", year, citizenship="BRA") for year in (2017, 2018)),
    )
    assert {(person, value) for person, _, value, *_ in traits(engine, *records)} == {
        ("a", "TUR"),
        ("b", "BRA"),
    }


def test_a_register_states_the_citizenship_of_its_extract(engine: Engine) -> None:
    """Who was given a permit as a foreigner became a citizen between the last record that says so and the next."""
    found = traits(
        engine,
        record("a", "register", 2010, citizenship="NZL", citizenship_2="FRA"),
        record("a", "permits", 2010, citizenship="FRA"),
        record("a", "crossings", 2014, citizenship="FRA"),
        record("a", "crossings", 2016, citizenship="NZL"),
        # Nobody says when: between the last permit and the end of the registers.
        record("b", "register", 2010, citizenship="NZL"),
        record("b", "permits", 2016, citizenship="FRA"),
        # A citizen of two countries from birth on never needed one.
        record("c", "register", 2010, citizenship="NZL", citizenship_2="FRA"),
        record("c", "crossings", 2014, citizenship="FRA"),
        record("c", "crossings", 2016, citizenship="NZL"),
        # Who was counted as a foreigner was none yet.
        record("d", "register", 2010, citizenship="NZL"),
        record("d", "people", 2014, citizenship="FRA"),
        record("d", "crossings", 2016, citizenship="NZL"),
        record("z", "people", 2020),
    )
    changes = {(person, value): day for person, _, value, day, *_ in found}
    assert changes == {
        ("a", "FRA"): START,
        ("a", "NZL"): date(2015, 1, 1),
        ("b", "FRA"): START,
        ("b", "NZL"): date(2017, 12, 31),
        ("c", "NZL"): START,
        ("d", "FRA"): START,
        ("d", "NZL"): date(2015, 1, 1),
    }
