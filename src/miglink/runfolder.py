"""The folder of a run: where it is, who may write it, and what its files are."""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from miglink.elsewhere import listing_hash
from miglink.errors import ConfigError, SourceError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

MANIFEST, LOG = "manifest.json", "log.jsonl"
TABLES_FOLDER, OUTPUTS_FOLDER, LINKED_FOLDER = "tables", "outputs", "linked"
EVALUATION_FOLDER = "evaluation"
_BYTES_AT_ONCE = 1 << 20
_FAR_BEYOND = 1 << 40  # a byte that no log ever has: locking it leaves the log readable on Windows


def default_folder(name: str, runs: Path = Path("runs")) -> Path:
    """The folder of a run without --out: its name and the time in UTC, below runs/."""
    return runs / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%S}Z"


def newest_folder(name: str, runs: Path = Path("runs"), *, unfinished: bool) -> Path:
    """The newest run of this name below runs/; ConfigError where there is none."""
    found = []
    for folder in sorted(runs.glob(f"{name}-*Z")):
        manifest = find_manifest(folder)
        is_of_name = manifest is not None and manifest.get("config", {}).get("name") == name
        if manifest is not None and is_of_name and not (unfinished and manifest.get("state") == "finished"):
            found.append((str(manifest.get("started_at", "")), folder))
    if not found:
        kind = "unfinished run" if unfinished else "run"
        raise ConfigError(f"no {kind} of '{name}' in {runs}/; name its folder with --out, or start a new run")
    return max(found)[1]


def make_folder(folder: Path, *, is_resumed: bool = False) -> None:
    """Make the folder of a run, open to its owner only; ConfigError if a new one has something in it already."""
    try:
        if not is_resumed and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(
                f"--out {folder}: exists and is not an empty folder; name another or remove it. "
                "To go on with the run in it, add --resume"
            )
        for path in (folder, *(folder / name for name in (TABLES_FOLDER, OUTPUTS_FOLDER, LINKED_FOLDER))):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o700)
    except OSError as error:
        raise ConfigError(f"--out {folder}: cannot be made: {error.strerror}") from None


def resume_folder(folder: Path) -> dict[str, Any] | None:
    """The manifest of the run in a folder; None where it was ended before it did anything."""
    manifest = find_manifest(folder)
    if manifest is not None and {"stages", "inputs", "started_at", "config"} <= manifest.keys():
        return manifest
    if not folder.exists():
        raise ConfigError(
            f"--out {folder}: there is no such folder, so no run to go on with; leave out --resume and --from"
        )
    skeleton = {LOG, f"{MANIFEST}.part", TABLES_FOLDER, OUTPUTS_FOLDER, LINKED_FOLDER}
    files = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    is_blank = folder.is_dir() and {path.name for path in folder.iterdir()} <= skeleton
    if is_blank and not any(file for path in files for file in path.rglob("*")):
        return None
    raise ConfigError(
        f"--out {folder}: holds no run that can be gone on with ({MANIFEST} is missing or damaged); "
        "name another folder, and start a new run"
    )


def lock_folder(folder: Path, log: TextIO) -> None:
    """Hold the run folder for this process, by a lock on its log that ends with the process, however that ends."""
    try:
        if sys.platform == "win32":
            log.seek(_FAR_BEYOND)
            msvcrt.locking(log.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(log.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConfigError(
            f"--out {folder}: another run is at work in this folder; wait for it, or name another folder"
        ) from None


def clear_folder(folder: Path) -> None:
    """Remove what was only half written when the run before ended."""
    for part in list(folder.rglob("*.part")):
        if part.is_dir():  # of Spark
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
    shutil.rmtree(folder / TABLES_FOLDER / "scratch", ignore_errors=True)


def find_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a run; None where there is none that can be read."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a run that finished, or was ended after a stage; ConfigError where the folder holds none."""
    if not (folder / MANIFEST).is_file():
        raise ConfigError(f"{folder}: not the folder of a run; it holds no {MANIFEST}")
    manifest = find_manifest(folder)
    if manifest is None:
        raise ConfigError(f"{folder / MANIFEST}: cannot be read as the manifest of a run")
    state = manifest.get("state", "unknown")
    if state not in ("finished", "stopped"):
        raise ConfigError(
            f"{folder}: the run is not finished but {state}; go on with it: miglink run CONFIG --out {folder} --resume"
        )
    return manifest


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest whole or not at all."""
    part = folder / f"{MANIFEST}.part"
    part.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
    os.replace(part, folder / MANIFEST)


def describe_file(path: Path) -> dict[str, int | str]:
    """Size and SHA-256 of a file, or of all files of a folder in the order of their names."""
    digest, size = hashlib.sha256(), 0
    for file in files_of(path):
        size += file.stat().st_size
        with file.open("rb") as stream:
            while block := stream.read(_BYTES_AT_ONCE):
                digest.update(block)
    return {"bytes": size, "sha256": digest.hexdigest()}


def files_of(path: Path) -> list[Path]:
    """The file itself, or every file below a folder in the order of their names."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def output_path(folder: Path, name: str) -> Path:
    """Where an output of a stage stands: files are named by their path, tables by their name."""
    is_file = "/" in name or "." in name
    return folder / name if is_file else folder / TABLES_FOLDER / f"{name}.parquet"


def find_damage(folder: Path, outputs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Which outputs are missing, or are not as they were written; in words."""
    for name, described in outputs.items():
        path = output_path(folder, name)
        where = path.relative_to(folder).as_posix()
        if not path.exists():
            yield f"{where} is missing"
        elif _hash(path, described) != described.get("sha256"):
            yield f"{where} is not as it was written"


def _hash(path: Path, described: Mapping[str, Any]) -> object:
    return listing_hash(path) if "lies_at" in described else describe_file(path)["sha256"]


def check_tables(folder: Path, manifest: Mapping[str, Any], names: Collection[str]) -> None:
    """Raise SourceError where one of these tables of a finished run is missing or is not as it was written."""
    outputs = {
        name: described
        for stage in manifest.get("stages", ())
        for name, described in stage["outputs"].items()
    }
    damage = list(find_damage(folder, {name: outputs[name] for name in names if name in outputs}))
    if damage:
        raise SourceError(
            f"{folder}: {'; '.join(damage)}; make it anew with `miglink run CONFIG --out {folder} --resume`"
        )


def remove_outputs(folder: Path, names: Collection[str]) -> None:
    """Remove the outputs of stages that are to be done anew, and an evaluation of them: nothing outdated stays."""
    paths = [output_path(folder, name) for name in names] + ([folder / EVALUATION_FOLDER] if names else [])
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
