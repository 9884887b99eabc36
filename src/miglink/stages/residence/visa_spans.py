"""Residence by visa spans: from the first arrival to the last departure while visas or permits follow each other."""

from dataclasses import dataclass

from miglink.config.rules import VisaSpanRule
from miglink.config.stages import Period
from miglink.engine import Engine, Table
from miglink.stages.residence.days import FOREVER, as_date, day_number


@dataclass(frozen=True)
class VisaQuestion:
    """A rule by visa spans, the period, and the times of visas and permits that are not for visits."""

    rule: VisaSpanRule
    period: Period
    visas: Table


def judge_visa_spans(
    engine: Engine, chain: Table, travellers: Table, question: VisaQuestion
) -> tuple[Table, Table, Table]:
    """Decide the statuses of some persons by their visa spans.

    Reads: chain of crossings, travellers, visas (person_key, from_day, until_day).
    Gives: the travellers with their first status, the days on which a status begins, and the changes.
    Units: days; 12 calendar months from the first arrival. A missing last departure is dated on the visa's last day.
    Errors: none.
    Source: ONS, first arrival last departure (FALD); the rule's own references.

    A visa time is one of visas that follow each other with no longer gap than is tolerated. Its span begins with the
    first arrival in it, or as many days before; for a resident at first whose visa is valid then, with the observation.
    It ends with the last departure in it, or with the visa if an arrival came last. While a further visa may follow
    the span is open: it is as long as it already is, and may grow. Whoever has no visa when observation begins, and
    whose first status nothing else tells, is non_resident. Who dies here is taken to have stayed to the visa's end.
    """
    last_day, gap = day_number(f"DATE '{question.period.to_date}'"), question.rule.tolerated_gap.value
    visas = engine.step(
        "residence_living_visas",
        f"""
        SELECT v.person_key, v.from_day, v.until_day
        FROM visas v JOIN travellers t ON t.person_key = v.person_key
        WHERE v.from_day <= LEAST({last_day}, COALESCE(t.death_day, {FOREVER})) AND v.until_day > v.from_day
        """,
        visas=question.visas,
        travellers=travellers,
    )
    corrected = _correct_first_statuses(engine, travellers, visas)
    times = _find_visa_times(engine, visas, gap)
    spans = _find_spans(engine, chain, corrected, times, (last_day, gap))
    dated = _date_spans(engine, spans, chain, visas)
    events = engine.step("residence_span_events", _events(last_day, gap), spans=dated)
    days = engine.view("residence_span_days", _DAYS, events=events)
    return corrected, days, engine.step("residence_span_moves", _MOVES, events=events)


def _correct_first_statuses(engine: Engine, travellers: Table, visas: Table) -> Table:
    """The travellers, non_resident where nothing tells their first status and no visa is valid on the first day."""
    is_told = "t.start <> 'observation' OR t.initial_status >= 0 OR v.person_key IS NOT NULL"
    return engine.step(
        "residence_span_starters",
        f"""
        SELECT t.person_key, t.from_day, t.death_day,
               CASE WHEN {is_told} THEN t.initial_status ELSE 0 END AS initial_status,
               CASE WHEN {is_told} THEN t.initial_basis ELSE 'no_visa' END AS initial_basis,
               CASE WHEN {is_told} THEN t.initial_final_day ELSE t.from_day END AS initial_final_day
        FROM travellers t
        LEFT JOIN (SELECT DISTINCT w.person_key FROM visas w JOIN travellers s ON s.person_key = w.person_key
                   WHERE w.from_day <= s.from_day + 1 AND w.until_day > s.from_day + 1) AS v
             ON v.person_key = t.person_key
        """,
        travellers=travellers,
        visas=visas,
    )


def _find_visa_times(engine: Engine, visas: Table, gap: int) -> Table:
    """The times during which visas follow each other: first_day up to but not on until_day."""
    order = "PARTITION BY person_key ORDER BY from_day, until_day ROWS BETWEEN UNBOUNDED PRECEDING AND"
    return engine.step(
        "residence_visa_times",
        f"""
        WITH neighbours AS (
            SELECT *, MAX(until_day) OVER ({order} 1 PRECEDING) AS earlier_day
            FROM visas
        ), numbered AS (
            SELECT *, SUM(CASE WHEN from_day - earlier_day <= {gap} THEN 0 ELSE 1 END) OVER ({order} CURRENT ROW) AS n
            FROM neighbours
        )
        SELECT person_key, n, MIN(from_day) AS first_day, MAX(until_day) AS until_day
        FROM numbered GROUP BY person_key, n
        """,
        visas=visas,
    )


