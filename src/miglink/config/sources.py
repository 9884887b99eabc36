"""How the files of an agency are read: what they are, which columns mean what, and what is expected of them."""

import re
from datetime import date
from typing import Literal

from pydantic import Field, model_validator

from miglink.config.models import Section

Kind = Literal["crossings", "visas", "permits", "register", "activity", "people", "vital", "judgements"]

# Columns that every kind of source may map: the fields of a person.
PERSON_COLUMNS = (
    "record_id",
    "person_id",
    "given_names",
    "surname",
    "full_name",
    "birth_date",
    "sex",
    "citizenship",
    "citizenship_2",
    "birth_country",
    "document_number",
    "document_country",
    "person_number",
    "region",
)
KIND_COLUMNS: dict[str, tuple[str, ...]] = {
    "crossings": ("crossed_at", "crossed_date", "direction", "port", "purpose", "country_from_to"),
    "visas": ("issued_date", "valid_from", "valid_to", "purpose"),
    "permits": ("valid_from", "valid_to", "purpose"),
    "register": ("registered_from", "registered_to", "reason", "end_reason"),
    "activity": ("active_from", "active_to", "domain"),
    "people": ("reference_date", "weight"),
    "vital": ("event", "event_date", "mother_person_number"),
    "judgements": (
        "source_l",
        "record_id_l",
        "source_r",
        "record_id_r",
        "verdict",
        "reviewer",
        "decided_at",
        "stratum",
        "sampling_weight",
    ),
}
# Columns of several kinds that become one column of the table records.
SHARED_COLUMNS = {
    "crossed_at": ("crossed_at", "crossed_date"),
    "valid_from": ("valid_from", "registered_from", "active_from"),
    "valid_to": ("valid_to", "active_to"),
    "ended_date": ("registered_to",),
}
# Columns that hold numbers, names or dates: a `map` would have nothing to say of them.
NOT_CODED = frozenset(
    [
        "record_id",
        "person_id",
        "given_names",
        "surname",
        "full_name",
        "document_number",
        "person_number",
        "mother_person_number",
        "birth_date",
        "crossed_at",
        "crossed_date",
        "issued_date",
        "valid_from",
        "valid_to",
        "registered_from",
        "registered_to",
        "active_from",
        "active_to",
        "event_date",
        "reference_date",
        "sampling_weight",
        "weight",
    ]
)
REQUIRED_COLUMNS: dict[str, tuple[str, ...]] = {
    "crossings": ("crossed_at", "direction"),
    "visas": ("valid_from", "valid_to"),
    "permits": ("valid_from", "valid_to"),
    "register": ("registered_from",),
    "activity": ("active_from",),
    "people": (),
    "vital": ("event", "event_date"),
    "judgements": ("source_l", "record_id_l", "source_r", "record_id_r", "verdict"),
}


def _wrong_format(form: str) -> str:
    """What is wrong with the format of a date, in words; empty: nothing."""
    parts = re.findall("%(.?)", form)
    unknown = sorted(part for part in parts if part not in tuple("YymdbHMS"))
    if unknown:
        return f"has %{unknown[0]}, and only %Y %y %m %d %b %H %M %S are known"
    repeated = sorted(part for part in set(parts) if parts.count(part) > 1)
    if repeated:
        return f"has %{repeated[0]} twice"
    return "" if {"Y", "y"} & set(parts) else "has no year (%Y or %y)"


class Mapping(Section):
    """Where one of our columns comes from in the source, and how its values are read."""

    from_: str | tuple[str, ...] | None = Field(default=None, alias="from")
    """Column of the source, or several to be joined."""
    join: str = " "
    """What stands between the values of several columns."""
    constant: str | None = None
    """One value for every row, instead of `from`."""
    missing: tuple[str, ...] = ()
    """Values that mean 'not known', beside blank."""
    extract: str | None = None
    """Regular expression with one group: the part of the value that counts."""
    keep: Literal["all", "digits"] = "all"
    """digits: drop everything but the digits."""
    map: dict[str, str] | None = None
    """Codes of the source -> our words; compared without regard to case and surrounding blanks."""
    unmapped: Literal["error", "reject", "missing", "keep"] = "error"
    """What to do with a value that `map` or our list of countries does not name: stop the run, reject the row,
    take it as not known, or keep it as it is."""
    formats: tuple[str, ...] | None = None
    """Formats of a date or time, tried in order: %Y %y %m %d %b %H %M %S and the characters between them.
    %b needs `months`. %y is the latest year that makes the date not later than the record's own date."""
    unknown_parts: tuple[str, ...] = ("00", "<<", "??", "???", "--")
    """What stands for an unknown month or day within a date."""
    months: tuple[str, ...] | None = Field(default=None, min_length=12, max_length=12)
    """The twelve names of the months, for %b."""
    midnight_is_unknown: bool = False
    """00:00 means that the hour was not noted."""
    separators: tuple[str, ...] = ()
    """full_name: what separates surname and given names, tried in order, such as `<<` or `,`."""
    order: Literal["surname_first", "given_names_first"] = "surname_first"
    """full_name: which comes first. Where no separator is found, the names are split by how often each word is a
    surname or a given name in the names that could be split."""

    @model_validator(mode="after")
    def _one_origin(self) -> "Mapping":
        if (self.from_ is None) == (self.constant is None):
            raise ValueError("give either `from` or `constant`")
        return self

    @model_validator(mode="after")
    def _readable_formats(self) -> "Mapping":
        for form in self.formats or ():
            wrong = _wrong_format(form)
            if wrong:
                raise ValueError(
                    f"formats: '{form}' {wrong}; write a date such as 31/12/2019 14:05 as '%d/%m/%Y %H:%M'"
                )
            if "%b" in form and self.months is None:
                raise ValueError(f"formats: '{form}' has names of months; list the twelve under `months`")
        if self.formats == ():
            raise ValueError("formats: the list is empty; leave it out, or name at least one")
        return self

    @model_validator(mode="after")
    def _one_group(self) -> "Mapping":
        if self.extract is not None:
            try:
                n_groups = re.compile(self.extract).groups
            except re.error:
                raise ValueError(f"extract: '{self.extract}' is no regular expression") from None
            if n_groups != 1:
                raise ValueError(f"extract: '{self.extract}' needs one group in brackets, it has {n_groups}")
        return self


