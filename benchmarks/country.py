"""The synthetic country end to end: seconds and memory stage by stage, and how far the run is from the truth.

    python -m benchmarks.country SIZE [--seeds 1 2 3] [--noise medium] [--set A.B=V] [--keep DIR] [--json FILE]

Makes the country, runs it with its own configuration, evaluates it; each in a process of its own. With several seeds
the accuracy of all is printed side by side.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

_LINKAGE = (
    ("precision over pairs of distinct identities", "linkage", "precision"),
    ("recall over pairs of distinct identities", "linkage", "recall"),
    ("persons split per 1,000", "persons", "split_per_1000"),
    ("persons wrongly merged per 1,000", "persons", "merged_per_1000"),
    ("cluster F1", "persons", "cluster_f1"),
    ("B-cubed F1 over records", "persons", "bcubed_f1"),
    ("days wrong per person-year", "spells", "days_wrong_per_person_year"),
    ("days unresolved per person-year", "spells", "days_unresolved_per_person_year"),
)
_DIMENSIONS = (
    "rule", "policy", "period", "flow", "sex", "citizenship_group", "source_l", "source_r", "true_value",
    "found_value", "cause",
)  # fmt: skip


def measure(size: str, seed: int, noise: str, overrides: list[str], folder: Path) -> dict[str, Any]:
    """Make, run and evaluate one country below the folder; what each took, and the measures."""
    country, run = folder / "country", folder / "run"
    made = _timed(
        [
            sys.executable,
            "-m",
            "synthetic",
            size,
            "--seed",
            str(seed),
            "--noise",
            noise,
            "--out",
            str(country),
        ]
    )
    settings = [part for value in overrides for part in ("--set", value)]
    miglink = [sys.executable, "-m", "miglink"]
    ran = _timed([*miglink, "run", str(country / "country.yml"), "--out", str(run), *settings])
    evaluated = _timed([*miglink, "evaluate", str(run), "--truth", str(country / "truth")])
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    measures = pl.read_parquet(run / "evaluation" / "evaluation.parquet")
    crossings = (
        pl.scan_csv(country / "border" / "*.csv", infer_schema=False).select(pl.len()).collect().item()
    )
    return {
        "size": size,
        "seed": seed,
        "noise": noise,
        "machine": {"cores": os.cpu_count(), "platform": platform.platform()},
        "versions": manifest["libraries"],
        "crossings": crossings,
        "made": made,
        "ran": ran,
        "evaluated": evaluated,
        "stages": [
            {
                "stage": stage["name"],
                "seconds": stage["seconds"],
                "peak_memory_bytes": stage["peak_memory_bytes"],
                "rows": sum(output.get("rows", 0) for output in stage["outputs"].values()),
                "bytes": sum(output["bytes"] for output in stage["outputs"].values()),
            }
            for stage in manifest["stages"]
        ],
        "linkage": {name: _value(measures, part, measure) for name, part, measure in _LINKAGE},
        "flows": _yearly_flows(measures),
    }


def _timed(command: list[str]) -> dict[str, float]:
    """Run a command; its seconds, CPU seconds and most memory."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: {' '.join(command)}")
    return {
        "seconds": round(time.monotonic() - began, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_memory_bytes": usage.ru_maxrss * 1024,
    }


def _value(measures: pl.DataFrame, part: str, measure: str) -> float:
    whole = dict.fromkeys(_DIMENSIONS, "total")
    return float(measures.filter(part=part, measure=measure, **whole)["value"].item())


def _yearly_flows(measures: pl.DataFrame) -> list[dict[str, Any]]:
    """Immigration and emigration of each year with complete follow-up, by policy."""
    years = measures.filter(
        (pl.col("part") == "flows") & (pl.col("status") == "final") & (pl.col("period").str.len_chars() == 4),
        sex="total",
        citizenship_group="total",
    ).filter(pl.col("flow") != "net")
    wide = years.pivot("measure", index=["policy", "period", "flow"], values="value").sort(
        "policy", "flow", "period"
    )
    return wide.select(
        "policy", "period", "flow", "true", "settled", "undetermined", "is_within", "relative_error"
    ).to_dicts()


def show(results: list[dict[str, Any]], console: Console) -> None:
    """Print stages of the last country, and the accuracy of all."""
    last = results[-1]
    grid = Table(
        title=f"{last['size']}, seed {last['seed']}, noise {last['noise']}: {last['crossings']:,} crossings",
        box=SIMPLE,
    )
    for heading in ("stage", "seconds", "peak so far, GB", "rows", "MB written"):
        grid.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage in last["stages"]:
        peak = stage["peak_memory_bytes"] / 1e9
        grid.add_row(
            stage["stage"],
            f"{stage['seconds']:.1f}",
            f"{peak:.2f}",
            f"{stage['rows']:,}",
            f"{stage['bytes'] / 1e6:,.0f}",
        )
    for name, key in (("make", "made"), ("run, whole", "ran"), ("evaluate", "evaluated")):
        grid.add_row(
            name, f"{last[key]['seconds']:.1f}", f"{last[key]['peak_memory_bytes'] / 1e9:.2f}", "", ""
        )
    console.print(grid)

    accuracy = Table(title="Accuracy by seed", box=SIMPLE)
    accuracy.add_column("")
    for result in results:
        accuracy.add_column(f"seed {result['seed']}", justify="right")
    for name in last["linkage"]:
        accuracy.add_row(name, *(f"{result['linkage'][name]:.4f}" for result in results))
    console.print(accuracy)

    flows = Table(
        title="Years with complete follow-up: found against true (! outside found … found + undetermined)",
        box=SIMPLE,
    )
    for heading in ("policy", "flow", "year"):
        flows.add_column(heading)
    for result in results:
        flows.add_column(f"seed {result['seed']}", justify="right")
    for row, first in enumerate(last["flows"]):
        cells = [result["flows"][row] for result in results]
        flows.add_row(
            first["policy"],
            first["flow"],
            first["period"],
            *(
                f"{cell['true']:,.0f}: {cell['settled']:,.0f} +{cell['undetermined']:,.0f} "
                f"({cell['relative_error']:+.1%}){'' if cell['is_within'] else '!'}"
                for cell in cells
            ),
        )
    console.print(flows)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("size")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--noise", default="medium")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="A.B=V")
    parser.add_argument("--keep", type=Path, help="folder for the files, kept; default: a temporary one")
    parser.add_argument("--json", type=Path, help="file for all that was measured")
    asked = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        for seed in asked.seeds:
            folder = (asked.keep or Path(temporary)) / f"{asked.size}-{seed}-{asked.noise}"
            results.append(measure(asked.size, seed, asked.noise, asked.overrides, folder))
    show(results, Console(width=None if sys.stdout.isatty() else 140))
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
