"""What goes wrong on the way from a person to a record: an ordered list of errors, each with its rate.

Errors follow the thing they happen to: a passport is spelt one way wherever it is shown, a passport misread at a gate
is misread there every time, and who has 1 January for a birthday has it everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthetic.chance import Chance
from synthetic.journeys import ARRIVAL, DEPARTURE, is_by_land, is_by_sea
from synthetic.names import load_names
from synthetic.records import Country
from synthetic.world import NEVER, NONE

Sources = dict[str, pl.DataFrame]
LEVELS = {"low": 0.5, "medium": 1.0, "high": 3.0}
# Rates of what is no error but makes records of one person differ: a year, of persons, a year among adults.
RENEWAL_RATE, SECOND_RATE, MARRIAGE_RATE = 0.10, 0.03, 0.01
# What can set a record apart from others of its person; the place is the bit in the column `causes`.
CAUSES = (
    "passport_renewal", "second_passport", "name_change", "new_citizenship", "january_first", "transliteration",
    "swapped_names", "swapped_day_and_month", "misread_document", "double_scan", "truncated_name",
)  # fmt: skip


@dataclass(frozen=True)
class Noise:
    """One kind of error, its rate at level medium, and the function that makes it."""

    rate: float
    make: Callable[[Sources, float, Chance], Sources]


def mark_facts(sources: Sources, country: Country) -> Sources:
    """Mark records that differ from others of their person though nothing is wrong."""
    documents, persons = country.documents, country.persons
    is_new = country.naturalised < int(NEVER)

    def mark(frame: pl.DataFrame) -> pl.DataFrame:
        person = frame["person"].to_numpy()
        document = frame["document"].to_numpy()
        at = np.maximum(document, 0)
        shows = document != NONE
        facts = {
            "passport_renewal": shows & documents.is_renewal[at],
            "second_passport": shows & (documents.which[at] == 1),
            "name_change": frame["surname"].to_numpy() != persons.surname[person],
            "new_citizenship": is_new[person] & (frame["country"].to_numpy() == 0),
        }
        bits = sum(
            (fact.astype(np.int16) << CAUSES.index(cause) for cause, fact in facts.items()), np.int16(0)
        )
        return frame.with_columns(pl.Series("causes", bits, dtype=pl.Int16))

    return {name: mark(frame) for name, frame in sources.items()}


def miss_departures(sources: Sources, rate: float, chance: Chance) -> Sources:
    """Departures that nobody recorded."""
    return _miss(sources, rate, int(DEPARTURE), chance)


def miss_arrivals(sources: Sources, rate: float, chance: Chance) -> Sources:
    """Arrivals that nobody recorded."""
    return _miss(sources, rate, int(ARRIVAL), chance)


def _miss(sources: Sources, rate: float, direction: int, chance: Chance) -> Sources:
    """Lose crossings of one direction: most by land, fewer by sea, few by air; in all as many as the rate says."""
    border = sources["border"]
    port = border["port"].to_numpy()
    weight = np.where(is_by_land(port), 22, np.where(is_by_sea(port), 15, 4))
    of_direction = border["direction"].to_numpy() == direction
    mean = int(weight[of_direction].sum()) / max(1, int(of_direction.sum()))
    keys = (border["person"].to_numpy(), border["day"].to_numpy(), border["minute"].to_numpy())
    lost = of_direction & chance.happens(rate * weight / mean, f"missed {direction}", *keys)
    missing = border.filter(pl.Series(lost)).select("person", "day", "direction")
    before = sources.get("missing_crossings")
    return {
        **sources,
        "border": border.filter(pl.Series(~lost)),
        "missing_crossings": missing if before is None else pl.concat([before, missing]),
    }


def default_birthdays(sources: Sources, rate: float, chance: Chance) -> Sources:
    """Persons whose day of birth nobody knew: 1 January in every record."""

    def default(frame: pl.DataFrame, _: NDArray[np.int64]) -> pl.DataFrame:
        has = chance.happens(rate, "1 January", frame["person"].to_numpy())
        january = pl.col("birth_day").cast(pl.Date).dt.truncate("1y").cast(pl.Int32)
        return _change(frame, "january_first", has, birth_day=january)

    return _each(sources, default)


def vary_spelling(sources: Sources, rate: float, chance: Chance) -> Sources:
    """Another Latin spelling of a name, as the document has it; it falls on names that have another spelling."""
    names = load_names()

    def vary(frame: pl.DataFrame, holder: NDArray[np.int64]) -> pl.DataFrame:
        which = chance.whole(0, 2, "spelling", holder)
        changed = {}
        able = np.zeros(frame.height, dtype=np.bool_)
        for column in ("surname", "given"):
            name = frame[column].to_numpy()
            other = names.variants[np.maximum(name, 0), which]
            changed[column] = np.where(name == NONE, NONE, other).astype(np.int32)
            able |= changed[column] != name
        varies = able & chance.happens(_fall(rate, able), "spelt otherwise", holder)
        return _change(frame, "transliteration", varies, **{c: pl.Series(v) for c, v in changed.items()})

    return _each(sources, vary)


def swap_names(sources: Sources, rate: float, chance: Chance) -> Sources:
    """Surname and given names in each other's place."""

    def swap(frame: pl.DataFrame, holder: NDArray[np.int64]) -> pl.DataFrame:
        swapped = chance.happens(rate, "names swapped", holder)
        return _change(frame, "swapped_names", swapped, is_swapped=pl.lit(True))

    return _each({k: f.with_columns(is_swapped=pl.lit(False)) for k, f in sources.items()}, swap)


