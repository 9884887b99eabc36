"""The tables of docs/agency.md from a finished run of configs/agency.yml, as Markdown.

    python -m benchmarks.agency runs/RUN

Counts by source and reason, ten persons from records to status (pseudonymised: documents and spellings are numbered
within a person, names are not shown), and the numbers behind the surprises.
"""

import argparse
from pathlib import Path

import duckdb

TABLES = (
    "records",
    "record_persons",
    "persons",
    "rejected",
    "row_accounts",
    "spells",
    "residence",
    "migrations",
)

# One person of each kind: the one with the smallest id among those with few enough records to read.
KINDS = {
    "A visitor": "SELECT person_id FROM facts WHERE n_border = 2 AND n_visas = 1 AND n_records = 3",
    "An immigrant with a permit": """SELECT person_id FROM facts JOIN settled USING (person_id)
        WHERE n_permits > 0 AND n_in = 1 AND n_out = 0 AND n_register > 0""",
    "An emigrating national": """SELECT person_id FROM facts JOIN settled USING (person_id)
        WHERE n_out = 1 AND n_in = 0 AND n_register > 0 AND n_permits = 0""",
    "An emigrant who returns": """SELECT person_id FROM facts JOIN settled USING (person_id)
        WHERE n_out = 1 AND n_in = 1""",
    "A passport renewed": """SELECT person_id FROM facts
        WHERE n_documents = 2 AND n_spellings = 1 AND n_border BETWEEN 4 AND 8""",
    "Names written in several ways": "SELECT person_id FROM facts WHERE n_spellings >= 3 AND n_border BETWEEN 4 AND 9",
    "A crossing is missing": """SELECT person_id FROM facts WHERE n_border BETWEEN 3 AND 8
        AND person_id IN (
            SELECT person_id FROM spells
            WHERE state = 'unresolved' AND end_basis = 'crossing' AND start_basis <> 'observation_start')""",
    "Born in the period": """SELECT person_id FROM facts JOIN persons USING (person_id)
        WHERE is_born_here AND n_border BETWEEN 2 AND 6""",
    "A death": """SELECT person_id FROM facts JOIN persons USING (person_id)
        WHERE death_date IS NOT NULL AND n_border BETWEEN 2 AND 8""",
    "On the register, living abroad": """SELECT person_id FROM facts
        WHERE n_open > 0 AND n_border BETWEEN 1 AND 8 AND person_id IN (
            SELECT person_id FROM residence WHERE to_date IS NULL AND status = 'non_resident')""",
}


SURPRISES = {
    "Undetermined at the end of 2023, by the last crossing and the last settled status": """
        WITH last AS (SELECT person_id FROM residence WHERE to_date IS NULL AND status = 'undetermined'),
        before AS (SELECT person_id, max_by(status, from_date) AS status
            FROM residence WHERE to_date IS NOT NULL GROUP BY 1),
        crossed AS (
            SELECT person_id, max_by(direction, sequence) AS direction, max(start_date) AS day FROM (
                SELECT person_id, sequence, start_date, start_direction AS direction FROM spells
                WHERE start_basis = 'crossing') GROUP BY 1)
        SELECT direction AS "last crossing", coalesce(status, 'not known') AS "last settled status",
               count(*) AS persons,
               count(*) FILTER (WHERE day >= DATE '2023-09-01') AS "crossed since September 2023"
        FROM last LEFT JOIN before USING (person_id) LEFT JOIN crossed USING (person_id)
        GROUP BY ALL ORDER BY 3 DESC""",
    "On the register and alive, by status and signs of life, at the end of 2022": """
        WITH registered AS (
            SELECT DISTINCT person_id FROM records JOIN record_persons USING (source, record_id)
            WHERE source = 'register' AND valid_from <= '2022-12-31'
              AND (ended_date IS NULL OR ended_date > '2022-12-31')),
        active AS (
            SELECT DISTINCT person_id FROM records JOIN record_persons USING (source, record_id)
            WHERE source = 'activity' AND valid_from = '2022-01-01')
        SELECT r.person_id IS NOT NULL AS registered, a.person_id IS NOT NULL AS "active in 2022",
               s.status, count(*) AS persons
        FROM residence s LEFT JOIN registered r USING (person_id) LEFT JOIN active a USING (person_id)
        WHERE s.from_date <= '2022-12-31' AND (s.to_date IS NULL OR s.to_date > '2022-12-31')
        GROUP BY ALL ORDER BY ALL""",
    "Gaps with a missing crossing, by length, and those whose missing crossing may be a migration": """
        WITH gaps AS (
            SELECT s.person_id, date_diff('day', s.start_date, s.latest_date) AS n,
                   CASE WHEN s.start_direction = 'start' THEN n.start_direction ELSE s.start_direction END AS direction,
                   CASE WHEN s.end_basis <> 'crossing' THEN 'after the last crossing, by evidence'
                        WHEN s.start_basis = 'observation_start' THEN 'before the first crossing, by evidence'
                        ELSE 'gap' END AS kind,
                   m.person_id IS NOT NULL AS may_migrate
            FROM spells s LEFT JOIN spells n ON n.person_id = s.person_id AND n.sequence = s.sequence + 1
            LEFT JOIN migrations m
              ON m.person_id = s.person_id AND m.sequence = s.sequence AND m.is_implied
            WHERE s.state = 'unresolved')
        SELECT CASE WHEN kind = 'gap' THEN CASE WHEN n < 123 THEN 'under 123 days'
                    WHEN n < 365 THEN '123 to 364' ELSE '365 and more' END ELSE kind END AS gap,
               count(*) AS gaps, count(*) FILTER (WHERE direction = 'arrival') AS "arrivals",
               count(*) FILTER (WHERE direction = 'departure') AS "departures",
               count(*) FILTER (WHERE may_migrate) AS "may be a migration"
        FROM gaps GROUP BY ALL ORDER BY min(kind <> 'gap'), min(n)""",
}


