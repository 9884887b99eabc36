"""Stage 7: ages of little countries, against the definition, and birthdays as moves between cells."""

from datetime import date, timedelta
from typing import Any

import polars as pl
from hypothesis import strategies as st

from given_country import ABROAD, RESIDENT, UNCLEAR, Country, account, values
from given_examples import for_all
from miglink.engine import Engine
from miglink.stages.estimates.ages import AGES, age_columns, birth_columns, birthdays, month_day

JULY = date(2019, 7, 1)


def test_ages_at_events_and_reference_dates(engine: Engine) -> None:
    country = Country()
    country.add("comes on the birthday", (None, ABROAD), (JULY, RESIDENT), birth_date=date(1994, 7, 1))
    country.add("comes on the day before", (None, ABROAD), (JULY, RESIDENT), birth_date=date(1994, 7, 2))
    country.add("is old", (None, ABROAD), (JULY, RESIDENT), birth_date=date(1915, 1, 1))
    country.add("is not born", (None, ABROAD), (JULY, RESIDENT), birth_date=date(2019, 7, 2))
    tables = country.estimate(engine, breakdowns=[["age"], ["age_reached"], ["age_group"]])
    came = tables["flows"].filter(period="2019-07", flow="immigration")
    assert values(came, "age") == {"25": 1, "24": 1, "104": 1, "unknown": 1}
    assert values(came, "age_reached") == {"25": 2, "104": 1, "unknown": 1}
    assert values(came, "age_group") == {"25-29": 1, "20-24": 1, "100+": 1, "unknown": 1}
    # The stock of 1 January is that of 31 December, when every age reached has been completed.
    at_end = tables["stocks"].filter(period="2020-01-01")
    assert values(at_end, "age") == values(at_end, "age_reached") == {"25": 2, "104": 1, "0": 1}
    assert account(tables, "2019", age="24") == [0, 1, 0, 0, 0, -1, 0, 0]
    assert account(tables, "2019", age="25") == [0, 1, 0, 0, 0, 1, 0, 2]
    assert account(tables, "2019", age_reached="25") == [0, 2, 0, 0, 0, 0, 0, 2]


def test_birth_dates_of_which_the_day_is_not_known(engine: Engine) -> None:
    """Nothing is assumed: an age is known where every possible birth date gives the same."""
    country = Country()
    for number, precision in enumerate(("year", "month")):
        for day in (date(2019, 6, 29), date(2019, 6, 30), date(2019, 12, 31)):
            facts: dict[str, Any] = {
                "birth_date": date(1989, 6, 1).replace(month=(1, 6)[number]),
                "precision": precision,
            }
            country.add(f"{precision} {day}", (None, ABROAD), (day, RESIDENT), **facts)
    tables = country.estimate(engine, breakdowns=[["age"], ["age_reached"], ["age_group"]])
    june, december = (
        tables["flows"].filter(period=period, flow="immigration") for period in ("2019-06", "2019-12")
    )
    # Born in 1989: 29 or 30 in June. Born in June 1989: on the last day of June the birthday has been.
    assert values(june, "age") == {"unknown": 3, "30": 1}
    assert values(june, "age_group") == {"unknown": 3, "30-34": 1}
    assert values(june, "age_reached") == {"30": 4}
    assert values(december, "age") == {"30": 2}


def test_birthday_of_29_february(engine: Engine) -> None:
    country = Country(before=date(2018, 12, 31))
    country.add("stays", (None, RESIDENT), birth_date=date(2000, 2, 29))
    for day in (date(2019, 2, 28), date(2019, 3, 1), date(2020, 2, 28), date(2020, 2, 29)):
        country.add(f"comes {day}", (None, ABROAD), (day, RESIDENT), birth_date=date(2000, 2, 29))
    tables = country.estimate(engine, to=date(2020, 12, 31), breakdowns=[["age"]])
    flows = tables["flows"].filter(flow="immigration")
    assert values(flows, "age", period="2019-02") == {"18": 1}
    assert values(flows, "age", period="2019-03") == {"19": 1}
    assert values(flows, "age", period="2020-02") == {"19": 1, "20": 1}
    # Three come before a birthday: in 2019 one of them and who stays, in 2020 all but the last.
    assert account(tables, "2019", age="18") == [1, 1, 0, 0, 0, -2, 0, 0]
    assert account(tables, "2019", age="19") == [0, 1, 0, 0, 0, 2, 0, 3]
    assert account(tables, "2020", age="20") == [0, 1, 0, 0, 0, 4, 0, 5]


