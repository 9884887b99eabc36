"""The rules and policies of a run, numbered, so that what they say of one person can stand side by side."""

from datetime import date

import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.estimates.vintages import Observation, add_vintages


def number_strata(engine: Engine, residence: Table, observation: Observation) -> pl.DataFrame:
    """Every rule and policy with its number (stratum, from 0) and the last day at whose end the rule gives a status."""
    strata = engine.collect("SELECT DISTINCT rule, policy FROM residence WHERE draw = 0", residence=residence)
    last_dates = {rule: observation.last_dates.get(rule, date.max) for rule in strata["rule"].unique()}
    return (
        strata.sort("rule", "policy")
        .with_row_index("stratum")
        .with_columns(
            pl.col("stratum").cast(pl.Int32),
            limit_date=pl.col("rule").replace_strict(last_dates, return_dtype=pl.Date),
        )
    )


def name_pairs(
    counted: pl.DataFrame, strata: pl.DataFrame, periods: pl.DataFrame, observation: Observation
) -> pl.DataFrame:
    """Rows of stratum and other with the names of both, the period, `is_covered` and a vintage.

    Reads: counted (stratum, other, year, …); periods (year, period, last_date, and first_date of flows).
    Years in which the rule itself gives no status are left out; is_covered says whether the other rule gives one. A
    comparison is final where the figures of both are.
    """
    named = strata.select("stratum", "rule", "policy", "limit_date")
    others = strata.select(
        other="stratum", other_rule="rule", other_policy="policy", other_limit_date="limit_date"
    )
    rows = counted.join(named, on="stratum").join(others, on="other").join(periods, on="year")
    last_date = pl.col("last_date")
    listed = rows.filter(last_date <= pl.col("limit_date")).with_columns(
        is_covered=last_date <= pl.col("other_limit_date")
    )
    of_other = add_vintages(listed.with_columns(rule="other_rule"), observation)["status"]
    is_final = (pl.col("status") == "final") & (of_other == "final")
    return add_vintages(listed, observation).with_columns(
        status=pl.when(is_final).then(pl.lit("final")).otherwise(pl.lit("provisional"))
    )
