"""Evaluation: a little run whose distance from the truth is worked by hand, and and the command."""

import doctest
import json
from collections.abc import Sequence
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from given_tables import TYPES
from miglink.cli import main
from miglink.errors import ConfigError, SourceError
from miglink.evaluate import Evaluation, evaluate_run, measures, render_report
from miglink.tables import EVALUATION_TABLES, TABLES, TRUTH_TABLES, Contract
from miglink.tables.contract import DIMENSIONS

Rows = list[dict[str, Any]]
World = dict[str, Rows]
Found = dict[tuple[str, ...], float]
STRATUM = {"draw": 0, "rule": "r", "policy": "q"}
END = date(2021, 1, 1)
TITLES = (
    "What was compared|Linkage: pairs of distinct identities, by citizenship group|"
    "Linkage: pairs of distinct identities, by their sources|Persons split|"
    "Found persons against true persons|Days of 2 persons|Persons by status|Migration by year|"
    "Usual residents|Migrations, each by itself|Pieces of persons|Identities by what sets them apart|"
    "Measures:"
).replace("|", "\n")
PERFECT = ("precision", "recall", "f1", "is_within", "found_share", "right_share", "within_share")
FAULTLESS = ("split", "merged", "days_", "wrong", "surplus", "error", "missed", "false", "relative")


def rows(columns: str, *values: Sequence[Any], **same: Any) -> Rows:
    return [dict(zip(columns.split(), row, strict=True)) | same for row in values]


def day(month: int, number: int = 1, year: int = 2020) -> date:
    return date(year, month, number)


def little_run() -> World:
    """Found persons P1 to P4 and what is known of them; observed is 2020. Identity i1 is carried by two records."""
    linked = [
        ("border", "1", "i1", "P1"), ("border", "2", "i1", "P1"), ("border", "3", "i2", "P1"),
        ("register", "1", "i3", "P2"), ("border", "4", "i4", "P3"), ("border", "5", "i5", "P3"),
        ("register", "2", "i6", "P3"), ("border", "6", "i7", "P4"), ("border", "7", "i8", "P4"),
    ]  # fmt: skip
    spells = [
        ("P1", 1, day(1), day(3), "present"), ("P1", 2, day(3), day(11), "absent"),
        ("P1", 3, day(11), None, "unresolved"), ("P2", 1, day(1), None, "present"),
        ("P4", 1, day(1), None, "absent"),
    ]  # fmt: skip
    basis = {"start_direction": "start", "start_basis": "observation_start", "end_basis": "crossing"}
    old = day(12, 31, 2019)
    moves = [
        ("P1", day(3), "emigration", "migration"), ("P3", day(5), "emigration", "undetermined"),
        ("P4", day(2), "immigration", "migration"), ("P4", day(9), "emigration", "undetermined"),
        ("P2", day(2, 2), "immigration", "migration"),
    ]  # fmt: skip
    # Draw 1 is another linkage: it must not count.
    drawn = rows("person_id event_date direction outcome", ("P1", day(4), "emigration", "migration"))
    whole = {name: "total" for name in DIMENSIONS if name != "sex"}
    vintage = whole | {"rule": "r", "policy": "q", "status": "final", "data_to_date": END}
    return {
        "record_persons": [{"source": s, "record_id": r, "person_id": p} for s, r, _, p in linked],
        "record_identities": [{"source": s, "record_id": r, "identity_id": i} for s, r, i, _ in linked],
        "spells": rows("person_id sequence start_date end_date state", *spells, draw=0, **basis),
        "residence": rows(
            "person_id status", ("P1", "resident"), ("P2", "resident"), ("P3", "undetermined"), ("P4", "resident"),
            **STRATUM, from_date=old, basis="register",
        ),
        "migrations": rows("person_id event_date direction outcome", *moves, **STRATUM, sequence=1, is_implied=False)
        + [row | STRATUM | {"draw": 1, "sequence": 1, "is_implied": False} for row in drawn],
        "flows": rows(
            "flow sex n_settled n_undetermined",
            ("immigration", "total", 8, 3), ("emigration", "total", 5, 2), ("net", "total", 3, 5),
            ("immigration", "unknown", 1, 0), **vintage, period="2020",
        )
        # The truth is not broken down by region: this row must not count.
        + rows("flow sex n_settled n_undetermined", ("immigration", "total", 7, 1),
               **(vintage | {"region": "1"}), period="2020"),
        "stocks": rows("sex n_settled n_undetermined", ("total", 99, 0), **vintage, period="2021-01-01", coverage="x"),
    }  # fmt: skip


