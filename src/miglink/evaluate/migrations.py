"""Each true migration against those found, and what the errors are put down to."""

import polars as pl

from miglink.config.stages import Period
from miglink.config.windows import Windows
from miglink.engine import Engine, Table
from miglink.evaluate.inputs import Tables
from miglink.evaluate.matching import Matching
from miglink.evaluate.measures import as_measures, share

OUTCOMES = ("found", "undetermined", "missed", "false", "false_undetermined")


def measure_migrations(
    engine: Engine, run: Tables, truth: Tables, matching: Matching, windows: Windows
) -> pl.DataFrame:
    """Look for each true migration in its rule's window among those of whom represents the person, and the reverse.

    Reads: migrations of the run (draw 0), migrations and missing_crossings of the truth; true_persons,
        found_persons.
    Gives: part `migrations`, by rule, policy, direction (flow) and cause. found: same direction, same day, settled;
        undetermined: the same, but undetermined; missed: neither. false: settled, but no such true migration of
        whom the person represents, or it represents nobody; false_undetermined likewise.
        Shares: found_share = found / (found + undetermined + missed); right_share = found / (found + false).
    Units: migrations. Cause, the first that holds: not_in_run (no record of the person), split, merged,
        missing_crossing (the person has one in the period), other; none for those found.
    Source: docs/evaluation.md.
    """
    found = _found_migrations(engine, run, truth, windows)
    true = _true_migrations(engine, run, truth, matching, windows)
    facts = _person_facts(engine, truth, matching, windows.crossings)
    of_true = _outcomes_of_true(engine, true, found, facts)
    of_found = _outcomes_of_found(engine, true, found, facts, matching.found_persons)
    counts = pl.concat([of_true, of_found])
    by = ["rule", "policy", "flow", "cause"]
    wide = counts.pivot("outcome", index=by, values="n", aggregate_function="sum")
    missing = [pl.lit(None, dtype=pl.Float64).alias(name) for name in OUTCOMES if name not in wide.columns]
    whole = wide.with_columns(*missing).select(*by, pl.col(*OUTCOMES).fill_null(0.0))
    return pl.concat([as_measures("migrations", whole), as_measures("migrations", _shares(whole))])


def _shares(counts: pl.DataFrame) -> pl.DataFrame:
    sums = counts.group_by("rule", "policy", "flow").agg(pl.col(*OUTCOMES).sum())
    return sums.with_columns(
        true=pl.sum_horizontal("found", "undetermined", "missed"), claimed=pl.col("found") + pl.col("false")
    ).select(
        "rule",
        "policy",
        "flow",
        "true",
        found_share=share("found", "true"),
        right_share=share("found", "claimed"),
    )


def _is_observed(windows: Windows) -> str:
    """SQL: the migration m is of a day that is observed under its rule."""

    def within(period: Period) -> str:
        return f"m.event_date BETWEEN DATE '{period.from_date}' AND DATE '{period.to_date}'"

    cut = "".join(f" WHEN '{rule}' THEN {within(window)}" for rule, window in windows.rules.items())
    return f"CASE m.rule{cut} ELSE {within(windows.period)} END" if cut else within(windows.period)


def _found_migrations(engine: Engine, run: Tables, truth: Tables, windows: Windows) -> Table:
    """One row for each person, direction and day; a settled one goes before an undetermined one."""
    return engine.step(
        "evaluate_found_migrations",
        f"""
        SELECT m.person_id, m.rule, m.policy, m.event_date, m.direction,
               MAX(CASE WHEN m.outcome = 'migration' THEN 1 ELSE 0 END) AS is_settled
        FROM migrations m JOIN (SELECT DISTINCT rule FROM truth) AS t ON t.rule = m.rule
        WHERE m.draw = 0
          AND {_is_observed(windows)}
        GROUP BY m.person_id, m.rule, m.policy, m.event_date, m.direction
        """,
        migrations=run["migrations"],
        truth=truth["residence" if "residence" in truth else "migrations"],
    )


