"""The sections of who migrates: age and sex, origin and destination, purpose."""

from collections.abc import Sequence

import polars as pl

from miglink.stages.publish.report.cells import FLOWS, Published, finest, last_period, of_kind
from miglink.stages.publish.report.charts_of_groups import paired_bars, pyramids
from miglink.stages.publish.report.parts import (
    MOST_ROWS,
    Chart,
    Listing,
    Part,
    Section,
    country_name,
    group_name,
    listing,
    total,
    words,
    write,
)

Stratum = tuple[str, str]
Period = tuple[Stratum, str, str]
CountryRow = tuple[str, float | None, float | None, float | None, float | None]
_MOST_COUNTRIES = 15
_DIRECTIONS = ("immigration", "emigration")
_COUNTRIES = {
    "other_country": ("previous and next country of residence", "country"),
    "citizenship": ("citizenship", "citizenship"),
    "birth_country": ("country of birth", "country of birth"),
}
_REST = "other countries"


def age_and_sex(published: Published) -> Section:
    """Age pyramids of immigrants and emigrants in the last final year of the first rule and policy."""
    title = "Age and sex of migrants"
    period = _last(published)
    if period is None:
        return Section("ages", title, ["No flows are published."])
    flow = published.cells("flows", ("sex", "age_group"), period[0]).filter(period=period[1])
    if flow.is_empty():
        return Section("ages", title, ["Flows by sex and age group are not published: nothing to draw."])
    return Section("ages", title, [_pyramids(published, period, flow), _of_sexes(published, period)])


def origins(published: Published) -> Section:
    """Flows of the last final year by country, by group of citizenship and by purpose."""
    title = "Origin and destination"
    period = _last(published)
    if period is None:
        return Section("origins", title, ["No flows are published."])
    parts: list[Part] = []
    for by, (said, head) in _COUNTRIES.items():
        flow = published.cells("flows", (by,), period[0]).filter(period=period[1])
        if flow.is_empty():
            parts.append(f"Flows by {said} are not published, or no source states it.")
        else:
            parts.append(_countries(published, period, flow, (by, said, head)))
    for by, said in (("citizenship_group", "group of citizenship"), ("purpose", "stated purpose")):
        flow = published.cells("flows", (by,), period[0]).filter(period=period[1])
        if not flow.is_empty():
            parts.append(_groups(published, period, flow, (by, said)))
    return Section("origins", title, parts)


def _last(published: Published) -> Period | None:
    """The first rule and policy with flows, and their last final period (else the last) of the longest kind."""
    for stratum in published.strata():
        flow = published.cells("flows", (), stratum)
        if finest(flow):
            period, status = last_period(of_kind(flow, finest(flow)))
            return stratum, period, status
    return None


def _pyramids(published: Published, period: Period, flow: pl.DataFrame) -> Chart:
    known = flow.filter(pl.col("age_group") != "unknown").with_columns(
        from_age=pl.col("age_group").str.extract(r"^(\d+)").cast(pl.Int32)
    )
    groups = known.select("age_group", "from_age").unique().sort("from_age")["age_group"].to_list()
    found = {
        tuple(row[:3]): row[3] for row in known.select("flow", "sex", "age_group", "n_settled").iter_rows()
    }
    sides = [
        (
            name,
            [(age, *(found.get((name, sex, age), 0) or 0 for sex in ("male", "female"))) for age in groups],
        )
        for name in _DIRECTIONS
    ]
    title = f"Immigrants and emigrants of {period[1]} by age and sex"
    oldest = {name: max(rows, key=lambda row: row[1] + row[2])[0] for name, rows in sides if rows}
    text = "Two age pyramids. The largest age group: " + ", ".join(
        f"{age} years of {name}" for name, age in oldest.items()
    )
    wide = pl.DataFrame({"age_group": groups})
    heads = {"age_group": ("age in completed years", "text")}
    for name in _DIRECTIONS:
        for sex in ("male", "female"):
            column = f"{name} {sex}"
            wide = wide.with_columns(
                pl.Series(column, [found.get((name, sex, age), 0) for age in groups], dtype=pl.Int64)
            )
            heads[column] = (f"{name}, {sex}s", "count")
    others = flow.filter(
        ~pl.col("sex").is_in(["male", "female"]) | (pl.col("age_group") == "unknown"),
        pl.col("flow") != "net",
    )["n_settled"]
    n_others = write(total(others.to_list()))
    return Chart(
        title,
        published.rests_on(period[0], period[1], period[2]),
        pyramids(sides, title, text + ". All figures are in the table beneath."),
        listing(f"{title}, settled migrations", wide, heads),
        f"Settled migrations; undetermined ones are not drawn. Not drawn either: {n_others} of another "
        "or of unknown sex or age.",
    )


