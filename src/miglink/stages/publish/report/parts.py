"""What a report is made of: sections, charts and listings; and how numbers and codes are written in them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any

import polars as pl

from miglink.codes import country_names

# More rows than these are in the tables of outputs/ alone.
MOST_ROWS = 40
_MISSING = "–"
_THIN, _MINUS = "\u202f", "\u2212"
_WORDS = {
    "all": "in all",
    "efta": "EFTA",
    "eu": "EU",
    "foreign": "foreign-born",
    "foreign_born_citizen": "foreign-born citizens",
    "foreign_born_foreigner": "foreign-born foreigners",
    "native": "native-born",
    "native_born_citizen": "native-born citizens",
    "native_born_foreigner": "native-born foreigners",
    "net": "net migration",
    "non_resident": "non-resident",
    "present_non_residents": "present non-residents",
    "total": "total",
    "none": "nothing",
}
_GROUPS = {"candidate": "EU candidates", "national": "nationals", "other": "other countries"}
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip
# Where headings may break: columns of figures are narrow.
_LONG_WORDS = {
    "undetermined": "undeter\u00admined",
    "immigration": "immi\u00adgration",
    "emigration": "emi\u00adgration",
    "migration": "mi\u00adgration",
    "provisional": "provi\u00adsional",
}


@dataclass(frozen=True)
class Listing:
    """A table. heads: heading and kind of each column (text, count, share, permille, number); the first names the row.

    totals: rows that stay last, however the others are sorted. rests_on: rule, policy, vintage and status.
    """

    caption: str
    heads: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[Any]]
    totals: Sequence[Sequence[Any]] = ()
    note: str = ""
    rests_on: str = ""

    @property
    def is_long(self) -> bool:
        """Whether it is left out on paper where it stands beneath a chart."""
        return len(self.rows) > MOST_ROWS

    def written(self, rows: Sequence[Sequence[Any]]) -> list[list[tuple[str, bool]]]:
        """The cells of rows as text, and whether each is a number."""
        kinds = [kind for _, kind in self.heads]
        return [
            [(write(value, kind), kind != "text") for value, kind in zip(row, kinds, strict=True)]
            for row in rows
        ]


@dataclass(frozen=True)
class Chart:
    """A chart: what it shows, of which rule, policy, period and vintage, the drawing, and its data."""

    title: str
    rests_on: str
    svg: str
    listing: Listing
    note: str = ""


@dataclass(frozen=True)
class Tile:
    """One figure, large: what it is, the figure, and what must be said with it."""

    label: str
    figure: str
    said: Sequence[str]


@dataclass(frozen=True)
class Fold:
    """Parts that are shown on demand, under a title."""

    title: str
    parts: Sequence["Part"]


Part = Chart | Listing | Fold | tuple[Tile, ...] | str


@dataclass(frozen=True)
class Section:
    """A heading of the report: texts, charts and listings in order."""

    anchor: str
    title: str
    parts: Sequence[Part] = field(default_factory=list)


def kind_of(part: Part) -> str:
    """The name of a part for the template: chart, listing, fold, tiles or said."""
    if isinstance(part, str):
        return "said"
    return "tiles" if isinstance(part, tuple) else type(part).__name__.lower()


def write(value: Any, kind: str = "count") -> str:
    """A value as readers see it: thin spaces between groups of three digits, – where there is none.

    >>> write(-1234567).split(), write(0.1234, "share").split(), write(0.00123, "permille"), write(None)
    (['−1', '234', '567'], ['12.3', '%'], '1.23', '–')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return _MISSING
    if kind == "text":
        return str(value)
    digits = {
        "count": f"{value:,.0f}",
        "share": f"{100 * value:,.1f}\u00a0%",
        "permille": f"{1000 * value:,.2f}",
        "number": f"{value:,.1f}",
    }[kind]
    return digits.replace(",", _THIN).replace("-", _MINUS)


def words(code: str) -> str:
    """A code in words: underscores are spaces, abbreviations stay.

    >>> words("efta"), words("first_crossing")
    ('EFTA', 'first crossing')
    """
    return _WORDS.get(code, code.replace("_", " "))


def whole(column: str) -> pl.Expr:
    """The sum of a column; null where one of its figures is not published, for the rest is not the sum."""
    figures = pl.col(column)
    return pl.when(figures.is_null().any()).then(None).otherwise(figures.sum()).alias(column)


def total(figures: Sequence[float | None]) -> float | None:
    """The sum of figures; none where one of them is not published.

    >>> total([1, 2]), total([1, None])
    (3, None)
    """
    known = [figure for figure in figures if figure is not None]
    return sum(known) if len(known) == len(figures) else None


def group_name(group: str) -> str:
    """A group of citizenships in words: `other` are other countries there, and a candidate one of the EU."""
    return _GROUPS.get(group, words(group))


@lru_cache
def country_name(code: str) -> str:
    """The English name of a country; the code itself where it has none."""
    return country_names().get(code, code)


def day_name(day: date) -> str:
    """A day as people write it.

    >>> day_name(date(2022, 1, 1)).replace("\u00a0", " ")
    '1 January 2022'
    """
    return f"{day.day}\u00a0{_MONTHS[day.month - 1]}\u00a0{day.year}"


def bound(said: str) -> str:
    """A sentence in which a number stays with its per cent sign."""
    return said.replace(" %", "\u00a0%")


def breakable(head: str) -> str:
    """A heading whose long words may break."""
    return " ".join(_LONG_WORDS.get(word, word) for word in head.split(" "))


def listing(
    caption: str, frame: pl.DataFrame, heads: dict[str, tuple[str, str]], note: str = "", rests_on: str = ""
) -> Listing:
    """A listing of columns of a frame, under headings; rows whose first column is `in all` stay last."""
    shown = frame.select(list(heads))
    is_total = pl.col(shown.columns[0]).cast(pl.String).eq_missing("in all")
    rest, last = shown.filter(~is_total), shown.filter(is_total)
    return Listing(caption, list(heads.values()), rest.rows(), last.rows(), note, rests_on)
