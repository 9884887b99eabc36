"""Files before an engine reads them: their header, their lines, and what makes them unreadable."""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from miglink.engine import CsvFormat, text_literal
from miglink.errors import SourceError

# A row is a few hundred bytes. What is this long holds no line ends, or a quote that is never closed. DuckDB's reader
# drops such a row (it calls the limit max_line_size), and where it is much longer, rows around it without a word.
LONGEST_LINE = 2_000_000
_LONGEST_HEADER = 1_000_000
_BYTES_AT_ONCE = 1 << 22
_LINE_FEED, _RETURN = 10, 13
_SEPARATORS = {",": "','", ";": "';'", "\t": "'\\t'", "|": "'|'"}
# How files of other kinds begin, and what to do with them.
_OTHER_KINDS = {
    b"PAR1": "is a Parquet file: say `format.type: parquet`",
    b"PK\x03\x04": "is a ZIP archive or an Excel workbook: unpack it, or save it as CSV",
    b"\x1f\x8b": "is packed with gzip: its name must end in .gz",
}
_DAMAGE = (gzip.BadGzipFile, EOFError, zlib.error)


@dataclass(frozen=True)
class Lines:
    """What a file holds: lines that are not blank, the header among them, and whether any holds a NUL."""

    n: int
    has_nul: bool


def path_literal(path: Path | str) -> str:
    """A path as an SQL string literal; the characters of patterns in it (* ? [) stand for themselves."""
    return text_literal(
        "".join(f"[{character}]" if character in "*?[" else character for character in str(path))
    )


def is_packed(path: Path) -> bool:
    """Whether the name of a file says that it is packed with gzip."""
    return path.suffix.lower() == ".gz"


def open_bytes(path: Path) -> gzip.GzipFile | io.BufferedReader:
    """The bytes of a file, unpacked if its name ends in .gz."""
    return gzip.open(path, "rb") if is_packed(path) else path.open("rb")


def csv_header(name: str, paths: Sequence[Path], form: CsvFormat) -> list[str]:
    """The columns named in the first line of each file; all files of a source must have the same.

    Names are said in a message only of a file whose first line is a header for certain: else it may be a person.
    """
    headers = {path: _first_line(name, path, form) for path in paths}
    first_path, first = next(iter(headers.items()))
    if len(set(first)) != len(first) or "" in first:
        blank = f"; column {first.index('') + 1} of {len(first)} has none" if "" in first else ""
        end = " (the line ends in a separator)" if first[-1] == "" else ""
        raise SourceError(
            f"source {name}: {first_path.name}: the header repeats a column or leaves one without a name{blank}{end}; "
            "give every column a name of its own, or check `format.separator`"
        )
    for path, header in headers.items():
        if form.expected and not _is_header(header, form):
            raise SourceError(_no_header(name, path, header, form))
    for path, header in headers.items():
        if header != first:
            missing, further = sorted(set(first) - set(header)), sorted(set(header) - set(first))
            raise SourceError(
                f"source {name}: {path.name} has another header than {first_path.name}: "
                + (f"missing {missing}, further {further}, or another order; " if form.expected else "")
                + "give such files a source of their own"
            )
    return first


def _first_line(name: str, path: Path, form: CsvFormat) -> list[str]:
    try:
        with open_bytes(path) as stream:
            begin = stream.read(_LONGEST_HEADER)
    except (OSError, *_DAMAGE) as error:
        raise _unreadable(name, path, error) from None
    for mark, advice in _OTHER_KINDS.items():
        if begin.startswith(mark):
            raise SourceError(f"source {name}: {path.name} {advice}")
    try:
        # Only the first line is decoded where that can be: a row that is not in the encoding is for later.
        if form.encoding == "utf-16":
            begin = codecs.getincrementaldecoder("utf-16")().decode(begin).encode("utf-8", "surrogatepass")
        bytes_of_line = re.split(rb"[\r\n]", begin, maxsplit=1)[0]
        line = bytes_of_line.decode("latin-1" if form.encoding == "latin-1" else "utf-8-sig")
    except UnicodeError as error:
        raise SourceError(
            f"source {name}: {path.name}: the first line cannot be read in {form.encoding} "
            f"({type(error).__name__}); check `format.encoding` and whether the file was copied whole"
        ) from None
    if not line.strip():
        raise SourceError(f"source {name}: {path.name} is empty; a file needs at least its header line")
    if "\0" in line:
        raise SourceError(
            f"source {name}: {path.name}: the first line holds NUL bytes: it is text in UTF-16 (say "
            "`format.encoding: utf-16`; without a byte-order mark convert it to UTF-8), or no text at all"
        )
    if len(bytes_of_line) >= _LONGEST_HEADER:
        raise SourceError(
            f"source {name}: {path.name}: the first line is longer than {_LONGEST_HEADER:,} bytes; "
            "the file has no line ends, or it is no CSV file: check `format.type` and how it was written"
        )
    return _fields(name, path, line, form)


