"""Links as a graph: the shortest way between two identities, and the strongest tree that holds a person together."""

import numpy as np
import polars as pl


def shortest_path(links: pl.DataFrame, start: str, goal: str) -> list[str]:
    """The fewest links (identity_id_l, identity_id_r, match_weight) from one identity to another, as identities passed.

    Among ways of one length each step back is taken along the heaviest link. Empty if there is no way.
    """
    arcs = pl.concat(
        [
            links.select(a="identity_id_l", b="identity_id_r", weight="match_weight"),
            links.select(a="identity_id_r", b="identity_id_l", weight="match_weight"),
        ]
    ).sort("weight", "a", "b", descending=[True, False, False])
    reached = pl.DataFrame({"node": [start], "before": [start]})
    frontier = reached
    while not frontier.is_empty() and goal not in reached["node"]:
        frontier = (
            arcs.join(frontier, left_on="a", right_on="node", maintain_order="left")
            .join(reached, left_on="b", right_on="node", how="anti", maintain_order="left")
            .unique("b", keep="first", maintain_order=True)
            .select(node="b", before="a")
        )
        reached = pl.concat([reached, frontier])
    if goal not in reached["node"]:
        return []
    before = dict(reached.iter_rows())
    path = [goal]
    while path[-1] != start:
        path.append(before[path[-1]])
    return path[::-1]


def strongest_tree(identities: list[str], links: pl.DataFrame) -> pl.DataFrame:
    """Give, for every identity but the first, the link by which it joins those before it: joined, to, match_weight.

    The tree keeps the heaviest links that hold all together: its lightest link is the weakest that the person needs.
    Identities join in the order in which the tree grows. Those without any way to the first are left out.
    Source: Prim 1957.
    """
    n = len(identities)
    place = pl.DataFrame({"identity_id": identities, "place": range(n)}, schema_overrides={"place": pl.Int64})
    placed = links.join(place, left_on="identity_id_l", right_on="identity_id").join(
        place, left_on="identity_id_r", right_on="identity_id", suffix="_r"
    )
    weights = np.full((n, n), -np.inf)
    left, right = placed["place"].to_numpy(), placed["place_r"].to_numpy()
    weights[left, right] = weights[right, left] = placed["match_weight"].to_numpy()
    is_in, best, via = np.zeros(n, dtype=bool), weights[0].copy(), np.zeros(n, dtype=np.int64)
    is_in[0] = True
    joined: list[tuple[str, str, float]] = []
    for _ in range(n - 1):
        nearest = int(np.argmax(np.where(is_in, -np.inf, best)))
        if is_in[nearest] or np.isneginf(best[nearest]):
            break
        joined.append((identities[nearest], identities[via[nearest]], float(best[nearest])))
        is_in[nearest] = True
        is_better = weights[nearest] > best
        best, via = np.where(is_better, weights[nearest], best), np.where(is_better, nearest, via)
    schema = {"joined": pl.String, "to": pl.String, "match_weight": pl.Float64}
    return pl.DataFrame(joined, schema=schema, orient="row")
