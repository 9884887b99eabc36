"""Disclosure control: noise that is right on average, the same for the same cell, and nothing beside it in outputs/."""

import hashlib
import json
import re
from pathlib import Path

import polars as pl
import pytest

from given_protected import KEY, SECRETS, SHARES, SHELL, counted_run, drawn_run, publish_protected
from given_published import STRATUM
from miglink.config.protection import ProtectionSettings
from miglink.engine import Engine
from miglink.stages.publish.protection.cells import COUNTED, LEFT_OUT
from miglink.stages.publish.protection.derived import shift_bounds
from miglink.stages.publish.protection.noise import draw_numbers, round_at_random, round_to_nearest
from miglink.tables import TABLES

RANDOM = {"method": "random_rounding"}


def rounded(engine: Engine, counts: list[int], key: str = KEY, base: int = 3) -> pl.DataFrame:
    cells = pl.DataFrame({"cell": [f"cell {n}" for n in range(len(counts))], "count": counts})
    drawn = draw_numbers(engine, cells, key)
    return drawn.with_columns(protected=round_at_random(pl.col("count"), pl.col("drawn"), base))


def test_random_rounding_is_right_on_average_and_leaves_multiples(duckdb_engine: Engine) -> None:
    counts = [count for count in (*range(13), -17) for _ in range(2000)]
    found = rounded(duckdb_engine, counts)
    change = pl.col("protected") - pl.col("count")
    assert found.filter(pl.col("count") % 3 == 0, change != 0).is_empty()
    assert found.filter(pl.col("protected") % 3 != 0).is_empty()
    assert found.filter(change.abs() > 2).is_empty()
    # The standard deviation of a mean of 2000 is 0.032 (a change of -2 or 1, at odds of 1 to 2, has one of 1.41).
    means = found.group_by("count").agg(change.mean().alias("mean"))
    assert means["mean"].abs().max() < 4 * 0.032  # type: ignore[operator]
    up = found.filter(count=17 - 34).select((pl.col("protected") == -18).mean()).item()
    assert up == pytest.approx(2 / 3, abs=0.04)


