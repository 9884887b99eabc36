"""Training: m, u and the share of matches by EM over the patterns of all pairs."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from miglink.config.stages import LinkageSettings
from miglink.engine import Engine, Table
from miglink.stages.linkage.blocking import Block
from miglink.stages.linkage.by_splink import splink_settings
from miglink.stages.linkage.levels import Comparison
from miglink.stages.linkage.mixture import (
    Mixture,
    Numbers,
    count_excess,
    find_family,
    find_matches,
    fit_mixture,
    prior_of_distinct,
    shares,
)
from miglink.stages.linkage.model import Given, Model, Shared
from miglink.stages.linkage.patterns import Patterns, Sample, count_patterns
from miglink.stages.linkage.standard_errors import StandardErrors, find_standard_errors

# A field tells who somebody is if two random persons agree on it less often than this.
_TELLING = 0.01
# Fewer pairs than this that the other fields settle say too little about a field.
_FEWEST_SETTLED = 50


def train(
    engine: Engine,
    identities: Table,
    compared: tuple[Table, Sequence[Comparison], Sequence[Block]],
    settings: LinkageSettings,
) -> Model:
    """Estimate m, u and the share of matches by EM over the patterns of the whole space of pairs.

    Splink takes u from random pairs as if none were a match, and m from pairs that a block has selected. With several
    identities a person the first is badly wrong for fields that identify (linkage of event data), so all are fitted
    together, from several starts; the one of the highest likelihood is the model, and the history says what each
    reached. `compared` is the compared pairs, what is compared, and the blocking rules.
    Source: Fellegi and Sunter 1969; Winkler 1988.
    """
    _, comparisons, blocks = compared
    patterns = count_patterns(engine, identities, compared, Sample(settings.training_pairs, settings.seed))
    fits = {name: fit_mixture(patterns, start) for name, start in starts(patterns).items()}
    best = max(fits, key=lambda name: round(fits[name].log_likelihood, 12))  # the first of equals
    history = [
        {
            "step": "EM over all pairs",
            "start": name,
            "rounds": fitted.n_rounds,
            "has_converged": fitted.has_converged,
            "log_likelihood_per_pair": float(f"{fitted.log_likelihood:.9g}"),
            "patterns": int(patterns.levels.shape[0]),
            "is_chosen": name == best,
        }
        for name, fitted in fits.items()
    ]
    asked = tuple(comparison.asked for comparison in comparisons if comparison.asked is not None)
    p_match = prior_of_distinct(patterns, fits[best])
    history.append({"step": "prior of distinct identities", "p_match_of_em": _digits(fits[best].p_match)})
    trained = _with_parameters(splink_settings(comparisons, blocks), replace(fits[best], p_match=p_match))
    shared, given = _shared(patterns, comparisons, fits[best]), _given(patterns, comparisons, fits[best])
    errors = _errors_by_label(comparisons, find_standard_errors(patterns, fits[best], settings.seed))
    return Model(trained, asked, history, engine.count(identities), shared, errors, given)


def _given(patterns: Patterns, comparisons: Sequence[Comparison], fitted: Mixture) -> dict[str, Given]:
    """The u of each level (lowest first) among non-matches that agree on all of what the comparison is `given`."""
    places = {comparison.field: place for place, comparison in enumerate(comparisons)}
    others = patterns.n_pairs * (1.0 - find_matches(patterns, fitted))
    found = {}
    for place, comparison in enumerate(comparisons):
        if not comparison.given:
            continue
        top = [patterns.levels[:, places[f]] == len(comparisons[places[f]].levels) for f in comparison.given]
        agree, level, u = others * np.all(top, axis=0), patterns.levels[:, place], fitted.u[place]
        counts = np.bincount(level[level >= 0], agree[level >= 0], minlength=len(u))
        # A level that no sampled pair of the groups shows is as rare as it is in all.
        is_seen = counts > 0
        within = counts / max(counts.sum(), 1.0) * (1 - u[~is_seen].sum())
        told = tuple(float(f"{p:.9g}") for p in np.where(is_seen, within, u))
        found[comparison.field] = Given(comparison.given, told)
    return found


def _errors_by_label(comparisons: Sequence[Comparison], errors: StandardErrors) -> dict[str, Any]:
    """Standard errors by comparison and label of the level; null where a level was not seen."""
    return {
        comparison.field: {
            label: {"m": _digits(m), "u": _digits(u)}
            for label, m, u in zip(
                ["other", *(level.label for level in comparison.levels[::-1])], of_m, of_u, strict=True
            )
        }
        for comparison, of_m, of_u in zip(comparisons, errors.m, errors.u, strict=True)
    } | {"share of matches": _digits(errors.p_match)}


def _digits(value: float) -> float | None:
    return None if np.isnan(value) else float(f"{value:.3g}")


def _shared(patterns: Patterns, comparisons: Sequence[Comparison], fitted: Mixture) -> Shared | None:
    """What families share, pattern by pattern: by how much non-matches agree in it more often than by chance."""
    family = find_family(patterns)
    if not family.columns or family.is_origin:
        return None
    compared = [comparisons[column] for column in family.columns]
    silent = {comparison.field: comparison.silent for comparison in compared if comparison.silent is not None}
    levels = (tuple(int(level) for level in row) for row in family.patterns)
    excess = zip(levels, (float(f"{p:.9g}") for p in fitted.excess), strict=True)
    return Shared(tuple(comparison.field for comparison in compared), silent, tuple(excess))


def starts(patterns: Patterns) -> dict[str, Mixture]:
    """Where EM begins: blocked pairs that agree on so many fields that tell who somebody is are taken for matches.

    A field tells if one pair in a hundred or fewer agree on it. m of each field comes from the pairs that the other
    fields settle, as in a training block of Splink, or is a plain guess; u comes from all pairs that are not taken for
    matches, for among random pairs of a large file most levels are never seen.
    """
    n_levels = [len(family) for family in patterns.family]
    known = [
        (patterns.levels[:, [index]] == np.arange(n)).astype(np.float64) for index, n in enumerate(n_levels)
    ]
    is_shared = np.array([role == "shared" for role in patterns.roles])
    tells = np.array([_is_telling(patterns.n_pairs, field) for field in known]) & ~patterns.is_of_records
    agrees = np.column_stack([field[:, -1] for field in known])
    of_person = agrees * (tells & ~is_shared)
    n_agree = of_person.sum(axis=1) * patterns.is_blocked
    found = {}
    for name, fewest, is_plain in (("two fields", 2, False), ("a guess", 2, True), ("one field", 1, False)):
        is_match = patterns.is_blocked & (n_agree >= min(fewest, n_agree.max(initial=0)))
        others = patterns.n_pairs * ~is_match
        u = tuple(shares(others @ field) for field in known)
        m = []
        for index, field in enumerate(known):
            besides = n_agree - of_person[:, index] * patterns.is_blocked
            settled = patterns.n_record_pairs * (patterns.is_blocked & (besides >= fewest)) @ field
            is_enough = not is_plain and settled.sum() >= _FEWEST_SETTLED
            m.append(shares(settled if is_enough else _guess(n_levels[index])))
        p_match = float(np.clip(patterns.n_pairs[is_match].sum() / patterns.n_pairs.sum(), 1e-15, 0.2))
        found[name] = Mixture(p_match, tuple(m), u, count_excess(find_family(patterns), u, others))
    return found


def _is_telling(n_pairs: Numbers, field: Numbers) -> bool:
    return bool(n_pairs @ field[:, -1] <= _TELLING * max(float(n_pairs @ field.sum(axis=1)), 1.0))


def _guess(n_levels: int) -> Numbers:
    return np.array([5.0] * (n_levels - 1) + [90.0])


def _with_parameters(plain: dict[str, Any], fitted: Mixture) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(json.dumps(plain))
    settings["probability_two_random_records_match"] = float(f"{fitted.p_match:.9g}")
    for entry, m, u in zip(settings["comparisons"], fitted.m, fitted.u, strict=True):
        levels = [level for level in entry["comparison_levels"] if not level.get("is_null_level")][::-1]
        for level, m_level, u_level in zip(levels, m, u, strict=True):
            level["m_probability"], level["u_probability"] = float(f"{m_level:.9g}"), float(f"{u_level:.9g}")
    return settings
