"""The keys of identities that comparisons and blocking rules use."""

import unicodedata
from collections.abc import Mapping, Sequence

from miglink.codes import ascii_characters, particles
from miglink.engine import Engine, Table
from miglink.letters import find_letters, spell
from miglink.stages.linkage.documents import MISREAD, unchecked_sql
from miglink.stages.linkage.sounds import rough_sound_sql, sound_sql
from miglink.stages.linkage.travel import TRAVEL_COLUMNS, without_travel
from miglink.stages.linkage.variants import find_variants
from miglink.tables import IDENTIFYING, TABLES
from miglink.tables.numbering import numbered_sql

# The columns of prepared identities beyond those of the table identities.
STANDARD_KEYS = (
    "surname_key", "given_names_key", "surname_icao_key", "given_names_icao_key", "surname_spaced", "name_words",
    "birth_iso", "document_folded", "name_key", "surname_core", "name_sound", "surname_first", "birth_day_iso",
    "birth_year", "birth_month_day", "birth_swapped", "surname_start", "given_names_start", "surname_last",
    "given_names_last", "given_names_initials", "surname_sound", "given_names_sound", "surname_variant",
    "given_names_variant", "name_variants", "document_unchecked", "document_core", "travel_birth_day",
    "surname_rough", "given_names_rough", "name_rough", "name_of_few", "likely_given_names", "birth_any_order",
)  # fmt: skip
# What each further column gets, after its name; `_list` is a list of words, `_quantity` a number, the others text.
FURTHER_KEYS = (
    "_text", "_key", "_half", "_words", "_letters", "_numbers", "_list", "_sound", "_iso", "_year", "_month_day",
    "_swapped", "_quantity",
)  # fmt: skip
_NOT_BLOCKED_ON = ("_list", "_quantity")
_MOSTLY = 0.9
# A name with which no more dates of birth than these are seen may be that of one person, errors and all.
_FEW = 3
# A word that stands mostly as a given name, and more often than the one that stands there here, is in the wrong place.
_GIVEN, _MORE_GIVEN = 0.9, 0.1
_NOT_ASCII = r"[^\x00-\x7F]"


_DAY = "CASE WHEN birth_date_precision = 'day' THEN birth_iso END"
# What is made once of each name, and stands with every identity that bears it.
_OF_NAMES = """surname.spaced AS surname_spaced, surname.core AS surname_core, surname.sound AS surname_sound,
    given_names.sound AS given_names_sound, coalesce(surname.rough, surname.core) AS surname_rough,
    coalesce(given_names.rough, given_names.core) AS given_names_rough, surname.first_word AS surname_first,
    surname.last_word AS surname_last, given_names.last_word AS given_names_last,
    given_names.initials AS given_names_initials"""

_LIKELY_GIVEN = f"""CASE WHEN placed.given_share >= {_GIVEN}
                              AND placed.given_share > given_placed.given_share + {_MORE_GIVEN}
                         THEN coalesce(surname_variants.variant, surname.core)
                         ELSE coalesce(given_names_variants.variant, given_names.core) END"""
_OF_WORDS = """LEFT JOIN words AS placed ON placed.word = surname.first_word
            LEFT JOIN words AS given_placed ON given_placed.word = given_names.first_word
            LEFT JOIN variants AS surname_variants ON surname_variants.name = surname.core
            LEFT JOIN variants AS given_names_variants ON given_names_variants.name = given_names.core"""


