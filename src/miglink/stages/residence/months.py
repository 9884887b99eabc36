"""Forward rules in calendar months: a crossing is a migration if the new stay lasts, short trips away tolerated."""

from miglink.config.rules import ForwardMonthsRule
from miglink.engine import Engine, Table
from miglink.stages.residence.days import FOREVER
from miglink.stages.residence.timelines import find_timelines, judge_stays

# Who goes and comes back on one day cannot have migrated both ways; every longer stay may be the first of many.
LEAST_STAY = 1


def decide_by_months(
    engine: Engine, elements: Table, travellers: Table, expectations: Table | None, rule: ForwardMonthsRule
) -> tuple[Table, Table]:
    """Decide for each element whether it can be a migration, and must be one, for somebody in the state that fits it.

    Reads: elements of the chain, travellers; expectations (person_key, from_day, until_day) of permits and visas.
    Gives: what `settle` reads; and the days counted in each window, as `count_days` of a window rule gives them.
    Units: the day of entry counts, the day of exit does not. A window reaches to the same day of the next year; from
        29 February to 28 February.
    Source: UN Recommendations on Statistics of International Migration, Revision 1 (1998); Reg. (EC) 862/2007.

    An unfinished arrival of somebody who is here at the end of observation, with a permit or visa that covers the
    window, is a migration, and an unfinished departure is none if the stay after the return is expected to be long.
    Both can be overturned, so they are never final.
    """
    tolerated = rule.tolerated_absence.value
    timelines = find_timelines(engine, elements, travellers, tolerated)
    judged = judge_stays(engine, timelines, tolerated)
    both = _put_side_by_side(engine, judged, travellers)
    if expectations is None or rule.expected_stay == "ignored":
        expected = (
            "CAST(NULL AS BIGINT) AS arrived_day, CAST(NULL AS BIGINT) AS expected_day FROM both_timelines b"
        )
        tables = {"both_timelines": both, "travellers": travellers}
    else:
        expected = """x.arrived_day, x.expected_day
            FROM both_timelines b LEFT JOIN expected x ON x.person_key = b.person_key"""
        tables = {"both_timelines": both, "travellers": travellers}
        tables["expected"] = _find_expected(engine, elements, travellers, expectations)
    decided = engine.step("residence_decided", _decisions(expected, tolerated), **tables)
    return decided, both


def _put_side_by_side(engine: Engine, judged: Table, travellers: Table) -> Table:
    """One row for each element: its case for and against on the timelines of least and most presence."""
    columns = (
        "day",
        "window_day",
        "presence",
        "absence",
        "new_days",
        "long_day",
        "is_lasting",
        "lasting_day",
        "short_day",
    )
    sides = ", ".join(f"{s}.{c} AS {s}_{c}" for s in ("least", "most") for c in columns)
    return engine.step(
        "residence_both_timelines",
        f"""
        SELECT least.person_key, least.position, least.place, least.is_arrival, least.is_implied, least.is_in_chain,
               {sides},
               CASE WHEN least.is_arrival THEN least.new_days
                    ELSE least.window_day - least.day - least.new_days END AS present_min,
               -- The timeline of most presence goes on after the end of observation.
               CASE WHEN most.is_arrival THEN most.new_days ELSE most.window_day - most.day - most.new_days END
               - GREATEST(0, most.window_day - t.observed_day) AS present_max,
               LEAST(least.window_day, t.observed_day) - least.day AS observed_min
        FROM judged least
        JOIN travellers t ON t.person_key = least.person_key
        JOIN judged most ON most.person_key = least.person_key AND most.place = least.place AND most.timeline = 'most'
        WHERE least.timeline = 'least'
        """,
        judged=judged,
        travellers=travellers,
    )


def _find_expected(engine: Engine, elements: Table, travellers: Table, expectations: Table) -> Table:
    """Who is here at the end of observation: since when, and until when permits and visas let expect it."""
    return engine.step(
        "residence_expected",
        """
        WITH numbered AS (
            SELECT e.person_key, e.is_arrival AND NOT e.is_implied AS is_here, e.day_min AS arrived_day, t.observed_day,
                   ROW_NUMBER() OVER (PARTITION BY e.person_key ORDER BY e.place DESC) AS nth_last
            FROM elements e JOIN travellers t ON t.person_key = e.person_key
            WHERE t.death_day IS NULL
        )
        SELECT n.person_key, n.arrived_day, MAX(x.until_day) AS expected_day
        FROM numbered n
        JOIN expectations x ON x.person_key = n.person_key AND x.from_day < n.observed_day
             AND x.until_day > n.observed_day
        WHERE n.nth_last = 1 AND n.is_here
        GROUP BY n.person_key, n.arrived_day
        """,
        elements=elements,
        travellers=travellers,
        expectations=expectations,
    )


def _decisions(expected: str, tolerated_days: int) -> str:
    """SELECT for what `settle` reads, from the case most favourable to the new state and the strictest one."""
    favourable = "CASE WHEN is_arrival THEN most_{0} ELSE least_{0} END"
    strict = "CASE WHEN is_arrival THEN least_{0} ELSE most_{0} END"
    return f"""
        WITH cases AS (
            SELECT b.*, {expected}
        ), possible AS (
            SELECT c.*, t.initial_status, t.death_day, t.observed_day,
                   {favourable.format("is_lasting")} AS can_be, {strict.format("is_lasting")} AS must_be,
                   {strict.format("lasting_day")} AS sure_lasting_day,
                   {favourable.format("short_day")} AS sure_short_day
            FROM cases c JOIN travellers t ON t.person_key = c.person_key
            WHERE c.is_in_chain
        ), judged AS (
            SELECT *, can_be AND NOT must_be AS is_unsure,
                   -- Nothing but the days to come speaks against the arrival, and a permit or visa covers them.
                   is_arrival AND can_be AND NOT must_be AND expected_day >= least_window_day
                   AND least_window_day > observed_day AND COALESCE(least_long_day >= observed_day, TRUE)
                   AND 2 * (least_new_days + least_window_day - observed_day) > least_window_day - least_day
                       AS is_expected_to_stay,
                   -- Whoever left is back within the window, for a stay that is expected to be a long one.
                   NOT is_arrival AND can_be AND NOT must_be AND least_day <= arrived_day
                   AND arrived_day < least_window_day AND expected_day - arrived_day > {tolerated_days}
                       AS is_expected_back
            FROM possible
        ), sure AS (
            SELECT *, COALESCE(is_expected_to_stay, FALSE) AS stays, COALESCE(is_expected_back, FALSE) AS is_back
            FROM judged
        )
        SELECT person_key, position, place, is_arrival, is_implied, LEAST(least_day, most_day) AS day,
               GREATEST(least_day, most_day) AS late_day, most_presence AS presence_max,
               least_absence AS absence_min, initial_status, can_be AND NOT is_back AS can_flip,
               must_be OR stays AS is_reset, is_unsure AND NOT stays AND NOT is_back AS is_open,
               CASE WHEN stays OR is_back THEN {FOREVER}
                    ELSE LEAST(CASE WHEN can_be THEN sure_lasting_day ELSE sure_short_day END,
                               COALESCE(death_day, {FOREVER})) END AS sure_day
        FROM sure
        """
