"""Spells of drawn persons: those of the crossings that each has in its draw."""

import random
from datetime import date, timedelta
from typing import Any

import polars as pl

from given_tables import make_table
from miglink.config.stages import SpellsSettings
from miglink.engine import Engine, Table
from miglink.stages.spells import Country, Drawn, find_spell_draws, find_spells
from test_spells import PERIOD, make_country

IN, OUT = "arrival", "departure"
HERE = Country(PERIOD, True)
Members = dict[int, list[tuple[str, str, int]]]
KEY = ["draw", "person_id", "part", "sequence"]


def drawn_spells(engine: Engine, country: tuple[Table, Table, Table], draws: Members) -> pl.DataFrame:
    """The spells of all draws; draws: of each draw (identity, person_id, part), identities being those of `country`."""
    records, owners, persons = country
    rows = [
        {"draw": draw, "identity_id": identity, "person_id": person, "part": part}
        for draw, people in draws.items() for identity, person, part in people
    ]  # fmt: skip
    drawn = Drawn(
        make_table(engine, "person_draws", rows),
        engine.view(
            "owned_identities",
            "SELECT source, record_id, person_id AS identity_id FROM owners",
            owners=owners,
        ),
        persons,
    )
    spells, _ = find_spells(engine, records, owners, persons, HERE, SpellsSettings())
    found = find_spell_draws(engine, records, drawn, spells, HERE, SpellsSettings())
    return engine.collect("SELECT * FROM t", t=found).sort(KEY)


def test_each_draw_has_the_spells_of_its_persons(engine: Engine) -> None:
    """Who leaves with one document and returns with another is one traveller, or two; death is that of the facts."""
    days = [date(2010, 1, 1), date(2010, 3, 1)]
    country = make_country(
        engine,
        {"a": {}, "b": {"death_date": date(2020, 5, 5)}},
        [("a", days[0], OUT), ("b", days[1], IN)],
    )
    draws = {
        1: [("a", "a", 0), ("b", "a", 0)],
        2: [("a", "a", 0), ("b", "b", 0)],
        3: [("a", "b", 1), ("b", "b", 0)],
    }
    found = drawn_spells(engine, country, draws)
    start, end = PERIOD.from_date, date(2020, 5, 5)
    told = found.select(*KEY, "start_date", "end_date", "start_direction", "end_basis")
    alone_b = [(1, start, days[1], "start", "crossing"), (2, days[1], end, IN, "death")]
    assert told.rows() == [
        (1, "a", 0, 1, start, days[0], "start", "crossing"),
        (1, "a", 0, 2, days[0], days[1], OUT, "crossing"),
        (1, "a", 0, 3, days[1], None, IN, "observation_end"),
        (2, "a", 0, 1, start, days[0], "start", "crossing"),
        (2, "a", 0, 2, days[0], None, OUT, "observation_end"),
        *((2, "b", 0, *row) for row in alone_b),
        *((3, "b", 0, *row) for row in alone_b),
        (3, "b", 1, 1, start, days[0], "start", "crossing"),
        (3, "b", 1, 2, days[0], end, OUT, "death"),
    ]


def test_a_draw_is_a_linkage_like_any_other(duckdb_engine: Engine) -> None:
    """The spells of one draw are what `find_spells` gives for persons so linked; days with several crossings too."""
    engine, chance = duckdb_engine, random.Random(1)
    given = [
        (
            chance.choice("abcd"),
            date(2010, 1, 1) + timedelta(days=chance.randrange(12)),
            chance.choice([IN, OUT]),
        )
        for _ in range(40)
    ]
    country = make_country(engine, {name: {} for name in "abcd"}, given)
    draws: Members = {
        1: [("a", "a", 0), ("b", "a", 1), ("c", "b", 0), ("d", "b", 0)],
        2: [("a", "a", 0), ("b", "a", 0), ("c", "a", 1), ("d", "a", 1)],
        3: [("a", "b", 0), ("b", "a", 0), ("c", "b", 0), ("d", "a", 0)],
    }
    found = drawn_spells(engine, country, draws)
    for number, members in draws.items():
        owner = {name: f"{person}{part}" for name, person, part in members}
        people: dict[str, dict[str, Any]] = {name: {} for name in sorted(set(owner.values()))}
        linked = make_country(engine, people, [(owner[who], *rest) for who, *rest in given])
        expected, _ = find_spells(engine, *linked, HERE, SpellsSettings())
        best = engine.collect("SELECT * FROM t", t=expected).sort("person_id", "sequence")
        of_draw = found.filter(draw=number).with_columns(person_id=pl.concat_str("person_id", "part"))
        columns = [name for name in best.columns if name != "draw"]
        assert of_draw.select(columns).equals(best.select(columns))


def test_no_draws_no_spells(duckdb_engine: Engine) -> None:
    country = make_country(duckdb_engine, {"a": {}}, [("a", date(2010, 1, 1), IN)])
    assert drawn_spells(duckdb_engine, country, {}).is_empty()
