"""What the record shows, and what it would show had crossings been missed: how likely a hidden crossing is, and where.

Stays on record whole are looked at as they would appear without one crossing, or without two that follow one another.
How often that happens is known from crossings of one direction that follow one another. So many of the like intervals
on record, cell by cell, are to be expected to hide a crossing; and where it lies is taken from those stays.
"""

from dataclasses import dataclass

import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.residence.draws.intervals import CELLS, Listings, count_delivered, describe_intervals
from miglink.stages.residence.draws.places import N_PARTS, step_places
from miglink.stages.residence.draws.ports import FRACTIONS, partner_group
from miglink.stages.residence.draws.ratios import shrink_ratios
from miglink.stages.residence.draws.signs import hold_to_signs, match_signs

# Persons whose stays are looked at, at most. Pseudonyms are hashes, so that the first of them are a random sample.
_MOST_PERSONS = 100_000
# Other days that are looked at as ends or beginnings of observation, at most.
_MOST_DAYS = 5
# Intervals whose hidden crossings are two; shorter ones change no status.
LEAST_PAIR_DAYS = 128
# Who is likelier to have come twice than to have stayed confirms nothing.
_LEAST_BELIEVED = 0.5
# Who is observed from the first day on, at each of the days looked at, and the first crossing, if there is one.
_FIRSTS = f"""
            SELECT l.person_key, l.from_day, e.cut_day, o.day, o.is_arrival, o.day_1, o.odds
            FROM lives l
            JOIN ends e ON l.from_day < e.cut_day AND COALESCE(l.death_day, e.cut_day + 1) > e.cut_day
            LEFT JOIN own o ON o.person_key = l.person_key AND o.day_before IS NULL
            WHERE l.person_key <= {_MOST_PERSONS} AND l.start = 'observation'"""


@dataclass(frozen=True)
class Patterns:
    """What was learnt.

    ports: as `rate_ports` gives them.
    hidden: cells (CELLS) with n (stays, by weight, that would look like this), n_donors of them, seen (intervals
    that do), and told (the share that signs of life tell, of the cell CELLS[1]).
    places: cells (CELLS, shape) with part_1, part_2 (where the hidden crossings lie, in parts of the interval), weight
    and n.
    """

    ports: pl.DataFrame
    hidden: pl.DataFrame
    places: pl.DataFrame


def find_patterns(
    engine: Engine,
    name: str,
    tables: tuple[Table, Table],
    listings: Listings,
    ports: pl.DataFrame,
    days: tuple[int, int],
) -> Patterns:
    """Learn from the crossings of persons.

    Reads: tables: crossings (`rate_crossings`), lives (person_key, from_day, death_day, start); ports: as `rate_ports`
        gives them; days: the first day, and the one after the last. Ends and beginnings of observation are looked at on
        the same day of other years.
    Source: capture and recapture of events (who is seen again shows what was missed between: Seber 1982); places by hot
        deck (Andridge and Little 2010).
    """
    crossings, lives = tables
    intervals = engine.step(f"{name}_donors", _select_donors(days), crossings=crossings, lives=lives)
    delivered = count_delivered(engine, listings.signs, days[1])
    described = describe_intervals(engine, f"{name}_donors", intervals, listings, delivered)
    believed = _believe(engine, f"{name}_believed", described, ports, days)
    found = _count_cells(engine, described, believed)
    places = found.filter(pl.col("is_donor") & (pl.col("weight") > 0)).select(
        *CELLS, "shape", "part_1", "part_2", "weight", "n"
    )
    return Patterns(ports, _count_hidden(found, ports, days), places)


