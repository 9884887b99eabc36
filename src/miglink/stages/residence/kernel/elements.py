"""The elements of histories as arrays: what `residence.elements` makes in SQL."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from miglink.stages.residence.elements import Placement

Days = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
States = npt.NDArray[np.int8]
# In an array of days: none. Days are numbers from 1 on.
NO_DAY = 0
# Persons stand so far apart on one line of days that a window never reaches the next.
_SPAN = 1 << 32
# Below the 32 MB above which the C library gives memory back in any case.
_KEPT_BYTES = 24 << 20


@dataclass(frozen=True)
class Chain:
    """The crossings of persons as `settle_chain` reads them, sorted by person and position.

    person: which of the travellers, from 0 on. gap_day: NO_DAY where no crossing is missing. None stands for: all are
    crossings, no likely day is known, none is missing by evidence alone.
    """

    person: Days
    day: Days
    is_arrival: Flags
    gap_day: Days
    is_crossing: Flags | None = None
    likely_day: Days | None = None
    is_by_evidence: Flags | None = None


@dataclass(frozen=True)
class Travellers:
    """One entry for each person: until when days are observed, the state at first, the day of death."""

    observed_day: Days
    initial_status: States
    death_day: Days | None = None
    is_window_cut: Flags | None = None


@dataclass(frozen=True)
class Elements:
    """Elements sorted by person and place; source is the row of the chain that each comes from.

    day_max is day_min itself where both timelines are one. is_in_chain is None where all are.
    """

    source: Days
    person: Days
    is_arrival: Flags
    is_implied: Flags
    is_in_chain: Flags | None
    day_min: Days
    day_max: Days

    @cached_property
    def line_min(self) -> Days:
        """The days of least presence, persons one after another: never falls."""
        return find_line(self.person, self.day_min)

    @cached_property
    def line_max(self) -> Days:
        """The same with most presence."""
        return self.line_min if self.day_max is self.day_min else find_line(self.person, self.day_max)

    @cached_property
    def edges(self) -> Days:
        """The first element of each person that has any, and the number of elements."""
        return find_edges(self.person)

    @cached_property
    def last(self) -> Days:
        """For each element the last of its person."""
        return np.repeat(self.edges[1:] - 1, np.diff(self.edges))


def keep_freed_memory() -> None:
    """Let the arrays of one part use the memory of those of the last.

    The C library of Linux gives freed memory back to the system, which clears it anew for the next part: that took as
    long as the work itself. Once so large a piece was freed it keeps pieces of that size; none of it is touched.
    """
    np.empty(_KEPT_BYTES, np.uint8)


def find_edges(person: Days) -> Days:
    """The first row of each person that has any, and the number of rows."""
    begins = np.flatnonzero(np.diff(person, prepend=-1))
    return np.append(begins, len(person))


def find_line(person: Days, day: Days) -> Days:
    """Days on one line, person after person: order and distance within a person are those of days."""
    return person * _SPAN + day


def find_running_most(day: Days, person: Days) -> Days:
    """The latest day so far within each person."""
    return np.maximum.accumulate(find_line(person, day)) - person * _SPAN


def find_elements(chain: Chain, policy: Placement) -> Elements:
    """Crossings, and between two of one direction the one that is missing; see `residence.elements`."""
    is_gap = chain.gap_day != NO_DAY
    if policy == "reject_person":
        is_gap, kept = (
            np.zeros_like(is_gap),
            ~find_rejected(chain, int(chain.person.max(initial=0)) + 1)[chain.person],
        )
        is_crossing = kept if chain.is_crossing is None else kept & chain.is_crossing
    else:
        is_crossing = np.ones_like(is_gap) if chain.is_crossing is None else chain.is_crossing
    n_each = is_crossing.astype(np.int64) + is_gap
    source = np.repeat(np.arange(len(is_gap)), n_each)
    day, is_implied, is_in_chain = chain.day[source], np.zeros(len(source), bool), None
    day_max = day
    implied = (np.cumsum(n_each) - 1)[is_gap]
    if len(implied):
        is_implied[implied] = True
        least, most = _place_missing(chain, np.flatnonzero(is_gap), policy)
        if policy == "unresolved":
            day_max = day.copy()
        elif policy != "drawn":
            is_in_chain = ~is_implied
        day[implied], day_max[implied] = least, most
    is_arrival = chain.is_arrival[source] ^ is_implied
    return Elements(source, chain.person[source], is_arrival, is_implied, is_in_chain, day, day_max)


def find_rejected(chain: Chain, n_persons: int) -> Flags:
    """For each person whether crossings show that one of them is missing."""
    is_shown = chain.gap_day != NO_DAY
    if chain.is_by_evidence is not None:
        is_shown = is_shown & ~chain.is_by_evidence
    rejected = np.zeros(n_persons, bool)
    rejected[chain.person[is_shown]] = True
    return rejected


def _place_missing(chain: Chain, rows: Days, policy: Placement) -> tuple[Days, Days]:
    """The days of the missing crossings after these rows, with the least and with the most presence."""
    day, gap_day = chain.day[rows], chain.gap_day[rows]
    if policy == "open_until_next":
        return gap_day, gap_day
    if policy in ("midpoint", "drawn"):
        middle = day + (gap_day - day) // 2
        if chain.likely_day is not None:
            likely = chain.likely_day[rows]
            middle = np.where(likely == NO_DAY, middle, likely)
        return middle, middle
    # After an arrival a departure is missing.
    is_arrival = chain.is_arrival[rows]
    return np.where(is_arrival, day, gap_day), np.where(is_arrival, gap_day, day)
