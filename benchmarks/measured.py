"""What the benchmarks measure with: a command's time and memory, the machine, and a yardstick of its speed."""

import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import psutil

_LIBRARIES = ("duckdb", "polars", "splink", "pyarrow", "numpy")
_YARDSTICK_ROWS = 5_000_000
_SECONDS_BETWEEN = 0.02


class TooLarge(Exception):
    """A command held more memory than it was allowed."""


class TooSlow(Exception):
    """A command took longer than it was allowed."""


def timed(
    command: Sequence[str], most_memory: float = math.inf, most_seconds: float = math.inf
) -> dict[str, float]:
    """Run a command that must succeed; its seconds, CPU seconds and most memory (of one process, in bytes).

    Errors: TooLarge when it holds more bytes than most_memory, TooSlow when it takes longer than most_seconds; it is
    ended then.
    """
    began, peak = time.monotonic(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        peak = max(peak, _peak_memory(process.pid))
        taken = time.monotonic() - began
        if peak > most_memory or taken > most_seconds:
            process.kill()
            process.wait()
            if peak > most_memory:
                raise TooLarge(f"more than {most_memory / 1e9:g} GB after {taken:.0f} s")
            raise TooSlow(f"more than {most_seconds:,.0f} s")
        time.sleep(_SECONDS_BETWEEN)
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        sys.exit(f"failed: {' '.join(command)}")
    return {
        "seconds": round(time.monotonic() - began, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_memory_bytes": peak,
    }


def _peak_memory(pid: int) -> int:
    """The most that a process has held so far. What wait4 tells is at least what its parent held when it began."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def machine() -> dict[str, Any]:
    """The machine and the versions that a result belongs to, and how busy it was."""
    return {
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
        "versions": {name: version(name) for name in _LIBRARIES},
    }


def yardstick(n_times: int = 3) -> dict[str, float]:
    """How fast this machine is now: DuckDB reads 5 million rows, sorts them by two columns, writes them; best time.

    Ratios of seconds to it can be compared between machines, and between hours of a busy one; seconds cannot.
    """
    with TemporaryDirectory(prefix="miglink-yardstick-") as folder:
        rows, out = Path(folder) / "rows.parquet", Path(folder) / "out.parquet"
        with duckdb.connect() as connection:
            connection.execute(
                f"""COPY (
                    SELECT CAST(i * 7919 % 500009 AS INTEGER) AS person, CAST(i * 104729 % 4001 AS SMALLINT) AS day,
                           i % 2 = 0 AS is_arrival
                    FROM range({_YARDSTICK_ROWS}) AS t(i)
                ) TO '{rows}' (FORMAT parquet)"""
            )
        times = [sort_and_write(rows, out, "person, day") for _ in range(n_times)]
    return min(times, key=lambda taken: taken["cpu_seconds"])


def sort_and_write(rows: Path, out: Path, order: str) -> dict[str, float]:
    """Read Parquet, sort it and write it as Parquet, in DuckDB: the limit for programs that order these rows."""
    began, cpu_began = time.perf_counter(), time.process_time()
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT * FROM '{rows}' ORDER BY {order}) TO '{out}' (FORMAT parquet)")
    return {
        "seconds": round(time.perf_counter() - began, 3),
        "cpu_seconds": round(time.process_time() - cpu_began, 3),
    }
