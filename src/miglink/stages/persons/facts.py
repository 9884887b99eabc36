"""What is known of a person: constant facts, traits that change, and what contradicted what."""

from datetime import date

import polars as pl

from miglink.codes import citizenship_groups
from miglink.engine import Engine, Table, identifier, text_literal
from miglink.stages.persons.deaths import find_deaths


def collect_persons(engine: Engine, inputs: dict[str, Table], period_start: date) -> Table:
    """Give the table persons.

    The most frequent value among the records stands for a constant fact; among dates of birth the most precise first;
    ties go to the smaller value. A date of death comes from vital records, else from a register's removal by death; one
    that is overruled (`later`) does not count.
    """
    numbers = engine.step(
        "persons_numbers",
        """WITH counted AS (
            SELECT person_number, person_id, count(*) AS n FROM person_records WHERE person_number IS NOT NULL
            GROUP BY person_number, person_id),
        ranked AS (
            SELECT *, row_number() OVER (PARTITION BY person_number ORDER BY n DESC, person_id) AS rank FROM counted)
        SELECT person_number, person_id FROM ranked WHERE rank = 1""",
        **inputs,
    )
    births = engine.step(
        "persons_births",
        f"""SELECT r.person_id, min(m.person_id) AS mother_person_id
        FROM person_records r LEFT JOIN numbers m
          ON m.person_number = r.mother_person_number AND m.person_id <> r.person_id
        WHERE (r.kind = 'vital' AND r.reason = 'birth')
           OR (r.kind = 'register' AND r.reason = 'birth' AND r.birth_date >= DATE '{period_start.isoformat()}')
        GROUP BY r.person_id""",
        numbers=numbers,
        **inputs,
    )
    precise_first = "birth_date_precision = 'day' DESC, birth_date_precision = 'month' DESC,"
    return engine.query(
        "persons",
        f"""WITH dates AS ({_most_frequent("birth_date", precise_first)}),
        sexes AS ({_most_frequent("sex")}), countries AS ({_most_frequent("birth_country")}),
        counts AS (
            SELECT person_id, count(*) AS n_records, count(DISTINCT identity_id) AS n_identities
            FROM person_records GROUP BY person_id)
        SELECT i.person_id, s.sex, d.birth_date, d.birth_date_precision, c.birth_country, v.death_date,
               b.mother_person_id, b.person_id IS NOT NULL AS is_born_here, n.n_identities, n.n_records,
               coalesce(t.is_doubtful, false) AS is_doubtful, i.id_since_date
        FROM ids i JOIN counts n ON n.person_id = i.person_id LEFT JOIN dates d ON d.person_id = i.person_id
        LEFT JOIN sexes s ON s.person_id = i.person_id LEFT JOIN countries c ON c.person_id = i.person_id
        LEFT JOIN vital v ON v.person_id = i.person_id LEFT JOIN births b ON b.person_id = i.person_id
        LEFT JOIN doubtful t ON t.cluster = i.cluster""",
        vital=find_deaths(engine, inputs["person_records"], inputs["later"]),
        births=births,
        **inputs,
    )


def _most_frequent(column: str, first: str = "") -> str:
    precision = ", birth_date_precision" if column == "birth_date" else ""
    return f"""SELECT person_id, {column}{precision} FROM (
            SELECT person_id, {column}{precision}, row_number() OVER (
                PARTITION BY person_id ORDER BY {first} count(*) DESC, {column}) AS rank
            FROM person_records WHERE {column} IS NOT NULL GROUP BY person_id, {column}{precision})
        WHERE rank = 1"""


