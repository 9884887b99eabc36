"""Stage 7, draws: points and intervals of little countries whose draws are known by hand."""

import runpy
from datetime import date
from math import exp, log, sqrt
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import strategies as st

from given_country import ABROAD, RESIDENT, TOTAL, UNCLEAR, Country, Rows, account, figure
from given_examples import for_all
from miglink.engine import Engine
from miglink.errors import ResultError

ORACLE = runpy.run_path(str(Path(__file__).parent / "oracle" / "intervals.py"))
count_in_draw, find_interval, in_force = (
    ORACLE[name] for name in ("count_in_draw", "find_interval", "in_force")
)
JUNE = date(2019, 6, 1)
DRAWS = range(1, 5)
# Student's t on three degrees of freedom; with what the truth adds as a fifth draw.
STUDENT = 3.1824463
WIDE = STUDENT * sqrt(1.25)
SHARES = (
    "share_linkage", "share_missing_crossing", "share_first_status", "share_follow_up", "share_citizenship",
)  # fmt: skip


def bounds(found: dict[str, Any]) -> tuple[Any, Any]:
    return found["lower"], found["upper"]


def upper(middle: float, spread: float) -> float:
    """The upper bound of a log-normal by its mean, and by 1 + (deviation / mean)²."""
    return middle * exp(STUDENT * sqrt(log(spread)) - log(spread) / 2)


def arriving_in(*draws: int, people: int = 1) -> Country:
    """Ten residents, and people of whom nobody knows yet whether they came to stay: in some draws they did."""
    country = Country()
    for number in range(10):
        country.add(f"resident {number}", (None, RESIDENT), sex="male")
    for number in range(people):
        country.add(name := f"arrives {number}", (None, ABROAD), (JUNE, UNCLEAR))
        country.migrate(name, JUNE, "immigration", "undetermined")
        country.doubt(name, JUNE, "follow_up")
        for draw in DRAWS:
            country.draw(draw, name, (JUNE, RESIDENT if draw in draws else ABROAD), was=ABROAD)
    return country


def test_unfinished_follow_up_by_hand(engine: Engine) -> None:
    tables = arriving_in(1, 2, 3).estimate(engine, draws=4)
    flows = tables["flows"].filter(flow="immigration")
    found = figure(flows, "2019-06")
    assert (found["n_settled"], found["n_undetermined"], found["status"]) == (0, 1, "provisional")
    assert (found["n"], found["mean"]) == (0.75, 0.75)
    error = sqrt(0.25 * 1.25)
    assert found["standard_error"] == pytest.approx(error)
    assert [found[name] for name in SHARES] == [0, 0, 0, pytest.approx(1), 0]
    # A log-normal of mean 0.75 + 0.5 and that error: 1 + (error / 1.25)² = 1.2.
    assert bounds(found) == (0, round(upper(1.25, 1.2) - 0.5))
    # Net migration may be below none, and stands on the plain scale.
    net = figure(tables["flows"].filter(flow="net"), "2019-06")
    assert bounds(net) == (round(0.75 - WIDE * sqrt(0.25)), round(0.75 + WIDE * sqrt(0.25)))
    # The ten are certain, and so no bound lies below them; nobody else can be among the men.
    stock = figure(tables["stocks"], "2020-01-01")
    assert (stock["n"], stock["lower"]) == (10.75, 10)
    assert stock["upper"] == 10 + found["upper"]
    men = figure(tables["stocks"], "2020-01-01", sex="male")
    assert (men["n"], *bounds(men), men["standard_error"], men["share_follow_up"]) == (10, 10, 10, 0, None)
    before = figure(flows, "2019-05")
    assert (before["status"], before["n"], *bounds(before)) == ("provisional", 0, 0, 0)
    # Settled accounts stay as they were; a cell without anybody settled is listed for those who may be there.
    assert account(tables, "2019") == [10, 0, 0, 0, 0, 0, 0, 10]
    assert figure(flows, "2019", sex="female")["n"] == 0.75


