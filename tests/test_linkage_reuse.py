"""A model used again, and blocking rules that would propose too many pairs."""

import json
import random
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from given_examples import is_quick
from given_links import sized
from given_tables import make_table
from miglink.config.stages import ComparisonSettings, LinkageSettings
from miglink.engine import Engine, Table
from miglink.errors import ConfigError
from miglink.stages.identities import find_identities
from miglink.stages.linkage import Identified, count_pairs, link
from miglink.stages.linkage.blocking import Block, check_pairs, choose_blocks
from miglink.stages.linkage.comparisons import choose_comparisons
from miglink.stages.linkage.keys import prepare_identities
from miglink.stages.linkage.patterns import Sample, count_patterns
from miglink.stages.linkage.scoring import compare_pairs, propose_pairs
from test_linkage import DEFAULTS, SURNAMES, linked, population, records_of

NAMED = LinkageSettings(
    training_pairs=DEFAULTS.training_pairs,
    comparisons=(
        ComparisonSettings(field="name"),
        ComparisonSettings(field="birth_date"),
        ComparisonSettings(field="document"),
    ),
)


def sorted_links(pairs: pl.DataFrame) -> pl.DataFrame:
    return pairs.drop("l", "r").unique().sort("identity_id_l", "identity_id_r")


def test_a_model_scores_its_own_data_as_before(engine: Engine, tmp_path: Path) -> None:
    rows, _ = population(sized(engine, 500), 21)
    given = {"chosen": DEFAULTS, "named": NAMED} if is_quick(engine) else {"named": NAMED}
    for name, settings in given.items():
        folder, folder_again = tmp_path / name, tmp_path / f"{name} again"
        folder.mkdir()
        folder_again.mkdir()
        first, trained = linked(engine, rows, folder, settings)
        # The run folder names its model as well as the file does.
        again = settings.model_copy(update={"model": folder, "seed": 99, "training_pairs": 1})
        second, reused = linked(engine, rows, folder_again, again)
        assert first.height > 0
        assert sorted_links(first).equals(sorted_links(second))
        assert reused["settings"] == trained["settings"]
        assert reused["history"][:-1] == trained["history"]
        assert reused["history"][-1]["step"] == "reused"
        assert reused["history"][-1]["trained_on_identities"] == trained["n_identities"]


def test_a_model_scores_other_data_with_its_own_parameters(engine: Engine, tmp_path: Path) -> None:
    rows, owners = population(sized(engine, 1500), 22)
    _, trained = linked(engine, rows, tmp_path)
    # Too few to train on, and nobody's sex is known: the model says what is compared.
    few, few_owners = population(60, 23)
    few = [{**row, "sex": None} for row in few]
    (tmp_path / "few").mkdir()
    pairs, reused = linked(engine, few, tmp_path / "few", LinkageSettings(model=tmp_path / "model.json"))
    assert reused["settings"]["comparisons"] == trained["settings"]["comparisons"]
    assert "level_sex" in pairs.columns
    accepted = pairs.filter(pl.col("p_match") >= 0.9)
    right = sum(few_owners[a] == few_owners[b] for a, b in accepted.select("l", "r").iter_rows())
    assert accepted.height > 30
    assert right / accepted.height > 0.99
    assert len(owners) == len(rows)


def test_a_model_names_nobody(duckdb_engine: Engine, tmp_path: Path) -> None:
    rows, _ = population(300, 24)
    _, model = linked(duckdb_engine, rows, tmp_path)
    text = (tmp_path / "model.json").read_text()
    assert not [name for name in SURNAMES if name in text]
    assert not [row for row in rows if row["document_number"] in text]
    assert model["frequencies"]["columns"] == [
        "birth_iso", "citizenship", "given_names_key", "given_names_variant", "likely_given_names", "name_rough",
        "name_sound", "name_words",
    ]  # fmt: skip


def refused(engine: Engine, tmp_path: Path, settings: LinkageSettings) -> str:
    """What is said of a model that does not fit; nothing but the settings is looked at."""
    rows, _ = population(30, 25)
    with pytest.raises(ConfigError) as raised:
        linked(engine, rows, tmp_path, settings)
    return str(raised.value)


