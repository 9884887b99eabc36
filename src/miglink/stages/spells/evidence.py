"""Where a crossing is missing: what register, permits and signs of life say of the place where the person lived.

Who lives here is taken to be away for a short trip only, and who lives abroad to be here for a short one: of at most
`longest_trip_days`, and half of that on average. Where nothing says where the person lives, the middle of the gap is
taken. After the last arrival of somebody whose evidence ends, its end is taken.
"""

from dataclasses import dataclass

from miglink.config.stages import Period, SpellsSettings
from miglink.engine import Engine, Table, text_literal

_FOREVER = "DATE '9999-12-31'"


@dataclass(frozen=True)
class Country:
    """What is observed, and what the sources say of the population.

    period: the days on which crossings are observed. is_listed: a register covers everybody who lives here.
    resident_permits: purposes of permits that imply residence. listed: the days on which it does; none: all.
    """

    period: Period
    is_listed: bool = False
    resident_permits: tuple[str, ...] | None = None
    listed: Period | None = None


def find_doubts(
    engine: Engine,
    stays: Table,
    records: Table,
    record_persons: Table,
    country: Country,
    settings: SpellsSettings,
) -> Table:
    """Find the stays within which a crossing is missing, and the day on which it most likely took place.

    Reads: stays (person_id, sequence, start_date, end_date, kind, direction). kind `gap`: the crossings at both ends
        have that direction; `start`: before the first crossing, which has it; `end`: after the last one, which has
        it, until the end of observation. records and record_persons (register, permits, activity) as evidence.
    Gives: a scratch table with person_id, sequence, latest_date and likely_date, one row for each doubtful stay:
        every gap; a first departure or last arrival if the country's population is listed and nothing says that the
        person lived here before (until the end of observation); a first arrival or last departure if a sign of life
        says that the person was here before (came back).
    Units: local days. Evidence holds from its first day up to but not on its end.
    Errors: none.
    Source: methods of miglink, section 2 (evidence narrows gaps); docs/decisions/0004.
    """
    end, is_listed = f"DATE '{country.period.data_to_date}'", _is_listed(country)
    trip = f"CAST(FLOOR(LEAST(n_days, {settings.longest_trip_days}) / 2.0) AS INTEGER)"
    return engine.step(
        "spells_doubts",
        f"""
        WITH halved AS (
            SELECT *, date_diff('day', start_date, end_date) AS n_days,
                   CAST(start_date + CAST(FLOOR(date_diff('day', start_date, end_date) / 2.0) AS INTEGER) AS DATE)
                       AS middle_date
            FROM stays
        ), known AS (
            SELECT h.person_id, h.sequence, {_what_signs_say()}
            FROM halved h LEFT JOIN signs s ON s.person_id = h.person_id
            GROUP BY h.person_id, h.sequence
        ), judged AS (
            SELECT h.*, k.lives_here = 1 AS lives_here, k.supported_to_date, {is_listed} AS is_listed,
                   CASE h.kind
                        WHEN 'gap' THEN TRUE
                        WHEN 'start' THEN CASE h.direction WHEN 'arrival' THEN k.was_here = 1
                                               ELSE {is_listed} AND k.is_supported = 0 END
                        ELSE CASE h.direction WHEN 'departure' THEN k.is_back = 1
                                  ELSE {is_listed} AND COALESCE(k.supported_to_date, h.start_date) < {end} END
                   END AS is_doubtful
            FROM halved h JOIN known k ON k.person_id = h.person_id AND k.sequence = h.sequence
        )
        SELECT person_id, sequence, end_date AS latest_date,
               CASE WHEN kind = 'gap' AND NOT lives_here AND NOT is_listed THEN middle_date
                    WHEN kind = 'end' AND direction = 'arrival' AND supported_to_date IS NOT NULL THEN supported_to_date
                    -- Near its beginning: the return of who lives here, and the departure of who lives abroad.
                    WHEN kind = 'end' OR (kind = 'gap' AND lives_here = (direction = 'departure'))
                    THEN CAST(start_date + {trip} AS DATE)
                    ELSE CAST(end_date - {trip} AS DATE) END AS likely_date
        FROM judged WHERE is_doubtful
        """,
        stays=stays,
        signs=_find_signs(engine, stays, records, record_persons, country),
    )


def _is_listed(country: Country) -> str:
    """SQL: whoever lived here during a stay h stands in a register. Before it began, absence from it says nothing."""
    listed, period = country.listed, country.period
    is_always = listed is None or (listed.from_date <= period.from_date and period.to_date <= listed.to_date)
    if not country.is_listed or listed is None or is_always:
        return str(country.is_listed).upper()
    return f"(h.start_date <= DATE '{listed.to_date}' AND h.end_date > DATE '{listed.from_date}')"


def _what_signs_say() -> str:
    """SQL for what the evidence s of a person says of a stay h; 1 or 0."""
    facts = {
        "lives_here": "s.from_date <= h.middle_date AND s.to_date > h.middle_date",
        "is_supported": "s.from_date < h.end_date AND s.to_date > h.start_date",
        "was_here": "s.is_sign_of_life AND s.to_date > h.start_date AND s.to_date <= h.end_date",
        "is_back": "s.is_sign_of_life AND s.from_date > h.start_date",
    }
    columns = [f"MAX(CASE WHEN {fact} THEN 1 ELSE 0 END) AS {name}" for name, fact in facts.items()]
    return ", ".join(
        [*columns, "MAX(CASE WHEN s.to_date > h.start_date THEN s.to_date END) AS supported_to_date"]
    )


def _find_signs(
    engine: Engine, stays: Table, records: Table, record_persons: Table, country: Country
) -> Table:
    """From when to when register, permits and signs of life place a person here."""
    purposes = ", ".join(text_literal(purpose) for purpose in country.resident_permits or ())
    is_resident = "TRUE" if country.resident_permits is None else f"r.purpose IN ({purposes or 'NULL'})"
    return engine.step(
        "spells_signs",
        f"""
        SELECT DISTINCT p.person_id, r.valid_from AS from_date, r.kind = 'activity' AS is_sign_of_life,
               CASE WHEN r.kind = 'register' THEN COALESCE(r.ended_date, {_FOREVER})
                    ELSE CAST(COALESCE(r.valid_to, DATE '9999-12-30') + 1 AS DATE) END AS to_date
        FROM records r
        JOIN record_persons p ON p.source = r.source AND p.record_id = r.record_id
        WHERE (r.kind IN ('register', 'activity') OR (r.kind = 'permits' AND {is_resident}))
          AND p.person_id IN (SELECT person_id FROM stays)
        """,
        stays=stays,
        records=records,
        record_persons=record_persons,
    )
