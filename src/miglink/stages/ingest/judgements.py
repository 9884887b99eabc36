"""Clerical decisions on pairs of records."""

from miglink.config.sources import KIND_COLUMNS, Source
from miglink.engine import Engine, RawRows, Table, text_literal
from miglink.errors import SourceError
from miglink.stages.ingest.columns import mapped_sql, number_sql, value_sql

_NONE = """SELECT '' AS origin, '' AS source_l, '' AS record_id_l, '' AS source_r, '' AS record_id_r, '' AS verdict,
    '' AS reviewer, CAST(NULL AS TIMESTAMP) AS decided_at, '' AS stratum, CAST(NULL AS DOUBLE) AS sampling_weight
    WHERE false"""


def rank_decisions(engine: Engine, raw: dict[str, RawRows], sources: dict[str, Source]) -> Table:
    """Give every row of the sources of judgements, with its place among those on the same pair.

    Gives: origin (the source it stands in), the columns of judgements, rank (1: counts; others repeat the pair) and
    sample_rank (the same among the rows that carry a sampling weight). A row without a verdict comes after all others.
    Errors: SourceError for a record, verdict or sampling weight that cannot be read.
    """
    parts, tables = [], {}
    for index, (name, rows) in enumerate(raw.items()):
        source = sources[name]
        values, given = {}, {}
        for column in KIND_COLUMNS["judgements"]:
            mapping = source.mapping(column)
            given[column] = value_sql(mapping) if mapping else "CAST(NULL AS VARCHAR)"
            values[column] = mapped_sql(given[column], mapping) if mapping and mapping.map else given[column]
        _check(engine, name, (values, given["verdict"]), rows.rows)
        # The smaller record stands on the left, so that one pair has one key.
        left = "(source_l, record_id_l) <= (source_r, record_id_r)"
        parts.append(
            f"""SELECT {text_literal(name)} AS origin,
                CASE WHEN {left} THEN source_l ELSE source_r END AS source_l,
                CASE WHEN {left} THEN record_id_l ELSE record_id_r END AS record_id_l,
                CASE WHEN {left} THEN source_r ELSE source_l END AS source_r,
                CASE WHEN {left} THEN record_id_r ELSE record_id_l END AS record_id_r,
                lower(verdict) AS verdict, reviewer, {_time_sql("decided_at")} AS decided_at,
                stratum, TRY_CAST(sampling_weight AS DOUBLE) AS sampling_weight
            FROM (SELECT {", ".join(f"{value} AS {column}" for column, value in values.items())} FROM rows_{index})"""
        )
        tables[f"rows_{index}"] = rows.rows
    union = " UNION ALL ".join(parts) if parts else _NONE
    pair = "source_l, record_id_l, source_r, record_id_r"
    best = "verdict NULLS LAST, reviewer NULLS LAST, origin, stratum NULLS LAST, sampling_weight NULLS LAST"
    order = f"CASE WHEN verdict IS NULL THEN 1 ELSE 0 END, decided_at DESC NULLS LAST, {best}"
    return engine.step(
        "ingest_decisions",
        f"""WITH decisions AS ({union})
        SELECT *, row_number() OVER (PARTITION BY {pair} ORDER BY {order}) AS rank,
               row_number() OVER (PARTITION BY {pair}
                   ORDER BY CASE WHEN sampling_weight IS NULL THEN 1 ELSE 0 END, {order}) AS sample_rank
        FROM decisions""",
        **tables,
    )


def read_judgements(engine: Engine, decisions: Table) -> Table:
    """Give the table judgements; of several decisions on one pair the latest counts.

    A pair that was drawn for review keeps its stratum and sampling weight, whichever source decided on it.
    """
    return engine.query(
        "judgements",
        """SELECT d.source_l, d.record_id_l, d.source_r, d.record_id_r, d.verdict, d.reviewer, d.decided_at,
               s.stratum, s.sampling_weight
        FROM decisions d JOIN decisions s ON s.source_l = d.source_l AND s.record_id_l = d.record_id_l
          AND s.source_r = d.source_r AND s.record_id_r = d.record_id_r
        WHERE d.rank = 1 AND s.sample_rank = 1""",
        decisions=decisions,
    )


def _time_sql(value: str) -> str:
    """A day or a day and time; null for other words that one engine or another would read as a time."""
    text = f"regexp_replace(replace({value}, '/', '-'), ' +', ' ', 'g')"
    pattern = text_literal(r"^\d{4}-\d{1,2}-\d{1,2}([ T]\d{1,2}:[^(]*)?\z")
    return f"(CASE WHEN regexp_matches({text}, {pattern}) THEN TRY_CAST({text} AS TIMESTAMP) END)"


def _check(engine: Engine, name: str, read: tuple[dict[str, str], str], rows: Table) -> None:
    """A decision that cannot be read would silently not bind, a weight not count: stop instead.

    `read`: the SQL of each column, and that of the verdict before its codes are mapped: blank is not decided yet.
    """
    values, given_verdict = read
    needed = " OR ".join(
        f"{values[column]} IS NULL" for column in ("source_l", "record_id_l", "source_r", "record_id_r")
    )
    known = f"coalesce(lower({values['verdict']}), '') IN ('match', 'non_match', 'unsure')"
    wrong = f"{needed} OR ({given_verdict} IS NOT NULL AND NOT {known})"
    n, first = _find(engine, wrong, rows)
    if n:
        raise SourceError(
            f"source {name}: {n} judgements (the first in row {first}) lack a record or have another verdict than "
            f"{text_literal('match')}, {text_literal('non_match')} or {text_literal('unsure')}; leave the verdict of "
            "a pair that is not decided yet empty"
        )
    weight = values["sampling_weight"]
    n, first = _find(engine, f"{weight} IS NOT NULL AND NOT coalesce({number_sql(weight)} > 0, false)", rows)
    if n:
        raise SourceError(
            f"source {name}: {n} judgements (the first in row {first}) have a sampling_weight that is no number above "
            "0, written with a decimal point; leave it as `miglink sample-pairs` wrote it"
        )


def _find(engine: Engine, condition: str, rows: Table) -> tuple[int, int | None]:
    """How many rows are so, and the first."""
    found = engine.collect(
        f"SELECT count(*) AS n, min(__row_number) AS first FROM rows WHERE {condition}", rows=rows
    )
    n, first = found.row(0)
    return n, first
