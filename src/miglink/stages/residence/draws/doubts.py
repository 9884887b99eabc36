"""Who is in doubt under a rule and policy, from when on, and why."""

from miglink.engine import Engine, Table
from miglink.stages.residence.draws.case import Case
from miglink.stages.residence.draws.chances import draw_key, luck_of


def person_of_draw(person_id: str, draw: str, part: str) -> str:
    """SQL for the id, within the stage, of a person as linked in a draw: it begins with the pseudonym."""
    return f"CONCAT({person_id}, ' ', CAST({draw} AS VARCHAR), ' ', CAST({part} AS VARCHAR))"


def drawn_number(person_id: str, nth: int = 2) -> str:
    """SQL for the draw (nth 2) or the part (nth 3) in such an id."""
    return f"CAST(split_part({person_id}, ' ', {nth}) AS INTEGER)"


def find_doubts(engine: Engine, case: Case, doubtful: Table, late: Table | None) -> Table:
    """The persons of whom something is in doubt, from the first such day on: what was before is sure.

    Reads: the case; doubtful (person_key: of whom the first status is drawn); late (`find_late`), where hidden
        crossings are drawn.
    Gives: person_key, from_day, status_before (null: the first status is in doubt), cause, luck, mother_key (of a child
        whose first status is hers), has_gap (a hidden crossing is drawn), and the traveller's own columns. In doubt is
        what is undetermined, what may hide a crossing, and children born here to a mother in doubt on that day.
    """
    missed = case.missed
    return engine.step(
        f"{case.name}_doubts",
        f"""
        WITH gaps AS ({_select_gaps(has_missed=missed is not None and late is not None)}), days AS (
            SELECT person_key, from_day FROM statuses WHERE status = -1
            UNION ALL
            SELECT g.person_key, CASE g.kind WHEN 'start' THEN t.from_day ELSE GREATEST(g.from_day, t.from_day + 1) END
            FROM gaps g JOIN travellers t ON t.person_key = g.person_key WHERE g.is_doubt
            UNION ALL
            SELECT d.person_key, t.from_day
            FROM doubtful d JOIN travellers t ON t.person_key = d.person_key
        ), own AS (
            SELECT person_key, MIN(from_day) AS from_day FROM days GROUP BY person_key
        ), firsts AS (
            SELECT person_key, MIN(from_day) AS from_day
            FROM (SELECT person_key, from_day FROM own
                  UNION ALL
                  SELECT p.person_key, t.from_day
                  FROM people p
                  JOIN travellers t ON t.person_key = p.person_key
                  JOIN own m ON m.person_key = p.mother_key AND m.from_day <= t.from_day
                  WHERE p.start = 'birth_here') AS both_of
            GROUP BY person_key
        ), found AS (
            SELECT f.person_key, f.from_day, b.status AS status_before, t.from_day AS start_day, t.observed_day,
                   t.death_day, t.is_window_cut
            FROM firsts f
            JOIN travellers t ON t.person_key = f.person_key
            LEFT JOIN statuses b ON b.person_key = f.person_key AND b.from_day < f.from_day
                 AND (b.to_day IS NULL OR b.to_day >= f.from_day)
        ), with_gaps AS (
            SELECT DISTINCT f.person_key
            FROM found f JOIN gaps g ON g.person_key = f.person_key
            WHERE GREATEST(g.from_day, f.start_day + 1) >= f.from_day
        )
        SELECT f.*, p.person_id, p.start, {luck_of("p.person_id")} AS luck,
               CASE WHEN f.from_day = f.start_day AND p.start = 'birth_here' THEN p.mother_key END AS mother_key,
               CASE WHEN f.from_day = f.start_day THEN 'first_status' WHEN g.person_key IS NOT NULL
                    THEN 'missing_crossing' ELSE 'follow_up' END AS cause, g.person_key IS NOT NULL AS has_gap
        FROM found f
        JOIN people p ON p.person_key = f.person_key
        LEFT JOIN with_gaps g ON g.person_key = f.person_key
        """,
        statuses=case.statuses,
        travellers=case.travellers,
        people=case.people,
        doubtful=doubtful,
        **({} if missed is None or late is None else {"missed": missed.intervals, "late": late}),
    )


def _select_gaps(*, has_missed: bool) -> str:
    """SQL: person_key, from_day, kind and is_doubt of where crossings may be hidden, and of who came unseen."""
    if not has_missed:
        return "SELECT person_key, from_day, start AS kind, FALSE AS is_doubt FROM travellers WHERE FALSE"
    return """SELECT person_key, from_day, kind, is_doubt FROM missed
            UNION ALL
            SELECT l.person_key, t.from_day, 'start', l.is_doubt
            FROM late l JOIN travellers t ON t.person_key = l.person_key WHERE l.is_doubt"""


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
