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
from miglink.stages.residence.draws.patterns import Patterns, _expect_shares, find_patterns, weigh
from miglink.stages.residence.draws.places import N_PARTS, N_STEPS, step_places
from miglink.stages.residence.draws.ratios import shrink_ratios
from miglink.stages.residence.draws.shrinkage import keep_mean

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


def odds_by_definition(histories: list[list[str]], direction: str) -> float:
    """Crossings of a direction that are missing between two of the other, over those on record there."""
    other = OUT if direction == IN else IN
    missing = seen = 0
    for ways in histories:
        for place in range(len(ways) - 1):
            missing += ways[place : place + 2] == [other, other]
            seen += ways[place : place + 3] == [other, direction, other]
    return missing / seen


def test_what_is_missing_is_counted_only_where_other_crossings_show_it(duckdb_engine: Engine) -> None:
    rng = np.random.default_rng(7)
    country, histories = Country(), []
    for number in range(60):
        ways = [str(way) for way in rng.choice([IN, OUT], rng.integers(1, 8))]
        days = np.cumsum(rng.integers(1, 200, len(ways)))
        crossings = [(PERIOD.from_date + int(day) * DAY, way) for day, way in zip(days, ways, strict=True)]
        country.add(pseudonym(str(number)), *crossings)
        histories.append(ways)
    ports = learn(duckdb_engine, country).ports
    for way in (IN, OUT):
        found = ports.filter(pl.col("is_arrival") == (way == IN))["odds"].to_list()
        assert found == [pytest.approx(odds_by_definition(histories, way) * 1e9, rel=1e-6)]


@pytest.mark.parametrize("is_listed", [True, False])
@pytest.mark.parametrize("seed", [1, 2])
def test_each_port_misses_what_it_misses_though_missed_crossings_have_no_port(
    duckdb_engine: Engine, is_listed: bool, seed: int
) -> None:
    """Journeys there and back, nine in ten by one port, of which the gate misses some; by land more than by air."""
    rng = np.random.default_rng(seed)
    true = {("air", IN): 0.01, ("air", OUT): 0.03, ("land", IN): 0.06, ("land", OUT): 0.25}
    country = Country()
    for number in range(600):
        person = pseudonym(f"{number}")
        country.add(person)
        if is_listed:
            country.record(person, "register", valid_from=date(2005, 1, 1))
        ways = (OUT, IN) if is_listed else (IN, OUT)
        for turn in range(6):
            port = str(rng.choice(["air", "land"]))
            back = port if rng.random() < 0.9 else {"air": "land", "land": "air"}[port]
            day = PERIOD.from_date + int(40 + 400 * turn + rng.integers(0, 200)) * DAY
            for crossed, way, gate in ((day, ways[0], port), (day + 9 * DAY, ways[1], back)):
                if rng.random() >= true[gate, way]:
                    country.record(person, "crossings", crossed_date=crossed, direction=way, port=gate)
    odds = learn(duckdb_engine, country).ports.filter(pl.col("is_listed") == is_listed)
    for (gate, way), rate in true.items():
        own = odds.filter((pl.col("port") == gate) & (pl.col("is_arrival") == (way == IN)))
        # Four standard errors of a rate of 1,800 crossings, and what a prior of ten crossings moves it by.
        allowed = 4 * (rate / 1800) ** 0.5 + 10 / 1800 * 0.25
        found = own["odds"][0] / 1e9
        assert found / (1 + found) == pytest.approx(rate, abs=allowed)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_chance_makes_too_many_of_at_one_length_is_made_up_for_at_others(seed: int) -> None:
    """Of a hundred lengths with six intervals each nine in ten hide crossings: so many are to be expected in all."""
    n, share = 100, 0.9
    seen = np.random.default_rng(seed).poisson(6, n).astype(float)
    wide = [f"pair departure {number}" for number in range(n)]
    hidden = pl.DataFrame(
        {
            CELLS[0]: wide,
            CELLS[1]: [f"{name} whole national alive" for name in wide],
            "n": 6.0 * share,
            "n_donors": 600.0,
            "seen": seen,
            "told": pl.Series([None] * n, dtype=pl.Float64),
        }
    )
    cut = shrink_ratios(hidden, CELLS[:2])
    found = _expect_shares(hidden).join(hidden, on=CELLS[1])
    in_all = (found["expected"] * found["seen"]).sum() / seen.sum()
    assert in_all == pytest.approx(6 * share * n / seen.sum(), abs=0.03)
    assert cut["share"].mean() < in_all


