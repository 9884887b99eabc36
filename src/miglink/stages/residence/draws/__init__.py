"""Draws of stage residence: other histories that persons in doubt may have had, under one rule and policy.

What is drawn, in this order: the first status where nothing tells it; the days of missing crossings; and of crossings
whose window is not over whether they become a migration. What is common to many persons is drawn first: the shares that
the chances rest on, the rates of missing crossings, and a shift of follow-up by direction, group and quarter.
"""

from dataclasses import dataclass
from datetime import date

import polars as pl

from miglink.config.draws import DrawsSettings
from miglink.engine import Engine, Table
from miglink.stages.residence.classification import decide_chain
from miglink.stages.residence.draws.case import Case
from miglink.stages.residence.draws.chances import list_draws, number_of
from miglink.stages.residence.draws.doubts import find_doubts, open_ends, spread_over_draws
from miglink.stages.residence.draws.drawn import Drawn
from miglink.stages.residence.draws.features import LEVELS, describe_crossings, name_cells
from miglink.stages.residence.draws.first_statuses import count_first_statuses, draw_first_statuses
from miglink.stages.residence.draws.follow_up import (
    FollowUp,
    draw_chances,
    draw_shifts,
    learn_follow_up,
    list_cells,
    spread_expectations,
)
from miglink.stages.residence.draws.gaps import Stays, find_stays
from miglink.stages.residence.draws.missing import draw_chain, keep_chain
from miglink.stages.residence.draws.outcomes import find_drawn_statuses, settle_draws
from miglink.stages.residence.initial_status import Evidence

__all__ = ["Asked", "Case", "Drawn", "Learnt", "draw_case", "learn"]


@dataclass(frozen=True)
class Asked:
    """How many draws, from which seed; the first and the last day observed.

    country: the reporting country, whose citizens are nationals. is_of_draw: the persons are those of one draw each, as
    linked in it.
    """

    settings: DrawsSettings
    days: tuple[date, date]
    country: str | None
    is_of_draw: bool = False


@dataclass(frozen=True)
class Learnt:
    """What the persons as linked best teach: of first statuses, of stays, and of follow-up."""

    first_statuses: pl.DataFrame
    stays: Stays
    follow_up: FollowUp


def learn(engine: Engine, case: Case, evidence: Evidence, asked: Asked) -> Learnt:
    """Learn what the draws rest on from the persons as linked best."""
    return Learnt(
        count_first_statuses(engine, case),
        find_stays(engine, case, evidence),
        learn_follow_up(engine, case, evidence, asked.days, asked.country),
    )


def draw_case(engine: Engine, case: Case, evidence: Evidence, learnt: Learnt, asked: Asked) -> Drawn:
    """Draw the histories of the persons in doubt under one rule and policy.

    Reads: the case; evidence (records of crossings, visas, permits, spells); what was learnt.
    Source: multiple imputation (Rubin 1987): each draw completes what is not known, and the rule is applied to it.
    """
    number, seed = asked.settings.number, asked.settings.seed
    case = open_ends(engine, case, learnt.stays)
    doubts = find_doubts(engine, case)
    draws = engine.frame("residence_draws", list_draws(number, seed))
    spread = spread_over_draws(engine, case, doubts, draws, is_of_draw=asked.is_of_draw)
    whose = draw_first_statuses(engine, case, spread, learnt.first_statuses, number, seed)
    crossings = engine.step(
        f"{case.name}_crossings",
        """SELECT c.person_key, c.position, c.day FROM doubts d JOIN chain c ON c.person_key = d.person_key
        WHERE c.is_crossing AND GREATEST(c.day, d.start_day + 1) >= d.from_day""",
        doubts=doubts,
        chain=case.chain,
    )
    described = describe_crossings(
        engine, f"{case.name}_own", crossings, case.people, evidence, asked.country
    )
    grown = engine.step(
        f"{case.name}_grown", "SELECT * FROM whose WHERE mother_draw_key IS NULL", whose=whose
    )
    first = _follow(engine, case, f"{case.name}_1", (grown, described), learnt, asked)
    children = engine.step(
        f"{case.name}_children",
        """
        SELECT w.person_key, w.owner_key, w.draw, w.key_1, w.key_2, w.luck, w.from_day, w.start_day, w.status_before,
               w.observed_day, w.death_day, w.is_window_cut, w.cause, w.mother_draw_key,
               COALESCE(w.initial_status, m.status) AS initial_status
        FROM whose w
        LEFT JOIN statuses m ON m.person_key = w.mother_draw_key AND m.from_day <= w.from_day
             AND (m.to_day IS NULL OR m.to_day > w.from_day OR (m.to_day = w.from_day AND m.end_reason = 'death'))
        WHERE w.mother_draw_key IS NOT NULL
        """,
        whose=whose,
        statuses=first.statuses,
    )
    second = _follow(engine, case, f"{case.name}_2", (children, described), learnt, asked)
    asked_cells = pl.concat([first.asked, second.asked]).group_by(LEVELS).agg(pl.col("n_open").sum())
    return Drawn(
        case,
        doubts,
        whose,
        (first.statuses, second.statuses),
        (first.moves, second.moves),
        list_cells(learnt.follow_up, asked_cells),
    )


@dataclass(frozen=True)
class _Followed:
    """The drawn statuses and migrations of some persons, and the cells that the model was asked of."""

    statuses: Table
    moves: Table
    asked: pl.DataFrame


def _follow(
    engine: Engine, case: Case, name: str, given: tuple[Table, Table], learnt: Learnt, asked: Asked
) -> _Followed:
    """Draw the crossings and what becomes of them, given some persons whose status before is drawn, and features."""
    whose, described = given
    number, seed = asked.settings.number, asked.settings.seed
    if case.policy == "unresolved":
        chain = draw_chain(engine, case, whose, learnt.stays, number, seed)
    else:
        chain = keep_chain(engine, case, whose)
    decided = decide_chain(
        engine,
        chain,
        whose,
        case.rule,
        "drawn" if case.policy == "unresolved" else case.policy,
        spread_expectations(engine, case, whose),
    )
    named = name_cells(engine, f"{name}_cells", decided, described, whose)
    cells = engine.collect(
        f"""SELECT direction, group_name, quarter, {", ".join(LEVELS)},
               COUNT(DISTINCT owner_key * 100000 + place) AS n_open
        FROM named GROUP BY direction, group_name, quarter, {", ".join(LEVELS)}""",
        named=named,
    ).sort("direction", "group_name", "quarter", *LEVELS)
    seeds = (seed, number_of(case.rule.name))
    chances = {
        "chances": engine.frame(f"{name}_chances", draw_chances(learnt.follow_up, cells, number, seeds)),
        "shifts": engine.frame(f"{name}_shifts", draw_shifts(learnt.follow_up, cells, number, seeds)),
    }
    settled = settle_draws(engine, name, decided, named, whose, chances)
    statuses, moves = find_drawn_statuses(engine, name, settled, whose)
    return _Followed(statuses, moves, cells.select(*LEVELS, "n_open"))
