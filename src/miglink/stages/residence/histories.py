"""Histories: the status of each person day by day, and the crossings that change it or may."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from miglink.engine import Engine, Table, text_literal
from miglink.stages.residence.classification import status_word
from miglink.stages.residence.days import FOREVER, as_date, as_final_date
from miglink.stages.residence.initial_status import Evidence

# Tables by rule and policy, stacked.
Parts = Mapping[tuple[str, str], Sequence[Table]]


def find_events(engine: Engine, settled: Table, travellers: Table) -> Table:
    """The elements with the day on which they are booked, and the status at the end of that day.

    A crossing on the day of birth is booked on the next day, for the first status holds from the end of the birth
    day. Of several changes on one day only their outcome counts. A missing crossing that is sure to change the status
    does so on a day that is not known: until its last possible day, that of the next crossing, both are possible.
    """
    return engine.step(
        "residence_events",
        """
        WITH booked AS (
            SELECT s.person_key, s.position, s.place, s.is_arrival, s.is_implied, s.is_reset, s.is_migration,
                   s.status_before,
                   CASE WHEN s.is_implied AND s.late_day > s.day AND s.status_after <> s.status_before THEN -1
                        ELSE s.status_after END AS status_after,
                   s.status_final_day, s.migration_final_day, GREATEST(s.day, t.from_day + 1) AS event_day
            FROM settled s JOIN travellers t ON t.person_key = s.person_key
            WHERE GREATEST(s.day, t.from_day + 1) <= COALESCE(t.death_day, GREATEST(s.day, t.from_day + 1))
        )
        SELECT *,
               FIRST_VALUE(status_before) OVER whole_day AS day_status_before,
               LAST_VALUE(status_after) OVER whole_day AS day_status_after
        FROM booked
        WINDOW whole_day AS (PARTITION BY person_key, event_day ORDER BY place
                             ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
        """,
        settled=settled,
        travellers=travellers,
    )


def find_status_days(engine: Engine, events: Table) -> Table:
    """The status at the end of each day with an element, when it is final and what it rests on."""
    return engine.view(
        "residence_status_days",
        f"""
        SELECT person_key, event_day AS from_day, MIN(day_status_after) AS status,
               MIN(CASE WHEN status_after = day_status_after THEN status_final_day END) AS status_final_day,
               CASE WHEN MIN(CASE WHEN status_after = day_status_after THEN status_final_day END) >= {FOREVER}
                    THEN 'expected_stay'
                    WHEN MOD(MIN(CASE WHEN status_after = day_status_after THEN place END), 2) = 1
                    THEN 'implied_crossing' ELSE 'crossing' END AS basis
        FROM events
        GROUP BY person_key, event_day
        """,
        events=events,
    )


def find_statuses(engine: Engine, name: str, status_days: Table, travellers: Table) -> Table:
    """The status of each person from the end of one day to the end of another; equal neighbours are one row."""
    return engine.step(
        name,
        """
        WITH days AS (
            SELECT person_key, from_day, status, status_final_day, basis FROM status_days
            UNION ALL
            SELECT person_key, from_day, initial_status AS status, initial_final_day AS status_final_day,
                   initial_basis AS basis
            FROM travellers
        ), neighbours AS (
            SELECT *, LAG(status) OVER (PARTITION BY person_key ORDER BY from_day) AS status_before FROM days
        ), changes AS (
            SELECT *, LEAD(from_day) OVER history AS next_day, LEAD(status) OVER history AS next_status
            FROM neighbours
            WHERE status_before IS NULL OR status_before <> status
            WINDOW history AS (PARTITION BY person_key ORDER BY from_day)
        )
        SELECT c.person_key, c.from_day, COALESCE(c.next_day, t.death_day) AS to_day, c.status, c.basis,
               CASE WHEN c.status >= 0 THEN c.status_final_day END AS status_final_day,
               CASE WHEN c.next_day IS NULL THEN CASE WHEN t.death_day IS NOT NULL THEN 'death' END
                    WHEN c.next_status = -1 THEN 'undetermined'
                    WHEN c.status = -1 THEN 'settled'
                    ELSE 'migration' END AS end_reason
        FROM changes c JOIN travellers t ON t.person_key = c.person_key
        """,
        status_days=status_days,
        travellers=travellers,
    )


def hide_statuses(engine: Engine, name: str, statuses: Table, first_day: int) -> Table:
    """The statuses as a rule that applies from first_day on gives them: until the end of that day undetermined."""
    people = engine.view(
        "residence_hidden_people",
        f"""
        WITH numbered AS (
            SELECT *, ROW_NUMBER() OVER (PARTITION BY person_key ORDER BY from_day) AS nth,
                   MAX(CASE WHEN end_reason = 'death' THEN to_day END) OVER (PARTITION BY person_key) AS death_day
            FROM statuses
        )
        SELECT person_key, from_day, death_day,
               CASE WHEN from_day < {first_day} THEN -1 ELSE status END AS initial_status,
               CASE WHEN from_day < {first_day} THEN 'none' ELSE basis END AS initial_basis,
               CASE WHEN from_day >= {first_day} THEN status_final_day END AS initial_final_day
        FROM numbered WHERE nth = 1
        """,
        statuses=statuses,
    )
    days = engine.view(
        "residence_shown_days",
        f"""
        SELECT s.person_key, GREATEST(s.from_day, {first_day}) AS from_day, s.status,
               GREATEST(s.status_final_day, {first_day}) AS status_final_day, s.basis
        FROM statuses s JOIN people p ON p.person_key = s.person_key
        WHERE COALESCE(s.to_day, {first_day} + 1) > {first_day} AND GREATEST(s.from_day, {first_day}) > p.from_day
        """,
        statuses=statuses,
        people=people,
    )
    return find_statuses(engine, name, days, people)


def find_changes(engine: Engine, name: str, events: Table) -> Table:
    """The elements that are migrations or may become one.

    A day that leads from one known status to the other holds exactly one migration: the element that settled it. So
    migrations and changes of status agree, also where an undecided crossing and the decisive one share a day.
    """
    return engine.step(
        name,
        f"""
        WITH days AS (
            SELECT *, day_status_before >= 0 AND day_status_after >= 0
                      AND day_status_before <> day_status_after AS is_change,
                   MAX(CASE WHEN is_reset AND is_arrival = (day_status_after = 1) THEN place END)
                       OVER (PARTITION BY person_key, event_day) AS decisive_place
            FROM events
        )
        SELECT person_key, position, event_day, event_day AS counted_day, is_arrival, is_implied, status_final_day,
               CASE WHEN is_change THEN 'migration' ELSE 'undetermined' END AS outcome,
               CASE WHEN is_change AND status_final_day < {FOREVER} THEN CAST(1 AS DOUBLE) END AS p_migration,
               CASE WHEN is_change THEN status_final_day ELSE migration_final_day END AS migration_final_day
        FROM days
        WHERE (is_change AND place = decisive_place) OR (NOT is_change AND (is_migration IS NULL OR is_migration))
        """,
        events=events,
    )


def leave_open(
    engine: Engine, name: str, presumed: Table, statuses: Table, changes: Table
) -> tuple[Table, Table]:
    """The statuses and changes, none final by days after the one on which a person is presumed to have crossed last.

    presumed: person_key, presumed_day. The next crossing recorded may show that none was missing: whoever is taken to
    have come back arrives. Until that day somebody is where the last crossing recorded led, presumed or not.
    """

    def final(column: str) -> str:
        return f"CASE WHEN f.{column} > p.presumed_day THEN {FOREVER} ELSE f.{column} END AS {column}"

    joined = "FROM found f LEFT JOIN presumed p ON p.person_key = f.person_key"
    return (
        engine.step(
            f"{name}_open_statuses",
            f"""SELECT f.person_key, f.from_day, f.to_day, f.status, f.basis, {final("status_final_day")},
                   f.end_reason {joined}""",
            found=statuses,
            presumed=presumed,
        ),
        engine.step(
            f"{name}_open_changes",
            f"""SELECT f.person_key, f.position, f.event_day, f.counted_day, f.is_arrival, f.is_implied,
                   {final("status_final_day")}, f.outcome,
                   CASE WHEN COALESCE(f.status_final_day <= p.presumed_day, TRUE) THEN f.p_migration END AS p_migration,
                   {final("migration_final_day")} {joined}""",
            found=changes,
            presumed=presumed,
        ),
    )


@dataclass(frozen=True)
class Decided:
    """What was decided by rule and policy, of the people observed over one window."""

    people: Table
    statuses: Parts
    changes: Parts


def write_residence(engine: Engine, decided: Sequence[Decided]) -> Table:
    """The table residence from the statuses of every rule and policy."""
    selects: list[str] = []
    tables: dict[str, Table] = {}
    for number, one in enumerate(decided):
        parts, of_window = _union(one.statuses)
        tables |= of_window | {f"people_{number}": one.people}
        selects.append(
            f"""
        SELECT CAST(0 AS INTEGER) AS draw, p.person_id, s.rule, s.policy, {as_date("s.from_day")} AS from_date,
               {as_date("s.to_day")} AS to_date, {status_word("s.status")} AS status, s.basis,
               {as_final_date("s.status_final_day")} AS status_final_date, s.end_reason
        FROM ({parts}) AS s JOIN people_{number} p ON p.person_key = s.person_key
        """
        )
    return engine.query("residence", " UNION ALL ".join(selects), **tables)


def write_migrations(
    engine: Engine,
    evidence: Evidence,
    decided: Sequence[Decided],
    by_crossings: tuple[str, ...],
    drawn: Table | None = None,
) -> Table:
    """The table migrations from the changes under every rule and policy, with what the crossing's record says.

    by_crossings: the rules whose changes are crossings; changes under others have no crossing's record. drawn: of
    undetermined ones that are drawn, the share of draws in which they are a migration (person_id, rule, policy,
    sequence, is_implied, p_migration).
    """
    selects: list[str] = []
    tables: dict[str, Table] = {}
    for number, one in enumerate(decided):
        parts, of_window = _union(one.changes)
        tables |= of_window | {f"people_{number}": one.people}
        selects.append(
            f"SELECT c.*, p.person_id FROM ({parts}) AS c JOIN people_{number} p ON p.person_key = c.person_key"
        )
    names = ", ".join(map(text_literal, by_crossings)) or "NULL"
    shares, share = "", "c.p_migration"
    if drawn is not None:
        tables["drawn"] = drawn
        share = (
            "CASE WHEN c.outcome = 'undetermined' THEN n.p_migration ELSE c.p_migration END AS p_migration"
        )
        shares = """LEFT JOIN drawn n ON n.person_id = c.person_id AND n.rule = c.rule AND n.policy = c.policy
             AND n.sequence = c.position AND n.is_implied = c.is_implied"""
    return engine.query(
        "migrations",
        f"""
        SELECT CAST(0 AS INTEGER) AS draw, c.person_id, c.rule, c.policy, {as_date("c.event_day")} AS event_date,
               {as_date("c.counted_day")} AS counted_date, CAST(c.position AS INTEGER) AS sequence,
               CASE WHEN c.is_arrival THEN 'immigration' ELSE 'emigration' END AS direction, c.outcome,
               {share}, c.is_implied, {as_final_date("c.status_final_day")} AS status_final_date,
               {as_final_date("c.migration_final_day")} AS migration_final_date,
               r.country_from_to AS other_country, r.purpose
        FROM ({" UNION ALL ".join(selects)}) AS c
        LEFT JOIN spells s ON s.draw = 0 AND s.person_id = c.person_id AND s.sequence = c.position
             AND c.rule IN ({names})
        LEFT JOIN records r ON r.source = s.start_source AND r.record_id = s.start_record_id AND NOT c.is_implied
        {shares}
        """,
        spells=evidence.spells,
        records=evidence.records,
        **tables,
    )


def _union(parts: Parts) -> tuple[str, dict[str, Table]]:
    """SQL that stacks tables, each under its rule and policy, and the tables by name."""
    tables = {table.name: table for several in parts.values() for table in several}
    selects = [
        f"SELECT '{rule}' AS rule, '{policy}' AS policy, * FROM {table.name}"
        for (rule, policy), several in parts.items()
        for table in several
    ]
    return " UNION ALL ".join(selects), tables
