"""The pictures of docs/report.md: the report of the small synthetic country, as a browser shows it."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import typer

from benchmarks.browser import open_page

# Name, width, palette, and the element at the top; a picture is as high as it is said to be.
_PICTURES = (
    ("report-headline", 1000, "light", "h1", 1150),
    ("report-dark", 1000, "dark", "#flows", 1150),
    ("report-linkage", 1000, "light", "#linkage", 1250),
)


def take(report: Path, folder: Path) -> list[Path]:
    """Take the pictures of a report into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    for name, width, scheme, start, height in _PICTURES:
        with open_page(report.resolve().as_uri()) as page:
            page.send(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=height,
                deviceScaleFactor=1,
                mobile=False,
            )
            feature = {"name": "prefers-color-scheme", "value": scheme}
            page.send("Emulation.setEmulatedMedia", features=[feature])
            top = page.evaluate(f"document.querySelector('{start}').getBoundingClientRect().top + scrollY")
            taken.append(folder / f"{name}.png")
            page.picture(taken[-1], {"x": 0, "y": max(top - 12, 0), "width": width, "height": height})
    return taken


def main(folder: Path, report: Path | None = None) -> None:
    """Take the pictures of a report; without one make the small country (seed 1) and run it first."""
    with TemporaryDirectory() as work:
        if report is None:
            country, run = Path(work) / "country", Path(work) / "run"
            for command in (
                ["synthetic", "small", "--seed", "1", "--out", str(country)],
                ["miglink", "run", str(country / "country.yml"), "--out", str(run)],
            ):
                subprocess.run([sys.executable, "-m", *command], check=True, stdout=subprocess.DEVNULL)
            report = run / "outputs" / "report.html"
        for path in take(report, folder):
            typer.echo(path)


if __name__ == "__main__":
    typer.run(main)
