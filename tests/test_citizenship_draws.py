"""The day on which a foreigner became a citizen: between the records that bound it, in every draw of every table."""

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from given_country import ABROAD, RESIDENT, Country
from given_tables import make_table
from miglink.engine import Engine
from miglink.stages.persons.citizenships import draw_citizenships
from miglink.stages.persons.draws import Draws
from test_intervals import figure

OWN, DRAWS = "QMR", Draws(200, 1)
PERMIT, PASSPORT = date(2010, 1, 1), date(2014, 1, 1)


def days(engine: Engine, *records: tuple[str, date, str], since: date = PASSPORT) -> pl.Series:
    """The drawn days of a person of these records (kind, date, citizenship), who counts as a citizen since then."""
    rows = [
        {
            "person_id": "p",
            "identity_id": "i",
            "source": kind,
            "kind": kind,
            "record_date": day,
            "citizenship": held,
        }
        for kind, day, held in records
    ]
    columns: dict[str, Any] = {"citizenship_2": None, "ended_date": None}
    frame = pl.DataFrame(
        [row | columns for row in rows], schema_overrides={"citizenship_2": pl.String, "ended_date": pl.Date}
    )
    traits = [
        {
            "person_id": "p",
            "trait": "citizenship",
            "value": "SYR",
            "valid_from": date(1, 1, 1),
            "valid_to": since,
        },
        {"person_id": "p", "trait": "citizenship", "value": OWN, "valid_from": since, "source": "crossings"},
    ]
    found = draw_citizenships(
        engine, engine.frame("given_records", frame), make_table(engine, "person_traits", traits), OWN, DRAWS
    )
    drawn = engine.collect("SELECT * FROM t ORDER BY draw", t=found)
    assert drawn["draw"].to_list() == list(range(1, DRAWS.number + 1)) or drawn.is_empty()
    return drawn["valid_from"]


def test_the_day_lies_anywhere_between_a_permit_and_the_first_own_passport(engine: Engine) -> None:
    drawn = days(engine, ("permits", PERMIT, "SYR"), ("crossings", PASSPORT, OWN))
    assert (drawn > PERMIT).all()
    assert (drawn <= PASSPORT).all()
    middle = PERMIT + (PASSPORT - PERMIT) / 2
    assert (drawn < middle).mean() == pytest.approx(0.5, abs=0.1)
    assert drawn.n_unique() > 150


def test_a_foreign_passport_at_the_border_says_that_the_day_came_later(duckdb_engine: Engine) -> None:
    """Not for sure: some go on showing it. Without it a quarter of the days would lie in the last year."""
    last = date(2013, 1, 1)
    records = (("permits", PERMIT, "SYR"), ("crossings", last, "SYR"), ("crossings", PASSPORT, OWN))
    share = (days(duckdb_engine, *records) > last).mean()
    assert isinstance(share, float)
    assert 0.75 < share < 1


def test_a_statement_that_is_no_crossing_rules_out_what_is_before_it(duckdb_engine: Engine) -> None:
    asked = date(2013, 1, 1)
    records = (("permits", PERMIT, "SYR"), ("people", asked, "SYR"), ("crossings", PASSPORT, OWN))
    assert (days(duckdb_engine, *records) > asked).all()


def test_who_has_but_shown_two_passports_may_have_had_both_from_birth(duckdb_engine: Engine) -> None:
    assert days(duckdb_engine, ("crossings", PERMIT, "SYR"), ("crossings", PASSPORT, OWN)).is_empty()


def test_figures_follow_the_drawn_day(engine: Engine) -> None:
    """Residents who became citizens in 2018 or 2019, in half the draws each; of one the status is drawn too."""
    country = Country()
    told = date(2019, 1, 1)
    for person in ("settled", "doubtful"):
        country.add(person, (None, RESIDENT), citizenship="SYR", naturalised=(told, "NZL"))
        for draw in range(1, 5):
            day = date(2018, 7, 1) if draw <= 2 else date(2019, 7, 1)
            country.trait_draws.append(
                {"draw": draw, "person_id": person, "trait": "citizenship", "valid_from": day}
            )
    left = date(2018, 10, 1)
    country.doubt("doubtful", left, "missing_crossing")
    for draw in range(1, 5):
        country.draw(draw, "doubtful", (left, ABROAD if draw in (1, 3) else RESIDENT), was=RESIDENT)
    tables = country.estimate(engine, draws=4, to=date(2019, 12, 31), periods=["year"])
    stocks, flows = tables["stocks"], tables["flows"].filter(flow="emigration")

    def mean(day: str, group: str) -> float:
        return float(figure(stocks, day, citizenship_group=group)["mean"])

    assert [mean("2018-01-01", group) for group in ("national", "other")] == [0, 2]
    # The settled one in draws 1 and 2; the doubtful one lives here in draws 2 and 4, and is a citizen in 2.
    assert [mean("2019-01-01", group) for group in ("national", "other")] == [0.75, 0.75]
    assert [mean("2020-01-01", group) for group in ("national", "other")] == [1.5, 0]
    # Gone in draw 1 as a citizen, in draw 3 as a foreigner.
    gone = [figure(flows, "2018", citizenship_group=group)["mean"] for group in ("national", "other")]
    assert gone == [0.25, 0.25]
    found = figure(stocks, "2019-01-01", citizenship_group="other")
    assert found["share_citizenship"] > 0
    # All groups together do not change with the day.
    whole = figure(stocks, "2019-01-01")
    assert (whole["mean"], whole["share_citizenship"]) == (1.5, 0)


def test_a_day_before_the_draws_of_a_status_moves_settled_migrations_too(duckdb_engine: Engine) -> None:
    country = Country()
    came = date(2018, 9, 1)
    country.add(
        "came", (None, ABROAD), (came, RESIDENT), citizenship="SYR", naturalised=(date(2018, 3, 1), "NZL")
    )
    for draw in range(1, 5):
        day = date(2018, 3, 1) + timedelta(days=300) if draw == 1 else date(2018, 3, 1)
        country.trait_draws.append(
            {"draw": draw, "person_id": "came", "trait": "citizenship", "valid_from": day}
        )
    country.add("other", (None, RESIDENT))
    country.doubt("other", date(2019, 6, 1), "follow_up")
    for draw in range(1, 5):
        country.draw(draw, "other", (date(2019, 6, 1), RESIDENT), was=RESIDENT)
    flows = country.estimate(duckdb_engine, draws=4, to=date(2019, 12, 31))["flows"].filter(
        flow="immigration"
    )
    means = [figure(flows, "2018", citizenship_group=group)["mean"] for group in ("national", "other")]
    assert means == [0.75, 0.25]
