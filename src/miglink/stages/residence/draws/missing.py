"""The days of missing crossings, drawn between their bounds as like crossings on record lie between theirs."""

import numpy as np
import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.residence.draws.case import Case
from miglink.stages.residence.draws.chances import number_of, with_chances
from miglink.stages.residence.draws.gaps import DIRECTIONS, LONGEST, N_STEPS, Stays, band_of

# A likely day so long after the last arrival is the end of what tells that the person lived here until then: the middle
# of a trip, where nothing does, is never so far away.
_SEEN_DAYS = 183
# Standard deviation, in log odds, by which silent and unlisted persons may all differ from those they are likened to:
# assumed.
_SHARED = 0.5


def draw_chain(
    engine: Engine, case: Case, people: tuple[Table, Table], stays: Stays, number: int, seed: int
) -> Table:
    """The crossings of persons in draws from the first day in doubt on, each missing one on a day of its own.

    people: persons in draws, and those of them whose chains differ (`find_chains`).
    Gives: the chains: likely_day is the day of the missing crossing, gap_day null where none is missing.

    between: two crossings of one direction, so that one is missing for sure. What evidence says of where the person
        lives tells whether the stay was like those of residents; so do lengths between two crossings.
    signs: a sign of life of somebody who should be away, so that a return is missing.
    unlisted: somebody who should be here but stands in no list. The odds are those of a crossing missed (a rate drawn
        in each draw) in a stay of visitors that had ended by then, with no other crossing after it, against a stay
        that had not ended.
    silent: a resident who left last; the same odds, of trips of residents.
    seen: somebody who arrived last and of whom something tells that he lived here, until some time ago. Which share
        left nothing tells: it is drawn from 0 to 1, one for all. The day lies within half a year of that time.
    """
    whose, chains = people
    gaps = _find_gaps(engine, case, whose)
    chances = with_chances(engine, f"{case.name}_gap_chances", gaps, "position", "place_of", "is_there")
    lucky = engine.step(
        f"{case.name}_gap_luck",
        """SELECT person_key, draw, position, day, gap_day, n_days, likely_day, is_last, direction, missing_direction,
               kind, band, stay_direction, class, place_of, is_there FROM chances""",
        chances=chances,
    )
    rates = _draw_rates(stays, number, (seed, number_of(case.name)))
    drawn = _draw_days(engine, case, lucky, stays, engine.frame(f"{case.name}_rates", rates))
    return _complete(engine, case, chains, drawn)


def _draw_days(engine: Engine, case: Case, lucky: Table, stays: Stays, rates: Table) -> Table:
    """The days of the missing crossings: person_key, position, drawn_day; no row where none is missing."""
    return engine.step(
        f"{case.name}_gaps_drawn",
        f"""
        WITH placed AS (
            SELECT l.person_key, l.position, l.day + CAST(FLOOR(p.part * l.n_days + 0.5) AS BIGINT) AS drawn_day
            FROM lucky l
            JOIN places p ON p.direction = l.direction AND p.class = l.class AND p.band = LEAST(l.band, {_last(stays)})
                 AND p.step = CAST(FLOOR(l.place_of * {N_STEPS}) AS BIGINT)
            WHERE l.kind = 'between'
        ), known AS (
            SELECT l.*, e.share, e.hidden, CASE WHEN l.kind = 'seen' THEN r.seen_rate ELSE r.rate END AS rate,
                   CASE WHEN l.kind = 'silent' THEN r.silent_odds ELSE r.unlisted_odds END AS odds
            FROM lucky l
            JOIN ended e ON e.direction = l.stay_direction AND e.class = l.class
                 AND e.day = LEAST(l.n_days, {LONGEST - 1})
            JOIN rates r ON r.draw = l.draw AND r.direction = l.missing_direction
            WHERE l.kind <> 'between'
        ), missed AS (
            SELECT k.person_key, k.position, k.kind, k.day, k.gap_day, k.likely_day, k.place_of, k.is_last,
                   LEAST(k.n_days, s.day) AS stayed_days
            FROM known k
            JOIN lengths s ON s.direction = k.stay_direction AND s.class = k.class
                 AND s.step = CAST(FLOOR(k.place_of * k.share * {N_STEPS}) AS BIGINT)
            WHERE CASE k.kind WHEN 'signs' THEN TRUE WHEN 'seen' THEN k.is_there < k.rate
                       ELSE k.is_there * (k.rate * k.hidden + (1 - k.share) * k.odds) < k.rate * k.hidden END
        )
        SELECT person_key, position, drawn_day FROM placed
        UNION ALL
        SELECT person_key, position,
               CASE WHEN kind = 'seen' THEN LEAST(GREATEST(likely_day + CAST(FLOOR((place_of - 0.5) * 365) AS BIGINT),
                                                           day), gap_day)
                    WHEN is_last THEN day + CAST(FLOOR(stayed_days + 0.5) AS BIGINT)
                    ELSE gap_day - CAST(FLOOR(stayed_days + 0.5) AS BIGINT) END
        FROM missed
        """,
        lucky=lucky,
        places=engine.frame(f"{case.name}_places", stays.places),
        ended=engine.frame(f"{case.name}_ended", stays.ended),
        lengths=engine.frame(f"{case.name}_lengths", stays.lengths),
        rates=rates,
    )


