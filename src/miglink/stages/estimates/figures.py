"""The figures that are published: stocks, flows and accounts by every breakdown, with all their margins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from miglink.config.stages import EstimatesSettings
from miglink.engine import Engine
from miglink.stages.estimates.accounts import TERMS, check_balance, check_draws, count_terms, explain
from miglink.stages.estimates.ages import AGES
from miglink.stages.estimates.cells import cells_of, margins
from miglink.stages.estimates.counts import FLOWS, Counts, Histories, by_period, count_breakdown, count_drawn
from miglink.stages.estimates.dimensions import OF_FLOWS, Breakdown, Layout
from miglink.stages.estimates.drawn_cells import (
    CHANGES,
    DrawnCells,
    count_drawn_flows,
    count_drawn_stocks,
    find_changes,
    find_moments,
)
from miglink.stages.estimates.draws import Drawn
from miglink.stages.estimates.intervals import INTERVAL, add_intervals, find_point
from miglink.stages.estimates.periods import flow_periods, months_of, reference_dates
from miglink.stages.estimates.vintages import Observation, add_vintages, list_rows
from miglink.tables.contract import DIMENSIONS

_N = ("n_settled", "n_undetermined")
_Rows = Sequence[tuple[Breakdown, pl.DataFrame]]


@dataclass(frozen=True)
class Counted:
    """The counts of every breakdown, and the histories of the draws where there are any."""

    layout: Layout
    strata: pl.DataFrame
    observation: Observation
    settled: Mapping[Breakdown, Counts]
    drawn: Drawn | None = None

    def grid(self, periods: pl.DataFrame) -> pl.DataFrame:
        """Every rule and policy with the periods or dates that are published, and how final they are."""
        return add_vintages(list_rows(self.strata, periods, self.observation), self.observation)


def count_figures(
    engine: Engine, joined: Histories, layout: Layout, observation: Observation, drawn: Drawn | None = None
) -> Counted:
    """Count what is published by every breakdown of the layout."""
    dates = reference_dates(observation.period)
    settled = {
        breakdown: count_breakdown(engine, joined, layout.of(breakdown), dates, observation.period)
        for breakdown in layout.breakdowns
    }
    return Counted(layout, joined.strata, observation, settled, drawn)


def tabulate_accounts(engine: Engine, counted: Counted) -> pl.DataFrame:
    """The accounts of each year, by every breakdown that a stock has; ResultError unless all of them balance.

    So must those of every draw, which are not published: by the first breakdown without ages, for nobody counts the
    birthdays of the draws.
    """
    layout, drawn = counted.layout, counted.drawn
    grid = counted.grid(flow_periods(counted.observation.period, ("year",)))
    terms = [
        (breakdown, count_terms(counts, breakdown, layout))
        for breakdown, counts in counted.settled.items()
        if counts.statuses is not None
    ]
    for breakdown, counted_terms in terms:
        check_balance(counted_terms, breakdown, layout, grid)
    if drawn is not None:
        plain = (names for names in layout.breakdowns if not (OF_FLOWS | {*AGES}) & {*names})
        breakdown = next(plain, ())
        dates = reference_dates(counted.observation.period)
        counts = count_drawn(engine, drawn.histories, layout.of(breakdown), dates)
        check_draws(count_terms(counts, breakdown, layout), breakdown, drawn, grid)
    return explain(margins(terms, layout, grid, TERMS))


def tabulate_stocks(engine: Engine, counted: Counted) -> pl.DataFrame:
    """Residents and undetermined persons at each 1 January."""
    observation = counted.observation
    grid = counted.grid(reference_dates(observation.period))
    days = grid.select("last_date", "year", "period").unique()

    rows = [
        (
            breakdown,
            cells_of(
                counts.statuses.rename({"n_resident": "n_settled"}).join(days, on="last_date"),
                breakdown,
                counted.layout,
            ),
        )
        for breakdown, counts in counted.settled.items()
        if counts.statuses is not None
    ]
    cells = None
    if counted.drawn is not None:
        cells = count_drawn_stocks(engine, counted.drawn, counted.layout, days)
    stocks = [
        (breakdown, found.with_columns(flow=pl.lit("stock"), size="n_settled")) for breakdown, found in rows
    ]
    table = _tabulate(engine, counted, stocks, cells, grid.with_columns(flow=pl.lit("stock")))
    first, last = observation.listed or (date.min, date.max)
    # The stock that opens a period stands on the day before.
    is_listed = pl.lit(observation.has_population_list) & pl.col("last_date").is_between(
        max(first, date(1, 1, 2)) - timedelta(days=1), last
    )
    coverage = pl.when(is_listed).then(pl.lit("population")).otherwise(pl.lit("travellers_only"))
    return table.with_columns(coverage=coverage)


def tabulate_flows(engine: Engine, counted: Counted, settings: EstimatesSettings) -> pl.DataFrame:
    """Immigration, emigration and net migration in each month, quarter and year."""
    observation = counted.observation
    periods = flow_periods(observation.period, {"year", *settings.periods})
    by_year_only = pl.col("rule").is_in(list(observation.flows_by_year_only))
    is_listed = (
        pl.col("kind").is_in(settings.periods) & ~by_year_only | (pl.col("kind") == "year") & by_year_only
    )
    grid = counted.grid(periods).filter(is_listed).drop("kind")
    flows = pl.DataFrame({"flow": ["immigration", "emigration", "net"]})
    rows = [
        (breakdown, _by_flow(by_period(cells_of(counts.events, breakdown, counted.layout), settings.periods)))
        for breakdown, counts in counted.settled.items()
    ]
    cells = None
    if counted.drawn is not None:
        months = months_of(periods.filter(pl.col("kind").is_in(["year", *settings.periods])))
        cells = count_drawn_flows(engine, counted.drawn, counted.layout, months)
    return _tabulate(engine, counted, rows, cells, grid.join(flows, how="cross"))


def _by_flow(events: pl.DataFrame) -> pl.DataFrame:
    """A row for each flow; net migration is a difference, and what is undetermined of it a sum.

    size: what the standard error is measured against, which of net migration are both flows.
    """
    immigration, emigration, *undetermined = (pl.col(name) for name in FLOWS)
    values = {
        "immigration": (immigration, undetermined[0], immigration),
        "emigration": (emigration, undetermined[1], emigration),
        "net": (immigration - emigration, undetermined[0] + undetermined[1], immigration + emigration),
    }
    return pl.concat(
        events.select(
            *("rule", "policy", "period", *DIMENSIONS),
            flow=pl.lit(flow),
            n_settled=settled,
            n_undetermined=unknown,
            size=size,
        ).filter((pl.col("size") != 0) | (pl.col("n_undetermined") != 0))
        for flow, (settled, unknown, size) in values.items()
    )


def _tabulate(
    engine: Engine, counted: Counted, settled: _Rows, cells: DrawnCells | None, grid: pl.DataFrame
) -> pl.DataFrame:
    """The figures with their headline, and where there are draws its interval."""
    layout, drawn = counted.layout, counted.drawn
    if drawn is None or cells is None:
        table = margins(settled, layout, grid, _N)
        none = {name: pl.lit(None, pl.String if name == "interval_flag" else pl.Float64) for name in INTERVAL}
        return table.with_columns(**none | {"n": find_point(None)})
    changes = dict(find_changes(engine, cells))
    both = [(breakdown, _join_changes(rows, changes[breakdown])) for breakdown, rows in settled]
    table = margins(both, layout, grid, (*_N, *CHANGES, "size", "change_size"))
    return add_intervals(table, find_moments(engine, cells), drawn.settings)


def _join_changes(settled: pl.DataFrame, changes: pl.DataFrame) -> pl.DataFrame:
    """Settled counts and changes, which are added up later."""
    columns = [name for name in settled.columns if name in (*changes.columns, *_N, "size")]
    rows = pl.concat([settled.select(columns), changes], how="diagonal")
    return rows.with_columns(pl.col(pl.Int64).fill_null(0))