def _fields(name: str, path: Path, line: str, form: CsvFormat) -> list[str]:
    try:
        (fields,) = csv.reader(
            [line],
            delimiter=form.separator,
            quotechar=form.quote or None,
            quoting=csv.QUOTE_MINIMAL if form.quote else csv.QUOTE_NONE,
        )
    except csv.Error as error:
        raise SourceError(
            f"source {name}: {path.name}: the first line cannot be taken apart ({type(error).__name__}); "
            "check `format.separator` and `format.quote`, and that the file has a header line"
        ) from None
    return [field.strip() for field in fields]


def _is_header(header: Sequence[str], form: CsvFormat) -> bool:
    """Whether a first line names columns: one of them may stand in a row of data by chance, two hardly."""
    return len(set(header) & set(form.expected)) >= min(2, len(set(form.expected)))


def _no_header(name: str, path: Path, header: Sequence[str], form: CsvFormat) -> str:
    """What to say of a first line that may be a row of data: never what stands in it."""
    others = {
        sign: len(form.separator.join(header).split(sign)) for sign in _SEPARATORS if sign != form.separator
    }
    sign, n = max(others.items(), key=lambda item: item[1])
    hint = f"; with separator {_SEPARATORS[sign]} it would have {n}" if n > len(header) else ""
    return (
        f"source {name}: {path.name}: the first line does not name the columns of the configuration "
        f"({', '.join(f'`{column}`' for column in form.expected)}); with separator {form.separator!r} it has "
        f"{len(header)} fields{hint}. Check `format.separator`, the names under `columns`, and that the file has a "
        "header line; what stands in it is left out here, for it may be a person's"
    )


def _unreadable(name: str, path: Path, error: BaseException) -> SourceError:
    if isinstance(error, _DAMAGE):
        return damaged(name, path, type(error).__name__)
    reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return unreadable(name, path, reason)


def damaged(name: str, path: Path, kind: str) -> SourceError:
    """What to say of a packed file that cannot be unpacked to its end; `kind`: the name of the error."""
    return SourceError(
        f"source {name}: {path.name}: it is no whole gzip file ({kind}): cut off, damaged or not "
        "packed at all; compare its size with the sender's, and copy it again"
    )


def unreadable(name: str, path: Path, reason: str) -> SourceError:
    """What to say of a file that cannot be opened or read, for the reason that the system gives."""
    return SourceError(
        f"source {name}: {path.name} cannot be opened: {reason}; check that it is a file and that you may read it"
    )


def count_lines(name: str, path: Path, form: CsvFormat) -> Lines:
    """Read a file to its end and count its lines; SourceError where one is too long, or the file is damaged.

    The engine's reader says nothing of rows that it took into a quoted field or dropped for their size; with this count
    none can vanish. The text is in UTF-8 or Latin-1.
    """
    counter = LineCounter(form.encoding, form.quote, form.separator)
    try:
        with open_bytes(path) as stream:
            while block := stream.read(_BYTES_AT_ONCE):
                counter.add(block)
    except BadLineError as error:
        raise bad_line(name, path.name, error.kind, error.line) from None
    except (OSError, *_DAMAGE) as error:
        raise _unreadable(name, path, error) from None
    return Lines(counter.n + (counter.open_bytes > 0), counter.has_nul)


class BadLineError(Exception):
    """A line that is too long (`kind` is "long"), or opens a quote that is not closed near it ("quote")."""

    def __init__(self, kind: str, line: int) -> None:
        super().__init__(kind, line)
        self.kind, self.line = kind, line


def bad_line(name: str, file: str, kind: str, line: int) -> SourceError:
    """What to say of a BadLineError; the line is that of the file."""
    if kind == "quote":
        return SourceError(f"source {name}: {file}: {unclosed_quote(line)}")
    return SourceError(
        f"source {name}: {file}: line {line:,} is longer than {LONGEST_LINE:,} bytes, the most that a line may have; "
        "ends of lines are missing there, or it is no CSV file: ask for it again"
    )


