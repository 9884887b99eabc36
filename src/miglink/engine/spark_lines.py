"""Lines of CSV files taken apart on the executors, a part of a file at a time, as DuckDB's reader takes them apart.

Nothing here needs Spark. The functions travel to the executors by value: there miglink need not be installed.
"""

import codecs
import gzip
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from miglink.engine.files import LONGEST_LINE, BadLineError, LineCounter
from miglink.engine.spark_bytes import BYTES_BEYOND, find_begin, opened
from miglink.engine.spark_records import Record, RecordSplitter

_BYTES_AT_ONCE = 1 << 22
_MARK = codecs.BOM_UTF8
_LINE_FEED, _RETURN = 10, 13
_DAMAGE = (gzip.BadGzipFile, EOFError, zlib.error)


@dataclass(frozen=True)
class Part:
    """Some bytes of a file: the rows that begin in [start, end). `begin`: where its first row begins, if known."""

    number: int
    path: str
    file: str
    start: int
    end: int | None
    begin: int | None = None


@dataclass(frozen=True)
class Form:
    """How the files of a source are written. `lines_fed`: line ends within fields become line feeds."""

    separator: str
    quote: str
    encoding: str
    trailer: str | None
    n_columns: int
    lines_fed: bool = False


@dataclass
class Facts:
    """What a part holds, for the accounts of its file; numbers are counted from 1 at its begin.

    Bytes: [begin, end), begin null where no row begins in it. Lines are those that are not blank; records count blank
    lines and the header too. `ends`: the kinds of line ends between records; `trouble`: why it was not read to its end.
    """

    number: int
    begin: int | None = None
    end: int | None = None
    n_lines: int = 0
    n_records: int = 0
    n_rows: int = 0
    n_malformed: int = 0
    n_ends_within: int = 0
    n_ends_counted: int = 0
    record_misquoted: int | None = None
    row_holding_rows: int | None = None
    ends: list[str] = field(default_factory=list)
    trouble: list[Any] | None = None


def schema_of(n_columns: int) -> pa.Schema:
    """One shape for rows, trailers, malformed lines (their reason in `said`) and the facts of a part (as JSON)."""
    texts = [(f"c{index}", pa.string()) for index in range(n_columns)]
    fixed = [("part", pa.int32()), ("file", pa.string()), ("kind", pa.string()), ("number", pa.int64())]
    return pa.schema([*fixed, ("said", pa.string()), *texts])


def read_part(part: Part, form: Form) -> Iterator[pa.RecordBatch]:
    """Rows, trailers and malformed lines of a part, then its facts; what stops the reading is one of the facts."""
    facts = Facts(part.number)
    taker = _Taker(form, facts, part)
    try:
        with opened(part.path, form.encoding) as stream:
            facts.begin = facts.end = (
                part.begin if part.begin is not None else find_begin(stream, part.start, part.end)
            )
            if facts.begin is not None:
                stream.seek(facts.begin)
                yield from taker.take_all(stream)
    except BadLineError as error:
        facts.trouble = [error.kind, error.line]
    except UnicodeError as error:
        facts.trouble = ["encoding", type(error).__name__]
    except (OSError, *_DAMAGE) as error:
        # BadGzipFile is an OSError too.
        kind = "damaged" if isinstance(error, _DAMAGE) else "unreadable"
        facts.trouble = [kind, getattr(error, "strerror", None) or type(error).__name__]
    except Exception as error:  # what Spark would say of it might hold values
        facts.trouble = ["other", type(error).__name__]
    yield taker.facts_batch()


