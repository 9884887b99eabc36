"""The levels of the fields of a person that every source may hold: name, dates, documents, numbers, codes."""

from collections.abc import Callable
from dataclasses import replace

from miglink.codes import former_states
from miglink.stages.linkage.levels import Comparison, Level
from miglink.stages.linkage.travel import compare_travel
from miglink.tables import IDENTIFYING


def similar(column: str, threshold: float) -> str:
    """Jaro–Winkler similarity of a column in ASCII."""
    return f"jaro_winkler_similarity({column}_l, {column}_r) >= {threshold}"


def begins(column: str) -> str:
    """One of the two is the beginning of the other: a name cut off or a second name left out."""
    return f"(starts_with({column}_l, {column}_r) OR starts_with({column}_r, {column}_l))"


_SAME_SURNAME = (
    "(surname_key_l = surname_key_r OR surname_icao_key_l = surname_icao_key_r "
    "OR surname_core_l = surname_core_r)"
)
_SAME_GIVEN = "(given_names_key_l = given_names_key_r OR given_names_icao_key_l = given_names_icao_key_r)"
# Also one of two surnames, a married name beside the born one, a surname cut off.
_NEAR_SURNAME = (
    f"({_SAME_SURNAME} OR surname_first_l = surname_first_r OR surname_last_l = surname_last_r "
    f"OR {begins('surname_key')} OR {similar('surname_key', 0.9)})"
)
# Also initials, the second name alone, a patronymic on one side.
_NEAR_GIVEN = (
    f"({_SAME_GIVEN} OR {begins('given_names_key')} "
    "OR given_names_key_l = given_names_initials_r OR given_names_initials_l = given_names_key_r "
    "OR given_names_key_l = given_names_last_r OR given_names_last_l = given_names_key_r "
    f"OR {similar('given_names_key', 0.9)})"
)
_NO_GIVEN = "(given_names_key_l IS NULL OR given_names_key_r IS NULL)"
_WOMEN = "is_likely_woman_l AND is_likely_woman_r"
# Several records of each, over times that overlap: nobody bears two surnames by turns.
_AT_ONE_TIME = (
    "(first_date_l < last_date_l AND first_date_r < last_date_r "
    "AND first_date_l <= last_date_r AND first_date_r <= last_date_l)"
)
_SAME_SOUND = "name_sound_l = name_sound_r"
_SAME_ROUGHLY = "name_rough_l = name_rough_r"
# As systems of transliteration and forms of one name differ, further than misspellings do.
_ALIKE_SURNAME = (
    "(surname_variant_l = surname_variant_r OR (surname_sound_l = surname_sound_r AND surname_sound_l <> '') "
    f"OR {_NEAR_SURNAME} OR {similar('surname_key', 0.8)})"
)
_ALIKE_GIVEN = (
    "(given_names_variant_l = given_names_variant_r "
    "OR (given_names_sound_l = given_names_sound_r AND given_names_sound_l <> '') "
    f"OR {_NEAR_GIVEN} OR {similar('given_names_key', 0.8)})"
)
# Cheap conditions stand before costly ones in a CASE of their own: within coalesce and NOT an engine reckons every part
# for every pair.
# Brothers and sisters born on one day: surname and date of birth agree for one reason and must count once.
TWINS = (
    f"CASE WHEN birth_day_iso_l = birth_day_iso_r AND {_NEAR_SURNAME} "
    f"THEN coalesce(NOT {_ALIKE_GIVEN} AND NOT coalesce({_SAME_SOUND}, false) "
    f"AND NOT coalesce({_SAME_ROUGHLY}, false) "
    "AND NOT coalesce(name_variants_l = name_variants_r, false), false) ELSE false END"
)
NAME_COLUMNS = (
    "surname_key", "given_names_key", "surname_icao_key", "given_names_icao_key", "surname_core", "surname_first",
    "name_words", "name_key", "name_sound", "birth_day_iso", "surname_last", "given_names_last",
    "given_names_initials", "surname_sound", "given_names_sound", "surname_variant", "given_names_variant",
    "name_variants", "likely_given_names", "name_rough", "is_likely_woman", "first_date", "last_date",
)  # fmt: skip


