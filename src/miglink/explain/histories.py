"""One person from records to status: what was joined, what was seen, and what it was taken to mean."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from miglink.engine import identifier, text_literal
from miglink.explain.inputs import SHOWN, Run, find_person, open_run
from miglink.explain.lines import (
    Contradiction,
    Disbelief,
    Identity,
    Migration,
    Neighbour,
    PersonExplanation,
    Record,
    Spell,
    Status,
    Trait,
)
from miglink.explain.paths import strongest_tree

_FIRST = pl.lit("0001-01-01").str.to_date()
_NOT_FIELDS = ("identity_id", "n_records", "first_date", "last_date")


Line = TypeVar("Line")


@dataclass(frozen=True)
class _Asked:
    """The run, the person asked for, the days that would tell a day of birth, and whether values may be shown."""

    run: Run
    person_id: str
    births: pl.Series
    show_values: bool

    def rows(self, select: str) -> pl.DataFrame:
        """Rows of tables of the run; `{person}` is the person."""
        return self.run.engine.collect(
            select.replace("{person}", text_literal(self.person_id)), **self.run.tables
        )


def explain_person(run_folder: Path, person_id: str, *, show_values: bool = False) -> PersonExplanation:
    """Say how a person came about: records, identities and links, traits, conflicts, spells, statuses, migrations.

    Reads: the tables of a finished run; draw 0.
    Units: dates are ISO days; without values a day that is, or adjoins, that of a birth or of its registration is
        the year alone.
    Errors: ConfigError for a folder that holds no finished run and for what `--person` does not name; SourceError for
    missing parts of the run.
    """
    with open_run(run_folder) as run:
        found = find_person(run, person_id)
        asked = _Asked(run, found, _births(run, found), show_values)
        (facts,) = _shown(asked, asked.rows("SELECT * FROM persons WHERE person_id = {person}")).to_dicts()
        identities = _identities(asked)
        records = _records(asked, identities)
        birth = facts["birth_date"]
        weakest: Any = identities["p_match"].min()
        return PersonExplanation(
            person_id=found,
            birth=birth and _as_precise(birth, facts["birth_date_precision"]),
            is_born_here=facts["is_born_here"],
            death_date=facts["death_date"],
            mother_person_id=facts["mother_person_id"],
            is_doubtful=facts["is_doubtful"],
            id_since_date=facts["id_since_date"],
            accept_p_match=run.persons.accept_p_match,
            certain_p_match=run.persons.certain_p_match,
            weakest_p_match=weakest,
            stages_not_run=tuple(stage for stage in ("spells", "residence") if stage not in run.tables),
            records=_lines(Record, asked, records),
            identities=_lines(Identity, asked, _with_values(asked, identities)),
            neighbours=_lines(Neighbour, asked, _neighbours(asked)),
            traits=_lines(Trait, asked, _traits(asked)),
            conflicts=_lines(Contradiction, asked, _contradictions(asked)),
            spells=_lines(Spell, asked, _spells(asked, records)),
            contradictions=_lines(Disbelief, asked, _disbeliefs(asked, records)),
            residence=_lines(Status, asked, _statuses(asked)),
            migrations=_lines(Migration, asked, _migrations(asked)),
        )


def _births(run: Run, person_id: str) -> pl.Series:
    """Every day that tells a day of birth, the day before and the day after it.

    These are the dates of birth that the records state, and the days of records by which a birth was registered.
    """
    return run.engine.collect(
        f"""WITH own AS (
            SELECT r.* FROM records r JOIN record_persons p USING (source, record_id)
            WHERE p.person_id = {text_literal(person_id)}),
        stated AS (
            SELECT birth_date AS day FROM own
            UNION SELECT event_date FROM own WHERE reason = 'birth'
            UNION SELECT record_date FROM own WHERE reason = 'birth'
            UNION SELECT valid_from FROM own WHERE reason = 'birth'
            UNION SELECT birth_date FROM persons WHERE person_id = {text_literal(person_id)})
        SELECT DISTINCT CAST(day + INTERVAL (step) DAY AS DATE) AS day
        FROM stated CROSS JOIN (SELECT UNNEST([-1, 0, 1]) AS step) WHERE day IS NOT NULL""",
        **run.tables,
    )["day"]


def _shown(asked: _Asked, rows: pl.DataFrame) -> pl.DataFrame:
    """Days as ISO text; without values those that would tell a day of birth as the year alone."""
    days = [name for name, type_ in rows.schema.items() if type_ == pl.Date]
    hidden = pl.lit(False) if asked.show_values else pl.col(days).is_in(asked.births.implode())
    return rows.with_columns(
        pl.when(hidden).then(pl.col(days).dt.strftime("%Y")).otherwise(pl.col(days).dt.strftime("%Y-%m-%d"))
    )


def _as_precise(day: str, precision: str) -> str:
    """As much of a date of birth as is known."""
    return day[: {"year": 4, "month": 7}.get(precision, 10)]


def _lines(kind: type[Line], asked: _Asked, rows: pl.DataFrame) -> tuple[Line, ...]:
    """The rows as what explanations hold."""
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    return tuple(
        kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in row.items()})
        for row in _shown(asked, rows).select(names).iter_rows(named=True)
    )


def _identities(asked: _Asked) -> pl.DataFrame:
    """The identities in the order of time, each but the first with the link that joins it in the strongest tree."""
    rows = asked.rows(
        """WITH held AS (
            SELECT p.identity_id, list_sort(list(DISTINCT r.source)) AS sources
            FROM identity_persons p JOIN record_identities r ON r.identity_id = p.identity_id
            WHERE p.person_id = {person} GROUP BY p.identity_id)
        SELECT i.*, held.sources FROM identities i JOIN held ON held.identity_id = i.identity_id
        ORDER BY i.first_date NULLS LAST, i.identity_id"""
    ).with_row_index("number", offset=1)
    links = asked.rows(
        f"""WITH own AS (SELECT identity_id FROM identity_persons WHERE person_id = {{person}})
        SELECT k.* EXCLUDE (p_match), k.p_calibrated AS p_match FROM links k
        JOIN own l ON l.identity_id = k.identity_id_l JOIN own r ON r.identity_id = k.identity_id_r
        WHERE k.p_calibrated >= {asked.run.persons.accept_p_match} ORDER BY k.identity_id_l, k.identity_id_r"""
    )
    tree = strongest_tree(rows["identity_id"].to_list(), links).with_columns(
        identity_id_l=pl.min_horizontal("joined", "to"), identity_id_r=pl.max_horizontal("joined", "to")
    )
    numbers = rows.select(to="identity_id", joined_to="number")
    joined = (
        tree.drop("match_weight").join(links, on=["identity_id_l", "identity_id_r"]).join(numbers, on="to")
    )
    chosen = joined.select("joined", "joined_to", "blocking_rule", "match_weight", "p_match")
    return rows.join(chosen, left_on="identity_id", right_on="joined", how="left", maintain_order="left")


def _with_values(asked: _Asked, identities: pl.DataFrame) -> pl.DataFrame:
    """Ids as long as may be shown, and the fields of each identity if values may be."""
    if not asked.show_values:
        return identities.with_columns(pl.col("identity_id").str.head(SHOWN), values=pl.lit(None))
    further = [*_NOT_FIELDS, "number", "sources", "joined_to", "blocking_rule", "match_weight", "p_match"]
    held = [name for name in identities.columns if name not in further]
    values = [
        {name: str(value) for name, value in row.items() if value is not None}
        for row in identities.select(held).iter_rows(named=True)
    ]
    return identities.with_columns(values=pl.Series(values, dtype=pl.Object))


def _records(asked: _Asked, identities: pl.DataFrame) -> pl.DataFrame:
    """The records in the order of time."""
    rows = asked.rows(
        f"""SELECT {", ".join(f"r.{identifier(name)}" for name in _OF_RECORDS)}, r.record_date AS date, i.identity_id,
               row_number() OVER (
                   PARTITION BY r.source ORDER BY r.record_date NULLS LAST, r.crossed_at NULLS FIRST, r.record_id)
                   AS number
        FROM records r JOIN record_persons p USING (source, record_id)
        JOIN record_identities i USING (source, record_id) WHERE p.person_id = {{person}}
        ORDER BY r.record_date NULLS LAST, r.crossed_at NULLS FIRST, r.source, number"""
    )
    numbers = identities.select("identity_id", identity="number")
    return rows.join(numbers, on="identity_id", how="left", maintain_order="left").with_columns(
        full_record_id="record_id",
        record_id=pl.col("record_id") if asked.show_values else pl.lit(None, pl.String),
    )


_OF_RECORDS = (
    "source", "record_id", "kind", "direction", "port", "purpose", "country_from_to", "reason", "domain",
    "valid_from", "valid_to", "ended_date", "end_reason", "notes", "is_repeat",
)  # fmt: skip


def _neighbours(asked: _Asked) -> pl.DataFrame:
    """Other persons to whom a link leads that is not plainly none, the likeliest first."""
    settings = asked.run.persons
    return asked.rows(
        f"""WITH ends AS (
            SELECT l.person_id AS a, r.person_id AS b, k.p_calibrated AS p_match FROM links k
            JOIN identity_persons l ON l.identity_id = k.identity_id_l
            JOIN identity_persons r ON r.identity_id = k.identity_id_r
            WHERE l.person_id <> r.person_id AND (l.person_id = {{person}} OR r.person_id = {{person}})
              AND k.p_calibrated >= {1 - settings.certain_p_match}),
        sides AS (SELECT CASE WHEN a = {{person}} THEN b ELSE a END AS person_id, p_match FROM ends)
        SELECT person_id, count(*) AS n_links, max(p_match) AS p_match,
               count(*) FILTER (WHERE p_match < {settings.accept_p_match}) AS n_not_accepted,
               CASE WHEN max(p_match) >= {settings.accept_p_match} THEN 'kept apart' ELSE 'not accepted' END AS outcome
        FROM sides GROUP BY person_id ORDER BY p_match DESC, person_id"""
    )


def _traits(asked: _Asked) -> pl.DataFrame:
    rows = asked.rows("SELECT * FROM person_traits WHERE person_id = {person} ORDER BY trait, valid_from")
    return rows.with_columns(
        valid_from=pl.when(pl.col("valid_from") == _FIRST).then(None).otherwise(pl.col("valid_from"))
    )


def _contradictions(asked: _Asked) -> pl.DataFrame:
    """Rows of `conflicts` on either side; hashes of a person's values are left out without values, ids cut short."""
    rows = asked.rows(
        """SELECT c.kind, c.detail_l, c.detail_r, c.winner
        FROM conflicts c LEFT JOIN identity_persons l ON l.identity_id = c.detail_l
        LEFT JOIN identity_persons r ON r.identity_id = c.detail_r
        WHERE {person} IN (c.person_id, coalesce(l.person_id, c.detail_l), coalesce(r.person_id, c.detail_r))
        ORDER BY c.kind, c.detail_l, c.detail_r"""
    )
    if asked.show_values:
        return rows
    return rows.with_columns(
        pl.when(pl.col("kind").str.starts_with("within_"))
        .then(None)
        .otherwise(pl.col(name).str.head(SHOWN))
        .alias(name)
        for name in ("detail_l", "detail_r")
    )


