"""Spark as a user meets it: what the configuration may say, and what is said where something is missing."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from py4j.protocol import Py4JError

from miglink.config import read_config
from miglink.config.stages import EngineSettings
from miglink.engine import Place
from miglink.errors import ConfigError
from miglink.shortages import find_shortage

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "configs" / "people.yml"
SPARK = "engine={kind: spark, master: 'local[1]'}"


def run(tmp_path: Path, before: str = "", *further: str) -> subprocess.CompletedProcess[str]:
    """`miglink run` in a process of its own, with something done before."""
    program = f"import os, sys\n{before}\nfrom miglink.cli import entry\nsys.exit(entry())"
    command = [sys.executable, "-c", program, "run", str(CONFIG), "--to", "persons"]
    command += ["--out", str(tmp_path / "run")]
    return subprocess.run([*command, *further], capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.mark.parametrize(
    ("before", "setting", "said"),
    [
        ("sys.modules['pyspark'] = None", SPARK, "pip install 'miglink[spark]'"),
        ("os.environ.pop('JAVA_HOME', 0); os.environ['PATH'] = ''", SPARK, "Java 17"),
        ("os.environ['JAVA_HOME'] = '/nowhere'", SPARK, "JAVA_HOME is /nowhere"),
        ("os.environ['SPARK_REMOTE'] = 'sc://x'", SPARK, "unset SPARK_REMOTE"),
        ("", "engine={kind: spark}", "engine.master: not given"),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(
    tmp_path: Path, before: str, setting: str, said: str
) -> None:
    done = run(tmp_path, before, "--set", setting)
    assert done.returncode == 2, done.stderr
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{kind: spark, threads: 2}", "`threads`: for DuckDB only"),
        ("{master: yarn}", "`master`: for Spark only; add `kind: spark`"),
        ("{kind: spark, settings: {executor.memory: 4g}}", "executor.memory"),
        ("{kind: spark, settings: {spark.hadoop.fs.s3a.secret.key: x}}", "holds a secret"),
        ("{kind: hive}", "engine.kind"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(section: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_config(CONFIG, [f"engine={section}"], {})
    assert said in str(raised.value)


def test_settings_reach_spark_as_text() -> None:
    settings = {"spark.executor.instances": 4, "spark.ui.enabled": True, "spark.executor.memory": "8g"}
    found = EngineSettings.model_validate({"kind": "spark", "master": "yarn", "settings": settings}).place
    assert found == Place(
        master="yarn",
        settings={
            "spark.executor.instances": "4",
            "spark.ui.enabled": "true",
            "spark.executor.memory": "8g",
        },
    )


@pytest.fixture
def plans(spark: "SparkSession", monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The plans of all that Spark is asked, and the SQL."""
    found: list[str] = []
    ask = type(spark).sql

    def asked(self: Any, text: str) -> Any:
        rows = ask(self, text)
        found.extend((text, rows._jdf.queryExecution().toString()))
        return rows

    monkeypatch.setattr(type(spark), "sql", asked)
    yield found


@pytest.mark.spark
def test_the_key_is_in_no_plan(spark: "SparkSession", plans: list[str], tmp_path: Path) -> None:
    """It is joined from a table of one row; neither SQL nor plan shows it, and no file holds it."""
    from miglink.engine.spark_engine import SparkEngine
    from miglink.stages.persons.ids import give_ids

    key = "4b" * 32
    engine = SparkEngine(spark, tmp_path, Place())
    clusters = engine.frame(
        "clusters", pl.DataFrame({"unique_id": [1, 2], "cluster": [1, 1], "identity_id": ["a", "b"]})
    )
    records = engine.frame("records", pl.DataFrame({"identity_id": ["a", "b"]}))
    ids = give_ids(engine, clusters, records, key, None, date(2020, 1, 1))
    assert engine.collect("SELECT person_id FROM ids", ids=ids)["person_id"].str.len_chars().to_list() == [64]
    assert plans
    assert not [text for text in plans if key in text]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]
    engine.close()


@pytest.mark.spark
def test_a_query_that_fails_prints_no_value(
    spark: "SparkSession", tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Spark names the value in its error, and pyspark prints it besides, each to a logger of its own."""
    from miglink.engine.spark_engine import SparkEngine

    engine = SparkEngine(spark, tmp_path, Place())
    rows = pl.DataFrame({"name": ["LIDDELL"]})
    with pytest.raises(Exception, match="LIDDELL"):
        engine.collect("SELECT CAST(name AS BIGINT) AS n FROM people", people=rows)
    with pytest.raises(Exception, match="LIDDELL"):
        engine.step("failing", "SELECT CAST(name AS BIGINT) AS n FROM people", people=rows)
    engine.close()
    assert "LIDDELL" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "words",
    [
        "java.lang.OutOfMemoryError: Java heap space",
        "SparkException: Could not allocate memory to grow a map",
    ],
)
def test_what_spark_lacks_is_named(words: str) -> None:
    shortage = find_shortage(Py4JError(f"An error occurred while calling o9.parquet.\n: {words}, says PEREZ"))
    assert shortage is not None
    assert "spark.executor.memory" in shortage
    assert "PEREZ" not in shortage
