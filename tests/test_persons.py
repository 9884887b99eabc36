"""Persons: constrained clusters against a slow oracle, ids that persist."""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import strategies as st

from given_examples import for_all
from given_tables import make_table
from miglink.components import connected_components
from miglink.config.stages import Period, PersonsSettings
from miglink.engine import Engine, Table
from miglink.stages.persons import Country, Linked, Persons, find_persons
from miglink.stages.persons.clusters import accepted_links, constrained_clusters, weigh_links
from miglink.stages.persons.facts import collect_traits
from miglink.stages.persons.ids import find_id_changes, give_ids

N = 9
Edge = tuple[int, int, int, bool]


def kruskal(edges: list[Edge], exclusive: dict[int, int], apart: set[tuple[int, int]]) -> dict[int, int]:
    """The sequential procedure: bound edges first, then by descending weight, never against a constraint."""
    cluster = {node: {node} for node in range(1, N + 1)}

    def join(a: int, b: int) -> None:
        merged = cluster[a] | cluster[b]
        for node in merged:
            cluster[node] = merged

    def permitted(a: set[int], b: set[int]) -> bool:
        values_a = {exclusive[node] for node in a if node in exclusive}
        values_b = {exclusive[node] for node in b if node in exclusive}
        if values_a and values_b and not values_a & values_b:
            return False
        return not any((min(x, y), max(x, y)) in apart for x in a for y in b)

    for a, b, _, is_bound in edges:
        if is_bound:
            join(a, b)
    for a, b, _, _ in sorted(edges, key=lambda edge: (-edge[2], edge[0], edge[1])):
        if cluster[a] is not cluster[b] and permitted(cluster[a], cluster[b]):
            join(a, b)
    return {node: min(members) for node, members in cluster.items()}


def frames(
    edges: list[Edge], exclusive: dict[int, int], apart: set[tuple[int, int]]
) -> dict[str, pl.DataFrame]:
    return {
        "nodes": pl.DataFrame({"unique_id": list(range(1, N + 1))}, schema={"unique_id": pl.Int64}),
        "edges": pl.DataFrame(
            [(a, b, float(w), bound) for a, b, w, bound in edges],
            schema={"a": pl.Int64, "b": pl.Int64, "weight": pl.Float64, "is_bound": pl.Boolean},
            orient="row",
        ),
        "exclusive": pl.DataFrame(
            [(node, "kind", str(value)) for node, value in exclusive.items()],
            schema={"unique_id": pl.Int64, "kind": pl.String, "value": pl.String},
            orient="row",
        ),
        "apart": pl.DataFrame(sorted(apart), schema={"a": pl.Int64, "b": pl.Int64}, orient="row"),
    }


pairs = st.tuples(st.integers(1, N), st.integers(1, N)).filter(lambda p: p[0] < p[1])


@for_all(
    25,
    chosen=st.dictionaries(pairs, st.tuples(st.integers(1, 4), st.integers(0, 9)), max_size=18),
    exclusive=st.dictionaries(st.integers(1, N), st.integers(1, 3), max_size=5),
    apart=st.sets(pairs, max_size=3),
    order=st.randoms(use_true_random=False),
)
def test_clusters_are_those_of_the_sequential_procedure(
    engine: Engine,
    chosen: dict[tuple[int, int], tuple[int, int]],
    exclusive: dict[int, int],
    apart: set[tuple[int, int]],
    order: object,
) -> None:
    edges = [(a, b, w, luck == 9) for (a, b), (w, luck) in chosen.items()]
    expected = kruskal(edges, exclusive, apart)
    shuffled = edges.copy()
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    given = {name: engine.frame(name, frame) for name, frame in frames(shuffled, exclusive, apart).items()}
    found = engine.collect("SELECT * FROM t", t=constrained_clusters(engine, **given))
    assert dict(found.iter_rows()) == expected


def test_components_of_a_long_chain(engine: Engine) -> None:
    n = 300
    nodes = engine.frame("nodes", pl.DataFrame({"unique_id": range(1, n + 1)}))
    edges = engine.frame(
        "edges",
        pl.DataFrame({"a": range(1, n), "b": range(2, n + 1)}).sample(fraction=1, shuffle=True, seed=1),
    )
    found = engine.collect(
        "SELECT * FROM t", t=connected_components(engine, nodes, "SELECT a, b FROM edges", edges, "chain")
    )
    assert set(found["cluster"]) == {1}


def clusters(engine: Engine, name: str, members: dict[str, int]) -> Table:
    return engine.frame(name, pl.DataFrame({"identity_id": list(members), "cluster": list(members.values())}))


def ids_of(engine: Engine, table: Table) -> dict[int, tuple[str, dt.date]]:
    found = engine.collect("SELECT cluster, person_id, id_since_date FROM t", t=table)
    return {cluster: (person_id, since) for cluster, person_id, since in found.iter_rows()}


