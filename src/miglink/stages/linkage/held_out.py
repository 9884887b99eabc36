"""Evidence that the score did not use: a number that both sides hold, withheld, then says who is who."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.linkage.blocking import Block
from miglink.stages.linkage.calibration import Calibration
from miglink.stages.linkage.levels import Comparison, both_sides_sql
from miglink.stages.linkage.model import Model
from miglink.stages.linkage.scoring import weigh_pairs

# Lower ends of the bands of probability in which expected and observed shares of matches are set side by side.
BANDS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999)


@dataclass(frozen=True)
class HeldOut:
    """The field that was withheld, and the pairs of which both sides hold it, as scored without it.

    pairs: unique_id_l, unique_id_r, agreement (same, near, other), match_weight; those that no other rule proposes are
    not among them.
    """

    field: str
    pairs: Table

    @property
    def is_decisive(self) -> bool:
        """Whether another value says that the pair is no match: a person has one number but several documents."""
        return self.field != "document"


def find_held_out(comparisons: Sequence[Comparison]) -> Comparison | None:
    """The comparison to withhold: a number given to a person once, else the document; None without either."""
    numbers = [comparison for comparison in comparisons if comparison.is_identifier]
    return min(numbers, key=lambda comparison: comparison.field == "document", default=None)


def withhold_number(
    engine: Engine,
    pairs: tuple[Table, Table],
    rules: tuple[Sequence[Comparison], Sequence[Block]],
    model: Model,
) -> HeldOut | None:
    """Score the pairs of which both sides hold a number as if neither did: without its weight and without its rules.

    `pairs` is the prepared identities and the compared pairs. None where no number, or nothing else, is compared.
    """
    prepared, compared = pairs
    comparisons, blocks = rules
    held = find_held_out(comparisons)
    if held is None:
        return None
    others = [comparison for comparison in comparisons if comparison.field != held.field]
    if not others:
        return None
    settings = {
        **model.settings,
        "comparisons": [e for e in model.settings["comparisons"] if e["output_column_name"] != held.field],
    }
    kept = _proposed_otherwise(engine, prepared, compared, blocks, held)
    top = len(held.levels)
    held_pairs = engine.hold(
        "linkage_held_out",
        f"""SELECT unique_id_l, unique_id_r, match_weight,
               CASE level_{held.field} WHEN {top} THEN 'same' WHEN 0 THEN 'other' ELSE 'near' END AS agreement
        FROM weighed""",
        weighed=weigh_pairs(engine, kept, others, replace(model, settings=settings)),
    )
    return HeldOut(held.field, held_pairs)


def _proposed_otherwise(
    engine: Engine, prepared: Table, compared: Table, blocks: Sequence[Block], held: Comparison
) -> Table:
    """The compared pairs that hold the number on both sides, and that a rule without the number proposes."""
    of_number = [number for number, block in enumerate(blocks) if _reads(block, held)]
    rest = [block for number, block in enumerate(blocks) if number not in of_number]
    if not of_number:
        return engine.view(
            "linkage_held_compared",
            f"SELECT * FROM compared WHERE level_{held.field} >= 0",
            compared=compared,
        )
    columns = sorted({column for block in rest for column in _columns(block)})
    numbers = ", ".join(map(str, of_number))
    proposed = " OR ".join(block.pair_condition() for block in rest) or "false"
    both = f", {both_sides_sql(columns)}" if columns else ""
    return engine.view(
        "linkage_held_compared",
        f"""WITH numbered AS (
            SELECT c.unique_id_l, c.unique_id_r{both} FROM compared c
            JOIN prepared l ON l.unique_id = c.unique_id_l JOIN prepared r ON r.unique_id = c.unique_id_r
            WHERE c.rule IN ({numbers})),
        otherwise AS (SELECT unique_id_l, unique_id_r FROM numbered WHERE {proposed})
        SELECT c.* FROM compared c
        LEFT JOIN otherwise o ON o.unique_id_l = c.unique_id_l AND o.unique_id_r = c.unique_id_r
        WHERE c.level_{held.field} >= 0 AND (c.rule NOT IN ({numbers}) OR o.unique_id_l IS NOT NULL)""",
        compared=compared,
        prepared=prepared,
    )


def _reads(block: Block, held: Comparison) -> bool:
    """Whether a rule leads to pairs by the withheld field."""
    own = {held.field, held.block_key, *held.columns}
    return any(column in own for column in block.columns)


def _columns(block: Block) -> list[str]:
    return [*block.columns, *block.split, *([block.mark] if block.split else [])]


def describe_held_out(
    engine: Engine, held: HeldOut | None, calibration: Calibration
) -> dict[str, Any] | None:
    """The field that was withheld, and pairs by band, as model.json keeps them."""
    if held is None:
        return None
    return {"field": held.field, "bands": count_bands(engine, held, calibration)}


def count_bands(engine: Engine, held: HeldOut, calibration: Calibration) -> list[dict[str, Any]]:
    """Pairs by band of the probability without the number: how many, matches expected and observed.

    Gives: from_p, n_pairs, expected_share, observed_share of the pairs whose numbers are the same or quite other; a
    number one digit off may be either, and is left out. Empty where another number says nothing.
    """
    if not held.is_decisive:
        return []
    band = " ".join(f"WHEN p >= CAST('{limit!r}' AS DOUBLE) THEN {limit!r}" for limit in reversed(BANDS))
    found = engine.collect(
        f"""WITH scored AS (
            SELECT agreement, {calibration.probability_sql("match_weight")} AS p FROM pairs
            WHERE agreement <> 'near'),
        banded AS (SELECT agreement, p, CAST(CASE {band} END AS DOUBLE) AS from_p FROM scored WHERE p >= {BANDS[0]!r})
        SELECT from_p, count(*) AS n_pairs, avg(p) AS expected_share,
               CAST(sum(CASE WHEN agreement = 'same' THEN 1 ELSE 0 END) AS DOUBLE) / count(*) AS observed_share
        FROM banded GROUP BY from_p ORDER BY from_p""",
        pairs=held.pairs,
    )
    return found.with_columns(pl.col("expected_share", "observed_share").round(6)).to_dicts()
