"""Names of the synthetic country: shares as published, long tails, forms that belong together."""

import re
import unicodedata

import numpy as np
import pytest
from numpy.typing import NDArray

from miglink.codes import ascii_characters
from synthetic.names import CULTURES, KINDS, Names, load_names

CLOSED = {"vietnamese", "chinese", "korean"}
OPEN = {*CULTURES} - CLOSED - {"icelandic", "amharic"}


@pytest.fixture(scope="module")
def names() -> Names:
    return load_names()


def draw(names: Names, kind: str, culture: str, count: int) -> list[str]:
    chance = np.random.default_rng(7).random(count)
    ids = names.draw(kind, np.full(count, CULTURES.index(culture), np.int8), chance)
    return names.texts.gather(ids).to_list()


def place(names: Names, kind: str, culture: str) -> slice:
    last, n = names.lots[kind].last, CULTURES.index(culture)
    return slice(int(last[n - 1]) + 1 if n else 0, int(last[n]) + 1)


def distinct(names: Names, kind: str, culture: str) -> list[str]:
    return names.texts.gather(names.lots[kind].ids[place(names, kind, culture)]).to_list()


def shares(names: Names, kind: str, culture: str) -> NDArray[np.float64]:
    return np.diff(names.lots[kind].reach[place(names, kind, culture)], prepend=CULTURES.index(culture))


def identifier(names: Names, kind: str, culture: str, text: str) -> int:
    ids = names.lots[kind].ids[place(names, kind, culture)]
    return int(ids[distinct(names, kind, culture).index(text)])


@pytest.mark.parametrize(
    ("culture", "kind", "name", "share"),
    [
        ("german", "surname", "Müller", 0.0091),
        ("korean", "surname", "Kim", 0.215),
        ("spanish", "surname", "García", 0.0311),
        ("vietnamese", "surname", "Nguyễn", 0.384),
        ("chinese", "surname", "Wang", 0.0725),
        ("polish", "surname", "Nowak", 0.0053),
        ("english", "surname", "Smith", 0.012),
        ("turkish", "surname", "Yılmaz", 0.0186),
        ("turkish", "male", "Mehmet", 0.030),
        ("turkish", "female", "Fatma", 0.0273),
    ],
)
def test_common_names_are_as_common_as_published(
    names: Names, culture: str, kind: str, name: str, share: float
) -> None:
    count = 200_000
    found = draw(names, kind, culture, count).count(name) / count
    assert abs(found - share) < 5 * (share / count) ** 0.5


@pytest.mark.parametrize("culture", CULTURES)
def test_tails_are_long_where_the_culture_is_open(names: Names, culture: str) -> None:
    surnames, *given = (len(distinct(names, kind, culture)) for kind in KINDS)
    if culture in OPEN:
        assert surnames >= 3000 and min(given) >= 120
    elif culture in CLOSED:
        assert 60 <= surnames <= 150 and min(given) >= 800
    else:
        assert min(surnames, *given) >= 100


