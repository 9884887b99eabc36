"""Persons: identities joined into persons who keep their ids."""

from dataclasses import dataclass

from miglink.components import connected_components
from miglink.config.stages import Period, PersonsSettings
from miglink.engine import Engine, Table, identifier
from miglink.stages.persons.clusters import (
    TELLS_SQL,
    accepted_links,
    constrained_clusters,
    exclusive_values,
    weigh_links,
)
from miglink.stages.persons.deaths import find_later_records
from miglink.stages.persons.facts import collect_conflicts, collect_persons, collect_traits
from miglink.stages.persons.ids import find_id_changes, give_ids
from miglink.tables.numbering import numbered_sql


@dataclass(frozen=True)
class Linked:
    """What identities reads and gives, and the links between identities."""

    records: Table
    identities: Table
    record_identities: Table
    links: Table
    judgements: Table


@dataclass(frozen=True)
class Persons:
    """The tables that persons gives."""

    persons: Table
    person_traits: Table
    identity_persons: Table
    record_persons: Table
    person_draws: Table
    conflicts: Table


@dataclass(frozen=True)
class Country:
    """The country as the run sees it.

    current_sources: they hold at most one record that has not ended for each person.
    traits: the further columns of records that are traits of persons.
    over_death: the kinds of evidence that are trusted more than a record of death (`spells.trust`).
    """

    alpha_3: str
    period: Period
    current_sources: tuple[str, ...]
    traits: tuple[str, ...] = ()
    over_death: tuple[str, ...] = ()


def find_persons(
    engine: Engine, linked: Linked, country: Country, settings: PersonsSettings, key: str
) -> Persons:
    """Join identities into persons along accepted links, under constraints, and give persons their ids.

    Reads: records, identities, record_identities, links, judgements; the persons of an earlier run if one is named.
    Gives: persons, person_traits, identity_persons, record_persons, person_draws, conflicts.
    Errors: ConfigError if the earlier run cannot be read.
    Source: constrained single linkage (clusters.py); pseudonyms by keyed SHA-256.
    """
    nodes = engine.step(
        "persons_nodes",
        f"""WITH numbered AS ({numbered_sql("identities", "identity_id", "unique_id")})
        SELECT unique_id, identity_id, given_person, {TELLS_SQL} AS tells FROM numbered""",
        identities=linked.identities,
    )
    weighed = weigh_links(engine, nodes, linked.links, settings.accept_p_match)
    edges = accepted_links(engine, weighed)
    apart = _apart(engine, nodes, linked)
    inputs = {"records": linked.records, "record_identities": linked.record_identities, "nodes": nodes}
    exclusive = exclusive_values(engine, inputs, country.current_sources)
    clusters = engine.step(
        "persons_clustered_identities",
        "SELECT n.unique_id, n.identity_id, c.cluster FROM nodes n JOIN clusters c USING (unique_id)",
        nodes=nodes,
        clusters=constrained_clusters(engine, nodes, edges, exclusive, apart),
    )
    ids = give_ids(
        engine, clusters, linked.record_identities, key, settings.previous, country.period.data_to_date
    )
    clustered = engine.step(
        "persons_clustered",
        "SELECT c.unique_id, c.identity_id, c.cluster, i.person_id FROM clusters c JOIN ids i USING (cluster)",
        clusters=clusters,
        ids=ids,
    )
    constraints = {"edges": weighed, "clustered": clustered, "exclusive": exclusive, "apart": apart}
    constraints["id_changes"] = find_id_changes(
        engine, clustered, linked.record_identities, settings.previous
    )
    doubtful = _doubtful(engine, nodes, edges, clustered, linked.links, settings)
    return _describe(engine, linked, country, constraints, {"ids": ids, "doubtful": doubtful})


