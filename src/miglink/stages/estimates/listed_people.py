"""The migratory status of everybody in a list: a census, a survey, an enrolment list."""

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from miglink.codes.groups import UNKNOWN_CITIZENSHIP, group_by_year
from miglink.config.mobility import CircularSettings
from miglink.engine import Engine, Table, identifier, text_literal
from miglink.stages.estimates.dimensions import birth_group, origin_group
from miglink.stages.estimates.mobility import Travellers
from miglink.stages.estimates.mobility.stays import find_circular_sql, find_citizenships
from miglink.stages.estimates.strata import number_strata
from miglink.stages.estimates.vintages import Observation
from miglink.tables import TABLES

_FOREVER = "DATE '9999-12-31'"
_FACT = "person_id, last_date, rule, policy"


def has_lists(engine: Engine, records: Table) -> bool:
    """Whether any source is of kind people."""
    found = engine.collect("SELECT COUNT(*) AS n FROM records WHERE kind = 'people'", records=records)
    return bool(found["n"].item())


def find_listed_people(
    engine: Engine,
    travellers: Travellers,
    observation: Observation,
    circular: CircularSettings,
    country_and_traits: tuple[str, Sequence[str]],
) -> Table:
    """Give the table listed_people: a row for each record of kind people, under each rule and policy.

    A reference date means the end of the day before, as that of a stock does: a list of 1 January and the stock of that
    date say the same of a person. What a person was born and is a citizen of is known also of records that are linked
    with nothing; all else of those is unknown, for a list says nothing of migration.
    """
    country, traits = country_and_traits
    listed = _find_records(engine, travellers, traits)
    days = engine.step(
        "lists_days",
        """SELECT DISTINCT person_id, reference_date, last_date, CAST(YEAR(reference_date) AS INTEGER) AS year
        FROM listed WHERE last_date IS NOT NULL""",
        listed=listed,
    )
    facts = _find_facts(engine, travellers, days, circular)
    citizens = _find_citizens(engine, travellers.person_traits, days, country)
    found = {
        "listed": listed,
        "facts": facts,
        "citizens": citizens,
        "strata": _find_strata(engine, travellers.residence, observation),
        "citizenships": find_citizenships(engine, travellers.person_traits),
        "persons": travellers.persons,
    }
    return _write(engine, found, observation, country_and_traits)


def _find_strata(engine: Engine, residence: Table, observation: Observation) -> Table:
    """The rules and policies, each with the first and last observed day at whose end it gives a status."""
    first, last = observation.period.from_date - timedelta(days=1), observation.period.to_date
    strata = number_strata(engine, residence, observation).select(
        "rule",
        "policy",
        start_date=pl.max_horizontal("start_date", pl.lit(first)),
        limit_date=pl.min_horizontal("limit_date", pl.lit(last)),
    )
    return engine.frame("lists_strata", strata)


def _find_records(engine: Engine, travellers: Travellers, traits: Sequence[str]) -> Table:
    """The records of the lists with their persons; is_linked: another kind of source knows the person, too."""
    # Numbered: their own names might be those of other columns.
    further = "".join(f", r.{identifier(name)} AS trait_{n}" for n, name in enumerate(traits))
    return engine.step(
        "lists_records",
        f"""
        WITH elsewhere AS (
            SELECT DISTINCT p.person_id
            FROM records r JOIN record_persons p ON p.source = r.source AND p.record_id = r.record_id
            WHERE r.kind <> 'people'
        )
        SELECT r.source, r.record_id, p.person_id, r.record_date AS reference_date,
               CAST(r.record_date - INTERVAL 1 DAY AS DATE) AS last_date,
               COALESCE(r.weight, CAST(1 AS DOUBLE)) AS weight, e.person_id IS NOT NULL AS is_linked,
               CAST(ROW_NUMBER() OVER (PARTITION BY r.source, p.person_id ORDER BY r.record_id) AS INTEGER)
                   AS record_number{further}
        FROM records r
        JOIN record_persons p ON p.source = r.source AND p.record_id = r.record_id
        LEFT JOIN elsewhere e ON e.person_id = p.person_id
        WHERE r.kind = 'people'
        """,
        records=travellers.records,
        record_persons=travellers.record_persons,
    )


