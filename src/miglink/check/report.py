"""The findings of a check for the terminal: problems first, then sources, pairs, cost and statistics."""

from collections.abc import Sequence

from rich.box import SIMPLE
from rich.console import Group
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from miglink.check.findings import Findings, SourceFindings
from miglink.check.readiness_report import render_readiness

_COVERAGE = {
    "population": "usual residents: a source lists everybody who lives in the country",
    "travellers_only": "travellers only: residents who never crossed the border are missing",
}


def render_check(findings: Findings) -> Group:
    """Everything found, readable at 80 columns; no personal data unless values were asked for."""
    shown: list[Grid | Text | Padding] = [_verdict(findings)]
    shown += [_indented(f"  ! {problem}", "red") for problem in findings.problems]
    shown.append(_sources(findings))
    for source in findings.sources:
        shown += [_indented(line) for line in _details(source)]
    shown.append(Text())
    if findings.n_identities is not None:
        shown.append(_pairs(findings))
    if findings.cost is not None:
        shown += _cost(findings)
    shown += _statistics(findings)
    shown += [Text(note) for note in findings.notes]
    shown += render_readiness(findings)
    return Group(*shown)


def _indented(line: str, style: str = "") -> Padding:
    """A line as far to the right as its blanks say, also where it is folded."""
    text = line.lstrip(" ")
    return Padding(Text(text, style=style), (0, 0, 0, len(line) - len(text)))


def _verdict(findings: Findings) -> Text:
    n = len(findings.problems)
    if not n:
        return Text(f"Check of {findings.name}: no problem found.", style="bold green")
    return Text(
        f"Check of {findings.name}: the run would fail, {n} problem{'s' if n > 1 else ''}.", style="bold red"
    )


def _grid(title: str, caption: str, headings: Sequence[str], n_left: int = 1) -> Grid:
    grid = Grid(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=SIMPLE,
        pad_edge=False,
        collapse_padding=True,
    )
    for index, heading in enumerate(headings):
        grid.add_column(heading, justify="left" if index < n_left else "right", overflow="fold")
    return grid


def _sources(findings: Findings) -> Grid:
    outside = "Outside: dates beyond `covers`, else `period`; for what lasts, such as a registration, that is normal."
    looked = "Every row was read and judged."
    if not findings.is_exact:
        looked = (
            "Every file was read to its end, so rows are counted. Judged were the rows of "
            f"{findings.identity_share:.1%} of the identities, from all places of the files, and all rows of small "
            "sources: a code on very few rows may not be among them."
        )
    headings = ("source", "files", "rows", "judged", "rejected", "outside", "first date", "last date")
    grid = _grid("Sources", f"{looked} {outside}", headings)
    for one in findings.sources:
        is_judged = one.rejected_share is not None
        grid.add_row(
            one.name,
            f"{len(one.files):,}",
            "?" if one.n_rows is None else f"{one.n_rows:,}",
            f"{one.n_looked_at:,}" if is_judged else "",
            f"{one.rejected_share:.2%}" if is_judged else "",
            f"{one.n_outside / max(one.n_looked_at, 1):.2%}" if is_judged and one.date_column else "",
            str(one.first_date or ""),
            str(one.last_date or ""),
        )
    return grid


def _details(one: SourceFindings) -> list[str]:
    """What to know of a source beyond the table, a line each."""
    lines = []
    if one.rejected:
        reasons = ", ".join(f"{reason.name} {reason.share:.2%}" for reason in one.rejected)
        lines.append(f"rejected: {reasons} (bounds.max_rejected_share {one.max_rejected_share:.2%})")
    for code in one.unknown_codes:
        what = {"error": "stops the run", "reject": "row rejected", "missing": "taken as not known"}[
            code.unmapped
        ]
        values = f": {', '.join(code.values)}" if code.values else ""
        lines.append(
            f"{code.column}: {code.n_rows:,} rows ({code.share:.2%}) hold unknown codes, {what}; one is in "
            f"{code.place}{values}"
        )
    lines += [
        f"{date.name}: {date.n_rows:,} dates ({date.share:.2%}) that no format reads"
        for date in one.unreadable
    ]
    blank = [f"{column.name} {column.share:.1%}" for column in one.blank if column.n_rows]
    if blank:
        lines.append(f"blank: {', '.join(blank)}")
    return [f"{one.name} ({one.kind})", *(f"  {line}" for line in lines)] if lines else []


