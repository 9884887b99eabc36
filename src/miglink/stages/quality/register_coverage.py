"""Over-coverage of a register: whom it still holds, and a rule finds to live elsewhere."""

from collections.abc import Mapping

import polars as pl

from miglink.config.windows import Windows
from miglink.engine import Engine, Table


def case_of_rule(windows: Windows) -> str:
    """SQL: the first day that is not observed under the rule of a row of residence."""
    end = f"DATE '{windows.period.data_to_date}'"
    ends = [f"WHEN '{rule}' THEN DATE '{window.data_to_date}'" for rule, window in windows.rules.items()]
    return f"CASE rule {' '.join(ends)} ELSE {end} END" if ends else end


def measure_register(engine: Engine, tables: Mapping[str, Table], windows: Windows) -> pl.DataFrame:
    """Of the persons who are registered at the end of the rule's last observed day and alive, the share non_resident.

    Reads: records (kind register), record_persons, residence (draw 0).
    Gives: measure registered_non_resident_share, by rule and policy (`rule / policy`); none without a register.
    Source: Statistics Estonia (residency index beside the population register).
    """
    return engine.collect(
        f"""
        WITH ended AS (
            SELECT *, {case_of_rule(windows)} AS end_date FROM residence WHERE draw = 0 AND to_date IS NULL
        ), registered AS (
            SELECT DISTINCT p.person_id, e.end_date
            FROM records r
            JOIN record_persons p ON p.source = r.source AND p.record_id = r.record_id
            JOIN (SELECT DISTINCT end_date FROM ended) AS e
              ON r.valid_from < e.end_date AND (r.ended_date IS NULL OR r.ended_date >= e.end_date)
            WHERE r.kind = 'register'
        )
        SELECT 'registered_non_resident_share' AS measure, CONCAT(s.rule, ' / ', s.policy) AS item,
               CAST(SUM(CASE WHEN s.status = 'non_resident' THEN 1 ELSE 0 END) AS DOUBLE)
               / CAST(COUNT(*) AS DOUBLE) AS value
        FROM ended s JOIN registered g ON g.person_id = s.person_id AND g.end_date = s.end_date
        GROUP BY s.rule, s.policy
        """,
        records=tables["records"],
        record_persons=tables["record_persons"],
        residence=tables["residence"],
    )
