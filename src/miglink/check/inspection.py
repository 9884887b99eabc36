"""One source looked at: what its rows would become, judged by the functions that the run itself uses."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from miglink.check.findings import Shares, SourceFindings, UnknownCodes
from miglink.check.reading import Files, Read, has_header, without_missing
from miglink.check.samples import Sample
from miglink.config.sources import REQUIRED_COLUMNS, SHARED_COLUMNS, Covers, Mapping, Source
from miglink.config.stages import Period
from miglink.engine import Engine, RawRows, Table
from miglink.errors import SourceError
from miglink.stages.ingest.accounts import check_record_ids
from miglink.stages.ingest.judgements import rank_decisions
from miglink.stages.ingest.rows import (
    COUNTRY_COLUMNS,
    DATE_COLUMNS,
    MAIN_DATE,
    TEXT_COLUMNS,
    WORDS,
    Layout,
    coded_columns,
    read_codes,
    read_dates,
    read_values,
    reject_rows,
)

# Any of these tells one person from another; a source without them adds records that link with nothing.
_LINKING = (
    "surname",
    "given_names",
    "full_name",
    "birth_date",
    "document_number",
    "person_number",
    "person_id",
)
_MOST_VALUES = 10


@dataclass(frozen=True)
class Given:
    """What every source is inspected with: shared settings, the countries, whether values may be shown."""

    further_columns: tuple[str, ...]
    period: Period
    period_is_stated: bool
    countries: Table
    show_values: bool


def inspect_source(
    engine: Engine, given: Given, described: tuple[str, Source], files: Files, read: Read | str | None
) -> tuple[SourceFindings, Table | None]:
    """Judge the rows of one source; gives what is found, and the judged rows from which records can be made."""
    name, source = described
    shown = files.columns if files.is_readable and has_header(source, files.missing) else ()
    found = SourceFindings(
        name,
        source.kind,
        files=files.paths,
        n_bytes=sum(path.stat().st_size for path in files.paths if path.exists()),
        columns=shown,
        missing_columns=files.missing,
        max_rejected_share=source.bounds.max_rejected_share,
        links_on=tuple(column for column in _LINKING if source.mapping(column) is not None),
        problems=files.problems,
    )
    if not isinstance(read, Read):
        return replace(found, problems=(*found.problems, *([read] if read else []))), None
    sample = read.sample
    found = replace(
        found,
        n_rows=sample.n_rows,
        n_malformed=sample.n_malformed,
        n_looked_at=engine.count(sample.rows),
        is_whole=sample.is_whole,
        problems=(*found.problems, *read.problems, *_bounds(name, source, sample)),
        notes=_notes(name, source),
    )
    if source.kind == "judgements":
        return _inspect_judgements(engine, found, source, (files, sample)), None
    present = without_missing(source, files.missing)
    lacking = [
        column
        for column in REQUIRED_COLUMNS[source.kind]
        if not any(other in present.columns for other in SHARED_COLUMNS.get(column, (column,)))
    ]
    if lacking:
        return found, None
    layout = _tolerant(Layout(name, present, given.further_columns, given.period.to_date))
    judged = judge_rows(engine, layout, (sample.rows, files.columns), given.countries)
    found = _count_all(engine, found, (source, layout), judged, given)
    return replace(found, problems=(*found.problems, *_keys(engine, found, judged))), judged


def judge_rows(
    engine: Engine, layout: Layout, rows: tuple[Table, tuple[str, ...]], countries: Table
) -> Table:
    """The rows of a source with every value read, and the reason for which a row is not accepted."""
    table, columns = rows
    values = read_values(engine, layout, RawRows(table, table, table, columns))
    codes = read_codes(engine, layout, values, countries)
    return reject_rows(engine, layout, read_dates(engine, layout, codes))


def _tolerant(layout: Layout) -> Layout:
    """The layout with codes that nothing names taken as not known: they are counted here, they stop the run."""
    columns: dict[str, str | tuple[str, ...] | Mapping] = dict(layout.source.columns)
    for column in coded_columns(layout, "error"):
        (named,) = [n for n in SHARED_COLUMNS.get(column, (column,)) if n in columns][:1]
        mapping = layout.mapping(column)
        assert mapping is not None  # coded_columns lists mapped columns only
        columns[named] = mapping.model_copy(update={"unmapped": "missing"})
    return replace(layout, source=layout.source.model_copy(update={"columns": columns}))


def _bounds(name: str, source: Source, sample: Sample) -> list[str]:
    bounds, n = source.bounds, sample.n_rows + sample.n_malformed
    problems = []
    if n < bounds.min_rows:
        problems.append(f"source {name}: {n:,} rows, fewer than bounds.min_rows ({bounds.min_rows:,})")
    if bounds.max_rows is not None and n > bounds.max_rows:
        problems.append(f"source {name}: {n:,} rows, more than bounds.max_rows ({bounds.max_rows:,})")
    return problems


def _notes(name: str, source: Source) -> tuple[str, ...]:
    if source.kind == "judgements" or any(source.mapping(column) is not None for column in _LINKING):
        return ()
    return (
        f"source {name}: no personal field is mapped to link on; every row will be rejected (no_identifying_field)",
    )


def _inspect_judgements(
    engine: Engine, found: SourceFindings, source: Source, read: tuple[Files, Sample]
) -> SourceFindings:
    files, sample = read
    if files.missing:
        return found
    try:
        rows = RawRows(sample.rows, sample.rows, sample.rows, files.columns)
        rank_decisions(engine, {found.name: rows}, {found.name: source})
    except SourceError as error:
        return replace(found, problems=(*found.problems, str(error)))
    return found


def _keys(engine: Engine, found: SourceFindings, judged: Table) -> list[str]:
    """Keys that repeat; among the rows of sampled identities some repeats are not seen."""
    try:
        check_record_ids(engine, found.name, judged)
    except SourceError as error:
        return [str(error)]
    return []


def _count_all(
    engine: Engine, found: SourceFindings, read: tuple[Source, Layout], judged: Table, given: Given
) -> SourceFindings:
    """Every count of one source in one pass over its judged rows."""
    source, layout = read
    coded = _coded(read)
    columns = (*TEXT_COLUMNS, *DATE_COLUMNS, *COUNTRY_COLUMNS, *WORDS, *given.further_columns)
    mapped = [column for column in columns if layout.mapping(column) is not None]
    main = MAIN_DATE[source.kind] if MAIN_DATE[source.kind] in mapped else ""
    unknown = {column: f"v_{column} IS NOT NULL AND {column} IS NULL" for column in coded}
    unread = {
        column: f"v_{column} IS NOT NULL AND d_{column} IS NULL"
        for column in DATE_COLUMNS
        if column in mapped
    }
    counts = [
        "count(*) AS n",
        *(f"count(*) FILTER (WHERE v_{c} IS NULL) AS blank_{c}" for c in mapped),
        *(f"count(*) FILTER (WHERE {condition}) AS unread_{c}" for c, condition in unread.items()),
        *(f"count(*) FILTER (WHERE {condition}) AS unknown_{c}" for c, condition in unknown.items()),
        *(
            f"min(concat(file, ', row ', row_number)) FILTER (WHERE {condition}) AS place_{c}"
            for c, condition in unknown.items()
        ),
        *(_dates_of(main, source.covers or given.period) if main else ()),
    ]
    (row,) = engine.collect(f"SELECT {', '.join(counts)} FROM judged", judged=judged).to_dicts()
    n = max(row["n"], 1)

    def shares(kind: str, of: Iterable[str]) -> tuple[Shares, ...]:
        return tuple(Shares(named_in(source, c), row[f"{kind}_{c}"], row[f"{kind}_{c}"] / n) for c in of)

    codes = tuple(
        UnknownCodes(
            named_in(source, column),
            row[f"unknown_{column}"],
            row[f"unknown_{column}"] / n,
            row[f"place_{column}"],
            coded[column],
            _values(engine, judged, column) if given.show_values else (),
        )
        for column in unknown
        if row[f"unknown_{column}"]
    )
    rejected = _rejected(engine, judged, found, n)
    found = replace(
        found,
        unknown_codes=codes,
        rejected=rejected,
        rejected_share=sum(one.share for one in rejected),
        blank=shares("blank", mapped),
        unreadable=shares("unread", [c for c in unread if row[f"unread_{c}"]]),
        date_column=named_in(source, main) if main else None,
        first_date=row.get("first_date"),
        last_date=row.get("last_date"),
        n_outside=row["n_outside"] if main and (given.period_is_stated or source.covers) else 0,
    )
    return replace(found, problems=(*found.problems, *_judgement(found)))


def _coded(read: tuple[Source, Layout]) -> dict[str, str]:
    """The coded columns that the files have, and what the configuration does with codes that nothing names."""
    source, layout = read
    strict = replace(layout, source=source)
    return {
        column: unmapped
        for unmapped in ("error", "reject", "missing")
        for column in coded_columns(strict, unmapped)
        if layout.mapping(column) is not None
    }


def _dates_of(column: str, observed: Period | Covers) -> tuple[str, str, str]:
    """The first and last date of a column, and how many lie outside the days observed."""
    day = f"d_{column}"
    first, last = (f"CAST('{end.isoformat()}' AS DATE)" for end in (observed.from_date, observed.to_date))
    outside = f"count(*) FILTER (WHERE {day} < {first} OR {day} > {last}) AS n_outside"
    return f"min({day}) AS first_date", f"max({day}) AS last_date", outside


def named_in(source: Source, column: str) -> str:
    """The name under which the configuration of a source maps one of our columns."""
    return next((name for name in SHARED_COLUMNS.get(column, (column,)) if name in source.columns), column)


def _values(engine: Engine, judged: Table, column: str) -> tuple[str, ...]:
    values = engine.collect(
        f"""SELECT v_{column} AS value, count(*) AS n FROM judged WHERE v_{column} IS NOT NULL AND {column} IS NULL
        GROUP BY v_{column} ORDER BY n DESC, value LIMIT {_MOST_VALUES}""",
        judged=judged,
    )
    return tuple(values["value"].to_list())


def _rejected(engine: Engine, judged: Table, found: SourceFindings, n: int) -> tuple[Shares, ...]:
    """Rows that would be rejected, by reason; lines that do not fit the header are counted in all files."""
    counts = engine.collect(
        """SELECT reason_rejected AS reason, count(*) AS n FROM judged WHERE reason_rejected IS NOT NULL
        GROUP BY reason_rejected ORDER BY n DESC, reason""",
        judged=judged,
    )
    n_all = (found.n_rows or 0) + found.n_malformed
    readable = (found.n_rows or 0) / max(n_all, 1)
    rows = [Shares(reason, n_reason, n_reason / n * readable) for reason, n_reason in counts.iter_rows()]
    if found.n_malformed:
        rows.append(Shares("malformed_line", found.n_malformed, found.n_malformed / n_all))
    return tuple(rows)


def _judgement(found: SourceFindings) -> list[str]:
    """What of the counts would stop the run."""
    where = "" if found.is_whole else " of the rows looked at"
    problems = [
        f"source {found.name}: {code.column}: {code.n_rows:,} rows{where} ({code.share:.2%}) hold a code that nothing "
        f"names (one is in {code.place}); add the codes to `map` of the column (countries: to `countries`), or say "
        "`unmapped: missing` or `reject`"
        for code in found.unknown_codes
        if code.unmapped == "error"
    ]
    share = found.rejected_share or 0.0
    # A column that is missing is said already; what follows from it is not another problem.
    if share > found.max_rejected_share and not found.missing_columns:
        reasons = ", ".join(f"{one.name} {one.share:.2%}" for one in found.rejected)
        problems.append(
            f"source {found.name}: {share:.2%} of the rows would be rejected, more than bounds.max_rejected_share "
            f"({found.max_rejected_share:.2%}); reasons: {reasons}"
        )
    for one in found.unreadable:
        if one.n_rows == found.n_looked_at:
            problems.append(
                f"source {found.name}: no format of {one.name} reads any of its dates; check `formats` of the column"
            )
    return problems
