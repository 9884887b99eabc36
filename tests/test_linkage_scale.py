"""Linkage at scale: countries put together stay apart by their numbers, and every program finds what there is."""

import json
import math
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks import linkage_figures, linkage_population, linkage_scale
from benchmarks.linkage_accuracy import ALL, JANUARY, measure
from miglink.cli import main
from miglink.engine import Engine
from miglink.engine.duckdb_engine import DuckDBEngine
from miglink.stages.linkage.documents import MISREAD
from synthetic.__main__ import make_country
from synthetic.chance import Chance

ROOT = Path(__file__).parents[1]
N_PERSONS, N_IDENTITIES, N_REPEATED = 500, 1500, 150
SPLINKS = {"splink", "bare"}
NAMES = ["surname_ascii", "given_names_ascii", "birth_date", "sex", "citizenship"]


@pytest.fixture(scope="module")
def countries(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Path]]:
    """Two countries of different seeds: the folders of their runs, as far as identities, and of their truth."""
    folder, found = tmp_path_factory.mktemp("countries"), []
    for seed in (1, 2):
        made, run = folder / f"made {seed}", folder / f"run {seed}"
        make_country(N_PERSONS, "medium", Chance(seed), made)
        assert main(["run", str(made / "country.yml"), "--out", str(run), "--to", "identities"]) == 0
        found.append((run, made / "truth"))
    return found


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with closing(DuckDBEngine(tmp_path_factory.mktemp("engine"))) as opened:
        yield opened


def shapes(numbers: pl.Series) -> list[tuple[str, int]]:
    plain = numbers.drop_nulls().str.replace_all("[0-9]", "9").str.replace_all("[A-Z]", "A")
    return sorted(plain.value_counts().rows())


def test_no_number_is_of_two_countries(engine: Engine, countries: list[tuple[Path, Path]]) -> None:
    """Also where both are the same country, number by number."""
    for both in (countries, countries[:1] * 2):
        population = linkage_population.unite(engine, both)
        united = engine.collect("SELECT * FROM i ORDER BY identity_id", i=population.identities)
        apart = [pl.read_parquet(run / "tables" / "identities.parquet") for run, _ in both]
        assert united["identity_id"].n_unique() == sum(part.height for part in apart)
        for column in ("document_number", "person_number", "given_person"):
            n_each = [part[column].drop_nulls().n_unique() for part in apart]
            assert min(n_each) > 10
            assert united[column].drop_nulls().n_unique() == sum(n_each), column
        every = pl.concat(apart)
        assert shapes(united["document_number"]) == shapes(every["document_number"])
        assert shapes(united["person_number"]) == shapes(every["person_number"])
        assert united.select(NAMES).sort(NAMES).equals(every.select(NAMES).sort(NAMES))
        owners = engine.collect("SELECT * FROM o", o=population.owners)
        assert owners.height == united.height
        assert set(owners["true_person"].str.split(".").list.first()) == {"0", "1"}
        assert owners.join(united, on="identity_id").height == united.height


def test_what_looks_alike_still_does(engine: Engine) -> None:
    exchanged = linkage_population._exchanged_sql("number", 1, 0)
    written = pl.DataFrame({"number": ["AB10582", "ABIO5B2", "A810S8Z", "AB10583"]})
    made = engine.collect(f"SELECT number, {exchanged} AS made FROM w", w=written)["made"]
    folded = made.str.replace_many(list(MISREAD[0]), list(MISREAD[1]))
    assert made.n_unique() == 4
    assert folded[0] == folded[1] == folded[2] != folded[3]
    assert not set(made) & set(written["number"])


def test_a_sample_has_whole_persons_and_lies_in_a_larger_one(
    engine: Engine, countries: list[tuple[Path, Path]]
) -> None:
    population = linkage_population.unite(engine, countries)
    every = engine.collect("SELECT * FROM o", o=population.owners)
    before: set[str] = set()
    for most in (200, 1000):
        chosen = linkage_population.sample(engine, population, most)
        owners = engine.collect("SELECT * FROM o", o=chosen.owners)
        assert most - 50 < engine.count(chosen.identities) == owners.height <= most
        persons = set(owners["true_person"])
        assert every.filter(pl.col("true_person").is_in(persons)).height == owners.height
        assert before < persons
        before = persons