def test_ids_depend_on_the_key_and_the_smallest_identity_only(engine: Engine) -> None:
    none = engine.frame("r", pl.DataFrame({"source": [""], "record_id": [""], "identity_id": [""]}))
    day = dt.date(2024, 1, 1)
    first = ids_of(
        engine, give_ids(engine, clusters(engine, "c", {"a": 1, "b": 1, "c": 2}), none, "k", None, day)
    )
    grown = ids_of(
        engine,
        give_ids(engine, clusters(engine, "c", {"a": 7, "b": 7, "d": 7, "c": 9}), none, "k", None, day),
    )
    other = ids_of(
        engine, give_ids(engine, clusters(engine, "c", {"a": 1, "b": 1, "c": 2}), none, "K", None, day)
    )
    assert first[1] == grown[7]
    assert first[2] == grown[9]
    assert first[1] != other[1]
    assert all(len(person_id) == 64 for person_id, _ in first.values())


def test_ids_are_inherited_by_most_shared_records_ties_to_the_older(engine: Engine, tmp_path: Path) -> None:
    before = tmp_path / "before" / "tables"
    before.mkdir(parents=True)
    records = {"1": "old", "2": "old", "3": "young", "4": "young", "5": "third", "6": "third", "7": "third"}
    pl.DataFrame(
        {"source": ["s"] * 7, "record_id": list(records), "person_id": list(records.values())}
    ).write_parquet(before / "record_persons.parquet")
    pl.DataFrame(
        {
            "person_id": ["old", "young", "third"],
            "id_since_date": [dt.date(2020, 1, 1), dt.date(2022, 1, 1), dt.date(2021, 1, 1)],
        }
    ).write_parquet(before / "persons.parquet")
    # Persons old and young are one now; third is split into two, the larger part keeps its id.
    now = {"1": "i1", "2": "i1", "3": "i2", "4": "i2", "5": "i3", "6": "i3", "7": "i4"}
    identities = engine.frame(
        "r", pl.DataFrame({"source": ["s"] * 7, "record_id": list(now), "identity_id": list(now.values())})
    )
    members = clusters(engine, "c", {"i1": 1, "i2": 1, "i3": 2, "i4": 3})
    found = ids_of(engine, give_ids(engine, members, identities, "k", before.parent, dt.date(2024, 1, 1)))
    assert found[1] == ("old", dt.date(2020, 1, 1))
    assert found[2] == ("third", dt.date(2021, 1, 1))
    assert len(found[3][0]) == 64
    assert found[3][1] == dt.date(2024, 1, 1)
    given = engine.collect(
        "SELECT * FROM t", t=give_ids(engine, members, identities, "k", before.parent, dt.date(2024, 1, 1))
    )
    clustered = engine.frame(
        "cl", engine.collect("SELECT * FROM c JOIN g USING (cluster)", c=members, g=given)
    )
    changes = engine.collect(
        "SELECT * FROM t", t=find_id_changes(engine, clustered, identities, before.parent)
    )
    assert sorted(changes.select("kind", "detail_l", "detail_r").iter_rows()) == [
        ("id_merged", "young", "old"),
        ("id_split", "third", found[3][0]),
    ]


def three_records(engine: Engine, judgements: list[dict[str, Any]]) -> Persons:
    """Two current registrations, both linked to one crossing, the first more strongly."""
    keys = [("register", "a"), ("register", "b"), ("border", "c")]
    records = [
        {"source": source, "record_id": record, "kind": "register" if source == "register" else "crossings",
         "is_repeat": False, "record_date": dt.date(2020, 1, 1)}
        for source, record in keys
    ]  # fmt: skip
    links = [
        {
            "identity_id_l": left,
            "identity_id_r": "c",
            "blocking_rule": "r",
            "match_weight": weight,
            "p_match": 0.999,
            "p_calibrated": 0.999,
        }
        for left, weight in (("a", 20.0), ("b", 15.0))
    ]
    if any(judgement["verdict"] == "match" for judgement in judgements):
        links.append({"identity_id_l": "a", "identity_id_r": "b", "blocking_rule": "judgement",
                      "match_weight": 1000.0, "p_match": 1.0, "p_calibrated": 1.0})  # fmt: skip
    none = {"source_l": "", "record_id_l": "", "source_r": "", "record_id_r": "", "verdict": "unsure"}
    linked = Linked(
        make_table(engine, "records", records),
        make_table(engine, "identities", [{"identity_id": name, "n_records": 1} for name in "abc"]),
        make_table(
            engine, "record_identities", [{"source": s, "record_id": r, "identity_id": r} for s, r in keys]
        ),
        make_table(engine, "links", links),
        make_table(engine, "judgements", [none | judgement for judgement in judgements or [none]]),
    )
    period = Period.model_validate({"from": dt.date(2012, 1, 1), "to": dt.date(2023, 12, 31)})
    country = Country("QVR", period, ("register",))
    return find_persons(engine, linked, country, PersonsSettings(), "key")


