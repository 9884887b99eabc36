"""Who is in doubt and their drawn histories, in the form in which histories are counted."""

from dataclasses import dataclass

import polars as pl

from miglink.config.draws import DrawsSettings
from miglink.engine import Engine, Table
from miglink.errors import ResultError
from miglink.stages.estimates.counts import Histories, join_histories
from miglink.stages.estimates.dimensions import Layout
from miglink.stages.estimates.trait_draws import CITIZENSHIP, add_changed, find_changed, of_draw

BEST, DRAWN, BOTH = "best", "drawn", "both"
CAUSES = ("linkage", "missing_crossing", "first_status", "follow_up", CITIZENSHIP)


@dataclass(frozen=True)
class Draws:
    """The tables of the draws, as stages persons and residence give them, and how many there are."""

    doubts: Table
    residence_draws: Table
    migration_draws: Table
    trait_draws: Table
    settings: DrawsSettings


@dataclass(frozen=True)
class Drawn:
    """Drawn histories, joined with traits, and the settled ones that they replace.

    histories: what is counted; in place of its policy each row has a number, the code of policy, linkage, cause and
    draw. Draw 0 are the rows of draw 0 that are replaced. series: what the codes stand for.
    """

    histories: Histories
    series: pl.DataFrame
    settings: DrawsSettings

    def unpack(self, counts: pl.DataFrame) -> pl.DataFrame:
        """The policy, linkage, cause and draw of counted rows."""
        return (
            counts.rename({"policy": "code"})
            .join(self.series.drop("rule"), on="code", how="left")
            .drop("code")
        )


def join_draws(
    engine: Engine,
    draws: Draws | None,
    histories: tuple[Table, Table],
    people: tuple[Table, Table, Table],
    layout: Layout,
) -> Drawn | None:
    """Join the drawn histories, and the settled ones that they replace, with the traits of their days.

    histories: the statuses and the migrations of draw 0; people: persons, person_traits, and the traits of all days.
    None without draws.
    """
    if draws is None or draws.settings.number == 0:
        return None
    statuses, migrations = histories
    persons, person_traits, traits = people
    number = draws.settings.number
    _check_known(engine, draws, persons)
    codes = _list_codes(engine, draws)
    coded = engine.step(
        "estimates_doubts",
        """
        SELECT d.person_id, d.rule, d.policy, d.linkage, d.from_date, c.code
        FROM doubts d
        JOIN codes c ON c.rule = d.rule AND c.policy = d.policy AND c.linkage = d.linkage AND c.cause = d.cause
        """,
        doubts=draws.doubts,
        codes=engine.frame("estimates_codes", codes),
    )
    changed = find_changed(engine, draws.trait_draws, (persons, person_traits), traits, layout, number)
    of_citizenship = codes.filter(cause=CITIZENSHIP).drop("cause")
    coded = add_changed(engine, coded, changed, of_citizenship)
    numbers = pl.DataFrame({"draw": range(number + 1)}, schema={"draw": pl.Int32})
    every = engine.frame("estimates_draw_numbers", numbers.filter(pl.col("draw") > 0))
    drawn = _draw_statuses(engine, draws, (coded, every), statuses, persons)
    moved = _draw_migrations(engine, draws, (coded, every), migrations)
    joined = join_histories(engine, drawn, changed.traits, moved, layout)
    series = codes.join(numbers, how="cross").with_columns(code=pl.col("code") + pl.col("draw"))
    return Drawn(joined, series, draws.settings)


def _list_codes(engine: Engine, draws: Draws) -> pl.DataFrame:
    """The numbers of draw 0 of each rule, policy, linkage and cause; the other draws follow."""
    found = engine.collect("SELECT DISTINCT rule, policy, linkage, cause FROM doubts", doubts=draws.doubts)
    series = pl.DataFrame({"linkage": [BEST, DRAWN, BOTH]})
    changed = found.select("rule", "policy").unique().join(series, how="cross")
    return (
        pl.concat([found, changed.with_columns(cause=pl.lit(CITIZENSHIP)).select(found.columns)])
        .sort("rule", "policy", "linkage", "cause")
        .with_row_index("code")
        .with_columns(pl.col("code").cast(pl.Int32) * (draws.settings.number + 1))
    )


