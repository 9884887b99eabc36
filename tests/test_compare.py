"""Two runs compared: each revision by reason, in cases written out and on random histories; triangles, settings."""

import json
from collections.abc import Sequence
from datetime import date, timedelta
from io import StringIO
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from given_country import ABROAD, RESIDENT, TOTAL, UNCLEAR
from given_vintages import (
    BEFORE,
    CASES,
    COMES,
    DAY,
    FIRST,
    LAST,
    QUICK,
    STAYS,
    Held,
    copy_run,
    crossing,
    deliver,
    held,
    one,
    write_cases,
    write_run,
    write_runs,
)
from miglink.compare import Comparison, compare_runs, render_comparison
from miglink.tables import COMPARISON_TABLES


def movers(found: Comparison, **cell: str) -> dict[tuple[str, str, str], tuple[int, int]]:
    """Of settled totals of years and dates, or those of a cell: (figure, period, reason) -> added, removed."""
    chosen = {"dimension": "total", "measure": "n_settled"} | cell
    rows = found.tables["movers"].filter(pl.col("period").str.len_chars() != 7, **chosen)
    return {
        (row["figure"], row["period"], row["reason"]): (row["n_added"], row["n_removed"])
        for row in rows.iter_rows(named=True)
    }


def compare(folder: Path, earlier: Sequence[Held], later: Sequence[Held], **how: Any) -> Comparison:
    """Two runs a year apart; ids of persons have nothing to do with one another."""
    runs = write_runs(folder, {FIRST: deliver(earlier, "zz"), LAST: deliver(later, "a")}, **QUICK | how)
    return compare_runs(runs)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    return write_cases(tmp_path_factory.mktemp("vintages"))


@pytest.fixture(scope="module")
def found(runs: Sequence[Path]) -> Comparison:
    return compare_runs(runs[::-1])


def test_every_mover_has_its_reason(found: Comparison) -> None:
    """Each case moves what it says, for its reason, and disturbs no other."""
    came = {
        "new_person": (1, 0),
        "gone_person": (0, 1),
        "merged": (0, 1),
        "split": (1, 0),
        "regrouped": (0, 1),
        "new_records": (1, 0),
        "withdrawn_records": (0, 1),
        "changed_records": (0, 1),
        "settled": (1, 0),
        "unsettled": (0, 1),
        "longer_observation": (1, 0),
    }
    left = {"merged": (0, 1), "split": (1, 0)}
    # Of the two that are merged one was resident before the day and the other after it, as the one is now.
    stayed = {reason: n for reason, n in came.items() if reason not in ("merged", "split")}
    expected = {("immigration", "2017", reason): n for reason, n in came.items()}
    expected |= {("emigration", "2017", reason): n for reason, n in left.items()}
    expected |= {
        ("residents", f"{year}-01-01", reason): n for year in (2018, 2019) for reason, n in stayed.items()
    }
    assert movers(found) == expected
    assert movers(found, measure="n_undetermined") == {
        (figure, period, reason): n
        for figure, period in (
            ("immigration", "2017"),
            ("residents", "2018-01-01"),
            ("residents", "2019-01-01"),
        )
        for reason, n in {"settled": (0, 1), "unsettled": (1, 0)}.items()
    }


def test_reasons_add_up_to_the_revisions(found: Comparison) -> None:
    moved: dict[tuple[str, str], int] = {}
    for (figure, period, _), (added, removed) in movers(found).items():
        moved[figure, period] = moved.get((figure, period), 0) + added - removed
    revised = totals(found).filter(pl.col("period").str.len_chars() != 7)
    counted = {(row["figure"], row["period"]): row["revision"] for row in revised.to_dicts()}
    assert {key: n for key, n in counted.items() if key[0] != "net" and n} == {
        k: n for k, n in moved.items() if n
    }
    assert counted["net", "2017"] == moved["immigration", "2017"] - moved["emigration", "2017"]


def totals(found: Comparison) -> pl.DataFrame:
    return found.tables["revisions"].filter(**TOTAL)


def test_persons_and_records_are_counted_by_what_became_of_them(found: Comparison) -> None:
    matched = {
        tuple(row[:2]): row[2:] for row in found.tables["matched"].drop("earlier", "later").iter_rows()
    }
    assert matched == {
        ("persons", "same"): (11, 11),
        ("persons", "merged"): (2, 1),
        ("persons", "split"): (1, 2),
        ("persons", "regrouped"): (2, 2),
        ("persons", "new"): (0, 1),
        ("persons", "gone"): (1, 0),
        ("records", "same"): (16, 16),
        ("records", "changed"): (2, 2),
        ("records", "new"): (0, 2),
        ("records", "later"): (0, 1),
        ("records", "withdrawn"): (2, 0),
    }


