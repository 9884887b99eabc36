"""Stage 6 within the pipeline: statuses and migrations of persons with registers, permits, births and deaths."""

from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import strategies as st
from ruamel.yaml import YAML

from given_examples import for_all
from given_travellers import CONFIGS, IN, OUT, PERIOD, Country
from miglink.config import read_rule
from miglink.config.rules import ForwardWindowRule
from miglink.config.stages import Period
from miglink.engine import Engine
from miglink.stages.residence.classification import settle_chain

NZ = YAML(typ="safe").load((CONFIGS / "rules" / "nz_12_16.yml").read_text("utf-8"))
POLICIES = ("unresolved", "midpoint", "open_until_next", "reject_person")
RESIDENT, ABROAD, UNKNOWN = "resident", "non_resident", "undetermined"
BEFORE = date(2011, 12, 31)


def make_rule(
    threshold: int = 365, window: int = 487, unit: str = "days", **changes: Any
) -> ForwardWindowRule:
    numbers = {
        "threshold": NZ["threshold"] | {"value": threshold, "unit": unit},
        "window": NZ["window"] | {"value": window, "unit": unit},
    }
    return ForwardWindowRule.model_validate(NZ | numbers | changes)


def statuses_of(residence: pl.DataFrame, person: str) -> list[tuple[Any, ...]]:
    rows = residence.filter(person_id=person).sort("from_date")
    return list(rows.select("from_date", "to_date", "status", "basis", "end_reason").iter_rows())


def test_an_immigrant_who_leaves_again(engine: Engine) -> None:
    country = Country().add(
        "a", (date(2014, 3, 1), IN), (date(2014, 6, 1), OUT), (date(2014, 6, 8), IN), (date(2017, 5, 1), OUT)
    )
    residence, migrations = country.follow(engine, [make_rule()])
    assert statuses_of(residence, "a") == [
        (BEFORE, date(2014, 3, 1), ABROAD, "first_crossing", "migration"),
        (date(2014, 3, 1), date(2017, 5, 1), RESIDENT, "crossing", "migration"),
        (date(2017, 5, 1), None, ABROAD, "crossing", None),
    ]
    columns = (
        "event_date",
        "sequence",
        "direction",
        "outcome",
        "p_migration",
        "is_implied",
        "migration_final_date",
    )
    assert list(migrations.select(columns).iter_rows()) == [
        (date(2014, 3, 1), 2, "immigration", "migration", 1.0, False, date(2015, 3, 8)),
        (date(2017, 5, 1), 5, "emigration", "migration", 1.0, False, date(2018, 5, 1)),
    ]
    assert migrations["purpose"].to_list() == ["work", "work"]
    assert residence["status_final_date"].to_list() == [date(2014, 3, 1), date(2015, 3, 8), date(2018, 5, 1)]


def test_registration_counts_with_a_sign_of_life(engine: Engine) -> None:
    country = Country()
    for name, crossings in {
        "active": [],
        "inactive": [(date(2015, 5, 1), IN)],
        "active before the first arrival": [(date(2015, 5, 1), IN)],
        "active after it": [(date(2015, 5, 1), IN)],
        "permit only": [],
        "neither": [],
    }.items():
        country.add(name, *crossings)
        if name not in ("permit only", "neither"):
            country.record(name, "register", valid_from=date(2000, 1, 1))
    for name, year in (
        ("active", 2012),
        ("active before the first arrival", 2014),
        ("active after it", 2016),
    ):
        country.record(name, "activity", valid_from=date(year, 1, 1), valid_to=date(year, 12, 31))
    country.record("permit only", "permits", valid_from=date(2011, 6, 1), valid_to=date(2012, 6, 1))
    order = ("active_registration", "not_listed", "first_crossing", "register")
    residence, _ = country.follow(engine, [make_rule()], is_listed=True, initial_status=order)
    firsts = residence.filter(from_date=BEFORE).select(
        "person_id", pl.concat_str("status", "basis", separator=" ")
    )
    assert dict(firsts.iter_rows()) == {
        "active": "resident active_registration",
        "inactive": "non_resident first_crossing",
        "active before the first arrival": "resident active_registration",
        "active after it": "non_resident first_crossing",
        "permit only": "undetermined none",
        "neither": "non_resident not_listed",
    }


