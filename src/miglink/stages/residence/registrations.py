"""Residence by the register alone: from registration to de-registration, whatever crossings say."""

from miglink.config.rules_of_evidence import RegistrationRule
from miglink.config.stages import Period
from miglink.engine import Engine, Table
from miglink.stages.residence.days import FOREVER, day_number
from miglink.stages.residence.histories import find_statuses
from miglink.stages.residence.initial_status import Evidence


def follow_register(
    engine: Engine, people: Table, evidence: Evidence, rule: RegistrationRule, period: Period
) -> tuple[Table, Table]:
    """The statuses and changes of all persons under a rule by registration.

    Reads: records of kind register (valid_from; ended_date, the first day no longer registered; end_reason) of
        people.
    Gives: statuses and changes, as for rules that rest on crossings; `position` numbers the changes of a person.
    Units: days. A change is dated on the day of registration or de-registration, and is known then.
    Errors: none.
    Source: Reg. (EC) 862/2007 Art 2(1) (legal or registered residence).

    Several registrations of a person are one for as long as any of them lasts. A removal by death is no end: death is.
    Nor is a removal on the day of death or later. Who is born here and registered within the rule's days of birth is a
    resident from birth; until they have passed without a registration the status is undetermined. Who is born abroad
    has moved on the day after birth at the earliest.
    """
    registered = find_registered(
        engine, people, evidence, period, rule.tolerated_gap.value, rule.birth_registration.value
    )
    gaps = _find_first_gaps(engine, people, _view_registrations(engine, people, evidence, period))
    travellers = _find_first_statuses(engine, people, registered, gaps, rule, period)
    events = _find_events(engine, people, registered, rule, period)
    days = engine.view(
        "residence_register_days",
        "SELECT person_key, day AS from_day, status, final_day AS status_final_day, 'register' AS basis FROM events",
        events=events,
    )
    moves = engine.step(
        f"residence_of_{rule.name}_changes",
        """
        SELECT person_key, position, day AS event_day, day AS counted_day, is_arrival, FALSE AS is_implied,
               final_day AS status_final_day,
               CASE WHEN status >= 0 THEN 'migration' ELSE 'undetermined' END AS outcome,
               CASE WHEN status >= 0 THEN CAST(1 AS DOUBLE) END AS p_migration, final_day AS migration_final_day
        FROM events
        """,
        events=events,
    )
    return find_statuses(engine, f"residence_of_{rule.name}_statuses", days, travellers), moves


def find_registered(
    engine: Engine, people: Table, evidence: Evidence, period: Period, tolerated_gap: int, birth_days: int
) -> Table:
    """The times from until which each person is registered after the first day, joined where no gap is between them.

    birth_days: who is born here and registered within so many days is registered from birth. registered_day: on which
    it was known.
    """
    return engine.step(
        "residence_registered",
        f"""
        WITH neighbours AS (
            SELECT *, MAX(until_day) OVER (PARTITION BY person_key ORDER BY from_day, until_day
                                           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS earlier_day
            FROM registrations
        ), numbered AS (
            SELECT *, SUM(CASE WHEN from_day - earlier_day <= {tolerated_gap} THEN 0 ELSE 1 END)
                          OVER (PARTITION BY person_key ORDER BY from_day, until_day
                                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS n
            FROM neighbours
        ), joined AS (
            SELECT person_key, MIN(from_day) AS registered_day, MAX(until_day) AS until_day
            FROM numbered GROUP BY person_key, n
        ), later AS (
            SELECT j.*, p.start, p.from_day AS first_day,
                   ROW_NUMBER() OVER (PARTITION BY j.person_key ORDER BY j.registered_day) AS nth
            FROM joined j JOIN people p ON p.person_key = j.person_key
            WHERE j.until_day > p.from_day
        ), dated AS (
            SELECT person_key, registered_day, until_day,
                   CASE WHEN start = 'birth_here' AND nth = 1
                             AND registered_day - first_day <= {birth_days}
                        THEN LEAST(registered_day, first_day)
                        WHEN start = 'birth_abroad' THEN GREATEST(registered_day, first_day + 1)
                        ELSE registered_day END AS from_day
            FROM later
        )
        SELECT * FROM dated WHERE until_day > from_day
        """,
        people=people,
        registrations=_view_registrations(engine, people, evidence, period),
    )


def _view_registrations(engine: Engine, people: Table, evidence: Evidence, period: Period) -> Table:
    """Each registration of people until the end of observation that lasts a day: from_day, until_day."""
    return engine.view(
        "residence_registrations",
        f"""
        WITH given AS (
            SELECT DISTINCT q.person_key, {day_number("r.valid_from")} AS from_day,
                   CASE WHEN r.end_reason = 'death' OR r.ended_date IS NULL THEN {FOREVER}
                        ELSE {day_number("r.ended_date")} END AS until_day
            FROM records r
            JOIN record_persons p ON p.source = r.source AND p.record_id = r.record_id
            JOIN people q ON q.person_id = p.person_id
            WHERE r.kind = 'register' AND r.valid_from <= DATE '{period.to_date}'
        )
        SELECT * FROM given WHERE until_day > from_day
        """,
        people=people,
        records=evidence.records,
        record_persons=evidence.record_persons,
    )


