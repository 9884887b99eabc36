"""Rows of the published tables that a report shows: of a stratum, broken down by few dimensions or none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import polars as pl

from miglink.stages.publish.report.charts_over_time import Figure
from miglink.stages.publish.report.parts import country_name, day_name
from miglink.tables import TABLES
from miglink.tables.contract import DIMENSIONS

_TYPES = {
    "VARCHAR": pl.String,
    "DATE": pl.Date,
    "BIGINT": pl.Int64,
    "DOUBLE": pl.Float64,
    "INTEGER": pl.Int32,
}
_LENGTH = {"year": 4, "quarter": 7, "month": 7}
FLOWS = ("immigration", "emigration", "net")


@dataclass(frozen=True)
class About:
    """What a report says of the run that is in no published table.

    rules: the title of each rule by its name, and policies: both in the order of the configuration.
    protection: what disclosure control was applied, in sentences. configuration: the configuration used, as text.
    """

    run: str
    reporting_country: str
    data_to_date: date
    rules: Mapping[str, str] = field(default_factory=dict)
    policies: Sequence[str] = ()
    sources: Sequence[str] = ()
    months_without_crossings: str = ""
    protection: str = ""
    configuration: str = ""
    miglink: str = ""

    @property
    def country(self) -> str:
        """The reporting country as people know it."""
        return country_name(self.reporting_country)

    @property
    def last_day(self) -> str:
        """The last day of the observation, as `31 December 2023`."""
        return day_name(self.data_to_date - timedelta(days=1))


@dataclass(frozen=True)
class Published:
    """The published tables, and what is said of the run; a table that is not published has no rows.

    earlier: flows and stocks as the run before published them, or why there are none, in a sentence.
    """

    frames: Mapping[str, pl.LazyFrame]
    about: About
    earlier: Mapping[str, pl.LazyFrame] | str = ""

    def table(self, name: str) -> pl.LazyFrame:
        """A table as its contract has it."""
        schema = {column.name: _TYPES[column.type] for column in TABLES[name].columns}
        return self.frames[name] if name in self.frames else pl.LazyFrame(schema=schema)

    def cells(
        self, name: str, by: Sequence[str] = (), stratum: tuple[str, str] | None = None
    ) -> pl.DataFrame:
        """The rows of stocks, flows or accounts that are broken down by exactly these dimensions."""
        whole = [pl.col(dimension) == "total" for dimension in DIMENSIONS if dimension not in by]
        parts = [pl.col(dimension) != "total" for dimension in by]
        rows = self.table(name).filter(*whole, *parts)
        if stratum is not None:
            rows = rows.filter(rule=stratum[0], policy=stratum[1])
        return rows.drop([dimension for dimension in DIMENSIONS if dimension not in by]).collect()

    def measured(self, measure: str) -> pl.DataFrame:
        """Items and values of a measure of `quality`, in the order of the table."""
        return self.table("quality").filter(measure=measure).select("item", "value").collect()

    def value(self, measure: str, item: str = "all") -> float | None:
        """One value of `quality`; None where there is none."""
        found = self.measured(measure).filter(item=item)["value"]
        return float(found[0]) if found.len() and found[0] is not None else None

    def strata(self) -> list[tuple[str, str]]:
        """The rules and policies that figures are published for, in the order of the configuration."""
        named = pl.concat(
            [self.table(name).select("rule", "policy").unique() for name in ("flows", "stocks", "accounts")]
        )
        rules, policies = list(self.about.rules), list(self.about.policies)

        def place(stratum: tuple[str, str]) -> tuple[int, str, int, str]:
            rule, policy = stratum
            return (
                rules.index(rule) if rule in rules else len(rules),
                rule,
                policies.index(policy) if policy in policies else len(policies),
                policy,
            )

        return sorted(((str(r), str(p)) for r, p in named.unique().collect().iter_rows()), key=place)

    def rests_on(self, stratum: tuple[str, str], period: str = "", status: str = "") -> str:
        """Rule, policy, period, vintage and status of a figure, in one line."""
        said = [
            period_name(period) if period else "",
            f"rule {stratum[0]}, policy {stratum[1]}",
            f"data to {self.about.last_day}",
            status,
        ]
        return " · ".join(part for part in said if part)


def of_kind(frame: pl.DataFrame, kind: str) -> pl.DataFrame:
    """The rows of years, quarters, months or reference dates."""
    period = pl.col("period").str
    if kind == "date":
        return frame.filter(period.len_chars() == 10)
    is_quarter = period.contains("Q", literal=True)
    return frame.filter(period.len_chars() == _LENGTH[kind], is_quarter if kind == "quarter" else ~is_quarter)


def finest(frame: pl.DataFrame) -> str:
    """The longest kind of period that flows are published by: year, else quarter, else month; empty without any."""
    return next((kind for kind in _LENGTH if not of_kind(frame, kind).is_empty()), "")


def last_period(frame: pl.DataFrame) -> tuple[str, str]:
    """The last final period and `final`, else the last of all and `provisional`; nothing without rows."""
    for status in ("final", "provisional"):
        last = frame.filter(pl.col("status") == status)["period"].max()
        if last is not None:
            return str(last), status
    return "", ""


def period_name(period: str) -> str:
    """A reference date as people write it; other periods as they are."""
    return day_name(date.fromisoformat(period)) if len(period) == 10 else period


def figures(frame: pl.DataFrame, periods: Sequence[str]) -> list[Figure]:
    """The figures of periods, one row each; a period without a row has none."""
    columns = ("n_settled", "n_undetermined", "lower", "upper", "n")
    found = {row[0]: Figure(*row[1:]) for row in frame.select("period", *columns).iter_rows()}
    return [found.get(period, Figure(None, None)) for period in periods]


def figures_of_net(flow: pl.DataFrame, periods: Sequence[str]) -> list[Figure]:
    """Net migration of periods; what is undetermined of emigration would lower it."""
    net, out = (figures(flow.filter(flow=name), periods) for name in ("net", "emigration"))
    return [replace(one, less=other.undetermined or 0) for one, other in zip(net, out, strict=True)]
