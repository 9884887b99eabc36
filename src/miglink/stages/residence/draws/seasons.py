"""In which months those who live here leave and come for long: a hidden crossing of theirs follows the same season."""

import numpy as np
import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.residence.days import as_date

# Crossings of no season that stand beside those on record, a month.
_PRIOR_CROSSINGS = 5.0
_MONTHS = range(1, 13)


def learn_seasons(engine: Engine, crossings: Table) -> pl.DataFrame:
    """How likely a crossing between two long stays lies in a month: is_arrival, month, weight (1: as any).

    Reads: crossings (`find_crossings`), of whom those are asked who ever stood in a list.
    Units: crossings a day, relative to the most of any month of that direction.
    """
    found = engine.collect(
        f"""
        SELECT is_arrival, CAST(EXTRACT(MONTH FROM {as_date("day")}) AS INTEGER) AS month,
               CAST(COUNT(*) AS DOUBLE) AS n
        FROM crossings WHERE is_listed AND stay_before <> 1 AND stay <> 1
        GROUP BY is_arrival, EXTRACT(MONTH FROM {as_date("day")})
        """,
        crossings=crossings,
    )
    every = pl.DataFrame({"month": list(_MONTHS)}, schema={"month": pl.Int32}).join(
        pl.DataFrame({"is_arrival": [False, True]}), how="cross"
    )
    days = np.array([31, 28.25, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    counted = every.join(found, on=["is_arrival", "month"], how="left").sort("is_arrival", "month")
    n = counted["n"].fill_null(0.0).to_numpy().reshape(2, 12) / days * days.mean()
    weight = (n + _PRIOR_CROSSINGS) / (n + _PRIOR_CROSSINGS).max(axis=1, keepdims=True)
    return counted.select("is_arrival", "month").with_columns(weight=pl.Series(weight.ravel()).round(6))