def _find_first_gaps(engine: Engine, people: Table, registrations: Table) -> Table:
    """For who is not registered on the first day, but was before: when that ended, and the next registration."""
    return engine.step(
        "residence_register_first_gaps",
        """
        SELECT r.person_key, MAX(CASE WHEN r.from_day <= p.from_day THEN r.until_day END) AS ended_day,
               MIN(CASE WHEN r.from_day > p.from_day THEN r.from_day END) AS next_day
        FROM registrations r JOIN people p ON p.person_key = r.person_key
        WHERE p.start NOT IN ('birth_here', 'birth_abroad')
        GROUP BY r.person_key, p.from_day
        HAVING MAX(CASE WHEN r.from_day <= p.from_day THEN r.until_day END) <= p.from_day
        """,
        people=people,
        registrations=registrations,
    )


def _find_first_statuses(
    engine: Engine, people: Table, registered: Table, gaps: Table, rule: RegistrationRule, period: Period
) -> Table:
    """One row for each person, with the status at the end of the first day.

    Where that day is within a gap, the status is final when the next registration is known, or the gap too long.
    """
    last_day = day_number(f"DATE '{period.to_date}'")
    return engine.step(
        "residence_register_starters",
        f"""
        WITH firsts AS (
            SELECT p.person_key, p.start, p.from_day, p.death_day, r.registered_day,
                   CASE WHEN p.start = 'birth_here'
                        THEN COALESCE(r.registered_day, p.from_day + {rule.birth_registration.value})
                        WHEN g.ended_day IS NULL THEN p.from_day
                        WHEN r.registered_day IS NOT NULL THEN g.next_day
                        ELSE LEAST(g.ended_day + {rule.tolerated_gap.value},
                                   COALESCE(p.death_day, g.ended_day + {rule.tolerated_gap.value})) END AS sure_day
            FROM people p
            LEFT JOIN registered r ON r.person_key = p.person_key AND r.from_day <= p.from_day
            LEFT JOIN gaps g ON g.person_key = p.person_key
        ), based AS (
            SELECT *, CASE WHEN registered_day IS NOT NULL THEN 'register'
                           WHEN sure_day > {last_day} THEN 'none'
                           WHEN start = 'birth_abroad' THEN start ELSE 'not_registered' END AS initial_basis
            FROM firsts
        )
        SELECT person_key, from_day, death_day, initial_basis,
               CASE initial_basis WHEN 'register' THEN 1 WHEN 'none' THEN -1 ELSE 0 END AS initial_status,
               CASE WHEN initial_basis <> 'none' THEN GREATEST(from_day, sure_day) END AS initial_final_day
        FROM based
        """,
        people=people,
        registered=registered,
        gaps=gaps,
    )


def _find_events(
    engine: Engine, people: Table, registered: Table, rule: RegistrationRule, period: Period
) -> Table:
    """Registrations and de-registrations after the first day, with the status after each and the day it is final.

    Where a gap is tolerated an end is one as soon as the gap is longer, or at death; before, it is undetermined.
    """
    last_day, gap = day_number(f"DATE '{period.to_date}'"), rule.tolerated_gap.value
    return engine.step(
        "residence_register_events",
        f"""
        WITH changes AS (
            SELECT r.person_key, r.from_day AS day, TRUE AS is_arrival, r.from_day AS sure_day
            FROM registered r JOIN people p ON p.person_key = r.person_key
            WHERE r.from_day > p.from_day AND r.from_day <= COALESCE(p.death_day, r.from_day)
            UNION ALL
            SELECT r.person_key, r.until_day AS day, FALSE AS is_arrival,
                   LEAST(r.until_day + {gap}, COALESCE(p.death_day, r.until_day + {gap})) AS sure_day
            FROM registered r JOIN people p ON p.person_key = r.person_key
            WHERE r.until_day < COALESCE(p.death_day, {FOREVER})
        )
        SELECT person_key, day, is_arrival,
               ROW_NUMBER() OVER (PARTITION BY person_key ORDER BY day, is_arrival) AS position,
               CASE WHEN sure_day > {last_day} THEN -1 WHEN is_arrival THEN 1 ELSE 0 END AS status,
               CASE WHEN sure_day <= {last_day} THEN sure_day END AS final_day
        FROM changes WHERE day <= {last_day}
        """,
        people=people,
        registered=registered,
    )
