"""The DuckDB engine: embedded, the default."""

import csv
import gzip
import io
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from miglink.engine import CsvFormat, ParquetFormat, RawRows, Table, identifier, text_literal
from miglink.errors import SourceError, TableError
from miglink.tables import TABLES, Contract


class DuckDBEngine:
    """Runs every query in one embedded DuckDB; tables are single Parquet files."""

    def __init__(
        self,
        tables_folder: Path,
        *,
        memory_limit: str | None = None,
        threads: int | None = None,
        temp_directory: Path | None = None,
    ) -> None:
        self._folder = tables_folder
        self._scratch = tables_folder / "scratch"
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._connection = duckdb.connect(":memory:")
        settings = {
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "enable_progress_bar": "false",
            "TimeZone": "'UTC'",
            "temp_directory": text_literal(str(temp_directory or self._scratch / "spill")),
            "memory_limit": text_literal(memory_limit) if memory_limit else None,
            "threads": str(threads) if threads else None,
        }
        for name, value in settings.items():
            if value is not None:
                self._connection.execute(f"SET {name} = {value}")

    def query(self, name: str, select: str, **tables: Table | pl.DataFrame) -> Table:
        """Run one SELECT, write the table `name` of the contract, sorted by its key, and check it."""
        contract = TABLES[name]
        order = ", ".join(identifier(column) for column in contract.key)
        table = Table(name, self._folder / f"{name}.parquet")
        self._write(f"SELECT * FROM ({select}) ORDER BY {order}", table.path, tables, checked=contract)
        return table

    def step(self, name: str, select: str, **tables: Table | pl.DataFrame) -> Table:
        """Run one SELECT and write a scratch table that no contract describes; it goes when the engine closes."""
        table = Table(name, self._scratch / f"{name}.parquet")
        # Read once or twice and gone: speed counts more than size.
        self._write(select, table.path, tables, compression="snappy")
        return table

    def view(self, name: str, select: str, **tables: Table) -> Table:
        """Give one SELECT a name without writing it: for rows that only the next step reads."""
        # Inputs are written into the view, for their aliases mean something else in the next call.
        inputs = ", ".join(f"{identifier(alias)} AS ({_rows_of(table)})" for alias, table in tables.items())
        with_inputs = f"WITH {inputs} SELECT * FROM ({select})" if inputs else select
        self._connection.execute(f"CREATE OR REPLACE TEMP VIEW {identifier('view_' + name)} AS {with_inputs}")
        return Table(name, self._scratch / name, is_view=True)

    def collect(self, select: str, **tables: Table | pl.DataFrame) -> pl.DataFrame:
        """Run one SELECT whose result is small whatever the size of the data, and return its rows."""
        self._name(tables)
        rows: pl.DataFrame = self._connection.sql(select).pl()
        return rows

    def count(self, table: Table) -> int:
        """The number of rows of a table."""
        (count,) = self._fetch_one(f"SELECT count(*) FROM ({_rows_of(table)})")
        return int(count)

    def frame(self, name: str, frame: pl.DataFrame) -> Table:
        """Make a scratch table of a small frame (codes, parameters)."""
        table = Table(name, self._scratch / f"{name}.parquet")
        frame.write_parquet(table.path)
        return table

    def read(self, name: str, paths: Sequence[Path], file_format: CsvFormat | ParquetFormat) -> RawRows:
        """Read the files of a source as text."""
        files = "[" + ", ".join(text_literal(str(path)) for path in paths) + "]"
        # Files of one name in two folders are told apart by their folder.
        is_unique = len({path.name for path in paths}) == len(paths)
        label = "parse_filename(origin)" if is_unique else r"regexp_extract(origin, '[^/\\]+[/\\][^/\\]+$')"
        if isinstance(file_format, ParquetFormat):
            return self._read_parquet(name, files, label)
        return self._read_csv(name, paths, label, file_format)

    def splink_api(self, **tables: Table | pl.DataFrame) -> Any:
        """A fresh Splink database API, one for each linker; `tables` are known to it under their names."""
        from splink import DuckDBAPI

        self._name(tables)
        return DuckDBAPI(connection=self._connection)

    def close(self) -> None:
        """Release the engine and its scratch tables."""
        self._connection.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _read_parquet(self, name: str, files: str, label: str) -> RawRows:
        source = f"read_parquet({files}, union_by_name = true, filename = 'origin', file_row_number = true)"
        try:
            described = self._connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
            columns = [str(row[0]) for row in described if row[0] not in ("origin", "file_row_number")]
            texts = ", ".join(
                f"nfc_normalize(CAST({identifier(column)} AS VARCHAR)) AS {identifier(column)}"
                for column in columns
            )
            rows = self.step(
                f"{name}_rows",
                f"SELECT {texts}, {label} AS __file, file_row_number + 1 AS __row_number FROM {source}",
            )
        except duckdb.Error as error:
            raise SourceError(
                f"source {name}: its files cannot be read as Parquet ({type(error).__name__}); "
                "check `format.type` and whether they were copied whole"
            ) from None
        malformed = self.step(
            f"{name}_malformed", "SELECT '' AS file, CAST(0 AS BIGINT) AS row_number WHERE false"
        )
        trailers = self.step(
            f"{name}_trailers", "SELECT '' AS file, CAST(0 AS BIGINT) AS stated_rows WHERE false"
        )
        return RawRows(rows, malformed, trailers, tuple(columns))

    def _read_csv(self, name: str, paths: Sequence[Path], label: str, form: CsvFormat) -> RawRows:
        columns = csv_header(name, paths, form)
        try:
            try:
                numbered = self._number_lines(name, paths, label, form, columns)
            except duckdb.InvalidInputException:
                # The reader wants one kind of line end in a file; who appends batches of several posts mixes them.
                alike = self._with_one_line_end(name, paths)
                numbered = self._number_lines(name, alike, label, form, columns)
        except duckdb.Error as error:
            raise SourceError(
                f"source {name}: its files cannot be read as CSV in {form.encoding} with separator "
                f"{form.separator!r} ({type(error).__name__}); "
                "check `format.encoding`, `format.separator` and `format.quote`, and that every quote is closed"
            ) from None
        rows = self.view(
            f"{name}_rows",
            "SELECT * EXCLUDE (__is_trailer) FROM lines WHERE NOT __is_trailer",
            lines=numbered,
        )
        return RawRows(rows, *self._unread_lines(name, columns, label, form, numbered), tuple(columns))

    def _number_lines(
        self, name: str, paths: Sequence[Path], label: str, form: CsvFormat, columns: Sequence[str]
    ) -> Table:
        """The lines of the files as text, with file and number; what does not fit the header goes to csv_errors."""
        files = "[" + ", ".join(text_literal(str(path)) for path in paths) + "]"
        types = "{" + ", ".join(f"{text_literal(column)}: 'VARCHAR'" for column in columns) + "}"
        self._connection.execute("DROP TABLE IF EXISTS csv_errors; DROP TABLE IF EXISTS csv_scans")
        source = (
            f"read_csv({files}, columns = {types}, auto_detect = false, header = true, "
            f"delim = {text_literal(form.separator)}, quote = {text_literal(form.quote)}, "
            f"escape = {text_literal(form.quote)}, encoding = {text_literal(form.encoding)}, "
            "filename = 'origin', null_padding = false, strict_mode = true, ignore_errors = true, "
            "store_rejects = true, rejects_table = 'csv_errors', rejects_scan = 'csv_scans', rejects_limit = 0)"
        )
        texts = ", ".join(
            f"nfc_normalize({identifier(column)}) AS {identifier(column)}" for column in columns
        )
        starts = f"starts_with({identifier(columns[0])}, {text_literal(form.trailer or '')})"
        is_trailer = f"coalesce({starts}, false)" if form.trailer else "false"
        return self.step(
            f"{name}_lines",
            f"""WITH lines AS (SELECT {texts}, {label} AS __file, row_number() OVER () AS line FROM {source})
            SELECT * EXCLUDE (line), line - min(line) OVER (PARTITION BY __file) + 1 AS __row_number,
                   {is_trailer} AS __is_trailer
            FROM lines""",
        )

    def _with_one_line_end(self, name: str, paths: Sequence[Path]) -> list[Path]:
        """Copies of the files whose lines all end in a line feed, under their own names; scratch."""
        copies = []
        for number, path in enumerate(paths):
            # The folder is kept, for it tells files of one name apart.
            copy = self._scratch / f"{name}_files" / str(number) / path.parent.name / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            opened = gzip.open if path.suffix == ".gz" else open
            with opened(path, "rb") as lines, opened(copy, "wb") as written:
                written.writelines(line.removesuffix(b"\n").removesuffix(b"\r") + b"\n" for line in lines)
            copies.append(copy)
        return copies

    def _unread_lines(
        self, name: str, columns: Sequence[str], label: str, form: CsvFormat, lines: Table
    ) -> tuple[Table, Table]:
        """The lines that did not have the header's number of fields, control lines among them apart."""
        stated = identifier(columns[1]) if len(columns) > 1 else "NULL"
        trailer = text_literal(form.trailer or "")
        is_trailer = f"starts_with(csv_line, {trailer})" if form.trailer else "false"
        separator = text_literal(form.separator)
        file = label.replace("origin", "s.file_path")
        errors = f"""(SELECT DISTINCT {file} AS file, e.line - 1 AS row_number, e.csv_line
                     FROM csv_errors e JOIN csv_scans s USING (scan_id, file_id))"""
        malformed = self.step(
            f"{name}_malformed",
            f"SELECT DISTINCT file, CAST(row_number AS BIGINT) AS row_number FROM {errors} WHERE NOT {is_trailer}",
        )
        trailers = self.step(
            f"{name}_trailers",
            f"""SELECT __file AS file, TRY_CAST({stated} AS BIGINT) AS stated_rows FROM lines WHERE __is_trailer
            UNION ALL
            SELECT file, TRY_CAST(split_part(csv_line, {separator}, 2) AS BIGINT) FROM {errors} WHERE {is_trailer}""",
            lines=lines,
        )
        return malformed, trailers

    def _fetch_one(self, select: str) -> tuple[Any, ...]:
        # All rows are fetched, though there is one: a result that is not read to its end blocks the connection.
        (row,) = self._connection.execute(select).fetchall()
        return tuple(row)

    def _name(self, tables: Mapping[str, Table | pl.DataFrame]) -> None:
        for alias, table in tables.items():
            if isinstance(table, pl.DataFrame):
                self._connection.register(alias, table)
                continue
            self._connection.execute(f"CREATE OR REPLACE TEMP VIEW {identifier(alias)} AS {_rows_of(table)}")

    def _write(
        self,
        select: str,
        path: Path,
        tables: Mapping[str, Table | pl.DataFrame],
        checked: Contract | None = None,
        compression: str = "zstd",
    ) -> None:
        """Write under a name of its own first: a table appears under its final name only when whole and checked."""
        self._name(tables)
        part = path.with_name(path.name + ".part")
        self._connection.execute(
            f"COPY ({select}) TO {text_literal(str(part))} (FORMAT parquet, COMPRESSION {compression})"
        )
        if checked is not None:
            self._check(part, checked)
        os.replace(part, path)

    def _check(self, path: Path, contract: Contract) -> None:
        """Columns, types, required values and key of a written table; a breach is a defect of the stage."""
        source = f"read_parquet({text_literal(str(path))})"
        found = [
            (str(name), str(type_))
            for name, type_, *_ in self._connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        ]
        expected = [(column.name, column.type) for column in contract.columns]
        matches = found[: len(expected)] == expected if contract.open_columns else found == expected
        if not matches:
            wrong = [f"{a} instead of {b}" for a, b in zip(found, expected, strict=False) if a != b]
            raise TableError(
                f"table {contract.name}: columns differ from the contract: {wrong[:5]}; "
                f"{len(found)} columns, expected {len(expected)}"
            )
        required = [column.name for column in contract.columns if not column.nullable]
        nulls = ", ".join(f"count(*) - count({identifier(name)})" for name in required)
        key = ", ".join(identifier(name) for name in contract.key)
        n, *n_null = self._fetch_one(f"SELECT count(*), {nulls} FROM {source}")
        missing = [name for name, count in zip(required, n_null, strict=True) if count]
        if missing:
            raise TableError(f"table {contract.name}: null in required columns {missing}")
        (n_keys,) = self._fetch_one(f"SELECT count(*) FROM (SELECT DISTINCT {key} FROM {source})")
        if n_keys != n:
            raise TableError(f"table {contract.name}: key {contract.key} repeats, {n} rows but {n_keys} keys")


