"""What a run takes, by its size: measures the constants behind the prediction of `miglink check`, and how far it errs.

    python -m benchmarks.predict [--fit 30000:1 …] [--held-out 500000:2 …] [--measured FILE] [--keep DIR] [--store]
                                 [--json FILE]

Makes and runs synthetic countries, SIZE:SEED each. The constants are fitted to the first group; the second, of other
sizes and seeds, says how far the prediction is from the run. Pairs are predicted from 5 and 20 % of the identities of
every country and compared, rule by rule, with the exact number. --store writes the constants into the package.
Run it on a machine that does nothing else: the load before each run is recorded, for it lengthens the seconds.
--measured takes the seconds and memory of countries that benchmarks/country.py has run already from its JSON.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import numpy as np

from miglink.check import Findings, check_config
from miglink.check.cost import DRIVERS, MEMORY_DRIVERS, Size
from miglink.config import read_config
from synthetic.__main__ import SIZES

_ROOT = Path(__file__).parents[1]
_CONSTANTS = _ROOT / "src" / "miglink" / "check" / "cost.json"
_SHARES = (0.05, 0.2)
_SHORTEST = 0.5  # seconds: below, a relative error says nothing
_EVERYTHING = 10**12


def measure(size: str, seed: str, folder: Path, measured: dict[str, Any]) -> dict[str, Any]:
    """Make and run one country below the folder, unless that is done; gives its size, seconds and memory."""
    country, run, kept = folder / "country", folder / "run", folder / "measured.json"
    if kept.exists():
        return {**json.loads(kept.read_text(encoding="utf-8")), **measured.get(f"{size}:{seed}", {})}
    if not country.exists():
        _do("synthetic", size, "--seed", seed, "--out", str(country))
    took = measured.get(f"{size}:{seed}")
    if took is None:
        load = os.getloadavg()[0]
        _do("miglink", "run", str(country / "country.yml"), "--out", str(run))
        manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
        took = {"load_before": round(load, 2), **_by_stage(manifest["stages"], "name")}
    config = read_config(country / "country.yml")
    exact = check_config(config, n_sampled=_EVERYTHING)
    assert exact.n_identities is not None and config.residence is not None
    n_crossings = sum(source.n_rows or 0 for source in exact.sources if source.kind == "crossings")
    n_histories = len(config.residence.rules) * len(config.residence.policies)
    pairs = sum(rule.n_pairs for rule in exact.pairs)
    found = {
        "size": size,
        "seed": seed,
        **took,
        "amounts": Size(exact.n_rows, exact.n_identities, pairs, n_crossings * n_histories).amounts(),
        "exact_pairs": {rule.rule: rule.n_pairs for rule in exact.pairs},
        "sampled": [_sample(config, share, exact) for share in _SHARES],
    }
    kept.write_text(json.dumps(found), encoding="utf-8")
    return found


def _by_stage(stages: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    return {what: {stage[name]: stage[what] for stage in stages} for what in ("seconds", "peak_memory_bytes")}


def read_measured(path: Path | None) -> dict[str, Any]:
    """What benchmarks/country.py measured, by size and seed; it was run alone, and recorded no load."""
    if path is None:
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    countries = found["countries"] if isinstance(found, dict) else found  # as it was written before
    return {
        f"{SIZES.get(one['size'], one['size'])}:{one['seed']}": {
            "load_before": None,
            **_by_stage(one["stages"], "stage"),
        }
        for one in countries
    }


def _do(*command: str) -> None:
    subprocess.run([sys.executable, "-m", *command], check=True, stdout=subprocess.DEVNULL)


def _sample(config: Any, share: float, exact: Findings) -> dict[str, Any]:
    """Predict pairs from about this share of the identities; relative errors by rule."""
    began = time.perf_counter()
    found = check_config(config, n_sampled=round(share * exact.n_rows))
    return {
        "share": found.identity_share,
        "seconds": round(time.perf_counter() - began, 1),
        "identities_error": _error(found.n_identities or 0, exact.n_identities or 0),
        "pairs_error": {
            one.rule: _error(one.n_pairs, true.n_pairs)
            for one, true in zip(found.pairs, exact.pairs, strict=True)
        },
        "total_error": _error(
            sum(one.n_pairs for one in found.pairs), sum(one.n_pairs for one in exact.pairs)
        ),
    }


def _error(found: float, true: float) -> float:
    return round(found / max(true, 1) - 1, 4)


def fit(countries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The non-negative constants of each stage with the smallest sum of squared relative errors."""
    return {
        stage: {
            "seconds": _fit_one(countries, "seconds", stage, drivers),
            "peak_memory_bytes": _fit_one(countries, "peak_memory_bytes", stage, MEMORY_DRIVERS),
        }
        for stage, drivers in DRIVERS.items()
    }


