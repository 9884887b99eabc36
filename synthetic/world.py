"""The people of the country and its visitors: parties that travel together, and the persons in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import StringIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthetic.chance import Chance
from synthetic.names import CULTURES, Names, load_names

HOME = "QMR"
# History is longer than what is observed, on both sides: statuses are known when observation begins, and long after
# its end nothing is open any more.
HISTORY_FROM = np.datetime64("2011-01-01", "D").astype(np.int64)
HISTORY_TO = np.datetime64("2026-01-01", "D").astype(np.int64)
OBSERVED_FROM = np.datetime64("2014-01-01", "D").astype(np.int64)
OBSERVED_TO = np.datetime64("2024-01-01", "D").astype(np.int64)
NEVER = np.int32(2**30)
NOBODY, NONE = np.int32(-1), np.int32(-1)
MALE, FEMALE = np.int8(0), np.int8(1)
_YEAR = 365.25

Days = NDArray[np.int32]
Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Journey:
    """Why people cross the border: their share among persons, where they live first, and who they are.

    pool: nationals, visitors, migrants or neighbours. sizes: weights of parties of one, two … persons.
    ages: quantiles of the age of adults in years when history begins.
    """

    name: str
    share: float
    is_here: bool
    pool: str
    sizes: Sequence[float]
    ages: Sequence[float]


_ADULTS = (18, 27, 35, 44, 54, 66, 88)
_YOUNG = (17, 19, 21, 23, 27, 33)
_WORKERS = (19, 24, 29, 35, 43, 58)
JOURNEYS = (
    Journey("resident", 0.240, True, "nationals", (35, 28, 15, 15, 7), _ADULTS),
    Journey("settled", 0.040, True, "migrants", (40, 25, 15, 13, 7), _ADULTS),
    Journey("emigrant", 0.020, True, "nationals", (60, 20, 10, 10), _WORKERS),
    Journey("secondment", 0.010, True, "nationals", (80, 10, 5, 5), _WORKERS),
    Journey("expatriate", 0.015, False, "nationals", (50, 25, 15, 10), _ADULTS),
    Journey("tourist", 0.548, False, "visitors", (45, 33, 10, 9, 3), _ADULTS),
    Journey("student", 0.025, False, "migrants", (1,), _YOUNG),
    Journey("seasonal", 0.025, False, "migrants", (88, 12), _WORKERS),
    Journey("contract", 0.020, False, "migrants", (75, 12, 7, 6), _WORKERS),
    Journey("immigrant", 0.040, False, "migrants", (52, 20, 13, 11, 4), _WORKERS),
    Journey("circular", 0.008, False, "migrants", (85, 15), _WORKERS),
    Journey("commuter", 0.0025, False, "neighbours", (1,), _WORKERS),
    Journey("overstayer", 0.0065, False, "visitors", (70, 20, 10), _WORKERS),
)
JOURNEY = {journey.name: number for number, journey in enumerate(JOURNEYS)}


@dataclass(frozen=True)
class Parties:
    """One element for each party: journey, first country of citizenship (an index of `countries`), and its size."""

    journey: NDArray[np.int8]
    country: NDArray[np.int16]
    size: NDArray[np.int8]


@dataclass(frozen=True)
class Persons:
    """One element for each person; indices of persons are their numbers, days count from 1970-01-01.

    role: 0 and 1 adults, 2 … children. Countries are indices of `countries`, names ids of `load_names()`; -1: none.
    married_day: the surname becomes married_surname; NEVER: it does not. mother: number of a person of the party.
    """

    party: Ids
    role: NDArray[np.int8]
    sex: NDArray[np.int8]
    birth_day: Days
    death_day: Days
    citizenship: NDArray[np.int16]
    second_citizenship: NDArray[np.int16]
    surname: Ids
    second_surname: Ids
    given: Ids
    second_given: Ids
    married_day: Days
    married_surname: Ids
    mother: Ids


@cache
def countries() -> pl.DataFrame:
    """List the countries people come from; the first is the country itself."""
    return _read("countries.csv").with_columns(pl.col("needs_visa", "is_neighbour").cast(pl.Boolean))


@cache
def cultures() -> pl.DataFrame:
    """List how each culture gives names, in the order of `CULTURES`."""
    order = pl.DataFrame({"culture": list(CULTURES)})
    return order.join(_read("cultures.csv"), on="culture", how="left", maintain_order="left")


def make_parties(n_persons: int, chance: Chance) -> Parties:
    """Give the parties in which about so many persons travel and live."""
    journeys, country, sizes = [], [], []
    for number, journey in enumerate(JOURNEYS):
        weights = np.asarray(journey.sizes, dtype=np.float64)
        mean = float((weights * np.arange(1, len(weights) + 1)).sum() / weights.sum())
        n = max(1, round(n_persons * journey.share / mean))
        party = np.arange(n)
        journeys.append(np.full(n, number, dtype=np.int8))
        sizes.append((1 + chance.pick(journey.sizes, f"{journey.name}/size", party)).astype(np.int8))
        country.append(chance.pick(_pool(journey.pool), f"{journey.name}/country", party).astype(np.int16))
    return Parties(np.concatenate(journeys), np.concatenate(country), np.concatenate(sizes))


def make_persons(parties: Parties, second_rate: float, marriage_rate: float, chance: Chance) -> Persons:
    """Give the persons of the parties: adults, their children, who they are and how they are named.

    second_rate: share of persons with a second citizenship. marriage_rate: changes of name a year below 50.
    """
    party = np.repeat(np.arange(parties.size.size, dtype=np.int32), parties.size)
    person = np.arange(party.size, dtype=np.int32)
    first = np.concatenate([[0], np.cumsum(parties.size, dtype=np.int64)[:-1]])[party].astype(np.int32)
    place = person - first
    # The second of a party is a partner, but for one parent in eight who travels with the children alone.
    is_partner = (place == 1) & ~chance.happens(0.12, "single parent", party)
    role = np.where(place == 0, 0, np.where(is_partner, 1, 2 + place)).astype(np.int8)
    sex = _draw_sexes(party, role, chance)
    birth = _draw_births(parties, party, role, first, chance)
    citizenship = _draw_citizenships(parties, party, role, chance)
    culture = _culture_of(citizenship, party, role, parties, chance)
    mother = _find_mothers(role, sex, first)
    surname, second_surname = _draw_surnames(party, role, sex, culture, first, chance)
    given, second_given = _draw_given(sex, culture, person, chance)
    married_day, married_surname = _draw_marriages(sex, birth, culture, person, marriage_rate, chance)
    married_surname = np.where(married_surname == surname, surname, married_surname)
    whole = Persons(
        party, role, sex, birth, _draw_deaths(birth, person, chance), citizenship,
        _draw_second_citizenships(parties, party, citizenship, second_rate, chance), surname, second_surname,
        given, second_given, married_day, married_surname.astype(np.int32), mother,
    )  # fmt: skip
    return _keep(whole, birth < HISTORY_TO)


def _keep(persons: Persons, kept: NDArray[np.bool_]) -> Persons:
    """The persons who are born before history ends, numbered anew; first adults always are."""
    number = np.cumsum(kept, dtype=np.int32) - np.int32(1)
    columns = {name: values[kept] for name, values in vars(persons).items()}
    mother = columns["mother"]
    columns["mother"] = np.where(mother == NOBODY, NOBODY, number[mother]).astype(np.int32)
    return Persons(**columns)


def _pool(pool: str) -> NDArray[np.float64]:
    listed = countries()
    weights = {
        "nationals": (listed["country"] == HOME).cast(pl.Float64),
        "visitors": listed["visitors"].cast(pl.Float64),
        "migrants": listed["migrants"].cast(pl.Float64),
        "neighbours": listed["is_neighbour"].cast(pl.Float64),
    }
    return weights[pool].to_numpy()


def _draw_sexes(party: Ids, role: NDArray[np.int8], chance: Chance) -> NDArray[np.int8]:
    """Adults of either sex; partners mostly of different ones."""
    first = chance.happens(0.5, "sex of the first adult", party)
    partner = first ^ chance.happens(0.97, "partner of the other sex", party)
    child = chance.happens(0.488, "sex of a child", party, role)
    return np.where(role == 0, first, np.where(role == 1, partner, child)).astype(np.int8)


def _draw_births(parties: Parties, party: Ids, role: NDArray[np.int8], first: Ids, chance: Chance) -> Days:
    """Days of birth: adults by the ages of the journey, partners near them, children when the elder was 18 to 45."""
    adult = np.zeros(parties.size.size, dtype=np.int64)
    for number, journey in enumerate(JOURNEYS):
        of_journey = np.flatnonzero(parties.journey == number)
        age = chance.quantile(journey.ages, f"{journey.name}/age", of_journey)
        adult[of_journey] = (
            HISTORY_FROM - np.floor(age * _YEAR) - chance.whole(0, 365, "birthday", of_journey)
        )
    elder = adult[party]
    partner = elder + chance.whole(-6 * 365, 7 * 365, "age of the partner", party)
    # Partners are adults when history begins: as much older than the elder as they would have been younger.
    partner = np.where(partner > HISTORY_FROM - 17 * 365, 2 * elder - partner, partner)
    # One child in thirty is the twin of the one before.
    twin_of = np.where(chance.happens(0.03, "twin", party, role) & (role > 3), role - 1, role)
    spacing = chance.quantile((19, 24, 28, 32, 37, 45), "age of the parent", party, twin_of)
    child = elder + np.floor(spacing * _YEAR).astype(np.int64)
    birth = np.where(role == 0, elder, np.where(role == 1, partner, child))
    return birth.astype(np.int32)


def _draw_deaths(birth: Days, person: Ids, chance: Chance) -> Days:
    """Days of death within history, by age when it begins; assumed risks over its fifteen years."""
    age = np.maximum(0, HISTORY_FROM - birth) / _YEAR
    risk = np.interp(age, (0, 30, 50, 65, 75, 85, 100), (0.003, 0.01, 0.05, 0.18, 0.42, 0.85, 1.0))
    start = np.maximum(HISTORY_FROM, birth.astype(np.int64) + 30)
    day = start + np.floor(chance.share("day of death", person) * np.maximum(0, HISTORY_TO - start))
    dies = chance.happens(risk, "death", person) & (day < HISTORY_TO)
    return np.where(dies, day, NEVER).astype(np.int32)


def _draw_citizenships(
    parties: Parties, party: Ids, role: NDArray[np.int8], chance: Chance
) -> NDArray[np.int16]:
    """The party's country, or for one partner in eight a country of migrants."""
    other = chance.pick(_pool("migrants"), "country of the partner", party)
    is_other = (role == 1) & chance.happens(0.12, "foreign partner", party)
    return np.where(is_other, other, parties.country[party]).astype(np.int16)


