"""Probabilities and published error rates of linkage against the truth, over seeds and levels of noise.

    python -m benchmarks.calibration [SIZE] [--noise low medium high] [--seeds 1 … 10] [--json FILE]

Of each country, made and run as far as persons: the calibration error of p_calibrated in 20 bins (mean distance of
expected and true share of matches, weighted by pairs), without judgements and with a drawn sample of pairs that the
truth has decided; and whether the published limits of the rates of false and of missed links hold the true rates.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.measured import machine, timed
from miglink.config.stages import LinkageSettings, PersonsSettings
from miglink.engine import Engine, Table
from miglink.engine.duckdb_engine import DuckDBEngine
from miglink.stages.linkage import Identified, link
from miglink.stages.quality import Linkage
from miglink.stages.quality.error_rates import measure_error_rates
from miglink.tables import TABLES

_BINS = 20
_ACCEPT = PersonsSettings().accept_p_match
# Pairs that a clerk decides in each band of the match weight, and the weights (log2 of the odds) between the bands.
_N_EACH, _EDGES = 60, (-3.0, 0.0, 3.0, 6.0, 10.0, 15.0)
_PYTHON = (sys.executable, "-m")
_RUN = ("identities", "record_identities", "identity_persons", "person_traits", "judgements", "links")


def main() -> int:
    """Measure every country that the command line asks for; the file grows by one at a time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("size", nargs="?", default="small")
    parser.add_argument("--noise", nargs="+", default=["low", "medium", "high"])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(1, 11)))
    parser.add_argument("--json", type=Path, help="file for the result")
    asked = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "size": asked.size, "noise": {}}
    for noise in asked.noise:
        found = []
        for seed in asked.seeds:
            with tempfile.TemporaryDirectory(prefix="miglink-calibration-") as folder:
                found.append({"seed": seed, **measure(asked.size, noise, seed, Path(folder))})
            result["noise"][noise] = {"summary": summarise(found), "countries": found}
            if asked.json:
                asked.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            print(noise, seed, json.dumps(found[-1]["calibration_error"]), flush=True)
        print(noise, json.dumps(result["noise"][noise]["summary"]), flush=True)
    return 0


def measure(size: str, noise: str, seed: int, folder: Path) -> dict[str, Any]:
    """Make and run one country below the folder, and measure it."""
    country, run = folder / "country", folder / "run"
    made = (*_PYTHON, "synthetic", size, "--seed", str(seed), "--noise", noise, "--out", str(country))
    timed(made)
    timed((*_PYTHON, "miglink", "run", str(country / "country.yml"), "--out", str(run), "--to", "persons"))
    tables = {name: Table(name, run / "tables" / f"{name}.parquet") for name in _RUN}
    with closing(DuckDBEngine(folder / "measured")) as engine:
        owners = true_owners(engine, tables, country / "truth")
        return {
            "calibration_error": {
                "without judgements": calibration_error(pairs_of(engine, tables["links"], owners)),
                "with judgements": _with_judgements(engine, tables, owners, (run, folder)),
            },
            "rates": _rates(engine, tables, owners, run),
        }


def true_owners(engine: Engine, tables: dict[str, Table], truth: Path) -> Table:
    """identity_id, owner: the true person who has most of the identity's records, and the found person."""
    return engine.step(
        "benchmark_owners",
        """WITH counts AS (
            SELECT i.identity_id, t.true_person_id, count(*) AS n FROM record_identities i
            JOIN truth t ON t.source = i.source AND t.record_id = i.record_id GROUP BY i.identity_id, t.true_person_id),
        ranked AS (
            SELECT *, row_number() OVER (PARTITION BY identity_id ORDER BY n DESC, true_person_id) AS place FROM counts)
        SELECT r.identity_id, r.true_person_id AS owner, p.person_id FROM ranked r
        JOIN identity_persons p ON p.identity_id = r.identity_id WHERE r.place = 1""",
        record_identities=tables["record_identities"],
        identity_persons=tables["identity_persons"],
        truth=Table("record_persons", truth / "record_persons.parquet"),
    )


