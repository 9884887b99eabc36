"""What each source would record if nothing went wrong: its coverage, its lags, and what it knows of a person.

Every source is a frame with one row for each record: `person`, `day` (the day the record speaks of), who it says the
person is (`WHO`), and its own columns, all as numbers still; files.py writes them in the agency's codes.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthetic.chance import Chance
from synthetic.documents import Documents, find_shown, held_on
from synthetic.journeys import ARRIVAL, Bases, Crossings
from synthetic.world import (
    HISTORY_FROM,
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

# Who a record says the person is: ids of names, day of birth, sex, citizenships, passport.
WHO = (
    "surname", "second_surname", "given", "second_given", "birth_day", "sex", "country", "second_country", "document",
    "birth_country",
)  # fmt: skip
_STUDY, _WORK, _FAMILY, _PROTECTION, _SEASONAL, _FRONTIER, _PERMANENT = range(7)
_TOURISM, _BUSINESS, _VISIT, _STUDIES, _EMPLOYMENT, _RETURN = range(6)


@dataclass(frozen=True)
class Country:
    """The whole country: what the sources look at."""

    parties: Parties
    persons: Persons
    bases: Bases
    crossings: Crossings
    birth_country: NDArray[np.int16]
    naturalised: Days
    documents: Documents


def find_stays(country: Country) -> pl.DataFrame:
    """Give the times in which each person lives here: start and end day (NEVER: beyond history), clipped by life."""
    bases, persons = country.bases, country.persons
    n = bases.is_here.size
    edges = np.column_stack(
        [np.full(n, int(HISTORY_FROM)), np.minimum(bases.moves, int(NEVER)), np.full(n, int(NEVER))]
    )
    party, which = np.nonzero(
        (np.diff(edges, axis=1) > 0) & (bases.is_here[:, None] ^ (np.arange(7) % 2 == 1))
    )
    stays = pl.DataFrame(
        {
            "party": party.astype(np.int32),
            "is_first": which == 0,
            "start": edges[party, which].astype(np.int32),
            "end": edges[party, which + 1].astype(np.int32),
        }
    )
    people = pl.DataFrame(
        {"party": persons.party, "birth": persons.birth_day, "death": persons.death_day}
    ).with_columns(person=pl.int_range(pl.len(), dtype=pl.Int32))
    joined = people.join(stays, on="party", how="inner", maintain_order="left_right")
    return (
        joined.with_columns(
            begin=pl.max_horizontal("start", "birth"),
            finish=pl.min_horizontal("end", "death"),
            is_birth=(pl.col("birth") > pl.col("start")),
            is_death=pl.col("death") < pl.col("end"),
        )
        .filter(pl.col("begin") < pl.col("finish"))
        .select("person", "is_first", "is_birth", "is_death", start="begin", end="finish")
    )


def record_crossings(country: Country, chance: Chance) -> pl.DataFrame:
    """Every crossing observed, with the passport shown; typed by hand at some posts, else read by machine."""
    crossings = country.crossings
    seen = np.flatnonzero((crossings.day >= OBSERVED_FROM) & (crossings.day < OBSERVED_TO))
    watched = Crossings(*(column[seen] for column in vars(crossings).values()))
    shown = find_shown(country.documents, watched, country.naturalised, chance)
    typed = np.array((0.02, 0.02, 0.02, 0.2, 0.3, 0.4, 0.5, 0.5, 0.6))[watched.port]
    frame = pl.DataFrame(
        {
            "person": watched.person,
            "day": watched.day,
            "minute": watched.minute,
            "direction": watched.direction,
            "port": watched.port,
            "is_typed": chance.happens(typed, "typed", watched.person, watched.day, watched.minute),
            "purpose": _state_purposes(country, watched, chance),
        }
    )
    return with_document(frame, country, shown)


def _state_purposes(country: Country, crossings: Crossings, chance: Chance) -> NDArray[np.int8]:
    """The purpose stated: mostly that of the journey; residents and nationals say so; one in twelve says nothing."""
    journey = country.parties.journey[country.persons.party[crossings.person]]
    stated = np.full(journey.size, _RETURN, dtype=np.int64)
    visits = chance.pick((70, 14, 16), "why visit", crossings.person, crossings.trip)
    for name, purpose in (
        ("tourist", visits), ("overstayer", visits), ("student", _STUDIES), ("seasonal", _EMPLOYMENT),
        ("contract", _EMPLOYMENT), ("commuter", _EMPLOYMENT), ("circular", _EMPLOYMENT),
    ):  # fmt: skip
        stated = np.where(journey == JOURNEY[name], purpose, stated)
    first = (journey == JOURNEY["immigrant"]) & (crossings.trip == NONE) & (crossings.direction == ARRIVAL)
    stated = np.where(first, _VISIT + chance.pick((35, 5, 60), "why come", crossings.person), stated)
    silent = chance.happens(1 / 12, "says nothing", crossings.person, crossings.day, crossings.minute)
    return np.where(silent, -1, stated).astype(np.int8)


def record_visas(country: Country, crossings: pl.DataFrame, chance: Chance) -> pl.DataFrame:
    """A visa for each arrival of who needs one and has none of before: for a visit ninety days, else a year."""
    needs = countries()["needs_visa"].to_numpy()
    arrivals = crossings.filter(pl.col("direction") == int(ARRIVAL))
    person, day = arrivals["person"].to_numpy(), arrivals["day"].to_numpy()
    persons = country.persons
    exempt = (country.naturalised[person] <= day) | (persons.second_citizenship[person] == 0)
    journey = country.parties.journey[persons.party[person]]
    lives = country.bases.at(persons.party[person], day)
    moves = country.bases.moves[persons.party[person]]
    moves_in = (moves == day[:, None]).any(axis=1) & (journey != JOURNEY["overstayer"])
    long = moves_in | (journey == JOURNEY["seasonal"])
    asks = needs[persons.citizenship[person]] & ~exempt & (~lives | long)
    asks &= ~chance.happens(0.03, "crosses without a visa", person, day)
    issued = day - chance.whole(8, 70, "visa issued", person, day)
    valid_from = np.maximum(issued + 1, day - chance.whole(0, 15, "visa begins", person, day))
    frame = arrivals.select("person", *WHO, "purpose").with_columns(
        day=pl.Series(issued.astype(np.int32)),
        valid_from=pl.Series(valid_from.astype(np.int32)),
        valid_to=pl.Series((valid_from + np.where(long, 365, 90)).astype(np.int32)),
        is_long=pl.Series(long),
    )
    return frame.filter(pl.Series(asks))


def record_permits(country: Country, stays: pl.DataFrame, pins: Ids, chance: Chance) -> pl.DataFrame:
    """Permits of foreigners who live here, renewed about every year until permanent; seasonal and frontier work too."""
    persons = country.persons
    chains = pl.concat([_permits_of_stays(country, stays, chance), _permits_of_trips(country)])
    person = chains["person"].to_numpy()
    foreign = (persons.citizenship[person] != 0) & (persons.second_citizenship[person] != 0)
    foreign &= chains["day"].to_numpy() < country.naturalised[person]
    covered = ~chance.happens(0.07, "no permit", person)
    frame = chains.filter(
        pl.Series(foreign & covered),
        pl.col("valid_to") >= int(OBSERVED_FROM),
        pl.col("day") < int(OBSERVED_TO),
    )
    person, day = frame["person"].to_numpy(), frame["day"].to_numpy()
    entered = chance.happens(0.8, "clerk enters the number", person, day)
    known = with_document(
        frame, country, held_on(country.documents, person, np.zeros(1, dtype=np.int64), day)
    )
    shows = chance.happens(0.9, "clerk enters the passport", person, day)
    return known.with_columns(
        pin=pl.Series(np.where(entered & (frame["has_stay"].to_numpy()), pins[person], NONE)),
        document=pl.when(pl.Series(shows)).then("document").otherwise(pl.lit(-1, pl.Int32)),
        district=find_districts(person, chance),
    ).drop("has_stay")


def _permits_of_stays(country: Country, stays: pl.DataFrame, chance: Chance) -> pl.DataFrame:
    """A permit for each 400 days of a stay; of five years and more permanent."""
    begin, end = stays["start"].to_numpy().astype(np.int64), stays["end"].to_numpy().astype(np.int64)
    person = stays["person"].to_numpy()
    settled = stays["is_first"].to_numpy() & ~stays["is_birth"].to_numpy()
    journey = country.parties.journey[country.persons.party[person]]
    length = np.minimum(end, int(OBSERVED_TO)) - begin
    number = np.where(settled, 1, np.clip(length // 400 + 1, 1, 5))
    may = (length > 60) & (journey != JOURNEY["overstayer"])
    of = np.repeat(np.flatnonzero(may), number[may])
    nth = np.arange(of.size) - np.repeat(np.cumsum(number[may]) - number[may], number[may])
    newborn = stays["is_birth"].to_numpy()[of]
    lag = np.where(newborn, 1, 0) * 41 + chance.whole(-40, 30, "permit begins", person[of])
    start = begin[of] + np.where(settled[of], -900, lag) + 400 * nth
    purpose = np.full(of.size, _WORK)
    purpose = np.where(journey[of] == JOURNEY["student"], _STUDY, purpose)
    other = chance.pick((50, 38, 12), "permit of immigrants", person[of])
    purpose = np.where(journey[of] == JOURNEY["immigrant"], _WORK + other, purpose)
    permanent = settled[of] | (nth == 4)
    purpose = np.where(permanent, _PERMANENT, purpose)
    return pl.DataFrame(
        {
            "person": person[of],
            "day": start.astype(np.int32),
            "valid_from": start.astype(np.int32),
            "valid_to": (start + np.where(permanent, 3650 + 1800, 420)).astype(np.int32),
            "purpose": purpose.astype(np.int8),
            "has_stay": np.ones(of.size, dtype=np.bool_),
        }
    )


def _permits_of_trips(country: Country) -> pl.DataFrame:
    """Seasonal workers have a permit for the season, commuters one a year."""
    crossings, journey = country.crossings, country.parties.journey[country.persons.party]
    of = journey[crossings.person]
    seasonal = np.flatnonzero((of == JOURNEY["seasonal"]) & (crossings.direction == ARRIVAL))
    weekly = np.flatnonzero((of == JOURNEY["commuter"]) & (crossings.direction == ARRIVAL))
    year = crossings.day[weekly].astype("datetime64[D]").astype("datetime64[Y]")
    first = np.unique((crossings.person[weekly].astype(np.int64) << 16) + year.astype(np.int64))
    holder, begins = (
        first >> 16,
        (first & 0xFFFF).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64),
    )
    start = np.concatenate([crossings.day[seasonal] - 10, begins]).astype(np.int32)
    is_season = np.arange(start.size) < seasonal.size
    return pl.DataFrame(
        {
            "person": np.concatenate([crossings.person[seasonal], holder]).astype(np.int32),
            "day": start,
            "valid_from": start,
            "valid_to": start + np.where(is_season, 290, 364).astype(np.int32),
            "purpose": np.where(is_season, _SEASONAL, _FRONTIER).astype(np.int8),
            "has_stay": np.zeros(start.size, dtype=np.bool_),
        }
    )


def number_persons(n_persons: int) -> Ids:
    """Give each person the nine digits that a register would, none of them twice."""
    step, space = 618_033_989, 1_000_000_000
    return ((np.arange(n_persons, dtype=np.int64) * step + 271_828_182) % space).astype(np.int32)


def find_districts(person: Ids, chance: Chance) -> pl.Series:
    """Give the district in which each person lives."""
    return pl.Series((1 + chance.pick((30, 18, 14, 10, 9, 7, 6, 4, 2), "district", person)).astype(np.int8))


def with_document(frame: pl.DataFrame, country: Country, document: Ids) -> pl.DataFrame:
    """Who the passport says the holder is: names of the day of issue, and its citizenship alone."""
    at = np.maximum(document, 0)
    issued = np.where(document == NONE, frame["day"].to_numpy(), country.documents.issue_day[at])
    own = country.persons.citizenship[frame["person"].to_numpy()]
    named = as_person(frame, country, issued.astype(np.int32))
    return named.with_columns(
        country=pl.Series(np.where(document == NONE, own, country.documents.country[at]).astype(np.int16)),
        second_country=pl.lit(-1, pl.Int16),
        document=pl.Series(document),
    )


def as_person(frame: pl.DataFrame, country: Country, day: Days) -> pl.DataFrame:
    """Who the person is on a day, as the person would say: the married name, the new citizenship before the old."""
    persons, person = country.persons, frame["person"].to_numpy()
    is_new = country.naturalised[person] <= day
    first, second = persons.citizenship[person], persons.second_citizenship[person]
    who = {
        "surname": np.where(
            persons.married_day[person] <= day, persons.married_surname[person], persons.surname[person]
        ),
        "second_surname": persons.second_surname[person],
        "given": persons.given[person],
        "second_given": persons.second_given[person],
        "birth_day": persons.birth_day[person],
        "sex": persons.sex[person],
        "country": np.where(is_new | (second == 0), 0, first).astype(np.int16),
        "second_country": np.where(is_new | (second == 0), first, second).astype(np.int16),
        "document": np.full(person.size, NONE, dtype=np.int32),
        "birth_country": country.birth_country[person],
    }
    return frame.with_columns(pl.Series(name, values) for name, values in who.items())


def find_birth_countries(persons: Persons, bases: Bases, chance: Chance) -> NDArray[np.int16]:
    """Give the country of birth: here where the party then lived here, else mostly that of the citizenship."""
    here = bases.at(persons.party, np.maximum(persons.birth_day, np.int32(HISTORY_FROM)))
    national = persons.citizenship == 0
    person = np.arange(persons.party.size)
    elsewhere = chance.pick(countries()["migrants"].to_list(), "born elsewhere", person)
    is_native = chance.happens(np.where(national, 0.93, 0.04), "native", person)
    own = np.where(
        national | chance.happens(0.05, "is born elsewhere", person), elsewhere, persons.citizenship
    )
    abroad = np.where(here & is_native, 0, own)
    return np.where(here & (persons.birth_day >= HISTORY_FROM), 0, abroad).astype(np.int16)
