"""Which pairs of identities are compared at all."""

from collections.abc import Sequence
from dataclasses import dataclass

from miglink.config.stages import LinkageSettings
from miglink.stages.linkage.comparisons import Comparison


@dataclass(frozen=True)
class Block:
    """Pairs that agree on every one of these columns of the prepared identities."""

    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        """The rule in words, as `links` states it."""
        return " + ".join(self.columns)

    def condition(self) -> str:
        """The rule as Splink writes it."""
        return " AND ".join(f"l.{column} = r.{column}" for column in self.columns)

    def pair_condition(self) -> str:
        """The rule on the columns of a pair, never null."""
        return "coalesce(" + " AND ".join(f"{column}_l = {column}_r" for column in self.columns) + ", false)"


_NAME_AND_DATE = (
    ("surname_key", "birth_day_iso"),
    ("given_names_key", "birth_day_iso"),
    ("name_words", "birth_year"),
    ("name_words", "birth_month_day"),
    ("surname_start", "given_names_start", "birth_year"),
    ("name_sound", "birth_day_iso"),
)
_DOCUMENT_AND_DATE = (("document_folded", "birth_year"),)


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
    # A further field of many values (a street, a postcode) opens routes of its own, each narrowed by another field.
    further = [
        comparison.field for comparison in comparisons if comparison.is_further and comparison.sampled_within
    ]
    narrowing = ["surname_start", "given_names_start"] * ("name" in fields) + ["birth_year"] * (
        "birth_date" in fields
    )
    return blocks + [Block((field, other)) for field in further for other in narrowing]


def training_blocks(blocks: Sequence[Block]) -> list[Block]:
    """The blocks in which m is estimated: those that together leave every comparison free in at least one."""
    wanted = (
        ("document_number",),
        ("surname_key", "birth_day_iso"),
        ("given_names_key", "birth_day_iso"),
        ("name_words", "birth_year"),
    )
    chosen = [block for block in blocks if block.columns in wanted]
    return chosen or list(blocks)
