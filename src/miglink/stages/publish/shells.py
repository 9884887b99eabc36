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
from miglink.stages.publish.points import whole
from miglink.tables import Column, Contract
from miglink.tables.contract import DIMENSIONS, POLICY, RULE, VINTAGE, required

_N = ("n_settled", "n_undetermined")
# What each count of a table is of, beside the codes of its columns.
ROW = ("rule", "policy", "measure", "period", "first_date", "data_to_date", "status")
_TOTAL = "total"
DEFINITION = "age_definition"
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


NOTHING_ASKED = ShellsAsked()


def describe_shell(shell: Shell) -> Contract:
    """The contract of a table: the publisher's columns, then ours."""
    value = [name for name, column in shell.columns.items() if column.gives == "value"]
    is_told = ("dimension", "period", "year", "closing_year", DEFINITION)
    key = tuple(
        name
        for name, column in shell.columns.items()
        if (column.gives or ("dimension" if column.dimension else "")) in is_told
    )
    theirs = [
        Column(name, "BIGINT" if name in value else "VARCHAR", column.meaning)
        for name, column in shell.columns.items()
    ]
    settled = required("n_settled", "BIGINT", "settled persons or migrations; an estimated figure is another")
    undetermined = required(
        "n_undetermined",
        "BIGINT",
        "persons or crossings that are undetermined; an estimated figure counts them at their mean over the draws, any "
        "other does not hold them",
    )
    data_to_date, status = VINTAGE
    sentence = f"{shell.title} ({shell.publisher}; {shell.reference})."
    columns = (*theirs, RULE, POLICY, settled, undetermined, status, data_to_date)
    return Contract(shell.name, "publish", f"{sentence} {shell.note or ''}".strip(), key, columns)


def fill_shell(cells: pl.DataFrame, shell: Shell, asked: ShellsAsked) -> pl.DataFrame:
    """The rows of a table: every code for which somebody is counted, and the total of every period.

    Reads: shell_cells. Counts are added up by code, so that a group or total holds what its members do. The figure is
    the headline, as in stocks and flows but in whole persons, and the settled count where there is none.
    """
    if shell.name not in asked.produced:
        return order_rows(pl.DataFrame(), shell)
    of_rules = choose_rules(cells, shell, asked)
    counted = pl.concat(
        _count(of_rules, shell, definition, asked).with_columns(pl.lit(definition).alias(DEFINITION))
        for definition in shell.age_definitions
    )
    return tell_rows(counted.with_columns(has_point=pl.col("n").is_not_null()), of_rules, shell, asked)


def choose_rules(cells: pl.DataFrame, shell: Shell, asked: ShellsAsked) -> pl.DataFrame:
    """The cells that a table is of: of several rules that it asks for in a period, those of the first."""
    cells = cells.filter(
        pl.col("measure").is_in(shell.measures), pl.col("period").str.contains(_PERIODS[_kind(shell)])
    )
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


def select_cells(
    cells: pl.DataFrame,
    shell: Shell,
    definition: AgeDefinition,
    asked: ShellsAsked,
    lifted: str | None = None,
) -> pl.DataFrame:
    """The cells that a table adds up under a definition of age; lifted: a dimension whose limits are not kept."""
    selected = cells.filter(*_belongs(asked.find_cells(shell, definition)))
    for name, values in shell.where.items():
        if name != lifted:
            selected = selected.filter(pl.col(where_held(name, definition)).is_in(values))
    for name, values in shell.where_not.items():
        if name != lifted:
            selected = selected.filter(~pl.col(where_held(name, definition)).is_in(values))
    return selected


def tell_rows(counted: pl.DataFrame, cells: pl.DataFrame, shell: Shell, asked: ShellsAsked) -> pl.DataFrame:
    """The rows of a table in its columns, from its counts by code and measure; a count may be null, and its net then.

    counted: n_settled, n_undetermined, n and has_point, whether there was a headline before any protection; where there
    was none the figure is n_settled. cells: those that the table is of, for the periods in which nobody is counted.
    """
    shown = shown_columns(shell)
    keys = [*(name for name in ROW if name != "measure"), DEFINITION, *map(shown_as, shown)]
    # Emigrations count against a net; what is undetermined adds up.
    is_less = (pl.col("measure") == "emigration") & pl.lit(shell.measure == "net")
    signed = counted.with_columns(
        pl.when(is_less).then(-pl.col(name)).otherwise(name).alias(name) for name in ("n_settled", "n")
    )
    added = signed.group_by(keys).agg(*map(sum_known, (*_N, "n")), pl.col("has_point").all())
    valued = added.with_columns(value=pl.when("has_point").then(whole("n")).otherwise("n_settled"))
    somebody = valued.filter(pl.any_horizontal(pl.col(*_N, "value").ne_missing(0)))
    filled = _with_totals(somebody, cells, shell)
    told = [
        (pl.col(shown_as(name)) if column.dimension else _tell(column, shell, asked)).alias(name)
        for name, column in shell.columns.items()
    ]
    return order_rows(filled.select(*told, *OWN_COLUMNS), shell)


