"""Row accounts: every row read is accepted or rejected, and every source is within its bounds."""

from miglink.config.sources import Source
from miglink.engine import Engine, RawRows, Table, text_literal
from miglink.errors import SourceError


def check_trailers(engine: Engine, raw: dict[str, RawRows]) -> None:
    """A control total that a file states must be its number of rows."""
    for name, source in raw.items():
        wrong = engine.collect(
            """WITH read AS (
                SELECT __file AS file, count(*) AS n FROM rows GROUP BY __file
                UNION ALL SELECT file, count(*) FROM malformed GROUP BY file),
            counted AS (SELECT file, sum(n) AS n FROM read GROUP BY file)
            SELECT t.file, t.stated_rows, coalesce(c.n, 0) AS n FROM trailers t LEFT JOIN counted c ON c.file = t.file
            WHERE t.stated_rows <> coalesce(c.n, 0) ORDER BY t.file LIMIT 5""",
            rows=source.rows,
            malformed=source.malformed,
            trailers=source.trailers,
        )
        if wrong.height:
            file, stated, found = wrong.row(0)
            raise SourceError(
                f"source {name}: {file} states {stated} rows in its control line and holds {found}; "
                "it was cut or joined on its way: ask for it again"
            )


def account_rows(
    engine: Engine,
    raw: dict[str, RawRows],
    judged: dict[str, Table],
    accepted_rows: tuple[Table, Table],
) -> tuple[Table, Table]:
    """Give the tables rejected and row_accounts. accepted_rows: records, and decisions with their rank on a pair."""
    records, decisions = accepted_rows
    names = sorted(raw)
    parts: list[str] = []
    tables: dict[str, Table] = {}
    for index, name in enumerate(names):
        source = text_literal(name)
        parts.append(
            f"SELECT {source} AS source, file, row_number, 'malformed_line' AS reason FROM malformed_{index}"
        )
        tables[f"malformed_{index}"] = raw[name].malformed
        if name in judged:
            parts.append(
                f"""SELECT {source}, file, CAST(row_number AS BIGINT), reason_rejected
                FROM judged_{index} WHERE reason_rejected IS NOT NULL"""
            )
            tables[f"judged_{index}"] = judged[name]
    rejected = engine.query("rejected", " UNION ALL ".join(parts), **tables)
    counts: list[str] = []
    tables = {"records": records, "decisions": decisions, "rejected": rejected}
    for index, name in enumerate(names):
        source = text_literal(name)
        tables |= {
            f"rows_{index}": raw[name].rows,
            f"lost_{index}": raw[name].malformed,
            f"ends_{index}": raw[name].trailers,
        }
        # Judgements are no records: a row that can be read is accepted, one that cannot stops the run.
        is_records = name in judged
        accepted = f"records WHERE source = {source}" if is_records else f"rows_{index}"
        repeats = f"records WHERE source = {source} AND is_repeat"
        if not is_records:
            repeats = f"decisions WHERE origin = {source} AND rank > 1"
        counts.append(
            f"""SELECT {source} AS source, (SELECT count(DISTINCT __file) FROM rows_{index}) AS n_files,
                (SELECT count(*) FROM rows_{index}) + (SELECT count(*) FROM lost_{index}) AS n_read,
                (SELECT count(*) FROM {accepted}) AS n_accepted,
                (SELECT count(*) FROM rejected WHERE source = {source}) AS n_rejected,
                (SELECT count(*) FROM {repeats}) AS n_repeats,
                (SELECT count(*) FROM ends_{index}) AS n_trailers"""
        )
    return rejected, engine.query("row_accounts", " UNION ALL ".join(counts), **tables)


def check_record_ids(engine: Engine, name: str, judged: Table) -> None:
    """A key that the configuration maps must not repeat."""
    repeated = engine.collect(
        """SELECT count(*) AS n, min(concat(file, ', row ', row_number)) AS place FROM (
            SELECT file, row_number, count(*) OVER (PARTITION BY v_record_id) AS n_same
            FROM judged WHERE reason_rejected IS NULL AND v_record_id IS NOT NULL) WHERE n_same > 1""",
        judged=judged,
    )
    (n, place) = repeated.row(0)
    if n:
        raise SourceError(
            f"source {name}: {n} rows share their record_id with another (one is in {place}); "
            "map several columns that are unique together, or leave record_id out"
        )


def check_accounts(
    engine: Engine, sources: dict[str, Source], row_accounts: Table, raw: dict[str, RawRows]
) -> None:
    """Rows read must be rows accepted plus rows rejected, and within the bounds of each source."""
    problems = []
    for row in engine.collect(
        "SELECT * FROM row_accounts ORDER BY source", row_accounts=row_accounts
    ).to_dicts():
        name, n, rejected = row["source"], row["n_read"], row["n_rejected"]
        bounds = sources[name].bounds
        if n != row["n_accepted"] + rejected:
            problems.append(
                f"source {name}: {n} rows read, but {row['n_accepted']} accepted and {rejected} rejected"
            )
        if n < bounds.min_rows:
            problems.append(f"source {name}: {n} rows, fewer than bounds.min_rows ({bounds.min_rows})")
        if bounds.max_rows is not None and n > bounds.max_rows:
            problems.append(f"source {name}: {n} rows, more than bounds.max_rows ({bounds.max_rows})")
        if n and rejected / n > bounds.max_rejected_share:
            problems.append(
                f"source {name}: {rejected} of {n} rows rejected, a larger share than bounds.max_rejected_share "
                f"({bounds.max_rejected_share}); reasons: {_reasons(engine, name, row_accounts, raw[name].malformed)}"
            )
    if problems:
        raise SourceError("\n".join(problems))


def _reasons(engine: Engine, name: str, row_accounts: Table, malformed: Table) -> str:
    rejected = Table("rejected", row_accounts.path.with_name("rejected.parquet"))
    counts = engine.collect(
        f"""SELECT reason, count(*) AS n FROM rejected WHERE source = {text_literal(name)}
        GROUP BY reason ORDER BY n DESC, reason""",
        rejected=rejected,
    )
    causes = engine.collect(
        "SELECT why, count(*) AS n FROM malformed GROUP BY why ORDER BY n DESC, why", malformed=malformed
    )
    of_lines = ", ".join(f"{why} {n}" for why, n in causes.iter_rows())
    return ", ".join(
        f"{reason} {n}" + (f" ({of_lines})" if reason == "malformed_line" else "")
        for reason, n in counts.iter_rows()
    )
