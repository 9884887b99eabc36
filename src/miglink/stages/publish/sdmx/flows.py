"""Data flows of SDMX: which components a table has there, and how its rows become observations.

A table that has a data flow of its publisher keeps the publisher's columns, and nothing of ours. Any other is a data
flow of miglink: TIME_PERIOD, OBS_VALUE, OBS_STATUS and CONF_STATUS, and every further column as a component.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import polars as pl

from miglink.codes import country_names
from miglink.codes.lists import EVERY, TOTAL, country_code, gather_codes
from miglink.config.shells import VALUES, SdmxFlow, Shell, ShellColumn
from miglink.stages.publish.points import whole
from miglink.tables import Column, Contract

AGENCY, VERSION = "MIGLINK", "1.0"
TIME, FIGURE, STATUS, CONFIDENTIALITY = "TIME_PERIOD", "OBS_VALUE", "OBS_STATUS", "CONF_STATUS"
# What a code may be; @ and - begin none, for a spreadsheet takes them for a formula.
CODE = r"^[A-Za-z0-9_$][A-Za-z0-9_@$-]*$"
# The codes of SDMX for what we say of a figure.
_STATUSES = {"final": "A", "provisional": "P"}
_ESTIMATED, _SUPPRESSED = "E", "Q"
_LABELS = {
    STATUS: {
        "A": "Normal",
        _ESTIMATED: "Estimated value",
        "P": "Provisional",
        _SUPPRESSED: "Missing value, suppressed",
    },
    CONFIDENTIALITY: {"C": "Confidential"},
    "FREQ": {"A": "Annual", "Q": "Quarterly", "M": "Monthly"},
}
_FREQUENCIES = {4: "A", 7: "M", 10: "A"}
_COUNTRIES = ("citizenship", "birth_country", "other_country", "REF_AREA")
_NAMES = {"standard_error": "STD_ERROR"}
_HEADLINE = "headline estimate in whole persons or migrations; the settled figure where there is none"
_TIMES = ("period", "year", "closing_year")

Role = Literal["dimension", "time", "measure", "attribute"]


@dataclass(frozen=True)
class Component:
    """One column of an SDMX-CSV file. codelist: the list of its codes, with their labels; None for free text."""

    name: str
    role: Role
    meaning: str
    value: pl.Expr
    type: str = "VARCHAR"
    codelist: str | None = None
    codes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Flow:
    """A table as a data flow. table: its name; is_ours: the flow is one of miglink's own."""

    table: str
    title: str
    description: str
    identity: SdmxFlow
    components: tuple[Component, ...]

    @property
    def structure(self) -> str:
        """Id of the data structure definition."""
        return self.identity.structure or self.identity.dataflow

    @property
    def is_ours(self) -> bool:
        """Whether it is a data flow of miglink, not of a publisher."""
        return self.identity.agency == AGENCY

    def of(self, *roles: Role) -> list[Component]:
        """The components with one of these roles, in their order."""
        return [component for component in self.components if component.role in roles]


def describe_table_flow(contract: Contract, reporting_country: str) -> Flow:
    """The data flow of `stocks` or `flows`, and every further column an attribute.

    Figures are the headlines in whole persons, as in every published table, and the settled ones where there are none.
    """
    period = pl.col("period")
    length = period.str.len_chars()
    frequency = (
        pl.when(period.str.contains("Q"))
        .then(pl.lit("Q"))
        .otherwise(length.replace_strict(_FREQUENCIES, default=None, return_dtype=pl.String))
    )
    keys = [column for column in contract.columns if column.name in contract.key and column.name != "period"]
    rest = [column for column in contract.columns if column.name not in contract.key]
    figure = pl.coalesce(whole("n"), "n_settled")
    components = (
        _own("FREQ", "dimension", "frequency; a reference date is annual", frequency, _LABELS["FREQ"]),
        _own("REF_AREA", "dimension", "reporting country", pl.lit(reporting_country), country_names()),
        *(_dimension(column) for column in keys),
        Component(TIME, "time", "period, or reference date", period),
        Component(FIGURE, "measure", _HEADLINE, figure, "BIGINT"),
        *_qualities(figure),
        *(_attribute(column) for column in rest if column.name != "status"),
    )
    identity = SdmxFlow(agency=AGENCY, dataflow=contract.name.upper(), version=VERSION)
    title = contract.sentence.partition(".")[0]
    return Flow(contract.name, title, contract.sentence, identity, components)


