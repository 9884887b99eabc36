"""Days above a limit of days in any window: short stays of who needs no permit."""

from datetime import date

from miglink.config.mobility import RollingWindowRule
from miglink.engine import Engine, Table, text_literal
from miglink.stages.estimates.mobility.stays import with_citizenship
from miglink.stages.spells.days import day_number, find_presence


def find_days_above(
    engine: Engine,
    spells: Table,
    records: Table,
    record_persons: Table,
    observed: tuple[RollingWindowRule, date],
) -> Table:
    """The days on which somebody is present and above the limit of a rule: person_id, evidence, day.

    observed: the rule, and the first day that is not observed. evidence: least or most presence, where a crossing is
    missing. Units: day is a number of days since 1900-01-01.
    Source: Reg. (EU) 2016/399 Art 6(1): the window before each day of stay is looked at, that day among it.

    Within a stay the number of days in the window never falls, so a stay whose last day is within the limit has no day
    above it, and the days of the few others are looked at one by one.
    """
    rule, _ = observed
    limit, window = rule.limit.value, rule.window.value
    segments = _find_segments(engine, spells, records, record_persons, observed)
    ends = engine.view(
        "mobility_ends",
        f"""SELECT person_id, evidence, until_day AS day FROM segments
        UNION ALL SELECT person_id, evidence, until_day - {window} AS day FROM segments""",
        segments=segments,
    )
    exceeding = engine.step(
        "mobility_exceeding",
        f"""
        SELECT s.person_id, s.evidence, UNNEST(generate_series(s.from_day, s.until_day - 1)) AS day
        FROM segments s
        JOIN present e ON e.person_id = s.person_id AND e.evidence = s.evidence AND e.day = s.until_day
        JOIN present b ON b.person_id = s.person_id AND b.evidence = s.evidence AND b.day = s.until_day - {window}
        WHERE e.n_before - b.n_before > {limit}
        """,
        segments=segments,
        present=_count_before(engine, "mobility_present_at_ends", segments, ends),
    )
    days = engine.view(
        "mobility_days",
        f"""SELECT person_id, evidence, day + 1 AS day FROM exceeding
        UNION ALL SELECT person_id, evidence, day + 1 - {window} AS day FROM exceeding""",
        exceeding=exceeding,
    )
    return engine.step(
        f"mobility_above_{rule.name}",
        f"""
        SELECT x.person_id, x.evidence, x.day FROM exceeding x
        JOIN present e ON e.person_id = x.person_id AND e.evidence = x.evidence AND e.day = x.day + 1
        JOIN present b ON b.person_id = x.person_id AND b.evidence = x.evidence AND b.day = x.day + 1 - {window}
        WHERE e.n_before - b.n_before > {limit}
        """,
        exceeding=exceeding,
        present=_count_before(engine, "mobility_present_on_days", segments, days),
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


def _count_before(engine: Engine, name: str, segments: Table, probes: Table) -> Table:
    """The days that count before each day asked for (n_before): each once, whoever asks twice."""
    return engine.step(
        name,
        """
        WITH points AS (
            SELECT person_id, evidence, from_day AS day, 1 AS sign, FALSE AS is_probe FROM segments
            UNION ALL
            SELECT person_id, evidence, until_day AS day, -1 AS sign, FALSE AS is_probe FROM segments
            UNION ALL
            SELECT DISTINCT person_id, evidence, day, 0 AS sign, TRUE AS is_probe FROM probes
        ), summed AS (
            SELECT person_id, evidence, day, is_probe,
                   day * SUM(sign) OVER earlier - SUM(sign * day) OVER earlier AS n_before
            FROM points
            WINDOW earlier AS (PARTITION BY person_id, evidence ORDER BY day
                               RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
        )
        SELECT person_id, evidence, day, CAST(n_before AS BIGINT) AS n_before FROM summed WHERE is_probe
        """,
        segments=segments,
        probes=probes,
    )


def count_above_sql(rule: RollingWindowRule) -> str:
    """Persons with days above the limit, and these days, by year. Reads: above, citizenships."""
    day = "CAST(DATE '1900-01-01' + CAST(day AS INTEGER) AS DATE)"
    rows = f"""SELECT person_id, CAST(EXTRACT(YEAR FROM over_date) AS INTEGER) AS year, MIN(over_date) AS first_date,
               COUNT(CASE WHEN evidence = 'least' THEN 1 END) AS n_least,
               COUNT(CASE WHEN evidence = 'most' THEN 1 END) AS n_most
        FROM (SELECT *, {day} AS over_date FROM above) AS z
        GROUP BY person_id, EXTRACT(YEAR FROM over_date)"""
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