def little_truth() -> World:
    """A lies in P1 and P2; B and C in P3; D is P4. E has no record; record 9 of D was not accepted."""
    true = [("border", "1", "A"), ("border", "2", "A"), ("border", "3", "A"), ("register", "1", "A"),
            ("border", "4", "B"), ("border", "5", "B"), ("register", "2", "C"), ("border", "6", "D"),
            ("register", "9", "D")]  # fmt: skip
    groups = [
        ("A", date(1, 1, 1), "other"), ("A", day(1), "national"),
        ("B", date(1, 1, 1), "eu"), ("C", date(1, 1, 1), "eu"),
    ]  # fmt: skip
    spells = [
        ("A", 1, day(1, 1, 2018), day(4), "present"), ("A", 2, day(4), day(1, 1, 2022), "absent"),
        ("B", 1, day(1, 1, 1990), day(7), "present"),
        ("C", 1, day(1, 1, 2018), day(7), "absent"), ("C", 2, day(7), day(1, 1, 2022), "present"),
    ]  # fmt: skip
    statuses = [
        ("A", day(1, 1, 2018), day(4), "resident"), ("A", day(4), None, "non_resident"),
        ("B", day(1, 1, 1990), day(7), "resident"), ("C", day(1, 1, 2018), None, "non_resident"),
    ]  # fmt: skip
    moves = [
        ("A", day(4), "emigration"), ("B", day(5), "emigration"), ("C", day(7), "immigration"),
        ("D", day(2), "immigration"), ("E", day(3), "immigration"), ("A", day(1, 1, 2018), "immigration"),
    ]  # fmt: skip
    causes = [("register", "1", "transliteration"), ("border", "1", "double_scan")]
    total = {"sex": "total", "citizenship_group": "total"}
    return {
        "record_persons": rows("source record_id true_person_id", *true),
        "person_traits": rows("true_person_id valid_from value", *groups, trait="citizenship_group"),
        "record_causes": rows("source record_id cause", *causes),
        "missing_crossings": rows("true_person_id crossed_date direction", ("D", day(10), "arrival")),
        "spells": rows("true_person_id sequence start_date end_date state", *spells),
        "residence": rows("true_person_id from_date to_date status", *statuses, rule="r"),
        "migrations": rows("true_person_id event_date direction", *moves, rule="r"),
        "flows": rows("flow sex n", ("immigration", "total", 10), ("emigration", "total", 4), ("net", "total", 6),
                      ("immigration", "female", 3), rule="r", period="2020", citizenship_group="total")
        + rows("rule period n", ("s", "2020", 7), ("r", "2019", 7), flow="net", **total),
        "stocks": rows("rule period n", ("r", "2021-01-01", 100), **total),
    }  # fmt: skip


def write(folder: Path, contracts: dict[str, Contract], tables: World) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, given_rows in tables.items():
        schema = {column.name: TYPES[column.type] for column in contracts[name].columns}
        pl.DataFrame(given_rows, schema=schema).write_parquet(folder / f"{name}.parquet")
    return folder


def write_run(folder: Path, tables: World, state: str = "finished") -> Path:
    period, engine = {"from": "2020-01-01", "to": "2020-12-31"}, {"kind": "duckdb", "threads": 1}
    config = {"period": period, "engine": engine}
    write(folder / "tables", TABLES, tables)
    (folder / "manifest.json").write_text(json.dumps({"state": state, "config": config}), "utf-8")
    return folder


@pytest.fixture
def little(tmp_path: Path) -> Found:
    """The measures of the little run by part, measure and the dimensions that are not total, in order."""
    truth = write(tmp_path / "truth", TRUTH_TABLES, little_truth())
    return measured(write_run(tmp_path / "run", little_run()), truth)


def measured(run: Path, truth: Path) -> Found:
    return by_key(evaluate_run(run, truth).measures)


def by_key(frame: pl.DataFrame) -> Found:
    return {
        (part, measure, *(value for value in further if value != "total")): value
        for part, measure, *further, value in frame.drop("status").iter_rows()
    }


def has(found: Found, where: str, /, **expected: float) -> None:
    """Check measures: `where` is the part and the dimensions, in words."""
    part, *dimensions = where.split()
    for measure, value in expected.items():
        assert found[(part, measure, *dimensions)] == pytest.approx(value), (where, measure)


