"""Timelines: each history as it was with the least and with the most presence, in full, for rules with long stays.

What lies after the end of observation is part of them: with the least presence everybody is away from then on, with
the most everybody is here. So what both timelines agree on is known, whatever is still to come. Who dies keeps the
state at death.
"""

from miglink.engine import Engine, Table
from miglink.stages.residence.days import FOREVER, as_date, day_number

# The column of the elements that holds the days of a timeline.
_DAYS = {"least": "day_min", "most": "day_max"}
# So many days are half of 12 months or more, in leap years as well; one more is always more than half.
_HALF_YEAR = 183
# Without a limit no stay in the old state is long.
UNLIMITED = 2 * FOREVER
_ROWS = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"


def find_timelines(
    engine: Engine,
    elements: Table,
    travellers: Table,
    tolerated_days: int,
    *,
    returns_at_death: bool = False,
    counts_exit_days: bool = False,
) -> Table:
    """Each element on both timelines (`least`, `most`), with the stay that it begins.

    Gives: end_day of the stay; is_long: it lasts more days than are tolerated; long_day: on which a long stay in the
        other state begins later (null: never); presence and absence: running totals at the element (only differences
        mean anything); n_before: 1 for whoever is present before the first element. is_virtual marks the end of
        observation.
    `returns_at_death`: an absence that death ends is no longer than until then.
    `counts_exit_days`: the day of an exit is one of presence too, and counted_day the day after; whoever leaves and
        comes back on one day has been here for that day, which the return counts.
    """
    is_counted = "NOT is_arrival AND NOT is_virtual AND end_day > day" if counts_exit_days else "FALSE"
    completed = engine.view(
        "residence_completed", _completed(returns_at_death), elements=elements, travellers=travellers
    )
    return engine.step(
        "residence_timelines",
        f"""
        WITH stays AS (
            SELECT *, LEAD(day, 1, {FOREVER}) OVER history AS end_day,
                   CASE WHEN FIRST_VALUE(is_arrival) OVER history THEN 0 ELSE 1 END AS n_before
            FROM completed
            WINDOW history AS (PARTITION BY person_key, timeline ORDER BY place)
        ), counted AS (
            SELECT *, CASE WHEN {is_counted} THEN day + 1 ELSE day END AS counted_day FROM stays
        ), totals AS (
            SELECT *, end_day - day > {tolerated_days} AS is_long,
                   CAST(counted_day * (n_before + SUM(CASE WHEN is_arrival THEN 1 ELSE -1 END) OVER so_far)
                        - SUM(CASE WHEN is_arrival THEN counted_day ELSE -counted_day END) OVER so_far AS BIGINT)
                       AS presence
            FROM counted
            WINDOW so_far AS (PARTITION BY person_key, timeline ORDER BY place {_ROWS})
        )
        SELECT person_key, timeline, position, place, is_arrival, is_implied, is_in_chain, is_virtual, day, end_day,
               counted_day, is_long, n_before, presence, counted_day - presence AS absence,
               CASE WHEN is_arrival THEN MIN(CASE WHEN is_long AND NOT is_arrival THEN day END) OVER later
                    ELSE MIN(CASE WHEN is_long AND is_arrival THEN day END) OVER later END AS long_day
        FROM totals
        WINDOW later AS (PARTITION BY person_key, timeline ORDER BY place
                         ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
        """,
        completed=completed,
    )


def find_presence(engine: Engine, timelines: Table, probes: Table) -> Table:
    """What both timelines say of given days.

    Reads: probes (person_key, probe, day), of persons who have elements.
    Gives: person_key, timeline, probe, day; presence: running total before the day; absent_until, present_until: the
        latest end of an absence (a presence) that began before the day; long_from, long_until: the latest beginning
        and end of a long absence that began before it.
    """
    # A probe comes before the elements of its day. They would add nothing to its presence, and did not begin before it.
    order = "PARTITION BY person_key, timeline ORDER BY day, is_element"
    return engine.step(
        "residence_presence",
        f"""
        WITH points AS (
            SELECT person_key, timeline, day, TRUE AS is_element, is_arrival, is_long, end_day, n_before,
                   CASE WHEN is_arrival THEN 1 ELSE -1 END AS sign, counted_day, CAST(NULL AS BIGINT) AS probe
            FROM timelines
            UNION ALL
            SELECT person_key, t.timeline, day, FALSE, NULL, NULL, NULL, NULL, 0, day, probe
            FROM probes CROSS JOIN (VALUES ('least'), ('most')) AS t(timeline)
        ), summed AS (
            SELECT *,
                   CAST(day * (MAX(n_before) OVER whole + SUM(sign) OVER earlier)
                        - SUM(sign * counted_day) OVER earlier AS BIGINT) AS presence,
                   MAX(CASE WHEN NOT is_arrival THEN end_day END) OVER earlier AS absent_until,
                   MAX(CASE WHEN is_arrival THEN end_day END) OVER earlier AS present_until,
                   MAX(CASE WHEN NOT is_arrival AND is_long THEN day END) OVER earlier AS long_from,
                   MAX(CASE WHEN NOT is_arrival AND is_long THEN end_day END) OVER earlier AS long_until
            FROM points
            WINDOW whole AS ({order} ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING),
                   earlier AS ({order} {_ROWS})
        )
        SELECT person_key, timeline, probe, day, presence, absent_until, present_until, long_from, long_until
        FROM summed WHERE probe IS NOT NULL
        """,
        timelines=timelines,
        probes=probes,
    )


