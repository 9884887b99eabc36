"""The population that benchmarks/linkage_scale.py links: countries put together, a sample of it, and events of it.

Countries made with different seeds are one larger country: names and dates of birth stay as they are, for a larger
country has more holders of each; numbers are exchanged, for no two persons of one country have the same.
"""

import itertools
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from miglink.config.stages import LinkageSettings
from miglink.engine import Engine, Table
from miglink.stages.linkage import choose_blocks, choose_comparisons, count_pairs, prepare_identities
from miglink.stages.linkage.by_splink import splink_settings
from miglink.stages.linkage.splitting import split_blocks
from miglink.tables import IDENTIFYING

# Blocking rules: miglink's own, which are many and narrow; and three as people write them by hand, two of which lead to
# blocks that grow with the population (who were born on one day; the beginnings of common names).
RULES: dict[str, tuple[tuple[str, ...], ...] | None] = {
    "default": None,
    "plain": (("birth_day_iso",), ("surname_start", "given_names_start"), ("document_number",)),
}
_NUMBERS = ("document_number", "person_number")
# Characters that change places among themselves; those in one place of these texts look alike, and move together.
_ALIKE = ("1852", "IBSZ")
_OTHERS = ("34679", "ACDEFGHJKLMNPRTUVWXY")


@dataclass(frozen=True)
class Population:
    """The tables identities and record_identities, and owners: whose each identity is.

    Owners: identity_id, true_person, citizenship_group (the last one, as `miglink evaluate` has it),
    is_january_first. An identity that several persons have in common is the first one's.
    """

    identities: Table
    record_identities: Table
    owners: Table


def unite(engine: Engine, countries: Sequence[tuple[Path, Path]]) -> Population:
    """The population of all countries, each the folder of a finished run and that of its truth."""
    parts: list[Population] = []
    taken: dict[str, list[Table]] = {column: [] for column in _NUMBERS}
    for place, (run, truth) in enumerate(countries):
        own = {
            name: Table(name, run / "tables" / f"{name}.parquet")
            for name in ("identities", "record_identities")
        }
        own |= {name: Table(name, truth / f"{name}.parquet") for name in ("record_persons", "person_traits")}
        own["owners"] = _owners(engine, own, place)
        numbers = {
            column: _exchange(engine, own["identities"], (place, column), held)
            for column, held in taken.items()
        }
        for column, exchanged in numbers.items():
            taken[column].append(exchanged)
        parts.append(_apart(engine, own, numbers, place))
    return Population(
        _stacked(engine, "united_identities", [part.identities for part in parts]),
        _stacked(engine, "united_record_identities", [part.record_identities for part in parts]),
        _stacked(engine, "united_owners", [part.owners for part in parts]),
    )


def _stacked(engine: Engine, name: str, tables: Sequence[Table]) -> Table:
    parts = {f"part_{place}": table for place, table in enumerate(tables)}
    return engine.step(name, " UNION ALL ".join(f"SELECT * FROM {part}" for part in parts), **parts)


def _owners(engine: Engine, own: dict[str, Table], place: int) -> Table:
    """Whose each identity of one country is."""
    return engine.step(
        f"owners_{place}",
        f"""WITH whose AS (
            SELECT r.identity_id, min(t.true_person_id) AS person
            FROM record_identities r JOIN record_persons t USING (source, record_id) GROUP BY r.identity_id),
        last_groups AS (
            SELECT true_person_id AS person, max_by(value, valid_from) AS citizenship_group
            FROM person_traits WHERE trait = 'citizenship_group' GROUP BY true_person_id)
        SELECT i.identity_id, '{place}.' || w.person AS true_person,
               coalesce(g.citizenship_group, 'unknown') AS citizenship_group,
               coalesce(strftime(i.birth_date, '%m-%d') = '01-01' AND i.birth_date_precision = 'day', false)
                   AS is_january_first
        FROM identities i JOIN whose w USING (identity_id) LEFT JOIN last_groups g USING (person)""",
        **{
            name: own[name] for name in ("identities", "record_identities", "record_persons", "person_traits")
        },
    )


