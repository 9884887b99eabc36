"""Stage 7 in every dimension: what each value means, that every breakdown adds up, what cannot be asked for."""

import json
import random
from datetime import date, timedelta
from itertools import product
from typing import Any

import polars as pl
import pytest
from hypothesis import strategies as st
from pydantic import ValidationError

from given_country import (
    ABROAD,
    RESIDENT,
    RULE,
    TERMS,
    TOTAL,
    UNCLEAR,
    Country,
    Tables,
    account,
    figure,
    values,
)
from given_examples import for_all
from miglink.config.stages import EstimatesSettings
from miglink.engine import Engine
from miglink.errors import ResultError

MAY, JULY = date(2019, 5, 1), date(2019, 7, 1)
MEASURES = {
    "stocks": ("n_settled", "n_undetermined"),
    "flows": ("n_settled", "n_undetermined"),
    "accounts": TERMS,
}


def test_birth_country_and_where_persons_originate(engine: Engine) -> None:
    country = Country()
    country.add("native citizen", (None, RESIDENT), birth_country="NZL")
    country.add("foreign-born citizen", (None, RESIDENT), birth_country="FJI")
    country.add("native foreigner", (None, RESIDENT), birth_country="NZL", citizenship="AUS")
    country.add("foreigner", (None, RESIDENT), birth_country="FRA", citizenship="AUS", sex="male")
    country.add("of unknown birth", (None, RESIDENT), birth_country="XXX")
    country.add("of unknown citizenship", (None, RESIDENT), birth_country="FRA", citizenship=None)
    at_january = country.estimate(engine)["stocks"].filter(period="2019-01-01")
    assert values(at_january, "birth_country") == {"NZL": 2, "FJI": 1, "FRA": 2, "unknown": 1}
    assert values(at_january, "birth_group") == {"native": 2, "foreign": 3, "unknown": 1}
    assert values(at_january, "citizenship") == {"NZL": 3, "AUS": 2, "unknown": 1}
    assert values(at_january, "origin_group") == {
        "native_born_citizen": 1,
        "foreign_born_citizen": 1,
        "native_born_foreigner": 1,
        "foreign_born_foreigner": 1,
        "unknown": 2,
    }


def test_other_country_and_purpose_belong_to_flows_alone(engine: Engine) -> None:
    country = Country()
    country.add("comes", (None, ABROAD), (MAY, RESIDENT))
    country.migrations[-1] |= {"other_country": "FRA", "purpose": "work"}
    country.add("goes", (None, RESIDENT), (JULY, ABROAD), sex="male")
    country.migrations[-1] |= {"other_country": "FRA"}
    country.add("may have gone", (None, RESIDENT), (JULY, UNCLEAR))
    country.migrate("may have gone", JULY, "emigration", "undetermined", other_country="XXX", purpose="study")
    tables = country.estimate(engine, breakdowns=[["sex", "other_country"], ["purpose"]])

    flows = tables["flows"].filter(period="2019")
    assert values(flows, "other_country", flow="immigration") == {"FRA": 1}
    assert values(flows, "other_country", flow="emigration", sex="male") == {"FRA": 1}
    assert figure(flows, "2019", flow="net", other_country="FRA")["n_settled"] == 0
    assert figure(flows, "2019", flow="emigration", other_country="unknown")["n_undetermined"] == 1
    assert values(flows, "purpose", flow="immigration") == {"work": 1}
    assert values(flows, "purpose", flow="emigration") == {"unknown": 1}
    assert figure(flows, "2019", flow="emigration", purpose="study")["n_undetermined"] == 1
    # There is no stock by purpose: what is left of it is the total of totals.
    for name in ("stocks", "accounts"):
        assert set(tables[name].select(*TOTAL).unique().iter_rows()) == {("total",) * len(TOTAL)}
    assert account(tables, "2019") == [2, 1, 1, 0, 0, 0, -1, 1]


def test_the_totals_are_checked_where_nothing_else_is_asked_for(engine: Engine) -> None:
    country = Country()
    country.add("arrives", (None, ABROAD), (MAY, RESIDENT))
    country.migrations.clear()
    with pytest.raises(
        ResultError, match=r"accounts by no dimension do not balance in 1 cells.*year 2019: closing"
    ):
        country.estimate(engine, breakdowns=[["purpose"]])


