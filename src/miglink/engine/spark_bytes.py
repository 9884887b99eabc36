"""The bytes of a file on the executors: opened, unpacked, and where a line begins in them."""

import io
import re
from pathlib import Path
from typing import Any

from miglink.engine.files import open_bytes

BYTES_BEYOND = 1 << 16


def opened(path: str, encoding: str) -> Any:
    """The bytes of a file, unpacked; those of text in UTF-16 as UTF-8."""
    stream = open_bytes(Path(path))
    return _Recoded(stream) if encoding == "utf-16" else stream


class _Recoded(io.RawIOBase):
    """UTF-16 as UTF-8, from its begin to its end."""

    def __init__(self, stream: Any) -> None:
        self._text = io.TextIOWrapper(stream, encoding="utf-16", newline="")

    def read(self, size: int = -1) -> bytes:
        return self._text.read(size).encode("utf-8")

    def seek(self, offset: int, whence: int = 0) -> int:
        assert offset == 0
        return 0

    def close(self) -> None:
        self._text.close()


def find_begin(stream: Any, start: int, end: int | None) -> int | None:
    """Where the first line begins that begins in [start, end); null where none does."""
    if start == 0:
        return 0
    # The byte before tells whether a line begins with the part; a return and a line feed are one line end.
    stream.seek(start - 1)
    position = start - 1
    while block := stream.read(BYTES_BEYOND):
        if found := re.search(rb"\r\n|\r(?=[^\n])|\n", block):
            begin = position + found.end()
            return begin if end is None or begin < end else None
        if block.endswith(b"\r"):
            following = stream.read(1)
            begin = position + len(block) + (following == b"\n")
            return begin if following and (end is None or begin < end) else None
        position += len(block)
        if end is not None and position >= end:
            return None
    return None