def _exchange(engine: Engine, identities: Table, number: tuple[int, str], taken: Sequence[Table]) -> Table:
    """The numbers of a column of one country (given), and what stands for each (made): another in every country.

    Characters change places, the same everywhere, so that a number keeps its shape, and a misread one the likeness to
    what was misread. A number that stands in an earlier country, or for another one, is made once more.
    """
    place, column = number
    made = engine.step(
        f"numbers_{column}_{place}_0",
        f"""SELECT {column} AS given, {_exchanged_sql(column, place, 0)} AS made FROM (
            SELECT DISTINCT {column} FROM identities WHERE {column} IS NOT NULL) AS held""",
        identities=identities,
    )
    earlier = {f"taken_{at}": table for at, table in enumerate(taken)}
    held = (
        " UNION ALL ".join(f"SELECT made FROM {name}" for name in earlier) or "SELECT '' AS made WHERE false"
    )
    for again in itertools.count(1):
        clashing = engine.step(
            f"clashing_{column}_{place}_{again}",
            f"""SELECT given FROM (SELECT *, count(*) OVER (PARTITION BY made) AS n FROM numbers) AS counted
            WHERE n > 1 OR made IN ({held})""",
            numbers=made,
            **earlier,
        )
        if not engine.count(clashing):
            break
        made = engine.step(
            f"numbers_{column}_{place}_{again}",
            f"""SELECT n.given, CASE WHEN c.given IS NULL THEN n.made
                   ELSE {_exchanged_sql("n.given", place, again)} END AS made
            FROM numbers n LEFT JOIN clashing c ON c.given = n.given""",
            numbers=made,
            clashing=clashing,
        )
    return made


def _exchanged_sql(number: str, place: int, again: int) -> str:
    """A number with its characters exchanged; the first country keeps its own."""
    if place == 0:
        return number
    chance = random.Random(f"{place} {again}")
    order = chance.sample(range(len(_ALIKE[0])), len(_ALIKE[0]))
    before = "".join((*_ALIKE, *_OTHERS))
    after = "".join("".join(texts[at] for at in order) for texts in _ALIKE)
    after += "".join("".join(chance.sample(group, len(group))) for group in _OTHERS)
    return f"translate({number}, '{before}', '{after}')"


def _apart(engine: Engine, own: dict[str, Table], numbers: dict[str, Table], place: int) -> Population:
    """One country by keys and numbers that no other one has."""
    key = f"sha256(t.identity_id || ' of country {place}')" if place else "t.identity_id"
    return Population(
        engine.step(
            f"identities_{place}",
            f"""SELECT t.* REPLACE ({key} AS identity_id, replace(t.given_person, ':', ':{place}.') AS given_person,
                   d.made AS document_number, p.made AS person_number)
            FROM identities t LEFT JOIN documents d ON d.given = t.document_number
            LEFT JOIN persons p ON p.given = t.person_number""",
            identities=own["identities"],
            documents=numbers["document_number"],
            persons=numbers["person_number"],
        ),
        engine.step(
            f"record_identities_{place}",
            f"""SELECT t.source, '{place}.' || t.record_id AS record_id, {key} AS identity_id
            FROM record_identities t""",
            record_identities=own["record_identities"],
        ),
        engine.step(
            f"owners_apart_{place}",
            f"SELECT t.* REPLACE ({key} AS identity_id) FROM owners t",
            owners=own["owners"],
        ),
    )


def keep(population: Population, folder: Path) -> Population:
    """The population in files of a folder, which stay when the engine closes."""
    tables = (population.identities, population.record_identities, population.owners)
    return Population(*(Table(t.name, t.path.rename(folder / t.path.name)) for t in tables))


def sample(engine: Engine, population: Population, most: int) -> Population:
    """So many whole true persons that they have `most` identities, or a few less; a smaller sample is in a larger."""
    chosen = engine.step(
        "sampled_owners",
        f"""WITH persons AS (SELECT true_person, count(*) AS n FROM owners GROUP BY true_person),
        ordered AS (
            SELECT true_person, sum(n) OVER (ORDER BY sha256(true_person), true_person) AS n_so_far FROM persons)
        SELECT o.* FROM owners o JOIN ordered USING (true_person) WHERE n_so_far <= {most}""",
        owners=population.owners,
    )
    kept = "SELECT * FROM every WHERE identity_id IN (SELECT identity_id FROM chosen)"
    return Population(
        engine.step("sampled_identities", kept, every=population.identities, chosen=chosen),
        engine.step("sampled_record_identities", kept, every=population.record_identities, chosen=chosen),
        chosen,
    )


