"""Stage 6: rules in calendar months and rules that look back, against an oracle that tries every past and future."""

import runpy
from datetime import date, datetime, time, timedelta
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import strategies as st

from given_examples import for_all
from given_tables import name_table
from given_travellers import CONFIGS, IN, OUT, Country
from miglink.config import read_rule
from miglink.config.rules import ForwardMonthsRule, ReferenceDateRule
from miglink.config.stages import EstimatesSettings, Period
from miglink.engine import Engine
from miglink.stages import estimates
from miglink.stages.residence import classify
from miglink.stages.spells import order_crossings

ORACLE = runpy.run_path(str(Path(__file__).parent / "oracle" / "long_stays.py"))
START, EVER = ORACLE["START"], ORACLE["EVER"]
RESIDENT, ABROAD, UNKNOWN = "resident", "non_resident", "undetermined"
OPPOSITE = {IN: OUT, OUT: IN}
LOOKING_BACK = ("most_of_12", "eu_2013")
APPLIES = {"applies_from": date(2013, 6, 1)}  # of which the last day is the first reference date
NEWER: tuple[tuple[str, dict[str, Any]], ...] = (
    ("eu_2025", {"applies_from": None, "name": "at_once"}),
    ("eu_2025", APPLIES),
    ("days_183", {}),
    ("days_183", {"counting": "inclusive", "name": "days_183_seen"}),
    ("most_of_12", {"counting": "inclusive", "name": "most_seen"}),
)
STEPS = st.one_of(st.sampled_from([0, 1, 89, 90, 91, 182, 183, 184, 364, 365, 366]), st.integers(0, 400))


@st.composite
def drawn_history(draw: st.DrawFn, *, most_gaps: int = 1) -> dict[str, Any]:
    """Crossings as (day, direction) with one missing at most, where somebody lived at first, and perhaps a permit."""
    day, direction, n_gaps = draw(STEPS), draw(st.sampled_from([IN, OUT])), 0
    crossings = []
    for _ in range(draw(st.integers(1, 7))):
        crossings.append((day, direction))
        day += draw(STEPS)
        is_gap = n_gaps < most_gaps and draw(st.integers(0, 9)) == 0
        n_gaps += is_gap
        direction = direction if is_gap else OPPOSITE[direction]
    permit = None
    if draw(st.integers(0, 2)) == 0:
        at = draw(st.sampled_from(crossings))[0] - draw(st.integers(-20, 40))
        permit = (at, at + draw(st.integers(300, 800)))
    return {
        "crossings": crossings,
        "initial": draw(st.sampled_from([RESIDENT, ABROAD, UNKNOWN])),
        "permit": permit,
    }


HISTORIES = st.lists(drawn_history(), min_size=20, max_size=20)


@for_all(6, shrinks=False, histories=HISTORIES, end=st.integers(200, 1500), backwards=st.booleans())
def test_months_agree_with_the_oracle(
    engine: Engine, histories: list[dict[str, Any]], end: int, backwards: bool
) -> None:
    rule = read_rule("un_12_months", CONFIGS)
    assert isinstance(rule, ForwardMonthsRule)
    known = {
        f"p{n:02}": ([(day, way) for day, way in history["crossings"] if day <= end], history["initial"])
        for n, history in enumerate(histories)
    }
    rows = [
        (f"{person}#{n}", person, START + timedelta(day), None, way, n, initial)
        for person, (crossings, initial) in known.items()
        for n, (day, way) in enumerate(crossings)
    ]
    if not rows:
        return
    schema: dict[str, Any] = {"crossing_id": pl.String, "person_id": pl.String, "crossed_date": pl.Date}
    schema |= {"crossed_at": pl.Datetime("us"), "direction": pl.String, "sequence": pl.Int64}
    schema |= {"initial_status": pl.String}
    # The order of the rows never matters.
    frame = pl.DataFrame(rows[::-1] if backwards else rows, schema=schema, orient="row")
    ordered = order_crossings(engine, engine.frame("given_crossings", frame))
    for policy in ("unresolved", "midpoint", "open_until_next"):
        table = classify(engine, ordered, rule, policy, None, START + timedelta(end))
        found = {row["crossing_id"]: row for row in pl.read_parquet(table.path).iter_rows(named=True)}
        for person, (crossings, initial) in known.items():
            if not crossings:
                continue
            worlds = ORACLE["list_worlds"](crossings, initial, policy, end)
            limits = ORACLE["Rule"](90, end)
            wanted = ORACLE["follow"](worlds, initial, limits, may_migrate_unseen=policy == "unresolved")
            have = [found[f"{person}#{n}"] for n in range(len(crossings))]
            assert [(row["status_before"], row["status_after"]) for row in have] == wanted, (
                policy,
                crossings,
            )
            for row in have:
                check_dates(row, START + timedelta(end))


