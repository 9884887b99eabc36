"""From days to statuses: which crossings are migrations, which state holds after each, and when that is final.

Each element is a function on sets of states. One that has what makes a migration gives one state whatever came before
(a reset); one that is sure to lack it changes nothing; an undecided one adds the other state where it fits. So the
set after an element is the state of the last reset, or both once an undecided element has fitted since: no recursion.

In SQL a state is 1 (resident), 0 (non-resident) or −1 (both are possible).
"""

from miglink.config.rules import ForwardWindowRule
from miglink.engine import Engine, Table

_RUNNING = "PARTITION BY person_key ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"


def settle(engine: Engine, decided: Table, least_stay: int) -> Table:
    """Follow the states from element to element: status before and after, is_migration, and when these are final.

    Reads: decided (one row for each element of the chain, with whether it can be a migration, or must be one).
    Gives: a row for each element: status_before, status_after (1, 0, −1), is_migration (null: undetermined),
        status_final_day, migration_final_day.
    Units: days since the epoch of `days`.
    Source: StatisticsNZ migrbc 2.0.9 (final dates), migstat 1.0.6 (unknown status).

    least_stay: whoever comes back after fewer days cannot have migrated both ways. 2V − W in a window rule.
    """
    return _date(engine, _chain(engine, decided), least_stay)


def decide_by_days(engine: Engine, decisive_days: Table, travellers: Table, rule: ForwardWindowRule) -> Table:
    """Whether each element can be a migration, and can fail to be one, for somebody in the state that fits it."""
    threshold, spare = rule.threshold.value, rule.window.value - rule.threshold.value
    return engine.step(
        "residence_decided",
        f"""
        WITH evidence AS (
            SELECT d.*, t.initial_status, t.death_day, t.is_window_cut,
                   CASE WHEN is_arrival THEN present_min ELSE observed_max - present_max END AS new_least,
                   CASE WHEN is_arrival THEN present_max ELSE observed_min - present_min END AS new_most,
                   CASE WHEN is_arrival THEN observed_max - present_max ELSE present_min END AS old_least
            FROM decisive_days d JOIN travellers t ON t.person_key = d.person_key
        ), possible AS (
            -- Where death ends the window, the threshold is reached by then or never.
            SELECT *, new_least < {threshold} AS can_stay,
                   CASE WHEN is_window_cut THEN new_most >= {threshold} ELSE old_least <= {spare} END AS can_flip,
                   CASE WHEN is_window_cut AND old_least <= {spare} THEN death_day ELSE stayed_day END AS refused_day
            FROM evidence
        ), sure AS (
            SELECT *, CASE WHEN can_flip THEN migrated_day ELSE refused_day END AS decided_day FROM possible
        )
        SELECT person_key, position, place, is_arrival, is_implied, day, late_day, presence_max, absence_min,
               initial_status, can_flip, can_flip AND NOT can_stay AS is_reset, can_flip AND can_stay AS is_open,
               CASE WHEN decided_day > death_day THEN death_day ELSE decided_day END AS sure_day
        FROM sure
        """,
        decisive_days=decisive_days,
        travellers=travellers,
    )


