"""Table shells: published tables as data in configs/tables/*.yml, never code."""

import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Annotated, Literal

from pydantic import Field, model_validator

from miglink.codes.lists import list_names
from miglink.config.models import Section
from miglink.tables.contract import DIMENSIONS

Measure = Literal["stock", "immigration", "emigration", "net"]
AgeDefinition = Literal["completed", "reached"]
Breakdown = tuple[str, ...]

AGES = ("age", "age_reached", "age_group")
OF_FLOWS = frozenset({"other_country", "purpose"})
STANDARD = frozenset(DIMENSIONS) - {"trait", "trait_value"}
# The values of dimensions that have no others.
VALUES = {
    "sex": ("male", "female", "other", "unknown"),
    "citizenship_group": ("national", "eu", "efta", "candidate", "other", "stateless", "unknown"),
    "birth_group": ("native", "foreign", "unknown"),
    "origin_group": (
        *("foreign_born_foreigner", "native_born_foreigner", "foreign_born_citizen", "native_born_citizen"),
        "unknown",
    ),
}
_TOLD = {
    "frequency": ("year", "quarter", "month"),
    "flag": ("provisional", "final", "estimated", "estimated_provisional"),
    "age_definition": ("completed", "reached"),
}
# What miglink adds to the columns of the publisher.
OWN_COLUMNS = ("rule", "policy", "n_settled", "n_undetermined", "status", "data_to_date")


class ShellRule(Section):
    """A usual-residence rule that a table asks for, and the days for which it does."""

    rule: str
    """Name of the rule."""
    from_date: date | None = Field(default=None, alias="from")
    """First day; of a flow the day its period begins, of a stock the day at whose end it is counted; absent: always."""
    to_date: date | None = Field(default=None, alias="to")
    """Last such day; absent: for ever."""


class ShellColumn(Section):
    """One column of a table: a dimension in the publisher's codes, a constant, or what the figure itself says."""

    dimension: str | None = None
    """A dimension of stocks and flows, or one of `estimates.traits`."""
    constant: str | None = None
    """The same text in every row."""
    gives: (
        Literal[
            "value",
            "period",
            "year",
            "closing_year",
            "frequency",
            "flag",
            "age_definition",
            "reporting_country",
            "empty",
        ]
        | None
    ) = None
    """value: the headline in whole persons, the settled figure where there is none. period: as in stocks and flows.
    year: that of the flow, or of the 1 January of the stock. closing_year: of a stock at 1 January, the year that has
    just ended. frequency, flag, age_definition, reporting_country: by `codes` or `lists`. flag: of the status, and
    whether the figure is estimated, another than the settled one; without a code of its own `estimated` has that of
    `final`, and `estimated_provisional` that of `provisional`. empty: nothing that a run could know."""
    lists: tuple[str, ...] = ()
    """Code lists (src/miglink/codes/lists) that give the codes of a dimension or of the reporting country."""
    codes: dict[str, str] = {}
    """Codes for our values, beside those of the lists; without either, our values are the codes."""
    meaning: str
    """What the column says, for readers of the table."""

    @model_validator(mode="after")
    def _one_origin(self) -> "ShellColumn":
        if sum(one is not None for one in (self.dimension, self.constant, self.gives)) != 1:
            raise ValueError("give exactly one of `dimension`, `constant` and `gives`")
        told = _TOLD.get(self.gives or "", ())
        wrong = [value for value in self.codes if told and value not in told]
        if wrong:
            raise ValueError(f"codes: {self.gives} is never {wrong[0]!r}; known: {', '.join(told)}")
        unknown = [name for name in self.lists if name not in list_names()]
        if unknown:
            raise ValueError(
                f"lists: no code list is called {', '.join(map(repr, unknown))}; known: {', '.join(list_names())}"
            )
        return self


class SdmxFlow(Section):
    """The data flow of SDMX that a table belongs to, with the structure of its publisher."""

    agency: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z][A-Za-z0-9_-]*)*$")
    """Id of the agency that maintains it, such as ESTAT."""
    dataflow: str = Field(pattern=r"^[A-Za-z0-9_@$-]+$")
    """Id of the data flow."""
    structure: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_@$-]+$")
    """Id of its data structure definition; absent: that of the data flow."""
    version: str = Field(default="1.0", pattern=r"^\d+(\.\d+){1,2}$")
    """Version of both."""
    suppressed: dict[str, str] = {}
    """Columns -> the code that each has in a row whose figure is suppressed."""