def check_dates(row: dict[str, Any], end: date) -> None:
    """A known status has a day at whose end it was known, and that is past."""
    assert (row["status_final_date"] is None) == (row["status_after"] == UNKNOWN)
    assert row["status_final_date"] is None or row["status_final_date"] <= end


@for_all(6, shrinks=False, histories=HISTORIES, n_years=st.integers(2, 4))
def test_reference_dates_agree_with_the_oracle(
    engine: Engine, histories: list[dict[str, Any]], n_years: int
) -> None:
    check_reference_dates(engine, histories, n_years, [change_rule(name) for name in LOOKING_BACK])


@for_all(4, shrinks=False, histories=HISTORIES, n_years=st.integers(2, 4))
def test_most_of_the_time_and_days_agree_with_the_oracle(
    engine: Engine, histories: list[dict[str, Any]], n_years: int
) -> None:
    check_reference_dates(
        engine, histories, n_years, [change_rule(name, **changes) for name, changes in NEWER]
    )


@for_all(3, shrinks=False, histories=HISTORIES, threshold=st.sampled_from([1, 60, 182, 184, 300, 365]))
def test_other_thresholds_agree_with_the_oracle(
    engine: Engine, histories: list[dict[str, Any]], threshold: int
) -> None:
    """National rules of days differ in the number, and in whether the day of exit counts."""
    days = read_rule("days_183", CONFIGS).model_dump()["threshold"] | {"value": threshold}
    ways = [
        change_rule("days_183", threshold=days, name=way, counting=way) for way in ("half_open", "inclusive")
    ]
    check_reference_dates(engine, histories, 3, ways)


def change_rule(preset: str, **changes: Any) -> ReferenceDateRule:
    return ReferenceDateRule.model_validate(read_rule(preset, CONFIGS).model_dump() | changes)


def limits_of(rule: ReferenceDateRule, end: int) -> Any:
    """What the oracle needs to know of a rule."""
    return ORACLE["Rule"](
        tolerated=rule.tolerated_absence.value if rule.tolerated_absence else None,
        end=end,
        threshold=rule.threshold.value if rule.threshold else None,
        counts_exit=rule.counting == "inclusive",
        expects=rule.intended_stay == "counts",
    )


def check_reference_dates(
    engine: Engine, histories: list[dict[str, Any]], n_years: int, rules: list[ReferenceDateRule]
) -> None:
    period = Period.model_validate({"from": START, "to": date(START.year + n_years - 1, 12, 31)})
    end = (period.data_to_date - START).days
    country = make_country(histories, end)
    chosen: dict[str, Any] = {
        "initial_status": ("register", "not_listed"),
        "policies": ("unresolved", "midpoint", "open_until_next", "visa_end"),
    }
    residence, migrations, persons = country.find(engine, rules, period, **chosen)
    rows = pl.read_parquet(residence.path)
    ends = [date(year, 12, 31) for year in range(START.year, START.year + n_years)]
    for policy, (n, history) in product(chosen["policies"], enumerate(histories)):
        crossings = [(day, way) for day, way in history["crossings"] if day < end]
        if not crossings:
            continue
        initial, permit = history["initial"], history["permit"]
        permits = [(permit[0], permit[1] + 1)] if permit else []
        # Who is unknown at the start had a permit for a visit, to the first day.
        visas = [*permits, (-EVER, 1)] if initial == UNKNOWN else permits
        worlds = ORACLE["list_worlds"](
            crossings, initial, policy, end, is_registered=initial == RESIDENT, visas=visas
        )
        for rule in rules:
            own = rows.filter(rule=rule.name, policy=policy, person_id=f"p{n:02}")
            limits = limits_of(rule, end)
            wanted = [
                UNKNOWN
                if rule.applies_from and last < rule.applies_from
                else ORACLE["find_status"](worlds, (last - START).days + 1, limits, permits)
                for last in ends
            ]
            assert [status_at(own, last) for last in ends] == wanted, (rule.name, policy, history)
    check_accounts(engine, (residence, migrations, persons), period, rules)
    check_events(pl.read_parquet(migrations.path), histories)


def status_at(rows: pl.DataFrame, last: date) -> str:
    """The status of one person in force at the end of a day."""
    in_force = pl.col("to_date").is_null() | (pl.col("to_date") > last)
    (status,) = rows.filter(pl.col("from_date") <= last, in_force)["status"].to_list()
    return str(status)