def prepare_identities(engine: Engine, identities: Table, travel: Table | None = None) -> Table:
    """Give each identity an integer id and the keys that comparisons and blocking use; its travel, where that is given.

    Keys: names without spaces (`_key`), without particles (`_core`), their first and last words (`_first`, `_last`),
    initials, all words of the name in alphabetical order (`name_words`), dates as ISO text (`birth_iso`), documents
    with letters and digits misread for one another made equal (`document_folded`), without the check digit that ends
    them (`document_unchecked`, null where none does; `document_core`, folded, with none in any case),
    the consonants of surname and given names (`_sound`; of both in alphabetical order: `name_sound`; in fewer classes:
    `_rough`, `name_rough`), all words of a name with which at most three dates of birth are seen (`name_of_few`),
    whether a woman, by her given names where the sex is not known (`is_likely_woman`), the frequent spelling that a
    rare one is near to (`_variant`; of both in alphabetical order: `name_variants`), given names as words stand mostly
    (`likely_given_names`), dates of birth in either order (`birth_any_order`) and of travellers (`travel_birth_day`).
    A further column `x` keeps its given value; beside it stand `x_text` (capitals A-Z and digits, single spaces),
    `x_key` (the same without spaces), `x_half` (its first half), `x_words` (words in alphabetical order), `x_letters`
    and `x_numbers` (the words that are letters, and digits), `x_sound`, and where it is ISO text or a number `x_iso`,
    `x_year`, `x_month_day`, `x_quantity`.
    """
    given, travelled = _with_further_keys(engine, identities), travel or without_travel(engine, identities)
    spoken = {name: _spoken(engine, given, f"{name}_ascii") for name in ("surname", "given_names")}
    return engine.hold(
        "linkage_identities",
        f"""WITH numbered AS ({numbered_sql("identities", "identity_id", "unique_id")}),
        keyed AS (
            SELECT numbered.*, replace(surname_ascii, ' ', '') AS surname_key,
                   replace(given_names_ascii, ' ', '') AS given_names_key,
                   replace(surname_icao, ' ', '') AS surname_icao_key,
                   replace(given_names_icao, ' ', '') AS given_names_icao_key,
                   {_OF_NAMES}, {_rough_name_sql()} AS name_rough, {_LIKELY_GIVEN} AS likely_given_names,
                   coalesce(numbered.sex, given_names.likely_sex) = 'female' AS is_likely_woman,
                   coalesce(surname_variants.variant, surname.core) AS surname_variant,
                   coalesce(given_names_variants.variant, given_names.core) AS given_names_variant,
                   nullif(array_to_string(list_sort(string_split(
                       concat_ws(' ', surname_ascii, given_names_ascii), ' ')), ''), '') AS name_words,
                   CAST(birth_date AS VARCHAR) AS birth_iso,
                   translate(document_number, '{MISREAD[0]}', '{MISREAD[1]}') AS document_folded,
                   {unchecked_sql("document_number")} AS document_unchecked
            FROM numbered LEFT JOIN surname ON surname.value = numbered.surname_ascii
            LEFT JOIN given_names ON given_names.value = numbered.given_names_ascii
            {_OF_WORDS}),
        few AS (
            SELECT name_words AS name_of_few FROM keyed WHERE name_words IS NOT NULL
            GROUP BY name_words HAVING count(DISTINCT birth_iso) <= {_FEW})
        SELECT keyed.*, concat(surname_key, given_names_key) AS name_key,
               nullif({_sorted_sql("surname_sound", "given_names_sound")}, ' ') AS name_sound,
               few.name_of_few,
               {_sorted_sql("surname_variant", "given_names_variant")} AS name_variants,
               {_of_birth_sql()},
               substring(surname_key, 1, 4) AS surname_start, substring(given_names_key, 1, 4) AS given_names_start,
               translate(coalesce(document_unchecked, document_number), '{MISREAD[0]}', '{MISREAD[1]}')
                   AS document_core,
               {", ".join(f"t.{column}" for column in TRAVEL_COLUMNS)},
               CASE WHEN t.travel_ways IS NOT NULL THEN {_DAY} END AS travel_birth_day
        FROM keyed LEFT JOIN travelled t ON t.identity_id = keyed.identity_id
        LEFT JOIN few ON few.name_of_few = keyed.name_words""",
        identities=given,
        travelled=travelled,
        variants=_variants(engine, spoken),
        words=_count_places(engine, spoken),
        **spoken,
    )


def _of_birth_sql() -> str:
    """The keys of a date of birth."""
    return f"""{_DAY} AS birth_day_iso,
        substring(birth_iso, 1, 4) AS birth_year, {_swapped_sql("birth_iso")} AS birth_swapped,
        CASE WHEN birth_date_precision = 'day' THEN substring(birth_iso, 6) END AS birth_month_day,
        CASE WHEN birth_date_precision = 'day'
             THEN CASE WHEN substring(birth_iso, 9, 2) <= '12' THEN least(birth_iso, {_swapped_sql("birth_iso")})
                       ELSE birth_iso END END AS birth_any_order"""


def _swapped_sql(iso: str) -> str:
    """An ISO date with day and month in each other's place."""
    return f"substring({iso}, 1, 5) || substring({iso}, 9, 2) || '-' || substring({iso}, 6, 2)"


def _sorted_sql(a: str, b: str) -> str:
    """Two parts of a name in alphabetical order, so that it does not matter which is which; null without either."""
    return f"CASE WHEN {a} IS NOT NULL AND {b} IS NOT NULL THEN concat_ws(' ', least({a}, {b}), greatest({a}, {b})) END"


