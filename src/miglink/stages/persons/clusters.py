"""Clusters: identities joined along their links, under constraints that a link cannot overrule."""

from miglink.components import connected_components
from miglink.engine import Engine, Table, text_literal

# An identity that a pair can be told by.
TELLS_SQL = "birth_date IS NOT NULL AND surname_ascii IS NOT NULL AND given_names_ascii IS NOT NULL"
# Links of this probability make the groups of identities between which less certain links are weighed together.
_NEARLY_CERTAIN = 0.95
# Between two groups pairs must be matches more likely than not, on average.
_LEAST_AVERAGE = 0.5
# Probabilities are added in millionths, so that the order of rows never matters.
_PARTS = 1_000_000


def nearly_certain(accept_p_match: float) -> float:
    """The probability from which a link joins two groups whatever the other pairs between them say."""
    return max(_NEARLY_CERTAIN, accept_p_match)


def weigh_links(engine: Engine, nodes: Table, links: Table, accept_p_match: float) -> Table:
    """Give the links that reach accept_p_match: a < b, weight, p_calibrated, is_bound, is_refused.

    Reads: nodes (unique_id, identity_id; tells: whether its name and date of birth are known), links.
    One that would join two groups of identities, each held together by links of at
    least 0.95, is weighed with all others between them: over the pairs of identities that hold a name and a date of
    birth the probabilities must be 0.5 on average, a pair that is not among the links counting 0; else it is refused.
    One pair of two persons may look like a match by chance; hardly all pairs of theirs. Bound links are never refused.
    Source: average linkage (Sokal and Michener 1958) between groups that single linkage has made.
    """
    pairs = engine.hold(
        "persons_pairs",
        """SELECT l.unique_id AS a, r.unique_id AS b, l.tells AND r.tells AS tells, k.match_weight AS weight,
               k.p_calibrated, k.blocking_rule IN ('judgement', 'given_person') AS is_bound
        FROM links k JOIN nodes l ON l.identity_id = k.identity_id_l JOIN nodes r ON r.identity_id = k.identity_id_r""",
        nodes=nodes,
        links=links,
    )
    joined = f"SELECT a, b FROM edges WHERE is_bound OR p_calibrated >= {nearly_certain(accept_p_match)}"
    groups = connected_components(engine, nodes, joined, pairs, "persons_groups")
    return engine.hold(
        "persons_weighed",
        f"""WITH sizes AS (
            SELECT g.cluster, CAST(count(*) FILTER (WHERE n.tells) AS DOUBLE) AS n
            FROM groups g JOIN nodes n USING (unique_id) GROUP BY g.cluster),
        grouped AS (
            SELECT p.*, least(l.cluster, r.cluster) AS x, greatest(l.cluster, r.cluster) AS y
            FROM pairs p JOIN groups l ON l.unique_id = p.a JOIN groups r ON r.unique_id = p.b),
        across AS (
            SELECT x, y, coalesce(sum(CAST(ROUND(p_calibrated * {_PARTS}) AS BIGINT)) FILTER (WHERE tells), 0) AS total
            FROM grouped WHERE x <> y GROUP BY x, y),
        refused AS (
            SELECT b.x, b.y FROM across b JOIN sizes s ON s.cluster = b.x JOIN sizes t ON t.cluster = b.y
            WHERE b.total < {_LEAST_AVERAGE * _PARTS} * s.n * t.n)
        SELECT g.a, g.b, g.weight, g.p_calibrated, g.is_bound, r.x IS NOT NULL AND NOT g.is_bound AS is_refused
        FROM grouped g LEFT JOIN refused r ON r.x = g.x AND r.y = g.y WHERE g.p_calibrated >= {accept_p_match}""",
        pairs=pairs,
        groups=groups,
        nodes=nodes,
    )


def accepted_links(engine: Engine, weighed: Table) -> Table:
    """The links that are not refused: the edges along which identities join."""
    return engine.hold("persons_edges", "SELECT * FROM weighed WHERE NOT is_refused", weighed=weighed)


def constrained_clusters(engine: Engine, nodes: Table, edges: Table, exclusive: Table, apart: Table) -> Table:
    """Give the cluster of every node: unique_id, cluster (the smallest unique_id in it).

    Reads: nodes (unique_id); edges (a < b, weight, is_bound); exclusive (unique_id, kind, value: two values of a kind
    do not belong to one person); apart (a, b: judged not to be one person).
    Bound edges always join. Where joining all edges would break no constraint, clusters are connected components. In
    the other components edges join by descending weight, an edge that would break a constraint never: in every round
    each cluster looks at its heaviest permitted edge and joins where two clusters choose the same one, which gives the
    clusters of the sequential procedure. Ties go to the smaller ids, so that the order of rows never matters.
    Source: constrained single linkage; Borůvka 1926 (joining along mutual best edges).
    """
    bound = connected_components(
        engine, nodes, "SELECT a, b FROM edges WHERE is_bound", edges, "persons_bound"
    )
    whole = connected_components(engine, nodes, "SELECT a, b FROM edges", edges, "persons_whole")
    broken = _broken(engine, whole, bound, exclusive, apart)
    labels = engine.hold(
        "persons_labels_0",
        """SELECT bound.unique_id, bound.cluster FROM bound JOIN whole USING (unique_id)
        WHERE whole.cluster IN (SELECT cluster FROM broken)""",
        bound=bound,
        whole=whole,
        broken=broken,
    )
    number = 0
    while engine.count(joins := _joins(engine, labels, edges, exclusive, apart)):
        number += 1
        labels = engine.hold(
            f"persons_labels_{number}",
            """SELECT l.unique_id, coalesce(j.kept, l.cluster) AS cluster
            FROM labels l LEFT JOIN joins j ON j.joined = l.cluster""",
            labels=labels,
            joins=joins,
        )
    return engine.hold(
        "persons_clusters",
        """SELECT whole.unique_id, coalesce(labels.cluster, whole.cluster) AS cluster
        FROM whole LEFT JOIN labels ON labels.unique_id = whole.unique_id""",
        whole=whole,
        labels=labels,
    )


