"""What the tables of an explanation share: their look, and how numbers are written."""

from collections.abc import Iterable, Sequence
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text


def grid(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> Group:
    """A table below its title, whose first column is words, and all others numbers unless the heading begins with `<`.

    What does not fit runs on to a second line and is never cut; the first column stays whole.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, padding=(0, 1))
    for place, heading in enumerate(headings):
        justify: Literal["left", "right"] = "left" if place == 0 or heading.startswith("<") else "right"
        table.add_column(heading.removeprefix("<"), justify=justify, overflow="fold", no_wrap=place == 0)
    for row in rows:
        table.add_row(*row)
    return Group(Text(title, style="italic"), table, *([Text(f"{caption}\n")] if caption else []))


def number(value: float | None) -> str:
    """A weight with two digits; empty where there is none."""
    return "" if value is None else f"{value:.2f}".replace("-", "−")


def share(value: float | None) -> str:
    """A share with three significant digits: 0.94, 9.2e-07."""
    return "" if value is None else f"{value:.2g}".replace("e-0", "e-").replace("-", "−")


def probability(value: float | None) -> str:
    """A probability with six digits; what rounds to 0 or 1 without being it is said to."""
    if value is None:
        return ""
    if 0 < value < 0.0000005:
        return "<0.000001"
    return f"{value:.6f}"