@pytest.mark.parametrize("culture", CULTURES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_common_come_first_and_shares_sum_to_one(names: Names, kind: str, culture: str) -> None:
    found = shares(names, kind, culture)
    assert abs(found.sum() - 1) < 1e-12
    assert (found > 0).all()
    assert (np.diff(found) < 1e-12).all()


def test_strangers_share_a_full_name_in_closed_cultures_above_all(names: Names) -> None:
    def chance(culture: str) -> float:
        return float(np.prod([(shares(names, kind, culture) ** 2).sum() for kind in ("surname", "female")]))

    assert chance("vietnamese") > 50 * chance("german")
    assert chance("korean") > 10 * chance("polish")
    assert chance("chinese") > 3 * chance("english")


def test_forms_are_names_of_the_same_culture(names: Names) -> None:
    n = len(names.texts)
    assert names.female.shape == (n,) and names.variants.shape == (n, 2)
    for ids in (names.female, names.variants):
        assert ids.dtype == np.int32 and ids.min() >= 0 and ids.max() < n
    assert (names.female[names.female] == names.female).all()
    itself = names.variants == np.arange(n, dtype=np.int32)[:, None]
    assert (itself.all(axis=1) | ~itself.any(axis=1)).all()


def test_a_culture_has_each_text_once(names: Names) -> None:
    firsts = [names.draw("surname", np.array([n], np.int8), np.zeros(1))[0] for n in range(len(CULTURES))]
    for start, end in zip(firsts, [*firsts[1:], len(names.texts)], strict=True):
        assert names.texts[int(start) : int(end)].is_unique().all()


@pytest.mark.parametrize(
    ("culture", "name", "female", "variants"),
    [
        ("polish", "Kowalski", "Kowalska", set()),
        ("polish", "Zawadzki", "Zawadzka", set()),
        ("icelandic", "Jónsson", "Jónsdóttir", set()),
        ("russian", "Ivanov", "Ivanova", set()),
        ("russian", "Zhukov", "Zhukova", {"Jukova", "Schukova"}),
        ("ukrainian", "Kravchenko", "Kravchenko", {"Kravtchenko"}),
        ("ukrainian", "Kovalskyi", "Kovalska", {"Kovalskaya"}),
        ("ukrainian", "Zelenskyi", "Zelenska", {"Zelenskaya"}),
        ("ukrainian", "Chornyi", "Chorna", {"Cherna"}),
        ("korean", "Park", "Park", {"Pak", "Bak"}),
        ("turkish", "Yılmaz", "Yılmaz", set()),
    ],
)
def test_women_bear_their_form_in_each_spelling(
    names: Names, culture: str, name: str, female: str, variants: set[str]
) -> None:
    woman = names.female[identifier(names, "surname", culture, name)]
    assert names.texts[int(woman)] == female
    assert {names.texts[int(n)] for n in names.variants[woman]} - {female} == variants


def test_spellings_lead_back_to_the_name(names: Names) -> None:
    serhii = identifier(names, "male", "ukrainian", "Serhii")
    assert {names.texts[int(n)] for n in names.variants[serhii]} == {"Sergey", "Serhiy"}
    for n in names.variants[serhii]:
        assert serhii in names.variants[n]


def test_texts_are_names_in_title_case_that_become_capitals(names: Names) -> None:
    odd = [text for text in names.texts if not re.fullmatch(r"[^\W\d_]+(?:[ '-][^\W\d_]+)*", text)]
    assert odd == []
    letters = sorted({letter for letter in "".join(names.texts) if letter.isalpha()})
    assert [letter for letter in letters if not unicodedata.name(letter).startswith("LATIN ")] == []
    assert all(re.search("^[^a-z]|^(?:von|van|de) ", text) for text in names.texts)
    assert all(unicodedata.is_normalized("NFC", text) for text in names.texts)
    upper = "".join(sorted(set("".join(names.texts).upper())))
    replaced = ascii_characters(upper)
    assert all(re.fullmatch("[A-Z]+", latin) for latin in replaced.values())
    assert "".join(letter for letter in upper if letter.isascii()) == " '-ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.mark.parametrize("kind", KINDS)
def test_the_ends_of_chance_stay_within_the_culture(names: Names, kind: str) -> None:
    culture = np.arange(len(CULTURES), dtype=np.int8)
    lot = names.lots[kind]
    least = names.draw(kind, culture, np.zeros(len(culture)))
    most = names.draw(kind, culture, np.full(len(culture), np.nextafter(1.0, 0.0)))
    assert (most == lot.ids[lot.last]).all()
    assert (least == lot.ids[[0, *(lot.last[:-1] + 1)]]).all()
    assert least.dtype == np.int32


def test_draws_do_not_depend_on_their_neighbours(names: Names) -> None:
    rng = np.random.default_rng(3)
    culture = rng.integers(0, len(CULTURES), 500).astype(np.int8)
    chance = rng.random(500)
    together = names.draw("surname", culture, chance)
    alone = [names.draw("surname", culture[n : n + 1], chance[n : n + 1])[0] for n in range(500)]
    assert together.tolist() == alone
    assert names.draw("surname", culture[::-1], chance[::-1]).tolist() == alone[::-1]
