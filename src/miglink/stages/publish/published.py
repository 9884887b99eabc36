"""What stands in outputs/, read again: what is shown of a protected run is what may leave."""

import json
from pathlib import Path
from typing import Any

import polars as pl
from rich.text import Text

from miglink.engine import Table
from miglink.stages.publish.protection.record import PROTECTION
from miglink.tables import TABLES

_TYPES: dict[str, Any] = {"VARCHAR": pl.String, "DATE": pl.Date, "BIGINT": pl.Int64, "DOUBLE": pl.Float64}


def find_published(outputs: Path) -> dict[str, Table]:
    """The protected tables in a folder of outputs, by name; none where nothing protected was published."""
    return find_tables(outputs) if find_method(outputs) is not None else {}


def find_method(outputs: Path) -> str | None:
    """How the counts in a folder of outputs are protected, in words; None where they are not."""
    file = outputs / PROTECTION
    return str(json.loads(file.read_text("utf-8"))["method"]) if file.exists() else None


def find_tables(outputs: Path) -> dict[str, Table]:
    """The tables of miglink in a folder of outputs, by name; none where there is no such folder."""
    # Of a table in both formats the Parquet file, which comes last.
    files = [*sorted(outputs.glob("*.csv")), *sorted(outputs.glob("*.parquet"))]
    return {file.stem: Table(file.stem, file) for file in files if file.stem in TABLES}


def read_rows(table: Table) -> pl.DataFrame:
    """The rows of an aggregate, in Parquet or as CSV of outputs/."""
    if table.path.suffix == ".csv":
        schema = {column.name: _TYPES[column.type] for column in TABLES[table.name].columns}
        return pl.read_csv(table.path, schema=schema)
    return pl.read_parquet(table.path, glob=False)


def render_protection(outputs: Path) -> Text:
    """How the counts of outputs/ are protected, and what is not there for that; in one line or two."""
    file = outputs / PROTECTION
    if not file.exists():
        return Text(
            "Counts are to be protected, and are not published yet: no figure is shown.", style="bold"
        )
    record = json.loads(file.read_text("utf-8"))
    left_out = ", ".join(record["tables_left_out"])
    return Text(
        f"Disclosure control: counts are {record['method']}"
        + (f" Left out: {left_out}." if left_out else "")
        + f" For the output checker: {file}"
    )
