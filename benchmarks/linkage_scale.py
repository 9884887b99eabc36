"""Linkage from identities to clusters beside bare Splink, up to ten million of them, and what splitting blocks costs.

    python -m benchmarks.linkage_scale RUN TRUTH [RUN TRUTH …] [--identities N …] [--repeats N] [--rules plain]
        [--only NAME …] [--memory 16] [--seconds S] [--parts 1] [--times 1] [--json FILE]

RUN is a finished run of the synthetic country, TRUTH the truth of that country; several, made with different seeds, are
one population (linkage_population.py). --identities takes samples of it, by whole true persons. The programs, each in a
process of its own that is ended when it holds more than --memory (GB), or takes longer than --seconds:

- ours: keys, training, blocking, scoring (`linkage`) and clusters under constraints, with default settings and without
  crossings, as stage persons makes them.
- whole: the same without splitting over-full blocks. What splitting loses is its recall less that of ours.
- bare: Splink 5 as its tutorial shows, on the same comparisons, with term frequencies, and the same rules (none
  split), on rows with the ids they came with. It gets keys and rows for nothing; reading and making keys are in
  miglink's seconds.
- splink: the same by who knows it well: integers as ids, and nothing kept of what was compared. --parts divides its
  pairs, where they would fill the disk (a whole number of parts, predicted in turn).

--repeats takes a sample too, and gives each person 30 records (divided among its identities as its own records are, all
equal in what identifies): events, which a program gets as they come. miglink collapses them into identities, and these
are linked; Splink links the rows. What is compared is the clusters of records. Without --identities it is all that is
done.

--rules plain: not miglink's own blocking rules, which are many and narrow, but three as people write them by hand: the
day of birth; the beginnings of surname and given names; the document. Their blocks grow with the population, and the
pairs with its square where they are not split.

The exponent is the slope of the logarithm of seconds over that of identities, nothing subtracted. With --times a
program is run so often, and the run of median seconds counts.
"""

import argparse
import json
import math
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table as Grid

from benchmarks.linkage_accuracy import measure
from benchmarks.linkage_figures import exponents, lost, measurements, ratios, sayings, tables
from benchmarks.linkage_population import (
    RULES,
    Population,
    keep,
    sample,
    unite,
    write_events,
    write_identities,
)
from benchmarks.linkage_programs import PROGRAMS
from benchmarks.measured import TooLarge, TooSlow, machine, timed
from benchmarks.peer_linkage import MEMORY
from miglink.engine.duckdb_engine import DuckDBEngine

_EVENTS_EACH = 30
# By what owners.parquet calls the rows that a program names.
_KEYS = {"ours": "id", "whole": "id", "splink": "number", "bare": "id"}


def main() -> int:
    """Measure what the command line asks for."""
    asked = _parser().parse_args()
    if asked.task:  # in a process of its own: the folder of the input, and that of what is found
        folder, out = asked.paths
        seconds = PROGRAMS[asked.task](folder, out, asked.parts)
        (out / "seconds.json").write_text(json.dumps(seconds), encoding="utf-8")
        return 0
    if len(asked.paths) % 2:
        sys.exit("every RUN needs its TRUTH")
    result: dict[str, Any] = {
        "machine": machine(),
        "memory": asked.memory,
        "times": asked.times,
        "countries": len(asked.paths) // 2,
        "rules": asked.rules,
        "parts": asked.parts,
        "sizes": [],
        "repeats": None,
        "exponents": {},
    }
    with TemporaryDirectory(prefix="miglink-scale-") as name:
        folder = Path(name)
        with opened(folder) as engine:
            population = keep(
                unite(engine, list(zip(asked.paths[::2], asked.paths[1::2], strict=True))), folder
            )
            held = engine.count(population.identities)
        sizes = asked.identities or ([] if asked.repeats else [held])
        if max([*sizes, asked.repeats or 0]) > held:
            sys.exit(f"there are no more than {held:,} identities")
        for size in sizes:
            result["sizes"].append(measure_size(population, size, 0, asked))
            result["exponents"] = exponents(result["sizes"])
            write(result, asked.json)
        if asked.repeats:
            result["repeats"] = measure_size(population, asked.repeats, _EVENTS_EACH, asked)
            write(result, asked.json)
    show(result, Console(width=None if sys.stdout.isatty() else 160))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", type=Path, nargs="+", metavar="RUN TRUTH")
    parser.add_argument("--identities", type=int, nargs="+", default=[], help="sizes; default: all there are")
    parser.add_argument("--repeats", type=int, help="identities whose persons get 30 records each")
    parser.add_argument("--rules", choices=list(RULES), default="default", help="blocking rules of all")
    parser.add_argument("--only", nargs="+", choices=list(PROGRAMS), default=list(PROGRAMS))
    parser.add_argument("--memory", type=float, default=16.0, help="the most that each may hold, in GB")
    parser.add_argument("--seconds", type=float, default=math.inf, help="the longest that each may take")
    parser.add_argument("--parts", type=int, default=1, help="of the pairs that Splink proposes, in turn")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file for the result")
    parser.add_argument("--task", choices=list(PROGRAMS), help=argparse.SUPPRESS)
    return parser


