"""Points and intervals of figures, from how they come out in the draws.

The truth is taken as one more draw: of D draws with mean m and variance v, it lies around m with variance v (1 + 1/D),
on D − 1 degrees of freedom. That is Rubin's rule where nothing but the draws is uncertain.
Source: Rubin 1987, Multiple Imputation for Nonresponse in Surveys, section 3.3; Barnard and Rubin 1999, Biometrika 86.
"""

import math

import polars as pl

from miglink.config.draws import DrawsSettings
from miglink.stages.estimates.draws import BEST, CAUSES, DRAWN
from miglink.tables.contract import DIMENSIONS

SHARES = tuple(f"share_{cause}" for cause in CAUSES)
INTERVAL = ("n", "mean", "lower", "upper", "standard_error", *SHARES, "interval_flag")
# A count of none has no logarithm; with a half added, one of few is nearly symmetric on that scale.
_HALF = 0.5
# Of a bound so close to a whole number that arithmetic alone parts them.
_ROUNDING = 1e-6
# Persons: an interval that is no wider is published, however small its figure is.
_NARROW = 10
_KEYS = ("rule", "policy", "period", "flow", *DIMENSIONS)


def find_point(settings: DrawsSettings | None) -> pl.Expr:
    """The headline of a figure with its CHANGES, is_complete and status; null where something stays undetermined.

    Nor is there one where a month lacks its crossings. Without draws (None) a figure is known where it is final and
    nothing in it is undetermined.
    """
    settled, undetermined = pl.col("n_settled"), pl.col("n_undetermined")
    if settings is None:
        is_final = (pl.col("status") == "final") & (undetermined == 0)
        return pl.when(is_final).then(settled.cast(pl.Float64))
    return pl.when(_is_known()).then(settled + pl.col("change_best") / settings.number)


def _is_known() -> pl.Expr:
    is_settled = (pl.col("n_undetermined") + pl.col(f"open_{linkage}") == 0 for linkage in (BEST, DRAWN))
    return pl.all_horizontal(pl.col("is_complete"), *is_settled)


def add_intervals(table: pl.DataFrame, moments: pl.DataFrame, settings: DrawsSettings) -> pl.DataFrame:
    """Add the columns of INTERVAL to figures with their CHANGES.

    n is the mean of the draws under the best linkage, `mean` that under the drawn one, which the interval is made of.
    Both are null where a draw leaves anything undetermined, or a month lacks its crossings: no draw speaks of that.
    One draw tells nothing of how far others lie from it.
    """
    n_draws = settings.number
    is_known = _is_known()
    mean = pl.col("n_settled") + pl.col("change_drawn") / n_draws
    has_spread = is_known & pl.lit(n_draws > 1)
    variance = pl.col("variance").fill_null(0) * (1 + 1 / n_draws)
    joined = (
        table.join(_find_spread(moments, n_draws), on=_KEYS, how="left")
        .with_columns(
            n=find_point(settings),
            mean=pl.when(is_known).then(mean),
            standard_error=pl.when(has_spread).then(variance.sqrt()),
        )
        .with_columns(*_bounds(settings), pl.when(has_spread).then(pl.col(*SHARES)))
    )
    return joined.with_columns(interval_flag=_flag(settings))


def _find_spread(moments: pl.DataFrame, n_draws: int) -> pl.DataFrame:
    """The variance over all draws and the share of it by cause; no row for cells that are the same in all.

    A draw without a row counts nobody.
    """
    is_whole, total = pl.col("n_rows") == n_draws, pl.col("total")
    is_constant = (pl.col("least") == pl.col("most")) & (is_whole | (pl.col("least") == 0))
    freedom = max(n_draws - 1, 1)
    variance = (pl.col("squares") - total * (total / n_draws)) / freedom
    shares = {
        f"share_{cause}": (pl.col(f"product_{cause}") - pl.col(f"total_{cause}") * (total / n_draws))
        / freedom
        / variance
        for cause in CAUSES
    }
    return moments.filter(~is_constant).select(*_KEYS, variance=variance, **shares)


def _bounds(settings: DrawsSettings) -> list[pl.Expr]:
    """A count's bounds are those of a log-normal with the mean and the variance of what is drawn of it and a half.

    So they lie above what no draw touches, and are the plain ones where the spread is small beside what is drawn. Net
    migration, which has either sign, has the plain ones. Persons are whole and these scales are not: a count stands for
    all that is nearer to it than to any other, so that bounds are the nearest whole numbers (continuity correction).
    """
    if settings.number < 2:
        return [pl.lit(None, pl.Float64).alias(name) for name in ("lower", "upper")]
    wide = student_t(0.5 + settings.level / 2, settings.number - 1)
    mean, error = pl.col("mean"), pl.col("standard_error")
    certain = pl.col("n_settled") - pl.col("replaced")
    drawn = (mean - certain).clip(0) + _HALF
    log_variance = (1 + (error / drawn) ** 2).log()
    bounds = []
    for name, sign in (("lower", -1), ("upper", 1)):
        on_logs = (drawn.log() - log_variance / 2 + sign * wide * log_variance.sqrt()).exp() - _HALF
        bound = (
            pl.when(pl.col("flow") == "net")
            .then(mean + sign * wide * error)
            .otherwise(certain + on_logs.clip(0))
        )
        # What lies in the middle of two of them goes outwards; none is not negative.
        whole = (bound - _HALF - _ROUNDING).ceil() if sign < 0 else (bound + _HALF + _ROUNDING).floor()
        whole = pl.when(whole == 0).then(0.0).otherwise(whole)
        known = pl.when(error == 0).then(mean).when(error > 0).then(whole)
        bounds.append(known.alias(name))
    return bounds


def _flag(settings: DrawsSettings) -> pl.Expr:
    """point_outside before too_wide: an interval that misses its own point is worth less than a wide one."""
    rounding = 1e-9 * (1 + pl.col("mean").abs())
    is_outside = ~pl.col("n").is_between(pl.col("lower") - rounding, pl.col("upper") + rounding)
    size = pl.col("size") + pl.col("change_size") / settings.number
    # Net migration may be near none: it is measured against the mean of the two flows.
    size = pl.when(pl.col("flow") == "net").then(size / 2).otherwise(size)
    is_wide = (pl.col("standard_error") > settings.largest_relative_error * size) & (
        pl.col("upper") - pl.col("lower") > _NARROW
    )
    return pl.when(is_outside).then(pl.lit("point_outside")).when(is_wide).then(pl.lit("too_wide"))


def student_t(probability: float, freedom: int) -> float:
    """The quantile of Student's t, by halving on its distribution function, which has a closed form.

    Source: Abramowitz and Stegun 1964, 26.7.3 and 26.7.4.

    >>> [round(student_t(0.975, n), 3) for n in (1, 2, 9, 49)]
    [12.706, 4.303, 2.262, 2.01]
    """
    low, high = 0.0, 1e6
    while high - low > 1e-12 * (1 + high):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < 2 * probability - 1 else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """The probability of a value between −t and t."""
    angle = math.atan(t / math.sqrt(freedom))
    squared = math.cos(angle) ** 2
    is_odd = freedom % 2
    term = math.cos(angle) if is_odd else 1.0
    total = term if freedom > 1 else 0.0
    for number in range(3 if is_odd else 2, freedom - 1, 2):
        term *= squared * (number - 1) / number
        total += term
    return 2 / math.pi * (angle + math.sin(angle) * total) if is_odd else math.sin(angle) * total
