"""The rows of the table `evaluation`, made of small wide frames."""

import polars as pl

from miglink.errors import TableError
from miglink.tables import EVALUATION_TABLES
from miglink.tables.evaluation import TOTAL

CONTRACT = EVALUATION_TABLES["evaluation"]
DIMENSIONS = tuple(name for name in CONTRACT.key if name not in ("part", "measure"))
_TYPES = {"VARCHAR": pl.String, "DOUBLE": pl.Float64}
_DIGITS = 12  # sums of fractions differ beyond, by the order in which threads add


def as_measures(part: str, wide: pl.DataFrame) -> pl.DataFrame:
    """One row of `evaluation` for each number: columns of `wide` are dimensions, `status`, or else measures.

    Dimensions that `wide` lacks are `total`; a share of nothing (null) is left out.
    """
    by = [name for name in wide.columns if name in (*DIMENSIONS, "status")]
    numbers = pl.exclude(by).cast(pl.Float64)
    long = wide.select(*by, numbers).unpivot(index=by, variable_name="measure").drop_nulls("value")
    given = long.with_columns(pl.col("value").round(_DIGITS), part=pl.lit(part))
    absent = {name: pl.lit(TOTAL) for name in DIMENSIONS if name not in by}
    if "status" not in by:
        absent["status"] = pl.lit(None, dtype=pl.String)
    return given.with_columns(**absent).select(
        pl.col(column.name).cast(_TYPES[column.type]) for column in CONTRACT.columns
    )


def share(part: str, whole: str, per: int = 1) -> pl.Expr:
    """One column as a share of another, or so many per 1,000; null where there is nothing to share.

    >>> pl.DataFrame({"split": [1, 0], "persons": [8, 0]}).select(share("split", "persons", 1000)).to_series().to_list()
    [125.0, None]
    """
    return pl.when(pl.col(whole) > 0).then(per * pl.col(part) / pl.col(whole))


def f1(right: str, found: str, true: str) -> pl.Expr:
    """Harmonic mean of precision and recall, from counts: 2 right / (found + true); null where both are 0.

    >>> counts = pl.DataFrame({"right": [1, 0], "found": [2, 0], "true": [1, 3]})
    >>> counts.select(f1("right", "found", "true").round(3)).to_series().to_list()
    [0.667, 0.0]
    """
    whole = pl.col(found) + pl.col(true)
    return pl.when(whole > 0).then(2 * pl.col(right) / whole)


def harmonic(one: str, other: str) -> pl.Expr:
    """Harmonic mean of two shares that are above 0, as B-cubed precision and recall are.

    >>> pl.DataFrame({"p": [0.5], "r": [1.0]}).select(harmonic("p", "r").round(3)).item()
    0.667
    """
    return 2 * pl.col(one) * pl.col(other) / (pl.col(one) + pl.col(other))


def gather(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """All measures in the order of the key; TableError where a key repeats (a defect)."""
    rows = pl.concat(parts)
    if rows.select(CONTRACT.key).is_duplicated().any():
        raise TableError(f"table {CONTRACT.name}: its key repeats")
    return rows.sort(CONTRACT.key)
