"""The staircase: nine stages in the order in which data flow."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path

from miglink.config import Config
from miglink.engine import Table, open_engine
from miglink.progress import Progress
from miglink.runrecord import RunRecord
from miglink.stages import estimates, identities, ingest, linkage, persons, publish, quality, residence, spells

N_STAGES = 9


def run_pipeline(config: Config, folder: Path, key: str, progress: Progress) -> dict[str, Table]:
    """Run all nine stages into a new run folder; gives the finished tables by name."""
    period = config.period
    end = period.to_date + timedelta(days=1)
    further = config.identities.further_columns
    current = tuple(name for name, source in config.sources.items() if source.one_current_record_per_person)
    place = {**config.engine.model_dump()}

    with RunRecord(folder, config, progress) as record, closing(open_engine(record.tables_folder, **place)) as engine:
        with record.stage("ingest") as stage:
            record.inputs({name: ingest.source_files(name, source) for name, source in config.sources.items()})
            read = ingest.ingest(engine, config.sources, config.countries, period, further)
            stage.tables(read.records, read.rejected, read.row_accounts, read.judgements)

        with record.stage("identities") as stage:
            known, record_identities = identities.find_identities(engine, read.records, further)
            stage.tables(known, record_identities)

        with record.stage("linkage") as stage:
            model = folder / "model.json"
            links = linkage.link(engine, known, record_identities, read.judgements, config.linkage, model)
            stage.tables(links)
            stage.files(model)

        with record.stage("persons") as stage:
            found = persons.find_persons(
                engine, read.records, known, record_identities, links, read.judgements, config.persons, current, key, end
            )
            stage.tables(found.persons, found.person_traits, found.identity_persons, found.record_persons)
            stage.tables(found.person_draws, found.conflicts)

        with record.stage("spells") as stage:
            stays = spells.find_spells(
                engine, read.records, found.record_persons, found.persons, period, config.spells
            )
            stage.tables(stays)

        with record.stage("residence") as stage:
            statuses, migrations = residence.find_residence(
                engine, stays, read.records, found.record_persons, found.persons, period, config.residence
            )
            stage.tables(statuses, migrations)

        with record.stage("estimates") as stage:
            counted = estimates.estimate(
                engine,
                estimates.Histories(statuses, migrations, found.persons, found.person_traits),
                observation,
                config.estimates,
            )
            stage.tables(*counted)

        with record.stage("quality") as stage:
            stage.tables(quality.measure(engine, record.tables, end))

        with record.stage("publish") as stage:
            stage.files(*publish.publish(engine, record.tables, folder, end))
    return record.tables
