"""How Spark reads the files of a source: every value as text, every line accounted for.

Executors read parts of files from their shared path; the driver sees headers, schemas and counts.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import cloudpickle
from pyspark.sql import SparkSession
from pyspark.sql.functions import arrow_udtf
from pyspark.sql.pandas.types import from_arrow_schema

from miglink.engine import CsvFormat, ParquetFormat, RawRows, Table, identifier
from miglink.engine.duckdb_files import check_parquet, no_parquet
from miglink.engine.files import (
    bad_line,
    csv_header,
    damaged,
    is_packed,
    path_literal,
    unclosed_quote,
    undecodable,
    unreadable,
)
from miglink.engine.spark_lines import Facts, Form, Part, read_part, schema_of
from miglink.engine.spark_parquet import Column, Group, group_schema, read_group
from miglink.errors import SourceError
from miglink.shortages import find_shortage

if TYPE_CHECKING:
    from miglink.engine.spark_engine import SparkEngine

_MOST_NOT_IN_ENCODING = 0.001
_LEAST_BYTES_OF_TASK, _MOST_BYTES_OF_TASK = 1 << 20, 1 << 26


@dataclass(frozen=True)
class Reader:
    """What reading needs: the engine and its session."""

    engine: "SparkEngine"
    session: SparkSession


def read_files(
    engine: "SparkEngine",
    session: SparkSession,
    name: str,
    paths: Sequence[Path],
    file_format: CsvFormat | ParquetFormat,
) -> RawRows:
    """Read the files of a source as text."""
    # Executors need not have miglink: what they run is sent to them whole.
    cloudpickle.register_pickle_by_value(sys.modules["miglink"])  # type: ignore[no-untyped-call]
    reader = Reader(engine, session)
    if isinstance(file_format, ParquetFormat):
        return _read_parquet(reader, name, paths, file_format)
    return _read_csv(reader, name, paths, file_format)


def _labels(paths: Sequence[Path]) -> dict[Path, str]:
    """The names of the files: each with as many of its folders as tell the files of the source apart."""
    deepest = max((len(path.parts) for path in paths), default=1)
    for depth in range(1, deepest + 1):
        if len({path.parts[-depth:] for path in paths}) == len(paths):
            break
    pattern = re.compile(rf"(?:[^/\\]+[/\\]){{{depth - 1}}}[^/\\]+\Z")
    found = {path: pattern.search(str(path)) for path in paths}
    return {path: match.group() if match else "" for path, match in found.items()}


def _run(
    reader: Reader,
    tasks: Sequence[Sequence[Any]],
    read: Callable[[Any], Iterator[pa.RecordBatch]],
    schema: pa.Schema,
) -> str:
    """Name a view of what `read` gives for the items of each task; a task is a partition."""

    class Task:
        def eval(self, numbers: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
            for number in numbers.column(0).to_pylist():
                for item in tasks[number]:
                    yield from read(item)

    numbers = reader.session.range(0, len(tasks), 1, max(len(tasks), 1))
    read_table: Any = arrow_udtf(Task, returnType=from_arrow_schema(schema))
    view = "files_read"
    read_table(numbers.asTable()).createOrReplaceTempView(view)
    return view


# CSV.


def _read_csv(reader: Reader, name: str, paths: Sequence[Path], form: CsvFormat) -> RawRows:
    columns = csv_header(name, paths, form)
    if len(form.quote.encode()) > 1:
        raise _no_csv(name, form, "InvalidInputException")
    if len({column.lower() for column in columns}) < len(columns):
        raise _no_csv(name, form, "BinderException")
    shape = Form(
        form.separator, form.quote, form.encoding, form.trailer, len(columns), form.encoding == "utf-16"
    )
    parts = _parts(reader, paths, form)
    facts: list[Facts] = []
    while True:
        lines, facts = _read_lines(reader, name, parts, shape)
        begins = _check_begins(name, parts, facts, form)
        if begins:
            parts = [replace(part, begin=begins.get(part.number, part.begin)) for part in parts]
        elif _are_mixed(parts, facts) and not shape.lines_fed:
            shape = replace(shape, lines_fed=True)
        else:
            break
    raw = _raw_rows(reader, name, columns, lines, _counts_before(parts, facts))
    if any(found.n_malformed for found in facts):
        _check_encoding(reader, name, form, sum(found.n_rows for found in facts), raw.malformed)
    _check_lines(name, parts, facts)
    return raw


def _no_csv(name: str, form: CsvFormat, kind: str) -> SourceError:
    encoding = "utf-8" if form.encoding == "utf-16" else form.encoding
    return SourceError(
        f"source {name}: its files cannot be read as CSV in {encoding} with separator "
        f"{form.separator!r} ({kind}); "
        "check `format.encoding`, `format.separator` and `format.quote`, and that every quote is closed"
    )


def _parts(reader: Reader, paths: Sequence[Path], form: CsvFormat) -> list[Part]:
    """The files cut into parts for the tasks; packed files and text in UTF-16 can only be read from their begin."""
    labels = _labels(paths)
    sizes = {path: path.stat().st_size for path in paths}
    size = _bytes_of_task(reader, sum(sizes.values()))
    parts: list[Part] = []
    for path in paths:
        is_whole = is_packed(path) or form.encoding == "utf-16"
        starts = [0] if is_whole else list(range(0, max(sizes[path], 1), size))
        for start, end in zip(starts, [*starts[1:], None], strict=True):
            parts.append(Part(len(parts), str(path.absolute()), labels[path], start, end))
    return parts


def _bytes_of_task(reader: Reader, n_bytes: int) -> int:
    share = n_bytes // (2 * reader.session.sparkContext.defaultParallelism)
    return min(max(share, _LEAST_BYTES_OF_TASK), _MOST_BYTES_OF_TASK)


def _tasks(reader: Reader, parts: Sequence[Part]) -> list[list[Part]]:
    """Small files share a task."""
    sizes = [(part.end or Path(part.path).stat().st_size) - part.start for part in parts]
    most = _bytes_of_task(reader, sum(sizes))
    tasks: list[list[Part]] = []
    room = 0
    for part, size in zip(parts, sizes, strict=True):
        if size > room:
            tasks.append([])
            room = most
        tasks[-1].append(part)
        room -= size
    return tasks


def _read_lines(reader: Reader, name: str, parts: Sequence[Part], shape: Form) -> tuple[Table, list[Facts]]:
    """Read all parts: a scratch table of what they hold, and the facts of each."""
    view = _run(
        reader, _tasks(reader, parts), lambda part: read_part(part, shape), schema_of(shape.n_columns)
    )
    lines = reader.engine.step(f"{name}_lines", f"SELECT * FROM {view}")
    said = reader.engine.collect("SELECT said FROM lines WHERE kind = 'facts'", lines=lines)["said"]
    facts = [Facts(**json.loads(text)) for text in said]
    return lines, sorted(facts, key=lambda found: found.number)


def _check_begins(
    name: str, parts: Sequence[Part], facts: Sequence[Facts], form: CsvFormat
) -> dict[int, int]:
    """Where the parts begin whose first row was sought in the wrong place: within a quoted field.

    Errors: SourceError where a file cannot be read to its end.
    """
    begins: dict[int, int] = {}
    position, n_lines, is_known = 0, 0, True
    for part, found in zip(parts, facts, strict=True):
        if part.start == 0:
            position, n_lines, is_known = 0, 0, True
        if not is_known:
            continue
        if found.begin is not None and found.begin != position:
            begins[part.number] = position
            is_known = False
            continue
        if found.trouble:
            raise _trouble(name, Path(part.path), found.trouble, n_lines, form)
        n_lines += found.n_lines
        position = found.end if found.end is not None else position
    return begins


def _trouble(name: str, path: Path, trouble: Sequence[Any], n_lines: int, form: CsvFormat) -> SourceError:
    kind, detail = trouble
    if kind in ("long", "quote"):
        return bad_line(name, path.name, kind, n_lines + detail)
    if kind == "damaged":
        return damaged(name, path, detail)
    if kind == "unreadable":
        return unreadable(name, path, detail)
    if kind == "encoding":
        return undecodable(name, path, form.encoding, detail)
    return _no_csv(name, form, detail)


def _are_mixed(parts: Sequence[Part], facts: Sequence[Facts]) -> bool:
    """Whether fields hold line ends and a file mixes several kinds of them between rows.

    DuckDB's reader wants one kind in a file; else all files of the source are read with line feeds alone.
    """
    if not any(found.n_ends_within for found in facts):
        return False
    ends: dict[str, list[str]] = {}
    for part, found in zip(parts, facts, strict=True):
        ends.setdefault(part.path, []).extend(found.ends)
    return any(len(set(kinds)) > 1 for kinds in ends.values())


def _counts_before(parts: Sequence[Part], facts: Sequence[Facts]) -> pl.DataFrame:
    """The rows and records of each file before each of its parts."""
    counts = pl.DataFrame(
        {
            "part": [part.number for part in parts],
            "path": [part.path for part in parts],
            "n_rows": [found.n_rows for found in facts],
            "n_records": [found.n_records for found in facts],
        },
        schema={"part": pl.Int32, "path": pl.String, "n_rows": pl.Int64, "n_records": pl.Int64},
    )
    n_rows, n_records = pl.col("n_rows"), pl.col("n_records")
    return counts.select(
        "part", n_rows.cum_sum().over("path") - n_rows, n_records.cum_sum().over("path") - n_records
    )


def _raw_rows(
    reader: Reader, name: str, columns: Sequence[str], lines: Table, before: pl.DataFrame
) -> RawRows:
    texts = ", ".join(f"l.c{index} AS {identifier(column)}" for index, column in enumerate(columns))
    tables = {"lines": lines}
    joined, n_rows, n_records = "lines l", "0", "0"
    if before["n_records"].sum():
        tables["parts"] = reader.engine.frame(f"{name}_parts", before)
        joined, n_rows, n_records = "lines l JOIN parts b ON b.part = l.part", "b.n_rows", "b.n_records"
    rows = reader.engine.view(
        f"{name}_rows",
        f"""SELECT {texts}, l.file AS __file, l.number + {n_rows} AS __row_number
        FROM {joined} WHERE l.kind = 'row'""",
        **tables,
    )
    malformed = reader.engine.view(
        f"{name}_malformed",
        f"""SELECT l.file, l.number + {n_records} - 1 AS row_number, l.said AS why
        FROM {joined} WHERE l.kind = 'malformed'""",
        **tables,
    )
    # Totals are written in many ways: 12, 12.0, 1.2e1.
    trailers = reader.engine.view(
        f"{name}_trailers",
        """SELECT file, TRY_CAST(round(TRY_CAST(said AS DECIMAL(38, 10))) AS BIGINT) AS stated_rows
        FROM lines WHERE kind = 'trailer'""",
        lines=lines,
    )
    return RawRows(rows, malformed, trailers, tuple(columns))


def _check_encoding(reader: Reader, name: str, form: CsvFormat, n_rows: int, malformed: Table) -> None:
    """A row or two may be damaged; many that are not in the encoding show that it is another."""
    n, wrong, place = reader.engine.collect(
        """SELECT count(*) AS n, count(CASE WHEN why = 'not in the encoding' THEN 1 END) AS wrong,
               min(CASE WHEN why = 'not in the encoding' THEN concat(file, ', line ', row_number + 1) END) AS place
        FROM malformed""",
        malformed=malformed,
    ).row(0)
    if wrong > _MOST_NOT_IN_ENCODING * (n + n_rows):
        raise SourceError(
            f"source {name}: {wrong:,} of {n + n_rows:,} lines are not in {form.encoding} (one is {place}); "
            "the files are in another encoding, or damaged: check `format.encoding` (latin-1, utf-16) and that they "
            "were copied whole"
        )


def _check_lines(name: str, parts: Sequence[Part], facts: Sequence[Facts]) -> None:
    """Every line of a file is a row, a malformed line or within a field; else a quote took in whole rows."""
    files: dict[str, Facts] = {}
    for part, found in zip(parts, facts, strict=True):
        # The header is a line, but no row.
        sums = files.setdefault(part.file, Facts(0))
        sums.n_lines += found.n_lines - (part.start == 0)
        if found.record_misquoted and sums.record_misquoted is None:
            sums.record_misquoted = sums.n_records + found.record_misquoted
        if found.row_holding_rows and sums.row_holding_rows is None:
            sums.row_holding_rows = sums.n_rows + found.row_holding_rows
        for column in ("n_records", "n_rows", "n_malformed", "n_ends_counted"):
            setattr(sums, column, getattr(sums, column) + getattr(found, column))
    for file, sums in sorted(files.items()):
        n_lost = sums.n_lines - sums.n_rows - sums.n_malformed
        if n_lost > sums.n_ends_counted:
            line = sums.record_misquoted or (sums.row_holding_rows + 1 if sums.row_holding_rows else 2)
            raise SourceError(
                f"source {name}: {file}: about {n_lost:,} of its lines are in none of the rows: "
                + unclosed_quote(line)
            )


# Parquet.


def _read_parquet(reader: Reader, name: str, paths: Sequence[Path], form: ParquetFormat) -> RawRows:
    labels = _labels(paths)
    types = {path: _described(name, path.name, [path]) for path in paths}
    check_parquet(name, types, form)
    which = paths[0].name if len(paths) == 1 else f"one of its {len(paths)} files"
    merged = _described(name, which, paths)
    columns = tuple(_column(column, kind, types) for column, kind in merged.items())
    groups = [group for path in paths for group in _groups(name, path, labels[path])]
    view = _run(
        reader,
        [[group] for group in groups],
        lambda group: read_group(group, columns),
        group_schema(len(columns)),
    )
    lines = reader.engine.step(f"{name}_lines", f"SELECT * FROM {view}")
    wrong = reader.engine.collect("SELECT min(said) AS said FROM lines", lines=lines).item()
    if wrong is not None:
        raise no_parquet(f"source {name}: {which}", duckdb.InvalidInputException())
    texts = ", ".join(f"c{index} AS {identifier(column.name)}" for index, column in enumerate(columns))
    rows = reader.engine.view(
        f"{name}_rows", f"SELECT {texts}, file AS __file, number AS __row_number FROM lines", lines=lines
    )
    malformed = reader.engine.step(
        f"{name}_malformed", "SELECT '' AS file, CAST(0 AS BIGINT) AS row_number, '' AS why WHERE false"
    )
    trailers = reader.engine.step(
        f"{name}_trailers", "SELECT '' AS file, CAST(0 AS BIGINT) AS stated_rows WHERE false"
    )
    return RawRows(rows, malformed, trailers, tuple(merged))


def _described(name: str, which: str, paths: Sequence[Path]) -> dict[str, str]:
    """The columns that files have together and their types, in the words of DuckDB; it reads their schemas alone."""
    files = ", ".join(path_literal(path) for path in paths)
    try:
        with duckdb.connect(":memory:") as connection:
            described = connection.execute(
                f"DESCRIBE SELECT * FROM read_parquet([{files}], union_by_name = true)"
            ).fetchall()
    except duckdb.Error as error:
        if find_shortage(error):
            raise
        raise no_parquet(f"source {name}: {which}", error) from None
    return {str(column): str(kind) for column, kind, *_ in described}


def _column(column: str, kind: str, types: Mapping[Path, Mapping[str, str]]) -> Column:
    kinds = {found[column] for found in types.values() if column in found}
    return Column(
        column,
        kind,
        all(kind in ("FLOAT", "DOUBLE") or kind.startswith("DECIMAL") for kind in kinds),
        all(kind.startswith("TIMESTAMP") and "ZONE" not in kind for kind in kinds),
    )


def _groups(name: str, path: Path, label: str) -> list[Group]:
    """The row groups of a file, from its footer."""
    try:
        footer = pq.read_metadata(path)
    except (OSError, pa.ArrowException):
        raise no_parquet(f"source {name}: {path.name}", duckdb.InvalidInputException()) from None
    groups, n_before = [], 0
    for index in range(footer.num_row_groups):
        groups.append(Group(str(path.absolute()), label, index, n_before))
        n_before += footer.row_group(index).num_rows
    return groups
