"""The forward window rule in plain Python, slow and written from its text: sets of days, every possible past tried.

Nothing here knows of running sums or of the least favourable case: where crossings are missing, every day on which
they may have taken place is tried, and what all of these pasts agree on is known. Days are counted from 1 January 2000.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from itertools import pairwise, product

START = date(2000, 1, 1)
RESIDENT, ABROAD = "resident", "non_resident"
BOTH = frozenset({RESIDENT, ABROAD})
LEADS_TO = {"arrival": RESIDENT, "departure": ABROAD}
OPPOSITE = {"arrival": "departure", "departure": "arrival", RESIDENT: ABROAD, ABROAD: RESIDENT}


@dataclass(frozen=True)
class Question:
    """A rule with its numbers, a policy, and the days observed."""

    threshold: int
    window: int
    policy: str
    observed_from: int | None
    observed_to: int
    unit: str = "days"


@cache
def later(day: int, amount: int, unit: str) -> int:
    """The day so many days later; or the same day so many months later, at most the last of that month."""
    if unit == "days":
        return day + amount
    at = START + timedelta(day)
    years, month = divmod(at.month - 1 + amount, 12)
    year, month = at.year + years, month + 1
    return (date(year, month, min(at.day, monthrange(year, month)[1])) - START).days


@cache
def least_stay(threshold: int, window: int, unit: str) -> int:
    """2V − W, whichever the two days are on which the windows of somebody who goes and comes back begin."""
    days = range(4 * 366)
    least = min(later(day, threshold, unit) - day for day in days)
    return least - max(later(day, window, unit) - later(day, threshold, unit) for day in days)


@cache
def longest_threshold(threshold: int, unit: str) -> int:
    """V from whichever day it is longest."""
    return max(later(day, threshold, unit) - day for day in range(4 * 366))


@dataclass(frozen=True)
class Move:
    """A crossing on record, or one that is missing, with every day on which it may have taken place."""

    direction: str
    days: tuple[int, ...]
    number: int | None
    can_migrate: bool = True


@dataclass(frozen=True)
class Answer:
    """What is known of one crossing; days are null where a question is open."""

    before: str
    after: str
    is_migration: bool | None
    status_final: int | None
    migration_final: int | None


def answer(crossings: list[tuple[int, str]], initial: str | None, question: Question) -> list[Answer]:
    """The answers for the crossings of one person, given in order as (day, direction)."""
    start = initial_set(crossings, initial, question)
    has_gap = any(left[1] == right[1] for left, right in pairwise(crossings))
    if question.policy == "reject_person" and has_gap:
        word = say(start)
        return [Answer(word, word, False, day, day) for day, _ in crossings]
    moves = find_moves(crossings, question.policy)
    pasts = list(product(*(move.days for move in moves)))
    return follow(moves, pasts, start, question)


def initial_set(crossings: list[tuple[int, str]], initial: str | None, question: Question) -> frozenset[str]:
    """The states possible before the first crossing."""
    if initial is not None:
        return frozenset({initial})
    day, direction = crossings[0]
    long_enough = longest_threshold(question.threshold, question.unit)
    if question.observed_from is not None and day - question.observed_from >= long_enough:
        return frozenset({OPPOSITE[LEADS_TO[direction]]})
    return BOTH


def find_moves(crossings: list[tuple[int, str]], policy: str) -> list[Move]:
    """The crossings, and between two of one direction the missing one as the policy sees it."""
    moves = []
    for number, (day, direction) in enumerate(crossings):
        if number and crossings[number - 1][1] == direction:
            before = crossings[number - 1][0]
            possible = {
                "unresolved": tuple(range(before, day + 1)),
                "midpoint": (before + (day - before) // 2,),
                "open_until_next": (day,),
            }[policy]
            moves.append(Move(OPPOSITE[direction], possible, None, policy == "unresolved"))
        moves.append(Move(direction, (day,), number))
    return moves


def follow(
    moves: list[Move], pasts: list[tuple[int, ...]], start: frozenset[str], question: Question
) -> list[Answer]:
    """The set of possible states from move to move, and the days on which it is final."""
    shortest = least_stay(question.threshold, question.window, question.unit)
    states, known_day = start, None
    fork: tuple[int, int | None] | None = (
        None  # the undecided move that made the state unknown; known_day before it
    )
    earlier: list[
        tuple[int, str, int]
    ] = []  # moves that fit a known state: day, direction, that state's final day
    answers = []
    for at, move in enumerate(moves):
        if not move.can_migrate:
            continue
        verdicts = [judge(moves, past, at, question) for past in pasts]
        can_flip = any(verdict[0] != "no" for verdict in verdicts)
        can_stay = any(verdict[0] != "yes" for verdict in verdicts)
        decided_day = max([*(verdict[1] for verdict in verdicts), move.days[-1], move.days[0]])
        old = OPPOSITE[LEADS_TO[move.direction]]
        after = set()
        for state in states:
            if state != old or can_stay:
                after.add(state)
            if state == old and can_flip:
                after.add(LEADS_TO[move.direction])
        is_short = False
        if states == BOTH and fork is not None and moves[fork[0]].direction == OPPOSITE[move.direction]:
            stayed = max(
                len(days_in(moves, past, moves[fork[0]].direction, past[fork[0]], past[at])) for past in pasts
            )
            is_short = stayed < shortest
        before_day = max(min(move.days), known_day if known_day is not None else min(move.days))

        is_migration: bool | None = None
        if (len(states) == 1 and old not in states) or not can_flip or is_short:
            is_migration = False
        elif len(states) == 1 and not can_stay:
            is_migration = True

        previous_known: int | None = known_day
        status_final = None
        if len(after) == 1:
            own = decided_day if old in states else max(move.days)
            known_day = own if known_day is None else max(known_day, own)
            status_final = known_day
        if is_migration is None:
            migration_final = None
        elif is_migration:
            migration_final = status_final
        elif len(states) == 1:
            assert status_final is not None
            returns = [
                max(*move.days, final)
                for day, direction, final in earlier
                if direction == OPPOSITE[move.direction] and min(move.days) - day < shortest
            ]
            migration_final = min([status_final, *returns])
        else:
            sure = [decided_day] if not can_flip else []
            fork_day = fork[1] if fork is not None and fork[1] is not None else min(move.days)
            migration_final = min([*sure, *([max(min(move.days), fork_day)] if is_short else [])])

        if len(states) == 1 and old in states:
            earlier.append((min(move.days), move.direction, before_day))
        if len(after) == 1:
            fork = None
        elif len(states) == 1:
            fork = (at, previous_known)
        if move.number is not None:
            answers.append(
                Answer(say(states), say(frozenset(after)), is_migration, status_final, migration_final)
            )
        states = frozenset(after)
    return answers


def judge(moves: list[Move], past: tuple[int, ...], at: int, question: Question) -> tuple[str, int]:
    """In one past: is the move a migration for somebody in the state that fits it, and from which day is that known?"""
    day, direction = past[at], moves[at].direction
    full = later(day, question.window, question.unit)
    threshold = later(day, question.threshold, question.unit) - day
    spare = full - day - threshold
    end = min(full, question.observed_to)
    new = days_in(moves, past, direction, day, end)
    old = days_in(moves, past, OPPOSITE[direction], day, end)
    if len(old) > spare:
        return "no", sorted(old)[spare]
    if len(new) >= threshold:
        return "yes", sorted(new)[threshold - 1] + 1
    return "open", day


def days_in(moves: list[Move], past: tuple[int, ...], direction: str, start: int, end: int) -> set[int]:
    """The days from start up to but not on end that are spent in the state a direction leads to."""
    days: set[int] = set()
    if moves[0].direction != direction:  # before the first move: the opposite state
        days |= set(range(start, min(past[0], end)))
    for number, move in enumerate(moves):
        if move.direction == direction:
            left = past[number + 1] if number + 1 < len(moves) else end
            days |= set(range(max(past[number], start), min(left, end)))
    return days


def say(states: frozenset[str]) -> str:
    """A set of states in a word."""
    return next(iter(states)) if len(states) == 1 else "undetermined"
