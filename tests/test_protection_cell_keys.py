"""Cell key perturbation: as ONS documents it, and the same noise for the same persons wherever they are counted."""

import hashlib
import json
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from cell_key_perturbation.create_perturbed_table import create_perturbed_table

from given_country import ABROAD, RESIDENT, UNCLEAR, Country
from given_protected import KEY, publish_protected
from given_published import little_run
from given_run import write
from given_tables import make_table
from miglink.config.protection import ProtectionSettings
from miglink.engine import Engine
from miglink.errors import ConfigError
from miglink.stages.publish import describe_noise
from miglink.stages.publish.protection import Protection, protect
from miglink.stages.publish.protection.ptable import DEFAULT, perturb, read_ptable


def ten_five_rule() -> pl.DataFrame:
    """The table that comes with ONS's package, by its rule: below 10 nothing, else the nearest 5; 256 keys."""
    pcv = pl.col("pcv")
    pvalue = pl.when(pcv < 10).then(-pcv).otherwise((pcv + 2) // 5 * 5 - pcv)
    keys = pl.DataFrame({"ckey": range(256)})
    return pl.DataFrame({"pcv": range(1, 751)}).join(keys, how="cross").with_columns(pvalue=pvalue)


def test_a_table_worked_by_hand_as_ons_documents_it() -> None:
    """Source: ONS, Cell Key Perturbation in Python, user documentation 1.1.1: method output, and large counts."""
    documented = [(16, 64, 15), (5, 196, 0), (10, 123, 10), (10, 3, 10), (12, 149, 10)]
    # Record keys 84, 108, 212, 212 and 86 add up to 702, modulo 256 to 190; 5 records become 0 by the rule.
    documented.append((5, 84 + 108 + 212 + 212 + 86, 0))
    cells = pl.DataFrame(documented, schema=["count", "cell_key", "expected"], orient="row")
    found = perturb(cells, ten_five_rule())
    assert found["protected"].to_list() == found["expected"].to_list()

    # One more for one key in each of these rows: counts of 751, 1001, 1251 use row 501, those of 750 and 1000 row 750.
    marked = pl.DataFrame({"pcv": [501, 750, 190], "ckey": [190, 190, 190], "pvalue": [1, 2, -1]})
    ptable = pl.concat([marked, pl.DataFrame({"pcv": [1], "ckey": [255], "pvalue": [0]})])
    counts = [500, 501, 750, 751, 1000, 1001, 1251, 1252, 100_001, 190, 0, -501]
    cells = pl.DataFrame({"count": counts, "cell_key": [702] * len(counts)})
    noise = perturb(cells, ptable).select(pl.col("protected") - pl.col("count"))
    assert noise["protected"].to_list() == [0, 1, 2, 1, 2, 1, 1, 0, 1, -1, 0, -1]


def test_the_default_noise_is_small_none_on_average_and_leaves_zeros() -> None:
    ptable = read_ptable(DEFAULT)
    moments = ptable.group_by("pcv").agg(
        pl.len(), pl.col("ckey").n_unique().alias("n_keys"), pl.sum("pvalue"), pl.col("pvalue").min().alias("least"),
        pl.col("pvalue").max().alias("most"), (pl.col("pvalue") ** 2).mean().alias("variance"),
    ).sort("pcv")  # fmt: skip
    assert moments.rows() == [(1, 256, 256, 0, -1, 2, 1.0), (2, 256, 256, 0, -2, 2, 1.1875)]
    cells = pl.DataFrame({"count": [0, 0, 10**6, 10**6], "cell_key": [0, 255, 0, 255]})
    assert perturb(cells, ptable)["protected"].to_list() == [0, 0, 10**6 - 2, 10**6 + 2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("pcv,ckey,noise\n1,255,0\n", "cannot be read"),
        ("pcv,ckey,pvalue\n1,255,much\n", "cannot be read"),
        ("pcv,ckey,pvalue\n1,99,0\n", "largest ckey is 99"),
        ("pcv,ckey,pvalue\n1,255,-2\n", "less than 0"),
        ("pcv,ckey,pvalue\n1,255,0\n1,255,1\n", "twice"),
        ("pcv,ckey,pvalue\n1,255,\n", "missing"),
    ],
)
def test_a_table_of_noise_that_is_none_is_refused(tmp_path: Path, content: str, said: str) -> None:
    file = write(tmp_path, content, "ptable.csv")
    with pytest.raises(ConfigError, match=said):
        describe_noise(ProtectionSettings(method="cell_key", ptable=file))


