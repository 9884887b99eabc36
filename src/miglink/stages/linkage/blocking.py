"""Which pairs of identities are compared at all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from miglink.config.stages import LinkageSettings
from miglink.engine import Engine, Table, text_literal
from miglink.errors import ConfigError
from miglink.stages.linkage.levels import Comparison


@dataclass(frozen=True)
class Block:
    """Pairs that agree on every one of these columns of the prepared identities.

    split: in over-full blocks, those whose identities carry the column `mark`, pairs must agree on these too; not known
    agrees with not known (splitting.py). is_beside: over-full blocks alone, split in another way than by the rule that
    stands before. teaches: whether training may find matches among its pairs; where they agree on no name and no
    number, strangers who agree on other things (born on 1 January) would look like a kind of match.
    """

    columns: tuple[str, ...]
    split: tuple[str, ...] = ()
    is_beside: bool = False
    teaches: bool = True

    @property
    def name(self) -> str:
        """The rule in words, as `links` states it."""
        return " + ".join(self.columns)

    @property
    def mark(self) -> str:
        """The column that says whether an identity is in an over-full block of this rule."""
        return "in_large_block_of_" + "_and_".join(self.columns)

    def condition(self) -> str:
        """The rule as Splink writes it."""
        whole = " AND ".join(f"l.{column} = r.{column}" for column in self.columns)
        if not self.split:
            return whole
        parts = " AND ".join(f"coalesce(l.{column}, '') = coalesce(r.{column}, '')" for column in self.split)
        return f"{whole} AND {self._where_large(f'l.{self.mark}', parts)}"

    def pair_condition(self) -> str:
        """The rule on the columns of a pair, never null."""
        whole = " AND ".join(f"{column}_l = {column}_r" for column in self.columns)
        if self.split:
            parts = " AND ".join(f"{column}_l IS NOT DISTINCT FROM {column}_r" for column in self.split)
            whole += f" AND {self._where_large(f'{self.mark}_l', parts)}"
        return f"coalesce({whole}, false)"

    def keys(self) -> list[str]:
        """What the identities of one block, or of one part of an over-full block, have in common."""
        parts = [f"CASE WHEN {self.mark} THEN coalesce({column}, '') END" for column in self.split]
        return [*self.columns, *([self.mark, *parts] if self.split else [])]

    def holds(self) -> str:
        """Whether an identity is in a block of this rule."""
        known = " AND ".join(f"{column} IS NOT NULL" for column in self.columns)
        return f"{known} AND {self.mark}" if self.is_beside else known

    def key_sql(self, fingerprint: Callable[[Sequence[str]], str]) -> str:
        """A number that the identities of one block, or of one part of an over-full block, have in common."""
        key = fingerprint(self.columns)
        if self.split:
            parts = [f"coalesce({column}, '')" for column in self.split]
            key = f"CASE WHEN {self.mark} THEN {fingerprint([*self.columns, *parts])} ELSE {key} END"
        return f"CASE WHEN {self.holds()} THEN {key} END"

    def _where_large(self, mark: str, parts: str) -> str:
        return f"{mark} AND {parts}" if self.is_beside else f"(NOT {mark} OR ({parts}))"


_NAME_AND_DATE = (
    ("surname_key", "birth_day_iso"),
    # Also the same given names, for these sound the same.
    ("given_names_rough", "birth_day_iso"),
    ("name_words", "birth_year"),
    ("name_words", "birth_month_day"),
    ("surname_start", "given_names_start", "birth_year"),
    ("name_sound", "birth_day_iso"),
    # Both names misspelt, also in the place of one another; a name of which the other is spelt in another way.
    ("name_variants", "birth_year"),
    ("name_variants", "birth_month_day"),
    ("surname_variant", "birth_day_iso"),
    # Another surname by marriage, and given names in its place, or day and month in one another's.
    ("likely_given_names", "birth_any_order"),
    # A date of birth that is not known or quite another, where the name alone leads to few.
    ("name_of_few",),
    # Two systems of romanisation.
    ("surname_rough", "birth_day_iso"),
)
_DOCUMENT_AND_DATE = (("document_folded", "birth_year"), ("document_core", "birth_year"))
# Who crossed the border, whatever the spelling of the name: travel says more of such pairs than names do.
_TRAVEL_AND_DATE = ("travel_birth_day",)


def choose_blocks(comparisons: Sequence[Comparison], settings: LinkageSettings) -> list[Block]:
    """The blocking rules that the configuration names, or those that the compared fields allow.

    Several narrow routes instead of a wide one: an error in one field leaves another route open.
    """
    if settings.blocking is not None:
        return [Block(columns) for columns in settings.blocking]
    fields = {comparison.field for comparison in comparisons}
    blocks = [Block((field,)) for field in ("person_number",) if field in fields]
    if "document" in fields:
        blocks.append(Block(("document_number",)))
    if {"name", "birth_date"} <= fields:
        blocks += [Block(columns) for columns in _NAME_AND_DATE]
    elif "name" in fields:
        blocks.append(Block(("name_words",)))
    if {"document", "birth_date"} <= fields:
        blocks += [Block(columns) for columns in _DOCUMENT_AND_DATE]
    if {"travel", "birth_date"} <= fields:
        columns = (*_TRAVEL_AND_DATE, "sex") if "sex" in fields else _TRAVEL_AND_DATE
        blocks.append(Block(columns, teaches=False))
    routes = dict.fromkeys(route for comparison in comparisons for route in comparison.routes)
    return blocks + [Block(route) for route in routes]


def count_pairs(engine: Engine, prepared: Table, blocks: Sequence[Block]) -> pl.DataFrame:
    """Count the pairs that each blocking rule proposes, exactly and without making one of them.

    Reads: the prepared identities.
    Gives: rule, n_pairs (pairs of two identities, also those that another rule proposes too), largest_block (its
    number of identities); a row for each rule, in their order.
    Units: n identities that share a key are n(n − 1)/2 pairs.
    """
    schema: dict[str, Any] = {"rule": pl.String, "n_pairs": pl.Int64, "largest_block": pl.Int64}
    counts = [
        f"""SELECT {index} AS place, {text_literal(block.name)} AS rule,
               CAST(coalesce(sum(size * (size - 1) / 2), 0) AS BIGINT) AS n_pairs,
               CAST(coalesce(max(size), 0) AS BIGINT) AS largest_block
        FROM (SELECT CAST(count(*) AS DOUBLE) AS size FROM prepared
              WHERE {block.holds()}
              GROUP BY {", ".join(block.keys())})"""
        for index, block in enumerate(blocks)
    ]
    if not counts:
        return pl.DataFrame(schema=schema)
    found = engine.collect(f"SELECT * FROM ({' UNION ALL '.join(counts)}) ORDER BY place", prepared=prepared)
    return found.drop("place")


def check_pairs(
    engine: Engine, prepared: Table, blocks: Sequence[Block], most: int, counted: pl.DataFrame | None = None
) -> int:
    """Give the number of pairs that the rules propose, if it is at most `most`; `counted`: where that is known.

    Errors: ConfigError that names the widest rule, its pairs, the size of its largest block, and what to do.
    """
    counted = count_pairs(engine, prepared, blocks) if counted is None else counted
    n_pairs = int(counted["n_pairs"].sum())
    if n_pairs <= most:
        return n_pairs
    (widest,) = counted.sort("n_pairs", descending=True, maintain_order=True).head(1).to_dicts()
    raise ConfigError(
        f"linkage: the blocking rules propose {n_pairs:,} pairs, more than linkage.max_pairs ({most:,}). "
        f"The widest is `{widest['rule']}` with {widest['n_pairs']:,} pairs; its largest block holds "
        f"{widest['largest_block']:,} identities that share one key. A key shared by so many is mostly a default "
        "value: name that value in `missing` of the column under `sources`, so that it counts as not known; or add "
        "a column to the rule under `linkage.blocking`; or, if so many pairs are meant, raise `linkage.max_pairs`"
    )
