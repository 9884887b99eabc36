"""How many candidate pairs a larger country would have: those of one person grow with it, those by chance faster.

    python -m benchmarks.chance_pairs RUN TRUTH [--crossings 100000000 1000000000] [--json FILE]

Counts the pairs that each blocking rule of a finished run proposes, and how many of them join two persons in truth.
Twice the persons are twice the pairs of one person, and four times those of two, if names, dates of birth and
documents are drawn from as many values as before: a country ten times as large has more names, but no more birthdays.
"""

import argparse
import json
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from miglink.config.stages import LinkageSettings
from miglink.engine import Table
from miglink.engine.duckdb_engine import DuckDBEngine
from miglink.stages.linkage.blocking import Block, choose_blocks
from miglink.stages.linkage.comparisons import choose_comparisons
from miglink.stages.linkage.keys import prepare_identities


def main() -> int:
    """Count and project what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--crossings", type=int, nargs="*", default=[100_000_000, 1_000_000_000])
    parser.add_argument(
        "--blocking", type=json.loads, metavar="[[COLUMN, …], …]", help="other rules, to try them"
    )
    parser.add_argument("--json", type=Path, help="file for the result")
    asked = parser.parse_args()
    with TemporaryDirectory(prefix="miglink-pairs-") as folder, closing(DuckDBEngine(Path(folder))) as engine:
        result = count(engine, asked.run / "tables", asked.truth, blocking=asked.blocking)
    (whole,) = (row for row in result["rules"] if row["rule"] == "all")
    result["projected"] = [
        {
            "crossings": crossings,
            "of_one_person": round(whole["of_one_person"] * (times := crossings / result["crossings"])),
            "by_chance": round(whole["by_chance"] * times**2),
        }
        for crossings in asked.crossings
    ]
    print(json.dumps(result, indent=1))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def count(
    engine: DuckDBEngine, tables: Path, truth: Path, *, by_rule: bool = True, blocking: Any = None
) -> dict[str, Any]:
    """Crossings, identities, and the pairs of each rule (if asked for) and of all, each pair once."""
    records, identities, links = (
        Table(name, tables / f"{name}.parquet") for name in ("records", "identities", "record_identities")
    )
    prepared = prepare_identities(engine, identities)
    settings = LinkageSettings.model_validate_json(
        json.dumps(json.loads((tables.parent / "manifest.json").read_text("utf-8"))["config"]["linkage"])
    )
    if blocking:
        settings = settings.model_copy(update={"blocking": tuple(map(tuple, blocking))})
    blocks = choose_blocks(choose_comparisons(engine, prepared, settings, ()), settings)
    # An identity that two persons share in truth stands for the first: such pairs are few.
    keyed = engine.step(
        "keyed",
        """SELECT p.*, o.true_person FROM prepared p JOIN (
            SELECT r.identity_id, min(t.true_person_id) AS true_person
            FROM record_identities r JOIN truth t USING (source, record_id) GROUP BY r.identity_id) o
        USING (identity_id)
        """,
        prepared=prepared,
        record_identities=links,
        truth=Table("record_persons", truth / "record_persons.parquet"),
    )
    n_crossings = engine.collect("SELECT count(*) AS n FROM r WHERE kind = 'crossings'", r=records).item()
    counted = [_count(engine, keyed, [block], block.name) for block in blocks if by_rule]
    return {
        "crossings": n_crossings,
        "identities": engine.count(prepared),
        "rules": [*counted, _count(engine, keyed, blocks, "all")],
    }


def _count(engine: DuckDBEngine, keyed: Table, blocks: list[Block], name: str) -> dict[str, Any]:
    pairs = " UNION ".join(
        f"""SELECT l.unique_id AS id_l, r.unique_id AS id_r, l.true_person = r.true_person AS is_one
        FROM keyed l JOIN keyed r ON {block.condition()} AND l.unique_id < r.unique_id"""
        for block in blocks
    )
    found: pl.DataFrame = engine.collect(
        f"""SELECT count(*) AS n_pairs, count(*) FILTER (WHERE is_one) AS of_one_person,
               count(*) FILTER (WHERE NOT is_one) AS by_chance FROM ({pairs})""",
        keyed=keyed,
    )
    return {"rule": name, **found.to_dicts()[0]}


if __name__ == "__main__":
    sys.exit(main())
