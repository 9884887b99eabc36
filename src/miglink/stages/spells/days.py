"""Days of presence counted from spells."""

from typing import Literal

from miglink.engine import Engine, Table
from miglink.presence import day_number, find_presence


def count_days(
    engine: Engine, spells: Table, windows: Table, counting: Literal["half_open", "inclusive"]
) -> Table:
    """Count each person's days of presence in windows of time.

    Reads: spells (one draw); windows (window_id, person_id, from_date, to_date: up to but not on to_date).
    Gives: a scratch table with window_id, days_least and days_most: they differ where a crossing is missing.
    Units: days. half_open: the day of arrival counts, the day of departure does not. inclusive: both count, and
        a day on which somebody leaves and comes back counts once.
    Errors: none.
    Source: Regulation (EU) 2017/2226 (inclusive); StatisticsNZ migrbc 2.0.9 (half-open).
    """
    further = {"half_open": 0, "inclusive": 1}[counting]
    first_day = f"GREATEST(start_day, COALESCE(counted_day, start_day), {day_number('w.from_date')})"
    return engine.step(
        "spells_days_counted",
        f"""
        WITH stays AS (
            {_stays("least")} UNION ALL {_stays("most")}
        ), ends AS (
            SELECT person_id, evidence, start_day, end_day + {further} AS end_day,
                   MAX(end_day + {further}) OVER (
                       PARTITION BY person_id, evidence ORDER BY sequence
                       ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS counted_day
            FROM stays
        ), days AS (
            SELECT w.window_id, e.evidence,
                   GREATEST(0, LEAST(e.end_day, {day_number("w.to_date")}) - {first_day}) AS n_days
            FROM windows w LEFT JOIN ends e ON e.person_id = w.person_id
        )
        SELECT window_id,
               CAST(SUM(CASE WHEN evidence = 'least' THEN n_days ELSE 0 END) AS INTEGER) AS days_least,
               CAST(SUM(CASE WHEN evidence = 'most' THEN n_days ELSE 0 END) AS INTEGER) AS days_most
        FROM days GROUP BY window_id
        """,
        spells=find_presence(engine, spells),
        windows=windows,
    )


def _stays(evidence: str) -> str:
    """SQL for the stays under the least or the most evidence of presence."""
    return f"""SELECT person_id, sequence, '{evidence}' AS evidence,
                   {evidence}_start_day AS start_day, {evidence}_end_day AS end_day FROM spells"""
