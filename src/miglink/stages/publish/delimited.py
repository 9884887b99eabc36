"""CSV that programs read alike, and in which no text of a source becomes a formula of a spreadsheet."""

import os
from pathlib import Path

import polars as pl
import pyarrow.dataset
from polars import selectors

from miglink.engine import Table

ROWS_AT_ONCE = 131_072
LINE_END = "\r\n"
# What spreadsheets take for the beginning of a formula, the full-width forms included.
_FORMULA = "=+\\-@＝＋－＠"


def write_csv(table: Table, target: Path) -> Path:
    """Copy a table into one CSV file; it appears under its name only when whole.

    UTF-8 without a byte order mark, which R and Unix tools take for a part of the first heading; comma; lines end in
    CR LF; quotes only where a value needs them; decimal point; dates as 2019-03-31; null is empty, an empty text is "".
    Source: RFC 4180, sections 2.1 to 2.7.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    dataset = pyarrow.dataset.dataset(table.path, format="parquet")
    with part.open("wb") as stream:
        stream.write((",".join(dataset.schema.names) + LINE_END).encode())
        for batch in dataset.to_batches(batch_size=ROWS_AT_ONCE):
            guard_formulas(pl.DataFrame(batch)).write_csv(
                stream, include_header=False, line_terminator=LINE_END
            )
    os.replace(part, target)
    return target


def guard_formulas(rows: pl.DataFrame) -> pl.DataFrame:
    """Put an apostrophe before what would begin a formula in a column of text; numbers and dates stay as they are.

    That is a text that begins with = + - @, a tab, a line end or NUL; and = + - @ after a semicolon, tab or line end
    within a text, where a spreadsheet of another country may begin a new cell. Apostrophes and quotes before the sign
    do not protect from that, so they are passed over. The way back is unique: remove one apostrophe at each such place.
    Source: OWASP, CSV Injection; OWASP ASVS 5.0, 1.2.10.
    """
    guarded = []
    for column in rows.select(selectors.string()):
        # A table repeats few texts many times, and most columns hold none that must change.
        texts = column.drop_nulls().unique()
        within = texts.str.replace_all(rf"([;\t\r\n])(['\"]*[{_FORMULA}])", "${1}'${2}")
        whole = within.str.replace(rf"^(['\"]*[{_FORMULA}\t\r\n\x00])", "'${1}")
        if not whole.equals(texts):
            guarded.append(column.replace(texts, whole))
    return rows.with_columns(guarded)
