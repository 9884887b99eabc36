"""Who came unseen, and was listed: of whom the first that is on record is a list that begins long after the first day.

Whoever never crosses, or departs first, seems to have been here all the time. Those of whom crossings tell where they
were before they were listed (`first_statuses`) say how likely that is; the others have arrived shortly before or after
the list began.
"""

import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.residence.draws.case import Case
from miglink.stages.residence.draws.chances import with_chances
from miglink.stages.residence.draws.places import N_STEPS

# A list that begins later after an arrival, or so long before it, is not of that arrival.
_MOST_LAG = 183
# Where fewer arrivals are alike, the day on which the list begins is taken.
_FEWEST = 15


def learn_lags(engine: Engine, people: Table) -> pl.DataFrame:
    """The days from the first arrival on record to the beginning of the first list: step (N_STEPS of luck), lag.

    Reads: people (`find_people`), of whom those are asked who were in no list and first crossed on their arrival.
    """
    lags = engine.collect(
        f"""
        SELECT listed_day - first_day AS lag FROM people
        WHERE start = 'observation' AND NOT is_registered AND NOT has_permit AND status_before_first = 0
          AND ABS(listed_day - first_day) <= {_MOST_LAG}
        ORDER BY lag
        """,
        people=people,
    )["lag"].cast(pl.Int64)
    lags = lags if len(lags) >= _FEWEST else pl.Series("lag", [0])
    steps = pl.DataFrame({"step": range(N_STEPS)}, schema={"step": pl.Int64})
    return steps.with_columns(lag=lags.gather(steps["step"] * len(lags) // N_STEPS))


def find_late(engine: Engine, case: Case, starters: Table) -> Table:
    """The persons of whom the first that is on record is a list: person_key, listed_day, is_doubt.

    is_doubt: no crossing tells that they were away when observation began.
    """
    return engine.view(
        f"{case.name}_late",
        """SELECT s.person_key, s.listed_day, COALESCE(s.suggested, 1) = 1 AS is_doubt
        FROM starters s JOIN travellers t ON t.person_key = s.person_key WHERE s.is_late""",
        starters=starters,
        travellers=case.travellers,
    )


def add_late_arrivals(
    engine: Engine, case: Case, whose: Table, late: Table, hidden: Table, lags: pl.DataFrame
) -> Table:
    """The hidden crossings of the draws, with the arrivals of those who came late: kind late.

    Reads: whose (persons in draws, with initial_status), late (`find_late`), hidden (`draw_hidden`). Who was away when
        observation began has arrived near the day on which the list begins, and where a departure is hidden before the
        first arrival on record, that lies in between: both take the place of what is hidden before the first crossing,
        or hidden where there is none.
    """
    asked = engine.view(
        f"{case.name}_late_asked",
        """
        SELECT w.person_key, w.luck, w.key_1, w.key_2, w.start_day, w.initial_status, l.listed_day, f.first_day,
               h.is_arrival, (h.day_1 - h.from_day) * 1.0 / GREATEST(h.until_day - h.from_day, 1) AS part
        FROM whose w
        JOIN late l ON l.person_key = w.owner_key
        LEFT JOIN (SELECT person_key, MIN(day) AS first_day FROM crossings GROUP BY person_key) AS f
             ON f.person_key = w.owner_key
        LEFT JOIN hidden h ON h.person_key = w.person_key AND h.kind = 'start'
        WHERE w.status_before IS NULL AND (l.is_doubt OR h.is_arrival)
        """,
        whose=whose,
        late=late,
        crossings=case.crossings,
        hidden=hidden,
    )
    lucky = engine.step(
        f"{case.name}_late_luck",
        "SELECT * FROM chances",
        chances=with_chances(engine, f"{case.name}_late_chances", asked, "0", "late_arrival"),
    )
    return engine.step(
        f"{case.name}_hidden_all",
        f"""
        WITH arrived AS (
            SELECT l.*, GREATEST(l.start_day + 1, LEAST(l.listed_day - g.lag, COALESCE(l.first_day - 1, l.listed_day)))
                        AS day_1
            FROM lucky l JOIN lags g ON g.step = CAST(FLOOR(l.late_arrival * {N_STEPS}) AS BIGINT)
            WHERE l.initial_status = 0
        )
        SELECT h.person_key, h.position, h.kind, h.is_arrival, h.from_day, h.until_day, h.day_1, h.day_2
        FROM hidden h
        LEFT JOIN lucky l ON l.person_key = h.person_key AND h.kind IN ('start', 'never')
             AND (l.initial_status = 0 OR NOT h.is_arrival)
        WHERE l.person_key IS NULL
        UNION ALL
        SELECT person_key, CAST(0 AS BIGINT), 'late', FALSE, day_1, CASE WHEN is_arrival THEN first_day ELSE day_1 END,
               day_1, CASE WHEN is_arrival
                           THEN day_1 + CAST(FLOOR(part * (first_day - day_1)) AS BIGINT) END
        FROM arrived
        """,
        hidden=hidden,
        lucky=lucky,
        lags=engine.frame(f"{case.name}_lags", lags),
    )
