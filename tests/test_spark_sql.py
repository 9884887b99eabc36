"""SQL that would mean something else on another engine, were it not put into its words: the same answers from all."""

import random
from typing import Any

import polars as pl
from hypothesis import strategies as st

from given_examples import for_all
from miglink.engine import Engine
from miglink.stages.linkage.kinds import NAME_COLUMNS, TWINS, similar
from miglink.tables.numbering import numbered_sql

# Each with what DuckDB makes of it.
MEANINGS: dict[str, Any] = {
    "concat('a', NULL, 'b')": "ab",
    "concat_ws(' ', 'a', NULL, 'b')": "a b",
    "'a' || CAST(NULL AS VARCHAR)": None,
    "least(1.0, 2.0 * 3 / 7) / 12345": 6 / 7 / 12345,
    "CASE WHEN 1 = 2 THEN 1.0 ELSE (6 - 1) / 2.0 END": 2.5,
    "2.5 * 0.1 >= 0.25": True,
    "7 / 2": 3.5,
    "7 // 2": 3,
    "-7 % 4": -3,
    "CAST(FLOOR(-7 / 2) AS INTEGER)": -4,
    "greatest(1, NULL, 3)": 3,
    "least(CAST(NULL AS DATE), DATE '2020-01-01') = DATE '2020-01-01'": True,
    "array_to_string(list_sort(string_split('b a c', ' ')), ' ')": "a b c",
    "array_to_string(string_split('a𠮷b', ''), ' ')": "a 𠮷 b",
    "array_length(array_intersect(['a', 'b', 'b'], ['b', 'c', 'b']))": 1,
    "array_length(list_distinct(string_split(nullif('', ''), ' ')))": None,
    r"regexp_matches(concat('2001', chr(10)), '^\d{4}\z')": False,
    r"regexp_replace('AMINAH BAH', 'H( |\z)', '\1', 'g')": "AMINA BA",
    "regexp_replace('O''NEIL`S', '[''`]', '', 'g')": "ONEILS",
    "split_part('a:b', ':', 3)": "",
    "substring('abc', 5)": "",
    "length('a𠮷é')": 3,
    "ROUND(CAST(0.9999995 AS DOUBLE), 6)": 1.0,
    "ROUND(CAST(-2.5 AS DOUBLE), 0)": -3.0,
    "TRY_CAST('2019-02-30' AS DATE) IS NULL": True,
    "CAST(DATE '2020-02-29' + INTERVAL 12 MONTH AS DATE) = DATE '2021-02-28'": True,
    "'a ' = 'a'": False,
    "'Z' < 'a' AND 'z' < 'é'": True,
    "damerau_levenshtein('abcd', 'abdc')": 1,
    "levenshtein('abcd', 'abdc')": 2,
}


def test_expressions_mean_the_same(engine: Engine) -> None:
    columns = ", ".join(f"{expression} AS c{number}" for number, expression in enumerate(MEANINGS))
    (found,) = engine.collect(f"SELECT {columns}").iter_rows()
    given = dict(zip(MEANINGS, found, strict=True))
    assert {
        name: float(v) if isinstance(MEANINGS[name], float) else v for name, v in given.items()
    } == MEANINGS


def test_nulls_in_windows_and_aggregates(engine: Engine) -> None:
    rows = pl.DataFrame({"x": [1, 2, 3, None], "y": ["b", None, "a", "c"], "z": [True, None, False, None]})
    found = engine.collect(
        """SELECT x, row_number() OVER (ORDER BY x DESC) AS backwards, row_number() OVER (ORDER BY y) AS by_text,
               last_value(y IGNORE NULLS) OVER (
                   ORDER BY x ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS latest,
               CAST(sum(x) OVER (ORDER BY x) AS BIGINT) AS running,
               bool_or(z) OVER (PARTITION BY x) AS any_z, max(z) OVER (PARTITION BY 1) AS max_z
        FROM rows ORDER BY x""",
        rows=rows,
    )
    assert found.rows() == [
        (1, 3, 2, "b", 1, True, True),
        (2, 2, 4, "b", 3, None, True),
        (3, 1, 1, "a", 6, False, True),
        (None, 4, 3, "c", 6, None, True),
    ]


