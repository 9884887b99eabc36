"""Draws of stage residence: other histories that persons in doubt may have had."""

import hashlib
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import strategies as st

from given_examples import for_all
from given_travellers import IN, OUT, PERIOD, Country
from miglink.config import read_rule
from miglink.config.draws import DrawsSettings
from miglink.engine import Engine
from miglink.engine.duckdb_engine import DuckDBEngine
from miglink.stages.residence.draws.chances import PRIME, list_draws, luck_of, number_of, with_chances
from miglink.stages.residence.draws.shrinkage import shrink

NZ = read_rule("nz_12_16", Path())
DAY = timedelta(days=1)
LAST = PERIOD.to_date


def pseudonym(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def settled_country() -> Country:
    """Workers who come and stay, and tourists who leave after ten days, every year; the last of them a month ago."""
    country = Country()
    for year in range(2013, 2020):
        for number in range(8):
            worker, tourist = pseudonym(f"worker {year} {number}"), pseudonym(f"tourist {year} {number}")
            came = date(year, 12, 1) + DAY * number
            country.add(worker, (came, IN))
            country.add(tourist)
            for day, direction in ((came, IN), (came + 20 * DAY, OUT)):
                country.record(tourist, "crossings", crossed_date=day, direction=direction, purpose="tourism")
    return country


def test_chances_are_those_of_the_definition_whatever_the_order_of_rows(engine: Engine) -> None:
    people = pl.DataFrame({"person_id": [pseudonym("a"), pseudonym("b")], "place": [4, 7]})

    def draw(rows: pl.DataFrame) -> dict[tuple[str, int], float]:
        given = engine.step(
            "rows",
            f"SELECT p.*, {luck_of('person_id')} AS luck, d.* FROM people p CROSS JOIN draws d",
            people=rows,
            draws=list_draws(3, 5),
        )
        lucky = with_chances(engine, "lucky", given, "place", "becomes")
        found = engine.collect("SELECT person_id, draw, becomes FROM lucky", lucky=lucky)
        return {(person, draw): chance for person, draw, chance in found.iter_rows()}

    found = draw(people)
    assert found == draw(people.reverse())
    for person, place in people.iter_rows():
        for draw_number, key_1, key_2 in list_draws(3, 5).iter_rows():
            x = int(person[:8], 16) % PRIME
            for added in (key_1, place * 69621 + number_of("becomes"), key_2):
                x = pow(x + added, 5, PRIME)
            assert found[person, draw_number] == pytest.approx((x + 0.5) / PRIME, abs=1e-12)


def test_chances_are_uniform_and_independent(duckdb_engine: Engine) -> None:
    people = pl.DataFrame({"person_id": [pseudonym(str(number)) for number in range(4000)]})
    given = duckdb_engine.step(
        "rows",
        f"SELECT p.*, {luck_of('person_id')} AS luck, d.* FROM people p CROSS JOIN draws d",
        people=people,
        draws=list_draws(20, 1),
    )
    lucky = with_chances(duckdb_engine, "lucky", given, "2", "one", "other")
    found = duckdb_engine.collect("SELECT draw, one, other FROM lucky ORDER BY person_id, draw", lucky=lucky)
    one, other = (found[name].to_numpy().reshape(-1, 20) for name in ("one", "other"))
    assert np.histogram(one, 10, (0, 1))[0] == pytest.approx(np.full(10, 8000), rel=0.05)
    between_draws = np.corrcoef(one.T) - np.eye(20)
    assert np.abs(between_draws).max() < 0.08
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.02


def test_shares_of_few_cases_are_drawn_towards_the_cell_that_holds_them() -> None:
    counts = pl.DataFrame(
        {
            "wide": ["a", "a", "a", "b"],
            "narrow": ["a many", "a few", "a none", "b many"],
            "n": [1000.0, 2.0, 0.0, 1000.0],
            "k": [900.0, 0.0, 0.0, 100.0],
        }
    )
    shares = shrink(counts, ["wide", "narrow"], 400, (1,))
    p = dict(shares.cells.filter(pl.col("level") == 2).select("cell", "p").iter_rows())
    assert p["a many"] == pytest.approx(0.9, abs=0.02)
    assert p["b many"] == pytest.approx(0.1, abs=0.02)
    assert p["a none"] == pytest.approx(0.9, abs=0.03)
    assert 0.3 < p["a few"] < p["a none"]
    drawn = dict(zip(shares.cells["cell"], shares.drawn, strict=True))
    assert drawn["b many"].mean() == pytest.approx(p["b many"], abs=0.01)
    assert drawn["b many"].std() == pytest.approx(np.sqrt(0.1 * 0.9 / 1000), rel=0.3)
    assert drawn["a few"].std() > 1.2 * drawn["a many"].std()
    assert (shrink(counts.reverse(), ["wide", "narrow"], 400, (1,)).drawn == shares.drawn).all()


def test_a_cell_unlike_the_others_is_not_drawn_towards_them() -> None:
    """Where forty cells are as the one that holds them, one of which six of six count is none of these."""
    names = [f"a {number:02}" for number in range(42)]
    n = [200.0] * 40 + [6.0, 1.0]
    k = [8.0] * 40 + [6.0, 1.0]
    shares = shrink(
        pl.DataFrame({"wide": ["a"] * 42, "narrow": names, "n": n, "k": k}), ["wide", "narrow"], 2000, (1,)
    )
    p = dict(shares.cells.filter(pl.col("level") == 2).select("cell", "p").iter_rows())
    assert p["a 00"] == pytest.approx(0.04, abs=0.01)
    assert p["a 40"] > 0.5
    # One of one may be chance.
    assert p["a 41"] < 0.3
    drawn = dict(zip(shares.cells["cell"], shares.drawn, strict=True))
    assert drawn["a 40"].mean() == pytest.approx(p["a 40"], abs=0.03)


def test_unfinished_crossings_become_what_like_ones_have_become(duckdb_engine: Engine) -> None:
    found = settled_country().draw(duckdb_engine, [NZ])
    migrations = found["migrations"].filter(pl.col("outcome") == "undetermined")
    chance = {
        row["person_id"]: row["p_migration"]
        for row in migrations.filter(pl.col("direction") == "immigration").iter_rows(named=True)
    }
    workers = [chance[pseudonym(f"worker 2019 {number}")] for number in range(8)]
    tourists = [chance[pseudonym(f"tourist 2019 {number}")] for number in range(8)]
    assert min(workers) > 0.7
    assert max(tourists) < 0.3
    causes = found["doubts"].filter(pl.col("from_date") >= date(2019, 12, 1))["cause"]
    assert set(causes) == {"follow_up"}
    model = found["follow_up"].filter(pl.col("level") == 3)
    work = model.filter(pl.col("cell").str.contains("work") & (pl.col("n_settled") > 0))
    assert all(p > 0.5 for p in work["p_migration"])
    assert model["n_open"].sum() >= 16


def test_without_draws_nothing_is_drawn(duckdb_engine: Engine) -> None:
    found = settled_country().draw(duckdb_engine, [NZ], DrawsSettings(number=0))
    for name in ("doubts", "residence_draws", "migration_draws", "follow_up"):
        assert found[name].is_empty()
    assert found["migrations"].filter(pl.col("outcome") == "undetermined")["p_migration"].null_count() > 0


def gap(came: date, again: date) -> Country:
    """Somebody who arrives twice, among others whose visits last ten days."""
    country = settled_country()
    return country.add(pseudonym("gap"), (came, IN), (again, IN), (again + 10 * DAY, OUT))


def test_a_missing_crossing_lies_between_its_bounds_as_others_do(duckdb_engine: Engine) -> None:
    came, again = date(2014, 3, 1), date(2016, 3, 1)
    country = gap(came, again)
    for number in range(30):
        visitor, first = pseudonym(f"visitor {number}"), date(2013, 1, 10) + 20 * number * DAY
        back = first + 700 * DAY
        country.add(visitor, (first, IN), (first + 10 * DAY, OUT), (back, IN), (back + 5 * DAY, OUT))
    found = country.draw(duckdb_engine, [NZ])
    own = pl.col("person_id") == pseudonym("gap")
    assert found["doubts"].filter(own)["cause"].to_list() == ["missing_crossing"]
    drawn = found["residence_draws"].filter(own & (pl.col("from_date") > came))
    # Like those of the others, the first stay was a visit: in most draws nobody came to live here.
    n_migrations = found["migration_draws"].filter(own).height
    assert n_migrations < 10
    assert drawn.filter(~pl.col("from_date").is_between(came, again + 10 * DAY)).is_empty()


histories = st.lists(st.tuples(st.integers(1, 400), st.sampled_from([IN, OUT])), min_size=1, max_size=9)


@for_all(
    6,
    histories=st.lists(histories, min_size=2, max_size=5),
    policy=st.sampled_from(["unresolved", "midpoint"]),
)
def test_drawn_histories_are_whole_and_agree_with_what_is_settled(
    engine: Engine, histories: list[list[tuple[int, str]]], policy: str
) -> None:
    country = settled_country()
    for number, steps in enumerate(histories):
        days = np.cumsum([gap for gap, _ in steps])
        crossings = [
            (PERIOD.from_date + int(day) * DAY, way) for day, (_, way) in zip(days, steps, strict=True)
        ]
        country.add(pseudonym(f"person {number}"), *(one for one in crossings if one[0] <= LAST))
    found = country.draw(engine, [NZ], DrawsSettings(number=4), policies=(policy,))
    check_drawn(found)
    if policy == "midpoint":
        check_settled(found)


def check_drawn(found: dict[str, pl.DataFrame]) -> None:
    """Statuses follow each other without a gap, and each change of status is one migration."""
    keys = ["draw", "person_id", "part", "rule", "policy", "linkage"]
    rows = found["residence_draws"].sort(*keys, "from_date")
    assert set(rows["status"]) <= {"resident", "non_resident"}
    followed = rows.with_columns(
        next_date=pl.col("from_date").shift(-1).over(keys),
        next_before=pl.col("status_before").shift(-1).over(keys),
    ).filter(pl.col("next_date").is_not_null())
    assert (followed["to_date"] == followed["next_date"]).all()
    assert (followed["status"] == followed["next_before"]).all()
    changed = rows.filter(pl.col("status") != pl.col("status_before")).select(
        *keys,
        counted_date="from_date",
        direction=pl.when(pl.col("status") == "resident")
        .then(pl.lit("immigration"))
        .otherwise(pl.lit("emigration")),
    )
    moved = found["migration_draws"].select(changed.columns)
    assert changed.sort(changed.columns).equals(moved.sort(changed.columns))
    doubts = found["doubts"].select("person_id", "rule", "policy", since="from_date")
    first = (
        rows.group_by(keys).agg(pl.col("from_date").min()).join(doubts, on=["person_id", "rule", "policy"])
    )
    assert (first["from_date"] == first["since"]).all()
    assert first["draw"].n_unique() == rows["draw"].n_unique()


def check_settled(found: dict[str, pl.DataFrame]) -> None:
    """Where the best linkage tells a status, every draw has it."""
    far = date(2100, 1, 1)
    known = found["residence"].filter(pl.col("status") != "undetermined")
    both = (
        found["residence_draws"]
        .join(known, on=["person_id", "rule", "policy"], suffix="_known")
        .filter(
            pl.max_horizontal("from_date", "from_date_known")
            < pl.min_horizontal(pl.col("to_date").fill_null(far), pl.col("to_date_known").fill_null(far))
        )
    )
    assert (both["status"] == both["status_known"]).all()


def test_draws_are_the_same_on_both_engines_and_in_any_order_of_rows(engine: Engine, tmp_path: Path) -> None:
    country = gap(date(2014, 3, 1), date(2016, 3, 1))
    other = Country()
    other.persons, other.records, other.owners = country.persons[::-1], country.records[::-1], country.owners
    found = country.draw(engine, [NZ], DrawsSettings(number=3))
    with closing(DuckDBEngine(tmp_path / "other")) as duckdb:
        expected = other.draw(duckdb, [NZ], DrawsSettings(number=3))
    for name in ("doubts", "residence_draws", "migration_draws"):
        rows = expected[name]
        assert found[name].select(rows.columns).sort(rows.columns).equals(rows.sort(rows.columns)), name


def test_a_child_has_the_drawn_status_of_its_mother(duckdb_engine: Engine) -> None:
    country = settled_country()
    came, born = LAST - 60 * DAY, LAST - 30 * DAY
    mother, child = pseudonym("mother"), pseudonym("child")
    country.add(mother, (came, IN))
    country.add(child, birth_date=born, is_born_here=True, mother_person_id=mother)
    rows = country.draw(duckdb_engine, [NZ])["residence_draws"]
    ages = {
        row["draw"]: row["status"]
        for row in rows.filter(pl.col("person_id") == mother).sort("from_date").iter_rows(named=True)
    }
    children = rows.filter(pl.col("person_id") == child)
    assert children.height == 20
    assert all(row["status"] == ages[row["draw"]] for row in children.iter_rows(named=True))
    assert {"resident", "non_resident"} >= set(children["status"])


def test_who_left_many_years_ago_did_not_surely_come_back(duckdb_engine: Engine) -> None:
    """Observed for longer than stays are counted in days: whoever is away still is not taken to have returned."""
    period = PERIOD.model_copy(update={"from_date": date(2004, 1, 1)})
    country, left = Country(), date(2006, 3, 1)
    assert (period.to_date - left).days > 4000
    for number in range(30):
        trips = [date(year, 3, 1) + DAY * number for year in range(2006, 2020)]
        crossings = [one for trip in trips for one in ((trip, OUT), (trip + 10 * DAY, IN))]
        # Of some one return is missing, so that others may be too.
        country.add(
            pseudonym(f"resident {number}"), *(crossings[:9] + crossings[10:] if number < 5 else crossings)
        )
    country.add(pseudonym("leaver"), (left, OUT))
    found = country.draw(duckdb_engine, [NZ], period=period)
    own = pl.col("person_id") == pseudonym("leaver")
    if found["doubts"].filter(own).is_empty():
        assert found["migrations"].filter(own)["outcome"].to_list() == ["migration"]
    else:
        assert found["migration_draws"].filter(own).height > 10
