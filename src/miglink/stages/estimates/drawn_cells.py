"""Counts of drawn histories by cell and draw: what they change in a figure, and how far it moves over the draws.

Only cells in which somebody is drawn have rows, one for each day or month and draw: they stay with the engine. What
leaves it has one row for each cell and period.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.estimates.cells import group_citizenships, list_margins
from miglink.stages.estimates.counts import select_events, select_statuses
from miglink.stages.estimates.dimensions import OF_FLOWS, Breakdown, Layout, label
from miglink.stages.estimates.draws import BEST, BOTH, CAUSES, DRAWN, Drawn
from miglink.tables.contract import DIMENSIONS

# Sums over the draws of what a cell gains over the settled figure, under the best and the drawn linkage; what is
# undetermined in place of that in draw 0; and how many settled ones the draws replace.
CHANGES = ("change_best", "change_drawn", "open_best", "open_drawn", "replaced")
# Of what is drawn, over the draws in which anything is: how many they are, sums of values, squares, and products.
MOMENTS = (
    *("n_rows", "total", "squares", "least", "most"),
    *(f"{what}_{cause}" for what in ("total", "product") for cause in CAUSES),
)
# The columns of counts; for each, that of what is undetermined; the figures, each a sum of columns with a sign.
_STOCK = {"n_resident": "n_undetermined"}, {"stock": {"n_resident": 1}}
_FLOW = (
    {name: f"{name}_undetermined" for name in ("immigration", "emigration")},
    {
        "immigration": {"immigration": 1},
        "emigration": {"emigration": 1},
        "net": {"immigration": 1, "emigration": -1},
    },
)


@dataclass(frozen=True)
class DrawnCells:
    """The cells of each breakdown, draw by draw; of draw 0 what is replaced.

    strata: stratum, a number, with the rule and policy that it stands for; a cause is the number of one of CAUSES.
    periods: the days, or the months, of each period. counts: the columns of counts, each with that of what is
    undetermined. figures: what is made of them.
    """

    n_draws: int
    layout: Layout
    strata: pl.DataFrame
    periods: Table
    tables: Mapping[Breakdown, Table]
    counts: Mapping[str, str]
    figures: Mapping[str, Mapping[str, int]]

    @property
    def time(self) -> str:
        """SQL: what joins the cells with the periods."""
        return (
            "p.last_date = c.last_date"
            if "stock" in self.figures
            else "p.year = c.year AND p.month = c.month"
        )


def count_drawn_stocks(
    engine: Engine, drawn: Drawn, layout: Layout, days: pl.DataFrame, name: str = "stocks"
) -> DrawnCells:
    """Count drawn statuses by the cells of each breakdown that a stock has; days: year, period, last_date.

    name: of what is counted, for its steps.
    """
    periods = engine.frame("estimates_drawn_days", days.select("year", "period", "last_date"))
    inputs = {"residents": drawn.histories.residents, "days": periods}
    selects = {
        breakdown: select_statuses(layout.of(breakdown), is_drawn=True)
        for breakdown in layout.breakdowns
        if not OF_FLOWS & {*breakdown}
    }
    groups = _name_groups(engine, drawn.histories.residents, days, layout)
    strata, series = _number_series(drawn)
    tables = {
        breakdown: _count_cells(engine, series, layout, (breakdown, select, name), (inputs, groups))
        for breakdown, select in selects.items()
    }
    return DrawnCells(drawn.settings.number, layout, strata, periods, tables, *_STOCK)


def count_drawn_flows(
    engine: Engine, drawn: Drawn, layout: Layout, months: pl.DataFrame, name: str = "flows"
) -> DrawnCells:
    """Count drawn migrations by the cells of each breakdown; months: year, month, and each period that has it."""
    periods = engine.frame("estimates_drawn_months", months.select("year", "month", "period"))
    groups = _name_groups(engine, drawn.histories.events, months, layout)
    strata, series = _number_series(drawn)
    tables = {
        breakdown: _count_cells(
            engine,
            series,
            layout,
            (breakdown, select_events(layout.of(breakdown), of_flows=True), name),
            ({"events": drawn.histories.events}, groups),
        )
        for breakdown in layout.breakdowns
    }
    return DrawnCells(drawn.settings.number, layout, strata, periods, tables, *_FLOW)


def _number_series(drawn: Drawn) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The strata with their numbers, and what each code stands for in numbers: words take longer to compare."""
    strata = (
        drawn.series.select("rule", "policy")
        .unique()
        .sort("rule", "policy")
        .with_row_index("stratum")
        .with_columns(pl.col("stratum").cast(pl.Int32))
    )
    linkage = pl.col("linkage")
    series = drawn.series.join(strata, on=["rule", "policy"]).select(
        "code",
        "stratum",
        "draw",
        cause=pl.col("cause").replace_strict(CAUSES, range(len(CAUSES)), return_dtype=pl.Int32),
        in_best=linkage.is_in([BEST, BOTH]),
        in_drawn=linkage.is_in([DRAWN, BOTH]),
    )
    return strata, series


