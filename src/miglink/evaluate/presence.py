"""Days of presence and absence, true and found."""

import polars as pl

from miglink.config.stages import Period
from miglink.engine import Engine, Table
from miglink.evaluate.inputs import Tables
from miglink.evaluate.matching import Matching
from miglink.evaluate.measures import as_measures

_DAYS_OF_A_YEAR = 365.25
_NOTHING = "none"


def measure_spells(
    engine: Engine, run: Tables, truth: Tables, matching: Matching, period: Period
) -> pl.DataFrame:
    """Compare true spells with those of the found person that represents the true one, day by day.

    Reads: spells of the run (draw 0) and of the truth, true_persons, found_persons.
    Gives: part `spells`: days by true and found state (none: no spell), days wrong, unresolved and without a spell
        per person-year; surplus_days of found persons that represent nobody.
    Units: days within the period observed and the true life; a year has 365.25. Compared are true persons with a
        true crossing in the period or a spell found.
    Source: docs/evaluation.md.
    """
    true_spells = _true_spells(engine, truth, matching, period)
    found_spells = _found_spells(engine, run, matching, period)
    persons = _compared_persons(engine, true_spells, found_spells)
    days = _count_days(engine, true_spells, found_spells, persons)
    (n_persons,) = engine.collect("SELECT COUNT(*) AS n FROM persons", persons=persons)["n"]
    surplus = engine.collect(
        """
        SELECT state AS found_value, CAST(SUM(date_diff('day', start_date, end_date)) AS DOUBLE) AS surplus_days
        FROM found_spells WHERE NOT represents GROUP BY state
        """,
        found_spells=found_spells,
    )
    frames = [days, _rates(days, surplus, n_persons), surplus]
    return pl.concat([as_measures("spells", frame) for frame in frames])


def _true_spells(engine: Engine, truth: Tables, matching: Matching, period: Period) -> Table:
    """The true spells within the period, with the person that represents; the first is begun by no crossing."""
    first, end = _date(period.from_date), _date(period.data_to_date)
    return engine.step(
        "evaluate_true_spells",
        f"""
        SELECT s.true_person_id, p.person_id, s.state, GREATEST(s.start_date, {first}) AS start_date,
               LEAST(s.end_date, {end}) AS end_date, s.sequence > 1 AND s.start_date >= {first} AS is_crossing
        FROM spells s
        LEFT JOIN true_persons p ON p.true_person_id = s.true_person_id AND p.is_represented
        WHERE s.start_date < {end} AND s.end_date >= {first}
        """,
        spells=truth["spells"],
        true_persons=matching.true_persons,
    )


def _found_spells(engine: Engine, run: Tables, matching: Matching, period: Period) -> Table:
    first, end = _date(period.from_date), _date(period.data_to_date)
    return engine.step(
        "evaluate_found_spells",
        f"""
        SELECT s.person_id, s.state, GREATEST(s.start_date, {first}) AS start_date,
               LEAST(COALESCE(s.end_date, {end}), {end}) AS end_date, p.represents
        FROM spells s JOIN found_persons p ON p.person_id = s.person_id
        WHERE s.draw = 0 AND s.start_date < {end} AND COALESCE(s.end_date, {end}) > {first}
        """,
        spells=run["spells"],
        found_persons=matching.found_persons,
    )


def _compared_persons(engine: Engine, true_spells: Table, found_spells: Table) -> Table:
    """The true persons compared, with their days by true state."""
    return engine.step(
        "evaluate_compared",
        """
        WITH lives AS (
            SELECT true_person_id, person_id, MAX(CASE WHEN is_crossing THEN 1 ELSE 0 END) AS has_crossing,
                   SUM(CASE WHEN state = 'present' THEN date_diff('day', start_date, end_date) ELSE 0 END)
                       AS present,
                   SUM(CASE WHEN state = 'absent' THEN date_diff('day', start_date, end_date) ELSE 0 END)
                       AS absent
            FROM true_spells GROUP BY true_person_id, person_id
        )
        SELECT l.true_person_id, l.present, l.absent
        FROM lives l LEFT JOIN (SELECT DISTINCT person_id FROM found_spells) AS f ON f.person_id = l.person_id
        WHERE l.has_crossing = 1 OR f.person_id IS NOT NULL
        """,
        true_spells=true_spells,
        found_spells=found_spells,
    )


def _count_days(engine: Engine, true_spells: Table, found_spells: Table, persons: Table) -> pl.DataFrame:
    """Days by true_value and found_value; what no found spell covers is `none`."""
    true_days = engine.collect(
        """
        SELECT CAST(COALESCE(SUM(present), 0) AS DOUBLE) AS present,
               CAST(COALESCE(SUM(absent), 0) AS DOUBLE) AS absent
        FROM persons
        """,
        persons=persons,
    ).unpivot(variable_name="true_value", value_name="true_days")
    both = engine.collect(
        """
        SELECT t.state AS true_value, f.state AS found_value,
               CAST(SUM(date_diff('day', GREATEST(t.start_date, f.start_date), LEAST(t.end_date, f.end_date)))
                    AS DOUBLE) AS days
        FROM true_spells t
        JOIN found_spells f
          ON f.person_id = t.person_id AND f.start_date < t.end_date AND t.start_date < f.end_date
        GROUP BY t.state, f.state
        """,
        true_spells=true_spells,
        found_spells=found_spells,
    )
    covered = both.group_by("true_value").agg(pl.col("days").sum())
    uncovered = true_days.join(covered, on="true_value", how="left").select(
        "true_value",
        found_value=pl.lit(_NOTHING),
        days=pl.col("true_days") - pl.col("days").fill_null(0.0),
    )
    states = pl.DataFrame({"found_value": ["present", "absent", "unresolved", _NOTHING]})
    grid = true_days.select("true_value").join(states, how="cross")
    return grid.join(pl.concat([both, uncovered]), on=["true_value", "found_value"], how="left").with_columns(
        pl.col("days").fill_null(0.0)
    )


def _rates(days: pl.DataFrame, surplus: pl.DataFrame, n_persons: int) -> pl.DataFrame:
    """days_…_per_person_year = days / (true days of the persons compared / 365.25)."""
    found = pl.col("found_value")
    kinds = {
        "wrong": found.is_in(["present", "absent"]) & (found != pl.col("true_value")),
        "unresolved": found == "unresolved",
        "without_spell": found == _NOTHING,
    }
    years = float(days["days"].sum()) / _DAYS_OF_A_YEAR
    counts = {kind: float(days.filter(is_kind)["days"].sum()) for kind, is_kind in kinds.items()}
    counts["surplus_present"] = float(surplus.filter(found_value="present")["surplus_days"].sum())
    rates = {f"days_{kind}_per_person_year": n / years if years else None for kind, n in counts.items()}
    measures = {"persons_compared": float(n_persons), "person_years": years, **rates}
    return pl.DataFrame([measures], schema=dict.fromkeys(measures, pl.Float64))


def _date(day: object) -> str:
    return f"DATE '{day}'"
