"""The accounts of settled residents: from the opening to the closing stock of a year, each term counted."""

import polars as pl

from miglink.errors import ResultError
from miglink.stages.estimates.cells import cells_of, tabulate
from miglink.stages.estimates.counts import CHANGES, Counts
from miglink.stages.estimates.dimensions import TOTAL, Breakdown, Layout
from miglink.stages.estimates.draws import Drawn
from miglink.tables.contract import DIMENSIONS

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


def check_draws(terms: pl.DataFrame, breakdown: Breakdown, drawn: Drawn, grid: pl.DataFrame) -> None:
    """Raise ResultError unless the account of each cell balances in every draw, with the settled rows it replaces.

    A history that is drawn from some day on begins there out of nowhere, and so does the settled one in its place: they
    must leave the same unexplained.
    """
    keys = ("rule", "policy", "period", *DIMENSIONS)
    series = ("linkage", "cause")
    left = explain(terms.group_by("rule", "policy", "period", *keys[3:]).agg(pl.col(*TERMS).sum()))
    unexplained = (
        drawn.unpack(left.filter(pl.col("discrepancy") != 0))
        .join(grid.select("rule", "policy", "period"), on=["rule", "policy", "period"], how="semi")
        .group_by(*keys, *series)
        .agg(
            replaced=pl.col("discrepancy").filter(pl.col("draw") == 0).sum(),
            n=(pl.col("draw") > 0).sum(),
            least=pl.col("discrepancy").filter(pl.col("draw") > 0).min(),
            most=pl.col("discrepancy").filter(pl.col("draw") > 0).max(),
        )
    )
    n_draws, replaced = drawn.settings.number, pl.col("replaced")
    is_none = (replaced == 0) & (pl.col("n") == 0)
    is_same = (pl.col("n") == n_draws) & (pl.col("least") == replaced) & (pl.col("most") == replaced)
    wrong = unexplained.filter(~(is_none | is_same.fill_null(False))).sort(*keys, *series)
    if wrong.is_empty():
        return
    names = [name for name in keys[3:] if (wrong[name] != TOTAL).any()]
    first = "; ".join(
        f"rule {rule}, policy {policy}, year {year}, linkage {linkage}, cause {cause}"
        + "".join(f", {name.replace('_', ' ')} {value}" for name, value in zip(names, values, strict=True))
        for rule, policy, year, linkage, cause, *values in wrong.head(5)
        .select(*keys[:3], *series, *names)
        .iter_rows()
    )
    raise ResultError(
        f"accounts of the draws by {' and '.join(breakdown) or 'no dimension'} do not balance in {wrong.height} cells, "
        f"the first being: {first}; nothing is published"
    )
