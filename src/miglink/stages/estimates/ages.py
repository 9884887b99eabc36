"""Ages on a day, as SQL: in completed years, in groups of five of these, and as reached in the year.

A birth date of which only the month or year is known gives a first and a last possible age. An age counts as known
where both are the same, and so does a group; nothing is assumed of the day within the month or year.
Who is born on 29 February has the birthday on 1 March of a year without that day.
"""

from datetime import date

import polars as pl

_OLDEST_GROUP = 20  # of five years each: 100 and above

AGES = {
    "age": "CASE WHEN age_first = age_last THEN CAST(age_first AS VARCHAR) ELSE 'unknown' END",
    "age_reached": "COALESCE(CAST(age_reached AS VARCHAR), 'unknown')",
    "age_group": f"""CASE
        WHEN age_first IS NULL THEN 'unknown'
        WHEN age_last >= {5 * _OLDEST_GROUP} THEN '{5 * _OLDEST_GROUP}+'
        WHEN FLOOR(age_first / 5.0) <> FLOOR(age_last / 5.0) THEN 'unknown'
        ELSE CONCAT(CAST(CAST(5 * FLOOR(age_first / 5.0) AS INTEGER) AS VARCHAR), '-',
                    CAST(CAST(5 * FLOOR(age_first / 5.0) + 4 AS INTEGER) AS VARCHAR))
        END""",
}  # fmt: skip
"""Dimension -> its value, from the columns age_first (the oldest possible), age_last and age_reached."""


def birth_columns(person: str) -> str:
    """SQL: year of birth, and the first and last possible day within it as month * 100 + day."""
    precision = f"COALESCE({person}.birth_date_precision, 'day')"
    born = f"{person}.birth_date"
    last_day = f"""CASE {precision} WHEN 'year' THEN 1231
        WHEN 'month' THEN MONTH({born}) * 100 + DAY(LAST_DAY({born}))
        ELSE MONTH({born}) * 100 + DAY({born}) END"""
    first_day = f"""CASE {precision} WHEN 'year' THEN 101 WHEN 'month' THEN MONTH({born}) * 100 + 1
        ELSE MONTH({born}) * 100 + DAY({born}) END"""
    return (
        f"CAST(YEAR({born}) AS INTEGER) AS birth_year, CAST({first_day} AS INTEGER) AS first_birthday, "
        f"CAST({last_day} AS INTEGER) AS last_birthday"
    )


def age_columns(year: str, month_day: str, suffix: str = "") -> str:
    """SQL: age_first, age_last and age_reached on a day, from the birth columns; null where not known.

    Before the first possible day of birth no age is known; between it and the last, the youngest is 0.
    """
    reached = f"({year} - birth_year)"
    first = f"({reached} - CASE WHEN {month_day} < first_birthday THEN 1 ELSE 0 END)"
    last = f"({reached} - CASE WHEN {month_day} < last_birthday THEN 1 ELSE 0 END)"
    return (
        f"CASE WHEN {first} >= 0 THEN CAST({first} AS INTEGER) END AS age_first{suffix}, "
        f"CASE WHEN {first} >= 0 THEN CAST(GREATEST({last}, 0) AS INTEGER) END AS age_last{suffix}, "
        f"CASE WHEN {first} >= 0 THEN CAST({reached} AS INTEGER) END AS age_reached{suffix}"
    )


def month_day(day: str) -> str:
    """SQL: month * 100 + day of a date."""
    return f"(MONTH({day}) * 100 + DAY({day}))"


def birthdays(first: date, last: date) -> pl.DataFrame:
    """The day on which each birthday (month * 100 + day) falls in each year, and the day before it."""
    year = pl.col("year")
    days = pl.DataFrame({"day": pl.date_range(date(2000, 1, 1), date(2000, 12, 31), eager=True)}).select(
        month=pl.col("day").dt.month(), number=pl.col("day").dt.day()
    )
    years = pl.DataFrame({"year": list(range(first.year, last.year + 1))}, schema={"year": pl.Int32})
    is_moved = (pl.col("month") == 2) & (pl.col("number") == 29) & ~pl.date(year, 1, 1).dt.is_leap_year()
    falls = pl.when(is_moved).then(pl.date(year, 3, 1))
    # The last day of February is asked for only where it is 29: pl.date refuses days that a year lacks.
    number = pl.when(is_moved).then(28).otherwise(pl.col("number"))
    birthday = years.join(days, how="cross").with_columns(
        birthday=falls.otherwise(pl.date(year, pl.col("month"), number))
    )
    before = pl.col("birthday").dt.offset_by("-1d")
    return birthday.select(
        month_day=(pl.col("month").cast(pl.Int32) * 100 + pl.col("number")),
        birthday="birthday",
        year="year",
        falls=pl.col("birthday").dt.month().cast(pl.Int32) * 100 + pl.col("birthday").dt.day(),
        year_before=before.dt.year(),
        falls_before=before.dt.month().cast(pl.Int32) * 100 + before.dt.day(),
    )
