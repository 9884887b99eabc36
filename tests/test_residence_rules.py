"""Stage 6: the rules beside nz_12_16 on cases that statisticians wrote, and several rules at once."""

from collections.abc import Callable
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML

from given_tables import name_table
from given_travellers import CONFIGS, PERIOD, Country
from miglink.config import preset_rules, read_rule
from miglink.config.calendar_months import range_of_days
from miglink.config.rules import Rule
from miglink.config.stages import EstimatesSettings, Period
from miglink.engine import Engine
from miglink.errors import ConfigError
from miglink.stages import estimates

CASES = CONFIGS.parent / "tests" / "cases"
POLICIES = ("unresolved", "midpoint", "open_until_next", "reject_person", "visa_end")
RULES = ("un_12_months", "most_of_12", "eu_2013", "eu_2025", "days_183", "abs_12_16")
ON_EVIDENCE = ("register", "visa_span", "residency_index")
POLICY_CASES = ("visa_end",)
STATUS_ORDER = ("register", "not_listed")
DAYS = {"value": 183, "unit": "days", "reference": "none"}


def build(cases: list[dict[str, Any]], period: Period) -> Country:
    """The persons of the cases. Unknown at the start: neither registered, nor without a permit for a visit."""
    country, always = Country(), date(2000, 1, 1)
    for case in cases:
        name, given = case["name"], case["given"]
        moves = [text.split() for text in given.get("crossings", ())]
        facts: dict[str, Any] = {"death_date": given.get("died")}
        if "born" in given:
            place, day = given["born"].split()
            facts |= {"birth_date": date.fromisoformat(day), "is_born_here": place == "here"}
        if "mother_is" in given:
            facts["mother_person_id"] = f"mother of {name}"
            country.add(f"mother of {name}")
            if given["mother_is"] == "resident":
                country.record(f"mother of {name}", "register", valid_from=always)
        country.add(name, **facts)
        for hour, (day, direction) in enumerate(moves):
            at = datetime.combine(date.fromisoformat(day), time(hour))
            country.record(name, "crossings", crossed_date=at.date(), crossed_at=at, direction=direction)
        if given.get("initial") == "resident":
            country.record(name, "register", valid_from=always)
        if given.get("initial") == "unknown":
            country.record(name, "permits", valid_from=always, valid_to=period.from_date, purpose="visit")
        for kind in ("permits", "visas"):
            for first, last, purpose in (text.split() for text in given.get(kind, ())):
                country.record(
                    name,
                    kind,
                    valid_from=date.fromisoformat(first),
                    valid_to=None if last == "endless" else date.fromisoformat(last),
                    purpose=purpose,
                )
        for first, *rest in (str(text).split() for text in given.get("registers", ())):
            end = {"ended_date": date.fromisoformat(rest[0]), "end_reason": rest[1]} if rest else {}
            country.record(name, "register", valid_from=date.fromisoformat(first), **end)
        for first, last, domain in (text.split() for text in given.get("activity", ())):
            days = {"valid_from": date.fromisoformat(first), "valid_to": date.fromisoformat(last)}
            country.record(name, "activity", domain=domain, **days)
    return country


def change_rule(name: str, changes: dict[str, Any]) -> Rule:
    """A preset with other values."""
    rule: Rule = TypeAdapter(Rule).validate_python(read_rule(name, CONFIGS).model_dump() | changes)
    return rule


def say_status(row: dict[str, Any]) -> str:
    return f"{row['from_date']} {row['status']} {row['basis']}"


def say_migration(row: dict[str, Any]) -> str:
    words = [str(row["event_date"]), row["direction"]]
    words += ["open"] * (row["outcome"] == "undetermined") + ["implied"] * row["is_implied"]
    words += ["expected"] * (row["outcome"] == "migration" and row["p_migration"] is None)
    words += [f"counted {row['counted_date']}"] * (row["counted_date"] != row["event_date"])
    return " ".join(words)


def say_all(rows: pl.DataFrame, say: Callable[[dict[str, Any]], str]) -> list[str]:
    return [say(row) for row in rows.iter_rows(named=True)]


