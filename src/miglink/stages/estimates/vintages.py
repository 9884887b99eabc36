"""Which figures are final: those that no crossing can change, be it a later one or one that was not delivered."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import polars as pl

from miglink.config.rules import Rule
from miglink.config.stages import Period
from miglink.config.windows import Days, Windows

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Observation:
    """What the data can tell: the days they cover, the longest window of each rule, whom they list.

    flows_by_year_only: the rules that give no date of a migration, but the year in which a status changed.
    last_dates: of rules that give no status after some day, that day; nothing later is listed for them.
    first_dates: of rules that give none before some day, that day; nothing that begins earlier is listed for them.
    empty_months: first days of months without the crossings that they must have had (`find_empty_months`).
    rules_without_crossings: the rules that rest on other evidence, whose figures no such month touches.
    observed: first and last day that is observed under each rule for which that is not the whole period.
    seen: first and last day on which crossings are observed; none: the whole period.
    listed: first and last day on which the list of the population is kept; none: the whole period.
    """

    period: Period
    windows: Mapping[str, int]
    has_population_list: bool
    flows_by_year_only: frozenset[str] = frozenset()
    last_dates: Mapping[str, date] = field(default_factory=dict)
    empty_months: Sequence[date] = ()
    first_dates: Mapping[str, date] = field(default_factory=dict)
    rules_without_crossings: frozenset[str] = frozenset()
    observed: Mapping[str, Days] = field(default_factory=dict)
    seen: Days | None = None
    listed: Days | None = None

    @property
    def data_to_date(self) -> date:
        """The first day that is no longer observed."""
        return self.period.to_date + _DAY

    def days_of(self, rule: str) -> Days:
        """The first and the last day that is observed under a rule."""
        return self.observed.get(rule, (self.period.from_date, self.period.to_date))

    def first_status_dates(self, rules: Iterable[str]) -> dict[str, date]:
        """The first day at whose end each rule gives a status; at first that is the day before it is observed."""
        return {
            rule: max(self.days_of(rule)[0] - _DAY, self.first_dates.get(rule, date.min)) for rule in rules
        }

    def last_status_dates(self, rules: Iterable[str]) -> dict[str, date]:
        """The last day at whose end each rule gives a status."""
        return {rule: min(self.days_of(rule)[1], self.last_dates.get(rule, date.max)) for rule in rules}

    def cut_to_crossings(self) -> "Observation":
        """What is observed of statuses and crossings together."""
        if self.seen is None:
            return self
        first, last = self.seen
        cut = {rule: (max(days[0], first), min(days[1], last)) for rule, days in self.observed.items()}
        return replace(self, period=Period.model_validate({"from": first, "to": last}), observed=cut)


def observe(
    windows: Windows, rules: Sequence[Rule], has_population_list: bool, empty_months: Sequence[date] = ()
) -> Observation:
    """What the data can tell under some rules."""
    of_rules = {name: (window.from_date, window.to_date) for name, window in windows.rules.items()}
    seen, listed = windows.crossings, windows.listed
    return Observation(
        windows.period,
        {rule.name: rule.follow_up_days for rule in rules},
        has_population_list,
        frozenset(rule.name for rule in rules if not rule.has_flow_dates),
        {rule.name: rule.last_date for rule in rules if rule.last_date is not None},
        empty_months,
        {rule.name: rule.first_date for rule in rules if rule.first_date is not None},
        frozenset(rule.name for rule in rules if not rule.needs_crossings),
        of_rules,
        (seen.from_date, seen.to_date),
        (listed.from_date, listed.to_date) if listed else None,
    )


def list_rows(strata: pl.DataFrame, periods: pl.DataFrame, observation: Observation) -> pl.DataFrame:
    """Every rule and policy with the periods or dates for which the rule gives a status."""
    rules = strata["rule"].unique()
    firsts, lasts = observation.first_status_dates(rules), observation.last_status_dates(rules)
    first, last = (pl.col("rule").replace_strict(days, return_dtype=pl.Date) for days in (firsts, lasts))
    # The status with which a period opens is that at the end of the day before.
    is_period = "first_date" in periods.columns
    opening = pl.col("first_date") - pl.duration(days=1) if is_period else pl.col("last_date")
    return strata.join(periods, how="cross").filter(opening >= first, pl.col("last_date") <= last)


def add_vintages(grid: pl.DataFrame, observation: Observation) -> pl.DataFrame:
    """Add data_to_date and status to rows of rule and last_date, and first_date where they are of periods.

    data_to_date is the first day that is not observed under the rule. A figure is final if the whole window W of its
    rule after the last day counted has been observed (last day + W ≤ data_to_date), and no empty month lies in what it
    rests on: its period, the window after it, and the window before it, but at least the year that ends there. Whoever
    left in a month that was not delivered is still counted in the stock, and of whoever crosses next the status before
    is mistaken. is_complete says that no such month does.
    """
    last_date, day = pl.col("last_date"), pl.duration(days=1)
    window = pl.duration(days=pl.col("rule").replace_strict(dict(observation.windows), return_dtype=pl.Int64))
    # The day at whose end the status is in force that a stock counts, and that a flow or an account changes.
    opening = pl.col("first_date") - day if "first_date" in grid.columns else last_date
    since = pl.min_horizontal(opening - window + day, opening.dt.truncate("1y"))
    until = pl.max_horizontal(last_date + window, last_date + day)
    ends = {rule: observation.days_of(rule)[1] + _DAY for rule in observation.windows}
    data_to_date = pl.col("rule").replace_strict(ends, return_dtype=pl.Date)
    is_observed = last_date + window <= data_to_date
    is_touched = pl.any_horizontal(
        pl.lit(False),
        *(
            (pl.lit(month) < until) & (pl.lit(month).dt.month_end() >= since)
            for month in observation.empty_months
        ),
    )
    is_of_crossings = ~pl.col("rule").is_in(list(observation.rules_without_crossings))
    is_complete = ~(is_touched & is_of_crossings)
    return grid.with_columns(
        data_to_date=data_to_date,
        is_complete=is_complete,
        status=pl.when(is_observed & is_complete).then(pl.lit("final")).otherwise(pl.lit("provisional")),
    )
