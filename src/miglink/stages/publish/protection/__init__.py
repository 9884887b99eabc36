"""Disclosure control: the published tables with every count protected, and a record of that for the output checker."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from miglink.config.protection import SUPPRESSIBLE, ProtectionSettings
from miglink.engine import Engine, Table
from miglink.stages.publish.protection.cells import COUNTED, join_cell_keys, list_cells
from miglink.stages.publish.protection.derived import (
    derive_discrepancy,
    derive_headline,
    derive_net,
    derive_shares,
    leave_out_spread,
    shift_bounds,
)
from miglink.stages.publish.protection.noise import draw_numbers, round_at_random, round_to_nearest
from miglink.stages.publish.protection.ptable import DEFAULT, describe_noise, perturb, read_ptable
from miglink.stages.publish.protection.record import describe_changes, describe_method
from miglink.stages.publish.protection.suppression import suppress_few, suppress_margins
from miglink.tables import TABLES, Contract
from miglink.tables.contract import DIMENSIONS

__all__ = ["Protected", "Protection", "describe_noise", "protect"]

_ACCOUNTS = " Each term is protected on its own, so they need not balance: discrepancy is what is left over."
_ADDS_UP = "its counts and those of stocks and flows add up, so that suppressed ones could be computed"
_REASONS = {
    "person_time": "it counts days, and noise on the days of one person does not hide the person",
    "list_status": "it adds weights up, and noise on the number of records does not hide a weight",
    "shells": "the tables of publish.tables count the same persons in other groups, which are not protected",
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


def protect(engine: Engine, tables: Mapping[str, Table], protection: Protection) -> Protected:
    """Protect every count of the tables; those that cannot be, and those not asked for, are left out.

    Reads: the tables that outputs/ would hold, and cell_keys.
    Gives: their rows with protected counts, and what is computed of counts computed anew. Rows of cells in which
        nothing is left are left out, for a row of zeros says that somebody was there. The record says what was asked
        for, what was left out and why, and how much was changed; never a key.
    Units: as in the contracts of the tables; counts, and nothing else, become null where they are suppressed.
    Source: methods of miglink, section 6; docs/protection.md.
    """
    settings = protection.settings
    cell_keys = pl.read_parquet(tables["cell_keys"].path, glob=False)
    possible = SUPPRESSIBLE if settings.method == "suppression" else tuple(COUNTED)
    asked: Sequence[str] = settings.tables or possible
    rows: dict[str, pl.DataFrame] = {}
    changes: dict[str, object] = {}
    for name in (name for name in COUNTED if name in asked and name in tables):
        before = _read(name, tables[name], settings)
        counted = _list_counts(name, before)
        if settings.method == "suppression":
            cells = _suppress_cells(counted, before, protection)
        else:
            cells = _protect_cells(engine, counted, cell_keys, protection)
        changes[name] = describe_changes(cells)
        rows[name] = _drop_empty(name, _derive(name, _put_back(cells, before), before, settings))
    reasons = {
        name: "not asked for in publish.protection.tables" if name in possible else _ADDS_UP
        for name in COUNTED
        if name not in asked
    }
    reasons |= {
        name: _REASONS.get(name, "no way to protect it is known")
        for name in {*tables} - {*COUNTED, "cell_keys"}
    }
    record = {
        "asked": settings.model_dump(mode="json"),
        "method": describe_method(settings),
        "noise": "seeded by the run's secret key and what the cell counts; no key is in any output",
        "tables": changes,
        "tables_left_out": {name: reasons[name] for name in sorted(reasons) if name in tables},
        "rows_left_out": {name: reason for name, reason in _ROWS_LEFT_OUT.items() if name in rows},
    }
    return Protected(rows, {name: _describe(TABLES[name], settings) for name in rows}, record)


def _read(name: str, table: Table, settings: ProtectionSettings) -> pl.DataFrame:
    """The rows of an aggregate that can be protected; counts of quality add up, so suppression leaves them out."""
    rows = pl.read_parquet(table.path, glob=False)
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


def _protect_cells(
    engine: Engine, cells: pl.DataFrame, cell_keys: pl.DataFrame, protection: Protection
) -> pl.DataFrame:
    """Add `protected` to cells; null where the count is, or is suppressed."""
    settings, count = protection.settings, pl.col("count")
    if settings.method == "rounding":
        protected = cells.with_columns(protected=round_to_nearest(count, settings.rounding_base))
    else:
        drawn = draw_numbers(engine, cells, protection.key)
        if settings.method == "random_rounding":
            rounded = round_at_random(count, pl.col("drawn"), settings.rounding_base)
            protected = drawn.with_columns(protected=rounded)
        else:
            keyed = join_cell_keys(drawn, cell_keys)
            protected = perturb(keyed, read_ptable(settings.ptable or DEFAULT))
    if settings.minimum_count is None:
        return protected
    is_few = pl.col("protected").abs().is_between(1, settings.minimum_count - 1)
    return protected.with_columns(protected=pl.when(~is_few).then("protected"))


def _suppress_cells(cells: pl.DataFrame, rows: pl.DataFrame, protection: Protection) -> pl.DataFrame:
    """Add `protected` to cells: the count, or null where it is suppressed."""
    settings = protection.settings
    least = settings.minimum_count or 0
    if settings.secondary == "suppression" and set(DIMENSIONS) <= {*rows.columns}:
        return suppress_margins(cells, rows, least, protection.reporting_country)
    return suppress_few(cells, least)


def _put_back(cells: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with the protected counts in their columns; what is not a cell stays."""
    numbered = rows.with_row_index("row")
    for (column,), of_column in cells.group_by("column"):
        name = str(column)
        protected = of_column.select(
            "row", protected=pl.col("protected").cast(rows.schema[name]), is_cell=True
        )
        value = pl.when("is_cell").then("protected").otherwise(name)
        numbered = (
            numbered.join(protected, on="row", how="left", maintain_order="left")
            .with_columns(value.alias(name))
            .drop("protected", "is_cell")
        )
    return numbered.drop("row")


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
    return leave_out_spread(shift_bounds(after, before, settings.rounding_base))


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


def _describe(contract: Contract, settings: ProtectionSettings) -> Contract:
    """The contract of what is published: its counts may be null."""
    told = f" Counts are protected: {describe_method(settings)}"
    counts = COUNTED[contract.name]
    columns = tuple(
        dataclasses.replace(column, nullable=column.nullable or column.name in (*counts, "discrepancy"))
        for column in contract.columns
    )
    further = _ACCOUNTS if contract.name == "accounts" else ""
    return dataclasses.replace(contract, sentence=contract.sentence + told + further, columns=columns)
