"""Run a command and watch it: its seconds, the memory of its processes, and the disk of the folders it fills."""

import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

_SECONDS_BETWEEN = 1.0


def watch(command: Sequence[str], folders: Sequence[Path] = ()) -> dict[str, float]:
    """The wall seconds of a command that must succeed, and the most that it held at once while looked at each second.

    Gives seconds, peak_memory_bytes (resident, of the process and all its descendants; pages that two of them share
    count twice) and peak_disk_bytes (of all files below the folders).
    """
    start = time.perf_counter()
    process = psutil.Popen(command, stdout=subprocess.DEVNULL)
    memory = disk = 0
    while process.poll() is None:
        memory, disk = max(memory, _memory(process)), max(disk, sum(map(held_by, folders)))
        time.sleep(_SECONDS_BETWEEN)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "peak_memory_bytes": memory,
        "peak_disk_bytes": disk,
    }


def _memory(process: psutil.Popen) -> int:
    held = 0
    with suppress(psutil.NoSuchProcess):
        for member in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                held += member.memory_info().rss
    return held


def held_by(folder: Path) -> int:
    """The bytes of all files below a folder, as far as they can be seen."""
    held = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # files come and go
                held += (Path(place) / name).stat().st_size
    return held