def test_a_model_that_does_not_fit_is_refused(duckdb_engine: Engine, tmp_path: Path) -> None:
    rows, _ = population(300, 26)
    _, model = linked(duckdb_engine, rows, tmp_path, NAMED)
    changed = tmp_path / "changed.json"
    asked = NAMED.model_copy(update={"model": changed})

    assert "cannot be read" in refused(duckdb_engine, tmp_path, asked)
    changed.write_text("no model")
    assert "is no model of this version" in refused(duckdb_engine, tmp_path, asked)
    changed.write_text(json.dumps({**model, "miglink_version": "7.1"}))
    assert "was trained with miglink 7.1" in refused(duckdb_engine, tmp_path, asked)

    changed.write_text(json.dumps(model))
    fewer = asked.model_copy(update={"comparisons": (NAMED.comparisons or ())[:2]})
    told = refused(duckdb_engine, tmp_path, fewer)
    assert "it compares name, birth_date, document, the configuration name, birth_date" in told

    altered = json.loads(json.dumps(model))
    altered["settings"]["comparisons"][1]["comparison_levels"][1]["label_for_charts"] = "same week"
    changed.write_text(json.dumps(altered))
    assert "its levels of 'birth_date' are not known; same week;" in refused(duckdb_engine, tmp_path, asked)

    altered = json.loads(json.dumps(model))
    altered["settings"]["comparisons"][2]["comparison_levels"][2]["sql_condition"] = "true"
    changed.write_text(json.dumps(altered))
    assert "in 'document' it means something else by: one character, or characters" in refused(
        duckdb_engine, tmp_path, asked
    )


def test_a_model_of_further_columns_needs_them(duckdb_engine: Engine, tmp_path: Path) -> None:
    rows, _ = population(300, 27)
    _, model = linked(duckdb_engine, rows, tmp_path, NAMED)
    model["comparisons"].append({"field": "street", "kind": "text", "unless_same": None})
    (tmp_path / "changed.json").write_text(json.dumps(model))
    told = refused(duckdb_engine, tmp_path, LinkageSettings(model=tmp_path / "changed.json"))
    assert "no field 'street'" in told


def one_block(engine: Engine, n: int) -> Table:
    """n prepared identities that share one key, and another key each two."""
    numbers = engine.frame("numbers", pl.DataFrame({"n": range(n)}))
    return engine.step(
        "many",
        "SELECT n AS unique_id, 'the same' AS shared, CAST(n // 2 AS VARCHAR) AS each_two FROM numbers",
        numbers=numbers,
    )


def test_a_block_of_a_million_is_counted_not_made(duckdb_engine: Engine) -> None:
    prepared = one_block(duckdb_engine, 1_000_000)
    blocks = [Block(("each_two",)), Block(("shared",)), Block(("shared", "each_two"))]
    counted = count_pairs(duckdb_engine, prepared, blocks)
    assert counted.rows() == [
        ("each_two", 500_000, 2),
        ("shared", 499_999_500_000, 1_000_000),
        ("shared + each_two", 500_000, 2),
    ]
    assert check_pairs(duckdb_engine, prepared, blocks[:1], 500_000) == 500_000
    with pytest.raises(ConfigError) as raised:
        check_pairs(duckdb_engine, prepared, blocks, 1_000_000_000)
    told = str(raised.value)
    assert "propose 500,000,500,000 pairs, more than linkage.max_pairs (1,000,000,000)" in told
    assert "`shared` with 499,999,500,000 pairs; its largest block holds 1,000,000 identities" in told
    assert "`missing`" in told
    assert "the same" not in told


def test_a_key_that_nobody_holds_proposes_nothing(engine: Engine) -> None:
    prepared = engine.step(
        "none", "SELECT unique_id, CAST(NULL AS VARCHAR) AS x FROM many", many=one_block(engine, 9)
    )
    assert count_pairs(engine, prepared, [Block(("x",))]).rows() == [("x", 0, 0)]
    assert count_pairs(engine, prepared, []).columns == ["rule", "n_pairs", "largest_block"]


def test_pairs_are_counted_as_they_are_made(engine: Engine, tmp_path: Path) -> None:
    rows, _ = population(300, 28)
    identities, _ = find_identities(engine, records_of(rows, engine))
    prepared = prepare_identities(engine, identities)
    blocks = choose_blocks(choose_comparisons(engine, prepared, LinkageSettings(), ()), LinkageSettings())
    made = [engine.count(propose_pairs(engine, prepared, [block])) for block in blocks]
    assert count_pairs(engine, prepared, blocks)["n_pairs"].to_list() == made
    assert sum(made) > 0


