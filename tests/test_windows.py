"""What is observed under each rule where the sources begin and end on days of their own."""

import json
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from given_country import TOTAL
from given_run import BORDER, run, write
from given_run import CONFIG as LITTLE
from given_tables import name_table
from given_travellers import CONFIGS, IN, OUT, Country
from miglink.config import Config, Rule, read_config, read_rule
from miglink.config.mobility import MobilitySettings
from miglink.config.rules_of_evidence import ResidencyIndexRule
from miglink.config.stages import EstimatesSettings, Period
from miglink.config.windows import Windows, describe_windows, find_windows, read_windows, whole
from miglink.engine import Engine, Table
from miglink.errors import ConfigError
from miglink.stages import estimates

CONFIG = """\
name: small
period: {from: 2010-01-01, to: 2019-12-31}
key: {demo: true}
sources:
"""
COLUMNS = {
    "crossings": "{crossed_date: A, direction: B, surname: C}",
    "register": "{registered_from: A, surname: C}",
    "activity": "{active_from: A, surname: C}",
    "visas": "{valid_from: A, valid_to: B, surname: C}",
}
TOLD = ("first_crossing", "register", "permit", "not_registered")


def days(first: str, last: str) -> Period:
    return Period.model_validate({"from": date.fromisoformat(first), "to": date.fromisoformat(last)})


PERIOD = days("2012-01-01", "2019-12-31")
LATER = days("2014-01-01", "2019-12-31")


def text(rules: str, *sources: str) -> str:
    """A configuration: each source as `name kind`, with what it covers after that."""
    lines = []
    for source in sources:
        name, kind, *covers = source.split(" ", 2)
        stated = f", covers: {{{covers[0]}}}" if covers and covers[0].startswith("from") else ""
        listed = ", covers_population: true" if name.startswith("population") else ""
        lines.append(f"  {name}: {{kind: {kind}, files: f.csv, columns: {COLUMNS[kind]}{stated}{listed}}}\n")
    return CONFIG + "".join(lines) + f"residence: {{rules: [{rules}]}}\n"


def read(folder: Path, given: str) -> Config:
    (folder / "config.yml").write_text(given, "utf-8")
    return read_config(folder / "config.yml")


@pytest.mark.parametrize(
    ("sources", "crossings", "register"),
    [
        # The register begins two years after the crossings, and who follows the border is not touched by that.
        (("border crossings", "own register from: 2012-01-01, to: 2030-12-31"), "", "2012-01-01 2019-12-31"),
        # A system and its successor, side by side for a year.
        (
            (
                "old crossings from: 2010-01-01, to: 2015-12-31",
                "new crossings from: 2015-01-01, to: 2019-12-31",
                "own register",
            ),
            "",
            "",
        ),
        # The land border is recorded from 2013 on, the sea until 2018; the air by a system and its successor.
        (
            (
                "old crossings from: 2010-01-01, to: 2015-12-31, part: air",
                "new crossings from: 2016-01-01, to: 2019-12-31, part: air",
                "land crossings from: 2013-01-01, to: 2019-12-31, part: land",
                "sea crossings from: 2010-01-01, to: 2018-06-30, part: sea",
                "own register",
            ),
            "2013-01-01 2018-06-30",
            "",
        ),
        # One that names no part is a part of its own, and covers the period if it does not say.
        (
            ("air crossings", "land crossings from: 2013-01-01, to: 2019-12-31, part: land", "own register"),
            "2013-01-01 2019-12-31",
            "",
        ),
        # The register goes back further: days on which no crossing is recorded are observed under it alone.
        (
            ("border crossings from: 2014-01-01, to: 2019-12-31", "own register"),
            "2014-01-01 2019-12-31",
            "",
        ),
    ],
)
def test_windows_follow_the_sources(
    tmp_path: Path, sources: tuple[str, ...], crossings: str, register: str
) -> None:
    windows = find_windows(read(tmp_path, text("nz_12_16, register", *sources)))
    wanted = {"crossings": crossings, "rule nz_12_16": crossings, "rule register": register}
    stated = {name: f"{one['from']} {one['to']}" for name, one in describe_windows(windows).items()}
    assert stated == {name: one for name, one in wanted.items() if one}
    assert read_windows(windows.period, describe_windows(windows)) == windows


