"""Tables that tests give to a stage, by the contract."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from given_examples import is_quick
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
    return engine.query(name, "SELECT * FROM given", given=_framed(engine, name, rows))


def name_table(engine: Engine, name: str, rows: Sequence[dict[str, Any]]) -> Table:
    """A table of the contract that only queries read: written and checked where that costs little."""
    return make_table(engine, name, rows) if is_quick(engine) else _framed(engine, name, rows)


def _framed(engine: Engine, name: str, rows: Sequence[dict[str, Any]]) -> Table:
    schema = {column.name: TYPES[column.type] for column in TABLES[name].columns}
    whole = [{column: row.get(column) for column in schema} for row in rows]
    return engine.frame(f"given_{name}", pl.DataFrame(whole, schema=schema))
