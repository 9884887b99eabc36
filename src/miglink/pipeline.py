"""The staircase: nine stages in the order in which data flow."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path

from miglink.config import Config
from miglink.engine import Engine, Table, open_engine
from miglink.progress import Progress
from miglink.runrecord import RunRecord
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

N_STAGES = 9


def run_pipeline(config: Config, folder: Path, key: str, progress: Progress) -> dict[str, Table]:
    """Run all nine stages into a new run folder; gives the finished tables by name."""
    place = config.engine.model_dump(exclude={"kind"})
    with (
        RunRecord(folder, config, progress) as record,
        closing(open_engine(config.engine.kind, record.tables_folder, **place)) as engine,
    ):
        run_stages(config, engine, record, key)
    return record.tables


def run_stages(config: Config, engine: Engine, record: RunRecord, key: str) -> None:
    """The nine calls, each with its arguments in full."""
    period, rules = config.period, config.residence.rules
    end = period.to_date + timedelta(days=1)
    further, country = config.identities.further_columns, config.estimates.reporting_country
    current = tuple(name for name, source in config.sources.items() if source.one_current_record_per_person)
    is_listed = any(source.covers_population for source in config.sources.values())
    observation = estimates.Observation(period, {rule.name: rule.window.value for rule in rules}, is_listed)

    with record.stage("ingest") as stage:
        record.inputs({name: ingest.source_files(name, source) for name, source in config.sources.items()})
        read = ingest.ingest(engine, config.sources, config.countries, period, further)
        stage.tables(read.records, read.rejected, read.row_accounts, read.judgements)

    with record.stage("identities") as stage:
        known, record_identities = identities.find_identities(engine, read.records, further)
        stage.tables(known, record_identities)

    with record.stage("linkage") as stage:
        model = record.folder / "model.json"
        identified = linkage.Identified(known, record_identities, read.judgements)
        links = linkage.link(engine, identified, config.linkage, further, model)
        stage.tables(links)
        stage.files(model)

    with record.stage("persons") as stage:
        linked = persons.Linked(read.records, known, record_identities, links, read.judgements)
        found = persons.find_persons(
            engine, linked, persons.Country(country, period, current), config.persons, key
        )
        stage.tables(found.persons, found.person_traits, found.identity_persons, found.record_persons)
        stage.tables(found.person_draws, found.conflicts)

    with record.stage("spells") as stage:
        observed = spells.Country(period, is_listed, config.residence.resident_permits)
        stays = spells.find_spells(
            engine, read.records, found.record_persons, found.persons, observed, config.spells
        )
        stage.tables(stays)
        left_out = spells.find_left_out(engine, read.records, found.record_persons, found.persons, period)

    with record.stage("residence") as stage:
        evidence = residence.Evidence(stays, read.records, found.record_persons, found.persons)
        statuses, migrations = residence.find_residence(engine, evidence, period, config.residence)
        stage.tables(statuses, migrations)

    with record.stage("estimates") as stage:
        histories = estimates.Histories(statuses, migrations, found.persons, found.person_traits)
        stage.tables(*estimates.estimate(engine, histories, observation, config.estimates))

    with record.stage("quality") as stage:
        stage.tables(quality.measure(engine, {**record.tables, "left_out": left_out}, end))

    with record.stage("publish") as stage:
        stage.files(*publish.publish(engine, record.tables, record.folder, end))
