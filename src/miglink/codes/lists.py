"""Code lists of those who publish migration statistics: the codes of each for ours, as files with source and date.

A row says which value of ours (`ours`) becomes which code (`code`). One value may have several codes: its own, and
those of the groups and totals that it belongs to; counts are added up by code. `ours` may also be `total` (every
value), `*` (every value that is known), or ages in completed years: `5..9`, `85..`.
`of` limits a row to the reporting country (`national`) or to all others (`foreign`); `but` names codes whose values are
left out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from io import StringIO

import polars as pl

from miglink.errors import ConfigError

TOTAL, UNKNOWN, EVERY = "total", "unknown", "*"
_FOLDER = "lists"
_FACT = re.compile(r"# (title|source|date|verified): *(.+)")
_SCHEMA = {"ours": pl.String, "code": pl.String, "of": pl.String, "but": pl.String}


@dataclass(frozen=True)
class ListFacts:
    """What a code list is, where and on which day it was found, and whether in the primary source."""

    name: str
    title: str
    source: str
    date: str
    is_verified: bool


def list_names() -> list[str]:
    """The code lists that miglink brings."""
    folder = files("miglink.codes") / _FOLDER
    return sorted(path.name.removesuffix(".csv") for path in folder.iterdir() if path.name.endswith(".csv"))


@lru_cache
def list_facts(name: str) -> ListFacts:
    """What the first lines of a code list say of it; ConfigError if one of them is missing."""
    found = {match[1]: match[2].strip() for match in _FACT.finditer(_text(name))}
    missing = [fact for fact in ("title", "source", "date", "verified") if fact not in found]
    if missing:
        raise ConfigError(f"code list {name}: its first lines lack {', '.join(missing)}")
    return ListFacts(name, found["title"], found["source"], found["date"], found["verified"] == "true")


@lru_cache
def code_list(name: str) -> pl.DataFrame:
    """The rows of a code list: ours, code, of, but."""
    return pl.read_csv(StringIO(_text(name)), comment_prefix="#", schema=_SCHEMA)


def gather_codes(lists: Sequence[str], own: Mapping[str, str]) -> pl.DataFrame:
    """The rows of several lists and of a mapping of the user's own; nothing of either: our values are the codes."""
    given = pl.DataFrame(
        [(ours, code, None, None) for ours, code in own.items()], schema=_SCHEMA, orient="row"
    )
    return pl.concat([*(code_list(name) for name in lists), given])


def map_values(values: Sequence[str], codes: pl.DataFrame, reporting_country: str) -> pl.DataFrame:
    """List every value with each of its codes (value, code); a value without a code of its own has those of its groups.

    Where there are no codes, the values are the codes, and `total` is that of all.
    """
    given = pl.DataFrame({"value": sorted(set(values))}, schema={"value": pl.String})
    if codes.is_empty():
        totals = given.with_columns(code=pl.lit(TOTAL))
        return pl.concat([given.with_columns(code="value"), totals]).unique(maintain_order=True)
    ours, value = pl.col("ours"), pl.col("value")
    # A group of five completed years is told by its first.
    age = value.str.extract(r"^(\d+)(?:-\d+|\+)?$", 1).cast(pl.Int32)
    first = ours.str.extract(r"^(\d+)\.\.\d*$", 1).cast(pl.Int32)
    last = ours.str.extract(r"^\d+\.\.(\d+)$", 1).cast(pl.Int32)
    fits = (
        (ours == value)
        | (ours == TOTAL)
        | ((ours == EVERY) & (value != UNKNOWN))
        | ((age >= first) & (age <= last.fill_null(age))).fill_null(False)
    )
    is_national = value == reporting_country
    is_meant = (
        pl.when(pl.col("of") == "national")
        .then(is_national)
        .when(pl.col("of") == "foreign")
        .then(~is_national)
        .otherwise(True)
    )
    pairs = given.join(codes, how="cross").filter(fits, is_meant)
    limited = (
        pairs.filter(pl.col("but").is_not_null()).with_columns(pl.col("but").str.split(" ")).explode("but")
    )
    left_out = limited.join(pairs.select("value", but="code"), on=["value", "but"], how="semi")
    return (
        pairs.join(left_out, on=["value", "code"], how="anti")
        .select("value", "code")
        .unique(maintain_order=True)
    )


def total_code(codes: pl.DataFrame) -> str | None:
    """The code that stands for all values; None where the list has none."""
    if codes.is_empty():
        return TOTAL
    found = codes.filter(pl.col("ours") == TOTAL)["code"]
    return None if found.is_empty() else str(found[0])


def country_code(codes: pl.DataFrame, country: str) -> str:
    """The code of one country; ours where the list has none."""
    found = codes.filter(pl.col("ours") == country)["code"]
    return country if found.is_empty() else str(found[0])


def _text(name: str) -> str:
    return (files("miglink.codes") / _FOLDER / f"{name}.csv").read_text(encoding="utf-8")