class _Taker:
    """Takes the rows out of the bytes of a part, block by block; what a block leaves open waits for the next."""

    def __init__(self, form: Form, facts: Facts, part: Part) -> None:
        self._form, self._facts, self._part = form, facts, part
        self._encoding = "latin-1" if form.encoding == "latin-1" else "utf-8"
        self._separator, self._quote = (
            form.separator.encode(self._encoding),
            form.quote.encode(self._encoding),
        )
        self._counter = LineCounter(self._encoding, form.quote, form.separator)
        self._schema = schema_of(form.n_columns)
        self._skips_header = part.start == 0
        self._split = RecordSplitter(self._separator, self._quote)

    def take_all(self, stream: Any) -> Iterator[pa.RecordBatch]:
        """Batches of rows in their order, and the facts filled in."""
        facts, end = self._facts, self._part.end
        assert facts.end is not None
        data, is_last = b"", False
        while not is_last and (end is None or facts.end < end):
            wanted = _BYTES_AT_ONCE if end is None else min(_BYTES_AT_ONCE, end - facts.end - len(data))
            block = stream.read(max(wanted, BYTES_BEYOND))
            is_last = not block
            if facts.end == 0 and not data and block.startswith(_MARK):
                block, facts.end = block[len(_MARK) :], len(_MARK)
            data += block
            batches, n_taken = self._take(data, len(data) if end is None else end - facts.end, is_last)
            yield from batches
            self._counter.add(data[:n_taken])
            facts.end += n_taken
            data = data[n_taken:]
            if len(data) > LONGEST_LINE:
                self._counter.add(data)
                raise BadLineError("quote", self._counter.n + 1)
        facts.n_lines = self._counter.n + (self._counter.open_bytes > 0)

    def facts_batch(self) -> pa.RecordBatch:
        """The facts as a row of their own."""
        said = json.dumps(vars(self._facts))
        texts = [pa.nulls(1, pa.string())] * self._form.n_columns
        return self._batch(texts, pa.array(["facts"]), pa.array([0], pa.int64()), pa.array([said]))

    def _batch(
        self, texts: Sequence[pa.Array], kinds: pa.Array, numbers: pa.Array, said: pa.Array
    ) -> pa.RecordBatch:
        n = len(kinds)
        part = pa.array(np.full(n, self._part.number, np.int32))
        file = pa.array([self._part.file]).take(pa.array(np.zeros(n, np.int64)))
        return pa.RecordBatch.from_arrays([part, file, kinds, numbers, said, *texts], schema=self._schema)

    def _take(self, data: bytes, limit: int, is_last: bool) -> tuple[list[pa.RecordBatch], int]:
        """The rows that begin before `limit` and are whole, and the number of bytes that they fill."""
        n_header = 0
        if self._skips_header:
            header = self._split.record(data, 0, is_last)
            if header is None:
                return [], 0
            self._skips_header, n_header = False, header.end
            self._note_record(header)
            data, limit = data[n_header:], limit - n_header
        batches, n_taken = self._take_plain(data, limit, is_last) or self._take_slowly(data, limit, is_last)
        return batches, n_header + n_taken

    def _note_record(self, record: Record) -> None:
        self._facts.n_records += 1
        if record.line_end and record.line_end not in self._facts.ends:
            self._facts.ends.append(record.line_end)

    # The usual case: no field holds line ends, quotes stand where they should, every row fits.

    def _take_plain(self, data: bytes, limit: int, is_last: bool) -> tuple[list[pa.RecordBatch], int] | None:
        if len(self._separator) != 1 or self._separator == b" ":
            return None
        values = np.frombuffer(data, np.uint8)
        starts, kinds = _line_starts(values, is_last)
        if not len(starts):
            return ([], 0)
        beyond = int(np.searchsorted(starts, limit))
        last = min(beyond, len(starts) - 1)
        n_taken, kinds = int(starts[last]), kinds[: last + 1]
        if not self._is_well_quoted(values[:n_taken]):
            return None
        text = (
            data[:n_taken] if self._encoding == "utf-8" else data[:n_taken].decode("latin-1").encode("utf-8")
        )
        texts = self._parsed(text)
        if texts is None:
            return None
        facts = self._facts
        batch = self._rows_batch(texts, b"\0" in text)
        facts.n_records += last + 1
        facts.n_rows += len(batch)
        facts.ends += [end for end in _END_NAMES[np.unique(kinds)].tolist() if end and end not in facts.ends]
        return ([batch] if len(batch) else [], n_taken)

    def _is_well_quoted(self, values: np.ndarray) -> bool:
        """Whether every quote opens or closes a field or is one of two, and no line ends within quotes."""
        if not self._quote:
            return True
        if len(self._quote) != 1:
            return False
        quotes = np.flatnonzero(values == self._quote[0])
        if not quotes.size:
            return True
        if quotes.size % 2:
            return False
        edges = (self._separator[0], _LINE_FEED, _RETURN, self._quote[0])
        opening, closing = quotes[::2], quotes[1::2]
        before = values[np.maximum(opening - 1, 0)]
        after = values[np.minimum(closing + 1, len(values) - 1)]
        if not (np.isin(before, edges) | (opening == 0)).all():
            return False
        if not (np.isin(after, edges) | (closing == len(values) - 1)).all():
            return False
        # A quote that opens after another must follow one that closes, not one of a pair in a field without quotes.
        ends = np.cumsum((values == _LINE_FEED) | (values == _RETURN))
        return bool((ends[opening] == ends[closing]).all())

    def _parsed(self, text: bytes) -> list[pa.Array] | None:
        """The fields of text whose every row fits; None where one does not."""
        if not text.strip(b"\r\n") and self._form.n_columns > 1:
            return [pa.array([], pa.string())] * self._form.n_columns
        names = self._schema.names[5:]
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(text),
                arrow_csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
                arrow_csv.ParseOptions(
                    delimiter=self._form.separator,
                    quote_char=self._form.quote or False,
                    double_quote=bool(self._form.quote),
                    ignore_empty_lines=self._form.n_columns > 1,
                ),
                arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), null_values=[""], strings_can_be_null=True
                ),
            )
        except pa.ArrowInvalid:
            return None
        return [column.combine_chunks() for column in table.columns]

    def _rows_batch(self, texts: Sequence[pa.Array], has_nul: bool) -> pa.RecordBatch:
        cleaned = [_normalised(column, has_nul) for column in texts]
        n = len(cleaned[0])
        first = self._facts.n_rows + 1
        kinds: Any = pa.array(["row"]).take(pa.array(np.zeros(n, np.int64)))
        said: Any = pa.nulls(n, pa.string())
        if self._form.trailer:
            is_trailer = pc.fill_null(pc.starts_with(cleaned[0], self._form.trailer), False)
            kinds = pc.if_else(is_trailer, "trailer", kinds)
            if len(cleaned) > 1:
                said = pc.if_else(is_trailer, cleaned[1], said)
        return self._batch(cleaned, kinds, pa.array(np.arange(first, first + n)), said)

    # The rest: record by record.

    def _take_slowly(self, data: bytes, limit: int, is_last: bool) -> tuple[list[pa.RecordBatch], int]:
        form, facts = self._form, self._facts
        rows: list[list[str | None]] = []
        bad: list[tuple[str, int, str | None]] = []
        position, n_before = 0, facts.n_rows
        while position < min(limit, len(data)):
            record = self._split.record(data, position, is_last)
            if record is None:
                break
            begin, position = position, record.end
            self._note_record(record)
            if record.is_blank and form.n_columns > 1:
                continue
            why = self._why_malformed(record)
            if why is None:
                rows.append(self._values(record.fields))
                facts.n_rows += 1
                continue
            facts.n_malformed += 1
            if why == "a quote out of place" and facts.record_misquoted is None:
                facts.record_misquoted = facts.n_records
            bad.append(self._malformed(data[begin:position], why))
        batches = []
        if rows:
            texts = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
            facts.n_rows = n_before
            batches.append(self._rows_batch(texts, b"\0" in data))
            facts.n_rows += len(rows)
        if bad:
            kinds, numbers, said = zip(*bad, strict=True)
            texts = [pa.nulls(len(bad), pa.string())] * form.n_columns
            batches.append(
                self._batch(
                    texts, pa.array(kinds), pa.array(numbers, pa.int64()), pa.array(said, pa.string())
                )
            )
        return batches, position

    def _why_malformed(self, record: Record) -> str | None:
        # DuckDB holds a field whose quotes are out of place against UTF-8 even in a file in Latin-1.
        is_held = self._encoding == "utf-8"
        fields = enumerate(record.fields[: self._form.n_columns])
        if not all(_is_utf8(text) for at, text in fields if is_held or at in record.misquoted):
            return "not in the encoding"
        if record.misquoted:
            return "a quote out of place"
        n, n_expected = len(record.fields), self._form.n_columns
        if n < n_expected:
            return "too few fields"
        # Empty fields at the end of a line are let pass.
        return "too many fields" if any(record.fields[n_expected:]) else None

    def _values(self, fields: Sequence[bytes]) -> list[str | None]:
        """The fields of a row as text; counts line ends within them, and notes a field that holds whole rows."""
        form, facts = self._form, self._facts
        values: list[str | None] = []
        holds_rows = False
        for raw in fields[: form.n_columns]:
            value = raw.decode(self._encoding)
            if "\n" in value or "\r" in value:
                n_ends = len(re.findall("\r\n|\r|\n", value))
                facts.n_ends_within += n_ends
                if value.count(form.separator) >= n_ends * max(form.n_columns - 1, 1):
                    holds_rows = True
                else:
                    facts.n_ends_counted += n_ends
                if form.lines_fed:
                    value = re.sub("\r\n?", "\n", value)
            values.append(value or None)
        if holds_rows and facts.row_holding_rows is None:
            facts.row_holding_rows = facts.n_rows + 1
        return values

    def _malformed(self, line: bytes, why: str) -> tuple[str, int, str | None]:
        number = self._facts.n_records
        trailer = self._form.trailer
        text = line.decode(self._encoding, "replace").rstrip("\r\n")
        if not trailer or not text.startswith(trailer):
            return ("malformed", number, why)
        parts = text.split(self._form.separator)
        return ("trailer", number, parts[1] if len(parts) > 1 else "")


