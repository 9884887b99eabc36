"""Evaluation of linkage: counts of contingency tables against a slow oracle that forms every pair."""

import random
import runpy
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miglink.engine import Engine
from miglink.evaluate.clusters import measure_clusters
from miglink.evaluate.matching import Matching, match_persons
from miglink.evaluate.measures import DIMENSIONS
from miglink.evaluate.pairs import measure_pairs

ORACLE = runpy.run_path(str(Path(__file__).parent / "oracle" / "clusters.py"))
GROUPS = {"U": "eu", "V": "eu", "W": "national", "X": "national", "Y": "other"}
PAIRS = ("true_pairs", "predicted_pairs", "right_pairs")

records = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("ijklmn"), st.sampled_from("UVWXY")),
    min_size=1,
    max_size=14,
)
persons = st.fixed_dictionaries({identity: st.sampled_from("PQRS") for identity in "ijklmn"})
Found = dict[tuple[str, ...], float]


def match(engine: Engine, given_records: Sequence[Any], seed: int = 0) -> Matching:
    """Match records, put in the order of the seed."""
    numbered = list(enumerate(given_records))
    random.Random(seed).shuffle(numbered)
    keys = {"source": [r.source for _, r in numbered], "record_id": [str(n) for n, _ in numbered]}
    columns = {"person_id": "person", "identity_id": "identity", "true_person_id": "true"}
    frames = {
        name: pl.DataFrame(keys | {name: [getattr(r, field) for _, r in numbered]})
        for name, field in columns.items()
    }
    traits = pl.DataFrame({"true_person_id": list(GROUPS), "value": list(GROUPS.values())})
    in_force = traits.with_columns(trait=pl.lit("citizenship_group"), valid_from=date(1, 1, 1))
    run = {
        "record_persons": engine.frame("record_persons", frames["person_id"]),
        "record_identities": engine.frame("record_identities", frames["identity_id"]),
    }
    truth = {
        "record_persons": engine.frame("truth_record_persons", frames["true_person_id"]),
        "person_traits": engine.frame("truth_person_traits", in_force),
    }
    return match_persons(engine, run, truth)


def measure(engine: Engine, matching: Matching) -> Found:
    frame = pl.concat([measure_pairs(engine, matching), measure_clusters(engine, matching)])
    wide = frame.select("measure", *DIMENSIONS, "value").iter_rows()
    return {(name, *(word for word in words if word != "total")): value for name, *words, value in wide}


def pairs(found: Found, *dimensions: str) -> tuple[float, ...]:
    return tuple(found[(name, *dimensions)] for name in PAIRS)


def linked(drawn: list[tuple[str, str, str]], person_of: dict[str, str]) -> list[Any]:
    return [ORACLE["Record"](source, identity, person_of[identity], true) for source, identity, true in drawn]


SLOW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SLOW
@given(drawn=records, person_of=persons)
def test_pairs_equal_the_oracle(
    duckdb_engine: Engine, drawn: list[tuple[str, str, str]], person_of: dict[str, str]
) -> None:
    given_records = linked(drawn, person_of)
    found = measure(duckdb_engine, match(duckdb_engine, given_records))
    assert pairs(found) == ORACLE["count_pairs"](given_records)
    for group, expected in ORACLE["by_group"](given_records, GROUPS.get).items():
        assert pairs(found, group) == expected
    expected_sources = {
        key: value for key, value in ORACLE["by_sources"](given_records).items() if sum(value)
    }
    # A pair of sources that never meet in a person has no row.
    found_sources = {
        key[1:]: pairs(found, *key[1:]) for key in found if key[0] == "true_pairs" and len(key) == 3
    }
    assert {key: value for key, value in found_sources.items() if sum(value)} == expected_sources


@SLOW
@given(drawn=records, person_of=persons)
def test_clusters_equal_the_oracle(
    duckdb_engine: Engine, drawn: list[tuple[str, str, str]], person_of: dict[str, str]
) -> None:
    given_records = linked(drawn, person_of)
    matching = match(duckdb_engine, given_records)
    found = measure(duckdb_engine, matching)
    for items, name in (
        (given_records, "bcubed"),
        (ORACLE["units"](given_records, with_source=False), "bcubed_unit"),
    ):
        measured = found[(f"{name}_precision",)], found[(f"{name}_recall",)]
        assert measured == pytest.approx(ORACLE["bcubed"](items))
    assert found[("right_clusters",)] == ORACLE["right_clusters"](given_records)
    represented = pl.read_parquet(matching.true_persons.path).filter("is_represented")
    assert set(represented.select("true_person_id", "person_id").rows()) == ORACLE["represented"](
        given_records
    )
    assert found[("represented",)] == represented.height


@SLOW
@given(drawn=records, person_of=persons, seed=st.integers(1, 99))
def test_the_order_of_rows_does_not_matter(
    duckdb_engine: Engine, drawn: list[tuple[str, str, str]], person_of: dict[str, str], seed: int
) -> None:
    given_records = linked(drawn, person_of)
    first = measure(duckdb_engine, match(duckdb_engine, given_records))
    assert measure(duckdb_engine, match(duckdb_engine, given_records, seed)) == first


@SLOW
@given(drawn=records, person_of=persons)
def test_what_is_true_is_perfect(
    duckdb_engine: Engine, drawn: list[tuple[str, str, str]], person_of: dict[str, str]
) -> None:
    found = measure(
        duckdb_engine, match(duckdb_engine, [r._replace(true=r.person) for r in linked(drawn, person_of)])
    )
    for (name, *_), value in found.items():
        if name.endswith(("precision", "recall", "f1", "repeat_share")):
            assert value == 1
        if name.startswith(("split", "merged", "shared")):
            assert value == 0
