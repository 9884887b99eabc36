"""The summary of a run for the terminal: tables of rich, made from the published tables alone."""

from collections.abc import Sequence

import polars as pl
from rich.box import SIMPLE
from rich.console import Group
from rich.table import Table as Grid
from rich.text import Text

from miglink.engine import Table
from miglink.stages.publish.intervals import render_intervals
from miglink.stages.publish.published import read_rows
from miglink.stages.publish.spread import render_spread
from miglink.tables.contract import DIMENSIONS

_PROVISIONAL = "p"
_FLOWS = ("immigration", "emigration", "net")
# Standard errors of the forecast beyond which the last back-test says that people no longer behave as before.
_MOST_DRIFT = 3.0
_COVERAGE = {
    "population": "usual residents",
    "travellers_only": "travellers only: residents who never crossed the border are missing",
}
# Headings of two lines: in a terminal of 80 columns a number must not be cut.
_TERMS = {
    "opening": "1\nJanuary",
    "immigration": "immi-\ngration",
    "emigration": "emi-\ngration",
    "births": "\nbirths",
    "deaths": "\ndeaths",
    "moves": "\nmoves",
    "net_undetermined": "newly\nsettled",
    "closing": "31\nDecember",
}


def render_summary(
    stocks: Table, flows: Table, accounts: Table | None, quality: Table | None = None
) -> Group:
    """For each rule and policy: migration and stock by year, with intervals, and the accounts of the last final year.

    Months without any crossing (of `quality`) come first: they change what all the figures are worth. How far several
    rules and policies lie apart follows them, then where the last back-test of unfinished follow-up has failed, and
    what a clerical review found.
    """
    stock, flow = _read(stocks), _read(flows)
    account = _read(accounts) if accounts is not None else None
    strata = (
        pl.concat([stock.select("rule", "policy"), flow.select("rule", "policy")])
        .unique()
        .sort("rule", "policy")
    )
    shown: list[Grid | Text] = _warnings(quality) if quality is not None else []
    for rule, policy in strata.iter_rows():
        of_stratum = flow.filter(rule=rule, policy=policy)
        years = of_stratum.filter(pl.col("period").str.len_chars() == 4)
        dates = stock.filter(rule=rule, policy=policy)
        shown.append(_by_year(rule, policy, dates, years))
        shown += render_intervals(rule, policy, dates, years)
        if account is None:  # of a protected run
            continue
        cells = account.filter(rule=rule, policy=policy)
        final = cells.filter(status="final")["period"].max()
        if final is not None:
            shown.append(_by_cell(rule, policy, str(final), cells.filter(period=final)))
        elif not years.is_empty():
            shown.append(Text("No year is final yet, so none is broken down.", style="dim"))
    shown += render_spread(stock, flow)
    shown += [*_drift(quality), *_review(quality)] if quality is not None else []
    return (
        Group(*shown)
        if strata.height
        else Group(*shown, Text("There is nothing to count: no person has a status."))
    )


def empty_months(quality: Table) -> list[str]:
    """The months without any crossing, though months have many: 2019-02, in their order."""
    named = read_rows(quality).filter(pl.col("item") != "all", measure="months_without_crossings")
    return named["item"].sort().to_list()


def _warnings(quality: Table) -> list[Grid | Text]:
    months = empty_months(quality)
    if not months:
        return []
    return [
        Text(
            f"No source has any crossing in {month_ranges(months)}. Is a file missing, or does `period` go beyond the "
            f"data? Figures that rest on such a month are provisional ({_PROVISIONAL}); without its crossings they are "
            "wrong.",
            style="bold yellow",
        ),
        Text(),
    ]


def _drift(quality: Table) -> list[Grid | Text]:
    """Where the crossings open at the last cut became migrations far more or less often than those of earlier years."""
    rows = read_rows(quality).filter(pl.col("measure").str.starts_with("follow_up_"))
    if rows.is_empty():  # in a protected run
        return []
    wide = rows.pivot(on="measure", index="item", values="value").sort("item")
    if "follow_up_drift" not in wide.columns:
        return []
    return [
        Text(
            f"People no longer behave as before ({row['item']}): of {row['follow_up_open']:,.0f} crossings that were "
            f"open at the last back-test {row['follow_up_migrations']:,.0f} became a migration, where earlier years "
            f"make {row['follow_up_forecast']:,.0f} likely, {abs(row['follow_up_drift']):.1f} standard errors away. "
            "What is still open now is forecast from the same years: see docs/intervals.md.",
            style="bold yellow",
        )
        for row in wide.filter(pl.col("follow_up_drift").abs() > _MOST_DRIFT).iter_rows(named=True)
    ]


def _review(quality: Table) -> list[Grid | Text]:
    """Precision and recall of the links as decisions on a drawn sample of pairs give them, with 95 % intervals."""
    rows = read_rows(quality).filter(pl.col("measure").str.starts_with("clerical_"), item="all")
    found = dict(rows.select("measure", "value").iter_rows())
    said = [
        f"{name} {found[f'clerical_{name}']:.4f} ({found[f'clerical_{name}_low']:.4f} to "
        f"{found[f'clerical_{name}_high']:.4f})"
        for name in ("precision", "recall")
        if f"clerical_{name}" in found
    ]
    if not said:
        return []
    pairs = f"{found['clerical_decided']:,.0f} decided pairs of {found['clerical_pairs']:,.0f} in `links`"
    return [Text(f"Clerical review, {pairs}: {', '.join(said)}.")]