def test_region_and_citizenship_change_in_the_middle_of_the_year(engine: Engine) -> None:
    country = Country()
    moves = {"region": [(None, "north"), (JULY, "south")]}
    country.add("moves", (None, RESIDENT), traits=moves)
    country.add(
        "moves and is naturalised",
        (None, RESIDENT),
        citizenship="AUS",
        naturalised=(JULY, "NZL"),
        traits=moves,
    )
    country.add("moves, then leaves", (None, RESIDENT), (date(2019, 9, 1), ABROAD), traits=moves)
    country.add("leaves on the day", (None, RESIDENT), (JULY, ABROAD), traits=moves)
    country.add("moves abroad", (None, ABROAD), (date(2019, 9, 1), RESIDENT), traits=moves)
    country.add("is nowhere", (None, RESIDENT))
    country.add("arrives nowhere", (None, ABROAD), (MAY, RESIDENT), traits={"region": [(JULY, "south")]})
    tables = country.estimate(engine, breakdowns=[["region"], ["region", "citizenship"]])
    terms = {
        "north": [4, 0, 0, 0, 0, -4, 0, 0],
        "south": [0, 1, 2, 0, 0, 5, 0, 4],
        "unknown": [1, 1, 0, 0, 0, -1, 0, 1],
    }
    for region, expected in terms.items():
        assert account(tables, "2019", region=region) == expected
    assert account(tables, "2019", region="south", citizenship="NZL") == [0, 1, 2, 0, 0, 5, 0, 4]
    assert account(tables, "2019", region="north", citizenship="AUS") == [1, 0, 0, 0, 0, -1, 0, 0]
    assert account(tables, "2019", region="north", citizenship="NZL") == [3, 0, 0, 0, 0, -3, 0, 0]
    july = tables["flows"].filter(period="2019-07", flow="emigration")
    assert values(july, "region") == {"south": 1}  # the region of the day on which the person leaves


def test_a_further_column(engine: Engine) -> None:
    country = Country()
    country.add("learns", (None, RESIDENT), traits={"education": [(None, "school"), (JULY, "university")]})
    country.add("is not asked", (None, RESIDENT), sex="male", traits={"occupation": [(None, "miner")]})
    tables = country.estimate(engine, traits=["education", "occupation"])
    by_education = {"trait": "education"}
    assert account(tables, "2019", **by_education, trait_value="school") == [1, 0, 0, 0, 0, -1, 0, 0]
    assert account(tables, "2019", **by_education, trait_value="university") == [0, 0, 0, 0, 0, 1, 0, 1]
    assert account(tables, "2019", **by_education, trait_value="unknown") == [1, 0, 0, 0, 0, 0, 0, 1]
    assert account(tables, "2019", trait="occupation", trait_value="miner") == [1, 0, 0, 0, 0, 0, 0, 1]
    asked = country.estimate(engine, traits=["education"], breakdowns=[["sex", "education"]])["stocks"]
    assert (
        figure(asked, "2020-01-01", sex="female", trait="education", trait_value="university")["n_settled"]
        == 1
    )
    assert set(asked.filter(trait_value="total")["trait"]) == {"total"}


def test_quarters(engine: Engine) -> None:
    country = Country(before=date(2018, 2, 28))
    country.add("comes", (None, ABROAD), (date(2019, 3, 31), RESIDENT))
    country.add("goes", (None, RESIDENT), (date(2019, 4, 1), ABROAD))
    flows = country.estimate(engine, to=date(2020, 2, 28), periods=["quarter"])["flows"].filter(**TOTAL)
    assert flows["period"].unique().sort().to_list() == [
        *("2018-Q2", "2018-Q3", "2018-Q4", "2019-Q1", "2019-Q2", "2019-Q3", "2019-Q4")
    ]
    counted = flows.filter(n_settled=1).select("period", "flow").sort("period", "flow").rows()
    assert counted == [("2019-Q1", "immigration"), ("2019-Q1", "net"), ("2019-Q2", "emigration")]


