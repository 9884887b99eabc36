"""Stage 7: mobility that is no migration, on cases written out, and days above a limit against a slow count."""

import json
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from given_tables import name_table
from given_travellers import CONFIGS, IN, OUT, Country
from miglink.classify import Observed, classify_file
from miglink.config import read_any_rule, read_config, read_rule
from miglink.config.mobility import CircularSettings, CommuterSettings, MobilitySettings, RollingWindowRule
from miglink.config.stages import Period, SpellsSettings
from miglink.engine import Engine
from miglink.errors import ConfigError
from miglink.stages import estimates
from miglink.stages.estimates.mobility.rolling_days import find_days_above
from miglink.stages.estimates.mobility.stays import find_citizenships, with_citizenship
from miglink.stages.spells import Country as Seen
from miglink.stages.spells import find_spells

CASES = Path(__file__).parent / "cases"
START = date(2012, 1, 1)
EXAMPLES = json.loads((CASES / "residence_examples.json").read_text("utf-8"))["examples"]
WINDOWS = [example for example in EXAMPLES if example["kind"] == "sliding_window_days"]
PERIOD = Period.model_validate({"from": date(2012, 1, 1), "to": date(2019, 12, 31)})
HERE, ABROAD = date(2000, 1, 1), None


def schengen(**changes: Any) -> RollingWindowRule:
    rule = read_any_rule("schengen_90_180", CONFIGS)
    assert isinstance(rule, RollingWindowRule)
    return rule.model_copy(update=changes)


def days(number: int) -> dict[str, Any]:
    return {"limit": schengen().limit.model_copy(update={"value": number})}


def count(
    engine: Engine,
    country: Country,
    choices: MobilitySettings,
    period: Period = PERIOD,
    name: str = "nz_12_16",
) -> pl.DataFrame:
    """The rows of mobility for a country without a population list."""
    rule = read_rule(name, CONFIGS)
    residence, migrations, persons = country.find(
        engine,
        [rule],
        period,
        initial_status=("register", "not_registered"),
    )
    records, owners = (
        name_table(engine, "records", country.records),
        name_table(engine, "record_persons", country.owners),
    )
    traits = [
        {"person_id": one["person_id"], "trait": "citizenship", "value": one.get("citizenship", "XXX")}
        | {"valid_from": date(1, 1, 1), "valid_to": None, "source": "register"}
        for one in country.persons
    ]
    spells, _ = find_spells(engine, records, owners, persons, Seen(period, False), SpellsSettings())
    observation = estimates.Observation(period, {rule.name: rule.follow_up_days}, False)
    travellers = estimates.Travellers(
        residence, migrations, persons, name_table(engine, "person_traits", traits), spells, records, owners
    )
    table = estimates.count_mobility(engine, travellers, observation, choices, "QVR")
    return pl.read_parquet(table.path)


def said(rows: pl.DataFrame, measure: str) -> list[tuple[Any, ...]]:
    columns = ("period", "duration", "purpose", "citizenship_group", "n_settled", "n_undetermined")
    return sorted(rows.filter(measure=measure).select(columns).iter_rows())


def test_stays_and_trips_by_duration_and_purpose(engine: Engine) -> None:
    """A visitor comes twice, a resident goes once, an immigrant's stay is no visit; of a gap no length is known."""
    country = Country()
    visits = [
        (date(2015, 3, 1), IN),
        (date(2015, 3, 1), OUT),
        (date(2015, 12, 1), IN),
        (date(2016, 1, 15), OUT),
    ]
    country.add("visitor", *visits, citizenship="USA")
    country.add("resident", (date(2015, 5, 1), OUT), (date(2015, 5, 31), IN), citizenship="QVR")
    country.record("resident", "register", valid_from=HERE)
    country.add("migrant", (date(2014, 1, 1), IN), (date(2017, 1, 1), OUT), citizenship="FRA")
    country.add(
        "gap", (date(2013, 5, 1), IN), (date(2013, 5, 21), IN), (date(2013, 6, 1), OUT), citizenship="USA"
    )
    found = count(engine, country, MobilitySettings())
    assert said(found, "stays") == [
        ("2013", "1-29", "work", "other", 1, 0),
        ("2013", "unknown", "work", "other", 1, 0),
        ("2015", "0", "work", "other", 1, 0),
        ("2016", "30-89", "work", "other", 1, 0),
    ]
    assert said(found, "trips") == [("2015", "30-89", "work", "national", 1, 0)]
    assert set(found.filter(measure="stays")["status"]) == {"final"}