def month_ranges(months: Sequence[str]) -> str:
    """Months in their order, those that follow one another as a range: 2019-02 to 2019-05, 2020-01."""
    month = pl.col("month")
    number = month.str.head(4).cast(pl.Int32) * 12 + month.str.tail(2).cast(pl.Int32)
    # Within a run of months the number grows as fast as the row.
    run = number - pl.int_range(pl.len())
    runs = (
        pl.DataFrame({"month": months}, schema={"month": pl.String})
        .group_by(run.alias("run"), maintain_order=True)
        .agg(first=month.first(), last=month.last())
    )
    said = (
        pl.when(pl.col("first") == pl.col("last"))
        .then("first")
        .otherwise(pl.format("{} to {}", "first", "last"))
    )
    return ", ".join(runs.select(said.alias("said"))["said"])


def _read(table: Table) -> pl.DataFrame:
    """The rows by sex and citizenship group and their totals, without every other breakdown."""
    others = [name for name in DIMENSIONS if name not in ("sex", "citizenship_group")]
    return read_rows(table).filter(pl.all_horizontal(pl.col(*others) == "total")).drop(others)


def _by_year(rule: str, policy: str, stock: pl.DataFrame, years: pl.DataFrame) -> Grid:
    """Totals by year: immigration, emigration, net, stock at 1 January; undetermined beside settled.

    Where flows are not published by year, the stocks alone.
    """
    flows = () if years.is_empty() else _FLOWS
    everybody = {"sex": "total", "citizenship_group": "total"}
    at_january = stock.filter(**everybody).select(
        pl.col("period").str.head(4),
        stock="n_settled",
        stock_undetermined="n_undetermined",
        stock_status="status",
    )
    total = years.filter(**everybody)
    wide = at_january
    for name in flows:
        measures = total.filter(flow=name).select(
            "period", pl.col("n_settled").alias(name), pl.col("n_undetermined").alias(f"{name}_undetermined")
        )
        wide = wide.join(measures, on="period", how="full", coalesce=True)
    status = total.filter(flow="net").select("period", "status")
    wide = wide.join(status, on="period", how="left").sort("period")

    coverage = "; ".join(_COVERAGE[word] for word in stock["coverage"].unique().sort())
    grid = Grid(
        title=f"{'Migration by year' if flows else 'Stocks'}: rule {rule}, policy {policy}",
        caption=f"+?: undetermined, not in the figure before it. {_PROVISIONAL}: provisional, later "
        f"crossings can change it. Stock: {coverage}."
        + ("" if flows else " Flows are not published by year: see `flows` in outputs/."),
        title_justify="left",
        caption_justify="left",
        box=SIMPLE,
        pad_edge=False,
        collapse_padding=True,
        min_width=None if flows else 60,  # for the title
    )
    grid.add_column("\nyear")
    grid.add_column("")
    for name in flows:
        grid.add_column(_TERMS.get(name, f"\n{name}"), justify="right", overflow="fold")
        grid.add_column("\n+?", justify="right", overflow="fold", style="dim")
    grid.add_column("stock at\n1 January", justify="right", overflow="fold")
    grid.add_column("\n+?", justify="right", overflow="fold", style="dim")
    grid.add_column("")
    for row in wide.iter_rows(named=True):
        measured = [row[f"{name}{end}"] for name in flows for end in ("", "_undetermined")]
        grid.add_row(
            row["period"],
            _mark(row["status"]),
            *map(_number, measured),
            _number(row["stock"]),
            _number(row["stock_undetermined"]),
            _mark(row["stock_status"]),
        )
    return grid


def _by_cell(rule: str, policy: str, year: str, accounts: pl.DataFrame) -> Grid:
    """The accounts of one year by sex, by citizenship group, and in all."""
    grid = Grid(
        title=f"Settled residents in {year}: rule {rule}, policy {policy}",
        caption="Newly settled: residents whose status became known, less those whose status no longer is.",
        title_justify="left",
        caption_justify="left",
        box=SIMPLE,
        padding=0,
    )
    grid.add_column("")
    for heading in _TERMS.values():
        grid.add_column(heading, justify="right", overflow="fold")
    total = pl.lit("total")
    by_sex = accounts.filter(pl.col("citizenship_group") == total, pl.col("sex") != total).sort("sex")
    by_group = accounts.filter(pl.col("sex") == total, pl.col("citizenship_group") != total).sort(
        "citizenship_group"
    )
    whole = accounts.filter(sex="total", citizenship_group="total")
    for column, rows in (("sex", by_sex), ("citizenship_group", by_group), ("sex", whole)):
        for row in rows.iter_rows(named=True):
            grid.add_row(row[column], *(_number(row[term]) for term in _TERMS))
        grid.add_section()
    return grid


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _mark(status: str | None) -> str:
    return _PROVISIONAL if status == "provisional" else ""
