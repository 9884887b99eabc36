"""Bad days of a run: killed, out of disk or memory, its folder edited, shared or read-only; no personal data anywhere.

Bad input has a file of its own, test_bad_input.py.
"""

import errno
import json
import random
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest

from benchmarks.kill import compare, read_outputs
from miglink.cli import main
from miglink.errors import SourceError
from miglink.shortages import find_shortage

COUNTRY_SEED = 7
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a tiny country, on a path with a space and letters beyond ASCII."""
    folder = tmp_path_factory.mktemp("días malos") / "país"
    command = [sys.executable, "-m", "synthetic", "tiny", "--seed", str(COUNTRY_SEED), "--out", str(folder)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return folder / "country.yml"


@pytest.fixture(scope="module")
def finished(country: Path) -> tuple[Path, str]:
    """A finished run of the country, and all that it said."""
    folder = country.parent.parent / "una corrida"
    done = run(country, folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout + done.stderr


def run(
    config: Path, folder: Path, *further: str, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run miglink in a process of its own, as a user does."""
    command = [sys.executable, "-m", "miglink", "run", str(config), "--out", str(folder), *further]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, preexec_fn=before, timeout=600
    )


def files_of(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def test_a_run_killed_at_any_moment_goes_on_to_the_same_tables(country: Path, tmp_path: Path) -> None:
    result = compare(country, tmp_path / "ein größeres Übel", 3, random.Random(20240229))
    assert (result["n_failed"], result["n_different"]) == (0, 0), result
    assert result["n_outputs"] > 25


def test_a_full_disk_is_named_and_the_run_goes_on_once_there_is_room(
    country: Path, finished: tuple[Path, str], tmp_path: Path
) -> None:
    def fill_disk() -> None:  # a limit on the size of files stands in for the end of the disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    failed = run(country, tmp_path / "run", before=fill_disk)
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert (
        "the disk is full, or a quota or a limit on the size of files is reached: free some space"
        in failed.stderr
    )
    assert "--resume" in failed.stderr
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text("utf-8"))
    assert (manifest["state"], manifest["error"]["type"]) == ("failed", "ResourceError")
    assert not list((tmp_path / "run").rglob("*.part"))
    assert not list((tmp_path / "run").rglob("scratch"))
    assert run(country, tmp_path / "run", "--resume").returncode == 0
    assert read_outputs(tmp_path / "run") == read_outputs(finished[0])


def test_the_end_of_the_disk_is_known_from_every_library() -> None:
    full = Path("/dev/full")  # the system's own disk without room
    rows = pl.DataFrame({"n": range(100_000)})

    def fails(write: Callable[[], object]) -> str | None:
        with pytest.raises(Exception) as raised:
            write()
        return find_shortage(raised.value)

    connection = duckdb.connect()
    assert "disk is full" in str(fails(lambda: full.write_text("x" * 100_000)))
    assert "disk is full" in str(fails(lambda: rows.write_csv(full)))
    assert "disk is full" in str(
        fails(
            lambda: connection.execute("COPY (SELECT * FROM range(1000000)) TO '/dev/full' (FORMAT parquet)")
        )
    )
    assert "disk is full" in str(find_shortage(OSError(errno.EDQUOT, "PEREZ")))
    assert "cannot be written" in str(find_shortage(PermissionError(errno.EACCES, "PEREZ")))
    assert "cannot be written" in str(find_shortage(OSError(errno.EROFS, "PEREZ")))
    assert "memory ran out" in str(find_shortage(MemoryError()))
    try:
        raise ValueError("a library of its own") from OSError(errno.ENOSPC, "PEREZ")
    except ValueError as error:
        assert "disk is full" in str(find_shortage(error))
    assert find_shortage(ValueError("no space left on device, says PEREZ")) is None
    assert find_shortage(SourceError("source x: permission denied")) is None


def test_too_little_memory_is_named(country: Path, tmp_path: Path) -> None:
    failed = run(country, tmp_path / "run", "--set", "engine.memory_limit=3MB")
    assert failed.returncode == 1
    assert "memory ran out" in failed.stderr
    assert "engine.memory_limit" in failed.stderr


@pytest.mark.parametrize("change", ["truncated", "edited", "removed"])
def test_a_damaged_table_is_made_anew(
    country: Path, finished: tuple[Path, str], tmp_path: Path, change: str
) -> None:
    folder = tmp_path / "run"
    assert run(country, folder, "--to", "spells").returncode == 0
    path = folder / "tables" / "persons.parquet"
    if change == "truncated":
        path.write_bytes(path.read_bytes()[:1000])
    elif change == "edited":
        pl.read_parquet(path).head(10).write_parquet(path)
    else:
        path.unlink()
    done = run(country, folder, "--resume")
    assert done.returncode == 0, done.stderr
    said = "is missing" if change == "removed" else "is not as it was written"
    assert f"going on with persons: tables/persons.parquet {said}; taken over: ingest" in done.stderr
    assert read_outputs(folder) == read_outputs(finished[0])


