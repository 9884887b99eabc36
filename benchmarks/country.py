"""The synthetic country end to end: seconds and memory stage by stage, and how far the run is from the truth.

    python -m benchmarks.country SIZE [--seeds 1 2 3] [--noise medium] [--repeat 3] [--set A.B=V] [--json FILE]

Makes the country, runs it with its own configuration, evaluates it; each in a process of its own. With several seeds
the accuracy of all is printed side by side.
"""

import argparse
import itertools
import json
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.chance_pairs import count
from benchmarks.measured import machine, timed, yardstick
from miglink.engine.duckdb_engine import DuckDBEngine

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
_PYTHON = (sys.executable, "-m")
_DIMENSIONS = (
    "rule", "policy", "period", "flow", "sex", "citizenship_group", "source_l", "source_r", "true_value",
    "found_value", "cause",
)  # fmt: skip


def measure(asked: argparse.Namespace, seed: int, folder: Path) -> dict[str, Any]:
    """Make, run and evaluate one country below the folder; what each took, and the measures."""
    country = folder / "country"
    made = timed(
        [
            *_PYTHON,
            "synthetic",
            asked.size,
            "--seed",
            str(seed),
            "--noise",
            asked.noise,
            "--out",
            str(country),
        ]
    )
    settings = [part for value in asked.overrides for part in ("--set", value)]
    program = ["benchmarks.slowed", asked.slow] if asked.slow else ["miglink"]
    runs, stages = [], []
    for number in range(asked.repeat):
        run = folder / f"run {number}"
        ran = timed([*_PYTHON, *program, "run", str(country / "country.yml"), "--out", str(run), *settings])
        manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
        runs.append(ran)
        stages.append(manifest["stages"])
    evaluated = timed([*_PYTHON, "miglink", "evaluate", str(run), "--truth", str(country / "truth")])
    measures = pl.read_parquet(run / "evaluation" / "evaluation.parquet")
    with closing(DuckDBEngine(folder / "pairs")) as engine:
        counted = count(engine, run / "tables", country / "truth", by_rule=False)
    return {
        "size": asked.size,
        "seed": seed,
        "noise": asked.noise,
        "overrides": asked.overrides,
        "libraries": {"miglink": manifest["miglink"], **manifest["libraries"]},
        "crossings": counted["crossings"],
        "identities": counted["identities"],
        "pairs": counted["rules"][0]["n_pairs"],
        "made": made,
        "ran": min(runs, key=lambda ran: ran["cpu_seconds"]),
        "evaluated": evaluated,
        "stages": [_stage(times, counted["rules"][0]["n_pairs"]) for times in zip(*stages, strict=True)],
        "accuracy": accuracy(measures),
        "flows": _yearly_flows(measures),
    }


def _stage(runs: tuple[dict[str, Any], ...], n_pairs: int) -> dict[str, Any]:
    """What a stage took in the run in which it took least, and its rates."""
    best = min(runs, key=lambda stage: stage["cpu_seconds"])
    rows = sum(output.get("rows", 0) for output in best["outputs"].values())
    return {
        "stage": best["name"],
        "seconds": min(stage["seconds"] for stage in runs),
        "cpu_seconds": best["cpu_seconds"],
        "peak_memory_bytes": min(stage["peak_memory_bytes"] for stage in runs),
        "rows": rows,
        "rows_per_second": round(rows / best["seconds"]),
        **({"pairs_per_second": round(n_pairs / best["seconds"])} if best["name"] == "linkage" else {}),
        "bytes": sum(output["bytes"] for output in best["outputs"].values()),
    }


def accuracy(measures: pl.DataFrame) -> dict[str, float]:
    """How far the run is from the truth, in a few numbers, each with its name; `BETTER` says which way is better."""
    found = {name: _value(measures, part, measure) for name, part, measure in _LINKAGE}
    final = measures.filter(status="final", sex="total", citizenship_group="total")
    yearly = final.filter((pl.col("part") != "flows") | (pl.col("period").str.len_chars() == 4))
    for part, policy in itertools.product(("flows", "stocks"), sorted(yearly["policy"].unique())):
        of_part = yearly.filter(pl.col("part") == part, pl.col("policy") == policy, pl.col("flow") != "net")
        for name, measure in (
            ("mean relative error", "relative_error"),
            ("share within bounds", "is_within"),
        ):
            values = of_part.filter(measure=measure)["value"].abs()
            if len(values):
                found[f"yearly {part}, {policy}: {name}"] = round(float(values.mean()), 6)
    return found


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
        title=f"{last['size']}, seed {last['seed']}, noise {last['noise']}: {last['crossings']:,} crossings, "
        f"{last['identities']:,} identities, {last['pairs']:,} pairs",
        box=SIMPLE,
    )
    for heading in (
        "stage",
        "seconds",
        "CPU seconds",
        "peak so far, GB",
        "rows",
        "rows a second",
        "MB written",
    ):
        grid.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage in last["stages"]:
        peak = stage["peak_memory_bytes"] / 1e9
        grid.add_row(
            stage["stage"],
            f"{stage['seconds']:.1f}",
            f"{stage['cpu_seconds']:.1f}",
            f"{peak:.2f}",
            f"{stage['rows']:,}",
            f"{stage['rows_per_second']:,}",
            f"{stage['bytes'] / 1e6:,.0f}",
        )
    for name, key in (("make", "made"), ("run, whole", "ran"), ("evaluate", "evaluated")):
        took = last[key]
        peak = took["peak_memory_bytes"] / 1e9
        grid.add_row(name, f"{took['seconds']:.1f}", f"{took['cpu_seconds']:.1f}", f"{peak:.2f}", "", "", "")
    console.print(grid)

    reached = Table(title="Accuracy by seed", box=SIMPLE)
    reached.add_column("")
    for result in results:
        reached.add_column(f"seed {result['seed']}", justify="right")
    for name in last["accuracy"]:
        reached.add_row(name, *(f"{result['accuracy'][name]:.4f}" for result in results))
    console.print(reached)

    _show_flows(results, console)


def _show_flows(results: list[dict[str, Any]], console: Console) -> None:
    """Print each final year of all countries, found against true."""
    last = results[-1]
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
    parser.add_argument(
        "--repeat", type=int, default=1, help="run each so often, and keep the best time of each stage"
    )
    parser.add_argument(
        "--slow", metavar="STAGE", help="do a stage twice: a slowdown that compare.py must find"
    )
    parser.add_argument("--keep", type=Path, help="folder for the files, kept; default: a temporary one")
    parser.add_argument("--json", type=Path, help="file for all that was measured")
    asked = parser.parse_args()
    before = yardstick()
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        for seed in asked.seeds:
            folder = (asked.keep or Path(temporary)) / f"{asked.size}-{seed}-{asked.noise}"
            results.append(measure(asked, seed, folder))
    after = yardstick()
    best = {name: min(before[name], after[name]) for name in before}
    measured = {"machine": machine(), "yardstick": best, "countries": results}
    show(results, Console(width=None if sys.stdout.isatty() else 140))
    if asked.json:
        asked.json.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
