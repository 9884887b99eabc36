"""Between which crossings of a person others may be hidden, how likely that is, and where they would lie."""

from dataclasses import dataclass

import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.residence.draws.chances import luck_of, number_of, with_chances
from miglink.stages.residence.draws.intervals import CELLS, Listings, describe_intervals
from miglink.stages.residence.draws.patterns import LEAST_PAIR_DAYS, Patterns, weigh
from miglink.stages.residence.draws.ports import partner_group

# What is less likely is drawn for some persons, who stand for the others: as likely as this, and as many fewer.
LEAST_LIKELY = 0.1


@dataclass(frozen=True)
class Missed:
    """Intervals in which crossings may be hidden, and where such crossings lie.

    intervals: person_key, position, kind, is_arrival, from_day, until_day, p, cell, place, n_alike, is_doubt. cells:
    cell, kind, is_arrival, is_listed, p, the error of its log odds and rate_error, the relative one of the odds of a
    missed crossing. places: place, step, part_1, part_2, as `weigh` gives them.
    kind: between (two crossings of one direction: one is hidden for sure), pair (two of either: two may be), end (after
    the last one), start (before the first one) and never (where there is none: who was here on the first day may have
    left). is_arrival: of the crossing with which the interval begins; of a
    start, of that with which it ends. is_doubt: something is in doubt that the crossings do not show by themselves.
    """

    intervals: Table
    cells: pl.DataFrame
    places: Table


def find_missed(
    engine: Engine,
    name: str,
    tables: tuple[Table, Table, Table],
    listings: Listings,
    patterns: Patterns,
    asked: tuple[int, int],
) -> Missed:
    """Find the intervals of all persons in which crossings may be hidden.

    Reads: tables: chain, crossings (`rate_crossings`), people; asked: the seed, and the first day that is not observed.
    Gives: those with a chance of at least LEAST_LIKELY; of the others so many as there would be in all were it that (as
        particles are let go in the transport of neutrons: Kahn 1955), whatever the seed of the draws: by pseudonym.
    """
    (_, _, people), (seed, end_day) = tables, asked
    intervals = _list_intervals(engine, name, tables, end_day)
    # A sign of life that has come in says what it says, though others have not; that none has come says nothing yet.
    described = describe_intervals(engine, f"{name}_own", intervals, listings)
    names = ", ".join((*CELLS, "shape"))
    cells = engine.collect(f"SELECT DISTINCT {names} FROM described", described=described)
    weighed, places = weigh(patterns, cells)
    weighed = weighed.with_row_index("cell").with_columns(pl.col("cell").cast(pl.Int64))
    chances = with_chances(
        engine,
        f"{name}_stand",
        engine.step(
            f"{name}_weighed",
            f"""
            SELECT d.person_key, d.position, d.kind, d.is_arrival, d.from_day, d.until_day, d.is_sure, d.is_known,
                   CASE WHEN d.is_sure THEN 1.0 ELSE w.p END AS p, w.cell, w.place, w.n_alike,
                   {luck_of("p.person_id")} AS luck,
                   {number_of(f"{seed}:stand:1")} AS key_1, {number_of(f"{seed}:stand:2")} AS key_2
            FROM described d
            JOIN weighed w ON w.{CELLS[-1]} = d.{CELLS[-1]}
            JOIN people p ON p.person_key = d.person_key
            """,
            described=described,
            people=people,
            weighed=engine.frame(f"{name}_cells", weighed.select(CELLS[-1], "cell", "p", "place", "n_alike")),
        ),
        "position",
        "stands",
    )
    kept = engine.step(
        f"{name}_missed",
        f"""
        SELECT person_key, position, kind, is_arrival, from_day, until_day, cell, place, n_alike,
               CASE WHEN p >= {LEAST_LIKELY} OR is_known THEN p ELSE {LEAST_LIKELY} END AS p,
               kind <> 'between' AS is_doubt
        FROM chances WHERE p >= {LEAST_LIKELY} OR is_known OR stands * {LEAST_LIKELY} < p
        """,
        chances=chances,
    )
    errors = _find_errors(engine, kept, weighed, patterns)
    return Missed(kept, errors, engine.frame(f"{name}_places", places))


