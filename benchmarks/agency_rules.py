"""The section of docs/agency.md on rules and policies, from a run of configs/agency.yml with several, as Markdown.

    miglink run configs/agency.yml --out runs/agency-rules \
        --set 'residence.rules=[nz_12_16, un_12_months, most_of_12, eu_2013]' \
        --set 'residence.policies=[unresolved, midpoint, open_until_next, reject_person]'
    python -m benchmarks.agency_rules runs/agency-rules

The last year whose figures are final under all of these rules, 2021, and the stock that ends it.
"""

import argparse
from pathlib import Path

import duckdb

from benchmarks.agency import markdown

TABLES = (
    "stocks",
    "flows",
    "stock_differences",
    "flow_differences",
    "person_time",
    "expired_stays",
    "migrations",
    "residence",
    "spells",
)
_MAIN = "rule = 'nz_12_16' AND policy = 'unresolved'"

QUESTIONS = {
    "Settled residents at 1 January 2022": """
        PIVOT (SELECT rule, policy, n_settled FROM total_stocks WHERE period = '2022-01-01')
        ON policy USING sum(n_settled) ORDER BY rule""",
    "Settled immigration of 2021": """
        PIVOT (SELECT rule, policy, n_settled FROM total_flows WHERE period = '2021' AND flow = 'immigration')
        ON policy USING sum(n_settled) ORDER BY rule""",
    "Settled emigration of 2021": """
        PIVOT (SELECT rule, policy, n_settled FROM total_flows WHERE period = '2021' AND flow = 'emigration')
        ON policy USING sum(n_settled) ORDER BY rule""",
    "At 1 January 2022, nz_12_16 unresolved and each other: residents of both, of the one (by their status under the "
    "other), of the other (by their status under the one)": f"""
        WITH here AS (
            SELECT other_rule, other_policy, sum(n) FILTER (WHERE other_status = 'resident') AS "both",
                   sum(n) FILTER (WHERE other_status = 'undetermined') AS "one: undetermined",
                   sum(n) FILTER (WHERE other_status = 'non_resident') AS "one: non-resident"
            FROM stock_differences WHERE period = '2022-01-01' AND {_MAIN} GROUP BY ALL),
        there AS (
            SELECT rule AS other_rule, policy AS other_policy,
                   sum(n) FILTER (WHERE other_status = 'undetermined') AS "other: undetermined",
                   sum(n) FILTER (WHERE other_status = 'non_resident') AS "other: non-resident"
            FROM stock_differences
            WHERE period = '2022-01-01' AND other_rule = 'nz_12_16' AND other_policy = 'unresolved' GROUP BY ALL)
        SELECT other_rule AS "other rule", other_policy AS policy, "both", coalesce("one: undetermined", 0)
                   AS "one: undetermined", coalesce("one: non-resident", 0) AS "one: non-resident",
               coalesce("other: undetermined", 0) AS "other: undetermined",
               coalesce("other: non-resident", 0) AS "other: non-resident"
        FROM here LEFT JOIN there USING (other_rule, other_policy)
        WHERE other_rule = 'nz_12_16' OR other_policy = 'unresolved' ORDER BY ALL""",
    "What other policies make of the settled migrations of nz_12_16 midpoint, 2013 to 2021": """
        PIVOT (SELECT flow, other_policy AS "other policy", other_outcome, n FROM flow_differences
               WHERE rule = 'nz_12_16' AND policy = 'midpoint' AND other_rule = rule
                 AND period BETWEEN '2013' AND '2021')
        ON other_outcome USING coalesce(sum(n), 0) ORDER BY flow, "other policy" """,
    "What other rules make of the settled migrations of nz_12_16, both midpoint, 2013 to 2021": """
        PIVOT (SELECT flow, other_rule AS "other rule", other_outcome, n FROM flow_differences
               WHERE rule = 'nz_12_16' AND policy = 'midpoint' AND other_policy = policy AND other_rule <> rule
                 AND period BETWEEN '2013' AND '2021')
        ON other_outcome USING coalesce(sum(n), 0) ORDER BY flow, "other rule" """,
    "Migrations of nz_12_16 midpoint, 2013 to 2021, of whoever had the new status since observation began under "
    "eu_2013 midpoint, by the first spell and the days from its likely missing crossing to the first recorded": """
        WITH moved AS (
            SELECT person_id, counted_date, direction,
                   CASE direction WHEN 'immigration' THEN 'resident' ELSE 'non_resident' END AS status
            FROM migrations
            WHERE rule = 'nz_12_16' AND policy = 'midpoint' AND outcome = 'migration'
              AND year(counted_date) BETWEEN 2013 AND 2021),
        held AS (
            SELECT person_id, status, coalesce(to_date, DATE '9999-12-31') AS to_date FROM residence
            WHERE rule = 'eu_2013' AND policy = 'midpoint' AND from_date = '2011-12-31')
        SELECT m.direction, s.state AS "first spell", min(date_diff('day', s.likely_date, s.end_date)) AS "days, least",
               max(date_diff('day', s.likely_date, s.end_date)) AS "days, most", count(*) AS migrations
        FROM moved m JOIN held h ON h.person_id = m.person_id AND h.status = m.status AND h.to_date > m.counted_date
        JOIN spells s ON s.person_id = m.person_id AND s.sequence = 1
        GROUP BY ALL ORDER BY ALL""",
    "Person-years of 2021 under nz_12_16 by status and what it rests on, and those present at least and at most": """
        SELECT policy, status, basis, round(sum(person_days) / 365, 1) AS "person-years",
               round(sum(least_present_days) / 365, 1) AS "present, least",
               round(sum(most_present_days) / 365, 1) AS "present, most",
               round(sum(unseen_days) / 365, 1) AS "never crossed"
        FROM person_time
        WHERE period = '2021' AND rule = 'nz_12_16' AND policy IN ('unresolved', 'midpoint')
        GROUP BY ALL ORDER BY policy DESC, status DESC, 4 DESC""",
    "Visas and permits that ended, 2012 to 2023": """
        PIVOT (SELECT outcome, kind, n FROM expired_stays) ON kind USING coalesce(sum(n), 0) ORDER BY outcome""",
}


def report(run: Path) -> str:
    """All of it."""
    connection = duckdb.connect()
    for name in TABLES:
        connection.execute(f"CREATE VIEW {name} AS FROM '{run / 'tables' / name}.parquet'")
    for name in ("stocks", "flows"):
        described = connection.execute(f"DESCRIBE {name}").fetchall()
        own = {"rule", "policy", "period", "flow", "coverage", "status"}
        dimensions = [column for column, kind, *_ in described if kind == "VARCHAR" and column not in own]
        total = " AND ".join(f"{dimension} = 'total'" for dimension in dimensions)
        connection.execute(f"CREATE VIEW total_{name} AS FROM {name} WHERE {total}")
    parts = []
    for title, select in QUESTIONS.items():
        parts += [f"{title}:\n", markdown(connection, select)]
    return "\n".join(parts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a finished run")
    print(report(parser.parse_args().run))
