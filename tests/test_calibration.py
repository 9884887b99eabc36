"""Calibration on clerical decisions, and pairs scored without the number that both sides hold."""

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from given_examples import is_quick
from given_links import link_identities, sized
from given_tables import TYPES
from miglink.config.stages import LinkageSettings
from miglink.engine import Engine
from miglink.stages.identities import find_identities
from miglink.stages.linkage import Identified
from miglink.stages.linkage.calibration import Calibration, Numbers, fit_line, read_calibration
from miglink.tables import TABLES
from test_linkage import linked, population, records_of


def verdicts(n: int, intercept: float, slope: float, seed: int) -> tuple[Numbers, Numbers]:
    """Log odds of the model, and verdicts of pairs whose log odds are a line of these."""
    chance = np.random.default_rng(seed)
    log_odds = chance.uniform(-5, 15, n)
    p = 1 / (1 + np.exp(-(intercept + slope * log_odds)))
    return log_odds, (chance.random(n) < p).astype(np.float64)


def test_a_line_is_found_again() -> None:
    log_odds, is_match = verdicts(20_000, -1.0, 0.6, 1)
    intercept, log_slope, covariance = fit_line(log_odds, is_match, np.ones(20_000))
    errors = np.sqrt(np.diag(covariance))
    assert abs(intercept + 1.0) < 4 * errors[0]
    assert abs(math.exp(log_slope) - 0.6) < 4 * errors[1]
    assert errors.max() < 0.05


def test_few_verdicts_leave_the_model_nearly_as_it_is() -> None:
    for n in (5, 40):
        intercept, log_slope, covariance = fit_line(np.full(n, 8.0), np.ones(n), np.ones(n))
        assert (abs(intercept), abs(log_slope)) < (0.1, 0.1)
        # All judged the same, all matches far below: the slope stays positive and the line finite.
        intercept, log_slope, _ = fit_line(np.full(n, -3.0), np.ones(n), np.ones(n))
        assert 0 < intercept < 8
        assert math.exp(log_slope) > 0
        assert np.diag(covariance).min() > 0


def test_weights_count_by_proportion_and_a_heavy_pair_is_not_many() -> None:
    log_odds, is_match = verdicts(500, 1.0, 1.2, 2)
    once = fit_line(log_odds, is_match, np.ones(500))
    assert np.allclose(once[:2], fit_line(log_odds, is_match, np.full(500, 37.0))[:2])
    heavy = np.ones(500)
    heavy[0] = 1e6
    # One pair is worth one pair whatever it weighs.
    intercept, log_slope, _ = fit_line(log_odds, is_match, heavy)
    assert abs(intercept) < 1.5
    assert abs(log_slope) < 0.5


def test_beyond_what_was_judged_the_slope_is_the_models(duckdb_engine: Engine) -> None:
    calibration = Calibration("judgements", 0.7, 0.5, -2.0, 10.0, 100, 100.0)
    weights = pl.DataFrame({"w": [-12.0, -2.0, 0.0, 10.0, 20.0]})
    found = duckdb_engine.collect(
        f"SELECT {calibration.weight_sql('w')} AS c, {calibration.probability_sql('w')} AS p FROM given",
        given=weights,
    )
    calibrated = found["c"].to_list()
    assert calibrated == pytest.approx(
        [w + 0.7 / math.log(2) - 0.5 * max(-2, min(10, w)) for w in weights["w"]]
    )
    assert calibrated == sorted(calibrated)
    assert found["p"].to_list() == pytest.approx([1 / (1 + 2**-c) for c in calibrated])
    assert Calibration().weight_sql("w") == "w"


def test_what_is_no_calibration_is_refused() -> None:
    assert read_calibration(None) == Calibration()
    whole = Calibration("judgements", 0.5, 0.9, -1.0, 3.0, 40, 31.5).describe()
    assert read_calibration(whole).describe() == whole
    for wrong in ({"method": "guess"}, {"slope": -1.0}):
        with pytest.raises(ValueError, match="no calibration"):
            read_calibration(whole | wrong)


def judged(
    engine: Engine, rows: list[dict[str, Any]], pairs: pl.DataFrame, folder: Path, model: Path | None
) -> Any:
    """The links of these rows with verdicts on pairs (l, r, verdict), and the model."""
    identities, record_identities = find_identities(engine, records_of(rows, engine))
    decided = pairs.select(
        source_l=pl.lit("s"),
        record_id_l=pl.col("l").cast(pl.String).str.zfill(9),
        source_r=pl.lit("s"),
        record_id_r=pl.col("r").cast(pl.String).str.zfill(9),
        verdict=pl.col("verdict").cast(pl.String),
    )
    none = {
        c.name: pl.lit(None, TYPES[c.type])
        for c in TABLES["judgements"].columns
        if c.name not in decided.columns
    }
    judgements = engine.query("judgements", "SELECT * FROM decided", decided=decided.with_columns(**none))
    identified = Identified(identities, record_identities, judgements)
    folder.mkdir()
    links = link_identities(engine, identified, LinkageSettings(model=model), (), folder)
    found = engine.collect("SELECT * FROM links ORDER BY identity_id_l, identity_id_r", links=links)
    return found, json.loads((folder / "model.json").read_text())


