"""Codes that every stage shares: countries, ICAO spellings, name particles, citizenship groups (see README.md here)."""

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from io import StringIO

import polars as pl
from anyascii import anyascii

from miglink.errors import ConfigError

# Which reading of a text wins where several would fit; `extra` is what the configuration adds.
PRECEDENCE = ("extra", "alpha3", "icao", "alpha2", "numeric", "former", "variant", "name")
APOSTROPHES = "'`´"


def country_key(text: str) -> str:
    """Give the key of a code or name: capitals, no accents, single spaces, a number in at least three digits."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    key = " ".join(re.sub("[^A-Z0-9]+", " ", plain.upper()).split())
    return key.zfill(3) if key.isdecimal() else key


def countries(extra: Mapping[str, str] | None = None) -> pl.DataFrame:
    """List scheme, code and country, best reading first; `extra` (code or name -> alpha-3 code) comes before all."""
    return _countries(tuple(sorted((extra or {}).items())))


def code_lookup(extra: Mapping[str, str] | None = None) -> pl.DataFrame:
    """List code and country, each code once, under the keys of `country_key`."""
    return countries(extra).unique("code", keep="first", maintain_order=True).select("code", "country")


@lru_cache
def country_names() -> dict[str, str]:
    """Give the English name of each alpha-3 code, for people to read."""
    return dict(_read("country_names.csv").select("code", "name").iter_rows())


@lru_cache
def former_states() -> pl.DataFrame:
    """List former, successor and until, the day on which the former state or its name ended (ISO 3166-3)."""
    return _read("former_states.csv").with_columns(pl.col("until").str.to_date())


def icao_characters() -> dict[str, str]:
    """Give the Latin capitals of the machine-readable zone for each character (ICAO Doc 9303-3, section 6)."""
    table = _read("icao_transliteration.csv")
    return dict(zip(table["character"], table["latin"].fill_null(""), strict=True))


def icao_alternatives() -> dict[str, str]:
    """Give the spelling of `icao_characters` for each XX form of the machine-readable zone, such as NXX -> N."""
    table = _read("icao_alternatives.csv")
    return dict(zip(table["written"], table["latin"], strict=True))


@lru_cache
def particles() -> frozenset[str]:
    """Give the words, in capitals, that come and go before or between surnames, such as DE, VAN, BIN."""
    return frozenset(_read("particles.csv")["particle"])


@lru_cache
def citizenship_groups() -> pl.DataFrame:
    """List group (eu, efta, candidate), country, valid_from and valid_to (exclusive, null while it lasts)."""
    dates = pl.col("valid_from", "valid_to").str.to_date()
    return _read("citizenship_groups.csv").select("group", "country", dates)


def ascii_characters(text: str) -> dict[str, str]:
    """Give capitals A-Z and blanks for each distinct character beyond ASCII; accents and apostrophes vanish."""
    return {
        character: _ascii_character(character) for character in sorted(set(text)) if not character.isascii()
    }


def _ascii_character(character: str) -> str:
    if unicodedata.combining(character):
        return ""
    latin = "".join(c for c in anyascii(character).upper() if c not in APOSTROPHES)
    return re.sub("[^A-Z]", " ", latin)


@lru_cache
def _countries(extra: tuple[tuple[str, str], ...]) -> pl.DataFrame:
    added: dict[str, str] = {}
    problems: list[str] = []
    for code, country in extra:
        key = country_key(code)
        if not key:
            problems.append(f"countries.{code}: a code or name of letters or digits is needed")
        if not re.fullmatch("[A-Z]{3}", country):
            problems.append(f"countries.{code}: expected three capitals such as NOR, found {country!r}")
        if added.setdefault(key, country) != country:
            problems.append(f"countries.{code}: {key!r} is given twice, as {added[key]} and as {country}")
    if problems:
        raise ConfigError(*problems)
    listed = _read("countries.csv").select("scheme", "code", "country")
    # A country of the configuration's own is also known by its code.
    known = {*added, *listed["code"]}
    added |= {country: country for country in added.values() if country not in known}
    ours = pl.DataFrame(
        [("extra", code, country) for code, country in added.items()], schema=listed.schema, orient="row"
    )
    order = pl.col("scheme").replace_strict(
        {scheme: n for n, scheme in enumerate(PRECEDENCE)}, return_dtype=pl.Int8
    )
    return pl.concat([ours, listed]).sort(order, maintain_order=True)


@lru_cache
def _read(name: str) -> pl.DataFrame:
    """Read one of the files beside this module; every column is text, blank is null."""
    text = (files(__name__) / name).read_text(encoding="utf-8")
    return pl.read_csv(StringIO(text), comment_prefix="#", infer_schema=False)