def test_each_sign_of_life_must_be_covered(tmp_path: Path) -> None:
    """The index rests on the sources that its signs name and on the register; visas that no sign names are nothing."""
    given = text(
        "residency_index, visa_span",
        "border crossings",
        "stays visas from: 2016-01-01, to: 2017-12-31",
        "tax activity from: 2010-01-01, to: 2018-12-31",
        "school activity from: 2012-01-01, to: 2019-12-31",
        "health activity from: 2015-01-01, to: 2016-12-31",
        "population register from: 2011-01-01, to: 2019-12-31",
    )
    config = read(tmp_path, given)
    assert find_windows(config).rules == {"residency_index": days("2011-01-01", "2019-12-31")}
    assert config.residence is not None
    index, visas = config.residence.rules
    assert isinstance(index, ResidencyIndexRule)
    (sign, *_) = index.signs
    signs = tuple(sign.model_copy(update={"sources": (name,)}) for name in ("tax", "school"))
    rules = (index.model_copy(update={"signs": signs}), visas)
    residence = config.residence.model_copy(update={"rules": rules})
    windows = find_windows(config.model_copy(update={"residence": residence}))
    assert windows.rules == {"residency_index": days("2012-01-01", "2018-12-31")}
    assert windows.listed == days("2011-01-01", "2019-12-31")


@pytest.mark.parametrize(
    ("rules", "sources", "said"),
    [
        (
            "nz_12_16, register",
            ("a crossings from: 2010-01-01, to: 2012-12-31", "b register from: 2012-01-01, to: 2018-12-31"),
            "config.yml:2:1: period: no crossings or register source covers 2019-01-01 to 2019-12-31 (`covers` of a, "
            "b); shorten the period",
        ),
        (
            "nz_12_16, register",
            (
                "a crossings from: 2010-01-01, to: 2012-12-31, part: air",
                "b crossings from: 2013-02-01, to: 2019-12-31, part: air",
                "c register",
            ),
            "config.yml:2:1: period: no crossings source of part air covers 2013-01-01 to 2013-01-31 (`covers` of a, "
            "b); what is observed must be one stretch",
        ),
        (
            "nz_12_16, register",
            (
                "a crossings from: 2010-01-01, to: 2014-12-31, part: old",
                "b crossings from: 2015-01-01, to: 2019-12-31, part: new",
                "c register",
            ),
            "config.yml:2:1: period: the spells: no two days of 2010-01-01 to 2019-12-31 would be observed. All "
            "sources that are needed must cover them (a 2010-01-01 to 2014-12-31, b 2015-01-01 to 2019-12-31); correct",
        ),
        (
            "nz_12_16, register",
            ("a crossings", "b register from: 2001-01-01, to: 2002-12-31"),
            "config.yml:7:13: residence.rules: rule register: no two days of",
        ),
        (
            "nz_12_16",
            ("a crossings", "population register from: 2001-01-01, to: 2002-12-31"),
            "config.yml:4:1: sources: `covers_population`: no two days of",
        ),
        (
            "nz_12_16",
            ("a crossings from: 2012-01-01, to: 2011-01-01",),
            "`to` must not be before `from`",
        ),
    ],
)
def test_what_cannot_be_observed_is_refused(
    tmp_path: Path, rules: str, sources: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text(rules, *sources))
    (problem,) = caught.value.problems
    assert said in problem


def rules_of(*names: str) -> list[Rule]:
    return [read_rule(name, CONFIGS) for name in names]


def make_country() -> Country:
    """At home, an immigrant of March 2013, an emigrant of May 2013, a visitor of 2012, a trip of 30 days in 2016."""
    country = Country().add("home").add("came", (date(2013, 3, 1), IN)).add("left", (date(2013, 5, 1), OUT))
    country.add("visit", (date(2012, 2, 1), IN), (date(2012, 3, 1), OUT))
    country.add("trip", (date(2016, 5, 1), OUT), (date(2016, 5, 31), IN))
    country.record("home", "register", valid_from=date(2000, 1, 1))
    country.record("trip", "register", valid_from=date(2000, 1, 1))
    country.record("came", "register", valid_from=date(2013, 3, 10))
    return country


def count(
    engine: Engine, country: Country, rules: Sequence[Rule], windows: Windows, **choices: Any
) -> dict[str, Table]:
    """What stages residence and estimates make of a country."""
    listed = windows.listed is not None
    choices = {"initial_status": TOLD} | choices
    found = country.find(engine, rules, windows.period, listed, windows=windows, **choices)
    traits, spells = name_table(engine, "person_traits", []), Table("spells", _beside(found[0]))
    observation = estimates.observe(windows, rules, listed)
    settings = EstimatesSettings(reporting_country="QVR", periods=("year",), breakdowns=(("sex",),))
    made = estimates.estimate(engine, estimates.Histories(*found, traits), observation, settings)
    lived = estimates.find_person_time(engine, found[0], spells, observation)
    return {table.name: table for table in (*found[:2], spells, *made, lived)}


