"""What is compared: runs that can be and that cannot, what sets them apart, and what of them is asked for."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from given_vintages import copy_run, write_cases
from miglink.compare import Choice, compare_runs
from miglink.compare.inputs import open_vintages
from miglink.compare.settings import compare_settings
from miglink.errors import ConfigError, ResultError, SourceError


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    return write_cases(tmp_path_factory.mktemp("vintages"))


def test_what_cannot_be_compared_is_said(runs: Sequence[Path], tmp_path: Path) -> None:
    config = json.loads((runs[1] / "manifest.json").read_text("utf-8"))["config"]
    sources = {"border": {"kind": "crossings", "files": ["other.csv"]}, "visas": {"kind": "visas"}}
    rules = [*config["residence"]["rules"], {"name": "register"}]
    stages = [{"name": name, "outputs": {}, "rests_on": {"key": "b"}} for name in ("persons", "estimates")]
    residence = {"rules": rules, "policies": ["unresolved"]}
    apart = config | {"sources": sources, "residence": residence, "name": "renamed"}
    other = copy_run(runs[1], tmp_path / "b", config=apart, miglink="0.2.0", stages=stages)
    told = compare_settings(*open_vintages([other, runs[0]]))
    assert told.rules_apart == ("register",) and told.sources_apart == ("visas",)
    assert told.policies_apart == ("unresolved",)
    assert told.is_other_key and [named.key for named in told.software] == ["miglink"]
    keys = {change.key for change in told.changes}
    assert "sources.visas.kind" in keys and not keys & {"name", "period.to", "sources.border.files"}


def test_a_choice_narrows_every_table(runs: Sequence[Path]) -> None:
    narrow = compare_runs(runs, Choice("flows", "nz_12_16", "2017"))
    for name in ("revisions", "triangle", "movers"):
        assert set(narrow.tables[name]["part"]) == {"flows"}
        assert set(narrow.tables[name]["period"].str.head(4)) == {"2017"}
    assert narrow.tables["account_revisions"].is_empty()
    with pytest.raises(ConfigError, match="--rule nz: no figure is of it; the runs have nz_12_16"):
        compare_runs(runs, Choice(rule="nz"))


def test_runs_that_cannot_be_compared(runs: Sequence[Path], tmp_path: Path) -> None:
    good, other = runs
    with pytest.raises(ConfigError, match="two runs or more"):
        compare_runs([good])
    with pytest.raises(ConfigError, match="given twice"):
        compare_runs([good, other, good / ".." / good.name])
    with pytest.raises(ConfigError, match="holds no manifest"):
        compare_runs([good, tmp_path])
    manifests: Mapping[str, tuple[dict[str, Any], str]] = {
        "failed": ({"state": "failed"}, "not finished but failed"),
        "short": (
            {"state": "stopped", "stages": [{"name": "persons", "outputs": {}}]},
            "before the stage estim",
        ),
        "odd": ({"config": {}}, "does not state the configuration"),
    }
    for name, (manifest, said) in manifests.items():
        with pytest.raises(ConfigError, match=said):
            compare_runs([good, copy_run(other, tmp_path / name, **manifest)])


def test_tables_that_are_missing_elsewhere_or_of_another_version(
    runs: Sequence[Path], tmp_path: Path
) -> None:
    away = copy_run(runs[1], tmp_path / "away")
    place = away / "tables" / "migrations.parquet"
    pl.read_parquet(place).drop("outcome").write_parquet(place)
    with pytest.raises(SourceError, match="has no column outcome; another version"):
        compare_runs([runs[0], away])
    place.unlink()
    with pytest.raises(SourceError, match="no tables/migrations"):
        compare_runs([runs[0], away])
    place.mkdir()
    note = '{"address": "hdfs://there", "n_rows": 1, "n_bytes": {}, "checksums": {}}'
    (place / "_lies_at.json").write_text(note, encoding="utf-8")
    with pytest.raises(SourceError, match="lies at hdfs://there"):
        compare_runs([runs[0], away])


def test_tables_of_a_run_on_spark_are_folders(runs: Sequence[Path], tmp_path: Path) -> None:
    folders = copy_run(runs[0], tmp_path / "folders")
    for path in sorted((folders / "tables").glob("*.parquet")):
        rows = pl.read_parquet(path)
        path.unlink()
        path.mkdir()
        rows.write_parquet(path / "part-00000.parquet")
    again = compare_runs([folders, runs[1]])
    assert all(again.tables[name].equals(table) for name, table in compare_runs(runs).tables.items())


def test_figures_that_do_not_count_the_persons_are_refused(runs: Sequence[Path], tmp_path: Path) -> None:
    wrong = copy_run(runs[1], tmp_path / "wrong")
    path = wrong / "tables" / "flows.parquet"
    flows = pl.read_parquet(path)
    flows.with_columns(n_settled=pl.col("n_settled") + 1).write_parquet(path)
    with pytest.raises(ResultError, match="does not add up"):
        compare_runs([runs[0], wrong])
