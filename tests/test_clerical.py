"""Figures from a drawn sample: right by hand, unbiased and covered over many samples, whatever the order of rows."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from given_tables import name_table
from miglink.engine import Engine
from miglink.sample_pairs import allocate
from miglink.stages.linkage import clerical
from miglink.stages.linkage.clerical import estimate_clerical, estimate_shares, measure_review

ACCEPT = 0.9
# Strata of made populations: pairs, share of matches, and whether the model accepts the pairs.
MIDDLING = ((300, 0.02, False), (120, 0.3, False), (60, 0.7, True), (500, 0.95, True), (2000, 0.995, True))
RARE = ((5000, 0.004, False), (400, 0.1, False), (300, 0.8, True), (3000, 0.99, True))
CLEAN = ((200, 0.0, False), (100, 0.5, False), (1000, 1.0, True))


def row(stratum: str, weight: float, verdict: str | None, is_accepted: bool, sources: str = "a / b") -> Any:
    return (sources, stratum, weight, verdict, is_accepted)


def reviewed(rows: list[Any]) -> pl.DataFrame:
    schema = {
        "sources": pl.String,
        "stratum": pl.String,
        "sampling_weight": pl.Float64,
        "verdict": pl.String,
        "is_accepted": pl.Boolean,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def by_hand() -> list[Any]:
    """Ten accepted pairs for which two are looked at, four others for which two are, and a census of three."""
    return [
        *(row("high", 5.0, verdict, True) for verdict in ("match", "non_match")),
        *(row("low", 2.0, verdict, False) for verdict in ("match", "non_match")),
        *(row("middle", 1.0, verdict, True) for verdict in ("match", "match", "non_match")),
    ]


def figures(rows: list[Any]) -> dict[str, float]:
    found = measure_review(reviewed(rows)).filter(item="all")
    return dict(found.select("measure", "value").iter_rows())


def test_figures_by_hand() -> None:
    found = figures(by_hand())
    assert found["clerical_pairs"] == 17
    assert (found["clerical_drawn"], found["clerical_decided"]) == (7, 7)
    assert found["clerical_precision"] == pytest.approx((5 + 2) / 13)
    assert found["clerical_recall"] == pytest.approx((5 + 2) / (5 + 2 + 2))
    for name in ("precision", "recall"):
        low, high = found[f"clerical_{name}_low"], found[f"clerical_{name}_high"]
        assert 0 < low < found[f"clerical_{name}"] < high < 1
    assert not any("unsure_as" in name for name in found)


def test_what_is_unsure_or_not_decided_keeps_its_weight() -> None:
    """The stratum stays as large; its share is that of the decided pairs."""
    open_rows = [row("high", 5.0, "unsure", True), row("high", 5.0, None, True), row("high", 5.0, None, True)]
    found = figures([*by_hand(), *open_rows])
    assert (found["clerical_unsure"], found["clerical_undecided"], found["clerical_decided"]) == (1, 2, 7)
    assert found["clerical_pairs"] == 32
    assert found["clerical_precision"] == pytest.approx((25 / 2 + 2) / 28)
    assert found["clerical_precision_unsure_as_match"] == pytest.approx((25 * 2 / 3 + 2) / 28)
    assert found["clerical_precision_unsure_as_non_match"] == pytest.approx((25 / 3 + 2) / 28)
    assert found["clerical_recall_unsure_as_match"] > found["clerical_recall"]


def test_a_stratum_without_decisions_is_taken_to_be_like_the_others() -> None:
    found = figures([*by_hand(), row("higher", 13.0, None, True)])
    assert found["clerical_precision"] == pytest.approx((5 + 2) / 13)
    assert found["clerical_precision_low"] < figures(by_hand())["clerical_precision_low"]


def test_a_census_is_certain_and_one_stratum_has_the_interval_of_jeffreys() -> None:
    census = [row("all", 1.0, "match" if i else "non_match", True) for i in range(8)]
    assert estimate_shares(reviewed(census).with_columns(is_inside=True))["precision"] == (7 / 8,) * 3
    # Nothing but matches among 50 of very many: the quantile of Beta(50.5, 0.5) at 0.025 is 0.9508.
    many = [row("all", 1e6, "match", True) for _ in range(50)]
    share, low, high = estimate_shares(reviewed(many).with_columns(is_inside=True))["precision"]
    assert (share, high) == (1.0, 1.0)
    assert low == pytest.approx(0.9508, abs=0.003)
    # 30 matches among 40: the quantiles of Beta(30.5, 10.5).
    some = [row("all", 1e6, "match" if i < 30 else "non_match", True) for i in range(40)]
    limits = estimate_shares(reviewed(some).with_columns(is_inside=True))["precision"][1:]
    assert limits == pytest.approx((0.6013, 0.8642), abs=0.004)


def test_without_a_sample_or_without_decisions_there_are_no_shares() -> None:
    assert measure_review(reviewed([])).is_empty()
    undecided = [row("a", 2.0, None, True), row("b", 2.0, "match", False)]
    assert not any("precision" in name or "recall" in name for name in figures(undecided))
    assert figures([row("a", 2.0, "non_match", True)]).keys().isdisjoint({"clerical_recall"})


def test_sources_with_enough_decisions_have_figures_of_their_own() -> None:
    """Those of a domain: its rows of each stratum with their weights, whatever else the stratum holds."""
    rows = [row("mixed", 3.0, "match" if i % 4 else "non_match", True, "a / b") for i in range(20)]
    rows += [row("mixed", 3.0, "non_match", True, "c / d") for _ in range(19)]
    found = measure_review(reviewed(rows))
    assert set(found["item"]) == {"all", "a / b"}
    own = dict(found.filter(item="a / b").select("measure", "value").iter_rows())
    assert own["clerical_pairs"] == 60
    assert own["clerical_precision"] == pytest.approx(0.75)


@given(st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_the_order_of_rows_never_matters(random: Any) -> None:
    rows = [*by_hand(), row("high", 5.0, "unsure", True), row("low", 2.0, None, False)]
    expected = measure_review(reviewed(rows))
    random.shuffle(rows)
    assert measure_review(reviewed(rows)).equals(expected)


@pytest.mark.parametrize(("population", "n"), [(MIDDLING, 150), (RARE, 200), (CLEAN, 80)])
def test_over_many_samples_estimates_are_unbiased_and_intervals_cover(
    monkeypatch: pytest.MonkeyPatch, population: tuple[tuple[int, float, bool], ...], n: int
) -> None:
    """200 samples of a population whose matches are known; 95 % intervals hold them in 88 % or more."""
    monkeypatch.setattr(clerical, "_DRAWS", 2000)
    rng = np.random.default_rng(20)
    sizes, shares, accepted = (np.array(column) for column in zip(*population, strict=True))
    matches = np.rint(sizes * shares).astype(int)
    counts = allocate(sizes, np.sqrt(np.clip(shares * (1 - shares), 0.01, None)), n)
    assert counts.sum() == n
    truth = {
        "precision": matches[accepted].sum() / sizes[accepted].sum(),
        "recall": matches[accepted].sum() / matches.sum(),
    }
    estimates: dict[str, list[tuple[float, float, float]]] = {name: [] for name in truth}
    for _ in range(200):
        found = rng.hypergeometric(matches, sizes - matches, counts)
        verdicts = np.concatenate([np.arange(m) < k for m, k in zip(counts, found, strict=True)])
        sample = pl.DataFrame(
            {
                "stratum": np.repeat(np.arange(len(sizes)), counts),
                "sampling_weight": np.repeat(sizes / counts, counts),
                "verdict": np.where(verdicts, "match", "non_match"),
                "is_accepted": np.repeat(accepted, counts),
                "is_inside": True,
            }
        )
        assert sample["sampling_weight"].sum() == pytest.approx(sizes.sum())
        for name, values in estimate_shares(sample).items():
            estimates[name].append(values)
    for name, value in truth.items():
        share, low, high = np.array(estimates[name]).T
        error = share.std() / np.sqrt(len(share))
        assert abs(share.mean() - value) < 4 * error + 0.002, name
        assert ((low <= value) & (value <= high)).mean() >= 0.88, name


def decision(left: str, right: str, **further: Any) -> dict[str, Any]:
    pair = {"source_l": "a", "record_id_l": left, "source_r": "b", "record_id_r": right, "verdict": "match"}
    return pair | {"stratum": "s", "sampling_weight": 2.0} | further


def link(left: str, right: str, rule: str, p: float, model_p: float | None = None) -> dict[str, Any]:
    ids = {"identity_id_l": left, "identity_id_r": right, "blocking_rule": rule, "match_weight": 1.0}
    return ids | {"p_match": p, "p_calibrated": p, "model_p_match": model_p, "model_p_calibrated": model_p}


def test_pairs_are_accepted_by_the_model_alone(engine: Engine) -> None:
    """Decisions bind: of a bound pair the model's own probability counts, whatever `links` says now."""
    records = [("a", name, f"i{name}") for name in "1234567"]
    records += [("b", name, f"j{name}") for name in "123456"] + [("b", "7", "i7")]
    judgements = [
        decision("1", "1"),
        decision("2", "2"),
        decision("3", "3"),
        decision("4", "4", verdict="non_match"),
        decision("5", "5", verdict=None),
        decision("6", "6", verdict="unsure"),
        decision("7", "7"),
        decision("7", "gone"),
        decision("1", "2", stratum=None, sampling_weight=None),
    ]
    links = [
        link("i1", "j1", "judgement", 1.0, 0.95),
        link("i2", "j2", "judgement", 1.0, 0.4),
        link("i3", "j3", "judgement", 1.0),
        link("i4", "j4", "name", 0.93),
        link("i6", "j6", "name", 0.97),
    ]
    names = ("source", "record_id", "identity_id")
    found = estimate_clerical(
        engine,
        name_table(engine, "judgements", judgements),
        name_table(engine, "record_identities", [dict(zip(names, one, strict=True)) for one in records]),
        name_table(engine, "links", links),
        ACCEPT,
    )
    values = dict(found.filter(item="all").select("measure", "value").iter_rows())
    # Accepted: 1, 4, 6 (unsure) and 7, one identity. Not: 2, 3 and 5, which is not in `links` and not decided.
    assert values["clerical_pairs"] == 14
    assert (values["clerical_decided"], values["clerical_unsure"], values["clerical_undecided"]) == (5, 1, 1)
    assert values["clerical_precision"] == pytest.approx(2 / 3)
    assert values["clerical_recall"] == pytest.approx((8 * 2 / 3) / (8 * 2 / 3 + 6))
