"""Back-tests of unfinished follow-up: what earlier years forecast, what became of it, and what a reader is told."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from given_published import little_run, make_whole
from given_tables import make_table
from given_travellers import IN, OUT, Country
from miglink.engine import Engine
from miglink.stages.publish import render_summary
from miglink.stages.residence.draws.features import LEVELS
from miglink.stages.residence.draws.follow_up import _compare_cuts, _forecast_cuts
from test_residence_draws import NZ, pseudonym


def yearly(n_migrations: list[int], n: int = 400) -> pl.DataFrame:
    """Counts of cuts a year apart: of n arrivals of one kind so many became a migration."""
    cells = {"direction": "arrival", "group_name": "other", "quarter": 1, **dict.fromkeys(LEVELS, "all")}
    return pl.DataFrame(
        [
            cells | {"cut_day": 365 * year, "n": float(n), "k": float(k), "n_cases": n, "k_cases": k}
            for year, k in enumerate(n_migrations)
        ]
    )


def test_a_forecast_is_what_the_other_days_make_of_it() -> None:
    found = _compare_cuts(_forecast_cuts(yearly([120, 100, 110, 300])))
    assert found["cut_date"].to_list() == [date(1900, 1, 1) + timedelta(days=365 * year) for year in range(4)]
    assert found["n_open"].to_list() == [400] * 4
    assert found["n_migrations"].to_list() == [120, 100, 110, 300]
    others = [(100 + 110 + 300) / 1200, (120 + 110 + 300) / 1200, (120 + 100 + 300) / 1200, 330 / 1200]
    assert found["n_forecast"].to_list() == pytest.approx([400 * p for p in others], rel=0.01)
    # By chance alone 400 × .275 × .725 have a standard error of 9; the years before lie further apart than that.
    assert found["standard_error"][3] > 3 * np.sqrt(400 * 0.275 * 0.725)


def test_one_day_alone_forecasts_nothing() -> None:
    assert _compare_cuts(_forecast_cuts(yearly([120]))).is_empty()
    assert _compare_cuts(_forecast_cuts(yearly([120]).clear())).is_empty()


@pytest.mark.parametrize(("seed", "rate"), [(1, 0.1), (2, 0.3), (3, 0.6)])
def test_years_that_differ_by_chance_lie_within_the_errors(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    apart = []
    for _ in range(60):
        tested = _compare_cuts(_forecast_cuts(yearly([int(k) for k in rng.binomial(400, rate, 6)])))
        apart += ((tested["n_migrations"] - tested["n_forecast"]) / tested["standard_error"]).to_list()
    assert 0.7 < np.std(apart) < 1.25
    assert np.mean(np.abs(apart) > 3) < 0.02


def country(n_staying_last: int) -> Country:
    """Twenty people come every December and are here at the end of the year; of 2017 so many stay, of others 15."""
    people = Country()
    for year in range(2013, 2020):
        for number in range(20):
            name, came = pseudonym(f"{year} {number}"), date(year, 12, 1) + timedelta(days=number % 10)
            stays = number < (n_staying_last if year == 2017 else 15)
            people.add(
                name, (came, IN), *([] if stays or year > 2017 else [(came + timedelta(days=90), OUT)])
            )
    return people


@pytest.mark.parametrize(("n_staying_last", "drift"), [(15, (-1.0, 1.0)), (2, (-99.0, -3.0))])
def test_a_year_unlike_the_others_is_found(
    duckdb_engine: Engine, n_staying_last: int, drift: tuple[float, float]
) -> None:
    tested = country(n_staying_last).draw(duckdb_engine, [NZ])["back_tests"].filter(direction="arrival")
    last = tested.filter(pl.col("cut_date") == tested["cut_date"].max()).row(0, named=True)
    assert last["cut_date"].year == 2017
    assert (last["n_open"], last["n_migrations"]) == (20, n_staying_last)
    assert last["n_forecast"] == pytest.approx(15, abs=1)
    assert drift[0] < (last["n_migrations"] - last["n_forecast"]) / last["standard_error"] < drift[1]


@pytest.mark.parametrize("drift", [-3.5, 2.9, 3.5])
def test_the_summary_tells_of_years_unlike_the_others(duckdb_engine: Engine, drift: float) -> None:
    run = little_run()
    measures = {"open": 312.0, "migrations": 90.0, "forecast": 130.4, "drift": drift}
    quality = make_table(
        duckdb_engine,
        "quality",
        [
            {
                "stage": "residence",
                "measure": f"follow_up_{name}",
                "item": "eu / midpoint / arrival",
                "value": n,
            }
            for name, n in measures.items()
        ],
    )
    stocks, flows, accounts = (
        make_whole(duckdb_engine, name, run[name]) for name in ("stocks", "flows", "accounts")
    )
    console = Console(width=400, color_system=None)
    with console.capture() as captured:
        console.print(render_summary(stocks, flows, accounts, quality))
    said = "(eu / midpoint / arrival): of 312 crossings" in captured.get()
    assert said == (abs(drift) > 3)
    assert ("90 became a migration, where earlier years make 130 likely, 3.5" in captured.get()) == said
