"""Journeys: when the parties live here and abroad, their trips between, and every crossing of the border that follows.

A party has a base, here or abroad, which moves on a few days; within a stay at its base it makes trips to the other
side. Trips of a party never touch one another, so whatever a person does is arrivals and departures in turn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthetic.chance import Chance
from synthetic.world import HISTORY_FROM, HISTORY_TO, JOURNEY, JOURNEYS, NEVER, Days, Ids, Parties, Persons

ARRIVAL, DEPARTURE = np.int8(1), np.int8(0)
MOST_MOVES = 6
PORTS = ("A1", "A2", "A3", "S1", "S2", "L1", "L2", "L3", "L4")
_FIRST_SEA, _FIRST_LAND = 3, 5  # places in PORTS: airports, harbours, posts by land

# Trips from a base: quantiles of trips a year, and of their days. A trip of no days is there and back within the day.
_Habit = tuple[Sequence[float], Sequence[float]]
_AT_HOME: _Habit = ((0, 0.05, 0.12, 0.25, 0.4, 0.6, 1.0, 1.9), (0, 2, 4, 7, 8, 10, 14, 15, 21, 45))
_OFTEN_HOME: _Habit = ((0, 0.3, 0.6, 1, 1.3, 2, 3), (3, 7, 10, 14, 21, 28, 45, 70))
_VISITS_HOME: _Habit = ((0, 0.2, 0.5, 0.8, 1.2, 2), (3, 7, 10, 14, 18, 25, 40))
_VISITS: _Habit = ((0.05, 0.06, 0.07, 0.1, 0.15, 0.25, 0.7), (0, 1, 2, 3, 4, 6, 8, 13, 20, 60))
_NONE: _Habit = ((0, 0), (1, 1))
_HABITS: Mapping[str, tuple[_Habit, _Habit]] = {  # journey: (while based here, while based abroad)
    "resident": (_AT_HOME, _NONE),
    "settled": (_OFTEN_HOME, _VISITS_HOME),
    "emigrant": (_AT_HOME, _VISITS_HOME),
    "secondment": (_AT_HOME, _VISITS_HOME),
    "expatriate": (_AT_HOME, _VISITS_HOME),
    "tourist": (_NONE, _VISITS),
    "student": (_NONE, _NONE),
    "seasonal": (_NONE, _NONE),
    "contract": (_OFTEN_HOME, ((0, 0.02, 0.1), (3, 7, 14, 30))),
    "immigrant": (_OFTEN_HOME, ((0, 0.05, 0.3), (5, 10, 20, 40))),
    "circular": (_OFTEN_HOME, _VISITS_HOME),
    "commuter": (_NONE, _NONE),
    "overstayer": (_NONE, ((0, 0.02, 0.1), (3, 7, 14, 30))),
}
# Share of the party's trips that a member does not make.
_STAYS_BEHIND = {"resident": 0.35, "settled": 0.35, "immigrant": 0.3, "expatriate": 0.25, "tourist": 0.1}


@dataclass(frozen=True)
class Bases:
    """Where each party lives: here or not when history begins, and the days on which that changes (NEVER: not)."""

    is_here: NDArray[np.bool_]
    moves: NDArray[np.int64]

    def at(self, party: Ids, day: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Say whether the party lives here at the beginning of the day."""
        n_moves = (self.moves[party] < day[:, None]).sum(axis=1)
        is_here: NDArray[np.bool_] = self.is_here[party] ^ (n_moves % 2 == 1)
        return is_here


@dataclass(frozen=True)
class Trips:
    """Trips of parties, sorted by party and start: first and last day, and whether the party lives here."""

    party: Ids
    start: Days
    end: Days
    is_from_here: NDArray[np.bool_]


@dataclass(frozen=True)
class Crossings:
    """True crossings by person and time; minute of the day; port: place in PORTS; trip -1: a move of the base."""

    person: Ids
    day: Days
    minute: NDArray[np.int16]
    direction: NDArray[np.int8]
    port: NDArray[np.int8]
    trip: Ids


def find_bases(parties: Parties, chance: Chance) -> Bases:
    """Draw when the base of each party moves."""
    moves = np.full((parties.journey.size, MOST_MOVES), int(NEVER), dtype=np.int64)
    for number, journey in enumerate(JOURNEYS):
        of_journey = np.flatnonzero(parties.journey == number)
        columns = _draw_moves(journey.name, of_journey, chance)
        for place, days in enumerate(columns):
            moves[of_journey, place] = days
    # What follows a day beyond history, or a move that never comes, does not happen either.
    moves = np.maximum.accumulate(moves, axis=1)
    moves[moves >= HISTORY_TO - 10] = int(NEVER)
    is_here = np.array([journey.is_here for journey in JOURNEYS])[parties.journey]
    return Bases(is_here, moves)