def jaro_winkler(a: str, b: str) -> float:
    """As Winkler's program has it: half the letters in another order count, rounded down."""
    window = max(max(len(a), len(b)) // 2 - 1, 0)
    free, common = set(range(len(b))), []
    for i, letter in enumerate(a):
        place = next((j for j in range(i - window, i + window + 1) if j in free and b[j] == letter), None)
        if place is not None:
            free.remove(place)
            common.append(letter)
    other = [b[j] for j in range(len(b)) if j not in free]
    if not other:
        return 0.0
    n, n_moved = len(other), sum(x != y for x, y in zip(common, other, strict=True)) // 2
    jaro = (n / len(a) + n / len(b) + (n - n_moved) / n) / 3
    n_same = next((n for n in range(4) if a[n : n + 1] != b[n : n + 1]), 4)
    return jaro + n_same * 0.1 * (1 - jaro) if jaro > 0.7 else jaro


def misspelt(rng: random.Random, name: str) -> str:
    """A name with up to four errors, swapped letters most often: they are what engines count differently."""
    letters = list(name)
    for _ in range(rng.randint(0, 4)):
        at, luck = rng.randrange(len(letters) + 1), rng.random()
        if luck < 0.2:
            letters.insert(at, rng.choice("ABCDE "))
        elif luck < 0.4:
            del letters[at : at + 1]
        else:
            letters[at : at + 2] = letters[at : at + 2][::-1]
    return "".join(letters)


def test_names_are_as_similar_on_every_engine(engine: Engine) -> None:
    rng = random.Random(4)
    pairs = [("", ""), ("", "A"), ("A", "A"), ("AB", "BA"), ("DABCAC", "DBCA"), ("ABCVWXYZ", "CABVWXYZ")]
    for _ in range(4000):
        letters = rng.choice(["AB", "ABCDE", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"])
        name = "".join(rng.choices(letters, k=rng.choice([0, 1, 2, 3, 5, 7, 8, 9, 10, 12, 15, 25])))
        pairs.append((name, misspelt(rng, name)))
    frame = pl.DataFrame(pairs, schema=["x_l", "x_r"], orient="row").with_columns(n=pl.int_range(pl.len()))
    found = engine.collect(
        f"SELECT {similar('x', 0.9)} AS near, {similar('x', 0.93)} AS nearer FROM pairs ORDER BY n",
        pairs=frame,
    )
    expected = [jaro_winkler(*pair) for pair in pairs]
    assert found["near"].to_list() == [value >= 0.9 for value in expected]
    assert found["nearer"].to_list() == [value >= 0.93 for value in expected]
    assert 100 < found["nearer"].sum() < found["near"].sum() < len(pairs)


def test_a_name_that_is_not_known_is_neither_similar_nor_other(engine: Engine) -> None:
    pairs = pl.DataFrame(
        {"x_l": ["ANA", None], "x_r": [None, None]}, schema={"x_l": pl.String, "x_r": pl.String}
    )
    found = engine.collect(f"SELECT {similar('x', 0.9)} AS near FROM pairs", pairs=pairs)
    assert found["near"].to_list() == [None, None]
    columns = [f"{name}_{side}" for name in NAME_COLUMNS for side in "lr"]
    row = {name: ["ANA" if name.endswith("_l") else None] for name in columns}
    unknown = pl.DataFrame(row, schema=dict.fromkeys(columns, pl.String))
    assert engine.collect(f"SELECT {TWINS} AS is_other FROM pairs", pairs=unknown).item() is False


TEXTS = st.sets(st.text(alphabet="0aBé𠮷 ", max_size=6), min_size=0, max_size=30)


@for_all(20, texts=TEXTS)
def test_rows_are_numbered_in_order_of_their_text(engine: Engine, texts: set[str]) -> None:
    given = engine.frame(
        "given_texts", pl.DataFrame({"x": list(texts), "y": 1}, schema={"x": pl.String, "y": pl.Int64})
    )
    found = engine.collect(
        f"SELECT x, y, n FROM ({numbered_sql('rows', 'x', 'n')}) AS t ORDER BY n", rows=given
    )
    assert found["n"].to_list() == list(range(1, len(texts) + 1))
    assert found["x"].to_list() == sorted(texts, key=str.encode)
    assert found.schema["n"] == pl.Int64


def test_many_hashes_are_numbered(engine: Engine) -> None:
    texts = engine.frame("given_texts", pl.DataFrame({"x": [f"{number}" for number in range(5000)]}))
    mixed = engine.step("mixed", "SELECT sha256(x) AS hash FROM texts", texts=texts)
    found = engine.collect(
        f"""WITH numbered AS ({numbered_sql("mixed", "hash", "n")}),
        compared AS (SELECT n, row_number() OVER (ORDER BY hash) AS expected FROM numbered)
        SELECT count(*) AS n_rows, count(*) FILTER (WHERE n = expected) AS n_equal FROM compared""",
        mixed=mixed,
    )
    assert found.row(0) == (5000, 5000)
