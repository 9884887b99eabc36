"""The synthetic country: its truth against the definition, its noise against the rates, its files by contract."""

import hashlib
import runpy
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from miglink.tables import TRUTH_TABLES
from synthetic import documents, journeys, noise, records, truth, world
from synthetic.__main__ import find_sources, main, make_country
from synthetic.chance import Chance

ORACLE = runpy.run_path(str(Path(__file__).parent / "oracle" / "residence.py"))
RESIDENT, ABROAD, answer = ORACLE["RESIDENT"], ORACLE["ABROAD"], ORACLE["answer"]
SIZES_AND_SEEDS = [(800, 1), (2500, 2), (6000, 3)]


@cache
def country(n_persons: int, seed: int) -> records.Country:
    chance = Chance(seed)
    parties = world.make_parties(n_persons, chance)
    persons = world.make_persons(parties, noise.SECOND_RATE, noise.MARRIAGE_RATE, chance)
    bases = journeys.find_bases(parties, chance)
    trips = journeys.find_trips(parties, bases, persons, chance)
    crossings = journeys.find_crossings(parties, bases, trips, persons, chance)
    naturalised = documents.find_naturalisations(parties, bases, persons, chance)
    return records.Country(
        parties,
        persons,
        bases,
        crossings,
        records.find_birth_countries(persons, bases, chance),
        naturalised,
        documents.issue_documents(persons, naturalised, noise.RENEWAL_RATE, chance),
    )


def lives_here_first(made: records.Country) -> np.ndarray:
    return made.bases.at(made.persons.party, np.maximum(made.persons.birth_day, np.int32(world.HISTORY_FROM)))


@pytest.mark.parametrize(("n_persons", "seed"), SIZES_AND_SEEDS)
def test_true_statuses_are_those_of_the_definition(n_persons: int, seed: int) -> None:
    made = country(n_persons, seed)
    crossings, rule = made.crossings, truth.RULES[0]
    statuses = truth.find_statuses(crossings, made.persons, lives_here_first(made), rule)
    question = ORACLE["Question"](
        rule.threshold_days, rule.window_days, "unresolved", None, int(world.HISTORY_TO)
    )
    starts = np.flatnonzero(np.concatenate([[True], np.diff(crossings.person) != 0]))
    ends = np.append(starts[1:], crossings.person.size)
    compared = 0
    for start, end in list(zip(starts, ends, strict=True))[::11]:
        moves = [
            (
                int(crossings.day[at]),
                "arrival" if crossings.direction[at] == journeys.ARRIVAL else "departure",
            )
            for at in range(start, end)
        ]
        first = RESIDENT if statuses.is_resident_first[crossings.person[start]] else ABROAD
        for at, expected in zip(range(start, end), answer(moves, first, question), strict=True):
            if crossings.day[at] + rule.window_days < world.HISTORY_TO:
                assert (expected.after == RESIDENT) == statuses.is_resident_after[at]
                assert expected.is_migration == statuses.is_migration[at]
                compared += 1
    assert compared > 100


@pytest.mark.parametrize(("n_persons", "seed"), SIZES_AND_SEEDS)
def test_lives_make_sense(n_persons: int, seed: int) -> None:
    made = country(n_persons, seed)
    crossings, persons = made.crossings, made.persons
    same = crossings.person[1:] == crossings.person[:-1]
    assert not (same & (crossings.direction[1:] == crossings.direction[:-1])).any()
    time = crossings.day.astype(np.int64) * 1440 + crossings.minute
    assert (np.diff(time)[same] > 0).all()
    assert (crossings.day >= persons.birth_day[crossings.person]).all()
    assert (crossings.day < persons.death_day[crossings.person]).all()
    assert (persons.death_day > persons.birth_day).all()
    # Who lives here leaves first, who lives abroad arrives first.
    first = np.concatenate([[True], ~same])
    assert (
        (crossings.direction[first] == journeys.DEPARTURE) == lives_here_first(made)[crossings.person[first]]
    ).all()
    mothers = persons.mother[persons.mother != world.NOBODY]
    children = np.flatnonzero(persons.mother != world.NOBODY)
    assert (persons.birth_day[children] - persons.birth_day[mothers] > 12 * 365).all()
    # Tourists are most of the people, and every journey is made.
    n_of = np.bincount(made.parties.journey[persons.party], minlength=len(world.JOURNEYS))
    assert (n_of > 0).all()
    assert n_of[world.JOURNEY["tourist"]] > persons.party.size / 2