_OTHER_SURNAME = (
    # Who changes a surname by marriage is mostly a woman; data say how much more often. Frequencies are of men
    # and women together here, for the level says the sex too.
    Level(
        "same given names, other surname, women",
        f"{_SAME_GIVEN} AND {_WOMEN} AND NOT coalesce({_AT_ONE_TIME}, false)",
        "given_names_key",
        given=("citizenship",),
    ),
    Level("same given names, other surname", _SAME_GIVEN, "given_names_key", given=("citizenship",)),
    Level(
        "similar given names, other surname, women",
        f"given_names_variant_l = given_names_variant_r AND {_WOMEN}",
        "given_names_variant",
        given=("citizenship",),
    ),
    Level(
        "given names in the place of the surname, other surname, women",
        f"likely_given_names_l = likely_given_names_r AND {_WOMEN}",
        "likely_given_names",
        given=("citizenship",),
    ),
)


def _name(field: str) -> Comparison:
    """Surname and given names together: their errors come together (swaps, splits, one document)."""
    return Comparison(
        field,
        NAME_COLUMNS,
        "name_words_l IS NULL OR name_words_r IS NULL",
        (
            Level("same name", f"{_SAME_SURNAME} AND {_SAME_GIVEN}", "name_words", has_surname=True),
            Level("same words in another order", "name_words_l = name_words_r OR name_key_l = name_key_r"),
            Level(
                "same surname, similar given names", f"{_SAME_SURNAME} AND {_NEAR_GIVEN}", has_surname=True
            ),
            Level(
                "same given names, similar surname", f"{_SAME_GIVEN} AND {_NEAR_SURNAME}", has_surname=True
            ),
            Level(
                "similar name",
                f"name_variants_l = name_variants_r OR ({_NEAR_SURNAME} AND {_NEAR_GIVEN}) "
                f"OR {similar('name_key', 0.93)}",
                has_surname=True,
            ),
            Level("names that sound alike", _SAME_SOUND, "name_sound", has_surname=True),
            Level("names of one rough sound", _SAME_ROUGHLY, "name_rough", has_surname=True),
            Level("names somewhat alike", f"{_ALIKE_SURNAME} AND {_ALIKE_GIVEN}", has_surname=True),
            *_OTHER_SURNAME,
            Level(
                "same surname, given names not known",
                f"{_SAME_SURNAME} AND {_NO_GIVEN}",
                has_surname=True,
            ),
            Level(
                "same or similar surname and day of birth, other given names",
                TWINS,
                is_family=True,
                is_twins=True,
                has_surname=True,
            ),
            Level(
                "same or similar surname, other given names",
                _NEAR_SURNAME,
                is_family=True,
                has_surname=True,
            ),
        ),
        sampled_within=("name_words", "surname_key", "given_names_key"),
        given=("citizenship", "sex"),
    )


def _date(field: str) -> Comparison:
    """Dates of birth with the errors they really have."""
    known = "birth_date_precision_l = 'day' AND birth_date_precision_r = 'day'"
    return Comparison(
        field,
        ("birth_iso", "birth_year", "birth_swapped", "birth_month_day", "birth_date_precision"),
        "birth_iso_l IS NULL OR birth_iso_r IS NULL",
        date_levels("birth", known),
        sampled_within=("birth_day_iso",),
        given=("citizenship",),
    )


def date_levels(stem: str, known: str) -> tuple[Level, ...]:
    """The levels of two dates whose keys begin with `stem`; `known` says that both days are known."""
    first = f"({stem}_iso_l LIKE '%-01-01' OR {stem}_iso_r LIKE '%-01-01')"
    return (
        Level("same day", f"{stem}_iso_l = {stem}_iso_r AND {known}", f"{stem}_iso"),
        Level(
            "same year, day not known or 1 January",
            f"{stem}_year_l = {stem}_year_r AND (NOT ({known}) OR {first})",
        ),
        Level("day and month swapped", f"{stem}_iso_l = {stem}_swapped_r"),
        Level("one digit", f"hamming({stem}_iso_l, {stem}_iso_r) <= 1"),
        # Who mistakes a year keeps the day; of a name and a year alone there are many.
        Level("same day and month", f"{stem}_month_day_l = {stem}_month_day_r"),
        Level("same year", f"{stem}_year_l = {stem}_year_r"),
    )


