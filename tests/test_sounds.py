"""Names that sound alike: other spellings of a name agree, other names mostly do not."""

from itertools import chain

from miglink.engine import Engine, text_literal
from miglink.stages.linkage.sounds import rough_sound_sql, sound_sql

ALIKE = (
    ("OLEKSANDR", "ALEXANDER"),
    ("SERHII", "SERGEY"),
    ("MOHAMMED", "MUHAMAD"),
    ("IVANOV", "IVANOFF"),
    ("YULIIA", "JULIA"),
    ("DMYTRO", "DMITRIY"),
    ("KHALID", "KALID"),
    ("YEVHEN", "EVGENY"),
    ("HUSSEIN", "HUSAYN"),
    ("SCHMIDT", "SHMIT"),
    ("ZHANG", "CHANG"),
    ("EL HINAI", "ELHINAI"),
    ("AMINAH FATMAH", "AMINA FATMA"),
    ("KOWALCZYK", "KOVALTCHIK"),
)
DIFFERENT = (
    ("ANNA", "MARIA"),
    ("NOWAK", "KOWAL"),
    ("KIM", "LEE"),
    ("SMITH", "JONES"),
    ("SERHII", "PAVLO"),
    ("LI", "LIN"),
)


def sounds(engine: Engine, *names: str) -> list[str]:
    select = ", ".join(f"{sound_sql(text_literal(name))} AS s{number}" for number, name in enumerate(names))
    return [str(value) for value in engine.collect(f"SELECT {select}").row(0)]


def test_spellings_of_a_name_sound_alike(engine: Engine) -> None:
    found = sounds(engine, *chain(*ALIKE))
    heard = dict(zip(ALIKE, zip(found[::2], found[1::2], strict=True), strict=True))
    assert "" not in found
    assert {pair: both for pair, both in heard.items() if both[0] != both[1]} == {}


def test_other_names_do_not(engine: Engine) -> None:
    found = sounds(engine, *chain(*DIFFERENT))
    heard = dict(zip(DIFFERENT, zip(found[::2], found[1::2], strict=True), strict=True))
    assert {pair: both for pair, both in heard.items() if both[0] == both[1]} == {}


def test_a_name_of_vowels_has_no_sound(engine: Engine) -> None:
    assert sounds(engine, "EO", "AAKKKKA") == ["", "K"]


ROUGHLY_ALIKE = (
    ("QINGZHOU", "CHINGCHOU"),
    ("XIXUAN", "HSIHSUAN"),
    ("NAJAT", "NAGAT"),
    ("JANG", "CHANG"),
    ("ANHELINA", "ANGELINA"),
    ("JAMAL", "DJAMEL"),
)


def test_systems_of_romanisation_have_one_rough_sound(engine: Engine) -> None:
    names = [*chain(*ROUGHLY_ALIKE), *chain(*DIFFERENT[:4]), "AU"]
    select = ", ".join(f"{rough_sound_sql(text_literal(name))} AS s{n}" for n, name in enumerate(names))
    found = engine.collect(f"SELECT {select}").row(0)
    alike, different, (vowels,) = found[:12], found[12:20], found[20:]
    assert [one for one, other in zip(alike[::2], alike[1::2], strict=True) if one != other] == []
    assert [one for one, other in zip(different[::2], different[1::2], strict=True) if one == other] == []
    assert None not in alike and vowels is None
