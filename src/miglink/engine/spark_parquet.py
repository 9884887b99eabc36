"""Rows of Parquet files as text, a row group at a time on the executors, spelt as DuckDB spells them.

Nothing here needs Spark. The functions travel to the executors by value: there miglink need not be installed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_ROWS_AT_ONCE = 1 << 15
# Beyond them a double is a whole number that has no place in 64 bits.
_LONGEST_WHOLE = 2.0**63


@dataclass(frozen=True)
class Group:
    """A row group of a file and the number of rows before it."""

    path: str
    file: str
    index: int
    n_before: int


@dataclass(frozen=True)
class Column:
    """A column as text: `kind` is its type over all files, in DuckDB's words.

    `is_whole`: whole numbers get no decimal point; `is_time`: times end with the second.
    """

    name: str
    kind: str
    is_whole: bool
    is_time: bool


def group_schema(n_columns: int) -> pa.Schema:
    """The shape of the rows; `said` holds the name of the error where a file cannot be read."""
    texts = [(f"c{index}", pa.string()) for index in range(n_columns)]
    return pa.schema([("file", pa.string()), ("number", pa.int64()), ("said", pa.string()), *texts])


def read_group(group: Group, columns: tuple[Column, ...]) -> Iterator[pa.RecordBatch]:
    """The rows of a row group as text; one row that says what is wrong where it cannot be read."""
    schema = group_schema(len(columns))
    number = group.n_before + 1
    try:
        with pq.ParquetFile(group.path) as file:
            found = set(file.schema_arrow.names)
            wanted = [column.name for column in columns if column.name in found]
            for batch in file.iter_batches(_ROWS_AT_ONCE, row_groups=[group.index], columns=wanted):
                n = batch.num_rows
                texts = [
                    _text(batch.column(column.name), column)
                    if column.name in found
                    else pa.nulls(n, pa.string())
                    for column in columns
                ]
                files = pa.array([group.file]).take(pa.array(np.zeros(n, np.int64)))
                numbers = pa.array(np.arange(number, number + n))
                arrays = [files, numbers, pa.nulls(n, pa.string()), *texts]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)
                number += n
    except Exception as error:  # what Spark would say of it might hold values
        nothing = [pa.nulls(1, pa.string())] * len(columns)
        said = pa.array([type(error).__name__])
        yield pa.RecordBatch.from_arrays(
            [pa.array([group.file]), pa.array([0], pa.int64()), said, *nothing], schema=schema
        )


def _text(values: Any, column: Column) -> Any:
    text = _spelt(_widened(values, column.kind), column)
    is_plain = pc.all(pc.string_is_ascii(text)).as_py()
    return text if is_plain in (True, None) else pc.utf8_normalize(text, "NFC")


def _widened(values: Any, kind: str) -> Any:
    """Values in the type that the column has over all files."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if kind == "DOUBLE":
        return values.cast(pa.float64())
    if kind.startswith("TIMESTAMP") and pa.types.is_date(values.type):
        return values.cast(pa.timestamp("us"))
    if kind.startswith("DECIMAL") and not pa.types.is_floating(values.type):
        precision, scale = kind[len("DECIMAL(") : -1].split(",")
        return values.cast(pa.decimal128(int(precision), int(scale)))
    return values


def _spelt(values: Any, column: Column) -> Any:
    kind = values.type
    if pa.types.is_floating(kind):
        return _number_text(values, column.is_whole)
    if pa.types.is_decimal(kind):
        return _decimal_text(values, column.is_whole)
    if pa.types.is_timestamp(kind):
        seconds = pc.floor_temporal(values, unit="second").cast(pa.timestamp("s"))
        return seconds.cast(pa.string()) if column.is_time else _without_zeros(values.cast(pa.string()))
    if pa.types.is_time(kind):
        return _without_zeros(values.cast(pa.string()))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _list_text(values, column)
    if pa.types.is_binary(kind) or pa.types.is_nested(kind):
        # Such a column is never read as a value; it only tells rows apart.
        return pa.array([None if value is None else str(value) for value in values.to_pylist()], pa.string())
    return values.cast(pa.string())


def _without_zeros(text: Any) -> Any:
    return (
        pc.replace_substring_regex(text, r"\.?0*$", "")
        if text.type == pa.string() and _has_point(text)
        else text
    )


def _has_point(text: Any) -> bool:
    return bool(pc.any(pc.match_substring(text, ".")).as_py())


def _number_text(values: Any, is_whole: bool) -> Any:
    """Numbers with their shortest digits; whole ones without decimal point, and no text for what is no number."""
    numbers = values.to_numpy(zero_copy_only=False)
    is_null = np.asarray(values.is_null())
    rounded = is_whole & np.isfinite(numbers) & (np.trunc(numbers) == numbers)
    fits = rounded & (np.abs(numbers) < _LONGEST_WHOLE)
    whole = pa.array(np.where(fits, numbers, 0).astype(np.int64)).cast(pa.string())
    text = np.asarray(whole.to_pylist(), object)
    large = rounded & ~fits & (np.abs(numbers) < 2.0**127)
    text[large] = [str(int(number)) for number in numbers[large]]
    rest = ~fits & ~large
    text[rest] = [str(number) for number in numbers[rest]]
    if is_whole:
        is_null = is_null | np.isnan(numbers)
    return pa.array(text, pa.string(), mask=is_null)


def _decimal_text(values: Any, is_whole: bool) -> Any:
    text = values.cast(pa.string())
    if pc.any(pc.match_substring(text, "E")).as_py():
        text = pa.array(
            [None if value is None else format(value, "f") for value in values.to_pylist()], pa.string()
        )
    return pc.replace_substring_regex(text, r"\.0+$", "") if is_whole else text


def _list_text(values: Any, column: Column) -> Any:
    parts = pc.fill_null(_spelt(values.flatten(), column), "NULL")
    lists = pa.ListArray.from_arrays(_offsets(values), parts, mask=values.is_null())
    joined = pc.binary_join(lists, ", ")
    return pc.binary_join_element_wise("[", joined, "]", "")


def _offsets(values: Any) -> Any:
    lengths = np.asarray(pc.fill_null(pc.list_value_length(values), 0))
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
