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


def test_intervals_are_held_against_the_truth(duckdb_engine: Engine) -> None:
    """One cell is covered, one is not; one has no interval; and where the run lists nobody, it says nobody."""
    country = Country()
    for sex, other in (("female", "AUS"), ("male", "AUS"), ("other", "FRA")):
        country.add(f"{sex} stays", (None, RESIDENT), sex=sex, citizenship=other)
    stocks = country.estimate(duckdb_engine, breakdowns=[["sex"]])["stocks"].filter(period="2019-01-01")
    bounds = {"total": (2.5, 4.5), "female": (1.5, 2.5), "male": (None, None), "other": (1.0, 1.0)}
    found = stocks.with_columns(
        lower=pl.col("sex").replace_strict(
            {sex: of[0] for sex, of in bounds.items()}, return_dtype=pl.Float64
        ),
        upper=pl.col("sex").replace_strict(
            {sex: of[1] for sex, of in bounds.items()}, return_dtype=pl.Float64
        ),
    )
    truth = pl.DataFrame({"sex": [*bounds, "unknown"], "n": [3, 1, 1, 1, 2]}).with_columns(
        rule=pl.lit("nz_12_16"), period=pl.lit("2019-01-01"), citizenship_group=pl.lit("total")
    )
    tables = [
        {"stocks": duckdb_engine.frame(name, frame)} for name, frame in (("run", found), ("truth", truth))
    ]
    measures = measure_stocks(duckdb_engine, *tables)
    covered = dict(measures.filter(measure="is_covered").select("sex", "value").iter_rows())
    assert covered == {"total": 1, "female": 0, "other": 1, "unknown": 0}
    assert measures.filter(measure="covered_share")["value"].to_list() == [0.5]
    assert measures.filter(measure="upper", sex="unknown")["value"].to_list() == [0]
