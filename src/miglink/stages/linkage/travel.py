"""Travel as evidence: whether the crossings of two identities, put together, are those of one traveller."""

from miglink.engine import Engine, Table
from miglink.stages.linkage.levels import Comparison, Level

# What prepared identities carry of their crossings; null where they have none.
TRAVEL_COLUMNS = (
    "travel", "travel_ways", "travel_first", "travel_last", "travel_open_stays", "travel_open_absences",
)  # fmt: skip
# What a moment is written with, beside the letter of the way.
_MOMENT = "0123456789"


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
        lists AS (
            SELECT identity_id, list_sort(list(regexp_replace(moment, '[^0-9]', '', 'g') || way)) AS travel
            FROM moments GROUP BY identity_id),
        ways AS (SELECT *, {_ways_sql("travel")} AS travel_ways FROM lists)
        SELECT *, travel[1] AS travel_first, travel[len(travel)] AS travel_last,
               length(replace(travel_ways, 'AD', '')) AS travel_open_stays,
               length(replace(travel_ways, 'DA', '')) AS travel_open_absences
        FROM ways""",
        records=records,
        record_identities=record_identities,
    )


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
    stays = f"(travel_open_stays_l + travel_open_stays_r - length(replace({_TOGETHER}, 'AD', '')))"
    absences = f"(travel_open_absences_l + travel_open_absences_r - length(replace({_TOGETHER}, 'DA', '')))"
    left = f"length(replace({_TOGETHER}, 'AD', '')) + length(replace({_TOGETHER}, 'DA', ''))"
    return Comparison(
        field,
        TRAVEL_COLUMNS,
        "travel_ways_l IS NULL OR travel_ways_r IS NULL",
        (
            # Each stay or absence more is two open ends fewer. Crossings full of gaps close some with anybody's, so
            # that no more may be left open than close.
            Level(
                "together most open ends close",
                f"{stays} + {absences} >= 6 AND {left} <= {stays} + {absences}",
            ),
            Level("together a stay and an absence close", f"{stays} > 0 AND {absences} > 0"),
            Level("together a stay closes", f"{stays} > 0"),
            Level("together an absence closes", f"{absences} > 0"),
            Level("together nothing closes", f"{stays} + {absences} >= 0"),
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
