"""The evaluation for the terminal: tables of rich, made from the table `evaluation` alone."""

import polars as pl
from rich.console import Group, RenderableType

from miglink.evaluate.grids import by_total_last, count, grid, rate, ratio, widen
from miglink.evaluate.report_statistics import (
    show_flows,
    show_groups,
    show_migrations,
    show_statuses,
    show_stocks,
)
from miglink.tables.evaluation import TOTAL

_UNKNOWN = "unknown"


def render_report(measures: pl.DataFrame, patterns: pl.DataFrame) -> Group:
    """What was compared, linkage, persons, spells, statuses, flows, stocks, migrations, confusions: what there is."""
    parts = set(measures["part"])
    shown: list[RenderableType] = [
        show_comparison(measures),
        show_linkage(measures),
        show_sources(measures),
        show_persons(measures),
        show_clusters(measures),
    ]
    if "spells" in parts:
        shown.append(show_spells(measures))
    for part, show in (
        ("statuses", show_statuses),
        ("flows", show_flows),
        ("flows", show_groups),
        ("stocks", show_stocks),
        ("migrations", show_migrations),
    ):
        if part in parts:
            shown += show(measures)
    if not patterns.is_empty():
        shown.append(show_patterns(patterns))
    if "causes" in parts:
        shown.append(show_causes(measures))
    return Group(*shown)


def show_comparison(measures: pl.DataFrame) -> RenderableType:
    """Records by source: of the run, of the truth, and both."""
    headings = {
        "records": "in the\nrun",
        "records_compared": "\ncompared",
        "records_without_truth": "without\ntruth",
        "true_records_not_in_run": "true, not\nin the run",
    }
    rows = by_total_last(widen(measures, "comparison", "source_l"), "source_l")
    return grid(
        "What was compared: records",
        ["\nsource", *headings.values()],
        [[row["source_l"], *(count(row.get(name)) for name in headings)] for row in rows],
        "Without truth: left out of linkage and persons. Not in the run: rejected, or never delivered.",
    )


def show_linkage(measures: pl.DataFrame) -> RenderableType:
    """Pairs of identities in all and by citizenship group."""
    groups = widen(measures, "linkage", "citizenship_group")
    rows = by_total_last(groups, "citizenship_group")
    whole = rows[-1]
    shown = rows if _has_groups(groups) else [whole]
    return grid(
        "Linkage: pairs of distinct identities, by citizenship group of the true person",
        ["", "true\npairs", "predicted\npairs", "right\npairs", "\nprecision", "\nrecall", "\nF1"],
        [
            [
                row["citizenship_group"],
                *(count(row.get(name)) for name in ("true_pairs", "predicted_pairs", "right_pairs")),
                *(ratio(row.get(name)) for name in ("precision", "recall", "f1")),
            ]
            for row in shown
        ],
        f"{count(whole['units'])} identities of true persons. Apart: {count(whole['repeat_pairs'])} pairs of records "
        f"repeat one identity; share of one true person: {ratio(whole.get('repeat_share')) or 'none'}. "
        f"{count(whole['shared_identities'])} identities are of several true persons.",
    )


def show_sources(measures: pl.DataFrame) -> RenderableType:
    """Pairs of identities by the sources of the two sides."""
    rows = widen(measures.filter(pl.col("source_r") != TOTAL), "linkage", "source_l", "source_r")
    return grid(
        "Linkage: pairs of distinct identities, by their sources",
        ["", "<", "true\npairs", "predicted\npairs", "\nprecision", "\nrecall", "\nF1"],
        [
            [
                row["source_l"],
                row["source_r"],
                *(count(row.get(name)) for name in ("true_pairs", "predicted_pairs")),
                *(ratio(row.get(name)) for name in ("precision", "recall", "f1")),
            ]
            for row in rows.iter_rows(named=True)
        ],
    )