def read_all(*tables: Table) -> dict[str, pl.DataFrame]:
    """The rows of tables by name; stocks, flows and accounts are the totals."""
    found = {table.name: pl.read_parquet(table.path) for table in tables}
    return {name: rows.filter(**TOTAL) if "sex" in rows.columns else rows for name, rows in found.items()}


def _beside(table: Table) -> Path:
    return table.path.with_name("spells.parquet")


def periods_of(table: pl.DataFrame, rule: str) -> list[str]:
    return table.filter(rule=rule)["period"].unique().sort().to_list()


YEARS = [str(year) for year in range(2012, 2020)]
DATES = [f"{year}-01-01" for year in range(2012, 2021)]


def test_a_register_that_begins_two_years_after_the_crossings(engine: Engine) -> None:
    windows, rules = Windows(PERIOD, PERIOD, {"register": LATER}, LATER), rules_of("nz_12_16", "register")
    made = count(engine, make_country(), rules, windows)
    observation = estimates.observe(windows, rules, has_population_list=True)
    compared = estimates.compare_rules(engine, made["residence"], made["migrations"], observation)
    found = read_all(*made.values(), *compared)
    # Each rule has the periods of its own window, and nobody is counted beyond it.
    assert periods_of(found["stocks"], "nz_12_16") == DATES
    assert periods_of(found["stocks"], "register") == DATES[2:]
    for name in ("flows", "accounts", "person_time"):
        assert periods_of(found[name], "nz_12_16") == YEARS
        assert periods_of(found[name], "register") == YEARS[2:]
    registered = found["stocks"].filter(rule="register", period="2014-01-01")["n_settled"].item()
    assert registered == 3
    assert found["residence"].filter(rule="register")["from_date"].min() == date(2013, 12, 31)
    # Before the register began absence from it says nothing: neither that the emigrant of 2013 had not lived here, nor
    # where the visitor lived.
    assert found["spells"].filter(person_id="left")["state"].to_list() == ["present", "absent"]
    first = found["residence"].filter(rule="nz_12_16", person_id="visit").sort("from_date")
    assert first["basis"][0] == "none"
    settled = found["migrations"].filter(rule="nz_12_16", outcome="migration")
    assert settled.select("person_id", "event_date").sort("event_date").rows() == [
        ("came", date(2013, 3, 1)),
        ("left", date(2013, 5, 1)),
    ]
    coverage = found["stocks"].filter(rule="nz_12_16").sort("period")["coverage"].to_list()
    assert coverage == 2 * ["travellers_only"] + 7 * ["population"]
    # The rules are compared where both are observed, and what only one observes is told apart.
    stocks, flows = found["stock_differences"], found["flow_differences"]
    assert set(stocks.filter(other_status="not_covered")["period"]) == {"2012-01-01", "2013-01-01"}
    assert stocks.filter(pl.col("period") > "2013-01-01")["other_status"].unique().to_list() == ["resident"]
    assert flows.select("rule", "period", "other_outcome").unique().rows() == [
        ("nz_12_16", "2013", "not_covered")
    ]


def test_crossings_that_are_recorded_later_than_the_register(engine: Engine) -> None:
    """As where a land border is recorded from 2014 on, and until 2018."""
    seen = days("2014-01-01", "2018-12-31")
    windows, rules = Windows(PERIOD, seen, {"nz_12_16": seen}), rules_of("nz_12_16", "register")
    country = make_country()
    made = count(engine, country, rules, windows)
    given: dict[str, list[dict[str, Any]]] = {"persons": country.persons, "person_traits": []}
    given |= {"records": country.records, "record_persons": country.owners}
    persons, traits, records, owners = (name_table(engine, *one) for one in given.items())
    histories = made["residence"], made["migrations"], persons, traits, made["spells"]
    observation = estimates.observe(windows, rules, has_population_list=False)
    travellers = estimates.Travellers(*histories, records, owners)
    mobility = estimates.count_mobility(engine, travellers, observation, MobilitySettings(), "QVR")
    found = read_all(*made.values(), mobility)
    assert periods_of(found["stocks"], "nz_12_16") == DATES[2:8]
    assert periods_of(found["stocks"], "register") == DATES
    ends = found["stocks"].select("rule", "data_to_date").unique().sort("rule").rows()
    assert ends == [("nz_12_16", date(2019, 1, 1)), ("register", date(2020, 1, 1))]
    # 487 days before the end of the rule's own window, 90 before that of the other.
    final = found["flows"].filter(status="final")
    assert periods_of(final, "nz_12_16") == ["2014", "2015", "2016"]
    assert periods_of(final, "register") == YEARS[:-1]
    # Crossings of other days are not used, and where people were on those days is not seen.
    assert found["spells"]["start_date"].min() == date(2014, 1, 1)
    time = found["person_time"].filter(rule="register").group_by("period").agg(pl.col("^.*_days$").sum())
    unseen = dict(time.sort("period").select("period", "unseen_days").rows())
    lived = dict(time.select("period", "person_days").rows())
    assert [lived[year] == unseen[year] for year in YEARS] == [True, True, *5 * [False], True]
    assert time.filter(period="2016")["least_present_days"].item() == 366 - 30
    assert set(found["mobility"].filter(measure="trips")["period"]) == {"2016"}
    assert found["mobility"]["data_to_date"].unique().to_list() == [date(2019, 1, 1)]


