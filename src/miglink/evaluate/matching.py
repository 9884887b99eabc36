"""Which found person stands for which true person: records with truth, how they overlap, who represents whom."""

from dataclasses import dataclass

import polars as pl

from miglink.engine import Engine, Table
from miglink.errors import SourceError
from miglink.evaluate.inputs import Tables
from miglink.evaluate.measures import as_measures


@dataclass(frozen=True)
class Matching:
    """What every further comparison rests on.

    labelled: source, record_id, identity, person, true_person_id of each record with truth (identity and person
        are numbers in the order of the ids, for 64 digits apiece would not fit).
    units: identity, person, true_person_id, n_records: the unit of linkage.
    pieces: person, true_person_id, n_records, n_units.
    true_persons: true_person_id, citizenship_group, person and person_id (those that hold most of its records),
        is_split, is_represented (by that person).
    found_persons: person, person_id, true_person_id (of whom it holds most records), is_merged, represents (it).
    """

    labelled: Table
    units: Table
    pieces: Table
    true_persons: Table
    found_persons: Table


def match_persons(engine: Engine, run: Tables, truth: Tables) -> Matching:
    """Bring the records of the run and of the truth together, and find who represents whom.

    Reads: record_persons and record_identities of the run; record_persons and person_traits of the truth.
    Gives: the tables of `Matching`. Two persons represent each other where each holds most records of the other;
        ties go to the smaller id.
    Errors: SourceError if no record of the truth is in the run.
    Source: docs/evaluation.md.
    """
    numbers = _number_persons(engine, run)
    labelled = _label_records(engine, run, truth, numbers)
    if engine.count(labelled) == 0:
        raise SourceError(
            "record_persons.parquet: none of its records is in the run; "
            "check that source and record_id are those of the run's table records"
        )
    units = engine.step(
        "evaluate_units",
        """
        SELECT identity, person, true_person_id, COUNT(*) AS n_records
        FROM labelled GROUP BY identity, person, true_person_id
        """,
        labelled=labelled,
    )
    pieces = engine.step(
        "evaluate_overlaps",
        """
        SELECT person, true_person_id, CAST(SUM(n_records) AS BIGINT) AS n_records, COUNT(*) AS n_units
        FROM units GROUP BY person, true_person_id
        """,
        units=units,
    )
    return Matching(labelled, units, pieces, *_represent(engine, pieces, numbers, truth))


def _number_persons(engine: Engine, run: Tables) -> Table:
    return engine.step(
        "evaluate_numbers",
        """
        SELECT person_id, row_number() OVER (ORDER BY person_id) AS person
        FROM (SELECT DISTINCT person_id FROM record_persons) AS found
        """,
        record_persons=run["record_persons"],
    )


def _label_records(engine: Engine, run: Tables, truth: Tables, numbers: Table) -> Table:
    identities = engine.step(
        "evaluate_identities",
        """
        SELECT identity_id, row_number() OVER (ORDER BY identity_id) AS identity
        FROM (SELECT DISTINCT identity_id FROM record_identities) AS known
        """,
        record_identities=run["record_identities"],
    )
    return engine.step(
        "evaluate_labelled",
        """
        SELECT t.source, t.record_id, d.identity, n.person, t.true_person_id
        FROM truth t
        JOIN record_persons p ON p.source = t.source AND p.record_id = t.record_id
        JOIN record_identities i ON i.source = t.source AND i.record_id = t.record_id
        JOIN numbers n ON n.person_id = p.person_id
        JOIN identities d ON d.identity_id = i.identity_id
        """,
        truth=truth["record_persons"],
        record_persons=run["record_persons"],
        record_identities=run["record_identities"],
        numbers=numbers,
        identities=identities,
    )