def test_probabilities_follow_what_clerks_decide(engine: Engine, tmp_path: Path) -> None:
    rows, _ = population(sized(engine, 800), 41)
    plain, _ = linked(engine, rows, tmp_path)
    assert plain["p_calibrated"].equals(plain["p_match"])
    rng = random.Random(1)
    # Clerks find far fewer matches than the model thinks.
    asked = (
        plain.unique(["identity_id_l", "identity_id_r"])
        .sort("identity_id_l", "identity_id_r")
        .select("l", "r")
    )
    verdict = [rng.choice(["match", "non_match", "unsure"]) for _ in range(asked.height)]
    decided = asked.with_columns(verdict=pl.Series(verdict)).head(asked.height // 2)
    few, model = judged(engine, rows, decided.head(20), tmp_path / "few", tmp_path)
    assert (model["calibration"]["method"], model["calibration"]["slope"]) == ("model", 1.0)
    free = few.filter(pl.col("blocking_rule") != "judgement")
    assert free["p_calibrated"].equals(free["p_match"])

    found, model = judged(engine, rows, decided, tmp_path / "many", tmp_path)
    calibration = model["calibration"]
    assert calibration["method"] == "judgements"
    assert calibration["n_judged"] == decided.filter(pl.col("verdict") != "unsure").height
    assert not calibration["is_weighted"]
    bound = found.filter(blocking_rule="judgement")
    assert bound.height == decided.filter(verdict="match").height
    assert bound["p_calibrated"].eq(1.0).all()
    free = found.filter(pl.col("blocking_rule") != "judgement").sort("match_weight")
    assert free["p_calibrated"].mean() < free["p_match"].mean() - 0.2
    assert free["p_calibrated"].is_sorted()

    # The calibration goes with the model; nobody has judged anything there.
    again, reused = judged(engine, rows, decided.clear(), tmp_path / "again", tmp_path / "many")
    assert reused["calibration"] == calibration
    both = free.join(again, on=["identity_id_l", "identity_id_r"])
    assert both.height == free.height
    assert both["p_calibrated"].equals(both["p_calibrated_right"])


def test_pairs_are_scored_without_the_number_that_both_hold(engine: Engine, tmp_path: Path) -> None:
    rows, owners = population(sized(engine, 800), 42)
    rng = random.Random(2)
    numbered = [
        {**row, "person_number": f"{owner:08}" if rng.random() < 0.6 else None}
        for row, owner in zip(rows, owners, strict=True)
    ]
    # One more record of some, which nothing but the number leads to.
    numbered += [
        {"person_number": f"{owner:08}", "sex": "male", "surname": None, "given_names": None, "birth_date": None,
         "citizenship": None, "document_number": None, "document_country": None}
        for owner in range(0, 100, 10)
    ]  # fmt: skip
    links, model = linked(engine, numbered, tmp_path)
    assert model["held_out"]["field"] == "person_number"
    known = pl.col("level_person_number") != "not known"
    assert links.filter(~known)["p_without_number"].null_count() == links.filter(~known).height
    held = links.filter(known)
    assert held["p_without_number"].null_count() == 0
    last = held.filter(pl.col("r") >= len(rows))
    assert last.height > 0
    assert last["p_without_number"].eq(0.0).all()
    (entry,) = (c for c in model["settings"]["comparisons"] if c["output_column_name"] == "person_number")
    terms = {
        level["label_for_charts"]: math.log2(level["m_probability"] / level["u_probability"])
        for level in entry["comparison_levels"]
        if not level.get("is_null_level")
    }
    found = held.filter(pl.col("p_without_number") > 0, pl.col("match_weight") < 1000)
    assert found.height > (300 if is_quick(engine) else 20)
    weight = found["match_weight"] - found["level_person_number"].replace_strict(
        terms, return_dtype=pl.Float64
    )
    expected = 1 / (1 + (-weight * math.log(2)).exp())
    assert (expected - found["p_without_number"]).abs().max() < 2e-6  # type: ignore[operator]
    bands = model["held_out"]["bands"]
    assert sum(band["n_pairs"] for band in bands) > 0
    top = bands[-1]
    assert (top["from_p"], top["observed_share"] > 0.99) == (0.9999, True)