def draw_country(n_persons: int) -> Country:
    """Histories without sense: crossings, registrations and signs of life on any days; births and deaths."""
    random, country = Random(20260), Country()

    def day() -> date:
        return date(2011, 1, 1) + timedelta(random.randrange(3400))

    for number in range(n_persons):
        name, born, died = f"p{number:02}", random.random() < 0.2, day() if random.random() < 0.2 else None
        first = min(day(), died or date.max) if born else None
        life = {"birth_date": first, "is_born_here": random.random() < 0.5} if first else {}
        country.add(name, *((day(), random.choice((IN, OUT))) for _ in range(random.randrange(5))), **life)
        country.persons[-1]["death_date"] = died
        for _ in range(random.randrange(3)):
            since, until = sorted((day(), day()))
            country.record(name, "register", valid_from=since, ended_date=random.choice((None, until)))
        for _ in range(random.randrange(4)):
            country.record(name, "activity", valid_from=day(), domain="tax")
    return country


def test_a_rule_over_its_window_is_the_rule_over_a_period_of_these_days(duckdb_engine: Engine) -> None:
    """Histories drawn at random: all rules of a run, each over its window, against each alone with such a period."""
    hull, seen = days("2011-01-01", "2020-06-30"), days("2012-03-15", "2019-02-28")
    own = {"register": days("2013-01-01", "2018-12-31"), "residency_index": days("2012-01-01", "2017-06-30")}
    windows = Windows(hull, seen, {"nz_12_16": seen, "most_of_12": seen} | own)
    country, choices = draw_country(40), {"initial_status": TOLD[:3]}
    rules = rules_of("nz_12_16", "most_of_12", *own)
    tables = count(duckdb_engine, country, rules, windows, **choices)
    together = read_all(*tables.values())
    lived = ("rule", "policy", "period", "status", "basis", "person_days", "data_to_date")
    for rule in rules:
        alone = read_all(
            *count(duckdb_engine, country, [rule], whole(windows.of(rule.name)), **choices).values()
        )
        for name in ("residence", "migrations", "stocks", "flows", "accounts", "person_time"):
            ours, other = together[name].filter(rule=rule.name), alone[name]
            cell = lived if name == "person_time" else ours.columns
            assert ours.height > 4
            assert ours.select(cell).sort(cell).equals(other.select(cell).sort(cell)), (rule.name, name)


def test_a_run_says_what_it_observed(tmp_path: Path) -> None:
    """From the front door: a register of 2014 and later beside crossings since 2012."""
    register = """\
  population:
    kind: register
    files: register.csv
    columns: {registered_from: SINCE, surname: NAME, birth_date: BORN}
    covers: {from: 2014-01-01, to: 2016-12-31}
    covers_population: true
residence: {rules: [nz_12_16, register]}
"""
    write(tmp_path, LITTLE.replace("residence: {rules: [nz_12_16]}\n", register), "config.yml")
    write(tmp_path, BORDER, "border.csv")
    write(
        tmp_path,
        "SINCE,NAME,BORN\n2001-05-01,OKAFOR,1970-01-31\n2015-05-01,PEREZ,1980-05-17\n",
        "register.csv",
    )
    assert run(tmp_path) == 0
    observed = {"rule register": {"from": "2014-01-01", "to": "2016-12-31"}}
    for name in ("manifest.json", "outputs/datapackage.json"):
        assert json.loads((tmp_path / "run" / name).read_text("utf-8"))["observed"] == observed
    stocks = pl.read_parquet(tmp_path / "run" / "outputs" / "stocks.parquet").filter(**TOTAL, rule="register")
    assert stocks.sort("period").select("period", "n_settled").rows() == [
        ("2014-01-01", 1),
        ("2015-01-01", 1),
        ("2016-01-01", 2),
        ("2017-01-01", 2),
    ]
