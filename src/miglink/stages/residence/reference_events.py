"""The changes between reference dates, each with the entry or exit that began the stay which decided it.

That is the entry from which presence outweighs absence by most days until the reference date, and the exit from which
absence outweighs presence by most. A holiday before the move, or a trip soon after it, is so passed over.
"""

from miglink.engine import Engine, Table


def find_transitions(
    engine: Engine, statuses: Table, timelines: Table, travellers: Table, dates: Table
) -> tuple[Table, Table, Table]:
    """The first statuses, the days on which statuses begin, and the migrations, settled and possible.

    A change between known statuses is a settled migration: `event_day` is that of the entry or exit, `counted_day` the
    same if it lies in the year, else the last day of the year. It is looked for in the year and the one before; but
    where the status changed at the last reference date too, or was undetermined, in the year and the stay that was
    going on when it began, so that events come in order. A change to or from an undetermined status is booked on the
    last day of the year; the crossings by which it may have come about are possible migrations, each once, in the
    first such year.
    """
    changes = engine.step("residence_date_changes", _CHANGES, statuses=statuses, travellers=travellers)
    events = _find_events(engine, changes, timelines)
    corrected = engine.step(
        "residence_corrected", _CORRECTED, changes=changes, events=events, travellers=travellers
    )
    days = engine.step(
        "residence_status_days", _DAYS, changes=changes, events=events, corrected=corrected, dates=dates
    )
    return (
        corrected,
        days,
        engine.step(
            "residence_moves", _MOVES, changes=changes, events=events, travellers=travellers, dates=dates
        ),
    )


def _find_events(engine: Engine, changes: Table, timelines: Table) -> Table:
    """For each change and possible direction the element that brought it about, on the timeline that speaks for it."""
    return engine.step(
        "residence_date_events",
        """
        WITH wanted AS (
            SELECT person_key, n, reference_day, year_day, earlier_day, is_settled, TRUE AS is_arrival,
                   CASE WHEN is_settled THEN 'least' ELSE 'most' END AS timeline, is_after_change
            FROM changes WHERE status_before <> 1 AND status <> 0
            UNION ALL
            SELECT person_key, n, reference_day, year_day, earlier_day, is_settled, FALSE AS is_arrival,
                   CASE WHEN is_settled THEN 'most' ELSE 'least' END AS timeline, is_after_change
            FROM changes WHERE status_before <> 0 AND status <> 1
        ), first_days AS (
            SELECT person_key, place, MIN(day) AS event_day FROM timelines GROUP BY person_key, place
        ), ranked AS (
            SELECT w.person_key, w.n, w.is_settled, w.year_day, e.position, e.place, e.is_arrival, e.is_implied,
                   f.event_day,
                   ROW_NUMBER() OVER (PARTITION BY w.person_key, w.n, w.is_arrival
                                      ORDER BY CASE WHEN w.is_arrival THEN e.presence - e.absence
                                                    ELSE e.absence - e.presence END, e.place) AS nth
            FROM wanted w
            JOIN timelines e ON e.person_key = w.person_key AND e.timeline = w.timeline
                 AND e.is_arrival = w.is_arrival AND NOT e.is_virtual AND e.day < w.reference_day
                 AND CASE WHEN w.is_after_change THEN e.day >= w.year_day OR e.end_day > w.year_day
                          ELSE e.day >= w.earlier_day END
            JOIN first_days f ON f.person_key = e.person_key AND f.place = e.place
        )
        SELECT person_key, n, is_settled, year_day, position, place, is_arrival, is_implied, event_day
        FROM ranked WHERE nth = 1
        """,
        changes=changes,
        timelines=timelines,
    )


_CHANGES = """
    WITH numbered AS (
        SELECT s.*, ROW_NUMBER() OVER history AS nth,
               LAG(s.status, 1, t.initial_status) OVER history AS status_before,
               LAG(s.status, 2, t.initial_status) OVER history AS earlier_status,
               LAG(s.final_day, 1, t.initial_final_day) OVER history AS final_day_before
        FROM statuses s JOIN travellers t ON t.person_key = s.person_key
        WINDOW history AS (PARTITION BY s.person_key ORDER BY s.n)
    )
    SELECT *, status_before >= 0 AND status >= 0 AS is_settled,
           status_before = -1 OR earlier_status <> status_before AS is_after_change,
           ROW_NUMBER() OVER (PARTITION BY person_key ORDER BY n) AS nth_change
    FROM numbered WHERE status <> status_before OR status = -1
"""