def record_key(person: str) -> int:
    inner = hashlib.sha256((KEY + person).encode()).hexdigest()
    return int(hashlib.sha256(f"{KEY}record key{inner}".encode()).hexdigest()[:3], base=16)


def test_cell_keys_add_up_the_keys_of_who_is_counted(engine: Engine) -> None:
    country = Country()
    for number in range(9):
        country.add(f"stays {number}", (None, RESIDENT), sex="male", citizenship="FRA")
    for number in range(7):
        country.add(
            f"comes {number}", (None, ABROAD), (date(2019, 3, 5), RESIDENT), sex="male", citizenship="AUS"
        )
    country.add("unclear", (None, UNCLEAR))
    keys = country.estimate(engine, key=KEY, breakdowns=[["sex", "citizenship"], ["age_group"]])["cell_keys"]

    def key_of(**cell: str) -> int:
        total = {name: "total" for name in keys.columns[3:17] if name != "measure"}
        found = keys.filter(**(total | cell))
        return int(found["settled_key"].item())

    stay, come = (
        sum(record_key(f"{what} {n}") for n in range(m)) for what, m in (("stays", 9), ("comes", 7))
    )
    of_stock = {"measure": "stock", "period": "2020-01-01"}
    assert key_of(**of_stock) == (stay + come) % 4096
    assert key_of(**of_stock, citizenship="FRA") == stay % 4096
    assert key_of(**of_stock, citizenship="FRA", sex="male") == stay % 4096
    assert key_of(**of_stock, age_group="35-39") == (stay + come) % 4096
    for period in ("2019", "2019-03"):
        assert key_of(measure="immigration", period=period) == come % 4096
    undetermined = keys.filter(pl.col("undetermined_key") != 0)["undetermined_key"].unique().to_list()
    assert undetermined == [record_key("unclear")]


def test_the_same_persons_have_the_same_noise_in_every_table_and_run(duckdb_engine: Engine) -> None:
    def protected(later: bool) -> dict[str, pl.DataFrame]:
        country = Country()
        for number in range(60):
            country.add(f"stays {number}", (None, RESIDENT), sex="male", citizenship=f"C{number % 12:02}")
        for number in range(60 if later else 0):  # in the next run, with other persons beside them
            country.add(f"new {number}", (None, RESIDENT), sex="female", citizenship=f"D{number % 12:02}")
        made = country.estimate(duckdb_engine, key=KEY, breakdowns=[["sex", "citizenship"], ["age_group"]])
        tables = {name: make_table(duckdb_engine, name, rows.to_dicts()) for name, rows in made.items()}
        return dict(
            protect(duckdb_engine, tables, Protection(ProtectionSettings(method="cell_key"), KEY)).rows
        )

    first, next_run = protected(False), protected(True)
    at_january = {
        name: rows["stocks"].filter(period="2019-01-01") for name, rows in (("a", first), ("b", next_run))
    }
    males, whole = (at_january["a"].filter(sex=sex).sort("citizenship") for sex in ("male", "total"))
    by_citizenship = whole.filter(age_group="total")
    # All are male, so that a citizenship, and a citizenship by sex, are the same persons: so is each age with all.
    assert males["n_settled"].to_list() == by_citizenship["n_settled"].to_list()
    assert males.height == 13
    assert males["n_settled"].n_unique() > 2 and (males["n_settled"] != 5).any()
    age = at_january["a"].filter(pl.col("age_group") != "total")
    assert age["n_settled"].to_list() == males.filter(citizenship="total")["n_settled"].to_list()
    again = at_january["b"].filter(sex="male").sort("citizenship")
    assert again["n_settled"].to_list() == males["n_settled"].to_list()
    accounts = first["accounts"].filter(sex="male").sort("citizenship")
    assert accounts["opening"].to_list() == males["n_settled"].to_list()


