"""One linkage on both engines: what Spark has trained scores alike on DuckDB, and DuckDB trains the same."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from miglink.config.stages import LinkageSettings
from miglink.engine import Engine, Place, Table
from miglink.engine.duckdb_engine import DuckDBEngine
from miglink.stages.linkage import Identified, link
from test_linkage import linked, population

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
# The counts of patterns, to which the model is fitted, are the same on all engines: they rest on every blocked pair and
# on pairs drawn by the order of the identities. Sums of floating-point numbers differ in their last digits.
CLOSE = 1e-6
APPROXIMATE = ("match_weight", "p_match", "p_calibrated", "p_without_number")


@dataclass
class Linkages:
    """Links and models: of Spark, of DuckDB with Spark's model, and the model of DuckDB."""

    on_spark: pl.DataFrame
    reused: pl.DataFrame
    model_of_spark: dict[str, Any]
    model_of_duckdb: dict[str, Any]


def train_and_link(
    engine: Engine, identified: Identified, settings: LinkageSettings, further: tuple[str, ...], folder: Path
) -> Table:
    few_pairs = settings.model_copy(update={"training_pairs": 20_000})
    return link(engine, identified, few_pairs, further, folder / "model.json")


@pytest.fixture(scope="module")
def linkages(spark: "SparkSession", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Linkages]:
    from miglink.engine.spark_engine import SparkEngine

    folder = tmp_path_factory.mktemp("linkages")
    for name in ("spark", "again", "duckdb"):
        (folder / name).mkdir()
    rows, _ = population(400, 31)
    with closing(SparkEngine(spark, folder / "spark" / "tables", Place())) as engine:
        on_spark, trained = linked(engine, rows, folder / "spark", make_links=train_and_link)
    with closing(DuckDBEngine(folder / "duckdb" / "tables")) as quick:
        reused, _ = linked(quick, rows, folder / "again", LinkageSettings(model=folder / "spark"))
        _, own = linked(quick, rows, folder / "duckdb", make_links=train_and_link)
    yield Linkages(on_spark, reused, trained, own)


def sorted_links(links: pl.DataFrame) -> pl.DataFrame:
    return links.drop("l", "r").unique().sort("identity_id_l", "identity_id_r")


def test_one_model_gives_the_same_links(linkages: Linkages) -> None:
    """Match weights and probabilities are rounded to six decimals; levels are compared as they are."""
    one, other = sorted_links(linkages.on_spark), sorted_links(linkages.reused)
    assert one.height > 300
    assert one.columns == other.columns
    exact = [name for name in one.columns if name not in APPROXIMATE]
    assert one.select(exact).equals(other.select(exact))
    for name in APPROXIMATE:
        # The last digit may be rounded either way.
        assert (one[name] - other[name]).abs().to_numpy().max() <= 1.01e-6


def parameters(model: dict[str, Any]) -> dict[tuple[str, str, str], float]:
    """m and u by comparison and level, and the share of matches."""
    found = {("", "", "share"): model["settings"]["probability_two_random_records_match"]}
    for comparison in model["settings"]["comparisons"]:
        for level in comparison["comparison_levels"]:
            for kind in ("m_probability", "u_probability"):
                if kind in level:
                    found[comparison["output_column_name"], level["label_for_charts"], kind] = level[kind]
    return found


def test_both_train_the_same_model(linkages: Linkages) -> None:
    models = (linkages.model_of_spark, linkages.model_of_duckdb)
    one, other = map(parameters, models)
    assert one.keys() == other.keys()
    apart = {
        key: (value, other[key])
        for key, value in one.items()
        if value != pytest.approx(other[key], rel=CLOSE)
    }
    assert apart == {}
    assert [
        [entry.get(name) for name in ("start", "patterns", "has_converged", "is_chosen")]
        for entry in models[0]["history"]
    ] == [
        [entry.get(name) for name in ("start", "patterns", "has_converged", "is_chosen")]
        for entry in models[1]["history"]
    ]
    assert json.dumps(models[0]["frequencies"]) == json.dumps(models[1]["frequencies"])
