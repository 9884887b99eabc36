"""Forward-window rules in calendar months: how long threshold and window are depends on the day of the crossing.

Days are counted as in `days`, on the timelines of least and of most presence. What differs from crossing to crossing
cannot be the frame of a window function, so the days asked for are sorted in among the elements and looked up there.

A missing crossing is tried on every day on which it could be decided otherwise than on its neighbours: the earliest,
the latest, and those between from or to which the lengths change. Between these, an earlier day only ever adds days to
the new state, and the two ends speak for all.
"""

from datetime import date

import polars as pl

from miglink.config.rules import ForwardWindowRule
from miglink.engine import Engine, Table
from miglink.stages.residence.days import FOREVER, as_date, day_number
from miglink.stages.residence.timelines import UNLIMITED, find_presence, find_timelines

_EPOCH = date(1900, 1, 1)
# Crossings lie between these days.
_FIRST, _LAST = date(1950, 1, 1), date(2100, 12, 31)
# Above every number of a day, so that place and day make one number.
_PLACE = 10 * FOREVER


def decide_by_calendar(
    engine: Engine, elements: Table, travellers: Table, rule: ForwardWindowRule
) -> tuple[Table, Table]:
    """Decide for each element whether it can be a migration, and must be one, for somebody in the state that fits it.

    Reads: elements of the chain, travellers.
    Gives: what `settle` reads, twice: with the days counted in each window, as `count_days` gives them.
    Units: the day of entry counts, the day of exit does not. Threshold and window reach from the day of the crossing
        to the same day of a later month, or that month's last day.
    Source: ABS 3412.0 technical note; StatisticsNZ migrbc 2.0.9 for what it does not say.
    """
    timelines = find_timelines(engine, elements, travellers, UNLIMITED)
    tries = _find_tries(engine, timelines, travellers, rule)
    counted = _find_nth_days(engine, timelines, _count(engine, timelines, tries))
    decided = engine.step("residence_decided", _DECISIONS, counted=counted, travellers=travellers)
    return decided, decided


def _find_tries(engine: Engine, timelines: Table, travellers: Table, rule: ForwardWindowRule) -> Table:
    """The days to try for each element of the chain: its own, or of a missing crossing all that can differ.

    early_day and late_day bound the day of the element; threshold_days and spare_days are V and W − V from the day
    tried; end_day is where its window or the observation ends.
    """
    months = rule.threshold.value, rule.window.value
    return engine.step(
        "residence_tries",
        f"""
        WITH ranges AS (
            SELECT person_key, place, MIN(day) AS early_day, MAX(day) AS late_day
            FROM timelines WHERE is_in_chain GROUP BY person_key, place
        ), days AS (
            SELECT person_key, place, early_day, late_day, early_day AS day FROM ranges
            UNION
            SELECT person_key, place, early_day, late_day, late_day AS day FROM ranges
            UNION
            SELECT r.person_key, r.place, r.early_day, r.late_day, t.day
            FROM ranges r JOIN turns t ON t.day > r.early_day AND t.day < r.late_day
            WHERE r.late_day > r.early_day + 1
        ), ends AS (
            SELECT *, {_later(months[0])} AS reached_day, {_later(months[1])} AS window_day FROM days
        )
        SELECT e.person_key, e.place, e.place * {_PLACE} + e.day AS probe, e.early_day, e.late_day, e.day,
               e.reached_day - e.day AS threshold_days, e.window_day - e.reached_day AS spare_days,
               LEAST(e.window_day, t.observed_day) AS end_day
        FROM ends e JOIN travellers t ON t.person_key = e.person_key
        """,
        timelines=timelines,
        travellers=travellers,
        turns=engine.frame("residence_turns", _list_turns(*months)),
    )


def _list_turns(threshold: int, window: int) -> pl.DataFrame:
    """The days whose threshold or window has another length than that of the day before or after."""
    day = pl.col("day")
    lengths = pl.struct(*((day.dt.offset_by(f"{n}mo") - day).alias(str(n)) for n in {threshold, window}))
    days = pl.select(day=pl.date_range(_FIRST, _LAST)).with_columns(lengths=lengths)
    is_turn = pl.any_horizontal(pl.col("lengths") != pl.col("lengths").shift(n) for n in (1, -1))
    return days.filter(is_turn).select(day=(day - pl.lit(_EPOCH)).dt.total_days())


def _later(months: int) -> str:
    """SQL for the same day so many months later, or that month's last day."""
    return day_number(f"CAST({as_date('day')} + INTERVAL {months} MONTH AS DATE)")


