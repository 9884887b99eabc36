"""`python .ci/sessions.py`: one session of each command on a tiny country, as text, into docs/sessions.md."""

import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
_CLASSIFY = """\
person_id,crossed_date,direction
p1,2014-02-01,arrival
p1,2016-03-10,departure
p2,2015-06-20,departure
p2,2015-07-04,arrival
"""
# What is typed, and how many of the lines that come back are shown.
SESSIONS: tuple[tuple[str, int], ...] = (
    ("miglink --help", 60),
    ("miglink demo --size tiny --out demo", 70),
    ("miglink check demo/country/country.yml", 180),
    ("miglink run demo/country/country.yml --out whole --dry-run", 30),
    ("miglink run demo/country/country.yml --out persons --to persons", 30),
    ("miglink run demo/country/country.yml --out persons --resume --set spells.longest_trip_days=60", 25),
    ("miglink run demo/country/country.yml --out persons --from estimates --log-format json", 12),
    ("miglink run demo/country/country.yml --out persons --set estimates.reporting_contry=QMR", 5),
    ("miglink evaluate demo/run --truth demo/country/truth", 60),
    ("miglink explain demo/run --pair PAIR", 70),
    ("miglink explain demo/run --person PERSON", 90),
    ("miglink sample-pairs demo/run --n 30 --out review.csv", 30),
    ("miglink run demo/country/country.yml --out earlier --to estimates --set period.to=2022-12-31", 1),
    ("miglink compare earlier demo/run --table flows --period 2022", 110),
    ("cat crossings.csv", 10),
    ("miglink classify crossings.csv --rule nz_12_16 --observed-from 2010-01-01 --observed-to 2020-01-01 "
     "--out classified.csv", 5),
    ("cat classified.csv", 10),
    ("miglink rules", 160),
    ("miglink tables", 30),
    ("miglink schema", 25),
    ("miglink key secret.key", 5),
)  # fmt: skip
_OPENING = """# One session of each command

Recorded with `python .ci/sessions.py` on a tiny synthetic country (nobody in it exists); times are of that machine.
Long answers are cut, and say so. Results stand on standard output, progress and errors on standard error; here both
are shown.
"""


def main() -> int:
    """Record the sessions."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "crossings.csv").write_text(_CLASSIFY, encoding="utf-8")
        page = [_OPENING]
        for typed, n_lines in SESSIONS:
            command = typed
            if "PAIR" in typed or "PERSON" in typed:
                command = _with_example(typed, folder)
            page.append(f"```\n$ {command}\n{_cut(_answer(command, folder), n_lines)}\n```\n")
    (ROOT / "docs" / "sessions.md").write_text("\n".join(page), encoding="utf-8", newline="\n")
    return 0


def _answer(command: str, folder: Path) -> str:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        "COLUMNS": "110",
    }
    argv = command.split()
    argv = [sys.executable, "-m", *argv] if argv[0] == "miglink" else argv
    done = subprocess.run(
        argv,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    text = done.stdout.replace(str(folder), "…").replace("python -m miglink", "miglink").rstrip()
    return text + (f"\n[exit code {done.returncode}]" if done.returncode else "")


def _cut(text: str, n_lines: int) -> str:
    lines = [line.rstrip() for line in text.splitlines()]
    return "\n".join(
        lines if len(lines) <= n_lines else [*lines[:n_lines], f"… {len(lines) - n_lines} more lines"]
    )


def _with_example(typed: str, folder: Path) -> str:
    """A pair that was linked though names differ, and the person they became."""
    import polars as pl  # noqa: PLC0415  (only these two sessions need it)

    tables = folder / "demo" / "run" / "tables"
    links = pl.read_parquet(tables / "links.parquet")
    pair = (
        links.filter(pl.col("p_match").is_between(0.95, 0.999))
        .sort("p_match", "identity_id_l")
        .row(0, named=True)
    )
    owners = pl.read_parquet(tables / "identity_persons.parquet")
    person = owners.filter(identity_id=pair["identity_id_l"])["person_id"].item()
    pair_text = f"{pair['identity_id_l'][:12]} {pair['identity_id_r'][:12]}"
    return re.sub("PERSON", person[:12], re.sub("PAIR", pair_text, typed))


if __name__ == "__main__":
    sys.exit(main())