@pytest.mark.parametrize("name", [*RULES, "days_183_inclusive", *ON_EVIDENCE, *POLICY_CASES])
def test_cases(engine: Engine, name: str) -> None:
    file = YAML(typ="safe").load((CASES / f"{name}.yml").read_text("utf-8"))
    period = Period.model_validate(file["period"])
    country = build(file["cases"], period)
    rule = change_rule(file["rule"], file.get("changes", {}))
    choices: dict[str, Any] = {"policies": POLICIES, "initial_status": STATUS_ORDER}
    residence, migrations = country.follow(engine, [rule], period, file.get("listed", False), **choices)
    found, expected = {}, {}
    for case in file["cases"]:
        own = {"person_id": case["name"], "policy": case.get("policy", file.get("policy", "unresolved"))}
        statuses = residence.filter(**own).sort("from_date")
        moves = migrations.filter(**own).sort("event_date", "direction", "is_implied")
        found[case["name"]] = (say_all(statuses[1:], say_status), say_all(moves, say_migration))
        expected[case["name"]] = (case["expect"]["residence"], case["expect"]["migrations"])
        initial = case["given"].get("initial")
        if initial is not None and "never seen" not in case["name"]:
            word = "undetermined" if initial == "unknown" or rule.first_date else initial
            assert statuses["status"][0] == word, case["name"]
        if "first" in case["expect"]:
            assert say_status(statuses.row(0, named=True)) == case["expect"]["first"], case["name"]
    assert found == expected
    assert len(found) == len(file["cases"]) >= 12


def test_presets_say_what_they_rest_on() -> None:
    assert set(preset_rules()) == {"nz_12_16", "schengen_90_180", *RULES, *ON_EVIDENCE}
    rules = {name: read_rule(name, CONFIGS) for name in preset_rules() if name != "schengen_90_180"}
    looking_back = {"most_of_12", "days_183", "eu_2013", "eu_2025", "residency_index"}
    assert {name for name, rule in rules.items() if not rule.has_flow_dates} == looking_back
    followed = {name: rule.follow_up_days for name, rule in rules.items()}
    # 16 months are 489 days at most: from 1 May before a leap year to 1 September in it.
    assert range_of_days(0, 16) == (485, 489)
    assert range_of_days(0, 12) == (365, 366)
    forward = {"nz_12_16": 487, "abs_12_16": 489, "un_12_months": 456}
    on_evidence = {"register": 90, "visa_span": 456, "residency_index": 0}
    backward = {"most_of_12": 0, "days_183": 0, "eu_2013": 456, "eu_2025": 366}
    assert followed == forward | backward | on_evidence
    in_force = {name: (rule.first_date, rule.last_date) for name, rule in rules.items()}
    change = date(2027, 12, 31)
    assert {in_force.pop("eu_2013"), in_force.pop("eu_2025")} == {(None, change), (change, None)}
    assert set(in_force.values()) == {(None, None)}
    assert all(rule.reference for rule in rules.values())


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("nz_12_16", {"threshold": 488}, "at most the whole of it"),
        ("nz_12_16", {"threshold": 243}, "more than half of the window"),
        ("nz_12_16", {"threshold": 0}, "greater than 0"),
        ("nz_12_16", {"counting": "inclusive"}, "the day of a crossing would count in both"),
        ("abs_12_16", {"threshold": 17}, r"threshold \(17 months\) .* at most the whole of it"),
        ("abs_12_16", {"window": 24}, r"more than half of the window \(24 months\)"),
        ("abs_12_16", {"window": DAYS}, "threshold is in months and window in days"),
        ("abs_12_16", {"counting": "inclusive"}, "the day of a crossing would count in both"),
        ("un_12_months", {"tolerated_absence": 183}, "less than half"),
        ("un_12_months", {"counting": "inclusive"}, "the day of a crossing would count in both"),
        ("eu_2013", {"tolerated_absence": 200}, "less than half"),
        ("eu_2013", {"tolerated_absence": None}, "only there"),
        ("eu_2013", {"duration": "most_of_window"}, "only there"),
        ("eu_2013", {"counting": "inclusive"}, "the day of a crossing would count in both"),
        ("eu_2013", {"applies_from": date(2028, 1, 1)}, "would never give a status"),
        ("eu_2025", {"applies_to": date(2026, 12, 31)}, "is after applies_to"),
        ("eu_2025", {"counting": "inclusive"}, "the day of a crossing would count in both"),
        ("eu_2025", {"duration": "continuous"}, "give it where `duration` is continuous"),
        ("days_183", {"threshold": 366}, r"threshold \(366 days\) is above the window"),
        ("days_183", {"threshold": 0}, "greater than 0"),
        ("days_183", {"threshold": -1}, "greater than 0"),
        ("days_183", {"threshold": None}, "give it where `duration` is cumulative"),
        ("days_183", {"intended_stay": "counts"}, "does not say which stay is to last"),
        ("most_of_12", {"threshold": DAYS}, "give it where `duration` is cumulative, and only there"),
        ("most_of_12", {"kind": "backward"}, "kind"),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused(name: str, changes: dict[str, Any], reason: str) -> None:
    given = read_rule(name, CONFIGS).model_dump()
    for key, value in changes.items():
        given[key] = given[key] | {"value": value} if isinstance(value, int) else value
    with pytest.raises(ValidationError, match=reason):
        TypeAdapter(Rule).validate_python(given)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            "kind: reference_date",
            "kind: reference_dates",
            "kind: no such kind of rule, did you mean 'reference_date'?",
        ),
        (
            "kind: reference_date",
            "",
            "kind: missing: the family of rules; known: forward_window, forward_months",
        ),
        ("counting: half_open", "counting: half_open\ntolerated: 3", "tolerated: unknown key, did you mean"),
        ("value: 12", "value: 9", "window.value: expected 12, found the number 9"),
    ],
)
def test_a_wrong_rule_file_is_explained(tmp_path: Path, old: str, new: str, reason: str) -> None:
    text = (CONFIGS / "rules" / "most_of_12.yml").read_text("utf-8")
    (tmp_path / "own.yml").write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(ConfigError) as error:
        read_rule("own.yml", tmp_path)
    assert reason in str(error.value)