def pairs_of(engine: Engine, links: Table, owners: Table) -> pl.DataFrame:
    """The links that the model decides: ids, match_weight, p_calibrated, is_match."""
    return engine.collect(
        """SELECT k.identity_id_l, k.identity_id_r, k.match_weight, k.p_calibrated, l.owner = r.owner AS is_match
        FROM links k JOIN owners l ON l.identity_id = k.identity_id_l JOIN owners r ON r.identity_id = k.identity_id_r
        WHERE k.blocking_rule NOT IN ('judgement', 'given_person') ORDER BY k.identity_id_l, k.identity_id_r""",
        links=links,
        owners=owners,
    )


def calibration_error(pairs: pl.DataFrame) -> float:
    """Mean distance of the expected and the true share of matches over 20 bins of probability, weighted by pairs."""
    bins = pairs.group_by((pl.col("p_calibrated") * _BINS).floor().clip(0, _BINS - 1)).agg(
        n=pl.len(), apart=(pl.col("p_calibrated").mean() - pl.col("is_match").mean()).abs()
    )
    return round(float((bins["n"] * bins["apart"]).sum()) / pairs.height, 6)


def _with_judgements(
    engine: Engine, tables: dict[str, Table], owners: Table, folders: tuple[Path, Path]
) -> float:
    """The calibration error of the pairs that nobody judged, with as many judged in each band of the weight."""
    run, folder = folders
    pairs = pairs_of(engine, tables["links"], owners)
    drawn = (
        pairs.with_columns(band=pl.sum_horizontal(pl.col("match_weight") >= edge for edge in _EDGES))
        .sample(fraction=1.0, shuffle=True, seed=1)
        .with_columns(n=pl.len().over("band"), place=pl.int_range(pl.len()).over("band"))
        .filter(pl.col("place") < _N_EACH)
        .with_columns(sampling_weight=pl.col("n") / pl.min_horizontal("n", pl.lit(_N_EACH)))
    )
    firsts = engine.step(
        "benchmark_firsts",
        """SELECT identity_id, min(source) AS source, min_by(record_id, source || record_id) AS record_id
        FROM record_identities GROUP BY identity_id""",
        record_identities=tables["record_identities"],
    )
    given = {
        "source_l": "l.source", "record_id_l": "l.record_id", "source_r": "r.source", "record_id_r": "r.record_id",
        "verdict": "CASE WHEN d.is_match THEN 'match' ELSE 'non_match' END", "stratum": "CAST(d.band AS VARCHAR)",
        "sampling_weight": "d.sampling_weight",
    }  # fmt: skip
    columns = ", ".join(
        f"{given.get(column.name, f'CAST(NULL AS {column.type})')} AS {column.name}"
        for column in TABLES["judgements"].columns
    )
    judgements = engine.query(
        "judgements",
        f"""SELECT {columns} FROM drawn d JOIN firsts l ON l.identity_id = d.identity_id_l
        JOIN firsts r ON r.identity_id = d.identity_id_r""",
        drawn=engine.frame("benchmark_drawn", drawn),
        firsts=firsts,
    )
    identified = Identified(tables["identities"], tables["record_identities"], judgements)
    links = link(engine, identified, LinkageSettings(model=run), (), folder / "judged.json")
    judged = drawn.select("identity_id_l", "identity_id_r")
    others = pairs_of(engine, links, owners).join(judged, on=judged.columns, how="anti")
    return calibration_error(others)