def _draw_statuses(
    engine: Engine, draws: Draws, doubtful: tuple[Table, Table], statuses: Table, persons: Table
) -> Table:
    """The drawn statuses, and those of draw 0 from the first drawn day on: one that goes on then begins nothing.

    doubtful: who is in doubt, and the numbers of the draws. Of whom citizenship is drawn before any status is, statuses
    until then are those of draw 0 in every draw.
    """
    coded, every = doubtful
    same = "c.person_id = {0}.person_id AND c.rule = {0}.rule AND c.policy = {0}.policy"
    begun = """GREATEST(s.from_date, c.from_date) AS from_date, {to_date} AS to_date,
               CASE WHEN s.from_date >= c.from_date THEN s.status_before ELSE s.status END AS status_before,
               s.begins_at_birth AND s.from_date >= c.from_date AS begins_at_birth"""
    until = begun.format(to_date="LEAST(s.to_date, c.drawn_date)")
    return engine.step(
        "estimates_drawn_statuses",
        f"""
        SELECT {of_draw("r", "c", "r.draw")}, r.rule, c.code + r.draw AS policy,
               r.status, r.end_reason, r.from_date, COALESCE(r.to_date, DATE '9999-12-31') AS to_date,
               r.status_before,
               COALESCE(p.is_born_here AND p.birth_date = r.from_date AND r.status_before IS NULL, FALSE)
               AS begins_at_birth
        FROM residence_draws r
        JOIN coded c ON {same.format("r")} AND c.linkage = r.linkage
        JOIN persons p ON p.person_id = r.person_id
        WHERE r.draw BETWEEN 1 AND {draws.settings.number}
        UNION ALL
        SELECT s.person_id, s.rule, c.code AS policy, s.status, s.end_reason, {begun.format(to_date="s.to_date")}
        FROM statuses s
        JOIN coded c ON {same.format("s")}
        WHERE s.from_date >= c.from_date OR s.to_date > c.from_date
        UNION ALL
        SELECT {of_draw("s", "c", "n.draw")}, s.rule, c.code + n.draw, s.status,
               CASE WHEN s.to_date <= c.drawn_date THEN s.end_reason END, {until}
        FROM statuses s
        JOIN coded c ON {same.format("s")} AND c.from_date < c.drawn_date
        CROSS JOIN every n
        WHERE s.from_date < c.drawn_date AND s.to_date > c.from_date
        """,
        residence_draws=draws.residence_draws,
        coded=coded,
        every=every,
        persons=persons,
        statuses=statuses,
    )


def _draw_migrations(engine: Engine, draws: Draws, doubtful: tuple[Table, Table], migrations: Table) -> Table:
    """The drawn migrations, those of draw 0 that they replace, and crossings that no draw settles.

    A crossing that may become a migration is not settled by a draw in which the status is undetermined on its day.
    """
    coded, every = doubtful
    same = "c.person_id = m.person_id AND c.rule = m.rule AND c.policy = m.policy"
    columns = "m.counted_date, m.direction, {outcome} AS outcome, m.other_country, m.purpose"
    drawn = "c.code + {}.draw AS policy"
    within = f"BETWEEN 1 AND {draws.settings.number}"
    return engine.step(
        "estimates_drawn_migrations",
        f"""
        SELECT 0 AS draw, {of_draw("m", "c", "m.draw")}, m.rule, {drawn.format("m")},
               {columns.format(outcome="'migration'")}
        FROM migration_draws m
        JOIN coded c ON {same} AND c.linkage = m.linkage
        WHERE m.draw {within}
        UNION ALL
        SELECT 0 AS draw, m.person_id, m.rule, c.code AS policy,
               {columns.format(outcome="m.outcome")}
        FROM migrations m
        JOIN coded c ON {same}
        WHERE m.draw = 0 AND m.counted_date >= c.from_date
        UNION ALL
        SELECT 0 AS draw, {of_draw("m", "c", "n.draw")}, m.rule, {drawn.format("n")},
               {columns.format(outcome="m.outcome")}
        FROM migrations m
        JOIN coded c ON {same}
        CROSS JOIN every n
        WHERE m.draw = 0 AND m.counted_date >= c.from_date AND m.counted_date < c.drawn_date
        UNION ALL
        SELECT 0 AS draw, {of_draw("m", "c", "r.draw")}, m.rule, {drawn.format("r")},
               {columns.format(outcome="m.outcome")}
        FROM migrations m
        JOIN coded c ON {same}
        JOIN residence_draws r
          ON r.person_id = c.person_id AND r.rule = c.rule AND r.policy = c.policy AND r.linkage = c.linkage
         AND r.from_date <= m.counted_date AND m.counted_date <= COALESCE(r.to_date, DATE '9999-12-31')
        WHERE m.draw = 0 AND m.outcome = 'undetermined' AND m.counted_date >= c.drawn_date
          AND r.status = 'undetermined' AND r.draw {within}
        """,
        migration_draws=draws.migration_draws,
        coded=coded,
        every=every,
        migrations=migrations,
        residence_draws=draws.residence_draws,
    )


def _check_known(engine: Engine, draws: Draws, persons: Table) -> None:
    """Raise ResultError if histories are drawn of anybody who is not in doubt, or not in persons."""
    problems = engine.collect(
        """
        WITH drawn AS (
            SELECT person_id, rule, policy, linkage FROM residence_draws
            UNION ALL
            SELECT person_id, rule, policy, linkage FROM migration_draws
        )
        SELECT r.rule, r.policy, r.linkage, COUNT(DISTINCT r.person_id) AS n
        FROM drawn r
        LEFT JOIN doubts d
          ON d.person_id = r.person_id AND d.rule = r.rule AND d.policy = r.policy AND d.linkage = r.linkage
        LEFT JOIN persons p ON p.person_id = r.person_id
        WHERE d.person_id IS NULL OR p.person_id IS NULL
        GROUP BY r.rule, r.policy, r.linkage
        ORDER BY r.rule, r.policy, r.linkage
        """,
        residence_draws=draws.residence_draws,
        migration_draws=draws.migration_draws,
        doubts=draws.doubts,
        persons=persons,
    )
    if not problems.is_empty():
        found = "; ".join(
            f"rule {rule}, policy {policy}, linkage {linkage}: {n} persons"
            for rule, policy, linkage, n in problems.iter_rows()
        )
        raise ResultError(
            f"histories are drawn of persons who are not in doubts, or not in persons: {found}; nothing is published"
        )
