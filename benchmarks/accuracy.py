"""The synthetic country at several levels of noise and many seeds: how far from the truth, and how much that varies.

    python -m benchmarks.accuracy [SIZE] [--noise low medium high] [--seeds 1 … 10] [--json FILE]

Linkage, persons, spells, yearly flows and stocks, as `benchmarks.country` measures them for one.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import country
from benchmarks.measured import machine


def main() -> int:
    """Measure every country that the command line asks for; the file grows by one at a time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("size", nargs="?", default="small")
    parser.add_argument("--noise", nargs="+", default=["low", "medium", "high"])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(1, 11)))
    parser.add_argument("--json", type=Path, help="file for the result")
    asked = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "size": asked.size, "noise": {}}
    for noise in asked.noise:
        found = []
        for seed in asked.seeds:
            wanted = argparse.Namespace(size=asked.size, noise=noise, overrides=[], slow=None, repeat=1)
            with tempfile.TemporaryDirectory(prefix="miglink-accuracy-") as folder:
                found.append(country.measure(wanted, seed, Path(folder))["accuracy"])
            result["noise"][noise] = {"seeds": asked.seeds[: len(found)], "measures": spread(found)}
            if asked.json:
                asked.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            print(noise, seed, json.dumps(found[-1]), flush=True)
    return 0


def spread(found: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean, standard deviation over the seeds, lowest and highest of each measure."""
    return {
        name: {
            "mean": round(statistics.fmean(values), 6),
            "sd": round(statistics.stdev(values), 6) if len(values) > 1 else 0.0,
            "lowest": min(values),
            "highest": max(values),
        }
        for name in found[0]
        if (values := [one[name] for one in found])
    }


if __name__ == "__main__":
    sys.exit(main())
