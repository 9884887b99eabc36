"""Letters beyond ASCII, spelt in Latin."""

from collections.abc import Iterator, Mapping
from itertools import islice

from miglink.engine import Engine, Table, text_literal

# Replacements stand within one another, and a statement may be only so deep: on Spark less than on DuckDB.
_AT_ONCE = 50


def spell(
    engine: Engine, name: str, texts: Table, key: str, letters: Mapping[str, Mapping[str, str]]
) -> Table:
    """Replace the letters of some columns by their spellings, in as many steps as they take.

    Reads: texts (`key`, and each column that `letters` names). Gives: the same columns.
    """
    replacements = {column: iter(_replacements(spellings)) for column, spellings in letters.items()}
    number = 0
    while some := {column: [*islice(rest, _AT_ONCE)] for column, rest in replacements.items()}:
        if not any(some.values()):
            break
        spelt = ", ".join(f"{_replace(column, now)} AS {column}" for column, now in some.items())
        texts = engine.step(f"{name}_{number}", f"SELECT {key}, {spelt} FROM texts", texts=texts)
        number += 1
    return texts


def _replacements(spellings: Mapping[str, str]) -> Iterator[tuple[str, str, bool]]:
    """Letters, their spelling, and whether that stands letter by letter: one for all that become one, one a spelling.

    What is put in is ASCII and no letter to be replaced, so that they may come in any order.
    """
    single = {letter: latin for letter, latin in spellings.items() if len(latin) == 1}
    if single:
        yield "".join(single), "".join(single.values()), True
    several: dict[str, str] = {}
    for letter, latin in spellings.items():
        if len(latin) != 1:
            several[latin] = several.get(latin, "") + letter
    for latin, spelt_so in several.items():
        yield spelt_so, latin, False


def _replace(value: str, replacements: list[tuple[str, str, bool]]) -> str:
    for letters, latin, is_one_by_one in replacements:
        if is_one_by_one:
            value = f"translate({value}, {text_literal(letters)}, {text_literal(latin)})"
        else:
            # Letters beyond ASCII stand for themselves in a pattern.
            value = f"regexp_replace({value}, {text_literal(f'[{letters}]')}, {text_literal(latin)}, 'g')"
    return value
