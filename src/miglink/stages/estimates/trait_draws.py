"""Who became a citizen on a day that is drawn: in each draw a person of its own, with the traits of that draw."""

from dataclasses import dataclass

import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.estimates.dimensions import Layout
from miglink.stages.estimates.traits import find_traits

# Of whom nothing else is in doubt. `find_doubts` of residence knows the other causes.
CITIZENSHIP = "citizenship"
_ALWAYS = "DATE '9999-12-31'"


@dataclass(frozen=True)
class Changed:
    """Whose change of citizenship is drawn: person_id, from_date (the day before the first on which it may be).

    traits: those of all persons, and of the changed as persons of each draw, whose id ends with its number.
    """

    people: Table
    traits: Table


def find_changed(
    engine: Engine, drawn: Table, people: tuple[Table, Table], traits: Table, layout: Layout, number: int
) -> Changed:
    """Find whose change is drawn, and their traits in each draw.

    Reads: drawn (trait_draws, of citizenship); people: persons and person_traits; traits: as `find_traits` gives them.
    """
    persons, person_traits = people
    changed = engine.step(
        "estimates_changed",
        f"""
        SELECT d.person_id, CAST(MIN(LEAST(d.valid_from, t.valid_from)) - INTERVAL 1 DAY AS DATE) AS from_date
        FROM drawn d
        JOIN person_traits t ON t.person_id = d.person_id AND t.trait = d.trait AND t.valid_from > DATE '0001-01-01'
        WHERE d.trait = 'citizenship' AND d.draw BETWEEN 1 AND {number}
        GROUP BY d.person_id
        """,
        drawn=drawn,
        person_traits=person_traits,
    )
    of_draw = "CONCAT(d.person_id, ' ', CAST(d.draw AS VARCHAR)) AS person_id"
    among = f"JOIN drawn d ON d.person_id = {{0}}.person_id AND d.draw BETWEEN 1 AND {number}"
    own = engine.step(
        "estimates_changed_persons",
        f"""SELECT {of_draw}, p.sex, p.birth_country, p.birth_date, p.birth_date_precision
        FROM persons p {among.format("p")}""",
        persons=persons,
        drawn=drawn,
    )
    # The last value begins on the drawn day, on which the one before it ends.
    day = "CASE WHEN t.trait = d.trait AND t.{0} > DATE '0001-01-01' THEN d.valid_from ELSE t.{0} END AS {0}"
    own_traits = engine.step(
        "estimates_changed_values",
        f"""SELECT {of_draw}, t.trait, t.value, {day.format("valid_from")}, {day.format("valid_to")}
        FROM person_traits t {among.format("t")}""",
        person_traits=person_traits,
        drawn=drawn,
    )
    of_draws = find_traits(engine, own, own_traits, layout, "estimates_changed")
    return Changed(
        changed,
        engine.view(
            "estimates_all_traits",
            "SELECT * FROM traits UNION ALL SELECT * FROM of_draws",
            traits=traits,
            of_draws=of_draws,
        ),
    )


def add_changed(engine: Engine, coded: Table, changed: Changed, series: pl.DataFrame) -> Table:
    """Add to who is in doubt (person_id, rule, policy, linkage, from_date, code) those whose citizenship is drawn.

    series: rule, policy, linkage and code of those of whom nothing else is in doubt. Gives: is_changed, and drawn_date:
        from its end on a history is drawn, before it is that of draw 0.
    """
    return engine.step(
        "estimates_all_doubts",
        f"""
        WITH covered AS (
            SELECT person_id, rule, policy, MAX(CASE WHEN linkage <> 'drawn' THEN 1 ELSE 0 END) AS has_best,
                   MAX(CASE WHEN linkage <> 'best' THEN 1 ELSE 0 END) AS has_drawn
            FROM coded GROUP BY person_id, rule, policy
        ), missing AS (
            SELECT x.person_id, x.from_date, s.rule, s.policy, s.linkage, s.code
            FROM changed x CROSS JOIN series s
            LEFT JOIN covered c ON c.person_id = x.person_id AND c.rule = s.rule AND c.policy = s.policy
            WHERE s.linkage = CASE WHEN c.person_id IS NULL THEN 'both' WHEN c.has_best = 0 THEN 'best'
                                   WHEN c.has_drawn = 0 THEN 'drawn' ELSE '' END
        )
        SELECT c.person_id, c.rule, c.policy, c.linkage, c.code, c.from_date AS drawn_date,
               LEAST(c.from_date, COALESCE(x.from_date, c.from_date)) AS from_date,
               x.person_id IS NOT NULL AS is_changed
        FROM coded c LEFT JOIN changed x ON x.person_id = c.person_id
        UNION ALL
        SELECT person_id, rule, policy, linkage, code, {_ALWAYS}, from_date, TRUE FROM missing
        """,
        coded=coded,
        changed=changed.people,
        series=engine.frame("estimates_changed_series", series),
    )


def of_draw(history: str, coded: str, draw: str) -> str:
    """SQL for the id of a drawn person: of who is changed, that of the draw."""
    return (
        f"CASE WHEN {coded}.is_changed THEN CONCAT({history}.person_id, ' ', CAST({draw} AS VARCHAR)) "
        f"ELSE {history}.person_id END AS person_id"
    )
