"""The cells that published tables are added up from, and what each table lacks.

Only cells in which somebody is counted are kept, and no totals: a table of age by sex by citizenship has more cells
than most countries have migrants. Tables whose dimensions are part of another's are added up from the same cells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from miglink.codes.lists import gather_codes
from miglink.config.draws import DrawsSettings
from miglink.config.shell_needs import Held, covered_days, find_needs
from miglink.config.shells import AGES, STANDARD, Shell, find_breakdowns
from miglink.engine import Engine, Table
from miglink.stages.estimates.cells import cells_of
from miglink.stages.estimates.counts import FLOWS, Histories, by_period, count_events, count_statuses
from miglink.stages.estimates.dimensions import TOTAL, UNKNOWN, Breakdown, Layout, find_known
from miglink.stages.estimates.drawn_cells import (
    DrawnCells,
    count_drawn_flows,
    count_drawn_stocks,
    find_changes,
)
from miglink.stages.estimates.draws import Drawn
from miglink.stages.estimates.intervals import find_point
from miglink.stages.estimates.periods import flow_periods, months_of, reference_dates
from miglink.stages.estimates.vintages import Observation, add_vintages, list_rows
from miglink.tables import TABLES
from miglink.tables.contract import DIMENSIONS

_KEYS = ("rule", "policy", "measure", "period")
_N = ("n_settled", "n_undetermined")
# What the draws change of a point, and what they leave open.
_CHANGES = ("change_best", "open_best", "open_drawn")
_FREQUENCIES = ("year", "quarter", "month")


@dataclass(frozen=True)
class Asked:
    """The tables asked for, and what of the run they can be made from.

    chosen_rules: shell -> the rule that replaces those of its definition. rules, policy: those of the run, of the
    policies the main one. further_columns: `estimates.traits`.
    """

    shells: Sequence[Shell] = ()
    chosen_rules: Mapping[str, str] = field(default_factory=dict)
    rules: Sequence[str] = ()
    policy: str = ""
    further_columns: Sequence[str] = ()

    @property
    def traits(self) -> set[str]:
        """The further columns that the tables show and the sources have."""
        return {name for shell in self.shells for name in shell.traits} & {*self.further_columns}

    def only(self, described: pl.DataFrame) -> "Asked":
        """The same, for the tables that are produced."""
        produced = {*described.filter("is_produced")["shell"]}
        return replace(self, shells=[shell for shell in self.shells if shell.name in produced])

    @property
    def used_rules(self) -> set[str]:
        """The rules of the run that some table is made by."""
        named = (one.rule for s in self.shells for one in s.asks_for(self.chosen_rules.get(s.name)))
        return {*named} & {*self.rules}


NOTHING_ASKED = Asked()


def count_shell_cells(
    engine: Engine,
    counted_histories: tuple[Histories, Drawn | None],
    layout: Layout,
    observation: Observation,
    asked: Asked,
) -> pl.DataFrame:
    """Count the cells of every breakdown that the tables need, under their rules and the main policy.

    Points are those of stocks and flows: counted of the same drawn histories, where there are any.
    """
    histories, drawn = counted_histories
    settings = drawn.settings if drawn is not None else None
    used = pl.col("rule").is_in(sorted(asked.used_rules)) & (pl.col("policy") == asked.policy)
    strata = histories.strata.filter(used)
    counted = []
    stock = find_breakdowns(asked.shells, "year", is_stock=True)
    if stock:
        dates = reference_dates(observation.period)
        grid = list_rows(strata, dates, observation)
        cells = [_stock_cells(engine, histories, layout, names, dates) for names in stock]
        if drawn is not None:
            days = grid.select("year", "period", "last_date").unique()
            of_stocks = replace(layout, breakdowns=tuple(stock))
            changes = count_drawn_stocks(engine, drawn, of_stocks, days, "shell_stocks")
            cells = _add_changes(engine, cells, changes)
        counted.append(_with_whole(cells, add_vintages(grid, observation), ("stock",), settings))
    for frequency in _FREQUENCIES:
        flow = find_breakdowns(asked.shells, frequency, is_stock=False)
        if flow:
            grid = list_rows(strata, flow_periods(observation.period, (frequency,)), observation)
            if frequency != "year":
                grid = grid.filter(~pl.col("rule").is_in(list(observation.flows_by_year_only)))
            cells = [_flow_cells(engine, histories, layout, names, frequency) for names in flow]
            if drawn is not None:
                months = months_of(flow_periods(observation.period, (frequency,)))
                of_flows = replace(layout, breakdowns=tuple(flow))
                changes = count_drawn_flows(engine, drawn, of_flows, months, f"shell_flows_{frequency}")
                cells = _add_changes(engine, cells, changes)
            counted.append(_with_whole(cells, add_vintages(grid, observation), FLOWS[:2], settings))
    columns = [column.name for column in TABLES["shell_cells"].columns]
    if not counted:
        return pl.DataFrame(schema=_schema())
    return pl.concat(frame.select(columns) for frame in counted)


def describe_shells(
    engine: Engine, migrations: Table, people: tuple[Table, Table], observation: Observation, asked: Asked
) -> pl.DataFrame:
    """Say of every table asked for whether it is produced, and what it would need."""
    schema = {
        column.name: {"DATE": pl.Date, "BOOLEAN": pl.Boolean}.get(column.type, pl.String)
        for column in TABLES["shells"].columns
    }
    if not asked.shells:
        return pl.DataFrame(schema=schema)
    period = observation.period
    spans = {
        rule: covered_days(
            period.from_date,
            period.to_date,
            observation.first_dates.get(rule),
            observation.last_dates.get(rule),
        )
        for rule in asked.rules
    }
    held = Held(
        spans,
        observation.flows_by_year_only,
        asked.further_columns,
        observation.has_population_list,
        _known_dimensions(find_known(engine, *people, migrations)),
        _known_other_countries(engine, migrations),
        asked.chosen_rules,
    )
    rows = []
    for shell in asked.shells:
        needs = find_needs(shell, held)
        wanted = [one.rule for one in shell.asks_for(asked.chosen_rules.get(shell.name))]
        rules = [rule for rule in wanted if rule in asked.rules] or wanted
        rows.append(
            {
                "shell": shell.name,
                "title": shell.title,
                "publisher": shell.publisher,
                "reference": shell.reference,
                "looked_up_date": shell.looked_up,
                "is_verified": shell.is_verified,
                "rules": ", ".join(dict.fromkeys(rules)),
                "is_produced": not needs,
                "reason": "; ".join(one.reason for one in needs) or None,
                "needs": "; ".join(one.needs for one in needs) or None,
                "values_without_code": None,
            }
        )
    return pl.DataFrame(rows, schema=schema)


def name_uncoded(described: pl.DataFrame, cells: pl.DataFrame, asked: Asked) -> pl.DataFrame:
    """Add the values of the cells for which the publisher of a table has no code."""
    found = {shell.name: _find_uncoded(cells, shell) for shell in asked.shells}
    return described.with_columns(
        values_without_code=pl.col("shell").replace_strict(found, default=None, return_dtype=pl.String)
    )


def _find_uncoded(cells: pl.DataFrame, shell: Shell) -> str | None:
    """Values that are in no row of the codes of their column; ages are told by ranges."""
    counted = cells.filter(pl.col("measure").is_in(shell.measures))
    missing: set[str] = set()
    for column in shell.columns.values():
        name, codes = column.dimension, gather_codes(column.lists, column.codes)
        if name is None or name in AGES or codes.is_empty():
            continue
        is_trait = name not in STANDARD
        held = counted.filter(trait=name)["trait_value"] if is_trait else counted[name]
        missing |= {*held} - {*codes["ours"], TOTAL, UNKNOWN}
    return ", ".join(sorted(missing)) or None


def _known_dimensions(known: set[str]) -> set[str]:
    """The same, with the dimensions that are made from others."""
    ages = {"age", "age_reached", "age_group"} if "age_group" in known else set()
    return known | ages | ({"citizenship_group"} if "citizenship" in known else set())


def _known_other_countries(engine: Engine, migrations: Table) -> list[str]:
    """The directions of migration of which a source holds the country at the other end."""
    found = engine.collect(
        "SELECT DISTINCT direction FROM migrations WHERE draw = 0 AND NULLIF(other_country, 'XXX') IS NOT NULL",
        migrations=migrations,
    )
    return found["direction"].to_list()


def _stock_cells(
    engine: Engine, histories: Histories, layout: Layout, breakdown: Breakdown, dates: pl.DataFrame
) -> pl.DataFrame:
    counted = count_statuses(
        engine, histories.residents, layout.of(breakdown), dates, is_keyed=histories.is_keyed
    )
    dated = counted.rename({"n_resident": "n_settled"}).join(dates, on="last_date")
    return cells_of(dated, breakdown, layout).with_columns(measure=pl.lit("stock"))


def _flow_cells(
    engine: Engine, histories: Histories, layout: Layout, breakdown: Breakdown, frequency: str
) -> pl.DataFrame:
    counted = count_events(
        engine, histories.events, layout.of(breakdown), of_flows=True, is_keyed=histories.is_keyed
    )
    periods = by_period(cells_of(counted, breakdown, layout), (frequency,))
    return pl.concat(
        periods.select(
            *("rule", "policy", "period", *DIMENSIONS),
            measure=pl.lit(flow),
            n_settled=pl.col(flow),
            n_undetermined=pl.col(f"{flow}_undetermined"),
        )
        for flow in FLOWS[:2]
    )


def _add_changes(
    engine: Engine, cells: Sequence[pl.DataFrame], drawn_cells: DrawnCells
) -> list[pl.DataFrame]:
    """The cells of each breakdown and, as further rows, what the draws change in them."""
    changes = dict(find_changes(engine, drawn_cells))
    columns = ("rule", "policy", "measure", "period", *DIMENSIONS)
    return [
        pl.concat(
            [
                settled.select(*columns, *_N),
                changes[breakdown].rename({"flow": "measure"}).select(*columns, *_CHANGES),
            ],
            how="diagonal",
        )
        for breakdown, settled in zip(drawn_cells.layout.breakdowns, cells, strict=True)
    ]


def _with_whole(
    cells: Sequence[pl.DataFrame],
    grid: pl.DataFrame,
    measures: Sequence[str],
    settings: DrawsSettings | None,
) -> pl.DataFrame:
    """The cells of the periods in the grid that hold anybody, and the total of each period, be it zero."""
    added = _N if settings is None else (*_N, *_CHANGES)
    measured = grid.join(pl.DataFrame({"measure": measures}), how="cross")
    keys = measured.select(_KEYS)
    summed = [
        frame.group_by(*_KEYS, *DIMENSIONS)
        .agg(pl.col(*added).sum())
        .join(keys, on=_KEYS, how="semi")
        .filter(pl.any_horizontal(pl.col(*added) != 0))
        for frame in cells
    ]
    # Every breakdown adds up to the same.
    totals = summed[0].group_by(_KEYS).agg(pl.col(*added).sum())
    whole = keys.join(totals, on=_KEYS, how="left").with_columns(
        pl.col(*added).fill_null(0), *(pl.lit(TOTAL).alias(name) for name in DIMENSIONS)
    )
    is_part = pl.any_horizontal(pl.col(*DIMENSIONS) != TOTAL)
    columns = (*_KEYS, *DIMENSIONS, *added)
    rows = pl.concat([whole.select(columns), *(frame.filter(is_part).select(columns) for frame in summed)])
    days = "first_date" if "first_date" in grid.columns else "last_date"
    facts = measured.select(*_KEYS, pl.col(days).alias("first_date"), "data_to_date", "status", "is_complete")
    return rows.join(facts, on=_KEYS).with_columns(n=find_point(settings))


def _schema() -> dict[str, pl.DataType]:
    types = {"DATE": pl.Date(), "BIGINT": pl.Int64(), "DOUBLE": pl.Float64()}
    return {column.name: types.get(column.type, pl.String()) for column in TABLES["shell_cells"].columns}
