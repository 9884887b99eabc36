"""How the figures moved, for the terminal: triangles, means by age, the largest revisions, accounts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
from rich.console import RenderableType

from miglink.compare.figures import TOTAL
from miglink.compare.grids import change, count, figure, grid, percent, rate, widest
from miglink.tables.contract import DIMENSIONS

_STRATUM = ["rule", "policy"]
_N_LARGEST = 10


def show_triangles(triangle: pl.DataFrame) -> Iterator[RenderableType]:
    """Periods down, runs across, for each figure; periods that were not revised are left out and counted."""
    # A rule or policy of one run alone has nothing beside it.
    n_runs = pl.col("vintage").n_unique().over("part", *_STRATUM, "figure")
    shown = widest(triangle.filter(n_runs > 1)).sort(
        "part", "rule", "policy", "figure", "period", descending=[True] + [False] * 4
    )
    ends = dict(shown.select("vintage", "data_to_date").unique().sort("vintage").iter_rows())
    for (_, rule, policy, name), rows in shown.group_by(
        "part", "rule", "policy", "figure", maintain_order=True
    ):
        lines, n_same = [], 0
        for (period,), cells in rows.group_by("period", maintain_order=True):
            found = {row["vintage"]: row for row in cells.to_dicts()}
            values = {(row["n_settled"], row["n_undetermined"]) for row in found.values()}
            if len(found) > 1 and len(values) == 1:
                n_same += 1
                continue
            lines.append([str(period), *(figure(found.get(number)) for number in ends), *_moved(found)])
        title = f"{str(name).capitalize()}: rule {rule}, policy {policy}"
        if not lines:
            yield f"{title}\n  the same in each run, in all {n_same} periods\n"
            continue
        yield grid(
            title,
            ["", *(f"data to\n{day}" for day in ends.values()), "\nrevision", "\n%"],
            lines,
            f"Further periods, the same in each run: {n_same}." if n_same else "",
        )


def _moved(found: Mapping[int, Mapping[str, Any]]) -> tuple[str, str]:
    """From the first run that has the figure to the last: settled, and in percent."""
    if len(found) < 2:
        return "", ""
    first, last = found[min(found)]["n_settled"], found[max(found)]["n_settled"]
    return change(last - first), percent((last - first) / abs(first)) if first else ""


def show_ages(triangle: pl.DataFrame) -> Iterator[RenderableType]:
    """Periods down, months of age across, for the net of flows."""
    net = widest(triangle.filter(pl.col("figure") == "net"))
    for (rule, policy), rows in net.group_by(_STRATUM, maintain_order=True):
        changed = rows.filter(pl.struct("n_settled", "n_undetermined").n_unique().over("period") > 1)
        ages = changed["age_months"].unique().sort().to_list()
        if not ages:
            continue
        lines = []
        for (period,), cells in changed.sort("period").group_by("period", maintain_order=True):
            found = {row["age_months"]: row for row in cells.to_dicts()}
            lines.append([str(period), *(figure(found.get(age)) for age in ages)])
        yield grid(
            f"Net by age: rule {rule}, policy {policy}",
            ["months after the period's end", *(str(age) for age in ages)],
            lines,
        )


def show_means(by_age: pl.DataFrame) -> Iterator[RenderableType]:
    """How far totals of an age still moved up to the last run."""
    moved = widest(by_age).filter(pl.col("mean_absolute_revision") > 0)
    if moved.is_empty():
        return
    has_bounds = moved["covered_share"].is_not_null().any()
    headings = ["", "<", "<", "\nmonths", "\nfigures", "of these\nfinal", "\nmean", "mean\nabsolute", "\n%"]
    yield grid(
        "Revisions up to the last run, by months since the end of the period",
        [*headings, *(["within\nbounds, %"] if has_bounds else [])],
        [
            [
                row["figure"],
                row["rule"],
                row["policy"],
                str(row["age_months"]),
                count(row["n_figures"]),
                count(row["n_final"]),
                rate(row["mean_revision"]),
                rate(row["mean_absolute_revision"]),
                percent(row["mean_absolute_relative"]),
                *([percent(row["covered_share"])] if has_bounds else []),
            ]
            for row in moved.sort("part", "figure", "rule", "policy", "age_months").iter_rows(named=True)
        ],
        "Ages at which nothing moved are left out. %: mean of |revision| / |figure|, where that is not 0.",
    )


def show_finals(revisions: pl.DataFrame) -> str:
    """How many totals were called final and moved all the same."""
    totals = revisions.filter(pl.all_horizontal(pl.col(*DIMENSIONS) == TOTAL), earlier_status="final")
    is_moved = (pl.col("revision") != 0) | (
        pl.col("earlier_n_undetermined") != pl.col("later_n_undetermined")
    )
    n_moved = totals.filter(is_moved).height
    return f"Totals that were final: {totals.height:,}; of these, revised all the same: {n_moved:,}.\n"


def show_largest(revisions: pl.DataFrame) -> Iterator[RenderableType]:
    """The cells that were revised most."""
    is_cell = pl.any_horizontal(pl.col(*DIMENSIONS) != TOTAL)
    cells = widest(revisions.filter(is_cell, pl.col("revision") != 0))
    largest = cells.sort(
        pl.col("revision").abs(),
        "rule",
        "policy",
        "period",
        "figure",
        *DIMENSIONS,
        descending=[True] + [False] * 18,
    ).head(_N_LARGEST)
    if largest.is_empty():
        return
    yield grid(
        f"The largest of {cells.height:,} revised cells",
        ["", "<rule", "<policy", "<period", "<cell", "earlier", "later", "revision"],
        [
            [
                row["figure"],
                row["rule"],
                row["policy"],
                row["period"],
                _cell(row),
                figure(row, "earlier_"),
                figure(row, "later_"),
                change(row["revision"]),
            ]
            for row in largest.iter_rows(named=True)
        ],
    )


def _cell(row: Mapping[str, Any]) -> str:
    named = [name for name in DIMENSIONS if name != "trait_value" and row[name] != TOTAL]
    return ", ".join(
        f"{row['trait']} {row['trait_value']}" if name == "trait" else f"{name} {row[name]}" for name in named
    )


def show_accounts(accounts: pl.DataFrame, *, is_whole: bool) -> Iterator[RenderableType]:
    """Whether each year opens as the year before closed; where `is_whole`, every term that was revised too."""
    joints = accounts.filter(term="opening_after_closing").sort("earlier", "rule", "policy", "period")
    moved = joints.filter(pl.col("revision") != 0)
    if not joints.is_empty():
        yield grid(
            "Accounts: does the later run open a year as the earlier one closed the year before?",
            ["", "<rule", "<policy", "<runs", "closed", "opened", "difference"],
            _account_lines(moved, "period"),
            f"{joints.height - moved.height:,} of {joints.height:,} do.",
        )
    terms = accounts.filter(pl.col("term") != "opening_after_closing", pl.col("revision") != 0)
    if is_whole and not terms.is_empty():
        named = terms.with_columns(name=pl.format("{} {}", "period", "term"))
        yield grid(
            "Accounts: terms that were revised",
            ["", "<rule", "<policy", "<runs", "earlier", "later", "revision"],
            _account_lines(named.sort("earlier", "rule", "policy", "name"), "name"),
        )


def _account_lines(rows: pl.DataFrame, name: str) -> Sequence[Sequence[str]]:
    return [
        [
            row[name],
            row["rule"],
            row["policy"],
            f"{row['earlier']} → {row['later']}",
            count(row["earlier_n"]),
            count(row["later_n"]),
            change(row["revision"]),
        ]
        for row in rows.iter_rows(named=True)
    ]