def _rough_name_sql() -> str:
    """The rough sounds of both parts of a name in alphabetical order; null where none is left."""
    surname, given = "coalesce(surname.rough, '')", "coalesce(given_names.rough, '')"
    both = f"surname.core IS NOT NULL AND given_names.core IS NOT NULL AND {surname} || {given} <> ''"
    return (
        f"CASE WHEN {both} THEN concat_ws(' ', least({surname}, {given}), greatest({surname}, {given})) END"
    )


def _spoken(engine: Engine, identities: Table, column: str) -> Table:
    """Each name of a column once (value), without particles if a surname (spaced), and its sound (sound, rough).

    Also first_word, last_word, initials, n_identities, core: spaced without spaces, and likely_sex: female where nine
    in ten who bear it are women. There are ten to thirty identities a name, and a sound takes longer to find than all
    other keys together.
    """
    words = "|".join(sorted(particles(), key=lambda word: (-len(word), word)))
    spaced = _without("value", words) if column == "surname_ascii" else "value"
    return engine.hold(
        f"linkage_spoken_{column}",
        f"""WITH names AS (
            SELECT {column} AS value, count(*) AS n_identities, count(sex) AS n_of_sex,
                   count(*) FILTER (WHERE sex = 'female') AS n_women
            FROM identities WHERE {column} IS NOT NULL GROUP BY {column}),
        spread AS (
            SELECT value, n_identities, {spaced} AS spaced,
                   CASE WHEN n_women > {_MOSTLY} * n_of_sex THEN 'female' END AS likely_sex
            FROM names)
        SELECT value, n_identities, spaced, replace(spaced, ' ', '') AS core, likely_sex,
               {sound_sql("spaced")} AS sound, {rough_sound_sql("spaced")} AS rough,
               split_part(spaced, ' ', 1) AS first_word, regexp_replace(spaced, '^.* ', '', 'g') AS last_word,
               regexp_replace(spaced, '([A-Z])[A-Z]* ?', '\\1', 'g') AS initials
        FROM spread""",
        identities=identities,
    )


def _count_places(engine: Engine, spoken: Mapping[str, Table]) -> Table:
    """First words of names (word), and how often each stands among given names, of all (given_share); never 0 or 1."""
    return engine.hold(
        "linkage_words",
        """WITH held AS (
            SELECT first_word AS word, n_identities AS n_given, 0 AS n_surname FROM given_names
            UNION ALL SELECT first_word, 0, n_identities FROM surname)
        SELECT word, (sum(n_given) + 0.5) / (sum(n_given) + sum(n_surname) + 1.0) AS given_share
        FROM held GROUP BY word""",
        surname=spoken["surname"],
        given_names=spoken["given_names"],
    )


def _variants(engine: Engine, spoken: Mapping[str, Table]) -> Table:
    """Near spellings (name) and the frequent one that stands for them (variant): surnames and given names together.

    A name is the same name in either place, for who fills in a form swaps them.
    """
    every = " UNION ALL ".join(f"SELECT core, sound, n_identities FROM {name}" for name in spoken)
    names = engine.collect(
        f"""SELECT core AS name, min(sound) AS sound, CAST(sum(n_identities) AS BIGINT) AS n FROM ({every}) AS held
        GROUP BY core""",
        **spoken,
    )
    return engine.frame("linkage_variants", find_variants(names))


def block_columns(further_columns: Sequence[str]) -> list[str]:
    """The columns that a blocking rule may name."""
    keys = [key for key in FURTHER_KEYS if key not in _NOT_BLOCKED_ON]
    own = [name for column in further_columns for name in (column, *(column + key for key in keys))]
    return [*(column.name for column in IDENTIFYING), *STANDARD_KEYS, *own]


def clashing_columns(further_columns: Sequence[str]) -> list[str]:
    """The further columns whose name, or the name of one of whose keys, stands for something else already."""
    tables = (TABLES["records"], TABLES["identities"])
    taken = {"unique_id", "name", "document", *STANDARD_KEYS, *TRAVEL_COLUMNS}
    taken |= {column.name for table in tables for column in table.columns}
    clashing = [name for name in further_columns if taken & {name, *(name + key for key in FURTHER_KEYS)}]
    keys = {name + key: name for name in further_columns for key in FURTHER_KEYS}
    return [*clashing, *(name for name in further_columns if name in keys and name not in clashing)]


def _without(name: str, words: str) -> str:
    """A name without its particles; the whole of it where nothing else is left."""
    without = f"trim(regexp_replace((' ' || {name} || ' '), '( ({words}))+ ', ' ', 'g'))"
    return f"coalesce(nullif({without}, ''), {name})"


