"""`python .ci/wheelhouse.py DIR --platform …`: every wheel that miglink needs, and a lock with their hashes.

For networks without internet: run it where there is one, carry DIR over, and install from it (README). Needs pip 23 or
later. Only wheels are taken, so nothing has to be compiled. pip evaluates markers such as `sys_platform == "win32"` for
the machine it runs on; requirements of other systems are therefore followed here, wheel by wheel.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path
from tempfile import TemporaryDirectory

from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).parents[1]
SYSTEMS = {
    "linux_x86_64": (
        ["manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64", "linux_x86_64"],
        {
            "sys_platform": "linux",
            "platform_system": "Linux",
            "os_name": "posix",
            "platform_machine": "x86_64",
        },
    ),
    "win_amd64": (
        ["win_amd64"],
        {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
    ),
}


def main() -> int:
    """Fill the folder for every platform and Python version asked for, and write its lock."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--platform", choices=SYSTEMS, nargs="+", default=["linux_x86_64", "win_amd64"])
    parser.add_argument("--python", nargs="+", default=["3.11", "3.12", "3.13"])
    parser.add_argument(
        "--extra", choices=["spark", "sdmx", "sdc"], default="", help="with what this extra needs"
    )
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    own = build_own(asked.folder)
    pins = resolve(own, asked.extra)
    needed = {
        platform: set().union(
            *(fetch(asked.folder, own, pins, (platform, python, asked.extra)) for python in asked.python)
        )
        for platform in asked.platform
    }
    lock = asked.folder / "requirements.lock"
    lock.write_text("\n".join(lock_lines(asked.folder, needed)) + "\n", encoding="utf-8", newline="\n")
    n_wheels = len(list(asked.folder.glob("*.whl")))
    print(f"{n_wheels} wheels for {', '.join(asked.platform)} and Python {', '.join(asked.python)}: {lock}")
    return 0


def build_own(folder: Path) -> Path:
    """The wheel of miglink itself."""
    for old in folder.glob("miglink-*.whl"):
        old.unlink()
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    return next(folder.glob("miglink-*.whl"))


def resolve(own: Path, extra: str) -> dict[str, str]:
    """The version of every package that miglink needs on this machine, as pip chooses them together."""
    with TemporaryDirectory() as place:
        report = Path(place) / "report.json"
        pip(
            "install",
            "--quiet",
            "--dry-run",
            "--ignore-installed",
            "--report",
            str(report),
            f"{own}[{extra}]",
        )
        installed = json.loads(report.read_text("utf-8"))["install"]
    versions = {
        canonicalize_name(found["metadata"]["name"]): found["metadata"]["version"] for found in installed
    }
    return {name: version for name, version in versions.items() if name != "miglink"}


def fetch(folder: Path, own: Path, pins: dict[str, str], target: tuple[str, str, str]) -> set[str]:
    """The wheels for a platform, Python version and extra, followed from need to need; gives their names."""
    platform, python, extra = target
    tags, markers = SYSTEMS[platform]
    environment = {**markers, "python_version": python, "python_full_version": f"{python}.0"}
    seen: set[tuple[str, frozenset[str]]] = set()
    # Needs have extras of their own: pysdmx[xml] needs lxml.
    to_follow = [(own, {extra})]
    while to_follow:
        wheel, extras = to_follow.pop()
        asked = [{**environment, "extra": one} for one in extras or {""}]
        for requirement in requirements_of(wheel):
            name = canonicalize_name(requirement.name)
            marker, further = requirement.marker, frozenset(requirement.extras)
            if (name, further) in seen or (marker and not any(map(marker.evaluate, asked))):
                continue
            seen.add((name, further))
            wanted = f"{name}=={pins[name]}" if name in pins else str(requirement).partition(";")[0]
            needed = download(folder, wanted, tags, python)
            pins[name] = str(parse_wheel_filename(needed.name)[1])
            to_follow.append((needed, {*further}))
    return {name for name, _ in seen}


def download(folder: Path, wanted: str, tags: list[str], python: str) -> Path:
    """One wheel, into the folder."""
    chosen = [argument for tag in tags for argument in ("--platform", tag)]
    with TemporaryDirectory() as place:
        if wanted.startswith(
            "pyspark=="
        ):  # published as source only; nothing of it is compiled, one wheel fits all
            name, _, version = wanted.partition("==")
            built = list(folder.glob(f"{name}-{version}-py*-none-any.whl"))
            if built:
                return built[0]
            pip("wheel", "--quiet", "--no-deps", "--wheel-dir", place, wanted)
        else:
            pip(
                "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--python-version", python,
                *chosen, "--dest", place, wanted,
            )  # fmt: skip
        (wheel,) = Path(place).glob("*.whl")
        return Path(shutil.copy(wheel, folder))


def requirements_of(wheel: Path) -> Iterator[Requirement]:
    """What a wheel says that it needs."""
    with zipfile.ZipFile(wheel) as packed:
        name = next(name for name in packed.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(packed.read(name).decode("utf-8"))
    return (Requirement(text) for text in metadata.get_all("Requires-Dist", []))


def lock_lines(folder: Path, needed: dict[str, set[str]]) -> Iterator[str]:
    """One pinned requirement for each package, with the hashes of all its wheels in the folder.

    A package that only some of the systems need (colorama on Windows) says so.
    """
    hashes: dict[tuple[str, str], list[str]] = {}
    for wheel in sorted(folder.glob("*.whl")):
        name, version, *_ = parse_wheel_filename(wheel.name)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        hashes.setdefault((name, str(version)), []).append(f"    --hash=sha256:{digest}")
    for (name, version), lines in sorted(hashes.items()):
        needs = [SYSTEMS[system][1]["sys_platform"] for system, names in needed.items() if name in names]
        is_for_all = name == "miglink" or len(needs) == len(needed)
        marker = "" if is_for_all else " ; " + " or ".join(f'sys_platform == "{system}"' for system in needs)
        yield " \\\n".join([f"{name}=={version}{marker}", *lines])


def pip(*arguments: str) -> None:
    """Run pip; its own words say what went wrong."""
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main())
