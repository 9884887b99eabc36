"""A country of a few persons whose records are stated, and what stage residence makes of them."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from given_tables import name_table
from miglink.config.draws import DrawsSettings
from miglink.config.rules import Rule
from miglink.config.stages import Period, ResidenceSettings, SpellsSettings
from miglink.config.windows import Windows, whole
from miglink.engine import Engine, Table
from miglink.stages.residence import Drawing, Evidence, draw_residence, find_residence
from miglink.stages.spells import Country as Observed
from miglink.stages.spells import find_spells

CONFIGS = Path(__file__).parents[1] / "configs"
IN, OUT = "arrival", "departure"
PERIOD = Period.model_validate({"from": date(2012, 1, 1), "to": date(2019, 12, 31)})
TWENTY = DrawsSettings(number=20)
Found = tuple[pl.DataFrame, pl.DataFrame]


class Country:
    """Persons, their crossings and what else is on record of them."""

    def __init__(self) -> None:
        self.persons: list[dict[str, Any]] = []
        self.records: list[dict[str, Any]] = []
        self.owners: list[dict[str, Any]] = []

    def add(self, person: str, *crossings: tuple[date, str], **facts: Any) -> "Country":
        """A person with crossings; facts are columns of persons."""
        fixed = {"n_identities": 1, "n_records": 1, "is_doubtful": False, "id_since_date": date(2020, 1, 1)}
        born = {"birth_date": date(1980, 1, 1), "birth_date_precision": "day", "is_born_here": False}
        self.persons.append(fixed | born | {"person_id": person} | facts)
        for day, direction in crossings:
            self.record(person, "crossings", crossed_date=day, direction=direction, purpose="work")
        return self

    def record(self, person: str, kind: str, **fields: Any) -> "Country":
        """A record of any kind."""
        key = {"source": kind, "record_id": f"{len(self.records):06}"}
        self.records.append(key | {"kind": kind, "is_repeat": False} | fields)
        self.owners.append(key | {"person_id": person})
        return self

    def follow(
        self,
        engine: Engine,
        rules: Iterable[Rule],
        period: Period = PERIOD,
        is_listed: bool = False,
        **choices: Any,
    ) -> Found:
        """The rows of residence and migrations."""
        residence, migrations, _ = self.find(engine, rules, period, is_listed, **choices)
        return pl.read_parquet(residence.path), pl.read_parquet(migrations.path)

    def draw(
        self,
        engine: Engine,
        rules: Iterable[Rule],
        draws: DrawsSettings = TWENTY,
        period: Period = PERIOD,
        **choices: Any,
    ) -> dict[str, pl.DataFrame]:
        """The rows of the tables of stage residence, with draws of what is in doubt; is_listed as in `follow`."""
        evidence, windows = self._observe(engine, period, choices.pop("is_listed", False), choices)
        chosen = ResidenceSettings(rules=tuple(rules), **choices)
        tables = draw_residence(engine, evidence, windows, chosen, Drawing(draws, "QMR"))
        return {table.name: pl.read_parquet(table.path) for table in tables}

    def find(
        self, engine: Engine, rules: Iterable[Rule], period: Period, is_listed: bool = False, **choices: Any
    ) -> tuple[Table, Table, Table]:
        """The tables residence, migrations and persons."""
        evidence, windows = self._observe(engine, period, is_listed, choices)
        chosen = ResidenceSettings(rules=tuple(rules), **choices)
        found = find_residence(engine, evidence, windows, chosen)
        return *found, evidence.persons

    def _observe(
        self, engine: Engine, period: Period, is_listed: bool, choices: dict[str, Any]
    ) -> tuple[Evidence, Windows]:
        """What stage residence reads; takes windows from the choices."""
        records = name_table(engine, "records", self.records)
        owners = name_table(engine, "record_persons", self.owners)
        persons = name_table(engine, "persons", self.persons)
        windows = choices.pop("windows", whole(period))
        country = Observed(windows.crossings, is_listed, None, windows.listed)
        spells, _ = find_spells(engine, records, owners, persons, country, SpellsSettings())
        return Evidence(spells, records, owners, persons), windows
