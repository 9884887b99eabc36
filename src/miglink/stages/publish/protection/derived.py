"""Figures that are computed of counts, here of protected ones: net migration, discrepancies, shares, bounds."""

import math

import polars as pl

from miglink.tables.contract import DIMENSIONS

_CELL = ("rule", "policy", "period", *DIMENSIONS)
# A share of quality, and the measures that it is a share of, both of the same item.
_SHARES = {
    "doubtful_share": ("doubtful_persons", "persons"),
    "rejected_share": ("rows_rejected", "rows_read"),
}
# Decimal places beyond which sums of fractions are not known.
_PLACES = 6


def shift_bounds(protected: pl.DataFrame, before: pl.DataFrame, base: int) -> pl.DataFrame:
    """Shift the bounds by the noise of their point, and round them outwards; without the point there is no bound.

    An exact bound around a point with noise would tell the point. The point is the headline, where there was one, else
    the settled count. Rows of both tables are the same in order.
    """
    point = pl.when(before["n"].is_not_null()).then("n").otherwise(pl.col("n_settled").cast(pl.Float64))
    after, exact = (rows.select(point.alias("point"))["point"] for rows in (protected, before))
    noise = after - exact
    lower, upper = ((before[name] + noise).round(_PLACES) / base for name in ("lower", "upper"))
    return protected.with_columns(
        lower=(lower.floor() * base).cast(pl.Float64), upper=(upper.ceil() * base).cast(pl.Float64)
    ).with_columns(
        # Nobody can be fewer than nobody, but net migration can be negative.
        lower=pl.when(_is_net(protected)).then("lower").otherwise(pl.col("lower").clip(0.0, math.inf))
    )


def derive_headline(protected: pl.DataFrame) -> pl.DataFrame:
    """Give a headline where nothing is undetermined among the protected counts, and none where that is not told.

    One that is missing for a single undetermined person would tell that there is one, whatever count is published.
    """
    undetermined, is_final = pl.col("n_undetermined"), pl.col("status") == "final"
    settled = pl.col("n_settled").cast(pl.Float64)
    known = pl.when(is_final & (undetermined == 0)).then(pl.coalesce("n", settled)).otherwise("n")
    return protected.with_columns(n=pl.when(undetermined.is_not_null()).then(known))


def derive_net(flows: pl.DataFrame) -> pl.DataFrame:
    """Net migration as the difference of the protected flows, its undetermined as their sum; null where one is null."""
    columns = ("n_settled", "n_undetermined", "n")
    sides = [
        flows.filter(flow=flow).select(*_CELL, *(pl.col(name).alias(f"{name}_{flow}") for name in columns))
        for flow in ("immigration", "emigration")
    ]
    joined = flows.join(sides[0], on=_CELL, how="left", maintain_order="left").join(
        sides[1], on=_CELL, how="left", maintain_order="left"
    )
    settled, undetermined, n = (
        (pl.col(f"{name}_immigration"), pl.col(f"{name}_emigration")) for name in columns
    )
    is_net = pl.col("flow") == "net"
    return joined.with_columns(
        n_settled=pl.when(is_net).then(settled[0] - settled[1]).otherwise("n_settled"),
        n_undetermined=pl.when(is_net).then(undetermined[0] + undetermined[1]).otherwise("n_undetermined"),
        n=pl.when(is_net).then(n[0] - n[1]).otherwise("n"),
    ).select(flows.columns)


def derive_discrepancy(accounts: pl.DataFrame) -> pl.DataFrame:
    """What the protected terms leave unexplained of the protected closing stock."""
    positive = ("opening", "immigration", "births", "moves", "net_undetermined")
    explained = sum((pl.col(name) for name in positive), pl.lit(0)) - pl.col("emigration") - pl.col("deaths")
    return accounts.with_columns(discrepancy=(pl.col("closing") - explained).cast(pl.Int64))


def derive_shares(quality: pl.DataFrame) -> pl.DataFrame:
    """The shares whose both parts are protected counts."""
    rows = []
    for share, (part, whole) in _SHARES.items():
        parts, wholes = (
            quality.filter(measure=name).select("stage", "item", "value") for name in (part, whole)
        )
        rows.append(
            parts.join(wholes, on=("stage", "item"), suffix="_whole")
            .filter(pl.col("value_whole") > 0)
            .select("stage", pl.lit(share).alias("measure"), "item", pl.col("value") / pl.col("value_whole"))
        )
    return pl.concat([quality, *rows]).sort("stage", "measure", "item")


def _is_net(rows: pl.DataFrame) -> pl.Series:
    if "flow" not in rows.columns:
        return pl.repeat(False, rows.height, dtype=pl.Boolean, eager=True)
    return rows["flow"] == "net"
