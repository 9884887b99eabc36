"""Counts of histories by the values of a breakdown, small whatever the number of persons."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from miglink.config.stages import Period
from miglink.engine import Engine, Table
from miglink.stages.estimates.ages import AGES, age_columns, birthdays, month_day
from miglink.stages.estimates.dimensions import OF_FLOWS, Layout
from miglink.stages.estimates.periods import quarter_name
from miglink.stages.estimates.traits import CONSTANT
from miglink.tables.contract import DIMENSIONS

FLOWS = ("immigration", "emigration", "immigration_undetermined", "emigration_undetermined")
CHANGES = ("births", "deaths", "net_undetermined", "moves")


@dataclass(frozen=True)
class Histories:
    """What is counted, person by person; each row with all traits.

    strata: the rules and policies at hand.
    residents: the days on which a status other than non_resident and all traits stay as they are.
    events: migrations, births, deaths, changes of status, and moves into and out of cells, with their day.
    is_keyed: not persons are counted, but their record keys are added up.
    """

    strata: pl.DataFrame
    residents: Table
    events: Table
    is_keyed: bool = False


@dataclass(frozen=True)
class Counts:
    """Counts by rule, policy and one breakdown (citizenship for its groups).

    statuses: n_resident and n_undetermined at the end of `last_date`; none for breakdowns of flows alone.
    events: FLOWS and CHANGES by year and month.
    """

    statuses: pl.DataFrame | None
    events: pl.DataFrame


def join_histories(
    engine: Engine,
    statuses: Table,
    traits: Table,
    migrations: Table,
    layout: Layout,
    *,
    is_keyed: bool = False,
) -> Histories:
    """Join statuses and events with the traits in force on their days; is_keyed: the traits have a record_key.

    What is made is called by the name of the statuses: those of the draws stand beside those of draw 0.
    """
    strata = engine.collect("SELECT DISTINCT rule, policy FROM statuses", statuses=statuses)
    constant = (*CONSTANT, "record_key") if is_keyed else CONSTANT
    columns = (*constant, *layout.changing.values(), "origin_group")
    # A change of trait on the day after `moves_to` is a move of its own; a birthday then is part of it.
    residents = engine.step(
        f"{statuses.name}_residents",
        f"""
        SELECT s.rule, s.policy, s.status, {", ".join(f"t.{column}" for column in columns)},
               GREATEST(s.from_date, t.valid_from) AS from_date, LEAST(s.to_date, t.valid_to) AS to_date,
               LEAST(s.to_date, CAST(t.valid_to - INTERVAL 1 DAY AS DATE)) AS moves_to
        FROM statuses s
        JOIN traits t ON t.person_id = s.person_id AND t.valid_from < s.to_date AND s.from_date < t.valid_to
        WHERE s.status <> 'non_resident'
        """,
        statuses=statuses,
        traits=traits,
    )
    found = _find_events(engine, statuses, migrations)
    events = _join_events(engine, found, statuses, traits, (constant, layout))
    return Histories(strata.sort("rule", "policy"), residents, events, is_keyed)


def _join_events(
    engine: Engine, found: Table, statuses: Table, traits: Table, of: tuple[Sequence[str], Layout]
) -> Table:
    """Every event with the traits of its day; a move twice, into the new cell and out of the old one.

    A move comes before the other events of its day, because those are counted in the cell of their day: so whoever
    is resident at the end of the day before moves. Ages are those of the day, for the old cell of the day before.
    """
    columns, layout = of
    constant = ", ".join(f"t.{name}" for name in columns)
    changing = (*layout.changing.values(), "origin_group")
    now = ", ".join(f"t.{name}" for name in changing)
    before = ", ".join(f"t.{name}_before AS {name}" for name in changing)
    nothing = "CAST(NULL AS VARCHAR)"
    moving = "s.status = 'resident' AND s.from_date < t.valid_from AND t.valid_from <= s.to_date"
    eve = "CAST(t.valid_from - INTERVAL 1 DAY AS DATE)"
    moves = "FROM statuses s JOIN traits t ON t.person_id = s.person_id"
    return engine.step(
        f"{statuses.name}_events",
        f"""
        WITH all_events AS (
            SELECT e.rule, e.policy, e.term, e.change, e.event_date, e.event_date AS aged_on, e.other_country,
                   e.purpose, {constant}, {now}
            FROM found e
            JOIN traits t
              ON t.person_id = e.person_id AND t.valid_from <= e.event_date AND e.event_date < t.valid_to
            UNION ALL
            SELECT s.rule, s.policy, 'moves', 1, t.valid_from, t.valid_from, {nothing}, {nothing}, {constant}, {now}
            {moves} WHERE {moving}
            UNION ALL
            SELECT s.rule, s.policy, 'moves', -1, t.valid_from, {eve}, {nothing}, {nothing}, {constant}, {before}
            {moves} WHERE {moving}
        )
        SELECT *, {age_columns("YEAR(aged_on)", month_day("aged_on"))} FROM all_events
        """,
        found=found,
        statuses=statuses,
        traits=traits,
    )


def _find_events(engine: Engine, statuses: Table, migrations: Table) -> Table:
    """Migrations, births and deaths of residents, and whose status was settled (1) or is no longer (−1)."""
    nothing = "CAST(NULL AS VARCHAR) AS other_country, CAST(NULL AS VARCHAR) AS purpose"
    return engine.step(
        f"{statuses.name}_found_events",
        f"""
        SELECT person_id, rule, policy,
               CASE WHEN outcome = 'migration' THEN direction ELSE CONCAT(direction, '_undetermined') END AS term,
               counted_date AS event_date, 1 AS change,
               COALESCE(NULLIF(other_country, 'XXX'), 'unknown') AS other_country,
               COALESCE(purpose, 'unknown') AS purpose
        FROM migrations
        WHERE draw = 0
        UNION ALL
        SELECT person_id, rule, policy, 'births', from_date, 1, {nothing}
        FROM statuses
        WHERE status = 'resident' AND begins_at_birth
        UNION ALL
        SELECT person_id, rule, policy, 'deaths', to_date, 1, {nothing}
        FROM statuses
        WHERE status = 'resident' AND end_reason = 'death'
        UNION ALL
        SELECT person_id, rule, policy, 'net_undetermined', from_date,
               CASE WHEN status = 'resident' THEN 1 ELSE -1 END, {nothing}
        FROM statuses
        WHERE (status_before = 'undetermined' AND status = 'resident')
           OR (status_before = 'resident' AND status = 'undetermined')
        """,
        statuses=statuses,
        migrations=migrations,
    )


def count_breakdown(
    engine: Engine, histories: Histories, columns: Mapping[str, str], days: pl.DataFrame, period: Period
) -> Counts:
    """Count statuses at the end of the days, migrations, and the other changes, by the columns of a breakdown."""
    of_flows = bool(OF_FLOWS & {*columns})
    events = count_events(engine, histories.events, columns, of_flows=of_flows, is_keyed=histories.is_keyed)
    if of_flows:
        return Counts(None, events)
    if {*columns} & {*AGES}:
        aged = _count_birthdays(engine, histories.residents, columns, period)
        events = pl.concat([events, aged.select(events.columns)])
    residents = histories.residents
    return Counts(count_statuses(engine, residents, columns, days, is_keyed=histories.is_keyed), events)


def count_drawn(
    engine: Engine, histories: Histories, columns: Mapping[str, str], days: pl.DataFrame
) -> Counts:
    """Count drawn histories by the columns of a breakdown, but for moves between ages: no figure holds them."""
    of_flows = bool(OF_FLOWS & {*columns})
    events = count_events(engine, histories.events, columns, of_flows=of_flows)
    return Counts(None if of_flows else count_statuses(engine, histories.residents, columns, days), events)


def count_statuses(
    engine: Engine,
    residents: Table,
    columns: Mapping[str, str],
    days: pl.DataFrame,
    *,
    is_keyed: bool = False,
) -> pl.DataFrame:
    """Count residents and undetermined persons at the end of each day by the columns of a breakdown."""
    return engine.collect(
        select_statuses(columns, is_keyed=is_keyed),
        residents=residents,
        days=engine.frame("estimates_days", days.select("last_date")),
    )


def select_statuses(columns: Mapping[str, str], *, is_keyed: bool = False, is_drawn: bool = False) -> str:
    """SQL: what `count_statuses` counts, from the tables `residents` and `days`."""
    # Most persons never change: counting equal intervals first leaves few rows to compare with the days. Of those who
    # are drawn hardly two intervals are equal.
    # So does the year of birth in place of the date: every reference date is the end of a 31 December, when this
    # year's birthday has been.
    has_ages = bool({*columns} & {*AGES})
    plain = [column for name, column in columns.items() if name not in AGES]
    held = _also([*plain, *(["birth_year"] if has_ages else [])])
    always = ", 101 AS first_birthday, 101 AS last_birthday" if has_ages else ""
    ages = f", {age_columns('YEAR(d.last_date)', '1231')}" if has_ages else ""
    n = "1" if is_drawn else "CAST(SUM(record_key) AS BIGINT)" if is_keyed else "COUNT(*)"
    grouped = "" if is_drawn else f"GROUP BY rule, policy, status, from_date, to_date{held}"
    return f"""
        WITH intervals AS (
            SELECT rule, policy, status, from_date, to_date{held}, {n} AS n
            FROM residents {grouped}
        ), at_days AS (
            SELECT i.*, d.last_date{ages}
            FROM (SELECT *{always} FROM intervals) AS i
            JOIN days d ON i.from_date <= d.last_date AND d.last_date < i.to_date
        )
        SELECT rule, policy, last_date{_as(columns)},
               CAST(SUM(CASE WHEN status = 'resident' THEN n ELSE 0 END) AS BIGINT) AS n_resident,
               CAST(SUM(CASE WHEN status = 'undetermined' THEN n ELSE 0 END) AS BIGINT) AS n_undetermined
        FROM at_days
        GROUP BY rule, policy, last_date{_also(columns.values())}
        """


def count_events(
    engine: Engine, events: Table, columns: Mapping[str, str], *, of_flows: bool, is_keyed: bool = False
) -> pl.DataFrame:
    """Count events by year, month and the columns of a breakdown; of_flows: migrations alone; is_keyed: add keys up."""
    return engine.collect(select_events(columns, of_flows=of_flows, is_keyed=is_keyed), events=events)


def select_events(columns: Mapping[str, str], *, of_flows: bool, is_keyed: bool = False) -> str:
    """SQL: what `count_events` counts, from the table `events`."""
    change = "change * record_key" if is_keyed else "change"
    terms = ", ".join(
        f"CAST(SUM(CASE WHEN term = '{term}' THEN {change} ELSE 0 END) AS BIGINT) AS {term}"
        for term in (FLOWS if of_flows else (*FLOWS, *CHANGES))
    )
    if of_flows:
        terms += f", {_none_of(CHANGES)}"
    is_flow = f"term IN ({', '.join(repr(term) for term in FLOWS)})" if of_flows else "TRUE"
    return f"""
        SELECT rule, policy, CAST(YEAR(event_date) AS INTEGER) AS year, CAST(MONTH(event_date) AS INTEGER) AS month
               {_as(columns)}, {terms}
        FROM events
        WHERE {is_flow}
        GROUP BY rule, policy, YEAR(event_date), MONTH(event_date){_also(columns.values())}
        """


def _count_birthdays(
    engine: Engine, residents: Table, columns: Mapping[str, str], period: Period
) -> pl.DataFrame:
    """Moves between ages of residents on days on which no other trait changes: into the new and out of the old."""
    others = [column for name, column in columns.items() if name not in AGES]
    held = _also(others)
    days = "first_birthday AS month_day FROM kept UNION ALL SELECT *, last_birthday FROM kept "
    days += "WHERE last_birthday <> first_birthday"
    if "age_reached" in columns:
        days += " UNION ALL SELECT *, 101 FROM kept WHERE first_birthday <> 101"
    # Groups of five completed years change on every fifth birthday alone.
    is_needed = "TRUE" if {"age", "age_reached"} & {*columns} else "MOD(b.year - m.birth_year, 5) = 0"
    ages = "age_first, age_last, age_reached"
    older = ", ".join(f"{name}_before" for name in ages.split(", "))
    counted = engine.collect(
        f"""
        WITH kept AS (
            SELECT rule, policy, birth_year, first_birthday, last_birthday, from_date, moves_to{held}
            FROM residents WHERE status = 'resident' AND birth_year IS NOT NULL
        ), markers AS (SELECT *, {days}),
        aged AS (
            SELECT m.rule, m.policy, b.year{_also(f"m.{column}" for column in others)},
                   {age_columns("b.year", "b.falls")}, {age_columns("b.year_before", "b.falls_before", "_before")}
            FROM markers m JOIN birthdays b ON b.month_day = m.month_day
            WHERE m.from_date < b.birthday AND b.birthday <= m.moves_to AND {is_needed}
        )
        SELECT rule, policy, CAST(year AS INTEGER) AS year{held}, {ages}, {older}, COUNT(*) AS n
        FROM aged GROUP BY rule, policy, year{held}, {ages}, {older}
        """,
        residents=residents,
        birthdays=engine.frame("estimates_birthdays", birthdays(period.from_date, period.data_to_date)),
    )
    return engine.collect(
        f"""
        WITH moved AS (
            SELECT rule, policy, year{held}, {ages}, n AS moves FROM counted
            UNION ALL
            SELECT rule, policy, year{held}, {older}, -n FROM counted
        )
        SELECT rule, policy, year, CAST(1 AS INTEGER) AS month{_as(columns)}, {_none_of((*FLOWS, *CHANGES[:-1]))},
               CAST(SUM(moves) AS BIGINT) AS moves
        FROM moved GROUP BY rule, policy, year{_also(columns.values())} HAVING SUM(moves) <> 0
        """,
        counted=engine.frame("estimates_aged", counted),
    )


def by_period(events: pl.DataFrame, kinds: Collection[str]) -> pl.DataFrame:
    """The counts of each month, with all dimensions, once for the month, its quarter and its year."""
    year, month = pl.col("year"), pl.col("month")
    names = {
        "year": year.cast(pl.String),
        "quarter": quarter_name(year, month),
        "month": pl.format("{}-{}", year, month.cast(pl.String).str.zfill(2)),
    }
    counted = events.filter(pl.any_horizontal(pl.col(*FLOWS) != 0)).select(
        "rule", "policy", *DIMENSIONS, *FLOWS, year, month
    )
    return pl.concat(
        counted.with_columns(period=name) for kind, name in names.items() if kind in {"year", *kinds}
    )


def _as(columns: Mapping[str, str]) -> str:
    return _also(f"{column} AS {name}" for name, column in columns.items())


def _also(columns: Iterable[str]) -> str:
    """SQL: columns that follow others; there may be none."""
    return "".join(f", {column}" for column in columns)


def _none_of(terms: tuple[str, ...]) -> str:
    return ", ".join(f"CAST(0 AS BIGINT) AS {term}" for term in terms)
