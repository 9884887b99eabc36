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
    the id of the earlier person with whom it shares most records; ties go to the older id, then to the smaller.
    Units: 64 hexadecimal digits. The key is joined from a table of one row, never written into SQL.
    """
    fresh = engine.step(
        "persons_fresh_ids",
        """WITH smallest AS (SELECT cluster, min(identity_id) AS identity_id FROM clusters GROUP BY cluster)
        SELECT cluster, sha256(concat(k.key, sha256(concat(k.key, identity_id)))) AS person_id
        FROM smallest CROSS JOIN secret k""",
        clusters=clusters,
        secret=pl.DataFrame({"key": [key]}),
    )
    since = f"DATE '{data_to.isoformat()}'"
    if previous is None:
        return engine.step(
            "persons_ids", f"SELECT cluster, person_id, {since} AS id_since_date FROM fresh", fresh=fresh
        )
    inherited = _inherited(engine, clusters, record_identities, previous)
    return engine.step(
        "persons_ids",
        f"""SELECT f.cluster, coalesce(i.person_id, f.person_id) AS person_id,
               coalesce(i.id_since_date, {since}) AS id_since_date
        FROM fresh f LEFT JOIN inherited i ON i.cluster = f.cluster""",
        fresh=fresh,
        inherited=inherited,
    )


def _inherited(engine: Engine, clusters: Table, record_identities: Table, previous: Path) -> Table:
    """The earlier ids that clusters keep: cluster, person_id, id_since_date; each id and each cluster at most once."""
    before = {
        name: Table(name, previous / "tables" / f"{name}.parquet") for name in ("record_persons", "persons")
    }
    for table in before.values():
        if not table.path.exists():
            raise ConfigError(f"persons.previous: {previous} holds no finished run (no table {table.name})")
    return engine.step(
        "persons_inherited",
        """WITH shared AS (
            SELECT c.cluster, b.person_id, count(*) AS n, min(c.identity_id) AS smallest
            FROM before_records b JOIN record_identities r USING (source, record_id)
            JOIN clusters c ON c.identity_id = r.identity_id GROUP BY c.cluster, b.person_id),
        claimed AS (
            SELECT s.*, p.id_since_date, row_number() OVER (PARTITION BY s.person_id ORDER BY n DESC, smallest) AS claim
            FROM shared s JOIN before_persons p ON p.person_id = s.person_id),
        chosen AS (
            SELECT *, row_number() OVER (PARTITION BY cluster ORDER BY n DESC, id_since_date, person_id) AS choice
            FROM claimed WHERE claim = 1)
        SELECT cluster, person_id, id_since_date FROM chosen WHERE choice = 1""",
        before_records=before["record_persons"],
        before_persons=before["persons"],
        record_identities=record_identities,
        clusters=clusters,
    )