def _believe(
    engine: Engine, name: str, described: Table, ports: pl.DataFrame, days: tuple[int, int]
) -> Table:
    """How far what is on record can be believed, first of all: kind, person_key, day, share (a chance).

    Of ends and starts (day: the one looked at) how likely the last crossing on record before it, or the first after it,
    was the last or first: where another is hidden beyond it, a stay that ends with it is not what it seems, and speaks
    of no other stay. Of what confirms them (kind: end or start with `confirmed` before it; day: the crossing on record
    before the end, or after the start) how likely the stay on record over the day hides no pair of crossings.
    """
    found = engine.collect(
        f"""
        SELECT {", ".join(CELLS)}, weight IS NOT NULL AS is_donor, CAST(SUM(weight) AS BIGINT) AS weight, COUNT(*) AS n,
               SUM(CASE WHEN is_confirmed THEN {FRACTIONS} ELSE 0 END) AS confirmed
        FROM described WHERE kind <> 'between' GROUP BY {", ".join(CELLS)}, weight IS NOT NULL
        """,
        described=described,
    ).sort(*CELLS, "is_donor")
    ratios = _estimate_shares(_count_hidden(found, ports, days))
    shares = ratios.select(cell=CELLS[-1], share=1 - pl.col("share"))
    return engine.step(
        name,
        f"""
        WITH seen AS (
            SELECT d.kind, d.person_key, d.cut_day, d.from_day, d.until_day, s.share
            FROM described d JOIN shares s ON s.cell = d.{CELLS[-1]} WHERE d.weight IS NULL
        )
        SELECT kind, person_key, cut_day AS day, share FROM seen WHERE kind <> 'pair'
        UNION ALL
        SELECT 'confirmed end', person_key, from_day, share FROM seen WHERE kind = 'pair'
        UNION ALL
        SELECT 'confirmed start', person_key, until_day, share FROM seen WHERE kind = 'pair'
        """,
        described=described,
        shares=engine.frame(f"{name}_shares", shares),
    )


def _count_cells(engine: Engine, described: Table, believed: Table) -> pl.DataFrame:
    """Stays and intervals by cells, shape and places, with the weights of stays by how far these are believed.

    A stay is believed if none of its parts between crossings on record hides a pair: else it is none of this kind.
    """
    names = ", ".join((*CELLS, "shape"))
    begun = (
        "CASE WHEN d.mid_1 IS NOT NULL OR d.kind = 'end' THEN d.from_day END",
        "d.mid_1",
        "d.mid_2",
        "d.mid_3",
    )
    parts = [
        *(("confirmed end", day) for day in begun),
        ("confirmed start", "CASE WHEN d.kind = 'start' THEN d.until_day END"),
    ]
    follows = " ".join(
        f"""LEFT JOIN believed p_{n} ON d.weight IS NOT NULL AND p_{n}.kind = '{kind}'
                 AND p_{n}.person_key = d.person_key AND p_{n}.day = {day}"""
        for n, (kind, day) in enumerate(parts)
    )
    whole = " * ".join(f"COALESCE(p_{n}.share, 1)" for n in range(len(parts)))
    return engine.collect(
        f"""
        WITH weighed AS (
            SELECT {", ".join(f"d.{cell}" for cell in CELLS)}, d.shape, d.part_1, d.part_2,
                   d.weight IS NOT NULL AS is_donor,
                   CAST(FLOOR(d.weight * COALESCE(b.share, 1) * {whole}) AS BIGINT) AS weight,
                   CASE WHEN d.is_confirmed AND COALESCE(c.share, 1) >= {_LEAST_BELIEVED}
                        THEN CAST(FLOOR({FRACTIONS} * COALESCE(c.share, 1)) AS BIGINT) ELSE 0 END AS confirmed
            FROM described d
            LEFT JOIN believed b ON b.kind = CASE d.kind WHEN 'never' THEN 'end' ELSE d.kind END
                 AND b.person_key = d.person_key AND b.day = d.cut_day
            LEFT JOIN believed c ON d.is_confirmed AND c.kind = CONCAT('confirmed ', d.kind)
                 AND c.person_key = d.person_key
                 AND c.day = CASE WHEN d.kind = 'end' THEN d.from_day ELSE d.until_day END
            {follows}
        )
        SELECT {names}, part_1, part_2, is_donor, CAST(SUM(weight) AS BIGINT) AS weight, COUNT(*) AS n,
               CAST(SUM(confirmed) AS BIGINT) AS confirmed
        FROM weighed GROUP BY {names}, part_1, part_2, is_donor
        """,
        described=described,
        believed=believed,
    ).sort(*CELLS, "is_donor", "part_1", "part_2", nulls_last=True)