def _count(engine: Engine, timelines: Table, tries: Table) -> Table:
    """Each try on both timelines: the days in the new and the old state, and nth_total, the total of `_find_nth_days`.

    Until late_day, the day of the next crossing, a missing one has led to the new state; what is tried moves only the
    day from which.
    """
    probes = engine.view(
        "residence_try_ends",
        "SELECT person_key, probe, GREATEST(end_day, late_day) AS day FROM tries",
        tries=tries,
    )
    ahead = find_presence(engine, timelines, probes)
    return engine.step(
        "residence_tried",
        """
        WITH placed AS (
            SELECT r.*, e.timeline, e.position, e.is_arrival, e.is_implied, e.presence AS own_presence,
                   e.absence AS own_absence, e.is_arrival = (e.timeline = 'least') AS is_strict,
                   e.presence + CASE WHEN e.is_arrival THEN r.late_day - e.day ELSE 0 END AS presence,
                   e.absence + CASE WHEN e.is_arrival THEN 0 ELSE r.late_day - e.day END AS absence
            FROM tries r JOIN timelines e ON e.person_key = r.person_key AND e.place = r.place AND NOT e.is_virtual
        ), sums AS (
            SELECT p.*, LEAST(p.late_day, p.end_day) - p.day
                   + CASE WHEN p.is_arrival THEN a.presence - p.presence
                          ELSE a.day - a.presence - p.absence END AS new_days
            FROM placed p
            JOIN ahead a ON a.person_key = p.person_key AND a.timeline = p.timeline AND a.probe = p.probe
        )
        SELECT *, end_day - day - new_days AS old_days,
               CASE WHEN timeline = 'least' THEN presence ELSE absence END
               + CASE WHEN is_strict THEN threshold_days - (late_day - day) - 1 ELSE spare_days END AS nth_total
        FROM sums
        """,
        tries=tries,
        timelines=timelines,
        ahead=ahead,
    )


def _find_nth_days(engine: Engine, timelines: Table, counted: Table) -> Table:
    """Each try with the day on which it is decided: where the threshold, or what it leaves of the window, is reached.

    `nth_day` is a day in the state that is least on its timeline: the new one where the timeline speaks against it, and
    then the day after, by which the days reach the threshold; else the old one.
    """
    return engine.step(
        "residence_counted",
        """
        WITH points AS (
            SELECT person_key, timeline, CASE timeline WHEN 'least' THEN presence ELSE absence END AS total,
                   CASE timeline WHEN 'least' THEN absence ELSE presence END AS other, CAST(NULL AS BIGINT) AS probe,
                   FALSE AS is_probe
            FROM timelines
            UNION ALL
            SELECT person_key, timeline, nth_total, NULL, probe, TRUE FROM counted
        ), found AS (
            SELECT person_key, timeline, probe,
                   total + MAX(other) OVER (PARTITION BY person_key, timeline ORDER BY total, is_probe
                                            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS nth_day
            FROM points
        )
        SELECT c.*, CASE WHEN NOT c.is_strict THEN f.nth_day
                         WHEN c.threshold_days <= c.late_day - c.day THEN c.day + c.threshold_days
                         ELSE f.nth_day + 1 END AS nth_day
        FROM counted c
        JOIN found f ON f.person_key = c.person_key AND f.timeline = c.timeline AND f.probe = c.probe
        """,
        timelines=timelines,
        counted=counted,
    )


# What holds on some day tried can hold; a day by which something is known is the latest of all.
_DECISIONS = f"""
    WITH tried AS (
        SELECT c.*, t.initial_status, t.death_day,
               CASE WHEN NOT t.is_window_cut THEN c.old_days <= c.spare_days
                    ELSE c.new_days >= c.threshold_days END AS can_flip,
               CASE WHEN t.is_window_cut AND c.old_days <= c.spare_days THEN t.death_day ELSE c.nth_day END
                   AS refused_day
        FROM counted c JOIN travellers t ON t.person_key = c.person_key
    ), possible AS (
        SELECT person_key, position, place, is_arrival, is_implied, early_day AS day, late_day, initial_status,
               death_day,
               MAX(CASE WHEN timeline = 'most' THEN own_presence END) AS presence_max,
               MAX(CASE WHEN timeline = 'least' THEN own_absence END) AS absence_min,
               BOOL_OR(is_strict AND new_days < threshold_days) AS can_stay,
               BOOL_OR(NOT is_strict AND can_flip) AS can_flip,
               MAX(CASE WHEN is_strict THEN nth_day END) AS migrated_day,
               MAX(CASE WHEN NOT is_strict THEN refused_day END) AS stayed_day,
               MAX(CASE WHEN timeline = 'least' THEN CASE WHEN is_arrival THEN new_days ELSE old_days END END)
                   AS present_min,
               MAX(CASE WHEN timeline = 'most' THEN CASE WHEN is_arrival THEN new_days ELSE old_days END END)
                   AS present_max,
               MIN(end_day - day) AS observed_min
        FROM tried
        GROUP BY person_key, position, place, is_arrival, is_implied, early_day, late_day, initial_status, death_day
    )
    SELECT person_key, position, place, is_arrival, is_implied, day, late_day, presence_max, absence_min,
           initial_status, can_flip, can_flip AND NOT can_stay AS is_reset, can_flip AND can_stay AS is_open,
           LEAST(CASE WHEN can_flip THEN migrated_day ELSE stayed_day END, COALESCE(death_day, {FOREVER})) AS sure_day,
           present_min, present_max, observed_min
    FROM possible
    """
