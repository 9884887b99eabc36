"""The record of a run: manifest, log and progress; what a run before it has done is taken over. No personal data."""

import hashlib
import json
import platform
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow.parquet
import structlog

from miglink.config import Config
from miglink.config.windows import describe_windows, find_windows
from miglink.elsewhere import find_note, listing_hash
from miglink.engine import Table
from miglink.errors import ConfigError, MiglinkError, SourceError
from miglink.progress import Progress
from miglink.runfolder import (
    LOG,
    TABLES_FOLDER,
    clear_folder,
    describe_file,
    files_of,
    find_damage,
    lock_folder,
    make_folder,
    output_path,
    remove_outputs,
    resume_folder,
    write_manifest,
)
from miglink.version import __version__

if sys.platform != "win32":
    import resource

_LIBRARIES = (
    "anyascii",
    "duckdb",
    "jinja2",
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
# What a stage rests on beside sources and the stages before it, as a person would say that it changed.
_CAUSES = {
    "configuration": "its configuration changed",
    "key": "the key changed",
    "software": "miglink or a library is another version",
}


@dataclass(frozen=True)
class Course:
    """How far a run goes: from the first stage that must be done, or from one that is named, to a last one.

    is_resumed: go on in a folder that has a run already. Stages that are done, whole and unaffected are taken over.
    """

    is_resumed: bool = False
    from_stage: str | None = None
    to_stage: str | None = None


@dataclass(frozen=True)
class Plan:
    """All stages in order, each with hashes of what it rests on by cause; how far to go; the sources as they are."""

    stages: Mapping[str, Mapping[str, str]]
    course: Course = Course()
    sources: Mapping[str, Sequence[Path]] = field(default_factory=dict)

    @property
    def to_do(self) -> list[str]:
        """The stages up to the last one asked for."""
        names = list(self.stages)
        return names[: names.index(self.course.to_stage) + 1] if self.course.to_stage else names


def hash_of(*values: Any) -> str:
    """The SHA-256 of values that can be written as JSON."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def software_versions() -> dict[str, str]:
    """The versions of miglink and of the libraries that its results may depend on."""
    return {"miglink": __version__, **{name: version(name) for name in _LIBRARIES}}


def find_first(folder: Path, previous: Mapping[str, Any], plan: Plan) -> tuple[str | None, str]:
    """The first stage that must be done, and why; None where all that is asked for is done already."""
    done = {str(stage["name"]): stage for stage in previous["stages"]}
    changed_source = next(_changed_sources(previous["inputs"], plan.sources), None)
    for name in plan.to_do:
        if name not in done:
            return name, "it was not done yet"
        if changed_source is not None:
            return name, f"the files of source {changed_source} changed"
        rests_on, now = done[name].get("rests_on", {}), plan.stages[name]
        changed = [words for cause, words in _CAUSES.items() if rests_on.get(cause) != now.get(cause)]
        damage = list(find_damage(folder, done[name]["outputs"]))
        if changed or damage:
            return name, "; ".join(changed + damage[:3])
        if name == plan.course.from_stage:
            return name, "asked for by --from"
    return None, ""


def _changed_sources(recorded: Mapping[str, Any], found: Mapping[str, Sequence[Path]]) -> Iterator[str]:
    """The sources whose files are others than those recorded, or have other content."""
    for name in sorted({*recorded, *found}):
        before, paths = recorded.get(name, {}), found.get(name, ())
        is_same = list(before) == [str(path) for path in paths]
        if not is_same or any(describe_file(path) != before[str(path)] for path in paths):
            yield name


class RunRecord:
    """Keeps the manifest and the log of one run; a run that fails leaves both, and no half-written file."""

    def __init__(self, folder: Path, config: Config, plan: Plan, progress: Progress) -> None:
        previous = resume_folder(folder) if plan.course.is_resumed else None
        make_folder(folder, is_resumed=plan.course.is_resumed)
        self.folder = folder
        self.tables_folder = folder / TABLES_FOLDER
        self.tables: dict[str, Table] = {}
        self._plan, self._progress = plan, progress
        self._stage, self._stage_clock, self._clock = "", 0.0, time.perf_counter()
        self._stage_cpu_clock = 0.0
        self._sources: dict[Path, tuple[int, int]] = {}
        try:
            self._log_file = (folder / LOG).open("a", encoding="utf-8", newline="\n")
        except OSError as error:
            raise ConfigError(f"--out {folder}: cannot be written: {error.strerror}") from None
        try:
            lock_folder(folder, self._log_file)
            (folder / LOG).chmod(0o600)
            clear_folder(folder)
        except BaseException:
            self._log_file.close()
            raise
        self._first, self._why = find_first(folder, previous or {"stages": [], "inputs": {}}, plan)
        self._manifest = _opening(config, previous)
        self._take_over(previous["stages"] if previous else [])
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
        write_manifest(folder, self._manifest)

    def __enter__(self) -> Self:
        self._log.info("run started", run=self._manifest["config"]["name"], miglink=__version__)
        to_do = self._plan.to_do
        n_over = to_do.index(self._first) if self._first else len(to_do)
        if self._plan.course.is_resumed:
            first = self._first or "nothing: all that is asked for is done"
            self._log.info("run resumed", first=first, why=self._why)
            self._progress.resume(self._first, self._why, to_do[:n_over])
        self._progress.start(to_do[n_over:])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            is_whole = [stage["name"] for stage in self._manifest["stages"]] == list(self._plan.stages)
            self._manifest["state"] = "finished" if is_whole else "stopped"
            self._log.info(f"run {self._manifest['state']}")
        else:
            self._manifest["state"] = "failed"
            # The message of a foreign error may hold values of a person's fields; ours never do.
            said = str(error) if isinstance(error, MiglinkError) else None
            self._manifest["error"] = {"stage": self._stage, "type": type(error).__name__, "message": said}
            where = f"log: {self.folder / LOG}"
            error.add_note(f"stage {self._stage}; {where}" if self._stage else where)
        self._manifest["finished_at"] = _now()
        self._manifest["seconds"] = round(time.perf_counter() - self._clock, 3)
        self._manifest["peak_memory_bytes"] = peak_memory_bytes()
        try:
            if error is not None:
                clear_folder(self.folder)
                self._log.error("run failed", **self._manifest["error"], where=_frames(trace))
            write_manifest(self.folder, self._manifest)
        except OSError:
            if error is None:  # else a full disk must not hide what went wrong
                raise
        self._progress.close()
        structlog.contextvars.unbind_contextvars("stage")
        structlog.reset_defaults()
        with suppress(OSError):
            self._log_file.close()

    def inputs(self, files: Mapping[str, Sequence[Path]]) -> None:
        """Record the files of each source with their hashes, before they are read."""
        for source, paths in sorted(files.items()):
            for path in paths:
                self._sources[path] = _stamp(path)
            self._manifest["inputs"][source] = {str(path): describe_file(path) for path in paths}

    def begin(self, name: str) -> bool:
        """Begin a stage; False where it need not be done: it is done already, or lies beyond what is asked for."""
        to_do = self._plan.to_do
        if name not in to_do or self._first is None or to_do.index(name) < to_do.index(self._first):
            return False
        self._stage, self._stage_clock, self._stage_cpu_clock = name, time.perf_counter(), time.process_time()
        self._progress.begin(name)
        structlog.contextvars.bind_contextvars(stage=name)
        return True

    def finish(self, *tables: Table, files: Sequence[Path] = ()) -> None:
        """Record what the stage has made: tables, and other files; from now on a resumed run takes them over."""
        self._check_sources()
        outputs, n_rows = {}, 0
        for table in tables:
            outputs[table.name] = describe_output(table.path)
            self.tables[table.name] = table
        for path in files:
            outputs[path.relative_to(self.folder).as_posix()] = describe_output(path)
        n_rows = sum(int(described.get("rows", 0)) for described in outputs.values())
        seconds = round(time.perf_counter() - self._stage_clock, 3)
        self._manifest["stages"].append(
            {
                "name": self._stage,
                "seconds": seconds,
                # Of all threads of this process; on Spark that is the driver in Python alone.
                "cpu_seconds": round(time.process_time() - self._stage_cpu_clock, 3),
                "peak_memory_bytes": peak_memory_bytes(),
                "outputs": outputs,
                "rests_on": dict(self._plan.stages[self._stage]),
            }
        )
        self._log.info("stage finished", seconds=seconds, rows={k: v.get("rows") for k, v in outputs.items()})
        structlog.contextvars.unbind_contextvars("stage")
        self._progress.end(self._stage, n_rows, seconds)
        self._stage = ""
        write_manifest(self.folder, self._manifest)

    def _take_over(self, recorded: Sequence[Mapping[str, Any]]) -> None:
        """Keep what is done and unaffected; remove the outputs of all later stages."""
        names = list(self._plan.stages)
        n_kept = names.index(self._first) if self._first else len(recorded)
        kept, outdated = recorded[:n_kept], recorded[n_kept:]
        self._manifest["stages"] = list(kept)
        for stage in kept:
            for name in stage["outputs"]:
                path = output_path(self.folder, name)
                if path.parent == self.tables_folder:
                    self.tables[name] = Table(name, path)
        remove_outputs(self.folder, [name for stage in outdated for name in stage["outputs"]])

    def _check_sources(self) -> None:
        """A source whose files change while a run reads them is read as no delivery ever was."""
        changed = [path for path, stamp in self._sources.items() if _stamp(path) != stamp]
        self._sources = {}  # read by one stage only
        if changed:
            raise SourceError(
                f"{changed[0]} changed while it was read; wait until its delivery is complete, then run again"
            )


def describe_output(path: Path) -> dict[str, int | str]:
    """Size and hash of an output, and its rows where it is Parquet; of one that lies elsewhere, what its note says."""
    note = find_note(path)
    if note is not None:
        size = sum(note.n_bytes.values())
        return {
            "bytes": size,
            "sha256": listing_hash(path),
            "rows": note.n_rows,
            "lies_at": note.address,
        }
    n_rows = count_rows(path)
    return {**describe_file(path), **({} if n_rows is None else {"rows": n_rows})}


def count_rows(path: Path) -> int | None:
    """The rows of a table in Parquet, a file or a folder, or one that lies elsewhere; None of any other file."""
    note, files = find_note(path), files_of(path)
    if note is not None:
        return note.n_rows
    if not files or any(file.suffix != ".parquet" for file in files):
        return None
    return sum(int(pyarrow.parquet.read_metadata(file).num_rows) for file in files)


def peak_memory_bytes() -> int | None:
    """The most memory this process has held so far; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    with suppress(OSError):
        # Where there is one: what getrusage tells on Linux is at least what the process held that started this one.
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _opening(config: Config, previous: Mapping[str, Any] | None) -> dict[str, Any]:
    """The manifest of a run that begins, or goes on."""
    versions = software_versions()
    return {
        "state": "running",
        "started_at": previous["started_at"] if previous else _now(),
        **({"resumed_at": _now()} if previous else {}),
        "miglink": versions.pop("miglink"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": versions,
        "seeds": {"linkage": config.linkage.seed},
        "config": config.model_dump(mode="json", by_alias=True),
        # What the sources cover of the period, where it is less.
        "observed": describe_windows(find_windows(config)) if config.period else {},
        "inputs": dict(previous["inputs"]) if previous else {},
        "stages": [],
    }


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _frames(trace: TracebackType | None) -> list[str]:
    """Where an error was raised, as file, line and function, without any value."""
    return [
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)
    ]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
