"""What is compared between two identities, and in which levels of agreement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from miglink.codes import particles
from miglink.config.stages import ComparisonSettings, LinkageSettings
from miglink.engine import Engine, Table, text_literal
from miglink.errors import ConfigError
from miglink.stages.linkage.sounds import sound_sql
from miglink.tables import IDENTIFYING


@dataclass(frozen=True)
class Level:
    """One level of agreement: its SQL condition on `x_l` and `x_r`.

    frequency: the column whose frequency takes the place of u. is_family: relatives agree so as often as a person with
    herself; whether it speaks for a match can only be learnt where an identifier says who is who.
    """

    label: str
    condition: str
    frequency: str | None = None
    is_family: bool = False


@dataclass(frozen=True)
class Comparison:
    """The comparison of one field: the columns it reads, when it says nothing, and its levels, strongest first.

    sampled_within: columns whose equality is rare among random pairs, so that training samples pairs within them.
    is_further: a column that the configuration adds.
    """

    field: str
    columns: tuple[str, ...]
    null: str
    levels: tuple[Level, ...]
    is_identifier: bool = False
    sampled_within: tuple[str, ...] = ()
    is_further: bool = False


def prepare_identities(engine: Engine, identities: Table) -> Table:
    """Give each identity an integer id and the keys that comparisons and blocking use.

    Keys: names without spaces (`_key`), without particles (`_core`), all words of the name in alphabetical order
    (`name_words`), dates as ISO text (`birth_iso`), documents with letters and digits that are misread for one another
    made equal (`document_folded`), the consonants of surname and given names (`name_sound`).
    """
    words = "|".join(sorted(particles(), key=lambda word: (-len(word), word)))
    return engine.step(
        "linkage_identities",
        f"""WITH keyed AS (
            SELECT *, replace(surname_ascii, ' ', '') AS surname_key,
                   replace(given_names_ascii, ' ', '') AS given_names_key,
                   replace(surname_icao, ' ', '') AS surname_icao_key,
                   replace(given_names_icao, ' ', '') AS given_names_icao_key,
                   {_without("surname_ascii", words)} AS surname_spaced,
                   nullif(array_to_string(list_sort(string_split(
                       concat_ws(' ', surname_ascii, given_names_ascii), ' ')), ''), '') AS name_words,
                   CAST(birth_date AS VARCHAR) AS birth_iso,
                   translate(document_number, 'OQIBSZ', '001852') AS document_folded
            FROM identities)
        SELECT row_number() OVER (ORDER BY identity_id) AS unique_id, *,
               concat(surname_key, given_names_key) AS name_key, replace(surname_spaced, ' ', '') AS surname_core,
               nullif({sound_sql("surname_spaced")} || ' ' || {sound_sql("given_names_ascii")}, ' ') AS name_sound,
               split_part(surname_ascii, ' ', 1) AS surname_first,
               CASE WHEN birth_date_precision = 'day' THEN birth_iso END AS birth_day_iso,
               substring(birth_iso, 1, 4) AS birth_year,
               CASE WHEN birth_date_precision = 'day' THEN substring(birth_iso, 6) END AS birth_month_day,
               substring(birth_iso, 1, 5) || substring(birth_iso, 9, 2) || '-' || substring(birth_iso, 6, 2)
                   AS birth_swapped,
               substring(surname_key, 1, 4) AS surname_start, substring(given_names_key, 1, 4) AS given_names_start
        FROM keyed""",
        identities=identities,
    )


def _without(name: str, words: str) -> str:
    """A name without its particles; the whole of it where nothing else is left."""
    without = f"trim(regexp_replace((' ' || {name} || ' '), '( ({words}))+ ', ' ', 'g'))"
    return f"coalesce(nullif({without}, ''), {name})"


def _similar(column: str, threshold: float) -> str:
    return f"jaro_winkler_similarity({column}_l, {column}_r) >= {threshold}"


def _begins(column: str) -> str:
    """One of the two is the beginning of the other: a name cut off or a second name left out."""
    return f"(starts_with({column}_l, {column}_r) OR starts_with({column}_r, {column}_l))"


_SAME_SURNAME = (
    "(surname_key_l = surname_key_r OR surname_icao_key_l = surname_icao_key_r "
    "OR surname_core_l = surname_core_r)"
)
_SAME_GIVEN = "(given_names_key_l = given_names_key_r OR given_names_icao_key_l = given_names_icao_key_r)"
_NEAR_SURNAME = (
    f"({_SAME_SURNAME} OR {_similar('surname_key', 0.9)} OR {_begins('surname_key')} "
    "OR surname_first_l = surname_first_r)"
)
_NEAR_GIVEN = f"({_SAME_GIVEN} OR {_similar('given_names_key', 0.9)} OR {_begins('given_names_key')})"
_NO_GIVEN = "(given_names_key_l IS NULL OR given_names_key_r IS NULL)"
_SAME_SOUND = "name_sound_l = name_sound_r"
# Brothers and sisters born on one day: surname and date of birth agree for one reason and must count once.
_TWINS = (
    f"coalesce({_SAME_SURNAME} AND NOT {_NEAR_GIVEN} AND NOT coalesce({_SAME_SOUND}, false) "
    "AND birth_day_iso_l = birth_day_iso_r, false)"
)
_NAME_COLUMNS = (
    "surname_key", "given_names_key", "surname_icao_key", "given_names_icao_key", "surname_core", "surname_first",
    "name_words", "name_key", "name_sound", "birth_day_iso",
)  # fmt: skip


def _name(field: str) -> Comparison:
    """Surname and given names together: their errors come together (swaps, splits, one document)."""
    return Comparison(
        field,
        _NAME_COLUMNS,
        "name_words_l IS NULL OR name_words_r IS NULL",
        (
            Level("same name", f"{_SAME_SURNAME} AND {_SAME_GIVEN}", "name_words"),
            Level("same words in another order", "name_words_l = name_words_r OR name_key_l = name_key_r"),
            Level("same surname, similar given names", f"{_SAME_SURNAME} AND {_NEAR_GIVEN}"),
            Level("same given names, similar surname", f"{_SAME_GIVEN} AND {_NEAR_SURNAME}"),
            Level("similar name", f"({_NEAR_SURNAME} AND {_NEAR_GIVEN}) OR {_similar('name_key', 0.93)}"),
            Level("names that sound alike", _SAME_SOUND, "name_sound"),
            Level("same given names, other surname", _SAME_GIVEN),
            Level("same surname, given names not known", f"{_SAME_SURNAME} AND {_NO_GIVEN}"),
            Level("same surname and day of birth, other given names", _TWINS, is_family=True),
            Level("same surname, other given names", _SAME_SURNAME, is_family=True),
        ),
        sampled_within=("name_words", "surname_key", "given_names_key"),
    )


def _date(field: str) -> Comparison:
    """Dates of birth with the errors they really have."""
    known = "birth_date_precision_l = 'day' AND birth_date_precision_r = 'day'"
    first = "(birth_iso_l LIKE '%-01-01' OR birth_iso_r LIKE '%-01-01')"
    return Comparison(
        field,
        ("birth_iso", "birth_year", "birth_swapped", "birth_month_day", "birth_date_precision"),
        "birth_iso_l IS NULL OR birth_iso_r IS NULL",
        (
            Level("same day", f"birth_iso_l = birth_iso_r AND {known}", "birth_iso"),
            Level(
                "same year, day not known or 1 January",
                f"birth_year_l = birth_year_r AND (NOT ({known}) OR {first})",
            ),
            Level("day and month swapped", "birth_iso_l = birth_swapped_r"),
            Level("one digit", "levenshtein(birth_iso_l, birth_iso_r) <= 1"),
            Level(
                "same year, or same day and month",
                "birth_year_l = birth_year_r OR birth_month_day_l = birth_month_day_r",
            ),
        ),
        sampled_within=("birth_day_iso",),
    )


def _document(field: str) -> Comparison:
    """Travel documents: a number with the state that issued it, and how numbers are misread."""
    other_country = "document_country_l <> document_country_r"
    return Comparison(
        field,
        ("document_number", "document_folded", "document_country"),
        "document_number_l IS NULL OR document_number_r IS NULL",
        (
            Level(
                "same number",
                f"document_number_l = document_number_r AND NOT coalesce({other_country}, false)",
            ),
            Level(
                "one character, or characters that look alike",
                "document_folded_l = document_folded_r OR (length(document_number_l) > 5 "
                "AND levenshtein(document_number_l, document_number_r) <= 1)",
            ),
            Level("other number, same country", f"NOT coalesce({other_country}, false)"),
        ),
        is_identifier=True,
    )


def _number(field: str) -> Comparison:
    """A number given once: equal, one digit off, or another."""
    return Comparison(
        field,
        (field,),
        f"{field}_l IS NULL OR {field}_r IS NULL",
        (
            Level("same number", f"{field}_l = {field}_r"),
            Level("one digit", f"length({field}_l) > 5 AND levenshtein({field}_l, {field}_r) <= 1"),
        ),
        is_identifier=True,
    )


# Fields with so few values that random pairs often agree on them.
_FEW_VALUES = (
    "sex",
    "citizenship",
    "citizenship_2",
    "birth_country",
    "document_country",
    "birth_date_precision",
)


def _exact(field: str) -> Comparison:
    """Equal or not; rare values say more."""
    frequency = None if field == "sex" else field
    return Comparison(
        field,
        (field,),
        f"{field}_l IS NULL OR {field}_r IS NULL",
        (Level("same", f"{field}_l = {field}_r", frequency),),
        sampled_within=() if field in _FEW_VALUES else (field,),
        is_further=field not in _BY_FIELD,
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
        ),
    )


_BY_FIELD: dict[str, Callable[[str], Comparison]] = {
    "name": _name,
    "birth_date": _date,
    "document": _document,
    "person_number": _number,
    "sex": _exact,
    "citizenship": _citizenship,
    "birth_country": _exact,
}
_BY_KIND: dict[str, Callable[[str], Comparison]] = {"exact": _exact, "number": _number}
# The column that shows whether a field is held at all.
_HELD_IN = {"name": "surname_ascii", "document": "document_number"}


def choose_comparisons(
    engine: Engine, identities: Table, settings: LinkageSettings, further_columns: tuple[str, ...]
) -> list[Comparison]:
    """The comparisons that the configuration names, or those that the fields at hand allow.

    A field is compared if at least one identity in a hundred holds it beyond the sources that are already linked,
    and it takes more than one value.
    """
    if settings.comparisons is not None:
        return _once([_named(comparison, further_columns) for comparison in settings.comparisons])
    fields = (*_BY_FIELD, *further_columns)
    held = ", ".join(
        f"count({column}) FILTER (WHERE given_person IS NULL) AS n_{index}, count(DISTINCT {column}) AS d_{index}"
        for index, field in enumerate(fields)
        for column in [_HELD_IN.get(field, field)]
    )
    (row,) = engine.collect(f"SELECT {held}, count(*) AS n FROM identities", identities=identities).to_dicts()
    return _once(
        [
            _BY_FIELD.get(field, _exact)(field)
            for index, field in enumerate(fields)
            if row[f"n_{index}"] * 100 >= row["n"] and row[f"d_{index}"] > 1
        ]
    )


def _once(comparisons: list[Comparison]) -> list[Comparison]:
    """Where names are compared, what brothers and sisters of one birth share counts within the name alone."""
    if not any(comparison.columns == _NAME_COLUMNS for comparison in comparisons):
        return comparisons
    return [
        replace(
            comparison, null=f"{comparison.null} OR {_TWINS}", columns=(*comparison.columns, *_NAME_COLUMNS)
        )
        if comparison.field in ("birth_date", "citizenship")
        else comparison
        for comparison in comparisons
    ]


def _named(settings: ComparisonSettings, further_columns: tuple[str, ...]) -> Comparison:
    known = [*_BY_FIELD, *further_columns, *(column.name for column in IDENTIFYING)]
    if settings.field not in known:
        raise ConfigError(f"linkage.comparisons: no field {settings.field!r}; there are {', '.join(known)}")
    if settings.kind is None:
        return _BY_FIELD.get(settings.field, _exact)(settings.field)
    if settings.kind in _BY_KIND:
        return _BY_KIND[settings.kind](settings.field)
    natural = {"name": "name", "date": "birth_date", "document": "document"}.get(settings.kind)
    if natural != settings.field:
        raise ConfigError(
            f"linkage.comparisons: kind {settings.kind!r} does not suit field {settings.field!r}"
        )
    return _BY_FIELD[settings.field](settings.field)


def splink_comparison(comparison: Comparison) -> dict[str, Any]:
    """A comparison in the form of Splink's settings."""
    levels: list[dict[str, Any]] = [
        {"sql_condition": comparison.null, "label_for_charts": "not known", "is_null_level": True}
    ]
    for level in comparison.levels:
        entry: dict[str, Any] = {"sql_condition": level.condition, "label_for_charts": level.label}
        if level.frequency is not None:
            # The frequency takes the place of the level's own u.
            entry |= {
                "tf_adjustment_column": level.frequency,
                "tf_adjustment_weight": 1.0,
                "disable_tf_exact_match_detection": True,
            }
        levels.append(entry)
    levels.append({"sql_condition": "ELSE", "label_for_charts": "other"})
    return {"output_column_name": comparison.field, "comparison_levels": levels}


def level_sql(comparison: Comparison) -> str:
    """The number of the level of a pair: -1 not known, 0 everything else, the strongest highest (as Splink counts)."""
    top = len(comparison.levels)
    cases = " ".join(
        f"WHEN {level.condition} THEN {top - index}" for index, level in enumerate(comparison.levels)
    )
    return f"CASE WHEN {comparison.null} THEN -1 {cases} ELSE 0 END"


def label_sql(comparison: Comparison) -> str:
    """The level of a pair in words."""
    cases = " ".join(
        f"WHEN {level.condition} THEN {text_literal(level.label)}" for level in comparison.levels
    )
    return f"CASE WHEN {comparison.null} THEN 'not known' {cases} ELSE 'other' END"


def both_sides_sql(columns: Sequence[str]) -> str:
    """Columns of the left and right identity of a pair under the names that conditions use."""
    return ", ".join(f"{side}.{column} AS {column}_{side}" for column in columns for side in ("l", "r"))
