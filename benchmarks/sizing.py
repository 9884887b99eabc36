"""What a run of 100 million and of a billion crossings on Spark would need, from two runs that were measured.

    python -m benchmarks.sizing

Reads results/spark-engines.json (the demo country), results/spark-engines-medium.json and results/chance-pairs.json.
Seconds of a stage are a + b × records through the two runs: a is the price of its statements, b × records the work.
Work is counted in core-hours, all cores of the machine taken as busy all the time, which is more than they were. Pairs
of one person, tables and disk grow with records; pairs by chance with their square. Chance pairs cost what any pair
costs in linkage, all of the stage's work taken as work on pairs, which is more than it is.
"""

import json
from pathlib import Path
from typing import Any

_RESULTS = Path(__file__).parent / "results"
_CORES = 2
_CROSSINGS = (100_000_000, 1_000_000_000)


def main() -> None:
    """Print the table."""
    print(sizes(_RESULTS))


def sizes(results: Path) -> str:
    """The table in Markdown: what was measured twice, and what is projected."""
    small, medium, pairs = (
        json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("spark-engines", "spark-engines-medium", "chance-pairs")
    )
    *_, both = pairs["rules"]
    known = [_rows(run, "records") for run in (small, medium)]
    work = _line([sum(run["stages"]["spark"].values()) for run in (small, medium)], known)
    linking = _line([run["stages"]["spark"]["linkage"] for run in (small, medium)], known)
    per_pair = linking[1] * known[1] / both["n_pairs"]
    a_crossing = {
        "records": known[1] / pairs["crossings"],
        "identities": pairs["identities"] / pairs["crossings"],
        "pairs of one person": both["of_one_person"] / pairs["crossings"],
    }
    rows = [("crossings", f"{pairs['crossings']:,}", *(f"{n:,}" for n in _CROSSINGS))]
    for name, each in a_crossing.items():
        rows.append((name, *(_millions(each * n) for n in (pairs["crossings"], *_CROSSINGS))))
    chance = [both["by_chance"] * (n / pairs["crossings"]) ** 2 for n in _CROSSINGS]
    rows.append(("pairs by chance", _millions(both["by_chance"]), *map(_millions, chance)))
    for name, measured in (
        ("run folder, GB", medium["bytes"]),
        ("disk at the highest moment, GB", medium["runs"]["spark"]["peak_disk_bytes"]),
    ):
        each = measured / pairs["crossings"] / 1e9
        rows.append((name, f"{measured / 1e9:.2f}", *(f"{each * n:,.0f}" for n in _CROSSINGS)))
    projected = [known[1] / pairs["crossings"] * n for n in _CROSSINGS]
    hours = [_hours(work[0] + work[1] * records) for records in (known[1], *projected)]
    rows.append(("core-hours without chance pairs", *(f"{n:,.1f}" for n in hours)))
    more = [_hours(per_pair * n) for n in (both["by_chance"], *chance)]
    rows.append(("core-hours for chance pairs", *(f"{n:,.1f}" for n in more)))
    headings = ("", "measured", "projected", "projected")
    lines = [f"| {' | '.join(headings)} |", "|---|---:|---:|---:|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _rows(run: dict[str, Any], table: str) -> int:
    return int(run["tables"][f"tables/{table}.parquet"]["rows"])


def _line(seconds: list[float], records: list[int]) -> tuple[float, float]:
    """What does not grow, and what each record adds, of a line through two measurements."""
    each = (seconds[1] - seconds[0]) / (records[1] - records[0])
    return seconds[0] - each * records[0], each


def _hours(seconds: float) -> float:
    return seconds * _CORES / 3600


def _millions(n: float) -> str:
    return f"{n / 1e6:,.2f} M" if n < 1e7 else f"{n / 1e6:,.0f} M"


if __name__ == "__main__":
    main()
