"""Files as no one wants them, read on Spark and on DuckDB: the same rows, the same losses, the same words."""

import datetime as dt
import gzip
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from miglink.engine import CsvFormat, Engine, ParquetFormat, Place
from miglink.engine.duckdb_engine import DuckDBEngine
from miglink.errors import SourceError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

Form = CsvFormat | ParquetFormat
GOOD = "p,q\n" * 30


@pytest.fixture
def engines(tmp_path: Path, spark: "SparkSession") -> Iterator[tuple[Engine, Engine]]:
    from miglink.engine.spark_engine import SparkEngine

    both = DuckDBEngine(tmp_path / "duckdb"), SparkEngine(spark, tmp_path / "spark", Place())
    yield both
    for engine in both:
        engine.close()


def found(engine: Engine, paths: list[Path], form: Form) -> Any:
    """What an engine reads, or what it says."""
    try:
        raw = engine.read("s", paths, form)
    except SourceError as error:
        return str(error)
    tables = []
    for table in (raw.rows, raw.malformed, raw.trailers):
        rows = engine.collect("SELECT * FROM t", t=table)
        tables.append((rows.schema, sorted(rows.rows(), key=str)))
    return raw.columns, tables


def assert_same(engines: tuple[Engine, Engine], paths: list[Path], form: Form) -> Any:
    expected, read = (found(engine, paths, form) for engine in engines)
    assert read == expected
    return read


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


# One file with every oddity that leaves its rows readable.
ODD = (
    'a,b\nx,y\n\nx,\n,\n"",""\nx\n \n"x" ,y\n "x",y\n x , y \n"x"z,y\nx,y"z\nx,y""z\n"x""y",z\nx,"y" "z"\n'
    'x,y,\nx,y,,""\nx,y,z\n"m\nn",o\n"m\r\n,\r\nn",o\nr,s\rt,u\r\nx,y\0\nx,  "y"\nx,"y" z\n'
    "e\u0301,\u00a0\nñ,日本😀\n3\n\n"
)


