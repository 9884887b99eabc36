"""Stage 6: residence by an index of signs of life, against an oracle that reckons in fractions."""

import runpy
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import strategies as st
from pydantic import ValidationError

from given_examples import for_all
from given_tables import name_table
from given_travellers import CONFIGS, Country
from miglink.config import read_rule
from miglink.config.rules_of_evidence import ResidencyIndexRule
from miglink.config.stages import EstimatesSettings, Period
from miglink.engine import Engine
from miglink.stages import estimates

ORACLE = runpy.run_path(str(Path(__file__).parent / "oracle" / "residency_index.py"))
START: date = ORACLE["START"]
N_YEARS = 5
PERIOD = Period.model_validate({"from": START, "to": date(START.year + N_YEARS - 1, 12, 31)})
LAST = (PERIOD.to_date - START).days
# The kinds of signs in the drawn lives: a kind of source, and a domain of activity.
WORTH = {"tax": 0.6, "school": 0.7, "crossings": 0.3}


def make_rule(
    stability: float = 0.8, added: float = 0.2, threshold: float = 0.7, **changes: Any
) -> ResidencyIndexRule:
    given = read_rule("residency_index", CONFIGS).model_dump(mode="json")
    for name, value in (("stability", stability), ("signs_of_life", added), ("threshold", threshold)):
        given[name] = given[name] | {"value": value}
    return ResidencyIndexRule.model_validate(given | changes, strict=False)


def make_signs() -> list[dict[str, Any]]:
    """An entry for each kind of sign; that of tax is of one source."""
    weight = {"unit": "share", "reference": "a test"}
    return [
        {
            "kind": "activity",
            "domains": ["tax"],
            "sources": ["activity"],
            "weight": weight | {"value": WORTH["tax"]},
        },
        {"kind": "activity", "domains": ["school"], "weight": weight | {"value": WORTH["school"]}},
        {"kind": "activity", "sources": ["another"], "weight": weight | {"value": 1}},
        {"kind": "crossings", "weight": weight | {"value": WORTH["crossings"]}},
    ]


# First and last days of years, and any others.
DAYS = st.one_of(
    st.sampled_from(
        [(date(START.year + n, 1, 1) - START).days - k for n in range(N_YEARS + 1) for k in (0, 1)]
    ),
    st.integers(-50, LAST),
)


@st.composite
def drawn_life(draw: st.DrawFn) -> dict[str, Any]:
    """Registrations and signs of life, perhaps a birth and a death."""
    born = draw(st.one_of(st.none(), st.none(), st.integers(0, LAST)))
    died = draw(st.one_of(st.none(), st.none(), st.integers(born or 0, LAST + 10)))
    earliest = -50 if born is None else born
    registrations = []
    for _ in range(draw(st.integers(0, 2))):
        first = max(earliest, draw(st.one_of(st.just(earliest), DAYS)))
        end = draw(st.one_of(st.none(), DAYS))
        registrations.append((first, None if end is None else max(first + 1, end)))
    signs = []
    for _ in range(draw(st.integers(0, 6))):
        first, kind = max(earliest, draw(DAYS)), draw(st.sampled_from(sorted(WORTH)))
        signs.append((first, first if kind == "crossings" else max(first, draw(DAYS)), kind))
    return {
        "registrations": tuple(registrations),
        "signs": tuple(signs),
        "born": born,
        "is_born_here": born is not None and draw(st.booleans()),
        "died": died,
    }


def make_country(lives: list[dict[str, Any]]) -> Country:
    country = Country()
    for n, life in enumerate(lives):
        person = f"p{n:02}"
        days = {key: None if life[key] is None else START + timedelta(life[key]) for key in ("born", "died")}
        born = {"birth_date": days["born"] or date(1980, 1, 1), "is_born_here": life["is_born_here"]}
        country.add(person, death_date=days["died"], **born)
        for first, end in life["registrations"]:
            ended = None if end is None else START + timedelta(end)
            country.record(person, "register", valid_from=START + timedelta(first), ended_date=ended)
        for first, last, kind in life["signs"]:
            since, until = START + timedelta(first), START + timedelta(last)
            if kind == "crossings":
                country.record(person, kind, crossed_date=since, direction="arrival")
            else:
                country.record(person, "activity", valid_from=since, valid_to=until, domain=kind)
    return country


