"""Mobility beyond migration: stays of non-residents, trips of residents, to and fro, and days above a limit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import polars as pl

from miglink.config.mobility import MobilitySettings, RollingWindowRule
from miglink.engine import Engine, Table
from miglink.stages.estimates.cells import group_citizenships
from miglink.stages.estimates.histories import find_statuses
from miglink.stages.estimates.mobility.rolling_days import count_above_sql, find_days_above
from miglink.stages.estimates.mobility.stays import (
    count_circular_sql,
    count_commuters_sql,
    count_lived_abroad_sql,
    count_present_sql,
    count_returns_sql,
    count_stays_sql,
    find_citizenships,
    find_stays,
)
from miglink.stages.estimates.periods import flow_periods, reference_dates
from miglink.stages.estimates.vintages import Observation, add_vintages
from miglink.tables import TABLES

__all__ = ["Travellers", "count_mobility"]

_COUNTS = ("n_settled", "n_undetermined")
_AT_DATES = ("present_non_residents", "lived_abroad", "circular_migrants")
_KEYS = ("rule", "policy", "period", "measure", "duration", "purpose", "citizenship_group")


@dataclass(frozen=True)
class Travellers:
    """The tables of persons that mobility is counted from."""

    residence: Table
    migrations: Table
    persons: Table
    person_traits: Table
    spells: Table
    records: Table
    record_persons: Table


def count_mobility(
    engine: Engine,
    travellers: Travellers,
    observation: Observation,
    settings: MobilitySettings,
    reporting_country: str,
) -> Table:
    """Count stays, trips and returns by year, persons at reference dates, and days above the limit of each rule.

    Gives: mobility; a row for each combination that occurs, nothing is added up.
    Units: as the measure says. Days of a stay: the day of entry counts, the day of exit does not; a rule with a limit
        counts as it says.
    Errors: none.
    Source: UN Conceptual Framework on International Migration and Mobility (2021): mobility is what is no change of
        residence; UNECE Task Force on Measuring Circular Migration (2016); Reg. (EC) 883/2004 Art 1(f) (frontier
        workers); Reg. (EU) 2016/399 Art 6(1) (short stays).

    A stay begins as its person's status is at the end of that day: who becomes a resident by the arrival has no stay
    but a migration. Citizenship is that of the last day of a stay, and of the day that is counted otherwise.
    """
    observation = observation.cut_to_crossings()
    statuses = find_statuses(engine, travellers.residence, travellers.persons)
    dates = reference_dates(observation.period)
    given: dict[str, Table | pl.DataFrame] = {
        "stays": find_stays(engine, travellers.spells, travellers.records),
        "statuses": statuses,
        "citizenships": find_citizenships(engine, travellers.person_traits),
        "migrations": travellers.migrations,
        "persons": travellers.persons,
        "spells": travellers.spells,
        "dates": dates.select("year", "last_date"),
    }
    selects = [
        count_stays_sql(settings.durations),
        count_returns_sql(),
        count_commuters_sql(settings.commuters),
        count_present_sql(),
        count_lived_abroad_sql(reporting_country),
        count_circular_sql(settings.circular),
    ]
    found = [engine.collect(select, **given) for select in selects]
    for rule in settings.rules:
        above = find_days_above(
            engine,
            travellers.spells,
            travellers.records,
            travellers.record_persons,
            (rule, observation.data_to_date),
        )
        counted = engine.collect(
            count_above_sql(rule),
            above=above,
            years=_days_of_years(observation),
            citizenships=given["citizenships"],
        )
        found.append(_of_groups(counted, rule, reporting_country))
    counts = _label(pl.concat(found, how="diagonal_relaxed"), settings.durations)
    return _write(engine, _sum(counts, reporting_country), dates, observation, settings)


def _days_of_years(observation: Observation) -> pl.DataFrame:
    """The years of the observation as numbers of days: from_day up to but not on until_day."""
    epoch = date(1900, 1, 1)
    years = range(observation.period.from_date.year, observation.period.to_date.year + 1)
    days = {
        name: [(date(year + add, 1, 1) - epoch).days for year in years]
        for name, add in (("from_day", 0), ("until_day", 1))
    }
    return pl.DataFrame({"year": list(years), **days})


def _of_groups(counted: pl.DataFrame, rule: RollingWindowRule, reporting_country: str) -> pl.DataFrame:
    """The counts of those whom the rule binds."""
    if rule.citizenship_groups is None:
        return counted
    grouped = group_citizenships(_with_year(counted), reporting_country)
    is_bound = pl.col("citizenship_group").is_in(list(rule.citizenship_groups))
    return grouped.filter(is_bound).drop("citizenship_group")


def _with_year(counts: pl.DataFrame) -> pl.DataFrame:
    return counts.with_columns(pl.col("year").cast(pl.Int32))


def _label(counts: pl.DataFrame, durations: Sequence[int]) -> pl.DataFrame:
    """The class of duration in words, `total` where a measure has none; likewise the purpose."""
    starts = (0, *durations)
    ends = (*(day - 1 for day in durations), None)
    names = {
        place: f"{start}+" if end is None else str(start) if start == end else f"{start}-{end}"
        for place, (start, end) in enumerate(zip(starts, ends, strict=True))
    }
    has_length = pl.col("measure").is_in(["stays", "trips"])
    duration = (
        pl.col("duration").cast(pl.Int64).replace_strict(names, default="unknown", return_dtype=pl.String)
    )
    return _with_year(counts).with_columns(
        duration=pl.when(has_length).then(duration).otherwise(pl.lit("total")),
        purpose=pl.when(has_length).then(pl.col("purpose")).otherwise(pl.lit("total")),
        period=pl.when(pl.col("measure").is_in(_AT_DATES))
        .then(pl.format("{}-01-01", "year"))
        .otherwise(pl.col("year").cast(pl.String)),
    )


def _sum(counts: pl.DataFrame, reporting_country: str) -> pl.DataFrame:
    grouped = group_citizenships(counts, reporting_country)
    return grouped.group_by(_KEYS).agg(pl.col(_COUNTS).cast(pl.Int64).sum())


def _write(
    engine: Engine,
    counts: pl.DataFrame,
    dates: pl.DataFrame,
    observation: Observation,
    settings: MobilitySettings,
) -> Table:
    """The counts of whole periods for which the rule gives a status, with their vintage."""
    years = flow_periods(observation.period, ("year",)).drop("kind")
    periods = pl.concat([years, dates.select("period", "last_date")], how="diagonal").join(
        counts.select("rule", "policy", "period", "measure").unique(), on="period"
    )
    rules = counts["rule"].unique()
    firsts, lasts = observation.first_status_dates(rules), observation.last_status_dates(rules)
    first, last = (pl.col("rule").replace_strict(days, return_dtype=pl.Date) for days in (firsts, lasts))
    opening = pl.coalesce(pl.col("first_date") - pl.duration(days=1), pl.col("last_date"))
    in_force = (opening >= first) & (pl.col("last_date") <= last)
    # Days above a limit are known when the year is over.
    windows = {**observation.windows, **{rule.name: 0 for rule in settings.rules}}
    dated = add_vintages(periods.filter(in_force), replace(observation, windows=windows))
    years_back = pl.col("last_date").dt.offset_by(f"-{settings.circular.years}y")
    first_days = {rule: observation.days_of(rule)[0] for rule in rules}
    is_cut = (pl.col("measure") == "circular_migrants") & (
        years_back < pl.col("rule").replace_strict(first_days, return_dtype=pl.Date)
    )
    told = dated.with_columns(
        status=pl.when(is_cut).then(pl.lit("provisional")).otherwise(pl.col("status"))
    ).select("rule", "policy", "period", "measure", "data_to_date", "status")
    table = counts.join(told, on=["rule", "policy", "period", "measure"])
    columns = [column.name for column in TABLES["mobility"].columns]
    written = engine.frame("estimates_mobility", table.select(columns))
    return engine.query("mobility", f"SELECT {', '.join(columns)} FROM counted", counted=written)