def test_a_visitor_whose_departure_is_missing_is_no_migrant(engine: Engine) -> None:
    country = (
        Country().add("a", (date(2014, 3, 1), IN)).add("b", (date(2014, 3, 1), IN), (date(2017, 3, 1), IN))
    )
    policies = ("unresolved", "midpoint", "open_until_next", "reject_person")
    order = ("not_registered",)
    residence, migrations = country.follow(
        engine, [make_rule()], is_listed=True, policies=policies, initial_status=order
    )
    last = residence.filter(pl.col("to_date").is_null()).select("person_id", "policy", "status")
    assert sorted(last.iter_rows()) == sorted(
        [
            ("a", "unresolved", UNKNOWN), ("a", "midpoint", ABROAD), ("a", "open_until_next", RESIDENT),
            # That a departure is missing is only likely: nobody is rejected for it.
            ("a", "reject_person", RESIDENT),
            ("b", "unresolved", UNKNOWN), ("b", "midpoint", ABROAD), ("b", "open_until_next", RESIDENT),
            ("b", "reject_person", ABROAD),
        ]
    )  # fmt: skip
    assert migrations.filter(policy="midpoint").is_empty()
    open_ones = migrations.filter(policy="unresolved", person_id="a")
    assert sorted(open_ones.select("direction", "outcome", "is_implied").iter_rows()) == [
        ("emigration", "undetermined", True),
        ("immigration", "undetermined", False),
    ]


def test_what_rests_on_a_presumed_return_is_never_final(engine: Engine) -> None:
    """Signs of life after a last departure: taken to have come back, until an arrival shows that nothing is missing."""
    country = Country()
    for name in ("silent", "active", "active, and back"):
        crossings = [(date(2013, 3, 1), IN), (date(2015, 3, 1), OUT)]
        country.add(name, *crossings, *([(date(2017, 6, 1), IN)] if name.endswith("back") else []))
        if name != "silent":
            country.record(name, "activity", valid_from=date(2016, 1, 1), valid_to=date(2016, 12, 31))
    residence, migrations = country.follow(
        engine, [make_rule(), read_rule("eu_2013", CONFIGS)], policies=("midpoint",)
    )
    forward = residence.filter(rule="nz_12_16").sort("from_date")
    last = forward.group_by("person_id").last().sort("person_id")
    assert last.select("person_id", "from_date", "status", "status_final_date").rows() == [
        ("active", date(2013, 3, 1), RESIDENT, date(2014, 3, 1)),
        ("active, and back", date(2017, 6, 1), RESIDENT, date(2018, 6, 1)),
        ("silent", date(2015, 3, 1), ABROAD, date(2016, 2, 29)),
    ]
    for rule in ("nz_12_16", "eu_2013"):
        is_later = pl.col("status_final_date") > date(2015, 4, 15)
        later = residence.filter(is_later, rule=rule)["person_id"].unique().sort()
        assert later.to_list() == ["active, and back", "silent"]
    assert migrations.filter(pl.col("migration_final_date").is_null())["person_id"].unique().to_list() in (
        [], ["active"],
    )  # fmt: skip


def test_the_last_day_of_the_period_is_observed(engine: Engine) -> None:
    country = Country().add("a", (date(2018, 1, 1), IN)).add("b", (date(2018, 1, 2), IN))
    period = Period.model_validate({"from": date(2012, 1, 1), "to": date(2018, 12, 31)})
    residence, migrations = country.follow(engine, [make_rule()], period)
    assert statuses_of(residence, "a")[-1][2:4] == (RESIDENT, "crossing")
    assert statuses_of(residence, "b")[-1][2:4] == (UNKNOWN, "crossing")
    assert migrations.select("person_id", "outcome").rows() == [("a", "migration"), ("b", "undetermined")]


