"""Draws of the linkage: joined as often as the probability says, never against a constraint, the same everywhere."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from given_tables import make_table
from miglink.config.stages import Period, PersonsSettings
from miglink.engine import Engine
from miglink.stages.linkage.calibration import Calibration, describe_curve
from miglink.stages.persons import Country, Curve, Draws, Linked, Persons, find_persons
from miglink.stages.persons.curves import cell_sql, draw_curves

NO_JUDGEMENT = {"source_l": "", "record_id_l": "", "source_r": "", "record_id_r": "", "verdict": "unsure"}
PERIOD = Period.model_validate({"from": dt.date(2012, 1, 1), "to": dt.date(2023, 12, 31)})


def draw(engine: Engine, links: dict[str, float], draws: Draws, **given: Any) -> Persons:
    """Persons of identities named by two letters, linked as in `abcd`: ab to cd.

    given: bound and apart, pairs so judged; current, identities with a current registration each; n_records.
    """
    bound, apart = given.get("bound", ()), given.get("apart", ())
    names = sorted({name for pair in (*links, *bound, *apart) for name in (pair[:2], pair[2:])})
    n_records = {name: given.get("n_records", {}).get(name, 1) for name in names}
    records = [
        {"source": "register" if name in given.get("current", ()) else "border", "record_id": f"{name}{nth}",
         "kind": "crossings", "is_repeat": False, "identity_id": name}
        for name in names for nth in range(n_records[name])
    ]  # fmt: skip
    source = {row["identity_id"]: row["source"] for row in records}
    identities = [
        {"identity_id": name, "n_records": n_records[name], "birth_date": dt.date(1980, 1, 1), "surname_ascii": "A",
         "given_names_ascii": "B"}
        for name in names
    ]  # fmt: skip
    linked = [
        {"identity_id_l": pair[:2], "identity_id_r": pair[2:], "match_weight": 100 * p, "p_match": p,
         "p_calibrated": 1.0 if pair in bound else p,
         "blocking_rule": "judgement" if pair in bound else "name"}
        for pair, p in ({**links, **dict.fromkeys(bound, 1.0)}).items()
    ]  # fmt: skip
    judged = [
        {"source_l": source[pair[:2]], "record_id_l": f"{pair[:2]}0", "source_r": source[pair[2:]],
         "record_id_r": f"{pair[2:]}0", "verdict": "match" if pair in bound else "non_match"}
        for pair in (*bound, *apart)
    ]  # fmt: skip
    tables = Linked(
        make_table(engine, "records", records),
        make_table(engine, "identities", identities),
        make_table(engine, "record_identities", records),
        make_table(engine, "links", linked),
        make_table(engine, "judgements", judged or [NO_JUDGEMENT]),
    )
    country = Country("QVR", PERIOD, ("register",))
    return find_persons(engine, tables, country, PersonsSettings(), "key", draws)


def groups(engine: Engine, persons: Persons) -> dict[int, set[str]]:
    """The identities of each drawn person, by draw."""
    found = engine.collect("SELECT * FROM t", t=persons.person_draws)
    people = found.group_by("draw", "person_id", "part").agg(pl.col("identity_id").sort().str.join(" "))
    return {number: set(people.filter(draw=number)["identity_id"]) for number in people["draw"].unique()}


def test_two_units_are_joined_in_the_share_of_draws_that_the_probability_says(duckdb_engine: Engine) -> None:
    """Links of .3 and .7 between two identities; of two certain couples one pair of four is a link, of .8."""
    letters = "abcdefghijklmnopqrst"
    links = {f"{x}a{x}b": 0.3 for x in letters} | {f"{x}c{x}d": 0.7 for x in letters}
    links |= {f"{x}e{x}f": 0.9999 for x in letters} | {f"{x}g{x}h": 0.9999 for x in letters}
    links |= {f"{x}e{x}g": 0.8 for x in letters}
    found = draw(duckdb_engine, links, Draws(40, 1))
    drawn = [people for draw_groups in groups(duckdb_engine, found).values() for people in draw_groups]
    together = {
        kind: sum(people.count(" ") == last and people[1] == kind for people in drawn) / (40 * len(letters))
        for kind, last in (("a", 1), ("c", 1), ("e", 3))
    }
    # Standard errors of 800 decisions are .016 at most.
    assert together == pytest.approx({"a": 0.3, "c": 0.7, "e": 0.8}, abs=0.05)
    # Couples of a certain link never part.
    assert all(("e" in people[1::3]) == ("f" in people[1::3]) for people in drawn)


def test_draws_keep_what_is_certain_judged_or_excluded(engine: Engine) -> None:
    links = {
        "aaab": 0.9, "abac": 0.9, "aaac": 0.9,  # aa and ac are judged apart
        "babb": 0.3, "bbbc": 0.5, "babc": 0.5,  # ba and bb are judged one
        "cacb": 0.6, "cbcc": 0.6,  # ca and cc are registered now
        "dadb": 0.9999,  # no doubt
        "eaeb": 0.6,  # no doubt either: judged apart
    }  # fmt: skip
    given = {"apart": ["aaac", "eaeb"], "bound": ["babb"], "current": ("ca", "cc")}
    found = draw(engine, links, Draws(25, 7), **given)
    drawn = groups(engine, found)
    assert sorted(drawn) == list(range(1, 26))
    for people in drawn.values():
        assert sorted(" ".join(people).split()) == ["aa", "ab", "ac", "ba", "bb", "bc", "ca", "cb", "cc"]
        assert not any({"aa", "ac"} <= set(person.split()) for person in people)
        assert not any({"ca", "cc"} <= set(person.split()) for person in people)
        assert any({"ba", "bb"} <= set(person.split()) for person in people)
    every = set().union(*drawn.values())
    assert {"aa ab", "ab ac", "ba bb", "ba bb bc", "ca cb", "cb cc"} <= every
    doubtful = engine.collect(
        "SELECT i.identity_id FROM i JOIN p USING (person_id) WHERE p.is_doubtful",
        i=found.identity_persons,
        p=found.persons,
    )
    assert set(doubtful["identity_id"]) == {"aa", "ab", "ac", "ba", "bb", "bc", "ca", "cb", "cc"}


def test_a_drawn_person_has_the_facts_of_who_owns_most_of_its_records(engine: Engine) -> None:
    """One person may be two, the other two may be one; random numbers are the same on all engines and row orders."""
    links = {"aaab": 0.7, "babb": 0.4}
    given = {"n_records": {"aa": 1, "ab": 3, "ba": 2, "bb": 1}}
    found = draw(engine, links, Draws(12, 3), **given)
    best = dict(engine.collect("SELECT identity_id, person_id FROM t", t=found.identity_persons).iter_rows())
    drawn = engine.collect("SELECT * FROM t ORDER BY draw, identity_id", t=found.person_draws)
    names = {best[name]: name[0] for name in ("aa", "ba")} | {best["bb"]: "bb"}
    told = drawn.select(
        "draw", "identity_id", owner=pl.col("person_id").replace_strict(names), part="part"
    ).partition_by("draw", as_dict=True, include_key=False)
    shapes = {draw_number: [tuple(row) for row in rows.rows()] for (draw_number,), rows in told.items()}
    whole, apart = [("aa", "a", 0), ("ab", "a", 0)], [("aa", "a", 1), ("ab", "a", 0)]
    one, two = [("ba", "b", 0), ("bb", "b", 0)], [("ba", "b", 0), ("bb", "bb", 0)]
    parted = {number for number, rows in shapes.items() if rows[:2] == apart}
    joined = {number for number, rows in shapes.items() if rows[2:] == one}
    assert (parted, joined) == ({3, 7, 11}, {3, 9, 10, 12})
    assert all(rows[:2] in (whole, apart) and rows[2:] in (one, two) for rows in shapes.values())
    again = draw(engine, dict(reversed(links.items())), Draws(5, 3), **given)
    assert engine.collect("SELECT * FROM t ORDER BY draw, identity_id", t=again.person_draws).equals(
        drawn.filter(pl.col("draw") <= 5)
    )


def test_no_draws_no_rows(duckdb_engine: Engine) -> None:
    assert duckdb_engine.count(draw(duckdb_engine, {"aaab": 0.7}, Draws(0)).person_draws) == 0
    assert duckdb_engine.count(draw(duckdb_engine, {"aaab": 0.9999}, Draws(9)).person_draws) == 0


def test_curves_keep_each_probability_on_average_and_err_together(duckdb_engine: Engine) -> None:
    p = [0.002, 0.1, 0.5, 0.7, 0.95, 0.998]
    given = duckdb_engine.frame("p", pl.DataFrame({"p": p}))
    cells = duckdb_engine.collect(f"SELECT {cell_sql('p')} AS cell FROM p ORDER BY p", p=given)
    curve = Curve(intercept_error=2.0, log_slope_error=0.35)
    number = 50
    found = draw_curves(cells["cell"].to_list(), curve, number, 1)
    drawn = np.array(found.partition_by("cell", maintain_order=True)[0]["draw"])
    assert list(drawn) == list(range(1, number + 1))
    of_cells = found["p"].to_numpy().reshape(len(p), number) / 1e6
    assert of_cells.mean(axis=1) == pytest.approx(p, abs=0.001)
    # As far apart as an error of 2 in the log odds makes them.
    assert 0.2 < of_cells[2].std() < 0.4
    # The order of probabilities stays, and they are high or low together.
    assert (np.diff(of_cells, axis=0) >= 0).all()
    assert np.corrcoef(of_cells[2], of_cells[3])[0, 1] > 0.9
    certain = draw_curves(cells["cell"].to_list(), Curve(), 3, 1)["p"].to_numpy().reshape(len(p), 3) / 1e6
    assert np.abs(certain - np.array(p)[:, None]).max() < 0.001


def test_what_is_known_of_the_curve_comes_from_the_judgements_or_from_before_them(tmp_path: Path) -> None:
    model = tmp_path / "model.json"
    before = describe_curve(model)
    assert Curve(**before) == Curve(intercept_error=2.0, log_slope_error=0.35)
    fitted = Calibration("judgements", 1.0, 2.0, -3.0, 5.0, 90, 90.0, False, 0.3, 0.2, -0.5)
    model.write_text(json.dumps({"calibration": fitted.describe()}))
    found = Curve(**describe_curve(model))
    assert (found.intercept_error, found.log_slope_error, found.correlation) == (0.3, 0.1, -0.5)
    assert (found.from_log_odds, found.to_log_odds) == pytest.approx(
        (1 - 6 * np.log(2), 1 + 10 * np.log(2)), abs=1e-9
    )
