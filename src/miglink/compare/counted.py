"""Whom two runs count, one row each with the cell: of those persons of whom anything differs between the two."""

from collections.abc import Mapping

import polars as pl

from miglink.compare.inputs import Vintage
from miglink.compare.persons import SIDES
from miglink.engine import Engine, Table
from miglink.stages.estimates.ages import AGES, age_columns, month_day
from miglink.stages.estimates.cells import group_citizenships
from miglink.stages.estimates.dimensions import OF_FLOWS, Layout
from miglink.stages.estimates.traits import CONSTANT, find_traits

# The dimensions by which persons are followed from cell to cell; further columns of the configuration are not.
FOLLOWED = (
    "sex",
    "age",
    "age_reached",
    "age_group",
    "citizenship",
    "citizenship_group",
    "birth_country",
    "birth_group",
    "origin_group",
    "region",
    "other_country",
    "purpose",
)
_TRAITS = (*CONSTANT, "citizenship", "region", "origin_group")
_FOREVER = "DATE '9999-12-31'"


def count_units(
    engine: Engine, runs: tuple[Vintage, Vintage], members: Table, families: Table, windows: pl.DataFrame
) -> Table:
    """List whom each of two runs counts, or holds for undetermined, in the windows, where the two may differ.

    Reads: residence and migrations (draw 0), persons, person_traits of both; members, families.
    Gives: side, family, pair, part, rule, policy, figure, measure, period, day, and a value of each of FOLLOWED
        (`total` where the part is not broken down by it). Families whose statuses, migrations and traits are the
        same in both runs are left out: whom one counts there, so does the other.
    """
    sides = dict(zip(SIDES, runs, strict=True))
    traits = {side: _own_traits(engine, side, run, members) for side, run in sides.items()}
    touched = _find_touched(engine, sides, traits, members, families)
    periods = engine.frame("compare_windows", windows)
    units = {
        side: _list_units(engine, side, run, (members, touched, traits[side], periods))
        for side, run in sides.items()
    }
    return engine.step("compare_units", "SELECT * FROM earlier UNION ALL SELECT * FROM later", **units)


def _own_traits(engine: Engine, side: str, run: Vintage, members: Table) -> Table:
    """The traits of each person on each day, with the family."""
    layout = Layout((), (), run.reporting_country)
    traits = find_traits(engine, run.tables["persons"], run.tables["person_traits"], layout)
    return engine.step(
        f"compare_traits_{side}",
        f"""
        SELECT m.family, m.person_id, t.valid_from, t.valid_to, {", ".join(f"t.{name}" for name in _TRAITS)}
        FROM traits t JOIN members m ON m.side = '{side}' AND m.person_id = t.person_id
        """,
        traits=traits,
        members=members,
    )


def _find_touched(
    engine: Engine, sides: Mapping[str, Vintage], traits: Mapping[str, Table], members: Table, families: Table
) -> Table:
    """The families that are not one person in each run, or of whom a status, a migration or a trait differs."""
    of_traits = ", ".join(("valid_from", "valid_to", *_TRAITS))
    owned = {
        "residence": "r.rule, r.policy, r.from_date, r.to_date, r.status",
        "migrations": "r.rule, r.policy, r.counted_date, r.sequence, r.is_implied, r.direction, r.outcome, "
        "r.other_country, r.purpose",
    }
    parts = [
        " EXCEPT ".join(f"(SELECT family, {of_traits} FROM {side}_traits)" for side in order)
        for order in (SIDES, SIDES[::-1])
    ]
    for name, columns in owned.items():
        rows = {
            side: f"(SELECT m.family, {columns} FROM {side}_{name} r JOIN members m ON m.side = '{side}' "
            "AND m.person_id = r.person_id WHERE r.draw = 0)"
            for side in SIDES
        }
        parts += [" EXCEPT ".join(rows[side] for side in order) for order in (SIDES, SIDES[::-1])]
    differing = " UNION ".join(f"SELECT family FROM ({part})" for part in parts)
    tables = {f"{side}_{name}": sides[side].tables[name] for side in SIDES for name in owned}
    return engine.step(
        "compare_touched",
        f"SELECT family FROM families WHERE kind <> 'same' UNION {differing}",
        families=families,
        members=members,
        **tables,
        **{f"{side}_traits": table for side, table in traits.items()},
    )


