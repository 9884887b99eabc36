"""Stage 7: rules and policies compared person by person, in cases written out and on random histories."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise, permutations
from typing import Any

import polars as pl
import pytest
from hypothesis import strategies as st

from given_country import TOTAL
from given_examples import for_all, is_quick
from given_tables import name_table
from given_travellers import CONFIGS, IN, OUT
from given_travellers import Country as Travellers
from miglink.config import read_rule
from miglink.config.stages import EstimatesSettings, Period
from miglink.engine import Engine, Table
from miglink.stages.estimates import Histories, Observation, compare_rules, estimate

RESIDENT, ABROAD, UNCLEAR = "resident", "non_resident", "undetermined"
BEFORE = date(2016, 12, 31)
PERIOD = Period.model_validate({"from": date(2017, 1, 1), "to": date(2020, 12, 31)})
ONE, OTHER, THIRD = ("long", "unresolved"), ("short", "unresolved"), ("short", "midpoint")
OBSERVATION = Observation(PERIOD, {"long": 365, "short": 90}, False)
# (day, status, basis), the first from before the observation.
Statuses = Sequence[tuple[date, str, str]]
Person = Mapping[tuple[str, str], Statuses]


def rows_of(persons: Mapping[str, Person], died: Mapping[str, date]) -> dict[str, list[dict[str, Any]]]:
    """Tables residence and migrations as stage residence would give them."""
    found: dict[str, list[dict[str, Any]]] = {"residence": [], "migrations": []}
    for person, strata in persons.items():
        for (rule, policy), statuses in strata.items():
            key = {"draw": 0, "person_id": person, "rule": rule, "policy": policy}
            ends = [*(day for day, _, _ in statuses[1:]), died.get(person)]
            followers = [*(status for _, status, _ in statuses[1:]), None]
            for (day, status, basis), end, follower in zip(statuses, ends, followers, strict=True):
                reason = "death" if end else None
                if follower:
                    reason = "migration" if UNCLEAR not in (status, follower) else "settled"
                    reason = "undetermined" if follower == UNCLEAR else reason
                row = {"from_date": day, "to_date": end, "status": status, "basis": basis}
                found["residence"].append(key | row | {"end_reason": reason})
                if reason == "migration":
                    event = {"event_date": end, "counted_date": end, "sequence": 1, "is_implied": False}
                    direction = "immigration" if follower == RESIDENT else "emigration"
                    found["migrations"].append(key | event | {"direction": direction, "outcome": "migration"})
    return found


def compare(
    engine: Engine,
    persons: Mapping[str, Person],
    died: Mapping[str, date] | None = None,
    observation: Observation = OBSERVATION,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    rows = rows_of(persons, died or {})
    residence, migrations = (name_table(engine, name, rows[name]) for name in ("residence", "migrations"))
    stocks, flows = compare_rules(engine, residence, migrations, observation)
    return pl.read_parquet(stocks.path), pl.read_parquet(flows.path)


def ours(day: date, status: str, basis: str = "crossing") -> tuple[date, str, str]:
    return day, status, basis


def since(status: str, basis: str = "register") -> tuple[date, str, str]:
    return BEFORE, status, basis


def outcomes(flows: pl.DataFrame, one: tuple[str, str], other: tuple[str, str]) -> dict[Any, int]:
    """Of one rule and policy: migrations by flow, year and what the other makes of them."""
    rows = flows.filter(rule=one[0], policy=one[1], other_rule=other[0], other_policy=other[1])
    return {
        (flow, year, said): n
        for flow, year, said, n in rows.select("flow", "period", "other_outcome", "n").iter_rows()
    }


def statuses(stocks: pl.DataFrame, one: tuple[str, str], other: tuple[str, str], year: int) -> dict[Any, int]:
    """Of the residents of one at 1 January: persons by basis, and status and basis under the other."""
    rows = stocks.filter(
        rule=one[0], policy=one[1], other_rule=other[0], other_policy=other[1], period=f"{year}-01-01"
    )
    return {tuple(key): n for *key, n in rows.select("basis", "other_status", "other_basis", "n").iter_rows()}


def test_a_stay_of_nine_months(engine: Engine) -> None:
    """By the rule of 12 months a visitor, by that of 3 months an immigrant and an emigrant."""
    arrived, left = date(2018, 3, 1), date(2018, 12, 1)
    stay = [since(ABROAD), ours(arrived, RESIDENT), ours(left, ABROAD)]
    stocks, flows = compare(engine, {"a": {ONE: [since(ABROAD)], OTHER: stay}})
    assert outcomes(flows, OTHER, ONE) == {
        ("immigration", "2018", "kept_status"): 1,
        ("emigration", "2018", "had_status"): 1,
    }
    assert outcomes(flows, ONE, OTHER) == {}
    # Both crossings lie between two reference dates.
    assert stocks.is_empty()


def test_a_change_seen_in_another_year(engine: Engine) -> None:
    early, late = date(2018, 11, 5), date(2019, 2, 1)
    one = [since(ABROAD), ours(early, RESIDENT)]
    other = [since(ABROAD, "not_listed"), ours(late, RESIDENT, "implied_crossing")]
    stocks, flows = compare(engine, {"a": {ONE: one, OTHER: other}})
    assert outcomes(flows, ONE, OTHER) == {("immigration", "2018", "counted_later"): 1}
    assert outcomes(flows, OTHER, ONE) == {("immigration", "2019", "counted_earlier"): 1}
    assert statuses(stocks, ONE, OTHER, 2019) == {("crossing", ABROAD, "not_listed"): 1}
    assert statuses(stocks, OTHER, ONE, 2019) == {}
    assert statuses(stocks, ONE, OTHER, 2020) == {("crossing", RESIDENT, "implied_crossing"): 1}
    assert statuses(stocks, OTHER, ONE, 2020) == {("implied_crossing", RESIDENT, "crossing"): 1}


def test_a_change_seen_on_another_day_of_the_year_is_the_same(engine: Engine) -> None:
    one = [since(RESIDENT), ours(date(2018, 2, 1), ABROAD)]
    other = [since(RESIDENT), ours(date(2018, 12, 31), ABROAD)]
    _, flows = compare(engine, {"a": {ONE: one, OTHER: other}})
    assert (
        outcomes(flows, ONE, OTHER) == outcomes(flows, OTHER, ONE) == {("emigration", "2018", "counted"): 1}
    )


def test_an_absence_that_one_rule_passes_over(engine: Engine) -> None:
    """Away from June 2018 to May 2019, and dead in 2020: for the other always a resident."""
    away = [since(RESIDENT), ours(date(2018, 6, 1), ABROAD), ours(date(2019, 5, 1), RESIDENT)]
    died = {"a": date(2020, 5, 5)}
    stocks, flows = compare(engine, {"a": {ONE: [since(RESIDENT, "permit")], OTHER: away}}, died)
    assert outcomes(flows, OTHER, ONE) == {
        ("emigration", "2018", "kept_status"): 1,
        ("immigration", "2019", "had_status"): 1,
    }
    assert statuses(stocks, ONE, OTHER, 2018) == {("permit", RESIDENT, "register"): 1}
    assert statuses(stocks, ONE, OTHER, 2019) == {("permit", ABROAD, "crossing"): 1}
    assert statuses(stocks, ONE, OTHER, 2020) == {("permit", RESIDENT, "crossing"): 1}
    assert statuses(stocks, ONE, OTHER, 2021) == {}


def test_a_status_that_the_other_does_not_know(engine: Engine) -> None:
    day, later = date(2018, 3, 1), date(2019, 3, 1)
    sure = [since(ABROAD), ours(day, RESIDENT)]
    settled_later = [since(ABROAD), ours(day, UNCLEAR, "implied_crossing"), ours(later, RESIDENT)]
    settled_that_day = [since(UNCLEAR, "none"), ours(day, RESIDENT)]
    rejected = [since(ABROAD, "rejected_person")]
    persons = {
        "a": {ONE: sure, OTHER: settled_later, THIRD: rejected},
        "b": {ONE: sure, OTHER: settled_that_day, THIRD: rejected},
    }
    stocks, flows = compare(engine, persons)
    assert outcomes(flows, ONE, OTHER) == {("immigration", "2018", "undetermined"): 2}
    assert outcomes(flows, ONE, THIRD) == {("immigration", "2018", "rejected_person"): 2}
    # Whose status was not known before has not immigrated.
    assert outcomes(flows, OTHER, ONE) == {}
    assert statuses(stocks, ONE, OTHER, 2019) == {
        ("crossing", UNCLEAR, "implied_crossing"): 1,
        ("crossing", RESIDENT, "crossing"): 1,
    }


def test_who_dies_on_the_day_of_the_change(engine: Engine) -> None:
    day = date(2018, 3, 1)
    one = [since(ABROAD), ours(day, RESIDENT)]
    _, flows = compare(engine, {"a": {ONE: one, OTHER: [since(ABROAD)]}}, {"a": day})
    assert outcomes(flows, ONE, OTHER) == {("immigration", "2018", "kept_status"): 1}


def test_a_rule_that_gives_no_status_any_more(engine: Engine) -> None:
    """After its last day the other rule leaves everybody undetermined: that is no finding about a person."""
    day = date(2019, 3, 1)
    one = [since(ABROAD), ours(day, RESIDENT)]
    ended = [since(ABROAD), ours(date(2018, 12, 31), UNCLEAR, "none")]
    observation = Observation(PERIOD, OBSERVATION.windows, False, last_dates={"short": date(2018, 12, 30)})
    both = {"a": {ONE: one, OTHER: ended}, "b": {ONE: [since(RESIDENT)], OTHER: [since(RESIDENT)]}}
    stocks, flows = compare(engine, both, observation=observation)
    assert outcomes(flows, ONE, OTHER) == {("immigration", "2019", "not_covered"): 1}
    assert statuses(stocks, ONE, OTHER, 2018) == {("register", RESIDENT, "register"): 1}
    assert statuses(stocks, ONE, OTHER, 2020) == {
        ("crossing", "not_covered", "none"): 1,
        ("register", "not_covered", "none"): 1,
    }
    assert statuses(stocks, OTHER, ONE, 2018) == {("register", RESIDENT, "register"): 1}
    assert statuses(stocks, OTHER, ONE, 2020) == {}


def test_two_changes_within_a_year(engine: Engine) -> None:
    """Those of one day belong together, whichever comes first."""
    days = [date(2018, month, 1) for month in (2, 5, 8)]
    twice = [since(ABROAD)] + [
        ours(day, status) for day, status in zip(days, (RESIDENT, ABROAD, RESIDENT), strict=True)
    ]
    once = [since(ABROAD), ours(days[2], RESIDENT)]
    _, flows = compare(engine, {"a": {ONE: once, OTHER: twice}})
    assert outcomes(flows, ONE, OTHER) == {("immigration", "2018", "counted"): 1}
    assert outcomes(flows, OTHER, ONE) == {
        ("immigration", "2018", "counted"): 1,
        ("immigration", "2018", "kept_status"): 1,
        ("emigration", "2018", "had_status"): 1,
    }


def test_one_rule_and_policy_has_nothing_to_be_compared_with(engine: Engine) -> None:
    stocks, flows = compare(engine, {"a": {ONE: [since(ABROAD), ours(date(2018, 3, 1), RESIDENT)]}})
    assert stocks.is_empty() and flows.is_empty()
    stocks, flows = compare(engine, {})
    assert stocks.is_empty() and flows.is_empty()


def test_a_comparison_is_final_where_both_figures_are(engine: Engine) -> None:
    both = {ONE: [since(RESIDENT)], OTHER: [since(RESIDENT)], THIRD: [since(RESIDENT)]}
    stocks, _ = compare(engine, {"a": both})
    final = stocks.filter(status="final")
    assert final.filter(rule="short", other_rule="short")["period"].max() == "2020-01-01"
    assert final.filter(rule="short", other_rule="long")["period"].max() == "2020-01-01"
    assert final.filter(rule="long")["period"].max() == "2020-01-01"
    wider = Observation(PERIOD, {"long": 400, "short": 90}, False)
    final = compare(engine, {"a": both}, observation=wider)[0].filter(status="final")
    assert final.filter(rule="short", other_rule="short")["period"].max() == "2020-01-01"
    assert final.filter(rule="short", other_rule="long")["period"].max() == "2019-01-01"


@st.composite
def drawn_statuses(draw: st.DrawFn) -> Statuses:
    """A history of statuses, no two neighbours alike."""
    found = [since(draw(st.sampled_from([RESIDENT, ABROAD, UNCLEAR])))]
    days = draw(st.sets(st.integers(0, 1460), max_size=6))
    for day in sorted(days):
        statuses = [status for status in (RESIDENT, ABROAD, UNCLEAR) if status != found[-1][1]]
        found.append(ours(PERIOD.from_date + timedelta(day), draw(st.sampled_from(statuses))))
    return found


PERSONS = st.lists(st.tuples(drawn_statuses(), drawn_statuses(), drawn_statuses()), min_size=1, max_size=8)


@for_all(25, persons=PERSONS, backwards=st.booleans())
def test_accounts_of_random_histories(engine: Engine, persons: list[Any], backwards: bool) -> None:
    named = {f"p{n}": dict(zip((ONE, OTHER, THIRD), person, strict=True)) for n, person in enumerate(persons)}
    stocks, flows = compare(engine, named)
    for table in (stocks, flows):
        assert table.equals(table.sort(*table.columns[:-3])) and (table["n"] > 0).all()
    for one, other in permutations((ONE, OTHER, THIRD), 2):
        for year in range(2017, 2022):
            alike = expect_stocks(named, one, other, date(year - 1, 12, 31))
            assert statuses(stocks, one, other, year) == alike
        check_flows(named, flows, one, other)
    if backwards:
        reversed_ = dict(reversed(named.items()))
        again = compare(engine, {name: dict(reversed(p.items())) for name, p in reversed_.items()})
        assert again[0].equals(stocks) and again[1].equals(flows)


def expect_stocks(
    persons: Mapping[str, Person], one: tuple[str, str], other: tuple[str, str], last: date
) -> dict[Any, int]:
    """Person by person: the last status that began by the day, under one and under the other."""
    found: dict[Any, int] = {}
    for strata in persons.values():
        (_, status, basis), (_, others, other_basis) = (
            [row for row in strata[name] if row[0] <= last][-1] for name in (one, other)
        )
        if status == RESIDENT:
            key = (basis, others, other_basis)
            found[key] = found.get(key, 0) + 1
    return found


def events_of(history: Statuses, direction: str) -> list[date]:
    """The days on which a history leads from one known status to the other."""
    pair = (ABROAD, RESIDENT) if direction == "immigration" else (RESIDENT, ABROAD)
    return [after[0] for before, after in pairwise(history) if (before[1], after[1]) == pair]


def check_flows(
    persons: Mapping[str, Person], flows: pl.DataFrame, one: tuple[str, str], other: tuple[str, str]
) -> None:
    """Every migration has one outcome; both count what both have in a year; early here is late there."""
    found, back = outcomes(flows, one, other), outcomes(flows, other, one)
    n_shifted = 0
    for flow in ("immigration", "emigration"):
        for year in range(2017, 2021):
            n_own, n_both = 0, 0
            for strata in persons.values():
                own, others = (
                    [day for day in events_of(strata[name], flow) if day.year == year]
                    for name in (one, other)
                )
                n_own, n_both = n_own + len(own), n_both + min(len(own), len(others))
                n_shifted += min(len(own), len(others)) - len({*own} & {*others})
            said = {
                outcome: n for (of, period, outcome), n in found.items() if (of, period) == (flow, str(year))
            }
            assert sum(said.values()) == n_own
            assert said.get("counted", 0) == n_both
    mirrored = (("counted_earlier", "counted_later"), ("counted_later", "counted_earlier"))
    for here, there in mirrored:
        n_here, n_there = (
            sum(n for (_, _, outcome), n in table.items() if outcome == word)
            for table, word in ((found, here), (back, there))
        )
        # What both count in a year, on different days, may be the mirror of a change in another year.
        assert abs(n_here - n_there) <= n_shifted


STEPS = st.one_of(st.sampled_from([0, 1, 90, 182, 364, 365, 366]), st.integers(0, 500))


@st.composite
def drawn_crossings(draw: st.DrawFn) -> list[tuple[date, str]]:
    """Crossings of a person, now and then one missing."""
    day, direction = PERIOD.from_date + timedelta(draw(STEPS)), draw(st.sampled_from([IN, OUT]))
    crossings: list[tuple[date, str]] = []
    while day <= PERIOD.to_date and len(crossings) < 8:
        crossings.append((day, direction))
        day += timedelta(draw(STEPS))
        is_missing = draw(st.integers(0, 5)) == 0
        direction = direction if is_missing else {IN: OUT, OUT: IN}[direction]
    return crossings


@for_all(3, shrinks=False, histories=st.lists(drawn_crossings(), min_size=12, max_size=12))
def test_differences_add_up_to_the_published_totals(
    engine: Engine, histories: list[list[tuple[date, str]]]
) -> None:
    country = Travellers()
    for n, crossings in enumerate(histories):
        country.add(f"p{n:02}", *crossings)
    # On Spark it is stage residence that takes its time, for each rule and policy again.
    names = ["nz_12_16", "eu_2013", "un_12_months"][: 3 if is_quick(engine) else 2]
    policies = ["unresolved", "reject_person", "midpoint"][: 3 if is_quick(engine) else 1]
    rules = [read_rule(name, CONFIGS) for name in names]
    residence, migrations, persons = country.find(engine, rules, PERIOD, policies=tuple(policies))
    windows = {rule.name: rule.follow_up_days for rule in rules}
    observation = Observation(PERIOD, windows, False, last_dates={"eu_2013": date(2019, 12, 31)})
    histories_ = Histories(residence, migrations, persons, name_table(engine, "person_traits", []))
    settings = EstimatesSettings(reporting_country="QVR")
    stocks, flows = map(total, estimate(engine, histories_, observation, settings)[:2])
    differences = compare_rules(engine, residence, migrations, observation)
    check_totals(pl.read_parquet(differences[0].path), stocks, ["rule", "policy", "period"])
    check_totals(pl.read_parquet(differences[1].path), flows, ["rule", "policy", "period", "flow"])


def total(table: Table) -> pl.DataFrame:
    rows = pl.read_parquet(table.path).filter(**TOTAL)
    return rows.filter(pl.col("flow") != "net") if "flow" in rows.columns else rows


def check_totals(differences: pl.DataFrame, published: pl.DataFrame, key: list[str]) -> None:
    """Of every other rule and policy the rows add up to the published figure of years and dates."""
    pairs = differences.group_by(*key, "other_rule", "other_policy").agg(pl.col("n").sum())
    strata = published.select("rule", "policy").unique()
    others = strata.rename({"rule": "other_rule", "policy": "other_policy"})
    of_years = published.filter(pl.col("period").str.len_chars() != 7)
    expected = of_years.select(*key, "n_settled").join(others, how="cross")
    same = (pl.col("rule") == pl.col("other_rule")) & (pl.col("policy") == pl.col("other_policy"))
    joined = expected.filter(~same).join(pairs, on=[*key, "other_rule", "other_policy"], how="full")
    assert joined.height == expected.filter(~same).height
    assert joined.select((pl.col("n").fill_null(0) == pl.col("n_settled")).all()).item()


@pytest.mark.parametrize("name", ["stock_differences", "flow_differences"])
def test_what_both_count_is_the_same_in_either_direction(engine: Engine, name: str) -> None:
    day = date(2018, 3, 1)
    persons = {
        f"p{n}": {ONE: [since(ABROAD), ours(day, RESIDENT)], OTHER: [since(first), ours(day, second)]}
        for n, (first, second) in enumerate([(ABROAD, RESIDENT), (RESIDENT, ABROAD), (UNCLEAR, RESIDENT)])
    }
    table = compare(engine, persons)[0 if name == "stock_differences" else 1]
    word = {"stock_differences": ("other_status", RESIDENT), "flow_differences": ("other_outcome", "counted")}
    column, both = word[name]
    counted = table.filter(pl.col(column) == both).group_by("rule", "period").agg(pl.col("n").sum())
    one, other = (counted.filter(rule=rule).drop("rule").sort("period") for rule in ("long", "short"))
    assert one.equals(other) and one.height > 0
