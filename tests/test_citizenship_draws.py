"""The day on which a foreigner became a citizen: between the records that bound it, in every draw of every table."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from given_country import ABROAD, RESIDENT, Country, figure
from given_tables import make_table
from miglink.engine import Engine
from miglink.stages.persons.citizenships import draw_citizenships
from miglink.stages.persons.draws import Draws

OWN, DRAWS = "QMR", Draws(200, 1)
PERMIT, PASSPORT = date(2010, 1, 1), date(2014, 1, 1)
DRAWN = (1, 2, 3, 4)


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
            "source": "visas",
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
    assert (drawn < middle).sum() == pytest.approx(100, abs=20)
    assert drawn.n_unique() > 150


def test_a_foreign_passport_at_the_border_says_that_the_day_came_later(duckdb_engine: Engine) -> None:
    """Not for sure: some go on showing it. Without it a quarter of the days would lie in the last year."""
    last = date(2013, 1, 1)
    records = (("permits", PERMIT, "SYR"), ("crossings", last, "SYR"), ("crossings", PASSPORT, OWN))
    assert 150 < (days(duckdb_engine, *records) > last).sum() < 200


def days_of(engine: Engine, bounds: list[tuple[date, date]]) -> pl.DataFrame:
    """The drawn days of persons, p0000 and so on, with a permit on the first day and an own passport on the last."""
    people = [f"p{number:04}" for number in range(len(bounds))]
    rows = [
        (person, day, kind, held)
        for person, (permit, passport) in zip(people, bounds, strict=True)
        for kind, day, held in (("permits", permit, "SYR"), ("crossings", passport, OWN))
    ]
    records = pl.DataFrame(rows, schema=["person_id", "record_date", "kind", "citizenship"], orient="row")
    records = records.with_columns(
        source="kind",
        identity_id="person_id",
        citizenship_2=pl.lit(None, pl.String),
        ended_date=pl.lit(None, pl.Date),
    )
    traits = [
        {
            "person_id": person,
            "trait": "citizenship",
            "value": OWN,
            "valid_from": passport,
            "source": "permits",
        }
        for person, (_, passport) in zip(people, bounds, strict=True)
    ]
    given = engine.frame("given_records", records), make_table(engine, "person_traits", traits)
    return engine.collect("SELECT * FROM t", t=draw_citizenships(engine, *given, OWN, DRAWS))


def test_a_year_in_which_many_became_citizens_is_likelier(duckdb_engine: Engine) -> None:
    """Of ten the day lies between one and four years after the permit, of forty within the second."""
    second = date(2011, 1, 1), date(2011, 12, 31)
    drawn = days_of(duckdb_engine, [(PERMIT, PASSPORT)] * 10 + [second] * 40)
    wide = drawn.filter(pl.col("person_id") < "p0010")
    share = wide.filter(pl.col("valid_from").dt.year() == 2011).height / wide.height
    # A quarter if all years were alike.
    assert share > 0.5


@pytest.mark.parametrize("n_known", [0, 200])
def test_how_frequent_a_year_is_is_drawn_as_far_as_it_is_not_known(
    duckdb_engine: Engine, n_known: int
) -> None:
    """Of twelve the year is not known: together likelier in one draw than in another, unless others' years tell."""
    years = [(date(year, 1, 1), date(year, 12, 31)) for year in range(2010, 2014)]
    drawn = days_of(duckdb_engine, [(PERMIT, PASSPORT)] * 12 + years * n_known)
    wide = drawn.filter(pl.col("person_id") < "p0012")
    of_draw = (
        wide.group_by("draw").agg(n=(pl.col("valid_from").dt.year() == 2011).sum())["n"].cast(pl.Float64)
    )
    alone = 12 * 0.25 * 0.75
    assert of_draw.mean() == pytest.approx(3, abs=0.5)
    variance = of_draw.to_numpy().var()
    assert variance == pytest.approx(alone, rel=0.3) if n_known else variance > 1.5 * alone


def test_a_statement_that_is_no_crossing_rules_out_what_is_before_it(duckdb_engine: Engine) -> None:
    asked = date(2013, 1, 1)
    records = (("permits", PERMIT, "SYR"), ("people", asked, "SYR"), ("crossings", PASSPORT, OWN))
    assert (days(duckdb_engine, *records) > asked).all()


def test_who_has_but_shown_two_passports_may_have_had_both_from_birth(duckdb_engine: Engine) -> None:
    assert days(duckdb_engine, ("crossings", PERMIT, "SYR"), ("crossings", PASSPORT, OWN)).is_empty()


def test_figures_follow_the_drawn_day(engine: Engine) -> None:
    """Residents who became citizens in 2019 or 2020, in half the draws each; of one the status is drawn too."""
    country = Country()
    for person in ("settled", "doubtful"):
        country.add(person, (None, RESIDENT), citizenship="SYR", naturalised=(date(2019, 8, 1), "NZL"))
        change(country, person, *(date(2019, 4, 1) if draw <= 2 else date(2020, 3, 1) for draw in DRAWN))
    left = date(2019, 7, 1)
    country.doubt("doubtful", left, "missing_crossing")
    for draw in DRAWN:
        country.draw(draw, "doubtful", (left, ABROAD if draw in (1, 3) else RESIDENT), was=RESIDENT)
    tables = country.estimate(engine, draws=4, to=date(2020, 12, 31))
    stocks, flows = tables["stocks"], tables["flows"].filter(flow="emigration")

    def means(table: pl.DataFrame, period: str) -> list[float]:
        return [figure(table, period, citizenship_group=group)["mean"] for group in ("national", "other")]

    # The settled one in draws 1 and 2; the doubtful one lives here in draws 2 and 4, and is a citizen in 2.
    assert means(stocks, "2020-01-01") == [0.75, 0.75]
    assert means(stocks, "2021-01-01") == [1.5, 0]
    # Gone in draw 1 as a citizen, in draw 3 as a foreigner.
    assert means(flows, "2019") == [0.25, 0.25]
    assert figure(stocks, "2020-01-01", citizenship_group="other")["share_citizenship"] > 0
    # All groups together do not change with the day.
    whole = figure(stocks, "2020-01-01")
    assert (whole["mean"], whole["share_citizenship"]) == (1.5, 0)


def test_a_day_before_the_draws_of_a_status_moves_settled_migrations_too(duckdb_engine: Engine) -> None:
    country = Country()
    country.add(
        "came",
        (None, ABROAD),
        (date(2019, 9, 1), RESIDENT),
        citizenship="SYR",
        naturalised=(date(2019, 3, 1), "NZL"),
    )
    change(country, "came", date(2019, 11, 1), *(date(2019, 3, 1),) * 3)
    country.add("other", (None, RESIDENT))
    country.doubt("other", date(2019, 6, 1), "follow_up")
    for draw in DRAWN:
        country.draw(draw, "other", (date(2019, 6, 1), RESIDENT), was=RESIDENT)
    flows = country.estimate(duckdb_engine, draws=4)["flows"].filter(flow="immigration")
    means = [figure(flows, "2019", citizenship_group=group)["mean"] for group in ("national", "other")]
    assert means == [0.75, 0.25]


def change(country: Country, person: str, *days_of_draws: date) -> None:
    """The day of a change of citizenship in each draw from 1."""
    for draw, day in enumerate(days_of_draws, 1):
        row = {"draw": draw, "person_id": person, "trait": "citizenship", "valid_from": day}
        country.trait_draws.append(row)
