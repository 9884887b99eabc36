"""The cells of the tables: citizenship groups, totals by addition, and zeros where nobody is counted."""

from collections.abc import Sequence
from itertools import combinations

import polars as pl

from miglink.codes import citizenship_groups
from miglink.stages.estimates.dimensions import TOTAL, UNKNOWN, Breakdown, Layout, check_values, label
from miglink.tables.contract import DIMENSIONS

# Travel documents of persons without a citizenship or under protection (ICAO 9303-3, section 5, part D).
_STATELESS = ("XXA", "XXB", "XXC")

_KEYS = ("rule", "policy", "period", "flow")


def group_citizenships(counts: pl.DataFrame, reporting_country: str) -> pl.DataFrame:
    """Add `citizenship_group` to `citizenship`, with the composition of 1 January of `year`."""
    first_january = pl.date("year", 1, 1)
    members = (
        counts.select("year")
        .unique()
        .join(citizenship_groups(), how="cross")
        .filter(
            pl.col("valid_from").is_null() | (pl.col("valid_from") <= first_january),
            pl.col("valid_to").is_null() | (pl.col("valid_to") > first_january),
        )
        .select("year", citizenship="country", group="group")
        # One group each, or persons would be counted twice; a state is a candidate until it is a member.
        .sort(pl.col("group") == "candidate", "group")
        .unique(["year", "citizenship"], keep="first", maintain_order=True)
    )
    citizenship = pl.col("citizenship")
    group = (
        pl.when(citizenship == reporting_country)
        .then(pl.lit("national"))
        .when(citizenship == UNKNOWN)
        .then(pl.lit(UNKNOWN))
        .when(citizenship.is_in(list(_STATELESS)))
        .then(pl.lit("stateless"))
        .otherwise(pl.col("group").fill_null("other"))
    )
    joined = counts.join(members, on=["year", "citizenship"], how="left")
    return joined.with_columns(citizenship_group=group).drop("group")


def cells_of(counts: pl.DataFrame, breakdown: Breakdown, layout: Layout) -> pl.DataFrame:
    """Counts with every dimension column: `citizenship_group` made, `total` where not broken down."""
    if "citizenship_group" in breakdown:
        counts = group_citizenships(counts, layout.reporting_country)
    if "citizenship" not in breakdown:
        counts = counts.drop("citizenship", strict=False)
    check_values(counts, breakdown)
    return label(counts, breakdown, layout.traits)


def tabulate(
    counts: pl.DataFrame, grid: pl.DataFrame, measures: Sequence[str], *, is_whole: bool = False
) -> pl.DataFrame:
    """Sum the measures by rule, policy, period, cell and, where the grid has them, flow, for every row of the grid.

    `grid` lists rules, policies and periods (its further columns are kept). Cells are those in which anybody is
    counted in any row of the grid, so that a series has no holes; the whole, which is one cell, is always there.
    """
    whole = pl.DataFrame({name: [TOTAL] for name in DIMENSIONS})
    keys = [name for name in _KEYS if name in grid.columns]
    sums = counts.group_by(*keys, *DIMENSIONS).agg(pl.col(*measures).sum())
    listed = sums.join(grid.select(keys), on=keys, how="semi")
    cells = listed.filter(pl.any_horizontal(pl.col(*measures) != 0)).select(DIMENSIONS).unique()
    return (
        grid.join(whole if is_whole else cells, how="cross")
        .join(sums, on=[*keys, *DIMENSIONS], how="left")
        .with_columns(pl.col(*measures).fill_null(0))
    )


def margins(
    tables: Sequence[tuple[Breakdown, pl.DataFrame]],
    layout: Layout,
    grid: pl.DataFrame,
    measures: Sequence[str],
) -> pl.DataFrame:
    """Tabulate every breakdown with all its margins; a margin that several share is made once.

    The total of totals is always there.
    """
    rows = []
    for index, kept in list_margins([breakdown for breakdown, _ in tables]):
        summed = _sum_over(tables[index][1], kept, layout)
        rows.append(tabulate(summed, grid, measures, is_whole=not kept))
    return pl.concat(rows)


def list_margins(breakdowns: Sequence[Breakdown]) -> list[tuple[int, Breakdown]]:
    """Every breakdown and its margins down to the whole, each once, with the number of a breakdown that has it."""
    made: dict[frozenset[str], tuple[int, Breakdown]] = {}
    for index, breakdown in enumerate(breakdowns):
        for size in range(len(breakdown), -1, -1):
            for kept in combinations(breakdown, size):
                made.setdefault(frozenset(kept), (index, kept))
    return list(made.values())


def _sum_over(counts: pl.DataFrame, kept: Breakdown, layout: Layout) -> pl.DataFrame:
    """Replace the dimensions that are not kept by `total`."""
    columns = {name for name in kept if name not in layout.traits}
    if len(columns) < len(kept):
        columns |= {"trait", "trait_value"}
    return counts.with_columns(pl.lit(TOTAL).alias(name) for name in DIMENSIONS if name not in columns)
