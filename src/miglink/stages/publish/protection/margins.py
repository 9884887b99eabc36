"""Cells of stocks and flows and what is known to add up: suppression must not give it away, rounding must keep it."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from miglink.stages.publish.protection.equations import list_equations
from miglink.tables.contract import DIMENSIONS

Numbers = NDArray[np.float64]
# The columns whose counts add up; so does `n`, but for its rounding to whole persons.
MARGINAL = ("n_settled", "n_undetermined")
_CELL = ("measure", "period", *DIMENSIONS)


@dataclass(frozen=True)
class Margins:
    """Cells, their counts by rule and policy, and the equations between them.

    counts: a row for each cell, a column for each rule and policy; not a number where it does not publish the cell.
    members: equation, number (of the cell), is_parent. is_whole: the cells that are no part by any dimension.
    """

    counts: Numbers
    members: pl.DataFrame
    is_whole: NDArray[np.bool_]


def number_cells(cells: pl.DataFrame, rows: pl.DataFrame, *columns: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The cells of stocks or flows, each with a number, and the counts of some columns, with cell and stratum.

    cells: row, column, count …; rows: the table. A cell has a count in each stratum: a column, rule and policy.
    """
    measure = pl.col("flow") if "flow" in rows.columns else pl.lit("stock")
    placed = rows.with_row_index("row").select("row", *DIMENSIONS, "period", measure=measure)
    counted = cells.filter(pl.col("column").is_in(columns)).join(placed, on="row")
    numbered = counted.select(_CELL).unique().sort(_CELL).with_row_index("number")
    of = ["column", "rule", "policy"]
    strata = counted.select(of).unique().sort(of).with_row_index("stratum")
    return numbered, counted.join(numbered, on=_CELL).join(strata, on=of)


def place(numbered: pl.DataFrame, table: pl.DataFrame, name: str) -> Numbers:
    """A column of the counts by cell and stratum; not a number where there is none."""
    placed = np.full((numbered.height, table["stratum"].n_unique()), np.nan)
    placed[table["number"].to_numpy(), table["stratum"].to_numpy()] = table[name].to_numpy()
    return placed


def find_margins(numbered: pl.DataFrame, table: pl.DataFrame, reporting_country: str) -> Margins:
    """What is known to add up, of numbered cells and their counts."""
    is_whole = numbered.select(pl.all_horizontal(pl.col(*DIMENSIONS) == "total")).to_series().to_numpy()
    cells = numbered.with_columns(pl.col("number").cast(pl.Int64))
    return Margins(place(numbered, table, "count"), list_equations(cells, reporting_country), is_whole)


def label_systems(margins: Margins, hidden: NDArray[np.bool_]) -> NDArray[np.int64]:
    """A number for each cell, the same for those of the hidden that hang together by equations."""
    is_member = hidden[margins.members["number"].to_numpy()]
    number = margins.members["number"].to_numpy()[is_member]
    equation = margins.members["equation"].to_numpy()[is_member]
    label = np.arange(hidden.size)
    while equation.size:
        least = np.full(int(equation.max()) + 1, hidden.size)
        np.minimum.at(least, equation, label[number])
        lowered = label.copy()
        np.minimum.at(lowered, number, least[equation])
        if (lowered == label).all():
            break
        label = lowered
    return label
