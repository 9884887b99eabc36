"""`miglink classify`: a usual-residence rule alone, on crossings that already carry a person_id."""

import os
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast, get_args

import polars as pl

from miglink.config import read_rule
from miglink.config.mobility import RollingWindowRule
from miglink.config.rules import MissingCrossings, ReferenceDateRule
from miglink.engine import Engine, open_engine
from miglink.errors import ConfigError, SourceError
from miglink.stages import residence, spells

RESULTS = ("status_before", "status_after", "is_migration", "status_final_date", "migration_final_date")
_FORMATS = (".csv", ".parquet")
_SHOWN = 10
_TIMES = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M")


@dataclass(frozen=True)
class Observed:
    """The days observed: from the first on which a crossing would be known, up to the last; None where not stated."""

    from_date: date | None = None
    to_date: date | None = None


def classify_file(path: Path, rule_name: str, policy: str | None, observed: Observed, out: Path) -> str:
    """Classify the crossings of a file, and write the same rows with their statuses; says what came out.

    Units: dates are local days. Crossings dated observed.to_date are known, days are counted up to but not on it.
    Errors: ConfigError for a wrong rule, policy or file to write; SourceError for crossings that cannot be read.
    """
    rule = read_rule(rule_name, Path.cwd())
    if isinstance(rule, RollingWindowRule):
        raise ConfigError(
            f"--rule {rule_name}: this rule says how long somebody may stay, not who lives here; name it under "
            "`mobility.rules` and use `miglink run`"
        )
    if isinstance(rule, ReferenceDateRule):
        raise ConfigError(
            f"--rule {rule_name}: this rule looks back from a reference date, so no crossing is a migration by itself; "
            "use `miglink run` with it, or classify with a forward rule such as nz_12_16 or un_12_months"
        )
    chosen = _check_policy(policy or rule.missing_crossings)
    if observed.from_date and observed.to_date and observed.to_date <= observed.from_date:
        raise ConfigError("--observed-to must be later than --observed-from")
    _check_out(path, out)
    rows = read_crossings(path)
    crossings = check_crossings(rows, path.name)
    with (
        TemporaryDirectory(dir=out.parent, prefix=".miglink-") as folder,
        closing(open_engine("duckdb", Path(folder))) as engine,
    ):
        results = _classify(engine, crossings, rule, chosen, observed)
    classified = pl.concat([rows, results], how="horizontal")
    _write(classified, out)
    n_migrations, n_open = int(results["is_migration"].sum()), results["is_migration"].null_count()
    return (
        f"{rows.height:,} crossings of {crossings['person_id'].n_unique():,} persons under {rule.name}, {chosen}: "
        f"{n_migrations:,} migrations, {n_open:,} undetermined. Written to {out}"
    )


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
    """The crossings as stage spells orders them; SourceError names the wrong rows by number, never by value."""
    dates = [column for column in ("crossed_date", "crossed_at") if column in rows.columns]
    missing = [column for column in ("person_id", "direction") if column not in rows.columns]
    if not dates:
        missing.append("crossed_date (or crossed_at)")
    if missing:
        raise SourceError(f"{name}: no column {', '.join(missing)}; its columns: {', '.join(rows.columns)}")

    at = _times(rows, "crossed_at")
    day = _days(rows, "crossed_date") if "crossed_date" in dates else at.dt.date()
    crossings = pl.DataFrame(
        {
            "crossing_id": pl.int_range(rows.height, dtype=pl.Int64, eager=True),
            "person_id": _text(rows, "person_id"),
            "crossed_date": day,
            "crossed_at": at,
            "direction": _text(rows, "direction").str.to_lowercase(),
            "sequence": _whole_numbers(rows, "sequence"),
            "initial_status": _text(rows, "initial_status").str.to_lowercase(),
        }
    )
    is_way = crossings["direction"].is_in(["arrival", "departure"]).fill_null(False)
    is_status = crossings["initial_status"].is_in(["resident", "non_resident", "unknown", "undetermined"])
    is_no_time = at.is_null() & _text(rows, "crossed_at").is_not_null()
    is_no_number = crossings["sequence"].is_null() & _text(rows, "sequence").is_not_null()
    problems = [
        _rows(crossings["person_id"].is_null(), "person_id is blank"),
        _rows(crossings["crossed_date"].is_null(), f"{dates[0]} is blank or no date such as 2019-03-31"),
        _rows(is_no_time, "crossed_at is no time such as 2019-03-31 14:05"),
        _rows(~is_way, "direction is neither arrival nor departure"),
        _rows(is_no_number, "sequence is no whole number"),
        _rows(
            ~is_status.fill_null(True), "initial_status is neither resident, non_resident, unknown nor blank"
        ),
    ]
    found = [problem for problem in problems if problem]
    if found:
        raise SourceError("\n".join(f"{name}: {problem}" for problem in found))
    return crossings


def _classify(
    engine: Engine,
    crossings: pl.DataFrame,
    rule: residence.ForwardRule,
    policy: MissingCrossings,
    observed: Observed,
) -> pl.DataFrame:
    """The results in the order of the rows."""
    ordered = spells.order_crossings(engine, engine.frame("classify_crossings", crossings))
    table = residence.classify(engine, ordered, rule, policy, observed.from_date, observed.to_date)
    return pl.read_parquet(table.path, glob=False).sort("crossing_id").select(RESULTS)


def _check_policy(policy: str) -> MissingCrossings:
    known = get_args(MissingCrossings)
    if policy not in known:
        raise ConfigError(f"--policy {policy}: no such policy; known: {', '.join(known)}")
    return cast(MissingCrossings, policy)


def _check_out(path: Path, out: Path) -> None:
    if out.suffix not in _FORMATS:
        raise ConfigError(f"--out {out}: the name must end in {' or '.join(_FORMATS)}")
    if not out.parent.is_dir():
        raise ConfigError(f"--out {out}: the folder {out.parent} does not exist")
    if out.exists() and path.exists() and out.samefile(path):
        raise ConfigError(f"--out {out}: is the file of the crossings itself; name another")


def _write(classified: pl.DataFrame, out: Path) -> None:
    """Write whole or not at all. Texts are the user's own and go back as they came, formulas among them too."""
    part = out.with_name(out.name + ".part")
    try:
        classified.write_csv(part) if out.suffix == ".csv" else classified.write_parquet(part)
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)


def _text(rows: pl.DataFrame, column: str) -> pl.Series:
    """A column as text without surrounding blanks; blank and missing are null."""
    if column not in rows.columns:
        return pl.Series(column, [None], dtype=pl.String).new_from_index(0, rows.height)
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
    return text.select(pl.coalesce(tries)).to_series()


def _whole_numbers(rows: pl.DataFrame, column: str) -> pl.Series:
    return _text(rows, column).cast(pl.Int64, strict=False)


def _rows(is_wrong: pl.Series, reason: str) -> str:
    """The numbers of the wrong rows, the first few of them; empty where there are none."""
    numbers = (is_wrong.arg_true() + 1).to_list()
    shown = ", ".join(map(str, numbers[:_SHOWN])) + (
        f" … ({len(numbers)} rows)" if len(numbers) > _SHOWN else ""
    )
    return f"row {shown}: {reason}" if numbers else ""
