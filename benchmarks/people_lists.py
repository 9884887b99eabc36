"""Two lists of people whose truth is known: households, moves, twins, namesakes, spelling errors, missing values.

    python -m benchmarks.people_lists DIR [--persons 5000] [--seed 1] [--difficulty plain]

Every person is invented. No list holds a person number or a document.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthetic.names import CULTURES, Names, load_names

COLUMNS = (
    "id", "given_names", "surname", "birth_date", "sex", "address", "postcode", "mother_name", "person",
)  # fmt: skip
_KINDS_OF_STREET = ("Street", "Road", "Avenue", "Lane", "Square")
_ABBREVIATED = {"Street": "St.", "Road": "Rd", "Avenue": "Ave.", "Lane": "Ln", "Square": "Sq."}
_FIRST_DAY, _N_DAYS = np.datetime64("1935-01-01"), 29_000
_JUNIORS, _TWINS = 0.03, 0.15
_LETTERS = np.array(list("abcdefghijklmnoprstuvwz"))


@dataclass(frozen=True)
class Difficulty:
    """How often something goes wrong in one list, as shares of its rows."""

    misspelt: float = 0.06
    birth_missing: float = 0.03
    birth_wrong: float = 0.03
    address_missing: float = 0.06
    mother_missing: float = 0.15
    moved: float = 0.12
    married: float = 0.03


DIFFICULTIES = {
    "plain": Difficulty(),
    # As the FEBRL lists are: several errors a record, and dates of birth that are often not there.
    "hard": Difficulty(misspelt=0.12, birth_missing=0.35, birth_wrong=0.06, address_missing=0.1),
}


def make_lists(n_persons: int, seed: int, difficulty: Difficulty) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give two lists of COLUMNS; `person` is the truth. Each holds about four in five persons, drawn apart."""
    chance = np.random.default_rng(seed)
    persons = _make_persons(n_persons, chance)
    lists = []
    for place, prefix in enumerate("ab"):
        drawn = persons.filter(pl.Series(chance.random(n_persons) < 0.8))
        noisy = _with_errors(drawn, difficulty, chance, is_later=place == 1)
        # The order of a list must not tell who is who.
        order = chance.permutation(noisy.height)
        ids = pl.Series("id", [f"{prefix}{number:06d}" for number in range(noisy.height)])
        lists.append(noisy[order].with_columns(ids).select(COLUMNS))
    return lists[0], lists[1]


