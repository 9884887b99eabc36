"""What is known of a crossing whose window is not over: the features of the model of follow-up."""

import polars as pl

from miglink.codes.groups import group_by_year
from miglink.engine import Engine, Table
from miglink.stages.residence.days import FOREVER, as_date, day_number
from miglink.stages.residence.initial_status import Evidence

# Of cells: direction, in the state it leads to now or not, months observed; days spent in the other state since;
# purpose, permit or visa; group of citizenship, first crossing on record or not; age.
LEVELS = ("cell_1", "cell_2", "cell_3", "cell_4", "cell_5")


def describe_crossings(
    engine: Engine, name: str, crossings: Table, people: Table, evidence: Evidence, country: str | None
) -> Table:
    """What does not change of crossings: person_key, position, purpose, stay, group, age, is_first.

    Reads: crossings (person_key, position, day), people, and the records that the spells begin with.
    Units: stay: how long the permits and visas in force on the day are still valid; age in completed years of the
        calendar year's difference.
    """
    recorded = engine.step(
        f"{name}_records",
        f"""
        WITH firsts AS (
            SELECT person_id, MIN(sequence) AS sequence FROM spells
            WHERE draw = 0 AND start_basis = 'crossing' GROUP BY person_id
        )
        SELECT c.person_key, c.position, c.day, r.purpose, COALESCE(r.citizenship, 'XXX') AS citizenship,
               CAST(YEAR({as_date("c.day")}) AS INTEGER) AS year,
               CAST(YEAR({as_date("c.day")}) - YEAR(r.birth_date) AS INTEGER) AS age,
               f.sequence = c.position AS is_first
        FROM crossings c
        JOIN people p ON p.person_key = c.person_key
        JOIN spells s ON s.draw = 0 AND s.person_id = p.person_id AND s.sequence = c.position
        JOIN firsts f ON f.person_id = p.person_id
        LEFT JOIN records r ON r.source = s.start_source AND r.record_id = s.start_record_id
        """,
        crossings=crossings,
        people=people,
        spells=evidence.spells,
        records=evidence.records,
    )
    seen = engine.collect("SELECT DISTINCT citizenship, year FROM recorded", recorded=recorded)
    groups = group_by_year(seen["citizenship"], seen["year"], country or "")
    return engine.step(
        f"{name}_described",
        """
        SELECT r.person_key, r.position, COALESCE(r.purpose, 'no purpose') AS purpose,
               CASE WHEN v.n_days IS NULL THEN 'none' WHEN v.n_days < 365 THEN 'short' ELSE 'long' END AS stay,
               g.citizenship_group AS group_name, CASE WHEN r.is_first THEN 'first' ELSE 'again' END AS turn,
               CASE WHEN r.age < 18 THEN '0-17' WHEN r.age < 35 THEN '18-34' WHEN r.age < 65 THEN '35-64'
                    WHEN r.age >= 65 THEN '65+' ELSE 'unknown' END AS age
        FROM recorded r
        JOIN groups g ON g.citizenship = r.citizenship AND g.year = r.year
        LEFT JOIN stays v ON v.person_key = r.person_key AND v.position = r.position
        """,
        recorded=recorded,
        groups=engine.frame(f"{name}_groups", groups.with_columns(pl.col("year").cast(pl.Int32))),
        stays=_find_validity(engine, name, crossings, people, evidence),
    )


def _find_validity(engine: Engine, name: str, crossings: Table, people: Table, evidence: Evidence) -> Table:
    """How many days the permits and visas in force on the day of a crossing are still valid, at most."""
    return engine.step(
        f"{name}_stays",
        f"""
        WITH valid AS (
            SELECT q.person_key, {day_number("r.valid_from")} AS from_day,
                   COALESCE({day_number("r.valid_to")} + 1, {FOREVER}) AS until_day
            FROM records r
            JOIN record_persons o ON o.source = r.source AND o.record_id = r.record_id
            JOIN people q ON q.person_id = o.person_id
            WHERE r.kind IN ('visas', 'permits') AND r.valid_from IS NOT NULL
        )
        SELECT c.person_key, c.position, MAX(v.until_day - c.day) AS n_days
        FROM crossings c JOIN valid v ON v.person_key = c.person_key AND v.from_day <= c.day AND v.until_day > c.day
        GROUP BY c.person_key, c.position
        """,
        crossings=crossings,
        people=people,
        records=evidence.records,
        record_persons=evidence.record_persons,
    )


def name_cells(engine: Engine, name: str, decided: Table, described: Table, whose: Table) -> Table:
    """The open crossings with the names of their cells, level by level, direction, group_name and quarter.

    Reads: decided (elements as `decide_chain` gives them), whose (person_key of the draw or cut, owner_key).
    quarter: of the crossing, numbered from year 0 on. cells of implied crossings have features unknown.
    """
    old = "CASE WHEN is_arrival THEN observed_days - present_days ELSE present_days END"
    return engine.step(
        name,
        f"""
        WITH lasts AS (
            SELECT *, LAST_VALUE(is_arrival) OVER (PARTITION BY person_key ORDER BY place
                       ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) = is_arrival AS is_there
            FROM decided
        ), named AS (
            SELECT l.person_key, l.position, l.place, w.owner_key, l.is_implied, l.day,
                   CASE WHEN l.is_arrival THEN 'arrival' ELSE 'departure' END AS direction,
                   COALESCE(d.group_name, 'unknown') AS group_name,
                   CAST(YEAR({as_date("l.day")}) * 4 + FLOOR((MONTH({as_date("l.day")}) - 1) / 3.0) AS INTEGER)
                       AS quarter,
                   CONCAT(CASE WHEN l.is_arrival THEN 'arrival' ELSE 'departure' END,
                          CASE WHEN l.is_there THEN ', there' ELSE ', back' END, ', ',
                          CAST(CAST(FLOOR(l.observed_days / 30.5) AS INTEGER) AS VARCHAR)) AS cell_1,
                   CASE WHEN {old} <= 0 THEN '0' WHEN {old} < 31 THEN '1-30' WHEN {old} < 76 THEN '31-75'
                        ELSE '76+' END AS old_band,
                   COALESCE(d.purpose, 'unknown') AS purpose, COALESCE(d.stay, 'unknown') AS stay,
                   COALESCE(d.turn, 'unknown') AS turn, COALESCE(d.age, 'unknown') AS age
            FROM lasts l
            JOIN whose w ON w.person_key = l.person_key
            LEFT JOIN described d ON d.person_key = w.owner_key AND d.position = l.position AND NOT l.is_implied
            WHERE l.is_open
        ), second AS (SELECT *, CONCAT(cell_1, ' | ', old_band) AS cell_2 FROM named),
        third AS (SELECT *, CONCAT(cell_2, ' | ', purpose, ', ', stay) AS cell_3 FROM second),
        fourth AS (SELECT *, CONCAT(cell_3, ' | ', group_name, ', ', turn) AS cell_4 FROM third)
        SELECT person_key, position, place, owner_key, is_implied, day, direction, group_name, quarter,
               cell_1, cell_2, cell_3, cell_4, CONCAT(cell_4, ' | ', age) AS cell_5
        FROM fourth
        """,
        decided=decided,
        described=described,
        whose=whose,
    )
