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
from miglink.stages.residence.draws.doubts import (
    find_chains,
    find_doubts,
    open_ends,
    spread_over_draws,
)
from miglink.stages.residence.draws.drawn import Drawn
from miglink.stages.residence.draws.features import LEVELS, describe_crossings, name_cells
from miglink.stages.residence.draws.first_statuses import count_first_statuses, draw_first_statuses
from miglink.stages.residence.draws.follow_up import (
    SHIFTED,
    FollowUp,
    draw_chances,
    learn_follow_up,
    open_at_cuts,
    spread_expectations,
)
from miglink.stages.residence.draws.gaps import Stays, find_stays
from miglink.stages.residence.draws.missing import draw_chain, keep_chain
from miglink.stages.residence.draws.outcomes import find_drawn_statuses, settle_draws
from miglink.stages.residence.elements import Placement
from miglink.stages.residence.initial_status import Evidence

__all__ = ["Asked", "Case", "Drawn", "Learnt", "draw_case", "learn", "open_at_cuts"]


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


def learn(engine: Engine, case: Case, evidence: Evidence, opened: Table, asked: Asked) -> Learnt:
    """Learn what the draws rest on from the persons as linked best; opened: as `open_at_cuts` gives it."""
    return Learnt(
        count_first_statuses(engine, case),
        find_stays(engine, case, evidence),
        learn_follow_up(engine, case, opened, asked.days[1]),
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
    settled, cells = _settle(engine, case, (doubts, whose), evidence, learnt, asked)
    grown = engine.view(
        f"{case.name}_grown", "SELECT * FROM whose WHERE mother_draw_key IS NULL", whose=whose
    )
    first = find_drawn_statuses(engine, f"{case.name}_1", settled, grown)
    children = engine.view(
        f"{case.name}_children",
        """
        SELECT w.person_key, w.from_day, w.start_day, w.status_before, w.death_day,
               COALESCE(w.initial_status, m.status) AS initial_status
        FROM whose w
        LEFT JOIN statuses m ON m.person_key = w.mother_draw_key AND m.from_day <= w.from_day
             AND (m.to_day IS NULL OR m.to_day > w.from_day OR (m.to_day = w.from_day AND m.end_reason = 'death'))
        WHERE w.mother_draw_key IS NOT NULL
        """,
        whose=whose,
        statuses=first[0],
    )
    second = find_drawn_statuses(engine, f"{case.name}_2", settled, children)
    statuses, moves = zip(first, second, strict=True)
    return Drawn(case, doubts, whose, statuses, moves, learnt.follow_up, cells)


def _settle(
    engine: Engine, case: Case, people: tuple[Table, Table], evidence: Evidence, learnt: Learnt, asked: Asked
) -> tuple[Table, pl.DataFrame]:
    """Draw the crossings, and which become a migration for whom they fit; the cells that the model was asked of.

    people: the persons in doubt, and the same in draws. What is sure of their crossings is decided once for all draws.
    """
    number, seed = asked.settings.number, asked.settings.seed
    doubts, whose = people
    chains = find_chains(engine, case, whose)
    if case.policy == "unresolved":
        chain = draw_chain(engine, case, (whose, chains), learnt.stays, number, seed)
    else:
        chain = keep_chain(engine, case, chains)
    placement: Placement = "drawn" if case.policy == "unresolved" else case.policy
    expectations = spread_expectations(engine, case, chains)
    decided = decide_chain(engine, chain, chains, case.rule, placement, expectations)
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
    named = name_cells(engine, f"{case.name}_cells", decided, described, chains)
    cells = _count_open(engine, named, chains)
    seeds = (seed, number_of(case.rule.name))
    # Those of persons whose first status is their mother's have numbers of their own.
    chances = pl.concat(
        draw_chances(learnt.follow_up, cells.filter(has_mother=has_mother), number, seeds)
        for has_mother in (False, True)
    )
    opened = engine.view(
        f"{case.name}_opened",
        """SELECT n.person_key, n.position, n.place, n.direction = 'arrival' AS is_arrival, n.is_implied, n.day, k.cell
        FROM named n JOIN chains w ON w.person_key = n.person_key
        JOIN cells k ON k.has_mother = w.has_mother AND k.direction = n.direction AND k.group_name = n.group_name
             AND k.quarter = n.quarter AND k.cell_5 = n.cell_5""",
        named=named,
        chains=chains,
        cells=engine.frame(f"{case.name}_asked", cells),
    )
    drawn = engine.frame(f"{case.name}_chances", chances)
    settled = settle_draws(engine, case.name, decided, opened, whose, drawn)
    return settled, cells.select(*LEVELS, "n_open")


def _count_open(engine: Engine, named: Table, chains: Table) -> pl.DataFrame:
    """The cells of open crossings, numbered (cell), and how many crossings are in each (n_open), draws aside."""
    keys = ", ".join(["w.has_mother", *(f"n.{name}" for name in (*SHIFTED, *LEVELS))])
    return (
        engine.collect(
            f"""SELECT {keys}, COUNT(DISTINCT n.owner_key * 100000 + n.place) AS n_open
            FROM named n JOIN chains w ON w.person_key = n.person_key GROUP BY {keys}""",
            named=named,
            chains=chains,
        )
        .sort("has_mother", *SHIFTED, *LEVELS)
        .with_row_index("cell")
        .with_columns(pl.col("cell").cast(pl.Int64))
    )
