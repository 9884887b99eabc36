"""The section of linkage: what was linked, how strongly, how well calibrated, and how many links are wrong."""

import math

import polars as pl

from miglink.stages.publish.report.cells import Published
from miglink.stages.publish.report.charts_of_groups import agreement, histogram, ranges
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
    total,
    words,
    write,
)

_BAND = 2
_Z = 1.959964
_RATES = {"false_link_rate": "False links", "missed_link_rate": "Missed links"}


def linkage(published: Published) -> Section:
    """Counts, match weights, calibration, error rates, clerical review, and what joined records."""
    parts: list[Part] = []
    tiles = _tiles(published)
    parts += [tiles] if tiles else ["Measures of the linkage are not published."]
    for part in (_weights(published), _calibration(published)):
        parts += [part] if part is not None else []
    parts += _rates(published)
    review = _review(published)
    parts.append(review or "No clerical decisions on a drawn sample of pairs are at hand.")
    folded = [part for part in (_counts(published), _by_rule(published)) if part is not None]
    if folded:
        parts.append(Fold("What was linked, and what proposed it", folded))
    return Section("linkage", "Linkage quality", parts)


def _tiles(published: Published) -> tuple[Tile, ...]:
    wanted = (
        ("records", "Records", "count", "accepted rows of all sources, decisions not counted"),
        ("identities", "Identities", "count", "distinct combinations of the identifying fields"),
        ("persons", "Persons", "count", "what the links join them into"),
        ("doubtful_share", "Doubtful persons", "share", "of persons hold a link that is not certain"),
    )
    found = [(title, published.value(name), kind, said) for name, title, kind, said in wanted]
    return tuple(
        Tile(title, write(value, kind), [said]) for title, value, kind, said in found if value is not None
    )


def _weights(published: Published) -> Chart | None:
    start = pl.col("item").str.extract(r"(-?\d+)$").cast(pl.Int32)
    bands = published.measured("links_by_weight").select(start.alias("band"), links="value")
    accepted = published.measured("links_accepted_by_weight").select(start.alias("band"), accepted="value")
    bands = bands.join(accepted, on="band", how="left").drop_nulls("links").sort("band")
    if bands.is_empty():
        return None
    rows = [(int(band), float(links), float(yes or 0)) for band, links, yes in bands.iter_rows()]
    title = "Links by match weight"
    n, n_yes = sum(row[1] for row in rows), sum(row[2] for row in rows)
    text = f"A histogram of {write(n)} links, {write(n_yes)} of them accepted. All bands are in the table beneath."
    shown = [(f"{write(b)} to {write(b + _BAND)}", links, yes, links - yes) for b, links, yes in rows]
    heads = [("match weight", "text"), ("links", "count"), ("accepted", "count"), ("not accepted", "count")]
    return Chart(
        title,
        f"data to {published.about.last_day}",
        histogram(rows, _BAND, title, text),
        Listing(f"{title}, pairs of identities", heads, shown),
        "Pairs of identities that the model scored and that stand above the floor of the configuration. A "
        "weight of 0 is even odds, 10 about a thousand to one. The first and the last band hold all beyond "
        "them. Links that a decision or a linked source binds are left out.",
    )


def _calibration(published: Published) -> Chart | None:
    start = pl.col("item").str.extract(r"([\d.]+)$").cast(pl.Float64)
    names = ("held_out_expected_share", "held_out_observed_share", "held_out_pairs")
    bands = pl.DataFrame({"band": []}, schema={"band": pl.Float64})
    for name in names:
        rows = published.measured(name).filter(pl.col("item") != "all")
        bands = bands.join(
            rows.select(start.alias("band"), pl.col("value").alias(name)),
            on="band",
            how="full",
            coalesce=True,
        )
    bands = bands.drop_nulls().sort("band")
    if bands.is_empty():
        return None
    limited = [(band, *_limits(expected, seen, n)) for band, expected, seen, n in bands.iter_rows()]
    title = "Are the probabilities right?"
    points = [
        (e, o, low, high, f"p from {band:g}: expected {write(e, 'share')}, observed {write(o, 'share')}")
        for band, e, o, low, high, _ in limited
    ]
    gap = published.value("held_out_gap")
    text = (
        f"Points for {len(limited)} bands of probability beside the line of agreement; the mean distance over "
        f"all pairs is {write(gap, 'share')}. All bands are in the table beneath."
    )
    heads = [
        ("probability from", "text"),
        ("expected", "share"),
        ("observed", "share"),
        ("from", "share"),
        ("to", "share"),
        ("pairs", "count"),
    ]
    return Chart(
        title,
        f"data to {published.about.last_day}",
        agreement(points, title, text),
        Listing(title, heads, [(f"{row[0]:g}", *row[1:]) for row in limited]),
        "Of pairs that both hold a number which the score was not shown: the share of matches that the "
        "model expects in a band of probability, and the share that have the same number, with limits of "
        "95 %. Bands of few pairs say little.",
    )


