"""The histories that are counted: each status with the one before it, each citizenship with its days."""

from miglink.engine import Engine, Table
from miglink.errors import ResultError


def find_statuses(engine: Engine, residence: Table, persons: Table) -> Table:
    """The status rows of draw 0, each with the status before it; in force on d if from_date ≤ d < to_date."""
    return engine.step(
        "estimates_statuses",
        """
        SELECT r.person_id, r.rule, r.policy, r.status, r.end_reason, r.from_date,
               COALESCE(r.to_date, DATE '9999-12-31') AS to_date,
               LAG(r.status) OVER history AS status_before,
               LAG(r.to_date) OVER history AS to_date_before,
               COALESCE(p.is_born_here AND p.birth_date = r.from_date, FALSE) AS begins_at_birth,
               p.person_id IS NOT NULL AS is_in_persons
        FROM residence r LEFT JOIN persons p ON p.person_id = r.person_id
        WHERE r.draw = 0
        WINDOW history AS (PARTITION BY r.person_id, r.rule, r.policy ORDER BY r.from_date)
        """,
        residence=residence,
        persons=persons,
    )


def find_cells(engine: Engine, persons: Table, person_traits: Table) -> Table:
    """Sex and citizenship of every person on every day: rows that follow one another without gap or overlap.

    A citizenship holds until the next begins, or until its valid_to where that is earlier; XXX stands for
    unknown.
    """
    citizenships = engine.step(
        "estimates_citizenships",
        """
        SELECT person_id, valid_from, valid_to, value,
               LEAD(valid_from, 1, DATE '9999-12-31') OVER history AS next_from
        FROM person_traits
        WHERE trait = 'citizenship'
        WINDOW history AS (PARTITION BY person_id ORDER BY valid_from)
        """,
        person_traits=person_traits,
    )
    changes = engine.step(
        "estimates_citizenship_changes",
        """
        SELECT person_id, valid_from, COALESCE(MAX(value), 'XXX') AS citizenship
        FROM (
            SELECT person_id, DATE '0001-01-01' AS valid_from, CAST(NULL AS VARCHAR) AS value FROM persons
            UNION ALL
            SELECT person_id, valid_from, value FROM citizenships
            UNION ALL
            SELECT person_id, valid_to, CAST(NULL AS VARCHAR) FROM citizenships WHERE valid_to < next_from
        ) AS starts
        GROUP BY person_id, valid_from
        """,
        persons=persons,
        citizenships=citizenships,
    )
    return engine.step(
        "estimates_cells",
        """
        SELECT c.person_id, COALESCE(p.sex, 'unknown') AS sex, c.citizenship,
               LAG(c.citizenship) OVER history AS citizenship_before,
               c.valid_from,
               LEAD(c.valid_from, 1, DATE '9999-12-31') OVER history AS valid_to
        FROM changes c JOIN persons p ON p.person_id = c.person_id
        WINDOW history AS (PARTITION BY c.person_id ORDER BY c.valid_from)
        """,
        changes=changes,
        persons=persons,
    )


def check_histories(engine: Engine, statuses: Table, migrations: Table, persons: Table) -> None:
    """Raise ResultError if status rows leave gaps, or migrations and statuses differ.

    Balanced accounts do not show this where two such errors fall into one cell and year.
    """
    transitions = engine.step(
        "estimates_transitions",
        """
        SELECT person_id, rule, policy, from_date AS event_date,
               CASE WHEN status = 'resident' THEN 'immigration' ELSE 'emigration' END AS direction, -1 AS n
        FROM statuses
        WHERE (status_before = 'non_resident' AND status = 'resident')
           OR (status_before = 'resident' AND status = 'non_resident')
        UNION ALL
        SELECT person_id, rule, policy, event_date, direction, 1 AS n
        FROM migrations
        WHERE draw = 0 AND outcome = 'migration'
        """,
        statuses=statuses,
        migrations=migrations,
    )
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
            SELECT rule, policy, 'status rows that overlap the one before or leave a gap' AS problem
            FROM statuses
            WHERE status_before IS NOT NULL AND (to_date_before IS NULL OR to_date_before <> from_date)
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
        transitions=transitions,
        statuses=statuses,
        migrations=migrations,
        persons=persons,
    )
    if not problems.is_empty():
        found = "; ".join(
            f"rule {rule}, policy {policy}: {n} {what}" for rule, policy, what, n in problems.iter_rows()
        )
        raise ResultError(f"residence and migrations contradict each other: {found}; nothing is published")