def _find_facts(engine: Engine, travellers: Travellers, days: Table, circular: CircularSettings) -> Table:
    """What each rule and policy says of a person on a day: status, arrivals, presence, earlier absence."""
    in_force = engine.step(
        "lists_in_force",
        f"""
        SELECT d.person_id, d.last_date, d.year, r.rule, r.policy, r.status, r.from_date, r.status_final_date
        FROM days d JOIN residence r ON r.person_id = d.person_id AND r.draw = 0
             AND r.from_date <= d.last_date AND d.last_date < COALESCE(r.to_date, {_FOREVER})
        """,
        days=days,
        residence=travellers.residence,
    )
    return engine.step(
        "lists_facts",
        f"""
        WITH past AS (
            SELECT i.person_id, i.last_date, i.rule, i.policy,
                   MAX(CASE WHEN b.status = 'non_resident' THEN 1 ELSE 0 END) AS was_abroad
            FROM in_force i JOIN residence b ON b.person_id = i.person_id AND b.rule = i.rule AND b.policy = i.policy
                 AND b.draw = 0 AND b.from_date < i.from_date AND b.status <> 'resident'
            GROUP BY i.person_id, i.last_date, i.rule, i.policy
        ), arrivals AS (
            SELECT i.person_id, i.last_date, i.rule, i.policy, MIN(m.event_date) AS first_date,
                   MAX(m.event_date) AS final_date
            FROM in_force i JOIN migrations m ON m.person_id = i.person_id AND m.rule = i.rule AND m.policy = i.policy
                 AND m.draw = 0 AND m.direction = 'immigration' AND m.outcome = 'migration'
                 AND m.counted_date <= i.last_date
            GROUP BY i.person_id, i.last_date, i.rule, i.policy
        ), registered AS (
            SELECT p.person_id, MIN(r.valid_from) AS first_date
            FROM records r JOIN record_persons p ON p.source = r.source AND p.record_id = r.record_id
            WHERE r.kind = 'register' AND r.reason = 'arrival' GROUP BY p.person_id
        ), presence AS (
            SELECT d.person_id, d.last_date, MAX(s.state) AS state
            FROM days d JOIN spells s ON s.person_id = d.person_id AND s.draw = 0
                 AND s.start_date <= d.last_date AND d.last_date < COALESCE(s.end_date, {_FOREVER})
            GROUP BY d.person_id, d.last_date
        ), circular AS ({find_circular_sql(circular, "person_id")})
        SELECT i.person_id, i.last_date, i.rule, i.policy, i.status, i.from_date, i.status_final_date,
               b.was_abroad, s.state, c.is_open AS circular_is_open, a.final_date AS last_arrival_date,
               CASE WHEN g.first_date <= i.last_date THEN LEAST(g.first_date, COALESCE(a.first_date, g.first_date))
                    ELSE a.first_date END AS first_arrival_date
        FROM in_force i
        LEFT JOIN past b ON {_same("b", "i")}
        LEFT JOIN arrivals a ON {_same("a", "i")}
        LEFT JOIN circular c ON {_same("c", "i")}
        LEFT JOIN presence s ON s.person_id = i.person_id AND s.last_date = i.last_date
        LEFT JOIN registered g ON g.person_id = i.person_id
        """,
        in_force=in_force,
        days=days,
        dates=days,
        residence=travellers.residence,
        migrations=travellers.migrations,
        spells=travellers.spells,
        records=travellers.records,
        record_persons=travellers.record_persons,
    )


def _same(one: str, other: str) -> str:
    return " AND ".join(f"{one}.{name} = {other}.{name}" for name in _FACT.split(", "))


def _find_citizens(engine: Engine, person_traits: Table, days: Table, country: str) -> Table:
    """The citizenship of the persons on their days, and its group with the composition of 1 January."""
    held = engine.step(
        "lists_citizenships",
        f"""SELECT d.person_id, d.last_date, d.year,
               COALESCE(NULLIF(c.citizenship, 'unknown'), {text_literal(UNKNOWN_CITIZENSHIP)}) AS citizenship
        FROM days d LEFT JOIN citizenships c ON c.person_id = d.person_id
             AND c.from_date <= d.last_date AND d.last_date < c.to_date""",
        days=days,
        citizenships=find_citizenships(engine, person_traits),
    )
    there = engine.collect("SELECT DISTINCT citizenship, year FROM held", held=held)
    groups = group_by_year(there["citizenship"], there["year"], country)
    return engine.step(
        "lists_citizens",
        """SELECT h.person_id, h.last_date, h.citizenship, g.citizenship_group
        FROM held h JOIN groups g ON g.year = h.year AND g.citizenship = h.citizenship""",
        held=held,
        groups=engine.frame("lists_groups", groups),
    )


