"""The files of each source, found and read; what cannot be read is a problem, and the other sources go on."""

from collections import Counter
from collections.abc import Mapping as Lookup
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import polars as pl
import pyarrow
import pyarrow.parquet

from miglink.check.findings import MissingColumn
from miglink.check.samples import (
    WHOLE_ROWS,
    Sample,
    errors_table,
    find_heavy,
    guess_rows,
    origin_sql,
    sample_files,
    thin,
)
from miglink.config.problems import suggest
from miglink.config.sources import Mapping, Source
from miglink.engine import CsvFormat, Engine, ParquetFormat, Table
from miglink.engine.files import csv_header
from miglink.errors import SourceError
from miglink.stages.ingest import source_files
from miglink.stages.ingest.accounts import check_trailers


@dataclass(frozen=True)
class Files:
    """The files of one source as found: their columns, how many rows they may have, what is wrong with them."""

    paths: tuple[Path, ...] = ()
    columns: tuple[str, ...] = ()
    missing: tuple[MissingColumn, ...] = ()
    guessed_rows: float = 0.0
    is_readable: bool = False
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Read:
    """What was read of one source: the rows to judge, and those of sampled identities among them."""

    sample: Sample
    thinned: Table
    problems: tuple[str, ...] = field(default=())


def find_files(name: str, source: Source) -> Files:
    """The files of a source and the columns that they have; nothing but their first lines is read."""
    try:
        paths = tuple(source_files(name, source))
    except SourceError as error:
        return Files(problems=(str(error),))
    headers: dict[Path, tuple[str, ...]] = {}
    problems = []
    for path in paths:
        try:
            headers[path] = _header(name, path, source)
        except SourceError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(
                f"source {name}: {path.name} cannot be opened: {error.strerror or 'not readable'}"
            )
    if not headers:
        return Files(paths, problems=tuple(problems))
    ((columns, _),) = Counter(headers.values()).most_common(1)
    others = [path for path, header in headers.items() if header != columns]
    if source.format.type == "csv":
        problems += [_other_header(name, path, (source, columns), headers[path]) for path in others]
    else:
        # Files of Parquet are joined by the names of their columns.
        columns = tuple(dict.fromkeys(column for header in headers.values() for column in header))
    missing = _missing_columns(source, columns)
    alike = tuple(path for path in headers if source.format.type == "parquet" or path not in others)
    guessed = sum(guess_rows(path) for path in alike)
    problems += [_missing_text(name, source, missing, columns)] if missing else []
    return Files(alike, columns, missing, guessed, has_header(source, missing), tuple(problems))


def _header(name: str, path: Path, source: Source) -> tuple[str, ...]:
    if source.format.type == "csv":
        return tuple(csv_header(name, [path], csv_format(source)))
    try:
        return tuple(pyarrow.parquet.read_schema(path).names)
    except pyarrow.ArrowException as error:
        raise SourceError(
            f"source {name}: {path.name} cannot be read as Parquet ({type(error).__name__}); "
            "check `format.type` and whether it was copied whole"
        ) from None


def csv_format(source: Source) -> CsvFormat:
    """The format of the files of a source, as the engine wants it."""
    form = source.format
    separator = "\t" if form.separator == "\\t" else form.separator
    return CsvFormat(separator, form.encoding, form.quote, form.trailer)


def _other_header(name: str, path: Path, usual: tuple[Source, Sequence[str]], header: Sequence[str]) -> str:
    """A file without a header line would show a person: only columns that most files have and we know are said."""
    source, columns = usual
    is_header = has_header(source, _missing_columns(source, columns))
    lacking = [column for column in columns if column not in header] if is_header else ["columns"]
    n_further = len(set(header) - set(columns))
    what = f"lacks {', '.join(lacking)}" if lacking else "has the columns in another order"
    further = f" and has {n_further} further columns" if n_further else ""
    return (
        f"source {name}: {path.name} has another header than most files: it {what}{further}; "
        "give such files a source of their own"
    )


def _missing_columns(source: Source, columns: Sequence[str]) -> tuple[MissingColumn, ...]:
    """The columns that are not there; a first line that is no header may be data, and suggests nothing."""
    missing = [
        MissingColumn(column, wanted, suggest(wanted, columns))
        for column, value in source.columns.items()
        for wanted in _origins(value)
        if wanted not in columns
    ]
    if not has_header(source, missing):
        missing = [replace(one, suggestion=None) for one in missing]
    return tuple(missing)


def _origins(value: str | tuple[str, ...] | Mapping) -> tuple[str, ...]:
    """The columns of the files that one column of ours is made of."""
    origin = value.from_ or () if isinstance(value, Mapping) else value
    return (origin,) if isinstance(origin, str) else origin


