"""Stage 6: residence by registration, against an oracle that looks every day up; and countries with open borders."""

import json
import runpy
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import strategies as st

from given_examples import for_all
from given_tables import name_table
from given_travellers import CONFIGS, IN, Country
from miglink.classify import Observed, classify_file
from miglink.config import read_config, read_rule
from miglink.config.rules_of_evidence import RegistrationRule
from miglink.config.stages import EstimatesSettings, Period, SpellsSettings
from miglink.engine import Engine
from miglink.errors import ConfigError
from miglink.stages import estimates
from miglink.stages.spells import Country as Observation
from miglink.stages.spells import find_left_out, find_spells

ORACLE = runpy.run_path(str(Path(__file__).parent / "oracle" / "registers.py"))
START, LAST = date(2012, 1, 1), 60
PERIOD = Period.model_validate({"from": START, "to": START + timedelta(LAST)})


def make_rule(gap: int, birth: int, **changes: Any) -> RegistrationRule:
    given = read_rule("register", CONFIGS).model_dump() | changes
    for name, value in (("tolerated_gap", gap), ("birth_registration", birth)):
        given[name] = given[name] | {"value": value}
    return RegistrationRule.model_validate(given)


@st.composite
def drawn_life(draw: st.DrawFn) -> dict[str, Any]:
    """Registrations in any order, perhaps a birth before them and a death."""
    born = draw(st.one_of(st.none(), st.integers(0, LAST)))
    died = draw(st.one_of(st.none(), st.none(), st.integers(born or 0, LAST + 10)))
    registrations = []
    for _ in range(draw(st.integers(0, 4))):
        first = draw(st.integers(-9 if born is None else born, LAST + 5))
        end = draw(st.one_of(st.none(), st.integers(0, 20)))
        registrations.append((first, None if end is None else first + end))
    return {
        "registrations": tuple(registrations),
        "born": born,
        "is_born_here": born is not None and draw(st.booleans()),
        "died": died,
    }


def make_country(lives: list[dict[str, Any]]) -> Country:
    """The lives as records; those who are never registered have none."""
    country = Country()
    for n, life in enumerate(lives):
        days = {key: None if life[key] is None else START + timedelta(life[key]) for key in ("born", "died")}
        country.add(
            f"p{n:02}",
            birth_date=days["born"] or date(1980, 1, 1),
            death_date=days["died"],
            is_born_here=life["is_born_here"],
        )
        for first, end in life["registrations"]:
            ended = None if end is None else START + timedelta(end)
            country.record(
                f"p{n:02}",
                "register",
                valid_from=START + timedelta(first),
                ended_date=ended,
                end_reason="departure",
            )
    return country


@for_all(
    12,
    shrinks=False,
    lives=st.lists(drawn_life(), min_size=12, max_size=12),
    gap=st.sampled_from([0, 0, 1, 5]),
    birth=st.sampled_from([0, 10]),
)
def test_registers_agree_with_the_oracle(
    engine: Engine, lives: list[dict[str, Any]], gap: int, birth: int
) -> None:
    """Statuses of every day, migrations that are their changes, and days from which the statuses stay as they are."""
    rule, limits = make_rule(gap, birth), ORACLE["Rule"](gap, birth)
    tables = make_country(lives).find(engine, [rule], PERIOD)
    residence, migrations = (pl.read_parquet(table.path) for table in tables[:2])
    for n, life in enumerate(lives):
        own = residence.filter(person_id=f"p{n:02}").sort("from_date")
        true_life = ORACLE["Life"](**life)
        wanted = ORACLE["follow"](true_life, limits, LAST)
        found: dict[int, str] = {}
        for row in own.iter_rows(named=True):
            from_day = (row["from_date"] - START).days
            to_day = LAST + 1 if row["to_date"] is None else (row["to_date"] - START).days
            is_end = row["to_date"] is None or row["end_reason"] == "death"
            found |= dict.fromkeys(range(from_day, to_day + (1 if is_end else 0)), row["status"])
            check_final(row, true_life, limits)
        assert {day: found[day] for day in wanted} == wanted, life
        days = list(wanted.items())
        changes = [(day, status) for (_, was), (day, status) in pairwise(days) if was != status]
        moves = migrations.filter(person_id=f"p{n:02}").sort("sequence")
        assert [(day, status == "undetermined") for day, status in changes] == [
            ((row["event_date"] - START).days, row["outcome"] == "undetermined")
            for row in moves.iter_rows(named=True)
        ], life
        assert moves["sequence"].to_list() == list(range(1, moves.height + 1))
    check_accounts(engine, tables)


