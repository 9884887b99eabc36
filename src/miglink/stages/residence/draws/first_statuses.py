"""The first status of each person, by how those appeared later who were then residents, or were not.

Where observation begins, a register, a permit or the first crossing tells who lived here, and is wrong at times:
registers keep who has left, and not everybody is in them. On the same day of later years the status is known from the
crossings before it. So each of these days is looked at as if observation began there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from miglink.config.stages import Period, ResidenceSettings
from miglink.engine import Engine, Table
from miglink.stages.residence.days import day_number
from miglink.stages.residence.draws.case import Case
from miglink.stages.residence.draws.chances import luck_of, number_of, with_chances
from miglink.stages.residence.draws.missed import LEAST_LIKELY
from miglink.stages.residence.draws.shrinkage import keep_mean, shrink
from miglink.stages.residence.initial_status import Evidence, find_people

_LEVELS = ("cell_1", "cell_2", "cell_3")
# Standard deviation, in log odds, of what all first statuses may have in common beside how the persons appear: assumed.
_SHARED = 0.5
# Later days that are looked at, at most: nearer ones are more like the first.
_MOST_RESTARTS = 2
# What the first days after the first crossing were spent on tells residents from visitors.
_STAY_DAYS = 365
# Who was listed for the first time so shortly before came lately, and may be here for less than a rule asks for.
_NEW_DAYS = 365
# Of who never crosses, a sign of life of any later day, or a death on record, says the same as one of the first year.
_ALIVE = f"""
            SELECT *, is_active OR (first_day IS NULL AND (first_sign_end_day IS NOT NULL OR death_day IS NOT NULL))
                      AS is_alive,
                   COALESCE(start = 'observation' AND NOT is_registered AND NOT has_permit
                            AND listed_day >= from_day + {_NEW_DAYS} AND COALESCE(first_day > listed_day, TRUE)
                            AND COALESCE(first_sign_end_day >= listed_day, TRUE), FALSE) AS is_late
            FROM people"""
# Of all others a list says more than when it began.
_APPEARS = f"""CASE WHEN p.is_late THEN 'late' WHEN p.start <> 'observation' THEN ''
                        WHEN (p.is_registered OR p.has_permit) AND p.status_before_first = 1
                             AND p.first_day - p.listed_day < {_NEW_DAYS} AND COALESCE(s.n_days, 0) < 92 THEN 'brief'
                        ELSE '' END"""
_SECOND = """
            SELECT *, COALESCE(whole, CONCAT(listing, first)) AS cell_1,
                   CASE WHEN is_late THEN whole ELSE CONCAT(listing, CAST(1 - suggested AS VARCHAR)) END AS turned,
                   CASE WHEN appears <> '' THEN CONCAT(whole, ' ', listing, first, ' ', stay)
                        ELSE CONCAT(listing, first, ' ', stay, ' ', citizenship, age_of_list) END AS cell_2
            FROM broad"""


@dataclass(frozen=True)
class Restart:
    """A day as if observation began there: the persons as they appear from it on, by their numbers."""

    day: int
    starters: Table


def find_restarts(
    engine: Engine,
    name: str,
    evidence: Evidence,
    tables: tuple[Table, Table, Table],
    chosen: tuple[Period, ResidenceSettings],
) -> list[Restart]:
    """Describe the persons as if observation began on the same day of later years, up to its middle.

    Reads: evidence (spells, records, persons); tables: people, crossings (`find_crossings`) of the whole time,
        and nationals.
    """
    (people, crossings, nationals), (period, settings) = tables, chosen
    middle = period.from_date + (period.to_date - period.from_date) / 2
    days = [
        period.from_date + timedelta(days=round(365.25 * years)) for years in range(1, _MOST_RESTARTS + 1)
    ]
    restarts = []
    for number, day in enumerate(day for day in days if day <= middle):
        begun = period.model_copy(update={"from_date": day})
        spells = engine.view(
            f"{name}_spells_{number}",
            f"SELECT * FROM spells WHERE start_date >= DATE '{day}' AND start_basis = 'crossing'",
            spells=evidence.spells,
        )
        seen = Evidence(spells, evidence.records, evidence.record_persons, evidence.persons)
        found = find_people(engine, seen, begun, settings, f"{name}_people_{number}")
        own = engine.view(
            f"{name}_restarted_{number}",
            "SELECT q.person_key AS own_key, p.* FROM found p JOIN people q ON q.person_id = p.person_id",
            found=found,
            people=people,
        )
        starters = describe_starters(engine, f"{name}_{number}", (own, crossings, nationals), is_restart=True)
        restarts.append(Restart(_number_day(engine, day), starters))
    return restarts


def _number_day(engine: Engine, day: date) -> int:
    """The number of a day."""
    return int(engine.collect(f"SELECT {day_number(f'DATE {chr(39)}{day}{chr(39)}')} AS day").item())


def describe_starters(
    engine: Engine, name: str, tables: tuple[Table, Table, Table], *, is_restart: bool = False
) -> Table:
    """Persons with the cells by which their first status is told; on a restart those on record from that day on.

    Reads: tables: people, crossings (`find_crossings`) and nationals. On a restart own_key is the person's number.
    Gives: person_key, start, since_days (to the first crossing; null: none), suggested (the state before it),
        is_listed (by register or permit), is_seen (anything is on record), stay, cell_1 to cell_3: by register, permit
        and signs of life, and what the first crossing suggests; how much of the year after it was spent here, national
        or not, and listed for the first time in the year before or earlier; how long after the first day it lies. Of
        who left for good within a year of the first list (brief) or is_late, cell_1 says that and whether national.
        is_list_alone: nothing but a list speaks of the person. is_unknown_here: no list does, and no sign of life.
        turned: cell_1 if the first crossing had been one of the other direction. is_late: a list that begins a year
        after the first day or later, on listed_day, is the first that is on record of the person.
    """
    people, crossings, nationals = tables
    key = "own_key" if is_restart else "person_key"
    return engine.step(
        f"{name}_starters",
        f"""
        WITH alive AS ({_ALIVE}
        ), stays AS ({_spent_here(key)}
        ), described AS (
            SELECT p.{key} AS person_key, p.start, p.status_before_first AS suggested,
                   p.is_registered OR p.has_permit AS is_listed,
                   p.first_day IS NOT NULL OR p.is_registered OR p.has_permit OR p.is_alive AS is_seen,
                   p.first_day IS NULL AND NOT p.is_alive AS is_list_alone, p.is_late, p.listed_day,
                   NOT p.is_registered AND NOT p.has_permit AND NOT p.is_alive AS is_unknown_here,
                   p.first_day - p.from_day AS since_days,
                   CONCAT(p.start, ' ', CASE WHEN p.is_registered THEN 'r' ELSE '-' END,
                          CASE WHEN p.has_permit THEN 'p' ELSE '-' END, CASE WHEN p.is_alive THEN 'a' ELSE '-' END,
                          ' ') AS listing,
                   CASE WHEN n.person_key IS NULL THEN 'foreign' ELSE 'national' END AS citizenship,
                   CASE WHEN (p.is_registered OR p.has_permit) AND p.listed_day > p.from_day - {_NEW_DAYS} THEN ' new'
                        ELSE '' END AS age_of_list,
                   {_APPEARS} AS appears,
                   CASE WHEN p.first_day IS NULL THEN 'never' WHEN p.first_day - p.from_day < 31 THEN '1'
                        WHEN p.first_day - p.from_day < 92 THEN '3' WHEN p.first_day - p.from_day < 366 THEN '12'
                        ELSE 'later' END AS since,
                   CASE WHEN COALESCE(s.n_days, 0) < 92 THEN 'visits' WHEN s.n_days < 274 THEN 'part' ELSE 'lives' END
                       AS stay
            FROM alive p
            LEFT JOIN stays s ON s.person_key = p.{key}
            LEFT JOIN nationals n ON n.person_key = p.{key}
        ), broad AS (
            SELECT *, COALESCE(CAST(suggested AS VARCHAR), 'none') AS first,
                   CASE WHEN appears <> '' THEN CONCAT(appears, ' ', citizenship) END AS whole
            FROM described
        ), second AS ({_SECOND}
        )
        SELECT person_key, start, since_days, suggested, is_listed, is_seen, is_list_alone, is_unknown_here, is_late,
               listed_day, stay, turned,
               cell_1, cell_2, CONCAT(cell_2, ' ', since) AS cell_3
        FROM second{" WHERE is_seen" if is_restart else ""}
        """,
        people=people,
        crossings=crossings,
        nationals=nationals,
    )


def _spent_here(key: str) -> str:
    """SQL: person_key and n_days, how many days of the year after the first crossing each person was here."""
    year_later = f"(p.first_day + {_STAY_DAYS})"
    return f"""
            SELECT p.{key} AS person_key,
                   SUM(LEAST(COALESCE(c.day_1, {year_later}), {year_later}) - c.day) AS n_days
            FROM people p
            JOIN crossings c ON c.person_key = p.{key} AND c.is_arrival
                 AND c.day >= p.first_day AND c.day < {year_later}
            GROUP BY p.{key}"""


def count_first_statuses(
    engine: Engine, case: Case, restarts: Sequence[Restart], starters: Table
) -> pl.DataFrame:
    """How many of those who appear alike were resident on that day, by cells: n, k.

    On restarts, by the status on that day, each for itself; without them, by the first statuses that evidence tells.
    """
    first = """SELECT s.cell_1, s.cell_2, s.cell_3, s.start, t.initial_status AS status
               FROM starters s JOIN travellers t ON t.person_key = s.person_key"""
    firsts = engine.view(
        f"{case.name}_firsts",
        "SELECT person_key, MIN(day) AS first_day FROM crossings GROUP BY person_key",
        crossings=case.crossings,
    )
    of_first = "WHERE start <> 'observation'" if restarts else ""
    counts = [
        engine.collect(
            _count_statuses(f"({first}) AS f {of_first}"), starters=starters, travellers=case.travellers
        ),
        *(_count_restart(engine, case, restart, starters, firsts) for restart in restarts),
    ]
    together = pl.concat(counts).sort(*_LEVELS, "n", "k")
    return together.group_by(_LEVELS, maintain_order=True).agg(pl.col("n", "k").sum())


def _count_statuses(rows: str) -> str:
    """SQL: of rows with cells and a status (1, 0; below: not known) those known and those resident, by cells."""
    names = ", ".join(_LEVELS)
    return f"""SELECT {names}, CAST(COUNT(CASE WHEN status >= 0 THEN 1 END) AS DOUBLE) AS n,
                      CAST(COUNT(CASE WHEN status = 1 THEN 1 END) AS DOUBLE) AS k
            FROM {rows} GROUP BY {names}"""


def _count_restart(
    engine: Engine, case: Case, restart: Restart, starters: Table, firsts: Table
) -> pl.DataFrame:
    """The same on a restart, of those whose status on that day crossings tell.

    starters: as on the first day observed; firsts: person_key, first_day (of crossing). Who is in no list is counted if
    there are crossings before the day, or the first one is an arrival so long after the first day observed that it
    tells where the person was until then. Of who is in a list and did not cross before the day, neither those are
    counted of whom nothing but the list speaks, for it is the list whose worth is asked, nor those listed from the
    beginning whose first crossing is an arrival: list and crossing contradict each other. Of the undetermined, who came
    back and lives here as lists say is resident, who came for a visit is not. Whose first crossing comes so late that
    the rule could have told the status is not asked at the beginning either.
    """
    settling = case.rule.settling_days
    came_late = f"s.suggested = 0 AND {restart.day} + s.since_days - t.from_day >= {settling}"
    return engine.collect(
        _count_statuses(f"""(
            SELECT s.*, CASE WHEN f.person_key IS NULL AND s.is_listed
                                  AND (s.is_list_alone OR (b.is_listed AND s.suggested = 0)) THEN -1
                             WHEN o.status >= 0 THEN o.status WHEN s.stay = 'lives' AND s.is_listed THEN 1
                             WHEN s.stay = 'visits' AND (s.suggested = 0 OR s.is_unknown_here) THEN 0
                             ELSE -1 END AS status
            FROM restarted s
            JOIN statuses o ON o.person_key = s.person_key AND o.from_day < {restart.day}
                 AND (o.to_day IS NULL OR o.to_day >= {restart.day})
            JOIN travellers t ON t.person_key = s.person_key
            JOIN starters b ON b.person_key = s.person_key
            LEFT JOIN firsts f ON f.person_key = s.person_key AND f.first_day < {restart.day}
            WHERE s.start = 'observation' AND (s.is_late OR COALESCE(s.since_days, 0) < {settling})
              AND (s.is_listed OR f.person_key IS NOT NULL OR ({came_late}))
        ) AS r"""),
        restarted=restart.starters,
        starters=starters,
        statuses=case.statuses,
        travellers=case.travellers,
        firsts=firsts,
    )


@dataclass(frozen=True)
class FirstStatuses:
    """Whose first status is drawn, and how likely residence is.

    doubtful: person_key, cell, told (1, 0; null where nothing tells it), many: persons that one stands for.
    chances: cell (the finest and the widest ones), draw, p_resident. starters: as `describe_starters` gives them.
    """

    doubtful: Table
    chances: Table
    starters: Table


def find_first_statuses(
    engine: Engine, case: Case, starters: Table, counts: pl.DataFrame, number: int, seed: int
) -> FirstStatuses:
    """Find whose first status is in doubt, and draw how likely residence is, by how persons appear.

    counts: as `count_first_statuses` gives them. Of who crosses first so late that the rule could have told the status
    from the days before, whether a crossing is hidden there tells it (`draw_first_statuses`): in doubt is whom evidence
    puts elsewhere. Policies that say where hidden crossings lie believe what evidence tells.
    """
    own = engine.collect(f"SELECT DISTINCT {', '.join(_LEVELS)} FROM starters", starters=starters)
    together = pl.concat([counts, own.with_columns(n=pl.lit(0.0), k=pl.lit(0.0))])
    seeds = (seed, number_of("first status"))
    shares = shrink(together, _LEVELS, number, seeds)
    shifts = np.random.default_rng([*seeds, 1]).normal(0.0, _SHARED, number)
    used = shares.cells["level"].is_in([1, len(_LEVELS)])
    p = shares.drawn[used.to_numpy()].clip(1e-9, 1 - 1e-9)
    drawn = pl.DataFrame(
        1 / (1 + (1 - p) / p * np.exp(-keep_mean(shifts[None, :], p, _SHARED**2))),
        schema=[str(draw) for draw in range(1, number + 1)],
    )
    finest = shares.cells.filter(pl.col("level") == len(_LEVELS)).select("cell", "p")
    chances = (
        drawn.with_columns(shares.cells.filter(used)["cell"])
        .unpivot(index="cell", variable_name="draw", value_name="p_resident")
        .with_columns(pl.col("draw").cast(pl.Int32))
    )
    # Written: where cells are joined by name, the engine fails at times if the row is then worked on further.
    asked = engine.step(
        f"{case.name}_told",
        f"""
        SELECT s.person_key, s.cell_3 AS cell, CASE WHEN t.initial_status >= 0 THEN t.initial_status END AS told,
               CASE WHEN s.start = 'observation' AND s.since_days >= {case.rule.settling_days} THEN 1
                    ELSE CASE t.initial_status WHEN 1 THEN 1 - f.p WHEN 0 THEN f.p ELSE 1 END END AS p_other,
               {luck_of("p.person_id")} AS luck, {number_of(f"{seed}:stand:1")} AS key_1,
               {number_of(f"{seed}:stand:2")} AS key_2
        FROM starters s
        JOIN travellers t ON t.person_key = s.person_key
        JOIN people p ON p.person_key = s.person_key
        JOIN finest f ON f.cell = s.cell_3
        WHERE t.initial_status < 0 OR ({case.missed is not None} AND s.start = 'observation' AND s.is_seen
              AND (COALESCE(s.since_days, 0) < {case.rule.settling_days} OR t.initial_status <> s.suggested
                   OR (s.is_late AND s.suggested = 1)))
        """,
        starters=starters,
        travellers=case.travellers,
        people=case.people,
        finest=engine.frame(f"{case.name}_finest", finest),
    )
    doubtful = engine.step(
        f"{case.name}_doubtful_first",
        f"""
        SELECT person_key, cell, told, GREATEST(1.0, {LEAST_LIKELY} / GREATEST(p_other, 1e-9)) AS many
        FROM asked WHERE stands * {LEAST_LIKELY} < p_other
        """,
        asked=with_chances(engine, f"{case.name}_first_stand", asked, "0", "stands"),
    )
    return FirstStatuses(doubtful, engine.frame(f"{case.name}_first_chances", chances), starters)


def draw_first_statuses(
    engine: Engine, case: Case, whose: Table, first: FirstStatuses, hidden: Table | None
) -> Table:
    """Add initial_status, the status before what is drawn: as found, or drawn where it is the first.

    Reads: whose (persons in draws, with status_before or null); hidden: the hidden crossings of the draws, where they
    are drawn. Whoever crosses first after the rule's threshold was in one state until then, and had that status, unless
    a crossing is hidden there: then as whose first crossing on record is one like that. Children whose mother's status
    is drawn have none yet.
    """
    unknown = engine.view(
        f"{case.name}_unknown_first",
        """SELECT w.person_key, w.draw, w.luck, w.key_1, w.key_2, f.cell, f.told, f.many
        FROM whose w LEFT JOIN doubtful f ON f.person_key = w.owner_key
        WHERE w.status_before IS NULL AND w.mother_draw_key IS NULL""",
        whose=whose,
        doubtful=first.doubtful,
    )
    lucky = with_chances(engine, f"{case.name}_first_luck", unknown, "0", "first_status")
    settling = case.rule.settling_days
    is_after = (
        f"s.start = 'observation' AND s.since_days >= {settling} AND NOT (s.is_late AND s.suggested = 1)"
    )
    hidden_first = "SELECT person_key, day_1 FROM hidden WHERE kind = 'start'"
    no_hidden = "SELECT person_key, from_day AS day_1 FROM whose WHERE FALSE"
    return engine.step(
        f"{case.name}_started",
        f"""
        SELECT w.*, COALESCE(
                   w.status_before,
                   CASE WHEN w.mother_draw_key IS NULL AND {is_after}
                        THEN CASE WHEN h.person_key IS NULL THEN s.suggested
                                  WHEN r.p_resident IS NULL OR (h.day_1 - w.start_day >= {settling} AND NOT s.is_late)
                                  THEN 1 - s.suggested
                                  WHEN l.first_status < r.p_resident THEN 1 ELSE 0 END
                        WHEN c.p_resident IS NULL
                        THEN CASE WHEN w.mother_draw_key IS NULL AND t.initial_status >= 0 THEN t.initial_status END
                        WHEN l.told = 1 THEN CASE WHEN l.first_status < (1 - c.p_resident) * l.many THEN 0 ELSE 1 END
                        WHEN l.first_status < c.p_resident * l.many THEN 1 ELSE 0 END) AS initial_status
        FROM whose w
        LEFT JOIN lucky l ON l.person_key = w.person_key
        LEFT JOIN chances c ON c.draw = l.draw AND c.cell = l.cell
        LEFT JOIN starters s ON s.person_key = w.owner_key
        LEFT JOIN chances r ON r.draw = l.draw AND r.cell = s.turned
        LEFT JOIN travellers t ON t.person_key = w.owner_key
        LEFT JOIN ({no_hidden if hidden is None else hidden_first}) AS h ON h.person_key = w.person_key
        """,
        whose=whose,
        lucky=lucky,
        chances=first.chances,
        starters=first.starters,
        travellers=case.travellers,
        **({} if hidden is None else {"hidden": hidden}),
    )
