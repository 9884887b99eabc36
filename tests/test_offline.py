"""No outside request, ever: the demonstration runs where no socket can be opened and there is no network."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
from frictionless import Package
from pysdmx.io import get_datasets, read_sdmx

import miglink

# Every attempt to reach another machine is written down and refused.
REFUSE = """
import os, sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request"):
        with open(os.environ["ATTEMPTS"], "a") as attempts:
            attempts.write(event + chr(10))
        raise OSError("no network")

sys.addaudithook(refuse)
"""


def has_own_network() -> list[str]:
    """The command that runs another in a network of its own, with nothing in it, where the system allows that."""
    command = ["unshare", "--user", "--map-root-user", "--net"]
    try:
        allowed = subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        allowed = False
    return command if allowed else []


def refused(tmp_path: Path) -> dict[str, str]:
    """An environment whose Python programs cannot open a connection."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(REFUSE, encoding="utf-8")
    places = [str(tmp_path / "hook"), str(Path(miglink.__file__).parents[1])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places), "ATTEMPTS": str(tmp_path / "attempts.txt")}


def test_the_hook_refuses_a_connection(tmp_path: Path) -> None:
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=refused(tmp_path), capture_output=True, check=False
    )
    assert done.returncode == 1
    assert "socket" in (tmp_path / "attempts.txt").read_text("utf-8")


def test_the_demonstration_runs_without_a_network(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "miglink", "demo", "--size", "tiny", "--out", str(tmp_path / "demo")]
    done = subprocess.run(
        [*has_own_network(), *command], env=refused(tmp_path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Migration by year" in done.stdout
    assert "Measures:" in done.stdout
    assert not (tmp_path / "attempts.txt").exists()
    # It is published in every format, for programs that others wrote.
    outputs = tmp_path / "demo" / "run" / "outputs"
    assert read_sdmx(outputs / "structure.xml", validate=True).structures
    (stocks,) = get_datasets(outputs / "stocks.sdmx.csv", outputs / "structure.xml")
    assert len(stocks.data) == pl.read_parquet(outputs / "stocks.parquet").height
    package = Package(str(outputs / "datapackage.json"))
    for name in ("flows.csv", "flows.sdmx.csv"):  # 100,000 rows take half a minute; test_run.py has fewer
        package.remove_resource(name)
    report = package.validate()
    assert report.valid, report.flatten(["name", "type", "note"])
