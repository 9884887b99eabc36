"""How many links are false and how many are missed, without clerical review: rates with intervals."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from miglink.codes.groups import UNKNOWN_CITIZENSHIP, group_by_year
from miglink.engine import Engine, Table
from miglink.stages.quality.missed_links import HeldOut, count_missed, label_pieces

# A rate is not published of fewer links, or of fewer persons whose links are known, than this.
_FEWEST = 100
# Who holds a number is not like the others, whose share may be half or twice as large: the standard deviation of that
# factor. No data say how unlike they are.
_UNLIKE = 0.5
# Two-sided 95 %; from which shape on the approximation of gamma quantiles holds.
_Z, _LEAST_SHAPE = 1.959964, 0.5


@dataclass(frozen=True)
class Linkage:
    """What decided: the probability from which links join, and the model that scored them.

    reporting_country, year: whose groups of citizenship are told apart, and as of when.
    """

    accept_p_match: float
    model_path: Path
    reporting_country: str
    year: int


@dataclass(frozen=True)
class Estimate:
    """An estimated number with its variance; the number itself is a count that varies, not a mean."""

    mean: float
    variance: float

    def interval(self, least: float) -> tuple[float, float]:
        """Limits of 95 %, from a gamma distribution of that mean and variance; below `least` is none.

        Source: Wilson and Hilferty 1931 (quantiles of the gamma distribution, from a shape of 0.5 up).
        """
        shape = max(self.mean**2 / self.variance, _LEAST_SHAPE)
        low, high = (
            self.mean * max(1 - 1 / (9 * shape) + z / (3 * math.sqrt(shape)), 0.0) ** 3 for z in (-_Z, _Z)
        )
        return (low if low >= least else 0.0), high


def measure_error_rates(engine: Engine, tables: Mapping[str, Table], linkage: Linkage) -> pl.DataFrame:
    """Estimate the rates of false and of missed links in all, by citizenship group and by pair of sources.

    Reads: links, identities, record_identities, identity_persons, person_traits; model.json.
    Gives: measure, item, value: false_link_rate, missed_link_rate, each with `_low` and `_high`; and the pairs that
        hold a number, by band of the probability without it: held_out_pairs, held_out_expected_share,
        held_out_observed_share, held_out_gap. Items: `all`, a citizenship group, `source|source`.
    Units: shares from 0 to 1. false_link_rate: of the accepted links of a person, those between two persons.
        missed_link_rate: of the pairs of identities of one person, those that are not in one person, whether compared
        or not. Limits are of 95 %, and hold the rate of this data set.
    Source: docs/linkage.md, "How many links are false, how many are missed"; Chapman 1951 and Sekar and Deming 1949
        (matches found by neither of two ways); Kish 1965 (pairs in clusters).
    """
    if not linkage.model_path.exists():
        return _no_measures()
    model = json.loads(linkage.model_path.read_text(encoding="utf-8"))
    held = model.get("held_out")
    if held is None:
        return _no_measures()
    held_out = HeldOut(
        held["field"], _near_documents(model["settings"]) if held["field"] != "document" else ()
    )
    groups = _groups(engine, tables, linkage)
    pieces = label_pieces(engine, tables, held_out, linkage.accept_p_match, groups)
    missed = _missed_rates(count_missed(engine, pieces))
    false = _false_rates(engine, tables, linkage, held, pieces)
    return pl.concat([false, missed, _bands(held["bands"])])


def _near_documents(settings: dict[str, Any]) -> tuple[str, ...]:
    """The levels that say that a document is the same or nearly: the two strongest."""
    of_documents = [e for e in settings["comparisons"] if e["output_column_name"] == "document"]
    return tuple(
        level["label_for_charts"]
        for entry in of_documents
        for level in [one for one in entry["comparison_levels"] if not one.get("is_null_level")][:2]
    )


def _no_measures() -> pl.DataFrame:
    return pl.DataFrame(schema={"measure": pl.String, "item": pl.String, "value": pl.Float64})


def _groups(engine: Engine, tables: Mapping[str, Table], linkage: Linkage) -> Table:
    """The citizenship group of each person whose last citizenship is known."""
    last = engine.step(
        "quality_citizenships",
        """SELECT person_id, min(value) AS citizenship FROM person_traits
        WHERE trait = 'citizenship' AND valid_to IS NULL GROUP BY person_id""",
        person_traits=tables["person_traits"],
    )
    known = engine.collect("SELECT DISTINCT citizenship FROM last", last=last)["citizenship"].to_list()
    groups = group_by_year(known, [linkage.year], linkage.reporting_country)
    return engine.step(
        "quality_groups",
        f"""SELECT person_id, citizenship_group FROM last JOIN grouped USING (citizenship)
        WHERE citizenship <> '{UNKNOWN_CITIZENSHIP}'""",
        last=last,
        grouped=groups.select("citizenship", "citizenship_group"),
    )


def _missed_rates(counts: pl.DataFrame) -> pl.DataFrame:
    """missed_link_rate of each item, from the counts of count_missed: all, citizenship groups, pairs of sources."""
    wholes = counts.filter(pl.col("item") == "all")
    strata = find_shares(counts.filter(pl.col("item") != "all"))
    group = pl.col("citizenship_group")
    items = [("all", wholes, strata)]
    items += [
        (name, wholes.filter(group == name), strata.filter(group == name))
        for name in sorted(wholes["citizenship_group"].unique())
        if name != "unknown"
    ]
    items += [
        (str(name), counts.filter(pl.col("item") == name), part)
        for (name,), part in strata.group_by("item", maintain_order=True)
    ]
    rows = []
    for item, whole, part in items:
        found = estimate_missed(whole, part)
        if found is not None:
            limits = found.interval(0.5)
            joined = float(whole["joined"].sum())
            rows += _rate_rows("missed_link_rate", item, (found.mean, *limits), joined)
    return pl.DataFrame(rows, schema=_no_measures().schema, orient="row")


def find_shares(strata: pl.DataFrame) -> pl.DataFrame:
    """Of each stratum (pair of sources, citizenship group, pieces) the share of pairs that a number alone joins.

    Of S pairs that are known from the number nothing else joins x. Strata with few pairs lean on the share of their
    pair of sources, which counts like 100 persons of the usual size: q = (x + k q0) / (S + k), with half an event of
    the usual size added to what q0 rests on. Gives share, and size (pairs of an event), lean (k), common (q0), held
    (pairs that q0 rests on) of pairs of sources for which at least 100 persons say something.
    """
    held, missed, clusters, held_squared, missed_squared = (
        pl.col(name).sum().over("item")
        for name in (
            "held_pairs", "held_missed", "held_clusters", "held_pairs_squared", "held_missed_squared"
        )
    )  # fmt: skip
    return (
        strata.filter(clusters >= _FEWEST)
        .with_columns(
            size=pl.when(missed > 0).then(missed_squared / missed).otherwise(held_squared / held),
            lean=_FEWEST * held / clusters,
        )
        .with_columns(held=held + pl.col("size") / 2)
        .with_columns(common=(missed + pl.col("size") / 2) / pl.col("held"))
        .with_columns(
            share=(pl.col("held_missed") + pl.col("lean") * pl.col("common"))
            / (pl.col("held_pairs") + pl.col("lean"))
        )
    )


def estimate_missed(whole: pl.DataFrame, strata: pl.DataFrame) -> Estimate | None:
    """The pairs of one person that are not in one person; None where too few persons show what a number joins.

    R pairs of a stratum that no number joins stand for R q / (1 − q) that are missed; their rate over the strata holds
    for all such pairs, also those of sources that never hold the number. The variance has four parts: that of the
    share of each pair of sources and that of each stratum, which may all err the same way, for they are of the same
    persons; that of a factor of about two by which others may differ from those who hold the number; and that of the
    missed pairs themselves, which come in events as large as those seen.
    """
    at_risk, known = float(whole["at_risk"].sum()), float(strata["at_risk"].sum())
    if whole["held_clusters"].sum() < _FEWEST or not at_risk > 0 or strata.is_empty():
        return None
    if (
        not known > 0
    ):  # sources that hold the number are at no risk among each other: each of their pairs counts alike
        strata, known = strata.with_columns(at_risk="held_pairs"), float(strata["held_pairs"].sum())
    share, held = pl.col("share"), pl.col("held_pairs")
    parts = (
        strata.with_columns(
            missed=pl.col("at_risk") * share / (1 - share),
            weight=pl.col("at_risk") / ((1 - share) ** 2 * (held + pl.col("lean"))),
        )
        .group_by("item")
        .agg(
            pl.col("missed").sum(),
            sized=(pl.col("missed") * pl.col("size")).sum(),
            of_common=(pl.col("lean") * pl.col("weight")).sum() ** 2
            * (pl.col("common") * pl.col("size") / pl.col("held")).first(),
            of_strata=(pl.col("weight") ** 2 * share * held * pl.col("size")).sum(),
        )
        .sort("item")
    )
    missed = float(parts["missed"].sum())
    error = float((parts["of_common"] + parts["of_strata"]).sqrt().sum())
    mean = missed / known * at_risk
    usual = float(whole["held_pairs_squared"].sum()) / float(whole["held_pairs"].sum())
    growth = float(whole["at_risk_squared"].sum()) / at_risk / usual
    of_events = growth * float(parts["sized"].sum()) / missed
    return Estimate(mean, mean**2 * ((error / missed) ** 2 + _UNLIKE**2) + mean * of_events)


def _false_rates(
    engine: Engine,
    tables: Mapping[str, Table],
    linkage: Linkage,
    held: dict[str, Any],
    pieces: dict[str, Table],
) -> pl.DataFrame:
    """false_link_rate of each item: what the model expects, Σ (1 − p) of its accepted links.

    A model that is wrong about rare agreement is wrong by factors, so that its expectation counts like one pair seen
    (a standard deviation of 100 %). Beside it stands what a number says that the score was not shown: F pairs that
    would be accepted hold two different ones, and as pairs that chance may bring together grow with the square of the
    identities, N identities of which H hold the number would have F (N² − H²) / H² more. Neither is sure: who holds
    the number is not like the others. The limits are the outer ones of both.
    """
    counts = _count_accepted(engine, tables["links"], linkage.accept_p_match, pieces)
    n_all, n_holders = engine.collect(
        """SELECT CAST(count(*) AS DOUBLE) AS n, CAST(count(number) AS DOUBLE) AS n_holders FROM pieces
        WHERE is_known""",
        pieces=pieces["identities"],
    ).row(0)
    n_different, growth = None, 0.0
    if held["bands"] and 0 < n_holders < n_all:
        n_different = _n_different(held["bands"], linkage.accept_p_match) + 0.5
        growth = (n_all**2 - n_holders**2) / n_holders**2
    expected = counts.filter(item="all")["expected"].sum()
    rows = []
    for item, n, part, links_each in counts.filter(pl.col("n_links") >= _FEWEST).iter_rows():
        # An identity that is where it does not belong brings all its links along.
        least = links_each / 2
        modelled = Estimate(part, part**2 + part * links_each)
        low, high = modelled.interval(least)
        if n_different is not None:
            seen = n_different * growth * part / expected
            low_seen, high_seen = Estimate(seen, seen**2 / n_different + seen * links_each).interval(least)
            low, high = min(low, low_seen), max(high, high_seen)
        rows += _rate_rows("false_link_rate", item, (part, low, min(high, n)), n - part)
    return pl.DataFrame(rows, schema=_no_measures().schema, orient="row")


def _n_different(bands: list[dict[str, Any]], accept_p_match: float) -> int:
    """Pairs that would be accepted without the number, and hold two different ones; a band counts whole."""
    ends = [*(band["from_p"] for band in bands[1:]), 1.0]
    return sum(
        round(band["n_pairs"] * (1 - band["observed_share"]))
        for band, end in zip(bands, ends, strict=True)
        if end > accept_p_match
    )


def _count_accepted(
    engine: Engine, links: Table, accept_p_match: float, pieces: dict[str, Table]
) -> pl.DataFrame:
    """item, n_links, expected (of them false, as the model has it), links_each: links of an identity that has any."""
    accepted = engine.step(
        "quality_accepted",
        f"""SELECT k.identity_id_l, k.identity_id_r, l.person_id, 1 - k.p_calibrated AS p_false, l.citizenship_group
        FROM links k JOIN pieces l ON l.identity_id = k.identity_id_l JOIN pieces r ON r.identity_id = k.identity_id_r
        WHERE k.p_calibrated >= {accept_p_match} AND l.person_id = r.person_id
          AND k.blocking_rule NOT IN ('judgement', 'given_person')""",
        links=links,
        pieces=pieces["identities"],
    )
    counted = "CAST(count(*) AS DOUBLE) AS n_links, CAST(sum(p_false) AS DOUBLE) AS expected"
    by_item = engine.collect(
        f"""SELECT 'all' AS item, {counted} FROM accepted
        UNION ALL SELECT citizenship_group, {counted} FROM accepted WHERE citizenship_group IS NOT NULL
        GROUP BY citizenship_group
        UNION ALL SELECT concat(least(x.source, y.source), '|', greatest(x.source, y.source)), {counted}
        FROM accepted a JOIN sources x ON x.identity_id = a.identity_id_l
        JOIN sources y ON y.identity_id = a.identity_id_r
        GROUP BY concat(least(x.source, y.source), '|', greatest(x.source, y.source))""",
        accepted=accepted,
        sources=pieces["sources"],
    )
    (n_sides,) = engine.collect(
        """SELECT count(*) AS n FROM (
            SELECT identity_id_l FROM accepted UNION SELECT identity_id_r FROM accepted) AS sides""",
        accepted=accepted,
    )["n"]
    whole = by_item.filter(item="all")["n_links"].sum()
    found = by_item.filter(pl.col("expected") > 0).with_columns(
        links_each=pl.lit(2 * whole / max(n_sides, 1))
    )
    return found.sort(pl.col("item") != "all", "item")


def _rate_rows(
    measure: str, item: str, errors: tuple[float, float, float], others: float
) -> list[tuple[str, str, float]]:
    """A rate, errors / (errors + others), and its limits."""
    named = zip(("", "_low", "_high"), errors, strict=True)
    return [(measure + end, item, round(n / (n + others), 9)) for end, n in named]


def _bands(bands: list[dict[str, Any]]) -> pl.DataFrame:
    """What a number that the score was not shown says of its probabilities; the gap is the mean over all pairs."""
    if not bands:
        return _no_measures()
    n_pairs = sum(band["n_pairs"] for band in bands)
    gap = sum(b["n_pairs"] * abs(b["expected_share"] - b["observed_share"]) for b in bands) / n_pairs
    rows = [("held_out_pairs", "all", float(n_pairs)), ("held_out_gap", "all", round(gap, 6))]
    for band in bands:
        item = f"p from {band['from_p']:g}"
        rows += [
            ("held_out_pairs", item, float(band["n_pairs"])),
            ("held_out_expected_share", item, band["expected_share"]),
            ("held_out_observed_share", item, band["observed_share"]),
        ]
    return pl.DataFrame(rows, schema=_no_measures().schema, orient="row")