def test_questions_to_a_damaged_run_are_refused(
    country: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert run(country, folder).returncode == 0
    path = folder / "tables" / "residence.parquet"
    path.write_bytes(path.read_bytes()[:1000])
    assert main(["evaluate", str(folder), "--truth", str(country.parent / "truth")]) == 1
    said = capsys.readouterr()
    assert "tables/residence.parquet is not as it was written" in said.err
    assert "--resume" in said.err
    assert said.out == ""


def test_a_source_that_changed_since_is_read_again(country: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(country.parent), str(copy)], check=True)
    config = copy / "country.yml"
    assert run(config, tmp_path / "run", "--to", "identities").returncode == 0
    source = next(path for path in sorted(copy.rglob("*.csv")) if "border" in str(path))
    lines = source.read_bytes().splitlines(keepends=True)
    source.write_bytes(b"".join(lines[:-20]))
    done = run(config, tmp_path / "run", "--resume", "--to", "persons")
    assert done.returncode == 0, done.stderr
    assert re.search(r"going on with ingest: the files of source \w+ changed", done.stderr)
    assert run(config, tmp_path / "anew", "--to", "persons").returncode == 0
    assert read_outputs(tmp_path / "run") == read_outputs(tmp_path / "anew")


def test_two_runs_in_one_folder_are_kept_apart(
    country: Path, finished: tuple[Path, str], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "miglink", "run", str(country), "--out", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        while not (folder / "manifest.json").exists():
            assert first.poll() is None
        second = run(country, folder, "--resume")
        third = run(country, folder)
        assert first.wait() == 0
    assert (second.returncode, third.returncode) == (2, 2)
    assert "another run is at work in this folder" in second.stderr
    assert "not an empty folder" in third.stderr
    assert read_outputs(folder) == read_outputs(finished[0])


def test_a_run_that_is_interrupted_says_so_and_goes_on(
    country: Path, finished: tuple[Path, str], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "miglink", "run", str(country), "--out", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not (folder / "tables" / "records.parquet").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said = process.communicate()[1]
    assert process.returncode == 130
    assert "interrupted; a run goes on where it was with --resume" in said
    assert "Traceback" not in said
    assert run(country, folder, "--resume").returncode == 0
    assert read_outputs(folder) == read_outputs(finished[0])


def test_folders_that_cannot_be_written_are_refused_before_any_work(
    country: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    for folder in ("/proc/miglink", str(tmp_path / "file" / "run"), str(tmp_path / "file")):
        assert main(["run", str(country), "--out", folder]) == 2
        assert f"--out {folder}: " in capsys.readouterr().err
    assert main(["demo", "--out", "/proc/miglink"]) == 1
    assert "the country cannot be made" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_holds_no_run_is_not_gone_on_with(
    country: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manifest.json").write_text("{", encoding="utf-8")
    assert main(["run", str(country), "--out", str(tmp_path), "--resume"]) == 2
    assert "holds no run that can be gone on with" in capsys.readouterr().err
    assert (tmp_path / "manifest.json").read_text("utf-8") == "{"


def test_no_name_document_or_birth_date_is_said_logged_or_published(finished: tuple[Path, str]) -> None:
    """Every word and number that a run says, logs, models or publishes, against every one of its input."""
    folder, said = finished
    records = pl.read_parquet(folder / "tables" / "records.parquet")
    words = "surname", "given_names", "surname_ascii", "given_names_ascii", "surname_icao", "given_names_icao"
    names = {
        word
        for column in words
        for name in records[column].drop_nulls().unique()
        for word in re.findall(r"\w{4,}", name)
    }
    own_words = {
        word for path in (ROOT / "src").rglob("*.py") for word in re.findall(r"\w+", path.read_text("utf-8"))
    }
    names -= own_words  # a person may be called Else or Date
    numbers = {
        number
        for column in ("document_number", "person_number", "mother_person_number")
        for number in records[column].drop_nulls().unique()
        if len(number) > 4
    }
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    observed = manifest["config"]["period"]["from"]  # later birth dates are also days of the period
    births = {str(day) for day in records["birth_date"].drop_nulls().unique() if str(day) < observed}
    births |= {day.replace("-", "") for day in births} | {
        "/".join(reversed(day.split("-"))) for day in births
    }
    assert min(len(names), len(numbers), len(births)) > 1000
    texts = {"what was said": said, "names of files": "\n".join(str(path) for path in files_of(folder))}
    for path in (
        *files_of(folder / "outputs"),
        folder / "log.jsonl",
        folder / "manifest.json",
        folder / "model.json",
    ):
        read = pl.read_parquet(path).write_csv() if path.suffix == ".parquet" else path.read_text("utf-8")
        texts[path.name] = read
    for name, text in texts.items():
        found = set(re.findall(r"\w+", text))
        assert not found & numbers, name
        # Names are capitals in the tables and in the sources; the words of miglink are not.
        assert not {word for word in found & names if word.isupper()}, name
        assert not {word for word in set(re.findall(r"[\d/-]{8,10}", text)) & births}, name
