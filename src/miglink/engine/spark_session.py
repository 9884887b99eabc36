"""A Spark session for miglink: what the configuration and the environment say, and what the statistics need."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pyspark import SparkConf
from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession

from miglink.engine.spark_sql import FUNCTIONS
from miglink.engine.spark_store import file_address
from miglink.errors import ConfigError

# What a deployment may set otherwise. Executors' own logs follow the cluster's settings.
_DEFAULTS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "OFF",
    # Rows take some five times the room of our Parquet files. Where Spark thinks they take as much, it sends tables to
    # every executor for a join, by way of the driver, and there they do not fit.
    "spark.sql.sources.fileCompressionFactor": "5",
}
# pyspark's own loggers of failed queries: what they print may hold values of rows.
_TALKATIVE = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")
# What the figures rest on: days are local calendar days, and what does not fit a type is an error, as on DuckDB.
_FIXED = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
}


def open_session(scratch: Path, master: str | None, settings: Mapping[str, str]) -> tuple[SparkSession, bool]:
    """Open a session, or take the running one; and whether it was opened here.

    Errors: ConfigError if Splink's jar is not known to a running session.
    """
    from splink.backends.spark import SparkAPI, similarity_jar_location

    for name in _TALKATIVE:
        PySparkLogger.getLogger(name).disabled = True
    running = SparkSession.getActiveSession()
    conf = {
        **_DEFAULTS,
        "spark.sql.warehouse.dir": file_address(scratch / "warehouse"),
        **settings,
        **_FIXED,
        "spark.jars": ",".join(filter(None, (settings.get("spark.jars"), similarity_jar_location()))),
    }
    builder = SparkSession.builder.appName("miglink")
    if master is not None and running is None:
        builder = builder.master(master)
    for name, value in conf.items():
        builder = builder.config(name, value)
    # Executors read files with this Python, or the one that the environment names where its path is another there.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    with _stderr_in(scratch / "spark.log"):
        try:
            session = builder.getOrCreate()
        except Exception as error:  # of the JVM, the gateway to it, or the master
            raise ConfigError(
                f"engine: no Spark session could be opened with master {master} ({type(error).__name__}); check "
                "engine.master and engine.settings, that the master can be reached, and that Java is version 17"
            ) from None
    SparkAPI(spark_session=session)  # type: ignore[no-untyped-call]  # makes the functions of the jar known to the session
    if not session.catalog.functionExists("jaro_winkler"):
        raise ConfigError(
            "engine: the running Spark session does not know Splink's functions; start it with spark.jars = the path "
            "that splink.backends.spark.similarity_jar_location() gives"
        )
    for function in FUNCTIONS:
        session.sql(function)
    return session, running is None


@contextmanager
def _stderr_in(file: Path) -> Iterator[None]:
    """Let the JVM, which takes over the standard error of whoever starts it, write into a file."""
    kept = os.dup(2)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as log:
        os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def check_surroundings(master: str | None, settings: Mapping[str, str]) -> None:
    """Whether a session can be opened: ConfigError if Java is missing or no master is named."""
    if SparkSession.getActiveSession() is not None:
        return
    if os.environ.get("SPARK_REMOTE"):
        raise ConfigError(
            "engine.kind: spark runs in a classic Spark session; unset SPARK_REMOTE (Spark Connect has no checkpoints, "
            "which Splink needs)"
        )
    if master is None and SparkConf().get("spark.master") is None and "spark.master" not in settings:
        raise ConfigError(
            "engine.master: not given; name Spark's master, such as local[*], spark://HOST:7077 or yarn, here or in "
            "the environment as MIGLINK_ENGINE__MASTER"
        )
    java = Path(os.environ["JAVA_HOME"]) / "bin" / "java" if "JAVA_HOME" in os.environ else None
    if shutil.which(str(java) if java else "java") is None:
        where = (
            f"JAVA_HOME is {java.parent.parent}, which has no bin/java" if java else "it is not on the PATH"
        )
        raise ConfigError(f"engine.kind: spark needs Java 17 and {where}: install it, or set JAVA_HOME to it")
