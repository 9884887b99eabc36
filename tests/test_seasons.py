"""Seasons: hidden crossings of long intervals lie in the months in which others leave and come for long."""

from datetime import date
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl

from miglink.engine import Engine
from miglink.stages.residence.draws.case import Case
from miglink.stages.residence.draws.missing import _draw_days
from miglink.stages.residence.draws.places import N_PARTS, N_STEPS
from miglink.stages.residence.draws.seasons import learn_seasons

FIRST = (date(2015, 1, 1) - date(1900, 1, 1)).days + 1


def crossings(engine: Engine, **columns: Any) -> Any:
    rows = {"is_listed": True, "stay_before": 2, "stay": 2, "is_arrival": False} | columns
    june = [FIRST + 365 * (row % 4) + 155 + row % 20 for row in range(100)]
    frame = pl.DataFrame({"day": june}).with_columns(**{name: pl.lit(value) for name, value in rows.items()})
    return engine.frame("given_crossings", frame)


def test_long_stays_of_who_is_listed_have_a_season(engine: Engine) -> None:
    weights = learn_seasons(engine, crossings(engine))
    assert weights.height == 24
    departures = weights.filter(~pl.col("is_arrival")).sort("month")["weight"].to_list()
    assert departures[5] == 1
    assert max(departures[:5] + departures[6:]) < 0.1
    # Of arrivals nothing is known, nor of short stays or of visitors.
    assert (weights.filter("is_arrival")["weight"] == 1).all()
    for told in ({"stay": 1}, {"stay_before": 1}, {"is_listed": False}):
        assert (learn_seasons(engine, crossings(engine, **told))["weight"] == 1).all()


def test_hidden_days_of_long_intervals_follow_the_season(engine: Engine) -> None:
    numbers = np.random.default_rng(1).random((3, 4000))
    hidden = pl.DataFrame(
        {
            "person_key": range(4000),
            "draw": 1,
            "key_1": 11,
            "key_2": 13,
            "n_alike": 100_000,
            "position": 1,
            "kind": "end",
            "is_arrival": True,
            "from_day": FIRST,
            "until_day": [FIRST + (730 if row % 2 else 100) for row in range(4000)],
            "place": 0,
            "place_of": numbers[0],
            "within": numbers[1],
            "accepts": numbers[2],
        }
    )
    every = (np.arange(N_STEPS) + 0.5) / N_STEPS * N_PARTS
    places = pl.DataFrame(
        {"place": 0, "step": range(N_STEPS), "part_1": np.floor(every), "part_2": np.floor(every)},
    )
    moves = pl.DataFrame({"kind": "end", "is_arrival": True, "draw": 1, "odds": 1.0})
    case = cast(Case, SimpleNamespace(name="given"))
    given = engine.frame("given_hidden", hidden), (engine.frame("given_places", places), moves)
    seasons = learn_seasons(engine, crossings(engine))
    drawn = engine.collect("SELECT * FROM t", t=_draw_days(engine, case, *given, seasons))
    assert drawn.height == 4000
    month = (pl.date(2015, 1, 1) + pl.duration(days=pl.col("day_1") - FIRST)).dt.month()
    length = pl.col("until_day") - pl.col("from_day")
    share = drawn.group_by(is_long=length > 183).agg(june=(month == 6).mean())
    june = dict(share.iter_rows())
    assert june[True] > 0.2  # of days alike a twelfth, and of four tries three in ten meet June
    assert june[False] == 0
    assert (drawn["day_1"].is_between(drawn["from_day"], drawn["until_day"])).all()
