"""The groups of citizenship of a year: national, member states and others."""

from collections.abc import Iterable

import polars as pl

from miglink.codes import citizenship_groups

# Travel documents of persons without a citizenship or under protection (ICAO 9303-3, section 5, part D).
STATELESS = ("XXA", "XXB", "XXC")
UNKNOWN_CITIZENSHIP = "XXX"


def group_by_year(citizenships: Iterable[str], years: Iterable[int], reporting_country: str) -> pl.DataFrame:
    """List year, citizenship and citizenship_group, with the composition of 1 January of the year.

    Each citizenship has one group, or persons would be counted twice: a state is a candidate until it is a member.
    """
    pairs = pl.DataFrame({"year": sorted(set(years))}, schema={"year": pl.Int32}).join(
        pl.DataFrame({"citizenship": sorted(set(citizenships))}, schema={"citizenship": pl.String}),
        how="cross",
    )
    first_january, citizenship = pl.date(pl.col("year"), 1, 1), pl.col("citizenship")
    members = (
        pairs.join(citizenship_groups(), left_on="citizenship", right_on="country")
        .filter(
            pl.col("valid_from").is_null() | (pl.col("valid_from") <= first_january),
            pl.col("valid_to").is_null() | (pl.col("valid_to") > first_january),
        )
        .sort("year", "citizenship", pl.col("group") == "candidate", "group")
        .unique(["year", "citizenship"], keep="first", maintain_order=True)
        .select("year", "citizenship", "group")
    )
    group = (
        pl.when(citizenship == reporting_country)
        .then(pl.lit("national"))
        .when(citizenship == UNKNOWN_CITIZENSHIP)
        .then(pl.lit("unknown"))
        .when(citizenship.is_in(STATELESS))
        .then(pl.lit("stateless"))
        .otherwise(pl.col("group").fill_null("other"))
    )
    joined = pairs.join(members, on=["year", "citizenship"], how="left")
    return joined.select("year", "citizenship", citizenship_group=group).sort("year", "citizenship")