def test_the_evidence_for_the_initial_status_is_tried_in_order(engine: Engine) -> None:
    country, first = Country(), PERIOD.from_date
    for name in ("nothing", "registered", "removed", "permit", "holiday permit", "expired", "traveller"):
        country.add(name, *([(date(2014, 1, 1), IN)] if name == "traveller" else []))
    country.record("registered", "register", valid_from=first)
    country.record("removed", "register", valid_from=date(2010, 1, 1), ended_date=first)
    country.record("permit", "permits", valid_from=date(2010, 1, 1), valid_to=first, purpose="work")
    country.record("holiday permit", "permits", valid_from=date(2010, 1, 1), purpose="holiday")
    country.record("expired", "permits", valid_from=date(2010, 1, 1), valid_to=BEFORE, purpose="work")
    country.record("traveller", "register", valid_from=date(2010, 1, 1))
    chosen: dict[str, Any] = {
        "initial_status": ("first_crossing", "register", "permit"),
        "resident_permits": ("work",),
    }
    residence, _ = country.follow(engine, [make_rule()], **chosen)
    firsts = residence.filter(from_date=BEFORE)
    assert dict(firsts.select("person_id", pl.concat_str("status", "basis", separator=" ")).iter_rows()) == {
        "nothing": "undetermined none",
        "registered": "resident register",
        "removed": "undetermined none",
        "permit": "resident permit",
        "holiday permit": "undetermined none",
        "expired": "undetermined none",
        "traveller": "non_resident first_crossing",
    }
    chosen = {"initial_status": ("register", "first_crossing", "not_registered")}
    residence, _ = country.follow(engine, [make_rule()], **chosen)
    found = dict(residence.filter(from_date=BEFORE).select("person_id", "basis").iter_rows())
    assert (found["traveller"], found["nothing"], found["permit"]) == (
        "register",
        "not_registered",
        "not_registered",
    )


def test_children_have_their_mothers_status(engine: Engine) -> None:
    born = {"birth_date": date(2015, 6, 1), "is_born_here": True}
    country = Country()
    country.add("mother", (date(2015, 6, 1), IN)).add(
        "visitor", (date(2015, 5, 1), IN), (date(2015, 7, 1), OUT)
    )
    country.add("unclear mother").add("dead mother", death_date=date(2015, 6, 1))
    country.add("a", mother_person_id="mother", **born).add("b", mother_person_id="visitor", **born)
    country.add("c", mother_person_id="unclear mother", **born).add("d", **born).add("e", **born)
    country.add("f", (date(2015, 7, 1), OUT), mother_person_id="mother", **born)
    country.add("g", (date(2016, 7, 1), IN), birth_date=date(2015, 6, 1))
    country.add("h", mother_person_id="dead mother", **born)
    country.record("d", "register", valid_from=date(2015, 6, 20)).record(
        "e", "register", valid_from=date(2018, 1, 1)
    )
    country.record("dead mother", "register", valid_from=date(2000, 1, 1))
    residence, _ = country.follow(engine, [make_rule()])
    birth = date(2015, 6, 1)
    assert statuses_of(residence, "a") == [(birth, None, RESIDENT, "mother", None)]
    assert statuses_of(residence, "b") == [(birth, None, ABROAD, "mother", None)]
    assert statuses_of(residence, "c") == [(birth, None, UNKNOWN, "none", None)]
    assert statuses_of(residence, "d") == [(birth, None, RESIDENT, "register", None)]
    assert statuses_of(residence, "e") == [(birth, None, UNKNOWN, "none", None)]
    assert statuses_of(residence, "f") == [
        (birth, date(2015, 7, 1), RESIDENT, "mother", "migration"),
        (date(2015, 7, 1), None, ABROAD, "crossing", None),
    ]
    assert statuses_of(residence, "g")[0] == (birth, date(2016, 7, 1), ABROAD, "birth_abroad", "migration")
    assert statuses_of(residence, "h") == [(birth, None, RESIDENT, "mother", None)]


@pytest.mark.parametrize("numbers", [(365, 487, "days"), (12, 16, "months")])
@pytest.mark.parametrize(("death", "status"), [("hold", RESIDENT), ("actual", ABROAD)])
def test_death_within_the_window(
    engine: Engine, death: str, status: str, numbers: tuple[int, int, str]
) -> None:
    died = date(2015, 1, 1)
    country = Country().add("a", (date(2014, 6, 1), IN), (date(2015, 2, 1), OUT), death_date=died)
    country.add("b", death_date=died).record("b", "register", valid_from=date(2000, 1, 1))
    country.add("c", death_date=date(2011, 1, 1)).add("d", birth_date=date(2020, 1, 1))
    residence, migrations = country.follow(engine, [make_rule(*numbers, death_in_window=death)])
    assert statuses_of(residence, "a")[-1][1:] == (
        died,
        status,
        "crossing" if death == "hold" else "first_crossing",
        "death",
    )
    assert statuses_of(residence, "b") == [(BEFORE, died, RESIDENT, "register", "death")]
    assert set(residence["person_id"]) == {"a", "b"}, (
        "who lived before or after the period has no status in it"
    )
    assert migrations["migration_final_date"].to_list() == ([died] if death == "hold" else [])


