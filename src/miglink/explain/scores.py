"""How the model of a run scores pairs of identities, kept in `links` or not: levels, weights, frequencies."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from miglink.engine import Engine, Table, identifier, text_literal
from miglink.stages.linkage import prepare_identities
from miglink.stages.linkage.frequencies import count_frequencies
from miglink.stages.linkage.splitting import LARGE

_RULE = re.compile(r"l\.(\w+) = r\.(\w+)")
_SPLIT = re.compile(r"coalesce\(l\.(\w+), ''\) = coalesce\(r\.")
Model = Mapping[str, Any]
_FAMILY = "(family)"


def pair_identities(
    engine: Engine, identities: Table, pairs: pl.DataFrame, travel: Table | None = None
) -> tuple[Table, Table]:
    """Give the prepared identities of the run, and pairs (pair_number, identity ids) with both sides' columns.

    The smaller identity_id is the left one, as in `links`. Columns carry `_l` and `_r`, the names that the model's
    conditions use.
    """
    prepared = prepare_identities(engine, identities, travel)
    columns = ", ".join(
        f"{side}.{identifier(column)} AS {identifier(f'{column}_{side}')}"
        for column in engine.collect("SELECT * FROM prepared LIMIT 0", prepared=prepared).columns
        for side in ("l", "r")
    )
    paired = engine.step(
        "explain_pairs",
        f"""SELECT p.pair_number, {columns} FROM pairs p
        JOIN prepared l ON l.identity_id = least(p.identity_id_a, p.identity_id_b)
        JOIN prepared r ON r.identity_id = greatest(p.identity_id_a, p.identity_id_b)""",
        pairs=pairs,
        prepared=prepared,
    )
    return prepared, paired


def score_pairs(engine: Engine, prepared: Table, paired: Table, model: Model) -> pl.DataFrame:
    """Give what each comparison says of each pair.

    Gives: pair_number, comparison, label, m, u, weight (log2 m/u; 0 where not known), frequency_column, frequency (the
    share of persons that takes the place of u), n_identities that carry the value, adjusted_weight (what counts). Where
    families share what is compared, a row `(family)` says how much of their agreement does not count again.
    Source: Fellegi and Sunter 1969; Splink 5 (term frequency adjustment in match weights).
    """
    parameters = _parameters(model["comparisons"])
    names = [str(comparison["output_column_name"]) for comparison in model["comparisons"]]
    cases = ", ".join(
        f"{_level_case(comparison)} AS {identifier(name)}"
        for comparison, name in zip(model["comparisons"], names, strict=True)
    )
    levels = engine.collect(f"SELECT pair_number, {cases} FROM paired ORDER BY pair_number", paired=paired)
    scored = levels.unpivot(index="pair_number", variable_name="comparison", value_name="level").join(
        parameters, on=["comparison", "level"], how="left", maintain_order="left"
    )
    scored = _u_within_groups(scored, model)
    columns = scored["frequency_column"].drop_nulls().unique().sort().to_list()
    frequencies = pl.concat(
        [
            pl.DataFrame(
                schema={
                    "pair_number": pl.Int64,
                    "frequency": pl.Float64,
                    "n_identities": pl.Int64,
                    "frequency_column": pl.String,
                }
            ),
            *(
                _frequencies(engine, prepared, paired, (column, tuple(model["within"].get(column, ()))))
                for column in columns
            ),
        ]
    )
    scored = scored.join(
        frequencies, on=["pair_number", "frequency_column"], how="left", maintain_order="left"
    )
    weight = (pl.col("m") / pl.col("u")).log(2).fill_null(0.0)
    shift = pl.col("strength") * ((pl.col("u") / pl.max_horizontal("frequency", "least_u")).log(2))
    order = pl.DataFrame({"comparison": [*names, _FAMILY]}).with_row_index("position")
    weighed = scored.with_columns(weight=weight).with_columns(
        adjusted_weight=pl.col("weight") + pl.when(pl.col("frequency").is_null()).then(0.0).otherwise(shift)
    )
    if model.get("shared"):
        family = _without_shared(engine, paired, weighed, model)
        weighed = pl.concat([weighed, family], how="diagonal_relaxed")
    return (
        weighed.join(order, on="comparison", how="left")
        .sort("pair_number", "position")
        .drop("position", "level", "strength", "least_u")
    )


def _u_within_groups(scored: pl.DataFrame, model: Model) -> pl.DataFrame:
    """The u of each level where the fields on which it depends agree (`given` of the model), but where a frequency is.

    The same rows and columns as scored.
    """
    top = scored.filter(pl.col("level") == 1).select("pair_number", field="comparison", agrees=True)
    for comparison, given in model["given"].items():
        within = pl.DataFrame(
            {"level": range(1, len(given["u"]) + 1), "within": given["u"][::-1]},
            schema={"level": pl.Int32, "within": pl.Float64},
        ).with_columns(comparison=pl.lit(comparison))
        agree = top.filter(pl.col("field").is_in(given["fields"])).group_by("pair_number").len("n_agree")
        scored = scored.join(within, on=["comparison", "level"], how="left", maintain_order="left").join(
            agree, on="pair_number", how="left", maintain_order="left"
        )
        is_within = (pl.col("n_agree") == len(given["fields"])) & pl.col("frequency_column").is_null()
        u = pl.when(is_within & pl.col("within").is_not_null()).then("within").otherwise("u")
        scored = scored.with_columns(u=u).drop("within", "n_agree")
    return scored


def _without_shared(engine: Engine, paired: Table, weighed: pl.DataFrame, model: Model) -> pl.DataFrame:
    """What is taken off each pair because families share it: a row of weights, with the comparison's name."""
    shared = model["shared"]
    fields: list[str] = list(shared["fields"])
    flags = "".join(f", {text} AS {identifier(field)}" for field, text in shared["silent"].items())
    silent = engine.collect(f"SELECT pair_number{flags} FROM paired", paired=paired)
    silent = silent.unpivot(
        index="pair_number", variable_name="comparison", value_name="is_silent"
    ).with_columns(pl.col("is_silent").cast(pl.Boolean))
    tops = {
        comparison["output_column_name"]: len(comparison["comparison_levels"]) - 1
        for comparison in model["comparisons"]
    }
    place, top = pl.col("level"), pl.col("comparison").replace_strict(tops, default=0, return_dtype=pl.Int64)
    number = (
        pl.when(place > 0)
        .then(top - place)
        .when(pl.col("is_silent").fill_null(value=False))
        .then(-2)
        .otherwise(-1)
    )
    chance = (
        pl.when(place > 0).then(pl.coalesce(pl.max_horizontal("frequency", "least_u"), "u")).otherwise(1.0)
    )
    parts = (
        weighed.filter(pl.col("comparison").is_in(fields))
        .join(silent, on=["pair_number", "comparison"], how="left")
        .with_columns(number=number, chance=chance)
    )
    levels = parts.pivot("comparison", index="pair_number", values="number").select("pair_number", *fields)
    table = {field: [row[i] for row, _ in shared["excess"]] for i, field in enumerate(fields)}
    excess = pl.DataFrame(table | {"excess": [p for _, p in shared["excess"]]}).cast(
        dict.fromkeys(fields, pl.Int64)
    )
    off = -(1 + pl.col("excess").fill_null(0.0) / pl.col("chance")).log(2)
    return (
        levels.cast(dict.fromkeys(fields, pl.Int64))
        .join(excess, on=fields, how="left")
        .join(parts.group_by("pair_number").agg(pl.col("chance").product()), on="pair_number")
        .select(
            "pair_number",
            comparison=pl.lit(_FAMILY),
            label=pl.lit("what families share counts once"),
            weight=off,
            adjusted_weight=off,
        )
    )


