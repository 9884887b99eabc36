"""The section of revisions: how published figures have moved since the run before."""

from datetime import date, timedelta

import polars as pl

from miglink.stages.publish.report.cells import FLOWS, Published, finest, of_kind, period_name
from miglink.stages.publish.report.parts import Fold, Listing, Part, Section, day_name, words

Stratum = tuple[str, str]
_TITLE = "Revisions"
_HOW = (
    "`miglink compare RUN_A RUN_B` sets any runs side by side: revision triangles, revisions by age, and who is "
    "counted by one and not by the next."
)
_HEADS = (
    ("settled before", "count"),
    ("undetermined before", "count"),
    ("settled now", "count"),
    ("undetermined now", "count"),
    ("moved by", "count"),
    ("status before", "text"),
    ("status now", "text"),
)
_ORDER = {what: number for number, what in enumerate((*FLOWS, "residents"))}
# More rules and policies than these are compared by `miglink compare` alone.
_MOST_STRATA = 12
_MOST_PERIODS = 12


def revisions(published: Published) -> Section:
    """Flows and stocks in all as the run before published them, those of this run, and the difference."""
    earlier = published.earlier
    if isinstance(earlier, str):
        return Section("revisions", _TITLE, [part for part in (earlier, _HOW) if part])
    before = Published(earlier, published.about)
    both = [stratum for stratum in published.strata() if stratum in before.strata()]
    if not both:
        said = "The run before has published no rule and policy of this run."
        return Section("revisions", _TITLE, [said, _HOW])
    first, *others = both
    parts: list[Part] = [*_compare(published, before, first)]
    folded = [part for stratum in others[:_MOST_STRATA] for part in _compare(published, before, stratum)]
    if folded:
        parts.append(Fold("The same under the other rules and policies", folded))
    left_out = len(published.strata()) - len(both) + max(len(others) - _MOST_STRATA, 0)
    if left_out:
        parts.append(f"Left out: {left_out} rules and policies of this run.")
    return Section("revisions", _TITLE, [*parts, _HOW])


def _compare(published: Published, before: Published, stratum: Stratum) -> list[Part]:
    """The figures of a rule and policy in both runs: how far the data of each reach, and what moved."""
    flows, stocks = (_join(published, before, stratum, name) for name in ("flows", "stocks"))
    joined = pl.concat([flows, stocks])
    on_what = f"Rule {stratum[0]}, policy {stratum[1]}"
    if joined.is_empty():
        return [f"{on_what}: the two runs have no year and no reference date in common."]
    days = [joined[column].max() for column in ("data_to_date_before", "data_to_date")]
    reach = [day_name(day - timedelta(days=1)) for day in days if isinstance(day, date)]
    parts: list[Part] = []
    if len(reach) == len(days):
        parts.append(f"{on_what}: data of the run before reach {reach[0]}, those of this run {reach[1]}.")
    final = joined.filter(pl.col("status_before") == "final", pl.col("moved").is_not_null())
    n_moved = final.filter(pl.col("moved") != 0).height
    parts.append(
        f"Of {final.height} figures below that the run before called final, {n_moved} moved. Figures move with later "
        "crossings, and where the configuration, a source or the linkage has changed."
    )
    captions = {"Flows": flows, "Stocks at reference dates": stocks}
    parts += [
        _list(caption, rows, f"{on_what.lower()} · before and now")
        for caption, rows in captions.items()
        if rows.height
    ]
    return parts


def _join(published: Published, before: Published, stratum: Stratum, name: str) -> pl.DataFrame:
    """The totals of the last years, or reference dates, that both runs have: as they were, and as they are."""
    now, then = (run.cells(name, (), stratum) for run in (published, before))
    if name == "flows":
        kind = finest(now)
        now, then = (of_kind(rows, kind) if kind else rows for rows in (now, then))
    else:
        now, then = (rows.with_columns(flow=pl.lit("residents")) for rows in (now, then))
    keys, figures = ("period", "flow"), ("n_settled", "n_undetermined", "status", "data_to_date")
    joined = now.select(*keys, *figures).join(
        then.select(*keys, *(pl.col(column).alias(f"{column}_before") for column in figures)), on=keys
    )
    last = joined["period"].unique().sort()[-_MOST_PERIODS:]
    return (
        joined.filter(pl.col("period").is_in(last.implode()))
        .rename({"flow": "what"})
        .with_columns(moved=pl.col("n_settled") - pl.col("n_settled_before"))
        .sort("period", pl.col("what").replace_strict(_ORDER), descending=[True, False])
    )


def _list(caption: str, rows: pl.DataFrame, rests_on: str) -> Listing:
    """The figures of both runs side by side, the latest period first."""
    columns = (
        "period",
        "what",
        "n_settled_before",
        "n_undetermined_before",
        "n_settled",
        "n_undetermined",
        "moved",
    )
    shown = [
        (period_name(period), words(what), *figures)
        for period, what, *figures in rows.select(*columns, "status_before", "status").iter_rows()
    ]
    heads = [("period" if caption == "Flows" else "reference date", "text"), ("what", "text"), *_HEADS]
    note = (
        "Moved by: settled now less settled before. Where disclosure control is applied both are protected figures, "
        "and what moved can be its noise."
    )
    return Listing(f"{caption}, before and now", heads, shown, (), note, rests_on)
