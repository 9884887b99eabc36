"""Intervals between crossings on record, and what registers, permits and signs of life say of them.

Whoever is likened is described in the same way as those he is likened to: by the direction of the crossing with which
the interval begins, its length, whether the person was listed as living here, how long the stays around it were, and
how often the other crossing of a journey by that port is missing.
"""

import itertools
from dataclasses import dataclass

import polars as pl

from miglink.engine import Engine, Table, text_literal
from miglink.stages.residence.days import FOREVER, day_number
from miglink.stages.residence.draws.chances import luck_of, number_of, with_chances
from miglink.stages.residence.initial_status import Evidence

# Of cells, each within the one before: kind, direction and length; listed then (in a register with a permit that has
# lapsed, or otherwise), before or never, national or not, with signs of life lately, before or never; how long the
# stays before and after the interval were; from when to when listed, and half of the length's band; port.
CELLS = ("cell_0", "cell_1", "cell_2", "cell_3", "cell_4")
# Who goes away for less lives here, and who comes for less lives abroad.
_TRIP_DAYS = 61
# In the last days before the end of observation not all signs of life have been delivered: how many is counted by
# thirds of these years (the middles of months, quarters and years do not lie between two of them), beside those of the
# year before. Older ones than _OLD_DAYS say that somebody was here, not that somebody is.
_TAIL_YEARS, _OLD_DAYS = 2, 1096
_THIRD_DAYS = 365 / 3
# Who has a permit for longer has settled, and when it lapses says nothing (Directive 2003/109/EC Art 4: five years).
_SETTLED_DAYS = 1827

_NONE_LATE = pl.DataFrame(schema={"third": pl.Int32, "share": pl.Float64})


@dataclass(frozen=True)
class Listings:
    """When persons stood in a register or had a permit of residents, and the middles of the periods of signs of life.

    listed: person_key, from_day, until_day; lapse_day: until when a permit lasts, one for long without end; null of a
    registration. signs: person_key, day, delivered (a number between 0 and 1 of each). nationals: person_key of whom
    any record says so.
    """

    listed: Table
    signs: Table
    nationals: Table


def find_listings(
    engine: Engine,
    name: str,
    people: Table,
    evidence: Evidence,
    resident_permits: tuple[str, ...] | None,
    country: str | None,
) -> Listings:
    """Registrations, permits and signs of life of all persons, by number; country: whose citizens are nationals."""
    purposes = ", ".join(text_literal(purpose) for purpose in resident_permits or ())
    is_residence = "TRUE" if resident_permits is None else f"r.purpose IN ({purposes or 'NULL'})"
    own = """FROM records r
        JOIN record_persons o ON o.source = r.source AND o.record_id = r.record_id
        JOIN people p ON p.person_id = o.person_id"""
    tables = {"records": evidence.records, "record_persons": evidence.record_persons, "people": people}
    listed = engine.step(
        f"{name}_listed",
        f"""
        WITH given AS (
            SELECT p.person_key, r.kind, {day_number("r.valid_from")} AS from_day,
                   CASE WHEN r.kind = 'register' THEN COALESCE({day_number("r.ended_date")}, {FOREVER})
                        ELSE COALESCE({day_number("r.valid_to")} + 1, {FOREVER}) END AS until_day
            {own}
            WHERE r.valid_from IS NOT NULL AND (r.kind = 'register' OR (r.kind = 'permits' AND {is_residence}))
        ), struck AS (
            SELECT person_key, MAX(until_day) AS struck_day FROM given WHERE kind = 'register' GROUP BY person_key
        )
        -- Who is struck off the register for good is no longer listed, however long a permit would have lasted.
        SELECT g.person_key, g.from_day,
               CASE WHEN g.kind = 'permits' AND g.until_day - g.from_day > {_SETTLED_DAYS} THEN {FOREVER}
                    WHEN g.kind = 'permits' THEN g.until_day END AS lapse_day,
               CASE WHEN g.kind = 'permits' AND g.from_day < s.struck_day THEN LEAST(g.until_day, s.struck_day)
                    ELSE g.until_day END AS until_day
        FROM given g LEFT JOIN struck s ON s.person_key = g.person_key
        """,
        **tables,
    )
    signs = _find_signs(engine, name, own, tables)
    own_country = text_literal(country or "")
    nationals = engine.step(
        f"{name}_nationals",
        f"SELECT DISTINCT p.person_key {own} WHERE r.citizenship = {own_country} OR r.citizenship_2 = {own_country}",
        **tables,
    )
    return Listings(listed, signs, nationals)


