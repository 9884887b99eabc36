"""Typed rows of all sources become records: one shape, names standardised, double scans recognised."""

from collections.abc import Callable

from miglink.config.sources import Source
from miglink.engine import Engine, Table, text_literal
from miglink.stages.ingest.columns import number_sql
from miglink.stages.ingest.rows import Layout

_RECORD_DATE = {
    "crossings": "d_crossed_at",
    "visas": "coalesce(d_issued_date, d_valid_from)",
    "permits": "d_valid_from",
    "register": "d_valid_from",
    "activity": "d_valid_from",
    "people": "d_reference_date",
    "vital": "d_event_date",
}
# Nobody whose age is proven lived longer than 122 years.
_OLDEST_YEARS = 125


def type_rows(engine: Engine, layout: Layout, judged: Table) -> Table:
    """The accepted rows of one source with the columns that all sources share."""
    kind = layout.source.kind
    birth_date, birth_precision = "d_birth_date", "p_birth_date"
    if kind == "vital":
        # A birth record need not repeat its event date as the child's date of birth.
        birth_date = "coalesce(d_birth_date, CASE WHEN event = 'birth' THEN d_event_date END)"
        birth_precision = (
            f"(CASE WHEN d_birth_date IS NULL AND {birth_date} IS NOT NULL THEN 'day' ELSE p_birth_date END)"
        )
    # A sign of life of a year or month lasts to its end.
    until = """coalesce(d_valid_to, CASE p_valid_from
                WHEN 'year' THEN CAST(substring(iso_valid_from, 1, 4) || '-12-31' AS DATE)
                WHEN 'month' THEN last_day(d_valid_from) ELSE d_valid_from END)"""
    record_id = "v_record_id"
    if layout.mapping("record_id") is None:
        # Rows of the same content are the same to us: a number tells them apart, whichever comes first.
        record_id = """concat(substring(content, 1, 32), '-', CAST(row_number() OVER (
            PARTITION BY content ORDER BY file, row_number) AS VARCHAR))"""
    person = f"({text_literal(layout.name + ':')} || v_person_id)" if layout.mapping("person_id") else "NULL"
    full_name = layout.mapping("full_name")
    is_surname_first = "true" if full_name is None or full_name.order == "surname_first" else "false"
    further = "".join(f", {column}" for column in layout.further_columns)
    # A list that is only linked may have neither a date of its own nor a period: then no birth is too early.
    end = f"CAST({text_literal(str(layout.period_end)) if layout.period_end.year < 9999 else 'NULL'} AS DATE)"
    return engine.view(
        f"ingest_{layout.name}_typed",
        f"""WITH accepted AS (SELECT * FROM judged WHERE reason_rejected IS NULL),
        named AS (SELECT *, {_name_columns(layout)} FROM accepted),
        dated AS (SELECT *, {_RECORD_DATE[kind]} AS record_date, {birth_date} AS born,
                         {birth_precision} AS born_precision,
                         {until if kind == "activity" else _RECORD_DATE[kind]} AS latest FROM named),
        bounded AS (SELECT *, CAST(coalesce(latest, {end}) - INTERVAL {_OLDEST_YEARS} YEAR AS DATE) oldest FROM dated),
        judged_births AS (
            SELECT *, (born >= oldest OR oldest IS NULL) AND (born <= latest OR latest IS NULL) AS is_possible_birth
            FROM bounded)
        SELECT {text_literal(layout.name)} AS source, CAST({record_id} AS VARCHAR) AS record_id,
               {text_literal(kind)} AS kind, record_date,
               {_spaced("surname_given")} AS surname, {_spaced("given_names_given")} AS given_names,
               CASE WHEN {_spaced("surname_given")} IS NULL AND {_spaced("given_names_given")} IS NULL
                    THEN {_spaced("full_name_given")} END AS full_name,
               {is_surname_first} AS is_surname_first,
               CASE WHEN is_possible_birth THEN born END AS birth_date,
               CASE WHEN is_possible_birth THEN born_precision END AS birth_date_precision,
               sex, citizenship, citizenship_2, birth_country,
               {_normalised("v_document_number")} AS document_number, document_country,
               {_normalised("v_person_number")} AS person_number, CAST({person} AS VARCHAR) AS given_person, region,
               CASE WHEN '{kind}' = 'crossings' THEN d_crossed_at END AS crossed_date, t_crossed_at AS crossed_at,
               direction, port, purpose, country_from_to,
               d_valid_from AS valid_from, {until if kind == "activity" else "d_valid_to"} AS valid_to,
               d_ended_date AS ended_date,
               coalesce(event, reason) AS reason, end_reason, d_event_date AS event_date,
               {_normalised("v_mother_person_number")} AS mother_person_number, domain, {_weight(layout)} AS weight,
               nullif(concat_ws('; ',
                   CASE WHEN v_birth_date IS NOT NULL AND d_birth_date IS NULL THEN 'birth_date_unreadable' END,
                   CASE WHEN born > latest THEN 'birth_date_after_record' END,
                   CASE WHEN born < oldest THEN 'birth_date_too_early' END), '') AS notes{further}
        FROM judged_births""",
        judged=judged,
    )


