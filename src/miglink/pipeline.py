"""The staircase: nine stages in the order in which data flow."""

import hashlib
import hmac
from contextlib import closing
from pathlib import Path

from miglink.config import Config, describe_used
from miglink.config.windows import describe_windows, find_windows
from miglink.engine import Engine, Table, check_engine, open_engine
from miglink.errors import ConfigError
from miglink.progress import Progress
from miglink.runfolder import describe_file, resume_folder
from miglink.runrecord import Course, Plan, RunRecord, find_first, hash_of, software_versions
from miglink.shortages import shortages_named
from miglink.stages import (
    estimates,
    identities,
    ingest,
    linkage,
    persons,
    publish,
    quality,
    residence,
    spells,
)

WHOLE = Course()
# Each stage with the sections of the configuration that it cannot do without, beside `sources`.
STAGES: dict[str, tuple[str, ...]] = {
    "ingest": (),
    "identities": (),
    "linkage": (),
    "persons": (),
    "spells": ("period", "residence"),
    "residence": ("period", "residence"),
    "estimates": ("period", "residence", "estimates"),
    "quality": ("period", "residence", "estimates"),
    "publish": ("period", "residence", "estimates"),
}


def run_pipeline(
    config: Config, folder: Path, key: str, progress: Progress, course: Course = WHOLE
) -> dict[str, Table]:
    """Run the stages asked for in a run folder, new or to go on with; gives the finished tables by name."""
    plan = make_plan(config, key, course)
    with (
        RunRecord(folder, config, plan, progress) as record,
        shortages_named(f"then go on with `miglink run … --out {folder} --resume`"),
        closing(open_engine(config.engine.kind, record.tables_folder, config.engine.place)) as engine,
    ):
        link_records(config, engine, record, key)
        measure_migration(config, engine, record, key)
        describe_migration(config, engine, record, key)
    return record.tables


def make_plan(config: Config, key: str, course: Course) -> Plan:
    """What each stage rests on, and how far to go; ConfigError if the configuration lacks a section for that."""
    check_engine(config.engine.kind, config.engine.place)
    linkage.check_settings(config.linkage, config.identities.further_columns)
    publish.check_solver(config.publish.protection)
    publish.describe_noise(config.publish.protection)
    publish.check_formats(config.publish.formats)
    previous = config.persons.previous
    if previous is not None and not (previous / "manifest.json").is_file():
        raise ConfigError(
            f"persons.previous: {previous} is not the folder of a run; it holds no manifest.json"
        )
    names = list(STAGES)
    if (
        course.from_stage
        and course.to_stage
        and names.index(course.to_stage) < names.index(course.from_stage)
    ):
        raise ConfigError(f"--to {course.to_stage}: comes before --from {course.from_stage}")
    last = names.index(course.to_stage) if course.to_stage else len(names) - 1
    missing = [section for section in STAGES[names[last]] if getattr(config, section) is None]
    if missing:
        first = next(name for name, sections in STAGES.items() if missing[0] in sections)
        raise ConfigError(
            f"the configuration has no section {', '.join(f'`{section}`' for section in missing)}, which stage {first} "
            f"needs; add it, or end the run before that with --to {names[names.index(first) - 1]}"
        )
    stages = {name: {"configuration": hash_of(settings)} for name, settings in _settings(config).items()}
    stages["ingest"]["software"] = hash_of(software_versions())
    stages["persons"]["key"] = hmac.new(key.encode(), b"miglink: the same key?", hashlib.sha256).hexdigest()[
        :16
    ]
    if not course.is_resumed:
        return Plan(stages, course)
    return Plan(
        stages, course, {name: ingest.source_files(name, source) for name, source in config.sources.items()}
    )


def describe_plan(config: Config, folder: Path, key: str, course: Course) -> str:
    """What a run would do, in words; nothing is written. Errors: as of a run that begins."""
    plan = make_plan(config, key, course)
    previous = resume_folder(folder) if course.is_resumed else None
    if not course.is_resumed and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"--out {folder}: exists and is not an empty folder; name another, or add --resume")
    first, why = find_first(folder, previous or {"stages": [], "inputs": {}}, plan)
    lines = [f"run '{config.name}' in {folder}" + (" (goes on)" if previous else " (new)")]
    for name, source in config.sources.items():
        files = ingest.source_files(name, source)
        megabytes = sum(file.stat().st_size for file in files) / 1e6
        lines.append(f"  source {name:<12} {source.kind:<10} {len(files):>4} files {megabytes:>10,.1f} MB")
    is_due = False
    for name in STAGES:
        is_due = is_due or name == first
        does = "do" if is_due and name in plan.to_do else "taken over" if name in plan.to_do else "left out"
        lines.append(f"  stage {name:<13} {does}" + (f": {why}" if name == first and previous else ""))
    return "\n".join(lines) + "\nNothing has been done.\n"


