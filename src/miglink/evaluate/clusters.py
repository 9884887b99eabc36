"""Persons split and merged, and how well found persons and true persons agree as sets of records."""

import polars as pl

from miglink.engine import Engine
from miglink.evaluate.matching import Matching
from miglink.evaluate.measures import as_measures, f1, harmonic, share


def measure_clusters(engine: Engine, matching: Matching) -> pl.DataFrame:
    """Count persons split and merged, and compare found with true persons as clusters.

    Reads: pieces, true_persons, found_persons.
    Gives: part `persons`: split and merged per 1,000 in all and by citizenship group, cluster and B-cubed measures.
    Units: persons, persons per 1,000, shares from 0 to 1.
    Source: Bagga and Baldwin (1998), Entity-based cross-document coreferencing, for B-cubed; docs/evaluation.md.
    """
    by_group = count_split_and_merged(engine, matching)
    counts = by_group.select(pl.exclude("citizenship_group").sum())
    per_thousand = {
        "split_per_1000": share("split", "true_persons", 1000),
        "merged_per_1000": share("merged", "found_persons", 1000),
    }
    frames = [by_group.with_columns(**per_thousand), counts.with_columns(**per_thousand)]
    return pl.concat(
        [as_measures("persons", frame) for frame in (*frames, compare_clusters(engine, matching))]
    )


def count_split_and_merged(engine: Engine, matching: Matching) -> pl.DataFrame:
    """Persons by citizenship group; a found person counts for the group of whom it holds most records.

    split: true persons whose records lie in several found persons. merged: found persons that hold records of
    several true persons. represented: true persons whom a found person stands for.
    """
    return engine.collect(
        """
        SELECT citizenship_group, CAST(SUM(is_true) AS DOUBLE) AS true_persons,
               CAST(SUM(is_represented) AS DOUBLE) AS represented, CAST(SUM(is_split) AS DOUBLE) AS split,
               CAST(SUM(1 - is_true) AS DOUBLE) AS found_persons, CAST(SUM(is_merged) AS DOUBLE) AS merged
        FROM (
            SELECT citizenship_group, 1 AS is_true, CAST(is_represented AS INTEGER) AS is_represented,
                   CAST(is_split AS INTEGER) AS is_split, 0 AS is_merged
            FROM true_persons
            UNION ALL
            SELECT t.citizenship_group, 0 AS is_true, 0 AS is_represented, 0 AS is_split,
                   CAST(f.is_merged AS INTEGER) AS is_merged
            FROM found_persons f JOIN true_persons t ON t.true_person_id = f.true_person_id
        ) AS counted
        GROUP BY citizenship_group
        """,
        true_persons=matching.true_persons,
        found_persons=matching.found_persons,
    )


def compare_clusters(engine: Engine, matching: Matching) -> pl.DataFrame:
    """Cluster and B-cubed precision, recall and F1.

    Cluster: a found person is right if its records are exactly those of a true person;
        precision = right / found persons, recall = right / true persons.
    B-cubed over N records: precision = 1/N Σ_pt n_pt² / n_p, recall = 1/N Σ_pt n_pt² / n_t, where n_pt records of
        true person t lie in found person p; over units likewise. A record is in its own cluster: 1/n counts.
    """
    shares = engine.collect(
        """
        WITH wide AS (
            SELECT n_records AS r, SUM(n_records) OVER (PARTITION BY person) AS rp,
                   SUM(n_records) OVER (PARTITION BY true_person_id) AS rt,
                   n_units AS u, SUM(n_units) OVER (PARTITION BY person) AS up,
                   SUM(n_units) OVER (PARTITION BY true_person_id) AS ut
            FROM pieces
        )
        SELECT CAST(SUM(CASE WHEN r = rp AND r = rt THEN 1 ELSE 0 END) AS DOUBLE) AS right_clusters,
               SUM(CAST(r * r AS DOUBLE) / CAST(rp AS DOUBLE)) / CAST(SUM(r) AS DOUBLE) AS bcubed_precision,
               SUM(CAST(r * r AS DOUBLE) / CAST(rt AS DOUBLE)) / CAST(SUM(r) AS DOUBLE) AS bcubed_recall,
               SUM(CAST(u * u AS DOUBLE) / CAST(up AS DOUBLE)) / CAST(SUM(u) AS DOUBLE) AS bcubed_unit_precision,
               SUM(CAST(u * u AS DOUBLE) / CAST(ut AS DOUBLE)) / CAST(SUM(u) AS DOUBLE) AS bcubed_unit_recall
        FROM wide
        """,
        pieces=matching.pieces,
    )
    n_true, n_found = (engine.count(table) for table in (matching.true_persons, matching.found_persons))
    return (
        shares.with_columns(n_true=pl.lit(n_true), n_found=pl.lit(n_found))
        .with_columns(
            cluster_precision=share("right_clusters", "n_found"),
            cluster_recall=share("right_clusters", "n_true"),
            cluster_f1=f1("right_clusters", "n_found", "n_true"),
            bcubed_f1=harmonic("bcubed_precision", "bcubed_recall"),
            bcubed_unit_f1=harmonic("bcubed_unit_precision", "bcubed_unit_recall"),
        )
        .drop("n_true", "n_found")
    )
