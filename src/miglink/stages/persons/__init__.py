"""Persons: identities joined into persons who keep their ids."""

from dataclasses import dataclass

from miglink.config.stages import Period, PersonsSettings
from miglink.engine import Engine, Table, identifier
from miglink.stages.persons.citizenships import draw_citizenships
from miglink.stages.persons.clusters import (
    TELLS_SQL,
    accepted_links,
    constrained_clusters,
    exclusive_values,
    weigh_links,
)
from miglink.stages.persons.curves import Curve
from miglink.stages.persons.deaths import find_later_records
from miglink.stages.persons.draws import NO_DRAWS, Draws, draw_persons, find_doubt
from miglink.stages.persons.facts import collect_conflicts, collect_persons, collect_traits
from miglink.stages.persons.ids import find_id_changes, give_ids
from miglink.tables.numbering import numbered_sql

__all__ = ["Country", "Curve", "Draws", "Linked", "Persons", "find_persons"]


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
    trait_draws: Table
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
    engine: Engine,
    linked: Linked,
    country: Country,
    settings: PersonsSettings,
    key: str,
    draws: Draws = NO_DRAWS,
) -> Persons:
    """Join identities into persons along accepted links, under constraints, give them ids, and draw what is in doubt.

    Reads: records, identities, record_identities, links, judgements; the persons of an earlier run if one is named.
    Gives: persons, person_traits, identity_persons, record_persons, person_draws, trait_draws, conflicts.
    Errors: ConfigError if the earlier run cannot be read.
    Source: constrained single linkage (clusters.py); pseudonyms by keyed SHA-256; draws (draws.py).
    """
    nodes = engine.step(
        "persons_nodes",
        f"""WITH numbered AS ({numbered_sql("identities", "identity_id", "unique_id")})
        SELECT unique_id, identity_id, given_person, n_records, {TELLS_SQL} AS tells FROM numbered""",
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
    joined = {"nodes": nodes, "edges": edges, "clustered": clustered, "links": linked.links}
    doubt = find_doubt(engine, {**joined, "exclusive": exclusive, "apart": apart}, settings)
    drawn = draw_persons(engine, doubt, draws)
    known = {"ids": ids, "doubtful": doubt.clusters}
    return _describe(engine, linked, country, constraints, known, (drawn, draws))


def _describe(
    engine: Engine,
    linked: Linked,
    country: Country,
    constraints: dict[str, Table],
    known: dict[str, Table],
    drawn: tuple[Table, Draws],
) -> Persons:
    """The tables of persons whose clusters and ids are known; drawn: the drawn linkages, and what to draw."""
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
    person_draws, draws = drawn
    trait_draws = draw_citizenships(engine, person_records, traits, country.alpha_3, draws)
    conflicts = collect_conflicts(engine, facts | constraints | {"persons": persons})
    return Persons(persons, traits, identity_persons, record_persons, person_draws, trait_draws, conflicts)


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
