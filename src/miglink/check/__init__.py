"""What a methodologist runs before the long run: does the configuration fit the files, and what will it cost."""

import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import duckdb

from miglink.check.cost import Size, predict_cost
from miglink.check.findings import Dimension, Findings, RuleFindings, Shares, SourceFindings, findings_as_json
from miglink.check.gaps import describe_gaps
from miglink.check.held import Inspected, find_final_years
from miglink.check.inspection import Given, inspect_source
from miglink.check.pairs import Predicted, predict_pairs
from miglink.check.readiness import assess_readiness
from miglink.check.reading import Read, find_files, identity_share, read_sources, without_missing
from miglink.check.report import render_check
from miglink.config import Config, Rule, load_key
from miglink.config.windows import (
    Windows,
    describe_windows,
    find_windows,
    of_kind,
    repeats_others,
    split_parts,
)
from miglink.engine import Engine, Place, Table, open_engine
from miglink.errors import ConfigError
from miglink.stages.ingest.countries import country_table
from miglink.stages.publish import check_formats

__all__ = ["Findings", "check_config", "findings_as_json", "render_check"]

N_SAMPLED = 250_000
_LINKING_STAGES = ("ingest", "identities", "linkage", "persons")
_COUNTING_STAGES = ("spells", "residence", "estimates", "quality", "publish")
# The dimensions of the published tables, and the columns that fill them.
_DIMENSIONS = {
    "sex": ("sex",),
    "age": ("birth_date",),
    "citizenship": ("citizenship",),
    "country of birth": ("birth_country",),
    "previous or next country": ("country_from_to",),
    "purpose": ("purpose", "reason"),
    "region": ("region",),
}


def check_config(config: Config, *, n_sampled: int = N_SAMPLED, show_values: bool = False) -> Findings:
    """Look at the files of every source as the run would read them; nothing is written but into a temporary folder.

    Reads: the files of the sources, each once or twice to its end; all rows are judged where there are about
    n_sampled or fewer, else those of a sample of identities (see check/samples.py).
    Gives: all problems of all sources at once, pairs by blocking rule, seconds and memory of the run.
    Units: shares are from 0 to 1; memory in bytes. `show_values`: values that nothing names may be shown.
    """
    with (
        tempfile.TemporaryDirectory(prefix="miglink-check-") as folder,
        closing(_open(config, Path(folder))) as engine,
    ):
        findings, predicted = _look(engine, config, n_sampled, show_values)
    findings = _describe_statistics(config, findings)
    if predicted is not None:
        findings = _add_cost(config, findings, predicted)
    problems = [problem for source in findings.sources for problem in source.problems]
    return replace(findings, problems=(*_surrounding_problems(config), *problems, *findings.problems))


def _open(config: Config, folder: Path) -> Engine:
    """An engine whose every file, also what it spills, is in the temporary folder."""
    given = config.engine
    return open_engine("duckdb", folder, Place(memory_limit=given.memory_limit, threads=given.threads))


def _look(
    engine: Engine, config: Config, n_sampled: int, show_values: bool
) -> tuple[Findings, Predicted | None]:
    found = {name: find_files(name, source) for name, source in config.sources.items()}
    readable = {name: source for name, source in config.sources.items() if found[name].is_readable}
    # Only what is there can be read; a column that is missing is left out, and said.
    present = {name: without_missing(source, found[name].missing) for name, source in readable.items()}
    share = identity_share({name: found[name] for name in readable}, n_sampled)
    reads, heavy = read_sources(engine, present, found, share)
    given = Given(
        _further_columns(config),
        config.observation,
        config.period is not None,
        country_table(engine, config.countries),
        show_values,
    )
    sources, judged = [], {}
    for name, source in config.sources.items():
        read = reads.get(name)
        one, table = inspect_source(engine, given, (name, source), found[name], read)
        sources.append(one)
        if table is not None and isinstance(read, Read):
            is_thinned = share < 1 and read.sample.is_whole
            judged[name] = _keep(engine, name, table, read.thinned) if is_thinned else table
    findings = Findings(config.name, tuple(sources), sum(one.n_rows or 0 for one in sources), share)
    if not judged:
        return findings, None
    findings = replace(findings, notes=describe_gaps(engine, config, judged, sources, findings.is_exact))
    try:
        return findings, predict_pairs(engine, config, judged, (share, heavy))
    except ConfigError as error:
        return replace(findings, problems=error.problems), None
    except duckdb.BinderException:
        wrong = "linkage.blocking: a rule names a column that identities do not have; see `miglink tables`"
        return replace(findings, problems=(wrong,)), None


def _keep(engine: Engine, name: str, judged: Table, thinned: Table) -> Table:
    """The judged rows of a small source that belong to sampled identities."""
    return engine.step(
        f"check_{name}_kept",
        "SELECT j.* FROM judged j JOIN thinned t ON t.__file = j.file AND t.__row_number = j.row_number",
        judged=judged,
        thinned=thinned,
    )


def _surrounding_problems(config: Config) -> tuple[str, ...]:
    """What is wrong outside the configuration: with the key, and with what the formats need."""
    problems: tuple[str, ...] = ()
    for look in (lambda: load_key(config.key), lambda: check_formats(config.publish.formats)):
        try:
            look()
        except ConfigError as error:
            problems += error.problems
    return problems


