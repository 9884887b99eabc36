"""What the sources of the resident population would record if nothing went wrong: register, census, activity, vital."""

import numpy as np
import polars as pl

from synthetic.chance import Chance
from synthetic.documents import held_on
from synthetic.journeys import ARRIVAL
from synthetic.records import Country, as_person, find_districts
from synthetic.world import JOURNEY, NEVER, NONE, OBSERVED_FROM, OBSERVED_TO, Ids

CENSUS_DAY = np.datetime64("2021-03-15").astype(np.int64)
_ALWAYS = np.datetime64("1990-01-01").astype(np.int64)


def record_registrations(country: Country, stays: pl.DataFrame, pins: Ids, chance: Chance) -> pl.DataFrame:
    """Registrations: nearly all who live here for a year, half of who stay for less; departures often late or never."""
    begin, end = stays["start"].to_numpy().astype(np.int64), stays["end"].to_numpy().astype(np.int64)
    person = stays["person"].to_numpy()
    settled, at_birth = (
        stays["is_first"].to_numpy() & ~stays["is_birth"].to_numpy(),
        stays["is_birth"].to_numpy(),
    )
    journey = country.parties.journey[country.persons.party[person]]
    length = end - begin
    share = np.where(length >= 365, 0.95, np.where(length >= 180, 0.5, 0.05))
    share = np.where(settled | at_birth, 0.997, np.where(journey == JOURNEY["overstayer"], 0, share))
    lag = np.floor(chance.quantile((1, 5, 12, 25, 45, 90, 200), "registration lag", person, begin)).astype(
        np.int64
    )
    birth = country.persons.birth_day[person].astype(np.int64)
    start = np.where(at_birth, begin, np.where(settled, np.maximum(birth, _ALWAYS), begin + lag))
    how = chance.share("deregistration", person, begin)
    late = np.floor(chance.quantile((-30, 0, 5, 20, 60), "deregistration lag", person, begin)).astype(
        np.int64
    )
    ex_officio = 400 + chance.whole(0, 700, "ex officio", person, begin)
    removed = np.where(how < 0.6, end + late, np.where(how < 0.82, end + ex_officio, int(NEVER)))
    is_death = stays["is_death"].to_numpy()
    removed = np.where(is_death, end, np.where(end >= int(NEVER), int(NEVER), removed))
    frame = pl.DataFrame(
        {
            "person": person,
            "day": start.astype(np.int32),
            "removed": np.where(removed < OBSERVED_TO, removed, int(NEVER)).astype(np.int32),
            "reason": np.where(at_birth | settled, 0, 1).astype(np.int8),
            "removal": np.where(is_death, 0, np.where(how < 0.6, 1, 2)).astype(np.int8),
        }
    )
    registers = chance.happens(share, "registers", person, begin) & (
        start < np.minimum(end, int(OBSERVED_TO))
    )
    # Who was never removed is still there on returning.
    earlier = pl.col("removed").cum_max().shift(1).over("person")
    rows = frame.filter(pl.Series(registers)).filter(earlier.is_null() | (earlier <= pl.col("day")))
    rows = rows.filter(pl.col("removed") >= int(OBSERVED_FROM))
    person = rows["person"].to_numpy()
    seen = np.minimum(rows["removed"].to_numpy(), np.int32(OBSERVED_TO - 1))
    held = held_on(country.documents, person, np.zeros(1, dtype=np.int64), seen)
    known = chance.happens(0.6, "register knows the passport", person)
    named = as_person(rows, country, seen)
    return named.with_columns(
        document=pl.Series(np.where(known, held, NONE).astype(np.int32)),
        pin=pl.Series(pins[person]),
        district=find_districts(person, chance),
    )


