"""DuckDB's SQL in Spark's words: sqlglot's translation, and the few words that it leaves as they are."""

import re
import sys
from functools import lru_cache

import sqlglot
from sqlglot import exp

# A name goes through some fifty replacements, each within the next; as deep is the tree of the text.
_DEEPEST_TREE = 20_000
# The blanks of Unicode.
_BLANKS = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"


@lru_cache(maxsize=1_000)
def translate(select: str) -> str:
    """A SELECT or an expression in DuckDB's dialect, for Spark."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _DEEPEST_TREE))
    try:
        tree = sqlglot.parse_one(select, read="duckdb")
        for call in tree.find_all(exp.RegexpReplace):
            _mark_groups(call)
        for trim in tree.find_all(exp.Trim):
            if trim.expression is None:  # DuckDB's takes every kind of blank
                trim.set("expression", exp.Literal.string(_BLANKS))
        for upper in tree.find_all(exp.Upper):
            # DuckDB has a capital for this letter where Java has two.
            letters = [upper.this, *map(exp.Literal.string, "ßẞ")]
            upper.set("this", exp.Anonymous(this="TRANSLATE", expressions=letters))
        for split in list(tree.find_all(exp.Split)):
            if split.expression == exp.Literal.string(""):
                # Between all letters; a pattern that matches nothing would cut those of two units in half.
                split.replace(exp.Anonymous(this="SPLIT", expressions=[split.this, split.expression]))
        for number in list(tree.find_all(exp.Literal)):
            if number.is_number and "." in number.name:
                # DuckDB divides in doubles whatever stands there; Spark would go on in decimals, and cut them off.
                number.replace(exp.cast(number.copy(), "DOUBLE"))
        for unknown in list(tree.find_all(exp.Anonymous)):
            if unknown.name.upper() == "HAMMING":  # at most 1 is asked, of texts of one length: the same
                unknown.set("this", "LEVENSHTEIN")
        for least in list(tree.find_all(exp.GTE)):
            if isinstance(least.this, exp.JarowinklerSimilarity):
                both = [least.this.this, least.this.expression]
                least.replace(exp.Anonymous(this="is_similar", expressions=[*both, least.expression]))
        return tree.sql(dialect="spark")
    finally:
        sys.setrecursionlimit(limit)


def _mark_groups(call: exp.RegexpReplace) -> None:
    """Name the groups of a pattern $1 in its replacement, not \\1: Java's words."""
    replacement = call.args.get("replacement")
    if isinstance(replacement, exp.Literal):
        text = replacement.name.replace("$", r"\$")
        replacement.replace(exp.Literal.string(re.sub(r"\\(\d)", r"$\1", text)))


def _similar_sql() -> str:
    """Whether the Jaro–Winkler similarity of two texts a and b is at least `least`, as DuckDB reckons it.

    DuckDB rounds the number of transpositions down, as Winkler did; the function of Splink's jar keeps the half, so it
    may be smaller by up to 1/18. It decides wherever that does not matter. Elsewhere the letters in common are found
    here, from left to right, each in a window of the other text; letters taken there give way to a sign.
    """
    window = "greatest(greatest(length(a), length(b)) DIV 2 - 1, 0)"
    begin = f"greatest(1, i - {window})"
    place = f"locate(substring(a, i, 1), substring(found.rest, {begin}, i + {window} - {begin} + 1))"
    rest = f"overlay(found.rest PLACING '\\u0001' FROM {begin} - 1 + {place})"
    found = f"""aggregate(sequence(1, length(a)), named_struct('rest', b, 'common', ''), (found, i) ->
        CASE WHEN {place} > 0
             THEN named_struct('rest', {rest}, 'common', concat(found.common, substring(a, i, 1)))
             ELSE found END)"""
    taken = """array_join(transform(sequence(1, length(b)), i ->
        CASE WHEN substring(found.rest, i, 1) = '\\u0001' THEN substring(b, i, 1) ELSE '' END), '')"""
    moved = """size(filter(sequence(1, length(taken)), i ->
        substring(found.common, i, 1) <> substring(taken, i, 1))) DIV 2"""
    jaro = """(CAST(c.n AS DOUBLE) / length(a) + CAST(c.n AS DOUBLE) / length(b)
        + CAST(c.n - c.moved AS DOUBLE) / c.n) / 3D"""
    starts = " ".join(f"WHEN substring(a, {n + 1}, 1) <> substring(b, {n + 1}, 1) THEN {n}" for n in range(4))
    # A value is given a name by a list of one element.
    counted = f"""transform(array({found}), found -> transform(array({taken}), taken ->
        named_struct('n', length(taken), 'moved', {moved}))[0])"""
    winkler = f"transform(array({jaro}), jaro -> jaro + CASE {starts} ELSE 4 END * 0.1D * (1D - jaro))[0]"
    return f"""CASE WHEN a IS NULL OR b IS NULL THEN NULL WHEN a = '' AND b = '' THEN false
        WHEN jaro_winkler(a, b) > least + 1e-9 THEN true
        WHEN jaro_winkler(a, b) < least - 0.06D THEN false
        ELSE transform({counted}, c -> {winkler})[0] >= least END"""


# What a session must know before it is given translated SQL.
FUNCTIONS = (
    "CREATE OR REPLACE TEMPORARY FUNCTION is_similar(a STRING, b STRING, least DOUBLE) RETURNS BOOLEAN "
    f"RETURN {_similar_sql()}",
)

_TYPES = {
    "string": "VARCHAR",
    "tinyint": "TINYINT",
    "smallint": "SMALLINT",
    "int": "INTEGER",
    "bigint": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp_ntz": "TIMESTAMP",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "binary": "BLOB",
}


def type_name(spark_type: str) -> str:
    """A type as the contracts name it, from Spark's simple string."""
    if spark_type.startswith("array<"):
        return type_name(spark_type[len("array<") : -1]) + "[]"
    return _TYPES.get(spark_type, spark_type.upper())
