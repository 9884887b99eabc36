"""The whole line on the agency files: run, run again, run with rows and files in another order."""

import gzip
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from frictionless import validate
from pysdmx.io import get_datasets

from miglink.tables.contract import DIMENSIONS

AGENCY = Path(__file__).parent / "data" / "agency"
DEMO = Path(__file__).parent.parent / "configs" / "agency.yml"
# Where a row stood is all that another order of rows may change.
PLACES = ("rejected",)


def run(config: Path, out: Path, *further: str) -> str:
    """Run miglink as a user does; gives what it prints."""
    command = [sys.executable, "-m", "miglink", "run", str(config), "--out", str(out), *further]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout


def shuffled(lines: list[bytes], rng: random.Random) -> list[bytes]:
    """Lines in another order; the header stays first and the control line last."""
    header, *rows = lines
    trailer = [row for row in rows if row.startswith(b"TOTAL REGISTROS")]
    rows = [row for row in rows if not row.startswith(b"TOTAL REGISTROS")]
    rng.shuffle(rows)
    return [header, *rows, *trailer]


def write_shuffled(folder: Path) -> Path:
    """The agency files with their rows in another order and the border files under other names, and a config."""
    rng = random.Random(20240101)
    shutil.copytree(AGENCY, folder / "agency")
    borders = sorted((folder / "agency" / "border").glob("*.csv"))
    names = [f"{number:02d}.csv" for number in range(len(borders))]
    rng.shuffle(names)
    for path, name in zip(borders, names, strict=True):
        lines = path.read_bytes().splitlines(keepends=True)
        path.unlink()
        (path.parent / name).write_bytes(b"".join(shuffled(lines, rng)))
    for name in ("visas.csv", "births.csv", "deaths.csv"):
        path = folder / "agency" / name
        path.write_bytes(b"".join(shuffled(path.read_bytes().splitlines(keepends=True), rng)))
    register = folder / "agency" / "register.csv.gz"
    lines = gzip.decompress(register.read_bytes()).splitlines(keepends=True)
    register.write_bytes(gzip.compress(b"".join(shuffled(lines, rng))))
    for name in ("permits.parquet", "activity.parquet"):
        path = folder / "agency" / name
        pl.read_parquet(path).sample(fraction=1, shuffle=True, seed=7).write_parquet(path)
    config = folder / "shuffled.yml"
    config.write_text(
        DEMO.read_text(encoding="utf-8").replace("../tests/data/agency", "agency"), encoding="utf-8"
    )
    return config


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the agency files."""
    out = tmp_path_factory.mktemp("first") / "run"
    (out.parent / "stdout.txt").write_text(run(DEMO, out), encoding="utf-8")
    return out


def hashes(folder: Path) -> dict[str, str]:
    """The hash of every table, from the manifest."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return {name: table["sha256"] for stage in manifest["stages"] for name, table in stage["outputs"].items()}