def _count(cells: pl.DataFrame, shell: Shell, definition: AgeDefinition, asked: ShellsAsked) -> pl.DataFrame:
    """Counts by the codes of every column of a dimension, under one definition of age."""
    shown = shown_columns(shell)
    held = {name: where_held(str(column.dimension), definition) for name, column in shown.items()}
    selected = select_cells(cells, shell, definition, asked)
    summed = selected.group_by(
        *ROW, *(pl.col(value).alias(shown_as(name)) for name, value in held.items())
    ).agg(pl.col(*_N).sum(), sum_known("n"))
    return reduce(lambda frame, name: _encode(frame, name, shown, asked.reporting_country), shown, summed)


def _encode(
    frame: pl.DataFrame, name: str, shown: Mapping[str, ShellColumn], reporting_country: str
) -> pl.DataFrame:
    """Replace the values of a column by the publisher's codes, and add up by them."""
    codes = gather_codes(shown[name].lists, shown[name].codes)
    key = shown_as(name)
    mapped = map_values(frame[key].to_list(), codes, reporting_country).rename({"value": key})
    others = [column for column in (*ROW, *map(shown_as, shown)) if column != key]
    return (
        frame.join(mapped, on=key)
        .group_by(*others, pl.col("code").alias(key))
        .agg(pl.col(*_N).sum(), sum_known("n"))
    )


def _with_totals(counted: pl.DataFrame, cells: pl.DataFrame, shell: Shell) -> pl.DataFrame:
    """Add a zero for a period in which nobody is counted, where every dimension has a code for its total."""
    totals = {
        shown_as(name): total_code(gather_codes(column.lists, column.codes))
        for name, column in shown_columns(shell).items()
    }
    if None in totals.values():
        return counted
    whole = cells.filter(pl.all_horizontal(pl.col(*DIMENSIONS) == _TOTAL))
    definitions = pl.DataFrame({DEFINITION: shell.age_definitions})
    rows = whole.select(*(name for name in ROW if name != "measure")).unique().join(definitions, how="cross")
    keys = [*rows.columns, *totals]
    counted = counted.select(*keys, *_N, "value")
    lacking = (
        rows.with_columns(pl.lit(code).alias(name) for name, code in totals.items())
        .join(counted, on=keys, how="anti")
        .with_columns(pl.lit(0, pl.Int64).alias(name) for name in (*_N, "value"))
    )
    return pl.concat([counted, lacking.select(counted.columns)])


def _tell(column: ShellColumn, shell: Shell, asked: ShellsAsked) -> pl.Expr:
    """What a column that is no dimension says."""
    year = pl.col("period").str.head(4)
    if column.constant is not None:
        return pl.lit(column.constant)
    if column.gives == "value":
        return pl.col("value")
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
        return _tell_flag(column)
    if column.gives == DEFINITION:
        return pl.col(DEFINITION).replace(column.codes)
    if column.gives == "reporting_country":
        return pl.lit(country_code(gather_codes(column.lists, column.codes), asked.reporting_country))
    return pl.lit(None, pl.String)


def _tell_flag(column: ShellColumn) -> pl.Expr:
    """The publisher's code for what is estimated, another figure than the settled one, and for what is provisional."""
    codes = {name: code for name, code in column.codes.items() if not name.startswith("estimated")}
    estimated = {
        status: column.codes.get(name, codes.get(status))
        for status, name in (("final", "estimated"), ("provisional", "estimated_provisional"))
    }
    is_estimated = pl.col("value").ne(pl.col("n_settled")).fill_null(False)
    told, of_estimated = (
        pl.col("status").replace_strict(by_status, default=None, return_dtype=pl.String)
        for by_status in (codes, estimated)
    )
    return pl.when(is_estimated).then(of_estimated).otherwise(told)


def sum_known(name: str) -> pl.Expr:
    """The sum of a column; null where anything in it is null."""
    return pl.when(pl.col(name).is_not_null().all()).then(pl.col(name).sum()).alias(name)


def order_rows(frame: pl.DataFrame, shell: Shell) -> pl.DataFrame:
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


def shown_columns(shell: Shell) -> dict[str, ShellColumn]:
    """The publisher's columns that show a dimension, by name."""
    return {name: column for name, column in shell.columns.items() if column.dimension}


def shown_as(name: str) -> str:
    """The column in which the codes of a publisher's column are made; theirs might bear a name of ours."""
    return f"shown {name}"


def where_held(dimension: str, definition: AgeDefinition) -> str:
    """The column of the cells that holds the values of a dimension, under a definition of age."""
    if definition == "reached" and dimension in AGES:
        return "age_reached"
    return _where_held(dimension)


def _where_held(name: str) -> str:
    return name if name in STANDARD else "trait_value"
