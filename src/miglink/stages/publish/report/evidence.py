"""The sections of what the figures rest on: spells and evidence; visas that ended; mobility that is no migration."""

import polars as pl

from miglink.stages.publish.report.cells import Published
from miglink.stages.publish.report.charts_of_groups import shares
from miglink.stages.publish.report.parts import (
    MOST_ROWS,
    Chart,
    Listing,
    Part,
    Section,
    Tile,
    group_name,
    listing,
    total,
    whole,
    words,
    write,
)


def evidence(published: Published) -> Section:
    """Spells by state, and days of residents by what their status rests on, under the first rule and policy."""
    parts: list[Part] = []
    tiles = _tiles(published)
    parts += [tiles] if tiles else []
    spells = published.measured("spells")
    if spells.height:
        rows = [(words(state), n) for state, n in spells.sort("item").iter_rows()]
        parts.append(
            Listing(
                "Spells of presence and absence",
                [("state", "text"), ("spells", "count")],
                rows,
                [("in all", total([row[1] for row in rows]))],
                "Unresolved: a crossing is missing within the spell, or evidence contradicts the last one.",
            )
        )
    parts += _person_time(published)
    parts += _back_tests(published)
    return Section(
        "evidence", "Spells and evidence", parts or ["Neither spells nor their evidence are published."]
    )


def _back_tests(published: Published) -> list[Part]:
    """What earlier years forecast of the crossings open at the last cut, beside what became of them."""
    names = ("follow_up_open", "follow_up_migrations", "follow_up_forecast", "follow_up_drift")
    found = published.measured(names[0]).select("item")
    for name in names:
        measured = published.measured(name).rename({"value": name})
        found = found.join(measured, on="item", how="left", maintain_order="left")
    if found.is_empty():
        return []
    heads = {
        "item": ("rule / policy / direction", "text"),
        "follow_up_open": ("open then", "count"),
        "follow_up_migrations": ("became a migration", "count"),
        "follow_up_forecast": ("by earlier years", "number"),
        "follow_up_drift": ("standard errors apart", "number"),
    }
    note = (
        "Crossings whose window was not over on an earlier day, a year or more before the end; settled ones alone. "
        "Figures that rest on crossings open today are forecast in the same way; beyond three standard errors people "
        "no longer behave as before."
    )
    return [listing("Forecast and found: the last back-test of unfinished follow-up", found, heads, note)]


def _tiles(published: Published) -> tuple[Tile, ...]:
    wanted = (
        ("persons_unresolved_share", "Persons with an unresolved spell", "of persons with spells"),
        ("person_days_unresolved_share", "Days in unresolved spells", "of the days of all spells"),
        ("crossings_missing_share", "Crossings that seem missing", "of crossings, as estimated"),
    )
    found = [(title, published.value(name), said) for name, title, said in wanted]
    return tuple(Tile(title, write(v, "share"), [said]) for title, v, said in found if v is not None)


def _person_time(published: Published) -> list[Part]:
    strata = published.strata()
    table = published.table("person_time").collect()
    rows = table.filter(rule=strata[0][0], policy=strata[0][1]) if strata else table.clear()
    if rows.is_empty():
        return ["Person-time by evidence is not published."]
    stratum = strata[0]
    days = ("person_days", "least_present_days", "most_present_days", "unseen_days")
    residents = rows.filter(status="resident").group_by("basis").agg(*map(whole, days))
    residents = residents.sort("person_days", "basis", descending=[True, False])
    n_days = total(residents["person_days"].to_list())
    period = " to ".join(str(end) for end in (rows["period"].min(), rows["period"].max()))
    title = "What the status of residents rests on"
    parts: list[Part] = []
    if n_days:
        of_days = residents.with_columns(share=pl.col("person_days") / n_days)
        drawn = [(words(basis), share) for basis, share in of_days.select("basis", "share").iter_rows()]
        text = f"Bars of shares of days; most rest on {drawn[0][0]}, {write(drawn[0][1], 'share')}."
        named = of_days.with_columns(basis=pl.Series([name for name, _ in drawn], dtype=pl.String))
        heads = {
            "basis": ("evidence", "text"),
            "person_days": ("days", "count"),
            "share": ("share", "share"),
            "least_present_days": ("spent here, at least", "count"),
            "most_present_days": ("at most", "count"),
            "unseen_days": ("of persons without a crossing", "count"),
        }
        note = (
            "Shares of the days that persons were resident. Days of persons without any crossing are days "
            "on which nobody saw where they were. docs/tables.md says what each evidence is."
        )
        parts.append(
            Chart(
                title,
                published.rests_on(stratum, period),
                shares(drawn, title, text),
                listing(f"{title}, person-days", named, heads),
                note,
            )
        )
    by_year = (
        rows.group_by("period")
        .agg(
            *(
                (
                    pl.col("person_days").filter(pl.col("status") == status).sum()
                    / pl.col("person_days").sum()
                ).alias(status)
                for status in ("resident", "non_resident", "undetermined")
            )
        )
        .sort("period")
    )
    heads = {name: (words(name), "share") for name in ("resident", "non_resident", "undetermined")}
    heads = {"period": ("year", "text"), **heads}
    caption, rests_on = "Days of all persons by status and year", published.rests_on(stratum)
    return [*parts, listing(caption, by_year, heads, rests_on=rests_on)]


