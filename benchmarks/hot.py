"""The few functions in which a run spends its time, by pytest-benchmark.

    python -m pytest benchmarks/hot.py [--benchmark-json FILE]

On a country of 30,000 crossings that is made and run first.
"""

from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.classify_million import generate
from miglink import cli
from miglink.classify import check_crossings
from miglink.config import read_rule
from miglink.config.rules import ForwardWindowRule
from miglink.config.stages import LinkageSettings
from miglink.engine import Table
from miglink.engine.duckdb_engine import DuckDBEngine
from miglink.stages import identities, linkage, residence, spells
from miglink.stages.ingest.names import standardise_names
from miglink.stages.linkage.keys import prepare_identities
from synthetic.__main__ import make_country
from synthetic.chance import Chance

_ROUNDS = 5


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a small country."""
    folder = tmp_path_factory.mktemp("hot")
    make_country(6000, "medium", Chance(1), folder / "country")
    assert cli.main(["run", str(folder / "country" / "country.yml"), "--out", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DuckDBEngine]:
    """A new engine."""
    with closing(DuckDBEngine(tmp_path / "tables")) as opened:
        yield opened


def table(run: Path, name: str) -> Table:
    """A table of the run."""
    return Table(name, run / "tables" / f"{name}.parquet")


def test_names_are_standardised(benchmark: BenchmarkFixture, engine: DuckDBEngine, run: Path) -> None:
    """Transliteration by ICAO 9303 and to ASCII, by distinct value."""
    rows = engine.step(
        "rows",
        "SELECT surname_ascii AS surname, given_names_ascii AS given_names FROM identities",
        identities=table(run, "identities"),
    )
    benchmark.pedantic(standardise_names, args=(engine, rows), rounds=_ROUNDS, warmup_rounds=1)


def test_identities_are_found(benchmark: BenchmarkFixture, engine: DuckDBEngine, run: Path) -> None:
    """Records collapse to distinct identities."""
    given = (engine, table(run, "records"), ())
    benchmark.pedantic(identities.find_identities, args=given, rounds=_ROUNDS, warmup_rounds=1)


def test_keys_are_prepared(benchmark: BenchmarkFixture, engine: DuckDBEngine, run: Path) -> None:
    """Blocking keys and what comparisons read."""
    given = (engine, table(run, "identities"))
    benchmark.pedantic(prepare_identities, args=given, rounds=_ROUNDS, warmup_rounds=1)


def test_pairs_are_scored(
    benchmark: BenchmarkFixture, engine: DuckDBEngine, run: Path, tmp_path: Path
) -> None:
    """With the model of the run: block, compare, score, collect."""
    names = ("identities", "record_identities", "judgements")
    identified = linkage.Identified(*(table(run, name) for name in names))
    settings = LinkageSettings(model=run / "model.json")
    given = (engine, identified, settings, (), tmp_path / "model.json")
    benchmark.pedantic(linkage.link, args=given, rounds=_ROUNDS, warmup_rounds=1)


def test_crossings_are_classified(benchmark: BenchmarkFixture, engine: DuckDBEngine) -> None:
    """The forward-window rule on 100,000 crossings, those in gaps among them."""
    rule = read_rule("nz_12_16", Path.cwd())
    assert isinstance(rule, ForwardWindowRule)
    crossings = check_crossings(generate(125_000, 1), "generated")
    ordered = spells.order_crossings(engine, engine.frame("crossings", crossings))
    given = (engine, ordered, rule, "unresolved", date(2012, 1, 1), date(2023, 12, 31))
    benchmark.pedantic(residence.classify, args=given, rounds=_ROUNDS, warmup_rounds=1)
