"""The statuses that are counted, each with the one before it, and whether they agree with the migrations."""

from miglink.engine import Engine, Table
from miglink.errors import ResultError


def find_statuses(engine: Engine, residence: Table, persons: Table) -> Table:
    """The status rows of draw 0, each with the status before it; in force on d if from_date ≤ d < to_date.

    The row before is found by its to_date, for few rows have one: much faster than sorting all of them.
    """
    return engine.step(
        "estimates_statuses",
        """
        SELECT r.person_id, r.rule, r.policy, r.status, r.end_reason, r.from_date,
               COALESCE(r.to_date, DATE '9999-12-31') AS to_date,
               b.status AS status_before,
               COALESCE(p.is_born_here AND p.birth_date = r.from_date, FALSE) AS begins_at_birth,
               p.person_id IS NOT NULL AS is_in_persons
        FROM residence r
        LEFT JOIN residence b
          ON b.draw = r.draw AND b.person_id = r.person_id AND b.rule = r.rule AND b.policy = r.policy
         AND b.to_date = r.from_date AND b.from_date < r.from_date
        LEFT JOIN persons p ON p.person_id = r.person_id
        WHERE r.draw = 0
        """,
        residence=residence,
        persons=persons,
    )


def check_histories(engine: Engine, statuses: Table, migrations: Table, persons: Table) -> None:
    """Raise ResultError if status rows leave gaps, or migrations and statuses differ.

    Balanced accounts do not show this where two such errors fall into one cell and year.
    """
    problems = engine.collect(
        """
        WITH unmatched AS (
            SELECT person_id, rule, policy, event_date, direction, SUM(n) AS excess
            FROM transitions
            GROUP BY person_id, rule, policy, event_date, direction
            HAVING SUM(n) <> 0
        ), problems AS (
            SELECT rule, policy,
                   CASE WHEN excess > 0 THEN 'settled migrations without a change of status on their day'
                        ELSE 'changes of status without a settled migration on their day' END AS problem
            FROM unmatched
            UNION ALL
            SELECT rule, policy, 'persons whose status rows overlap or leave a gap' AS problem
            FROM statuses
            WHERE status_before IS NULL
            GROUP BY person_id, rule, policy
            HAVING COUNT(*) > 1
            UNION ALL
            SELECT rule, policy, 'status rows of persons who are not in persons' AS problem
            FROM statuses
            WHERE NOT is_in_persons
            UNION ALL
            SELECT m.rule, m.policy, 'migrations of persons who are not in persons' AS problem
            FROM migrations m LEFT JOIN persons p ON p.person_id = m.person_id
            WHERE m.draw = 0 AND p.person_id IS NULL
        )
        SELECT rule, policy, problem, COUNT(*) AS n FROM problems GROUP BY rule, policy, problem
        ORDER BY rule, policy, problem
        """,
        transitions=_find_transitions(engine, statuses, migrations),
        statuses=statuses,
        migrations=migrations,
        persons=persons,
    )
    if not problems.is_empty():
        found = "; ".join(
            f"rule {rule}, policy {policy}: {n} {what}" for rule, policy, what, n in problems.iter_rows()
        )
        raise ResultError(f"residence and migrations contradict each other: {found}; nothing is published")


def _find_transitions(engine: Engine, statuses: Table, migrations: Table) -> Table:
    """Settled migrations count 1, changes of status between resident and non_resident −1: they must cancel."""
    return engine.step(
        "estimates_transitions",
        """
        SELECT person_id, rule, policy, from_date AS event_date,
               CASE WHEN status = 'resident' THEN 'immigration' ELSE 'emigration' END AS direction, -1 AS n
        FROM statuses
        WHERE (status_before = 'non_resident' AND status = 'resident')
           OR (status_before = 'resident' AND status = 'non_resident')
        UNION ALL
        SELECT person_id, rule, policy, counted_date AS event_date, direction, 1 AS n
        FROM migrations
        WHERE draw = 0 AND outcome = 'migration'
        """,
        statuses=statuses,
        migrations=migrations,
    )
