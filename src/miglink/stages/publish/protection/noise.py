"""Counts with noise, or rounded: functions of the count and of a keyed hash of the cell."""

import polars as pl

from miglink.config.protection import ProtectionSettings
from miglink.engine import Engine
from miglink.stages.publish.protection.ptable import DEFAULT, perturb, read_ptable

# Bits of the hash of a cell that decide, as hexadecimal digits.
_DIGITS = 10
_RANGE = 16**_DIGITS


def add_noise(engine: Engine, cells: pl.DataFrame, settings: ProtectionSettings, key: str) -> pl.DataFrame:
    """Add `protected` to cells (cell, count, persons_key): rounded or with noise; null where it, or the count, is few.

    Cells without the key of their persons have the number drawn as their cell key.
    """
    count = pl.col("count")
    if settings.method == "rounding":
        protected = cells.with_columns(protected=round_to_nearest(count, settings.rounding_base))
    else:
        drawn = draw_numbers(engine, cells, key)
        if settings.method in ("random_rounding", "controlled_rounding"):
            rounded = round_at_random(count, pl.col("drawn"), settings.rounding_base)
            protected = drawn.with_columns(protected=rounded)
        else:
            keyed = drawn.with_columns(cell_key=pl.coalesce("persons_key", "drawn"))
            protected = perturb(keyed, read_ptable(settings.ptable or DEFAULT))
    if settings.minimum_count is None:
        return protected
    is_few = pl.col("protected").abs().is_between(1, settings.minimum_count - 1)
    return protected.with_columns(protected=pl.when(~is_few).then("protected"))


def draw_numbers(engine: Engine, cells: pl.DataFrame, key: str) -> pl.DataFrame:
    """Add `drawn`, a whole number below 16^10, to cells: a keyed hash of what is counted and of the count.

    The same cell with the same count has the same number in every run with the key, so that runs cannot be averaged;
    the count is hashed too, so that what a cell became before tells nothing of what it becomes when its count changes.
    The key is joined from a table of one row, never written into SQL.
    """
    text = pl.concat_str("cell", "count", separator="\x1f")
    named = cells.with_columns(hashed=text.fill_null(""))
    drawn = engine.collect(
        """
        SELECT c.hashed, sha256(concat(k.key, 'rounding', sha256(concat(k.key, c.hashed)))) AS digest
        FROM cells c CROSS JOIN secret k
        """,
        cells=named.select("hashed").unique(),
        secret=pl.DataFrame({"key": [key]}),
    )
    number = pl.col("digest").str.head(_DIGITS).str.to_integer(base=16, dtype=pl.Int64)
    return named.join(drawn.select("hashed", drawn=number), on="hashed", how="left").drop("hashed")


def round_at_random(count: pl.Expr, drawn: pl.Expr, base: int) -> pl.Expr:
    """Round to a multiple of the base beside the count: the one farther from zero with probability remainder / base.

    Zero and multiples stay, so the expectation is the count. Signs are kept.
    Source: Stats NZ, Microdata output guide (random rounding to base 3: 17 becomes 18 with probability 2/3, else 15).
    """
    remainder = count.abs() % base
    is_up = drawn * base < remainder * _RANGE
    return count.sign() * (count.abs() - remainder + pl.when(is_up).then(base).otherwise(0))


def round_to_nearest(count: pl.Expr, base: int) -> pl.Expr:
    """Round to the nearest multiple of the base, halves away from zero."""
    return count.sign() * ((2 * count.abs() + base) // (2 * base)) * base