@pytest.mark.parametrize("most", [1 << 20, 24], ids=["one part", "parts"])
def test_rows_and_lines_that_fit_no_row(
    engines: tuple[Engine, Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """In small parts rows are cut within lines, quotes and letters."""
    monkeypatch.setattr("miglink.engine.spark_files._LEAST_BYTES_OF_TASK", most)
    monkeypatch.setattr("miglink.engine.spark_files._MOST_BYTES_OF_TASK", most)
    paths = [write(tmp_path / "2014" / "f.csv", ODD), write(tmp_path / "2015" / "f.csv", "a,b\n1,2\n3\n4,5")]
    _, tables = assert_same(engines, paths, CsvFormat())
    assert len(tables[1][1]) > 5


def test_the_driver_sees_no_rows(
    engines: tuple[Engine, Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many rows and malformed lines a part has, the driver gets the same few facts."""
    spark, heights = engines[1], dict[int, list[int]]()
    collect = spark.collect
    for n_rows in (20, 4000):
        seen = heights[n_rows] = []

        def watched(select: str, seen: list[int] = seen, **tables: Any) -> pl.DataFrame:
            found = collect(select, **tables)
            seen.append(found.height)
            return found

        monkeypatch.setattr(spark, "collect", watched)
        path = write(tmp_path / f"{n_rows}.csv", "a,b\n" + 'x,"y\nz"\n1,2,3\n' * n_rows)
        raw = spark.read("source", [path], CsvFormat())
        assert spark.count(raw.rows) == spark.count(raw.malformed) == n_rows
    assert heights[20] == heights[4000]


@pytest.mark.parametrize(
    ("content", "form"),
    [
        ("a;b\n1;é\n\x85;ß\nT;2\nT 9;x;y\nT\n".encode("latin-1"), CsvFormat(";", "latin-1", trailer="T")),
        ('a\tb\r\n1\té\r\n"x\r\ny"\tz\r\n'.encode("utf-16"), CsvFormat("\t", "utf-16")),
        ('\ufeffa,b\n"x,y"\n\'z,w\n', CsvFormat(quote="")),
        ('a\nx\n\n"y"\n z', CsvFormat()),
        ('a,b\r\n"x\ry",z\nx,y\r', CsvFormat()),
        ("a,b\rx,y\r\rz\r", CsvFormat()),
        ("a,b\nT, 2.0 \n", CsvFormat(trailer="T")),
        (b"a,b\n" + b"p,q\n" * 2000 + b"\xe9,y\n", CsvFormat()),
        ("a,b\n", CsvFormat()),
    ],
    ids=[
        "latin-1",
        "utf-16",
        "no quotes",
        "one column",
        "mixed ends",
        "returns",
        "total",
        "one damaged",
        "empty",
    ],
)
@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_ways_to_write_a_file(
    engines: tuple[Engine, Engine], tmp_path: Path, content: str | bytes, form: CsvFormat, ending: str
) -> None:
    assert not isinstance(assert_same(engines, [write(tmp_path / ("a[1]?é" + ending), content)], form), str)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('a,b\nx,y\n"x,y\n1,2\n', "a quote is opened in line 3 or near it"),
        ('a,b\n"x,1\n1,2\ny",z\n', "a quote is opened in line 2 or near it"),
        ("a,b\n" + GOOD + "x," * 1_100_000, "line 32 is longer than 2,000,000 bytes"),
        ("a,b\n" + GOOD + 'x,"' + "z\n" * 1_100_000, "a quote is opened in line 32 or near it"),
        (b"a,b\n\xe9,y\n" + GOOD.encode(), "1 of 31 lines are not in utf-8 (one is f.csv, line 2)"),
        ("a,A\n1,2\n", "cannot be read as CSV in utf-8"),
    ],
    ids=["never closed", "closed by another row", "long line", "long field", "encoding", "columns"],
)
def test_what_stops_the_reading(
    engines: tuple[Engine, Engine], tmp_path: Path, content: str | bytes, said: str
) -> None:
    assert said in assert_same(engines, [write(tmp_path / "f.csv", content)], CsvFormat())


def test_a_packed_file_that_is_cut_and_text_that_is_no_utf_16(
    engines: tuple[Engine, Engine], tmp_path: Path
) -> None:
    path = tmp_path / "f.csv.gz"
    text = "a,b\n" + "".join(f"{number},{number**5}\n" for number in range(400_000))
    path.write_bytes(gzip.compress(text.encode(), 1)[:-9])
    assert "it is no whole gzip file" in assert_same(engines, [path], CsvFormat())
    path = write(tmp_path / "f.csv", ("a,b\n" + "x,y\n" * 300_000).encode("utf-16") + b"\x00\xd8A")
    assert "cannot be read in utf-16" in assert_same(engines, [path], CsvFormat(encoding="utf-16"))


INSTANT = dt.datetime(2014, 5, 5, 10, 11, 12, 123456)
FRAME = pl.DataFrame(
    {
        "text": ["é", None, ""],
        "whole": pl.Series([1, None, -3], dtype=pl.Int32),
        "double": [12345678.0, 0.00001234, None],
        "odd": [float("nan"), float("inf"), 1e22],
        "float": pl.Series([1.5, 3e10, 0.1], dtype=pl.Float32),
        "decimal": pl.Series([Decimal("12.00"), Decimal("0.50"), None], dtype=pl.Decimal(18, 2)),
        "day": [INSTANT.date(), None, dt.date(1899, 12, 31)],
        "time": [INSTANT, dt.datetime(1950, 1, 1, 0, 0, 0, 900000), None],
        "truth": [True, False, None],
        "list": [[1, 2], [], None],
    }
)


def test_parquet_of_every_type(engines: tuple[Engine, Engine], tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "a.parquet", row_group_size=2)
    other = FRAME.select("whole", pl.col("double").cast(pl.Int64).alias("odd"), pl.col("whole").alias("new"))
    other.write_parquet(tmp_path / "b[1].parquet")
    paths = [tmp_path / "a.parquet", tmp_path / "b[1].parquet"]
    assert not isinstance(assert_same(engines, paths[:1], ParquetFormat()), str)
    assert not isinstance(assert_same(engines, paths, ParquetFormat(("whole",))), str)
    assert "has no column `text`" in assert_same(engines, paths, ParquetFormat(("text",)))
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-20])
    assert "cannot be read as Parquet" in assert_same(engines, paths, ParquetFormat())