def _missing_text(name: str, source: Source, missing: Sequence[MissingColumn], columns: Sequence[str]) -> str:
    said = ", ".join(
        f"`{one.wanted}` (for {one.column}{f'; did you mean `{one.suggestion}`?' if one.suggestion else ''})"
        for one in missing
    )
    if not has_header(source, missing):
        return (
            f"source {name}: none of the columns of the configuration is in the first line of the files: {said}; "
            "check `format.separator`, and whether the files have a header line. The line is not shown: it may be data"
        )
    return f"source {name}: the files have no column {said}; they have {', '.join(columns)}"


def has_header(source: Source, missing: Sequence[MissingColumn]) -> bool:
    """Whether the first line looks like a header: it holds at least one of the columns wanted."""
    lacking = {one.wanted for one in missing}
    wanted = {name for value in source.columns.values() for name in _origins(value)}
    return not wanted or bool(wanted - lacking)


def without_missing(source: Source, missing: Sequence[MissingColumn]) -> Source:
    """The source without the columns that its files do not have, so that the others can be looked at."""
    lacking = {one.column for one in missing}
    kept = {column: value for column, value in source.columns.items() if column not in lacking}
    return source.model_copy(update={"columns": kept})


def identity_share(found: Lookup[str, Files], n_sampled: int) -> float:
    """The share of identities to look at so that about n_sampled rows are read; 1 where there are no more."""
    n_rows = sum(files.guessed_rows for files in found.values())
    # Files are guessed from their beginning: a little more than wanted is still read whole.
    return 1.0 if n_rows <= 1.1 * n_sampled else n_sampled / n_rows


def read_sources(
    engine: Engine, sources: Lookup[str, Source], found: Lookup[str, Files], share: float
) -> tuple[dict[str, Read | str], pl.DataFrame]:
    """Read each source: whole where it is small, else the rows of sampled identities; a text says what failed.

    Gives also the numbers that are not one person's, in the column `number`.
    """
    whole: dict[str, Read | str] = {}
    large = []
    for name, source in sources.items():
        if share < 1 and found[name].guessed_rows > WHOLE_ROWS and source.kind != "judgements":
            large.append(name)
        else:
            whole[name] = _read_whole(engine, name, source, found[name])
    heavy = pl.DataFrame(schema={"number": pl.String})
    if share == 1:
        return whole, heavy
    origins = [(_origin(sources[name], found[name]), sources[name]) for name in large]
    rows = {f"whole_{name}": read.sample.rows for name, read in whole.items() if isinstance(read, Read)}
    origins += [(alias, sources[alias.removeprefix("whole_")]) for alias in rows]
    try:
        heavy = find_heavy(engine, origins, rows)
    except duckdb.Error:
        # Lines that end differently, or bytes of another encoding: the run's own reading copes, or says what is wrong.
        whole |= {name: _read_whole(engine, name, sources[name], found[name]) for name in large}
    reads: dict[str, Read | str] = {}
    for name, source in sources.items():
        read = whole.get(name) or _read_sample(engine, name, (source, found[name]), (share, heavy))
        if isinstance(read, Read) and read.sample.is_whole:
            read = replace(read, thinned=thin(engine, name, source, read.sample.rows, (share, heavy)))
        reads[name] = read
    return reads, heavy


def _origin(source: Source, files: Files, errors: str = "") -> str:
    form = csv_format(source) if source.format.type == "csv" else None
    return origin_sql(files.paths, files.columns, form, errors)


def _read_whole(engine: Engine, name: str, source: Source, files: Files) -> Read | str:
    form = csv_format(source) if source.format.type == "csv" else ParquetFormat()
    try:
        raw = engine.read(name, files.paths, form)
    except SourceError as error:
        return str(error)
    problems = []
    try:
        check_trailers(engine, {name: raw})
    except SourceError as error:
        problems.append(str(error))
    sample = Sample(raw.rows, engine.count(raw.rows), engine.count(raw.malformed), True)
    return Read(sample, raw.rows, tuple(problems))


def _read_sample(
    engine: Engine, name: str, given: tuple[Source, Files], sampling: tuple[float, pl.DataFrame]
) -> Read | str:
    source, files = given
    share, heavy = sampling
    try:
        origin = _origin(source, files, errors_table(name))
        sample = sample_files(engine, name, origin, (source, share, files.columns), heavy)
    except duckdb.Error:
        return _read_whole(engine, name, source, files)
    return Read(sample, sample.rows)
