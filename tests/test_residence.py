"""Stage 6: the rule itself, against worked examples, cases that statisticians wrote, and a slow oracle."""

import json
import runpy
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import strategies as st
from ruamel.yaml import YAML

from given_examples import for_all
from miglink.config import read_rule
from miglink.config.rules import ForwardWindowRule, MissingCrossings
from miglink.engine import Engine
from miglink.stages.residence import classify
from miglink.stages.residence.classification import ForwardRule
from miglink.stages.spells import order_crossings

HERE = Path(__file__).parent
CONFIGS = HERE.parent / "configs"
ORACLE = runpy.run_path(str(HERE / "oracle" / "residence.py"))
NZ = YAML(typ="safe").load((HERE.parent / "configs" / "rules" / "nz_12_16.yml").read_text("utf-8"))
POLICIES: tuple[MissingCrossings, ...] = ("unresolved", "midpoint", "open_until_next", "reject_person")
IN, OUT = "arrival", "departure"
RESIDENT, ABROAD, UNKNOWN = "resident", "non_resident", "undetermined"
START = ORACLE["START"]
RESULT = ["status_before", "status_after", "is_migration", "status_final_date", "migration_final_date"]
Crossings = Sequence[tuple[date, str]]


def make_rule(
    threshold: int = 365, window: int = 487, unit: str = "days", **changes: Any
) -> ForwardWindowRule:
    numbers = {
        "threshold": NZ["threshold"] | {"value": threshold, "unit": unit},
        "window": NZ["window"] | {"value": window, "unit": unit},
    }
    return ForwardWindowRule.model_validate(NZ | numbers | changes)


def classify_all(
    engine: Engine,
    histories: dict[str, tuple[Crossings, str | None]],
    rule: ForwardRule,
    policy: MissingCrossings,
    *observed: date | None,
) -> dict[str, list[dict[str, Any]]]:
    """The results of each person's crossings, in order."""
    rows = [
        (f"{person}#{number:03}", person, day, None, direction, number, initial)
        for person, (crossings, initial) in histories.items()
        for number, (day, direction) in enumerate(crossings)
    ]
    columns: dict[str, Any] = {"crossing_id": pl.String, "person_id": pl.String, "crossed_date": pl.Date}
    columns |= {"crossed_at": pl.Datetime("us"), "direction": pl.String, "sequence": pl.Int64}
    frame = pl.DataFrame(rows, schema=columns | {"initial_status": pl.String}, orient="row")
    ordered = order_crossings(engine, engine.frame("given_crossings", frame))
    found = pl.read_parquet(classify(engine, ordered, rule, policy, *observed).path).sort("crossing_id")
    assert found["crossing_id"].to_list() == sorted(row[0] for row in rows)
    results: dict[str, list[dict[str, Any]]] = {person: [] for person in histories}
    for row in found.iter_rows(named=True):
        results[row["crossing_id"].rpartition("#")[0]].append(row)
    return results


# Worked examples

EXAMPLES = {
    e["id"]: e
    for e in json.loads((HERE / "cases" / "residence_examples.json").read_text("utf-8"))["examples"]
}
OTHER_RULES = {
    "derived-un-": "lengths of stay by purpose, no crossings",
    "derived-fald-missing-last-departure": "rule visa_span",
    "derived-ees-overstayer": "overstay",
    "derived-citizenship-": "citizenship groups",
    "derived-birthcountry-": "country of birth",
    "snz-migstat-personid-": "linkage",
    "snz-migrbc-error-03": "an error of migrbc only: the order of rows does not matter here",
    "snz-migrbc-error-04": "stage ingest rejects unknown directions",
    "snz-migrbc-error-05": "stage ingest rejects unreadable dates",
}
# Counts of days: test_spells has them all, test_residence_examples those that a rule in calendar months decides.
DAYS_ONLY = (
    "of-nz-",
    "schengen-",
    "snz-migstat-days-",
    "derived-leap-",
    "derived-daycount-",
    "derived-most-of-time-",
)
WORDS = {1: RESIDENT, 0: ABROAD, None: UNKNOWN}
FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "resident_before": ("status_before", WORDS.get),
    "resident_after": ("status_after", WORDS.get),
    "long_term_migration": ("is_migration", lambda value: None if value is None else bool(value)),
    "date_resident_after_final": ("status_final_date", date.fromisoformat),
    "date_ltm_final": ("migration_final_date", date.fromisoformat),
    "days_in_country_in_window": ("present_days_least", int),
    "days_observed": ("observed_days", int),
}