def test_events_on_a_birthday(engine: Engine) -> None:
    country = Country()
    born = {"birth_date": date(1994, 7, 1)}
    country.add("leaves", (None, RESIDENT), (JULY, ABROAD), **born)
    country.add("dies", (None, RESIDENT), died=JULY, **born)
    country.add("is lost", (None, RESIDENT), (JULY, UNCLEAR), **born)
    country.add("moves", (None, RESIDENT), traits={"region": [(None, "north"), (JULY, "south")]}, **born)
    country.add("is born", (JULY, RESIDENT), born=JULY)
    tables = country.estimate(engine, breakdowns=[["age_group"], ["age", "region"], ["age_reached"]])
    assert account(tables, "2019", age_group="20-24") == [4, 0, 0, 0, 0, -4, 0, 0]
    assert account(tables, "2019", age_group="25-29") == [0, 0, 1, 0, 1, 4, -1, 1]
    assert account(tables, "2019", age_group="0-4") == [0, 0, 0, 1, 0, 0, 0, 1]
    assert account(tables, "2019", age="24", region="north") == [1, 0, 0, 0, 0, -1, 0, 0]
    assert account(tables, "2019", age="25", region="south") == [0, 0, 0, 0, 0, 1, 0, 1]
    assert account(tables, "2019", age_reached="25") == [0, 0, 1, 0, 1, 4, -1, 1]


def completed_years(born: date, day: date) -> int:
    """Years completed on a day, counting birthday by birthday."""
    years = -1
    while True:
        year = born.year + years + 1
        try:
            birthday = born.replace(year=year)
        except ValueError:
            birthday = date(year, 3, 1)
        if birthday > day:
            return years
        years += 1


def possible_births(born: date, precision: str) -> list[date]:
    days = [born.replace(month=1, day=1) + timedelta(days=n) for n in range(366)]
    if precision == "day":
        return [born]
    return [d for d in days if d.year == born.year and (precision == "year" or d.month == born.month)]


@for_all(
    60,
    born=st.dates(date(1999, 12, 1), date(2001, 3, 31)),
    precision=st.sampled_from(("day", "month", "year")),
    days=st.lists(st.dates(date(1999, 11, 1), date(2006, 12, 31)), min_size=1, max_size=20),
)
def test_ages_are_those_that_every_possible_birth_date_gives(
    engine: Engine, born: date, precision: str, days: list[date]
) -> None:
    first = {"day": born, "month": born.replace(day=1), "year": born.replace(month=1, day=1)}[precision]
    persons = pl.DataFrame({"birth_date": [first], "birth_date_precision": [precision]})
    found = engine.collect(
        f"""
        WITH born AS (SELECT d.day, {birth_columns("p")} FROM given_persons p CROSS JOIN given_days d),
        aged AS (SELECT day, {age_columns("YEAR(day)", month_day("day"))} FROM born)
        SELECT {", ".join(f"{sql} AS {name}" for name, sql in AGES.items())} FROM aged ORDER BY day
        """,
        given_persons=engine.frame("given_persons", persons),
        given_days=engine.frame("given_days", pl.DataFrame({"day": sorted(days)})),
    )
    births = possible_births(born, precision)
    for day, row in zip(sorted(days), found.iter_rows(named=True), strict=True):
        # Who is counted on a day has been born by it.
        ages = {completed_years(birth, day) for birth in births if birth <= day}
        groups = {"100+" if age >= 100 else f"{age // 5 * 5}-{age // 5 * 5 + 4}" for age in ages}
        expected = {
            "age": str(*ages) if len(ages) == 1 else "unknown",
            "age_group": str(*groups) if len(groups) == 1 else "unknown",
            "age_reached": str(day.year - born.year) if ages else "unknown",
        }
        assert row == expected, day


def test_every_day_of_the_year_is_a_birthday() -> None:
    found = birthdays(date(2019, 1, 1), date(2020, 12, 31))
    assert found.height == 2 * 366
    leap = found.filter(month_day=229).sort("year")
    assert leap["birthday"].to_list() == [date(2019, 3, 1), date(2020, 2, 29)]
    assert leap["falls_before"].to_list() == [228, 228]
    assert found.filter(birthday=date(2020, 1, 1)).select("falls_before", "year_before").row(0) == (
        1231,
        2019,
    )