def _find_spans(
    engine: Engine, chain: Table, travellers: Table, times: Table, known: tuple[str, int]
) -> Table:
    """The span of each visa time that has one: where it begins, its last crossing, and how long it is at least.

    began: already when observation did. least_day: the span ends no earlier. year_day: 12 months from its beginning.
    """
    last_day, gap = known
    year_day = day_number(f"CAST({as_date('span_day')} + INTERVAL 12 MONTH AS DATE)")
    return engine.step(
        "residence_spans",
        f"""
        WITH counted AS (
            SELECT t.person_key, w.n, w.first_day, w.until_day, t.from_day, t.death_day, t.initial_status,
                   t.initial_status = 1 AND w.first_day <= t.from_day + 1 AND w.until_day > t.from_day + 1 AS began,
                   MIN(CASE WHEN c.is_arrival THEN c.position END) AS arrival_position,
                   MIN(CASE WHEN c.is_arrival THEN c.day END) AS arrival_day,
                   MAX(2 * c.position + CASE WHEN c.is_arrival THEN 1 ELSE 0 END) AS last_code, MAX(c.day) AS last_day
            FROM times w
            JOIN travellers t ON t.person_key = w.person_key
            LEFT JOIN chain c ON c.person_key = w.person_key AND c.is_crossing
                 AND c.day >= w.first_day - {gap} AND c.day < w.until_day
            GROUP BY t.person_key, w.n, w.first_day, w.until_day, t.from_day, t.death_day, t.initial_status
        ), begun AS (
            SELECT *, CASE WHEN began THEN from_day ELSE arrival_day END AS span_day,
                   COALESCE(MOD(last_code, 2), 1) = 1 AS is_here,
                   until_day + {gap} > {last_day} AND death_day IS NULL AS is_open
            FROM counted WHERE began OR arrival_day IS NOT NULL
        ), measured AS (
            SELECT *, CASE WHEN began THEN from_day ELSE {year_day} END AS year_day,
                   CASE WHEN NOT is_here THEN last_day WHEN is_open THEN LEAST(until_day - 1, {last_day} + 1)
                        ELSE until_day - 1 END AS least_day
            FROM begun
        ), judged AS (
            SELECT *, least_day >= year_day AS is_long FROM measured
        )
        SELECT *,
               CASE WHEN MAX(CASE WHEN is_long THEN 1 ELSE 0 END)
                             OVER (PARTITION BY person_key ORDER BY n
                                   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) = 1
                    THEN 0 ELSE initial_status END AS status_before
        FROM judged
        """,
        chain=chain,
        travellers=travellers,
        times=times,
    )


def _date_spans(engine: Engine, spans: Table, chain: Table, visas: Table) -> Table:
    """The spans with the day on which a long one is known to be long, and that on which it is known to be over.

    It is long as soon as the person is here, or crosses, 12 months after its beginning or later, with a visa that
    reaches so far. (Two departures in a row show that the person was here between.)
    """
    return engine.step(
        "residence_spans_dated",
        """
        WITH seen AS (
            SELECT s.person_key, s.n,
                   MAX(CASE WHEN c.day < s.year_day THEN 2 * c.position + CASE WHEN c.is_arrival THEN 1 ELSE 0 END END)
                       AS code_before,
                   MIN(CASE WHEN c.day >= s.year_day THEN c.day END) AS later_day
            FROM spans s
            JOIN chain c ON c.person_key = s.person_key AND c.is_crossing
                 AND c.day >= s.span_day AND c.day < s.until_day
            GROUP BY s.person_key, s.n
        ), permitted AS (
            SELECT s.person_key, s.n, MIN(v.from_day) AS visa_day
            FROM spans s
            JOIN visas v ON v.person_key = s.person_key AND v.until_day > s.year_day
                 AND v.from_day >= s.first_day AND v.from_day < s.until_day
            GROUP BY s.person_key, s.n
        )
        SELECT s.*, GREATEST(s.year_day - 1, v.visa_day,
                             CASE MOD(c.code_before, 2) WHEN 1 THEN s.year_day - 1 ELSE c.later_day END) AS long_day
        FROM spans s
        LEFT JOIN seen c ON c.person_key = s.person_key AND c.n = s.n
        LEFT JOIN permitted v ON v.person_key = s.person_key AND v.n = s.n
        """,
        spans=spans,
        chain=chain,
        visas=visas,
    )


def _events(last_day: str, gap: int) -> str:
    """SELECT for the changes: the first arrivals of long spans, or of those that may become long, and the ends.

    An end is known when no visa can prolong the span any more; before, who is away may come back, and who has no visa
    any more may get another.
    """
    return f"""
        WITH dated AS (
            SELECT *, COALESCE(death_day, {FOREVER}) AS gone_day FROM spans
        )
        SELECT person_key, arrival_position AS position, GREATEST(span_day, from_day + 1) AS day,
               TRUE AS is_arrival, FALSE AS is_implied, CASE WHEN is_long THEN 1 ELSE -1 END AS status,
               is_long AND status_before = 0 AS is_sure,
               CASE WHEN is_long THEN LEAST(long_day, gone_day) END AS final_day
        FROM dated WHERE NOT began AND status_before <> 1 AND (is_long OR is_open)
        UNION ALL
        SELECT person_key, COALESCE(CAST(FLOOR(last_code / 2.0) AS BIGINT), 1) AS position,
               GREATEST(least_day, from_day + 1) AS day, FALSE AS is_arrival, is_here AS is_implied,
               CASE WHEN is_open THEN -1 ELSE 0 END AS status, NOT is_open AS is_sure,
               CASE WHEN NOT is_open THEN LEAST(until_day + {gap}, gone_day) END AS final_day
        FROM dated
        WHERE is_long AND (NOT is_here OR (until_day - 1 <= {last_day} AND until_day - 1 < gone_day))"""


_DAYS = """
    SELECT person_key, day AS from_day, status, final_day AS status_final_day,
           CASE WHEN is_implied THEN 'implied_crossing' ELSE 'crossing' END AS basis
    FROM events
"""

_MOVES = """
    SELECT person_key, position, day AS event_day, day AS counted_day, is_arrival, is_implied,
           final_day AS status_final_day, CASE WHEN is_sure THEN 'migration' ELSE 'undetermined' END AS outcome,
           CASE WHEN is_sure THEN CAST(1 AS DOUBLE) END AS p_migration,
           CASE WHEN is_sure THEN final_day END AS migration_final_day
    FROM events
"""
