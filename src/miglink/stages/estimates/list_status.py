"""How many records of each list, and what weight, are of each migratory status."""

import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.estimates.vintages import Observation, add_vintages

_KEYS = ("source", "period", "rule", "policy", "migratory_status", "reason")


def count_list_status(engine: Engine, listed_people: Table, observation: Observation) -> pl.DataFrame:
    """The rows of list_status, in the order of their key.

    A list of one day is counted on that day, one of many (a survey that goes on all year) by year: cells of single
    interviews would be cells of single persons. Weights are added up as decimals, so that the sum is the same in any
    order.
    """
    counted = engine.collect(
        """
        SELECT source, reference_date, rule, policy, migratory_status, COALESCE(reason, 'none') AS reason,
               COUNT(*) AS n, CAST(SUM(CAST(weight AS DECIMAL(18, 6))) AS DOUBLE) AS weight
        FROM listed
        GROUP BY source, reference_date, rule, policy, migratory_status, COALESCE(reason, 'none')
        """,
        listed=listed_people,
    )
    day = pl.col("reference_date")
    days = counted.group_by("source").agg(is_of_a_day=day.drop_nulls().n_unique() < 2)
    period = pl.when("is_of_a_day").then(day.dt.strftime("%Y-%m-%d")).otherwise(day.dt.strftime("%Y"))
    dated = (
        counted.join(days, on="source")
        .with_columns(period=period.fill_null("unknown"), last_date=day - pl.duration(days=1))
        .sort(*_KEYS, "reference_date")
    )
    sums = dated.group_by(_KEYS, maintain_order=True).agg(
        pl.col("n").cast(pl.Int64).sum(), pl.col("weight").sum().round(6)
    )
    # A period is as final as its last day.
    last_dates = dated.group_by("source", "period", "rule").agg(pl.col("last_date").max())
    return sums.join(add_vintages(last_dates, observation), on=["source", "period", "rule"], how="left").sort(
        _KEYS
    )
