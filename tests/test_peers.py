"""What the benchmarks stand beside gives the same answers, where it gives any."""

from datetime import date
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from benchmarks.generated_crossings import generate
from benchmarks.peer_residence import in_pandas, in_polars
from miglink.classify import Observed, classify_file

FROM, TO = date(2012, 1, 1), date(2023, 12, 31)
KEY = ["person_id", "crossed_date"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_analyst_and_miglink_agree(tmp_path: Path, seed: int) -> None:
    """Crossings without gaps, of persons whose first crossing tells where they were before."""
    crossings = generate(20_000, seed, is_whole=True)
    told = pl.col("crossed_date").min().over("person_id") >= date(2013, 1, 1)
    crossings = crossings.filter(told)
    crossings.write_parquet(tmp_path / "crossings.parquet")
    out = tmp_path / "classified.parquet"
    classify_file(tmp_path / "crossings.parquet", "nz_12_16", "unresolved", Observed(FROM, TO), out)
    ours = pl.read_parquet(out).sort(KEY)["is_migration"]
    plain = pd.DataFrame(crossings.to_dict(as_series=False))
    theirs: dict[str, pl.Series] = {
        "pandas": pl.Series(pl.from_pandas(in_pandas(plain, TO)[["is_migration"]])["is_migration"]),
        "polars": in_polars(crossings, TO)["is_migration"],
    }
    assert theirs["pandas"].equals(theirs["polars"])
    for found in theirs.values():
        assert found.filter(found.is_not_null()).equals(ours.filter(found.is_not_null()))
        # They give up where miglink still knows something, but not often.
        assert ours.null_count() <= found.null_count() < 0.3 * crossings.height
    assert ours.sum() > 100
