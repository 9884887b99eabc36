"""Persons as linked in each draw, in the shape of the tables of persons as linked best.

A person of a draw has an id of its own within the stage: that of the person whose facts it has, the draw and the part.
So everything that decides statuses works on all draws at once.
"""

from dataclasses import dataclass

from miglink.engine import Engine, Table
from miglink.stages.residence.draws.doubts import person_of_draw
from miglink.stages.residence.initial_status import Evidence

# The part of mothers who are not in doubt themselves: needed for their children's first status, and not written.
_HELPER = -1


@dataclass(frozen=True)
class Linkages:
    """The persons of doubtful components as linked in each draw: person_draws, their identities' records, spells."""

    person_draws: Table
    record_identities: Table
    spell_draws: Table


def find_drawn_evidence(engine: Engine, evidence: Evidence, linkages: Linkages) -> Evidence:
    """Spells, records and persons of the draws, each person with an id of its own; mothers of theirs are added."""
    people = _find_people(engine, evidence, linkages)
    own = person_of_draw("d.person_id", "d.draw", "d.part")
    persons = engine.step(
        "residence_linked_persons",
        f"""
        SELECT {own} AS person_id, p.is_born_here, p.birth_date, p.birth_date_precision, p.death_date, p.is_doubtful,
               CASE WHEN m.draw IS NOT NULL THEN {person_of_draw("m.person_id", "m.draw", "m.part")} END
                   AS mother_person_id
        FROM people d
        JOIN persons p ON p.person_id = d.person_id
        LEFT JOIN people m ON m.draw = d.draw AND m.person_id = p.mother_person_id AND m.part <= 0
        """,
        people=people,
        persons=evidence.persons,
    )
    columns = (
        "start_date, sequence, end_date, state, start_direction, start_basis, start_source, start_record_id, "
        "earliest_date, latest_date, likely_date, end_basis"
    )
    named = ", ".join(f"s.{column}" for column in columns.split(", "))
    spells = engine.step(
        "residence_linked_spells",
        f"""
        SELECT CAST(0 AS INTEGER) AS draw, {person_of_draw("person_id", "draw", "part")} AS person_id, {columns}
        FROM spell_draws
        UNION ALL
        SELECT CAST(0 AS INTEGER) AS draw, {own} AS person_id, {named}
        FROM people d JOIN spells s ON s.draw = 0 AND s.person_id = d.person_id
        WHERE d.part = {_HELPER}
        """,
        spell_draws=linkages.spell_draws,
        spells=evidence.spells,
        people=people,
    )
    record_persons = engine.step(
        "residence_linked_records",
        f"""
        SELECT r.source, r.record_id, {own} AS person_id
        FROM person_draws d JOIN record_identities r ON r.identity_id = d.identity_id
        UNION ALL
        SELECT r.source, r.record_id, {own} AS person_id
        FROM people d JOIN record_persons r ON r.person_id = d.person_id
        WHERE d.part = {_HELPER}
        """,
        person_draws=linkages.person_draws,
        record_identities=linkages.record_identities,
        people=people,
        record_persons=evidence.record_persons,
    )
    return Evidence(spells, evidence.records, record_persons, persons)


def _find_people(engine: Engine, evidence: Evidence, linkages: Linkages) -> Table:
    """The persons of each draw (draw, person_id, part), and mothers of theirs who are not in doubt."""
    return engine.step(
        "residence_linked_people",
        f"""
        WITH drawn AS (SELECT DISTINCT draw, person_id, part FROM person_draws),
        mothers AS (
            SELECT DISTINCT d.draw, m.person_id
            FROM drawn d
            JOIN persons p ON p.person_id = d.person_id
            JOIN persons m ON m.person_id = p.mother_person_id
            LEFT JOIN drawn o ON o.draw = d.draw AND o.person_id = m.person_id
            WHERE o.draw IS NULL
        )
        SELECT draw, person_id, part FROM drawn
        UNION ALL
        SELECT draw, person_id, CAST({_HELPER} AS INTEGER) FROM mothers
        """,
        person_draws=linkages.person_draws,
        persons=evidence.persons,
    )
