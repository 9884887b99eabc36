"""What hangs together along edges, for every stage that asks."""

from miglink.engine import Engine, Table


def connected_components(engine: Engine, nodes: Table, select: str, edges: Table, name: str) -> Table:
    """Give unique_id, cluster: the smallest unique_id that can be reached along the edges (a, b) of `select`."""
    chosen = engine.hold(
        f"{name}_edges",
        f"""WITH chosen AS ({select}) SELECT least(a, b) AS a, greatest(a, b) AS b FROM chosen WHERE a <> b""",
        edges=edges,
    )
    # Most groups are all linked to one another, and done when each has gone to its smallest neighbour.
    nearest = engine.hold(
        f"{name}_nearest", "SELECT b AS unique_id, min(a) AS cluster FROM edges GROUP BY b", edges=chosen
    )
    rest = engine.hold(
        f"{name}_rest",
        """WITH moved AS (
            SELECT coalesce(x.cluster, a) AS a, coalesce(y.cluster, b) AS b FROM edges
            LEFT JOIN nearest x ON x.unique_id = a LEFT JOIN nearest y ON y.unique_id = b)
        SELECT DISTINCT least(a, b) AS a, greatest(a, b) AS b FROM moved WHERE a <> b""",
        edges=chosen,
        nearest=nearest,
    )
    return engine.hold(
        name,
        """SELECT n.unique_id, coalesce(f.cluster, x.cluster, n.unique_id) AS cluster
        FROM nodes n LEFT JOIN nearest x ON x.unique_id = n.unique_id
        LEFT JOIN farther f ON f.unique_id = coalesce(x.cluster, n.unique_id)""",
        nodes=nodes,
        nearest=nearest,
        farther=_farther(engine, rest, name),
    )


def _farther(engine: Engine, edges: Table, name: str) -> Table:
    """The components of the nodes that these edges have: unique_id, cluster."""
    arcs = engine.hold(f"{name}_arcs", "SELECT a, b FROM edges UNION ALL SELECT b, a FROM edges", edges=edges)
    labels = engine.hold(
        f"{name}_0", "SELECT a AS unique_id, least(a, min(b)) AS cluster FROM arcs GROUP BY a", arcs=arcs
    )
    n_changed, number = engine.count(arcs), 0
    while n_changed:
        number += 1
        # Take the smallest label among the neighbours, then follow labels one step: paths halve in every round.
        labels = engine.hold(
            f"{name}_{number}",
            """WITH smallest AS (
                SELECT arcs.a AS unique_id, min(labels.cluster) AS cluster
                FROM arcs JOIN labels ON labels.unique_id = arcs.b GROUP BY arcs.a),
            lowered AS (
                SELECT labels.unique_id, least(labels.cluster, smallest.cluster) AS cluster, labels.cluster AS before
                FROM labels JOIN smallest ON smallest.unique_id = labels.unique_id)
            SELECT lowered.unique_id, least(lowered.cluster, jumped.cluster) AS cluster, lowered.before
            FROM lowered JOIN lowered AS jumped ON jumped.unique_id = lowered.cluster""",
            arcs=arcs,
            labels=labels,
        )
        n_changed = engine.collect(
            "SELECT count(*) FROM labels WHERE cluster <> before", labels=labels
        ).item()
    return labels