def _rows_of(table: Table) -> str:
    if table.is_view:
        return f"SELECT * FROM {identifier('view_' + table.name)}"
    return f"SELECT * FROM read_parquet({text_literal(str(table.path))})"


def csv_header(name: str, paths: Sequence[Path], form: CsvFormat) -> list[str]:
    """The columns named in the first line of each file; all files of a source must have the same."""
    headers: dict[str, list[str]] = {}
    for path in paths:
        encoding = "utf-8-sig" if form.encoding == "utf-8" else form.encoding
        try:
            with (
                gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream,
                io.TextIOWrapper(stream, encoding=encoding, newline="") as text,
            ):
                line = text.readline(1_000_000)
        except (UnicodeError, gzip.BadGzipFile, EOFError) as error:
            raise SourceError(
                f"source {name}: {path.name}: the first line cannot be read in {form.encoding} "
                f"({type(error).__name__}); check `format.encoding` and whether the file was copied whole"
            ) from None
        if not line.strip():
            raise SourceError(f"source {name}: {path.name} is empty; a file needs at least its header line")
        fields = next(
            csv.reader(
                [line],
                delimiter=form.separator,
                quotechar=form.quote or None,
                quoting=csv.QUOTE_MINIMAL if form.quote else csv.QUOTE_NONE,
            )
        )
        headers[path.name] = [field.strip() for field in fields]
    first_name, first = next(iter(headers.items()))
    if len(set(first)) != len(first) or "" in first:
        raise SourceError(
            f"source {name}: {first_name}: the header repeats a column or leaves one without a name"
        )
    for file_name, header in headers.items():
        if header != first:
            missing, further = sorted(set(first) - set(header)), sorted(set(header) - set(first))
            raise SourceError(
                f"source {name}: {file_name} has another header than {first_name}: "
                f"missing {missing}, further {further}, or another order; give such files a source of their own"
            )
    return first
