"""Over-full blocks: split by further fields, so that pairs grow with the data and not with its square.

A block is split in several ways at once, and a pair need agree in one of them: an error in what one way goes by leaves
the others open (several passes of blocking: Winkler 2006).
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.linkage.blocking import Block, count_pairs

# Blocks of more identities than this are split, where their rule proposes too many pairs.
LARGE = 20
# So many ways at most in which a block is split, no two of which go by the same field.
_WAYS = 4
# What blocks are split by. Of names the sound, for a spelling or a transliteration leaves it mostly as it is.
_SPLITTING = (
    "sex", "birth_country", "citizenship", "birth_year", "given_names_rough", "surname_rough", "name_sound",
    "birth_month_day",
)  # fmt: skip
# What is the same wherever a column is the same, and so splits nothing.
_IMPLIED = {
    "birth_iso": ("birth_year",),
    "birth_day_iso": ("birth_year", "birth_month_day"),
    "travel_birth_day": ("birth_year", "birth_month_day"),
    "surname_key": ("surname_rough",),
    "given_names_key": ("given_names_rough",),
}


def split_blocks(
    engine: Engine,
    prepared: Table,
    blocks: Sequence[Block],
    most_each: float,
    share: float = 1.0,
    counted: pl.DataFrame | None = None,
) -> tuple[Table, list[Block]]:
    """Split the over-full blocks of the rules that propose more than `most_each` pairs an identity.

    Gives: the prepared identities, with a column for each rule that is split (Block.mark: whether the identity is in an
    over-full block), and the rules, each way of splitting one of its own (Block.is_beside: all but the first). A block
    of at most 20 identities stays whole, and so does every block of a rule within its budget. An over-full block is
    split by one field, or by two where one is not enough, in up to four ways that share no field, first those that
    leave the fewest pairs, as many as the budget allows; where it allows none, in the way that leaves the fewest.
    Identities that do not hold such a field are a part of their own.
    Of a sample of identities (`share` of them) blocks are as much smaller, and pairs an identity as much fewer.
    counted: the pairs of the rules, where they are known.
    """
    most, large = most_each * share * engine.count(prepared), max(LARGE * share, 1)
    counted = count_pairs(engine, prepared, blocks) if counted is None else counted
    found = [
        way
        for block, n in zip(blocks, counted["n_pairs"], strict=True)
        for way in (_split(engine, prepared, block, (most, large)) if n > most else [block])
    ]
    split = [block for block in found if block.split and not block.is_beside]
    if not split:
        return prepared, found
    marks = ", ".join(
        f"""coalesce({block.holds()}
            AND count(*) OVER (PARTITION BY {", ".join(block.columns)}) > {large}, false) AS {block.mark}"""
        for block in split
    )
    # Identities are wide: what is added to them stands beside them, for they are read often and the marks twice.
    marked = engine.hold("linkage_marks", f"SELECT unique_id, {marks} FROM prepared", prepared=prepared)
    named = ", ".join(f"m.{block.mark}" for block in split)
    return engine.view(
        "linkage_marked",
        f"SELECT p.*, {named} FROM prepared p JOIN marked m ON m.unique_id = p.unique_id",
        prepared=prepared,
        marked=marked,
    ), found


def _split(engine: Engine, prepared: Table, block: Block, limits: tuple[float, float]) -> list[Block]:
    """The rule with the ways in which its over-full blocks are split; as it is where there is none.

    limits: most pairs of the rule, most identities of a block that stays whole.
    """
    most, large = limits
    implied = {*block.columns, *(other for column in block.columns for other in _IMPLIED.get(column, ()))}
    fields = [field for field in _SPLITTING if field not in implied]
    columns = ", ".join(block.columns)
    with engine.holding():
        over_full = engine.hold(
            "linkage_over_full",
            f"""SELECT * FROM (
                SELECT {", ".join({*block.columns, *fields})}, count(*) OVER (PARTITION BY {columns}) AS size
                FROM prepared WHERE {block.holds()}) AS sized WHERE size > {large}""",
            prepared=prepared,
        )
        if not engine.count(over_full):
            return [block]
        ((whole,),) = engine.collect(
            "SELECT sum(CAST(size AS DOUBLE) - 1) / 2 FROM over_full", over_full=over_full
        ).rows()
        (all_pairs,) = count_pairs(engine, prepared, [block])["n_pairs"]
        ways = _choose_ways(
            lambda way: _pairs(engine, over_full, (*block.columns, *map(_value, way))),
            fields,
            (whole, most - (all_pairs - whole)),
        )
    return [replace(block, split=way, is_beside=place > 0) for place, way in enumerate(ways)] or [block]


def _choose_ways(
    count: Callable[[tuple[str, ...]], float], fields: Sequence[str], limits: tuple[float, float]
) -> list[tuple[str, ...]]:
    """Ways that share no field and leave no more pairs than allowed, all together; else the one that leaves fewest.

    count: the pairs that a way leaves. limits: the pairs of over-full blocks unsplit, and those allowed.
    """
    whole, left = limits
    counted: dict[tuple[str, ...], float] = {(field,): count((field,)) for field in fields}
    chosen: list[tuple[str, ...]] = []
    for way in sorted(counted, key=lambda way: counted[way]) + list(itertools.combinations(fields, 2)):
        if len(chosen) == _WAYS or any(set(way) & set(other) for other in chosen):
            continue
        # Two fields seldom agree less often together than if they had nothing to do with one another.
        if len(way) == 2 and chosen and math.prod(counted[field,] / whole for field in way) * whole > left:
            continue
        if way not in counted:
            counted[way] = count(way)
        if counted[way] <= left:
            chosen.append(way)
            left -= counted[way]
    fewest = min(counted, key=lambda way: counted[way], default=None)
    if not chosen and fewest is not None and counted[fewest] < whole:
        return [fewest]
    return chosen


def _pairs(engine: Engine, over_full: Table, keys: Iterable[str]) -> float:
    found = engine.collect(
        f"""SELECT coalesce(sum(n * (n - 1) / 2), 0) AS n FROM (
            SELECT CAST(count(*) AS DOUBLE) AS n FROM over_full GROUP BY {", ".join(keys)}) AS sizes""",
        over_full=over_full,
    )
    return float(found.item())


def _value(field: str) -> str:
    return f"coalesce({field}, '')"