def _represent(engine: Engine, pieces: Table, numbers: Table, truth: Tables) -> tuple[Table, Table]:
    """The true and the found persons, each with the one on the other side that holds most of it."""
    most = {
        name: engine.step(
            f"evaluate_most_of_{name}",
            f"""
            WITH ranked AS (
                SELECT person, true_person_id,
                       row_number() OVER (PARTITION BY {one} ORDER BY n_records DESC, {other}) AS place,
                       COUNT(*) OVER (PARTITION BY {one}) AS n_others
                FROM pieces
            )
            SELECT person, true_person_id, n_others > 1 AS is_several FROM ranked WHERE place = 1
            """,
            pieces=pieces,
        )
        for name, one, other in (
            ("true", "true_person_id", "person"),
            ("found", "person", "true_person_id"),
        )
    }
    true_persons = engine.step(
        "evaluate_true_persons",
        """
        SELECT t.true_person_id, COALESCE(g.citizenship_group, 'unknown') AS citizenship_group,
               t.person, n.person_id, t.is_several AS is_split,
               f.true_person_id = t.true_person_id AS is_represented
        FROM true_most t
        JOIN found_most f ON f.person = t.person
        JOIN numbers n ON n.person = t.person
        LEFT JOIN last_groups g ON g.true_person_id = t.true_person_id
        """,
        true_most=most["true"],
        found_most=most["found"],
        numbers=numbers,
        last_groups=_last_groups(engine, truth),
    )
    found_persons = engine.step(
        "evaluate_found_persons",
        """
        SELECT f.person, n.person_id, f.true_person_id, f.is_several AS is_merged,
               t.person = f.person AS represents
        FROM found_most f
        JOIN true_most t ON t.true_person_id = f.true_person_id
        JOIN numbers n ON n.person = f.person
        """,
        true_most=most["true"],
        found_most=most["found"],
        numbers=numbers,
    )
    return true_persons, found_persons


def _last_groups(engine: Engine, truth: Tables) -> Table:
    """The last citizenship group of each true person; no rows where the truth does not say."""
    if "person_traits" not in truth:
        return engine.frame(
            "evaluate_last_groups",
            pl.DataFrame(schema={"true_person_id": pl.String, "citizenship_group": pl.String}),
        )
    return engine.step(
        "evaluate_last_groups",
        """
        WITH last_days AS (
            SELECT true_person_id, MAX(valid_from) AS valid_from
            FROM person_traits WHERE trait = 'citizenship_group' GROUP BY true_person_id
        )
        SELECT p.true_person_id, p.value AS citizenship_group
        FROM person_traits p
        JOIN last_days l ON l.true_person_id = p.true_person_id AND l.valid_from = p.valid_from
        WHERE p.trait = 'citizenship_group'
        """,
        person_traits=truth["person_traits"],
    )


def count_records(engine: Engine, run: Tables, truth: Tables, matching: Matching) -> pl.DataFrame:
    """Records of the run and of the truth, and those that both have; by source and in all.

    records_without_truth = records of the run − records compared: they are left out.
    true_records_not_in_run = records of the truth − records compared: rejected, or of another source.
    """
    counts = engine.collect(
        """
        SELECT source AS source_l, CAST(SUM(n_run) AS BIGINT) AS records,
               CAST(SUM(n_truth) AS BIGINT) AS true_records, CAST(SUM(n_both) AS BIGINT) AS records_compared
        FROM (
            SELECT source, 1 AS n_run, 0 AS n_truth, 0 AS n_both FROM run
            UNION ALL SELECT source, 0 AS n_run, 1 AS n_truth, 0 AS n_both FROM truth
            UNION ALL SELECT source, 0 AS n_run, 0 AS n_truth, 1 AS n_both FROM labelled
        ) AS counted
        GROUP BY source
        """,
        run=run["record_persons"],
        truth=truth["record_persons"],
        labelled=matching.labelled,
    )
    whole = counts.select(pl.lit("total").alias("source_l"), pl.exclude("source_l").sum())
    both = pl.concat([counts, whole])
    return as_measures(
        "comparison",
        both.with_columns(
            records_without_truth=pl.col("records") - pl.col("records_compared"),
            true_records_not_in_run=pl.col("true_records") - pl.col("records_compared"),
        ),
    )
