"""The sections of flows and stocks: headline figures, flows over time, stocks."""

from typing import Any

import polars as pl

from miglink.stages.publish.report.cells import (
    FLOWS,
    Published,
    figures,
    figures_of_net,
    finest,
    last_period,
    of_kind,
    period_name,
)
from miglink.stages.publish.report.charts_over_time import (
    Course,
    areas_over_time,
    bars_over_time,
)
from miglink.stages.publish.report.parts import (
    MOST_ROWS,
    Chart,
    Fold,
    Listing,
    Part,
    Section,
    Tile,
    group_name,
    listing,
    words,
    write,
)

Stratum = tuple[str, str]
_COVERAGE = {
    "population": "usual residents",
    "travellers_only": "travellers only: residents who never crossed the border are missing",
}
_FLAGS = {
    "point_outside": "the estimate lies outside of its interval",
    "too_wide": "the interval is too wide to publish",
}
_ESTIMATES = (
    "Persons. Shown is the estimate, which counts what is in doubt at its mean over the draws, with the interval that "
    "should hold the true figure; what is settled and undetermined is in the table."
)
_NAMES = {"in": "immigration", "out": "emigration", "net": "net migration"}
# More rules and policies than these are in the files of outputs/ alone.
_MOST_STRATA = 12


def headline(published: Published) -> Section:
    """The last final figures, large, and a table of all years and reference dates for each rule and policy."""
    strata = published.strata()
    if not strata:
        return Section("headline", "Headline figures", ["There is nothing to count: no person has a status."])
    first, *others = strata
    parts: list[Part] = [
        f"Figures of rule {first[0]} ({published.about.rules.get(first[0], first[0])}) under policy "
        f"{first[1]} for missing crossings. Settled is what no doubt about a status touches; undetermined "
        "figures stand beside the settled ones and are never part of them. An estimate counts what is in doubt at its "
        "mean over the draws; its interval should hold the true figure. Provisional figures can change "
        "with later data, final ones only where something in them is undetermined.",
        _tiles(published, first),
        _years(published, first),
    ]
    if others:
        shown = others[:_MOST_STRATA]
        parts.append(
            Fold(
                "The same table for the other rules and policies",
                [_years(published, stratum) for stratum in shown],
            )
        )
    if len(others) > _MOST_STRATA:
        parts.append(f"Left out: {len(others) - _MOST_STRATA} further rules and policies; see outputs/flows.")
    return Section("headline", "Headline figures", parts)


def over_time(published: Published) -> Section:
    """Flows by year, and by month or quarter, of the first rule and policy; by year of the others."""
    strata = published.strata()
    parts: list[Part] = []
    for stratum in strata[:1]:
        flow = published.cells("flows", (), stratum)
        longest = finest(flow)
        parts += [_flow_bars(published, stratum, flow, longest)] if longest else []
        shorter = next((k for k in ("month", "quarter") if not of_kind(flow, k).is_empty()), "")
        parts += [_flow_areas(published, stratum, flow, shorter)] if shorter not in ("", longest) else []
    if not parts:
        parts.append("No flows are published.")
    others: list[Part] = []
    for stratum in strata[1 : _MOST_STRATA + 1]:
        flow = published.cells("flows", (), stratum)
        if finest(flow):
            others.append(_flow_bars(published, stratum, flow, finest(flow)))
    if others:
        parts.append(Fold("Flows under the other rules and policies", others))
    return Section("flows", "Flows over time", parts)


def stocks(published: Published) -> Section:
    """Stocks at reference dates, and the last final one by sex, citizenship group, birth and origin."""
    strata = published.strata()
    rows = published.cells("stocks", (), strata[0]) if strata else pl.DataFrame()
    if rows.is_empty():
        return Section("stocks", "Stocks", ["No stocks are published."])
    stratum = strata[0]
    rows = rows.sort("period")
    period, status = last_period(rows)
    coverage = "; ".join(_COVERAGE.get(word, word) for word in rows["coverage"].unique().sort())
    parts: list[Part] = [f"Who is counted: {coverage}.", _stock_bars(published, stratum, rows)]
    for by, caption in (
        (("sex",), "sex"),
        (("citizenship_group",), "group of citizenship"),
        (("birth_group",), "native-born and foreign-born"),
        (("origin_group",), "origin: birth and citizenship"),
        (("region",), "region"),
    ):
        cells = published.cells("stocks", by, stratum).filter(period=period)
        if not cells.is_empty():
            parts.append(_stock_cells(published, cells, by[0], (stratum, period, status, caption)))
    return Section("stocks", "Stocks", parts)


