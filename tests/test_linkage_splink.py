"""Links are those of Splink's own `predict` on the same model: same rows, levels and weights to six decimals."""

import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from given_examples import is_quick
from given_links import sized
from given_tables import make_table
from miglink.config.stages import ComparisonSettings, LinkageSettings
from miglink.engine import Engine
from miglink.errors import ConfigError
from miglink.stages.identities import find_identities
from miglink.stages.linkage import Identified, link
from test_linkage import linked, population, records_of

APPROXIMATE = ("match_weight", "p_match", "p_calibrated", "p_without_number")
FIELDS = ("name", "birth_date", "document", "sex", "citizenship", "person_number", "birth_country")


def with_gaps(rng: random.Random, row: dict[str, Any]) -> dict[str, Any]:
    """Every field is missing at times; persons have numbers, and countries of birth, of few values."""
    more = {
        "person_number": f"{rng.randrange(400):06}",
        "birth_country": rng.choice(["ESP", "DEU", "DEU", "PER"]),
        "citizenship_2": rng.choice([None, None, "USA", "ESP"]),
    }
    share = rng.choice([0.0, 0.1, 0.5])
    return {name: value if rng.random() >= share else None for name, value in {**row, **more}.items()}


def another(rng: random.Random, model: dict[str, Any]) -> dict[str, Any]:
    """The model with other m, u and share of matches, some of them extreme."""
    changed: dict[str, Any] = json.loads(json.dumps(model))
    changed["settings"]["probability_two_random_records_match"] = 10 ** rng.uniform(-8, -1)
    for comparison in changed["settings"]["comparisons"]:
        for level in comparison["comparison_levels"]:
            if not level.get("is_null_level"):
                level["m_probability"] = 10 ** rng.uniform(-6, -0.01)
                level["u_probability"] = 10 ** rng.uniform(-9, -0.01)
    return changed


def sorted_links(pairs: pl.DataFrame) -> pl.DataFrame:
    return pairs.drop("l", "r").unique().sort("identity_id_l", "identity_id_r")


def test_links_are_those_of_splink(engine: Engine, tmp_path: Path) -> None:
    n_links = 0
    for seed in range(8) if is_quick(engine) else (0,):  # Splink on Spark takes a minute
        rng = random.Random(seed)
        rows = [with_gaps(rng, row) for row in population(sized(engine, 300), seed)[0]]
        fields = ["name", *rng.sample(FIELDS[1:], rng.randint(1, 6))]
        asked = LinkageSettings(
            comparisons=tuple(ComparisonSettings(field=field) for field in fields),
            keep_p_match=rng.choice([0.0, 0.01, 0.5, 0.95]),
            training_pairs=50_000,
        )
        folder = tmp_path / f"{seed}"
        folder.mkdir()
        links, trained = linked(engine, rows, folder, asked)
        (folder / "another.json").write_text(json.dumps(another(rng, trained)))
        own, others = (
            asked.model_copy(update={"model": folder / f"{model}.json"}) for model in ("model", "another")
        )
        n_links += the_same_links(engine, rows, folder, own, links)
        n_links += the_same_links(engine, rows, folder, others)
    assert n_links > (5000 if is_quick(engine) else 50)


def the_same_links(
    engine: Engine,
    rows: list[dict[str, Any]],
    folder: Path,
    settings: LinkageSettings,
    links: pl.DataFrame | None = None,
) -> int:
    """Score with both, unless the links of miglink are known; the number of links."""
    for program in ("miglink", "splink"):
        (folder / program).mkdir(exist_ok=True)
    if links is None:
        links, _ = linked(engine, rows, folder / "miglink", settings)
    by_splink = settings.model_copy(update={"scored_by": "splink"})
    ours = sorted_links(links)
    splinks = sorted_links(linked(engine, rows, folder / "splink", by_splink)[0])
    assert ours.columns == splinks.columns
    exact = [name for name in ours.columns if name not in APPROXIMATE]
    assert ours.select(exact).equals(splinks.select(exact))
    for name in APPROXIMATE:
        apart = (ours[name] - splinks[name]).abs()
        # The last digit may be rounded either way.
        assert apart.filter(apart > 1.01e-6).len() == 0
    return ours.height


def test_splink_is_refused_where_families_share_what_is_compared(
    duckdb_engine: Engine, tmp_path: Path
) -> None:
    rows = population(50, 3)[0]
    records = records_of(rows, duckdb_engine)
    street = pl.DataFrame({"record_id": [f"{n:09}" for n in range(len(rows))], "street": ["A 1"] * len(rows)})
    records = duckdb_engine.step(
        "with_street", "SELECT r.*, f.street FROM r JOIN f USING (record_id)", r=records, f=street
    )
    identities, record_identities = find_identities(duckdb_engine, records, ("street",))
    judgements = make_table(duckdb_engine, "judgements", [])
    settings = LinkageSettings(
        comparisons=(ComparisonSettings(field="name"), ComparisonSettings(field="street", kind="text")),
        scored_by="splink",
    )
    identified = Identified(identities, record_identities, judgements)
    with pytest.raises(ConfigError, match="families share street"):
        link(duckdb_engine, identified, settings, ("street",), tmp_path / "model.json")
