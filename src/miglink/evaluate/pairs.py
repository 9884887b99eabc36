"""Precision and recall over pairs of distinct identities, from counts: no pair is ever formed."""

import polars as pl

from miglink.engine import Engine, Table
from miglink.evaluate.matching import Matching
from miglink.evaluate.measures import as_measures, f1, share


def measure_pairs(engine: Engine, matching: Matching) -> pl.DataFrame:
    """Compare pairs of identities in all, by citizenship group and by pair of sources, and pairs of repeats apart.

    Reads: units, pieces, labelled, true_persons.
    Gives: part `linkage`: true_pairs, predicted_pairs, right_pairs, precision, recall, f1; pairs of repeats.
    Units: counts of pairs, shares from 0 to 1. A unit is an identity of a true person; a pair is two units of
        different identity_id, true if of one true person, predicted if in one found person, right if both.
    Source: Hand and Christen (2018), doi:10.1007/s11222-017-9746-6, on F; docs/evaluation.md.
    """
    by_group = _score(count_by_group(engine, matching))
    whole = _score(by_group.select(pl.col("true_pairs", "predicted_pairs", "right_pairs").sum()))
    by_sources = _score(count_by_sources(engine, matching))
    frames = [whole, by_group, by_sources, count_repeats(engine, matching)]
    return pl.concat([as_measures("linkage", frame) for frame in frames])


def _score(pairs: pl.DataFrame) -> pl.DataFrame:
    """Precision = right / predicted pairs; recall = right / true pairs; F1 = 2 right / (predicted + true)."""
    return pairs.with_columns(
        precision=share("right_pairs", "predicted_pairs"),
        recall=share("right_pairs", "true_pairs"),
        f1=f1("right_pairs", "predicted_pairs", "true_pairs"),
    )


def count_by_group(engine: Engine, matching: Matching) -> pl.DataFrame:
    """Pairs by the citizenship group of the true person; a predicted pair counts half for each side's group.

    true_pairs = Σ_t C(n_t, 2) and right_pairs = Σ_pt C(n_pt, 2) over the true persons of the group.
    predicted_pairs = ½ Σ over the group's units of the other units in the same found person, less those of the
    same identity: ½ [Σ_p n_pg (n_p − 1) − Σ_i n_ig (n_i − 1)]. Summed over groups: Σ_p C(n_p, 2) − Σ_i C(n_i, 2).
    """
    inside = engine.collect(
        """
        WITH of_true AS (
            SELECT true_person_id, CAST(SUM(n_units) AS BIGINT) AS n,
                   SUM(n_units * (n_units - 1)) AS n_right
            FROM pieces GROUP BY true_person_id
        )
        SELECT t.citizenship_group, CAST(SUM(o.n * (o.n - 1)) AS DOUBLE) / 2 AS true_pairs,
               CAST(SUM(o.n_right) AS DOUBLE) / 2 AS right_pairs
        FROM of_true o JOIN true_persons t ON t.true_person_id = o.true_person_id
        GROUP BY t.citizenship_group
        """,
        pieces=matching.pieces,
        true_persons=matching.true_persons,
    )
    of_persons = _count_sides(engine, matching, "person")
    of_identities = _count_sides(engine, matching, "identity")
    sides = of_persons.join(of_identities, on="citizenship_group", suffix="_of_identity")
    predicted = sides.select("citizenship_group", predicted_pairs=pl.col("n") - pl.col("n_of_identity"))
    return inside.join(predicted, on="citizenship_group")


def _count_sides(engine: Engine, matching: Matching, cluster: str) -> pl.DataFrame:
    """Half the number of other units in the same cluster, summed over the units of each group."""
    return engine.collect(
        f"""
        WITH of_groups AS (
            SELECT u.{cluster} AS cluster, t.citizenship_group, COUNT(*) AS n
            FROM units u JOIN true_persons t ON t.true_person_id = u.true_person_id
            GROUP BY u.{cluster}, t.citizenship_group
        ), of_clusters AS (
            SELECT cluster, CAST(SUM(n) AS BIGINT) AS n FROM of_groups GROUP BY cluster
        )
        SELECT g.citizenship_group, CAST(SUM(g.n * (c.n - 1)) AS DOUBLE) / 2 AS n
        FROM of_groups g JOIN of_clusters c ON c.cluster = g.cluster
        GROUP BY g.citizenship_group
        """,
        units=matching.units,
        true_persons=matching.true_persons,
    )


