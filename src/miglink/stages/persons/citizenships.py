"""Draws of the day on which a foreigner became a citizen: records seldom say it, and those before and after bound it.

Whoever has a visa or a permit, or is stated to be a foreigner by a census, is none yet. A foreign passport shown at the
border says so less surely, for some go on showing it: how many do is seen of those who have shown the other one.
"""

import numpy as np
import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.persons.draws import Draws, uniform_sql

# Crossings with a foreign passport that the day may lie before, at most; and what is likeliest, in whole numbers.
_MOST_CROSSINGS, _WHOLE = 6, 10_000
# The share of citizens' crossings with a foreign passport, counted beside what is seen: as of so many crossings. How
# unlike citizens are in it: as if one crossing of each were known (the sum of a beta distribution's parameters).
# Assumed.
_PRIOR_SHARE, _PRIOR_CROSSINGS, _KNOWN = 0.1, 10.0, 1.0
# So many persons are counted beside those seen, as many in each year: assumed. And rounds in which shares are found.
_PRIOR_PERSONS, _ROUNDS = 10.0, 50
# Tells these random numbers from others of the same seed.
_SEED = 1976


def draw_citizenships(
    engine: Engine, person_records: Table, person_traits: Table, reporting_country: str, draws: Draws
) -> Table:
    """Give the table trait_draws: for each draw from 1 the day from which a naturalised person is a citizen.

    Reads: person_records, and person_traits: of those who became citizens after a record that says otherwise and is
        neither a register's nor a crossing. Who has but shown two passports may have had both from birth.
    The day lies after the last such record, and at the latest on that of the first record with a date that says
    citizen, or where there is none at the end of the registration or of records. Between these days are as likely as
    naturalisations are frequent in their year (in the draw: `_draw_years`), but for those before crossings with a
    foreign passport (`_weigh`).
    Units: days. Errors: none.
    Source: interval censoring (Turnbull 1976), with one distribution for all, for nothing else is known.
    """
    bounds = _find_bounds(engine, person_records, person_traits, f"'{reporting_country}'")
    steps = _find_steps(engine, bounds, person_records, reporting_country)
    masses = engine.collect(
        "SELECT person_id, year, CAST(sum(n_days * weight) AS BIGINT) AS mass FROM steps GROUP BY person_id, year",
        steps=steps,
    )
    uniform = uniform_sql("digest")
    return engine.query(
        "trait_draws",
        f"""WITH weighed AS (
            SELECT y.draw, s.person_id, s.day, s.weight * y.weight AS weight, s.n_days * s.weight * y.weight AS mass
            FROM steps s JOIN years y ON y.year = s.year),
        summed AS (
            SELECT *, CAST(sum(mass) OVER (PARTITION BY draw, person_id ORDER BY day) AS BIGINT) AS until_mass
            FROM weighed),
        hashed AS (
            SELECT draw, person_id, CAST(max(until_mass) AS BIGINT) AS all_mass,
                   sha256(concat('{draws.seed} citizenship ', CAST(draw AS VARCHAR), ' ', person_id)) AS digest
            FROM summed GROUP BY draw, person_id),
        drawn AS (
            SELECT draw, person_id, CAST(floor({uniform} * all_mass) AS BIGINT) AS at FROM hashed)
        SELECT d.draw, d.person_id, 'citizenship' AS trait,
               CAST(s.day + 1 + CAST(floor((d.at - (s.until_mass - s.mass)) * 1.0 / s.weight) AS INTEGER) AS DATE)
                   AS valid_from
        FROM drawn d JOIN summed s ON s.draw = d.draw AND s.person_id = d.person_id AND d.at < s.until_mass
             AND d.at >= s.until_mass - s.mass""",
        steps=steps,
        years=engine.frame("persons_naturalisation_years", _draw_years(masses, draws)),
    )


