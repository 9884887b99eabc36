"""What explanations take: names of pairs and persons, finished runs and broken ones, on a run written by hand."""

import json
from collections.abc import Sequence
from contextlib import closing
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from given_tables import make_table
from miglink.engine.duckdb_engine import DuckDBEngine
from miglink.errors import ConfigError, SourceError
from miglink.explain import explain_pair, explain_person, person_as_json, render_pair, render_person
from miglink.explain.inputs import open_run
from miglink.explain.paths import shortest_path
from miglink.tables import IDENTIFYING

BIRTH = date(2015, 3, 9)
ONE, TWO, THREE = "aaaaaaaa01" + "0" * 54, "aaaaaaaa02" + "0" * 54, "bbbbbbbb03" + "0" * 54
ANNA, BORIS = "cccccccc01" + "0" * 54, "dddddddd02" + "0" * 54
SECRET = "770275390"
CONFIG: dict[str, Any] = {
    "engine": {}, "linkage": {}, "persons": {}, "sources": {"births": {}, "border": {}, "register": {}},
}  # fmt: skip
Rows = Sequence[dict[str, Any]]


def identity(identity_id: str, **fields: Any) -> dict[str, Any]:
    return {"identity_id": identity_id, "n_records": 1, "first_date": BIRTH, "last_date": BIRTH} | fields


def hand_made() -> dict[str, Rows]:
    """Anna has a birth record and a crossing, Boris a registration. Two links lead from Anna to Boris."""
    records = [
        {"source": "births", "record_id": SECRET, "kind": "vital", "reason": "birth", "event_date": BIRTH,
         "record_date": BIRTH, "birth_date": BIRTH, "is_repeat": False},
        {"source": "border", "record_id": "a:1", "kind": "crossings", "direction": "arrival", "port": "A1",
         "record_date": date(2016, 5, 1), "birth_date": BIRTH, "is_repeat": False},
        {"source": "register", "record_id": "7", "kind": "register", "record_date": BIRTH, "is_repeat": False,
         "reason": "birth", "valid_from": date(2015, 4, 20)},
    ]  # fmt: skip
    keys = [{"source": row["source"], "record_id": row["record_id"]} for row in records]
    owners = [ANNA, ANNA, BORIS]
    person = {"is_born_here": True, "n_identities": 2, "n_records": 2, "is_doubtful": True}
    link = {"blocking_rule": "given_person", "match_weight": 1000.0, "p_match": 1.0, "p_calibrated": 1.0}
    weak = link | {"blocking_rule": "judgement", "match_weight": 0.0, "p_match": 0.5, "p_calibrated": 0.5}
    spell = {"draw": 0, "person_id": ANNA, "sequence": 1, "start_basis": "birth", "end_basis": "crossing"}
    trait = {"person_id": ANNA, "source": "births"}
    status = {
        "draw": 0,
        "person_id": ANNA,
        "rule": "r",
        "policy": "q",
        "status": "resident",
        "basis": "mother",
    }
    return {
        "records": records,
        "record_identities": [k | {"identity_id": i} for k, i in zip(keys, (ONE, TWO, THREE), strict=True)],
        "record_persons": [k | {"person_id": p} for k, p in zip(keys, owners, strict=True)],
        "identity_persons": [
            {"identity_id": i, "person_id": p} for i, p in zip((ONE, TWO, THREE), owners, strict=True)
        ],
        "identities": [
            identity(ONE, birth_date=BIRTH), identity(TWO, person_number=SECRET), identity(THREE, sex="male"),
        ],
        "judgements": [],
        "links": [
            link | {"identity_id_l": ONE, "identity_id_r": TWO},
            weak | {"identity_id_l": TWO, "identity_id_r": THREE},
            weak | {"identity_id_l": ONE, "identity_id_r": THREE, "p_match": 0.25, "p_calibrated": 0.25},
        ],
        "persons": [
            person | {"person_id": ANNA, "birth_date": BIRTH, "birth_date_precision": "day",
                      "id_since_date": date(2024, 1, 1)},
            person | {"person_id": BORIS, "id_since_date": date(2024, 1, 1)},
        ],
        "person_traits": [
            trait | {"trait": "citizenship", "valid_from": date(1, 1, 1), "value": "QMR"},
            trait | {"trait": "region", "valid_from": date(2015, 3, 10), "value": "01"},
        ],
        "conflicts": [
            {"person_id": ANNA, "kind": "within_given_person", "detail_l": "hash of " + SECRET, "detail_r": "x",
             "winner": "joined"},
            {"person_id": ANNA, "kind": "chain", "detail_l": ANNA, "detail_r": BORIS, "winner": "kept apart"},
        ],
        "spells": [
            spell | {"start_date": BIRTH, "end_date": date(2016, 5, 1), "state": "absent", "start_direction": "start"},
            spell | {"draw": 1, "start_date": date(2019, 9, 9), "state": "absent", "start_direction": "start"},
        ],
        "contradictions": [
            {"draw": 0, "person_id": ANNA, "sequence": 1, "since_date": date(2015, 8, 1), "loser": "permit",
             "loser_says": "away", "loser_source": "births", "loser_record_id": SECRET, "winner": "register",
             "winner_source": "border", "winner_record_id": "a:1"},
        ],
        "residence": [status | {"from_date": date(2015, 3, 8), "status_final_date": BIRTH}],
        "migrations": [],
    }  # fmt: skip