def connect(run: Path) -> duckdb.DuckDBPyConnection:
    """A connection that knows the tables of a run, and a summary of each person."""
    connection = duckdb.connect()
    for name in TABLES:
        connection.execute(f"CREATE VIEW {name} AS FROM '{run / 'tables' / name}.parquet'")
    connection.execute("""CREATE TABLE facts AS
        SELECT person_id, count(*) AS n_records, count(*) FILTER (WHERE source = 'border') AS n_border,
               count(*) FILTER (WHERE source = 'visas') AS n_visas,
               count(*) FILTER (WHERE source = 'permits') AS n_permits,
               count(*) FILTER (WHERE source = 'register') AS n_register,
               count(*) FILTER (WHERE source = 'register' AND ended_date IS NULL) AS n_open,
               count(DISTINCT document_number) AS n_documents,
               count(DISTINCT concat(surname_ascii, '/', given_names_ascii))
                   FILTER (WHERE surname_ascii IS NOT NULL) AS n_spellings
        FROM records JOIN record_persons USING (source, record_id) GROUP BY person_id""")
    connection.execute("""CREATE TABLE settled AS
        SELECT person_id, count(*) FILTER (WHERE direction = 'immigration') AS n_in,
               count(*) FILTER (WHERE direction = 'emigration') AS n_out
        FROM migrations WHERE outcome = 'migration' GROUP BY person_id""")
    return connection


def markdown(connection: duckdb.DuckDBPyConnection, select: str) -> str:
    """The rows of a SELECT as a Markdown table."""
    result = connection.execute(select)
    names = [column[0] for column in result.description or ()]
    lines = [
        names,
        ["---"] * len(names),
        *([("" if v is None else str(v)) for v in row] for row in result.fetchall()),
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def person(connection: duckdb.DuckDBPyConnection, person_id: str) -> str:
    """The records of one person and what became of them."""
    records = f"""WITH numbered AS (
        SELECT r.*, dense_rank() OVER (ORDER BY document_number) AS document,
               dense_rank() OVER (ORDER BY concat(surname_ascii, '/', given_names_ascii)) AS spelling
        FROM records r JOIN record_persons USING (source, record_id)
        WHERE person_id = '{person_id}' AND source <> 'activity')
    SELECT record_date AS date, source,
           coalesce(direction, reason || coalesce(' until ' || ended_date, ''),
                    purpose || ' until ' || valid_to) AS what,
           CASE WHEN document_number IS NOT NULL THEN 'document ' || document END AS document,
           CASE WHEN surname_ascii IS NOT NULL THEN 'spelling ' || spelling END AS name
    FROM numbered ORDER BY record_date, crossed_at, source"""
    active = f"""SELECT count(*), min(year(valid_from)), max(year(valid_from)) FROM records
        JOIN record_persons USING (source, record_id) WHERE person_id = '{person_id}' AND source = 'activity'"""
    n, first, last = connection.execute(active).fetchone() or (0, None, None)
    signs = f"\nSigns of life: {n}, {first} to {last}.\n" if n else ""
    statuses = f"""SELECT from_date AS "from the end of", to_date AS "to the end of", status, basis,
               status_final_date AS final
        FROM residence WHERE person_id = '{person_id}' ORDER BY from_date"""
    return markdown(connection, records) + signs + "\n" + markdown(connection, statuses)


def report(run: Path) -> str:
    """All of it."""
    connection = connect(run)
    parts = [
        "## Rows by source\n",
        markdown(connection, "FROM row_accounts ORDER BY source"),
        "## Rejected rows\n",
    ]
    parts.append(
        markdown(connection, "SELECT source, reason, count(*) AS n FROM rejected GROUP BY ALL ORDER BY ALL")
    )
    for title, select in KINDS.items():
        found = connection.execute(f"SELECT min(person_id) FROM ({select})").fetchone()
        assert found is not None
        parts += [f"### {title} (`{found[0][:8]}`)\n", person(connection, found[0])]
    parts.append("## The numbers behind the surprises\n")
    for title, select in SURPRISES.items():
        parts += [f"{title}:\n", markdown(connection, select)]
    return "\n".join(parts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a finished run")
    print(report(parser.parse_args().run))