def _settings(config: Config) -> dict[str, list[object]]:
    """The part of the configuration that each stage's results rest on, beside that of the stages before it."""
    parts = config.model_dump(mode="json", by_alias=True)
    current = {name: source.one_current_record_per_person for name, source in config.sources.items()}
    listed = {name: source.covers_population for name, source in config.sources.items()}
    later = ("one_current_record_per_person", "covers_population")
    reading = {
        name: {key: value for key, value in source.items() if key not in later}
        for name, source in parts["sources"].items()
    }
    permits = config.residence.resident_permits if config.residence else None
    country = config.estimates.reporting_country if config.estimates else None
    traits = config.estimates.traits if config.estimates else None
    reused = config.linkage.model
    model = describe_file(reused / "model.json" if reused.is_dir() else reused) if reused else None
    before = describe_file(config.persons.previous / "manifest.json") if config.persons.previous else None
    return {
        "ingest": [reading, parts["countries"], parts["period"], parts["identities"], traits],
        "identities": [],
        "linkage": [parts["linkage"], model, before],
        "persons": [
            parts["persons"],
            before,
            country,
            current,
            config.spells.over_death,
            parts["draws"]["number"],
            parts["draws"]["seed"],
        ],
        "spells": [parts["spells"], permits, listed],
        "residence": [parts["residence"], parts["draws"], country],
        "estimates": [
            parts["estimates"],
            parts["draws"],
            parts["mobility"],
            parts["publish"]["tables"],
            parts["publish"]["table_rules"],
            _needs_cell_keys(config),
        ],
        "quality": [],
        "publish": [parts["publish"], parts["name"], publish.describe_noise(config.publish.protection)],
    }


def _needs_cell_keys(config: Config) -> bool:
    return config.publish.protection.method == "cell_key"


def link_records(config: Config, engine: Engine, record: RunRecord, key: str) -> None:
    """The stages from files to persons. Tables are known by name: those just made, or taken over."""
    t, period, further = record.tables, config.observation, config.identities.further_columns
    traits = config.estimates.traits if config.estimates else ()

    if record.begin("ingest"):
        record.inputs({name: ingest.source_files(name, source) for name, source in config.sources.items()})
        columns = tuple(dict.fromkeys((*further, *traits)))
        read = ingest.ingest(engine, config.sources, config.countries, period, columns)
        record.finish(read.records, read.rejected, read.row_accounts, read.judgements)

    if record.begin("identities"):
        record.finish(*identities.find_identities(engine, t["records"], further))

    if record.begin("linkage"):
        model = record.folder / "model.json"
        earlier = config.persons.previous / "tables" / "links.parquet" if config.persons.previous else None
        previous = Table("links", earlier) if earlier is not None and earlier.exists() else None
        identified = linkage.Identified(
            t["identities"], t["record_identities"], t["judgements"], t["records"], previous
        )
        links = linkage.link(engine, identified, config.linkage, further, model)
        record.finish(links, files=[model] if model.exists() else [])

    if record.begin("persons"):
        current = tuple(name for name, s in config.sources.items() if s.one_current_record_per_person)
        country = persons.Country(
            config.estimates.reporting_country if config.estimates else "",
            period,
            current,
            traits,
            config.spells.over_death,
        )
        linked = persons.Linked(
            t["records"], t["identities"], t["record_identities"], t["links"], t["judgements"]
        )
        curve = persons.Curve(**linkage.describe_curve(record.folder / "model.json"))
        draws = persons.Draws(config.draws.number, config.draws.seed, curve)
        found = persons.find_persons(engine, linked, country, config.persons, key, draws)
        record.finish(
            found.persons,
            found.person_traits,
            found.identity_persons,
            found.record_persons,
            found.person_draws,
            found.trait_draws,
            found.conflicts,
        )