def _draw_second_citizenships(
    parties: Parties, party: Ids, citizenship: NDArray[np.int16], rate: float, chance: Chance
) -> NDArray[np.int16]:
    """A second citizenship: for nationals another country's, for others the country's own in one case of three."""
    person = np.arange(party.size)
    journey = parties.journey[party]
    abroad = np.isin(journey, [JOURNEY["expatriate"], JOURNEY["emigrant"]])
    has = chance.happens(np.where(abroad, np.minimum(0.9, 8 * rate), rate), "second citizenship", person)
    foreign = chance.pick(_pool("migrants") + _pool("visitors"), "second country", person)
    is_home = (citizenship != 0) & chance.happens(1 / 3, "second country is home", person)
    second = np.where(is_home, 0, foreign)
    return np.where(has & (second != citizenship), second, NONE).astype(np.int16)


def _culture_of(
    citizenship: NDArray[np.int16], party: Ids, role: NDArray[np.int8], parties: Parties, chance: Chance
) -> NDArray[np.int8]:
    """The culture of the citizenship; nationals are of several, one to a party."""
    place = {culture: number for number, culture in enumerate(CULTURES)}
    of_country = np.array([place[culture] for culture in countries()["culture"]], dtype=np.int8)
    national = chance.pick(cultures()["national"].to_list(), "culture of nationals", party)
    # Children bear the culture of the first adult, whatever the partner's.
    own = np.where(role == 1, citizenship, parties.country[party])
    return np.where(own == 0, national, of_country[own]).astype(np.int8)


