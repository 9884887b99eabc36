"""Shares of cells that have few cases, drawn towards the share of the cell that holds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Numbers = npt.NDArray[np.float64]
# Cases that the share of the cell above may weigh as much as; how frequent each is among the cells of a level is found
# in so many rounds, from one cell more that is as likely to have any.
_STRENGTHS = np.array([2.0, 5, 10, 20, 40, 80, 160, 320, 640, 1280])
_ROUNDS = 20
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
    Units: shares. The share of a cell is (k + m p) / (n + m), p being that of the cell that holds it, on average over
        the strengths m that it may have. How frequent each strength is at a level is estimated (empirical Bayes), and
        how likely the cell has it, from its own cases: one that is quite unlike what holds it is not drawn there
        because most others are like it.
    Source: Gelman et al. (2013), Bayesian Data Analysis, section 5.3 (hierarchical beta-binomial model); Laird (1978),
        Nonparametric maximum likelihood estimation of a mixing distribution.
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
        above_p, above_drawn = p[row], drawn[row]
        if level == 0:
            strengths, weights = np.array([_NOTHING_KNOWN * 2]), np.ones((1, len(n)))
        else:
            strengths, weights = _STRENGTHS, _weigh_strengths(n, k, above_p)
        m = strengths[:, None]
        p = (weights * (k + m * above_p) / (n + m)).sum(axis=0)
        own = strengths[_choose(rng, weights, n_draws)]
        drawn = _draw(rng, (k[:, None], n[:, None]), own, above_drawn)
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


def _choose(rng: np.random.Generator, weights: Numbers, n_draws: int) -> npt.NDArray[np.intp]:
    """Which row each cell (column) has in each draw: weights add up to 1 by column."""
    bounds = np.cumsum(weights, axis=0)[:-1]
    luck = rng.random((weights.shape[1], n_draws))
    return np.asarray((luck[None, :, :] > bounds[:, :, None]).sum(axis=0))


def _draw(
    rng: np.random.Generator, cases: tuple[Numbers, Numbers], strength: Numbers, above: Numbers
) -> Numbers:
    """Shares drawn from their distribution, given those of the cells above."""
    k, n = cases
    least = 1e-6  # of a beta distribution's parameters, which are above 0
    return rng.beta(
        np.maximum(k + strength * above, least), np.maximum(n - k + strength * (1 - above), least)
    )


def _weigh_strengths(n: Numbers, k: Numbers, p: Numbers) -> Numbers:
    """How likely each strength (rows) is for each cell of a level (columns), under the beta-binomial distribution."""
    total = _STRENGTHS[:, None]
    alpha, beta = total * p, total * (1 - p)
    likelihood = (
        _log_gamma(k + alpha)
        + _log_gamma(n - k + beta)
        - _log_gamma(n + total)
        + _log_gamma(total)
        - _log_gamma(alpha)
        - _log_gamma(beta)
    )
    likelihood = np.exp(likelihood - likelihood.max(axis=0))
    # Cells without a case are as likely under any.
    is_told = n > 0
    frequent = np.full((len(_STRENGTHS), 1), 1 / len(_STRENGTHS))
    for _ in range(_ROUNDS):
        weights = likelihood * frequent
        weights = weights / weights.sum(axis=0)
        frequent = weights[:, is_told].sum(axis=1, keepdims=True) + 1 / len(_STRENGTHS)
        frequent = frequent / frequent.sum()
    return np.asarray(weights)


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
