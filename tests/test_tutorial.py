"""The tutorial runs as it is written, from the first line to the last, in a folder of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def environment(folder: Path) -> dict[str, str]:
    """A shell in which `miglink` and `python` are those under test."""
    programs = folder / "bin"
    programs.mkdir()
    for name, call in (("miglink", "-m miglink"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {call} "$@"\n', encoding="utf-8")
        (programs / name).chmod(0o755)
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}


def test_the_tutorial_runs_as_it_is_written(tmp_path: Path) -> None:
    blocks = _BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text("utf-8"))
    assert [kind for kind, _, _ in blocks].count("sh") > 7
    variables, said = environment(tmp_path), ""
    folder = tmp_path / "a lesson"
    folder.mkdir()
    for kind, title, body in blocks:
        if kind == "yaml":
            (folder / title.strip().removeprefix("file=")).write_text(body, encoding="utf-8")
        elif kind == "text":
            assert all(line in said for line in body.splitlines()), body + said
        else:
            command = ["bash", "-eu", "-c", body] if kind == "sh" else [sys.executable, "-c", body]
            done = subprocess.run(
                command, cwd=folder, env=variables, capture_output=True, text=True, check=False
            )
            said = done.stdout + done.stderr
            assert (done.returncode == 2) if title.strip() == "fails" else (done.returncode == 0), body + said
            assert said.strip() or ">" in body or "key" in body, body
    assert (folder / "lesson" / "outputs" / "flows.csv").exists()
