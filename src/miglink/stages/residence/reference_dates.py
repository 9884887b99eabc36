"""Rules that look back: status at each reference date, and the crossings that brought its changes about.

Reference dates are the first days of years; the status is that at the end of the day before. A change between two of
them is one migration of that year. Within the year a status has no meaning of its own, so nothing is judged daily.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from miglink.config.rules import MissingCrossings, ReferenceDateRule, Rule
from miglink.config.stages import Period
from miglink.engine import Engine, Table
from miglink.stages.residence.days import FOREVER
from miglink.stages.residence.elements import find_elements
from miglink.stages.residence.reference_events import find_transitions
from miglink.stages.residence.timelines import UNLIMITED, find_presence, find_timelines, judge_stays

_EPOCH = date(1900, 1, 1)


@dataclass(frozen=True)
class Question:
    """A rule that looks back, a policy, the period, and the stays that permits and visas let expect."""

    rule: ReferenceDateRule
    policy: MissingCrossings
    period: Period
    expectations: Table


def judge_reference_dates(
    engine: Engine, chain: Table, travellers: Table, question: Question
) -> tuple[Table, Table, Table]:
    """Decide the status of some persons at every reference date that they live to see.

    Reads: chain of crossings, travellers, expectations (person_key, from_day, until_day).
    Gives: the travellers with their first status (corrected where presence speaks against it and no crossing explains
        the change), the days on which a status begins, and the changes: settled ones, and those that may be.
    Units: the 12 months are those up to and including the day before the reference date; the day of entry counts, the
        day of exit only under `counting: inclusive`.
    Source: the rule's own references; methods of miglink, section 1.

    Who was born here within the 12 months keeps the status of birth if more than half of its days since were spent
    here (or the share that the rule's threshold is of the 12 months), else it is non_resident. Where the 12 months
    began before the observation, and what is observed does not decide, the first status stays.

    Statuses before `applies_from` are found all the same, for later ones begin with them; `hide_statuses` takes them
    out. Changes until then are no migrations.
    """
    dates = engine.frame("residence_reference_dates", _list_dates(question.period, question.rule))
    elements = find_elements(engine, chain, question.policy)
    timelines = find_timelines(
        engine,
        elements,
        travellers,
        _tolerated_days(question.rule),
        returns_at_death=True,
        counts_exit_days=question.rule.counting == "inclusive",
    )
    asked = _ask(engine, timelines, travellers, dates)
    verdicts = _look_back(engine, timelines, asked, question.rule)
    arrivals = (
        _judge_arrivals(engine, timelines, asked, question)
        if question.rule.intended_stay == "counts"
        else None
    )
    statuses = _settle_dates(engine, verdicts, arrivals, travellers, question.rule)
    return find_transitions(engine, statuses, timelines, travellers, dates)


def first_listed_day(rule: Rule) -> int | None:
    """The day at whose end a rule that applies from some date gives its first status: the last of a year."""
    return (date(rule.first_date.year, 12, 31) - _EPOCH).days if rule.first_date else None


def _tolerated_days(rule: ReferenceDateRule) -> int:
    return rule.tolerated_absence.value if rule.tolerated_absence else UNLIMITED


def _list_dates(period: Period, rule: ReferenceDateRule) -> pl.DataFrame:
    """The reference dates of the period as day numbers: `last_day` is the day at whose end the status holds."""
    years = range(period.from_date.year, period.data_to_date.year + 1)
    first_day = first_listed_day(rule)
    rows = [
        (
            year,
            (date(year, 1, 1) - _EPOCH).days,
            (date(year, 1, 1) - _EPOCH).days - 1,
            (date(year - 1, 1, 1) - _EPOCH).days,
            (date(year - 2, 1, 1) - _EPOCH).days,
            rule.applies_to is None or date(year - 1, 12, 31) <= rule.applies_to,
            first_day is None or (date(year - 1, 12, 31) - _EPOCH).days > first_day,
        )
        for year in years
        if period.from_date < date(year, 1, 1)
    ]
    schema: dict[str, Any] = {
        "n": pl.Int64,
        "reference_day": pl.Int64,
        "last_day": pl.Int64,
        "year_day": pl.Int64,
    }
    schema |= {"earlier_day": pl.Int64, "is_covered": pl.Boolean, "is_listed": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _ask(engine: Engine, timelines: Table, travellers: Table, dates: Table) -> Table:
    """Each reference date of each person with crossings: from when days count, and how many are not observed."""
    return engine.step(
        "residence_asked",
        """
        SELECT t.person_key, t.start, t.from_day, t.initial_status, d.n, d.reference_day, d.last_day, d.year_day,
               d.earlier_day,
               t.start = 'birth_here' AND t.from_day > d.year_day AS is_infant,
               CASE t.start WHEN 'birth_here' THEN GREATEST(d.year_day, t.from_day)
                            WHEN 'observation' THEN GREATEST(d.year_day, t.from_day + 1)
                            ELSE d.year_day END AS window_day,
               CASE t.start WHEN 'observation' THEN GREATEST(0, t.from_day + 1 - d.year_day) ELSE 0 END
                   AS n_unobserved
        FROM travellers t
        JOIN dates d ON d.is_covered AND d.last_day > t.from_day AND d.last_day < COALESCE(t.death_day, d.last_day + 1)
        WHERE t.person_key IN (SELECT person_key FROM timelines)
        """,
        travellers=travellers,
        dates=dates,
        timelines=timelines,
    )


def _look_back(engine: Engine, timelines: Table, asked: Table, rule: ReferenceDateRule) -> Table:
    """Whether the 12 months before each reference date make a resident, on each timeline."""
    probes = engine.view(
        "residence_window_days",
        """
        SELECT person_key, 2 * n AS probe, reference_day AS day FROM asked
        UNION ALL
        SELECT person_key, 2 * n + 1 AS probe, window_day AS day FROM asked
        """,
        asked=asked,
    )
    lasted, enough = "TRUE", "2 * present_days > reference_day - window_day + n_unobserved"
    if rule.threshold is not None:
        # Of a child born within the 12 months, the same share of the days since.
        share = f"{rule.threshold.value} * (reference_day - window_day + n_unobserved)"
        enough = f"present_days * (reference_day - year_day) >= {share}"
    if rule.duration == "continuous":
        assert rule.tolerated_absence is not None  # the model asks for it where a stay is continuous
        # How long an absence had lasted when observation began is not seen: by the first status, else any time.
        lasted = f"""COALESCE(long_until <= window_day, TRUE) AND (n_unobserved = 0 OR timeline = 'most')
               AND NOT (is_absent_first AND first_day > window_day
                        AND (start <> 'observation' OR initial_status = 0
                             OR (initial_status = -1 AND timeline = 'least')
                             OR first_day - from_day - 1 > {rule.tolerated_absence.value}))"""
    return engine.step(
        "residence_looked_back",
        f"""
        WITH firsts AS (
            SELECT person_key, timeline, MIN(day) AS first_day, MAX(n_before) = 0 AS is_absent_first,
                   MIN(CASE WHEN NOT is_implied THEN day END) AS seen_day
            FROM timelines GROUP BY person_key, timeline
        ), counted AS (
            SELECT a.*, f.first_day, f.seen_day, f.is_absent_first, e.timeline, e.presence, e.absent_until, e.long_from,
                   e.long_until,
                   e.presence - b.presence + CASE e.timeline WHEN 'most' THEN n_unobserved ELSE 0 END AS present_days
            FROM asked a
            JOIN points e ON e.person_key = a.person_key AND e.probe = 2 * a.n
            JOIN points b ON b.person_key = a.person_key AND b.probe = 2 * a.n + 1 AND b.timeline = e.timeline
            JOIN firsts f ON f.person_key = a.person_key AND f.timeline = e.timeline
        )
        SELECT person_key, n, timeline, reference_day, last_day, year_day, earlier_day, is_infant, n_unobserved,
               seen_day, presence, absent_until, long_from, long_until,
               {enough} AND {lasted} AS has_lived_here
        FROM counted
        """,
        timelines=timelines,
        asked=asked,
        points=find_presence(engine, timelines, probes),
    )


def _judge_arrivals(engine: Engine, timelines: Table, asked: Table, question: Question) -> Table:
    """The arrivals within the 12 months: who was seen to stay, and who intended to by a permit or visa at arrival."""
    return engine.step(
        "residence_arrivals_judged",
        """
        WITH intending AS (
            SELECT DISTINCT j.person_key, j.place
            FROM judged j JOIN expectations x ON x.person_key = j.person_key
                 AND x.from_day <= j.day AND x.until_day >= j.window_day
            WHERE j.is_arrival AND NOT j.is_implied
        )
        SELECT j.person_key, a.n, j.timeline, j.day, j.presence, j.is_lasting, j.lasting_day, j.short_day,
               i.person_key IS NOT NULL AS is_intended
        FROM judged j
        JOIN asked a ON a.person_key = j.person_key AND j.day >= a.year_day AND j.day < a.reference_day
        LEFT JOIN intending i ON i.person_key = j.person_key AND i.place = j.place
        WHERE j.is_arrival
        """,
        judged=judge_stays(engine, timelines, _tolerated_days(question.rule)),
        expectations=question.expectations,
        asked=asked,
    )


def _settle_dates(
    engine: Engine, verdicts: Table, arrivals: Table | None, travellers: Table, rule: ReferenceDateRule
) -> Table:
    """The status at each reference date, and the day on which it is final: known whatever is still to come."""
    lived_day = broken_day = "last_day"
    if rule.duration == "continuous":  # how long an absence lasts decides, also after the reference date
        lived_day = "GREATEST(last_day, COALESCE(absent_until, last_day))"
        broken_day = f"COALESCE(long_from + {_tolerated_days(rule)}, last_day)"
    if arrivals is None:
        joined = """SELECT v.*, FALSE AS is_lasting, FALSE AS is_intended, CAST(NULL AS BIGINT) AS lasting_day,
                   CAST(NULL AS BIGINT) AS short_day FROM verdicts v"""
        tables = {"verdicts": verdicts, "travellers": travellers}
    else:
        joined = """
            SELECT v.*, s.is_lasting, s.is_intended, s.lasting_day, s.short_day
            FROM verdicts v LEFT JOIN (
                SELECT v.person_key, v.n, v.timeline, BOOL_OR(a.is_lasting) AS is_lasting,
                       BOOL_OR(a.is_intended AND COALESCE(v.long_until <= a.day, TRUE)
                               AND 2 * (v.presence - a.presence) > v.reference_day - a.day) AS is_intended,
                       MIN(CASE WHEN a.is_lasting THEN a.lasting_day END) AS lasting_day,
                       MAX(CASE WHEN NOT a.is_lasting THEN a.short_day END) AS short_day
                FROM verdicts v JOIN arrivals a
                     ON a.person_key = v.person_key AND a.n = v.n AND a.timeline = v.timeline
                GROUP BY v.person_key, v.n, v.timeline
            ) AS s ON s.person_key = v.person_key AND s.n = v.n AND s.timeline = v.timeline"""
        tables = {"verdicts": verdicts, "travellers": travellers, "arrivals": arrivals}
    refused_day = f"GREATEST(last_day, {broken_day}, COALESCE(short_day, last_day))"
    return engine.step("residence_at_dates", _statuses_at_dates(joined, lived_day, refused_day), **tables)


def _statuses_at_dates(joined: str, lived_day: str, refused_day: str) -> str:
    """SELECT for the statuses from what holds with the least presence, and what may hold with the most."""
    return f"""
        WITH joined AS ({joined}), judged AS (
            SELECT *, has_lived_here OR COALESCE(is_lasting, FALSE) OR COALESCE(is_intended, FALSE) AS is_resident,
                   CASE WHEN has_lived_here OR COALESCE(is_intended, FALSE) THEN {lived_day} ELSE {FOREVER} END
                       AS lived_day,
                   {refused_day} AS refused_day
            FROM joined
        ), sides AS (
            SELECT least.person_key, least.n, least.last_day, least.reference_day, least.year_day, least.earlier_day,
                   least.is_infant, least.n_unobserved, least.seen_day, t.initial_status, t.initial_final_day,
                   t.death_day,
                   CASE WHEN least.is_resident THEN 1 WHEN NOT most.is_resident THEN 0 ELSE -1 END AS found,
                   CASE WHEN least.is_resident
                        THEN LEAST(least.lived_day, COALESCE(least.lasting_day, least.lived_day))
                        ELSE most.refused_day END AS found_day,
                   NOT least.has_lived_here AND NOT COALESCE(least.is_lasting, FALSE) AS is_expected
            FROM judged least
            JOIN judged most ON most.person_key = least.person_key AND most.n = least.n AND most.timeline = 'most'
            JOIN travellers t ON t.person_key = least.person_key
            WHERE least.timeline = 'least'
        ), kept AS (
            SELECT *, (is_infant AND (found = 1 OR (found = -1 AND initial_status = 0)))
                      OR (n_unobserved > 0 AND found = -1) AS is_kept
            FROM sides
        )
        SELECT person_key, n, last_day, reference_day, year_day, earlier_day,
               CASE WHEN is_kept THEN initial_status ELSE found END AS status,
               CASE WHEN is_kept THEN GREATEST(last_day, initial_final_day)
                    -- Where somebody was before the first crossing is known by that crossing, or by the first status.
                    ELSE GREATEST(LEAST(found_day, COALESCE(death_day, found_day)),
                                  CASE WHEN found = initial_status THEN last_day ELSE seen_day END) END AS final_day,
               found = 1 AND NOT is_kept AND is_expected AS is_expected
        FROM kept
        """