def check_final(row: dict[str, Any], life: Any, limits: Any) -> None:
    """From the final day on the records of every day say the same of the day on which the status begins."""
    day = (row["from_date"] - START).days
    assert (row["status_final_date"] is None) == (row["status"] == "undetermined")
    if row["status_final_date"] is None:
        return
    final = (row["status_final_date"] - START).days
    for known in {*range(max(final, day), LAST + 1, 9), LAST}:
        assert ORACLE["follow"](life, limits, known).get(day) == row["status"], (life, day, known)
    if limits.gap == 0 and row["basis"] == "register" and not life.is_born_here:
        assert final == day


def check_accounts(engine: Engine, tables: tuple[Any, Any, Any]) -> None:
    """Statuses and migrations agree, and the accounts balance: else stage estimates raises."""
    histories = estimates.Histories(*tables, name_table(engine, "person_traits", []))
    observation = estimates.Observation(PERIOD, {"register": 10}, False)
    estimates.estimate(engine, histories, observation, EstimatesSettings(reporting_country="QVR"))


def test_the_first_day_within_a_gap_is_final_when_the_gap_is_over(engine: Engine) -> None:
    """Registered until nine days before observation: two gaps of 90 days, one tolerated, the other not."""
    country = Country()
    for name in ("came back", "came late", "dead"):
        country.add(name, death_date=date(2012, 1, 20) if name == "dead" else None)
        country.record(name, "register", valid_from=date(2000, 1, 1), ended_date=START - timedelta(9))
    country.record("came back", "register", valid_from=START + timedelta(40))
    country.record("came late", "register", valid_from=START + timedelta(400))
    period = Period.model_validate({"from": START, "to": date(2014, 12, 31)})
    residence, _ = country.follow(engine, [make_rule(90, 90)], period)
    first = residence.sort("from_date").group_by("person_id").first().sort("person_id")
    assert first.select("person_id", "status", "status_final_date").rows() == [
        ("came back", "resident", START + timedelta(40)),
        ("came late", "non_resident", START + timedelta(81)),
        ("dead", "non_resident", date(2012, 1, 20)),
    ]
    early = Period.model_validate({"from": START, "to": START + timedelta(30)})
    residence, _ = country.follow(engine, [make_rule(90, 90)], early)
    assert residence.sort("person_id").select("person_id", "status").rows() == [
        ("came back", "undetermined"),
        ("came late", "undetermined"),
        ("dead", "non_resident"),
    ]


def test_an_end_within_a_tolerated_gap_is_open(engine: Engine) -> None:
    """Fifty days from the end of observation it is not known whether a registration goes on after 90 days."""
    period = Period.model_validate({"from": START, "to": date(2014, 12, 31)})
    country = Country()
    for name in ("open", "over", "dead", "went on"):
        country.add(name, death_date=date(2014, 12, 1) if name == "dead" else None)
    for name in ("open", "dead", "went on"):
        country.record(name, "register", valid_from=date(2000, 1, 1), ended_date=date(2014, 11, 11))
    country.record("over", "register", valid_from=date(2000, 1, 1), ended_date=date(2014, 10, 2))
    country.record("went on", "register", valid_from=date(2014, 12, 24))
    residence, migrations = country.follow(engine, [make_rule(90, 90)], period)
    last = residence.sort("from_date").group_by("person_id").last().sort("person_id")
    assert last.select("person_id", "from_date", "status", "status_final_date").rows() == [
        ("dead", date(2014, 11, 11), "non_resident", date(2014, 12, 1)),
        ("open", date(2014, 11, 11), "undetermined", None),
        ("over", date(2014, 10, 2), "non_resident", date(2014, 12, 31)),
        ("went on", date(2011, 12, 31), "resident", date(2011, 12, 31)),
    ]
    columns = ("person_id", "direction", "outcome", "p_migration", "migration_final_date")
    assert migrations.sort("person_id").select(columns).rows() == [
        ("dead", "emigration", "migration", 1.0, date(2014, 12, 1)),
        ("open", "emigration", "undetermined", None, None),
        ("over", "emigration", "migration", 1.0, date(2014, 12, 31)),
    ]


def test_every_policy_has_the_same_and_crossings_do_not_matter(engine: Engine) -> None:
    country = Country().add("a", (date(2012, 1, 9), IN), (date(2012, 1, 20), IN)).add("b")
    for name in "ab":
        country.record(name, "register", valid_from=date(2012, 1, 15))
    policies = ("unresolved", "reject_person")
    residence, migrations = country.follow(engine, [make_rule(0, 90)], PERIOD, policies=policies)
    assert migrations.select("person_id", "policy", "event_date", "purpose").sort("person_id", "policy").rows() == [
        (name, policy, date(2012, 1, 15), None) for name in "ab" for policy in ("reject_person", "unresolved")
    ]  # fmt: skip
    assert residence.height == 8


