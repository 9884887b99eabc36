"""Stage 6: rules that apply from a date or to one, and when what they say is known."""

import re
from datetime import date
from pathlib import Path

import polars as pl
from ruamel.yaml import YAML

from given_country import TOTAL
from given_tables import name_table
from given_travellers import CONFIGS, Country
from miglink.config import preset_rules, read_any_rule, read_rule
from miglink.config.mobility import RollingWindowRule
from miglink.config.stages import EstimatesSettings, Period
from miglink.config.windows import whole
from miglink.engine import Engine
from miglink.stages import estimates

ROOT = CONFIGS.parent
PAGE = (ROOT / "docs" / "rules.md").read_text("utf-8")


def test_one_rule_follows_another_at_a_reference_date(engine: Engine) -> None:
    """At the end of 2027 both EU rules give a stock: the break in the series, with the values on both sides of it."""
    period = Period.model_validate({"from": date(2025, 1, 1), "to": date(2030, 12, 31)})
    rules = [read_rule(name, CONFIGS) for name in ("eu_2013", "eu_2025")]
    country = Country()
    # Away for 150 days of 2027: too long an absence for the older rule, and most of the year here.
    country.add(
        "a",
        (date(2027, 3, 1), "departure"),
        (date(2027, 7, 29), "arrival"),
        (date(2027, 12, 30), "departure"),
    )
    country.add("b", (date(2026, 5, 1), "arrival")).add("c", (date(2029, 5, 1), "departure"))
    for name in "ac":
        country.record(name, "register", valid_from=date(2000, 1, 1))
    tables = country.find(engine, rules, period, initial_status=("register", "not_registered"))
    histories = estimates.Histories(*tables, name_table(engine, "person_traits", []))
    observation = estimates.observe(whole(period), rules, has_population_list=False)
    made = estimates.estimate(engine, histories, observation, EstimatesSettings(reporting_country="QVR"))
    stocks, flows, accounts = (
        pl.read_parquet(table.path).filter(**TOTAL).sort("period") for table in made[:3]
    )
    found = {
        rule.name: dict(stocks.filter(rule=rule.name).select("period", "n_settled").rows()) for rule in rules
    }
    assert found == {
        "eu_2013": {"2025-01-01": 2, "2026-01-01": 2, "2027-01-01": 3, "2028-01-01": 2},
        "eu_2025": {"2028-01-01": 3, "2029-01-01": 2, "2030-01-01": 1, "2031-01-01": 1},
    }
    years = {
        name: ["2025", "2026", "2027"] if name == "eu_2013" else ["2028", "2029", "2030"] for name in found
    }
    for table in (flows.filter(flow="emigration"), accounts):
        assert {name: table.filter(rule=name)["period"].to_list() for name in found} == years
    left = flows.filter(flow="emigration", rule="eu_2025")["n_settled"].to_list()
    assert left == [1, 1, 0]
    assert accounts["discrepancy"].unique().to_list() == [0]


def test_when_most_of_the_time_is_known(engine: Engine) -> None:
    """Of the 365 days from an arrival: on the 183rd day here, or the 183rd away; by a permit, on the reference date."""
    rule = read_rule("eu_2025", CONFIGS).model_copy(update={"applies_from": None})
    arrived = (date(2014, 11, 1), "arrival")
    country = Country().add("stays", arrived).add("is intended to", arrived)
    country.add("leaves", arrived, (date(2015, 5, 2), "departure"))
    country.add("stays for most of a leap year", (date(2015, 11, 1), "arrival"))
    country.record(
        "is intended to", "visas", valid_from=date(2014, 1, 1), valid_to=date(2016, 1, 1), purpose="work"
    )
    residence, _ = country.follow(engine, [rule], initial_status=("not_registered",))
    at = {
        "stays": "2014-11-01",
        "is intended to": "2014-11-01",
        "stays for most of a leap year": "2015-11-01",
    }
    known = residence.filter(status="resident")
    final = dict(known.select("person_id", "status_final_date").rows())
    assert {row["person_id"]: str(row["from_date"]) for row in known.iter_rows(named=True)} == at
    assert final == {
        "stays": date(2015, 5, 2),
        "is intended to": date(2014, 12, 31),
        "stays for most of a leap year": date(2016, 5, 2),
    }
    # 184 of 366 days: 1 November 2015 to 2 May 2016.
    assert (final["stays for most of a leap year"] - date(2015, 11, 1)).days == 183


def test_the_page_of_rules_counts_their_cases() -> None:
    files = [
        YAML(typ="safe").load(path.read_text("utf-8")) for path in (ROOT / "tests" / "cases").glob("*.yml")
    ]
    n_cases = dict.fromkeys(preset_rules(), 0)
    for file in files:
        if isinstance(file, dict):
            n_cases[file["rule"]] += len(file["cases"])
    assert min(n_cases.values()) >= 12
    wanted = []
    for name, n in sorted(n_cases.items()):
        rule, dates = read_any_rule(name, CONFIGS), "all"
        if not isinstance(rule, RollingWindowRule) and rule.last_date:
            dates = f"to {rule.last_date}"
        elif not isinstance(rule, RollingWindowRule) and rule.first_date:
            dates = f"from {rule.first_date}"
        wanted.append(f"| `{name}` | `{rule.kind}` | {rule.title} | {dates} | {n} |")
    assert re.findall(r"^\| `.*\|$", PAGE, flags=re.MULTILINE) == wanted


def test_the_rule_on_the_page_can_be_used(tmp_path: Path, engine: Engine) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    (tmp_path / "own.yml").write_text(text, "utf-8")
    rule = read_rule("own.yml", tmp_path)
    country = Country().add("120 days", (date(2015, 3, 1), "arrival"), (date(2015, 6, 28), "departure"))
    country.add("119 days", (date(2015, 3, 1), "arrival"), (date(2015, 6, 27), "departure"))
    residence, _ = country.follow(engine, [rule], initial_status=("not_registered",))
    assert residence.filter(status="resident")["person_id"].to_list() == ["120 days"]
