"""Ingest: the files of the agencies become records."""

import glob
from dataclasses import dataclass
from pathlib import Path

from miglink.config.sources import Mapping, Source
from miglink.config.stages import Period
from miglink.engine import CsvFormat, Engine, ParquetFormat, RawRows, Table
from miglink.errors import SourceError
from miglink.stages.ingest.accounts import account_rows, check_accounts, check_record_ids, check_trailers
from miglink.stages.ingest.countries import country_table
from miglink.stages.ingest.judgements import rank_decisions, read_judgements
from miglink.stages.ingest.names import split_names, standardise_names
from miglink.stages.ingest.records import type_rows, write_records
from miglink.stages.ingest.rows import Layout, check_columns, read_codes, read_dates, read_values, reject_rows


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
        layout = Layout(name, sources[name], further_columns, period.to_date)
        if sources[name].kind == "judgements":
            check_columns(layout, raw[name].columns)
            continue
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
    decisions = rank_decisions(
        engine, {name: raw[name] for name in names if sources[name].kind == "judgements"}, sources
    )
    rejected, row_accounts = account_rows(engine, raw, judged, (records, decisions))
    check_accounts(engine, sources, row_accounts, raw)
    return Ingested(records, rejected, row_accounts, read_judgements(engine, decisions))


def source_files(name: str, source: Source) -> list[Path]:
    """The files of a source, patterns and folders resolved, each once, in the order of their names.

    A name that exists is meant as it stands, whatever characters of patterns are in it. Of a folder the files of the
    format count; hidden files and other endings (`.part`, `.bak`) do not. Of the folders that a pattern matches those
    named like a file count, for so some systems write large tables.
    """
    patterns = (source.files,) if isinstance(source.files, str) else source.files
    endings = {"csv": (".csv", ".csv.gz"), "parquet": (".parquet",)}[source.format.type]
    found: set[Path] = set()
    for pattern in patterns:
        path = Path(pattern)
        if path.exists() or path.is_symlink():
            matches = [path]
        else:
            found_names = [Path(match) for match in glob.glob(pattern)]
            matches = [match for match in found_names if not match.is_dir() or _has_ending(match, endings)]
        if not matches:
            raise SourceError(
                f"source {name}: no file matches {pattern}; paths are relative to the configuration file"
            )
        found.update(file for match in matches for file in _files_within(name, match, endings))
    for file in found:
        _check_file(name, file)
    return sorted(found)


def _files_within(name: str, path: Path, endings: tuple[str, ...]) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = [file for file in path.iterdir() if _has_ending(file, endings) and not file.is_dir()]
    if not found:
        raise SourceError(
            f"source {name}: no file matches in the folder {path}: none ends in {' or '.join(endings)}; "
            "check the folder, or `format.type`, or name the files in `files`"
        )
    return found


def _has_ending(path: Path, endings: tuple[str, ...]) -> bool:
    return path.name.lower().endswith(endings) and not path.name.startswith((".", "~"))


def _check_file(name: str, path: Path) -> None:
    """A file that cannot be opened is said by its name before anything is read."""
    reason = None
    if not path.exists():
        reason = "it is a link to a file that does not exist"
    elif not path.is_file():
        reason = "it is no regular file"
    else:
        try:
            path.open("rb").close()
        except OSError as error:
            reason = error.strerror or type(error).__name__
    if reason is not None:
        raise SourceError(
            f"source {name}: {path} cannot be read: {reason}; put the file there, or change its rights"
        )


def needed_columns(source: Source) -> tuple[str, ...]:
    """The columns of the files that the configuration of a source names."""
    origins = [
        value.from_ or () if isinstance(value, Mapping) else value for value in source.columns.values()
    ]
    names = [(origin,) if isinstance(origin, str) else origin for origin in origins]
    return tuple(dict.fromkeys(name for several in names for name in several))


def _read_files(engine: Engine, name: str, source: Source) -> RawRows:
    form, needed = source.format, needed_columns(source)
    if form.type == "parquet":
        return engine.read(name, source_files(name, source), ParquetFormat(needed))
    separator = "\t" if form.separator == "\\t" else form.separator
    return engine.read(
        name,
        source_files(name, source),
        CsvFormat(separator, form.encoding, form.quote, form.trailer, needed),
    )