def test_present_and_lived_abroad_at_reference_dates(engine: Engine) -> None:
    country = Country()
    country.add("visitor", (date(2015, 12, 20), IN), (date(2016, 1, 2), OUT), citizenship="USA")
    country.add("born here", citizenship="QVR", birth_country="QVR")
    country.add("born abroad", citizenship="QVR", birth_country="FRA")
    country.add(
        "returned", (date(2013, 3, 1), OUT), (date(2015, 3, 1), IN), citizenship="QVR", birth_country="QVR"
    )
    country.add("unknown", citizenship="QVR")
    for person in ("born here", "born abroad", "returned", "unknown"):
        country.record(person, "register", valid_from=HERE)
    found = count(engine, country, MobilitySettings())
    assert said(found, "present_non_residents") == [("2016-01-01", "total", "total", "other", 1, 0)]
    lived = {row[0]: row[3:] for row in said(found, "lived_abroad")}
    assert lived["2014-01-01"] == ("national", 1, 1)
    assert lived["2016-01-01"] == ("national", 2, 1)
    assert said(found, "returns") == [("2015", "total", "total", "national", 1, 0)]


def test_circular_migrants_have_long_stays_between(engine: Engine) -> None:
    """Three changes of residence, each with 12 months after it; a fourth with less does not count."""
    moves = [(date(2012, 3, 1), OUT), (date(2013, 6, 1), IN), (date(2014, 9, 1), OUT)]
    country = Country().add("circular", *moves, citizenship="QVR").add("twice", *moves[:2], citizenship="QVR")
    for person in ("circular", "twice"):
        country.record(person, "register", valid_from=HERE)
    found = said(count(engine, country, MobilitySettings()), "circular_migrants")
    assert [row[0] for row in found] == ["2016-01-01", "2017-01-01", "2018-01-01", "2019-01-01", "2020-01-01"]
    fewer = MobilitySettings(circular=CircularSettings(years=2))
    assert said(count(engine, country, fewer), "circular_migrants") == []


def test_commuters_come_every_week(engine: Engine) -> None:
    first = date(2015, 1, 5)
    weekly = [
        (first + timedelta(weeks=week, days=day), way)
        for week in range(45)
        for day, way in ((0, IN), (4, OUT))
    ]
    country = (
        Country().add("commuter", *weekly, citizenship="FRA").add("guest", *weekly[:40], citizenship="FRA")
    )
    country.add("resident", *((day, IN if way == OUT else OUT) for day, way in weekly), citizenship="QVR")
    country.record("resident", "register", valid_from=HERE)
    found = count(engine, country, MobilitySettings())
    assert said(found, "commuters_in") == [("2015", "total", "total", "eu", 1, 0)]
    assert said(found, "commuters_out") == [("2015", "total", "total", "national", 1, 0)]
    rare = MobilitySettings(commuters=CommuterSettings(weeks=46))
    assert said(count(engine, country, rare), "commuters_in") == []


def above(
    engine: Engine, country: Country, rule: RollingWindowRule, end: date
) -> dict[tuple[str, str], list[int]]:
    """The days above the limit by person and evidence, as days since 2012-01-01."""
    records, owners = (
        name_table(engine, "records", country.records),
        name_table(engine, "record_persons", country.owners),
    )
    persons = name_table(engine, "persons", country.persons)
    period = Period.model_validate({"from": date(2012, 1, 1), "to": end - timedelta(days=1)})
    spells, _ = find_spells(engine, records, owners, persons, Seen(period, False), SpellsSettings())
    table = find_days_above(engine, spells, records, owners, (rule, end))
    rows = engine.collect("SELECT person_id, evidence, from_day, until_day FROM t ORDER BY from_day", t=table)
    found: dict[tuple[str, str], list[int]] = {}
    start = (date(2012, 1, 1) - date(1900, 1, 1)).days
    for person, evidence, first, until in rows.iter_rows():
        found.setdefault((person, evidence), []).extend(range(first - start, until - start))
    return found


