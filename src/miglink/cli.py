"""The front door: results on standard output, progress and errors on standard error.

Exit codes: 0 done, 1 the run failed, 2 the command or the configuration is wrong. Heavy imports stand within the
commands, so that --help answers at once.
"""

import sys
import traceback
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from miglink import __version__
from miglink.errors import MiglinkError

app = typer.Typer(
    name="miglink",
    help="Links administrative records of travellers into persons, their stays, and statistics of migration.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class LogFormat(StrEnum):
    """How progress is written to standard error."""

    text = "text"
    json = "json"


class TablesFormat(StrEnum):
    """How the contracts of the tables are printed."""

    text = "text"
    json = "json"
    markdown = "markdown"


def entry() -> None:
    """Run the command of the shell's command line, and leave with its exit code."""
    sys.exit(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code, and prints errors as plain text without personal data."""
    try:
        app(args=None if arguments is None else list(arguments))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except MiglinkError as error:
        _say(str(error), *getattr(error, "__notes__", ()))
        return error.exit_code
    except BrokenPipeError:  # whoever read the output has seen enough
        return 1
    except KeyboardInterrupt:
        _say("interrupted")
        return 130
    except (
        Exception
    ) as error:  # the last line of defence: the message of a foreign error may hold personal data
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        _say(f"miglink failed: {type(error).__name__} at {where}", *getattr(error, "__notes__", ()))
        _say(
            "This is a defect of miglink, or a lack of memory or disk. Its message is left out: it may name persons."
        )
        return 1
    return 0


def _say(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print(f"miglink {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Links administrative records of travellers into persons, their stays, and statistics of migration."""


@app.command()
def run(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The configuration, a YAML file.")],
    out: Annotated[
        Path | None, typer.Option(help="Run folder, new or empty. Default: runs/<name>-<time>.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=V", help="Set one value of the configuration.")
    ] = None,
    log_format: Annotated[LogFormat, typer.Option(help="Progress on standard error.")] = LogFormat.text,
) -> None:
    """Run the whole line: agency files in, stocks and flows out."""
    from miglink.config import load_key, read_config

    settings = read_config(config, overrides or ())
    key = load_key(settings.key)
    if settings.key.demo:
        _say(
            "Demonstration key: anyone can recompute these pseudonyms. For real data make one with `miglink key`."
        )

    from rich.console import Console

    from miglink.pipeline import N_STAGES, run_pipeline
    from miglink.progress import Progress
    from miglink.runrecord import default_folder
    from miglink.stages.publish import render_summary

    folder = out if out is not None else default_folder(settings.name)
    tables = run_pipeline(settings, folder, key, Progress(N_STAGES, log_format.value))
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(render_summary(tables["stocks"], tables["flows"], tables["accounts"]))
    print(
        f"Aggregates: {folder / 'outputs'}   Linked, pseudonymous: {folder / 'linked'}   All of it: {folder}"
    )


@app.command()
def classify(
    crossings: Annotated[Path, typer.Argument(metavar="CROSSINGS", help="CSV or Parquet with person_id.")],
    rule: Annotated[str, typer.Option(help="Preset or rule file.")],
    out: Annotated[Path, typer.Option(help="File to write, .csv or .parquet.")],
    policy: Annotated[
        str | None, typer.Option(help="Policy for missing crossings. Default: the rule's own.")
    ] = None,
    observed_from: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="First day on which a crossing would be recorded."),
    ] = None,
    observed_to: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="Last day with recorded crossings; days are counted up to it."
        ),
    ] = None,
) -> None:
    """Apply a usual-residence rule to crossings that already carry a person_id."""
    from miglink.classify import Observed, classify_file

    observed = Observed(observed_from and observed_from.date(), observed_to and observed_to.date())
    print(classify_file(crossings, rule, policy, observed, out))


@app.command()
def evaluate(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    truth: Annotated[
        Path, typer.Option(help="Folder with record_persons.parquet and what else is known to be true.")
    ],
) -> None:
    """Say how far a finished run is from known truth, or from labels."""
    from rich.console import Console

    from miglink.evaluate import evaluate_run, render_report

    found = evaluate_run(run_folder, truth)
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(render_report(found.measures, found.patterns))
    print(f"Measures: {found.folder / 'evaluation.parquet'}   Pieces: {found.folder / 'confusions.parquet'}")


@app.command()
def tables(
    format_: Annotated[TablesFormat, typer.Option("--format", help="How to print them.")] = TablesFormat.text,
) -> None:
    """List every table of a run: its stage, key and columns."""
    from miglink.contracts import contracts_as_json, contracts_as_markdown, contracts_as_text

    write = {
        TablesFormat.text: contracts_as_text,
        TablesFormat.json: contracts_as_json,
        TablesFormat.markdown: contracts_as_markdown,
    }
    print(write[format_](), end="")


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration."""
    import json

    from miglink.config import config_schema

    print(json.dumps(config_schema(), indent=2, ensure_ascii=False))


@app.command()
def key(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="File to make; an existing one is never overwritten.")
    ],
) -> None:
    """Make a new secret key for pseudonyms, readable by you alone."""
    import os
    import secrets

    from miglink.errors import ConfigError

    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(f"{file} exists; a key is never overwritten: other runs may depend on it") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be made: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(secrets.token_hex(32) + "\n")
    print(
        f"{file}: a new key. Name it in the configuration as key.file, keep a copy safe, and never share it."
    )
