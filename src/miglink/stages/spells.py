"""Spells: the presence and absence of each person, from crossings, births and deaths."""

from typing import Literal

from miglink.config.stages import Period, SpellsSettings
from miglink.engine import Engine, Table

# Places within a day stay below this, so that day and place fit into one number.
_DAY = 1_000_000


def find_spells(
    engine: Engine,
    records: Table,
    record_persons: Table,
    persons: Table,
    period: Period,
    settings: SpellsSettings,
) -> Table:
    """Turn the crossings of each person into half-open spells of presence and absence.

    Reads: records (kind crossings, double scans left out), record_persons, persons (births, deaths).
    Gives: spells (key draw, person_id, start_date, sequence), draw 0. The first spell reaches from the first
        observed day, or from the birth if later, to the first crossing; its state is the opposite of that
        crossing. Where two crossings of one direction follow one another, or somebody born here first arrives,
        the spell is `unresolved`: a crossing is missing within it. After the last crossing the state lasts until
        death or the end of observation. Persons without crossings have no spells.
    Units: local days; a spell holds from start_date up to but not on end_date. Spells may have no length.
    Errors: TableError if the contract is broken. Crossings that contradict the period, a birth or a death are
        not used; `find_left_out` gives them with the reason.
    Source: StatisticsNZ migrbc 2.0.9 (half-open days, same-day returns); methods of miglink, section 2.
    """
    assert settings.borders == "recorded", settings.borders  # the configuration admits no other
    recorded = _find_recorded(engine, records, record_persons, persons, period)
    crossings = engine.step(
        "spells_crossings",
        """
        SELECT crossing_id, person_id, crossed_date, crossed_at, direction, CAST(NULL AS BIGINT) AS sequence,
               CASE WHEN start_basis = 'birth' AND is_born_here THEN 'resident' END AS initial_status
        FROM recorded WHERE reason IS NULL
        """,
        recorded=recorded,
    )
    starts = _find_starts(engine, recorded, order_crossings(engine, crossings))
    return engine.query(
        "spells",
        """
        WITH history AS (
            SELECT *, LEAD(start_date) OVER h AS next_date, LEAD(start_direction) OVER h AS next_direction
            FROM starts WINDOW h AS (PARTITION BY person_id ORDER BY sequence)
        ), states AS (
            SELECT *, CASE WHEN COALESCE(known_direction, start_direction) = next_direction THEN 'unresolved'
                           WHEN start_direction = 'arrival' THEN 'present'
                           WHEN start_direction = 'departure' THEN 'absent'
                           WHEN next_direction = 'arrival' THEN 'absent'
                           ELSE 'present' END AS state
            FROM history
        )
        SELECT CAST(0 AS INTEGER) AS draw, person_id, start_date, CAST(sequence AS INTEGER) AS sequence,
               COALESCE(next_date, death_date) AS end_date, state, start_direction, start_basis,
               start_source, start_record_id,
               CASE WHEN state = 'unresolved' THEN start_date END AS earliest_date,
               CASE WHEN state = 'unresolved' THEN next_date END AS latest_date,
               CASE WHEN next_date IS NOT NULL THEN 'crossing' WHEN death_date IS NOT NULL THEN 'death'
                    ELSE 'observation_end' END AS end_basis
        FROM states
        """,
        starts=starts,
    )


