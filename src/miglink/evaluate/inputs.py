"""What is compared: the tables of a finished run, and those of the truth, read and checked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from miglink.config.stages import EngineSettings, Period
from miglink.config.windows import Windows, read_windows
from miglink.elsewhere import check_here
from miglink.engine import Engine, Table, identifier
from miglink.errors import ConfigError, SourceError
from miglink.runfolder import check_tables, read_manifest
from miglink.tables import TRUTH_TABLES, Contract

REQUIRED = "record_persons"
_ALWAYS = ("record_persons", "record_identities")
_OF_THE_RUN = (
    *_ALWAYS,
    "spells",
    "residence",
    "migrations",
    "flows",
    "stocks",
)
Tables = Mapping[str, Table]


@dataclass(frozen=True)
class Run:
    """A run: its folder, the tables that are compared, what it observed, and where it computed.

    One that ended at persons has neither spells nor figures, and perhaps no period.
    """

    folder: Path
    tables: Tables
    windows: Windows | None
    engine: EngineSettings


def open_run(folder: Path) -> Run:
    """Open the folder of a run that reached persons; ConfigError where it is none."""
    manifest = read_manifest(folder)
    check_tables(folder, manifest, _OF_THE_RUN)
    paths = {name: folder / "tables" / f"{name}.parquet" for name in _OF_THE_RUN}
    tables = {name: Table(name, path) for name, path in paths.items() if path.exists()}
    for table in tables.values():
        check_here(table.path)
    missing = [
        name for name in (_ALWAYS if manifest["state"] == "stopped" else _OF_THE_RUN) if name not in tables
    ]
    if missing:
        raise ConfigError(
            f"{folder}: no tables/{', '.join(missing)}; an evaluation needs a run that reached persons"
        )
    try:
        config = manifest["config"]
        period = Period.model_validate_json(json.dumps(config["period"])) if config["period"] else None
        windows = read_windows(period, manifest.get("observed", {})) if period else None
        settings = EngineSettings.model_validate_json(json.dumps(config["engine"]))
    except (KeyError, TypeError, ValueError):
        raise ConfigError(
            f"{folder}: manifest.json does not state the period and engine of the run"
        ) from None
    return Run(folder, tables, windows, settings)


def read_truth(engine: Engine, folder: Path) -> dict[str, Table]:
    """The truth tables that the folder holds, cast to their types; SourceError where one cannot be used.

    Values that cannot be cast count as missing; a required column must hold none, and the key must not repeat.
    Columns that the contract does not know are left out.
    """
    if not (folder / f"{REQUIRED}.parquet").is_file():
        known = ", ".join(f"{column.name}" for column in TRUTH_TABLES[REQUIRED].columns)
        raise SourceError(
            f"--truth {folder}: no {REQUIRED}.parquet; it says the true person of each record "
            f"(columns {known}; `miglink tables` describes all truth tables)"
        )
    paths = {name: folder / f"{name}.parquet" for name in TRUTH_TABLES}
    return {
        name: _read_table(engine, TRUTH_TABLES[name], path) for name, path in paths.items() if path.is_file()
    }


def _read_table(engine: Engine, contract: Contract, path: Path) -> Table:
    try:
        found = pl.read_parquet_schema(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SourceError(f"{path.name}: cannot be read as Parquet ({type(error).__name__})") from None
    missing = [name for name in contract.required_columns if name not in found]
    if missing:
        raise SourceError(
            f"{path.name}: no column {', '.join(missing)}; its columns: {', '.join(found)}. "
            "`miglink tables` describes the truth tables"
        )
    casts = ", ".join(
        f"TRY_CAST({identifier(c.name) if c.name in found else 'NULL'} AS {c.type}) AS {identifier(c.name)}"
        for c in contract.columns
    )
    table = engine.step(
        f"truth_{contract.name}", f"SELECT {casts} FROM given", given=Table(contract.name, path)
    )
    _check_rows(engine, contract, table, path.name)
    return table


def _check_rows(engine: Engine, contract: Contract, table: Table, name: str) -> None:
    required = [column for column in contract.columns if not column.nullable]
    counts = ", ".join(
        f"COUNT({identifier(column.name)}) AS {identifier(column.name)}" for column in required
    )
    n_rows = engine.count(table)
    (n,) = engine.collect(f"SELECT {counts} FROM given", given=table).iter_rows(named=True)
    wrong = [
        f"column {column.name}: {n_rows - n[column.name]:,} rows missing or no {column.type}"
        for column in required
        if n[column.name] < n_rows
    ]
    if wrong:
        raise SourceError("\n".join(f"{name}: {problem}" for problem in wrong))
    key = ", ".join(map(identifier, contract.key))
    (n_repeated,) = engine.collect(
        f"SELECT COUNT(*) AS n FROM (SELECT {key} FROM given GROUP BY {key} HAVING COUNT(*) > 1) AS repeated",
        given=table,
    )["n"]
    if n_repeated:
        raise SourceError(
            f"{name}: {n_repeated:,} values of {', '.join(contract.key)} stand in more than one row; keep one"
        )
