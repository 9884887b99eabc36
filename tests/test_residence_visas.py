"""Stage 6: residence by visa spans, against an oracle that lists every day with a visa and every end that may come."""

import runpy
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import strategies as st

from given_examples import for_all
from given_tables import name_table
from given_travellers import CONFIGS, IN, OUT, Country
from miglink.config import read_rule
from miglink.config.rules import VisaSpanRule
from miglink.config.stages import EstimatesSettings, Period
from miglink.engine import Engine
from miglink.stages import estimates

ORACLE = runpy.run_path(str(Path(__file__).parent / "oracle" / "visa_spans.py"))
START: date = ORACLE["START"]
OPPOSITE = {IN: OUT, OUT: IN}
STEPS = st.one_of(st.sampled_from([0, 1, 29, 30, 31, 364, 365, 366]), st.integers(0, 400))


def make_rule(gap: int) -> VisaSpanRule:
    given = read_rule("visa_span", CONFIGS).model_dump()
    return VisaSpanRule.model_validate(given | {"tolerated_gap": given["tolerated_gap"] | {"value": gap}})


@st.composite
def drawn_life(draw: st.DrawFn) -> dict[str, Any]:
    """Crossings, some of them missing, and visas about them; perhaps a registration and a death."""
    day, direction = draw(st.integers(0, 200)), draw(st.sampled_from([IN, IN, OUT]))
    crossings = []
    for _ in range(draw(st.integers(0, 6))):
        crossings.append((day, direction))
        day += draw(STEPS)
        direction = direction if draw(st.integers(0, 4)) == 0 else OPPOSITE[direction]
    # Near the first crossing, and near a year from it, everything is decided.
    first = crossings[0][0] if crossings else 0
    visas, at = [], first - draw(st.sampled_from([-1, 0, 1, 29, 30, 31, 200, 400]))
    for _ in range(draw(st.integers(0, 3))):
        near = draw(st.sampled_from([0, 30, 364, 365, 366, 400]))
        end = max(at, first + near, at + draw(STEPS) if draw(st.booleans()) else at)
        visas.append((at, end))
        at = end + draw(st.sampled_from([-20, 0, 1, 2, 30, 31, 32, 200]))
    died = draw(st.one_of(st.none(), st.none(), st.none(), st.integers(0, 1400)))
    return {
        "crossings": tuple(one for one in crossings if died is None or one[0] <= died),
        "visas": tuple(visas),
        "is_registered": draw(st.integers(0, 2)) == 0,
        "died": died,
    }


def make_country(lives: list[dict[str, Any]]) -> Country:
    """The lives as records, with a visa for a visit that says nothing."""
    country = Country()
    for n, life in enumerate(lives):
        person = f"p{n:02}"
        died = life["died"]
        country.add(person, death_date=None if died is None else START + timedelta(died))
        for hour, (day, way) in enumerate(life["crossings"]):
            at = datetime.combine(START + timedelta(day), time(hour))
            country.record(person, "crossings", crossed_date=at.date(), crossed_at=at, direction=way)
        spans = [(*one, "work") for one in life["visas"]]
        for first, last, purpose in (*spans, (-400, 2000, "visit")):
            days = {"valid_from": START + timedelta(first), "valid_to": START + timedelta(last)}
            country.record(person, "visas", purpose=purpose, **days)
        if life["is_registered"]:
            country.record(person, "register", valid_from=date(2000, 1, 1))
    return country


@for_all(
    20,
    shrinks=False,
    lives=st.lists(drawn_life(), min_size=15, max_size=15),
    gap=st.sampled_from([0, 30]),
    last=st.integers(300, 1300),
)
def test_visa_spans_agree_with_the_oracle(
    engine: Engine, lives: list[dict[str, Any]], gap: int, last: int
) -> None:
    check_lives(engine, lives, gap, last)


def test_spans_of_whom_an_arrival_is_missing(engine: Engine) -> None:
    """A second departure in a row, 12 months after the arrival, shows that the span is long."""
    moves = ((100, IN), (200, OUT), (500, OUT), (600, IN), (1000, OUT))
    lives = [
        {"crossings": moves[:n], "visas": ((90, end),), "is_registered": False, "died": died}
        for n in range(2, 6)
        for end in (464, 465, 499, 500, 950)
        for died in (None, 550)
        if died is None or n < 4
    ]
    check_lives(engine, lives, 0, 1100)


def check_lives(engine: Engine, lives: list[dict[str, Any]], gap: int, last: int) -> None:
    """Statuses, migrations, and the days from which records of any later day say the same."""
    period = Period.model_validate({"from": START, "to": START + timedelta(last)})
    tables = make_country(lives).find(engine, [make_rule(gap)], period, initial_status=("register",))
    residence, migrations = (pl.read_parquet(table.path) for table in tables[:2])
    for n, given in enumerate(lives):
        life = ORACLE["Life"](**given)
        events, changes = ORACLE["follow"](life, gap, last)
        own = residence.filter(person_id=f"p{n:02}").sort("from_date")
        expected = [(-1, ORACLE["first_status"](life))]
        for day, status in changes:
            expected += [(day, status)] if status != expected[-1][1] else []
        assert [(number(row["from_date"]), row["status"]) for row in own.iter_rows(named=True)] == expected, (
            given
        )
        moves = list(migrations.filter(person_id=f"p{n:02}").sort("event_date").iter_rows(named=True))
        assert [
            (number(row["event_date"]), row["direction"], row["is_implied"], row["outcome"] == "migration")
            for row in moves
        ] == [(one.day, one.direction, one.is_implied, one.is_sure) for one in events], given
        for row in moves:
            check_final(row, life, gap, last)
    check_accounts(engine, tables, period)


def number(day: date) -> int:
    return (day - START).days


def check_final(row: dict[str, Any], life: Any, gap: int, last: int) -> None:
    """On the final day the records tell of the migration for the first time, and on every later one again."""
    if row["outcome"] == "undetermined":
        assert row["p_migration"] is None and row["migration_final_date"] is None
        return
    event = (number(row["event_date"]), row["direction"])
    final = number(row["migration_final_date"])

    def is_told(known: int) -> bool:
        events, _ = ORACLE["follow"](life, gap, known)
        return any((one.day, one.direction) == event and one.is_sure for one in events)

    assert all(is_told(known) for known in {*range(final, last, 40), last}), (life, row)
    assert final == event[0] or not is_told(final - 1), (life, row)


def check_accounts(engine: Engine, tables: tuple[Any, Any, Any], period: Period) -> None:
    """Statuses and migrations agree, and the accounts balance: else stage estimates raises."""
    histories = estimates.Histories(*tables, name_table(engine, "person_traits", []))
    observation = estimates.Observation(period, {"visa_span": 456}, False)
    estimates.estimate(engine, histories, observation, EstimatesSettings(reporting_country="QVR"))
