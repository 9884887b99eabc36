"""Linked crossings: a file of crossings that already carry a person_id, read and checked."""

from pathlib import Path

import polars as pl

from miglink.errors import SourceError

RESULTS = ("status_before", "status_after", "is_migration", "status_final_date", "migration_final_date")
_WAYS = ("arrival", "departure")
_STATUSES = ("resident", "non_resident", "unknown", "undetermined")
_SHOWN = 10
_TIMES = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M")


def read_crossings(path: Path) -> pl.DataFrame:
    """The rows of a Parquet or CSV file; columns of a CSV are text as written."""
    try:
        is_parquet = path.suffix == ".parquet"
        rows = (
            pl.read_parquet(path, glob=False)
            if is_parquet
            else pl.read_csv(path, infer_schema=False, glob=False)
        )
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file") from None
    except pl.exceptions.NoDataError:
        raise SourceError(f"{path.name} is empty; it needs a header and at least one row") from None
    except (OSError, pl.exceptions.PolarsError) as error:
        expected = "Parquet" if is_parquet else "CSV (UTF-8, comma, one header line)"
        raise SourceError(f"{path.name} cannot be read as {expected} ({type(error).__name__})") from None
    if rows.is_empty():
        raise SourceError(f"{path.name} has no rows")
    taken = [column for column in RESULTS if column in rows.columns]
    if taken:
        raise SourceError(
            f"{path.name} already has the columns {', '.join(taken)}; rename or drop them first"
        )
    return rows


def check_crossings(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """The crossings as a rule takes them; SourceError names the wrong rows by number, never by value.

    Gives: person_id (text, or whole numbers as they came), crossed_date, direction, and those of crossed_at, sequence
    and initial_status that there are.
    """
    dates = [column for column in ("crossed_date", "crossed_at") if column in rows.columns]
    missing = [column for column in ("person_id", "direction") if column not in rows.columns]
    if not dates:
        missing.append("crossed_date (or crossed_at)")
    if missing:
        raise SourceError(f"{name}: no column {', '.join(missing)}; its columns: {', '.join(rows.columns)}")

    crossings = {"person_id": _ids(rows), "direction": _words(rows, "direction", _WAYS)}
    problems = [
        _rows(crossings["person_id"].is_null(), "person_id is blank"),
        _rows(~_is_one_of(crossings["direction"], _WAYS), "direction is neither arrival nor departure"),
    ]
    if "crossed_at" in dates:
        crossings["crossed_at"] = _times(rows, "crossed_at")
        is_no_time = _is_unread(crossings["crossed_at"], rows)
        problems.append(_rows(is_no_time, "crossed_at is no time such as 2019-03-31 14:05"))
    given = "crossed_date" in dates
    crossings["crossed_date"] = _days(rows, "crossed_date") if given else crossings["crossed_at"].dt.date()
    is_no_day = crossings["crossed_date"].is_null()
    problems.append(_rows(is_no_day, f"{dates[0]} is blank or no date such as 2019-03-31"))
    if "sequence" in rows.columns:
        crossings["sequence"] = _whole_numbers(rows, "sequence")
        problems.append(_rows(_is_unread(crossings["sequence"], rows), "sequence is no whole number"))
    if "initial_status" in rows.columns:
        status = crossings["initial_status"] = _words(rows, "initial_status", _STATUSES)
        is_no_status = ~(status.is_null() | _is_one_of(status, _STATUSES))
        reason = "initial_status is neither resident, non_resident, unknown nor blank"
        problems.append(_rows(is_no_status, reason))
    found = [problem for problem in problems if problem]
    if found:
        raise SourceError("\n".join(f"{name}: {problem}" for problem in found))
    return pl.DataFrame(crossings)


def _ids(rows: pl.DataFrame) -> pl.Series:
    """Whole numbers need no text to be told apart."""
    return rows["person_id"] if rows["person_id"].dtype.is_integer() else _text(rows, "person_id")


def _words(rows: pl.DataFrame, column: str, known: tuple[str, ...]) -> pl.Series:
    """A column of words in small letters; where all are known as they stand, nothing needs doing."""
    given = rows[column]
    if given.dtype == pl.String and _is_one_of(given, known).all():
        return given
    return _text(rows, column).str.to_lowercase()


def _is_one_of(words: pl.Series, known: tuple[str, ...]) -> pl.Series:
    """Whether each word is one of these; blank is not."""
    is_known = words == known[0]
    for word in known[1:]:
        is_known |= words == word
    return is_known.fill_null(False)


def _text(rows: pl.DataFrame, column: str) -> pl.Series:
    """A column as text without surrounding blanks; blank and missing are null."""
    stripped = rows[column].cast(pl.String).str.strip_chars()
    return stripped.set(stripped.str.len_bytes() == 0, None)


def _days(rows: pl.DataFrame, column: str) -> pl.Series:
    given = rows[column]
    if isinstance(given.dtype, pl.Date | pl.Datetime):
        return given.cast(pl.Date) if isinstance(given.dtype, pl.Date) else given.dt.date()
    return _text(rows, column).str.to_date("%Y-%m-%d", strict=False)


def _times(rows: pl.DataFrame, column: str) -> pl.Series:
    """Local times; a time with a zone is taken as that zone's clock shows it."""
    if column in rows.columns and isinstance(rows[column].dtype, pl.Datetime):
        return rows[column].dt.replace_time_zone(None).cast(pl.Datetime("us"))
    text = _text(rows, column).to_frame()
    tries = [pl.col(column).str.to_datetime(form, time_unit="us", strict=False) for form in _TIMES]
    return text.select(pl.coalesce(tries).alias(column)).to_series()


def _whole_numbers(rows: pl.DataFrame, column: str) -> pl.Series:
    given = rows[column]
    return (given if given.dtype.is_integer() else _text(rows, column)).cast(pl.Int64, strict=False)


def _is_unread(found: pl.Series, rows: pl.DataFrame) -> pl.Series:
    """Whether something stands in a row's column of this name, and nothing was made of it."""
    return found.is_null() & (_text(rows, found.name).is_not_null() if found.null_count() else False)


def _rows(is_wrong: pl.Series, reason: str) -> str:
    """The numbers of the wrong rows, the first few of them; empty where there are none."""
    numbers = (is_wrong.arg_true() + 1).to_list()
    shown = ", ".join(map(str, numbers[:_SHOWN])) + (
        f" … ({len(numbers)} rows)" if len(numbers) > _SHOWN else ""
    )
    return f"row {shown}: {reason}" if numbers else ""
