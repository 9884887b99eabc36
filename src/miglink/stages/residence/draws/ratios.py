"""Ratios of two counts in cells that have few cases, drawn towards the ratio of the cell that holds them."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from miglink.stages.residence.draws.shrinkage import Numbers

# Variances of the ratios of cells around that of the cell that holds them, relative to its square: the likeliest.
_SPREADS = np.array([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0])
# Cells in which fewer are expected say nothing of the spread.
_FEWEST = 2.0
# The error of log odds is at most this; and where hardly anything else is left, it is that of so many in a hundred.
_MOST_ERROR, _LEAST_REST = 1.5, 0.05


def shrink_ratios(counts: pl.DataFrame, levels: Sequence[str]) -> pl.DataFrame:
    """Estimate in each cell how many of those seen are of the kind expected: ratio of n to seen, and its error.

    counts: n (expected, the weight of n_donors cases), n_donors, seen, and a column for each level, from the widest to
        the narrowest; the name of a cell begins with that of the one that holds it, and that of the widest ends with
        a word that tells it from others of its kind.
    Gives: the narrowest level's column; ratio, above 1 where fewer were seen than expected; share: the ratio where it
        cannot be above 1, on average over its error; and error, the standard error of that share's log odds.
    Source: Morris (1983), Parametric empirical Bayes inference: a cell's ratio is drawn towards that of the cell that
        holds it by what chance alone does to it, over that and the spread of such ratios, which is estimated for each
        level and kind. Estimated without bounds: cut at 1 cell by cell, chance alone would make shares too low.
    """
    counts = counts.with_columns(kind=pl.col(levels[0]).str.replace(r" \S+$", ""))
    sums = (pl.col("n").sum(), pl.col("n_donors").sum(), pl.col("seen").sum())
    kinds = counts.group_by("kind").agg(sums).sort("kind")
    above = kinds.select(
        holder="kind",
        ratio=pl.col("n") / pl.col("seen").clip(1),
        error=(1 / (pl.col("n_donors") + 1) + 1 / (pl.col("seen") + 1)).sqrt(),
        # What one case weighs.
        weight=pl.col("n") / pl.col("n_donors").clip(1),
    )
    holder = "kind"
    for level in levels:
        cells = counts.group_by(level, "kind", holder=pl.col(holder)).agg(sums).sort(level)
        cells = cells.join(above, on="holder", how="left", maintain_order="left")
        ratio, error = _shrink(cells)
        above = cells.select(
            pl.col(level).alias("holder"), pl.Series("ratio", ratio), pl.Series("error", error), "weight"
        )
        holder = level
    ratio, error = above["ratio"].to_numpy(), above["error"].to_numpy()
    share = _mean_below_one(ratio, ratio * error)
    moved = np.minimum(error / np.maximum(1 - share, _LEAST_REST), _MOST_ERROR)
    return above.select(
        pl.col("holder").alias(levels[-1]), "ratio", pl.Series("share", share), pl.Series("error", moved)
    )


def _mean_below_one(mean: Numbers, deviation: Numbers) -> Numbers:
    """The mean of what is normal, where what is above 1 counts as 1."""
    deviation = np.maximum(deviation, 1e-9)
    x = np.clip((1 - mean) / deviation, -8.0, 8.0)
    density = np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    # The normal distribution function, to less than a thousandth.
    below = 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return np.asarray(np.clip(mean * below - deviation * density + 1 - below, 0.0, 1.0), dtype=np.float64)


def _shrink(cells: pl.DataFrame) -> tuple[Numbers, Numbers]:
    """The ratios of the cells of a level and their errors, relative to them.

    cells: n, seen, and of the cell that holds each ratio, error and weight; kind.
    """
    n, seen, ratio, error, weight = (
        cells[name].to_numpy().astype(np.float64) for name in ("n", "seen", "ratio", "error", "weight")
    )
    expected = ratio * seen
    is_known = expected > 0
    safe = np.where(is_known, expected, 1.0)
    excess = np.where(is_known, n / safe - 1, 0.0)
    chance = np.where(is_known, 1 / np.maximum(seen, 1) + weight / safe, np.inf)
    kinds, of = np.unique(cells["kind"].to_numpy(), return_inverse=True)
    spreads = np.array(
        [_likeliest_spread(excess[one], chance[one]) for one in (of == k for k in range(len(kinds)))]
    )
    spread = spreads[of]
    own = spread / (spread + chance)
    found = ratio * (1 + own * excess)
    return found, np.sqrt(spread * (1 - own) + ((1 - own) * error) ** 2)


def _likeliest_spread(excess: Numbers, chance: Numbers) -> float:
    """The spread of ratios that makes what is seen likeliest, each taken as normal."""
    is_told = chance <= 1 / _FEWEST
    variance = _SPREADS[:, None] + chance[is_told]
    likelihood = -(np.log(variance) + excess[is_told] ** 2 / variance).sum(axis=1)
    return float(_SPREADS[int(np.argmax(likelihood))])
