"""The hidden crossings of each draw, and the chains of crossings with them."""

import numpy as np
import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.residence.days import as_date
from miglink.stages.residence.draws.case import Case
from miglink.stages.residence.draws.chances import number_of, with_chances
from miglink.stages.residence.draws.missed import LEAST_LIKELY, Missed
from miglink.stages.residence.draws.places import N_PARTS, N_STEPS
from miglink.stages.residence.draws.shrinkage import keep_mean

# Standard deviation, in log odds, of what all hidden crossings of a kind and direction have in common in a draw: the
# rates are known from crossings that are seen again, and who is not seen again may be missed more often: assumed.
_SHARED = 0.5
# The error of log odds that the rates bring is at most this; and what is left beside a chance is taken to be so much.
_MOST_ERROR, _LEAST_REST = 1.5, 0.05
# Days that are drawn of an interval of so many days or more, until one fits the season.
_TRIES, _SEASONAL_DAYS = 4, 183
# Digits beyond those that decide whether a crossing is hidden are another number.
_SPREAD = 1009.0
_KINDS = ("between", "pair", "end", "start", "never")
_TURNS = {"place_of": 0.6180339887, "within": 0.7548776662, "accepts": 0.5698402910}


def draw_hidden(
    engine: Engine, case: Case, whose: Table, missed: Missed, seasons: pl.DataFrame, asked: tuple[int, int]
) -> Table:
    """Which intervals hide crossings in each draw, and on which days those lie.

    Reads: whose (persons in draws); seasons (`learn_seasons`); asked: the number of draws, and the seed. Of a long
        interval the day is the first of some drawn that a second number accepts as the season of its month has it
        (rejection: von Neumann 1951), or the last of them.
    Gives: person_key (of the draw), position, kind, is_arrival, from_day, until_day, day_1 and day_2 (the same but
        where two are hidden).
    """
    rows = engine.view(
        f"{case.name}_asked_of",
        """
        SELECT w.person_key, w.draw, w.luck, w.key_1, w.key_2, m.position, m.kind, m.is_arrival, m.from_day,
               m.until_day, m.p, m.cell, m.place, m.n_alike
        FROM whose w JOIN missed m ON m.person_key = w.owner_key
        WHERE GREATEST(m.from_day, w.start_day + 1) >= w.from_day
        """,
        whose=whose,
        missed=missed.intervals,
    )
    # What ends an interval may begin another: the place tells the questions apart.
    place = "position * 4 + CASE kind WHEN 'between' THEN 0 WHEN 'pair' THEN 1 WHEN 'end' THEN 2 ELSE 3 END"
    lucky = engine.step(
        f"{case.name}_hidden_luck",
        """SELECT person_key, draw, position, kind, is_arrival, from_day, until_day, p, cell, place, n_alike,
               key_1, key_2, is_there, place_of, within FROM chances""",
        chances=with_chances(
            engine, f"{case.name}_hidden_chances", rows, f"({place})", "is_there", "place_of", "within"
        ),
    )
    number, seed = asked
    hidden = engine.view(
        f"{case.name}_hidden_there",
        f"""
        SELECT l.*, l.is_there * {_SPREAD} - FLOOR(l.is_there * {_SPREAD}) AS accepts FROM lucky l
        LEFT JOIN shifts s ON s.draw = l.draw AND s.cell = l.cell
        WHERE l.p >= 1 OR l.is_there * (1 - l.p + l.p * COALESCE(s.odds, 1)) < l.p * COALESCE(s.odds, 1)
        """,
        lucky=lucky,
        shifts=engine.frame(f"{case.name}_shifts", _draw_shifts(missed.cells, number, seed)),
    )
    return _draw_days(engine, case, hidden, (missed.places, _draw_moves(number, seed)), seasons)


