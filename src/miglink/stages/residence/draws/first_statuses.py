"""The first status of persons of whom neither evidence nor the first crossing tells it."""

import numpy as np
import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.residence.draws.case import Case
from miglink.stages.residence.draws.chances import number_of, with_chances
from miglink.stages.residence.draws.shrinkage import shrink

_LEVELS = ("cell_1", "cell_2", "cell_3")
# Standard deviation, in log odds, of what those whose first status is not known have in common beside how they appear:
# assumed.
_SHARED = 0.5


def count_first_statuses(engine: Engine, case: Case) -> pl.DataFrame:
    """How many of those whose first status is known were resident, by how they appear: cell_1 to cell_3, n, k.

    By being born here or not, by register, permit and signs of life, then by what the first crossing suggests and how
    long after the beginning of observation it lies. Cells of nobody who is known are there too, with n 0.
    """
    return engine.collect(
        """
        SELECT cell_1, cell_2, cell_3, CAST(COUNT(CASE WHEN initial_status >= 0 THEN 1 END) AS DOUBLE) AS n,
               CAST(COUNT(CASE WHEN initial_status = 1 THEN 1 END) AS DOUBLE) AS k
        FROM starters GROUP BY cell_1, cell_2, cell_3
        """,
        starters=_describe_starters(engine, case),
    )


def draw_first_statuses(
    engine: Engine, case: Case, whose: Table, counts: pl.DataFrame, number: int, seed: int
) -> Table:
    """Add initial_status, the status before what is drawn: as found, or drawn where it is the first and not known.

    Reads: whose (persons in draws, with status_before or null), counts of `count_first_statuses`.
    Whose first status is not known is taken to be like those who appear in the same way, but for a shift that is one
    for all of them in a draw. Children whose mother's status is drawn have none yet.
    """
    starters = _describe_starters(engine, case)
    own = engine.collect("SELECT DISTINCT cell_1, cell_2, cell_3 FROM starters", starters=starters)
    together = pl.concat([counts, own.with_columns(n=pl.lit(0.0), k=pl.lit(0.0))])
    seeds = (seed, number_of("first status"))
    shares = shrink(together, _LEVELS, number, seeds)
    shifts = np.random.default_rng([*seeds, 1]).normal(0.0, _SHARED, number)
    is_last = (shares.cells["level"] == len(_LEVELS)).to_numpy()
    p = shares.drawn[is_last].clip(1e-9, 1 - 1e-9)
    shifted = 1 / (1 + (1 - p) / p * np.exp(-shifts))
    drawn = pl.DataFrame(shifted, schema=[str(draw) for draw in range(1, number + 1)])
    chances = (
        drawn.with_columns(cell_3=shares.cells.filter(pl.col("level") == len(_LEVELS))["cell"])
        .unpivot(index="cell_3", variable_name="draw", value_name="p_resident")
        .with_columns(pl.col("draw").cast(pl.Int32))
    )
    unknown = engine.view(
        f"{case.name}_unknown_first",
        """SELECT w.*, s.cell_3 FROM whose w JOIN starters s ON s.person_key = w.owner_key
        WHERE w.status_before IS NULL AND w.mother_draw_key IS NULL""",
        whose=whose,
        starters=starters,
    )
    lucky = with_chances(engine, f"{case.name}_first_luck", unknown, "0", "first_status")
    return engine.step(
        f"{case.name}_started",
        """
        SELECT w.*, COALESCE(w.status_before, CASE WHEN l.first_status < c.p_resident THEN 1
                             WHEN c.p_resident IS NOT NULL THEN 0 END) AS initial_status
        FROM whose w
        LEFT JOIN lucky l ON l.person_key = w.person_key
        LEFT JOIN chances c ON c.draw = l.draw AND c.cell_3 = l.cell_3
        """,
        whose=whose,
        lucky=lucky,
        chances=engine.frame(f"{case.name}_first_chances", chances),
    )


def _describe_starters(engine: Engine, case: Case) -> Table:
    """Every person with the first status and the cells by which it is drawn."""
    return engine.view(
        f"{case.name}_starters",
        """
        WITH described AS (
            SELECT t.person_key, t.initial_status, p.start,
                   COALESCE(CAST(p.status_before_first AS VARCHAR), 'none') AS suggested,
                   CASE WHEN p.first_day IS NULL THEN 'none' WHEN p.first_day - p.from_day < 31 THEN '1'
                        WHEN p.first_day - p.from_day < 92 THEN '3' WHEN p.first_day - p.from_day < 366 THEN '12'
                        ELSE 'later' END AS since,
                   CONCAT(CASE WHEN p.is_registered THEN 'r' ELSE '-' END, CASE WHEN p.has_permit THEN 'p' ELSE '-' END,
                          CASE WHEN p.is_active THEN 'a' ELSE '-' END) AS evidence
            FROM travellers t JOIN people p ON p.person_key = t.person_key
        )
        SELECT person_key, initial_status, CONCAT(start, ' ', evidence) AS cell_1,
               CONCAT(start, ' ', evidence, ' ', suggested) AS cell_2,
               CONCAT(start, ' ', evidence, ' ', suggested, ' ', since) AS cell_3
        FROM described
        """,
        travellers=case.travellers,
        people=case.people,
    )
