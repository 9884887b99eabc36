"""The tables of `publish.tables`, protected: each count with the noise of the same persons in stocks and flows."""

from collections.abc import Mapping
from functools import reduce

import polars as pl

from miglink.codes.lists import gather_codes, map_values, total_code
from miglink.config.shells import AgeDefinition, Shell
from miglink.stages.publish.points import whole
from miglink.stages.publish.protection.cells import RANGE, name_cell, put_back
from miglink.stages.publish.shells import (
    DEFINITION,
    ROW,
    ShellsAsked,
    choose_rules,
    select_cells,
    shown_as,
    shown_columns,
    sum_known,
    tell_rows,
    where_held,
)
from miglink.tables.contract import DIMENSIONS

_COUNTS = ("settled", "undetermined")
# The columns of what is counted; a point has the noise of the settled count where it is the same number.
_COLUMNS = {"settled": "n_settled", "undetermined": "n_undetermined", "point": "n"}
_TOTAL = "total"
_SEPARATOR = "\x1e"


def list_shell_cells(
    shell_cells: pl.DataFrame, cell_keys: pl.DataFrame, asked: ShellsAsked
) -> tuple[dict[str, pl.DataFrame], pl.DataFrame]:
    """The counts of the tables that are produced, by table and code, and the cells of all of them, one below the other.

    shell_cells, cell_keys: the tables; where cell_keys is empty no cell has the key of its persons.
    """
    keys = cell_keys.select(
        "rule", "policy", "measure", "period", *DIMENSIONS, "settled_key", "undetermined_key"
    )
    keyed = shell_cells.join(
        keys, on=("rule", "policy", "measure", "period", *DIMENSIONS), how="left", maintain_order="left"
    )
    counted = {
        shell.name: pl.concat(
            _count(choose_rules(keyed, shell, asked), shell, definition, asked)
            for definition in shell.age_definitions
        )
        for shell in asked.shells
        if shell.name in asked.produced
    }
    cells = [
        rows.with_row_index("row").select(
            "row",
            table=pl.lit(name),
            column=pl.lit(column),
            count=pl.col(column).cast(pl.Int64),
            cell=f"cell_{count}",
            persons_key=f"key_{count}",
        )
        for name, rows in counted.items()
        for count, column in _COLUMNS.items()
    ]
    return counted, pl.concat(cells) if cells else pl.DataFrame()


def fill_protected(
    counted: Mapping[str, pl.DataFrame],
    protected: pl.DataFrame,
    shell_cells: pl.DataFrame,
    asked: ShellsAsked,
) -> dict[str, pl.DataFrame]:
    """The rows of the tables, of protected counts; net migration is computed of them."""
    return {
        shell.name: tell_rows(
            put_back(protected.filter(table=shell.name), counted[shell.name]),
            choose_rules(shell_cells, shell, asked),
            shell,
            asked,
        )
        for shell in asked.shells
        if shell.name in counted
    }