def record_census(country: Country, stays: pl.DataFrame, chance: Chance) -> pl.DataFrame:
    """The census counts 95 of 100 persons who live here and are not abroad on its day; it knows no number."""
    there = stays.filter(pl.col("start") <= int(CENSUS_DAY), pl.col("end") > int(CENSUS_DAY)).select("person")
    person = there["person"].to_numpy()
    crossings = country.crossings
    key = (crossings.person.astype(np.int64) << 20) + crossings.day
    last = np.searchsorted(key, (person.astype(np.int64) << 20) + CENSUS_DAY, side="right") - 1
    away = (last >= 0) & (crossings.person[last] == person) & (crossings.direction[last] != ARRIVAL)
    counted = chance.happens(0.95, "counted", person) & ~away
    rows = there.filter(pl.Series(counted)).with_columns(day=pl.lit(int(CENSUS_DAY), pl.Int32))
    return as_person(rows, country, rows["day"].to_numpy()).with_columns(
        district=find_districts(rows["person"].to_numpy(), chance)
    )


def record_activity(
    country: Country, stays: pl.DataFrame, pins: Ids, registered: Ids, chance: Chance
) -> pl.DataFrame:
    """A year's tax, school or health record of who lives here for four months of it; not all have a number."""
    years = pl.DataFrame({"year": np.arange(2014, 2024, dtype=np.int32)}).with_columns(
        first=pl.date("year", 1, 1).cast(pl.Int32), next=pl.date(pl.col("year") + 1, 1, 1).cast(pl.Int32)
    )
    spent = pl.min_horizontal("end", "next") - pl.max_horizontal("start", "first")
    # Person by person: the years of a stay, not all persons by all years at once.
    rows = (
        stays.lazy()
        .join_where(years.lazy(), pl.col("start") < pl.col("next"), pl.col("end") > pl.col("first"))
        .with_columns(days=spent)
        .group_by("person", "year")
        .agg(pl.col("days").sum(), pl.col("next").first())
        .filter(pl.col("days") >= 120)
        .sort("person", "year")
        .collect()
    )
    person, year = rows["person"].to_numpy(), rows["year"].to_numpy()
    age = (rows["next"].to_numpy() - country.persons.birth_day[person]) / 365.25
    domain = np.where(age < 6.5, 2, np.where(age < 18, 1, np.where(age < 66, 0, 2)))
    is_known = np.isin(person, registered)
    share = np.array((0.8, 0.93, 0.6))[domain] * np.where(is_known, 1, 0.6) * np.where(year == 2023, 0.7, 1)
    seen = chance.happens(share, "active", person, year)
    numbered = is_known & chance.happens(0.88, "activity has the number", person)
    frame = rows.select("person", "year", day=pl.col("next") - 1).with_columns(
        domain=pl.Series(domain.astype(np.int8)), pin=pl.Series(np.where(numbered, pins[person], NONE))
    )
    frame = frame.filter(pl.Series(seen))
    return as_person(frame, country, frame["day"].to_numpy())


def record_births(country: Country, stays: pl.DataFrame, pins: Ids) -> pl.DataFrame:
    """Births in the country, with the number of the mother."""
    rows = stays.filter("is_birth").select("person", day="start").filter(_observed())
    mother = country.persons.mother[rows["person"].to_numpy()]
    return as_person(rows, country, rows["day"].to_numpy()).with_columns(
        pin=pl.Series(pins[rows["person"].to_numpy()]),
        mother_pin=pl.Series(np.where(mother == NONE, NONE, pins[mother])),
    )


def record_deaths(
    country: Country, stays: pl.DataFrame, pins: Ids, registered: Ids, chance: Chance
) -> pl.DataFrame:
    """Deaths of who lived here; the number of the person where there is one, else the passport."""
    rows = stays.filter("is_death").select("person", day="end").filter(_observed())
    person = rows["person"].to_numpy()
    rows = rows.filter(pl.Series(chance.happens(0.98, "death recorded", person)))
    person, day = rows["person"].to_numpy(), rows["day"].to_numpy()
    has_pin = np.isin(person, registered)
    held = held_on(country.documents, person, np.zeros(1, dtype=np.int64), day)
    return as_person(rows, country, day).with_columns(
        pin=pl.Series(np.where(has_pin, pins[person], NONE)),
        document=pl.Series(np.where(has_pin, NONE, held).astype(np.int32)),
    )


def _observed() -> pl.Expr:
    return pl.col("day").is_between(int(OBSERVED_FROM), int(OBSERVED_TO), closed="left")
