"""How many crossings are hidden by signs of life, beside how many are to be expected: who shows some, and who none."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from miglink.stages.residence.draws.intervals import CELLS
from miglink.stages.residence.draws.shrinkage import Numbers

# Standard deviation, in log odds, between the signs of life of those who are seen to cross again and of those who are
# not: assumed.
_APART = 0.5
# So many cases of others stand beside those of a group: half of those of its length, and at most half of those that are
# alike but for the length.
_PRIOR_CASES = 10.0
# So many of each sign stand beside those of others and beside what is usual at their lengths: assumed.
_PRIOR_SIGNS = 1.0
# Of lengths at which fewer than this share of the confirmed show signs, none can be expected.
_LEAST_SHOWN = 0.02
# Signs that are as frequent where a crossing is hidden as where none is say nothing: the sum of squared differences.
_LEAST_TOLD = 0.02
# No chance is moved beyond these; and so many halvings find by how much all of a group are.
_LEAST, _MOST_LOG_ODDS, _HALVINGS = 1e-4, 20.0, 40
# The share that is likely tells what chance does to it: found in so many rounds.
_ROUNDS = 3
_SIGNS = ("alive", "lived", "silent")  # silent last
_COUNTS = ("n", "n_donors", "seen", "confirmed")


def match_signs(hidden: pl.DataFrame, rate_error: float) -> pl.DataFrame:
    """Estimate from signs of life how many of those seen at an end or start of observation have crossed unseen.

    hidden: CELLS with n (expected), n_donors, seen, and confirmed: those of seen whose state the next crossing beyond
        the day that is looked at confirms. rate_error: the relative error of n.
    Gives: the rows with told, the share of the cell CELLS[1], which ends with the signs; null where signs say nothing.
    Who stays shows signs of life as often as those who are confirmed, who crossed unseen as the donors do; what is seen
    of a group is a mixture of the two. The share of the hidden that fits best is weighed with the expected one, each by
    its error: chance, the error of the rates, how few are confirmed, and how unlike these may be to the others.
    Source: finite mixtures with known components (Titterington, Smith and Makov 1985).
    """
    group, sign = pl.col(CELLS[1]).str.replace(r" \S+$", ""), pl.col(CELLS[1]).str.extract(r"(\S+)$")
    own = hidden.with_columns(group=group, sign=sign)
    groups = own.select(CELLS[0], "group").unique().sort("group")
    counts = {}
    for name in _COUNTS:
        wide = own.pivot(on="sign", on_columns=_SIGNS, index="group", values=name, aggregate_function="sum")
        counts[name] = (
            groups.join(wide, on="group", how="left", maintain_order="left")
            .select(pl.col(*_SIGNS).fill_null(0.0))
            .to_numpy()
        )
    alike = groups["group"].str.replace(r" \d+ ", " ").to_numpy()
    told = _split(counts, (groups[CELLS[0]].to_numpy(), alike), rate_error)
    shares = groups.select("group").with_columns(
        pl.Series(name, told[:, place]) for place, name in enumerate(_SIGNS)
    )
    by_sign = shares.unpivot(index="group", variable_name="sign", value_name="told").with_columns(
        pl.col("told").fill_nan(None)
    )
    joined = own.join(by_sign, on=["group", "sign"], how="left", maintain_order="left")
    return joined.select(*hidden.columns, "told")


def hold_to_signs(shares: pl.DataFrame) -> pl.Series:
    """Move the shares of cells so that those of one cell CELLS[1] have on average the share that signs of life tell.

    shares: CELLS[1], share, seen (the weight), told (the same in all rows of a cell, null where nothing is told). The
    log odds of all are moved by as much.
    """
    rows = shares.with_row_index("row").filter(
        pl.col("told").is_not_null() & (pl.col("seen").sum().over(CELLS[1]) > 0)
    )
    if rows.is_empty():
        return shares["share"]
    _, of = np.unique(rows[CELLS[1]].to_numpy(), return_inverse=True)
    seen, share, told = (rows[name].to_numpy().clip(0.0) for name in ("seen", "share", "told"))
    share = np.clip(share, _LEAST, 1 - _LEAST)
    log_odds, wanted = np.log(share / (1 - share)), np.bincount(of, seen * np.clip(told, _LEAST, 1 - _LEAST))
    low = np.full(len(wanted), -_MOST_LOG_ODDS)
    high = -low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        is_more = np.bincount(of, seen / (1 + np.exp(-log_odds - middle[of]))) > wanted
        low, high = np.where(is_more, low, middle), np.where(is_more, middle, high)
    moved = 1 / (1 + np.exp(-log_odds - ((low + high) / 2)[of]))
    found = shares["share"].to_numpy().copy()
    found[rows["row"].to_numpy()] = moved
    return pl.Series("share", found)


def _split(counts: dict[str, Numbers], holders: tuple[Any, Any], rate_error: float) -> Numbers:
    """The share of those seen with each sign (groups, signs across) who have crossed unseen; not a number: not told.

    holders: of each group the name of its length, and that of its listing and nationality at any length.
    """
    length, alike = holders
    n, seen, confirmed = counts["n"], counts["seen"], counts["confirmed"]
    of_length = _sums(confirmed, length)
    is_shown = of_length[:, :-1].sum(axis=1) > _LEAST_SHOWN * np.maximum(of_length.sum(axis=1), 1e-9)
    donors, cases = counts["n_donors"].sum(axis=1), confirmed.sum(axis=1)
    hidden = _shares(n, donors, ((_sums(n, length), _PRIOR_CASES),))
    others = _sums(confirmed * is_shown[:, None], alike)
    prior = np.minimum(others.sum(axis=1), _PRIOR_CASES / 2)
    # The longer somebody stays, the likelier is a sign: others at their lengths are set beside all of those lengths.
    usual = _divided(of_length)
    ratio = (others + _PRIOR_SIGNS) / (_sums(usual * (cases * is_shown)[:, None], alike) + _PRIOR_SIGNS)
    others = usual * ratio
    staying = _shares(confirmed, cases, ((others, prior), (of_length, _PRIOR_CASES / 2)))
    total, expected = np.maximum(seen.sum(axis=1), 1e-9), n.sum(axis=1)
    apart = hidden - staying
    told = (apart**2).sum(axis=1)
    is_told = (told > _LEAST_TOLD) & is_shown
    told = np.where(is_told, told, 1.0)
    by_signs = ((apart * seen).sum(axis=1) / total - (apart * staying).sum(axis=1)) / told
    by_rates = expected / total
    # How unlike the confirmed are matters as much as there are others: as many as either estimate leaves.
    rest = 1 - np.clip(np.minimum(by_rates, by_signs), 0.0, 1.0)
    few = staying * (1 - staying) / (cases + prior + 1)[:, None]
    unlike = (_APART * staying * (1 - staying)) ** 2
    error_of_rates = (expected + (rate_error * expected) ** 2) / total**2 + 1e-9
    share = by_rates
    for _ in range(_ROUNDS):
        # What chance does to the signs of few is that of the shares that are likely, not of those that few have shown.
        likely = np.clip(share, 0.0, 1.0)[:, None]
        mixed = likely * hidden + (1 - likely) * staying
        chance = np.maximum((apart**2 * mixed).sum(axis=1) - (apart * mixed).sum(axis=1) ** 2, 0.0) / total
        error_of_signs = (chance + rest**2 * (apart**2 * (few + unlike)).sum(axis=1)) / told**2 + 1e-9
        weights = 1 / error_of_signs, 1 / error_of_rates
        share = (by_signs * weights[0] + by_rates * weights[1]) / sum(weights)
    likely = np.clip(share, 0.0, 1.0)[:, None] * hidden
    both = likely + (1 - np.clip(share, 0.0, 1.0))[:, None] * staying
    found = np.divide(likely, both, out=np.full_like(both, np.nan), where=both > 0)
    return np.where(is_told[:, None], found, np.nan)


def _shares(own: Numbers, cases: Numbers, others: Sequence[tuple[Numbers, Any]]) -> Numbers:
    """The share of each sign in each group, with some cases of others beside its own."""
    weighed = [(own, cases), *others]
    sums = sum(np.broadcast_to(n, cases.shape)[:, None] * _divided(counts) for counts, n in weighed)
    return np.asarray(
        sums / np.maximum(sum(np.broadcast_to(n, cases.shape) for _, n in weighed), 1e-9)[:, None]
    )


def _divided(counts: Numbers) -> Numbers:
    """Counts by sign as shares of all."""
    return np.asarray(counts / np.maximum(counts.sum(axis=1), 1e-9)[:, None])


def _sums(values: Numbers, holder: Any) -> Numbers:
    """The sums, sign by sign, over all groups that one holds, for each of them."""
    _, of = np.unique(holder, return_inverse=True)
    return np.column_stack([np.bincount(of, column).astype(np.float64)[of] for column in values.T])
