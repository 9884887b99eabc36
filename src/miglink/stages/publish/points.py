"""Points of estimates as whole numbers: a mean over draws may count half a person, a published count does not."""

import polars as pl

# Fractions of a draw that are added up in another order differ beyond this place.
_PLACES = 6


def whole(point: str | pl.Expr) -> pl.Expr:
    """The point as a whole number, the same in whatever order its parts were added up."""
    value = pl.col(point) if isinstance(point, str) else point
    return value.round(_PLACES).round().cast(pl.Int64)