# A first status that presence contradicts, with no crossing between that could have changed it, was never true.
_CORRECTED = """
    WITH wrong AS (
        SELECT c.person_key, c.n, c.status, c.final_day
        FROM changes c LEFT JOIN events e ON e.person_key = c.person_key AND e.n = c.n
        WHERE c.nth_change = 1 AND c.is_settled AND e.person_key IS NULL
    )
    SELECT t.person_key, t.from_day, t.death_day, w.n AS corrected_n,
           COALESCE(w.status, t.initial_status) AS initial_status,
           CASE WHEN w.n IS NULL THEN t.initial_basis ELSE 'first_crossing' END AS initial_basis,
           COALESCE(w.final_day, t.initial_final_day) AS initial_final_day
    FROM travellers t LEFT JOIN wrong w ON w.person_key = t.person_key
"""

_DAYS = """
    WITH booked AS (
        SELECT c.person_key, c.n, c.status, c.final_day, c.last_day, c.is_expected,
               COALESCE(e.is_implied, FALSE) AS is_implied,
               CASE WHEN e.is_settled AND e.event_day >= c.year_day
                    THEN GREATEST(e.event_day, t.from_day + 1) ELSE c.last_day END AS from_day,
               ROW_NUMBER() OVER (PARTITION BY c.person_key, c.n ORDER BY e.is_arrival) AS nth
        FROM changes c
        JOIN corrected t ON t.person_key = c.person_key
        LEFT JOIN events e ON e.person_key = c.person_key AND e.n = c.n
        WHERE c.status <> c.status_before AND COALESCE(c.n <> t.corrected_n, TRUE)
    )
    SELECT person_key, from_day, status, final_day AS status_final_day,
           CASE WHEN is_expected THEN 'expected_stay' WHEN is_implied THEN 'implied_crossing' ELSE 'crossing' END
               AS basis
    FROM booked WHERE nth = 1
    UNION ALL
    SELECT t.person_key, MIN(d.last_day) AS from_day, -1 AS status, CAST(NULL AS BIGINT) AS status_final_day,
           'none' AS basis
    FROM corrected t
    JOIN dates d ON NOT d.is_covered AND d.last_day > t.from_day AND d.last_day < COALESCE(t.death_day, d.last_day + 1)
    GROUP BY t.person_key
"""

_MOVES = """
    WITH booked AS (
        SELECT c.person_key, e.position, e.place, e.is_arrival, e.is_implied, e.is_settled, c.n, c.is_expected,
               GREATEST(e.event_day, t.from_day + 1) AS event_day,
               CASE WHEN e.event_day >= c.year_day THEN GREATEST(e.event_day, t.from_day + 1) ELSE c.last_day END
                   AS counted_day,
               c.final_day, GREATEST(c.final_day, c.final_day_before) AS both_final_day,
               ROW_NUMBER() OVER (PARTITION BY c.person_key, e.place ORDER BY e.is_settled DESC, c.n) AS nth,
               d.is_listed
        FROM changes c
        JOIN dates d ON d.n = c.n
        JOIN events e ON e.person_key = c.person_key AND e.n = c.n
        JOIN travellers t ON t.person_key = c.person_key
    )
    SELECT person_key, position, event_day, counted_day, is_arrival, is_implied,
           CASE WHEN is_settled THEN final_day END AS status_final_day,
           CASE WHEN is_settled THEN 'migration' ELSE 'undetermined' END AS outcome,
           CASE WHEN is_settled THEN CAST(1 AS DOUBLE) END AS p_migration,
           CASE WHEN is_settled THEN both_final_day END AS migration_final_day
    FROM booked WHERE nth = 1 AND is_listed
"""
