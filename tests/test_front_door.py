"""The front door, further in: plans, steps, variables of the environment, questions to a run."""

import json
from pathlib import Path

import polars as pl
import pytest

from given_run import BORDER, CONFIG, run, write
from miglink.cli import main


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("linkage.comparisons=[{field: nmae}]", "linkage.comparisons: no field 'nmae'; there are name"),
        ("linkage.blocking=[[surname_kee]]", "linkage.blocking: there is no column 'surname_kee'"),
        ("linkage.model=nonsense", "linkage.model: "),
        ("persons.previous=nonsense", "is not the folder of a run"),
        ("estimates.traits=[education]", "no source maps 'education'"),
        ("estimates.breakdowns=[[sex, age_groop]]", "no dimension is called 'age_groop'"),
        ("residence=null", "no section `residence`, which stage spells needs"),
    ],
)
def test_what_is_wrong_with_the_configuration_is_said_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, said: str
) -> None:
    write(tmp_path, CONFIG, "config.yml")
    write(tmp_path, BORDER, "border.csv")
    assert run(tmp_path, "--set", override) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_dry_run_says_the_plan_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, CONFIG, "config.yml")
    write(tmp_path, BORDER, "border.csv")
    assert run(tmp_path, "--dry-run", "--to", "persons") == 0
    planned = capsys.readouterr().out
    assert "source border" in planned
    assert [line.split()[2] for line in planned.splitlines() if "stage" in line] == ["do"] * 4 + ["left"] * 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["border.csv", "config.yml"]
    assert run(tmp_path, "--to", "identities") == 0
    assert run(tmp_path, "--resume", "--dry-run") == 0
    planned = capsys.readouterr().out
    assert "stage identities    taken over" in planned
    assert "stage linkage       do: it was not done yet" in planned


def test_a_run_is_made_in_steps_with_variables_of_the_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, CONFIG, "config.yml")
    write(tmp_path, BORDER, "border.csv")
    monkeypatch.setenv("MIGLINK_RUNS", str(tmp_path / "all runs"))
    monkeypatch.setenv("MIGLINK_LOG_FORMAT", "json")
    monkeypatch.setenv("MIGLINK_PERSONS__ACCEPT_P_MATCH", "0.95")
    command = ["run", str(tmp_path / "config.yml")]
    assert main([*command, "--to", "persons"]) == 0
    assert "3 records, " in capsys.readouterr().out
    assert main([*command, "--resume"]) == 0
    assert "Migration by year" in capsys.readouterr().out
    assert main([*command, "--from", "estimates"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["stage"] for line in lines if line["event"] == "stage finished"] == [
        "estimates", "quality", "publish",
    ]  # fmt: skip
    (folder,) = (tmp_path / "all runs").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert (manifest["state"], manifest["config"]["persons"]["accept_p_match"]) == ("finished", 0.95)
    assert main([*command, "--resume"]) == 2
    (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()][-1:]
    assert (line["event"], line["exit_code"]) == ("failed", 2)
    assert "no unfinished run of 'little'" in line["message"]
    assert main([*command, "--to", "ingest", "--from", "publish"]) == 2
    assert "comes before --from" in capsys.readouterr().err


def test_the_presets_are_listed_in_words_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules"]) == 0
    text = capsys.readouterr().out
    assert "nz_12_16: 365 of the 487 days from a crossing" in text
    assert "not read in the primary source" in text
    assert main(["rules", "--format", "json"]) == 0
    rules = json.loads(capsys.readouterr().out)
    newer = {"abs_12_16", "days_183", "eu_2025"}
    on_evidence = {"register", "residency_index", "visa_span"}
    assert set(rules) == newer | on_evidence | {
        "eu_2013",
        "most_of_12",
        "nz_12_16",
        "schengen_90_180",
        "un_12_months",
    }
    assert rules["nz_12_16"]["window"]["value"] == 487


def test_check_and_explain_from_the_front_door(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write(tmp_path, CONFIG, "config.yml")
    write(tmp_path, BORDER, "border.csv")
    assert main(["check", str(config)]) == 0
    assert "no problem found" in capsys.readouterr().out
    assert main(["check", str(config), "--format", "json", "--set", "sources.border.bounds.min_rows=9"]) == 1
    assert json.loads(capsys.readouterr().out)["problems"]
    assert run(tmp_path) == 0
    person = pl.read_parquet(tmp_path / "run" / "tables" / "persons.parquet")["person_id"][0]
    capsys.readouterr()
    assert main(["explain", str(tmp_path / "run"), "--person", person[:12]]) == 0
    assert f"Person {person}" in capsys.readouterr().out
    assert main(["explain", str(tmp_path / "run"), "--person", person, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)
    for wrong in ([], ["--person", person, "--pair", "a", "b"]):
        assert main(["explain", str(tmp_path / "run"), *wrong]) == 2
        assert "give either --pair L R or --person ID" in capsys.readouterr().err
