"""Published tables in a protected run: the same persons have the same noise in them as in stocks and flows."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from given_country import ABROAD, POLICY, RESIDENT, RULE, UNCLEAR, Country
from given_protected import KEY
from given_tables import make_table
from miglink.config import Shell, read_shell
from miglink.config.protection import ProtectionSettings
from miglink.engine import Engine
from miglink.stages.estimates import Asked
from miglink.stages.publish.protection import Protected, Protection, protect
from miglink.stages.publish.shells import ShellsAsked
from miglink.tables.contract import DIMENSIONS

NAMES = ("migr_imm1ctz", "oecd_b11", "migr_pop1ctz")
CODES = {"NZL": "NZ", "DEU": "DE", "FRA": "FR", "AUS": "AU", "FJI": "FJ"}
SEXES = {"female": "F", "male": "M", "total": "T"}


def net_by_sex() -> Shell:
    """A table of the user's own: net migration."""
    told = {"gives": "value", "meaning": "net"}
    columns = {
        "year": {"gives": "year", "meaning": "year"},
        "sex": {"dimension": "sex", "meaning": "sex"},
        "n": told,
    }
    of = {"name": "net_by_sex", "title": "t", "publisher": "p", "reference": "r", "looked_up": "2026-01-31"}
    return Shell.model_validate_json(
        json.dumps(of | {"measure": "net", "rules": [{"rule": RULE}], "columns": columns})
    )


def moving_country() -> Country:
    """Three hundred who come in 2018 and 2019, of whom some leave in 2019; few of most citizenships, ages and sexes."""
    country = Country(before=date(2017, 12, 31))
    for number in range(300):
        facts: dict[str, Any] = {
            "citizenship": [*CODES][number * number % 5],
            "sex": "male" if number % 7 < 3 else "female",
            "birth_date": date(1960 + number % 50, 1 + number % 12, 3),
        }
        came = (date(2018 + number % 2, 1 + number % 11, 5), RESIDENT)
        left = ((date(2019, 12, 20), ABROAD),) if number % 9 == 0 else ()
        country.add(f"person {number}", (None, ABROAD), came, *left, **facts)
    return country


def country_in_doubt() -> Country:
    """The same, and ninety more of whom some draws say that they came, and others that they did not."""
    country = moving_country()
    for number in range(300, 390):
        name, day = f"person {number}", date(2018 + number % 2, 1 + number % 11, 5)
        facts = {"citizenship": [*CODES][number % 3], "sex": "male" if number % 5 else "female"}
        country.add(name, (None, ABROAD), (day, UNCLEAR), **facts)
        country.migrate(name, day, "immigration", "undetermined")
        country.doubt(name, day, "follow_up")
        for draw in range(1, 5):
            is_here = (number + draw * draw) % 3 == 0
            country.draw(draw, name, (day, RESIDENT if is_here else ABROAD), was=ABROAD)
    return country


def count(engine: Engine, country: Country | None = None) -> dict[str, pl.DataFrame]:
    return (country or moving_country()).estimate(
        engine,
        draws=4 if country else None,
        key=KEY,
        window=300,
        asked=wanted(),
        periods=["year"],
        breakdowns=[["sex", "citizenship"], ["age_group"], ["citizenship_group"]],
    )


def wanted() -> Asked:
    shells = (*(read_shell(name, Path()) for name in NAMES), net_by_sex())
    return Asked(shells, dict.fromkeys(NAMES, RULE), (RULE,), POLICY)


def protected(engine: Engine, counted: dict[str, pl.DataFrame], **settings: Any) -> Protected:
    tables = {name: make_table(engine, name, rows.to_dicts()) for name, rows in counted.items()}
    asked = wanted()
    told = ShellsAsked(asked.shells, frozenset((*NAMES, "net_by_sex")), asked.chosen_rules, "NZL")
    return protect(engine, tables, Protection(ProtectionSettings(**settings), KEY, "NZL"), told)


def by_cell(rows: pl.DataFrame, *names: str, column: str = "n_settled") -> dict[tuple[str, ...], int]:
    """Counts of stocks or flows by some dimensions, totals of the others; only what is in the table."""
    others = [name for name in DIMENSIONS if name not in names]
    whole = rows.filter(pl.all_horizontal(pl.col(*others) == "total"))
    return {tuple(row[:-1]): row[-1] for row in whole.select("period", *names, column).iter_rows()}


