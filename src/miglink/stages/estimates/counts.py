"""Counts of histories by citizenship, small whatever the number of persons."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from miglink.engine import Engine, Table


@dataclass(frozen=True)
class Counts:
    """All counts have rule, policy, sex and citizenship.

    strata: the rules and policies at hand.
    statuses: n_resident and n_undetermined at the end of `last_date`.
    migrations: n by year, month, direction and outcome.
    changes: n by year and term (births, deaths, net_undetermined, moves).
    """

    strata: pl.DataFrame
    statuses: pl.DataFrame
    migrations: pl.DataFrame
    changes: pl.DataFrame


def count_all(
    engine: Engine, statuses: Table, cells: Table, migrations: Table, days: Sequence[date]
) -> Counts:
    """Count statuses at the end of the days, migrations, and the other changes of the resident population."""
    strata = engine.collect("SELECT DISTINCT rule, policy FROM statuses", statuses=statuses)
    return Counts(
        strata=strata.sort("rule", "policy"),
        statuses=_count_statuses(engine, statuses, cells, days),
        migrations=_count_migrations(engine, migrations, cells),
        changes=pl.concat(
            [_count_transitions(engine, statuses, cells), _count_moves(engine, statuses, cells)]
        ),
    )


def _count_statuses(engine: Engine, statuses: Table, cells: Table, days: Sequence[date]) -> pl.DataFrame:
    # Most persons never change: counting equal intervals first leaves few rows to compare with the days.
    intervals = engine.step(
        "estimates_intervals",
        """
        SELECT s.rule, s.policy, s.status, c.sex, c.citizenship,
               GREATEST(s.from_date, c.valid_from) AS from_date, LEAST(s.to_date, c.valid_to) AS to_date,
               COUNT(*) AS n
        FROM statuses s
        JOIN cells c ON c.person_id = s.person_id AND c.valid_from < s.to_date AND s.from_date < c.valid_to
        WHERE s.status <> 'non_resident'
        GROUP BY s.rule, s.policy, s.status, c.sex, c.citizenship,
                 GREATEST(s.from_date, c.valid_from), LEAST(s.to_date, c.valid_to)
        """,
        statuses=statuses,
        cells=cells,
    )
    return engine.collect(
        """
        SELECT i.rule, i.policy, d.last_date, i.sex, i.citizenship,
               CAST(SUM(CASE WHEN i.status = 'resident' THEN i.n ELSE 0 END) AS BIGINT) AS n_resident,
               CAST(SUM(CASE WHEN i.status = 'undetermined' THEN i.n ELSE 0 END) AS BIGINT) AS n_undetermined
        FROM intervals i JOIN days d ON i.from_date <= d.last_date AND d.last_date < i.to_date
        GROUP BY i.rule, i.policy, d.last_date, i.sex, i.citizenship
        """,
        intervals=intervals,
        days=engine.frame("estimates_days", pl.DataFrame({"last_date": days}, schema={"last_date": pl.Date})),
    )


def _count_migrations(engine: Engine, migrations: Table, cells: Table) -> pl.DataFrame:
    return engine.collect(
        """
        SELECT m.rule, m.policy, CAST(YEAR(m.counted_date) AS INTEGER) AS year,
               CAST(MONTH(m.counted_date) AS INTEGER) AS month,
               m.direction, m.outcome, c.sex, c.citizenship, COUNT(*) AS n
        FROM migrations m
        JOIN cells c
          ON c.person_id = m.person_id AND c.valid_from <= m.counted_date AND m.counted_date < c.valid_to
        WHERE m.draw = 0
        GROUP BY m.rule, m.policy, YEAR(m.counted_date), MONTH(m.counted_date),
                 m.direction, m.outcome, c.sex, c.citizenship
        """,
        migrations=migrations,
        cells=cells,
    )


def _count_transitions(engine: Engine, statuses: Table, cells: Table) -> pl.DataFrame:
    """Births and deaths of residents, and residents whose status was settled less those who lost theirs."""
    transitions = engine.step(
        "estimates_changes",
        """
        SELECT person_id, rule, policy, 'births' AS term, from_date AS event_date, 1 AS change
        FROM statuses
        WHERE status = 'resident' AND begins_at_birth
        UNION ALL
        SELECT person_id, rule, policy, 'deaths' AS term, to_date AS event_date, 1 AS change
        FROM statuses
        WHERE status = 'resident' AND end_reason = 'death'
        UNION ALL
        SELECT person_id, rule, policy, 'net_undetermined' AS term, from_date AS event_date,
               CASE WHEN status = 'resident' THEN 1 ELSE -1 END AS change
        FROM statuses
        WHERE (status_before = 'undetermined' AND status = 'resident')
           OR (status_before = 'resident' AND status = 'undetermined')
        """,
        statuses=statuses,
    )
    return engine.collect(
        """
        SELECT t.rule, t.policy, CAST(YEAR(t.event_date) AS INTEGER) AS year, t.term, c.sex, c.citizenship,
               CAST(SUM(t.change) AS BIGINT) AS n
        FROM transitions t
        JOIN cells c
          ON c.person_id = t.person_id AND c.valid_from <= t.event_date AND t.event_date < c.valid_to
        GROUP BY t.rule, t.policy, YEAR(t.event_date), t.term, c.sex, c.citizenship
        """,
        transitions=transitions,
        cells=cells,
    )


def _count_moves(engine: Engine, statuses: Table, cells: Table) -> pl.DataFrame:
    """Changes of citizenship of persons resident at the end of the day before: in and out.

    A move comes before the other events of its day, because those are counted in the cell of their day.
    """
    moves = engine.collect(
        """
        SELECT s.rule, s.policy, CAST(YEAR(c.valid_from) AS INTEGER) AS year, c.sex,
               c.citizenship_before, c.citizenship, COUNT(*) AS n
        FROM statuses s
        JOIN cells c ON c.person_id = s.person_id AND s.from_date < c.valid_from AND c.valid_from <= s.to_date
        WHERE s.status = 'resident' AND c.citizenship_before <> c.citizenship
        GROUP BY s.rule, s.policy, YEAR(c.valid_from), c.sex, c.citizenship_before, c.citizenship
        """,
        statuses=statuses,
        cells=cells,
    )
    into = moves.with_columns(term=pl.lit("moves"))
    out_of = into.with_columns(citizenship="citizenship_before", n=-pl.col("n"))
    return pl.concat([into, out_of]).select("rule", "policy", "year", "term", "sex", "citizenship", "n")