def _write(
    engine: Engine,
    found: dict[str, Table],
    observation: Observation,
    country_and_traits: tuple[str, Sequence[str]],
) -> Table:
    """The rows as the contract has them."""
    country, traits = country_and_traits
    first = f"DATE '{observation.period.from_date - timedelta(days=1)}'"
    last = f"DATE '{observation.period.to_date}'"
    further = [f"trait_{n} AS {identifier(name)}" for n, name in enumerate(traits)]
    columns = ", ".join([*(column.name for column in TABLES["listed_people"].columns), *further])
    carried = "".join(f", l.trait_{n}" for n, _ in enumerate(traits))
    return engine.query(
        "listed_people",
        f"""
        WITH known AS (
            SELECT l.source, l.record_id, l.person_id, l.record_number, l.reference_date, l.last_date, l.weight,
                   s.rule, s.policy,
                   CASE WHEN l.last_date IS NULL THEN 'no_reference_date' WHEN NOT l.is_linked THEN 'not_linked'
                        WHEN l.last_date NOT BETWEEN {first} AND {last} THEN 'not_observed'
                        WHEN l.last_date NOT BETWEEN s.start_date AND s.limit_date THEN 'not_covered'
                        WHEN f.status IS NULL THEN 'no_status' END AS reason,
                   f.status, f.from_date, f.status_final_date, f.was_abroad, f.state, f.circular_is_open,
                   f.last_arrival_date, f.first_arrival_date, COALESCE(n.citizenship = {text_literal(country)}, FALSE)
                       AS was_national_when_coming,
                   COALESCE(NULLIF(p.birth_country, 'XXX'), 'unknown') AS born,
                   COALESCE(NULLIF(c.citizenship, {text_literal(UNKNOWN_CITIZENSHIP)}), 'unknown') AS citizenship,
                   COALESCE(c.citizenship_group, 'unknown') AS citizenship_group{carried}
            FROM listed l
            CROSS JOIN strata s
            LEFT JOIN facts f ON f.person_id = l.person_id AND f.last_date = l.last_date
                 AND f.rule = s.rule AND f.policy = s.policy
            LEFT JOIN citizens c ON c.person_id = l.person_id AND c.last_date = l.last_date
            LEFT JOIN citizenships n ON n.person_id = f.person_id
                 AND n.from_date <= f.from_date AND f.from_date < n.to_date
            LEFT JOIN persons p ON p.person_id = l.person_id
        ), grouped AS (
            SELECT *, {birth_group("born", country)} AS birth_group,
                   CASE WHEN reason IS NULL THEN status ELSE 'unknown' END AS residence_status
            FROM known
        ), {_FLAGS.format(origin=origin_group("birth_group", "citizenship", country))}
        SELECT {columns} FROM flagged
        """,
        **found,
    )


def _years(since: str) -> str:
    """SQL: completed years from a day to the last day that counts."""
    return (
        f"CAST(YEAR(last_date) - YEAR({since}) - CASE WHEN 100 * MONTH(last_date) + DAY(last_date) "
        f"< 100 * MONTH({since}) + DAY({since}) THEN 1 ELSE 0 END AS INTEGER)"
    )


# Of who is not known to be, or not to be, something, the flag is null.
_FLAGS = f"""told AS (
            SELECT *, {{origin}} AS origin,
                   reason IS NULL AND status <> 'undetermined' AND status_final_date IS NOT NULL AS is_final,
                   CASE WHEN birth_group <> 'unknown' THEN birth_group = 'foreign' END AS is_foreign_born,
                   CASE WHEN citizenship_group <> 'unknown' THEN citizenship_group <> 'national' END
                       AS is_foreign_citizen,
                   CASE WHEN residence_status = 'resident' THEN {_years("last_arrival_date")} END
                       AS years_since_immigration,
                   CASE WHEN residence_status = 'resident' THEN {_years("first_arrival_date")} END
                       AS years_since_first_arrival,
                   CASE WHEN residence_status = 'non_resident' THEN FALSE
                        WHEN residence_status <> 'resident' THEN NULL
                        WHEN was_abroad IS NULL THEN FALSE
                        WHEN birth_group = 'native' OR was_national_when_coming
                        THEN CASE WHEN was_abroad = 1 THEN TRUE END
                        WHEN birth_group = 'foreign' AND citizenship <> 'unknown' THEN FALSE END AS is_returnee,
                   CASE WHEN reason IS NOT NULL THEN NULL WHEN circular_is_open IS NULL THEN FALSE
                        WHEN circular_is_open = 0 THEN TRUE END AS is_circular,
                   CASE WHEN residence_status = 'resident' THEN FALSE
                        WHEN reason IS NULL AND state = 'absent' THEN FALSE
                        WHEN residence_status = 'non_resident' AND state = 'present' THEN TRUE END AS is_temporary
            FROM grouped
        ), flagged AS (
            SELECT *, CASE WHEN residence_status = 'non_resident' AND is_temporary THEN 'temporary'
                           WHEN residence_status <> 'resident' THEN residence_status
                           WHEN origin = 'unknown' THEN 'origin_unknown'
                           WHEN origin = 'native_born_citizen' AND is_returnee THEN 'native_born_returnee'
                           ELSE origin END AS migratory_status
            FROM told
        )"""