def judge_stays(engine: Engine, timelines: Table, tolerated_days: int) -> Table:
    """Whether each element begins residence in its new state that lasts for 12 calendar months, on both timelines.

    is_lasting: more than half of [day, window_day) is spent in the new state, and no stay in the old one that begins
        then is long. lasting_day: the day on which that is known (the window is over, and so is a stay in the old
        state that reaches beyond it; where none can be long, so many days of it are spent in the new one). short_day:
        the day at whose end it is known not to be so.
    Gives also presence, absence, new_days, long_day (as in timelines).
    """
    lasting_day = "GREATEST(window_day, COALESCE(old_until, window_day))"
    if tolerated_days >= UNLIMITED:
        lasting_day = """CASE WHEN is_arrival AND window_day - day = 365 THEN present_half_day
                    WHEN is_arrival THEN present_more_day WHEN window_day - day = 365 THEN absent_half_day
                    ELSE absent_more_day END"""
    window_day = day_number(f"CAST({as_date('day')} + INTERVAL 12 MONTH AS DATE)")
    probes = engine.view(
        "residence_window_ends",
        f"""
        SELECT person_key, CASE timeline WHEN 'least' THEN 0 ELSE 1 END + 2 * place AS probe, {window_day} AS day
        FROM timelines WHERE NOT is_virtual
        """,
        timelines=timelines,
    )
    ends = find_presence(engine, timelines, probes)
    return engine.step(
        "residence_stays_judged",
        f"""
        WITH reached AS (
            SELECT *, {_nth_day("absence", "presence", _HALF_YEAR)} AS absent_half_day,
                   {_nth_day("absence", "presence", _HALF_YEAR + 1)} AS absent_more_day,
                   {_nth_day("presence", "absence", _HALF_YEAR)} AS present_half_day,
                   {_nth_day("presence", "absence", _HALF_YEAR + 1)} AS present_more_day
            FROM timelines
        ), windows AS (
            SELECT r.*, e.day AS window_day,
                   CASE WHEN r.is_arrival THEN e.presence - r.presence
                        ELSE e.day - r.day - (e.presence - r.presence) END AS new_days,
                   CASE WHEN r.is_arrival THEN e.absent_until ELSE e.present_until END AS old_until
            FROM reached r
            JOIN ends e ON e.person_key = r.person_key AND e.timeline = r.timeline
                 AND e.probe = CASE r.timeline WHEN 'least' THEN 0 ELSE 1 END + 2 * r.place
            WHERE NOT r.is_virtual
        ), judged AS (
            SELECT *, 2 * new_days > window_day - day AS is_most,
                   COALESCE(long_day < window_day, FALSE) AS is_broken
            FROM windows
        )
        SELECT person_key, timeline, position, place, is_arrival, is_implied, is_in_chain, day, window_day, presence,
               absence, new_days, long_day, is_most AND NOT is_broken AS is_lasting,
               {lasting_day} AS lasting_day,
               LEAST(CASE WHEN is_broken THEN long_day + {tolerated_days} ELSE {FOREVER} END,
                     CASE WHEN is_most THEN {FOREVER} WHEN is_arrival THEN absent_half_day
                          ELSE present_half_day END) AS short_day
        FROM judged
        """,
        timelines=timelines,
        ends=ends,
    )


def _completed(returns_at_death: bool) -> str:
    """SELECT for the elements of both timelines, and what the end of observation (or death) adds to them."""
    parts = []
    for timeline, column in _DAYS.items():
        ended = "NOT is_arrival" if timeline == "most" else "is_arrival"
        is_ended = f"death_day IS NULL AND {ended}"
        if returns_at_death:
            is_ended += " OR death_day IS NOT NULL AND NOT is_arrival"
        parts.append(f"""
        SELECT person_key, '{timeline}' AS timeline, position, place, is_arrival, is_implied, is_in_chain,
               FALSE AS is_virtual, {column} AS day
        FROM elements
        UNION ALL
        SELECT person_key, '{timeline}' AS timeline, position, place + 2 AS place, NOT is_arrival AS is_arrival,
               FALSE AS is_implied, FALSE AS is_in_chain, TRUE AS is_virtual,
               GREATEST({column}, COALESCE(death_day, observed_day)) AS day
        FROM lasts WHERE {is_ended}""")
    return f"""
        WITH numbered AS (
            SELECT e.*, t.death_day, t.observed_day,
                   ROW_NUMBER() OVER (PARTITION BY e.person_key ORDER BY e.place DESC) AS nth_last
            FROM elements e JOIN travellers t ON t.person_key = e.person_key
        ), lasts AS (SELECT * FROM numbered WHERE nth_last = 1)
        {" UNION ALL ".join(parts)}"""


def _nth_day(total: str, other: str, n_days: int) -> str:
    """SQL for the day in a state with which so many days from an element on are spent in it.

    The k-th day in the state from an element on is k − 1 days of that state further, plus the days in the other
    state until then: the most among the elements that come no later.
    """
    return f"""{total} + {n_days - 1} + MAX({other}) OVER (
                       PARTITION BY person_key, timeline ORDER BY {total}
                       RANGE BETWEEN UNBOUNDED PRECEDING AND {n_days - 1} FOLLOWING)"""
