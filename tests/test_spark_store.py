"""Tables that lie on a Hadoop file system, with notes in the run folder: here the local one, by its address."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from miglink.config.stages import EngineSettings
from miglink.elsewhere import find_note
from miglink.engine import Engine, Place, Table
from miglink.engine.columnar import Described
from miglink.engine.duckdb_engine import DuckDBEngine
from miglink.errors import ConfigError, SourceError, TableError
from miglink.runfolder import clear_folder, find_damage
from miglink.runrecord import count_rows, describe_output
from miglink.tables import TABLES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CONTRACT = TABLES["record_persons"]
ROWS = pl.DataFrame({"source": ["b", "a", "a"], "record_id": ["1", "2", "1"], "person_id": ["x", "y", "z"]})
ALL = "SELECT source, record_id, person_id FROM rows"
# Words of patterns, quotes and blanks: an address is taken as it is.
RUN, LAKE = "a run [1] {x}", "a lake *"
UNTOLD = Described({}, {name: {} for name in ROWS.columns})
# Of Hadoop's local file system; others keep them apart.
CHECKSUMS = shutil.ignore_patterns("*.crc")
Opening = Callable[..., Engine]


def read(table: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(file, glob=False) for file in sorted(table.glob("*.parquet"))])


@pytest.fixture
def opening(spark: "SparkSession", tmp_path: Path) -> Opening:
    from miglink.engine.spark_engine import SparkEngine

    def opened(run: str = RUN, shared: str | None = f"file://{tmp_path / LAKE}") -> Engine:
        (tmp_path / run / "tables").mkdir(parents=True, exist_ok=True)
        return SparkEngine(spark, tmp_path / run / "tables", Place(shared_folder=shared))

    return opened


@pytest.mark.spark
def test_tables_lie_there_and_notes_here(opening: Opening, tmp_path: Path) -> None:
    engine, run, lake = opening(), tmp_path / RUN, tmp_path / LAKE / RUN
    table = engine.query(CONTRACT.name, ALL, rows=ROWS)
    step = engine.step("more", f"{ALL} UNION ALL {ALL}", rows=table)
    assert (engine.count(table), engine.count(step)) == (3, 6)
    assert read(lake / "tables" / "record_persons.parquet").equals(ROWS.sort("source", "record_id"))
    assert [path.name for path in (run / "tables").rglob("*.parquet")] == ["record_persons.parquet"]
    assert count_rows(table.path) == 3
    with pytest.raises(TableError, match="key"):
        engine.query(CONTRACT.name, f"{ALL} UNION ALL {ALL}", rows=ROWS)
    engine.close()
    assert not (lake / "tables" / "scratch").exists()


@pytest.mark.spark
def test_what_analysts_get_is_handed_over(opening: Opening, tmp_path: Path) -> None:
    engine, target = opening(), tmp_path / RUN / "linked" / "people.parquet"
    engine.export(engine.step("people", ALL, rows=ROWS), target, UNTOLD)
    note = find_note(target)
    assert note is not None
    assert note.n_rows == 3
    assert sorted(note.n_bytes)[0] == "part-00000.parquet"
    assert read(tmp_path / LAKE / RUN / "linked" / "people.parquet").height == 3
    engine.close()


@pytest.mark.spark
def test_a_run_that_goes_on_finds_its_tables_and_clears_the_rest(opening: Opening, tmp_path: Path) -> None:
    first = opening()
    table = first.query(CONTRACT.name, ALL, rows=ROWS)
    first.step("left over", ALL, rows=ROWS)  # killed here: nothing was closed
    lake = tmp_path / LAKE / RUN / "tables"
    shutil.copytree(lake / "record_persons.parquet", lake / "links.parquet.part")
    second = opening()
    assert [path.name for path in lake.rglob("*.parquet*") if path.is_dir()] == ["record_persons.parquet"]
    assert second.collect("SELECT count(*) AS n FROM t", t=table).item() == 3
    second.close()

    next(lake.rglob("*.parquet/part-*.parquet")).unlink()
    third = opening()
    with pytest.raises(SourceError, match="not as it was written"):
        third.count(table)
    third.close()


@pytest.mark.spark
def test_a_copy_from_there_is_the_table(opening: Opening, tmp_path: Path) -> None:
    """What `hadoop fs -get` brings; before, DuckDB says where the table lies."""
    engine = opening()
    table = engine.query(CONTRACT.name, ALL, rows=ROWS)
    engine.close()
    described = {CONTRACT.name: describe_output(table.path)}
    reader = DuckDBEngine(tmp_path / "read")
    with pytest.raises(SourceError, match="hadoop fs -get"):
        reader.count(table)
    assert not list(find_damage(tmp_path / RUN, described))
    shutil.rmtree(table.path)
    assert list(find_damage(tmp_path / RUN, described)) == ["tables/record_persons.parquet is missing"]
    shutil.copytree(tmp_path / LAKE / RUN / "tables" / table.path.name, table.path, ignore=CHECKSUMS)
    assert reader.count(table) == 3
    assert not list(find_damage(tmp_path / RUN, described))
    again = opening()
    assert again.count(table) == 3
    again.close()
    assert (tmp_path / LAKE / RUN / "tables" / table.path.name).exists()
    next(table.path.glob("*.parquet")).unlink()
    assert list(find_damage(tmp_path / RUN, described))
    reader.close()


@pytest.mark.spark
def test_a_folder_has_one_run(opening: Opening, tmp_path: Path) -> None:
    engine = opening()
    engine.query(CONTRACT.name, ALL, rows=ROWS)
    engine.close()
    with pytest.raises(ConfigError, match="keep the setting"):
        opening(shared=None)
    with pytest.raises(ConfigError, match="keep the setting"):
        opening(shared=f"file://{tmp_path / 'another'}")
    (tmp_path / RUN).rename(tmp_path / "moved")
    with pytest.raises(ConfigError, match="exists already"):
        opening()


@pytest.mark.spark
@pytest.mark.parametrize("address", ["nothing://host/x", "hdfs://127.0.0.1:9/x", "file:///proc/x"])
def test_a_place_that_cannot_be_used_is_named(opening: Opening, address: str) -> None:
    with pytest.raises(ConfigError, match=f"{address}/.* cannot be used"):
        opening(shared=address)


def test_half_written_folders_are_removed(tmp_path: Path) -> None:
    (tmp_path / "tables" / "links.parquet.part").mkdir(parents=True)
    (tmp_path / "tables" / "links.parquet.part" / "part-0.parquet").touch()
    (tmp_path / "tables" / "x.json.part").touch()
    clear_folder(tmp_path)
    assert not list((tmp_path / "tables").iterdir())


def test_a_damaged_note_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "_lies_at.json").write_text("{", encoding="utf-8")
    with pytest.raises(SourceError, match=r"remove .* --resume"):
        find_note(tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "duckdb", "shared_folder": "hdfs://host/x"},
        {"kind": "spark", "shared_folder": "/a/path"},
        {"kind": "spark", "shared_folder": "hdfs://"},
        {"kind": "spark", "shared_folder": "s3a://key:secret@bucket/x"},
    ],
)
def test_settings_are_checked(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="shared_folder"):
        EngineSettings.model_validate(settings)


def test_a_path_may_hold_any_character(engine: Engine, tmp_path: Path) -> None:
    """On both engines, and read by the other name that a run before it has."""
    table = engine.query(CONTRACT.name, ALL, rows=ROWS)
    moved = tmp_path / "50% [a] {b} * c"
    moved.mkdir()
    elsewhere = Table(table.name, table.path.rename(moved / table.path.name))
    assert engine.count(elsewhere) == 3
