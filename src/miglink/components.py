"""What hangs together along edges, for every stage that asks."""

from miglink.engine import Engine, Table


def connected_components(engine: Engine, nodes: Table, select: str, edges: Table, name: str) -> Table:
    """Give unique_id, cluster: the smallest unique_id that can be reached along the edges (a, b) of `select`."""
    arcs = engine.step(
        f"{name}_arcs",
        f"WITH chosen AS ({select}) SELECT a, b FROM chosen UNION ALL SELECT b, a FROM chosen",
        edges=edges,
    )
    labels = engine.step(f"{name}_0", "SELECT unique_id, unique_id AS cluster FROM nodes", nodes=nodes)
    number = 0
    while True:
        number += 1
        # Take the smallest label among the neighbours, then follow labels one step: paths halve in every round.
        following = engine.step(
            f"{name}_{number}",
            """WITH smallest AS (
                SELECT arcs.a AS unique_id, min(labels.cluster) AS cluster
                FROM arcs JOIN labels ON labels.unique_id = arcs.b GROUP BY arcs.a),
            lowered AS (
                SELECT labels.unique_id, least(labels.cluster, coalesce(smallest.cluster, labels.cluster)) AS cluster,
                       labels.cluster AS before
                FROM labels LEFT JOIN smallest ON smallest.unique_id = labels.unique_id)
            SELECT lowered.unique_id, least(lowered.cluster, jumped.cluster) AS cluster, lowered.before
            FROM lowered JOIN lowered AS jumped ON jumped.unique_id = lowered.cluster""",
            arcs=arcs,
            labels=labels,
        )
        changed = engine.collect(
            "SELECT count(*) FROM labels WHERE cluster <> before", labels=following
        ).item()
        labels = following
        if not changed:
            return labels