def _draw_days(
    engine: Engine, case: Case, hidden: Table, where: tuple[Table, pl.DataFrame], seasons: pl.DataFrame
) -> Table:
    """The hidden crossings with their days; hidden: with place_of, within and accepts, numbers between 0 and 1.

    where: the places, and by how much those of a draw lie later (`_draw_moves`).
    """
    places, moves = where
    day = f"l.from_day + CAST(FLOOR((t.part_{{}} + l.within) * (l.until_day - l.from_day) / {N_PARTS}.0) AS BIGINT)"
    # One number is many: turned by parts of a circle that never come near one another (Weyl 1916).
    turned = {name: f"({name} + n.nth * {turn})" for name, turn in _TURNS.items()}
    again = ", ".join(f"{x} - FLOOR({x}) AS {name}" for name, x in turned.items())
    tried = engine.view(
        f"{case.name}_hidden_tried",
        f"""
        SELECT h.person_key, h.draw, h.position, h.kind, h.is_arrival, h.from_day, h.until_day, h.place, h.n_alike,
               h.place AS luck, h.key_1, h.key_2, n.nth, {again}
        FROM hidden h
        JOIN tries n ON n.nth = 0 OR (h.until_day - h.from_day >= {_SEASONAL_DAYS} AND h.kind <> 'pair')
        """,
        hidden=hidden,
        tries=engine.frame(f"{case.name}_tries", pl.DataFrame({"nth": list(range(_TRIES))})),
    )
    # Whom a person is likened to in a draw: one of as many as there are, themselves drawn from these for the draw.
    alike = "CAST(FLOOR(place_of * n_alike) AS BIGINT)"
    return engine.step(
        f"{case.name}_hidden",
        f"""
        WITH moved AS (
            SELECT a.*, m.odds, a.alike * m.odds / (1 - a.alike + a.alike * m.odds) AS moved
            FROM tried a JOIN moves m ON m.draw = a.draw AND m.kind = a.kind AND m.is_arrival = a.is_arrival
        ), kept AS (
            -- So that on average over the draws as many lie in each part as do on record (`keep_mean`).
            SELECT *, odds * EXP({_SHARED**2 / 2} * (1 - 2 * moved)) AS odds_kept FROM moved
        ), later AS (
            SELECT *, alike * odds_kept / (1 - alike + alike * odds_kept) AS later FROM kept
        ), placed AS (
            SELECT l.person_key, l.position, l.kind, l.is_arrival, l.from_day, l.until_day, l.nth, l.accepts,
                   {day.format(1)} AS day_1, {day.format(2)} AS day_2
            FROM later l
            JOIN places t ON t.place = l.place AND t.step = CAST(FLOOR(LEAST(l.later, 0.999999) * {N_STEPS}) AS BIGINT)
        ), ranked AS (
            SELECT p.*, ROW_NUMBER() OVER (
                       PARTITION BY p.person_key, p.position, p.kind
                       ORDER BY CASE WHEN p.accepts < s.weight THEN p.nth - {_TRIES} ELSE {_TRIES} - p.nth END)
                       AS rank
            FROM placed p
            JOIN seasons s ON s.is_arrival <> p.is_arrival
                 AND s.month = CAST(EXTRACT(MONTH FROM {as_date("p.day_1")}) AS INTEGER)
        )
        SELECT person_key, position, kind, is_arrival, from_day, until_day, day_1, day_2 FROM ranked WHERE rank = 1
        """,
        tried=with_chances(engine, f"{case.name}_hidden_alike", tried, alike, "alike"),
        places=places,
        moves=engine.frame(f"{case.name}_moves", moves),
        seasons=engine.frame(f"{case.name}_seasons", seasons),
    )


def draw_chain(engine: Engine, case: Case, chains: Table, hidden: Table) -> Table:
    """The crossings of persons in draws from the first day in doubt on, each hidden one on a day of its own.

    chains: the persons in draws whose chains differ (`find_chains`). Positions are twice those of the chain, so that
    the first of two hidden crossings has one between; the second follows it as one that is missing.
    """
    return engine.step(
        f"{case.name}_chain",
        """
        WITH own AS (
            SELECT h.* FROM hidden h JOIN chains w ON w.person_key = h.person_key
        )
        SELECT w.person_key, 2 * c.position AS position, c.day, c.is_arrival, TRUE AS is_crossing,
               h.until_day AS gap_day, h.day_1 AS likely_day, FALSE AS is_by_evidence
        FROM chains w
        JOIN chain c ON c.person_key = w.owner_key AND GREATEST(c.day, w.start_day + 1) >= w.from_day AND c.is_crossing
        LEFT JOIN own h ON h.person_key = w.person_key AND h.position = c.position AND h.kind IN ('between', 'end')
        UNION ALL
        SELECT person_key, 2 * position + 1, day_1, NOT is_arrival, TRUE, until_day, GREATEST(day_1, day_2), FALSE
        FROM own WHERE kind = 'pair'
        UNION ALL
        SELECT person_key, 2 * position + 1, day_1, TRUE, TRUE, CASE WHEN day_2 IS NOT NULL THEN until_day END, day_2,
               FALSE
        FROM own WHERE kind = 'late'
        UNION ALL
        -- Born here, or before the first crossing: no crossing begins the interval.
        SELECT w.person_key, 2 * h.position, h.from_day, h.is_arrival, FALSE, h.until_day, h.day_1, FALSE
        FROM own h
        JOIN chains w ON w.person_key = h.person_key
        LEFT JOIN chain c ON c.person_key = w.owner_key AND c.position = h.position AND c.is_crossing
        WHERE h.kind IN ('start', 'never') OR (h.kind = 'between' AND c.person_key IS NULL)
        """,
        chains=chains,
        chain=case.chain,
        hidden=hidden,
    )