def _describe_statistics(config: Config, findings: Findings) -> Findings:
    """Rules, the years that would be final under each, whom the stocks hold, and the dimensions that can be filled."""
    listed = any(source.covers_population for source in config.sources.values())
    rules = config.residence.rules if config.residence else ()
    windows = find_windows(config) if config.period else None
    further = {name: (name,) for name in _further_columns(config)}
    inspected = Inspected(config, {source.name: source for source in findings.sources}, bool(findings.notes))
    lacking = [name for name in ("period", "residence", "estimates") if getattr(config, name) is None]
    notes = [*findings.notes]
    unjudged = [
        one.name for one in findings.sources if one.rejected_share is None and one.kind != "judgements"
    ]
    if unjudged:
        names = ", ".join(unjudged)
        notes.append(f"Pairs, time, memory and readiness leave out what could not be judged: {names}.")
    if lacking:
        last = "persons" if {"period", "residence"} & set(lacking) else "residence"
        notes.append(
            f"The configuration has no section {', '.join(f'`{name}`' for name in lacking)}: the run can go to stage "
            f"{last} (--to {last})."
        )
    if config.key.demo:
        notes.append("The key is the demonstration key: anyone can recompute the pseudonyms.")
    notes += [note for source in findings.sources for note in source.notes]
    if windows:
        notes += _describe_coverage(config, windows)
    return replace(
        findings,
        rules=tuple(_describe_rule(windows, rule) for rule in rules) if windows else (),
        policies=tuple(config.residence.policies) if config.residence else (),
        coverage=("population" if listed else "travellers_only") if config.estimates else None,
        dimensions=tuple(
            Dimension(name, filled)
            for name, columns in {**_DIMENSIONS, **further}.items()
            if (filled := _filled(findings.sources, columns))
        ),
        readiness=assess_readiness(inspected),
        notes=tuple(notes),
    )


def _describe_coverage(config: Config, windows: Windows) -> list[str]:
    """What is observed of less than the period; and sources that may record what no other of their part does."""
    notes = [
        f"Of the period {days['from']} to {days['to']} is observed for {what}: the days that the sources cover on "
        "which that rests (`covers`)."
        for what, days in describe_windows(windows).items()
    ]
    for kind in dict.fromkeys(source.kind for source in config.sources.values()):
        notes += [
            f"{name} adds no day to what the other sources of {kind} cover, and is taken for another record of them. "
            "If it records others, such as those of another border, name its `covers.part`: what rests on it is then "
            "observed on its days only."
            for part in split_parts(of_kind(config, kind)).values()
            for name in part
            if repeats_others(name, part, windows.period)
        ]
    return notes


def _describe_rule(windows: Windows, rule: Rule) -> RuleFindings:
    """A rule, the days observed under it, and the years that would be final."""
    period = windows.of(rule.name)
    years = find_final_years(rule, period)
    return RuleFindings(rule.name, rule.title, rule.follow_up_days, years, period.from_date, period.to_date)


def _further_columns(config: Config) -> tuple[str, ...]:
    """The further columns that a run reads: to link by, and to count by."""
    traits = config.estimates.traits if config.estimates else ()
    return tuple(dict.fromkeys((*config.identities.further_columns, *traits)))


def _filled(sources: Sequence[SourceFindings], columns: Sequence[str]) -> tuple[Shares, ...]:
    """The sources that map one of the columns, with the rows that hold a value."""
    return tuple(
        Shares(source.name, source.n_looked_at - one.n_rows, 1 - one.share)
        for source in sources
        for one in source.blank
        if one.name in columns and source.n_looked_at and one.share < 1
    )


def _add_cost(config: Config, findings: Findings, predicted: Predicted) -> Findings:
    """The pairs against their limit, and what the run will take."""
    max_pairs, about = config.linkage.max_pairs, "" if findings.is_exact else "about "
    n_pairs = sum(one.n_pairs for one in predicted.pairs)
    problems = []
    if n_pairs > max_pairs:
        widest = max(predicted.pairs, key=lambda one: one.n_pairs)
        problems.append(
            f"linkage: the blocking rules propose {about}{n_pairs:,} pairs, more than linkage.max_pairs "
            f"({max_pairs:,}). The widest is `{widest.rule}` with {about}{widest.n_pairs:,} pairs; its largest block "
            f"holds {about}{widest.largest_block:,} identities that share one key. Where that is a default value, name "
            "it in `missing` of the column; or add a column to the rule under `linkage.blocking`; or raise the limit"
        )
    n_histories = len(findings.rules) * len(findings.policies)
    size = Size(predicted.n_records, predicted.n_identities, n_pairs, predicted.n_crossings * n_histories)
    is_counted = bool(config.period and config.residence and config.estimates)
    stages = _LINKING_STAGES + (_COUNTING_STAGES if is_counted else ())
    return replace(
        findings,
        n_identities=predicted.n_identities,
        comparisons=predicted.comparisons,
        pairs=predicted.pairs,
        max_pairs=max_pairs,
        cost=predict_cost(size, stages, config.engine.memory_limit),
        problems=(*findings.problems, *problems),
    )
