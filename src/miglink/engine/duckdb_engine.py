"""The DuckDB engine: embedded, the default."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from miglink.elsewhere import check_here
from miglink.engine import CsvFormat, ParquetFormat, RawRows, Table, identifier, text_literal
from miglink.engine.columnar import Described, copy_described
from miglink.engine.duckdb_files import Reader, read_files
from miglink.engine.files import path_literal
from miglink.tables import TABLES, Contract

# In which DuckDB states a memory limit.
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


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
        self._held: set[str] = set()
        settings = {
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "enable_progress_bar": "false",
            # Tables in memory are written once and dropped: a checkpoint would only go over all of them again.
            "checkpoint_threshold": "'1TB'",
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

    def hold(self, name: str, select: str, **tables: Table | pl.DataFrame) -> Table:
        """Run one SELECT and hold its rows in memory; DuckDB writes them to temp_directory beyond its limit."""
        # To write Parquet takes most of the time of a step whose rows are wide, and to read it twice that of memory.
        self._name(tables)
        held = "view_" + name
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {identifier(held)} AS {select}")
        self._held.add(held)
        return Table(name, self._scratch / name, is_view=True)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """What is held within goes at its end."""
        before = set(self._held)
        try:
            yield
        finally:
            for held in self._held - before:
                self._connection.execute(f"DROP TABLE IF EXISTS {identifier(held)}")
            self._held = before

    @contextmanager
    def as_written(self) -> Iterator[None]:
        """Joins within are made in the order they stand: what follows JOIN is held, what precedes it passes by it."""
        self._connection.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
        try:
            yield
        finally:
            self._connection.execute("RESET disabled_optimizers")

    @property
    def memory(self) -> int | None:
        """Bytes that one query may hold: the memory limit."""
        (limit,) = self._fetch_one("SELECT current_setting('memory_limit')")
        size, unit = limit.split()
        return int(float(size) * 1024 ** _UNITS.index(unit))

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

    def export(self, table: Table, target: Path, described: Described) -> None:
        """Write a table as one Parquet file that describes itself."""
        copy_described(table.path, target, described)

    def frame(self, name: str, frame: pl.DataFrame) -> Table:
        """Make a scratch table of a small frame (codes, parameters)."""
        table = Table(name, self._scratch / f"{name}.parquet")
        frame.write_parquet(table.path)
        return table

    def read(self, name: str, paths: Sequence[Path], file_format: CsvFormat | ParquetFormat) -> RawRows:
        """Read the files of a source as text."""
        return read_files(Reader(self, self._connection, self._scratch), name, paths, file_format)

    def splink_api(self, **tables: Table | pl.DataFrame) -> Any:
        """A fresh Splink database API, one for each linker; `tables` are known to it under their names."""
        from splink import DuckDBAPI

        self._name(tables)
        return DuckDBAPI(connection=self._connection)

    def fingerprint(self, columns: Sequence[str]) -> str:
        """SQL for a number of 64 bits that is equal where all these columns are, and not else but by a freak chance."""
        return f"hash({', '.join(columns)})"

    def condition(self, text: str) -> str:
        """A condition of Splink's settings, which Splink passes on as it is, in the words of this engine."""
        return text

    def close(self) -> None:
        """Release the engine and its scratch tables."""
        self._connection.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _fetch_one(self, select: str) -> tuple[Any, ...]:
        # All rows are fetched, though there is one: a result that is not read to its end blocks the connection.
        (row,) = self._connection.execute(select).fetchall()
        return tuple(row)

    def _name(self, tables: Mapping[str, Table | pl.DataFrame]) -> None:
        for alias, table in tables.items():
            if isinstance(table, pl.DataFrame):
                # A frame does not replace a view of that name.
                self._connection.execute(f"DROP VIEW IF EXISTS {identifier(alias)}")
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
        source = f"read_parquet({path_literal(path)})"
        found = [
            (str(name), str(type_))
            for name, type_, *_ in self._connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        ]
        contract.check_columns(found)
        nulls = ", ".join(f"count(*) - count({identifier(name)})" for name in contract.required_columns)
        key = ", ".join(identifier(name) for name in contract.key)
        n, *n_null = self._fetch_one(f"SELECT count(*), {nulls} FROM {source}")
        # By a hash first, which takes a quarter of the time: as many hashes as rows are as many keys.
        (n_keys,) = self._fetch_one(f"SELECT count(DISTINCT hash({key})) FROM {source}")
        if n_keys != n:
            (n_keys,) = self._fetch_one(f"SELECT count(*) FROM (SELECT DISTINCT {key} FROM {source})")
        contract.check_counts(n, n_null, n_keys)


def _rows_of(table: Table) -> str:
    if table.is_view:
        return f"SELECT * FROM {identifier('view_' + table.name)}"
    files = path_literal(table.path)
    if table.path.is_dir():  # a table of a run on Spark
        check_here(table.path)
        files = files[:-1] + "/*.parquet'"
    return f"SELECT * FROM read_parquet({files})"
