"""What stays on record whole are like: where the crossing between two others lies, and how long stays last."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.residence.draws.case import Case
from miglink.stages.residence.draws.shrinkage import Numbers
from miglink.stages.residence.initial_status import Evidence

# Persons whose stays are looked at, at most. Pseudonyms are hashes, so that the first of them are a random sample.
_MOST_PERSONS = 200_000
# Parts of the time between two crossings.
N_PARTS = 64
# A stay that lasts longer is one of so many days: by then all have ended. Of one that may be going on still, the share
# of the day before is asked.
LONGEST = 4_000
# Steps of a share of stays.
N_STEPS = 1_000
# Fewer stays like these speak of a wider class of them.
_FEWEST = 20
CLASSES = ("resident", "non_resident", "unlisted", "unknown")
DIRECTIONS = ("arrival", "departure")


@dataclass(frozen=True)
class Stays:
    """Stays that are on record whole.

    places: direction, class, band (of the days between two crossings of that direction), step, part: the share of the
        time between them at which the crossing in the other direction lay, by steps of luck from 0 to N_STEPS.
    lengths: direction, class, step, day: the days after which that share of stays begun so had ended.
    ended: direction, class, day, share: the share of stays ended after so many days; hidden: the share that had ended,
        and whose next stay had not, so that no further crossing would show that the end is missing.
    unlisted: of persons who never stood in a register nor had a permit, whose stays are of visitors.
    n_missing, n_seen: by direction, crossings that others show to be missing, and those on record.
    """

    places: pl.DataFrame
    lengths: pl.DataFrame
    ended: pl.DataFrame
    n_missing: dict[str, int]
    n_seen: dict[str, int]


def find_stays(engine: Engine, case: Case, evidence: Evidence) -> Stays:
    """Look at the stays on record: those of residents and of others, by the status before the crossing they begin with.

    Source: nonparametric imputation from like cases (hot deck; Andridge and Little 2010); the share of stays that have
        ended after so many days by the product-limit estimator (Kaplan and Meier 1958), for some last still.
    """
    stays = _list_stays(engine, case, evidence)
    places = engine.collect(
        f"""
        SELECT direction, class, {band_of("last_day - day")} AS band,
               CAST(LEAST({N_PARTS - 1}, FLOOR((next_day - day) * {N_PARTS} / (last_day - day))) AS INTEGER) AS part,
               COUNT(*) AS n
        FROM stays WHERE gap_day IS NULL AND next_gap_day IS NULL AND last_day > day
        GROUP BY direction, class, {band_of("last_day - day")},
                 CAST(LEAST({N_PARTS - 1}, FLOOR((next_day - day) * {N_PARTS} / (last_day - day))) AS INTEGER)
        """,
        stays=stays,
    )
    lengths = engine.collect(
        f"""
        SELECT direction, class, is_listed, CAST(LEAST({LONGEST}, COALESCE(next_day, end_day) - day) AS INTEGER) AS day,
               COUNT(next_day) AS n_ended, COUNT(*) AS n
        FROM stays WHERE gap_day IS NULL AND COALESCE(next_day, end_day) >= day
        GROUP BY direction, class, is_listed, CAST(LEAST({LONGEST}, COALESCE(next_day, end_day) - day) AS INTEGER)
        """,
        stays=stays,
    )
    counted = engine.collect(
        """SELECT direction, COUNT(next_day) AS n_next, COUNT(CASE WHEN next_day = gap_day THEN 1 END) AS n_missing
        FROM stays GROUP BY direction""",
        stays=stays,
    )
    missing = {row[0]: row[2] for row in counted.iter_rows()}
    seen = {row[0]: row[1] - row[2] for row in counted.iter_rows()}
    # After an arrival it is a departure that is missing, or seen.
    other = dict(zip(DIRECTIONS, reversed(DIRECTIONS), strict=True))
    ended = _share_ended(lengths)
    return Stays(
        _step_places(places),
        _step_lengths(ended),
        ended,
        {direction: missing.get(other[direction], 0) for direction in DIRECTIONS},
        {direction: seen.get(other[direction], 0) for direction in DIRECTIONS},
    )


def _list_stays(engine: Engine, case: Case, evidence: Evidence) -> Table:
    """The stays of persons, with the two crossings after the one that begins them."""
    return engine.step(
        f"{case.name}_stays",
        f"""
        WITH crossings AS (
            SELECT person_key, position, day, is_arrival, gap_day, LEAD(day) OVER h AS next_day,
                   LEAD(gap_day) OVER h AS next_gap_day, LEAD(day, 2) OVER h AS last_day
            FROM chain WHERE is_crossing AND person_key <= {_MOST_PERSONS}
            WINDOW h AS (PARTITION BY person_key ORDER BY position)
        )
        SELECT CASE WHEN c.is_arrival THEN 'arrival' ELSE 'departure' END AS direction,
               CASE s.status WHEN 1 THEN 'resident' WHEN 0 THEN 'non_resident' ELSE 'unknown' END AS class,
               c.day, c.gap_day, c.next_gap_day, c.next_day, c.last_day, LEAST(t.observed_day, t.death_day) AS end_day,
               l.person_key IS NOT NULL AS is_listed
        FROM crossings c
        LEFT JOIN listed l ON l.person_key = c.person_key
        JOIN travellers t ON t.person_key = c.person_key
        LEFT JOIN statuses s ON s.person_key = c.person_key AND s.from_day < c.day
             AND (s.to_day IS NULL OR s.to_day >= c.day)
        """,
        chain=case.chain,
        travellers=case.travellers,
        statuses=case.statuses,
        listed=engine.step(
            f"{case.name}_listed",
            """SELECT DISTINCT p.person_key FROM records r
            JOIN record_persons o ON o.source = r.source AND o.record_id = r.record_id
            JOIN people p ON p.person_id = o.person_id WHERE r.kind IN ('register', 'permits')""",
            records=evidence.records,
            record_persons=evidence.record_persons,
            people=case.people,
        ),
    )


def band_of(days: str) -> str:
    """SQL for the band of a number of days: each twice as wide as the one before."""
    return f"CAST(FLOOR(LN(GREATEST({days}, 1)) / LN(2.0) + 0.000001) AS INTEGER)"


def _step_places(counts: pl.DataFrame) -> pl.DataFrame:
    """For each direction, class and band the place at each step of luck; of wider classes where stays are few."""
    bands = range(max(counts["band"].to_list(), default=0) + 2)
    n = np.zeros((len(DIRECTIONS), len(CLASSES), len(bands), N_PARTS))
    rows = counts.filter(pl.col("part") >= 0)
    at = tuple(
        rows[name].replace_strict(list(values), list(range(len(values))), return_dtype=pl.Int64).to_numpy()
        for name, values in (("direction", DIRECTIONS), ("class", CLASSES))
    )
    np.add.at(n, (*at, rows["band"].to_numpy(), rows["part"].to_numpy()), rows["n"].to_numpy())
    # Where the class is not known, those of all; places of the unlisted are not asked for.
    n[:, CLASSES.index("unknown")] = n.sum(axis=1)
    everyone = np.broadcast_to(n[:, [CLASSES.index("unknown")]], n.shape)
    wider = np.where(n.sum(axis=3, keepdims=True) >= _FEWEST, n, everyone)
    flat = np.ones(N_PARTS)
    found = np.where(wider.sum(axis=3, keepdims=True) >= _FEWEST, wider, wider + flat)
    places = _invert(found.reshape(-1, N_PARTS), (np.arange(N_PARTS) + 1.0) / N_PARTS)
    return _by_cell(places, [DIRECTIONS, CLASSES, list(bands)], ["direction", "class", "band"], "part")


def _share_ended(counts: pl.DataFrame) -> pl.DataFrame:
    """The share of stays that have ended after so many days, each direction and class; classes of few stays as all."""
    own = counts.filter(pl.col("class").is_in(CLASSES[:2]))
    unlisted = counts.filter(~pl.col("is_listed")).with_columns(pl.lit("unlisted").alias("class"))
    everyone = counts.with_columns(pl.lit("unknown").alias("class"))
    stacked = pl.concat([own, unlisted, everyone])
    ended, present = (np.zeros((len(DIRECTIONS), len(CLASSES), LONGEST + 1)) for _ in range(2))
    at = tuple(
        stacked[name].replace_strict(list(values), list(range(len(values))), return_dtype=pl.Int64).to_numpy()
        for name, values in (("direction", DIRECTIONS), ("class", CLASSES))
    )
    np.add.at(ended, (*at, stacked["day"].to_numpy()), stacked["n_ended"].to_numpy())
    np.add.at(present, (*at, stacked["day"].to_numpy()), stacked["n"].to_numpy())
    unknown = CLASSES.index("unknown")
    is_few = ended.sum(axis=2) < _FEWEST
    ended[is_few] = np.broadcast_to(ended[:, unknown, None], ended.shape)[is_few]
    present[is_few] = np.broadcast_to(present[:, unknown, None], present.shape)[is_few]
    at_risk = np.cumsum(present[..., ::-1], axis=2)[..., ::-1]
    lasting = np.cumprod(1 - ended / np.maximum(at_risk, 1), axis=2)
    lasting[..., -1] = 0.0
    ends = -np.diff(lasting, prepend=1.0, axis=2)
    hidden = np.stack(
        [
            [
                np.convolve(one, next_lasting)[: LONGEST + 1]
                for one, next_lasting in zip(these, others, strict=True)
            ]
            for these, others in zip(ends, lasting[::-1], strict=True)
        ]
    )
    keys = [DIRECTIONS, CLASSES], ["direction", "class"]
    shares = _by_cell((1.0 - lasting).reshape(-1, LONGEST + 1).astype(np.float64), *keys, "share", "day")
    return shares.with_columns(hidden=pl.Series(hidden.ravel()))


def _step_lengths(ended: pl.DataFrame) -> pl.DataFrame:
    """The day after which each step of a share of stays had ended."""
    shares = ended.sort("direction", "class", "day")["share"].to_numpy().reshape(-1, LONGEST + 1)
    n = np.diff(shares, prepend=0.0, axis=1)
    days = _invert(n, np.arange(LONGEST + 1.0))
    keys = ended.select("direction", "class").unique().sort("direction", "class")
    return keys.join(pl.DataFrame({"step": range(N_STEPS + 1)}), how="cross").with_columns(day=days.ravel())


def _invert(n: Numbers, ends: Numbers) -> Numbers:
    """Row by row the value below which each step of the whole lies; n: how much lies in each part, ends: the parts'."""
    total = np.cumsum(n, axis=1)
    total = total / np.maximum(total[:, -1:], 1e-12)
    steps = np.linspace(0, 1, N_STEPS + 1)
    edges = np.append(0.0, ends)
    return np.stack([np.interp(steps, np.append(0.0, one), edges) for one in total])


def _by_cell(
    values: Numbers, keys: Sequence[Sequence[object]], names: Sequence[str], value: str, step: str = "step"
) -> pl.DataFrame:
    """A row for each cell and step."""
    frame = pl.DataFrame({"one": [0]})
    for name, key in zip(names, keys, strict=True):
        frame = frame.join(pl.DataFrame({name: list(key)}), how="cross", maintain_order="left_right")
    steps = pl.DataFrame({step: range(values.shape[1])})
    rows = frame.drop("one").join(steps, how="cross", maintain_order="left_right")
    return rows.with_columns(pl.Series(value, values.ravel()))