def _find_bounds(engine: Engine, person_records: Table, person_traits: Table, national: str) -> Table:
    """Who was naturalised: first_day, after which the day lies, and last_day, on which it does at the latest.

    is_shown: on that day the passport was shown at the border.
    """
    is_national = f"(coalesce(r.citizenship, '') = {national} OR coalesce(r.citizenship_2, '') = {national})"
    is_foreign = f"(r.citizenship IS NOT NULL AND r.citizenship <> 'XXX' AND NOT {is_national})"
    return engine.step(
        "persons_naturalised",
        f"""WITH own AS (
            SELECT r.person_id, r.kind, r.record_date, r.ended_date, {is_national} AS is_national,
                   {is_foreign} AS is_foreign
            FROM person_records r JOIN person_traits t ON t.person_id = r.person_id
            WHERE t.trait = 'citizenship' AND t.value = {national} AND t.valid_from > DATE '0001-01-01'),
        lasts AS (
            SELECT person_id,
                   coalesce(min(CASE WHEN is_national AND kind <> 'register' THEN record_date END),
                            max(coalesce(ended_date, CASE WHEN kind = 'register' THEN last_date END))) AS last_day,
                   min(CASE WHEN is_national AND kind = 'crossings' THEN record_date END) AS shown_day
            FROM own CROSS JOIN (SELECT max(record_date) AS last_date FROM person_records) AS l
            GROUP BY person_id)
        SELECT o.person_id, l.last_day, coalesce(l.shown_day = l.last_day, false) AS is_shown,
               max(o.record_date) AS first_day
        FROM own o JOIN lasts l ON l.person_id = o.person_id
        WHERE o.is_foreign AND o.kind NOT IN ('crossings', 'register') AND o.record_date < l.last_day
        GROUP BY o.person_id, l.last_day, l.shown_day""",
        person_records=person_records,
        person_traits=person_traits,
    )


def _find_steps(engine: Engine, bounds: Table, person_records: Table, reporting_country: str) -> Table:
    """The times between which a foreign passport is shown, and years begin: person_id, day, n_days after it, weight."""
    crossings = engine.step(
        "persons_passports",
        f"""SELECT DISTINCT b.person_id, b.first_day, b.last_day, b.is_shown, r.record_date AS day,
               r.citizenship <> '{reporting_country}' AND coalesce(r.citizenship_2, '') <> '{reporting_country}'
                   AS is_foreign
        FROM bounds b JOIN person_records r ON r.person_id = b.person_id
        WHERE r.kind = 'crossings' AND r.citizenship IS NOT NULL AND r.citizenship <> 'XXX'""",
        bounds=bounds,
        person_records=person_records,
    )
    (later,) = engine.collect(
        """SELECT count(*) AS n, count(CASE WHEN is_foreign THEN 1 END) AS n_foreign
        FROM crossings WHERE day > last_day""",
        crossings=crossings,
    ).iter_rows(named=True)
    share = (later["n_foreign"] + _PRIOR_SHARE * _PRIOR_CROSSINGS) / (later["n"] + _PRIOR_CROSSINGS)
    return engine.step(
        "persons_passport_steps",
        """WITH days AS (
            SELECT person_id, last_day, is_shown, first_day AS day FROM bounds
            UNION
            SELECT person_id, last_day, is_shown, day FROM crossings
            WHERE is_foreign AND day > first_day AND day < last_day),
        stepped AS (
            SELECT person_id, is_shown, day, lead(day, 1, last_day) OVER o AS next_day,
                   count(*) OVER (PARTITION BY person_id) - row_number() OVER o AS n_after
            FROM days WINDOW o AS (PARTITION BY person_id ORDER BY day)),
        weighed AS (
            SELECT s.person_id, s.day, s.next_day, w.weight
            FROM stepped s JOIN weights w ON w.n_after = s.n_after AND w.is_shown = s.is_shown WHERE w.weight > 0),
        parts AS (
            SELECT w.person_id, y.year, greatest(w.day, y.first_day) AS day, w.weight,
                   CAST(date_diff('day', greatest(w.day, y.first_day), least(w.next_day, y.last_day)) AS BIGINT)
                       AS n_days
            FROM weighed w JOIN years y ON w.day < y.last_day AND w.next_day > y.first_day)
        SELECT * FROM parts WHERE n_days > 0""",
        bounds=bounds,
        crossings=crossings,
        weights=engine.frame("persons_passport_weights", _weigh(share)),
        years=engine.frame("persons_passport_years", _list_years(engine, bounds)),
    )


