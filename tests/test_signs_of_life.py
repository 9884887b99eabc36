"""Signs of life: what those who show some, and who show none, tell of crossings that nobody recorded."""

from datetime import date

import polars as pl
import pytest

from given_travellers import IN, OUT, PERIOD, Country
from miglink.engine import Engine
from miglink.stages.residence.draws.intervals import CELLS
from miglink.stages.residence.draws.signs import hold_to_signs, match_signs
from test_hidden_crossings import DAY, FORTY, NZ, pseudonym, registered, share_immigrated, visitors


def seen_at_ends(name: str, **counts: list[float]) -> pl.DataFrame:
    """A group of ends by signs of life (alive, lived, silent), one finest cell each."""
    cells = [f"end arrival 10 {name} {sign}" for sign in ("alive", "lived", "silent")]
    told = {CELLS[0]: ["end arrival 10"] * 3} | {cell: cells for cell in CELLS[1:]}
    return pl.DataFrame({**told, **counts})


def test_signs_of_life_tell_how_many_have_left_unseen() -> None:
    # 60 of 260 are here, and 200 left at once; the rates expect 120 of them, and are hardly known.
    left = seen_at_ends(
        "left", n=[0.0, 4.0, 116.0], n_donors=[0.0, 40, 1160], seen=[36.0, 12, 212], confirmed=[60.0, 10, 30]
    )
    # Nearly all are here, a few more of them silent than of the confirmed; the rates expect 3.
    here = seen_at_ends(
        "here", n=[0.0, 0, 3], n_donors=[0.0, 0, 300], seen=[2000.0, 0, 600], confirmed=[1600.0, 0, 400]
    )
    told = match_signs(pl.concat([left, here]), 1.0)
    assert told.columns == [*left.columns, "told"]
    of = dict(told.select(CELLS[1], "told").iter_rows())
    assert of["end arrival 10 left silent"] == pytest.approx(194 / 212, abs=0.03)
    assert of["end arrival 10 left alive"] < 0.05
    assert of["end arrival 10 here silent"] < 0.03
    # Rates that are known well, signs of few: between the two.
    few = left.with_columns(pl.col("seen", "confirmed", "n") / 10, n_donors=pl.col("n_donors") * 100)
    less = match_signs(pl.concat([few, here]), 0.01).filter(pl.col(CELLS[1]).str.ends_with("left silent"))
    assert 116 / 212 < less["told"][0] < of["end arrival 10 left silent"]


def test_one_sign_of_life_does_not_outweigh_the_rates() -> None:
    """One person is seen, with signs; of those expected to have left half show some. That is little to go by."""
    one = seen_at_ends(
        "one", n=[0.2, 0.0, 0.2], n_donors=[40.0, 0, 40], seen=[1.0, 0, 0], confirmed=[95.0, 0, 5]
    )
    many = one.with_columns(pl.col(*CELLS[1:]).str.replace(" one ", " many "), pl.col("n", "seen") * 200)
    told = dict(match_signs(pl.concat([one, many]), 0.3).select(CELLS[1], "told").iter_rows())
    assert 0.1 < told["end arrival 10 one alive"] < 0.4
    assert told["end arrival 10 many alive"] < 0.1


def test_signs_that_all_show_alike_tell_nothing() -> None:
    alike = seen_at_ends("alike", n=[5.0, 5, 5], n_donors=[50.0] * 3, seen=[20.0] * 3, confirmed=[30.0] * 3)
    unknown = alike.with_columns(n=pl.Series([0.0, 0, 5]), confirmed=pl.lit(0.0))
    for counts in (alike, unknown):
        assert match_signs(counts, 0.1)["told"].is_null().all()


def test_shares_are_held_to_what_signs_tell() -> None:
    shares = pl.DataFrame(
        {
            CELLS[1]: ["a", "a", "a", "b", "c"],
            "share": [0.2, 0.5, 0.9, 0.3, 0.4],
            "seen": [10.0, 20, 0, 5, 0],
            "told": [0.8, 0.8, 0.8, None, 0.1],
        }
    )
    held = hold_to_signs(shares).to_list()
    assert (10 * held[0] + 20 * held[1]) / 30 == pytest.approx(0.8, abs=1e-6)
    assert held[0] < held[1] < held[2]
    # Nothing is told, or nobody seen to weigh by.
    assert held[3:] == [0.3, 0.4]


def show_signs(country: Country, person: str, since: int) -> None:
    for year in range(since, 2019):
        country.record(person, "activity", valid_from=date(year, 1, 1), valid_to=date(year, 12, 31))


def test_who_shows_no_sign_of_life_has_left_where_who_stays_shows_some(duckdb_engine: Engine) -> None:
    """Departures are seldom missed between two visits: by that alone most of those who came once would be here."""
    came = date(2014, 9, 1)

    def country(*, is_silent: bool) -> Country:
        made = visitors(2, (came, IN))
        for number in range(30):
            stays = pseudonym(f"stays {number}")
            made.add(
                stays, (date(2012, 2, 1) + 5 * number * DAY, IN), (date(2019, 2, 1) + 5 * number * DAY, OUT)
            )
            gone = pseudonym(f"gone {number}")
            made.add(gone, (came + 10 * number * DAY, IN))
            show_signs(made, stays, 2013)
            if not is_silent:
                show_signs(made, gone, 2015)
        if not is_silent:
            show_signs(made, pseudonym("asked"), 2015)
        return made

    assert share_immigrated(duckdb_engine, country(is_silent=True)) < 0.3
    assert share_immigrated(duckdb_engine, country(is_silent=False)) > 0.9


def test_who_never_crosses_and_shows_signs_of_life_lives_here(duckdb_engine: Engine) -> None:
    country = registered()
    for number in range(10):
        person = pseudonym(f"unlisted {number}")
        country.add(person)
        for year in (2014, 2016):
            country.record(person, "activity", valid_from=date(year, 1, 1), valid_to=date(year, 12, 31))
    for number in range(60):
        # They are like who is known to have come, shows signs of life since, and was registered late.
        known = pseudonym(f"settled {number}")
        country.add(known, (date(2012, 2, 1) + number * DAY, IN))
        for year in (2014, 2015, 2016):
            country.record(known, "activity", valid_from=date(year, 1, 1), valid_to=date(year, 12, 31))
        country.record(known, "register", valid_from=date(2017, 1, 1))
    found = country.draw(
        duckdb_engine, [NZ], FORTY, is_listed=True, initial_status=("register", "not_listed")
    )
    first = found["residence_draws"].filter(pl.col("from_date") == PERIOD.from_date - DAY)
    own = first.filter(pl.col("person_id").is_in([pseudonym(f"unlisted {number}") for number in range(10)]))
    assert own["person_id"].n_unique() == 10
    assert own.filter(pl.col("status") == "resident").height > 0.7 * 10 * FORTY.number
