"""Stage 6 on arrays: what the kernel gives is, row for row and column for column, what the SQL gives."""

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.generated_crossings import generate
from given_examples import UNSHRUNK
from given_travellers import CONFIGS, IN, OUT
from miglink import classify as command
from miglink.classify import Observed
from miglink.config import read_rule
from miglink.config.rules import ForwardWindowRule, MissingCrossings
from miglink.engine import Engine, Table
from miglink.linked_crossings import RESULTS, check_crossings
from miglink.stages import residence, spells
from miglink.stages.residence import classification
from miglink.stages.residence.kernel import tables as kernel_tables
from miglink.stages.spells import row_order

POLICIES: tuple[MissingCrossings, ...] = ("unresolved", "midpoint", "open_until_next", "reject_person")
START = date(2000, 1, 1)
NZ = read_rule("nz_12_16", CONFIGS)
assert isinstance(NZ, ForwardWindowRule)
SCHEMA: dict[str, Any] = {
    "person_id": pl.String, "crossed_date": pl.Date, "crossed_at": pl.Datetime("us"), "direction": pl.String,
    "sequence": pl.Int64, "initial_status": pl.String,
}  # fmt: skip
STATED: list[list[str | None]] = [
    [None],
    [None, "resident"],
    ["non_resident"],
    ["resident", "non_resident"],
    ["unknown"],
]
NUMBERS = [(365, 487), (7, 10), (6, 10), (10, 10)]
MANY = settings(
    max_examples=20,
    deadline=None,
    phases=UNSHRUNK,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def make_rule(threshold: int, window: int) -> ForwardWindowRule:
    assert isinstance(NZ, ForwardWindowRule)
    numbers = {"threshold": threshold, "window": window}
    changed = {name: getattr(NZ, name).model_copy(update={"value": n}) for name, n in numbers.items()}
    return NZ.model_copy(update=changed)


@st.composite
def drawn_crossings(draw: st.DrawFn, *, longest: int) -> list[tuple[Any, ...]]:
    """The crossings of one person: missing ones, several of a day, with and without time, sequence and status."""
    day, direction = draw(st.integers(0, longest)), draw(st.sampled_from([IN, OUT]))
    statuses = draw(st.sampled_from(STATED))
    rows = []
    for _ in range(draw(st.integers(1, 9))):
        moment = draw(st.sampled_from([None, None, 9, 9, 12, 15]))
        on = START + timedelta(day)
        at = None if moment is None else datetime(on.year, on.month, on.day, moment)
        number = draw(st.sampled_from([None, None, 1, 2, 3]))
        status = draw(st.sampled_from(statuses))
        rows.append((on, at, direction, number, status))
        day += draw(st.one_of(st.just(0), st.integers(0, 3), st.integers(0, longest)))
        is_gap = draw(st.integers(0, 5)) == 0
        direction = direction if is_gap else {IN: OUT, OUT: IN}[direction]
    return rows


@st.composite
def drawn_files(draw: st.DrawFn) -> tuple[pl.DataFrame, ForwardWindowRule, Observed]:
    """Crossings of thirty persons in any order, a rule, and what is observed."""
    numbers = draw(st.sampled_from(NUMBERS))
    longest = draw(st.sampled_from([numbers[0] // 2, numbers[1], 2 * numbers[1]]))
    persons = draw(st.lists(drawn_crossings(longest=longest), min_size=30, max_size=30))
    rows = [(f"p{n:02}", *row) for n, person in enumerate(persons) for row in person]
    columns = ["person_id", "crossed_date", "crossed_at", "direction", "sequence", "initial_status"]
    given_frame = pl.DataFrame(rows, schema={name: SCHEMA[name] for name in columns}, orient="row")
    left_out = draw(st.sets(st.sampled_from(["crossed_at", "sequence", "initial_status"])))
    frame = given_frame.drop(left_out).sample(fraction=1, shuffle=True, seed=draw(st.integers(0, 99)))
    days = given_frame["crossed_date"]
    first, last = days.min(), days.max()
    assert isinstance(first, date) and isinstance(last, date)
    end = draw(st.sampled_from([None, last, last + timedelta(numbers[1]), first + (last - first) / 2]))
    begin = draw(st.sampled_from([None, first, first - timedelta(numbers[0])]))
    return frame, make_rule(*numbers), Observed(begin, end)


def in_sql(
    engine: Engine,
    crossings: pl.DataFrame,
    rule: ForwardWindowRule,
    policy: MissingCrossings,
    observed: Observed,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The order of the crossings, and their results, both from SQL alone."""
    missing = [
        pl.lit(None, dtype).alias(name) for name, dtype in SCHEMA.items() if name not in crossings.columns
    ]
    whole = crossings.with_columns(missing).with_row_index("crossing_id")
    ordered = spells.order_crossings(engine, engine.frame("given_crossings", whole))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(classification, "computes_here", lambda _: False)
        found = residence.classify(engine, ordered, rule, policy, observed.from_date, observed.to_date)
    return pl.read_parquet(ordered.path), pl.read_parquet(found.path).sort("crossing_id")


def number(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def on_arrays(
    crossings: pl.DataFrame, rule: ForwardWindowRule, policy: MissingCrossings, observed: Observed
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The same from the kernel, in parts of a few persons."""
    last = observed.to_date or crossings["crossed_date"].max()
    assert isinstance(last, date)
    rows = spells.sort_rows(command.as_numbers(crossings))
    before = rows.before
    first = None if observed.from_date is None else number(observed.from_date) - before
    observation = residence.Observation(first, number(last) - before)
    orders, results = [], []
    for part in spells.find_parts(rows, 20):
        own = spells.order_part(rows, part)
        histories = residence.Histories(own.person, own.day, own.is_arrival, own.given_status)
        found = residence.classify_histories(histories, rule, policy, observation)
        sequence = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("person").alias("sequence")
        orders.append(
            pl.DataFrame({"crossing_id": own.row, "person": own.person}).select("crossing_id", sequence)
        )
        results.append(pl.DataFrame({"crossing_id": own.row, **vars(found)}))
    dates = {"status_final_day": "status_final_date", "migration_final_day": "migration_final_date"}
    counts = {
        "present_least": "present_days_least",
        "present_most": "present_days_most",
        "observed": "observed_days",
    }
    words = {1: "resident", 0: "non_resident", -1: "undetermined"}
    shown = [pl.col(name).replace_strict(words).alias(name) for name in RESULTS[:2]]
    shown.append(pl.when(pl.col("is_migration") >= 0).then(pl.col("is_migration") == 1).alias("is_migration"))
    shown += [
        pl.when(pl.col(day) > 0).then((pl.col(day) + before).cast(pl.Int32)).cast(pl.Date).alias(name)
        for day, name in dates.items()
    ]
    shown += [
        pl.when(pl.col(n) >= 0).then(pl.col(n)).cast(pl.Int32).alias(name) for n, name in counts.items()
    ]
    return pl.concat(orders), pl.concat(results).sort("crossing_id").select(
        "crossing_id", *shown, "is_rejected"
    )


def check_equal(
    engine: Engine,
    crossings: pl.DataFrame,
    rule: ForwardWindowRule,
    policy: MissingCrossings,
    observed: Observed,
) -> None:
    wanted_order, wanted = in_sql(engine, crossings, rule, policy, observed)
    order, found = on_arrays(crossings, rule, policy, observed)
    assert_same(order, wanted_order.select(order.columns))
    assert_same(found, wanted)
    assert wanted.columns == found.columns
    results, n_persons = command.classify_by_days(crossings, rule, policy, observed)
    assert n_persons == crossings["person_id"].n_unique()
    words = results.with_columns(pl.col(RESULTS[:2]).cast(pl.String))
    assert words.equals(wanted.select(RESULTS))


def assert_same(found: pl.DataFrame, wanted: pl.DataFrame) -> None:
    number = pl.col("crossing_id").cast(pl.Int64)
    both = [rows.with_columns(number).sort("crossing_id") for rows in (found, wanted)]
    assert both[0].equals(both[1])


@MANY
@given(drawn=drawn_files())
def test_arrays_and_sql_give_equal_rows(
    duckdb_engine: Engine, drawn: tuple[pl.DataFrame, ForwardWindowRule, Observed]
) -> None:
    for policy in POLICIES:
        check_equal(duckdb_engine, drawn[0], drawn[1], policy, drawn[2])


@pytest.mark.parametrize("policy", POLICIES)
def test_many_crossings_give_equal_rows(duckdb_engine: Engine, policy: MissingCrossings) -> None:
    """As people travel, with crossings lost, and the day alone known."""
    crossings = check_crossings(generate(12_000, 5), "generated")
    check_equal(
        duckdb_engine, crossings, make_rule(365, 487), policy, Observed(date(2012, 1, 1), date(2023, 12, 31))
    )


@st.composite
def drawn_chains(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What stage residence of a run has: gaps that evidence shows at both ends, likely days, deaths, persons apart."""
    chain: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    for key in range(10):
        day, is_arrival, is_cut = draw(st.integers(0, 20)), draw(st.booleans()), draw(st.booleans())
        n = draw(st.integers(0, 6))
        for position in range(n):
            is_gap = draw(st.integers(0, 3)) == 0
            length = draw(st.integers(0, 15))
            own: dict[str, Any] = {
                "person_key": 3 * key,
                "position": position,
                "day": day,
                "is_arrival": is_arrival,
            }
            own |= {"is_crossing": position > 0 or not is_gap, "gap_day": day + length if is_gap else None}
            own |= {
                "likely_day": day + draw(st.integers(0, length)) if is_gap and draw(st.booleans()) else None
            }
            chain.append(
                {**own, "is_by_evidence": own["is_crossing"] is False or (is_gap and position == n - 1)}
            )
            day += length
            is_arrival = is_arrival if is_gap else not is_arrival
        death = day + draw(st.integers(0, 20)) if draw(st.booleans()) else None
        held = death if is_cut else 1_000_000
        person = {
            "person_key": 3 * key,
            "observed_day": day + 5 if death is None else held,
            "death_day": death,
        }
        initial = draw(st.sampled_from([1, 0, -1]))
        people.append({**person, "initial_status": initial, "is_window_cut": is_cut and death is not None})
    return chain, people


@MANY
@given(drawn=drawn_chains(), numbers=st.sampled_from(NUMBERS[1:]))
def test_chains_of_a_run_settle_alike(
    duckdb_engine: Engine, drawn: tuple[list[dict[str, Any]], list[dict[str, Any]]], numbers: tuple[int, int]
) -> None:
    """Held a few rows at a time, and these in parts of a few."""
    chain_types: dict[str, Any] = dict.fromkeys(
        ("person_key", "position", "day", "gap_day", "likely_day"), pl.Int64
    )
    of_people = ("person_key", "observed_day", "death_day", "initial_status")
    people_types: dict[str, Any] = dict.fromkeys(of_people, pl.Int64)
    flags: dict[str, Any] = dict.fromkeys(("is_arrival", "is_crossing", "is_by_evidence"), pl.Boolean)
    frames = [
        pl.DataFrame(drawn[0], schema=chain_types | flags),
        pl.DataFrame(drawn[1], schema=people_types | {"is_window_cut": pl.Boolean}),
    ]
    tables = [duckdb_engine.frame(f"given_{n}", frame) for n, frame in enumerate(frames)]
    for policy in POLICIES:
        found, wanted = (
            settle(duckdb_engine, tables, make_rule(*numbers), policy, here) for here in (True, False)
        )
        assert_settled(found[0], wanted[0])
        counted = ["person_key", "place", "present_min", "present_max", "observed_min"]
        in_chain = wanted[1].join(wanted[0], on=["person_key", "place"], how="semi")
        assert_settled(found[1].select(counted), in_chain.select(counted))


def settle(
    engine: Engine, tables: list[Table], rule: ForwardWindowRule, policy: MissingCrossings, here: bool
) -> list[pl.DataFrame]:
    """The settled elements and their counts of days, from arrays or from SQL."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(classification, "computes_here", lambda _: here)
        patched.setattr(kernel_tables, "_AT_ONCE", 16)
        patched.setattr(kernel_tables, "_PART", 5)
        found = classification.settle_chain(engine, tables[0], tables[1], rule, policy)
    return [pl.read_parquet(table.path).sort("person_key", "place") for table in found]


def assert_settled(found: pl.DataFrame, wanted: pl.DataFrame) -> None:
    as_wide = [pl.col(pl.Int8, pl.Int32, pl.Int128).cast(pl.Int64)]
    assert found.select(wanted.columns).with_columns(as_wide).equals(wanted.with_columns(as_wide))


def test_rows_too_many_for_one_number_are_sorted_all_the_same() -> None:
    """Numbers of persons that leave no room for the rows give the histories that small ones give."""
    rng = np.random.default_rng(1)
    person, day = rng.integers(0, 30, 400), rng.integers(1, 90, 400)
    arrays = (day, rng.random(400) < 0.5)
    large = row_order.Crossings((person << 50) - 1, *arrays)
    rows = {True: spells.sort_rows(row_order.Crossings(person, *arrays)), False: spells.sort_rows(large)}
    assert [rows[small].shift is None for small in (True, False)] == [False, True]
    parts = [spells.find_parts(rows[small], 50) for small in (True, False)]
    assert parts[0] == parts[1]
    assert len(parts[0]) > 3
    for part in parts[0]:
        both = [spells.order_part(rows[small], part) for small in (True, False)]
        for name, values in vars(both[0]).items():
            assert (values == getattr(both[1], name)).all(), name


@pytest.mark.parametrize(
    ("one", "other", "dtype"),
    [
        (5, 900, pl.Int64), (-120, 120, pl.Int8), (-(2**62), 2**62, pl.Int64), (2**64 - 1, 2**64 - 2, pl.UInt64),
        ("a", "b ", pl.String), ("a", "b", pl.Categorical), (1.5, 2.5, pl.Float64),
    ],
)  # fmt: skip
def test_persons_are_told_apart_by_any_id(one: Any, other: Any, dtype: Any) -> None:
    ids = pl.Series([one, other, one], dtype=dtype)
    days = [START, START, date(2002, 1, 1)]
    frame = pl.DataFrame({"person_id": ids, "crossed_date": days, "direction": [IN, IN, OUT]})
    crossings, observed = check_crossings(frame, "given"), Observed(date(1990, 1, 1), date(2004, 1, 1))
    found, n_persons = command.classify_by_days(crossings, make_rule(365, 487), "unresolved", observed)
    assert n_persons == 2
    assert found["is_migration"].to_list() == [True, True, True]