def test_cases(engine: Engine) -> None:
    """All cases in one country: nobody's days depend on another's."""
    file = YAML(typ="safe").load((CASES / "schengen_90_180.yml").read_text("utf-8"))
    country = Country()
    for case in file["cases"]:
        name, stated = case["name"], case["given"]
        country.add(name)
        for hour, (day, direction) in enumerate(text.split() for text in stated["crossings"]):
            at = datetime.combine(date.fromisoformat(day), time(hour))
            country.record(name, "crossings", crossed_date=at.date(), crossed_at=at, direction=direction)
        for kind in ("permits", "visas"):
            for first, last, purpose in (text.split() for text in stated.get(kind, ())):
                span = {"valid_from": date.fromisoformat(first), "valid_to": date.fromisoformat(last)}
                country.record(name, kind, purpose=purpose, **span)
        if "register" in stated:
            country.record(name, "register", valid_from=stated["register"])
    end = Period.model_validate(file["period"]).data_to_date
    days = above(engine, country, schengen(), end)
    found, expected = {}, {}
    for case in file["cases"]:
        for evidence in ("least", "most"):
            key = case["name"], evidence
            wanted = case["expect"].get("most" if evidence == "most" else "above", case["expect"]["above"])
            spans = [[date.fromisoformat(day) for day in text.split()] for text in wanted]
            expected[key] = sorted(
                (first - START).days + n for first, last in spans for n in range((last - first).days + 1)
            )
            found[key] = sorted(days.get(key, []))
    assert found == expected
    assert len(file["cases"]) >= 12


@pytest.mark.parametrize("example", WINDOWS, ids=lambda example: str(example["id"]))
def test_published_windows(engine: Engine, example: dict[str, Any]) -> None:
    """The most days in any window are one more than the largest limit that is broken."""
    ends = [
        (date.fromisoformat(stay[key]), way)
        for stay in example["stays"]
        for key, way in (("entry", IN), ("exit", OUT))
    ]
    shift = date(2012, 1, 1) - date(ends[0][0].year, 1, 1)
    country = Country().add("a", *((day + shift, way) for day, way in ends))
    most, params = example["expected"]["max_days_in_window"], example["params"]
    window = {"window": schengen().window.model_copy(update={"value": params["window_days"]})}
    broken = {
        limit: bool(above(engine, country, schengen(**days(limit), **window), date(2019, 1, 1)))
        for limit in (most - 1, most, params["max_days"])
    }
    assert broken == {most - 1: True, most: False, params["max_days"]: example["expected"]["breach"]}
    assert len(WINDOWS) == 3


def test_the_first_day_above_follows_the_last_allowed(engine: Engine) -> None:
    """Entry on 1 May: 29 July is the 90th day, and who is still there is above the limit from 30 July on."""
    (example,) = (one for one in EXAMPLES if one["id"] == "derived-ees-overstayer")
    shift = date(2012, 1, 1) - date(2026, 1, 1)
    day = {key: date.fromisoformat(example[key]) + shift for key in ("entry", "observation_end")}
    last = date.fromisoformat(example["expected"]["last_authorised_day"]) + shift
    country = Country().add("a", (day["entry"], IN))
    found = above(engine, country, schengen(), day["observation_end"])
    assert found["a", "most"][0] == (last - date(2012, 1, 1)).days + 1
    assert len(found["a", "most"]) == (day["observation_end"] - last).days - 1