def crossings_of(example: dict[str, Any]) -> list[tuple[Crossings, Any, list[dict[str, Any]]]]:
    """The histories of an example: crossings, initial status, and what is expected of each crossing."""
    end, expected = date(2030, 1, 1), example.get("expected", {})
    if "rows" in example:
        rows = example["rows"]
        crossings = [(end - timedelta(row["days_observed"]), row["direction"]) for row in rows]
        stated = [{"long_term_migration": row["expected_ltm"], "resident_before": row["resident_before"],
                   "resident_after": row["resident_after"], "days_in_country_in_window": row["days_in_country"],
                   "days_observed": row["days_observed"]} for row in rows]  # fmt: skip
        return [(crossings, rows[0]["resident_before"], stated)]
    if example["kind"] == "classification_from_days":
        return [
            (
                [
                    (end - timedelta(n), direction)
                    for n, direction in zip(person["days_observed"], person["directions"], strict=True)
                ],
                person["initial_resident"],
                [
                    {"resident_after": after, "days_in_country_in_window": n}
                    for after, n in zip(
                        person["expected_resident_after"], person["days_in_country"], strict=True
                    )
                ],
            )
            for person in example["persons"]
        ]
    person = example.get("persons", [example])[0]
    crossings = [(date.fromisoformat(c["date"]), c["direction"]) for c in person["crossings"]]
    if "nz_12_16" in expected:
        stated = expected["nz_12_16"]
    elif "days_in_country" in expected:
        stated = [{"days_in_country_in_window": days} for days in expected["days_in_country"]]
    else:
        stated = [crossing.get("expected", {}) for crossing in person["crossings"]]
    return [(crossings, person.get("initial_resident", 0), stated)]


def group_of(example: dict[str, Any]) -> tuple[int, int, str]:
    """Days of the threshold and of the window, and the end of observation: examples that share them are one call."""
    params, expected = example.get("params", {}), example.get("expected", {})
    window = params.get("window_days", 487)
    end = expected.get("nz_12_16_observation_end") or example.get("observation_end") or "2030-01-01"
    return params.get("threshold_days", min(365, window)), window, end


def run_examples(
    engine: Engine, names: Sequence[str], policy: MissingCrossings
) -> dict[str, list[list[dict[str, Any]]]]:
    """The results of the examples' histories; what is stated of each crossing is asserted on the way."""
    ((threshold, window, end),) = {group_of(EXAMPLES[name]) for name in names}
    stated = {name: crossings_of(EXAMPLES[name]) for name in names}
    histories = {f"{name} {n}": (crossings, None if initial is None else WORDS[initial])
                 for name, people in stated.items() for n, (crossings, initial, _) in enumerate(people)}  # fmt: skip
    rule = make_rule(threshold, window)
    found = classify_all(engine, histories, rule, policy, None, date.fromisoformat(end))
    results = {name: [found[f"{name} {n}"] for n in range(len(people))] for name, people in stated.items()}
    for name, people in stated.items():
        for (*_, wanted), rows in zip(people, results[name], strict=True):
            for want, have in zip(wanted, rows, strict=True):
                known = {field: value for field, value in want.items() if field in FIELDS}
                assert {FIELDS[field][0]: FIELDS[field][1](value) for field, value in known.items()} == {
                    FIELDS[field][0]: have[FIELDS[field][0]] for field in known
                }, name
    return results


MIDPOINT = {"snz-migstat-impute-1", "snz-migstat-impute-2"}
APART = {"snz-migrbc-error-01", "snz-migrbc-error-02", "derived-missing-departure-policy"}
LEFT_OUT = {name for name in EXAMPLES if name.startswith((*OTHER_RULES, *DAYS_ONLY))}
RUN = sorted(set(EXAMPLES) - LEFT_OUT - APART)


def test_the_examples_run_are_those_of_the_rule() -> None:
    assert len(EXAMPLES) == 75
    assert len(RUN) == 39
    assert {name.rpartition("-")[0] for name in RUN} == {
        "derived-emigrant-home", "derived-half-year", "derived-resident-long", "derived-same-day",
        "derived-student-many", "gen-boundary", "snz-migrbc-non_residence", "snz-migrbc-with_IRS", "snz-migstat",
        "snz-migstat-impute", "snz-migstat-nullnull-departures",
    }  # fmt: skip
    assert all(any(name.startswith(prefix) for name in EXAMPLES) for prefix in (*OTHER_RULES, *DAYS_ONLY))


