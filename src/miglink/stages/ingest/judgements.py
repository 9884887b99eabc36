"""Clerical decisions on pairs of records."""

from miglink.config.sources import Source
from miglink.engine import Engine, RawRows, Table, text_literal
from miglink.errors import SourceError
from miglink.stages.ingest.columns import mapped_sql, value_sql

_NONE = """SELECT '' AS source_l, '' AS record_id_l, '' AS source_r, '' AS record_id_r, '' AS verdict,
    '' AS reviewer, CAST(NULL AS TIMESTAMP) AS decided_at WHERE false"""


def read_judgements(engine: Engine, raw: dict[str, RawRows], sources: dict[str, Source]) -> Table:
    """Give the table judgements; of several decisions on one pair the latest counts."""
    parts, tables = [], {}
    for index, (name, rows) in enumerate(raw.items()):
        source = sources[name]
        values = {}
        for column in (
            "source_l",
            "record_id_l",
            "source_r",
            "record_id_r",
            "verdict",
            "reviewer",
            "decided_at",
        ):
            mapping = source.mapping(column)
            value = value_sql(mapping) if mapping else "CAST(NULL AS VARCHAR)"
            values[column] = mapped_sql(value, mapping) if mapping and mapping.map else value
        _check(engine, name, values, rows.rows)
        # The smaller record stands on the left, so that one pair has one key.
        left = "(source_l, record_id_l) <= (source_r, record_id_r)"
        parts.append(
            f"""SELECT CASE WHEN {left} THEN source_l ELSE source_r END AS source_l,
                CASE WHEN {left} THEN record_id_l ELSE record_id_r END AS record_id_l,
                CASE WHEN {left} THEN source_r ELSE source_l END AS source_r,
                CASE WHEN {left} THEN record_id_r ELSE record_id_l END AS record_id_r,
                lower(verdict) AS verdict, reviewer, {_time_sql("decided_at")} AS decided_at
            FROM (SELECT {", ".join(f"{value} AS {column}" for column, value in values.items())} FROM rows_{index})"""
        )
        tables[f"rows_{index}"] = rows.rows
    union = " UNION ALL ".join(parts) if parts else _NONE
    return engine.query(
        "judgements",
        f"""WITH decisions AS ({union}),
        ranked AS (SELECT *, row_number() OVER (
            PARTITION BY source_l, record_id_l, source_r, record_id_r
            ORDER BY decided_at DESC NULLS LAST, verdict, reviewer) AS rank FROM decisions)
        SELECT source_l, record_id_l, source_r, record_id_r, verdict, reviewer, decided_at
        FROM ranked WHERE rank = 1""",
        **tables,
    )


def _time_sql(value: str) -> str:
    """A day or a day and time; null for other words that one engine or another would read as a time."""
    text = f"regexp_replace(replace({value}, '/', '-'), ' +', ' ', 'g')"
    pattern = text_literal(r"^\d{4}-\d{1,2}-\d{1,2}([ T]\d{1,2}:[^(]*)?\z")
    return f"(CASE WHEN regexp_matches({text}, {pattern}) THEN TRY_CAST({text} AS TIMESTAMP) END)"


def _check(engine: Engine, name: str, values: dict[str, str], rows: Table) -> None:
    """A decision that cannot be read would silently not bind: stop instead."""
    needed = " OR ".join(
        f"{values[column]} IS NULL" for column in ("source_l", "record_id_l", "source_r", "record_id_r")
    )
    verdict = f"coalesce(lower({values['verdict']}), '') NOT IN ('match', 'non_match', 'unsure')"
    wrong = engine.collect(
        f"SELECT count(*) AS n, min(__row_number) AS first FROM rows WHERE {needed} OR {verdict}", rows=rows
    )
    n, first = wrong.row(0)
    if n:
        raise SourceError(
            f"source {name}: {n} judgements (the first in row {first}) lack a record or have another verdict than "
            f"{text_literal('match')}, {text_literal('non_match')} or {text_literal('unsure')}"
        )
