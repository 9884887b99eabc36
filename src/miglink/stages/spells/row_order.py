"""Crossings on arrays, by person and in the order in which they must have happened: what `order` finds in SQL.

All rows are sorted at once, as one number each. Then parts of whole persons are taken one after another, so that little
is held at a time and several can be worked on at once.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from miglink.stages.spells.day_places import (
    Days,
    Flags,
    Numbers,
    States,
    find_order_within_days,
)

# Bits of a number that is not negative.
_BITS = 63
# Rows whose numbers are put together at once: few enough to stay near the processor.
_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Crossings:
    """Crossings in any order: whole numbers for persons and days, and the direction.

    Of each may be known the time and the sequence (UNKNOWN where not) and the status at first (1, 0 or −1); None where
    nothing is known of any.
    """

    person: npt.NDArray[np.integer[Any]]
    day: npt.NDArray[np.integer[Any]]
    is_arrival: Flags
    time: Numbers | None = None
    number: Numbers | None = None
    status: States | None = None


@dataclass(frozen=True)
class SortedRows:
    """Crossings sorted by person, day and row: person, day, row and direction as one number, or the row alone.

    before: the day before the first, from which histories number theirs. shift: bits below those of the person, the day
    and the row; None for the row alone.
    """

    crossings: Crossings
    before: int
    keys: Numbers
    shift: tuple[int, int, int] | None


@dataclass(frozen=True)
class Histories:
    """The crossings of some persons in order; row: which of all crossings; person: from 0 on; day: from 1 on.

    given_status: for each person what is stated of the status at first; −1 where nothing is, −2 where both states are.
    """

    row: Numbers
    person: Numbers
    day: Numbers
    is_arrival: Flags
    given_status: States


def sort_rows(crossings: Crossings) -> SortedRows:
    """Sort crossings by person and day; those of one day stay in the order of the rows."""
    person, day, n = crossings.person, crossings.day, len(crossings.day)
    lowest, before = int(person.min()), int(day.min()) - 1
    row_bits, day_bits = (n - 1).bit_length(), (int(day.max()) - before).bit_length()
    above_row, above_day = row_bits + 1, row_bits + day_bits + 1
    if (int(person.max()) - lowest).bit_length() + above_day > _BITS:
        return SortedRows(crossings, before, np.lexsort((day, person)), None)
    keys = np.empty(n, np.int64)
    for begin in range(0, n, _AT_ONCE):
        some = slice(begin, min(begin + _AT_ONCE, n))
        key = (person[some] - lowest).astype(np.int64) << above_day
        key |= (day[some] - before).astype(np.int64) << above_row
        key |= np.arange(some.start, some.stop) << 1
        key |= crossings.is_arrival[some]
        keys[some] = key
    # polars sorts numbers on all cores.
    return SortedRows(crossings, before, pl.Series(keys).sort().to_numpy(), (above_day, above_row, 1))


def find_parts(rows: SortedRows, size: int) -> list[slice]:
    """Parts of about so many rows, each of whole persons."""
    about = np.arange(size, len(rows.keys), size)
    if rows.shift is None:
        person = rows.crossings.person[rows.keys]
        begins = np.searchsorted(person, person[about])
    else:
        begins = np.searchsorted(rows.keys, rows.keys[about] >> rows.shift[0] << rows.shift[0])
    edges = np.unique(np.concatenate(([0], begins, [len(rows.keys)]))).tolist()
    return [slice(first, end) for first, end in pairwise(edges)]


def order_part(rows: SortedRows, part: slice) -> Histories:
    """The histories of the persons of a part: within a day in the order that `order_crossings` states."""
    keys, given = rows.keys[part], rows.crossings
    if rows.shift is None:
        row, person, is_arrival = keys, given.person[keys].astype(np.int64), given.is_arrival[keys]
        day = given.day[keys].astype(np.int64) - rows.before
    else:
        above_day, above_row, above_way = rows.shift
        person, is_arrival = keys >> above_day, (keys & 1).astype(bool)
        day = (keys >> above_row) & ((1 << (above_day - above_row)) - 1)
        row = (keys >> above_way) & ((1 << (above_row - above_way)) - 1)
    is_first = np.diff(person, prepend=person[0] - 1) != 0
    number, begins = np.cumsum(is_first) - 1, np.flatnonzero(is_first)
    least, most = _find_stated(given.status, row, begins)
    order = find_order_within_days(
        Days(number, day, is_arrival, least),
        *(None if told is None else told[row] for told in (given.time, given.number)),
    )
    if order is not None:
        row, is_arrival = row[order], is_arrival[order]
    return Histories(row, number, day, is_arrival, np.where(least == most, most, -2).astype(np.int8))


def _find_stated(status: States | None, row: Numbers, begins: Numbers) -> tuple[States, States]:
    """The least and the most of the states that the crossings of each person state; −1 where none does."""
    if status is None:
        none = np.full(len(begins), -1, np.int8)
        return none, none
    stated = status[row]
    least = np.minimum.reduceat(np.where(stated < 0, np.int8(2), stated), begins)
    return np.where(least > 1, np.int8(-1), least), np.maximum.reduceat(stated, begins)
