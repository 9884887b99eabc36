"""Which persons of two runs belong together: by the records that they share, never by their ids."""

from dataclasses import dataclass

import polars as pl

from miglink.compare.inputs import Vintage
from miglink.components import connected_components
from miglink.engine import Engine, Table

SIDES = ("earlier", "later")
# What a record says of a person's stay and status; how names are spelt shows in the persons that it is given to.
_EVENT = ("record_date", "crossed_date", "direction", "valid_from", "event_date", "reason", "is_repeat")
_ENDS = ("valid_to", "ended_date")


@dataclass(frozen=True)
class Matching:
    """Families: all persons of both runs that hang together by shared records.

    members: side, person_id, family, pair (one number for two persons that have most of each other, else the own).
    families: family, kind (same, merged, split, regrouped, new, gone), and whether it has_new, has_withdrawn or
        has_changed records. New ones are dated before the end of the earlier run: they came late.
    counts: persons and records by outcome (item, outcome, n_earlier, n_later).
    """

    members: Table
    families: Table
    counts: pl.DataFrame


def match_persons(engine: Engine, earlier: Vintage, later: Vintage) -> Matching:
    """Bring the persons of two runs together.

    Reads: persons, record_persons and records of both.
    Gives: `Matching`. A person of each run that share a record are of one family, and so is whoever shares one with
        either. Two persons are a pair where each shares more records with the other than with anybody else; ties go
        to the smaller id.
    """
    nodes = _number_persons(engine, earlier, later)
    overlaps = _compare_records(engine, earlier, later, nodes)
    clusters = connected_components(
        engine,
        nodes,
        "SELECT earlier_node AS a, later_node AS b FROM edges WHERE earlier_node IS NOT NULL "
        "AND later_node IS NOT NULL",
        overlaps,
        "compare_clusters",
    )
    members = _find_members(engine, nodes, clusters, overlaps)
    families = _describe_families(engine, members, overlaps)
    return Matching(members, families, _count(engine, families, overlaps))


def _number_persons(engine: Engine, earlier: Vintage, later: Vintage) -> Table:
    return engine.step(
        "compare_nodes",
        """
        WITH numbered AS (
            SELECT 'earlier' AS side, person_id, row_number() OVER (ORDER BY person_id) AS unique_id
            FROM earlier_persons
        )
        SELECT side, person_id, unique_id FROM numbered
        UNION ALL
        SELECT 'later', person_id,
               row_number() OVER (ORDER BY person_id) + (SELECT count(*) FROM earlier_persons)
        FROM later_persons
        """,
        earlier_persons=earlier.tables["persons"],
        later_persons=later.tables["persons"],
    )


def _compare_records(engine: Engine, earlier: Vintage, later: Vintage, nodes: Table) -> Table:
    """How many records two persons share, or a person alone has, by what became of them."""
    content = ", ".join(f"c.{name}" for name in (*_EVENT, *_ENDS))
    sides = ", ".join(
        f"""{side} AS (
            SELECT p.source, p.record_id, n.unique_id AS node, {content}
            FROM {side}_owners p JOIN nodes n ON n.side = '{side}' AND n.person_id = p.person_id
            JOIN {side}_records c ON c.source = p.source AND c.record_id = p.record_id)"""
        for side in SIDES
    )
    end = f"DATE '{earlier.data_to_date}'"
    # That something ended after the earlier run's data is news of that day, not a correction.
    differs = " OR ".join(
        [f"a.{name} IS DISTINCT FROM b.{name}" for name in _EVENT]
        + [
            f"(a.{name} IS DISTINCT FROM b.{name} AND "
            f"least(coalesce(a.{name}, {end}), coalesce(b.{name}, {end})) < {end})"
            for name in _ENDS
        ]
    )
    return engine.step(
        "compare_overlaps",
        f"""
        WITH {sides}, compared AS (
            SELECT a.node AS earlier_node, b.node AS later_node,
                   CASE WHEN b.node IS NULL THEN 'withdrawn'
                        WHEN a.node IS NULL THEN CASE WHEN b.record_date >= {end} THEN 'later' ELSE 'new' END
                        WHEN {differs} THEN 'changed' ELSE 'same' END AS state
            FROM earlier a FULL JOIN later b ON b.source = a.source AND b.record_id = a.record_id
        )
        SELECT earlier_node, later_node, state, count(*) AS n FROM compared GROUP BY earlier_node, later_node, state
        """,
        nodes=nodes,
        earlier_owners=earlier.tables["record_persons"],
        later_owners=later.tables["record_persons"],
        earlier_records=earlier.tables["records"],
        later_records=later.tables["records"],
    )


