"""Days of presence around every element, from running totals: what `residence.days` counts in SQL.

Elements alternate, so presence grows from an arrival to the next element, and absence from a departure. Running totals
over all persons never fall; only differences within one person mean anything.
"""

from dataclasses import dataclass

import numpy as np

from miglink.config.rules import ForwardWindowRule
from miglink.stages.residence.kernel.elements import Days, Elements, Flags, Travellers


@dataclass(frozen=True)
class Timeline:
    """For each element: totals of presence and absence, and in its window the days observed and those present."""

    day: Days
    presence: Days
    absence: Days
    observed: Days
    present: Days


@dataclass(frozen=True)
class Counts:
    """Both timelines: with the least and with the most presence; one and the same where no crossing is missing."""

    least: Timeline
    most: Timeline


def count_days(elements: Elements, travellers: Travellers, rule: ForwardWindowRule) -> Counts:
    """Count days on both timelines."""
    observed_day, window = travellers.observed_day[elements.person], rule.window.value
    line = elements.line_min
    last = np.searchsorted(line, line + window, side="right") - 1
    least = _count(elements, elements.day_min, last, observed_day, window)
    if elements.day_max is elements.day_min:
        return Counts(least, least)
    # Whose crossings are all on record has one timeline, and is looked up once.
    is_apart = np.zeros(len(travellers.observed_day), bool)
    is_apart[elements.person[elements.is_implied]] = True
    apart, line = np.flatnonzero(is_apart[elements.person]), elements.line_max
    last[apart] = np.searchsorted(line, line[apart] + window, side="right") - 1
    return Counts(least, _count(elements, elements.day_max, last, observed_day, window))


def _count(elements: Elements, day: Days, last: Days, observed_day: Days, window: int) -> Timeline:
    """One timeline; last: for each element the last one within its window."""
    stay = np.diff(day, append=0)
    stay[elements.edges[1:] - 1] = 0  # the stay after a person's last element has no end
    present_stay = stay * elements.is_arrival
    presence = np.cumsum(present_stay) - present_stay
    absence = np.cumsum(stay) - stay - presence
    end = np.minimum(day + window, observed_day)
    ahead = presence[last] + (end - day[last]) * elements.is_arrival[last]
    return Timeline(day, presence, absence, end - day, ahead - presence)


def find_decided_days(
    elements: Elements, counts: Counts, rule: ForwardWindowRule, chosen: Days, can_flip: Flags
) -> Days:
    """The day on which each chosen element is decided at the latest: see `find_decisive_days` of residence.

    can_flip: whether it is a migration that is waited for, or that it is none.
    """
    sure = np.empty(len(chosen), np.int64)
    # Who arrives, and stays long enough; who leaves, and is back long enough: presence decides, where it is least.
    by_presence = elements.is_arrival[chosen] == can_flip
    for is_meant, line, other, days in (
        (by_presence, counts.least.presence, counts.least.absence, counts.least.day),
        (~by_presence, counts.most.absence, counts.most.presence, counts.most.day),
    ):
        meant = np.flatnonzero(is_meant)
        rows, flips = chosen[meant], can_flip[meant]
        needed = np.where(flips, rule.threshold.value, rule.window.value - rule.threshold.value)
        reached = np.searchsorted(line, line[rows] + needed - flips, side="right") - 1
        last = np.minimum(reached, elements.last[rows])
        sure[meant] = days[rows] + needed + other[last] - other[rows]
    return sure
