"""A whole run on Spark: its tables, published and linked files are those of DuckDB, row by row."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.engines import compare_runs
from miglink.cli import main
from synthetic.__main__ import make_country
from synthetic.chance import Chance

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


def test_a_run_on_spark_is_that_on_duckdb(spark: "SparkSession", tmp_path: Path) -> None:
    """With the model that DuckDB has trained; how alike the models of both are is test_linkage_engines' part."""
    make_country(500, "high", Chance(7), tmp_path / "made")
    engine = json.dumps({"kind": "spark", "master": spark.sparkContext.master})
    chosen = {"duckdb": [], "spark": [f"engine={engine}", f"linkage.model={tmp_path / 'duckdb'}"]}
    for name, overrides in chosen.items():
        further = [part for override in overrides for part in ("--set", override)]
        run = ["run", str(tmp_path / "made" / "country.yml"), "--out", str(tmp_path / name), *further]
        assert main(run) == 0
    compared = compare_runs(tmp_path / "duckdb", tmp_path / "spark")
    assert {name.split("/")[0] for name in compared} == {"tables", "outputs", "linked"}
    assert {name: found for name, found in compared.items() if found["differing"]} == {}
