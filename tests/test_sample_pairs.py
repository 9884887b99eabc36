"""Pairs drawn for clerical review: the design, the file, and the way there and back on a country of known truth."""

import re
import stat
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from miglink.cli import main
from miglink.config.stages import PersonsSettings
from miglink.engine import Table
from miglink.errors import ConfigError
from miglink.explain.inputs import open_run
from miglink.sample_pairs import allocate, band_edges, plan_sample, sample_pairs, source_of
from miglink.stages.publish import render_summary
from miglink.stages.publish.delimited import guard_formulas
from synthetic.__main__ import make_country
from synthetic.chance import Chance

ACCEPT = PersonsSettings().accept_p_match
N = 150
RECORDS = ["source_l", "record_id_l", "source_r", "record_id_r"]
BOUND = ["judgement", "given_person"]


def run_country(config: Path, out: Path) -> Path:
    command = ["run", str(config), "--out", str(out), "--log-format", "json", "--to", "quality"]
    assert main([*command, "--set", "linkage.training_pairs=100000"]) == 0
    return out


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small country, and a run of it."""
    folder = tmp_path_factory.mktemp("sampled")
    make_country(500, "high", Chance(5), folder / "made")
    run_country(folder / "made" / "country.yml", folder / "run")
    return folder


def read(file: Path) -> pl.DataFrame:
    return pl.read_csv(file, infer_schema=False).with_columns(
        pl.col("sampling_weight", "p_match").cast(float)
    )


def truth(made: Path) -> pl.DataFrame:
    return pl.read_parquet(made / "made" / "truth" / "record_persons.parquet")


def with_truth(made: Path, pairs: pl.DataFrame) -> pl.Series:
    """Whether the two records of each pair are of one true person."""
    for side in ("l", "r"):
        owners = truth(made).select(
            pl.col("source").alias(f"source_{side}"),
            pl.col("record_id").alias(f"record_id_{side}"),
            pl.col("true_person_id").alias(f"person_{side}"),
        )
        pairs = pairs.join(
            owners, on=[f"source_{side}", f"record_id_{side}"], how="left", maintain_order="left"
        )
    assert pairs["person_l"].null_count() == pairs["person_r"].null_count() == 0
    return pairs.select(pl.col("person_l") == pl.col("person_r")).to_series()


# -- the design -------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(1, 3000), st.floats(0.1, 0.5)), min_size=1, max_size=30),
    st.integers(1, 2000),
)
@settings(max_examples=200, deadline=None)
def test_every_stratum_is_drawn_from_and_none_beyond_its_size(
    strata: list[tuple[int, float]], further: int
) -> None:
    sizes, spreads = np.array([size for size, _ in strata]), np.array([spread for _, spread in strata])
    n = len(sizes) + further
    counts = allocate(sizes, spreads, n)
    assert counts.sum() == min(n, sizes.sum())
    assert (counts >= 1).all() and (counts <= sizes).all()
    # Half of the sample is spread evenly.
    assert (counts >= np.minimum(sizes, max(n // (2 * len(sizes)), 1))).all()


def test_of_two_strata_of_one_size_the_doubtful_gets_more() -> None:
    assert allocate(np.array([1000, 1000]), np.array([0.1, 0.5]), 120).tolist() == [40, 80]


def counted(*rows: tuple[int, str, int]) -> pl.DataFrame:
    schema = {"band": pl.Int64, "sources": pl.String, "n_pairs": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        p_match=pl.lit(0.5), weight_band=pl.format("band {}", "band")
    )


def test_small_sources_share_a_stratum_and_few_pairs_have_bands_alone() -> None:
    few = counted((0, "a / a", 60), (0, "a / b", 36), (0, "b / b", 4), (1, "a / b", 10))
    assert plan_sample(few, 16)["stratum"].to_list() == [
        "band 0; a / a",
        "band 0; a / b",
        "band 0; other sources",
        "band 1; a / b",
    ]
    assert plan_sample(few, 15)["stratum"].to_list() == ["band 0"] * 3 + ["band 1"]
    with pytest.raises(ConfigError, match="--n 1: fewer than the 2 bands"):
        plan_sample(few, 1)


def test_the_bands_part_what_is_accepted_from_what_is_not() -> None:
    assert band_edges(0.9) == [-3, 0, 3.169925, 7, 10, 20]
    assert band_edges(0.5) == [-3, 0, 7, 10, 20]


# -- the file ---------------------------------------------------------------------------------------------------------


def test_weights_add_up_to_the_pairs_that_the_model_scored(made: Path, tmp_path: Path) -> None:
    links = pl.read_parquet(made / "run" / "tables" / "links.parquet")
    scored = links.filter(~pl.col("blocking_rule").is_in(BOUND))
    drawn = sample_pairs(made / "run", N, 1, tmp_path / "drawn.csv")
    rows = read(drawn.file)
    assert rows.height == N == drawn.strata["n_drawn"].sum()
    assert rows["sampling_weight"].sum() == pytest.approx(scored.height)
    assert drawn.strata["n_pairs"].sum() == scored.height
    sizes = rows.group_by("stratum").agg(pl.col("sampling_weight").sum()).sort("stratum")
    assert sizes["sampling_weight"].to_list() == pytest.approx(
        drawn.strata.sort("stratum")["n_pairs"].to_list()
    )
    weight = pl.col("match_weight").cast(float)
    bands = rows.group_by("weight_band").agg(low=weight.min(), high=weight.max()).sort("low")
    edges = band_edges(ACCEPT)
    assert bands["weight_band"][0] == "weight below -3" and bands.height == len(edges) + 1
    assert all(
        high < edge <= low
        for high, edge, low in zip(bands["high"][:-1], edges, bands["low"][1:], strict=True)
    )
    assert rows.select(RECORDS).is_unique().all()
    assert rows.select("verdict", "reviewer", "decided_at").null_count().row(0) == (N, N, N)


def test_a_sample_is_the_same_whatever_the_order_of_rows(made: Path, tmp_path: Path) -> None:
    first = read(sample_pairs(made / "run", N, 1, tmp_path / "first.csv").file)
    with open_run(made / "run") as run:
        names = ("links", "record_identities")
        paths = [run.tables[name].path for name in names]
    kept = [path.read_bytes() for path in paths]
    try:
        for path in paths:
            pl.read_parquet(path).sample(fraction=1, shuffle=True, seed=3).write_parquet(path)
        again = read(sample_pairs(made / "run", N, 1, tmp_path / "again.csv").file)
    finally:
        for path, content in zip(paths, kept, strict=True):
            path.write_bytes(content)
    assert again.equals(first)
    other = read(sample_pairs(made / "run", N, 2, tmp_path / "other.csv").file)
    assert not other.select(RECORDS).equals(first.select(RECORDS))


def test_only_the_values_asked_for_are_written_and_only_for_the_owner(made: Path, tmp_path: Path) -> None:
    plain, shown = tmp_path / "plain.csv", tmp_path / "shown.csv"
    sample_pairs(made / "run", 60, 1, plain)
    sample_pairs(made / "run", 60, 1, shown, show_values=True)
    given_columns = ["verdict", "reviewer", "decided_at", "stratum", "weight_band", "sampling_weight"]
    assert read(plain).columns == [*RECORDS, *given_columns, "match_weight", "p_match"]
    rows = read(shown)
    assert rows.select(RECORDS).equals(read(plain).select(RECORDS))
    assert {"surname_l", "surname_r", "birth_date_l", "document_number_r"} <= set(rows.columns)
    records = pl.read_parquet(made / "run" / "tables" / "records.parquet").select(
        "source", "record_id", "surname"
    )
    for side in ("l", "r"):
        found = rows.join(
            guard_formulas(records), left_on=[f"source_{side}", f"record_id_{side}"], right_on=["source", "record_id"],
            how="left", maintain_order="left",
        )  # fmt: skip
        assert found["surname"].equals(found[f"surname_{side}"], null_equal=True)
    if sys.platform != "win32":
        assert {stat.S_IMODE(path.stat().st_mode) for path in (plain, shown)} == {0o600}
    with pytest.raises(ConfigError, match="exists, and may hold decisions"):
        sample_pairs(made / "run", 60, 1, plain)


# -- there and back ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judged(made: Path) -> Path:
    """The run again, with the sample decided on as the truth says, but for two pairs unsure and three left open."""
    assert main(["sample-pairs", str(made / "run"), "--n", "300"]) == 0
    rows = read(made / "run" / "sample_pairs-1.csv")
    verdicts = pl.when(with_truth(made, rows)).then(pl.lit("match")).otherwise(pl.lit("non_match"))
    place = pl.int_range(pl.len())
    verdict = pl.when(place < 2).then(pl.lit("unsure")).when(place >= 5).then(verdicts)
    review = made / "made" / "review.csv"
    rows.with_columns(verdict=verdict).write_csv(review)
    config = made / "made" / "country.yml"
    text = config.read_text("utf-8").replace("\nresidence:\n", f"{source_of(review)}\nresidence:\n")
    (made / "made" / "judged.yml").write_text(text, encoding="utf-8")
    return run_country(made / "made" / "judged.yml", made / "judged")


def test_precision_and_recall_are_near_those_of_the_truth(made: Path, judged: Path) -> None:
    quality = pl.read_parquet(judged / "tables" / "quality.parquet")
    own = quality.filter(pl.col("measure").str.starts_with("clerical_"), item="all")
    found = dict(own.select("measure", "value").iter_rows())
    assert (found["clerical_drawn"], found["clerical_unsure"], found["clerical_undecided"]) == (300, 2, 3)
    links = pl.read_parquet(made / "run" / "tables" / "links.parquet")
    links = links.filter(~pl.col("blocking_rule").is_in(BOUND))
    first = pl.read_parquet(made / "run" / "tables" / "record_identities.parquet").unique("identity_id")
    for side in ("l", "r"):
        links = links.join(
            first.select(pl.all().name.suffix(f"_{side}")), on=f"identity_id_{side}", maintain_order="left"
        )
    # The decisions calibrate the run that reads them, and it accepts by what comes of that.
    decided = pl.read_parquet(judged / "tables" / "links.parquet").select(
        "identity_id_l", "identity_id_r", p=pl.coalesce("model_p_calibrated", "p_calibrated")
    )
    links = links.join(decided, on=["identity_id_l", "identity_id_r"], maintain_order="left")
    is_match, is_accepted = with_truth(made, links), links["p"] >= ACCEPT
    assert found["clerical_pairs"] == pytest.approx(links.height)
    n_found, n_accepted, n_matches = (
        int(one.sum()) for one in (is_match & is_accepted, is_accepted, is_match)
    )
    for name, value in (("precision", n_found / n_accepted), ("recall", n_found / n_matches)):
        assert found[f"clerical_{name}"] == pytest.approx(value, abs=0.02)
        assert found[f"clerical_{name}_low"] <= value <= found[f"clerical_{name}_high"], name


def test_decisions_bind_and_leave_the_population_as_it_was(made: Path, judged: Path, tmp_path: Path) -> None:
    judgements = pl.read_parquet(judged / "tables" / "judgements.parquet")
    assert judgements["verdict"].null_count() == 3
    links = pl.read_parquet(judged / "tables" / "links.parquet")
    bound = links.filter(blocking_rule="judgement")
    assert bound.height == judgements.filter(verdict="match").height > 100
    assert bound["model_p_match"].null_count() == 0 and bound["p_match"].unique().to_list() == [1.0]
    assert links.filter(~pl.col("blocking_rule").is_in(BOUND))["model_p_match"].count() == 0
    n_pairs = sample_pairs(made / "run", N, 4, tmp_path / "before.csv").strata["n_pairs"].sum()
    assert sample_pairs(judged, N, 4, tmp_path / "after.csv").strata["n_pairs"].sum() == n_pairs


def test_the_strata_are_printed_and_how_to_read_the_file_back(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample-pairs", str(made / "run"), "--n", "40", "--out", str(tmp_path / "x.csv")]) == 0
    printed = capsys.readouterr().out
    assert "weight 20 and above" in printed and "kind: judgements" in printed
    assert main(["sample-pairs", str(made / "run"), "--n", "2", "--out", str(tmp_path / "y.csv")]) == 2
    assert "bands of weight" in capsys.readouterr().err
    assert main(["sample-pairs", str(made / "made"), "--n", "40"]) == 2


def test_the_summary_says_what_the_review_found(judged: Path, made: Path) -> None:
    said = []
    for folder in (judged, made / "run"):
        tables = [
            Table(name, folder / "tables" / f"{name}.parquet")
            for name in ("stocks", "flows", "accounts", "quality")
        ]
        console = Console(width=200, color_system=None)
        with console.capture() as captured:
            console.print(render_summary(*tables))
        said.append(captured.get().splitlines()[-1])
    shares = r"\d\.\d{4} \(0\.\d{4} to \d\.\d{4}\)"
    assert re.fullmatch(
        rf"Clerical review, 295 decided pairs of [\d,]+ in `links`: precision {shares}, recall {shares}\.",
        said[0],
    )
    assert "Clerical" not in said[1]