@pytest.mark.parametrize("group", sorted({group_of(EXAMPLES[name]) for name in RUN}), ids=str)
def test_worked_examples(engine: Engine, group: tuple[int, int, str]) -> None:
    names = [name for name in RUN if group_of(EXAMPLES[name]) == group]
    stated = [want for name in names for *_, wanted in crossings_of(EXAMPLES[name]) for want in wanted]
    assert all(set(want) & set(FIELDS) for want in stated), "an example states something of every crossing"
    # What these two state of missing crossings is the midpoint's.
    of_midpoint = [name for name in names if name in MIDPOINT]
    run_examples(engine, names, "midpoint")
    for policy in POLICIES:
        if policy != "midpoint" and not of_midpoint:
            run_examples(engine, names, policy)


def test_a_rejected_person_keeps_the_initial_status(engine: Engine) -> None:
    names = ["snz-migrbc-error-01", "snz-migrbc-error-02"]
    for name, (rows,) in run_examples(engine, names, "reject_person").items():
        days = [date.fromisoformat(crossing["date"]) for crossing in EXAMPLES[name]["crossings"]]
        assert [tuple(row[column] for column in RESULT) for row in rows] == [
            (ABROAD, ABROAD, False, d, d) for d in days
        ]
        assert all(row["is_rejected"] for row in rows)
    for (rows,) in run_examples(engine, names, "unresolved").values():
        assert not any(row["is_rejected"] for row in rows)


def test_a_missing_departure_under_every_policy(engine: Engine) -> None:
    name = "derived-missing-departure-policy"
    expected = EXAMPLES[name]["expected"]
    first = {policy: run_examples(engine, [name], policy)[name][0][0] for policy in POLICIES}
    days = {policy: (row["present_days_least"], row["present_days_most"]) for policy, row in first.items()}
    assert days["unresolved"] == (expected["bounds"]["min_days"], expected["bounds"]["max_days"])
    words: dict[MissingCrossings, str] = {
        "midpoint": "midpoint",
        "open_until_next": "open_until_next_departure",
    }
    for policy, word in words.items():
        assert days[policy] == (expected[word]["days_in_country_in_window_first_arrival"],) * 2
        assert first[policy]["is_migration"] is bool(expected[word]["long_term_migration"])
    assert first["reject_person"]["is_migration"] is False
    assert first["unresolved"]["is_migration"] is None


def test_cases_of_nz_12_16(engine: Engine) -> None:
    file = YAML(typ="safe").load((HERE / "cases" / "nz_12_16.yml").read_text("utf-8"))
    histories: dict[str, tuple[Crossings, str | None]] = {}
    expected: dict[str, list[list[str]]] = {}
    for case in file["cases"]:
        moves = [text.split() for text in case["given"]["crossings"]]
        initial = case["given"]["initial"]
        histories[case["name"]] = (
            [(date.fromisoformat(day), direction) for day, direction in moves],
            initial,
        )
        rows = case["expect"] if isinstance(case["expect"][0], list) else [case["expect"]]
        expected[case["name"]] = [[str(value) for value in row] for row in rows]
    results = classify_all(
        engine, histories, make_rule(), "unresolved", file["observed_from"], file["observed_to"]
    )
    answers = {True: "yes", False: "no", None: "open"}
    found = {
        name: [
            [f"{before} -> {after}", answers[is_migration], str(status_final or "-"), str(final or "-")]
            for before, after, is_migration, status_final, final in ([row[c] for c in RESULT] for row in rows)
        ]
        for name, rows in results.items()
    }
    assert found == expected


# Properties


@st.composite
def drawn_history(
    draw: st.DrawFn, *, longest: int, most_gaps: int, longest_gap: int = 14
) -> tuple[list[tuple[int, str]], str | None]:
    """Crossings as (day, direction), now and then with one missing, and an initial status."""
    direction, day, n_gaps = draw(st.sampled_from([IN, OUT])), draw(st.integers(0, 2 * longest)), 0
    crossings = []
    for _ in range(draw(st.integers(1, 7))):
        crossings.append((day, direction))
        step = draw(st.one_of(st.just(0), st.integers(0, 3), st.integers(0, longest)))
        is_gap = n_gaps < most_gaps and step <= longest_gap and draw(st.integers(0, 4)) == 0
        n_gaps, day = n_gaps + is_gap, day + step
        direction = direction if is_gap else ORACLE["OPPOSITE"][direction]
    return crossings, draw(st.sampled_from([None, RESIDENT, ABROAD]))


@st.composite
def drawn_histories(
    draw: st.DrawFn, *, longest: int = 12, most_gaps: int = 2, longest_gap: int = 14
) -> dict[str, Any]:
    """Twenty persons by name."""
    one = drawn_history(longest=longest, most_gaps=most_gaps, longest_gap=longest_gap)
    histories = draw(st.lists(one, min_size=20, max_size=20))
    return {f"p{number:02}": history for number, history in enumerate(histories)}


