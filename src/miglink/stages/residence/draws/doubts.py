"""Who is in doubt under a rule and policy, from when on, and why."""

from dataclasses import replace

from miglink.engine import Engine, Table
from miglink.stages.residence.draws.case import Case
from miglink.stages.residence.draws.chances import draw_key, luck_of
from miglink.stages.residence.draws.gaps import LONGEST, Stays

# Odds of a missing return that are not worth drawing.
_SMALL_ODDS = 0.01


def person_of_draw(person_id: str, draw: str, part: str) -> str:
    """SQL for the id, within the stage, of a person as linked in a draw: it begins with the pseudonym."""
    return f"CONCAT({person_id}, ' ', CAST({draw} AS VARCHAR), ' ', CAST({part} AS VARCHAR))"


def drawn_number(person_id: str, nth: int = 2) -> str:
    """SQL for the draw (nth 2) or the part (nth 3) in such an id."""
    return f"CAST(split_part({person_id}, ' ', {nth}) AS INTEGER)"


def open_ends(engine: Engine, case: Case, stays: Stays) -> Case:
    """The case, with a return that may be missing after the last departure of residents, where the odds are not small.

    Only where missing crossings are drawn: other policies say that there is none.
    """
    if case.policy != "unresolved":
        return case
    rate = stays.n_missing["arrival"] / max(stays.n_missing["arrival"] + stays.n_seen["arrival"], 1)
    chain = engine.step(
        f"{case.name}_open_chain",
        f"""
        WITH ordered AS (
            SELECT *, ROW_NUMBER() OVER (PARTITION BY person_key ORDER BY position DESC) AS nth FROM chain
        ), silent AS (
            SELECT o.person_key, o.position, t.observed_day
            FROM ordered o
            JOIN travellers t ON t.person_key = o.person_key AND t.death_day IS NULL
            JOIN statuses s ON s.person_key = o.person_key AND s.from_day < o.day
                 AND (s.to_day IS NULL OR s.to_day >= o.day) AND s.status = 1
            JOIN ended e ON e.direction = 'departure' AND e.class = 'resident'
                 AND e.day = LEAST(t.observed_day - o.day, {LONGEST - 1})
            WHERE o.nth = 1 AND o.is_crossing AND NOT o.is_arrival AND o.gap_day IS NULL
              AND {rate} * e.hidden > {_SMALL_ODDS} * (1 - e.share)
        )
        SELECT c.person_key, c.position, c.day, c.is_arrival, c.is_crossing,
               COALESCE(c.gap_day, s.observed_day) AS gap_day, c.likely_day,
               c.is_by_evidence OR s.person_key IS NOT NULL AS is_by_evidence, s.person_key IS NOT NULL AS is_silent
        FROM chain c LEFT JOIN silent s ON s.person_key = c.person_key AND s.position = c.position
        """,
        chain=case.chain,
        travellers=case.travellers,
        statuses=case.statuses,
        ended=engine.frame(f"{case.name}_ends", stays.ended),
    )
    return replace(case, chain=chain)


def find_doubts(engine: Engine, case: Case) -> Table:
    """The persons of whom some status is undetermined, from the first such day on: what was before is sure.

    Gives: person_key, from_day, status_before (null where the first status itself is in doubt), cause, luck, mother_key
        (of a child whose first status is the mother's), has_gap (a missing crossing is drawn), and the traveller's own
        columns.
    """
    is_silent = "c.is_silent" if case.policy == "unresolved" else "FALSE"
    is_drawn = "TRUE" if case.policy == "unresolved" else "FALSE"
    return engine.step(
        f"{case.name}_doubts",
        f"""
        WITH days AS (
            SELECT person_key, from_day FROM statuses WHERE status = -1
            UNION ALL
            SELECT c.person_key, GREATEST(c.day, t.from_day + 1) FROM chain c
            JOIN travellers t ON t.person_key = c.person_key WHERE {is_silent}
        ), firsts AS (
            SELECT person_key, MIN(from_day) AS from_day FROM days GROUP BY person_key
        ), found AS (
            SELECT f.person_key, f.from_day, b.status AS status_before, t.from_day AS start_day, t.observed_day,
                   t.death_day, t.is_window_cut
            FROM firsts f
            JOIN travellers t ON t.person_key = f.person_key
            LEFT JOIN statuses b ON b.person_key = f.person_key AND b.from_day < f.from_day
                 AND (b.to_day IS NULL OR b.to_day >= f.from_day)
        ), gaps AS (
            SELECT DISTINCT f.person_key
            FROM found f JOIN chain c ON c.person_key = f.person_key AND c.gap_day IS NOT NULL
            WHERE {is_drawn} AND GREATEST(c.day, f.start_day + 1) >= f.from_day
        )
        SELECT f.*, p.person_id, p.start, {luck_of("p.person_id")} AS luck,
               CASE WHEN f.from_day = f.start_day AND p.start = 'birth_here' THEN p.mother_key END AS mother_key,
               CASE WHEN f.from_day = f.start_day THEN 'first_status' WHEN g.person_key IS NOT NULL
                    THEN 'missing_crossing' ELSE 'follow_up' END AS cause, g.person_key IS NOT NULL AS has_gap
        FROM found f
        JOIN people p ON p.person_key = f.person_key
        LEFT JOIN gaps g ON g.person_key = f.person_key
        """,
        statuses=case.statuses,
        travellers=case.travellers,
        chain=case.chain,
        people=case.people,
    )


def spread_over_draws(engine: Engine, case: Case, doubts: Table, draws: Table, *, is_of_draw: bool) -> Table:
    """Each person in doubt in each draw: person_key is the number of the person in the draw, owner_key the person's.

    chain_key: the number of the chain of crossings. Of whom no crossing is drawn, all draws have the same.
    is_of_draw: the persons are those of a draw each, which their ids name (`person_of_draw`).
    """
    own = f"n.draw = {drawn_number('d.person_id')}" if is_of_draw else "TRUE"
    return engine.view(
        f"{case.name}_whose",
        f"""
        SELECT {draw_key("d.person_key", "n.draw")} AS person_key, d.person_key AS owner_key,
               {draw_key("d.person_key", "CASE WHEN d.has_gap THEN n.draw ELSE 0 END")} AS chain_key,
               n.draw, n.key_1, n.key_2, d.luck, d.from_day, d.start_day, d.status_before, d.observed_day, d.death_day,
               d.is_window_cut,
               CASE WHEN m.person_key IS NOT NULL THEN {draw_key("d.mother_key", "n.draw")} END AS mother_draw_key
        FROM doubts d JOIN draws n ON {own} LEFT JOIN doubts m ON m.person_key = d.mother_key
        """,
        doubts=doubts,
        draws=draws,
    )


def find_chains(engine: Engine, case: Case, whose: Table) -> Table:
    """The persons in draws whose chains of crossings differ, as travellers: person_key is the number of the chain.

    What becomes of an element for whom it fits does not rest on the first status: there is none.
    """
    return engine.step(
        f"{case.name}_chains",
        """
        SELECT DISTINCT chain_key AS person_key, owner_key, from_day, start_day, observed_day, death_day, is_window_cut,
               -1 AS initial_status, mother_draw_key IS NOT NULL AS has_mother
        FROM whose
        """,
        whose=whose,
    )
