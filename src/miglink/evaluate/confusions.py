"""Pieces of true persons in the wrong place, and what sets their records apart."""

import polars as pl

from miglink.engine import Engine, Table
from miglink.evaluate.inputs import Tables
from miglink.evaluate.matching import Matching
from miglink.evaluate.measures import as_measures, share

_PLAIN = "none"


def find_confusions(engine: Engine, truth: Tables, matching: Matching) -> Table:
    """List each piece of a split true person, and of the lesser true persons in a merged found person.

    Reads: pieces, labelled, true_persons, found_persons; record_causes of the truth.
    Gives: confusions. A true person's records in one found person are a piece. split: not the piece that holds
        most of its records; merged: not the piece that is most of the found person. A piece may be both.
    Units: records and identities.
    Source: docs/evaluation.md.
    """
    misplaced = engine.step(
        "evaluate_misplaced",
        """
        SELECT 'split' AS kind, o.true_person_id, o.person, t.person_id AS other_id, o.n_records, o.n_units
        FROM pieces o JOIN true_persons t ON t.true_person_id = o.true_person_id
        WHERE o.person <> t.person
        UNION ALL
        SELECT 'merged' AS kind, o.true_person_id, o.person, f.true_person_id AS other_id, o.n_records, o.n_units
        FROM pieces o JOIN found_persons f ON f.person = o.person
        WHERE o.true_person_id <> f.true_person_id
        """,
        pieces=matching.pieces,
        true_persons=matching.true_persons,
        found_persons=matching.found_persons,
    )
    marks = engine.step(
        "evaluate_marks",
        f"""
        SELECT l.person, l.true_person_id,
               array_to_string(list_sort(list(DISTINCT l.source)), '+') AS sources,
               COALESCE(array_to_string(list_sort(
                   list(DISTINCT c.cause) FILTER (WHERE c.cause IS NOT NULL)), '+'), '{_PLAIN}') AS causes
        FROM labelled l
        JOIN (SELECT DISTINCT person, true_person_id FROM misplaced) AS p
          ON p.person = l.person AND p.true_person_id = l.true_person_id
        LEFT JOIN causes c ON c.source = l.source AND c.record_id = l.record_id
        GROUP BY l.person, l.true_person_id
        """,
        labelled=matching.labelled,
        misplaced=misplaced,
        causes=_causes(engine, truth),
    )
    return engine.step(
        "evaluate_confusions",
        """
        SELECT p.kind, p.true_person_id, f.person_id, p.other_id, p.n_records, p.n_units AS n_identities,
               m.sources, m.causes
        FROM misplaced p
        JOIN marks m ON m.person = p.person AND m.true_person_id = p.true_person_id
        JOIN found_persons f ON f.person = p.person
        ORDER BY p.kind, p.true_person_id, f.person_id
        """,
        misplaced=misplaced,
        marks=marks,
        found_persons=matching.found_persons,
    )


def count_patterns(engine: Engine, confusions: Table, n_most: int) -> pl.DataFrame:
    """The most frequent kinds, causes and sources of pieces in the wrong place."""
    return engine.collect(
        f"""
        SELECT kind, causes, sources, COUNT(*) AS n, CAST(SUM(n_records) AS BIGINT) AS n_records
        FROM confusions GROUP BY kind, causes, sources
        ORDER BY n DESC, kind, causes, sources LIMIT {n_most:d}
        """,
        confusions=confusions,
    )


def measure_causes(engine: Engine, truth: Tables, matching: Matching) -> pl.DataFrame:
    """How often identities that carry a cause go astray: units by single cause.

    Reads: labelled, units, true_persons, found_persons; record_causes of the truth.
    Gives: part `causes`: units that carry the cause (none: no cause), stray_units (not in the found person that
        holds most of their true person), merged_units (in a found person that is mostly somebody else), shares.
    Units: identities of true persons; a unit of two causes counts under both.
    Source: docs/evaluation.md.
    """
    carried = engine.step(
        "evaluate_carried",
        """
        SELECT DISTINCT c.cause, l.identity, l.person, l.true_person_id
        FROM labelled l JOIN causes c ON c.source = l.source AND c.record_id = l.record_id
        """,
        labelled=matching.labelled,
        causes=_causes(engine, truth),
    )
    counts = engine.collect(
        f"""
        WITH all_units AS (
            SELECT cause, identity, person, true_person_id FROM carried
            UNION ALL
            SELECT '{_PLAIN}' AS cause, u.identity, u.person, u.true_person_id
            FROM units u
            LEFT JOIN (SELECT DISTINCT identity, true_person_id FROM carried) AS c
              ON c.identity = u.identity AND c.true_person_id = u.true_person_id
            WHERE c.identity IS NULL
        )
        SELECT a.cause, CAST(COUNT(*) AS DOUBLE) AS units,
               CAST(SUM(CASE WHEN a.person <> t.person THEN 1 ELSE 0 END) AS DOUBLE) AS stray_units,
               CAST(SUM(CASE WHEN a.true_person_id <> f.true_person_id THEN 1 ELSE 0 END) AS DOUBLE)
                   AS merged_units
        FROM all_units a
        JOIN true_persons t ON t.true_person_id = a.true_person_id
        JOIN found_persons f ON f.person = a.person
        GROUP BY a.cause
        """,
        carried=carried,
        units=matching.units,
        true_persons=matching.true_persons,
        found_persons=matching.found_persons,
    )
    return as_measures(
        "causes",
        counts.with_columns(
            stray_share=share("stray_units", "units"), merged_share=share("merged_units", "units")
        ),
    )


def _causes(engine: Engine, truth: Tables) -> Table:
    if "record_causes" in truth:
        return truth["record_causes"]
    columns = ("source", "record_id", "cause")
    return engine.frame("evaluate_no_causes", pl.DataFrame(schema=dict.fromkeys(columns, pl.String)))
