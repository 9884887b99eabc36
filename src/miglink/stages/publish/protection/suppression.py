"""Suppression of small counts, and of others beside them until no small one can be computed from what is left.

The pattern is the same under all rules and policies: they count mostly the same persons, and what one of them publishes
must not tell what another suppresses.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from miglink.stages.publish.protection.margins import (
    Margins,
    Numbers,
    find_margins,
    label_systems,
    number_cells,
)

# Rounds of adding cells before all that hangs together is suppressed, and the largest system that is looked through.
_ROUNDS, _LARGEST = 8, 600
_STEPS = 6
_NOTHING, _DRIFT = 1e-9, 1e-6


def suppress_few(cells: pl.DataFrame, minimum_count: int) -> pl.DataFrame:
    """Add `protected` to cells: null where the count is small, and not 0, under any rule and policy.

    So is a headline where the settled count is, and the other way round: they are counts of one cell.
    """
    is_few = pl.col("count").is_between(1, minimum_count - 1).any().over("cell")
    return cells.with_columns(protected=pl.when(~is_few).then("count"))


def suppress_margins(
    cells: pl.DataFrame, rows: pl.DataFrame, minimum_count: int, reporting_country: str
) -> pl.DataFrame:
    """Add `protected` to cells of stocks or flows: null where small, or where a small one could be found from it.

    Every small count could be any of at least `minimum_count` values, for all that can be computed from what is left.
    n_settled and `n` have one pattern, for one tells nearly what the other is. Where they differ by few, `n` is null
    too: beside n_settled it would tell of the few who are in doubt.
    """
    counts = _add_differences(cells)
    found = []
    for columns in (("n_settled", "n"), ("n_undetermined",), ("difference",)):
        numbered, table = number_cells(counts, rows, *columns)
        margins = find_margins(numbered, table, reporting_country)
        suppressed = numbered.filter(pl.Series(find_pattern(margins, minimum_count)))
        found.append(table.join(suppressed, on="number", how="semi").select("row", "column"))
    hidden = pl.concat(found).with_columns(pl.col("column").replace("difference", "n"), is_hidden=True)
    hidden = hidden.unique(["row", "column"])
    joined = cells.join(hidden, on=["row", "column"], how="left", maintain_order="left")
    return joined.with_columns(protected=pl.when(pl.col("is_hidden").is_null()).then("count")).drop(
        "is_hidden"
    )


def _add_differences(cells: pl.DataFrame) -> pl.DataFrame:
    """The cells with how far `n` is from n_settled as cells of a column `difference`; without a point that is 0."""
    columns = ("row", "column", "rule", "policy", "count")
    settled = cells.filter(column="n_settled").select("row", settled="count")
    joined = cells.select(columns).join(settled, on="row", how="left", maintain_order="left")
    is_point = pl.col("column") == "n"
    filled = joined.with_columns(
        count=pl.when(is_point).then(pl.coalesce("count", "settled")).otherwise("count")
    )
    differences = filled.filter(is_point).with_columns(
        column=pl.lit("difference"), count=(pl.col("count") - pl.col("settled")).abs()
    )
    return pl.concat([filled, differences]).select(columns)


def find_pattern(margins: Margins, minimum_count: int) -> NDArray[np.bool_]:
    """Which cells to suppress: the small ones, and as many others as it takes that none of these can be found.

    Where that does not come to an end, or the system is too large to look through, all that hangs together is
    suppressed but the totals over all dimensions, and of these as many as it takes; at last they too.
    """
    counts = np.nan_to_num(margins.counts, nan=0.0)
    hidden = np.asarray(((counts > 0) & (counts < minimum_count)).any(axis=1), dtype=np.bool_)
    spread = label_systems(margins, np.ones(hidden.size, dtype=np.bool_))
    is_given_up = np.zeros(hidden.size, dtype=np.bool_)
    open_cells, known = hidden, dict[bytes, NDArray[np.int64]]()
    for number in range(3 * _ROUNDS):
        hidden = _fill_equations(margins, counts, hidden, minimum_count)
        scope = hidden & (~is_given_up | margins.is_whole)
        open_cells, too_large = _find_open(margins, counts, (hidden, scope), minimum_count, known)
        if not (open_cells | too_large).any():
            return hidden
        given_up = too_large | open_cells if number >= _ROUNDS else too_large
        around = np.isin(spread, spread[given_up])
        hidden, is_given_up = hidden | (around & ~margins.is_whole), is_given_up | around
        hidden = _add_neighbours(margins, counts, hidden, open_cells)
    return hidden | np.isin(spread, spread[open_cells])


def _fill_equations(
    margins: Margins, counts: Numbers, hidden: NDArray[np.bool_], least: int
) -> NDArray[np.bool_]:
    """Suppress until in every equation each suppressed cell has others beside it, that are `least` in all."""
    members = margins.members
    number, equation = members["number"].to_numpy(), members["equation"].to_numpy()
    n_equations = int(equation.max()) + 1 if equation.size else 0
    published = ~np.isnan(margins.counts)
    while n_equations:
        added = np.zeros(hidden.size, dtype=np.bool_)
        for stratum in range(counts.shape[1]):
            count = counts[:, stratum][number]
            holds = _holding(margins, published[:, stratum])[equation]
            is_hidden = hidden[number] & (count > 0) & holds
            total = np.bincount(equation, weights=count * is_hidden, minlength=n_equations)
            smallest = np.full(n_equations, np.inf)
            np.minimum.at(smallest, equation[is_hidden], count[is_hidden])
            largest = np.zeros(n_equations)
            np.maximum.at(largest, equation[is_hidden], count[is_hidden])
            n_hidden = np.bincount(equation[is_hidden], minlength=n_equations)
            # Whoever knows the largest of them must not know the others, nor the other way round.
            beside = np.where(n_hidden > 1, total - np.where(np.isinf(smallest), 0, smallest), 0)
            is_short = (n_hidden == 1) | ((n_hidden > 1) & (beside < least))
            candidate = is_short[equation] & ~hidden[number] & (count > 0) & holds
            added[_choose(margins, (equation, number, count), candidate, least)] = True
        if not added.any():
            break
        hidden = hidden | added
    return hidden


def _holding(margins: Margins, published: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The equations whose parent, and a part of which, a rule and policy publishes at all."""
    members = margins.members.with_columns(
        is_published=pl.Series(published[margins.members["number"].to_numpy()])
    )
    both = members.group_by("equation").agg(
        (pl.col("is_parent") & pl.col("is_published")).any().alias("parent"),
        (~pl.col("is_parent") & pl.col("is_published")).any().alias("part"),
    )
    found: NDArray[np.bool_] = (
        both.sort("equation").select(pl.col("parent") & pl.col("part")).to_series().to_numpy()
    )
    return found


