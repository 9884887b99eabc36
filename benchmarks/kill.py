"""`python -m benchmarks.kill CONFIG --times 100`: kill a run at random moments, go on, and compare every output.

Each time a run is killed (SIGKILL, nothing can be tidied up) after a random share of its usual time, in half of the
times its continuation is killed too; then it goes on to its end. All outputs must be those of a run left alone.
"""

import argparse
import hashlib
import json
import platform
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


def main() -> int:
    """Run the comparison that the command line asks for; exit code 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file for the result")
    asked = parser.parse_args()
    # Spaces and letters beyond ASCII belong to a bad day.
    with TemporaryDirectory(prefix="größte Störung ") as place:
        result = compare(asked.config, Path(place), asked.times, random.Random(asked.seed))
    print(json.dumps({name: value for name, value in result.items() if name != "runs"}, indent=1))
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 1 if result["n_different"] or result["n_failed"] else 0


def compare(config: Path, place: Path, times: int, rng: random.Random) -> dict[str, Any]:
    """Kill and resume so many runs; what became of each."""
    whole = place / "left alone"
    start = time.perf_counter()
    if run(config, whole):
        raise SystemExit("the run left alone fails; try it by itself first")
    seconds = time.perf_counter() - start
    expected = read_outputs(whole)
    runs: list[dict[str, Any]] = []
    for number in range(times):
        folder = place / f"killed {number}"
        moments = [rng.uniform(0, seconds)] + [rng.uniform(0, seconds / 2)] * rng.randint(0, 1)
        killed_in = [kill(config, folder, moment) for moment in moments]
        code = run(config, folder, *go_on(folder))
        found = read_outputs(folder) if code == 0 else {}
        runs.append(
            {
                "killed_after_seconds": [round(moment, 3) for moment in moments],
                "killed_in": killed_in,
                "exit_code": code,
                "different": sorted(
                    name for name in expected.keys() | found.keys() if found.get(name) != expected.get(name)
                ),
            }
        )
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "times": times,
        "n_outputs": len(expected),
        "usual_seconds": round(seconds, 1),
        "n_failed": sum(done["exit_code"] != 0 for done in runs),
        "n_different": sum(bool(done["different"]) for done in runs),
        "killed_in": count([stage for done in runs for stage in done["killed_in"]]),
        "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "runs": runs,
    }


def run(config: Path, folder: Path, *further: str) -> int:
    """A run to its end; gives the exit code."""
    return subprocess.run(_command(config, folder, *further), capture_output=True, check=False).returncode


def go_on(folder: Path) -> list[str]:
    """How a run in this folder is gone on with; it may have been killed before it made the folder."""
    return ["--resume"] if folder.exists() else []


def kill(config: Path, folder: Path, seconds: float) -> str:
    """Begin a run, or go on with it, and kill it; gives the stage it was in."""
    process = subprocess.Popen(
        _command(config, folder, *go_on(folder)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if not (folder / "manifest.json").exists():
        return "before the first stage"
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    return f"after {manifest['stages'][-1]['name']}" if manifest["stages"] else "in the first stage"


def read_outputs(folder: Path) -> dict[str, str]:
    """The hash of every file that a run leaves, but for its log and manifest, which hold times."""
    files = [
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("log.jsonl", "manifest.json")
    ]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
    }


def count(words: list[str]) -> dict[str, int]:
    """How often each word occurs."""
    return {word: words.count(word) for word in sorted(set(words))}


def _command(config: Path, folder: Path, *further: str) -> list[str]:
    return [sys.executable, "-m", "miglink", "run", str(config), "--out", str(folder), *further]


if __name__ == "__main__":
    sys.exit(main())
