"""Whether people behave as they did: what earlier years forecast of the crossings that were open a year before."""

import polars as pl

from miglink.engine import Engine, Table


def measure_back_tests(engine: Engine, back_tests: Table) -> pl.DataFrame:
    """The last of the back-tests, by rule, policy and direction (`rule / policy / direction`).

    Reads: back_tests.
    Gives: measure, item, value: follow_up_open, crossings open on the last day that has been settled since;
        follow_up_migrations, those that became a migration; follow_up_forecast, how many that would be by the earlier
        days; follow_up_drift, the difference in standard errors of the forecast, left out where that is 0.
    Source: methods of miglink, section 5 (back-tests, turning points).
    """
    found = engine.collect(
        """
        SELECT CONCAT(rule, ' / ', policy, ' / ', direction) AS item, CAST(n_open AS DOUBLE) AS follow_up_open,
               CAST(n_migrations AS DOUBLE) AS follow_up_migrations, n_forecast AS follow_up_forecast,
               CASE WHEN standard_error > 0 THEN (n_migrations - n_forecast) / standard_error END AS follow_up_drift
        FROM (SELECT *, MAX(cut_date) OVER (PARTITION BY rule, policy) AS last_date FROM back_tests) AS tested
        WHERE cut_date = last_date
        """,
        back_tests=back_tests,
    )
    measured = found.unpivot(index="item", variable_name="measure")
    return measured.select("measure", "item", "value").sort("measure", "item")