def test_after_its_last_reference_date_a_rule_gives_no_status(engine: Engine) -> None:
    dated = {"applies_to": date(2016, 12, 31)}
    rule = read_rule("eu_2013", CONFIGS).model_copy(update=dated)
    country = Country().add("a").add("b", (date(2015, 3, 1), "arrival")).add("c", death_date=date(2017, 5, 1))
    for name in "ac":
        country.record(name, "register", valid_from=date(2000, 1, 1))
    residence, _ = country.follow(engine, [rule], initial_status=("register", "not_registered"))
    found = {name: say_all(residence.filter(person_id=name).sort("from_date"), say_status) for name in "abc"}
    assert found == {
        "a": ["2011-12-31 resident register", "2017-12-31 undetermined none"],
        "b": ["2011-12-31 non_resident not_registered", "2015-03-01 resident crossing", "2017-12-31 undetermined none"],
        "c": ["2011-12-31 resident register"],
    }  # fmt: skip


def test_after_its_last_reference_date_nothing_is_published(engine: Engine) -> None:
    """A flow of 0 persons, final, would be a statement about years that the rule does not speak of."""
    rule = read_rule("eu_2013", CONFIGS).model_copy(update={"applies_to": date(2016, 12, 31)})
    rules = [rule, read_rule("nz_12_16", CONFIGS)]
    country = Country().add("b", (date(2015, 3, 1), "arrival"))
    tables = country.find(engine, rules, PERIOD, initial_status=("register", "not_registered"))
    histories = estimates.Histories(*tables, name_table(engine, "person_traits", []))
    last_dates = {rule.name: rule.last_date for rule in rules if rule.last_date is not None}
    windows = {rule.name: rule.follow_up_days for rule in rules}
    observation = estimates.Observation(PERIOD, windows, False, frozenset({"eu_2013"}), last_dates)
    made = estimates.estimate(engine, histories, observation, EstimatesSettings(reporting_country="QVR"))
    ends = [
        pl.read_parquet(table.path).group_by("rule").agg(pl.max("period").str.head(10)) for table in made[:3]
    ]
    assert [dict(end.rows()) for end in ends] == [
        {"eu_2013": "2017-01-01", "nz_12_16": "2020-01-01"},
        {"eu_2013": "2016", "nz_12_16": "2019-12"},
        {"eu_2013": "2016", "nz_12_16": "2019"},
    ]


