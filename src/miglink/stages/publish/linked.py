"""The linked files for analysts: histories of pseudonymous persons, without what would identify them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from miglink.engine import Engine, Table
from miglink.tables import TABLES

# Record ids lead back to the rows of the sources, and so to names.
_LEFT_OUT = {"spells": ("start_source", "start_record_id")}


@dataclass(frozen=True)
class Linked:
    """One file of linked/: a sentence, and what each column means, in order."""

    sentence: str
    meanings: Mapping[str, str]


def _like(name: str) -> Linked:
    """The file of a table of the contract, without the columns that must not be in it."""
    contract = TABLES[name]
    left_out = _LEFT_OUT.get(name, ())
    return Linked(contract.sentence, {c.name: c.meaning for c in contract.columns if c.name not in left_out})


_PERSON = {"person_id": "keyed pseudonym of the person, 64 hexadecimal digits"}

LINKED: Mapping[str, Linked] = {
    "persons": Linked(
        "One row for each person, without what would identify the person.",
        {
            **_PERSON,
            "sex": "male, female, other; null if not known",
            "birth_year": "year of birth",
            "citizenship": "citizenship in force on the last observed day, alpha-3; null if not known",
            "death_year": "year of death",
            "n_records": "records of the person",
            "is_doubtful": "a link below the configured probability of certainty joins the person's records",
        },
    ),
    "residence": _like("residence"),
    "migrations": _like("migrations"),
    "spells": _like("spells"),
    "crossings": Linked(
        "One row for each recorded crossing of the border, double scans left out.",
        {
            **_PERSON,
            "crossed_date": "local calendar day of the crossing",
            "direction": "arrival or departure",
            "port": "place of crossing",
            "purpose": "stated purpose",
        },
    ),
}


def find_linked(engine: Engine, tables: Mapping[str, Table], data_to_date: date) -> dict[str, Table]:
    """The tables of linked/ by name, columns as in LINKED, sorted by person and time."""
    copies = {name: _copy(engine, name, tables[name]) for name in ("residence", "migrations", "spells")}
    return {
        "persons": _find_persons(engine, tables, data_to_date),
        **copies,
        "crossings": _find_crossings(engine, tables),
    }


def _copy(engine: Engine, name: str, table: Table) -> Table:
    columns, key = ", ".join(LINKED[name].meanings), ", ".join(TABLES[name].key)
    return engine.step(f"publish_{name}", f"SELECT {columns} FROM histories ORDER BY {key}", histories=table)


def _find_persons(engine: Engine, tables: Mapping[str, Table], data_to_date: date) -> Table:
    return engine.step(
        "publish_persons",
        f"""
        WITH citizenships AS (
            SELECT person_id, MAX(value) AS citizenship
            FROM person_traits
            WHERE trait = 'citizenship' AND valid_from < DATE '{data_to_date.isoformat()}'
              AND (valid_to IS NULL OR valid_to >= DATE '{data_to_date.isoformat()}')
            GROUP BY person_id
        )
        SELECT p.person_id, p.sex, CAST(YEAR(p.birth_date) AS INTEGER) AS birth_year, c.citizenship,
               CAST(YEAR(p.death_date) AS INTEGER) AS death_year, p.n_records, p.is_doubtful
        FROM persons p LEFT JOIN citizenships c ON c.person_id = p.person_id
        ORDER BY p.person_id
        """,
        persons=tables["persons"],
        person_traits=tables["person_traits"],
    )


def _find_crossings(engine: Engine, tables: Mapping[str, Table]) -> Table:
    return engine.step(
        "publish_crossings",
        """
        SELECT p.person_id, r.crossed_date, r.direction, r.port, r.purpose
        FROM records r JOIN record_persons p ON p.source = r.source AND p.record_id = r.record_id
        WHERE r.kind = 'crossings' AND NOT r.is_repeat
        ORDER BY p.person_id, r.crossed_date, r.crossed_at, r.direction, r.port, r.purpose
        """,
        records=tables["records"],
        record_persons=tables["record_persons"],
    )
