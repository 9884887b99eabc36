"""Two bars for every model that is trained: what a rare document says, and what a common name does not."""

import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from miglink.config.stages import LinkageSettings, PersonsSettings
from miglink.engine import Engine
from test_linkage import GIVEN, SURNAMES, linked, misread, person

NUMBERS_AGREE = ("same number", "one character, or characters that look alike")
# Persons, records of a person at most, share of records recorded anew with an error (or a new document).
POPULATIONS = {
    "few records": (1500, 6, 1.0),
    "few, hardly an error": (1500, 6, 0.2),
    "thirty events": (400, 30, 1.0),
}


def common_names(shape: tuple[int, int, float], seed: int) -> tuple[list[dict[str, Any]], list[int]]:
    """Persons of whom a third bear one of few names; the rows and the person of each row."""
    n_persons, most_records, share = shape
    rng = random.Random(seed)
    rows, owners = [], []
    for owner in range(n_persons):
        who = person(rng)
        if owner % 3 == 0:
            who |= {"surname": rng.choice(SURNAMES), "given_names": rng.choice(GIVEN)}
        for _ in range(rng.randint(most_records // 2, most_records)):
            rows.append(misread(rng, who) if rng.random() < share else who)
            owners.append(owner)
    return rows, owners


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("shape", POPULATIONS.values(), ids=list(POPULATIONS))
def test_the_bars_hold_for_every_pair(
    duckdb_engine: Engine, tmp_path: Path, shape: tuple[int, int, float], seed: int
) -> None:
    """The same document with nothing against it is above 0.99; a common name with the year of birth never links."""
    rows, owners = common_names(shape, seed)
    asked = LinkageSettings(training_pairs=200_000, keep_p_match=0.0)
    pairs, _ = linked(duckdb_engine, rows, tmp_path, asked)
    others = [c for c in pairs.columns if c.startswith("level_") and c != "level_document"]
    settled = pairs.filter(
        pl.col("level_document") == "same number", ~pl.any_horizontal(pl.col(others) == "other")
    )
    assert settled.height > 100
    assert settled["p_match"].min() > 0.99  # type: ignore[operator]

    given = pl.DataFrame(rows).with_row_index("row").with_columns(owner=pl.Series(owners))
    given = given.with_columns(
        bearers=pl.col("owner").n_unique().over("surname", "given_names"),
        year=pl.col("birth_date").str.head(4),
    ).select(pl.col("row").cast(pl.Int32), "bearers", "year", "birth_date")
    both = pairs.join(given, left_on="l", right_on="row").join(
        given, left_on="r", right_on="row", suffix="_r"
    )
    by_year = both.filter(
        pl.col("level_name") == "same name",
        pl.col("level_birth_date") == "same year",
        pl.col("year") == pl.col("year_r"),
        ~pl.col("level_document").is_in(NUMBERS_AGREE),
        pl.col("bearers") > given["bearers"].median(),
    )
    assert by_year.height > 20
    assert by_year["p_calibrated"].max() < PersonsSettings().accept_p_match  # type: ignore[operator]
