"""The reference dates, months, quarters and years that an observation covers whole."""

from collections.abc import Collection
from datetime import date, timedelta

import polars as pl

from miglink.config.stages import Period


def reference_dates(period: Period) -> pl.DataFrame:
    """Every 1 January whose stock is observed: that of the end of the day before, `last_date`."""
    after = period.to_date + timedelta(days=1)
    first_year = period.from_date.year + (period.from_date > date(period.from_date.year, 1, 1))
    years = pl.DataFrame({"year": list(range(first_year, after.year + 1))}, schema={"year": pl.Int32})
    first_january = pl.date("year", 1, 1)
    return years.select(
        "year", period=first_january.dt.strftime("%Y-%m-%d"), last_date=first_january - pl.duration(days=1)
    )


def flow_periods(period: Period, kinds: Collection[str]) -> pl.DataFrame:
    """The months, quarters and years (those of the kinds asked for) that lie wholly in the observation."""
    months = pl.date_range(period.from_date.replace(day=1), period.to_date, "1mo", eager=True)
    first_date = pl.col("first_date")
    of_months = pl.DataFrame({"first_date": months}).select(
        "first_date",
        period=first_date.dt.strftime("%Y-%m"),
        last_date=first_date.dt.month_end(),
        kind=pl.lit("month"),
    )
    of_years = of_months.select(first_date.dt.truncate("1y").unique(maintain_order=True)).select(
        "first_date",
        period=first_date.dt.strftime("%Y"),
        last_date=pl.date(first_date.dt.year(), 12, 31),
        kind=pl.lit("year"),
    )
    quarter = first_date.dt.truncate("1q")
    of_quarters = of_months.select(quarter.unique(maintain_order=True)).select(
        "first_date",
        period=quarter_name(first_date.dt.year(), first_date.dt.month()),
        last_date=first_date.dt.offset_by("2mo").dt.month_end(),
        kind=pl.lit("quarter"),
    )
    return (
        pl.concat([of_years, of_quarters, of_months])
        .filter(
            first_date >= period.from_date,
            pl.col("last_date") <= period.to_date,
            pl.col("kind").is_in(list(kinds)),
        )
        .select("period", "first_date", "last_date", "kind")
    )


def quarter_name(year: pl.Expr, month: pl.Expr) -> pl.Expr:
    """The quarter that holds a month: 2019-Q1."""
    return pl.format("{}-Q{}", year, (month + 2) // 3)


def months_of(periods: pl.DataFrame) -> pl.DataFrame:
    """The months (year, month) of each period."""
    months = pl.col("first_date").dt.month_start(), pl.col("last_date").dt.month_start()
    day = pl.col("day")
    return (
        periods.select("period", day=pl.date_ranges(*months, "1mo"))
        .explode("day")
        .select("period", year=day.dt.year(), month=day.dt.month().cast(pl.Int32))
    )
