"""Draws of the calibration curve: how far all probabilities of a run may be wrong together."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import polars as pl
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
# Probabilities are told apart by their log odds in steps of a two-hundredth: within .0007 of the probability.
_STEPS = 200
# Beyond these, in millionths, a probability says nothing more.
_LEAST, _MOST = 1, 999_999
# The middle of the draws is sought at so many log odds, by halving the interval in which it lies.
_GRID, _HALVINGS, _WIDEST = 141, 50, 60.0


@dataclass(frozen=True)
class Curve:
    """How p_calibrated came about, and what is known of its error; by default none.

    Log odds of p_calibrated are intercept + slope × log odds of the model, as calibrated on log odds from_log_odds to
    to_log_odds (of p_calibrated); beyond, the error of the slope grows no more. Errors are standard errors of the
    intercept and of the logarithm of the slope, with their correlation.
    """

    intercept: float = 0.0
    from_log_odds: float = -math.inf
    to_log_odds: float = math.inf
    intercept_error: float = 0.0
    log_slope_error: float = 0.0
    correlation: float = 0.0


def cell_sql(p: str) -> str:
    """SQL for the cell of a probability: its log odds in steps."""
    inner = f"least(greatest({p}, CAST('{_LEAST / 1e6!r}' AS DOUBLE)), CAST('{_MOST / 1e6!r}' AS DOUBLE))"
    return f"CAST(ROUND({_STEPS} * LN({inner} / (1 - {inner}))) AS INTEGER)"


def draw_curves(cells: Sequence[int], curve: Curve, number: int, seed: int) -> pl.DataFrame:
    """Give draw, cell and p: in millionths, what the probability of the cell is in the draw.

    In draw d the log odds of x are m(x) + a + (x − intercept) (e^c − 1), where a and c are one error of intercept and
    logarithm of the slope, drawn for all links of d from their normal distribution. m(x) is the number with which the
    mean over the draws is the probability itself: links of .7 are matches in .7 of all draws, in one draw more of them
    and in another fewer. Without m(x) probabilities would move towards a half.
    """
    at = np.asarray(cells, dtype=np.float64) / _STEPS
    first, second = _normals(number, seed, "intercept"), _normals(number, seed, "slope")
    # It is sought at some log odds; between two of them it is all but straight.
    grid = np.unique(np.linspace(at.min(), at.max(), _GRID))
    middle = np.interp(at, grid, _middle(grid, _shifts(grid, curve, first, second)))
    drawn = _logistic(middle[:, None] + _shifts(at, curve, first, second))
    p = np.rint(1e6 * drawn).clip(_LEAST, _MOST).astype(np.int64)
    return pl.DataFrame(
        {
            "draw": np.tile(np.arange(1, number + 1, dtype=np.int32), len(at)),
            "cell": np.repeat(np.asarray(cells, dtype=np.int32), number),
            "p": p.reshape(-1),
        }
    )


def _shifts(at: Numbers, curve: Curve, first: Numbers, second: Numbers) -> Numbers:
    """By how much these log odds (rows) are moved by the standard normal errors of each draw (columns)."""
    rest = math.sqrt(1 - curve.correlation**2)
    log_slope = curve.log_slope_error * (curve.correlation * first + rest * second)
    reach = np.clip(at, curve.from_log_odds, curve.to_log_odds) - curve.intercept
    return np.asarray(curve.intercept_error * first + np.outer(reach, np.expm1(log_slope)), dtype=np.float64)


def _middle(at: Numbers, shifts: Numbers) -> Numbers:
    """The log odds around which the shifts leave the mean probability what it is."""
    goal, low, high = _logistic(at), np.full(len(at), -_WIDEST), np.full(len(at), _WIDEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        is_below: NDArray[np.bool_] = _logistic(middle[:, None] + shifts).mean(axis=1) < goal
        low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
    return np.asarray((low + high) / 2, dtype=np.float64)


def _normals(number: int, seed: int, name: str) -> Numbers:
    """One standard normal number for each draw, from a hash."""
    normal = NormalDist()
    digests = (hashlib.sha256(f"{seed} {draw} {name}".encode()).hexdigest() for draw in range(1, number + 1))
    return np.array([normal.inv_cdf((int(digest[:12], 16) + 0.5) / 16**12) for digest in digests])


def _logistic(log_odds: Numbers) -> Numbers:
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -500.0, 500.0))), dtype=np.float64)
