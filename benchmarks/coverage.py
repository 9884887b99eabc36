"""Whether the published intervals hold the truth, over seeds, levels of noise and dates at which the data end.

    python -m benchmarks.coverage [SIZE] [--noise low medium high] [--seeds 1 … 40] [--cuts 2021-12-31] [--jobs 1]
                                  [--json FILE]

Each country is made and run: to the end of its data, and with the data cut at each earlier date (a back-test: what is
provisional then has become final in the truth). Every cell of stocks and flows whose true count is at least 20 is
looked at: in all, by sex and by group of citizenship, of months and years. Intervals of no width are listed apart.

Beside them stand naive intervals, of the kind published today: the crossing that is missing lies in the middle, each
undetermined crossing is a migration by a probability, and nothing else is in doubt.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.measured import machine, timed
from miglink.codes.groups import group_by_year

_PYTHON = (sys.executable, "-m")
_RULE, _POLICY, _COUNTRY = "nz_12_16", "unresolved", "QMR"
_LEAST = 20
_ALPHA = 0.05
_KEYS = ("measure", "period", "sex", "citizenship_group")
_DIMENSIONS = ("sex", "citizenship_group")
_FLOWS = ("immigration", "emigration", "net")
_NORMAL = 1.959964


def main() -> int:
    """Measure every country that the command line asks for; the file grows by one at a time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("size", nargs="?", default="small")
    parser.add_argument("--noise", nargs="+", default=["low", "medium", "high"])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(1, 41)))
    parser.add_argument("--cuts", nargs="*", default=["2021-12-31"], help="earlier last days of the data")
    parser.add_argument("--jobs", type=int, default=1, help="countries at once, a thread each where several")
    parser.add_argument("--json", type=Path, help="file for the result")
    asked = parser.parse_args()
    cells: dict[str, list[pl.DataFrame]] = {noise: [] for noise in asked.noise}
    result: dict[str, Any] = {"machine": machine(), "size": asked.size, "cuts": asked.cuts, "noise": {}}
    settings = ("--set", "engine.threads=1") if asked.jobs > 1 else ()

    def measure_one(country: tuple[int, str]) -> list[pl.DataFrame]:
        seed, noise = country
        with tempfile.TemporaryDirectory(prefix="miglink-coverage-") as folder:
            return measure((asked.size, noise, seed), asked.cuts, Path(folder), settings)

    countries = [(seed, noise) for seed in asked.seeds for noise in asked.noise]
    with ThreadPoolExecutor(asked.jobs) as pool:
        for (seed, noise), found in zip(countries, pool.map(measure_one, countries), strict=True):
            cells[noise] += found
            summary = summarise(pl.concat(cells[noise]))
            result["noise"][noise] = summary
            if asked.json:
                asked.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            print(noise, seed, json.dumps(summary["all"]), flush=True)
    return 0


def measure(
    made_as: tuple[str, str, int], cuts: Sequence[str], folder: Path, settings: Sequence[str] = ()
) -> list[pl.DataFrame]:
    """Make one country below the folder, run it to the end of its data and to each cut, and compare with the truth.

    made_as: its size, noise and seed.
    """
    size, noise, seed = made_as
    country = folder / "country"
    made = (*_PYTHON, "synthetic", size, "--seed", str(seed), "--noise", noise, "--out", str(country))
    timed(made)
    found = []
    for cut in ("", *cuts):
        run = folder / f"run-{cut or 'whole'}"
        cut_at = ("--set", f"period.to={cut}") if cut else ()
        command = ("miglink", "run", str(country / "country.yml"), "--out", str(run), "--to", "estimates")
        timed((*_PYTHON, *command, *cut_at, *settings))
        compared = compare(run, country / "truth")
        found.append(compared.with_columns(seed=pl.lit(seed), cut=pl.lit(cut or "whole")))
    return found


def compare(run: Path, truth: Path) -> pl.DataFrame:
    """Each cell of stocks and flows of a run with its interval, the naive one and the true count."""
    true = read_truth(truth)
    published = read_published(run)
    naive = find_naive(run)
    joined = published.join(true, on=_KEYS, how="left").with_columns(pl.col("truth").fill_null(0))
    return joined.join(naive, on=_KEYS, how="left")


