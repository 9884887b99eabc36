"""Stays of non-residents and trips of residents; who was present, who lived abroad, who goes to and fro."""

from miglink.config.mobility import CircularSettings, CommuterSettings
from miglink.engine import Engine, Table
from miglink.presence import day_number


def find_stays(engine: Engine, spells: Table, records: Table) -> Table:
    """Every spell between two crossings: person_id, is_here, start_date, end_date, n_days, purpose.

    n_days is null where a crossing is missing within, so that it lasted shorter. The purpose is that of the crossing
    that began it.
    """
    return engine.step(
        "mobility_stays",
        """
        SELECT s.person_id, s.start_direction = 'arrival' AS is_here, s.start_date, s.end_date,
               CASE WHEN s.state <> 'unresolved' THEN date_diff('day', s.start_date, s.end_date) END AS n_days,
               COALESCE(r.purpose, 'unknown') AS purpose
        FROM spells s LEFT JOIN records r ON r.source = s.start_source AND r.record_id = s.start_record_id
        WHERE s.draw = 0 AND s.start_basis = 'crossing' AND s.end_basis = 'crossing'
        """,
        spells=spells,
        records=records,
    )


def find_citizenships(engine: Engine, person_traits: Table) -> Table:
    """The citizenship of each person from one day to another: person_id, citizenship, from_date, to_date."""
    return engine.step(
        "mobility_citizenships",
        """
        SELECT person_id, COALESCE(NULLIF(value, 'XXX'), 'unknown') AS citizenship, valid_from AS from_date,
               LEAST(LEAD(valid_from, 1, DATE '9999-12-31') OVER (PARTITION BY person_id ORDER BY valid_from),
                     COALESCE(valid_to, DATE '9999-12-31')) AS to_date
        FROM person_traits WHERE trait = 'citizenship'
        """,
        person_traits=person_traits,
    )


def with_citizenship(rows: str, day: str) -> str:
    """SQL: rows (a SELECT with person_id) with the citizenship on a day of theirs."""
    return f"""SELECT x.*, COALESCE(c.citizenship, 'unknown') AS citizenship
        FROM ({rows}) AS x
        LEFT JOIN citizenships c ON c.person_id = x.person_id AND c.from_date <= x.{day} AND x.{day} < c.to_date"""


def count_stays_sql(durations: tuple[int, ...]) -> str:
    """Stays and trips by the year in which they ended; the status is that at the end of the day on which they began.

    Reads: stays, statuses, citizenships. Whose status is not known may have migrated instead.
    """
    lasting = "".join(
        f" WHEN n_days < {day} THEN {place}" for place, day in enumerate((*durations[1:], 10**6), start=1)
    )
    rows = f"""SELECT t.person_id, s.rule, s.policy, CAST(EXTRACT(YEAR FROM t.end_date) AS INTEGER) AS year,
               t.end_date, CASE WHEN t.is_here THEN 'stays' ELSE 'trips' END AS measure, t.purpose,
               CASE WHEN n_days IS NULL THEN -1 WHEN n_days < {durations[0]} THEN 0{lasting} END AS duration,
               CASE WHEN s.status = 'undetermined' THEN 1 ELSE 0 END AS is_open
        FROM stays t JOIN statuses s ON s.person_id = t.person_id
             AND s.from_date <= t.start_date AND t.start_date < s.to_date
             AND s.status <> CASE WHEN t.is_here THEN 'resident' ELSE 'non_resident' END"""
    return f"""SELECT rule, policy, year, measure, duration, purpose, citizenship,
               SUM(1 - is_open) AS n_settled, SUM(is_open) AS n_undetermined
        FROM ({with_citizenship(rows, "end_date")}) AS y
        GROUP BY rule, policy, year, measure, duration, purpose, citizenship"""


def count_returns_sql() -> str:
    """Settled immigrations of who emigrated before, as far as is observed. Reads: migrations, citizenships."""
    rows = """SELECT person_id, rule, policy, counted_date, CAST(EXTRACT(YEAR FROM counted_date) AS INTEGER) AS year,
               CASE WHEN n_out > 0 AND outcome = 'migration' THEN 1 ELSE 0 END AS is_sure
        FROM (SELECT *, SUM(CASE WHEN direction = 'emigration' AND outcome = 'migration' THEN 1 ELSE 0 END)
                            OVER earlier AS n_out,
                     SUM(CASE WHEN direction = 'emigration' THEN 1 ELSE 0 END) OVER earlier AS n_out_at_most
              FROM migrations WHERE draw = 0
              WINDOW earlier AS (PARTITION BY person_id, rule, policy ORDER BY counted_date, sequence, is_implied
                                 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS m
        WHERE direction = 'immigration' AND n_out_at_most > 0"""
    return f"""SELECT rule, policy, year, 'returns' AS measure, citizenship,
               SUM(is_sure) AS n_settled, SUM(1 - is_sure) AS n_undetermined
        FROM ({with_citizenship(rows, "counted_date")}) AS y GROUP BY rule, policy, year, citizenship"""


