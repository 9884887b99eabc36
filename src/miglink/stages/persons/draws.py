"""Draws of the linkage: other persons that the identities in doubt may form.

What is drawn is a partition of the identities of each component in doubt, not a coin for each link.

1. Identities that certain links, judgements or a source already linked hold together in one person are one unit, in
   every draw. Units of which a link says neither that they are one person nor that they are not are a pair in doubt.
2. Each draw begins with one curve for all its links (`draw_curves`): probabilities are wrong together, and the error of
   a count of many links is mostly theirs.
3. Then pairs of units are decided, the most probable first. Two clusters become one with the probability of the
   strongest link between them. What has been decided holds: clusters drawn apart stay apart, with all that joins them
   later, and no join is made that a constraint forbids.

Two units are joined in just the share of draws that their probability says. Of three or more, a pair that is decided
later is decided given the earlier ones: where a stronger claim excludes it, it is joined in fewer draws than its own
probability says, and in more where a stronger claim brings it along. Independent coins can draw what is no person (a is
b, b is c, a is not c); coins drawn until they fit count each link as evidence of its own, and three links between
records of one spelling are not three pieces of evidence. The best linkage goes by the mean over all pairs, a pair that
is no link counting 0: it has to decide, and a false join of two groups costs more than one that is missing. As a
probability the mean is too low: within a unit identities are surely one person's, whose spellings differ among
themselves, so that pairs unlike each other say little against two units of which others are alike.
"""

from dataclasses import dataclass, field

import polars as pl

from miglink.components import connected_components
from miglink.config.stages import PersonsSettings
from miglink.engine import Engine, Table
from miglink.stages.persons.clusters import forbidden_pairs
from miglink.stages.persons.curves import Curve, cell_sql, draw_curves

# Hexadecimal digits of a hash that make a random number: one in 268 million.
_DIGITS = 7


@dataclass(frozen=True)
class Draws:
    """How many draws, where their random numbers begin, and what is known of the error of the probabilities."""

    number: int = 0
    seed: int = 1
    curve: Curve = field(default_factory=Curve)


NO_DRAWS = Draws()


@dataclass(frozen=True)
class Doubt:
    """The components in doubt.

    clusters: cluster, is_doubtful. units: unique_id, identity_id, n_records, cluster, person_id, unit (the smallest
    unique_id in it). links: x < y (units), p_calibrated. exclusive, apart: as
    `constrained_clusters` has them. n_nodes: identities of the run.
    """

    clusters: Table
    units: Table
    links: Table
    exclusive: Table
    apart: Table
    n_nodes: int


def find_doubt(engine: Engine, tables: dict[str, Table], settings: PersonsSettings) -> Doubt:
    """Find the persons that may be others: joined by a link that is not certain, or left out of one that is possible.

    Reads: nodes, edges (accepted links), clustered (the best linkage), links, exclusive, apart.
    A link between units that a constraint keeps apart is no doubt.
    """
    certain = connected_components(
        engine,
        tables["nodes"],
        f"SELECT a, b FROM edges WHERE p_calibrated >= {settings.certain_p_match}",
        tables["edges"],
        "persons_certain",
    )
    loose, members = _find_loose(engine, tables, certain, settings)
    labels = engine.hold(
        "persons_unit_labels", "SELECT unique_id, unit AS cluster FROM members", members=members
    )
    constraints = (tables["exclusive"], tables["apart"])
    links = engine.hold(
        "persons_doubtful_links",
        """WITH across AS (
            SELECT least(l.unit, r.unit) AS x, greatest(l.unit, r.unit) AS y, k.p_calibrated
            FROM loose k JOIN members l ON l.unique_id = k.a JOIN members r ON r.unique_id = k.b
            WHERE l.unit <> r.unit)
        SELECT k.* FROM across k LEFT JOIN forbidden f ON f.a = k.x AND f.b = k.y WHERE f.a IS NULL""",
        loose=loose,
        members=members,
        forbidden=forbidden_pairs(engine, labels, loose, *constraints),
    )
    clusters = engine.hold(
        "persons_doubtful",
        """SELECT DISTINCT m.cluster, true AS is_doubtful
        FROM (SELECT x AS unit FROM links UNION SELECT y FROM links) AS u JOIN members m ON m.unique_id = u.unit""",
        links=links,
        members=members,
    )
    units = engine.hold(
        "persons_units",
        "SELECT m.* FROM members m JOIN clusters c ON c.cluster = m.cluster",
        members=members,
        clusters=clusters,
    )
    return Doubt(clusters, units, links, *constraints, engine.count(tables["nodes"]))


