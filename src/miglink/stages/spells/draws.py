"""The spells of drawn persons."""

from dataclasses import dataclass

from miglink.config.stages import SpellsSettings
from miglink.engine import Engine, Table
from miglink.stages.spells.histories import SPELL_SQL, Owned, follow_crossings
from miglink.stages.spells.trust import Country


@dataclass(frozen=True)
class Drawn:
    """Other linkages of persons in doubt (person_draws), the records of identities, and the facts of persons."""

    person_draws: Table
    record_identities: Table
    persons: Table


def find_spell_draws(
    engine: Engine, records: Table, drawn: Drawn, spells: Table, country: Country, settings: SpellsSettings
) -> Table:
    """Turn the crossings of each drawn person into spells, as `find_spells` does with those of the best linkage.

    Reads: records as `find_spells`, person_draws, record_identities, persons (birth and death of a drawn person are
        those of the person whose facts it has). spells are not read; they have its columns.
    Gives: spell_draws (key draw, person_id, part, start_date, sequence), draws from 1. Persons of several draws that
        have the same identities and facts are followed once.
    Units: local days, as spells.
    Errors: TableError if the contract is broken.
    Source: docs/decisions/0019.
    """
    if not engine.count(drawn.person_draws):
        return engine.query(
            "spell_draws",
            """SELECT draw, person_id, CAST(0 AS INTEGER) AS part, s.* EXCLUDE (draw, person_id)
            FROM spells s WHERE false""",
            spells=spells,
        )
    people = engine.step(
        "spells_drawn_people",
        """SELECT draw, person_id, part,
               sha256(concat(person_id, array_to_string(list_sort(list(identity_id)), ' '))) AS variant
        FROM person_draws GROUP BY draw, person_id, part""",
        person_draws=drawn.person_draws,
    )
    record_variants = engine.step(
        "spells_drawn_records",
        """WITH members AS (
            SELECT DISTINCT p.variant, d.identity_id FROM person_draws d
            JOIN people p ON p.draw = d.draw AND p.person_id = d.person_id AND p.part = d.part)
        SELECT r.source, r.record_id, m.variant AS person_id
        FROM record_identities r JOIN members m ON m.identity_id = r.identity_id""",
        person_draws=drawn.person_draws,
        people=people,
        record_identities=drawn.record_identities,
    )
    variants = engine.step(
        "spells_drawn_facts",
        """SELECT v.variant AS person_id, p.birth_date, p.birth_date_precision, p.death_date, p.is_born_here
        FROM (SELECT DISTINCT variant, person_id FROM people) AS v JOIN persons p ON p.person_id = v.person_id""",
        people=people,
        persons=drawn.persons,
    )
    owned = Owned(records, record_variants, variants, is_drawn=True)
    histories, doubts, _ = follow_crossings(engine, owned, country, settings)
    return engine.query(
        "spell_draws",
        f"""
        SELECT p.draw, p.person_id, p.part, {SPELL_SQL}
        FROM people p JOIN histories h ON h.person_id = p.variant
        LEFT JOIN doubts d ON d.person_id = h.person_id AND d.sequence = h.sequence
        """,
        people=people,
        histories=histories,
        doubts=doubts,
    )
