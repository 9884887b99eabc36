"""`miglink compare`: what moved from one run to the next: figures, persons, and who is counted why.

It reads the tables of the runs and writes nothing into their folders. What it gives are aggregates: it names no
person, record or id. Small cells stay small: no disclosure control is applied.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from rich.console import Group

from miglink.compare.figures import (
    find_revisions,
    gather_figures,
    measure_by_age,
    revise_accounts,
    totals_of,
)
from miglink.compare.files import check_targets, comparison_as_json, write_json, write_tables
from miglink.compare.inputs import Vintage, open_vintages
from miglink.compare.movers import find_movers
from miglink.compare.persons import match_persons
from miglink.compare.report import render
from miglink.compare.settings import Settings, compare_settings
from miglink.engine import Engine, open_engine
from miglink.errors import ConfigError, TableError
from miglink.tables import COMPARISON_TABLES

__all__ = [
    "Choice",
    "Comparison",
    "Vintage",
    "check_targets",
    "compare_runs",
    "render_comparison",
    "write_comparison",
]

_TYPES = {
    "VARCHAR": pl.String,
    "DATE": pl.Date,
    "INTEGER": pl.Int32,
    "BIGINT": pl.Int64,
    "DOUBLE": pl.Float64,
    "BOOLEAN": pl.Boolean,
}


@dataclass(frozen=True)
class Choice:
    """What is asked for: stocks, flows or accounts; a rule; periods whose names begin so. None: all."""

    part: str | None = None
    rule: str | None = None
    period: str | None = None


ALL = Choice()


@dataclass(frozen=True)
class Comparison:
    """The runs in order, what sets each apart from the one before it, and the tables of `miglink tables` by name."""

    vintages: Sequence[Vintage]
    settings: Sequence[Settings]
    tables: dict[str, pl.DataFrame]
    choice: Choice = ALL


def compare_runs(folders: Sequence[Path], choice: Choice = ALL) -> Comparison:
    """Compare finished runs, each with the next in the order in which their data end.

    Reads: the tables of the runs. Gives: the tables of a comparison (docs/tables.md).
    Errors: ConfigError for what is not two finished runs with figures; SourceError for tables that are missing or
        elsewhere; ResultError if a run's figures do not count the persons in its own tables.
    """
    vintages = open_vintages(folders)
    try:
        # Scratch tables hold pseudonyms: they stay within the folder of a run, readable by its owner only.
        place = TemporaryDirectory(dir=vintages[-1].folder, prefix=".miglink-")
    except OSError as error:
        raise ConfigError(f"{vintages[-1].folder}: cannot be written: {error.strerror}") from None
    with place, closing(open_engine("duckdb", Path(place.name), vintages[-1].engine.place)) as engine:
        return _narrow(_compare(engine, vintages), choice)


def render_comparison(found: Comparison) -> Group:
    """The comparison for the terminal."""
    return render(found.vintages, found.settings, found.tables, found.choice.part)


def write_comparison(found: Comparison, json_file: Path | None, out: Path | None) -> list[Path]:
    """Write the comparison as JSON, and its tables into a folder, where asked for; gives what was written."""
    if json_file is not None:
        write_json(json_file, comparison_as_json(found.vintages, found.settings, found.tables))
    if out is not None:
        write_tables(out, found.tables)
    return [target for target in (json_file, out) if target is not None]


def _compare(engine: Engine, vintages: Sequence[Vintage]) -> Comparison:
    """Compare each run with the next."""
    figures = gather_figures(engine, vintages)
    settings, movers, matched, accounts, revisions = [], [], [], [], []
    for pair in pairwise(vintages):
        told = compare_settings(*pair)
        matching = match_persons(engine, *pair)
        numbers = {"earlier": pair[0].number, "later": pair[1].number}
        named = [pl.lit(number, pl.Int32).alias(name) for name, number in numbers.items()]
        settings.append(told)
        matched.append(matching.counts.with_columns(named))
        movers.append(find_movers(engine, pair, matching, figures, told))
        accounts.append(revise_accounts(engine, *pair))
        revisions.append(find_revisions(engine, *pair))
    totals = totals_of(figures)
    tables = {
        "revisions": pl.concat(revisions),
        "triangle": totals,
        "revisions_by_age": measure_by_age(totals, vintages[-1].number),
        "movers": pl.concat(movers),
        "matched": pl.concat(matched),
        "account_revisions": pl.concat(accounts),
    }
    return Comparison(vintages, settings, {name: _finish(name, rows) for name, rows in tables.items()})


def _narrow(found: Comparison, choice: Choice) -> Comparison:
    """Keep what is asked for; ConfigError where no figure is of that rule, or in such a period."""
    tables = dict(found.tables)
    for name, value in (("rule", choice.rule), ("period", choice.period)):
        if value is None:
            continue
        known = (
            pl.concat([tables[table][name] for table in ("triangle", "account_revisions")]).unique().sort()
        )
        chosen = known.filter(known.str.starts_with(value) if name == "period" else known == value)
        if chosen.is_empty():
            raise ConfigError(
                f"--{name} {value}: no figure is of it; the runs have {', '.join(known.to_list()[:40])}"
            )
        tables = {
            table: rows.filter(pl.col(name).is_in(chosen.implode())) if name in rows.columns else rows
            for table, rows in tables.items()
        }
    if choice.part is not None:
        tables = {
            table: rows.filter(pl.col("part") == choice.part) if "part" in rows.columns else rows
            for table, rows in tables.items()
        }
        if choice.part != "accounts":
            tables["account_revisions"] = tables["account_revisions"].clear()
    by_age = measure_by_age(tables["triangle"], found.vintages[-1].number)
    tables["revisions_by_age"] = _finish("revisions_by_age", by_age)
    return Comparison(found.vintages, found.settings, tables, choice)


def _finish(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """The columns of the contract, sorted by its key; TableError where that repeats (a defect)."""
    contract = COMPARISON_TABLES[name]
    table = rows.select(pl.col(column.name).cast(_TYPES[column.type]) for column in contract.columns)
    if table.select(contract.key).is_duplicated().any():
        raise TableError(f"table {name}: its key repeats")
    return table.sort(contract.key)
