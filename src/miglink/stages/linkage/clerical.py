"""Precision and recall of the links, estimated from pairs that were drawn for clerical review."""

import numpy as np
import numpy.typing as npt
import polars as pl

from miglink.engine import Engine, Table

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# Draws from which the intervals are read: enough for a 95 % limit to about a hundredth of the interval's width.
_DRAWS, _SEED = 10_000, 1
_LOW, _HIGH = 0.025, 0.975
# Source pairs with fewer decided pairs get no figures of their own.
_LEAST_DECIDED = 20
_CELL = ["stratum", "is_inside", "is_accepted"]


def estimate_clerical(
    engine: Engine,
    judgements: Table,
    record_identities: Table,
    links: Table,
    accept_p_match: float,
) -> pl.DataFrame:
    """Estimate precision and recall of the model's links from the decisions on a drawn sample.

    Reads: judgements with stratum and sampling_weight; record_identities; links.
    Gives: measure, item (`all`, or two sources), value: clerical_precision and clerical_recall, each with `_low` and
    `_high` (95 %), and with `_unsure_as_match` and `_unsure_as_non_match` where there are such verdicts; clerical_pairs
    (pairs of the sampled population), clerical_drawn, clerical_decided, clerical_unsure, clerical_undecided. No rows
    without a sample.
    Units: shares of pairs of identities, from 0 to 1, among the pairs that the sample was drawn from.
    Source: Cochran 1977, chapters 5 and 5A (stratified and post-stratified means); see `estimate_shares`.
    """
    return measure_review(find_reviewed(engine, judgements, record_identities, links, accept_p_match))


def find_reviewed(
    engine: Engine,
    judgements: Table,
    record_identities: Table,
    links: Table,
    accept_p_match: float,
) -> pl.DataFrame:
    """Give the pairs drawn for review: sources, stratum, sampling_weight, verdict (null: not decided), is_accepted.

    A pair is accepted if the model alone gives it accept_p_match, whatever the decision on it binds; a pair that is not
    in `links` is not accepted, two records of one identity are. A pair of which a record is gone is left out.
    """
    return engine.collect(
        f"""SELECT concat(j.source_l, ' / ', j.source_r) AS sources, j.stratum, j.sampling_weight, j.verdict,
               l.identity_id = r.identity_id OR coalesce(
                   CASE WHEN k.blocking_rule IN ('judgement', 'given_person') THEN k.model_p_calibrated
                        ELSE k.p_calibrated END
                   >= CAST('{accept_p_match!r}' AS DOUBLE), false) AS is_accepted
        FROM judgements j
        JOIN record_identities l ON l.source = j.source_l AND l.record_id = j.record_id_l
        JOIN record_identities r ON r.source = j.source_r AND r.record_id = j.record_id_r
        LEFT JOIN links k ON k.identity_id_l = least(l.identity_id, r.identity_id)
          AND k.identity_id_r = greatest(l.identity_id, r.identity_id)
        WHERE j.stratum IS NOT NULL AND j.sampling_weight IS NOT NULL
        ORDER BY j.stratum, j.source_l, j.record_id_l, j.source_r, j.record_id_r""",
        judgements=judgements,
        record_identities=record_identities,
        links=links,
    )


def measure_review(reviewed: pl.DataFrame) -> pl.DataFrame:
    """The figures of `estimate_clerical` from the pairs of `find_reviewed`, in all and by the two sources."""
    enough = reviewed.group_by("sources").agg(pl.col("verdict").is_in(["match", "non_match"]).sum())
    items = enough.filter(pl.col("verdict") >= _LEAST_DECIDED)["sources"].sort().to_list()
    measured = []
    for item in ["all", *items] if reviewed.height else []:
        is_inside = pl.lit(value=True) if item == "all" else pl.col("sources") == item
        values = _measure(reviewed.with_columns(is_inside=is_inside))
        measured.append(
            pl.DataFrame(
                {"measure": list(values), "item": item, "value": list(values.values())},
                schema_overrides={"value": pl.Float64},
            )
        )
    schema = {"measure": pl.String, "item": pl.String, "value": pl.Float64}
    return pl.concat([pl.DataFrame(schema=schema), *measured])


def _measure(reviewed: pl.DataFrame) -> dict[str, float | None]:
    inside, verdict = reviewed.filter("is_inside"), pl.col("verdict")
    n_unsure = inside.filter(verdict == "unsure").height
    values: dict[str, float | None] = {
        "clerical_pairs": float(inside["sampling_weight"].sum()),
        "clerical_drawn": inside.height,
        "clerical_decided": inside.filter(verdict.is_in(["match", "non_match"])).height,
        "clerical_unsure": n_unsure,
        "clerical_undecided": inside["verdict"].null_count(),
    }
    for name, (share, low, high) in estimate_shares(reviewed).items():
        values |= {f"clerical_{name}": share, f"clerical_{name}_low": low, f"clerical_{name}_high": high}
    for taken_as in ("match", "non_match") if n_unsure else ():
        assumed = estimate_shares(reviewed.with_columns(verdict.replace("unsure", taken_as)))
        values |= {f"clerical_{name}_unsure_as_{taken_as}": share for name, (share, *_) in assumed.items()}
    return values