def write_identities(
    engine: Engine, population: Population, folder: Path, rules: str = "default"
) -> dict[str, Any]:
    """Write what the programs read into a folder.

    Identities and record_identities are for miglink, prepared (with keys) and settings.json for Splink; linkage.json,
    with the blocking rules of that name, for both; owners, by id (identity_id) and number (unique_id), is for who
    measures. Gives what there is of them.
    """
    given = {"identities": population.identities, "record_identities": population.record_identities}
    tables = {name: engine.query(name, "SELECT * FROM given", given=table) for name, table in given.items()}
    keyed, seconds = _keyed(engine, tables["identities"])
    owners = engine.step(
        "owners",
        """SELECT o.identity_id AS id, k.unique_id AS number, o.* EXCLUDE (identity_id)
        FROM owners o JOIN keyed k USING (identity_id)""",
        owners=population.owners,
        keyed=keyed,
    )
    told = {**_counted(engine, owners), "seconds_of_keys": seconds}
    told["pairs_proposed"] = _write_settings(engine, keyed, keyed, folder, rules)
    prepared = engine.step("prepared", "SELECT * FROM keyed", keyed=keyed)
    for name, table in (*tables.items(), ("prepared", prepared), ("owners", owners)):
        table.path.rename(folder / f"{name}.parquet")
    return told


def write_events(
    engine: Engine, population: Population, each: int, folder: Path, rules: str = "default"
) -> dict[str, Any]:
    """Write so many records of each person, divided among its identities as its own records are: one at least.

    Records for miglink, the same with the keys of their identities (prepared) and settings.json for Splink; owners by
    id (record_id) and number (unique_id).
    """
    columns = ", ".join(column.name for column in IDENTIFYING)
    records = engine.step(
        "events",
        f"""WITH counted AS (
            SELECT i.*, greatest(1, CAST(ROUND(
                {each} * n_records / sum(n_records) OVER (PARTITION BY o.true_person)) AS BIGINT)) AS n_events
            FROM identities i JOIN owners o USING (identity_id))
        SELECT 'events' AS source, identity_id || '.' || CAST(number AS VARCHAR) AS record_id,
               first_date AS record_date, identity_id, {columns}
        FROM (SELECT *, UNNEST(generate_series(1, n_events)) AS number FROM counted)""",
        identities=population.identities,
        owners=population.owners,
    )
    keyed, seconds = _keyed(engine, population.identities)
    prepared = engine.step(
        "prepared_events",
        """SELECT row_number() OVER (ORDER BY e.record_id) AS unique_id, e.record_id, k.* EXCLUDE (unique_id)
        FROM events e JOIN keyed k USING (identity_id)""",
        events=records,
        keyed=keyed,
    )
    owners = engine.step(
        "owners_of_events",
        """SELECT p.record_id AS id, p.unique_id AS number, o.* EXCLUDE (identity_id)
        FROM prepared p JOIN owners o USING (identity_id)""",
        prepared=prepared,
        owners=population.owners,
    )
    told = {**_counted(engine, owners), "seconds_of_keys": seconds}
    told["pairs_proposed"] = _write_settings(engine, keyed, prepared, folder, rules)
    for name, table in (("records", records), ("prepared", prepared), ("owners", owners)):
        table.path.rename(folder / f"{name}.parquet")
    return told


def _keyed(engine: Engine, identities: Table) -> tuple[Table, float]:
    """The identities with their keys, and the seconds of making these: miglink's include them, Splink's do not."""
    began = time.perf_counter()
    keyed = prepare_identities(engine, identities)
    return keyed, round(time.perf_counter() - began, 2)


def _counted(engine: Engine, owners: Table) -> dict[str, Any]:
    (counted,) = engine.collect(
        "SELECT count(*) AS rows, count(DISTINCT true_person) AS persons FROM owners", owners=owners
    ).to_dicts()
    return counted


def read_rules(folder: Path) -> LinkageSettings:
    """The settings by which a folder's identities are linked: the blocking rules that it was written with."""
    return LinkageSettings.model_validate_json((folder / "linkage.json").read_text(encoding="utf-8"))


def _write_settings(
    engine: Engine, keyed: Table, prepared: Table, folder: Path, rules: str
) -> dict[str, int]:
    """What miglink compares of these identities by itself and the blocking rules, in Splink's words: none is split.

    Gives: the pairs that all rules propose, one by one: of identities, with over-full blocks split as miglink splits
    them, and whole; and of the rows that Splink gets.
    """
    (folder / "linkage.json").write_text(json.dumps({"blocking": RULES[rules]}), encoding="utf-8")
    asked = read_rules(folder)
    comparisons = choose_comparisons(engine, keyed, asked, ())
    blocks = choose_blocks(comparisons, asked)
    text = json.dumps(splink_settings(comparisons, blocks), indent=1)
    (folder / "settings.json").write_text(text, encoding="utf-8")
    assert asked.pairs_per_identity is not None
    split = split_blocks(engine, keyed, blocks, asked.pairs_per_identity)
    of_programs = {"ours": split, "whole": (keyed, blocks), "splink": (prepared, blocks)}
    return {
        name: int(count_pairs(engine, table, rules)["n_pairs"].sum())
        for name, (table, rules) in of_programs.items()
    }
