"""The Spark engine: the same SQL on one machine or many; its tables are folders of Parquet files on a shared path."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from miglink.engine import CsvFormat, ParquetFormat, Place, RawRows, Table, identifier
from miglink.engine.spark_session import open_session
from miglink.engine.spark_sql import translate, type_name
from miglink.tables import TABLES, Contract


def open_spark(tables_folder: Path, place: Place) -> "SparkEngine":
    """Open a session, or take the running one, and an engine in it."""
    scratch = tables_folder / "scratch"
    session, is_ours = open_session(scratch, place.master, place.settings, place.checkpoint_folder)
    return SparkEngine(session, tables_folder, owns_session=is_ours)


class SparkEngine:
    """Runs every query in a Spark session; nothing but small results comes to the driver."""

    def __init__(self, session: SparkSession, tables_folder: Path, *, owns_session: bool = False) -> None:
        self._session, self._owns_session = session, owns_session
        self._folder = tables_folder
        self._scratch = tables_folder / "scratch"
        self._scratch.mkdir(parents=True, exist_ok=True)
        # Known schemas spare Spark a look into the files, known names a second naming.
        self._schemas: dict[Path, StructType] = {}
        self._named: dict[str, Table] = {}

    def query(self, name: str, select: str, **tables: Table | pl.DataFrame) -> Table:
        """Run one SELECT, write the table `name` of the contract, sorted by its key, and check it."""
        contract = TABLES[name]
        order = ", ".join(identifier(column) for column in contract.key)
        table = Table(name, self._folder / f"{name}.parquet")
        ordered = f"SELECT * FROM ({select}) AS unsorted ORDER BY {order}"
        self._write(ordered, table.path, tables, checked=contract)
        return table

    def step(self, name: str, select: str, **tables: Table | pl.DataFrame) -> Table:
        """Run one SELECT and write a scratch table that no contract describes; it goes when the engine closes."""
        table = Table(name, self._scratch / f"{name}.parquet")
        self._write(select, table.path, tables)
        return table

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

    def condition(self, text: str) -> str:
        """A condition of Splink's settings, which Splink passes on as it is, in the words of this engine."""
        return translate(text)

    def close(self) -> None:
        """Release the engine and its scratch tables."""
        self._session.catalog.clearCache()
        if self._owns_session:
            self._session.stop()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _rows_of(self, table: Table) -> DataFrame:
        if table.is_view:
            return self._session.table(f"view_{table.name}")
        if table.path not in self._schemas:
            self._schemas[table.path] = self._session.read.parquet(str(table.path)).schema
        return self._session.read.schema(self._schemas[table.path]).parquet(str(table.path))

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
        rows.write.mode("overwrite").option("compression", "zstd").parquet(str(part))
        for file in part.iterdir():
            if file.suffix != ".parquet":  # checksums of Hadoop's local file system
                file.unlink()
        if checked is not None:
            self._check(part, rows.schema, checked)
        if path.exists():
            shutil.rmtree(path)
        os.replace(part, path)
        self._schemas[path] = rows.schema
        # A name stands for the files that were there when it was given.
        self._named = {alias: named for alias, named in self._named.items() if named.path != path}

    def _check(self, path: Path, schema: StructType, contract: Contract) -> None:
        """Columns, types, required values and key of a written table; a breach is a defect of the stage."""
        found = [(column.name, type_name(column.dataType.simpleString())) for column in schema]
        contract.check_columns(found)
        key = ", ".join(f"`{name}`" for name in contract.key)
        self._session.read.schema(schema).parquet(str(path)).createOrReplaceTempView("checked")
        nulls = ", ".join(f"sum(n) - sum(n_{number})" for number, _ in enumerate(contract.required_columns))
        counts = ", ".join(
            f"count(`{name}`) AS n_{number}" for number, name in enumerate(contract.required_columns)
        )
        n, n_keys, *n_null = self._session.sql(
            f"SELECT coalesce(sum(n), 0), count(*), {nulls} FROM "
            f"(SELECT count(*) AS n, {counts} FROM checked GROUP BY {key}) AS keys"
        ).collect()[0]
        contract.check_counts(n, n_null, n_keys)
