"""Days of presence around every element, counted on two timelines: with the least and the most presence.

Presence before day t is t × (b + Σ sign) − Σ sign × day over the elements up to t, with b = 1 for whoever is present
at first, sign +1 for an arrival and −1 for a departure: running sums answer any count of days, without a join.
"""

from miglink.config.rules import ForwardWindowRule
from miglink.engine import Engine, Table

# SQL computes with whole days since this one.
_EPOCH = "DATE '1900-01-01'"
# No observation reaches this day: the end of what lasts, and the final day of what later crossings can overturn.
FOREVER = 1_000_000


def day_number(date: str) -> str:
    """SQL for a date as a number of days."""
    return f"CAST(date_diff('day', {_EPOCH}, {date}) AS BIGINT)"


def as_date(day: str) -> str:
    """SQL for the date of a number of days."""
    return f"CAST({_EPOCH} + CAST({day} AS INTEGER) AS DATE)"


def as_final_date(day: str) -> str:
    """SQL for the date of a final day; null where later crossings can still overturn what it is the day of."""
    return f"CASE WHEN ({day}) < {FOREVER} THEN {as_date(day)} END"


def count_days(engine: Engine, elements: Table, travellers: Table, rule: ForwardWindowRule) -> Table:
    """Count for each element the days present before it and in the window from it, on both timelines.

    `presence_*` and `absence_*` are running totals at the element (only differences mean anything), `observed_*` the
    days of the window that are observed, `present_*` those of them spent in the country.
    """
    window = rule.window.value
    return engine.step(
        "residence_days",
        f"""
        WITH sums AS (
            SELECT e.*, LEAST(e.day_min + {window}, t.observed_day) AS end_min,
                   LEAST(e.day_max + {window}, t.observed_day) AS end_max,
                   CASE WHEN FIRST_VALUE(e.is_arrival) OVER (PARTITION BY e.person_key ORDER BY e.place)
                        THEN 0 ELSE 1 END AS n_before,
                   {_sums("min", "here")}, {_sums("min", "ahead")},
                   {_sums("max", "here")}, {_sums("max", "ahead")}
            FROM elements e JOIN travellers t ON t.person_key = e.person_key
            WINDOW {_frames("min", rule)}, {_frames("max", rule)}
        ), totals AS (
            SELECT person_key, position, place, is_arrival, is_implied, is_in_chain, day_min, day_max,
                   end_min, end_max,
                   {_presence("day_min", "min", "here")} AS presence_min,
                   {_presence("day_max", "max", "here")} AS presence_max,
                   {_presence("end_min", "min", "ahead")} AS ahead_min,
                   {_presence("end_max", "max", "ahead")} AS ahead_max
            FROM sums
        )
        SELECT person_key, position, place, is_arrival, is_implied, is_in_chain, day_min, day_max,
               presence_min, day_min - presence_min AS absence_min, ahead_min - presence_min AS present_min,
               end_min - day_min AS observed_min,
               presence_max, day_max - presence_max AS absence_max, ahead_max - presence_max AS present_max,
               end_max - day_max AS observed_max
        FROM totals
        """,
        elements=elements,
        travellers=travellers,
    )


def find_decisive_days(engine: Engine, counts: Table, rule: ForwardWindowRule) -> Table:
    """The elements of the state chain, each with the days on which it is decided at the latest.

    The k-th day of presence from an element on is q = presence_min + k − 1 days of presence away from the start of
    counting, plus the most absence_min among the elements with at most q days of presence before them, for both
    totals only ever grow. Likewise for absence. A decision is sure when it holds in the least favourable case, so
    presence is looked up where it is least, absence where presence is most.
    `migrated_day`: the days in the new state before this one reach the threshold. `stayed_day`: the day in the old
    state that leaves too few for the threshold. They mean something only where the counts say that it comes to that.
    """
    threshold, spare = rule.threshold.value, rule.window.value - rule.threshold.value
    return engine.step(
        "residence_decisive_days",
        f"""
        WITH reached AS (
            SELECT *,
                   presence_min + {threshold} + MAX(absence_min) OVER (
                       PARTITION BY person_key ORDER BY presence_min
                       RANGE BETWEEN UNBOUNDED PRECEDING AND {threshold - 1} FOLLOWING) AS presence_long,
                   presence_min + {spare} + MAX(absence_min) OVER (
                       PARTITION BY person_key ORDER BY presence_min
                       RANGE BETWEEN UNBOUNDED PRECEDING AND {spare} FOLLOWING) AS presence_short,
                   absence_max + {threshold} + MAX(presence_max) OVER (
                       PARTITION BY person_key ORDER BY absence_max
                       RANGE BETWEEN UNBOUNDED PRECEDING AND {threshold - 1} FOLLOWING) AS absence_long,
                   absence_max + {spare} + MAX(presence_max) OVER (
                       PARTITION BY person_key ORDER BY absence_max
                       RANGE BETWEEN UNBOUNDED PRECEDING AND {spare} FOLLOWING) AS absence_short
            FROM counts
        )
        SELECT person_key, position, place, is_arrival, is_implied,
               LEAST(day_min, day_max) AS day, GREATEST(day_min, day_max) AS late_day,
               presence_max, absence_min, present_min, present_max, observed_min, observed_max,
               CASE WHEN is_arrival THEN presence_long ELSE absence_long END AS migrated_day,
               CASE WHEN is_arrival THEN absence_short ELSE presence_short END AS stayed_day
        FROM reached
        WHERE is_in_chain
        """,
        counts=counts,
    )


def _frames(timeline: str, rule: ForwardWindowRule) -> str:
    """SQL for the elements up to the day of each element, and up to its window's end."""
    order = f"PARTITION BY e.person_key ORDER BY e.day_{timeline} RANGE BETWEEN UNBOUNDED PRECEDING"
    return f"""here_{timeline} AS ({order} AND CURRENT ROW),
                   ahead_{timeline} AS ({order} AND {rule.window.value} FOLLOWING)"""


def _sums(timeline: str, frame: str) -> str:
    """SQL for the running sums of signs and of signed days."""
    sign, over = "CASE WHEN e.is_arrival THEN 1 ELSE -1 END", f"OVER {frame}_{timeline}"
    return f"""CAST(SUM({sign}) {over} AS BIGINT) AS n_{frame}_{timeline},
                   CAST(SUM({sign} * e.day_{timeline}) {over} AS BIGINT) AS days_{frame}_{timeline}"""


def _presence(day: str, timeline: str, frame: str) -> str:
    """SQL for the days of presence before a day."""
    return f"{day} * (n_before + n_{frame}_{timeline}) - days_{frame}_{timeline}"
