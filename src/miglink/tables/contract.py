"""What a contract says of a table and of a column, and the columns that several tables share."""

from collections.abc import Sequence
from dataclasses import dataclass

from miglink.errors import TableError


@dataclass(frozen=True)
class Column:
    """One column: its type, what it means, and whether it may be null."""

    name: str
    type: str
    meaning: str
    nullable: bool = True


@dataclass(frozen=True)
class Contract:
    """One table: the stage that gives it, its key and its columns in order.

    is_aggregate: its rows are cells or sources, and do not grow with persons, records or pairs.
    """

    name: str
    stage: str
    sentence: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    open_columns: bool = False
    is_aggregate: bool = False

    @property
    def required_columns(self) -> list[str]:
        """The columns that are never null."""
        return [column.name for column in self.columns if not column.nullable]

    def check_columns(self, found: Sequence[tuple[str, str]]) -> None:
        """TableError unless the names and types of a written table are these, in this order."""
        expected = [(column.name, column.type) for column in self.columns]
        if (list(found[: len(expected)]) if self.open_columns else list(found)) == expected:
            return
        wrong = [f"{a} instead of {b}" for a, b in zip(found, expected, strict=False) if a != b]
        raise TableError(
            f"table {self.name}: columns differ from the contract: {wrong[:5]}; {len(found)} columns, "
            f"expected {len(expected)}"
        )

    def check_counts(self, n_rows: int, n_null: Sequence[int], n_keys: int) -> None:
        """TableError if a required column holds nulls (`n_null`, in their order), or a key repeats."""
        missing = [name for name, count in zip(self.required_columns, n_null, strict=True) if count]
        if missing:
            raise TableError(f"table {self.name}: null in required columns {missing}")
        if n_keys != n_rows:
            raise TableError(f"table {self.name}: key {self.key} repeats, {n_rows} rows but {n_keys} keys")


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
PART = required(
    "part",
    "INTEGER",
    "numbers, from 0 on, the persons of a draw that have the facts and traits of one person of the best linkage",
)
PERSON = required("person_id", TEXT, "keyed pseudonym of the person, 64 hexadecimal digits")
RULE = required("rule", TEXT, "name of the usual-residence rule")
POLICY = required("policy", TEXT, "policy for missing crossings: unresolved, midpoint, reject_person, …")
RECORD = (
    required("source", TEXT, "name of the source"),
    required("record_id", TEXT, "key of the record within it"),
)
_BROKEN_DOWN = (
    required("sex", TEXT, "male, female, other, unknown; total where not broken down, as in every dimension"),
    required("age", TEXT, "completed years on the event date, or on the day before the reference date"),
    required("age_reached", TEXT, "age reached in the year of that day"),
    required("age_group", TEXT, "completed years on that day in groups of five: 0-4, …, 95-99, 100+"),
    required("citizenship", TEXT, "alpha-3 code of the citizenship, or XXA, XXB … of ICAO 9303"),
    required("citizenship_group", TEXT, "national, eu, efta, candidate, other, stateless, unknown or total"),
    required("birth_country", TEXT, "country of birth, alpha-3"),
    required("birth_group", TEXT, "native, foreign (born), unknown or total"),
    required(
        "origin_group",
        TEXT,
        "foreign_born_foreigner, native_born_foreigner, foreign_born_citizen, native_born_citizen, "
        "unknown or total",
    ),
    required("region", TEXT, "region of residence, as coded by the source"),
    required(
        "other_country", TEXT, "flows: country come from (immigration) or gone to (emigration), alpha-3"
    ),
    required("purpose", TEXT, "flows: stated purpose of the crossing"),
    required("trait", TEXT, "name of the further column that the row is broken down by, or total"),
    required("trait_value", TEXT, "value of that column, unknown or total"),
)
DIMENSIONS = tuple(column.name for column in _BROKEN_DOWN)
CELL = (
    RULE,
    POLICY,
    required(
        "period", TEXT, "month (2019-03), quarter (2019-Q1), year (2019) or reference date (2019-01-01)"
    ),
    *_BROKEN_DOWN,
)
VINTAGE = (
    required("data_to_date", DATE, "the observation that the figure rests on ends before this day"),
    required(
        "status",
        TEXT,
        "final: the whole window of the rule has been observed, and no crossing of who is known by then can change it; "
        "else provisional. What is undetermined in it may settle later, and what rests on a crossing presumed missing "
        "after the last one recorded may move (docs/revisions.md). A month without any crossing, where months have "
        "many, counts as not observed (docs/assumptions.md)",
    ),
)
