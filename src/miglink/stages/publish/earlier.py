"""The published figures of the run before, to set those of this run beside them."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from miglink.stages.publish.published import find_method, find_tables, read_rows

_TABLES = ("flows", "stocks")


def find_earlier(previous: Path | None, method: str | None) -> Mapping[str, pl.LazyFrame] | str:
    """Flows and stocks in outputs/ of the run before, or a sentence that says why there are none.

    method: how the figures of this run are protected; None: they are not. Figures are set beside those protected in
    the same way alone: others would undo the protection, or show its noise as a revision.
    """
    if previous is None:
        return "The configuration names no run before this one (`persons.previous`)."
    outputs = previous / "outputs"
    tables = find_tables(outputs)
    if not {*_TABLES} <= tables.keys():
        return "The run before this one (`persons.previous`) has published no stocks and flows."
    if find_method(outputs) != method:
        return (
            "The figures of this run and of the run before it (`persons.previous`) are not under the same disclosure "
            "control: they are not set side by side."
        )
    return {name: read_rows(tables[name]).lazy() for name in _TABLES}
