"""Training: Splink's estimates first, then the correction that event data need."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from miglink.config.stages import LinkageSettings
from miglink.engine import Engine, Table
from miglink.stages.linkage.blocking import Block, training_blocks
from miglink.stages.linkage.levels import Comparison, splink_comparison
from miglink.stages.linkage.model import Model
from miglink.stages.linkage.patterns import (
    MOST_BLOCKED_PAIRS,
    Mixture,
    Patterns,
    Sample,
    count_patterns,
    fit_mixture,
)

# A field tells who somebody is if two random persons agree on it less often than this.
_TELLING = 0.01


def blocking_entries(blocks: Sequence[Block]) -> list[dict[str, str]]:
    """The blocking rules in the form of Splink's settings."""
    return [{"blocking_rule": block.condition()} for block in blocks]


def splink_settings(comparisons: Sequence[Comparison], blocks: Sequence[Block]) -> dict[str, Any]:
    """The settings of an untrained model."""
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "unique_id",
        "comparisons": [splink_comparison(comparison) for comparison in comparisons],
        "blocking_rules_to_generate_predictions": blocking_entries(blocks),
        "probability_two_random_records_match": 1e-4,
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": False,
        "linker_uid": "miglink",
        "max_iterations": 50,
    }


def train(
    engine: Engine,
    identities: Table,
    comparisons: Sequence[Comparison],
    blocked: tuple[Sequence[Block], int],
    settings: LinkageSettings,
) -> Model:
    """Estimate m by EM in several blocks and u from random pairs with Splink, then correct both.

    Splink takes u from random pairs as if none were a match, and m from pairs that a block has selected. With several
    identities a person the first is badly wrong for fields that identify (linkage of event data), so both are refitted
    to the patterns of the whole space of pairs, starting from Splink's values. `blocked` is the blocking rules and how
    many pairs they propose; of very many, one in so many is enough. A training block that fails is left out
    and recorded; if all fail, the refit starts from plain values.
    Source: Fellegi and Sunter 1969; Splink 5 (training); Winkler 1988.
    """
    blocks, n_blocked = blocked
    plain = splink_settings(comparisons, blocks)
    trained, history = _train_with_splink(engine, identities, plain, training_blocks(blocks), settings)
    sample = Sample(settings.training_pairs, settings.seed, one_in=-(-n_blocked // MOST_BLOCKED_PAIRS) or 1)
    patterns = count_patterns(engine, identities, comparisons, blocks, sample)
    start = _start(trained, comparisons, patterns)
    fitted = fit_mixture(patterns, start)
    history.append(
        {
            "step": "refit on all pairs",
            "rounds": fitted.n_rounds,
            "has_converged": fitted.has_converged,
            "log_likelihood_per_pair": float(f"{fitted.log_likelihood:.9g}"),
            "patterns": int(patterns.levels.shape[0]),
            "blocked_pairs_one_in": sample.one_in,
        }
    )
    asked = tuple(comparison.asked for comparison in comparisons if comparison.asked is not None)
    return Model(_with_parameters(plain, fitted), asked, history, engine.count(identities))


def _train_with_splink(
    engine: Engine,
    identities: Table,
    plain: dict[str, Any],
    blocks: Sequence[Block],
    settings: LinkageSettings,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Splink's own training; a linker is made anew after every failure, for a failed session spoils it."""
    history: list[dict[str, Any]] = []
    # Only where the refit begins: an eighth of the pairs says that as well.
    n_pairs = max(settings.training_pairs // 8, 1)
    linker = open_linker(engine, identities, plain)
    try:
        linker.training.estimate_u_using_random_sampling(
            max_pairs=n_pairs, seed=settings.seed, min_count_per_level=None
        )
        history.append({"step": "u from random pairs", "outcome": "done"})
    except Exception as error:  # as below: the refit does without
        history.append({"step": "u from random pairs", "outcome": f"failed: {type(error).__name__}"})
        linker = open_linker(engine, identities, plain)
    model: dict[str, Any] = linker.misc.save_model_to_json()
    for block in blocks:
        try:
            linker.training.estimate_parameters_using_expectation_maximisation(
                block.condition(), estimate_without_term_frequencies=True, max_pairs=n_pairs
            )
            model = linker.misc.save_model_to_json()
            history.append({"step": "EM", "block": block.name, "outcome": "done"})
        except Exception as error:  # Splink raises many kinds; whichever, this block taught nothing
            history.append({"step": "EM", "block": block.name, "outcome": f"failed: {type(error).__name__}"})
            linker = open_linker(engine, identities, model)
    return model, history


def open_linker(
    engine: Engine,
    identities: Table,
    settings: dict[str, Any],
    frequencies: Mapping[str, Table] | None = None,
) -> Any:
    """A linker of its own: Splink's cache sits on the database API and must not be shared."""
    from splink import Linker

    logging.getLogger("splink").setLevel(logging.CRITICAL)
    named = {f"linkage_frequency_{column}": table for column, table in (frequencies or {}).items()}
    api = engine.splink_api(linkage_input=identities, **named)
    linker = Linker(api.register("linkage_input"), _in_words_of(engine, settings), log_level=None)
    for column in frequencies or {}:
        linker.table_management.register_term_frequency_lookup(
            api.register(f"linkage_frequency_{column}"), column
        )
    return linker


def _in_words_of(engine: Engine, settings: dict[str, Any]) -> dict[str, Any]:
    """Splink's settings with the conditions in the SQL of the engine: Splink passes them on as they are."""
    found: dict[str, Any] = json.loads(json.dumps(settings))
    for comparison in found["comparisons"]:
        for level in comparison["comparison_levels"]:
            if level["sql_condition"] != "ELSE":
                level["sql_condition"] = engine.condition(level["sql_condition"])
    return found


def _start(trained: dict[str, Any], comparisons: Sequence[Comparison], patterns: Patterns) -> Mixture:
    """Where the refit begins: Splink's m, and u from the pairs that no two telling fields join.

    A field tells if random pairs agree on it less than once in a hundred. Splink's own u cannot serve: among random
    pairs of a large file most levels are never seen, and a level with too small a u would draw every pair that
    reaches it into the matches.
    """
    m, telling = [], np.zeros(patterns.n_pairs.shape)
    for index, (comparison, entry) in enumerate(zip(comparisons, trained["comparisons"], strict=True)):
        levels = [level for level in entry["comparison_levels"] if not level.get("is_null_level")][::-1]
        n = len(comparison.levels) + 1
        plain = np.array([0.05] + [0.05] * (n - 2) + [0.9])
        m.append(_rounded([level.get("m_probability") for level in levels], plain))
        if (levels[-1].get("u_probability") or 0.0) < _TELLING:
            telling += patterns.levels[:, index] == len(comparison.levels)
    is_match = patterns.is_blocked & (telling >= min(2, telling.max()))
    others = patterns.n_pairs * ~is_match
    u = [
        np.maximum(others @ (patterns.levels[:, [index]] == np.arange(len(comparison.levels) + 1)), 0.5)
        for index, comparison in enumerate(comparisons)
    ]
    p_match = float(patterns.n_pairs[is_match].sum() / patterns.n_pairs.sum())
    return Mixture(
        float(np.clip(p_match, 1e-15, 0.2)), tuple(m), tuple(counts / counts.sum() for counts in u)
    )


def _rounded(
    values: list[float | None], plain: np.ndarray[Any, np.dtype[np.float64]]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Rounded, so that the last digits of parallel sums do not move the result; kept off 0."""
    filled = np.array(
        [
            default if value is None else float(f"{value:.6g}")
            for value, default in zip(values, plain, strict=True)
        ]
    )
    kept = np.maximum(filled, 1e-9)
    return np.asarray(kept / kept.sum(), dtype=np.float64)


def _with_parameters(plain: dict[str, Any], fitted: Mixture) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(json.dumps(plain))
    settings["probability_two_random_records_match"] = float(f"{fitted.p_match:.9g}")
    for entry, m, u in zip(settings["comparisons"], fitted.m, fitted.u, strict=True):
        levels = [level for level in entry["comparison_levels"] if not level.get("is_null_level")][::-1]
        for level, m_level, u_level in zip(levels, m, u, strict=True):
            level["m_probability"], level["u_probability"] = float(f"{m_level:.9g}"), float(f"{u_level:.9g}")
    return settings