def describe_shell_flow(shell: Shell, contract: Contract, reporting_country: str) -> Flow:
    """The data flow of a table of publishers: theirs, where the shell names it, or one of miglink's.

    contract: of the table as it is written, our columns behind the publisher's.
    """
    ours = contract.columns[len(shell.columns) :]
    identity = shell.sdmx or SdmxFlow(agency=AGENCY, dataflow=shell.name.upper(), version=VERSION)
    is_theirs = shell.sdmx is not None
    names = {name: name for name in shell.columns} if is_theirs else _find_names(shell, ours)
    figure = next(name for name, column in shell.columns.items() if column.gives == "value")
    order = list(shell.columns)
    told = []
    for name, column in shell.columns.items():
        if not is_theirs and column.gives in ("flag", "empty"):
            continue
        role = _role(names[name], column, order.index(name) > order.index(figure))
        told.append(_translate(shell, name, names[name], role, reporting_country))
    ranked = sorted(told, key=lambda one: ("dimension", "time", "measure", "attribute").index(one.role))
    if not is_theirs:
        ranked += [*_qualities(pl.col(figure)), *(_attribute(c) for c in ours if c.name != "status")]
    doubt = "" if shell.is_verified else "Not all of it was read in the primary source. "
    description = f"{doubt}{shell.note or ''} {shell.publisher}; {shell.reference}."
    return Flow(shell.name, shell.title, description.strip(), identity, tuple(ranked))


def fill_flow(rows: pl.LazyFrame, flow: Flow) -> pl.DataFrame:
    """The rows of a table as those of SDMX-CSV 2.0: which structure, action I (for information), and the components.

    A suppressed figure is empty, and its row says so.
    Source: SDMX-CSV 2.0.0 field guide (sdmx-twg/sdmx-csv, data-message/docs), columns, headers and content.
    """
    identity = flow.identity
    constants = {
        "STRUCTURE": "dataflow",
        "STRUCTURE_ID": f"{identity.agency}:{identity.dataflow}({identity.version})",
        "ACTION": "I",
    }
    return rows.select(
        *(pl.lit(value).alias(name) for name, value in constants.items()),
        *(component.value.alias(component.name) for component in flow.components),
    ).collect()


def close_codes(flow: Flow, rows: pl.DataFrame) -> Flow:
    """The data flow with every code that its rows hold in its lists; what no code can be makes a component free text.

    A country of the configuration's own, for one, is in no list.
    """
    return replace(flow, components=tuple(_close(one, rows[one.name]) for one in flow.components))


def describe_rows(flow: Flow) -> Contract:
    """The contract of the file of a data flow."""
    fixed = (
        Column("STRUCTURE", "VARCHAR", "what the data are structured by: a data flow", nullable=False),
        Column("STRUCTURE_ID", "VARCHAR", "agency, id and version of the data flow", nullable=False),
        Column("ACTION", "VARCHAR", "I: for information", nullable=False),
    )
    columns = tuple(
        Column(one.name, one.type, one.meaning, nullable=one.role not in ("dimension", "time"))
        for one in flow.components
    )
    key = tuple(component.name for component in flow.of("dimension", "time"))
    sentence = f"{flow.title}, as SDMX-CSV 2.0. {flow.description}"
    return Contract(f"{flow.table}.sdmx", "publish", sentence, key, (*fixed, *columns))


def _close(component: Component, column: pl.Series) -> Component:
    if component.codelist is None:
        return component
    found = column.drop_nulls().unique().sort().to_list()
    codes = {**component.codes, **{code: code for code in found if code not in component.codes}}
    is_coded = all(re.match(CODE, code) for code in codes)
    return replace(component, codes=codes, codelist=component.codelist if is_coded else None)


def _translate(shell: Shell, name: str, shown: str, role: Role, reporting_country: str) -> Component:
    """A column of a shell as a component; in a row without a figure, with the code that says why."""
    column = shell.columns[name]
    figure = next(one for one, of_shell in shell.columns.items() if of_shell.gives == "value")
    value, suppressed = pl.col(name), (shell.sdmx.suppressed if shell.sdmx else {}).get(name)
    if suppressed is not None:
        given = pl.lit(suppressed) if column.gives == "flag" else pl.coalesce(name, pl.lit(suppressed))
        value = pl.when(pl.col(figure).is_null()).then(given).otherwise(value)
    if role in ("time", "measure"):
        return Component(shown, role, column.meaning, value, "BIGINT" if role == "measure" else "VARCHAR")
    codes = _list_codes(column, reporting_country)
    if column.gives == "frequency":
        codes = {column.codes.get(shell.frequency, shell.frequency): shell.frequency}
    if suppressed is not None:
        codes = {**codes, suppressed: "Suppressed"}
    structure = (shell.sdmx.structure or shell.sdmx.dataflow) if shell.sdmx else shell.name
    listed = "_".join(column.lists) if column.lists and not column.codes else f"{structure}_{shown}"
    is_coded = bool(codes) and all(re.match(CODE, code) for code in codes)
    return Component(
        shown, role, column.meaning, value, "VARCHAR", f"CL_{listed.upper()}" if is_coded else None, codes
    )


