"""Figures of a run against true ones, where the two are broken down otherwise."""

from typing import Any

import polars as pl
import pytest

from given_country import RESIDENT, Country
from miglink.engine import Engine
from miglink.evaluate.figures import measure_stocks

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
