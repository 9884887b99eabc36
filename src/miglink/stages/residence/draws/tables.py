"""The tables of the draws: who is in doubt, the drawn statuses and migrations, and the model of follow-up."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from miglink.engine import Engine, Table, text_literal
from miglink.stages.residence.classification import status_word
from miglink.stages.residence.days import as_date
from miglink.stages.residence.draws.doubts import drawn_number
from miglink.stages.residence.draws.drawn import Drawn
from miglink.stages.residence.draws.follow_up import list_cells
from miglink.stages.residence.histories import Decided
from miglink.stages.residence.initial_status import Evidence
from miglink.tables import TABLES

_SERIES = "CASE WHEN q.is_doubtful AND {} THEN 'best' ELSE 'both' END"
_DRAWN = "split_part(p.person_id, ' ', 1) AS person_id, " + drawn_number("p.person_id", 3) + " AS part"


@dataclass(frozen=True)
class Rows:
    """Rows of doubts, residence_draws and migration_draws."""

    doubts: Table
    residence: Table
    migrations: Table


def find_best_rows(engine: Engine, evidence: Evidence, made: Sequence[Drawn], *, has_linkages: bool) -> Rows:
    """The draws of persons as linked best, whose statuses are in doubt.

    has_linkages: persons of doubtful components are drawn as linked otherwise too; as linked best they are `best`.
    """
    series = _SERIES.format(str(has_linkages).upper())
    # Joined first: the rows of all draws then need no text to find their person.
    names = {
        f"names_{n}": engine.step(
            f"{one.case.name}_names",
            f"""
            SELECT d.person_key, p.person_id, {series} AS linkage, d.from_day, d.cause
            FROM doubts d JOIN people p ON p.person_key = d.person_key JOIN persons q ON q.person_id = p.person_id
            """,
            doubts=one.doubts,
            people=one.case.people,
            persons=evidence.persons,
        )
        for n, one in enumerate(made)
    }
    doubts = f"""
        SELECT {{labels}}, d.person_id, d.linkage, {as_date("d.from_day")} AS from_date, d.cause FROM names_{{n}} d"""
    residence = f"""
        SELECT w.draw, p.person_id, CAST(0 AS INTEGER) AS part, {{labels}}, p.linkage,
               {as_date("s.from_day")} AS from_date, {as_date("s.to_day")} AS to_date,
               {status_word("s.status")} AS status,
               CASE WHEN s.status_before IS NOT NULL THEN {status_word("s.status_before")} END AS status_before,
               s.end_reason
        FROM (SELECT * FROM statuses_{{n}}_0 UNION ALL SELECT * FROM statuses_{{n}}_1) AS s
        JOIN whose_{{n}} w ON w.person_key = s.person_key
        JOIN names_{{n}} p ON p.person_key = w.owner_key"""
    moves = f"""
        SELECT w.draw, p.person_id, CAST(0 AS INTEGER) AS part, {{labels}}, p.linkage,
               {as_date("m.event_day")} AS counted_date, {_nth("m")} AS sequence,
               CASE WHEN m.is_arrival THEN 'immigration' ELSE 'emigration' END AS direction, m.is_implied,
               r.country_from_to AS other_country, r.purpose
        FROM (SELECT * FROM moves_{{n}}_0 UNION ALL SELECT * FROM moves_{{n}}_1) AS m
        JOIN whose_{{n}} w ON w.person_key = m.person_key
        JOIN names_{{n}} p ON p.person_key = w.owner_key
        LEFT JOIN spells s ON s.draw = 0 AND s.person_id = p.person_id AND s.sequence = m.position
        LEFT JOIN records r ON r.source = s.start_source AND r.record_id = s.start_record_id AND NOT m.is_implied"""
    of_records = {"spells": evidence.spells, "records": evidence.records}
    return Rows(
        _stack(engine, "doubts", "best", made, doubts, **names),
        _stack(engine, "residence_draws", "best", made, residence, **names),
        _stack(engine, "migration_draws", "best", made, moves, **names, **of_records),
    )


def find_linked_rows(
    engine: Engine, evidence: Evidence, decided: Sequence[Decided], made: Sequence[Drawn], residence: Table
) -> Rows:
    """The histories of persons as linked in each draw, drawn from where a status is in doubt.

    Reads: evidence of the draws, what was decided and drawn of them; residence of the persons as linked best.
    """
    drawn: dict[tuple[str, str], Drawn] = {(one.case.rule.name, one.case.policy): one for one in made}
    parts = [
        (one.people, rule, policy, tables, one.changes[rule, policy], drawn.get((rule, policy)))
        for one in decided
        for (rule, policy), tables in one.statuses.items()
    ]
    statuses, moves = [], []
    for n, (people, rule, policy, found, changes, one) in enumerate(parts):
        name, labels = (
            f"residence_linked_{n}",
            f"{text_literal(rule)} AS rule, {text_literal(policy)} AS policy",
        )
        histories = _complete(engine, name, found, changes, one)
        statuses.append(_name_statuses(engine, f"{name}_named", histories[0], people, labels))
        moves.append(_name_moves(engine, f"{name}_moved", histories[1], people, evidence, labels))
    doubts = engine.step(
        "residence_linked_doubts",
        """
        SELECT r.rule, r.policy, r.person_id, 'drawn' AS linkage, MIN(r.from_date) AS from_date, 'linkage' AS cause
        FROM residence r
        WHERE r.person_id IN (SELECT split_part(person_id, ' ', 1) FROM persons WHERE person_id NOT LIKE '% -1')
        GROUP BY r.rule, r.policy, r.person_id
        """,
        residence=residence,
        persons=evidence.persons,
    )
    return Rows(doubts, _union(engine, "residence_draws", statuses), _union(engine, "migration_draws", moves))


def write_draws(engine: Engine, rows: Sequence[Rows]) -> tuple[Table, Table, Table]:
    """The tables doubts, residence_draws and migration_draws."""
    return (
        _write(engine, "doubts", [one.doubts for one in rows]),
        _write(engine, "residence_draws", [one.residence for one in rows]),
        _write(engine, "migration_draws", [one.migrations for one in rows]),
    )


def _complete(
    engine: Engine, name: str, found: Sequence[Table], changes: Sequence[Table], drawn: Drawn | None
) -> tuple[Table, Table]:
    """Statuses and migrations as decided until the first day in doubt, and as drawn from then on."""
    tables = {f"found_{m}": table for m, table in enumerate(found)}
    moved = {f"changes_{m}": table for m, table in enumerate(changes)}
    sure = " UNION ALL ".join(
        f"SELECT person_key, from_day, to_day, status, end_reason FROM {one}" for one in tables
    )
    settled = " UNION ALL ".join(
        f"SELECT person_key, position, counted_day, is_arrival, is_implied, outcome FROM {one}"
        for one in moved
    )
    if drawn is None:
        return (
            engine.step(f"{name}_statuses", sure, **tables),
            engine.step(
                f"{name}_moves",
                f"""SELECT person_key, position, counted_day, is_arrival, is_implied FROM ({settled}) AS moved
                WHERE outcome = 'migration'""",
                **moved,
            ),
        )
    own = {"doubts": drawn.doubts, "whose": drawn.whose}
    statuses = engine.step(
        f"{name}_statuses",
        f"""
        SELECT s.person_key, s.from_day,
               CASE WHEN d.from_day <= COALESCE(s.to_day, d.from_day) THEN d.from_day ELSE s.to_day END AS to_day,
               s.status, s.end_reason
        FROM ({sure}) AS s LEFT JOIN doubts d ON d.person_key = s.person_key
        WHERE d.person_key IS NULL OR s.from_day < d.from_day
        UNION ALL
        SELECT w.owner_key, s.from_day, s.to_day, s.status, s.end_reason
        FROM (SELECT * FROM drawn_0 UNION ALL SELECT * FROM drawn_1) AS s JOIN whose w ON w.person_key = s.person_key
        """,
        **tables,
        **own,
        drawn_0=drawn.statuses[0],
        drawn_1=drawn.statuses[1],
    )
    moves = engine.step(
        f"{name}_moves",
        f"""
        SELECT m.person_key, m.position, m.counted_day, m.is_arrival, m.is_implied
        FROM ({settled}) AS m LEFT JOIN doubts d ON d.person_key = m.person_key
        WHERE m.outcome = 'migration' AND (d.person_key IS NULL OR m.counted_day < d.from_day)
        UNION ALL
        SELECT w.owner_key, m.position, m.event_day, m.is_arrival, m.is_implied
        FROM (SELECT * FROM drawn_0 UNION ALL SELECT * FROM drawn_1) AS m JOIN whose w ON w.person_key = m.person_key
        """,
        **moved,
        **own,
        drawn_0=drawn.moves[0],
        drawn_1=drawn.moves[1],
    )
    return statuses, moves


def _name_statuses(engine: Engine, name: str, statuses: Table, people: Table, labels: str) -> Table:
    """Rows of residence_draws from the histories of persons of draws."""
    return engine.step(
        name,
        f"""
        WITH followed AS (
            SELECT *, LAG(status) OVER history AS status_before, LEAD(status) OVER history AS next_status
            FROM statuses WINDOW history AS (PARTITION BY person_key ORDER BY from_day)
        )
        SELECT {drawn_number("p.person_id")} AS draw, {_DRAWN}, {labels}, 'drawn' AS linkage,
               {as_date("s.from_day")} AS from_date, {as_date("s.to_day")} AS to_date,
               {status_word("s.status")} AS status,
               CASE WHEN s.status_before IS NOT NULL THEN {status_word("s.status_before")} END AS status_before,
               CASE WHEN s.next_status IS NULL THEN s.end_reason WHEN s.next_status = -1 THEN 'undetermined'
                    WHEN s.status = -1 THEN 'settled' ELSE 'migration' END AS end_reason
        FROM followed s JOIN people p ON p.person_key = s.person_key
        WHERE {drawn_number("p.person_id", 3)} >= 0
        """,
        statuses=statuses,
        people=people,
    )


def _name_moves(
    engine: Engine, name: str, moves: Table, people: Table, evidence: Evidence, labels: str
) -> Table:
    """Rows of migration_draws from the migrations of persons of draws."""
    return engine.step(
        name,
        f"""
        SELECT {drawn_number("p.person_id")} AS draw, {_DRAWN}, {labels}, 'drawn' AS linkage,
               {as_date("m.counted_day")} AS counted_date,
               {_nth("m", "counted_day")} AS sequence,
               CASE WHEN m.is_arrival THEN 'immigration' ELSE 'emigration' END AS direction, m.is_implied,
               r.country_from_to AS other_country, r.purpose
        FROM moves m
        JOIN people p ON p.person_key = m.person_key
        LEFT JOIN spells s ON s.person_id = p.person_id AND s.sequence = m.position
        LEFT JOIN records r ON r.source = s.start_source AND r.record_id = s.start_record_id AND NOT m.is_implied
        WHERE {drawn_number("p.person_id", 3)} >= 0
        """,
        moves=moves,
        people=people,
        spells=evidence.spells,
        records=evidence.records,
    )


def _nth(table: str, day: str = "event_day") -> str:
    """SQL for the number of a migration among those of a person in a draw."""
    order = f"{table}.{day}, {table}.position, {table}.is_implied"
    return f"CAST(ROW_NUMBER() OVER (PARTITION BY {table}.person_key ORDER BY {order}) AS INTEGER)"


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
            WHERE c.outcome = 'undetermined' AND {str(not one.follow_up.counts.is_empty()).upper()}
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
    return _write_frames(engine, "follow_up", made, [list_cells(one.follow_up, one.asked) for one in made])


def write_back_tests(engine: Engine, made: Sequence[Drawn]) -> Table:
    """The table back_tests."""
    return _write_frames(engine, "back_tests", made, [one.follow_up.back_tests for one in made])


def _write_frames(engine: Engine, name: str, made: Sequence[Drawn], frames: Sequence[pl.DataFrame]) -> Table:
    """A table of one frame for each rule and policy."""
    labelled = [
        frame.with_columns(rule=pl.lit(one.case.rule.name), policy=pl.lit(one.case.policy))
        for one, frame in zip(made, frames, strict=True)
    ]
    columns = [column.name for column in TABLES[name].columns]
    if not labelled:
        return _write(engine, name, [])
    rows = engine.frame(f"residence_{name}", pl.concat(labelled).select(columns))
    return engine.query(name, f"SELECT {', '.join(columns)} FROM found", found=rows)


def _stack(
    engine: Engine, name: str, series: str, made: Sequence[Drawn], select: str, **inputs: Table
) -> Table:
    """Rows of a table from one SELECT for each rule and policy: {n} is its number, {labels} names both."""
    columns = [column.name for column in TABLES[name].columns]
    selects = [
        f"SELECT {', '.join(columns)} FROM ({select.format(n=n, labels=_labels(one))}) AS part_{n}"
        for n, one in enumerate(made)
    ] or [_nothing(name)]
    return engine.step(f"{name}_{series}", " UNION ALL ".join(selects), **_tables_of(made), **inputs)


def _union(engine: Engine, name: str, tables: Sequence[Table]) -> Table:
    """The rows of tables that have the columns of a contract."""
    columns = ", ".join(column.name for column in TABLES[name].columns)
    numbered = {f"part_{n}": table for n, table in enumerate(tables)}
    selects = [f"SELECT {columns} FROM {one}" for one in numbered] or [_nothing(name)]
    return engine.step(f"{name}_linked", " UNION ALL ".join(selects), **numbered)


def _write(engine: Engine, name: str, tables: Sequence[Table]) -> Table:
    """A table of the contract from its rows; empty where there are none."""
    columns = ", ".join(column.name for column in TABLES[name].columns)
    numbered = {f"rows_{n}": table for n, table in enumerate(tables)}
    selects = [f"SELECT {columns} FROM {one}" for one in numbered] or [_nothing(name)]
    return engine.query(name, " UNION ALL ".join(selects), **numbered)


def _nothing(name: str) -> str:
    """A SELECT without a row, with the columns of a table."""
    columns = ", ".join(f"CAST(NULL AS {column.type}) AS {column.name}" for column in TABLES[name].columns)
    return f"SELECT {columns} WHERE FALSE"


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