def test_linkage_by_hand(little: Found) -> None:
    has(little, "comparison", records=9, true_records=9, records_compared=8)
    has(little, "comparison register", records_without_truth=0, true_records_not_in_run=1)
    has(little, "comparison border", records_without_truth=1, true_records_not_in_run=0)
    # True: 3 of A's three identities, 1 of B's two. Predicted: 1 in P1, 3 in P3. Right: i1-i2 and i4-i5.
    has(little, "linkage", true_pairs=4, predicted_pairs=4, right_pairs=2)
    has(little, "linkage", precision=1 / 2, recall=1 / 2, f1=1 / 2)
    has(little, "linkage national", true_pairs=3, predicted_pairs=1, precision=1, recall=1 / 3, f1=1 / 2)
    has(little, "linkage eu", true_pairs=1, predicted_pairs=3, precision=1 / 3, recall=1)
    has(little, "linkage border border", true_pairs=2, predicted_pairs=2, right_pairs=2)
    has(little, "linkage border register", true_pairs=2, predicted_pairs=2, right_pairs=0, f1=0)
    has(little, "linkage", identities=7, units=7, repeat_pairs=1, repeat_share=1, shared_identities=0)
    assert ("linkage", "precision", "unknown") not in little  # D has one identity: there is nothing to share


def test_persons_by_hand(little: Found) -> None:
    has(little, "persons", true_persons=4, split=1, split_per_1000=250, represented=3)
    has(little, "persons", found_persons=4, merged=1)
    has(little, "persons national", split_per_1000=1000, merged=0, found_persons=2)
    has(little, "persons eu", true_persons=2, merged_per_1000=1000, represented=1)
    # Only D is whole. Precision: (P1 3 + P2 1 + P3 4/3 + 1/3 + P4 1) / 8; recall: (A 9/4 + 1/4, B 2, C 1, D 1) / 8.
    has(little, "persons", right_clusters=1, cluster_precision=1 / 4, cluster_recall=1 / 4, cluster_f1=1 / 4)
    has(little, "persons", bcubed_precision=5 / 6, bcubed_recall=6.5 / 8)
    # Over identities: (P1 2 + P2 1 + P3 4/3 + 1/3 + P4 1) / 7; (A 4/3 + 1/3, B 2, C 1, D 1) / 7.
    has(little, "persons", bcubed_unit_precision=17 / 21, bcubed_unit_recall=17 / 21)


def test_spells_by_hand(little: Found) -> None:
    # Compared: A (crossed) and C (crossed, represented by nobody). B never crossed, D has no true spell.
    has(little, "spells", persons_compared=2, person_years=732 / 365.25)
    has(little, "spells present present", days=60)
    has(little, "spells present absent", days=31)
    has(little, "spells absent absent", days=214)
    has(little, "spells absent unresolved", days=61)
    has(little, "spells absent none", days=182)
    has(little, "spells present none", days=184)
    has(little, "spells present", surplus_days=366)  # P2
    per_year = 365.25 / 732
    has(little, "spells", days_wrong_per_person_year=31 * per_year)
    has(little, "spells", days_without_spell_per_person_year=366 * per_year)
    has(little, "spells", days_unresolved_per_person_year=61 * per_year)


def test_statuses_by_hand(little: Found) -> None:
    january = "statuses r q 2020-01-01"
    for dimensions in ("resident resident", "resident undetermined", "non_resident none"):  # A, B, C
        has(little, f"{january} {dimensions}", persons=1)
    has(little, january, true_persons=3, wrong=0, undetermined_per_1000=1000 / 3)
    has(little, january, surplus_residents=2)  # D, P2
    has(little, "statuses r q 2021-01-01 non_resident resident", persons=1)  # A has left
    has(little, "statuses r q 2021-01-01 none undetermined", persons=1)  # B is dead
    has(little, "statuses r q 2021-01-01 nobody resident", persons=1)  # P2
    has(little, "statuses r q 2021-01-01", true_persons=2, wrong_per_1000=500, undetermined=0)


def test_figures_by_hand(little: Found) -> None:
    has(little, "flows r q 2020 immigration", true=10, settled=8, undetermined=3, error=-2, is_within=1)
    has(little, "flows r q 2020 emigration", error=1, relative_error=1 / 4, is_within=0)  # 5 > 4
    has(little, "flows r q 2020 net", error=-3, is_within=1)  # 3 − 5 ≤ 6 ≤ 3 + 5
    has(little, "flows r q 2020 immigration female", true=3, settled=0, is_within=0)
    has(little, "flows r q 2020 immigration unknown", true=0, settled=1, is_within=0)
    assert ("flows", "relative_error", "r", "q", "2020", "immigration", "unknown") not in little
    assert not [key for key in little if "s" in key or "2019" in key]
    has(little, "stocks r q 2021-01-01", error=-1, relative_error=-0.01, is_within=0)
    assert little[("flows", "within_share", "r", "q", "final years", "immigration")] == pytest.approx(1 / 3)


