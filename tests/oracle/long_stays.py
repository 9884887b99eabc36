"""Rules in calendar months, slow and written from their text: every possible past and future is tried.

Nothing here knows of running sums or of the least favourable case. Where a crossing is missing, every day on which it
may have taken place is tried; after the end of observation a person stays, leaves at once or after a while, for good.
What all of these agree on is known. Days are counted from 1 January 2012, when observation begins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product

START = date(2012, 1, 1)
EVER = 4000  # before and after all that is observed
RESIDENT, ABROAD, UNKNOWN = "resident", "non_resident", "undetermined"
OPPOSITE = {"arrival": "departure", "departure": "arrival"}
Move = tuple[int, str, bool]  # day, direction, is it on record


@dataclass(frozen=True)
class Rule:
    """What a rule tolerates (None: any absence), and the end: days up to but not on it are observed.

    threshold: days that are enough (None: more than half of them). counts_exit: a day counts if any of it is spent
    here. expects: whoever arrived within the 12 months and stays for most of the next 12 is a resident as well.
    """

    tolerated: int | None
    end: int
    threshold: int | None = None
    counts_exit: bool = False
    expects: bool = False


@dataclass(frozen=True)
class World:
    """One way in which a life may have gone, and may go on: its stays in order (first day, day after, is it here).

    Stay n + 1 begins with crossing n; stay 0 is the one in which observation begins.
    """

    moves: list[Move]
    stays: list[tuple[int, int, bool]]

    def days_here(self, first: int, end: int) -> int:
        """Days of presence from first up to but not on end: the day of entry counts, the day of exit does not."""
        return sum(max(0, min(b, end) - max(a, first)) for a, b, here in self.stays if here)

    def days_seen_here(self, first: int, end: int) -> int:
        """Days from first up to but not on end of which any part is spent here: from each entry to its exit."""
        return len(
            {day for a, b, here in self.stays if here for day in range(max(a, first), min(b + 1, end))}
        )


def same_day_next_year(day: int) -> int:
    """The same day a year later; 28 February for 29 February."""
    at = START + timedelta(day)
    is_leap_day = (at.month, at.day) == (2, 29)
    return (at.replace(year=at.year + 1, day=28 if is_leap_day else at.day) - START).days


def list_worlds(
    crossings: list[tuple[int, str]],
    initial: str,
    policy: str,
    end: int,
    *,
    is_registered: bool = False,
    visas: Sequence[tuple[int, int]] = (),
) -> list[World]:
    """Every past that the crossings and the policy allow, with every future.

    The middle of a gap is that of a trip of 90 days at most, for somebody who is registered here. Visas: first day, and
    the day after the last.
    """
    choices: list[list[Move]] = []
    for number, (day, direction) in enumerate(crossings):
        if number and crossings[number - 1][1] == direction:
            before = crossings[number - 1][0]
            days = {
                "unresolved": range(before, day + 1),
                "midpoint": [before + (day - before) // 2],
                "midpoint of a trip": [
                    before + min(day - before, 90) // 2
                    if direction == "departure"
                    else day - min(day - before, 90) // 2
                ],
                "open_until_next": [day],
            }
            in_force = [last for first, last in visas if direction == "arrival" and first <= before < last]
            if policy == "visa_end" and in_force:
                days = {"midpoint": [min(day, max(in_force))]}
            elif is_registered:
                days["midpoint"] = days["midpoint of a trip"]
            days["visa_end"] = days["midpoint"]
            choices.append([(possible, OPPOSITE[direction], False) for possible in days[policy]])
        choices.append([(day, direction, True)])
    worlds = []
    for past in product(*choices):
        # An absence that was going on when observation began is a trip of who lived here, and endless of who did not.
        begins = {RESIDENT: [0], ABROAD: [-EVER], UNKNOWN: [0, -EVER]}[initial]
        for begin, turn in product(begins, (0, 1, 45, 90, 91, 200, EVER)):
            moves = [*past, (end + turn, OPPOSITE[past[-1][1]], False)]
            edges = [begin, *(day for day, _, _ in moves), 2 * EVER]
            here = [past[0][1] == "departure", *(direction == "arrival" for _, direction, _ in moves)]
            stays = list(zip(edges[:-1], edges[1:], here, strict=True))
            worlds.append(World(list(past), stays))
    return worlds


def lasts(world: World, at: int, rule: Rule) -> bool:
    """Does somebody who enters a state with a crossing live in it for the 12 months from then?"""
    day, direction, _ = world.moves[at]
    end = same_day_next_year(day)
    n_here = world.days_here(day, end)
    n_new = n_here if direction == "arrival" else end - day - n_here
    later = [(a, b) for a, b, here in world.stays[at + 2 :] if here != (direction == "arrival")]
    is_broken = rule.tolerated is not None and any(a < end and b - a > rule.tolerated for a, b in later)
    return 2 * n_new > end - day and not is_broken


def follow(
    worlds: list[World], initial: str, rule: Rule, *, may_migrate_unseen: bool
) -> list[tuple[str, str]]:
    """The status before and after each crossing on record."""
    states = {RESIDENT, ABROAD} if initial == UNKNOWN else {initial}
    rows = []
    for at, (_, direction, is_recorded) in enumerate(worlds[0].moves):
        if not is_recorded and not may_migrate_unseen:
            continue
        new = RESIDENT if direction == "arrival" else ABROAD
        can = {lasts(world, at, rule) for world in worlds}
        after = {state for state in states if state == new or False in can}
        if True in can and states != {new}:
            after.add(new)
        if is_recorded:
            rows.append((say(states), say(after)))
        states = after
    return rows


def is_resident(world: World, reference: int, rule: Rule, permits: list[tuple[int, int]]) -> bool:
    """The status at a reference date, of which the day before is the last that counts.

    Permits: first day, and the day after the last.
    """
    year = (date((START + timedelta(reference)).year - 1, 1, 1) - START).days
    n_days = (world.days_seen_here if rule.counts_exit else world.days_here)(year, reference)
    is_enough = 2 * n_days > reference - year if rule.threshold is None else n_days >= rule.threshold
    longest = EVER * 4 if rule.tolerated is None else rule.tolerated
    breaks = [(a, b) for a, b, here in world.stays if not here and b - a > longest and a < reference]
    if is_enough and not any(b > year for _, b in breaks):
        return True
    if not rule.expects:
        return False
    for at, (day, direction, is_recorded) in enumerate(world.moves):
        if direction == "departure" or not year <= day < reference:
            continue
        if lasts(world, at, rule):
            return True
        intends = any(first <= day and last >= same_day_next_year(day) for first, last in permits)
        lives_here = not any(b > day for _, b in breaks)
        if is_recorded and intends and lives_here and 2 * world.days_here(day, reference) > reference - day:
            return True
    return False


def find_status(worlds: list[World], reference: int, rule: Rule, permits: list[tuple[int, int]]) -> str:
    """The status at a reference date, if every past and future agrees on it."""
    found = {is_resident(world, reference, rule, permits) for world in worlds}
    return say({RESIDENT if one else ABROAD for one in found})


def say(states: set[str]) -> str:
    """A set of states in a word."""
    return next(iter(states)) if len(states) == 1 else UNKNOWN
