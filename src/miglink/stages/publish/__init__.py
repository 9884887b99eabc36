"""Stage 9: writes the tables that may leave the run folder, the linked files for analysts, and a summary."""

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pyarrow.dataset
import pyarrow.parquet

from miglink.engine import Engine, Table
from miglink.stages.publish.linked import LINKED, find_linked
from miglink.stages.publish.summary import render_summary
from miglink.tables import TABLES

__all__ = ["publish", "render_summary"]

_AGGREGATES = ("stocks", "flows", "accounts", "quality")
_ROWS_AT_ONCE = 131_072


def publish(engine: Engine, tables: Mapping[str, Table], run_folder: Path, data_to_date: date) -> list[Path]:
    """Write the aggregates into outputs/ and the linked, pseudonymous histories of persons into linked/.

    Reads: stocks, flows, accounts, quality; persons, person_traits, residence, migrations, spells, records,
        record_persons.
    Gives: the paths of the Parquet files, each column with its description as metadata (key `description`).
        outputs/ holds aggregates only. linked/ has no names, document or person numbers, record ids or column
        with a day of birth, but is data on individuals (a history may begin at birth): it stays inside.
        No disclosure control has been applied to either.
    Units: as in the contracts of the tables.
    Errors: OSError if the folder cannot be written; a file appears under its name only when whole.
    Source: docs/assumptions.md (what may leave the run folder).
    """
    written = []
    for name in _AGGREGATES:
        contract = TABLES[name]
        meanings = {column.name: column.meaning for column in contract.columns}
        target = run_folder / "outputs" / f"{name}.parquet"
        written.append(write_file(tables[name], target, contract.sentence, meanings))
    for name, table in find_linked(engine, tables, data_to_date).items():
        target = run_folder / "linked" / f"{name}.parquet"
        written.append(write_file(table, target, LINKED[name].sentence, LINKED[name].meanings))
    return written


def write_file(table: Table, target: Path, sentence: str, meanings: Mapping[str, str]) -> Path:
    """Copy a table into one Parquet file that describes itself; it appears under its name only when whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    dataset = pyarrow.dataset.dataset(table.path, format="parquet")
    schema = dataset.schema.with_metadata({"description": sentence})
    for position, field in enumerate(dataset.schema):
        schema = schema.set(position, field.with_metadata({"description": meanings[field.name]}))
    with pyarrow.parquet.ParquetWriter(part, schema, compression="zstd") as writer:
        for batch in dataset.to_batches(batch_size=_ROWS_AT_ONCE):
            writer.write_batch(batch)
    os.replace(part, target)
    return target