def _with_further_keys(engine: Engine, identities: Table) -> Table:
    """The identities with the keys of their further columns; as they are where they have none."""
    described = engine.collect("SELECT * FROM identities LIMIT 0", identities=identities)
    standard = {column.name for column in TABLES["identities"].columns}
    further = [column for column in described.columns if column not in standard]
    if not further:
        return identities
    # The texts first, then what is made of them, for an alias cannot be used beside its own definition everywhere.
    joins = " ".join(f"LEFT JOIN plain AS p_{c} ON p_{c}.value = i.{c}" for c in further)
    texts = ", ".join(f"{_text_sql(f'coalesce(p_{c}.plain, i.{c})')} AS {c}_text" for c in further)
    spread = ", ".join(f"{_words_sql(f'{c}_text')} AS {c}_words" for c in further)
    return engine.hold(
        "linkage_further_keys",
        f"""WITH texts AS (SELECT i.*, {texts} FROM identities i {joins}),
        spread AS (SELECT *, {spread} FROM texts),
        parts AS (SELECT *, {", ".join(map(_parts_sql, further))} FROM spread)
        SELECT *, {", ".join(map(_keys_sql, further))} FROM parts""",
        identities=identities,
        plain=_plain_values(engine, identities, further),
    )


def _plain_values(engine: Engine, identities: Table, further: Sequence[str]) -> Table:
    """The values of further columns that hold more than ASCII (value), and their spelling within it (plain)."""
    every = " UNION ALL ".join(
        f"SELECT {column} AS value FROM identities WHERE regexp_matches({column}, '{_NOT_ASCII}')"
        for column in further
    )
    values = engine.hold(
        "linkage_not_ascii",
        f"SELECT DISTINCT value, value AS plain FROM ({every}) AS held",
        identities=identities,
    )
    plain = ascii_characters(find_letters(engine, values, "value"))
    # Digits of other scripts are digits too: house numbers.
    plain |= {c: str(unicodedata.digit(c)) for c in plain if unicodedata.digit(c, None) is not None}
    return spell(engine, "linkage_plain", values, "value", {"plain": plain})


def _text_sql(value: str) -> str:
    """Capitals A-Z and digits with single spaces; apostrophes join, everything else separates."""
    joined = f"regexp_replace(upper({value}), '[''`]', '', 'g')"
    return f"nullif(trim(regexp_replace({joined}, '[^A-Z0-9]+', ' ', 'g')), '')"


def _words_sql(text: str) -> str:
    """The words in alphabetical order, numbers first; 12A is 12 and A, as who writes 12 A means the same."""
    spread = rf"regexp_replace({text}, '([0-9])([A-Z])', '\1 \2', 'g')"
    spread = rf"regexp_replace({spread}, '([A-Z])([0-9])', '\1 \2', 'g')"
    return f"array_to_string(list_sort(string_split({spread}, ' ')), ' ')"


def _parts_sql(column: str) -> str:
    iso = f"trim({column})"
    # Filled up to a day, it must be one that exists.
    exists = f"TRY_CAST({iso} || substring('-01-01', length({iso}) - 3) AS DATE) IS NOT NULL"
    is_date = rf"regexp_matches({iso}, '^\d{{4}}(-\d{{2}}){{0,2}}\z') AND {exists}"
    is_number = rf"regexp_matches({iso}, '^[+-]?\d+(\.\d+)?\z')"
    return f"""replace({column}_text, ' ', '') AS {column}_key,
        trim(regexp_replace({column}_words, '[0-9]+ ?', '', 'g')) AS {column}_letters,
        trim(regexp_replace({column}_words, '[A-Z]+ ?', '', 'g')) AS {column}_numbers,
        CASE WHEN {is_date} AND length({iso}) = 10 THEN {iso} END AS {column}_iso,
        CASE WHEN {is_date} THEN substring({iso}, 1, 4) END AS {column}_year,
        CASE WHEN {is_number} THEN TRY_CAST({iso} AS DOUBLE) END AS {column}_quantity"""


def _keys_sql(column: str) -> str:
    half = f"CAST(FLOOR(length({column}_key) / 2) AS INTEGER)"
    sounds = sound_sql(f"{column}_letters", keep_spaces=True)
    return f"""CASE WHEN length({column}_key) >= 4 THEN substring({column}_key, 1, {half}) END AS {column}_half,
        list_distinct(string_split(nullif({column}_letters, ''), ' ')) AS {column}_list,
        nullif(trim(array_to_string(list_sort(string_split({sounds}, ' ')), ' ')), '') AS {column}_sound,
        substring({column}_iso, 6) AS {column}_month_day,
        {_swapped_sql(f"{column}_iso")} AS {column}_swapped"""