def _list_units(engine: Engine, side: str, run: Vintage, given: tuple[Table, Table, Table, Table]) -> Table:
    members, touched, traits, windows = given
    of_person = ", ".join(f"t.{name}" for name in _TRAITS)
    followed = ", ".join(f"{_value_of(name)} AS {name}" for name in FOLLOWED)
    return engine.step(
        f"compare_units_{side}",
        f"""
        WITH chosen AS (
            SELECT m.person_id, m.family, m.pair FROM members m JOIN touched c ON c.family = m.family
            WHERE m.side = '{side}'
        ), counted AS (
            SELECT c.person_id, c.family, c.pair, w.part, m.rule, m.policy, m.direction AS figure,
                   CASE WHEN m.outcome = 'migration' THEN 'n_settled' ELSE 'n_undetermined' END AS measure,
                   w.period, w.year, m.counted_date AS day,
                   COALESCE(NULLIF(m.other_country, 'XXX'), 'unknown') AS other_country,
                   COALESCE(m.purpose, 'unknown') AS purpose
            FROM migrations m JOIN chosen c ON c.person_id = m.person_id
            JOIN windows w ON w.part = 'flows' AND w.rule = m.rule AND w.policy = m.policy
             AND m.counted_date BETWEEN w.first_date AND w.last_date
            WHERE m.draw = 0
            UNION ALL
            SELECT c.person_id, c.family, c.pair, w.part, r.rule, r.policy, 'residents',
                   CASE WHEN r.status = 'resident' THEN 'n_settled' ELSE 'n_undetermined' END,
                   w.period, w.year, w.last_date, 'total', 'total'
            FROM residence r JOIN chosen c ON c.person_id = r.person_id
            JOIN windows w ON w.part = 'stocks' AND w.rule = r.rule AND w.policy = r.policy
             AND r.from_date <= w.last_date AND w.last_date < COALESCE(r.to_date, {_FOREVER})
            WHERE r.draw = 0 AND r.status <> 'non_resident'
        ), aged AS (
            SELECT c.*, {of_person}, {age_columns("YEAR(c.day)", month_day("c.day"))}
            FROM counted c JOIN traits t
              ON t.person_id = c.person_id AND t.valid_from <= c.day AND c.day < t.valid_to
        )
        SELECT '{side}' AS side, a.family, a.pair, a.part, a.rule, a.policy, a.figure, a.measure, a.period, a.day,
               {followed}
        FROM aged a LEFT JOIN groups g ON g.year = a.year AND g.citizenship = a.citizenship
        """,
        members=members,
        touched=touched,
        traits=traits,
        windows=windows,
        groups=_group_citizenships(engine, side, run, traits, windows),
        migrations=run.tables["migrations"],
        residence=run.tables["residence"],
    )


def _value_of(dimension: str) -> str:
    if dimension in AGES:
        return AGES[dimension]
    return "g.citizenship_group" if dimension == "citizenship_group" else f"a.{dimension}"


def _group_citizenships(engine: Engine, side: str, run: Vintage, traits: Table, windows: Table) -> Table:
    """The group of each citizenship in each year of the windows."""
    held = engine.collect(
        """
        SELECT y.year, c.citizenship FROM (SELECT DISTINCT year FROM windows) AS y
        CROSS JOIN (SELECT DISTINCT citizenship FROM traits) AS c
        """,
        windows=windows,
        traits=traits,
    )
    grouped = group_citizenships(held, run.reporting_country)
    return engine.frame(f"compare_groups_{side}", grouped.select("year", "citizenship", "citizenship_group"))


def followed_in(part: str) -> tuple[str, ...]:
    """The dimensions that a part can be broken down by."""
    return FOLLOWED if part == "flows" else tuple(name for name in FOLLOWED if name not in OF_FLOWS)