def test_pairs_are_measured(engine: Engine, tmp_path: Path) -> None:
    """Person a is 1, 2, 3, of which 1 and 2 are found; b is 4, 5, found, and joined with c, who is 6."""
    owners = pl.DataFrame(
        {
            "id": ["1", "2", "3", "4", "5", "6"],
            "true_person": ["a", "a", "a", "b", "b", "c"],
            "citizenship_group": ["eu", "eu", "eu", "other", "other", "eu"],
            "is_january_first": [False, True, True, True, True, True],
        }
    )
    owners.write_parquet(tmp_path / "owners.parquet")
    owners.select("id", cluster=pl.Series([1, 1, 3, 4, 4, 4])).write_parquet(tmp_path / "clusters.parquet")
    pl.DataFrame({"l": ["1", "4"], "r": ["2", "6"]}).write_parquet(tmp_path / "links.parquet")
    paths = [tmp_path / f"{name}.parquet" for name in ("owners", "clusters", "links")]
    found = measure(engine, paths[0], "id", paths[1], paths[2])
    assert found["true_pairs"] == {ALL: 4, "eu": 3, "other": 1, JANUARY: 2}
    assert found["clusters"] == {
        "precision": 0.5,
        "recall": {ALL: 0.5, "eu": round(1 / 3, 7), "other": 1.0, JANUARY: 0.5},
    }
    assert found["links"] == {
        "precision": 0.5,
        "recall": {ALL: 0.25, "eu": round(1 / 3, 7), "other": 0.0, JANUARY: 0.0},
    }


def test_what_follows_from_results_is_reckoned() -> None:
    def result(seconds: float, recall: float) -> dict[str, Any]:
        taken = {"cpu_seconds": 3 * seconds, "peak_memory_bytes": 1e9}
        rates = {"precision": 0.99, "recall": {ALL: recall, "eu": None}}
        return {"total_seconds": seconds, "seconds": {}, "process": taken, "links": rates, "clusters": rates}

    programs = {"ours": result(2.0, 0.98), "whole": result(3.0, 0.985), "splink": result(8.0, 0.9)}
    expected = {"cpu_seconds": 0.25, "peak_memory_bytes": 1.0, "seconds": 0.25, "seconds_without_keys": 0.125}
    assert linkage_figures.ratios(programs, 1.0) == {"splink": expected}
    lost = linkage_figures.lost(programs)["links"]
    assert lost == {"precision": 0.0, "recall": {ALL: 0.5, "eu": None}}
    ended: dict[str, Any] = {"ours": programs["ours"], "splink": {"ended": "more than 16 GB"}}
    assert linkage_figures.ratios(ended, 1.0) == linkage_figures.lost(ended) == {}
    slow = {**ended, "splink": {"ended": "more than 10 s", "seconds_at_least": 10.0}}
    assert linkage_figures.ratios(slow, 1.0) == {"splink": {"seconds_at_most": 0.2}}
    (said,) = linkage_figures.sayings(
        {
            "sizes": [{"rows": 1000, "ratios": {"splink": {"seconds_at_most": 0.2}}}],
            "repeats": None,
            "exponents": {},
        }
    )
    assert said == "1,000 rows: less than 0.200 of the seconds of *splink*, which was ended."
    sizes = [{"identities": n, "programs": {"ours": result(n**1.1, 1.0)}} for n in (10, 100, 1000)]
    assert linkage_figures.exponents(sizes) == {"ours": {"seconds": 1.1, "peak_memory_bytes": 0.0}}
    assert linkage_figures.exponents(sizes[:1]) == {}


