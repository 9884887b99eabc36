"""Where a crossing is missing: what register, permits, visas and signs of life say of the place where the person lived.

Who lives here is taken to be away for a short trip only, and who lives abroad to be here for a short one: of at most
`longest_trip_days`, and half of that on average. Where nothing says where the person lives, the middle of the gap is
taken. After the last arrival of somebody whose evidence ends, its end is taken.
"""

from miglink.config.stages import SpellsSettings
from miglink.engine import Engine, Table
from miglink.stages.spells.trust import Country, find_signs, find_statements


def find_doubts(
    engine: Engine,
    stays: Table,
    records: Table,
    record_persons: Table,
    country: Country,
    settings: SpellsSettings,
) -> tuple[Table, tuple[Table, Table]]:
    """Find the stays within which a crossing is missing, and the day on which it most likely took place.

    Reads: stays (person_id, sequence, start_date, end_date, kind, direction). kind `gap`: the crossings at both ends
        have that direction; `start`: before the first crossing, which has it; `end`: after the last one, which has
        it, until the end of observation. records and record_persons as evidence, in the order of `settings.trust`.
    Gives: a scratch table with person_id, sequence, latest_date and likely_date, one row for each doubtful stay:
        every gap; a first departure or last arrival if the country's population is listed and nothing that is believed
        says that the person lived here before (until the end of observation); a first arrival or last departure if a
        sign of life that is believed says that the person was here before (came back). And what the evidence says:
        statements and signs (`trust`), of which `find_contradictions` makes a table.
    Units: local days. Evidence holds from its first day up to but not on its end.
    Errors: none.
    Source: methods of miglink, section 2 (evidence narrows gaps, default trust); docs/decisions/0004 and 0014.
    """
    is_listed = _is_listed(country)
    trip = f"CAST(FLOOR(LEAST(n_days, {settings.longest_trip_days}) / 2.0) AS INTEGER)"
    halved = _halve(engine, stays)
    signs = find_signs(engine, halved, records, record_persons, country, settings)
    statements = find_statements(engine, halved, signs)
    doubts = engine.step(
        "spells_doubts",
        f"""
        WITH decided AS (
            SELECT person_id, sequence, MAX(CASE WHEN rank = decisive_rank THEN says END) AS says,
                   MAX(decided_date) AS decided_date
            FROM statements GROUP BY person_id, sequence
        ), known AS (
            SELECT h.*, {is_listed} AS is_listed, COALESCE(d.says, 0) = 1 AS lives_here,
                   COALESCE(d.decided_date, h.start_date) AS decided_date,
                   -- Whether the state that the crossings tell is that of somebody who lives here.
                   h.direction = CASE h.kind WHEN 'start' THEN 'departure' ELSE 'arrival' END AS is_present
            FROM halved h LEFT JOIN decided d ON d.person_id = h.person_id AND d.sequence = h.sequence
        )
        SELECT person_id, sequence, end_date AS latest_date,
               CASE WHEN kind = 'gap' AND NOT lives_here AND NOT is_listed THEN middle_date
                    WHEN kind = 'end' AND direction = 'arrival' AND decided_date > start_date THEN decided_date
                    -- Near its beginning: the return of who lives here, and the departure of who lives abroad.
                    WHEN kind = 'end' OR (kind = 'gap' AND lives_here = (direction = 'departure'))
                    THEN CAST(start_date + {trip} AS DATE)
                    ELSE CAST(end_date - {trip} AS DATE) END AS likely_date
        FROM known
        WHERE kind = 'gap' OR (is_present AND is_listed AND NOT lives_here)
           OR (NOT is_present AND lives_here)
        """,
        halved=halved,
        statements=statements,
    )
    return doubts, (statements, signs)


def _is_listed(country: Country) -> str:
    """SQL: whoever lived here during a stay h stands in a register. Before it began, absence from it says nothing."""
    listed, period = country.listed, country.period
    is_always = listed is None or (listed.from_date <= period.from_date and period.to_date <= listed.to_date)
    if not country.is_listed or listed is None or is_always:
        return str(country.is_listed).upper()
    return f"(h.start_date <= DATE '{listed.to_date}' AND h.end_date > DATE '{listed.from_date}')"


def _halve(engine: Engine, stays: Table) -> Table:
    """The stays with their days and the day in their middle."""
    return engine.step(
        "spells_halved",
        """
        SELECT *, date_diff('day', start_date, end_date) AS n_days,
               CAST(start_date + CAST(FLOOR(date_diff('day', start_date, end_date) / 2.0) AS INTEGER) AS DATE)
                   AS middle_date
        FROM stays
        """,
        stays=stays,
    )
