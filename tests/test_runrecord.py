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
from miglink.runfolder import default_folder, describe_file, make_folder, newest_folder
from miglink.runrecord import Course, Plan, RunRecord

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


STAGES = {"ingest": {"configuration": "a"}, "publish": {"configuration": "b"}}


def open_record(folder: Path, course: Course = Course(), **stages: str) -> tuple[RunRecord, io.StringIO]:  # noqa: B008
    """A record of a run of two stages; `stages` gives a stage another configuration."""
    said = io.StringIO()
    plan = Plan(STAGES | {name: {"configuration": other} for name, other in stages.items()}, course)
    return RunRecord(folder, CONFIG, plan, Progress("text", said)), said


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
        assert record.begin("ingest")
        record.inputs({"list": [source]})
        table = write_table(record, "records")
        record.finish(table)
        assert record.begin("publish")
        (record.folder / "outputs" / "stocks.csv").write_bytes(b"n\n")
        record.finish(files=[record.folder / "outputs" / "stocks.csv"])
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
    with pytest.raises(SourceError) as error, record:
        record.begin("ingest")
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
    with pytest.raises(ValueError, match="PEREZ"), record:
        record.begin("ingest")
        raise ValueError("cannot convert PEREZ to a number")
    kept = "".join(path.read_text("utf-8") for path in record.folder.iterdir() if path.is_file())
    assert "ValueError" in kept
    assert "PEREZ" not in kept
    assert any("test_runrecord.py" in frame for frame in log(record.folder)[-1]["where"])


def test_stages_may_log_into_the_record(tmp_path: Path) -> None:
    record, _ = open_record(tmp_path / "run")
    with record:
        record.begin("ingest")
        structlog.get_logger().warning("training failed", block="surname")
    (line,) = [line for line in log(record.folder) if line["event"] == "training failed"]
    assert (line["stage"], line["level"], line["block"]) == ("ingest", "warning", "surname")


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
    progress = Progress("json", said, {"ingest": 3.0, "linkage": 1.0})
    progress.start(["ingest", "linkage"])
    progress.begin("ingest")
    progress.end("ingest", 1234, 0.5)
    progress.close()
    line = json.loads(said.getvalue())
    assert line.pop("seconds_left") >= 0
    assert line == {
        "event": "stage finished",
        "stage": "ingest",
        "done": 1,
        "of": 2,
        "rows": 1234,
        "seconds": 0.5,
        "rows_per_second": 2468,
        "share_done": 0.75,
    }


def test_the_share_done_grows_to_the_whole() -> None:
    said = io.StringIO()
    progress = Progress("text", said)
    progress.start(["ingest", "residence", "other"])
    shares = [progress.share_done()]
    assert progress.seconds_left() is None
    for stage in ("ingest", "residence", "other"):
        progress.begin(stage)
        shares.append(progress.share_done())
        progress.end(stage, 10, 0.1)
        shares.append(progress.share_done())
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    lines = said.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["1/3", "2/3", "3/3"]
    assert all("100 rows/s" in line for line in lines)
    assert "100%" in lines[-1]


def test_in_a_terminal_progress_is_live() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    said = Terminal()
    progress = Progress("text", said)
    progress.start(["linkage", "persons"])
    progress.begin("linkage")
    progress.end("linkage", 1234, 0.5)
    progress.begin("persons")
    progress.close()
    assert "1/2 linkage" in said.getvalue()
    assert "1,234 rows" in said.getvalue()


def finish_both(record: RunRecord) -> list[str]:
    """Run the two stages as far as they are due; gives those that were."""
    done = []
    with record:
        for name, table in (("ingest", "records"), ("publish", "stocks")):
            if record.begin(name):
                record.finish(write_table(record, table))
                done.append(name)
    return done


