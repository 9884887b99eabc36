"""Tables in the columns and codes of those who publish them, added up from cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

import polars as pl

from miglink.codes.lists import country_code, gather_codes, map_values, total_code
from miglink.config.shells import (
    AGES,
    OWN_COLUMNS,
    STANDARD,
    AgeDefinition,
    Breakdown,
    Shell,
    ShellColumn,
    find_breakdowns,
    find_counted,
)
from miglink.tables import Column, Contract
from miglink.tables.contract import DIMENSIONS, POLICY, RULE, VINTAGE, required

_N = ("n_settled", "n_undetermined")
_ROW = ("rule", "policy", "period", "first_date", "data_to_date", "status")
_TOTAL = "total"
_DEFINITION = "age_definition"
# How the periods of a table are written.
_PERIODS = {"stock": r"^\d+-\d\d-\d\d$", "year": r"^\d+$", "quarter": r"^\d+-Q\d$", "month": r"^\d+-\d\d$"}


@dataclass(frozen=True)
class ShellsAsked:
    """The tables that are written, and what of the run is told in their columns.

    produced: the names of those that hold figures. chosen_rules: shell -> the rule that replaces those of its
    definition.
    """

    shells: Sequence[Shell] = ()
    produced: frozenset[str] = frozenset()
    chosen_rules: Mapping[str, str] = field(default_factory=dict)
    reporting_country: str = ""

    def find_cells(self, shell: Shell, definition: AgeDefinition) -> Breakdown:
        """The breakdown whose cells were counted for a table."""
        counted = find_breakdowns(
            (one for one in self.shells if one.name in self.produced),
            shell.frequency,
            is_stock=shell.measure == "stock",
        )
        return find_counted(shell.of(definition), counted)


def describe_shell(shell: Shell) -> Contract:
    """The contract of a table: the publisher's columns, then ours."""
    value = [name for name, column in shell.columns.items() if column.gives == "value"]
    is_told = ("dimension", "period", "year", "closing_year", _DEFINITION)
    key = tuple(
        name
        for name, column in shell.columns.items()
        if (column.gives or ("dimension" if column.dimension else "")) in is_told
    )
    theirs = [
        Column(name, "BIGINT" if name in value else "VARCHAR", column.meaning)
        for name, column in shell.columns.items()
    ]
    undetermined = required(
        "n_undetermined",
        "BIGINT",
        "persons or crossings that are undetermined, which the figure does not hold",
    )
    data_to_date, status = VINTAGE
    sentence = f"{shell.title} ({shell.publisher}; {shell.reference})."
    columns = (*theirs, RULE, POLICY, undetermined, status, data_to_date)
    return Contract(shell.name, "publish", f"{sentence} {shell.note or ''}".strip(), key, columns)


def fill_shell(cells: pl.DataFrame, shell: Shell, asked: ShellsAsked) -> pl.DataFrame:
    """The rows of a table: every code for which somebody is counted, and the total of every period.

    Reads: shell_cells. Counts are added up by code, so that a group or total holds what its members do.
    """
    if shell.name not in asked.produced:
        return _order(pl.DataFrame(), shell)
    is_meant = pl.col("measure").is_in(shell.measures) & pl.col("period").str.contains(_PERIODS[_kind(shell)])
    of_rules = _choose_rules(cells.filter(is_meant), shell, asked)
    filled = pl.concat(
        _fill(of_rules, shell, definition, asked).with_columns(pl.lit(definition).alias(_DEFINITION))
        for definition in shell.age_definitions
    )
    told = [
        (pl.col(_shown(name)) if column.dimension else _tell(column, shell, asked)).alias(name)
        for name, column in shell.columns.items()
    ]
    return _order(filled.select(*told, *OWN_COLUMNS), shell)


def _choose_rules(cells: pl.DataFrame, shell: Shell, asked: ShellsAsked) -> pl.DataFrame:
    """The cells of the rule that the table asks for in each period; of several, the first."""
    day, rule = pl.col("first_date"), pl.col("rule")
    named = shell.asks_for(asked.chosen_rules.get(shell.name))
    is_asked = [
        (rule == one.rule)
        & (day >= one.from_date if one.from_date else pl.lit(True))
        & (day <= one.to_date if one.to_date else pl.lit(True))
        for one in named
    ]
    order = pl.coalesce(pl.when(fits).then(number) for number, fits in enumerate(is_asked))
    ordered = cells.with_columns(order=order).filter(pl.col("order").is_not_null())
    return ordered.filter(pl.col("order") == pl.col("order").min().over("period")).drop("order")