def _tiles(published: Published, stratum: Stratum) -> tuple[Tile, ...]:
    flow = published.cells("flows", (), stratum)
    flow = of_kind(flow, finest(flow)) if finest(flow) else flow
    tiles = []
    for name in FLOWS:
        rows = flow.filter(flow=name)
        tiles += [_tile(f"{words(name).capitalize()}", rows)]
    tiles += [_tile("Stock", published.cells("stocks", (), stratum))]
    return tuple(tile for tile in tiles if tile is not None)


def _tile(name: str, rows: pl.DataFrame) -> Tile | None:
    period, status = last_period(rows)
    if not period:
        return None
    row = rows.filter(period=period).row(0, named=True)
    beside = [f"beside it {write(row['n_undetermined'])} undetermined"]
    if row["lower"] is not None and row["upper"] is not None:
        beside = [
            f"interval {write(row['lower'])} to {write(row['upper'])}",
            f"settled {write(row['n_settled'])}, undetermined {write(row['n_undetermined'])}",
        ]
    if row["interval_flag"] is not None:
        beside.append(_FLAGS[row["interval_flag"]])
    figure = row["n_settled"] if row["n"] is None else row["n"]
    what = "settled" if row["n"] is None else "estimate"
    return Tile(
        f"{name} {'at' if len(period) == 10 else 'in'} {period_name(period)}",
        write(figure),
        [f"{what}, {status}; {beside[0]}", *beside[1:]],
    )


def _years(published: Published, stratum: Stratum) -> Listing:
    """All years: flows and the stock at 1 January, undetermined beside settled, in words what is provisional."""
    flow = published.cells("flows", (), stratum)
    longest = finest(flow)
    flow = of_kind(flow, longest) if longest else flow.clear()
    stock = published.cells("stocks", (), stratum)
    is_annual = longest in ("year", "")
    heads: dict[str, tuple[str, str]] = {"period": (longest or "date", "text")}
    wide = flow.select("period").unique()
    for name in FLOWS if longest else ():
        wide, added = _beside(wide, flow.filter(flow=name), name, words(name))
        heads |= added
    if longest:
        status = flow.filter(flow="net").select("period", status="status")
        wide = wide.join(status, on="period", how="left")
        heads["status"] = ("status of flows", "text")
    if is_annual:
        at = stock.with_columns(period=pl.col("period").str.head(4)) if longest else stock
        at = at.filter(pl.len().over("period") == 1)
        wide, added = _beside(wide, at, "stock", "stock at 1\u00a0January" if longest else "stock")
        of_stock = at.select("period", stock_status="status")
        wide = wide.join(of_stock, on="period", how="full", coalesce=True)
        heads |= added | {"stock_status": ("status of stock", "text")}
    caption = f"Migration by {longest or 'date'}"
    note = "Persons. Net migration is immigration less emigration; what is undetermined of it is the sum of both."
    return listing(caption, wide.sort("period"), heads, note, published.rests_on(stratum))


def _beside(
    wide: pl.DataFrame, rows: pl.DataFrame, name: str, said: str
) -> tuple[pl.DataFrame, dict[str, tuple[str, str]]]:
    """Put settled, undetermined and, where there is one, the estimate with its interval beside the others."""
    columns = {"n_settled": said, "n_undetermined": "undetermined"}
    if rows["lower"].is_not_null().any():
        columns |= {"n": "estimate", "lower": "from", "upper": "to"}
    added = rows.select("period", *(pl.col(column).alias(f"{name} {column}") for column in columns))
    heads = {f"{name} {column}": (head, "count") for column, head in columns.items()}
    return wide.join(added, on="period", how="full", coalesce=True), heads


def _course(flow: pl.DataFrame, points: str = "") -> Course:
    net = flow.filter(flow="net").sort("period")
    periods = net["period"].to_list()
    kinds = {"in": "immigration", "out": "emigration"}
    return Course(
        periods,
        (net["status"] == "provisional").to_list(),
        {kind: figures(flow.filter(flow=name), periods) for kind, name in kinds.items()}
        | {"net": figures_of_net(flow, periods)},
        _NAMES,
        points,
    )


def _flow_listing(flow: pl.DataFrame, caption: str) -> Listing:
    wide = flow.filter(flow="net").select("period", "status")
    heads: dict[str, tuple[str, str]] = {"period": ("period", "text")}
    for name in FLOWS:
        wide, added = _beside(wide, flow.filter(flow=name), name, words(name))
        heads |= added
    return listing(caption, wide.sort("period"), heads | {"status": ("status", "text")})


