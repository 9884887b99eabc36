"""What comes to the driver, or goes from it into a query, does not grow with persons or crossings."""

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest

from miglink import pipeline
from miglink.config import Config, read_config
from miglink.engine import Table
from miglink.engine.duckdb_engine import DuckDBEngine
from miglink.runrecord import RunRecord
from miglink.stages.ingest import ingest
from synthetic.__main__ import make_country
from synthetic.chance import Chance

# Letters change places with letters of their kind, so that names stay names and nobody's is somebody else's.
_NAMES = ("AEIOUBCDFGHJKLMNPRSTVZ", "EIOUACDFGHJKLMNPRSTVZB")
_NUMBERS = ("0123456789", "7890123456")
_CHANGED = {
    "surname_ascii": _NAMES, "surname_icao": _NAMES, "given_names_ascii": _NAMES, "given_names_icao": _NAMES,
    "document_number": _NUMBERS, "person_number": _NUMBERS, "mother_person_number": _NUMBERS,
    "given_person": _NUMBERS,
}  # fmt: skip
# With more persons a new pattern of agreement turns up now and then, or a cell that nobody was in, once for each month,
# rule and policy. Patterns are at most as many as there are combinations of levels. What grew with persons would be
# twice as many.
_FEW, _A_CELL = 30, 0.02
# Each distinct name once: persons share names, the more of them the more.
_OF_NAMES = "linkage/_variants"
# Where the engine computes in this process its rows are at hand; so many are held at a time, which its own test checks.
_OF_KERNEL = "kernel/_work_through"
# Of draws there is a row for each cell and draw, or cause: other persons have other luck, and come into cells in which
# nobody was before.
_OF_DRAWS, _A_DRAW = ("draws/", "estimates/", "persons/_draw_evidence"), 0.5
Heights = dict[str, int]


class Watched(DuckDBEngine):
    """Notes how many rows come to the driver or go from it, by the line of the stage that asks."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.heights: Heights = defaultdict(int)

    def _note(self, height: int) -> None:
        frame = sys._getframe(2)
        while "stages" not in Path(frame.f_code.co_filename).parts and frame.f_back is not None:
            frame = frame.f_back
        place = f"{Path(frame.f_code.co_filename).parent.name}/{frame.f_code.co_name}"
        self.heights[place] = max(self.heights[place], height)

    def _note_frames(self, tables: dict[str, Any]) -> None:
        for table in tables.values():
            if isinstance(table, pl.DataFrame):
                self._note(table.height)

    def query(self, name: str, select: str, **tables: Table | pl.DataFrame) -> Table:
        self._note_frames(tables)
        return super().query(name, select, **tables)

    def step(self, name: str, select: str, **tables: Table | pl.DataFrame) -> Table:
        self._note_frames(tables)
        return super().step(name, select, **tables)

    def hold(self, name: str, select: str, **tables: Table | pl.DataFrame) -> Table:
        self._note_frames(tables)
        return super().hold(name, select, **tables)

    def collect(self, select: str, **tables: Table | pl.DataFrame) -> pl.DataFrame:
        self._note_frames(tables)
        found = super().collect(select, **tables)
        self._note(found.height)
        return found

    def frame(self, name: str, frame: pl.DataFrame) -> Table:
        self._note(frame.height)
        return super().frame(name, frame)


class Record:
    """As much of a run's record as the stages need: what is taken over, and the tables by name."""

    def __init__(self, folder: Path, taken_over: Sequence[Table]) -> None:
        self.folder, self.stages = folder, list[str]()
        self.tables = {table.name: table for table in taken_over}

    def begin(self, stage: str) -> bool:
        self.stages.append(stage)
        return stage != "ingest"

    def finish(self, *tables: Table, files: Sequence[Path] = ()) -> None:
        self.tables |= {table.name: table for table in tables}