class Format(Section):
    """What kind of files these are."""

    type: Literal["csv", "parquet"] = "csv"
    """csv (also compressed with gzip, when the name ends in .gz) or parquet."""
    separator: str = Field(default=",", min_length=1, max_length=1)
    """Character between fields; write "\\t" for a tab."""
    encoding: Literal["utf-8", "latin-1", "utf-16"] = "utf-8"
    """Encoding of the text. A byte-order mark is recognised."""
    quote: str = Field(default='"', max_length=1)
    """Character around fields that hold the separator; empty: none."""
    trailer: str | None = None
    """Start of a control line that is not data. A number in its second field must be the file's number of rows."""


class Bounds(Section):
    """What this source is expected to deliver; outside, the run stops."""

    min_rows: int = Field(default=1, ge=0)
    """Fewest data rows."""
    max_rows: int | None = Field(default=None, ge=0)
    """Most data rows."""
    max_rejected_share: float = Field(default=0.05, ge=0, le=1)
    """Largest share of rows that may be rejected."""


class Covers(Section):
    """The days on which an event would have been recorded by this source."""

    from_date: date = Field(alias="from")
    """First day."""
    to_date: date = Field(alias="to")
    """Last day."""
    part: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9_]*$")
    """What part of its kind the source records, such as air, land or foreigners. Sources of one part stand in for each
    other, as a system and its successor do: a day is covered if any of them covers it. Different parts are all needed:
    a day is observed if each covers it. Sources that name no part are one part."""

    @model_validator(mode="after")
    def _in_order(self) -> "Covers":
        if self.to_date < self.from_date:
            raise ValueError("`to` must not be before `from`")
        return self


class Source(Section):
    """One source: files of one layout from one agency."""

    kind: Kind
    """What one row is: crossings, visas, permits, register, activity, people, vital or judgements."""
    files: str | tuple[str, ...]
    """File, folder or pattern such as border/*.csv, relative to the configuration; or a list of them."""
    format: Format = Format()
    """File format."""
    columns: dict[str, str | tuple[str, ...] | Mapping]
    """Our column -> column of the source, several columns to be joined, or a mapping with more detail."""
    bounds: Bounds = Bounds()
    """What is expected."""
    covers: Covers | None = None
    """Days covered; default: the period. A rule is observed on the days that all sources cover on which it rests
    (docs/assumptions.md, "What is observed"); a gap between them, or no such day, is an error."""
    repeat_minutes: int | None = Field(default=None, ge=0)
    """crossings: a second scan of the same document in the same direction within so many minutes is a repeat."""
    one_current_record_per_person: bool = False
    """register: a person has at most one registration that has not ended."""
    covers_population: bool = False
    """register: everybody who lives in the country must be in it, also who never travels. Without such a source, stocks
    are labelled travellers_only."""

    @model_validator(mode="after")
    def _known_columns(self) -> "Source":
        for column in REQUIRED_COLUMNS[self.kind]:
            if not any(name in self.columns for name in SHARED_COLUMNS.get(column, (column,))):
                raise ValueError(f"kind {self.kind} needs a column `{column}`: add it under `columns`")
        for column, value in self.columns.items():
            if column in NOT_CODED and isinstance(value, Mapping) and value.map is not None:
                raise ValueError(f"column `{column}` holds no codes: take `map` out")
        return self

    def mapping(self, column: str) -> Mapping | None:
        """The mapping of a column of records, whichever name of it the kind has and whichever way it was written."""
        names = [name for name in SHARED_COLUMNS.get(column, (column,)) if name in self.columns]
        if not names:
            return None
        value = self.columns[names[0]]
        if isinstance(value, Mapping):
            return value
        return Mapping.model_validate({"from": value, "join": "/" if column == "record_id" else " "})
