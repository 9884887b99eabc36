"""Where hidden crossings lie: in which parts of the interval those of like stays do, by steps of luck."""

import numpy as np
import numpy.typing as npt
import polars as pl

from miglink.stages.residence.draws.intervals import CELLS

# Parts of an interval, and steps of luck.
N_PARTS, N_STEPS = 256, 200
# Cells that places are taken from, each drawn towards the one before: parts of an interval in which somebody was listed
# say more than how long the stays around it were.
_PLACED = (CELLS[0], CELLS[1], CELLS[2], "shape", CELLS[3], CELLS[4])
# So many stays of the wider cell stand beside those of a cell (assumed; with four or with eight it is much the same):
# what none of a few did may be what the next one does.
_OTHERS = 5.0
# Of more than so many alike chance does nothing.
_MOST_ALIKE = 100_000
Places = npt.NDArray[np.int64]


def step_places(donors: pl.DataFrame, cells: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """For each cell the places of the stays that are like its own, by step, from the earliest to the latest.

    donors: CELLS, shape, part_1, part_2, weight and n (of them); cells: CELLS and shape. Places are those of the stays
        of the narrowest cell and _OTHERS more of the one that holds it, which are taken in the same way; beside those
        of the widest, of no stay in particular: any place is as likely.
    Gives: for each row of cells place (a number) and n_alike, how many stays the places rest on (as many as would be
        worth as much had all the same weight: Kish 1965); and the places, as `weigh` has them.
    Source: Ferguson (1973), A Bayesian analysis of some nonparametric problems: the mean of a Dirichlet process, its
        base being the wider cell's; Rubin and Schenker (1986) for donors that are drawn.
    """
    steps = np.broadcast_to(_everywhere(), (cells.height, N_STEPS))
    n_alike = np.zeros(cells.height)
    for cell in _PLACED:
        counted = _count_alike(donors, cell)
        found = cells.select(cell).join(
            counted.select(cell, "n_alike").with_row_index("row"), on=cell, how="left", maintain_order="left"
        )
        row = found["row"].fill_null(0).to_numpy().astype(np.int64)
        own = found["n_alike"].fill_null(0.0).to_numpy()
        if counted.height:
            steps = _mix(_invert(donors, cell)[row], steps, own / (own + _OTHERS))
        n_alike = np.where(own > 0, own + _OTHERS, n_alike)
    distinct, place = np.unique(steps, axis=0, return_inverse=True)
    rounded = np.clip(np.round(np.where(n_alike > 0, n_alike, _MOST_ALIKE)), 1, _MOST_ALIKE)
    numbers = pl.DataFrame(
        {"place": place.ravel().astype(np.int64), "n_alike": rounded.astype(np.int64)},
        schema={"place": pl.Int64, "n_alike": pl.Int64},
    )
    places = pl.DataFrame(
        {
            "place": np.repeat(np.arange(len(distinct), dtype=np.int64), N_STEPS),
            "step": np.tile(np.arange(N_STEPS, dtype=np.int64), len(distinct)),
            "part_1": (distinct // N_PARTS).ravel().astype(np.float64),
            "part_2": (distinct % N_PARTS).ravel().astype(np.float64),
        }
    )
    return numbers, places


def _count_alike(donors: pl.DataFrame, cell: str) -> pl.DataFrame:
    """The cells of a level that have donors, in order: their names and n_alike."""
    weight = pl.col("weight").cast(pl.Float64)
    return (
        donors.filter(pl.col(cell).is_not_null())
        .group_by(cell)
        .agg(n_alike=weight.sum() ** 2 / (weight**2 / pl.col("n")).sum())
        .sort(cell)
    )


def _invert(donors: pl.DataFrame, cell: str) -> Places:
    """The places of each cell of a level (rows, in order) at each step of luck, each as often as its weight says."""
    place = (pl.col("part_1").cast(pl.Int64) * N_PARTS + pl.col("part_2").cast(pl.Int64)).alias("place")
    alike = (
        donors.filter(pl.col(cell).is_not_null())
        .group_by(cell, place)
        .agg(pl.col("weight").sum())
        .sort(cell, "place")
    )
    sums = np.cumsum(alike["weight"].to_numpy()).astype(np.float64)
    ends = np.flatnonzero(np.append((alike[cell] != alike[cell].shift(-1)).to_numpy()[:-1], True))
    above = sums[ends]
    below = np.append(0.0, above[:-1])
    luck = (np.arange(N_STEPS) + 0.5) / N_STEPS
    at = np.searchsorted(sums, below[:, None] + luck * (above - below)[:, None])
    return np.asarray(alike["place"].to_numpy()[at])


def _mix(own: Places, wider: Places, share: npt.NDArray[np.float64]) -> Places:
    """Places of which so large a share (by row) are the own ones, and the others those of the wider cell, in order."""
    step = np.arange(N_STEPS)
    n_own = np.round(share * N_STEPS).astype(np.int64)[:, None]
    # As far apart as there are steps for them.
    of_own = np.minimum((step + 0.5) * N_STEPS / np.maximum(n_own, 1), N_STEPS - 1).astype(np.int64)
    left = (step - n_own + 0.5) * N_STEPS / np.maximum(N_STEPS - n_own, 1)
    of_wider = np.clip(left, 0, N_STEPS - 1).astype(np.int64)
    mixed = np.where(
        step < n_own, np.take_along_axis(own, of_own, axis=1), np.take_along_axis(wider, of_wider, axis=1)
    )
    return np.sort(mixed, axis=1)


def _everywhere() -> Places:
    """Places anywhere, where no stay is on record; of two, thirds apart."""
    part = (np.arange(N_STEPS) + 0.5) / N_STEPS * N_PARTS
    other = np.minimum(part + N_PARTS / 3, N_PARTS - 1)
    return np.floor(part).astype(np.int64) * N_PARTS + np.floor(other).astype(np.int64)