def test_the_same_cell_has_the_same_noise_on_every_engine(engine: Engine) -> None:
    few = ["naïve", "total\x1f2018", "东"]
    drawn = draw_numbers(engine, pl.DataFrame({"cell": few, "count": [17] * 3}), KEY)["drawn"].to_list()

    def hashed(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    inner = [hashed(KEY + cell + "\x1f17") for cell in few]
    assert drawn == [int(hashed(f"{KEY}rounding{digest}")[:10], base=16) for digest in inner]


def test_rounding_to_ten() -> None:
    counts = pl.DataFrame({"count": [0, 4, 5, 14, 15, -4, -5, 20]})
    assert counts.select(round_to_nearest(pl.col("count"), 10))["count"].to_list() == [
        0, 0, 10, 10, 20, 0, -10, 20,
    ]  # fmt: skip


@pytest.mark.parametrize(("settings", "base"), [(RANDOM, 3), ({"method": "rounding", "base": 5}, 5)])
def test_no_count_leaves_as_it_was(
    duckdb_engine: Engine, tmp_path: Path, settings: dict[str, object], base: int
) -> None:
    outputs = publish_protected(duckdb_engine, tmp_path / "run", settings)
    names = {path.stem for path in outputs.iterdir()}
    assert names == {*COUNTED, SHELL, "shells", "datapackage", "protection", "report"}
    exact = pl.read_parquet(publish_protected(duckdb_engine, tmp_path / "exact", None) / f"{SHELL}.parquet")
    secrets = {n + shift for n in SECRETS for shift in (0, 2, -4)} | {SECRETS[59] + 0.5}
    secrets |= {*exact["OBS_VALUE"], *exact["n_undetermined"]} - {0}
    written = ""
    for path in outputs.iterdir():
        if path.suffix == ".parquet":
            rows = pl.read_parquet(path)
            assert rows.height > 0
            written += rows.write_csv()
            for column in COUNTED.get(
                path.stem, ("OBS_VALUE", "n_undetermined") if path.stem == SHELL else ()
            ):
                whole = rows if path.stem != "quality" else rows.filter(measure="persons")
                assert (whole[column].drop_nulls() % base == 0).all(), (path.stem, column)
        else:
            written += path.read_text("utf-8")
    # Whole numbers and shares, not digits within a hash.
    numbers = {float(found) for found in re.findall(r"(?<![\w.-])\d+(?:\.\d+)?(?![\w.])", written)}
    assert 2 * SECRETS[60] in secrets and not secrets & numbers
    assert {0.31234567} - numbers and KEY not in written and "SUN" not in written
    assert ",days_above_limit," not in written
    # Nothing of the run's tables has changed.
    assert str(SECRETS[0]) in pl.read_parquet(tmp_path / "tables" / "stocks.parquet").write_csv()


@pytest.mark.parametrize(
    ("settings", "base"),
    [
        (RANDOM, 3),
        ({"method": "rounding", "base": 5}, 5),
        ({"method": "controlled_rounding", "base": 5}, 5),
        ({"method": "cell_key"}, 1),
        ({"method": "suppression", "minimum_count": 10}, 1),
    ],
)
def test_no_point_leaves_with_its_fraction(
    duckdb_engine: Engine, tmp_path: Path, settings: dict[str, object], base: int
) -> None:
    run_of_draws = drawn_run()
    outputs = publish_protected(duckdb_engine, tmp_path / "run", settings, run=run_of_draws)
    rows = [row for name in ("stocks", "flows") for row in run_of_draws[name] if row.get("flow") != "net"]
    fractions = {row[name] for row in rows for name in ("n", "mean", "lower", "upper", "standard_error")}
    # What is rounded must not be the whole number before either.
    secrets = fractions | ({float(round(row["n"])) for row in rows} if base > 1 else set())
    written = ""
    for path in outputs.iterdir():
        frame = pl.read_parquet(path) if path.suffix == ".parquet" else None
        written += path.read_text("utf-8") if frame is None else frame.write_csv()
        if path.stem in ("stocks", "flows") and frame is not None:
            assert frame["n"].null_count() == 0 and (frame["n"] % base == 0).all()
            for bound in ("lower", "upper"):
                assert frame[bound].null_count() == 0 and (frame[bound] % base == 0).all()
            assert frame.select(pl.col(*LEFT_OUT[path.stem]).is_null().all()).row(0) == (True,) * 8
            away = pl.min_horizontal(pl.col("n") - pl.col("lower"), pl.col("upper") - pl.col("n"))
            assert (
                frame.filter(pl.col("flow") != "net" if "flow" in frame else True)
                .select(away.is_between(10.53, 10.53 + base).all())
                .item()
            )
    numbers = {float(found) for found in re.findall(r"(?<![\w.-])\d+(?:\.\d+)?(?![\w.])", written)}
    assert len(numbers) > 100 and not secrets & numbers
    record = json.loads((outputs / "protection.json").read_text("utf-8"))
    assert record["columns_left_out"]["stocks"] == dict(LEFT_OUT["stocks"])
    assert {*LEFT_OUT["flows"]} == {"mean", "standard_error", *SHARES, "interval_flag"}


def test_a_point_does_not_tell_how_far_it_is_from_the_settled_count(
    duckdb_engine: Engine, tmp_path: Path
) -> None:
    """With the key of the settled persons both would have the same noise, and their difference none."""
    run_of_draws = drawn_run()
    run_of_draws["cell_keys"] = [
        {name: row[name] for name in ("rule", "policy", "period", "citizenship")}
        | {"measure": "stock", "settled_key": 7 * number, "undetermined_key": 0}
        for number, row in enumerate(run_of_draws["stocks"])
    ]
    outputs = publish_protected(duckdb_engine, tmp_path / "run", {"method": "cell_key"}, run=run_of_draws)
    stocks = pl.read_parquet(outputs / "stocks.parquet")
    assert stocks.select((pl.col("n") - pl.col("n_settled")).n_unique()).item() > 3


def test_a_cell_is_the_same_in_every_table_policy_and_run(duckdb_engine: Engine, tmp_path: Path) -> None:
    first, again, other = (
        publish_protected(duckdb_engine, tmp_path / name, RANDOM, key)
        for name, key in (("first", KEY), ("again", KEY), ("other", KEY + "!"))
    )
    for file in first.iterdir():
        assert file.read_bytes() == (again / file.name).read_bytes()
    stocks, flows, accounts, pairs = (
        pl.read_parquet(first / f"{name}.parquet")
        for name in ("stocks", "flows", "accounts", "stock_differences")
    )
    on = ["rule", "policy", "citizenship"]
    both = accounts.join(stocks.filter(period="2018-01-01"), on=on)
    assert both.height == accounts.height
    assert both["opening"].equals(both["n_settled"].rename("opening"))
    assert both["n_settled"].cast(pl.Float64).equals(both["n"].rename("n_settled"))
    arrived = accounts.join(flows.filter(flow="immigration"), on=on)
    assert arrived["immigration"].equals(arrived["n_settled"].rename("immigration"))
    # Whom several policies count alike has one noise, which no average takes away; so have both sides of a pair.
    by_policy = stocks.group_by("citizenship", "period").agg(pl.col("n_settled").n_unique())
    assert by_policy["n_settled"].max() == 1
    assert pairs.height == 2 and pairs["n"].n_unique() == 1
    assert not stocks.equals(pl.read_parquet(other / "stocks.parquet"))


def test_what_rests_on_counts_is_computed_of_protected_ones(duckdb_engine: Engine, tmp_path: Path) -> None:
    outputs = publish_protected(duckdb_engine, tmp_path / "run", RANDOM)
    stocks, flows, accounts, quality = (
        pl.read_parquet(outputs / f"{name}.parquet") for name in ("stocks", "flows", "accounts", "quality")
    )
    wide = flows.filter(policy="midpoint").pivot("flow", index="citizenship", values="n_settled")
    assert (wide["net"] == wide["immigration"] - wide["emigration"]).all()
    assert wide["net"].n_unique() > 1
    explained = sum(
        accounts[name] for name in ("opening", "immigration", "births", "moves", "net_undetermined")
    )
    left = accounts["closing"] - (explained - accounts["emigration"] - accounts["deaths"])
    assert (accounts["discrepancy"] == left).all() and (left != 0).any()
    # Bounds move with their point, and are rounded outwards: they tell no more than the point does.
    for bound, away in (("lower", stocks["n"] - stocks["lower"]), ("upper", stocks["upper"] - stocks["n"])):
        assert away.is_between(10.5, 13.5).all(), bound
        assert (stocks[bound] % 3 == 0).all(), bound
    assert stocks.select(pl.col("mean", "standard_error", *SHARES).is_null().all()).row(0) == (True,) * (
        2 + len(SHARES)
    )
    value = dict(quality.select("measure", "value").iter_rows())
    assert value["doubtful_share"] == value["doubtful_persons"] / value["persons"]
    assert value["months_without_crossings"] == 1.0


def test_a_row_of_zeros_does_not_say_that_somebody_was_there(duckdb_engine: Engine, tmp_path: Path) -> None:
    run_of_few = counted_run()
    stock = run_of_few["stocks"][0]
    few = stock | {"n": 1.0, "n_settled": 1, "lower": None, "upper": None}
    run_of_few["stocks"] += [few | {"region": f"r{n}"} for n in range(30)]
    run_of_few["stocks"] += [few | {"rule": "register", "n": 0.0, "n_settled": 0, "citizenship": "total"}]
    stay = run_of_few["mobility"][0] | {"n_settled": 1, "n_undetermined": 0}
    run_of_few["mobility"] = [stay | {"duration": f"{n}-"} for n in range(30)]
    outputs = publish_protected(duckdb_engine, tmp_path / "run", RANDOM, run=run_of_few)
    for name, column in (("stocks", "region"), ("mobility", "duration")):
        kept = pl.read_parquet(outputs / f"{name}.parquet").filter(pl.col(column) != "total")
        assert 0 < kept.height < 30, name
        assert kept["n_settled"].unique().to_list() == [3], name
    assert pl.read_parquet(outputs / "stocks.parquet").filter(rule="register").height == 1


def test_the_record_says_what_was_done_and_tells_no_count(duckdb_engine: Engine, tmp_path: Path) -> None:
    settings = {**RANDOM, "tables": ("stocks", "flows", "mobility")}
    outputs = publish_protected(duckdb_engine, tmp_path / "run", settings)
    record = json.loads((outputs / "protection.json").read_text("utf-8"))
    assert record["asked"]["method"] == "random_rounding"
    assert set(record["tables"]) == {"stocks", "flows", "mobility"}
    assert set(record["tables_left_out"]) == {*COUNTED, "person_time", "shells"} - set(record["tables"])
    stocks = record["tables"]["stocks"]
    # 41 cells at two dates, each of which no multiple of 3 is among; both policies count the same.
    assert (stocks["counts"], stocks["changed"], stocks["suppressed"]) == (82, 82, 0)
    assert stocks["information_lost"]["largest_change"] == 2
    assert 1 <= stocks["information_lost"]["mean_change"] <= 2
    assert set(record["tables"]["mobility"]) == {"counts"}  # one row, whose change would tell its count
    package = json.loads((outputs / "datapackage.json").read_text("utf-8"))
    assert "rounded at random to multiples of 3" in package["description"]
    tables = [resource for resource in package["resources"] if "schema" in resource]
    assert len(tables) == 6 and all("Counts are protected" in table["description"] for table in tables)
    assert STRATUM["rule"] not in json.dumps(record["tables"])


def test_every_number_of_every_published_table_is_thought_of() -> None:
    """A new column of counts must be named in COUNTED, or be known to be computed of those that are."""
    bounds = {"lower", "upper"}
    computed = {"flows": bounds, "stocks": bounds, "accounts": {"discrepancy"}}
    for name, counted in COUNTED.items():
        numbers = {column.name for column in TABLES[name].columns if column.type in ("BIGINT", "DOUBLE")}
        left_out = {*LEFT_OUT.get(name, ())} - {"interval_flag"}
        assert numbers == {*counted, *left_out} | computed.get(name, set()), name


def test_a_missing_headline_does_not_tell_that_somebody_is_undetermined(
    duckdb_engine: Engine, tmp_path: Path
) -> None:
    few = counted_run()
    stocks = [row | {"n_undetermined": 1, "n": None, "lower": None, "upper": None} for row in few["stocks"]]
    open_ones = [row | {"status": "provisional"} for row in stocks[:2]]
    few["stocks"] = stocks[2:] + open_ones
    flow = [row | {"n_undetermined": 1, "n": None} for row in few["flows"] if row["flow"] != "net"]
    few["flows"] = [*flow, *(row for row in few["flows"] if row["flow"] == "net")]
    outputs = publish_protected(duckdb_engine, tmp_path / "run", RANDOM, run=few)
    for name in ("stocks", "flows"):
        rows = pl.read_parquet(outputs / f"{name}.parquet")
        is_known = (rows["status"] == "final") & (rows["n_undetermined"] == 0)
        assert is_known.any() and not is_known.all()
        assert rows["n"].is_not_null().equals(is_known.rename("n"))
        assert rows.filter(is_known)["n"].equals(
            rows.filter(is_known)["n_settled"].cast(pl.Float64).rename("n")
        )


@pytest.mark.parametrize("method", ["random_rounding", "rounding", "cell_key", "suppression"])
def test_a_run_that_counts_nobody_is_published(duckdb_engine: Engine, tmp_path: Path, method: str) -> None:
    settings = {"method": method} | ({"minimum_count": 5} if method == "suppression" else {})
    empty = {name: rows if name not in COUNTED else [] for name, rows in counted_run().items()}
    outputs = publish_protected(duckdb_engine, tmp_path / "run", settings, run=empty)
    assert pl.read_parquet(outputs / "stocks.parquet").is_empty()
    assert json.loads((outputs / "protection.json").read_text("utf-8"))["asked"]["method"] == method


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"method": "none", "base": 3}, "has no meaning"),
        ({"method": "random_rounding", "tables": ("stocks", "stocks")}, "given twice"),
        ({"method": "random_rounding", "base": 1}, "greater than or equal to 2"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ProtectionSettings.model_validate(settings)


def test_bounds_are_there_with_their_point_alone_and_move_as_it_does() -> None:
    """The point is the headline where there is one, whatever the settled count beside it is."""
    bounds = {"lower": [5.0, 5.0, 5.0], "upper": [14.0, 14.0, 14.0]}
    before = pl.DataFrame({"n": [9.0, 10.0, None], "n_settled": [12, 12, 12], **bounds})
    after = pl.DataFrame({"n": [None, 12.0, None], "n_settled": [12, 12, 15], **bounds})
    typed = [rows.with_columns(pl.col("n").cast(pl.Float64)) for rows in (after, before)]
    found = shift_bounds(typed[0], typed[1], 3).select("lower", "upper").rows()
    assert found == [(None, None), (6.0, 18.0), (6.0, 18.0)]
