"""What every rule looks at: the crossings of persons in order, and the stays that permits and visas let expect."""

from miglink.config.rules import CrossingsRule, ForwardWindowRule, VisaSpanRule
from miglink.engine import Engine, Table, text_literal
from miglink.stages.residence.days import FOREVER, day_number
from miglink.stages.residence.initial_status import Evidence


def find_expectations(
    engine: Engine,
    evidence: Evidence,
    people: Table,
    rule: CrossingsRule | VisaSpanRule,
    resident_permits: tuple[str, ...] | None,
) -> Table:
    """When permits and visas let expect a stay; those for a visit do not, nor permits of who lives abroad."""
    visits = ", ".join(map(text_literal, () if isinstance(rule, ForwardWindowRule) else rule.visit_purposes))
    purposes = ", ".join(map(text_literal, resident_permits or ()))
    endless = ", ".join(map(text_literal, rule.endless_purposes if isinstance(rule, VisaSpanRule) else ()))
    is_residence = "TRUE" if resident_permits is None else f"r.purpose IN ({purposes or 'NULL'})"
    return engine.step(
        f"residence_expectations_{rule.name}",
        f"""
        SELECT DISTINCT q.person_key, {day_number("r.valid_from")} AS from_day,
               CASE WHEN r.valid_to IS NULL OR r.purpose IN ({endless or "'-'"}) THEN {FOREVER}
                    ELSE {day_number("r.valid_to")} + 1 END AS until_day
        FROM records r
        JOIN record_persons p ON p.source = r.source AND p.record_id = r.record_id
        JOIN people q ON q.person_id = p.person_id
        WHERE (r.kind = 'visas' OR (r.kind = 'permits' AND {is_residence})) AND r.valid_from IS NOT NULL
          AND {not isinstance(rule, ForwardWindowRule)}
          AND COALESCE(r.purpose, '') NOT IN ({visits or "'-'"})
        """,
        records=evidence.records,
        record_persons=evidence.record_persons,
        people=people,
    )


def find_chain(engine: Engine, spells: Table, people: Table) -> Table:
    """The crossings that begin spells, by number; gap_day: until when the one that is missing after it may lie.

    is_by_evidence: no two crossings of one direction show that one is missing, only other evidence does.

    Who is born here and first arrives has a missing departure between, as if birth were an arrival; so has whoever
    lived here when observation began. Who lived abroad and first departs has a missing arrival.
    """
    return engine.step(
        "residence_chain",
        f"""
        WITH starts AS (
            SELECT p.person_key, s.sequence AS position, {day_number("s.start_date")} AS day,
                   s.start_basis = 'crossing' AS is_crossing,
                   CASE WHEN s.start_basis = 'crossing' THEN s.start_direction
                        ELSE LEAD(s.start_direction) OVER (PARTITION BY s.person_id ORDER BY s.sequence) END
                       = 'arrival' AS is_arrival,
                   {day_number("s.latest_date")} AS gap_day, {day_number("s.likely_date")} AS likely_day,
                   s.end_basis <> 'crossing' OR s.start_basis = 'observation_start' AS is_by_evidence
            FROM spells s JOIN people p ON p.person_id = s.person_id
            WHERE s.draw = 0
        )
        SELECT person_key, CAST(position AS BIGINT) AS position, day, is_arrival, is_crossing, gap_day,
               likely_day, is_by_evidence
        FROM starts WHERE is_crossing OR gap_day IS NOT NULL
        """,
        spells=spells,
        people=people,
    )
