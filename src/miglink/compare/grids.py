"""What the tables of a comparison share on the terminal: their look, and how figures are written."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

# Of several kinds of periods those that are shown: the widest that there is, and reference dates.
_KINDS = ("year", "quarter", "month")


def grid(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> Group:
    """A table below its title, whose first column is words, and all others numbers unless the heading begins with `<`.

    Numbers may run on to a second line in a narrow terminal, but are never cut.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for place, heading in enumerate(headings):
        justify: Literal["left", "right"] = "left" if place == 0 or heading.startswith("<") else "right"
        table.add_column(heading.removeprefix("<"), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return Group(Text(title, style="italic"), table, *([Text(f"{caption}\n")] if caption else []))


def count(value: int | None) -> str:
    """A whole number with thousands apart; empty where there is none."""
    return "" if value is None else f"{value:,}".replace("-", "−")


def change(value: int | None) -> str:
    """A difference with its sign; a dot where there is none."""
    if value is None:
        return ""
    return f"{value:+,}".replace("-", "−") if value else "·"


def rate(value: float | None) -> str:
    """A mean with one digit."""
    return "" if value is None else f"{value:,.1f}".replace("-", "−")


def percent(value: float | None) -> str:
    """A share in percent."""
    return "" if value is None else f"{100 * value:,.1f}".replace("-", "−")


def figure(row: Mapping[str, Any] | None, prefix: str = "") -> str:
    """A figure as it stood: settled, those undetermined beside it, `p` where provisional; empty where there is none."""
    if row is None:
        return ""
    n_open = row[f"{prefix}n_undetermined"]
    mark = " p" if row[f"{prefix}status"] == "provisional" else ""
    return count(row[f"{prefix}n_settled"]) + (f" +{n_open:,}?" if n_open else "") + mark


def widest(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of reference dates, and of years, or else of the widest periods that there are."""
    present = set(rows["kind"])
    chosen = [kind for kind in _KINDS if kind in present][:1]
    return rows.filter(pl.col("kind").is_in(["date", *chosen]))
