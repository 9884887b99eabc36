"""Citizenships over time, and the passports that persons hold and show."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthetic.chance import Chance
from synthetic.journeys import ARRIVAL, Bases, Crossings
from synthetic.truth import GROUPS, group_matrix
from synthetic.world import (
    HISTORY_FROM,
    HISTORY_TO,
    JOURNEY,
    NEVER,
    NONE,
    OBSERVED_FROM,
    OBSERVED_TO,
    Days,
    Ids,
    Parties,
    Persons,
    countries,
)

_YEAR = 365.25


@dataclass(frozen=True)
class Documents:
    """One element for each passport in use while observed, sorted by person, which and issue_day.

    which: 0 of the first citizenship, 1 of another. is_renewal: not the first of its kind that is observed. Names are
    those of the day of issue; serial numbers each passport of a country from 0.
    """

    person: Ids
    which: NDArray[np.int8]
    issue_day: Days
    country: NDArray[np.int16]
    is_renewal: NDArray[np.bool_]
    serial: Ids


def find_naturalisations(parties: Parties, bases: Bases, persons: Persons, chance: Chance) -> Days:
    """Give the day from which a person is a citizen of the country too; NEVER for most."""
    journey = parties.journey[persons.party]
    moves = bases.moves[persons.party]
    comes = np.where(bases.is_here[persons.party], int(HISTORY_FROM) - 2000, moves[:, 0])
    leaves = np.where(bases.is_here[persons.party], moves[:, 0], moves[:, 1])
    waits = np.floor(chance.quantile((1800, 2200, 2900, 3600, 5000), "naturalisation waits", persons.party))
    day = np.maximum(comes, persons.birth_day) + waits.astype(np.int64)
    may = np.isin(journey, [JOURNEY["immigrant"], JOURNEY["settled"]]) & (persons.citizenship != 0)
    may &= (persons.second_citizenship != 0) & (day > HISTORY_FROM)
    becomes = may & chance.happens(0.35, "naturalisation", persons.party)
    becomes &= day < np.minimum(np.minimum(leaves, persons.death_day), int(HISTORY_TO))
    return np.where(becomes, day, int(NEVER)).astype(np.int32)


def find_traits(persons: Persons, naturalised: Days) -> pl.DataFrame:
    """Give the citizenship that counts for each person (index of `countries`) from a day on.

    Of several citizenships the country's own counts first, then one of the Union.
    Source: Regulation (EU) 351/2010.
    """
    groups = group_matrix()[:, 2014 - 2011]
    first, second = persons.citizenship, persons.second_citizenship
    has_second = second != NONE
    is_home = has_second & (second == 0)
    is_union = (
        has_second & (groups[second] == GROUPS.index("eu")) & ~np.isin(groups[first], [0, GROUPS.index("eu")])
    )
    counted = np.where(is_home | is_union, second, first).astype(np.int16)
    changed = np.flatnonzero(naturalised < int(NEVER))
    everybody = np.arange(first.size, dtype=np.int32)
    return pl.DataFrame(
        {
            "person": np.concatenate([everybody, changed.astype(np.int32)]),
            "from_day": np.concatenate(
                [np.full(first.size, int(-NEVER), dtype=np.int32), naturalised[changed]]
            ),
            "country": np.concatenate([counted, np.zeros(changed.size, dtype=np.int16)]),
        }
    ).sort("person", "from_day")


def issue_documents(persons: Persons, naturalised: Days, renewal_rate: float, chance: Chance) -> Documents:
    """Issue passports: renewed at the rate a year, anew after a marriage, and for each further citizenship."""
    person = np.arange(persons.party.size, dtype=np.int64)
    second = np.flatnonzero(persons.second_citizenship != NONE)
    citizen = np.flatnonzero(naturalised < int(NEVER))
    chains = [
        _renew(person, np.zeros_like(person), persons.birth_day[person], renewal_rate, chance),
        _renew(second, np.ones_like(second), persons.birth_day[second], renewal_rate, chance),
        _renew(citizen, np.ones_like(citizen), naturalised[citizen] + 30, renewal_rate, chance),
        _reissue(persons, chance),
    ]
    holder, which, day = (np.concatenate(column) for column in zip(*chains, strict=True))
    order = np.argsort((holder << 22) + (which << 20) + day, kind="stable")
    holder, which, day = holder[order], which[order], day[order]
    is_last = np.concatenate([(holder[1:] != holder[:-1]) | (which[1:] != which[:-1]), [True]])
    is_used_on = np.where(is_last, int(NEVER), np.concatenate([day[1:], [0]]))
    kept = (is_used_on > OBSERVED_FROM) & (day < OBSERVED_TO)
    holder, which, day = holder[kept], which[kept], day[kept]
    is_first = np.concatenate([[True], (holder[1:] != holder[:-1]) | (which[1:] != which[:-1])])[
        : holder.size
    ]
    further = np.where(naturalised[holder] < int(NEVER), 0, persons.second_citizenship[holder])
    country = np.where(which == 0, persons.citizenship[holder], further)
    return Documents(
        holder.astype(np.int32), which.astype(np.int8), day.astype(np.int32), country.astype(np.int16), ~is_first,
        _number_within(country),
    )  # fmt: skip


_Chain = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _renew(
    person: NDArray[np.int64],
    which: NDArray[np.int64],
    begins: NDArray[np.int32],
    rate: float,
    chance: Chance,
) -> _Chain:
    """The passports of one citizenship: most last their ten years (at a rate of 0.1), some are lost or full before."""
    lasting = np.array((0.1, 0.45, 0.75, 0.9, 0.98, 1, 1, 1, 1)) * (_YEAR / rate)
    age = np.floor(chance.share("age of the first passport", person, which) * float(lasting[-1])).astype(
        np.int64
    )
    day = np.maximum(begins, HISTORY_FROM - age)
    chains: list[_Chain] = []
    number = 0
    while person.size:
        chains.append((person, which, day))
        days = np.floor(chance.quantile(lasting, "passport lasts", person, which, np.full(1, number))).astype(
            np.int64
        )
        day = day + days
        kept = day < OBSERVED_TO
        person, which, day, number = person[kept], which[kept], day[kept], number + 1
    holder, kind, issued = zip(*chains, strict=True)
    return np.concatenate(holder), np.concatenate(kind), np.concatenate(issued)


def _reissue(persons: Persons, chance: Chance) -> _Chain:
    """Three in four who change their name soon have a passport of the new name."""
    person = np.flatnonzero(persons.married_day < OBSERVED_TO)
    person = person[chance.happens(0.75, "passport after marriage", person)]
    waits = np.floor(chance.quantile((15, 30, 60, 120, 400), "passport waits", person)).astype(np.int64)
    return person, np.zeros_like(person), persons.married_day[person] + waits


def _number_within(country: NDArray[np.int16]) -> Ids:
    """Number the passports of each country from 0."""
    order = np.argsort(country, kind="stable")
    n = np.bincount(country)
    serial = np.empty(country.size, dtype=np.int32)
    serial[order] = np.arange(country.size) - np.repeat(np.cumsum(n) - n, n)
    return serial


def find_shown(documents: Documents, crossings: Crossings, naturalised: Days, chance: Chance) -> Ids:
    """Give the passport shown at each crossing.

    Who holds two shows mostly the first, or either by chance, or one to come in and the other to go out; a new citizen
    mostly shows the new one.
    """
    person = crossings.person
    habit = chance.pick((35, 30, 35), "which passport", person)
    by_chance = chance.happens(0.5, "which passport now", person, crossings.day, crossings.minute)
    shows_second = np.where(habit == 1, by_chance, (habit == 2) & (crossings.direction == ARRIVAL))
    is_new = naturalised[person] < crossings.day
    shows_second = np.where(is_new, chance.happens(0.85, "new citizen", person, crossings.day), shows_second)
    second = held_on(documents, person, np.ones(1, dtype=np.int64), crossings.day)
    first = held_on(documents, person, np.zeros(1, dtype=np.int64), crossings.day)
    return np.where(shows_second & (second != NONE), second, first).astype(np.int32)


def held_on(documents: Documents, person: Ids, which: NDArray[np.int64], day: Days) -> Ids:
    """Give the newest passport of that kind a person holds on a day; -1: none."""
    key = _key(documents.person, documents.which, documents.issue_day)
    last = np.searchsorted(key, _key(person, which, day), side="right") - 1
    at = np.maximum(last, 0)
    is_held = (last >= 0) & (documents.person[at] == person) & (documents.which[at] == which)
    return np.where(is_held, at, NONE).astype(np.int32)


def _key(person: Ids, which: NDArray[np.signedinteger], day: Days) -> NDArray[np.int64]:
    return (person.astype(np.int64) << 22) + (which.astype(np.int64) << 20) + day.astype(np.int64)


def write_numbers(documents: Documents) -> pl.Series:
    """Give each passport its number in the pattern of its country: @ is a letter, # a digit. No two are alike."""
    numbers = np.empty(documents.person.size, dtype=np.int64)
    letters, digits = (
        countries()["document"].str.count_matches("@"),
        countries()["document"].str.count_matches("#"),
    )
    patterns = countries()["document"].to_list()
    parts = []
    for country, pattern in enumerate(patterns):
        chosen = np.flatnonzero(documents.country == country)
        n_letters, n_digits = int(letters[country]), int(digits[country])
        space = 26**n_letters * 10**n_digits
        # A step without a divisor in common with the space visits every number once.
        step = int(space * 0.6180339887) | 1
        while step % 13 == 0 or step % 5 == 0:
            step += 2
        # Countries with one pattern begin at places of their own.
        start = space // 97 * (country * 31 % 97)
        numbers[chosen] = (documents.serial[chosen].astype(np.int64) * step + start) % space
        parts.append(
            _write(pattern, numbers[chosen], n_letters, n_digits)
            .to_frame("number")
            .with_columns(place=pl.Series(chosen))
        )
    return pl.concat(parts).sort("place")["number"]


def _write(pattern: str, number: NDArray[np.int64], n_letters: int, n_digits: int) -> pl.Series:
    prefix = pattern.rstrip("#").replace("@", "")
    columns: list[pl.Expr] = [pl.lit(prefix)]
    rest = number // 10**n_digits
    alphabet = pl.Series(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    frame = {f"l{n}": alphabet[(rest // 26**n) % 26] for n in range(n_letters)}
    frame["d"] = pl.Series(number % 10**n_digits).cast(pl.String).str.zfill(n_digits)
    columns += [pl.col(name) for name in frame]
    return pl.DataFrame(frame).select(pl.concat_str(columns)).to_series()
