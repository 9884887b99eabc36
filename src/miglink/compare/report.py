"""A comparison for the terminal: the runs, what sets them apart, how figures moved, and who moved them."""

from collections.abc import Iterator, Sequence

import polars as pl
from rich.console import Group, RenderableType

from miglink.compare.figures import describe_periods
from miglink.compare.grids import change, count, grid, widest
from miglink.compare.inputs import Vintage
from miglink.compare.movers import REASONS
from miglink.compare.report_figures import (
    show_accounts,
    show_ages,
    show_finals,
    show_largest,
    show_means,
    show_triangles,
)
from miglink.compare.settings import Settings

_MOST_KEYS = 12
_DIRECTIONS = ("immigration", "emigration")
_MEASURES = {"n_settled": "settled", "n_undetermined": "undetermined"}


def render(
    vintages: Sequence[Vintage],
    settings: Sequence[Settings],
    tables: dict[str, pl.DataFrame],
    part: str | None = None,
) -> Group:
    """The tables of a comparison, of all parts or one (stocks, flows, accounts)."""
    shown: list[RenderableType] = [
        show_runs(vintages),
        *show_settings(settings),
        *show_matched(tables["matched"]),
    ]
    if part != "accounts":
        shown += [
            *show_triangles(tables["triangle"]),
            *show_ages(tables["triangle"]),
            *show_means(tables["revisions_by_age"]),
            show_finals(tables["revisions"]),
            *show_largest(tables["revisions"]),
            *show_movers(tables["movers"]),
        ]
    if part in (None, "accounts"):
        shown += show_accounts(tables["account_revisions"], is_whole=part == "accounts")
    return Group(*shown)


def show_runs(vintages: Sequence[Vintage]) -> RenderableType:
    """The runs in the order in which their data end."""
    return grid(
        "Runs compared, each with the next",
        ["", "<data to", "<folder", "<miglink", "<engine"],
        [
            [
                str(v.number),
                str(v.data_to_date),
                str(v.folder),
                str(v.manifest.get("miglink", "")),
                v.engine.kind,
            ]
            for v in vintages
        ],
        "The data end before the day named. p: provisional. +n?: undetermined, not in the figure before it.",
    )


def show_settings(settings: Sequence[Settings]) -> Iterator[str]:
    """What each run was told otherwise than the one before it, and what of it cannot be compared."""
    for number, told in enumerate(settings, start=1):
        lines = [f"  {change.key}: {change.earlier} → {change.later}" for change in told.changes[:_MOST_KEYS]]
        if len(told.changes) > _MOST_KEYS:
            lines.append(f"  … and {len(told.changes) - _MOST_KEYS} more keys")
        if told.rules_apart:
            lines.append(f"  rules of one run alone, not compared: {', '.join(told.rules_apart)}")
        if told.policies_apart:
            lines.append(f"  policies of one run alone, not compared: {', '.join(told.policies_apart)}")
        if told.sources_apart:
            lines.append(f"  sources of one run alone: {', '.join(told.sources_apart)}")
        if told.is_other_key:
            lines.append(
                "  another key: ids of persons cannot be compared; persons are matched by their records"
            )
        if told.engines[0] != told.engines[1]:
            lines.append(f"  engine: {told.engines[0]} → {told.engines[1]}")
        lines += [f"  {named.key}: {named.earlier} → {named.later}" for named in told.software]
        heading = f"Run {number} → {number + 1}, beside how far the data go"
        yield "\n".join([f"{heading}:", *lines, ""]) if lines else f"{heading}: nothing else differs.\n"


def show_matched(matched: pl.DataFrame) -> Iterator[RenderableType]:
    """Persons and records by what became of them."""
    for pair, rows in matched.group_by("earlier", "later", maintain_order=True):
        records = rows.filter(item="records")
        n_shared = records.filter(pl.col("outcome").is_in(["same", "changed"]))["n_earlier"].sum()
        yield grid(
            f"Run {pair[0]} → {pair[1]}: persons, matched by the records they share",
            ["", "<", "earlier", "later"],
            [
                [row["item"], row["outcome"], count(row["n_earlier"]), count(row["n_later"])]
                for row in rows.sort("item", "outcome").iter_rows(named=True)
            ],
            "" if n_shared else "No record is in both: nobody can be matched, and reasons say nothing.",
        )


def show_movers(movers: pl.DataFrame) -> Iterator[RenderableType]:
    """The reasons of the revisions of flows over all years, and of stocks at the last reference date."""
    totals = movers.filter(dimension="total")
    kinds = describe_periods(totals["period"].unique())
    named = totals.join(kinds, on="period")
    for (earlier, later), rows in named.group_by("earlier", "later", maintain_order=True):
        flows = widest(rows.filter(part="flows"))
        stocks = rows.filter(part="stocks")
        for (rule, policy), of_flows in flows.group_by("rule", "policy", maintain_order=True):
            names = [str(name) for name in of_flows["period"].unique().sort()]
            between = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
            for measure, word in _MEASURES.items():
                title = f"Run {earlier} → {later}: who moved {word} flows of {between}, rule {rule}, policy {policy}"
                yield from _show_reasons(title, of_flows.filter(measure=measure), _DIRECTIONS)
        last = stocks.filter(pl.col("period") == pl.col("period").max().over("rule", "policy"))
        for (rule, policy, period), of_stocks in last.group_by(
            "rule", "policy", "period", maintain_order=True
        ):
            title = f"Run {earlier} → {later}: who moved the stock of {period}, rule {rule}, policy {policy}"
            yield from _show_reasons(title, of_stocks, ("n_settled", "n_undetermined"))


def _show_reasons(title: str, rows: pl.DataFrame, columns: Sequence[str]) -> Iterator[RenderableType]:
    """One line for each reason: added and removed in each column, and, of directions, the net."""
    if rows.is_empty():
        return
    is_flow = columns == _DIRECTIONS
    column = "figure" if is_flow else "measure"
    # Of what is undetermined the figure `net` is the sum of both directions.
    sign = 1 if "n_undetermined" in set(rows["measure"]) else -1
    sums = {
        (row["reason"], row[column]): (row["n_added"], row["n_removed"])
        for row in rows.group_by("reason", column).agg(pl.col("n_added", "n_removed").sum()).to_dicts()
    }
    names = [_MEASURES.get(name, name) for name in columns]
    lines = []
    present = [reason for reason in REASONS if any((reason, name) in sums for name in columns)]
    for reason in [*present, None]:
        of_reason = [
            sums.get((reason, name), (0, 0))
            if reason
            else tuple(sum(sums.get((other, name), (0, 0))[side] for other in present) for side in (0, 1))
            for name in columns
        ]
        cells = [count(n) if n else "·" for pair in of_reason for n in pair]
        moves = [added - removed for added, removed in of_reason]
        net = [change(moves[0] + sign * moves[1])] if is_flow else [change(move) for move in moves]
        lines.append([reason or "revision", REASONS[reason] if reason else "", *cells, *net])
    headings = [f"{name}\n{side}" for name in names for side in ("added", "removed")]
    last = ["\nnet"] if is_flow else [f"{name}\nrevision" for name in names]
    yield grid(title, ["", "<", *headings, *last], lines)
