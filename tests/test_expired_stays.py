"""Stage 8: visas and permits that ended, and what became of the last stay under them."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import strategies as st

from given_examples import for_all
from given_tables import name_table
from given_travellers import IN, OUT, Country
from miglink.config.stages import Period, SpellsSettings
from miglink.engine import Engine
from miglink.stages.quality import count_expired_stays
from miglink.stages.spells import Country as Observed
from miglink.stages.spells import find_spells

EXAMPLES = Path(__file__).parent / "cases" / "residence_examples.json"
PERIOD = Period.model_validate({"from": date(2018, 1, 1), "to": date(2019, 12, 31)})
# A visa of ninety days, the day of arrival included.
FIRST, LAST = date(2018, 5, 1), date(2018, 7, 29)
Outcomes = dict[tuple[str, str, str], int]


def count(engine: Engine, country: Country, period: Period = PERIOD) -> Outcomes:
    """Rights by kind, purpose and outcome."""
    records, owners, persons = (
        name_table(engine, name, rows)
        for name, rows in (
            ("records", country.records),
            ("record_persons", country.owners),
            ("persons", country.persons),
        )
    )
    spells, _ = find_spells(engine, records, owners, persons, Observed(period), SpellsSettings())
    found = pl.read_parquet(count_expired_stays(engine, spells, records, owners, period).path)
    assert found["data_to_date"].unique().to_list() in ([], [period.data_to_date])
    rows = found.group_by("kind", "purpose", "outcome").agg(pl.col("n").sum())
    return {(kind, purpose, outcome): n for kind, purpose, outcome, n in rows.iter_rows()}


def visitor(*crossings: tuple[date, str], **facts: Any) -> Country:
    """One person with the visa."""
    country = Country().add("a", *crossings, **facts)
    return country.record("a", "visas", valid_from=FIRST, valid_to=LAST, purpose="tourism")


def outcome(engine: Engine, country: Country) -> str:
    """What became of the one right to stay of the country."""
    ((_, _, found),) = count(engine, country)
    return found


def test_entry_without_exit_after_the_authorised_stay(engine: Engine) -> None:
    examples = json.loads(EXAMPLES.read_text("utf-8"))["examples"]
    (example,) = [one for one in examples if one["id"] == "derived-ees-overstayer"]
    entry, end = (date.fromisoformat(example[key]) for key in ("entry", "observation_end"))
    last = date.fromisoformat(example["expected"]["last_authorised_day"])
    # The day of entry and that of exit both count.
    assert (last - entry).days + 1 == example["authorised_days"]
    country = Country().add("a", (entry, IN)).record("a", "visas", valid_from=entry, valid_to=last)
    period = Period.model_validate({"from": date(2026, 1, 1), "to": end})
    assert example["expected"]["overstayer_flag"]
    assert count(engine, country, period) == {("visas", "unknown", "no_departure_found"): 1}
    # While the stay is authorised nobody is flagged.
    until = Period.model_validate({"from": date(2026, 1, 1), "to": last - timedelta(1)})
    assert count(engine, country, until) == {}


@pytest.mark.parametrize(
    ("left", "expected"),
    [(LAST, "left_in_time"), (LAST + timedelta(1), "left_late"), (FIRST, "left_in_time")],
)
def test_the_last_day_is_a_day_of_the_stay(engine: Engine, left: date, expected: str) -> None:
    assert outcome(engine, visitor((FIRST, IN), (left, OUT))) == expected


ARRIVED, AFTER = (FIRST, IN), LAST + timedelta(30)
SEEN = {"kind": "activity", "valid_from": AFTER, "valid_to": AFTER}
# Name of a person with the visa, crossings, a further record, outcome.
CASES: list[tuple[str, list[tuple[date, str]], dict[str, Any], str]] = [
    ("never came", [], {}, "no_stay"),
    ("left before", [(date(2018, 2, 1), IN), (FIRST - timedelta(1), OUT)], {}, "no_stay"),
    ("came before", [(date(2018, 2, 1), IN), (FIRST, OUT)], {}, "left_in_time"),
    ("was here already", [(AFTER, OUT)], {}, "left_late"),
    ("two visits", [ARRIVED, (FIRST, OUT), (FIRST, IN), (AFTER, OUT)], {}, "left_late"),
    ("came again", [ARRIVED, (AFTER, IN)], {}, "arrived_again"),
    ("seen", [ARRIVED], SEEN, "seen_later"),
    ("seen when back", [ARRIVED, (AFTER, IN)], SEEN, "arrived_again"),
    # A year of tax that began before the last day may have ended before it, too.
    ("taxed", [ARRIVED], SEEN | {"valid_from": date(2018, 1, 1)}, "no_departure_found"),
    ("registered", [ARRIVED], {"kind": "register", "valid_from": FIRST}, "registered"),
    (
        "registered no more",
        [ARRIVED],
        {"kind": "register", "valid_from": FIRST, "ended_date": LAST + timedelta(1)},
        "no_departure_found",
    ),
    ("prolonged late", [ARRIVED], {"kind": "permits", "valid_from": AFTER}, "prolonged"),
    (
        "prolonged when back",
        [ARRIVED, (AFTER - timedelta(1), OUT), (AFTER, IN)],
        {"kind": "permits", "valid_from": AFTER},
        "left_late",
    ),
]


def test_what_becomes_of_a_stay(engine: Engine) -> None:
    """The purpose of each visa is the name of its case."""
    country = Country()
    for name, crossings, further, _ in CASES:
        country.add(name, *crossings).record(name, "visas", valid_from=FIRST, valid_to=LAST, purpose=name)
        if further:
            country.record(name, **further)
    country.add("died", ARRIVED, death_date=AFTER)
    country.record("died", "visas", valid_from=FIRST, valid_to=LAST, purpose="died")
    expected = {("visas", name, said): 1 for name, _, _, said in CASES} | {("visas", "died", "died"): 1}
    assert count(engine, country) == expected
    # The order of the rows never matters.
    country.records.reverse()
    country.owners.reverse()
    assert count(engine, country) == expected


def test_rights_that_follow_one_another_are_one(engine: Engine) -> None:
    """A visa, and from the day after it two permits of a year that overlap: one right, and it ends as a permit."""
    country = visitor((FIRST, IN), (date(2019, 9, 1), OUT))
    first = LAST + timedelta(1)
    country.record("a", "permits", valid_from=first, valid_to=date(2019, 7, 29), purpose="study")
    country.record("a", "permits", valid_from=date(2019, 6, 1), valid_to=date(2019, 8, 31), purpose="work")
    assert count(engine, country) == {("permits", "work", "left_late"): 1}
    country.record("a", "permits", valid_from=date(2019, 9, 1), valid_to=None, purpose="permanent")
    assert count(engine, country) == {}
    # With a day between they are two.
    apart = visitor((FIRST, IN))
    apart.record("a", "permits", valid_from=LAST + timedelta(2), valid_to=date(2019, 7, 29), purpose="study")
    assert count(engine, apart) == {
        ("visas", "tourism", "prolonged"): 1,
        ("permits", "study", "no_departure_found"): 1,
    }


DAYS = st.integers(0, 900)


@st.composite
def drawn_person(draw: st.DrawFn) -> dict[str, Any]:
    """Crossings in any order of directions, and rights to stay, as days of the period and beyond."""
    crossings = draw(
        st.lists(st.tuples(DAYS, st.sampled_from([IN, OUT])), max_size=6, unique_by=lambda c: c[0])
    )
    rights = draw(st.lists(st.tuples(DAYS, st.integers(0, 400)), max_size=4))
    return {"crossings": sorted(crossings), "rights": rights}


@for_all(10, shrinks=False, persons=st.lists(drawn_person(), min_size=6, max_size=6))
def test_each_right_that_ended_has_one_outcome(engine: Engine, persons: list[dict[str, Any]]) -> None:
    """Day by day: what follows without a day between is one; in time is who left by its last day."""
    country, n_rights, n_in_time, n_late = Country(), 0, 0, 0
    start = PERIOD.from_date
    for number, person in enumerate(persons):
        name = f"p{number}"
        country.add(name, *((start + timedelta(day), way) for day, way in person["crossings"]))
        authorised: set[int] = set()
        for first, n_days in person["rights"]:
            last = first + n_days
            country.record(
                name, "visas", valid_from=start + timedelta(first), valid_to=start + timedelta(last)
            )
            authorised |= set(range(first, last + 1))
        observed = [c for c in person["crossings"] if start + timedelta(c[0]) <= PERIOD.to_date]
        for last in sorted(authorised):
            if last + 1 in authorised or start + timedelta(last) > PERIOD.to_date:
                continue
            n_rights += 1
            first = last
            while first - 1 in authorised:
                first -= 1
            left = find_departure(observed, first, last)
            n_in_time += left is not None and left <= last
            n_late += left is not None and left > last and not any(last < day <= left for day in authorised)
    found = count(engine, country)
    assert sum(found.values()) == n_rights
    said = {
        word: sum(n for (_, _, one), n in found.items() if one == word)
        for word in ("left_in_time", "left_late")
    }
    assert said == {"left_in_time": n_in_time, "left_late": n_late}


def find_departure(crossings: list[tuple[int, str]], first: int, last: int) -> int | None:
    """The departure that ended the last stay of a right from one day to another, if that stay and it are recorded."""
    begun = [n for n, (day, way) in enumerate(crossings) if way == IN and day <= last]
    if begun:
        after = crossings[begun[-1] + 1 : begun[-1] + 2]
    else:  # present at the start, if the first crossing is a departure
        after = [crossing for crossing in crossings[:1] if crossing[1] == OUT]
    return after[0][0] if after and after[0][1] == OUT and after[0][0] >= first else None
