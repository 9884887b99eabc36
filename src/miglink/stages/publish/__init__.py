"""Stage 9: writes the tables that may leave the run folder, the linked files for analysts, and a summary."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
    write_page,
)
from miglink.stages.publish.delimited import write_csv
from miglink.stages.publish.earlier import find_earlier
from miglink.stages.publish.linked import LINKED, find_linked, linked_contracts
from miglink.stages.publish.protection import Protection, check_solver, describe_noise, protect
from miglink.stages.publish.protection.record import write_record
from miglink.stages.publish.published import find_published, render_protection
from miglink.stages.publish.report import REPORT, About, render_report
from miglink.stages.publish.sdmx import FORMATS, STRUCTURE, check_formats, fill_flows, write_structures
from miglink.stages.publish.shells import NOTHING_ASKED, ShellsAsked, describe_shell, fill_shell
from miglink.stages.publish.summary import empty_months, month_ranges, render_summary
from miglink.tables import TABLES, Contract
from miglink.version import __version__

__all__ = [
    "Protection",
    "Publication",
    "check_formats",
    "check_solver",
    "describe_noise",
    "find_published",
    "month_ranges",
    "publish",
    "render_protection",
    "render_summary",
]

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
    "Aggregates only. {protection} Filter on rule and policy always, and on `total` in "
    "every dimension that is not wanted; n_undetermined is not in n_settled; status says what is provisional."
)
_OUTPUTS_CSV = (
    " In CSV an apostrophe stands before any text that a spreadsheet would take for a formula "
    "(docs/analysts.md)."
)
_UNPROTECTED = (
    "None has been applied: small counts stand as they are, and with other tables they can tell about single persons. "
    "This report is for use inside the office."
)
_LINKED = (
    "Histories of persons under pseudonyms: data on individuals, which must stay inside. Intervals are half-open. "
    "Filter on draw 0, and on one rule and policy. docs/analysts.md has worked examples."
)


@dataclass(frozen=True)
class Publication:
    """What readers are told about the run, the file formats of outputs/, and how its counts are protected, if at all.

    rules: the title of each rule by its name. sources: names only. traits: the further columns that are counted by.
    shells: the tables of `publish.tables`, and table_rules the rules chosen for them. configuration: as used, for the
    report, without secrets. observed: first and last day of what is observed of crossings and under each rule, where
    that is not the whole period. previous: the folder of the run before, whose published figures the report sets beside
    those of this one.
    """

    name: str = "run"
    sources: Sequence[str] = ()
    rules: Mapping[str, str] = field(default_factory=dict)
    reporting_country: str = ""
    formats: Sequence[str] = ("parquet", "csv")
    traits: Sequence[str] = ()
    shells: Sequence[Shell] = ()
    table_rules: Mapping[str, str] = field(default_factory=dict)
    protection: Protection | None = None
    policies: Sequence[str] = ()
    configuration: str = ""
    observed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    previous: Path | None = None


@dataclass(frozen=True)
class _Outputs:
    """The tables of outputs/ as they leave, and what was done to them; no record where nothing was.

    scratch: a folder for what is made of them, gone when all is written.
    """

    tables: Sequence[tuple[Table, Contract]]
    record: Mapping[str, Any] | None
    scratch: Path


def publish(
    engine: Engine,
    tables: Mapping[str, Table],
    run_folder: Path,
    data_to_date: date,
    publication: Publication = Publication(),
) -> list[Path]:
    """Write the aggregates and a report of them into outputs/, and the linked histories of persons into linked/.

    Reads: stocks, flows, accounts, stock_differences, flow_differences, person_time, mobility, list_status,
        expired_stays, quality; shells and shell_cells where tables are asked for; persons, person_traits, residence,
        migrations, spells, listed_people, records,
        record_persons; outputs/ of the run before, where there is one.
    Gives: the paths of the files, datapackage.json of each folder last. Parquet files say what they and their columns
        are in their metadata. outputs/ holds aggregates only. linked/ has no names, document or person numbers, record
        ids or column with a day of birth, but is data on individuals (a history may begin at birth): it stays inside.
        With protection every count in outputs/ is protected, tables that cannot be are not there, and protection.json
        says what was done. linked/ is never protected. SDMX is made of the rows that leave in the other formats.
    Units: as in the contracts of the tables.
    Errors: OSError if the folder cannot be written; a file appears under its name only when whole.
    Source: docs/assumptions.md (what may leave the run folder); Data Package 1.0; RFC 4180; SDMX 3.0 (docs/sdmx.md).
    """
    missing = empty_months(tables["quality"])
    facts: dict[str, Any] = {
        "run": publication.name,
        "data_to_date": data_to_date.isoformat(),
        "miglink": __version__,
        "rules": dict(publication.rules),
        "months_without_crossings": missing,
    }
    if publication.observed:
        facts["observed"] = {what: dict(days) for what, days in publication.observed.items()}
    linked = Package(publication.name, "Linked histories of persons", _LINKED, publication.sources, facts)
    contracts = linked_contracts(publication.traits)
    persons = find_linked(engine, tables, contracts, data_to_date, publication.reporting_country)
    with _find_outputs(engine, tables, run_folder, publication) as found:
        said = "No disclosure control has been applied."
        if found.record is not None:
            said = f"Counts are protected: {found.record['method']}"
        told = _OUTPUTS.format(protection=said) + (
            _OUTPUTS_CSV if {"csv", "sdmx-csv"} & {*publication.formats} else ""
        )
        outputs = Package(publication.name, "Migration statistics", told, publication.sources, facts)
        files = [
            (*output, form) for output in found.tables for form in publication.formats if form not in FORMATS
        ]
        flows, structure = _fill_flows(found, publication, data_to_date)
        pages = {REPORT: _render(found, publication, data_to_date, month_ranges(missing)), **structure}
        written = _write_folder(engine, run_folder / "outputs", [*files, *flows], outputs, pages)
        if found.record is not None:
            written.insert(0, write_record(run_folder / "outputs", {**facts, **found.record}))
    histories = [(persons[name], contract, "parquet") for name, contract in contracts.items()]
    return [*written, *_write_folder(engine, run_folder / "linked", histories, linked, {})]


@contextmanager
def _find_outputs(
    engine: Engine, tables: Mapping[str, Table], run_folder: Path, publication: Publication
) -> Iterator[_Outputs]:
    """The aggregates as they leave: as they are, or protected; what is made for it is gone when they are written."""
    aggregates = {name: tables[name] for name in _AGGREGATES}
    run_folder.mkdir(parents=True, exist_ok=True)
    # The ending is that of what is removed when a run that was killed goes on.
    with TemporaryDirectory(dir=run_folder, suffix=".part") as folder:
        if publication.protection is None:
            shells = _fill_shells(Path(folder), tables, publication)
            yield _Outputs(
                [*((table, TABLES[name]) for name, table in aggregates.items()), *shells], None, Path(folder)
            )
            return
        told = {name: tables[name] for name in ("shells", "shell_cells") if publication.shells}
        keyed = {**aggregates, **told, "cell_keys": tables["cell_keys"]}
        protected = protect(engine, keyed, publication.protection, _find_asked(tables, publication))
        paths = {name: Path(folder) / f"{name}.parquet" for name in protected.rows}
        for name, rows in protected.rows.items():
            rows.write_parquet(paths[name])
        yield _Outputs(
            [(Table(name, path), protected.contracts[name]) for name, path in paths.items()],
            protected.record,
            Path(folder),
        )


def _fill_shells(
    scratch: Path, tables: Mapping[str, Table], publication: Publication
) -> list[tuple[Table, Contract]]:
    """The tables asked for, in the columns and codes of their publishers, after what is said of them.

    They are small, and files of this machine on every engine.
    """
    if not publication.shells:
        return []
    cells = pl.read_parquet(tables["shell_cells"].path, glob=False)
    asked = _find_asked(tables, publication)
    filled = []
    for shell in publication.shells:
        table = Table(shell.name, scratch / f"{shell.name}.parquet")
        fill_shell(cells, shell, asked).write_parquet(table.path)
        filled.append((table, describe_shell(shell)))
    return [(tables["shells"], TABLES["shells"]), *filled]


def _fill_flows(
    found: _Outputs, publication: Publication, data_to_date: date
) -> tuple[list[tuple[Table, Contract, str]], dict[str, str]]:
    """The files of SDMX-CSV, and structure.xml by its name; each where it is asked for."""
    if not {*FORMATS} & {*publication.formats}:
        return [], {}
    filled = fill_flows(found.tables, publication.shells, publication.reporting_country, found.scratch)
    files: list[tuple[Table, Contract, str]] = []
    pages = {}
    if "sdmx-csv" in publication.formats:
        # Rows name the data flow: a file without any is none of SDMX, and readers refuse it.
        files = [(one.table, one.contract, "csv") for one in filled if one.n_rows]
    if "sdmx-ml" in publication.formats:
        flows = [one.flow for one in filled]
        pages[STRUCTURE] = write_structures(flows, publication.name, data_to_date)
    return files, pages


def _find_asked(tables: Mapping[str, Table], publication: Publication) -> ShellsAsked:
    """The tables asked for, and which of them hold figures."""
    if not publication.shells:
        return NOTHING_ASKED
    described = pl.read_parquet(tables["shells"].path, glob=False)
    return ShellsAsked(
        publication.shells,
        frozenset(described.filter("is_produced")["shell"]),
        publication.table_rules,
        publication.reporting_country,
    )


def _render(found: _Outputs, publication: Publication, data_to_date: date, missing: str) -> str:
    """The report, from the tables as they leave; missing: the months without crossings, in words."""
    about = About(
        publication.name,
        publication.reporting_country,
        data_to_date,
        publication.rules,
        publication.policies,
        sorted(publication.sources),
        missing,
        _protection_in_words(found.record),
        publication.configuration,
        __version__,
    )
    frames = {table.name: pl.scan_parquet(table.path, glob=False) for table, _ in found.tables}
    method = None if found.record is None else str(found.record["method"])
    earlier = find_earlier(publication.previous, method)
    return render_report(frames, about, earlier)


def _protection_in_words(record: Mapping[str, Any] | None) -> str:
    """What disclosure control was applied, for the report."""
    if record is None:
        return _UNPROTECTED
    left_out = ", ".join(record["tables_left_out"])
    return f"Counts are {record['method']}" + (f" Left out: {left_out}." if left_out else "")


def _write_folder(
    engine: Engine,
    folder: Path,
    tables: Sequence[tuple[Table, Contract, str]],
    package: Package,
    pages: Mapping[str, str],
) -> list[Path]:
    """Write tables into a folder, each in a format, then pages by their name, and last what the folder holds."""
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
    written = [write_page(folder / name, page) for name, page in pages.items()]
    return [*(file.path for file in files), *written, write_datapackage(folder, package, files, written)]