def _list_codes(column: ShellColumn, reporting_country: str) -> dict[str, str]:
    """The codes that a column can have, with their labels; none where any text may stand."""
    if column.constant is not None:
        said = column.meaning.partition(f"{column.constant}: ")[2] or column.meaning
        return {column.constant: said}
    if column.gives == "age_definition":
        return {column.codes.get(name, name): name for name in ("completed", "reached")}
    given = gather_codes(column.lists, column.codes)
    if given.is_empty():
        values = VALUES.get(column.dimension or "", ())
        return {value: value for value in (*values, TOTAL)} if values else {}
    labels = given.group_by("code", maintain_order=True).agg(pl.col("ours").unique(maintain_order=True))
    found = {code: _label(code, ours) for code, ours in labels.iter_rows()}
    if column.gives == "reporting_country":
        found.setdefault(country_code(given, reporting_country), reporting_country)
    return found


def _label(code: str, ours: list[str]) -> str:
    """What a code stands for: the country or word of ours that it alone replaces, else the code itself."""
    (value, *others) = ours
    if others or value == EVERY or ".." in value:
        return code
    return country_names().get(value, value)


def _role(shown: str, column: ShellColumn, is_behind: bool) -> Role:
    """The role of a column; of what is neither figure nor dimension, what stands behind the figure says of it."""
    if column.gives == "value":
        return "measure"
    if shown == TIME:
        return "time"
    if column.dimension is None and (is_behind or column.gives in ("flag", "empty")):
        return "attribute"
    return "dimension"


def _find_names(shell: Shell, ours: Sequence[Column]) -> dict[str, str]:
    """Ids for the columns of a shell that has no data flow of its publisher, each once."""
    times = [name for name, column in shell.columns.items() if column.gives in _TIMES]
    reserved = {TIME, FIGURE, STATUS, CONFIDENTIALITY, *(_named(column.name) for column in ours)}
    names: dict[str, str] = {}
    for name, column in shell.columns.items():
        plain = re.sub("[^A-Z0-9_-]", "_", name.upper())
        wanted = plain if plain[0].isalpha() else f"C_{plain}"
        if column.gives == "value":
            names[name] = FIGURE
            continue
        if name in times[:1]:
            names[name] = TIME
            continue
        while wanted in reserved or wanted in names.values():
            wanted += "_"
        names[name] = wanted
    return names


def _qualities(figure: pl.Expr) -> tuple[Component, Component]:
    """What SDMX says of a figure: its status, and whether it is confidential.

    One status alone: a provisional figure says so, whether it is estimated or not.
    """
    is_suppressed = figure.is_null()
    is_estimated = (pl.col("status") == "final") & figure.ne_missing(pl.col("n_settled"))
    told = pl.col("status").replace_strict(_STATUSES, default=None, return_dtype=pl.String)
    status = pl.when(is_estimated).then(pl.lit(_ESTIMATED)).otherwise(told)
    return (
        _own(
            STATUS,
            "attribute",
            "A: final; E: final, and another than the settled figure; P: provisional; Q: suppressed",
            pl.when(is_suppressed).then(pl.lit(_SUPPRESSED)).otherwise(status),
            _LABELS[STATUS],
        ),
        _own(
            CONFIDENTIALITY,
            "attribute",
            "C: confidential, and therefore suppressed",
            pl.when(is_suppressed).then(pl.lit("C")),
            _LABELS[CONFIDENTIALITY],
        ),
    )


def _own(name: str, role: Role, meaning: str, value: pl.Expr, codes: Mapping[str, str]) -> Component:
    return Component(
        name, role, meaning, value, "VARCHAR", f"CL_{'AREA' if name in _COUNTRIES else name}", codes
    )


def _dimension(column: Column) -> Component:
    """A column of a key: coded where we have a list of its values."""
    name, value = column.name.upper(), pl.col(column.name)
    if column.name in _COUNTRIES:
        codes = {**country_names(), "unknown": "Unknown", TOTAL: "Total"}
        return Component(name, "dimension", column.meaning, value, column.type, "CL_AREA", codes)
    values = ("immigration", "emigration", "net") if column.name == "flow" else VALUES.get(column.name, ())
    if not values:
        return Component(name, "dimension", column.meaning, value, column.type)
    codes = {code: code for code in (*values, TOTAL)}
    return Component(name, "dimension", column.meaning, value, column.type, f"CL_{name}", codes)


def _attribute(column: Column) -> Component:
    return Component(_named(column.name), "attribute", column.meaning, pl.col(column.name), column.type)


def _named(name: str) -> str:
    return _NAMES.get(name, name.upper())
