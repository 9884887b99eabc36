"""What `miglink check` says of the outputs that sources can produce: by hand-made configurations and blank shares."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.console import Group as Lines

from miglink.check.findings import Findings, Readiness, Shares, SourceFindings
from miglink.check.held import Inspected
from miglink.check.readiness import assess_readiness
from miglink.check.readiness_report import render_readiness
from miglink.config import preset_shells, read_config

PERSON = "surname: s, given_names: g, birth_date: b, sex: x, citizenship: c"
SOURCES = {
    "border": f"""
    kind: crossings
    files: border.csv
    columns: {{crossed_date: d, direction: w, document_number: n, purpose: p, country_from_to: f, {PERSON}}}""",
    "permits": f"""
    kind: permits
    files: permits.csv
    columns: {{valid_from: d, valid_to: e, purpose: p, {PERSON}, region: r}}""",
    "register": """
    kind: register
    files: register.csv
    covers_population: true
    columns:
      registered_from: d
      registered_to: e
      birth_country: o
      person_number: i
      surname: s
      given_names: g
      birth_date: b
      sex: x
      citizenship: c
      region: r
      end_reason: {from: y, map: {D: death, L: left}}""",
    "births": f"""
    kind: vital
    files: births.csv
    columns: {{event: {{constant: birth}}, event_date: d, {PERSON}}}""",
    "census": f"""
    kind: people
    files: census.csv
    columns: {{reference_date: d, {PERSON}}}""",
}
ALL = tuple(SOURCES)


def assess(
    folder: Path,
    sources: tuple[str, ...] = ALL,
    overrides: tuple[str, ...] = (),
    blank: dict[str, float] | None = None,
    **changes: str,
) -> tuple[Readiness, ...]:
    """The readiness of some of the sources. blank: `source.column` -> the share of its rows without a value."""
    text = "".join(f"  {name}:{changes.get(name, SOURCES[name])}\n" for name in sources)
    (folder / "c.yml").write_text(
        "name: small\nkey: {demo: true}\nperiod: {from: 2012-01-01, to: 2023-12-31}\n"
        f"sources:\n{text}residence: {{rules: [nz_12_16]}}\nestimates: {{reporting_country: NOR}}\n",
        encoding="utf-8",
    )
    config = read_config(folder / "c.yml", overrides)
    found = {
        name: SourceFindings(
            name,
            source.kind,
            n_rows=100,
            n_looked_at=100,
            blank=tuple(
                Shares(column, round(100 * share), share)
                for column in source.columns
                for share in [(blank or {}).get(f"{name}.{column}", 0.0)]
            ),
            links_on=tuple(column for column in ("surname", "document_number") if column in source.columns),
        )
        for name, source in config.sources.items()
    }
    return assess_readiness(Inspected(config, found))


def pick(rows: tuple[Readiness, ...], name: str, title: str = "", rule: str = "") -> Readiness:
    (row,) = (row for row in rows if row.name == name and title in row.title and rule in row.group)
    return row


def said(row: Readiness) -> str:
    return "; ".join(f"{limit.effect}: {limit.reason}" for limit in row.limits)


def grade(row: Readiness) -> tuple[str, str | None]:
    return row.produced, row.quality


def test_crossings_alone_tell_of_travellers(tmp_path: Path) -> None:
    rows = assess(tmp_path, ("border",))
    stocks, flows, accounts = (pick(rows, name, "in all") for name in ("stocks", "flows", "accounts"))
    assert [grade(row) for row in (stocks, flows, accounts)] == [
        ("partly", "fair"),
        ("yes", "fair"),
        ("partly", "fair"),
    ]
    assert "leaves_out: stocks hold travellers only" in said(stocks)
    assert "weakens: who lived here on 2012-01-01 is told by the first crossing alone" in said(flows)
    assert "leaves_out: deaths are not known: accounts have none" in said(accounts)
    assert "deaths" not in said(flows) and "births are not known" in said(flows)
    # Every limit says which kind of source would mend it.
    assert all(limit.needs for row in rows for limit in row.limits)
    assert "a source with `covers_population: true`, such as a population register" in {
        limit.needs for limit in stocks.limits
    }
    for name in ("migr_pop1ctz", "un_dyb_stock_2", "list_status", "expired_stays"):
        assert grade(pick(rows, name)) == ("no", None), name
    assert grade(pick(rows, "migr_imm1ctz")) == ("yes", "fair")
    assert "no source holds the country of birth" in said(pick(rows, "migr_imm3ctb"))
    assert grade(pick(rows, "quality")) == ("yes", "fair")


def test_complete_sources_limit_nothing(tmp_path: Path) -> None:
    rows = assess(tmp_path)
    assert {row.name for row in rows if row.kind == "table"} == {*preset_shells()}
    assert {grade(row) for row in rows if row.kind == "rule"} == {("yes", "good")}
    assert {grade(row) for row in rows if row.kind == "other"} == {("yes", "good")}
    assert pick(rows, "stocks", "in all").final_years == tuple(range(2012, 2022))
    # What no source has as a column is all that is missing of published tables.
    lacking = {row.name: said(row) for row in rows if row.kind == "table" and row.produced != "yes"}
    assert lacking == {
        "un_dyb_flow_05": "prevents: no source holds duration_of_stay",
        "un_dyb_stock_4": "prevents: no source holds year_of_arrival",
        "un_dyb_stock_5": "prevents: no source holds occupation",
    }


@pytest.mark.parametrize(
    ("share", "quality"), [(0.05, "good"), (0.12, "fair"), (0.21, "poor")], ids=["few", "some", "many"]
)
def test_rows_without_a_value(tmp_path: Path, share: float, quality: str) -> None:
    rows = assess(tmp_path, blank={"register.birth_country": share})
    row = pick(rows, "stocks", "by birth country")
    assert grade(row) == ("yes", quality)
    assert (f"country of birth is missing in {share:.0%} of the rows of register" in said(row)) == (
        share > 0.05
    )
    assert grade(pick(rows, "un_dyb_stock_1")) == ("yes", quality)
    assert grade(pick(rows, "stocks", "by citizenship")) == ("yes", "good")


def test_a_column_that_not_everybody_counted_can_have(tmp_path: Path) -> None:
    """Region: without the register, of who holds a permit alone; and with all of its rows blank, of nobody."""
    row = pick(assess(tmp_path, ("border", "permits")), "flows", "region")
    assert "weakens: region is known only of who is also in permits" in said(row)
    rows = assess(tmp_path, ("border", "permits"), blank={"permits.region": 1.0})
    assert grade(pick(rows, "flows", "region")) == ("no", None)


def test_a_period_shorter_than_the_rule_waits(tmp_path: Path) -> None:
    rows = assess(tmp_path, overrides=("period.to=2013-03-31",))
    row = pick(rows, "flows", "in all")
    assert grade(row) == ("yes", "poor") and row.final_years == ()
    assert "undermines: no year is final under nz_12_16" in said(row)
    assert any("487 days after it" in limit.needs for limit in row.limits)
    assert "fewer than 10 years" in said(pick(rows, "mobility", "circular"))


def test_each_rule_has_rows_of_its_own(tmp_path: Path) -> None:
    """With open borders the register rule alone is possible; without the reasons deaths look like emigration."""
    plain = SOURCES["register"].replace(
        "end_reason: {from: y, map: {D: death, L: left}}", "document_number: n"
    )
    rows = assess(
        tmp_path,
        ("border", "register"),
        ("residence.rules=[register]", "spells.borders=open"),
        register=plain,
    )
    flows = pick(rows, "flows", "in all")
    assert grade(flows) == ("yes", "fair")
    assert "deaths are not known: under register who dies leaves as an emigrant" in said(flows)
    assert "nz_12_16" not in {row.group for row in rows}
    assert grade(pick(rows, "mobility", "short stays")) == ("no", None)
    assert "changes under register are no crossings" in said(pick(rows, "flows", "by purpose"))
    # The rule of its definition is not possible here: the table can be made by that of the run.
    of_un = pick(rows, "un_dyb_flow_06")
    assert grade(of_un) == ("yes", "fair")
    assert "setting: un_12_months is not possible with these sources" in said(of_un)
    assert "weakens: made by register, which is another definition of residence than un_12_months" in said(
        of_un
    )
    assert grade(pick(rows, "un_dyb_flow_01")) == ("no", None)  # by purpose
    chosen = ("publish.tables=[un_dyb_flow_06]", "publish.table_rules={un_dyb_flow_06: nz_12_16}")
    asked = pick(assess(tmp_path, overrides=chosen), "un_dyb_flow_06")
    assert grade(asked) == ("yes", "fair") and "setting" not in said(asked)
    both = assess(tmp_path, overrides=("residence.rules=[nz_12_16, eu_2013]",))
    assert grade(pick(both, "flows", "by month", "nz_12_16")) == ("yes", "good")
    assert "flows are of years" in said(pick(both, "flows", "by month", "eu_2013"))


def test_published_tables_that_are_asked_for(tmp_path: Path) -> None:
    """The sources could fill both; the run makes the one whose rule it has, and of some years alone."""
    asked = ("publish.tables=[migr_imm1ctz, un_desa_stock]", "residence.rules=[eu_2013]")
    rows = assess(tmp_path, overrides=(*asked, "period.to=2031-12-31"))
    eurostat, un, other = (pick(rows, name) for name in ("migr_imm1ctz", "un_desa_stock", "migr_emi1ctz"))
    assert (eurostat.is_asked, un.is_asked, other.is_asked) == (True, True, False)
    assert grade(eurostat) == ("partly", "good") and grade(other) == ("yes", "good")
    assert "leaves_out: the run has no rule eu_2025" in said(eurostat)
    assert eurostat.final_years[-1] == 2027
    assert grade(un) == ("no", None) and "the run has no rule un_12_months" in said(un)
    assert "setting: the run has no rule eu_2025" in said(other)


def test_without_rules_the_tables_are_still_judged(tmp_path: Path) -> None:
    asked = ("residence=null", "estimates=null", "publish.tables=[migr_emi1ctz]")
    rows = assess(tmp_path, overrides=asked)
    assert {row.kind for row in rows} == {"table"}
    assert grade(pick(rows, "migr_imm1ctz")) == ("yes", "good")
    assert grade(pick(rows, "migr_emi1ctz")) == ("no", None)
    assert assess(tmp_path, overrides=(*asked, "period=null")) == ()


def shown(width: int, rows: tuple[Readiness, ...]) -> str:
    written = StringIO()
    findings = Findings("small", (), 0, 1.0, readiness=rows)
    Console(width=width, file=written).print(Lines(*render_readiness(findings)))
    return written.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_it_reads_in_a_terminal(tmp_path: Path, width: int) -> None:
    rows = assess(tmp_path, ("border",), ("publish.tables=[migr_pop1ctz]",))
    text = shown(width, rows)
    assert max(len(line) for line in text.splitlines()) <= width
    lines = text.splitlines()
    (table,) = (line for line in lines if line.startswith("migr_pop1ctz"))
    assert "migr_pop1ctz *" in table and " no " in table
    number = table.split()[-1].rstrip(",")
    assert any(line.split()[:3] == [number, "no", "figures:"] for line in lines)
    # What several rows lack is said once.
    whole = " ".join(text.split())
    assert whole.count("no figures: no source holds the country of birth needs") == 1
    (head,) = (line for line in lines if line.startswith("flows") and " in all" in line)
    assert "2012–2021" in head


def test_findings_name_no_other_kind_of_effect(tmp_path: Path) -> None:
    """Each effect and grade stands in docs/readiness.md, which says what it means."""
    page = (Path(__file__).parents[1] / "docs" / "readiness.md").read_text("utf-8")
    found: Any = assess(tmp_path, ("border",), ("period.to=2013-03-31", "publish.tables=[un_desa_stock]"))
    words = {limit.effect for row in found for limit in row.limits} | {row.produced for row in found}
    words |= {row.quality for row in found if row.quality}
    assert words >= {"prevents", "setting", "leaves_out", "weakens", "undermines", "partly", "poor"}
    assert not [word for word in words if f"`{word}`" not in page]