def _find_members(engine: Engine, nodes: Table, clusters: Table, overlaps: Table) -> Table:
    return engine.step(
        "compare_members",
        """
        WITH shared AS (
            SELECT earlier_node, later_node, sum(n) AS n FROM records_by_person
            WHERE earlier_node IS NOT NULL AND later_node IS NOT NULL GROUP BY earlier_node, later_node
        ), ranked AS (
            SELECT earlier_node, later_node,
                   row_number() OVER (PARTITION BY earlier_node ORDER BY n DESC, later_node) AS of_earlier,
                   row_number() OVER (PARTITION BY later_node ORDER BY n DESC, earlier_node) AS of_later
            FROM shared
        ), pairs AS (SELECT earlier_node, later_node FROM ranked WHERE of_earlier = 1 AND of_later = 1)
        SELECT n.side, n.person_id, n.unique_id AS node, c.cluster AS family,
               coalesce(p.earlier_node, n.unique_id) AS pair
        FROM nodes n JOIN clusters c ON c.unique_id = n.unique_id
        LEFT JOIN pairs p ON p.later_node = n.unique_id
        """,
        nodes=nodes,
        clusters=clusters,
        records_by_person=overlaps,
    )


def _describe_families(engine: Engine, members: Table, overlaps: Table) -> Table:
    return engine.step(
        "compare_families",
        """
        WITH sizes AS (
            SELECT family, count(*) FILTER (WHERE side = 'earlier') AS n_earlier,
                   count(*) FILTER (WHERE side = 'later') AS n_later
            FROM members GROUP BY family
        ), held AS (
            SELECT m.family, max(CASE WHEN o.state = 'new' THEN 1 ELSE 0 END) AS n_new,
                   max(CASE WHEN o.state = 'withdrawn' THEN 1 ELSE 0 END) AS n_withdrawn,
                   max(CASE WHEN o.state = 'changed' THEN 1 ELSE 0 END) AS n_changed
            FROM records_by_person o JOIN members m ON m.node = coalesce(o.later_node, o.earlier_node)
            GROUP BY m.family
        )
        SELECT s.family, s.n_earlier, s.n_later,
               CASE WHEN n_earlier = 0 THEN 'new' WHEN n_later = 0 THEN 'gone'
                    WHEN n_earlier = 1 AND n_later = 1 THEN 'same' WHEN n_later = 1 THEN 'merged'
                    WHEN n_earlier = 1 THEN 'split' ELSE 'regrouped' END AS kind,
               coalesce(h.n_new, 0) > 0 AS has_new, coalesce(h.n_withdrawn, 0) > 0 AS has_withdrawn,
               coalesce(h.n_changed, 0) > 0 AS has_changed
        FROM sizes s LEFT JOIN held h ON h.family = s.family
        """,
        members=members,
        records_by_person=overlaps,
    )


def _count(engine: Engine, families: Table, overlaps: Table) -> pl.DataFrame:
    """Persons by kind of family, records by state."""
    return engine.collect(
        """
        SELECT 'persons' AS item, kind AS outcome, CAST(sum(n_earlier) AS BIGINT) AS n_earlier,
               CAST(sum(n_later) AS BIGINT) AS n_later
        FROM families GROUP BY kind
        UNION ALL
        SELECT 'records', state, CAST(sum(CASE WHEN earlier_node IS NULL THEN 0 ELSE n END) AS BIGINT),
               CAST(sum(CASE WHEN later_node IS NULL THEN 0 ELSE n END) AS BIGINT)
        FROM records_by_person GROUP BY state
        """,
        families=families,
        records_by_person=overlaps,
    )
