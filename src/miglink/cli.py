"""The front door: results on standard output, progress and errors on standard error.

Exit codes: 0 done, 1 the run failed, 2 the command or the configuration is wrong. Heavy imports stand within the
commands, so that --help answers at once.
"""

import sys
import traceback
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from miglink.choices import AnswerFormat, CountrySize, Part, Stage, TablesFormat
from miglink.console import DEMO_KEY_NOTE, LogFormat, choose_log, print_results, print_wide, say, say_error
from miglink.errors import MiglinkError
from miglink.version import __version__

app = typer.Typer(
    name="miglink",
    help="Links administrative records of travellers into persons, their stays, and statistics of migration.",
    epilog="Options may be given as variables of the environment, as the help of each command says; every value of the "
    "configuration as MIGLINK_SECTION__KEY. Exit codes: 0 done, 1 the run failed, 2 command or configuration wrong.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


def entry() -> None:
    """Run the command of the shell's command line, and leave with its exit code."""
    sys.exit(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code, and prints errors as plain text without personal data."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="miglink")
    except SystemExit as end:
        if end.code == 130:  # what typer makes of Ctrl-C
            return _say_interrupted()
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except MiglinkError as error:
        return say_error(error, str(error), error.exit_code)
    except BrokenPipeError:  # whoever read the output has seen enough
        return 1
    except KeyboardInterrupt:
        return _say_interrupted()
    except Exception as error:  # the message of a foreign error may hold personal data: it is left out
        from miglink.shortages import find_shortage, is_interruption

        if is_interruption(error):
            return _say_interrupted()
        frame = traceback.extract_tb(error.__traceback__)[-1]
        defect = (
            f"miglink failed: {type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}\n"
            "This is a defect of miglink; please report these lines. The error's own message is left out: it may name "
            "persons."
        )
        return say_error(error, find_shortage(error) or defect, 1)
    finally:
        choose_log(LogFormat.text)
    return 0


def _say_interrupted() -> int:
    say("interrupted; a run goes on where it was with --resume", event="interrupted")
    return 130


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


Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="The configuration, a YAML file.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=V", help="Set one value of the configuration; may be repeated."),
]
Log = Annotated[
    LogFormat,
    typer.Option("--log-format", help="Standard error.", envvar="MIGLINK_LOG_FORMAT", callback=choose_log),
]
Runs = Annotated[
    Path,
    typer.Option("--runs", help="Where run folders are made and looked for.", envvar="MIGLINK_RUNS"),
]
Answer = Annotated[AnswerFormat, typer.Option("--format", help="How to print it.")]
ShowValues = Annotated[
    bool, typer.Option("--show-values", help="Show names, documents and birth dates. Mind who looks on.")
]


@app.command()
def run(
    config: Config,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Run folder, new or empty. Default: RUNS/<name>-<time>.",
            envvar="MIGLINK_OUT",
            show_default=False,
        ),
    ] = None,
    overrides: Overrides = None,
    from_stage: Annotated[
        Stage | None,
        typer.Option("--from", help="Do this stage and all after it anew, in a folder that has a run."),
    ] = None,
    to_stage: Annotated[Stage | None, typer.Option("--to", help="Stop after this stage.")] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with the run in --out, or with the newest unfinished run of this configuration.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    runs: Runs = Path("runs"),
    log_format: Log = LogFormat.text,
) -> None:
    """Run the whole line: agency files in, stocks and flows out."""
    import os

    from miglink.config import load_key, read_config
    from miglink.runfolder import default_folder, newest_folder

    settings = read_config(config, overrides or (), os.environ)
    key = load_key(settings.key)
    if settings.key.demo:
        say(DEMO_KEY_NOTE)

    from miglink.pipeline import describe_plan, run_pipeline
    from miglink.progress import Progress
    from miglink.runrecord import Course

    is_resumed = resume or from_stage is not None
    if out is None:
        name = settings.name
        out = newest_folder(name, runs, unfinished=resume) if is_resumed else default_folder(name, runs)
    course = Course(is_resumed, from_stage and from_stage.value, to_stage and to_stage.value)
    if dry_run:
        print(describe_plan(settings, out, key, course), end="")
        return
    tables = run_pipeline(settings, out, key, Progress(log_format.value), course)
    print_results(tables, out, is_protected=settings.publish.protection.is_on)


@app.command()
def demo(
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to make. Default: RUNS/demo-<time>.", envvar="MIGLINK_OUT", show_default=False
        ),
    ] = None,
    size: Annotated[CountrySize, typer.Option(help="How large a country.")] = CountrySize.small,
    seed: Annotated[int, typer.Option(help="Seed of the country.")] = 1,
    runs: Runs = Path("runs"),
    log_format: Log = LogFormat.text,
) -> None:
    """Make a small country with known truth, run it, and say how far the run is from the truth."""
    from miglink.demo import demo_folder, every_format, make_country

    folder = out if out is not None else demo_folder(runs)
    config = make_country(size.value, seed, folder / "country")
    run(config, folder / "run", [every_format()], runs=runs, log_format=log_format)
    evaluate(folder / "run", folder / "country" / "truth")