def _spells(asked: _Asked, records: pl.DataFrame) -> pl.DataFrame:
    if "spells" not in asked.run.tables:
        return pl.DataFrame(schema=[field.name for field in fields(Spell)])
    rows = asked.rows("SELECT * FROM spells WHERE draw = 0 AND person_id = {person} ORDER BY sequence")
    numbers = records.select(start_source="source", start_record_id="full_record_id", start_number="number")
    return rows.join(numbers, on=["start_source", "start_record_id"], how="left", maintain_order="left")


def _disbeliefs(asked: _Asked, records: pl.DataFrame) -> pl.DataFrame:
    """Evidence of stays in doubt that is not believed, with the numbers of the records."""
    if "contradictions" not in asked.run.tables:
        return pl.DataFrame(schema=[field.name for field in fields(Disbelief)])
    rows = asked.rows(
        "SELECT * FROM contradictions WHERE draw = 0 AND person_id = {person} ORDER BY sequence, loser"
    )
    for side in ("loser", "winner"):
        keys = [f"{side}_source", f"{side}_record_id"]
        numbers = records.select("source", "full_record_id", "number")
        named = numbers.rename(dict(zip(numbers.columns, [*keys, f"{side}_number"], strict=True)))
        rows = rows.join(named, on=keys, how="left", maintain_order="left")
    return rows


def _statuses(asked: _Asked) -> pl.DataFrame:
    if "residence" not in asked.run.tables:
        return pl.DataFrame(schema=[field.name for field in fields(Status)])
    return asked.rows(
        "SELECT * FROM residence WHERE draw = 0 AND person_id = {person} ORDER BY rule, policy, from_date"
    )


def _migrations(asked: _Asked) -> pl.DataFrame:
    if "migrations" not in asked.run.tables:
        return pl.DataFrame(schema=[field.name for field in fields(Migration)])
    return asked.rows(
        """SELECT *, substring(CAST(counted_date AS VARCHAR), 1, 7) AS counted_month FROM migrations
        WHERE draw = 0 AND person_id = {person} ORDER BY rule, policy, event_date, sequence"""
    )
