"""Stage 7: stocks, flows and accounts of little countries whose numbers are known by hand."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import strategies as st

from given_country import (
    ABROAD,
    POLICY,
    RESIDENT,
    RULE,
    TERMS,
    TOTAL,
    UNCLEAR,
    Country,
    Rows,
    account,
    figure,
)
from given_examples import for_all
from miglink.engine import Engine
from miglink.errors import ResultError
from miglink.stages.estimates import cells


def test_account_of_one_year_by_hand(engine: Engine) -> None:
    country = Country()
    country.add("stays", (None, RESIDENT))
    country.add("abroad", (None, ABROAD))
    country.add("arrives", (None, ABROAD), (date(2019, 3, 10), RESIDENT), citizenship="AUS", sex="male")
    country.add("leaves", (None, RESIDENT), (date(2019, 12, 31), ABROAD))
    country.add("is born", (date(2019, 1, 1), RESIDENT), born=date(2019, 1, 1))
    country.add("dies", (None, RESIDENT), died=date(2019, 12, 31), sex="male")
    country.add("dies abroad", (None, ABROAD), died=date(2019, 8, 1))
    country.add("is settled", (None, UNCLEAR), (date(2019, 5, 5), RESIDENT), citizenship="FRA")
    country.add("is lost", (None, RESIDENT), (date(2019, 6, 6), UNCLEAR), citizenship="FRA", sex=None)
    country.add(
        "becomes a citizen", (None, RESIDENT), citizenship="AUS", naturalised=(date(2019, 7, 1), "NZL")
    )
    tables = country.estimate(engine)

    assert account(tables, "2019") == [5, 1, 1, 1, 1, 0, 0, 5]
    assert account(tables, "2019", citizenship_group="national") == [3, 0, 1, 1, 1, 1, 0, 3]
    assert account(tables, "2019", citizenship_group="other") == [1, 1, 0, 0, 0, -1, 0, 1]
    assert account(tables, "2019", citizenship_group="eu") == [1, 0, 0, 0, 0, 0, 0, 1]
    assert account(tables, "2019", sex="female", citizenship_group="eu") == [0, 0, 0, 0, 0, 0, 1, 1]
    assert account(tables, "2019", sex="unknown", citizenship_group="eu") == [1, 0, 0, 0, 0, 0, -1, 0]
    assert account(tables, "2019", sex="male", citizenship_group="national") == [1, 0, 0, 0, 1, 0, 0, 0]
    # The death and the departure of 31 December are in this year, and so is the birth of 1 January.
    assert figure(tables["stocks"], "2019-01-01")["n_settled"] == 5
    assert figure(tables["stocks"], "2020-01-01")["n_settled"] == 5
    assert figure(tables["stocks"], "2019-01-01")["n_undetermined"] == 1
    assert figure(tables["flows"].filter(flow="emigration"), "2019-12")["n_settled"] == 1
    assert figure(tables["flows"].filter(flow="net"), "2019", sex="male")["n_settled"] == 1


def test_events_of_one_day(engine: Engine) -> None:
    day = date(2019, 7, 1)
    country = Country()
    country.add("moves", (None, RESIDENT), (day, ABROAD), citizenship="AUS", naturalised=(day, "NZL"))
    country.add("comes", (None, ABROAD), (day, RESIDENT), citizenship="AUS", naturalised=(day, "FRA"))
    country.add("dies on arrival", (None, ABROAD), (day, RESIDENT), died=day, citizenship="NOR")
    country.add("dies at birth", (day, RESIDENT), born=day, died=day, citizenship="XXA")
    country.add("dies a citizen", (None, RESIDENT), died=day, citizenship="NOR", naturalised=(day, "NZL"))
    country.add("unclear at birth", (day, UNCLEAR), (date(2019, 9, 9), RESIDENT), born=day, citizenship="XXX")
    tables = country.estimate(engine)

    assert account(tables, "2019", citizenship_group="national") == [0, 0, 1, 0, 1, 2, 0, 0]
    assert account(tables, "2019", citizenship_group="other") == [1, 0, 0, 0, 0, -1, 0, 0]
    assert account(tables, "2019", citizenship_group="eu") == [0, 1, 0, 0, 0, 0, 0, 1]
    assert account(tables, "2019", citizenship_group="efta") == [1, 1, 0, 0, 1, -1, 0, 0]
    assert account(tables, "2019", citizenship_group="stateless") == [0, 0, 0, 1, 1, 0, 0, 0]
    assert account(tables, "2019", citizenship_group="unknown") == [0, 0, 0, 0, 0, 0, 1, 1]


def test_status_without_migration_does_not_balance(engine: Engine) -> None:
    country = Country()
    country.add("arrives", (None, ABROAD), (date(2019, 3, 10), RESIDENT), sex="male")
    country.migrations.clear()
    with pytest.raises(ResultError) as raised:
        country.estimate(engine)
    for word in (RULE, POLICY, "year 2019", "sex male", "citizenship group national", "closing is +1"):
        assert word in str(raised.value)


def test_migration_without_status_does_not_balance(engine: Engine) -> None:
    country = Country()
    country.add("stays", (None, RESIDENT))
    country.migrate("stays", date(2019, 2, 2), "immigration")
    with pytest.raises(ResultError, match="closing is -1"):
        country.estimate(engine)


def test_resident_out_of_nowhere_does_not_balance(engine: Engine) -> None:
    country = Country()
    country.add("appears", (date(2019, 4, 1), RESIDENT))
    with pytest.raises(ResultError, match="accounts by sex and citizenship group do not balance in 1 cells"):
        country.estimate(engine)


def test_errors_that_cancel_within_a_cell_are_found(engine: Engine) -> None:
    country = Country()
    country.add("arrives", (None, ABROAD), (date(2019, 3, 10), RESIDENT))
    country.migrations.clear()
    country.add("stays", (None, RESIDENT))
    country.migrate("stays", date(2019, 2, 2), "immigration")
    with pytest.raises(ResultError, match=r"1 changes of status without .*; .* 1 settled migrations without"):
        country.estimate(engine)


def test_gap_between_statuses_is_found(engine: Engine) -> None:
    country = Country()
    country.add("stays", (None, RESIDENT), (date(2019, 3, 1), RESIDENT))
    country.residence[0]["to_date"] = date(2019, 2, 1)
    with pytest.raises(ResultError, match="1 persons whose status rows overlap or leave a gap"):
        country.estimate(engine)


def test_histories_of_nobody_are_found(engine: Engine) -> None:
    country = Country()
    country.add("vanishes", (None, ABROAD))
    country.migrate("vanishes", date(2019, 2, 2), "immigration", "undetermined")
    country.persons.clear()
    with pytest.raises(ResultError, match=r"1 migrations of persons who .*1 status rows of persons who"):
        country.estimate(engine)


def test_groups_have_the_composition_of_their_year(engine: Engine) -> None:
    country = Country()
    country.add("from Leeds", (None, RESIDENT), citizenship="GBR")
    country.add("from Cardiff", (None, RESIDENT), (date(2020, 11, 1), ABROAD), citizenship="GBR")
    tables = country.estimate(engine, country="FRA", to=date(2021, 12, 31))

    # The United Kingdom left on 1 February 2020: for the whole account of 2020 it is still a member.
    for group, expected in (("eu", [2, 2, 0, 0]), ("other", [0, 0, 1, 1])):
        stocks = tables["stocks"].filter(**(TOTAL | {"citizenship_group": group})).sort("period")
        assert stocks["n_settled"].to_list() == expected
    assert account(tables, "2020", citizenship_group="eu") == [2, 0, 1, 0, 0, 0, 0, 1]
    assert account(tables, "2021", citizenship_group="eu") == [0] * 8
    assert account(tables, "2021", citizenship_group="other") == [1, 0, 0, 0, 0, 0, 0, 1]
    assert account(tables, "2020")[-1] == account(tables, "2021")[0] == 1
    november = figure(tables["flows"].filter(flow="emigration"), "2020-11", citizenship_group="eu")
    assert november["n_settled"] == 1


GROUPS = {
    "FRA": "FRA national, NOR efta, DEU eu, NZL other, TUR candidate, XXA stateless, XXB stateless, XXC stateless, "
    "XXX unknown, - unknown",
    "DEU": "FRA eu, DEU national",
    "NZL": "FRA eu, NZL national",
}


@pytest.mark.parametrize("country", GROUPS)
def test_citizenship_groups(engine: Engine, country: str) -> None:
    groups = dict(case.split() for case in GROUPS[country].split(","))
    little = Country()
    for citizenship in groups:
        little.add(citizenship, (None, RESIDENT), citizenship=None if citizenship == "-" else citizenship)
    both = ["citizenship", "citizenship_group"]
    stocks = little.estimate(engine, country=country, breakdowns=[both])["stocks"]
    stocks = stocks.filter(pl.col("period") == "2019-01-01", pl.col("n_settled") > 0)
    found = stocks.filter(*(pl.col(name) != "total" for name in both)).select(both).rows()
    given = {"unknown" if name in ("-", "XXX") else name: group for name, group in groups.items()}
    assert dict(found) == given


def test_composition_is_that_of_the_first_of_january(monkeypatch: pytest.MonkeyPatch) -> None:
    joined = date(1995, 1, 1)
    dates = {"valid_from": [None, joined], "valid_to": [joined, None]}
    groups = pl.DataFrame({"group": ["efta", "eu"], "country": "AUT"} | dates)
    monkeypatch.setattr(cells, "citizenship_groups", lambda: groups)
    counts = pl.DataFrame({"year": [1994, 1995], "citizenship": "AUT"})
    assert cells.group_citizenships(counts, "FRA")["citizenship_group"].to_list() == ["efta", "eu"]


def test_several_citizenships_and_none(engine: Engine) -> None:
    country = Country()
    june = date(2019, 6, 1)
    country.add("changes", (None, RESIDENT), citizenship="AUS", naturalised=(date(2019, 3, 1), "FRA"))
    country.person_traits[-1]["valid_to"] = june
    last = {"valid_from": date(2019, 9, 1), "value": "NZL", "valid_to": None}
    country.person_traits.append(country.person_traits[-1] | last)
    country.migrate("changes", date(2019, 4, 1), "emigration", "undetermined")
    country.add("ends unknown", (None, RESIDENT), citizenship="AUS")
    country.person_traits[-1]["valid_to"] = june
    tables = country.estimate(engine)
    assert account(tables, "2019", citizenship_group="other") == [2, 0, 0, 0, 0, -2, 0, 0]
    assert account(tables, "2019", citizenship_group="national") == [0, 0, 0, 0, 0, 1, 0, 1]
    assert account(tables, "2019", citizenship_group="unknown") == [0, 0, 0, 0, 0, 1, 0, 1]
    april = tables["flows"].filter(period="2019-04", flow="emigration", sex="total", n_undetermined=1)
    assert set(april["citizenship_group"]) == {"eu", "total"}
    assert set(april["citizenship"]) == {"FRA", "total"}


def test_figures_are_final_once_the_window_is_observed(engine: Engine) -> None:
    country = Country()
    country.add("arrives", (None, ABROAD), (date(2019, 1, 10), RESIDENT))
    # 31 January + 334 days = 31 December is still observed in full: data_to_date is 1 January 2020.
    for window, january, n in ((335, "final", 1.0), (336, "provisional", None)):
        flows = country.estimate(engine, window=window)["flows"].filter(flow="immigration")
        found = figure(flows, "2019-01")
        assert (found["status"], found["n"], found["n_settled"]) == (january, n, 1)
        assert figure(flows, "2019-02")["status"] == "provisional"
        assert found["data_to_date"] == date(2020, 1, 1)
    # The stock of 1 January is that of 31 December, so it is final one window after that day.
    for window, status in ((366, "final"), (367, "provisional")):
        assert figure(country.estimate(engine, window=window)["stocks"], "2019-01-01")["status"] == status


def test_no_headline_where_anything_is_undetermined(engine: Engine) -> None:
    country = Country()
    country.add("settled", (None, RESIDENT), sex="male")
    country.add("perhaps left", (None, RESIDENT), (date(2019, 2, 3), UNCLEAR))
    country.migrate("perhaps left", date(2019, 2, 3), "emigration", "undetermined")
    country.add("perhaps came", (None, ABROAD), (date(2019, 2, 5), UNCLEAR), citizenship="AUS")
    country.migrate("perhaps came", date(2019, 2, 5), "immigration", "undetermined")
    tables = country.estimate(engine, window=10, has_population_list=False)

    net = figure(tables["flows"].filter(flow="net"), "2019-02")
    assert (net["n_settled"], net["n_undetermined"], net["n"], net["status"]) == (0, 2, None, "final")
    assert figure(tables["flows"].filter(flow="net"), "2019-03")["n"] == 0.0
    first = figure(tables["stocks"], "2019-01-01")
    assert (first["n_settled"], first["n_undetermined"], first["n"]) == (2, 0, 2.0)
    # In the last stock two are unclear; among men nobody is, but its window is not observed.
    last = figure(tables["stocks"], "2020-01-01")
    assert (last["n_settled"], last["n_undetermined"], last["n"]) == (1, 2, None)
    men = figure(tables["stocks"], "2020-01-01", sex="male")
    assert (men["n_settled"], men["n_undetermined"], men["n"], men["status"]) == (1, 0, None, "provisional")
    assert set(tables["stocks"]["coverage"]) == {"travellers_only"}


def test_only_periods_that_are_observed_whole_are_listed(engine: Engine) -> None:
    country = Country(before=date(2018, 1, 1))
    country.add("abroad", (None, ABROAD))
    tables = country.estimate(engine, to=date(2020, 2, 28))
    assert sorted(set(tables["stocks"]["period"])) == ["2019-01-01", "2020-01-01"]
    months = sorted({period for period in tables["flows"]["period"] if len(period) == 7})
    assert (months[0], months[-1], len(months)) == ("2018-02", "2020-01", 24)
    assert set(tables["accounts"]["period"]) == {"2019"}
    assert tables["flows"].filter(period="2019")["n_settled"].to_list() == [0, 0, 0]


def test_a_cell_keeps_its_zeros(engine: Engine) -> None:
    country = Country()
    country.add("arrives", (None, ABROAD), (date(2019, 3, 10), RESIDENT), sex="male")
    flows = country.estimate(engine)["flows"]
    cell = flows.filter(**(TOTAL | {"flow": "immigration", "sex": "male", "citizenship_group": "national"}))
    assert sorted(cell["n_settled"]) == [0] * 11 + [1, 1]


def test_alternative_draws_are_not_counted(engine: Engine) -> None:
    country = Country()
    country.add("arrives", (None, ABROAD), (date(2019, 3, 10), RESIDENT))
    country.residence += [row | {"draw": 1} for row in country.residence]
    country.migrations += [row | {"draw": 1} for row in country.migrations]
    assert account(country.estimate(engine), "2019") == [0, 1, 0, 0, 0, 0, 0, 1]


def test_nobody_gives_empty_tables(engine: Engine) -> None:
    heights = {name: table.height for name, table in Country().estimate(engine).items()}
    assert {*heights} >= {"stocks", "flows", "accounts"}
    assert not any(heights.values())


# Few days, so that events meet on one of them, and at the turn of the year.
YEAR_ENDS = (date(2019, 12, 30), date(2019, 12, 31), date(2020, 1, 1), date(2020, 1, 2))
DAYS = (date(2019, 1, 1), date(2019, 6, 30), *YEAR_ENDS, date(2020, 12, 31))


@st.composite
def lives(draw: st.DrawFn) -> dict[str, Any]:
    """The life of one person: statuses, perhaps a birth, a death, another citizenship."""
    days: list[date] = sorted(draw(st.sets(st.sampled_from(DAYS), max_size=4)))
    is_born, dies, changes_last = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    born = days.pop(0) if days and is_born else None
    died = days.pop() if days and dies else None
    if died and changes_last:
        days.append(died)  # a change of status on the day of death
    statuses: list[tuple[date | None, str]] = [(born, draw(st.sampled_from((RESIDENT, ABROAD, UNCLEAR))))]
    for day in days:
        others = sorted({RESIDENT, ABROAD, UNCLEAR} - {statuses[-1][1]})
        statuses.append((day, draw(st.sampled_from(others))))
    codes = st.sampled_from((None, "NZL", "AUS", "FRA", "XXX"))
    changed = draw(st.none() | st.tuples(st.sampled_from(DAYS), st.sampled_from(("NZL", "AUS", "FRA"))))
    sexes = st.sampled_from(("male", None))
    traits = {"citizenship": draw(codes), "naturalised": changed, "sex": draw(sexes)}
    return {"statuses": statuses, "facts": traits | {"born": born, "died": died}}


def resident_on(life: dict[str, Any], day: date) -> bool:
    """Whether a person is a settled resident at the end of a day, by the definition."""
    died = life["facts"]["died"]
    if died is not None and died <= day:
        return False
    held = [status for start, status in life["statuses"] if start is None or start <= day]
    return bool(held) and held[-1] == RESIDENT


@for_all(30, people=st.lists(lives(), min_size=1, max_size=8))
def test_consistent_histories_balance_and_margins_add_up(engine: Engine, people: Rows) -> None:
    country = Country()
    for number, life in enumerate(people):
        country.add(f"person {number}", *life["statuses"], **life["facts"])
    tables = country.estimate(engine, to=date(2020, 12, 31))

    assert (tables["accounts"]["discrepancy"] == 0).all()
    for year in (2019, 2020, 2021):
        expected = sum(resident_on(life, date(year - 1, 12, 31)) for life in people)
        assert figure(tables["stocks"], f"{year}-01-01")["n_settled"] == expected
        if year < 2021:
            assert account(tables, f"{year}")[0] == expected
    for year in (2019, 2020):
        events = [event for event in country.migrations if event["event_date"].year == year]
        for flow in ("immigration", "emigration"):
            found = figure(tables["flows"].filter(flow=flow), f"{year}")["n_settled"]
            assert found == sum(event["direction"] == flow for event in events)
    for name in ("stocks", "flows"):
        assert_margins_add_up(tables[name], ("n_settled", "n_undetermined"))
    assert_margins_add_up(tables["accounts"], TERMS)


def assert_margins_add_up(table: pl.DataFrame, measures: Sequence[str]) -> None:
    """Each total is the sum of its cells; where nobody is in any cell, it is zero."""
    others = [name for name in TOTAL if name not in ("sex", "citizenship_group")]
    table = table.filter(pl.all_horizontal(pl.col(*others) == "total"))
    keys = [column for column in ("period", "flow") if column in table.columns]
    leaves = table.filter(pl.col("sex") != "total", pl.col("citizenship_group") != "total")
    for by in ([], ["citizenship_group"], ["sex"]):
        is_margin = [(pl.col(name) != "total") == (name in by) for name in ("sex", "citizenship_group")]
        added = leaves.group_by(*keys, *by).agg(pl.col(measures).sum())
        both = table.filter(*is_margin).join(added, on=[*keys, *by], how="left", suffix=" added")
        for measure in measures:
            assert both[measure].to_list() == both[f"{measure} added"].fill_null(0).to_list()