def _find_signs(engine: Engine, name: str, own: str, tables: dict[str, Table]) -> Table:
    """The signs of life of all persons, as Listings has them; own: SQL that joins records (r) and persons (p)."""
    first, last = day_number("r.valid_from"), day_number("COALESCE(r.valid_to, r.valid_from)")
    luck = f"{luck_of('p.person_id')} AS luck, {number_of('delivered:1')} AS key_1, {number_of('delivered:2')} AS key_2"
    dated = engine.view(
        f"{name}_dated_signs",
        f"""
        SELECT p.person_key, CAST(FLOOR(({first} + {last}) / 2.0) AS BIGINT) AS day, {luck}
        {own}
        WHERE r.kind = 'activity' AND r.valid_from IS NOT NULL
        UNION ALL
        -- Who was counted in a census or asked in a survey was alive here.
        SELECT p.person_key, {day_number("r.record_date")} AS day, {luck}
        {own}
        WHERE r.kind = 'people' AND r.record_date IS NOT NULL
        """,
        **tables,
    )
    return engine.step(
        f"{name}_signs",
        "SELECT person_key, day, delivered FROM chances",
        chances=with_chances(engine, f"{name}_sign_chances", dated, "day", "delivered"),
    )


def find_crossings(
    engine: Engine, name: str, chain: Table, people: Table, evidence: Evidence, listed: Table
) -> Table:
    """Every crossing with its port and the five that follow it; is_listed: the person ever stood in a list.

    Gives: person_key, position, day, is_arrival, port, is_listed, day_before; stay_before and stay, between it and the
        crossings on record before and after it: 1 a short one, 2 a long one, 0 none that is on record whole; day_1 to
        day_5, is_arrival_1 to is_arrival_5, stay_1 to stay_4.
    """
    follows = ", ".join(
        f"LEAD({column}, {step}) OVER h AS {column}_{step}"
        for step in (1, 2, 3, 4, 5)
        for column in ("day", "is_arrival")
    )
    whole = f"CASE WHEN {{}} - {{}} < {_TRIP_DAYS} THEN 1 ELSE 2 END"
    length = f"CAST(CASE WHEN {{}} <> {{}} THEN {whole} ELSE 0 END AS INTEGER)"
    places = ("_before", "", "_1", "_2", "_3", "_4", "_5")
    stays = ", ".join(
        f"{length.format(f'is_arrival{begun}', f'is_arrival{ended}', f'day{ended}', f'day{begun}')} AS stay{begun}"
        for begun, ended in itertools.pairwise(places)
    )
    return engine.step(
        f"{name}_crossings",
        f"""
        WITH known AS (
            SELECT c.person_key, c.position, c.day, c.is_arrival, COALESCE(r.port, '') AS port,
                   l.person_key IS NOT NULL AS is_listed
            FROM chain c
            JOIN people p ON p.person_key = c.person_key
            LEFT JOIN spells s ON s.draw = 0 AND s.person_id = p.person_id AND s.sequence = c.position
            LEFT JOIN records r ON r.source = s.start_source AND r.record_id = s.start_record_id
            LEFT JOIN (SELECT DISTINCT person_key FROM listed) AS l ON l.person_key = c.person_key
            WHERE c.is_crossing
        ), followed AS (
            SELECT *, LAG(day) OVER h AS day_before, LAG(is_arrival) OVER h AS is_arrival_before, {follows}
            FROM known WINDOW h AS (PARTITION BY person_key ORDER BY position)
        )
        SELECT *, {stays} FROM followed
        """,
        chain=chain,
        people=people,
        spells=evidence.spells,
        records=evidence.records,
        listed=listed,
    )