def test_ratios_of_cells_that_are_alike_are_not_cut_by_chance() -> None:
    """Where every crossing looked for is hidden, cells of few hold to all of them; where cells differ, to their own."""
    rng = np.random.default_rng(3)
    names = [f"kind 1 {number}" for number in range(300)]
    alike = pl.DataFrame(
        {"wide": "kind 1", "narrow": names, "n": 6.0, "n_donors": 600.0, "seen": rng.poisson(6, 300)}
    )
    found = shrink_ratios(alike, ("wide", "narrow"))
    ratio = found["ratio"].to_numpy()
    assert ratio.std() < 0.05
    seen = found.join(alike.select("narrow", "seen"), on="narrow", maintain_order="left")["seen"].to_numpy()
    assert np.average(ratio.clip(0, 1), weights=seen) > 0.95
    differing = alike.with_columns(
        n=pl.Series([60.0, 6.0] * 150), n_donors=6000, seen=pl.Series(rng.poisson(60, 300))
    )
    found = shrink_ratios(differing, ("wide", "narrow"))
    of = dict(found.select("narrow", "ratio").iter_rows())
    assert all(of[name] > 0.6 for name in names[::2])
    assert all(of[name] < 0.3 for name in names[1::2])
    # A cell of which nothing is known has the ratio of all, and an error that says so.
    unseen = pl.DataFrame({"wide": ["kind 1"], "narrow": ["kind 1 new"], "n": 0.0, "n_donors": 0, "seen": 0})
    together = shrink_ratios(pl.concat([differing, unseen.cast(differing.schema)]), ("wide", "narrow"))
    new = together.filter(pl.col("narrow") == "kind 1 new")
    of_all = differing["n"].to_numpy().sum() / differing["seen"].to_numpy().sum()
    assert new["ratio"][0] == pytest.approx(of_all, rel=0.05)
    assert (new["error"][0] > 2 * together.filter(pl.col("ratio") < 0.3)["error"]).all()


@pytest.mark.parametrize("p", [0.003, 0.05, 0.4, 0.95])
def test_chances_that_are_moved_stay_what_they_are_on_average(p: float) -> None:
    moves = np.random.default_rng(1).normal(0.0, 0.6, (1, 400_000))
    odds = p / (1 - p) * np.exp(keep_mean(moves, np.array([p]), 0.36))
    assert (odds / (1 + odds)).mean() == pytest.approx(p, rel=0.02)
    unmoved = p / (1 - p) * np.exp(moves)
    assert p in (0.4, 0.95) or (unmoved / (1 + unmoved)).mean() > 1.1 * p


def test_a_cell_hides_as_many_crossings_as_like_stays_would_have_missed() -> None:
    names = ["wide narrow", "wide narrow few", "wide other", "wide unseen"]
    cells = pl.DataFrame(
        {CELLS[0]: ["wide"] * 4} | {cell: names for cell in CELLS[1:]} | {"shape": [None] * 4}
    )
    cells = cells.with_columns(pl.col("shape").cast(pl.String))
    hidden = cells.select(CELLS).with_columns(
        n=pl.Series([400.0, 1.0, 10.0, 0.0]),
        n_donors=pl.Series([4000.0, 10, 100, 0]),
        seen=pl.Series([800.0, 1, 1000, 0]),
        told=pl.Series([None] * 4, dtype=pl.Float64),
    )
    places = cells.with_columns(
        part_1=pl.lit(8), part_2=pl.lit(64), weight=pl.Series([1, 1, 3, 1]), n=pl.lit(30)
    )
    patterns = Patterns(pl.DataFrame(), hidden, places.with_columns(part_1=pl.Series([8, 8, 99, 8])))
    weighed, steps = weigh(patterns, cells)
    p = dict(weighed.select(CELLS[-1], "p").iter_rows())
    assert p["wide narrow"] == pytest.approx(0.5, abs=0.01)
    assert p["wide other"] == pytest.approx(0.01, abs=0.005)
    # One seen where one is expected to be hidden: between that and the rate of all.
    assert 411 / 1801 < p["wide narrow few"] < 0.7
    assert p["wide unseen"] == pytest.approx(411 / 1801, abs=0.03)
    errors = dict(weighed.select(CELLS[-1], "error").iter_rows())
    assert errors["wide narrow"] < 0.1 < errors["wide narrow few"]
    own = steps.join(weighed.select("place", CELLS[-1]), on="place")
    assert own.filter(pl.col(CELLS[-1]) == "wide other")["part_1"].unique().to_list() == [99]
    assert steps.group_by("place").len()["len"].unique().to_list() == [N_STEPS]
    nowhere, anywhere = step_places(places.clear(), cells)
    assert nowhere["place"].to_list() == [0] * 4
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