def _count_hidden(found: pl.DataFrame, ports: pl.DataFrame, days: tuple[int, int]) -> pl.DataFrame:
    """By cells the stays that would look so, by weight (n), their number (n_donors), and the intervals that do (seen).

    Whoever is gone for long is gone on several of the days looked at, and is known no better for it: a band of lengths
    counts once for all days that it lasts. told: the share that signs of life tell (`match_signs`), of
    ends after an arrival, of who never crosses, and of starts before a departure: of who is away a sign says less, for
    it is dated by the middle of its period.
    """
    is_seen = ~pl.col("is_donor")
    counted = (
        found.group_by(CELLS)
        .agg(
            n=pl.col("weight").filter("is_donor").sum() / FRACTIONS,
            n_donors=pl.col("n").filter("is_donor").sum().cast(pl.Float64),
            seen=pl.col("n").filter(is_seen).sum().cast(pl.Float64),
            confirmed=pl.col("confirmed").filter(is_seen).cast(pl.Float64).sum() / FRACTIONS,
        )
        .sort(*CELLS)
    )
    kind, band = (pl.col(CELLS[0]).str.extract(part) for part in (r"^(\S+)", r"(\d+)$"))
    lasting = 2.0 ** band.cast(pl.Float64, strict=False)
    n_days = (
        pl.when(kind.is_in(["end", "never"]))
        .then(_repeat(lasting, _list_ends(days)))
        .when(kind == "start")
        .then(_repeat(lasting, _list_starts(days)))
        .otherwise(1.0)
    )
    counted = counted.with_columns(pl.col("n", "n_donors", "seen", "confirmed") / n_days)
    is_asked = pl.col(CELLS[0]).str.contains("^(end arrival|never arrival|start departure) ")
    rate_error = float(ports["error"].max() or 0.0)  # type: ignore[arg-type]
    told = match_signs(counted.filter(is_asked), rate_error)
    others = counted.filter(~is_asked).with_columns(told=pl.lit(None, pl.Float64))
    return pl.concat([others, told]).drop("confirmed").sort(*CELLS)


def _estimate_shares(hidden: pl.DataFrame) -> pl.DataFrame:
    """The share of each finest cell that hides crossings, and the error of its log odds.

    Those of one cell CELLS[1] have on average its share: as signs of life tell it, or the expected one. In cells of
    few, where by chance as many are expected as are seen or more, what cannot be above 1 would make shares too low
    together.
    """
    ratios = shrink_ratios(hidden, CELLS)
    wide = _expect_shares(hidden)
    cells = hidden.group_by(CELLS[1], CELLS[-1]).agg(pl.col("seen").sum(), pl.col("told").max())
    cells = cells.with_columns(pl.col("told").max().over(CELLS[1])).join(wide, on=CELLS[1], how="left")
    cells = cells.select(CELLS[1], CELLS[-1], "seen", told=pl.coalesce("told", "expected"))
    shares = ratios.join(cells, on=CELLS[-1], how="left", maintain_order="left")
    return shares.with_columns(hold_to_signs(shares)).select(CELLS[-1], "share", "error")


def _expect_shares(hidden: pl.DataFrame) -> pl.DataFrame:
    """The share that is to be expected to hide crossings, by cells CELLS[1]: expected.

    Those of all lengths have the share of them all on average: where nearly all hide some, chance makes more of them
    than are seen at some lengths, which is not made up for at others.
    """
    alike = pl.col(CELLS[1]).str.replace(r" \d+ ", " ")
    of_all = shrink_ratios(hidden.with_columns(alike=alike), ("alike",)).select("alike", told="share")
    lengths = (
        hidden.group_by(CELLS[1])
        .agg(pl.col("seen").sum())
        .join(shrink_ratios(hidden, CELLS[:2]).select(CELLS[1], "share"), on=CELLS[1], how="left")
        .with_columns(alike=alike)
        .join(of_all, on="alike", how="left")
        .sort(CELLS[1])
    )
    held = hold_to_signs(lengths.select(pl.col("alike").alias(CELLS[1]), "share", "seen", "told"))
    return lengths.select(CELLS[1], expected=held)


def _repeat(lasting: pl.Expr, looked_at: range) -> pl.Expr:
    """On how many of the days looked at an interval has lengths of a band, which lasts so many days; once at least."""
    return (lasting / abs(looked_at.step)).clip(1.0, max(1, len(looked_at)))


