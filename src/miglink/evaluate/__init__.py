"""`miglink evaluate`: how far a finished run is from the truth, where truth is known."""

import os
import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from miglink.engine import Engine, Table, open_engine
from miglink.errors import ConfigError
from miglink.evaluate.clusters import measure_clusters
from miglink.evaluate.confusions import count_patterns, find_confusions, measure_causes
from miglink.evaluate.figures import measure_flows, measure_stocks
from miglink.evaluate.inputs import Run, Tables, open_run, read_truth
from miglink.evaluate.matching import count_records, match_persons
from miglink.evaluate.measures import gather
from miglink.evaluate.migrations import measure_migrations
from miglink.evaluate.pairs import measure_pairs
from miglink.evaluate.presence import measure_spells
from miglink.evaluate.report import render_report
from miglink.evaluate.statuses import measure_statuses

__all__ = ["Evaluation", "evaluate_run", "render_report"]

FOLDER = "evaluation"
_MOST_PATTERNS = 15


@dataclass(frozen=True)
class Evaluation:
    """The table `evaluation`, the most frequent patterns of `confusions`, and the folder that holds both."""

    measures: pl.DataFrame
    patterns: pl.DataFrame
    folder: Path


def evaluate_run(folder: Path, truth_folder: Path) -> Evaluation:
    """Compare a run that reached persons with the truth, and write evaluation/ into the folder of the run.

    Reads: tables of the run; record_persons of the truth, and what else of it there is.
    Gives: evaluation.parquet and confusions.parquet; an earlier evaluation is replaced.
    Units: docs/evaluation.md.
    Errors: ConfigError if the folder holds no finished run or cannot be written; SourceError for the truth.
    """
    run = open_run(folder)
    try:
        place = TemporaryDirectory(dir=folder, prefix=".miglink-")
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error.strerror}") from None
    with place, closing(open_engine("duckdb", Path(place.name), run.engine.place)) as engine:
        measures, confusions = compare(engine, run, read_truth(engine, truth_folder))
        patterns = count_patterns(engine, confusions, _MOST_PATTERNS)
        written = _write(folder / FOLDER, measures, confusions)
    return Evaluation(measures, patterns, written)


def compare(engine: Engine, run: Run, truth: Tables) -> tuple[pl.DataFrame, Table]:
    """Every measure for which there is truth, and the pieces of persons in the wrong place."""
    tables, windows = run.tables, run.windows
    matching = match_persons(engine, tables, truth)
    parts = [
        count_records(engine, tables, truth, matching),
        measure_pairs(engine, matching),
        measure_clusters(engine, matching),
    ]
    known = truth.keys() & tables.keys()
    if "spells" in known and windows:
        parts.append(measure_spells(engine, tables, truth, matching, windows.crossings))
    if "residence" in known and windows:
        parts.append(measure_statuses(engine, tables, truth, matching, windows))
    if "flows" in known:
        parts.append(measure_flows(engine, tables, truth))
    if "stocks" in known:
        parts.append(measure_stocks(engine, tables, truth))
    if "migrations" in known and windows:
        parts.append(measure_migrations(engine, tables, truth, matching, windows))
    if "record_causes" in truth:
        parts.append(measure_causes(engine, truth, matching))
    return gather(parts), find_confusions(engine, truth, matching)


def _write(folder: Path, measures: pl.DataFrame, confusions: Table) -> Path:
    """Write both tables whole or not at all; readable by the owner only, like the run."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)
    parts = [folder / f"{name}.parquet.part" for name in ("evaluation", "confusions")]
    try:
        measures.write_parquet(parts[0])
        shutil.copyfile(confusions.path, parts[1])
        for part in parts:
            os.replace(part, part.with_suffix(""))
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    return folder