def _make_persons(n: int, chance: np.random.Generator) -> pl.DataFrame:
    """Persons in households of one to six: the children share surname, mother and address; some are twins."""
    names = load_names()
    # Household of each person; the first member is the mother, the second her partner, the others their children.
    household = np.sort(chance.integers(0, max(n * 2 // 5, 1), n))
    first = np.flatnonzero(np.r_[True, household[1:] != household[:-1]])
    place = np.arange(n) - first[np.searchsorted(first, np.arange(n), side="right") - 1]
    number = np.searchsorted(first, np.arange(n), side="right") - 1
    culture = np.where(chance.random(len(first)) < 0.6, CULTURES.index("english"), 0).astype(np.int8)
    other = chance.integers(0, len(CULTURES), len(first)).astype(np.int8)
    culture = np.where(culture > 0, culture, other).astype(np.int8)[number]
    is_female = np.where(place == 0, True, np.where(place == 1, False, chance.random(n) < 0.5))
    surname = names.draw("surname", culture, chance.random(n))
    surname = surname[first[number]]
    given = _given_names(names, culture, (is_female, household), chance)
    # A son named after his father: a namesake in one household.
    is_junior = (place == 2) & ~is_female & (chance.random(n) < _JUNIORS)
    given = np.where(is_junior, np.roll(given, 1), given)
    day = chance.integers(0, _N_DAYS // 2, n)[first[number]]
    # The partner is of about her age; she is 20 to 40 when her children are born.
    apart = np.where(place == 1, chance.integers(-2000, 2000, n), chance.integers(7300, 14600, n))
    day = np.where(place == 0, day, np.abs(day + apart))
    is_twin = (place >= 3) & (chance.random(n) < _TWINS)
    day = np.where(is_twin, np.roll(day, 1), day)
    own_mother = _mothers(names, culture, chance)
    mother = np.where(place >= 2, _full(names, given, surname)[first[number]], own_mother)
    address, postcode = _addresses(len(first), chance)
    return pl.DataFrame(
        {
            "person": np.arange(n),
            "given_names": _texts(names, given),
            "surname": _texts(names, surname),
            "birth_date": pl.Series((_FIRST_DAY + day).astype("datetime64[D]").astype(str)),
            "sex": np.where(is_female, "F", "M"),
            "address": address[number],
            "postcode": postcode[number],
            "mother_name": mother,
        }
    )


def _given_names(
    names: Names,
    culture: NDArray[np.int8],
    who: tuple[NDArray[np.bool_], NDArray[np.int64]],
    chance: np.random.Generator,
) -> NDArray[np.int32]:
    """Given names by sex; nobody names two children alike, so that who repeats a name of the household draws again."""
    is_female, household = who
    given = np.zeros(len(household), dtype=np.int32)
    again = np.ones(len(household), dtype=bool)
    for _ in range(20):
        luck = chance.random(len(household))
        drawn = np.where(
            is_female, names.draw("female", culture, luck), names.draw("male", culture, luck)
        ).astype(np.int32)
        given = np.where(again, drawn, given)
        taken = pl.DataFrame({"household": household, "given": given})
        again = (~taken.select(first=pl.struct("household", "given").is_first_distinct())["first"]).to_numpy()
    return given


def _texts(names: Names, ids: NDArray[np.int32]) -> NDArray[np.object_]:
    return names.texts.gather(ids).to_numpy().astype(object)


def _full(names: Names, given: NDArray[np.int32], surname: NDArray[np.int32]) -> NDArray[np.object_]:
    return np.asarray(_texts(names, given) + " " + _texts(names, surname))


def _mothers(names: Names, culture: NDArray[np.int8], chance: np.random.Generator) -> NDArray[np.object_]:
    given = names.draw("female", culture, chance.random(len(culture)))
    return _full(names, given, names.draw("surname", culture, chance.random(len(culture))))


def _addresses(n: int, chance: np.random.Generator) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Addresses such as 12 Miller Street and their postcodes: 400 streets, two or three of them to a postcode."""
    names = load_names()
    english = np.full(400, CULTURES.index("english"), dtype=np.int8)
    streets = _texts(names, names.draw("surname", english, np.random.default_rng(7).random(400)))
    kinds = np.array(_KINDS_OF_STREET, dtype=object)[np.arange(400) % len(_KINDS_OF_STREET)]
    street = chance.integers(0, 400, n)
    number = chance.integers(1, 150, n).astype(str).astype(object)
    codes = np.array([f"{10100 + 37 * (place // 3)}" for place in range(400)], dtype=object)
    return np.asarray(number + " " + streets[street] + " " + kinds[street]), codes[street]


def _with_errors(
    persons: pl.DataFrame, difficulty: Difficulty, chance: np.random.Generator, is_later: bool
) -> pl.DataFrame:
    """One list as somebody typed it; the later one knows of moves and marriages."""
    n = persons.height

    def happens(share: float) -> pl.Series:
        return pl.Series(chance.random(n) < share)

    if is_later:
        new_address, new_postcode = _addresses(n, chance)
        moved = happens(difficulty.moved)
        taken = persons["surname"].gather(chance.permutation(n))
        married = happens(difficulty.married) & (persons["sex"] == "F")
        persons = persons.with_columns(
            address=_either(moved, pl.Series(new_address), persons["address"]),
            postcode=_either(moved, pl.Series(new_postcode), persons["postcode"]),
            surname=_either(married, taken, persons["surname"]),
        )
    persons = persons.with_columns(
        _misspell(persons[column], difficulty.misspelt, chance).alias(column)
        for column in ("given_names", "surname", "mother_name", "address")
    )
    kind = persons["address"].str.extract(r" (\w+)$")
    short = persons["address"].str.replace(r" \w+$", "") + " " + kind.replace(_ABBREVIATED)
    turned = persons["address"].str.replace(r"^(\d+) (.*)$", "$2 $1")
    initial = persons["given_names"].str.slice(0, 1) + "."
    swapped = persons["mother_name"].str.replace(r"^(\S+) (.*)$", "$2 $1")
    day = persons["birth_date"]
    wrong = day.str.slice(0, 8) + pl.Series([f"{d:02d}" for d in chance.integers(1, 29, n)])
    exchanged = day.str.slice(0, 5) + day.str.slice(8, 2) + "-" + day.str.slice(5, 2)
    may_exchange = day.str.slice(8, 2).cast(pl.Int32) <= 12
    address = _either(happens(0.25), short, _either(happens(0.1), turned, persons["address"]))
    digit = pl.Series([str(d) for d in chance.integers(0, 10, n)])
    code = _either(happens(0.04), persons["postcode"].str.slice(0, 4) + digit, persons["postcode"])
    born = _either(happens(difficulty.birth_wrong), wrong, day)
    born = _either(happens(0.01) & may_exchange, exchanged, born)
    no_address = happens(difficulty.address_missing)
    return persons.with_columns(
        given_names=_either(happens(0.02), initial, persons["given_names"]),
        mother_name=_blank(
            _either(happens(0.3), swapped, persons["mother_name"]), happens(difficulty.mother_missing)
        ),
        address=_blank(address, no_address),
        postcode=_blank(code, no_address),
        birth_date=_blank(born, happens(difficulty.birth_missing)),
        sex=_blank(persons["sex"], happens(0.02)),
    )


def _either(condition: pl.Series, one: pl.Series, other: pl.Series) -> pl.Series:
    return one.zip_with(condition, other)


def _blank(values: pl.Series, condition: pl.Series) -> pl.Series:
    return (
        pl.Series(values.name, [None], dtype=pl.String)
        .new_from_index(0, len(values))
        .zip_with(condition, values)
    )


def _misspell(values: pl.Series, share: float, chance: np.random.Generator) -> pl.Series:
    """A letter replaced, left out, or swapped with its neighbour, somewhere behind the first."""
    n = len(values)
    frame = pl.DataFrame(
        {
            "text": values,
            "at": 1 + np.floor(chance.random(n) * (values.str.len_chars().to_numpy() - 1)).astype(np.int64),
            "letter": _LETTERS[chance.integers(0, len(_LETTERS), n)],
            "what": chance.random(n) / share,
        }
    )
    text, at, what = pl.col("text"), pl.col("at"), pl.col("what")
    before, here, after = text.str.slice(0, at), text.str.slice(at, 1), text.str.slice(at + 1)
    behind = text.str.slice(at + 1, 1) + here + text.str.slice(at + 2)
    return frame.select(
        pl.when(what < 0.4)
        .then(before + pl.col("letter") + after)
        .when(what < 0.7)
        .then(before + after)
        .when(what < 1)
        .then(before + behind)
        .otherwise(text)
        .alias(values.name)
    ).to_series()


def write_lists(folder: Path, lists: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    """Write census.csv and enrolment.csv, and apart from them who is who in truth.csv (source, record_id, person)."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("census", "enrolment")
    for name, people in zip(names, lists, strict=True):
        people.drop("person").write_csv(folder / f"{name}.csv")
    pl.concat(
        people.select(source=pl.lit(name), record_id="id", person="person")
        for name, people in zip(names, lists, strict=True)
    ).write_csv(folder / "truth.csv")


def main() -> None:
    """Write the lists that the arguments describe."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.people_lists")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--persons", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--difficulty", choices=[*DIFFICULTIES], default="plain")
    given = parser.parse_args()
    write_lists(given.folder, make_lists(given.persons, given.seed, DIFFICULTIES[given.difficulty]))


if __name__ == "__main__":
    main()