def test_a_run_stops_before_its_blocks_explode(engine: Engine, tmp_path: Path) -> None:
    """A default date of birth: 3,000 of them make 4.5 million pairs."""
    rng = random.Random(29)
    rows = [
        {"surname": "UNKNOWN", "given_names": f"G{rng.random()}", "birth_date": "1900-01-01", "sex": "male"}
        for _ in range(3000)
    ]
    settings = LinkageSettings(
        blocking=(("surname_key", "birth_day_iso"),), max_pairs=1_000_000, pairs_per_identity=None
    )
    with pytest.raises(ConfigError, match=r"`surname_key \+ birth_day_iso` with 4,498,500 pairs"):
        linked(engine, rows, tmp_path, settings)
    assert not (tmp_path / "model.json").exists()


@pytest.mark.parametrize("n_parts", [2, 7])
def test_pairs_compared_by_parts_are_those_compared_at_once(
    duckdb_engine: Engine, monkeypatch: pytest.MonkeyPatch, n_parts: int
) -> None:
    rows, _ = population(700, 31)
    identities, _ = find_identities(duckdb_engine, records_of(rows, duckdb_engine))
    prepared = prepare_identities(duckdb_engine, identities)
    comparisons = choose_comparisons(duckdb_engine, prepared, NAMED, ())
    pairs = propose_pairs(duckdb_engine, prepared, choose_blocks(comparisons, NAMED))

    def compared() -> pl.DataFrame:
        found = compare_pairs(duckdb_engine, prepared, comparisons, pairs)
        return duckdb_engine.collect("SELECT * FROM found ORDER BY ALL", found=found)

    with duckdb_engine.holding():
        at_once = compared()
    assert at_once.height == duckdb_engine.count(pairs) > 500
    each = (duckdb_engine.memory or 0) * (n_parts - 0.5) / duckdb_engine.count(prepared)
    monkeypatch.setattr("miglink.stages.linkage.scoring._BYTES_HELD", int(each))
    by_parts = compared()
    assert_frame_equal(by_parts, at_once)
    folder = Path(prepared.path).parent
    assert len([*folder.glob("linkage_compared_*.parquet")]) == n_parts


def test_a_sample_within_names_and_dates_counts_for_all(duckdb_engine: Engine) -> None:
    """Fewer random pairs than identities: the pairs that share a name or a date are sampled too, and weighted up."""
    rows, _ = population(1500, 30)
    identities, _ = find_identities(duckdb_engine, records_of(rows, duckdb_engine))
    prepared = prepare_identities(duckdb_engine, identities)
    comparisons = choose_comparisons(duckdb_engine, prepared, NAMED, ())
    blocks = [Block(("document_number",))]
    pairs = propose_pairs(duckdb_engine, prepared, blocks)
    compared = (compare_pairs(duckdb_engine, prepared, comparisons, pairs), comparisons, blocks)
    n = duckdb_engine.count(prepared)
    every, third = (count_patterns(duckdb_engine, prepared, compared, Sample(m, 1)) for m in (n, n // 3))
    assert every.n_pairs.sum() == pytest.approx(n * (n - 1) / 2, rel=0.001)
    assert third.n_pairs.sum() == pytest.approx(n * (n - 1) / 2, rel=0.001)
    same_day = len(comparisons[1].levels)
    shared = [
        float(patterns.n_pairs[~patterns.is_blocked & (patterns.levels[:, 1] == same_day)].sum())
        for patterns in (every, third)
    ]
    assert shared[0] > 1000
    assert shared[1] == pytest.approx(shared[0], rel=0.15)


def test_the_wrong_name_in_a_blocking_rule_is_told_with_what_there_is(engine: Engine, tmp_path: Path) -> None:
    identities = make_table(engine, "identities", [])
    nothing = make_table(engine, "record_identities", [])
    identified = Identified(identities, nothing, make_table(engine, "judgements", []))
    with pytest.raises(ConfigError, match="no column 'birth_yaer' to block on; there are surname_icao"):
        link(engine, identified, LinkageSettings(blocking=(("birth_yaer",),)), (), tmp_path / "model.json")