def describe_intervals(
    engine: Engine, name: str, intervals: Table, listings: Listings, delivered: pl.DataFrame | None = None
) -> Table:
    """The intervals with the names of their cells, CELLS, and shape.

    shape: where the person was listed for a part of it, which part, with kind, direction, length and signs of life.
    Reads: intervals (number, kind, person_key, is_arrival, port_group, stays, from_day, until_day, and what else they
        have); stays: a number for the stays before and after it.
        Whoever is described on a day is so as known then: who was struck off later stood in the list.
        delivered: of signs of life shortly before a day that is looked at as the end of observation so many are looked
        at as are delivered at the end (`count_delivered`); None: all there are.
    """
    lists, lives = _look_up(engine, name, intervals, listings, delivered)
    share = "({0} - i.from_day) * 4.0 / GREATEST(i.until_day - i.from_day, 1)"
    quarter = f"CAST(CAST(LEAST(3, FLOOR({share})) AS INTEGER) AS VARCHAR)"
    return engine.step(
        f"{name}_described",
        f"""
        WITH joined AS (
            SELECT i.*,
                   CASE WHEN v.number IS NULL THEN ' silent' WHEN v.is_late THEN ' alive' ELSE ' lived' END AS signs,
                   n.person_key IS NOT NULL AS is_national,
                   CASE WHEN l.number IS NULL THEN 'never' WHEN l.first_day IS NULL THEN 'past'
                        WHEN l.first_day <= i.from_day AND l.last_day >= i.until_day AND l.lapse_day < i.until_day
                        THEN 'lapsed'
                        WHEN l.first_day <= i.from_day AND l.last_day >= i.until_day THEN 'whole'
                        WHEN l.first_day <= i.from_day THEN 'begin' WHEN l.last_day >= i.until_day THEN 'end'
                        ELSE 'part' END AS listing,
                   CASE WHEN l.first_day IS NULL OR (l.first_day <= i.from_day AND l.last_day >= i.until_day) THEN ''
                        WHEN l.last_day >= i.until_day THEN {quarter.format("l.first_day")}
                        ELSE {quarter.format("l.last_day")} END AS listed_until,
                   CONCAT(i.kind, CASE WHEN i.is_arrival THEN ' arrival ' ELSE ' departure ' END,
                          CAST({band_of("i.until_day - i.from_day")} AS VARCHAR)) AS cell_0,
                   {band_of("i.until_day - i.from_day", 2)} AS half
            FROM intervals i
            LEFT JOIN lists l ON l.number = i.number
            LEFT JOIN lives v ON v.number = i.number
            LEFT JOIN nationals n ON n.person_key = i.person_key
        ), broad AS (
            SELECT *, CONCAT(cell_0, ' ', listing, CASE WHEN is_national THEN ' national' ELSE ' foreign' END,
                          signs) AS cell_1
            FROM joined
        ),
        kept AS (SELECT *, CONCAT(cell_1, ' ', CAST(stays AS VARCHAR)) AS cell_2 FROM broad),
        narrow AS (
            SELECT *, CONCAT(cell_2, ' ', listed_until, ' ', CAST(half AS VARCHAR)) AS cell_3
            FROM kept
        )
        SELECT *, CONCAT(cell_3, ' port ', CAST(port_group AS VARCHAR)) AS cell_4,
               CASE WHEN listed_until <> '' THEN CONCAT(cell_0, ' ', listing, listed_until, signs) END AS shape
        FROM narrow
        """,
        intervals=intervals,
        lists=lists,
        lives=lives,
        nationals=listings.nationals,
    )


