"""Where hidden crossings lie: whom a person is likened to, and how far that is known."""

import math
from datetime import date, timedelta
from statistics import NormalDist
from types import SimpleNamespace
from typing import cast

import numpy as np
import polars as pl
import pytest

from given_travellers import IN, OUT, Country
from miglink.config.draws import DrawsSettings
from miglink.engine import Engine
from miglink.stages.residence.draws import missing
from miglink.stages.residence.draws.case import Case
from miglink.stages.residence.draws.intervals import CELLS
from miglink.stages.residence.draws.patterns import _count_cells
from miglink.stages.residence.draws.places import N_PARTS, N_STEPS, step_places
from test_hidden_crossings import NZ, learn, pseudonym

DAY = timedelta(days=1)
FORTY = DrawsSettings(number=40)
N_ASKED = 40


def stayed(engine: Engine, n_alike: int, shared: float) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Of forty whose departure is missing, how many stayed for long in each draw.

    n_alike: others with the same days of arrival, of whom a quarter stayed for long. shared: how far the places of
    hidden crossings have an error in common.
    """
    country = Country()
    for number in range(n_alike + N_ASKED):
        came = date(2013, 1, 1) + 11 * (number % 60) * DAY
        left = came + (700 if number % 4 == 0 else 10) * DAY
        away = [(left, OUT)] if number < n_alike else []
        last = came + 800 * DAY
        country.add(pseudonym(f"visitor {number}"), (came, IN), *away, (last, IN), (last + 10 * DAY, OUT))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(missing, "_SHARED", shared)
        found = country.draw(engine, [NZ], FORTY, is_listed=True, initial_status=("not_listed",))
    asked = {pseudonym(f"visitor {number}") for number in range(n_alike, n_alike + N_ASKED)}
    moves = found["migration_draws"]
    own = moves.filter(
        moves["person_id"].is_in(asked)
        & (moves["direction"] == "immigration")
        & (moves["counted_date"].dt.year() < 2015)
    )
    return np.bincount(own["draw"].to_numpy(), minlength=FORTY.number + 1)[1:]


def test_few_who_are_alike_teach_little_of_where_crossings_lie(duckdb_engine: Engine) -> None:
    """All who are likened to the same few err together: as much as these few say of others like them."""
    few, many = (stayed(duckdb_engine, n_alike, shared=0.0) for n_alike in (20, 400))
    share = 0.25
    alone = N_ASKED * share * (1 - share)
    for found in (few, many):
        assert found.mean() == pytest.approx(N_ASKED * share, rel=0.25)
    assert many.var() < 1.6 * alone
    assert few.var() > 1.7 * alone


def test_that_hidden_crossings_lie_as_others_do_is_not_sure(duckdb_engine: Engine) -> None:
    without, found = (stayed(duckdb_engine, 400, shared) for shared in (0.0, 0.5))
    assert found.var() > 1.7 * without.var()
    assert found.mean() == pytest.approx(without.mean(), rel=0.25)


def test_places_that_are_moved_stay_as_frequent_on_average(duckdb_engine: Engine) -> None:
    """Of places all as likely one in twenty is in the first twentieth: more would be, were odds moved alone."""
    n_draws, n_each, n_days = 200, 500, 1000
    rng = np.random.default_rng(2)
    draws = np.repeat(np.arange(1, n_draws + 1), n_each)
    numbers = {name: rng.random(len(draws)) for name in ("place_of", "within", "accepts")}
    keys = {"key_1": 7919 * draws, "key_2": 104_729 * draws}
    hidden = pl.DataFrame({"person_key": range(len(draws)), "draw": draws, **keys, **numbers}).with_columns(
        pl.col("draw").cast(pl.Int32),
        kind=pl.lit("pair"),
        is_arrival=pl.lit(value=True),
        position=1,
        place=1,
        n_alike=100_000,
        from_day=42_000,
        until_day=42_000 + n_days,
    )
    part = np.floor((np.arange(N_STEPS) + 0.5) / N_STEPS * N_PARTS)
    places = pl.DataFrame({"place": 1, "step": range(N_STEPS), "part_1": part, "part_2": part})
    normal = NormalDist()
    moves = pl.DataFrame(
        {
            "kind": "pair",
            "is_arrival": True,
            "draw": pl.Series(range(1, n_draws + 1), dtype=pl.Int32),
            "odds": [math.exp(missing._SHARED * normal.inv_cdf((n + 0.5) / n_draws)) for n in range(n_draws)],
        }
    )
    case = cast(Case, SimpleNamespace(name="given"))
    given = duckdb_engine.frame("given_hidden", hidden), (duckdb_engine.frame("given_places", places), moves)
    months = range(1, 13)
    seasons = pl.DataFrame({"is_arrival": False, "month": pl.Series(months, dtype=pl.Int32), "weight": 1.0})
    drawn = duckdb_engine.collect(
        "SELECT * FROM t", t=missing._draw_days(duckdb_engine, case, *given, seasons)
    )
    early = drawn["day_1"] < 42_000 + n_days / 20
    assert early.mean() == pytest.approx(0.05, abs=0.0025)
    of_draw = drawn.select(early=early, draw=pl.Series(draws)[drawn["person_key"]]).group_by("draw").mean()
    assert of_draw["early"].to_numpy().std() > 0.02


def test_a_stay_that_may_hide_a_pair_is_no_likeness(duckdb_engine: Engine) -> None:
    """Who goes abroad for twelve days a year, one crossing in four missed, is never away for a year.

    Where both crossings of a stay at home are missing an absence of a year is on record. Of who then left again, the
    departure between two arrivals is not to be looked for at the beginning of such an absence.
    """
    rng = np.random.default_rng(5)
    country = Country()
    for number in range(150):
        days = [date(year, 2, 1) + number * DAY for year in range(2012, 2020)]
        trips = [one for day in days for one in ((day, OUT), (day + 12 * DAY, IN))]
        country.add(pseudonym(f"yearly {number}"), *(one for one in trips if rng.random() > 0.25))
    places = learn(duckdb_engine, country).places
    long = places.filter(places[CELLS[0]] == "between arrival 9")
    # Of two years here: gone after one, or a year later for twelve days.
    is_absence = long["part_1"] < 0.6 * N_PARTS
    absences, visits = (
        float(rows["weight"].to_numpy().sum() / rows["n"].to_numpy().sum())
        for rows in (long.filter(is_absence), long.filter(~is_absence))
    )
    assert long.filter(is_absence).height > 0
    assert absences < 0.5 * visits


def test_what_is_on_record_counts_as_far_as_it_hides_nothing(duckdb_engine: Engine) -> None:
    """A stay by how likely none of its parts hides a pair; who is likelier to have come twice confirms nothing."""
    days = {"from_day": 100, "mid_1": 300, "mid_2": None, "mid_3": None, "until_day": 600, "cut_day": None}
    stay = {"kind": "between", "weight": 1_000_000, "is_confirmed": False}
    end = {"kind": "end", "weight": None, "is_confirmed": True, "mid_1": None, "cut_day": 500}
    # Those that would be the last of who is not seen again, or the first: one stay, before the day or after it.
    alone = {**stay, "mid_1": None, "cut_day": 500}
    rows = [
        {"person_key": 1, **days, **stay},
        *({"person_key": key, **days, **end} for key in (2, 3)),
        *({"person_key": key, **days, **alone, "kind": kind} for key, kind in ((4, "end"), (5, "start"))),
    ]
    described = pl.DataFrame(rows).with_columns(
        *(pl.format("{} {}", "kind", "person_key").alias(cell) for cell in CELLS),
        pl.col("weight", "mid_1", "mid_2", "mid_3", "cut_day").cast(pl.Int64),
        shape=pl.lit(None, pl.String),
        part_1=102,
        part_2=102,
    )
    shares = [(1, 100, 0.5), (1, 300, 0.4), (2, 100, 0.6), (3, 100, 0.4), (4, 100, 0.3), (5, 100, 0.9)]
    believed = pl.DataFrame(
        [("confirmed end", *share) for share in shares] + [("confirmed start", 5, 600, 0.2)],
        schema={"kind": pl.String, "person_key": pl.Int64, "day": pl.Int64, "share": pl.Float64},
        orient="row",
    )
    engine = duckdb_engine
    found = _count_cells(engine, engine.frame("described", described), engine.frame("believed", believed))
    of = {
        cell: (weight, confirmed)
        for cell, weight, confirmed in found.select(CELLS[0], "weight", "confirmed").rows()
    }
    assert of["between 1"] == (200_000, 0)
    assert of["end 2"] == (None, pytest.approx(0.6e9))
    assert of["end 3"] == (None, 0)
    assert of["end 4"] == (300_000, 0)
    assert of["start 5"] == (200_000, 0)


def test_of_few_stays_others_tell_where_the_next_one_lies() -> None:
    """Fifteen who left at last are no proof that the next one did: five of twenty lie as those of the wider cell do."""
    names = ["few", "many", "none"]
    cells = pl.DataFrame({CELLS[0]: ["wide"] * 3, CELLS[1]: names}).with_columns(
        *(pl.lit(None, pl.String).alias(cell) for cell in (*CELLS[2:], "shape"))
    )
    n = pl.Series([15, 3000, 0])
    part = pl.Series([200, 3, 0])
    donors = cells.with_columns(part_1=part, part_2=part, weight=n * 10, n=n).filter(pl.col("n") > 0)
    numbers, places = step_places(donors, cells)
    early = [
        (places.filter(place=place)["part_1"] == 3).sum() / N_STEPS for place in numbers["place"].to_list()
    ]
    assert early == pytest.approx([5 / 20, 1, 3000 / 3020], abs=0.01)
    assert numbers["n_alike"].to_list() == [20, 3005, 3020]
    assert places.group_by("place").len()["len"].unique().to_list() == [N_STEPS]
    ordered = places.group_by("place", maintain_order=True).agg(pl.col("part_1").diff().min())
    assert ordered["part_1"].min() == 0
