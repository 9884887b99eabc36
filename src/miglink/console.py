"""What the commands say: results on standard output, all else on standard error, as text or as lines of JSON."""

import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

    from miglink.engine import Table


DEMO_KEY_NOTE = (
    "Demonstration key: anyone can recompute these pseudonyms. For real data make one with `miglink key`."
)


class LogFormat(StrEnum):
    """How standard error is written."""

    text = "text"
    json = "json"


# How the command that is running speaks on standard error.
_chosen = {"format": LogFormat.text}


def choose_log(log_format: LogFormat) -> LogFormat:
    """Speak so from now on."""
    _chosen.update(format=log_format)
    return log_format


def say(message: str, event: str = "note", **further: object) -> None:
    """One message on standard error, as text or as one line of JSON."""
    if _chosen["format"] is LogFormat.json:
        import json

        message = json.dumps({"event": event, "message": message, **further}, ensure_ascii=False)
    print(message, file=sys.stderr)


def say_error(error: BaseException, message: str, exit_code: int) -> int:
    """Say what went wrong, with the notes that the error gathered on its way; gives the exit code."""
    notes = getattr(error, "__notes__", ())
    say("\n".join([message, *notes]), event="failed", error=type(error).__name__, exit_code=exit_code)
    return exit_code


def print_wide(shown: "RenderableType") -> None:
    """Print a table of rich: as wide as the terminal, or 120 characters into a file."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 120).print(shown)


def print_results(tables: "Mapping[str, Table]", folder: Path, *, is_protected: bool = False) -> None:
    """What a run has to say at its end: figures, or how many persons were found, and where all of it is.

    Of a run whose outputs are protected, the figures are those of outputs/.
    """
    from miglink.elsewhere import find_note
    from miglink.runrecord import count_rows
    from miglink.stages.publish import find_published, render_protection, render_summary

    outputs = folder / "outputs"
    shown = find_published(outputs) if is_protected else tables
    if {"stocks", "flows", "accounts"} <= tables.keys():
        if {"stocks", "flows"} <= shown.keys():
            figures = (shown["stocks"], shown["flows"], shown.get("accounts"))
            print_wide(render_summary(*figures, shown.get("quality")))
        if is_protected:
            print_wide(render_protection(outputs))
    elif "persons" in tables:
        counted = ("records", "identities", "links", "persons")
        n = {name: int(count_rows(tables[name].path) or 0) for name in counted}
        print(
            f"{n['records']:,} records, {n['identities']:,} distinct identities, {n['links']:,} links, "
            f"{n['persons']:,} persons.\nWhich record is whose: {folder / 'tables' / 'record_persons.parquet'}"
        )
    note = find_note(tables["persons"].path) if "persons" in tables else None
    if note is not None:
        print(f"Tables of persons and records, and the linked ones, lie at {note.address.rsplit('/', 2)[0]}")
    if any(outputs.iterdir()):
        print(f"Aggregates: {outputs}   Linked, pseudonymous: {folder / 'linked'}   All of it: {folder}")
    else:
        print(f"Tables: {folder / 'tables'}   All of it: {folder}")
