"""The model in Splink's words, and Splink's own scoring of it: what miglink's scoring must equal."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from miglink.engine import Engine, Table, text_literal
from miglink.stages.linkage.blocking import Block
from miglink.stages.linkage.frequencies import count_frequencies
from miglink.stages.linkage.levels import (
    Comparison,
    both_sides_sql,
    frequency_columns,
    label_sql,
    splink_comparison,
)
from miglink.stages.linkage.model import Model

_IN_GROUP = "_in_group"


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


def score_with_splink(
    engine: Engine,
    prepared: Table,
    rules: tuple[Sequence[Comparison], Sequence[Block]],
    model: Model,
    keep_p_match: float,
) -> Table:
    """Block and score with Splink's `predict`: the columns and rows of scoring.score_pairs, in more time."""
    comparisons, blocks = rules
    identities, frequencies = _in_groups(engine, prepared, frequency_columns(comparisons))
    linker = open_linker(engine, identities, _with_given(model, comparisons), frequencies)
    predicted = linker.inference.predict(threshold_match_probability=keep_p_match)
    named = " ".join(f"WHEN '{index}' THEN {text_literal(block.name)}" for index, block in enumerate(blocks))
    columns = sorted({column for comparison in comparisons for column in comparison.columns})
    labels = ", ".join(f"{label_sql(comparison)} AS level_{comparison.field}" for comparison in comparisons)
    return engine.step(
        "linkage_scored",
        f"""WITH pairs AS (
            SELECT p.unique_id_l, p.unique_id_r, p.match_key, p.match_weight, p.match_probability,
                   {both_sides_sql(columns)}
            FROM {predicted.physical_name} p JOIN prepared l ON l.unique_id = p.unique_id_l
            JOIN prepared r ON r.unique_id = p.unique_id_r)
        SELECT unique_id_l, unique_id_r, CASE CAST(match_key AS VARCHAR) {named} END AS blocking_rule,
               match_weight, match_probability AS p_match, {labels}
        FROM pairs""",
        prepared=prepared,
    )


def _in_groups(
    engine: Engine, prepared: Table, counted: Mapping[str, tuple[str, ...]]
) -> tuple[Table, dict[str, Table]]:
    """The identities, and how common the values of their columns are: Splink looks each up by one column.

    Where it is counted within groups, the column is the value and its group in one text.
    """
    frequencies, columns = {}, []
    for column, given in counted.items():
        found = count_frequencies(engine, prepared, column, given)
        if given:
            groups = "".join(f" || '|' || coalesce({name}, '')" for name in given)
            name = column + _IN_GROUP
            columns.append(f"{column}{groups} AS {name}")
            frequencies[name] = engine.step(
                f"linkage_frequency_{name}",
                f"SELECT {column}{groups} AS {name}, tf_{column} AS tf_{name} FROM found",
                found=found,
            )
            found = count_frequencies(engine, prepared, column)
        frequencies[column] = found
    if not columns:
        return prepared, frequencies
    grouped = engine.step(
        "linkage_grouped", f"SELECT *, {', '.join(columns)} FROM prepared", prepared=prepared
    )
    return grouped, frequencies


def _with_given(model: Model, comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """The settings in which each level whose u depends on other fields stands twice: first where these agree.

    Where a frequency takes the place of u, that of the group stands first, then that among all.
    """
    settings: dict[str, Any] = json.loads(json.dumps(model.settings))
    by_field = {comparison.field: comparison for comparison in comparisons}
    counted = frequency_columns(comparisons)
    for entry in settings["comparisons"]:
        given = (model.given or {}).get(entry["output_column_name"])
        nothing, *levels = entry["comparison_levels"]
        twice = []
        for place, level in enumerate(levels):
            column = level.get("tf_adjustment_column")
            fields = counted[column] if column else given.fields if given else ()
            if fields:
                agree = " AND ".join(f"({by_field[field].levels[0].condition})" for field in fields)
                condition = "" if level["sql_condition"] == "ELSE" else f"({level['sql_condition']}) AND "
                own = {**level, "sql_condition": condition + agree}
                if column:
                    twice.append({**own, "tf_adjustment_column": column + _IN_GROUP})
                elif given:
                    twice.append({**own, "u_probability": given.u[::-1][place]})
            twice.append(level)
        entry["comparison_levels"] = [nothing, *twice]
    return settings


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
