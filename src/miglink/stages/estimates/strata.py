"""The rules and policies of a run, numbered, so that what they say of one person can stand side by side."""

import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.estimates.vintages import Observation, add_vintages


def number_strata(engine: Engine, residence: Table, observation: Observation) -> pl.DataFrame:
    """Every rule and policy with its number (stratum, from 0), and the first and last day with a status by the rule."""
    strata = engine.collect("SELECT DISTINCT rule, policy FROM residence WHERE draw = 0", residence=residence)
    rules = strata["rule"].unique()
    first_dates, last_dates = observation.first_status_dates(rules), observation.last_status_dates(rules)
    return (
        strata.sort("rule", "policy")
        .with_row_index("stratum")
        .with_columns(
            pl.col("stratum").cast(pl.Int32),
            start_date=pl.col("rule").replace_strict(first_dates, return_dtype=pl.Date),
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
    named = strata.select("stratum", "rule", "policy", "start_date", "limit_date")
    others = named.rename({"stratum": "other"} | {name: f"other_{name}" for name in named.columns[1:]})
    rows = counted.join(named, on="stratum").join(others, on="other").join(periods, on="year")
    last_date = pl.col("last_date")
    # The status with which a year opens is that at the end of the day before.
    opening = pl.col("first_date") - pl.duration(days=1) if "first_date" in periods.columns else last_date
    listed = rows.filter(opening >= pl.col("start_date"), last_date <= pl.col("limit_date")).with_columns(
        is_covered=(opening >= pl.col("other_start_date")) & (last_date <= pl.col("other_limit_date"))
    )
    of_other = add_vintages(listed.with_columns(rule="other_rule"), observation)
    is_final = (pl.col("status") == "final") & (of_other["status"] == "final")
    return add_vintages(listed, observation).with_columns(
        data_to_date=pl.min_horizontal("data_to_date", of_other["data_to_date"]),
        status=pl.when(is_final).then(pl.lit("final")).otherwise(pl.lit("provisional")),
    )
