"""Points and intervals of figures, from how they come out in the draws.

The truth is taken as one more draw: of D draws with mean m and variance v, it lies around m with variance v (1 + 1/D),
on D − 1 degrees of freedom. That is Rubin's rule where nothing but the draws is uncertain.
Source: Rubin 1987, Multiple Imputation for Nonresponse in Surveys, section 3.3; Barnard and Rubin 1999, Biometrika 86.
"""

import math
from collections.abc import Sequence

import polars as pl

from miglink.config.draws import DrawsSettings
from miglink.stages.estimates.cells import list_margins
from miglink.stages.estimates.dimensions import TOTAL, Breakdown, Layout
from miglink.stages.estimates.draws import BEST, BOTH, CAUSES, DRAWN
from miglink.tables.contract import DIMENSIONS

# Sums over the draws of what a cell gains over the settled figure, under the best and the drawn linkage; what is
# undetermined in place of that in draw 0; and how many settled ones the draws replace.
CHANGES = ("change_best", "change_drawn", "open_best", "open_drawn", "replaced")
SHARES = tuple(f"share_{cause}" for cause in CAUSES)
INTERVAL = ("n", "mean", "lower", "upper", "standard_error", *SHARES, "interval_flag")
# A count of none has no logarithm; with a half added, one of few is nearly symmetric on that scale.
_HALF = 0.5
# Persons: an interval that is no wider is published, however small its figure is.
_NARROW = 10
_KEYS = ("rule", "policy", "period", "flow")


def find_changes(unpacked: pl.DataFrame, n_draws: int) -> pl.DataFrame:
    """What draws gain over the settled rows they replace: CHANGES, which add up over cells.

    Reads: rows of draws, and of draw 0, with n_settled and n_undetermined, linkage and draw.
    """
    is_drawn = pl.col("draw") > 0

    def gained(column: str, weight: int, linkage: str) -> pl.Expr:
        of_series = pl.col("linkage").is_in([linkage, BOTH])
        amount = pl.when(is_drawn).then(pl.col(column)).otherwise(-weight * pl.col(column))
        return pl.when(of_series).then(amount).otherwise(0)

    named = {
        **{f"change_{linkage}": gained("n_settled", n_draws, linkage) for linkage in (BEST, DRAWN)},
        **{f"open_{linkage}": gained("n_undetermined", 1, linkage) for linkage in (BEST, DRAWN)},
        "replaced": pl.when(is_drawn).then(0).otherwise(-gained("n_settled", 1, DRAWN)),
    }
    if "size" in unpacked.columns:
        named["change_size"] = gained("size", n_draws, DRAWN)
    keys = [name for name in (*_KEYS, *DIMENSIONS) if name in unpacked.columns]
    changes = unpacked.select(*keys, **named)
    return changes.group_by(keys).agg(pl.col(*named).sum())


def measure_spread(
    unpacked: Sequence[tuple[Breakdown, pl.DataFrame]], layout: Layout, grid: pl.DataFrame, n_draws: int
) -> pl.DataFrame:
    """How far each cell of every breakdown and margin moves over the draws under the drawn linkage.

    Gives: variance, log_mean and log_sd of what is drawn, and the share of the variance by cause; no row for cells
    in which nothing is drawn. In draws without a row nobody is counted there.
    """
    keys = [name for name in _KEYS if name in grid.columns]
    rows = []
    for index, kept in list_margins([breakdown for breakdown, _ in unpacked]):
        columns = _columns(kept, layout)
        by_draw = _by_cause(unpacked[index][1], [*keys, *columns], grid.select(keys))
        totals = (pl.lit(TOTAL).alias(name) for name in DIMENSIONS if name not in columns)
        rows.append(_moments(by_draw, [*keys, *columns], n_draws).with_columns(totals))
    measures = ("variance", "log_mean", "log_sd", *SHARES)
    return pl.concat(frame.select(*keys, *DIMENSIONS, *measures) for frame in rows)


def _columns(kept: Breakdown, layout: Layout) -> list[str]:
    named = [name for name in kept if name not in layout.traits]
    return named if len(named) == len(kept) else [*named, "trait", "trait_value"]


def _by_cause(rows: pl.DataFrame, keys: Sequence[str], listed: pl.DataFrame) -> pl.DataFrame:
    """What is counted in each draw, cause by cause, in the order of the draws: so sums come out the same always."""
    is_meant = (pl.col("draw") > 0) & pl.col("linkage").is_in([DRAWN, BOTH]) & (pl.col("n_settled") != 0)
    of_cause = (pl.col("n_settled").filter(pl.col("cause") == cause).sum().alias(cause) for cause in CAUSES)
    return (
        rows.filter(is_meant)
        .join(listed, on=listed.columns, how="semi")
        .group_by(*keys, "draw")
        .agg(*of_cause)
        .sort("draw")
    )


