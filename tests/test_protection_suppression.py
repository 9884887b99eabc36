"""Suppression: small counts are gone, and nobody finds them by subtraction, nor what they nearly are."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.optimize import linprog

from given_migrants import POLICIES, Frame, migrants, published_flows, sums
from given_protected import SHELL, publish_protected
from given_published import TOTAL, little_run
from miglink.config.protection import ProtectionSettings
from miglink.engine import Engine
from miglink.stages.publish.protection.cells import list_cells, put_back
from miglink.stages.publish.protection.equations import list_equations
from miglink.stages.publish.protection.suppression import suppress_margins
from miglink.tables.contract import DIMENSIONS

LEAST = 5
SUPPRESSION = {"method": "suppression", "minimum_count": LEAST}


def narrowest(flows: Frame, true: Frame) -> list[float]:
    """The width of the interval in which linear programs find each small count that is suppressed."""
    on = ["flow", "period", *DIMENSIONS]
    rows = flows.filter(pl.col("flow") != "net").join(true.rename({"n_settled": "true"}), on=[*on, "policy"])
    known = rows["n_settled"].to_list()
    unknown = {
        place: n for n, place in enumerate(place for place, value in enumerate(known) if value is None)
    }
    system, right = [], []
    for total, parts in sums(rows):
        line, rest = np.zeros(len(unknown)), 0.0
        for place, sign in [(total, -1.0), *((part, 1.0) for part in parts)]:
            if place in unknown:
                line[unknown[place]] += sign
            else:
                rest -= sign * known[place]
        if line.any():
            system.append(line)
            right.append(rest)
    widths = []
    small = [place for place in unknown if 0 < rows["true"][place] < LEAST]
    for place in small:
        aim = np.zeros(len(unknown))
        aim[unknown[place]] = 1
        ends = [
            linprog(sign * aim, A_eq=np.array(system), b_eq=np.array(right), bounds=(0, None))
            for sign in (1, -1)
        ]
        assert all(end.status in (0, 3) for end in ends)
        widths.append(np.inf if ends[1].status == 3 else -ends[1].fun - ends[0].fun)
    return widths


def test_no_small_count_can_be_found_from_what_is_published(duckdb_engine: Engine, tmp_path: Path) -> None:
    people = migrants(1, 3000)
    before, flows = published_flows(duckdb_engine, tmp_path / "run", people, SUPPRESSION)
    value = flows.filter(pl.col("flow") != "net")["n_settled"]
    assert not value.is_between(1, LEAST - 1).any()
    assert 0.2 < value.null_count() / value.len() < 0.8
    assert flows.filter(**TOTAL, flow="immigration", period="2018")["n_settled"].null_count() == 0
    for policy in POLICIES:
        year = [frame.filter(policy=policy) for frame in (flows, before)]
        widths = narrowest(*year)
        assert len(widths) > 20
        assert min(widths) >= LEAST - 1e-6
    # Without others beside them, small counts are found.
    _, alone = published_flows(duckdb_engine, tmp_path / "alone", people, SUPPRESSION | {"secondary": "none"})
    assert min(narrowest(alone.filter(policy="midpoint"), before.filter(policy="midpoint"))) < 1e-6
    # Whom one policy suppresses another must not tell; nor net migration, which is computed of the others.
    patterns = flows.group_by("flow", "period", *DIMENSIONS).agg(pl.col("n_settled").is_null().n_unique())
    assert patterns["n_settled"].max() == 1


def test_what_adds_up_is_known_in_all_its_ways() -> None:
    total = dict.fromkeys(DIMENSIONS, "total") | {"measure": "stock", "period": "2013-01-01"}
    whole, cells = dict(total), {
        "old": {"age_group": "100+"}, "very old": {"age": "104"}, "reached": {"age_reached": "104"},
        "young": {"age_group": "5-9"}, "seven": {"age": "7"},
        "other": {"citizenship_group": "other"}, "Croatian": {"citizenship": "HRV"}, "candidate":
        {"citizenship_group": "candidate"}, "national": {"citizenship_group": "national"},
        "own": {"citizenship": "NZL"},
        "native": {"birth_group": "native"}, "born here": {"birth_country": "NZL"}, "citizen abroad":
        {"origin_group": "foreign_born_citizen"}, "foreign": {"birth_group": "foreign"},
        "taught": {"trait": "education", "trait_value": "high"},
        "immigrants of May": {"measure": "immigration", "period": "2013-05"},
        "of the second quarter": {"measure": "immigration", "period": "2013-Q2"},
        "of the year": {"measure": "immigration", "period": "2013"},
    }  # fmt: skip
    names = ["whole", *cells]
    rows = pl.DataFrame([whole, *(total | cell for cell in cells.values())]).with_row_index("number")
    found = list_equations(rows.with_columns(pl.col("number").cast(pl.Int64)), "NZL")
    parents = found.filter("is_parent").join(
        found.filter(~pl.col("is_parent")), on="equation", suffix="_part"
    )
    pairs = {
        (names[part], names[parent]) for parent, part in parents.select("number", "number_part").iter_rows()
    }
    of_whole = {(name, "whole") for name in names[1:] if "May" not in name and "of the" not in name}
    assert pairs == of_whole | {
        ("very old", "old"), ("reached", "very old"), ("seven", "young"), ("Croatian", "candidate"),
        ("own", "national"), ("born here", "native"), ("citizen abroad", "national"), ("citizen abroad", "foreign"),
        ("immigrants of May", "of the second quarter"), ("immigrants of May", "of the year"),
        ("of the second quarter", "of the year"),
    }  # fmt: skip


def test_tables_that_add_up_with_others_are_left_out(duckdb_engine: Engine, tmp_path: Path) -> None:
    run = little_run()
    stays = run["mobility"][0] | {"n_undetermined": 0}
    other = stays | {"policy": "midpoint"}
    run["mobility"] = [stays | {"n_settled": 7}, other | {"n_settled": 4}]
    run["mobility"] += [row | {"purpose": "study", "n_settled": 9} for row in (stays, other)]
    outputs = publish_protected(duckdb_engine, tmp_path / "run", SUPPRESSION, run=run)
    assert {path.stem for path in outputs.glob("*.csv")} == {
        "stocks",
        "flows",
        "mobility",
        "expired_stays",
        "quality",
    }
    record = json.loads((outputs / "protection.json").read_text("utf-8"))
    assert {"accounts", "list_status", "shells"} <= {*record["tables_left_out"]} and SHELL not in record[
        "tables"
    ]
    # Suppressed under both policies, for the one would tell the other.
    mobility = (
        pl.read_parquet(outputs / "mobility.parquet")
        .select("purpose", "n_settled", "n_undetermined")
        .unique()
    )
    assert sorted(mobility.rows(), key=str) == [("study", 9, 0), ("work", None, 0)]
    assert pl.read_parquet(outputs / "expired_stays.parquet")["n"].to_list() == [None]
    assert pl.read_parquet(outputs / "quality.parquet").is_empty()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"method": "suppression"}, "needs it"),
        ({**SUPPRESSION, "tables": ("accounts",)}, "accounts cannot be published"),
        ({"method": "rounding", "secondary": "none"}, "has no meaning"),
    ],
)
def test_settings_that_suppression_cannot_keep_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ProtectionSettings.model_validate(settings)


def test_points_tell_no_more_than_settled_counts() -> None:
    """A point that is small where nobody is settled, and one that is few persons away from the settled count."""
    counts = {
        ("total", "total"): (60, 73.0), ("male", "total"): (20, 20.0), ("female", "total"): (40, 53.0),
        ("total", "AUS"): (0, 2.4), ("total", "FJI"): (33, 33.0), ("total", "NOR"): (27, 37.6),
        ("male", "FJI"): (20, 20.0), ("female", "FJI"): (13, 13.0),
        ("female", "AUS"): (0, 2.4), ("female", "NOR"): (27, 37.6),
    }  # fmt: skip
    of = TOTAL | {"rule": "r", "policy": "p", "period": "2018-01-01", "n_undetermined": 0}
    rows = pl.DataFrame(
        of | {"sex": sex, "citizenship": citizenship, "n_settled": settled, "n": n}
        for (sex, citizenship), (settled, n) in counts.items()
    )
    cells = list_cells("stocks", rows)
    found = put_back(suppress_margins(cells, rows, LEAST, "NZL"), rows)
    points = {row[:2]: row[2:] for row in found.select("sex", "citizenship", "n_settled", "n").iter_rows()}
    # Neither the two from the Pacific nor, beside the total, anybody's difference that adds up to theirs.
    assert points["total", "AUS"] == points["female", "AUS"] == (None, None)
    assert points["total", "NOR"][1] is None or points["total", "total"][1] is None
    assert points["male", "FJI"] == (20, 20.0)
    shown = [(settled, n) for settled, n in points.values() if n is not None]
    assert shown and all(settled is not None for settled, _ in shown)
    assert not any(0 < abs(n - settled) < LEAST or 0 < n < LEAST for settled, n in shown)


def test_the_few_who_are_in_doubt_are_not_told_by_a_point() -> None:
    of = TOTAL | {"rule": "r", "policy": "p", "period": "2018-01-01", "n_undetermined": 0}
    counts = {"total": (60, 62.6), "male": (35, 35.0), "female": (25, 27.6)}
    rows = pl.DataFrame(of | {"sex": sex, "n_settled": n[0], "n": n[1]} for sex, n in counts.items())
    found = put_back(suppress_margins(list_cells("stocks", rows), rows, LEAST, "NZL"), rows)
    assert found["n_settled"].to_list() == [60, 35, 25]
    assert found["n"].to_list() == [None, 35.0, None]
