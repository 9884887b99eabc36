"""Deaths on record, and what is recorded of the persons after them: which of the two is believed."""

from miglink.engine import Engine, Table, text_literal

# What can contradict a death, by its name in the order of trust: the kind of records, and how a winner is named. A
# permit or visa that begins later may have been given before.
_KINDS = {
    "crossing": ("crossings", "the crossing"),
    "activity": ("activity", "the sign of life"),
    "register": ("register", "the registration"),
}


def find_later_records(engine: Engine, person_records: Table, over_death: tuple[str, ...]) -> Table:
    """For each date of death on record, each kind of record that begins after it, and the last day on which one does.

    overruled_by: the most trusted kind in `over_death` that does so, as winners are named; null if none does, so that
    the death stands.
    """
    kinds = " ".join(f"WHEN '{kind}' THEN '{name}'" for name, (kind, _) in _KINDS.items())
    ranks = " ".join(f"WHEN '{kind}' THEN {rank}" for rank, kind in enumerate(over_death, 1))
    winners = " ".join(
        f"WHEN {rank} THEN {text_literal(_KINDS[kind][1])}" for rank, kind in enumerate(over_death, 1)
    )
    return engine.step(
        "persons_after_death",
        f"""
        WITH deaths AS (
            SELECT person_id, event_date AS death_date FROM person_records WHERE kind = 'vital' AND reason = 'death'
            UNION
            SELECT person_id, ended_date FROM person_records WHERE kind = 'register' AND end_reason = 'death'
        ), later AS (
            SELECT d.person_id, d.death_date, CASE r.kind {kinds} END AS kind, MAX(r.record_date) AS last_date
            FROM deaths d JOIN person_records r ON r.person_id = d.person_id
            WHERE r.record_date > d.death_date
              AND r.kind IN ({", ".join(f"'{kind}'" for kind, _ in _KINDS.values())})
            GROUP BY d.person_id, d.death_date, r.kind
        ), ranked AS (
            SELECT *, MIN(CASE kind {ranks or "WHEN NULL THEN NULL"} END)
                          OVER (PARTITION BY person_id, death_date) AS rank
            FROM later
        )
        SELECT person_id, death_date, kind, last_date,
               CAST(CASE rank {winners or "WHEN NULL THEN NULL"} END AS VARCHAR) AS overruled_by
        FROM ranked
        """,
        person_records=person_records,
    )


def find_deaths(engine: Engine, person_records: Table, later: Table) -> Table:
    """The date of death of each person: by vital records, else by a register's removal, the first not overruled."""
    return engine.step(
        "persons_vital",
        """WITH deaths AS (
            SELECT person_id, event_date AS death_date, 1 AS trust FROM person_records
            WHERE kind = 'vital' AND reason = 'death'
            UNION ALL
            SELECT person_id, ended_date, 2 FROM person_records WHERE kind = 'register' AND end_reason = 'death'),
        overruled AS (SELECT DISTINCT person_id, death_date FROM later WHERE overruled_by IS NOT NULL),
        ranked AS (
            SELECT d.person_id, d.death_date,
                   row_number() OVER (PARTITION BY d.person_id ORDER BY d.trust, d.death_date) AS rank
            FROM deaths d LEFT JOIN overruled o ON o.person_id = d.person_id AND o.death_date = d.death_date
            WHERE o.person_id IS NULL)
        SELECT person_id, death_date FROM ranked WHERE rank = 1""",
        person_records=person_records,
        later=later,
    )
