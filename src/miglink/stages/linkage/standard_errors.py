"""How well the data determine m, u and the share of matches."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from miglink.stages.linkage.mixture import Mixture, Numbers, fit_mixture
from miglink.stages.linkage.patterns import Patterns

# So many samples give a standard error to about a tenth of itself.
_SAMPLES = 40
# A sample starts where the fit ended; it needs no more rounds than this to settle to the digits that matter.
_MOST_ROUNDS, _TOLERANCE = 200, 1e-4
_RARE = 0.01


@dataclass(frozen=True)
class StandardErrors:
    """Standard errors of m and u of each level (lowest first) of each comparison, and of the share of matches.

    NaN where a level was not seen in any sample: what is known then is that it is rare.
    """

    m: tuple[Numbers, ...]
    u: tuple[Numbers, ...]
    p_match: float


def find_standard_errors(patterns: Patterns, fitted: Mixture, seed: int) -> StandardErrors:
    """Standard errors by the bootstrap: the counts of pairs that were looked at drawn anew, and the mixture refitted.

    Pairs count as independent, which those of one person are not: true errors are larger, by up to the square root of
    the number of pairs of a person. What the model leaves out (dependence between fields) is not in them.
    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 6.
    """
    chance = np.random.default_rng(seed)
    fits = [fit_mixture(_drawn(patterns, chance), fitted, _MOST_ROUNDS, _TOLERANCE) for _ in range(_SAMPLES)]
    return StandardErrors(
        tuple(_spread([fit.m[index] for fit in fits]) for index in range(len(fitted.m))),
        tuple(_spread([fit.u[index] for fit in fits]) for index in range(len(fitted.u))),
        float(np.std([fit.p_match for fit in fits], ddof=1)),
    )


def _spread(values: Sequence[Numbers]) -> Numbers:
    """The standard deviation; NaN of what is rare and stays as it is: the half pair that a level never seen keeps."""
    sd, mean = np.std(values, axis=0, ddof=1), np.mean(values, axis=0)
    return np.where((mean < _RARE) & (sd < mean * _RARE), np.nan, sd)


def _drawn(patterns: Patterns, chance: np.random.Generator) -> Patterns:
    """The patterns with as many pairs looked at as another sample might have had."""
    ratio = chance.poisson(patterns.n_seen) / np.maximum(patterns.n_seen, 1.0)
    if not patterns.n_pairs @ ratio:
        return patterns  # a handful of pairs: a sample of them may hold none
    return replace(
        patterns,
        n_pairs=patterns.n_pairs * ratio,
        n_record_pairs=patterns.n_record_pairs * ratio,
        n_within=float(chance.poisson(patterns.n_within)),
    )
