"""Stage 7: counts residents, migrations and the days lived, draws up the accounts, and compares rules and policies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from miglink.config.mobility import MobilitySettings
from miglink.config.stages import EstimatesSettings
from miglink.engine import Engine, Table, identifier
from miglink.stages.estimates.accounts import TERMS, check_balance, count_terms, explain
from miglink.stages.estimates.cells import cells_of, margins
from miglink.stages.estimates.counts import FLOWS, Counts, by_period, count_breakdown, join_histories
from miglink.stages.estimates.dimensions import Breakdown, Layout, find_layout
from miglink.stages.estimates.empty_months import find_empty_months
from miglink.stages.estimates.flow_differences import count_flow_differences
from miglink.stages.estimates.histories import check_histories, find_statuses
from miglink.stages.estimates.list_status import count_list_status
from miglink.stages.estimates.listed_people import find_listed_people, has_lists
from miglink.stages.estimates.mobility import Travellers, count_mobility
from miglink.stages.estimates.periods import flow_periods, reference_dates
from miglink.stages.estimates.person_time import count_person_days
from miglink.stages.estimates.record_keys import key_traits, list_cell_keys
from miglink.stages.estimates.shell_cells import (
    NOTHING_ASKED,
    Asked,
    count_shell_cells,
    describe_shells,
    name_uncoded,
)
from miglink.stages.estimates.stock_differences import count_stock_differences
from miglink.stages.estimates.strata import number_strata
from miglink.stages.estimates.traits import find_traits
from miglink.stages.estimates.vintages import Observation, add_vintages, list_rows, observe
from miglink.tables import TABLES

__all__ = [
    "Asked",
    "Histories",
    "Observation",
    "Travellers",
    "compare_rules",
    "count_mobility",
    "describe_lists",
    "estimate",
    "find_empty_months",
    "find_person_time",
    "observe",
    "sum_record_keys",
]


@dataclass(frozen=True)
class Histories:
    """The tables of persons that the estimates count."""

    residence: Table
    migrations: Table
    persons: Table
    person_traits: Table


def estimate(
    engine: Engine,
    histories: Histories,
    observation: Observation,
    settings: EstimatesSettings,
    asked: Asked = NOTHING_ASKED,
) -> tuple[Table, ...]:
    """Count stocks, flows and accounts by each breakdown, with all its totals.

    Reads: residence and migrations (draw 0), persons, person_traits.
    Gives: stocks, flows, accounts, and for the published tables asked for shell_cells and shells. Every month,
        quarter, year (those asked for) and 1 January that the observation covers is listed for every cell that
        occurs in any of them, with zeros where nobody is counted. A dimension that a row is not broken down by
        holds `total`; a value that is not known is `unknown`, so every breakdown adds up to its total.
        other_country and purpose break down flows alone. shell_cells has cells with somebody in them alone.
    Units: persons; settled migrations and crossings that may become one.
    Errors: ResultError if an account does not balance in every cell, or if residence and migrations
        contradict each other.
    Source: Regulation (EC) 862/2007, Article 3 (stocks and flows by sex and citizenship); Regulation (EU)
        351/2010 (groups of citizenship); docs/assumptions.md (stocks and the data's end).

    The choices made here:

    - The stock at 1 January is the status in force at the end of the day before. Cells use the trait and the
      age of that day, flows those of the day that a migration is counted on (`counted_date`).
    - A change of trait while resident, and a birthday, moves a person between cells of the accounts.
    - Citizenship groups have the composition of 1 January of the reference year: the year of the date for a
      stock, the year of the event for a flow, the year of the account for all of its terms. So an account
      balances within its year, but where the composition changes the closing of a cell may differ from its
      opening in the next year; the total never does.
    - Status is `final` if the whole window W of the rule has been observed after the last day counted (last
      day + W ≤ data_to_date): no crossing recorded later can then change whose crossings are complete. What
      missing crossings leave undetermined, or presume after the last crossing recorded, may still move, and does
      not make a figure provisional; a month that lacks them all does, in every figure that rests on it
      (`add_vintages`).
    - The headline `n` is null while the figure is provisional or anything in its cell is undetermined.
    """
    people = histories.persons, histories.person_traits
    layout = find_layout(engine, *people, histories.migrations, settings, asked.traits)
    statuses = find_statuses(engine, histories.residence, histories.persons)
    traits = find_traits(engine, *people, layout)
    joined = join_histories(engine, statuses, traits, histories.migrations, layout)
    dates = reference_dates(observation.period)
    counts = {
        breakdown: count_breakdown(engine, joined, layout.of(breakdown), dates, observation.period)
        for breakdown in layout.breakdowns
    }
    accounts = _accounts(counts, layout, joined.strata, observation)
    check_histories(engine, statuses, histories.migrations, histories.persons)

    shells = describe_shells(engine, histories.migrations, people, observation, asked)
    cells = count_shell_cells(engine, joined, layout, observation, asked.only(shells))
    stocks = _stocks(counts, layout, list_rows(joined.strata, dates, observation), observation)
    return (
        _write(engine, "stocks", stocks),
        _write(engine, "flows", _flows(counts, layout, joined.strata, observation, settings)),
        _write(engine, "accounts", accounts),
        _write(engine, "shell_cells", cells),
        _write(engine, "shells", name_uncoded(shells, cells, asked.only(shells))),
    )


def sum_record_keys(
    engine: Engine,
    histories: Histories,
    observation: Observation,
    settings: EstimatesSettings,
    key: str | None,
    asked: Asked = NOTHING_ASKED,
) -> Table:
    """Add up the record keys of the persons whom stocks, flows and shell_cells count, cell by cell.

    Reads: as `estimate`.
    Gives: cell_keys; without a row where there is no key, for then no noise rests on them.
    Units: 0 to 4095, a sum modulo 4096.
    Errors: TableError if the contract is broken.
    Source: ONS, Cell Key Perturbation; docs/protection.md.
    """
    if key is None:
        return _write_nothing(engine, "cell_keys")
    people = histories.persons, histories.person_traits
    layout = find_layout(engine, *people, histories.migrations, settings, asked.traits)
    statuses = find_statuses(engine, histories.residence, histories.persons)
    traits = key_traits(engine, find_traits(engine, *people, layout), histories.persons, key)
    joined = join_histories(engine, statuses, traits, histories.migrations, layout, is_keyed=True)
    dates = reference_dates(observation.period)
    counts = {
        breakdown: count_breakdown(engine, joined, layout.of(breakdown), dates, observation.period)
        for breakdown in layout.breakdowns
    }
    stocks = _stocks(counts, layout, list_rows(joined.strata, dates, observation), observation)
    flows = _flows(counts, layout, joined.strata, observation, settings)
    shells = describe_shells(engine, histories.migrations, people, observation, asked)
    cells = count_shell_cells(engine, joined, layout, observation, asked.only(shells))
    return _write(engine, "cell_keys", list_cell_keys(stocks, flows, cells))


def compare_rules(
    engine: Engine, residence: Table, migrations: Table, observation: Observation
) -> tuple[Table, Table]:
    """Compare every rule and policy of a run with every other, person by person.

    Reads: residence and migrations (draw 0), which `estimate` has found to agree.
    Gives: stock_differences (the residents of each at every 1 January, by the status that each other gives them) and
        flow_differences (the settled migrations of each whole year, by what each other makes of them). Both are empty
        where there is one rule and policy. Added up over the statuses, or outcomes, under one other, they are the
        settled totals of stocks and flows; what both count is the same in either direction.
    Units: persons; settled migrations.
    Errors: TableError if a contract is broken.
    Source: docs/analysts.md (two rules, one person); methods of miglink, sections 2 and 4.
    """
    strata = number_strata(engine, residence, observation)
    if strata.height < 2:
        return _write_nothing(engine, "stock_differences"), _write_nothing(engine, "flow_differences")
    stocks = count_stock_differences(engine, residence, strata, observation)
    flows = count_flow_differences(engine, residence, migrations, strata, observation)
    return _write(engine, "stock_differences", stocks), _write(engine, "flow_differences", flows)


def find_person_time(engine: Engine, residence: Table, spells: Table, observation: Observation) -> Table:
    """Count the days lived under each status and the evidence that it rests on, under every rule and policy.

    Reads: residence and spells (draw 0).
    Gives: person_time. Days of presence are those of the spells, at least (present) and at most (unresolved too);
        unseen days are of persons without crossings. The rest of person_days was spent abroad at least.
    Units: person-days, from the first observed day up to but not on data_to_date; a day has the status and the
        presence of its end. Nothing is counted after the last day for which a rule gives a status.
    Errors: TableError if the contract is broken.
    Source: methods of miglink, section 2 (the share of person-time that rests on each kind of evidence).
    """
    strata = number_strata(engine, residence, observation)
    if strata.is_empty():
        return _write_nothing(engine, "person_time")
    days = count_person_days(engine, residence, spells, strata, observation)
    return _write(engine, "person_time", days)


def describe_lists(
    engine: Engine,
    travellers: Travellers,
    observation: Observation,
    settings: EstimatesSettings,
    mobility: MobilitySettings,
) -> tuple[Table, Table]:
    """Say of each record of a census, survey or other list whether it is a migrant's, under every rule and policy.

    Reads: records and record_persons (kind people), residence, migrations and spells (draw 0), persons, person_traits.
    Gives: listed_people, a row for each record; list_status, their number and weights by group, which add up to the
        list. Both are empty where no source is of kind people.
    Units: records; persons that a record stands for.
    Errors: TableError if a contract is broken.
    Source: UN Expert Group Meeting on Improving Migration Data in the Context of the 2030 Agenda (2017): SDG
        indicators by migratory status, at least country of birth and citizenship; docs/assumptions.md (lists).
    """
    if not has_lists(engine, travellers.records):
        traits = [f"CAST(NULL AS VARCHAR) AS {identifier(name)}" for name in settings.traits]
        return _write_nothing(engine, "listed_people", traits), _write_nothing(engine, "list_status")
    country_and_traits = (settings.reporting_country, settings.traits)
    listed = find_listed_people(engine, travellers, observation, mobility.circular, country_and_traits)
    return listed, _write(engine, "list_status", count_list_status(engine, listed, observation))


def _accounts(
    counts: Mapping[Breakdown, Counts], layout: Layout, strata: pl.DataFrame, observation: Observation
) -> pl.DataFrame:
    """The accounts of each year, by every breakdown that a stock has."""
    grid = list_rows(strata, flow_periods(observation.period, ("year",)), observation)
    grid = add_vintages(grid, observation)
    terms = [
        (breakdown, count_terms(counted, breakdown, layout))
        for breakdown, counted in counts.items()
        if counted.statuses is not None
    ]
    for breakdown, counted_terms in terms:
        check_balance(counted_terms, breakdown, layout, grid)
    return explain(margins(terms, layout, grid, TERMS))


def _stocks(
    counts: Mapping[Breakdown, Counts], layout: Layout, grid: pl.DataFrame, observation: Observation
) -> pl.DataFrame:
    """Residents and undetermined persons at each 1 January."""
    measures = ("n_settled", "n_undetermined")
    grid = add_vintages(grid, observation)
    by_cell = [
        (
            breakdown,
            cells_of(
                counted.statuses.rename({"n_resident": "n_settled"}).join(
                    grid.select("last_date", "year", "period").unique(), on="last_date"
                ),
                breakdown,
                layout,
            ),
        )
        for breakdown, counted in counts.items()
        if counted.statuses is not None
    ]
    table = margins(by_cell, layout, grid, measures)
    first, last = observation.listed or (date.min, date.max)
    # The stock that opens a period stands on the day before.
    is_listed = pl.lit(observation.has_population_list) & pl.col("last_date").is_between(
        max(first, date(1, 1, 2)) - timedelta(days=1), last
    )
    coverage = pl.when(is_listed).then(pl.lit("population")).otherwise(pl.lit("travellers_only"))
    return _with_headline(table).with_columns(coverage=coverage)


def _flows(
    counts: Mapping[Breakdown, Counts],
    layout: Layout,
    strata: pl.DataFrame,
    observation: Observation,
    settings: EstimatesSettings,
) -> pl.DataFrame:
    """Immigration, emigration and net migration in each month, quarter and year."""
    periods = flow_periods(observation.period, {"year", *settings.periods})
    by_year_only = pl.col("rule").is_in(list(observation.flows_by_year_only))
    is_listed = (
        pl.col("kind").is_in(settings.periods) & ~by_year_only | (pl.col("kind") == "year") & by_year_only
    )
    grid = list_rows(strata, periods, observation).filter(is_listed).drop("kind")
    grid = add_vintages(grid, observation)
    by_cell = [
        (breakdown, by_period(cells_of(counted.events, breakdown, layout), settings.periods))
        for breakdown, counted in counts.items()
    ]
    table = margins(by_cell, layout, grid, FLOWS).with_columns(
        (pl.col("immigration") - pl.col("emigration")).alias("net"),
        (pl.col("immigration_undetermined") + pl.col("emigration_undetermined")).alias("net_undetermined"),
    )
    long = pl.concat(
        table.with_columns(
            flow=pl.lit(flow), n_settled=pl.col(flow), n_undetermined=pl.col(f"{flow}_undetermined")
        )
        for flow in ("immigration", "emigration", "net")
    )
    return _with_headline(long)


def _with_headline(table: pl.DataFrame) -> pl.DataFrame:
    """The headline, where the figure is final and nothing is undetermined; an interval comes later."""
    is_known = (pl.col("status") == "final") & (pl.col("n_undetermined") == 0)
    return table.with_columns(
        n=pl.when(is_known).then(pl.col("n_settled").cast(pl.Float64)),
        lower=pl.lit(None, pl.Float64),
        upper=pl.lit(None, pl.Float64),
    )


def _write(engine: Engine, name: str, frame: pl.DataFrame) -> Table:
    columns = [column.name for column in TABLES[name].columns]
    counted = engine.frame(f"estimates_{name}", frame.select(columns))
    return engine.query(name, f"SELECT {', '.join(columns)} FROM counted", counted=counted)


def _write_nothing(engine: Engine, name: str, further: Sequence[str] = ()) -> Table:
    """The table without a row."""
    columns = [f"CAST(NULL AS {column.type}) AS {column.name}" for column in TABLES[name].columns]
    return engine.query(name, f"SELECT {', '.join([*columns, *further])} WHERE FALSE")
