"""Pairs of one person that only a number joins: what that says of the pairs that no number joins."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
import polars.selectors as cs

from miglink.components import connected_components
from miglink.engine import Engine, Table, identifier, text_literal
from miglink.tables.numbering import numbered_sql

# Persons of so many pieces and more are taken together.
_MOST_PIECES = 3


@dataclass(frozen=True)
class HeldOut:
    """The number that the score was not shown; and the levels that say that documents are nearly the same."""

    field: str
    near_documents: tuple[str, ...] = ()

    def near_sql(self) -> str:
        """Whether a link says that the documents are nearly the same."""
        levels = ", ".join(text_literal(level) for level in self.near_documents)
        return f"coalesce(k.level_document IN ({levels}), false)" if levels else "false"


def label_pieces(
    engine: Engine, tables: Mapping[str, Table], held_out: HeldOut, accept_p_match: float, groups: Table
) -> dict[str, Table]:
    """Cut each person into the pieces that numbers alone hold together.

    Gives: identities: unique_id, identity_id, person_id, citizenship_group, number, is_known (whether it holds
    anything else to link it by), piece (identities that one number or document after another connects), document_piece
    (without the number that is held out), rest (identities that accepted links connect, had nobody that number);
    sources: identity_id, source. A document that is nearly the same and accepted counts as the same: its other way to
    link, the name, is the same too, other than with the next document. Where the number held out is the document, every
    identity is a document_piece.
    """
    field = held_out.field
    named = "concat(document_number, ' ', coalesce(document_country, ''))"
    document = f"CASE WHEN document_number IS NOT NULL THEN {named} END"
    number = document if field == "document" else identifier(field)
    nodes = engine.step(
        "quality_nodes",
        f"""WITH numbered AS ({numbered_sql("identities", "identity_id", "unique_id")})
        SELECT n.unique_id, n.identity_id, p.person_id, g.citizenship_group, n.given_person, {number} AS number,
               {document} AS document,
               n.surname_ascii IS NOT NULL OR n.given_names_ascii IS NOT NULL OR n.birth_date IS NOT NULL AS is_known
        FROM numbered n JOIN identity_persons p ON p.identity_id = n.identity_id
        LEFT JOIN groups g ON g.person_id = p.person_id""",
        identities=tables["identities"],
        identity_persons=tables["identity_persons"],
        groups=groups,
    )
    rest = engine.step(
        "quality_rest_edges",
        f"""SELECT l.unique_id AS a, r.unique_id AS b, {held_out.near_sql()} AS is_near FROM links k
        JOIN nodes l ON l.identity_id = k.identity_id_l JOIN nodes r ON r.identity_id = k.identity_id_r
        WHERE l.person_id = r.person_id AND coalesce(k.p_without_number, k.p_calibrated) >= {accept_p_match}""",
        links=tables["links"],
        nodes=nodes,
    )
    held_by = ["document"] if field == "document" else ["document", "number", "given_person"]
    without = [] if field == "document" else ["document"]
    parts = {
        "piece": _components(engine, nodes, _star(engine, nodes, rest, held_by), "piece"),
        "document_piece": _components(engine, nodes, _star(engine, nodes, rest, without), "document_piece"),
        "rest": _components(engine, nodes, rest, "rest"),
    }
    identities = engine.step(
        "quality_pieces",
        """SELECT n.unique_id, n.identity_id, n.person_id, n.citizenship_group, n.number, n.is_known,
               p.cluster AS piece, d.cluster AS document_piece, r.cluster AS rest
        FROM nodes n JOIN piece p USING (unique_id) JOIN document_piece d USING (unique_id)
        JOIN rest r USING (unique_id)""",
        nodes=nodes,
        **parts,
    )
    sources = engine.step(
        "quality_sources",
        "SELECT DISTINCT identity_id, source FROM record_identities",
        record_identities=tables["record_identities"],
    )
    return {"identities": identities, "sources": sources}


def _star(engine: Engine, nodes: Table, rest: Table, columns: list[str]) -> Table:
    """Edges from the first identity of a person that holds a value to the others, and of documents nearly the same."""
    near = ["SELECT a, b FROM rest WHERE is_near"] if "document" in columns else []
    stars = [
        f"""SELECT min(unique_id) OVER (PARTITION BY person_id, {column}) AS a, unique_id AS b FROM nodes
        WHERE {column} IS NOT NULL"""
        for column in columns
    ]
    edges = " UNION ALL ".join([*stars, *near]) or "SELECT a, b FROM rest WHERE false"
    name = "_".join(columns) or "nothing"
    return engine.step(
        f"quality_edges_by_{name}",
        f"SELECT a, b FROM ({edges}) AS edges WHERE a <> b",
        nodes=nodes,
        rest=rest,
    )


def _components(engine: Engine, nodes: Table, edges: Table, name: str) -> Table:
    return connected_components(engine, nodes, "SELECT a, b FROM edges", edges, f"quality_{name}")


def count_missed(engine: Engine, pieces: dict[str, Table]) -> pl.DataFrame:
    """Pairs whose links are known from the number, and pairs that it might have joined but did not.

    Gives, by item (`all`, `source|source`), citizenship_group (`unknown` where it is) and n_pieces (2; 3 and more):
    held_clusters, held_pairs, held_missed: pieces that fall apart without the number, their pairs across parts, and
        those of them that nothing else joins; the last two also as sums of squares by piece (`_squared`);
    at_risk, at_risk_squared: pairs of one person in different pieces, which only names and dates have joined;
    joined: all pairs of identities of one person (n_pieces 0).
    """
    whole = engine.step(
        "quality_whole_units",
        "SELECT p.*, 'all' AS side FROM pieces p",
        pieces=pieces["identities"],
    )
    by_source = engine.step(
        "quality_source_units",
        "SELECT p.*, s.source AS side FROM pieces p JOIN sources s ON s.identity_id = p.identity_id",
        pieces=pieces["identities"],
        sources=pieces["sources"],
    )
    items = ((whole, "'all'"), (by_source, "concat(side_l, '|', side_r)"))
    found = pl.concat([_count_item(engine, units, item) for units, item in items])
    return found.sort(pl.col("item") != "all", "item", "citizenship_group", "n_pieces")


def _count_item(engine: Engine, units: Table, item: str) -> pl.DataFrame:
    """The counts of one kind of item, `item` being its name in SQL."""
    missed = "n_pairs - n_joined"
    measures = {
        ("piece", "document_piece", "rest", "is_known"): f"""CAST(count(*) AS DOUBLE) AS held_clusters,
            sum(n_pairs) AS held_pairs, sum(n_pairs * n_pairs) AS held_pairs_squared,
            sum({missed}) AS held_missed, sum(({missed}) * ({missed})) AS held_missed_squared""",
        ("person_id", "piece", "person_id", "true"): """sum(n_pairs) AS at_risk,
            sum(n_pairs * n_pairs) AS at_risk_squared""",
        ("person_id", "identity_id", "person_id", "true"): "sum(n_pairs) AS joined",
    }
    frames = []
    for parts, counted in measures.items():
        of_all = parts[1] == "identity_id"
        n_pieces = "CAST(0 AS BIGINT)" if of_all else f"CAST(least(n_parts, {_MOST_PIECES}) AS BIGINT)"
        frames.append(
            engine.collect(
                f"""WITH named AS (
                    SELECT {item} AS item, coalesce(citizenship_group, 'unknown') AS citizenship_group,
                           {n_pieces} AS n_pieces, n_pairs, n_joined
                    FROM counted WHERE n_pairs > 0)
                SELECT item, citizenship_group, n_pieces, {counted} FROM named
                GROUP BY item, citizenship_group, n_pieces""",
                counted=_count_between(engine, units, parts),
            )
        )
    return (
        pl.concat(frames, how="diagonal")
        .with_columns(cs.float().fill_null(0.0))
        .group_by("item", "citizenship_group", "n_pieces")
        .sum()
    )


def _count_between(engine: Engine, units: Table, parts: tuple[str, str, str, str]) -> Table:
    """Pairs of units within a cluster but in different parts of it, by sides; and those of them joined.

    `parts`: the columns of the cluster, of the part, of what joins (the cluster itself: nothing is asked), and which
    units count. n_parts: the parts of the cluster. No pair is formed: pairs of c units are c (c − 1) / 2, between sides
    c_l × c_r.
    """
    cluster, part, joins, counts = parts
    keys = {"n_pairs": [((cluster,), 1), ((cluster, part), -1)]}
    if joins != cluster:
        keys["n_joined"] = [((cluster, joins), 1), ((cluster, part, joins), -1)]
    # Most clusters are one part, and have no pair to count.
    units = engine.step(
        f"quality_several_{part}",
        f"""SELECT u.* FROM units u WHERE {counts} AND u.{cluster} IN (
            SELECT {cluster} FROM units WHERE {counts} GROUP BY {cluster} HAVING min({part}) <> max({part}))""",
        units=units,
    )
    signed = []
    for measure, terms in keys.items():
        for columns, sign in terms:
            by = list(dict.fromkeys(columns))
            listed = ", ".join(by)
            same = " AND ".join(f"a.{column} = b.{column}" for column in by)
            of_pair = "CASE WHEN a.side = b.side THEN a.n * (a.n - 1) / 2 ELSE a.n * b.n END"
            signed.append(
                f"""SELECT a.{cluster} AS cluster, a.side AS side_l, b.side AS side_r,
                    {f"{sign} * ({of_pair})" if measure == "n_pairs" else "CAST(0 AS DOUBLE)"} AS n_pairs,
                    {f"{sign} * ({of_pair})" if measure == "n_joined" else "CAST(0 AS DOUBLE)"} AS n_joined
                FROM (SELECT {listed}, side, CAST(count(*) AS DOUBLE) AS n FROM units
                      GROUP BY {listed}, side) AS a
                JOIN (SELECT {listed}, side, CAST(count(*) AS DOUBLE) AS n FROM units
                      GROUP BY {listed}, side) AS b ON {same} AND a.side <= b.side"""
            )
    return engine.step(
        f"quality_between_{part}",
        f"""WITH signed AS ({" UNION ALL ".join(signed)}),
        summed AS (
            SELECT cluster, side_l, side_r, sum(n_pairs) AS n_pairs, sum(n_joined) AS n_joined
            FROM signed GROUP BY cluster, side_l, side_r),
        sizes AS (
            SELECT {cluster} AS cluster, count(DISTINCT {part}) AS n_parts, min(citizenship_group) AS citizenship_group
            FROM units GROUP BY {cluster})
        SELECT s.cluster, s.side_l, s.side_r, s.n_pairs, s.n_joined, z.n_parts, z.citizenship_group
        FROM summed s JOIN sizes z ON z.cluster = s.cluster""",
        units=units,
    )
