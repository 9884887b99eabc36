"""The Spark engine: the same SQL on one machine or many; its tables are folders of Parquet files on a shared path."""

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import polars as pl
from pyspark.sql import DataFrame, DataFrameReader, SparkSession
from pyspark.sql.types import StructType

from miglink.engine import CsvFormat, ParquetFormat, Place, RawRows, Table, identifier
from miglink.engine.columnar import Described, copy_described
from miglink.engine.spark_session import open_session
from miglink.engine.spark_sql import translate, type_name
from miglink.engine.spark_store import Store, file_address
from miglink.tables import TABLES, Contract


def open_spark(tables_folder: Path, place: Place) -> "SparkEngine":
    """Open a session, or take the running one, and an engine in it."""
    session, is_ours = open_session(tables_folder / "scratch", place.master, place.settings)
    try:
        return SparkEngine(session, tables_folder, place, owns_session=is_ours)
    except BaseException:
        if is_ours:
            session.stop()
        raise


class SparkEngine:
    """Runs every query in a Spark session; nothing but small results comes to the driver.

    Aggregates are collected, and lie in the run folder as one file, as on DuckDB.
    """

    def __init__(
        self,
        session: SparkSession,
        tables_folder: Path,
        place: Place,
        *,
        owns_session: bool = False,
    ) -> None:
        self._session, self._owns_session = session, owns_session
        self._folder = tables_folder
        self._scratch = tables_folder / "scratch"
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._store = Store(session, tables_folder.parent, place.shared_folder)
        checkpoints = place.checkpoint_folder
        session.sparkContext.setCheckpointDir(
            file_address(checkpoints) if checkpoints else self._store.write_to(self._scratch / "checkpoints")
        )
        # Known schemas spare Spark a look into the files, known names a second naming.
        self._schemas: dict[Path, StructType] = {}
        self._addresses: dict[Path, str] = {}
        self._named: dict[str, Table] = {}

    def query(self, name: str, select: str, **tables: Table | pl.DataFrame) -> Table:
        """Run one SELECT, write the table `name` of the contract, sorted by its key, and check it."""
        contract = TABLES[name]
        order = ", ".join(identifier(column) for column in contract.key)
        table = Table(name, self._folder / f"{name}.parquet")
        ordered = f"SELECT * FROM ({select}) AS unsorted ORDER BY {order}"
        if contract.is_aggregate:
            self._write_aggregate(ordered, table.path, tables, contract)
        else:
            self._write(ordered, table.path, tables, checked=contract)
        return table

    def step(self, name: str, select: str, **tables: Table | pl.DataFrame) -> Table:
        """Run one SELECT and write a scratch table that no contract describes; it goes when the engine closes."""
        table = Table(name, self._scratch / f"{name}.parquet")
        self._write(select, table.path, tables)
        return table

    def hold(self, name: str, select: str, **tables: Table | pl.DataFrame) -> Table:
        """The same as a step: what workers keep in memory is computed again when one of them is lost."""
        return self.step(name, select, **tables)

    def holding(self) -> AbstractContextManager[None]:
        """Nothing goes before the engine closes."""
        return nullcontext()

    def as_written(self) -> AbstractContextManager[None]:
        """Spark sees how many rows there are while it joins them."""
        return nullcontext()

    @property
    def memory(self) -> int | None:
        """Work is divided among tasks by Spark itself."""
        return None

    def view(self, name: str, select: str, **tables: Table) -> Table:
        """Give one SELECT a name without writing it: for rows that only the next step reads."""
        self._name(tables)
        self._session.sql(translate(select)).createOrReplaceTempView(f"view_{name}")
        return Table(name, self._scratch / name, is_view=True)

    def collect(self, select: str, **tables: Table | pl.DataFrame) -> pl.DataFrame:
        """Run one SELECT whose result is small whatever the size of the data, and return its rows."""
        self._name(tables)
        return pl.DataFrame(self._session.sql(translate(select)).toArrow())

    def count(self, table: Table) -> int:
        """The number of rows of a table."""
        return self._rows_of(table).count()

    def export(self, table: Table, target: Path, described: Described) -> None:
        """Write an aggregate as one file that describes itself; anything else leaves the scratch for this path."""
        if table.path.is_file():
            copy_described(table.path, target, described)
            return
        self._store.hand_over(table.path, target, self.count(table))
        self._forget(table.path)

    def frame(self, name: str, frame: pl.DataFrame) -> Table:
        """Name a small frame (codes, parameters), which goes along with the queries that read it."""
        self._session.createDataFrame(frame.to_arrow()).createOrReplaceTempView(f"view_{name}")
        return Table(name, self._scratch / name, is_view=True)

    def read(self, name: str, paths: Sequence[Path], file_format: CsvFormat | ParquetFormat) -> RawRows:
        """Read the files of a source as text."""
        from miglink.engine.spark_files import read_files

        return read_files(self, self._session, name, paths, file_format)

    def splink_api(self, **tables: Table | pl.DataFrame) -> Any:
        """A fresh Splink database API, one for each linker; `tables` are known to it under their names."""
        from splink.backends.spark import SparkAPI

        self._name(tables)
        return SparkAPI(  # type: ignore[no-untyped-call]
            spark_session=self._session, break_lineage_method="parquet", register_udfs_automatically=False
        )

    def fingerprint(self, columns: Sequence[str]) -> str:
        """SQL for a number of 64 bits that is equal where all these columns are, and not else but by a freak chance."""
        return f"xxhash64({', '.join(columns)})"

    def condition(self, text: str) -> str:
        """A condition of Splink's settings, which Splink passes on as it is, in the words of this engine."""
        return translate(text)

    def close(self) -> None:
        """Release the engine and its scratch tables."""
        self._session.catalog.clearCache()
        self._store.remove(self._scratch)
        if self._owns_session:
            self._session.stop()

    def _rows_of(self, table: Table) -> DataFrame:
        if table.is_view:
            return self._session.table(f"view_{table.name}")
        if table.path.is_file() and table.name in TABLES and TABLES[table.name].is_aggregate:
            return self._session.createDataFrame(pl.read_parquet(table.path, glob=False).to_arrow())
        if table.path not in self._schemas:
            self._addresses[table.path] = self._store.read_from(table.path)
            self._schemas[table.path] = self._parquet.parquet(self._addresses[table.path]).schema
        return self._parquet.schema(self._schemas[table.path]).parquet(self._addresses[table.path])

    @property
    def _parquet(self) -> DataFrameReader:
        # A path is a path, whatever characters it has.
        return self._session.read.option("__globPaths__", "false")

    def _forget(self, path: Path) -> None:
        """A name stands for the files that were there when it was given."""
        self._schemas.pop(path, None)
        self._named = {alias: named for alias, named in self._named.items() if named.path != path}

    def _name(self, tables: Mapping[str, Table | pl.DataFrame]) -> None:
        for alias, table in tables.items():
            if isinstance(table, pl.DataFrame):
                self._named.pop(alias, None)
                self._session.createDataFrame(table.to_arrow()).createOrReplaceTempView(alias)
            elif table.is_view or self._named.get(alias) != table:
                self._rows_of(table).createOrReplaceTempView(alias)
                self._named[alias] = table

    def _write(
        self,
        select: str,
        path: Path,
        tables: Mapping[str, Table | pl.DataFrame],
        checked: Contract | None = None,
    ) -> None:
        """Write under a name of its own first: a table appears under its final name only when whole and checked."""
        self._name(tables)
        part = path.with_name(path.name + ".part")
        rows = self._session.sql(translate(select))
        rows.write.mode("overwrite").option("compression", "zstd").parquet(self._store.write_to(part))
        n = self._check(part, rows.schema, checked) if checked is not None else None
        self._store.put(part, path, n)
        self._forget(path)
        self._schemas[path], self._addresses[path] = rows.schema, self._store.write_to(path)

    def _write_aggregate(
        self, select: str, path: Path, tables: Mapping[str, Table | pl.DataFrame], contract: Contract
    ) -> None:
        self._name(tables)
        rows = self._session.sql(translate(select))
        contract.check_columns(_columns(rows.schema))
        frame = pl.DataFrame(rows.toArrow())
        n_null = [frame[name].null_count() for name in contract.required_columns]
        contract.check_counts(frame.height, n_null, frame.n_unique(contract.key))
        part = path.with_name(path.name + ".part")
        frame.write_parquet(part)
        os.replace(part, path)
        self._forget(path)

    def _check(self, path: Path, schema: StructType, contract: Contract) -> int:
        """Columns, types, required values and key of a written table; a breach is a defect of the stage."""
        contract.check_columns(_columns(schema))
        key = ", ".join(f"`{name}`" for name in contract.key)
        self._parquet.schema(schema).parquet(self._store.write_to(path)).createOrReplaceTempView("checked")
        nulls = ", ".join(f"sum(n) - sum(n_{number})" for number, _ in enumerate(contract.required_columns))
        counts = ", ".join(
            f"count(`{name}`) AS n_{number}" for number, name in enumerate(contract.required_columns)
        )
        n, n_keys, *n_null = self._session.sql(
            f"SELECT coalesce(sum(n), 0), count(*), {nulls} FROM "
            f"(SELECT count(*) AS n, {counts} FROM checked GROUP BY {key}) AS keys"
        ).collect()[0]
        contract.check_counts(n, n_null, n_keys)
        return int(n)


def _columns(schema: StructType) -> list[tuple[str, str]]:
    return [(column.name, type_name(column.dataType.simpleString())) for column in schema]
