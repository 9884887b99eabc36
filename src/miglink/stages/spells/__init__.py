"""Stage 5: the presence and absence of each person, from crossings, births and deaths."""

from miglink.config.stages import Borders, Period, SpellsSettings
from miglink.engine import Engine, Table
from miglink.stages.spells.day_places import UNKNOWN
from miglink.stages.spells.days import count_days
from miglink.stages.spells.draws import Drawn, find_spell_draws
from miglink.stages.spells.histories import SPELL_SQL, Owned, find_recorded, follow_crossings
from miglink.stages.spells.order import order_crossings
from miglink.stages.spells.row_order import Crossings, find_parts, order_part, sort_rows
from miglink.stages.spells.trust import Country, find_contradictions

__all__ = [
    "UNKNOWN", "Country", "Crossings", "Drawn", "count_days", "find_left_out", "find_parts", "find_spell_draws",
    "find_spells", "order_crossings", "order_part", "sort_rows",
]  # fmt: skip


def find_spells(
    engine: Engine,
    records: Table,
    record_persons: Table,
    persons: Table,
    country: Country,
    settings: SpellsSettings,
) -> tuple[Table, Table]:
    """Turn the crossings of each person into half-open spells of presence and absence.

    Reads: records (kind crossings, double scans left out; register, permits, visas and activity as evidence),
        record_persons, persons (births, and deaths that are believed).
    Gives: spells (key draw, person_id, start_date, sequence), draw 0. The first spell reaches from the first
        observed day, or from the birth if later, to the first crossing; its state is the opposite of that
        crossing. Where two crossings of one direction follow one another, or somebody born here first arrives,
        the spell is `unresolved`: a crossing is missing within it. After the last crossing the state lasts until
        death or the end of observation. Where the evidence speaks against the state before the first or after the
        last crossing, it is `unresolved` too (`find_doubts`). And contradictions: evidence that is not believed.
        Persons without crossings have no spells; where borders are open, nobody has.
    Units: local days; a spell holds from start_date up to but not on end_date. Spells may have no length.
    Errors: TableError if the contract is broken. Crossings that contradict the period, a birth or a death are
        not used; `find_left_out` gives them with the reason.
    Source: StatisticsNZ migrbc 2.0.9 (half-open days, same-day returns); methods of miglink, section 2.
    """
    histories, doubts, evidence = follow_crossings(
        engine, Owned(records, record_persons, persons), country, settings
    )
    spells = engine.query(
        "spells",
        f"""
        SELECT CAST(0 AS INTEGER) AS draw, h.person_id, {SPELL_SQL}
        FROM histories h LEFT JOIN doubts d ON d.person_id = h.person_id AND d.sequence = h.sequence
        """,
        histories=histories,
        doubts=doubts,
    )
    return spells, find_contradictions(engine, *evidence)


def find_left_out(
    engine: Engine,
    records: Table,
    record_persons: Table,
    persons: Table,
    period: Period,
    borders: Borders = "recorded",
) -> Table:
    """The crossings that no spell uses: source, record_id, person_id and the reason.

    Reasons: repeat (double scan), outside_period, before_birth, after_death, open_borders.
    """
    return engine.step(
        "spells_left_out",
        """
        SELECT source, record_id, person_id, reason FROM recorded WHERE reason IS NOT NULL
        UNION ALL
        SELECT r.source, r.record_id, p.person_id, 'repeat' AS reason
        FROM records r JOIN record_persons p ON p.source = r.source AND p.record_id = r.record_id
        WHERE r.kind = 'crossings' AND r.is_repeat
        """,
        recorded=find_recorded(engine, Owned(records, record_persons, persons), period, borders),
        records=records,
        record_persons=record_persons,
    )
