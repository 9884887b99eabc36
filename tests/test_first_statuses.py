"""First statuses: who is likened to whom where observation begins, and who says nothing of others."""

from datetime import date, timedelta

import polars as pl

from given_travellers import IN, OUT, PERIOD, Country
from miglink.config.draws import DrawsSettings
from miglink.engine import Engine
from test_hidden_crossings import NZ, pseudonym

DAY = timedelta(days=1)
DRAWS = DrawsSettings(number=40)
ONCE = PERIOD.from_date - DAY


def share_resident(engine: Engine, country: Country, kind: str, number: int) -> float:
    """In what share of the draws those of a kind live here at first; who is not in doubt counts as found."""
    found = country.draw(
        engine, [NZ], DRAWS, is_listed=True, initial_status=("first_crossing", "register", "not_listed")
    )
    people = [pseudonym(f"{kind} {place}") for place in range(number)]
    own = pl.col("person_id").is_in(people) & (pl.col("from_date") == ONCE)
    drawn = found["residence_draws"].filter(own)
    settled = found["residence"].filter(own & ~pl.col("person_id").is_in(drawn["person_id"].implode()))
    is_resident = pl.col("status") == "resident"
    n_drawn, n_settled = (rows.filter(is_resident).height for rows in (drawn, settled))
    return (n_drawn + DRAWS.number * n_settled) / (DRAWS.number * number)


def leavers() -> Country:
    """In the register all of them: some left in 2012 for good, few went on a trip, most never cross."""
    country = Country()
    for number in range(20):
        country.add(pseudonym(f"gone {number}"), (date(2012, 3, 1) + 10 * number * DAY, OUT))
        country.record(pseudonym(f"gone {number}"), "register", valid_from=date(2005, 1, 1))
    for number in range(5):
        went = date(2012, 3, 1) + 10 * number * DAY
        country.add(pseudonym(f"back {number}"), (went, OUT), (went + 9 * DAY, IN))
        country.record(pseudonym(f"back {number}"), "register", valid_from=date(2005, 1, 1))
    for number in range(30):
        country.add(pseudonym(f"listed {number}"))
        country.record(pseudonym(f"listed {number}"), "register", valid_from=date(2005, 1, 1))
        country.add(pseudonym(f"died {number}"), death_date=date(2015, 6, 1))
        country.record(pseudonym(f"died {number}"), "register", valid_from=date(2005, 1, 1))
    return country


def test_a_list_alone_does_not_say_what_it_is_worth(duckdb_engine: Engine) -> None:
    """Of those whose crossings tell it, four in five who are in the register and never cross again have left."""
    assert share_resident(duckdb_engine, leavers(), "listed", 30) < 0.4


def test_who_died_here_lived_here(duckdb_engine: Engine) -> None:
    assert share_resident(duckdb_engine, leavers(), "died", 30) > 0.9


def test_a_first_arrival_after_a_year_says_who_lived_abroad(duckdb_engine: Engine) -> None:
    """In no list: ten who live here were on a trip at the new year; forty came for the first time soon after it."""
    country = Country()
    for number in range(10):
        back = date(2013, 1, 3) + number * DAY
        crossings = ((date(2012, 1, 20), IN), (date(2012, 12, 20), OUT), (back, IN))
        country.add(pseudonym(f"lives {number}"), *crossings)
    for number in range(40):
        country.add(pseudonym(f"new {number}"), (date(2013, 2, 10) + number * DAY, IN))
    for number in range(20):
        country.add(pseudonym(f"came {number}"), (date(2012, 2, 10) + number * DAY, IN))
    # Without any list nobody would be told as living abroad for being in none.
    country.add(pseudonym("listed")).record(pseudonym("listed"), "register", valid_from=date(2005, 1, 1))
    assert share_resident(duckdb_engine, country, "came", 20) < 0.4


def test_who_was_listed_lately_is_likened_to_the_like(duckdb_engine: Engine) -> None:
    """Some had lived here for years when they left, others had come, and were registered, in the year before."""
    country = Country()
    for number in range(30):
        left = date(2013, 5, 1) + number * DAY
        for kind, came in (("of old", None), ("of late", left - 300 * DAY)):
            person = pseudonym(f"{kind} {number}")
            country.add(person, *(((came, IN),) if came else ()), (left, OUT))
            country.record(
                person, "register", valid_from=came + 20 * DAY if came else date(2005, 1, 1) + number * DAY
            )
    for number in range(10):
        for kind, since in (("asked of old", date(2005, 1, 1)), ("asked of late", date(2011, 9, 1))):
            country.add(pseudonym(f"{kind} {number}"), (date(2012, 5, 1) + number * DAY, OUT))
            country.record(pseudonym(f"{kind} {number}"), "register", valid_from=since)
    assert share_resident(duckdb_engine, country, "asked of late", 10) < 0.3
    assert share_resident(duckdb_engine, country, "asked of old", 10) > 0.7


def test_a_list_that_a_first_arrival_contradicts_does_not_count(duckdb_engine: Engine) -> None:
    """Residents of whom the departure is missing look as if they had lived abroad; they say nothing of others."""
    country = Country()
    for number in range(30):
        day = date(2013, 6, 1) + number * DAY
        person = pseudonym(f"missed {number}")
        country.add(person, (day, IN))
        country.record(person, "register", valid_from=date(2005, 1, 1))
        trip = date(2012, 12, 20) - number * DAY
        person = pseudonym(f"away {number}")
        country.add(
            person, (date(2012, 2, 1), OUT), (date(2012, 2, 9), IN), (trip, OUT), (trip + 60 * DAY, IN)
        )
        country.record(person, "register", valid_from=date(2005, 1, 1))
    for number in range(10):
        person = pseudonym(f"asked {number}")
        country.add(person, (date(2012, 6, 1) + number * DAY, IN))
        country.record(person, "register", valid_from=date(2005, 1, 1))
    assert share_resident(duckdb_engine, country, "asked", 10) > 0.8


def test_who_departs_out_of_nowhere_was_mostly_on_a_visit(duckdb_engine: Engine) -> None:
    """In no list and without a sign of life: of thirty the arrival of a visit is missing, five had stayed for long."""
    country = Country()
    for number in range(30):
        left = date(2013, 8, 1) + number * DAY
        country.add(
            pseudonym(f"visits {number}"),
            (date(2012, 3, 1), IN),
            (date(2012, 3, 11), OUT),
            (left, OUT),
            (date(2016, 3, 1), IN),
            (date(2016, 3, 9), OUT),
        )
        first = date(2012, 8, 1) + number * DAY
        country.add(
            pseudonym(f"asked {number}"), (first, OUT), (date(2016, 3, 1), IN), (date(2016, 3, 9), OUT)
        )
        if number < 5:
            country.add(pseudonym(f"stays {number}"), (date(2012, 3, 1), IN), (left, OUT))
    country.add(pseudonym("listed")).record(pseudonym("listed"), "register", valid_from=date(2005, 1, 1))
    assert share_resident(duckdb_engine, country, "asked", 30) < 0.4
