"""The figures of all runs side by side: what they are called, how old they are, and how they were revised."""

import calendar
from collections.abc import Iterable, Sequence
from datetime import date, timedelta

import polars as pl

from miglink.compare.inputs import Vintage
from miglink.engine import Engine
from miglink.tables.contract import DIMENSIONS

TOTAL = "total"
_NAMED = ["part", "rule", "policy", "period", "figure"]
# Part -> what its figure is called, in SQL.
_FIGURES = {"stocks": "'residents'", "flows": "flow"}
_VALUES = ["n_settled", "n_undetermined", "n", "lower", "upper", "status"]


def gather_figures(engine: Engine, vintages: Sequence[Vintage]) -> pl.DataFrame:
    """The stocks and flows of all runs: vintage, part, figure, the cell, its values, its age.

    Totals, and the cells of one dimension alone in which anybody is: all cells can be millions (`find_revisions`).
    """
    columns = ", ".join(("rule", "policy", "period", *DIMENSIONS, *_VALUES, "data_to_date"))
    n_totals = " + ".join(f"CASE WHEN {name} = '{TOTAL}' THEN 1 ELSE 0 END" for name in DIMENSIONS)
    n, found = len(DIMENSIONS), []
    for vintage in vintages:
        for part, figure in _FIGURES.items():
            rows = engine.collect(
                f"""SELECT {columns}, {figure} AS figure FROM figures
                WHERE {n_totals} = {n} OR ({n_totals} = {n - 1} AND (n_settled <> 0 OR n_undetermined <> 0))""",
                figures=vintage.tables[part],
            )
            found.append(
                rows.with_columns(part=pl.lit(part), vintage=pl.lit(vintage.number, pl.Int32)).select(
                    "vintage", *_NAMED, *DIMENSIONS, *_VALUES, "data_to_date"
                )
            )
    figures = pl.concat(found)
    days = describe_periods(figures["period"].unique().sort())
    return figures.join(days, on="period", how="left").with_columns(age_months=_age("data_to_date"))


def _age(data_to: str) -> pl.Expr:
    return completed_months(pl.col("last_date") + pl.duration(days=1), pl.col(data_to))


def describe_periods(names: Iterable[str]) -> pl.DataFrame:
    """What each period is and which days it has: period, kind, first_date, last_date (of a date: the day before)."""
    rows = [(name, *_days_of(name)) for name in names]
    schema = {"period": pl.String, "kind": pl.String, "first_date": pl.Date, "last_date": pl.Date}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _days_of(period: str) -> tuple[str, date, date]:
    """Kind, first and last day of a period by its name.

    >>> _days_of("2019-Q2")
    ('quarter', datetime.date(2019, 4, 1), datetime.date(2019, 6, 30))
    """
    year, *rest = period.split("-")
    if len(rest) == 2:
        day = date.fromisoformat(period) - timedelta(days=1)
        return "date", day, day
    if not rest:
        return "year", date(int(year), 1, 1), date(int(year), 12, 31)
    is_quarter = rest[0].startswith("Q")
    last = 3 * int(rest[0][1:]) if is_quarter else int(rest[0])
    first = last - 2 if is_quarter else last
    end = date(int(year), last, calendar.monthrange(int(year), last)[1])
    return ("quarter" if is_quarter else "month"), date(int(year), first, 1), end


def completed_months(since: pl.Expr, until: pl.Expr) -> pl.Expr:
    """Whole months from one day to another.

    >>> days = pl.DataFrame({"a": [date(2020, 1, 31), date(2020, 1, 1)], "b": [date(2020, 2, 29), date(2020, 7, 1)]})
    >>> days.select(completed_months(pl.col("a"), pl.col("b"))).to_series().to_list()
    [0, 6]
    """
    months = 12 * (until.dt.year() - since.dt.year()) + until.dt.month() - since.dt.month()
    return (months - (until.dt.day() < since.dt.day()).cast(pl.Int64)).cast(pl.Int64)


def find_revisions(engine: Engine, earlier: Vintage, later: Vintage) -> pl.DataFrame:
    """Every cell that two runs have, but those where nobody is in either (table `revisions`)."""
    found = pl.concat(_join_cells(engine, earlier, later, part) for part in _FIGURES)
    days = describe_periods(found["period"].unique().sort())
    settled = pl.col("earlier_n_settled")
    revision = pl.col("later_n_settled") - settled
    return found.join(days, on="period", how="left").with_columns(
        earlier=pl.lit(earlier.number, pl.Int32),
        later=pl.lit(later.number, pl.Int32),
        earlier_age_months=_age("earlier_data_to_date"),
        later_age_months=_age("later_data_to_date"),
        revision=revision,
        relative_revision=pl.when(settled != 0).then(revision / settled.abs()),
        is_covered=pl.col("later_n").is_between(pl.col("earlier_lower"), pl.col("earlier_upper")),
    )


