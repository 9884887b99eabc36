"""Residence by an index of signs of life, slow and written from its text: year by year, in exact fractions."""

from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

START = date(2012, 1, 1)
RESIDENT, ABROAD, UNKNOWN = "resident", "non_resident", "undetermined"


@dataclass(frozen=True)
class Rule:
    """What is kept, what signs add, the threshold, the worth of each kind of sign; whether registrations restart it."""

    stability: Fraction
    added: Fraction
    threshold: Fraction
    worth: dict[str, Fraction]
    restarts: bool


@dataclass(frozen=True)
class Life:
    """Registrations (first day, day of de-registration or None), signs (first and last day, kind), birth, death."""

    registrations: tuple[tuple[int, int | None], ...]
    signs: tuple[tuple[int, int, str], ...]
    born: int | None = None
    is_born_here: bool = False
    died: int | None = None


def follow(life: Life, rule: Rule, n_years: int) -> list[tuple[int, str]]:
    """The days from whose end on a status holds, the first among them."""
    registered = days_registered(life, n_years)
    first = -1 if life.born is None else life.born
    if life.born is None:
        status = RESIDENT if 0 in registered else ABROAD
    elif life.is_born_here:
        status = RESIDENT if life.born in registered else UNKNOWN
    else:
        status = ABROAD
    index = Fraction(1 if status == RESIDENT else 0)
    changes = [(first, status)]
    for year in range(START.year, START.year + n_years):
        begin, end = ((date(at, 1, 1) - START).days for at in (year, year + 1))
        if end - 1 <= first or (life.died is not None and life.died < end):
            continue
        kinds = {kind for since, until, kind in life.signs if since < end and until >= begin}
        worth = min(Fraction(1), sum((rule.worth[kind] for kind in kinds), Fraction(0)))
        index = rule.stability * index + rule.added * worth
        days = range(max(begin, first + 1), end)
        if rule.restarts and any((day in registered) != (day - 1 in registered) for day in days):
            index = Fraction(1 if end - 1 in registered else 0)
        found = RESIDENT if index > rule.threshold else ABROAD
        if found != changes[-1][1]:
            changes.append((end - 1, found))
    return changes


def days_registered(life: Life, n_years: int) -> set[int]:
    """The days on which the person is registered; a registration within 366 days of a birth here holds from birth."""
    last = (date(START.year + n_years, 1, 1) - START).days
    days = {
        day
        for first, end in life.registrations
        if first < last
        for day in range(first, last if end is None else min(end, last))
    }
    if life.born is None:
        return days
    days = {day for day in days if day >= life.born}
    if life.is_born_here and days and min(days) - life.born <= 366:
        days |= set(range(life.born, min(days)))
    return days if life.is_born_here else days - {life.born}


def as_day(day: int) -> date:
    """A number of days as a date."""
    return START + timedelta(day)
