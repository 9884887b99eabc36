"""The drawn histories: which crossings become a migration in each draw, and the statuses that follow."""

from miglink.engine import Engine, Table
from miglink.stages.residence.draws.chances import with_chances


def settle_draws(
    engine: Engine, name: str, decided: Table, opened: Table, whose: Table, chances: Table
) -> Table:
    """The elements of each draw that may change a status.

    Reads: decided (elements of the chains), opened (the open ones with cell, a number), whose; chances (cell, draw, p).
    Gives: person_key, position, place, is_arrival, is_implied, day, flips: that who fits it migrates; null where
        nothing is known from which to draw it. Elements that change nothing are left out.
    """
    asked = engine.view(
        f"{name}_asked",
        """SELECT w.person_key, n.position, n.place, n.is_arrival, n.is_implied, n.day, n.cell,
               w.draw, w.luck, w.key_1, w.key_2
        FROM opened n JOIN whose w ON w.chain_key = n.person_key""",
        opened=opened,
        whose=whose,
    )
    # Two crossings of a day are two questions; the place tells them apart.
    lucky = with_chances(engine, f"{name}_lucky", asked, "place", "becomes")
    return engine.step(
        f"{name}_settled",
        """
        SELECT w.person_key, d.position, d.place, d.is_arrival, d.is_implied, d.day, TRUE AS flips
        FROM decided d JOIN whose w ON w.chain_key = d.person_key
        WHERE d.is_reset
        UNION ALL
        SELECT l.person_key, l.position, l.place, l.is_arrival, l.is_implied, l.day,
               CASE WHEN c.p IS NOT NULL THEN TRUE END AS flips
        FROM lucky l LEFT JOIN chances c ON c.cell = l.cell AND c.draw = l.draw
        WHERE c.p IS NULL OR l.becomes < c.p
        """,
        decided=decided,
        whose=whose,
        lucky=lucky,
        chances=chances,
    )


def find_drawn_statuses(engine: Engine, name: str, settled: Table, whose: Table) -> tuple[Table, Table]:
    """The statuses of each draw from the first day in doubt on, and the migrations.

    Gives: statuses (person_key, from_day, to_day, status, status_before, end_reason) and moves (person_key, position,
        event_day, is_arrival, is_implied). An element without an outcome leaves the status unknown until the next that
        settles it.
    """
    changes = _find_changes(engine, name, settled, whose)
    statuses = engine.step(
        f"{name}_statuses",
        """
        WITH begun AS (
            SELECT person_key, event_day AS from_day, status, status_before FROM changes
            UNION ALL
            SELECT w.person_key, w.from_day, COALESCE(w.initial_status, -1), w.status_before
            FROM whose w LEFT JOIN changes e ON e.person_key = w.person_key AND e.event_day = w.from_day
            WHERE e.person_key IS NULL
        ), followed AS (
            SELECT *, LEAD(from_day) OVER history AS next_day, LEAD(status) OVER history AS next_status
            FROM begun WINDOW history AS (PARTITION BY person_key ORDER BY from_day)
        )
        SELECT f.person_key, f.from_day, COALESCE(f.next_day, w.death_day) AS to_day, f.status, f.status_before,
               CASE WHEN f.next_day IS NULL THEN CASE WHEN w.death_day IS NOT NULL THEN 'death' END
                    WHEN f.next_status = -1 THEN 'undetermined' WHEN f.status = -1 THEN 'settled'
                    ELSE 'migration' END AS end_reason
        FROM followed f JOIN whose w ON w.person_key = f.person_key
        """,
        changes=changes,
        whose=whose,
    )
    moves = engine.step(
        f"{name}_moves",
        """
        SELECT s.person_key, s.position, e.event_day, s.is_arrival, s.is_implied
        FROM changes e
        JOIN settled s ON s.person_key = e.person_key AND s.place = e.decisive_place
        WHERE e.status >= 0 AND e.status_before >= 0
        """,
        changes=changes,
        settled=settled,
    )
    return statuses, moves


def _find_changes(engine: Engine, name: str, settled: Table, whose: Table) -> Table:
    """The days at whose end the status is another than the day before, both statuses, and the element that decides."""
    # Days come in the order of places: the element that decides is the one with the greatest.
    stated = "CASE WHEN MOD({0}, 4) = 2 THEN -1 ELSE COALESCE(MOD({0}, 4), initial_status, -1) END"
    return engine.step(
        f"{name}_changes",
        f"""
        WITH dated AS (
            SELECT s.person_key, GREATEST(s.day, w.start_day + 1) AS event_day, w.initial_status,
                   4 * s.place + CASE WHEN s.flips IS NULL THEN 2 WHEN s.is_arrival THEN 1 ELSE 0 END AS code,
                   CASE WHEN s.flips THEN s.place END AS place
            FROM settled s JOIN whose w ON w.person_key = s.person_key
            WHERE GREATEST(s.day, w.start_day + 1) <= COALESCE(w.death_day, GREATEST(s.day, w.start_day + 1))
        ), days AS (
            SELECT person_key, event_day, MAX(initial_status) AS initial_status, MAX(code) AS code,
                   MAX(place) AS decisive_place
            FROM dated GROUP BY person_key, event_day
        ), followed AS (
            SELECT *, LAG(code) OVER (PARTITION BY person_key ORDER BY event_day) AS code_before FROM days
        ), stated AS (
            SELECT person_key, event_day, decisive_place, {stated.format("code")} AS status,
                   {stated.format("code_before")} AS status_before
            FROM followed
        )
        SELECT * FROM stated WHERE status <> status_before
        """,
        settled=settled,
        whose=whose,
    )
