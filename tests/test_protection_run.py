"""Runs whose outputs are protected: what they print, keep from one to the next, and never write."""

from pathlib import Path

import polars as pl
import pytest

from given_protected import KEY
from given_run import BORDER, CONFIG, run, write


def write_run(folder: Path, *further: str) -> None:
    """Seven travellers who immigrate in 2013, and a configuration that protects their count."""
    (folder / "key").write_text(KEY, "ascii")
    (folder / "key").chmod(0o600)
    header, arrival, departure, *_ = BORDER.replace("2012-", "2013-").splitlines()
    travellers = [
        line.replace("PEREZ", f"PEREZ{'ABCDEFG'[n]}").replace("A1", f"A{n}").replace("1980", f"198{n}")
        for n in range(7)
        for line in (arrival, departure)
    ]
    write(folder, "\n".join([header, *travellers, *further]) + "\n", "border.csv")
    publication = "publish: {formats: [csv], protection: {method: cell_key}}\n"
    config = CONFIG.replace("key: {demo: true}", "key: {file: key}") + publication
    write(folder, config + ("persons: {previous: first}\n" if further else ""), "config.yml")


def printed_immigration(printed: str) -> int:
    line = next(line for line in printed.splitlines() if line.strip().startswith("2013"))
    return int(line.split()[1])


def test_protected_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path)
    assert run(tmp_path) == 0, capsys.readouterr().err
    first = capsys.readouterr().out
    assert "cell key perturbation" in first and "Left out: person_time." in first
    (tmp_path / "run").rename(tmp_path / "first")

    # The next run has another traveller, and keeps the ids, the keys and so the noise of those that it keeps.
    write_run(tmp_path, "2014-12-01,arrival,ILIESCU,1991-12-03,B2")
    assert run(tmp_path) == 0
    assert printed_immigration(capsys.readouterr().out) == printed_immigration(first)
    beside = (tmp_path / "run" / "outputs" / "report.html").read_text("utf-8")
    assert "data of the run before reach" in beside and "Flows, before and now" in beside
    keys, flows = [], []
    for folder in (tmp_path / "first", tmp_path / "run"):
        table = pl.read_parquet(folder / "tables" / "cell_keys.parquet")
        keys.append(table.filter(period="2013"))
        written = pl.read_csv(folder / "outputs" / "flows.csv", schema_overrides={"period": pl.String})
        flows.append(written.filter(period="2013").select("flow", "sex", "citizenship", "n_settled"))
    assert keys[0].height > 0 and keys[0].equals(keys[1])
    assert flows[0].height > 0 and flows[0].equals(flows[1])

    # Another method: what is printed is what is published, and not the seven of tables/.
    assert run(tmp_path, "--from", "publish", "--set", "publish.protection.method=random_rounding") == 0
    printed = capsys.readouterr().out
    assert "rounded at random to multiples of 3" in printed
    assert printed_immigration(printed) in (6, 9)
    tables, outputs = tmp_path / "run" / "tables", tmp_path / "run" / "outputs"
    assert pl.read_parquet(tables / "cell_keys.parquet").is_empty()
    assert 7 in pl.read_parquet(tables / "flows.parquet").filter(period="2013")["n_settled"].to_list()
    assert (pl.read_csv(outputs / "flows.csv")["n_settled"] % 3 == 0).all()
    assert not (outputs / "person_time.csv").exists()
    report = (outputs / "report.html").read_text("utf-8")
    assert "rounded at random to multiples of 3" in report and ">7<" not in report
    assert "not under the same disclosure control" in report
    for folder in (tmp_path / "first", tmp_path / "run"):
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert len(files) > 20
        assert not [path for path in files if KEY.encode() in path.read_bytes() or ".part" in str(path)]

    # A run that ends before it publishes shows no figure at all.
    assert run(tmp_path, "--from", "quality", "--to", "quality") == 0
    said = capsys.readouterr().out
    assert "not published yet" in said and "Migration by year" not in said