def _name_columns(layout: Layout) -> str:
    """Surname and given names where the source or a separator tells them apart, else the full name."""
    mapping = layout.mapping("full_name")
    surname, given, full = "v_surname", "v_given_names", "CAST(NULL AS VARCHAR)"
    if mapping is not None:
        # The filler of machine-readable names is taken off the end first: it is a separator within.
        value = r"regexp_replace(v_full_name, '<+\z', '', 'g')"
        full = value
        first, second = "CAST(NULL AS VARCHAR)", "CAST(NULL AS VARCHAR)"
        for separator in reversed(mapping.separators):
            mark = text_literal(separator)
            at = f"strpos({value}, {mark})"
            first = f"CASE WHEN {at} > 1 THEN substring({value}, 1, {at} - 1) ELSE {first} END"
            second = f"CASE WHEN {at} > 1 THEN substring({value}, {at} + {len(separator)}) ELSE {second} END"
        if mapping.order == "given_names_first":
            first, second = second, first
        surname, given = f"coalesce({surname}, {first})", f"coalesce({given}, {second})"
    return f"{surname} AS surname_given, {given} AS given_names_given, {full} AS full_name_given"


def _weight(layout: Layout) -> str:
    """The persons that a row of a list stands for; few sources have it, so that few rows are looked at."""
    return number_sql("v_weight") if layout.mapping("weight") else "CAST(NULL AS DOUBLE)"


def _spaced(value: str) -> str:
    """A name with the filler of the machine-readable zone as a space."""
    return rf"nullif(trim(regexp_replace({value}, '[< \t\n\f\r]+', ' ', 'g')), '')"


def _normalised(value: str) -> str:
    """A number: capitals and digits only."""
    return f"nullif(regexp_replace(upper({value}), '[^A-Z0-9]', '', 'g'), '')"


def write_records(
    engine: Engine,
    rows: Table,
    splits: Table,
    sources: dict[str, Source],
    further_columns: tuple[str, ...],
    standardise: Callable[[Engine, Table], Table],
) -> Table:
    """Give the table records: names split and spelt in two ways, double scans marked."""
    named = engine.view(
        "ingest_named",
        """SELECT r.* EXCLUDE (surname, given_names, full_name, is_surname_first),
               coalesce(r.surname, s.surname) AS surname, coalesce(r.given_names, s.given_names) AS given_names
        FROM rows r LEFT JOIN splits s ON s.full_name = r.full_name AND s.is_surname_first = r.is_surname_first""",
        rows=rows,
        splits=splits,
    )
    spellings = standardise(engine, named)
    windows = {
        name: source.repeat_minutes for name, source in sources.items() if source.repeat_minutes is not None
    }
    minutes = " ".join(f"WHEN {text_literal(name)} THEN {value}" for name, value in windows.items())
    window = f"(CASE source {minutes} END)" if minutes else "CAST(NULL AS INTEGER)"
    further = "".join(f", {column}" for column in further_columns)
    return engine.query(
        "records",
        f"""WITH spelt AS (
            SELECT n.*, s.icao AS surname_icao, s.ascii AS surname_ascii, g.icao AS given_names_icao,
                   g.ascii AS given_names_ascii
            FROM named n LEFT JOIN spellings s ON s.name = n.surname LEFT JOIN spellings g ON g.name = n.given_names),
        scans AS (
            SELECT source, record_id, crossed_at,
                   lag(crossed_at) OVER (
                       PARTITION BY source, direction, document_number, document_country, surname_ascii, birth_date
                       ORDER BY crossed_at, record_id) AS last_scan
            FROM spelt
            WHERE crossed_at IS NOT NULL AND coalesce(document_number, surname_ascii) IS NOT NULL
              AND {window} IS NOT NULL),
        repeats AS (
            SELECT source, record_id FROM scans
            WHERE date_diff(
                'minute', CAST(date_trunc('minute', last_scan) AS TIMESTAMP),
                CAST(date_trunc('minute', crossed_at) AS TIMESTAMP)) <= {window})
        SELECT source, record_id, kind, repeats.record_id IS NOT NULL AS is_repeat, record_date, surname, given_names,
               surname_icao, given_names_icao, surname_ascii, given_names_ascii, birth_date, birth_date_precision,
               sex, citizenship, citizenship_2, birth_country, document_number, document_country, person_number,
               given_person, region, crossed_date, crossed_at, direction, port, purpose, country_from_to,
               valid_from, valid_to, ended_date, reason, end_reason, event_date, mother_person_number, domain,
               weight, notes{further}
        FROM spelt LEFT JOIN repeats USING (source, record_id)""",
        named=named,
        spellings=spellings,
    )