def _choose(
    margins: Margins,
    counted: tuple[NDArray[np.int64], NDArray[np.int64], Numbers],
    candidate: NDArray[np.bool_],
    least: int,
) -> NDArray[np.int64]:
    """Of the candidates of each equation one: rather a part than the total, and the smallest that is enough."""
    equation, number, count = counted[0][candidate], counted[1][candidate], counted[2][candidate]
    is_parent = margins.members["is_parent"].to_numpy()[candidate]
    size = np.where(count >= least, count, -count)
    order = np.lexsort((number, size, count < least, is_parent, margins.is_whole[number], equation))
    _, first = np.unique(equation[order], return_index=True)
    chosen: NDArray[np.int64] = number[order][first]
    return chosen


def _add_neighbours(
    margins: Margins, counts: Numbers, hidden: NDArray[np.bool_], open_cells: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Suppress one more in each equation that has an open cell; where none is left, in the nearest that have one."""
    number, equation = margins.members["number"].to_numpy(), margins.members["equation"].to_numpy()
    count = counts.max(axis=1)[number]
    near = open_cells
    while near.any():
        is_concerned = np.isin(equation, equation[near[number]])
        candidate = is_concerned & ~hidden[number] & (count > 0)
        if candidate.any():
            hidden = hidden.copy()
            hidden[_choose(margins, (equation, number, count), candidate, 1)] = True
            break
        wider = near.copy()
        wider[number[is_concerned]] = True
        if (wider == near).all():
            break
        near = wider
    return hidden


def _find_open(
    margins: Margins,
    counts: Numbers,
    suppressed: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    least: int,
    known: dict[bytes, NDArray[np.int64]],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Small cells that fewer than `least` values fit, and those of systems too large to look through.

    suppressed: all, and those of them that are looked at: equations with others are left out.
    known: what was found of systems looked through before, which many rules, policies and rounds have in common.
    """
    hidden, scope = suppressed
    members = margins.members
    number, equation = members["number"].to_numpy(), members["equation"].to_numpy()
    is_open, too_large = np.zeros(hidden.size, dtype=np.bool_), np.zeros(hidden.size, dtype=np.bool_)
    is_left_out = np.isin(equation, equation[(hidden & ~scope)[number]])
    for stratum in range(counts.shape[1]):
        count = counts[:, stratum]
        holds = _holding(margins, ~np.isnan(margins.counts[:, stratum]))[equation]
        # A suppressed 0 is taken for known: no table is thought of in which it is another.
        unknown = scope & (count > 0)
        used = members.filter(pl.Series(unknown[number] & holds & ~is_left_out))
        label = label_systems(Margins(margins.counts, used, margins.is_whole), unknown)
        few = np.flatnonzero(unknown & (count < least))
        for name in np.unique(label[few]):
            together = np.flatnonzero(unknown & (label == name))
            if together.size > _LARGEST:
                too_large[together] = True
                continue
            system = used.filter(pl.col("number").is_in(together.tolist()))
            of = (together, count[together], system["equation"].to_numpy(), system["number"].to_numpy())
            key = b"|".join(values.tobytes() for values in of)
            if key not in known:
                width = _find_widths(system, together, count[together], least)
                known[key] = together[(width < least) & (count[together] < least)]
            is_open[known[key]] = True
    return is_open, too_large


def _find_widths(members: pl.DataFrame, cells: NDArray[np.int64], counts: Numbers, least: int) -> Numbers:
    """How far apart values of each small cell lie that fit all equations with its others, none below 0.

    Another table that fits differs by a solution of the equations without right side. For each cell the solution
    nearest to changing it alone is taken, changes measured in relation to the counts, and followed either way until a
    count is 0. Where that is less than `least`, the cells for which it is are made larger together, and it is taken
    anew from there, several times. So a width is at least what is said; a linear program could only find a wider one.
    Source: Dikin 1967 (affine scaling).
    """
    row = members["equation"].rank("dense").to_numpy().astype(np.int64) - 1
    column = np.searchsorted(cells, members["number"].to_numpy())
    system = np.zeros((int(row.max()) + 1 if row.size else 0, cells.size))
    system[row, column] = np.where(members["is_parent"].to_numpy(), -1.0, 1.0)
    system = _independent(system)
    few = np.flatnonzero(counts < least)
    found, low, high = counts, counts[few], counts[few]
    for _ in range(_STEPS):
        direction = _directions(system, found, few)
        change, alone = direction / found[:, None], direction[few, np.arange(few.size)]
        is_free = alone > _NOTHING * found[few] ** 2
        with np.errstate(divide="ignore", invalid="ignore"):
            up, down = (
                np.where(is_free, alone / np.maximum(fall.max(axis=0), 0.0), 0.0)
                for fall in (-change, change)
            )
        low, high = np.minimum(low, found[few] - down), np.maximum(high, found[few] + up)
        is_short = (high - low < least) & is_free
        if not is_short.any():
            break
        together = direction[:, is_short] @ (1 / found[few[is_short]])
        found = found + 0.7 / max(float((-together / found).max()), _NOTHING) * together
    width = np.full(cells.size, np.inf)
    width[few] = high - low
    return width


def _independent(system: Numbers) -> Numbers:
    """As many equations as it takes to say the same, at right angles to one another."""
    if not system.size:
        return system
    _, singular, right = np.linalg.svd(system, full_matrices=False)
    kept: Numbers = right[singular > _NOTHING * max(system.shape) * singular[0]]
    return kept


def _directions(system: Numbers, counts: Numbers, cells: NDArray[np.int64]) -> Numbers:
    """For each cell, as a column, the solution of the equations without right side that is nearest to it alone."""
    weights = counts[:, None] ** 2
    alone = np.zeros((counts.size, cells.size))
    alone[cells, np.arange(cells.size)] = counts[cells] ** 2
    if not system.size:
        return alone
    within = (system * weights[:, 0]) @ system.T
    try:
        found: Numbers = alone - weights * (system.T @ np.linalg.solve(within, system @ alone))
    except np.linalg.LinAlgError:  # counts so unlike that none can be told
        return np.zeros_like(alone)
    # Rounding errors must not pass for freedom.
    drift = np.abs(system @ found).max(axis=0) / np.abs(alone).max(axis=0)
    return np.where(drift < _DRIFT, found, 0.0)