def _find_loose(
    engine: Engine, tables: dict[str, Table], certain: Table, settings: PersonsSettings
) -> tuple[Table, Table]:
    """The links that are neither certain nor impossible, and the persons that they lead to, by unit."""
    loose = engine.hold(
        "persons_loose",
        f"""SELECT l.unique_id AS a, r.unique_id AS b, k.p_calibrated
        FROM links k JOIN nodes l ON l.identity_id = k.identity_id_l JOIN nodes r ON r.identity_id = k.identity_id_r
        WHERE k.p_calibrated >= {1 - settings.certain_p_match} AND k.p_calibrated < {settings.certain_p_match}""",
        nodes=tables["nodes"],
        links=tables["links"],
    )
    members = engine.hold(
        "persons_loose_members",
        """WITH touched AS (
            SELECT c.cluster FROM loose JOIN clustered c ON c.unique_id = loose.a
            UNION SELECT c.cluster FROM loose JOIN clustered c ON c.unique_id = loose.b)
        SELECT c.unique_id, c.identity_id, n.n_records, c.cluster, c.person_id,
               min(c.unique_id) OVER (PARTITION BY c.cluster, s.cluster) AS unit
        FROM clustered c JOIN touched t ON t.cluster = c.cluster
        JOIN certain s ON s.unique_id = c.unique_id JOIN nodes n ON n.unique_id = c.unique_id""",
        loose=loose,
        clustered=tables["clustered"],
        certain=certain,
        nodes=tables["nodes"],
    )
    return loose, members


def draw_persons(engine: Engine, doubt: Doubt, draws: Draws) -> Table:
    """Give the table person_draws: the drawn person of every identity of a component in doubt, for each draw from 1.

    A drawn person has the facts of the person who owns most of its records; ties go to the smaller id. Of several that
    have those of one person, part 0 has most of that person's records; ties go to the smaller identity.
    Source: Tancredi and Liseo 2011 and Steorts, Hall and Fienberg 2016 (linkage as a partition that is drawn); Vasicek
    2002 (the error that all of a portfolio share); the order of decisions: module docstring.
    """
    if not draws.number or not engine.count(doubt.links):
        return engine.query(
            "person_draws",
            """SELECT CAST(1 AS INTEGER) AS draw, identity_id, person_id, CAST(0 AS INTEGER) AS part
            FROM units WHERE false""",
            units=doubt.units,
        )
    with engine.holding():
        labels = _join_units(engine, doubt, draws)
        return engine.query(
            "person_draws",
            """WITH owned AS (
                SELECT l.draw, l.cluster, u.person_id, sum(u.n_records) AS n
                FROM labels l JOIN units u ON u.unit = l.unit GROUP BY l.draw, l.cluster, u.person_id),
            ranked AS (
                SELECT *, row_number() OVER (PARTITION BY draw, cluster ORDER BY n DESC, person_id) AS rank FROM owned),
            owners AS (
                SELECT draw, cluster, person_id,
                       row_number() OVER (PARTITION BY draw, person_id ORDER BY n DESC, cluster) - 1 AS part
                FROM ranked WHERE rank = 1)
            SELECT l.draw, u.identity_id, o.person_id, CAST(o.part AS INTEGER) AS part
            FROM labels l JOIN units u ON u.unit = l.unit
            JOIN owners o ON o.draw = l.draw AND o.cluster = l.cluster""",
            labels=labels,
            units=doubt.units,
        )


def _join_units(engine: Engine, doubt: Doubt, draws: Draws) -> Table:
    """The drawn clusters of all draws at once: draw, unit, cluster.

    A unit of a draw is a node of its own (unique_id), so that draws are parts of one graph. In every round each cluster
    looks at the pair that is most probable of those open to it, and pairs that two clusters choose of each other are
    decided. Merged clusters are never nearer to others than the nearer of the two was, so that this
    gives what one decision after another would.
    """
    node = f"draws.draw * CAST({doubt.n_nodes + 1} AS BIGINT) + "
    numbers = pl.DataFrame({"draw": range(1, draws.number + 1)}, schema={"draw": pl.Int32})
    every = engine.frame("persons_draws_numbers", numbers)
    labels = engine.hold(
        "persons_drawn_0",
        f"""SELECT draws.draw, unit, {node}unit AS unique_id, {node}unit AS cluster, name
        FROM (SELECT unit, min(identity_id) AS name FROM units GROUP BY unit) AS u CROSS JOIN draws""",
        units=doubt.units,
        draws=every,
    )
    exclusive = engine.hold(
        "persons_drawn_exclusive",
        f"""SELECT {node}x.unit AS unique_id, kind, value
        FROM (SELECT DISTINCT u.unit, e.kind, e.value FROM exclusive e JOIN units u USING (unique_id)) AS x
        CROSS JOIN draws""",
        exclusive=doubt.exclusive,
        units=doubt.units,
        draws=every,
    )
    apart = engine.hold(
        "persons_drawn_apart_0",
        f"""SELECT {node}l.unit AS a, {node}r.unit AS b
        FROM apart JOIN units l ON l.unique_id = apart.a JOIN units r ON r.unique_id = apart.b CROSS JOIN draws""",
        apart=doubt.apart,
        units=doubt.units,
        draws=every,
    )
    edges, number = _draw_evidence(engine, doubt, draws, node), 0
    while engine.count(decided := _decide(engine, labels, edges, (exclusive, apart), draws.seed)):
        number += 1
        labels, edges, apart = _carry_out(engine, decided, labels, edges, apart, number)
    return labels