def test_a_resumed_run_takes_over_what_is_done_and_whole(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first, _ = open_record(folder, Course(to_stage="ingest"))
    assert finish_both(first) == ["ingest"]
    assert manifest(folder)["state"] == "stopped"
    again, said = open_record(folder, Course(is_resumed=True))
    assert finish_both(again) == ["publish"]
    assert said.getvalue().startswith("going on with publish: it was not done yet; taken over: ingest\n")
    assert set(again.tables) == {"records", "stocks"}
    assert manifest(folder)["state"] == "finished"
    started = manifest(folder)["started_at"]
    nothing, said = open_record(folder, Course(is_resumed=True))
    assert finish_both(nothing) == []
    assert "nothing to do" in said.getvalue()
    assert manifest(folder)["state"] == "finished"
    assert manifest(folder)["started_at"] == started


@pytest.mark.parametrize(
    ("change", "due", "why"),
    [
        ("truncated", ["ingest", "publish"], "tables/records.parquet is not as it was written"),
        ("edited", ["ingest", "publish"], "tables/records.parquet is not as it was written"),
        ("removed", ["ingest", "publish"], "tables/records.parquet is missing"),
        ("other settings", ["publish"], "its configuration changed"),
        ("--from", ["publish"], "asked for by --from"),
    ],
)
def test_a_stage_is_done_anew_when_its_tables_or_settings_are_others(
    tmp_path: Path, change: str, due: list[str], why: str
) -> None:
    folder = tmp_path / "run"
    finish_both(open_record(folder)[0])
    path = folder / "tables" / "records.parquet"
    if change == "truncated":
        path.write_bytes(path.read_bytes()[:-9])
    elif change == "edited":
        pl.DataFrame({"n": [1, 2, 4]}).write_parquet(path)
    elif change == "removed":
        path.unlink()
    course = Course(is_resumed=True, from_stage="publish" if change == "--from" else None)
    record, said = open_record(folder, course, **({"publish": "c"} if change == "other settings" else {}))
    assert not (folder / "tables" / "stocks.parquet").exists()  # nothing outdated stands beside what is new
    assert finish_both(record) == due
    assert why in said.getvalue()
    assert pl.read_parquet(path)["n"].to_list() == [1, 2, 3]


def test_a_source_that_changed_is_read_again(tmp_path: Path) -> None:
    folder, source = tmp_path / "run", tmp_path / "x.csv"
    source.write_bytes(b"a,b\n1,2\n")

    def run() -> list[str]:
        plan = Plan(STAGES, Course(is_resumed=folder.exists()), {"list": [source]})
        with RunRecord(folder, CONFIG, plan, Progress("text", io.StringIO())) as record:
            done = [name for name in STAGES if record.begin(name) and _finish(record, source)]
        return done

    def _finish(record: RunRecord, source: Path) -> bool:
        record.inputs({"list": [source]})
        record.finish()
        return True

    assert run() == ["ingest", "publish"]
    assert run() == []
    source.write_bytes(b"a,b\n1,3\n")
    assert run() == ["ingest", "publish"]
    assert run() == []


def test_a_source_that_changes_while_it_is_read_stops_the_run(tmp_path: Path) -> None:
    source = tmp_path / "x.csv"
    source.write_bytes(b"a,b\n1,2\n")
    record, _ = open_record(tmp_path / "run")
    with pytest.raises(SourceError, match=r"x\.csv changed while it was read"), record:
        record.begin("ingest")
        record.inputs({"list": [source]})
        with source.open("ab") as delivered:
            delivered.write(b"3,4\n")
        record.finish(write_table(record, "records"))
    assert manifest(record.folder)["stages"] == []


def test_two_runs_never_share_a_folder(tmp_path: Path) -> None:
    record, _ = open_record(tmp_path / "run")
    with record:
        before = (tmp_path / "run" / "log.jsonl").read_bytes()
        with pytest.raises(ConfigError, match="another run is at work in this folder"):
            open_record(tmp_path / "run", Course(is_resumed=True))
        with pytest.raises(ConfigError, match="add --resume"):
            open_record(tmp_path / "run")
        assert (tmp_path / "run" / "log.jsonl").read_bytes() == before
    open_record(tmp_path / "run", Course(is_resumed=True))[0].__exit__(None, None, None)


def test_there_must_be_a_run_to_go_on_with(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such folder, so no run to go on with"):
        open_record(tmp_path / "typo", Course(is_resumed=True))
    assert not (tmp_path / "typo").exists()


def test_the_newest_run_of_a_name_is_found(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no unfinished run of 'little'"):
        newest_folder("little", tmp_path, unfinished=True)
    old, new = tmp_path / "little-20240101T000000Z", tmp_path / "little-20240102T000000Z"
    for folder, state, at in ((old, "failed", "2024-01-01"), (new, "finished", "2024-01-02")):
        folder.mkdir()
        text = json.dumps({"state": state, "started_at": at, "config": {"name": "little"}})
        (folder / "manifest.json").write_text(text, encoding="utf-8")
    (tmp_path / "little-broken-Z").mkdir()
    assert newest_folder("little", tmp_path, unfinished=True) == old
    assert newest_folder("little", tmp_path, unfinished=False) == new
