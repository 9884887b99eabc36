"""Who is resident under one rule and policy, and what each other rule and policy says of them."""

import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.estimates.periods import reference_dates
from miglink.stages.estimates.strata import name_pairs
from miglink.stages.estimates.vintages import Observation

_KEY = ("rule", "policy", "period", "other_rule", "other_policy", "basis", "other_status", "other_basis")


def count_stock_differences(
    engine: Engine, residence: Table, strata: pl.DataFrame, observation: Observation
) -> pl.DataFrame:
    """Count the residents of every stratum at each reference date by their status and its basis in every other."""
    periods = reference_dates(observation.period)
    counted = _count_pairs(engine, _count_patterns(engine, residence, strata), strata, periods)
    state = pl.col("state").str.split_exact(" ", 1).struct
    other_state = pl.col("other_state").str.split_exact(" ", 1).struct
    named = name_pairs(counted, strata, periods, observation)
    found = pl.when("is_covered")
    return (
        named.with_columns(
            basis=state.field("field_1"),
            other_status=found.then(other_state.field("field_0")).otherwise(pl.lit("not_covered")),
            other_basis=found.then(other_state.field("field_1")).otherwise(pl.lit("none")),
        )
        .group_by(*_KEY, "data_to_date", "status")
        .agg(pl.col("n").sum())
    )


def _count_pairs(
    engine: Engine, patterns: Table, strata: pl.DataFrame, periods: pl.DataFrame
) -> pl.DataFrame:
    """The residents of each stratum at 1 January of each year, by their state there and in each other stratum."""
    states = {
        side: f"CASE {side}.stratum {' '.join(f'WHEN {n} THEN p.state_{n}' for n in strata['stratum'])} END"
        for side in ("a", "b")
    }
    return engine.collect(
        f"""
        WITH pairs AS (
            SELECT a.stratum, b.stratum AS other, p.first_year, p.end_year, {states["a"]} AS state,
                   COALESCE({states["b"]}, 'none none') AS other_state, p.n
            FROM patterns p CROSS JOIN strata a JOIN strata b ON b.stratum <> a.stratum
        ), counted AS (
            SELECT stratum, other, first_year, end_year, state, other_state, SUM(n) AS n
            FROM pairs WHERE SUBSTRING(state, 1, 9) = 'resident '
            GROUP BY stratum, other, first_year, end_year, state, other_state
        )
        SELECT c.stratum, c.other, y.year, c.state, c.other_state, CAST(SUM(c.n) AS BIGINT) AS n
        FROM counted c JOIN years y ON c.first_year <= y.year AND y.year < c.end_year
        GROUP BY c.stratum, c.other, y.year, c.state, c.other_state
        """,
        patterns=patterns,
        strata=engine.frame("estimates_strata", strata.select("stratum")),
        years=engine.frame("estimates_years", periods.select("year")),
    )


def _count_patterns(engine: Engine, residence: Table, strata: pl.DataFrame) -> Table:
    """The states of a person in all strata side by side, and how many persons have them from year to year.

    A state is the status and what it rests on. Gives: first_year and end_year (the pattern holds at 1 January of the
    years from one up to but not the other), state_0, state_1 … by the number of the stratum, n. Who is nowhere a
    resident is left out. Most persons have the same few patterns, so that the pairs are formed of few rows.
    """
    held = engine.step(
        "estimates_held",
        """
        SELECT r.person_id, k.stratum, CONCAT(r.status, ' ', r.basis) AS state,
               CAST(YEAR(r.from_date) + 1 AS INTEGER) AS first_year,
               CAST(COALESCE(YEAR(r.to_date), 9998) + 1 AS INTEGER) AS end_year
        FROM residence r JOIN strata k ON k.rule = r.rule AND k.policy = r.policy
        WHERE r.draw = 0 AND (r.to_date IS NULL OR YEAR(r.from_date) < YEAR(r.to_date))
          AND r.person_id IN (SELECT person_id FROM residence WHERE draw = 0 AND status = 'resident')
        """,
        residence=residence,
        strata=engine.frame("estimates_strata", strata.select("stratum", "rule", "policy")),
    )
    columns = ", ".join(f"state_{n}" for n in strata["stratum"])
    states = ", ".join(
        f"MAX(CASE WHEN h.stratum = {n} THEN h.state END) AS state_{n}" for n in strata["stratum"]
    )
    return engine.step(
        "estimates_patterns",
        f"""
        WITH bounds AS (
            SELECT person_id, first_year AS year FROM held UNION SELECT person_id, end_year AS year FROM held
        ), segments AS (
            SELECT person_id, year AS first_year,
                   LEAD(year) OVER (PARTITION BY person_id ORDER BY year) AS end_year
            FROM bounds
        ), vectors AS (
            SELECT g.person_id, g.first_year, g.end_year, {states}
            FROM segments g
            JOIN held h ON h.person_id = g.person_id AND h.first_year <= g.first_year AND g.first_year < h.end_year
            GROUP BY g.person_id, g.first_year, g.end_year
        )
        SELECT first_year, end_year, {columns}, COUNT(*) AS n
        FROM vectors GROUP BY first_year, end_year, {columns}
        """,
        held=held,
    )