def _draw_evidence(engine: Engine, doubt: Doubt, draws: Draws, node: str) -> Table:
    """What the links between two units of a draw say: a < b, p of the strongest (drawn, in millionths)."""
    links = engine.hold(
        "persons_links_by_cell",
        f"SELECT x, y, {cell_sql('p_calibrated')} AS cell FROM links",
        links=doubt.links,
    )
    cells = engine.collect("SELECT DISTINCT cell FROM links ORDER BY cell", links=links)["cell"].to_list()
    return engine.hold(
        "persons_drawn_edges_0",
        f"""SELECT {node}x AS a, {node}y AS b, max(draws.p) AS p
        FROM links JOIN draws ON draws.cell = links.cell GROUP BY draws.draw, x, y""",
        links=links,
        draws=engine.frame("persons_curves", draw_curves(cells, draws.curve, draws.number, draws.seed)),
    )


def _decide(
    engine: Engine, labels: Table, edges: Table, constraints: tuple[Table, Table], seed: int
) -> Table:
    """The decisions of one round: kept < joined, is_joined."""
    forbidden = forbidden_pairs(engine, labels, edges, *constraints)
    return engine.hold(
        "persons_drawn_decisions",
        f"""WITH open AS (
            SELECT e.* FROM edges e LEFT JOIN forbidden f ON f.a = e.a AND f.b = e.b WHERE f.a IS NULL),
        seen AS (SELECT a AS cluster, a, b, p FROM open UNION ALL SELECT b, a, b, p FROM open),
        ranked AS (SELECT *, row_number() OVER (PARTITION BY cluster ORDER BY p DESC, a, b) AS rank FROM seen),
        chosen AS (SELECT a, b, max(p) AS p FROM ranked WHERE rank = 1 GROUP BY a, b HAVING count(*) = 2),
        hashed AS (
            SELECT c.a, c.b, c.p, sha256(concat('{seed} ', CAST(l.draw AS VARCHAR), ' ', l.name, ' ', r.name)) AS digest
            FROM chosen c JOIN labels l ON l.unique_id = c.a JOIN labels r ON r.unique_id = c.b)
        SELECT a AS kept, b AS joined, 1000000 * {uniform_sql("digest")} < p AS is_joined FROM hashed""",
        labels=labels,
        edges=edges,
        forbidden=forbidden,
    )


def _carry_out(
    engine: Engine, decided: Table, labels: Table, edges: Table, apart: Table, number: int
) -> tuple[Table, Table, Table]:
    """Labels, evidence between clusters, and what is apart, after the decisions of a round."""
    joins = engine.hold(
        f"persons_drawn_joins_{number}",
        "SELECT kept, joined FROM decided WHERE is_joined",
        decided=decided,
    )
    moved = engine.hold(
        f"persons_drawn_{number}",
        """SELECT l.draw, l.unit, l.unique_id, coalesce(j.kept, l.cluster) AS cluster, l.name
        FROM labels l LEFT JOIN joins j ON j.joined = l.cluster""",
        labels=labels,
        joins=joins,
    )
    left = engine.hold(
        f"persons_drawn_edges_{number}",
        """WITH moved AS (
            SELECT coalesce(x.kept, e.a) AS a, coalesce(y.kept, e.b) AS b, e.p
            FROM edges e LEFT JOIN decided d ON d.kept = e.a AND d.joined = e.b
            LEFT JOIN joins x ON x.joined = e.a LEFT JOIN joins y ON y.joined = e.b WHERE d.kept IS NULL)
        SELECT least(a, b) AS a, greatest(a, b) AS b, max(p) AS p FROM moved GROUP BY least(a, b), greatest(a, b)""",
        edges=edges,
        decided=decided,
        joins=joins,
    )
    kept_apart = engine.hold(
        f"persons_drawn_apart_{number}",
        "SELECT a, b FROM apart UNION ALL SELECT kept, joined FROM decided WHERE NOT is_joined",
        apart=apart,
        decided=decided,
    )
    return moved, left, kept_apart


def uniform_sql(digest: str) -> str:
    """SQL for a number from 0 to below 1: the first digits of a hash."""
    places = (
        f"{16 ** (_DIGITS - place)} * (STRPOS('0123456789abcdef', SUBSTRING({digest}, {place}, 1)) - 1)"
        for place in range(1, _DIGITS + 1)
    )
    return f"(CAST({' + '.join(places)} AS DOUBLE) / {16**_DIGITS})"