@for_all(
    4,
    shrinks=False,
    histories=st.lists(drawn_history(most_gaps=0), min_size=20, max_size=20),
    ends=st.tuples(st.integers(370, 1100), st.integers(1, 700)),
)
def test_what_is_final_stays_as_it_was(
    engine: Engine, histories: list[dict[str, Any]], ends: tuple[int, int]
) -> None:
    """Later data never change what was settled at a reference date, and final dates say when it was."""
    rules = [
        change_rule(name, applies_from=None, applies_to=None) for name in ("eu_2013", "eu_2025", "days_183")
    ]
    chosen: dict[str, Any] = {"initial_status": ("register", "not_listed")}
    found = []
    for end in (ends[0], sum(ends)):
        period = Period.model_validate({"from": START, "to": START + timedelta(end - 1)})
        found.append(make_country(histories, end).follow(engine, rules, period, **chosen)[0])
    cut = START + timedelta(ends[0])
    for one, (rows, others) in enumerate([found, found[::-1]]):
        begun = rows.filter(pl.col("from_date") >= START, pl.col("status") != UNKNOWN)
        for row in begun.iter_rows(named=True):
            last = date(row["from_date"].year, 12, 31)
            assert row["status_final_date"] < START + timedelta(ends[0] if one == 0 else sum(ends))
            # What the longer data say was final by the cut was known by the shorter.
            if last < cut and (one == 0 or row["status_final_date"] < cut):
                own = others.filter(rule=row["rule"], person_id=row["person_id"])
                assert status_at(own, last) == row["status"], (row, histories[int(row["person_id"][1:])])


def make_country(histories: list[dict[str, Any]], end: int) -> Country:
    """The histories as records; unknown at the start: neither registered, nor without a permit for a visit."""
    country = Country()
    for n, history in enumerate(histories):
        person = f"p{n:02}"
        country.add(person)
        for hour, (day, way) in enumerate(history["crossings"]):
            if day < end:
                at = datetime.combine(START + timedelta(day), time(hour))
                country.record(person, "crossings", crossed_date=at.date(), crossed_at=at, direction=way)
        if history["initial"] == RESIDENT:
            country.record(person, "register", valid_from=date(2000, 1, 1))
        if history["initial"] == UNKNOWN:
            country.record(person, "permits", valid_from=date(2000, 1, 1), valid_to=START, purpose="visit")
        if history["permit"]:
            first, last = (START + timedelta(day) for day in history["permit"])
            country.record(person, "visas", valid_from=first, valid_to=last, purpose="work")
    return country


def check_accounts(
    engine: Engine, tables: tuple[Any, Any, Any], period: Period, rules: list[ReferenceDateRule]
) -> None:
    """Statuses and migrations agree, day by day, and the accounts balance: else stage estimates raises."""
    traits = name_table(engine, "person_traits", [])
    windows = {rule.name: rule.follow_up_days for rule in rules}
    firsts = {rule.name: rule.applies_from for rule in rules if rule.applies_from}
    observation = estimates.Observation(period, windows, False, first_dates=firsts)
    histories = estimates.Histories(*tables, traits)
    estimates.estimate(engine, histories, observation, EstimatesSettings(reporting_country="QVR"))


def check_events(migrations: pl.DataFrame, histories: list[dict[str, Any]]) -> None:
    """Settled events come in order, are crossings, and are counted no earlier than they happen.

    They alternate too. Two of one direction may follow each other only where a possible migration of the other is
    listed between them: it brought the person back, but its year is not known.
    """
    settled = migrations.filter(outcome="migration").sort("person_id", "rule", "policy", "counted_date")
    assert (settled["event_date"] <= settled["counted_date"]).all()
    possible = migrations.filter(outcome="undetermined")
    for (person, rule, policy), rows in settled.group_by("person_id", "rule", "policy", maintain_order=True):
        assert isinstance(person, str)
        assert rows["event_date"].is_sorted()
        history = histories[int(person[1:])]
        for one, other in pairwise(rows.iter_rows(named=True)):
            between = possible.filter(
                pl.col("direction") != one["direction"],
                pl.col("event_date").is_between(one["event_date"], other["event_date"]),
                person_id=person,
                rule=rule,
                policy=policy,
            )
            assert one["direction"] != other["direction"] or between.height, history
        crossings = {START + timedelta(day) for day, _ in history["crossings"]}
        assert set(rows.filter(~pl.col("is_implied"))["event_date"]) <= crossings
