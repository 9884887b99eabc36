"""Where hidden crossings lie: in which parts of the interval those of like stays do, by steps of luck."""

import numpy as np
import polars as pl

from miglink.stages.residence.draws.intervals import CELLS
from miglink.stages.residence.draws.shrinkage import Numbers

# Parts of an interval, and steps of luck.
N_PARTS, N_STEPS = 256, 200
# Cells from which places are taken, from the narrowest on: parts of an interval in which somebody was listed say more
# than its length.
_PLACED = (CELLS[4], CELLS[3], "shape", CELLS[2], CELLS[1], CELLS[0])
# Where fewer stays are alike, those of the wider cell tell the places; of more than so many chance does nothing.
_FEWEST, _MOST_ALIKE = 15, 100_000


def step_places(donors: pl.DataFrame, cells: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """For each cell the narrowest that has stays enough, and the places of each of those by step.

    donors: CELLS, shape, part_1, part_2, weight and n (of them); cells: CELLS and shape. Places are those of no stay in
        particular where fewer than enough are on record at any level: then any is as likely.
    Gives: for each row of cells place (a number) and n_alike, how many stays the places rest on (as many as would be
    worth as much had all the same weight: Kish 1965); and the places, as `weigh` has them.
    """
    chosen = cells.select(*_PLACED, name=pl.lit(None, pl.String))
    for cell in _PLACED:
        enough = (
            donors.group_by(cell)
            .agg(pl.col("n").sum())
            .filter(pl.col("n") >= _FEWEST)
            .select(cell, found=cell)
        )
        chosen = (
            chosen.join(enough, on=cell, how="left", maintain_order="left")
            .with_columns(name=pl.coalesce("name", "found"))
            .drop("found")
        )
    names = chosen["name"].drop_nulls().unique().sort()
    rows = []
    for cell in _PLACED:
        of_level = donors.filter(pl.col(cell).is_in(names.implode())).group_by(cell, "part_1", "part_2")
        rows.append(of_level.agg(pl.col("weight", "n").sum()).rename({cell: "name"}))
    alike = pl.concat(rows).sort("name", "part_1", "part_2")
    parts = np.concatenate([_everywhere(), _invert(alike)])
    weight = pl.col("weight").cast(pl.Float64)
    numbers = (
        alike.group_by("name")
        .agg(n_alike=weight.sum() ** 2 / (weight**2 / pl.col("n")).sum())
        .sort("name")
        .with_columns(place=pl.int_range(1, pl.len() + 1))
    )
    numbers = chosen.join(numbers, on="name", how="left", maintain_order="left").select(
        pl.col("place").fill_null(0),
        pl.col("n_alike").fill_nan(1).clip(1, _MOST_ALIKE).round().cast(pl.Int64).fill_null(_MOST_ALIKE),
    )
    n_places = len(parts) // N_STEPS
    places = pl.DataFrame(
        {
            "place": np.repeat(np.arange(n_places, dtype=np.int64), N_STEPS),
            "step": np.tile(np.arange(N_STEPS, dtype=np.int64), n_places),
            "part_1": parts[:, 0],
            "part_2": parts[:, 1],
        }
    )
    return numbers, places


def _invert(donors: pl.DataFrame) -> Numbers:
    """The places at each step of luck, name by name, each as often as its weight says; donors are sorted by name."""
    if donors.is_empty():
        return np.empty((0, 2))
    sums = np.cumsum(donors["weight"].to_numpy()).astype(np.float64)
    ends = np.flatnonzero(np.append((donors["name"] != donors["name"].shift(-1)).to_numpy()[:-1], True))
    above = sums[ends]
    below = np.append(0.0, above[:-1])[: len(above)]
    luck = (np.arange(N_STEPS) + 0.5) / N_STEPS
    at = np.searchsorted(sums, (below[:, None] + luck * (above - below)[:, None]).ravel())
    parts: Numbers = donors.select("part_1", "part_2").to_numpy().astype(np.float64)[at]
    return parts


def _everywhere() -> Numbers:
    """Places anywhere, where no stay is on record; of two, thirds apart."""
    part = (np.arange(N_STEPS) + 0.5) / N_STEPS * N_PARTS
    return np.stack([np.floor(part), np.floor(np.minimum(part + N_PARTS / 3, N_PARTS - 1))], axis=1)
