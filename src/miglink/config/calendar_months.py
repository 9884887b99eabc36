"""Calendar months in days: how few and how many days there can be between two of them, from any day on."""

from calendar import monthrange
from datetime import date, timedelta
from functools import cache

# Four years in a row have every kind of day; those without a leap day, around 1900 and 2100, are among them.
_DAYS = tuple(date(2001, 1, 1) + timedelta(n) for n in range(1461))


def same_day_later(day: date, months: int) -> date:
    """The same day so many months later, or that month's last day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


@cache
def range_of_days(after: int, until: int) -> tuple[int, int]:
    """The fewest and the most days from the day `after` months later to the one `until` months later."""
    lengths = [(same_day_later(day, until) - same_day_later(day, after)).days for day in _DAYS]
    return min(lengths), max(lengths)
