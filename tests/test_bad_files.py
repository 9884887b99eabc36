"""Bad files: hard names, files that are missing, damaged or of another make; no person is named in what is said."""

import datetime as dt
import gzip
import random
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from given_input import HEADER, Run, assert_failed, assert_nothing_personal, frame, row, runner, text, write


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(tmp_path, capsys)


# Names of files and folders.

NAMES = ("my file", "añö 日本", "o'neil", 'quo"te', "a[1]", "a{1}", "a*b", "a?b", "#&%20$x", "-x", "~x", "[")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
def test_hard_names_of_files_and_folders(run: Run, tmp_path: Path, name: str, ending: str) -> None:
    """Beside each lies a file and a folder that its name would match as a pattern: they are not read."""
    for place in (name, name.replace("[1]", "1").replace("*", "X").replace("?", "Y")):
        folder = tmp_path / "in" / place
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / (place + ending)
        content = text().encode()
        if ending == ".parquet":
            frame(20).write_parquet(path)
        else:
            path.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    form = "{type: parquet}" if ending == ".parquet" else "{}"
    done = run(f"in/{name}/{name}{ending}", form, out=f"out {name}")
    assert (done.code, done.printed if done.code else done.accounts()) == (0, (20, 20, 0))
    assert_nothing_personal(done)


def test_a_folder_gives_its_files_and_not_what_lies_beside_them(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "in [1]"
    (folder / "archive").mkdir(parents=True)
    write(folder, text(), "A.CSV")
    write(folder, gzip.compress(text(n=10).encode()), "b.csv.gz")
    for name in ("b.csv.part", "c.csv.bak", ".hidden.csv", "~lock.csv", "archive/d.csv"):
        write(folder, text(), name)
    assert run("in [1]").accounts() == (30, 30, 0)


def test_files_of_one_name_in_folders_of_one_name(run: Run, tmp_path: Path) -> None:
    for year in ("2014", "2015"):
        (tmp_path / year / "north").mkdir(parents=True)
        write(tmp_path / year / "north", text("2014-05-05,in"), "border.csv")
    done = run(["2014", "201?/north/border.csv", "2015/north"][1:])
    assert (done.code, done.accounts()) == (0, (42, 40, 2))
    assert set(done.table("rejected")["file"]) == {f"{year}/north/border.csv" for year in ("2014", "2015")}


# Files that cannot be read.


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "border.csv is empty; a file needs at least its header line"),
        (b"\xef\xbb\xbf", "border.csv is empty"),
        (HEADER.encode(), "0 rows, fewer than bounds.min_rows (1)"),
        (b"PAR1....PAR1", "border.csv is a Parquet file: say `format.type: parquet`"),
        (b"PK\x03\x04....", "border.csv is a ZIP archive or an Excel workbook"),
        (gzip.compress(text().encode()), "border.csv is packed with gzip: its name must end in .gz"),
    ],
    ids=["empty", "mark only", "header only", "parquet", "zip", "gzip"],
)
def test_a_file_without_rows_or_of_another_kind(run: Run, tmp_path: Path, content: bytes, said: str) -> None:
    write(tmp_path, content)
    assert_failed(run(), said)


def test_one_file_of_several_is_missing_empty_or_holds_no_rows(run: Run, tmp_path: Path) -> None:
    write(tmp_path, text(), "a.csv")
    assert_failed(run(["a.csv", "b.csv"]), f"no file matches {tmp_path / 'b.csv'}")
    (tmp_path / "run").rename(tmp_path / "first")
    write(tmp_path, "", "b.csv")
    assert_failed(run(["a.csv", "b.csv"]), "b.csv is empty")
    (tmp_path / "run").rename(tmp_path / "second")
    write(tmp_path, HEADER + "\n", "b.csv")
    assert run("*.csv").accounts() == (20, 20, 0)


@pytest.mark.parametrize("files", ["b.csv", "*.csv", "."])
def test_a_link_to_nowhere(run: Run, tmp_path: Path, files: str) -> None:
    write(tmp_path, text(), "a.csv")
    (tmp_path / "b.csv").symlink_to(tmp_path / "nowhere")
    assert_failed(
        run(files), f"{tmp_path / 'b.csv'} cannot be read: it is a link to a file that does not exist"
    )


