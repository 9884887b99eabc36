"""`python -m benchmarks.engines CONFIG --master local[2]`: one configuration on DuckDB and on Spark, row by row.

    python -m benchmarks.engines runs/demo/country/country.yml --master 'local[2]' --json FILE

Spark scores with the model that the run on DuckDB has trained, so that every table must be the same; exit code 1 if a
row differs. With --train-anew each engine trains its own model, and the parameters are compared as well.
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from benchmarks.watched import held_by, watch

# What a laptop gives to Spark; a cluster names its own.
SETTINGS = {"spark.driver.memory": "4g", "spark.sql.shuffle.partitions": "4"}


def main() -> int:
    """Run the comparison that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--master", default="local[2]")
    parser.add_argument("--setting", action="append", default=[], metavar="spark.KEY=VALUE")
    parser.add_argument("--train-anew", action="store_true")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep both runs in this folder")
    parser.add_argument("--json", type=Path, help="file for the result")
    asked = parser.parse_args()
    settings = SETTINGS | dict(setting.split("=", 1) for setting in asked.setting)
    with TemporaryDirectory(prefix="miglink-engines-") as folder:
        place = asked.keep or Path(folder)
        runs = {"duckdb": run(asked.config, place / "duckdb")}
        reused = [] if asked.train_anew else [f"linkage.model={place / 'duckdb'}"]
        shuffled = Path(folder) / "shuffled"
        engine = spark(asked.master, {"spark.local.dir": str(shuffled), **settings})
        runs["spark"] = run(asked.config, place / "spark", engine, *reused, folders=[shuffled])
        result = {
            "config": asked.config.name,
            "master": asked.master,
            "settings": settings,
            "runs": runs,
            "bytes": held_by(place / "spark"),
            "stages": {name: stage_seconds(place / name) for name in runs},
            "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
            "tables": compare_runs(place / "duckdb", place / "spark"),
        }
        if asked.train_anew:
            result["parameters"] = compare_models(place / "duckdb", place / "spark")
    print(json.dumps(result, indent=1))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 1 if not asked.train_anew and any(found["differing"] for found in result["tables"].values()) else 0


def spark(master: str, settings: dict[str, str]) -> str:
    """The engine section of a configuration, as an override."""
    return f"engine={json.dumps({'kind': 'spark', 'master': master, 'settings': settings})}"


def run(config: Path, folder: Path, *overrides: str, folders: Sequence[Path] = ()) -> dict[str, float]:
    """A run to its end; its seconds, and the most memory and disk it held (in its folder and these)."""
    return watch(command(config, folder, *overrides), [folder, *folders])


def stage_seconds(run_folder: Path) -> dict[str, float]:
    """The seconds of each stage that a run has done, as its manifest says."""
    manifest = run_folder / "manifest.json"
    done = json.loads(manifest.read_text("utf-8"))["stages"] if manifest.exists() else []
    return {stage["name"]: stage["seconds"] for stage in done}


def command(config: Path, folder: Path, *overrides: str) -> list[str]:
    """The command line of a run with values of the configuration set otherwise."""
    given = [part for override in overrides for part in ("--set", override)]
    return [sys.executable, "-m", "miglink", "run", str(config), "--out", str(folder), *given]


def compare_runs(ours: Path, theirs: Path) -> dict[str, dict[str, Any]]:
    """The rows of each table of two runs, and how many of them differ; published and linked files too."""
    found = {}
    for folder in ("tables", "outputs", "linked"):
        names = {path.name for run in (ours, theirs) for path in (run / folder).glob("*.parquet")}
        for name in sorted(names):
            found[f"{folder}/{name}"] = compare_tables(ours / folder / name, theirs / folder / name)
    return found


def compare_tables(ours: Path, theirs: Path) -> dict[str, Any]:
    """Rows of two tables, and how many of the first are not in the second."""
    if not ours.exists() or not theirs.exists():
        return {"rows": None, "differing": "one of the two is missing"}
    a, b = pl.read_parquet(ours, glob=False), pl.read_parquet(theirs, glob=False)
    if a.schema != b.schema:
        return {"rows": a.height, "differing": "other columns or types"}
    if a.height != b.height:
        return {"rows": a.height, "differing": f"{b.height} rows on the other"}
    if a.equals(b):
        return {"rows": a.height, "differing": 0}
    # The same rows in another order: how many times each stands in the one and in the other.
    counts = [rows.group_by(rows.columns).agg(pl.len().alias("times")) for rows in (a, b)]
    both = counts[0].join(counts[1], on=[*a.columns, "times"], how="inner", nulls_equal=True)
    return {"rows": a.height, "differing": a.height - int(both["times"].sum()), "another_order": True}


def compare_models(ours: Path, theirs: Path) -> list[dict[str, Any]]:
    """M and u of every level of two models side by side."""
    both = [json.loads((run / "model.json").read_text("utf-8"))["settings"] for run in (ours, theirs)]
    return [
        {
            "comparison": comparison["output_column_name"],
            "level": level["label_for_charts"],
            **{name: [level.get(name), other.get(name)] for name in ("m_probability", "u_probability")},
        }
        for comparison, counterpart in zip(both[0]["comparisons"], both[1]["comparisons"], strict=True)
        for level, other in zip(
            comparison["comparison_levels"], counterpart["comparison_levels"], strict=True
        )
        if not level.get("is_null_level")
    ]


if __name__ == "__main__":
    sys.exit(main())
