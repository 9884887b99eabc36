"""Over-coverage of a register: whom it still holds, and a rule finds to live elsewhere."""

from collections.abc import Mapping
from datetime import date

import polars as pl

from miglink.engine import Engine, Table


def measure_register(engine: Engine, tables: Mapping[str, Table], data_to_date: date) -> pl.DataFrame:
    """Of the persons who are registered at the end of the last observed day and alive, the share that is non_resident.

    Reads: records (kind register), record_persons, residence (draw 0).
    Gives: measure registered_non_resident_share, by rule and policy (`rule / policy`); none without a register.
    Source: Statistics Estonia (residency index beside the population register).
    """
    end = f"DATE '{data_to_date}'"
    return engine.collect(
        f"""
        WITH registered AS (
            SELECT DISTINCT p.person_id
            FROM records r JOIN record_persons p ON p.source = r.source AND p.record_id = r.record_id
            WHERE r.kind = 'register' AND r.valid_from < {end} AND (r.ended_date IS NULL OR r.ended_date >= {end})
        )
        SELECT 'registered_non_resident_share' AS measure, CONCAT(s.rule, ' / ', s.policy) AS item,
               CAST(SUM(CASE WHEN s.status = 'non_resident' THEN 1 ELSE 0 END) AS DOUBLE)
               / CAST(COUNT(*) AS DOUBLE) AS value
        FROM residence s JOIN registered g ON g.person_id = s.person_id
        WHERE s.draw = 0 AND s.to_date IS NULL
        GROUP BY s.rule, s.policy
        """,
        records=tables["records"],
        record_persons=tables["record_persons"],
        residence=tables["residence"],
    )
