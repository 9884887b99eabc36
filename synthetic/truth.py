"""What is true: presence, statuses, migrations, flows and stocks, computed from the whole history of every person.

The rule is implemented here once more, from its text and for known pasts only; nothing of miglink's stages takes part.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from miglink.codes import citizenship_groups
from synthetic.journeys import ARRIVAL, Crossings
from synthetic.world import (
    FEMALE,
    HISTORY_FROM,
    HISTORY_TO,
    HOME,
    NEVER,
    NOBODY,
    OBSERVED_FROM,
    OBSERVED_TO,
    Days,
    Persons,
    countries,
)

_CELL = ("sex", "citizenship_group")


@dataclass(frozen=True)
class ForwardRule:
    """A forward window rule: so many days of the window from a crossing, counted together, in the state it leads to."""

    name: str
    threshold_days: int
    window_days: int


RULES = (ForwardRule("nz_12_16", 365, 487),)


@dataclass(frozen=True)
class Statuses:
    """Of each crossing: is_resident_after, is_migration. Of each person: is_resident_first (at birth, or before)."""

    is_resident_after: NDArray[np.bool_]
    is_migration: NDArray[np.bool_]
    is_resident_first: NDArray[np.bool_]


def find_statuses(
    crossings: Crossings, persons: Persons, is_here_first: NDArray[np.bool_], rule: ForwardRule
) -> Statuses:
    """Apply the rule to the complete crossings of persons whose first status is known.

    is_here_first: where each person lives when history begins, or at birth. Newborns take their mother's status if they
    are born here.
    Units: half-open days. A state at death is held to the window's end; so is one at the end of history.
    Source: StatisticsNZ migrbc 2.0.9 (the rule); its text in the methods of miglink, section 1.
    """
    leads_here = crossings.direction == ARRIVAL
    new_days = np.where(leads_here, 0, rule.window_days)
    present = _days_present(crossings, rule.window_days)
    new_days = np.where(leads_here, present, rule.window_days - present)
    is_long = new_days >= rule.threshold_days
    # The state after a crossing is the one that the last long enough stay led to, else the first.
    numbers = np.arange(crossings.day.size, dtype=np.int64)
    last_long = np.maximum.accumulate(np.where(is_long, numbers, -1)) if numbers.size else numbers
    opens = _opens(crossings)
    first_of_person = np.maximum.accumulate(np.where(opens, numbers, 0)) if numbers.size else numbers
    decided = last_long >= first_of_person

    def after(first: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.where(decided, leads_here[last_long], first[crossings.person])

    first = is_here_first.copy()
    newborn = np.flatnonzero((persons.birth_day >= HISTORY_FROM) & is_here_first & (persons.mother != NOBODY))
    first[newborn] = _status_at(
        crossings, after(first), first, persons.mother[newborn], persons.birth_day[newborn]
    )
    is_after = after(first)
    before = np.where(opens, first[crossings.person], np.concatenate([[False], is_after[:-1]]))
    return Statuses(is_after, is_long & (before != leads_here), first)


def _opens(crossings: Crossings) -> NDArray[np.bool_]:
    """Whether a crossing is the first of its person."""
    return np.concatenate([[True], crossings.person[1:] != crossings.person[:-1]])[: crossings.person.size]


def _key(person: NDArray[np.int32], day: NDArray[np.int64]) -> NDArray[np.int64]:
    return (person.astype(np.int64) << 20) + day


def _days_present(crossings: Crossings, window_days: int) -> NDArray[np.int64]:
    """Days present among the days of the window from each crossing."""
    is_here = crossings.direction == ARRIVAL
    day = crossings.day.astype(np.int64)
    opens = _opens(crossings)
    # Days present from the person's first crossing to each one; sums over all persons, less what went before.
    stay = np.concatenate([[0], np.where(is_here[:-1] & ~opens[1:], np.diff(day), 0)])[: day.size]
    to_date = np.cumsum(stay)
    ends = day + window_days
    last = np.searchsorted(_key(crossings.person, day), _key(crossings.person, ends), side="right") - 1
    present: NDArray[np.int64] = to_date[last] + np.where(is_here[last], ends - day[last], 0) - to_date
    return present


def _status_at(
    crossings: Crossings,
    is_after: NDArray[np.bool_],
    first: NDArray[np.bool_],
    person: NDArray[np.int32],
    day: Days,
) -> NDArray[np.bool_]:
    """Status of persons at the end of a day."""
    days = crossings.day.astype(np.int64)
    last = np.searchsorted(_key(crossings.person, days), _key(person, day.astype(np.int64)), side="right") - 1
    known = (last >= 0) & (crossings.person[last] == person)
    return np.where(known, is_after[last], first[person])


def find_residence(
    crossings: Crossings, statuses: Statuses, persons: Persons, rule: ForwardRule
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give the truth tables residence and migrations, by number of person and day."""
    moved = np.flatnonzero(statuses.is_migration)
    person, day, is_in = crossings.person[moved], crossings.day[moved], statuses.is_resident_after[moved]
    everybody = np.arange(persons.party.size, dtype=np.int32)
    starts = pl.DataFrame(
        {
            "person": np.concatenate([everybody, person]),
            "from_day": np.concatenate([np.maximum(persons.birth_day, np.int32(HISTORY_FROM - 1)), day]),
            "is_resident": np.concatenate([statuses.is_resident_first, is_in]),
        }
    ).sort("person", "from_day", maintain_order=True)
    # Who migrates on the day of birth has the status of the end of that day from the first.
    starts = starts.unique(["person", "from_day"], keep="last", maintain_order=True)
    death = pl.Series("death_day", persons.death_day)[starts["person"]]
    ends = pl.col("from_day").shift(-1).over("person")
    residence = starts.with_columns(death_day=death).select(
        "person",
        pl.lit(rule.name).alias("rule"),
        "from_day",
        to_day=pl.coalesce(ends, pl.when(pl.col("death_day") < int(NEVER)).then("death_day")),
        status=pl.when("is_resident").then(pl.lit("resident")).otherwise(pl.lit("non_resident")),
    )
    migrations = pl.DataFrame({"person": person, "event_day": day, "is_immigration": is_in}).select(
        "person",
        pl.lit(rule.name).alias("rule"),
        "event_day",
        direction=pl.when("is_immigration").then(pl.lit("immigration")).otherwise(pl.lit("emigration")),
    )
    return residence, migrations