def test_flows_of_rules_without_dates_of_their_own_have_years_only(engine: Engine) -> None:
    country = Country()
    country.add("comes", (None, ABROAD), (MAY, RESIDENT))
    for table in (country.residence, country.migrations):
        table.extend([row | {"rule": "eu_2013"} for row in table])
    # It came in 2018, as the reader is told, but is counted when the status was first found.
    country.migrations[-1]["event_date"] = date(2018, 5, 1)
    flows = country.estimate(engine, by_year=["eu_2013"])["flows"].filter(flow="immigration")
    assert set(flows.filter(rule="eu_2013")["period"]) == {"2019"}
    assert flows.filter(rule="eu_2013", **TOTAL)["n_settled"].to_list() == [1]
    assert flows.filter(rule=RULE, **TOTAL)["period"].n_unique() == 13


def test_the_default_leaves_out_what_no_source_holds(engine: Engine) -> None:
    country = Country()
    country.add("stays", (None, RESIDENT), sex=None, birth_date=None, citizenship=None)
    tables = country.estimate(engine)
    made = tables["stocks"].select(name for name in TOTAL if (tables["stocks"][name] != "total").any())
    assert made.columns == ["sex", "citizenship_group"]
    assert (
        figure(tables["stocks"], "2019-01-01", sex="unknown", citizenship_group="unknown")["n_settled"] == 1
    )


def test_a_dimension_that_no_source_holds_is_unknown_if_asked_for(engine: Engine) -> None:
    country = Country()
    country.add("comes", (None, ABROAD), (MAY, RESIDENT), sex=None, birth_date=None, citizenship=None)
    names = [
        "sex",
        "age",
        "age_reached",
        "age_group",
        "citizenship",
        "birth_country",
        "birth_group",
        "region",
    ]
    further = ["origin_group", "other_country", "purpose"]
    tables = country.estimate(
        engine, traits=["education"], breakdowns=[[name] for name in (*names, *further, "education")]
    )
    came = tables["flows"].filter(period="2019", flow="immigration")
    for name in (*names, *further):
        assert values(came, name) == {"unknown": 1}
    assert figure(came, "2019", trait="education", trait_value="unknown")["n_settled"] == 1
    assert account(tables, "2019", age="unknown") == [0, 1, 0, 0, 0, 0, 0, 1]


def test_a_value_that_is_called_total_is_refused(engine: Engine) -> None:
    country = Country()
    country.add("stays", (None, RESIDENT), traits={"region": [(None, "total")]})
    with pytest.raises(ResultError, match="a value is called 'total'"):
        country.estimate(engine)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (
            {"breakdowns": [["sex", "age_grup"]]},
            "no dimension is called 'age_grup'; known: sex, age, .*purpose",
        ),
        ({"breakdowns": [["trait"]]}, "no dimension is called 'trait'"),
        ({"breakdowns": [["education"]]}, "further columns are named under `traits`"),
        ({"breakdowns": [["sex", "sex"]]}, "names a dimension twice"),
        ({"breakdowns": [["a", "b"]], "traits": ["a", "b"]}, "or two of `traits`"),
        ({"breakdowns": [[]]}, "at least 1 item"),
        ({"traits": ["region", "weight"]}, "region, weight is a column already"),
        ({"traits": ["a", "a"]}, "is given twice"),
    ],
)
def test_what_cannot_be_asked_for(asked: dict[str, Any], found: str) -> None:
    with pytest.raises(ValidationError, match=found):
        EstimatesSettings.model_validate_json(json.dumps({"reporting_country": "NZL"} | asked))


DAYS = (date(2019, 1, 1), date(2019, 2, 28), date(2019, 3, 1), JULY, date(2019, 12, 31), date(2020, 1, 1))


