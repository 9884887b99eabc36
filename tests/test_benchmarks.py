"""What compares two benchmarks finds what it must find, and the page says what the results say."""

import copy
import json
import re
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks import calibration, compare, draws, febrl, growth, linkage_draws, measured, page, slowed
from miglink import pipeline
from miglink.engine import Engine

BASELINE = json.loads((page.FOLDER / "results" / "baseline-small.json").read_text(encoding="utf-8"))


def past(result: dict[str, Any]) -> list[str]:
    return [line.measure for line in compare.compare(BASELINE, result) if line.is_past]


def changed() -> dict[str, Any]:
    return copy.deepcopy(BASELINE)


def test_the_same_is_the_same() -> None:
    assert past(BASELINE) == []
    table = compare.as_markdown(compare.compare(BASELINE, BASELINE))
    assert len(table.splitlines()) > 30
    assert all(line.count("|") == 6 for line in table.splitlines())


def test_a_stage_done_twice_is_found() -> None:
    for place, stage in enumerate(BASELINE["countries"][0]["stages"]):
        if stage["cpu_seconds"] >= BASELINE["yardstick"]["cpu_seconds"]:
            result = changed()
            result["countries"][0]["stages"][place]["cpu_seconds"] *= 2
            assert past(result) == [f"time of {stage['stage']}"]


def test_another_machine_is_not_slower() -> None:
    """Twice the CPU seconds of everything, the yardstick's too."""
    result = changed()
    for taken in (result["yardstick"], result["countries"][0]["ran"], *result["countries"][0]["stages"]):
        taken["cpu_seconds"] *= 2
    assert past(result) == []
    # Nor is a small stage judged by its time: the smallest scatter.
    result["countries"][0]["stages"][7]["cpu_seconds"] = 0.9 * result["yardstick"]["cpu_seconds"]
    assert BASELINE["countries"][0]["stages"][7]["stage"] == "quality"
    assert past(result) == []


def test_what_got_slower_everywhere_is_found_in_the_whole() -> None:
    """The yardstick as before, all else half as long again: no stage stands out, and the run is past its limit."""
    result = changed()
    for taken in (result["countries"][0]["ran"], *result["countries"][0]["stages"]):
        taken["cpu_seconds"] *= 1.5
    assert past(result) == ["time of the run"]


def test_what_holds_too_much_memory_is_ended() -> None:
    hungry = [sys.executable, "-c", "held = bytearray(400_000_000); import time; time.sleep(60)"]
    with pytest.raises(measured.TooLarge, match=r"more than 0\.2 GB"):
        measured.timed(hungry, 200e6)


@pytest.mark.parametrize(
    ("measure", "worse"), [("recall over", -0.01), ("split per 1,000", 5.0), ("relative error", 0.05)]
)
def test_a_loss_of_accuracy_is_found(measure: str, worse: float) -> None:
    for name in BASELINE["countries"][0]["accuracy"]:
        if measure in name:
            result = changed()
            result["countries"][0]["accuracy"][name] += worse
            assert past(result) == [name]
            result["countries"][0]["accuracy"][name] -= 2 * worse
            assert past(result) == []
            del result["countries"][0]["accuracy"][name]
            assert past(result) == [name]


def test_more_memory_and_larger_tables_are_found() -> None:
    result = changed()
    result["countries"][0]["ran"]["peak_memory_bytes"] *= 2
    result["countries"][0]["stages"][0]["bytes"] *= 2
    assert past(result) == ["peak memory, MB", "bytes of ingest, MB"]


def test_other_countries_are_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = changed()
    result["countries"][0]["seed"] = 9
    other = tmp_path / "other.json"
    other.write_text(json.dumps(result), encoding="utf-8")
    baseline = page.FOLDER / "results" / "baseline-small.json"
    monkeypatch.setattr("sys.argv", ["compare", str(baseline), str(other)])
    assert compare.main() == 2
    monkeypatch.setattr("sys.argv", ["compare", str(baseline), str(baseline)])
    assert compare.main() == 0


def test_every_stage_can_be_slowed() -> None:
    assert list(slowed._FUNCTIONS) == list(pipeline.STAGES)
    assert all(callable(getattr(module, name)) for module, name in slowed._FUNCTIONS.values())
    calls: list[int] = []
    slowed.twice(calls.append)(1)
    assert calls == [1, 1]


def test_the_page_says_what_the_results_say() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in page.PAGES}
    named = [name for text in texts.values() for name in re.findall("<!-- begin (\\w+) -->", text)]
    assert sorted(named) == sorted(page.PARTS)
    assert {path: page.fill(text, page.FOLDER / "results") for path, text in texts.items()} == texts


def test_an_exponent_is_found_beside_a_price() -> None:
    def taken(n: int) -> dict[str, Any]:
        return {
            "records": n,
            "linkage": {"seconds": 7 + 2e-6 * n, "cpu_seconds": 7 + 1e-9 * n**1.5, "peak_memory_bytes": 5.0},
        }

    result: dict[str, Any] = {"setup": taken(0), "sizes": [taken(10**6), taken(4 * 10**6), taken(10**7)]}
    # Memory that did not grow has no exponent.
    assert growth.fit("linkage", result) == {"seconds": 1.0, "cpu_seconds": 1.5}
    assert growth.fit("linkage", {**result, "sizes": result["sizes"][:1]}) == {}


