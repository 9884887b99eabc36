"""Days as numbers, and days of presence counted from spells."""

from typing import Literal

from miglink.engine import Engine, Table


def day_number(date: str) -> str:
    """SQL for a date as a number of days, wide enough to be multiplied."""
    return f"CAST(date_diff('day', DATE '1900-01-01', {date}) AS BIGINT)"


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


def find_presence(engine: Engine, spells: Table) -> Table:
    """Spells with the days on which presence in them begins and ends, if least and if most is assumed."""
    return engine.step(
        "spells_presence",
        f"""
        WITH days AS (
            SELECT person_id, sequence, state, {day_number("start_date")} AS start_day,
                   {day_number("COALESCE(end_date, DATE '9999-12-31')")} AS end_day,
                   COALESCE(LEAD(start_direction) OVER (PARTITION BY person_id ORDER BY sequence),
                            start_direction) AS next_direction
            FROM spells
        )
        SELECT person_id, sequence, start_day AS most_start_day, end_day AS most_end_day,
               -- Least presence: who arrived left at once, who had left came back at the last moment.
               CASE WHEN state = 'unresolved' AND next_direction = 'departure' THEN end_day ELSE start_day END
                   AS least_start_day,
               CASE WHEN state = 'unresolved' AND next_direction = 'arrival' THEN start_day ELSE end_day END
                   AS least_end_day
        FROM days WHERE state IN ('present', 'unresolved')
        """,
        spells=spells,
    )


def _stays(evidence: str) -> str:
    """SQL for the stays under the least or the most evidence of presence."""
    return f"""SELECT person_id, sequence, '{evidence}' AS evidence,
                   {evidence}_start_day AS start_day, {evidence}_end_day AS end_day FROM spells"""
