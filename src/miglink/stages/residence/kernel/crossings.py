"""The rule on crossings alone, on arrays: what `residence.classify` does in SQL."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from miglink.config.rules import ForwardWindowRule, MissingCrossings
from miglink.stages.residence.kernel.days import Counts, count_days
from miglink.stages.residence.kernel.elements import (
    NO_DAY,
    Chain,
    Days,
    Elements,
    Flags,
    States,
    Travellers,
    find_elements,
    find_rejected,
)
from miglink.stages.residence.kernel.settlement import Settled, settle

NOT_STATED = -1


@dataclass(frozen=True)
class Histories:
    """Crossings sorted by person (from 0 on) and in order.

    given_status: what is stated of each person; NOT_STATED, or any lower number where statements contradict each other.
    """

    person: Days
    day: Days
    is_arrival: Flags
    given_status: States


@dataclass(frozen=True)
class Observation:
    """The first day on which a crossing would be known (None: not stated), and the last; days are counted up to it."""

    from_day: int | None
    to_day: int


@dataclass(frozen=True)
class Classified:
    """The results of each crossing: states and is_migration 1, 0 or −1 (undetermined), days NO_DAY where there is none.

    present_least, present_most, observed: −1 where nothing is counted.
    """

    status_before: States
    status_after: States
    is_migration: States
    status_final_day: Days
    migration_final_day: Days
    present_least: Days
    present_most: Days
    observed: Days
    is_rejected: Flags


def settle_chain(
    chain: Chain, travellers: Travellers, rule: ForwardWindowRule, policy: MissingCrossings
) -> tuple[Elements, Counts, Settled]:
    """Statuses of a chain of crossings, and the counts of days they rest on; see `residence.settle_chain`."""
    elements = find_elements(chain, policy)
    counts = count_days(elements, travellers, rule)
    return elements, counts, settle(elements, counts, travellers, rule)


def classify_histories(
    histories: Histories, rule: ForwardWindowRule, policy: MissingCrossings, observed: Observation
) -> Classified:
    """Decide for each crossing whether it is a migration, and the status before and after it.

    What `residence.classify` gives, on the same terms: its docstring states them.
    """
    seen = np.flatnonzero(histories.day <= observed.to_day)
    person, day, is_arrival = histories.person[seen], histories.day[seen], histories.is_arrival[seen]
    is_gap = (person[1:] == person[:-1]) & (is_arrival[1:] == is_arrival[:-1])
    gap_day = np.full(len(seen), NO_DAY)
    gap_day[:-1][is_gap] = day[1:][is_gap]
    chain = Chain(person, day, is_arrival, gap_day)
    initial = _find_initial(chain, histories.given_status, rule, observed)
    travellers = Travellers(np.full(len(initial), observed.to_day), initial)
    elements, counts, settled = settle_chain(chain, travellers, rule, policy)

    recorded = np.flatnonzero(~elements.is_implied[settled.at])
    own = settled.at[recorded]
    row, n = seen[elements.source[own]], len(histories.day)
    found = Classified(
        _spread(settled.status_before[recorded], row, n, -1),
        _spread(settled.status_after[recorded], row, n, -1),
        _spread(settled.is_migration[recorded], row, n, -1),
        _spread(settled.status_final_day[recorded], row, n, NO_DAY),
        _spread(settled.migration_final_day[recorded], row, n, NO_DAY),
        _spread(counts.least.present[own], row, n, -1),
        _spread(counts.most.present[own], row, n, -1),
        _spread(counts.least.observed[own], row, n, -1),
        np.zeros(n, bool),
    )
    if policy == "reject_person":
        _reject(found, histories, find_rejected(chain, len(initial))[histories.person], initial)
    return found


def _spread(values: npt.NDArray[Any], row: Days, n: int, nothing: int) -> npt.NDArray[Any]:
    """The values in their rows, nothing in the others."""
    if len(row) == n:  # then they are all rows, in order
        return values
    spread = np.full(n, nothing, values.dtype)
    spread[row] = values
    return spread


def _reject(found: Classified, histories: Histories, is_rejected: Flags, initial: States) -> None:
    """What migrbc gives to persons it rejects: the status at first, and no migration."""
    status, day = initial[histories.person[is_rejected]], histories.day[is_rejected]
    found.is_rejected[is_rejected] = True
    found.status_before[is_rejected], found.status_after[is_rejected] = status, status
    found.is_migration[is_rejected] = 0
    found.status_final_day[is_rejected], found.migration_final_day[is_rejected] = day, day


def _find_initial(
    chain: Chain, given_status: States, rule: ForwardWindowRule, observed: Observation
) -> States:
    """The state at first: as given; else from the first crossing, if that is long enough after observation began."""
    initial = np.maximum(given_status, np.int8(-1))
    if observed.from_day is None:
        return initial
    first = np.flatnonzero(np.diff(chain.person, prepend=-1))
    first = first[
        (given_status[chain.person[first]] == NOT_STATED)
        & (chain.day[first] - observed.from_day >= rule.settling_days)
    ]
    initial[chain.person[first]] = ~chain.is_arrival[first]
    return initial
