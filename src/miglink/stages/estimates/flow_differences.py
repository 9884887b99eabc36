"""The migrations counted under one rule and policy, and what each other rule and policy makes of them.

Two rules count the same migration where they count one of the person in the same direction and year. Where the other
does not, its statuses at the end of the day before and of the day on which this one is counted say why.
"""

import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.estimates.periods import flow_periods
from miglink.stages.estimates.strata import name_pairs
from miglink.stages.estimates.vintages import Observation

_KEY = ("rule", "policy", "period", "flow", "other_rule", "other_policy", "other_outcome")


def count_flow_differences(
    engine: Engine, residence: Table, migrations: Table, strata: pl.DataFrame, observation: Observation
) -> pl.DataFrame:
    """Count the settled migrations of every stratum and year by what every other stratum makes of them."""
    histories = _join_strata(engine, residence, migrations, strata)
    settled = _find_settled(engine, histories, migrations, strata)
    counted = engine.collect(
        """
        SELECT stratum, other, year, flow, other_outcome, COUNT(*) AS n
        FROM outcomes GROUP BY stratum, other, year, flow, other_outcome
        """,
        outcomes=_find_outcomes(engine, histories, settled, _match(engine, settled, strata)),
    )
    years = flow_periods(observation.period, ("year",)).with_columns(year=pl.col("last_date").dt.year())
    named = name_pairs(counted, strata, years, observation)
    outcome = pl.when("is_covered").then("other_outcome").otherwise(pl.lit("not_covered"))
    return (
        named.with_columns(other_outcome=outcome)
        .group_by(*_KEY, "data_to_date", "status")
        .agg(pl.col("n").sum())
    )


def _join_strata(engine: Engine, residence: Table, migrations: Table, strata: pl.DataFrame) -> Table:
    """All statuses of whoever migrates under any rule and policy: in force on d if from_date <= d < until_date."""
    return engine.step(
        "estimates_compared",
        """
        SELECT r.person_id, k.stratum, r.status, r.basis, r.end_reason, r.from_date,
               COALESCE(r.to_date, DATE '9999-12-31') AS to_date,
               -- Whoever dies keeps the status to the end of that day.
               CASE WHEN r.end_reason = 'death' THEN CAST(r.to_date + 1 AS DATE)
                    ELSE COALESCE(r.to_date, DATE '9999-12-31') END AS until_date
        FROM residence r JOIN strata k ON k.rule = r.rule AND k.policy = r.policy
        WHERE r.draw = 0
          AND r.person_id IN (SELECT person_id FROM migrations WHERE draw = 0 AND outcome = 'migration')
        """,
        residence=residence,
        migrations=migrations,
        strata=engine.frame("estimates_strata", strata.select("stratum", "rule", "policy")),
    )


def _find_settled(engine: Engine, histories: Table, migrations: Table, strata: pl.DataFrame) -> Table:
    """Each settled migration with the status that it leads to and its end, and since when the old one had lasted."""
    return engine.step(
        "estimates_settled",
        """
        SELECT m.person_id, k.stratum, m.direction AS flow, m.counted_date,
               CAST(YEAR(m.counted_date) AS INTEGER) AS year, h.status AS new_status, h.until_date,
               b.from_date AS old_from_date
        FROM migrations m
        JOIN strata k ON k.rule = m.rule AND k.policy = m.policy
        JOIN histories h ON h.person_id = m.person_id AND h.stratum = k.stratum AND h.from_date = m.counted_date
        JOIN histories b ON b.person_id = m.person_id AND b.stratum = k.stratum AND b.to_date = m.counted_date
             AND b.from_date < m.counted_date
        WHERE m.draw = 0 AND m.outcome = 'migration'
        """,
        histories=histories,
        migrations=migrations,
        strata=engine.frame("estimates_strata", strata.select("stratum", "rule", "policy")),
    )


def _match(engine: Engine, settled: Table, strata: pl.DataFrame) -> Table:
    """Each settled migration beside every other stratum, and whether that counts one in its place.

    Those of a person, direction and year are matched in their order, but first of all those of one day.
    """
    ranked = engine.step(
        "estimates_ranked",
        """
        SELECT s.*, o.stratum AS other,
               ROW_NUMBER() OVER (PARTITION BY s.person_id, s.stratum, o.stratum, s.flow, s.year
                                  ORDER BY CASE WHEN e.person_id IS NULL THEN 1 ELSE 0 END, s.counted_date) AS nth
        FROM settled s
        JOIN strata o ON o.stratum <> s.stratum
        LEFT JOIN settled e ON e.person_id = s.person_id AND e.stratum = o.stratum AND e.flow = s.flow
             AND e.counted_date = s.counted_date
        """,
        settled=settled,
        strata=engine.frame("estimates_others", strata.select("stratum")),
    )
    return engine.step(
        "estimates_matched",
        """
        SELECT a.*, b.person_id IS NOT NULL AS is_counted
        FROM ranked a
        LEFT JOIN ranked b ON b.person_id = a.person_id AND b.stratum = a.other AND b.other = a.stratum
             AND b.flow = a.flow AND b.year = a.year AND b.nth = a.nth
        """,
        ranked=ranked,
    )


def _find_outcomes(engine: Engine, histories: Table, settled: Table, matched: Table) -> Table:
    """What the other stratum makes of each migration, by its statuses before and after the day.

    The change is the same, but earlier or later, if from the one day to the other both strata keep what they have.
    """
    return engine.view(
        "estimates_outcomes",
        """
        SELECT m.stratum, m.other, m.year, m.flow,
               CASE WHEN m.is_counted THEN 'counted'
                    WHEN n.basis = 'rejected_person' THEN 'rejected_person'
                    WHEN o.status = 'undetermined' OR n.status = 'undetermined' THEN 'undetermined'
                    WHEN o.status = m.new_status AND n.status = m.new_status AND e.person_id IS NOT NULL
                         AND m.old_from_date < n.from_date THEN 'counted_earlier'
                    WHEN o.status <> m.new_status AND n.status <> m.new_status AND n.end_reason = 'migration'
                         AND n.to_date < m.until_date THEN 'counted_later'
                    WHEN o.status = m.new_status THEN 'had_status'
                    ELSE 'kept_status' END AS other_outcome
        FROM matched m
        -- The old status of the other stratum, the new one, and the migration that began the new one.
        LEFT JOIN histories o ON o.person_id = m.person_id AND o.stratum = m.other
             AND o.from_date < m.counted_date AND m.counted_date <= o.to_date
        LEFT JOIN histories n ON n.person_id = m.person_id AND n.stratum = m.other
             AND n.from_date <= m.counted_date AND m.counted_date < n.until_date
        LEFT JOIN settled e ON e.person_id = n.person_id AND e.stratum = n.stratum AND e.flow = m.flow
             AND e.counted_date = n.from_date
        """,
        matched=matched,
        histories=histories,
        settled=settled,
    )
