"""Visas and permits that ended: who had left by then, who left later, and of whom no departure is found."""

from miglink.config.stages import Period
from miglink.engine import Engine, Table


def count_expired_stays(
    engine: Engine, spells: Table, records: Table, record_persons: Table, period: Period
) -> Table:
    """Count the rights to stay that ended within the period by what became of the last stay under them.

    Reads: spells (draw 0); records (visas and permits: the right to stay; register and activity: who lives here, and
        who was seen); record_persons.
    Gives: expired_stays. Visas and permits of a person that overlap or follow one another without a day between are
        one right, which ends with the last of them. The stay is the last that began by its last day, if it lasted
        into the right. Each right has one outcome, the first that holds:

        no_stay               there is none;
        left_in_time          a departure on its last day or before;
        died                  the stay ended by death;
        prolonged             another visa or permit began, in time or late, before a departure or another arrival;
        registered            a registration was in force after it, before a departure or another arrival;
        left_late             a departure after its last day: overstayed;
        seen_later            no departure, but a sign of life that began after it: overstayed;
        arrived_again         no departure, but another arrival: when the person left is not known;
        no_departure_found    nothing: overstayed, or left unrecorded.
    Units: rights to stay, by the year of their last day; the day of departure counts as a day of the stay.
    Errors: TableError if the contract is broken.
    Source: Regulation (EU) 2017/2226, Article 12 (a stay that is over, and no exit recorded); Home Office, Exit checks
        (in time, late, no departure matched: not necessarily overstayers); methods of miglink, section 3.
    """
    rights = engine.step("quality_rights", _RIGHTS, records=records, record_persons=record_persons)
    stays = engine.step(
        "quality_expired",
        _LAST_STAYS.format(first=f"DATE '{period.from_date}'", last=f"DATE '{period.to_date}'"),
        rights=rights,
        spells=spells,
    )
    signs = engine.step("quality_signs", _SIGNS, stays=stays, records=records, record_persons=record_persons)
    return engine.query(
        "expired_stays", _OUTCOMES.format(data_to_date=period.data_to_date), stays=stays, signs=signs
    )


# Each right to stay with what it ended as, and the day on which the next of the person began.
_RIGHTS = """
    WITH held AS (
        SELECT p.person_id, r.kind, COALESCE(r.purpose, 'unknown') AS purpose, r.valid_from AS from_date,
               COALESCE(r.valid_to, DATE '9999-12-31') AS to_date
        FROM records r JOIN record_persons p ON p.source = r.source AND p.record_id = r.record_id
        WHERE r.kind IN ('visas', 'permits') AND r.valid_from IS NOT NULL
    ), neighbours AS (
        SELECT *, MAX(to_date) OVER (PARTITION BY person_id ORDER BY from_date, to_date, kind, purpose
                                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before_to_date
        FROM held
    ), numbered AS (
        SELECT *, SUM(CASE WHEN date_diff('day', before_to_date, from_date) <= 1 THEN 0 ELSE 1 END)
                  OVER (PARTITION BY person_id ORDER BY from_date, to_date, kind, purpose
                        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS number
        FROM neighbours
    ), ranked AS (
        SELECT *, MIN(from_date) OVER (PARTITION BY person_id, number) AS first_date,
               ROW_NUMBER() OVER (PARTITION BY person_id, number ORDER BY to_date DESC, kind, purpose) AS nth
        FROM numbered
    )
    SELECT person_id, kind, purpose, first_date AS from_date, to_date,
           LEAD(first_date) OVER (PARTITION BY person_id ORDER BY first_date) AS next_from_date
    FROM ranked WHERE nth = 1
"""

# The last stay during each right: from an arrival, or from the start if the first crossing is a departure.
_LAST_STAYS = """
    WITH followed AS (
        SELECT person_id, sequence, start_date, end_date, state, start_direction, start_basis, end_basis,
               LEAD(start_direction) OVER (PARTITION BY person_id ORDER BY sequence) AS next_direction
        FROM spells WHERE draw = 0
    ), arrivals AS (
        SELECT person_id, sequence, start_date, next_direction, end_basis,
               CASE WHEN end_basis = 'crossing' THEN end_date END AS crossed_date
        FROM followed
        WHERE start_direction = 'arrival'
           OR (start_direction = 'start'
               AND (next_direction = 'departure' OR (start_basis = 'birth' AND state <> 'absent')))
    ), during AS (
        SELECT r.*, a.start_date, a.end_basis, a.next_direction, a.crossed_date,
               ROW_NUMBER() OVER (PARTITION BY r.person_id, r.to_date ORDER BY a.sequence DESC) AS nth
        FROM rights r
        LEFT JOIN arrivals a ON a.person_id = r.person_id AND a.start_date <= r.to_date
             AND (a.crossed_date IS NULL OR a.crossed_date >= r.from_date)
        WHERE r.to_date BETWEEN {first} AND {last}
    )
    SELECT person_id, kind, purpose, to_date, start_date, end_basis, crossed_date,
           -- Two arrivals: the departure between them is missing.
           COALESCE(next_direction = 'arrival', FALSE) AS is_gap,
           COALESCE(crossed_date, DATE '9999-12-31') AS until_date,
           COALESCE(next_from_date, DATE '9999-12-31') AS next_from_date
    FROM during WHERE nth = 1
"""

# Whether a registration was in force, or a sign of life began, after the right and before the next crossing.
_SIGNS = """
    WITH evidence AS (
        SELECT p.person_id, r.kind, r.valid_from, COALESCE(r.ended_date, DATE '9999-12-31') AS ended_date
        FROM records r JOIN record_persons p ON p.source = r.source AND p.record_id = r.record_id
        WHERE r.kind IN ('register', 'activity') AND p.person_id IN (SELECT person_id FROM stays)
    )
    SELECT s.person_id, s.to_date, MAX(CASE WHEN e.kind = 'register' THEN 1 ELSE 0 END) AS is_registered,
           MAX(CASE WHEN e.kind = 'activity' THEN 1 ELSE 0 END) AS is_seen
    FROM stays s JOIN evidence e ON e.person_id = s.person_id
    WHERE s.until_date > s.to_date AND e.valid_from < s.until_date
      AND CASE e.kind WHEN 'register' THEN date_diff('day', s.to_date, e.ended_date) > 1
               ELSE e.valid_from > s.to_date END
    GROUP BY s.person_id, s.to_date
"""

_OUTCOMES = """
    WITH judged AS (
        SELECT s.kind, s.purpose, CAST(YEAR(s.to_date) AS INTEGER) AS year,
               CASE WHEN s.start_date IS NULL THEN 'no_stay'
                    WHEN NOT s.is_gap AND s.crossed_date <= s.to_date THEN 'left_in_time'
                    WHEN s.end_basis = 'death' THEN 'died'
                    WHEN s.next_from_date < s.until_date THEN 'prolonged'
                    WHEN g.is_registered = 1 THEN 'registered'
                    WHEN NOT s.is_gap AND s.crossed_date IS NOT NULL THEN 'left_late'
                    WHEN g.is_seen = 1 THEN 'seen_later'
                    WHEN s.is_gap THEN 'arrived_again'
                    ELSE 'no_departure_found' END AS outcome
        FROM stays s LEFT JOIN signs g ON g.person_id = s.person_id AND g.to_date = s.to_date
    )
    SELECT CAST(year AS VARCHAR) AS period, kind, purpose, outcome, COUNT(*) AS n,
           DATE '{data_to_date}' AS data_to_date
    FROM judged GROUP BY year, kind, purpose, outcome
"""
