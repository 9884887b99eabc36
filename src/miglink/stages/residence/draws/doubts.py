"""Who is in doubt under a rule and policy, from when on, and why."""

from dataclasses import dataclass

from miglink.config.rules import MissingCrossings
from miglink.engine import Engine, Table
from miglink.stages.residence.classification import ForwardRule
from miglink.stages.residence.draws.chances import draw_key, luck_of


@dataclass(frozen=True)
class Case:
    """What was decided under one rule and policy, of all persons observed over one window.

    travellers: one row for each person, with the first status; statuses and changes as they were found.
    """

    rule: ForwardRule
    policy: MissingCrossings
    people: Table
    chain: Table
    expectations: Table
    travellers: Table
    statuses: Table
    changes: Table

    @property
    def name(self) -> str:
        """The beginning of the names of its scratch tables."""
        return f"residence_draws_{self.rule.name}_{self.policy}"


def person_of_draw(person_id: str, draw: str, part: str) -> str:
    """SQL for the id, within the stage, of a person as linked in a draw: it begins with the pseudonym."""
    return f"CONCAT({person_id}, ' ', CAST({draw} AS VARCHAR), ' ', CAST({part} AS VARCHAR))"


def drawn_number(person_id: str, nth: int = 2) -> str:
    """SQL for the draw (nth 2) or the part (nth 3) in such an id."""
    return f"CAST(split_part({person_id}, ' ', {nth}) AS INTEGER)"


def find_doubts(engine: Engine, case: Case) -> Table:
    """The persons of whom some status is undetermined, from the first such day on: what was before is sure.

    Gives: person_key, from_day, status_before (null where the first status itself is in doubt), cause, luck, mother_key
        (of a child whose first status is the mother's), and the traveller's own columns.
    """
    is_drawn = "TRUE" if case.policy == "unresolved" else "FALSE"
    return engine.step(
        f"{case.name}_doubts",
        f"""
        WITH firsts AS (
            SELECT person_key, MIN(from_day) AS from_day FROM statuses WHERE status = -1 GROUP BY person_key
        ), found AS (
            SELECT f.person_key, f.from_day, b.status AS status_before, t.from_day AS start_day, t.observed_day,
                   t.death_day, t.is_window_cut
            FROM firsts f
            JOIN travellers t ON t.person_key = f.person_key
            LEFT JOIN statuses b ON b.person_key = f.person_key AND b.to_day = f.from_day AND b.from_day < f.from_day
        ), gaps AS (
            SELECT DISTINCT f.person_key
            FROM found f JOIN chain c ON c.person_key = f.person_key AND c.gap_day IS NOT NULL
            WHERE {is_drawn} AND GREATEST(c.day, f.start_day + 1) >= f.from_day
        )
        SELECT f.*, p.person_id, p.start, {luck_of("p.person_id")} AS luck,
               CASE WHEN f.from_day = f.start_day AND p.start = 'birth_here' THEN p.mother_key END AS mother_key,
               CASE WHEN f.from_day = f.start_day THEN 'first_status' WHEN g.person_key IS NOT NULL
                    THEN 'missing_crossing' ELSE 'follow_up' END AS cause
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

    is_of_draw: the persons are those of a draw each, which their ids name (`person_of_draw`).
    """
    own = f"n.draw = {drawn_number('d.person_id')}" if is_of_draw else "TRUE"
    return engine.step(
        f"{case.name}_whose",
        f"""
        SELECT {draw_key("d.person_key", "n.draw")} AS person_key, d.person_key AS owner_key, n.draw, n.key_1, n.key_2,
               d.luck, d.from_day, d.start_day, d.status_before, d.observed_day, d.death_day, d.is_window_cut, d.cause,
               CASE WHEN m.person_key IS NOT NULL THEN {draw_key("d.mother_key", "n.draw")} END AS mother_draw_key
        FROM doubts d JOIN draws n ON {own} LEFT JOIN doubts m ON m.person_key = d.mother_key
        """,
        doubts=doubts,
        draws=draws,
    )
