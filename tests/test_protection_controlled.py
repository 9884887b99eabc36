"""Controlled rounding: multiples beside the counts, and totals that are the sums of their parts."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from given_migrants import POLICIES, migrants, published_flows, sums
from given_published import TOTAL
from miglink.config.protection import ProtectionSettings
from miglink.engine import Engine
from miglink.errors import ConfigError
from miglink.stages.publish import check_solver
from miglink.stages.publish.protection import controlled
from miglink.stages.publish.protection.controlled import round_margins

BASE = 5
CONTROLLED = {"method": "controlled_rounding", "base": BASE}


def test_what_added_up_still_does_and_each_count_is_a_multiple_beside_it(
    duckdb_engine: Engine, tmp_path: Path
) -> None:
    people = migrants(3, 1500)
    before, flows = published_flows(duckdb_engine, tmp_path / "run", people, CONTROLLED)
    on = ["flow", "period", "policy", *TOTAL]
    # Cells of which nothing is left have no row: they are 0.
    exact = before.rename({"n_settled": "exact"})
    both = exact.join(flows.select(*on, "n_settled"), on=on, how="left").with_columns(
        pl.col("n_settled").fill_null(0)
    )
    assert both.height >= flows.height > 500
    sides = both.filter(pl.col("flow") != "net")
    away = (sides["n_settled"] - sides["exact"]).abs()
    assert (sides["n_settled"] % BASE == 0).all() and away.max() == BASE - 1
    assert sides.filter(pl.col("exact") % BASE == 0, pl.col("exact") != pl.col("n_settled")).is_empty()
    # Near to the counts: rounding each of them to the nearest multiple is 1.2 away on average, at random 1.6.
    assert 1.0 < away.mean() < 1.5  # type: ignore[operator]
    n_sums = 0
    for policy in POLICIES:
        rows = both.filter(policy=policy)
        value, count = rows["n_settled"].to_list(), rows["exact"].to_list()
        for total, parts in sums(rows):
            if count[total] == sum(count[part] for part in parts):
                assert value[total] == sum(value[part] for part in parts)
                n_sums += 1
    assert n_sums > 500
    record = json.loads((tmp_path / "run" / "outputs" / "protection.json").read_text("utf-8"))
    said = record["tables"]["flows"]["controlled_rounding"]
    assert said["systems"] >= 4 and said["with_multiples_farther_away"] == said["at_random"] == 0
    assert {"accounts", "stock_differences", "shells"} <= {*record["tables_left_out"]}
    assert (pl.read_parquet(tmp_path / "run" / "outputs" / "mobility.parquet")["n_settled"] % BASE == 0).all()


def cube(counts: list[int]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Stocks by sex, region and country of birth with all margins; and their cells, as rounded at random."""
    whole = pl.DataFrame(
        [
            {"sex": sex, "region": region, "birth_country": birth}
            for sex, region, birth in product("ab", "cde", "fgh")
        ]
    ).with_columns(n=pl.Series(counts))
    names = ("sex", "region", "birth_country")
    rows = pl.concat(
        whole.with_columns(pl.lit("total").alias(name) for name in over).group_by(names).agg(pl.col("n").sum())
        for over in ([name for name, is_kept in zip(names, kept, strict=True) if not is_kept]
                     for kept in product((True, False), repeat=3))
    ).sort(names)  # fmt: skip
    rows = rows.with_columns(
        *(pl.lit("total").alias(name) for name in TOTAL if name not in names),
        period=pl.lit("2019-01-01"),
        rule=pl.lit("r"),
        policy=pl.lit("p"),
    )
    cells = rows.with_row_index("row").select(
        "row",
        "rule",
        "policy",
        column=pl.lit("n_settled"),
        count="n",
        drawn=pl.lit(7),
        protected=pl.col("n") * 0,
    )
    return cells, rows


# Found by trying: no rounding to base 2 keeps zeros and all margins of this cube (sex by region by country of birth).
NONE_FITS = [1, 0, 1, 0, 1, 0, 1, 1, 0, 1, 1, 0, 1, 0, 1, 0, 0, 0]


def adds_up(rows: pl.DataFrame, cells: pl.DataFrame) -> bool:
    """Whether each total over a dimension is the sum of its parts."""
    table = rows.with_columns(value=cells["protected"])
    names = ["sex", "region", "birth_country"]
    for name in names:
        others = [other for other in names if other != name]
        parts = table.filter(pl.col(name) != "total").group_by(others).agg(pl.col("value").sum())
        totals = table.filter(pl.col(name) == "total").select(*others, total="value")
        both = parts.join(totals, on=others)
        if both.height != parts.height or not both["value"].equals(both["total"].rename("value")):
            return False
    return True


def test_where_no_such_rounding_exists_multiples_farther_away_are_taken_and_told() -> None:
    cells, rows = cube(NONE_FITS)
    rounded, said = round_margins(cells, rows, 2, "NZL")
    assert said == {"systems": 1, "with_multiples_farther_away": 1, "at_random": 0}
    assert adds_up(rows, rounded)
    away = (rounded["protected"] - rounded["count"]).abs()
    assert (rounded["protected"] % 2 == 0).all() and away.max() <= 3  # type: ignore[operator]
    # Few are farther away than the multiple beside them; zeros stay.
    assert 1 <= (away > 1).sum() <= 4
    assert (rounded.filter(count=0)["protected"] == 0).all()
    assert round_margins(cells, rows, 2, "NZL")[0].equals(rounded)
    # The same cube with larger counts has one.
    _, said = round_margins(*cube([2 * count for count in NONE_FITS]), 3, "NZL")
    assert said["with_multiples_farther_away"] == 0


def test_a_system_that_is_too_large_is_rounded_at_random_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controlled, "_LARGEST", 20)
    cells, rows = cube(NONE_FITS)
    rounded, said = round_margins(cells, rows, 2, "NZL")
    assert said == {"systems": 1, "with_multiples_farther_away": 0, "at_random": 1}
    odd = rounded.filter(pl.col("count") % 2 == 1)
    assert odd["protected"].equals(cells.filter(pl.col("count") % 2 == 1)["protected"])


def test_a_search_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controlled, "_SECONDS", 0.0)
    with pytest.raises(ConfigError, match="name fewer"):
        round_margins(*cube([1, 2] * 9), 3, "NZL")


def test_the_solver_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ProtectionSettings.model_validate(CONTROLLED)
    check_solver(settings)
    monkeypatch.setattr(controlled, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"miglink\[sdc\]"):
        check_solver(settings)
    check_solver(ProtectionSettings(method="rounding"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"method": "controlled_rounding"}, "needs it"),
        (CONTROLLED | {"minimum_count": 5}, "has no meaning"),
        (CONTROLLED | {"tables": ("accounts",)}, "accounts cannot be published"),
    ],
)
def test_settings_that_controlled_rounding_cannot_keep_are_refused(
    settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        ProtectionSettings.model_validate(settings)