def _find_mothers(role: NDArray[np.int8], sex: NDArray[np.int8], first: Ids) -> Ids:
    """The adult woman of the party, else its first adult; nobody for adults."""
    partner = np.minimum(first + 1, role.size - 1)
    is_partner = (role[partner] == 1) & (sex[partner] == FEMALE) & (sex[first] == MALE)
    return np.where(role < 2, NOBODY, np.where(is_partner, partner, first)).astype(np.int32)


def _draw_surnames(
    party: Ids,
    role: NDArray[np.int8],
    sex: NDArray[np.int8],
    culture: NDArray[np.int8],
    first: Ids,
    chance: Chance,
) -> tuple[Ids, Ids]:
    """Surnames as the culture gives them: the party's, the partner's own, both parents', or the children's own."""
    names, habits = load_names(), cultures()
    family = names.draw("surname", culture[first], chance.share("surname", party))
    own = names.draw("surname", culture, chance.share("partner's surname", party))
    childs = names.draw("surname", culture[first], chance.share("children's surname", party))
    takes = chance.happens(habits["wife_takes"].to_numpy()[culture], "takes the name", party)
    is_own = (habits["children"] == "own").to_numpy()[culture]
    surname = np.where(
        role == 1, np.where(takes, family, own), np.where((role >= 2) & is_own, childs, family)
    )

    second = names.draw("surname", culture, chance.share("second surname", party, role > 1, role == 1))
    # Children of two surnames bear the first of either parent.
    partners = np.where(role >= 2, np.where(takes, second, own), second)
    has_two = habits["double_surname"].to_numpy()[culture] > 0
    bears = np.where(sex == FEMALE, names.female[surname], surname)
    return bears.astype(np.int32), np.where(has_two, partners, NONE).astype(np.int32)