def test_one_person_or_two(engine: Engine) -> None:
    """A resident who left, and somebody who came: in half the draws one person, who was away for three months."""
    country = Country()
    country.add("left", (None, RESIDENT), (date(2019, 3, 1), ABROAD))
    country.add("came", (None, ABROAD), (JUNE, RESIDENT))
    for person in ("left", "came"):
        country.doubt(person, None, "linkage", "drawn")
    for draw in DRAWS:
        if draw % 2:
            country.draw(draw, "left", (None, RESIDENT), linkage="drawn")
        else:
            country.draw(draw, "left", (None, RESIDENT), (date(2019, 3, 1), ABROAD), linkage="drawn")
            country.draw(draw, "left", (None, ABROAD), (JUNE, RESIDENT), linkage="drawn", part=1)
    tables = country.estimate(engine, draws=4)
    flows = {name: figure(tables["flows"].filter(flow=name), "2019") for name in ("immigration", "net")}
    # The best linkage is published; what the draws say of it stands beside it.
    assert (flows["immigration"]["n"], flows["immigration"]["mean"]) == (1, 0.5)
    assert flows["immigration"]["upper"] == round(upper(1, 1 + 1 / 3 * 1.25) - 0.5)
    assert flows["immigration"]["share_linkage"] == pytest.approx(1)
    # Both flows move together: the difference is the same in every draw, and so is the stock.
    net, stock = flows["net"], figure(tables["stocks"], "2020-01-01")
    assert (net["n"], *bounds(net), net["standard_error"]) == (0, 0, 0, 0)
    assert (stock["n"], *bounds(stock)) == (1, 1, 1)


def test_what_the_best_linkage_leaves_in_doubt(duckdb_engine: Engine) -> None:
    """A person whose linkage is in doubt and who has just come: the point has the status drawn, not the linkage."""
    country = Country()
    country.add("arrives", (None, ABROAD), (JUNE, UNCLEAR))
    country.migrate("arrives", JUNE, "immigration", "undetermined")
    country.doubt("arrives", JUNE, "follow_up", "best")
    country.doubt("arrives", None, "linkage", "drawn")
    for draw in DRAWS:
        status = RESIDENT if draw == 1 else ABROAD
        country.draw(draw, "arrives", (JUNE, status), was=ABROAD, linkage="best")
        country.draw(draw, "arrives", (None, ABROAD), (JUNE, RESIDENT), linkage="drawn")
    found = figure(country.estimate(duckdb_engine, draws=4)["flows"].filter(flow="immigration"), "2019")
    # All draws of the linkage say one, so the point, of the best linkage alone, lies outside of the interval.
    assert (found["n"], found["mean"], *bounds(found)) == (0.25, 1, 1, 1)
    assert (found["standard_error"], found["interval_flag"]) == (0, "point_outside")


def test_draws_are_counted_by_every_dimension(engine: Engine) -> None:
    """By age, by further columns side by side, and by what flows alone have; a group is that of the year."""
    country = Country()
    traits = {"education": [(None, "school")], "occupation": [(None, "nurse"), (JUNE, "pilot")]}
    facts: dict[str, Any] = {"citizenship": "GBR", "birth_date": date(1999, 7, 1), "traits": traits}
    country.add("arrives", (None, ABROAD), (JUNE, UNCLEAR), **facts)
    country.migrate("arrives", JUNE, "immigration", "undetermined")
    country.doubt("arrives", JUNE, "follow_up")
    for draw in DRAWS:
        country.draw(draw, "arrives", (JUNE, RESIDENT if draw == 1 else ABROAD), was=ABROAD)
    country.migration_draws[0]["other_country"] = "FRA"
    names = (("age",), ("education",), ("occupation",), ("other_country",), ("citizenship_group", "sex"))
    how: dict[str, Any] = {"traits": ["education", "occupation"], "breakdowns": names, "country": "FRA"}
    tables = country.estimate(engine, draws=4, **how)
    stocks = tables["stocks"].filter(period="2020-01-01")
    for cell in ({"age": "20"}, {"trait": "education", "trait_value": "school"}, {"citizenship_group": "eu"}):
        assert figure(stocks, "2020-01-01", **cell)["n"] == 0.25, cell
    flows = tables["flows"].filter(flow="immigration", period="2019")
    for cell in ({"age": "19"}, {"trait": "occupation", "trait_value": "pilot"}, {"other_country": "FRA"}):
        found = figure(flows, "2019", **cell)
        assert (found["n"], found["standard_error"]) == (0.25, pytest.approx(sqrt(0.25 * 1.25))), cell


def test_too_wide_to_publish(duckdb_engine: Engine) -> None:
    flags = {}
    for people in (1, 40):
        tables = arriving_in(1, 2, people=people).estimate(duckdb_engine, draws=4)
        for flow in ("immigration", "net"):
            flags[people, flow] = figure(tables["flows"].filter(flow=flow), "2019")["interval_flag"]
        flags[people, "stock"] = figure(tables["stocks"], "2020-01-01")["interval_flag"]
    wide = {key for key, flag in flags.items() if flag == "too_wide"}
    # Of one person every interval is narrow; 40 come or do not come; the stock rests on ten more.
    assert wide == {(40, "immigration"), (40, "net"), (40, "stock")}
    assert {flag for key, flag in flags.items() if key not in wide} == {None}


