"""Over-full blocks: split by further fields, so that pairs grow with the data and not with its square."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace

import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.linkage.blocking import Block, count_pairs

# Blocks of more identities than this are split, where their rule proposes too many pairs.
LARGE = 20
# What blocks are split by, first what is least often wrong. Two of them where one is not enough.
_SPLITTING = (
    "sex", "birth_country", "citizenship", "birth_year", "given_names_start", "surname_start", "birth_month_day",
)  # fmt: skip
# What is the same wherever a column is the same, and so splits nothing.
_IMPLIED = {
    "birth_iso": ("birth_year",),
    "birth_day_iso": ("birth_year", "birth_month_day"),
    "travel_birth_day": ("birth_year", "birth_month_day"),
    "surname_key": ("surname_start",),
    "given_names_key": ("given_names_start",),
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
    over-full block), and the rules. A block of at most 20 identities stays whole, and so does every block of a rule
    within its budget. An over-full block is split by the first one or two fields that bring its rule within the budget,
    or that leave the fewest pairs. Identities that do not hold such a field are a part of their own.
    Of a sample of identities (`share` of them) blocks are as much smaller, and pairs an identity as much fewer.
    counted: the pairs of the rules, where they are known.
    """
    most, large = most_each * share * engine.count(prepared), max(LARGE * share, 1)
    counted = count_pairs(engine, prepared, blocks) if counted is None else counted
    found = [
        _split(engine, prepared, block, (most, large)) if n > most else block
        for block, n in zip(blocks, counted["n_pairs"], strict=True)
    ]
    split = [block for block in found if block.split]
    if not split:
        return prepared, found
    marks = ", ".join(
        f"""coalesce({_known(block.columns)}
            AND count(*) OVER (PARTITION BY {", ".join(block.columns)}) > {large}, false) AS {block.mark}"""
        for block in split
    )
    return engine.hold("linkage_marked", f"SELECT *, {marks} FROM prepared", prepared=prepared), found


def _split(engine: Engine, prepared: Table, block: Block, limits: tuple[float, float]) -> Block:
    """The rule with the fields by which its over-full blocks are split; as it is where it has none.

    limits: most pairs of the rule, most identities of a block that stays whole.
    """
    most, large = limits
    implied = {*block.columns, *(other for column in block.columns for other in _IMPLIED.get(column, ()))}
    fields = [field for field in _SPLITTING if field not in implied]
    ways = [(field,) for field in fields] + list(itertools.combinations(fields, 2))
    columns = ", ".join(block.columns)
    over_full = engine.hold(
        "linkage_over_full",
        f"""SELECT * FROM (
            SELECT {", ".join({*block.columns, *fields})}, count(*) OVER (PARTITION BY {columns}) AS size FROM prepared
            WHERE {_known(block.columns)}) AS sized WHERE size > {large}""",
        prepared=prepared,
    )
    if not engine.count(over_full):
        return block
    ((whole,),) = engine.collect(
        "SELECT sum(CAST(size AS DOUBLE) - 1) / 2 FROM over_full", over_full=over_full
    ).rows()
    (all_pairs,) = count_pairs(engine, prepared, [block])["n_pairs"]
    least = None
    for way in ways:
        left = all_pairs - whole + _pairs(engine, over_full, (*block.columns, *map(_value, way)))
        if least is None or left < least[0]:
            least = (left, way)
        if left <= most:
            break
    return replace(block, split=least[1]) if least is not None and least[0] < all_pairs else block


def _pairs(engine: Engine, over_full: Table, keys: Iterable[str]) -> float:
    found = engine.collect(
        f"""SELECT coalesce(sum(n * (n - 1) / 2), 0) AS n FROM (
            SELECT CAST(count(*) AS DOUBLE) AS n FROM over_full GROUP BY {", ".join(keys)}) AS sizes""",
        over_full=over_full,
    )
    return float(found.item())


def _value(field: str) -> str:
    return f"coalesce({field}, '')"


def _known(columns: Iterable[str]) -> str:
    return " AND ".join(f"{column} IS NOT NULL" for column in columns)
