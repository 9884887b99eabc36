"""The model of follow-up: how likely a crossing whose window is not over is to become a migration.

It is learnt from crossings that were in the same position at the same day of earlier years, and have been settled
since: the data are cut at these days, and what was open then is looked at as it is today.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.residence.classification import decide_chain
from miglink.stages.residence.days import FOREVER
from miglink.stages.residence.draws.case import Case
from miglink.stages.residence.draws.chances import draw_key, number_of
from miglink.stages.residence.draws.features import LEVELS, describe_crossings, name_cells
from miglink.stages.residence.draws.shrinkage import keep_mean, shrink
from miglink.stages.residence.initial_status import Evidence

_EPOCH = date(1900, 1, 1)
# Persons whose crossings are looked at, at most.
_MOST_PERSONS = 200_000
# After so many years what people did counts half.
_HALF_LIFE = 5.0
_FRACTIONS = 2.0**20
SHIFTED = ("direction", "group_name", "quarter")
# The levels by which earlier cuts are predicted from each other.
_TRIED = LEVELS[:3]
# The shift's standard deviation where the data reach back over one cut alone: assumed.
_ASSUMED_SHIFT = 0.2
# Fewer cuts than these do not show how far years lie apart.
_FEWEST_CUTS = 3
_BACK_TESTS: dict[str, type[pl.DataType]] = {
    "cut_date": pl.Date,
    "direction": pl.String,
    "n_open": pl.Int64,
    "n_migrations": pl.Int64,
    "n_forecast": pl.Float64,
    "standard_error": pl.Float64,
}
_CELLS: dict[str, type[pl.DataType]] = {
    "level": pl.Int32,
    "cell": pl.String,
    "n_settled": pl.Float64,
    "n_migrations": pl.Float64,
    "p_migration": pl.Float64,
    "n_open": pl.Int64,
}


@dataclass(frozen=True)
class FollowUp:
    """What the model has learnt.

    counts: for each cut and finest cell the settled crossings (n) and those that became a migration (k), by weight.
    shift_sd: standard deviation, in log odds, of what all crossings of a direction, group of citizenship and quarter
        share. common_sd: of what all of a direction share. back_tests: as `_compare_cuts` gives them.
    """

    counts: pl.DataFrame
    shift_sd: float
    common_sd: float
    back_tests: pl.DataFrame


def find_cuts(first: date, last: date, follow_up_days: int) -> list[date]:
    """The same day of earlier years, as far back as the data go, whose windows were over by the last day."""
    cuts = []
    for years in range(1, last.year - first.year + 1):
        cut = last - timedelta(days=round(365.25 * years))
        if cut + timedelta(days=follow_up_days) <= last and cut > first:
            cuts.append(cut)
    return cuts


def learn_follow_up(engine: Engine, case: Case, opened: Table, last_date: date) -> FollowUp:
    """Count how many of the crossings that were open on earlier days became a migration, cell by cell.

    Reads: the case (its statuses, changes), opened (`open_at_cuts`); the last day observed.
    Gives: the counts by cell and cut, by weight: recent years count more (half after five years).
    Source: methods of miglink, section 5 (cut the data at an earlier date, estimate, compare with what became final).
    """
    labelled = _label(engine, case, opened)
    last = (last_date - _EPOCH).days
    counts = engine.collect(
        f"""
        SELECT cut_day, {", ".join(SHIFTED)}, {", ".join(LEVELS)}, CAST(COUNT(*) AS DOUBLE) AS n,
               CAST(SUM(CASE WHEN is_migration THEN 1 ELSE 0 END) AS DOUBLE) AS k
        FROM labelled GROUP BY cut_day, {", ".join(SHIFTED)}, {", ".join(LEVELS)}
        """,
        labelled=labelled,
    ).sort("cut_day", *SHIFTED, *LEVELS)
    weight = 0.5 ** ((last - pl.col("cut_day")) / (365.25 * _HALF_LIFE))
    # Sums of such fractions are exact, whatever the order of rows.
    exact = (weight * _FRACTIONS).round() / _FRACTIONS
    weighted = counts.with_columns(pl.col("n", "k") * exact, n_cases="n", k_cases="k")
    forecasts = _forecast_cuts(weighted)
    return FollowUp(weighted, *_find_shifts(forecasts), _compare_cuts(forecasts))


def draw_chances(model: FollowUp, asked: pl.DataFrame, number: int, seed: tuple[int, ...]) -> pl.DataFrame:
    """The chance of each cell asked of, in each draw: cell, draw, p; none without anything to learn.

    asked: cell (a number), the names of every level, direction, group_name, quarter. The chance of the finest level,
        shifted by what crossings of one direction, group and quarter share in the draw.
    """
    if model.counts.is_empty() or asked.is_empty():
        return pl.DataFrame(schema={"cell": pl.Int64, "draw": pl.Int32, "p": pl.Float64})
    together = pl.concat(
        [
            model.counts.select(*LEVELS, "n", "k"),
            asked.select(*LEVELS).unique().with_columns(n=pl.lit(0.0), k=pl.lit(0.0)),
        ]
    )
    shares = shrink(together, LEVELS, number, seed)
    finest = shares.cells.with_row_index("row").filter(pl.col("level") == len(LEVELS))
    shared = asked.select(*SHIFTED).unique().sort(*SHIFTED)
    rng = np.random.default_rng([*seed, number_of("shift")])
    shifts = rng.normal(0.0, model.shift_sd, (shared.height, number))
    directions = shared["direction"].unique().sort()
    common = rng.normal(0.0, model.common_sd, (directions.len(), number))
    shifts += common[directions.search_sorted(shared["direction"]).to_numpy()]
    rows = asked.join(
        finest.select("row", cell_5="cell"), on="cell_5", how="left", maintain_order="left"
    ).join(shared.with_row_index("shift"), on=SHIFTED, how="left", maintain_order="left")
    p = shares.drawn[rows["row"].to_numpy()].clip(1e-9, 1 - 1e-9)
    moved = keep_mean(shifts[rows["shift"].to_numpy()], p, model.shift_sd**2 + model.common_sd**2)
    # Where few earlier cuts were wrong by much, shifts are wide: beyond these log odds a chance is 0 or 1.
    shifted = 1 / (1 + np.exp(-np.clip(np.log(p / (1 - p)) + moved, -50, 50)))
    return pl.DataFrame(
        {
            "cell": np.repeat(rows["cell"].to_numpy(), number),
            "draw": np.tile(np.arange(1, number + 1, dtype=np.int32), rows.height),
            "p": shifted.ravel(),
        }
    )


def open_at_cuts(
    engine: Engine, case: Case, evidence: Evidence, days: tuple[date, date], country: str | None
) -> Table:
    """The crossings that were open at each cut, with their cells as of that day: the same under every policy.

    Reads: the case (its chain), evidence (records of crossings, visas, permits); the first and last day observed.
        country: the reporting country, whose citizens are nationals.
    """
    name = f"{case.name}_cut"
    cuts = find_cuts(*days, case.rule.follow_up_days)
    numbered = engine.frame(
        f"{name}_days",
        pl.DataFrame(
            {"cut": range(len(cuts)), "cut_day": [(cut - _EPOCH).days for cut in cuts]},
            schema={"cut": pl.Int64, "cut_day": pl.Int64},
        ),
    )
    window = case.rule.follow_up_days
    rows = engine.step(
        f"{name}_chain",
        f"""
        SELECT {draw_key("c.person_key", "n.cut")} AS person_key, c.person_key AS owner_key, n.cut_day, c.position,
               c.day, c.is_arrival, TRUE AS is_crossing,
               CASE WHEN c.gap_day <= n.cut_day THEN c.gap_day END AS gap_day,
               COALESCE(c.likely_day, c.day + CAST(FLOOR((c.gap_day - c.day) / 2.0) AS BIGINT)) AS likely_day,
               FALSE AS is_by_evidence
        FROM chain c
        JOIN cuts n ON c.day <= n.cut_day AND c.day > n.cut_day - {window}
        JOIN travellers t ON t.person_key = c.person_key AND COALESCE(t.death_day, {FOREVER}) > n.cut_day
        WHERE c.is_crossing AND c.person_key <= {_MOST_PERSONS}
        """,
        chain=case.chain,
        cuts=numbered,
        travellers=case.travellers,
    )
    whose = engine.step(
        f"{name}_travellers",
        """
        SELECT person_key, MIN(owner_key) AS owner_key, MIN(cut_day) AS cut_day, MIN(cut_day) + 1 AS observed_day,
               -1 AS initial_status, CAST(NULL AS BIGINT) AS death_day, FALSE AS is_window_cut
        FROM rows_of GROUP BY person_key
        """,
        rows_of=rows,
    )
    crossings = engine.step(
        f"{name}_crossings",
        "SELECT DISTINCT owner_key AS person_key, position, day FROM rows_of",
        rows_of=rows,
    )
    described = describe_crossings(engine, name, crossings, case.people, evidence, country)
    decided = decide_chain(engine, rows, whose, case.rule, "drawn", spread_expectations(engine, case, whose))
    named = name_cells(engine, f"{name}_cells", decided, described, whose)
    return engine.view(
        f"{name}_opened",
        "SELECT n.*, w.cut_day FROM named n JOIN whose w ON w.person_key = n.person_key WHERE NOT n.is_implied",
        named=named,
        whose=whose,
    )


def spread_expectations(engine: Engine, case: Case, whose: Table) -> Table:
    """What permits and visas let expect, for persons in draws or at cuts."""
    return engine.step(
        f"{case.name}_expectations",
        """SELECT w.person_key, x.from_day, x.until_day
        FROM whose w JOIN expectations x ON x.person_key = w.owner_key""",
        whose=whose,
        expectations=case.expectations,
    )


def _label(engine: Engine, case: Case, opened: Table) -> Table:
    """The open crossings of which it is known by now that they fitted, and whether they were a migration."""
    return engine.step(
        f"{case.name}_labelled",
        """
        SELECT o.*, c.outcome IS NOT NULL AS is_migration
        FROM opened o
        JOIN statuses s ON s.person_key = o.owner_key AND s.from_day < o.day AND (s.to_day IS NULL OR s.to_day >= o.day)
             AND s.status = CASE o.direction WHEN 'arrival' THEN 0 ELSE 1 END
        LEFT JOIN changes c ON c.person_key = o.owner_key AND c.position = o.position AND NOT c.is_implied
        WHERE COALESCE(c.outcome, 'migration') = 'migration'
        """,
        opened=opened,
        statuses=case.statuses,
        changes=case.changes,
    )


def _forecast_cuts(counts: pl.DataFrame) -> pl.DataFrame:
    """What other cuts make of the crossings open at each, by direction, group and quarter.

    Predicted without the narrowest cells, which say little of a whole group. Gives: cut_day, SHIFTED, n_open,
    n_migrations (persons' crossings, unweighted), n_forecast, excess (found less forecast), variance (of chance).
    """
    columns = ["cut_day", *SHIFTED, *_TRIED]
    counts = counts.group_by(columns).agg(pl.col("n", "k", "n_cases", "k_cases").sum()).sort(columns)
    found = []
    for cut in counts["cut_day"].unique().sort():
        others = counts.with_columns(
            n=pl.when(pl.col("cut_day") == cut).then(0.0).otherwise("n"),
            k=pl.when(pl.col("cut_day") == cut).then(0.0).otherwise("k"),
        )
        shares = shrink(others.select(*_TRIED, "n", "k"), _TRIED, 1, (0,)).cells
        finest = shares.filter(pl.col("level") == len(_TRIED)).select("p", cell="cell")
        own = counts.filter(pl.col("cut_day") == cut).join(finest, left_on=_TRIED[-1], right_on="cell")
        forecast = pl.col("n_cases") * pl.col("p")
        found.append(
            own.group_by("cut_day", *SHIFTED).agg(
                n_open=pl.col("n_cases").sum(),
                n_migrations=pl.col("k_cases").sum(),
                n_forecast=forecast.sum(),
                excess=(pl.col("k_cases") - forecast).sum(),
                variance=(forecast * (1 - pl.col("p"))).sum(),
            )
        )
    # One cut alone has no others that could predict it.
    return pl.concat(found) if len(found) > 1 else pl.DataFrame()


def _find_shifts(forecasts: pl.DataFrame) -> tuple[float, float]:
    """How far the outcomes of a direction, group and quarter lie from what other years make of them, in log odds.

    The mean square of the residuals of each cut, predicted from the others, beyond what chance alone gives. Gives also
    what a whole direction shares, as far as the residuals of its groups and quarters do not cancel each other.
    """
    if forecasts.is_empty():
        return _ASSUMED_SHIFT, _ASSUMED_SHIFT
    together = forecasts.group_by("cut_day", "direction").agg(pl.col("excess", "variance").sum())
    return _beyond_chance(forecasts), _beyond_chance(together)


def _compare_cuts(forecasts: pl.DataFrame) -> pl.DataFrame:
    """For each cut and direction the migrations that other cuts forecast beside those found.

    Gives: cut_date, direction, n_open, n_migrations, n_forecast, standard_error (of the forecast: chance, and how far
    the cuts but this one lie from what others make of them; assumed where there are fewer than three).
    Source: methods of miglink, section 5 (back-tests).
    """
    if forecasts.is_empty():
        return pl.DataFrame(schema=_BACK_TESTS)
    sums = ("n_open", "n_migrations", "n_forecast", "excess", "variance")
    together = forecasts.group_by("cut_day", "direction").agg(pl.col(*sums).sum())
    cuts = together["cut_day"].unique().sort()
    apart = [
        _beyond_chance(together.filter(pl.col("cut_day") != cut))
        if cuts.len() >= _FEWEST_CUTS
        else _ASSUMED_SHIFT
        for cut in cuts
    ]
    by_cut = together.join(pl.DataFrame({"cut_day": cuts, "apart": apart}), on="cut_day")
    error = (pl.col("variance") + (pl.col("apart") * pl.col("variance")) ** 2).sqrt()
    return by_cut.sort("cut_day", "direction").select(
        # Sums of probabilities depend on the order of rows in their last digits.
        (pl.lit(_EPOCH) + pl.duration(days="cut_day")).cast(pl.Date).alias("cut_date"),
        "direction",
        pl.col("n_open", "n_migrations").cast(pl.Int64),
        pl.col("n_forecast").round(6),
        standard_error=error.round(6),
    )


def _beyond_chance(residuals: pl.DataFrame) -> float:
    """The standard deviation, in log odds, that excesses show beyond that of chance."""
    excess, variance = (residuals[name].to_numpy() for name in ("excess", "variance"))
    beyond = float(np.sum(excess**2 - variance)) / max(float(np.sum(variance**2)), 1e-12)
    # Sums of probabilities depend on the order of rows in their last digits.
    return round(float(np.sqrt(max(beyond, 0.0))), 6)


def list_cells(model: FollowUp, asked: pl.DataFrame) -> pl.DataFrame:
    """The model as table follow_up has it: level, cell, n_settled, n_migrations, p_migration, n_open.

    asked: the finest cells asked of, with n_open.
    """
    if model.counts.is_empty():
        return pl.DataFrame(schema=_CELLS)
    together = pl.concat(
        [
            model.counts.select(*LEVELS, "n", "k"),
            asked.select(*LEVELS).with_columns(n=pl.lit(0.0), k=pl.lit(0.0)),
        ]
    )
    cells = shrink(together, LEVELS, 1, (0,)).cells
    opened = pl.concat(
        asked.group_by(cell=pl.col(column) if column else pl.lit(""))
        .agg(pl.col("n_open").sum())
        .with_columns(level=pl.lit(level))
        for level, column in enumerate(("", *LEVELS))
    )
    return cells.join(opened, on=["level", "cell"], how="left").select(
        level=pl.col("level").cast(pl.Int32),
        cell="cell",
        n_settled="n",
        n_migrations="k",
        p_migration="p",
        n_open=pl.col("n_open").fill_null(0).cast(pl.Int64),
    )
