"""protection.json: what was done to the counts, for who checks outputs before they leave."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from miglink.config.protection import ProtectionSettings

PROTECTION = "protection.json"
# Of fewer counts than this nothing is said: how much noise they have in all would tell what they were.
_FEWEST = 50


def describe_method(settings: ProtectionSettings) -> str:
    """The method in one sentence, for datapackage.json and the terminal."""
    base = settings.rounding_base
    sentences = {
        "random_rounding": f"rounded at random to multiples of {base}, totals on their own",
        "rounding": f"rounded to the nearest multiple of {base}, totals on their own",
        "controlled_rounding": f"rounded to multiples of {base} so that what added up still does (protection.json says "
        "where no such rounding was found), those of tables without totals at random",
        "cell_key": "changed by noise that depends on the persons counted (cell key perturbation), totals on their own",
    }
    if settings.method == "suppression":
        others = (
            ", and others beside them so that none of these can be computed"
            if settings.secondary != "none"
            else ""
        )
        return f"suppressed (null) where they are less than {settings.minimum_count} and not 0{others}."
    few = f"; what is then less than {settings.minimum_count} is suppressed" if settings.minimum_count else ""
    return f"{sentences[settings.method]}{few}."


def describe_changes(cells: pl.DataFrame) -> dict[str, object]:
    """How many counts there are that are not 0, how many changed or are suppressed, and by how much they changed.

    The same cell with the same count is one. Nothing is said of fewer than 50.
    """
    counts = cells.filter(pl.col("count") != 0).unique(["cell", "count"])
    if counts.height < _FEWEST:
        return {"counts": f"fewer than {_FEWEST}: what was changed would tell what they were"}
    change = (counts["protected"] - counts["count"]).drop_nulls().abs().cast(pl.Float64).to_numpy()
    said: dict[str, object] = {
        "counts": counts.height,
        "changed": int((change != 0).sum()),
        "suppressed": counts["protected"].null_count(),
    }
    if change.size >= _FEWEST:
        said["information_lost"] = {
            "mean_change": round(float(change.mean()), 2),
            "root_mean_square_change": round(float((change**2).mean() ** 0.5), 2),
            "largest_change": int(change.max()),
        }
    return said


def write_record(folder: Path, record: Mapping[str, object]) -> Path:
    """Write protection.json; it appears under its name only when whole. No time and no key is in it."""
    target = folder / PROTECTION
    part = target.with_name(target.name + ".part")
    part.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
    os.replace(part, target)
    return target
