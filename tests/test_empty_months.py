"""Months without any crossing: found, said, and never published as final zeros."""

import json
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from given_country import ABROAD, RESIDENT, RULE, Country, figure
from given_run import CONFIG, run, write
from given_tables import name_table
from miglink.check import check_config
from miglink.config import read_config
from miglink.config.stages import Period
from miglink.engine import Engine
from miglink.stages.estimates import Observation, find_empty_months
from miglink.stages.estimates.vintages import add_vintages
from miglink.stages.publish import month_ranges

PERIOD = Period.model_validate({"from": date(2018, 1, 1), "to": date(2020, 12, 31)})
MONTHS = [date(2018 + n // 12, 1 + n % 12, 1) for n in range(36)]


def found(engine: Engine, counts: dict[date, int], period: Period = PERIOD) -> list[str]:
    """The empty months of crossings, so many on a day of each month, beside a register of every month."""
    row = {"kind": "crossings", "source": "border", "is_repeat": False}
    days = [month + timedelta(days=14) for month, n in counts.items() for _ in range(n)]
    records = [row | {"record_id": str(n), "crossed_date": day} for n, day in enumerate(days)]
    register = {"kind": "register", "source": "register", "is_repeat": False}
    records += [
        register | {"record_id": str(n), "record_date": m, "valid_from": m} for n, m in enumerate(MONTHS)
    ]
    months = find_empty_months(engine, name_table(engine, "records", records), period)
    return [f"{month:%Y-%m}" for month in months]


def test_a_month_is_empty_where_the_median_month_has_25_crossings(engine: Engine) -> None:
    lacking = {month for month in MONTHS if (month.year, month.month) in {(2018, 2), (2018, 3), (2020, 12)}}
    counts = {month: 25 for month in MONTHS if month not in lacking}
    assert found(engine, counts) == ["2018-02", "2018-03", "2020-12"]
    assert found(engine, dict.fromkeys(counts, 24)) == []
    assert found(engine, dict.fromkeys(MONTHS, 25)) == []
    assert found(engine, {}) == []


def test_a_period_of_more_than_twice_the_data_does_not_hide_what_it_lacks(engine: Engine) -> None:
    assert len(found(engine, dict.fromkeys(MONTHS[:12], 30))) == 24


def test_a_month_of_which_a_part_is_in_the_period_is_not_looked_at(engine: Engine) -> None:
    within = Period.model_validate({"from": date(2018, 1, 2), "to": date(2020, 12, 30)})
    assert found(engine, dict.fromkeys(MONTHS[1:-1], 30), within) == []
    assert found(engine, dict.fromkeys(MONTHS[2:-1], 30), within) == ["2018-02"]


def statuses(window: int, empty: date, grid: pl.DataFrame) -> str:
    """f or p for each row."""
    period = Period.model_validate({"from": date(2010, 1, 1), "to": date(2023, 12, 31)})
    rows = add_vintages(
        grid.with_columns(rule=pl.lit(RULE)), Observation(period, {RULE: window}, True, empty_months=[empty])
    )
    return "".join(status[0] for status in rows["status"])


@pytest.mark.parametrize(
    ("window", "empty", "of_flows", "of_stocks"),
    [
        # 2014 to 2020, and the ends of these years. The window of 487 days after 2015 reaches to 30 April 2017, that
        # before the end of 2018 begins on 1 September 2017.
        (487, date(2017, 4, 1), "fppppff", "fpppfff"),
        (487, date(2017, 5, 1), "ffpppff", "ffppfff"),
        (487, date(2017, 8, 1), "ffpppff", "ffppfff"),
        (487, date(2017, 9, 1), "ffppppf", "ffpppff"),
        # At least the year that ends.
        (0, date(2017, 1, 1), "fffppff", "fffpfff"),
        (0, date(2017, 12, 1), "fffppff", "fffpfff"),
    ],
)
def test_figures_that_rest_on_an_empty_month_are_provisional(
    window: int, empty: date, of_flows: str, of_stocks: str
) -> None:
    years = range(2014, 2021)
    periods = pl.DataFrame(
        {
            "first_date": [date(year, 1, 1) for year in years],
            "last_date": [date(year, 12, 31) for year in years],
        }
    )
    assert statuses(window, empty, periods) == of_flows
    assert statuses(window, empty, periods.select("last_date")) == of_stocks


def test_the_headline_goes_with_the_status(engine: Engine) -> None:
    country = Country()
    country.add("a", (None, ABROAD), (date(2019, 3, 1), RESIDENT))
    how = {"to": date(2021, 12, 31), "periods": ["month", "year"]}
    tables = country.estimate(engine, **how)
    assert figure(tables["flows"], "2019", flow="immigration")["n"] == 1.0
    tables = country.estimate(engine, **how, empty_months=[date(2019, 6, 1)])
    year = figure(tables["flows"], "2019", flow="immigration")
    assert (year["status"], year["n"], year["n_settled"]) == ("provisional", None, 1)
    assert figure(tables["flows"], "2019-07", flow="immigration")["status"] == "provisional"
    assert figure(tables["flows"], "2019", flow="immigration")["data_to_date"] == date(2022, 1, 1)
    assert figure(tables["stocks"], "2020-01-01")["status"] == "provisional"
    assert figure(tables["accounts"], "2019")["status"] == "provisional"


@pytest.mark.parametrize(
    ("months", "said"),
    [
        (["2019-02", "2019-03", "2019-04", "2019-05", "2020-01"], "2019-02 to 2019-05, 2020-01"),
        (["2019-12", "2020-01", "2020-03"], "2019-12 to 2020-01, 2020-03"),
        (["2019-12"], "2019-12"),
        ([], ""),
    ],
)
def test_months_in_a_row_are_a_range(months: list[str], said: str) -> None:
    assert month_ranges(months) == said


def border(folder: Path, lacking: str) -> None:
    """Thirty crossings in each month of the little run, but none in the months that are lacking."""
    lines = ["DAY,WAY,NAME,BORN,PASS"]
    for n in range(60 * 30):
        month = f"{2012 + n // 360}-{1 + n // 30 % 12:02d}"
        person = n % 15
        if month not in lacking:
            way = "arrival" if n // 15 % 2 else "departure"
            born = f"19{60 + person}-0{1 + person % 9}-1{person % 7}"
            lines.append(f"{month}-{1 + n % 28:02d},{way},SURNAME{chr(65 + person)},{born},P{person}")
    write(folder, "\n".join(lines) + "\n", "border.csv")
    write(folder, CONFIG, "config.yml")


def test_a_run_names_the_months_in_all_its_places(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    border(tmp_path, "2013-02 2013-03 2014-01")
    assert run(tmp_path) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "No source has any crossing in 2013-02 to 2013-03, 2014-01. Is a file missing" in printed
    outputs = tmp_path / "run" / "outputs"
    quality = pl.read_parquet(outputs / "quality.parquet").filter(measure="months_without_crossings")
    assert dict(quality.select("item", "value").iter_rows()) == {
        "all": 3,
        "2013-02": 1,
        "2013-03": 1,
        "2014-01": 1,
    }
    package = json.loads((outputs / "datapackage.json").read_text("utf-8"))
    assert package["months_without_crossings"] == ["2013-02", "2013-03", "2014-01"]
    flows = pl.read_parquet(outputs / "flows.parquet").filter(sex="total", citizenship_group="total")
    assert set(flows.filter(period="2013-02")["status"]) == {"provisional"}
    assert set(flows.filter(period="2015-08")["status"]) == {"final"}


def test_a_check_says_it_before_the_run(tmp_path: Path) -> None:
    border(tmp_path, "2012-01 2012-02 2012-03 2013-02")
    config = read_config(tmp_path / "config.yml")
    exact = check_config(config)
    assert exact.is_exact
    assert any("any crossing in 2012-01 to 2012-03, 2013-02: is a file" in note for note in exact.notes)
    sampled = check_config(config, n_sampled=900)
    assert not sampled.is_exact
    (note,) = [note for note in sampled.notes if "crossings looked at" in note]
    assert "are of 2012-04-01 to 2016-12-28, but `period` is 2012-01-01 to 2016-12-31" in note
    border(tmp_path, "")
    for findings in (check_config(config), check_config(config, n_sampled=900)):
        assert not [note for note in findings.notes if "is a file missing" in note]