@pytest.mark.parametrize("n_keys", [256, 4096])
def test_the_package_of_ons_finds_the_same(duckdb_engine: Engine, tmp_path: Path, n_keys: int) -> None:
    """The same persons with the same record keys and the same table of noise, here and in cell-key-perturbation."""
    sizes = {"AUS": 1, "FRA": 3, "DEU": 9, "FJI": 11, "TON": 40, "WSM": 251, "GBR": 760, "NZL": 1001}
    # The rows of the table that these counts and the total use; counts above 750 use rows 501 to 750 over and over.
    used = [1, 3, 9, 11, 40, 251, 510, 501 + sum(sizes.values()) % 250 - 1, 501, 750]
    pairs = pl.DataFrame({"pcv": used}).join(pl.DataFrame({"ckey": range(n_keys)}), how="cross")
    noise = pl.Series("pvalue", np.random.default_rng(1).integers(-5, 6, pairs.height))
    ptable = pairs.with_columns(noise).with_columns(pl.max_horizontal("pvalue", -pl.col("pcv")))
    ptable.write_csv(tmp_path / "ptable.csv")
    country, persons = Country(), []
    for citizenship, size in sizes.items():
        for number in range(size):
            person = f"{citizenship} {number}"
            country.add(person, (None, RESIDENT), citizenship=citizenship)
            persons.append((citizenship, "everybody", record_key(person) % n_keys))
    made = country.estimate(duckdb_engine, key=KEY, breakdowns=[["citizenship"]])
    tables = {name: make_table(duckdb_engine, name, rows.to_dicts()) for name, rows in made.items()}
    settings = ProtectionSettings(method="cell_key", ptable=tmp_path / "ptable.csv", minimum_count=10)
    stocks = protect(duckdb_engine, tables, Protection(settings, KEY)).rows["stocks"]
    at_january = stocks.filter(period="2019-01-01").select("citizenship", "n_settled")
    ours = dict(at_january.iter_rows())

    data = pl.DataFrame(persons, schema=["citizenship", "all", "key"], orient="row").to_pandas()
    theirs: dict[str, int | None] = {}
    for by in ("citizenship", "all"):
        found = create_perturbed_table(data, ptable.to_pandas(), [], [by], "key", threshold=10)
        theirs |= dict(pl.from_pandas(found[[by, "count"]]).iter_rows())
    theirs["total"] = theirs.pop("everybody")
    # Theirs has nothing for a 0, ours 0 (or no row, where nothing is left of a cell in any year).
    assert {name: ours.get(name) or None for name in theirs} == theirs
    assert theirs["TON"] not in (None, 40) and theirs["AUS"] is None and len(theirs) == 9


def test_counts_that_are_few_after_noise_are_suppressed(duckdb_engine: Engine, tmp_path: Path) -> None:
    few = little_run()
    stock = few["stocks"][0] | {"n_undetermined": 0}
    few["stocks"] = [
        stock | {"region": f"r{n}", "n_settled": count, "n": float(count)}
        for n, count in enumerate((0, 3, 12, 40))
    ] + [stock]
    for settings in (
        {"method": "cell_key", "minimum_count": 10},
        {"method": "random_rounding", "minimum_count": 9},
    ):
        outputs = publish_protected(duckdb_engine, tmp_path / str(settings["method"]), settings, run=few)
        stocks = pl.read_parquet(outputs / "stocks.parquet").sort("region")
        value = dict(stocks.select("region", "n_settled").iter_rows())
        assert value["r1"] is None and "r0" not in value
        assert abs(value["r2"] - 12) <= 2 and abs(value["r3"] - 40) <= 2
        assert stocks.filter(region="r1").select("n", "lower", "upper").row(0) == (None, None, None)
        package = json.loads((outputs / "datapackage.json").read_text("utf-8"))
        assert "is suppressed" in package["description"]
        csv = pl.read_csv(outputs / "stocks.csv")
        assert csv["n_settled"].null_count() == 1
