"""A whole run on Spark: its tables, published and linked files are those of DuckDB, row by row."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from benchmarks.engines import compare_runs
from miglink.cli import main
from miglink.elsewhere import NOTE
from synthetic.__main__ import make_country
from synthetic.chance import Chance

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
DRAWS = "draws.number=3"


def test_a_run_on_spark_is_that_on_duckdb(
    spark: "SparkSession", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the model that DuckDB has trained; how alike the models of both are is test_linkage_engines' part.

    The tables of Spark's run lie on a file system of their own, and are brought home for the commands of DuckDB.
    """
    make_country(500, "high", Chance(7), tmp_path / "made")
    engine = {
        "kind": "spark",
        "master": spark.sparkContext.master,
        "shared_folder": f"file://{tmp_path}/lake",
    }
    reused = f"linkage.model={tmp_path / 'duckdb'}"
    # Few draws: each is a country more for Spark, and says nothing that the others do not.
    chosen = {"duckdb": [DRAWS], "spark": [DRAWS, f"engine={json.dumps(engine)}", reused]}
    for name, overrides in chosen.items():
        further = [part for override in overrides for part in ("--set", override)]
        run = ["run", str(tmp_path / "made" / "country.yml"), "--out", str(tmp_path / name), *further]
        assert main(run) == 0
    assert f"lie at file://{tmp_path}/lake/spark" in capsys.readouterr().out
    evaluate = ["evaluate", str(tmp_path / "spark"), "--truth", str(tmp_path / "made" / "truth")]
    assert main(evaluate) == 1
    assert f"hadoop fs -get file://{tmp_path}/lake/spark/tables/" in capsys.readouterr().err

    bring_home(tmp_path / "spark", tmp_path / "lake" / "spark")
    compared = compare_runs(tmp_path / "duckdb", tmp_path / "spark")
    assert {name.split("/")[0] for name in compared} == {"tables", "outputs", "linked"}
    assert {name: found for name, found in compared.items() if found["differing"]} == {}

    person = (
        pl.scan_parquet(tmp_path / "duckdb" / "tables" / "persons.parquet")
        .first()
        .collect()["person_id"]
        .item()
    )
    said = {}
    for name in chosen:
        capsys.readouterr()
        assert main(["explain", str(tmp_path / name), "--person", person]) == 0
        explained = capsys.readouterr().out
        assert main(["evaluate", str(tmp_path / name), "--truth", str(tmp_path / "made" / "truth")]) == 0
        said[name] = [
            text.replace(str(tmp_path / name), "RUN") for text in (explained, capsys.readouterr().out)
        ]
    assert said["spark"] == said["duckdb"]


def bring_home(run: Path, lake: Path) -> None:
    """Copy every table to the place of its note, as a user would."""
    for note in list(run.rglob(NOTE)):
        table = note.parent
        shutil.rmtree(table)
        # Checksums are of Hadoop's local file system; others keep them apart.
        shutil.copytree(lake / table.relative_to(run), table, ignore=shutil.ignore_patterns("*.crc"))