def _look_up(
    engine: Engine, name: str, intervals: Table, listings: Listings, delivered: pl.DataFrame | None
) -> tuple[Table, Table]:
    """When persons were listed within the intervals (first_day, last_day), and which of these have signs of life.

    Of who was listed before the interval alone both days are null; who never was by then has no row. lapse_day: when
    the last of the permits given by then lapses. is_late: whether the last sign is of late; of an interval that is not
    the last one, every sign is.
    """
    is_last = "i.kind IN ('end', 'never')"
    since = f"CASE WHEN {is_last} THEN i.until_day - {_OLD_DAYS} ELSE i.from_day END"
    lists = engine.step(
        f"{name}_lists",
        """
        SELECT i.number,
               MIN(CASE WHEN l.until_day >= i.from_day THEN GREATEST(l.from_day, i.from_day) END) AS first_day,
               MAX(CASE WHEN l.until_day >= i.from_day THEN LEAST(l.until_day, i.until_day) END) AS last_day,
               MAX(l.lapse_day) AS lapse_day
        FROM intervals i
        JOIN listed l ON l.person_key = i.person_key AND l.from_day <= i.until_day
        GROUP BY i.number
        """,
        intervals=intervals,
        listed=listings.listed,
    )
    lives = engine.step(
        f"{name}_lives",
        f"""
        SELECT i.number, MAX(CASE WHEN s.day > {since} THEN 1 ELSE 0 END) = 1 AS is_late
        FROM intervals i
        JOIN signs s ON s.person_key = i.person_key AND s.day > i.from_day AND s.day <= i.until_day
        LEFT JOIN shares d ON {is_last} AND d.third = {_third_of("i.until_day - s.day")}
        WHERE s.delivered < COALESCE(d.share, 1)
        GROUP BY i.number
        """,
        intervals=intervals,
        signs=listings.signs,
        shares=engine.frame(f"{name}_delivered", _NONE_LATE if delivered is None else delivered),
    )
    return lists, lives


def count_delivered(engine: Engine, signs: Table, end_day: int) -> pl.DataFrame:
    """Which share of the signs of life of the years before the end have been delivered: third (0: the last), share.

    As many are looked for as there are in the same third of the year before those; what chance does to two counts is
    not taken for what is not delivered.
    """
    n_tail = 3 * _TAIL_YEARS
    found = engine.collect(
        f"""
        SELECT {_third_of(f"{end_day} - day")} AS third, CAST(COUNT(*) AS DOUBLE) AS n
        FROM signs WHERE day <= {end_day} GROUP BY {_third_of(f"{end_day} - day")}
        """,
        signs=signs,
    )
    usual = found.filter(pl.col("third").is_between(n_tail, n_tail + 2)).select(
        of_year=pl.col("third") % 3, usual="n"
    )
    thirds = pl.DataFrame({"third": list(range(n_tail))}, schema={"third": pl.Int32})
    counted = thirds.join(found, on="third", how="left").with_columns(of_year=pl.col("third") % 3)
    n, expected = pl.col("n").fill_null(0.0), pl.col("usual").fill_null(0.0)
    is_short = n < expected - 3 * expected.sqrt()
    share = pl.when(is_short).then(n / expected).otherwise(1.0)
    return counted.join(usual, on="of_year", how="left").sort("third").select("third", share=share)


def _third_of(days: str) -> str:
    """SQL for the third of a year, counted backwards from the end, in which a day so many days before it lies."""
    return f"CAST(FLOOR(({days}) / {_THIRD_DAYS}) AS INTEGER)"


def band_of(days: str, parts: int = 1) -> str:
    """SQL for the band of a number of days: each twice as wide as the one before, cut into parts."""
    return f"CAST(FLOOR({parts} * LN(GREATEST({days}, 1)) / LN(2.0) + 0.000001) AS INTEGER)"
