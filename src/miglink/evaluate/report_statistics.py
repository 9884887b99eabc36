"""The statistics of the evaluation for the terminal: statuses, flows, stocks and migrations by rule and policy."""

from collections.abc import Iterator
from typing import Any

import polars as pl
from rich.console import RenderableType

from miglink.evaluate.grids import count, grid, mark, percent, rate, ratio, widen
from miglink.evaluate.migrations import OUTCOMES
from miglink.tables.evaluation import TOTAL

_FLOWS = ("immigration", "emigration", "net")
_SERIES = ["\nfound", "\n+?", "error\n%"]
_STATUS_PAIRS = {
    "R>R": ("resident", "resident"),
    "R>N": ("resident", "non_resident"),
    "R>?": ("resident", "undetermined"),
    "R>-": ("resident", "none"),
    "N>R": ("non_resident", "resident"),
    "N>?": ("non_resident", "undetermined"),
}
_OUTSIDE = "!: the true figure lies outside found … found + undetermined (+?)"
_IN_OUT = "in: immigration, out: emigration."
_PROVISIONAL = "p: provisional."


def show_statuses(measures: pl.DataFrame) -> list[RenderableType]:
    """True against found status at each 1 January."""
    cells = widen(measures, "statuses", "rule", "policy", "period", "true_value", "found_value")
    rates = widen(measures, "statuses", "rule", "policy", "period")
    shown: list[RenderableType] = []
    for (rule, policy), of_stratum in _strata(rates):
        confusion = {
            (row["period"], row["true_value"], row["found_value"]): row["persons"]
            for row in cells.filter(rule=rule, policy=policy).iter_rows(named=True)
        }
        shown.append(
            grid(
                f"Persons by status at 1 January: rule {rule}, policy {policy}",
                ["", *_STATUS_PAIRS, "wrong‰", "undet.‰", "too many‰"],
                [_status_row(row, confusion) for row in of_stratum.iter_rows(named=True)],
                "True > found: R resident, N non-resident, ? undetermined, - no status. ‰: per 1,000 true persons. "
                "Too many: residents who represent nobody, or somebody dead or unborn.",
            )
        )
    return shown


def _status_row(row: dict[str, Any], confusion: dict[tuple[str, str, str], float]) -> list[str]:
    persons = [confusion.get((row["period"], *pair), 0.0) for pair in _STATUS_PAIRS.values()]
    measures = ("wrong_per_1000", "undetermined_per_1000", "surplus_residents_per_1000")
    return [row["period"][:4], *map(count, persons), *(rate(row.get(name)) for name in measures)]


def show_flows(measures: pl.DataFrame) -> list[RenderableType]:
    """Immigration, emigration and net migration by year."""
    total = _totals(measures, "flows").filter(pl.col("period").str.len_chars() == 4)
    years = _with_status(measures, widen(total, "flows", "rule", "policy", "period", "flow"), "flows")
    shown: list[RenderableType] = []
    for (rule, policy), of_stratum in _strata(years):
        rows = []
        for (period,), flows in of_stratum.group_by("period", maintain_order=True):
            by_flow = {row["flow"]: row for row in flows.iter_rows(named=True)}
            numbers = [text for flow in _FLOWS for text in _series(by_flow.get(flow), flow == "net")]
            rows.append([str(period), mark(flows["status"][0]), *numbers])
        headings = [heading for flow in ("in", "out", "net") for heading in _of_flow(flow)]
        headings[-1] = "\nerror"
        shown.append(
            grid(
                f"Migration by year: rule {rule}, policy {policy}",
                ["", "<", *headings],
                rows,
                f"{_IN_OUT} {_OUTSIDE}; net: ± +?. {_PROVISIONAL}",
            )
        )
    return shown


def _of_flow(name: str) -> list[str]:
    return [f"{name}:\ntrue", *_SERIES]


def show_groups(measures: pl.DataFrame) -> list[RenderableType]:
    """Immigration and emigration by citizenship group, all final years together."""
    rows = measures.filter(
        pl.col("part") == "flows",
        pl.col("status") == "final",
        pl.col("sex") == TOTAL,
        pl.col("citizenship_group") != TOTAL,
        pl.col("period").str.len_chars() == 4,
        pl.col("measure").is_in(["true", "settled", "undetermined"]),
    )
    by = ["rule", "policy", "citizenship_group", "flow"]
    sums = rows.group_by(*by, "measure").agg(pl.col("value").sum())
    wide = sums.pivot("measure", index=by, values="value").sort(by)
    shown: list[RenderableType] = []
    for (rule, policy), of_stratum in _strata(wide):
        lines = []
        for (group,), flows in of_stratum.group_by("citizenship_group", maintain_order=True):
            by_flow = {row["flow"]: _judge(row) for row in flows.iter_rows(named=True)}
            numbers = [text for flow in _FLOWS[:2] for text in _series(by_flow.get(flow))]
            lines.append([str(group), *numbers])
        headings = [heading for flow in ("in", "out") for heading in _of_flow(flow)]
        title = f"Migration of all final years by citizenship group: rule {rule}, policy {policy}"
        shown.append(grid(title, ["", *headings], lines, f"{_IN_OUT} {_OUTSIDE}."))
    return shown


