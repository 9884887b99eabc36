"""Record keys: a number of each person that persists with its id, for noise that is the same wherever it is counted."""

import polars as pl

from miglink.engine import Engine, Table
from miglink.tables.contract import DIMENSIONS

# Record keys are twelve bits; a table of noise with 256 keys takes them modulo 256.
RANGE = 4096
_DIGIT = "STRPOS('0123456789abcdef', SUBSTRING(digest, {place}, 1)) - 1"


def key_traits(engine: Engine, traits: Table, persons: Table, key: str) -> Table:
    """Add `record_key` to the traits of persons: a keyed hash of person_id, which persists between runs.

    It is 4096 to 8191, for sums are taken modulo 4096, and those of anybody must not be 0 before.
    The key is joined from a table of one row, never written into SQL.
    Source: Fraser and Wooton 2005 (ABS); ONS, Cell Key Perturbation (record keys 0 to 255, or 0 to 4095).
    """
    first, second, third = (_DIGIT.format(place=place) for place in (1, 2, 3))
    return engine.step(
        "estimates_keyed_traits",
        f"""
        WITH hashed AS (
            SELECT person_id, sha256(concat(s.key, 'record key', sha256(concat(s.key, person_id)))) AS digest
            FROM persons CROSS JOIN secret s
        ), keyed AS (
            SELECT person_id, CAST({RANGE} + 256 * ({first}) + 16 * ({second}) + {third} AS INTEGER) AS record_key
            FROM hashed
        )
        SELECT t.*, k.record_key FROM traits t JOIN keyed k ON k.person_id = t.person_id
        """,
        traits=traits,
        persons=persons,
        secret=pl.DataFrame({"key": [key]}),
    )


def list_cell_keys(stocks: pl.DataFrame, flows: pl.DataFrame, shell_cells: pl.DataFrame) -> pl.DataFrame:
    """The cell keys of tables in which record keys stand for persons; cells of nobody are left out.

    A cell that two tables have holds the same persons in both, and is listed once.
    """
    counted = [
        stocks.with_columns(measure=pl.lit("stock")),
        flows.filter(pl.col("flow") != "net").rename({"flow": "measure"}),
        shell_cells,
    ]
    columns, n = ["rule", "policy", "period", "measure", *DIMENSIONS], ("n_settled", "n_undetermined")
    rows = pl.concat([rows.select(*columns, *n) for rows in counted])
    keys = (pl.col(name).mod(RANGE).alias(f"{name.removeprefix('n_')}_key") for name in n)
    # Sums of anybody's keys are above 0; modulo 4096 they may be 0.
    is_of_anybody = pl.any_horizontal(pl.col(*n) != 0)
    return rows.filter(is_of_anybody).unique(columns, maintain_order=True).select(*columns, *keys)
