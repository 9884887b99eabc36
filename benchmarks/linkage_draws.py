"""The draws of a run's linkage against the truth.

    python -m benchmarks.linkage_draws RUN TRUTH [--json FILE]

By band of the probability, over the links between identities in doubt: the share of draws that join the pair, and the
share of pairs that are one person. And of all identities in doubt the true number of persons, and of pairs of one
person, beside what the best linkage and the draws have.
"""

import argparse
import json
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from benchmarks.calibration import true_owners
from miglink.engine import Engine, Table
from miglink.engine.duckdb_engine import DuckDBEngine

_EDGES = (0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99)
_RUN = ("links", "record_identities", "identity_persons", "person_draws")


def main() -> int:
    """Compare the draws of the run that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--json", type=Path, help="file for the result")
    asked = parser.parse_args()
    with TemporaryDirectory(prefix="miglink-draws-") as folder, closing(DuckDBEngine(Path(folder))) as engine:
        tables = {name: Table(name, asked.run / "tables" / f"{name}.parquet") for name in _RUN}
        tables["owners"] = true_owners(engine, tables, asked.truth)
        result = {"bands": compare_bands(engine, tables), "numbers": compare_numbers(engine, tables)}
    print(json.dumps(result, indent=1))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def compare_bands(engine: Engine, tables: dict[str, Table]) -> list[dict[str, Any]]:
    """By band of p_calibrated: links, their mean probability, share of draws that join them, share of matches."""
    pairs = engine.collect(
        """WITH doubtful AS (SELECT DISTINCT identity_id FROM person_draws),
        pairs AS (
            SELECT k.identity_id_l AS l, k.identity_id_r AS r, k.p_calibrated AS p,
                   CAST(a.owner = b.owner AS DOUBLE) AS is_match
            FROM links k JOIN owners a ON a.identity_id = k.identity_id_l
            JOIN owners b ON b.identity_id = k.identity_id_r
            WHERE k.blocking_rule NOT IN ('judgement', 'given_person')
              AND k.identity_id_l IN (SELECT identity_id FROM doubtful)
              AND k.identity_id_r IN (SELECT identity_id FROM doubtful))
        SELECT p.l, p.r, min(p.p) AS p, min(p.is_match) AS is_match,
               avg(CAST(x.person_id = y.person_id AND x.part = y.part AS DOUBLE)) AS joined
        FROM pairs p JOIN person_draws x ON x.identity_id = p.l
        JOIN person_draws y ON y.identity_id = p.r AND y.draw = x.draw GROUP BY p.l, p.r""",
        **tables,
    )
    banded = pairs.with_columns(band=pl.sum_horizontal(pl.col("p") >= edge for edge in _EDGES))
    found = banded.group_by("band").agg(
        n=pl.len(), p=pl.col("p").mean(), joined=pl.col("joined").mean(), matches=pl.col("is_match").mean()
    )
    return [
        {"from_p": (0.0, *_EDGES)[row["band"]], "n": row["n"]}
        | {name: round(row[name], 4) for name in ("p", "joined", "matches")}
        for row in found.sort("band").iter_rows(named=True)
    ]


def compare_numbers(engine: Engine, tables: dict[str, Table]) -> dict[str, dict[str, float]]:
    """Persons, and pairs of identities of one person: in truth, linked best, and mean, sd and range of the draws."""
    counted = engine.collect(
        """WITH doubtful AS (SELECT DISTINCT identity_id FROM person_draws),
        labels AS (
            SELECT -1 AS draw, o.identity_id, CAST(o.owner AS VARCHAR) AS person FROM owners o
            UNION ALL SELECT 0, identity_id, person_id FROM identity_persons
            UNION ALL SELECT draw, identity_id, concat(person_id, ' ', CAST(part AS VARCHAR)) FROM person_draws),
        sizes AS (
            SELECT draw, person, count(*) AS n FROM labels JOIN doubtful USING (identity_id) GROUP BY draw, person)
        SELECT draw, count(*) AS persons, sum(n * (n - 1) / 2) AS pairs FROM sizes GROUP BY draw ORDER BY draw""",
        **tables,
    )
    drawn = counted.filter(pl.col("draw") > 0)
    return {
        name: {
            "true": float(counted[name][0]),
            "best": float(counted[name][1]),
            "mean": round(float(drawn[name].to_numpy().mean()), 1),
            "sd": round(float(drawn[name].to_numpy().std(ddof=1)), 1),
            "least": float(drawn[name].to_numpy().min()),
            "most": float(drawn[name].to_numpy().max()),
        }
        for name in ("persons", "pairs")
    }


if __name__ == "__main__":
    sys.exit(main())