_END_NAMES = np.array(["\n", "\r", "\r\n", ""])


def _line_starts(values: np.ndarray, is_last: bool) -> tuple[np.ndarray, np.ndarray]:
    """Where lines begin after those that end here, and the kinds of their ends as numbers of _END_NAMES."""
    ends = np.flatnonzero((values == _LINE_FEED) | (values == _RETURN))
    if ends.size and not is_last and values[-1] == _RETURN:
        ends = ends[:-1]  # a line feed may follow
    is_feed = values[ends] == _LINE_FEED
    follows = np.zeros(len(ends), bool)
    follows[1:] = is_feed[1:] & ~is_feed[:-1] & (np.diff(ends) == 1)
    kinds = np.where(follows, 2, np.where(is_feed, 0, 1))
    # Of a return and a line feed the line feed counts.
    kept = ~np.append(follows[1:], False)[: len(ends)]
    starts, kinds = ends[kept] + 1, kinds[kept]
    if is_last and len(values) and (not len(starts) or starts[-1] < len(values)):
        starts, kinds = np.append(starts, len(values)), np.append(kinds, 3)
    return starts, kinds


def _normalised(column: pa.Array, has_nul: bool) -> pa.Array:
    """Composed characters (NFC), and blanks for NULs."""
    if has_nul:
        column = pc.replace_substring(column, "\0", " ")
    is_plain = pc.all(pc.string_is_ascii(column)).as_py()
    return column if is_plain in (True, None) else pc.utf8_normalize(column, "NFC")


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