def test_true_accounts_balance() -> None:
    made = country(6000, 3)
    here = lives_here_first(made)
    statuses = truth.find_statuses(made.crossings, made.persons, here, truth.RULES[0])
    residence, migrations = truth.find_residence(made.crossings, statuses, made.persons, truth.RULES[0])
    traits = documents.find_traits(made.persons, made.naturalised)
    total = {"sex": "total", "citizenship_group": "total"}
    stocks = dict(
        truth.count_stocks(residence, traits, made.persons).filter(**total).select("period", "n").iter_rows()
    )
    net = dict(
        truth.count_flows(migrations, traits, made.persons)
        .filter(flow="net", **total)
        .select("period", "n")
        .iter_rows()
    )
    for year in range(2014, 2024):
        first, after = (int(np.datetime64(f"{y}-01-01").astype(np.int64)) for y in (year, year + 1))
        born = (
            (made.persons.birth_day >= first) & (made.persons.birth_day < after) & statuses.is_resident_first
        )
        dead = residence.filter(
            pl.col("status") == "resident", pl.col("to_day").is_between(first, after, closed="left")
        )
        deaths = int((pl.Series(made.persons.death_day)[dead["person"]] == dead["to_day"]).sum())
        opening, closing = stocks[f"{year}-01-01"], stocks[f"{year + 1}-01-01"]
        assert opening + net.get(str(year), 0) + int(born.sum()) - deaths == closing


@cache
def noisy(level: str) -> tuple[records.Country, noise.Sources, noise.Sources]:
    made, chance = country(6000, 3), Chance(3)
    marked = noise.mark_facts(find_sources(made, chance), made)
    return made, marked, noise.make_noise(marked, level, chance)


@pytest.mark.parametrize("level", list(noise.LEVELS))
def test_noise_has_its_rates(level: str) -> None:
    _, before, after = noisy(level)
    factor = noise.LEVELS[level]
    rates = {entry.make: entry.rate * factor for entry in noise.NOISE}
    clean, border, lost = before["border"], after["border"], after["missing_crossings"]
    for make, direction in ((noise.miss_departures, 0), (noise.miss_arrivals, 1)):
        n = clean.filter(direction=direction).height
        assert lost.filter(direction=direction).height / n == pytest.approx(
            rates[make], abs=5 * (rates[make] / n) ** 0.5
        )
    assert border.height + lost.height - clean.height == border.filter(_has("double_scan")).height
    n_scans = clean.height - lost.height
    twice = (border.height - n_scans) / n_scans
    assert twice == pytest.approx(rates[noise.scan_twice], abs=5 * (rates[noise.scan_twice] / n_scans) ** 0.5)
    persons = pl.concat(
        [frame.select("person", "causes") for name, frame in after.items() if "causes" in frame.columns]
    )
    n = persons["person"].n_unique()
    default = persons.filter(_has("january_first"))["person"].n_unique() / n
    rate = rates[noise.default_birthdays]
    assert default == pytest.approx(rate, abs=5 * (rate / n) ** 0.5)
    shown = border.filter(pl.col("document") >= 0).unique("document")
    for cause, make in (
        ("transliteration", noise.vary_spelling),
        ("swapped_names", noise.swap_names),
        ("swapped_day_and_month", noise.swap_days),
    ):
        share = shown.filter(_has(cause)).height / shown.height
        sampling = 5 * (rates[make] / shown.height) ** 0.5
        assert share == pytest.approx(rates[make], abs=sampling + 0.1 * rates[make]), cause
    gates = border.filter(pl.col("document") >= 0).unique(["document", "port"])
    share, rate = gates.filter(_has("misread_document")).height / gates.height, rates[noise.misread_documents]
    assert share == pytest.approx(rate, abs=5 * (rate / gates.height) ** 0.5)