def _describe(
    engine: Engine, linked: Linked, country: Country, constraints: dict[str, Table], known: dict[str, Table]
) -> Persons:
    """The tables of persons whose clusters and ids are known."""
    identity_persons = engine.query(
        "identity_persons", "SELECT identity_id, person_id FROM clustered", clustered=constraints["clustered"]
    )
    record_persons = engine.query(
        "record_persons",
        """SELECT r.source, r.record_id, p.person_id
        FROM record_identities r JOIN identity_persons p USING (identity_id)""",
        record_identities=linked.record_identities,
        identity_persons=identity_persons,
    )
    further = "".join(f", r.{identifier(name)}" for name in country.traits)
    person_records = engine.step(
        "persons_records",
        f"""SELECT p.person_id, i.identity_id, r.source, r.kind, r.record_date, r.birth_date, r.birth_date_precision,
               r.sex, r.citizenship, r.citizenship_2, r.birth_country, r.person_number, r.region, r.crossed_date,
               r.ended_date, r.reason, r.end_reason, r.event_date, r.mother_person_number{further}
        FROM records r JOIN record_identities i ON i.source = r.source AND i.record_id = r.record_id
        JOIN identity_persons p ON p.identity_id = i.identity_id""",
        records=linked.records,
        record_identities=linked.record_identities,
        identity_persons=identity_persons,
    )
    later = find_later_records(engine, person_records, country.over_death)
    facts = {"person_records": person_records, "later": later}
    persons = collect_persons(engine, facts | known, country.period.from_date)
    traits = collect_traits(engine, facts, country.alpha_3, country.traits)
    conflicts = collect_conflicts(engine, facts | constraints | {"persons": persons})
    draws = engine.query(
        "person_draws",
        "SELECT CAST(1 AS INTEGER) AS draw, identity_id, person_id, CAST(0 AS INTEGER) AS part FROM identity_persons WHERE false",
        identity_persons=identity_persons,
    )
    return Persons(persons, traits, identity_persons, record_persons, draws, conflicts)


def _apart(engine: Engine, nodes: Table, linked: Linked) -> Table:
    """Identities that a clerk has judged not to be one person."""
    return engine.step(
        "persons_apart",
        """SELECT DISTINCT least(x.unique_id, y.unique_id) AS a, greatest(x.unique_id, y.unique_id) AS b
        FROM judgements j
        JOIN record_identities l ON l.source = j.source_l AND l.record_id = j.record_id_l
        JOIN record_identities r ON r.source = j.source_r AND r.record_id = j.record_id_r
        JOIN nodes x ON x.identity_id = l.identity_id JOIN nodes y ON y.identity_id = r.identity_id
        WHERE j.verdict = 'non_match'""",
        judgements=linked.judgements,
        record_identities=linked.record_identities,
        nodes=nodes,
    )


def _doubtful(
    engine: Engine, nodes: Table, edges: Table, clustered: Table, links: Table, settings: PersonsSettings
) -> Table:
    """Clusters that certain links alone would not join, or to which a link that was not accepted may yet belong."""
    certain = connected_components(
        engine,
        nodes,
        f"SELECT a, b FROM edges WHERE p_calibrated >= {settings.certain_p_match}",
        edges,
        "persons_certain",
    )
    return engine.step(
        "persons_doubtful",
        f"""WITH loose AS (
            SELECT c.cluster FROM clustered c JOIN certain s USING (unique_id)
            GROUP BY c.cluster HAVING count(DISTINCT s.cluster) > 1),
        open AS (
            SELECT l.cluster AS a, r.cluster AS b FROM links k
            JOIN clustered l ON l.identity_id = k.identity_id_l JOIN clustered r ON r.identity_id = k.identity_id_r
            WHERE l.cluster <> r.cluster AND k.p_calibrated >= {1 - settings.certain_p_match}
              AND k.p_calibrated < {settings.accept_p_match})
        SELECT cluster, true AS is_doubtful FROM (
            SELECT cluster FROM loose UNION SELECT a FROM open UNION SELECT b FROM open)""",
        clustered=clustered,
        certain=certain,
        links=links,
    )
