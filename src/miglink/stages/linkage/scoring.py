"""Every proposed pair is compared once: training counts the levels it finds, scoring weighs them."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from miglink.engine import Engine, Table, text_literal
from miglink.stages.linkage.blocking import Block
from miglink.stages.linkage.frequencies import count_frequencies
from miglink.stages.linkage.levels import Comparison, both_sides_sql, frequency_columns, level_sql
from miglink.stages.linkage.model import Given, Model, Shared

# Records of one identity beyond this number say little more about how fields agree within a person.
MOST_REPEATS = 5
# What is compared of an identity takes about 1 KB in a join, which leaves half of the memory to what is held already.
_BYTES_HELD = 2_000


def compare_pairs(
    engine: Engine,
    prepared: Table,
    comparisons: Sequence[Comparison],
    pairs: Table,
) -> Table:
    """Compare every proposed pair once, whichever rules propose it.

    Reads: the prepared identities, and pairs as `propose_pairs` gives them.
    Gives: unique_id_l, unique_id_r, rule, n_record_pairs (pairs of
    records, at most 5 each side), and by field level_<field> (-1 not known, 0 other, the strongest highest) and where
    a level of the field uses one frequency_<field>: the share of persons who carry the value, null at other levels.
    The costly comparisons of texts are made here and nowhere else: training and scoring read their levels.
    """
    sides, columns = _sides(engine, prepared, comparisons)
    levels = ", ".join(
        f"CAST({level_sql(comparison)} AS TINYINT) AS level_{comparison.field}" for comparison in comparisons
    )
    given = frequency_columns(comparisons)
    carried = [
        *(c for c in columns if c.startswith(("tf_", "all_"))),
        *dict.fromkeys(sum(given.values(), ())),
    ]
    kept = "".join(f", {column}_{side}" for column in carried for side in ("l", "r"))
    frequencies = "".join(f", {_frequency_sql(c, given)}" for c in comparisons if _by_level(c))
    fields = ", ".join(f"level_{comparison.field}" for comparison in comparisons)
    weights = f"least(n_records_l, {MOST_REPEATS}) * least(n_records_r, {MOST_REPEATS})"
    select = f"""WITH both_sides AS (
            SELECT p.unique_id_l, p.unique_id_r, p.rule, {both_sides_sql(columns)}
            FROM l JOIN pairs p ON p.unique_id_l = l.unique_id JOIN r ON r.unique_id = p.unique_id_r),
        compared AS (
            SELECT unique_id_l, unique_id_r, rule, CAST({weights} AS INTEGER) AS n_record_pairs, {levels}{kept}
            FROM both_sides)
        SELECT unique_id_l, unique_id_r, rule, n_record_pairs, {fields}{frequencies} FROM compared"""
    return _compare_in_parts(engine, select, (pairs, sides), engine.count(prepared))


def _compare_in_parts(engine: Engine, select: str, tables: tuple[Table, Table], n: int) -> Table:
    """The compared pairs; where the identities fill the memory, by parts of their right sides.

    Pairs are narrow and identities are wide: the right sides and the pairs are held, the left sides pass by them, and
    no row of two sides is held. tables: the pairs, and what is compared of the n identities.
    """
    pairs, sides = tables
    n_parts = -(-n * _BYTES_HELD // engine.memory) if engine.memory else 1
    if n_parts <= 1:
        with engine.as_written():
            return engine.hold("linkage_compared", select, pairs=pairs, l=sides, r=sides)
    # Numbers are in the order of a hash, so that right sides up to the share x of all numbers are in x² of the pairs.
    ends = [math.ceil(n * math.sqrt(part / n_parts)) for part in range(n_parts + 1)]
    parts = {}
    for part, (before, last) in enumerate(itertools.pairwise(ends)):
        own = {
            "l": engine.view("linkage_left", f"SELECT * FROM s WHERE unique_id <= {last}", s=sides),
            "r": engine.view(
                "linkage_right",
                f"SELECT * FROM s WHERE unique_id > {before} AND unique_id <= {last}",
                s=sides,
            ),
            "pairs": engine.view(
                "linkage_paired",
                f"SELECT * FROM p WHERE unique_id_r > {before} AND unique_id_r <= {last}",
                p=pairs,
            ),
        }
        with engine.as_written():
            parts[f"part_{part}"] = engine.step(f"linkage_compared_{part}", select, **own)
    every = " UNION ALL ".join(f"SELECT * FROM {name}" for name in parts)
    return engine.view("linkage_compared", every, **parts)


def propose_pairs(
    engine: Engine, prepared: Table, blocks: Sequence[Block], previous: Table | None = None
) -> Table:
    """Every pair that at least one rule proposes, once.

    Reads: the prepared identities with the marks of split rules. previous: links of an earlier run (identity_id_l,
    identity_id_r), which are proposed whatever the rules say.
    Gives: unique_id_l < unique_id_r, rule (number of the first rule that proposes the pair; after them all, the links
    of the earlier run).
    Identities meet by a number for their block, for joins of numbers take half the time of joins of texts. Texts that
    have one number by chance (one pair in 10^13) propose a pair of strangers, which is compared like any other.
    """
    numbers = ", ".join(f"{block.key_sql(engine.fingerprint)} AS key_{i}" for i, block in enumerate(blocks))
    every = [
        f"""SELECT l.unique_id AS unique_id_l, r.unique_id AS unique_id_r, {index} AS rule
        FROM keys l JOIN keys r ON l.key_{index} = r.key_{index} AND l.unique_id < r.unique_id"""
        for index in range(len(blocks))
    ]
    if previous is not None:
        every.append(
            f"""SELECT least(l.unique_id, r.unique_id), greatest(l.unique_id, r.unique_id), {len(blocks)}
            FROM previous p JOIN prepared l ON l.identity_id = p.identity_id_l
            JOIN prepared r ON r.identity_id = p.identity_id_r"""
        )
    again = {} if previous is None else {"previous": previous, "prepared": prepared}
    with engine.holding():
        keys = engine.hold("linkage_keys", f"SELECT unique_id, {numbers} FROM prepared", prepared=prepared)
        return engine.step(
            "linkage_pairs",
            f"""SELECT unique_id_l, unique_id_r, CAST(min(rule) AS SMALLINT) AS rule
            FROM ({" UNION ALL ".join(every)}) AS proposed
            GROUP BY unique_id_l, unique_id_r""",
            keys=keys,
            **again,
        )


def _sides(engine: Engine, prepared: Table, comparisons: Sequence[Comparison]) -> tuple[Table, list[str]]:
    """What comparisons read of an identity, and how common its values are (tf_<column>); and these columns."""
    counted = frequency_columns(comparisons)
    read = sorted(
        {"n_records", *sum(counted.values(), ()), *(column for c in comparisons for column in c.columns)}
    )
    if not counted:
        return prepared, read
    joins = " ".join(
        f"LEFT JOIN frequency_{column} f_{column} ON {_same_group(column, given)}"
        for column, given in counted.items()
    )
    shares = {
        f"{kind}_{column}": f"f_{column}.{kind}_{column}"
        for column, given in counted.items()
        for kind in (("tf", "all") if given else ("tf",))
    }
    # Frequencies of many names fill memory that the pairs need: they go when each identity has its shares.
    with engine.holding():
        tables = {
            f"frequency_{column}": count_frequencies(engine, prepared, column, given)
            for column, given in counted.items()
        }
        # What is read of an identity is wide: it is not written once more for the sake of a few numbers.
        found = engine.step(
            "linkage_shares",
            f"SELECT p.unique_id, {', '.join(shares.values())} FROM prepared p {joins}",
            prepared=prepared,
            **tables,
        )
    named = ", ".join([*(f"p.{column}" for column in read), *(f"s.{column}" for column in shares)])
    sides = engine.view(
        "linkage_sides",
        f"SELECT p.unique_id, {named} FROM prepared p JOIN shares s ON s.unique_id = p.unique_id",
        prepared=prepared,
        shares=found,
    )
    return sides, [*read, *shares]


def _same_group(column: str, given: Sequence[str]) -> str:
    """The row of a frequency table for an identity; not known is a group of its own."""
    groups = [f"coalesce(f_{column}.{name}, '') = coalesce(p.{name}, '')" for name in given]
    return " AND ".join([f"f_{column}.{column} = p.{column}", *groups])


def _by_level(comparison: Comparison) -> dict[int, str]:
    """The column whose frequency counts, by number of the level."""
    top = len(comparison.levels)
    return {
        top - i: level.frequency for i, level in enumerate(comparison.levels) if level.frequency is not None
    }


def _frequency_sql(comparison: Comparison, given: Mapping[str, Sequence[str]]) -> str:
    """How common what both sides carry is: in their group where both are of one, among all where they are not.

    Where two sides of a level carry different values (a particle more), the more common one counts, as in Splink.
    """
    cases = ""
    for number, column in _by_level(comparison).items():
        share = f"greatest(tf_{column}_l, tf_{column}_r)"
        if given[column]:
            same = " AND ".join(f"{name}_l = {name}_r" for name in given[column])
            share = f"CASE WHEN {same} THEN {share} ELSE greatest(all_{column}_l, all_{column}_r) END"
        cases += f" WHEN {number} THEN {share}"
    return f"CASE level_{comparison.field}{cases} END AS frequency_{comparison.field}"


def score_pairs(
    engine: Engine,
    compared: Table,
    rules: tuple[Sequence[Comparison], Sequence[Block]],
    model: Model,
    keep_p_match: float,
) -> Table:
    """The compared pairs that reach keep_p_match under a model, with the label of the level of each field.

    Gives: unique_id_l, unique_id_r, blocking_rule, match_weight (log2 of the posterior odds), p_match, level_<field>.
    Source: Fellegi and Sunter 1969; Splink 5 (whose `predict` gives the same on the same model).
    """
    comparisons, blocks = rules
    rules_named = [*(block.name for block in blocks), "previous"]
    named = " ".join(f"WHEN {index} THEN {text_literal(name)}" for index, name in enumerate(rules_named))
    labels = ", ".join(f"{_label_sql(comparison)} AS level_{comparison.field}" for comparison in comparisons)
    return engine.step(
        "linkage_scored",
        f"""WITH scored AS (SELECT *, 1 / (1 + pow({_number(2)}, -match_weight)) AS p_match FROM weighed)
        SELECT unique_id_l, unique_id_r, CASE rule {named} END AS blocking_rule, match_weight, p_match, {labels}
        FROM scored WHERE p_match >= {_number(keep_p_match)}""",
        weighed=weigh_pairs(engine, compared, comparisons, model),
    )


def weigh_pairs(engine: Engine, compared: Table, comparisons: Sequence[Comparison], model: Model) -> Table:
    """The compared pairs with their match_weight under a model, the log2 of the posterior odds; to be read once."""
    tops = {comparison.field: len(comparison.levels) for comparison in comparisons}
    terms = [
        _weight_sql(comparison, entry, (model.given or {}).get(comparison.field), tops)
        for comparison, entry in zip(comparisons, model.settings["comparisons"], strict=True)
    ]
    p = float(model.settings["probability_two_random_records_match"])
    weighed = f"SELECT *, log2({_number(p / (1 - p))}) + {' + '.join(terms)} AS match_weight FROM compared"
    tables = {"compared": compared}
    if model.shared is not None:
        weighed = _without_shared_sql(comparisons, model, weighed)
        tables["shared_patterns"] = engine.frame("linkage_shared_patterns", _shared_frame(model.shared))
    return engine.view("linkage_weighed", weighed, **tables)


def _weight_sql(
    comparison: Comparison, entry: dict[str, Any], given: Given | None, tops: Mapping[str, int]
) -> str:
    """log2 of m/u of the level of a pair; where the level uses a frequency, that stands for u if it is known.

    given: u where the pair agrees on what the comparison depends on, the top level (tops) of each of those.
    """
    levels = [level for level in entry["comparison_levels"] if not level.get("is_null_level")][::-1]
    agree = " AND ".join(f"level_{field} = {tops[field]}" for field in given.fields) if given else ""
    cases = []
    for number, parameters in enumerate(levels):
        m, chance = _number(parameters["m_probability"]), _chance_sql(comparison, number, parameters)
        weight = f"log2({m} / {chance})"
        if given is not None and number not in _by_level(comparison):
            weight = f"CASE WHEN {agree} THEN log2({m} / {_number(given.u[number])}) ELSE {weight} END"
        cases.append(f"WHEN {number} THEN {weight}")
    return f"CASE level_{comparison.field} {' '.join(cases)} ELSE {_number(0)} END"


def _without_shared_sql(comparisons: Sequence[Comparison], model: Model, weighed: str) -> str:
    """The match weight where what families share counts once.

    Of non-matches a share, the excess, agrees in all of it because they are relatives, whatever the values; the others
    agree by chance, the less often the rarer the values.
    """
    assert model.shared is not None
    chances, joins = [], []
    for comparison, entry in zip(comparisons, model.settings["comparisons"], strict=True):
        field = comparison.field
        if field not in model.shared.fields:
            continue
        levels = [level for level in entry["comparison_levels"] if not level.get("is_null_level")][::-1]
        cases = " ".join(
            f"WHEN {number} THEN {_chance_sql(comparison, number, level)}"
            for number, level in enumerate(levels)
        )
        chances.append(f"CASE level_{field} {cases} ELSE {_number(1)} END")
        joins.append(f"s.{field} = level_{field}")
    return f"""SELECT w.* EXCLUDE (match_weight),
            match_weight - log2(1 + coalesce(s.excess, 0) / ({" * ".join(chances)})) AS match_weight
        FROM ({weighed}) AS w LEFT JOIN shared_patterns s ON {" AND ".join(joins)}"""


def _shared_frame(shared: Shared) -> pl.DataFrame:
    """The patterns of what families share, a column for each field, and their excess."""
    levels = {
        field: pl.Series([row[place] for row, _ in shared.excess], dtype=pl.Int64)
        for place, field in enumerate(shared.fields)
    }
    return pl.DataFrame({**levels, "excess": [excess for _, excess in shared.excess]})


def _chance_sql(comparison: Comparison, number: int, parameters: dict[str, Any]) -> str:
    """The u of a level; where the level uses a frequency, that stands for it if it is known."""
    u = _number(parameters["u_probability"])
    return f"coalesce(frequency_{comparison.field}, {u})" if number in _by_level(comparison) else u


def _label_sql(comparison: Comparison) -> str:
    top = len(comparison.levels)
    cases = " ".join(
        f"WHEN {top - index} THEN {text_literal(level.label)}"
        for index, level in enumerate(comparison.levels)
    )
    return f"CASE level_{comparison.field} {cases} WHEN 0 THEN 'other' ELSE 'not known' END"


def _number(value: float) -> str:
    """A number as double precision: bare literals are decimals, which are slow and lose digits."""
    return f"CAST('{float(value)!r}' AS DOUBLE)"