def collect_traits(
    engine: Engine, inputs: dict[str, Table], reporting_country: str, further_columns: tuple[str, ...] = ()
) -> Table:
    """Give the table person_traits: citizenship, region and further columns, each from the day it was first seen.

    Citizenship: a person who holds that of the reporting country counts as national from the first record that says so
    (a single record of a source of crossings alone is not believed); before, and for all others, one other citizenship
    stands: that of a member of the EU (on the day of the record or later) before any other, then the one that most
    records other than crossings name first, then the most frequent; ties go to the smaller value. A register states the
    citizenship of its extract, and a record without a date that of an unknown day: of who had visas or permits as a
    foreigner, or was counted as one, they are believed from the middle between the last record of another citizenship
    and the first of this one elsewhere, or the end of the registration. Region: the register's, from one registration
    to the next. A further column: what any record states, until another states otherwise; of several on one day the
    most frequent, ties to the smaller value.
    Source: Reg. (EU) 351/2010 Art 4 (the reporting country's citizenship comes first, then that of a member).
    """
    national = f"'{reporting_country}'"
    return engine.query(
        "person_traits",
        f"""WITH {_seen_citizenships(national)},
        nationals AS (
            SELECT person_id, min(record_date) AS since, min(source) AS source FROM seen WHERE citizenship = {national}
            GROUP BY person_id HAVING count(*) > 1 OR max(CASE WHEN kind = 'crossings' THEN 0 ELSE 1 END) = 1),
        others AS (
            SELECT person_id, citizenship, min(record_date) AS since, min(source) AS source, row_number() OVER (
                PARTITION BY person_id ORDER BY max(CASE WHEN m.country IS NULL THEN 0 ELSE 1 END) DESC,
                                                sum(is_stated) DESC, count(*) DESC, citizenship) AS rank
            -- Of a country that joined later whoever had its citizenship became a citizen of the Union with it.
            FROM seen LEFT JOIN members m ON m.country = seen.citizenship
                 AND (m.valid_to IS NULL OR m.valid_to > seen.record_date)
            WHERE citizenship <> {national} GROUP BY person_id, citizenship),
        first_other AS (SELECT person_id, min(since) AS since FROM others GROUP BY person_id),
        citizenships AS (
            SELECT person_id, citizenship AS value, DATE '0001-01-01' AS valid_from, source FROM others WHERE rank = 1
              AND person_id NOT IN (
                  SELECT n.person_id FROM nationals n JOIN first_other o USING (person_id) WHERE n.since <= o.since)
            UNION ALL
            SELECT n.person_id, {national}, CASE WHEN o.person_id IS NULL OR n.since <= o.since
                                             THEN DATE '0001-01-01' ELSE n.since END, n.source
            FROM nationals n LEFT JOIN first_other o ON o.person_id = n.person_id),
        {_moves(further_columns)},
        traits AS (
            SELECT person_id, 'citizenship' AS trait, value, valid_from, source FROM citizenships
            UNION ALL
            SELECT person_id, trait, value,
                   CASE WHEN value_before IS NULL THEN DATE '0001-01-01' ELSE record_date END, source
            FROM moves WHERE value_before IS NULL OR value_before <> value)
        SELECT person_id, trait, valid_from, value,
               lead(valid_from) OVER (PARTITION BY person_id, trait ORDER BY valid_from) AS valid_to, source
        FROM traits""",
        members=_members(),
        **inputs,
    )


def _seen_citizenships(national: str) -> str:
    """SQL: `seen`, each citizenship that a record states, with the day from which it is believed.

    is_stated: it stands first in a record that is no crossing; at a border the passport at hand is shown.
    changed: of who had visas or permits as a foreigner, or was counted as one, the day in the middle between the last
    record of another citizenship and the first with a date that states the reporting country's.
    """
    is_national = f"(coalesce(citizenship, '') = {national} OR coalesce(citizenship_2, '') = {national})"
    is_undated = "(r.kind = 'register' OR r.record_date IS NULL)"
    return f"""dates AS (
            SELECT person_id, min(CASE WHEN kind <> 'register' AND {is_national} THEN record_date END) AS dated,
                   max(CASE WHEN kind IN ('visas', 'permits', 'people') AND NOT {is_national}
                             AND citizenship IS NOT NULL THEN record_date END) AS permitted,
                   max(coalesce(ended_date, CASE WHEN kind = 'register' THEN last_date END)) AS struck
            FROM person_records CROSS JOIN (SELECT max(record_date) AS last_date FROM person_records) AS l
            GROUP BY person_id),
        abroad AS (
            SELECT d.person_id, max(r.record_date) AS last_day, coalesce(min(d.dated), min(d.struck)) AS next_day
            FROM dates d JOIN person_records r ON r.person_id = d.person_id
            WHERE d.permitted IS NOT NULL AND (d.dated IS NULL OR d.permitted < d.dated) AND r.kind <> 'register'
              AND r.citizenship IS NOT NULL AND NOT {is_national} AND (d.dated IS NULL OR r.record_date < d.dated)
            GROUP BY d.person_id),
        changed AS (
            SELECT person_id, CAST(last_day + CAST(greatest(0, floor(date_diff('day', last_day, next_day) / 2.0))
                                                   AS INTEGER) AS DATE) AS record_date
            FROM abroad),
        seen AS (
            SELECT r.person_id, r.source, r.kind, r.citizenship,
                   CASE WHEN r.kind = 'crossings' THEN 0 ELSE 1 END AS is_stated,
                   coalesce(CASE WHEN {is_undated} AND r.citizenship = {national} THEN c.record_date END,
                            r.record_date, DATE '0001-01-01') AS record_date
            FROM person_records r LEFT JOIN changed c ON c.person_id = r.person_id
            WHERE r.citizenship IS NOT NULL AND r.citizenship <> 'XXX'
            UNION ALL
            SELECT r.person_id, r.source, r.kind, r.citizenship_2, 0,
                   coalesce(CASE WHEN {is_undated} AND r.citizenship_2 = {national} THEN c.record_date END,
                            r.record_date, DATE '0001-01-01')
            FROM person_records r LEFT JOIN changed c ON c.person_id = r.person_id
            WHERE r.citizenship_2 IS NOT NULL AND r.citizenship_2 <> 'XXX')"""


def _members() -> pl.DataFrame:
    """The members of the EU with their days."""
    return citizenship_groups().filter(pl.col("group") == "eu").select("country", "valid_from", "valid_to")