def _fill(cells: pl.DataFrame, shell: Shell, definition: AgeDefinition, asked: ShellsAsked) -> pl.DataFrame:
    """Figures by the codes of every column of a dimension, under one definition of age."""
    counted = asked.find_cells(shell, definition)
    is_whole = pl.all_horizontal(pl.col(*DIMENSIONS) == _TOTAL)
    signed = _with_sign(cells.filter(*_belongs(counted)), shell)
    for name, values in shell.where.items():
        signed = signed.filter(pl.col(_where_held(_named(name, definition))).is_in(values))
    for name, values in shell.where_not.items():
        signed = signed.filter(~pl.col(_where_held(_named(name, definition))).is_in(values))
    shown = {name: column for name, column in shell.columns.items() if column.dimension}
    held = {name: _where_held(_named(str(column.dimension), definition)) for name, column in shown.items()}
    summed = signed.group_by(*_ROW, *(pl.col(value).alias(_shown(name)) for name, value in held.items())).agg(
        pl.col(*_N).sum()
    )
    coded = reduce(
        lambda frame, name: _encode(frame, name, shown, asked.reporting_country), shown, summed
    ).filter(pl.any_horizontal(pl.col(*_N) != 0))
    return _with_totals(coded, cells.filter(is_whole), shown)


def _with_sign(cells: pl.DataFrame, shell: Shell) -> pl.DataFrame:
    """Emigrations count against a net; what is undetermined adds up."""
    if shell.measure != "net":
        return cells
    sign = pl.when(pl.col("measure") == "emigration").then(-1).otherwise(1)
    return cells.with_columns(n_settled=pl.col("n_settled") * sign)


def _encode(
    frame: pl.DataFrame, name: str, shown: Mapping[str, ShellColumn], reporting_country: str
) -> pl.DataFrame:
    """Replace the values of a column by the publisher's codes, and add up by them."""
    codes = gather_codes(shown[name].lists, shown[name].codes)
    key = _shown(name)
    mapped = map_values(frame[key].to_list(), codes, reporting_country).rename({"value": key})
    others = [column for column in (*_ROW, *map(_shown, shown)) if column != key]
    return frame.join(mapped, on=key).group_by(*others, pl.col("code").alias(key)).agg(pl.col(*_N).sum())


def _with_totals(coded: pl.DataFrame, whole: pl.DataFrame, shown: Mapping[str, ShellColumn]) -> pl.DataFrame:
    """Add a zero for a period in which nobody is counted, where every dimension has a code for its total."""
    totals = {
        _shown(name): total_code(gather_codes(column.lists, column.codes)) for name, column in shown.items()
    }
    if None in totals.values():
        return coded
    rows = whole.select(_ROW).unique().with_columns(pl.lit(code).alias(name) for name, code in totals.items())
    keys = [*_ROW, *totals]
    lacking = rows.join(coded, on=keys, how="anti").with_columns(pl.lit(0, pl.Int64).alias(n) for n in _N)
    return pl.concat([coded, lacking.select(coded.columns)])


def _tell(column: ShellColumn, shell: Shell, asked: ShellsAsked) -> pl.Expr:
    """What a column that is no dimension says."""
    year = pl.col("period").str.head(4)
    if column.constant is not None:
        return pl.lit(column.constant)
    if column.gives == "value":
        return pl.col("n_settled")
    if column.gives == "period":
        return pl.col("period")
    if column.gives == "year":
        return year
    if column.gives == "closing_year":
        is_stock = shell.measure == "stock"
        return (year.cast(pl.Int32) - 1).cast(pl.String) if is_stock else year
    if column.gives == "frequency":
        return pl.lit(column.codes.get(shell.frequency, shell.frequency))
    if column.gives == "flag":
        return pl.col("status").replace_strict(column.codes, default=None, return_dtype=pl.String)
    if column.gives == _DEFINITION:
        return pl.col(_DEFINITION).replace(column.codes)
    if column.gives == "reporting_country":
        return pl.lit(country_code(gather_codes(column.lists, column.codes), asked.reporting_country))
    return pl.lit(None, pl.String)


def _order(frame: pl.DataFrame, shell: Shell) -> pl.DataFrame:
    """The columns of the contract, rows in the order of its key; no row where there is no figure."""
    contract = describe_shell(shell)
    types = {"BIGINT": pl.Int64(), "DATE": pl.Date()}
    schema = {column.name: types.get(column.type, pl.String()) for column in contract.columns}
    return (frame.select(*schema) if frame.width else pl.DataFrame(schema=schema)).sort(contract.key)


def _belongs(breakdown: Breakdown) -> list[pl.Expr]:
    """What is true of the cells of a breakdown: of none, that they are the totals."""
    held = {_where_held(name) for name in breakdown}
    traits = [name for name in breakdown if name not in STANDARD]
    parts = [pl.col(name) != _TOTAL for name in held]
    others = [pl.col(name) == _TOTAL for name in DIMENSIONS if name not in held and name != "trait"]
    return [*parts, *others, pl.col("trait") == (traits[0] if traits else _TOTAL)]


def _kind(shell: Shell) -> str:
    return "stock" if shell.measure == "stock" else shell.frequency


def _shown(name: str) -> str:
    """The column in which the codes of a publisher's column are made; theirs might bear a name of ours."""
    return f"shown {name}"


def _named(name: str, definition: AgeDefinition) -> str:
    return "age_reached" if definition == "reached" and name in AGES else name


def _where_held(name: str) -> str:
    """The column of the cells that holds the values of a dimension."""
    return name if name in STANDARD else "trait_value"