class Shell(Section):
    """A table that somebody publishes: what it counts, in which columns and codes, and under which rule."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Name of the table, and of its files."""
    title: str
    """Title, as the publisher gives it."""
    publisher: str
    """Who asks for the table, or publishes it."""
    reference: str
    """Where its definition stands."""
    looked_up: date
    """Day on which the definition was looked up."""
    is_verified: bool = True
    """False: title, columns or codes were not read in the primary source."""
    note: str | None = None
    """What a reader must know; where not everything is verified, what is not."""
    measure: Measure
    """What is counted: residents at 1 January, immigrations, emigrations, or the one less the other."""
    frequency: Literal["year", "quarter", "month"] = "year"
    """Periods of a flow; stocks are of years."""
    rules: tuple[ShellRule, ...] = Field(min_length=1)
    """The rules that the definition asks for, each for its days; `publish.table_rules` names another."""
    age_definitions: tuple[AgeDefinition, ...] = Field(default=("completed",), min_length=1)
    """Whether ages are in completed years on the day, or those reached in the year; rows for each."""
    where: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = {}
    """Dimensions -> the values, ours, to which the table is restricted."""
    where_not: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = {}
    """Dimensions -> the values, ours, that are left out."""
    sdmx: SdmxFlow | None = None
    """Its data flow, for SDMX-CSV; absent: one of miglink's own."""
    columns: dict[str, ShellColumn] = Field(min_length=1)
    """The publisher's columns, in their order."""

    @model_validator(mode="after")
    def _columns_agree(self) -> "Shell":
        shown = [column.dimension for column in self.columns.values() if column.dimension]
        if len(set(shown)) < len(shown):
            raise ValueError("columns: a dimension stands in two columns; give each once")
        if sum(column.gives == "value" for column in self.columns.values()) != 1:
            raise ValueError("columns: exactly one must give the figure (`gives: value`)")
        # Some readers do not tell capitals from small letters.
        names = [name.lower() for name in self.columns]
        if len(set(names)) < len(names):
            raise ValueError("columns: two names differ in capitals alone")
        taken = [name for name in self.columns if name.lower() in OWN_COLUMNS]
        if taken:
            raise ValueError(
                f"columns: miglink adds a column {taken[0]!r} of its own; give this one another name"
            )
        return self

    @model_validator(mode="after")
    def _values_are_known(self) -> "Shell":
        for key, limits in (("where", self.where), ("where_not", self.where_not)):
            for name, values in limits.items():
                wrong = [value for value in values if value not in VALUES.get(name, values)]
                if wrong:
                    raise ValueError(f"{key}: {name} is never {wrong[0]!r}; known: {', '.join(VALUES[name])}")
        return self

    @model_validator(mode="after")
    def _dimensions_fit(self) -> "Shell":
        named = self.dimensions
        if self.measure == "stock" and OF_FLOWS & {*named}:
            raise ValueError(
                f"a stock has no {' or '.join(sorted(OF_FLOWS & {*named}))}: they are of flows alone"
            )
        if self.measure == "stock" and self.frequency != "year":
            raise ValueError(f"frequency: stocks are counted at 1 January, not by {self.frequency}")
        if len(self.traits) > 1:
            raise ValueError(f"{' and '.join(self.traits)} are further columns; a table can have one of them")
        if sum(name in AGES for name in named) > 1:
            raise ValueError("a table can have one of age, age_reached and age_group")
        return self

    @model_validator(mode="after")
    def _flow_fits(self) -> "Shell":
        if self.sdmx is None:
            return self
        told = {name: column.gives for name, column in self.columns.items()}
        if told.get("OBS_VALUE") != "value":
            raise ValueError("sdmx: the column of the figure (`gives: value`) must be called OBS_VALUE")
        if told.get("TIME_PERIOD") not in ("period", "year", "closing_year"):
            raise ValueError("sdmx: a column TIME_PERIOD must give the period or the year")
        wrong = [name for name in self.columns if not re.fullmatch("[A-Za-z][A-Za-z0-9_-]*", name)]
        if wrong:
            raise ValueError(
                f"columns: {wrong[0]!r} is no id of SDMX: letters, digits, _ and -, a letter first"
            )
        wrong = [name for name in self.sdmx.suppressed if told.get(name) not in ("flag", "empty")]
        if wrong:
            raise ValueError(
                f"sdmx.suppressed: {wrong[0]!r} is no column with `gives: flag` or `gives: empty`"
            )
        return self

    @property
    def dimensions(self) -> Breakdown:
        """The dimensions that it shows or is restricted by, each once."""
        shown = (column.dimension for column in self.columns.values() if column.dimension)
        return tuple(dict.fromkeys((*shown, *self.where, *self.where_not)))

    @property
    def traits(self) -> Breakdown:
        """Those of the dimensions that are further columns of the sources."""
        return tuple(name for name in self.dimensions if name not in STANDARD)

    @property
    def measures(self) -> tuple[str, ...]:
        """The counts that the measure is made of."""
        return ("immigration", "emigration") if self.measure == "net" else (self.measure,)

    def of(self, definition: AgeDefinition) -> Breakdown:
        """The dimensions under a definition of age: ages reached are single years."""
        if definition == "completed":
            return self.dimensions
        return tuple("age_reached" if name in AGES else name for name in self.dimensions)

    def asks_for(self, chosen: str | None) -> tuple[ShellRule, ...]:
        """The rules of the table, or the one that the user has chosen instead."""
        return self.rules if chosen is None else (ShellRule.model_validate({"rule": chosen}),)


def find_breakdowns(shells: Iterable[Shell], frequency: str, *, is_stock: bool) -> list[Breakdown]:
    """The breakdowns that must be counted for the shells of a frequency; none that is part of another."""
    wanted = {
        frozenset(shell.of(definition))
        for shell in shells
        if (shell.measure == "stock") == is_stock and shell.frequency == frequency
        for definition in shell.age_definitions
    }
    kept = [names for names in wanted if not any(names < other for other in wanted)]
    return sorted(tuple(sorted(names)) for names in kept)


def find_counted(wanted: Breakdown, counted: Sequence[Breakdown]) -> Breakdown:
    """The counted breakdown from which the wanted one is added up."""
    return next(names for names in counted if {*wanted} <= {*names})