def test_a_trait_moves_a_person_between_cells_alone(found: Comparison) -> None:
    """And of two runs of which only one names a cell, the other has nobody in it."""
    moved = movers(found, dimension="citizenship", value="AUS")
    assert moved == {
        ("immigration", "2017", "traits"): (1, 0),
        ("residents", "2018-01-01", "traits"): (1, 0),
        ("residents", "2019-01-01", "traits"): (1, 0),
    }
    of_nationals = movers(found, dimension="citizenship", value="NZL")
    assert of_nationals[("residents", "2018-01-01", "traits")] == (0, 1)
    assert not [key for key in movers(found, dimension="sex", value="female") if key[2] == "traits"]


def test_what_moves_within_a_year_moves_months_alone(found: Comparison) -> None:
    months = found.tables["movers"].filter(
        dimension="total", measure="n_settled", reason="changed_records", part="flows"
    )
    assert months.select("period", "n_added", "n_removed").rows() == [
        ("2017", 0, 1),
        ("2017-06", 0, 2),
        ("2017-08", 1, 0),
    ]


def test_another_rule_is_the_reason_on_the_same_data(tmp_path: Path) -> None:
    """Nothing but the rule can then have settled a crossing; without another rule, nothing of the person has."""
    rules = [{"name": "nz_12_16", "threshold": {"value": 183}}]
    earlier = [*CASES["settled"][0], held(one("other", DAY), STAYS)]
    later = [*CASES["settled"][1], held(one("other", DAY), STAYS, COMES)]
    before = write_run(tmp_path / "before", deliver(earlier, "a"), LAST, **QUICK)
    after = write_run(tmp_path / "after", deliver(later, "b"), LAST, **QUICK)
    plain = compare_runs([before, after])
    assert movers(plain, part="flows") == {
        ("immigration", "2017", "settled"): (1, 0),
        ("immigration", "2017", "other"): (1, 0),
    }
    config = json.loads((after / "manifest.json").read_text("utf-8"))["config"]
    ruled = copy_run(after, tmp_path / "ruled", config=config | {"residence": {"rules": rules}})
    found = compare_runs([before, ruled])
    assert movers(found, part="flows") == {("immigration", "2017", "settings"): (2, 0)}
    changes = [(c.key, c.earlier, c.later) for c in found.settings[0].changes]
    assert changes == [("residence.rules.nz_12_16.threshold.value", "365", "183")]
    assert plain.settings[0].changes == ()


def test_triangles_means_and_accounts_of_three_runs(tmp_path: Path) -> None:
    """Nobody is resident in the first run, one person in the second, two in the third: an immigration each."""
    undecided = [held(one(name, DAY), STAYS, (DAY, UNCLEAR)) for name in "ab"]
    settled = [held(one(name, DAY), STAYS, COMES) for name in "ab"]
    ends = {
        LAST: deliver(settled, "c"),
        date(2017, 12, 31): deliver(undecided, "a"),
        date(2018, 6, 30): deliver([settled[0], undecided[1]], "b"),
    }
    found = compare_runs(write_runs(tmp_path, ends, **QUICK))
    assert [vintage.data_to_date.year for vintage in found.vintages] == [2018, 2018, 2020]
    rows = found.tables["triangle"].filter(figure="net", period="2017")
    assert rows.select("vintage", "age_months", "n_settled", "n_undetermined").rows() == [
        (1, 0, 0, 2),
        (2, 6, 1, 1),
        (3, 24, 2, 0),
    ]
    means = found.tables["revisions_by_age"].filter(figure="immigration", kind="year", age_months=0)
    (row,) = means.to_dicts()
    assert (row["n_figures"], row["mean_revision"], row["mean_absolute_revision"]) == (1, 2.0, 2.0)
    revised = totals(found).filter(figure="residents", period="2018-01-01")
    assert revised.select("earlier", "later", "revision", "relative_revision").rows() == [
        (1, 2, 1, None),
        (2, 3, 1, 1.0),
    ]
    joints = found.tables["account_revisions"].filter(term="opening_after_closing", period="2018")
    assert joints.select("earlier", "earlier_n", "later_n").rows() == [(2, 1, 2)]
    for name, contract in COMPARISON_TABLES.items():
        table = found.tables[name]
        assert table.columns == [column.name for column in contract.columns]
        assert not table.select(contract.required_columns).null_count().sum_horizontal().item()


