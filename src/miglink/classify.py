"""`miglink classify`: a usual-residence rule alone, on crossings that already carry a person_id."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from miglink.config import read_rule
from miglink.config.rules import ForwardWindowRule, MissingCrossings, ReferenceDateRule
from miglink.engine import open_engine
from miglink.errors import ConfigError
from miglink.linked_crossings import RESULTS, check_crossings, read_crossings
from miglink.stages import residence, spells

_FORMATS = (".csv", ".parquet")
# Crossings worked on at once by one thread: few enough for their arrays to stay near the processor.
_PART = 1 << 16
_MOST_THREADS = 8
_EPOCH = date(1970, 1, 1)
# Of zstd: a quarter less time than the usual level, for a fiftieth more bytes.
_LEVEL = 1
# By code: what the kernel calls −1, 0 and 1.
_STATES = pl.Enum(["undetermined", "non_resident", "resident"])


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
    if isinstance(rule, ReferenceDateRule):
        raise ConfigError(
            f"--rule {rule_name}: this rule looks back from a reference date, so no crossing is a migration by itself; "
            "use `miglink run` with it, or classify with a forward rule such as nz_12_16 or un_12_months"
        )
    if not isinstance(rule, residence.ForwardRule):
        raise ConfigError(
            f"--rule {rule_name}: this rule rests on other evidence than crossings, such as a register or visas; use "
            "`miglink run` with it, or classify with a forward rule such as nz_12_16 or un_12_months"
        )
    chosen = _check_policy(policy or rule.missing_crossings)
    if observed.from_date and observed.to_date and observed.to_date <= observed.from_date:
        raise ConfigError("--observed-to must be later than --observed-from")
    _check_out(path, out)
    rows = read_crossings(path)
    crossings = check_crossings(rows, path.name)
    if isinstance(rule, ForwardWindowRule) and rule.window.unit == "days":
        results, n_persons = classify_by_days(crossings, rule, chosen, observed)
    else:
        results, n_persons = _classify_by_calendar(crossings, rule, chosen, observed, out.parent)
    del crossings
    _write(pl.concat([rows, results], how="horizontal"), out)
    n_migrations, n_open = int(results["is_migration"].sum()), results["is_migration"].null_count()
    return (
        f"{rows.height:,} crossings of {n_persons:,} persons under {rule.name}, {chosen}: "
        f"{n_migrations:,} migrations, {n_open:,} undetermined. Written to {out}"
    )


def classify_by_days(
    crossings: pl.DataFrame, rule: ForwardWindowRule, policy: MissingCrossings, observed: Observed
) -> tuple[pl.DataFrame, int]:
    """The results in the order of the rows, and the number of persons; several parts of the persons at once."""
    sorted_rows = spells.sort_rows(as_numbers(crossings))
    before = sorted_rows.before
    observation = residence.Observation(
        None if observed.from_date is None else _number(observed.from_date, before),
        _number(observed.to_date or cast(date, crossings["crossed_date"].max()), before),
    )
    codes = np.empty(crossings.height, np.uint8)
    final_days = np.empty((2, crossings.height), np.int32)

    def classify_part(part: slice) -> int:
        own = spells.order_part(sorted_rows, part)
        histories = residence.Histories(own.person, own.day, own.is_arrival, own.given_status)
        found = residence.classify_histories(histories, rule, policy, observation)
        codes[own.row] = 9 * found.is_migration + 3 * found.status_after + found.status_before + 13
        final_days[0][own.row], final_days[1][own.row] = found.status_final_day, found.migration_final_day
        return len(own.given_status)

    residence.keep_freed_memory()
    # numpy lets other threads work while it computes.
    with ThreadPoolExecutor(min(_MOST_THREADS, pl.thread_pool_size())) as pool:
        n_persons = sum(pool.map(classify_part, spells.find_parts(sorted_rows, _PART)))
    code = pl.col("code")
    final = [
        pl.when(pl.col(name) > 0).then(pl.col(name) + before).cast(pl.Date).alias(name)
        for name in RESULTS[3:]
    ]
    frame = pl.DataFrame({"code": codes, **dict(zip(RESULTS[3:], final_days, strict=True))})
    status = [(code % 3).cat.to(_STATES).alias(RESULTS[0]), (code // 3 % 3).cat.to(_STATES).alias(RESULTS[1])]
    return frame.select(*status, pl.when(code >= 9).then(code >= 18).alias(RESULTS[2]), *final), n_persons


def _classify_by_calendar(
    crossings: pl.DataFrame,
    rule: residence.ForwardRule,
    policy: MissingCrossings,
    observed: Observed,
    folder: Path,
) -> tuple[pl.DataFrame, int]:
    """The results in the order of the rows, and the number of persons, from the SQL of both stages.

    Calendar months make windows of other lengths from day to day, and permits count: there is no kernel for them.
    """
    none: dict[str, pl.DataType] = {
        "crossed_at": pl.Datetime("us"), "sequence": pl.Int64(), "initial_status": pl.String()
    }  # fmt: skip
    complete = crossings.with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in none.items() if name not in crossings.columns
    )
    given = complete.with_columns(pl.col("person_id").cast(pl.String)).with_row_index("crossing_id")
    with (
        TemporaryDirectory(dir=folder, prefix=".miglink-") as scratch,
        closing(open_engine("duckdb", Path(scratch))) as engine,
    ):
        ordered = spells.order_crossings(engine, engine.frame("classify_crossings", given))
        table = residence.classify(engine, ordered, rule, policy, observed.from_date, observed.to_date)
        found = pl.read_parquet(table.path, glob=False).sort("crossing_id").select(RESULTS)
    return found, given["person_id"].n_unique()


def as_numbers(crossings: pl.DataFrame) -> spells.Crossings:
    """The columns as numbers; days are those since 1970."""
    known = {}
    if "crossed_at" in crossings.columns:
        known["time"] = crossings["crossed_at"].to_physical()
    if "sequence" in crossings.columns:
        known["number"] = crossings["sequence"]
    status = None
    if "initial_status" in crossings.columns:
        given = crossings["initial_status"]
        status = pl.select(
            pl.when(given == "resident")
            .then(1)
            .when(given == "non_resident")
            .then(0)
            .otherwise(-1)
            .cast(pl.Int8)
        )
    return spells.Crossings(
        _number_persons(crossings["person_id"]),
        crossings["crossed_date"].to_physical().to_numpy(),
        (crossings["direction"] == "arrival").to_numpy(),
        **{name: numbers.fill_null(spells.UNKNOWN).to_numpy() for name, numbers in known.items()},
        status=None if status is None else status.to_series().to_numpy(),
    )


def _number_persons(person_id: pl.Series) -> npt.NDArray[np.integer[Any]]:
    """A number for each person; whole numbers that lie close together stay what they are."""
    if not person_id.dtype.is_integer():
        return person_id.cast(pl.Categorical).to_physical().to_numpy()
    is_wide = cast(int, person_id.max()) - cast(int, person_id.min()) > 8 * len(person_id)
    if is_wide or person_id.dtype in (pl.UInt64, pl.Int128, pl.UInt128):
        return person_id.rank("dense").to_numpy()
    return person_id.cast(pl.Int64).to_numpy()


def _number(day: date, before: int) -> int:
    return (day - _EPOCH).days - before


def _check_policy(policy: str) -> MissingCrossings:
    known = get_args(MissingCrossings)
    if policy not in known:
        raise ConfigError(f"--policy {policy}: no such policy; known: {', '.join(known)}")
    if policy == "visa_end":
        raise ConfigError(
            "--policy visa_end: places a missing departure by the person's visa or permit, and crossings alone hold "
            "none; use `miglink run`, or classify with midpoint"
        )
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
    words = classified.lazy().with_columns(pl.col("status_before", "status_after").cast(pl.String))
    try:
        words.sink_csv(part) if out.suffix == ".csv" else words.sink_parquet(part, compression_level=_LEVEL)
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
