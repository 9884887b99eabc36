"""Names that sound alike: other spellings of a name agree, other names mostly do not."""

import pytest

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


@pytest.mark.parametrize("pair", ALIKE, ids=" ".join)
def test_spellings_of_a_name_sound_alike(engine: Engine, pair: tuple[str, str]) -> None:
    left, right = sounds(engine, *pair)
    assert left == right != ""


@pytest.mark.parametrize("pair", DIFFERENT, ids=" ".join)
def test_other_names_do_not(engine: Engine, pair: tuple[str, str]) -> None:
    left, right = sounds(engine, *pair)
    assert left != right


def test_a_name_of_vowels_has_no_sound(engine: Engine) -> None:
    assert sounds(engine, "EO", "AAKKKKA") == ["", "K"]