def _chain(engine: Engine, decided: Table) -> Table:
    """The states before and after each element, and for an unknown state before it where the doubt began.

    `fork`: an undecided element that fits the state before it, from which on both states are possible.
    """
    return engine.step(
        "residence_chained",
        f"""
        WITH resets AS (
            SELECT *, MAX(CASE WHEN is_reset THEN 2 * place + CASE WHEN is_arrival THEN 1 ELSE 0 END END)
                          OVER ({_RUNNING}) AS reset_code
            FROM decided
        ), bases AS (
            SELECT *, COALESCE(MOD(reset_code, 2), initial_status) AS base,
                   is_open AND COALESCE(MOD(reset_code, 2), initial_status)
                               = CASE WHEN is_arrival THEN 0 ELSE 1 END AS is_fork
            FROM resets
        ), forks AS (
            SELECT *, MIN(CASE WHEN is_fork THEN presence_max END) OVER run AS fork_presence,
                   MIN(CASE WHEN is_fork THEN absence_min END) OVER run AS fork_absence
            FROM bases
            WINDOW run AS (PARTITION BY person_key, COALESCE(reset_code, -1) ORDER BY place
                           ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
        ), states AS (
            SELECT *, CASE WHEN fork_presence IS NULL THEN base ELSE -1 END AS status_after FROM forks
        )
        SELECT person_key, position, place, is_arrival, is_implied, day, late_day, can_flip, is_reset, sure_day,
               status_after, COALESCE(LAG(status_after) OVER history, initial_status) AS status_before,
               -- Days since the doubt began in the state that it may have led to, if this crossing leads back.
               CASE WHEN NOT is_arrival AND LAG(base) OVER history = 0
                    THEN presence_max - LAG(fork_presence) OVER history
                    WHEN is_arrival AND LAG(base) OVER history = 1
                    THEN absence_min - LAG(fork_absence) OVER history END AS days_since_fork
        FROM states
        WINDOW history AS (PARTITION BY person_key ORDER BY place)
        """,
        decided=decided,
    )


def _date(engine: Engine, chained: Table, least_stay: int) -> Table:
    """Migrations and final days.

    A return is final early: who was known to be in the other state less than `least_stay` days ago cannot have settled
    in this one since, so going back is no migration, whatever becomes of the outward crossing.
    """
    nearby = f"PARTITION BY person_key ORDER BY day RANGE BETWEEN {least_stay - 1} PRECEDING AND CURRENT ROW"
    return engine.step(
        "residence_settled",
        f"""
        WITH fits AS (
            SELECT *, status_before = CASE WHEN is_arrival THEN 0 ELSE 1 END AS is_fitting,
                   COALESCE(days_since_fork < {least_stay}, FALSE) AS is_short_return
            FROM chained
        ), outcomes AS (
            SELECT *,
                   CASE WHEN NOT can_flip OR is_short_return OR (status_before >= 0 AND NOT is_fitting) THEN FALSE
                        WHEN is_reset AND is_fitting THEN TRUE END AS is_migration,
                   CASE WHEN status_after = -1 THEN NULL
                        WHEN is_fitting OR status_before = -1 THEN sure_day
                        ELSE late_day END AS own_final_day
            FROM fits
        ), finals AS (
            SELECT *, MAX(own_final_day) OVER history AS final_day,
                   GREATEST(day, COALESCE(MAX(own_final_day) OVER earlier, day)) AS before_final_day
            FROM outcomes
            WINDOW history AS ({_RUNNING}),
                   earlier AS (PARTITION BY person_key ORDER BY place
                               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
        ), returns AS (
            SELECT *,
                   CASE WHEN is_arrival
                        THEN MIN(CASE WHEN is_fitting AND NOT is_arrival THEN before_final_day END) OVER nearby
                        ELSE MIN(CASE WHEN is_fitting AND is_arrival THEN before_final_day END) OVER nearby
                   END AS outward_final_day
            FROM finals
            WINDOW nearby AS ({nearby})
        )
        SELECT person_key, position, place, is_arrival, is_implied, day, late_day, status_before, status_after,
               is_migration, is_reset, CASE WHEN status_after >= 0 THEN final_day END AS status_final_day,
               CASE WHEN is_migration IS NULL THEN NULL
                    WHEN is_migration THEN final_day
                    WHEN status_before >= 0
                    THEN LEAST(final_day, GREATEST(late_day, COALESCE(outward_final_day, final_day)))
                    WHEN can_flip THEN before_final_day
                    WHEN is_short_return THEN LEAST(sure_day, before_final_day)
                    ELSE sure_day END AS migration_final_day
        FROM returns
        """,
        chained=chained,
    )
