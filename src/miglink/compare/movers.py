"""Who is counted by one run and not by the next, and why: reasons that add up to every revision."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from miglink.compare.counted import FOLLOWED, count_units, followed_in
from miglink.compare.figures import TOTAL
from miglink.compare.inputs import Vintage
from miglink.compare.persons import Matching
from miglink.compare.settings import Settings
from miglink.engine import Engine, Table
from miglink.errors import ResultError
from miglink.tables.contract import DIMENSIONS

# In the order in which they are tried, with what each means.
REASONS: Mapping[str, str] = {
    "new_person": "a person of whom the earlier run had no record",
    "gone_person": "a person of whom the later run has no record",
    "merged": "several persons of the earlier run are one",
    "split": "a person of the earlier run is several",
    "regrouped": "records moved between persons: other links",
    "new_records": "records dated within the earlier run's time came late",
    "withdrawn_records": "records of the earlier run are no longer there",
    "changed_records": "records say something else",
    "settled": "undetermined before, known now",
    "unsettled": "known before, undetermined now",
    "settings": "the rule, or another key of the configuration, changed",
    "longer_observation": "the data reach further",
    "other": "nothing of the person itself: a mother, a source's cover, software",
    "traits": "in both, in another cell: a trait is another",
}
_KEY = "family, part, rule, policy, figure, measure, period"
_GROUP = ["part", "rule", "policy", "period", "figure", "measure", "dimension", "value"]
MEASURES = ("n_settled", "n_undetermined")


@dataclass(frozen=True)
class _Numbered:
    """units: with nth, its number in the family's figure, and is_moved, that the other run has none of the number."""

    units: Table
    matching: Matching


def find_movers(
    engine: Engine,
    runs: tuple[Vintage, Vintage],
    matching: Matching,
    figures: pl.DataFrame,
    settings: Settings,
) -> pl.DataFrame:
    """Find who moved between two runs, and put a reason to each (table `movers`).

    Reads: what `count_units` reads; figures of both runs.
    Gives: n_added and n_removed by figure, period, measure, dimension and value, and reason. Of a family (persons who
        hang together by shared records) as many are counted by both as either counts in a period, those of one day
        and of a pair of persons first; the others moved.
    Units: persons at a reference date; migrations.
    Errors: ResultError if the reasons do not add up to the revision of a published figure.
    """
    earlier, later = runs
    own = figures.filter(pl.col("vintage").is_in([earlier.number, later.number]))
    units = count_units(engine, runs, matching.members, matching.families, _find_windows(own))
    numbered = _Numbered(_number_units(engine, units), matching)
    reasons = _find_reasons(engine, numbered, runs, settings)
    changed = _find_changed_cells(engine, numbered.units)
    listed = {
        part: [n for n in followed_in(part) if _is_listed(own, part, n)] for part in ("stocks", "flows")
    }
    counts = [_count_moved(engine, reasons, part, name) for part in listed for name in (TOTAL, *listed[part])]
    counts += [_count_changed(engine, changed, part, name) for part in listed for name in listed[part]]
    movers = (
        pl.concat(counts)
        .group_by(*_GROUP, "reason")
        .agg(pl.col("n_added", "n_removed").sum())
        .with_columns(earlier=pl.lit(earlier.number, pl.Int32), later=pl.lit(later.number, pl.Int32))
    )
    _check_sums(movers, own, listed)
    return movers


def _find_windows(figures: pl.DataFrame) -> pl.DataFrame:
    """The periods and dates that both runs publish, with their days and the year of their groups of citizenship."""
    key = ["part", "rule", "policy", "period"]
    in_both = figures.group_by(key).agg(pl.col("vintage").n_unique()).filter(pl.col("vintage") == 2)
    days = figures.select("period", "first_date", "last_date").unique()
    # The groups of a stock are those of the reference date, the day after its last_date.
    year = (
        pl.when(pl.col("part") == "stocks")
        .then(pl.col("last_date").dt.offset_by("1d"))
        .otherwise("last_date")
    )
    return in_both.join(days, on="period").select(*key, "first_date", "last_date", year=year.dt.year())


def _number_units(engine: Engine, units: Table) -> Table:
    return engine.step(
        "compare_numbered",
        f"""
        WITH marked AS (
            SELECT *, MIN(side) OVER alike <> MAX(side) OVER alike AS is_alike FROM units
            WINDOW alike AS (PARTITION BY {_KEY}, day, pair)
        ), numbered AS (
            SELECT *, ROW_NUMBER() OVER (PARTITION BY side, {_KEY} ORDER BY is_alike DESC, day, pair) AS nth FROM marked
        )
        SELECT *, MIN(side) OVER one = MAX(side) OVER one AS is_moved,
               ROW_NUMBER() OVER (ORDER BY side, {_KEY}, nth) AS unit
        FROM numbered WINDOW one AS (PARTITION BY {_KEY}, nth)
        """,
        units=units,
    )


