"""The status with which each person's history starts: at the beginning of observation, or at birth."""

from dataclasses import dataclass, replace
from datetime import timedelta

from miglink.config.rules import StartedRule
from miglink.config.stages import InitialEvidence, Period, ResidenceSettings
from miglink.engine import Engine, Table, text_literal
from miglink.stages.residence.days import FOREVER, day_number
from miglink.tables.numbering import numbered_sql


@dataclass(frozen=True)
class Evidence:
    """Where persons were, and what else speaks of where they live."""

    spells: Table
    records: Table
    record_persons: Table
    persons: Table


def as_known(engine: Engine, name: str, evidence: Evidence, period: Period) -> Evidence:
    """The evidence without the registrations, permits, visas and signs of life that begin after the last day observed.

    Who arrived after that day has crossed where nobody looked, so that they say nothing of the days before it.
    """
    records = engine.view(
        name,
        f"""SELECT * FROM records
        WHERE kind NOT IN ('register', 'permits', 'visas', 'activity') OR valid_from IS NULL
           OR valid_from <= DATE '{period.to_date}'""",
        records=evidence.records,
    )
    return replace(evidence, records=records)


def find_people(
    engine: Engine,
    evidence: Evidence,
    period: Period,
    settings: ResidenceSettings,
    name: str = "residence_people",
) -> Table:
    """One row for each person who lives at some time of the period, with all evidence for the status at the start.

    from_day: the day at whose end the first status comes into force. start: observation, birth_here or birth_abroad.
    """
    permissions = _find_permissions(engine, evidence, period, settings)
    first, last = f"DATE '{period.from_date}'", f"DATE '{period.to_date}'"
    return engine.step(
        name,
        f"""
        WITH lives AS (
            SELECT person_id, mother_person_id, is_born_here,
                   CASE WHEN death_date <= {last} THEN {day_number("death_date")} END AS death_day,
                   CASE WHEN birth_date BETWEEN {first} AND {last} AND (is_born_here OR birth_date_precision = 'day')
                        THEN {day_number("birth_date")} END AS birth_day
            FROM persons
            WHERE COALESCE(birth_date, {first}) <= {last} AND COALESCE(death_date, {first}) >= {first}
        ), firsts AS (
            SELECT person_id,
                   MAX(CASE WHEN state = 'unresolved' AND end_basis = 'crossing'
                             AND start_basis <> 'observation_start' THEN 1 ELSE 0 END) = 1 AS has_gap,
                   MIN(CASE WHEN start_basis = 'crossing' THEN {day_number("start_date")} END) AS first_day,
                   MIN(CASE WHEN start_basis = 'crossing'
                            THEN 2 * sequence + CASE start_direction WHEN 'arrival' THEN 1 ELSE 0 END END) AS first_code
            FROM spells WHERE draw = 0 GROUP BY person_id
        ), begun AS (
            SELECT *, CASE WHEN birth_day IS NULL THEN 'observation' WHEN is_born_here THEN 'birth_here'
                           ELSE 'birth_abroad' END AS start
            FROM lives
        ), numbered AS ({numbered_sql("begun", "person_id", "person_key")})
        SELECT n.person_key, n.person_id, n.start, m.person_key AS mother_key,
               COALESCE(n.birth_day, {day_number(first)} - 1) AS from_day,
               CASE WHEN n.death_day < n.birth_day THEN n.birth_day ELSE n.death_day END AS death_day,
               f.first_day, 1 - MOD(f.first_code, 2) AS status_before_first, COALESCE(f.has_gap, FALSE) AS has_gap,
               COALESCE(e.is_registered, FALSE) AS is_registered, COALESCE(e.has_permit, FALSE) AS has_permit,
               COALESCE(e.is_active, FALSE) AS is_active, e.first_sign_end_day, e.registered_day, e.listed_day
        FROM numbered n
        LEFT JOIN firsts f ON f.person_id = n.person_id
        LEFT JOIN permissions e ON e.person_id = n.person_id
        -- A mother who was herself born here within the period has no status yet when her children need it.
        LEFT JOIN numbered m ON m.person_id = n.mother_person_id AND n.start = 'birth_here'
             AND NOT (m.start = 'birth_here' AND m.mother_person_id IS NOT NULL)
             AND COALESCE(m.birth_day, n.birth_day - 1) < n.birth_day
             AND COALESCE(m.death_day, n.birth_day) >= n.birth_day
        """,
        spells=evidence.spells,
        persons=evidence.persons,
        permissions=permissions,
    )


