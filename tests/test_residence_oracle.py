"""Stage 6: rules in calendar months and rules that look back, against an oracle that tries every past and future."""

import runpy
from datetime import date, datetime, time, timedelta
from itertools import pairwise
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
STEPS = st.one_of(st.sampled_from([0, 1, 89, 90, 91, 182, 183, 184, 364, 365, 366]), st.integers(0, 400))


@st.composite
def drawn_history(draw: st.DrawFn) -> dict[str, Any]:
    """Crossings as (day, direction) with one missing at most, where somebody lived at first, and perhaps a permit."""
    day, direction, n_gaps = draw(STEPS), draw(st.sampled_from([IN, OUT])), 0
    crossings = []
    for _ in range(draw(st.integers(1, 7))):
        crossings.append((day, direction))
        day += draw(STEPS)
        is_gap = n_gaps == 0 and draw(st.integers(0, 9)) == 0
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
    period = Period.model_validate({"from": START, "to": date(START.year + n_years - 1, 12, 31)})
    end = (period.data_to_date - START).days
    country = make_country(histories, end)
    rules = [ReferenceDateRule.model_validate(read_rule(n, CONFIGS).model_dump()) for n in LOOKING_BACK]
    chosen: dict[str, Any] = {
        "initial_status": ("register", "not_listed"),
        "policies": ("unresolved", "midpoint", "open_until_next", "visa_end"),
    }
    residence, migrations, persons = country.find(engine, rules, period, **chosen)
    rows = pl.read_parquet(residence.path)
    for rule in rules:
        limits = ORACLE["Rule"](rule.tolerated_absence.value if rule.tolerated_absence else None, end)
        for policy in chosen["policies"]:
            statuses = rows.filter(rule=rule.name, policy=policy)
            for n, history in enumerate(histories):
                crossings = [(day, way) for day, way in history["crossings"] if day < end]
                if not crossings:
                    continue
                initial = history["initial"]
                permit = history["permit"]
                permits = [(permit[0], permit[1] + 1)] if permit else []
                # Who is unknown at the start had a permit for a visit, to the first day.
                visas = [*permits, (-EVER, 1)] if initial == UNKNOWN else permits
                worlds = ORACLE["list_worlds"](
                    crossings, initial, policy, end, is_registered=initial == RESIDENT, visas=visas
                )
                own = statuses.filter(person_id=f"p{n:02}")
                for year in range(START.year + 1, START.year + n_years + 1):
                    reference = (date(year, 1, 1) - START).days
                    last = date(year - 1, 12, 31)
                    at = own.filter(
                        pl.col("from_date") <= last, pl.col("to_date").is_null() | (pl.col("to_date") > last)
                    )
                    wanted = ORACLE["find_status"](worlds, reference, limits, permits)
                    assert at["status"].to_list() == [wanted], (rule.name, policy, year, history)
    check_accounts(engine, (residence, migrations, persons), period)
    check_events(pl.read_parquet(migrations.path), histories)


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


def check_accounts(engine: Engine, tables: tuple[Any, Any, Any], period: Period) -> None:
    """Statuses and migrations agree, day by day, and the accounts balance: else stage estimates raises."""
    traits = name_table(engine, "person_traits", [])
    observation = estimates.Observation(period, {"most_of_12": 0, "eu_2013": 456}, False)
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
