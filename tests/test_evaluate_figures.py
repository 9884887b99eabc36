"""Figures of a run against true ones, where the two are broken down otherwise, or a rule observes less."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from given_country import RESIDENT, Country
from miglink.engine import Engine
from miglink.evaluate.figures import measure_stocks
from miglink.tables import TRUTH_TABLES
from test_evaluate import has, little_run, little_truth, measured, write, write_run

TRUE = [("total", "total"), ("female", "total"), ("total", "national"), ("female", "national")]


@pytest.mark.parametrize(
    ("asked", "compared"),
    [
        ([["sex", "citizenship_group"]], TRUE),
        ([["sex"], ["age", "region"]], TRUE[:2]),
        ([["citizenship_group", "sex", "age"]], TRUE),
        ([["region"]], TRUE[:1]),
    ],
)
def test_only_breakdowns_that_both_have_are_compared(
    duckdb_engine: Engine, asked: Any, compared: Any
) -> None:
    country = Country()
    country.add("stays", (None, RESIDENT), traits={"region": [(None, "north")]})
    stocks = country.estimate(duckdb_engine, breakdowns=asked)["stocks"]
    cells = pl.DataFrame(TRUE, schema=["sex", "citizenship_group"], orient="row")
    truth = cells.with_columns(rule=pl.lit("nz_12_16"), period=pl.lit("2019-01-01"), n=pl.lit(1))
    tables = [
        {"stocks": duckdb_engine.frame(name, frame)} for name, frame in (("run", stocks), ("truth", truth))
    ]
    found = measure_stocks(duckdb_engine, *tables).filter(measure="is_within")
    assert sorted(found.select("sex", "citizenship_group").rows()) == sorted(compared)
    assert set(found["value"]) == {1.0}


def test_only_what_a_rule_observes_is_compared(tmp_path: Path) -> None:
    """Its sources begin in March: the status of 1 January and the true migration of February are nothing to it."""
    truth = write(tmp_path / "truth", TRUTH_TABLES, little_truth())
    run = write_run(tmp_path / "run", little_run())
    whole, path = measured(run, truth), run / "manifest.json"
    observed = {"rule r": {"from": "2020-03-01", "to": "2020-12-31"}}
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"observed": observed}), "utf-8")
    found = measured(run, truth)
    dates = [{key[4] for key in one if key[:2] == ("statuses", "wrong")} for one in (whole, found)]
    assert dates == [{"2020-01-01", "2021-01-01"}, {"2021-01-01"}]
    has(whole, "migrations r q immigration", true=3)
    has(found, "migrations r q immigration", true=2)
    assert {key for key in whole if key[0] == "spells"} == {key for key in found if key[0] == "spells"}
