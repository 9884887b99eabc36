"""The synthetic country through the whole line, against its truth: at two sizes and seeds, and two levels of noise."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from miglink.evaluate import evaluate_run
from synthetic.__main__ import make_country
from synthetic.chance import Chance

ROOT = Path(__file__).parents[1]
COUNTRIES = [(2000, 11, "medium"), (3500, 12, "high")]
_DIMENSIONS = (
    "rule", "policy", "period", "flow", "sex", "citizenship_group", "source_l", "source_r", "true_value",
    "found_value", "cause",
)  # fmt: skip


def run(config: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "miglink", "run", str(config), "--out", str(out), "--log-format", "json"]
    paths = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths}
    )


@pytest.fixture(scope="module", params=COUNTRIES, ids=lambda given: f"{given[0]} persons, noise {given[2]}")
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder of a country, the folder of its run, and how far the run is from the truth."""
    n_persons, seed, level = request.param
    folder = tmp_path_factory.mktemp("country")
    make_country(n_persons, level, Chance(seed), folder / "made")
    done = run(folder / "made" / "country.yml", folder / "run")
    assert done.returncode == 0, done.stderr
    measures = evaluate_run(folder / "run", folder / "made" / "truth").measures
    return level, folder, measures


def value(measures: pl.DataFrame, part: str, measure: str) -> float:
    return float(
        measures.filter(part=part, measure=measure, **dict.fromkeys(_DIMENSIONS, "total"))["value"].item()
    )


def test_every_row_is_read(finished: Any) -> None:
    _, folder, measures = finished
    accounts = pl.read_parquet(folder / "run" / "tables" / "row_accounts.parquet")
    assert accounts["n_rejected"].sum() == 0
    assert value(measures, "comparison", "records") == accounts["n_read"].sum()
    assert value(measures, "comparison", "records_without_truth") == 0
    assert value(measures, "comparison", "true_records_not_in_run") == 0


def test_persons_are_found(finished: Any) -> None:
    level, _, measures = finished
    # A country of a few thousand teaches the model little; benchmarks/country.py has the figures that count.
    least_recall, most_split = {"medium": (0.98, 15), "high": (0.90, 90)}[level]
    assert value(measures, "linkage", "precision") > 0.995
    assert value(measures, "linkage", "recall") > least_recall
    assert value(measures, "persons", "merged_per_1000") < 3
    assert value(measures, "persons", "split_per_1000") < most_split
    assert value(measures, "spells", "days_wrong_per_person_year") < {"medium": 2, "high": 8}[level]


def test_the_bounds_hold_the_true_flows(finished: Any) -> None:
    """Years with complete follow-up, but the first two: what came before observation is known by evidence only."""
    level, _, measures = finished
    years = measures.filter(
        pl.col("period").str.len_chars() == 4, pl.col("period") > "2015", pl.col("flow") != "net",
        part="flows", policy="unresolved", sex="total", citizenship_group="total", status="final",
    )  # fmt: skip
    within = years.filter(measure="is_within")["value"]
    assert len(within) == 12
    totals = {name: years.filter(measure=name)["value"].sum() for name in ("true", "settled", "undetermined")}
    assert totals["settled"] <= totals["true"] <= totals["settled"] + totals["undetermined"]
    if level == "medium":
        assert within.mean() > 0.7  # a few migrations a year: a single one can lie outside


def test_nothing_of_a_person_is_in_the_log_or_the_manifest(finished: Any) -> None:
    _, folder, _ = finished
    said = (folder / "run" / "log.jsonl").read_text("utf-8") + (folder / "run" / "manifest.json").read_text(
        "utf-8"
    )
    census = pl.read_csv(folder / "made" / "census.csv", infer_schema=False)
    words = {json.dumps(f"{row[0]} {row[1]}")[1:-1] for row in census.select("given_names", "surname").rows()}
    assert not [word for word in words if word in said]
