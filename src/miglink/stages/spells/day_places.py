"""The order of the crossings of one day, on arrays: what `order` decides in SQL, which says why."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
States = npt.NDArray[np.int8]
# Stands for a time or a sequence that is not known; it sorts last.
UNKNOWN = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Days:
    """Crossings sorted by person (from 0 on), day and row; first_state: stated of each person, −1 where nothing is."""

    person: Numbers
    day: Numbers
    is_arrival: Flags
    first_state: States


@dataclass(frozen=True)
class _Busy:
    """The crossings of days with several: which rows, the day of each from 0 on, and where each day begins and ends."""

    row: Numbers
    day: Numbers
    begins: Numbers
    ends: Numbers
    is_arrival: Flags


def find_order_within_days(days: Days, time: Numbers | None, number: Numbers | None) -> Numbers | None:
    """The rows in the order in which they must have happened; None where no day has several.

    Times and numbers of the rows, None where no row has one.
    """
    busy = _find_busy(days)
    if busy is None:
        return None
    n_days = len(busy.begins)
    is_placed, place = np.zeros(n_days, bool), np.zeros(len(busy.row), np.int64)
    for known in (time, number):
        if known is not None:
            nth, is_told = _find_nth(busy, known[busy.row])
            place = np.where((is_told & ~is_placed)[busy.day], nth, place)
            is_placed |= is_told
    balance = 2 * np.add.reduceat(busy.is_arrival.astype(np.int64), busy.begins) - (busy.ends - busy.begins)
    nth = _find_nth_of_direction(busy, time, number)
    # A surplus direction comes first, else the one that the state before the day asks for.
    by_surplus = _alternate(busy, nth, balance > 0)
    place = np.where(is_placed[busy.day], place, by_surplus)
    order = _arrange(len(days.day), busy, place)
    is_open = ~is_placed & (balance == 0)
    if not is_open.any():
        return order
    starts_with_arrival = _find_day_starts(days, busy, order, is_open)
    by_state = _alternate(busy, nth, starts_with_arrival)
    return _arrange(len(days.day), busy, np.where(is_open[busy.day], by_state, place))


def _find_busy(days: Days) -> _Busy | None:
    is_same = np.zeros(len(days.day) + 1, bool)
    is_same[1:-1] = (days.day[1:] == days.day[:-1]) & (days.person[1:] == days.person[:-1])
    row = np.flatnonzero(is_same[1:] | is_same[:-1])
    if not len(row):
        return None
    is_first = ~is_same[row]
    begins = np.flatnonzero(is_first)
    return _Busy(row, np.cumsum(is_first) - 1, begins, np.append(begins[1:], len(row)), days.is_arrival[row])


def _find_nth(busy: _Busy, known: Numbers) -> tuple[Numbers, Flags]:
    """The place of each crossing within its day by what is known, and whether that is known of all and differs."""
    order = np.lexsort((known, busy.day))
    nth = np.empty(len(order), np.int64)
    nth[order] = np.arange(len(order)) - busy.begins[busy.day[order]] + 1
    ordered, day = known[order], busy.day[order]
    is_told = np.ones(len(busy.begins), bool)
    is_told[day[ordered == UNKNOWN]] = False
    is_told[day[1:][(ordered[1:] == ordered[:-1]) & (day[1:] == day[:-1])]] = False
    return nth, is_told


def _find_nth_of_direction(busy: _Busy, time: Numbers | None, number: Numbers | None) -> Numbers:
    """The place of each crossing among those of its day and direction: by time, sequence, row."""
    known = [told[busy.row] for told in (number, time) if told is not None]
    order = np.lexsort((*known, busy.day)) if known else np.arange(len(busy.row))
    is_arrival, begin = busy.is_arrival[order], busy.begins[busy.day]
    n_arrivals: Numbers = np.cumsum(is_arrival)
    arrivals: Numbers = n_arrivals - (n_arrivals - is_arrival)[begin]
    nth = np.empty(len(order), np.int64)
    nth[order] = np.where(is_arrival, arrivals, np.arange(len(order)) - begin + 1 - arrivals)
    return nth


def _alternate(busy: _Busy, nth: Numbers, starts_with_arrival: Flags) -> Numbers:
    """Places in turn, from the direction with which each day starts."""
    is_leading: Flags = busy.is_arrival == starts_with_arrival[busy.day]
    return 2 * nth - is_leading


def _arrange(n_rows: int, busy: _Busy, place: Numbers) -> Numbers:
    """All rows, those of busy days by their place within the day."""
    order = np.arange(n_rows)
    order[busy.row] = busy.row[np.lexsort((place, busy.day))]
    return order


def _find_day_starts(days: Days, busy: _Busy, order: Numbers, is_open: Flags) -> Flags:
    """Whether an arrival comes first on days with as many arrivals as departures in no known order.

    From the last crossing before of known place; else from the initial status; else from the next one after; else it
    does.
    """
    n, is_known = len(order), np.ones(len(order), bool)
    is_known[busy.row[is_open[busy.day]]] = False
    is_arrival, row = days.is_arrival[order], np.arange(n)
    begin, end = busy.row[busy.begins], busy.row[busy.ends - 1]
    person = days.person[begin]
    before = np.maximum.accumulate(np.where(is_known, row, -1))[np.maximum(begin - 1, 0)]
    has_before = (begin > 0) & (before >= 0) & (days.person[before] == person)
    after = np.minimum.accumulate(np.where(is_known, row, n)[::-1])[::-1][np.minimum(end + 1, n - 1)]
    reached = np.minimum(after, n - 1)
    has_after = (end + 1 < n) & (after < n) & (days.person[reached] == person)
    state = days.first_state[person]
    return np.where(
        has_before,
        ~is_arrival[before],
        np.where(state >= 0, state == 0, ~has_after | is_arrival[reached]),
    )