def _limits(expected: float, observed: float, n: float) -> tuple[float, float, float, float, float]:
    """An observed share with limits of 95 % (Wilson 1927)."""
    middle = (observed + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * math.sqrt(observed * (1 - observed) / n + _Z**2 / (4 * n * n)) / (1 + _Z**2 / n)
    return expected, observed, max(0.0, middle - half), min(1.0, middle + half), n


def _rates(published: Published) -> list[Part]:
    """Rates of false and of missed links: in all and by group of citizenship, then by pair of sources."""
    wide = pl.DataFrame(schema={"item": pl.String})
    for name in _RATES:
        for end in ("", "_low", "_high"):
            column = published.measured(name + end).rename({"value": name + end})
            wide = wide.join(column, on="item", how="full", coalesce=True)
    if wide.is_empty():
        return [
            "How many links are false and how many are missed was not estimated: too little is known of them."
        ]
    is_pair = pl.col("item").str.contains("|", literal=True)
    is_all = pl.col("item") == "all"
    groups = wide.filter(~is_pair).sort(~is_all, "item")
    pairs = wide.filter(is_pair).sort("false_link_rate", "item", descending=[True, False], nulls_last=True)
    parts: list[Part] = [_rate_chart(published, groups, "in all and by group of citizenship")]
    if pairs.height:
        parts.append(_rate_chart(published, pairs.head(MOST_ROWS), "by pair of sources"))
    if pairs.height > MOST_ROWS:
        parts.append(f"Left out: {pairs.height - MOST_ROWS} further pairs of sources; see outputs/quality.")
    return parts


def _rate_chart(published: Published, rates: pl.DataFrame, by: str) -> Chart:
    named = pl.Series([_item(item) for item in rates["item"]], dtype=pl.String)
    rates = rates.with_columns(item=named)
    title = f"False and missed links {by}, per 1,000"
    panels = []
    for name, said in _RATES.items():
        known = rates.drop_nulls([name, f"{name}_low", f"{name}_high"])
        if known.height:
            panels.append((said, list(known.select("item", name, f"{name}_low", f"{name}_high").iter_rows())))
    text = "Points with limits of 95 %. " + " ".join(
        f"{said}: the highest rate is {write(max(row[1] for row in rows), 'permille')} per 1,000."
        for said, rows in panels
    )
    heads: dict[str, tuple[str, str]] = {"item": ("", "text")}
    for name, said in _RATES.items():
        heads |= {
            name: (said.lower(), "permille"),
            f"{name}_low": ("from", "permille"),
            f"{name}_high": ("to", "permille"),
        }
    heads["item"] = ("pair of sources" if "pair" in by else "group", "text")
    return Chart(
        title,
        f"data to {published.about.last_day}",
        ranges(panels, "permille", title, text),
        listing(title, rates, heads),
        "False: of the accepted links of a person, those between two persons. Missed: of the pairs of "
        "identities of one person, those that are not joined, whether compared or not. Both are estimates; "
        "the lines are limits of 95 %. No rate is given where too few pairs tell.",
    )


def _item(item: str) -> str:
    return item.replace("|", " and ") if "|" in item else group_name(item)


def _review(published: Published) -> Listing | None:
    """What clerks found in a drawn sample of pairs."""
    rows = []
    for name in ("precision", "recall"):
        row = [published.value(f"clerical_{name}{end}") for end in ("", "_low", "_high")]
        if row[0] is not None:
            rows.append((name, *row))
    if not rows:
        return None
    decided, pairs = published.value("clerical_decided"), published.value("clerical_pairs")
    heads = [("measure", "text"), ("estimate", "share"), ("from", "share"), ("to", "share")]
    note = f"{write(decided)} decided pairs of {write(pairs)}; limits of 95 %."
    return Listing("Clerical review: precision and recall of the links", heads, rows, note=note)


def _counts(published: Published) -> Listing | None:
    order = {"1": 1, "2": 2, "3-5": 3, "6-10": 6, "11+": 11}
    rows = published.measured("persons_by_records").rows()
    if not rows:
        return None
    rows = sorted(rows, key=lambda row: order.get(row[0], 99))
    in_all = [("in all", total([row[1] for row in rows]))]
    heads = [("records of a person", "text"), ("persons", "count")]
    return Listing("Persons by their number of records", heads, rows, in_all)


def _by_rule(published: Published) -> Listing | None:
    found = published.measured("links_proposed_by").sort("value", "item", descending=[True, False])
    if found.is_empty():
        return None
    rows = [(words(rule), n) for rule, n in found.iter_rows()]
    heads = [("blocking rule that proposed the pair first", "text"), ("links", "count")]
    return Listing("Links by blocking rule", heads, rows, [("in all", total([row[1] for row in rows]))])