def _pairs(findings: Findings) -> Grid:
    is_exact = findings.is_exact
    caption = f"Compared: {', '.join(findings.comparisons) or 'nothing'}. "
    caption += (
        "Pairs are counted exactly."
        if is_exact
        else "Predicted from sampled identities; ±: two standard errors."
    )
    if findings.max_pairs is not None:
        caption += f" linkage.max_pairs: {findings.max_pairs:,} in all."
    title = f"Pairs: {'' if is_exact else 'about '}{findings.n_identities:,} identities"
    grid = _grid(title, caption, ("blocking rule", "pairs", "" if is_exact else "±", "largest block"))
    worst = max((one.n_pairs for one in findings.pairs), default=0)
    total = sum(one.n_pairs for one in findings.pairs)
    for one in findings.pairs:
        is_over = findings.max_pairs is not None and total > findings.max_pairs and one.n_pairs == worst
        # A rule that makes most of all pairs is the one to narrow first.
        style = "red" if is_over else "yellow" if one.n_pairs == worst and worst > total / 2 else None
        error = "" if is_exact else f"{2 * one.standard_error / max(one.n_pairs, 1):.0%}"
        grid.add_row(one.rule, f"{one.n_pairs:,}", error, f"{one.largest_block:,}", style=style)
    grid.add_row("all rules", f"{total:,}", "", "", style="bold")
    return grid


def _cost(findings: Findings) -> list[Grid | Text | Padding]:
    cost = findings.cost
    assert cost is not None  # only called with a cost
    slowest = sorted(cost.stages, key=lambda stage: -stage.seconds)[:3]
    parts = ", ".join(f"{stage.stage} {duration(stage.seconds)}" for stage in slowest)
    lines = [
        f"The run will take about {duration(cost.seconds)} and {cost.peak_memory_bytes / 1e9:.1f} GB of memory "
        f"(longest: {parts}).",
        f"Measured on {cost.measured_on}, {cost.measured_date}, with {cost.measured_rows[0]:,} to "
        f"{cost.measured_rows[1]:,} rows; there the prediction was wrong by up to {cost.worst_error:.0%}.",
    ]
    if cost.was_busy:
        lines.append(
            "That machine did other work during some of the measurements: one that does not may be faster."
        )
    if findings.n_rows > 2 * cost.measured_rows[1]:
        lines.append("This run is larger than any measured: take the figures as a rough guide.")
    if cost.peak_memory_bytes >= cost.memory_limit_bytes:
        lines.append(
            f"It reaches the memory limit of {cost.memory_limit_bytes / 1e9:.1f} GB and will spill to disk, which is "
            "slower; see engine.temp_directory."
        )
    return [Text(line) for line in lines]


def duration(seconds: float) -> str:
    """A duration in the unit that suits it, without false precision."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _statistics(findings: Findings) -> list[Grid | Text | Padding]:
    shown: list[Grid | Text | Padding] = []
    if findings.rules:
        grid = _grid(
            "Rules",
            f"Policies for missing crossings: {', '.join(findings.policies)}. Later years are provisional.",
            ("rule", "final years", "follow-up, days"),
            2,
        )
        for rule in findings.rules:
            years = rule.final_years
            grid.add_row(
                rule.rule, f"{years[0]} … {years[-1]}" if years else "none yet", f"{rule.follow_up_days:,}"
            )
        shown.append(grid)
    if findings.coverage:
        shown.append(Text(f"Stocks: {_COVERAGE[findings.coverage]}."))
    if findings.dimensions:
        grid = _grid(
            "Dimensions", "Share of the rows that hold a value, by source.", ("dimension", "sources"), 2
        )
        for dimension in findings.dimensions:
            grid.add_row(
                dimension.name, ", ".join(f"{source.name} {source.share:.0%}" for source in dimension.sources)
            )
        shown.append(grid)
    return shown
