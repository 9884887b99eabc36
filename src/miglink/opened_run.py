"""A run as Python sees it: made or opened, its tables as LazyFrames of polars, and what it rests on.

`import miglink` reads this module: what is heavy is imported where it is used.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from miglink.elsewhere import check_here, find_note
from miglink.errors import ConfigError, SourceError
from miglink.runfolder import (
    LINKED_FOLDER,
    OUTPUTS_FOLDER,
    TABLES_FOLDER,
    default_folder,
    newest_folder,
    output_path,
    read_manifest,
)

if TYPE_CHECKING:
    import polars as pl

    from miglink.config import Config

_SUFFIX = ".parquet"
_STATED = {"miglink", "python", "libraries", "seeds", "config", "stages"}
# How Hadoop writes the address of a folder that machines share by its path.
_SHARED_PATH = re.compile(r"file:(?://)?(/.*)")


@dataclass(frozen=True)
class Frames:
    """The tables of one folder of a run: iterating gives their names, and each name its LazyFrame.

    `hint` says why a table that the run might have is not among them.
    """

    folder: Path
    names: tuple[str, ...]
    hint: str = field(default="", repr=False)

    def __getitem__(self, name: str) -> "pl.LazyFrame":
        """The table of this name, not yet read; ConfigError where there is none, with the name most like it."""
        if name not in self.names:
            from miglink.config.problems import unknown_key
            from miglink.tables import TABLES

            is_of_a_run = self.hint and name in TABLES
            why = f". {self.hint}" if is_of_a_run else f", {unknown_key(str(name), self.names)}"
            raise ConfigError(f"{self.folder}: no table {name!r}{why}")
        return _scan(self.folder / f"{name}{_SUFFIX}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names


@dataclass(frozen=True)
class Run:
    """A run that finished, or was ended after a stage: its tables, its files for others, and what it rests on.

    `run["stocks"]` is the table `stocks`. `manifest` is manifest.json as it is.
    """

    folder: Path
    manifest: Mapping[str, Any] = field(repr=False)

    def table(self, name: str) -> "pl.LazyFrame":
        """A table of the stages by its name in docs/tables.md; ConfigError where the run has none of that name."""
        return self.tables[name]

    def __getitem__(self, name: str) -> "pl.LazyFrame":
        return self.tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    @property
    def tables(self) -> Frames:
        """The tables of the stages that were done. Some hold names and documents: they stay inside."""
        stages = self.manifest["stages"]
        last = stages[-1]["name"] if stages else "none"
        hint = f"The run was ended after stage {last}; go on with it: miglink run CONFIG --out {self.folder} --resume"
        is_whole = self.manifest["state"] == "finished"
        return self._frames(TABLES_FOLDER, "" if is_whole else hint)

    @property
    def outputs(self) -> Frames:
        """The aggregates of outputs/, which may leave the run folder."""
        hint = "outputs/ has the formats that publish.formats names; only Parquet is read here"
        return self._frames(OUTPUTS_FOLDER, hint)

    @property
    def linked(self) -> Frames:
        """The pseudonymous histories of persons in linked/ (docs/analysts.md)."""
        return self._frames(LINKED_FOLDER)

    @property
    def config(self) -> "Config":
        """The configuration that the run used, with every default; ConfigError if another version wrote it."""
        from miglink.config import Config

        try:
            return Config.model_validate_json(json.dumps(self.manifest["config"]))
        except ValueError:
            raise ConfigError(
                f"{self.folder}: manifest.json does not state the configuration as this version of miglink writes it; "
                "`manifest['config']` has it as it is"
            ) from None

    @property
    def versions(self) -> dict[str, str]:
        """The versions of miglink, of Python and of the libraries that the results may depend on."""
        named = {name: self.manifest[name] for name in ("miglink", "python")}
        return {**named, **self.manifest["libraries"]}

    @property
    def seeds(self) -> dict[str, int]:
        """The seeds of what was drawn at random, by stage."""
        return dict(self.manifest["seeds"])

    @property
    def seconds(self) -> dict[str, float]:
        """How long each stage took."""
        return {stage["name"]: stage["seconds"] for stage in self.manifest["stages"]}

    def _frames(self, name: str, hint: str = "") -> Frames:
        """The tables of a folder, in the order in which the stages gave them."""
        folder = self.folder / name
        given = (
            output_path(self.folder, output)
            for stage in self.manifest["stages"]
            for output in stage["outputs"]
        )
        names = (path.stem for path in given if path.parent == folder and path.suffix == _SUFFIX)
        return Frames(folder, tuple(names), hint)


def open_run(path: Path | str) -> Run:
    """Open the folder of a run; ConfigError where it is none, or one that is not finished.

    A run that was ended with `--to` opens with the tables of the stages that were done.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    if not manifest.keys() >= _STATED:
        raise ConfigError(
            f"{folder}: manifest.json does not state what a run of this version of miglink does"
        )
    return Run(folder, manifest)


