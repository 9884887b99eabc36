"""`python -m benchmarks.spark_cluster CONFIG`: a cluster on loopback, one of whose workers is killed during the run.

    python -m benchmarks.spark_cluster runs/demo/country/country.yml --json FILE

Starts a standalone master and two workers (each a process with executors of its own), runs the configuration through
them once undisturbed and once with a worker and its executor killed (SIGKILL) while the stage named by --during works,
and compares every table of the two runs. Exit code 1 if a run fails, a row differs, or the stage had ended before.
"""

import argparse
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyspark

from benchmarks.engines import command, compare_runs, run, spark, stage_seconds
from miglink.pipeline import STAGES

_HOST = "127.0.0.1"
_SETTINGS = {
    "spark.driver.host": _HOST,
    "spark.driver.bindAddress": _HOST,
    "spark.driver.memory": "2g",
    "spark.executor.memory": "2g",
    "spark.executor.cores": "1",
    "spark.sql.shuffle.partitions": "4",
    # A worker that is gone is noticed at once where its connection breaks; where it hangs, after this.
    "spark.network.timeout": "60s",
}


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument(
        "--during", default="residence", choices=[*STAGES], help="the stage in which the worker is killed"
    )
    parser.add_argument("--json", type=Path, help="file for the result")
    asked = parser.parse_args()
    with TemporaryDirectory(prefix="miglink-cluster-") as folder:
        result = compare(asked.config, Path(folder), asked.during)
    print(json.dumps(result, indent=1))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    differing = [name for name, found in result["tables"].items() if found["differing"]]
    was_killed = result["killed"]["processes"] > 0 and result["killed"]["is_during"]
    return 1 if result["exit_code"] or differing or not was_killed else 0


def compare(config: Path, place: Path, during: str) -> dict[str, Any]:
    """The configuration on two workers, then on two of which one is killed; the tables of both."""
    with cluster(place / "first") as (master, _):
        usual = run(config, place / "undisturbed", spark(master, _SETTINGS))
    reused = f"linkage.model={place / 'undisturbed'}"
    with cluster(place / "second") as (master, workers):
        start = time.perf_counter()
        process = subprocess.Popen(
            command(config, place / "disturbed", spark(master, _SETTINGS), reused), stdout=subprocess.DEVNULL
        )
        killed = kill_during(workers[1], place / "disturbed", during, process)
        code = process.wait()
        seconds = time.perf_counter() - start
    return {
        "config": config.name,
        "settings": _SETTINGS,
        "workers": 2,
        "undisturbed": usual,
        "disturbed_seconds": round(seconds, 1),
        "stages": {name: stage_seconds(place / name) for name in ("undisturbed", "disturbed")},
        "killed": killed,
        "exit_code": code,
        "machine": f"{platform.system()} {platform.machine()}, Spark {pyspark.__version__}",
        "tables": compare_runs(place / "undisturbed", place / "disturbed"),
    }


@contextmanager
def cluster(place: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A standalone master and two workers of one core each; gives the master's address and the workers."""
    place.mkdir(parents=True)
    port = _free_port()
    master = f"spark://{_HOST}:{port}"
    daemons = [_daemon(place, "master.Master", "--host", _HOST, "--port", str(port), "--webui-port", "0")]
    try:
        _wait_for(port)
        for number in range(2):
            work = place / f"worker {number}"
            daemons.append(
                _daemon(place, "worker.Worker", "--host", _HOST, "--cores", "1", "--memory", "3g",
                        "--webui-port", "0", "--work-dir", str(work), master)
            )  # fmt: skip
        yield master, daemons[1:]
    finally:
        for daemon in reversed(daemons):
            _kill(daemon)


def kill_during(
    worker: subprocess.Popen[bytes], run_folder: Path, stage: str, process: subprocess.Popen[bytes]
) -> dict[str, Any]:
    """Kill a worker with its executor two seconds after a stage has begun; what was killed, and in which stage."""
    n_before = list(STAGES).index(stage)
    while process.poll() is None:
        if len(stage_seconds(run_folder)) >= n_before:
            time.sleep(2)
            n_processes = _kill(worker)
            done = list(stage_seconds(run_folder))
            return {
                "processes": n_processes,
                "after": done[-1] if done else None,
                "is_during": stage not in done,
            }
        time.sleep(0.2)
    return {"processes": 0, "after": "the run had ended", "is_during": False}


def _daemon(place: Path, kind: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A part of Spark as a process group of its own, so that it goes with its children."""
    script = Path(pyspark.__file__).parent / "bin" / "spark-class"
    log = (place / f"{kind}.log").open("ab")
    return subprocess.Popen(
        [str(script), f"org.apache.spark.deploy.{kind}", *arguments],
        stdout=log,
        stderr=log,
        start_new_session=True,
        env={**os.environ, "SPARK_LOCAL_IP": _HOST, "PYSPARK_PYTHON": sys.executable},
    )


def _kill(daemon: subprocess.Popen[bytes]) -> int:
    """Kill a process group, executors included; gives the number of its processes."""
    group = os.getpgid(daemon.pid) if daemon.poll() is None else daemon.pid
    members = [
        int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and _group(path) == group
    ]
    if members:
        os.killpg(group, signal.SIGKILL)
    daemon.wait()
    return len(members)


def _group(process: Path) -> int | None:
    try:
        return os.getpgid(int(process.name))
    except ProcessLookupError:
        return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    for _ in range(150):
        with socket.socket() as probe:
            if probe.connect_ex((_HOST, port)) == 0:
                return
        time.sleep(0.2)
    raise SystemExit("Spark's master did not start; see its log")


if __name__ == "__main__":
    sys.exit(main())