def _of_sexes(published: Published, period: Period) -> Listing:
    flow = published.cells("flows", ("sex",), period[0]).filter(period=period[1])
    return _wide(flow, "sex", "sex", ("Flows by sex", published.rests_on(*period)))


def _groups(published: Published, period: Period, flow: pl.DataFrame, by: tuple[str, str]) -> Listing:
    return _wide(flow, by[0], by[1], (f"Flows by {by[1]}", published.rests_on(*period)))


def _wide(flow: pl.DataFrame, by: str, head: str, caption: tuple[str, str]) -> Listing:
    """A row for each value of a dimension: settled and undetermined immigration and emigration, and net."""
    wide, heads = flow.select(by).unique(), {"cell": (head, "text")}
    for name in FLOWS:
        columns = {f"{name} {column}": column for column in ("n_settled", "n_undetermined")}
        wide = wide.join(
            flow.filter(flow=name).select(by, **{new: pl.col(old) for new, old in columns.items()}),
            on=by,
            how="left",
        )
        heads |= {
            f"{name} n_settled": (words(name), "count"),
            f"{name} n_undetermined": ("undetermined", "count"),
        }
    named = group_name if by == "citizenship_group" else words
    wide = wide.with_columns(cell=pl.Series([named(value) for value in wide[by]], dtype=pl.String))
    ordered = wide.sort("immigration n_settled", "cell", descending=[True, False])
    left = ordered.height - MOST_ROWS
    note = f"Left out: {write(left)} rows with fewer; see outputs/flows." if left > 0 else ""
    return listing(caption[0], ordered.head(MOST_ROWS), heads, note, caption[1])


def _countries(published: Published, period: Period, flow: pl.DataFrame, said: tuple[str, str, str]) -> Chart:
    """The countries with the most settled migrations; all others are one row, who is not known another."""
    by, caption, head = said
    rows = _top_countries(flow, by)
    drawn = [(name, one, two) for name, one, two, *_ in rows]
    title = f"Immigration and emigration in {period[1]} by {caption}"
    first = drawn[0] if drawn else ("", 0, 0)
    text = (
        f"Bars for {len(drawn)} rows; the largest is {first[0]} with {write(first[1])} immigrations and "
        f"{write(first[2])} emigrations. All figures are in the table beneath."
    )
    heads = [(head, "text"), ("immigration", "count"), ("emigration", "count"), ("net migration", "count")]
    shown = Listing(
        f"{title}, settled migrations",
        [*heads, ("undetermined, both directions", "count")],
        [row for row in rows if not row[0].startswith(_REST) and row[0] != "unknown"],
        [row for row in rows if row[0].startswith(_REST) or row[0] == "unknown"],
    )
    n = flow[by].filter(flow[by] != "unknown").n_unique()
    note = "Settled migrations; undetermined ones are in the table."
    if n > _MOST_COUNTRIES:
        note += (
            f" The {_MOST_COUNTRIES} countries with the most migrations of {n}; the others are one row here "
            f"and stand each on its own in outputs/flows ({by})."
        )
    return Chart(
        title,
        published.rests_on(*period),
        paired_bars(drawn, ("immigration", "emigration"), title, text),
        shown,
        note,
    )


def _top_countries(flow: pl.DataFrame, by: str) -> list[CountryRow]:
    """name, immigration, emigration, net and undetermined, most first; then the rest as one, then the unknown."""
    counted = flow.select(by).unique()
    for name in FLOWS:
        of_flow = flow.filter(flow=name).select(
            by, pl.col("n_settled").alias(name), undetermined="n_undetermined"
        )
        counted = counted.join(of_flow if name == "net" else of_flow.drop("undetermined"), on=by, how="left")
    size = pl.col("immigration").fill_null(0) + pl.col("emigration").fill_null(0)
    counted = counted.sort(size, pl.col(by), descending=[True, False])
    columns = ["immigration", "emigration", "net", "undetermined"]
    known = counted.filter(pl.col(by) != "unknown")
    top, rest = known.head(_MOST_COUNTRIES), known.slice(_MOST_COUNTRIES)
    rows = [(country_name(row[0]), *row[1:]) for row in top.select(by, *columns).iter_rows()]
    if rest.height:
        rows.append((f"{_REST} ({rest.height})", *_sums(rest, columns)))
    unknown = counted.filter(pl.col(by) == "unknown")
    if unknown.height:
        rows.append(("unknown", *_sums(unknown, columns)))
    return rows


def _sums(
    frame: pl.DataFrame, columns: Sequence[str]
) -> tuple[float | None, float | None, float | None, float | None]:
    one, two, net, undetermined = (total(frame[column].to_list()) for column in columns)
    return one, two, net, undetermined