def _find_errors(engine: Engine, kept: Table, weighed: pl.DataFrame, patterns: Patterns) -> pl.DataFrame:
    """The cells of the intervals that are drawn, with the errors of their chances, as Missed has them."""
    used = engine.collect(
        "SELECT DISTINCT cell, kind, is_arrival FROM kept WHERE kind <> 'between'", kept=kept
    )
    # Who was never listed by the end of the interval mostly never is.
    asked_of = weighed.select("cell", "error", "p", is_listed=~pl.col(CELLS[1]).str.contains(" never "))
    rates = patterns.ports.select(~pl.col("is_arrival"), "is_listed", rate_error="error").unique()
    return (
        used.join(asked_of, on="cell")
        .join(rates, on=["is_arrival", "is_listed"], how="left")
        .with_columns(pl.col("rate_error").fill_null(1.0))
        .sort("cell")
    )


def _list_intervals(engine: Engine, name: str, tables: tuple[Table, Table, Table], end_day: int) -> Table:
    """The intervals of all persons, numbered; is_known: the status is undetermined for it; is_sure: one is hidden.

    A sign of life of somebody who should be away is sure to mean a crossing.
    """
    chain, rated, people = tables
    return engine.step(
        f"{name}_intervals",
        f"""
        WITH grouped AS (
            SELECT *, {partner_group(is_before=True)} AS port_before, {partner_group(is_before=False)} AS port_after
            FROM crossings
        ), firsts AS (
            SELECT person_key, MIN(position) AS position FROM crossings GROUP BY person_key
        ), gaps AS (
            SELECT c.person_key, c.position, c.is_arrival, c.is_crossing, c.day, c.gap_day, c.is_by_evidence,
                   c.is_by_evidence AND c.likely_day IS NOT NULL AND c.is_crossing <> c.is_arrival AS is_sign
            FROM chain c WHERE c.gap_day IS NOT NULL
        ), intervals AS (
            SELECT 'between' AS kind, g.person_key, g.position, g.is_arrival,
                   COALESCE(CASE WHEN c.is_listed = c.is_arrival THEN c.port_group_1 ELSE c.port_group END, 0)
                       AS port_group,
                   COALESCE(10 * c.stay_before + c.stay_1, 0) AS stays, g.day AS from_day, g.gap_day AS until_day,
                   TRUE AS is_known, TRUE AS is_sure
            FROM gaps g LEFT JOIN grouped c ON c.person_key = g.person_key AND c.position = g.position
            WHERE NOT g.is_by_evidence
            UNION ALL
            SELECT 'pair', person_key, position, is_arrival, port_before, 10 * stay_before + stay_1, day, day_1,
                   FALSE, FALSE
            FROM grouped WHERE day_1 >= day + {LEAST_PAIR_DAYS} AND is_arrival_1 <> is_arrival
            UNION ALL
            -- Who died after a departure may have come back before.
            SELECT 'end', c.person_key, c.position, c.is_arrival, c.port_before, c.stay_before, c.day,
                   COALESCE(p.death_day, {end_day}),
                   g.person_key IS NOT NULL, COALESCE(g.is_sign, FALSE)
            FROM grouped c
            JOIN people p ON p.person_key = c.person_key
            LEFT JOIN gaps g ON g.person_key = c.person_key AND g.position = c.position
            WHERE c.day_1 IS NULL AND (p.death_day IS NULL OR NOT c.is_arrival)
              AND c.day < COALESCE(p.death_day, {end_day})
            UNION ALL
            SELECT 'never', p.person_key, CAST(1 AS BIGINT), TRUE, 0, 0, p.from_day + 1, {end_day}, FALSE, FALSE
            FROM people p LEFT JOIN firsts f ON f.person_key = p.person_key
            WHERE f.person_key IS NULL AND p.start = 'observation' AND p.death_day IS NULL
              AND p.person_key NOT IN (SELECT person_key FROM gaps)
            UNION ALL
            SELECT 'start', c.person_key, CAST(1 AS BIGINT), c.is_arrival, c.port_after, c.stay, p.from_day + 1, c.day,
                   g.person_key IS NOT NULL, COALESCE(g.is_sign, FALSE)
            FROM firsts f
            JOIN grouped c ON c.person_key = f.person_key AND c.position = f.position
            JOIN people p ON p.person_key = f.person_key AND p.start = 'observation'
            LEFT JOIN gaps g ON g.person_key = f.person_key AND NOT g.is_crossing AND g.is_by_evidence
            WHERE c.day > p.from_day + 1
        )
        SELECT ROW_NUMBER() OVER (ORDER BY person_key, position, kind) AS number, * FROM intervals
        """,
        chain=chain,
        crossings=rated,
        people=people,
    )
