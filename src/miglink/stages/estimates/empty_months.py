"""Months without any crossing: a file that was forgotten, or a period longer than the data."""

from datetime import date

import polars as pl

from miglink.config.stages import Period
from miglink.engine import Engine, Table

# At 25 crossings a month an empty month by chance has probability e^-25.
_LEAST_MEDIAN = 25


def find_empty_months(engine: Engine, records: Table, period: Period) -> tuple[date, ...]:
    """The first days of the months in which no source has a crossing, although it should have many.

    Reads: records (kind, crossed_date). Months that lie wholly in the period are looked at. None is empty without
        need where the median month has fewer than 25 crossings; the median is that of the months that have any, or a
        period of more than twice the data would hide what it lacks.
    """
    counted = engine.collect(
        """
        SELECT CAST(date_trunc('month', crossed_date) AS DATE) AS month, COUNT(*) AS n
        FROM records
        WHERE kind = 'crossings' AND crossed_date IS NOT NULL
        GROUP BY 1
        """,
        records=records,
    )
    months = pl.date_range(period.from_date.replace(day=1), period.to_date, "1mo", eager=True).alias("month")
    of_period = (
        pl.DataFrame(months)
        .filter(pl.col("month") >= period.from_date, pl.col("month").dt.month_end() <= period.to_date)
        .join(counted, on="month", how="left")
    )
    median = of_period["n"].median()
    if not isinstance(median, int | float) or median < _LEAST_MEDIAN:
        return ()
    return tuple(of_period.filter(pl.col("n").is_null()).sort("month")["month"])
