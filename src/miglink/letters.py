"""Letters beyond ASCII, spelt in Latin."""

from collections.abc import Iterator, Mapping, Sequence

from miglink.engine import Engine, Table, text_literal

# Replacements stand within one another, and a statement may be only so deep: on Spark less than on DuckDB.
_AT_ONCE = 50


def find_letters(engine: Engine, texts: Table, column: str) -> str:
    """The letters beyond ASCII in a column, each once."""
    found = engine.collect(
        f"""SELECT DISTINCT letter FROM (SELECT unnest(string_split({column}, '')) AS letter FROM texts) AS spread
        WHERE letter > '~' ORDER BY letter""",
        texts=texts,
    )
    return "".join(found["letter"].to_list())


def spell(
    engine: Engine, name: str, texts: Table, key: str, letters: Mapping[str, Mapping[str, str]]
) -> Table:
    """Replace the letters of some columns by their spellings, in as many steps as they take.

    Reads: texts (`key`, and each column that `letters` names). Gives: the same columns.
    """
    replacements = {column: [*_replacements(spellings)] for column, spellings in letters.items()}
    for start in range(0, max(map(len, replacements.values())), _AT_ONCE):
        spelt = ", ".join(
            f"{_replace(column, every[start : start + _AT_ONCE])} AS {column}"
            for column, every in replacements.items()
        )
        texts = engine.step(f"{name}_{start}", f"SELECT {key}, {spelt} FROM texts", texts=texts)
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


def _replace(value: str, replacements: Sequence[tuple[str, str, bool]]) -> str:
    for letters, latin, is_one_by_one in replacements:
        if is_one_by_one:
            value = f"translate({value}, {text_literal(letters)}, {text_literal(latin)})"
        else:
            # Letters beyond ASCII stand for themselves in a pattern.
            value = f"regexp_replace({value}, {text_literal(f'[{letters}]')}, {text_literal(latin)}, 'g')"
    return value
