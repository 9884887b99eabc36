"""A comparison as levels of agreement, and its SQL: for Splink, for counting patterns, for `links`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from miglink.config.stages import ComparisonSettings
from miglink.engine import text_literal


@dataclass(frozen=True)
class Level:
    """One level of agreement: its SQL condition on `x_l` and `x_r`.

    frequency: the column whose frequency takes the place of u. is_family: relatives agree so as often as a person with
    herself; whether it speaks for a match can only be learnt where an identifier says who is who. is_twins: it is there
    for twins, who need none where what families share is compared. has_surname: surnames agree, or nearly. given: the
    fields within whose groups its frequency is counted, where these are others than those of the comparison.
    """

    label: str
    condition: str
    frequency: str | None = None
    is_family: bool = False
    is_twins: bool = False
    has_surname: bool = False
    given: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Comparison:
    """The comparison of one field: the columns it reads, when a side is not known, and its levels, strongest first.

    silent: when it says nothing, for another comparison has said it.
    sampled_within: columns whose equality is rare among random pairs, so that training samples pairs within them.
    is_further: a column that the configuration adds. block_key: the column that may open routes (blocking rules) of
    its own. n_same: so many levels, strongest first, say that both sides mean the same. given: other fields compared on
    which it depends how often strangers agree in this one: names within a citizenship and sex. asked: the entry of the
    configuration. is_of_records: it compares what was recorded, not who was named: two records of one identity need
    not agree in it, and its agreement tells of nobody who it is.
    """

    field: str
    columns: tuple[str, ...]
    null: str
    levels: tuple[Level, ...]
    silent: str | None = None
    is_identifier: bool = False
    sampled_within: tuple[str, ...] = ()
    is_further: bool = False
    block_key: str | None = None
    routes: tuple[tuple[str, ...], ...] = ()
    n_same: int = 1
    given: tuple[str, ...] = ()
    asked: ComparisonSettings | None = None
    is_of_records: bool = False

    @property
    def is_shared(self) -> bool:
        """Whether relatives have it in common: an address, a telephone, a mother's name."""
        return self.is_further and not self.is_identifier

    @property
    def same(self) -> str:
        """The condition that both sides mean the same thing; never null."""
        levels = " OR ".join(f"({level.condition})" for level in self.levels[: self.n_same])
        return f"coalesce(NOT ({self.null}) AND ({levels}), false)"


def splink_comparison(comparison: Comparison) -> dict[str, Any]:
    """A comparison in the form of Splink's settings."""
    nothing = comparison.null if comparison.silent is None else f"{comparison.null} OR {comparison.silent}"
    levels: list[dict[str, Any]] = [
        {"sql_condition": nothing, "label_for_charts": "not known", "is_null_level": True}
    ]
    for level in comparison.levels:
        entry: dict[str, Any] = {"sql_condition": level.condition, "label_for_charts": level.label}
        if level.frequency is not None:
            # The frequency takes the place of the level's own u.
            entry |= {
                "tf_adjustment_column": level.frequency,
                "tf_adjustment_weight": 1.0,
                "disable_tf_exact_match_detection": True,
            }
        levels.append(entry)
    levels.append({"sql_condition": "ELSE", "label_for_charts": "other"})
    return {"output_column_name": comparison.field, "comparison_levels": levels}


def level_sql(comparison: Comparison) -> str:
    """The number of the level of a pair: 0 everything else, the strongest highest (as Splink counts).

    -1: not known. -2: it says nothing, whether known or not.
    """
    top = len(comparison.levels)
    silent = f"WHEN {comparison.silent} THEN -2 " if comparison.silent is not None else ""
    cases = " ".join(
        f"WHEN {level.condition} THEN {top - index}" for index, level in enumerate(comparison.levels)
    )
    return f"CASE {silent}WHEN {comparison.null} THEN -1 {cases} ELSE 0 END"


def label_sql(comparison: Comparison) -> str:
    """The level of a pair in words."""
    cases = " ".join(
        f"WHEN {level.condition} THEN {text_literal(level.label)}" for level in comparison.levels
    )
    nothing = splink_comparison(comparison)["comparison_levels"][0]["sql_condition"]
    return f"CASE WHEN {nothing} THEN 'not known' {cases} ELSE 'other' END"


def both_sides_sql(columns: Sequence[str]) -> str:
    """Columns of the left and right identity of a pair under the names that conditions use."""
    return ", ".join(f"{side}.{column} AS {column}_{side}" for column in columns for side in ("l", "r"))


def frequency_columns(comparisons: Sequence[Comparison]) -> dict[str, tuple[str, ...]]:
    """The columns whose frequency some level uses, and the fields within whose groups it is counted."""
    found = {
        level.frequency: comparison.given if level.given is None else level.given
        for comparison in comparisons
        for level in comparison.levels
        if level.frequency
    }
    return dict(sorted(found.items()))