def find_spells(crossings: Crossings, persons: Persons, is_here_first: NDArray[np.bool_]) -> pl.DataFrame:
    """Give the truth table spells: presence and absence from birth or the start of history to death or its end."""
    everybody = np.arange(persons.party.size, dtype=np.int32)
    starts = pl.DataFrame(
        {
            "person": np.concatenate([everybody, crossings.person]),
            "start_day": np.concatenate(
                [np.maximum(persons.birth_day, np.int32(HISTORY_FROM)), crossings.day]
            ),
            "is_present": np.concatenate([is_here_first, crossings.direction == ARRIVAL]),
        }
    ).sort("person", "start_day", maintain_order=True)
    last = np.minimum(persons.death_day, np.int32(HISTORY_TO))
    return starts.with_columns(last_day=pl.Series(last)[starts["person"]]).select(
        "person",
        "start_day",
        sequence=pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("person"),
        end_day=pl.col("start_day").shift(-1).over("person").fill_null(pl.col("last_day")),
        state=pl.when("is_present").then(pl.lit("present")).otherwise(pl.lit("absent")),
    )


def count_flows(migrations: pl.DataFrame, traits: pl.DataFrame, persons: Persons) -> pl.DataFrame:
    """Count migrations of the observed months and years by direction, sex and citizenship group, with totals."""
    observed = migrations.filter(
        pl.col("event_day").is_between(int(OBSERVED_FROM), int(OBSERVED_TO), closed="left")
    )
    cells = _with_cells(observed.rename({"event_day": "day"}), traits, persons)
    date = pl.col("day").cast(pl.Date)
    dated = pl.concat([cells.with_columns(period=date.dt.strftime(form)) for form in ("%Y-%m", "%Y")])
    counted = dated.group_by("rule", "period", *_CELL, flow="direction").agg(n=pl.len().cast(pl.Int64))
    sign = pl.when(pl.col("flow") == "immigration").then(1).otherwise(-1)
    net = counted.with_columns(flow=pl.lit("net"), n=pl.col("n") * sign)
    return _add_totals(pl.concat([counted, net]), ("rule", "period", "flow"))


