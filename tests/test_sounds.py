"""Names that sound alike: other spellings of a name agree, other names mostly do not."""

from itertools import chain

from miglink.engine import Engine, text_literal
from miglink.stages.linkage.sounds import sound_sql

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
