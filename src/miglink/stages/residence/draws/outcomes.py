"""The drawn histories: which crossings become a migration in each draw, and the statuses that follow."""

from miglink.engine import Engine, Table
from miglink.stages.residence.draws.chances import with_chances

_RUNNING = "PARTITION BY s.person_key ORDER BY s.place ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"


def settle_draws(
    engine: Engine, name: str, decided: Table, named: Table, whose: Table, chances: dict[str, Table]
) -> Table:
    """Each element of each draw, decided.

    Reads: decided (elements), named (the open ones with cell_5, direction, group_name, quarter), whose; chances
        (cell_5, draw, p) and shifts (direction, group_name, quarter, draw, shift).
    Gives: person_key, position, place, is_arrival, is_implied, day, flips: whether who fits it migrates; null where
        nothing is known from which to draw it.
    """
    asked = engine.view(
        f"{name}_asked",
        "SELECT n.*, w.draw, w.luck, w.key_1, w.key_2 FROM named n JOIN whose w ON w.person_key = n.person_key",
        named=named,
        whose=whose,
    )
    # Two crossings of a day are two questions; the place tells them apart.
    lucky = with_chances(engine, f"{name}_lucky", asked, "place", "becomes")
    outcomes = engine.step(
        f"{name}_outcomes",
        """
        SELECT l.person_key, l.place, l.becomes < 1 / (1 + EXP(-(LN(c.p / (1 - c.p)) + s.shift))) AS is_migration
        FROM lucky l
        JOIN chances c ON c.cell_5 = l.cell_5 AND c.draw = l.draw
        JOIN shifts s ON s.direction = l.direction AND s.group_name = l.group_name AND s.quarter = l.quarter
             AND s.draw = l.draw
        """,
        lucky=lucky,
        **chances,
    )
    return engine.step(
        f"{name}_settled",
        """
        SELECT d.person_key, d.position, d.place, d.is_arrival, d.is_implied, d.day,
               CASE WHEN d.is_reset THEN TRUE WHEN d.is_open THEN o.is_migration ELSE FALSE END AS flips
        FROM decided d LEFT JOIN outcomes o ON o.person_key = d.person_key AND o.place = d.place
        """,
        decided=decided,
        outcomes=outcomes,
    )


def find_drawn_statuses(engine: Engine, name: str, settled: Table, whose: Table) -> tuple[Table, Table]:
    """The statuses of each draw from the first day in doubt on, and the migrations.

    Gives: statuses (person_key, from_day, to_day, status, status_before, end_reason) and moves (person_key, position,
        event_day, is_arrival, is_implied). An element without an outcome leaves the status unknown until the next that
        settles it.
    """
    ends = _find_day_ends(engine, name, settled, whose)
    statuses = engine.step(
        f"{name}_statuses",
        """
        WITH changes AS (
            SELECT person_key, event_day AS from_day, status, status_before FROM ends WHERE status <> status_before
            UNION ALL
            SELECT w.person_key, w.from_day, COALESCE(w.initial_status, -1), w.status_before FROM whose w
            WHERE NOT EXISTS (SELECT 1 FROM ends e WHERE e.person_key = w.person_key AND e.event_day = w.from_day
                              AND e.status <> e.status_before)
        ), followed AS (
            SELECT *, LEAD(from_day) OVER history AS next_day, LEAD(status) OVER history AS next_status
            FROM changes WINDOW history AS (PARTITION BY person_key ORDER BY from_day)
        )
        SELECT f.person_key, f.from_day, COALESCE(f.next_day, w.death_day) AS to_day, f.status, f.status_before,
               CASE WHEN f.next_day IS NULL THEN CASE WHEN w.death_day IS NOT NULL THEN 'death' END
                    WHEN f.next_status = -1 THEN 'undetermined' WHEN f.status = -1 THEN 'settled'
                    ELSE 'migration' END AS end_reason
        FROM followed f JOIN whose w ON w.person_key = f.person_key
        """,
        ends=ends,
        whose=whose,
    )
    moves = engine.step(
        f"{name}_moves",
        """
        SELECT s.person_key, s.position, e.event_day, s.is_arrival, s.is_implied
        FROM ends e
        JOIN settled s ON s.person_key = e.person_key AND s.place = CAST(FLOOR(e.decisive_code / 2.0) AS BIGINT)
        WHERE e.status >= 0 AND e.status_before >= 0 AND e.status <> e.status_before
        """,
        ends=ends,
        settled=settled,
    )
    return statuses, moves


def _find_day_ends(engine: Engine, name: str, settled: Table, whose: Table) -> Table:
    """The status at the end of each day with an element, that of the day before, and the element that decides."""
    return engine.step(
        f"{name}_day_ends",
        f"""
        WITH followed AS (
            SELECT s.person_key, s.position, s.place, s.is_arrival, s.is_implied, s.flips, w.initial_status,
                   GREATEST(s.day, w.start_day + 1) AS event_day,
                   MAX(CASE WHEN s.flips IS NULL THEN 4 * s.place + 2
                            WHEN s.flips THEN 4 * s.place + CASE WHEN s.is_arrival THEN 1 ELSE 0 END END)
                       OVER ({_RUNNING}) AS code
            FROM settled s JOIN whose w ON w.person_key = s.person_key
            WHERE GREATEST(s.day, w.start_day + 1) <= COALESCE(w.death_day, GREATEST(s.day, w.start_day + 1))
        ), stated AS (
            SELECT *, CASE WHEN MOD(code, 4) = 2 THEN -1 ELSE COALESCE(MOD(code, 4), initial_status, -1) END AS status
            FROM followed
        ), days AS (
            SELECT *, ROW_NUMBER() OVER (PARTITION BY person_key, event_day ORDER BY place DESC) AS nth,
                   MAX(CASE WHEN flips THEN 2 * place + CASE WHEN is_arrival THEN 1 ELSE 0 END END)
                       OVER (PARTITION BY person_key, event_day) AS decisive_code
            FROM stated
        )
        SELECT person_key, event_day, status, decisive_code,
               LAG(status, 1, COALESCE(initial_status, -1)) OVER (PARTITION BY person_key ORDER BY event_day)
                   AS status_before
        FROM days WHERE nth = 1
        """,
        settled=settled,
        whose=whose,
    )
