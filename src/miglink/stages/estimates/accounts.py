"""The accounts of settled residents: from the opening to the closing stock of a year, each term counted."""

import polars as pl

from miglink.errors import ResultError
from miglink.stages.estimates.cells import cells_of, tabulate
from miglink.stages.estimates.counts import CHANGES, Counts
from miglink.stages.estimates.dimensions import Breakdown, Layout

_FLOWS = ("immigration", "emigration")
TERMS = ("opening", "closing", *_FLOWS, *CHANGES)


def count_terms(counts: Counts, breakdown: Breakdown, layout: Layout) -> pl.DataFrame:
    """Count opening + immigration − emigration + births − deaths + moves + net_undetermined, and closing.

    Events of a day are counted in the cell of that day. A person who changes a trait while resident, or has a
    birthday, moves between cells at the start of the day, whatever else happens on it. All terms of a year use
    the composition of citizenship groups of that year. No term is a residual.
    """
    assert counts.statuses is not None  # the caller leaves out breakdowns of flows alone
    last_date = pl.col("last_date")
    ends = counts.statuses.drop("n_undetermined")
    opening = ends.rename({"n_resident": "opening"}).with_columns(year=last_date.dt.year() + 1)
    closing = ends.rename({"n_resident": "closing"}).with_columns(year=last_date.dt.year())
    terms = pl.concat([opening, closing, counts.events], how="diagonal")
    filled = terms.with_columns(pl.col(*TERMS).fill_null(0), period=pl.col("year").cast(pl.String))
    return cells_of(filled, breakdown, layout)


def explain(accounts: pl.DataFrame) -> pl.DataFrame:
    """Add `discrepancy`, what the terms leave unexplained."""
    explained = (
        pl.col("opening")
        + pl.col("immigration")
        - pl.col("emigration")
        + pl.col("births")
        - pl.col("deaths")
        + pl.col("moves")
        + pl.col("net_undetermined")
    )
    return accounts.with_columns(discrepancy=pl.col("closing") - explained)


def check_balance(terms: pl.DataFrame, breakdown: Breakdown, layout: Layout, grid: pl.DataFrame) -> None:
    """Raise ResultError with the first cells whose closing stock its terms do not explain."""
    columns = ["trait_value" if name in layout.traits else name for name in breakdown]
    order = ("rule", "policy", "period", *columns)
    wrong = explain(tabulate(terms, grid, TERMS)).filter(pl.col("discrepancy") != 0).sort(order)
    if wrong.is_empty():
        return
    names = [name.replace("_", " ") for name in breakdown]
    first = "; ".join(
        f"rule {rule}, policy {policy}, year {year}"
        + "".join(f", {name} {value}" for name, value in zip(names, values, strict=True))
        + f": closing is {amount:+d}"
        for rule, policy, year, *values, amount in wrong.head(5).select(*order, "discrepancy").iter_rows()
    )
    raise ResultError(
        f"accounts by {' and '.join(names) or 'no dimension'} do not balance in {wrong.height} cells, the first "
        f"being (closing less what its terms explain, expected 0): {first}; nothing is published"
    )
