"""Tables of noise for cell keys, in the form of ONS: pcv, ckey, pvalue."""

from pathlib import Path

import polars as pl

from miglink.config.protection import ProtectionSettings
from miglink.errors import ConfigError
from miglink.runfolder import describe_file

# The one that comes with miglink; docs/protection.md derives it.
DEFAULT = Path(__file__).with_name("ptable.csv")
# Tables of ONS have 750 rows of counts, of which larger counts use the last 250 over and over.
_LAST, _REPEATED = 750, 250
_KEYS = (256, 4096)
_COLUMNS = ("pcv", "ckey", "pvalue")


def describe_noise(settings: ProtectionSettings) -> dict[str, int | str] | None:
    """Size and hash of the table of noise that a run rests on; None where it needs none. ConfigError if it is wrong."""
    if settings.method != "cell_key":
        return None
    read_ptable(settings.ptable or DEFAULT)
    return describe_file(settings.ptable or DEFAULT)


def read_ptable(path: Path) -> pl.DataFrame:
    """The noise (pvalue) for each count (pcv) and cell key (ckey); ConfigError where the file is not such a table."""
    try:
        table = pl.read_csv(path).select(pl.col(*_COLUMNS).cast(pl.Int64))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigError(
            f"publish.protection.ptable: {path} cannot be read as CSV with the whole numbers {', '.join(_COLUMNS)} "
            f"({type(error).__name__})"
        ) from None
    n_keys = _largest(table, "ckey") + 1
    problems = [
        (n_keys not in _KEYS, f"its largest ckey is {n_keys - 1}, expected 255 or 4095"),
        (table.null_count().sum_horizontal().item() > 0, "a value is missing"),
        (
            table.select(pl.struct("pcv", "ckey").is_duplicated().any()).item(),
            "a pcv and ckey is there twice",
        ),
        ((table["pcv"] < 0).any() or (table["ckey"] < 0).any(), "pcv and ckey are 0 or more"),
        (
            table.filter(pl.col("pcv") > _LAST).height > 0,
            f"its largest pcv is above {_LAST}; larger counts use its last rows",
        ),
        ((table["pcv"] + table["pvalue"] < 0).any(), "a count would become less than 0"),
    ]
    said = [words for is_wrong, words in problems if is_wrong]
    if said:
        raise ConfigError(f"publish.protection.ptable: {path}: {'; '.join(said)}")
    return table


def perturb(cells: pl.DataFrame, ptable: pl.DataFrame) -> pl.DataFrame:
    """Add `protected` to cells with `count` and `cell_key`: the count and the noise of its count and key.

    The key is taken modulo the number of keys of the table. Counts above its last row use that row; in a table of 750,
    rows 501 to 750 over and over. What the table does not name has no noise. Zeros stay, and signs.
    Source: ONS, Cell Key Perturbation (Python package, before 2.0), create_perturbed_table (pcv, ckey and pvalue).
    """
    n_keys, last = _largest(ptable, "ckey") + 1, _largest(ptable, "pcv")
    size = pl.col("count").abs()
    beyond = (size - 1) % _REPEATED + (_LAST - _REPEATED + 1) if last == _LAST else pl.lit(last, pl.Int64)
    joined = cells.with_columns(
        pcv=pl.when(size <= last).then(size).otherwise(beyond), ckey=pl.col("cell_key") % n_keys
    ).join(ptable, on=("pcv", "ckey"), how="left", maintain_order="left")
    noisy = pl.when(size == 0).then(0).otherwise(size + pl.col("pvalue").fill_null(0))
    return joined.with_columns(protected=pl.col("count").sign() * noisy).drop("pcv", "ckey", "pvalue")


def _largest(table: pl.DataFrame, column: str) -> int:
    return int(table.select(pl.col(column).max()).item() or 0)
