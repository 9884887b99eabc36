"""What a machine lacks, in words: errors of the system, engines, Arrow and polars about memory, disk and rights."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from miglink.errors import MiglinkError, ResourceError

_DISK = "the disk is full, or a quota or a limit on the size of files is reached: free some space"
_RIGHTS = "a file or folder cannot be written or read: check that it is not read-only and belongs to you"
_MEMORY = (
    "memory ran out, or the disk that the engine spills to: lower `engine.threads`, raise `engine.memory_limit` or "
    "name a roomier disk as `engine.temp_directory`"
)
_SPARK_MEMORY = (
    "memory of Spark's driver or executors ran out: raise `spark.driver.memory` or `spark.executor.memory` under "
    "`engine.settings`, or `spark.sql.shuffle.partitions`, so that each task holds less (docs/spark.md)"
)
_BY_NUMBER = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _DISK),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _RIGHTS),
    errno.ENOMEM: _MEMORY,
}
# Libraries wrap the system's error into one of their own; then only its words tell.
_BY_WORDS = {
    "no space left on device": _DISK,
    "disk quota exceeded": _DISK,
    "file too large": _DISK,
    "not enough space": _DISK,
    "permission denied": _RIGHTS,
    "read-only file system": _RIGHTS,
    "operation not permitted": _RIGHTS,
    "cannot allocate memory": _MEMORY,
    "outofmemoryerror": _SPARK_MEMORY,
    "could not allocate memory": _SPARK_MEMORY,
    "not enough memory": _SPARK_MEMORY,
    "gc overhead limit exceeded": _SPARK_MEMORY,
}
_LIBRARIES = ("duckdb", "_duckdb", "polars", "pyspark", "py4j")
_MEMORY_ERRORS = ("OutOfMemoryException", "MemoryError", "ArrowMemoryError")


def find_shortage(error: BaseException | None) -> str | None:
    """What an error says is lacking, without its own words (they may hold values); None if it is about other things."""
    while error is not None:
        if isinstance(error, MiglinkError):
            return None
        if type(error).__name__ in _MEMORY_ERRORS:
            return _MEMORY
        if isinstance(error, OSError) and error.errno in _BY_NUMBER:
            return _BY_NUMBER[error.errno]
        if isinstance(error, OSError) or type(error).__module__.startswith(_LIBRARIES):
            words = str(error).lower()
            for part, shortage in _BY_WORDS.items():
                if part in words:
                    return shortage
        error = error.__cause__ or error.__context__
    return None


def is_interruption(error: BaseException) -> bool:
    """Whether an error is what DuckDB makes of Ctrl-C during a query."""
    is_duckdbs = isinstance(error, RuntimeError) or type(error).__name__ == "InterruptException"
    return is_duckdbs and "interrupt" in str(error).lower()


@contextmanager
def shortages_named(what_next: str) -> Iterator[None]:
    """Turn an error about memory, disk or permissions into a ResourceError that says what to do."""
    try:
        yield
    except Exception as error:
        shortage = find_shortage(error)
        if shortage is None:
            raise
        raise ResourceError(f"{shortage}; {what_next}") from None