def _find_reasons(
    engine: Engine, numbered: _Numbered, runs: tuple[Vintage, Vintage], settings: Settings
) -> Table:
    """Each unit that moved, with its reason: the first that holds."""
    is_longer = "TRUE" if runs[1].data_to_date > runs[0].data_to_date else "FALSE"
    known = "u.measure = 'n_settled'"
    settled = (
        f"({known} AND u.side = 'later' AND is_open) OR (NOT {known} AND u.side = 'earlier' AND NOT is_open)"
    )
    unsettled = (
        f"({known} AND u.side = 'earlier' AND is_open) OR (NOT {known} AND u.side = 'later' AND NOT is_open)"
    )
    rules = pl.DataFrame({"rule": sorted(settings.changed_rules)}, schema={"rule": pl.String})
    return engine.step(
        "compare_reasons",
        f"""
        WITH moved AS (
            SELECT u.*, o.unit IS NOT NULL AS is_open, c.rule IS NOT NULL AS is_changed, f.kind, f.has_new,
                   f.has_withdrawn, f.has_changed
            FROM units u JOIN families f ON f.family = u.family
            LEFT JOIN open_elsewhere o ON o.unit = u.unit
            LEFT JOIN changed_rules c ON c.rule = u.rule
            WHERE u.is_moved
        )
        SELECT u.*, CASE
            WHEN kind = 'new' AND (has_new OR NOT {is_longer}) THEN 'new_person'
            WHEN kind = 'new' THEN 'longer_observation'
            WHEN kind = 'gone' THEN 'gone_person'
            WHEN kind <> 'same' THEN kind
            WHEN has_new THEN 'new_records'
            WHEN has_withdrawn THEN 'withdrawn_records'
            WHEN has_changed THEN 'changed_records'
            -- Without longer data, only another rule can settle what was open.
            WHEN is_changed AND NOT {is_longer} THEN 'settings'
            WHEN {settled} THEN 'settled'
            WHEN {unsettled} THEN 'unsettled'
            WHEN is_changed THEN 'settings'
            WHEN {is_longer} THEN 'longer_observation'
            ELSE 'other' END AS reason
        FROM moved u
        """,
        units=numbered.units,
        families=numbered.matching.families,
        open_elsewhere=_find_open(engine, numbered, runs),
        changed_rules=engine.frame("compare_changed_rules", rules),
    )


def _find_open(engine: Engine, numbered: _Numbered, runs: tuple[Vintage, Vintage]) -> Table:
    """The units that moved at whose day the other run holds the family's status, or the crossing, for undetermined."""
    forever = "DATE '9999-12-31'"
    held = " UNION ALL ".join(
        f"""SELECT m.side, m.family, r.rule, r.policy, r.from_date, COALESCE(r.to_date, {forever}) AS to_date
        FROM {side} r JOIN members m ON m.side = '{side}' AND m.person_id = r.person_id
        JOIN (SELECT DISTINCT family FROM units WHERE is_moved) AS k ON k.family = m.family
        WHERE r.draw = 0 AND r.status = 'undetermined'"""
        for side in ("earlier", "later")
    )
    return engine.step(
        "compare_open",
        f"""
        WITH held AS ({held})
        SELECT u.unit FROM units u JOIN held h
          ON h.side <> u.side AND h.family = u.family AND h.rule = u.rule AND h.policy = u.policy
         -- Of a migration: at the end of its day, or of the day before.
         AND h.from_date <= u.day AND (h.to_date > u.day OR (u.part = 'flows' AND h.to_date = u.day))
        WHERE u.is_moved
        UNION
        SELECT u.unit FROM units u JOIN units v
          ON v.side <> u.side AND v.family = u.family AND v.rule = u.rule AND v.policy = u.policy
         AND v.part = u.part AND v.figure = u.figure AND v.day = u.day AND v.measure = 'n_undetermined'
        WHERE u.is_moved AND u.part = 'flows'
        """,
        units=numbered.units,
        members=numbered.matching.members,
        earlier=runs[0].tables["residence"],
        later=runs[1].tables["residence"],
    )


def _find_changed_cells(engine: Engine, units: Table) -> Table:
    """Each unit that both runs count, in its cells in either."""
    cells = ", ".join(f"a.{name} AS {name}_earlier, b.{name} AS {name}_later" for name in FOLLOWED)
    same = " AND ".join(f"b.{name} = a.{name}" for name in (*_KEY.split(", "), "nth"))
    return engine.step(
        "compare_cells",
        f"""
        SELECT a.part, a.rule, a.policy, a.period, a.figure, a.measure, {cells}
        FROM units a JOIN units b ON b.side = 'later' AND {same}
        WHERE a.side = 'earlier' AND NOT a.is_moved
        """,
        units=units,
    )


