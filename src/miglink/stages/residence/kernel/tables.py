"""The kernel between tables, for an engine that computes in this process."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import polars as pl

from miglink.config.rules import ForwardWindowRule, MissingCrossings
from miglink.engine import Engine, Table
from miglink.stages.residence.elements import Placement
from miglink.stages.residence.kernel.days import Counts, count_days
from miglink.stages.residence.kernel.elements import (
    NO_DAY,
    Chain,
    Days,
    Elements,
    Travellers,
    find_edges,
    find_elements,
    keep_freed_memory,
)
from miglink.stages.residence.kernel.settlement import decide_by_days, settle

# Rows of the chain held at once, and those of them worked on by one thread.
_AT_ONCE = 1 << 20
_PART = 1 << 16
_MOST_THREADS = 8


def settle_table(
    engine: Engine, chain: Table, travellers: Table, rule: ForwardWindowRule, policy: MissingCrossings
) -> Table:
    """What `settle_chain` gives in SQL, in one table: statuses of the elements, and their counts of days."""

    def settle_part(rows: pl.DataFrame, person: Days, people: pl.DataFrame) -> pl.DataFrame:
        return _settle(rows, person, people, rule, policy)

    return _work_through(engine, f"residence_settled_{policy}", (chain, travellers), settle_part)


def decide_table(
    engine: Engine, chain: Table, travellers: Table, rule: ForwardWindowRule, policy: Placement
) -> Table:
    """What `decide_chain` gives in SQL: of each element alone whether it is a migration where it fits."""

    def decide_part(rows: pl.DataFrame, person: Days, people: pl.DataFrame) -> pl.DataFrame:
        return _decide(rows, person, people, rule, policy)

    return _work_through(engine, "residence_decided_alone", (chain, travellers), decide_part)


# The rows of a chain, the number of the person of each among the people, and the people.
_Body = Callable[[pl.DataFrame, Days, pl.DataFrame], pl.DataFrame]


def _work_through(engine: Engine, name: str, inputs: tuple[Table, Table], body: _Body) -> Table:
    """What the body gives for each part of the persons, in one table."""
    given = {"chain": inputs[0], "travellers": inputs[1]}
    keys = engine.collect(
        "SELECT MIN(person_key) AS least, MAX(person_key) + 1 AS most FROM travellers", **given
    )
    least, most = (int(key or 0) for key in keys.row(0))
    edges = np.linspace(least, most, 2 + engine.count(inputs[0]) // _AT_ONCE).astype(np.int64).tolist()
    has_parts = len(edges) > 2
    tables = {}
    for number, (first, end) in enumerate(pairwise(edges)):
        is_own = f"person_key >= {first} AND person_key < {end}"
        people = engine.collect(
            f"""SELECT person_key, observed_day, initial_status, death_day, is_window_cut
            FROM travellers WHERE {is_own} ORDER BY person_key""",
            **given,
        )
        rows = engine.collect(
            f"""SELECT person_key, position, day, is_arrival, is_crossing, gap_day, likely_day, is_by_evidence
            FROM chain WHERE {is_own} AND person_key IN (SELECT person_key FROM travellers)
            ORDER BY person_key, position""",
            **given,
        )
        part = engine.frame(f"{name}_{number}" if has_parts else name, _in_parts(rows, people, body))
        tables[f"part_{number}"] = part
    if not has_parts:
        return part
    return engine.step(name, " UNION ALL ".join(f"SELECT * FROM {table}" for table in tables), **tables)


def _in_parts(rows: pl.DataFrame, people: pl.DataFrame, body: _Body) -> pl.DataFrame:
    """What the body gives for some persons, a part of them to each thread."""
    person = np.searchsorted(people["person_key"].to_numpy(), rows["person_key"].to_numpy())
    edges = find_edges(person)
    cuts = np.unique(np.append(edges[np.searchsorted(edges, np.arange(0, len(person), _PART))], edges[-1]))

    def settle_part(number: int) -> pl.DataFrame:
        part = slice(*cuts[number : number + 2].tolist())
        of_people = slice(int(person[part.start]), int(person[part.stop - 1]) + 1)
        return body(rows[part], person[part] - of_people.start, people[of_people])

    keep_freed_memory()
    nobody = body(rows[:0], person[:0], people[:0])
    with ThreadPoolExecutor(min(_MOST_THREADS, pl.thread_pool_size())) as pool:
        return pl.concat([nobody, *pool.map(settle_part, range(len(cuts) - 1))])


def _settle(
    rows: pl.DataFrame,
    person: Days,
    people: pl.DataFrame,
    rule: ForwardWindowRule,
    policy: MissingCrossings,
) -> pl.DataFrame:
    """The settled elements of some persons."""
    before, travellers, elements, counts = _count(rows, person, people, rule, policy)
    settled = settle(elements, counts, travellers, rule)
    days = {
        "day": settled.day,
        "late_day": settled.late_day,
        "status_final_day": settled.status_final_day,
        "migration_final_day": settled.migration_final_day,
    }
    dated = [pl.when(pl.col(name) != NO_DAY).then(pl.col(name) + before).alias(name) for name in days]
    is_migration = pl.when(pl.col("is_migration") >= 0).then(pl.col("is_migration") == 1)
    return (
        _name_elements(rows, elements, settled.at)
        .with_columns(
            is_reset=settled.is_reset,
            status_before=settled.status_before,
            status_after=settled.status_after,
            is_migration=settled.is_migration,
            **days,
            present_min=counts.least.present[settled.at],
            present_max=counts.most.present[settled.at],
            observed_min=counts.least.observed[settled.at],
        )
        .with_columns(is_migration.alias("is_migration"), *dated)
    )


def _decide(
    rows: pl.DataFrame, person: Days, people: pl.DataFrame, rule: ForwardWindowRule, policy: Placement
) -> pl.DataFrame:
    """The elements of some persons, each decided by itself."""
    before, travellers, elements, counts = _count(rows, person, people, rule, policy)
    decided = decide_by_days(elements, counts, travellers, rule)
    return _name_elements(rows, elements, decided.at).with_columns(
        day=decided.day + before,
        is_reset=decided.can_flip & ~decided.can_stay,
        is_open=decided.can_flip & decided.can_stay,
        present_days=counts.least.present[decided.at],
        observed_days=counts.least.observed[decided.at],
    )


def _name_elements(rows: pl.DataFrame, elements: Elements, at: Days) -> pl.DataFrame:
    """Whose the elements are, where they stand and which way they lead."""
    source, is_implied = elements.source[at], elements.is_implied[at]
    position = rows["position"].to_numpy()[source]
    return pl.DataFrame(
        {
            "person_key": rows["person_key"].to_numpy()[source],
            "position": position,
            "place": 2 * position + is_implied,
            "is_arrival": elements.is_arrival[at],
            "is_implied": is_implied,
        }
    )


def _count(
    rows: pl.DataFrame, person: Days, people: pl.DataFrame, rule: ForwardWindowRule, policy: Placement
) -> tuple[int, Travellers, Elements, Counts]:
    """The elements of some persons and the days around them; and the day before day 1."""
    before = int(rows["day"].to_numpy().min(initial=0)) - 1  # days are numbered from 1 on
    flags = {name: rows[name].to_numpy() for name in ("is_arrival", "is_crossing", "is_by_evidence")}
    chain = Chain(
        person,
        rows["day"].to_numpy() - before,
        flags["is_arrival"],
        _numbers(rows["gap_day"], before),
        flags["is_crossing"],
        _numbers(rows["likely_day"], before),
        flags["is_by_evidence"],
    )
    travellers = Travellers(
        _numbers(people["observed_day"], before),
        people["initial_status"].cast(pl.Int8).to_numpy(),
        _numbers(people["death_day"], before),
        people["is_window_cut"].to_numpy(),
    )
    elements = find_elements(chain, policy)
    return before, travellers, elements, count_days(elements, travellers, rule)


def _numbers(days: pl.Series, before: int) -> Days:
    """Days as numbers from 1 on; NO_DAY where there is none."""
    return (days.cast(pl.Int64) - before).fill_null(NO_DAY).to_numpy()
