"""Stage 7: the migratory status of everybody in a list, on cases written out; weights from file to sum."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from given_tables import name_table
from given_travellers import CONFIGS, IN, OUT, PERIOD, Country
from miglink.config import read_rule
from miglink.config.mobility import MobilitySettings
from miglink.config.sources import Source
from miglink.config.stages import EstimatesSettings, SpellsSettings
from miglink.config.windows import whole
from miglink.engine import Engine
from miglink.stages import estimates
from miglink.stages.ingest import ingest
from miglink.stages.spells import Country as Seen
from miglink.stages.spells import find_spells
from miglink.tables import TABLES

HERE = date(2000, 1, 1)
DAY = date(2018, 1, 1)
LISTS = {"listed_people", "list_status"}


def describe(engine: Engine, country: Country) -> dict[str, pl.DataFrame]:
    """Both tables of a country whose register lists everybody who lives here; its records have a further column."""
    rule = read_rule("nz_12_16", CONFIGS)
    residence, migrations, persons = country.find(
        engine, [rule], PERIOD, initial_status=("register", "not_registered")
    )
    records, owners = (
        name_table(engine, "records", country.records),
        name_table(engine, "record_persons", country.owners),
    )
    traits = [
        {"person_id": one["person_id"], "trait": "citizenship", "value": value, "source": "register"}
        | {"valid_from": start, "valid_to": None}
        for one in country.persons
        for start, value in one.get("citizenships", ())
    ]
    # A name that the tables on the way have, too.
    further = engine.step("further", "SELECT *, CONCAT('row ', record_id) AS status FROM r", r=records)
    spells, _ = find_spells(engine, records, owners, persons, Seen(PERIOD, False), SpellsSettings())
    travellers = estimates.Travellers(
        residence, migrations, persons, name_table(engine, "person_traits", traits), spells, further, owners
    )
    observation = estimates.observe(whole(PERIOD), [rule], True)
    settings = EstimatesSettings(reporting_country="QVR", traits=("status",))
    tables = estimates.describe_lists(engine, travellers, observation, settings, MobilitySettings())
    return {table.name: pl.read_parquet(table.path) for table in tables}


def add(country: Country, person: str, born: str, *crossings: tuple[date, str], **facts: Any) -> None:
    """A person born somewhere, a citizen of that country unless it is said, perhaps registered."""
    since, reason = facts.pop("registered", None), facts.pop("reason", None)
    citizen = ((date(1, 1, 1), born),) if born != "XXX" else ()
    country.add(person, *crossings, **{"birth_country": born, "citizenships": citizen} | facts)
    if since is not None:
        country.record(person, "register", valid_from=since, reason=reason)


def listed_country() -> Country:
    """A person of each kind; who is registered since 2000 lives here when observation begins, in 2012."""
    country, since = Country(), {"registered": HERE}
    add(country, "native", "QVR", **since)
    add(country, "returned", "QVR", (date(2013, 3, 1), OUT), (date(2015, 3, 1), IN), **since)
    add(country, "migrant", "FRA", (date(2014, 1, 1), IN))
    naturalised = ((date(1, 1, 1), "FRA"), (date(2016, 6, 1), "QVR"))
    add(country, "naturalised", "FRA", (date(2014, 1, 1), IN), citizenships=naturalised)
    add(country, "national", "USA", (date(2014, 1, 1), IN), citizenships=((date(1, 1, 1), "QVR"),))
    add(country, "settled", "FRA", registered=HERE, reason="arrival")
    add(country, "visitor", "USA", (date(2017, 12, 20), IN), (date(2018, 1, 5), OUT))
    add(country, "emigrant", "QVR", (date(2013, 1, 1), OUT), **since)
    to_and_fro = [(date(2012, 3, 1), OUT), (date(2013, 6, 1), IN), (date(2014, 9, 1), OUT)]
    add(country, "circular", "QVR", *to_and_fro, **since)
    add(country, "unclear", "FRA", (date(2014, 1, 1), IN), (date(2019, 6, 1), IN))
    add(country, "nowhere", "XXX", **since)
    add(country, "dead", "QVR", death_date=date(2016, 5, 1), **since)
    add(country, "stranger", "FRA")
    add(country, "undated", "QVR", **since)
    return country


NO, YES, OPEN = False, True, None
# residence, group, years since immigration, since first arrival, returnee, circular, temporary, final
EXPECTED: dict[str, tuple[Any, ...]] = {
    "native": ("resident", "native_born_citizen", None, None, NO, NO, NO, YES),
    "returned": ("resident", "native_born_returnee", 2, 2, YES, NO, NO, YES),
    "migrant": ("resident", "foreign_born_foreigner", 3, 3, NO, NO, NO, YES),
    "naturalised": ("resident", "foreign_born_citizen", 3, 3, NO, NO, NO, YES),
    "national": ("resident", "foreign_born_citizen", 3, 3, YES, NO, NO, YES),
    "settled": ("resident", "foreign_born_foreigner", None, 17, NO, NO, NO, YES),
    "visitor": ("non_resident", "temporary", None, None, NO, NO, YES, YES),
    "emigrant": ("non_resident", "non_resident", None, None, NO, NO, NO, YES),
    "circular": ("non_resident", "non_resident", None, None, NO, YES, NO, YES),
    "unclear": ("undetermined", "undetermined", None, None, OPEN, NO, OPEN, NO),
    "nowhere": ("resident", "origin_unknown", None, None, NO, NO, NO, YES),
    "dead": ("unknown", "unknown", None, None, OPEN, OPEN, OPEN, NO),
    "stranger": ("unknown", "unknown", None, None, OPEN, OPEN, OPEN, NO),
    "undated": ("unknown", "unknown", None, None, OPEN, OPEN, OPEN, NO),
}
REASONS = {"dead": "no_status", "stranger": "not_linked", "undated": "no_reference_date"}
COLUMNS = (
    "residence_status", "migratory_status", "years_since_immigration", "years_since_first_arrival",
    "is_returnee", "is_circular", "is_temporary", "is_final",
)  # fmt: skip


def test_everybody_in_a_list_has_a_status_and_a_weight(engine: Engine) -> None:
    country = listed_country()
    for number, person in enumerate(EXPECTED):
        day = None if person == "undated" else DAY
        country.record(person, "people", record_date=day, weight=0.1 * number)
    country.record("native", "people", record_date=DAY)  # twice in the list, and without a weight
    found = describe(engine, country)
    people = found["listed_people"].filter(record_number=1)
    assert {row[0]: row[1:] for row in people.select("person_id", *COLUMNS).rows()} == EXPECTED
    assert dict(people.select("person_id", "reason").drop_nulls().rows()) == REASONS
    assert (people["status"] == "row " + people["record_id"]).all()
    again = found["listed_people"].filter(record_number=2)
    assert again.select("person_id", "weight").rows() == [("native", 1.0)]
    origins = ("birth_group", "citizenship_group", "is_foreign_born", "is_foreign_citizen")
    of = {row[0]: row[1:] for row in people.select("person_id", *origins).rows()}
    assert of["stranger"] == ("foreign", "eu", YES, YES)
    assert of["naturalised"] == ("foreign", "national", YES, NO)
    assert of["nowhere"] == ("unknown", "unknown", OPEN, OPEN)
    assert of["undated"] == ("native", "unknown", NO, OPEN)

    status = found["list_status"]
    assert set(status["period"]) == {"2018-01-01", "unknown"}
    groups = {row[0]: row[1:] for row in status.select("migratory_status", "n", "weight", "status").rows()}
    assert groups["foreign_born_citizen"] == (2, 0.7, "final")
    assert groups["native_born_citizen"] == (2, 1.0, "final")
    unknown = status.filter(migratory_status="unknown").sort("reason")
    assert unknown.select("reason", "n", "weight").rows() == [
        ("no_reference_date", 1, 1.3), ("no_status", 1, 1.1), ("not_linked", 1, 1.2),
    ]  # fmt: skip
    assert status["n"].sum() == len(EXPECTED) + 1
    assert status["weight"].sum() == pytest.approx(found["listed_people"]["weight"].sum())


def test_a_list_and_the_stock_of_its_day_say_the_same(engine: Engine) -> None:
    """Whoever becomes, or is no longer, a resident on the eve of the list; an interview on many days counts by year."""
    country = Country()
    add(country, "eve", "FRA", (date(2017, 12, 31), IN))
    add(country, "day", "FRA", (date(2018, 1, 1), IN))
    for person in ("eve", "day"):
        country.record(person, "people", record_date=DAY)
    country.record("eve", "people", record_date=date(2017, 7, 1), weight=2.5)
    country.record("eve", "people", record_date=date(2025, 7, 1), weight=3.5)
    found = describe(engine, country)
    people = found["listed_people"].sort("person_id", "reference_date")
    assert people.select("person_id", "residence_status", "reason").rows() == [
        ("day", "non_resident", None),
        ("eve", "non_resident", None),
        ("eve", "resident", None),
        ("eve", "unknown", "not_observed"),
    ]
    status = found["list_status"].select("period", "migratory_status", "reason", "weight", "status")
    assert status.rows() == [
        ("2017", "non_resident", "none", 2.5, "final"),
        ("2018", "foreign_born_foreigner", "none", 1.0, "final"),
        ("2018", "non_resident", "none", 1.0, "final"),
        ("2025", "unknown", "not_observed", 3.5, "provisional"),
    ]


def test_without_lists_there_is_nothing_to_say(engine: Engine) -> None:
    country = Country()
    add(country, "native", "QVR", registered=HERE)
    found = describe(engine, country)
    assert set(found) == LISTS
    for name, table in found.items():
        assert table.is_empty()
        further = ["status"] if name == "listed_people" else []
        assert table.columns == [column.name for column in TABLES[name].columns] + further


def test_weights_are_numbers_within_bounds(engine: Engine, tmp_path: Path) -> None:
    """A row without a weight that can be used is rejected: silently it would stand for nobody."""
    weights = ["12.5", "0", "1e3", "", "-1", "1,5", "many", "1e12"]
    rows = [f"{number},PERSON{number},{weight!r}" for number, weight in enumerate(weights)]
    text = "\n".join(["id,name,weight", *rows, ""]).replace("'", '"')
    (tmp_path / "survey.csv").write_text(text, encoding="utf-8")
    given = {
        "kind": "people",
        "files": str(tmp_path / "survey.csv"),
        "columns": {"record_id": "id", "surname": "name", "weight": "weight"},
        "bounds": {"max_rejected_share": 1.0},
    }
    source = Source.model_validate(given, strict=False)
    found = ingest(engine, {"survey": source}, {}, PERIOD)
    kept = engine.collect("SELECT record_id, weight FROM t ORDER BY record_id", t=found.records)
    assert kept.rows() == [("0", 12.5), ("1", 0.0), ("2", 1000.0)]
    refused = engine.collect("SELECT row_number, reason FROM t ORDER BY row_number", t=found.rejected)
    assert refused["reason"].to_list() == [
        "weight_missing", "weight_out_of_bounds", "weight_unreadable", "weight_unreadable",
        "weight_out_of_bounds",
    ]  # fmt: skip