@pytest.fixture(scope="module")
def measured(countries: list[tuple[Path, Path]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the command measures of both countries together, and of events."""
    target = tmp_path_factory.mktemp("result") / "scale.json"
    paths = [str(path) for country in countries for path in country]
    sizes = ["--identities", str(N_IDENTITIES), "--repeats", str(N_REPEATED)]
    command = [sys.executable, "-m", "benchmarks.linkage_scale", *paths, *sizes, "--json", str(target)]
    given = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=given, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "points of recall lost" in done.stdout
    found: dict[str, Any] = json.loads(target.read_text("utf-8"))
    return found


def test_every_program_finds_what_there_is(measured: dict[str, Any]) -> None:
    (size,) = measured["sizes"]
    assert N_IDENTITIES - 50 < size["identities"] == size["rows"] <= N_IDENTITIES
    assert tuple(size["programs"]) == linkage_figures.PROGRAM_NAMES
    for program, found in size["programs"].items():
        assert found["total_seconds"] == pytest.approx(sum(found["seconds"].values()))
        for kind in ("links", "clusters"):
            recall = found[kind]["recall"]
            assert recall.keys() == found["true_pairs"].keys() >= {ALL, "eu", "national", "other"}
            assert all(0 <= value <= 1 for value in recall.values() if value is not None)
            # So few rows teach Splink little: what it finds is right, and hardly anything.
            assert found[kind]["precision"] > (0.5 if program in SPLINKS else 0.98)
            assert recall[ALL] > {"links": 0.6, "clusters": 0.9}[kind] * (program not in SPLINKS)
    ours, whole = (size["programs"][name]["clusters"]["recall"][ALL] for name in ("ours", "whole"))
    assert whole >= ours - 0.001
    assert size["lost_by_splitting"]["clusters"]["recall"][ALL] == pytest.approx(
        100 * (whole - ours), abs=1e-3
    )
    assert size["pairs_proposed"]["ours"] <= size["pairs_proposed"]["splink"]
    assert set(size["ratios"]) == SPLINKS


def test_events_are_many_a_person(measured: dict[str, Any]) -> None:
    repeats = measured["repeats"]
    assert set(repeats["programs"]) == {"ours"} | SPLINKS
    assert 28 < repeats["rows"] / repeats["persons"] < 32
    assert repeats["pairs_proposed"]["splink"] > 50 * repeats["pairs_proposed"]["ours"]
    for found in repeats["programs"].values():
        assert found["clusters"]["precision"] > 0.5
        assert found["clusters"]["recall"][ALL] > 0
        assert "links" not in found
    assert repeats["programs"]["ours"]["clusters"]["recall"][ALL] > 0.9
    assert "identities" in repeats["programs"]["ours"]["seconds"]


def test_tables_say_what_was_measured(measured: dict[str, Any]) -> None:
    size, repeats = linkage_figures.measurements(measured)
    (_, headings, lines), (title, _, lost) = linkage_figures.tables(size)
    assert [line[0] for line in lines] == ["ours", "whole", "splink", "bare"]
    assert all(len(line) == len(headings) for line in lines)
    assert lost[-1][0] == "precision"
    assert f"{size['identities']:,}" in title
    assert len(linkage_figures.tables(repeats)) == 1
    assert len(linkage_figures.sayings(measured)) == 4


@pytest.mark.parametrize(
    ("memory", "seconds", "keys"), [(0.02, math.inf, {"ended"}), (16.0, 0.2, {"ended", "seconds_at_least"})]
)
def test_what_holds_or_takes_too_much_has_no_figures(
    engine: Engine,
    countries: list[tuple[Path, Path]],
    tmp_path: Path,
    memory: float,
    seconds: float,
    keys: set[str],
) -> None:
    chosen = linkage_population.sample(engine, linkage_population.unite(engine, countries), 200)
    linkage_population.write_identities(engine, chosen, tmp_path)
    found = linkage_scale.run("ours", tmp_path, Namespace(times=1, parts=1, memory=memory, seconds=seconds))
    assert found.keys() == keys
    programs = {"ours": found}
    told = {"identities": 200, "rows": 200, "persons": 70, "pairs_proposed": {"ours": 1, "splink": 2}}
    (table,) = linkage_figures.tables({**told, "programs": programs, "lost_by_splitting": {}})
    assert table[2][0][:2] == ("ours", found["ended"])