def _count_cells(
    engine: Engine,
    series: pl.DataFrame,
    layout: Layout,
    counted: tuple[Breakdown, str, str],
    inputs: tuple[Mapping[str, Table], pl.DataFrame],
) -> Table:
    """The cells of one breakdown, with the stratum, cause and draw that its code stands for."""
    (breakdown, select, name), (tables, groups) = counted, inputs
    is_stock = "days" in tables
    measures = [name for pair in (_STOCK if is_stock else _FLOW)[0].items() for name in pair]
    time, year = ("c.last_date", "YEAR(c.last_date) + 1") if is_stock else ("c.year, c.month", "c.year")
    is_grouped = "citizenship_group" in breakdown
    columns = [
        "g.citizenship_group" if column == "citizenship_group" else f"c.{column}"
        for column in _columns(breakdown, layout)
    ]
    keys = ", ".join(["s.stratum", "s.in_best", "s.in_drawn", "s.cause", "s.draw", time, *columns])
    # Without groups of citizenship the rows are as they were counted.
    sums = (
        f"CAST(SUM(c.{count}) AS BIGINT) AS {count}" if is_grouped else f"c.{count}" for count in measures
    )
    to_groups = f"JOIN groups g ON g.year = {year} AND g.citizenship = c.citizenship" if is_grouped else ""
    named = {"groups": engine.frame("estimates_groups", groups)} if is_grouped else {}
    return engine.step(
        f"estimates_drawn_{name}_{layout.breakdowns.index(breakdown)}",
        f"""
        SELECT {keys}, {", ".join(sums)}
        FROM ({select}) AS c
        JOIN series s ON s.code = c.policy
        {to_groups}
        {f"GROUP BY {keys}" if is_grouped else ""}
        """,
        **tables,
        **named,
        series=engine.frame("estimates_series", series),
    )


def _columns(kept: Breakdown, layout: Layout) -> list[str]:
    """The columns that hold the values of a breakdown; that of a further column is always called the same."""
    return ["trait_value" if name in layout.traits else name for name in kept]