def _document(field: str) -> Comparison:
    """Travel documents: a number with the state that issued it, and how numbers are misread."""
    other_country = f"document_country_l <> document_country_r AND NOT {succeeds_sql('document_country')}"
    # Documents are of the state of citizenship: where both citizenships are known they have said it already.
    is_said = "citizenship_l IS NOT NULL AND citizenship_r IS NOT NULL"
    return Comparison(
        field,
        ("document_number", "document_folded", "document_country", "document_unchecked", "citizenship"),
        "document_number_l IS NULL OR document_number_r IS NULL",
        (
            Level(
                "same number",
                # With or without the check digit that stands behind it in a machine-readable zone.
                "(document_number_l = document_number_r OR document_number_l = document_unchecked_r "
                "OR document_unchecked_l = document_number_r) "
                f"AND NOT coalesce({other_country}, false)",
            ),
            Level(
                "one character, or characters that look alike",
                "document_folded_l = document_folded_r OR (length(document_number_l) > 5 "
                "AND levenshtein(document_number_l, document_number_r) <= 1)",
            ),
            Level("other number", is_said),
            Level("other number, same country", f"NOT coalesce({other_country}, false)"),
        ),
        is_identifier=True,
    )


def number(field: str, key: str | None = None) -> Comparison:
    """A number given once: equal, one digit off, or another."""
    key = key or field
    return Comparison(
        field,
        (key,),
        f"{key}_l IS NULL OR {key}_r IS NULL",
        (
            Level("same number", f"{key}_l = {key}_r"),
            Level("one digit", f"length({key}_l) > 5 AND levenshtein({key}_l, {key}_r) <= 1"),
        ),
        is_identifier=True,
    )


_STANDARD = [column.name for column in IDENTIFYING]
# Fields with so few values that random pairs often agree on them.
_FEW_VALUES = (
    "sex",
    "citizenship",
    "citizenship_2",
    "birth_country",
    "document_country",
    "birth_date_precision",
)


def succeeds_sql(field: str) -> str:
    """Whether one of two countries is a former state and the other one of the states that followed it.

    Both sides in one text, so that it is one look into a list; it is null where a side is not known.
    """
    pairs = sorted(former_states().select("former", "successor").rows())
    both = ", ".join(f"'{former}{after}', '{after}{former}'" for former, after in pairs)
    return f"({field}_l || {field}_r) IN ({both})"


def exact(field: str) -> Comparison:
    """Equal or not; rare values say more."""
    frequency = None if field == "sex" else field
    return Comparison(
        field,
        (field,),
        f"{field}_l IS NULL OR {field}_r IS NULL",
        (Level("same", f"{field}_l = {field}_r", frequency),),
        sampled_within=() if field in _FEW_VALUES else (field,),
        is_further=field not in _STANDARD,
        block_key=None if field in BY_FIELD or field in _FEW_VALUES else field,
        given=("citizenship",) if field == "birth_country" else (),
    )


def _citizenship(field: str) -> Comparison:
    """Citizenships: one in common is agreement, for a person may show either."""
    return Comparison(
        field,
        ("citizenship", "citizenship_2"),
        "citizenship_l IS NULL OR citizenship_r IS NULL",
        (
            Level("same", "citizenship_l = citizenship_r", "citizenship"),
            Level(
                "one in common",
                "coalesce(citizenship_2_l = citizenship_r, false) OR coalesce(citizenship_2_r = citizenship_l, false) "
                "OR coalesce(citizenship_2_l = citizenship_2_r, false)",
            ),
            _former("citizenship"),
        ),
    )


def _former(field: str) -> Level:
    return Level("former state and one that followed it", succeeds_sql(field))


def _birth_country(field: str) -> Comparison:
    """Countries of birth, as they were called at birth or are called now."""
    plain = exact(field)
    return replace(plain, levels=(*plain.levels, _former(field)))


BY_FIELD: dict[str, Callable[[str], Comparison]] = {
    "name": _name,
    "birth_date": _date,
    "document": _document,
    "person_number": number,
    "sex": exact,
    "citizenship": _citizenship,
    "birth_country": _birth_country,
    "travel": compare_travel,
}
