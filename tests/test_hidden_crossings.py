"""Hidden crossings and first statuses: what is learnt of them, and what the draws make of it."""

import hashlib
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from given_travellers import IN, OUT, PERIOD, Country
from miglink.config import read_rule
from miglink.config.draws import DrawsSettings
from miglink.engine import Engine
from miglink.stages.residence.draws.intervals import CELLS
from miglink.stages.residence.draws.patterns import N_PARTS, N_STEPS, Patterns, find_patterns, weigh

NZ = read_rule("nz_12_16", Path())
DAY = timedelta(days=1)
FORTY = DrawsSettings(number=40)


def pseudonym(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def learn(engine: Engine, country: Country) -> Patterns:
    """What is learnt of the hidden crossings of a country."""
    found: list[Patterns] = []

    def remember(*arguments: object) -> Patterns:
        found.append(find_patterns(*arguments))  # type: ignore[arg-type]
        return found[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("miglink.stages.residence.draws.find_patterns", remember)
        country.draw(engine, [NZ], DrawsSettings(number=1))
    return found[0]


def rate_by_definition(histories: list[list[str]], direction: str) -> tuple[int, int]:
    """Of crossings in a direction, those after which one is missing, and those of which it would show."""
    missing = shown = 0
    for ways in histories:
        for place, way in enumerate(ways[:-1]):
            if way != direction:
                continue
            is_missing = ways[place + 1] == way
            missing += is_missing
            shown += is_missing or place + 2 < len(ways)
    return missing, shown


def test_what_is_missing_is_counted_only_where_another_crossing_would_show_it(duckdb_engine: Engine) -> None:
    rng = np.random.default_rng(7)
    country, histories = Country(), []
    for number in range(60):
        ways = [str(way) for way in rng.choice([IN, OUT], rng.integers(1, 8))]
        days = np.cumsum(rng.integers(1, 200, len(ways)))
        crossings = [(PERIOD.from_date + int(day) * DAY, way) for day, way in zip(days, ways, strict=True)]
        country.add(pseudonym(str(number)), *crossings)
        histories.append(ways)
    ports = learn(duckdb_engine, country).ports
    rates = {way: rate_by_definition(histories, way) for way in (IN, OUT)}
    for way, other in ((IN, OUT), (OUT, IN)):
        missing, shown = rates[way]
        seen = 1 - rates[other][0] / rates[other][1]
        found = ports.filter(pl.col("is_arrival") == (way == IN))["odds"].to_list()
        assert found == [pytest.approx((missing + 0.5) / (shown - missing + 0.5) / seen * 1e9, rel=1e-6)]


def test_a_cell_hides_as_many_crossings_as_like_stays_would_have_missed() -> None:
    names = ["wide narrow", "wide narrow few", "wide other", "wide unseen"]
    cells = pl.DataFrame(
        {CELLS[0]: ["wide"] * 4} | {cell: names for cell in CELLS[1:]} | {"shape": [None] * 4}
    )
    cells = cells.with_columns(pl.col("shape").cast(pl.String))
    hidden = cells.select(CELLS).with_columns(
        n=pl.Series([400.0, 1.0, 10.0, 0.0]),
        n_donors=pl.Series([4000, 10, 100, 0]),
        seen=pl.Series([800, 1, 1000, 0]),
    )
    places = cells.with_columns(
        part_1=pl.lit(8), part_2=pl.lit(64), weight=pl.Series([1, 1, 3, 1]), n=pl.lit(30)
    )
    patterns = Patterns(pl.DataFrame(), hidden, places.with_columns(part_1=pl.Series([8, 8, 99, 8])))
    weighed, steps = weigh(patterns, cells)
    p = dict(weighed.select(CELLS[3], "p").iter_rows())
    assert p["wide narrow"] == pytest.approx(0.5, abs=0.01)
    assert p["wide other"] == pytest.approx(0.01, abs=0.005)
    # One seen where one is expected to be hidden: between that and the rate of all.
    assert 411 / 1801 < p["wide narrow few"] < 0.7
    assert p["wide unseen"] == pytest.approx(411 / 1801, abs=0.03)
    errors = dict(weighed.select(CELLS[3], "error").iter_rows())
    assert errors["wide narrow"] < 0.1 < errors["wide narrow few"]
    own = steps.join(weighed.select("place", CELLS[3]), on="place")
    assert own.filter(pl.col(CELLS[3]) == "wide other")["part_1"].unique().to_list() == [99]
    assert own.group_by("place").len()["len"].unique().to_list() == [N_STEPS]
    anywhere = steps.filter(pl.col("place") == 0)
    assert anywhere["part_1"].mean() == pytest.approx(N_PARTS / 2, rel=0.02)


def visitors(n_missed: int, *last: tuple[date, str]) -> Country:
    """Eighty who come for ten days in two years; of some the departure between is missing. And somebody else."""
    country = Country()
    for number in range(80):
        came = date(2013, 1, 15) + 20 * number * DAY
        again = came + 400 * DAY
        first = [(came, IN)] if number < n_missed else [(came, IN), (came + 10 * DAY, OUT)]
        country.add(pseudonym(f"visitor {number}"), *first, (again, IN), (again + 10 * DAY, OUT))
    return country.add(pseudonym("asked"), *last)


def share_immigrated(engine: Engine, country: Country) -> float:
    """The share of draws in which the one who is asked about has come to live here."""
    moves = country.draw(engine, [NZ], FORTY, is_listed=True, initial_status=("not_listed",))[
        "migration_draws"
    ]
    own = moves.filter((pl.col("person_id") == pseudonym("asked")) & (pl.col("direction") == "immigration"))
    return own["draw"].n_unique() / FORTY.number


def test_who_was_not_seen_to_leave_has_left_where_departures_are_missed(duckdb_engine: Engine) -> None:
    came = date(2016, 3, 1)
    often = share_immigrated(duckdb_engine, visitors(30, (came, IN)))
    seldom = share_immigrated(duckdb_engine, visitors(1, (came, IN)))
    assert often < 0.3
    assert seldom > often


def test_a_long_stay_may_be_two_visits(duckdb_engine: Engine) -> None:
    came = date(2014, 3, 1)
    country = visitors(30, (came, IN), (came + 410 * DAY, OUT))
    # Arrivals are missed too.
    for number in range(20):
        first = date(2013, 6, 1) + 20 * number * DAY
        country.add(
            pseudonym(f"other {number}"), (first, IN), (first + 10 * DAY, OUT), (first + 410 * DAY, OUT)
        )
    assert share_immigrated(duckdb_engine, country) < 0.7
    everybody = Country().add(pseudonym("asked"), (came, IN), (came + 410 * DAY, OUT))
    found = everybody.draw(duckdb_engine, [NZ], FORTY, is_listed=True, initial_status=("not_listed",))
    assert found["doubts"].filter(pl.col("from_date") <= came + 410 * DAY).is_empty()


def registered() -> Country:
    """Forty who live here and go abroad every summer; forty who live abroad and come, and are in the register still."""
    country = Country()
    for number in range(40):
        for kind, ways in (("resident", (OUT, IN)), ("abroad", (IN, OUT))):
            person = pseudonym(f"{kind} {number}")
            days = [date(year, 5, 1) + (2 * number) * DAY for year in range(2012, 2020)]
            country.add(person, *(one for day in days for one in ((day, ways[0]), (day + 12 * DAY, ways[1]))))
            country.record(person, "register", valid_from=date(2005, 1, 1), citizenship="QMR")
    return country


def test_a_register_is_believed_as_far_as_it_was_right_in_later_years(duckdb_engine: Engine) -> None:
    found = registered().draw(duckdb_engine, [NZ], FORTY, is_listed=True, initial_status=("register",))
    first = found["residence"].filter(pl.col("from_date") == PERIOD.from_date - DAY)
    assert set(first["status"]) == {"resident"}
    drawn = found["residence_draws"].filter(pl.col("from_date") == PERIOD.from_date - DAY)
    of = {kind: {pseudonym(f"{kind} {number}") for number in range(40)} for kind in ("resident", "abroad")}
    share = {
        kind: drawn.filter(pl.col("person_id").is_in(people))["status"].eq("resident").sum()
        for kind, people in of.items()
    }
    n_drawn = drawn.filter(pl.col("person_id").is_in(of["abroad"])).height
    assert n_drawn == 40 * FORTY.number
    assert share["abroad"] < 0.2 * n_drawn
    # Those who live here are not in doubt, or seldom drawn as living abroad.
    assert share["resident"] >= 0.9 * drawn.filter(pl.col("person_id").is_in(of["resident"])).height
    causes = found["doubts"].filter(pl.col("person_id").is_in(of["abroad"]))["cause"]
    assert set(causes) == {"first_status"}


def test_of_what_is_unlikely_some_stand_for_all(duckdb_engine: Engine) -> None:
    """Three hundred who left for good, of whom a return may be hidden with a small chance each."""
    country = visitors(10, (date(2016, 3, 1), IN))
    for number in range(300):
        gone = date(2015, 1, 1) + number * DAY
        trip = gone - 300 * DAY
        person = pseudonym(f"leaver {number}")
        country.add(person, (trip, OUT), (trip + 12 * DAY, IN), (gone, OUT))
        country.record(person, "register", valid_from=date(2005, 1, 1))
    # One of the others came back unseen.
    for number in range(100):
        gone = date(2013, 1, 1) + number * DAY
        person = pseudonym(f"traveller {number}")
        back = [] if number < 1 else [(gone + 12 * DAY, IN)]
        again = gone + 500 * DAY
        country.add(person, (gone, OUT), *back, (again, OUT), (again + 12 * DAY, IN))
        country.record(person, "register", valid_from=date(2005, 1, 1))
    found = country.draw(duckdb_engine, [NZ], FORTY, is_listed=True, initial_status=("register",))
    leavers = {pseudonym(f"leaver {number}") for number in range(300)}
    in_doubt = found["doubts"].filter(pl.col("person_id").is_in(leavers))
    assert 0 < in_doubt.height < 300