def _flow_bars(published: Published, stratum: Stratum, flow: pl.DataFrame, kind: str) -> Chart:
    flow = of_kind(flow, kind)
    title = f"Immigration, emigration and net migration by {kind}"
    course = _course(flow, "net")
    period, status = last_period(flow)
    last = {row["flow"]: row for row in flow.filter(period=period).iter_rows(named=True)}
    text = (
        f"Bars for {course.periods[0]} to {course.periods[-1]}; in {period}, the last {status} {kind}: "
        + ", ".join(f"{name} {_in_words(last[name])}" for name in FLOWS if name in last)
        + ". All figures are in the table beneath."
    )
    return Chart(
        title,
        published.rests_on(stratum),
        bars_over_time(course, title, text),
        _flow_listing(flow, f"{title}, persons"),
        _ESTIMATES
        if course.has_intervals
        else "Persons. Of provisional periods little may be settled yet; what is undetermined there can be far "
        "more than what will settle, so the axis leaves it out: ▲ marks a bar that is cut, the table has "
        "its number.",
    )


def _flow_areas(published: Published, stratum: Stratum, flow: pl.DataFrame, kind: str) -> Chart:
    flow = of_kind(flow, kind)
    title = f"Immigration, emigration and net migration by {kind}"
    course = _course(flow)
    final = flow.filter(pl.col("status") == "final")["period"].max()
    text = (
        f"Lines for {course.periods[0]} to {course.periods[-1]}, "
        + (f"final up to {final!s}" if final else "all of it provisional")
        + ". All figures are in the table beneath."
    )
    return Chart(
        title,
        published.rests_on(stratum),
        areas_over_time(course, title, text),
        _flow_listing(flow, f"{title}, persons"),
        _ESTIMATES
        if course.has_intervals
        else "Persons. The line is what is settled; hatched is what is undetermined, cut where it would leave "
        "the picture. A line that falls to zero on provisional ground says that nothing is settled yet, "
        "not that nobody came.",
    )


def _stock_bars(published: Published, stratum: Stratum, rows: pl.DataFrame) -> Chart:
    title = "Usual residents at reference dates"
    periods = rows["period"].to_list()
    years = [period[:4] if period.endswith("-01-01") else period for period in periods]
    course = Course(
        years,
        (rows["status"] == "provisional").to_list(),
        {"other": figures(rows, periods)},
        {"other": "stock (at 1 January where a year stands)"},
    )
    period, status = last_period(rows)
    last = rows.filter(period=period).row(0, named=True)
    text = (
        f"Bars; the last {status} stock, at {period_name(period)}, is {_in_words(last)}. "
        "All are in the table beneath."
    )
    heads = {
        "period": ("date", "text"),
        "n_settled": ("settled", "count"),
        "n_undetermined": ("undetermined", "count"),
        **(
            {"n": ("estimate", "count"), "lower": ("from", "count"), "upper": ("to", "count")}
            if rows["lower"].is_not_null().any()
            else {}
        ),
        "status": ("status", "text"),
    }
    return Chart(
        title,
        published.rests_on(stratum),
        bars_over_time(course, title, text),
        listing(f"{title}, persons", rows, heads),
        "Persons, at the end of the day before the reference date.",
    )


def _in_words(row: dict[str, Any]) -> str:
    """The estimate with its interval, else what is settled."""
    if row["n"] is None or row["lower"] is None:
        return write(row["n_settled"])
    return f"{write(row['n'])} (from {write(row['lower'])} to {write(row['upper'])})"


def _stock_cells(
    published: Published, cells: pl.DataFrame, by: str, said: tuple[Stratum, str, str, str]
) -> Listing:
    stratum, period, status, caption = said
    shown = cells.with_columns(
        cell=pl.Series([_cell_name(by, value) for value in cells[by]], dtype=pl.String),
        share=pl.col("n_settled") / pl.col("n_settled").sum(),
    ).sort("n_settled", "cell", descending=[True, False])
    heads = {
        "cell": (caption, "text"),
        "n_settled": ("settled", "count"),
        "share": ("share of the settled", "share"),
        "n_undetermined": ("undetermined", "count"),
    }
    rests_on = published.rests_on(stratum, period, status)
    left = shown.height - MOST_ROWS
    note = f"Left out: {write(left)} rows with fewer; see outputs/stocks." if left > 0 else ""
    return listing(f"Stock by {caption}", shown.head(MOST_ROWS), heads, note, rests_on)


def _cell_name(by: str, value: str) -> str:
    """A value of a dimension as people read it; regions are called as the sources call them."""
    if by == "citizenship_group":
        return group_name(value)
    return value if by == "region" else words(value)