def run(
    config: "Path | str | Config",
    out: Path | str | None = None,
    *,
    set: Mapping[str, object] | Sequence[str] = (),
    from_stage: str | None = None,
    to_stage: str | None = None,
    resume: bool = False,
) -> Run:
    """Do what `miglink run` does, and open the run.

    Reads: config, the path of a configuration, or a configuration that was read. set: values that override it,
        {"linkage.seed": 2} or ["linkage.seed=2"]; variables MIGLINK_… of the environment hold, too.
    Gives: the run, in the folder `out`, new or empty; default: runs/<name>-<time>. from_stage, to_stage and resume are
        the options of the command. Progress goes to standard error.
    Errors: those of miglink.errors; ConfigError before any work if something is wrong with the configuration.
    """
    from miglink.config import Config, load_key, read_config
    from miglink.console import DEMO_KEY_NOTE, say
    from miglink.pipeline import STAGES, run_pipeline
    from miglink.progress import Progress
    from miglink.runrecord import Course

    for option, stage in (("from_stage", from_stage), ("to_stage", to_stage)):
        if stage is not None and stage not in STAGES:
            raise ConfigError(f"{option}: no stage {stage!r}; known: {', '.join(STAGES)}")
    if isinstance(config, Config):
        if set:
            raise ConfigError("set: overrides the values of a file; change a configuration itself instead")
        settings = config
    else:
        settings = read_config(Path(config), _overrides(set), os.environ)
    key = load_key(settings.key)
    if settings.key.demo:
        say(DEMO_KEY_NOTE)
    is_resumed = resume or from_stage is not None
    if out is None:
        name = settings.name
        folder = newest_folder(name, unfinished=resume) if is_resumed else default_folder(name)
    else:
        folder = Path(out)
    run_pipeline(settings, folder, key, Progress(), Course(is_resumed, from_stage, to_stage))
    return open_run(folder)


def _overrides(given: Mapping[str, object] | Sequence[str]) -> Sequence[str]:
    """Overrides as the command line has them: JSON is YAML."""
    if isinstance(given, Mapping):
        return [f"{key}={json.dumps(value, default=str)}" for key, value in given.items()]
    return [given] if isinstance(given, str) else given


def _scan(path: Path) -> "pl.LazyFrame":
    """A file, a folder of Parquet files, or what lies elsewhere on a path that this machine has, too."""
    import polars as pl

    note = find_note(path)
    if note is not None:
        shared = _SHARED_PATH.fullmatch(note.address)
        place = Path(shared.group(1)) if shared else None
        if place is None or not place.is_dir():
            check_here(path)  # says what to copy
        assert place is not None
        path = place
    files = sorted(path.glob(f"*{_SUFFIX}")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise SourceError(
            f"{path}: is missing; make it anew with `miglink run CONFIG --out {path.parents[1]} --resume`"
        )
    return pl.scan_parquet(files, glob=False)
