"""The crossings of each person in their order, and the stays between them."""

from dataclasses import dataclass

from miglink.config.stages import Borders, Period, SpellsSettings
from miglink.engine import Engine, Table
from miglink.stages.spells.evidence import find_doubts
from miglink.stages.spells.order import order_crossings
from miglink.stages.spells.trust import Country

# A spell of a history h in which a crossing may be missing (d).
SPELL_SQL = """h.start_date, CAST(h.sequence AS INTEGER) AS sequence,
               COALESCE(h.next_date, h.death_date) AS end_date,
               CASE WHEN d.person_id IS NOT NULL THEN 'unresolved' ELSE h.state END AS state,
               h.start_direction, h.start_basis, h.start_source, h.start_record_id,
               CASE WHEN d.person_id IS NOT NULL THEN h.start_date END AS earliest_date, d.latest_date, d.likely_date,
               CASE WHEN h.next_date IS NOT NULL THEN 'crossing' WHEN h.death_date IS NOT NULL THEN 'death'
                    ELSE 'observation_end' END AS end_basis"""


@dataclass(frozen=True)
class Owned:
    """Records and whose they are.

    is_drawn: a record may be of several persons, who are those of several draws.
    """

    records: Table
    record_persons: Table
    persons: Table
    is_drawn: bool = False


def follow_crossings(
    engine: Engine, owned: Owned, country: Country, settings: SpellsSettings
) -> tuple[Table, Table, tuple[Table, Table]]:
    """Histories, the doubts in them (`find_doubts`), and what the evidence says: statements and signs."""
    recorded = find_recorded(engine, owned, country.period, settings.borders)
    histories = _find_histories(engine, _find_starts(engine, recorded))
    stays = engine.step(
        "spells_stays",
        f"""
        SELECT person_id, sequence, start_date, COALESCE(next_date, DATE '{country.period.data_to_date}') AS end_date,
               CASE WHEN is_gap THEN 'gap' WHEN next_date IS NULL THEN 'end' ELSE 'start' END AS kind,
               CASE WHEN next_date IS NULL THEN start_direction ELSE next_direction END AS direction
        FROM histories
        WHERE is_gap OR start_basis = 'observation_start' OR (next_date IS NULL AND death_date IS NULL)
        """,
        histories=histories,
    )
    doubts, evidence = find_doubts(engine, stays, owned.records, owned.record_persons, country, settings)
    return histories, doubts, evidence


def find_recorded(engine: Engine, owned: Owned, period: Period, borders: Borders) -> Table:
    """Every crossing that is no double scan, its person's birth and death, and the reason if it is not used."""
    first, last = f"DATE '{period.from_date}'", f"DATE '{period.to_date}'"
    owner = ", CHR(31), l.person_id" if owned.is_drawn else ""
    return engine.step(
        "spells_recorded",
        f"""
        WITH lives AS (
            SELECT person_id, is_born_here,
                   CASE WHEN death_date <= {last} THEN death_date END AS death_date,
                   CASE WHEN birth_date BETWEEN {first} AND {last}
                             AND (is_born_here OR birth_date_precision = 'day') THEN birth_date END AS born_date
            FROM persons
        )
        SELECT r.source, r.record_id, CONCAT(r.source, CHR(31), r.record_id{owner}) AS crossing_id, l.person_id,
               r.crossed_date, r.crossed_at, r.direction, l.is_born_here, l.death_date,
               COALESCE(l.born_date, {first}) AS start_date,
               CASE WHEN l.born_date IS NULL THEN 'observation_start' ELSE 'birth' END AS start_basis,
               CASE WHEN r.crossed_date NOT BETWEEN {first} AND {last} THEN 'outside_period'
                    WHEN r.crossed_date < l.born_date THEN 'before_birth'
                    WHEN r.crossed_date > l.death_date THEN 'after_death'
                    WHEN {borders == "open"} THEN 'open_borders' END AS reason
        FROM records r
        JOIN record_persons p ON p.source = r.source AND p.record_id = r.record_id
        JOIN lives l ON l.person_id = p.person_id
        WHERE r.kind = 'crossings' AND NOT r.is_repeat
        """,
        records=owned.records,
        record_persons=owned.record_persons,
        persons=owned.persons,
    )


def _find_starts(engine: Engine, recorded: Table) -> Table:
    """What begins each spell: the observation or the birth, then the crossings.

    known_direction: who is born here is present as if just arrived, who is born abroad absent as if departed.
    """
    crossings = engine.step(
        "spells_crossings",
        """
        SELECT crossing_id, person_id, crossed_date, crossed_at, direction, CAST(NULL AS BIGINT) AS sequence,
               CASE WHEN start_basis = 'birth' AND is_born_here THEN 'resident' END AS initial_status
        FROM recorded WHERE reason IS NULL
        """,
        recorded=recorded,
    )
    return engine.step(
        "spells_starts",
        """
        WITH crossings AS (
            SELECT r.person_id, r.crossed_date, r.direction, r.source, r.record_id, r.start_date,
                   r.start_basis, r.is_born_here, r.death_date, o.sequence
            FROM ordered o JOIN recorded r ON r.crossing_id = o.crossing_id
        )
        SELECT person_id, sequence + 1 AS sequence, crossed_date AS start_date, direction AS start_direction,
               'crossing' AS start_basis, source AS start_source, record_id AS start_record_id, death_date,
               CAST(NULL AS VARCHAR) AS known_direction
        FROM crossings
        UNION ALL
        SELECT person_id, 1 AS sequence, start_date, 'start' AS start_direction, start_basis,
               CAST(NULL AS VARCHAR) AS start_source, CAST(NULL AS VARCHAR) AS start_record_id, death_date,
               CASE WHEN start_basis <> 'birth' THEN NULL WHEN is_born_here THEN 'arrival'
                    ELSE 'departure' END
        FROM crossings WHERE sequence = 1
        """,
        recorded=recorded,
        ordered=order_crossings(engine, crossings),
    )


def _find_histories(engine: Engine, starts: Table) -> Table:
    """Each start with the crossing after it, and the state between them as the two directions have it."""
    return engine.step(
        "spells_histories",
        """
        WITH history AS (
            SELECT *, LEAD(start_date) OVER h AS next_date, LEAD(start_direction) OVER h AS next_direction
            FROM starts WINDOW h AS (PARTITION BY person_id ORDER BY sequence)
        )
        SELECT person_id, sequence, start_date, start_direction, start_basis, start_source, start_record_id,
               death_date, next_date, next_direction,
               COALESCE(COALESCE(known_direction, start_direction) = next_direction, FALSE) AS is_gap,
               CASE WHEN start_direction = 'arrival' THEN 'present'
                    WHEN start_direction = 'departure' THEN 'absent'
                    WHEN next_direction = 'arrival' THEN 'absent'
                    ELSE 'present' END AS state
        FROM history
        """,
        starts=starts,
    )