def count_stocks(residence: pl.DataFrame, traits: pl.DataFrame, persons: Persons) -> pl.DataFrame:
    """Count residents at each 1 January observed (at the end of the day before), by sex and citizenship group."""
    counted = []
    for year in range(2014, 2025):
        day = int((np.datetime64(f"{year}-01-01") - 1).astype(np.int64))
        there = residence.filter(
            pl.col("status") == "resident",
            pl.col("from_day") <= day,
            pl.col("to_day").is_null() | (pl.col("to_day") > day),
        ).with_columns(day=pl.lit(day, pl.Int32))
        cells = _with_cells(there, traits, persons, year).with_columns(period=pl.lit(f"{year}-01-01"))
        counted.append(cells.group_by("rule", "period", *_CELL).agg(n=pl.len().cast(pl.Int64)))
    return _add_totals(pl.concat(counted), ("rule", "period"))


def _add_totals(counts: pl.DataFrame, keys: tuple[str, ...]) -> pl.DataFrame:
    total = pl.lit("total")
    both = pl.concat(
        [
            counts,
            counts.with_columns(sex=total),
            counts.with_columns(citizenship_group=total),
            counts.with_columns(sex=total, citizenship_group=total),
        ],
        how="diagonal",
    )
    columns = [*keys, *_CELL]
    return both.group_by(columns).agg(pl.col("n").sum()).sort(columns)


def _with_cells(
    events: pl.DataFrame, traits: pl.DataFrame, persons: Persons, year: int | None = None
) -> pl.DataFrame:
    """Add sex and citizenship group, as at 1 January of the year of the event (or of `year`)."""
    sex = np.where(persons.sex == FEMALE, "female", "male")
    person = events["person"].to_numpy()
    day = events["day"].to_numpy() if year is None else events["day"].to_numpy() + 1
    held = traits.filter(pl.col("from_day") <= 0)["country"].to_numpy()[person]
    # At most one change for each person: naturalisation.
    later = traits.filter(pl.col("from_day") > 0).select("person", changed_day="from_day", changed="country")
    joined = pl.DataFrame({"person": person, "country": held, "day": day}).join(
        later, on="person", how="left", maintain_order="left"
    )
    country = joined.select(
        pl.when(pl.col("changed_day") <= pl.col("day")).then("changed").otherwise("country")
    ).to_series()
    years = pl.Series(day).cast(pl.Date).dt.year().to_numpy()
    groups = group_matrix()
    names = np.array(GROUPS)[groups[country.to_numpy(), years - 2011]]
    return events.with_columns(
        sex=pl.Series(sex[person], dtype=pl.String), citizenship_group=pl.Series(names, dtype=pl.String)
    )


GROUPS = ("national", "eu", "efta", "candidate", "other")


def group_matrix() -> NDArray[np.int8]:
    """Give the place in GROUPS of each country in each year from 2011, composition of 1 January."""
    members = citizenship_groups()
    listed = countries()["country"].to_list()
    matrix = np.full((len(listed), 16), GROUPS.index("other"), dtype=np.int8)
    for year in range(2011, 2027):
        first = pl.date(year, 1, 1)
        then = members.filter(
            pl.col("valid_from").is_null() | (pl.col("valid_from") <= first),
            pl.col("valid_to").is_null() | (pl.col("valid_to") > first),
        )
        for group in ("candidate", "efta", "eu"):
            places = [listed.index(c) for c in then.filter(group=group)["country"] if c in listed]
            matrix[places, year - 2011] = GROUPS.index(group)
    matrix[listed.index(HOME)] = GROUPS.index("national")
    return matrix
