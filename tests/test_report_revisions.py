"""The section of revisions: how the published figures have moved since the run before, or why nothing is shown."""

import json
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from given_report import ABOUT, published
from miglink.stages.publish.earlier import find_earlier
from miglink.stages.publish.protection.record import PROTECTION
from miglink.stages.publish.report import find_sections, render_report
from miglink.stages.publish.report.parts import Fold, Listing, Part

Frames = Mapping[str, pl.LazyFrame]
BEFORE = date(2019, 1, 1)


def earlier() -> dict[str, pl.LazyFrame]:
    """The run a year before: nothing of 2019, all of 2018 provisional, and seven immigrations fewer in 2017."""
    is_early = pl.col("period") < "2019"
    is_last = pl.col("period").str.starts_with("2018")
    fewer = (pl.col("period") == "2017") & (pl.col("flow") == "immigration")
    given = published()
    flows = (
        given["flows"].filter(is_early).with_columns(n_settled=pl.col("n_settled") - 7 * fewer.cast(pl.Int64))
    )
    status = pl.when(is_last).then(pl.lit("provisional")).otherwise("status")
    vintage = pl.lit(BEFORE).alias("data_to_date")
    stocks = given["stocks"].filter(pl.col("period") <= "2019-01-01")
    return {
        "flows": flows.with_columns(vintage, status=status),
        "stocks": stocks.with_columns(vintage),
    }


def parts(before: Frames | str, now: Frames | None = None) -> list[Part]:
    sections = find_sections(now or published(), ABOUT, before)
    (section,) = (section for section in sections if section.anchor == "revisions")
    return list(section.parts)


def test_figures_of_both_runs_stand_side_by_side() -> None:
    found = parts(earlier())
    said = " ".join(part for part in found if isinstance(part, str)).replace("\u00a0", " ")
    assert "data of the run before reach 31 December 2018, those of this run 31 December 2019" in said
    # Two years of three flows and four stocks; the net of 2017 is as it was, the immigration is not.
    assert "Of 10 figures below that the run before called final, 1 moved" in said
    flows, stocks = (part for part in found if isinstance(part, Listing))
    rows = {row[:2]: row[2:] for row in flows.rows}
    assert [row[0] for row in flows.rows] == ["2018"] * 3 + ["2017"] * 3 + ["2016"] * 3
    assert rows["2017", "immigration"] == (3244, 5, 3251, 5, 7, "final", "final")
    assert rows["2018", "net migration"] == (2252, 10, 2252, 10, 0, "provisional", "final")
    assert len(stocks.rows) == 4 and {row[6] for row in stocks.rows} == {0}
    (others,) = (part for part in found if isinstance(part, Fold))
    assert any(isinstance(part, str) and "policy midpoint" in part for part in others.parts)


def test_a_figure_that_is_not_published_has_not_moved() -> None:
    before = earlier()
    hidden = before | {"flows": before["flows"].with_columns(n_settled=pl.lit(None, dtype=pl.Int64))}
    flows = next(part for part in parts(hidden) if isinstance(part, Listing))
    assert {row[6] for row in flows.rows} == {None}


def test_rules_that_one_run_alone_has_are_left_out() -> None:
    before = {name: frame.filter(policy="midpoint") for name, frame in earlier().items()}
    said = " ".join(part for part in parts(before) if isinstance(part, str))
    assert "policy midpoint: data" in said and "Left out: 1 rules and policies" in said
    none = {name: frame.filter(policy="nobody's") for name, frame in earlier().items()}
    assert "has published no rule and policy of this run" in str(parts(none)[0])


def test_the_page_says_how_to_compare_where_no_run_is_named() -> None:
    page = render_report(published(), ABOUT, find_earlier(None, None))
    text = re.sub(r"\s+", " ", page)
    assert "names no run before this one" in text and "miglink compare RUN_A RUN_B" in text


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_figures_are_read_from_the_outputs_of_the_run_before(tmp_path: Path, form: str) -> None:
    outputs = tmp_path / "outputs"
    assert "has published no stocks and flows" in str(find_earlier(tmp_path, None))
    outputs.mkdir()
    for name, frame in earlier().items():
        rows = frame.collect()
        rows.write_parquet(outputs / f"{name}.parquet") if form == "parquet" else rows.write_csv(
            outputs / f"{name}.csv"
        )
    read = find_earlier(tmp_path, None)
    assert not isinstance(read, str)
    assert parts(read) == parts(earlier())
    # Figures are set beside those that are protected in the same way alone.
    rounded = "rounded to multiples of 10"
    assert "not set side by side" in str(find_earlier(tmp_path, rounded))
    (outputs / PROTECTION).write_text(json.dumps({"method": rounded}), "utf-8")
    assert not isinstance(find_earlier(tmp_path, rounded), str)
    for other in (None, "rounded to multiples of 5"):
        assert "not under the same disclosure control" in str(find_earlier(tmp_path, other))
