"""Stage 5: the order of crossings, spells of presence and absence, and days of presence counted from them."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import strategies as st

from given_examples import for_all
from given_tables import name_table
from miglink.config.stages import Period, SpellsSettings
from miglink.engine import Engine, Table
from miglink.stages.spells import Country, count_days, find_left_out, find_spells, order_crossings

EXAMPLES = Path(__file__).parent / "cases" / "residence_examples.json"
PERIOD = Period.model_validate({"from": date(1990, 1, 1), "to": date(2029, 12, 31)})
IN, OUT = "arrival", "departure"
PERSON: dict[str, Any] = {"is_born_here": False, "n_identities": 1, "n_records": 1, "is_doubtful": False}
PERSON |= {"id_since_date": date(2020, 1, 1), "birth_date": date(1970, 1, 1), "birth_date_precision": "day"}


def make_country(
    engine: Engine, people: dict[str, dict[str, Any]], crossings: Sequence[tuple[Any, ...]]
) -> tuple[Table, Table, Table]:
    """Records, record_persons and persons; a crossing is (person, day, direction) and further fields of the record."""
    records, owners = [], []
    for number, (person, day, direction, *further) in enumerate(crossings):
        key = {"source": "border", "record_id": f"{number:06}"}
        fields = {"kind": "crossings", "is_repeat": False, "crossed_date": day, "direction": direction}
        records.append(key | fields | (further[0] if further else {}))
        owners.append(key | {"person_id": person})
    persons = [PERSON | {"person_id": person} | facts for person, facts in people.items()]
    tables = {"records": records, "record_persons": owners, "persons": persons}
    made = [name_table(engine, name, rows) for name, rows in tables.items()]
    return made[0], made[1], made[2]


def spells_of(
    engine: Engine,
    crossings: Sequence[tuple[Any, ...]],
    people: dict[str, dict[str, Any]] | None = None,
    period: Period = PERIOD,
) -> Table:
    names = dict.fromkeys(str(crossing[0]) for crossing in crossings)
    country = make_country(engine, people or {name: {} for name in names}, crossings)
    return find_spells(engine, *country, Country(period), SpellsSettings())[0]


def order_all(
    engine: Engine, people: Mapping[str, Sequence[dict[str, Any]]]
) -> dict[str, list[tuple[str, bool]]]:
    """The crossings of each person in the order found, and whether each is in conflict."""
    columns = (
        "crossing_id",
        "person_id",
        "crossed_date",
        "crossed_at",
        "direction",
        "sequence",
        "initial_status",
    )
    kinds = (pl.String, pl.String, pl.Date, pl.Datetime("us"), pl.String, pl.Int64, pl.String)
    whole = [
        {"crossed_date": date(2018, 5, 5)}
        | row
        | {"person_id": person, "crossing_id": f"{row['crossing_id']}@{person}"}
        for person, rows in people.items()
        for row in rows
    ]
    frame = pl.DataFrame(
        [{column: row.get(column) for column in columns} for row in whole],
        schema=dict(zip(columns, kinds, strict=True)),
    )
    found = pl.read_parquet(order_crossings(engine, engine.frame("given_crossings", frame)).path)
    rows = found.sort("sequence").select("crossing_id", "is_conflict").rows()
    named = [(*crossing.split("@"), is_conflict) for crossing, is_conflict in rows]
    return {
        person: [(crossing, is_conflict) for crossing, owner, is_conflict in named if owner == person]
        for person in people
    }


def order(engine: Engine, rows: Sequence[dict[str, Any]]) -> list[tuple[str, bool]]:
    """The crossings of one person in the order found, and whether each is in conflict."""
    return order_all(engine, {"a": rows})["a"]


ORDERS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "times": (
        [{"crossing_id": "home", "direction": IN, "crossed_at": datetime(2018, 5, 5, 20)},
         {"crossing_id": "away", "direction": OUT, "crossed_at": datetime(2018, 5, 5, 8)}],
        "away home"),
    "sequence": (
        [{"crossing_id": "b", "direction": OUT, "sequence": 7},
         {"crossing_id": "a", "direction": IN, "sequence": 9}],
        "b a"),
    "equal times and numbers say nothing: from the state before": (
        [{"crossing_id": "b", "direction": OUT, "sequence": 7, "crossed_at": datetime(2018, 5, 5, 9)},
         {"crossing_id": "a", "direction": IN, "sequence": 7, "crossed_at": datetime(2018, 5, 5, 9)},
         {"crossing_id": "before", "direction": IN, "crossed_date": date(2018, 5, 1)}],
        "before b a"),
    "one more arrival: begins and ends with one": (
        [{"crossing_id": "1", "direction": IN}, {"crossing_id": "2", "direction": OUT},
         {"crossing_id": "3", "direction": IN}],
        "1 2 3"),
    "absent before: arrives first": (
        [{"crossing_id": "a", "direction": IN}, {"crossing_id": "d", "direction": OUT},
         {"crossing_id": "before", "direction": OUT, "crossed_date": date(2018, 5, 1)}],
        "before a d"),
    "carried over a day that is open itself": (
        [{"crossing_id": "a", "direction": IN}, {"crossing_id": "d", "direction": OUT},
         {"crossing_id": "e", "direction": IN, "crossed_date": date(2018, 5, 4)},
         {"crossing_id": "f", "direction": OUT, "crossed_date": date(2018, 5, 4)},
         {"crossing_id": "before", "direction": IN, "crossed_date": date(2018, 5, 1)}],
        "before f e d a"),
    "a resident leaves first": (
        [{"crossing_id": "a", "direction": IN, "initial_status": "resident"},
         {"crossing_id": "d", "direction": OUT, "initial_status": "resident"}],
        "d a"),
    "from the next crossing": (
        [{"crossing_id": "a", "direction": IN}, {"crossing_id": "d", "direction": OUT},
         {"crossing_id": "after", "direction": OUT, "crossed_date": date(2018, 6, 1)}],
        "d a after"),
    "nothing known: arrival first": (
        [{"crossing_id": "d", "direction": OUT}, {"crossing_id": "a", "direction": IN}],
        "a d"),
}  # fmt: skip


def test_order_within_a_day(engine: Engine) -> None:
    given = {name: rows for name, (rows, _) in ORDERS.items()}
    expected = {name: [(place, False) for place in order.split()] for name, (_, order) in ORDERS.items()}
    assert order_all(engine, given) == expected
    assert order_all(engine, {name: rows[::-1] for name, rows in given.items()}) == expected


def test_a_day_that_cannot_alternate_is_a_conflict(engine: Engine) -> None:
    rows = [{"crossing_id": str(number), "direction": IN} for number in range(3)]
    rows += [{"crossing_id": "out", "direction": OUT}]
    assert order(engine, rows) == [("0", True), ("out", True), ("1", True), ("2", True)]


HOURS = st.one_of(st.none(), st.integers(0, 23))
DAY_ROWS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from([IN, OUT]), HOURS), min_size=1, max_size=9)


@for_all(25, rows=DAY_ROWS, shuffled=st.randoms(use_true_random=False))
def test_the_order_of_rows_never_matters(
    engine: Engine, rows: list[tuple[int, str, int | None]], shuffled: Any
) -> None:
    crossings = [
        {
            "crossing_id": f"{number:03}",
            "crossed_date": date(2018, 5, 1) + timedelta(day),
            "direction": direction,
            "crossed_at": None if hour is None else datetime(2018, 5, 1, hour) + timedelta(day),
        }
        for number, (day, direction, hour) in enumerate(rows)
    ]
    first = order(engine, crossings)
    shuffled.shuffle(crossings)
    assert order(engine, crossings) == first
    days: dict[Any, Any] = {row["crossing_id"]: row["crossed_date"] for row in crossings}
    assert [days[name] for name, _ in first] == sorted(days.values())


def read_spells(spells: Table) -> list[tuple[Any, ...]]:
    columns = ("start_date", "end_date", "state", "start_direction", "start_basis", "end_basis")
    return list(pl.read_parquet(spells.path).sort("person_id", "sequence").select(columns).iter_rows())


def test_spells_of_a_traveller(engine: Engine) -> None:
    crossings = [("a", date(2018, 3, 1), IN), ("a", date(2018, 4, 1), OUT), ("a", date(2018, 4, 1), IN)]
    crossings += [("a", date(2018, 6, 1), IN)]
    spells = spells_of(engine, crossings)
    assert read_spells(spells) == [
        (date(1990, 1, 1), date(2018, 3, 1), "absent", "start", "observation_start", "crossing"),
        (date(2018, 3, 1), date(2018, 4, 1), "present", IN, "crossing", "crossing"),
        (date(2018, 4, 1), date(2018, 4, 1), "absent", OUT, "crossing", "crossing"),
        (date(2018, 4, 1), date(2018, 6, 1), "unresolved", IN, "crossing", "crossing"),
        (date(2018, 6, 1), None, "present", IN, "crossing", "observation_end"),
    ]
    gap = pl.read_parquet(spells.path).filter(state="unresolved")
    assert gap.select("earliest_date", "latest_date").row(0) == (date(2018, 4, 1), date(2018, 6, 1))
    assert gap.select("start_source", "start_record_id").row(0) == ("border", "000002")


def test_births_and_deaths_bound_the_spells(engine: Engine) -> None:
    people: dict[str, dict[str, Any]] = {
        "a born": {"birth_date": date(2018, 1, 5), "is_born_here": True},
        "b born abroad": {"birth_date": date(2018, 1, 5)},
        "c born, year only": {"birth_date": date(2018, 1, 1), "birth_date_precision": "year"},
        "d born here, arrives": {"birth_date": date(2018, 1, 5), "is_born_here": True},
        "e dies": {"death_date": date(2018, 9, 1)},
        "f stays": {},
    }
    crossings = [("a born", date(2018, 2, 1), OUT), ("b born abroad", date(2018, 2, 1), IN)]
    crossings += [("c born, year only", date(2018, 2, 1), IN), ("d born here, arrives", date(2018, 2, 1), IN)]
    crossings += [("e dies", date(2018, 9, 1), OUT)]
    start, cut = date(1990, 1, 1), date(2018, 2, 1)
    assert read_spells(spells_of(engine, crossings, people)) == [
        (date(2018, 1, 5), cut, "present", "start", "birth", "crossing"),
        (cut, None, "absent", OUT, "crossing", "observation_end"),
        (date(2018, 1, 5), cut, "absent", "start", "birth", "crossing"),
        (cut, None, "present", IN, "crossing", "observation_end"),
        (start, cut, "absent", "start", "observation_start", "crossing"),
        (cut, None, "present", IN, "crossing", "observation_end"),
        (date(2018, 1, 5), cut, "unresolved", "start", "birth", "crossing"),
        (cut, None, "present", IN, "crossing", "observation_end"),
        (start, date(2018, 9, 1), "present", "start", "observation_start", "crossing"),
        (date(2018, 9, 1), date(2018, 9, 1), "absent", OUT, "crossing", "death"),
    ]


def test_what_is_left_out_is_listed_with_its_reason(engine: Engine) -> None:
    people = {"a": {"death_date": date(2018, 9, 1)}, "b": {"birth_date": date(2018, 5, 1)}}
    crossings: list[tuple[Any, ...]] = [("a", date(2018, 9, 2), IN), ("a", date(2018, 8, 1), OUT)]
    crossings += [("a", date(2018, 8, 1), OUT, {"is_repeat": True})]
    crossings += [("b", date(2018, 4, 1), IN), ("b", date(2031, 4, 1), IN), ("b", date(1989, 4, 1), IN)]
    country = make_country(engine, people, crossings)
    left_out = pl.read_parquet(find_left_out(engine, *country, PERIOD).path).sort("record_id")
    assert dict(left_out.select("record_id", "reason").iter_rows()) == {
        "000000": "after_death",
        "000002": "repeat",
        "000003": "before_birth",
        "000004": "outside_period",
        "000005": "outside_period",
    }
    spells, _ = find_spells(engine, *country, Country(PERIOD), SpellsSettings())
    used = pl.read_parquet(spells.path)["start_record_id"].drop_nulls().to_list()
    assert used == ["000001"]


def years_before(day: date, years: int) -> date:
    """The same day of an earlier year; 29 February counts as 1 March."""
    if (day.month, day.day) == (2, 29):
        day += timedelta(days=1)
    return day.replace(year=day.year - years)


def windows_of(example: dict[str, Any]) -> tuple[list[tuple[date, str]], list[tuple[str, date, date, Any]]]:
    """The crossings of a worked example, and the windows in which it states days: counting, from, to, days."""
    expected, as_date = example["expected"], date.fromisoformat
    ever = (date(1990, 1, 1), date(2029, 12, 31))
    if example["kind"] == "presence_days_rolling":
        crossings, state = [], False
        for step in example["presence_steps"]:
            if step["present"] != state:
                state = step["present"]
                crossings.append((as_date(step["from"]), IN if state else OUT))
        yearly = expected["days_present_in_new_zealand_in_preceding_year"]
        windows = [("half_open", years_before(as_date(d), 1), as_date(d), n) for d, n in yearly.items()]
        for text, n in expected.get("days_present_in_new_zealand_in_preceding_5_years", {}).items():
            windows.append(("half_open", years_before(as_date(text), 5), as_date(text) + timedelta(1), n))
        return crossings, windows
    if example["kind"] == "sliding_window_days":
        stays = [(as_date(stay["entry"]), as_date(stay["exit"])) for stay in example["stays"]]
        length = timedelta(example["params"]["window_days"])
        span = (stays[-1][1] - stays[0][0]).days
        starts = [stays[0][0] - length + timedelta(n) for n in range(span + length.days + 1)]
        pairs = [crossing for entry, exit_ in stays for crossing in ((entry, IN), (exit_, OUT))]
        return pairs, [("inclusive", start, start + length, None) for start in starts]
    crossings = [(as_date(c["date"]), c["direction"]) for c in example["crossings"]]
    if example["kind"] == "days_in_country":
        window, end = timedelta(example["params"]["window_days"]), as_date(example["observation_end"])
        days = expected["days_in_country"]
        pairs_of_days = zip(crossings, days, strict=True)
        return crossings, [("half_open", day, min(day + window, end), n) for (day, _), n in pairs_of_days]
    windows = []
    if "days_half_open" in expected:
        windows = [
            ("half_open", *ever, expected["days_half_open"]),
            ("inclusive", *ever, expected["days_inclusive"]),
        ]
    if "days_present" in expected:
        windows.append(("half_open", date(2019, 1, 1), date(2020, 1, 1), expected["days_present"]))
    for text, found in expected.get("eu_2025_2458", {}).items():
        end = as_date(text.removeprefix("ref_")) + timedelta(days=1)
        windows.append(("half_open", end - timedelta(found["days_in_period"]), end, found["days_present"]))
    for stay in expected.get("continuous_12_months", []):
        windows.append(("half_open", as_date(stay["arrival"]), as_date(stay["departure"]), stay["days"]))
    return crossings, windows


STATED_DAYS = {"presence_days_rolling", "sliding_window_days", "days_in_country", "duration_boundary"}
STATED_DAYS |= {"classification_contrast"}


def test_worked_examples_of_days_of_presence(engine: Engine) -> None:
    examples = [e for e in json.loads(EXAMPLES.read_text("utf-8"))["examples"] if e["kind"] in STATED_DAYS]
    crossings, windows = [], []
    for example in examples:
        own, wanted = windows_of(example)
        crossings += [(example["id"], *crossing) for crossing in own]
        windows += [(f"{example['id']}#{n}", example["id"], *window) for n, window in enumerate(wanted)]
    spells = spells_of(engine, crossings)
    schema = ["window_id", "person_id", "counting", "from_date", "to_date", "expected"]
    asked = pl.DataFrame(windows, schema=schema, orient="row")
    found = []
    for counting in ("half_open", "inclusive"):
        own_windows = engine.frame("given_windows", asked.filter(counting=counting).drop("expected"))
        found.append(pl.read_parquet(count_days(engine, spells, own_windows, counting).path))
    days = asked.join(pl.concat(found), on="window_id")
    assert days.height == asked.height
    assert {e["id"] for e in examples} == set(days["person_id"]), "every example states days"
    stated = days.drop_nulls("expected")
    assert stated.height == 90
    assert stated["days_least"].to_list() == stated["expected"].to_list()
    assert stated["days_most"].to_list() == stated["expected"].to_list()
    for example in examples:
        if example["kind"] == "sliding_window_days":
            worst = days.filter(person_id=example["id"])["days_most"].max()
            assert worst == example["expected"]["max_days_in_window"]


def test_days_of_an_unresolved_spell_are_bounded(engine: Engine) -> None:
    crossings = [("a", date(2018, 1, 1), IN), ("a", date(2018, 1, 11), IN), ("a", date(2018, 1, 21), OUT)]
    crossings += [("a", date(2018, 1, 31), OUT)]
    spells = spells_of(engine, crossings)
    frame = pl.DataFrame(
        {
            "window_id": ["w"],
            "person_id": ["a"],
            "from_date": [date(2017, 1, 1)],
            "to_date": [date(2019, 1, 1)],
        }
    )
    windows = engine.frame("given_windows", frame)
    half_open = pl.read_parquet(count_days(engine, spells, windows, "half_open").path)
    assert half_open.select("days_least", "days_most").row(0) == (10, 30)
    # Each crossing day counts: the four on record, with the ten days between the second and the third.
    inclusive = pl.read_parquet(count_days(engine, spells, windows, "inclusive").path)
    assert inclusive.select("days_least", "days_most").row(0) == (13, 31)