def abroad(*asked: tuple[date, str]) -> Country:
    """In the register all of them: forty who live here and go on trips, forty who live abroad and come on visits.

    The one who is asked about has come on visits too, as what is on record tells.
    """
    country = Country()
    for number in range(40):
        for kind, ways in (("resident", (OUT, IN)), ("abroad", (IN, OUT))):
            person = pseudonym(f"{kind} {number}")
            country.add(person)
            country.record(person, "register", valid_from=date(2005, 1, 1))
            for year in range(2012, 2020):
                day = date(year, 5, 1) + 2 * number * DAY
                missed = ways[1] == OUT and (number + year) % 10 == 0
                for crossed, way in ((day, ways[0]), (day + 12 * DAY, ways[1])):
                    if not (missed and way == OUT):
                        country.record(person, "crossings", crossed_date=crossed, direction=way)
    country.add(pseudonym("asked"), *asked)
    return country.record(pseudonym("asked"), "register", valid_from=date(2005, 1, 1))


def test_a_visitor_leaves_soon_after_coming_whatever_the_register_says(duckdb_engine: Engine) -> None:
    days = [date(2013, 3, 1), date(2014, 3, 1), date(2015, 3, 1), date(2016, 3, 1)]
    crossings = [one for day in days for one in ((day, IN), (day + 12 * DAY, OUT))]
    crossings.remove((days[1] + 12 * DAY, OUT))
    country = abroad(*crossings)
    found = country.draw(
        duckdb_engine, [NZ], FORTY, is_listed=True, initial_status=("first_crossing", "register")
    )
    asked = found["migration_draws"].filter(pl.col("person_id") == pseudonym("asked"))
    came = asked.filter((pl.col("direction") == "immigration") & (pl.col("counted_date") == days[1]))
    assert came["draw"].n_unique() < 0.2 * FORTY.number


@pytest.mark.parametrize("kind", ["activity", "register", "permits"])
def test_what_begins_after_the_last_day_observed_says_nothing(duckdb_engine: Engine, kind: str) -> None:
    def country(*, is_later: bool) -> Country:
        # A sign of life speaks of a return, the others of a stay.
        left = [(date(2018, 3, 11), OUT)] if kind == "activity" else []
        made = visitors(20, (date(2018, 3, 1), IN), *left)
        if is_later:
            for person in ("asked", "visitor 3"):
                until = {"valid_to": date(2021, 3, 1)} if kind != "register" else {}
                made.record(pseudonym(person), kind, valid_from=date(2020, 1, 1), purpose="work", **until)
        return made

    without, found = (
        country(is_later=is_later).draw(
            duckdb_engine, [NZ], FORTY, is_listed=True, initial_status=("not_listed",)
        )
        for is_later in (False, True)
    )
    for name, rows in without.items():
        assert found[name].sort(pl.all()).equals(rows.sort(pl.all())), name


def test_three_missed_in_a_row_look_like_one(duckdb_engine: Engine) -> None:
    """Who goes abroad every year for twelve days is without a record for two years where three are missing."""
    country = Country()
    for number in range(60):
        days = [date(year, 3, 1) + number * DAY for year in range(2012, 2020)]
        trips = [one for day in days for one in ((day, OUT), (day + 12 * DAY, IN))]
        # Of some a departure is missing, of others an arrival.
        missing = {0: 6, 1: 7}.get(number % 6)
        country.add(
            pseudonym(f"yearly {number}"), *(one for place, one in enumerate(trips) if place != missing)
        )
    places = learn(duckdb_engine, country).places
    long = places.filter(pl.col(CELLS[0]) == "between arrival 9")
    assert long["weight"].sum() > 0
    # The last departure: she was here until then, but for the trip of the year before.
    assert long.filter(pl.col("part_1") == (731 - 12) * N_PARTS // 731).height > 0.7 * long.height
    single = places.filter(pl.col(CELLS[0]) == "between arrival 8")
    assert 0 < long["weight"].sum() < single["weight"].sum() / 10
