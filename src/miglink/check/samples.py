"""The rows that a check looks at: all of them where they are few, else a sample of identities.

A sample of rows tells little about pairs: a person has one row or five hundred, so the identities among the rows
sampled are neither all nor a known share, and pairs of one person and pairs of strangers grow differently. So
identities are sampled, not rows. Every row whose document number (else person number) has a small hash is taken, from
all sources by the same hash: an identity comes whole, with all its rows from any place of any file, or not at all.
Rows without a number go by the hash of all their personal fields. A number on very many rows (a code for "not known",
a family's) would come or stay out as one lump; its rows, too, go by the hash of their fields.
Every file is read once to the end: rows are counted, not estimated, gzip is read from its start as it must be.
The same files give the same sample.
"""

import gzip
from collections.abc import Mapping as Lookup
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet

from miglink.config.sources import Mapping, Source
from miglink.engine import CsvFormat, Engine, Table, identifier, text_literal
from miglink.engine.files import path_literal
from miglink.stages.ingest.columns import value_sql

# A number on more rows than this is not one person's: its rows are sampled by their content.
HEAVY_ROWS = 200
# Sources with so few rows are looked at whole, though the others are sampled.
WHOLE_ROWS = 100_000
_GUESSED_FROM_BYTES = 1 << 20
_HASHES = 16**8
_CONTENT = (
    "person_id", "surname", "given_names", "full_name", "birth_date", "sex", "citizenship", "citizenship_2",
    "birth_country", "document_number", "document_country", "person_number",
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """The rows of one source that are looked at, as text with __file and __row_number, and what was counted.

    is_whole: all rows are in it; else those of sampled identities.
    """

    rows: Table
    n_rows: int
    n_malformed: int
    is_whole: bool


def guess_rows(path: Path) -> float:
    """About how many rows a file has, from its first million bytes; Parquet states it."""
    if path.suffix == ".parquet":
        return float(pyarrow.parquet.read_metadata(path).num_rows)
    size = path.stat().st_size
    with path.open("rb") as stream:
        begin = stream.read(_GUESSED_FROM_BYTES)
    n_begin = len(begin)
    if path.suffix == ".gz":
        with path.open("rb") as packed, gzip.open(packed, "rb") as stream:
            begin = stream.read(_GUESSED_FROM_BYTES)
            n_begin = packed.tell()
    return begin.count(b"\n") * size / max(n_begin, 1)


def number_sql(source: Source) -> str:
    """The number that an identity goes by, as it will be standardised: of the document, else of the person."""
    numbers = [
        _normalised(mapping)
        for name in ("document_number", "person_number")
        if (mapping := source.mapping(name))
    ]
    return f"coalesce({', '.join(numbers)}, NULL)" if numbers else "CAST(NULL AS VARCHAR)"


def _normalised(mapping: Mapping) -> str:
    return f"nullif(regexp_replace(upper({value_sql(mapping)}), '[^A-Z0-9]', '', 'g'), '')"


def sampled_sql(source: Source, share: float) -> str:
    """Whether a row belongs to the sample; `heavy` is the table of numbers that are not one person's."""
    contents = [value_sql(mapping) for name in _CONTENT if (mapping := source.mapping(name))]
    content = f"concat_ws(chr(31), 'content', {', '.join(contents)})" if contents else "'content'"
    number = number_sql(source)
    is_own = f"{number} IS NOT NULL AND {number} NOT IN (SELECT number FROM heavy)"
    by = f"CASE WHEN {is_own} THEN {number} ELSE {content} END"
    return f"substring(sha256({by}), 1, 8) < {text_literal(_threshold(share))}"


def _threshold(share: float) -> str:
    return f"{min(round(share * _HASHES), _HASHES - 1):08x}"


def find_heavy(
    engine: Engine, origins: Sequence[tuple[str, Source]], tables: Lookup[str, Table]
) -> pl.DataFrame:
    """The numbers that stand on more than HEAVY_ROWS rows; `origins`: what to read, as SQL, and its source."""
    parts = [f"SELECT {number_sql(source)} AS number FROM {origin}" for origin, source in origins]
    return engine.collect(
        f"""SELECT number FROM ({" UNION ALL ".join(parts)}) WHERE number IS NOT NULL
        GROUP BY number HAVING count(*) > {HEAVY_ROWS}""",
        **tables,
    )


def origin_sql(
    paths: Sequence[Path], columns: Sequence[str], form: CsvFormat | None, errors: str = ""
) -> str:
    """The files as rows of text with `origin`, the path of the file; `form` None: Parquet.

    `errors`: the table for lines that do not fit the header; without it they are passed over.
    """
    files = "[" + ", ".join(path_literal(path) for path in paths) + "]"
    if form is None:
        texts = ", ".join(f"CAST({identifier(c)} AS VARCHAR) AS {identifier(c)}" for c in columns)
        source = f"read_parquet({files}, union_by_name = true, filename = 'origin')"
        return f"(SELECT {texts}, origin FROM {source})"
    types = "{" + ", ".join(f"{text_literal(column)}: 'VARCHAR'" for column in columns) + "}"
    stored = f", store_rejects = true, rejects_table = '{errors}', rejects_scan = '{errors}_scans', rejects_limit = 0"
    return (
        f"read_csv({files}, columns = {types}, auto_detect = false, header = true, "
        f"delim = {text_literal(form.separator)}, quote = {text_literal(form.quote)}, "
        f"escape = {text_literal(form.quote)}, encoding = {text_literal(form.encoding)}, "
        "filename = 'origin', null_padding = false, strict_mode = true, ignore_errors = true"
        f"{stored if errors else ''})"
    )


def sample_files(
    engine: Engine, name: str, origin: str, chosen: tuple[Source, float, tuple[str, ...]], heavy: pl.DataFrame
) -> Sample:
    """Read the files once: their rows counted, those of sampled identities kept.

    `chosen`: the source, the share of identities, the columns. The number of a row is its place among the rows of its
    file that can be read; the rows at the ends of each file are marked on the way, for their places give the counts.
    """
    source, share, columns = chosen
    texts = ", ".join(f"nfc_normalize({identifier(column)}) AS {identifier(column)}" for column in columns)
    trailer = source.format.trailer
    is_trailer = (
        f"coalesce(starts_with({identifier(columns[0])}, {text_literal(trailer)}), false)"
        if trailer and source.format.type == "csv"
        else "false"
    )
    kept = engine.step(
        f"check_{name}_lines",
        f"""WITH numbered AS (
            SELECT *, row_number() OVER () AS __line, lag(origin) OVER () IS DISTINCT FROM origin AS __is_first,
                   lead(origin) OVER () IS NULL AS __is_last
            FROM {origin}),
        marked AS (SELECT *, {is_trailer} AS __is_trailer, {sampled_sql(source, share)} AS __is_sampled FROM numbered)
        SELECT {texts}, origin, __line, __is_first, __is_last, __is_trailer, __is_sampled
        FROM marked WHERE __is_sampled OR __is_first OR __is_last OR __is_trailer""",
        heavy=heavy,
    )
    rows = engine.step(
        f"check_{name}_rows",
        f"""WITH firsts AS (SELECT origin, min(__line) AS first_line FROM kept WHERE __is_first GROUP BY origin)
        SELECT {", ".join(map(identifier, columns))}, parse_filename(origin) AS __file,
               __line - first_line + 1 AS __row_number
        FROM kept JOIN firsts USING (origin) WHERE __is_sampled AND NOT __is_trailer""",
        kept=kept,
    )
    counted = engine.collect(
        """SELECT coalesce(max(__line), 0) AS n_lines, count(*) FILTER (WHERE __is_trailer) AS n_trailers FROM kept""",
        kept=kept,
    )
    n_lines, n_trailers = counted.row(0)
    return Sample(rows, n_lines - n_trailers, _count_malformed(engine, name, source), False)


def errors_table(name: str) -> str:
    """The name of the table of lines of a source that do not fit the header."""
    return f"check_{name}_errors"


def _count_malformed(engine: Engine, name: str, source: Source) -> int:
    if source.format.type == "parquet":
        return 0
    trailer = source.format.trailer
    is_trailer = f"starts_with(csv_line, {text_literal(trailer)})" if trailer else "false"
    counted = engine.collect(
        f"""SELECT count(*) FROM (SELECT DISTINCT file_id, line FROM {errors_table(name)} WHERE NOT {is_trailer})"""
    )
    return int(counted.item())


def thin(
    engine: Engine, name: str, source: Source, whole: Table, sampling: tuple[float, pl.DataFrame]
) -> Table:
    """The rows of sampled identities among rows that were read whole."""
    share, heavy = sampling
    return engine.step(
        f"check_{name}_thinned",
        f"SELECT * FROM whole WHERE {sampled_sql(source, share)}",
        whole=whole,
        heavy=heavy,
    )
