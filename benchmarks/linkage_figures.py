"""What follows from the results of benchmarks/linkage_scale.py, as tables for the console and for the page."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.linkage_accuracy import ALL

PROGRAM_NAMES = ("ours", "whole", "splink", "bare")
_COLUMNS = ("seconds", "of these", "peak GB", "links: precision", "recall", "clusters: precision", "recall")


def ratios(programs: dict[str, dict[str, Any]], seconds_of_keys: float) -> dict[str, dict[str, float]]:
    """Ours over each of Splink's two: seconds, CPU seconds (start and reading included), peak memory.

    seconds_without_keys: Splink gets keys for nothing. seconds_at_most: of one that was ended because it took too long,
    which is all that is known of it then. Empty where one of the two did not end otherwise.
    """
    found = {}
    ours = programs.get("ours", {})
    for name in ("splink", "bare"):
        theirs = programs.get(name, {})
        if "seconds" in ours and "seconds_at_least" in theirs:
            most = round(ours["total_seconds"] / theirs["seconds_at_least"], 4)
            found[name] = {"seconds_at_most": most}
        if "seconds" not in ours or "seconds" not in theirs:
            continue
        pairs = {
            measure: (ours["process"][measure], theirs["process"][measure])
            for measure in ("cpu_seconds", "peak_memory_bytes")
        }
        pairs["seconds"] = (ours["total_seconds"], theirs["total_seconds"])
        pairs["seconds_without_keys"] = (ours["total_seconds"] - seconds_of_keys, theirs["total_seconds"])
        found[name] = {measure: round(a / b, 4) for measure, (a, b) in sorted(pairs.items())}
    return found


def lost(programs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Recall of whole blocks less that of split ones, part by part, and precision likewise; empty without both.

    Units: points, hundredths.
    """
    split, whole = (programs.get(name, {}) for name in ("ours", "whole"))
    if "links" not in split or "links" not in whole:
        return {}
    return {
        kind: {
            "precision": _points(whole[kind]["precision"], split[kind]["precision"]),
            "recall": {
                part: _points(recall, split[kind]["recall"][part])
                for part, recall in whole[kind]["recall"].items()
            },
        }
        for kind in ("links", "clusters")
    }


def _points(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else round(100 * (before - after), 4)


def exponents(sizes: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By program: how seconds and memory grow with identities; left out where fewer than two sizes were measured."""
    found = {}
    for program in PROGRAM_NAMES:
        done = [
            (size["identities"], size["programs"][program])
            for size in sizes
            if "seconds" in size["programs"].get(program, {})
        ]
        if len({n for n, _ in done}) > 1:
            n = [math.log(identities) for identities, _ in done]
            taken = {
                "seconds": [result["total_seconds"] for _, result in done],
                "peak_memory_bytes": [result["process"]["peak_memory_bytes"] for _, result in done],
            }
            found[program] = {
                name: round(float(np.polyfit(n, np.log(values), 1)[0]), 3) for name, values in taken.items()
            }
    return found


def measurements(result: dict[str, Any]) -> list[dict[str, Any]]:
    """What was measured of each size, and of events last."""
    return [*result["sizes"], *([result["repeats"]] if result["repeats"] else [])]


def tables(found: dict[str, Any]) -> list[tuple[str, Sequence[str], list[tuple[str, ...]]]]:
    """Title, headings and rows: what each program took and reached, and what splitting costs, part by part."""
    made: list[tuple[str, Sequence[str], list[tuple[str, ...]]]] = [
        (_title(found), ("", *_COLUMNS), _rows(found))
    ]
    if cost := found["lost_by_splitting"]:
        true_pairs = found["programs"]["ours"]["true_pairs"]
        lines = [
            (part, f"{n:,}", *(_said(cost[kind]["recall"][part]) for kind in ("links", "clusters")))
            for part, n in true_pairs.items()
        ]
        lines.append(("precision", "", *(_said(cost[kind]["precision"]) for kind in ("links", "clusters"))))
        title = f"points of recall lost by splitting, {found['identities']:,} identities"
        made.append((title, ("", "true pairs", "links", "clusters"), lines))
    return made


def _said(points: float | None) -> str:
    return "" if points is None else f"{points:.3f}"


def sayings(result: dict[str, Any]) -> list[str]:
    """Ratios of miglink to Splink, and exponents, in words."""
    said = []
    for found in measurements(result):
        for name, ratio in found["ratios"].items():
            if "seconds_at_most" in ratio:
                less = f"{ratio['seconds_at_most']:.3f} of the seconds of *{name}*, which was ended."
                said.append(f"{found['rows']:,} rows: less than {less}")
                continue
            said.append(
                f"{found['rows']:,} rows: {ratio['seconds']:.3f} of the seconds of *{name}* "
                f"({ratio['seconds_without_keys']:.3f} without making keys), {ratio['cpu_seconds']:.3f} of its CPU "
                f"seconds, {ratio['peak_memory_bytes']:.3f} of its memory."
            )
    for program, fitted in result["exponents"].items():
        said.append(
            f"{program}: seconds grow with the power {fitted['seconds']:.2f} of identities, "
            f"memory with {fitted['peak_memory_bytes']:.2f}."
        )
    return said


def _title(found: dict[str, Any]) -> str:
    proposed = found["pairs_proposed"]
    of_rows = "" if found["rows"] == found["identities"] else f"{found['rows']:,} records of "
    return (
        f"{of_rows}{found['identities']:,} identities, {found['persons']:,} persons; pairs proposed by all rules: "
        f"{proposed['ours']:,} with large blocks split, {proposed['splink']:,} for Splink"
    )


def _rows(found: dict[str, Any]) -> list[tuple[str, ...]]:
    lines = []
    for name, result in found["programs"].items():
        if "ended" in result:
            lines.append((name, result["ended"], *[""] * (len(_COLUMNS) - 1)))
            continue
        rates = [
            f"{result[kind][rate] if rate == 'precision' else result[kind][rate][ALL]:.5f}"
            if kind in result
            else ""
            for kind in ("links", "clusters")
            for rate in ("precision", "recall")
        ]
        parts = ", ".join(f"{part} {seconds:g}" for part, seconds in result["seconds"].items())
        memory = f"{result['process']['peak_memory_bytes'] / 1e9:.2f}"
        lines.append((name, f"{result['total_seconds']:.1f}", parts, memory, *rates))
    return lines
