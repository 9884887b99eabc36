"""The sections of accounts: residents from one January to the next, and rows of the sources from read to accepted."""

import polars as pl

from miglink.stages.publish.report.cells import Published
from miglink.stages.publish.report.parts import MOST_ROWS, Fold, Listing, Part, Section, listing, words

Stratum = tuple[str, str]
_TERMS = {
    "opening": "1\u00a0January",
    "immigration": "immigration",
    "emigration": "emigration",
    "births": "births",
    "deaths": "deaths",
    "moves": "moves",
    "net_undetermined": "newly settled",
    "closing": "31\u00a0December",
}
_ROWS = {
    "files": "files",
    "rows_read": "rows read",
    "rows_accepted": "accepted",
    "rows_rejected": "rejected",
    "rows_repeated": "repeats among the accepted",
    "trailers": "control lines",
}
_MOST_STRATA = 12


def population(published: Published) -> Section:
    """The accounts of settled residents by year, of each rule and policy."""
    title = "Population accounts"
    strata = published.strata()
    shown = [_account(published, stratum) for stratum in strata[: _MOST_STRATA + 1]]
    found: list[Part] = [part for part in shown if part is not None]
    if not found:
        return Section("accounts", title, ["No accounts are published."])
    parts: list[Part] = [
        "Settled residents at 1 January, and what changed their number until 31 December. Every term is "
        "counted from events, none is a remainder.",
        found[0],
    ]
    if len(found) > 1:
        parts.append(Fold("The accounts under the other rules and policies", found[1:]))
    if len(strata) > _MOST_STRATA + 1:
        parts.append(
            f"Left out: {len(strata) - _MOST_STRATA - 1} further rules and policies; see outputs/accounts."
        )
    return Section("accounts", title, parts)


def _account(published: Published, stratum: Stratum) -> Listing | None:
    rows = published.cells("accounts", (), stratum).sort("period")
    if rows.is_empty():
        return None
    heads = {"period": ("year", "text"), **{term: (said, "count") for term, said in _TERMS.items()}}
    heads["status"] = ("status", "text")
    note = (
        "Persons. Newly settled: residents whose status became known, less those whose status no longer "
        "is. Rounded or perturbed figures need not add up."
    )
    return listing("Settled residents", rows, heads, note, published.rests_on(stratum))


def rows_of_sources(published: Published) -> Section:
    """Rows read, accepted and rejected by source, and why rows or values were not used."""
    title = "Row accounts"
    wide = pl.DataFrame(schema={"item": pl.String})
    for name in (*_ROWS, "rejected_share"):
        column = published.measured(name).rename({"value": name})
        wide = wide.join(column, on="item", how="full", coalesce=True)
    if wide.is_empty():
        return Section("rows", title, ["Row accounts are not published."])
    wide = wide.with_columns(pl.col("item").replace("all", "in all"))
    heads = {"item": ("source", "text"), **{name: (said, "count") for name, said in _ROWS.items()}}
    heads["rejected_share"] = ("rejected share", "share")
    note = "Read = accepted + rejected, checked in every run before any disclosure control; control lines are not data."
    parts: list[Part] = [
        listing("Rows of the sources", wide.sort("item"), heads, note, f"data to {published.about.last_day}"),
    ]
    for measure, caption, head in (
        ("rows_rejected_because", "Why rows were rejected", "source and reason"),
        ("records_noted", "Values that could not be used, in rows that were accepted", "source and value"),
        ("crossings_left_out", "Crossings that no spell uses", "reason"),
        ("conflicts", "Contradictions between records of a person", "kind"),
    ):
        found = published.measured(measure).sort("value", "item", descending=[True, False])
        rows = [(words(item), n) for item, n in found.head(MOST_ROWS).iter_rows()]
        if rows:
            left = found.height - len(rows)
            more = f"Left out: {left} further rows; see outputs/quality." if left > 0 else ""
            parts.append(Listing(caption, [(head, "text"), ("number", "count")], rows, note=more))
        elif measure == "rows_rejected_because":
            parts.append("No row was rejected.")
    return Section("rows", title, parts)
