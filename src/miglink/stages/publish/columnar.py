"""Parquet files that describe themselves: what the table, its key and each column mean, and of which run they are."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pyarrow.parquet

from miglink.engine import Table
from miglink.stages.publish.datapackage import describe_schema, unit_of
from miglink.tables import Contract

_ROWS_AT_ONCE = 131_072


def write_parquet(table: Table, target: Path, contract: Contract, facts: Mapping[str, Any]) -> Path:
    """Copy a table into one Parquet file that describes itself; it appears under its name only when whole.

    Key-value metadata of the file: `description`, `key`, `table_schema` (the columns, as in datapackage.json) and
    the facts of the run, as text or JSON. Each column has its `description`, and its `unit` where it has one, for
    readers of Arrow.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    dataset = pyarrow.dataset.dataset(table.path, format="parquet")
    described = {
        "description": contract.sentence,
        "key": ", ".join(contract.key),
        "table_schema": json.dumps(describe_schema(contract), ensure_ascii=False),
        **{
            name: fact if isinstance(fact, str) else json.dumps(fact, ensure_ascii=False)
            for name, fact in facts.items()
        },
    }
    schema = dataset.schema.with_metadata(described)
    columns = {column.name: column for column in contract.columns}
    for position, field in enumerate(dataset.schema):
        column = columns[field.name]
        unit = unit_of(column)
        meaning = {"description": column.meaning, **({"unit": unit} if unit else {})}
        schema = schema.set(position, field.with_metadata(meaning))
    with pyarrow.parquet.ParquetWriter(part, schema, compression="zstd") as writer:
        for batch in dataset.to_batches(batch_size=_ROWS_AT_ONCE):
            writer.write_batch(batch)
    os.replace(part, target)
    return target