def _draw_given(
    sex: NDArray[np.int8], culture: NDArray[np.int8], person: Ids, chance: Chance
) -> tuple[Ids, Ids]:
    names = load_names()
    has_second = chance.happens(cultures()["second_given"].to_numpy()[culture], "has a second name", person)
    first, second = (
        _draw_by_sex(names, sex, culture, chance.share(q, person)) for q in ("given", "second given")
    )
    return first, np.where(has_second & (second != first), second, NONE).astype(np.int32)


def _draw_by_sex(
    names: Names, sex: NDArray[np.int8], culture: NDArray[np.int8], share: NDArray[np.float64]
) -> Ids:
    male, female = (names.draw(kind, culture, share) for kind in ("male", "female"))
    return np.where(sex == FEMALE, female, male).astype(np.int32)


def _draw_marriages(
    sex: NDArray[np.int8], birth: Days, culture: NDArray[np.int8], person: Ids, rate: float, chance: Chance
) -> tuple[Days, Ids]:
    """A change of surname on marriage, nineteen times in twenty a woman's, where wives take names at all."""
    names = load_names()
    takes = cultures()["wife_takes"].to_numpy()[culture]
    # A rate among all adults; it falls on women (and few men) of the cultures in which names change.
    yearly = rate * np.where(sex == FEMALE, 1.9, 0.1) * np.where(takes > 0, 1.25, 0)
    adult_from = np.maximum(HISTORY_FROM, birth + np.int64(19 * 365))
    adult_to = np.minimum(HISTORY_TO, birth + np.int64(50 * 365))
    waited = chance.share("marriage", person) / np.maximum(yearly, 1e-9)
    day = adult_from + np.floor(np.minimum(waited, 200) * 365).astype(np.int64)
    marries = (yearly > 0) & (day < adult_to)
    spouse = names.draw("surname", culture, chance.share("married surname", person))
    surname = np.where(sex == FEMALE, names.female[spouse], spouse)
    return np.where(marries, day, NEVER).astype(np.int32), surname.astype(np.int32)


def _read(name: str) -> pl.DataFrame:
    text = (files(__package__) / name).read_text(encoding="utf-8")
    return pl.read_csv(StringIO(text), comment_prefix="#")
