"""Which figures are final: those that no crossing can change, be it a later one or one that was not delivered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import polars as pl

from miglink.config.rules import Rule
from miglink.config.stages import Period


@dataclass(frozen=True)
class Observation:
    """What the data can tell: the days they cover, the longest window of each rule, whom they list.

    flows_by_year_only: the rules that give no date of a migration, but the year in which a status changed.
    last_dates: of rules that give no status after some day, that day; nothing later is listed for them.
    first_dates: of rules that give none before some day, that day; nothing that begins earlier is listed for them.
    empty_months: first days of months without the crossings that they must have had (`find_empty_months`).
    rules_without_crossings: the rules that rest on other evidence, whose figures no such month touches.
    """

    period: Period
    windows: Mapping[str, int]
    has_population_list: bool
    flows_by_year_only: frozenset[str] = frozenset()
    last_dates: Mapping[str, date] = field(default_factory=dict)
    empty_months: Sequence[date] = ()
    first_dates: Mapping[str, date] = field(default_factory=dict)
    rules_without_crossings: frozenset[str] = frozenset()

    @property
    def data_to_date(self) -> date:
        """The first day that is no longer observed."""
        return self.period.to_date + timedelta(days=1)


def observe(
    period: Period, rules: Sequence[Rule], has_population_list: bool, empty_months: Sequence[date] = ()
) -> Observation:
    """What the data of a period can tell under some rules."""
    return Observation(
        period,
        {rule.name: rule.follow_up_days for rule in rules},
        has_population_list,
        frozenset(rule.name for rule in rules if not rule.has_flow_dates),
        {rule.name: rule.last_date for rule in rules if rule.last_date is not None},
        empty_months,
        {rule.name: rule.first_date for rule in rules if rule.first_date is not None},
        frozenset(rule.name for rule in rules if not rule.needs_crossings),
    )


def list_rows(strata: pl.DataFrame, periods: pl.DataFrame, observation: Observation) -> pl.DataFrame:
    """Every rule and policy with the periods or dates for which the rule gives a status."""
    rules = strata["rule"].unique()
    firsts = {rule: observation.first_dates.get(rule, date.min) for rule in rules}
    lasts = {rule: observation.last_dates.get(rule, date.max) for rule in rules}
    first, last = (pl.col("rule").replace_strict(days, return_dtype=pl.Date) for days in (firsts, lasts))
    # The status with which a period opens is that at the end of the day before.
    is_period = "first_date" in periods.columns
    opening = pl.col("first_date") - pl.duration(days=1) if is_period else pl.col("last_date")
    return strata.join(periods, how="cross").filter(opening >= first, pl.col("last_date") <= last)


def add_vintages(grid: pl.DataFrame, observation: Observation) -> pl.DataFrame:
    """Add data_to_date and status to rows of rule and last_date, and first_date where they are of periods.

    A figure is final if the whole window W of its rule after the last day counted has been observed (last day + W ≤
    data_to_date), and no empty month lies in what it rests on: its period, the window after it, and the window before
    it, but at least the year that ends there. Whoever left in a month that was not delivered is still counted in the
    stock, and of whoever crosses next the status before is mistaken.
    """
    last_date, day = pl.col("last_date"), pl.duration(days=1)
    window = pl.duration(days=pl.col("rule").replace_strict(dict(observation.windows), return_dtype=pl.Int64))
    # The day at whose end the status is in force that a stock counts, and that a flow or an account changes.
    opening = pl.col("first_date") - day if "first_date" in grid.columns else last_date
    since = pl.min_horizontal(opening - window + day, opening.dt.truncate("1y"))
    until = pl.max_horizontal(last_date + window, last_date + day)
    is_observed = last_date + window <= pl.lit(observation.data_to_date)
    is_touched = pl.any_horizontal(
        pl.lit(False),
        *(
            (pl.lit(month) < until) & (pl.lit(month).dt.month_end() >= since)
            for month in observation.empty_months
        ),
    )
    is_of_crossings = ~pl.col("rule").is_in(list(observation.rules_without_crossings))
    return grid.with_columns(
        data_to_date=pl.lit(observation.data_to_date),
        status=pl.when(is_observed & ~(is_touched & is_of_crossings))
        .then(pl.lit("final"))
        .otherwise(pl.lit("provisional")),
    )
