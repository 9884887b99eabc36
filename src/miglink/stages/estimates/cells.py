"""The cells of the tables: citizenship groups, totals by addition, and zeros where nobody is counted."""

from collections.abc import Sequence

import polars as pl

from miglink.codes import citizenship_groups

# Travel documents of persons without a citizenship or under protection (ICAO 9303-3, section 5, part D).
_STATELESS = ("XXA", "XXB", "XXC")
UNKNOWN_CITIZENSHIP = "XXX"

_KEYS = ("rule", "policy", "period")
_CELL = ("sex", "citizenship_group")


def group_citizenships(counts: pl.DataFrame, reporting_country: str) -> pl.DataFrame:
    """Turn `citizenship` into `citizenship_group`, with the composition of 1 January of `year`."""
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
        .when(citizenship.is_null() | (citizenship == UNKNOWN_CITIZENSHIP))
        .then(pl.lit("unknown"))
        .when(citizenship.is_in(list(_STATELESS)))
        .then(pl.lit("stateless"))
        .otherwise(pl.col("group").fill_null("other"))
    )
    joined = counts.join(members, on=["year", "citizenship"], how="left")
    return joined.with_columns(citizenship_group=group).drop("group", "citizenship")


def tabulate(
    counts: pl.DataFrame, strata: pl.DataFrame, periods: pl.DataFrame, measures: Sequence[str]
) -> pl.DataFrame:
    """Sum the measures by rule, policy, period and cell, with totals, for every listed period.

    `strata` lists rules and policies, `periods` periods (its further columns are kept). Cells are those that
    occur in any count, so that a series has no holes; the total of totals is always there.
    """
    total = pl.lit("total")
    margins = (
        pl.concat(
            [
                counts,
                counts.with_columns(sex=total),
                counts.with_columns(citizenship_group=total),
                counts.with_columns(sex=total, citizenship_group=total),
            ]
        )
        .group_by(*_KEYS, *_CELL)
        .agg(pl.col(*measures).sum())
    )
    everybody = pl.DataFrame({"sex": ["total"], "citizenship_group": ["total"]})
    cells = pl.concat([margins.select(_CELL), everybody]).unique()
    grid = strata.join(periods, how="cross").join(cells, how="cross")
    return grid.join(margins, on=[*_KEYS, *_CELL], how="left").with_columns(pl.col(*measures).fill_null(0))