def test_later_headlines_are_held_against_earlier_bounds(runs: Sequence[Path], tmp_path: Path) -> None:
    """The bounds of 2016 hold what became of the headline, those of 2017 do not; 2018 has none."""
    bounds = {"2016": (-1.0, 1.0), "2017": (100.0, 200.0)}
    first = copy_run(runs[0], tmp_path / "first")
    path = first / "tables" / "flows.parquet"
    lower, upper = (
        pl.col("period").replace_strict({year: pair[side] for year, pair in bounds.items()}, default=None)
        for side in (0, 1)
    )
    flows = pl.read_parquet(path).with_columns(n=lower, lower=lower, upper=upper)
    flows.write_parquet(path)
    later = copy_run(runs[1], tmp_path / "later")
    path = later / "tables" / "flows.parquet"
    pl.read_parquet(path).with_columns(n=pl.col("n_settled").cast(pl.Float64)).write_parquet(path)
    found = compare_runs([first, later])
    net = totals(found).filter(figure="net", kind="year").select("period", "is_covered")
    assert dict(net.iter_rows()) == {"2016": True, "2017": False, "2018": None}
    ages = found.tables["revisions_by_age"].filter(figure="net", kind="year").sort("age_months")
    assert ages["covered_share"].to_list() == [None, 0.0, 1.0]
    text = StringIO()
    Console(width=120, file=text).print(render_comparison(found))
    assert "bounds, %" in text.getvalue()


@st.composite
def histories(draw: st.DrawFn) -> Held:
    """A person with some of a few records, so that persons of two runs share them in every way."""
    names = draw(st.sets(st.sampled_from("abcdefgh"), min_size=1, max_size=3))
    days = sorted(draw(st.sets(st.integers(0, 1090), max_size=3)))
    statuses: list[tuple[date | None, str]] = [(None, draw(st.sampled_from([RESIDENT, ABROAD, UNCLEAR])))]
    for day in days:
        others = [status for status in (RESIDENT, ABROAD, UNCLEAR) if status != statuses[-1][1]]
        statuses.append((BEFORE + timedelta(1 + day), draw(st.sampled_from(others))))
    facts = {
        "citizenship": draw(st.sampled_from(["NZL", "AUS"])),
        "sex": draw(st.sampled_from(["female", "male"])),
    }
    return held([crossing(name, DAY) for name in sorted(names)], *statuses, **facts)


def without_doubles(persons: list[Held]) -> list[Held]:
    """Each record belongs to one person; who has none left has one of its own."""
    taken: set[str] = set()
    found: list[Held] = []
    for number, (records, statuses, facts) in enumerate(persons):
        own = [record for record in records if record[0] not in taken] or [crossing(f"own{number}", DAY)]
        taken |= {record[0] for record in own}
        found.append((own, statuses, facts))
    return found


PERSONS = st.lists(histories(), min_size=1, max_size=5).map(without_doubles)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(earlier=PERSONS, later=PERSONS)
def test_reasons_of_random_histories_add_up(earlier: list[Held], later: list[Held]) -> None:
    """In every cell, counted from the histories themselves: status by status at a date, change by change in a year."""
    with TemporaryDirectory() as place:
        found = compare(Path(place), earlier, later)
    moved = found.tables["movers"].filter(measure="n_settled")
    sums = {
        tuple(key): n
        for *key, n in moved.group_by("figure", "period", "dimension", "value")
        .agg((pl.col("n_added") - pl.col("n_removed")).sum())
        .iter_rows()
    }
    for dimension, values in {
        "total": ["total"],
        "sex": ["female", "male"],
        "citizenship": ["NZL", "AUS"],
    }.items():
        for value in values:
            chosen = [
                [p for p in persons if value in ("total", p[2].get(dimension))]
                for persons in (earlier, later)
            ]
            for year in (2016, 2017, 2018):
                for figure in ("immigration", "emigration"):
                    before, after = (count_flow(persons, figure, year) for persons in chosen)
                    assert sums.get((figure, str(year), dimension, value), 0) == after - before
                at = f"{year + 1}-01-01"
                before, after = (count_residents(persons, date(year, 12, 31)) for persons in chosen)
                assert sums.get(("residents", at, dimension, value), 0) == after - before


def count_flow(persons: list[Held], figure: str, year: int) -> int:
    pair = (ABROAD, RESIDENT) if figure == "immigration" else (RESIDENT, ABROAD)
    return sum(
        (before[1], after[1]) == pair and after[0] is not None and after[0].year == year
        for _, statuses, _ in persons
        for before, after in pairwise(statuses)
    )


def count_residents(persons: list[Held], day: date) -> int:
    return sum(
        [status for start, status in statuses if start is None or start <= day][-1] == RESIDENT
        for _, statuses, _ in persons
    )
