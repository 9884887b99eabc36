"""Records of a CSV file found one by one, by the same states and signs as DuckDB's reader in its strict mode."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Record:
    """One record: its fields without quotes, where the next begins, its line end ("" at the end of the file).

    `misquoted`: the positions of the fields whose quotes are out of place; one never closed has no text.
    """

    fields: list[bytes]
    end: int
    line_end: str
    misquoted: list[int]
    is_blank: bool


class RecordSplitter:
    """Finds the fields of a record by the same states and signs as DuckDB's reader in its strict mode."""

    def __init__(self, separator: bytes, quote: bytes) -> None:
        self._separator, self._quote = separator, quote
        self._skips_blank = separator != b" "
        self._stop = re.compile(re.escape(separator) + rb"|\r\n|\r|\n")
        self._blanks = re.compile(rb" *")

    def record(self, data: bytes, begin: int, is_last: bool) -> Record | None:
        """The record that begins here; None if its end is not in the data and more may follow."""
        fields: list[bytes] = []
        misquoted: list[int] = []
        position = begin
        while True:
            found = self._field(data, position, is_last)
            if found is None:
                return None
            value, position, is_wrong = found
            fields.append(value)
            if is_wrong:
                misquoted.append(len(fields) - 1)
            if position >= len(data):
                if not is_last:
                    return None
                return Record(fields, position, "", misquoted, position == begin)
            if data.startswith(self._separator, position):
                position += len(self._separator)
                continue
            line_end = "\r\n" if data[position : position + 2] == b"\r\n" else chr(data[position])
            if line_end == "\r" and position + 1 == len(data) and not is_last:
                return None
            return Record(fields, position + len(line_end), line_end, misquoted, position == begin)

    def _field(self, data: bytes, begin: int, is_last: bool) -> tuple[bytes, int, bool] | None:
        """A field, where it ends, and whether its quotes are out of place."""
        quote = self._quote
        if quote:
            at = begin + 1 if self._skips_blank and data.startswith(b" " + quote, begin) else begin
            if data.startswith(quote, at):
                return self._quoted(data, at + 1, is_last)
        end = self._end_of_plain(data, begin)
        return data[begin:end], end, False

    def _end_of_plain(self, data: bytes, begin: int) -> int:
        found = self._stop.search(data, begin)
        return found.start() if found else len(data)

    def _quoted(self, data: bytes, begin: int, is_last: bool) -> tuple[bytes, int, bool] | None:
        quote, position, is_doubled = self._quote, begin, False
        while True:
            closing = data.find(quote, position)
            if closing < 0:
                return (b"", len(data), True) if is_last else None
            after = closing + 1
            if data.startswith(quote, after):
                position, is_doubled = after + 1, True
                continue
            if self._skips_blank and data.startswith(b" ", after):
                found = self._blanks.match(data, after)
                after = found.end() if found else after
                if data.startswith(quote, after):  # after blanks a quote opens again
                    position, is_doubled = after + 1, True
                    continue
            if after < len(data) and not self._stop.match(data, after):
                end = self._end_of_plain(data, after)
                return data[begin : end if closing > begin else begin], end, True
            value = data[begin:closing]
            if is_doubled:
                value = re.sub(re.escape(quote) + b"(.?)", rb"\1", value, flags=re.DOTALL)
            return value, after, False
