"""Stage 8: counts and rates that describe the run, and the check that no row vanished between stages."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from miglink.config.windows import Windows
from miglink.engine import Engine, Table
from miglink.errors import ResultError
from miglink.stages.quality.back_tests import measure_back_tests
from miglink.stages.quality.contradictions import measure_contradictions
from miglink.stages.quality.error_rates import Linkage, measure_error_rates
from miglink.stages.quality.expired_stays import count_expired_stays
from miglink.stages.quality.register_coverage import case_of_rule, measure_register
from miglink.stages.quality.weights import measure_weights

__all__ = ["Linkage", "check_rows", "count_expired_stays", "measure"]

Tables = Mapping[str, Table]

_SCHEMA = {"stage": pl.String, "measure": pl.String, "item": pl.String, "value": pl.Float64}


def measure(
    engine: Engine,
    tables: Tables,
    windows: Windows,
    empty_months: Sequence[date] = (),
    linkage: Linkage | None = None,
    review: pl.DataFrame | None = None,
) -> Table:
    """Measure every stage of a run, after checking that all rows are accounted for.

    Reads: row_accounts, rejected, records, judgements, identities, record_identities, identity_persons,
        record_persons, links, persons, person_traits, conflicts, spells, contradictions, residence, migrations,
        back_tests; left_out (crossings that no spell uses, and why), open_ends (measures of travel). empty_months:
        months that lack all of their crossings. linkage: what decided on links; without it no error rates are
        estimated. review: what clerks found in a drawn sample of pairs (measure, item, value).
    Gives: quality, one row for each stage, measure and item; item `all` is the whole. A share of nothing is
        left out.
    Units: counts, and shares from 0 to 1 (measures named `…_share`); person-days until the end of what is observed.
    Errors: ResultError if rows vanished or appeared between two stages.
    Source: docs/assumptions.md: row accounts, and person-time by the evidence it rests on.
    """
    check_rows(engine, tables)
    measures = [
        measure_ingest(engine, tables),
        measure_months(empty_months),
        measure_identities(engine, tables),
        measure_links(engine, tables),
        *([_of_stage("linkage", review)] if review is not None else []),
        measure_persons(engine, tables),
        _of_stage("persons", engine.collect("SELECT * FROM open_ends", open_ends=tables["open_ends"])),
        measure_spells(engine, tables, windows.crossings.data_to_date),
        _of_stage("spells", measure_contradictions(engine, tables["contradictions"])),
        measure_residence(engine, tables, windows),
        measure_migrations(engine, tables),
        _of_stage("residence", measure_back_tests(engine, tables["back_tests"])),
        _of_stage("residence", measure_register(engine, tables, windows)),
    ]
    if linkage is not None:
        measures.append(_of_stage("linkage", measure_error_rates(engine, tables, linkage)))
        weights = measure_weights(engine, tables["links"], linkage.accept_p_match)
        measures.append(_of_stage("linkage", weights))
    measured = engine.frame("quality_measures", pl.concat(measures))
    return engine.query("quality", "SELECT stage, measure, item, value FROM measured", measured=measured)


def check_rows(engine: Engine, tables: Tables) -> None:
    """Raise ResultError unless read = accepted + rejected for each source, and every record has one person.

    Checked by source: n_read = n_accepted + n_rejected; n_rejected = rows in rejected; n_accepted = records
    (where a source has no records, its accepted rows are decisions: n_accepted − n_repeats = judgements).
    Checked in all: record_identities and record_persons have as many rows as records, identity_persons as
    identities; the persons' n_records add up to the records.
    """
    accounts = engine.collect("SELECT * FROM row_accounts", row_accounts=tables["row_accounts"])
    found = engine.collect(
        """
        SELECT source, CAST(SUM(n_records) AS BIGINT) AS n_records,
               CAST(SUM(n_rows_rejected) AS BIGINT) AS n_rows_rejected
        FROM (
            SELECT source, 1 AS n_records, 0 AS n_rows_rejected FROM records
            UNION ALL
            SELECT source, 0 AS n_records, 1 AS n_rows_rejected
            FROM (
                SELECT DISTINCT source, file, row_number, reason = 'malformed_line' FROM rejected
            ) AS rejected_rows
        ) AS rows_found
        GROUP BY source
        """,
        records=tables["records"],
        rejected=tables["rejected"],
    )
    sources = accounts.join(found, on="source", how="full", coalesce=True).fill_null(0).sort("source")
    problems = [_source_problem(row) for row in sources.iter_rows(named=True)]

    n = {name: engine.count(tables[name]) for name in _COUNTED}
    no_records = sources.filter(n_records=0)
    n_decided_on = int(no_records["n_accepted"].sum()) - int(no_records["n_repeats"].sum())
    (n_of_persons,) = engine.collect(
        "SELECT CAST(COALESCE(SUM(n_records), 0) AS BIGINT) AS n FROM persons", persons=tables["persons"]
    )["n"]
    for what, value, expected in (
        (
            "accepted rows of sources without records that repeat none, against judgements",
            n_decided_on,
            n["judgements"],
        ),
        ("rows of record_identities, against records", n["record_identities"], n["records"]),
        ("rows of record_persons, against records", n["record_persons"], n["records"]),
        ("rows of identity_persons, against identities", n["identity_persons"], n["identities"]),
        ("records of all persons, against records", n_of_persons, n["records"]),
    ):
        problems.append("" if value == expected else f"{what}: {value}, expected {expected}")
    if any(problems):
        raise ResultError(
            "rows vanished or appeared: " + "; ".join(filter(None, problems)) + "; nothing is published"
        )


_COUNTED = (
    "records",
    "judgements",
    "identities",
    "record_identities",
    "identity_persons",
    "record_persons",
)


def _source_problem(source: Mapping[str, Any]) -> str:
    """What is wrong with the row account of a source, in words; empty where it is right."""
    read, accepted, rejected = source["n_read"], source["n_accepted"], source["n_rejected"]
    problems = []
    if read != accepted + rejected:
        problems.append(f"{read} rows read, but {accepted} accepted + {rejected} rejected")
    if rejected != source["n_rows_rejected"]:
        problems.append(f"{rejected} rows rejected, but {source['n_rows_rejected']} in rejected")
    if source["n_records"] not in (0, accepted):
        problems.append(f"{accepted} rows accepted, but {source['n_records']} in records")
    return f"source {source['source']}: " + ", ".join(problems) if problems else ""


def measure_ingest(engine: Engine, tables: Tables) -> pl.DataFrame:
    """Row accounts by source and in all: rows read, accepted, rejected, repeated (double scans), trailers.

    rejected_share = rows rejected / rows read. rows_rejected_because counts rejections by source and reason;
    records_noted counts records by source and value that could not be used (`records.notes`).
    """
    accounts = engine.collect("SELECT * FROM row_accounts", row_accounts=tables["row_accounts"])
    whole = accounts.select(pl.lit("all").alias("source"), pl.exclude("source").sum())
    by_source = pl.concat([accounts, whole]).with_columns(
        rejected_share=pl.when(pl.col("n_read") > 0).then(pl.col("n_rejected") / pl.col("n_read"))
    )
    names = {
        "source": "item",
        "n_files": "files",
        "n_read": "rows_read",
        "n_accepted": "rows_accepted",
        "n_rejected": "rows_rejected",
        "n_repeats": "rows_repeated",
        "n_trailers": "trailers",
    }
    rows = by_source.rename(names).unpivot(index="item", variable_name="measure")
    reasons = engine.collect(
        """
        SELECT 'rows_rejected_because' AS measure, CONCAT(source, ': ', reason) AS item, COUNT(*) AS value
        FROM rejected
        GROUP BY source, reason
        """,
        rejected=tables["rejected"],
    )
    notes = engine.collect(
        """
        SELECT 'records_noted' AS measure, CONCAT(source, ': ', note) AS item, COUNT(*) AS value
        FROM (
            SELECT source, UNNEST(STRING_SPLIT(notes, '; ')) AS note FROM records WHERE notes IS NOT NULL
        ) AS noted
        GROUP BY source, note
        """,
        records=tables["records"],
    )
    return pl.concat([_of_stage("ingest", part) for part in (rows, reasons, notes)])


def measure_months(empty_months: Sequence[date]) -> pl.DataFrame:
    """Months without any crossing where the median month has 25 or more: how many, and 1 for each (`2019-02`)."""
    months = {f"{month:%Y-%m}": 1 for month in empty_months}
    named = {"all": len(months), **months}
    rows = pl.DataFrame({"item": list(named), "value": list(named.values())})
    return _of_stage("ingest", rows.with_columns(measure=pl.lit("months_without_crossings")))


def measure_identities(engine: Engine, tables: Tables) -> pl.DataFrame:
    """Identities, and the records that carry them (the check has found the last two equal)."""
    counts = {name: engine.count(tables[name]) for name in ("identities", "records", "record_identities")}
    return _of_stage("identities", _in_all(counts))


def measure_links(engine: Engine, tables: Tables) -> pl.DataFrame:
    """Links in all, and by the blocking rule that proposed them first."""
    by_rule = engine.collect(
        """
        SELECT 'links_proposed_by' AS measure, blocking_rule AS item, COUNT(*) AS value
        FROM links
        GROUP BY blocking_rule
        """,
        links=tables["links"],
    )
    whole = _in_all({"links": engine.count(tables["links"])})
    return pl.concat([_of_stage("linkage", whole), _of_stage("linkage", by_rule)])


def measure_persons(engine: Engine, tables: Tables) -> pl.DataFrame:
    """Persons by their number of records, the doubtful, those of unknown citizenship, and conflicts by kind.

    doubtful_share = doubtful persons / persons.
    unknown_citizenship_share = persons without any known citizenship (XXX is none, XXA is) / persons.
    """
    persons = engine.collect(
        """
        SELECT CASE WHEN n_records <= 2 THEN CAST(n_records AS VARCHAR) WHEN n_records <= 5 THEN '3-5'
                    WHEN n_records <= 10 THEN '6-10' ELSE '11+' END AS item,
               COUNT(*) AS n,
               CAST(SUM(CASE WHEN p.is_doubtful THEN 1 ELSE 0 END) AS BIGINT) AS n_doubtful,
               CAST(SUM(CASE WHEN c.person_id IS NULL THEN 1 ELSE 0 END) AS BIGINT) AS n_unknown
        FROM persons p
        LEFT JOIN (
            SELECT DISTINCT person_id FROM person_traits WHERE trait = 'citizenship' AND value <> 'XXX'
        ) AS c ON c.person_id = p.person_id
        GROUP BY 1
        """,
        persons=tables["persons"],
        person_traits=tables["person_traits"],
    )
    conflicts = engine.collect(
        "SELECT 'conflicts' AS measure, kind AS item, COUNT(*) AS value FROM conflicts GROUP BY kind",
        conflicts=tables["conflicts"],
    )
    n, doubtful, unknown = (int(persons[name].sum()) for name in ("n", "n_doubtful", "n_unknown"))
    whole = _in_all(
        {
            "persons": n,
            "doubtful_persons": doubtful,
            "doubtful_share": _share(doubtful, n),
            "unknown_citizenship_share": _share(unknown, n),
        }
    )
    by_records = persons.select("item", measure=pl.lit("persons_by_records"), value="n")
    return pl.concat([_of_stage("persons", frame) for frame in (whole, by_records, conflicts)])


def measure_spells(engine: Engine, tables: Tables, data_to_date: date) -> pl.DataFrame:
    """Spells by state, how much rests on missing crossings, and the crossings that no spell uses, by reason.

    persons_unresolved_share = persons with an unresolved spell / persons with spells.
    person_days_unresolved_share = days of unresolved spells / days of all spells, both until data_to_date.
    """
    person_states = engine.step(
        "quality_spells",
        f"""
        SELECT person_id, state, COUNT(*) AS n_spells,
               SUM(date_diff('day', start_date, COALESCE(end_date, {_date(data_to_date)}))) AS n_days
        FROM spells
        WHERE draw = 0
        GROUP BY person_id, state
        """,
        spells=tables["spells"],
    )
    by_state = engine.collect(
        """
        SELECT state AS item, COUNT(*) AS n_persons, CAST(SUM(n_spells) AS BIGINT) AS n_spells,
               CAST(SUM(n_days) AS BIGINT) AS n_days
        FROM person_states
        GROUP BY state
        """,
        person_states=person_states,
    )
    (n_persons,) = engine.collect(
        "SELECT COUNT(DISTINCT person_id) AS n FROM person_states", person_states=person_states
    )["n"]
    unresolved = by_state.filter(item="unresolved")
    whole = _in_all(
        {
            "persons_unresolved_share": _share(int(unresolved["n_persons"].sum()), n_persons),
            "person_days_unresolved_share": _share(
                int(unresolved["n_days"].sum()), int(by_state["n_days"].sum())
            ),
        }
    )
    spells = by_state.select("item", measure=pl.lit("spells"), value="n_spells")
    left_out = engine.collect(
        """
        SELECT 'crossings_left_out' AS measure, reason AS item, COUNT(*) AS value
        FROM left_out GROUP BY reason ORDER BY reason
        """,
        left_out=tables["left_out"],
    )
    return pl.concat([_of_stage("spells", frame) for frame in (whole, spells, left_out)])


def measure_residence(engine: Engine, tables: Tables, windows: Windows) -> pl.DataFrame:
    """Persons whose status is undetermined, and what the rest rests on, by rule and policy (`rule / policy`).

    persons_ever_undetermined_share = persons with any undetermined status / persons with a status.
    persons_undetermined_at_end = persons undetermined at the end of the last observed day.
    person_days_by_basis_share = days with a status that rests on the basis / days with any status.
    """
    end = case_of_rule(windows)
    per_person = engine.step(
        "quality_residence",
        f"""
        SELECT person_id, CONCAT(rule, ' / ', policy) AS item,
               MAX(CASE WHEN status = 'undetermined' THEN 1 ELSE 0 END) AS is_ever,
               MAX(CASE WHEN status = 'undetermined' AND from_date < {end}
                         AND (to_date IS NULL OR to_date >= {end}) THEN 1 ELSE 0 END) AS is_at_end
        FROM residence
        WHERE draw = 0
        GROUP BY person_id, rule, policy
        """,
        residence=tables["residence"],
    )
    persons = engine.collect(
        """
        SELECT item, CAST(COUNT(*) AS DOUBLE) AS persons,
               CAST(SUM(is_ever) AS DOUBLE) AS persons_ever_undetermined,
               CAST(SUM(is_at_end) AS DOUBLE) AS persons_undetermined_at_end
        FROM per_person
        GROUP BY item
        """,
        per_person=per_person,
    )
    days = engine.collect(
        f"""
        SELECT CONCAT(rule, ' / ', policy) AS stratum, basis,
               CAST(SUM(date_diff('day', from_date, LEAST(COALESCE(to_date, {end}), {end}))) AS DOUBLE)
                   AS n_days
        FROM residence
        WHERE draw = 0 AND from_date < {end}
        GROUP BY rule, policy, basis
        """,
        residence=tables["residence"],
    )
    shares = persons.with_columns(
        persons_ever_undetermined_share=pl.col("persons_ever_undetermined") / pl.col("persons")
    )
    whole_days = pl.col("n_days").sum().over("stratum")
    bases = days.select(
        item=pl.format("{} / {}", "stratum", "basis"),
        measure=pl.lit("person_days_by_basis_share"),
        value=pl.when(whole_days > 0).then(pl.col("n_days") / whole_days),
    )
    by_stratum = shares.drop("persons").unpivot(index="item", variable_name="measure")
    return pl.concat([_of_stage("residence", by_stratum), _of_stage("residence", bases)])


def measure_migrations(engine: Engine, tables: Tables) -> pl.DataFrame:
    """Migrations by rule, policy and outcome, and those whose own crossing is missing from the records."""
    counts = engine.collect(
        """
        SELECT 'migrations' AS measure, CONCAT(rule, ' / ', policy, ' / ', outcome) AS item, COUNT(*) AS value
        FROM migrations
        WHERE draw = 0
        GROUP BY rule, policy, outcome
        UNION ALL
        SELECT 'implied_migrations' AS measure, CONCAT(rule, ' / ', policy, ' / ', outcome) AS item,
               COUNT(*) AS value
        FROM migrations
        WHERE draw = 0 AND is_implied
        GROUP BY rule, policy, outcome
        """,
        migrations=tables["migrations"],
    )
    return _of_stage("residence", counts)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _in_all(values: Mapping[str, float | None]) -> pl.DataFrame:
    return pl.DataFrame(
        {"measure": list(values), "item": ["all"] * len(values), "value": list(values.values())},
        schema={name: _SCHEMA[name] for name in ("measure", "item", "value")},
    )


def _of_stage(stage: str, measures: pl.DataFrame) -> pl.DataFrame:
    """The rows of a stage as the contract wants them; shares of nothing are left out."""
    rows = measures.select(pl.lit(stage).alias("stage"), "measure", "item", "value")
    return rows.cast({"value": pl.Float64}).drop_nulls("value")


def _date(day: date) -> str:
    return f"DATE '{day.isoformat()}'"
