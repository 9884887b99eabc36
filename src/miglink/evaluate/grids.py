"""What the tables of the terminal share: their look, and how numbers are written."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import polars as pl
from rich.box import SIMPLE
from rich.table import Table

from miglink.tables.evaluation import TOTAL

_MANY = 9  # columns that stand close together, to fit 80 characters


def grid(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> Table:
    """A table whose first column is words, and all others numbers unless the heading begins with `<`.

    Numbers may run on to a second line in a narrow terminal, but are never cut.
    """
    table = Table(
        title=title,
        caption=caption or None,
        title_justify="left",
        caption_justify="left",
        box=SIMPLE,
        pad_edge=False,
        collapse_padding=True,
        padding=0 if len(headings) > _MANY else (0, 1),
    )
    for number, heading in enumerate(headings):
        justify: Literal["left", "right"] = "left" if number == 0 or heading.startswith("<") else "right"
        table.add_column(heading.removeprefix("<"), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def widen(measures: pl.DataFrame, part: str, *by: str) -> pl.DataFrame:
    """The measures of a part side by side: one row for each value of `by`; all other dimensions `total`.

    Rows that are broken down by another dimension are left out.
    """
    others = [
        name
        for name in ("rule", "policy", "period", "flow", "sex", "citizenship_group", "source_l", "source_r")
        if name not in by
    ]
    further = [name for name in ("true_value", "found_value", "cause") if name not in by]
    rows = measures.filter(pl.col("part") == part, *(pl.col(name) == TOTAL for name in (*others, *further)))
    if not by:
        rows, by = rows.with_columns(everything=pl.lit(TOTAL)), ("everything",)
    wide = rows.pivot("measure", index=list(by), values="value", aggregate_function="first")
    return wide.sort(by)


def by_total_last(wide: pl.DataFrame, name: str) -> list[dict[str, Any]]:
    """The rows in the order of a column, the total after the others."""
    return wide.sort(pl.col(name) == TOTAL, name).to_dicts()


def count(value: float | None) -> str:
    """A whole number with thousands apart; empty where there is none."""
    return "" if value is None else f"{value:,.0f}".replace("-", "−")


def ratio(value: float | None) -> str:
    """A share from 0 to 1 with four digits: 1.0000 is all but 1 in 20,000."""
    return "" if value is None else f"{value:.4f}"


def rate(value: float | None) -> str:
    """A rate with two digits."""
    return "" if value is None else f"{value:,.2f}".replace("-", "−")


def percent(value: float | None) -> str:
    """A share as a percentage with its sign; from 10 % in whole percent."""
    if not value:
        return "" if value is None else "0.0"
    return f"{100 * value:+.{1 if abs(value) < 0.0995 else 0}f}".replace("-", "−")


def mark(status: str | None) -> str:
    """`p` for provisional."""
    return "p" if status == "provisional" else ""