def test_errors_follow_what_they_happen_to() -> None:
    _, _, after = noisy("high")
    border = after["border"]
    by_document = border.group_by("document").agg(
        pl.col("surname", "given", "is_swapped", "birth_day").n_unique()
    )
    assert by_document.select(pl.exclude("document").max()).row(0) == (1, 1, 1, 1)
    assert border.group_by("document", "port").agg(pl.col("misreading").n_unique())["misreading"].max() == 1
    default = border.filter(_has("january_first"))["person"].unique()
    for name in ("register", "census", "activity", "permits", "visas"):
        birthdays = after[name].filter(pl.col("person").is_in(default.to_list()))["birth_day"].cast(pl.Date)
        assert (birthdays.dt.ordinal_day() == 1).all(), name


def test_one_current_registration_for_a_person_and_one_number() -> None:
    made, before, _ = noisy("medium")
    register = before["register"]
    current = register.filter(pl.col("removed") == int(world.NEVER))
    assert current["person"].is_unique().all()
    assert register.group_by("person").agg(pl.col("pin").n_unique())["pin"].max() == 1
    assert (
        records.number_persons(made.persons.party.size).size
        == np.unique(records.number_persons(made.persons.party.size)).size
    )


def test_no_two_passports_of_a_country_are_alike() -> None:
    made = country(6000, 3)
    numbers = documents.write_numbers(made.documents)
    listed = pl.DataFrame({"country": made.documents.country, "number": numbers})
    assert listed.is_unique().all()
    # Numbers of different countries may coincide, but that is rare.
    assert numbers.n_unique() > 0.99 * numbers.len()


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    hashes = []
    for folder, seed in ((tmp_path / "a", 5), (tmp_path / "b", 5), (tmp_path / "c", 6)):
        make_country(600, "medium", Chance(seed), folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        hashes.append(
            {path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
        )
    assert hashes[0] == hashes[1]
    assert sum(hashes[0][name] == hashes[2].get(name) for name in hashes[0]) == 1  # the configuration


@pytest.mark.parametrize("level", list(noise.LEVELS))
def test_truth_follows_its_contracts(tmp_path: Path, level: str) -> None:
    make_country(700, level, Chance(8), tmp_path)
    assert {path.stem for path in (tmp_path / "truth").iterdir()} == set(TRUTH_TABLES)
    for name, contract in TRUTH_TABLES.items():
        table = pl.read_parquet(tmp_path / "truth" / f"{name}.parquet")
        assert table.columns == [column.name for column in contract.columns], name
        assert table.select(contract.key).is_unique().all(), name
        assert table.select(contract.key).equals(table.select(contract.key).sort(contract.key)), name
        for column in contract.columns:
            assert column.nullable or table[column.name].null_count() == 0, (name, column.name)
    known = pl.read_parquet(tmp_path / "truth" / "record_persons.parquet")
    persons = pl.read_parquet(tmp_path / "truth" / "persons.parquet")
    assert known["true_person_id"].is_in(persons["true_person_id"].to_list()).all()
    causes = pl.read_parquet(tmp_path / "truth" / "record_causes.parquet")
    assert causes.join(known, on=["source", "record_id"], how="anti").is_empty()
    assert set(causes["cause"]) <= set(noise.CAUSES)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a country"
    assert main(["2000", "--seed", "3", "--noise", "low", "--out", str(out)]) == 0
    assert "country.yml" in capsys.readouterr().out
    assert main(["2000", "--out", str(out)]) == 2
    assert "not an empty folder" in capsys.readouterr().err
    assert main(["enormous", "--out", str(tmp_path / "b")]) == 2
    assert main(["10", "--out", str(tmp_path / "b")]) == 2
    assert not (tmp_path / "b").exists()


def _has(cause: str) -> pl.Expr:
    return (pl.col("causes").cast(pl.Int32) // (1 << noise.CAUSES.index(cause))) % 2 == 1
