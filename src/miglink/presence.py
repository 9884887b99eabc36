"""When a person was present for sure, and when at most: for every stage that counts days."""

from miglink.engine import Engine, Table


def day_number(date: str) -> str:
    """SQL for a date as a number of days, wide enough to be multiplied."""
    return f"CAST(date_diff('day', DATE '1900-01-01', {date}) AS BIGINT)"


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
