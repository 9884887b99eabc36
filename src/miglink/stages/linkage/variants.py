"""Near spellings of names: each rare spelling goes to the most frequent one near it."""

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rapidfuzz.distance import OSA
from rapidfuzz.process import cpdist

Numbers = NDArray[np.int64]

# Within what they have in common names meet only so many of the most frequent: the bound on the work.
_MOST_LEADERS = 5
# Fewer letters than these are too few for an error in one, in two of them.
_FOR_ONE, _FOR_TWO = 4, 8
# Longer names are left as they are.
_LONGEST = 40
# Pairs whose texts are in memory at one time.
_AT_ONCE = 1_000_000


def find_variants(names: pl.DataFrame) -> pl.DataFrame:
    """Give the frequent spelling that each rarer spelling near it goes to.

    names: name (A-Z, distinct), sound, n (how often it is borne). Gives: name, variant; names that are their own are
    left out. Near: one letter put in, left out, changed, or two neighbours swapped (four letters or more), two such
    (eight or more), and one more where both sound alike. In descending order of n, ties by name, a spelling becomes a
    leader unless a leader is near, and goes to the most frequent leader near it: leaders never join, so that chains of
    near spellings do not become one name. Two spellings meet if they are the same but for a letter left out of either,
    or have one sound; of those that have that in common each meets the five most frequent. The work grows with the
    number of letters of all names.
    """
    ordered = names.filter(pl.col("name").str.len_bytes() <= _LONGEST).sort(
        pl.col("n"), "name", descending=[True, False]
    )
    first, second = _near(ordered)
    leads = _leads(first, second, ordered.height)
    return ordered.select("name", variant=pl.col("name").gather(leads)).filter(
        pl.col("name") != pl.col("variant")
    )


def _near(ordered: pl.DataFrame) -> tuple[Numbers, Numbers]:
    """The places of near spellings, the more frequent one first."""
    pairs = pl.concat(_meetings(signatures) for signatures in _signatures(ordered)).unique()
    sides = [ordered[pairs[side]] for side in ("first", "second")]
    apart = _apart(*(side["name"] for side in sides))
    n_letters = np.minimum(*(side["name"].str.len_bytes().to_numpy() for side in sides)).astype(np.int64)
    sounds_alike = (sides[0]["sound"] == sides[1]["sound"]).fill_null(False).to_numpy()
    permitted = (n_letters >= _FOR_ONE).astype(np.int64) + (n_letters >= _FOR_TWO) + sounds_alike
    found = pairs.filter(pl.Series(apart <= permitted)).sort("first", "second")
    return found["first"].to_numpy().astype(np.int64), found["second"].to_numpy().astype(np.int64)


def _apart(left: pl.Series, right: pl.Series) -> Numbers:
    """So many letters are put in, left out, changed or swapped with their neighbour; 4 stands for more than 3."""
    parts = [
        cpdist(
            left.slice(start, _AT_ONCE).to_list(),
            right.slice(start, _AT_ONCE).to_list(),
            scorer=OSA.distance,
            score_cutoff=3,
            dtype=np.int64,
            workers=-1,
        )
        for start in range(0, len(left), _AT_ONCE)
    ]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def _signatures(ordered: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """What near spellings have in common: place, signature; a frame of spellings less a letter, one of sounds.

    Signatures are hashes, which suffices: those that meet by chance are far apart.
    """
    held = ordered.with_row_index("place").with_columns(n_letters=pl.col("name").str.len_bytes())
    spelt = held.filter(pl.col("n_letters") >= _FOR_ONE)
    kept = [spelt.select("place", signature=pl.col("name").hash())]
    for letter in range(_LONGEST):
        without = pl.col("name").str.slice(0, letter) + pl.col("name").str.slice(letter + 1)
        kept.append(spelt.filter(pl.col("n_letters") > letter).select("place", signature=without.hash()))
    yield pl.concat(kept).unique()
    yield held.filter(pl.col("sound").str.len_bytes() > 1).select("place", signature=pl.col("sound").hash())


def _meetings(signatures: pl.DataFrame) -> pl.DataFrame:
    """Pairs of places with a signature in common, one of them among its most frequent: first < second."""
    shared = signatures.filter(pl.len().over("signature") > 1).sort("signature", "place")
    order = pl.int_range(pl.len()).over("signature")
    leaders = shared.filter(order < _MOST_LEADERS).rename({"place": "first"})
    met = leaders.join(shared.rename({"place": "second"}), on="signature")
    return met.filter(pl.col("first") < pl.col("second")).select("first", "second").unique()


def _leads(first: Numbers, second: Numbers, n: int) -> Numbers:
    """The place of the leader of each place: itself, or the first leader near it.

    In every round those that no undecided one or leader precedes become leaders: the leaders of the sequential rule.
    """
    is_leader, is_open = np.zeros(n, dtype=bool), np.ones(n, dtype=bool)
    before, after = first, second
    while is_open.any():
        undecided = is_open[before] & is_open[after]
        before, after = before[undecided], after[undecided]
        waits = np.zeros(n, dtype=bool)
        waits[after] = True
        leaders = is_open & ~waits
        is_leader |= leaders
        is_open &= waits
        is_open[after[leaders[before]]] = False
    leads = np.arange(n, dtype=np.int64)
    led = is_leader[first]
    np.minimum.at(leads, second[led], first[led])
    return leads
