"""Why rules do not propose a pair of an over-full block, and which constraint parts two persons."""

import json
from io import StringIO
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from miglink.cli import main
from miglink.explain import PairExplanation, explain_pair, render_pair
from miglink.explain.inputs import SHOWN
from miglink.explain.pairs import Route
from miglink.explain.scores import rule_columns
from miglink.stages.linkage.blocking import Block
from miglink.stages.linkage.splitting import LARGE
from synthetic.__main__ import make_country
from synthetic.chance import Chance

ACCEPT = 0.65


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose first rule is split, and in which a person has at most one visa."""
    folder = tmp_path_factory.mktemp("parted")
    make_country(500, "high", Chance(5), folder / "made")
    settings = [
        "linkage.training_pairs=100000",
        "linkage.blocking=[[birth_year], [document_number], [surname_key, birth_day_iso]]",
        "linkage.pairs_per_identity=5",
        "sources.visas.one_current_record_per_person=true",
    ]
    command = ["run", str(folder / "made" / "country.yml"), "--out", str(folder / "run"), "--to", "persons"]
    assert main([*command, "--log-format", "json", *(f"--set={setting}" for setting in settings)]) == 0
    return folder / "run"


def table(run: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(run / "tables" / f"{name}.parquet")


def test_what_splits_a_rule_is_read_from_the_model() -> None:
    blocks = [
        Block(("surname_key", "birth_year")),
        Block(("birth_year",), ("sex", "surname_start")),
        Block(("birth_year",), ("given_names_start",), is_beside=True),
    ]
    model = {"blocking_rules_to_generate_predictions": [{"blocking_rule": one.condition()} for one in blocks]}
    ways = [("sex", "surname_start"), ("given_names_start",)]
    assert rule_columns(model) == {("surname_key", "birth_year"): [], ("birth_year",): ways}


def routes_of(run: Path, left: str, right: str, rule: str) -> Route:
    return next(route for route in explain_pair(run, left, right).routes if route.name == rule)


def test_a_split_rule_says_what_parts_the_pair(run: Path) -> None:
    """The identities of a year of birth are many; two of them are a pair only where the splitting fields agree."""
    model = json.loads((run / "model.json").read_text("utf-8"))["settings"]
    splits = rule_columns(model)
    assert splits["birth_year",] and splits["document_number",] == []
    born = table(run, "identities").with_columns(year=pl.col("birth_date").dt.year()).sort("identity_id")
    year, n_block = born.group_by("year").len().drop_nulls().sort("len", "year").row(-1)
    assert n_block > LARGE
    first, *others = born.filter(year=year)["identity_id"][:12]
    routes = [routes_of(run, first, other, "birth_year") for other in others]
    assert {route.n_block for route in routes} == {n_block}
    assert all(
        set(route.parted_by) <= {column for way in splits["birth_year",] for column in way}
        for route in routes
    )
    assert all(route.proposes == (not route.parted_by) and not route.differs for route in routes)
    parted = next(other for other, route in zip(others, routes, strict=True) if route.parted_by)
    found = explain_pair(run, first, parted)
    text = printed(found)
    assert f"its block of {n_block:,} identities is over-full and split" in text
    if not any(route.proposes for route in found.routes) and not found.is_one_person:
        assert "no blocking rule proposes the pair" in found.reason


def test_the_first_rule_that_proposes_a_link_is_the_one_in_links(run: Path) -> None:
    """Over split rules too: what a part of a block parts, another rule may propose."""
    links = table(run, "links").filter(~pl.col("blocking_rule").is_in(["judgement", "given_person"]))
    for left, right, rule in links.select("identity_id_l", "identity_id_r", "blocking_rule").rows()[::100][
        :12
    ]:
        found = explain_pair(run, left, right)
        assert next(route.name for route in found.routes if route.proposes) == rule


def test_a_constraint_names_its_source_and_the_identities_it_rests_on(run: Path) -> None:
    conflicts = table(run, "conflicts").filter(kind="one_current_record")
    owners = table(run, "identity_persons")
    visas = table(run, "record_identities").filter(source="visas")["identity_id"].unique().to_list()
    assert conflicts.height > 3
    links = table(run, "links").filter(pl.col("p_match") >= ACCEPT).rename({"identity_id_l": "identity_id"})
    links = links.join(owners, on="identity_id").join(
        owners, left_on="identity_id_r", right_on="identity_id", suffix="_r"
    )
    cut = links.filter(pl.col("person_id") != pl.col("person_id_r")).sort("identity_id", "identity_id_r")
    seen = 0
    for left, right, person_l, person_r in cut.select(
        "identity_id", "identity_id_r", "person_id", "person_id_r"
    ).rows()[:4]:
        found = explain_pair(run, left, right, show_values=True)
        for one in found.conflicts:
            if one.kind != "one_current_record":
                continue
            seen += 1
            assert one.source == "visas" and "at most one" in one.meaning
            for ids, person in ((one.identities_l, person_l), (one.identities_r, person_r)):
                own = owners.filter(person_id=person)["identity_id"]
                assert ids and set(ids) <= set(own) & set(visas)
        assert "one_current_record (visas)" in printed(found)
        hidden = explain_pair(run, left, right).conflicts[0]
        assert all(len(identity) == SHOWN for identity in hidden.identities_l)
    assert seen


def printed(found: PairExplanation) -> str:
    text = StringIO()
    Console(width=120, file=text).print(render_pair(found))
    return text.getvalue()
