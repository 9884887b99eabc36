"""Controlled rounding: counts become multiples of a base, each beside the count, and what added up still does."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from miglink.config.protection import ProtectionSettings
from miglink.errors import ConfigError
from miglink.stages.publish.protection.margins import (
    MARGINAL,
    Margins,
    Numbers,
    find_margins,
    label_systems,
    number_cells,
    place,
)

# Larger systems are not tried; of the others the search ends after so many nodes, or refuses after so long.
_LARGEST, _NODES, _SECONDS = 3000, 100, 600.0
# How near to the smallest distance is near enough.
_GAP = 0.03
# What a multiple farther away costs, in bases, beside one that is next to the count; and how much a draw decides.
_FAR, _DRAWN = 100, 0.01


@dataclass(frozen=True)
class _System:
    """Counts that hang together, and the equations between them.

    quotient, remainder: of the counts by the base. cost: of the next higher multiple instead of the lower one.
    equation, member, sign: of each place in an equation its number, the cell, and −1 for the total.
    """

    quotient: NDArray[np.int64]
    remainder: NDArray[np.int64]
    cost: Numbers
    equation: NDArray[np.int64]
    member: NDArray[np.int64]
    sign: Numbers


def check_solver(settings: ProtectionSettings) -> None:
    """ConfigError where the method needs the solver and it is not installed."""
    if settings.method == "controlled_rounding" and find_spec("highspy") is None:
        raise ConfigError(
            "publish.protection.method: controlled_rounding needs the solver HiGHS, which is not installed; "
            "install it with `pip install 'miglink[sdc]'`, or name another method"
        )


def round_margins(
    cells: pl.DataFrame, rows: pl.DataFrame, base: int, reporting_country: str
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Replace `protected` of cells of stocks or flows, which are rounded at random, by a rounding that adds up.

    cells: row, column, count, rule, policy, drawn, protected. A system for which none is found stays as it is.
    Gives the cells, and how many systems were rounded, with multiples farther away, at random. `n` has the rounding of
    n_settled where it is the same count.
    """
    found, done = [], Counter[str]()
    for column in MARGINAL:
        numbered, table = number_cells(cells, rows, column)
        margins = find_margins(numbered, table, reporting_country)
        rounded = _round_strata(margins, place(numbered, table, "drawn"), base, done)
        value = pl.Series(rounded[table["number"].to_numpy(), table["stratum"].to_numpy()], nan_to_null=True)
        found.append(table.select("row", "count", column=pl.lit(column), controlled=value.cast(pl.Int64)))
    found.append(found[0].with_columns(column=pl.lit("n")))
    joined = cells.join(
        pl.concat(found), on=["row", "column", "count"], how="left", maintain_order="left", nulls_equal=True
    )
    said = {
        "systems": done.total(),
        "with_multiples_farther_away": done["farther"],
        "at_random": done["random"],
    }
    return joined.with_columns(protected=pl.coalesce("controlled", "protected")).drop("controlled"), said


def _round_strata(margins: Margins, drawn: Numbers, base: int, done: Counter[str]) -> Numbers:
    """The counts rounded, by rule and policy; not a number where none is published, or no rounding found."""
    rounded = np.full_like(margins.counts, np.nan)
    # A count that is the same under the rule and policy before is rather rounded as there.
    before = np.full((2, len(rounded)), np.nan)
    for stratum in range(rounded.shape[1]):
        counts = margins.counts[:, stratum]
        wanted = np.where(before[0] == counts, np.sign(before[1] - counts), 0.0)
        cost = base - 2.0 * (counts % base) - base * wanted + _DRAWN * (0.5 - drawn[:, stratum] / 16**10)
        rounded[:, stratum] = np.where(counts % base == 0, counts, np.nan)
        for numbers, system in _systems(margins, stratum, cost, base):
            values, how = _round_system(system, base)
            rounded[numbers, stratum] = values
            done[how] += 1
        is_known = ~np.isnan(rounded[:, stratum])
        before = np.where(is_known, np.stack([counts, rounded[:, stratum]]), before)
    return rounded


def _systems(
    margins: Margins, stratum: int, cost: Numbers, base: int
) -> Iterator[tuple[NDArray[np.int64], _System]]:
    """The systems of counts above 0 that hang together by equations that hold, each with the numbers of its cells."""
    counts = np.nan_to_num(margins.counts[:, stratum])
    is_member = counts > 0
    used = margins.members.filter(pl.Series(is_member[margins.members["number"].to_numpy()]))
    signed = np.where(used["is_parent"].to_numpy(), -1.0, 1.0) * counts[used["number"].to_numpy()]
    balance = (
        used.select("equation", signed=pl.Series(signed)).group_by("equation").agg(pl.col("signed").sum())
    )
    used = used.join(balance.filter(pl.col("signed") == 0), on="equation", how="semi", maintain_order="left")
    label = label_systems(Margins(margins.counts, used, margins.is_whole), is_member)
    numbers = np.flatnonzero(is_member)
    numbers = numbers[np.argsort(label[numbers], kind="stable")]
    names, starts = np.unique(label[numbers], return_index=True)
    parts = used.with_columns(system=pl.Series(label[used["number"].to_numpy()])).partition_by(
        "system", as_dict=True
    )
    for name, together in zip(names, np.split(numbers, starts[1:]) if names.size else [], strict=True):
        remainder = counts[together].astype(np.int64) % base
        if not remainder.any():
            continue
        members = parts.get((int(name),), used.clear())
        yield (
            together,
            _System(
                counts[together].astype(np.int64) // base,
                remainder,
                cost[together],
                members["equation"].rank("dense").to_numpy().astype(np.int64) - 1,
                np.searchsorted(together, members["number"].to_numpy()),
                np.where(members["is_parent"].to_numpy(), -1.0, 1.0),
            ),
        )