def test_migrations_by_hand(little: Found) -> None:
    has(little, "migrations r q immigration none", found=1, missed=0)  # D
    has(little, "migrations r q immigration merged", missed=1, false=0)  # C, in B's person
    has(little, "migrations r q immigration not_in_run", missed=1)  # E
    has(little, "migrations r q immigration split", false=1)  # P2, astray from A
    has(little, "migrations r q immigration", true=3, found_share=1 / 3, right_share=1 / 2)
    has(little, "migrations r q emigration split", missed=1, false=1)  # A in April, found in March
    has(little, "migrations r q emigration merged", undetermined=1)  # B
    has(little, "migrations r q emigration missing_crossing", false_undetermined=1)  # P4
    has(little, "migrations r q emigration", true=2, found_share=0, right_share=0)


def test_confusions_by_hand(tmp_path: Path, little: Found) -> None:
    path = tmp_path / "run" / "evaluation" / "confusions.parquet"
    found = pl.read_parquet(path)
    assert found.rows() == [
        ("merged", "C", "P3", "B", 1, 1, "register", "none"),
        ("split", "A", "P2", "P1", 1, 1, "register", "transliteration"),
    ]
    assert found.columns == [column.name for column in EVALUATION_TABLES["confusions"].columns]
    has(little, "causes transliteration", units=1, stray_units=1, stray_share=1, merged_units=0)
    has(little, "causes double_scan", units=1, stray_share=0)
    has(little, "causes none", units=5, stray_units=0, merged_share=1 / 5)


def test_a_run_that_is_right_is_told_so(tmp_path: Path) -> None:
    run = little_run()
    run["spells"] = [row for row in run["spells"] if row["state"] != "unresolved"]
    run["residence"] = [row for row in run["residence"] if row["status"] != "undetermined"]
    run["migrations"] = [row for row in run["migrations"][:-1] if row["outcome"] == "migration"]
    truth = {}
    for name in ("record_persons", "spells", "residence", "migrations", "flows", "stocks"):
        known = {column.name for column in TRUTH_TABLES[name].columns}
        named = [
            {"true_person_id": row.get("person_id"), "n": row.get("n_settled")}
            | {column: END if value is None else value for column, value in row.items()}
            for row in run[name]
            if row.get("region", "total") == "total"
        ]
        truth[name] = [{column: value for column, value in row.items() if column in known} for row in named]
    found = measured(write_run(tmp_path / "run", run), write(tmp_path / "truth", TRUTH_TABLES, truth))
    for (_, measure, *_), value in found.items():
        if measure.endswith(PERFECT):
            assert value == 1
        if measure.startswith(FAULTLESS):
            assert value == 0
    assert found[("persons", "represented")] == 4


def test_labels_alone_are_enough(tmp_path: Path) -> None:
    truth = write(tmp_path / "truth", TRUTH_TABLES, {"record_persons": little_truth()["record_persons"]})
    numbered = {name: number for number, name in enumerate("ABCD")}
    labels = pl.read_parquet(truth / "record_persons.parquet")
    typed = labels.with_columns(
        pl.col("true_person_id").replace_strict(numbered),
        pl.col("record_id").cast(pl.Int32),
        note=pl.lit("x"),
    )
    typed.write_parquet(truth / "record_persons.parquet")
    evaluation = evaluate_run(write_run(tmp_path / "run", little_run()), truth)
    assert set(evaluation.measures["part"]) == {"comparison", "linkage", "persons"}
    has(by_key(evaluation.measures), "linkage", true_pairs=4, predicted_pairs=4, right_pairs=2)
    assert evaluation.patterns["causes"].to_list() == ["none", "none"]
    assert "unknown" not in shown(evaluation)


def shown(evaluation: Evaluation, width: int = 80) -> str:
    console = Console(width=width, file=StringIO())
    with console.capture() as capture:
        console.print(render_report(evaluation.measures, evaluation.patterns))
    return capture.get()


