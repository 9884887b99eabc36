"""The time that persons lived under each status, what it rests on, and how much of it they spent here."""

from datetime import date, timedelta

import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.estimates.vintages import Observation

_DAYS = ("person_days", "least_present_days", "most_present_days", "unseen_days")


def count_person_days(
    engine: Engine, residence: Table, spells: Table, strata: pl.DataFrame, observation: Observation
) -> pl.DataFrame:
    """Count the days of each year under every rule and policy by status and basis, and those of presence among them.

    A day has the status in force at its end, as a stock has; presence is that at its end too, for the day of arrival
    counts and the day of departure does not. Whoever has no crossings has no spells, and is not seen; nor is anybody
    on days on which crossings are not observed.
    """
    rules = strata["rule"].unique()
    ends = {rule: observation.days_of(rule)[1] + timedelta(days=1) for rule in rules}
    pieces = _cut_pieces(engine, residence, spells, strata, observation)
    counted = engine.collect(
        """
        SELECT p.rule, p.policy, y.period, p.status, p.basis, p.kind,
               CAST(SUM(p.n * date_diff('day', GREATEST(p.from_date, y.first_date), LEAST(p.to_date, y.end_date)))
                    AS BIGINT) AS n_days
        FROM pieces p JOIN years y ON p.from_date < y.end_date AND y.first_date < p.to_date
        GROUP BY p.rule, p.policy, y.period, p.status, p.basis, p.kind
        """,
        pieces=pieces,
        years=engine.frame("estimates_years", _list_years(observation)),
    )
    kind, days = pl.col("kind"), pl.col("n_days")
    present = days.filter(kind == "present").sum()
    return (
        counted.group_by("rule", "policy", "period", "status", "basis")
        .agg(
            person_days=days.filter(kind == "all").sum(),
            least_present_days=present,
            most_present_days=present + days.filter(kind == "unresolved").sum(),
            unseen_days=days.filter(kind == "unseen").sum(),
        )
        .filter(pl.col("person_days") > 0)
        .with_columns(
            pl.col(*_DAYS).cast(pl.Int64),
            data_to_date=pl.col("rule").replace_strict(ends, return_dtype=pl.Date),
        )
    )


def _cut_pieces(
    engine: Engine, residence: Table, spells: Table, strata: pl.DataFrame, observation: Observation
) -> Table:
    """Stretches of days with one status, and those of them with presence, as many as are equal in one row."""
    firsts = {rule: observation.days_of(rule)[0] for rule in strata["rule"].unique()}
    ends = strata.select(
        "rule",
        "policy",
        first_date=pl.col("rule").replace_strict(firsts, return_dtype=pl.Date),
        # The first day that is not observed, or for which the rule gives no status.
        end_date=pl.col("limit_date") + pl.duration(days=1),
    )
    seen, last_seen = observation.seen or (observation.period.from_date, observation.period.to_date)
    end = last_seen + timedelta(days=1)
    is_beyond = (ends["first_date"] < seen).any() or (ends["end_date"] > end).any()
    days = {"seen": f"DATE '{seen}'", "end": f"DATE '{end}'"}
    return engine.step(
        "estimates_person_pieces",
        _PIECES.format(**days, beyond=_BEYOND.format(**days) if is_beyond else ""),
        residence=residence,
        spells=spells,
        ends=engine.frame("estimates_ends", ends),
    )


def _list_years(observation: Observation) -> pl.DataFrame:
    """Every year of which a day is observed."""
    years = range(observation.period.from_date.year, observation.period.to_date.year + 1)
    return pl.DataFrame(
        {
            "period": [str(year) for year in years],
            "first_date": [date(year, 1, 1) for year in years],
            "end_date": [date(year + 1, 1, 1) for year in years],
        }
    )


# Equal pieces are counted before they meet the years: most statuses last from the first day to the last.
_PIECES = """
    WITH held AS (
        SELECT r.person_id, r.rule, r.policy, r.status, r.basis, GREATEST(r.from_date, e.first_date) AS from_date,
               LEAST(COALESCE(r.to_date, e.end_date), e.end_date) AS to_date
        FROM residence r JOIN ends e ON e.rule = r.rule AND e.policy = r.policy
        WHERE r.draw = 0
    ), stays AS (
        SELECT person_id, state, start_date, COALESCE(end_date, {end}) AS end_date
        FROM spells WHERE draw = 0 AND state <> 'absent'
    ), pieces AS (
        SELECT rule, policy, status, basis, 'all' AS kind, from_date, to_date FROM held
        UNION ALL
        SELECT h.rule, h.policy, h.status, h.basis, s.state AS kind, GREATEST(h.from_date, s.start_date) AS from_date,
               LEAST(h.to_date, s.end_date) AS to_date
        FROM held h
        JOIN stays s ON s.person_id = h.person_id AND s.start_date < h.to_date AND h.from_date < s.end_date
        UNION ALL
        SELECT h.rule, h.policy, h.status, h.basis, 'unseen' AS kind, h.from_date, h.to_date
        FROM held h LEFT JOIN (SELECT DISTINCT person_id FROM spells WHERE draw = 0) AS seen
             ON seen.person_id = h.person_id
        WHERE seen.person_id IS NULL
        {beyond}
    )
    SELECT rule, policy, status, basis, kind, from_date, to_date, COUNT(*) AS n
    FROM pieces WHERE from_date < to_date
    GROUP BY rule, policy, status, basis, kind, from_date, to_date
"""
# Of who has spells, what lies before and after the days on which crossings are observed.
_BEYOND = """
        UNION ALL
        SELECT h.rule, h.policy, h.status, h.basis, 'unseen' AS kind, h.from_date, LEAST(h.to_date, {seen}) AS to_date
        FROM held h
        WHERE h.from_date < {seen} AND h.person_id IN (SELECT person_id FROM spells WHERE draw = 0)
        UNION ALL
        SELECT h.rule, h.policy, h.status, h.basis, 'unseen' AS kind, GREATEST(h.from_date, {end}) AS from_date,
               h.to_date
        FROM held h
        WHERE h.to_date > {end} AND h.person_id IN (SELECT person_id FROM spells WHERE draw = 0)
"""
