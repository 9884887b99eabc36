"""Stage 7: counts residents at reference dates, migrations in months and years, and draws up the accounts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from miglink.config.stages import EstimatesSettings, Period
from miglink.engine import Engine, Table
from miglink.stages.estimates.accounts import build_accounts, check_balance
from miglink.stages.estimates.cells import group_citizenships, tabulate
from miglink.stages.estimates.counts import Counts, count_all
from miglink.stages.estimates.histories import check_histories, find_cells, find_statuses
from miglink.stages.estimates.periods import flow_periods, reference_dates
from miglink.tables import TABLES

_FLOWS = ("immigration", "emigration", "net")


@dataclass(frozen=True)
class Histories:
    """The tables of persons that the estimates count."""

    residence: Table
    migrations: Table
    persons: Table
    person_traits: Table


@dataclass(frozen=True)
class Observation:
    """What the data can tell: the days they cover, the longest window of each rule, whom they list."""

    period: Period
    windows: Mapping[str, int]
    has_population_list: bool

    @property
    def data_to_date(self) -> date:
        """The first day that is no longer observed."""
        return self.period.to_date + timedelta(days=1)


def estimate(
    engine: Engine, histories: Histories, observation: Observation, settings: EstimatesSettings
) -> tuple[Table, Table, Table]:
    """Count stocks, flows and accounts by sex and citizenship group, with the total of each.

    Reads: residence and migrations (draw 0), persons, person_traits (citizenship).
    Gives: stocks, flows, accounts. Every month, year and 1 January that the observation covers is listed for
        every cell that occurs in any of them, with zeros where nobody is counted.
    Units: persons; settled migrations and crossings that may become one.
    Errors: ResultError if an account does not balance in every cell, or if residence and migrations
        contradict each other.
    Source: Regulation (EC) 862/2007, Article 3 (stocks and flows by sex and citizenship); Regulation (EU)
        351/2010 (groups of citizenship); docs/assumptions.md (stocks and the data's end).

    The choices made here:

    - The stock at 1 January is the status in force at the end of the day before. Cells use the trait in force
      on that day, flows the trait in force on the day of the event.
    - Citizenship groups have the composition of 1 January of the reference year: the year of the date for a
      stock, the year of the event for a flow, the year of the account for all of its terms. So an account
      balances within its year, but where the composition changes the closing of a cell may differ from its
      opening in the next year; the total never does.
    - Status is `final` if the whole window W of the rule has been observed after the last day counted (last
      day + W ≤ data_to_date): no later crossing can then change the figure. What missing crossings leave
      undetermined stays so, and does not make a figure provisional.
    - The headline `n` is null while the figure is provisional or anything in its cell is undetermined.
    """
    statuses = find_statuses(engine, histories.residence, histories.persons)
    cells = find_cells(engine, histories.persons, histories.person_traits)
    dates = reference_dates(observation.period)
    counts = count_all(engine, statuses, cells, histories.migrations, dates["last_date"].to_list())

    accounts = build_accounts(counts, observation.period, settings.reporting_country)
    check_balance(accounts)
    check_histories(engine, statuses, histories.migrations, histories.persons)

    stocks = _stocks(counts, dates, observation, settings)
    flows = _flows(counts, observation, settings)
    return (
        _write(engine, "stocks", stocks),
        _write(engine, "flows", flows),
        _write(engine, "accounts", accounts),
    )


def _stocks(
    counts: Counts, dates: pl.DataFrame, observation: Observation, settings: EstimatesSettings
) -> pl.DataFrame:
    """Residents and undetermined persons at each 1 January."""
    at_dates = group_citizenships(
        counts.statuses.join(dates, on="last_date"), settings.reporting_country
    ).select(
        "rule",
        "policy",
        "period",
        "sex",
        "citizenship_group",
        n_settled="n_resident",
        n_undetermined="n_undetermined",
    )
    table = tabulate(at_dates, counts.strata, dates, ("n_settled", "n_undetermined"))
    coverage = "population" if observation.has_population_list else "travellers_only"
    return _with_vintage(table, observation).with_columns(coverage=pl.lit(coverage))


def _flows(counts: Counts, observation: Observation, settings: EstimatesSettings) -> pl.DataFrame:
    """Immigration, emigration and net migration in each month and year."""
    grouped = group_citizenships(counts.migrations, settings.reporting_country)
    month = pl.format("{}-{}", "year", pl.col("month").cast(pl.String).str.zfill(2))
    by_period = pl.concat(
        [grouped.with_columns(period=pl.col("year").cast(pl.String)), grouped.with_columns(period=month)]
    )
    wide = by_period.select(
        "rule",
        "policy",
        "period",
        "sex",
        "citizenship_group",
        *(
            pl.when(direction=direction, outcome=outcome)
            .then("n")
            .otherwise(0)
            .alias(f"{direction} {outcome}")
            for direction in ("immigration", "emigration")
            for outcome in ("migration", "undetermined")
        ),
    )
    periods = flow_periods(observation.period, settings.periods)
    table = tabulate(wide, counts.strata, periods, tuple(wide.columns[5:])).with_columns(
        (pl.col("immigration migration") - pl.col("emigration migration")).alias("net migration"),
        (pl.col("immigration undetermined") + pl.col("emigration undetermined")).alias("net undetermined"),
    )
    long = pl.concat(
        table.with_columns(
            flow=pl.lit(flow),
            n_settled=pl.col(f"{flow} migration"),
            n_undetermined=pl.col(f"{flow} undetermined"),
        )
        for flow in _FLOWS
    )
    return _with_vintage(long, observation)


def _with_vintage(table: pl.DataFrame, observation: Observation) -> pl.DataFrame:
    """The headline where there is one, and whether later crossings can still change the figure."""
    window = pl.col("rule").replace_strict(dict(observation.windows), return_dtype=pl.Int64)
    is_final = pl.col("last_date") + pl.duration(days=window) <= pl.lit(observation.data_to_date)
    return table.with_columns(
        n=pl.when(is_final, pl.col("n_undetermined") == 0).then(pl.col("n_settled").cast(pl.Float64)),
        lower=pl.lit(None, pl.Float64),
        upper=pl.lit(None, pl.Float64),
        data_to_date=pl.lit(observation.data_to_date),
        status=pl.when(is_final).then(pl.lit("final")).otherwise(pl.lit("provisional")),
    )


def _write(engine: Engine, name: str, frame: pl.DataFrame) -> Table:
    columns = [column.name for column in TABLES[name].columns]
    counted = engine.frame(f"estimates_{name}", frame.select(columns))
    return engine.query(name, f"SELECT {', '.join(columns)} FROM counted", counted=counted)
