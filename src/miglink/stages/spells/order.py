"""The order in which the crossings of a person must have happened."""

from miglink.engine import Engine, Table
from miglink.presence import day_number
from miglink.tables.numbering import numbered_sql

# Places within a day stay below this, so that day and place fit into one number.
_DAY = 1_000_000


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
        WITH travellers AS (SELECT DISTINCT person_id FROM crossings),
        persons AS ({numbered_sql("travellers", "person_id", "person_key")})
        SELECT c.crossing_id, p.person_key, c.crossed_date, {day_number("c.crossed_date")} AS day, c.crossed_at,
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
