"""The front door: what a user types, sees and gets as exit code."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import miglink
from given_run import BORDER, CONFIG, run, write
from miglink import cli
from miglink.cli import main
from miglink.errors import SourceError
from miglink.tables import TABLES

CROSSINGS = """\
person_id,crossed_date,direction,note
ada,2012-03-01,arrival,"x, y"
bob,2013-05-01,departure,
ada,2014-01-01,departure,""
ada,2014-02-01,arrival,é
"""


def classify(path: Path, out: Path, *further: str) -> int:
    window = ("--observed-from", "2010-01-01", "--observed-to", "2018-01-01")
    return main(["classify", str(path), "--rule", "nz_12_16", *window, "--out", str(out), *further])


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"miglink {miglink.__version__}\n"


@pytest.mark.parametrize(
    "command", [["run"], ["rnu"], ["run", "x.yml", "--sett", "a=b"], ["classify", "x.csv"]]
)
def test_a_wrong_command_is_usage(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Error" in printed.err


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, miglink.cli; miglink.cli.main(['--help']); print(sorted(sys.modules), file=sys.stderr)"
    )
    found_here = {**os.environ, "PYTHONPATH": str(Path(miglink.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=found_here
    )
    modules = {name.split(".")[0] for name in done.stderr.replace("'", "").strip("[]\n").split(", ")}
    assert "miglink" in modules
    assert not modules & {"duckdb", "polars", "pyarrow", "pydantic", "splink", "structlog", "ruamel"}
    assert "classify" in done.stdout


def test_tables_are_listed_in_three_forms(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tables"]) == 0
    assert "spells (spells): " in capsys.readouterr().out
    assert main(["tables", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["spells"]["key"] == [
        "draw",
        "person_id",
        "start_date",
        "sequence",
    ]
    assert main(["tables", "--format", "markdown"]) == 0
    assert "## spells" in capsys.readouterr().out


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert "sources" in json.loads(capsys.readouterr().out)["required"]


def test_a_key_is_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "secret.key"
    assert main(["key", str(path)]) == 0
    first = path.read_text("ascii").strip()
    assert len(bytes.fromhex(first)) == 32
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert main(["key", str(path)]) == 2
    assert path.read_text("ascii").strip() == first
    assert main(["key", str(tmp_path / "none" / "secret.key")]) == 2
    printed = capsys.readouterr()
    assert first not in printed.out + printed.err
    assert "never overwritten" in printed.err


def test_a_wrong_configuration_is_reported_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write(tmp_path, "name: x\nperiot: {}\n", "config.yml")
    assert main(["run", str(config), "--out", str(tmp_path / "run")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "config.yml:2:1: periot: unknown key, did you mean 'period'?" in printed.err
    assert "config.yml:1:1: sources: missing" in printed.err
    assert [path.name for path in tmp_path.iterdir()] == ["config.yml"]


def test_errors_are_said_without_traceback_or_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail_with(error: Exception) -> int:
        error.add_note("stage ingest; log: runs/x/log.jsonl")

        def app(**_: object) -> None:
            raise error

        monkeypatch.setattr(cli, "app", app)
        return main(["schema"])

    assert fail_with(ValueError("PEREZ GOMEZ")) == 1
    said = capsys.readouterr().err
    assert "ValueError" in said
    assert "stage ingest; log: runs/x/log.jsonl" in said
    assert "PEREZ" not in said
    assert "Traceback" not in said
    assert fail_with(SourceError("source border: no file matches x.csv")) == 1
    assert capsys.readouterr().err.startswith("source border: no file matches x.csv\n")
    assert fail_with(BrokenPipeError()) == 1
    assert capsys.readouterr().err == ""


def test_crossings_are_classified_in_their_own_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    assert classify(write(tmp_path, CROSSINGS), out) == 0
    assert capsys.readouterr().out.startswith(
        "4 crossings of 2 persons under nz_12_16, unresolved: 2 migrations"
    )
    assert out.read_text("utf-8").splitlines() == [
        "person_id,crossed_date,direction,note,status_before,status_after,is_migration,status_final_date,"
        "migration_final_date",
        'ada,2012-03-01,arrival,"x, y",non_resident,resident,true,2013-03-01,2013-03-01',
        "bob,2013-05-01,departure,,resident,non_resident,true,2014-05-01,2014-05-01",
        'ada,2014-01-01,departure,"",resident,resident,false,2014-06-03,2014-06-03',
        "ada,2014-02-01,arrival,é,resident,resident,false,2014-06-03,2014-02-01",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["crossings.csv", "out.csv"]


def test_parquet_and_csv_give_the_same(tmp_path: Path) -> None:
    path = write(tmp_path, CROSSINGS)
    typed = pl.read_csv(path).with_columns(
        pl.col("crossed_date").str.to_date().cast(pl.Datetime("ms")).dt.replace_time_zone("Asia/Tokyo")
    )
    typed.rename({"crossed_date": "crossed_at"}).write_parquet(tmp_path / "crossings.parquet")
    assert classify(path, tmp_path / "a.parquet") == 0
    assert classify(tmp_path / "crossings.parquet", tmp_path / "b.parquet") == 0
    first, second = pl.read_parquet(tmp_path / "a.parquet"), pl.read_parquet(tmp_path / "b.parquet")
    assert second["crossed_at"].dtype == pl.Datetime("ms", "Asia/Tokyo")
    assert first.drop("crossed_date").equals(second.drop("crossed_at"))
    assert first["is_migration"].to_list() == [True, True, False, False]


def test_sequence_and_initial_status_are_heard(tmp_path: Path) -> None:
    text = (
        "person_id,crossed_at,direction,sequence,initial_status\n"
        "ada,2012-03-01 10:00,departure,,resident\n"
        "ada,2014-03-01T09:30:15,arrival,,\n"
        "bob,2012-03-01 00:00,arrival,2,Resident\n"
    )
    out = tmp_path / "out.csv"
    assert classify(write(tmp_path, text), out) == 0
    rows = pl.read_csv(out)
    assert rows["status_before"].to_list() == ["resident", "non_resident", "resident"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("person_id", "person", "crossings.csv: no column person_id"),
        ("crossed_date", "date", "crossings.csv: no column crossed_date (or crossed_at)"),
        ("bob,", " ,", "crossings.csv: row 2: person_id is blank"),
        ("arrival", "in", "crossings.csv: row 1, 4: direction is neither arrival nor departure"),
        ("2013-05-01", "01/05/2013", "crossings.csv: row 2: crossed_date is blank or no date such as 2019-03-31"),
        ("2013-05-01", "2013-02-30", "crossings.csv: row 2: crossed_date is blank or no date such as 2019-03-31"),
        (CROSSINGS, "person_id,crossed_date,direction\n", "crossings.csv has no rows"),
        (CROSSINGS, "", "crossings.csv is empty"),
        (CROSSINGS, CROSSINGS + "a,b,c,d,e,f\n", "crossings.csv cannot be read as CSV"),
        ("note", "sequence", "crossings.csv: row 1, 4: sequence is no whole number"),
        ("note", "initial_status", "crossings.csv: row 1, 4: initial_status is neither"),
        ("note", "status_before", "crossings.csv already has the columns status_before"),
    ],
)  # fmt: skip
def test_crossings_that_cannot_be_used_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, said: str
) -> None:
    out = tmp_path / "out.csv"
    assert old in CROSSINGS
    assert classify(write(tmp_path, CROSSINGS.replace(old, new)), out) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert not any(value in printed.err for value in ("ada", "bob", "01/05/2013", "2013-02-30"))
    assert [path.name for path in tmp_path.iterdir()] == ["crossings.csv"]


@pytest.mark.parametrize(
    ("further", "said"),
    [
        (["--rule", "nz_12_61"], "did you mean 'nz_12_16'?"),
        (["--policy", "middle"], "known: unresolved, midpoint"),
        (["--out", "out.xlsx"], "must end in .csv or .parquet"),
        (["--out", "none/out.csv"], "the folder none does not exist"),
        (["--observed-to", "2009-01-01"], "--observed-to must be later than --observed-from"),
        (["--observed-to", "2009-13-01"], "does not match the formats"),
    ],
)
def test_wrong_options_of_classify_are_usage(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    further: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert classify(write(tmp_path, CROSSINGS), Path("out.csv"), *further) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in " ".join(printed.err.replace("│", " ").split())


def test_the_file_of_the_crossings_is_never_overwritten(tmp_path: Path) -> None:
    path = write(tmp_path, CROSSINGS)
    assert classify(path, path) == 2
    assert path.read_text("utf-8") == CROSSINGS
    assert classify(tmp_path / "none.csv", tmp_path / "out.csv") == 1


def test_policies_change_what_a_missing_crossing_means(tmp_path: Path) -> None:
    text = "person_id,crossed_date,direction\nann,2012-03-01,arrival\nann,2014-03-01,arrival\n"
    path = write(tmp_path, text)
    migrations = {}
    for policy in ("unresolved", "midpoint", "reject_person"):
        assert classify(path, tmp_path / f"{policy}.csv", "--policy", policy) == 0
        migrations[policy] = pl.read_csv(tmp_path / f"{policy}.csv")["is_migration"].to_list()
    assert migrations["reject_person"] == [False, False]
    assert migrations["midpoint"][0] is True
    assert migrations["unresolved"][0] is None


def test_a_run_leaves_its_record_and_its_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, CONFIG, "config.yml")
    write(tmp_path, BORDER, "border.csv")
    assert run(tmp_path) == 0, capsys.readouterr().err
    printed = capsys.readouterr()
    assert "Demonstration key" in printed.err
    assert "9/9 publish" in printed.err
    assert "Migration by year" in printed.out
    assert "nz_12_16" in printed.out
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text("utf-8"))
    assert manifest["state"] == "finished"
    assert [stage["name"] for stage in manifest["stages"]] == [
        "ingest", "identities", "linkage", "persons", "spells", "residence", "estimates", "quality", "publish",
    ]  # fmt: skip
    assert manifest["stages"][0]["outputs"]["records"]["rows"] == 3
    assert manifest["stages"][0]["outputs"]["rejected"]["rows"] == 1
    written = {path.stem for path in (tmp_path / "run" / "tables").iterdir()}
    assert written == set(TABLES)
    assert {path.stem for path in (tmp_path / "run" / "outputs").iterdir()} == {
        "report",
        "stocks",
        "flows",
        "accounts",
        "stock_differences",
        "flow_differences",
        "person_time",
        "mobility",
        "list_status",
        "expired_stays",
        "quality",
        "datapackage",
    }
    said = printed.out + printed.err
    for name in ("manifest.json", "log.jsonl"):
        said += (tmp_path / "run" / name).read_text("utf-8")
    assert not any(value in said for value in ("PEREZ", "ILIESCU", "1980-05-17"))


@pytest.mark.parametrize(
    ("change", "further", "said"),
    [
        (("border.csv", "bordr.csv"), [], "source border: no file matches"),
        (("direction: WAY", "direction: WEG"), [], "WEG"),
        (("", ""), ["--set", "sources.border.bounds.min_rows=9"], "min_rows"),
        (("", ""), ["--set", "sources.border.bounds.max_rejected_share=0.1"], "max_rejected_share"),
    ],
)
def test_a_run_that_fails_says_why_and_leaves_nothing_half_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], further: list[str], said: str
) -> None:
    write(tmp_path, CONFIG.replace(*change), "config.yml")
    write(tmp_path, BORDER, "border.csv")
    assert run(tmp_path, *further) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert "stage ingest; log: " in printed.err
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text("utf-8"))
    assert (manifest["state"], manifest["error"]["stage"]) == ("failed", "ingest")
    assert not list((tmp_path / "run").rglob("*.part"))
    assert not list((tmp_path / "run").rglob("scratch"))
    assert run(tmp_path) == 2  # the folder holds the record of the failure
