"""What keeps two persons apart although links would join them: the constraint, and the identities that it rests on."""

from dataclasses import dataclass

import polars as pl

from miglink.engine import text_literal
from miglink.explain.inputs import SHOWN, Run

_MEANING = {
    "given_person": "a source that is already linked holds the two as different persons",
    "one_current_record": "each has a current record of its own in a source that gives a person at most one",
    "non_match": "a clerk decided that records of the two are not of one person",
    "other_pairs": "most other pairs of identities between the two are no match, or not a likely one",
    "chain": "each may be joined to others, but not all of them to one person",
}


@dataclass(frozen=True)
class Conflict:
    """A row of `conflicts` that concerns the two persons: what it means, and the identities that it rests on."""

    kind: str
    winner: str
    meaning: str
    source: str | None
    identities_l: tuple[str, ...]
    identities_r: tuple[str, ...]


def find_conflicts(run: Run, persons: tuple[str, ...], show_values: bool) -> tuple[Conflict, ...]:
    """What parted the two persons: constraints between them, and judgements on any of their identities."""
    left, right = map(text_literal, persons)
    found = run.engine.collect(
        f"""WITH named AS (
            SELECT c.kind, c.winner, coalesce(l.person_id, c.detail_l) AS a, coalesce(r.person_id, c.detail_r) AS b,
                   l.identity_id AS identity_l, r.identity_id AS identity_r
            FROM conflicts c LEFT JOIN owners l ON l.identity_id = c.detail_l
            LEFT JOIN owners r ON r.identity_id = c.detail_r)
        SELECT kind, winner, CAST(NULL AS VARCHAR) AS source,
               CASE WHEN a = {left} THEN identity_l ELSE identity_r END AS identity_l,
               CASE WHEN a = {left} THEN identity_r ELSE identity_l END AS identity_r FROM named
        WHERE (a = {left} AND b = {right}) OR (a = {right} AND b = {left})""",
        conflicts=run.tables["conflicts"],
        owners=run.tables["identity_persons"],
    )
    held = pl.concat([_given_persons(run, persons), _current_records(run, persons)])
    of_kind = found.filter(pl.col("identity_l").is_null()).select("kind", "winner").unique()
    shown = pl.concat(
        [
            found.join(held, on="kind", how="anti"),
            of_kind.join(held, on="kind").select(found.columns),
        ]
    )
    ids = [pl.col(name).drop_nulls().unique().sort() for name in ("identity_l", "identity_r")]
    rows = shown.group_by("kind", "winner", "source").agg(ids).sort("kind", "winner", "source")
    length = None if show_values else SHOWN
    return tuple(
        Conflict(
            row["kind"],
            row["winner"],
            _MEANING.get(row["kind"], ""),
            row["source"],
            tuple(one[:length] for one in row["identity_l"]),
            tuple(one[:length] for one in row["identity_r"]),
        )
        for row in rows.iter_rows(named=True)
    )


def _given_persons(run: Run, persons: tuple[str, ...]) -> pl.DataFrame:
    """Identities of the two persons that one source already linked holds as different persons."""
    return run.engine.collect(
        _opposed(
            persons,
            """SELECT o.person_id, o.identity_id, 'given_person' AS kind, split_part(i.given_person, ':', 1) AS source,
                i.given_person AS value
            FROM owners o JOIN identities i ON i.identity_id = o.identity_id WHERE i.given_person IS NOT NULL""",
        ),
        owners=run.tables["identity_persons"],
        identities=run.tables["identities"],
    )


def _current_records(run: Run, persons: tuple[str, ...]) -> pl.DataFrame:
    """Identities of the two persons with different current records in one source that gives a person at most one."""
    sources = ", ".join(map(text_literal, run.current_sources)) or "NULL"
    return run.engine.collect(
        _opposed(
            persons,
            f"""SELECT o.person_id, o.identity_id, 'one_current_record' AS kind, r.source,
                coalesce(i.given_person, r.record_id) AS value
            FROM owners o JOIN identities i ON i.identity_id = o.identity_id
            JOIN record_identities n ON n.identity_id = o.identity_id
            JOIN records r ON r.source = n.source AND r.record_id = n.record_id
            WHERE r.source IN ({sources}) AND r.ended_date IS NULL""",
        ),
        owners=run.tables["identity_persons"],
        identities=run.tables["identities"],
        record_identities=run.tables["record_identities"],
        records=run.tables["records"],
    )


def _opposed(persons: tuple[str, ...], values: str) -> str:
    """Pairs of identities, one of each person, that hold different values of one source: kind, source, both ids."""
    left, right = map(text_literal, persons)
    return f"""WITH values_of AS ({values})
        SELECT DISTINCT l.kind, l.source, l.identity_id AS identity_l, r.identity_id AS identity_r
        FROM values_of l JOIN values_of r ON r.source = l.source AND r.value <> l.value
        WHERE l.person_id = {left} AND r.person_id = {right}"""
