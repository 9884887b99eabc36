"""Stage 6: the worked examples that speak of 12 calendar months and of most of the time, under the rules that do."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from given_travellers import CONFIGS, Country
from miglink.classify import Observed, classify_file
from miglink.config import read_rule
from miglink.config.rules import ReferenceDateRule, Rule
from miglink.config.stages import Period
from miglink.engine import Engine
from miglink.errors import ConfigError

FILE = Path(__file__).parent / "cases" / "residence_examples.json"
EXAMPLES = {e["id"]: e for e in json.loads(FILE.read_text("utf-8"))["examples"]}
CALENDAR = sorted(name for name in EXAMPLES if name.startswith(("derived-leap-", "derived-daycount-")))
MOST = sorted(name for name in EXAMPLES if name.startswith("derived-most-of-time-"))
CONTRAST = sorted(name for name in EXAMPLES if EXAMPLES[name]["kind"] == "classification_contrast")
PERIOD = Period.model_validate({"from": date(2017, 1, 1), "to": date(2021, 12, 31)})


def crossings_of(name: str) -> list[tuple[date, str]]:
    return [(date.fromisoformat(c["date"]), c["direction"]) for c in EXAMPLES[name]["crossings"]]


def follow(
    engine: Engine, name: str, rule: Rule, *, with_visa: bool = False
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Statuses and migrations of the example's one person; the first status as the example has it."""
    example = EXAMPLES[name]
    country = Country().add("a", *crossings_of(name))
    if example.get("initial_resident"):
        country.record("a", "register", valid_from=date(2000, 1, 1))
    if with_visa:
        visa = {key: date.fromisoformat(value) for key, value in example["visa"].items()}
        country.record("a", "visas", purpose="study", **visa)
    return country.follow(engine, [rule], PERIOD, initial_status=("register", "not_registered"))


def status_at(residence: pl.DataFrame, last: date) -> str:
    """The status in force at the end of a day."""
    in_force = pl.col("to_date").is_null() | (pl.col("to_date") > last)
    (status,) = residence.filter(pl.col("from_date") <= last, in_force)["status"].to_list()
    return str(status)


def test_examples_are_all_there() -> None:
    assert (len(CALENDAR), len(MOST), len(CONTRAST)) == (4, 2, 3)


@pytest.mark.parametrize("preset", ["un_12_months", "abs_12_16"])
@pytest.mark.parametrize("name", CALENDAR)
def test_twelve_calendar_months(engine: Engine, name: str, preset: str) -> None:
    """365 days can be a day less than 12 calendar months; the day of departure does not count."""
    expected = EXAMPLES[name]["expected"]
    key = "ge_12_calendar_months_clip_to_month_end"
    is_long = expected[key] if key in expected else expected["ge_365_half_open"]
    _, migrations = follow(engine, name, read_rule(preset, CONFIGS))
    assert migrations["direction"].to_list() == (["immigration", "emigration"] if is_long else [])


def earlier(preset: str) -> Rule:
    """A rule as if it had applied in the years of the examples too."""
    rule = read_rule(preset, CONFIGS)
    return rule.model_copy(update={"applies_from": None}) if rule.first_date else rule


@pytest.mark.parametrize(
    ("preset", "key"),
    [("most_of_12", "most_of_the_time"), ("eu_2025", "most_of_the_time"), ("days_183", "ge_183_days")],
)
@pytest.mark.parametrize("name", MOST)
def test_most_of_the_time(engine: Engine, name: str, preset: str, key: str) -> None:
    residence, _ = follow(engine, name, earlier(preset))
    wanted = "resident" if EXAMPLES[name]["expected"][key] else "non_resident"
    assert status_at(residence, date(2019, 12, 31)) == wanted


@pytest.mark.parametrize("counting", ["half_open", "inclusive"])
def test_the_day_of_exit_counts_or_not(engine: Engine, counting: str) -> None:
    """From 1 January to 31 December: 364 days, or 365 with the day of departure."""
    name = "derived-daycount-convention"
    rule = read_rule("days_183", CONFIGS)
    assert isinstance(rule, ReferenceDateRule) and rule.threshold is not None
    longer = rule.threshold.model_copy(update={"value": 365})
    whole_year = rule.model_copy(update={"threshold": longer, "counting": counting})
    residence, _ = follow(engine, name, whole_year)
    is_resident = EXAMPLES[name]["expected"][f"ge_365_{counting}"]
    assert (status_at(residence, date(2018, 12, 31)) == "resident") is is_resident


