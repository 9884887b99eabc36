"""`python -m benchmarks.compare A.json B.json`: B beside A as a Markdown table; exit code 1 where B is past a limit.

    python -m benchmarks.country small --repeat 2 --json B.json
    python -m benchmarks.compare benchmarks/results/baseline-small.json B.json

Both are results of `benchmarks.country`. Times are CPU seconds divided by the speed of the machine, so that two
machines, or two hours of a busy one, can be compared. For the run as a whole that speed is the yardstick's, measured in
the same run; for a stage it is the geometric mean of the yardstick's and that of the median stage, which scatters less.
What passes a limit is marked **!**. A stage is judged by its time only where it takes as long as the yardstick.
"""

import argparse
import json
import math
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# How much more than A is too much. Times on shared machines scatter by a quarter even as ratios.
LIMITS = {"stage time": 1.6, "whole time": 1.4, "memory": 1.3, "bytes": 1.25}
# How much worse than A is too much, in the units of the measure, and which way is better.
_HIGHER = {"precision": 0.002, "recall": 0.002, "F1": 0.004, "within bounds": 0.03}
_LOWER = {"per 1,000": 2.0, "per person-year": 1.0, "relative error": 0.01}


@dataclass(frozen=True)
class Line:
    """One measure of both: its values as text, the change as text, a verdict, and whether a limit is passed."""

    measure: str
    before: str
    after: str
    change: str
    verdict: str
    is_past: bool


def main() -> int:
    """Compare what the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path, metavar="A.json")
    parser.add_argument("after", type=Path, metavar="B.json")
    asked = parser.parse_args()
    before, after = (json.loads(path.read_text(encoding="utf-8")) for path in (asked.before, asked.after))
    try:
        lines = compare(before, after)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(as_markdown(lines))
    past = [line.measure for line in lines if line.is_past]
    if past:
        print(f"past its limit: {', '.join(past)}", file=sys.stderr)
    return 1 if past else 0


def compare(before: dict[str, Any], after: dict[str, Any]) -> list[Line]:
    """A line for every measure of the countries, which must be the same in both. Errors: ValueError if not."""
    named = [
        [
            (country["size"], country["seed"], country["noise"], *country["overrides"])
            for country in result["countries"]
        ]
        for result in (before, after)
    ]
    if named[0] != named[1]:
        raise ValueError(
            f"these are other countries: {named[0]} and {named[1]}; run the same size, seeds and noise"
        )
    lines = []
    unit = before["yardstick"]["cpu_seconds"], after["yardstick"]["cpu_seconds"]
    speed = unit[1] / unit[0]
    for a, b in zip(before["countries"], after["countries"], strict=True):
        place = "" if len(named[0]) == 1 else f", seed {a['seed']}"
        times = [(f"time of {x['stage']}{place}", x, y, "stage time") for x, y in _stages(a, b)]
        times.append((f"time of the run{place}", a["ran"], b["ran"], "whole time"))
        of_stages = math.sqrt(speed * _median_change(a, b))
        for name, x, y, limit in times:
            is_judged = x["cpu_seconds"] >= unit[0] or y["cpu_seconds"] >= LIMITS[limit] * unit[1]
            slower = of_stages if limit == "stage time" else speed
            units = x["cpu_seconds"] / unit[0], y["cpu_seconds"] / (unit[0] * slower)
            lines.append(_ratio(name, units, LIMITS[limit], is_judged, ("slower", "faster")))
        sizes = [("memory", "peak memory", a["ran"]["peak_memory_bytes"], b["ran"]["peak_memory_bytes"])]
        sizes += [("bytes", f"bytes of {x['stage']}", x["bytes"], y["bytes"]) for x, y in _stages(a, b)]
        for limit, name, x, y in sizes:
            megabytes = (x / 1e6, y / 1e6)
            lines.append(
                _ratio(f"{name}, MB{place}", megabytes, LIMITS[limit], x >= 1e6, ("larger", "smaller"))
            )
        for name, value in a["accuracy"].items():
            lines.append(_difference(f"{name}{place}", value, b["accuracy"].get(name)))
    return lines


def _median_change(a: dict[str, Any], b: dict[str, Any]) -> float:
    """How many times the CPU seconds of a the median stage took in b: one stage that got slower does not move it."""
    return float(statistics.median(y["cpu_seconds"] / x["cpu_seconds"] for x, y in _stages(a, b)))


def _stages(a: dict[str, Any], b: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The stages of both. Errors: ValueError where they are not the same."""
    if [stage["stage"] for stage in a["stages"]] != [stage["stage"] for stage in b["stages"]]:
        raise ValueError("the two runs have other stages; run both to their end")
    return list(zip(a["stages"], b["stages"], strict=True))


def _ratio(
    name: str, values: tuple[float, float], limit: float, is_judged: bool, words: tuple[str, str]
) -> Line:
    before, after = values
    ratio = after / before if before else float(after > 0) + 1
    verdict = words[0] if ratio > 1.05 else words[1] if ratio < 1 / 1.05 else "same"
    return Line(
        name, f"{before:,.2f}", f"{after:,.2f}", f"×{ratio:.2f}", verdict, is_judged and ratio > limit
    )


def _difference(name: str, before: float, after: float | None) -> Line:
    """An accuracy that is gone is worse than any."""
    if after is None:
        return Line(name, f"{before:.4f}", "none", "", "gone", True)
    is_higher, allowed = direction(name)
    change = after - before
    loss = -change if is_higher else change
    verdict = "same" if abs(change) < allowed / 20 else "worse" if loss > 0 else "better"
    return Line(name, f"{before:.4f}", f"{after:.4f}", f"{change:+.4f}", verdict, loss > allowed)


def direction(name: str) -> tuple[bool, float]:
    """Whether more of a measure is better, and how much worse it may get."""
    for measures, is_higher in ((_HIGHER, True), (_LOWER, False)):
        for words, allowed in measures.items():
            if words in name:
                return is_higher, allowed
    raise ValueError(f"benchmarks/compare.py does not say which way `{name}` is better")


def as_markdown(lines: list[Line]) -> str:
    """The lines as one table; time in yardsticks of CPU."""
    rows = ["| measure | A | B | change | |", "|---|---:|---:|---:|---|"]
    rows += [
        f"| {line.measure} | {line.before} | {line.after} | {line.change} | {line.verdict}{' **!**' * line.is_past} |"
        for line in lines
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
