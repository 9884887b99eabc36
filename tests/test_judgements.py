"""Decisions of clerks as they are read: finished or not, of one source or several, drawn as a sample or not."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from miglink.config.sources import Source
from miglink.config.stages import Period
from miglink.engine import Engine, Table
from miglink.errors import SourceError
from miglink.stages.ingest import ingest

PERIOD = Period.model_validate({"from": date(2012, 1, 1), "to": date(2018, 12, 31)})
BORDER = "crossed_date,direction,surname\n2014-05-05,arrival,PEREZ\n"


def sources(folder: Path, **clerks: str) -> dict[str, Source]:
    """Sources of judgements whose columns have our names, beside one crossing."""
    found = {}
    for name, text in {"border": BORDER, **clerks}.items():
        path = folder / f"{name}.csv"
        path.write_text(text, encoding="utf-8-sig")
        columns = {column: column for column in text.splitlines()[0].split(",")}
        kind = "crossings" if name == "border" else "judgements"
        found[name] = Source.model_validate({"kind": kind, "files": str(path), "columns": columns})
    return found


def rows(engine: Engine, table: Table, select: str) -> list[tuple[Any, ...]]:
    return engine.collect(f"SELECT {select} FROM t ORDER BY 1", t=table).rows()


DECISION = "source_l,record_id_l,source_r,record_id_r,verdict,decided_at,stratum,sampling_weight"


def test_a_review_that_is_not_finished_is_read_and_accounted_for(engine: Engine, tmp_path: Path) -> None:
    """Pairs not decided yet are kept without a verdict; a decision from elsewhere counts for a pair of the sample."""
    sample = f"{DECISION}\nb,1,b,2,match,,low,2.5\nb,3,b,4,,,low,2.5\nb,6,b,5,,2021-01-01,high,1\nb,7,b,8, ,,high,1\n"
    other = "record_id_l,source_l,source_r,record_id_r,verdict\n5,b,b,6,Non_Match\n1,b,b,2,non_match\n"
    result = ingest(engine, sources(tmp_path, sample=sample, other=other), {}, PERIOD)
    accounts = rows(engine, result.row_accounts, "source, n_read, n_accepted, n_rejected, n_repeats")
    assert accounts == [("border", 1, 1, 0, 0), ("other", 2, 2, 0, 1), ("sample", 4, 4, 0, 1)]
    assert rows(engine, result.judgements, "record_id_l, verdict, stratum, sampling_weight") == [
        ("1", "match", "low", 2.5),
        ("3", None, "low", 2.5),
        ("5", "non_match", "high", 1.0),
        ("7", None, "high", 1.0),
    ]


def test_judgements_without_a_sample_carry_no_weight(duckdb_engine: Engine, tmp_path: Path) -> None:
    other = "source_l,record_id_l,source_r,record_id_r,verdict\nb,5,b,6,match\n"
    result = ingest(duckdb_engine, sources(tmp_path, other=other), {}, PERIOD)
    assert rows(duckdb_engine, result.judgements, "verdict, stratum, sampling_weight") == [
        ("match", None, None)
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "b,1,b,2,maybe,,low,1",
            r"1 judgements \(the first in row 1\) lack a record or have another verdict",
        ),
        ("b,1,b,,,,low,1", r"1 judgements \(the first in row 1\) lack a record"),
        ('b,1,b,2,match,,low,"2,5"', "sampling_weight that is no number above 0"),
        ("b,1,b,2,match,,low,0", "sampling_weight that is no number above 0"),
        ("b,1,b,2,match,,low,nan", "sampling_weight that is no number above 0"),
    ],
)
def test_a_decision_that_cannot_be_read_stops_the_run(
    duckdb_engine: Engine, tmp_path: Path, row: str, message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        ingest(duckdb_engine, sources(tmp_path, sample=f"{DECISION}\n{row}\n"), {}, PERIOD)
