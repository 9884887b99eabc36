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

from benchmarks.sizing import sizes

FOLDER = Path(__file__).parent
PAGES = (FOLDER / "README.md", FOLDER.parent / "docs" / "spark.md")


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


def pairs(results: Path) -> str:
    """Candidate pairs by rule, those of one person and those by chance."""
    found = read(results, "chance-pairs")
    rows = [
        (f"`{row['rule']}`", *(f"{row[name]:,}" for name in ("n_pairs", "of_one_person", "by_chance")))
        for row in found["rules"]
    ]
    return grid((f"rule, {found['identities']:,} identities", "pairs", "of one person", "by chance"), rows)


PARTS: dict[str, Callable[[Path], str]] = {part.__name__: part for part in (pairs, sizes)}

if __name__ == "__main__":
    sys.exit(main())
