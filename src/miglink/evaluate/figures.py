"""Published figures against true ones: flows and stocks, cell by cell."""

import polars as pl

from miglink.engine import Engine
from miglink.evaluate.inputs import Tables
from miglink.evaluate.measures import as_measures, share
from miglink.tables.contract import DIMENSIONS

# What the truth is broken down by; the run's rows by any other dimension are left out.
_BY = ("sex", "citizenship_group")
_CELL = ("period", *_BY)
_OTHERS = tuple(name for name in DIMENSIONS if name not in _BY)


def measure_flows(engine: Engine, run: Tables, truth: Tables) -> pl.DataFrame:
    """Compare immigration, emigration and net migration in each period and cell.

    Reads: flows of the run and of the truth.
    Gives: part `flows`, as `_compare` says.
    Units: persons; relative_error and within_share are shares of 1.
    Source: docs/evaluation.md.
    """
    return _compare(engine, run, truth, "flows", ("flow",))


def measure_stocks(engine: Engine, run: Tables, truth: Tables) -> pl.DataFrame:
    """Compare usual residents at the reference dates in each cell.

    Reads: stocks of the run and of the truth.
    Gives: part `stocks`, as `_compare` says.
    Units: persons; relative_error and within_share are shares of 1.
    Source: docs/evaluation.md.
    """
    return _compare(engine, run, truth, "stocks", ())


def _compare(engine: Engine, run: Tables, truth: Tables, name: str, further: tuple[str, ...]) -> pl.DataFrame:
    """Every rule and period of both, every policy; a cell that one side lacks counts 0 there.

    A breakdown (by sex, by citizenship group, by both) that the run was not asked for is not compared.

    true, settled, undetermined; error = settled − true; relative_error = error / |true| where that is not 0;
    is_within: settled ≤ true ≤ settled + undetermined; for net settled − undetermined ≤ true.
    estimate, lower, upper: n and its interval; is_covered: lower ≤ true ≤ upper; all only where there is an interval.
    within_share, covered_share: the share of the cells of a kind of period (year, quarter, month, 1 January) and status
    that are within, and of those with an interval that are covered.
    """
    only = " AND ".join(f"{other} = 'total'" for other in _OTHERS)
    published = engine.collect(f"SELECT * FROM {name} WHERE {only}", **{name: run[name]})
    known = engine.collect(f"SELECT * FROM {name}", **{name: truth[name]})
    is_total = {f"is_total_{dimension}": pl.col(dimension) == "total" for dimension in _BY}
    made = published.select(**is_total).unique()
    known = known.with_columns(**is_total).join(made, on=list(is_total), how="semi").drop(is_total)
    cells = _join(published, known, (*_CELL, *further))
    true, settled, undetermined = pl.col("true"), pl.col("settled"), pl.col("undetermined")
    is_net = pl.col("flow") == "net" if "flow" in further else pl.lit(False)
    lowest = pl.when(is_net).then(settled - undetermined).otherwise(settled)
    compared = cells.with_columns(
        error=settled - true,
        relative_error=pl.when(true != 0).then((settled - true) / true.abs()),
        is_within=true.is_between(lowest, settled + undetermined),
        is_covered=true.is_between("lower", "upper"),
    )
    return pl.concat([as_measures(name, compared), as_measures(name, _within(compared, further))])


def _join(found: pl.DataFrame, true: pl.DataFrame, cell: tuple[str, ...]) -> pl.DataFrame:
    """The cells of either side, in the rules and periods that both have."""
    series = ["rule", "period"]
    periods = found.select(*series).unique().join(true.select(*series).unique(), on=series)
    vintages = found.select("rule", "policy", "period", "status").unique()
    estimate = pl.when(pl.col("lower").is_not_null()).then("n").alias("estimate")
    settled = found.join(periods, on=series, how="semi").select(
        *("rule", "policy", *cell, "lower", "upper"),
        estimate,
        settled="n_settled",
        undetermined="n_undetermined",
        is_listed=True,
    )
    expected = (
        true.join(periods, on=series, how="semi")
        .join(found.select("rule", "policy", "period").unique(), on=series)
        .select("rule", "policy", *cell, true="n")
    )
    numbers = pl.col("true", "settled", "undetermined").fill_null(0)
    # In a cell that the run does not list nobody can be, where its figures have intervals.
    has_interval = pl.col("lower").is_not_null().any().over("rule", "policy", "period")
    nobody = pl.when(pl.col("is_listed").is_null() & has_interval).then(0.0)
    return (
        expected.join(settled, on=["rule", "policy", *cell], how="full", coalesce=True)
        .with_columns(numbers, pl.col("estimate", "lower", "upper").fill_null(nobody))
        .drop("is_listed")
        .join(vintages, on=["rule", "policy", "period"], how="left")
    )


def _within(compared: pl.DataFrame, further: tuple[str, ...]) -> pl.DataFrame:
    kinds = {4: "years", 7: "months", 10: "dates"}
    length = pl.col("period").str.len_chars().replace_strict(kinds, return_dtype=pl.String)
    kind = (
        pl.when(pl.col("period").str.contains("Q", literal=True)).then(pl.lit("quarters")).otherwise(length)
    )
    return (
        compared.group_by("rule", "policy", *further, "status", kind.alias("kind"))
        .agg(cells=pl.len(), within=pl.col("is_within").sum(), covered_share=pl.col("is_covered").mean())
        .select(
            "rule",
            "policy",
            *further,
            pl.format("{} {}", "status", "kind").alias("period"),
            "status",
            "cells",
            "covered_share",
            within_share=share("within", "cells"),
        )
    )
