"""Numbers of travel documents: what is misread for what, and the check digit that may end them."""

# Letters and digits that are misread for one another, and what stands for both.
MISREAD = ("OQIBSZ", "001852")
_VALUES = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_WEIGHTS = (7, 3, 1)
# The numbers, without check digit, that are looked at: a machine-readable zone has nine places for them.
_SHORTEST, _LONGEST = 6, 9


def check_digit_sql(number: str, length: int) -> str:
    """SQL for the check digit of a number of A-Z and 0-9, of its first `length` characters.

    Source: ICAO Doc 9303-3 (8th ed., 2021), section 4.9: weights 7, 3, 1 from the left, modulo 10.
    """
    terms = " + ".join(
        f"{_WEIGHTS[place % 3]} * (strpos('{_VALUES}', substring({number}, {place + 1}, 1)) - 1)"
        for place in range(length)
    )
    return f"CAST(({terms}) % 10 AS VARCHAR)"


def unchecked_sql(number: str) -> str:
    """SQL for a number without its last character, where that is the check digit of those before it; else null."""
    cases = " ".join(
        f"WHEN {length + 1} THEN CASE WHEN substring({number}, {length + 1}, 1) = {check_digit_sql(number, length)} "
        f"THEN substring({number}, 1, {length}) END"
        for length in range(_SHORTEST, _LONGEST + 1)
    )
    return f"CASE length({number}) {cases} END"