def _join_cells(engine: Engine, earlier: Vintage, later: Vintage, part: str) -> pl.DataFrame:
    key = ("rule", "policy", "period", *(["flow"] if part == "flows" else []), *DIMENSIONS)
    named = ", ".join(f"a.{name}" for name in key if name != "flow")
    values = ", ".join(
        f"{alias}.{name} AS {side}_{name}"
        for alias, side in (("a", "earlier"), ("b", "later"))
        for name in (*_VALUES, "data_to_date")
    )
    same = " AND ".join(f"b.{name} = a.{name}" for name in key)
    is_total = " AND ".join(f"a.{name} = '{TOTAL}'" for name in DIMENSIONS)
    is_counted = " OR ".join(
        f"{alias}.{name} <> 0" for alias in "ab" for name in ("n_settled", "n_undetermined")
    )
    return engine.collect(
        f"""
        SELECT '{part}' AS part, {_FIGURES[part].replace("flow", "a.flow")} AS figure, {named}, {values}
        FROM earlier_cells a JOIN later_cells b ON {same}
        WHERE {is_counted} OR ({is_total})
        """,
        earlier_cells=earlier.tables[part],
        later_cells=later.tables[part],
    )


def totals_of(figures: pl.DataFrame) -> pl.DataFrame:
    """The figures that are not broken down (table `triangle`)."""
    return figures.filter(pl.all_horizontal(pl.col(*DIMENSIONS) == TOTAL))


def measure_by_age(totals: pl.DataFrame, last: int) -> pl.DataFrame:
    """How far totals of each age still moved up to the last run, by its number (table `revisions_by_age`)."""
    latest = totals.filter(pl.col("vintage") == last).select(*_NAMED, latest="n_settled", latest_n="n")
    compared = totals.filter(pl.col("vintage") != last).join(latest, on=_NAMED)
    revision = pl.col("latest") - pl.col("n_settled")
    is_covered = pl.col("latest_n").is_between(pl.col("lower"), pl.col("upper"))
    relative = pl.when(pl.col("n_settled") != 0).then(revision.abs() / pl.col("n_settled").abs())
    return compared.group_by("part", "rule", "policy", "figure", "kind", "age_months").agg(
        n_figures=pl.len().cast(pl.Int64),
        n_final=(pl.col("status") == "final").sum().cast(pl.Int64),
        mean_revision=revision.mean(),
        mean_absolute_revision=revision.abs().mean(),
        mean_absolute_relative=relative.mean(),
        covered_share=is_covered.cast(pl.Float64).mean(),
    )


def revise_accounts(engine: Engine, earlier: Vintage, later: Vintage) -> pl.DataFrame:
    """The totals of the accounts in two runs, term by term (table `account_revisions`)."""
    whole = " AND ".join(f"{name} = '{TOTAL}'" for name in DIMENSIONS)
    keys = ["rule", "policy", "period", "term"]
    sides = []
    for vintage in (earlier, later):
        rows = engine.collect(f"SELECT * FROM accounts WHERE {whole}", accounts=vintage.tables["accounts"])
        terms = [name for name, type_ in rows.schema.items() if type_ == pl.Int64 and name != "discrepancy"]
        sides.append(
            rows.unpivot(terms, index=["rule", "policy", "period"], variable_name="term", value_name="n")
        )
    closed = (
        sides[0]
        .filter(term="closing")
        .with_columns(
            period=(pl.col("period").cast(pl.Int64) + 1).cast(pl.String), term=pl.lit("opening_after_closing")
        )
    )
    opened = sides[1].filter(term="opening").with_columns(term=pl.lit("opening_after_closing"))
    before = pl.concat([sides[0], closed]).rename({"n": "earlier_n"})
    after = pl.concat([sides[1], opened]).rename({"n": "later_n"})
    return before.join(after, on=keys).with_columns(
        earlier=pl.lit(earlier.number, pl.Int32),
        later=pl.lit(later.number, pl.Int32),
        revision=pl.col("later_n") - pl.col("earlier_n"),
    )
