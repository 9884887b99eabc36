"""Identities: the distinct combinations of identifying fields among the records."""

from miglink.engine import Engine, Table, identifier
from miglink.tables import IDENTIFYING


def find_identities(
    engine: Engine, records: Table, further_columns: tuple[str, ...] = ()
) -> tuple[Table, Table]:
    """Collapse records with the same identifying fields into one identity.

    Reads: records.
    Gives: identities (key identity_id), record_identities (key source, record_id): every record has one identity.
    Units: identity_id is the SHA-256 of the standardised fields, 64 hexadecimal digits: the same on every engine.
    Errors: TableError if the contract is broken.
    Source: design of miglink (docs/tables.md): repeated records carry no further evidence of who somebody is.
    """
    fields = [column.name for column in IDENTIFYING] + list(further_columns)
    # A separator that no field can hold: fields of different length cannot be confused.
    content = ", ".join(f"coalesce(CAST({identifier(field)} AS VARCHAR), '')" for field in fields)
    hashed = engine.step(
        "identities_hashed",
        f"""SELECT source, record_id, record_date, {", ".join(map(identifier, fields))},
               sha256(concat_ws(chr(31), {content})) AS identity_id FROM records""",
        records=records,
    )
    columns = ", ".join(
        f"min({identifier(field)}) AS {identifier(field)}" for field in (c.name for c in IDENTIFYING)
    )
    further = "".join(f", min({identifier(field)}) AS {identifier(field)}" for field in further_columns)
    identities = engine.query(
        "identities",
        f"""SELECT identity_id, {columns}, count(*) AS n_records, min(record_date) AS first_date,
                   max(record_date) AS last_date{further}
        FROM hashed GROUP BY identity_id""",
        hashed=hashed,
    )
    record_identities = engine.query(
        "record_identities", "SELECT source, record_id, identity_id FROM hashed", hashed=hashed
    )
    return identities, record_identities
