"""Tables that tests give to a stage, by the contract."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from miglink.engine import Engine, Table
from miglink.tables import TABLES

TYPES: dict[str, Any] = {
    "VARCHAR": pl.String,
    "DATE": pl.Date,
    "INTEGER": pl.Int32,
    "BIGINT": pl.Int64,
    "DOUBLE": pl.Float64,
    "BOOLEAN": pl.Boolean,
    "TIMESTAMP": pl.Datetime("us"),
}


def make_table(engine: Engine, name: str, rows: Sequence[dict[str, Any]]) -> Table:
    """Write a table of the contract; columns that the rows leave out are null."""
    schema = {column.name: TYPES[column.type] for column in TABLES[name].columns}
    whole = [{column: row.get(column) for column in schema} for row in rows]
    frame = engine.frame(f"given_{name}", pl.DataFrame(whole, schema=schema))
    return engine.query(name, "SELECT * FROM given", given=frame)
