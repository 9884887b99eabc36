"""Residence by visa spans, slow and written from its text: days with a visa are listed, and every end that may come."""

from dataclasses import dataclass, replace
from datetime import date, timedelta

START = date(2012, 1, 1)
EVER = 3000  # after all that is observed
RESIDENT, ABROAD, UNKNOWN = "resident", "non_resident", "undetermined"
Crossing = tuple[int, str]


@dataclass(frozen=True)
class Life:
    """Crossings in order, visas (first and last day), death, and whether registered at first; days since the start."""

    crossings: tuple[Crossing, ...]
    visas: tuple[tuple[int, int], ...]
    is_registered: bool
    died: int | None = None

    def known_on(self, last: int) -> "Life":
        """The same life as the records of a day have it; a visa that begins after death means nothing."""
        alive = last if self.died is None else min(last, self.died)
        return replace(
            self,
            crossings=tuple(one for one in self.crossings if one[0] <= last),
            visas=tuple(one for one in self.visas if one[0] <= alive),
            died=None if self.died is None or self.died > last else self.died,
        )


@dataclass(frozen=True)
class Event:
    """A change, or a possible one: day, direction, is it missing, is it sure."""

    day: int
    direction: str
    is_implied: bool
    is_sure: bool


def first_status(life: Life) -> str:
    """Where the person lives when observation begins."""
    if life.is_registered:
        return RESIDENT
    return UNKNOWN if any(first <= 0 <= last for first, last in life.visas) else ABROAD


def follow(life: Life, gap: int, last: int) -> tuple[list[Event], list[tuple[int, str]]]:
    """The events, and the days from whose end another status holds, as the records of the last day have them."""
    life = life.known_on(last)
    status, events, changes = first_status(life), [], []
    for days in visa_times(life, gap):
        span = find_span(life, days, gap, last)
        if span is None:
            continue
        begin, ends, is_implied = span
        verdicts = {begin is None or end >= same_day_next_year(begin) for end in ends}
        if verdicts == {False}:
            continue
        is_long = verdicts == {True}
        if begin is not None and status != RESIDENT:
            events.append(Event(begin, "immigration", False, is_long and status == ABROAD))
            changes.append((begin, RESIDENT if is_long else UNKNOWN))
        if not is_long:
            break
        end = min(ends)
        is_over = end <= last and (
            life.died is None or end < life.died or (end == life.died and not is_implied)
        )
        if is_over:
            is_sure = len(ends) == 1
            events.append(Event(end, "emigration", is_implied, is_sure))
            changes.append((end, ABROAD if is_sure else UNKNOWN))
        status = ABROAD
    return events, changes


def visa_times(life: Life, gap: int) -> list[list[int]]:
    """The days with a visa, parted where more days are without one than are tolerated."""
    days = sorted({day for first, last in life.visas for day in range(first, last + 1)})
    times: list[list[int]] = []
    for day in days:
        if times and day - times[-1][-1] - 1 <= gap:
            times[-1].append(day)
        else:
            times.append([day])
    return times


def find_span(life: Life, days: list[int], gap: int, last: int) -> tuple[int | None, set[int], bool] | None:
    """First arrival (None: before observation), the days on which the span may end, and whether with the visa."""
    moves = [one for one in life.crossings if days[0] - gap <= one[0] <= days[-1]]
    arrivals = [day for day, way in moves if way == "arrival"]
    has_begun = life.is_registered and 0 in days
    if not arrivals and not has_begun:
        return None
    is_here = not moves or moves[-1][1] == "arrival"
    end = days[-1] if is_here else moves[-1][0]
    ends = {end}
    if life.died is None and days[-1] + 1 + gap > last:
        # Another visa may follow, or the person may come back on this one.
        ends = {min(end, last + 1), EVER}
    return (None if has_begun else arrivals[0]), ends, is_here


def same_day_next_year(day: int) -> int:
    """The same day a year later; 28 February for 29 February."""
    at = START + timedelta(day)
    is_leap_day = (at.month, at.day) == (2, 29)
    return (at.replace(year=at.year + 1, day=28 if is_leap_day else at.day) - START).days