def dated(histories: dict[str, Any], until: int | None = None) -> dict[str, tuple[Crossings, str | None]]:
    """Histories with dates, as far as they are known by a day."""
    known = {
        person: (
            [(START + timedelta(day), way) for day, way in crossings if until is None or day <= until],
            initial,
        )
        for person, (crossings, initial) in histories.items()
    }
    return {person: history for person, history in known.items() if history[0]}


def check_against_oracle(
    engine: Engine, histories: dict[str, Any], rule: ForwardWindowRule, observed_from: int | None, end: int
) -> None:
    start = None if observed_from is None else START + timedelta(observed_from)
    numbers = (rule.threshold.value, rule.window.value)
    for policy in POLICIES:
        known = dated(histories, end)
        if not known:
            return
        results = classify_all(engine, known, rule, policy, start, START + timedelta(end))
        for person, (crossings, initial) in known.items():
            days = [((day - START).days, direction) for day, direction in crossings]
            question = ORACLE["Question"](*numbers, policy, observed_from, end, rule.window.unit)
            wanted = [
                (a.before, a.after, a.is_migration, *(None if day is None else START + timedelta(day)
                                                     for day in (a.status_final, a.migration_final)))
                for a in ORACLE["answer"](days, initial, question)
            ]  # fmt: skip
            assert [tuple(row[column] for column in RESULT) for row in results[person]] == wanted


@for_all(12, histories=drawn_histories(), numbers=st.sampled_from([(7, 10), (6, 10), (10, 10), (5, 9)]),
       observed_from=st.sampled_from([None, 0, 10]), end=st.integers(5, 60))  # fmt: skip
def test_small_windows_agree_with_the_oracle(
    engine: Engine, histories: dict[str, Any], numbers: tuple[int, int], observed_from: int | None, end: int
) -> None:
    check_against_oracle(engine, histories, make_rule(*numbers), observed_from, end)


@for_all(4, histories=drawn_histories(longest=400, most_gaps=1), end=st.integers(100, 2000))
def test_years_agree_with_the_oracle(engine: Engine, histories: dict[str, Any], end: int) -> None:
    check_against_oracle(engine, histories, make_rule(), 0, end)


@for_all(4, histories=drawn_histories(longest=400, most_gaps=1, longest_gap=120), end=st.integers(100, 2000))
def test_calendar_months_agree_with_the_oracle(engine: Engine, histories: dict[str, Any], end: int) -> None:
    rule = read_rule("abs_12_16", CONFIGS)
    assert isinstance(rule, ForwardWindowRule)
    check_against_oracle(engine, histories, rule, 0, end)


@for_all(8, histories=drawn_histories(longest=40, most_gaps=1, longest_gap=40), end=st.integers(20, 120),
       numbers=st.sampled_from([(1, 1), (2, 3)]), observed_from=st.sampled_from([None, 0, 40]))  # fmt: skip
def test_short_calendar_windows_agree_with_the_oracle(
    engine: Engine, histories: dict[str, Any], numbers: tuple[int, int], observed_from: int | None, end: int
) -> None:
    check_against_oracle(engine, histories, make_rule(*numbers, unit="months"), observed_from, end)


@for_all(
    12,
    histories=drawn_histories(most_gaps=0),
    ends=st.tuples(st.integers(5, 60), st.integers(0, 60)),
)
def test_what_is_known_stays_known(engine: Engine, histories: dict[str, Any], ends: tuple[int, int]) -> None:
    """Later data never change what was settled, and final dates say when it was."""
    rule, early, late = make_rule(7, 10), ends[0], ends[0] + ends[1]
    if not dated(histories, early):
        return
    cut = START + timedelta(early)
    before = classify_all(engine, dated(histories, early), rule, "unresolved", None, cut)
    after = classify_all(engine, dated(histories, late), rule, "unresolved", None, START + timedelta(late))
    for person, rows in before.items():
        for then, now in zip(rows, after[person], strict=False):
            if then["status_after"] != UNKNOWN:
                assert now["status_after"] == then["status_after"]
                assert then["status_final_date"] <= cut
            if then["is_migration"] is not None:
                assert now["is_migration"] == then["is_migration"]
                assert then["migration_final_date"] <= cut
            if now["status_final_date"] and now["status_final_date"] < cut:
                assert then["status_after"] == now["status_after"]
            if now["migration_final_date"] and now["migration_final_date"] < cut:
                assert then["is_migration"] == now["is_migration"]
