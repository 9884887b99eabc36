"""Table shells from configuration to files: shells of the user's own, what is wrong with one, check, run."""

import json
import re
from pathlib import Path

import polars as pl
import pytest

from given_run import BORDER, CONFIG, run, write
from miglink.cli import main
from miglink.config import read_config
from miglink.errors import ConfigError

PUBLISHED = CONFIG.replace("columns: {", "columns: {citizenship: NATION, ") + (
    "publish:\n  tables: [own.yml, migr_pop1ctz, migr_imm5prv]\n  table_rules: {migr_imm5prv: nz_12_16}\n"
)
OWN = """\
name: arrivals_by_age
title: Arrivals by age
publisher: the office
reference: its handbook
looked_up: 2026-01-31
measure: immigration
rules: [{rule: nz_12_16}]
columns:
  year: {gives: year, meaning: year}
  age: {dimension: age_group, codes: {total: all, "0..29": young}, meaning: age}
  n: {gives: value, meaning: settled immigrations}
  when: {gives: flag, codes: {provisional: early}, meaning: what is provisional}
"""


def prepare(folder: Path, config: str = PUBLISHED, own: str = OWN) -> None:
    lines = [f"{line},{'NATION' if n == 0 else 'NOR'}" for n, line in enumerate(BORDER.splitlines())]
    write(folder, "\n".join(lines) + "\n", "border.csv")
    write(folder, config, "config.yml")
    write(folder, own, "own.yml")


def test_a_run_writes_the_tables_and_says_which_it_cannot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(tmp_path)
    assert main(["check", str(tmp_path / "config.yml"), "--format", "json"]) == 0
    readiness = json.loads(capsys.readouterr().out)["readiness"]
    before = {row["name"]: row for row in readiness if row["kind"] == "table" and row["is_asked"]}
    assert run(tmp_path) == 0, capsys.readouterr().err
    outputs = tmp_path / "run" / "outputs"
    said = pl.read_parquet(outputs / "shells.parquet")
    assert dict(said.select("shell", "is_produced").iter_rows()) == {
        "arrivals_by_age": True, "migr_pop1ctz": False, "migr_imm5prv": False,
    }  # fmt: skip
    # The check has said the same of configuration and columns.
    for row in said.iter_rows(named=True):
        checked = before.pop(row["shell"])
        assert (checked["produced"] != "no") == row["is_produced"], row["shell"]
        lacking = [limit for limit in checked["limits"] if limit["effect"] == "prevents"]
        assert "; ".join(limit["reason"] for limit in lacking) == (row["reason"] or ""), row["shell"]
        assert "; ".join(limit["needs"] for limit in lacking) == (row["needs"] or ""), row["shell"]
    assert not before
    assert "travellers only" in said.filter(shell="migr_pop1ctz")["reason"].item()
    assert "no source holds the sex" in said.filter(shell="migr_imm5prv")["reason"].item()

    table = pl.read_parquet(outputs / "arrivals_by_age.parquet")
    flows = pl.read_parquet(outputs / "flows.parquet").filter(
        flow="immigration", age_group="total", sex="total", citizenship="total", citizenship_group="total"
    )
    years = flows.filter(pl.col("period").str.len_chars() == 4).sort("period")
    totals = table.filter(age="all").sort("year")
    assert totals["year"].to_list() == years["period"].to_list()
    assert totals["n_settled"].to_list() == years["n_settled"].to_list()
    # All years have a headline; in the first somebody is in doubt.
    assert totals["n"].to_list() == [round(n) for n in years["n"]]
    assert years["n"].sum() > years["n_settled"].sum() > 0
    assert totals["when"].to_list() == ["early" if s == "provisional" else None for s in years["status"]]
    assert pl.read_parquet(outputs / "migr_pop1ctz.parquet").is_empty()
    assert pl.read_csv(outputs / "arrivals_by_age.csv", schema=table.schema).equals(table)
    package = json.loads((outputs / "datapackage.json").read_text("utf-8"))
    described = {resource["name"]: resource for resource in package["resources"]}
    assert described["arrivals_by_age.csv"]["schema"]["primaryKey"] == ["year", "age"]
    assert "its handbook" in described["arrivals_by_age.parquet"]["description"]


@pytest.mark.parametrize(
    ("config", "own", "said"),
    [
        (
            "own.yml, migr_imm1ctzz",
            "",
            r"publish.tables: table 'migr_imm1ctzz': .*did you mean 'migr_imm1ctz'",
        ),
        ("nowhere.yml", "", r"nowhere.yml: the table cannot be read"),
        ("own.yml, own.yml", "", "one is given twice"),
        (
            "own.yml], table_rules: {migr_imm1ctz: nz_12_16}, formats: [csv",
            "",
            "'migr_imm1ctz' is none of `tables`",
        ),
        ("own.yml], table_rules: {arrivals_by_age: eu_2013}, formats: [csv", "", "none of residence.rules"),
        ("own.yml", "name: stocks", "'stocks' is the name of a table of miglink"),
        ("own.yml", "measure: stok", r"own.yml:6:10: measure: expected .*did you mean 'stock'"),
        ("own.yml", "titel: x", r"titel: unknown key, did you mean 'title'"),
        (
            "own.yml",
            "age: {dimension: age, constant: A, meaning: x}",
            "exactly one of `dimension`, `constant`",
        ),
        (
            "own.yml",
            "age: {dimension: age, lists: [eurostat_age], meaning: x}",
            "no code list is called 'eurostat_age'",
        ),
        (
            "own.yml",
            "age: {constant: A, meaning: x}\nwhere: {purpose: [work]}\nmeasure: stock",
            "a stock has no purpose",
        ),
        ("own.yml", "rule: {gives: period, meaning: x}", "miglink adds a column 'rule' of its own"),
        ("own.yml", "AGE: {constant: x, meaning: x}", "two names differ in capitals alone"),
        ("own.yml", "n: {constant: x, meaning: x}", "exactly one must give the figure"),
        (
            "own.yml",
            "where: {birth_group: [foreigner]}",
            "birth_group is never 'foreigner'; known: native, foreign",
        ),
        ("own.yml", "when: {gives: flag, codes: {early: p}, meaning: x}", "flag is never 'early'"),
        ("own.yml", "sort: {dimension: a, meaning: x}\nwhere: {b: [c]}", "a and b are further columns"),
    ],
)
def test_what_is_wrong_with_a_shell_is_said_at_its_place(
    tmp_path: Path, config: str, own: str, said: str
) -> None:
    """Each change replaces the key of its name, or is added: to the columns if it is one."""
    text = OWN
    for line in own.splitlines():
        key = line.partition(":")[0]
        indent = "  " if "meaning" in line else ""
        text, n = re.subn(rf"(?m)^{indent}{key}:.*$", indent + line, text)
        if not n:
            text = text + indent + line + "\n" if indent else line + "\n" + text
    changed = CONFIG + f"publish: {{tables: [{config}]}}\n"
    prepare(tmp_path, changed.replace("columns: {", "columns: {citizenship: NATION, "), text)
    with pytest.raises(ConfigError, match=said):
        read_config(tmp_path / "config.yml")
