"""A little run for tests of the command line: its files, and how it is started."""

from pathlib import Path

from miglink.cli import main

CONFIG = """\
name: little
period: {from: 2012-01-01, to: 2016-12-31}
key: {demo: true}
sources:
  border:
    kind: crossings
    files: border.csv
    columns: {crossed_at: DAY, direction: WAY, surname: NAME, birth_date: BORN, document_number: PASS}
    bounds: {min_rows: 3, max_rejected_share: 0.5}
residence: {rules: [nz_12_16]}
estimates: {reporting_country: NZL}
"""
BORDER = """\
DAY,WAY,NAME,BORN,PASS
2012-03-01,arrival,PEREZ,1980-05-17,A1
2014-07-01,departure,PEREZ,1980-05-17,A1
2013-05-01,arrival,ILIESCU,1991-12-03,B2
2013-09-31,departure,ILIESCU,1991-12-03,B2
"""


def run(folder: Path, *further: str) -> int:
    return main(["run", str(folder / "config.yml"), "--out", str(folder / "run"), *further])


def write(folder: Path, text: str, name: str = "crossings.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
