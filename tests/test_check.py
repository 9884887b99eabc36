"""What `miglink check` finds before a run: every problem at once, pairs and cost, and nothing of a person."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from given_checked import everything_said, text_of
from miglink.check import Findings, check_config, findings_as_json
from miglink.config import read_config

CONFIG = """
name: small
period: {from: 2015-01-01, to: 2020-12-31}
key: {demo: true}
sources:
  border:
    kind: crossings
    files: border
    format: {separator: ";", trailer: TOTAL}
    columns:
      crossed_at: {from: WHEN, formats: ["%d/%m/%Y %H:%M"]}
      direction: {from: WAY, map: {E: arrival, S: departure}}
      document_number: DOCUMENT
      citizenship: NATION
      surname: SURNAME
      given_names: GIVEN
      birth_date: BORN
    bounds: {max_rejected_share: 0.1}
  census:
    kind: people
    files: census.csv
    columns: {surname: family_name, given_names: given_name, birth_date: born, sex: sex}
residence: {rules: [nz_12_16]}
estimates: {reporting_country: NOR}
"""
HEADER = "WHEN;WAY;DOCUMENT;NATION;SURNAME;GIVEN;BORN"
PEOPLE = [
    ("AB123", "SWE", "Lindqvist", "Astrid", "1980-02-03"),
    ("CD456", "FIN", "Korhonen", "Eino", "1971-11-30"),
    ("EF789", "DNK", "Mikkelsen", "Gorm", "1999-07-14"),
]


def crossing(person: int = 0, when: str = "05/03/2016 10:20", way: str = "E", **changes: str) -> str:
    """One line of the border file."""
    names = ("DOCUMENT", "NATION", "SURNAME", "GIVEN", "BORN")
    values = {**dict(zip(names, PEOPLE[person], strict=True)), **changes}
    return ";".join([when, way, *(values[name] for name in names)])


LINES = [crossing(n % 3, f"{1 + n % 28:02d}/0{1 + n % 9}/2016 1{n % 10}:00", "ES"[n % 2]) for n in range(30)]
CENSUS = ["family_name,given_name,born,sex", *(f"{p[2]},{p[3]},{p[4]},male" for p in PEOPLE)]


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Findings]:
    """Write the two sources and the configuration, each changed as the test says, and check them."""

    def write(
        border: dict[str, list[str]] | None = None,
        census: list[str] | None = None,
        change: tuple[str, str] = ("", ""),
        **options: Any,
    ) -> Findings:
        (tmp_path / "border").mkdir(exist_ok=True)
        for name, lines in (border or {"2016.csv": [HEADER, *LINES]}).items():
            (tmp_path / "border" / name).write_bytes(("\n".join(lines) + "\n").encode("latin-1"))
        (tmp_path / "census.csv").write_text("\n".join(census or CENSUS) + "\n", encoding="utf-8")
        assert change[0] in CONFIG
        (tmp_path / "small.yml").write_text(CONFIG.replace(*change, 1), encoding="utf-8")
        overrides = options.pop("overrides", ())
        return check_config(read_config(tmp_path / "small.yml", overrides), **options)

    return write


def only(findings: Findings) -> str:
    (problem,) = findings.problems
    return problem


def test_sound_files_give_no_problem(check: Callable[..., Findings]) -> None:
    findings = check()
    assert findings.problems == () and not findings.would_fail
    border, census = findings.sources
    assert (border.n_rows, border.n_looked_at, border.is_whole) == (30, 30, True)
    assert (census.n_rows, census.rejected_share) == (3, 0)
    assert findings.n_identities == 6
    assert "no problem found" in text_of(findings)


def test_a_missing_file_is_named_and_the_other_sources_are_still_checked(
    check: Callable[..., Findings],
) -> None:
    findings = check(change=("census.csv", "nowhere.csv"))
    assert "source census: no file matches" in only(findings)
    assert findings.sources[0].n_rows == 30
    assert "Pairs, time, memory and readiness leave out what could not be judged: census." in findings.notes


def test_a_column_that_the_files_do_not_have(check: Callable[..., Findings]) -> None:
    findings = check(census=[CENSUS[0].replace("family_name", "family_nam"), *CENSUS[1:]])
    assert "no column `family_name` (for surname; did you mean `family_nam`?)" in only(findings)
    assert "they have family_nam, given_name, born, sex" in only(findings)
    assert findings.sources[1].missing_columns[0].suggestion == "family_nam"


def test_a_required_column_that_is_missing_leaves_the_rest_checked(check: Callable[..., Findings]) -> None:
    findings = check({"2016.csv": [HEADER.replace("WAY", "MOVE"), *LINES]})
    assert "no column `WAY` (for direction)" in only(findings)
    assert findings.sources[1].n_rows == 3


def test_a_file_without_a_header_line_is_not_shown(check: Callable[..., Findings]) -> None:
    findings = check(census=CENSUS[1:])
    assert "check `format.separator`, and whether the files have a header line" in only(findings)
    assert_nothing_of_a_person(findings)


def test_files_of_one_source_with_other_headers(check: Callable[..., Findings]) -> None:
    one, two = {"2015.csv": [HEADER, *LINES]}, {"2016.csv": [HEADER, *LINES]}
    findings = check({**one, **two, "2017.csv": [HEADER.replace("BORN", "AGE;X"), *LINES]})
    assert "2017.csv has another header than most files: it lacks BORN and has 2 further columns" in only(
        findings
    )
    findings = check({**one, **two, "2017.csv": LINES})
    assert "2017.csv has another header" in only(findings)
    assert_nothing_of_a_person(findings)


def test_files_that_cannot_be_decoded(check: Callable[..., Findings]) -> None:
    findings = check({"2016.csv": [HEADER.replace("GIVEN", "GIVÉN"), *LINES]})
    assert "cannot be read in utf-8" in only(findings)
    findings = check(change=('separator: ";"', 'encoding: utf-16, separator: ";"'))
    assert "utf-16" in only(findings)


def test_codes_that_nothing_names(check: Callable[..., Findings]) -> None:
    lines = [*LINES, crossing(way="Ximena"), crossing(way="Ximena"), crossing(NATION="Atlantis")]
    findings = check({"2016.csv": [HEADER, *lines]})
    direction = next(code for code in findings.sources[0].unknown_codes if code.column == "direction")
    assert (direction.n_rows, direction.place, direction.values) == (2, "2016.csv, row 31", ())
    assert direction.share == pytest.approx(2 / 33)
    assert len(findings.problems) == 2
    assert not {"Ximena", "Atlantis"} & set(everything_said(findings).replace(",", " ").split())
    shown = check({"2016.csv": [HEADER, *lines]}, show_values=True)
    assert "Ximena" in text_of(shown) and "Atlantis" in findings_as_json(shown)


def test_codes_that_reject_their_row_are_no_problem_by_themselves(check: Callable[..., Findings]) -> None:
    findings = check(
        {"2016.csv": [HEADER, *LINES, crossing(way="X")]},
        change=("S: departure}", "S: departure}, unmapped: reject"),
    )
    assert findings.problems == ()
    (reason,) = findings.sources[0].rejected
    assert (reason.name, reason.n_rows) == ("direction_unknown", 1)


def test_dates_that_no_format_reads(check: Callable[..., Findings]) -> None:
    findings = check(change=("%d/%m/%Y %H:%M", "%Y-%m-%d"))
    said = " ".join(findings.problems)
    assert "100.00% of the rows would be rejected, more than bounds.max_rejected_share (10.00%)" in said
    assert "crossed_date_unreadable 100.00%" in said
    assert "no format of crossed_at reads any of its dates" in said


def test_a_few_unreadable_dates_are_said(check: Callable[..., Findings]) -> None:
    findings = check(
        {"2016.csv": [HEADER, *LINES, crossing(BORN="1980-02-31"), crossing(when="32/01/2016 00:00")]}
    )
    assert findings.problems == ()
    assert {one.name: one.n_rows for one in findings.sources[0].unreadable} == {
        "birth_date": 1,
        "crossed_at": 1,
    }


def test_bounds_on_rows(check: Callable[..., Findings]) -> None:
    assert "30 rows, fewer than bounds.min_rows (31)" in only(
        check(overrides=["sources.border.bounds.min_rows=31"])
    )
    assert "30 rows, more than bounds.max_rows (29)" in only(
        check(overrides=["sources.border.bounds.max_rows=29"])
    )


def test_lines_that_do_not_fit_the_header_count_as_rejected(check: Callable[..., Findings]) -> None:
    findings = check({"2016.csv": [HEADER, *LINES, *["a;b"] * 10]})
    assert findings.sources[0].n_malformed == 10
    assert findings.sources[0].rejected_share == pytest.approx(0.25)
    assert "malformed_line 25.00%" in only(findings)


def test_a_control_line_that_states_another_number(check: Callable[..., Findings]) -> None:
    assert check({"2016.csv": [HEADER, *LINES, "TOTAL;30"]}).problems == ()
    assert "states 31 rows" in only(check({"2016.csv": [HEADER, *LINES, "TOTAL;31"]}))


def test_dates_outside_what_is_observed(check: Callable[..., Findings]) -> None:
    lines = [*LINES, crossing(when="31/12/2014 23:00"), crossing(when="01/01/2021 00:10")]
    border = check({"2016.csv": [HEADER, *lines]}).sources[0]
    assert (str(border.first_date), str(border.last_date), border.n_outside) == (
        "2014-12-31",
        "2021-01-01",
        2,
    )


def test_what_the_sources_leave_of_the_period_is_said_by_rule(check: Callable[..., Findings]) -> None:
    """A register that begins a year later; and a second one within its days, which may be of others."""
    kept = "    kind: register\n    files: census.csv\n    covers: {from: 2016-01-01, to: 2020-12-31}\n"
    columns = "{registered_from: born, surname: family_name, given_names: given_name, birth_date: born}"
    further = f"  foreigners:\n{kept.replace('2016', '2018')}    columns: {columns}\n  census:\n{kept}"
    findings = check(
        change=("  census:\n    kind: people\n    files: census.csv\n", further),
        overrides=["residence.rules=[nz_12_16, register]", f"sources.census.columns={columns}"],
    )
    years = {rule.rule: rule.final_years for rule in findings.rules}
    assert years == {"nz_12_16": (2015, 2016, 2017, 2018), "register": (2016, 2017, 2018, 2019)}
    said = " ".join(text_of(findings).split())
    assert "Of the period 2016-01-01 to 2020-12-31 is observed for rule register" in said
    assert "rule nz_12_16: the days" not in said
    assert "foreigners adds no day to what the other sources of register cover" in said


def test_a_key_file_that_is_not_there(check: Callable[..., Findings]) -> None:
    assert "key.file" in only(check(change=("{demo: true}", "{file: secret.key}")))


def test_keys_that_repeat(check: Callable[..., Findings]) -> None:
    findings = check(change=("surname: family_name", "record_id: sex, surname: family_name"))
    assert "3 rows share their record_id" in only(findings)
    assert findings.n_identities == 6


def test_a_source_without_personal_fields_is_told(check: Callable[..., Findings]) -> None:
    person = "surname: family_name, given_names: given_name, birth_date: born, sex: sex"
    findings = check(change=(person, "sex: sex"))
    assert any("no personal field is mapped to link on" in note for note in findings.notes)
    assert "no_identifying_field" in only(findings)


def test_problems_of_all_sources_come_together(check: Callable[..., Findings]) -> None:
    findings = check(
        {"2016.csv": [HEADER, *LINES, crossing(way="?")]},
        [CENSUS[0].replace("born", "day"), *CENSUS[1:]],
        ("{demo: true}", "{file: secret.key}"),
        overrides=["sources.census.bounds.min_rows=10"],
    )
    assert len(findings.problems) == 4
    assert text_of(findings).count("!") == 4
    assert json.loads(findings_as_json(findings))["would_fail"] is True


def test_more_pairs_than_are_allowed(check: Callable[..., Findings]) -> None:
    findings = check(overrides=["linkage.max_pairs=2"])
    assert "more than linkage.max_pairs (2). The widest is `" in only(findings)


def test_a_blocking_rule_on_a_column_that_does_not_exist(check: Callable[..., Findings]) -> None:
    assert "linkage.blocking" in only(check(overrides=["linkage.blocking=[[shoe_size]]"]))


def assert_nothing_of_a_person(findings: Findings) -> None:
    said = everything_said(findings)
    assert not [value for person in PEOPLE for value in (person[0], *person[2:]) if value in said]


def test_a_list_of_people_alone(tmp_path: Path) -> None:
    (tmp_path / "census.csv").write_text("\n".join(CENSUS), encoding="utf-8")
    columns = "{surname: family_name, given_names: given_name, birth_date: born, sex: sex}"
    (tmp_path / "list.yml").write_text(
        "name: list\nkey: {demo: true}\n"
        f"sources:\n  census: {{kind: people, files: census.csv, columns: {columns}}}\n",
        encoding="utf-8",
    )
    findings = check_config(read_config(tmp_path / "list.yml"))
    assert findings.problems == () and findings.rules == () and findings.coverage is None
    assert findings.cost is not None
    assert [stage.stage for stage in findings.cost.stages] == ["ingest", "identities", "linkage", "persons"]
    assert any("--to persons" in note for note in findings.notes)
    assert "no problem found" in text_of(findings)


def test_nothing_is_left_behind(
    check: Callable[..., Findings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    check()
    before = sorted(path for path in tmp_path.rglob("*"))
    check()
    check(change=("census.csv", "nowhere.csv"))

    def break_off(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("miglink.check.predict_pairs", break_off)
    with pytest.raises(MemoryError):
        check()
    assert sorted(path for path in tmp_path.rglob("*")) == before
    assert list(temporary.iterdir()) == []


def test_a_rule_has_final_years_only_while_it_applies(check: Callable[..., Findings]) -> None:
    """Years with a status at both ends, and followed up: 456 days under eu_2013, 366 under eu_2025."""
    chosen = ["residence.rules=[eu_2013, eu_2025]", "period.to=2031-12-31"]
    years = {rule.rule: rule.final_years for rule in check(overrides=chosen).rules}
    assert years == {"eu_2013": tuple(range(2015, 2028)), "eu_2025": (2028, 2029)}
    assert "2028 … 2029" in text_of(check(overrides=chosen))


def test_tables_asked_for_and_what_they_would_need(check: Callable[..., Findings]) -> None:
    publish = "{tables: [oecd_b11, migr_imm5prv], table_rules: {oecd_b11: nz_12_16}}"
    findings = check(change=("estimates:", f"publish: {publish}\nestimates:"))
    b11, imm5prv = (
        next(row for row in findings.readiness if row.name == name) for name in ("oecd_b11", "migr_imm5prv")
    )
    assert (b11.is_asked, b11.produced, b11.quality) == (True, "yes", "fair")
    assert "sex is known only of who is also in census" in {one.reason for one in b11.limits}
    assert [one.reason for one in imm5prv.limits] == [
        "the run has no rule eu_2013 or eu_2025",
        "no source holds the country of previous residence",
    ]
    said = " ".join(text_of(findings).split())
    assert "oecd_b11 *" in said and "sex is known only of who is also in census" in said
    assert "needs eu_2013 or eu_2025 under residence.rules, or another rule" in said
    (told,) = (
        row for row in json.loads(findings_as_json(findings))["readiness"] if row["name"] == "oecd_b11"
    )
    assert told["produced"] == "yes" and told["limits"][0]["needs"]


def test_a_further_column_that_is_only_counted_by(check: Callable[..., Findings]) -> None:
    """`estimates.traits` are read without being named for linkage: the table of occupations has its column."""
    census = [CENSUS[0] + ",job", *(f"{line},cook" for line in CENSUS[1:])]
    findings = check(
        census=census,
        change=("born, sex: sex}", "born, sex: sex, occupation: job}"),
        overrides=["estimates.traits=[occupation]"],
    )
    assert findings.problems == ()
    (row,) = (row for row in findings.readiness if row.name == "flows" and "occupation" in row.title)
    assert [one.reason for one in row.limits if "occupation" in one.reason] == [
        "occupation is known only of who is also in census"
    ]
