"""The folder of truth: what the contracts of `miglink.tables.TRUTH_TABLES` say, as Parquet."""

from pathlib import Path

import numpy as np
import polars as pl

from miglink.tables import TRUTH_TABLES
from synthetic import documents, truth
from synthetic.journeys import ARRIVAL
from synthetic.noise import CAUSES
from synthetic.records import Country
from synthetic.world import FEMALE, HISTORY_FROM, JOURNEYS, NEVER, countries

_FIRST = "0001-01-01"


def write_truth(country: Country, records: pl.DataFrame, missing: pl.DataFrame, folder: Path) -> None:
    """Write the tables of truth, each sorted by its key.

    records: source, record_id, person, causes, in order. missing: person, day, direction of crossings nobody recorded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write("record_persons", records.select("source", "record_id", _person()), folder)
    _write("record_causes", _find_causes(records), folder)
    direction = (
        pl.when(pl.col("direction") == int(ARRIVAL)).then(pl.lit("arrival")).otherwise(pl.lit("departure"))
    )
    lost = missing.sort("person", "day", direction).unique(
        ["person", "day", "direction"], maintain_order=True
    )
    lost = lost.select(_person(), crossed_date=_date("day"), direction=direction)
    _write("missing_crossings", lost, folder)
    _write("persons", _describe(country), folder)
    traits = documents.find_traits(country.persons, country.naturalised)
    _write("person_traits", _name_traits(traits), folder)
    here = country.bases.at(
        country.persons.party, np.maximum(country.persons.birth_day, np.int32(HISTORY_FROM))
    )
    spells = truth.find_spells(country.crossings, country.persons, here).with_columns(
        _person(), start_date=_date("start_day"), end_date=_date("end_day")
    )
    _write("spells", spells, folder)
    del spells
    residences, migrations = [], []
    for rule in truth.RULES:
        statuses = truth.find_statuses(country.crossings, country.persons, here, rule)
        residence, moved = truth.find_residence(country.crossings, statuses, country.persons, rule)
        residences.append(residence)
        migrations.append(moved)
    residence, moved = pl.concat(residences), pl.concat(migrations)
    _write("flows", truth.count_flows(moved, traits, country.persons), folder)
    _write("stocks", truth.count_stocks(residence, traits, country.persons), folder)
    dated = residence.with_columns(_person(), from_date=_date("from_day"), to_date=_date("to_day"))
    _write("residence", dated, folder)
    _write("migrations", moved.with_columns(_person(), event_date=_date("event_day")), folder)


def _write(name: str, table: pl.DataFrame, folder: Path) -> None:
    """Write the columns of the contract; the rows are in the order of its key already."""
    columns = [column.name for column in TRUTH_TABLES[name].columns]
    table.select(columns).write_parquet(folder / f"{name}.parquet")


def _person() -> pl.Expr:
    return ("P" + pl.col("person").cast(pl.String).str.zfill(8)).alias("true_person_id")


def _date(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Int32).cast(pl.Date)


def _find_causes(records: pl.DataFrame) -> pl.DataFrame:
    """One row for each record and cause."""
    # Few combinations occur: what each stands for is looked up, not worked out for every record.
    bits = {cause: 1 << bit for bit, cause in enumerate(CAUSES)}
    found = records["causes"].unique().to_list()
    pairs = [(bits_set, cause) for bits_set in found for cause in sorted(CAUSES) if bits_set & bits[cause]]
    meaning = pl.DataFrame(pairs, schema={"causes": pl.Int16, "cause": pl.String}, orient="row")
    marked = records.filter(pl.col("causes") != 0).select("source", "record_id", "causes")
    return marked.join(meaning, on="causes", maintain_order="left_right").drop("causes")


def _describe(country: Country) -> pl.DataFrame:
    persons = country.persons
    journeys = pl.Series([journey.name for journey in JOURNEYS])
    death = pl.when(pl.col("death") < int(NEVER)).then(pl.col("death").cast(pl.Date))
    return pl.DataFrame(
        {
            "birth_date": pl.Series(persons.birth_day).cast(pl.Date),
            "death": persons.death_day,
            "sex": pl.Series(["male", "female"])[(persons.sex == FEMALE).astype(np.int8)],
            "birth_country": countries()["country"][country.birth_country],
            "journey": journeys[country.parties.journey[persons.party]],
        }
    ).with_columns(
        true_person_id=("P" + pl.int_range(pl.len()).cast(pl.String).str.zfill(8)), death_date=death
    )


def _name_traits(traits: pl.DataFrame) -> pl.DataFrame:
    """The citizenship that counts, and its group with the composition of the last year observed."""
    group = truth.group_matrix()[:, 2023 - 2011]
    country = traits["country"].to_numpy()
    start = (
        pl.when(pl.col("from_day") < -1_000_000)
        .then(pl.lit(_FIRST).str.to_date())
        .otherwise(_date("from_day"))
    )
    dated = traits.with_columns(valid_from=start).with_columns(
        valid_to=pl.col("valid_from").shift(-1).over("person")
    )
    values = {
        "citizenship": countries()["country"][country],
        "citizenship_group": pl.Series(truth.GROUPS)[group[country]],
    }
    named = [
        dated.select("person", "valid_from", "valid_to", trait=pl.lit(trait), value=value)
        for trait, value in values.items()
    ]
    return pl.concat(named).sort("person", "trait", "valid_from").select(_person(), pl.exclude("person"))
