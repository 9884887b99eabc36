"""From days to statuses on arrays: what `residence.settlement` does in SQL, which says why."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from miglink.config.rules import ForwardWindowRule
from miglink.stages.residence.kernel.days import Counts, find_decided_days
from miglink.stages.residence.kernel.elements import (
    NO_DAY,
    Days,
    Elements,
    Flags,
    States,
    Travellers,
    find_edges,
    find_line,
    find_running_most,
)


@dataclass(frozen=True)
class Decided:
    """The elements of the state chain: `at` is their row among the elements, `begins` the first row of each person."""

    at: Days
    person: Days
    begins: Days
    first: Days
    is_arrival: Flags
    day: Days
    late_day: Days
    initial_status: States
    can_flip: Flags
    can_stay: Flags
    is_cut: Flags | None


@dataclass(frozen=True)
class Settled:
    """The elements of the chain: states and is_migration are 1, 0 or −1 (open), days NO_DAY where there is none.

    `at` is their row among the elements.
    """

    at: Days
    day: Days
    late_day: Days
    is_reset: Flags
    status_before: States
    status_after: States
    is_migration: States
    status_final_day: Days
    migration_final_day: Days


def settle(elements: Elements, counts: Counts, travellers: Travellers, rule: ForwardWindowRule) -> Settled:
    """Follow the states from element to element: status before and after, is_migration, and when these are final."""
    decided = decide_by_days(elements, counts, travellers, rule)
    is_reset = decided.can_flip & ~decided.can_stay
    least_stay = 2 * rule.threshold.value - rule.window.value
    before, after, is_short_return = _follow_states(decided, counts, least_stay)
    is_fitting = before == ~decided.is_arrival
    is_migration = np.full(len(before), -1, np.int8)
    is_migration[is_reset & is_fitting] = 1
    is_migration[~decided.can_flip | is_short_return | ((before >= 0) & ~is_fitting)] = 0

    awaited = np.flatnonzero((is_fitting & (after >= 0)) | (before == -1))
    sure_day = decided.late_day.copy()
    rows, flips = decided.at[awaited], decided.can_flip[awaited]
    sure_day[awaited] = find_decided_days(elements, counts, rule, rows, flips)
    if travellers.death_day is not None:
        _end_with_death(sure_day, decided, travellers.death_day[decided.person], awaited)
    final_day = find_running_most(np.where(after == -1, NO_DAY, sure_day), decided.person)
    before_final_day = np.maximum(_lag(final_day, decided.begins, NO_DAY), decided.day)
    migration_day = np.where(is_migration == 1, final_day, sure_day)
    known = np.flatnonzero((is_migration == 0) & (before >= 0))
    migration_day[known] = _find_return_days(
        decided, is_fitting, (final_day, before_final_day), known, least_stay
    )
    short = np.flatnonzero(is_short_return)
    soon = np.where(decided.can_flip[short], before_final_day[short], sure_day[short])
    migration_day[short] = np.minimum(soon, before_final_day[short])
    migration_day[is_migration == -1] = NO_DAY
    final_day[after == -1] = NO_DAY
    return Settled(
        decided.at,
        decided.day,
        decided.late_day,
        is_reset,
        before,
        after,
        is_migration,
        final_day,
        migration_day,
    )


def decide_by_days(
    elements: Elements, counts: Counts, travellers: Travellers, rule: ForwardWindowRule
) -> Decided:
    """Whether each element can be a migration, and can fail to be one, for somebody in the state that fits it."""
    threshold, spare = rule.threshold.value, rule.window.value - rule.threshold.value
    is_arrival, least, most = elements.is_arrival, counts.least, counts.most
    absent = most.observed - most.present
    can_stay = np.where(is_arrival, least.present, absent) < threshold
    can_flip = is_spared = np.where(is_arrival, absent, least.present) <= spare
    is_cut = None
    if travellers.is_window_cut is not None:
        # Where death ends the window, the threshold is reached by then or never.
        new_most = np.where(is_arrival, most.present, least.observed - least.present)
        is_cut = travellers.is_window_cut[elements.person]
        can_flip = np.where(is_cut, new_most >= threshold, is_spared)
        is_cut = is_cut & is_spared
    day = np.minimum(elements.day_min, elements.day_max)
    late_day = np.maximum(elements.day_min, elements.day_max)
    at, person, edges = np.arange(len(day)), elements.person, elements.edges
    if elements.is_in_chain is not None:
        at = np.flatnonzero(elements.is_in_chain)
        person, is_arrival, day, late_day = person[at], is_arrival[at], day[at], late_day[at]
        can_flip, can_stay, edges = can_flip[at], can_stay[at], find_edges(person)
        is_cut = None if is_cut is None else is_cut[at]
    initial, first = travellers.initial_status[person], np.repeat(edges[:-1], np.diff(edges))
    return Decided(
        at, person, edges[:-1], first, is_arrival, day, late_day, initial, can_flip, can_stay, is_cut
    )


def _follow_states(decided: Decided, counts: Counts, least_stay: int) -> tuple[States, States, Flags]:
    """The states before and after each element, and whether it is a return after fewer days than least_stay.

    fork: an undecided element that fits the state before it, from which on both states are possible.
    """
    is_arrival, first, row = decided.is_arrival, decided.first, np.arange(len(decided.first))
    reset = np.maximum.accumulate(np.where(decided.can_flip & ~decided.can_stay, row, -1))
    base = np.where(reset >= first, is_arrival[reset], decided.initial_status)
    is_fork = decided.can_flip & decided.can_stay & (base == ~is_arrival)
    last_fork = np.maximum.accumulate(np.where(is_fork, row, -1))
    is_forked = last_fork >= np.maximum(reset, first)
    after = np.where(is_forked, np.int8(-1), base)
    before = _lag(after, decided.begins, decided.initial_status[decided.begins])

    # Whoever may have moved with the fork, and now goes back: the days since, in the state that it may have led to.
    is_short_return = np.zeros(len(row), bool)
    back = np.flatnonzero(
        _lag(is_forked, decided.begins, False) & (_lag(base, decided.begins, -1) == is_arrival)
    )
    forks = np.flatnonzero(is_fork)
    fork = forks[np.searchsorted(forks, np.maximum(reset[back - 1], first[back]))]
    came, went = decided.at[fork], decided.at[back]
    presence, absence = counts.most.presence, counts.least.absence
    days = np.where(is_arrival[back], absence[went] - absence[came], presence[went] - presence[came])
    is_short_return[back] = days < least_stay
    return before, after, is_short_return


def _end_with_death(sure_day: Days, decided: Decided, death_day: Days, awaited: Days) -> None:
    """Nothing is decided later than death; what a window that death cuts has not brought is decided by it."""
    own, death = sure_day[awaited], death_day[awaited]
    if decided.is_cut is not None:
        own = np.where(decided.is_cut[awaited] & ~decided.can_flip[awaited], death, own)
    sure_day[awaited] = np.where(death == NO_DAY, own, np.minimum(own, death))


def _find_return_days(
    decided: Decided, is_fitting: Flags, final_days: tuple[Days, Days], rows: Days, least_stay: int
) -> Days:
    """When it is final that these rows, whose state before is known, are no migrations.

    Earlier than the status, if a crossing of the opposite direction that fits a known state lies fewer than least_stay
    days back: from the day before which its state was final, for both cannot be migrations.
    """
    final_day, before_final_day = final_days
    found, late_day = final_day[rows], decided.late_day[rows]
    early = np.flatnonzero(found > late_day)
    rows, line = rows[early], find_line(decided.person, decided.day)
    since = np.searchsorted(line, line[rows] - (least_stay - 1))
    is_arrival = decided.is_arrival
    outward = np.where(
        is_arrival[rows], _next(is_fitting & ~is_arrival)[since], _next(is_fitting & is_arrival)[since]
    )
    reached = np.minimum(outward, len(line) - 1)
    is_near = (outward < len(line)) & (line[reached] <= line[rows])
    known_day = np.maximum(late_day[early], before_final_day[reached])
    found[early] = np.where(is_near, np.minimum(found[early], known_day), found[early])
    return found


def _lag(values: npt.NDArray[Any], begins: Days, at_first: Any) -> npt.NDArray[Any]:
    """The value of the row before, within each person."""
    before = np.empty_like(values)
    before[1:] = values[:-1]
    before[begins] = at_first
    return before


def _next(is_meant: Flags) -> Days:
    """For each row the first from it on that is meant; the number of rows where there is none."""
    row = np.where(is_meant, np.arange(len(is_meant)), len(is_meant))
    return np.minimum.accumulate(row[::-1])[::-1]
