"""Points and intervals by year for the terminal: the figures to publish, what is in doubt counted at its mean."""

from typing import Any

import polars as pl
from rich.box import SIMPLE
from rich.table import Table as Grid

_MEASURES = {
    "immigration": "immigration",
    "emigration": "emigration",
    "net": "net",
    "stock": "stock at 1 January",
}
_FLAGS = {"point_outside": "o", "too_wide": "w"}


def render_intervals(rule: str, policy: str, stock: pl.DataFrame, years: pl.DataFrame) -> list[Grid]:
    """One row for each year, n above its interval; nothing where no figure has one.

    Reads: the stocks and yearly flows of a rule and policy by sex and citizenship group.
    """
    everybody = {"sex": "total", "citizenship_group": "total"}
    columns = ("period", "n", "lower", "upper", "interval_flag", "status")
    stocks = stock.filter(**everybody).select(pl.lit("stock").alias("flow"), *columns)
    flows = years.filter(**everybody).select("flow", *columns)
    figures = pl.concat([flows, stocks]).filter(pl.col("lower").is_not_null())
    if figures.is_empty():
        return []
    grid = Grid(
        title=f"Estimates: rule {rule}, policy {policy}",
        caption="What is in doubt counts at its mean over the draws; beneath, the interval that should hold the true "
        "figure (docs/intervals.md). p: provisional. o: the point lies outside, w: the interval is too wide to "
        "publish.",
        title_justify="left",
        caption_justify="left",
        box=SIMPLE,
        pad_edge=False,
        collapse_padding=True,
        min_width=60,  # for the title
    )
    grid.add_column("year")
    shown = [name for name in _MEASURES if (figures["flow"] == name).any()]
    for name in shown:
        grid.add_column(_MEASURES[name], justify="right", overflow="fold")
    of_years = figures.with_columns(year=pl.col("period").str.head(4)).sort("year")
    for (year,), rows in of_years.group_by("year", maintain_order=True):
        found = {row["flow"]: row for row in rows.iter_rows(named=True)}
        grid.add_row(str(year), *(_say(found.get(name)) for name in shown))
    return [grid]


def _say(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    marks = ("p" if row["status"] == "provisional" else "") + _FLAGS.get(row["interval_flag"], "")
    point = f"{round(row['n']):,}" if row["n"] is not None else ""
    said = f"[{round(row['lower']):,}, {round(row['upper']):,}]"
    return f"{point} {marks}".strip() + f"\n\\{said}"
