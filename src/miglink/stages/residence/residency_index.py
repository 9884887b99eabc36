"""Residence by an index of signs of life, found at the end of each year."""

from datetime import date
from typing import Any

import polars as pl

from miglink.config.rules_of_evidence import ResidencyIndexRule, Sign
from miglink.config.stages import Period
from miglink.engine import Engine, Table, text_literal
from miglink.stages.residence.days import FOREVER, day_number
from miglink.stages.residence.histories import find_statuses
from miglink.stages.residence.initial_status import Evidence, find_newborns, find_starters
from miglink.stages.residence.registrations import find_registered

# Digits of an index that count: what lies beyond is the computer's, not the rule's.
_DIGITS = 9


def follow_index(
    engine: Engine, people: Table, evidence: Evidence, rule: ResidencyIndexRule, period: Period
) -> list[tuple[Table, Table]]:
    """The statuses and changes of all persons under a rule by an index, and those of children of known mothers.

    Reads: records of the kinds that the rule names, and of kind register.
    Gives: statuses and changes, as for rules that rest on crossings; `position` numbers the changes of a person.
    Units: an index from 0 to 1 at the end of each 31 December of the period. A change is dated on that day, and known
        then. Signs count in each calendar year in which they are valid.
    Errors: none.
    Source: Statistics Estonia, residency index; the rule's own references.

    Who is registered on the first day is a resident at first, else non_resident. A child has the mother's status at
    birth; without a known mother it is resident if registered within a year, else undetermined until the year ends.
    """
    years = engine.frame("residence_index_years", _list_years(period))
    signs = _find_signs(engine, people, evidence, rule, years)
    changes = _find_register_years(engine, people, evidence, rule, (period, years))
    starters = find_starters(engine, people, rule, period, ("register", "not_registered"))
    grown = _follow(engine, starters, (years, signs, changes), rule, f"residence_of_{rule.name}")
    newborns = find_newborns(engine, people, grown[0], rule, period)
    born = _follow(engine, newborns, (years, signs, changes), rule, f"residence_of_{rule.name}_newborns")
    return [grown, born]


