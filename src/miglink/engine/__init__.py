"""The engine seam: the few operations a stage asks of DuckDB or Spark.

SQL is written once, in DuckDB's dialect. A stage names its inputs by keyword and uses those names in its SELECT:

    spells = engine.query("spells", "SELECT … FROM records JOIN identity_persons USING (…)", records=records, …)

A small frame may stand in for a table; it stays in memory (so does the pseudonym key).
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from miglink.engine.columnar import Described
from miglink.errors import ConfigError


@dataclass(frozen=True)
class Table:
    """A handle on a table: its name and the Parquet file (or folder of files) that holds it.

    A view is a SELECT under a name: it is computed where it is used, and no file holds it. Nor does one hold the rows
    that the engine keeps for the next steps (`hold`), which have a name like a view.
    """

    name: str
    path: Path
    is_view: bool = False


@dataclass(frozen=True)
class CsvFormat:
    """How to read a delimited text file; every column is read as text. `expected`: the columns that are needed."""

    separator: str = ","
    encoding: str = "utf-8"
    quote: str = '"'
    trailer: str | None = None
    expected: tuple[str, ...] = ()


@dataclass(frozen=True)
class ParquetFormat:
    """How to read Parquet; every column is cast to text, so that one set of rules serves all formats."""

    expected: tuple[str, ...] = ()


@dataclass(frozen=True)
class RawRows:
    """The rows of one source as text, with `file` and `row_number`, and what could not be read.

    `malformed` has file, row_number, why: lines whose number of fields is not the header's, or that are no text.
    `trailers` has file, stated_rows: control totals; stated_rows is null where the line gives no number.
    """

    rows: Table
    malformed: Table
    trailers: Table
    columns: tuple[str, ...] = field(default=())


class Engine(Protocol):
    """What a stage may ask for. Two real implementations: DuckDBEngine and (extra `spark`) SparkEngine."""

    def query(self, name: str, select: str, **tables: Table | pl.DataFrame) -> Table:
        """Run one SELECT, write the table `name` of the contract, sorted by its key, and check it."""
        ...

    def step(self, name: str, select: str, **tables: Table | pl.DataFrame) -> Table:
        """Run one SELECT and write a scratch table that no contract describes; it goes when the engine closes."""
        ...

    def hold(self, name: str, select: str, **tables: Table | pl.DataFrame) -> Table:
        """Run one SELECT and hold its rows for the next steps: in memory where that is the engine's own.

        Beyond the memory limit they are on disk. For rows that are read soon and often; see `holding`.
        """
        ...

    def holding(self) -> AbstractContextManager[None]:
        """What is held within goes at its end."""
        ...

    def as_written(self) -> AbstractContextManager[None]:
        """Joins within are made in the order they stand: what follows JOIN is held, what precedes it passes by it.

        For rows whose number an engine guesses wrongly: it would hold the widest of them. Not every engine guesses.
        """
        ...

    @property
    def memory(self) -> int | None:
        """Bytes that one query may hold; None where the engine divides its work by itself."""
        ...

    def view(self, name: str, select: str, **tables: Table) -> Table:
        """Give one SELECT a name without writing it: for rows that only the next step reads."""
        ...

    def collect(self, select: str, **tables: Table | pl.DataFrame) -> pl.DataFrame:
        """Run one SELECT whose result is small whatever the size of the data, and return its rows."""
        ...

    def count(self, table: Table) -> int:
        """The number of rows of a table."""
        ...

    def export(self, table: Table, target: Path, described: Described) -> None:
        """Write a table as Parquet for readers outside the run, whole or not at all; a scratch table is used up."""
        ...

    def frame(self, name: str, frame: pl.DataFrame) -> Table:
        """Give a small frame (codes, parameters) a name for queries; there may be no file that holds it."""
        ...

    def read(self, name: str, paths: Sequence[Path], file_format: CsvFormat | ParquetFormat) -> RawRows:
        """Read the files of a source as text."""
        ...

    def splink_api(self, **tables: Table | pl.DataFrame) -> Any:
        """A fresh Splink database API, one for each linker; `tables` are known to it under their names."""
        ...

    def fingerprint(self, columns: Sequence[str]) -> str:
        """SQL for a number of 64 bits that is equal where all these columns are, and not else but by a freak chance."""
        ...

    def condition(self, text: str) -> str:
        """A condition of Splink's settings, which Splink passes on as it is, in the words of this engine."""
        ...

    def close(self) -> None:
        """Release the engine and its scratch tables."""
        ...


def text_literal(value: str) -> str:
    """A value as an SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Place:
    """Where and with what an engine computes; None leaves the choice to the engine, or to Spark's environment.

    memory_limit, threads, temp_directory are DuckDB's; master, settings, checkpoint_folder, shared_folder are Spark's.
    """

    memory_limit: str | None = None
    threads: int | None = None
    temp_directory: Path | None = None
    master: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    checkpoint_folder: Path | None = None
    shared_folder: str | None = None


def check_engine(kind: str, place: Place) -> None:
    """Whether what the engine needs is there, before a run begins: ConfigError if not."""
    if kind != "spark":
        return
    try:
        from miglink.engine.spark_session import check_surroundings
    except ImportError:
        raise ConfigError(
            "engine.kind: spark needs pyspark, which is not installed; install miglink with its extra `spark` "
            "(pip install 'miglink[spark]')"
        ) from None
    check_surroundings(place.master, place.settings)


def open_engine(kind: str, tables_folder: Path, place: Place = Place()) -> Engine:
    """Open the engine named in the configuration; its tables are written into `tables_folder`."""
    if kind == "spark":
        from miglink.engine.spark_engine import open_spark

        return open_spark(tables_folder, place)
    from miglink.engine.duckdb_engine import DuckDBEngine

    return DuckDBEngine(
        tables_folder,
        memory_limit=place.memory_limit,
        threads=place.threads,
        temp_directory=place.temp_directory,
    )
