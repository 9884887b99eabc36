"""Stage 7: the days lived under each status and basis, and those of presence among them."""

from datetime import date, timedelta
from typing import Any

import polars as pl
from hypothesis import strategies as st

from given_examples import for_all, is_quick
from given_tables import name_table
from given_travellers import CONFIGS, IN, OUT, Country
from miglink.config import read_rule
from miglink.config.stages import Period, SpellsSettings
from miglink.engine import Engine, Table
from miglink.stages.estimates import Observation, find_person_time
from miglink.stages.spells import Country as Observed
from miglink.stages.spells import count_days, find_spells

RESIDENT, ABROAD, UNCLEAR = "resident", "non_resident", "undetermined"
# A leap year, and the first half of the year after it.
PERIOD = Period.model_validate({"from": date(2020, 1, 1), "to": date(2021, 6, 30)})
OBSERVATION = Observation(PERIOD, {"rule": 90}, False)
STRATUM = {"draw": 0, "rule": "rule", "policy": "midpoint"}
DAYS = ("person_days", "least_present_days", "most_present_days", "unseen_days")
Rows = list[dict[str, Any]]


def status(person: str, first: date | None, last: date | None, word: str, basis: str) -> dict[str, Any]:
    row = STRATUM | {"person_id": person, "from_date": first or date(2019, 12, 31), "to_date": last}
    return row | {"status": word, "basis": basis}


def stay(person: str, sequence: int, first: date, last: date | None, state: str) -> dict[str, Any]:
    row = {"draw": 0, "person_id": person, "sequence": sequence, "start_date": first, "end_date": last}
    return (
        row
        | {"state": state, "start_direction": "start", "start_basis": "crossing"}
        | {"end_basis": "crossing"}
    )


def count(
    engine: Engine, residence: Rows, spells: Rows, observation: Observation = OBSERVATION
) -> dict[tuple[str, ...], tuple[int, ...]]:
    """Days by year, status and basis."""
    statuses, stays = name_table(engine, "residence", residence), name_table(engine, "spells", spells)
    found = pl.read_parquet(find_person_time(engine, statuses, stays, observation).path)
    rows = found.select("period", "status", "basis", *DAYS).iter_rows()
    return {(year, word, basis): tuple(days) for year, word, basis, *days in rows}


def test_days_by_hand(engine: Engine) -> None:
    """A resident on holiday, an immigrant of 1 July 2020, one who stays at home, a dead one, and a newborn."""
    start, arrived = date(2020, 1, 1), date(2020, 7, 1)
    died, born = date(2020, 1, 11), date(2021, 6, 21)
    residence = [
        status("holiday", None, None, RESIDENT, "register"),
        status("comes", None, arrived, ABROAD, "not_listed"),
        status("comes", arrived, None, RESIDENT, "crossing"),
        status("at home", None, None, RESIDENT, "register"),
        status("dies", None, died, UNCLEAR, "none"),
        status("born", born, None, RESIDENT, "mother"),
        status("holiday", None, None, ABROAD, "register") | {"draw": 1},
    ]
    spells = [
        stay("holiday", 1, start, date(2020, 3, 1), "present"),
        stay("holiday", 2, date(2020, 3, 1), date(2020, 3, 15), "absent"),
        # One crossing of these 30 days is missing, and more is not known of them.
        stay("holiday", 3, date(2020, 3, 15), date(2020, 4, 14), "unresolved"),
        stay("holiday", 4, date(2020, 4, 14), None, "present"),
        stay("comes", 1, start, date(2020, 2, 1), "absent"),
        stay("comes", 2, date(2020, 2, 1), date(2020, 2, 3), "present"),
        stay("comes", 3, date(2020, 2, 3), arrived, "absent"),
        stay("comes", 4, arrived, None, "present"),
        stay("dies", 1, start, died, "unresolved"),
        stay("born", 1, born, date(2021, 6, 30), "present"),
        stay("born", 2, date(2021, 6, 30), None, "absent"),
        stay("comes", 1, start, None, "present") | {"draw": 1},
    ]
    assert count(engine, residence, spells) == {
        # 366 days each; away for 14, unresolved for 30.
        ("2020", RESIDENT, "register"): (732, 322, 352, 366),
        # Two days in February; from 1 July on a resident, that day included: 182 and 184 days.
        ("2020", ABROAD, "not_listed"): (182, 2, 2, 0),
        ("2020", RESIDENT, "crossing"): (184, 184, 184, 0),
        # From 1 January up to but not on the day of death.
        ("2020", UNCLEAR, "none"): (10, 0, 10, 0),
        # The half year has 181 days.
        ("2021", RESIDENT, "register"): (362, 181, 181, 181),
        ("2021", RESIDENT, "crossing"): (181, 181, 181, 0),
        ("2021", RESIDENT, "mother"): (10, 9, 9, 0),
    }