def _is_listed(figures: pl.DataFrame, part: str, dimension: str) -> bool:
    """Whether both runs have a part by this dimension alone; of who counts nobody, there are no cells."""
    others = [name for name in DIMENSIONS if name != dimension]
    of_part = figures.filter(pl.col("part") == part)
    has_cells = pl.all_horizontal(pl.col(*others) == TOTAL) & (pl.col(dimension) != TOTAL)
    found = of_part.group_by("vintage").agg(
        has_cells=has_cells.any(), is_empty=pl.all_horizontal(pl.col(*MEASURES) == 0).all()
    )
    n_listed = found["has_cells"].sum()
    return n_listed == 2 or (n_listed == 1 and bool(found["is_empty"].any()))


def _count_moved(engine: Engine, reasons: Table, part: str, dimension: str) -> pl.DataFrame:
    value = f"'{TOTAL}'" if dimension == TOTAL else dimension
    return engine.collect(
        f"""
        SELECT part, rule, policy, period, figure, measure, '{dimension}' AS dimension, {value} AS value, reason,
               CAST(SUM(CASE WHEN side = 'later' THEN 1 ELSE 0 END) AS BIGINT) AS n_added,
               CAST(SUM(CASE WHEN side = 'earlier' THEN 1 ELSE 0 END) AS BIGINT) AS n_removed
        FROM reasons WHERE part = '{part}'
        GROUP BY part, rule, policy, period, figure, measure, {value}, reason
        """,
        reasons=reasons,
    )


def _count_changed(engine: Engine, changed: Table, part: str, dimension: str) -> pl.DataFrame:
    """What both count, but in another cell of the dimension: out of the one and into the other."""
    columns = "part, rule, policy, period, figure, measure"
    moved = f"FROM changed WHERE part = '{part}' AND {dimension}_earlier <> {dimension}_later"
    return engine.collect(
        f"""
        WITH moved AS (
            SELECT {columns}, {dimension}_later AS value, 1 AS n_added, 0 AS n_removed {moved}
            UNION ALL
            SELECT {columns}, {dimension}_earlier AS value, 0 AS n_added, 1 AS n_removed {moved}
        )
        SELECT {columns}, '{dimension}' AS dimension, value, 'traits' AS reason,
               CAST(SUM(n_added) AS BIGINT) AS n_added, CAST(SUM(n_removed) AS BIGINT) AS n_removed
        FROM moved GROUP BY {columns}, value
        """,
        changed=changed,
    )


def _check_sums(movers: pl.DataFrame, figures: pl.DataFrame, listed: Mapping[str, list[str]]) -> None:
    """ResultError unless the reasons add up to what the published figures were revised by, in every cell."""
    moved = movers.group_by(_GROUP).agg(n=(pl.col("n_added") - pl.col("n_removed")).sum())
    revised = pl.concat([_revise(figures, part, name) for part in listed for name in (TOTAL, *listed[part])])
    both = revised.join(moved, on=_GROUP, how="full", coalesce=True)
    wrong = both.filter(pl.col("revision").fill_null(0) != pl.col("n").fill_null(0))
    if not wrong.is_empty():
        first = wrong.sort(_GROUP).row(0, named=True)
        cell = " ".join(str(first[name]) for name in _GROUP)
        raise ResultError(
            f"compare: in {wrong.height:,} cells who moved does not add up to the revision, first {cell}: "
            "a run's figures do not count the persons in its own tables; nothing is compared"
        )


def _revise(figures: pl.DataFrame, part: str, dimension: str) -> pl.DataFrame:
    """How the cells of a dimension were revised in the periods that both runs have; what is not listed is 0."""
    others = [name for name in DIMENSIONS if name != dimension]
    key = ["part", "rule", "policy", "period"]
    of_part = figures.filter(pl.col("part") == part, pl.col("figure") != "net")
    in_both = of_part.group_by(key).agg(pl.col("vintage").n_unique()).filter(pl.col("vintage") == 2)
    cells = of_part.filter(pl.all_horizontal(pl.col(*others) == TOTAL)).join(in_both, on=key, how="semi")
    value = pl.lit(TOTAL) if dimension == TOTAL else pl.col(dimension)
    if dimension != TOTAL:
        cells = cells.filter(pl.col(dimension) != TOTAL)
    sign = pl.when(pl.col("vintage") == figures["vintage"].max()).then(1).otherwise(-1)
    long = cells.select(
        *key, "figure", *MEASURES, "vintage", dimension=pl.lit(dimension), value=value
    ).unpivot(
        MEASURES,
        index=[*key, "figure", "vintage", "dimension", "value"],
        variable_name="measure",
        value_name="n",
    )
    return long.group_by(_GROUP).agg(revision=(pl.col("n") * sign).sum())
