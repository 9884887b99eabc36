"""A residence rule alone: crossings that carry a person_id are classified under one rule and one policy."""

from datetime import date

from miglink.config.rules import ForwardMonthsRule, ForwardWindowRule, MissingCrossings
from miglink.engine import Engine, Table
from miglink.engine.duckdb_engine import DuckDBEngine
from miglink.stages.residence.calendar_windows import decide_by_calendar
from miglink.stages.residence.days import as_final_date, count_days, day_number, find_decisive_days
from miglink.stages.residence.elements import Placement, find_elements
from miglink.stages.residence.kernel.tables import decide_table, settle_table
from miglink.stages.residence.months import LEAST_STAY, decide_by_months
from miglink.stages.residence.settlement import decide_by_days, settle

# The rules that decide crossing by crossing, so that a migration has a day of its own.
ForwardRule = ForwardWindowRule | ForwardMonthsRule


def classify(
    engine: Engine,
    crossings: Table,
    rule: ForwardRule,
    policy: MissingCrossings,
    observed_from: date | None = None,
    observed_to: date | None = None,
) -> Table:
    """Decide for each crossing whether it is a migration, and the status before and after it.

    Reads: crossings as `order_crossings` of stage spells gives them (crossing_id, person_key, crossed_date,
        direction, sequence, initial_status). initial_status: resident or non_resident; anything else is unknown,
        and then inferred from the first crossing if that lies at least the rule's threshold (or 12 months) after
        observed_from.
    Gives: a scratch table with crossing_id, status_before, status_after, is_migration (null: undetermined),
        status_final_date, migration_final_date; present_days_least, present_days_most and observed_days of the
        window; is_rejected (the person is left unclassified under `reject_person`).
    Units: dates are local days. Crossings dated observed_to are known, days are counted up to but not including
        it; default: the day of the last crossing of the table. Later crossings are undetermined.
    Errors: none.
    Source: StatisticsNZ migrbc 2.0.9 and migstat 1.0.6; the rule's own references.

    One kind of news can unsettle a settled status: a later crossing in the same direction as the last one, which
    shows that one between them is missing.
    """
    chain = _find_chain(engine, crossings, observed_to)
    travellers = _find_travellers(engine, chain, rule, observed_from)
    settled, counts = settle_chain(engine, chain, travellers, rule, policy)
    return engine.step(
        f"residence_classified_{policy}",
        f"""
        WITH rejected AS (
            SELECT DISTINCT person_key FROM chain WHERE gap_day IS NOT NULL AND {policy == "reject_person"}
        ), results AS (
            SELECT c.crossing_id, c.day, r.person_key IS NOT NULL AS is_rejected, t.initial_status,
                   s.status_before, s.status_after, s.is_migration, s.status_final_day, s.migration_final_day,
                   d.present_min, d.present_max, d.observed_min
            FROM chain c JOIN travellers t ON t.person_key = c.person_key
            LEFT JOIN rejected r ON r.person_key = c.person_key
            LEFT JOIN settled s ON s.person_key = c.person_key AND s.place = 2 * c.position
            LEFT JOIN counts d ON d.person_key = c.person_key AND d.place = 2 * c.position
        )
        SELECT crossing_id,
               {status_word(_unless_rejected("status_before", "initial_status"))} AS status_before,
               {status_word(_unless_rejected("status_after", "initial_status"))} AS status_after,
               {_unless_rejected("is_migration", "FALSE")} AS is_migration,
               {as_final_date(_unless_rejected("status_final_day", "day"))} AS status_final_date,
               {as_final_date(_unless_rejected("migration_final_day", "day"))} AS migration_final_date,
               CAST(present_min AS INTEGER) AS present_days_least,
               CAST(present_max AS INTEGER) AS present_days_most,
               CAST(observed_min AS INTEGER) AS observed_days, is_rejected
        FROM results
        """,
        chain=chain,
        travellers=travellers,
        settled=settled,
        counts=counts,
    )


def settle_chain(
    engine: Engine,
    chain: Table,
    travellers: Table,
    rule: ForwardRule,
    policy: MissingCrossings,
    expectations: Table | None = None,
) -> tuple[Table, Table]:
    """Statuses of a chain of crossings under one rule and policy, and the counts of days they rest on.

    A forward-window rule has two bodies, of equal rows: arrays where the engine computes in this process, which is many
    times as fast, and SQL where it does not. A rule in calendar months has SQL alone: its windows differ in length, and
    what it looks up in them are stays, not days. So has the policy visa_end, which looks up visas.
    """
    has_kernel = isinstance(rule, ForwardWindowRule) and rule.window.unit == "days" and policy != "visa_end"
    if isinstance(rule, ForwardWindowRule) and has_kernel and computes_here(engine):
        table = settle_table(engine, chain, travellers, rule, policy)
        return table, table
    elements = find_elements(engine, chain, policy)
    if isinstance(rule, ForwardMonthsRule):
        decided, counts = decide_by_months(engine, elements, travellers, expectations, rule)
        return settle(engine, decided, LEAST_STAY), counts
    if rule.window.unit == "months":
        decided, counts = decide_by_calendar(engine, elements, travellers, rule)
        return settle(engine, decided, rule.least_stay_days), counts
    counts = count_days(engine, elements, travellers, rule)
    decided = decide_by_days(engine, find_decisive_days(engine, counts, rule), travellers, rule)
    return settle(engine, decided, rule.least_stay_days), counts