def expired(published: Published) -> Section:
    """What became of visas and permits that ended, by outcome and year."""
    title = "Visas and permits that ended"
    table = published.table("expired_stays").collect()
    if table.is_empty():
        return Section(
            "expired", title, ["No visa or permit ended, or what became of them is not published."]
        )
    years = sorted(table["period"].unique())[-6:]
    parts: list[Part] = [
        "Those that follow one another are one. No departure found is not the same as overstayed: who left "
        "unrecorded is among them."
    ]
    for (kind,), rows in table.group_by("kind", maintain_order=True):
        counted = rows.filter(pl.col("period").is_in(years)).group_by("outcome", "period").agg(whole("n"))
        # A combination that does not occur is 0; one that is not published stays without a figure.
        every = counted.select("outcome").unique().join(counted.select("period").unique(), how="cross")
        found_in = counted.with_columns(is_there=pl.lit(True))
        wide = (
            every.join(found_in, on=["outcome", "period"], how="left")
            .with_columns(n=pl.when("is_there").then("n").otherwise(0))
            .pivot("period", index="outcome", values="n")
            .sort("outcome")
        )
        found = [year for year in years if year in wide.columns]
        named = wide.with_columns(pl.Series("outcome", [words(o) for o in wide["outcome"]], dtype=pl.String))
        in_all = named.select(pl.lit("in all").alias("outcome"), *map(whole, found))
        heads = {"outcome": ("outcome", "text"), **{year: (year, "count") for year in found}}
        caption = f"{str(kind).capitalize()} by the year of their end and outcome"
        shown = pl.concat([named.select(list(heads)), in_all.select(list(heads))])
        vintage = f"data to {published.about.last_day}"
        parts.append(listing(caption, shown, heads, "The last six years; all are in outputs/.", vintage))
    return Section("expired", title, parts)


def mobility(published: Published) -> Section:
    """Short stays, trips and other mobility in the last final year, or at the last final reference date."""
    title = "Mobility that is no migration"
    table = published.table("mobility").collect()
    if table.is_empty():
        return Section("mobility", title, ["Mobility is not published."])
    keys = ["rule", "policy", "measure", "period", "status"]
    sums = table.group_by(keys).agg(
        whole("n_settled"),
        whole("n_undetermined"),
    )
    # Final where there is one: `final` comes before `provisional`.
    last = (
        sums.sort("status", "period", descending=[False, True]).group_by("rule", "policy", "measure").first()
    )
    strata = published.strata()
    order = {stratum: number for number, stratum in enumerate(strata)}
    place = pl.Series(
        [order.get(row, len(order)) for row in last.select("rule", "policy").iter_rows()], dtype=pl.Int32
    )
    last = last.sort(place, "rule", "policy", "measure")
    shown = last.with_columns(
        pl.Series("measure", [words(m) for m in last["measure"]], dtype=pl.String),
    ).head(MOST_ROWS)
    heads = {
        "measure": ("measure", "text"),
        "rule": ("rule", "text"),
        "policy": ("policy", "text"),
        "period": ("year or date", "text"),
        "n_settled": ("settled", "count"),
        "n_undetermined": ("undetermined", "count"),
        "status": ("status", "text"),
    }
    note = "Stays, trips, persons or days, as docs/tables.md says of each measure; all purposes and durations together."
    if last.height > MOST_ROWS:
        note += f" Left out: {last.height - MOST_ROWS} rows; see outputs/mobility."
    parts: list[Part] = [
        listing(
            "The last final figures; provisional ones where none is final",
            shown,
            heads,
            note,
            f"data to {published.about.last_day}",
        )
    ]
    stays = _stays(published, table, strata[0]) if strata else None
    return Section("mobility", title, [*parts, stays] if stays is not None else parts)


def _stays(published: Published, table: pl.DataFrame, stratum: tuple[str, str]) -> Listing | None:
    """The stays of non-residents that ended in the last final year, by group of citizenship."""
    stays = table.filter(measure="stays", status="final", rule=stratum[0], policy=stratum[1])
    if stays.is_empty():
        return None
    period = str(stays["period"].max())
    counted = (
        stays.filter(period=period)
        .group_by("citizenship_group")
        .agg(whole("n_settled"), whole("n_undetermined"))
    )
    counted = counted.sort("n_settled", "citizenship_group", descending=[True, False])
    names = [group_name(group) for group in counted["citizenship_group"]]
    heads = {
        "citizenship_group": ("group of citizenship", "text"),
        "n_settled": ("settled", "count"),
        "n_undetermined": ("undetermined", "count"),
    }
    return listing(
        "Stays of non-residents that ended in the year",
        counted.with_columns(citizenship_group=pl.Series(names, dtype=pl.String)),
        heads,
        rests_on=published.rests_on(stratum, period, "final"),
    )