def table(folder: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(folder / "tables" / f"{name}.parquet")


def test_two_runs_give_the_same_bytes(first: Path, tmp_path: Path) -> None:
    run(DEMO, tmp_path / "again")
    assert len(hashes(first)) >= 19
    assert hashes(first) == hashes(tmp_path / "again")
    assert (first / "model.json").read_bytes() == (tmp_path / "again" / "model.json").read_bytes()


def test_the_order_of_rows_and_files_never_matters(first: Path, tmp_path: Path) -> None:
    run(write_shuffled(tmp_path), tmp_path / "run")
    before, after = hashes(first), hashes(tmp_path / "run")
    assert [name for name in before if before[name] != after[name]] == list(PLACES)
    counts = [
        table(folder, "rejected").group_by("source", "reason").len().sort("source", "reason")
        for folder in (first, tmp_path / "run")
    ]
    assert counts[0].equals(counts[1])


def test_every_row_is_accounted_for(first: Path) -> None:
    accounts = table(first, "row_accounts")
    lines = sum(
        1
        for path in (AGENCY / "border").glob("*.csv")
        for line in path.read_bytes().splitlines()[1:]
        if line and not line.startswith(b"TOTAL REGISTROS")
    )
    expected = {
        "border": lines,
        "visas": len((AGENCY / "visas.csv").read_text(encoding="utf-8").splitlines()) - 1,
        "births": len((AGENCY / "births.csv").read_text(encoding="utf-8").splitlines()) - 1,
        "deaths": len((AGENCY / "deaths.csv").read_text(encoding="utf-8").splitlines()) - 1,
        "register": len(gzip.decompress((AGENCY / "register.csv.gz").read_bytes()).decode().splitlines()) - 1,
        "permits": pl.scan_parquet(AGENCY / "permits.parquet").select(pl.len()).collect().item(),
        "activity": pl.scan_parquet(AGENCY / "activity.parquet").select(pl.len()).collect().item(),
    }
    assert dict(accounts.select("source", "n_read").iter_rows()) == expected
    assert (accounts["n_read"] == accounts["n_accepted"] + accounts["n_rejected"]).all()
    n_records = table(first, "records").height
    assert n_records == accounts["n_accepted"].sum() == table(first, "record_persons").height


def test_accounts_balance_and_one_person_holds_one_current_registration(first: Path) -> None:
    assert (table(first, "accounts")["discrepancy"] == 0).all()
    records, persons = table(first, "records"), table(first, "record_persons")
    current = records.filter((pl.col("source") == "register") & pl.col("ended_date").is_null())
    owners = current.join(persons, on=["source", "record_id"])
    assert owners["person_id"].n_unique() == owners.height


def test_no_name_document_or_birth_date_leaves_the_inner_tables(first: Path) -> None:
    """Messages, log, manifest, model, published and linked files hold none of the values that name a person."""
    records = table(first, "records")
    names = pl.concat([records["surname"], records["given_names"]]).drop_nulls().unique()
    # Short names are also words and parts of hashes; long ones are enough to show a leak.
    values = [*records["document_number"].drop_nulls().unique(), *names.filter(names.str.len_chars() > 9)]
    values = [value for value in values if not value.isdigit()]
    assert len(values) > 10_000
    outside = [path for path in first.rglob("*") if path.is_file() and path.parent.name != "tables"]
    outside += [first.parent / "stdout.txt"]
    assert len(outside) > 8
    for path in outside:
        text = path.read_bytes().decode("utf-8", errors="ignore")
        if path.suffix == ".parquet":
            text = pl.read_parquet(path).cast(pl.String).write_csv()
        assert not pl.Series([text]).str.contains_any(values).any(), path.name


def test_the_published_figures_are_printed(first: Path) -> None:
    printed = (first.parent / "stdout.txt").read_text(encoding="utf-8")
    flows = table(first, "flows").filter(
        pl.all_horizontal(pl.col(*DIMENSIONS) == "total"), period="2014", flow="immigration"
    )
    settled, estimated = (line for line in printed.splitlines() if line.strip().startswith("2014"))
    assert str(flows["n_settled"].item()) in settled.split()
    assert f"{flows['n'].item():.0f}" in estimated.split()


def test_the_files_of_the_agencies_are_published_in_every_format(first: Path, tmp_path: Path) -> None:
    """The finished run goes on with other settings: few breakdowns, tables of Eurostat and the OECD, all formats."""
    out = tmp_path / "run"
    shutil.copytree(first, out)
    names = ("migr_imm1ctz", "migr_emi4ctb", "migr_pop3ctb", "oecd_b11", "oecd_b14")
    rules = ", ".join(f"{name}: nz_12_16" for name in names)
    asked = (
        "publish.formats=[parquet, csv, sdmx-csv, sdmx-ml]",
        f"publish.tables=[{', '.join(names)}]",
        f"publish.table_rules={{{rules}}}",
        "estimates.breakdowns=[[sex, citizenship_group]]",
    )
    run(DEMO, out, "--resume", *(word for one in asked for word in ("--set", one)))
    outputs = out / "outputs"
    for name in (*names, "stocks", "flows"):
        (dataset,) = get_datasets(outputs / f"{name}.sdmx.csv", outputs / "structure.xml")
        given = pl.read_parquet(outputs / f"{name}.parquet")
        if name in ("stocks", "flows"):
            # Persons are published whole: the headline, or what is settled where there is none.
            whole = pl.coalesce(pl.col("n").round(mode="half_to_even"), "n_settled").cast(pl.Int64)
            given = given.with_columns(OBS_VALUE=whole)
        figure = given["OBS_VALUE"]
        assert dataset.data["OBS_VALUE"].tolist() == figure.to_list()
        assert figure.sum() > 0, name
    report = validate(str(outputs / "datapackage.json"))
    assert report.valid, report.flatten(["name", "type", "note"])
    assert len(report.tasks) == len(list(outputs.iterdir())) - 1