def test_a_file_without_rights(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so the refusal of the system is played."""
    write(tmp_path, text())
    opened = Path.open

    def refuse(path: Path, *arguments: object, **further: object) -> object:
        if path.name == "border.csv":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **further)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    assert_failed(run(), "border.csv cannot be read: Permission denied", "change its rights")


def test_a_folder_without_files_of_the_format(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "in", text(), "border.txt")
    assert_failed(run("in"), "none ends in .csv or .csv.gz")
    (tmp_path / "run").rename(tmp_path / "first")
    assert_failed(run("in/*.csv"), f"no file matches {tmp_path / 'in' / '*.csv'}")


@pytest.mark.parametrize("damage", ["cut", "short", "begin", "checksum", "bit", "plain"])
def test_a_gzip_file_that_is_not_whole(run: Run, tmp_path: Path, damage: str) -> None:
    rng = random.Random(1)
    plain = text(*(row(number, doc=f"XK00{rng.getrandbits(60):x}") for number in range(3000))).encode()
    packed = bytearray(gzip.compress(plain))
    middle = len(packed) // 2
    if damage in ("checksum", "bit"):
        packed[-7 if damage == "checksum" else middle] ^= 0xFF
    content = {"cut": packed[:middle], "short": packed[:-6], "begin": packed[:8], "plain": plain}.get(
        damage, packed
    )
    write(tmp_path, bytes(content), "border.csv.gz")
    assert_failed(run("border.csv.gz"), "border.csv.gz: it is no whole gzip file", "copy it again")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content[:-20], "p0.parquet cannot be read as Parquet"),
        (lambda content: content[:40], "p0.parquet cannot be read as Parquet"),
        (lambda _: text().encode(), "p0.parquet cannot be read as Parquet"),
        (lambda content: content[:200] + b"\xff" * 2000 + content[2200:], "cannot be read as Parquet"),
    ],
    ids=["cut", "begin", "csv", "pages"],
)
def test_a_parquet_file_that_is_not_whole(
    run: Run, tmp_path: Path, change: Callable[[bytes], bytes], said: str
) -> None:
    frame(500).write_parquet(tmp_path / "p0.parquet")
    frame(500).write_parquet(tmp_path / "p1.parquet")
    write(tmp_path, change((tmp_path / "p0.parquet").read_bytes()), "p0.parquet")
    assert_failed(run("*.parquet", "{type: parquet}"), said, "copy it again")


INSTANT = dt.datetime(2014, 5, 5, 10, 11, 12, 123456)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (frame().drop("surname"), "p1.parquet has no column `surname`, which other files of the source have"),
        (
            frame().with_columns(surname=pl.struct("surname", "given")),
            "p1.parquet: column `surname` holds STRUCT",
        ),
        (
            frame().with_columns(surname=pl.concat_list("surname", "given")),
            "column `surname` holds VARCHAR[]",
        ),
        (frame().with_columns(doc=pl.col("doc").cast(pl.Binary)), "column `doc` holds BLOB"),
        (
            frame().with_columns(day=pl.lit(INSTANT).dt.replace_time_zone("UTC")),
            "column `day` holds instants (times with a time zone)",
        ),
    ],
    ids=["other columns", "nested", "list", "binary", "time zone"],
)
def test_a_parquet_file_of_another_make(run: Run, tmp_path: Path, second: pl.DataFrame, said: str) -> None:
    frame().write_parquet(tmp_path / "p0.parquet")
    second.write_parquet(tmp_path / "p1.parquet")
    assert_failed(run("*.parquet", "{type: parquet}"), said)


def test_types_that_parquet_files_may_have(run: Run, tmp_path: Path) -> None:
    """Numbers of documents that some program made decimal stay whole numbers; times end with the second."""
    numbers = pl.Series([12345678, None, 7])
    for name, kind, day in (
        ("a", pl.Float64, pl.lit(INSTANT)),
        ("b", pl.Decimal(18, 2), pl.lit(INSTANT.date())),
        ("c", pl.Int32, pl.lit("2014-05-05")),
    ):
        part = frame().with_columns(doc=numbers.cast(kind), day=day, extra=pl.lit([1, 2]))
        part.write_parquet(tmp_path / f"{name}.parquet")
        done = run(f"{name}.parquet", "{type: parquet}", out=name)
        assert done.accounts() == (3, 3, 0)
        assert done.table("records")["crossed_date"].unique().to_list() == [INSTANT.date()]
        assert set(done.table("records")["document_number"]) == {"12345678", "7", None}