def test_causes_share_the_variance(duckdb_engine: Engine) -> None:
    country = arriving_in(1, 2)
    country.add("perhaps gone", (None, RESIDENT))
    country.doubt("perhaps gone", JUNE, "missing_crossing")
    for draw in DRAWS:
        country.draw(draw, "perhaps gone", (JUNE, ABROAD if draw == 1 else RESIDENT), was=RESIDENT)
    stock = figure(country.estimate(duckdb_engine, draws=4)["stocks"], "2020-01-01")
    # Arrivals are [1, 1, 0, 0], those who stayed [0, 1, 1, 1]: covariances with the sum 1/3 − 1/6 and 1/4 − 1/6.
    assert stock["mean"] == 11.25
    assert stock["share_follow_up"] == pytest.approx((1 / 3 - 1 / 6) / 0.25)
    assert stock["share_missing_crossing"] == pytest.approx((1 / 4 - 1 / 6) / 0.25)


def test_what_no_draw_settles_has_no_point(duckdb_engine: Engine) -> None:
    country = arriving_in(1)
    country.residence_draws[-1]["status"] = UNCLEAR
    tables = country.estimate(duckdb_engine, draws=4)
    june = figure(tables["flows"].filter(flow="immigration"), "2019-06")
    stock = figure(tables["stocks"], "2020-01-01")
    for found in (june, stock):
        assert [found[name] for name in ("n", "mean", "lower", "upper", "standard_error")] == [None] * 5
    assert figure(tables["stocks"], "2020-01-01", sex="male")["n"] == 10
    # Nor has what is undetermined without anybody being asked about it.
    country = arriving_in(1)
    country.doubts.clear()
    country.residence_draws.clear()
    country.migration_draws.clear()
    assert figure(country.estimate(duckdb_engine, draws=4)["stocks"], "2020-01-01")["n"] is None


def test_no_draw_speaks_of_a_month_that_was_not_delivered(duckdb_engine: Engine) -> None:
    tables = arriving_in(1).estimate(duckdb_engine, draws=4, empty_months=[date(2019, 2, 1)])
    assert tables["flows"].filter(period="2019-02")["n"].is_null().all()
    assert figure(tables["stocks"], "2020-01-01")["upper"] is None


def test_one_draw_gives_a_point_alone(duckdb_engine: Engine) -> None:
    found = figure(arriving_in(1).estimate(duckdb_engine, draws=1)["stocks"], "2020-01-01")
    assert (found["n"], found["mean"]) == (11, 11)
    assert (*bounds(found), found["standard_error"], found["interval_flag"]) == (None,) * 4
    # And none gives what there was before.
    assert figure(arriving_in(1).estimate(duckdb_engine, draws=0)["stocks"], "2020-01-01")["n"] is None


def test_draws_that_do_not_balance(duckdb_engine: Engine) -> None:
    country = arriving_in(1, 2)
    del country.migration_draws[1]
    with pytest.raises(
        ResultError, match=r"accounts of the draws .* year 2019, linkage both, cause follow_up"
    ):
        country.estimate(duckdb_engine, draws=4)


def test_draws_of_persons_who_are_not_in_doubt(duckdb_engine: Engine) -> None:
    country = arriving_in(1, 2)
    country.draw(1, "resident 0", (JUNE, RESIDENT), was=RESIDENT)
    with pytest.raises(ResultError, match="linkage both: 1 persons; nothing is published"):
        country.estimate(duckdb_engine, draws=4)


YEAR_END = date(2019, 12, 31)
DAYS = (date(2019, 1, 1), JUNE, YEAR_END, date(2020, 1, 1), date(2020, 12, 31))
STATUSES = st.sampled_from((RESIDENT, ABROAD))
CAUSES = st.sampled_from(("missing_crossing", "first_status", "follow_up"))


def courses(first: date | None) -> st.SearchStrategy[list[tuple[date | None, str]]]:
    """Statuses that follow one another, from a day on."""
    later = st.sets(st.sampled_from([day for day in DAYS if first is None or day > first]), max_size=2)
    return st.tuples(STATUSES, later).map(
        lambda of: [
            (day, (RESIDENT, ABROAD)[(of[0] == ABROAD) ^ (number % 2)])
            for number, day in enumerate([first, *sorted(of[1])])
        ]
    )