def show_persons(measures: pl.DataFrame) -> RenderableType:
    """Persons split and merged, in all and by citizenship group."""
    groups = widen(measures, "persons", "citizenship_group")
    rows = by_total_last(groups, "citizenship_group")
    shown = rows if _has_groups(groups) else rows[-1:]
    return grid(
        "Persons split and merged, by citizenship group of the true person",
        ["", "true\npersons", "\nsplit", "per\n1,000", "found\npersons", "\nmerged", "per\n1,000"],
        [
            [
                row["citizenship_group"],
                count(row["true_persons"]),
                count(row["split"]),
                rate(row.get("split_per_1000")),
                count(row["found_persons"]),
                count(row["merged"]),
                rate(row.get("merged_per_1000")),
            ]
            for row in shown
        ],
        f"{count(rows[-1]['represented'])} true persons are represented: a found person and they hold most of "
        "each other.",
    )


def show_clusters(measures: pl.DataFrame) -> RenderableType:
    """Agreement of found and true persons as sets."""
    (row,) = widen(measures, "persons").iter_rows(named=True)
    kinds = {
        "cluster": "whole persons, exactly right",
        "bcubed": "B-cubed over records",
        "bcubed_unit": "B-cubed over identities",
    }
    return grid(
        "Found persons against true persons",
        ["", "precision", "recall", "F1"],
        [
            [words, *(ratio(row.get(f"{kind}_{measure}")) for measure in ("precision", "recall", "f1"))]
            for kind, words in kinds.items()
        ],
    )


def show_spells(measures: pl.DataFrame) -> RenderableType:
    """Person-days by true and found state."""
    days = widen(measures, "spells", "true_value", "found_value").filter(pl.col("true_value") != TOTAL)
    (rates,) = widen(measures, "spells").iter_rows(named=True)
    found = ("present", "absent", "unresolved", "none")
    by_state = {(row["true_value"], row["found_value"]): row["days"] for row in days.iter_rows(named=True)}
    names = {
        "wrong": "wrong",
        "unresolved": "unresolved",
        "without_spell": "without a spell",
        "surplus_present": "present of found persons who represent nobody",
    }
    per_year = "; ".join(
        f"{words} {rate(rates.get(f'days_{kind}_per_person_year'))}" for kind, words in names.items()
    )
    return grid(
        f"Days of {count(rates['persons_compared'])} persons who crossed, {count(rates['person_years'])} person-years",
        ["truly", *(f"found\n{state}" for state in found[:3]), "no spell\nfound"],
        [
            [state, *(count(by_state.get((state, other), 0.0)) for other in found)]
            for state in ("present", "absent")
        ],
        f"Days per person-year: {per_year}.",
    )


def show_patterns(patterns: pl.DataFrame) -> RenderableType:
    """The most frequent kinds, causes and sources of misplaced pieces."""
    return grid(
        "Pieces of persons in the wrong place: the most frequent",
        ["kind", "pieces", "records", "<what sets their records apart", "<sources"],
        [
            [row["kind"], count(row["n"]), count(row["n_records"]), row["causes"], row["sources"]]
            for row in patterns.iter_rows(named=True)
        ],
        "split: astray from its true person; merged: in the found person of somebody else. A piece may be both.",
    )


def show_causes(measures: pl.DataFrame) -> RenderableType:
    """How often identities of each cause go astray."""
    rows = widen(measures, "causes", "cause").sort(
        "stray_share", "units", "cause", descending=[True, True, False]
    )
    return grid(
        "Identities by what sets them apart",
        ["cause", "identities", "astray", "share", "in another's\nperson", "share"],
        [
            [
                row["cause"],
                count(row["units"]),
                count(row["stray_units"]),
                ratio(row["stray_share"]),
                count(row["merged_units"]),
                ratio(row["merged_share"]),
            ]
            for row in rows.iter_rows(named=True)
        ],
        "Astray: not in the found person that holds most of their true person. none: nothing sets them apart.",
    )


def _has_groups(groups: pl.DataFrame) -> bool:
    return bool(set(groups["citizenship_group"]) - {TOTAL, _UNKNOWN})