def count_by_sources(engine: Engine, matching: Matching) -> pl.DataFrame:
    """Pairs by the sources of their two sides: a unit is here an identity of a true person in a source.

    Between sources a < b, of clusters c: Σ_c n_ca n_cb; within one: Σ_c C(n_ca, 2). Clusters are true persons for
    true pairs, found persons for predicted, both together for right pairs. Pairs of one identity are taken off.
    """
    units = engine.step(
        "evaluate_source_units",
        "SELECT DISTINCT identity, person, true_person_id, source FROM labelled",
        labelled=matching.labelled,
    )
    # The pairs of one identity and true person lie in one found person as well: they are no true, no right pairs.
    same = _count_between(engine, units, ("identity", "true_person_id"), "same")
    pairs = [
        _count_between(engine, units, ("true_person_id",), "true_pairs"),
        _count_between(engine, units, ("person",), "predicted_pairs"),
        _count_between(engine, units, ("person", "true_person_id"), "right_pairs"),
        same,
        _count_between(engine, units, ("identity",), "same_identity"),
    ]
    sources = ["source_l", "source_r"]
    joined = pairs[0].join(pairs[1], on=sources, how="full", coalesce=True)
    for frame in pairs[2:]:
        joined = joined.join(frame, on=sources, how="left")
    filled = joined.fill_null(0.0)
    return filled.select(
        *sources,
        true_pairs=pl.col("true_pairs") - pl.col("same"),
        predicted_pairs=pl.col("predicted_pairs") - pl.col("same_identity"),
        right_pairs=pl.col("right_pairs") - pl.col("same"),
    )


def _count_between(engine: Engine, units: Table, cluster: tuple[str, ...], name: str) -> pl.DataFrame:
    """Pairs of units in the same cluster, by the sources of the two."""
    keys = ", ".join(cluster)
    is_same = " AND ".join(f"a.{key} = b.{key}" for key in cluster)
    return engine.collect(
        f"""
        WITH counts AS (SELECT {keys}, source, COUNT(*) AS n FROM units GROUP BY {keys}, source)
        SELECT a.source AS source_l, b.source AS source_r,
               CAST(SUM(CASE WHEN a.source = b.source THEN a.n * (a.n - 1) ELSE 2 * a.n * b.n END) AS DOUBLE) / 2
                   AS {name}
        FROM counts a JOIN counts b ON {is_same} AND a.source <= b.source
        GROUP BY a.source, b.source
        """,
        units=units,
    )


def count_repeats(engine: Engine, matching: Matching) -> pl.DataFrame:
    """Pairs of records of one identity: they are one person before any linkage, rightly or not.

    repeat_pairs = Σ_i C(r_i, 2); right_repeat_pairs = Σ_it C(r_it, 2); repeat_share = right / all.
    shared_identities: identities that records of several true persons carry; no linkage can tell those apart.
    """
    counts = engine.collect(
        """
        WITH of_identities AS (
            SELECT identity, CAST(SUM(n_records) AS BIGINT) AS n, COUNT(*) AS n_units,
                   SUM(n_records * (n_records - 1)) AS n_right
            FROM units GROUP BY identity
        )
        SELECT CAST(COUNT(*) AS DOUBLE) AS identities, CAST(SUM(n_units) AS DOUBLE) AS units,
               CAST(SUM(CASE WHEN n_units > 1 THEN 1 ELSE 0 END) AS DOUBLE) AS shared_identities,
               CAST(SUM(n * (n - 1)) AS DOUBLE) / 2 AS repeat_pairs,
               CAST(SUM(n_right) AS DOUBLE) / 2 AS right_repeat_pairs
        FROM of_identities
        """,
        units=matching.units,
    )
    return counts.with_columns(repeat_share=share("right_repeat_pairs", "repeat_pairs"))
