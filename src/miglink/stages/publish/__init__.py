"""Stage 9: writes the tables that may leave the run folder, the linked files for analysts, and a summary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from miglink import __version__
from miglink.engine import Engine, Table
from miglink.stages.publish.datapackage import (
    DATAPACKAGE,
    File,
    Package,
    describe_table,
    write_datapackage,
)
from miglink.stages.publish.delimited import write_csv
from miglink.stages.publish.linked import LINKED, find_linked
from miglink.stages.publish.summary import empty_months, month_ranges, render_summary
from miglink.tables import TABLES, Contract

__all__ = ["Publication", "month_ranges", "publish", "render_summary"]

_AGGREGATES = (
    "stocks",
    "flows",
    "accounts",
    "stock_differences",
    "flow_differences",
    "person_time",
    "mobility",
    "expired_stays",
    "quality",
)
_OUTPUTS = (
    "Aggregates only. No disclosure control has been applied. Filter on rule and policy always, and on `total` in "
    "every dimension that is not wanted; n_undetermined is not in n_settled; status says what is provisional."
)
_OUTPUTS_CSV = (
    " In CSV an apostrophe stands before any text that a spreadsheet would take for a formula "
    "(docs/analysts.md)."
)
_LINKED = (
    "Histories of persons under pseudonyms: data on individuals, which must stay inside. Intervals are half-open. "
    "Filter on draw 0, and on one rule and policy. docs/analysts.md has worked examples."
)


@dataclass(frozen=True)
class Publication:
    """What readers are told about the run, and the file formats of outputs/.

    rules: the title of each rule by its name. sources: names only. observed: first and last day of what is observed
    of crossings and under each rule, where that is not the whole period.
    """

    name: str = "run"
    sources: Sequence[str] = ()
    rules: Mapping[str, str] = field(default_factory=dict)
    reporting_country: str = ""
    formats: Sequence[str] = ("parquet", "csv")
    observed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def publish(
    engine: Engine,
    tables: Mapping[str, Table],
    run_folder: Path,
    data_to_date: date,
    publication: Publication = Publication(),
) -> list[Path]:
    """Write the aggregates into outputs/ and the linked, pseudonymous histories of persons into linked/.

    Reads: stocks, flows, accounts, stock_differences, flow_differences, person_time, expired_stays, quality; persons,
        person_traits, residence, migrations, spells, records, record_persons.
    Gives: the paths of the files, datapackage.json of each folder last. Parquet files say what they and their columns
        are in their metadata. outputs/ holds aggregates only. linked/ has no names, document or person numbers, record
        ids or column with a day of birth, but is data on individuals (a history may begin at birth): it stays inside.
        No disclosure control has been applied to either.
    Units: as in the contracts of the tables.
    Errors: OSError if the folder cannot be written; a file appears under its name only when whole.
    Source: docs/assumptions.md (what may leave the run folder); Data Package 1.0; RFC 4180.
    """
    facts: dict[str, Any] = {
        "run": publication.name,
        "data_to_date": data_to_date.isoformat(),
        "miglink": __version__,
        "rules": dict(publication.rules),
        "months_without_crossings": empty_months(tables["quality"]),
    }
    if publication.observed:
        facts["observed"] = {what: dict(days) for what, days in publication.observed.items()}
    told = _OUTPUTS + (_OUTPUTS_CSV if "csv" in publication.formats else "")
    packages = {
        "outputs": Package(publication.name, "Migration statistics", told, publication.sources, facts),
        "linked": Package(
            publication.name, "Linked histories of persons", _LINKED, publication.sources, facts
        ),
    }
    persons = find_linked(engine, tables, data_to_date, publication.reporting_country)
    files = {
        "outputs": [
            (tables[name], TABLES[name], form) for name in _AGGREGATES for form in publication.formats
        ],
        "linked": [(persons[name], contract, "parquet") for name, contract in LINKED.items()],
    }
    written: list[Path] = []
    for folder, package in packages.items():
        written += _write_folder(engine, run_folder / folder, files[folder], package)
    return written


def _write_folder(
    engine: Engine, folder: Path, tables: Sequence[tuple[Table, Contract, str]], package: Package
) -> list[Path]:
    """Write tables into a folder, each in a format, and last what the folder holds."""
    # The package of a run before would describe files that are replaced one by one.
    (folder / DATAPACKAGE).unlink(missing_ok=True)
    files = []
    for table, contract, form in tables:
        target, n_rows = folder / f"{contract.name}.{form}", engine.count(table)
        if form == "csv":
            write_csv(table, target)
        else:
            engine.export(table, target, describe_table(contract, package.facts))
        files.append(File(target, contract, n_rows))
    return [*(file.path for file in files), write_datapackage(folder, package, files)]
