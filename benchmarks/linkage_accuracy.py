"""How far links and clusters are from the truth: precision, and recall by group, from counts over pairs of rows."""

from pathlib import Path
from typing import Any

from miglink.engine import Engine, Table

ALL, JANUARY = "all", "born on 1 January"

# A row for each part of the population that a row belongs to.
_IN_PARTS = f"""
    SELECT *, '{ALL}' AS part FROM owned
    UNION ALL SELECT *, citizenship_group FROM owned
    UNION ALL SELECT *, '{JANUARY}' FROM owned WHERE is_january_first"""


def measure(engine: Engine, owners: Path, key: str, clusters: Path, links: Path | None) -> dict[str, Any]:
    """Precision of clusters and of links, and their recall in all, by citizenship group and among births on 1 January.

    Reads: owners (id, number, true_person, citizenship_group, is_january_first), clusters (id, cluster), links (l, r)
    where these join what owners tells of. key: the column of owners by which clusters and links speak of rows.
    Units: a pair is two rows, true if of one true person. Its group is that of the person; among births on 1 January
    are the pairs of which both sides say that day.
    """
    owned = engine.step(
        "measured_owners",
        f"""SELECT o.{key} AS id, o.true_person, o.citizenship_group, o.is_january_first, c.cluster
        FROM owners o LEFT JOIN clusters c ON c.id = o.{key}""",
        owners=Table("owners", owners),
        clusters=Table("clusters", clusters),
    )
    true, joined = (_pairs_by_part(engine, owned, *columns) for columns in ((), ("cluster",)))
    (n_together,) = engine.collect(
        "SELECT sum(n * (n - 1) / 2) FROM (SELECT CAST(count(*) AS DOUBLE) AS n FROM owned GROUP BY cluster)",
        owned=owned,
    ).row(0)
    found = {"true_pairs": true, "clusters": _rates(true, joined, n_together or 0)}
    if links is not None:
        found["links"] = _rates(true, *_linked_by_part(engine, owned, Table("links", links)))
    return found


def _pairs_by_part(engine: Engine, owned: Table, *together: str) -> dict[str, int]:
    """The pairs of one true person in each part, those that also have these columns in common."""
    keys = ", ".join(("part", "true_person", *together))
    found = engine.collect(
        f"""SELECT part, CAST(sum(n * (n - 1) / 2) AS BIGINT) AS n_pairs FROM (
            SELECT {keys}, CAST(count(*) AS DOUBLE) AS n FROM ({_IN_PARTS}) AS parts GROUP BY {keys}) AS counted
        GROUP BY part ORDER BY part""",
        owned=owned,
    )
    return dict(found.rows())


def _linked_by_part(engine: Engine, owned: Table, links: Table) -> tuple[dict[str, int], int]:
    """The links that join one true person, in each part; and all links."""
    found = engine.collect(
        f"""WITH right_links AS (
            SELECT l.citizenship_group, l.is_january_first AND r.is_january_first AS is_january_first
            FROM links k JOIN rows_of l ON l.id = k.l JOIN rows_of r ON r.id = k.r
            WHERE l.true_person = r.true_person)
        SELECT part, count(*) AS n_pairs FROM ({_IN_PARTS.replace("owned", "right_links")}) AS parts GROUP BY part""",
        rows_of=owned,
        links=links,
    )
    return dict(found.rows()), engine.count(links)


def _rates(true: dict[str, int], right: dict[str, int], n_found: int) -> dict[str, Any]:
    """Recall is null where there is nothing to find."""
    recall = {part: round(right.get(part, 0) / n, 7) if n else None for part, n in true.items()}
    precision = right.get(ALL, 0) / n_found if n_found else 1.0
    return {"precision": round(precision, 7), "recall": recall}
