"""`miglink compare` on whole runs: a delivery cut earlier, and a link that a clerk has made since."""

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from given_run import BORDER, CONFIG, write
from miglink.cli import main
from miglink.tables import COMPARISON_TABLES

# Perez leaves for good in 2014, and Adams comes a month later: one person with two names, as a clerk has found.
FURTHER = "2014-08-01,arrival,ADAMS,1975-02-03,C3\n"
JUDGED = """\
  clerks:
    kind: judgements
    files: judgements.csv
    columns: {source_l: sl, record_id_l: l, source_r: sr, record_id_r: r, verdict: v}
residence:"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    """To the end of 2014, two years later, and with the judgement; up to the figures."""
    folder = tmp_path_factory.mktemp("runs")
    header, *rows = (BORDER + FURTHER).splitlines()
    numbered = [f"r{number},{row}" for number, row in enumerate(rows)]
    write(folder, "\n".join([f"ID,{header}", *numbered]) + "\n", "border.csv")
    write(folder, "sl,l,sr,r,v\nborder,r1,border,r4,match\n", "judgements.csv")
    plain = CONFIG.replace("columns: {", "columns: {record_id: ID, ")
    write(folder, plain, "plain.yml")
    write(folder, plain.replace("residence:", JUDGED), "judged.yml")
    found = []
    for name, config, to in (
        ("early", "plain", "2014-12-31"),
        ("late", "plain", "2016-12-31"),
        ("joined", "judged", "2016-12-31"),
    ):
        command = ["run", str(folder / f"{config}.yml"), "--out", str(folder / name), "--to", "estimates"]
        assert main([*command, "--set", f"period.to={to}"]) == 0
        found.append(folder / name)
    return found


def test_what_a_clerk_joined_and_what_time_settled(
    runs: Sequence[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    files = ["--json", str(tmp_path / "found.json"), "--out", str(tmp_path / "cells")]
    assert main(["compare", *map(str, runs), *files]) == 0
    printed = capsys.readouterr().out
    text = (tmp_path / "found.json").read_text("utf-8")
    found = json.loads(text)
    moved = {
        (row["earlier"], row["figure"], row["reason"]): (row["n_added"], row["n_removed"])
        for row in found["movers"]
        if (row["period"], row["measure"]) == ("2014", "n_settled")
    }
    assert moved == {
        (1, "emigration", "settled"): (1, 0),
        (1, "immigration", "settled"): (1, 0),
        (2, "emigration", "merged"): (0, 1),
        (2, "immigration", "merged"): (0, 1),
    }
    assert [vintage["data_to_date"] for vintage in found["vintages"]] == [
        "2015-01-01",
        "2017-01-01",
        "2017-01-01",
    ]
    assert {change["key"] for change in found["settings"][1]["changes"]} >= {"sources.clerks.kind"}
    assert "Immigration: rule nz_12_16, policy unresolved" in printed
    assert "several persons of the earlier run are one" in printed
    for name, contract in COMPARISON_TABLES.items():
        table = pl.read_parquet(tmp_path / "cells" / f"{name}.parquet")
        assert table.columns == [column.name for column in contract.columns]
        csv = (tmp_path / "cells" / f"{name}.csv").read_text("utf-8")
        assert csv.count("\n") == table.height + 1
        text += csv
    persons = [pl.read_parquet(run / "tables" / "persons.parquet")["person_id"].to_list() for run in runs]
    for hidden in ("PEREZ", "ADAMS", "1980-05-17", *(person[:8] for ids in persons for person in ids)):
        assert hidden not in printed + text
    assert not list(runs[2].glob(".miglink-*"))


def test_what_is_asked_wrongly(
    runs: Sequence[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "", "full.txt")
    for arguments, said in (
        ([runs[0]], "two runs or more"),
        ([*runs[:2], "--out", tmp_path], "not an empty folder"),
        ([*runs[:2], "--json", tmp_path], "expected a file"),
        ([*runs[:2], "--period", "1999"], "--period 1999: no figure is of it"),
    ):
        assert main(["compare", *map(str, arguments)]) == 2
        assert said in capsys.readouterr().err


def test_accounts_alone(runs: Sequence[Path], capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["compare", *map(str, runs[:2]), "--table", "accounts"]) == 0
    printed = capsys.readouterr().out
    assert "Accounts: terms that were revised" in printed and "2014 closing" in printed
    assert "who moved" not in printed