def find_starters(
    engine: Engine, people: Table, rule: StartedRule, period: Period, order: tuple[InitialEvidence, ...]
) -> Table:
    """Travellers (one row for each person) who do not need their mother's status, with their own at the start."""
    start = day_number(f"DATE '{period.from_date}'")
    tests = {
        "active_registration": "is_registered AND (is_active OR first_sign_end_day <= first_day)",
        "first_crossing": f"first_day - {start} >= {rule.settling_days}",
        "register": "is_registered",
        "permit": "has_permit",
        "not_registered": "NOT is_registered",
        "not_listed": "NOT is_registered AND NOT has_permit",
    }
    statuses = {
        "active_registration": "1",
        "first_crossing": "status_before_first",
        "register": "1",
        "permit": "1",
        "not_registered": "0",
        "not_listed": "0",
    }
    is_resident = f"start = 'birth_here' AND registered_day - from_day <= {rule.settling_days}"
    basis = f"""CASE WHEN start = 'birth_abroad' THEN 'birth_abroad' WHEN {is_resident} THEN 'register'
                     WHEN start = 'birth_here' THEN 'none'
                     {" ".join(f"WHEN {tests[kind]} THEN '{kind}'" for kind in order)} ELSE 'none' END"""
    return engine.step(
        "residence_starters",
        f"""
        WITH based AS (SELECT *, {basis} AS basis FROM people WHERE mother_key IS NULL)
        SELECT person_key, from_day, death_day, has_gap, start, {_observed(rule, period)},
               CASE basis WHEN 'birth_abroad' THEN 0 WHEN 'none' THEN -1
                    {" ".join(f"WHEN '{kind}' THEN {statuses[kind]}" for kind in statuses)} END AS initial_status,
               basis AS initial_basis,
               CASE basis WHEN 'none' THEN NULL WHEN 'first_crossing' THEN first_day
                    WHEN 'register' THEN GREATEST(from_day, CASE WHEN start = 'birth_here' THEN registered_day END)
                    ELSE from_day END AS initial_final_day
        FROM based
        """,
        people=people,
    )


def find_newborns(engine: Engine, people: Table, statuses: Table, rule: StartedRule, period: Period) -> Table:
    """Travellers born here in the period to a known mother: each starts with her status at the end of that day."""
    return engine.step(
        "residence_newborns",
        f"""
        SELECT p.person_key, p.from_day, p.death_day, p.has_gap, p.start, {_observed(rule, period)},
               m.status AS initial_status, CASE m.status WHEN -1 THEN 'none' ELSE 'mother' END AS initial_basis,
               GREATEST(p.from_day, m.status_final_day) AS initial_final_day
        FROM people p
        JOIN statuses m ON m.person_key = p.mother_key AND m.from_day <= p.from_day
             AND (m.to_day IS NULL OR m.to_day > p.from_day OR (m.to_day = p.from_day AND m.end_reason = 'death'))
        """,
        people=people,
        statuses=statuses,
    )


def _find_permissions(
    engine: Engine, evidence: Evidence, period: Period, settings: ResidenceSettings
) -> Table:
    """Registrations, permits and signs of life of each person when observation begins, and the first of each ever."""
    first, year_later = f"DATE '{period.from_date}'", f"DATE '{period.from_date + timedelta(days=365)}'"
    purposes = ", ".join(text_literal(purpose) for purpose in settings.resident_permits or ())
    counts_as_residence = (
        "TRUE" if settings.resident_permits is None else f"r.purpose IN ({purposes or 'NULL'})"
    )
    return engine.step(
        "residence_permissions",
        f"""
        SELECT p.person_id,
               MAX(CASE WHEN r.kind = 'register' AND r.valid_from <= {first}
                             AND (r.ended_date IS NULL OR r.ended_date > {first}) THEN 1 ELSE 0 END) = 1
                   AS is_registered,
               MAX(CASE WHEN r.kind = 'permits' AND r.valid_from <= {first} AND {counts_as_residence}
                             AND (r.valid_to IS NULL OR r.valid_to >= {first}) THEN 1 ELSE 0 END) = 1 AS has_permit,
               MAX(CASE WHEN r.kind = 'activity' AND r.valid_from < {year_later}
                             AND COALESCE(r.valid_to, r.valid_from) >= {first} THEN 1 ELSE 0 END) = 1 AS is_active,
               MIN(CASE WHEN r.kind = 'activity' AND COALESCE(r.valid_to, r.valid_from) >= {first}
                        THEN {day_number("COALESCE(r.valid_to, r.valid_from)")} + 1 END) AS first_sign_end_day,
               MIN(CASE WHEN r.kind = 'register' AND r.valid_from >= q.birth_date
                        THEN {day_number("r.valid_from")} END) AS registered_day,
               MIN(CASE WHEN r.kind = 'register' OR (r.kind = 'permits' AND {counts_as_residence})
                        THEN {day_number("r.valid_from")} END) AS listed_day
        FROM records r
        JOIN record_persons p ON p.source = r.source AND p.record_id = r.record_id
        JOIN persons q ON q.person_id = p.person_id
        WHERE r.kind IN ('register', 'permits', 'activity')
        GROUP BY p.person_id
        """,
        records=evidence.records,
        record_persons=evidence.record_persons,
        persons=evidence.persons,
    )


def _observed(rule: StartedRule, period: Period) -> str:
    """SQL for the day until which days are observed, and whether death cuts the window short.

    The last day of the period is observed whole. `hold`: the state at death counts on as long as a window asks for, so
    nothing stays undetermined.
    """
    end = day_number(f"DATE '{period.to_date}'") + " + 1"
    if rule.death_in_window == "hold":
        return f"CASE WHEN death_day IS NULL THEN {end} ELSE {FOREVER} END AS observed_day, FALSE AS is_window_cut"
    return f"COALESCE(death_day, {end}) AS observed_day, death_day IS NOT NULL AS is_window_cut"