@st.composite
def countries(draw: st.DrawFn) -> Country:
    """A few persons with changing statuses, regions and citizenships, and birthdays on the same days."""
    country = Country()
    births = st.sampled_from(
        (None, date(1994, 3, 1), date(2000, 2, 29), date(1914, 7, 1), date(1999, 12, 31))
    )
    for number in range(draw(st.integers(1, 6))):
        days = sorted(draw(st.sets(st.sampled_from(DAYS), max_size=3)))
        statuses: list[tuple[date | None, str]] = [(None, draw(st.sampled_from((RESIDENT, ABROAD, UNCLEAR))))]
        for day in days:
            others = sorted({RESIDENT, ABROAD, UNCLEAR} - {statuses[-1][1]})
            statuses.append((day, draw(st.sampled_from(others))))
        regions: list[tuple[date | None, str]] = [(None, "north")] if draw(st.booleans()) else []
        regions += [
            (day, f"{day.month} {number % 2}")
            for day in sorted(draw(st.sets(st.sampled_from(DAYS), max_size=2)))
        ]
        born, precision = draw(births), draw(st.sampled_from(("day", "month", "year")))
        first = born and born.replace(day=1 if precision != "day" else born.day)
        country.add(
            f"person {number}",
            *statuses,
            birth_date=first and first.replace(month=1) if precision == "year" else first,
            precision=precision if born else None,
            birth_country=draw(st.sampled_from((None, "NZL", "FRA"))),
            citizenship=draw(st.sampled_from((None, "NZL", "AUS"))),
            naturalised=draw(
                st.none() | st.tuples(st.sampled_from(DAYS[1:]), st.sampled_from(("NZL", "FRA")))
            ),
            died=draw(st.sampled_from((None, date(2020, 6, 1)))),
            traits={"region": regions},
        )
    for event in country.migrations:
        event |= {
            "other_country": draw(st.sampled_from((None, "AUS", "FRA"))),
            "purpose": draw(st.sampled_from((None, "work"))),
        }
    return country


ASKED = [
    *(["age", "region"], ["age_reached", "citizenship"], ["age_group", "origin_group", "sex"], ["age_group"]),
    *(
        ["citizenship_group", "age_group", "age_reached"],
        ["birth_group", "other_country"],
        ["purpose", "region"],
    ),
]


@for_all(25, country=countries())
def test_every_breakdown_adds_up_to_its_total(engine: Engine, country: Country) -> None:
    tables = country.estimate(
        engine, to=date(2020, 12, 31), breakdowns=ASKED, periods=["year", "quarter", "month"]
    )
    assert (tables["accounts"]["discrepancy"] == 0).all()
    for (name, measures), asked in product(MEASURES.items(), ASKED):
        if name != "flows" and {"other_country", "purpose"} & {*asked}:
            continue
        assert_adds_up(tables[name], asked, measures)
    assert {*tables["flows"]["period"].str.len_chars()} == {4, 7}


def assert_adds_up(table: pl.DataFrame, dimensions: list[str], measures: tuple[str, ...]) -> None:
    """The sum of the cells of a breakdown is the total, in every period."""
    keys = ["period", *(["flow"] if "flow" in table.columns else [])]
    is_leaf = [(pl.col(name) != "total") == (name in dimensions) for name in TOTAL]
    total = table.filter(**TOTAL).sort(keys)
    added = table.filter(*is_leaf).group_by(keys).agg(pl.col(*measures).sum())
    both = total.join(added, on=keys, how="left", suffix=" added").fill_null(0)
    for measure in measures:
        assert both[measure].to_list() == both[f"{measure} added"].to_list(), dimensions


def shuffled(country: Country, seed: int) -> Country:
    rng = random.Random(seed)
    names = ("residence", "migrations", "persons", "person_traits")
    return Country(
        country.before, *(rng.sample(rows, len(rows)) for rows in (getattr(country, n) for n in names))
    )


def test_the_order_of_rows_does_not_matter(engine: Engine) -> None:
    country = Country()
    for number in range(40):
        day = date(2019, 1, 1) + timedelta(days=9 * number)
        changes = {
            "region": [(None, str(number % 3)), (day, str(number % 4))],
            "work": [(day, str(number % 5))],
        }
        statuses = ((None, RESIDENT), (day, ABROAD)) if number % 2 else ((None, ABROAD), (day, RESIDENT))
        citizenship = ("NZL", "AUS", None)[number % 3]
        facts: dict[str, Any] = {"birth_date": day.replace(year=1950 + number), "citizenship": citizenship}
        country.add(f"person {number}", *statuses, traits=changes, **facts)
    asked = {
        "traits": ["work"],
        "breakdowns": [["age", "region"], ["age_group", "work"], ["citizenship_group"]],
    }
    expected: Tables = country.estimate(engine, **asked)
    for seed in range(3):
        found = shuffled(country, seed).estimate(engine, **asked)
        for name, table in expected.items():
            assert table.equals(found[name])