def test_permits_visas_for_longer_and_registrations_do_not_count(engine: Engine) -> None:
    stay = ((date(2015, 1, 1), IN), (date(2015, 7, 1), OUT))
    country = Country()
    for person in ("none", "permit", "study", "tourism", "registered"):
        country.add(person, *stay, citizenship="USA")
    span = {"valid_from": date(2014, 12, 1), "valid_to": date(2015, 12, 1)}
    country.record("permit", "permits", purpose="work", **span)
    country.record("study", "visas", purpose="study", **span)
    country.record("tourism", "visas", purpose="tourism", **span)
    country.record("registered", "register", valid_from=date(2015, 2, 1))
    found = above(engine, country, schengen(), date(2016, 1, 1))
    assert {person for person, _ in found} == {"none", "tourism"}
    counted = count(engine, country, MobilitySettings(rules=(schengen(),)))
    assert said(counted, "above_limit") == [("2015", "total", "total", "other", 2, 0)]
    assert said(counted, "days_above_limit") == [("2015", "total", "total", "other", 2 * 92, 0)]
    free = MobilitySettings(rules=(schengen(citizenship_groups=("eu",)),))
    assert said(count(engine, country, free), "above_limit") == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=8),
    limit=st.integers(1, 30),
    is_inclusive=st.booleans(),
    permit=st.tuples(st.integers(0, 200), st.integers(0, 60)),
)
def test_days_above_are_those_of_a_slow_count(
    duckdb_engine: Engine,
    lengths: list[tuple[int, int]],
    limit: int,
    is_inclusive: bool,
    permit: tuple[int, int],
) -> None:
    """Every day is looked at by itself: is it a day of stay, and how many of the 60 that end with it are?"""
    moves, day, stays = [], 0, set()
    held = set(range(permit[0], permit[0] + permit[1] + 1))
    for away, here in lengths:
        day += away
        moves += [(day, IN), (day + here, OUT)]
        stays |= set(range(day, day + here + is_inclusive)) - held
        day += here
    start = date(2012, 1, 1)
    country = Country().add("a", *((start + timedelta(days=at), way) for at, way in moves))
    for number, record in enumerate(country.records):
        record["crossed_at"] = None
        record["record_id"] = f"{number:06}"
    spans = [start + timedelta(days=permit[0]), start + timedelta(days=sum(permit))]
    country.record("a", "permits", purpose="work", valid_from=spans[0], valid_to=spans[1])
    rule = schengen(
        **days(limit),
        window=schengen().window.model_copy(update={"value": 60}),
        counting="inclusive" if is_inclusive else "half_open",
    )
    expected = sorted(d for d in stays if len(stays & set(range(d - 59, d + 1))) > limit)
    assert above(duckdb_engine, country, rule, date(2014, 1, 1)).get(("a", "least"), []) == expected


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="less than the window"):
        RollingWindowRule.model_validate(schengen(**days(180)).model_dump())
    with pytest.raises(ValueError, match="from the smallest"):
        MobilitySettings(durations=(30, 1))
    with pytest.raises(ConfigError, match="not who lives here"):
        classify_file(tmp_path / "x.csv", "schengen_90_180", None, Observed(), tmp_path / "y.csv")
    agency = CONFIGS / "agency.yml"
    with pytest.raises(ConfigError, match=r"name it under `mobility\.rules`"):
        read_config(agency, ["residence.rules=[schengen_90_180]"])
    with pytest.raises(ConfigError, match=r"name it under `residence\.rules`"):
        read_config(agency, ["mobility.rules=[nz_12_16]"])
    assert read_config(agency, ["mobility.rules=[schengen_90_180]"]).mobility.rules[0].limit.value == 90


def test_a_citizenship_that_ended_is_not_known_until_the_next(engine: Engine) -> None:
    trait: dict[str, Any] = {"person_id": "a", "trait": "citizenship", "source": "register"}
    days = [(date(1, 1, 1), date(2014, 1, 1), "USA"), (date(2016, 1, 1), None, "FRA")]
    traits = [
        trait | {"valid_from": first, "valid_to": until, "value": value} for first, until, value in days
    ]
    citizenships = find_citizenships(engine, name_table(engine, "person_traits", traits))
    asked = engine.frame(
        "asked", pl.DataFrame({"person_id": "a", "day": [date(y, 6, 1) for y in (2013, 2015, 2017)]})
    )
    select = with_citizenship("SELECT * FROM asked", "day")
    found = engine.collect(
        f"SELECT * FROM ({select}) AS s ORDER BY day", asked=asked, citizenships=citizenships
    )
    assert found["citizenship"].to_list() == ["USA", "unknown", "FRA"]
