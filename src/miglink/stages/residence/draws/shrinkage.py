"""Shares of cells that have few cases, drawn towards the share of the cell that holds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Numbers = npt.NDArray[np.float64]
# Cases that the share of the cell above may weigh as much as: the likeliest of them is taken, level by level.
_STRENGTHS = np.array([2.0, 5, 10, 20, 40, 80, 160, 320, 640, 1280])
# One half of a case for and against, where nothing is above: the prior of Jeffreys.
_NOTHING_KNOWN = 0.5


@dataclass(frozen=True)
class Shares:
    """The share of every cell of every level: cell, level, n, k, p; and `drawn`, a row for each cell, draws across."""

    cells: pl.DataFrame
    drawn: Numbers


def shrink(counts: pl.DataFrame, levels: Sequence[str], n_draws: int, seed: Sequence[int]) -> Shares:
    """Estimate the share k / n of each cell, and draw it from what is not known of it.

    counts: one row for each cell with n (cases, by weight), k (those that count) and a column for each level, from the
        widest to the narrowest; the name of a cell begins with that of the one that holds it.
    Gives: a row for each cell of each level, sorted by level and cell. Level 0 is all cases.
    Units: shares. The share of a cell is (k + m p) / (n + m), p being that of the cell that holds it, m one number for
        the level: the likeliest under the beta-binomial distribution.
    Source: Gelman et al. (2013), Bayesian Data Analysis, section 5.3 (hierarchical beta-binomial model), with the
        strength m of each level estimated (empirical Bayes).
    """
    rng = np.random.default_rng(seed)
    tables = []
    above = pl.DataFrame({"cell": [""], "row": [0]}, schema={"cell": pl.String, "row": pl.Int64})
    p, drawn = np.array([0.5]), np.full((1, n_draws), 0.5)
    all_drawn = []
    for level, column in enumerate(("", *levels)):
        name = pl.col(column) if column else pl.lit("")
        holder = pl.col(levels[level - 2]) if level > 1 else pl.lit("")
        cells = (
            counts.group_by(cell=name, holder=holder)
            .agg(pl.col("n").sum(), pl.col("k").sum())
            .sort("cell")
            .join(above.rename({"cell": "holder"}), on="holder", how="left")
        )
        n, k, row = (cells[name].to_numpy() for name in ("n", "k", "row"))
        strength = _NOTHING_KNOWN * 2 if level == 0 else _likeliest_strength(n, k, p[row])
        above_p, above_drawn = p[row], drawn[row]
        p = (k + strength * above_p) / (n + strength)
        drawn = _draw(rng, (k[:, None], n[:, None]), strength, above_drawn)
        above = cells.select("cell").with_row_index("row").select("cell", pl.col("row").cast(pl.Int64))
        tables.append(cells.select("cell", level=pl.lit(level), n=n, k=k, p=p))
        all_drawn.append(drawn)
    return Shares(pl.concat(tables), np.concatenate(all_drawn))


def keep_mean(moves: Numbers, p: Numbers, variance: Numbers | float) -> Numbers:
    """Moves of log odds (cells, draws across) of that variance, such that chances of about p stay so on average.

    p, variance: of each cell, or of each cell and draw. Odds that are multiplied by as much as they are divided by make
    what is unlikely likelier on average. To second order, which is exact for what is very unlikely or all but sure.
    """
    shift = np.asarray(variance) / 2 * (1 - 2 * p)
    return moves - (shift if shift.ndim == 2 else shift[:, None])


def _draw(
    rng: np.random.Generator, cases: tuple[Numbers, Numbers], strength: float, above: Numbers
) -> Numbers:
    """Shares drawn from their distribution, given those of the cells above."""
    k, n = cases
    least = 1e-6  # of a beta distribution's parameters, which are above 0
    return rng.beta(
        np.maximum(k + strength * above, least), np.maximum(n - k + strength * (1 - above), least)
    )


def _likeliest_strength(n: Numbers, k: Numbers, p: Numbers) -> float:
    """How strongly the cells of a level hold to the cells above: the likeliest of some strengths."""
    # Cells without a case are as likely under any.
    n, k, p = (values[n > 0] for values in (n, k, p))
    alpha, beta = _STRENGTHS[:, None] * p, _STRENGTHS[:, None] * (1 - p)
    total = _STRENGTHS[:, None]
    likelihood = (
        _log_gamma(k + alpha)
        + _log_gamma(n - k + beta)
        - _log_gamma(n + total)
        + _log_gamma(total)
        - _log_gamma(alpha)
        - _log_gamma(beta)
    ).sum(axis=1)
    return float(_STRENGTHS[int(np.argmax(likelihood))])


def _log_gamma(x: Any) -> Any:
    """The logarithm of the gamma function of positive numbers, by Stirling's series from 8 on."""
    x = np.maximum(x, 1e-9)
    shifted = x.copy()
    for step in range(1, 8):
        shifted *= x + step
    y = x + 8
    inverse = 1 / y
    square = inverse * inverse
    series = inverse * (1 / 12 - square * (1 / 360 - square / 1260))
    return (y - 0.5) * np.log(y) - y + 0.5 * np.log(2 * np.pi) + series - np.log(shifted)
