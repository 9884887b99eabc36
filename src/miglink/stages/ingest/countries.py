"""Countries: codes and names of every standard, and those that the configuration adds, looked up by one key."""

from collections.abc import Mapping

from miglink.codes import code_lookup
from miglink.engine import Engine, Table

# Letters that occur in the English names of countries; the codes' own list is spelt without accents.
_ACCENTED, _PLAIN = "ÁÀÂÃÄÅÇÉÈÊËÍÎÏÑÓÔÖÕÚÛÜÝ", "AAAAAACEEEEIIINOOOOUUUY"


def country_key_sql(value: str) -> str:
    """The key under which a code or name is looked up: capitals, no accents, single spaces, no padding.

    A number is padded to the three digits of ISO 3166-1 numeric codes.
    """
    folded = f"translate(upper({value}), '{_ACCENTED}', '{_PLAIN}')"
    key = f"trim(regexp_replace({folded}, '[^A-Z0-9]+', ' ', 'g'))"
    return f"(CASE WHEN regexp_matches({key}, '^[0-9]{{1,2}}$') THEN lpad({key}, 3, '0') ELSE {key} END)"


def country_table(engine: Engine, further: Mapping[str, str]) -> Table:
    """The lookup of every known code and name: code (the key), country (alpha-3 or ICAO special code)."""
    return engine.frame("ingest_countries", code_lookup(further))
