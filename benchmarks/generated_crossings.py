"""Linked crossings that are generated: the rule of residence has them as a user does, with no linkage before.

Persons have 2 to 30 crossings; stays and absences are mostly days, some months, few years; one departure in 23 and one
arrival in 100 are missing (the rates of the synthetic country).
"""

import numpy as np
import polars as pl


def generate(n: int, seed: int, *, is_whole: bool = False) -> pl.DataFrame:
    """About n crossings: person_id, crossed_date, direction; if whole, none is lost and no two are of one day."""
    rng = np.random.default_rng(seed)
    n_persons = max(1, n // 10)
    size = np.clip(rng.geometric(1 / 10, n_persons), 2, 30)
    person = np.repeat(np.arange(n_persons), size)
    kinds = rng.choice(3, len(person), p=[0.75, 0.2, 0.05])
    least = int(is_whole)
    days = np.where(
        kinds == 0,
        rng.integers(least, 30, len(person)),
        np.where(kinds == 1, rng.integers(30, 300, len(person)), rng.integers(300, 1200, len(person))),
    )
    start = np.repeat(np.cumsum(size) - size, size)
    elapsed = np.cumsum(days) - np.cumsum(days)[start]
    is_arrival = (np.arange(len(person)) - start + np.repeat(rng.integers(0, 2, n_persons), size)) % 2 == 0
    first = np.repeat(rng.integers(0, 2000, n_persons), size)
    frame = pl.DataFrame(
        {
            "person_id": person,
            "day": first + elapsed,
            "is_arrival": is_arrival,
            "luck": rng.random(len(person)),
        }
    )
    return (
        frame.filter(pl.col("day") < 4383)
        .filter(
            is_whole | pl.when("is_arrival").then(pl.col("luck") > 0.01).otherwise(pl.col("luck") > 0.044)
        )
        .select(
            pl.format("P{}", "person_id").alias("person_id"),
            (pl.lit("2012-01-01").str.to_date() + pl.duration(days="day")).alias("crossed_date"),
            pl.when("is_arrival").then(pl.lit("arrival")).otherwise(pl.lit("departure")).alias("direction"),
        )
        .sample(fraction=1, shuffle=True, seed=seed)
    )
