"""`python -m benchmarks.page`: the tables of benchmarks/README.md and docs/spark.md, from results/*.json.

With --check it writes nothing, and exits with 1 where the page is not what the results say.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import classify_scale as scale
from benchmarks import draws as of_draws
from benchmarks.compare import as_markdown, compare
from benchmarks.linkage_figures import measurements, sayings, tables
from benchmarks.sizing import sizes

FOLDER = Path(__file__).parent
PAGES = (FOLDER / "README.md", FOLDER.parent / "docs" / "spark.md")
_STAGES = ("linkage", "residence")


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    before = {page: page.read_text(encoding="utf-8") for page in PAGES}
    after = {page: fill(text, FOLDER / "results") for page, text in before.items()}
    if asked.check:
        return int(before != after)
    for page, text in after.items():
        page.write_text(text, encoding="utf-8")
    plot(read(FOLDER / "results", "growth"), FOLDER / "growth.svg")
    return 0


def fill(page: str, results: Path) -> str:
    """The page with every part between its markers made anew. Errors: KeyError for a part that nobody makes."""
    return re.sub(
        r"(<!-- begin (\w+) -->\n).*?(<!-- end \2 -->)",
        lambda found: found[1] + PARTS[found[2]](results) + "\n" + found[3],
        page,
        flags=re.DOTALL,
    )


def read(results: Path, name: str) -> Any:
    """A result by its name."""
    return json.loads((results / f"{name}.json").read_text(encoding="utf-8"))


def grid(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first stand to the right."""
    lines = [f"| {' | '.join(headings)} |", f"|---|{'---:|' * (len(headings) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def machine(results: Path) -> str:
    """Where and with what the results were made."""
    found = read(results, "country-medium")["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return (
        f"{found['cores']} cores, {found['memory_bytes'] / 1e9:.0f} GB, {found['platform']}, Python {found['python']}; "
        f"{versions}."
    )


def stages(results: Path) -> str:
    """The stages of the medium country."""
    found = read(results, "country-medium")
    country = found["countries"][0]
    rows = [
        (
            stage["stage"],
            f"{stage['seconds']:.1f}",
            f"{stage['cpu_seconds']:.1f}",
            f"{stage['peak_memory_bytes'] / 1e9:.2f}",
            f"{stage['rows_per_second']:,}",
            f"{stage['bytes'] / 1e6:,.0f}",
        )
        for stage in country["stages"]
    ]
    ran = country["ran"]
    rows.append(
        (
            "run, whole",
            f"{ran['seconds']:.1f}",
            f"{ran['cpu_seconds']:.1f}",
            f"{ran['peak_memory_bytes'] / 1e9:.2f}",
            "",
            "",
        )
    )
    (scored,) = (stage["pairs_per_second"] for stage in country["stages"] if stage["stage"] == "linkage")
    said = (
        f"{country['crossings']:,} crossings, {country['identities']:,} identities, {country['pairs']:,} pairs "
        f"compared ({scored:,} a second of stage linkage, training included). "
        f"Yardstick: {found['yardstick']['seconds']:.2f} s, {found['yardstick']['cpu_seconds']:.2f} CPU s.\n\n"
    )
    return said + grid(
        ("stage", "seconds", "CPU seconds", "peak so far, GB", "rows a second", "MB written"), rows
    )


def truth(results: Path) -> str:
    """How far the medium country's runs are from the truth, by seed."""
    countries = read(results, "country-medium")["countries"]
    rows = [
        (name, *(f"{country['accuracy'][name]:.4f}" for country in countries))
        for name in countries[0]["accuracy"]
    ]
    return grid(("measure", *(f"seed {country['seed']}" for country in countries)), rows)


def peers(results: Path) -> str:
    """Linkage, then residence, each beside its peers: at a million crossings, and at ten."""
    both = [read(results, name) for name in ("peers", "peers-large")]
    tables = [_linkage_peers(found) for found in both] + [_residence_peers(found) for found in both]
    return "\n\n".join(tables)


def _linkage_peers(found: dict[str, Any]) -> str:
    rows = []
    for name, peer in found["peers"].items():
        if "too_large" in peer and "residence" not in name:
            rows.append((name, "", peer["too_large"], *[""] * 5))
        elif "precision" in peer:
            parts = ", ".join(f"{part} {value:g}" for part, value in peer["seconds"].items())
            memory = f"{peer['peak_memory_bytes'] / 1e9:.2f}"
            rates = (f"{peer[rate]:.4f}" for rate in ("precision", "recall", "f1"))
            total = f"{sum(peer['seconds'].values()):.1f}"
            rows.append((name, f"{peer['rows']:,}", total, parts, memory, *rates))
    title = f"linkage, {found['run']['identities']:,} identities"
    return grid((title, "rows", "seconds", "of these", "peak GB", "precision", "recall", "F1"), rows)


def _residence_peers(found: dict[str, Any]) -> str:
    rows = []
    limit = sum(found["peers"]["DuckDB: read, sort, write"]["seconds"].values())
    for name, peer in found["peers"].items():
        if "too_large" in peer and "residence" in name:
            rows.append((name, peer["too_large"], *[""] * 5))
        elif "precision" not in peer and "too_large" not in peer:
            seconds = sum(peer["seconds"].values())
            rate = f"{peer['rows'] / seconds:,.0f}"
            given = (f"{peer[key]:,}" if key in peer else "" for key in ("migrations", "left_open"))
            memory = f"{peer['peak_memory_bytes'] / 1e9:.2f}"
            rows.append((name, f"{seconds:.2f}", f"{seconds / limit:.1f}", rate, memory, *given))
    title = f"residence, {found['crossings']:,} crossings"
    columns = ("seconds", "× limit", "crossings a second", "peak GB", "migrations", "left open")
    return grid((title, *columns), rows)


def linkage_scale(results: Path) -> str:
    """Linkage and clusters beside bare Splink, by size; what splitting costs; ratios and exponents."""
    return _linkage(results, "linkage-scale")


def linkage_plain(results: Path) -> str:
    """The same with blocking rules as people write them by hand."""
    return _linkage(results, "linkage-plain")


def linkage_plain_ten(results: Path) -> str:
    """The same at ten million identities, where the pairs of Splink have to be divided to fit a disk."""
    return _linkage(results, "linkage-plain-ten")


def linkage_split(results: Path) -> str:
    """What it costs to split the over-full blocks of such rules."""
    return _linkage(results, "linkage-split")


def _linkage(results: Path, name: str) -> str:
    if not (results / f"{name}.json").exists():
        return "Not measured yet."
    found = read(results, name)
    made = [table for size in measurements(found) for table in tables(size)]
    grids = [grid((title, *headings[1:]), rows) for title, headings, rows in made]
    return "\n\n".join([*grids, "\n".join(f"- {said}" for said in sayings(found))])


def classify_scale(results: Path) -> str:
    """The rule alone beside DuckDB's read, sort and write, by size and kind of id; exponents."""
    found = read(results, "classify-scale")
    return "\n\n".join(
        [grid(scale.HEADINGS, scale.rows(found)), "\n".join(f"- {said}" for said in scale.sayings(found))]
    )


def growth(results: Path) -> str:
    """Seconds, CPU and memory by size, and the exponents."""
    found = read(results, "growth")
    rows = []
    for size in [found["setup"], *found["sizes"]]:
        row = [f"{size['records']:,}", f"{size['identities']:,}"]
        for stage in _STAGES:
            taken = size[stage]
            row += [
                f"{taken['seconds']:.1f}",
                f"{taken['cpu_seconds']:.1f}",
                f"{taken['peak_memory_bytes'] / 1e9:.2f}",
            ]
        rows.append(row)
    exponents = ["exponent", ""]
    for stage in _STAGES:
        fitted = found["fitted"][stage]
        exponents += [
            f"{fitted[name]:.2f}" if name in fitted else ""
            for name in ("seconds", "cpu_seconds", "peak_memory_bytes")
        ]
    columns = [f"{stage}: {what}" for stage in _STAGES for what in ("seconds", "CPU seconds", "peak GB")]
    return grid(("records", "identities", *columns), [*rows, exponents])


def febrl(results: Path) -> str:
    """Both sets, both programs, with and without addresses."""
    rates = [f"{kind}_{rate}" for kind in ("pair", "cluster") for rate in ("precision", "recall", "f1")]
    rows = [
        (
            f"{row['set']}, {row['columns']}: {row['program']}",
            *(f"{row[rate]:.4f}" for rate in rates),
            f"{row['seconds']:.0f}",
        )
        for row in read(results, "febrl")["measures"]
    ]
    return grid(("", *(rate.replace("_", " ") for rate in rates), "seconds"), rows)


def accuracy(results: Path) -> str:
    """Mean and spread over seeds, by noise."""
    found = read(results, "accuracy")["noise"]
    levels = list(found)
    rows = []
    for name in found[levels[0]]["measures"]:
        cells = [found[level]["measures"].get(name) for level in levels]
        rows.append(
            (
                name,
                *(
                    f"{cell['mean']:.4f} ± {cell['sd']:.4f} ({cell['lowest']:.4f} … {cell['highest']:.4f})"
                    if cell
                    else ""
                    for cell in cells
                ),
            )
        )
    return grid(
        ("measure", *(f"{level} noise, {len(found[level]['seeds'])} seeds" for level in levels)), rows
    )


def calibration(results: Path) -> str:
    """Calibration error, and how often the published limits hold the true rates, by noise."""
    found = read(results, "calibration")["noise"]
    summaries = {level: part["summary"] for level, part in found.items()}
    first = next(iter(summaries.values()))
    rows = [
        (
            f"calibration error, {name}: mean (highest), points",
            *(
                f"{100 * part['calibration_error'][name]['mean']:.2f} "
                f"({100 * part['calibration_error'][name]['highest']:.2f})"
                for part in summaries.values()
            ),
        )
        for name in first["calibration_error"]
    ]
    for name in first["limits"]:
        limits = [part["limits"][name] for part in summaries.values()]
        rows.append(
            (f"{name}: limits hold the truth", *(f"{part['within']} of {part['n']}" for part in limits))
        )
        for column, title in (
            ("mean_true", "true, mean"),
            ("mean_estimate", "estimate, mean"),
            ("median_width", "width of limits, median"),
        ):
            rows.append((f"{name}: {title}", *(f"{100 * part[column]:.3f} %" for part in limits)))
    headings = (f"{level} noise, {len(part['countries'])} seeds" for level, part in found.items())
    return grid(("", *headings), rows)


def coverage(results: Path) -> str:
    """How often the intervals hold the true counts, and their scores beside naive ones, by noise and kind of cell."""
    found = read(results, "coverage")["noise"]
    first = next(iter(found.values()))
    kinds = [kind for kind, part in first.items() if isinstance(part, dict) and "coverage" in part]
    cuts = {("all data" if cut == "whole" else f"data to {cut}"): cut for cut in first["by cut"]}
    rows = []
    for kind in [*kinds, *cuts]:
        cells = [part[kind] if kind in part else part["by cut"][cuts[kind]] for part in found.values()]
        rows.append(
            (
                f"{kind}: cells; held (standard error by seed), naive",
                *(
                    f"{cell['n_cells']:,}; {_number(cell['coverage'])} ({_number(cell['standard_error'])}), "
                    f"{_number(cell['naive_coverage'])}"
                    for cell in cells
                ),
            )
        )
        if any(cell["score"] is not None for cell in cells):
            rows.append(
                (
                    f"{kind}: interval score, naive",
                    *(f"{_number(cell['score'])}, {_number(cell['naive_score'])}" for cell in cells),
                )
            )
    for measure in first["half-width of yearly totals"]:
        widths = (part["half-width of yearly totals"].get(measure) for part in found.values())
        rows.append((f"half-width of yearly totals, median: {measure}", *map(_number, widths)))
    exact = [part["exact cells"] for part in found.values()]
    rows.append(("exact cells: right", *(f"{cell['right']} of {cell['n']}" for cell in exact)))
    headings = (f"{level} noise, {len(part['seeds'])} seeds" for level, part in found.items())
    return grid(("", *headings), rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def draws(results: Path) -> str:
    """What draws add to a run, stage by stage."""
    if not (results / "draws.json").exists():
        return "Not measured yet."
    found = read(results, "draws")
    said = (
        f"The {found['size']} country, {found['draws']} draws, least of {found['repeat']} runs of each.\n\n"
    )
    return said + grid(of_draws.HEADINGS, of_draws.rows(found))


def pairs(results: Path) -> str:
    """Candidate pairs by rule, those of one person and those by chance."""
    found = read(results, "chance-pairs")
    rows = [
        (f"`{row['rule']}`", *(f"{row[name]:,}" for name in ("n_pairs", "of_one_person", "by_chance")))
        for row in found["rules"]
    ]
    return grid((f"rule, {found['identities']:,} identities", "pairs", "of one person", "by chance"), rows)


def slowed(results: Path) -> str:
    """The small country with stage residence done twice, against the baseline: the times."""
    lines = compare(read(results, "baseline-small"), read(results, "slowed-residence"))
    return as_markdown([line for line in lines if line.measure.startswith("time of")])


def plot(found: dict[str, Any], target: Path) -> None:
    """Seconds and memory over records, on logarithms, as an SVG."""
    import altair as alt  # noqa: PLC0415  (an extra, wanted here alone)

    points = [
        {"records": size["records"], "stage": stage, "seconds": size[stage]["seconds"],
         "gigabytes": size[stage]["peak_memory_bytes"] / 1e9}
        for size in found["sizes"] for stage in _STAGES
    ]  # fmt: skip
    charts = [
        alt.Chart(alt.Data(values=points), width=300, height=220)  # type: ignore[no-untyped-call]
        .mark_line(point=True)
        .encode(
            x=alt.X("records:Q", scale=alt.Scale(type="log"), title="records"),
            y=alt.Y(f"{measure}:Q", scale=alt.Scale(type="log"), title=title),
            color=alt.Color("stage:N", scale=alt.Scale(range=["#0072b2", "#d55e00"])),
            strokeDash="stage:N",
        )
        for measure, title in (("seconds", "seconds"), ("gigabytes", "peak memory, GB"))
    ]
    alt.hconcat(*charts).save(str(target))


PARTS: dict[str, Callable[[Path], str]] = {
    part.__name__: part
    for part in (
        machine, stages, truth, peers, linkage_scale, linkage_plain, linkage_plain_ten, linkage_split,
        classify_scale, growth, febrl, accuracy, calibration, coverage, draws, pairs, slowed, sizes,
    )
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
