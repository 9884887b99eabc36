"""Chance as a hash: every random number belongs to a seed, a question and the things it is asked of.

The same seed therefore gives the same country on any machine, in any order and whatever else is drawn; and what is
asked of one document, or of one document at one gate, has one answer wherever it is asked. No library of random
numbers, and no function whose last digit differs between machines, takes part.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Weights = Sequence[float] | NDArray[np.float64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class Chance:
    """The random numbers of one seed."""

    seed: int

    def share(self, question: str, *keys: ArrayLike) -> NDArray[np.float64]:
        """Give a number in [0, 1) for each element of the keys (integers, of one shape).

        Source: Steele, Lea and Flood 2014, Fast splittable pseudorandom number generators (the mixing function).
        """
        text = f"{self.seed}/{question}".encode()
        state = np.uint64(int.from_bytes(hashlib.sha256(text).digest()[:8], "big"))
        mixed: NDArray[np.uint64] = np.array([state])
        for key in keys:
            with np.errstate(over="ignore"):
                mixed = _mix(mixed + (np.asarray(key).astype(np.uint64) + np.uint64(1)) * _GOLDEN)
        return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def happens(
        self, rate: float | NDArray[np.float64], question: str, *keys: ArrayLike
    ) -> NDArray[np.bool_]:
        """Say for each element whether something of the given rate happens."""
        return self.share(question, *keys) < rate

    def whole(self, low: int, high: int, question: str, *keys: ArrayLike) -> NDArray[np.int64]:
        """Give a whole number from low up to but not including high."""
        return (low + np.floor(self.share(question, *keys) * (high - low))).astype(np.int64)

    def pick(self, weights: Weights, question: str, *keys: ArrayLike) -> NDArray[np.int64]:
        """Give the place of one of the weights, each as often as its share of their sum."""
        total = np.cumsum(np.asarray(weights, dtype=np.float64))
        places = np.searchsorted(total, self.share(question, *keys) * total[-1], side="right")
        found: NDArray[np.int64] = np.minimum(places, len(weights) - 1).astype(np.int64)
        return found

    def quantile(self, values: Weights, question: str, *keys: ArrayLike) -> NDArray[np.float64]:
        """Give a value of the distribution whose quantiles, equally far apart from the least to the most, are given."""
        at = self.share(question, *keys) * (len(values) - 1)
        left = np.floor(at).astype(np.int64)
        ends = np.asarray([*values, values[-1]], dtype=np.float64)
        # Rounded: a fraction's last digit may differ between machines that fuse a product and a sum.
        between: NDArray[np.float64] = np.round(ends[left] + (at - left) * (ends[left + 1] - ends[left]), 6)
        return between


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    return state ^ (state >> np.uint64(31))
