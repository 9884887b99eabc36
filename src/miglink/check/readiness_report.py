"""What the sources can produce, for the terminal: a table of outputs, and what is missing, numbered."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise

from rich.box import SIMPLE
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from miglink.check.findings import Findings, Limit, Readiness

_LEGEND = (
    "*: asked for in publish.tables. Quality: of what can be produced, as far as it is known before a run; good: none "
    "of the limits of docs/readiness.md is found. Final: years that later data cannot change. See: what is missing, "
    "below."
)
_HEADINGS = ("output", "what", "can be", "quality", "final", "see")
_EFFECTS = {
    "prevents": "no figures",
    "setting": "setting",
    "leaves_out": "partly",
    "weakens": "fair",
    "undermines": "poor",
}
_STYLES = {"no": "red", "partly": "yellow", "poor": "yellow"}
_WIDEST = 16


def render_readiness(findings: Findings) -> list[Grid | Text | Padding]:
    """Every output with what can be produced, and each thing that is missing once, with what would supply it."""
    if not findings.readiness:
        return []
    numbers = number_limits(findings.readiness)
    cells = {
        group: [_cells(row, titles, numbers) for row, titles in _merge(list(rows))]
        for group, rows in groupby(findings.readiness, key=_heading)
    }
    every = [_HEADINGS, *(row for rows in cells.values() for row in rows)]
    widths = [max(len(row[index]) for row in every) for index in range(len(_HEADINGS))]
    shown: list[Grid | Text | Padding] = [Text("\nReadiness: what these sources can produce", style="italic")]
    for number, (group, rows) in enumerate(cells.items()):
        grid = Grid(
            box=SIMPLE,
            show_edge=False,
            pad_edge=False,
            collapse_padding=True,
            expand=True,
            show_header=not number,
        )
        for heading, width in zip(_HEADINGS, widths, strict=True):
            # Only what an output is may be long; all grids have the same columns.
            fixed = None if heading == "what" else min(width, _WIDEST)
            grid.add_column(heading, overflow="fold", width=fixed, ratio=None if fixed else 1)
        for row in rows:
            grid.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
        shown += [Text(f"\n{group}", style="bold"), grid]
    return [*shown, Text(f"\n{_LEGEND}", style="dim italic"), *_missing(numbers)]


def _cells(row: Readiness, titles: Sequence[str], numbers: Mapping[Limit, int]) -> tuple[str, ...]:
    """What the terminal shows of rows of which the same is to be said."""
    return (
        f"{row.name}{' *' if row.kind == 'table' and row.is_asked else ''}",
        "; ".join(titles),
        row.produced,
        row.quality or "",
        _years(row.final_years),
        ", ".join(map(str, sorted(numbers[limit] for limit in row.limits))),
    )


def number_limits(rows: Sequence[Readiness]) -> dict[Limit, int]:
    """A number for each thing that is missing, in the order in which they come first."""
    limits = dict.fromkeys(limit for row in rows for limit in row.limits)
    return {limit: number for number, limit in enumerate(limits, 1)}


def _missing(numbers: dict[Limit, int]) -> list[Grid | Text | Padding]:
    """The things that are missing, with what each does and what would mend it."""
    if not numbers:
        return [Text("Nothing is missing.")]
    grid = Grid.grid(padding=(0, 1))
    grid.add_column(justify="right")
    grid.add_column(overflow="fold")
    for limit, number in numbers.items():
        grid.add_row(str(number), f"{_EFFECTS[limit.effect]}: {limit.reason}")
        grid.add_row("", Text(f"needs {limit.needs}", style="dim"))
    return [Text("\nWhat is missing", style="italic"), grid]


def _heading(row: Readiness) -> str:
    return {"rule": f"Rule {row.group}", "other": "Other outputs", "table": row.group}[row.kind]


def _merge(rows: list[Readiness]) -> Iterator[tuple[Readiness, list[str]]]:
    """Rows of one output of which the same is to be said, with all their titles."""

    def said(row: Readiness) -> tuple[object, ...]:
        return row.name, row.is_asked, row.produced, row.quality, row.final_years, row.limits

    for _, same in groupby(
        sorted(rows, key=lambda row: [one.name for one in rows].index(row.name)), key=said
    ):
        alike = list(same)
        yield alike[0], [row.title for row in alike]


def _years(years: tuple[int, ...]) -> str:
    """The first and the last year, and a dash for those between; all of them where some are missing."""
    if not years:
        return ""
    if len(years) > 1 and any(later - year > 1 for year, later in pairwise(years)):
        return ", ".join(map(str, years))
    return str(years[0]) if len(years) == 1 else f"{years[0]}–{years[-1]}"
