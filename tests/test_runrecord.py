"""The run folder: what a finished and what a failed run leave behind."""

import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import structlog

from miglink.config import Config
from miglink.engine import Table
from miglink.errors import ConfigError, SourceError
from miglink.progress import Progress
from miglink.runrecord import RunRecord, default_folder, describe_file, make_folder

CONFIG = Config.model_validate_json(
    json.dumps(
        {
            "name": "little",
            "period": {"from": "2012-01-01", "to": "2012-12-31"},
            "key": {"file": "/elsewhere/secret.key"},
            "sources": {"list": {"kind": "people", "files": "x.csv", "columns": {}}},
            "residence": {
                "rules": [
                    {
                        "name": "half",
                        "title": "half",
                        "gives": "residence",
                        "kind": "forward_window",
                        "threshold": {"value": 8, "unit": "days", "reference": "none"},
                        "window": {"value": 10, "unit": "days", "reference": "none"},
                        "counting": "half_open",
                        "duration": "cumulative",
                        "reference": "none",
                    }
                ]
            },
            "estimates": {"reporting_country": "QVR"},
        }
    )
)


def open_record(folder: Path) -> tuple[RunRecord, io.StringIO]:
    said = io.StringIO()
    return RunRecord(folder, CONFIG, Progress(2, "text", said)), said


def manifest(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
    return read


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]


def write_table(record: RunRecord, name: str) -> Table:
    table = Table(name, record.tables_folder / f"{name}.parquet")
    pl.DataFrame({"n": [1, 2, 3]}).write_parquet(table.path)
    return table


def test_a_finished_run_says_what_it_read_did_and_gave(tmp_path: Path) -> None:
    source = tmp_path / "x.csv"
    source.write_bytes(b"a,b\n1,2\n")
    record, said = open_record(tmp_path / "run")
    with record:
        with record.stage("ingest") as stage:
            record.inputs({"list": [source]})
            table = write_table(record, "records")
            stage.tables(table)
        with record.stage("publish") as stage:
            (record.folder / "outputs" / "stocks.csv").write_bytes(b"n\n")
            stage.files(record.folder / "outputs" / "stocks.csv")
        assert manifest(record.folder)["state"] == "running"
    found = manifest(record.folder)
    assert found["state"] == "finished"
    assert found["inputs"]["list"][str(source)] == {
        "bytes": 8,
        "sha256": hashlib.sha256(b"a,b\n1,2\n").hexdigest(),
    }
    assert [stage["name"] for stage in found["stages"]] == ["ingest", "publish"]
    assert found["stages"][0]["outputs"]["records"] == {"rows": 3, **describe_file(table.path)}
    assert list(found["stages"][1]["outputs"]) == ["outputs/stocks.csv"]
    assert found["config"]["key"] == {"file": "/elsewhere/secret.key", "environment": None, "demo": False}
    assert found["config"]["residence"]["rules"][0]["window"]["value"] == 10
    assert found["seeds"] == {"linkage": CONFIG.linkage.seed}
    assert found["libraries"]["duckdb"]
    assert record.tables == {"records": table}
    assert said.getvalue().splitlines()[0].split()[:3] == ["1/2", "ingest", "3"]
    assert [line["event"] for line in log(record.folder)] == [
        "run started",
        "stage finished",
        "stage finished",
        "run finished",
    ]
    assert log(record.folder)[1]["stage"] == "ingest"


def test_a_failed_run_keeps_its_record_and_nothing_half_written(tmp_path: Path) -> None:
    record, _ = open_record(tmp_path / "run")
    with pytest.raises(SourceError) as error, record, record.stage("ingest"):
        write_table(record, "rejected")
        (record.tables_folder / "records.parquet.part").write_bytes(b"half")
        (record.tables_folder / "scratch").mkdir()
        (record.tables_folder / "scratch" / "rows.parquet").write_bytes(b"names")
        raise SourceError("source list: no file matches x.csv")
    found = manifest(record.folder)
    assert found["state"] == "failed"
    assert found["error"] == {
        "stage": "ingest",
        "type": "SourceError",
        "message": "source list: no file matches x.csv",
    }
    assert sorted(path.name for path in record.folder.rglob("*") if path.is_file()) == [
        "log.jsonl",
        "manifest.json",
        "rejected.parquet",
    ]
    assert error.value.__notes__ == [f"stage ingest; log: {record.folder / 'log.jsonl'}"]


def test_the_message_of_a_foreign_error_is_not_kept(tmp_path: Path) -> None:
    record, _ = open_record(tmp_path / "run")
    with pytest.raises(ValueError, match="PEREZ"), record, record.stage("ingest"):
        raise ValueError("cannot convert PEREZ to a number")
    kept = "".join(path.read_text("utf-8") for path in record.folder.iterdir() if path.is_file())
    assert "ValueError" in kept
    assert "PEREZ" not in kept
    assert any("test_runrecord.py" in frame for frame in log(record.folder)[-1]["where"])


def test_stages_may_log_into_the_record(tmp_path: Path) -> None:
    record, _ = open_record(tmp_path / "run")
    with record, record.stage("linkage"):
        structlog.get_logger().warning("training failed", block="surname")
    (line,) = [line for line in log(record.folder) if line["event"] == "training failed"]
    assert (line["stage"], line["level"], line["block"]) == ("linkage", "warning", "surname")


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "note.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="not an empty folder"):
        make_folder(tmp_path / "old")
    with pytest.raises(ConfigError, match="not an empty folder"):
        make_folder(tmp_path / "old" / "note.txt")
    with pytest.raises(ConfigError, match="cannot be made"):
        make_folder(tmp_path / "old" / "note.txt" / "run")
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["note.txt"]


def test_the_folder_is_its_owners_alone(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir(mode=0o755)
    for folder in (tmp_path / "empty", tmp_path / "new" / "run"):
        make_folder(folder)
        assert sorted(path.name for path in folder.iterdir()) == ["linked", "outputs", "tables"]
        if sys.platform != "win32":
            assert {path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())} == {0o700}


def test_the_default_folder_carries_name_and_time() -> None:
    folder = default_folder("quevara")
    assert folder.parent == Path("runs")
    assert folder.name.startswith("quevara-2")
    assert folder.name.endswith("Z")


def test_progress_is_one_line_a_stage_as_text_or_json() -> None:
    said = io.StringIO()
    progress = Progress(9, "json", said)
    progress.begin("ingest")
    progress.end("ingest", 1234, 0.5)
    progress.close()
    assert json.loads(said.getvalue()) == {
        "event": "stage finished",
        "stage": "ingest",
        "done": 1,
        "of": 9,
        "rows": 1234,
        "seconds": 0.5,
    }


def test_in_a_terminal_progress_is_live() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    said = Terminal()
    progress = Progress(9, "text", said)
    progress.begin("linkage")
    progress.end("linkage", 1234, 0.5)
    progress.close()
    assert "1/9 linkage" in said.getvalue()
    assert "1,234 rows" in said.getvalue()
