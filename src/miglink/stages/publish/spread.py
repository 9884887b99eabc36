"""How far the rules and policies of a run lie apart: one table of totals for the terminal."""

from typing import Any

import polars as pl
from rich.box import SIMPLE
from rich.table import Table as Grid

_MEASURES = ("immigration", "emigration", "net", "stock at 1 January")
_CELL = ("measure", "year")
_ALL = "all rules"


def find_spread(stock: pl.DataFrame, flow: pl.DataFrame) -> pl.DataFrame:
    """The least and the most settled total of each measure and year, over the policies of a rule and over all rules.

    Reads: rows of stocks and flows by sex and citizenship group.
    Gives: measure, year, rule (or `all rules`), least, most, is_final (all of these figures are).
    """
    everybody = {"sex": "total", "citizenship_group": "total"}
    year = pl.col("period").str.head(4).alias("year")
    figure = (year, "rule", "n_settled", "status")
    stocks = stock.filter(**everybody).select(pl.lit(_MEASURES[-1]).alias("measure"), *figure)
    flows = flow.filter(pl.col("period").str.len_chars() == 4, **everybody)
    figures = pl.concat([flows.select(pl.col("flow").alias("measure"), *figure), stocks])
    order = pl.col("measure").replace_strict(_MEASURES, range(len(_MEASURES)), return_dtype=pl.Int8)
    return (
        pl.concat([figures, figures.with_columns(rule=pl.lit(_ALL))])
        .group_by(*_CELL, "rule")
        .agg(
            least=pl.col("n_settled").min(),
            most=pl.col("n_settled").max(),
            is_final=(pl.col("status") == "final").all(),
        )
        .sort(order, "year", "rule")
    )


def render_spread(stock: pl.DataFrame, flow: pl.DataFrame) -> list[Grid]:
    """The spread by measure and year, a column for each rule and one for all; nothing for one rule and policy."""
    strata = stock.select("rule", "policy").unique()
    if strata.height < 2:
        return []
    rules = strata["rule"].unique().sort().to_list()
    columns = [*rules, _ALL] if len(rules) > 1 else rules
    grid = Grid(
        title="Rules and policies compared: settled figures",
        caption="From the least to the most over the policies of a rule, and over all of them. p: one of the figures "
        "is provisional. What is undetermined is in none. Whom one counts and another does not, and why: "
        "stock_differences and flow_differences.",
        title_justify="left",
        caption_justify="left",
        box=SIMPLE,
        pad_edge=False,
        collapse_padding=True,
        min_width=60,  # for the title
    )
    grid.add_column("")
    grid.add_column("")
    for name in columns:
        grid.add_column(name, justify="right", overflow="fold")
    for (measure,), cells in find_spread(stock, flow).group_by("measure", maintain_order=True):
        grid.add_row(str(measure), "", style="bold")
        for (year,), row in cells.group_by("year", maintain_order=True):
            found = {one["rule"]: one for one in row.iter_rows(named=True)}
            is_final = all(one["is_final"] for one in found.values())
            grid.add_row(f"  {year}", "" if is_final else "p", *(_range(found.get(name)) for name in columns))
        grid.add_section()
    return [grid]


def _range(cell: dict[str, Any] | None) -> str:
    """A figure, or the least and the most; nothing where the rule has none, or all are suppressed."""
    if cell is None or cell["least"] is None:
        return ""
    least, most = cell["least"], cell["most"]
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"