def _moments(by_draw: pl.DataFrame, keys: Sequence[str], n_draws: int) -> pl.DataFrame:
    """Moments over all draws; a draw without a row counts nobody."""
    drawn = pl.col("drawn")
    # Net migration may be below none, and is never taken to that scale.
    logarithm = (drawn.clip(0) + _HALF).log()
    sums = (
        by_draw.with_columns(drawn=pl.sum_horizontal(*CAUSES))
        .group_by(keys)
        .agg(
            rows=pl.len().cast(pl.Int64),
            total=drawn.sum(),
            squares=(drawn * drawn).sum(),
            least=drawn.min(),
            most=drawn.max(),
            logarithms=logarithm.sum(),
            log_squares=(logarithm * logarithm).sum(),
            **{cause: pl.col(cause).sum() for cause in CAUSES},
            **{f"{cause} with": (pl.col(cause) * drawn).sum() for cause in CAUSES},
        )
    )
    absent, none = n_draws - pl.col("rows"), math.log(_HALF)
    is_constant = (pl.col("least") == pl.col("most")) & ((absent == 0) | (pl.col("least") == 0))
    freedom = max(n_draws - 1, 1)
    covariances = {
        cause: (pl.col(f"{cause} with") - pl.col(cause) * (pl.col("total") / n_draws)) / freedom
        for cause in CAUSES
    }
    log_total = pl.col("logarithms") + absent * none
    log_variance = (pl.col("log_squares") + absent * none**2 - log_total**2 / n_draws) / freedom
    variance = (pl.col("squares") - pl.col("total") * (pl.col("total") / n_draws)) / freedom
    return (
        sums.filter(~is_constant)
        .with_columns(
            variance=variance,
            log_mean=log_total / n_draws,
            log_sd=log_variance.clip(0).sqrt(),
        )
        .with_columns(
            (one / pl.col("variance")).alias(f"share_{cause}") for cause, one in covariances.items()
        )
    )


def add_intervals(table: pl.DataFrame, spread: pl.DataFrame, settings: DrawsSettings) -> pl.DataFrame:
    """Add the columns of INTERVAL to figures with their CHANGES.

    n is the mean of the draws under the best linkage, `mean` that under the drawn one, which the interval is made of.
    Both are null where a draw leaves anything undetermined, or a month lacks its crossings: no draw speaks of that.
    A count has its interval on the logarithm of what is drawn of it, above what no draw touches; net migration, which
    has either sign, on the plain scale. The two are the same where the spread is small beside the count.
    """
    n_draws = settings.number
    keys = [name for name in (*_KEYS, *DIMENSIONS) if name in table.columns]
    is_known = pl.col("is_complete")
    for linkage in (BEST, DRAWN):
        is_known &= pl.col("n_undetermined") + pl.col(f"open_{linkage}") == 0
    point = pl.col("n_settled") + pl.col("change_best") / n_draws
    mean = pl.col("n_settled") + pl.col("change_drawn") / n_draws
    error = (pl.col("variance").fill_null(0) * (1 + 1 / n_draws)).sqrt()
    # One draw tells nothing of how far others lie from it.
    has_spread = is_known & pl.lit(n_draws > 1)
    joined = (
        table.join(spread, on=keys, how="left")
        .with_columns(
            n=pl.when(is_known).then(point),
            mean=pl.when(is_known).then(mean),
            standard_error=pl.when(has_spread).then(error),
        )
        .with_columns(*_bounds(settings))
        .with_columns(pl.when(pl.col("standard_error").is_not_null()).then(pl.col(*SHARES)))
    )
    return joined.with_columns(interval_flag=_flag(joined, settings)).drop("variance", "log_mean", "log_sd")


def _bounds(settings: DrawsSettings) -> list[pl.Expr]:
    n_draws = settings.number
    wide = student_t(0.5 + settings.level / 2, n_draws - 1) if n_draws > 1 else 0.0
    certain = pl.col("n_settled") - pl.col("replaced")
    half, log_half = wide * pl.col("standard_error"), wide * pl.col("log_sd") * math.sqrt(1 + 1 / n_draws)
    bounds = []
    for name, sign in (("lower", -1), ("upper", 1)):
        drawn = ((pl.col("log_mean") + sign * log_half).exp() - _HALF).clip(0)
        bound = pl.when("is_net").then(pl.col("mean") + sign * half).otherwise(certain + drawn)
        is_spread = pl.col("variance").is_not_null()
        exact = pl.when(pl.col("standard_error").is_not_null()).then("mean")
        bounds.append(
            pl.when(is_spread & pl.col("standard_error").is_not_null())
            .then(bound)
            .otherwise(exact)
            .alias(name)
        )
    return bounds


def _flag(table: pl.DataFrame, settings: DrawsSettings) -> pl.Expr:
    """point_outside before too_wide: an interval that misses its own point is worth less than a wide one."""
    rounding = 1e-9 * (1 + pl.col("mean").abs())
    is_outside = ~pl.col("n").is_between(pl.col("lower") - rounding, pl.col("upper") + rounding)
    size = pl.col("mean")
    if "size" in table.columns:
        both = (pl.col("size") + pl.col("change_size") / settings.number) / 2
        size = pl.when("is_net").then(both).otherwise(size)
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
