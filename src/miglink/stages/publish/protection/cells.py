"""Which columns of the published tables are counts, and what each of them counts.

What is counted, when and of whom is the identity of a cell: the same cell has the same noise wherever it is published.
Rule and policy are no part of it, for several of them often count the same persons, whose noise could be averaged away.
"""

from collections.abc import Mapping

import polars as pl

from miglink.tables.contract import DIMENSIONS

_SEPARATOR = "\x1f"
_MARGINS = (*DIMENSIONS,)
# Of a row, its place in the table; of a cell, which column it stands in, its count, and what is counted.
CELL_COLUMNS = ("row", "column", "count", "cell")


def _what(*parts: str | pl.Expr) -> pl.Expr:
    """What is counted as one text; plain words stand as they are."""
    texts = [pl.lit(part) if isinstance(part, str) else part.cast(pl.String).fill_null("") for part in parts]
    return pl.concat_str(texts, separator=_SEPARATOR)


def _of_cell(what: str | pl.Expr, period: pl.Expr, measure: str = "settled") -> pl.Expr:
    return _what(what, measure, period, *(pl.col(name) for name in _MARGINS))


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
        "n_settled": _of_cell("stock", _YEAR),
        "n_undetermined": _of_cell("stock", _YEAR, "undetermined"),
        "n": _of_cell("stock", _YEAR),
    },
    "flows": {
        "n_settled": _of_cell(pl.col("flow"), _YEAR),
        "n_undetermined": _of_cell(pl.col("flow"), _YEAR, "undetermined"),
        "n": _of_cell(pl.col("flow"), _YEAR),
    },
    "accounts": {
        "opening": _of_cell("stock", _OPENING),
        "closing": _of_cell("stock", _CLOSING),
        **{
            term: _of_cell(term, _YEAR)
            for term in ("immigration", "emigration", "births", "deaths", "moves", "net_undetermined")
        },
    },
    "stock_differences": {"n": _pair("stock", pl.col("other_status") == "resident", "basis")},
    "flow_differences": {"n": _pair("flow", pl.col("other_outcome") == "counted", "outcome")},
    "mobility": {
        "n_settled": _what("mobility", "settled", *_columns(*_MOBILITY)),
        "n_undetermined": _what("mobility", "undetermined", *_columns(*_MOBILITY)),
    },
    "expired_stays": {"n": _what("expired_stays", *_columns("period", "kind", "purpose", "outcome"))},
    "quality": {"value": _what("quality", *_columns("stage", "measure", "item"))},
}


def list_cells(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    """The counts of a table one below the other: row, column, count, cell; and rule and policy where it has them."""
    strata = [column for column in ("rule", "policy") if column in rows.columns]
    numbered = rows.with_row_index("row")
    return pl.concat(
        numbered.select(
            "row",
            *strata,
            column=pl.lit(column),
            count=pl.col(column).round().cast(pl.Int64),
            cell=what,
        )
        for column, what in COUNTED[name].items()
    )


def join_cell_keys(cells: pl.DataFrame, cell_keys: pl.DataFrame) -> pl.DataFrame:
    """Add `cell_key` to cells: that of the persons counted, and where nobody added up their keys, the number drawn.

    Cells of stocks and flows have the key of their persons, also where accounts publish them.
    """
    keys = pl.concat(
        cell_keys.select(
            "rule", "policy", cell=_of_cell(pl.col("measure"), _YEAR, name), persons_key=f"{name}_key"
        )
        for name in ("settled", "undetermined")
    )
    if "rule" not in cells.columns:
        return cells.with_columns(cell_key="drawn")
    joined = cells.join(keys, on=("rule", "policy", "cell"), how="left", maintain_order="left")
    return joined.with_columns(cell_key=pl.coalesce("persons_key", "drawn")).drop("persons_key")