def _draw_moves(journey: str, party: NDArray[np.int64], chance: Chance) -> list[NDArray[np.int64]]:
    """The days on which the base moves, column by column; NEVER: it does not move any more."""
    first = chance.whole(int(HISTORY_FROM) + 30, int(HISTORY_TO), f"{journey}/move", party)

    def after(day: NDArray[np.int64], share: float, days: Sequence[float], which: int) -> NDArray[np.int64]:
        gap = np.floor(chance.quantile(days, f"{journey}/stay {which}", party)).astype(np.int64)
        return np.where(chance.happens(share, f"{journey}/moves {which}", party), day + gap, int(NEVER))

    match journey:
        case "settled":
            return [np.where(chance.happens(0.12, "settled/leaves", party), first, int(NEVER))]
        case "emigrant":
            return [first, after(first, 0.45, (300, 420, 600, 900, 1500, 2600), 1)]
        case "secondment":
            return [first, after(first, 1, (150, 240, 330, 380, 420, 520), 1)]
        case "student":
            return _draw_studies(party, chance)
        case "contract":
            leaves = after(first, 1, (200, 280, 350, 400, 550, 800, 1200), 1)
            returns = after(leaves, 0.25, (60, 150, 300, 500), 2)
            return [first, leaves, returns, after(returns, 1, (200, 330, 400, 700), 3)]
        case "immigrant":
            return [first, after(first, 0.35, (400, 700, 1200, 2500), 1)]
        case "circular":
            early = int(HISTORY_FROM) + 30 + (first - int(HISTORY_FROM) - 30) // 3
            days = [early]
            for which in range(1, MOST_MOVES):
                days.append(after(days[-1], 1, (200, 380, 450, 600, 900), which))
            return days
        case "overstayer":
            return [first, after(first, 0.7, (150, 300, 450, 800, 1500), 1)]
        case _:
            return []


def _draw_studies(party: NDArray[np.int64], chance: Chance) -> list[NDArray[np.int64]]:
    """Studies begin in late summer and last one to five years; one student in six stays on."""
    year = chance.whole(2011, 2026, "student/year", party)
    length = 1 + chance.pick((10, 20, 35, 20, 15), "student/years", party)
    begins = _first_of(year, 8) + 19 + chance.whole(0, 30, "student/arrives", party)
    ends = _first_of(year + length, 6) + 9 + chance.whole(0, 40, "student/leaves", party)
    stays = chance.happens(1 / 6, "student/stays", party)
    return [begins, np.where(stays, int(NEVER), ends)]


def _first_of(year: NDArray[np.int64], month: int) -> NDArray[np.int64]:
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    return months.astype("datetime64[D]").astype(np.int64)


def find_trips(parties: Parties, bases: Bases, persons: Persons, chance: Chance) -> Trips:
    """Draw the trips of every party; a trip on which a child of the party is born does not take place."""
    calendars = (
        _draw_habitual(parties, bases, chance),
        _draw_holidays(parties, bases, chance),
        _draw_seasons(parties, chance),
        _draw_weeks(parties, chance),
    )
    party, start, end = (np.concatenate(column) for column in zip(*calendars, strict=True))
    order = np.argsort(party * 100_000 + start, kind="stable")
    party, start, end = party[order], start[order], end[order]
    key = party * 100_000 + start
    born = persons.birth_day >= HISTORY_FROM
    birth_party, birth_day = persons.party[born].astype(np.int64), persons.birth_day[born].astype(np.int64)
    last = np.searchsorted(key, birth_party * 100_000 + birth_day, side="right") - 1
    is_on = (last >= 0) & (party[last] == birth_party) & (birth_day <= end[last])
    kept = np.ones(party.size, dtype=np.bool_)
    kept[last[is_on]] = False
    of_party, first_day, last_day = (column[kept].astype(np.int32) for column in (party, start, end))
    return Trips(of_party, first_day, last_day, bases.at(of_party, first_day))


