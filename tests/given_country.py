"""Little countries whose stocks, flows and accounts are known by hand."""

import json
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import polars as pl

from given_tables import name_table
from miglink.config.draws import DrawsSettings
from miglink.config.stages import EstimatesSettings, Period
from miglink.engine import Engine
from miglink.stages.estimates import Asked, Draws, Histories, Observation, estimate, sum_record_keys
from miglink.tables.contract import DIMENSIONS

Rows = list[dict[str, Any]]
Tables = dict[str, pl.DataFrame]
RULE, POLICY, WINDOW = "nz_12_16", "unresolved", 487
STRATUM = {"draw": 0, "rule": RULE, "policy": POLICY}
RESIDENT, ABROAD, UNCLEAR = "resident", "non_resident", "undetermined"
TOTAL = dict.fromkeys(DIMENSIONS, "total")
TERMS = ("opening", "immigration", "emigration", "births", "deaths", "moves", "net_undetermined", "closing")


@dataclass
class Country:
    """Persons and their histories, as the stages before would give them."""

    before: date = date(2018, 12, 31)
    residence: Rows = field(default_factory=list)
    migrations: Rows = field(default_factory=list)
    persons: Rows = field(default_factory=list)
    person_traits: Rows = field(default_factory=list)
    doubts: Rows = field(default_factory=list)
    residence_draws: Rows = field(default_factory=list)
    trait_draws: Rows = field(default_factory=list)
    migration_draws: Rows = field(default_factory=list)

    def add(self, person: str, *statuses: tuple[date | None, str], **facts: Any) -> None:
        """A person with the days from which statuses hold (None: since before observation)."""
        born, died, naturalised = (facts.get(name) for name in ("born", "died", "naturalised"))
        self.persons.append(
            {"person_id": person, "sex": facts.get("sex", "female")}
            | {"birth_date": born or facts.get("birth_date", date(1980, 1, 1))}
            | {
                "birth_date_precision": facts.get("precision", "day"),
                "birth_country": facts.get("birth_country"),
            }
            | {"death_date": died, "is_born_here": born is not None, "n_identities": 1, "n_records": 1}
            | {"is_doubtful": False, "id_since_date": date(2020, 1, 1)}
        )
        starts = [day or self.before for day, _ in statuses]
        for index, (start, (_, status)) in enumerate(zip(starts, statuses, strict=True)):
            is_last = index + 1 == len(statuses)
            row = {"person_id": person, "from_date": start, "to_date": died if is_last else starts[index + 1]}
            reason = "death" if is_last and died else None if is_last else "migration"
            self.residence.append(
                STRATUM | row | {"status": status, "basis": "crossing", "end_reason": reason}
            )
            if index and {statuses[index - 1][1], status} == {RESIDENT, ABROAD}:
                self.migrate(person, start, "immigration" if status == RESIDENT else "emigration")
        first = {"person_id": person, "trait": "citizenship", "valid_from": date(1, 1, 1), "source": "border"}
        changed = {"valid_from": naturalised[0], "value": naturalised[1]} if naturalised else {}
        if (citizenship := facts.get("citizenship", "NZL")) is not None:
            self.person_traits.append(first | {"value": citizenship, "valid_to": changed.get("valid_from")})
        if changed:
            self.person_traits.append(first | changed)
        for trait, values in facts.get("traits", {}).items():
            days = [day or date(1, 1, 1) for day, _ in values]
            for (_, value), start, end in zip(values, days, [*days[1:], None][: len(days)], strict=True):
                row = {"trait": trait, "value": value, "valid_from": start, "valid_to": end}
                self.person_traits.append(first | row)

    def migrate(
        self, person: str, day: date, direction: str, outcome: str = "migration", **of_crossing: Any
    ) -> None:
        """A crossing that is, or may become, a migration."""
        self.migrations.append(
            STRATUM
            | {
                "person_id": person,
                "event_date": day,
                "counted_date": day,
                "sequence": len(self.migrations),
                "is_implied": False,
            }
            | {"direction": direction, "outcome": outcome}
            | of_crossing
        )

    def doubt(self, person: str, day: date | None, cause: str, linkage: str = "both") -> None:
        """A person whose history is drawn from a day on (None: from the beginning)."""
        row = {"person_id": person, "from_date": day or self.before, "cause": cause, "linkage": linkage}
        self.doubts.append({"rule": RULE, "policy": POLICY} | row)

    def draw(self, number: int, person: str, *statuses: tuple[date | None, str], **of_draw: Any) -> None:
        """A history of a person in a draw, with the changes between its statuses as migrations.

        was: the status before the first, which then is a migration of its first day. died: the day on which it ends.
        """
        of = {"draw": number, "person_id": person, "rule": RULE, "policy": POLICY}
        of |= {"linkage": of_draw.get("linkage", "both"), "part": of_draw.get("part", 0)}
        died, was = of_draw.get("died"), of_draw.get("was")
        for index, (start, status) in enumerate(statuses):
            is_last = index + 1 == len(statuses)
            day = start or self.before
            ends = {"to_date": died if is_last else statuses[index + 1][0]}
            ends["end_reason"] = "death" if is_last and died else None if is_last else "migration"
            row = {"from_date": day, "status": status, "status_before": was}
            self.residence_draws.append(of | row | ends)
            if {was, status} == {RESIDENT, ABROAD}:
                direction = "immigration" if status == RESIDENT else "emigration"
                migrated = {
                    "counted_date": day,
                    "direction": direction,
                    "sequence": len(self.migration_draws),
                }
                self.migration_draws.append(of | migrated | {"is_implied": False})
            was = status

    def estimate(self, engine: Engine, **how: Any) -> Tables:
        """The tables, by name; with a key, the cell keys too; draws: their number, or None for none."""
        names = Histories.__dataclass_fields__
        histories = Histories(*(name_table(engine, name, getattr(self, name)) for name in names))
        days = {"from": self.before + timedelta(days=1), "to": how.get("to", date(2019, 12, 31))}
        period = Period.model_validate(days)
        by_year = frozenset(how.get("by_year", ()))
        windows = dict.fromkeys((RULE, *by_year), how.get("window", WINDOW))
        listed, empty_months = how.get("has_population_list", True), how.get("empty_months", ())
        observation = Observation(period, windows, listed, by_year, empty_months=empty_months)
        named = {name: how[name] for name in ("periods", "breakdowns", "traits") if name in how}
        # As from a configuration file, so that lists may stand for tuples.
        given = json.dumps({"reporting_country": how.get("country", "NZL")} | named)
        asked = EstimatesSettings.model_validate_json(given)
        shells = how.get("asked", Asked())
        tables = list(estimate(engine, histories, observation, asked, shells, self._draws(engine, how)))
        if "key" in how:
            shells = how.get("asked", Asked())
            tables.append(sum_record_keys(engine, histories, observation, asked, how["key"], shells))
        return {table.name: pl.read_parquet(table.path) for table in tables}

    def _draws(self, engine: Engine, how: dict[str, Any]) -> Draws | None:
        if how.get("draws") is None:
            return None
        doubts = name_table(engine, "doubts", self.doubts)
        residence_draws = name_table(engine, "residence_draws", self.residence_draws)
        migration_draws = name_table(engine, "migration_draws", self.migration_draws)
        trait_draws = name_table(engine, "trait_draws", self.trait_draws)
        settings = DrawsSettings(number=how["draws"])
        return Draws(doubts, residence_draws, migration_draws, trait_draws, settings)


def account(tables: Tables, year: str, **cell: str) -> list[int]:
    """The terms of one account, in order; zeros for a cell in which nobody is ever counted."""
    rows = tables["accounts"].filter(**(TOTAL | {"period": year} | cell))
    return list(rows.select(TERMS).row(0)) if rows.height else [0] * len(TERMS)


def figure(table: pl.DataFrame, period: str, **cell: str) -> dict[str, Any]:
    """One row of stocks or flows; the total where no cell is named."""
    (row,) = table.filter(**(TOTAL | {"period": period} | cell)).iter_rows(named=True)
    return dict(row)


def values(table: pl.DataFrame, dimension: str, **cell: str) -> dict[str, int]:
    """Settled persons by one dimension, without its total; cells in which nobody is are left out."""
    rows = table.filter(**{name: value for name, value in (TOTAL | cell).items() if name != dimension})
    rows = rows.filter(pl.col(dimension) != "total", pl.col("n_settled") != 0)
    return dict(rows.select(dimension, "n_settled").iter_rows())