def _complete(engine: Engine, case: Case, chains: Table, drawn: Table) -> Table:
    """The crossings of the chains, with the missing ones on the days drawn."""
    return engine.step(
        f"{case.name}_chain",
        """
        SELECT w.person_key, c.position, c.day, c.is_arrival, c.is_crossing,
               CASE WHEN g.drawn_day IS NOT NULL THEN c.gap_day END AS gap_day, g.drawn_day AS likely_day,
               c.is_by_evidence
        FROM chains w
        JOIN chain c ON c.person_key = w.owner_key AND GREATEST(c.day, w.start_day + 1) >= w.from_day
        LEFT JOIN drawn g ON g.person_key = w.person_key AND g.position = c.position
        WHERE c.is_crossing OR g.drawn_day IS NOT NULL
        """,
        chains=chains,
        chain=case.chain,
        drawn=drawn,
    )


def keep_chain(engine: Engine, case: Case, chains: Table) -> Table:
    """The same where a policy says on which day a missing crossing lies."""
    visas = ", c.visa_end_day" if case.policy == "visa_end" else ""
    return engine.step(
        f"{case.name}_chain",
        f"""
        SELECT w.person_key, c.position, c.day, c.is_arrival, c.is_crossing, c.gap_day, c.likely_day,
               c.is_by_evidence{visas}
        FROM chains w
        JOIN chain c ON c.person_key = w.owner_key AND GREATEST(c.day, w.start_day + 1) >= w.from_day
        """,
        chains=chains,
        chain=case.chain,
    )


def _find_gaps(engine: Engine, case: Case, whose: Table) -> Table:
    """The missing crossings of persons in draws: of what kind, between which days, and as whose stays they are drawn.

    stay_direction: of the crossing that begins the stay whose end, or beginning, is missing.
    """
    opposite = "CASE WHEN c.is_arrival THEN 'departure' ELSE 'arrival' END"
    own = "CASE WHEN c.is_arrival THEN 'arrival' ELSE 'departure' END"
    middle = "c.day + CAST(FLOOR((c.gap_day - c.day) / 2.0) AS BIGINT)"
    return engine.view(
        f"{case.name}_gaps",
        f"""
        WITH kinds AS (
            SELECT w.person_key, w.draw, w.luck, w.key_1, w.key_2, c.position, c.day, c.gap_day,
                   c.gap_day - c.day AS n_days, c.is_arrival, {own} AS direction, {opposite} AS missing_direction,
                   c.likely_day, c.is_crossing AS is_last,
                   CASE WHEN NOT c.is_by_evidence THEN 'between' WHEN c.likely_day IS NULL THEN 'silent'
                        WHEN c.is_crossing <> c.is_arrival THEN 'signs'
                        WHEN c.is_crossing AND c.likely_day - c.day > {_SEEN_DAYS} THEN 'seen' ELSE 'unlisted' END
                       AS kind,
                   CASE WHEN c.likely_day < {middle} THEN -1 WHEN c.likely_day > {middle} THEN 1 ELSE 0 END AS side
            FROM whose w
            JOIN chain c ON c.person_key = w.owner_key AND c.gap_day IS NOT NULL
                 AND GREATEST(c.day, w.start_day + 1) >= w.from_day
        )
        SELECT person_key, draw, luck, key_1, key_2, position, day, gap_day, n_days, likely_day, is_last, direction,
               missing_direction, kind, {band_of("n_days")} AS band,
               CASE WHEN is_last THEN direction ELSE missing_direction END AS stay_direction,
               -- Near its beginning: the return of who lives here, and the departure of who lives abroad.
               CASE WHEN kind = 'between' AND (side = 0 OR n_days < 4) THEN 'unknown'
                    WHEN kind = 'between' THEN CASE WHEN is_arrival = (side > 0) THEN 'resident'
                                               ELSE 'non_resident' END
                    WHEN kind = 'unlisted' THEN 'unlisted' ELSE 'resident' END AS class
        FROM kinds
        """,
        whose=whose,
        chain=case.chain,
    )


def _draw_rates(stays: Stays, number: int, seed: tuple[int, ...]) -> pl.DataFrame:
    """The share of crossings that are missing, by direction, in each draw."""
    rng = np.random.default_rng([*seed, number_of("missing crossings")])
    return pl.concat(
        pl.DataFrame(
            {
                "draw": pl.Series(range(1, number + 1), dtype=pl.Int32),
                "direction": [direction] * number,
                "seen_rate": rng.uniform(0.0, 1.0, number),
                "silent_odds": np.exp(rng.normal(0.0, _SHARED, number)),
                "unlisted_odds": np.exp(rng.normal(0.0, _SHARED, number)),
                "rate": rng.beta(stays.n_missing[direction] + 0.5, stays.n_seen[direction] + 0.5, number),
            }
        )
        for direction in DIRECTIONS
    )


def _last(stays: Stays) -> int:
    """The widest band."""
    return max(stays.places["band"].to_list(), default=0)