def read_truth(truth: Path) -> pl.DataFrame:
    """The true counts by measure (stock, immigration, emigration, net), period, sex and group of citizenship."""
    flows = pl.read_parquet(truth / "flows.parquet").filter(pl.col("rule") == _RULE)
    stocks = pl.read_parquet(truth / "stocks.parquet").filter(pl.col("rule") == _RULE)
    counts = pl.concat(
        [
            flows.filter(pl.col("flow").is_in(_FLOWS[:2])).select(
                "period", *_DIMENSIONS, measure="flow", truth=pl.col("n").cast(pl.Float64)
            ),
            stocks.select(
                "period", *_DIMENSIONS, measure=pl.lit("stock"), truth=pl.col("n").cast(pl.Float64)
            ),
        ]
    )
    sign = pl.when(pl.col("measure") == "immigration").then(1.0).otherwise(-1.0)
    net = (
        counts.filter(pl.col("measure") != "stock")
        .group_by("period", *_DIMENSIONS)
        .agg(truth=(pl.col("truth") * sign).sum())
        .with_columns(measure=pl.lit("net"))
    )
    return pl.concat([counts, net.select(counts.columns)]).select(*_KEYS, "truth")


def read_published(run: Path) -> pl.DataFrame:
    """The points and intervals by sex or by group of citizenship, never both, and in all."""
    others = [
        name
        for name in pl.read_parquet_schema(run / "tables" / "stocks.parquet")
        if name in _OTHER_DIMENSIONS
    ]
    is_asked = pl.all_horizontal(
        pl.col("rule") == _RULE,
        pl.col("policy") == _POLICY,
        *(pl.col(name) == "total" for name in others),
        pl.any_horizontal(pl.col(name) == "total" for name in _DIMENSIONS),
    )
    columns = ("period", *_DIMENSIONS, "n", "lower", "upper", "status")
    stocks = pl.read_parquet(run / "tables" / "stocks.parquet").filter(is_asked)
    flows = pl.read_parquet(run / "tables" / "flows.parquet").filter(is_asked)
    return pl.concat(
        [
            stocks.select(pl.lit("stock").alias("measure"), *columns),
            flows.filter(~pl.col("period").str.contains("Q")).select(
                pl.col("flow").alias("measure"), *columns
            ),
        ]
    )


_OTHER_DIMENSIONS = (
    "age", "age_reached", "age_group", "citizenship", "birth_country", "birth_group", "origin_group", "region",
    "other_country", "purpose", "trait", "trait_value",
)  # fmt: skip


def find_naive(run: Path) -> pl.DataFrame:
    """Intervals that cover classification alone: settled counts and the binomial spread of undetermined ones.

    The probability of each undetermined crossing is that of the model of follow-up; the policy is midpoint. Stocks have
    none: nobody publishes one.
    """
    tables = run / "tables"
    migrations = pl.read_parquet(tables / "migrations.parquet").filter(
        (pl.col("rule") == _RULE) & (pl.col("policy") == "midpoint")
    )
    sexes = pl.read_parquet(tables / "persons.parquet").select(
        "person_id", pl.col("sex").fill_null("unknown")
    )
    traits = pl.read_parquet(tables / "person_traits.parquet").filter(pl.col("trait") == "citizenship")
    year = pl.col("counted_date").dt.year()
    dated = (
        migrations.join(sexes, on="person_id", how="left")
        .join(traits.select("person_id", "valid_from", "valid_to", "value"), on="person_id", how="left")
        .filter(
            pl.col("valid_from").is_null()
            | (
                (pl.col("valid_from") <= pl.col("counted_date"))
                & (pl.col("valid_to").is_null() | (pl.col("valid_to") > pl.col("counted_date")))
            )
        )
        .with_columns(year=year.cast(pl.Int32), citizenship=pl.col("value").fill_null("XXX"))
    )
    groups = group_by_year(dated["citizenship"], dated["year"], _COUNTRY)
    p = pl.when(pl.col("outcome") == "migration").then(1.0).otherwise(pl.col("p_migration").fill_null(0.0))
    rows = dated.join(groups, on=["year", "citizenship"], how="left").with_columns(p=p, v=p * (1 - p))
    sign = pl.when(pl.col("direction") == "immigration").then(1.0).otherwise(-1.0)
    both = pl.concat(
        [
            rows.with_columns(measure=pl.col("direction")),
            rows.with_columns(measure=pl.lit("net"), p=pl.col("p") * sign),
        ]
    )
    by_cell = []
    for period in (pl.col("year").cast(pl.String), pl.col("counted_date").dt.strftime("%Y-%m")):
        for kept in ((), ("sex",), ("citizenship_group",)):
            cell = [pl.col(name) if name in kept else pl.lit("total").alias(name) for name in _DIMENSIONS]
            counted = both.group_by("measure", period.alias("period"), *cell)
            by_cell.append(counted.agg(expected=pl.col("p").sum(), sd=pl.col("v").sum().sqrt()))
    spread = _NORMAL * pl.col("sd")
    return pl.concat(by_cell).select(
        *_KEYS,
        naive_lower=(pl.col("expected") - spread).round(),
        naive_upper=(pl.col("expected") + spread).round(),
    )


