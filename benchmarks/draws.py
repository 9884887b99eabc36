"""What draws add to a run: one country with and without them in turn, stage by stage.

    python -m benchmarks.draws [SIZE] [--seed 1] [--draws 50] [--repeat 3] [--country FOLDER] [--json FILE]

Of each stage the run in which it took least counts. CPU seconds are what a run is judged by: its seconds depend on what
else the machine does. Peak memory is what the process has held at most by the end of a stage.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.measured import machine, timed

WHOLE = "run, whole"
MEASURES = ("cpu_seconds", "seconds", "peak_memory_bytes")
_PYTHON = (sys.executable, "-m")
_Taken = dict[str, dict[str, float]]


def main() -> int:
    """Measure the country that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("size", nargs="?", default="small")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--repeat", type=int, default=3, help="run each so often")
    parser.add_argument("--country", type=Path, help="a country made before, in place of a new one")
    parser.add_argument("--json", type=Path, help="file for the result")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="miglink-draws-") as folder:
        country = asked.country or Path(folder) / "country"
        if asked.country is None:
            made = ("synthetic", asked.size, "--seed", str(asked.seed), "--out", str(country))
            timed((*_PYTHON, *made))
        runs: dict[int, list[_Taken]] = {0: [], asked.draws: []}
        for turn in range(asked.repeat):
            for number, taken in runs.items():
                taken.append(run(country, number, Path(folder) / f"run {turn} {number}"))
    result = {
        "machine": machine(),
        "size": asked.size,
        "seed": asked.seed,
        "draws": asked.draws,
        "repeat": asked.repeat,
        "stages": compare(runs[0], runs[asked.draws]),
    }
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    show(result, Console(width=None if sys.stdout.isatty() else 140))
    return 0


def run(country: Path, number: int, folder: Path) -> _Taken:
    """What each stage of a run with so many draws took, and the whole."""
    draws = ("--set", f"draws.number={number}")
    whole = timed((*_PYTHON, "miglink", "run", str(country / "country.yml"), "--out", str(folder), *draws))
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    stages = {stage["name"]: {name: stage[name] for name in MEASURES} for stage in manifest["stages"]}
    return {**stages, WHOLE: whole}


def compare(without: list[_Taken], having: list[_Taken]) -> dict[str, _Taken]:
    """Of each stage, and of the whole, the least of both kinds of runs, and the ratio of what is more than nothing."""
    compared: dict[str, _Taken] = {}
    for stage in without[0]:
        least = {
            kind: {name: min(taken[stage][name] for taken in runs) for name in MEASURES}
            for kind, runs in (("without", without), ("with", having))
        }
        ratios = {
            name: round(least["with"][name] / least["without"][name], 3)
            for name in MEASURES
            if least["without"][name]
        }
        compared[stage] = {**least, "ratio": ratios}
    return compared


def rows(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row for each stage, and the whole: CPU seconds without and with draws, and the ratios of all measures."""
    return [
        (
            stage,
            f"{taken['without']['cpu_seconds']:.1f}",
            f"{taken['with']['cpu_seconds']:.1f}",
            *(f"{taken['ratio'][name]:.2f}" if name in taken["ratio"] else "" for name in MEASURES),
        )
        for stage, taken in result["stages"].items()
    ]


HEADINGS = (
    *("stage", "CPU seconds without", "with draws"),
    *("ratio of CPU seconds", "of seconds", "of peak memory so far"),
)


def show(result: dict[str, Any], console: Console) -> None:
    """Print the rows."""
    grid = Table(
        title=f"{result['size']}, seed {result['seed']}: {result['draws']} draws or none", box=SIMPLE
    )
    for heading in HEADINGS:
        grid.add_column(heading, justify="left" if heading == "stage" else "right")
    for row in rows(result):
        grid.add_row(*row)
    console.print(grid)


if __name__ == "__main__":
    sys.exit(main())
