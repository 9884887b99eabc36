"""What each kind of evidence says of a stay in doubt, which of them is believed, and what contradicts it.

The kinds are asked in the order of trust (`spells.trust`); the first that says anything decides. A kind says that the
person lives here where a record of it is in force, and that the person does not where every such record has ended.
Signs of life never say that: their end is that of the year or month they name, not of a stay.
"""

from dataclasses import dataclass

from miglink.config.stages import Period, SpellsSettings
from miglink.engine import Engine, Table, text_literal

_FOREVER = "DATE '9999-12-31'"
# Kinds of evidence, as they are called in the order of trust, and the kinds of records that they are.
EVIDENCE = {"activity": "activity", "register": "register", "permit": "permits", "visa": "visas"}


@dataclass(frozen=True)
class Country:
    """What is observed, and what the sources say of the population.

    period: the days on which crossings are observed. is_listed: a register covers everybody who lives here; listed:
    the days on which it does; none: all. resident_permits: purposes of permits, and of visas, that imply residence.
    """

    period: Period
    is_listed: bool = False
    resident_permits: tuple[str, ...] | None = None
    listed: Period | None = None


def find_signs(
    engine: Engine,
    stays: Table,
    records: Table,
    record_persons: Table,
    country: Country,
    settings: SpellsSettings,
) -> Table:
    """From when to when each record of a trusted kind places a person here; rank: that of its kind.

    What begins after the last day observed says nothing: who arrived since has crossed where nobody looked.
    """
    purposes = ", ".join(text_literal(purpose) for purpose in country.resident_permits or ())
    is_resident = "TRUE" if country.resident_permits is None else f"r.purpose IN ({purposes or 'NULL'})"
    trusted = [kind for kind in settings.trust if kind in EVIDENCE]
    names = " ".join(f"WHEN '{EVIDENCE[kind]}' THEN '{kind}'" for kind in trusted)
    ranks = " ".join(f"WHEN '{EVIDENCE[kind]}' THEN {rank}" for rank, kind in enumerate(trusted, 1))
    kinds = ", ".join(f"'{EVIDENCE[kind]}'" for kind in trusted)
    return engine.step(
        "spells_signs",
        f"""
        SELECT p.person_id, r.source, r.record_id, r.valid_from AS from_date,
               CAST(CASE r.kind {names or "WHEN NULL THEN NULL"} END AS VARCHAR) AS evidence,
               CAST(CASE r.kind {ranks or "WHEN NULL THEN NULL"} END AS INTEGER) AS rank,
               -- Who was removed by a death that is believed has no days after it; who was not is registered still.
               CASE WHEN r.kind = 'register' AND r.end_reason = 'death' THEN {_FOREVER}
                    WHEN r.kind = 'register' THEN COALESCE(r.ended_date, {_FOREVER})
                    ELSE CAST(COALESCE(r.valid_to, DATE '9999-12-30') + 1 AS DATE) END AS to_date
        FROM records r
        JOIN record_persons p ON p.source = r.source AND p.record_id = r.record_id
        WHERE r.kind IN ({kinds or "NULL"}) AND (r.kind NOT IN ('permits', 'visas') OR {is_resident})
          AND COALESCE(r.valid_from, DATE '{country.period.to_date}') <= DATE '{country.period.to_date}'
          AND p.person_id IN (SELECT person_id FROM stays)
        """,
        stays=stays,
        records=records,
        record_persons=record_persons,
    )


def find_statements(engine: Engine, stays: Table, signs: Table) -> Table:
    """What each kind of evidence says of each stay.

    Reads: stays as `find_doubts` has them; signs.
    Gives: a scratch table with person_id, sequence, evidence, rank; is_last: the stay after a last arrival.
        asked_date: the day that is asked about, until asked_to_date where it is several.
            gap: its middle; before a first departure: the whole stay; after a last arrival: its last day; else the
            beginning of the first sign of life that speaks against the crossing, if there is one.
        says: 1 lives here, 0 does not, null nothing. decisive_rank: the most trusted kind that says anything.
        support_date: the end of what the kind supports of the stay. decided_date: that of the kinds that decide: the
            decisive one, and the signs of life if they are trusted more.
    Units: local days. Evidence holds from its first day up to but not on its end.
    Errors: none.
    Source: methods of miglink, section 2 (default trust); docs/decisions/0014.
    """
    return engine.step(
        "spells_statements",
        f"""
        WITH joined AS (
            SELECT h.*, s.evidence, s.rank, s.from_date, s.to_date,
                   MIN(CASE WHEN {_SPEAKS_AGAINST} THEN s.from_date END)
                       OVER (PARTITION BY h.person_id, h.sequence) AS sign_date
            FROM stays h JOIN signs s ON s.person_id = h.person_id
        ), asked AS (
            SELECT *, kind = 'end' AND direction = 'arrival' AS is_last,
                   CASE WHEN kind = 'gap' THEN middle_date
                        WHEN kind = 'start' AND direction = 'departure' THEN start_date
                        WHEN kind = 'end' AND direction = 'arrival' THEN CAST(end_date - 1 AS DATE)
                        ELSE sign_date END AS asked_date,
                   CASE WHEN kind = 'gap' THEN CAST(middle_date + 1 AS DATE)
                        WHEN kind = 'start' AND direction = 'departure' THEN end_date
                        WHEN kind = 'end' AND direction = 'arrival' THEN {_FOREVER}
                        ELSE CAST(sign_date + 1 AS DATE) END AS asked_to_date
            FROM joined
        ), said AS (
            SELECT person_id, sequence, is_last, asked_date, asked_to_date, evidence, rank, {_what_signs_say()}
            FROM asked
            GROUP BY person_id, sequence, is_last, asked_date, asked_to_date, evidence, rank
        ), ranked AS (
            SELECT *, MIN(CASE WHEN says IS NOT NULL THEN rank END)
                          OVER (PARTITION BY person_id, sequence) AS decisive_rank
            FROM said
        )
        SELECT *, MAX(CASE WHEN rank <= COALESCE(decisive_rank, rank) THEN support_date END)
                      OVER (PARTITION BY person_id, sequence) AS decided_date
        FROM ranked
        """,
        stays=stays,
        signs=signs,
    )


