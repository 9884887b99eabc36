"""Migrants drawn at random, their flows with all margins, and what a reader knows of these to add up."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from given_protected import publish_protected
from given_published import END, STRATUM, little_run
from miglink.engine import Engine
from miglink.tables.contract import DIMENSIONS

GROUPS = {
    "NZL": "national",
    "FRA": "eu",
    "DEU": "eu",
    "MLT": "eu",
    "AUS": "other",
    "TON": "other",
    "VUT": "other",
}
POLICIES = ("unresolved", "midpoint")
BREAKDOWNS = (("sex", "citizenship_group"), ("citizenship",))
Frame = pl.DataFrame


def migrants(seed: int, n: int) -> Frame:
    """Persons with traits of which some are rare; a few of them are not counted under the second policy."""
    draw = np.random.default_rng(seed)
    countries = draw.choice([*GROUPS], n, p=[0.5, 0.2, 0.15, 0.02, 0.1, 0.02, 0.01])
    return Frame(
        {
            "sex": draw.choice(["female", "male", "other"], n, p=[0.5, 0.48, 0.02]),
            "citizenship": countries,
            "citizenship_group": [GROUPS[country] for country in countries],
            "month": draw.integers(1, 7, n),
            "flow": draw.choice(["immigration", "emigration"], n),
            "is_midpoint": draw.random(n) < 0.97,
        }
    )


def tabulated(people: Frame, of: Sequence[str]) -> Frame:
    """Counts by each breakdown with all its margins, zeros left out, as the tables have them."""
    margins = {
        kept for names in BREAKDOWNS for size in range(len(names) + 1) for kept in combinations(names, size)
    }
    return pl.concat(
        people.group_by(*of, *kept)
        .len("n_settled")
        .with_columns(pl.lit("total").alias(name) for name in DIMENSIONS if name not in kept)
        .select(*of, *DIMENSIONS, "n_settled")
        for kept in sorted(margins)
    )


def with_zeros(counts: Frame, period: str) -> Frame:
    """Every cell that occurs, in every period, as in the tables."""
    on = ["policy", "flow", period, *DIMENSIONS]
    grid = counts.select(DIMENSIONS).unique()
    for name in ("policy", "flow", period):
        grid = grid.join(counts.select(name).unique(), how="cross")
    return grid.join(counts, on=on, how="left", nulls_equal=True).with_columns(
        pl.col("n_settled").fill_null(0).cast(pl.Int64)
    )


def flows_of(people: Frame) -> Frame:
    """Flows by month, quarter and year, with net migration, under two policies."""
    month = pl.col("month")
    periods = {
        "2018": pl.lit("2018"),
        "Q": pl.format("2018-Q{}", (month + 2) // 3),
        "M": pl.format("2018-{}", month.cast(pl.String).str.zfill(2)),
    }
    both = pl.concat(
        part.with_columns(policy=pl.lit(policy))
        for policy, part in zip(POLICIES, (people, people.filter("is_midpoint")), strict=True)
    )
    counted = pl.concat(
        with_zeros(tabulated(both.with_columns(period=period), ("policy", "flow", "period")), "period")
        for period in periods.values()
    )
    wide = counted.pivot("flow", index=["policy", "period", *DIMENSIONS], values="n_settled")
    net = wide.with_columns(flow=pl.lit("net"), n_settled=pl.col("immigration") - pl.col("emigration"))
    return pl.concat([counted.select(sorted(counted.columns)), net.select(sorted(counted.columns))])


def published_flows(
    engine: Engine, folder: Path, people: Frame, settings: dict[str, Any]
) -> tuple[Frame, Frame]:
    """The flows before and after suppression."""
    vintage = STRATUM | {"data_to_date": END, "status": "final", "n_undetermined": 0}
    before = flows_of(people)
    run = little_run() | {"flows": [vintage | row for row in before.to_dicts()]}
    outputs = publish_protected(engine, folder, settings, run=run)
    return before, pl.read_parquet(outputs / "flows.parquet")


def sums(rows: Frame) -> list[tuple[int, list[int]]]:
    """What a reader knows to add up: a row and the rows that it is the total of, by place."""
    cells = rows.select("flow", "period", *DIMENSIONS).to_dicts()
    place = {tuple(cell.items()): number for number, cell in enumerate(cells)}
    parts = defaultdict(list)
    for number, cell in enumerate(cells):
        above = {f"over {name}": {name: "total"} for name in DIMENSIONS if cell[name] != "total"}
        if cell["citizenship"] != "total":
            group = GROUPS[cell["citizenship"]]
            above["over group"] = {"citizenship": "total", "citizenship_group": group}
        year, _, rest = cell["period"].partition("-")
        if rest.startswith("Q"):
            above["over quarters"] = {"period": year}
        elif rest:
            above |= {
                "over months": {"period": year},
                "of quarter": {"period": f"{year}-Q{(int(rest) + 2) // 3}"},
            }
        for by, change in above.items():
            total = place.get(tuple((cell | change).items()))
            if total is not None:
                parts[total, by].append(number)
    return [(total, members) for (total, _), members in parts.items()]
