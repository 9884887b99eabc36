"""`miglink demo`: a small country with known truth is made, run, and compared with its truth."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from miglink.errors import ConfigError, SourceError
from miglink.stages.publish import check_formats


def demo_folder(runs: Path) -> Path:
    """The folder of a demonstration without --out: the time in UTC, below runs/."""
    return runs / f"demo-{datetime.now(UTC):%Y%m%dT%H%M%S}Z"


def make_country(size: str, seed: int, folder: Path) -> Path:
    """Make the synthetic country in a new folder; gives its configuration.

    The country is a program of its own: nothing of what it knows to be true can reach the run.
    Errors: ConfigError if the folder holds something already; SourceError if the country cannot be made.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"--out {folder.parent}: holds a country already; name another folder or remove it")
    places = [str(_home()), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    found_here = {"PYTHONPATH": os.pathsep.join(place for place in places if place)}
    made = subprocess.run(
        [sys.executable, "-m", "synthetic", size, "--seed", str(seed), "--out", str(folder)],
        env={**os.environ, **found_here},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise SourceError(
            f"the country cannot be made in {folder}: {made.stderr.strip() or 'no reason was given'}"
        )
    return folder / "country.yml"


def every_format() -> str:
    """The setting under which a run is published in every format that is installed."""
    formats = ["parquet", "csv", "sdmx-csv", "sdmx-ml"]
    try:
        check_formats(formats)
    except ConfigError:
        formats.remove("sdmx-ml")
    return f"publish.formats=[{', '.join(formats)}]"


def _home() -> Path:
    """Where the program of the country lies: in the installed package, or beside the sources."""
    installed = Path(str(files("miglink"))) / "presets"
    return installed if (installed / "synthetic").is_dir() else Path(__file__).parents[2]
