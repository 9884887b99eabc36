"""How DuckDB reads the files of a source: every value as text, every line accounted for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from miglink.engine import CsvFormat, Engine, ParquetFormat, RawRows, Table, identifier, text_literal
from miglink.engine.files import (
    Lines,
    copy_as_utf8,
    count_lines,
    csv_header,
    is_packed,
    path_literal,
    unclosed_quote,
)
from miglink.errors import SourceError
from miglink.shortages import find_shortage

# Rows that are not in the encoding are not missing at random: they are those with foreign names. Above one in a
# thousand the encoding is wrong, not the row.
_MOST_NOT_IN_ENCODING = 0.001
# What DuckDB calls the errors of a line, in the order in which one is taken for the reason.
_WHY = {
    "INVALID ENCODING": "not in the encoding",
    "UNQUOTED VALUE": "a quote out of place",
    "MISSING COLUMNS": "too few fields",
    "TOO MANY COLUMNS": "too many fields",
}


@dataclass(frozen=True)
class Reader:
    """What reading needs: the engine, its connection and its folder for scratch files."""

    engine: Engine
    connection: duckdb.DuckDBPyConnection
    scratch: Path


def read_files(
    reader: Reader, name: str, paths: Sequence[Path], file_format: CsvFormat | ParquetFormat
) -> RawRows:
    """Read the files of a source as text."""
    label = _label_sql(paths)
    if isinstance(file_format, ParquetFormat):
        return _read_parquet(reader, name, paths, label, file_format)
    return _read_csv(reader, name, paths, label, file_format)


def _label_sql(paths: Sequence[Path]) -> str:
    """SQL for the name of a file: with as many of its folders as tell the files of the source apart."""
    deepest = max((len(path.parts) for path in paths), default=1)
    for depth in range(1, deepest + 1):
        if len({path.parts[-depth:] for path in paths}) == len(paths):
            break
    folders = rf"(?:[^/\\]+[/\\]){{{depth - 1}}}" if depth > 1 else ""
    return rf"regexp_extract(origin, '{folders}[^/\\]+$')"


def _list_sql(paths: Sequence[Path]) -> str:
    return "[" + ", ".join(path_literal(path) for path in paths) + "]"


def _no_rows(reader: Reader, name: str, columns: str) -> Table:
    return reader.engine.step(name, f"SELECT {columns} WHERE false")


def _read_parquet(
    reader: Reader, name: str, paths: Sequence[Path], label: str, form: ParquetFormat
) -> RawRows:
    types = {path: _parquet_types(reader, name, path) for path in paths}
    columns = tuple(dict.fromkeys(column for found in types.values() for column in found))
    check_parquet(name, types, form)
    merged = {column: {found[column] for found in types.values() if column in found} for column in columns}
    texts = ", ".join(
        f"nfc_normalize({_parquet_text(identifier(column), merged[column])}) AS {identifier(column)}"
        for column in columns
    )
    source = (
        f"read_parquet({_list_sql(paths)}, union_by_name = true, filename = 'origin', file_row_number = true)"
    )
    try:
        rows = reader.engine.step(
            f"{name}_rows",
            f"SELECT {texts}, {label} AS __file, file_row_number + 1 AS __row_number FROM {source}",
        )
    except duckdb.Error as error:
        if find_shortage(error):
            raise
        which = paths[0].name if len(paths) == 1 else f"one of its {len(paths)} files"
        raise no_parquet(f"source {name}: {which}", error) from None
    malformed = _no_rows(
        reader, f"{name}_malformed", "'' AS file, CAST(0 AS BIGINT) AS row_number, '' AS why"
    )
    trailers = _no_rows(reader, f"{name}_trailers", "'' AS file, CAST(0 AS BIGINT) AS stated_rows")
    return RawRows(rows, malformed, trailers, columns)


def no_parquet(what: str, error: duckdb.Error) -> SourceError:
    """What to say of a file that should be Parquet and cannot be read so."""
    return SourceError(
        f"{what} cannot be read as Parquet ({type(error).__name__}): it is cut off, damaged or of another kind; "
        "check `format.type`, compare its size with the sender's, and copy it again"
    )


def _parquet_types(reader: Reader, name: str, path: Path) -> dict[str, str]:
    """The columns of one file and their types, in the words of DuckDB."""
    try:
        described = reader.connection.execute(
            f"DESCRIBE SELECT * FROM read_parquet({path_literal(path)})"
        ).fetchall()
    except duckdb.Error as error:
        if find_shortage(error):
            raise
        raise no_parquet(f"source {name}: {path.name}", error) from None
    return {str(column): str(kind) for column, kind, *_ in described}


def check_parquet(name: str, types: Mapping[Path, Mapping[str, str]], form: ParquetFormat) -> None:
    """Every file has the columns that the configuration names if any has, and each holds what can be read as text."""
    problems = []
    named = [column for column in form.expected if any(column in found for found in types.values())]
    for path, found in types.items():
        problems += [
            f"{path.name} has no column `{column}`, which other files of the source have; give such files a source of "
            "their own"
            for column in named
            if column not in found
        ]
        for column in (column for column in named if column in found):
            kind = found[column]
            if kind == "TIMESTAMP WITH TIME ZONE":
                problems.append(
                    f"{path.name}: column `{column}` holds instants (times with a time zone); miglink counts the "
                    "days of the place: have it written as local time, without a zone"
                )
            elif (
                kind == "BLOB" or kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "VARIANT"))
            ):
                problems.append(
                    f"{path.name}: column `{column}` holds {kind.split('(')[0]}; expected text, numbers, dates or "
                    "times: have it written so"
                )
    if problems:
        raise SourceError("\n".join(f"source {name}: {problem}" for problem in problems[:20]))


def _parquet_text(column: str, kinds: set[str]) -> str:
    """A column as text. Whole numbers get no decimal point, whatever their type; times end with the second."""
    text = f"CAST({column} AS VARCHAR)"
    if all(kind in ("FLOAT", "DOUBLE") or kind.startswith("DECIMAL") for kind in kinds):
        whole = f"TRY_CAST({column} AS HUGEINT)"
        return f"(CASE WHEN {whole} = {column} THEN CAST({whole} AS VARCHAR) WHEN {text} <> 'nan' THEN {text} END)"
    if all(kind.startswith("TIMESTAMP") and "ZONE" not in kind for kind in kinds):
        return f"strftime(CAST({column} AS TIMESTAMP), '%Y-%m-%d %H:%M:%S')"
    return text


def _read_csv(reader: Reader, name: str, paths: Sequence[Path], label: str, form: CsvFormat) -> RawRows:
    columns = csv_header(name, paths, form)
    try:
        if form.encoding == "utf-16":
            paths, form = _as_utf8(reader, name, paths, form)
        lines = {path: count_lines(name, path, form) for path in paths}
        try:
            numbered = _number_lines(reader, name, lines, label, (form, columns))
        except duckdb.InvalidInputException:
            # The reader wants one kind of line end in a file; who appends batches of several posts mixes them.
            paths, form = _as_utf8(reader, name, paths, form)
            lines = {path: count_lines(name, path, form) for path in paths}
            numbered = _number_lines(reader, name, lines, label, (form, columns))
        rows = reader.engine.view(
            f"{name}_rows",
            "SELECT * EXCLUDE (__is_trailer) FROM lines WHERE NOT __is_trailer",
            lines=numbered,
        )
        malformed, trailers = _unread_lines(reader, name, columns, (label, form), numbered)
        _check_encoding(reader, name, form, numbered, malformed)
        _check_lines(reader, name, (lines, label, form, columns), numbered)
    except duckdb.Error as error:
        if find_shortage(error):
            raise
        raise SourceError(
            f"source {name}: its files cannot be read as CSV in {form.encoding} with separator "
            f"{form.separator!r} ({type(error).__name__}); "
            "check `format.encoding`, `format.separator` and `format.quote`, and that every quote is closed"
        ) from None
    finally:
        # They hold lines as they stood in the file.
        reader.connection.execute("DROP TABLE IF EXISTS csv_errors; DROP TABLE IF EXISTS csv_scans")
    return RawRows(rows, malformed, trailers, tuple(columns))


def _as_utf8(
    reader: Reader, name: str, paths: Sequence[Path], form: CsvFormat
) -> tuple[list[Path], CsvFormat]:
    """Copies of the files in UTF-8 whose lines all end in a line feed, under their own names; scratch."""
    folder = reader.scratch / f"{name}_files"
    # The folders are kept, for they tell files of one name apart.
    copies = [folder / str(number) / Path(*path.absolute().parts[1:]) for number, path in enumerate(paths)]
    for path, copy in zip(paths, copies, strict=True):
        copy_as_utf8(name, path, copy, form.encoding)
    return copies, CsvFormat(form.separator, "utf-8", form.quote, form.trailer, form.expected)


def _number_lines(
    reader: Reader, name: str, lines: Mapping[Path, Lines], label: str, kind: tuple[CsvFormat, Sequence[str]]
) -> Table:
    """The lines of the files as text, with file and number; what does not fit the header goes to csv_errors."""
    form, columns = kind
    types = "{" + ", ".join(f"{text_literal(column)}: 'VARCHAR'" for column in columns) + "}"
    reader.connection.execute("DROP TABLE IF EXISTS csv_errors; DROP TABLE IF EXISTS csv_scans")
    # Guessed from the name where the files differ: of a name with a question mark it would be guessed wrongly.
    packed = {is_packed(path) for path in lines}
    compression = "auto" if len(packed) > 1 else "gzip" if True in packed else "none"
    source = (
        f"read_csv({_list_sql(list(lines))}, compression = '{compression}', columns = {types}, "
        "auto_detect = false, header = true, "
        f"delim = {text_literal(form.separator)}, quote = {text_literal(form.quote)}, "
        f"escape = {text_literal(form.quote)}, encoding = {text_literal(form.encoding)}, "
        "filename = 'origin', null_padding = false, strict_mode = true, ignore_errors = true, "
        "store_rejects = true, rejects_table = 'csv_errors', rejects_scan = 'csv_scans', rejects_limit = 0)"
    )
    # Some machines fill fields up with NULs.
    has_nul = any(found.has_nul for found in lines.values())
    texts = ", ".join(
        f"nfc_normalize({f'replace({identifier(c)}, chr(0), chr(32))' if has_nul else identifier(c)}) "
        f"AS {identifier(c)}"
        for c in columns
    )
    starts = f"starts_with({identifier(columns[0])}, {text_literal(form.trailer or '')})"
    is_trailer = f"coalesce({starts}, false)" if form.trailer else "false"
    return reader.engine.step(
        f"{name}_lines",
        f"""WITH lines AS (SELECT {texts}, {label} AS __file, row_number() OVER () AS line FROM {source})
        SELECT * EXCLUDE (line), line - min(line) OVER (PARTITION BY __file) + 1 AS __row_number,
               {is_trailer} AS __is_trailer
        FROM lines""",
    )


def _unread_lines(
    reader: Reader, name: str, columns: Sequence[str], kind: tuple[str, CsvFormat], lines: Table
) -> tuple[Table, Table]:
    """The lines that did not have the header's number of fields, control lines among them apart."""
    label, form = kind
    stated = identifier(columns[1]) if len(columns) > 1 else "NULL"
    trailer = text_literal(form.trailer or "")
    is_trailer = f"starts_with(csv_line, {trailer})" if form.trailer else "false"
    ranks = " ".join(
        f"WHEN {text_literal(kind)} THEN '{rank}{why}'" for rank, (kind, why) in enumerate(_WHY.items())
    )
    errors = f"""(SELECT {label.replace("origin", "s.file_path")} AS file, e.line - 1 AS row_number,
                     substring(min(CASE CAST(e.error_type AS VARCHAR) {ranks} ELSE '9of another kind' END), 2) AS why,
                     min(e.csv_line) AS csv_line
                 FROM csv_errors e JOIN csv_scans s USING (scan_id, file_id) GROUP BY ALL)"""
    malformed = reader.engine.step(
        f"{name}_malformed",
        f"SELECT file, CAST(row_number AS BIGINT) AS row_number, why FROM {errors} WHERE NOT {is_trailer}",
    )
    trailers = reader.engine.step(
        f"{name}_trailers",
        f"""SELECT __file AS file, TRY_CAST({stated} AS BIGINT) AS stated_rows FROM lines WHERE __is_trailer
        UNION ALL
        SELECT file, TRY_CAST(split_part(csv_line, {text_literal(form.separator)}, 2) AS BIGINT)
        FROM {errors} WHERE {is_trailer}""",
        lines=lines,
    )
    return malformed, trailers


