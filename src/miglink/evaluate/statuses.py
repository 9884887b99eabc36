"""Who is resident at 1 January: true status against found status."""

import polars as pl

from miglink.config.windows import Windows
from miglink.engine import Engine, Table
from miglink.evaluate.inputs import Tables
from miglink.evaluate.matching import Matching
from miglink.evaluate.measures import as_measures, share
from miglink.stages.estimates.periods import reference_dates

_NOTHING, _NOBODY = "none", "nobody"
_KEYS = ("rule", "policy", "period")


def measure_statuses(
    engine: Engine, run: Tables, truth: Tables, matching: Matching, windows: Windows
) -> pl.DataFrame:
    """Compare true and found statuses at each 1 January that the rule observes, in force at the end of the day before.

    Reads: residence of the run (draw 0) and of the truth, true_persons, found_persons.
    Gives: part `statuses`: persons by rule, policy, period, true_value and found_value; shares wrong, undetermined.
        true_value none: represented, but without a true status (not born, dead); nobody: the found person
        represents nobody. found_value none: no status found, or nobody represents the true person.
    Units: persons; …_per_1000 of true persons with a true status. Wrong: truly resident and found non_resident or
        none, or truly non_resident and found resident.
    Source: docs/evaluation.md.
    """
    strata = engine.collect(
        """
        SELECT DISTINCT f.rule, f.policy
        FROM residence f JOIN (SELECT DISTINCT rule FROM truth) AS t ON t.rule = f.rule
        WHERE f.draw = 0
        """,
        residence=run["residence"],
        truth=truth["residence"],
    )
    # Beginning with no date at all, for there may be no rule that both sides have.
    dates = [reference_dates(windows.period).clear().with_columns(rule=pl.lit(""))]
    for rule in strata["rule"].unique():
        dates.append(reference_dates(windows.of(rule)).with_columns(rule=pl.lit(rule)))
    counts = _count_at(engine, _find_intervals(engine, run, truth, matching), pl.concat(dates))
    persons = _complete(counts, strata)
    return pl.concat([as_measures("statuses", persons), as_measures("statuses", _rates(persons))])


def _find_intervals(engine: Engine, run: Tables, truth: Tables, matching: Matching) -> Table:
    """Equal intervals of true statuses, of found ones and of both together, counted: few rows to hold up to days."""
    found = engine.step(
        "evaluate_found_statuses",
        """
        SELECT r.person_id, r.rule, r.policy, r.status, r.from_date,
               COALESCE(r.to_date, DATE '9999-12-31') AS to_date, p.represents
        FROM residence r JOIN found_persons p ON p.person_id = r.person_id
        WHERE r.draw = 0
        """,
        residence=run["residence"],
        found_persons=matching.found_persons,
    )
    true = engine.step(
        "evaluate_true_statuses",
        """
        SELECT p.person_id, r.rule, r.status, r.from_date,
               COALESCE(r.to_date, DATE '9999-12-31') AS to_date
        FROM residence r
        LEFT JOIN true_persons p ON p.true_person_id = r.true_person_id AND p.is_represented
        """,
        residence=truth["residence"],
        true_persons=matching.true_persons,
    )
    return engine.step(
        "evaluate_status_intervals",
        """
        SELECT 'true' AS side, rule, 'total' AS policy, status AS true_value, 'total' AS found_value,
               from_date, to_date, COUNT(*) AS n
        FROM true_statuses GROUP BY rule, status, from_date, to_date
        UNION ALL
        SELECT CASE WHEN represents THEN 'found' ELSE 'nobody' END AS side, rule, policy, 'total' AS true_value,
               status AS found_value, from_date, to_date, COUNT(*) AS n
        FROM found_statuses GROUP BY represents, rule, policy, status, from_date, to_date
        UNION ALL
        SELECT 'both' AS side, f.rule, f.policy, t.status AS true_value, f.status AS found_value,
               GREATEST(f.from_date, t.from_date) AS from_date, LEAST(f.to_date, t.to_date) AS to_date,
               COUNT(*) AS n
        FROM true_statuses t
        JOIN found_statuses f ON f.person_id = t.person_id AND f.rule = t.rule
         AND f.from_date < t.to_date AND t.from_date < f.to_date
        GROUP BY f.rule, f.policy, t.status, f.status, GREATEST(f.from_date, t.from_date),
                 LEAST(f.to_date, t.to_date)
        """,
        true_statuses=true,
        found_statuses=found,
    )


def _count_at(engine: Engine, intervals: Table, dates: pl.DataFrame) -> pl.DataFrame:
    return engine.collect(
        """
        SELECT i.side, i.rule, i.policy, d.period, i.true_value, i.found_value,
               CAST(SUM(i.n) AS DOUBLE) AS persons
        FROM intervals i JOIN dates d ON d.rule = i.rule AND i.from_date <= d.last_date AND d.last_date < i.to_date
        GROUP BY i.side, i.rule, i.policy, d.period, i.true_value, i.found_value
        """,
        intervals=intervals,
        dates=engine.frame("evaluate_dates", dates),
    )


def _complete(counts: pl.DataFrame, strata: pl.DataFrame) -> pl.DataFrame:
    """The confusion whole: what has a status on one side only is `none` (or `nobody`) on the other."""
    wide = ("persons", "true_value", "found_value")
    both = counts.filter(side="both").join(strata, on=["rule", "policy"], how="semi")
    true = counts.filter(side="true").drop("policy").join(strata, on="rule")
    found = counts.filter(side="found").join(strata, on=["rule", "policy"], how="semi")
    nobody = counts.filter(side="nobody").join(strata, on=["rule", "policy"], how="semi")
    frames = [both.select(*_KEYS, *wide)]
    for rows, value, other in ((true, "true_value", "found_value"), (found, "found_value", "true_value")):
        matched = both.group_by(*_KEYS, value).agg(matched=pl.col("persons").sum())
        rest = rows.join(matched, on=[*_KEYS, value], how="left").with_columns(
            pl.col("persons") - pl.col("matched").fill_null(0.0), pl.lit(_NOTHING).alias(other)
        )
        frames.append(rest.select(*_KEYS, *wide))
    frames.append(nobody.with_columns(true_value=pl.lit(_NOBODY)).select(*_KEYS, *wide))
    return pl.concat(frames).filter(pl.col("persons") > 0)


def _rates(persons: pl.DataFrame) -> pl.DataFrame:
    true, found = pl.col("true_value"), pl.col("found_value")
    is_true = true.is_in(["resident", "non_resident"])
    is_wrong = ((true == "resident") & found.is_in(["non_resident", _NOTHING])) | (
        (true == "non_resident") & (found == "resident")
    )
    is_surplus = true.is_in([_NOTHING, _NOBODY]) & (found == "resident")
    n = pl.col("persons")
    return (
        persons.group_by(_KEYS)
        .agg(
            true_persons=n.filter(is_true).sum(),
            wrong=n.filter(is_wrong).sum(),
            undetermined=n.filter(is_true & (found == "undetermined")).sum(),
            surplus_residents=n.filter(is_surplus).sum(),
        )
        .with_columns(
            wrong_per_1000=share("wrong", "true_persons", 1000),
            undetermined_per_1000=share("undetermined", "true_persons", 1000),
            surplus_residents_per_1000=share("surplus_residents", "true_persons", 1000),
        )
    )
