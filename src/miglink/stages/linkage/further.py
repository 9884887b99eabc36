"""The kinds of comparison for columns of the user's own, each with its levels, strongest first."""

from collections.abc import Callable
from dataclasses import replace

from miglink.stages.linkage.kinds import begins, date_levels, exact, number, similar
from miglink.stages.linkage.levels import Comparison, Level


def _both(key: str) -> str:
    return f"{key}_l IS NULL OR {key}_r IS NULL"


def _n_common(field: str) -> str:
    """So many different words stand on both sides."""
    return f"array_length(array_intersect({field}_list_l, {field}_list_r))"


def _is_part(field: str) -> str:
    """All words of one stand in the other."""
    fewer = f"least(array_length({field}_list_l), array_length({field}_list_r))"
    return f"{_n_common(field)} = {fewer}"


def person_name(field: str) -> Comparison:
    """The name of a person in one column, in any order of words.

    Levels: same words in any order (rare ones say more); similar spelling (Jaro–Winkler of at least 0.93); cut off, or
    some of its words left out; words that sound alike (rare ones say more); one word in common; other.
    """
    return Comparison(
        field,
        tuple(field + key for key in ("_text", "_key", "_words", "_list", "_sound")),
        _both(f"{field}_text"),
        (
            Level("same words", f"{field}_words_l = {field}_words_r", f"{field}_words"),
            Level("similar", f"{similar(f'{field}_words', 0.93)} OR {similar(f'{field}_key', 0.93)}"),
            Level("cut off, or words left out", f"{begins(f'{field}_key')} OR {_is_part(field)}"),
            Level("words that sound alike", f"{field}_sound_l = {field}_sound_r", f"{field}_sound"),
            Level("a word in common", f"{_n_common(field)} >= 1"),
        ),
        sampled_within=(f"{field}_words",),
        is_further=True,
        block_key=f"{field}_words",
        n_same=2,
    )


def text(field: str) -> Comparison:
    """Free text such as an address: words in any order; abbreviations are not looked up.

    Levels: same words and numbers in any order (rare ones say more); same numbers, and words that are similar
    (Jaro–Winkler of at least 0.9) or all words of one in the other; same numbers, a word in common; other numbers or
    none on one side, words that are similar; a word in common; other. The first three need the numbers to agree, so
    that two houses of one street are never the same.
    """
    numbers = f"{field}_numbers_l = {field}_numbers_r"
    alike = f"({similar(f'{field}_letters', 0.9)} OR coalesce({_is_part(field)}, false))"
    return Comparison(
        field,
        tuple(field + key for key in ("_text", "_words", "_letters", "_numbers", "_list")),
        _both(f"{field}_text"),
        (
            Level("same words and numbers", f"{field}_words_l = {field}_words_r", f"{field}_words"),
            Level("same numbers, similar words", f"{numbers} AND {alike}"),
            Level("same numbers, a word in common", f"{numbers} AND {_n_common(field)} >= 1"),
            Level("other numbers, similar words", alike),
            Level("a word in common", f"{_n_common(field)} >= 1"),
        ),
        sampled_within=(f"{field}_words",),
        is_further=True,
        block_key=f"{field}_words",
        n_same=2,
    )


def code(field: str) -> Comparison:
    """A code such as a postcode: its letters and digits alone count.

    Levels: same code (rare ones say more); one character differs, is missing, or two neighbours are swapped (codes of
    at least four characters); the same first half, rounded down; other.
    """
    key = f"{field}_key"
    long = f"length({key}_l) >= 4 AND length({key}_r) >= 4"
    return Comparison(
        field,
        (key, f"{field}_half"),
        _both(key),
        (
            Level("same code", f"{key}_l = {key}_r", key),
            Level("one character, or two swapped", f"{long} AND damerau_levenshtein({key}_l, {key}_r) <= 1"),
            Level("same first half", f"{field}_half_l = {field}_half_r"),
        ),
        sampled_within=(key,),
        is_further=True,
        block_key=key,
    )


def date(field: str) -> Comparison:
    """A date: ISO text (2001-02-03, 2001-02, 2001), or what `formats` of the column makes of it.

    Levels: same day (rare ones say more); same year, with a day that one side does not know or 1 January; day and month
    swapped; one digit; same day and month; same year; other. What is no date counts as not known.
    """
    return Comparison(
        field,
        tuple(field + key for key in ("_iso", "_year", "_month_day", "_swapped")),
        _both(f"{field}_year"),
        date_levels(field, f"{field}_iso_l IS NOT NULL AND {field}_iso_r IS NOT NULL"),
        sampled_within=(f"{field}_iso",),
        is_further=True,
        block_key=f"{field}_iso",
    )


def quantity(field: str) -> Comparison:
    """A number that measures or counts something, written with digits and a decimal point.

    Levels: same number (rare ones say more); 1 apart or 1 % of the larger; 10 % of the larger; other. What is no number
    counts as not known.
    """
    key = f"{field}_quantity"
    apart, larger = f"abs({key}_l - {key}_r)", f"greatest(abs({key}_l), abs({key}_r))"
    return Comparison(
        field,
        (key,),
        _both(key),
        (
            Level("same number", f"{key}_l = {key}_r", key),
            Level("1 apart, or 1 %", f"{apart} <= greatest(1, 0.01 * {larger})"),
            Level("10 %", f"{apart} <= 0.1 * {larger}"),
        ),
        is_further=True,
    )


def given_number(field: str) -> Comparison:
    """A number given to one person once, such as a membership number: it identifies.

    Levels: same number; one digit (numbers of more than five characters); other. Blanks and signs do not count.
    """
    key = f"{field}_key"
    return replace(number(field, key), is_further=True, block_key=key)


def same(field: str) -> Comparison:
    """Any column, as it is given.

    Levels: same (rare values say more); other.
    """
    return exact(field)


FURTHER_KINDS: dict[str, Callable[[str], Comparison]] = {
    "exact": same,
    "name": person_name,
    "text": text,
    "code": code,
    "date": date,
    "number": given_number,
    "quantity": quantity,
}