def _broken(engine: Engine, whole: Table, bound: Table, exclusive: Table, apart: Table) -> Table:
    """Components in which a constraint would be broken by more than what is bound anyway."""
    return engine.hold(
        "persons_broken",
        """WITH values_of AS (
            SELECT DISTINCT whole.cluster, bound.cluster AS part, kind, value
            FROM exclusive JOIN whole USING (unique_id) JOIN bound USING (unique_id))
        SELECT cluster FROM values_of GROUP BY cluster, kind
        HAVING count(DISTINCT value) > 1 AND count(DISTINCT part) > 1
        UNION
        SELECT l.cluster FROM apart JOIN whole l ON l.unique_id = apart.a JOIN whole r ON r.unique_id = apart.b
        WHERE l.cluster = r.cluster""",
        whole=whole,
        bound=bound,
        exclusive=exclusive,
        apart=apart,
    )


def forbidden_pairs(engine: Engine, labels: Table, edges: Table, exclusive: Table, apart: Table) -> Table:
    """The pairs of clusters (a < b) that may not join: of those with an edge between them, and of those judged apart.

    Reads: labels (unique_id, cluster); edges, exclusive and apart as `constrained_clusters` has them.
    """
    values = engine.hold(
        "persons_round_values",
        "SELECT DISTINCT cluster, kind, value FROM exclusive JOIN labels USING (unique_id)",
        exclusive=exclusive,
        labels=labels,
    )
    return engine.hold(
        "persons_round_forbidden",
        """WITH pairs AS (
            SELECT DISTINCT least(l.cluster, r.cluster) AS a, greatest(l.cluster, r.cluster) AS b
            FROM edges JOIN labels l ON l.unique_id = edges.a JOIN labels r ON r.unique_id = edges.b
            WHERE l.cluster <> r.cluster),
        shared AS (
            SELECT pairs.a, pairs.b, x.kind, max(CASE WHEN x.value = y.value THEN 1 ELSE 0 END) AS has_common
            FROM pairs JOIN values_of x ON x.cluster = pairs.a
            JOIN values_of y ON y.cluster = pairs.b AND y.kind = x.kind
            GROUP BY pairs.a, pairs.b, x.kind)
        SELECT a, b FROM shared WHERE has_common = 0
        UNION
        SELECT least(l.cluster, r.cluster), greatest(l.cluster, r.cluster)
        FROM apart JOIN labels l ON l.unique_id = apart.a JOIN labels r ON r.unique_id = apart.b""",
        edges=edges,
        labels=labels,
        values_of=values,
        apart=apart,
    )


def _joins(engine: Engine, labels: Table, edges: Table, exclusive: Table, apart: Table) -> Table:
    """The joins of one round: `joined` becomes part of `kept`."""
    forbidden = forbidden_pairs(engine, labels, edges, exclusive, apart)
    return engine.hold(
        "persons_round_joins",
        """WITH across AS (
            SELECT least(l.cluster, r.cluster) AS kept, greatest(l.cluster, r.cluster) AS joined,
                   edges.weight, edges.a, edges.b
            FROM edges JOIN labels l ON l.unique_id = edges.a JOIN labels r ON r.unique_id = edges.b
            WHERE l.cluster <> r.cluster),
        permitted AS (
            SELECT across.* FROM across LEFT JOIN forbidden ON forbidden.a = kept AND forbidden.b = joined
            WHERE forbidden.a IS NULL),
        seen AS (
            SELECT kept AS cluster, kept, joined, weight, a, b FROM permitted
            UNION ALL SELECT joined, kept, joined, weight, a, b FROM permitted),
        ranked AS (
            SELECT *, row_number() OVER (PARTITION BY cluster ORDER BY weight DESC, a, b) AS rank FROM seen)
        SELECT kept, joined FROM ranked WHERE rank = 1 GROUP BY kept, joined, a, b HAVING count(*) = 2""",
        edges=edges,
        labels=labels,
        forbidden=forbidden,
    )


def exclusive_values(engine: Engine, inputs: dict[str, Table], current_sources: tuple[str, ...]) -> Table:
    """What a person can have only one of: a person of a source already linked; a current record of certain sources."""
    sources = ", ".join(text_literal(source) for source in current_sources) or "NULL"
    return engine.hold(
        "persons_exclusive",
        f"""SELECT DISTINCT n.unique_id, concat('given_person ', split_part(n.given_person, ':', 1)) AS kind,
               n.given_person AS value
        FROM nodes n WHERE n.given_person IS NOT NULL
        UNION
        SELECT n.unique_id, concat('one_current_record ', r.source), coalesce(n.given_person, r.record_id)
        FROM records r JOIN record_identities i USING (source, record_id) JOIN nodes n USING (identity_id)
        WHERE r.source IN ({sources}) AND r.ended_date IS NULL""",
        **inputs,
    )
