"""Stage 9: writes the tables that may leave the run folder, the linked files for analysts, and a summary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from miglink.config.shells import Shell
from miglink.engine import Engine, Table
from miglink.stages.publish.datapackage import (
    DATAPACKAGE,
    File,
    Package,
    describe_table,
    write_datapackage,
)
from miglink.stages.publish.delimited import write_csv
from miglink.stages.publish.linked import LINKED, find_linked, linked_contracts
from miglink.stages.publish.shells import ShellsAsked, describe_shell, fill_shell
from miglink.stages.publish.summary import empty_months, month_ranges, render_summary
from miglink.tables import TABLES, Contract
from miglink.version import __version__

__all__ = ["Publication", "month_ranges", "publish", "render_summary"]

_AGGREGATES = (
    "stocks",
    "flows",
    "accounts",
    "stock_differences",
    "flow_differences",
    "person_time",
    "mobility",
    "list_status",
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

    rules: the title of each rule by its name. sources: names only. traits: the further columns that are counted by.
    shells: the tables of `publish.tables`, and table_rules the rules chosen for them.
    """

    name: str = "run"
    sources: Sequence[str] = ()
    rules: Mapping[str, str] = field(default_factory=dict)
    reporting_country: str = ""
    formats: Sequence[str] = ("parquet", "csv")
    traits: Sequence[str] = ()
    shells: Sequence[Shell] = ()
    table_rules: Mapping[str, str] = field(default_factory=dict)


def publish(
    engine: Engine,
    tables: Mapping[str, Table],
    run_folder: Path,
    data_to_date: date,
    publication: Publication = Publication(),
) -> list[Path]:
    """Write the aggregates into outputs/ and the linked, pseudonymous histories of persons into linked/.

    Reads: stocks, flows, accounts, stock_differences, flow_differences, person_time, mobility, list_status,
        expired_stays, quality; shells and shell_cells where tables are asked for; persons, person_traits, residence,
        migrations, spells, listed_people, records,
        record_persons.
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
    told = _OUTPUTS + (_OUTPUTS_CSV if "csv" in publication.formats else "")
    packages = {
        "outputs": Package(publication.name, "Migration statistics", told, publication.sources, facts),
        "linked": Package(
            publication.name, "Linked histories of persons", _LINKED, publication.sources, facts
        ),
    }
    contracts = linked_contracts(publication.traits)
    persons = find_linked(engine, tables, contracts, data_to_date, publication.reporting_country)
    run_folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".tables-", dir=run_folder) as scratch:
        aggregates = [
            *((tables[name], TABLES[name]) for name in _AGGREGATES),
            *_fill_shells(Path(scratch), tables, publication),
        ]
        files = {
            "outputs": [(*one, form) for one in aggregates for form in publication.formats],
            "linked": [(persons[name], contract, "parquet") for name, contract in contracts.items()],
        }
        written: list[Path] = []
        for folder, package in packages.items():
            written += _write_folder(engine, run_folder / folder, files[folder], package)
    return written


def _fill_shells(
    scratch: Path, tables: Mapping[str, Table], publication: Publication
) -> list[tuple[Table, Contract]]:
    """The tables asked for, in the columns and codes of their publishers, after what is said of them.

    They are small, and files of this machine on every engine.
    """
    if not publication.shells:
        return []
    described = pl.read_parquet(tables["shells"].path, glob=False)
    cells = pl.read_parquet(tables["shell_cells"].path, glob=False)
    asked = ShellsAsked(
        publication.shells,
        frozenset(described.filter("is_produced")["shell"]),
        publication.table_rules,
        publication.reporting_country,
    )
    filled = []
    for shell in publication.shells:
        table = Table(shell.name, scratch / f"{shell.name}.parquet")
        fill_shell(cells, shell, asked).write_parquet(table.path)
        filled.append((table, describe_shell(shell)))
    return [(tables["shells"], TABLES["shells"]), *filled]


def _write_folder(
    engine: Engine, folder: Path, tables: Sequence[tuple[Table, Contract, str]], package: Package
) -> list[Path]:
    """Write tables into a folder, each in a format, and last what the folder holds."""
    # The package of a run before would describe files that are replaced one by one.
    (folder / DATAPACKAGE).unlink(missing_ok=True)
    files = []
    for table, contract, form in tables:
        target = folder / f"{contract.name}.{form}"
        is_ours = contract.name in TABLES or contract.name in LINKED
        n_rows = engine.count(table) if is_ours else pl.read_parquet(table.path, glob=False).height
        if form == "csv":
            write_csv(table, target)
        else:
            engine.export(table, target, describe_table(contract, package.facts))
        files.append(File(target, contract, n_rows))
    return [*(file.path for file in files), write_datapackage(folder, package, files)]
