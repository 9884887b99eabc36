"""Measures of linkage in plain Python, slow and written from their definitions: every pair is formed and looked at."""

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import NamedTuple


class Record(NamedTuple):
    """A record with truth; all records of an identity lie in one found person."""

    source: str
    identity: str
    person: str
    true: str


class Unit(NamedTuple):
    """What pairs are made of; the source is empty where pairs of sources are not asked for."""

    identity: str
    person: str
    true: str
    source: str


Pairs = tuple[float, float, float]
Group = Callable[[str], str]


def count_pairs(records: Iterable[Record]) -> Pairs:
    """True, predicted and right pairs of distinct identities."""
    return _add(_look(units(records, with_source=False)))


def by_group(records: Iterable[Record], group: Group) -> dict[str, Pairs]:
    """The same by the group of the true person; a predicted pair counts half for each side."""
    found: dict[str, list[float]] = {group(record.true): [0.0, 0.0, 0.0] for record in records}
    for one, other in combinations(units(records, with_source=False), 2):
        for side in (one, other):
            for place, value in enumerate(_kinds(one, other)):
                found[group(side.true)][place] += value / 2
    return {name: (a, b, c) for name, (a, b, c) in found.items()}


def by_sources(records: Iterable[Record]) -> dict[tuple[str, str], Pairs]:
    """The same by the sources of the two sides."""
    found: dict[tuple[str, str], list[Pairs]] = {}
    for one, other in combinations(units(records, with_source=True), 2):
        first, second = sorted((one.source, other.source))
        found.setdefault((first, second), []).append(_kinds(one, other))
    return {sources: _add(pairs) for sources, pairs in found.items()}


def bcubed(items: Sequence[Record | Unit]) -> tuple[float, float]:
    """Precision and recall: for each item, how much of its found (true) person is truly (found to be) with it."""
    precision, recall = 0.0, 0.0
    for item in items:
        in_found = [other for other in items if other.person == item.person]
        in_true = [other for other in items if other.true == item.true]
        n_both = len([other for other in in_found if other.true == item.true])
        precision += n_both / len(in_found)
        recall += n_both / len(in_true)
    return precision / len(items), recall / len(items)


def right_clusters(records: list[Record]) -> int:
    """Found persons whose records are exactly those of a true person."""
    numbered = list(enumerate(records))
    found = {
        frozenset(n for n, r in numbered if r.person == person) for person in {r.person for r in records}
    }
    true = {frozenset(n for n, r in numbered if r.true == name) for name in {r.true for r in records}}
    return len(found & true)


def represented(records: list[Record]) -> set[tuple[str, str]]:
    """True and found persons that hold most of each other; ties to the smaller name."""
    names, persons = {r.true for r in records}, {r.person for r in records}

    def overlap(true: str, person: str) -> int:
        return len([r for r in records if (r.true, r.person) == (true, person)])

    best_person = {t: min(persons, key=lambda p: (-overlap(t, p), p)) for t in names}
    best_true = {p: min(names, key=lambda t: (-overlap(t, p), t)) for p in persons}
    return {(t, p) for t, p in best_person.items() if best_true[p] == t}


def units(records: Iterable[Record], with_source: bool) -> list[Unit]:
    """Each identity of a true person once, or once for each source."""
    return sorted({Unit(r.identity, r.person, r.true, r.source if with_source else "") for r in records})


def _kinds(one: Unit, other: Unit) -> Pairs:
    if one.identity == other.identity:
        return (0.0, 0.0, 0.0)
    is_true, is_predicted = one.true == other.true, one.person == other.person
    return (float(is_true), float(is_predicted), float(is_true and is_predicted))


def _look(given: list[Unit]) -> list[Pairs]:
    return [_kinds(one, other) for one, other in combinations(given, 2)]


def _add(pairs: list[Pairs]) -> Pairs:
    return (sum(p[0] for p in pairs), sum(p[1] for p in pairs), sum(p[2] for p in pairs))
