"""The histories that are counted: each status with the one before it, each citizenship with its days."""

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


def find_cells(engine: Engine, persons: Table, person_traits: Table) -> Table:
    """Sex and citizenship of every person on every day: rows that follow one another without gap or overlap.

    A citizenship holds until the next begins, or until its valid_to where that is earlier; XXX stands for
    unknown. Most persons have one citizenship only, so the few changes are put in order apart.
    """
    changes = _find_changes(engine, person_traits)
    first = engine.step(
        "estimates_first_cells",
        """
        SELECT p.person_id, COALESCE(p.sex, 'unknown') AS sex, COALESCE(t.value, 'XXX') AS citizenship,
               COALESCE(c.valid_to, DATE '9999-12-31') AS valid_to
        FROM persons p
        LEFT JOIN person_traits t
          ON t.person_id = p.person_id AND t.trait = 'citizenship' AND t.valid_from = DATE '0001-01-01'
        LEFT JOIN (SELECT person_id, MIN(valid_from) AS valid_to FROM changes GROUP BY person_id) AS c
          ON c.person_id = p.person_id
        """,
        persons=persons,
        person_traits=person_traits,
        changes=changes,
    )
    later = engine.step(
        "estimates_later_cells",
        """
        SELECT c.person_id, f.sex, c.citizenship,
               COALESCE(LAG(c.citizenship) OVER history, f.citizenship) AS citizenship_before,
               c.valid_from,
               LEAD(c.valid_from, 1, DATE '9999-12-31') OVER history AS valid_to
        FROM changes c JOIN first_cells f ON f.person_id = c.person_id
        WINDOW history AS (PARTITION BY c.person_id ORDER BY c.valid_from)
        """,
        changes=changes,
        first_cells=first,
    )
    return engine.step(
        "estimates_cells",
        """
        SELECT person_id, sex, citizenship, CAST(NULL AS VARCHAR) AS citizenship_before,
               DATE '0001-01-01' AS valid_from, valid_to
        FROM first_cells
        UNION ALL
        SELECT person_id, sex, citizenship, citizenship_before, valid_from, valid_to FROM later_cells
        """,
        first_cells=first,
        later_cells=later,
    )


def _find_changes(engine: Engine, person_traits: Table) -> Table:
    """The days after the first on which a citizenship begins, or ends without another that follows."""
    return engine.step(
        "estimates_citizenship_changes",
        """
        SELECT person_id, valid_from, value AS citizenship
        FROM person_traits
        WHERE trait = 'citizenship' AND valid_from > DATE '0001-01-01'
        UNION ALL
        SELECT e.person_id, e.valid_to AS valid_from, 'XXX' AS citizenship
        FROM person_traits e
        LEFT JOIN person_traits n
          ON n.person_id = e.person_id AND n.trait = e.trait
         AND n.valid_from > e.valid_from AND n.valid_from <= e.valid_to
        WHERE e.trait = 'citizenship' AND e.valid_to IS NOT NULL AND n.person_id IS NULL
        """,
        person_traits=person_traits,
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
