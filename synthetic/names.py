"""Names of a synthetic country's people: heads as published, long composed tails, spellings, women's forms."""

import csv
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

CULTURES: tuple[str, ...] = (
    "german",
    "polish",
    "ukrainian",
    "russian",
    "romanian",
    "turkish",
    "arabic",
    "spanish",
    "portuguese",
    "vietnamese",
    "chinese",
    "indian",
    "english",
    "icelandic",
    "amharic",
    "korean",
)
KINDS = ("surname", "male", "female")
DATA = Path(__file__).parent / "names"
STRIDE = 7919  # a prime: neighbours of the composed list end up far apart in rank
PER_CENT = 100.0

Forms = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Lot:
    """The names one kind is drawn from, culture after culture."""

    ids: NDArray[np.int32]
    """Shape (k,): name ids, each culture's from the most common on."""
    reach: NDArray[np.float64]
    """Shape (k,): index of the culture + cumulated share; a culture's last is the next whole number."""
    last: NDArray[np.int64]
    """Shape (cultures,): where in `ids` the culture's last name stands."""


@dataclass(frozen=True)
class Names:
    """All names of all cultures; a name's id is its place in `texts`."""

    texts: pl.Series
    """Shape (n,): as a civil registry prints the name, in Latin letters with their accents."""
    female: NDArray[np.int32]
    """Shape (n,): the id of the form that women bear, itself where there is one form."""
    variants: NDArray[np.int32]
    """Shape (n, 2): ids of two other Latin spellings; the only one twice; itself where there is none."""
    lots: dict[str, Lot]
    """What is drawn, for each of KINDS."""

    def draw(self, kind: str, culture: NDArray[np.int8], chance: NDArray[np.float64]) -> NDArray[np.int32]:
        """Name ids of shape (m,) for m indexes into CULTURES and m chances in [0, 1)."""
        lot = self.lots[kind]
        found = np.searchsorted(lot.reach, culture + chance, side="right")
        # A chance just below 1 rounds up to the next culture once its index is added.
        return lot.ids[np.minimum(found, lot.last[culture])]


@functools.cache
def load_names() -> Names:
    """Read, compose and order all names; the same on every machine."""
    listed, composed, rules = _rows("listed"), _rows("composed"), _rows("rules")
    texts: list[str] = []
    female: list[int] = []
    variants: list[tuple[int, int]] = []
    ids: dict[str, list[NDArray[np.int32]]] = {kind: [] for kind in KINDS}
    shares: dict[str, list[NDArray[np.float64]]] = {kind: [] for kind in KINDS}
    for culture in CULTURES:
        ours = [row for row in listed if row["culture"] == culture]
        bearers = {
            kind: _bearers(
                [row for row in ours if row["kind"] == kind],
                [row for row in composed if row["culture"] == culture and row["kind"] == kind],
            )
            for kind in KINDS
        }
        spellings, women = _forms(bearers, ours, [row for row in rules if row["culture"] == culture])
        number = {text: len(texts) + n for n, text in enumerate(spellings)}
        texts.extend(spellings)
        female.extend(number[women.get(text, text)] for text in spellings)
        for text, others in spellings.items():
            one, *more = [number[other] for other in others] or [number[text]]
            variants.append((one, more[0] if more else one))
        for kind, names in bearers.items():
            ids[kind].append(np.array([number[text] for text in names], np.int32))
            shares[kind].append(_shares(list(names.values())))
    return Names(
        texts=pl.Series("name", texts, pl.String),
        female=np.array(female, np.int32),
        variants=np.array(variants, np.int32),
        lots={kind: _lot(ids[kind], shares[kind]) for kind in KINDS},
    )


def _rows(table: str) -> list[dict[str, str]]:
    with (DATA / f"{table}.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def _bearers(listed: list[dict[str, str]], composed: list[dict[str, str]]) -> dict[str, float | None]:
    """The names of one culture and kind by rank, with their share of bearers where it is listed."""
    names = {row["name"]: float(row["share"]) / PER_CENT if row["share"] else None for row in listed}
    tail = [
        first + last
        for row in composed
        for first in row["firsts"].split("|")
        for last in row["lasts"].split("|")
        if first.strip(" -").lower() != last.lower()  # no Carlos Carlos, no Jun-Jun
    ]
    for place in sorted(range(len(tail)), key=lambda n: n * STRIDE % len(tail)):
        names.setdefault(tail[place], None)
    return names


def _forms(
    bearers: dict[str, dict[str, float | None]], listed: list[dict[str, str]], rules: list[dict[str, str]]
) -> tuple[Forms, dict[str, str]]:
    """Other spellings of each name that is drawn, is a woman's form or another spelling; the women's forms."""
    systems = {
        use: [(row["old"], row["new"]) for row in rules if row["use"] == use]
        for use in ("female", "first", "second")
    }
    explicit = {row["name"]: row["variants"].split("|") for row in listed if row["variants"]}
    drawn = {text: None for names in bearers.values() for text in names}
    spellings: Forms = {}
    women: dict[str, str] = {}
    for text in drawn:
        by_rule = [_respelt(text, systems[use]) for use in ("first", "second")]
        spellings[text] = _others(text, explicit.get(text, by_rule))
    for text in bearers["surname"]:
        woman = _feminine(text, systems["female"])
        if woman != text:
            forms = (text, *spellings[text])
            women |= {form: _feminine(form, systems["female"]) for form in forms}
            spellings.setdefault(woman, _others(woman, [women[form] for form in forms]))
    for text, others in list(spellings.items()):
        for form in others:
            spellings.setdefault(form, _others(form, [text, *others]))
    for woman in women.values():
        spellings.setdefault(woman, ())
    return spellings, women


def _others(text: str, forms: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(form for form in forms if form != text))[:2]


def _respelt(text: str, system: list[tuple[str, str]]) -> str:
    """The name in another system of transliteration; `$` marks what is replaced only at the end."""
    for old, new in system:
        if not old.endswith("$"):
            text = text.replace(old, new)
        elif text.endswith(old[:-1]):
            text = text[: 1 - len(old)] + new
    return text


def _feminine(text: str, endings: list[tuple[str, str]]) -> str:
    return next((text[: -len(old)] + new for old, new in endings if text.endswith(old)), text)


def _shares(listed: list[float | None]) -> NDArray[np.float64]:
    """Shares that sum to 1: those listed, then 1 / (rank + c) with the least c that lets the curve go on falling."""
    head = [share for share in listed if share is not None]
    if len(head) == len(listed):
        return np.array(head) / float(np.cumsum(head)[-1])
    rest = 1.0 - float(np.cumsum([0.0, *head])[-1])
    rank = np.arange(1, len(listed) - len(head) + 1, dtype=np.float64)
    most = max(min(head, default=1.0), rest / len(rank) * 1.1)
    for c in _steps():
        weight = 1.0 / (rank + c)
        tail = weight * (rest / float(np.cumsum(weight)[-1]))
        if tail[0] <= most:
            break
    shares = iter(tail.tolist())
    return np.array([next(shares) if share is None else share for share in listed])


def _steps() -> Iterator[int]:
    c = 0
    while True:
        yield c
        c += 1 + c // 8


def _lot(ids: list[NDArray[np.int32]], shares: list[NDArray[np.float64]]) -> Lot:
    reach = []
    for culture, share in enumerate(shares):
        cumulated = np.cumsum(share)
        cumulated[-1] = 1.0
        reach.append(culture + np.minimum(cumulated, 1.0))
    return Lot(np.concatenate(ids), np.concatenate(reach), np.cumsum([len(share) for share in shares]) - 1)
