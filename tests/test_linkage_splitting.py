"""Over-full blocks are split, others are not; the pairs are those of the definition."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest

from given_examples import is_quick
from given_links import link_identities, sized
from miglink.config.stages import LinkageSettings
from miglink.engine import Engine, Table
from miglink.stages.identities import find_identities
from miglink.stages.linkage import Identified
from miglink.stages.linkage.blocking import Block, count_pairs
from miglink.stages.linkage.keys import prepare_identities
from miglink.stages.linkage.scoring import propose_pairs
from miglink.stages.linkage.splitting import split_blocks
from test_linkage import linked, person, population, records_of
from test_linkage_splink import sorted_links

BLOCKS = [Block(("surname_key",)), Block(("birth_day_iso",)), Block(("document_number",))]


def crowd(engine: Engine, n: int, seed: int) -> Table:
    """Prepared identities of n persons, a third of whom bear one surname; some fields are not known."""
    rng = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for number in range(n):
        who = person(rng)
        if number % 3 == 0:
            who["surname"] = "NGUYEN"
        rows.append({name: value if rng.random() > 0.1 else None for name, value in who.items()})
    identities, _ = find_identities(engine, records_of(rows, engine))
    return prepare_identities(engine, identities)


def by_definition(prepared: pl.DataFrame, ways: Sequence[Block], whole: int = 20) -> set[tuple[int, int]]:
    """Pairs that share all columns and, where more than `whole` do, the further fields of one way at least."""
    pairs = set()
    for key, members in prepared.group_by(ways[0].columns):
        if None in key:
            continue
        is_large = members.height > whole
        for fields in [way.split for way in ways] if is_large else [()] if not ways[0].is_beside else []:
            values = {
                row["unique_id"]: tuple(row[f] for f in fields) for row in members.iter_rows(named=True)
            }
            pairs |= {(a, b) for a, b in itertools.combinations(sorted(values), 2) if values[a] == values[b]}
    return pairs


@pytest.mark.parametrize(("most_each", "n_ways"), [(0.01, 1), (0.5, 2), (12.0, 4)])
def test_the_pairs_are_those_of_the_definition(engine: Engine, most_each: float, n_ways: int) -> None:
    prepared = crowd(engine, sized(engine, 900), 5)
    marked, found = split_blocks(engine, prepared, BLOCKS, most_each)
    rows = engine.collect("SELECT * FROM marked", marked=marked)
    ways = [block for block in found if block.columns == BLOCKS[0].columns]
    assert found == [*ways, *BLOCKS[1:]]
    assert len(ways) == n_ways and all(way.split for way in ways)
    assert [way.is_beside for way in ways] == [False] + [True] * (n_ways - 1)
    assert len({field for way in ways for field in way.split}) == sum(len(way.split) for way in ways)
    for rule in (ways, BLOCKS[1:2], BLOCKS[2:]):
        made = engine.collect("SELECT * FROM made", made=propose_pairs(engine, marked, rule))
        pairs = set(made.select("unique_id_l", "unique_id_r").iter_rows())
        assert pairs == by_definition(rows, rule)
        # A pair that agrees in several ways is counted for each, and made once.
        assert [len(by_definition(rows, [way])) for way in rule] == list(
            count_pairs(engine, marked, rule)["n_pairs"]
        )
        assert made.height == len(pairs)
        assert by_definition(rows, rule[:1], whole=10**9) >= pairs
    counted = count_pairs(engine, marked, ways)["n_pairs"].sum()
    assert counted < count_pairs(engine, prepared, BLOCKS)["n_pairs"][0] / 2


def test_a_rule_within_its_budget_stays_as_it_is(duckdb_engine: Engine) -> None:
    prepared = crowd(duckdb_engine, 300, 6)
    assert split_blocks(duckdb_engine, prepared, BLOCKS, 1e6) == (prepared, BLOCKS)


def test_pairs_keep_to_their_budget_as_the_data_grow(duckdb_engine: Engine) -> None:
    for n in (500, 1500, 4000):
        prepared = crowd(duckdb_engine, n, 7)
        marked, blocks = split_blocks(duckdb_engine, prepared, BLOCKS[:1], 2.0)
        assert count_pairs(duckdb_engine, marked, blocks)["n_pairs"].sum() <= 2.0 * n


def test_links_of_split_blocks_are_those_of_splink(engine: Engine, tmp_path: Path) -> None:
    """The blocking rules of the model say what is split, so that Splink proposes the same pairs."""
    rows, _ = population(500, 8)  # fewer make no over-full block
    asked = LinkageSettings(
        blocking=(("surname_start",), ("birth_day_iso",)), pairs_per_identity=1.0, training_pairs=50_000
    )
    (tmp_path / "trained").mkdir()
    ours, model = linked(engine, rows, tmp_path / "trained", asked)
    assert "in_large_block_of_surname_start" in str(
        model["settings"]["blocking_rules_to_generate_predictions"]
    )
    if is_quick(engine):
        again = asked.model_copy(update={"model": tmp_path / "trained", "scored_by": "splink"})
        (tmp_path / "splink").mkdir()
        splinks, _ = linked(engine, rows, tmp_path / "splink", again)
        columns = ["identity_id_l", "identity_id_r", "blocking_rule"]
        assert sorted_links(ours).select(columns).equals(sorted_links(splinks).select(columns))


def test_links_of_the_previous_run_are_compared_again(engine: Engine, tmp_path: Path) -> None:
    """Whatever the rules propose now; a link of identities that are gone is no pair."""
    rows, _ = population(sized(engine, 400), 9)
    asked = LinkageSettings(training_pairs=50_000)
    (tmp_path / "first").mkdir()
    first, _ = linked(engine, rows, tmp_path / "first", asked)
    previous = tmp_path / "links.parquet"
    gone = {"identity_id_l": ["0" * 64], "identity_id_r": ["f" * 64]}
    kept = first.select("identity_id_l", "identity_id_r").unique().filter(pl.int_range(pl.len()) % 2 == 0)
    pl.concat([kept, pl.DataFrame(gone)]).write_parquet(previous)
    narrow = asked.model_copy(
        update={"model": tmp_path / "first", "blocking": (("document_number",),), "keep_p_match": 0.0}
    )
    (tmp_path / "second").mkdir()

    def again(engine: Engine, identified: Identified, *others: Any) -> Table:
        return link_identities(engine, replace(identified, previous=Table("links", previous)), *others)

    second, _ = linked(engine, rows, tmp_path / "second", narrow, again)
    found = set(second.select("identity_id_l", "identity_id_r").iter_rows())
    assert set(kept.iter_rows()) <= found
    assert gone["identity_id_l"][0] not in {left for left, _ in found}
    besides = second.filter(pl.col("blocking_rule") == "previous").select("identity_id_l", "identity_id_r")
    assert 0 < besides.unique().height <= kept.height


@pytest.mark.parametrize("scored_by", ["miglink", "splink"])
def test_links_of_the_previous_run_are_besides(
    duckdb_engine: Engine, tmp_path: Path, scored_by: Literal["miglink", "splink"]
) -> None:
    """The model, and the links that the rules propose, are those of a run of its own."""
    rows, _ = population(300, 10)
    asked = LinkageSettings(training_pairs=50_000)
    narrow = asked.model_copy(
        update={"blocking": (("document_number",), ("given_names_key", "birth_year")), "scored_by": scored_by}
    )
    for name in ("first", "alone", "again"):
        (tmp_path / name).mkdir()
    first, _ = linked(duckdb_engine, rows, tmp_path / "first", asked)
    alone, model_alone = linked(duckdb_engine, rows, tmp_path / "alone", narrow)
    previous = tmp_path / "links.parquet"
    first.unique(["identity_id_l", "identity_id_r"]).write_parquet(previous)

    def with_previous(engine: Engine, identified: Identified, *others: Any) -> Table:
        return link_identities(engine, replace(identified, previous=Table("links", previous)), *others)

    again, model_again = linked(duckdb_engine, rows, tmp_path / "again", narrow, with_previous)
    besides = sorted_links(again.filter(blocking_rule="previous"))
    assert model_again == model_alone
    assert sorted_links(again.filter(pl.col("blocking_rule") != "previous")).equals(sorted_links(alone))
    key = ["identity_id_l", "identity_id_r"]
    only_first = sorted_links(first).join(sorted_links(alone), on=key, how="anti")
    # What both models take for a match is found again, with levels that are the same whoever scores.
    certain = only_first.filter(pl.col("p_match") > 0.99)
    assert certain.height > 0
    levels = [name for name in first.columns if name.startswith("level_")]
    assert certain.select(*key, *levels).join(besides, on=[*key, *levels], how="anti").is_empty()
