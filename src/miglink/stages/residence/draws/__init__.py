"""Draws of stage residence: other histories that persons in doubt may have had, under one rule and policy.

What is drawn, in this order: hidden crossings, and the first status where it is in doubt; and of crossings whose window
is not over whether they become a migration. What is common to many persons is drawn first: the shares that the chances
rest on, what hidden crossings have in common, and a shift of follow-up by direction, group and quarter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from miglink.config.draws import DrawsSettings
from miglink.config.stages import Period, ResidenceSettings
from miglink.engine import Engine, Table
from miglink.stages.residence.classification import decide_chain
from miglink.stages.residence.days import day_number
from miglink.stages.residence.draws.case import Case
from miglink.stages.residence.draws.chances import list_draws, number_of
from miglink.stages.residence.draws.doubts import find_chains, find_doubts, spread_over_draws
from miglink.stages.residence.draws.drawn import Drawn
from miglink.stages.residence.draws.features import LEVELS, describe_crossings, name_cells
from miglink.stages.residence.draws.first_statuses import (
    Restart,
    count_first_statuses,
    describe_starters,
    draw_first_statuses,
    find_first_statuses,
    find_restarts,
)
from miglink.stages.residence.draws.follow_up import (
    SHIFTED,
    FollowUp,
    draw_chances,
    learn_follow_up,
    open_at_cuts,
    spread_expectations,
)
from miglink.stages.residence.draws.intervals import find_crossings, find_listings
from miglink.stages.residence.draws.late_arrivals import add_late_arrivals, find_late, learn_lags
from miglink.stages.residence.draws.missed import Missed, find_missed
from miglink.stages.residence.draws.missing import draw_chain, draw_hidden, keep_chain, own_position
from miglink.stages.residence.draws.outcomes import find_drawn_statuses, settle_draws
from miglink.stages.residence.draws.patterns import Patterns, find_patterns
from miglink.stages.residence.draws.ports import rate_crossings, rate_ports
from miglink.stages.residence.draws.seasons import learn_seasons
from miglink.stages.residence.elements import Placement
from miglink.stages.residence.initial_status import Evidence

__all__ = ["Asked", "Case", "Drawn", "Learnt", "Seen", "draw_case", "learn", "open_at_cuts", "see"]


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
class Seen:
    """What is on record of the persons observed over one window, whatever the rule.

    starters: how they appear on the first day; restarts: on later ones (of persons as linked best alone). missed: where
    crossings may be hidden; patterns: what that was learnt from.
    """

    crossings: Table
    starters: Table
    restarts: Sequence[Restart]
    missed: Missed
    patterns: Patterns


@dataclass(frozen=True)
class Learnt:
    """What the persons as linked best teach: of first statuses, follow-up, when newcomers are listed, and seasons."""

    first_statuses: pl.DataFrame
    follow_up: FollowUp
    lags: pl.DataFrame
    seasons: pl.DataFrame


def see(
    engine: Engine,
    name: str,
    tables: tuple[Table, Table, Evidence],
    chosen: tuple[Period, ResidenceSettings],
    asked: tuple[int, str | None],
    patterns: Patterns | None,
) -> Seen:
    """Look at the crossings of all persons over one window, and where others may be hidden.

    Reads: tables: people, chain, and the evidence. asked: the seed, and the reporting country. patterns: as learnt of
        the persons as linked best, where these are linked otherwise.
    """
    (people, chain, evidence), (period, settings), (seed, country) = tables, chosen, asked
    listings = find_listings(engine, name, people, evidence, settings.resident_permits, country)
    crossings = find_crossings(engine, name, chain, people, evidence, listings.listed)
    days = _number_days(engine, period)
    ports = rate_ports(engine, crossings) if patterns is None else patterns.ports
    rated = rate_crossings(engine, f"{name}_rated", crossings, ports)
    learnt = patterns or find_patterns(engine, name, (rated, people), listings, ports, days)
    described = (people, crossings, listings.nationals)
    return Seen(
        crossings,
        describe_starters(engine, name, described),
        find_restarts(engine, name, evidence, described, chosen) if patterns is None else (),
        find_missed(engine, name, (chain, rated, people), listings, learnt, (seed, days[1])),
        learnt,
    )


def _number_days(engine: Engine, period: Period) -> tuple[int, int]:
    """The numbers of the first day of a period, and of the one after its last."""
    days = (day_number(f"DATE '{day}'") for day in (period.from_date, period.data_to_date))
    first, end = engine.collect(f"SELECT {', '.join(f'{day} AS day_{n}' for n, day in enumerate(days))}").row(
        0
    )
    return int(first), int(end)


def learn(engine: Engine, case: Case, seen: Seen, opened: Table, asked: Asked) -> Learnt:
    """Learn what the draws rest on from the persons as linked best; opened: as `open_at_cuts` gives it."""
    return Learnt(
        count_first_statuses(engine, case, seen.restarts, seen.starters),
        learn_follow_up(engine, case, opened, asked.days[1]),
        learn_lags(engine, case.people),
        learn_seasons(engine, case.crossings),
    )


def draw_case(
    engine: Engine, case: Case, evidence: Evidence, seen: Seen, learnt: Learnt, asked: Asked
) -> Drawn:
    """Draw the histories of the persons in doubt under one rule and policy.

    Reads: the case; evidence (records of crossings, visas, permits, spells); what is on record, and what was learnt.
    Source: multiple imputation (Rubin 1987): each draw completes what is not known, and the rule is applied to it.
    """
    number, seed = asked.settings.number, asked.settings.seed
    first_statuses = find_first_statuses(engine, case, seen.starters, learnt.first_statuses, number, seed)
    late = find_late(engine, case, seen.starters) if case.missed else None
    doubts = find_doubts(engine, case, first_statuses.doubtful, late)
    draws = engine.frame("residence_draws", list_draws(number, seed))
    spread = spread_over_draws(engine, case, doubts, draws, is_of_draw=asked.is_of_draw)
    hidden = None
    if case.missed:
        hidden = draw_hidden(engine, case, spread, case.missed, learnt.seasons, (number, seed))
    whose = draw_first_statuses(engine, case, spread, first_statuses, hidden)
    if hidden and late:
        hidden = add_late_arrivals(engine, case, whose, late, hidden, learnt.lags)
    settled, cells = _settle(engine, case, (doubts, whose, hidden), evidence, learnt, asked)
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
    engine: Engine,
    case: Case,
    people: tuple[Table, Table, Table | None],
    evidence: Evidence,
    learnt: Learnt,
    asked: Asked,
) -> tuple[Table, pl.DataFrame]:
    """Draw the crossings, and which become a migration for whom they fit; the cells that the model was asked of.

    people: the persons in doubt, the same in draws, and the crossings hidden there. What is sure of their crossings is
    decided once for all draws.
    """
    number, seed = asked.settings.number, asked.settings.seed
    doubts, whose, hidden = people
    chains = find_chains(engine, case, whose)
    chain = keep_chain(engine, case, chains) if hidden is None else draw_chain(engine, case, chains, hidden)
    placement: Placement = case.policy if hidden is None else "drawn"
    expectations = spread_expectations(engine, case, chains)
    alone = decide_chain(engine, chain, chains, case.rule, placement, expectations)
    decided = own_position(engine, f"{case.name}_decided", alone)
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