def test_what_death_decides_is_final_at_death(engine: Engine) -> None:
    """Ten days abroad are not enough to refuse the arrival: only the death on day 200 does."""
    moves = pl.DataFrame({"position": [1, 2, 3], "day": [0, 30, 40], "is_arrival": [True, False, True]})
    no_day = pl.lit(None, pl.Int64)
    chain = moves.with_columns(person_key=pl.lit(1), is_crossing=True, gap_day=no_day, likely_day=no_day)
    chain = chain.with_columns(is_by_evidence=False)
    traveller = pl.DataFrame(
        {
            "person_key": [1],
            "observed_day": [200],
            "initial_status": [0],
            "death_day": [200],
            "is_window_cut": [True],
        }
    )
    tables = (engine.frame("given_chain", chain), engine.frame("given_travellers", traveller))
    settled, _ = settle_chain(engine, *tables, make_rule(), "unresolved")
    found = pl.read_parquet(settled.path).sort("place")
    columns = ("status_after", "is_migration", "status_final_day", "migration_final_day")
    assert found.select(columns).rows() == [(0, False, 200, 200), (0, False, 200, 30), (0, False, 200, 200)]


def test_missing_crossings_are_dated_on_their_first_possible_day(engine: Engine) -> None:
    country = Country().add("a", (date(2014, 1, 1), IN), (date(2018, 1, 1), IN))
    rules = [make_rule()]
    residence, migrations = country.follow(engine, rules, policies=POLICIES)
    unresolved = residence.filter(policy="unresolved")
    assert statuses_of(unresolved, "a") == [
        (BEFORE, date(2014, 1, 1), ABROAD, "first_crossing", "undetermined"),
        (date(2014, 1, 1), date(2018, 1, 1), UNKNOWN, "crossing", "settled"),
        (date(2018, 1, 1), None, RESIDENT, "crossing", None),
    ]
    found = migrations.filter(policy="unresolved").select(
        "event_date", "sequence", "is_implied", "direction", "outcome"
    )
    assert found.rows() == [
        (date(2014, 1, 1), 2, False, "immigration", "undetermined"),
        (date(2014, 1, 1), 2, True, "emigration", "undetermined"),
        (date(2018, 1, 1), 3, False, "immigration", "undetermined"),
    ]
    assert statuses_of(residence.filter(policy="reject_person"), "a") == [
        (BEFORE, None, ABROAD, "rejected_person", None)
    ]
    assert statuses_of(residence.filter(policy="midpoint"), "a")[-1][:3] == (date(2014, 1, 1), None, RESIDENT)


def test_one_day_from_known_to_known_is_one_migration(engine: Engine) -> None:
    """The first departure of the day is undecided; the missing one, between two arrivals of it, settles the matter."""
    country = Country().add("a").record("a", "register", valid_from=date(2000, 1, 1))
    for hour, direction in enumerate((OUT, IN, IN, OUT)):
        at = datetime(2014, 1, 1, 8 + hour)
        country.record("a", "crossings", crossed_date=at.date(), crossed_at=at, direction=direction)
    residence, migrations = country.follow(engine, [make_rule()], initial_status=("register",))
    rows = statuses_of(residence, "a")
    assert [row[:3] for row in rows] == [
        (BEFORE, date(2014, 1, 1), RESIDENT),
        (date(2014, 1, 1), None, ABROAD),
    ]
    found = migrations.select("event_date", "direction", "outcome", "p_migration").rows()
    assert found == [(date(2014, 1, 1), "emigration", "migration", 1.0)]


