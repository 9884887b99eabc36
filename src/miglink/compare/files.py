"""A comparison in files: all of it but the cells as one JSON text, and each table as Parquet and CSV."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import polars as pl

from miglink.compare.inputs import Vintage
from miglink.compare.settings import Settings
from miglink.errors import ConfigError
from miglink.stages.publish.delimited import LINE_END, guard_formulas

# One row for each cell and reason, or each cell: what --out writes, and JSON leaves out.
_CELLS = "revisions"


def comparison_as_json(
    vintages: Sequence[Vintage], settings: Sequence[Settings], tables: dict[str, pl.DataFrame]
) -> str:
    """The runs, what sets them apart, and every table but that of the cells; of movers, the totals."""
    content = {
        "vintages": [
            {
                "number": v.number,
                "folder": str(v.folder),
                "data_to_date": str(v.data_to_date),
                "miglink": v.manifest.get("miglink"),
                "engine": v.engine.kind,
                "started_at": v.manifest.get("started_at"),
            }
            for v in vintages
        ],
        "settings": [
            {"earlier": n, "later": n + 1, **asdict(told), "changed_rules": sorted(told.changed_rules)}
            for n, told in enumerate(settings, start=1)
        ],
    }
    for name, table in tables.items():
        if name != _CELLS:
            rows = table.filter(dimension="total") if name == "movers" else table
            content[name] = rows.to_dicts()
    return json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n"


def write_json(path: Path, text: str) -> None:
    """Write the text whole or not at all."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        os.replace(part, path)
    except OSError as error:
        raise ConfigError(f"--json {path}: cannot be written: {error.strerror}") from None


def check_targets(json_file: Path | None, out: Path | None) -> None:
    """ConfigError where a comparison could not be written; asked before it is made."""
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {out}: exists and is not an empty folder; name another or remove it")
    if json_file is not None and (json_file.is_dir() or not json_file.absolute().parent.is_dir()):
        raise ConfigError(f"--json {json_file}: expected a file in a folder that is there")


def write_tables(folder: Path, tables: dict[str, pl.DataFrame]) -> None:
    """Write each table as Parquet and as CSV into a new folder that its owner alone can read."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        for name, table in tables.items():
            table.write_parquet(folder / f"{name}.parquet")
            guard_formulas(table).write_csv(folder / f"{name}.csv", line_terminator=LINE_END)
    except OSError as error:
        raise ConfigError(f"--out {folder}: cannot be written: {error.strerror}") from None