def test_nothing_is_counted_after_the_last_day_of_a_rule(engine: Engine) -> None:
    residence = [status("a", None, None, RESIDENT, "register")]
    ended = Observation(PERIOD, {"rule": 90}, False, last_dates={"rule": date(2020, 12, 31)})
    assert count(engine, residence, [], ended) == {("2020", RESIDENT, "register"): (366, 0, 0, 366)}
    assert count(engine, [], []) == {}


STEPS = st.one_of(st.sampled_from([0, 1, 30, 364, 365]), st.integers(0, 500))


@st.composite
def drawn_crossings(draw: st.DrawFn) -> list[tuple[date, str]]:
    """Crossings of a person, perhaps none, now and then one missing."""
    day, direction = PERIOD.from_date + timedelta(draw(STEPS)), draw(st.sampled_from([IN, OUT]))
    crossings: list[tuple[date, str]] = []
    while day <= PERIOD.to_date and len(crossings) < 6:
        crossings.append((day, direction))
        day += timedelta(draw(STEPS))
        direction = direction if draw(st.integers(0, 4)) == 0 else {IN: OUT, OUT: IN}[direction]
    return crossings


@for_all(4, shrinks=False, histories=st.lists(drawn_crossings(), min_size=8, max_size=8))
def test_days_of_random_histories(engine: Engine, histories: list[list[tuple[date, str]]]) -> None:
    """Day by day, from the definitions; every policy shares out the same days, and finds the same presence."""
    country = Country()
    for n, crossings in enumerate(histories):
        country.add(f"p{n:02}", *crossings)
    country.add("dies", (date(2020, 2, 1), IN), death_date=date(2020, 12, 31))
    rules = [read_rule(name, CONFIGS) for name in ("nz_12_16", "most_of_12")][: 2 if is_quick(engine) else 1]
    policies = ("unresolved", "midpoint")
    residence, _, persons = country.find(engine, rules, PERIOD, policies=policies)
    records, owners = (
        name_table(engine, name, rows)
        for name, rows in (("records", country.records), ("record_persons", country.owners))
    )
    spells, _ = find_spells(engine, records, owners, persons, Observed(PERIOD), SpellsSettings())
    observation = Observation(PERIOD, {rule.name: rule.follow_up_days for rule in rules}, False)
    found = pl.read_parquet(find_person_time(engine, residence, spells, observation).path)

    expected = list_days(pl.read_parquet(residence.path), pl.read_parquet(spells.path))
    assert found.drop("data_to_date").equals(expected)
    of_strata = found.group_by("rule", "policy").agg(pl.col(*DAYS).sum())
    assert of_strata.height == len(rules) * len(policies)
    assert of_strata.select(DAYS).unique().height == 1
    check_presence(engine, spells, found.filter(rule="nz_12_16", policy="midpoint"))


def list_days(residence: pl.DataFrame, spells: pl.DataFrame) -> pl.DataFrame:
    """Every day of every person: the status and the state at its end, counted."""
    n_days = (PERIOD.data_to_date - PERIOD.from_date).days
    days = pl.DataFrame({"day": [PERIOD.from_date + timedelta(n) for n in range(n_days)]})
    lived = residence.join(days, how="cross").filter(
        pl.col("from_date") <= pl.col("day"), (pl.col("to_date") > pl.col("day")).fill_null(True)
    )
    states = spells.join(days, how="cross").filter(
        pl.col("start_date") <= pl.col("day"), (pl.col("end_date") > pl.col("day")).fill_null(True)
    )
    seen = lived.join(states.select("person_id", "day", "state"), on=["person_id", "day"], how="left")
    assert seen.height == lived.height
    state = pl.col("state")
    return (
        seen.group_by(
            "rule", "policy", period=pl.col("day").dt.strftime("%Y"), status="status", basis="basis"
        )
        .agg(
            person_days=pl.len().cast(pl.Int64),
            least_present_days=(state == "present").sum().cast(pl.Int64),
            most_present_days=state.is_in(["present", "unresolved"]).sum().cast(pl.Int64),
            unseen_days=state.is_null().sum().cast(pl.Int64),
        )
        .sort("rule", "policy", "period", "status", "basis")
    )


def check_presence(engine: Engine, spells: Table, found: pl.DataFrame) -> None:
    """The presence of a year is what stage spells counts in it, at least and at most."""
    ends = {
        "2020": (date(2020, 1, 1), date(2021, 1, 1)),
        "2021": (date(2021, 1, 1), PERIOD.data_to_date),
    }
    persons = pl.read_parquet(spells.path)["person_id"].unique().sort()
    for year, (first, last) in ends.items():
        windows = pl.DataFrame({"person_id": persons}).with_columns(
            window_id="person_id", from_date=pl.lit(first), to_date=pl.lit(last)
        )
        counted = count_days(engine, spells, engine.frame("windows", windows), "half_open")
        least, most = pl.read_parquet(counted.path).select(pl.col("days_least", "days_most").sum()).row(0)
        of_year = found.filter(period=year)
        assert (of_year["least_present_days"].sum(), of_year["most_present_days"].sum()) == (least, most)
