"""The mixture of matches and non-matches that is fitted to counts of agreement patterns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from miglink.stages.linkage.patterns import Patterns, Role

Numbers = NDArray[np.float64]
# Fewer matches than this that agree on an identifier say too little about a level.
_FEWEST_ANCHORED = 200
# Patterns whose match weight lies between these say how common matches are where it matters; beyond, either nearly all
# pairs are matches or nearly none. So many pairs as they are expected, at least, so that a handful decides nothing.
_LEAST_WEIGHT, _MOST_WEIGHT, _PRIOR_PAIRS = -3.0, 10.0, 20.0
# Of relatives, the share born on one day. Of maternities 1 to 2 % are of twins (Human Multiple Births Database), so
# that 2 to 3 pairs of siblings in a hundred are, and more of those of one sex, as two in three twins are; data cannot
# tell them from one person with a wrong given name. Put high, for to join twins is worse than to miss such an error.
_TWINS = 0.05


@dataclass(frozen=True)
class Family:
    """Where relatives, or people of one origin, are not like strangers, in patterns of its own.

    is_origin: of one origin. columns: the comparisons, and their roles. patterns: the combinations of their
    levels. of: for each agreement pattern the row of patterns. merged: for each row of patterns, a number of what is
    shared in it: of the name the surname counts, of the date of birth nothing; known: for each such number, one of the
    set of comparisons that are known in it. surname: at which levels of the name surnames agree.
    """

    is_origin: bool
    columns: tuple[int, ...]
    roles: tuple[Role, ...]
    patterns: NDArray[np.int64]
    of: NDArray[np.int64]
    merged: NDArray[np.int64]
    known: NDArray[np.int64]
    surname: NDArray[np.bool_]


def find_family(patterns: Patterns) -> Family:
    """The patterns of what families or people of one origin share; none where fewer than two comparisons say of it."""
    columns = tuple(index for index, role in enumerate(patterns.roles) if role != "person")
    if sum(patterns.roles[column] != "birth" for column in columns) < 2:
        columns = ()
    every, of = np.unique(patterns.levels[:, columns], axis=0, return_inverse=True)
    together, surname = every.copy(), np.zeros(1, dtype=np.bool_)
    for place, column in enumerate(columns):
        if patterns.roles[column] == "name":
            surname = patterns.surname[column]
            together[:, place] = np.where(every[:, place] >= 0, surname[every[:, place]], every[:, place])
        elif patterns.roles[column] == "birth":
            together[:, place] = 0
    together, merged = np.unique(together, axis=0, return_inverse=True)
    _, known = np.unique(together != -1, axis=0, return_inverse=True)
    roles = tuple(patterns.roles[column] for column in columns)
    places = of.reshape(-1), merged.reshape(-1), known.reshape(-1)
    return Family("group" in roles, columns, roles, every, *places, surname)


@dataclass(frozen=True)
class Mixture:
    """The share of matches, and the probabilities of each level (lowest first) of each comparison: m and u.

    excess: for each pattern of what families share (Family.patterns), by how much non-matches show it more often than
    its parts would by chance, given what of it is known. Empty where nothing that families share is compared.
    """

    p_match: float
    m: tuple[Numbers, ...]
    u: tuple[Numbers, ...]
    excess: Numbers
    log_likelihood: float = float("nan")
    n_rounds: int = 0
    has_converged: bool = False


def fit_mixture(
    patterns: Patterns, start: Mixture, most_rounds: int = 2000, tolerance: float = 1e-6
) -> Mixture:
    """Fit the Fellegi–Sunter mixture to the counts of patterns by expectation and maximisation.

    The share of matches and u come from pairs of identities that are not matches, not from all random pairs. m comes
    from pairs of records, those within one identity among them: repeats have been collapsed, and on distinct
    identities alone agreement would look rare. A level never seen keeps half a pair, so that its weight is finite.
    Pairs outside all blocks count as non-matches: matches are so rare among them that a second class would
    describe differences among the non-matches instead.
    Non-matches do not agree on a surname, an address and a mother's name by three chances but by one, being relatives:
    how often they agree on which of these is counted, pattern by pattern. In everything else (given names, dates of
    birth, numbers) relatives are like strangers, so that they cannot take in the matches with errors.
    Where nothing is compared that tells families, the same is counted for what people of one origin share: names go
    with a citizenship and a sex, so that strangers of one name agree on these by no further chance.
    It has converged when no parameter moves by more than `tolerance` on the log scale.
    Source: Fellegi and Sunter 1969; Winkler 1988 (EM for record linkage); Thibaudeau 1993 (dependence among
    non-matches).
    """
    indicators = _indicators(patterns, start.m)
    n_within = patterns.n_within * ~patterns.is_of_records
    within = [np.eye(len(m))[-1] * n for m, n in zip(start.m, n_within, strict=True)]
    family, current = find_family(patterns), start
    for n_rounds in range(1, most_rounds + 1):
        is_match, log_likelihood = _matches(patterns, family, indicators, current)
        record_matches = patterns.n_record_pairs * is_match
        others = patterns.n_pairs * (1.0 - is_match)
        u = tuple(shares(others @ known) for known in indicators)
        m = tuple(
            shares(
                _without_family(
                    agree + record_matches @ known, (record_matches, known, reached, u_level), patterns
                )
                if not family.columns or family.is_origin
                else agree + record_matches @ known
            )
            for known, agree, reached, u_level in zip(indicators, within, patterns.family, u, strict=True)
        )
        p_match = float(np.clip(patterns.n_pairs @ is_match / patterns.n_pairs.sum(), 1e-15, 0.5))
        fitted = Mixture(p_match, m, u, count_excess(family, u, others), log_likelihood, n_rounds)
        has_converged = _moved(current, fitted) < tolerance
        current = replace(fitted, has_converged=has_converged)
        if has_converged:
            break
    return current


def find_matches(patterns: Patterns, fitted: Mixture) -> Numbers:
    """How probably a pair of each pattern is a match."""
    return _matches(patterns, find_family(patterns), _indicators(patterns, fitted.m), fitted)[0]


def prior_of_distinct(patterns: Patterns, fitted: Mixture) -> float:
    """The share of matches among pairs of identities, as the patterns that do not settle who is who have it.

    m is of pairs of records, of which those within one identity agree on everything; two identities are distinct, so
    that among their matches every kind of disagreement is more common than m says, and all by about one factor. How
    often non-matches show a pattern is known well (u, from all pairs); what is seen beyond that are matches. The factor
    is that of highest likelihood with m and u as they are, counts of patterns being Poisson. Where families share what
    is compared it is the share as fitted: what they share is counted among pairs that may be matches.
    """
    family = find_family(patterns)
    if family.columns and not family.is_origin:
        return fitted.p_match
    indicators = _indicators(patterns, fitted.m)
    matches, others = _log_classes(patterns, family, indicators, fitted)
    _, known = np.unique(patterns.levels >= 0, axis=0, return_inverse=True)
    n_known = np.bincount(known.reshape(-1), patterns.n_pairs)[known.reshape(-1)]
    weight = (matches - others) / np.log(2)
    open_ = patterns.is_blocked & (weight > _LEAST_WEIGHT) & (weight < _MOST_WEIGHT)
    seen, expected = patterns.n_pairs[open_], (n_known * np.exp(matches))[open_]
    odds, factor = np.exp((matches - others)[open_]), 1.0
    for _ in range(200):
        of_matches = seen @ (factor * odds / (1 + factor * odds))
        factor = float((of_matches + _PRIOR_PAIRS) / (expected.sum() + _PRIOR_PAIRS))
    return min(fitted.p_match * factor, 0.5)


def _indicators(patterns: Patterns, of_levels: Sequence[Numbers]) -> list[Numbers]:
    """For each comparison, which level (column) each pattern (row) shows; none where it is not known."""
    return [
        (patterns.levels[:, [index]] == np.arange(len(m))).astype(np.float64)
        for index, m in enumerate(of_levels)
    ]


def _log_classes(
    patterns: Patterns, family: Family, indicators: Sequence[Numbers], mixture: Mixture
) -> tuple[Numbers, Numbers]:
    """The log probability of each pattern, given what is known in it, as a match and as a non-match."""
    log_m, log_u = (
        np.sum([known @ np.log(p) for known, p in zip(indicators, of_class, strict=True)], axis=0)
        for of_class in (mixture.m, mixture.u)
    )
    matches = np.where(patterns.is_blocked, log_m + np.log(mixture.p_match), -np.inf)
    others = log_u + np.log1p(-mixture.p_match)
    if family.columns:
        others += np.log1p(mixture.excess / by_chance(family, mixture.u))[family.of]
    return matches, others


def _matches(
    patterns: Patterns, family: Family, indicators: Sequence[Numbers], mixture: Mixture
) -> tuple[Numbers, float]:
    """How probably a pair of each pattern is a match; and the log-likelihood of a pair."""
    matches, others = _log_classes(patterns, family, indicators, mixture)
    total = np.logaddexp(matches, others)
    log_likelihood = float(patterns.n_pairs @ total / patterns.n_pairs.sum())
    return np.exp(matches - total), log_likelihood


def by_chance(family: Family, u: Sequence[Numbers]) -> Numbers:
    """The probability of each pattern of what families share, were its parts independent."""
    chance = np.ones(len(family.patterns))
    for place, column in enumerate(family.columns):
        level = family.patterns[:, place]
        chance *= np.where(level >= 0, u[column][level], 1.0)
    return chance


def count_excess(family: Family, u: Sequence[Numbers], n_pairs: Numbers) -> Numbers:
    """The excess of each pattern of what families share, among pairs that are not matches.

    A pattern never seen keeps half a pair. Given names of relatives agree as often as those of strangers who bear one
    surname, and their days of birth as those of strangers but for twins.
    """
    if not family.columns:
        return np.zeros(0)
    counts = np.bincount(family.merged, np.bincount(family.of, n_pairs, len(family.patterns))) + 0.5
    found = counts / np.bincount(family.known, counts)[family.known]
    chance, own = np.ones(len(family.patterns)), np.ones(len(family.patterns))
    for place, (column, role) in enumerate(zip(family.columns, family.roles, strict=True)):
        level, of_level = family.patterns[:, place], u[column]
        if role in ("shared", "group"):
            chance *= np.where(level >= 0, of_level[level], 1.0)
        elif role == "name":
            same = of_level[family.surname].sum()
            shares_of = np.where(family.surname, same, 1 - same)
            chance *= np.where(level >= 0, shares_of[level], 1.0)
            own *= np.where(level >= 0, (of_level / shares_of)[level], 1.0)
        else:
            others = of_level * (1 - _TWINS) / (1 - of_level[-1])
            others[-1] = max(_TWINS, of_level[-1])
            own *= np.where(level >= 0, others[level], 1.0)
    # What is shared is the same in all rows of a number.
    excess = np.zeros(len(counts))
    excess[family.merged] = found[family.merged] - chance
    # Relatives can only add to what is by chance; origin also makes a combination rarer than its parts.
    least = -np.inf if family.is_origin else 0.0
    return np.asarray(np.maximum(excess[family.merged], least) * own, dtype=np.float64)


def _moved(before: Mixture, after: Mixture) -> float:
    """By how much a parameter has moved at most, on the log scale."""
    moved = max(
        float(np.abs(np.log(new) - np.log(old)).max())
        for new, old in zip((*after.m, *after.u), (*before.m, *before.u), strict=True)
    )
    return max(moved, abs(float(np.log(after.p_match) - np.log(before.p_match))))


def _without_family(
    matches: Numbers, parts: tuple[Numbers, Numbers, NDArray[np.bool_], Numbers], patterns: Patterns
) -> Numbers:
    """The matches at each level, those at levels that relatives reach too taken from pairs that an identifier settles.

    Twins agree on surname, date of birth and citizenship, so that the mixture would take some of them for matches and
    learn from them. Where no identifier is held, such a level may not speak for a match: m is at most u.
    """
    record_matches, known, family, u = parts
    if not family.any():
        return matches
    anchored = (record_matches * patterns.is_anchored) @ known
    is_enough = anchored.sum() >= _FEWEST_ANCHORED
    settled = (anchored / anchored.sum() if is_enough else u) * matches.sum()
    return np.where(family, np.minimum(settled, matches), matches)


def shares(counts: Numbers) -> Numbers:
    """Counts as shares of their sum; one never seen keeps half a pair."""
    kept = np.maximum(counts, 0.5)
    return np.asarray(kept / kept.sum(), dtype=np.float64)
