"""Explanations of a small run: they agree with its tables, with oracles from the definition, and tell no values."""

import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from io import StringIO
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from miglink.cli import main
from miglink.explain import (
    PairExplanation,
    PersonExplanation,
    explain_pair,
    explain_person,
    pair_as_json,
    person_as_json,
    render_pair,
    render_person,
)
from miglink.explain.inputs import open_run
from miglink.explain.paths import shortest_path, strongest_tree
from miglink.explain.scores import pair_identities, score_pairs, sum_scores
from miglink.stages.linkage import find_travel
from synthetic.__main__ import make_country
from synthetic.chance import Chance

BOUND = ["judgement", "given_person"]
JUDGED = """
  clerks:
    kind: judgements
    files: judgements.csv
    columns: {source_l: sl, record_id_l: l, source_r: sr, record_id_r: r, verdict: v}
"""
ACCEPT, CERTAIN, ROUNDING = 0.65, 0.999, 1.01e-6


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a small country in which clerks have joined two persons and parted one."""
    folder = tmp_path_factory.mktemp("explain")
    make_country(500, "high", Chance(5), folder / "made")
    (folder / "made" / "judgements.csv").write_text(
        "\n".join(["sl,l,sr,r,v", *judgements(folder / "made")]) + "\n"
    )
    config = folder / "made" / "country.yml"
    text = config.read_text("utf-8").replace("\nresidence:\n", f"{JUDGED}\nresidence:\n")
    config.write_text(text, encoding="utf-8")
    command = ["run", str(config), "--out", str(folder / "run"), "--log-format", "json", "--to", "residence"]
    assert main([*command, "--set", "linkage.training_pairs=100000"]) == 0
    return folder / "run"


def judgements(made: Path) -> Iterator[str]:
    """Two records of one true person with two documents are judged apart; two visas of two true persons, together."""
    truth = pl.read_parquet(made / "truth" / "record_persons.parquet")
    scans = pl.concat(
        [pl.read_csv(path, infer_schema=False) for path in sorted((made / "border").glob("*.csv"))]
    )
    documents = (
        scans.select(record_id="scan", document="document")
        .join(truth.filter(source="border"), on="record_id")
        .drop_nulls()
        .unique(["true_person_id", "document"], maintain_order=True)
        .sort("true_person_id", "record_id")
    )
    renewed = documents.filter(pl.len().over("true_person_id") == 2).head(2)["record_id"]
    yield f"border,{renewed[0]},border,{renewed[1]},non_match"
    listed = truth.filter(~pl.col("source").is_in(["border", "visas"]))["true_person_id"]
    visas = truth.filter(~pl.col("true_person_id").is_in(listed.implode()), source="visas")
    visas = visas.unique("true_person_id", maintain_order=True).sort("record_id")
    yield f"visas,{visas['record_id'][0]},visas,{visas['record_id'][1]},match"


def table(run: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(run / "tables" / f"{name}.parquet")


def judged(run: Path, verdict: str) -> tuple[str, str]:
    row = table(run, "judgements").row(by_predicate=pl.col("verdict") == verdict, named=True)
    return f"{row['source_l']}:{row['record_id_l']}", f"{row['source_r']}:{row['record_id_r']}"


def with_persons(run: Path, links: pl.DataFrame) -> pl.DataFrame:
    owners = table(run, "identity_persons")
    links = links.join(
        owners.rename({"person_id": "person_l"}), left_on="identity_id_l", right_on="identity_id"
    )
    return links.join(
        owners.rename({"person_id": "person_r"}), left_on="identity_id_r", right_on="identity_id"
    )


def printed(found: PairExplanation | PersonExplanation) -> str:
    text = StringIO()
    shown = render_pair(found) if isinstance(found, PairExplanation) else render_person(found)
    Console(width=80, file=text).print(shown)
    return text.getvalue()


# -- pairs ------------------------------------------------------------------------------------------------------------


def test_the_score_of_every_link_is_the_score_in_links(run: Path) -> None:
    """The labels too; the run rounds to six decimals."""
    links = table(run, "links").filter(~pl.col("blocking_rule").is_in(BOUND))
    # Left and right are given the wrong way round: their order must not matter.
    pairs = links.select(identity_id_a="identity_id_r", identity_id_b="identity_id_l")
    pairs = pairs.with_columns(pair_number=pl.int_range(pl.len()))
    with open_run(run) as opened:
        assert opened.model is not None
        travel = find_travel(opened.engine, opened.tables["records"], opened.tables["record_identities"])
        prepared, paired = pair_identities(opened.engine, opened.tables["identities"], pairs, travel)
        scored = score_pairs(opened.engine, prepared, paired, opened.model)
        totals = sum_scores(scored, opened.model)
    assert totals.height == links.height > 1000
    assert (totals["match_weight"] - links["match_weight"]).abs().max() < ROUNDING  # type: ignore[operator]
    assert (totals["p_match"] - links["p_match"]).abs().max() < ROUNDING  # type: ignore[operator]
    labels = scored.pivot("comparison", index="pair_number", values="label").sort("pair_number")
    compared = [name for name in links.columns if name.startswith("level_")]
    assert len(compared) > 4
    for name in compared:
        assert labels[name.removeprefix("level_")].equals(links[name], null_equal=True), name


def test_a_link_is_explained_as_links_states_it(run: Path) -> None:
    link = table(run, "links").filter(pl.col("level_name") == "same name", p_match=1.0)
    row = link.filter(~pl.col("blocking_rule").is_in(BOUND)).row(3, named=True)
    found = explain_pair(run, row["identity_id_l"][:20], row["identity_id_r"])
    assert found.is_one_person and not found.is_one_identity and found.path == ()
    assert found.reason == "One person: linked directly, for p_calibrated is at least accept_p_match (0.65)."
    assert found.link is not None and found.link.match_weight == row["match_weight"]
    assert found.match_weight == pytest.approx(row["match_weight"], abs=ROUNDING)
    assert found.prior_weight is not None
    total = found.prior_weight + sum(one.adjusted_weight for one in found.agreements)
    assert found.match_weight == pytest.approx(total)
    assert found.p_match == pytest.approx(1 / (1 + 2**-total))
    # `links` names the first rule that proposes the pair.
    assert next(route.name for route in found.routes if route.proposes) == row["blocking_rule"]
    assert {one.comparison: one.level for one in found.agreements} == {
        name.removeprefix("level_"): level for name, level in row.items() if name.startswith("level_")
    }


def test_frequencies_are_counted_as_defined(run: Path) -> None:
    """Others who carry a value among all distinct persons (name and date of birth) that hold the field."""
    links = table(run, "links").filter(pl.col("level_citizenship") == "same", p_match=1.0)
    row = links.filter(~pl.col("blocking_rule").is_in(BOUND)).row(0, named=True)
    found = explain_pair(run, row["identity_id_l"], row["identity_id_r"], show_values=True)
    (citizenship,) = [one for one in found.agreements if one.comparison == "citizenship"]
    (value,) = [field.value_l for field in found.fields if field.name == "citizenship"]
    with open_run(run) as opened:
        prepared, _ = pair_identities(
            opened.engine, opened.tables["identities"], pl.DataFrame(schema=dict.fromkeys(
                ("pair_number", "identity_id_a", "identity_id_b"), pl.String))
        )  # fmt: skip
        known = "SELECT * FROM prepared WHERE citizenship IS NOT NULL"
        everybody = opened.engine.collect(known, prepared=prepared)
    holders: dict[str, set[Any]] = {}
    for one in everybody.iter_rows(named=True):
        who = (one["name_words"], one["birth_iso"]) if one["name_words"] else one["unique_id"]
        who = one["name_words"] if one["name_words"] and not one["birth_iso"] else who
        holders.setdefault(one["citizenship"], set()).add(who)
    assert citizenship.n_identities == everybody.filter(citizenship=value).height
    assert value is not None and len(holders[value]) > 1
    share = (len(holders[value]) - 1) / sum(map(len, holders.values()))
    assert citizenship.frequency == pytest.approx(share)
    assert citizenship.m is not None
    assert citizenship.adjusted_weight == pytest.approx(
        float(pl.Series([citizenship.m / share]).log(2).item())
    )


def test_a_pair_that_no_rule_proposes_says_what_differs(run: Path) -> None:
    cards = table(run, "identities").filter(
        pl.col("surname_ascii").is_not_null(),
        pl.col("document_number").is_not_null(),
        birth_date_precision="day",
    )
    left = cards.row(0, named=True)
    others = cards.filter(
        pl.col("surname_ascii").str.head(1) != left["surname_ascii"][0],
        pl.col("given_names_ascii").str.head(1) != left["given_names_ascii"][0],
        pl.col("birth_date").dt.year() != left["birth_date"].year,
        pl.col("document_number").str.head(3) != left["document_number"][:3],
    )
    found = explain_pair(run, left["identity_id"], others.row(0, named=True)["identity_id"])
    assert not found.is_one_person and found.link is None
    assert (
        found.reason == "Two persons: no blocking rule proposes the pair, and no other identity joins them."
    )
    by_name = {route.name: route for route in found.routes}
    assert len(by_name) > 5 and not any(route.proposes for route in found.routes)
    assert by_name["surname_key + birth_day_iso"].differs == ("surname_key", "birth_day_iso")
    assert all(route.differs or route.missing for route in found.routes)
    assert found.p_match is not None and found.p_match < found.keep_p_match
    assert "none proposes the pair" in printed(found)


def test_judgements_bind_and_part(run: Path) -> None:
    joined = explain_pair(run, *judged(run, "match"))
    assert joined.is_one_person and joined.judgements == ("match",)
    assert joined.link is not None and joined.link.blocking_rule == "judgement"
    assert joined.reason == "One person: a judgement binds the two, whatever the model says."
    # The model alone would never have joined them.
    assert joined.p_match is not None and joined.p_match < 0.01
    parted = explain_pair(run, *judged(run, "non_match"))
    assert not parted.is_one_person and parted.judgements == ("non_match",)
    assert parted.p_match is not None and parted.p_match > ACCEPT
    assert parted.reason == "Two persons: a judgement parts the two, whatever the model says."
    assert ("non_match", "kept apart") in {(one.kind, one.winner) for one in parted.conflicts}
    assert "non_match" in printed(parted)


def test_links_cut_by_a_conflict_name_it(run: Path) -> None:
    cut = with_persons(run, table(run, "links")).filter(
        pl.col("person_l") != pl.col("person_r"), pl.col("p_match") >= ACCEPT
    )
    found = [explain_pair(run, row[0], row[1]) for row in cut.head(5).iter_rows()]
    assert found and all(one.conflicts for one in found)
    assert all(one.reason.startswith("Two persons") for one in found)


def test_records_of_one_identity_need_no_comparison(run: Path) -> None:
    records = (
        table(run, "record_identities").filter(pl.len().over("identity_id") > 1).sort("identity_id").head(2)
    )
    names = [f"{row['source']}:{row['record_id']}" for row in records.iter_rows(named=True)]
    found = explain_pair(run, names[0], names[1])
    assert found.is_one_identity and found.is_one_person
    assert (found.agreements, found.routes, found.link, found.match_weight) == ((), (), None, None)
    assert found.reason.startswith("One identity") and "Fields" in printed(found)


def test_identities_joined_through_others_show_the_shortest_way(run: Path) -> None:
    links = with_persons(run, table(run, "links")).filter(pl.col("p_match") >= ACCEPT)
    within = links.filter(pl.col("person_l") == pl.col("person_r"))
    direct = set(within.select("identity_id_l", "identity_id_r").iter_rows())
    person = (
        table(run, "identity_persons").sort("identity_id").group_by("person_id", maintain_order=True).all()
    )
    pairs = [pair for ids in person["identity_id"] for pair in combinations(ids, 2) if pair not in direct]
    assert len(pairs) > 10
    for left, right in pairs[:3]:
        found = explain_pair(run, left, right, show_values=True)
        assert found.is_one_person and "joined through others" in found.reason
        steps = [(link.identity_id_l, link.identity_id_r) for link in found.path]
        assert steps[0][0] == left and steps[-1][1] == right
        assert all(before[1] == after[0] for before, after in pairwise(steps))
        assert all((min(step), max(step)) in direct for step in steps)
        assert len(steps) == distance(direct, left, right)


def distance(edges: set[tuple[str, str]], start: str, goal: str) -> int | None:
    """The fewest edges between two nodes, by breadth-first search."""
    queue, seen = deque([(start, 0)]), {start}
    while queue:
        node, n = queue.popleft()
        if node == goal:
            return n
        for a, b in edges:
            other = b if a == node else a if b == node else None
            if other is not None and other not in seen:
                seen.add(other)
                queue.append((other, n + 1))
    return None


EDGES = st.dictionaries(
    st.tuples(st.sampled_from("abcdefg"), st.sampled_from("abcdefg")).filter(lambda edge: edge[0] < edge[1]),
    st.integers(0, 5).map(float),
)


@given(EDGES)
@settings(max_examples=60, deadline=None)
def test_ways_and_trees_are_those_of_the_definition(edges: dict[tuple[str, str], float]) -> None:
    links = pl.DataFrame(
        [(a, b, weight) for (a, b), weight in edges.items()],
        schema={"identity_id_l": pl.String, "identity_id_r": pl.String, "match_weight": pl.Float64},
        orient="row",
    )
    path = shortest_path(links, "a", "g")
    assert distance(set(edges), "a", "g") == (len(path) - 1 if path else None)
    assert all((min(step), max(step)) in edges for step in pairwise(path))
    tree = strongest_tree(list("abcdefg"), links)
    reached = [node for node in "bcdefg" if distance(set(edges), "a", node)]
    assert sorted(tree["joined"]) == reached
    assert all(edges[min(a, b), max(a, b)] == weight for a, b, weight in tree.iter_rows())
    # The lightest link is the largest weight at which those reached still hang together.
    if reached:
        weakest = min(tree["match_weight"])
        kept = {edge for edge, weight in edges.items() if weight >= weakest}
        heavier = {edge for edge, weight in edges.items() if weight > weakest}
        assert all(distance(kept, "a", node) for node in reached)
        assert not all(distance(heavier, "a", node) for node in reached)


# -- persons ----------------------------------------------------------------------------------------------------------


def telling(run: Path) -> list[str]:
    """Persons with something to tell: joined or parted by clerks, doubtful, born here, with unresolved spells."""
    persons = table(run, "persons").sort("person_id")
    conflicts, spells = table(run, "conflicts"), table(run, "spells").filter(state="unresolved")
    owners = table(run, "record_persons").join(
        table(run, "judgements").select(source="source_l", record_id="record_id_l"),
        on=["source", "record_id"],
    )
    chosen = [
        persons.filter("is_doubtful")["person_id"].head(4),
        persons.filter("is_born_here")["person_id"].head(6),
        persons.sort("n_records", "person_id", descending=True)["person_id"].head(2),
        conflicts["person_id"].sort().head(3),
        owners["person_id"].sort(),
        spells["person_id"].unique().sort().head(3),
    ]
    return pl.concat(chosen).unique(maintain_order=True).to_list()


def test_a_person_is_told_as_the_tables_state_it(run: Path) -> None:
    records, owners = table(run, "records"), table(run, "record_persons")
    spells, residence, migrations = (table(run, name) for name in ("spells", "residence", "migrations"))
    for person_id in telling(run)[:12]:
        found = explain_person(run, person_id[:16], show_values=True)
        assert found.person_id == person_id
        own = records.join(owners.filter(person_id=person_id), on=["source", "record_id"])
        assert (
            sorted((r.source, r.record_id) for r in found.records)
            == own.select("source", "record_id").sort("source", "record_id").rows()
        )
        days = [record.date or "9999" for record in found.records]
        assert days == sorted(days)
        for one, column in ((spells, "start_date"), (residence, "from_date"), (migrations, "event_date")):
            told: tuple[Any, ...] = {
                "start_date": found.spells, "from_date": found.residence, "event_date": found.migrations
            }[column]  # fmt: skip
            expected = one.filter(person_id=person_id, draw=0)[column].cast(pl.String).sort().to_list()
            assert sorted(getattr(line, column) for line in told) == expected
        assert all(spell.start_number for spell in found.spells if spell.start_basis == "crossing")
        assert [one.number for one in found.identities] == list(range(1, len(found.identities) + 1))
        joined = [one for one in found.identities if one.joined_to is not None]
        assert len(joined) == len(found.identities) - 1
        is_open = any(one.n_not_accepted for one in found.neighbours)
        if found.weakest_p_match is not None and found.weakest_p_match < CERTAIN:
            assert found.is_doubtful
        assert found.is_doubtful or not is_open
        assert json.loads(person_as_json(found)) == json.loads(json.dumps(asdict(found)))


def own_values(run: Path, persons: list[str]) -> set[str]:
    """Every name, number, day of a birth or its registration, and record_id that records of some persons hold."""
    owners = table(run, "record_persons").filter(pl.col("person_id").is_in(persons))
    records = table(run, "records").join(owners, on=["source", "record_id"]).with_columns(
        day=pl.when(reason="birth").then(pl.coalesce("event_date", "record_date"))
    )  # fmt: skip
    columns = [
        "surname", "given_names", "surname_icao", "given_names_icao", "surname_ascii", "given_names_ascii",
        "document_number", "person_number", "given_person", "mother_person_number", "birth_date", "day", "record_id",
    ]  # fmt: skip
    return set(pl.concat([records[column].cast(pl.String) for column in columns]).drop_nulls())


def told(values: set[str], text: str) -> set[str]:
    """The values that stand in a text as words of their own."""
    return {value for value in values if re.search(rf"(?<![\w.]){re.escape(value)}(?!\w)", text)}


def test_without_values_nothing_of_a_person_is_told(run: Path) -> None:
    for person_id in telling(run):
        values = own_values(run, [person_id])
        found = explain_person(run, person_id)
        assert not told(values, printed(found) + person_as_json(found))
        births = table(run, "persons").row(by_predicate=pl.col("person_id") == person_id, named=True)
        assert found.birth is None or found.birth == str(births["birth_date"].year)
    links = with_persons(run, table(run, "links")).sort("p_match", "identity_id_l")
    for left, right, *_, person_l, person_r in pl.concat([links.head(4), links.tail(4)]).iter_rows():
        pair = explain_pair(run, left, right)
        assert not told(own_values(run, [person_l, person_r]), printed(pair) + pair_as_json(pair))


def test_with_values_they_are_told(run: Path) -> None:
    fields = table(run, "identities").filter(pl.col("document_number").is_not_null()).row(0, named=True)
    values = {str(fields[name]) for name in ("surname_ascii", "birth_date", "document_number")}
    owner = table(run, "identity_persons").row(
        by_predicate=pl.col("identity_id") == fields["identity_id"], named=True
    )
    person = explain_person(run, owner["person_id"], show_values=True)
    pair = explain_pair(run, *[fields["identity_id"]] * 2, show_values=True)
    assert told(values, person_as_json(person)) == told(values, pair_as_json(pair)) == values
    assert told(values, printed(pair)) == values