def _list_years(engine: Engine, bounds: Table) -> pl.DataFrame:
    """The years in which days may lie: year, first_day, the last one before it, and last_day."""
    (found,) = engine.collect(
        "SELECT min(first_day) AS first_day, max(last_day) AS last_day FROM bounds", bounds=bounds
    ).iter_rows(named=True)
    first, last = found["first_day"], found["last_day"]
    years = pl.int_range(first.year, last.year + 1, eager=True) if first else pl.Series([], dtype=pl.Int64)
    return (
        years.alias("year")
        .to_frame()
        .with_columns(first_day=pl.date(pl.col("year") - 1, 12, 31), last_day=pl.date(pl.col("year"), 12, 31))
    )


def _draw_years(masses: pl.DataFrame, draws: Draws) -> pl.DataFrame:
    """How frequent naturalisations are in each year, in each draw: draw, year, weight in whole numbers, least 1.

    masses: person_id, year, mass: how likely the day of that person lies in the year were all years alike. What each is
    likely to add to the years tells how frequent they are, and that again what each adds (expectation, maximisation).
    Few persons whose days lie within years say little of it, which moves all their days together: the logarithms are
    drawn from the normal distribution that the information in the bounds gives them (Louis 1982, Finding the observed
    information matrix when using the EM algorithm).
    """
    rows = masses.sort("person_id", "year")
    years, of_year = np.unique(rows["year"].to_numpy(), return_inverse=True)
    if not len(years):
        return pl.DataFrame(schema={"draw": pl.Int32, "year": pl.Int64, "weight": pl.Int64})
    persons, person = np.unique(rows["person_id"].to_numpy(), return_inverse=True)
    mass = rows["mass"].to_numpy().astype(np.float64)
    prior = _PRIOR_PERSONS / len(years)
    share = np.full(len(years), 1 / len(years))
    for _ in range(_ROUNDS):
        likely = mass * share[of_year]
        likely /= np.bincount(person, likely)[person]
        counted = np.bincount(of_year, likely) + prior
        share = counted / counted.sum()
    added = np.zeros((len(persons), len(years)))
    added[person, of_year] = likely
    # Of shares that sum to one as many logarithms as there are years say one thing too many: all moved alike.
    told = (
        added.T @ added + np.diag(np.full(len(years), prior)) - np.outer(counted, counted) / counted.sum() + 1
    )
    rng = np.random.default_rng([draws.seed, _SEED])
    moves = np.linalg.solve(np.linalg.cholesky(told).T, rng.normal(size=(len(years), draws.number)))
    drawn = np.log(share)[:, None] + moves
    weight = np.maximum(np.round(np.exp(drawn - drawn.max(axis=0)) * _WHOLE), 1).astype(np.int64)
    return pl.DataFrame(
        {
            "draw": np.repeat(np.arange(1, draws.number + 1, dtype=np.int32), len(years)),
            "year": np.tile(years.astype(np.int64), draws.number),
            "weight": weight.T.ravel(),
        }
    )


def _weigh(share: float) -> pl.DataFrame:
    """How likely citizens are to cross so often with a foreign passport, and then (is_shown) with their own.

    share: of the crossings of citizens with a foreign one. Some always show one and some never: of each the share is
    drawn from a beta distribution.
    Gives: n_after, is_shown, weight, relative to no such crossing.
    """
    likely, rows = 1.0, []
    for n in range(_MOST_CROSSINGS + 1):
        rows += [(n, False, likely), (n, True, likely * _KNOWN / (_KNOWN + n))]
        likely *= (share * _KNOWN + n) / (_KNOWN + n)
    found = pl.DataFrame(
        rows, schema={"n_after": pl.Int64, "is_shown": pl.Boolean, "p": pl.Float64}, orient="row"
    )
    return found.select("n_after", "is_shown", weight=(pl.col("p") * _WHOLE).round().cast(pl.Int64))