def _list_years(period: Period) -> pl.DataFrame:
    """The years whose last day lies in the period, as day numbers; until_day is the first day of the next."""
    epoch = date(1900, 1, 1)
    rows = [
        (year, (date(year, 1, 1) - epoch).days, (date(year + 1, 1, 1) - epoch).days)
        for year in range(period.from_date.year, period.to_date.year + 1)
        if date(year, 12, 31) <= period.to_date
    ]
    schema: dict[str, Any] = {"n": pl.Int64, "first_day": pl.Int64, "until_day": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _find_signs(
    engine: Engine, people: Table, evidence: Evidence, rule: ResidencyIndexRule, years: Table
) -> Table:
    """What the signs of each person and year are worth together, at most 1."""
    entries = " UNION ALL ".join(_select_sign(number, sign) for number, sign in enumerate(rule.signs))
    return engine.step(
        "residence_index_signs",
        f"""
        WITH entries AS ({entries}), seen AS (
            SELECT DISTINCT q.person_key, y.n, e.entry, e.weight
            FROM entries e
            JOIN record_persons p ON p.source = e.source AND p.record_id = e.record_id
            JOIN people q ON q.person_id = p.person_id
            JOIN years y ON e.from_day < y.until_day AND e.until_day > y.first_day
        )
        SELECT person_key, n, LEAST(CAST(1 AS DOUBLE), SUM(weight)) AS worth FROM seen GROUP BY person_key, n
        """,
        people=people,
        records=evidence.records,
        record_persons=evidence.record_persons,
        years=years,
    )


def _select_sign(number: int, sign: Sign) -> str:
    """SELECT for the records of one entry, with the days from until which they are valid."""
    first, until = {
        "crossings": ("crossed_date", f"{day_number('crossed_date')} + 1"),
        "register": ("valid_from", f"COALESCE({day_number('ended_date')}, {FOREVER})"),
        "activity": ("valid_from", f"{day_number('COALESCE(valid_to, valid_from)')} + 1"),
    }.get(sign.kind, ("valid_from", f"COALESCE({day_number('valid_to')} + 1, {FOREVER})"))
    chosen = [
        f" AND {column} IN ({', '.join(map(text_literal, values))})"
        for column, values in (("source", sign.sources), ("domain", sign.domains))
        if values
    ]
    return f"""SELECT source, record_id, {number} AS entry, CAST({sign.weight.value} AS DOUBLE) AS weight,
                   {day_number(first)} AS from_day, {until} AS until_day
            FROM records
            WHERE kind = '{sign.kind}' AND NOT is_repeat AND {first} IS NOT NULL{"".join(chosen)}"""


def _find_register_years(
    engine: Engine, people: Table, evidence: Evidence, rule: ResidencyIndexRule, known: tuple[Period, Table]
) -> Table:
    """The years in which a person's registration began or ended, and whether the person was registered at the end."""
    period, years = known
    registered = find_registered(engine, people, evidence, period, 0, rule.settling_days)
    return engine.step(
        "residence_index_changes",
        f"""
        SELECT r.person_key, y.n, MAX(CASE WHEN r.until_day >= y.until_day THEN 1 ELSE 0 END) AS is_registered
        FROM registered r
        JOIN people p ON p.person_key = r.person_key
        JOIN years y ON (r.from_day >= y.first_day AND r.from_day < y.until_day AND r.from_day > p.from_day)
             OR (r.until_day >= y.first_day AND r.until_day < y.until_day)
        WHERE {rule.on_registration == "restarts"}
        GROUP BY r.person_key, y.n
        """,
        registered=registered,
        people=people,
        years=years,
    )


def _follow(
    engine: Engine, travellers: Table, yearly: tuple[Table, Table, Table], rule: ResidencyIndexRule, name: str
) -> tuple[Table, Table]:
    """The statuses and changes of some persons."""
    years, signs, changes = yearly
    # Who has neither a sign nor a registration keeps an index that is too low.
    asked = engine.step(
        "residence_index_asked",
        """
        SELECT t.person_key, t.initial_status, y.n, y.until_day - 1 AS last_day,
               ROW_NUMBER() OVER (PARTITION BY t.person_key ORDER BY y.n) AS nth
        FROM travellers t
        JOIN years y ON y.until_day - 1 > t.from_day AND y.until_day - 1 < COALESCE(t.death_day, y.until_day)
        WHERE t.initial_status <> 0 OR t.person_key IN (SELECT person_key FROM signs)
           OR t.person_key IN (SELECT person_key FROM changes)
        """,
        travellers=travellers,
        years=years,
        signs=signs,
        changes=changes,
    )
    found = engine.step("residence_index_statuses", _indices(rule), asked=asked, signs=signs, changes=changes)
    days = engine.view(
        "residence_index_days",
        """SELECT person_key, last_day AS from_day, status, last_day AS status_final_day, 'residency_index' AS basis
        FROM found WHERE status <> status_before""",
        found=found,
    )
    moves = engine.step(
        f"{name}_changes",
        """
        SELECT person_key, ROW_NUMBER() OVER (PARTITION BY person_key ORDER BY last_day) AS position,
               last_day AS event_day, last_day AS counted_day, status = 1 AS is_arrival, FALSE AS is_implied,
               last_day AS status_final_day, 'migration' AS outcome, CAST(1 AS DOUBLE) AS p_migration,
               last_day AS migration_final_day
        FROM found WHERE status <> status_before AND status_before >= 0
        """,
        found=found,
    )
    return find_statuses(engine, f"{name}_statuses", days, travellers), moves


def _indices(rule: ResidencyIndexRule) -> str:
    """SELECT for the status at the end of each year, and the one before.

    The recursion is summed up: what was begun with, and what each year added, is kept once for each year since.
    """
    kept = f"CAST({rule.stability.value} AS DOUBLE)"
    starts = f"{rule.registered.value} ELSE {rule.not_registered.value} END AS DOUBLE)"
    return f"""
        WITH joined AS (
            SELECT a.*, COALESCE(s.worth, 0) AS worth, c.is_registered,
                   MAX(CASE WHEN c.is_registered IS NOT NULL THEN a.nth ELSE 0 END) OVER (
                       PARTITION BY a.person_key ORDER BY a.nth
                       ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS begun
            FROM asked a
            LEFT JOIN signs s ON s.person_key = a.person_key AND s.n = a.n
            LEFT JOIN changes c ON c.person_key = a.person_key AND c.n = a.n
        ), summed AS (
            SELECT *, MAX(is_registered) OVER (PARTITION BY person_key, begun) AS begun_registered,
                   SUM(CASE WHEN nth = begun THEN 0
                            ELSE {rule.signs_of_life.value} * worth * POWER({kept}, begun - nth) END) OVER (
                       PARTITION BY person_key, begun ORDER BY nth
                       ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS added
            FROM joined
        ), indices AS (
            SELECT person_key, last_day, nth, initial_status,
                   ROUND(POWER({kept}, nth - begun)
                         * (CAST(CASE WHEN COALESCE(begun_registered, initial_status) = 1 THEN {starts} + added),
                         {_DIGITS}) AS residency_index
            FROM summed
        ), statuses AS (
            SELECT *, CASE WHEN residency_index > {rule.threshold.value} THEN 1 ELSE 0 END AS status FROM indices
        )
        SELECT person_key, last_day, status, residency_index,
               COALESCE(LAG(status) OVER (PARTITION BY person_key ORDER BY nth), initial_status) AS status_before
        FROM statuses"""
