"""Rates of false and of missed links: counted as by forming every pair, and against rates that are known."""

import json
import random
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from given_tables import name_table
from miglink.engine import Engine
from miglink.stages.quality.error_rates import (
    Estimate,
    Linkage,
    estimate_missed,
    find_shares,
    measure_error_rates,
)
from miglink.stages.quality.missed_links import count_missed

SOURCES = ("border", "permits", "register")


def pieces(rng: random.Random, n_persons: int) -> pl.DataFrame:
    """Identities of persons, each in a piece, a document piece within it, and what else joins it."""
    rows: list[dict[str, Any]] = []
    for person in range(n_persons):
        group = rng.choice(["national", "eu", None])
        for _ in range(rng.randint(1, 7)):
            piece = rng.randint(0, 2)
            rows.append(
                {
                    "unique_id": len(rows),
                    "identity_id": f"i{len(rows):05}",
                    "person_id": f"p{person}",
                    "citizenship_group": group,
                    "number": "1",
                    "is_known": rng.random() < 0.8,
                    "piece": person * 100 + piece,
                    "document_piece": person * 100 + piece * 10 + rng.randint(0, 2),
                    "rest": person * 100 + rng.randint(0, 2),
                    "sources": rng.sample(SOURCES, rng.randint(1, 2)),
                }
            )
    return pl.DataFrame(rows, schema_overrides={"citizenship_group": pl.String})


def counted_by_pairs(given: pl.DataFrame) -> Counter[tuple[str, str, int, str]]:
    """Every pair formed: measure by item, group and number of pieces."""
    found: Counter[tuple[str, str, int, str]] = Counter()
    rows = given.to_dicts()
    for cluster, part in (("piece", "document_piece"), ("person_id", "piece"), ("person_id", "identity_id")):
        known = [row for row in rows if cluster != "piece" or row["is_known"]]
        parts = {
            row[cluster]: {other[part] for other in known if other[cluster] == row[cluster]} for row in known
        }
        for at, left in enumerate(known):
            for right in known[at + 1 :]:
                if left[cluster] != right[cluster] or left[part] == right[part]:
                    continue
                sides = [(a, b) for a in left["sources"] for b in right["sources"]]
                for item in ["all", *("|".join(sorted(pair)) for pair in sides)]:
                    n_pieces = 0 if part == "identity_id" else min(len(parts[left[cluster]]), 3)
                    key = (item, left["citizenship_group"] or "unknown", n_pieces)
                    name = {"document_piece": "held_pairs", "piece": "at_risk", "identity_id": "joined"}[part]
                    found[(*key, name)] += 1
                    if cluster == "piece" and left["rest"] != right["rest"]:
                        found[(*key, "held_missed")] += 1
    return found


def test_pairs_are_counted_without_forming_one(engine: Engine) -> None:
    given = pieces(random.Random(1), 40)
    tables = {
        "identities": engine.frame("given_pieces", given.drop("sources")),
        "sources": engine.frame(
            "given_sources", given.select("identity_id", source="sources").explode("source")
        ),
    }
    found = count_missed(engine, tables)
    measures = ["held_pairs", "held_missed", "at_risk", "joined"]
    long = found.unpivot(measures, index=["item", "citizenship_group", "n_pieces"]).filter(
        pl.col("value") > 0
    )
    assert {(i, g, n, m): value for i, g, n, m, value in long.iter_rows()} == dict(counted_by_pairs(given))
    held = found.filter(item="all")
    assert (
        held["held_clusters"].sum()
        == given.filter("is_known")
        .group_by("piece")
        .agg(pl.col("document_piece").n_unique() > 1)["document_piece"]
        .sum()
    )


def test_intervals_hold_the_quantiles_of_counts() -> None:
    chance = np.random.default_rng(1)
    for shape in (0.7, 2.0, 30.0):
        low, high = Estimate(50.0, 50.0**2 / shape).interval(0.0)
        drawn = chance.gamma(shape, 50.0 / shape, 400_000)
        expected = np.quantile(drawn, [0.025, 0.975])
        assert abs(low - expected[0]) < 1.5
        assert abs(high / expected[1] - 1) < 0.02
    # Less than half an event is none; what is hardly expected has an upper limit above it all the same.
    low, high = Estimate(0.1, 0.4).interval(0.5)
    assert low == 0.0
    assert high > 0.1