@pytest.mark.parametrize("method", ["random_rounding", "cell_key"])
def test_the_same_cell_has_the_same_noise_as_in_stocks_and_flows(duckdb_engine: Engine, method: str) -> None:
    counted = count(duckdb_engine)
    rows = protected(duckdb_engine, counted, method=method).rows
    codes = CODES | {"total": "TOTAL"}
    immigrated = rows["flows"].filter(flow="immigration")
    n_compared, n_changed = 0, 0
    exact = by_cell(counted["flows"].filter(flow="immigration"), "citizenship", "sex")
    for table, settled, ages in (
        ("migr_imm1ctz", immigrated, {"agedef": "COMPLET", "age": "TOTAL"}),
        ("migr_imm1ctz", immigrated, {"agedef": "REACH", "age": "TOTAL"}),
        ("migr_pop1ctz", rows["stocks"].with_columns(pl.col("period").str.head(4)), {"age": "TOTAL"}),
    ):
        whole = rows[table].filter(**ages)
        figures = whole.select("TIME_PERIOD", "citizen", "sex", "OBS_VALUE").iter_rows()
        found = {row[:-1]: row[-1] for row in figures}
        cells = by_cell(settled, "citizenship", "sex")
        for (period, citizenship, sex), value in cells.items():
            # What is not listed is zero.
            assert found.get((period, codes[citizenship], SEXES[sex]), 0) == value, (table, citizenship, sex)
            n_compared += 1
            n_changed += table == "migr_imm1ctz" and value != exact[period, citizenship, sex]
    assert n_compared > 60 and n_changed > 10
    by_group = by_cell(immigrated.filter(period="2018"), "age_group")
    young = {"citizen": "TOTAL", "agedef": "COMPLET", "sex": "T", "TIME_PERIOD": "2018"}
    by_age = dict(rows["migr_imm1ctz"].filter(**young).select("age", "OBS_VALUE").iter_rows())
    assert by_age["Y20-24"] == by_group["2018", "20-24"] and by_age["Y25-29"] == by_group["2018", "25-29"]


@pytest.mark.parametrize("method", ["random_rounding", "cell_key"])
def test_the_same_persons_have_the_same_noise_under_several_codes(duckdb_engine: Engine, method: str) -> None:
    rows = protected(duckdb_engine, count(duckdb_engine), method=method).rows
    table = rows["migr_imm1ctz"]
    on = ["agedef", "age", "sex", "TIME_PERIOD"]
    # Who is a national is a citizen of the country; all others are of few countries.
    both = table.filter(citizen="NAT").join(table.filter(citizen="NZ"), on=on, how="full")
    assert both.height > 20 and both["OBS_VALUE"].equals(both["OBS_VALUE_right"].rename("OBS_VALUE"))
    # A table of foreigners alone counts the same Germans.
    of_foreigners = rows["oecd_b11"].filter(SEX="_T", CITIZENSHIP="DEU").select("TIME_PERIOD", "OBS_VALUE")
    germans = table.filter(citizen="DE", agedef="REACH", age="TOTAL", sex="T").select(
        "TIME_PERIOD", "OBS_VALUE"
    )
    assert of_foreigners.sort("TIME_PERIOD").equals(germans.sort("TIME_PERIOD")) and germans.height == 2


def test_net_is_computed_of_protected_flows(duckdb_engine: Engine) -> None:
    counted = count(duckdb_engine)
    rows = protected(duckdb_engine, counted, method="random_rounding").rows
    by_sex = {row[:2]: row[2] for row in rows["net_by_sex"].select("year", "sex", "n").iter_rows()}
    net = by_cell(rows["flows"].filter(flow="net"), "sex")
    assert by_sex == net
    assert net != by_cell(counted["flows"].filter(flow="net"), "sex")


@pytest.mark.parametrize("method", ["random_rounding", "cell_key"])
def test_points_have_the_noise_of_those_of_stocks_and_flows(duckdb_engine: Engine, method: str) -> None:
    counted = count(duckdb_engine, country_in_doubt())
    rows = protected(duckdb_engine, counted, method=method).rows
    codes = CODES | {"total": "TOTAL"}
    flows, exact = (of["flows"].filter(flow="immigration") for of in (rows, counted))
    table = rows["migr_imm1ctz"].filter(agedef="COMPLET", age="TOTAL")
    cells = ("TIME_PERIOD", "citizen", "sex", "OBS_VALUE", "n_settled")
    told = {row[:3]: row[3:] for row in table.select(cells).iter_rows()}
    points, settled = (by_cell(flows, "citizenship", "sex", column=name) for name in ("n", "n_settled"))
    before = by_cell(exact, "citizenship", "sex", column="n")
    for (period, citizenship, sex), value in points.items():
        both = told.get((period, codes[citizenship], SEXES[sex]), (0, 0))
        assert both == (value, settled[period, citizenship, sex]), (period, citizenship, sex)
    assert any(before[cell] % 1 for cell in points) and len(points) == 30
    assert sum(points[cell] != settled[cell] for cell in points) > 10
    assert sum(points[cell] != round(before[cell]) for cell in points) > 10
    # Net migration is the difference of protected points.
    by_sex = {row[:2]: row[2] for row in rows["net_by_sex"].select("year", "sex", "n").iter_rows()}
    assert by_sex == by_cell(rows["flows"].filter(flow="net"), "sex", column="n")
