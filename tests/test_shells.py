"""Table shells: published tables of little countries that are known by hand, and what a table lacks."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from given_country import ABROAD, POLICY, RESIDENT, RULE, UNCLEAR, Country, Tables, figure
from miglink.codes.lists import code_list, gather_codes, list_facts, list_names, total_code
from miglink.config import Shell, preset_shells, read_shell
from miglink.engine import Engine
from miglink.stages.estimates import Asked
from miglink.stages.publish.shells import ShellsAsked, describe_shell, fill_shell
from miglink.tables.contract import DIMENSIONS

BOTH = ("eu_2013", "eu_2025")
HERE = Path(__file__).parent


def asked(*names: str, **how: Any) -> Asked:
    """Presets by name, all made by the rule of the little country."""
    shells = tuple(read_shell(name, HERE) for name in names)
    chosen = dict.fromkeys(names, RULE)
    return Asked(shells, how.get("chosen", chosen), (RULE,), POLICY, how.get("traits", ()))


def fill(tables: Tables, wanted: Asked, country: str = "NZL") -> dict[str, pl.DataFrame]:
    """The published tables, by name."""
    produced = frozenset(tables["shells"].filter("is_produced")["shell"])
    told = ShellsAsked(wanted.shells, produced, wanted.chosen_rules, country)
    return {shell.name: fill_shell(tables["shell_cells"], shell, told) for shell in wanted.shells}


def values(table: pl.DataFrame, column: str, **cell: str) -> dict[str, int]:
    """The figures by one column."""
    return dict(table.filter(**cell).select(column, "OBS_VALUE").iter_rows())


def arrivals() -> Country:
    country = Country()
    moved = {"sex": "male", "birth_date": date(1990, 6, 1), "birth_country": "DEU"}
    country.add("one", (None, ABROAD), (date(2019, 3, 1), RESIDENT), citizenship="GRC", **moved)
    country.add("two", (None, ABROAD), (date(2019, 9, 1), RESIDENT), citizenship="GBR", **moved)
    country.add("three", (None, ABROAD), (date(2019, 4, 1), RESIDENT), birth_date=date(2012, 1, 1))
    country.add("four", (None, ABROAD), (date(2019, 4, 1), RESIDENT), citizenship="XXA", sex=None)
    country.add("five", (None, ABROAD), (date(2019, 4, 1), RESIDENT), citizenship=None)
    country.add("leaves", (None, RESIDENT), (date(2020, 5, 5), ABROAD), birth_date=date(2019, 1, 1))
    country.add("unclear", (None, UNCLEAR), citizenship="FRA")
    country.migrate("unclear", date(2019, 7, 1), "immigration", "undetermined")
    return country


def test_immigration_in_the_codes_of_eurostat(engine: Engine) -> None:
    wanted = asked("migr_imm1ctz")
    tables = arrivals().estimate(engine, to=date(2020, 12, 31), window=300, asked=wanted)
    table = fill(tables, wanted)["migr_imm1ctz"]
    everybody = {"agedef": "COMPLET", "age": "TOTAL", "sex": "T", "TIME_PERIOD": "2019"}
    assert values(table, "citizen", **everybody) == {
        "TOTAL": 5, "NAT": 1, "NZ": 1, "FOR": 2, "FOR_STLS": 3, "EU27_2020_FOR": 1, "NEU27_2020_FOR": 1,
        "EL": 1, "UK": 1, "STLS": 1, "UNK": 1, "FR": 0,
    }  # fmt: skip
    # Who is undetermined is in no figure, and stands beside it.
    undetermined = table.filter(citizen="FR", **everybody)
    assert undetermined["n_undetermined"].to_list() == [1]
    # The birthday in June: 28 in March, 29 in September; both reach 29 in the year.
    men = {"citizen": "FOR", "sex": "M", "TIME_PERIOD": "2019"}
    assert values(table, "age", agedef="COMPLET", **men) == {"TOTAL": 2, "Y25-29": 2, "Y15-64": 2}
    child = {"citizen": "NAT", "sex": "F", "TIME_PERIOD": "2019"}
    assert values(table, "age", agedef="REACH", **child) == {"TOTAL": 1, "Y5-9": 1, "Y_LT15": 1}
    # A year of which nobody is counted has its total.
    assert values(table, "citizen", **(everybody | {"TIME_PERIOD": "2020"})) == {"TOTAL": 0}
    assert table.columns[:11] == [
        "freq", "citizen", "agedef", "age", "unit", "sex", "geo", "TIME_PERIOD", "OBS_VALUE", "OBS_FLAG", "CONF_STATUS",
    ]  # fmt: skip
    flags = dict(table.filter(citizen="TOTAL").select("TIME_PERIOD", "OBS_FLAG").unique().iter_rows())
    assert flags == {"2019": None, "2020": "p"}
    assert table.select("freq", "unit", "geo").unique().rows() == [("A", "NR", "NZ")]
    assert table.select(describe_shell(wanted.shells[0]).key).is_unique().all()


def in_doubt() -> Country:
    """One who came in 2019, and five of whom nobody knows whether they came: each did in three draws of four."""
    country = Country()
    country.add("came", (None, ABROAD), (date(2019, 3, 1), RESIDENT), citizenship="FRA", sex="male")
    for number, citizenship in enumerate(("FRA", "FRA", "DEU", "AUS", "AUS")):
        name, day = f"perhaps {number}", date(2019, 6, 1)
        country.add(name, (None, ABROAD), (day, UNCLEAR), citizenship=citizenship)
        country.migrate(name, day, "immigration", "undetermined")
        country.doubt(name, day, "follow_up")
        for draw in range(1, 5):
            country.draw(draw, name, (day, ABROAD if draw == 1 else RESIDENT), was=ABROAD)
    return country


def test_the_figure_is_the_headline_in_whole_persons(engine: Engine) -> None:
    wanted = asked("migr_imm1ctz", "migr_pop1ctz", "oecd_b11")
    tables = in_doubt().estimate(engine, to=date(2020, 12, 31), window=300, asked=wanted, draws=4)
    filled = fill(tables, wanted)
    table = filled["migr_imm1ctz"].filter(agedef="COMPLET", age="TOTAL", sex="T", TIME_PERIOD="2019")
    told = {
        row[0]: row[1:] for row in table.select("citizen", "OBS_VALUE", "OBS_FLAG", "n_settled").iter_rows()
    }
    # 1 + 5 · 3/4, 1 + 2 · 3/4, 3/4, 2 · 3/4: each is rounded on its own, halves to the even number.
    assert told["TOTAL"] == (5, "e", 1)
    assert told["FR"] == (2, "e", 1) and told["DE"] == (1, "e", 0) and told["AU"] == (2, "e", 0)
    immigrated = tables["flows"].filter(flow="immigration")
    for code, cell in (("TOTAL", {}), ("FR", {"citizenship": "FRA"}), ("AU", {"citizenship": "AUS"})):
        assert told[code][0] == round(figure(immigrated, "2019", **cell)["n"]), code
    men = filled["migr_imm1ctz"].filter(citizen="FR", agedef="COMPLET", age="TOTAL", sex="M")
    assert men.select("OBS_VALUE", "OBS_FLAG", "n_undetermined").rows() == [(1, None, 0)]
    # Of stocks too; the second is provisional besides.
    population = filled["migr_pop1ctz"].filter(citizen="TOTAL", age="TOTAL", sex="T")
    assert population.select("TIME_PERIOD", "OBS_VALUE", "OBS_FLAG").rows() == [
        ("2019", 0, None), ("2020", 5, "e"), ("2021", 5, "ep"),
    ]  # fmt: skip
    oecd = filled["oecd_b11"].filter(CITIZENSHIP="DEU", SEX="_T")
    assert dict(oecd.select("TIME_PERIOD", "OBS_STATUS").iter_rows()) == {"2019": "E"}


def test_without_a_headline_the_figure_is_the_settled_one(duckdb_engine: Engine) -> None:
    """Where a draw settles nothing of somebody; and without draws."""
    wanted, country = asked("migr_imm1ctz"), in_doubt()
    by_hand = {"TOTAL": (1, None), "FR": (1, None), "AU": (0, None)}
    open_ones = [row for row in country.residence_draws if row["person_id"] in ("perhaps 0", "perhaps 3")]
    for row in open_ones[::4]:
        row["status"] = UNCLEAR
    for draws, expected in ((4, by_hand | {"DE": (1, "e")}), (0, by_hand | {"DE": (0, None)})):
        tables = country.estimate(duckdb_engine, to=date(2020, 12, 31), window=300, asked=wanted, draws=draws)
        table = fill(tables, wanted)["migr_imm1ctz"]
        table = table.filter(agedef="COMPLET", age="TOTAL", sex="T", TIME_PERIOD="2019")
        told = {row[0]: row[1:] for row in table.select("citizen", "OBS_VALUE", "OBS_FLAG").iter_rows()}
        assert {code: told[code] for code in expected} == expected


def test_a_state_without_a_code_is_in_groups_and_totals(engine: Engine) -> None:
    wanted = asked("migr_imm3ctb")
    country = arrivals()
    country.add("six", (None, ABROAD), (date(2019, 4, 1), RESIDENT), birth_country="SUN")
    tables = country.estimate(engine, asked=wanted)
    assert tables["shells"]["values_without_code"].to_list() == ["SUN"]
    table = fill(tables, wanted)["migr_imm3ctb"]
    found = values(table, "c_birth", agedef="COMPLET", age="TOTAL", sex="T", TIME_PERIOD="2019")
    assert found == {"TOTAL": 6, "FOR": 3, "EU27_2020_FOR": 2, "NEU27_2020_FOR": 1, "DE": 2, "UNK": 3}


def test_the_population_of_1_january(engine: Engine) -> None:
    wanted = asked("migr_pop1ctz")
    tables = arrivals().estimate(engine, to=date(2020, 12, 31), asked=wanted)
    table = fill(tables, wanted)["migr_pop1ctz"]
    assert "agedef" not in table.columns
    everybody = {"age": "TOTAL", "sex": "T", "TIME_PERIOD": "2020"}
    assert values(table, "citizen", **everybody)["TOTAL"] == 6
    assert values(table, "TIME_PERIOD", citizen="TOTAL", age="TOTAL", sex="T") == {
        "2019": 1,
        "2020": 6,
        "2021": 5,
    }
    # Who was born on 1 January 2019 is 0 at the end of that year, and the day before the birth nobody.
    young = values(table, "TIME_PERIOD", citizen="NAT", age="Y_LT5", sex="F")
    assert young == {"2020": 1}
    assert table.filter(citizen="FR", **everybody)["n_undetermined"].to_list() == [1]


def test_a_table_that_the_sources_cannot_fill_has_no_figures_and_says_why(engine: Engine) -> None:
    wanted = asked("migr_imm5prv", "migr_pop3ctb", "migr_emi1ctz", chosen={})
    country = Country()
    country.add("stays", (None, RESIDENT))
    tables = country.estimate(engine, has_population_list=False, asked=wanted)
    said = {row["shell"]: row for row in tables["shells"].iter_rows(named=True)}
    assert not any(row["is_produced"] for row in said.values())
    assert said["migr_imm5prv"]["reason"] == (
        "the run has no rule eu_2013 or eu_2025; no source holds the country of previous residence"
    )
    assert "`country_from_to` of crossings" in said["migr_imm5prv"]["needs"]
    assert "no source holds the country of birth" in said["migr_pop3ctb"]["reason"]
    assert "covers_population" in said["migr_pop3ctb"]["needs"]
    assert said["migr_emi1ctz"]["reason"] == "the run has no rule eu_2013 or eu_2025"
    later = replace(asked("migr_emi1ctz", chosen={}), rules=("eu_2025",))
    reason = country.estimate(engine, asked=later)["shells"]["reason"].item()
    assert reason == "eu_2013 or eu_2025 gives no year of the table within `period`"
    assert tables["shell_cells"].is_empty()
    for name, table in fill(tables, wanted).items():
        assert table.is_empty(), name
        assert table.columns == [column.name for column in describe_shell(read_shell(name, HERE)).columns]


def test_each_period_has_the_rule_that_the_definition_asks_for(engine: Engine) -> None:
    """One shell, two rules: the new definition begins with the stock of the end of 2027."""
    wanted = asked("migr_pop1ctz", chosen={})
    country = Country(before=date(2025, 12, 31))
    country.add("stays", (None, RESIDENT))
    country.residence = [row | {"rule": rule} for row in country.residence for rule in BOTH]
    tables = country.estimate(engine, to=date(2028, 12, 31), by_year=BOTH, asked=replace(wanted, rules=BOTH))
    table = fill(tables, wanted)["migr_pop1ctz"].filter(citizen="TOTAL", age="TOTAL", sex="T")
    assert dict(table.select("TIME_PERIOD", "rule").iter_rows()) == {
        "2026": "eu_2013", "2027": "eu_2013", "2028": "eu_2025", "2029": "eu_2025",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(preset_shells()))
def test_every_shell_is_whole(name: str) -> None:
    shell = read_shell(name, HERE)
    assert shell.name == name
    assert shell.reference and shell.looked_up <= date(2026, 12, 31)
    assert shell.is_verified or shell.note
    contract = describe_shell(shell)
    assert contract.key
    assert not {*contract.key} - {*shell.columns}
    text = preset_shells()[name].read_text("utf-8")
    assert text.startswith("# ")
    page = (HERE.parent / "docs" / "publication.md").read_text("utf-8")
    assert f"`{name}`" in page


def test_every_code_list_says_where_it_is_from() -> None:
    assert len(list_names()) > 5
    for name in list_names():
        facts = list_facts(name)
        assert facts.source
        assert date.fromisoformat(facts.date)
        assert code_list(name).select("ours", "code", "of").is_unique().all()


def test_totals_are_those_of_stocks_and_flows(engine: Engine) -> None:
    names = sorted(preset_shells())
    wanted = asked(*names, traits=("occupation",))
    country = arrivals()
    for row in country.migrations:
        row |= {"other_country": "FJI", "purpose": "work"}
    country.add("goes", (None, RESIDENT), (date(2019, 8, 8), ABROAD), traits={"occupation": [(None, "cook")]})
    country.migrations[-1] |= {"other_country": "AUS", "purpose": "work"}
    tables = country.estimate(engine, to=date(2020, 12, 31), asked=wanted, traits=["occupation"])
    kept = dict.fromkeys(DIMENSIONS, "total")
    flows = tables["flows"].filter(**kept).select("flow", "period", "n_settled", "n_undetermined")
    stocks = tables["stocks"].filter(**kept).select(pl.lit("stock"), "period", "n_settled", "n_undetermined")
    expected = {tuple(row[:2]): row[2:] for row in (*flows.iter_rows(), *stocks.iter_rows())}
    n_compared = 0
    for name, table in fill(tables, wanted).items():
        shell = read_shell(name, HERE)
        if table.is_empty() or shell.where or shell.where_not:
            continue
        totals = table.filter(
            pl.all_horizontal(
                pl.lit(True),
                *(
                    pl.col(column) == total_code(gather_codes(told.lists, told.codes))
                    for column, told in shell.columns.items()
                    if told.dimension
                ),
            )
        )
        (value,) = (column for column, told in shell.columns.items() if told.gives == "value")
        (year,) = (column for column, told in shell.columns.items() if told.gives in ("year", "closing_year"))
        shift = any(told.gives == "closing_year" for told in shell.columns.values())
        for row in totals.iter_rows(named=True):
            number = int(row[year]) + (shift and shell.measure == "stock")
            period = f"{number}-01-01" if shell.measure == "stock" else str(number)
            assert (row[value], row["n_undetermined"]) == expected[(shell.measure, period)], name
            n_compared += 1
    assert n_compared >= 2 * len([name for name in names if name.startswith("migr")])


def test_a_shell_of_the_users_own_has_any_column_of_the_sources(engine: Engine, tmp_path: Path) -> None:
    """The example of docs/publication.md: by a further column, by quarter, of citizens alone."""
    page = (HERE.parent / "docs" / "publication.md").read_text("utf-8")
    (example,) = (text for text in page.split("```") if text.startswith("yaml\nname:"))
    (tmp_path / "own.yml").write_text(example.removeprefix("yaml\n"), "utf-8")
    shell = read_shell("own.yml", tmp_path)
    net = shell.model_copy(update={"name": "net", "measure": "net", "where": {}})
    told = {"dimension": "school", "meaning": "school", "codes": {"college": "c"}}
    yearly = shell.model_dump(mode="json", by_alias=True) | {"name": "yearly", "frequency": "year"}
    yearly["columns"] |= {"occupation": told}
    schools = Shell.model_validate_json(json.dumps(yearly))
    wanted = Asked((shell, net, schools), {}, (RULE,), POLICY, ("occupation", "school"))
    country = Country()
    cook = {"occupation": [(None, "cook")]}
    nurse = {"occupation": [(None, "nurse")], "school": [(None, "college")]}
    country.add("one", (None, RESIDENT), (date(2019, 2, 2), ABROAD), traits=nurse)
    country.add("two", (None, RESIDENT), (date(2019, 3, 3), ABROAD), traits=cook, sex="male")
    country.add("three", (None, RESIDENT), (date(2019, 8, 8), ABROAD), traits=cook, citizenship="AUS")
    country.add("four", (None, ABROAD), (date(2019, 9, 9), RESIDENT), traits=nurse, sex=None)
    tables = fill(country.estimate(engine, asked=wanted, traits=["occupation", "school"]), wanted)
    of_all = tables[shell.name].filter(occupation="total", sex="all")
    assert dict(of_all.select("quarter", "persons").iter_rows()) == {
        "2019-Q1": 2, "2019-Q2": 0, "2019-Q3": 0, "2019-Q4": 0,
    }  # fmt: skip
    first = tables[shell.name].filter(quarter="2019-Q1").select("occupation", "sex", "persons").rows()
    assert {*first} == {
        ("cook", "all", 1), ("cook", "m", 1), ("nurse", "all", 1), ("nurse", "f", 1),
        ("total", "all", 2), ("total", "f", 1), ("total", "m", 1),
    }  # fmt: skip
    # Another further column, of the year; who has no school has no code here.
    of_year = tables["yearly"].filter(sex="all").select("quarter", "occupation", "persons").rows()
    assert of_year == [("2019", "c", 1)]
    third = tables["net"].filter(quarter="2019-Q3").select("occupation", "sex", "persons").rows()
    # Who is neither male nor female has no code here, and is in the total.
    assert {*third} == {
        ("cook", "all", -1), ("cook", "f", -1), ("nurse", "all", 1), ("total", "all", 0), ("total", "f", -1),
    }  # fmt: skip


def test_cells_grow_with_the_migrants_and_are_counted_once(engine: Engine) -> None:
    wanted = asked("migr_imm1ctz", "migr_emi1ctz", "oecd_b11")
    tables = arrivals().estimate(engine, asked=wanted)
    cells = tables["shell_cells"].filter(pl.any_horizontal(pl.col(*DIMENSIONS) != "total"))
    assert cells.filter(n_settled=0, n_undetermined=0).is_empty()
    n_events = 6  # of the one year; each has a cell for each definition of age, and one for its group
    assert cells.height == 3 * n_events


def test_a_country_of_nobody_has_no_rows(engine: Engine) -> None:
    wanted = asked("migr_imm1ctz", "migr_pop1ctz")
    assert all(table.is_empty() for table in fill(Country().estimate(engine, asked=wanted), wanted).values())