def _rates(engine: Engine, tables: dict[str, Table], owners: Table, run: Path) -> list[dict[str, Any]]:
    """Each published rate with its limits and the true one, in all and by pair of sources."""
    linkage = Linkage(_ACCEPT, run / "model.json", "QMR", 2023)
    published = measure_error_rates(engine, tables, linkage)
    items: dict[str, dict[str, float]] = {}
    for measure_name, item, value in published.filter(pl.col("measure").str.contains("_rate")).iter_rows():
        rate, _, end = measure_name.partition("_rate")
        items.setdefault(f"{rate}_rate {item}", {})[end.strip("_") or "estimate"] = value
    true = _true_rates(engine, tables, owners)
    return [
        {
            "item": item,
            **values,
            "true": true[item],
            "is_within": values["low"] <= true[item] <= values["high"],
        }
        for item, values in items.items()
        if item in true
    ]


def _true_rates(engine: Engine, tables: dict[str, Table], owners: Table) -> dict[str, float]:
    """The true rates of accepted links that join two persons, and of pairs of a person that are in several."""
    found = engine.collect(
        f"""WITH accepted AS (
            SELECT k.identity_id_l AS l, k.identity_id_r AS r, CAST(a.owner <> b.owner AS INTEGER) AS is_wrong
            FROM links k JOIN owners a ON a.identity_id = k.identity_id_l
            JOIN owners b ON b.identity_id = k.identity_id_r
            WHERE k.p_calibrated >= {_ACCEPT} AND a.person_id = b.person_id
              AND k.blocking_rule NOT IN ('judgement', 'given_person')),
        matches AS (
            SELECT a.identity_id AS l, b.identity_id AS r, CAST(a.person_id <> b.person_id AS INTEGER) AS is_wrong
            FROM owners a JOIN owners b ON b.owner = a.owner AND a.identity_id < b.identity_id),
        pairs AS (
            SELECT 'false_link_rate' AS measure, * FROM accepted UNION ALL SELECT 'missed_link_rate', * FROM matches),
        sources AS (SELECT DISTINCT identity_id, source FROM record_identities),
        sided AS (
            SELECT measure, is_wrong, concat(least(s.source, t.source), '|', greatest(s.source, t.source)) AS item
            FROM pairs JOIN sources s ON s.identity_id = l JOIN sources t ON t.identity_id = r)
        SELECT measure, 'all' AS item, avg(is_wrong) AS value FROM pairs GROUP BY measure
        UNION ALL SELECT measure, item, avg(is_wrong) FROM sided GROUP BY measure, item""",
        links=tables["links"],
        owners=owners,
        record_identities=tables["record_identities"],
    )
    return {f"{measure_name} {item}": value for measure_name, item, value in found.iter_rows()}


def summarise(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Largest and mean calibration error, and how many limits hold the true rate, with their middle width."""
    errors = {
        name: [country["calibration_error"][name] for country in found]
        for name in found[0]["calibration_error"]
    }
    rates = [rate for country in found for rate in country["rates"]]
    kinds = {
        f"{measure_name}, {kind}": [
            rate
            for rate in rates
            if rate["item"].startswith(measure_name) and ("|" in rate["item"]) == (kind != "all")
        ]
        for measure_name in ("false_link_rate", "missed_link_rate")
        for kind in ("all", "by sources")
    }
    return {
        "calibration_error": {
            name: {"mean": round(statistics.fmean(values), 6), "highest": max(values)}
            for name, values in errors.items()
        },
        "limits": {kind: _coverage(chosen) for kind, chosen in kinds.items() if chosen},
    }


def _coverage(rates: Iterable[dict[str, Any]]) -> dict[str, float]:
    rates = list(rates)
    return {
        "n": len(rates),
        "within": sum(rate["is_within"] for rate in rates),
        "mean_true": round(statistics.fmean(rate["true"] for rate in rates), 6),
        "mean_estimate": round(statistics.fmean(rate["estimate"] for rate in rates), 6),
        "median_width": round(statistics.median(rate["high"] - rate["low"] for rate in rates), 6),
    }


if __name__ == "__main__":
    sys.exit(main())