def _true_migrations(
    engine: Engine, run: Tables, truth: Tables, matching: Matching, windows: Windows
) -> Table:
    """The true migrations of the window, once for each policy of their rule, with the person that represents."""
    strata = engine.step(
        "evaluate_strata",
        "SELECT DISTINCT rule, policy FROM residence WHERE draw = 0",
        residence=run["residence"],
    )
    return engine.step(
        "evaluate_true_migrations",
        f"""
        SELECT m.true_person_id, p.person_id, m.rule, s.policy, m.event_date, m.direction
        FROM migrations m
        JOIN strata s ON s.rule = m.rule
        LEFT JOIN true_persons p ON p.true_person_id = m.true_person_id AND p.is_represented
        WHERE {_is_observed(windows)}
        """,
        migrations=truth["migrations"],
        strata=strata,
        true_persons=matching.true_persons,
    )


def _person_facts(engine: Engine, truth: Tables, matching: Matching, period: Period) -> Table:
    """What may explain an error: of each true person, and of the found one that holds most of its records."""
    lost = engine.frame("evaluate_no_lost", pl.DataFrame(schema={"true_person_id": pl.String}))
    if "missing_crossings" in truth:
        lost = engine.step(
            "evaluate_lost",
            f"""
            SELECT DISTINCT true_person_id FROM missing_crossings
            WHERE crossed_date BETWEEN DATE '{period.from_date}' AND DATE '{period.to_date}'
            """,
            missing_crossings=truth["missing_crossings"],
        )
    return engine.step(
        "evaluate_facts",
        """
        SELECT t.true_person_id, t.is_split, f.is_merged, l.true_person_id IS NOT NULL AS is_missing
        FROM true_persons t
        JOIN found_persons f ON f.person = t.person
        LEFT JOIN lost l ON l.true_person_id = t.true_person_id
        """,
        true_persons=matching.true_persons,
        found_persons=matching.found_persons,
        lost=lost,
    )


def _outcomes_of_true(engine: Engine, true: Table, found: Table, facts: Table) -> pl.DataFrame:
    return engine.collect(
        """
        WITH outcomes AS (
            SELECT t.true_person_id, t.rule, t.policy, t.direction,
                   CASE WHEN f.is_settled = 1 THEN 'found' WHEN f.is_settled = 0 THEN 'undetermined'
                        ELSE 'missed' END AS outcome
            FROM true_migrations t
            LEFT JOIN found f ON f.person_id = t.person_id AND f.rule = t.rule AND f.policy = t.policy
             AND f.event_date = t.event_date AND f.direction = t.direction
        )
        SELECT o.rule, o.policy, o.direction AS flow, o.outcome,
               CASE WHEN o.outcome = 'found' THEN 'none' WHEN p.true_person_id IS NULL THEN 'not_in_run'
                    WHEN p.is_split THEN 'split' WHEN p.is_merged THEN 'merged'
                    WHEN p.is_missing THEN 'missing_crossing' ELSE 'other' END AS cause,
               CAST(COUNT(*) AS DOUBLE) AS n
        FROM outcomes o LEFT JOIN facts p ON p.true_person_id = o.true_person_id
        GROUP BY 1, 2, 3, 4, 5
        """,
        true_migrations=true,
        found=found,
        facts=facts,
    )


def _outcomes_of_found(
    engine: Engine, true: Table, found: Table, facts: Table, found_persons: Table
) -> pl.DataFrame:
    """Found migrations without a true counterpart; those of persons without any truth are left out."""
    return engine.collect(
        """
        SELECT f.rule, f.policy, f.direction AS flow,
               CASE WHEN f.is_settled = 1 THEN 'false' ELSE 'false_undetermined' END AS outcome,
               CASE WHEN w.is_split THEN 'split' WHEN p.is_merged THEN 'merged'
                    WHEN w.is_missing THEN 'missing_crossing' ELSE 'other' END AS cause,
               CAST(COUNT(*) AS DOUBLE) AS n
        FROM found f
        JOIN found_persons p ON p.person_id = f.person_id
        JOIN facts w ON w.true_person_id = p.true_person_id
        LEFT JOIN true_migrations t ON t.person_id = f.person_id AND t.rule = f.rule AND t.policy = f.policy
         AND t.event_date = f.event_date AND t.direction = f.direction
        WHERE t.person_id IS NULL
        GROUP BY 1, 2, 3, 4, 5
        """,
        true_migrations=true,
        found=found,
        facts=facts,
        found_persons=found_persons,
    )