def _round_system(system: _System, base: int) -> tuple[Numbers, str]:
    """The rounded counts of a system, and how: as it should be, with multiples farther away, or not (at random)."""
    if not system.equation.size:
        is_up = (system.remainder > 0) & (system.cost < 0)
        return base * (system.quotient + is_up).astype(np.float64), "kept"
    if system.quotient.size <= _LARGEST:
        for is_relaxed in (False, True):
            found = _solve(system, base, is_relaxed=is_relaxed)
            if found is not None:
                up = found - system.quotient
                is_beside = (up == 0) | ((up == 1) & (system.remainder > 0))
                return base * found.astype(np.float64), "kept" if is_beside.all() else "farther"
    return np.full(system.quotient.size, np.nan), "random"


def _solve(system: _System, base: int, *, is_relaxed: bool) -> NDArray[np.int64] | None:
    """The multiples nearest to the counts under which all equations hold; None where there are none, or none is found.

    Each count that is no multiple becomes the one below or above; is_relaxed: at a high price one farther up or down,
    multiples too, and none below 0. Zeros stay.
    Source: Cox and Ernst 1982 (controlled rounding); Causey, Cox and Ernst 1985 (where there is none).
    """
    free = np.flatnonzero(system.remainder)
    cells, change, cost = free, np.ones(free.size), system.cost[free]
    if is_relaxed:
        size = system.quotient.size
        low = np.flatnonzero(system.quotient > 0)
        cells = np.concatenate([free, np.arange(size), low])
        change = np.concatenate([change, np.ones(size), -np.ones(low.size)])
        cost = np.concatenate([cost, np.full(size + low.size, float(_FAR * base))])
    # Each equation over the variables of its cells.
    order = np.argsort(cells, kind="stable")
    first, last = (np.searchsorted(cells[order], system.member, side=side) for side in ("left", "right"))
    times = last - first
    entry = np.repeat(np.arange(times.size), times)
    variable = order[
        np.repeat(first, times) + np.arange(times.sum()) - np.repeat(times.cumsum() - times, times)
    ]
    n_equations = int(system.equation.max()) + 1
    held = np.bincount(
        system.equation, weights=system.sign * system.quotient[system.member], minlength=n_equations
    )
    by_row = np.argsort(system.equation[entry], kind="stable")
    starts = np.concatenate([[0], np.bincount(system.equation[entry], minlength=n_equations).cumsum()])
    weights = system.sign[entry] * change[variable]
    # All as the lower multiple: what the costs are beside, so that a share of the distance is one of the whole.
    distance = float(system.remainder.sum())
    rows = (starts, variable[by_row], weights[by_row])
    chosen = _minimise((cost, distance), rows, -held.astype(np.float64))
    if chosen is None:
        return None
    found = system.quotient + np.bincount(cells, weights=change * chosen, minlength=system.quotient.size)
    rounded = np.rint(found).astype(np.int64)
    sums = np.bincount(system.equation, weights=system.sign * rounded[system.member])
    return rounded if not sums.any() else None


def _minimise(
    costs: tuple[Numbers, float], rows: tuple[NDArray[np.int64], NDArray[np.int64], Numbers], right: Numbers
) -> Numbers | None:
    """The values 0 or 1 of least cost under which the rows have their right sides; None where there are none.

    costs: of each variable, and of all that are 0.

    The search is the same on every machine: it is ended by a number of nodes. ConfigError where it takes too long.
    """
    import highspy

    cost, model = costs[0], highspy.HighsLp()
    model.offset_ = costs[1]
    model.num_col_, model.num_row_ = cost.size, right.size
    model.col_cost_, model.col_lower_, model.col_upper_ = cost, np.zeros(cost.size), np.ones(cost.size)
    model.row_lower_ = model.row_upper_ = right
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_, model.a_matrix_.index_, model.a_matrix_.value_ = rows
    model.integrality_ = [highspy.HighsVarType.kInteger] * cost.size
    solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    options: dict[str, Any] = {
        "output_flag": False,
        "threads": 1,
        "parallel": "off",
        "random_seed": 1,
        "mip_rel_gap": _GAP,
        "mip_max_nodes": _NODES,
        "time_limit": _SECONDS,
    }
    for name, value in options.items():
        solver.setOptionValue(name, value)
    solver.passModel(model)
    solver.run()
    if solver.getModelStatus() == highspy.HighsModelStatus.kTimeLimit:
        raise ConfigError(
            f"publish.protection.method: controlled_rounding found no end for {cost.size} counts within "
            f"{_SECONDS:.0f} seconds; name fewer `estimates.breakdowns` and `periods`, or take random_rounding"
        )
    is_found: bool = solver.getInfo().primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    return np.rint(np.asarray(solver.getSolution().col_value)) if is_found else None