def twice(engine: DuckDBEngine, records: Table) -> Table:
    """All records, and all of them once more as those of other persons."""
    columns = engine.collect("SELECT * FROM records LIMIT 0", records=records).columns
    copied = {name: f"translate({name}, '{old}', '{new}')" for name, (old, new) in _CHANGED.items()}
    copied["record_id"] = "concat(record_id, ' again')"
    second = ", ".join(copied.get(name, name) for name in columns)
    select = f"SELECT {', '.join(columns)} FROM records UNION ALL SELECT {second} FROM records"
    return engine.query("records", select, records=records)


def twice_as_many(engine: DuckDBEngine, accounts: Table) -> Table:
    """The accounts of the sources of which all records stand twice."""
    select = "SELECT * REPLACE (2 * n_read AS n_read, 2 * n_accepted AS n_accepted) FROM accounts"
    return engine.query("row_accounts", select, accounts=accounts)


@contextmanager
def watched_run(config: Config, folder: Path, *tables: Table) -> Iterator[tuple[Watched, Record]]:
    """The stages from identities to publish with these records."""
    record = Record(folder, tables)
    folder.mkdir()
    with closing(Watched(folder / "tables")) as engine:
        pipeline.link_records(config, engine, cast(RunRecord, record), "key")
        pipeline.measure_migration(config, engine, cast(RunRecord, record), "no key")
        pipeline.describe_migration(config, engine, cast(RunRecord, record), "no key")
        yield engine, record


@pytest.fixture(scope="module")
def heights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Heights, Heights]:
    """The most rows at each place of the stages, with a country and with twice the country."""
    folder = tmp_path_factory.mktemp("country")
    make_country(500, "high", Chance(3), folder / "made")
    config = read_config(folder / "made" / "country.yml")
    quick = config.linkage.model_copy(update={"training_pairs": 50_000})
    config = config.model_copy(update={"linkage": quick})
    found: list[tuple[Heights, int]] = []
    with closing(DuckDBEngine(folder / "once")) as once, closing(DuckDBEngine(folder / "twice")) as doubled:
        read = ingest(once, config.sources, config.countries, config.observation, ())
        given = (
            (read.records, read.row_accounts),
            (twice(doubled, read.records), twice_as_many(doubled, read.row_accounts)),
        )
        for tables in given:
            place = folder / f"run {len(found)}"
            with watched_run(config, place, *tables, read.rejected, read.judgements) as (engine, record):
                assert record.stages == list(pipeline.STAGES)
                found.append((engine.heights, engine.count(record.tables["persons"])))
    (small, n_small), (large, n_large) = found
    assert n_large > 1.8 * n_small  # few are taken for one
    return small, large


def test_nothing_that_is_collected_grows_with_the_data(heights: tuple[Heights, Heights]) -> None:
    small, large = heights
    assert len(large) > 20
    more = {place: _A_DRAW if place.startswith(_OF_DRAWS) else _A_CELL for place in large}
    growing = {
        place: (small.get(place, 0), height)
        for place, height in large.items()
        if height > small.get(place, 0) * (1 + more[place]) + _FEW and place not in (_OF_NAMES, _OF_KERNEL)
    }
    assert growing == {}


def test_ingest_collects_no_more_from_more_files(tmp_path: Path) -> None:
    """Codes and letters come to the driver, and one account for each source: three times the persons bring few more."""
    found = []
    for n_persons in (400, 1200):
        made = tmp_path / str(n_persons)
        make_country(n_persons, "high", Chance(5), made)
        config = read_config(made / "country.yml")
        with closing(Watched(made / "tables")) as engine:
            read = ingest(engine, config.sources, config.countries, config.observation, ())
            found.append((engine.heights, engine.count(read.records)))
    (small, n_small), (large, n_large) = found
    assert n_large > 2.5 * n_small > 100 * _FEW
    assert large
    assert {place: n for place, n in large.items() if n > small.get(place, 0) + _FEW} == {}


def test_what_grows_would_be_found(tmp_path: Path) -> None:
    with closing(Watched(tmp_path)) as engine:
        engine.collect("SELECT * FROM f", f=pl.DataFrame({"x": range(90)}))
    assert max(engine.heights.values()) == 90