def swap_days(sources: Sources, rate: float, chance: Chance) -> Sources:
    """Day and month of birth in each other's place, where that makes another date."""

    def swap(frame: pl.DataFrame, holder: NDArray[np.int64]) -> pl.DataFrame:
        date = frame["birth_day"].cast(pl.Date)
        able = ((date.dt.day() <= 12) & (date.dt.day() != date.dt.month())).to_numpy()
        swapped = able & chance.happens(_fall(rate, able), "day and month swapped", holder)
        born = pl.col("birth_day").cast(pl.Date)
        day = pl.when(pl.Series(able)).then(born.dt.day()).otherwise(1)
        other = pl.date(born.dt.year(), day, born.dt.month()).cast(pl.Int32)
        return _change(frame, "swapped_day_and_month", swapped, birth_day=other)

    return _each(sources, swap)


def misread_documents(sources: Sources, rate: float, chance: Chance) -> Sources:
    """A character of the passport's number misread: at a gate every time, in other sources once and for all."""

    def misread(frame: pl.DataFrame, holder: NDArray[np.int64]) -> pl.DataFrame:
        port = frame["port"].to_numpy() if "port" in frame.columns else np.zeros(1, dtype=np.int64)
        wrong = (frame["document"].to_numpy() != NONE) & chance.happens(rate, "misread", holder, port)
        how = chance.whole(1, 1 << 20, "how misread", holder, port).astype(np.int32)
        return _change(frame, "misread_document", wrong, misreading=pl.Series(how))

    none = pl.lit(0, pl.Int32)
    return _each({k: f.with_columns(misreading=none) for k, f in sources.items()}, misread)


def scan_twice(sources: Sources, rate: float, chance: Chance) -> Sources:
    """A second scan of a crossing one to eight minutes after the first."""
    border = sources["border"]
    keys = (border["person"].to_numpy(), border["day"].to_numpy(), border["minute"].to_numpy())
    twice = chance.happens(rate, "scanned twice", *keys) & (border["minute"].to_numpy() < 1430)
    later = border["minute"] + pl.Series(chance.whole(1, 9, "scanned again", *keys).astype(np.int16))
    again = _change(border, "double_scan", np.ones(border.height, dtype=np.bool_), minute=later).filter(
        pl.Series(twice)
    )
    return {**sources, "border": pl.concat([border, again])}


NOISE = (
    Noise(0.044, miss_departures),
    Noise(0.010, miss_arrivals),
    Noise(0.010, default_birthdays),
    Noise(0.030, vary_spelling),
    Noise(0.005, swap_names),
    Noise(0.005, swap_days),
    Noise(0.003, misread_documents),
    Noise(0.002, scan_twice),
)


def make_noise(sources: Sources, level: str, chance: Chance) -> Sources:
    """Make every error of the list in its order, at its rate times that of the level."""
    for noise in NOISE:
        sources = noise.make(sources, noise.rate * LEVELS[level], chance)
    return sources


def _each(sources: Sources, change: Callable[[pl.DataFrame, NDArray[np.int64]], pl.DataFrame]) -> Sources:
    """Change every source; the holder of an error is the passport shown, else the person in that source."""
    changed = dict(sources)
    for number, name in enumerate(name for name in sources if name != "missing_crossings"):
        frame = sources[name]
        document, person = (
            frame["document"].to_numpy().astype(np.int64),
            frame["person"].to_numpy().astype(np.int64),
        )
        changed[name] = change(frame, np.where(document != NONE, document << 4, (person << 4) + 1 + number))
    return changed


def _fall(rate: float, able: NDArray[np.bool_]) -> float:
    """The rate among those to whom it can happen that makes it `rate` among all; one in two at most."""
    return min(0.5, rate * able.size / max(1, int(able.sum())))


def _change(
    frame: pl.DataFrame, cause: str, happens: NDArray[np.bool_], **values: pl.Expr | pl.Series
) -> pl.DataFrame:
    """Give the rows to which it happens their new values, and mark them with the cause."""
    mask, bit = pl.Series(happens), 1 << CAUSES.index(cause)
    new = {
        name: pl.when(mask).then(value).otherwise(pl.col(name)).cast(frame.schema[name])
        for name, value in values.items()
    }
    marked = pl.when(mask).then(pl.col("causes") | bit).otherwise("causes").cast(pl.Int16)
    return frame.with_columns(**new, causes=marked)
