"""A million linked crossings through `miglink classify`: seconds and memory of the whole command.

    python -m benchmarks.classify_million [--crossings 1000000] [--policy unresolved]

Persons have 2 to 30 crossings; stays and absences are mostly days, some months, few years; one departure in 23 and one
arrival in 100 are missing (the rates of the synthetic country).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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


def measure(n: int, policy: str) -> dict[str, object]:
    """Run the command on generated crossings and give what it took."""
    with tempfile.TemporaryDirectory() as folder:
        crossings, out = Path(folder) / "crossings.parquet", Path(folder) / "classified.parquet"
        frame = generate(n, 1)
        frame.write_parquet(crossings)
        command = [
            sys.executable,
            "-m",
            "miglink",
            "classify",
            str(crossings),
            "--rule",
            "nz_12_16",
            "--policy",
            policy,
        ]
        began = time.monotonic()
        process = subprocess.Popen(
            [*command, "--observed-from", "2012-01-01", "--observed-to", "2023-12-31", "--out", str(out)],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        assert status == 0, status
        result = pl.read_parquet(out)
        return {
            "crossings": frame.height,
            "persons": frame["person_id"].n_unique(),
            "policy": policy,
            "seconds": round(seconds, 1),
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
            "crossings_per_second": round(frame.height / seconds),
            "peak_memory_mb": round(usage.ru_maxrss / 1024),
            "migrations": result["is_migration"].sum(),
            "undetermined": result["is_migration"].null_count(),
        }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--crossings", type=int, default=1_250_000, help="crossings before some are lost or fall outside"
    )
    parser.add_argument("--policy", default="unresolved")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.crossings, arguments.policy), indent=1))
