"""Parquet files that describe themselves: what the table and each column mean, and of which run they are."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_ROWS_AT_ONCE = 131_072


@dataclass(frozen=True)
class Described:
    """What is said of a table, and of each of its columns by name, as names with texts."""

    table: Mapping[str, str]
    columns: Mapping[str, Mapping[str, str]]


def copy_described(source: Path, target: Path, described: Described) -> None:
    """Copy Parquet into one file with these words as its metadata; it appears under its name only when whole."""
    # Imported where it is used: it brings pandas with it where that is installed, and every command would wait.
    import pyarrow.dataset
    import pyarrow.parquet

    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    dataset = pyarrow.dataset.dataset(source, format="parquet")
    schema = dataset.schema.with_metadata(dict(described.table))
    for position, field in enumerate(dataset.schema):
        schema = schema.set(position, field.with_metadata(dict(described.columns[field.name])))
    with pyarrow.parquet.ParquetWriter(part, schema, compression="zstd") as writer:
        for batch in dataset.to_batches(batch_size=_ROWS_AT_ONCE):
            writer.write_batch(batch)
    os.replace(part, target)