# A sign of life from before a first arrival, or from after a last departure.
_SPEAKS_AGAINST = """s.evidence = 'activity' AND CASE
    WHEN h.kind = 'start' AND h.direction = 'arrival' THEN s.to_date > h.start_date AND s.to_date <= h.end_date
    WHEN h.kind = 'end' AND h.direction = 'departure' THEN s.from_date > h.start_date ELSE FALSE END"""


def _what_signs_say() -> str:
    """SQL for what the records of one kind say of a stay: says and support_date."""
    is_here = "MAX(CASE WHEN from_date < asked_to_date AND to_date > asked_date THEN 1 ELSE 0 END) = 1"
    has_ended = "MAX(CASE WHEN to_date <= asked_date THEN 1 ELSE 0 END) = 1"
    until = "MAX(CASE WHEN to_date > start_date THEN LEAST(to_date, end_date) ELSE start_date END)"
    return f"""CASE WHEN {is_here} THEN 1 WHEN {has_ended} AND evidence <> 'activity' THEN 0 END AS says,
                   {until} AS support_date"""


def find_contradictions(engine: Engine, statements: Table, signs: Table) -> Table:
    """Give the table contradictions: for each stay every kind of evidence that says otherwise than what is believed.

    Reads: statements, signs.
    Gives: contradictions (key draw, person_id, sequence, loser), draw 0. Of the several records of a kind the one that
        ends last is named, of those begun by the day asked about. After a last arrival both sides say until when the
        person lives here: they contradict each other from the earlier of the two days on.
    Units: local days.
    Errors: TableError if the contract is broken.
    Source: methods of miglink, section 2 (the loser is recorded, never dropped).
    """
    losers = engine.step(
        "spells_losers",
        """
        WITH judged AS (
            SELECT *, MAX(CASE WHEN rank = decisive_rank THEN says END) OVER stay AS decided,
                   COALESCE(MAX(CASE WHEN rank = decisive_rank AND support_date = decided_date THEN rank END) OVER stay,
                            MIN(CASE WHEN rank < decisive_rank AND support_date = decided_date THEN rank END) OVER stay)
                       AS last_rank
            FROM statements WINDOW stay AS (PARTITION BY person_id, sequence)
        )
        SELECT person_id, sequence, asked_to_date, rank,
               CASE WHEN is_last AND support_date < decided_date THEN last_rank ELSE decisive_rank END AS winner_rank,
               CASE WHEN is_last THEN LEAST(support_date, decided_date) ELSE asked_date END AS since_date,
               CASE WHEN is_last THEN support_date > decided_date ELSE says = 1 END AS is_here
        FROM judged
        WHERE CASE WHEN is_last THEN support_date > decided_date OR (support_date < decided_date AND says = 0)
                   ELSE says <> decided END
        """,
        statements=statements,
    )
    return engine.query(
        "contradictions",
        """
        WITH sides AS (
            SELECT l.person_id, l.sequence, l.rank, l.since_date, l.is_here, s.rank = l.rank AS is_loser,
                   s.evidence, s.source, s.record_id,
                   ROW_NUMBER() OVER (PARTITION BY l.person_id, l.sequence, l.rank, s.rank
                                      ORDER BY s.to_date DESC, s.source, s.record_id) AS nth
            FROM losers l JOIN signs s ON s.person_id = l.person_id
                 AND s.rank IN (l.rank, l.winner_rank) AND s.from_date < l.asked_to_date
        )
        SELECT CAST(0 AS INTEGER) AS draw, l.person_id, CAST(l.sequence AS INTEGER) AS sequence,
               l.evidence AS loser, CASE WHEN l.is_here THEN 'here' ELSE 'away' END AS loser_says,
               w.evidence AS winner, l.since_date,
               l.source AS loser_source, l.record_id AS loser_record_id,
               w.source AS winner_source, w.record_id AS winner_record_id
        FROM sides l JOIN sides w ON w.person_id = l.person_id AND w.sequence = l.sequence AND w.rank = l.rank
        WHERE l.is_loser AND l.nth = 1 AND NOT w.is_loser AND w.nth = 1
        """,
        losers=losers,
        signs=signs,
    )
