"""What several tests need."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from miglink.engine import Engine, Place
from miglink.engine.duckdb_engine import DuckDBEngine

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Tables of tests have a few rows: what pays for many rows (partitions, compiled queries) costs far more than it spares.
SPARK_SETTINGS = {
    "spark.driver.memory": "2g",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.default.parallelism": "1",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.ui.explainMode": "simple",
    "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "2",
    # The quick compiler alone, with room for what it compiles: it has too little otherwise, and forgets and compiles
    # again.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m -XX:+UseSerialGC",
}


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator["SparkSession"]:
    """One Spark session for all tests: it takes ten seconds to start."""
    from miglink.engine.spark_session import open_session

    session, _ = open_session(tmp_path_factory.mktemp("spark"), "local[2]", SPARK_SETTINGS)
    yield session
    session.stop()


@pytest.fixture(params=["duckdb", pytest.param("spark", marks=pytest.mark.spark)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An engine of each kind, whose tables are written into a folder of the test."""
    if request.param == "duckdb":
        opened: Engine = DuckDBEngine(tmp_path / "tables")
    else:
        from miglink.engine.spark_engine import SparkEngine

        opened = SparkEngine(request.getfixturevalue("spark"), tmp_path / "tables", Place())
    yield opened
    opened.close()


@pytest.fixture
def duckdb_engine(tmp_path: Path) -> Iterator[Engine]:
    """For what reads a finished run, which is DuckDB whatever engine made it, and for what only DuckDB does."""
    opened = DuckDBEngine(tmp_path / "tables")
    yield opened
    opened.close()
