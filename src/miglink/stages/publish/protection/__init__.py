"""Disclosure control: the published tables with every count protected, and a record of that for the output checker."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from miglink.config.protection import POSSIBLE, ProtectionSettings
from miglink.engine import Engine, Table
from miglink.stages.publish.protection.cells import (
    COUNTED,
    LEFT_OUT,
    join_cell_keys,
    leave_out,
    list_cells,
    put_back,
)
from miglink.stages.publish.protection.controlled import check_solver, round_margins
from miglink.stages.publish.protection.derived import (
    derive_discrepancy,
    derive_headline,
    derive_net,
    derive_shares,
    shift_bounds,
)
from miglink.stages.publish.protection.noise import add_noise
from miglink.stages.publish.protection.ptable import describe_noise
from miglink.stages.publish.protection.record import describe_changes, describe_method
from miglink.stages.publish.protection.shells import fill_protected, list_shell_cells
from miglink.stages.publish.protection.suppression import suppress_few, suppress_margins
from miglink.stages.publish.shells import NOTHING_ASKED, ShellsAsked, describe_shell, fill_shell
from miglink.tables import TABLES, Contract
from miglink.tables.contract import DIMENSIONS

__all__ = ["Protected", "Protection", "check_solver", "describe_noise", "protect"]

_ACCOUNTS = " Each term is protected on its own, so they need not balance: discrepancy is what is left over."
_ADDS_UP = {
    "suppression": "its counts and those of stocks and flows add up, so that suppressed ones could be computed",
    "controlled_rounding": "its counts and those of stocks and flows add up, and would be rounded another way",
}
_UNKNOWN = "no way to protect it is known"
_NOT_ASKED = "not asked for in publish.protection.tables"
_REASONS = {
    "person_time": "it counts days, and noise on the days of one person does not hide the person",
}
# What else suppression cannot protect.
_NOT_SUPPRESSED = {
    "list_status": "its rows add up to the list, whose size others may know, so that suppressed ones could be computed",
}
# What noise on a count would not hide.
_DAYS = ("days_above_limit",)
_ROWS_LEFT_OUT = {
    "mobility": "days_above_limit, which counts days of persons",
    "quality": "rates and estimates with their limits: beside the counts they would tell what those were; under "
    "suppression all counts",
}
# Measures of quality that count persons, records and what was found of them.
_QUALITY_COUNTS = (
    "rows_read",
    "rows_accepted",
    "rows_rejected",
    "rows_repeated",
    "rows_rejected_because",
    "records_noted",
    "records",
    "identities",
    "record_identities",
    "links",
    "links_proposed_by",
    "persons",
    "doubtful_persons",
    "persons_by_records",
    "conflicts",
    "spells",
    "crossings_left_out",
    "persons_ever_undetermined",
    "persons_undetermined_at_end",
    "migrations",
    "implied_migrations",
)
# What tells of no person.
_QUALITY_FACTS = ("months_without_crossings", "files", "trailers")


@dataclass(frozen=True)
class Protection:
    """What the configuration asks for, and the secret that decides each cell's noise.

    reporting_country: whose citizens and births stand apart as a group, for suppression.
    """

    settings: ProtectionSettings
    key: str = field(repr=False)
    reporting_country: str = ""


@dataclass(frozen=True)
class Protected:
    """The rows that may leave, with their contracts; and what is said of them to the output checker."""

    rows: Mapping[str, pl.DataFrame]
    contracts: Mapping[str, Contract]
    record: Mapping[str, object]


def protect(
    engine: Engine, tables: Mapping[str, Table], protection: Protection, asked: ShellsAsked = NOTHING_ASKED
) -> Protected:
    """Protect every count of the tables; those that cannot be, and those not asked for, are left out.

    Reads: the tables that outputs/ would hold, and cell_keys; shells and shell_cells where tables of publish.tables are
        asked for.
    Gives: their rows with protected counts, and what is computed of counts computed anew. Rows of cells in which
        nothing is left are left out, for a row of zeros says that somebody was there. The record says what was asked
        for, what was left out and why, and how much was changed; never a key.
    Units: as in the contracts of the tables; counts, and what is named in LEFT_OUT, become null.
    Source: methods of miglink, section 6; docs/protection.md.
    """
    settings = protection.settings
    is_suppressed = settings.method == "suppression"
    cell_keys = _load(tables["cell_keys"])
    possible = POSSIBLE.get(settings.method, (*COUNTED, "shells"))
    named: Sequence[str] = settings.tables or possible
    rows: dict[str, pl.DataFrame] = {}
    changes: dict[str, object] = {}
    for name in (name for name in COUNTED if name in named and name in tables):
        before = _read(name, tables[name], settings)
        counted = _list_counts(name, before)
        said: dict[str, object] = {}
        if is_suppressed:
            cells = _suppress_cells(counted, before, protection)
        else:
            noisy = add_noise(engine, join_cell_keys(counted, cell_keys), settings, protection.key)
            cells, said = _control(name, noisy, before, protection)
        changes[name] = describe_changes(cells) | said
        after = leave_out(name, put_back(cells, before))
        rows[name] = _drop_empty(name, _derive(name, after, before, settings))
    contracts = {name: _describe(TABLES[name], COUNTED[name], settings) for name in rows}
    if asked.shells and "shells" in named:
        filled, changed = _protect_shells(engine, tables, protection, asked)
        rows |= filled
        changes |= changed
        contracts["shells"] = _open(TABLES["shells"], tuple(LEFT_OUT["shells"]))
        counts = ("n_settled", "n_undetermined")  # what the publisher's columns hold may be null in any case
        contracts |= {
            shell.name: _describe(describe_shell(shell), counts, settings) for shell in asked.shells
        }
    record = {
        "asked": settings.model_dump(mode="json"),
        "method": describe_method(settings),
        "noise": "seeded by the run's secret key and what the cell counts; no key is in any output",
        "tables": changes,
        "tables_left_out": _explain_left_out(
            {*tables} - {*rows, "cell_keys", "shell_cells"}, possible, settings.method
        ),
        "rows_left_out": {name: reason for name, reason in _ROWS_LEFT_OUT.items() if name in rows},
        "columns_left_out": {name: dict(columns) for name, columns in LEFT_OUT.items() if name in rows},
    }
    return Protected(rows, contracts, record)


def _control(
    name: str, cells: pl.DataFrame, rows: pl.DataFrame, protection: Protection
) -> tuple[pl.DataFrame, dict[str, object]]:
    """Cells that are rounded at random, where controlled rounding is asked for so that they add up; and how it went."""
    settings = protection.settings
    if settings.method != "controlled_rounding" or name not in ("stocks", "flows"):
        return cells, {}
    rounded, said = round_margins(cells, rows, settings.rounding_base, protection.reporting_country)
    return rounded, {"controlled_rounding": said}


def _load(table: Table) -> pl.DataFrame:
    return pl.read_parquet(table.path, glob=False)


def _protect_shells(
    engine: Engine, tables: Mapping[str, Table], protection: Protection, asked: ShellsAsked
) -> tuple[dict[str, pl.DataFrame], dict[str, object]]:
    """The tables of publish.tables with what is said of them, of protected counts; and what changed in each."""
    shell_cells = _load(tables["shell_cells"])
    counted, cells = list_shell_cells(shell_cells, _load(tables["cell_keys"]), asked)
    rows = {"shells": leave_out("shells", _load(tables["shells"]))}
    changes: dict[str, object] = {}
    filled: dict[str, pl.DataFrame] = {}
    if counted:
        protected = add_noise(engine, cells, protection.settings, protection.key)
        changes = {name: describe_changes(protected.filter(table=name)) for name in counted}
        filled = fill_protected(counted, protected, shell_cells, asked)
    for shell in asked.shells:
        rows[shell.name] = (
            filled[shell.name] if shell.name in filled else fill_shell(shell_cells, shell, asked)
        )
    return rows, changes


def _explain_left_out(names: Collection[str], possible: Collection[str], method: str) -> dict[str, str]:
    """The tables that are left out, each with the reason; possible: those that the method can protect."""
    adds_up = dict.fromkeys((*COUNTED, "shells"), _ADDS_UP.get(method, _UNKNOWN))
    reasons = {**adds_up, **_NOT_SUPPRESSED, **_REASONS, **dict.fromkeys(possible, _NOT_ASKED)}
    return {name: reasons.get(name, _UNKNOWN) for name in sorted(names)}


def _read(name: str, table: Table, settings: ProtectionSettings) -> pl.DataFrame:
    """The rows of an aggregate that can be protected; counts of quality add up, so suppression leaves them out."""
    rows = _load(table)
    if name == "quality" and settings.method == "suppression":
        return rows.filter(pl.col("measure").is_in(_QUALITY_FACTS))
    if name == "mobility":
        return rows.filter(~pl.col("measure").is_in(_DAYS))
    if name == "quality":
        return rows.filter(pl.col("measure").is_in((*_QUALITY_COUNTS, *_QUALITY_FACTS)))
    return rows


def _list_counts(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """The cells whose counts are protected; what is computed of others, and what tells of no person, is none."""
    cells = list_cells(name, rows)
    if name == "flows":
        is_counted = rows["flow"] != "net"
    elif name == "quality":
        is_counted = ~rows["measure"].is_in(_QUALITY_FACTS)
    else:
        return cells
    return cells.join(
        rows.with_row_index("row").filter(is_counted).select("row"),
        on="row",
        how="semi",
        maintain_order="left",
    )


def _suppress_cells(cells: pl.DataFrame, rows: pl.DataFrame, protection: Protection) -> pl.DataFrame:
    """Add `protected` to cells: the count, or null where it is suppressed."""
    settings = protection.settings
    least = settings.minimum_count or 0
    if settings.secondary == "suppression" and set(DIMENSIONS) <= {*rows.columns}:
        return suppress_margins(cells, rows, least, protection.reporting_country)
    return suppress_few(cells, least)


def _derive(
    name: str, after: pl.DataFrame, before: pl.DataFrame, settings: ProtectionSettings
) -> pl.DataFrame:
    """Compute anew, of protected counts, what is no count."""
    if name == "quality":
        return derive_shares(after)
    if name == "accounts":
        return derive_discrepancy(after)
    if name not in ("stocks", "flows"):
        return after
    after = derive_headline(after)
    if name == "flows":
        after = derive_net(after)
    return shift_bounds(after, before, settings.rounding_base)


def _drop_empty(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Leave out cells of which nothing is left in any row; the whole, which is one cell, stays."""
    counts = [column for column in COUNTED[name] if not (column == "n" and "n_settled" in COUNTED[name])]
    is_something = pl.any_horizontal(pl.col(*counts).ne_missing(0))
    if name == "quality":
        return rows.filter(
            is_something | (pl.col("item") == "all") | pl.col("measure").str.ends_with("_share")
        )
    if not set(DIMENSIONS) <= {*rows.columns}:
        return rows.filter(is_something)
    is_whole = pl.all_horizontal(pl.col(*DIMENSIONS) == "total")
    return rows.filter(is_something.any().over(*DIMENSIONS) | is_whole)


def _describe(contract: Contract, counts: Collection[str], settings: ProtectionSettings) -> Contract:
    """The contract of what is published: its counts, and what is left out, may be null."""
    told = f" Counts are protected: {describe_method(settings)}"
    further = _ACCOUNTS if contract.name == "accounts" else ""
    opened = _open(contract, (*counts, "discrepancy", *LEFT_OUT.get(contract.name, ())))
    return dataclasses.replace(opened, sentence=opened.sentence + told + further)


def _open(contract: Contract, names: Collection[str]) -> Contract:
    """The contract with columns that may be null."""
    columns = tuple(
        dataclasses.replace(column, nullable=column.nullable or column.name in names)
        for column in contract.columns
    )
    return dataclasses.replace(contract, columns=columns)