@for_all(
    12,
    shrinks=False,
    lives=st.lists(drawn_life(), min_size=15, max_size=15),
    numbers=st.sampled_from([(0.8, 0.2, 0.7), (0.5, 0.5, 0.35), (0.6, 0.3, 0.3)]),
    restarts=st.booleans(),
)
def test_indices_agree_with_the_oracle(
    engine: Engine, lives: list[dict[str, Any]], numbers: tuple[float, float, float], restarts: bool
) -> None:
    """Every status, the migrations that are its changes, and the accounts."""
    rule = make_rule(*numbers, signs=make_signs(), on_registration="restarts" if restarts else "ignored")
    worth = {kind: Fraction(str(value)) for kind, value in WORTH.items()}
    limits = ORACLE["Rule"](*(Fraction(str(number)) for number in numbers), worth, restarts)
    tables = make_country(lives).find(engine, [rule], PERIOD)
    residence, migrations = (pl.read_parquet(table.path) for table in tables[:2])
    for n, life in enumerate(lives):
        wanted = ORACLE["follow"](ORACLE["Life"](**life), limits, N_YEARS)
        own = residence.filter(person_id=f"p{n:02}").sort("from_date")
        assert list(own.select("from_date", "status").iter_rows()) == [
            (START + timedelta(day), status) for day, status in wanted
        ], life
        known = [
            (START + timedelta(day), "immigration" if status == "resident" else "emigration")
            for (_, before), (day, status) in pairwise(wanted)
            if before != "undetermined"
        ]
        moves = migrations.filter(person_id=f"p{n:02}").sort("event_date")
        assert list(moves.select("counted_date", "direction").iter_rows()) == known, life
        assert (moves["migration_final_date"] == moves["event_date"]).all()
    check_accounts(engine, tables)


def check_accounts(engine: Engine, tables: tuple[Any, Any, Any]) -> None:
    """Statuses and migrations agree, and the accounts balance: else stage estimates raises."""
    histories = estimates.Histories(*tables, name_table(engine, "person_traits", []))
    observation = estimates.Observation(PERIOD, {"residency_index": 0}, False, frozenset({"residency_index"}))
    estimates.estimate(engine, histories, observation, EstimatesSettings(reporting_country="QVR"))


def test_an_index_at_the_threshold_is_not_above_it(engine: Engine) -> None:
    """0.7, 0.49 and 0.343 are what is left after years without a sign, however a computer rounds them."""
    country = Country().add("a").record("a", "register", valid_from=date(2000, 1, 1))
    for stability, threshold, year in (
        (0.7, 0.7, 2012),
        (0.7, 0.49, 2013),
        (0.7, 0.343, 2014),
        (0.7, 0.6999, 2013),
    ):
        rule = make_rule(stability, 0.3, threshold)
        _, migrations = country.follow(engine, [rule], PERIOD)
        assert migrations["event_date"].to_list() == [date(year, 12, 31)], (stability, threshold)


def test_a_year_that_is_not_over_has_no_index(engine: Engine) -> None:
    country = Country().add("a").record("a", "register", valid_from=date(2000, 1, 1))
    for last, years in ((date(2013, 12, 30), []), (date(2013, 12, 31), [2013])):
        period = Period.model_validate({"from": START, "to": last})
        _, migrations = country.follow(engine, [make_rule()], period)
        assert [day.year for day in migrations["event_date"]] == years


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ((0.8, 0.3, 0.7), "could exceed 1"),
        ((0.0, 0.3, 0.7), "above 0"),
        ((0.8, 0.2, 1.0), "above the threshold"),
        ((0.8, 1.2, 0.7), "less than or equal to 1"),
    ],
)
def test_an_index_that_is_none_is_refused(numbers: tuple[float, float, float], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        make_rule(*numbers)