def test_open_borders_make_no_spells(engine: Engine) -> None:
    """The crossings are accounted for all the same."""
    country = Country().add("a", (date(2012, 1, 9), IN), (date(2011, 1, 9), IN))
    owned = (
        name_table(engine, "records", country.records),
        name_table(engine, "record_persons", country.owners),
        name_table(engine, "persons", country.persons),
    )
    settings = SpellsSettings(borders="open")
    spells, _ = find_spells(engine, *owned, Observation(PERIOD), settings)
    assert pl.read_parquet(spells.path).is_empty()
    left_out = find_left_out(engine, *owned, PERIOD, settings.borders)
    found = engine.collect("SELECT reason FROM left_out ORDER BY reason", left_out=left_out)
    assert found["reason"].to_list() == ["open_borders", "outside_period"]


def test_open_borders_admit_only_rules_that_need_no_crossings(tmp_path: Path) -> None:
    text = (CONFIGS / "agency.yml").read_text("utf-8")
    text = text.replace("../tests", str(CONFIGS.parent / "tests"))
    path = tmp_path / "config.yml"
    path.write_text(text + "\nspells: {borders: open}\n", "utf-8")
    both = 'residence.rules=["nz_12_16", "register", "eu_2013"]'
    with pytest.raises(ConfigError, match=r"borders: open.* nz_12_16, eu_2013 cannot do without them"):
        read_config(path, [both])
    config = read_config(path, ["residence.rules=[register]"])
    assert config.residence is not None
    assert [rule.needs_crossings for rule in config.residence.rules] == [False]
    assert len(read_config(path, [both, "spells.borders=recorded"]).model_dump()) > 0


@pytest.mark.parametrize(
    ("rule", "policy", "reason"),
    [
        ("nz_12_16", "visa_end", "`visa_end` needs a source of kind visas or permits"),
        ("register", "midpoint", "register needs a source of kind register"),
        ("visa_span", "midpoint", "visa_span needs a source of kind visas or permits"),
        ("residency_index", "midpoint", "residency_index needs a source of kind activity"),
    ],
)
def test_evidence_needs_sources(tmp_path: Path, rule: str, policy: str, reason: str) -> None:
    lines = [
        "name: little",
        "period: {from: 2015-01-01, to: 2018-12-31}",
        "key: {demo: true}",
        "sources:",
        "  border:",
        "    kind: crossings",
        "    files: border.csv",
        "    columns: {crossed_date: day, direction: way, person_id: who}",
        f"residence: {{rules: [{rule}], policies: [{policy}]}}",
    ]
    path = tmp_path / "config.yml"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    with pytest.raises(ConfigError, match=reason):
        read_config(path)
    assert read_config(path, ["residence.rules=[nz_12_16]", "residence.policies=[midpoint]"]).residence


def test_crossings_alone_cannot_be_classified_by_other_evidence(tmp_path: Path) -> None:
    given = tmp_path / "crossings.csv"
    given.write_text("person_id,crossed_date,direction\na,2015-01-01,arrival\n", "utf-8")
    for name in ("register", "visa_span"):
        with pytest.raises(ConfigError, match="rests on other evidence than crossings"):
            classify_file(given, name, None, Observed(), tmp_path / "out.csv")


def test_months_without_crossings_do_not_touch_figures_of_the_register(engine: Engine) -> None:
    country = Country().add("a")
    country.record("a", "register", valid_from=date(2000, 1, 1))
    rules = [make_rule(0, 0), read_rule("most_of_12", CONFIGS)]
    period = Period.model_validate({"from": START, "to": date(2014, 12, 31)})
    tables = country.find(engine, rules, period, initial_status=("register",))
    histories = estimates.Histories(*tables, name_table(engine, "person_traits", []))
    windows, empty = {rule.name: rule.follow_up_days for rule in rules}, (date(2013, 5, 1),)
    observation = estimates.Observation(
        period,
        windows,
        True,
        frozenset(),
        {},
        empty,
        rules_without_crossings=frozenset(r.name for r in rules if not r.needs_crossings),
    )
    made = estimates.estimate(engine, histories, observation, EstimatesSettings(reporting_country="QVR"))
    accounts = (
        pl.read_parquet(made[2].path).filter(period="2013").group_by("rule").agg(pl.col("status").unique())
    )
    assert {rule: status for rule, (status,) in accounts.iter_rows()} == {
        "register": "final",
        "most_of_12": "provisional",
    }


def test_a_rule_file_with_a_number_that_is_none_is_read(tmp_path: Path) -> None:
    """A gap may be of no days; it cannot be negative."""
    text = (CONFIGS / "rules" / "register.yml").read_text("utf-8")
    (tmp_path / "own.yml").write_text(text.replace("value: 0", "value: -1"), "utf-8")
    with pytest.raises(ConfigError, match=r"tolerated_gap\.value"):
        read_rule("own.yml", tmp_path)
    assert json.loads(read_rule("register", tmp_path).model_dump_json())["tolerated_gap"]["value"] == 0
