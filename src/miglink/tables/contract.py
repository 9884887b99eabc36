"""What a contract says of a table and of a column, and the columns that several tables share."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column: its type, what it means, and whether it may be null."""

    name: str
    type: str
    meaning: str
    nullable: bool = True


@dataclass(frozen=True)
class Contract:
    """One table: the stage that gives it, its key and its columns in order."""

    name: str
    stage: str
    sentence: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    open_columns: bool = False


def required(name: str, type_: str, meaning: str) -> Column:
    """A column that is never null."""
    return Column(name, type_, meaning, nullable=False)


TEXT, DATE, COUNT, NUMBER, FLAG = "VARCHAR", "DATE", "BIGINT", "DOUBLE", "BOOLEAN"

# The standardised fields by which a person can be recognised. identity_id is a hash of all of them.
IDENTIFYING = (
    Column("surname_icao", TEXT, "surname in the Latin spelling of ICAO 9303, A-Z and single spaces"),
    Column("given_names_icao", TEXT, "given names in the spelling of ICAO 9303"),
    Column("surname_ascii", TEXT, "surname in plain ASCII (accents dropped), A-Z and single spaces"),
    Column("given_names_ascii", TEXT, "given names in plain ASCII"),
    Column("birth_date", DATE, "date of birth; unknown parts are 01"),
    Column("birth_date_precision", TEXT, "day, month or year: how much of birth_date is known"),
    Column("sex", TEXT, "male, female, other; null if not stated"),
    Column("citizenship", TEXT, "ISO 3166 alpha-3 (or XXA, XXB … of ICAO 9303) of the first citizenship"),
    Column("citizenship_2", TEXT, "second citizenship, where a source holds one"),
    Column("birth_country", TEXT, "country of birth, ISO 3166 alpha-3"),
    Column("document_number", TEXT, "travel document: A-Z and 0-9 only"),
    Column("document_country", TEXT, "state that issued the document, coded like citizenship"),
    Column("person_number", TEXT, "national person number: A-Z and 0-9 only"),
    Column("given_person", TEXT, "source and person_id of a source that is already linked"),
)

DRAW = required("draw", "INTEGER", "0 = best linkage; 1..D = alternative linkages of doubtful persons")
PERSON = required("person_id", TEXT, "keyed pseudonym of the person, 64 hexadecimal digits")
RULE = required("rule", TEXT, "name of the usual-residence rule")
POLICY = required("policy", TEXT, "policy for missing crossings: unresolved, midpoint, reject_person, …")
RECORD = (
    required("source", TEXT, "name of the source"),
    required("record_id", TEXT, "key of the record within it"),
)
CELL = (
    RULE,
    POLICY,
    required("period", TEXT, "month (2019-03), year (2019) or reference date (2019-01-01)"),
    required("sex", TEXT, "male, female, other, unknown or total"),
    required("citizenship_group", TEXT, "national, eu, efta, candidate, other, stateless, unknown or total"),
)
VINTAGE = (
    required("data_to_date", DATE, "the observation that the figure rests on ends before this day"),
    required(
        "status",
        TEXT,
        "final: the whole window of the rule has been observed, no later crossing can change it; else provisional",
    ),
)
