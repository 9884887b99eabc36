"""miglink beside what a user would otherwise run: same machine, same input, best of three.

    python -m benchmarks.peers RUN TRUTH [--crossings 1000000] [--only NAME …] [--times 3] [--json FILE]

RUN is a finished run of the synthetic country: its identities and its trained model are given to everybody. Crossings
for the residence rule are made anew, whole and told, so that simple programs can do them. Each is a process of its own,
and is ended when it holds more than --memory (16 GB), which its result then says instead of its seconds.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import polars as pl

from benchmarks import peer_residence
from benchmarks.generated_crossings import generate
from benchmarks.measured import TooLarge, machine, sort_and_write, timed
from benchmarks.peer_linkage import MEMORY, accuracy, with_recordlinkage, with_splink
from miglink.classify import Observed, classify_file
from miglink.config.stages import LinkageSettings, Period, PersonsSettings
from miglink.engine import Table
from miglink.engine.duckdb_engine import DuckDBEngine
from miglink.stages import identities, linkage, persons
from miglink.stages.linkage.keys import prepare_identities

_FROM, _TO = date(2012, 1, 1), date(2023, 12, 31)


_TABLES = ("identities", "record_identities", "identity_persons")


def main() -> int:
    """Run the peers that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--crossings", type=int, default=1_000_000)
    parser.add_argument("--only", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--memory", type=float, default=16.0, help="the most that each may hold, in GB")
    parser.add_argument("--json", type=Path, help="file for the result")
    parser.add_argument("--task", choices=list(PEERS), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.task:  # in a process of its own: the folder of the input, and where the result goes
        asked.truth.write_text(json.dumps(PEERS[asked.task](asked.run)), encoding="utf-8")
        return 0
    with TemporaryDirectory(prefix="miglink-peers-") as name:
        folder = Path(name)
        prepare(asked.run, asked.truth, folder)
        crossings = generate(asked.crossings, 1, is_whole=True)
        told = pl.col("crossed_date").min().over("person_id") >= date(2013, 1, 1)
        crossings.filter(told).write_parquet(folder / "crossings.parquet")
        result = {
            "machine": machine(),
            "run": {
                "identities": pl.scan_parquet(folder / "identities.parquet").select(pl.len()).collect().item()
            },
            "crossings": pl.scan_parquet(folder / "crossings.parquet").select(pl.len()).collect().item(),
            "memory": asked.memory,
            "peers": {peer: best_of(asked.times, peer, folder, asked.memory) for peer in asked.only},
        }
    print(json.dumps(result, indent=1))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def prepare(run: Path, truth: Path, folder: Path) -> None:
    """The identities of a run as linkage gets them, the same once for each record, and the model, below the folder."""
    with closing(DuckDBEngine(folder / "engine")) as engine:
        tables = {name: Table(name, run / "tables" / f"{name}.parquet") for name in _TABLES}
        prepared = prepare_identities(engine, tables["identities"])
        owners = engine.step(
            "owners",
            """SELECT r.identity_id, min(t.true_person_id) AS true_person
            FROM record_identities r JOIN truth t USING (source, record_id) GROUP BY r.identity_id""",
            record_identities=tables["record_identities"],
            truth=Table("record_persons", truth / "record_persons.parquet"),
        )
        given = {"prepared": prepared, "owners": owners, "record_identities": tables["record_identities"]}
        distinct = engine.step(
            "distinct",
            "SELECT p.*, o.true_person FROM prepared p JOIN owners o USING (identity_id)",
            prepared=prepared,
            owners=owners,
        )
        distinct.path.rename(folder / "identities.parquet")
        raw = engine.step(
            "raw",
            """SELECT row_number() OVER (ORDER BY r.source, r.record_id) AS unique_id, p.* EXCLUDE (unique_id),
                   o.true_person
            FROM record_identities r JOIN prepared p USING (identity_id) JOIN owners o USING (identity_id)""",
            **given,
        )
        raw.path.rename(folder / "records.parquet")
        ours = engine.collect(
            """SELECT person_id AS cluster_id, true_person
            FROM identity_persons JOIN owners USING (identity_id)""",
            identity_persons=tables["identity_persons"],
            owners=owners,
        )
    (folder / "model.json").write_bytes((run / "model.json").read_bytes())
    (folder / "ours.json").write_text(
        json.dumps({"run": str(run.absolute()), **accuracy(ours)}), encoding="utf-8"
    )


def best_of(n_times: int, peer: str, folder: Path, gigabytes: float) -> dict[str, Any]:
    """The result of the fastest of several processes, with the memory of that one, start and reading left out.

    One that holds too much memory gives {"too_large": what happened}.
    """
    results = []
    for number in range(n_times):
        out = folder / f"{peer} {number}.json"
        command = [sys.executable, "-m", "benchmarks.peers", str(folder), str(out), "--task", peer]
        try:
            taken = timed(command, gigabytes * 1e9)
        except TooLarge as error:
            return {"too_large": str(error)}
        found = json.loads(out.read_text(encoding="utf-8"))
        results.append({**found, "peak_memory_bytes": taken["peak_memory_bytes"], "process": taken})
    return min(results, key=lambda result: sum(result["seconds"].values()))


def miglink_linkage(folder: Path) -> dict[str, Any]:
    """Score with the trained model, and make persons: also their facts, traits, ids and conflicts."""
    ours = json.loads((folder / "ours.json").read_text(encoding="utf-8"))
    run = Path(ours.pop("run"))
    config = json.loads((run / "manifest.json").read_text("utf-8"))["config"]
    names = ("records", "identities", "record_identities", "judgements")
    t = {name: Table(name, run / "tables" / f"{name}.parquet") for name in names}
    period = Period.model_validate_json(json.dumps(config["period"]))
    settings = LinkageSettings.model_validate_json(
        json.dumps({**config["linkage"], "model": str(run / "model.json")})
    )
    country = persons.Country(config["estimates"]["reporting_country"], period, (), ())
    with (
        TemporaryDirectory(dir=folder) as name,
        closing(DuckDBEngine(Path(name), memory_limit=MEMORY)) as engine,
    ):
        times = [time.perf_counter()]
        identities.find_identities(engine, t["records"], ())
        times.append(time.perf_counter())
        identified = linkage.Identified(t["identities"], t["record_identities"], t["judgements"])
        links = linkage.link(engine, identified, settings, (), Path(name) / "model.json")
        times.append(time.perf_counter())
        linked = persons.Linked(t["records"], t["identities"], t["record_identities"], links, t["judgements"])
        persons.find_persons(engine, linked, country, PersonsSettings(), "key")
        times.append(time.perf_counter())
        rows = engine.count(t["identities"])
    parts = ("identities", "score", "persons")
    return {"seconds": {part: round(b - a, 2) for part, a, b in zip(parts, times, times[1:], strict=False)},
            "rows": rows, **ours}  # fmt: skip


def miglink_residence(folder: Path) -> dict[str, Any]:
    """`miglink classify`, start of the program and files included."""
    out = folder / "classified.parquet"
    began = time.perf_counter()
    classify_file(folder / "crossings.parquet", "nz_12_16", "unresolved", Observed(_FROM, _TO), out)
    seconds = time.perf_counter() - began
    return _residence(seconds, pl.read_parquet(out)["is_migration"])


def pandas_residence(folder: Path) -> dict[str, Any]:
    """The loop of an analyst, files included."""
    began = time.perf_counter()
    found = peer_residence.in_pandas(pd.read_parquet(folder / "crossings.parquet"), _TO)
    found.to_parquet(folder / "pandas.parquet")
    return _residence(time.perf_counter() - began, pl.from_pandas(found["is_migration"]))


def polars_residence(folder: Path) -> dict[str, Any]:
    """Running sums and look-ups, files included."""
    began = time.perf_counter()
    found = peer_residence.in_polars(pl.read_parquet(folder / "crossings.parquet"), _TO)
    found.write_parquet(folder / "polars.parquet")
    return _residence(time.perf_counter() - began, found["is_migration"])


def limit(folder: Path) -> dict[str, Any]:
    """DuckDB reads the crossings, sorts them by person and date, and writes them."""
    took = sort_and_write(folder / "crossings.parquet", folder / "sorted.parquet", "person_id, crossed_date")
    return {
        "seconds": {"all": took["seconds"]},
        "rows": pl.scan_parquet(folder / "sorted.parquet").select(pl.len()).collect().item(),
    }


def _residence(seconds: float, is_migration: pl.Series) -> dict[str, Any]:
    return {"seconds": {"all": round(seconds, 3)}, "rows": is_migration.len(),
            "migrations": int(is_migration.sum()), "left_open": is_migration.null_count()}  # fmt: skip


PEERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "miglink: linkage": miglink_linkage,
    "Splink: identities": lambda folder: with_splink(folder / "identities.parquet", folder / "model.json"),
    "Splink: records": lambda folder: with_splink(folder / "records.parquet", folder / "model.json"),
    "recordlinkage: identities": lambda folder: with_recordlinkage(
        folder / "identities.parquet", folder / "model.json"
    ),
    "miglink: residence": miglink_residence,
    "pandas: residence": pandas_residence,
    "polars: residence": polars_residence,
    "DuckDB: read, sort, write": limit,
}

if __name__ == "__main__":
    sys.exit(main())
