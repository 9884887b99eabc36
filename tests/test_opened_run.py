"""The run as Python sees it: docs/python.md runs as it is written, and what cannot be opened is said."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import miglink
from miglink.config import read_config
from miglink.elsewhere import Note, write_note
from miglink.errors import ConfigError, MiglinkError, SourceError
from miglink.tables import TABLES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "python.md"
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the page was followed, with runs/little, runs/half and runs/again."""
    place = tmp_path_factory.mktemp("python")
    blocks = _BLOCK.findall(PAGE.read_text("utf-8"))
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(place)
        for _, title, body in blocks:
            if title.strip().startswith("file="):
                Path(title.strip().removeprefix("file=")).write_text(body, encoding="utf-8")
        follow([(kind, body) for kind, title, body in blocks if not title.strip()])
    return place


def follow(blocks: list[tuple[str, str]]) -> None:
    """Run the examples, in one namespace; what stands below one was printed by it."""
    printed: list[str] = []
    known: dict[str, Any] = {"print": lambda *values: printed.append(" ".join(map(str, values)))}
    assert {kind for kind, _ in blocks} == {"python", "text"}
    for kind, body in blocks:
        if kind == "text":
            said = "\n".join(printed)
            assert all(line in said for line in body.splitlines()), f"{body}\n{said}"
        else:
            printed.clear()
            exec(compile(body, PAGE.name, "exec"), known)


def test_the_page_runs_as_it_is_written(folder: Path) -> None:
    assert {path.name for path in (folder / "runs").iterdir()} == {"little", "half", "again"}


def test_every_table_of_a_run_is_a_lazy_frame_of_its_contract(folder: Path) -> None:
    run = miglink.open_run(str(folder / "runs" / "little"))
    assert set(run) == set(run.tables) == set(TABLES)
    for name in run:
        assert isinstance(run[name], pl.LazyFrame)
        found = run.table(name).collect_schema().names()
        assert found[: len(TABLES[name].columns)] == [column.name for column in TABLES[name].columns]
    assert {path.stem for path in (run.folder / "outputs").glob("*.parquet")} == set(run.outputs)
    assert {path.stem for path in (run.folder / "linked").glob("*.parquet")} == set(run.linked)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        assert run.config == read_config(Path("config.yml"))
    assert set(run.seconds) == {stage["name"] for stage in run.manifest["stages"]}


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """A copy of the run, to be damaged; with characters that are patterns elsewhere."""
    return Path(shutil.copytree(folder / "runs" / "little", tmp_path / "a run [1]"))


def test_a_table_in_parts_opens_here_and_elsewhere(copied: Path, tmp_path: Path) -> None:
    """As Spark writes them: a folder of files, in the run folder or on a path that machines share."""
    whole = pl.read_parquet(copied / "tables" / "spells.parquet", glob=False)
    parts = tmp_path / "shared, too" / "spells.parquet"
    for place in (copied / "tables" / "persons.parquet", copied / "tables" / "spells.parquet"):
        place.unlink()
    for place in (copied / "tables" / "persons.parquet", parts):
        place.mkdir(parents=True)
        for number in range(2):
            whole[2 * number : 2 * number + 2].write_parquet(place / f"part-0000{number}.parquet")
        (place / "_SUCCESS").touch()
    write_note(copied / "tables" / "spells.parquet", Note(f"file://{parts}", whole.height, {}, {}))
    run = miglink.open_run(copied)
    assert run["persons"].collect().equals(whole[:4])
    assert run["spells"].collect().equals(whole[:4])
    note = Note("hdfs://cluster/runs/links.parquet", 1, {}, {})
    (copied / "tables" / "links.parquet").unlink()
    write_note(copied / "tables" / "links.parquet", note)
    with pytest.raises(SourceError, match=r"lies at hdfs://cluster/runs/links\.parquet"):
        run["links"]
    (copied / "tables" / "flows.parquet").unlink()
    with pytest.raises(SourceError, match=r"flows\.parquet: is missing; make it anew"):
        run["flows"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (None, "not the folder of a run; it holds no manifest.json"),
        ("{", "cannot be read as the manifest"),
        ({"state": "failed"}, "the run is not finished but failed; go on with it: miglink run CONFIG --out"),
        ({"state": "running"}, "not finished but running"),
        ({"seeds": ...}, "does not state what a run of this version"),
        ({"config": {}}, "does not state the configuration"),
    ],
)
def test_what_is_no_finished_run_is_said(copied: Path, change: Any, said: str) -> None:
    manifest = copied / "manifest.json"
    if isinstance(change, dict):
        stated = json.loads(manifest.read_text("utf-8")) | change
        manifest.write_text(json.dumps({key: value for key, value in stated.items() if value is not ...}))
    elif change is None:
        manifest.unlink()
    else:
        manifest.write_text(change)
    with pytest.raises(ConfigError, match=said):
        _ = miglink.open_run(copied).config


def test_what_is_wrong_is_said_before_any_work(folder: Path, tmp_path: Path) -> None:
    config = read_config(folder / "config.yml")
    for wrong, said in (
        ({"to_stage": "person"}, "to_stage: no stage 'person'; known: ingest"),
        ({"set": ["a.b=1"]}, "set: overrides the values of a file"),
    ):
        with pytest.raises(ConfigError, match=said):
            miglink.run(config, tmp_path / "run", **wrong)
    with pytest.raises(MiglinkError, match=r"--set linkage.sead: .*did you mean 'seed'"):
        miglink.run(folder / "config.yml", tmp_path / "run", set={"linkage.sead": 2})
    assert not (tmp_path / "run").exists()


def test_import_is_light() -> None:
    code = "import sys, miglink; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    found_here = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=found_here
    )
    heavy = {"duckdb", "numpy", "polars", "pyarrow", "pydantic", "rich", "ruamel", "splink", "structlog"}
    assert not set(done.stdout.split()) & (heavy | {"typer", "rapidfuzz"})