def keep_chain(engine: Engine, case: Case, chains: Table) -> Table:
    """The same where a policy says on which day a missing crossing lies."""
    visas = ", c.visa_end_day" if case.policy == "visa_end" else ""
    return engine.step(
        f"{case.name}_chain",
        f"""
        SELECT w.person_key, 2 * c.position AS position, c.day, c.is_arrival, c.is_crossing, c.gap_day, c.likely_day,
               c.is_by_evidence{visas}
        FROM chains w
        JOIN chain c ON c.person_key = w.owner_key AND GREATEST(c.day, w.start_day + 1) >= w.from_day
        """,
        chains=chains,
        chain=case.chain,
    )


def own_position(engine: Engine, name: str, decided: Table) -> Table:
    """Decided elements with the positions of the chain they come from; the first of two hidden crossings is implied."""
    return engine.view(
        name,
        """
        SELECT person_key, CAST(FLOOR(position / 2.0) AS BIGINT) AS position, place, is_arrival,
               is_implied OR MOD(position, 2) = 1 AS is_implied, day, is_reset, is_open, present_days, observed_days
        FROM decided
        """,
        decided=decided,
    )


def _draw_moves(number: int, seed: int) -> pl.DataFrame:
    """By how much the hidden crossings of a kind and direction lie later in a draw than those on record: odds.

    Of the part of the like stays that lie earlier: that hidden crossings lie as others do is as much assumed as that
    they are as frequent.
    """
    rng = np.random.default_rng([seed, number_of("hidden places")])
    kinds = [(kind, is_arrival) for kind in _KINDS for is_arrival in (False, True)]
    return pl.DataFrame(
        [
            (kind, is_arrival, draw, odds)
            for (kind, is_arrival), drawn in zip(
                kinds, np.exp(rng.normal(0.0, _SHARED, (len(kinds), number))), strict=True
            )
            for draw, odds in enumerate(drawn, 1)
        ],
        schema={"kind": pl.String, "is_arrival": pl.Boolean, "draw": pl.Int32, "odds": pl.Float64},
        orient="row",
    )


def _draw_shifts(cells: pl.DataFrame, number: int, seed: int) -> pl.DataFrame:
    """What the odds of each cell are multiplied by in each draw.

    Its own error, what those of a kind share, and the error of how often crossings of a direction are missed, which is
    one of the chance itself: it moves the odds the more the less is left beside the chance.
    """
    rng = np.random.default_rng([seed, number_of("hidden crossings")])
    kinds = [(kind, is_arrival) for kind in _KINDS[1:] for is_arrival in (False, True)]
    shared = rng.normal(0.0, _SHARED, (len(kinds), number))
    own = rng.normal(0.0, 1.0, (cells.height, number)) * cells["error"].to_numpy()[:, None]
    rates = np.random.default_rng([seed, number_of("missed crossings")]).normal(0.0, 1.0, (4, number))
    of_kind = cells.join(
        pl.DataFrame(kinds, schema=["kind", "is_arrival"], orient="row").with_row_index("row"),
        on=["kind", "is_arrival"],
        how="left",
        maintain_order="left",
    )["row"]
    of_rate = cells.select(2 * pl.col("is_arrival").cast(pl.Int64) + pl.col("is_listed").cast(pl.Int64))
    p = np.maximum(cells["p"].to_numpy(), LEAST_LIKELY)
    rate_error = np.minimum(cells["rate_error"].to_numpy() / np.maximum(1 - p, _LEAST_REST), _MOST_ERROR)
    moves = shared[of_kind.to_numpy()] + own + rates[of_rate.to_series().to_numpy()] * rate_error[:, None]
    moved = keep_mean(moves, p, _SHARED**2 + cells["error"].to_numpy() ** 2 + rate_error**2)
    return pl.DataFrame(
        {
            "cell": np.repeat(cells["cell"].to_numpy(), number),
            "draw": np.tile(np.arange(1, number + 1, dtype=np.int32), cells.height),
            "odds": np.exp(moved).ravel(),
        }
    )
