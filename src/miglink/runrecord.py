"""The run folder and its record: manifest, log and progress. Nothing in them is personal data."""

import hashlib
import json
import os
import platform
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow.parquet
import structlog

from miglink import __version__
from miglink.config import Config
from miglink.engine import Table
from miglink.errors import ConfigError, MiglinkError
from miglink.progress import Progress

if sys.platform != "win32":
    import resource

MANIFEST, LOG = "manifest.json", "log.jsonl"
_TABLES, _OUTPUTS, _LINKED = "tables", "outputs", "linked"
_LIBRARIES = (
    "anyascii",
    "duckdb",
    "numpy",
    "polars",
    "pyarrow",
    "pydantic",
    "rapidfuzz",
    "ruamel.yaml",
    "splink",
    "sqlglot",
    "structlog",
    "typer",
)
_BYTES_AT_ONCE = 1 << 20


def default_folder(name: str) -> Path:
    """The folder of a run without --out: its name and the time in UTC, below runs/."""
    return Path("runs") / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"


def make_folder(folder: Path) -> None:
    """Make the folder of a run, open to its owner only; ConfigError if there is something in it already."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(f"--out {folder}: exists and is not an empty folder; name another or remove it")
        for path in (folder, *(folder / name for name in (_TABLES, _OUTPUTS, _LINKED))):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o700)
    except OSError as error:
        raise ConfigError(f"--out {folder}: cannot be made: {error.strerror}") from None


@dataclass
class Stage:
    """What a stage has made so far: its tables and other files, with rows, size and hash."""

    folder: Path
    finished: dict[str, Table]
    outputs: dict[str, dict[str, int | str]] = field(default_factory=dict)
    rows: int = 0

    def tables(self, *tables: Table) -> None:
        """Record finished tables; from now on the run has them."""
        for table in tables:
            self._describe(table.name, table.path)
            self.finished[table.name] = table

    def files(self, *paths: Path) -> None:
        """Record finished files that are not tables of the contract, by their path within the run folder."""
        for path in paths:
            self._describe(path.relative_to(self.folder).as_posix(), path)

    def _describe(self, name: str, path: Path) -> None:
        files = _files(path)
        self.outputs[name] = describe_file(path)
        if all(file.suffix == ".parquet" for file in files):
            rows = sum(pyarrow.parquet.read_metadata(file).num_rows for file in files)
            self.outputs[name]["rows"] = rows
            self.rows += rows


class RunRecord:
    """Keeps the manifest and the log of one run; a run that fails leaves both, and no half-written file."""

    def __init__(self, folder: Path, config: Config, progress: Progress) -> None:
        make_folder(folder)
        self.folder = folder
        self.tables_folder = folder / _TABLES
        self.tables: dict[str, Table] = {}
        self._progress = progress
        self._stage = ""
        self._clock = time.perf_counter()
        self._log_file = (folder / LOG).open("a", encoding="utf-8")
        (folder / LOG).chmod(0o600)
        self._manifest: dict[str, Any] = {
            "state": "running",
            "started_at": _now(),
            "miglink": __version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "libraries": {name: version(name) for name in _LIBRARIES},
            "seeds": {"linkage": config.linkage.seed},
            "config": config.model_dump(mode="json", by_alias=True),
            "inputs": {},
            "stages": [],
        }
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
                structlog.processors.JSONRenderer(),
            ],
            logger_factory=structlog.WriteLoggerFactory(self._log_file),
        )
        self._log = structlog.get_logger()
        self._write()

    def __enter__(self) -> Self:
        self._log.info("run started", run=self._manifest["config"]["name"], miglink=self._manifest["miglink"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._manifest["state"] = "finished"
            self._log.info("run finished")
        else:
            self._manifest["state"] = "failed"
            # The message of a foreign error may hold values of a person's fields; ours never do.
            said = str(error) if isinstance(error, MiglinkError) else None
            self._manifest["error"] = {"stage": self._stage, "type": type(error).__name__, "message": said}
            self._log.error("run failed", **self._manifest["error"], where=_frames(trace))
            error.add_note(
                f"stage {self._stage}; log: {self.folder / LOG}"
                if self._stage
                else f"log: {self.folder / LOG}"
            )
            self._clear()
        self._manifest["finished_at"] = _now()
        self._manifest["seconds"] = round(time.perf_counter() - self._clock, 3)
        self._manifest["peak_memory_bytes"] = peak_memory_bytes()
        self._write()
        self._progress.close()
        structlog.reset_defaults()
        self._log_file.close()

    def inputs(self, files: Mapping[str, Sequence[Path]]) -> None:
        """Record the files of each source with their hashes."""
        for source, paths in sorted(files.items()):
            described = {str(path): describe_file(path) for path in paths}
            self._manifest["inputs"][source] = described

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Record one stage: its outputs, time and memory; shown as progress."""
        stage, start = Stage(self.folder, self.tables), time.perf_counter()
        self._stage = name
        self._progress.begin(name)
        with structlog.contextvars.bound_contextvars(stage=name):
            yield stage
            seconds = round(time.perf_counter() - start, 3)
            entry = {
                "name": name,
                "seconds": seconds,
                "peak_memory_bytes": peak_memory_bytes(),
                "outputs": stage.outputs,
            }
            self._manifest["stages"].append(entry)
            self._log.info(
                "stage finished", seconds=seconds, rows={k: v.get("rows") for k, v in stage.outputs.items()}
            )
        self._progress.end(name, stage.rows, seconds)
        self._stage = ""
        self._write()

    def _clear(self) -> None:
        """Remove what a failed stage left half-written."""
        for part in self.folder.rglob("*.part"):
            part.unlink(missing_ok=True)
        shutil.rmtree(self.tables_folder / "scratch", ignore_errors=True)

    def _write(self) -> None:
        """Write the manifest whole or not at all."""
        path = self.folder / MANIFEST
        part = path.with_name(path.name + ".part")
        part.write_text(json.dumps(self._manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(part, path)


def describe_file(path: Path) -> dict[str, int | str]:
    """Size and SHA-256 of a file, or of all files of a folder in the order of their names."""
    digest, size = hashlib.sha256(), 0
    for file in _files(path):
        size += file.stat().st_size
        with file.open("rb") as stream:
            while block := stream.read(_BYTES_AT_ONCE):
                digest.update(block)
    return {"bytes": size, "sha256": digest.hexdigest()}


def peak_memory_bytes() -> int | None:
    """The most memory this process has held so far; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def _frames(trace: TracebackType | None) -> list[str]:
    """Where an error was raised, as file, line and function, without any value."""
    return [
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)
    ]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