@pytest.mark.parametrize("preset", ["most_of_12", "eu_2025"])
@pytest.mark.parametrize("name", CONTRAST)
def test_most_of_the_time_at_each_reference_date(engine: Engine, name: str, preset: str) -> None:
    """The examples state it of 31 December, where these rules have their reference dates, and of 30 June."""
    residence, _ = follow(engine, name, earlier(preset))
    stated: dict[str, Any] = EXAMPLES[name]["expected"]["eu_2025_2458"]
    dates = {key.removeprefix("ref_"): value["most_of_the_time"] for key, value in stated.items()}
    yearly = {date.fromisoformat(day): is_most for day, is_most in dates.items() if day.endswith("-12-31")}
    assert yearly
    found = {day: status_at(residence, day) == "resident" for day in yearly}
    assert found == yearly


def test_continuous_months_and_intention(engine: Engine) -> None:
    """The student had not lived here for 12 months on 31 December 2018, but had a visa for two years."""
    name = "derived-student-many-rules"
    rule = read_rule("eu_2013", CONFIGS)
    assert isinstance(rule, ReferenceDateRule)
    is_continuous = EXAMPLES[name]["expected"]["eu_1260_2013_continuous_12_months_before_2018-12-31"]
    without, _ = follow(engine, name, rule.model_copy(update={"intended_stay": "ignored"}))
    assert (status_at(without, date(2018, 12, 31)) == "resident") is is_continuous is False
    intending, _ = follow(engine, name, rule, with_visa=True)
    assert status_at(intending, date(2018, 12, 31)) == "resident"
    # From the arrival on, the 12 months hold an absence of 82 days, which is tolerated: also seen without the visa.
    seen, _ = follow(engine, name, rule)
    assert status_at(seen, date(2018, 12, 31)) == "resident"


def test_a_departure_that_is_missing_lies_at_the_end_of_the_visa(engine: Engine) -> None:
    """The example counts the visa's last day as that of the departure, we the day after: it is a day of presence."""
    example = EXAMPLES["derived-fald-missing-last-departure"]
    expected, visa = example["expected"], example["visa"]
    moves = crossings_of("derived-fald-missing-last-departure")
    left = (date.fromisoformat("2021-06-30"), "departure")
    country = Country().add("not seen to leave", *moves).add("left", *moves, left)
    for name in ("not seen to leave", "left"):
        days = {key: date.fromisoformat(value) for key, value in visa.items()}
        country.record(name, "visas", purpose="study", **days)
    assert expected["assumed_last_departure"] == visa["valid_to"]
    period = Period.model_validate({"from": date(2017, 1, 1), "to": date(2023, 12, 31)})
    choices: dict[str, Any] = {"policies": ("visa_end", "midpoint"), "initial_status": ("not_registered",)}
    rule = read_rule("un_12_months", CONFIGS)
    _, migrations = country.follow(engine, [rule], period, True, **choices)
    found = migrations.select("person_id", "policy", "event_date", "direction").rows()
    assert expected["long_term_immigrant"] is True
    assert expected["if_true_departure_2021-06-30"]["long_term_immigrant"] is False
    # As midpoint, the last stay was a short visit.
    assert found == [("not seen to leave", "visa_end", moves[0][0], "immigration")]


def test_crossings_alone_are_classified_by_forward_rules_only(tmp_path: Path) -> None:
    given = tmp_path / "crossings.csv"
    rows = ["person_id,crossed_date,direction,initial_status", "a,2015-01-01,arrival,non_resident"]
    given.write_text("\n".join([*rows, "a,2016-01-01,departure,", "a,2018-01-01,arrival,"]) + "\n", "utf-8")
    out = tmp_path / "classified.csv"
    classify_file(given, "un_12_months", None, Observed(), out)
    found = pl.read_csv(out)
    assert found["is_migration"].to_list() == [True, True, None]
    classify_file(given, "abs_12_16", None, Observed(), out)
    assert pl.read_csv(out)["is_migration"].to_list() == [True, True, None]
    for name in ("most_of_12", "eu_2013", "eu_2025", "days_183"):
        with pytest.raises(ConfigError, match=r"looks back .* use `miglink run`"):
            classify_file(given, name, None, Observed(), out)
    with pytest.raises(ConfigError, match="visa or permit, and crossings alone hold none"):
        classify_file(given, "nz_12_16", "visa_end", Observed(), out)