def count_commuters_sql(settings: CommuterSettings) -> str:
    """Persons in whose year so many weeks hold the beginning of a short stay (of a short trip). Reads: as stays."""
    week = f"CAST(FLOOR({day_number('start_date')} / 7.0) AS BIGINT)"
    rows = f"""SELECT w.person_id, s.rule, s.policy, w.year, w.is_here, MIN(w.start_date) AS first_date,
               COUNT(DISTINCT CASE WHEN s.status <> 'undetermined' THEN w.week END) AS n_weeks
        FROM (SELECT *, {week} AS week, CAST(EXTRACT(YEAR FROM start_date) AS INTEGER) AS year
              FROM stays WHERE n_days <= {settings.longest_days}) AS w
        JOIN statuses s ON s.person_id = w.person_id AND s.from_date <= w.start_date AND w.start_date < s.to_date
             AND s.status <> CASE WHEN w.is_here THEN 'resident' ELSE 'non_resident' END
        GROUP BY w.person_id, s.rule, s.policy, w.year, w.is_here
        HAVING COUNT(DISTINCT w.week) >= {settings.weeks}"""
    is_sure = f"CASE WHEN n_weeks >= {settings.weeks} THEN 1 ELSE 0 END"
    return f"""SELECT rule, policy, year, CASE WHEN is_here THEN 'commuters_in' ELSE 'commuters_out' END AS measure,
               citizenship, SUM({is_sure}) AS n_settled, SUM(1 - {is_sure}) AS n_undetermined
        FROM ({with_citizenship(rows, "first_date")}) AS y GROUP BY rule, policy, year, is_here, citizenship"""


def count_present_sql() -> str:
    """Who is present at the end of a reference date's eve and not resident. Reads: spells, statuses, dates."""
    rows = """SELECT p.person_id, s.rule, s.policy, d.year, d.last_date,
               CASE WHEN p.state = 'unresolved' OR s.status = 'undetermined' THEN 1 ELSE 0 END AS is_open
        FROM spells p
        JOIN dates d ON p.start_date <= d.last_date AND d.last_date < COALESCE(p.end_date, DATE '9999-12-31')
        JOIN statuses s ON s.person_id = p.person_id AND s.from_date <= d.last_date AND d.last_date < s.to_date
             AND s.status <> 'resident'
        WHERE p.draw = 0 AND p.state <> 'absent'"""
    return _at_dates(rows, "present_non_residents")


def count_lived_abroad_sql(reporting_country: str) -> str:
    """Residents who were born abroad, or have been non-residents since observation began.

    Reads: statuses, persons, dates. Of who was born in an unknown place, or of undetermined status before, it is open.
    """
    rows = f"""SELECT s.person_id, s.rule, s.policy, d.year, d.last_date,
               CASE WHEN a.abroad_date < s.from_date
                         OR (NOT p.is_born_here AND p.birth_country NOT IN ('{reporting_country}', 'XXX'))
                    THEN 0 ELSE 1 END AS is_open
        FROM statuses s
        JOIN dates d ON s.from_date <= d.last_date AND d.last_date < s.to_date
        JOIN persons p ON p.person_id = s.person_id
        JOIN (SELECT person_id, rule, policy, MIN(CASE WHEN status = 'non_resident' THEN from_date END) AS abroad_date,
                     MIN(CASE WHEN status = 'undetermined' THEN from_date END) AS open_date
              FROM statuses GROUP BY person_id, rule, policy) AS a
          ON a.person_id = s.person_id AND a.rule = s.rule AND a.policy = s.policy
        WHERE s.status = 'resident'
          AND (a.abroad_date < s.from_date OR a.open_date < s.from_date
               OR (NOT p.is_born_here
                   AND COALESCE(NULLIF(p.birth_country, 'XXX'), '') <> '{reporting_country}'))"""
    return _at_dates(rows, "lived_abroad")


def count_circular_sql(settings: CircularSettings) -> str:
    """Circular migrants at reference dates, as `find_circular_sql` has them. Reads: migrations, dates, citizenships."""
    return _at_dates(find_circular_sql(settings), "circular_migrants")


def find_circular_sql(settings: CircularSettings, dates_are_of: str = "") -> str:
    """Persons with so many changes of residence in the years before a date, each followed by a long stay.

    Reads: migrations, dates (year, last_date; dates_are_of: the column that says whose date it is, else everybody's).
    Changes that may be are counted whatever follows them, as far as they leave it open (is_open).
    """
    owned = f" AND d.{dates_are_of} = m.{dates_are_of}" if dates_are_of else ""
    opening = (
        f"CAST(CAST(d.last_date + INTERVAL 1 DAY AS DATE) - INTERVAL {12 * settings.years} MONTH AS DATE)"
    )
    rows = f"""SELECT m.person_id, m.rule, m.policy, d.year, d.last_date,
               CASE WHEN SUM(CASE WHEN outcome = 'migration'
                                   AND CAST(event_date + INTERVAL {settings.least_months} MONTH AS DATE)
                                       <= LEAST(next_date, CAST(d.last_date + INTERVAL 1 DAY AS DATE))
                                  THEN 1 ELSE 0 END) >= {settings.migrations} THEN 0 ELSE 1 END AS is_open,
               SUM(CASE WHEN outcome <> 'migration' OR CAST(event_date + INTERVAL {settings.least_months} MONTH AS DATE)
                             <= LEAST(next_date, CAST(d.last_date + INTERVAL 1 DAY AS DATE))
                        THEN 1 ELSE 0 END) AS n_at_most
        FROM (SELECT *, LEAD(event_date, 1, DATE '9999-12-31') OVER (
                  PARTITION BY person_id, rule, policy ORDER BY event_date, sequence, is_implied) AS next_date
              FROM migrations WHERE draw = 0) AS m
        JOIN dates d ON m.event_date <= d.last_date AND m.event_date >= {opening}{owned}
        GROUP BY m.person_id, m.rule, m.policy, d.year, d.last_date"""
    return f"SELECT * FROM ({rows}) AS z WHERE n_at_most >= {settings.migrations}"


def _at_dates(rows: str, measure: str) -> str:
    """Persons at reference dates, by citizenship."""
    return f"""SELECT rule, policy, year, '{measure}' AS measure, citizenship,
               SUM(1 - is_open) AS n_settled, SUM(is_open) AS n_undetermined
        FROM ({with_citizenship(rows, "last_date")}) AS y GROUP BY rule, policy, year, citizenship"""
