"""The linked files for analysts: histories of pseudonymous persons, without what would identify them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

from miglink.codes.groups import UNKNOWN_CITIZENSHIP, group_by_year
from miglink.engine import Engine, Table, identifier, text_literal
from miglink.tables import IDENTIFYING, TABLES, Column, Contract

# Record ids lead back to the rows of the sources, and so to names.
_LEFT_OUT = {"spells": ("start_source", "start_record_id"), "listed_people": ("record_id",)}
# Traits that would name a person, should a run ever follow them over time.
_HARMLESS = ("sex", "citizenship", "citizenship_2", "birth_country", "document_country")
_IDENTIFYING = ("surname", "given_names", *(c.name for c in IDENTIFYING if c.name not in _HARMLESS))


def _like(name: str) -> Contract:
    """The file of a table of the contract, without the columns that must not be in it."""
    contract, left_out = TABLES[name], _LEFT_OUT.get(name, ())
    columns = tuple(column for column in contract.columns if column.name not in left_out)
    return Contract(name, "publish", contract.sentence, contract.key, columns)


_PERSON = Column(
    "person_id", "VARCHAR", "keyed pseudonym of the person, 64 hexadecimal digits", nullable=False
)
_CITIZENSHIP = "alpha-3 (XXA, XXB … of ICAO 9303 for persons without one)"

LINKED: Mapping[str, Contract] = {
    "persons": Contract(
        "persons",
        "publish",
        "One row for each person, without what would identify the person.",
        ("person_id",),
        (
            _PERSON,
            Column("sex", "VARCHAR", "male, female, other; null if not known"),
            Column("birth_year", "INTEGER", "year of birth"),
            Column("birth_country", "VARCHAR", "country of birth, alpha-3; null if not known"),
            Column(
                "citizenship",
                "VARCHAR",
                f"citizenship in force on the last observed day, {_CITIZENSHIP}; null if not known",
            ),
            Column("region", "VARCHAR", "region in force on the last observed day, as coded by the source"),
            Column("death_year", "INTEGER", "year of death"),
            Column(
                "is_born_here", "BOOLEAN", "a birth in the observed period is on record here", nullable=False
            ),
            Column(
                "first_record_year", "INTEGER", "year of the first day that a record of the person speaks of"
            ),
            Column("last_record_year", "INTEGER", "year of the last such day within the observed period"),
            Column("n_records", "BIGINT", "records of the person", nullable=False),
            Column(
                "is_doubtful",
                "BOOLEAN",
                "a link below the configured probability of certainty joins the person's records",
                nullable=False,
            ),
        ),
    ),
    "person_traits": Contract(
        "person_traits",
        "publish",
        "Traits that change over time, within the observed period: value in force from a date to the next.",
        ("person_id", "trait", "valid_from"),
        (
            _PERSON,
            Column("trait", "VARCHAR", "citizenship, region, …", nullable=False),
            Column(
                "valid_from",
                "DATE",
                "first day the value holds; 0001-01-01 where it held already when observation began",
                nullable=False,
            ),
            Column("value", "VARCHAR", "the value", nullable=False),
            Column("valid_to", "DATE", "first day the value no longer holds; null while it does"),
            Column("source", "VARCHAR", "a source of the value: the first by name", nullable=False),
        ),
    ),
    "citizenship_groups": Contract(
        "citizenship_groups",
        "publish",
        "The group of each citizenship of person_traits in each year, as the published tables count it.",
        ("year", "citizenship"),
        (
            Column("year", "INTEGER", "year; the group is that of its 1 January", nullable=False),
            Column("citizenship", "VARCHAR", f"{_CITIZENSHIP}; XXX where it is not known", nullable=False),
            Column(
                "citizenship_group",
                "VARCHAR",
                "national, eu, efta, candidate, other, stateless or unknown",
                nullable=False,
            ),
        ),
    ),
    "residence": _like("residence"),
    "migrations": _like("migrations"),
    "spells": _like("spells"),
    "listed_people": replace(
        _like("listed_people"), key=("source", "person_id", "record_number", "rule", "policy")
    ),
    "crossings": Contract(
        "crossings",
        "publish",
        "One row for each recorded crossing of the border, double scans left out.",
        (),
        (
            _PERSON,
            Column("crossed_date", "DATE", "local calendar day of the crossing", nullable=False),
            Column("direction", "VARCHAR", "arrival or departure", nullable=False),
            Column("port", "VARCHAR", "place of crossing"),
            Column("purpose", "VARCHAR", "stated purpose"),
            Column("other_country", "VARCHAR", "country come from or gone to, alpha-3"),
        ),
    ),
}


def linked_contracts(traits: Sequence[str]) -> dict[str, Contract]:
    """The files of linked/; a list has the traits that a run counts by, as its records state them."""
    stated = [
        Column(name, "VARCHAR", "as the record states it") for name in traits if name not in _IDENTIFYING
    ]
    lists = LINKED["listed_people"]
    return {**LINKED, "listed_people": replace(lists, columns=(*lists.columns, *stated))}


def find_linked(
    engine: Engine,
    tables: Mapping[str, Table],
    contracts: Mapping[str, Contract],
    data_to_date: date,
    reporting_country: str,
) -> dict[str, Table]:
    """The tables of linked/ by name, columns as in their contracts, sorted by person and time."""
    # The status at the start is in force from the end of the day before observation.
    first = engine.collect("SELECT MIN(from_date) AS day FROM residence", residence=tables["residence"])[
        "day"
    ].item()
    first_status = min(first or data_to_date, data_to_date)
    traits = _find_traits(engine, tables, first_status)
    years = range(first_status.year, data_to_date.year + 1)
    found = {
        "persons": _find_persons(engine, tables, data_to_date),
        "person_traits": traits,
        "citizenship_groups": _find_groups(engine, traits, years, reporting_country),
        "crossings": _find_crossings(engine, tables),
        **{
            name: _copy(engine, contracts[name], tables[name])
            for name in ("residence", "migrations", "spells", "listed_people")
        },
    }
    return {name: found[name] for name in LINKED}


def _copy(engine: Engine, contract: Contract, table: Table) -> Table:
    columns, key = ", ".join(identifier(c.name) for c in contract.columns), ", ".join(contract.key)
    return engine.step(
        f"publish_{contract.name}", f"SELECT {columns} FROM histories ORDER BY {key}", histories=table
    )


def _find_persons(engine: Engine, tables: Mapping[str, Table], data_to_date: date) -> Table:
    end = f"DATE '{data_to_date.isoformat()}'"
    return engine.step(
        "publish_persons",
        f"""
        WITH in_force AS (
            SELECT person_id, MAX(CASE WHEN trait = 'citizenship' THEN value END) AS citizenship,
                   MAX(CASE WHEN trait = 'region' THEN value END) AS region
            FROM person_traits
            WHERE trait IN ('citizenship', 'region') AND valid_from < {end} AND (valid_to IS NULL OR valid_to >= {end})
            GROUP BY person_id
        ), seen AS (
            SELECT p.person_id, MIN(r.record_date) AS first_date,
                   MAX(CASE WHEN r.record_date < {end} THEN r.record_date END) AS last_date
            FROM records r JOIN record_persons p ON p.source = r.source AND p.record_id = r.record_id
            GROUP BY p.person_id
        )
        SELECT p.person_id, p.sex, CAST(YEAR(p.birth_date) AS INTEGER) AS birth_year, p.birth_country,
               i.citizenship, i.region, CAST(YEAR(p.death_date) AS INTEGER) AS death_year, p.is_born_here,
               CAST(YEAR(s.first_date) AS INTEGER) AS first_record_year,
               CAST(YEAR(s.last_date) AS INTEGER) AS last_record_year, p.n_records, p.is_doubtful
        FROM persons p
        LEFT JOIN in_force i ON i.person_id = p.person_id
        LEFT JOIN seen s ON s.person_id = p.person_id
        ORDER BY p.person_id
        """,
        **{name: tables[name] for name in ("persons", "person_traits", "records", "record_persons")},
    )


def _find_traits(engine: Engine, tables: Mapping[str, Table], first_status: date) -> Table:
    """Registers enter a birth on its day: what held before the first status loses its date, or is left out."""
    start, names = f"DATE '{first_status.isoformat()}'", ", ".join(map(text_literal, _IDENTIFYING))
    return engine.step(
        "publish_person_traits",
        f"""
        SELECT person_id, trait,
               CASE WHEN valid_from <= {start} THEN DATE '0001-01-01' ELSE valid_from END AS valid_from,
               value, valid_to, source
        FROM person_traits
        WHERE trait NOT IN ({names}) AND (valid_to IS NULL OR valid_to > {start})
        ORDER BY {", ".join(LINKED["person_traits"].key)}
        """,
        person_traits=tables["person_traits"],
    )


def _find_groups(engine: Engine, traits: Table, years: range, reporting_country: str) -> Table:
    held = engine.collect("SELECT DISTINCT value FROM traits WHERE trait = 'citizenship'", traits=traits)[
        "value"
    ]
    groups = group_by_year({*held, UNKNOWN_CITIZENSHIP}, years, reporting_country)
    return engine.step("publish_citizenship_groups", "SELECT * FROM grouped", grouped=groups)


def _find_crossings(engine: Engine, tables: Mapping[str, Table]) -> Table:
    return engine.step(
        "publish_crossings",
        """
        SELECT p.person_id, r.crossed_date, r.direction, r.port, r.purpose, r.country_from_to AS other_country
        FROM records r JOIN record_persons p ON p.source = r.source AND p.record_id = r.record_id
        WHERE r.kind = 'crossings' AND NOT r.is_repeat
        ORDER BY p.person_id, r.crossed_date, r.crossed_at, r.direction, r.port, r.purpose, r.country_from_to
        """,
        records=tables["records"],
        record_persons=tables["record_persons"],
    )
