"""Random numbers that are functions of the seed, the draw, the person and the question: the same on every engine.

Not of the order of rows, nor of a rule: what a person's luck is under one rule it is under another, and in a run with
more persons.
"""

import hashlib

import polars as pl

from miglink.engine import Engine, Table

# A prime below 2^31: squares stay below 2^63, and the fifth power permutes the numbers below it, for 5 does not divide
# what is one less.
PRIME = 2_147_483_647
_DIGITS = 8
# Above the greatest number of a draw.
_DRAWS = 1024


def list_draws(number: int, seed: int) -> pl.DataFrame:
    """The draws from 1 on, with the two numbers that their luck begins and ends with."""
    draws = range(1, number + 1)
    return pl.DataFrame(
        {
            "draw": list(draws),
            "key_1": [number_of(f"{seed}:{draw}:1") for draw in draws],
            "key_2": [number_of(f"{seed}:{draw}:2") for draw in draws],
        },
        schema={"draw": pl.Int32, "key_1": pl.Int64, "key_2": pl.Int64},
    )


def number_of(text: str) -> int:
    """A number below PRIME from a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % PRIME


def luck_of(person_id: str) -> str:
    """SQL for a number below PRIME from the hexadecimal digits of a pseudonym."""
    digits = (
        f"(instr('0123456789abcdef', substring({person_id}, {place + 1}, 1)) - 1) * {16 ** (_DIGITS - 1 - place)}"
        for place in range(_DIGITS)
    )
    return f"CAST(MOD({' + '.join(digits)}, {PRIME}) AS BIGINT)"


def draw_key(person_key: str, draw: str) -> str:
    """SQL for the number of a person in a draw."""
    return f"({person_key} * {_DRAWS} + {draw})"


def with_chances(engine: Engine, name: str, rows: Table, position: str, *questions: str) -> Table:
    """The rows (with luck, key_1, key_2) and for each question a column of that name: uniform between 0 and 1.

    position: SQL for a whole number of the row, such as the place of a crossing among those of a person.

    Three rounds of adding a key and taking the fifth power modulo PRIME, as in the cipher MiMC (Albrecht et al. 2016).
    """
    columns = []
    for question in questions:
        last = "luck"
        for turn, added in enumerate(("key_1", f"{position} * 69621 + {number_of(question)}", "key_2")):
            c = f"{question}_{turn}"
            columns += [
                f"MOD({last} + {added}, {PRIME}) AS {c}_0",
                f"MOD({c}_0 * {c}_0, {PRIME}) AS {c}_1",
                f"MOD({c}_1 * {c}_1, {PRIME}) AS {c}_2",
                f"MOD({c}_2 * {c}_0, {PRIME}) AS {c}_3",
            ]
            last = f"{c}_3"
        columns.append(f"({last} + 0.5) / {float(PRIME)} AS {question}")
    return engine.view(name, f"SELECT *, {', '.join(columns)} FROM rows_of", rows_of=rows)