def _select_donors(days: tuple[int, int]) -> str:
    """SQL: stays on record as they would appear had crossings been missed (weight: the odds), and what does (null)."""
    ends, starts = (
        ", ".join(f"({day})" for day in looked_at) or "(NULL)"
        for looked_at in (_list_ends(days), _list_starts(days))
    )
    nowhere = "CAST(0 AS INTEGER) AS part_1, CAST(0 AS INTEGER) AS part_2"
    alone = "NULL, NULL, NULL"
    before = partner_group(is_before=True)
    return f"""
        WITH own AS (SELECT * FROM crossings WHERE person_key <= {_MOST_PERSONS}),
        ends AS (SELECT CAST(cut_day AS BIGINT) AS cut_day FROM (VALUES {ends}) AS v (cut_day)),
        starts AS (SELECT CAST(cut_day AS BIGINT) AS cut_day FROM (VALUES {starts}) AS v (cut_day)),
        at_ends AS (
            SELECT o.*, e.cut_day, CASE WHEN o.day_1 <= e.cut_day THEN o.day_1 END AS known_1,
                   CASE WHEN o.day_2 <= e.cut_day THEN o.day_2 END AS known_2
            FROM own o JOIN ends e ON o.day <= e.cut_day AND COALESCE(o.day_2, e.cut_day + 1) > e.cut_day
            JOIN lives l ON l.person_key = o.person_key AND COALESCE(l.death_day, e.cut_day + 1) > e.cut_day
        ), at_starts AS (
            SELECT o.*, s.cut_day FROM own o
            JOIN starts s ON o.day >= s.cut_day AND COALESCE(o.day_before, s.cut_day - 1) < s.cut_day
            JOIN lives l ON l.person_key = o.person_key AND l.from_day < s.cut_day
        ), firsts AS ({_FIRSTS}
        ), intervals AS (
            {_select_between()}
            UNION ALL
            SELECT 'pair', person_key, is_arrival, {before}, 10 * stay_before + stay_3, day, day_3,
                   CAST(FLOOR(CAST(odds_1 AS DOUBLE) * odds_2 / {FRACTIONS}) AS BIGINT),
                   {_parts("day_1", "day_2", "day", "day_3")}, day_1, day_2, NULL, NULL, FALSE
            FROM own
            WHERE day_3 >= day + {LEAST_PAIR_DAYS} AND is_arrival_1 <> is_arrival
              AND is_arrival_2 = is_arrival AND is_arrival_3 <> is_arrival
            UNION ALL
            SELECT 'pair', person_key, is_arrival, {before}, 10 * stay_before + stay_1, day, day_1,
                   CAST(NULL AS BIGINT), {nowhere}, {alone}, NULL, FALSE
            FROM own WHERE day_1 >= day + {LEAST_PAIR_DAYS} AND is_arrival_1 <> is_arrival
            UNION ALL
            SELECT 'end', person_key, is_arrival, {before}, stay_before, day, cut_day, odds_1,
                   {_parts("known_1", "known_1", "day", "cut_day")}, {alone}, cut_day, FALSE
            FROM at_ends WHERE known_1 IS NOT NULL AND known_2 IS NULL AND is_arrival_1 <> is_arrival
            UNION ALL
            SELECT 'end', person_key, is_arrival, {before}, stay_before, day, cut_day, CAST(NULL AS BIGINT), {nowhere},
                   {alone}, cut_day, stay <> 0
            FROM at_ends WHERE known_1 IS NULL
            UNION ALL
            {_select_never(nowhere, alone)}
            UNION ALL
            SELECT 'start', person_key, is_arrival_1, {partner_group("_1", is_before=False)}, stay_1, cut_day,
                   day_1, odds, {_parts("day", "day", "cut_day", "day_1")}, {alone}, cut_day, FALSE
            FROM at_starts
            WHERE day_1 IS NOT NULL AND is_arrival_1 <> is_arrival
            UNION ALL
            SELECT 'start', person_key, is_arrival, {partner_group(is_before=False)}, stay, cut_day, day,
                   CAST(NULL AS BIGINT), {nowhere}, {alone}, cut_day, stay_before <> 0
            FROM at_starts
        )
        SELECT ROW_NUMBER() OVER (ORDER BY person_key) AS number, * FROM intervals
        """