def test_pairs_and_clusters_are_measured() -> None:
    """Persons 1 (three records, one astray), 2 (two, found), 3 and 4 (one each, joined)."""
    truth = pl.DataFrame({"source": ["a"] * 7, "id": list("tuvwxyz"), "person": list("1112234")})
    found = pl.DataFrame({"source": ["a"] * 7, "id": list("tuvwxyz"), "found": list("AABCCDD")})
    measured = febrl.measure(truth, found)
    assert measured["pair_precision"] == round(2 / 3, 5)
    assert measured["pair_recall"] == 0.5
    assert measured["cluster_precision"] == round(1 / 3, 5)
    assert measured["cluster_recall"] == 0.5


def test_febrl_is_read_without_its_number() -> None:
    lists = febrl.read_lists(4)
    assert lists.height == 10_000
    assert lists["person"].n_unique() == 5000
    assert not {"soc_sec_id", "rec_id"} & set(lists.columns)
    assert lists["birth_date"].drop_nulls().str.contains(r"^\d{4}-\d{2}-\d{2}$").all()


def test_calibration_error_is_the_mean_distance_over_bins() -> None:
    # One bin of two pairs 0.95 apart from the truth by 0.45, one of two that is right; 1 belongs to the last bin.
    pairs = pl.DataFrame(
        {"p_calibrated": [0.96, 0.94 + 0.01, 0.5, 0.5, 1.0], "is_match": [True, False, True, False, True]}
    )
    expected = (3 * abs((0.96 + 0.95 + 1.0) / 3 - 2 / 3) + 2 * 0.0) / 5
    assert calibration.calibration_error(pairs) == pytest.approx(expected, abs=1e-6)


def test_draws_are_set_beside_the_truth_by_band(duckdb_engine: Engine) -> None:
    """Two links of .7 and .8, one of them right, joined in one draw of two and in both."""
    links = [("a", "b", 0.7), ("c", "d", 0.8)]
    people = {1: ["p 0", "p 0", "q 0", "q 0"], 2: ["p 0", "p 1", "q 0", "q 0"]}
    drawn = [
        {"draw": draw, "identity_id": identity, "person_id": name[0], "part": int(name[2])}
        for draw, names in people.items() for identity, name in zip("abcd", names, strict=True)
    ]  # fmt: skip
    frames = {
        "links": pl.DataFrame(
            [
                {"identity_id_l": a, "identity_id_r": b, "p_calibrated": p, "blocking_rule": "name"}
                for a, b, p in links
            ]
        ),
        "person_draws": pl.DataFrame(drawn),
        "identity_persons": pl.DataFrame({"identity_id": list("abcd"), "person_id": list("ppqq")}),
        "owners": pl.DataFrame({"identity_id": list("abcd"), "owner": [1, 1, 2, 3]}),
    }
    tables = {name: duckdb_engine.frame(name, frame) for name, frame in frames.items()}
    (band,) = linkage_draws.compare_bands(duckdb_engine, tables)
    assert band == {"from_p": 0.7, "n": 2, "p": 0.75, "joined": 0.75, "matches": 0.5}
    numbers = linkage_draws.compare_numbers(duckdb_engine, tables)
    assert numbers["persons"] == {"true": 3, "best": 2, "mean": 2.5, "sd": 0.7, "least": 2, "most": 3}
    assert numbers["pairs"] == {"true": 1, "best": 2, "mean": 1.5, "sd": 0.7, "least": 1, "most": 2}


def test_limits_are_counted_by_measure_and_kind() -> None:
    rate = {"estimate": 0.2, "low": 0.1, "high": 0.3, "true": 0.2, "is_within": True}
    rates = [
        rate | {"item": "false_link_rate all"},
        rate | {"item": "missed_link_rate a|b", "true": 0.4, "is_within": False},
        rate | {"item": "missed_link_rate b|b"},
    ]
    found = calibration.summarise([{"calibration_error": {"without": 0.01}, "rates": rates}])
    assert found["calibration_error"] == {"without": {"mean": 0.01, "highest": 0.01}}
    assert set(found["limits"]) == {"false_link_rate, all", "missed_link_rate, by sources"}
    by_sources = found["limits"]["missed_link_rate, by sources"]
    assert (by_sources["n"], by_sources["within"], by_sources["mean_true"]) == (2, 1, 0.3)


def test_what_draws_add_is_the_least_of_each_stage_against_the_least(tmp_path: Path) -> None:
    def taken(cpu: float, memory: float) -> dict[str, dict[str, float]]:
        whole = {"cpu_seconds": cpu, "seconds": 2 * cpu, "peak_memory_bytes": memory}
        return {"residence": {**whole, "cpu_seconds": cpu - 1}, draws.WHOLE: whole}

    found = draws.compare([taken(5, 100), taken(4, 120)], [taken(6, 300), taken(9, 150)])
    assert found[draws.WHOLE]["ratio"] == {"cpu_seconds": 1.5, "seconds": 1.5, "peak_memory_bytes": 1.5}
    assert found["residence"]["with"]["cpu_seconds"] == 5
    # A stage that took no time has no ratio.
    assert "cpu_seconds" not in draws.compare([taken(1, 1)], [taken(2, 1)])["residence"]["ratio"]

    assert page.draws(tmp_path) == "Not measured yet."
    result = {"size": "small", "draws": 50, "repeat": 2, "stages": found}
    (tmp_path / "draws.json").write_text(json.dumps(result), encoding="utf-8")
    assert "| residence | 3.0 | 5.0 | 1.67 | 1.50 | 1.50 |" in page.draws(tmp_path)
