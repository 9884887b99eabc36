"""Counts of agreement patterns over the whole space of pairs, and the mixture fitted to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from miglink.engine import Engine, Table
from miglink.stages.linkage.blocking import Block
from miglink.stages.linkage.levels import Comparison, both_sides_sql, level_sql
from miglink.stages.linkage.scoring import MOST_REPEATS

# What a comparison says in a family: relatives share it, it is the name or the date of birth, or one's own. `group`:
# where no families are seen, what people of one origin share (name, citizenship …).
Role = Literal["shared", "name", "birth", "person", "group"]

# Of random pairs what was recorded (travel) is compared in one of so many: it is costly, its levels are few, and random
# pairs show them all.
_ONE_IN = 8
_COUNTS = ("n_pairs", "n_record_pairs", "n_seen")


@dataclass(frozen=True)
class Sample:
    """How pairs outside the blocks are sampled: the number of random pairs, and the seed."""

    n_pairs: int
    seed: int


@dataclass(frozen=True)
class Patterns:
    """Agreement patterns: one column of levels for each comparison, and how many pairs of identities and of records.

    Patterns of blocked pairs and of the pairs outside all blocks stand in rows of their own (is_blocked; outside are
    also pairs of blocks that teach nothing of matches); n_seen is the
    number of pairs that were looked at, fewer than those they stand for outside the blocks.
    n_within is the number of pairs of records within one identity, which agree on all they hold; is_of_records marks
    the comparisons that are no part of an identity, of which such pairs say nothing. is_anchored marks the
    patterns that agree on an identifier; family says of each comparison which levels relatives reach too, roles whether
    relatives have in common what it compares, surname at which of its levels surnames agree.
    """

    levels: NDArray[np.int64]
    n_pairs: NDArray[np.float64]
    n_record_pairs: NDArray[np.float64]
    n_seen: NDArray[np.float64]
    n_within: float
    is_blocked: NDArray[np.bool_]
    is_anchored: NDArray[np.bool_]
    family: tuple[NDArray[np.bool_], ...]
    roles: tuple[Role, ...]
    surname: tuple[NDArray[np.bool_], ...]
    is_of_records: NDArray[np.bool_]


def count_patterns(
    engine: Engine,
    identities: Table,
    compared: tuple[Table, Sequence[Comparison], Sequence[Block]],
    sample: Sample,
) -> Patterns:
    """Count the patterns of all pairs: those that blocks propose in full, the others from a sample that is weighted up.

    `compared` is the compared pairs, what is compared, and the blocks. Nearly all matches are among the blocked pairs
    and nearly all other pairs are not, so that neither m nor u carries the selection of a block. Pairs outside the
    blocks that share a name or a date are too rare for a random sample of a large file, so they are sampled within that
    name or date (strata), and the random sample stands for the pairs that share none. Pairs of records are counted
    beside pairs of identities: n_l × n_r, at most 5 each.
    """
    pairs_of_blocks, comparisons, blocks = compared
    levels = ", ".join(f"CAST(level_{c.field} AS BIGINT) AS {c.field}" for c in comparisons)
    teaches = " AND ".join(["true", *(f"rule <> {i}" for i, block in enumerate(blocks) if not block.teaches)])
    found_levels = ", ".join(f"level_{comparison.field}" for comparison in comparisons)
    in_blocks = engine.collect(
        f"""SELECT {levels}, {teaches} AS is_blocked, CAST(count(*) AS DOUBLE) AS n_pairs,
               CAST(sum(n_record_pairs) AS DOUBLE) AS n_record_pairs, CAST(count(*) AS DOUBLE) AS n_seen
        FROM compared GROUP BY {found_levels}, {teaches}""",
        compared=pairs_of_blocks,
    )
    outside = _outside(engine, identities, (pairs_of_blocks, comparisons), sample)
    names = [comparison.field for comparison in comparisons]
    counted = [*names, "is_blocked", *_COUNTS]
    both = pl.concat([in_blocks.select(counted), outside.with_columns(is_blocked=False).select(counted)])
    # A pair of which only one field is known cannot tell agreement by chance from a match: it would teach nothing but
    # what it is told.
    telling = both.filter(pl.sum_horizontal(pl.col(names) >= 0) > 1)
    # Strata may hold the same pattern: the counts too, so that the order is one whatever an engine gives first.
    both = (telling if telling.height else both).sort("is_blocked", *names, *_COUNTS)
    within = engine.collect(
        f"""SELECT sum(least(n_records, {MOST_REPEATS}) * (least(n_records, {MOST_REPEATS}) - 1) / 2) AS n
        FROM identities""",
        identities=identities,
    )
    found = both.select(names).to_numpy().astype(np.int64)
    anchored = [found[:, i] == len(c.levels) for i, c in enumerate(comparisons) if c.is_identifier]
    return Patterns(
        found,
        both["n_pairs"].to_numpy().astype(np.float64),
        both["n_record_pairs"].to_numpy().astype(np.float64),
        both["n_seen"].to_numpy().astype(np.float64),
        float(within.item() or 0.0),
        both["is_blocked"].to_numpy(),
        np.any(anchored, axis=0) if anchored else np.zeros(found.shape[0], dtype=np.bool_),
        tuple(np.array([False, *(level.is_family for level in c.levels[::-1])]) for c in comparisons),
        _roles(comparisons),
        tuple(np.array([False, *(level.has_surname for level in c.levels[::-1])]) for c in comparisons),
        np.array([comparison.is_of_records for comparison in comparisons]),
    )


def _outside(
    engine: Engine,
    identities: Table,
    compared: tuple[Table, Sequence[Comparison]],
    sample: Sample,
) -> pl.DataFrame:
    """Patterns of the pairs outside all blocks: within a shared name or date first, then at random, weighted up.

    Pairs that share several are those of the first.
    """
    in_blocks, comparisons = compared
    n = engine.count(identities)
    keys = list(dict.fromkeys(key for comparison in comparisons for key in comparison.sampled_within))
    one_in = max(n * len(keys) // sample.n_pairs, 1)
    drawn = [_pairs_within_sql(key, sample.seed, one_in) for key in keys]
    drawn.append(_random_pairs_sql(n, sample.n_pairs, sample.seed))
    every = engine.view(
        "linkage_pairs_drawn",
        " UNION ALL ".join(
            f"SELECT unique_id_l, unique_id_r, CAST(weight AS DOUBLE) AS weight, {place} AS stratum FROM ({one}) AS d"
            for place, one in enumerate(drawn)
        ),
        identities=identities,
    )
    # Which pairs the rules propose is known by their ids: to ask the rules again takes all the texts that they read.
    pairs = engine.hold(
        "linkage_pairs_outside",
        """SELECT p.* FROM every p LEFT JOIN in_blocks b
          ON b.unique_id_l = p.unique_id_l AND b.unique_id_r = p.unique_id_r
        WHERE b.unique_id_l IS NULL""",
        every=every,
        in_blocks=in_blocks,
    )
    seen = [
        f"(stratum <= {place} OR NOT coalesce({key}_l = {key}_r, false))" for place, key in enumerate(keys)
    ]
    found = _count(engine, identities, pairs, comparisons, " AND ".join(["true", *seen]), len(keys))
    is_rest = pl.col("stratum") == len(keys)
    strata, rest = found.filter(~is_rest), found.filter(is_rest)
    n_known = engine.count(in_blocks) + float(strata["n_pairs"].sum())
    share = max(n * (n - 1) / 2 - n_known, 0.0) / (float(rest["n_pairs"].sum()) or 1.0)
    rest = rest.with_columns(pl.col("n_pairs") * share, pl.col("n_record_pairs") * share)
    return pl.concat([strata, rest])


def _roles(comparisons: Sequence[Comparison]) -> tuple[Role, ...]:
    """What each comparison says in a family; where nothing that families share is compared, among people of one origin.

    The latter needs something else that tells persons apart: without it, non-matches could not be told from matches.
    """
    if not any(comparison.is_shared for comparison in comparisons):
        in_group = {field for c in comparisons if c.given for field in (c.field, *c.given)} - {"birth_date"}
        if not {c.field for c in comparisons} - in_group:
            in_group = set()
        return tuple("group" if c.field in in_group else "person" for c in comparisons)
    known: dict[str, Role] = {
        "name": "name", "birth_date": "birth", "citizenship": "shared", "birth_country": "shared"
    }  # fmt: skip
    roles: list[Role] = ["shared" if c.is_shared else known.get(c.field, "person") for c in comparisons]
    return tuple(roles)


def _random_pairs_sql(n: int, n_pairs: int, seed: int) -> str:
    """Random pairs: identities with those that stand certain distances away in their order, which is that of a hash.

    unique_id counts from 1 in that order. Of more identities than pairs are wanted one in so many is taken.
    """
    one_in = max(n // n_pairs, 1)
    n_shifts = max(1, min(n_pairs * one_in // n, n - 1))
    # Distances spread over the whole order by the golden ratio: no two alike, whatever n is.
    shifts = [
        str(1 + int((seed + number) * 0.6180339887498949 * (n - 1)) % (n - 1)) for number in range(n_shifts)
    ]
    return f"""WITH shifted AS (
        SELECT unique_id AS a, unnest([{", ".join(shifts)}]) AS shift FROM identities
        WHERE (unique_id + {seed}) % {one_in} = 0),
    drawn AS (SELECT a, 1 + (a - 1 + shift) % {n} AS b FROM shifted)
    SELECT least(a, b) AS unique_id_l, greatest(a, b) AS unique_id_r, 1 AS weight FROM drawn"""


def _pairs_within_sql(key: str, seed: int, one_in: int) -> str:
    """Pairs that share a value, each identity with the next in the order of a hash; or one in so many of these.

    Weight: pairs of the value for each drawn.
    """
    return f"""WITH grouped AS (
        SELECT unique_id AS a,
               coalesce(lead(unique_id) OVER (PARTITION BY {key} ORDER BY unique_id),
                        min(unique_id) OVER (PARTITION BY {key})) AS b,
               count(*) OVER (PARTITION BY {key}) AS size
        FROM identities WHERE {key} IS NOT NULL)
    SELECT least(a, b) AS unique_id_l, greatest(a, b) AS unique_id_r,
           {one_in} * CASE WHEN size = 2 THEN 1.0 ELSE (size - 1) / 2.0 END AS weight
    FROM grouped WHERE (size > 2 OR (size = 2 AND a < b)) AND (a + {seed}) % {one_in} = 0"""


def _count(
    engine: Engine,
    identities: Table,
    pairs: Table,
    comparisons: Sequence[Comparison],
    condition: str,
    last: int,
) -> pl.DataFrame:
    """Patterns of these pairs by stratum; `condition`: which pairs count.

    Of the last stratum, that of random pairs, what was recorded is compared in one pair of so many, and not known in
    the others.
    """
    read = {column for c in comparisons for column in (*c.columns, *c.sampled_within)}
    both = both_sides_sql(["unique_id", *sorted(read)])
    # By both ids: pairs are drawn at certain distances, so that the sum of their ids says little of chance.
    is_left_out = f"stratum = {last} AND (unique_id_l * 7919 + unique_id_r * 104729) % {_ONE_IN} <> 0"
    gammas = ", ".join(
        f"CAST(CASE WHEN {is_left_out} THEN -1 ELSE {level_sql(c)} END AS BIGINT) AS {c.field}"
        if c.is_of_records
        else f"CAST({level_sql(c)} AS BIGINT) AS {c.field}"
        for c in comparisons
    )
    names = ", ".join(comparison.field for comparison in comparisons)
    # A random pair stands for pairs of identities, whatever the number of their records.
    return engine.collect(
        f"""WITH both_sides AS (
            SELECT {both}, p.weight, p.stratum FROM pairs p JOIN identities l ON l.unique_id = p.unique_id_l
            JOIN identities r ON r.unique_id = p.unique_id_r),
        levels AS (SELECT {gammas}, weight, stratum FROM both_sides WHERE {condition})
        SELECT {names}, stratum, sum(weight) AS n_pairs, sum(weight) AS n_record_pairs,
               CAST(count(*) AS DOUBLE) AS n_seen
        FROM levels GROUP BY {names}, stratum""",
        identities=identities,
        pairs=pairs,
    )
