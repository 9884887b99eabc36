"""Which published cells add up to which: whoever reads the tables can subtract, and so find what is suppressed."""

import polars as pl

from miglink.codes.groups import group_by_year
from miglink.tables.contract import DIMENSIONS

TOTAL, UNKNOWN = "total", "unknown"
# A trait is one dimension in two columns: its name and its value.
_BROKEN_BY = tuple(name for name in DIMENSIONS if name not in ("trait", "trait_value"))
_CELL = ("measure", "period", *DIMENSIONS)
# Values of one dimension that are parts of a value of another: exactly, or but for what is unknown.
_ORIGINS = {
    "birth_group": {
        "foreign_born_foreigner": "foreign",
        "foreign_born_citizen": "foreign",
        "native_born_foreigner": "native",
        "native_born_citizen": "native",
    },
    "citizenship_group": {"foreign_born_citizen": "national", "native_born_citizen": "national"},
}


def list_equations(cells: pl.DataFrame, reporting_country: str) -> pl.DataFrame:
    """The members of every equation between cells (number, measure, period, dimensions): equation, number, is_parent.

    An equation says that a parent is the sum of its parts: over the values of a dimension, over the months and quarters
    of a year, over the countries, ages and origins of a group. One that holds but for persons of whom a trait is not
    known is one too, for often there are none.
    """
    parts = [
        *(_over_dimension(cells, name) for name in _BROKEN_BY),
        _over_traits(cells),
        *(_over_periods(cells, kind) for kind in ("quarter", "year")),
        _over_years_of_quarters(cells),
        *_over_groups(cells, reporting_country),
    ]
    found = pl.concat(part.with_columns(kind=pl.lit(kind)) for kind, part in enumerate(parts))
    parents = cells.select("number", *_CELL)
    joined = found.join(parents, on=_CELL, suffix="_parent")
    numbered = joined.select(
        equation=pl.struct("kind", "number_parent", "by").rank("dense") - 1,
        part="number",
        parent="number_parent",
    ).with_columns(pl.col("equation").cast(pl.Int64))
    of_parents = numbered.select("equation", number="parent", is_parent=True).unique()
    of_parts = numbered.select("equation", number="part", is_parent=False)
    return pl.concat([of_parents, of_parts]).sort("equation", "number")


def _parts(cells: pl.DataFrame, by: pl.Expr | None = None, **parent: pl.Expr) -> pl.DataFrame:
    """Cells under the dimensions of the cell that they are a part of."""
    named = (pl.lit("") if by is None else by).alias("by")
    return cells.with_columns(named, **parent).select("number", "by", *_CELL)


def _over_dimension(cells: pl.DataFrame, name: str) -> pl.DataFrame:
    return _parts(cells.filter(pl.col(name) != TOTAL), pl.lit(name), **{name: pl.lit(TOTAL)})


def _over_traits(cells: pl.DataFrame) -> pl.DataFrame:
    broken = cells.filter(pl.col("trait") != TOTAL)
    return _parts(broken, pl.col("trait"), trait=pl.lit(TOTAL), trait_value=pl.lit(TOTAL))


def _over_periods(cells: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Months of flows as parts of their quarter or year."""
    period = pl.col("period")
    year = period.str.head(4)
    quarter = pl.format("{}-Q{}", year, (period.str.slice(5, 2).cast(pl.Int32) + 2) // 3)
    months = cells.filter(pl.col("measure") != "stock", period.str.contains(r"^\d{4}-\d{2}$"))
    return _parts(months, pl.lit(kind), period=year if kind == "year" else quarter)


def _over_years_of_quarters(cells: pl.DataFrame) -> pl.DataFrame:
    quarters = cells.filter(pl.col("period").str.contains("-Q"))
    return _parts(quarters, pl.lit("quarters"), period=pl.col("period").str.head(4))


def _over_groups(cells: pl.DataFrame, reporting_country: str) -> list[pl.DataFrame]:
    """Values of a fine dimension as parts of the value of a coarse one that they belong to."""
    age = pl.col("age").str.extract(r"^(\d+)").cast(pl.Int32)
    low = age // 5 * 5
    age_group = pl.when(age >= 100).then(pl.lit("100+")).otherwise(pl.format("{}-{}", low, low + 4))
    birth = pl.col("birth_country")
    born = pl.when(birth == reporting_country).then(pl.lit("native")).otherwise(pl.lit("foreign"))
    year = pl.col("period").str.head(4).cast(pl.Int32)
    years = cells.select(year.unique())["period"].to_list()
    citizenships = cells["citizenship"].unique().to_list()
    groups = group_by_year(citizenships, years, reporting_country).rename({"citizenship_group": "belongs_to"})
    grouped = cells.with_columns(year=year).join(groups, on=["year", "citizenship"], how="left")
    unknown = pl.lit(UNKNOWN)
    by = {
        ("age", "age_group"): age_group.fill_null(unknown),
        ("birth_country", "birth_group"): pl.when(birth == UNKNOWN).then(unknown).otherwise(born),
        ("citizenship", "citizenship_group"): pl.when(pl.col("citizenship") == UNKNOWN)
        .then(unknown)
        .otherwise("belongs_to"),
        # At a reference date, the end of a 31 December, both ages are the same.
        ("age_reached", "age"): pl.when(pl.col("measure") == "stock").then("age_reached"),
        **{
            ("origin_group", coarse): pl.col("origin_group").replace_strict(
                of, default=None, return_dtype=pl.String
            )
            for coarse, of in _ORIGINS.items()
        },
    }
    return [
        _parts(
            grouped.filter(pl.col(fine) != TOTAL, pl.col(coarse) == TOTAL)
            .with_columns(value.alias("value"))
            .filter(pl.col("value").is_not_null()),
            pl.lit(f"{fine} of {coarse}"),
            **{fine: pl.lit(TOTAL), coarse: pl.col("value")},
        )
        for (fine, coarse), value in by.items()
    ]
