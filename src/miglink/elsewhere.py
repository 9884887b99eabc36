"""A table that lies on a file system of its own, and the note in the run folder that says where."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from miglink.errors import SourceError

NOTE = "_lies_at.json"


@dataclass(frozen=True)
class Note:
    """Where a table lies, its rows, and its files: bytes by name, and a checksum where the file system keeps one."""

    address: str
    n_rows: int
    n_bytes: Mapping[str, int]
    checksums: Mapping[str, str]


def write_note(path: Path, note: Note) -> None:
    """Put a note in the place of a table; it appears only when whole."""
    path.mkdir(exist_ok=True)
    part = path / f"{NOTE}.part"
    part.write_text(json.dumps(asdict(note), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(part, path / NOTE)


def find_note(path: Path) -> Note | None:
    """The note in the place of a table; None where the table itself is there, or nothing."""
    try:
        return Note(**json.loads((path / NOTE).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError) as error:
        raise SourceError(
            f"{path / NOTE}: cannot be read ({type(error).__name__}); remove {path}, then go on by --resume"
        ) from None


def check_here(path: Path) -> None:
    """SourceError where only a note stands in the place of a table."""
    note = find_note(path)
    if note is not None:
        raise SourceError(
            f"{path}: the table lies at {note.address}, which this command does not read. Remove this folder and copy "
            f"that one to its place, such as with `hadoop fs -get {note.address} {path}`; then call again"
        )


def listing_hash(path: Path) -> str:
    """The SHA-256 of the names and sizes of a table's files, as the note has them, or as they are after a copy."""
    note = find_note(path)
    n_bytes = note.n_bytes if note else {file.name: file.stat().st_size for file in path.glob("*.parquet")}
    return hashlib.sha256(json.dumps(sorted(n_bytes.items())).encode()).hexdigest()
