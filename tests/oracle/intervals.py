"""What the draws say of a figure, from the definitions: every draw a whole country, counted person by person."""

import math
import statistics
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

from scipy.stats import t as student

Row = dict[str, Any]
CAUSES = ("linkage", "missing_crossing", "first_status", "follow_up", "citizenship")


def count_in_draw(country: Any, draw: int, linkage: str, what: str, is_meant: Callable[[Any], bool]) -> int:
    """The residents at the end of a day (what: stock), or the flow of some days, among the persons meant.

    is_meant is asked of a pair: the person, and the day of a migration, or the status row of a resident.
    """
    from_dates = {
        row["person_id"]: row["from_date"] for row in country.doubts if row["linkage"] in (linkage, "both")
    }

    def in_draw(rows: Iterable[Row]) -> list[Row]:
        return [row for row in rows if row["draw"] == draw and row["linkage"] in (linkage, "both")]

    def is_kept(person: str, day: date) -> bool:
        return person not in from_dates or day < from_dates[person]

    if what == "stock":
        kept = [(row, is_kept) for row in country.residence]
        drawn = [
            (row, lambda person, day: not is_kept(person, day)) for row in in_draw(country.residence_draws)
        ]
        residents = [of for of in [*kept, *drawn] if of[0]["status"] == "resident"]
        return sum(is_meant((row["person_id"], row, applies)) for row, applies in residents)
    migrations = [
        row
        for row in country.migrations
        if row["outcome"] == "migration" and is_kept(row["person_id"], row["counted_date"])
    ]
    flow = {"immigration": 0, "emigration": 0}
    for row in [*migrations, *in_draw(country.migration_draws)]:
        flow[row["direction"]] += is_meant((row["person_id"], row["counted_date"]))
    return flow["immigration"] - flow["emigration"] if what == "net" else flow[what]


def in_force(day: date) -> Callable[[tuple[str, Row, Callable[[str, date], bool]]], bool]:
    """Whether a status row is in force at the end of a day, and that day is one on which it applies."""

    def holds(of: tuple[str, Row, Callable[[str, date], bool]]) -> bool:
        person, row, applies = of
        is_in_force = row["from_date"] <= day and (row["to_date"] is None or day < row["to_date"])
        return is_in_force and applies(person, day)

    return holds


def find_interval(totals: list[float], certain: float | None, level: float = 0.95) -> tuple[float, float]:
    """The bounds from the totals of the draws; certain: what no draw touches of a count, None for net migration.

    The nearest whole numbers of persons; halves go outwards.
    """
    n = len(totals)
    wide = float(student.ppf(0.5 + level / 2, n - 1)) * math.sqrt(1 + 1 / n)
    mean = statistics.fmean(totals)
    if len(set(totals)) == 1:
        return mean, mean
    if certain is None:
        half = wide * statistics.stdev(totals)
        return math.ceil(mean - half - 0.5 - 1e-6), math.floor(mean + half + 0.5 + 1e-6)
    # A log-normal that has the mean and the variance of what is drawn and a half.
    drawn = [total - certain + 0.5 for total in totals]
    middle = statistics.fmean(drawn)
    spread = math.log(1 + statistics.variance(drawn) * (1 + 1 / n) / middle**2)
    half = float(student.ppf(0.5 + level / 2, n - 1)) * math.sqrt(spread)
    low, high = (middle * math.exp(sign * half - spread / 2) - 0.5 for sign in (-1, 1))
    return math.ceil(certain + max(0.0, low) - 0.5 - 1e-6), math.floor(certain + max(0.0, high) + 0.5 + 1e-6)
