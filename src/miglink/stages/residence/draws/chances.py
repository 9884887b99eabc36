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
        f"CAST(instr('0123456789abcdef', substring({person_id}, {place + 1}, 1)) - 1 AS BIGINT)"
        f" * {16 ** (_DIGITS - 1 - place)}"
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
    # One projection inside the other, and no column of a projection from another of it: engines would write each out
    # as often as it is used, and the fifth power of a fifth power of a fifth power has 125 places for the first.
    selected = "rows_of"
    columns = {question: "luck" for question in questions}
    for turn, added in enumerate(("key_1", "{question}", "key_2")):
        for step, power in enumerate(("{x} + {added}", "{x} * {x}", "{x} * {x}", "{x} * {first}")):
            names = {question: f"{question}_{turn}_{step}" for question in questions}
            powers = (
                f"MOD({power}, {PRIME}) AS {names[question]}".format(
                    x=columns[question],
                    added=added.format(question=f"{position} * 69621 + {number_of(question)}"),
                    first=f"{question}_{turn}_0",
                )
                for question in questions
            )
            selected = f"(SELECT *, {', '.join(powers)} FROM {selected} AS inner_{turn}_{step})"
            columns = names
    chances = (f"({columns[question]} + 0.5) / {float(PRIME)} AS {question}" for question in questions)
    return engine.view(name, f"SELECT *, {', '.join(chances)} FROM {selected} AS drawn", rows_of=rows)
