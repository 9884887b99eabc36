"""Where Spark keeps the tables of a run: in the run folder, or on a Hadoop file system that notes there name."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from miglink.elsewhere import Note, find_note, write_note
from miglink.errors import ConfigError, SourceError

_MARK = "shared_folder.json"


class Store:
    """The folders of a run's tables, as Spark addresses them, and what is done to them as a whole.

    Without a shared folder they are in the run folder, which all machines know by one path. With one, they lie below
    it in a folder with the name of the run's, and the run folder has a note in the place of each.
    """

    def __init__(self, session: SparkSession, run_folder: Path, shared_folder: str | None) -> None:
        self._session = session
        self._run_folder = run_folder.absolute()
        self._shared = f"{shared_folder.rstrip('/')}/{self._run_folder.name}" if shared_folder else None
        self._claim()

    def read_from(self, path: Path) -> str:
        """Where the table lies that belongs at this path. Errors: SourceError if it is not as it was written."""
        note = find_note(path)
        if note is None:
            return file_address(path) if _is_here(path) else self.write_to(path)
        if self._files(note.address) != (note.n_bytes, note.checksums):
            raise SourceError(
                f"{note.address}: is not as it was written; remove {path}, then go on with the run by --resume"
            )
        return note.address

    def write_to(self, path: Path) -> str:
        """Where Spark writes what belongs at this path."""
        path = path.absolute()
        if self._shared is None or not path.is_relative_to(self._run_folder):
            return file_address(path)
        return f"{self._shared}/{path.relative_to(self._run_folder).as_posix()}"

    def put(self, part: Path, path: Path, n_rows: int | None = None) -> None:
        """Give a written folder its final name; with its rows, a note as well where it lies elsewhere."""
        if self._shared is None:
            for file in part.iterdir():
                if file.suffix != ".parquet":  # checksums of Hadoop's local file system
                    file.unlink()
            shutil.rmtree(path, ignore_errors=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(part, path)
            return
        shutil.rmtree(path, ignore_errors=True)
        source, target = self._path(self.write_to(part)), self._path(self.write_to(path))
        files = self._file_system(target)
        files.mkdirs(target.getParent())
        files.delete(target, True)
        if not files.rename(source, target):
            raise SourceError(
                f"{source}: could not be renamed to {target}; look into the log of the file system"
            )
        if n_rows is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            n_bytes, checksums = self._files(str(target))
            write_note(path, Note(self.write_to(path), n_rows, n_bytes, checksums))

    def hand_over(self, scratch: Path, path: Path, n_rows: int) -> None:
        """Make a scratch table a file for analysts: the same folder, its parts named anew by their order."""
        if self._shared is None:
            for number, file in enumerate(sorted(scratch.glob("*.parquet"))):
                os.replace(file, file.with_name(_part_name(number)))
        else:
            names, _ = self._files(self.write_to(scratch))
            files = self._file_system(self._path(self.write_to(scratch)))
            for number, name in enumerate(sorted(names)):
                named = [
                    self._path(f"{self.write_to(scratch)}/{part}") for part in (name, _part_name(number))
                ]
                files.rename(*named)
        self.put(scratch, path, n_rows)

    def remove(self, path: Path) -> None:
        """Remove a folder, on the disk of this machine and where Spark has it."""
        shutil.rmtree(path, ignore_errors=True)
        if self._shared is not None:
            target = self._path(self.write_to(path))
            self._file_system(target).delete(target, True)

    def _claim(self) -> None:
        """Take the shared folder for this run, and clear what a run that was ended left there.

        Errors: ConfigError if another run has it, if this run's tables lie elsewhere, or if it cannot be written.
        """
        mark = self._run_folder / _MARK
        marked = json.loads(mark.read_text(encoding="utf-8"))["address"] if mark.exists() else None
        is_begun = marked is not None or any((self._run_folder / "tables").glob("*.parquet"))
        if is_begun and marked != self._shared:
            raise ConfigError(
                f"engine.shared_folder: the tables of this run lie at {marked or self._run_folder / 'tables'}; keep "
                "the setting with which it began, or start a new run"
            )
        if self._shared is None:
            return
        try:
            root = self._path(self._shared)
            files = self._file_system(root)
            if marked is None and files.exists(root):
                raise ConfigError(
                    f"engine.shared_folder: {self._shared} exists already, from a run of the same name; remove it, or "
                    "give this run's folder another name (--out)"
                )
            if not files.mkdirs(root):
                raise PermissionError
        except ConfigError:
            raise
        except (
            Exception
        ) as error:  # of the JVM: an unknown scheme, a host that is not there, no right to write
            raise ConfigError(
                f"engine.shared_folder: {self._shared} cannot be used ({_kind(error)}); check its address, the rights, "
                "and that Spark has the jars of this file system"
            ) from None
        mark.write_text(json.dumps({"address": self._shared}) + "\n", encoding="utf-8")
        self._sweep(root)

    def _sweep(self, root: Any) -> None:
        """Remove every folder that no note names: half written, scratch, or of a stage to be done anew."""
        files = self._file_system(root)
        for kind in files.listStatus(root):
            for table in files.listStatus(kind.getPath()):
                place = table.getPath()
                here = self._run_folder / kind.getPath().getName() / place.getName()
                if find_note(here) is None and not _is_here(here):
                    files.delete(place, True)

    def _files(self, address: str) -> tuple[dict[str, int], dict[str, str]]:
        """Bytes and checksums of a table's files by name; the local file system and some others keep no checksum."""
        place = self._path(address)
        files = self._file_system(place)
        n_bytes: dict[str, int] = {}
        checksums: dict[str, str] = {}
        for status in files.listStatus(place) if files.exists(place) else ():
            name = status.getPath().getName()
            if not name.endswith(".parquet"):
                continue
            n_bytes[name] = status.getLen()
            checksum = files.getFileChecksum(status.getPath())
            if checksum is not None:
                checksums[name] = str(checksum.toString())
        return n_bytes, checksums

    def _path(self, address: str) -> Any:
        jvm: Any = self._session._jvm
        return jvm.org.apache.hadoop.fs.Path(address)

    def _file_system(self, path: Any) -> Any:
        jsc: Any = self._session._jsc
        return path.getFileSystem(jsc.hadoopConfiguration())


def file_address(path: Path) -> str:
    """A path of this machine in the words of Hadoop, for which a bare path lies on the cluster's own file system."""
    return f"file://{path.absolute()}"


def _is_here(path: Path) -> bool:
    """Whether a table was copied to the place of its note."""
    return any(path.glob("*.parquet"))


def _part_name(number: int) -> str:
    return f"part-{number:05}.parquet"


def _kind(error: Exception) -> str:
    """The class of an error of the JVM, without its message."""
    java: Any = getattr(error, "java_exception", None)
    return str(java.getClass().getSimpleName()) if java is not None else type(error).__name__