def _count(cells: pl.DataFrame, shell: Shell, definition: AgeDefinition, asked: ShellsAsked) -> pl.DataFrame:
    """Counts by measure and code, with what each of them counts and the key of its persons.

    A count is known by the values that those whom it counts have in each dimension: so groups and totals of the same
    persons are one, and what stocks and flows count under the same values is the same cell there.
    """
    # Texts that many cells share are numbered: they would be compared over and over.
    facts = cells.select(ROW).unique().sort(ROW).with_row_index("fact")
    cells = cells.join(facts, on=ROW).drop(ROW)
    keys = ["fact", *map(shown_as, shown_columns(shell))]
    held = {name: where_held(name, definition) for name in shell.dimensions}
    coded = _with_codes(select_cells(cells, shell, definition, asked), shell, definition, asked)
    rows = coded.group_by(keys).agg(
        pl.col("n_settled", "n_undetermined").sum(),
        sum_known("n"),
        *((pl.col(f"{count}_key").sum() % RANGE).alias(f"key_{count}") for count in _COUNTS),
    )
    rows = rows.with_columns(whole("n"))
    for count, column in _COLUMNS.items():
        counted = coded.filter(pl.col(column) != 0).group_by(keys)
        rows = rows.join(counted.agg(_values(name, count) for name in held.values()), on=keys, how="left")
    for name in (name for name in held if name in shell.where or name in shell.where_not):
        lifted = _with_codes(select_cells(cells, shell, definition, asked, name), shell, definition, asked)
        sums = (
            whole(pl.col(column).sum()).alias(f"{name} all {count}") for count, column in _COLUMNS.items()
        )
        rows = rows.join(lifted.group_by(keys).agg(sums), on=keys, how="left")
    rows = rows.join(facts, on="fact")
    named = rows.with_columns(
        _name_cells(rows, shell, held, count).alias(f"cell_{count}") for count in _COLUMNS
    )
    is_same = pl.col("n").eq_missing(pl.col("n_settled"))
    pointed = named.with_columns(
        has_point=pl.col("n").is_not_null(),
        cell_point=pl.when(is_same).then("cell_settled").otherwise("cell_point"),
        key_point=pl.when(is_same).then("key_settled"),
    )
    counts = (
        name for count, column in _COLUMNS.items() for name in (column, f"cell_{count}", f"key_{count}")
    )
    order = [*ROW, *keys[1:]]
    return pointed.select(*order, *counts, "has_point", pl.lit(definition).alias(DEFINITION)).sort(order)


def _with_codes(
    cells: pl.DataFrame, shell: Shell, definition: AgeDefinition, asked: ShellsAsked
) -> pl.DataFrame:
    """Every cell once for each combination of codes that count it."""
    needed = {where_held(name, definition) for name in shell.dimensions}
    counts = (*_COLUMNS.values(), *(f"{count}_key" for count in _COUNTS))

    def encode(frame: pl.DataFrame, name: str) -> pl.DataFrame:
        column = shown_columns(shell)[name]
        held = where_held(str(column.dimension), definition)
        codes = gather_codes(column.lists, column.codes)
        mapped = map_values(frame[held].unique().to_list(), codes, asked.reporting_country)
        return frame.join(mapped.rename({"value": held, "code": shown_as(name)}), on=held)

    return reduce(encode, shown_columns(shell), cells.select("fact", *sorted(needed), *counts))


def _values(column: str, count: str) -> pl.Expr:
    """The values in a column, each once, as one text."""
    return pl.col(column).unique().sort().str.join(_SEPARATOR).alias(f"{column} of {count}")


def _name_cells(rows: pl.DataFrame, shell: Shell, held: Mapping[str, str], count: str) -> pl.Series:
    """What each row counts, as cells of stocks and flows are named.

    A dimension is `total` where the code is that of all and nobody is left out for it.
    """
    total = {
        str(column.dimension): (shown_as(name), total_code(gather_codes(column.lists, column.codes)))
        for name, column in shown_columns(shell).items()
    }
    values = {name: pl.lit(_TOTAL) for name in DIMENSIONS}
    for name, column in held.items():
        conditions = [pl.lit(True)]
        if name in total:
            shown, code = total[name]
            conditions.append(pl.col(shown) == code if code is not None else pl.lit(False))
        if f"{name} all {count}" in rows.columns:
            conditions.append(pl.col(f"{name} all {count}") == pl.col(_COLUMNS[count]))
        is_total = pl.all_horizontal(conditions)
        values[column] = pl.when(is_total).then(pl.lit(_TOTAL)).otherwise(f"{column} of {count}")
        if column == "trait_value":
            values["trait"] = pl.when(is_total).then(pl.lit(_TOTAL)).otherwise(pl.lit(name))
    placed = rows.select("measure", "period", **values)
    # In stocks and flows a point is the cell of what it is the headline of.
    what = "settled" if count == "point" else count
    return placed.select(name_cell(pl.col("measure"), pl.col("period"), what)).to_series()
