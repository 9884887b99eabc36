"""Person ids: keyed pseudonyms that persist from run to run."""

from datetime import date
from pathlib import Path

import polars as pl

from miglink.engine import Engine, Table
from miglink.errors import ConfigError


def give_ids(
    engine: Engine, clusters: Table, record_identities: Table, key: str, previous: Path | None, data_to: date
) -> Table:
    """Give unique_id's cluster its person_id: cluster, person_id, id_since_date.

    A new person_id is a keyed SHA-256 of the smallest identity_id of the cluster. With an earlier run, a person keeps
    the id of the earlier person with whom it shares most records; ties go to the older id, then to the smaller. No new
    id is one of the earlier run.
    Units: 64 hexadecimal digits. The key is joined from a table of one row, never written into SQL.
    """
    secret = pl.DataFrame({"key": [key]})
    since = f"DATE '{data_to.isoformat()}'"
    if previous is None:
        return engine.step(
            "persons_ids",
            f"SELECT cluster, person_id, {since} AS id_since_date FROM fresh",
            fresh=_fresh(engine, clusters, secret),
        )
    inherited = _inherited(engine, _shared_records(engine, clusters, record_identities, previous), previous)
    others = engine.step(
        "persons_without_id",
        "SELECT c.* FROM clusters c LEFT JOIN inherited i ON i.cluster = c.cluster WHERE i.cluster IS NULL",
        clusters=clusters,
        inherited=inherited,
    )
    return engine.step(
        "persons_ids",
        f"""SELECT cluster, person_id, id_since_date FROM inherited
        UNION ALL SELECT cluster, person_id, {since} FROM fresh""",
        inherited=inherited,
        fresh=_unused(engine, _fresh(engine, others, secret), secret, previous),
    )


def _fresh(engine: Engine, clusters: Table, secret: pl.DataFrame) -> Table:
    return engine.step(
        "persons_fresh_ids",
        """WITH smallest AS (SELECT cluster, min(identity_id) AS identity_id FROM clusters GROUP BY cluster)
        SELECT cluster, sha256(concat(k.key, sha256(concat(k.key, identity_id)))) AS person_id
        FROM smallest CROSS JOIN secret k""",
        clusters=clusters,
        secret=secret,
    )


def _unused(engine: Engine, fresh: Table, secret: pl.DataFrame, previous: Path) -> Table:
    """Fresh ids, none of them an earlier person's.

    A person keeps its id when its smallest identity leaves it, and that identity alone would be given the same id: it
    is hashed again until nobody had it.
    """
    number = 0
    while True:
        taken = engine.step(
            f"persons_taken_ids_{number}",
            "SELECT f.cluster FROM fresh f JOIN before_persons p ON p.person_id = f.person_id",
            fresh=fresh,
            before_persons=_before(previous, "persons"),
        )
        if not engine.count(taken):
            return fresh
        number += 1
        fresh = engine.step(
            f"persons_fresh_ids_{number}",
            """SELECT f.cluster,
                   CASE WHEN t.cluster IS NULL THEN f.person_id ELSE sha256(concat(k.key, f.person_id)) END AS person_id
            FROM fresh f LEFT JOIN taken t ON t.cluster = f.cluster CROSS JOIN secret k""",
            fresh=fresh,
            taken=taken,
            secret=secret,
        )


def find_id_changes(
    engine: Engine, clustered: Table, record_identities: Table, previous: Path | None
) -> Table:
    """Give what became of the ids of an earlier run: person_id (now), kind, detail_l (the earlier id), detail_r.

    id_merged: the earlier id is gone, and of its records most belong to this person. id_split: this person has some of
    the records of the earlier id, and another person has more.
    """
    if previous is None:
        return engine.step(
            "persons_id_changes",
            "SELECT person_id, '' AS kind, '' AS detail_l, '' AS detail_r FROM clustered WHERE false",
            clustered=clustered,
        )
    return engine.step(
        "persons_id_changes",
        """WITH now AS (SELECT DISTINCT cluster, person_id FROM clustered),
        moved AS (
            SELECT s.person_id AS earlier_id, n.person_id, s.n, s.smallest FROM shared s JOIN now n USING (cluster)
            WHERE s.person_id <> n.person_id),
        ranked AS (
            SELECT *, row_number() OVER (PARTITION BY earlier_id ORDER BY n DESC, smallest) AS rank FROM moved)
        SELECT r.person_id, CASE WHEN n.person_id IS NULL AND r.rank = 1 THEN 'id_merged' ELSE 'id_split' END AS kind,
               r.earlier_id AS detail_l, r.person_id AS detail_r
        FROM ranked r LEFT JOIN now n ON n.person_id = r.earlier_id""",
        clustered=clustered,
        shared=_shared_records(engine, clustered, record_identities, previous),
    )


def _shared_records(engine: Engine, clusters: Table, record_identities: Table, previous: Path) -> Table:
    """How many records each cluster shares with each person of the earlier run."""
    return engine.step(
        "persons_shared",
        """SELECT c.cluster, b.person_id, count(*) AS n, min(c.identity_id) AS smallest
        FROM before_records b JOIN record_identities r USING (source, record_id)
        JOIN clusters c ON c.identity_id = r.identity_id GROUP BY c.cluster, b.person_id""",
        before_records=_before(previous, "record_persons"),
        record_identities=record_identities,
        clusters=clusters,
    )


def _inherited(engine: Engine, shared: Table, previous: Path) -> Table:
    """The earlier ids that clusters keep: cluster, person_id, id_since_date; each id and each cluster at most once."""
    return engine.step(
        "persons_inherited",
        """WITH claimed AS (
            SELECT s.*, p.id_since_date, row_number() OVER (PARTITION BY s.person_id ORDER BY n DESC, smallest) AS claim
            FROM shared s JOIN before_persons p ON p.person_id = s.person_id),
        chosen AS (
            SELECT *, row_number() OVER (PARTITION BY cluster ORDER BY n DESC, id_since_date, person_id) AS choice
            FROM claimed WHERE claim = 1)
        SELECT cluster, person_id, id_since_date FROM chosen WHERE choice = 1""",
        shared=shared,
        before_persons=_before(previous, "persons"),
    )


def _before(previous: Path, name: str) -> Table:
    """A table of the earlier run."""
    path = previous / "tables" / f"{name}.parquet"
    if not path.exists():
        raise ConfigError(f"persons.previous: {previous} holds no finished run (no table {name})")
    return Table(name, path)