class LineCounter:
    """Lines counted block by block; BadLineError where one cannot be read."""

    def __init__(self, encoding: str, quote_sign: str, separator_sign: str) -> None:
        self.n, self.open_bytes, self.has_nul = 0, 0, False
        encoding = encoding if encoding == "latin-1" else "utf-8"
        quote, separator = quote_sign.encode(encoding), separator_sign.encode(encoding)
        self._quote = quote[0] if len(quote) == 1 else None
        self._ends = (separator[-1], _LINE_FEED, _RETURN)
        self._starts = (separator[0], _LINE_FEED, _RETURN, self._quote or 0)
        self._bytes_quoted, self._quoted_line = -1, 0

    def add(self, block: bytes) -> None:
        """Count the lines that end in this block."""
        values = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero((values == _LINE_FEED) | (values == _RETURN))
        lengths = np.diff(ends, prepend=-1 - self.open_bytes) - 1
        rest = len(block) - 1 - int(ends[-1]) if ends.size else self.open_bytes + len(block)
        longest = int(lengths.max(initial=0))
        if max(longest, rest) > LONGEST_LINE:
            before = lengths[: int(np.argmax(lengths > LONGEST_LINE))] if longest > LONGEST_LINE else lengths
            line = self.n + int(np.count_nonzero(before)) + 1
            raise BadLineError("long", line)
        self._follow_quotes(values, ends, lengths)
        self.n += int(np.count_nonzero(lengths))
        self.open_bytes = rest
        self.has_nul = self.has_nul or b"\0" in block

    def _follow_quotes(self, values: np.ndarray, ends: np.ndarray, lengths: np.ndarray) -> None:
        """Refuse a quote that opens a field and is not closed within the length of a line."""
        if self._quote is None:
            return
        quotes = np.flatnonzero(values == self._quote)
        first = int(quotes[0]) if quotes.size else len(values)
        if self._bytes_quoted >= 0 and self._bytes_quoted + first > LONGEST_LINE:
            raise BadLineError("quote", self._quoted_line)
        if not quotes.size:
            self._bytes_quoted += len(values) if self._bytes_quoted >= 0 else 0
            return
        # At the edges of a block the neighbour is not known: such a quote is passed over.
        before, after = values[np.maximum(quotes - 1, 0)], values[np.minimum(quotes + 1, len(values) - 1)]
        opens = np.isin(before, self._ends) & ~np.isin(after, self._starts)
        far = opens & (np.diff(quotes, append=len(values)) > LONGEST_LINE)
        if far.any():
            raise BadLineError("quote", self._line_at(int(quotes[int(np.argmax(far))]), ends, lengths))
        self._bytes_quoted = len(values) - int(quotes[-1]) if opens[-1] else -1
        self._quoted_line = self._line_at(int(quotes[-1]), ends, lengths)

    def _line_at(self, position: int, ends: np.ndarray, lengths: np.ndarray) -> int:
        return self.n + int(np.count_nonzero(lengths[: int(np.searchsorted(ends, position))])) + 1


def unclosed_quote(line: int) -> str:
    """What to say of a quote that opens in this line and took in the lines after it."""
    return (
        f"a quote is opened in line {line:,} or near it and is not closed where it should be, so that the lines after "
        "it were taken for part of one field; mend that line, or say `format.quote: ''` if quotes are part of the text"
    )


def copy_as_utf8(name: str, path: Path, copy: Path, encoding: str) -> None:
    """Copy a file as UTF-8 with line feeds alone; bytes that are no UTF-8 stay as they are, to be found later."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    keep = "surrogateescape" if encoding == "utf-8" else "strict"
    try:
        with (
            open_bytes(path) as stream,
            io.TextIOWrapper(stream, encoding=encoding, errors=keep, newline=None) as text,
            gzip.open(copy, "wb", compresslevel=1) if is_packed(path) else copy.open("wb") as out,
        ):
            while part := text.read(_BYTES_AT_ONCE):
                out.write(part.encode("utf-8", errors=keep))
    except UnicodeError as error:
        raise undecodable(name, path, encoding, type(error).__name__) from None


def undecodable(name: str, path: Path, encoding: str, kind: str) -> SourceError:
    """What to say of a file that is not in its encoding; `kind`: the name of the error."""
    return SourceError(
        f"source {name}: {path.name} cannot be read in {encoding} ({kind}); "
        "check `format.encoding` and whether the file was copied whole"
    )