def opened(folder: Path) -> closing[DuckDBEngine]:
    """An engine that is closed before a program is measured, for what it keeps in memory that one could need."""
    return closing(DuckDBEngine(folder, memory_limit=MEMORY))


def write(result: dict[str, Any], target: Path | None) -> None:
    """Write the result, where a file is asked for: after each size, for the largest may not fit this machine."""
    if target is not None:
        target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def measure_size(population: Population, size: int, each: int, asked: argparse.Namespace) -> dict[str, Any]:
    """Run every program on so many identities, or on so many events of each of their persons."""
    with TemporaryDirectory(prefix="miglink-scale-") as name:
        folder = Path(name)
        with opened(folder) as engine:
            chosen = sample(engine, population, size)
            n_identities = engine.count(chosen.identities)
            told = (
                write_events(engine, chosen, each, folder, asked.rules)
                if each
                else write_identities(engine, chosen, folder, asked.rules)
            )
        # What splitting costs is seen on identities: miglink links these, whatever it is given.
        named = [program for program in asked.only if not (each and program == "whole")]
        programs = {program: run(program, folder, asked) for program in named}
    return {
        "identities": n_identities,
        **told,
        "programs": programs,
        "ratios": ratios(programs, told["seconds_of_keys"]),
        "lost_by_splitting": lost(programs),
    }


def run(program: str, folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """The result of one program: of several runs that of median seconds; {"ended": …} if it held or took too much."""
    results = []
    for _ in range(asked.times):
        with TemporaryDirectory(dir=folder) as name:
            out = Path(name)
            command = [sys.executable, "-m", "benchmarks.linkage_scale", str(folder), str(out)]
            try:
                taken = timed(
                    [*command, "--task", program, "--parts", str(asked.parts)],
                    asked.memory * 1e9,
                    asked.seconds,
                )
            except TooLarge as error:
                return {"ended": str(error)}
            except TooSlow as error:
                return {"ended": str(error), "seconds_at_least": asked.seconds}
            seconds = json.loads((out / "seconds.json").read_text(encoding="utf-8"))
            # Of events the links of miglink join identities, and those of Splink rows.
            links = None if (folder / "records.parquet").exists() else out / "links.parquet"
            with opened(out) as engine:
                owners, clusters = folder / "owners.parquet", out / "clusters.parquet"
                reached = measure(engine, owners, _KEYS[program], clusters, links)
        total = round(sum(seconds.values()), 2)
        results.append({"seconds": seconds, "total_seconds": total, "process": taken, **reached})
    results.sort(key=lambda result: result["total_seconds"])
    return results[(len(results) - 1) // 2]


def show(result: dict[str, Any], console: Console) -> None:
    """Print what was measured."""
    for found in measurements(result):
        for name, headings, lines in tables(found):
            grid = Grid(title=name, box=SIMPLE)
            for place, heading in enumerate(headings):
                grid.add_column(heading, justify="right" if place else "left")
            for line in lines:
                grid.add_row(*line)
            console.print(grid)
    for said in sayings(result):
        console.print(said)


if __name__ == "__main__":
    sys.exit(main())
