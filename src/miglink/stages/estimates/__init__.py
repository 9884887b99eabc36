"""Stage 7: counts residents, migrations and the days lived, draws up the accounts, and compares rules and policies."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from miglink.config.mobility import MobilitySettings
from miglink.config.stages import EstimatesSettings
from miglink.engine import Engine, Table, identifier
from miglink.stages.estimates.counts import join_histories
from miglink.stages.estimates.dimensions import find_layout
from miglink.stages.estimates.draws import Draws, join_draws
from miglink.stages.estimates.empty_months import find_empty_months
from miglink.stages.estimates.figures import (
    count_figures,
    tabulate_accounts,
    tabulate_flows,
    tabulate_stocks,
)
from miglink.stages.estimates.flow_differences import count_flow_differences
from miglink.stages.estimates.histories import check_histories, find_statuses
from miglink.stages.estimates.list_status import count_list_status
from miglink.stages.estimates.listed_people import find_listed_people, has_lists
from miglink.stages.estimates.mobility import Travellers, count_mobility
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
from miglink.stages.estimates.vintages import Observation, observe
from miglink.tables import TABLES

__all__ = [
    "Asked",
    "Draws",
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
    draws: Draws | None = None,
) -> tuple[Table, ...]:
    """Count stocks, flows and accounts by each breakdown, with all its totals.

    Reads: residence and migrations (draw 0), persons, person_traits; doubts, residence_draws, migration_draws and
        trait_draws.
    Gives: stocks, flows, accounts, and for the published tables asked for shell_cells and shells. Every month,
        quarter, year (those asked for) and 1 January that the observation covers is listed for every cell that
        occurs in any of them, with zeros where nobody is counted. A dimension that a row is not broken down by
        holds `total`; a value that is not known is `unknown`, so every breakdown adds up to its total.
        other_country and purpose break down flows alone. shell_cells has cells with somebody in them alone.
    Units: persons; settled migrations and crossings that may become one.
    Errors: ResultError if an account does not balance in every cell and draw, or if residence and migrations
        contradict each other.
    Source: Regulation (EC) 862/2007, Article 3 (stocks and flows by sex and citizenship); Regulation (EU)
        351/2010 (groups of citizenship); docs/assumptions.md (stocks and the data's end); docs/intervals.md.

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
    - The headline `n` counts what is in doubt at its mean over the draws, and has an interval (`intervals`). Without
      draws it is null while the figure is provisional or anything in its cell is undetermined.
    """
    people = histories.persons, histories.person_traits
    layout = find_layout(engine, *people, histories.migrations, settings, asked.traits)
    statuses = find_statuses(engine, histories.residence, histories.persons)
    traits = find_traits(engine, *people, layout)
    joined = join_histories(engine, statuses, traits, histories.migrations, layout)
    in_doubt = join_draws(engine, draws, (statuses, histories.migrations), (*people, traits), layout)
    counted = count_figures(engine, joined, layout, observation, in_doubt)
    accounts = tabulate_accounts(engine, counted)
    check_histories(engine, statuses, histories.migrations, histories.persons)

    shells = describe_shells(engine, histories.migrations, people, observation, asked)
    cells = count_shell_cells(engine, (joined, in_doubt), layout, observation, asked.only(shells))
    return (
        _write(engine, "stocks", tabulate_stocks(engine, counted)),
        _write(engine, "flows", tabulate_flows(engine, counted, settings)),
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
    counted = count_figures(engine, joined, layout, observation)
    stocks, flows = tabulate_stocks(engine, counted), tabulate_flows(engine, counted, settings)
    shells = describe_shells(engine, histories.migrations, people, observation, asked)
    cells = count_shell_cells(engine, (joined, None), layout, observation, asked.only(shells))
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


def _write(engine: Engine, name: str, frame: pl.DataFrame) -> Table:
    columns = [column.name for column in TABLES[name].columns]
    counted = engine.frame(f"estimates_{name}", frame.select(columns))
    return engine.query(name, f"SELECT {', '.join(columns)} FROM counted", counted=counted)


def _write_nothing(engine: Engine, name: str, further: Sequence[str] = ()) -> Table:
    """The table without a row."""
    columns = [f"CAST(NULL AS {column.type}) AS {column.name}" for column in TABLES[name].columns]
    return engine.query(name, f"SELECT {', '.join([*columns, *further])} WHERE FALSE")