@pytest.mark.parametrize(
    "rule",
    [make_rule(), *(read_rule(name, CONFIGS) for name in ("un_12_months", "abs_12_16"))],
    ids=lambda rule: rule.name,
)
def test_a_missing_crossing_is_a_sure_migration_on_a_day_that_is_not_known(engine: Engine, rule: Any) -> None:
    """A visitor of 2012 leaves for a trip in 2014: has come to stay, but in which of the three years?"""
    country = Country().add("a", (date(2012, 5, 20), OUT), (date(2014, 6, 1), OUT), (date(2014, 6, 11), IN))
    country.record("a", "permits", valid_from=date(2000, 1, 1), purpose="visit")
    residence, migrations = country.follow(engine, [rule], initial_status=("not_registered",))
    found = statuses_of(residence, "a")
    assert [row[:3] for row in found] == [
        (BEFORE, date(2012, 5, 20), ABROAD),
        (date(2012, 5, 20), date(2014, 6, 1), "undetermined"),
        (date(2014, 6, 1), None, RESIDENT),
    ]
    rows = migrations.select("event_date", "is_implied", "direction", "outcome")
    assert rows.rows() == [(date(2012, 5, 20), True, "immigration", "undetermined")]


def check_books(residence: pl.DataFrame, migrations: pl.DataFrame, n_persons: int, n_strata: int) -> None:
    """Statuses follow one another without gap, and changes between known statuses are the settled migrations."""
    stratum = ["person_id", "rule", "policy"]
    rows = residence.sort(*stratum, "from_date").with_columns(
        next_date=pl.col("from_date").shift(-1).over(stratum),
        before=pl.col("status").shift(1).over(stratum),
    )
    assert rows.group_by(stratum).len().height == n_persons * n_strata
    inner = rows.drop_nulls("next_date")
    assert inner["to_date"].to_list() == inner["next_date"].to_list()
    assert (inner["from_date"] < inner["to_date"]).all()
    assert not rows.filter(pl.col("status") == pl.col("before")).height
    known = rows.filter(
        pl.col("before").is_in([RESIDENT, ABROAD]) & pl.col("status").is_in([RESIDENT, ABROAD])
    )
    changes = known.select(
        *stratum,
        "from_date",
        pl.when(status=RESIDENT).then(pl.lit("immigration")).otherwise(pl.lit("emigration")),
    )
    settled = migrations.filter(outcome="migration").select(*stratum, "event_date", "direction")
    assert sorted(changes.rows()) == sorted(settled.rows())
    finals = residence.filter(pl.col("status_final_date").is_null() != (pl.col("status") == UNKNOWN))
    assert finals.is_empty()


DAYS = st.integers(0, 90)


@st.composite
def drawn_person(draw: st.DrawFn) -> dict[str, Any]:
    """A life of ninety days: crossings in any order, perhaps a birth, a mother, a death, a registration."""
    return {
        "crossings": draw(st.lists(st.tuples(DAYS, st.sampled_from([IN, OUT])), max_size=7)),
        "born": draw(st.one_of(st.none(), DAYS)),
        "died": draw(st.one_of(st.none(), st.none(), DAYS)),
        "is_born_here": draw(st.booleans()),
        "mother": draw(st.one_of(st.none(), st.integers(0, 14))),
        "registered": draw(st.one_of(st.none(), st.integers(-5, 60))),
    }


@for_all(6, people=st.lists(drawn_person(), min_size=15, max_size=15))
def test_statuses_and_migrations_balance(engine: Engine, people: list[dict[str, Any]]) -> None:
    start = date(2012, 1, 1)
    period = Period.model_validate({"from": start, "to": start + timedelta(80)})
    country = Country()
    for number, person in enumerate(people):
        birth = date(1980, 1, 1) if person["born"] is None else start + timedelta(person["born"])
        country.add(
            f"p{number:02}",
            *((start + timedelta(day), direction) for day, direction in person["crossings"]),
            birth_date=birth,
            death_date=None if person["died"] is None else start + timedelta(person["died"]),
            is_born_here=person["is_born_here"] and person["born"] is not None,
            mother_person_id=None if person["mother"] in (None, number) else f"p{person['mother']:02}",
        )
        if person["registered"] is not None:
            country.record(f"p{number:02}", "register", valid_from=start + timedelta(person["registered"]))
    living = [person for person in people if person["born"] is None or person["born"] <= 80]
    rules = [make_rule(7, 10, name="hold"), make_rule(7, 10, name="actual", death_in_window="actual")]
    rules.append(make_rule(1, 1, "months", name="month", death_in_window="actual"))
    residence, migrations = country.follow(engine, rules, period, policies=POLICIES)
    check_books(residence, migrations, len(living), 12)
