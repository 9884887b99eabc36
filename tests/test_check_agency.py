"""What `miglink check` says of the agency files: no problem, nothing of a person, and what they can produce."""

from pathlib import Path

import polars as pl
import pytest

from given_checked import everything_said, text_of
from miglink.check import Findings, check_config
from miglink.config import read_config

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def agency() -> Findings:
    return check_config(read_config(ROOT / "configs" / "agency.yml"))


def test_the_agency_files_give_no_problem(agency: Findings) -> None:
    assert agency.problems == ()
    assert agency.is_exact and agency.n_rows == 139_559
    assert agency.coverage == "population"
    (rule,) = agency.rules
    assert (rule.final_years[0], rule.final_years[-1]) == (2012, 2021)
    dimensions = {one.name: [source.name for source in one.sources] for one in agency.dimensions}
    assert dimensions["country of birth"] == ["register"]
    assert "previous or next country" not in dimensions


def test_nothing_of_a_person_in_the_agency_files_is_said(agency: Findings) -> None:
    said = everything_said(agency)
    border = pl.concat(
        pl.read_csv(path, separator=";", encoding="latin-1", infer_schema=False, truncate_ragged_lines=True)
        for path in sorted((ROOT / "tests/data/agency/border").glob("*.csv"))
    )
    columns = [border[column] for column in ("NRO_DOCUM", "APE_NOM", "F_NACIM")]
    personal = pl.concat(columns).drop_nulls().unique()
    # Six digits alone (a date of birth read by machine) stand in any longer number.
    values = [value for value in personal if len(value.strip()) > 6 or not value.strip().isdecimal()]
    values = [value for value in values if len(value.strip()) > 5]
    assert len(values) > 10_000
    assert not [value for value in values if value in said]


def test_it_fits_a_terminal_of_80_columns(agency: Findings) -> None:
    assert max(len(line.rstrip()) for line in text_of(agency).splitlines()) <= 80
    assert "…" not in text_of(agency).split("Pairs")[0]


def test_what_the_agency_files_can_produce(agency: Findings) -> None:
    """A register of everybody, deaths, births, documents: all but what no agency has as a column."""
    rows = {row.name: row for row in agency.readiness if row.kind == "table"}
    lacking = {name for name, row in rows.items() if row.produced == "no"}
    assert lacking == {
        *(
            "migr_imm5prv",
            "migr_emi3nxt",
            "un_dyb_flow_08",
            "un_dyb_flow_11",
        ),  # no country come from or gone to
        *("un_dyb_flow_05", "un_dyb_stock_4", "un_dyb_stock_5"),  # no duration, year of arrival, occupation
    }
    assert {row.quality for row in rows.values() if row.produced == "yes"} == {"good"}
    assert rows["migr_pop3ctb"].final_years == tuple(range(2012, 2022))
    (flows,) = (row for row in agency.readiness if row.name == "flows" and row.title == "by other country")
    assert flows.produced == "no"
    assert {one.needs for one in flows.limits} == {"`country_from_to` of crossings"}
