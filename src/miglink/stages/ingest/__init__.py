"""Ingest: the files of the agencies become records."""

import glob
from dataclasses import dataclass
from pathlib import Path

from miglink.config.sources import Source
from miglink.config.stages import Period
from miglink.engine import CsvFormat, Engine, ParquetFormat, RawRows, Table
from miglink.errors import SourceError
from miglink.stages.ingest.accounts import account_rows, check_accounts, check_record_ids, check_trailers
from miglink.stages.ingest.countries import country_table
from miglink.stages.ingest.judgements import read_judgements
from miglink.stages.ingest.names import split_names, standardise_names
from miglink.stages.ingest.records import type_rows, write_records
from miglink.stages.ingest.rows import Layout, read_codes, read_dates, read_values, reject_rows


@dataclass(frozen=True)
class Ingested:
    """The tables that ingest gives."""

    records: Table
    rejected: Table
    row_accounts: Table
    judgements: Table


def ingest(
    engine: Engine,
    sources: dict[str, Source],
    countries: dict[str, str],
    period: Period,
    further_columns: tuple[str, ...] = (),
) -> Ingested:
    """Read every source as its configuration says; accept each row as a record, or reject it with a reason.

    Reads: the files of the sources.
    Gives: records, rejected, row_accounts, judgements. A row is accepted or rejected; none vanishes.
    Units: dates are local calendar days of the source; crossed_at is its local time.
    Errors: SourceError where a file or column is missing, a code is not known, or a source is out of its bounds.
    Source: ICAO Doc 9303 part 3 (names, country codes); ISO 3166-1.
    """
    names = sorted(sources)
    raw = {name: _read_files(engine, name, sources[name]) for name in names}
    check_trailers(engine, raw)
    lookup = country_table(engine, countries)
    judged, typed = {}, []
    for name in names:
        if sources[name].kind == "judgements":
            continue
        layout = Layout(name, sources[name], further_columns, period.to_date)
        values = read_values(engine, layout, raw[name])
        codes = read_codes(engine, layout, values, lookup)
        judged[name] = reject_rows(engine, layout, read_dates(engine, layout, codes))
        check_record_ids(engine, name, judged[name])
        typed.append(type_rows(engine, layout, judged[name]))
    rows = engine.step(
        "ingest_rows",
        " UNION ALL ".join(f"SELECT * FROM typed_{index}" for index in range(len(typed))),
        **{f"typed_{index}": table for index, table in enumerate(typed)},
    )
    records = write_records(
        engine, rows, split_names(engine, rows), sources, further_columns, standardise_names
    )
    rejected, row_accounts = account_rows(engine, raw, judged, records)
    check_accounts(engine, sources, row_accounts)
    judgements = read_judgements(
        engine, {name: raw[name] for name in names if sources[name].kind == "judgements"}, sources
    )
    return Ingested(records, rejected, row_accounts, judgements)


def source_files(name: str, source: Source) -> list[Path]:
    """The files of a source, patterns and folders resolved, each once, in the order of their names."""
    patterns = (source.files,) if isinstance(source.files, str) else source.files
    ending = {"csv": "*.csv*", "parquet": "*.parquet"}[source.format.type]
    found: set[Path] = set()
    for pattern in patterns:
        path = Path(pattern)
        matches = (
            sorted(path.glob(ending)) if path.is_dir() else [Path(match) for match in glob.glob(pattern)]
        )
        if not matches:
            raise SourceError(
                f"source {name}: no file matches {pattern}; paths are relative to the configuration file"
            )
        found.update(match for match in matches if match.is_file())
    return sorted(found)


def _read_files(engine: Engine, name: str, source: Source) -> RawRows:
    form = source.format
    if form.type == "parquet":
        return engine.read(name, source_files(name, source), ParquetFormat())
    separator = "\t" if form.separator == "\\t" else form.separator
    return engine.read(
        name, source_files(name, source), CsvFormat(separator, form.encoding, form.quote, form.trailer)
    )
