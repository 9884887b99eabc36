"""Who is first seen in a list that begins late: they came then, unless others like them had been here before."""

from datetime import date, timedelta

import polars as pl

from given_travellers import IN, OUT, PERIOD, Country
from miglink.config.draws import DrawsSettings
from miglink.engine import Engine
from test_hidden_crossings import NZ, pseudonym

DAY = timedelta(days=1)
DRAWS = DrawsSettings(number=40)
LISTED = date(2016, 3, 1)


def newcomers(came_before: bool) -> Country:
    """Thirty are listed three weeks after they arrive, or five years; ten more of whom no arrival is on record."""
    country = Country()
    for number in range(30):
        listed = LISTED + 20 * number * DAY
        came = date(2012, 1, 20) + number * DAY if came_before else listed - 21 * DAY
        person = pseudonym(f"like {number}")
        # Both kinds have crossed before, so that it is known where they were.
        country.add(
            person, (date(2012, 1, 3), IN), (date(2012, 1, 9), OUT), (came, IN), (came + 900 * DAY, OUT)
        )
        country.record(person, "register", valid_from=listed if not came_before else came + 800 * DAY)
        if not came_before:
            person = pseudonym(f"seen {number}")
            country.add(person, (came, IN)).record(person, "register", valid_from=listed)
    for number in range(10):
        listed = LISTED + number * DAY
        country.add(pseudonym(f"never {number}"))
        country.add(pseudonym(f"leaves {number}"), (listed + 700 * DAY, OUT), (listed + 707 * DAY, IN))
        country.add(pseudonym(f"returns {number}"), (listed + 700 * DAY, IN))
        for kind in ("never", "leaves", "returns"):
            country.record(pseudonym(f"{kind} {number}"), "register", valid_from=listed)
            country.record(
                pseudonym(f"{kind} {number}"), "activity", valid_from=listed, valid_to=listed + 90 * DAY
            )
    return country


def share_resident(rows: pl.DataFrame) -> float:
    return rows.filter(status="resident").height / rows.height


def draw(engine: Engine, country: Country, kind: str) -> pl.DataFrame:
    found = country.draw(
        engine, [NZ], DRAWS, is_listed=True, initial_status=("first_crossing", "register", "not_listed")
    )
    people = [pseudonym(f"{kind} {number}") for number in range(10)]
    return found["residence_draws"].filter(pl.col("person_id").is_in(people))


def test_who_never_crosses_has_come_when_the_list_begins(duckdb_engine: Engine) -> None:
    drawn = draw(duckdb_engine, newcomers(came_before=False), "never")
    first = drawn.filter(pl.col("from_date") < PERIOD.from_date)
    assert first.height == 10 * DRAWS.number
    assert share_resident(first) < 0.1
    # Three weeks before the list, as those whose arrival is on record.
    came = drawn.filter(pl.col("status") == "resident", pl.col("from_date") >= PERIOD.from_date)
    numbers = pl.DataFrame(
        {
            "person_id": [pseudonym(f"never {number}") for number in range(10)],
            "came": [LISTED + number * DAY - 21 * DAY for number in range(10)],
        }
    )
    assert came.height > 0.8 * 10 * DRAWS.number
    joined = came.join(numbers, on="person_id")
    assert (joined["from_date"] == joined["came"]).all()


def test_who_first_departs_has_come_when_the_list_begins(duckdb_engine: Engine) -> None:
    drawn = draw(duckdb_engine, newcomers(came_before=False), "leaves")
    first = drawn.filter(pl.col("from_date") < PERIOD.from_date)
    assert share_resident(first) < 0.1
    came = drawn.filter(pl.col("status") == "resident", pl.col("status_before") == "non_resident")
    assert came.height > 0.8 * 10 * DRAWS.number
    assert (came["from_date"] < LISTED + 30 * DAY).all()
    assert (came["from_date"] > LISTED - 60 * DAY).all()


def test_a_departure_hidden_before_the_first_arrival_follows_the_list(duckdb_engine: Engine) -> None:
    drawn = draw(duckdb_engine, newcomers(came_before=False), "returns")
    lived = drawn.filter(pl.col("status") == "resident", pl.col("from_date") < LISTED - 60 * DAY)
    assert lived.height < 0.1 * 10 * DRAWS.number


def test_where_lists_begin_long_after_people_come_nobody_has_come_with_them(duckdb_engine: Engine) -> None:
    drawn = draw(duckdb_engine, newcomers(came_before=True), "leaves")
    first = drawn.filter(pl.col("from_date") < PERIOD.from_date)
    assert share_resident(first) > 0.3
