"""The tables of the draws: who is in doubt, the drawn statuses and migrations, and the model of follow-up."""

from collections.abc import Sequence

import polars as pl

from miglink.engine import Engine, Table, text_literal
from miglink.stages.residence.classification import status_word
from miglink.stages.residence.days import as_date
from miglink.stages.residence.draws.drawn import Drawn
from miglink.stages.residence.initial_status import Evidence
from miglink.tables import TABLES

_SERIES = "CASE WHEN q.is_doubtful AND {} THEN 'best' ELSE 'both' END"


def write_draws(
    engine: Engine, evidence: Evidence, made: Sequence[Drawn], *, has_linkages: bool = False
) -> tuple[Table, Table, Table]:
    """The tables doubts, residence_draws and migration_draws.

    has_linkages: persons of doubtful components are drawn as linked otherwise too; as linked best they are `best`.
    """
    series = _SERIES.format(str(has_linkages).upper())
    return (
        _write(
            engine,
            "doubts",
            made,
            f"""
            SELECT {{labels}}, p.person_id, {series} AS linkage, {as_date("d.from_day")} AS from_date, d.cause
            FROM doubts_{{n}} d JOIN people_{{n}} p ON p.person_key = d.person_key
            JOIN persons q ON q.person_id = p.person_id
            """,
            persons=evidence.persons,
        ),
        _write(
            engine,
            "residence_draws",
            made,
            f"""
            SELECT w.draw, p.person_id, CAST(0 AS INTEGER) AS part, {{labels}}, {series} AS linkage,
                   {as_date("s.from_day")} AS from_date, {as_date("s.to_day")} AS to_date,
                   {status_word("s.status")} AS status,
                   CASE WHEN s.status_before IS NOT NULL THEN {status_word("s.status_before")} END AS status_before,
                   s.end_reason
            FROM (SELECT * FROM statuses_{{n}}_0 UNION ALL SELECT * FROM statuses_{{n}}_1) AS s
            JOIN whose_{{n}} w ON w.person_key = s.person_key
            JOIN people_{{n}} p ON p.person_key = w.owner_key
            JOIN persons q ON q.person_id = p.person_id
            """,
            persons=evidence.persons,
        ),
        _write(
            engine,
            "migration_draws",
            made,
            f"""
            SELECT w.draw, p.person_id, CAST(0 AS INTEGER) AS part, {{labels}}, {series} AS linkage,
                   {as_date("m.event_day")} AS counted_date,
                   CAST(ROW_NUMBER() OVER (PARTITION BY m.person_key ORDER BY m.event_day, m.position, m.is_implied)
                        AS INTEGER) AS sequence,
                   CASE WHEN m.is_arrival THEN 'immigration' ELSE 'emigration' END AS direction, m.is_implied,
                   r.country_from_to AS other_country, r.purpose
            FROM (SELECT * FROM moves_{{n}}_0 UNION ALL SELECT * FROM moves_{{n}}_1) AS m
            JOIN whose_{{n}} w ON w.person_key = m.person_key
            JOIN people_{{n}} p ON p.person_key = w.owner_key
            JOIN persons q ON q.person_id = p.person_id
            LEFT JOIN spells s ON s.draw = 0 AND s.person_id = p.person_id AND s.sequence = m.position
            LEFT JOIN records r ON r.source = s.start_source AND r.record_id = s.start_record_id AND NOT m.is_implied
            """,
            persons=evidence.persons,
            spells=evidence.spells,
            records=evidence.records,
        ),
    )


def find_shares(engine: Engine, made: Sequence[Drawn], number: int) -> Table:
    """The share of draws in which each crossing of persons in doubt is a migration, where it can be drawn."""
    selects, tables = [], _tables_of(made)
    for n, one in enumerate(made):
        selects.append(
            f"""
            SELECT {_labels(one)}, p.person_id, CAST(c.position AS INTEGER) AS sequence, c.is_implied,
                   CAST(COUNT(m.person_key) AS DOUBLE) / {max(number, 1)} AS p_migration
            FROM changes_{n} c
            JOIN people_{n} p ON p.person_key = c.person_key
            JOIN whose_{n} w ON w.owner_key = c.person_key
            LEFT JOIN (SELECT * FROM moves_{n}_0 UNION ALL SELECT * FROM moves_{n}_1) AS m
                 ON m.person_key = w.person_key AND m.position = c.position AND m.is_implied = c.is_implied
            WHERE c.outcome = 'undetermined' AND {str(not one.cells.is_empty()).upper()}
            GROUP BY p.person_id, c.position, c.is_implied
            """
        )
    if not selects:
        nobody = {"person_id": pl.String, "rule": pl.String, "policy": pl.String, "sequence": pl.Int32}
        nothing = pl.DataFrame(schema={**nobody, "is_implied": pl.Boolean, "p_migration": pl.Float64})
        return engine.frame("residence_shares", nothing)
    return engine.step("residence_shares", " UNION ALL ".join(selects), **tables)


def write_follow_up(engine: Engine, made: Sequence[Drawn]) -> Table:
    """The table follow_up."""
    labelled = [
        one.cells.select(
            pl.lit(one.case.rule.name).alias("rule"), pl.lit(one.case.policy).alias("policy"), pl.all()
        )
        for one in made
    ]
    columns = [column.name for column in TABLES["follow_up"].columns]
    if not labelled:
        return _write_nothing(engine, "follow_up")
    rows = engine.frame("residence_follow_up", pl.concat(labelled).select(columns))
    return engine.query("follow_up", f"SELECT {', '.join(columns)} FROM found", found=rows)


def _write(engine: Engine, name: str, made: Sequence[Drawn], select: str, **inputs: Table) -> Table:
    """A table from one SELECT for each rule and policy: {n} its number, {labels} its name and that of the policy."""
    columns = [column.name for column in TABLES[name].columns]
    if not made:
        return _write_nothing(engine, name)
    selects = (
        f"SELECT {', '.join(columns)} FROM ({select.format(n=n, labels=_labels(one))}) AS part_{n}"
        for n, one in enumerate(made)
    )
    return engine.query(name, " UNION ALL ".join(selects), **_tables_of(made), **inputs)


def _write_nothing(engine: Engine, name: str) -> Table:
    columns = ", ".join(f"CAST(NULL AS {column.type}) AS {column.name}" for column in TABLES[name].columns)
    return engine.query(name, f"SELECT {columns} WHERE FALSE")


def _labels(one: Drawn) -> str:
    return f"{text_literal(one.case.rule.name)} AS rule, {text_literal(one.case.policy)} AS policy"


def _tables_of(made: Sequence[Drawn]) -> dict[str, Table]:
    """The tables of the draws under names that tell rules and policies apart."""
    tables: dict[str, Table] = {}
    for n, one in enumerate(made):
        tables |= {f"doubts_{n}": one.doubts, f"whose_{n}": one.whose, f"people_{n}": one.case.people}
        tables |= {f"changes_{n}": one.case.changes}
        tables |= {f"statuses_{n}_{m}": table for m, table in enumerate(one.statuses)}
        tables |= {f"moves_{n}_{m}": table for m, table in enumerate(one.moves)}
    return tables