def grouped(engine: Engine, persons: Persons) -> tuple[set[str], set[tuple[str, str]]]:
    """The records of each person, and the conflicts."""
    found = engine.collect("SELECT * FROM t", t=persons.record_persons)
    people = found.group_by("person_id").agg(pl.col("record_id").sort().str.join(""))
    conflicts = engine.collect("SELECT kind, winner FROM t", t=persons.conflicts)
    return set(people["record_id"]), set(conflicts.iter_rows())


PAIR = {"source_l": "register", "record_id_l": "a", "source_r": "border", "record_id_r": "c"}


def test_a_person_holds_one_current_registration(engine: Engine) -> None:
    assert grouped(engine, three_records(engine, [])) == ({"ac", "b"}, {("one_current_record", "kept apart")})


def test_a_judgement_keeps_apart_whatever_the_link(engine: Engine) -> None:
    persons = three_records(engine, [{**PAIR, "verdict": "non_match"}])
    assert grouped(engine, persons)[0] == {"a", "bc"}
    assert ("non_match", "kept apart") in grouped(engine, persons)[1]


def test_a_judgement_joins_against_a_constraint_and_the_contradiction_is_kept(engine: Engine) -> None:
    both = {"source_l": "register", "record_id_l": "a", "source_r": "register", "record_id_r": "b"}
    groups, conflicts = grouped(engine, three_records(engine, [{**both, "verdict": "match"}]))
    assert groups == {"abc"}
    assert ("within_one_current_record", "joined by a judgement or within one identity") in conflicts


def test_citizenship_has_a_value_at_every_time(engine: Engine) -> None:
    """Foreign before, national since, and a third citizenship seen later; undated records speak of all time."""
    seen = [
        ("p", "ESP", 2010),
        ("p", "QVR", 2015),
        ("p", "QVR", 2016),
        ("p", "ITA", 2020),
        ("u", "QVR", None),
        ("u", "ESP", None),
    ]
    records = pl.DataFrame(
        [
            (who, "s", "register", value, None if year is None else dt.date(year, 1, 1))
            for who, value, year in seen
        ],
        schema={
            "person_id": pl.String,
            "source": pl.String,
            "kind": pl.String,
            "citizenship": pl.String,
            "record_date": pl.Date,
        },
        orient="row",
    ).with_columns(
        citizenship_2=pl.lit(None, pl.String),
        region=pl.lit(None, pl.String),
        ended_date=pl.lit(None, pl.Date),
    )
    traits = collect_traits(engine, {"person_records": engine.frame("seen", records)}, "QVR")
    found = engine.collect("SELECT person_id, value, valid_from, valid_to FROM t ORDER BY 1, 3", t=traits)
    start, since = dt.date(1, 1, 1), dt.date(2015, 1, 1)
    assert list(found.iter_rows()) == [
        ("p", "ESP", start, since),
        ("p", "QVR", since, None),
        ("u", "QVR", start, None),
    ]


def test_a_doubtful_link_counts_with_the_other_pairs_of_its_groups(engine: Engine) -> None:
    """Two pairs of identities that are certain: one link of .8 between them joins nobody, four of .8 do."""
    nodes = engine.frame(
        "nodes",
        pl.DataFrame(
            {
                "unique_id": range(1, 11),
                "identity_id": list("abcdefghij"),
                "tells": [True] * 9 + [False],
            }
        ),
    )
    between = {
        "ab": 0.99, "cd": 0.99, "ac": 0.8, "ef": 0.99, "gh": 0.99,
        "eg": 0.8, "eh": 0.8, "fg": 0.8, "fh": 0.8, "ij": 0.7,
    }  # fmt: skip
    rows = [
        {
            "identity_id_l": pair[0],
            "identity_id_r": pair[1],
            "match_weight": 1.0,
            "p_calibrated": p,
            "blocking_rule": "judgement" if pair == "gh" else "name_words",
        }
        for pair, p in between.items()
    ]
    weighed = weigh_links(engine, nodes, engine.frame("links", pl.DataFrame(rows)), 0.65)
    found = engine.collect("SELECT a, b FROM w WHERE is_refused ORDER BY a, b", w=weighed)
    # An identity that cannot be told by its pairs (j) refuses nothing.
    assert found.rows() == [(1, 3)]
    accepted = engine.collect("SELECT count(*) AS n FROM e", e=accepted_links(engine, weighed))
    assert accepted.item() == len(between) - 1
