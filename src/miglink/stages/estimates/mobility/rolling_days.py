"""Days above a limit of days in any window: short stays of who needs no permit."""

from datetime import date

from miglink.config.mobility import RollingWindowRule
from miglink.engine import Engine, Table, text_literal
from miglink.presence import day_number, find_presence
from miglink.stages.estimates.mobility.stays import with_citizenship


def find_days_above(
    engine: Engine,
    spells: Table,
    records: Table,
    record_persons: Table,
    observed: tuple[RollingWindowRule, date],
) -> Table:
    """The days on which somebody is present and above the limit of a rule: person_id, evidence, from_day, until_day.

    observed: the rule, and the first day that is not observed. evidence: least or most presence, where a crossing is
    missing. Units: days since 1900-01-01, up to but not on until_day.
    Source: Reg. (EU) 2016/399 Art 6(1): the window before each day of stay is looked at, that day among it.

    The n-th day of presence is above the limit L if the day of presence L before it lies in its window of W days: if
    W − L − 1 days of absence or fewer are between the two. Days of absence before a stretch are the same for all of its
    days, so what is looked for is the first stretch with so few between, and its first day.
    """
    rule, _ = observed
    limit, window = rule.limit.value, rule.window.value
    return engine.step(
        f"mobility_above_{rule.name}",
        f"""
        WITH counted AS (
            SELECT *, CAST(COALESCE(SUM(until_day - from_day) OVER (
                          PARTITION BY person_id, evidence ORDER BY from_day
                          ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS BIGINT) AS n_present
            FROM segments
        ), reached AS (
            SELECT *, MIN(n_present) OVER (
                          PARTITION BY person_id, evidence ORDER BY from_day - n_present
                          RANGE BETWEEN {window - limit - 1} PRECEDING AND CURRENT ROW) AS n_before_window
            FROM counted
        ), dated AS (
            SELECT person_id, evidence, until_day,
                   from_day + GREATEST(0, {limit} + n_before_window - n_present) AS from_day
            FROM reached
        )
        SELECT person_id, evidence, from_day, until_day FROM dated WHERE from_day < until_day
        """,
        segments=_find_segments(engine, spells, records, record_persons, observed),
    )


def _find_segments(
    engine: Engine,
    spells: Table,
    records: Table,
    record_persons: Table,
    observed: tuple[RollingWindowRule, date],
) -> Table:
    """The stretches of days that count, of who has enough of them to be above the limit: from_day, until_day.

    Presence begins and ends, and so do the permits and visas whose days do not count: between two such days nothing
    changes.
    """
    rule, data_to_date = observed
    end = day_number(f"DATE '{data_to_date}'")
    further = 1 if rule.counting == "inclusive" else 0
    kinds = ", ".join(map(text_literal, rule.excluded)) or "NULL"
    visits = ", ".join(map(text_literal, rule.visit_purposes)) or "NULL"
    return engine.step(
        "mobility_segments",
        f"""
        WITH stays AS (
            SELECT person_id, 'least' AS evidence, least_start_day AS start_day, least_end_day AS end_day FROM presence
            UNION ALL
            SELECT person_id, 'most' AS evidence, most_start_day AS start_day, most_end_day AS end_day FROM presence
        ), held AS (
            SELECT DISTINCT p.person_id, {day_number("r.valid_from")} AS start_day,
                   LEAST(COALESCE(CASE WHEN r.kind = 'register' THEN {day_number("r.ended_date")}
                                       ELSE {day_number("r.valid_to")} + 1 END, {end}), {end}) AS end_day
            FROM records r JOIN record_persons p ON p.source = r.source AND p.record_id = r.record_id
            WHERE r.kind IN ({kinds}) AND r.valid_from IS NOT NULL
              AND COALESCE(r.purpose, '') NOT IN ({visits})
        ), changes AS (
            SELECT person_id, evidence, start_day AS day, 1 AS n_here, 0 AS n_held FROM stays
            UNION ALL
            SELECT person_id, evidence, LEAST(end_day + {further}, {end}), -1, 0 FROM stays
            UNION ALL
            SELECT h.person_id, e.evidence, h.start_day, 0, 1
            FROM held h CROSS JOIN (VALUES ('least'), ('most')) AS e(evidence) WHERE h.start_day < h.end_day
            UNION ALL
            SELECT h.person_id, e.evidence, h.end_day, 0, -1
            FROM held h CROSS JOIN (VALUES ('least'), ('most')) AS e(evidence) WHERE h.start_day < h.end_day
        ), days AS (
            SELECT person_id, evidence, day, SUM(n_here) AS n_here, SUM(n_held) AS n_held
            FROM changes GROUP BY person_id, evidence, day
        ), states AS (
            SELECT person_id, evidence, day AS from_day, LEAD(day) OVER history AS until_day,
                   SUM(n_here) OVER history AS n_here, SUM(n_held) OVER history AS n_held
            FROM days WINDOW history AS (PARTITION BY person_id, evidence ORDER BY day)
        ), counted AS (
            SELECT person_id, evidence, from_day, until_day,
                   SUM(until_day - from_day) OVER (PARTITION BY person_id, evidence) AS n_days
            FROM states WHERE n_here > 0 AND n_held = 0 AND until_day IS NOT NULL
        )
        SELECT person_id, evidence, from_day, until_day FROM counted WHERE n_days > {rule.limit.value}
        """,
        presence=find_presence(engine, spells),
        records=records,
        record_persons=record_persons,
    )


def count_above_sql(rule: RollingWindowRule) -> str:
    """Persons with days above the limit, and these days, by year. Reads: above, years, citizenships."""
    rows = """SELECT a.person_id, y.year,
               CAST(DATE '1900-01-01' + CAST(MIN(GREATEST(a.from_day, y.from_day)) AS INTEGER) AS DATE) AS first_date,
               SUM(CASE WHEN evidence = 'least'
                        THEN LEAST(a.until_day, y.until_day) - GREATEST(a.from_day, y.from_day) ELSE 0 END) AS n_least,
               SUM(CASE WHEN evidence = 'most'
                        THEN LEAST(a.until_day, y.until_day) - GREATEST(a.from_day, y.from_day) ELSE 0 END) AS n_most
        FROM above a JOIN years y ON a.from_day < y.until_day AND y.from_day < a.until_day
        GROUP BY a.person_id, y.year"""
    both = with_citizenship(rows, "first_date")
    named = f"'{rule.name}' AS rule, 'unresolved' AS policy, year"
    return f"""SELECT {named}, 'above_limit' AS measure, citizenship,
               COUNT(CASE WHEN n_least > 0 THEN 1 END) AS n_settled,
               COUNT(CASE WHEN n_least = 0 THEN 1 END) AS n_undetermined
        FROM ({both}) AS y GROUP BY year, citizenship
        UNION ALL
        SELECT {named}, 'days_above_limit' AS measure, citizenship, SUM(n_least) AS n_settled,
               SUM(GREATEST(n_most - n_least, 0)) AS n_undetermined
        FROM ({both}) AS y GROUP BY year, citizenship"""