def measure_migration(config: Config, engine: Engine, record: RunRecord, key: str) -> None:
    """The stages from persons to figures."""
    t = record.tables
    if config.period is None or config.residence is None:
        return
    windows = find_windows(config)
    is_listed = windows.listed is not None

    if record.begin("spells"):
        permits = config.residence.resident_permits
        observed = spells.Country(windows.crossings, is_listed, permits, windows.listed)
        owned = (t["records"], t["record_persons"], t["persons"])
        found, contradictions = spells.find_spells(engine, *owned, observed, config.spells)
        drawn = spells.Drawn(t["person_draws"], t["record_identities"], t["persons"])
        draws = spells.find_spell_draws(engine, t["records"], drawn, found, observed, config.spells)
        record.finish(found, draws, contradictions)

    if record.begin("residence"):
        evidence = residence.Evidence(t["spells"], t["records"], t["record_persons"], t["persons"])
        country = config.estimates.reporting_country if config.estimates else None
        linkages = residence.Linkages(t["person_draws"], t["record_identities"], t["spell_draws"])
        drawing = residence.Drawing(config.draws, country, linkages)
        record.finish(*residence.draw_residence(engine, evidence, windows, config.residence, drawing))

    if config.estimates is None:
        return

    if record.begin("estimates"):
        empty_months = estimates.find_empty_months(engine, t["records"], windows.crossings)
        observation = estimates.observe(windows, config.residence.rules, is_listed, empty_months)
        histories = estimates.Histories(t["residence"], t["migrations"], t["persons"], t["person_traits"])
        travellers = estimates.Travellers(
            *(t[name] for name in ("residence", "migrations", "persons", "person_traits")),
            *(t[name] for name in ("spells", "records", "record_persons")),
        )
        of_draws = (t["doubts"], t["residence_draws"], t["migration_draws"], t["trait_draws"])
        in_doubt = estimates.Draws(*of_draws, config.draws)
        country, published = config.estimates.reporting_country, config.publish
        asked = estimates.Asked(
            published.tables,
            published.table_rules,
            tuple(rule.name for rule in config.residence.rules),
            config.residence.policies[0],
            config.estimates.traits,
        )
        record.finish(
            *estimates.estimate(engine, histories, observation, config.estimates, asked, in_doubt),
            *estimates.compare_rules(engine, t["residence"], t["migrations"], observation),
            estimates.find_person_time(engine, t["residence"], t["spells"], observation),
            estimates.count_mobility(engine, travellers, observation, config.mobility, country),
            *estimates.describe_lists(engine, travellers, observation, config.estimates, config.mobility),
            estimates.sum_record_keys(
                engine,
                histories,
                observation,
                config.estimates,
                key if _needs_cell_keys(config) else None,
                asked,
            ),
        )


def describe_migration(config: Config, engine: Engine, record: RunRecord, key: str) -> None:
    """The stages that say what the figures are worth, and publish them."""
    t = record.tables
    if config.period is None or config.residence is None or config.estimates is None:
        return
    windows = find_windows(config)
    seen = windows.crossings

    if record.begin("quality"):
        owned = (t["records"], t["record_persons"], t["persons"])
        left_out = spells.find_left_out(engine, *owned, seen, config.spells.borders)
        empty_months = estimates.find_empty_months(engine, t["records"], seen)
        review = linkage.estimate_clerical(
            engine, t["judgements"], t["record_identities"], t["links"], config.persons.accept_p_match
        )
        linked = quality.Linkage(
            config.persons.accept_p_match,
            record.folder / "model.json",
            config.estimates.reporting_country,
            config.period.to_date.year,
        )
        open_ends = linkage.measure_open_ends(
            engine, t["records"], t["record_identities"], t["record_persons"]
        )
        described = {**t, "left_out": left_out, "open_ends": engine.frame("open_ends", open_ends)}
        record.finish(
            quality.measure(engine, described, windows, empty_months, linked, review),
            quality.count_expired_stays(engine, t["spells"], t["records"], t["record_persons"], seen),
        )

    if record.begin("publish"):
        publication = publish.Publication(
            config.name,
            tuple(config.sources),
            {rule.name: rule.title for rule in config.residence.rules},
            config.estimates.reporting_country,
            config.publish.formats,
            config.estimates.traits,
            config.publish.tables,
            config.publish.table_rules,
            publish.Protection(config.publish.protection, key, config.estimates.reporting_country)
            if config.publish.protection.is_on
            else None,
            config.residence.policies,
            describe_used(config),
            describe_windows(windows),
            config.persons.previous,
        )
        end = config.period.data_to_date
        record.finish(files=publish.publish(engine, t, record.folder, end, publication))