def test_who_is_first_seen_later_was_not_known_before(engine: Engine) -> None:
    """Data that end before the crossing of 2017 leave the status open, so it is not final until then."""
    left = (date(2017, 3, 1), "departure")
    country = Country().add("unknown", left).add("not listed", left).add("registered", left)
    country.record("registered", "register", valid_from=date(2000, 1, 1))
    country.record(
        "unknown", "permits", valid_from=date(2000, 1, 1), valid_to=date(2012, 1, 1), purpose="visit"
    )
    rules = [read_rule(name, CONFIGS) for name in ("most_of_12", "eu_2013")]
    residence, _ = country.follow(engine, rules, initial_status=STATUS_ORDER)
    at_2014 = residence.filter(pl.col("from_date") < date(2014, 1, 1), status="resident")
    found = at_2014.sort("rule", "person_id").select("person_id", "status_final_date").rows()
    assert found == 2 * [
        ("not listed", date(2017, 3, 1)),
        ("registered", date(2011, 12, 31)),
        ("unknown", date(2017, 3, 1)),
    ]


def test_before_twelve_months_are_observed_the_evidence_stands(engine: Engine) -> None:
    """From July on only half of the year is seen: too little for most of 12 months, and for a continuous stay."""
    period = Period.model_validate({"from": date(2012, 7, 1), "to": date(2014, 12, 31)})
    country = Country()
    for name in ("registered", "unregistered"):
        country.add(name, (date(2014, 5, 1), "departure"))
    # 2012 has 366 days, of which 182 are not observed.
    country.add("here for one day", (date(2012, 7, 2), "departure"))
    country.add("here for two days", (date(2012, 7, 3), "departure"))
    for name in ("registered", "here for one day", "here for two days"):
        country.record(name, "register", valid_from=date(2000, 1, 1))
    country.record("unregistered", "permits", valid_from=date(2012, 1, 1), purpose="visit")
    rules = [read_rule(name, CONFIGS) for name in ("most_of_12", "eu_2013")]
    residence, _ = country.follow(engine, rules, period, initial_status=STATUS_ORDER)
    at_first = residence.filter(pl.col("from_date") <= date(2012, 12, 31)).sort("from_date")
    for rule in ("most_of_12", "eu_2013"):
        last = {row["person_id"]: row["status"] for row in at_first.filter(rule=rule).iter_rows(named=True)}
        assert last["registered"] == "resident"
        assert last["here for one day"] == "non_resident"
        assert last["here for two days"] == ("non_resident" if rule == "eu_2013" else "resident")
        assert last["unregistered"] == ("resident" if rule == "most_of_12" else "undetermined")


def test_all_rules_and_two_policies_balance(engine: Engine) -> None:
    """The accounts of stage estimates fail where statuses and migrations disagree; here nothing may."""
    country = Country()
    period = Period.model_validate({"from": date(2012, 1, 1), "to": date(2032, 12, 31)})
    for name in (*RULES, *ON_EVIDENCE):
        cases = YAML(typ="safe").load((CASES / f"{name}.yml").read_text("utf-8"))["cases"]
        part = build([case | {"name": f"{name}: {case['name']}"} for case in cases], period)
        country.persons += part.persons
        shift = len(country.records)
        for rows, to in ((part.records, country.records), (part.owners, country.owners)):
            to += [row | {"record_id": f"{int(row['record_id']) + shift:06}"} for row in rows]
    rules = [read_rule(name, CONFIGS) for name in ("nz_12_16", *RULES, *ON_EVIDENCE)]
    chosen: dict[str, Any] = {"policies": ("unresolved", "visa_end"), "initial_status": STATUS_ORDER}
    residence, migrations, persons = country.find(engine, rules, period, **chosen)
    histories = estimates.Histories(residence, migrations, persons, name_table(engine, "person_traits", []))
    windows = {rule.name: rule.follow_up_days for rule in rules}
    observation = estimates.Observation(period, windows, False)
    settings = EstimatesSettings(reporting_country="QVR")
    tables = estimates.estimate(engine, histories, observation, settings)
    accounts = pl.read_parquet(tables[2].path)
    assert accounts["discrepancy"].unique().to_list() == [0]
    assert accounts.group_by("rule", "policy").len().height == 2 * len(rules)
    total = accounts.filter(sex="total", citizenship_group="total")
    assert total.filter(pl.col("immigration") > 0)["rule"].n_unique() == len(rules) == 10
