"""Names: split into surname and given names where a source does not, and standardised twice."""

from miglink.codes import ascii_characters, icao_alternatives, icao_characters
from miglink.engine import Engine, Table
from miglink.letters import find_letters, spell


def split_names(engine: Engine, rows: Table) -> Table:
    """Give the surname and the given names of each distinct full name that holds no separator.

    Reads: rows (surname, given_names where known; full_name with `is_surname_first` where not).
    Gives: full_name, is_surname_first, surname, given_names: the split that makes the words before and after it
    most likely, by how often each word stands in the surnames and given names of all sources that tell them apart.
    A word never seen is as likely either way; among equal splits the one with fewer given names is taken.
    """
    words = engine.step(
        "ingest_name_words",
        """WITH known AS (
            SELECT DISTINCT surname, given_names FROM rows
            WHERE surname IS NOT NULL AND given_names IS NOT NULL),
        words AS (
            SELECT unnest(string_split(upper(surname), ' ')) AS word, 1 AS is_surname FROM known
            UNION ALL
            SELECT unnest(string_split(upper(given_names), ' ')), 0 FROM known)
        SELECT word, sum(is_surname) AS n_surname, sum(1 - is_surname) AS n_given FROM words GROUP BY word""",
        rows=rows,
    )
    return engine.step(
        "ingest_name_splits",
        """WITH names AS (SELECT DISTINCT full_name, is_surname_first FROM rows WHERE full_name IS NOT NULL),
        parts AS (
            SELECT *, length(full_name) - length(replace(full_name, ' ', '')) + 1 AS n_words FROM names),
        positions AS (SELECT *, unnest(generate_series(1, n_words)) AS position FROM parts),
        words_at AS (
            SELECT *, upper(split_part(full_name, ' ', CAST(position AS INTEGER))) AS word,
                   length(split_part(full_name, ' ', CAST(position AS INTEGER))) + 1 AS n_characters
            FROM positions),
        scored AS (
            SELECT w.full_name, w.is_surname_first, w.position, w.n_words, w.n_characters,
                   ln(coalesce(n_surname, 0) + 0.5) - ln(coalesce(n_given, 0) + 0.5) AS log_odds
            FROM words_at w LEFT JOIN words k ON k.word = w.word),
        sums AS (
            SELECT full_name, is_surname_first, position, n_words,
                   CAST(sum(n_characters) OVER (
                       PARTITION BY full_name, is_surname_first ORDER BY position) AS INTEGER) AS n_first,
                   ROUND((CASE WHEN is_surname_first THEN 1 ELSE -1 END) * sum(log_odds) OVER (
                       PARTITION BY full_name, is_surname_first ORDER BY position), 9) AS score
            FROM scored),
        ranked AS (
            SELECT *, row_number() OVER (
                PARTITION BY full_name, is_surname_first
                ORDER BY score DESC, CASE WHEN is_surname_first THEN -position ELSE position END) AS rank
            FROM sums WHERE position < n_words),
        best AS (
            SELECT full_name, is_surname_first, substring(full_name, 1, n_first - 1) AS first_part,
                   substring(full_name, n_first + 1) AS second_part
            FROM ranked WHERE rank = 1)
        SELECT full_name, is_surname_first,
               CASE WHEN is_surname_first THEN first_part ELSE second_part END AS surname,
               CASE WHEN is_surname_first THEN second_part ELSE first_part END AS given_names
        FROM best
        UNION ALL
        SELECT full_name, is_surname_first, full_name, NULL FROM parts WHERE n_words = 1""",
        rows=rows,
        words=words,
    )


def standardise_names(engine: Engine, rows: Table) -> Table:
    """Give the spellings of each distinct surname and given name.

    Reads: rows (surname, given_names). Gives: name, icao, ascii; each null where no letter is left.
    Source: ICAO Doc 9303 part 3, section 6 (transliteration); names in a machine-readable zone are read with its
    own alternatives (NXX for Ñ) undone.
    """
    names = engine.step(
        "ingest_names",
        """SELECT DISTINCT name, upper(name) AS icao, upper(name) AS ascii
        FROM (SELECT surname AS name FROM rows UNION ALL SELECT given_names FROM rows) AS held
        WHERE name IS NOT NULL""",
        rows=rows,
    )
    letters = find_letters(engine, names, "ascii")
    plain = ascii_characters(letters)
    icao = {**plain, **{letter: latin for letter, latin in icao_characters().items() if letter in letters}}
    spelt = spell(engine, "ingest_names_spelt", names, "name", {"icao": icao, "ascii": plain})
    return engine.step(
        "ingest_name_spellings",
        f"""SELECT name, {_letters_only(_machine_read("icao"))} AS icao,
               {_letters_only(_machine_read("ascii"))} AS ascii FROM spelt""",
        spelt=spelt,
    )


def _machine_read(value: str) -> str:
    """Undo the XX spellings of the machine-readable zone; at the end of a word XX is left alone (FOXX)."""
    for written, latin in icao_alternatives().items():
        value = f"regexp_replace({value}, '{written}([A-Z])', '{latin}\\1', 'g')"
    return value


def _letters_only(value: str) -> str:
    """A-Z and single spaces; apostrophes join, everything else separates; null where nothing is left."""
    joined = f"regexp_replace({value}, '[''`´’]', '', 'g')"
    return f"nullif(trim(regexp_replace({joined}, '[^A-Z]+', ' ', 'g')), '')"