@app.command()
def check(
    config: Config,
    overrides: Overrides = None,
    show_values: ShowValues = False,
    answer: Answer = AnswerFormat.text,
) -> None:
    """Look at configuration and sources before a run: columns, codes, pairs, time, readiness. Writes nothing."""
    import os

    from miglink.check import check_config, findings_as_json, render_check
    from miglink.config import read_config

    settings = read_config(config, overrides or (), os.environ)
    findings = check_config(settings, show_values=show_values)
    if answer is AnswerFormat.json:
        print(findings_as_json(findings))
    else:
        print_wide(render_check(findings))
    if findings.problems:
        raise typer.Exit(1)


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
    run_folder: Run,
    truth: Annotated[
        Path, typer.Option(help="Folder with record_persons.parquet and what else is known to be true.")
    ],
) -> None:
    """Say how far a finished run is from known truth, or from labels."""
    from miglink.evaluate import evaluate_run, render_report

    found = evaluate_run(run_folder, truth)
    print_wide(render_report(found.measures, found.patterns))
    print(f"Measures: {found.folder / 'evaluation.parquet'}   Pieces: {found.folder / 'confusions.parquet'}")


@app.command()
def explain(
    run_folder: Run,
    pair: Annotated[
        tuple[str, str] | None,
        typer.Option(
            help="Two identity_ids, or two records as source:record_id.", metavar="L R", show_default=False
        ),
    ] = None,
    person: Annotated[
        str | None, typer.Option(help="A person_id, or its first 8 characters or more.", metavar="ID")
    ] = None,
    show_values: ShowValues = False,
    answer: Answer = AnswerFormat.text,
) -> None:
    """Say why two records were or were not linked, or tell a person's history from records to status."""
    from miglink import explain as explained
    from miglink.errors import ConfigError

    if (pair is None) == (person is None):
        raise ConfigError("give either --pair L R or --person ID")
    if pair is not None:
        why = explained.explain_pair(run_folder, *pair, show_values=show_values)
        shown, text = explained.render_pair, explained.pair_as_json
        print(text(why)) if answer is AnswerFormat.json else print_wide(shown(why))
    elif person is not None:
        history = explained.explain_person(run_folder, person, show_values=show_values)
        is_json = answer is AnswerFormat.json
        print(explained.person_as_json(history)) if is_json else print_wide(explained.render_person(history))


@app.command()
def compare(
    run_folders: Annotated[
        list[Path], typer.Argument(metavar="RUN_A RUN_B …", help="The folders of two runs or more.")
    ],
    table: Annotated[Part | None, typer.Option(help="These figures alone.", show_default=False)] = None,
    rule: Annotated[str | None, typer.Option(help="This rule alone.", show_default=False)] = None,
    period: Annotated[
        str | None, typer.Option(help="Periods that begin so: 2019, 2019-Q1, 2019-01.", show_default=False)
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write it as JSON too.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="New folder for every cell as Parquet and CSV.", show_default=False),
    ] = None,
) -> None:
    """Say what moved from one run to the next as data came in: figures, persons, and who is counted, by reason."""
    from miglink import compare as compared

    compared.check_targets(json_file, out)
    found = compared.compare_runs(run_folders, compared.Choice(table and table.value, rule, period))
    print_wide(compared.render_comparison(found))
    for target in compared.write_comparison(found, json_file, out):
        print(f"Written: {target}")


@app.command()
def sample_pairs(
    run_folder: Run,
    n: Annotated[int, typer.Option("--n", min=1, help="How many pairs to draw.", show_default=False)],
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(help="CSV file to make. Default: RUN/sample_pairs-SEED.csv.", show_default=False),
    ] = None,
    show_values: ShowValues = False,
) -> None:
    """Draw pairs for clerical review, more where the model doubts, each with the number of pairs it stands for."""
    from miglink import sample_pairs as sampled

    drawn = sampled.sample_pairs(run_folder, n, seed, out, show_values=show_values)
    print_wide(sampled.render_sample(drawn))
    print(sampled.source_of(drawn.file))


@app.command()
def rules(answer: Answer = AnswerFormat.text) -> None:
    """List the usual-residence rules at hand: their values, units and sources."""
    from miglink.rulebook import rules_as_json, rules_as_text

    print(rules_as_json() if answer is AnswerFormat.json else rules_as_text(), end="")


@app.command()
def tables(
    format_: Annotated[TablesFormat, typer.Option("--format", help="How to print them.")] = TablesFormat.text,
) -> None:
    """List every table of a run, its stage, key and columns, and the table shells for `publish.tables`."""
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
    from miglink.config import make_key

    make_key(file)
    print(
        f"{file}: a new key. Name it in the configuration as key.file, keep a copy safe, and never share it."
    )
