"""Linkage: what the model learns, and the pairs that must and must not be joined."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from given_examples import is_quick
from given_links import link_identities, sized
from miglink.config.stages import ComparisonSettings, LinkageSettings
from miglink.engine import Engine, Table
from miglink.errors import ConfigError
from miglink.stages.identities import find_identities
from miglink.stages.linkage import Identified
from miglink.tables import IDENTIFYING, TABLES

SURNAMES = [
    "GARCIA",
    "LOPEZ",
    "MUELLER",
    "AL AHMAD",
    "NGUYEN",
    "SMITH",
    "KOWALSKI",
    "IVANOVA",
    "DE LA CRUZ",
    "OKAFOR",
]
GIVEN = [
    "ANA",
    "MARIA JOSE",
    "KLAUS",
    "FATIMA",
    "MINH",
    "JOHN",
    "EWA",
    "OLGA",
    "LUIS",
    "NGOZI",
    "PETRA",
    "HUGO",
]
COUNTRIES = ["ESP", "DEU", "JOR", "VNM", "USA", "POL", "RUS", "PER", "NGA"]


def person(rng: random.Random) -> dict[str, Any]:
    """One person as a machine-readable document would show her; names are followed by syllables to make them rarer."""
    tail = "".join(rng.choice("BDFGKLMNPRST") + rng.choice("AEIOU") for _ in range(2))
    surname, given = rng.choice(SURNAMES) + tail, rng.choice(GIVEN)
    country = rng.choice(COUNTRIES)
    return {
        "surname": surname,
        "given_names": given,
        "birth_date": f"{rng.randint(1940, 2010)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}",
        "sex": rng.choice(["male", "female"]),
        "citizenship": country,
        "document_country": country,
        "document_number": document(rng),
    }


def document(rng: random.Random) -> str:
    return rng.choice("ABCDEFGH") + "".join(rng.choice("0123456789") for _ in range(8))


def misread(rng: random.Random, record: dict[str, Any]) -> dict[str, Any]:
    """The same person recorded again, sometimes with an error or a new document."""
    changed = dict(record)
    luck = rng.random()
    if luck < 0.10:
        changed["document_number"] = document(rng)
    elif luck < 0.14:
        at = rng.randrange(len(changed["surname"]))
        changed["surname"] = changed["surname"][:at] + changed["surname"][at + 1 :]
    elif luck < 0.17:
        changed["surname"], changed["given_names"] = changed["given_names"], changed["surname"]
    elif luck < 0.20:
        changed["birth_date"] = changed["birth_date"][:4] + "-01-01"
    elif luck < 0.23:
        changed["document_number"] = changed["document_number"].replace("0", "O")
    return changed


def records_of(rows: list[dict[str, Any]], engine: Engine) -> Table:
    """A table of records from rows that hold person fields only."""
    contract = TABLES["records"]
    frame = pl.DataFrame(rows, infer_schema_length=None)
    frame = frame.select(pl.int_range(pl.len()).alias("record_id"), *frame.columns)
    given = set(frame.columns)
    columns = []
    for column in contract.columns:
        source = column.name.removesuffix("_ascii").removesuffix("_icao")
        value = f"CAST({source} AS {column.type})" if source in given else f"CAST(NULL AS {column.type})"
        value = {
            "source": "'s'",
            "kind": "'crossings'" if "crossed_date" in given else "'people'",
            "is_repeat": "false",
            "record_id": "lpad(CAST(record_id AS VARCHAR), 9, '0')",
            "birth_date_precision": "CASE WHEN birth_date IS NOT NULL THEN 'day' END",
            "record_date": "DATE '2020-01-01'",
        }.get(column.name, value)
        columns.append(f"{value} AS {column.name}")
    return engine.query("records", f"SELECT {', '.join(columns)} FROM given", given=frame)


# Random pairs enough for a few thousand identities; a large country has ten times as many.
DEFAULTS = LinkageSettings(training_pairs=200_000)


def linked(
    engine: Engine,
    rows: list[dict[str, Any]],
    folder: Path,
    settings: LinkageSettings = DEFAULTS,
    make_links: Callable[..., Table] = link_identities,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The links of these rows by row number, and the model."""
    records = records_of(rows, engine)
    identities, record_identities = find_identities(engine, records)
    judgements = engine.query(
        "judgements",
        """SELECT '' AS source_l, '' AS record_id_l, '' AS source_r, '' AS record_id_r, '' AS verdict, '' AS reviewer,
        CAST(NULL AS TIMESTAMP) AS decided_at, '' AS stratum, CAST(NULL AS DOUBLE) AS sampling_weight WHERE false""",
    )
    is_travel = "crossed_date" in rows[0]
    identified = Identified(identities, record_identities, judgements, records if is_travel else None)
    links = make_links(engine, identified, settings, (), folder)
    pairs = engine.collect(
        """SELECT CAST(a.record_id AS INTEGER) AS l, CAST(b.record_id AS INTEGER) AS r, k.* FROM links k
        JOIN ids a ON a.identity_id = k.identity_id_l JOIN ids b ON b.identity_id = k.identity_id_r""",
        links=links,
        ids=record_identities,
    )
    return pairs, json.loads((folder / "model.json").read_text())