def estimate_shares(reviewed: pl.DataFrame) -> dict[str, tuple[float, float, float]]:
    """Give precision and recall, each with the limits of its 95 % interval; left out where nothing was decided on.

    Reads: stratum, sampling_weight, verdict, is_accepted, is_inside (whether the pair is one of those asked for).
    With N the pairs of a cell (stratum, accepted or not) by its weights and p the share of matches among its decided
    pairs, precision is Σ N p / Σ N over the accepted, recall Σ N p over the accepted / Σ N p over all. Verdicts
    `unsure` and pairs not decided yet are taken to be like the decided ones of their cell.
    The interval is that of 10,000 draws of what the population may be given the sample: the pairs not decided on are
    matches with a probability drawn from Beta(k + a, n − k + a), k matches among n decided. The prior counts a sum to ½
    over the accepted cells, and to ½ over the others, in proportion to N: in one stratum that is Jeffreys' interval,
    and a census has none. ½ in each of many strata would drown what large strata say.
    Source: Kish 1965, 11.7 (n of unequal weights in a cell); Brown, Cai and DasGupta 2001 (Jeffreys); Ghosh and Meeden
    1997 (Pólya posterior of a finite population); Berger, Bernardo and Sun 2015 (one prior count among many cells).
    """
    decided = pl.col("verdict").is_in(["match", "non_match"])
    weight = pl.col("sampling_weight")
    of_decided, of_matches = weight.filter(decided), weight.filter(pl.col("verdict") == "match")
    # Kish's number: as many pairs of one weight say as much. Where all weights are equal, it is their number.
    kish = of_decided.sum().pow(2) / of_decided.pow(2).sum()
    cells = (
        reviewed.group_by(_CELL)
        .agg(
            n_pairs=weight.sum(),
            n_drawn=pl.len().cast(pl.Float64),
            n_decided=pl.when(of_decided.len() > 0).then(kish).otherwise(0.0),
            n_matches=pl.when(of_matches.len() > 0)
            .then(kish * of_matches.sum() / of_decided.sum())
            .otherwise(0.0),
        )
        .sort(_CELL)
    )
    sizes = _draw_sizes(cells)[:, cells["is_inside"].to_numpy()]
    inside = cells.filter("is_inside")
    size, n, k = (inside[name].to_numpy() for name in ("n_pairs", "n_decided", "n_matches"))
    is_accepted = inside["is_accepted"].to_numpy()
    if not n[is_accepted].sum():
        return {}
    found = _shares(size[None, :], _expected_matches(size, n, k, is_accepted)[None, :], is_accepted)
    spread = _shares(sizes, _draw_matches(sizes, size, (n, k), is_accepted), is_accepted)
    return {
        name: (float(share), *_limits(spread[name], float(share)))
        for name, (share,) in found.items()
        if np.isfinite(share)
    }


def _expected_matches(size: Numbers, n: Numbers, k: Numbers, is_accepted: Flags) -> Numbers:
    """Matches of each cell; one without decisions is taken to be like those of its class that have some."""
    known = n > 0
    share = np.divide(k, n, out=np.full(len(n), np.nan), where=known)
    for chosen in (is_accepted, ~is_accepted):
        weights = np.where(known & chosen, size, 0.0)
        if weights.sum():
            share[chosen & ~known] = np.sum(weights * np.nan_to_num(share)) / weights.sum()
    expected: Numbers = size * share
    return expected


def _draw_sizes(cells: pl.DataFrame) -> Numbers:
    """Draws of the pairs in each cell; the strata have theirs by design, the cells within one as they were drawn."""
    rng = np.random.default_rng(_SEED)
    place = cells["stratum"].rank("dense").to_numpy() - 1
    drawn, size = cells["n_drawn"].to_numpy(), cells["n_pairs"].to_numpy()
    rest = (np.bincount(place, size) - np.bincount(place, drawn))[place]
    parts = rng.gamma(drawn, size=(_DRAWS, len(drawn)))
    first = np.flatnonzero(np.diff(place, prepend=-1))
    whole = np.add.reduceat(parts, first, axis=1)[:, place]
    sizes: Numbers = drawn + np.maximum(rest, 0.0) * parts / whole
    return sizes


def _draw_matches(
    sizes: Numbers, size: Numbers, decisions: tuple[Numbers, Numbers], is_accepted: Flags
) -> Numbers:
    """Draws of the matches in each cell: those found, and a binomial number among the pairs that stay open."""
    rng = np.random.default_rng(_SEED + 1)
    n, k = decisions
    of_class = np.where(is_accepted, size[is_accepted].sum(), size[~is_accepted].sum())
    prior = np.where(n > 0, 0.5 * size / of_class, 0.5)
    chance = rng.beta(k + prior, n - k + prior, sizes.shape)
    n_open = np.rint(np.maximum(sizes - n, 0.0)).astype(np.int64)
    matches: Numbers = k + rng.binomial(n_open, chance)
    return matches


def _shares(sizes: Numbers, matches: Numbers, is_accepted: Flags) -> dict[str, Numbers]:
    """Precision and recall of each draw; NaN where there is no match."""
    found, whole = matches[:, is_accepted].sum(axis=1), matches.sum(axis=1)
    recall = np.divide(found, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return {"precision": found / sizes[:, is_accepted].sum(axis=1), "recall": recall}


def _limits(spread: Numbers, share: float) -> tuple[float, float]:
    """The middle 95 % of the draws, and the estimate itself."""
    low, high = np.nanquantile(spread, (_LOW, _HIGH))
    return min(float(low), share), min(max(float(high), share), 1.0)
