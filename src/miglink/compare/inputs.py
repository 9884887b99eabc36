"""The runs that are compared: finished, each once, with figures, in the order in which their data end."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from miglink.config.stages import EngineSettings, Period
from miglink.elsewhere import check_here
from miglink.engine import Table
from miglink.errors import ConfigError, SourceError
from miglink.runfolder import check_tables, find_manifest
from miglink.tables import TABLES

_OF_FIGURES = ("stocks", "flows", "accounts")
_OF_PERSONS = ("records", "record_persons", "persons", "person_traits", "residence", "migrations")


@dataclass(frozen=True)
class Vintage:
    """A finished run: its place in the order of data_to_date (from 1), its tables, what it observed, its manifest."""

    number: int
    folder: Path
    tables: Mapping[str, Table]
    period: Period
    engine: EngineSettings
    manifest: Mapping[str, Any]

    @property
    def data_to_date(self) -> date:
        """The first day that it no longer observed."""
        return self.period.data_to_date

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration as it was used."""
        config: Mapping[str, Any] = self.manifest["config"]
        return config

    @property
    def reporting_country(self) -> str:
        """The country whose migration is measured."""
        return str(self.config["estimates"]["reporting_country"])


def open_vintages(folders: Sequence[Path]) -> list[Vintage]:
    """Open the folders of two runs or more, in the order of data_to_date; of equal ones, in the order given.

    Errors: ConfigError for fewer than two, for one that is given twice, and for a folder without a finished run with
    figures; SourceError for tables that are missing, elsewhere, or not as they were written.
    """
    if len(folders) < 2:
        raise ConfigError("compare needs two runs or more; name their folders one after the other")
    resolved = [folder.resolve() for folder in folders]
    for place, folder in enumerate(folders):
        if resolved[place] in resolved[:place]:
            raise ConfigError(f"{folder}: this run is given twice; name each once")
    opened = sorted((_open(folder) for folder in folders), key=lambda vintage: vintage.data_to_date)
    return [
        Vintage(number, v.folder, v.tables, v.period, v.engine, v.manifest)
        for number, v in enumerate(opened, start=1)
    ]


def _open(folder: Path) -> Vintage:
    manifest = find_manifest(folder)
    if manifest is None:
        raise ConfigError(f"{folder}: not the folder of a run; it holds no manifest.json that can be read")
    state = manifest.get("state", "unknown")
    if state not in ("finished", "stopped"):
        raise ConfigError(
            f"{folder}: the run is not finished but {state}; go on with it: miglink run CONFIG --out {folder} --resume"
        )
    if "estimates" not in {stage.get("name") for stage in manifest.get("stages", ())}:
        raise ConfigError(
            f"{folder}: the run was ended before the stage estimates, so it has no figures; go on with it: "
            f"miglink run CONFIG --out {folder} --resume"
        )
    names = (*_OF_FIGURES, *_OF_PERSONS)
    check_tables(folder, manifest, names)
    tables = {name: Table(name, folder / "tables" / f"{name}.parquet") for name in names}
    for table in tables.values():
        _check_table(folder, table)
    try:
        config = manifest["config"]
        period = Period.model_validate_json(json.dumps(config["period"]))
        engine = EngineSettings.model_validate_json(json.dumps(config["engine"]))
        _ = config["estimates"]["reporting_country"], config["residence"]["rules"]
    except (KeyError, TypeError, ValueError):
        raise ConfigError(
            f"{folder}: manifest.json does not state the configuration of the run as this version of miglink writes it"
        ) from None
    return Vintage(0, folder, tables, period, engine, manifest)


def _check_table(folder: Path, table: Table) -> None:
    """SourceError unless the table is there and has the columns of its contract."""
    if not table.path.exists():
        raise SourceError(f"{folder}: no tables/{table.name}; was the table removed? Run it again")
    check_here(table.path)
    try:
        held = pl.scan_parquet(table.path, glob=False).collect_schema()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise SourceError(f"{table.path}: cannot be read as Parquet ({type(error).__name__})") from None
    lacking = [column.name for column in TABLES[table.name].columns if column.name not in held]
    if lacking:
        raise SourceError(
            f"{folder}: tables/{table.name}.parquet has no column {', '.join(lacking)}; another version of miglink "
            "made it. Run it again with this one"
        )
