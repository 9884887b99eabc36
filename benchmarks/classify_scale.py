"""`miglink classify` on up to 15.3 million linked crossings, beside what DuckDB takes to read, sort and write them.

    python -m benchmarks.classify_scale [--crossings 1000000 4000000 15300000] [--ids integer text]
        [--policy unresolved] [--times 3] [--json FILE]

15.3 million are the crossings of New Zealand's border in a year. They are generated (generated_crossings.py); persons
have whole numbers as ids, or texts of 32 characters. The command is timed as its user has it: start of the program,
reading and writing. DuckDB is timed from its connection on, in a process of its own: it reads the same file, sorts it
by person and date and writes it. Both take turns; of several times the one of median seconds counts. The exponent is
the slope of the logarithm of seconds over that of crossings, nothing subtracted.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from benchmarks.generated_crossings import generate
from benchmarks.measured import machine, sort_and_write, timed

_YEAR = 15_300_000
# What is left of generated crossings when some are lost, or lie after the end of observation.
_KEPT = 0.929
_OBSERVED = ("--observed-from", "2012-01-01", "--observed-to", "2023-12-31")
_IDS: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "integer": lambda person: person.str.slice(1).cast(pl.Int64),
    # Alike in the beginning and in the middle, as ids that are counted up are not.
    "text": lambda person: pl.concat_str(person.hash(1), person.hash(2)).str.tail(32).str.pad_start(32, "0"),
}


def main() -> int:
    """Measure every size with every kind of id."""
    asked = _parser().parse_args()
    if asked.task:  # in a process of its own
        source, sorted_file, seconds = asked.task
        taken = sort_and_write(source, sorted_file, "person_id, crossed_date")
        seconds.write_text(json.dumps(taken), encoding="utf-8")
        return 0
    result: dict[str, Any] = {
        "machine": machine(),
        "rule": "nz_12_16",
        "policy": asked.policy,
        "times": asked.times,
    }
    result |= {"sizes": [], "exponents": {}}
    for size in asked.crossings:
        with TemporaryDirectory(prefix="miglink-classify-") as name:
            result["sizes"].append(measure(size, Path(name), asked))
        result["exponents"] = {kind: exponents(kind, result["sizes"]) for kind in asked.ids}
        if asked.json:
            asked.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for line in [*(", ".join(row) for row in rows(result)), *sayings(result)]:
        print(line)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--crossings", type=int, nargs="+", default=[1_000_000, 4_000_000, _YEAR])
    parser.add_argument("--ids", nargs="+", choices=list(_IDS), default=list(_IDS))
    parser.add_argument("--policy", default="unresolved")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file for the result")
    parser.add_argument("--task", type=Path, nargs=3, help=argparse.SUPPRESS)
    return parser


def measure(size: int, folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """About so many crossings: what both programs take, with each kind of id."""
    crossings = generate(round(size / _KEPT), 1)
    found: dict[str, Any] = {
        "crossings": crossings.height,
        "persons": crossings["person_id"].n_unique(),
        "ids": {},
    }
    for kind in asked.ids:
        source = folder / f"{kind}.parquet"
        crossings.with_columns(_IDS[kind](pl.col("person_id"))).write_parquet(source)
    del crossings
    for kind in asked.ids:
        found["ids"][kind] = beside(folder / f"{kind}.parquet", folder, asked, found["crossings"])
    return found


def beside(source: Path, folder: Path, asked: argparse.Namespace, n: int) -> dict[str, Any]:
    """The command and DuckDB on one file, in turns: seconds, memory, and the one as a multiple of the other."""
    out, sorted_file, seconds = (folder / name for name in ("out.parquet", "sorted.parquet", "seconds.json"))
    command = [sys.executable, "-m", "miglink", "classify", str(source), "--rule", "nz_12_16"]
    command += ["--policy", asked.policy, *_OBSERVED, "--out", str(out)]
    limit = [
        sys.executable,
        "-m",
        "benchmarks.classify_scale",
        "--task",
        str(source),
        str(sorted_file),
        str(seconds),
    ]
    classified, limited = [], []
    for _ in range(asked.times):
        classified.append(timed(command))
        process = timed(limit)
        taken = json.loads(seconds.read_text(encoding="utf-8"))
        limited.append({**taken, "peak_memory_bytes": process["peak_memory_bytes"]})
    ours, theirs = (sorted(each, key=_seconds)[(asked.times - 1) // 2] for each in (classified, limited))
    results = pl.read_parquet(out, columns=["is_migration"])["is_migration"]
    return {
        "classify": ours,
        "read_sort_write": theirs,
        "ratio": round(ours["seconds"] / theirs["seconds"], 2),
        "crossings_per_second": round(n / ours["seconds"]),
        "migrations": int(results.sum()),
        "undetermined": results.null_count(),
        "mb_in": round(source.stat().st_size / 1e6, 1),
        "mb_out": round(out.stat().st_size / 1e6, 1),
    }


def _seconds(taken: dict[str, float]) -> float:
    return taken["seconds"]


def exponents(kind: str, sizes: list[dict[str, Any]]) -> dict[str, float]:
    """How seconds and memory of the command grow with crossings; empty with fewer than two sizes."""
    if len(sizes) < 2:
        return {}
    n = np.log([size["crossings"] for size in sizes])
    taken = {
        name: [size["ids"][kind]["classify"][name] for size in sizes]
        for name in ("seconds", "peak_memory_bytes")
    }
    return {name: round(float(np.polyfit(n, np.log(values), 1)[0]), 3) for name, values in taken.items()}


HEADINGS = (
    "crossings", "ids", "classify: seconds", "CPU", "peak GB", "crossings a second",
    "DuckDB: seconds", "CPU", "peak GB", "ratio of seconds",
)  # fmt: skip


def rows(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """The cells of a table, one row for each size and kind of id."""
    return [
        (
            f"{size['crossings']:,}",
            kind,
            f"{found['classify']['seconds']:.2f}",
            f"{found['classify']['cpu_seconds']:.2f}",
            f"{found['classify']['peak_memory_bytes'] / 1e9:.2f}",
            f"{found['crossings_per_second']:,}",
            f"{found['read_sort_write']['seconds']:.2f}",
            f"{found['read_sort_write']['cpu_seconds']:.2f}",
            f"{found['read_sort_write']['peak_memory_bytes'] / 1e9:.2f}",
            f"{found['ratio']:.2f}",
        )
        for size in result["sizes"]
        for kind, found in size["ids"].items()
    ]


def sayings(result: dict[str, Any]) -> list[str]:
    """The exponents in words."""
    return [
        f"ids of kind {kind}: seconds grow with the power {grown['seconds']:.2f} of crossings, memory with "
        f"{grown['peak_memory_bytes']:.2f}."
        for kind, grown in result["exponents"].items()
        if grown
    ]


if __name__ == "__main__":
    sys.exit(main())