def _check_encoding(reader: Reader, name: str, form: CsvFormat, lines: Table, malformed: Table) -> None:
    """A row or two may be damaged; many that are not in the encoding show that it is another."""
    n, wrong, place = reader.engine.collect(
        """SELECT (SELECT count(*) FROM lines) + (SELECT count(*) FROM malformed) AS n, count(*) AS wrong,
               min(concat(file, ', line ', row_number + 1)) AS place
        FROM malformed WHERE why = 'not in the encoding'""",
        lines=lines,
        malformed=malformed,
    ).row(0)
    if wrong > _MOST_NOT_IN_ENCODING * n:
        raise SourceError(
            f"source {name}: {wrong:,} of {n:,} lines are not in {form.encoding} (one is {place}); the files are in "
            "another encoding, or damaged: check `format.encoding` (latin-1, utf-16) and that they were copied whole"
        )


def _check_lines(
    reader: Reader,
    name: str,
    kind: tuple[Mapping[Path, Lines], str, CsvFormat, Sequence[str]],
    lines: Table,
) -> None:
    """Every line of a file is a row, a malformed line or within a field; else a quote took in whole rows."""
    counted, label, form, columns = kind
    stated = pl.DataFrame(
        {"origin": [str(path) for path in counted], "n": [found.n - 1 for found in counted.values()]},
        schema={"origin": pl.String, "n": pl.Int64},
    )
    read = f"""SELECT __file AS file, count(*) AS n, 0 AS line FROM lines GROUP BY __file
        UNION ALL SELECT {label.replace("origin", "s.file_path")}, count(DISTINCT e.line),
            coalesce(min(e.line) FILTER (WHERE CAST(e.error_type AS VARCHAR) = 'UNQUOTED VALUE'), 0)
        FROM csv_errors e JOIN csv_scans s USING (scan_id, file_id) GROUP BY ALL"""
    short = reader.engine.collect(
        f"""WITH read AS ({read}), stated_by_file AS (SELECT {label} AS file, sum(n) AS n FROM stated GROUP BY ALL)
        SELECT t.file, t.n - coalesce(sum(r.n), 0) AS n_lost, CAST(coalesce(max(r.line), 0) AS BIGINT) AS line
        FROM stated_by_file t LEFT JOIN read r ON r.file = t.file GROUP BY t.file, t.n
        HAVING t.n > coalesce(sum(r.n), 0)""",
        lines=lines,
        stated=stated,
    )
    if not short.height:
        return
    within = " + ".join(_line_ends_sql(identifier(column), form, len(columns)) for column in columns)
    wrong = reader.engine.collect(
        f"""SELECT s.file, CAST(s.n_lost AS BIGINT) AS n_lost, s.line, min(l.line) AS other_line
        FROM short s LEFT JOIN (
            SELECT __file AS file, sum({within}) AS n,
                   min(CASE WHEN {_holds_rows_sql(columns, form)} THEN __row_number + 1 END) AS line
            FROM lines GROUP BY __file) l ON l.file = s.file
        WHERE s.n_lost > coalesce(l.n, 0) GROUP BY ALL ORDER BY s.file LIMIT 5""",
        short=short,
        lines=lines,
    )
    if wrong.height:
        file, n_lost, line, other_line = wrong.row(0)
        raise SourceError(
            f"source {name}: {file}: about {n_lost:,} of its lines are in none of the rows: "
            + unclosed_quote(line or other_line or 2)
        )


def _ends_sql(column: str) -> str:
    return f"(len(string_split_regex({column}, '\\r\\n|\\r|\\n')) - 1)"


def _is_rows_sql(column: str, form: CsvFormat, n_columns: int) -> str:
    """Whether a field holds whole rows: as many separators as the rows that its line ends would make."""
    separators = f"(len(string_split({column}, {text_literal(form.separator)})) - 1)"
    return f"({_ends_sql(column)} > 0 AND {separators} >= {_ends_sql(column)} * {max(n_columns - 1, 1)})"


def _line_ends_sql(column: str, form: CsvFormat, n_columns: int) -> str:
    """The line ends within a field, unless it holds whole rows that a quote took in."""
    is_text = f"contains({column}, chr(10)) OR contains({column}, chr(13))"
    return (
        f"(CASE WHEN {is_text} THEN CASE WHEN {_is_rows_sql(column, form, n_columns)} THEN 0 "
        f"ELSE {_ends_sql(column)} END ELSE 0 END)"
    )


def _holds_rows_sql(columns: Sequence[str], form: CsvFormat) -> str:
    """Whether any field of a row holds whole rows."""
    return " OR ".join(
        f"coalesce({_is_rows_sql(identifier(column), form, len(columns))}, false)" for column in columns
    )