def _name_groups(engine: Engine, histories: Table, periods: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """The group of each citizenship in each year."""
    found = engine.collect("SELECT DISTINCT citizenship FROM histories", histories=histories)
    years = periods.select(pl.col("year").cast(pl.Int32)).unique()
    return group_citizenships(years.join(found, how="cross"), layout.reporting_country)


def find_changes(engine: Engine, cells: DrawnCells) -> list[tuple[Breakdown, pl.DataFrame]]:
    """What the draws gain over the settled rows they replace, by the cells of each breakdown and by figure: CHANGES.

    They add up over cells. change_size: the same of `size`, what a standard error is measured against.
    """
    n = cells.n_draws
    sums = []
    for count, undetermined in cells.counts.items():
        for linkage in (BEST, DRAWN):
            of_series = f"c.in_{linkage}"
            for name, column, weight in (("change", count, n), ("open", undetermined, 1)):
                gained = (
                    f"CASE WHEN {of_series} THEN CASE WHEN c.draw > 0 THEN 1 ELSE -{weight} END ELSE 0 END"
                )
                sums.append(f"CAST(SUM({gained} * c.{column}) AS BIGINT) AS {count}_{name}_{linkage}")
        is_replaced = "c.draw = 0 AND c.in_drawn"
        sums.append(
            f"CAST(SUM(CASE WHEN {is_replaced} THEN c.{count} ELSE 0 END) AS BIGINT) AS {count}_replaced"
        )
    found = []
    for breakdown, table in cells.tables.items():
        columns = _columns(breakdown, cells.layout)
        keys = ", ".join(["c.stratum", "p.period", *(f"c.{name}" for name in columns)])
        rows = engine.collect(
            f"SELECT {keys}, {', '.join(sums)} FROM cells c JOIN periods p ON {cells.time} GROUP BY {keys}",
            cells=table,
            periods=cells.periods,
        )
        found.append((breakdown, _by_figure(_label(rows, breakdown, cells), cells)))
    return found


def _label(rows: pl.DataFrame, kept: Breakdown, cells: DrawnCells) -> pl.DataFrame:
    """The rows with their rule and policy, and all dimension columns."""
    return label(rows.join(cells.strata, on="stratum").drop("stratum"), kept, cells.layout.traits)


def _by_figure(rows: pl.DataFrame, cells: DrawnCells) -> pl.DataFrame:
    """The changes of each figure: a difference where its columns have other signs; what is open adds up."""
    by_figure = []
    for figure, signs in cells.figures.items():
        values = {
            name: pl.sum_horizontal(
                pl.col(f"{column}_{name}") * (1 if name.startswith("open") else sign)
                for column, sign in signs.items()
            )
            for name in CHANGES
        }
        values["change_size"] = pl.sum_horizontal(pl.col(f"{column}_change_drawn") for column in signs)
        by_figure.append(rows.select("rule", "policy", "period", *DIMENSIONS, flow=pl.lit(figure), **values))
    return pl.concat(by_figure)


def find_moments(engine: Engine, cells: DrawnCells) -> pl.DataFrame:
    """MOMENTS over the draws of each figure, in each cell of every breakdown and margin, under the drawn linkage.

    Whole numbers, so that they are the same in any order of rows.
    """
    rows = []
    breakdowns = list(cells.tables)
    for index, kept in list_margins(breakdowns):
        found = engine.collect(
            _select_moments(cells, _columns(kept, cells.layout)),
            cells=cells.tables[breakdowns[index]],
            periods=cells.periods,
        )
        labelled = _label(found, kept, cells)
        rows += [
            labelled.select(
                *("rule", "policy", "period", *DIMENSIONS),
                flow=pl.lit(figure),
                **{name: pl.col(f"{figure}_{name}") for name in MOMENTS},
            )
            for figure in cells.figures
        ]
    return pl.concat(rows)


def _select_moments(cells: DrawnCells, columns: Iterable[str]) -> str:
    """SQL: sums by draw and cause, and over them the moments of each figure."""
    keys = ", ".join(["stratum", "period", *columns])
    held = ", ".join(["c.stratum", "p.period", *(f"c.{name}" for name in columns)])
    by_cause = ", ".join(
        f"CAST(SUM(CASE WHEN c.cause = {number} THEN c.{count} ELSE 0 END) AS BIGINT) AS {count}_{cause}"
        for count in cells.counts
        for number, cause in enumerate(CAUSES)
    )
    of_figures, moments = [], []
    for figure, signs in cells.figures.items():
        of_cause = {
            cause: " + ".join(f"({sign}) * {column}_{cause}" for column, sign in signs.items())
            for cause in CAUSES
        }
        of_figures += [f"{value} AS {figure}_{cause}" for cause, value in of_cause.items()]
        total = f"({' + '.join(f'{figure}_{cause}' for cause in CAUSES)})"
        sums = {
            "n_rows": "COUNT(*)",
            "total": f"SUM({total})",
            "squares": f"SUM({total} * {total})",
            "least": f"MIN({total})",
            "most": f"MAX({total})",
            **{f"total_{cause}": f"SUM({figure}_{cause})" for cause in CAUSES},
            **{f"product_{cause}": f"SUM({figure}_{cause} * {total})" for cause in CAUSES},
        }
        moments += [f"CAST({value} AS BIGINT) AS {figure}_{name}" for name, value in sums.items()]
    return f"""
        WITH by_draw AS (
            SELECT {held}, c.draw, {by_cause}
            FROM cells c JOIN periods p ON {cells.time}
            WHERE c.draw > 0 AND c.in_drawn
            GROUP BY {held}, c.draw
        ), of_figures AS (SELECT {keys}, {", ".join(of_figures)} FROM by_draw)
        SELECT {keys}, {", ".join(moments)} FROM of_figures GROUP BY {keys}
        """