def population(n: int, seed: int) -> tuple[list[dict[str, Any]], list[int]]:
    """n persons with one to six records each; the rows and the person of each row."""
    rng = random.Random(seed)
    rows, owners = [], []
    for owner in range(n):
        who = person(rng)
        for _ in range(rng.randint(1, 6)):
            rows.append(misread(rng, who))
            owners.append(owner)
    return rows, owners


def test_links_join_the_same_persons(engine: Engine, tmp_path: Path) -> None:
    for seed in (1, 2) if is_quick(engine) else (1,):
        folder = tmp_path / f"{seed}"
        folder.mkdir()
        rows, owners = population(sized(engine, 1500), seed)
        pairs, _ = linked(engine, rows, folder)
        accepted = pairs.filter(pl.col("p_match") >= 0.9)
        n_right = sum(owners[a] == owners[b] for a, b in accepted.select("l", "r").iter_rows())
        distinct: dict[int, set[str]] = {}
        for row, owner in zip(rows, owners, strict=True):
            distinct.setdefault(owner, set()).add(json.dumps(row, sort_keys=True))
        possible = sum(len(kinds) * (len(kinds) - 1) // 2 for kinds in distinct.values())
        texts = [json.dumps(row, sort_keys=True) for row in rows]
        joined = [(a, b) for a, b in accepted.select("l", "r").iter_rows() if owners[a] == owners[b]]
        found = {frozenset((texts[a], texts[b])) for a, b in joined}
        assert n_right / accepted.height > 0.995
        assert len(found) / possible > 0.97


def test_a_rare_document_alone_is_enough(duckdb_engine: Engine, tmp_path: Path) -> None:
    """The bar of u corrected for true matches: with it uncorrected such a pair scored 0.46."""
    rows, _ = population(1500, 3)
    blank = {"surname": None, "given_names": None, "birth_date": None, "sex": None, "citizenship": None}
    rows += [{**rows[0], **blank}, {**rows[0], "document_number": "Z99999999", "surname": "UNKNOWNPERSON"}]
    pairs, model = linked(duckdb_engine, rows, tmp_path)
    alone = pairs.filter((pl.col("r") == len(rows) - 2) | (pl.col("l") == len(rows) - 2))
    same = alone.filter(pl.col("level_document") == "same number")
    assert same.height > 0
    assert same["p_match"].min() > 0.99  # type: ignore[operator]
    (document_levels,) = [
        c for c in model["settings"]["comparisons"] if c["output_column_name"] == "document"
    ]
    assert document_levels["comparison_levels"][1]["u_probability"] < 1e-6


def test_twins_are_two_persons(engine: Engine, tmp_path: Path) -> None:
    rows, _ = population(sized(engine, 1500), 4)
    rng = random.Random(9)
    twins = []
    for _ in range(sized(engine, 60)):
        first = person(rng)
        second = {**first, "given_names": rng.choice([g for g in GIVEN if g[0] != first["given_names"][0]])}
        second["document_number"] = document(rng)
        twins += [first, second]
    pairs, _ = linked(engine, rows + twins, tmp_path)
    base = len(rows)
    wrong = pairs.filter((pl.col("l") >= base) & (pl.col("r") >= base) & (pl.col("p_match") >= 0.9))
    assert wrong.height <= 3


def test_two_runs_give_the_same_links_whatever_the_order_of_rows(engine: Engine, tmp_path: Path) -> None:
    rows, _ = population(sized(engine, 400), 5)
    first, _ = linked(engine, rows, tmp_path)
    random.Random(1).shuffle(rows)
    second, _ = linked(engine, rows, tmp_path)
    keys = ["identity_id_l", "identity_id_r"]
    drop = ["l", "r"]
    assert first.drop(drop).unique().sort(keys).equals(second.drop(drop).unique().sort(keys))


def test_every_parameter_is_a_probability_and_the_history_is_kept(
    duckdb_engine: Engine, tmp_path: Path
) -> None:
    rows, _ = population(600, 6)
    _, model = linked(duckdb_engine, rows, tmp_path)
    for comparison in model["settings"]["comparisons"]:
        levels = [level for level in comparison["comparison_levels"] if not level.get("is_null_level")]
        for kind in ("m_probability", "u_probability"):
            assert math.isclose(sum(level[kind] for level in levels), 1, rel_tol=1e-6)
            assert all(0 < level[kind] < 1 for level in levels)
    assert [entry["step"] for entry in model["history"]] == ["EM over all pairs"] * 3 + [
        "prior of distinct identities"
    ]
    assert all(entry["has_converged"] for entry in model["history"][:3])
    best = max(entry["log_likelihood_per_pair"] for entry in model["history"][:3])
    assert [e["log_likelihood_per_pair"] for e in model["history"][:3] if e["is_chosen"]] == [best]


def test_named_comparisons_and_blocking(engine: Engine, tmp_path: Path) -> None:
    rows, _ = population(300, 7)
    settings = LinkageSettings(
        training_pairs=DEFAULTS.training_pairs,
        comparisons=(ComparisonSettings(field="name"), ComparisonSettings(field="birth_date")),
        blocking=(("birth_iso",), ("name_words",)),
    )
    pairs, model = linked(engine, rows, tmp_path, settings)
    assert {c["output_column_name"] for c in model["settings"]["comparisons"]} == {"name", "birth_date"}
    assert set(pairs["blocking_rule"]) <= {"birth_iso", "name_words"}
    with pytest.raises(ConfigError, match="no field 'shoe_size'"):
        linked(engine, rows, tmp_path, LinkageSettings(comparisons=(ComparisonSettings(field="shoe_size"),)))


@pytest.mark.parametrize("field", ["document", "name", "birth_date"])
def test_one_comparison_alone_does_not_stop_a_run(duckdb_engine: Engine, tmp_path: Path, field: str) -> None:
    rows, _ = population(200, 12)
    settings = LinkageSettings(
        comparisons=(ComparisonSettings(field=field),), blocking=(("document_number",), ("name_words",))
    )
    pairs, model = linked(duckdb_engine, rows, tmp_path, settings)
    assert [c["output_column_name"] for c in model["settings"]["comparisons"]] == [field]
    # One field cannot tell chance from a match (the mixture is not identified), unless it identifies.
    if field == "document":
        assert pairs.height > 0


@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_any_records(engine: Engine, tmp_path: Path, n: int) -> None:
    rng = random.Random(8)
    rows = [person(rng) for _ in range(max(n, 1))]
    identities, record_identities = find_identities(engine, records_of(rows, engine))
    if n == 0:
        columns = [f"CAST(NULL AS {c.type}) AS {c.name}" for c in IDENTIFYING]
        assert columns
        identities = engine.step("none", "SELECT * FROM i WHERE false", i=identities)
        record_identities = engine.step("none_r", "SELECT * FROM i WHERE false", i=record_identities)
    judgements = engine.step(
        "none_j",
        """SELECT '' AS source_l, '' AS record_id_l, '' AS source_r, '' AS record_id_r, '' AS verdict WHERE false""",
    )
    identified = Identified(identities, record_identities, judgements)
    links = link_identities(engine, identified, LinkageSettings(), (), tmp_path)
    assert engine.count(links) <= 1


def test_a_further_column_is_compared_and_opens_routes(engine: Engine, tmp_path: Path) -> None:
    rng = random.Random(11)
    rows: list[dict[str, Any]] = []
    owners: list[int] = []
    n_persons = sized(engine, 500)
    for owner in range(n_persons):
        who = {**person(rng), "document_number": None, "document_country": None}
        street = f"{rng.choice(SURNAMES)} STREET {rng.randint(1, 300)}"
        # Each record has two errors; only the street and one name are left to find the other by.
        for born in (who["birth_date"], f"{rng.randint(1940, 2010)}-{who['birth_date'][5:]}"):
            given = who["given_names"] if born == who["birth_date"] else who["given_names"][::-1]
            rows.append({**who, "birth_date": born, "given_names": given, "street": street})
            owners.append(owner)
    records = records_of(rows, engine)
    frame = pl.DataFrame(
        {"record_id": [f"{n:09}" for n in range(len(rows))], "street": [row["street"] for row in rows]}
    )
    records = engine.step(
        "with_street", "SELECT r.*, f.street FROM r JOIN f USING (record_id)", r=records, f=frame
    )
    identities, record_identities = find_identities(engine, records, ("street",))
    judgements = engine.step(
        "none_j",
        "SELECT '' AS source_l, '' AS record_id_l, '' AS source_r, '' AS record_id_r, '' AS verdict WHERE false",
    )
    identified = Identified(identities, record_identities, judgements)
    links = link_identities(engine, identified, DEFAULTS, ("street",), tmp_path)
    found = engine.collect(
        """SELECT CAST(a.record_id AS INTEGER) AS l, CAST(b.record_id AS INTEGER) AS r, level_street, p_match
        FROM links k
        JOIN ids a ON a.identity_id = k.identity_id_l JOIN ids b ON b.identity_id = k.identity_id_r""",
        links=links,
        ids=record_identities,
    ).filter(pl.col("p_match") >= 0.9)
    assert (found["level_street"] == "same").any()
    right = sum(owners[a] == owners[b] for a, b in found.select("l", "r").iter_rows())
    assert right / found.height > 0.98
    assert right / n_persons > 0.9