def find_left_out(
    engine: Engine, records: Table, record_persons: Table, persons: Table, period: Period
) -> Table:
    """The crossings that no spell uses: source, record_id, person_id and the reason.

    Reasons: repeat (double scan), outside_period, before_birth, after_death.
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
        recorded=_find_recorded(engine, records, record_persons, persons, period),
        records=records,
        record_persons=record_persons,
    )


def order_crossings(engine: Engine, crossings: Table) -> Table:
    """Number the crossings of each person in the order in which they must have happened.

    Reads: crossings (crossing_id unique, person_id, crossed_date, crossed_at, direction, sequence,
        initial_status; crossed_at, sequence and initial_status may be null).
    Gives: a scratch table with crossing_id, person_key (a number for each person_id), crossed_date, direction,
        initial_status, sequence (from 1 within the person) and is_conflict: the directions of that day cannot
        alternate, so crossings are missing.
    Units: within a day the order is that of the times, if all are known and differ; else of the given sequence,
        if all are known and differ; else directions alternate from the state before the day.
    Errors: none; the order of the rows given never matters.
    Source: methods of miglink, section 1 (order within a day).
    """
    keyed = engine.step(
        "spells_keyed",
        f"""
        WITH persons AS (
            SELECT person_id, ROW_NUMBER() OVER (ORDER BY person_id) AS person_key
            FROM (SELECT DISTINCT person_id FROM crossings) AS distinct_persons
        )
        SELECT c.crossing_id, p.person_key, c.crossed_date, {_day("c.crossed_date")} AS day, c.crossed_at,
               c.direction, c.sequence AS given_sequence, c.initial_status
        FROM crossings c JOIN persons p ON p.person_id = c.person_id
        """,
        crossings=crossings,
    )
    placed = _place_crossings(engine, keyed)
    starts = _find_day_starts(engine, keyed, placed)
    return engine.step(
        "spells_ordered",
        f"""
        WITH places AS (
            SELECT k.crossing_id, k.person_key, k.crossed_date, k.day, k.direction, k.initial_status,
                   COALESCE(p.is_conflict, FALSE) AS is_conflict,
                   CASE WHEN p.crossing_id IS NULL THEN 1 WHEN p.place IS NOT NULL THEN p.place
                        WHEN p.direction = s.direction THEN 2 * p.nth - 1 ELSE 2 * p.nth END AS place
            FROM keyed k
            LEFT JOIN placed p
                   ON p.person_key = k.person_key AND p.day = k.day AND p.crossing_id = k.crossing_id
            LEFT JOIN starts s ON s.person_key = k.person_key AND s.day = k.day
        )
        SELECT crossing_id, person_key, crossed_date, direction, initial_status, is_conflict,
               CAST(ROW_NUMBER() OVER (PARTITION BY person_key ORDER BY {_DAY} * day + place, crossing_id)
                    AS INTEGER) AS sequence
        FROM places
        """,
        keyed=keyed,
        placed=placed,
        starts=starts,
    )


def count_days(
    engine: Engine, spells: Table, windows: Table, counting: Literal["half_open", "inclusive"]
) -> Table:
    """Count each person's days of presence in windows of time.

    Reads: spells (one draw); windows (window_id, person_id, from_date, to_date: up to but not on to_date).
    Gives: a scratch table with window_id, days_least and days_most: they differ where a crossing is missing.
    Units: days. half_open: the day of arrival counts, the day of departure does not. inclusive: both count, and
        a day on which somebody leaves and comes back counts once.
    Errors: none.
    Source: Regulation (EU) 2017/2226 (inclusive); StatisticsNZ migrbc 2.0.9 (half-open).
    """
    further = {"half_open": 0, "inclusive": 1}[counting]
    first_day = f"GREATEST(start_day, COALESCE(counted_day, start_day), {_day('w.from_date')})"
    return engine.step(
        "spells_days_counted",
        f"""
        WITH stays AS (
            {_stays("least")} UNION ALL {_stays("most")}
        ), ends AS (
            SELECT person_id, evidence, start_day, end_day + {further} AS end_day,
                   MAX(end_day + {further}) OVER (
                       PARTITION BY person_id, evidence ORDER BY sequence
                       ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS counted_day
            FROM stays
        ), days AS (
            SELECT w.window_id, e.evidence,
                   GREATEST(0, LEAST(e.end_day, {_day("w.to_date")}) - {first_day}) AS n_days
            FROM windows w LEFT JOIN ends e ON e.person_id = w.person_id
        )
        SELECT window_id,
               CAST(SUM(CASE WHEN evidence = 'least' THEN n_days ELSE 0 END) AS INTEGER) AS days_least,
               CAST(SUM(CASE WHEN evidence = 'most' THEN n_days ELSE 0 END) AS INTEGER) AS days_most
        FROM days GROUP BY window_id
        """,
        spells=_find_presence(engine, spells),
        windows=windows,
    )


def _find_recorded(
    engine: Engine, records: Table, record_persons: Table, persons: Table, period: Period
) -> Table:
    """Every crossing that is no double scan, its person's birth and death, and the reason if it is not used."""
    first, last = f"DATE '{period.from_date}'", f"DATE '{period.to_date}'"
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
        SELECT r.source, r.record_id, CONCAT(r.source, CHR(31), r.record_id) AS crossing_id, l.person_id,
               r.crossed_date, r.crossed_at, r.direction, l.is_born_here, l.death_date,
               COALESCE(l.born_date, {first}) AS start_date,
               CASE WHEN l.born_date IS NULL THEN 'observation_start' ELSE 'birth' END AS start_basis,
               CASE WHEN r.crossed_date NOT BETWEEN {first} AND {last} THEN 'outside_period'
                    WHEN r.crossed_date < l.born_date THEN 'before_birth'
                    WHEN r.crossed_date > l.death_date THEN 'after_death' END AS reason
        FROM records r
        JOIN record_persons p ON p.source = r.source AND p.record_id = r.record_id
        JOIN lives l ON l.person_id = p.person_id
        WHERE r.kind = 'crossings' AND NOT r.is_repeat
        """,
        records=records,
        record_persons=record_persons,
        persons=persons,
    )


def _find_starts(engine: Engine, recorded: Table, ordered: Table) -> Table:
    """What begins each spell: the observation or the birth, then the crossings.

    known_direction: who is born here is present as if just arrived, who is born abroad absent as if departed.
    """
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
        ordered=ordered,
    )


def _place_crossings(engine: Engine, keyed: Table) -> Table:
    """The place of each crossing within a day of several; null where it depends on the state before the day.

    A surplus direction comes first: with two arrivals and a departure, the departure lies between.
    """
    return engine.step(
        "spells_placed",
        """
        WITH busy AS (
            SELECT person_key, day FROM keyed GROUP BY person_key, day HAVING COUNT(*) > 1
        ), several AS (
            SELECT k.* FROM keyed k JOIN busy b ON b.person_key = k.person_key AND b.day = k.day
        ), days AS (
            SELECT person_key, day, SUM(CASE WHEN direction = 'arrival' THEN 1 ELSE -1 END) AS balance,
                   COUNT(DISTINCT crossed_at) = COUNT(*) AS is_timed,
                   COUNT(DISTINCT given_sequence) = COUNT(*) AS is_numbered
            FROM several GROUP BY person_key, day
        ), counted AS (
            SELECT s.*, d.balance, d.is_timed, d.is_numbered,
                   ROW_NUMBER() OVER (PARTITION BY s.person_key, s.day
                                      ORDER BY s.crossed_at NULLS LAST, s.crossing_id) AS nth_by_time,
                   ROW_NUMBER() OVER (PARTITION BY s.person_key, s.day
                                      ORDER BY s.given_sequence NULLS LAST, s.crossing_id) AS nth_by_number,
                   ROW_NUMBER() OVER (PARTITION BY s.person_key, s.day, s.direction
                                      ORDER BY s.crossed_at NULLS LAST, s.given_sequence NULLS LAST,
                                               s.crossing_id) AS nth
            FROM several s JOIN days d ON d.person_key = s.person_key AND d.day = s.day
        )
        SELECT crossing_id, person_key, day, direction, initial_status, nth,
               CASE WHEN is_timed THEN nth_by_time WHEN is_numbered THEN nth_by_number
                    WHEN balance <> 0 THEN 2 * nth - CASE WHEN (direction = 'arrival') = (balance > 0)
                                                          THEN 1 ELSE 0 END END AS place,
               NOT is_timed AND NOT is_numbered AND ABS(balance) > 1 AS is_conflict
        FROM counted
        """,
        keyed=keyed,
    )


def _find_day_starts(engine: Engine, keyed: Table, placed: Table) -> Table:
    """The direction that comes first on days with as many arrivals as departures in no known order.

    From the last crossing before of known place; else from the initial status; else from the next one after;
    else arrival.
    """
    return engine.step(
        "spells_day_starts",
        f"""
        WITH travellers AS (
            SELECT DISTINCT person_key FROM placed WHERE place IS NULL
        ), codes AS (
            SELECT k.person_key, k.day, k.initial_status,
                   p.crossing_id IS NOT NULL AND p.place IS NULL AS is_open,
                   CASE WHEN p.crossing_id IS NULL OR p.place IS NOT NULL
                        THEN 2 * ({_DAY} * k.day + COALESCE(p.place, 1))
                             + CASE WHEN k.direction = 'arrival' THEN 1 ELSE 0 END END AS code
            FROM keyed k JOIN travellers t ON t.person_key = k.person_key
            LEFT JOIN placed p
                   ON p.person_key = k.person_key AND p.day = k.day AND p.crossing_id = k.crossing_id
        ), neighbours AS (
            SELECT person_key, day, is_open,
                   MIN(initial_status) OVER (PARTITION BY person_key) AS initial_status,
                   MAX(code) OVER (PARTITION BY person_key ORDER BY day
                                   RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS code_before,
                   MIN(code) OVER (PARTITION BY person_key ORDER BY day
                                   RANGE BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS code_after
            FROM codes
        )
        SELECT DISTINCT person_key, day,
               CASE WHEN code_before IS NOT NULL
                    THEN CASE MOD(code_before, 2) WHEN 1 THEN 'departure' ELSE 'arrival' END
                    WHEN initial_status = 'resident' THEN 'departure'
                    WHEN initial_status = 'non_resident' THEN 'arrival'
                    WHEN MOD(code_after, 2) = 0 THEN 'departure'
                    ELSE 'arrival' END AS direction
        FROM neighbours WHERE is_open
        """,
        keyed=keyed,
        placed=placed,
    )


def _find_presence(engine: Engine, spells: Table) -> Table:
    """Spells with the days on which presence in them begins and ends, if least and if most is assumed."""
    return engine.step(
        "spells_presence",
        f"""
        WITH days AS (
            SELECT person_id, sequence, state, {_day("start_date")} AS start_day,
                   {_day("COALESCE(end_date, DATE '9999-12-31')")} AS end_day,
                   LEAD(start_direction) OVER (PARTITION BY person_id ORDER BY sequence) AS next_direction
            FROM spells
        )
        SELECT person_id, sequence, start_day AS most_start_day, end_day AS most_end_day,
               -- Least presence: who arrived left at once, who had left came back at the last moment.
               CASE WHEN state = 'unresolved' AND next_direction = 'departure' THEN end_day ELSE start_day END
                   AS least_start_day,
               CASE WHEN state = 'unresolved' AND next_direction = 'arrival' THEN start_day ELSE end_day END
                   AS least_end_day
        FROM days WHERE state IN ('present', 'unresolved')
        """,
        spells=spells,
    )


def _stays(evidence: str) -> str:
    """SQL for the stays under the least or the most evidence of presence."""
    return f"""SELECT person_id, sequence, '{evidence}' AS evidence,
                   {evidence}_start_day AS start_day, {evidence}_end_day AS end_day FROM spells"""


def _day(date: str) -> str:
    """SQL for a date as a number of days, wide enough to be multiplied."""
    return f"CAST(date_diff('day', DATE '1900-01-01', {date}) AS BIGINT)"