def summarise(cells: pl.DataFrame) -> dict[str, Any]:
    """Coverage, interval scores and half-widths of the cells, in all and by what they are."""
    exact = (pl.col("upper") - pl.col("lower")) < 1e-9
    counted = cells.filter(pl.col("truth").abs() >= _LEAST, pl.col("lower").is_not_null())
    wide = counted.filter(~exact)
    kinds = {
        "all": pl.lit(True),
        "totals": (pl.col("sex") == "total") & (pl.col("citizenship_group") == "total"),
        "by sex": pl.col("sex") != "total",
        "by citizenship group": pl.col("citizenship_group") != "total",
        "years": (pl.col("period").str.len_chars() == 4),
        "months": (pl.col("period").str.len_chars() == 7),
        "stocks": pl.col("measure") == "stock",
        "immigration": pl.col("measure") == "immigration",
        "emigration": pl.col("measure") == "emigration",
        "net": pl.col("measure") == "net",
        "final": pl.col("status") == "final",
        "provisional": pl.col("status") == "provisional",
    }
    summary: dict[str, Any] = {"seeds": sorted(set(cells["seed"].to_list()))}
    summary |= {name: _describe(wide.filter(kind)) for name, kind in kinds.items()}
    yearly = wide.filter(kinds["totals"], kinds["years"])
    summary["half-width of yearly totals"] = {
        str(measure): round(float(value), 2)
        for measure, value in yearly.group_by("measure")
        .agg(((pl.col("upper") - pl.col("lower")) / 2).median())
        .sort("measure")
        .iter_rows()
    }
    without = counted.filter(exact)
    summary["exact cells"] = {
        "n": without.height,
        "right": without.filter((pl.col("truth") - pl.col("n")).abs() < 0.5).height,
    }
    summary["cells without an interval"] = cells.filter(
        pl.col("truth").abs() >= _LEAST, pl.col("lower").is_null()
    ).height
    summary["by cut"] = {
        str(cut): _describe(wide.filter(pl.col("cut") == cut)) for cut in sorted(set(wide["cut"].to_list()))
    }
    return summary


def _describe(cells: pl.DataFrame) -> dict[str, Any]:
    """Coverage in per cent with its standard error by seed, and mean interval scores, ours and the naive one's."""
    is_held = (pl.col("lower") <= pl.col("truth")) & (pl.col("truth") <= pl.col("upper"))
    held = cells.with_columns(held=is_held)
    by_seed = held.group_by("seed").agg(pl.col("held").mean())["held"].to_numpy()
    error = float(np.std(by_seed, ddof=1) / np.sqrt(len(by_seed))) if len(by_seed) > 1 else None
    naive = cells.filter(pl.col("naive_lower").is_not_null())
    beside = held.filter(pl.col("naive_lower").is_not_null())
    is_naive_held = (pl.col("naive_lower") <= pl.col("truth")) & (pl.col("truth") <= pl.col("naive_upper"))
    return {
        "n_cells": cells.height,
        "coverage": _percent(held["held"].mean()),
        "standard_error": None if error is None else round(100 * error, 2),
        "score": _score(beside, "lower", "upper"),
        "naive_coverage": _percent(naive.select(is_naive_held.mean()).item() if naive.height else None),
        "naive_score": _score(naive, "naive_lower", "naive_upper"),
    }


def _score(cells: pl.DataFrame, lower: str, upper: str) -> float | None:
    """The mean interval score: the width, and 2 / alpha times the truth's distance (Gneiting and Raftery 2007)."""
    if cells.is_empty():
        return None
    below = (pl.col(lower) - pl.col("truth")).clip(lower_bound=0)
    above = (pl.col("truth") - pl.col(upper)).clip(lower_bound=0)
    score = (pl.col(upper) - pl.col(lower)) + 2 / _ALPHA * (below + above)
    return round(float(cells.select(score.mean()).item()), 2)


def _percent(share: Any) -> float | None:
    return None if share is None else round(100 * float(share), 2)


if __name__ == "__main__":
    sys.exit(main())