def _judge(row: dict[str, Any]) -> dict[str, Any]:
    true, settled, undetermined = row["true"], row["settled"], row["undetermined"]
    is_within = settled <= true <= settled + undetermined
    return row | {
        "is_within": float(is_within),
        "relative_error": (settled - true) / true if true else None,
    }


def show_stocks(measures: pl.DataFrame) -> list[RenderableType]:
    """Usual residents by reference date."""
    dates = _with_status(
        measures, widen(_totals(measures, "stocks"), "stocks", "rule", "policy", "period"), "stocks"
    ).filter(pl.col("true").is_not_null())
    return [
        grid(
            f"Usual residents: rule {rule}, policy {policy}",
            ["", "<", "true", "found", "+?", "error", "error %"],
            [
                [row["period"], mark(row["status"]), *_series(row)[:3], count(row["error"]), _series(row)[3]]
                for row in of_stratum.iter_rows(named=True)
            ],
            f"{_OUTSIDE}. {_PROVISIONAL}",
        )
        for (rule, policy), of_stratum in _strata(dates)
    ]


def show_migrations(measures: pl.DataFrame) -> list[RenderableType]:
    """True migrations found and missed, found ones true and false, and causes of the errors."""
    causes = widen(measures, "migrations", "rule", "policy", "flow", "cause").filter(pl.col("cause") != TOTAL)
    shares = widen(measures, "migrations", "rule", "policy", "flow")
    shown: list[RenderableType] = []
    for (rule, policy), of_stratum in _strata(causes):
        flows = of_stratum.group_by("flow").agg(pl.col(*OUTCOMES).sum()).sort("flow", descending=True)
        with_shares = flows.join(shares.filter(rule=rule, policy=policy), on="flow", how="left")
        by_cause = of_stratum.group_by("cause").agg(pl.col(*OUTCOMES).sum())
        errors = by_cause.filter(pl.col("cause") != "none").sort("missed", "cause", descending=[True, False])
        rows = [
            [
                row["flow"],
                *(count(row[name]) for name in OUTCOMES),
                ratio(row["found_share"]),
                ratio(row["right_share"]),
            ]
            for row in with_shares.iter_rows(named=True)
        ]
        rows += [
            [f"  {row['cause']}", *("" if row[name] == 0 else count(row[name]) for name in OUTCOMES), "", ""]
            for row in errors.iter_rows(named=True)
        ]
        shown.append(
            grid(
                f"Migrations, each by itself, and causes of errors: rule {rule}, policy {policy}",
                [
                    "",
                    "\nfound",
                    "undeter-\nmined",
                    "\nmissed",
                    "\nfalse",
                    "false,\nundet.",
                    "share\nfound",
                    "share\ntrue",
                ],
                rows,
                "Found: on the right day, in the right direction. False: found, but not true.",
            )
        )
    return shown


def _series(row: dict[str, Any] | None, is_difference: bool = False) -> list[str]:
    """True, found, undetermined, and the error with `!` where the truth lies outside; in % but of differences."""
    if row is None:
        return [""] * 4
    outside = "" if row["is_within"] else "!"
    error = count(row["error"]) if is_difference else percent(row.get("relative_error"))
    return [count(row["true"]), count(row["settled"]), count(row["undetermined"]), error + outside]


def _totals(measures: pl.DataFrame, part: str) -> pl.DataFrame:
    """The figures of everybody, without the shares of cells within."""
    return measures.filter(
        pl.col("part") == part, ~pl.col("measure").is_in(["cells", "within_share", "covered_share"])
    )


def _with_status(measures: pl.DataFrame, wide: pl.DataFrame, part: str) -> pl.DataFrame:
    status = measures.filter(part=part, measure="true").select("rule", "policy", "period", "status").unique()
    return wide.join(status, on=["rule", "policy", "period"], how="left").sort("rule", "policy", "period")


def _strata(rows: pl.DataFrame) -> Iterator[tuple[tuple[str, str], pl.DataFrame]]:
    """The rows of each rule and policy in order."""
    for (rule, policy), of_stratum in rows.sort("rule", "policy", maintain_order=True).group_by(
        "rule", "policy", maintain_order=True
    ):
        yield (str(rule), str(policy)), of_stratum
