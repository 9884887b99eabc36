"""Who lives here when observation begins and has no crossing on record: has stayed, or left unseen."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from given_travellers import IN, OUT, PERIOD, Country
from miglink.config.draws import DrawsSettings
from miglink.engine import Engine
from miglink.stages.residence.draws.intervals import CELLS
from test_hidden_crossings import NZ, learn, pseudonym

DAY = timedelta(days=1)
FORTY = DrawsSettings(number=40)
N_LEAVERS, N_STAYERS, N_TRAVELLERS, MISSED = 200, 100, 60, 0.3


def country_of(seed: int) -> tuple[Country, list[str], list[str]]:
    """Registered persons, of whom the gate misses three departures in ten: the country, and of those without a crossing
    who left and who stayed.

    Some travel every year, some leave once and for all, some never cross. Of who is here each year shows a sign of life
    as often as not.
    """
    rng = np.random.default_rng(seed)
    country, left, stayed = Country(), [], []

    def live(person: str, until: date) -> None:
        country.record(person, "register", valid_from=date(2000, 1, 1))
        for year in range(2012, until.year):
            if rng.random() < 0.5:
                first, last = date(year, 1, 1), date(year, 12, 31)
                country.record(person, "activity", record_date=first, valid_from=first, valid_to=last)

    for number in range(N_TRAVELLERS):
        days = [date(year, 2, 1) + int(rng.integers(0, 300)) * DAY for year in range(2012, 2019)]
        trips = [(day, OUT) for day in days if rng.random() >= MISSED] + [
            (day + 12 * DAY, IN) for day in days
        ]
        country.add(person := pseudonym(f"traveller {number}"), *sorted(trips))
        live(person, PERIOD.to_date)
    for number in range(N_LEAVERS):
        day = PERIOD.from_date + int(rng.integers(100, 2500)) * DAY
        is_missed = rng.random() < MISSED
        country.add(person := pseudonym(f"leaver {number}"), *([] if is_missed else [(day, OUT)]))
        live(person, day)
        left += [person] if is_missed else []
    for number in range(N_STAYERS):
        country.add(person := pseudonym(f"stayer {number}"))
        live(person, PERIOD.to_date)
        stayed.append(person)
    return country, left, stayed


@pytest.mark.parametrize("seed", [1, 2])
def test_who_never_crosses_may_have_left_unseen(duckdb_engine: Engine, seed: int) -> None:
    """As many as do so are drawn, most of them of those who did: signs of life tell."""
    country, left, stayed = country_of(seed)
    tables = country.draw(duckdb_engine, [NZ], FORTY, is_listed=True)
    drawn = tables["residence_draws"].filter(pl.col("policy") == "unresolved")
    gone = drawn.filter(pl.col("to_date").is_null() & (pl.col("status") == "non_resident"))
    n_of_leavers, n_of_stayers = (
        gone.filter(pl.col("person_id").is_in(persons)).height / FORTY.number for persons in (left, stayed)
    )
    assert n_of_leavers + n_of_stayers == pytest.approx(len(left), rel=0.35)
    assert n_of_leavers / len(left) > 3 * n_of_stayers / len(stayed)
    # They did so in all sorts of years.
    moves = tables["migration_draws"].filter(pl.col("person_id").is_in(left))
    assert moves["counted_date"].dt.year().n_unique() >= 5


def test_who_crosses_after_a_day_confirms_that_the_person_was_here_until_then(duckdb_engine: Engine) -> None:
    """Of who has no crossing by the days looked at, and departs later: all were there; who comes first was not."""
    country, _, _ = country_of(3)
    hidden = learn(duckdb_engine, country).hidden
    never = hidden.filter(pl.col(CELLS[0]).str.starts_with("never"))
    assert never[CELLS[0]].str.starts_with("never arrival ").all()
    assert never["seen"].sum() > never["n"].sum() > 0
    assert never.filter(pl.col("told").is_not_null()).height > 0
    silent, alive = (
        never.filter(pl.col(CELLS[1]).str.ends_with(f" {sign}")).select(pl.col("told").mean()).item()
        for sign in ("silent", "alive")
    )
    assert silent > alive


def test_who_has_died_or_is_unknown_here_has_not_left_unseen(duckdb_engine: Engine) -> None:
    """A death on record ends the history; of who was born here later the beginning is not that of observation."""
    country, _, _ = country_of(1)
    country.add(dead := pseudonym("dead"), death_date=date(2018, 6, 1))
    country.record(dead, "register", valid_from=date(2000, 1, 1))
    child = {"birth_date": date(2015, 5, 1), "is_born_here": True}
    country.add(born := pseudonym("born"), **child)
    country.record(born, "register", valid_from=date(2015, 5, 1))
    moves = country.draw(duckdb_engine, [NZ], FORTY, is_listed=True)["migration_draws"]
    assert moves.filter(pl.col("person_id").is_in([dead, born])).height == 0


def test_who_came_unseen_has_not_left_before(duckdb_engine: Engine) -> None:
    """Of who is first seen in a list of later years and never crosses: drawn as away at first, so drawn as arriving."""
    country, _, _ = country_of(1)
    late = [pseudonym(f"late {number}") for number in range(180)]
    for number, person in enumerate(late):
        listed = date(2014, 1, 1) + 5 * number * DAY
        # Who crossed on coming tells of others that they were away before, who left that they may have left too.
        crossings: tuple[list[tuple[date, str]], ...]
        crossings = [(listed - 5 * DAY, IN)], [(listed + 500 * DAY, OUT)], []
        country.add(person, *crossings[number % 3])
        country.record(person, "register", valid_from=listed)
    tables = country.draw(duckdb_engine, [NZ], FORTY, is_listed=True)
    unseen = pl.col("person_id").is_in(late[2::3])
    drawn = tables["residence_draws"].filter(unseen & (pl.col("from_date") < date(2013, 1, 1)))
    away = drawn.filter(pl.col("status") == "non_resident").select("person_id", "draw").unique()
    came = tables["migration_draws"].filter(unseen & (pl.col("direction") == "immigration"))
    assert away.height > 100
    assert away.join(came, on=["person_id", "draw"], how="anti").height == 0