@pytest.mark.parametrize("size", [1, 6])
def test_missed_links_are_within_their_limits_as_often_as_said(size: int) -> None:
    """Pairs come in events of a size, and the others are by a factor unlike those who hold the number."""
    chance = np.random.default_rng(size)
    within, share, n_held, n_risk = 0, 0.02, 1500, 6000
    for _ in range(400):
        held, factor = chance.binomial(n_held, share), chance.gamma(4.0, 0.25)
        missed = int(chance.binomial(n_risk, share * factor))
        counts = {
            "citizenship_group": "eu",
            "n_pieces": 2,
            "held_clusters": float(n_held),
            "held_pairs": float(n_held * size),
            "held_pairs_squared": float(n_held * size**2),
            "held_missed": float(held * size),
            "held_missed_squared": float(held * size**2),
            "at_risk": float((n_risk - missed) * size),
            "at_risk_squared": float((n_risk - missed) * size**2),
        }
        frame = pl.DataFrame([{"item": "all", **counts}, {"item": "a|b", **counts}])
        whole, strata = frame.filter(item="all"), find_shares(frame.filter(item="a|b"))
        found = estimate_missed(whole, strata)
        assert found is not None
        low, high = found.interval(0.5)
        within += low <= missed * size <= high
    assert 0.92 <= within / 400 <= 0.99


def test_too_few_persons_say_nothing() -> None:
    counts = pl.DataFrame(
        {"item": ["all", "a|b"], "citizenship_group": ["eu"] * 2, "n_pieces": [2] * 2, "held_clusters": [99.0] * 2,
         "held_pairs": [99.0] * 2, "held_pairs_squared": [99.0] * 2, "held_missed": [0.0] * 2,
         "held_missed_squared": [0.0] * 2, "at_risk": [50.0] * 2, "at_risk_squared": [50.0] * 2}
    )  # fmt: skip
    assert find_shares(counts.filter(item="a|b")).is_empty()
    assert estimate_missed(counts.filter(item="all"), find_shares(counts.filter(item="a|b"))) is None


def given_run(engine: Engine, n: int) -> dict[str, Any]:
    """n persons: register and permit of one number, one in ten only by it; a census form without, joined by name."""
    identities, links, owners, records = [], [], [], []
    for person in range(n):
        ids = {source: f"{source}{person:04}" for source in ("census", "permits", "register")}
        for source, identity in ids.items():
            held = {"person_number": f"{person:04}"} if source != "census" else {}
            held |= (
                {"document_number": f"D{person}", "document_country": "USA"} if source == "permits" else {}
            )
            identities.append({"identity_id": identity, "n_records": 1, "surname_ascii": "X", **held})
            owners.append({"identity_id": identity, "person_id": f"p{person:04}"})
            records.append({"source": source, "record_id": identity, "identity_id": identity})
        link = {"blocking_rule": "r", "match_weight": 9.0, "p_match": 0.99, "p_calibrated": 0.99}
        without = 0.3 if person % 10 == 0 else 0.95
        pair = {
            "identity_id_l": ids["permits"],
            "identity_id_r": ids["register"],
            "p_without_number": without,
        }
        links += [link | pair, link | {"identity_id_l": ids["census"], "identity_id_r": ids["permits"]}]
    trait = {"trait": "citizenship", "valid_from": date(1, 1, 1), "value": "USA", "source": "permits"}
    return {
        "identities": identities,
        "links": links,
        "identity_persons": owners,
        "record_identities": records,
        "person_traits": [trait | {"person_id": f"p{person:04}"} for person in range(n)],
    }


def test_rates_of_a_run_made_by_hand(engine: Engine, tmp_path: Path) -> None:
    bands = [
        {"from_p": 0.25, "n_pairs": 10, "expected_share": 0.3, "observed_share": 0.2},
        {"from_p": 0.9, "n_pairs": 90, "expected_share": 0.95, "observed_share": 1.0},
    ]
    model = {"held_out": {"field": "person_number", "bands": bands}, "settings": {"comparisons": []}}
    (tmp_path / "model.json").write_text(json.dumps(model))
    tables = {name: name_table(engine, name, rows) for name, rows in given_run(engine, 200).items()}
    linkage = Linkage(0.9, tmp_path / "model.json", "NZL", 2020)
    found = {(m, i): value for m, i, value in measure_error_rates(engine, tables, linkage).iter_rows()}
    # 20 and half of one in 200.5 need the number; two pairs a person had none, and 600 are joined in all.
    share = 20.5 / 200.5
    share = (20 + 100 * share) / 300
    missed = 400 * share / (1 - share)
    assert found["missed_link_rate", "all"] == pytest.approx(missed / (600 + missed), abs=1e-6)
    assert found["missed_link_rate", "other"] == found["missed_link_rate", "all"]
    assert found["missed_link_rate_low", "all"] < 0.06 < found["missed_link_rate_high", "all"] < 0.2
    assert found["false_link_rate", "all"] == pytest.approx(0.01, abs=1e-9)
    assert found["false_link_rate", "census|permits"] == pytest.approx(0.01, abs=1e-9)
    assert found["false_link_rate_low", "all"] < 0.01 < found["false_link_rate_high", "all"] < 0.05
    assert found["held_out_gap", "all"] == pytest.approx(0.1 * 0.1 + 0.9 * 0.05)
    assert found["held_out_pairs", "p from 0.9"] == 90
    assert ("missed_link_rate", "permits|register") not in found

    (tmp_path / "model.json").write_text(json.dumps(model | {"held_out": None}))
    assert measure_error_rates(engine, tables, linkage).is_empty()