STAGES = ("ingest", "identities", "linkage", "persons", "spells", "residence")


def write_manifest(run: Path, state: str = "finished", stages: Sequence[str] = STAGES) -> None:
    manifest = {"state": state, "config": CONFIG, "stages": [{"name": name} for name in stages]}
    (run / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of the run by hand; nothing was compared in it, so that it has no model."""
    with closing(DuckDBEngine(tmp_path / "tables")) as engine:
        for name, rows in hand_made().items():
            make_table(engine, name, rows)
    write_manifest(tmp_path)
    return tmp_path


@pytest.mark.parametrize("left", ["aaaaaaaa01", ONE, f"births:{SECRET}"])
@pytest.mark.parametrize("right", ["aaaaaaaa02", "border:a:1"])
def test_a_pair_is_named_by_ids_or_records(run: Path, left: str, right: str) -> None:
    found = explain_pair(run, left, right)
    assert (found.left.identity_id, found.right.identity_id) == (ONE[:12], TWO[:12])
    assert found.left.sources == ("births",) and found.left.years == "2015"
    assert found.reason == "One person: a source already linked binds the two, whatever the model says."
    assert found.match_weight is None and found.agreements == ()
    assert [field.name for field in found.fields] == [column.name for column in IDENTIFYING]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("aaaaaaaa", "2 identity_ids begin with what was given; give more of its characters"),
        ("aaaaaaa", "expected an identity by its id, or a record as source:record_id"),
        ("' OR 1=1 --", "expected an identity by its id, or a record as source:record_id"),
        (SECRET, "no identity_id that begins with what was given; they stand in tables/identities.parquet"),
        (ONE[8:20], "no identity_id that begins with what was given"),
        (f"visas:{SECRET}", "no source of that name; it has births, border, register"),
        (f"border:{SECRET}", "source border has no accepted record of that record_id"),
        ("border:' OR 1=1 --", "source border has no accepted record of that record_id"),
    ],
)
def test_what_is_named_wrongly_is_not_repeated(run: Path, given: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        explain_pair(run, ONE, given)
    assert str(raised.value).startswith("--pair, second: ") and said in str(raised.value)
    assert SECRET not in str(raised.value)
    with pytest.raises(ConfigError, match="--pair, first: "):
        explain_pair(run, given, ONE)


@pytest.mark.parametrize("given", ["cccc", "eeeeeeee", "border:a:1", ""])
def test_a_person_is_named_by_the_beginning_of_an_id(run: Path, given: str) -> None:
    assert explain_person(run, "cccccccc").person_id == ANNA
    with pytest.raises(ConfigError, match="--person: "):
        explain_person(run, given)


def test_a_day_of_birth_and_its_neighbours_are_told_as_years(run: Path) -> None:
    """Where a spell begins with birth and a status the day before it, the day of birth would stand there."""
    found = explain_person(run, ANNA)
    assert (found.birth, found.spells[0].start_date, found.spells[0].end_date) == (
        "2015",
        "2015",
        "2016-05-01",
    )
    assert (found.residence[0].from_date, found.residence[0].status_final_date) == ("2015", "2015")
    assert [(one.trait, one.valid_from) for one in found.traits] == [
        ("citizenship", None),
        ("region", "2015"),
    ]
    assert [(one.date, one.record_id, one.identity) for one in found.records] == [
        ("2015", None, 1), ("2016-05-01", None, 2),
    ]  # fmt: skip
    (registered,) = explain_person(run, BORIS).records
    assert (registered.date, registered.valid_from) == ("2015", "2015")
    assert len(found.spells) == 1  # other draws are other linkages
    text = StringIO()
    Console(width=80, file=text).print(render_person(found))
    assert "2015-03" not in text.getvalue() + person_as_json(found)
    assert SECRET not in text.getvalue() + person_as_json(found)
    shown = explain_person(run, ANNA, show_values=True)
    assert (shown.birth, shown.residence[0].from_date) == ("2015-03-09", "2015-03-08")
    assert shown.records[0].record_id == SECRET


def test_links_to_others_and_conflicts_are_told(run: Path) -> None:
    for person_id, other in ((ANNA, BORIS), (BORIS, ANNA)):
        found = explain_person(run, person_id)
        (neighbour,) = found.neighbours
        assert (neighbour.person_id, neighbour.outcome) == (other, "not accepted")
        assert (neighbour.n_links, neighbour.n_not_accepted, neighbour.p_match) == (2, 2, 0.5)
        assert ("chain", ANNA[:12], BORIS[:12], "kept apart") in {
            (one.kind, one.detail_l, one.detail_r, one.winner) for one in found.conflicts
        }
    within = next(one for one in explain_person(run, ANNA).conflicts if one.kind == "within_given_person")
    assert (within.detail_l, within.detail_r) == (None, None)


def test_evidence_that_was_not_believed_is_told_with_the_records(run: Path) -> None:
    found = explain_person(run, ANNA)
    (one,) = found.contradictions
    assert (one.loser, one.loser_source, one.loser_number, one.loser_says) == ("permit", "births", 1, "away")
    assert (one.winner, one.winner_source, one.winner_number) == ("register", "border", 1)
    text = StringIO()
    Console(width=120, file=text).print(render_person(found))
    (line,) = (line for line in text.getvalue().splitlines() if "lives elsewhere" in line)
    assert "2015-08-01" in line and "permit (births 1): lives elsewhere" in line
    assert "register (border 1)" in line and SECRET not in line
    assert explain_person(run, BORIS).contradictions == ()


def test_without_a_model_a_pair_still_has_an_outcome(run: Path) -> None:
    (run / "tables" / "links.parquet").unlink()
    with closing(DuckDBEngine(run / "tables")) as engine:
        make_table(engine, "links", [])
    found = explain_pair(run, ONE, THREE)
    assert (
        found.reason
        == "Two persons: the run compared nothing, and what would join them through others was cut."
    )
    Console(width=80, file=StringIO()).print(render_pair(found))


UNSTATED = '{"state": "finished", "stages": [{"name": "persons"}]}'


def test_a_run_ended_after_persons_is_told_so_far(run: Path) -> None:
    for name in ("spells", "contradictions", "residence", "migrations"):
        (run / "tables" / f"{name}.parquet").unlink()
    write_manifest(run, "stopped", STAGES[:4])
    assert explain_pair(run, ONE, TWO).is_one_person
    found = explain_person(run, ANNA)
    assert (found.spells, found.contradictions, found.residence, found.migrations) == ((), (), (), ())
    text = StringIO()
    Console(width=80, file=text).print(render_person(found))
    assert "The run was ended before spells." in text.getvalue() and "Migrations" not in text.getvalue()


def lose(run: Path, name: str, column: str) -> None:
    """Take a column from a table, as an earlier version would not have made it."""
    path = run / "tables" / f"{name}.parquet"
    pl.read_parquet(path).drop(column).write_parquet(path)


@pytest.mark.parametrize(
    ("break_it", "error", "said"),
    [
        (lambda run: (run / "manifest.json").unlink(), ConfigError, "holds no manifest.json"),
        (lambda run: (run / "manifest.json").write_text("{"), ConfigError, "cannot be read"),
        (lambda run: (run / "manifest.json").write_text("[]"), ConfigError, "no JSON object"),
        (lambda run: write_manifest(run, "failed"), ConfigError, "not finished but failed"),
        (lambda run: write_manifest(run, "stopped", STAGES[:3]), ConfigError, "ended before the stage persons"),
        (lambda run: (run / "manifest.json").write_text(UNSTATED), ConfigError, "does not state"),
        (lambda run: (run / "tables" / "spells.parquet").unlink(), SourceError, "no tables/spells; were"),
        (lambda run: (run / "tables" / "persons.parquet").write_text("x"), SourceError, "cannot be read as Parquet"),
        (lambda run: lose(run, "spells", "likely_date"), SourceError, "spells.parquet has no column likely_date"),
        (lambda run: (run / "model.json").write_text("{}"), SourceError, "not the model of a run"),
    ],
)  # fmt: skip
def test_a_broken_run_says_what_is_missing(
    run: Path, break_it: Any, error: type[Exception], said: str
) -> None:
    break_it(run)
    with pytest.raises(error, match=said):
        explain_person(run, ANNA)


def test_scored_links_without_their_model_are_an_error(run: Path) -> None:
    with closing(DuckDBEngine(run / "tables")) as engine:
        link = {
            "identity_id_l": ONE,
            "identity_id_r": TWO,
            "match_weight": 9.0,
            "p_match": 0.99,
            "p_calibrated": 0.99,
        }
        make_table(engine, "links", [link | {"blocking_rule": "document_number"}])
    with pytest.raises(SourceError, match=r"no model\.json, yet"):
        explain_pair(run, ONE, TWO)


def test_of_two_ways_of_one_length_the_heavier_is_taken() -> None:
    ways = [
        ("a", "b", 1.0),
        ("b", "z", 9.0),
        ("a", "y", 9.0),
        ("y", "z", 2.0),
        ("a", "x", 9.0),
        ("x", "z", 8.0),
    ]
    links = pl.DataFrame(ways, schema=["identity_id_l", "identity_id_r", "match_weight"], orient="row")
    assert shortest_path(links, "a", "z") == ["a", "b", "z"]  # from the goal back, along the heaviest link
    assert shortest_path(links, "b", "y") == ["b", "a", "y"]
    assert shortest_path(links.head(1), "a", "z") == []


def test_nothing_is_left_behind(run: Path) -> None:
    before = sorted(path.name for path in run.iterdir())
    explain_pair(run, ONE, TWO)
    with pytest.raises(ConfigError):
        explain_person(run, "eeeeeeee")
    with open_run(run) as opened:
        assert opened.model is None
    assert sorted(path.name for path in run.iterdir()) == before
