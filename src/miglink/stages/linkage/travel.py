"""Travel as evidence: whether the crossings of two identities, put together, are those of one traveller."""

import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.linkage.levels import Comparison, Level

# What prepared identities carry of their crossings; null where they have none.
TRAVEL_COLUMNS = (
    "travel", "travel_ways", "travel_first", "travel_last", "travel_open_stays", "travel_open_absences",
)  # fmt: skip
# What a moment is written with, beside the letter of the way.
_MOMENT = "0123456789"
# Where so many crossings follow one of the same way, one way is not recorded.
_ONE_WAY = 0.5


def find_travel(engine: Engine, records: Table, record_identities: Table) -> Table:
    """Give the crossings of each identity that has any, in the form in which two identities are compared.

    Reads: records (kind crossings, double scans left out), record_identities.
    Gives: identity_id; travel: its crossings in order, each as text, the moment (fourteen digits) and A for an arrival
    or D for a departure; travel_ways: the letters alone; travel_first, travel_last: the first and last of them;
    travel_open_stays: crossings that are not the two ends of a stay (A followed by D); travel_open_absences: crossings
    that are not the two ends of an absence (D followed by A).
    Units: moments are local time of the source, to the second. Of a day on which some time is not known only the
    surplus of arrivals or departures counts, as one crossing at noon: what came first on that day is not known.
    """
    return engine.step(
        "linkage_travel",
        f"""WITH crossings AS (
            SELECT i.identity_id, r.crossed_date, r.crossed_at,
                   CASE r.direction WHEN 'arrival' THEN 'A' ELSE 'D' END AS way
            FROM records r JOIN record_identities i ON i.source = r.source AND i.record_id = r.record_id
            WHERE r.kind = 'crossings' AND NOT r.is_repeat AND r.crossed_date IS NOT NULL AND r.direction IS NOT NULL),
        days AS (
            SELECT identity_id, crossed_date, crossed_at, way,
                   count(*) OVER same_day = count(crossed_at) OVER same_day AS is_timed,
                   sum(CASE way WHEN 'A' THEN 1 ELSE -1 END) OVER same_day AS balance
            FROM crossings WINDOW same_day AS (PARTITION BY identity_id, crossed_date)),
        moments AS (
            SELECT DISTINCT identity_id, way,
                   substring(CASE WHEN is_timed THEN CAST(crossed_at AS VARCHAR)
                                  ELSE CAST(crossed_date AS VARCHAR) || ' 12:00:00' END, 1, 19) AS moment
            FROM days WHERE is_timed OR (balance > 0 AND way = 'A') OR (balance < 0 AND way = 'D')),
        written AS (SELECT identity_id, regexp_replace(moment, '[^0-9]', '', 'g') || way AS crossing FROM moments),
        lists AS (
            SELECT identity_id, list_sort(list(crossing)) AS travel, min(crossing) AS travel_first,
                   max(crossing) AS travel_last
            FROM written GROUP BY identity_id),
        ways AS (SELECT *, {_ways_sql("travel")} AS travel_ways FROM lists)
        SELECT identity_id, travel, travel_ways, travel_first, travel_last,
               length(replace(travel_ways, 'AD', '')) AS travel_open_stays,
               length(replace(travel_ways, 'DA', '')) AS travel_open_absences
        FROM ways""",
        records=records,
        record_identities=record_identities,
    )