def _moves(further_columns: tuple[str, ...]) -> str:
    """SQL: `moves`, each value of region and the further columns with its first day and the value before."""
    stated = "".join(
        f""" UNION ALL
            SELECT person_id, {text_literal(name)}, {identifier(name)}, coalesce(record_date, DATE '0001-01-01'), source
            FROM person_records WHERE {identifier(name)} IS NOT NULL"""
        for name in further_columns
    )
    return f"""stated AS (
            SELECT person_id, 'region' AS trait, region AS value, record_date, source
            FROM person_records WHERE kind = 'register' AND region IS NOT NULL{stated}),
        of_days AS (
            SELECT person_id, trait, value, record_date, min(source) AS source, row_number() OVER (
                PARTITION BY person_id, trait, record_date
                ORDER BY CASE WHEN trait = 'region' THEN 0 ELSE -count(*) END, value) AS rank
            FROM stated GROUP BY person_id, trait, value, record_date),
        moves AS (
            SELECT person_id, trait, value, record_date, source,
                   lag(value) OVER (PARTITION BY person_id, trait ORDER BY record_date) AS value_before
            FROM of_days WHERE rank = 1)"""


def collect_conflicts(engine: Engine, inputs: dict[str, Table]) -> Table:
    """Give the table conflicts: links that a constraint cut, judgements that contradict, persons said to die twice."""
    # A step of its own: few links are cut, and joining values to values before that would be a product of persons.
    cut = engine.step(
        "persons_cut",
        """SELECT least(l.person_id, r.person_id) AS a, greatest(l.person_id, r.person_id) AS b,
               max(CASE WHEN edges.is_refused THEN 'other_pairs' ELSE 'chain' END) AS why
        FROM edges JOIN clustered l ON l.unique_id = edges.a JOIN clustered r ON r.unique_id = edges.b
        WHERE l.person_id <> r.person_id
        GROUP BY least(l.person_id, r.person_id), greatest(l.person_id, r.person_id)""",
        **inputs,
    )
    values = engine.step(
        "persons_cut_values",
        """SELECT DISTINCT c.person_id, x.kind, x.value FROM exclusive x JOIN clustered c USING (unique_id)
        WHERE c.person_id IN (SELECT a FROM cut UNION SELECT b FROM cut)""",
        cut=cut,
        **inputs,
    )
    return engine.query(
        "conflicts",
        """WITH kinds AS (
            SELECT cut.a, cut.b, min(x.kind) AS kind FROM cut JOIN values_of x ON x.person_id = cut.a
            JOIN values_of y ON y.person_id = cut.b AND y.kind = x.kind AND y.value <> x.value GROUP BY cut.a, cut.b),
        judged AS (
            SELECT l.person_id AS a, r.person_id AS b, l.identity_id AS detail_l, r.identity_id AS detail_r
            FROM apart JOIN clustered l ON l.unique_id = apart.a JOIN clustered r ON r.unique_id = apart.b),
        within AS (
            SELECT person_id, kind, min(value) AS smallest, max(value) AS largest
            FROM (SELECT DISTINCT person_id, kind, value FROM exclusive JOIN clustered USING (unique_id))
            GROUP BY person_id, kind HAVING count(*) > 1),
        deaths AS (
            SELECT person_id, min(event_date) AS earliest, max(event_date) AS latest FROM person_records
            WHERE kind = 'vital' AND reason = 'death' GROUP BY person_id HAVING count(DISTINCT event_date) > 1),
        -- Of the deaths that are not believed only those that a later record overrules.
        late AS (
            SELECT l.person_id, l.kind, l.death_date, l.last_date, coalesce(l.overruled_by, 'the death') AS winner
            FROM later l JOIN persons p ON p.person_id = l.person_id
            WHERE l.overruled_by IS NOT NULL OR l.death_date = p.death_date)
        SELECT cut.a AS person_id, coalesce(split_part(kinds.kind, ' ', 1), cut.why) AS kind,
               cut.a AS detail_l, cut.b AS detail_r, 'kept apart' AS winner
        FROM cut LEFT JOIN kinds ON kinds.a = cut.a AND kinds.b = cut.b
        UNION ALL SELECT DISTINCT a, 'non_match', detail_l, detail_r,
               CASE WHEN a = b THEN 'joined by a judgement or a source' ELSE 'kept apart' END FROM judged
        UNION ALL SELECT person_id, concat('within_', split_part(kind, ' ', 1)), sha256(smallest), sha256(largest),
               'joined by a judgement or within one identity' FROM within
        UNION ALL SELECT person_id, kind, detail_l, detail_r, 'the id of most shared records' FROM id_changes
        UNION ALL SELECT d.person_id, 'dead_twice', CAST(earliest AS VARCHAR), CAST(latest AS VARCHAR),
               CASE WHEN p.death_date = earliest THEN 'the earlier date' WHEN p.death_date IS NULL THEN 'neither'
                    ELSE 'a later date' END
        FROM deaths d JOIN persons p ON p.person_id = d.person_id
        UNION ALL SELECT person_id, concat(kind, '_after_death'), CAST(death_date AS VARCHAR),
               CAST(last_date AS VARCHAR), winner FROM late""",
        cut=cut,
        values_of=values,
        **inputs,
    )
