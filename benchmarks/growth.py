"""How time and memory grow with the country: linkage and residence, each in a process of its own, and the exponent.

    python -m benchmarks.growth [--sizes 1000000 2000000 5000000 10000000] [--setup 10000] [--json FILE]

A stage has a price that does not grow (its statements, the start of Splink): what it takes at the size of --setup is
subtracted before the exponent is fitted, by least squares on logarithms. Sizes are crossings.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measured import machine, timed

# The stages that are measured, and the stages before each that are done first, in another process.
_MEASURED = {"linkage": "identities", "residence": "spells"}
_PYTHON = (sys.executable, "-m")


def main() -> int:
    """Measure every size, and fit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000_000, 2_000_000, 5_000_000, 10_000_000])
    parser.add_argument("--setup", type=int, default=10_000)
    parser.add_argument("--keep", type=Path, help="new folder for the country and the run of the last size")
    parser.add_argument("--json", type=Path, help="file for the result")
    asked = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "setup": measured(asked.setup), "sizes": []}
    for size in asked.sizes:
        is_last = size == asked.sizes[-1]
        result["sizes"].append(measure(size, asked.keep) if asked.keep and is_last else measured(size))
        result["fitted"] = {stage: fit(stage, result) for stage in _MEASURED}
        print(json.dumps(result["sizes"][-1], indent=1), flush=True)
        if asked.json:  # after each size: the largest may not fit this machine
            asked.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result["fitted"], indent=1))
    return 0


def measured(size: int) -> dict[str, Any]:
    """What `measure` gives; the country is removed."""
    with tempfile.TemporaryDirectory(prefix="miglink-growth-") as name:
        return measure(size, Path(name))


def measure(size: int, folder: Path) -> dict[str, Any]:
    """Make and run a country; seconds, CPU seconds and peak memory of the stages that are measured."""
    country, run = folder / "country", folder / "run"
    made = timed([*_PYTHON, "synthetic", str(size), "--seed", "1", "--out", str(country)])
    command = [*_PYTHON, "miglink", "run", str(country / "country.yml"), "--out", str(run)]
    found: dict[str, Any] = {"asked": size, "made": made}
    resumed: list[str] = []
    for stage, before in _MEASURED.items():
        timed([*command, "--to", before, *resumed])
        resumed = ["--resume"]
        taken = timed([*command, "--to", stage, *resumed])
        stages = {s["name"]: s for s in json.loads((run / "manifest.json").read_text("utf-8"))["stages"]}
        found["identities"] = stages["identities"]["outputs"]["identities"]["rows"]
        found["records"] = stages["ingest"]["outputs"]["records"]["rows"]
        found[stage] = {
            "seconds": stages[stage]["seconds"],
            "cpu_seconds": stages[stage]["cpu_seconds"],
            "peak_memory_bytes": taken["peak_memory_bytes"],
        }
    return found


def fit(stage: str, result: dict[str, Any]) -> dict[str, float]:
    """The exponents of time, CPU time and memory over the sizes; empty with fewer than two."""
    sizes = result["sizes"]
    if len(sizes) < 2:
        return {}
    n = np.log([size["records"] for size in sizes])
    exponents = {}
    for measure_name in ("seconds", "cpu_seconds", "peak_memory_bytes"):
        grown = [size[stage][measure_name] - result["setup"][stage][measure_name] for size in sizes]
        if min(grown) > 0:
            exponents[measure_name] = round(float(np.polyfit(n, np.log(grown), 1)[0]), 3)
    return exponents


if __name__ == "__main__":
    sys.exit(main())
