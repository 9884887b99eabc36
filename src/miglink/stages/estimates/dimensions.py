"""The dimensions of the tables: which breakdowns are made, and where the values of each come from."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import polars as pl

from miglink.config.stages import EstimatesSettings
from miglink.engine import Engine, Table, text_literal
from miglink.errors import ResultError
from miglink.stages.estimates.ages import AGES
from miglink.tables.contract import DIMENSIONS

UNKNOWN, TOTAL = "unknown", "total"
OF_FLOWS = frozenset({"other_country", "purpose"})
ALWAYS = ("sex", "citizenship_group")
DEFAULTS = (
    ("sex", "age_group"),
    ("citizenship",),
    ("birth_country",),
    ("birth_group",),
    ("origin_group",),
    ("region",),
    ("other_country",),
    ("purpose",),
)

Breakdown = tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """The breakdowns, the further columns that some of them name, and the country that reports."""

    breakdowns: tuple[Breakdown, ...]
    traits: tuple[str, ...]
    reporting_country: str

    @property
    def changing(self) -> dict[str, str]:
        """The traits of person_traits that are needed, and the column of each in the counted histories."""
        # Further columns are numbered: their own names might be those of other columns.
        further = {name: f"trait_{number}" for number, name in enumerate(self.traits)}
        return {"citizenship": "citizenship", "region": "region"} | further

    def of(self, breakdown: Breakdown) -> dict[str, str]:
        """Columns of a count by this breakdown -> columns of the counted histories; groups follow later."""
        columns = {}
        for name in breakdown:
            if name in self.traits:
                columns["trait_value"] = self.changing[name]
            elif name == "citizenship_group":
                columns["citizenship"] = "citizenship"
            else:
                columns[name] = AGES.get(name, name)
        return columns


def find_layout(
    engine: Engine,
    persons: Table,
    person_traits: Table,
    migrations: Table,
    settings: EstimatesSettings,
    further_traits: Collection[str] = (),
) -> Layout:
    """The breakdowns that the configuration names, or the default ones for which the data hold values.

    further_traits: those of the configured ones that are needed whether a breakdown names them or not.
    """
    if settings.breakdowns is not None:
        breakdowns = tuple(dict.fromkeys(settings.breakdowns))
    else:
        known = find_known(engine, persons, person_traits, migrations)
        wanted = (*DEFAULTS, *((name,) for name in settings.traits))
        kept = (tuple(name for name in names if name in known) for names in wanted)
        breakdowns = tuple(dict.fromkeys((ALWAYS, *filter(None, kept))))
    if all(OF_FLOWS & {*breakdown} for breakdown in breakdowns):
        breakdowns += ((),)  # the totals of stocks and accounts are always counted
    named = {*further_traits, *(name for breakdown in breakdowns for name in breakdown)}
    traits = tuple(name for name in settings.traits if name in named)
    return Layout(breakdowns, traits, settings.reporting_country)


def find_known(engine: Engine, persons: Table, person_traits: Table, migrations: Table) -> set[str]:
    """The dimensions of which the data hold at least one value that is known."""
    (counts,) = engine.collect(
        """
        SELECT COUNT(sex) AS sex, COUNT(birth_date) AS age_group, COUNT(NULLIF(birth_country, 'XXX')) AS birth_country
        FROM persons
        """,
        persons=persons,
    ).iter_rows(named=True)
    (of_flows,) = engine.collect(
        """
        SELECT COUNT(NULLIF(other_country, 'XXX')) AS other_country, COUNT(purpose) AS purpose
        FROM migrations WHERE draw = 0
        """,
        migrations=migrations,
    ).iter_rows(named=True)
    traits = engine.collect(
        "SELECT DISTINCT trait FROM person_traits WHERE value <> 'XXX'", person_traits=person_traits
    )
    known = {name for name, n in (counts | of_flows).items() if n} | set(traits["trait"])
    if "birth_country" in known:
        known.add("birth_group")
    if {"birth_country", "citizenship"} <= known:
        known.add("origin_group")
    return known


def birth_group(country: str, reporting_country: str) -> str:
    """SQL: native, foreign or unknown, by a column that holds the country of birth."""
    return (
        f"CASE WHEN {country} = 'unknown' THEN 'unknown' WHEN {country} = {text_literal(reporting_country)} "
        "THEN 'native' ELSE 'foreign' END"
    )


def origin_group(birth: str, citizenship: str, reporting_country: str) -> str:
    """SQL: foreigners and citizens born here or abroad, by columns that hold birth_group and citizenship."""
    return (
        f"CASE WHEN {birth} = 'unknown' OR {citizenship} = 'unknown' THEN 'unknown' "
        f"WHEN {citizenship} = {text_literal(reporting_country)} THEN CONCAT({birth}, '_born_citizen') "
        f"ELSE CONCAT({birth}, '_born_foreigner') END"
    )


def label(table: pl.DataFrame, breakdown: Breakdown, traits: Sequence[str]) -> pl.DataFrame:
    """All dimension columns of rows that are broken down by some: `total` in the others."""
    named = [name for name in breakdown if name in traits]
    trait = {"trait": pl.lit(named[0])} if named else {}
    present = {*table.columns, *trait}
    absent = {name: pl.lit(TOTAL) for name in DIMENSIONS if name not in present}
    return table.with_columns(**trait, **absent)


def check_values(counts: pl.DataFrame, breakdown: Breakdown) -> None:
    """Raise ResultError if a value is called `total`: it could not be told from a sum."""
    for name in counts.columns:
        if name in DIMENSIONS and (counts[name] == TOTAL).any():
            raise ResultError(
                f"estimates by {' and '.join(breakdown)}: a value is called 'total', the word that the tables use "
                "for sums; map it to another word under the `columns` of its source; nothing is published"
            )