def _fit_one(
    countries: Sequence[dict[str, Any]], measure_name: str, stage: str, drivers: Sequence[str]
) -> dict[str, float]:
    """Every subset of the drivers is tried: the best without a negative constant wins."""
    true = np.array([country[measure_name][stage] for country in countries])
    scale = 1 / np.maximum(true, _SHORTEST)
    names = ("constant", *drivers)
    best: tuple[float, dict[str, float]] = (float(np.sum((true * scale) ** 2)), {"constant": 0.0})
    for chosen in chain.from_iterable(combinations(names, n) for n in range(1, len(names) + 1)):
        amounts = np.array([[country["amounts"][name] for name in chosen] for country in countries])
        size = np.abs(amounts).max(axis=0)
        weights = np.linalg.lstsq(amounts / size * scale[:, None], true * scale, rcond=None)[0] / size
        error = float(np.sum(((amounts @ weights - true) * scale) ** 2))
        if (weights >= 0).all() and error < best[0]:
            best = (
                error,
                {name: float(f"{weight:.4g}") for name, weight in zip(chosen, weights, strict=True)},
            )
    return best[1]


def judge(country: dict[str, Any], stages: dict[str, Any]) -> dict[str, Any]:
    """The prediction for one country beside what it took."""
    seconds = {name: _weighted(of["seconds"], country["amounts"]) for name, of in stages.items()}
    peak = max(_weighted(of["peak_memory_bytes"], country["amounts"]) for of in stages.values())
    true_peak = max(country["peak_memory_bytes"].values())
    total, true_total = sum(seconds.values()), sum(country["seconds"][name] for name in stages)
    return {
        "size": country["size"],
        "seed": country["seed"],
        "seconds": {"predicted": round(total, 1), "measured": round(true_total, 1)},
        "peak_memory_gb": {"predicted": round(peak / 1e9, 2), "measured": round(true_peak / 1e9, 2)},
        "seconds_error": _error(total, true_total),
        "memory_error": _error(peak, true_peak),
    }


def _weighted(weights: dict[str, float], amounts: dict[str, float]) -> float:
    return sum(weight * amounts[name] for name, weight in weights.items())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fit", nargs="+", default=["30000:1", "100000:1", "300000:1", "1000000:1"])
    parser.add_argument("--held-out", nargs="+", default=["60000:3", "500000:2"])
    parser.add_argument("--measured", type=Path, help="JSON of benchmarks.country")
    parser.add_argument("--keep", type=Path, help="folder for countries and runs, kept and taken again")
    parser.add_argument("--store", action="store_true", help=f"write {_CONSTANTS.relative_to(_ROOT)}")
    parser.add_argument("--json", type=Path, help="file for all that was measured")
    return parser


def main() -> None:
    """Measure, fit, compare and say."""
    asked = _parser().parse_args()
    measured = read_measured(asked.measured)
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        groups: list[list[dict[str, Any]]] = []
        for wanted in (asked.fit, asked.held_out):
            pieces = [one.split(":") for one in wanted]
            for size, seed in pieces:
                (folder / f"{size}-{seed}").mkdir(parents=True, exist_ok=True)
            groups.append([measure(size, seed, folder / f"{size}-{seed}", measured) for size, seed in pieces])
    fitted, held_out = groups
    stages = fit(fitted)
    checked = [judge(country, stages) for country in held_out]
    records = [country["amounts"]["records"] for country in fitted]
    constants = {
        "measured": {
            "by": "benchmarks/predict.py",
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "cores": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "records": [min(records), max(records)],
            "loads_before": [country["load_before"] for country in fitted],
            "worst_error": max(
                abs(one[name]) for one in checked for name in ("seconds_error", "memory_error")
            ),
        },
        "stages": stages,
    }
    whole = {
        **constants,
        "platform": platform.platform(),
        "fitted": [judge(country, stages) for country in fitted],
        "held_out": checked,
        "countries": [*fitted, *held_out],
    }
    print(json.dumps({"fitted": whole["fitted"], "held_out": checked}, indent=1))
    for country in whole["countries"]:
        for sample in country["sampled"]:
            worst = max(map(abs, sample["pairs_error"].values()))
            print(
                f"{country['size']}:{country['seed']} pairs from {sample['share']:.0%}: "
                f"{sample['total_error']:+.1%} in all, {worst:.1%} for the worst rule"
            )
    if asked.store:
        _CONSTANTS.write_text(json.dumps(constants, indent=1) + "\n", encoding="utf-8")
    if asked.json:
        asked.json.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
