"""The kernel between tables, for an engine that computes in this process."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import polars as pl

from miglink.config.rules import ForwardWindowRule, MissingCrossings
from miglink.engine import Engine, Table
from miglink.stages.residence.kernel.days import count_days
from miglink.stages.residence.kernel.elements import (
    NO_DAY,
    Chain,
    Days,
    Travellers,
    find_edges,
    find_elements,
    keep_freed_memory,
)
from miglink.stages.residence.kernel.settlement import settle

# Rows of the chain held at once, and those of them worked on by one thread.
_AT_ONCE = 1 << 20
_PART = 1 << 16
_MOST_THREADS = 8


def settle_table(
    engine: Engine, chain: Table, travellers: Table, rule: ForwardWindowRule, policy: MissingCrossings
) -> Table:
    """What `settle_chain` gives in SQL, in one table: statuses of the elements, and their counts of days."""
    name, given = f"residence_settled_{policy}", {"chain": chain, "travellers": travellers}
    keys = engine.collect(
        "SELECT MIN(person_key) AS least, MAX(person_key) + 1 AS most FROM travellers", **given
    )
    least, most = (int(key or 0) for key in keys.row(0))
    edges = np.linspace(least, most, 2 + engine.count(chain) // _AT_ONCE).astype(np.int64).tolist()
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
        tables[f"part_{number}"] = engine.frame(f"{name}_{number}", _settle_parts(rows, people, rule, policy))
    return engine.step(name, " UNION ALL ".join(f"SELECT * FROM {table}" for table in tables), **tables)


def _settle_parts(
    rows: pl.DataFrame, people: pl.DataFrame, rule: ForwardWindowRule, policy: MissingCrossings
) -> pl.DataFrame:
    """The settled elements of some persons, a part of them to each thread."""
    person = np.searchsorted(people["person_key"].to_numpy(), rows["person_key"].to_numpy())
    edges = find_edges(person)
    cuts = np.unique(np.append(edges[np.searchsorted(edges, np.arange(0, len(person), _PART))], edges[-1]))

    def settle_part(number: int) -> pl.DataFrame:
        part = slice(*cuts[number : number + 2].tolist())
        of_people = slice(int(person[part.start]), int(person[part.stop - 1]) + 1)
        return _settle(rows[part], person[part] - of_people.start, people[of_people], rule, policy)

    keep_freed_memory()
    nobody = _settle(rows[:0], person[:0], people[:0], rule, policy)
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
    counts = count_days(elements, travellers, rule)
    settled = settle(elements, counts, travellers, rule)
    source, is_implied = elements.source[settled.at], elements.is_implied[settled.at]
    position = rows["position"].to_numpy()[source]
    days = {
        "day": settled.day,
        "late_day": settled.late_day,
        "status_final_day": settled.status_final_day,
        "migration_final_day": settled.migration_final_day,
    }
    dated = [pl.when(pl.col(name) != NO_DAY).then(pl.col(name) + before).alias(name) for name in days]
    is_migration = pl.when(pl.col("is_migration") >= 0).then(pl.col("is_migration") == 1)
    return pl.DataFrame(
        {
            "person_key": rows["person_key"].to_numpy()[source],
            "position": position,
            "place": 2 * position + is_implied,
            "is_arrival": elements.is_arrival[settled.at],
            "is_implied": is_implied,
            "is_reset": settled.is_reset,
            "status_before": settled.status_before,
            "status_after": settled.status_after,
            "is_migration": settled.is_migration,
            **days,
            "present_min": counts.least.present[settled.at],
            "present_max": counts.most.present[settled.at],
            "observed_min": counts.least.observed[settled.at],
        }
    ).with_columns(is_migration.alias("is_migration"), *dated)


def _numbers(days: pl.Series, before: int) -> Days:
    """Days as numbers from 1 on; NO_DAY where there is none."""
    return (days.cast(pl.Int64) - before).fill_null(NO_DAY).to_numpy()
