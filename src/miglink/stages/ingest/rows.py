"""One source from text to typed rows: values, codes and dates read, rows accepted or rejected with a reason."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from miglink.config.sources import Mapping, Source
from miglink.engine import Engine, RawRows, Table, identifier, text_literal
from miglink.errors import SourceError
from miglink.stages.ingest.columns import (
    dated_text_sql,
    exists_sql,
    iso_sql,
    known_parts_sql,
    mapped_sql,
    number_sql,
    precision_sql,
    resolved_sql,
    time_sql,
    value_sql,
)
from miglink.stages.ingest.countries import country_key_sql

DATE_COLUMNS = (
    "crossed_at",
    "birth_date",
    "valid_from",
    "valid_to",
    "issued_date",
    "ended_date",
    "event_date",
    "reference_date",
)
COUNTRY_COLUMNS = ("citizenship", "citizenship_2", "birth_country", "document_country", "country_from_to")
WORDS = {
    "direction": ("arrival", "departure"),
    "sex": ("male", "female", "other"),
    "event": ("birth", "death"),
}
# The date that a row of each kind speaks of; two-digit years are resolved against it.
MAIN_DATE = {
    "crossings": "crossed_at",
    "visas": "valid_from",
    "permits": "valid_from",
    "register": "valid_from",
    "activity": "valid_from",
    "people": "reference_date",
    "vital": "event_date",
}
TEXT_COLUMNS = (
    "record_id", "person_id", "surname", "given_names", "full_name", "document_number", "person_number", "region",
    "port", "purpose", "reason", "end_reason", "mother_person_number", "domain", "weight",
)  # fmt: skip
# No list stands for more persons than there are.
MOST_WEIGHT = 10_000_000_000
_DEFAULT_FORMATS = ("%Y-%m-%d",)
_DEFAULT_TIME_FORMATS = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d",
)


@dataclass(frozen=True)
class Layout:
    """What a source maps, ready to be written as SQL."""

    name: str
    source: Source
    further_columns: tuple[str, ...]
    period_end: date

    def mapping(self, column: str) -> Mapping | None:
        """The mapping of one of our columns."""
        return self.source.mapping(column)

    def formats(self, column: str) -> tuple[str, ...]:
        """The date formats of a column, the standard ones where none are given."""
        mapping = self.mapping(column)
        if mapping is not None and mapping.formats is not None:
            return mapping.formats
        return _DEFAULT_TIME_FORMATS if column == "crossed_at" else _DEFAULT_FORMATS


def read_values(engine: Engine, layout: Layout, raw: RawRows) -> Table:
    """The text value of every mapped column, `v_<column>`, beside file, row number and a hash of the whole row."""
    check_columns(layout, raw.columns)
    columns = (*TEXT_COLUMNS, *DATE_COLUMNS, *COUNTRY_COLUMNS, *WORDS, *layout.further_columns)
    values = ", ".join(
        f"{value_sql(mapping) if (mapping := layout.mapping(column)) else 'CAST(NULL AS VARCHAR)'} AS v_{column}"
        for column in columns
    )
    # Only a row without an id of its own is known by its content.
    parts = raw.columns if layout.mapping("record_id") is None else ()
    content = ", ".join(["''", *(f"coalesce({identifier(column)}, '')" for column in parts)])
    return engine.view(
        f"ingest_{layout.name}_values",
        f"""SELECT __file AS file, __row_number AS row_number,
               sha256(concat_ws(chr(31), {content})) AS content, {values}
        FROM raw_rows""",
        raw_rows=raw.rows,
    )


def check_columns(layout: Layout, found: tuple[str, ...]) -> None:
    """Every column that the configuration names must be in the files."""
    problems = []
    for column, value in layout.source.columns.items():
        origin = value.from_ or () if isinstance(value, Mapping) else value
        origin = (origin,) if isinstance(origin, str) else origin
        problems += [f"`{name}` (for {column})" for name in origin if name not in found]
    if problems:
        raise SourceError(
            f"source {layout.name}: the files have no column {', '.join(problems)}; they have {', '.join(found)}"
        )


def read_codes(engine: Engine, layout: Layout, values: Table, countries: Table) -> Table:
    """Countries and closed vocabularies by their standard codes; null where a value is not known."""
    joins, coded, words_of = [], [], {}
    for column in COUNTRY_COLUMNS:
        mapping = layout.mapping(column)
        if mapping is None:
            coded.append(f"CAST(NULL AS VARCHAR) AS {column}")
            continue
        words_of[column] = mapped_sql(f"v_{column}", mapping)
        joins.append(f"LEFT JOIN named AS c_{column} ON c_{column}.word = {words_of[column]}")
        coded.append(f"c_{column}.country AS {column}")
    named = _name_countries(engine, layout.name, values, countries, list(words_of.values()))
    for column, words in WORDS.items():
        mapping = layout.mapping(column)
        word = mapped_sql(f"v_{column}", mapping) if mapping else "CAST(NULL AS VARCHAR)"
        allowed = ", ".join(text_literal(allowed_word) for allowed_word in words)
        coded.append(f"CASE WHEN {word} IN ({allowed}) THEN {word} END AS {column}")
    end = text_literal(layout.period_end.isoformat())
    for column in ("purpose", "reason", "end_reason", "domain", "port", "region", *layout.further_columns):
        mapping = layout.mapping(column)
        value = mapped_sql(f"v_{column}", mapping) if mapping else "CAST(NULL AS VARCHAR)"
        if mapping is not None and mapping.formats is not None and column in layout.further_columns:
            value = dated_text_sql(value, mapping, end)
        coded.append(f"{value} AS {column}")
    return engine.view(
        f"ingest_{layout.name}_codes",
        f"SELECT v.*, {', '.join(coded)} FROM source_values v {' '.join(joins)}",
        source_values=values,
        named=named,
    )


def _name_countries(engine: Engine, name: str, values: Table, countries: Table, words: list[str]) -> Table:
    """The country of every spelling in the source: few, however many the rows."""
    every = " UNION ALL ".join(f"SELECT {word} AS word FROM source_values" for word in words)
    return engine.step(
        f"ingest_{name}_countries",
        f"""WITH spellings AS (SELECT DISTINCT word FROM ({every or "SELECT CAST(NULL AS VARCHAR) AS word"}))
        SELECT s.word, c.country FROM spellings s JOIN countries c ON c.code = {country_key_sql("s.word")}""",
        source_values=values,
        countries=countries,
    )


def coded_columns(layout: Layout, unmapped: str) -> list[str]:
    """The columns with a closed list of values whose unknown values are to be treated so."""
    columns = [
        *COUNTRY_COLUMNS,
        *WORDS,
        *("purpose", "reason", "end_reason", "domain", "port", "region"),
        *layout.further_columns,
    ]
    return [
        column
        for column in columns
        if (mapping := layout.mapping(column)) is not None
        and mapping.unmapped == unmapped
        and (column in COUNTRY_COLUMNS or column in WORDS or mapping.map is not None)
    ]


def check_codes(engine: Engine, layout: Layout, judged: Table) -> None:
    """A code that nothing names stops the run, unless the configuration says otherwise."""
    columns = coded_columns(layout, "error")
    if not columns:
        return
    counts = ", ".join(
        f"count(*) FILTER (WHERE v_{c} IS NOT NULL AND {c} IS NULL) AS n_{c}, "
        f"min(concat(file, ', row ', row_number)) FILTER (WHERE v_{c} IS NOT NULL AND {c} IS NULL) AS at_{c}"
        for c in columns
    )
    (found,) = engine.collect(f"SELECT {counts} FROM judged", judged=judged).to_dicts()
    problems = [
        f"{column}: {found[f'n_{column}']} rows hold a code that is not known (one is in {found[f'at_{column}']})"
        for column in columns
        if found[f"n_{column}"]
    ]
    if problems:
        raise SourceError(
            f"source {layout.name}: "
            + "; ".join(problems)
            + ". Add the codes to `map` of the column (countries: to `countries`), "
            + "or say `unmapped: missing` or `reject`"
        )


def read_dates(engine: Engine, layout: Layout, coded: Table) -> Table:
    """The dates of a source: DATE, precision and, for crossings, the time; unreadable ones are null."""
    main = MAIN_DATE[layout.source.kind]
    others = [column for column in DATE_COLUMNS if column != main and layout.mapping(column) is not None]
    absent = [column for column in DATE_COLUMNS if column not in (main, *others)]
    end = text_literal(layout.period_end.isoformat())
    texts = engine.view(
        f"ingest_{layout.name}_dates",
        f"""WITH candidates AS (SELECT *, {_candidates(layout, (main, *others))} FROM coded),
        main_read AS (SELECT *, {_resolved(layout, (main,), end)} FROM candidates),
        main_iso AS (SELECT *, {_first_existing(layout, main)} AS iso_{main} FROM main_read),
        anchored AS (
            SELECT *, coalesce(substring({known_parts_sql(f"iso_{main}")}, 1, 10), {end}) AS anchor FROM main_iso),
        others_read AS (SELECT * {", " + _resolved(layout, others, "anchor") if others else ""} FROM anchored)
        SELECT * {_left_out(layout, (main, *others))}
               {"".join(f", {_first_existing(layout, column)} AS iso_{column}" for column in others)}
               {"".join(f", CAST(NULL AS VARCHAR) AS iso_{column}" for column in absent)}
        FROM others_read""",
        coded=coded,
    )
    dates = []
    for column in DATE_COLUMNS:
        dates.append(f"CAST(substring({known_parts_sql(f'iso_{column}')}, 1, 10) AS DATE) AS d_{column}")
        dates.append(f"{precision_sql(f'iso_{column}')} AS p_{column}")
    mapping = layout.mapping("crossed_at")
    hour_known = "length(iso_crossed_at) > 10"
    if mapping is not None and mapping.midnight_is_unknown:
        hour_known += " AND substring(iso_crossed_at, 12, 5) <> '00:00'"
    return engine.view(
        f"ingest_{layout.name}_dated",
        f"""SELECT *, {", ".join(dates)},
               CASE WHEN {hour_known} THEN {time_sql("iso_crossed_at")} END AS t_crossed_at
        FROM texts""",
        texts=texts,
    )


def _left_out(layout: Layout, columns: tuple[str, ...]) -> str:
    """The texts that were only on the way to a date."""
    names = [
        f"{stem}_{column}_{index}"
        for column in columns
        for index in range(len(layout.formats(column)))
        for stem in ("candidate", "resolved")
    ]
    return f"EXCLUDE ({', '.join(names)})"


def _candidates(layout: Layout, columns: tuple[str, ...]) -> str:
    parts = []
    for column in columns:
        mapping = layout.mapping(column)
        for index, form in enumerate(layout.formats(column)):
            text = iso_sql(f"v_{column}", form, mapping) if mapping else "CAST(NULL AS VARCHAR)"
            parts.append(f"{text} AS candidate_{column}_{index}")
    return ", ".join(parts)


def _resolved(layout: Layout, columns: tuple[str, ...] | list[str], anchor: str) -> str:
    return ", ".join(
        f"{resolved_sql(f'candidate_{column}_{index}', anchor)} AS resolved_{column}_{index}"
        for column in columns
        for index in range(len(layout.formats(column)))
    )


def _first_existing(layout: Layout, column: str) -> str:
    texts = [f"resolved_{column}_{index}" for index in range(len(layout.formats(column)))]
    return (
        "coalesce(" + ", ".join(f"CASE WHEN {exists_sql(text)} THEN {text} END" for text in texts) + ", NULL)"
    )


# The reasons for which a row is not accepted, by kind, in the order in which they are tried.
Rule = tuple[str, str]


def _day_needed(name: str, column: str) -> list[Rule]:
    return [
        (f"{name}_missing", f"v_{column} IS NULL"),
        (f"{name}_unreadable", f"d_{column} IS NULL"),
        (f"{name}_incomplete", f"p_{column} <> 'day'"),
    ]


def _validity(layout: Layout) -> list[Rule]:
    return [
        *_day_needed("valid_from", "valid_from"),
        *_day_needed("valid_to", "valid_to"),
        ("ends_before_it_begins", "d_valid_to < d_valid_from"),
    ]


def _crossings(layout: Layout) -> list[Rule]:
    covers = layout.source.covers
    outside = []
    if covers is not None:
        first, last = covers.from_date.isoformat(), covers.to_date.isoformat()
        outside = [
            ("crossed_date_outside_coverage", f"d_crossed_at NOT BETWEEN DATE '{first}' AND DATE '{last}'")
        ]
    return [
        *_day_needed("crossed_date", "crossed_at"),
        *outside,
        ("direction_missing", "v_direction IS NULL"),
        ("direction_unknown", "direction IS NULL"),
    ]


def _register(layout: Layout) -> list[Rule]:
    return [
        *_day_needed("registered_from", "valid_from"),
        (
            "registered_to_unreadable",
            "v_ended_date IS NOT NULL AND (d_ended_date IS NULL OR p_ended_date <> 'day')",
        ),
        ("ends_before_it_begins", "d_ended_date < d_valid_from"),
    ]


def _activity(layout: Layout) -> list[Rule]:
    return [
        ("active_from_missing", "v_valid_from IS NULL"),
        ("active_from_unreadable", "d_valid_from IS NULL"),
        ("active_to_unreadable", "v_valid_to IS NOT NULL AND d_valid_to IS NULL"),
        ("ends_before_it_begins", "d_valid_to < d_valid_from"),
    ]


def _vital(layout: Layout) -> list[Rule]:
    return [
        ("event_missing", "v_event IS NULL"),
        ("event_unknown", "event IS NULL"),
        *_day_needed("event_date", "event_date"),
    ]


def _people(layout: Layout) -> list[Rule]:
    rules = [("reference_date_unreadable", "v_reference_date IS NOT NULL AND d_reference_date IS NULL")]
    if layout.mapping("weight") is not None:
        number = number_sql("v_weight")
        rules += [
            ("weight_missing", "v_weight IS NULL"),
            ("weight_unreadable", f"{number} IS NULL"),
            ("weight_out_of_bounds", f"{number} NOT BETWEEN 0 AND {MOST_WEIGHT}"),
        ]
    return rules


ROW_RULES: dict[str, Callable[[Layout], list[Rule]]] = {
    "crossings": _crossings,
    "visas": _validity,
    "permits": _validity,
    "register": _register,
    "activity": _activity,
    "vital": _vital,
    "people": _people,
}


def reject_rows(engine: Engine, layout: Layout, dated: Table) -> Table:
    """Add `reason_rejected`: why a row is not accepted; null where it is. A code that nothing names stops the run."""
    rules = ROW_RULES[layout.source.kind](layout)
    rules += [
        (f"{column}_unknown", f"v_{column} IS NOT NULL AND {column} IS NULL")
        for column in coded_columns(layout, "reject")
    ]
    if layout.mapping("record_id") is not None:
        rules.append(("record_id_missing", "v_record_id IS NULL"))
    rules.append(
        (
            "no_identifying_field",
            "coalesce(v_surname, v_given_names, v_full_name, v_document_number, v_person_number, v_person_id) IS NULL",
        )
    )
    cases = " ".join(f"WHEN {condition} THEN {text_literal(reason)}" for reason, condition in rules)
    judged = engine.step(
        f"ingest_{layout.name}_judged",
        f"SELECT *, CASE {cases} END AS reason_rejected FROM dated",
        dated=dated,
    )
    check_codes(engine, layout, judged)
    return judged