def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "run", little_run())
    truth = write(tmp_path / "truth", TRUTH_TABLES, little_truth())
    assert main(["evaluate", str(run), "--truth", str(truth)]) == 0
    first = capsys.readouterr().out
    assert main(["evaluate", str(run), "--truth", str(truth)]) == 0  # an evaluation may be made again
    assert capsys.readouterr().out == first
    assert first.splitlines()[-1].endswith("confusions.parquet")
    titles = TITLES.splitlines()
    places = [first.index(title) for title in titles]
    assert places == sorted(places)
    assert max(map(len, first.splitlines()[:-1])) <= 120
    assert sorted(path.name for path in run.iterdir()) == ["evaluation", "manifest.json", "tables"]
    written_files = {path.name for path in (run / "evaluation").iterdir()}
    assert written_files == {"confusions.parquet", "evaluation.parquet"}
    contract = EVALUATION_TABLES["evaluation"]
    written = pl.read_parquet(run / "evaluation" / "evaluation.parquet")
    assert dict(written.schema) == {column.name: TYPES[column.type] for column in contract.columns}
    required = [column.name for column in contract.columns if not column.nullable]
    assert written.select(required).null_count().sum_horizontal().item() == 0


def test_numbers_are_not_cut_in_a_narrow_terminal(tmp_path: Path) -> None:
    run = little_run()
    run["stocks"][0] |= {"n_settled": 1234567}
    truth = write(tmp_path / "truth", TRUTH_TABLES, little_truth())
    text = shown(evaluate_run(write_run(tmp_path / "run", run), truth))
    assert "1,234,567" in text
    assert "…" not in text.replace("found … found", "").replace("found …", "")


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        ("record_persons", None, "no record_persons.parquet; it says the true person of each record"),
        ("record_persons", {"record_id": "id"}, "record_persons.parquet: no column record_id; its columns: source, id"),
        ("migrations", {"event_date": "direction", "direction": "event_date"}, "event_date: 6 rows missing or no DATE"),
        ("stocks", b"PAR1 SECRET", "stocks.parquet: cannot be read as Parquet"),
        ("record_persons", [("border", "8", "A")], "none of its records is in the run"),
        ("record_persons", [("border", "1", "A")] * 2, "1 values of source, record_id stand in more than one row"),
    ],
)  # fmt: skip
def test_truth_that_cannot_be_used_is_refused(tmp_path: Path, table: str, change: Any, said: str) -> None:
    run = write_run(tmp_path / "run", little_run())
    truth = write(tmp_path / "truth", TRUTH_TABLES, little_truth())
    path = truth / f"{table}.parquet"
    if change is None:
        path.unlink()
    elif isinstance(change, bytes):
        path.write_bytes(change)
    elif isinstance(change, dict):
        pl.read_parquet(path).rename(change).write_parquet(path)
    else:
        write(truth, TRUTH_TABLES, {table: rows("source record_id true_person_id", *change)})
    with pytest.raises(SourceError, match=said):
        evaluate_run(run, truth)
    assert sorted(path.name for path in run.iterdir()) == ["manifest.json", "tables"]


def test_only_a_finished_run_is_evaluated(tmp_path: Path) -> None:
    truth = write(tmp_path / "truth", TRUTH_TABLES, little_truth())
    with pytest.raises(ConfigError, match="not the folder of a run; it holds no manifest"):
        evaluate_run(tmp_path / "none", truth)
    run = write_run(tmp_path / "run", little_run(), state="failed")
    with pytest.raises(ConfigError, match="the run is not finished but failed"):
        evaluate_run(run, truth)
    write_run(run, {})
    (run / "tables" / "flows.parquet").unlink()
    with pytest.raises(ConfigError, match="no tables/flows"):
        evaluate_run(run, truth)
    write_run(run, little_run())
    (run / "manifest.json").write_text('{"state": "finished", "config": {"period": 1}}', "utf-8")
    with pytest.raises(ConfigError, match="does not state the period"):
        evaluate_run(run, truth)
    (run / "manifest.json").write_text("{", "utf-8")
    assert main(["evaluate", str(run), "--truth", str(truth)]) == 2


def test_formulas_are_runnable() -> None:
    assert doctest.testmod(measures) == (0, 4)


def test_a_run_that_ended_at_persons_is_evaluated(tmp_path: Path) -> None:
    truth, whole = write(tmp_path / "truth", TRUTH_TABLES, little_truth()), little_run()
    linked = {name: whole[name] for name in ("record_persons", "record_identities")}
    found = measured(write_run(tmp_path / "linked", linked, state="stopped"), truth)
    assert {part for part, *_ in found} == {"comparison", "linkage", "persons", "causes"}
    assert found.items() <= measured(write_run(tmp_path / "whole", whole), truth).items()
