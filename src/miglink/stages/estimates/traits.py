"""The traits of every person on every day: constant facts, and values that change, each with its days."""

from miglink.engine import Engine, Table, text_literal
from miglink.stages.estimates.ages import birth_columns
from miglink.stages.estimates.dimensions import Layout, birth_group, origin_group

CONSTANT = ("sex", "birth_country", "birth_group", "birth_year", "first_birthday", "last_birthday")


def find_traits(
    engine: Engine, persons: Table, person_traits: Table, layout: Layout, name: str = "estimates"
) -> Table:
    """The traits of every person: rows that follow one another without gap or overlap; name: of the steps.

    A value holds until the next begins, or until its valid_to where that is earlier; then it is unknown. Columns:
    those of CONSTANT, the changing ones of the layout and origin_group, and what each was before as `_before`.
    Most persons never change, so the few changes are put in order apart.
    """
    changing, country = layout.changing, layout.reporting_country
    changes = _find_changes(engine, person_traits, layout, name)
    first = engine.step(
        f"{name}_first_traits",
        f"""
        SELECT p.person_id, COALESCE(p.sex, 'unknown') AS sex,
               COALESCE(NULLIF(p.birth_country, 'XXX'), 'unknown') AS birth_country, {birth_columns("p")},
               {", ".join(f"COALESCE(t.{column}, 'unknown') AS {column}" for column in changing.values())},
               COALESCE(c.valid_to, DATE '9999-12-31') AS valid_to
        FROM persons p
        LEFT JOIN (
            SELECT person_id, {_pivot(changing)} FROM person_traits
            WHERE valid_from = DATE '0001-01-01' GROUP BY person_id
        ) AS t ON t.person_id = p.person_id
        LEFT JOIN (SELECT person_id, MIN(valid_from) AS valid_to FROM changes GROUP BY person_id) AS c
          ON c.person_id = p.person_id
        """,
        persons=persons,
        person_traits=person_traits,
        changes=changes,
    )
    later = _follow_changes(engine, changes, first, layout, name)
    columns = ["person_id", "sex", "birth_country", "birth_year", "first_birthday", "last_birthday"]
    columns += [*changing.values(), "valid_to"]
    born = birth_group("birth_country", country)
    return engine.step(
        f"{name}_traits",
        f"""
        WITH followed AS (
            SELECT {", ".join(columns)}, DATE '0001-01-01' AS valid_from,
                   {", ".join(f"{column} AS {column}_before" for column in changing.values())} FROM first_traits
            UNION ALL
            SELECT {", ".join(columns)}, valid_from,
                   {", ".join(f"{column}_before" for column in changing.values())} FROM later_traits
        ), grouped AS (SELECT *, {born} AS birth_group FROM followed)
        SELECT *, {origin_group("birth_group", "citizenship", country)} AS origin_group,
               {origin_group("birth_group", "citizenship_before", country)} AS origin_group_before
        FROM grouped
        """,
        first_traits=first,
        later_traits=later,
    )


def _pivot(changing: dict[str, str]) -> str:
    return ", ".join(
        f"MAX(CASE WHEN trait = {text_literal(name)} THEN {_known('value')} END) AS {column}"
        for name, column in changing.items()
    )


def _known(value: str) -> str:
    return f"COALESCE(NULLIF({value}, 'XXX'), 'unknown')"


def _follow_changes(engine: Engine, changes: Table, first: Table, layout: Layout, name: str) -> Table:
    """All traits after each change of one of them; those that did not change keep their value."""
    changing = layout.changing
    columns = ", ".join(f"f.{column}" for column in CONSTANT if column != "birth_group")
    followed = ", ".join(
        f"COALESCE(LAST_VALUE(c.{column} IGNORE NULLS) OVER (PARTITION BY c.person_id ORDER BY c.valid_from "
        f"ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW), f.{column}) AS {column}"
        for column in changing.values()
    )
    before = ", ".join(
        f"COALESCE(LAG(v.{column}) OVER (PARTITION BY v.person_id ORDER BY v.valid_from), f.{column}) "
        f"AS {column}_before"
        for column in changing.values()
    )
    return engine.step(
        f"{name}_later_traits",
        f"""
        WITH days AS (SELECT person_id, valid_from, {_pivot(changing)} FROM changes GROUP BY person_id, valid_from),
        valued AS (
            SELECT c.person_id, c.valid_from, {followed}
            FROM days c JOIN first_traits f ON f.person_id = c.person_id
        )
        SELECT v.person_id, {columns}, {", ".join(f"v.{column}" for column in changing.values())}, {before},
               v.valid_from,
               LEAD(v.valid_from, 1, DATE '9999-12-31') OVER (PARTITION BY v.person_id ORDER BY v.valid_from)
               AS valid_to
        FROM valued v JOIN first_traits f ON f.person_id = v.person_id
        """,
        changes=changes,
        first_traits=first,
    )


def _find_changes(engine: Engine, person_traits: Table, layout: Layout, name: str) -> Table:
    """The days after the first on which a value begins, or ends without another that follows."""
    names = ", ".join(map(text_literal, layout.changing))
    return engine.step(
        f"{name}_trait_changes",
        f"""
        SELECT person_id, trait, valid_from, value
        FROM person_traits
        WHERE trait IN ({names}) AND valid_from > DATE '0001-01-01'
        UNION ALL
        SELECT e.person_id, e.trait, e.valid_to AS valid_from, 'unknown' AS value
        FROM person_traits e
        LEFT JOIN person_traits n
          ON n.person_id = e.person_id AND n.trait = e.trait
         AND n.valid_from > e.valid_from AND n.valid_from <= e.valid_to
        WHERE e.trait IN ({names}) AND e.valid_to IS NOT NULL AND n.person_id IS NULL
        """,
        person_traits=person_traits,
    )