_Calendar = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _draw_habitual(parties: Parties, bases: Bases, chance: Chance) -> _Calendar:
    """Trips by the habits of the journey: one at most in each of the equal parts into which a stay is cut."""
    n = parties.journey.size
    edges = np.column_stack(
        [
            np.full(n, int(HISTORY_FROM)),
            np.minimum(bases.moves, int(HISTORY_TO)),
            np.full(n, int(HISTORY_TO)),
        ]
    )
    party, stay = np.nonzero(np.diff(edges, axis=1) > 10)
    begins, ends = edges[party, stay], edges[party, stay + 1]
    is_here = bases.is_here[party] ^ (stay % 2 == 1)
    length = ends - begins - 2
    rate, habit = np.zeros(party.size), parties.journey[party].astype(np.int64) * 2 + ~is_here
    for number, journey in enumerate(JOURNEYS):
        for side in (0, 1):
            chosen = habit == number * 2 + side
            rates = _HABITS[journey.name][side][0]
            rate[chosen] = chance.quantile(rates, "trips a year", party[chosen], stay[chosen])
    wanted = np.floor(rate * length / 365.25 + chance.share("trips", party, stay)).astype(np.int64)
    n_trips = np.minimum(wanted, length // 6)
    of = np.repeat(np.arange(party.size), n_trips)
    nth = np.arange(of.size) - np.repeat(np.cumsum(n_trips) - n_trips, n_trips)
    low = begins[of] + 1 + nth * length[of] // n_trips[of]
    high = begins[of] + 1 + (nth + 1) * length[of] // n_trips[of]
    days = np.zeros(of.size, dtype=np.int64)
    for number, journey in enumerate(JOURNEYS):
        for side in (0, 1):
            chosen = np.flatnonzero(habit[of] == number * 2 + side)
            drawn = chance.quantile(
                _HABITS[journey.name][side][1], "days", party[of[chosen]], stay[of[chosen]], nth[chosen]
            )
            days[chosen] = np.floor(drawn).astype(np.int64)
    days = np.minimum(days, high - low - 2)
    room = high - low - 1 - days
    start = low + np.floor(chance.share("start", party[of], stay[of], nth) * room).astype(np.int64)
    return party[of], start, start + days


def _draw_holidays(parties: Parties, bases: Bases, chance: Chance) -> _Calendar:
    """Students spend the summer at home, and six in ten Christmas too."""
    party, year = _each_year(parties, "student")
    summer = _first_of(year, 6) + 14 + chance.whole(0, 25, "summer begins", party, year)
    autumn = _first_of(year, 8) + 24 + chance.whole(0, 20, "summer ends", party, year)
    christmas = _first_of(year, 12) + 14 + chance.whole(0, 7, "Christmas begins", party, year)
    january = _first_of(year, 12) + 33 + chance.whole(0, 7, "Christmas ends", party, year)
    goes = (
        chance.happens(0.9, "summer at home", party, year),
        chance.happens(0.6, "Christmas at home", party, year),
    )
    party, start, end = (
        np.concatenate(columns)
        for columns in (
            (party[goes[0]], party[goes[1]]),
            (summer[goes[0]], christmas[goes[1]]),
            (autumn[goes[0]], january[goes[1]]),
        )
    )
    moves = bases.moves[party]
    inside = (moves[:, 0] < start) & (end < moves[:, 1]) & (end < HISTORY_TO)
    return party[inside], start[inside], end[inside]


def _draw_seasons(parties: Parties, chance: Chance) -> _Calendar:
    """Seasonal workers come for some years, every year at about the same time, for three to nine months."""
    party, year = _each_year(parties, "seasonal")
    begins = chance.whole(2005, 2026, "seasonal/first year", party)
    years = 1 + chance.pick((30, 20, 15, 10, 10, 8, 7), "seasonal/years", party)
    active = (year >= np.maximum(begins, 2011)) & (year < begins + years)
    party, year = party[active], year[active]
    start = (
        _first_of(year, 2) + chance.whole(0, 90, "season", party) + chance.whole(0, 20, "start", party, year)
    )
    days = np.floor(chance.quantile((80, 110, 150, 180, 220, 270), "season/days", party, year)).astype(
        np.int64
    )
    end = np.minimum(start + days, _first_of(year + 1, 1) - 3)
    inside = (start > HISTORY_FROM) & (end < HISTORY_TO)
    return party[inside], start[inside], end[inside]


def _draw_weeks(parties: Parties, chance: Chance) -> _Calendar:
    """Commuters work here from Monday to Friday and sleep at home between, for one to three years."""
    party = np.flatnonzero(parties.journey == JOURNEY["commuter"])
    weeks = (int(HISTORY_TO) - int(HISTORY_FROM)) // 7 - 1
    first = chance.whole(0, weeks, "commuter/first week", party)
    number = np.minimum(chance.whole(46, 150, "commuter/weeks", party), weeks - first)
    of = np.repeat(np.arange(party.size), number)
    week = np.arange(of.size) - np.repeat(np.cumsum(number) - number, number) + first[of]
    works = chance.happens(0.86, "commuter/works", party[of], week)
    # 3 January 2011 was a Monday.
    start = int(HISTORY_FROM) + 2 + 7 * week + chance.pick((0.8, 0.2), "commuter/Monday", party[of], week)
    end = int(HISTORY_FROM) + 6 + 7 * week
    return party[of][works], start[works], end[works]


def _each_year(parties: Parties, journey: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    party = np.flatnonzero(parties.journey == JOURNEY[journey])
    years = np.arange(2011, 2026)
    return np.repeat(party, years.size), np.tile(years, party.size)


def find_crossings(
    parties: Parties, bases: Bases, trips: Trips, persons: Persons, chance: Chance
) -> Crossings:
    """Give every crossing that every person makes, while alive."""
    moves = _cross_with_base(bases, persons, chance)
    start, end = _cross_on_trips(parties, trips, persons, chance)
    columns = [np.concatenate(column) for column in zip(moves, start, end, strict=True)]
    person, day, minute = (
        columns[0].astype(np.int64),
        columns[1].astype(np.int64),
        columns[2].astype(np.int64),
    )
    order = np.argsort((person << 32) | (day << 12) | minute, kind="stable")
    types = (np.int32, np.int32, np.int16, np.int8, np.int8, np.int32)
    return Crossings(*(column[order].astype(kind) for column, kind in zip(columns, types, strict=True)))


_Columns = tuple[NDArray[np.generic], ...]


def _cross_with_base(bases: Bases, persons: Persons, chance: Chance) -> _Columns:
    """The crossings of persons whose base moves."""
    person, which = np.nonzero(bases.moves[persons.party] < int(NEVER))
    day = bases.moves[persons.party[person], which]
    alive = (persons.birth_day[person] <= day) & (day < persons.death_day[person])
    person, which, day = person[alive], which[alive], day[alive]
    party = persons.party[person]
    goes_out = bases.is_here[party] ^ (which % 2 == 1)
    minute = chance.whole(0, 1430, "minute of the move", party, which) + person % 4
    port = _choose_ports(np.zeros(person.size, dtype=np.bool_), "port of the move", chance, party, which)
    none = np.full(person.size, -1, dtype=np.int32)
    return person, day, minute, np.where(goes_out, DEPARTURE, ARRIVAL), port, none


def _cross_on_trips(
    parties: Parties, trips: Trips, persons: Persons, chance: Chance
) -> tuple[_Columns, _Columns]:
    """The two crossings of each trip of each member of the party who goes."""
    n_members = np.bincount(persons.party, minlength=parties.size.size)
    first = np.cumsum(n_members) - n_members
    number = n_members[trips.party]
    trip = np.repeat(np.arange(trips.party.size, dtype=np.int32), number)
    person = (
        first[trips.party[trip]] + np.arange(trip.size) - np.repeat(np.cumsum(number) - number, number)
    ).astype(np.int32)
    behind = np.array([_STAYS_BEHIND.get(journey.name, 0.0) for journey in JOURNEYS])[parties.journey]
    goes = ~chance.happens(behind[persons.party[person]], "stays behind", person, trip)
    goes &= (persons.birth_day[person] < trips.start[trip]) & (trips.start[trip] < persons.death_day[person])
    person, trip = person[goes], trip[goes]
    start, end = trips.start[trip], trips.end[trip]
    is_day_trip = start == end
    early, late = chance.share("minute out", trip), chance.share("minute back", trip)
    out_minute = (
        np.floor(early * np.where(is_day_trip, 420, 1430)) + np.where(is_day_trip, 300, 0) + person % 4
    )
    back_minute = (
        np.floor(late * np.where(is_day_trip, 600, 1430)) + np.where(is_day_trip, 780, 0) + person % 4
    )
    # A trip's ports are those of its party; six journeys in seven go back the way they came.
    by_land = is_day_trip | (parties.journey[persons.party[person]] == JOURNEY["commuter"])
    port = _choose_ports(by_land, "port of the party", chance, trips.party[trip], trip)
    other = _choose_ports(by_land, "port back", chance, trip)
    back_port = np.where(chance.happens(1 / 7, "another way back", trip), other, port)
    is_from_here = trips.is_from_here[trip]
    returns = end < persons.death_day[person]
    out = (person, start, out_minute, np.where(is_from_here, DEPARTURE, ARRIVAL), port, trip)
    back = (person, end, back_minute, np.where(is_from_here, ARRIVAL, DEPARTURE), back_port, trip)
    return out, tuple(column[returns] for column in back)


def _choose_ports(
    by_land: NDArray[np.bool_], question: str, chance: Chance, *keys: NDArray[np.generic]
) -> NDArray[np.int64]:
    """A port: for most journeys any of them, for some only those by land."""
    any_port = chance.pick((30, 14, 6, 6, 4, 14, 12, 8, 6), question, *keys)
    land_port = _FIRST_LAND + chance.pick((14, 12, 8, 6), question, *keys)
    return np.where(by_land, land_port, any_port)


def is_by_land(port: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Say which ports are posts by land."""
    return port >= _FIRST_LAND


def is_by_sea(port: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Say which ports are harbours."""
    return (port >= _FIRST_SEA) & (port < _FIRST_LAND)
