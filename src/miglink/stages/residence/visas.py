"""Visas and permits: until when those under which a person arrived let the person stay."""

from miglink.engine import Engine, Table
from miglink.stages.residence.days import FOREVER, day_number
from miglink.stages.residence.initial_status import Evidence


def add_visa_ends(engine: Engine, chain: Table, people: Table, evidence: Evidence) -> Table:
    """The chain with `visa_end_day`: the day after the end of the visa or permit in force on an arrival.

    It is the latest end where several are in force, and far away where one has none; null where none is in force, and
    where no arrival is on record that a missing departure follows.
    """
    return engine.step(
        "residence_chain_with_visas",
        """
        WITH ends AS (
            SELECT c.person_key, c.position, MAX(v.until_day) AS visa_end_day
            FROM chain c
            JOIN visas v ON v.person_key = c.person_key AND v.from_day <= c.day AND v.until_day > c.day
            WHERE c.is_arrival AND c.is_crossing AND c.gap_day IS NOT NULL
            GROUP BY c.person_key, c.position
        )
        SELECT c.*, e.visa_end_day
        FROM chain c LEFT JOIN ends e ON e.person_key = c.person_key AND e.position = c.position
        """,
        chain=chain,
        visas=_find_visas(engine, people, evidence),
    )


def _find_visas(engine: Engine, people: Table, evidence: Evidence) -> Table:
    """From when until when (up to but not on until_day) each visa and permit is valid."""
    return engine.step(
        "residence_visas",
        f"""
        SELECT DISTINCT q.person_key, {day_number("r.valid_from")} AS from_day,
               COALESCE({day_number("r.valid_to")} + 1, {FOREVER}) AS until_day
        FROM records r
        JOIN record_persons p ON p.source = r.source AND p.record_id = r.record_id
        JOIN people q ON q.person_id = p.person_id
        WHERE r.kind IN ('visas', 'permits') AND r.valid_from IS NOT NULL
        """,
        people=people,
        records=evidence.records,
        record_persons=evidence.record_persons,
    )
