"""The same linkage by other means: bare Splink 5 with miglink's trained model, and ECM of the package recordlinkage.

Each is one function: Parquet of prepared rows in (unique_id, miglink's fields and keys, true_person), clusters out.
"""

import json
import logging
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from splink import DuckDBAPI, Linker

# Below this probability a pair is not kept, at or above that one it is a link: as miglink's own configuration has it.
_KEPT, _LINKED = 0.01, 0.9
# What an analyst would compare, and from which similarity on two names count as the same.
_NAMES, _EXACT = ("surname_ascii", "given_names_ascii"), (
    "birth_iso", "sex", "citizenship", "birth_country", "document_number", "person_number",
)  # fmt: skip
_SIMILAR = 0.88
# DuckDB writes to disk beyond this, so that a program that may hold 16 GB has a chance (benchmarks/peers.py).
MEMORY = "12GB"


def with_splink(rows: Path, model: Path) -> dict[str, Any]:
    """Predict and cluster with the settings of a trained model of miglink, as Splink's documentation shows it."""
    logging.getLogger("splink").setLevel(logging.CRITICAL)
    settings = json.loads(model.read_text(encoding="utf-8"))["settings"]
    connection = duckdb.connect(config={"memory_limit": MEMORY})
    api = DuckDBAPI(connection=connection)
    table = pl.read_parquet(rows)
    began = time.perf_counter()
    linker = Linker(api.register(table.drop("true_person")), settings, log_level=None)
    pairs = linker.inference.predict(threshold_match_probability=_KEPT)
    predicted = time.perf_counter()
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(
        pairs, threshold_match_probability=_LINKED
    )
    found = connection.sql(f"SELECT unique_id, cluster_id FROM {clusters.physical_name}").pl()
    ended = time.perf_counter()
    return {
        "seconds": {"predict": round(predicted - began, 2), "cluster": round(ended - predicted, 2)},
        "rows": table.height,
        **accuracy(table.join(found, on="unique_id", how="left")),
    }


def with_recordlinkage(rows: Path, model: Path) -> dict[str, Any]:
    """Block, compare and classify by ECM with the package recordlinkage, on the blocking rules of the model."""
    import recordlinkage  # noqa: PLC0415  (slow, and wanted by this function alone)

    rules = json.loads(model.read_text(encoding="utf-8"))["settings"][
        "blocking_rules_to_generate_predictions"
    ]
    columns = [_columns(rule["blocking_rule"]) for rule in rules]
    table = pl.read_parquet(rows)
    frame = table.drop("true_person").to_pandas().set_index("unique_id")
    began = time.perf_counter()
    pairs = pd.MultiIndex.from_arrays([[], []])
    for block in columns:
        known = frame.dropna(subset=block)
        index = recordlinkage.Index()
        index.block(block)
        pairs = pairs.union(index.index(known)) if len(pairs) else index.index(known)
    blocked = time.perf_counter()
    compared = recordlinkage.Compare()
    for name in _NAMES:
        compared.string(name, name, method="jarowinkler", threshold=_SIMILAR, missing_value=0)
    for field in _EXACT:
        compared.exact(field, field, missing_value=0)
    vectors = compared.compute(pairs, frame)
    links = recordlinkage.ECMClassifier(binarize=0.5).fit_predict(vectors)
    classified = time.perf_counter()
    place = pd.Series(np.arange(len(frame)), index=frame.index)
    left, right = (place.loc[links.get_level_values(level)].to_numpy() for level in (0, 1))
    edges = coo_matrix((np.ones(len(links), dtype=np.int8), (left, right)), shape=(len(frame), len(frame)))
    _, labels = connected_components(edges, directed=False)
    ended = time.perf_counter()
    found = pl.DataFrame({"unique_id": frame.index.to_numpy(), "cluster_id": labels})
    return {
        "seconds": {
            "block": round(blocked - began, 2),
            "compare and classify": round(classified - blocked, 2),
            "cluster": round(ended - classified, 2),
        },
        "rows": table.height,
        "pairs": len(pairs),
        **accuracy(table.join(found, on="unique_id", how="left")),
    }


def _columns(rule: str) -> list[str]:
    """The columns of a blocking rule such as l.a = r.a AND l.b = r.b."""
    return [part.split(" = ")[0].removeprefix("l.").strip('"') for part in rule.split(" AND ")]


def accuracy(clustered: pl.DataFrame) -> dict[str, float]:
    """Pairwise precision, recall and F1 of clusters (cluster_id) against true_person, over all pairs of rows."""

    def pairs(*columns: str) -> int:
        n = clustered.group_by(columns).len()["len"].cast(pl.Int64)
        return int((n * (n - 1)).sum() // 2)

    right, found, true = pairs("cluster_id", "true_person"), pairs("cluster_id"), pairs("true_person")
    precision, recall = right / found if found else 1.0, right / true if true else 1.0
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return {"precision": round(precision, 5), "recall": round(recall, 5), "f1": round(f1, 5)}