def sum_scores(scored: pl.DataFrame, model: Model) -> pl.DataFrame:
    """Give match_weight and p_match of each pair_number: the prior weight and all adjusted weights together."""
    total = pl.col("adjusted_weight").sum() + prior_weight(model)
    return (
        scored.group_by("pair_number")
        .agg(match_weight=total)
        .with_columns(p_match=1 / (1 + (-pl.col("match_weight") * pl.lit(2.0).log()).exp()))
        .sort("pair_number")
    )


def prior_weight(model: Model) -> float:
    """log2 of the odds that two random identities are one person."""
    p = float(model["probability_two_random_records_match"])
    return float(pl.select((pl.lit(p) / (1 - pl.lit(p))).log(2)).item())


def _level_case(comparison: Mapping[str, Any]) -> str:
    """The place of the level of a pair among the levels of the model: the first whose condition holds."""
    levels = list(enumerate(comparison["comparison_levels"]))
    cases = " ".join(
        f"WHEN {level['sql_condition']} THEN {place}"
        for place, level in levels
        if str(level["sql_condition"]).upper() != "ELSE"
    )
    (otherwise,) = [place for place, level in levels if str(level["sql_condition"]).upper() == "ELSE"]
    return f"CASE {cases} ELSE {otherwise} END"


def _parameters(comparisons: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """m, u and the use of frequencies of every level of the model; no m and u where nothing is known."""
    rows = [
        {
            "comparison": comparison["output_column_name"],
            "level": place,
            "label": level.get("label_for_charts", str(place)),
            "m": None if level.get("is_null_level") else level.get("m_probability"),
            "u": None if level.get("is_null_level") else level.get("u_probability"),
            "frequency_column": level.get("tf_adjustment_column"),
            "strength": float(level.get("tf_adjustment_weight", 1.0)),
            "least_u": float(level.get("tf_minimum_u_value", 0.0)),
        }
        for comparison in comparisons
        for place, level in enumerate(comparison["comparison_levels"])
    ]
    schema = {
        "comparison": pl.String,
        "level": pl.Int32,
        "label": pl.String,
        "m": pl.Float64,
        "u": pl.Float64,
    }
    further = {"frequency_column": pl.String, "strength": pl.Float64, "least_u": pl.Float64}
    return pl.DataFrame(rows, schema=schema | further)


def _frequencies(
    engine: Engine, prepared: Table, paired: Table, counted: tuple[str, tuple[str, ...]]
) -> pl.DataFrame:
    """How common the values of a column are in each pair; of two different values the more common counts."""
    column, given = counted
    frequencies = count_frequencies(engine, prepared, column, given)
    groups = {
        side: "".join(f" AND coalesce({side}.{name}, '') = coalesce(p.{name}_{side}, '')" for name in given)
        for side in ("l", "r")
    }
    left, right = identifier(f"{column}_l"), identifier(f"{column}_r")
    shares = [
        f"greatest(coalesce(l.{share}, r.{share}), coalesce(r.{share}, l.{share}))"
        for share in (identifier(f"{kind}_{column}") for kind in ("tf", "all"))
    ]
    same = " AND ".join(f"p.{name}_l = p.{name}_r" for name in given)
    frequency = f"CASE WHEN {same} THEN {shares[0]} ELSE {shares[1]} END" if given else shares[0]
    return engine.collect(
        f"""WITH held AS (
            SELECT DISTINCT {left} AS value FROM paired UNION SELECT DISTINCT {right} FROM paired),
        carried AS (
            SELECT held.value, count(*) AS n FROM held JOIN prepared ON prepared.{identifier(column)} = held.value
            GROUP BY held.value)
        SELECT p.pair_number,
               {frequency} AS frequency,
               greatest(coalesce(x.n, y.n), coalesce(y.n, x.n)) AS n_identities,
               {text_literal(column)} AS frequency_column
        FROM paired p LEFT JOIN frequencies l ON l.{identifier(column)} = p.{left}{groups["l"]}
        LEFT JOIN frequencies r ON r.{identifier(column)} = p.{right}{groups["r"]}
        LEFT JOIN carried x ON x.value = p.{left} LEFT JOIN carried y ON y.value = p.{right}""",
        paired=paired,
        prepared=prepared,
        frequencies=frequencies,
    )


def rule_columns(model: Model) -> dict[tuple[str, ...], list[tuple[str, ...]]]:
    """Of each blocking rule of the model, in their order: the columns that it wants equal, and the ways that split it.

    Where more than LARGE identities share the first, the columns of one way at least must be equal as well
    (stages/linkage/splitting.py).
    """
    found: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for entry in model["blocking_rules_to_generate_predictions"]:
        rule = str(entry["blocking_rule"] if isinstance(entry, Mapping) else entry)
        ways = found.setdefault(tuple(left for left, _ in _RULE.findall(rule)), [])
        if way := tuple(_SPLIT.findall(rule)):
            ways.append(way)
    return found


def compare_rules(engine: Engine, prepared: Table, paired: Table, model: Model) -> list[dict[str, Any]]:
    """What each blocking rule says of the one pair.

    Gives: name, columns that differ, columns that a side does not hold; n_block, the identities of its block where that
    is over-full and split, and where none of the ways proposes the pair, the columns of these that differ.
    """
    rules = rule_columns(model)
    columns = sorted({column for rule, ways in rules.items() for part in (rule, *ways) for column in part})
    states = ", ".join(
        f"""CASE WHEN {left} IS NULL AND {right} IS NULL THEN 'neither' WHEN {left} IS NULL OR {right} IS NULL
            THEN 'missing' WHEN {left} = {right} THEN 'equal' ELSE 'differs' END AS {identifier(column)}"""
        for column in columns
        for left, right in [(identifier(f"{column}_l"), identifier(f"{column}_r"))]
    )
    (state,) = engine.collect(f"SELECT {states} FROM paired", paired=paired).to_dicts() if columns else [{}]
    found = []
    for rule, ways in rules.items():
        differs = tuple(column for column in rule if state[column] == "differs")
        missing = tuple(column for column in rule if state[column] in ("missing", "neither"))
        n_block = None if differs or missing or not ways else _block_size(engine, prepared, paired, rule)
        is_split = n_block is not None and n_block > LARGE
        # Not known agrees with not known, and with nothing else.
        parted = [[column for column in way if state[column] in ("differs", "missing")] for way in ways]
        found.append(
            {
                "name": " + ".join(rule),
                "differs": differs,
                "missing": missing,
                "n_block": n_block if is_split else None,
                "parted_by": tuple(itertools.chain(*parted)) if is_split and all(parted) else (),
            }
        )
    return found


def _block_size(engine: Engine, prepared: Table, paired: Table, columns: Sequence[str]) -> int:
    """The identities that share these columns with the one pair."""
    same = " AND ".join(f"i.{identifier(column)} = p.{identifier(f'{column}_l')}" for column in columns)
    found = engine.collect(
        f"SELECT count(*) FROM prepared i JOIN paired p ON {same}", prepared=prepared, paired=paired
    )
    return int(found.item())
