"""Which columns of the published tables are counts, and what each of them counts.

What is counted, when and of whom is the identity of a cell: the same cell has the same noise wherever it is published.
Rule and policy are no part of it, for several of them often count the same persons, whose noise could be averaged away.
"""

from collections.abc import Mapping

import polars as pl

from miglink.stages.publish.points import whole
from miglink.tables.contract import DIMENSIONS

_SEPARATOR = "\x1f"
# Record keys are added up modulo this (stage estimates).
RANGE = 4096
# Of a row, its place in the table; of a cell, which column it stands in, its count, and what is counted.
CELL_COLUMNS = ("row", "column", "count", "cell")


def _what(*parts: str | pl.Expr) -> pl.Expr:
    """What is counted as one text; plain words stand as they are."""
    texts = [pl.lit(part) if isinstance(part, str) else part.cast(pl.String).fill_null("") for part in parts]
    return pl.concat_str(texts, separator=_SEPARATOR)


def name_cell(what: str | pl.Expr, period: pl.Expr, count: str = "settled") -> pl.Expr:
    """The cell of a stock or flow; count: settled or undetermined. The frame has the dimensions."""
    return _what(what, count, period, *(pl.col(name) for name in DIMENSIONS))


def _columns(*names: str) -> list[pl.Expr]:
    return [pl.col(name) for name in names]


def _pair(what: str, same_in_both: pl.Expr, further: str) -> pl.Expr:
    """What two rules and policies make of the same persons; whom both count is one cell from either side."""
    side = _what(*_columns("rule", "policy", *([further] if further == "basis" else [])))
    other = [f"other_{further}"] if further == "basis" else []
    other_side = _what(*_columns("other_rule", "other_policy", *other))
    first, second = pl.min_horizontal(side, other_side), pl.max_horizontal(side, other_side)
    outcome = "other_status" if further == "basis" else "other_outcome"
    of = _what(what, *_columns("period", outcome), *([] if further == "basis" else [pl.col("flow")]))
    return _what(
        of,
        pl.when(same_in_both).then(first).otherwise(side),
        pl.when(same_in_both).then(second).otherwise(other_side),
    )


_YEAR = pl.col("period")
_OPENING = pl.concat_str(_YEAR, pl.lit("-01-01"))
_CLOSING = pl.concat_str((_YEAR.cast(pl.Int32) + 1).cast(pl.String), pl.lit("-01-01"))
_MOBILITY = ("measure", "period", "duration", "purpose", "citizenship_group")

# Each table with its columns of counts. `n` is the same cell as what it is the headline of.
COUNTED: Mapping[str, Mapping[str, pl.Expr]] = {
    "stocks": {
        "n_settled": name_cell("stock", _YEAR),
        "n_undetermined": name_cell("stock", _YEAR, "undetermined"),
        "n": name_cell("stock", _YEAR),
    },
    "flows": {
        "n_settled": name_cell(pl.col("flow"), _YEAR),
        "n_undetermined": name_cell(pl.col("flow"), _YEAR, "undetermined"),
        "n": name_cell(pl.col("flow"), _YEAR),
    },
    "accounts": {
        "opening": name_cell("stock", _OPENING),
        "closing": name_cell("stock", _CLOSING),
        **{
            term: name_cell(term, _YEAR)
            for term in ("immigration", "emigration", "births", "deaths", "moves", "net_undetermined")
        },
    },
    "stock_differences": {"n": _pair("stock", pl.col("other_status") == "resident", "basis")},
    "flow_differences": {"n": _pair("flow", pl.col("other_outcome") == "counted", "outcome")},
    "mobility": {
        "n_settled": _what("mobility", "settled", *_columns(*_MOBILITY)),
        "n_undetermined": _what("mobility", "undetermined", *_columns(*_MOBILITY)),
    },
    "list_status": {"n": _what("list_status", *_columns("source", "period", "migratory_status", "reason"))},
    "expired_stays": {"n": _what("expired_stays", *_columns("period", "kind", "purpose", "outcome"))},
    "quality": {"value": _what("quality", *_columns("stage", "measure", "item"))},
}

# What is known of the draws beside the point and its bounds.
_OF_DRAWS = {
    "mean": "it has no noise, and lies beside the point, of which it would tell the count",
    "standard_error": "it is that of persons in doubt, and of few of them tells how many they are",
    **{
        f"share_{cause}": "shares of the variance of few persons tell how many are in doubt, and why"
        for cause in ("linkage", "missing_crossing", "first_status", "follow_up", "citizenship")
    },
    "interval_flag": "it compares bounds without noise with a point without noise",
}
# Columns of published tables that are empty in a protected run, each with the reason: what noise on the counts beside
# them would not hide. A new number (a mean, a standard error) that is no count, nor computed of such, goes here.
LEFT_OUT: Mapping[str, Mapping[str, str]] = {
    "stocks": _OF_DRAWS,
    "flows": _OF_DRAWS,
    "list_status": {"weight": "noise on a number of records does not hide what they weigh"},
    "shells": {"values_without_code": "it names values that somebody has, be it a single person"},
}


def leave_out(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of a table with null in the columns that are left out."""
    return rows.with_columns(
        pl.lit(None, rows.schema[column]).alias(column) for column in LEFT_OUT.get(name, ())
    )


def list_cells(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """The counts of a table one below the other: row, column, count, cell; and rule and policy where it has them.

    A headline is protected as a whole number: its fraction would tell it, and how many draws count somebody.
    """
    strata = [column for column in ("rule", "policy") if column in rows.columns]
    numbered = rows.with_row_index("row")
    return pl.concat(
        numbered.select(
            "row",
            *strata,
            column=pl.lit(column),
            count=whole(column),
            cell=what,
        )
        for column, what in COUNTED[name].items()
    )


def join_cell_keys(cells: pl.DataFrame, cell_keys: pl.DataFrame) -> pl.DataFrame:
    """Add `persons_key` to cells: the cell key of the persons counted; null where nobody added up their keys.

    Cells of stocks and flows have the key of their persons, also where accounts publish them. A headline that is
    another number than the settled one has none: with the same noise they would tell what lies between them.
    """
    keys = pl.concat(
        cell_keys.select(
            "rule", "policy", cell=name_cell(pl.col("measure"), _YEAR, name), persons_key=f"{name}_key"
        )
        for name in ("settled", "undetermined")
    )
    if "rule" not in cells.columns:
        return cells.with_columns(persons_key=pl.lit(None, pl.Int64))
    keyed = cells.join(keys, on=("rule", "policy", "cell"), how="left", maintain_order="left")
    settled = cells.filter(column="n_settled").select("row", settled="count")
    is_another = (pl.col("column") == "n") & pl.col("count").ne_missing(pl.col("settled"))
    return (
        keyed.join(settled, on="row", how="left", maintain_order="left")
        .with_columns(persons_key=pl.when(~is_another).then("persons_key"))
        .drop("settled")
    )


def put_back(cells: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
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
