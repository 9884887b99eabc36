"""Signs of life: what those who show some, and who show none, tell of crossings that nobody recorded."""

from datetime import date

import polars as pl
import pytest

from given_travellers import IN, OUT, PERIOD, Country
from miglink.engine import Engine
from miglink.stages.residence.draws.intervals import CELLS, Listings, count_delivered, describe_intervals
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


def test_others_are_likened_at_their_lengths() -> None:
    """Who stays for long shows a sign; that others of the group were silent for a shorter time says nothing else."""
    seen = [
        seen_at_ends(
            name, n=[0.0, 0, n], n_donors=[0.0, 0, 100 * n], seen=seen, confirmed=confirmed
        ).with_columns(pl.col(*CELLS).str.replace(" 10", f" {band}"))
        for name, band, n, seen, confirmed in (
            ("usual", 9, 1.0, [300.0, 0, 700], [300.0, 0, 700]),
            ("usual", 10, 1.0, [980.0, 0, 20], [980.0, 0, 20]),
            ("few", 9, 90.0, [3.0, 0, 97], [3.0, 0, 7]),
            ("few", 10, 90.0, [6.0, 0, 100], [0.0, 0, 0]),
        )
    ]
    told = dict(match_signs(pl.concat(seen), 0.5).select(CELLS[1], "told").iter_rows())
    assert told["end arrival 10 few silent"] > 0.98


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


def share_here(engine: Engine, country: Country) -> float:
    """The share of draws in which the one who is asked about lives here in the end; without doubt as found."""
    found = country.draw(engine, [NZ], FORTY, is_listed=True, initial_status=("register", "not_listed"))
    own = (pl.col("person_id") == pseudonym("asked")) & pl.col("to_date").is_null()
    drawn, settled = (found[table].filter(own) for table in ("residence_draws", "residence"))
    last = settled if drawn.is_empty() else drawn
    return last.filter(status="resident").height / last.height


def stayers(*kinds: str) -> Country:
    """Thirty who came and stay, thirty who came and are silent, as asked is but for records of some kinds."""
    came = date(2014, 9, 1)
    country = visitors(2, (came, IN))
    for number in range(30):
        stays, gone = pseudonym(f"stays {number}"), pseudonym(f"gone {number}")
        country.add(
            stays, (date(2012, 2, 1) + 5 * number * DAY, IN), (date(2019, 2, 1) + 5 * number * DAY, OUT)
        )
        show_signs(country, stays, 2013)
        country.add(gone, (came + 10 * number * DAY, IN))
    for kind in kinds:
        field = "record_date" if kind == "people" else "valid_from"
        country.record(pseudonym("asked"), kind, **{field: date(2019, 3, 15)})
    return country


def test_who_was_counted_in_a_census_or_shows_a_sign_in_the_last_year_is_here(duckdb_engine: Engine) -> None:
    """In the last year not all signs have come in; one that has says what any other says."""
    assert share_here(duckdb_engine, stayers()) < 0.3
    for kind in ("people", "activity"):
        assert share_here(duckdb_engine, stayers(kind)) > 0.9


@pytest.mark.parametrize(("length", "stays"), [(400, False), (6 * 365, True)])
def test_who_is_in_the_register_after_a_permit_has_lapsed_has_left(
    duckdb_engine: Engine, length: int, *, stays: bool
) -> None:
    """Where others whose permits lapsed left as well; that of a settled person lapses on paper."""
    country = Country()
    for number in range(60):
        # All of them cross every year and leave when the permit ends; of some that, or another departure, is missing.
        person, came = pseudonym(f"worker {number}"), date(2012, 2, 1) + 5 * number * DAY
        trips = [
            (came + (300 * year + days) * DAY, way)
            for year in range(3)
            for days, way in ((0, IN), (290, OUT))
        ]
        seen = [trip for place, trip in enumerate(trips) if place != (5, 1, None)[number % 3]]
        country.add(person, *seen)
        country.record(person, "register", valid_from=came)
        country.record(person, "permits", valid_from=came, valid_to=came + 920 * DAY, purpose="work")
        lives = pseudonym(f"lives {number}")
        country.add(lives, (date(2014, 5, 1) + number * DAY, OUT), (date(2014, 6, 1) + number * DAY, IN))
        country.record(lives, "register", valid_from=date(2005, 1, 1))
    asked = pseudonym("asked")
    country.add(asked, (date(2014, 1, 1), IN), (date(2014, 12, 1), OUT), (date(2015, 1, 10), IN))
    country.record(asked, "register", valid_from=date(2014, 1, 1))
    permit_to = date(2015, 2, 1)
    country.record(asked, "permits", valid_from=permit_to - length * DAY, valid_to=permit_to, purpose="work")
    assert (share_here(duckdb_engine, country) > 0.85) == stays


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


def test_signs_of_life_that_are_not_delivered_yet_are_looked_for_on_no_other_day(
    duckdb_engine: Engine,
) -> None:
    """Of yearly signs of a hundred persons sixty are there for the last year, and four are missing in the year before.

    The first is no chance. Whoever is looked at on a day of another year shows as many in its last year.
    """
    end = 50_000
    middles = [end - 183 - 365 * years for years in range(6)]
    rows = [
        {"person_key": key, "day": day, "delivered": (key + 0.5) / 100}
        for years, day in enumerate(middles)
        for key in range({0: 60, 1: 96}.get(years, 100))
    ]
    signs = duckdb_engine.frame("given_signs", pl.DataFrame(rows))
    delivered = count_delivered(duckdb_engine, signs, end)
    assert dict(delivered.rows()) == {0: 1.0, 1: pytest.approx(0.6), 2: 1.0, 3: 1.0, 4: 1.0, 5: 1.0}
    nobody = pl.DataFrame(schema={"person_key": pl.Int64})
    listed = pl.DataFrame(
        schema=dict.fromkeys(("person_key", "from_day", "until_day", "lapse_day"), pl.Int64)
    )
    listings = Listings(
        duckdb_engine.frame("given_listed", listed), signs, duckdb_engine.frame("given_nationals", nobody)
    )
    # A year earlier, from after the sign before the last one on.
    asked = {
        "is_arrival": True,
        "port_group": 0,
        "stays": 0,
        "from_day": end - 365 - 400,
        "until_day": end - 365,
    }
    kinds = ("end", "pair")
    intervals = pl.DataFrame(
        [
            {"number": 100 * place + key, "kind": kind, "person_key": key, **asked}
            for place, kind in enumerate(kinds)
            for key in range(100)
        ]
    )
    table = duckdb_engine.frame("given_intervals", intervals)
    for share, expected in ((delivered, {"end": 60, "pair": 96}), (None, {"end": 96, "pair": 96})):
        name = "donors" if share is not None else "own"
        described = describe_intervals(duckdb_engine, f"given_{name}", table, listings, share)
        found = duckdb_engine.collect("SELECT kind, signs FROM d", d=described)
        alive = found.filter(pl.col("signs") == " alive").group_by("kind").len()
        assert dict(alive.rows()) == expected