def decide_chain(
    engine: Engine,
    chain: Table,
    travellers: Table,
    rule: ForwardRule,
    policy: Placement,
    expectations: Table | None = None,
) -> Table:
    """Whether each element by itself is a migration for whom it fits (is_reset), may yet become one (is_open), or not.

    Gives: person_key, position, place, is_arrival, is_implied, day, is_reset, is_open, and of its window the days
    observed and those of them in the country (present_days, observed_days), at least. One table, of one name.
    """
    has_kernel = isinstance(rule, ForwardWindowRule) and rule.window.unit == "days" and policy != "visa_end"
    if isinstance(rule, ForwardWindowRule) and has_kernel and computes_here(engine):
        return decide_table(engine, chain, travellers, rule, policy)
    elements = find_elements(engine, chain, policy)
    if isinstance(rule, ForwardMonthsRule):
        decided, counts = decide_by_months(engine, elements, travellers, expectations, rule)
    elif rule.window.unit == "months":
        decided, counts = decide_by_calendar(engine, elements, travellers, rule)
    else:
        counts = count_days(engine, elements, travellers, rule)
        decided = decide_by_days(engine, find_decisive_days(engine, counts, rule), travellers, rule)
    return engine.step(
        "residence_decided_alone",
        """
        SELECT d.person_key, d.position, d.place, d.is_arrival, d.is_implied, d.day, d.is_reset, d.is_open,
               c.present_min AS present_days, c.observed_min AS observed_days
        FROM decided d JOIN counts c ON c.person_key = d.person_key AND c.place = d.place
        """,
        decided=decided,
        counts=counts,
    )


def computes_here(engine: Engine) -> bool:
    """Whether rows of an engine's tables are at hand in this process."""
    return isinstance(engine, DuckDBEngine)


def status_word(code: str) -> str:
    """SQL for the word of a state: 1 resident, 0 non_resident, else undetermined."""
    return f"CASE {code} WHEN 1 THEN 'resident' WHEN 0 THEN 'non_resident' ELSE 'undetermined' END"


def _find_chain(engine: Engine, crossings: Table, observed_to: date | None) -> Table:
    """The crossings, each with the day of the next where that has the same direction: one between is missing."""
    end = f"DATE '{observed_to}'" if observed_to else "(SELECT MAX(crossed_date) FROM crossings)"
    return engine.step(
        "residence_chain",
        f"""
        WITH known AS (
            SELECT crossing_id, person_key, CAST(sequence AS BIGINT) AS position,
                   direction = 'arrival' AS is_arrival, {day_number("crossed_date")} AS day,
                   crossed_date <= {end} AS is_observed, {day_number(end)} AS observed_day,
                   CASE initial_status WHEN 'resident' THEN 1 WHEN 'non_resident' THEN 0 ELSE -1 END
                       AS given_status
            FROM crossings
        )
        SELECT crossing_id, person_key, position, is_arrival, day, is_observed, is_observed AS is_crossing,
               observed_day, given_status,
               CASE WHEN LEAD(is_observed) OVER history AND LEAD(is_arrival) OVER history = is_arrival
                    THEN LEAD(day) OVER history END AS gap_day,
               CAST(NULL AS BIGINT) AS likely_day, FALSE AS is_by_evidence
        FROM known
        WINDOW history AS (PARTITION BY person_key ORDER BY position)
        """,
        crossings=crossings,
    )


def _find_travellers(engine: Engine, chain: Table, rule: ForwardRule, observed_from: date | None) -> Table:
    """One row for each person: the initial status, and until when days are observed."""
    start = day_number(f"DATE '{observed_from}'") if observed_from else "NULL"
    return engine.step(
        "residence_travellers",
        f"""
        WITH firsts AS (
            SELECT person_key, MAX(observed_day) AS observed_day, MAX(given_status) AS given_status,
                   MIN(CASE WHEN given_status >= 0 THEN given_status END) AS least_status,
                   MIN(CASE WHEN is_observed THEN 2 * position + CASE WHEN is_arrival THEN 1 ELSE 0 END END)
                       AS first_code,
                   MIN(CASE WHEN is_observed THEN day END) AS first_day
            FROM chain
            GROUP BY person_key
        )
        SELECT person_key, observed_day,
               CASE WHEN least_status <> given_status THEN -1
                    WHEN given_status >= 0 THEN given_status
                    WHEN first_day - {start} >= {rule.settling_days} THEN 1 - MOD(first_code, 2)
                    ELSE -1 END AS initial_status,
               CAST(NULL AS BIGINT) AS death_day, FALSE AS is_window_cut
        FROM firsts
        """,
        chain=chain,
    )


def _unless_rejected(value: str, otherwise: str) -> str:
    """SQL for a result, or for what migrbc gives to persons it rejects."""
    return f"CASE WHEN is_rejected THEN {otherwise} ELSE {value} END"
