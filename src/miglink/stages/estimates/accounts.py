"""The accounts of settled residents: from the opening to the closing stock of a year, each term counted."""

import polars as pl

from miglink.config.stages import Period
from miglink.errors import ResultError
from miglink.stages.estimates.cells import group_citizenships, tabulate
from miglink.stages.estimates.counts import Counts
from miglink.stages.estimates.periods import flow_periods

_TERMS = ("opening", "immigration", "emigration", "births", "deaths", "moves", "net_undetermined", "closing")
_COLUMNS = ("rule", "policy", "year", "term", "sex", "citizenship", "n")


def build_accounts(counts: Counts, period: Period, reporting_country: str) -> pl.DataFrame:
    """Count opening + immigration − emigration + births − deaths + moves + net_undetermined, and closing.

    Events of a day are counted in the cell of that day. A person who changes citizenship while resident moves
    between cells at the start of the day, whatever else happens on it. All terms of a year use the
    composition of citizenship groups of that year. No term is a residual: `discrepancy` is what the terms
    leave unexplained.
    """
    last_date = pl.col("last_date")
    ends = counts.statuses.rename({"n_resident": "n"})
    long = pl.concat(
        [
            ends.with_columns(year=last_date.dt.year() + 1, term=pl.lit("opening")).select(_COLUMNS),
            ends.with_columns(year=last_date.dt.year(), term=pl.lit("closing")).select(_COLUMNS),
            counts.migrations.filter(outcome="migration").rename({"direction": "term"}).select(_COLUMNS),
            counts.changes.select(_COLUMNS),
        ]
    )
    wide = group_citizenships(long, reporting_country).select(
        "rule",
        "policy",
        "sex",
        "citizenship_group",
        *(pl.when(term=term).then("n").otherwise(0).alias(term) for term in _TERMS),
        period=pl.col("year").cast(pl.String),
    )
    years = flow_periods(period, ("year",)).select("period")
    explained = (
        pl.col("opening")
        + pl.col("immigration")
        - pl.col("emigration")
        + pl.col("births")
        - pl.col("deaths")
        + pl.col("moves")
        + pl.col("net_undetermined")
    )
    return tabulate(wide, counts.strata, years, _TERMS).with_columns(
        discrepancy=pl.col("closing") - explained
    )


def check_balance(accounts: pl.DataFrame) -> None:
    """Raise ResultError with the first cells whose closing stock its terms do not explain."""
    cells = accounts.filter(pl.col("sex") != "total", pl.col("citizenship_group") != "total")
    wrong = cells.filter(pl.col("discrepancy") != 0).sort(
        "rule", "policy", "period", "sex", "citizenship_group"
    )
    if wrong.is_empty():
        return
    first = "; ".join(
        f"rule {rule}, policy {policy}, year {year}, sex {sex}, citizenship group {group}: "
        f"closing is {amount:+d}"
        for rule, policy, year, sex, group, amount in wrong.head(5)
        .select("rule", "policy", "period", "sex", "citizenship_group", "discrepancy")
        .iter_rows()
    )
    raise ResultError(
        f"accounts do not balance in {wrong.height} cells, the first being (closing less what its terms "
        f"explain, expected 0): {first}; nothing is published"
    )
