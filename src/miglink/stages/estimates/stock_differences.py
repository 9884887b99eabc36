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
    patterns = _count_patterns(engine, residence, strata).with_row_index("pattern")
    columns = [_column(stratum) for stratum in strata["stratum"]]
    states = (
        patterns.unpivot(columns, index="pattern", variable_name="stratum", value_name="state")
        .with_columns(
            pl.col("stratum").str.strip_prefix("state_").cast(pl.Int32),
            pl.col("state").fill_null("none none").str.split_exact(" ", 1).struct.rename_fields(_STATE),
        )
        .unnest("state")
    )
    others = states.rename({"stratum": "other", "status": "other_status", "basis": "other_basis"})
    periods = reference_dates(observation.period)
    # The status at 1 January of a year is that of the years from the first up to but not the end.
    at_dates = (
        states.filter(status="resident")
        .join(others, on="pattern")
        .filter(pl.col("stratum") != pl.col("other"))
        .join(patterns.select("pattern", "first_year", "end_year", "n"), on="pattern")
        .join_where(
            periods.select("year"),
            pl.col("first_year") <= pl.col("year"),
            pl.col("year") < pl.col("end_year"),
        )
    )
    named = name_pairs(at_dates, strata, periods, observation)
    found = pl.when("is_covered")
    return (
        named.with_columns(
            other_status=found.then("other_status").otherwise(pl.lit("not_covered")),
            other_basis=found.then("other_basis").otherwise(pl.lit("none")),
        )
        .group_by(*_KEY, "data_to_date", "status")
        .agg(pl.col("n").sum())
    )


_STATE = ["status", "basis"]


def _column(stratum: int) -> str:
    return f"state_{stratum}"


def _count_patterns(engine: Engine, residence: Table, strata: pl.DataFrame) -> pl.DataFrame:
    """The statuses of a person in all strata side by side, and how many persons have them from year to year.

    Gives: first_year and end_year: the pattern holds at 1 January of the years from one up to but not the other;
    state_0, state_1 …: status and basis in the stratum of that number; n. Who is nowhere a resident is left out.
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
    columns = [_column(stratum) for stratum in strata["stratum"]]
    states = ", ".join(
        f"MAX(CASE WHEN h.stratum = {stratum} THEN h.state END) AS {_column(stratum)}"
        for stratum in strata["stratum"]
    )
    return engine.collect(
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
        SELECT first_year, end_year, {", ".join(columns)}, COUNT(*) AS n
        FROM vectors GROUP BY first_year, end_year, {", ".join(columns)}
        """,
        held=held,
    )