def measure_open_ends(
    engine: Engine, records: Table, record_identities: Table, record_persons: Table
) -> pl.DataFrame:
    """Measure the open ends of travel among identities and among persons, and how many crossings seem to be missing.

    An open end is a missing crossing, a move for good, or a missed link: in the crossings of a traveller in their order
    two of one way that follow each other (a gap), and one for who begins and ends with the same way.
    Reads: records (kind crossings, double scans left out), record_identities, record_persons.
    Gives: measure, item, value: open_ends and travel_gaps of identities and of persons; open_ends_remaining_share =
    open ends of persons / open ends of identities; crossings_missing_share = s / (1 − s), with s = gaps of persons /
    crossings with a later one of the same person. A share of nothing is null.
    Units: shares from 0 to 1. crossings_missing_share is that of the crossings that happened, were every gap due to one
    that nobody recorded: if each is missing by a chance of its own, q, the next recorded one is of the same way with
    s = q / (1 + q). Null where s is a half or more: then one way is not recorded at all.
    """
    identities = _count_open_ends(engine, records, record_identities)
    persons = _count_open_ends(
        engine,
        records,
        engine.view(
            "linkage_persons",
            "SELECT source, record_id, person_id AS identity_id FROM record_persons",
            record_persons=record_persons,
        ),
    )
    same_way = persons["n_gaps"] / persons["n_followed"] if persons["n_followed"] else None
    is_two_way = same_way is not None and same_way < _ONE_WAY
    found = {
        ("open_ends", "identities"): identities["n_open_ends"],
        ("open_ends", "persons"): persons["n_open_ends"],
        ("travel_gaps", "identities"): identities["n_gaps"],
        ("travel_gaps", "persons"): persons["n_gaps"],
        ("open_ends_remaining_share", "all"): persons["n_open_ends"] / identities["n_open_ends"]
        if identities["n_open_ends"]
        else None,
        ("crossings_missing_share", "all"): same_way / (1 - same_way) if same_way and is_two_way else None,
    }
    rows = [(measure, item, value) for (measure, item), value in found.items()]
    schema = {"measure": pl.String, "item": pl.String, "value": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row", strict=False)


def _count_open_ends(engine: Engine, records: Table, record_travellers: Table) -> dict[str, int]:
    """Crossings that another one follows, gaps and open ends of all travellers."""
    counted = engine.collect(
        """SELECT CAST(coalesce(sum(n - 1), 0) AS BIGINT) AS n_followed,
               CAST(coalesce(sum(n_open_ends - is_odd), 0) AS BIGINT) AS n_gaps,
               CAST(coalesce(sum(n_open_ends), 0) AS BIGINT) AS n_open_ends
        FROM (SELECT length(travel_ways) AS n, least(travel_open_stays, travel_open_absences) AS n_open_ends,
                  CASE WHEN right(travel_first, 1) = right(travel_last, 1) THEN 1 ELSE 0 END AS is_odd
              FROM travel) AS travellers""",
        travel=find_travel(engine, records, record_travellers),
    )
    return counted.row(0, named=True)


def without_travel(engine: Engine, identities: Table) -> Table:
    """The table of `find_travel` where nobody's crossings are known: no rows."""
    texts = ", ".join(f"CAST(NULL AS VARCHAR) AS {column}" for column in TRAVEL_COLUMNS[1:4])
    counts = ", ".join(f"CAST(NULL AS BIGINT) AS {column}" for column in TRAVEL_COLUMNS[4:])
    return engine.step(
        "linkage_travel",
        f"""SELECT identity_id, CAST(NULL AS VARCHAR[]) AS travel, {texts}, {counts} FROM identities WHERE false""",
        identities=identities,
    )


def compare_travel(field: str) -> Comparison:
    """The comparison of travel: how many open ends close when the crossings of both sides are put in one order.

    A stay is an arrival followed by a departure, an absence a departure followed by an arrival; what is neither is an
    open end. One person's crossings alternate but for those that nobody recorded: put together they close open ends,
    of a stay, of an absence, or, where a crossing falls into a gap of the other side, of both. Presence of two persons
    overlaps: put together they break stays or absences that were whole (`other`).
    """
    stays, absences = (
        "travel_open_stays_l + travel_open_stays_r",
        "travel_open_absences_l + travel_open_absences_r",
    )
    apart = f"({stays} + {absences})"
    left_stays = f"length(replace({_TOGETHER}, 'AD', ''))"
    # What begins with a departure or ends with an arrival has one open end more as stays than as absences, so that
    # the costly part, the order of both sides, is needed once in a condition.
    left_absences = f"({left_stays} - 2 * ({_ENDS}))"
    left = f"(2 * {left_stays} - 2 * ({_ENDS}))"
    return Comparison(
        field,
        TRAVEL_COLUMNS,
        "travel_ways_l IS NULL OR travel_ways_r IS NULL",
        (
            # Each stay or absence more is two open ends fewer; a side without gaps has two. Crossings full of gaps
            # close some with anybody's, so that no more may be left open than close.
            Level(
                "together most open ends close",
                f"{apart} >= 8 AND {left} <= least({apart} - 6, {apart} / 2)",
            ),
            Level("together a stay and an absence close", f"{apart} >= 6 AND {left} <= {apart} - 4"),
            Level("together a stay closes", f"{left_stays} < {stays}"),
            Level("together an absence closes", f"{left_absences} < {absences}"),
            Level("together nothing closes", f"{left} <= {apart}"),
        ),
        is_of_records=True,
    )


def _ways_sql(travel: str) -> str:
    """The letters of a list of crossings."""
    return f"translate(array_to_string({travel}, ''), '{_MOMENT}', '')"


# The ways of both sides in one order. Most travel of two documents does not interlace, and needs no sorting.
_TOGETHER = f"""CASE WHEN travel_last_l < travel_first_r THEN travel_ways_l || travel_ways_r
    WHEN travel_last_r < travel_first_l THEN travel_ways_r || travel_ways_l
    ELSE {_ways_sql("list_sort(list_concat(travel_l, travel_r))")} END"""
# 1 where both sides in one order begin with a departure and end with an arrival, -1 the other way round, else 0.
_ENDS = """CASE WHEN right(least(travel_first_l, travel_first_r), 1) = 'D' THEN 1 ELSE 0 END
    - CASE WHEN right(greatest(travel_last_l, travel_last_r), 1) = 'D' THEN 1 ELSE 0 END"""