def _select_between() -> str:
    """SQL: stays without the one crossing between two of the other direction, or without three that follow another.

    Three that are missed in a row look like one: the first or the third, whichever leaves less of the stays wrong.
    """
    port = "CASE WHEN is_listed = is_arrival THEN port_group_{} ELSE port_group END"
    nearest = "CASE WHEN day_2 - day_1 <= day_3 - day_2 THEN day_3 ELSE day_1 END"
    return f"""SELECT 'between' AS kind, person_key, is_arrival, {port.format(2)} AS port_group,
                   10 * stay_before + stay_2 AS stays, day AS from_day, day_2 AS until_day, odds_1 AS weight,
                   {_parts("day_1", "day_1", "day", "day_2")}, day_1 AS mid_1, CAST(NULL AS BIGINT) AS mid_2,
                   CAST(NULL AS BIGINT) AS mid_3, CAST(NULL AS BIGINT) AS cut_day, FALSE AS is_confirmed
            FROM own WHERE day_2 > day AND is_arrival_1 <> is_arrival AND is_arrival_2 = is_arrival
            UNION ALL
            SELECT 'between', person_key, is_arrival, {port.format(4)}, 10 * stay_before + stay_4, day, day_4,
                   CAST(FLOOR(CAST(odds_1 AS DOUBLE) * odds_2 / {FRACTIONS} * odds_3 / {FRACTIONS}) AS BIGINT),
                   {_parts(nearest, nearest, "day", "day_4")}, day_1, day_2, day_3, NULL, FALSE
            FROM own
            WHERE day_4 >= day + {LEAST_PAIR_DAYS} AND is_arrival_1 <> is_arrival AND is_arrival_2 = is_arrival
              AND is_arrival_3 <> is_arrival AND is_arrival_4 = is_arrival"""


def _select_never(nowhere: str, alone: str) -> str:
    """SQL: who departs and has crossed no more until a day, and who has not crossed at all."""
    return f"""SELECT 'never', person_key, TRUE, 0, 0, from_day, cut_day, odds,
                   {_parts("day", "day", "from_day", "cut_day")}, {alone}, cut_day, FALSE
            FROM firsts WHERE day <= cut_day AND NOT is_arrival AND COALESCE(day_1, cut_day + 1) > cut_day
            UNION ALL
            SELECT 'never', person_key, TRUE, 0, 0, from_day, cut_day, CAST(NULL AS BIGINT), {nowhere},
                   {alone}, cut_day, COALESCE(NOT is_arrival, FALSE)
            FROM firsts WHERE COALESCE(day, cut_day + 1) > cut_day"""


def _list_ends(days: tuple[int, int]) -> range:
    """The days that are looked at as ends of observation."""
    first, end = days
    return _spread(range(end - 365, first + 365, -365))


def _list_starts(days: tuple[int, int]) -> range:
    """The days that are looked at as beginnings of observation."""
    first, end = days
    return _spread(range(first + 365, end - 365, 365))


def _spread(days: range) -> range:
    """Not more than _MOST_DAYS of the days, as far apart as the others."""
    return days[:: max(1, -(-len(days) // _MOST_DAYS))]


def _parts(one: str, other: str, since: str, until: str) -> str:
    """SQL for the parts of an interval in which two days lie: part_1 and part_2."""
    share = f"CAST({{}} - {since} AS DOUBLE) * {N_PARTS} / GREATEST({until} - {since}, 1)"
    return ", ".join(
        f"CAST(FLOOR(LEAST({N_PARTS} - 1, {share.format(day)})) AS INTEGER) AS part_{n}"
        for n, day in enumerate((one, other), 1)
    )


def weigh(patterns: Patterns, cells: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """How likely each cell hides crossings, and where they lie.

    cells: CELLS and shape, each finest cell once. Gives them with p, the error of its log odds, place (a number) and
    n_alike, and the places: place, step, part_1, part_2: by steps of luck from 0 to N_STEPS - 1.
    """
    asked = cells.sort(*CELLS)
    nothing = asked.select(*CELLS).with_columns(
        n=pl.lit(0.0), n_donors=pl.lit(0.0), seen=pl.lit(0.0), told=pl.lit(None, pl.Float64)
    )
    finest = _estimate_shares(pl.concat([patterns.hidden.select(nothing.columns), nothing]))
    placed, places = step_places(patterns.places, asked)
    ratios = finest.select("error", p="share", cell=CELLS[-1])
    weighed = asked.join(ratios, left_on=CELLS[-1], right_on="cell", how="left", maintain_order="left")
    return pl.concat([weighed, placed], how="horizontal"), places