@st.composite
def doubtful_lives(draw: st.DrawFn) -> dict[str, Any]:
    """A person with a settled history, and what three draws say from some day on, or of who it was."""
    day = draw(st.none() | st.sampled_from(DAYS[:4]))
    linkage = draw(st.sampled_from(("both", "best", "drawn")))
    start = None if linkage == "drawn" else day
    parts = [
        draw(st.lists(courses(start), min_size=1, max_size=2 if linkage == "drawn" else 1)) for _ in "123"
    ]
    naturalised = draw(st.none() | st.tuples(st.sampled_from(DAYS), st.just("FRA")))
    facts = {
        "sex": draw(st.sampled_from(("male", "female"))),
        "naturalised": naturalised,
        "citizenship": "AUS",
    }
    cause = "linkage" if linkage == "drawn" else draw(CAUSES)
    return {"settled": draw(courses(None)), "doubt": (start, cause, linkage), "draws": parts, "facts": facts}


def make_country(people: Rows) -> Country:
    country = Country()
    for number, life in enumerate(people):
        country.add(person := f"person {number}", *life["settled"], **life["facts"])
        day, _, linkage = life["doubt"]
        country.doubt(person, *life["doubt"])
        held = [status for start, status in life["settled"] if day and (start is None or start < day)]
        for draw, parts in enumerate(life["draws"], 1):
            for part, statuses in enumerate(parts):
                was = held[-1] if day else None
                country.draw(draw, person, *statuses, linkage=linkage, part=part, was=was)
    return country


@for_all(12, people=st.lists(doubtful_lives(), min_size=2, max_size=6))
def test_as_every_draw_counted_on_its_own(engine: Engine, people: Rows) -> None:
    country = make_country(people)
    tables = country.estimate(
        engine, draws=3, to=date(2020, 12, 31), breakdowns=[["sex", "citizenship_group"]]
    )
    sexes = {row["person_id"]: row["sex"] for row in country.persons}
    for sex in ("total", "male"):
        for what, period, day in (
            ("stock", "2020-01-01", YEAR_END),
            ("net", "2019", None),
            ("emigration", "2019", None),
        ):

            def is_meant(of: Any, day: date | None = day, sex: str = sex) -> bool:
                is_of_sex = sex in ("total", sexes[of[0]])
                return is_of_sex and (of[1].year == 2019 if day is None else in_force(day)(of))

            best, drawn = (
                [count_in_draw(country, number, linkage, what, is_meant) for number in (1, 2, 3)]
                for linkage in ("best", "drawn")
            )
            table = tables["stocks"] if what == "stock" else tables["flows"].filter(flow=what)
            if table.filter(sex=sex).is_empty():
                assert not any((*best, *drawn))  # nobody is ever counted there
                continue
            found = figure(table, period, sex=sex)
            assert (found["n"], found["mean"]) == (
                pytest.approx(sum(best) / 3),
                pytest.approx(sum(drawn) / 3),
            )
            # With nobody drawn what is left is certain.
            certain = None if what == "net" else count_in_draw(country, 99, "drawn", what, is_meant)
            assert bounds(found) == pytest.approx(find_interval(drawn, certain))
    assert_means_add_up(tables["stocks"])


def assert_means_add_up(stocks: pl.DataFrame) -> None:
    """Points and means of the cells add up to those of their total; intervals do not."""
    leaves = stocks.filter(pl.col("sex") != "total", pl.col("citizenship_group") != "total")
    added = leaves.group_by("period").agg(pl.col("n", "mean").sum()).sort("period")
    whole = stocks.filter(**TOTAL).sort("period").join(added.select("period"), on="period", how="semi")
    for name in ("n", "mean"):
        assert added[name].to_list() == pytest.approx(whole[name].to_list())


def test_the_phantom_migrant_of_the_docs(duckdb_engine: Engine) -> None:
    """One person on two passports, three weeks away: in 15 of 50 draws she is an emigrant and an immigrant."""
    country = Country()
    country.add("she", (None, RESIDENT))
    country.doubt("she", None, "linkage", "drawn")
    left, back = date(2019, 3, 1), date(2019, 3, 22)
    for number in range(1, 51):
        if number <= 35:
            country.draw(number, "she", (None, RESIDENT), linkage="drawn")
        else:
            country.draw(number, "she", (None, RESIDENT), (left, ABROAD), linkage="drawn")
            country.draw(number, "she", (None, ABROAD), (back, RESIDENT), linkage="drawn", part=1)
    flows = country.estimate(duckdb_engine, draws=50)["flows"]
    page = (Path(__file__).parents[1] / "docs" / "intervals.md").read_text("utf-8")
    for flow in ("immigration", "emigration", "net"):
        found = figure(flows, "2019", flow=flow)
        cells = [f"{found['n']:.0f}", *(f"{found[name]:.2f}" for name in ("mean", "lower", "upper"))]
        assert f"| {flow} | {' | '.join(cells)} |" in page
