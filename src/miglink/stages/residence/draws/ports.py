"""How often a crossing is missed at a port, and whether the other crossing of a journey is.

A journey has two crossings: who ever stood in a list lives here, and leaves and comes back; who never did comes and
leaves again. The way back is mostly the way here. So what a crossing says of another is said by the port of the other
one of its journey; the port at which a resident came home says nothing of where the next journey begins.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from miglink.engine import Engine, Table
from miglink.stages.residence.draws.shrinkage import Numbers

# Groups of ports, from 1 on; 0: the crossing is not the other one of the journey.
_GROUPS = 3
# A port's rate counts so many crossings at the rate of all beside its own.
_PRIOR_CROSSINGS = 10.0
# Where hardly any crossing is on record between two others, no port is taken to miss more than this share.
_MOST_MISSED = 0.9
# Steps in which missed crossings are shared out among ports; rates change by less than a thousandth long before.
_STEPS = 50
# Odds are added up as whole numbers, which are the same in any order.
FRACTIONS = 1_000_000_000
_OWN = ("is_arrival", "is_listed")


def rate_ports(engine: Engine, crossings: Table) -> pl.DataFrame:
    """How often crossings are missed at each port, by direction, and whether the person is ever listed.

    Reads: crossings (`find_crossings`).
    Gives: is_arrival, is_listed, port; port_group: by how often the other crossing of the journey is missing; odds:
        that a crossing of this direction is missed there, in billionths; error: what all odds of a direction, of those
        ever listed or never, have in common, relative to them: that of the number of missing crossings they rest on.
    Source: capture and recapture of events (Seber 1982); the port of a missed crossing is shared out as journeys on
        record with the same other port have it, the likelier the more are missed there (EM: Dempster, Laird and Rubin
        1977).

    Only crossings between two of the other direction, on record or missing: at the beginning and the end of a record,
    and where the next one is missing too, nothing would show that one is missing.
    """
    journeys = engine.collect(
        """
        WITH own AS (
            SELECT is_arrival, is_listed, port, is_arrival_1, is_arrival_2,
                   LEAD(port, 1) OVER h AS port_1, LEAD(port, 2) OVER h AS port_2
            FROM crossings WINDOW h AS (PARTITION BY person_key ORDER BY position)
        ), journeys AS (
            -- The other crossing comes before the one that may be missing; or after it.
            SELECT NOT is_arrival AS is_arrival, is_listed, port AS partner, CAST(NULL AS VARCHAR) AS port
            FROM own WHERE is_arrival_1 = is_arrival AND is_listed <> is_arrival
            UNION ALL
            SELECT NOT is_arrival, is_listed, port_1, CAST(NULL AS VARCHAR)
            FROM own WHERE is_arrival_1 = is_arrival AND is_listed = is_arrival
            UNION ALL
            SELECT is_arrival_1, is_listed, CASE WHEN is_listed <> is_arrival THEN port ELSE port_2 END, port_1
            FROM own WHERE is_arrival_1 <> is_arrival AND is_arrival_2 = is_arrival
        )
        SELECT is_arrival, is_listed, partner, port, CAST(COUNT(*) AS DOUBLE) AS n
        FROM journeys GROUP BY is_arrival, is_listed, partner, port
        """,
        crossings=crossings,
    )
    known = engine.collect("SELECT DISTINCT is_arrival, is_listed, port FROM crossings", crossings=crossings)
    parts = journeys.sort(*_OWN, "partner", "port").partition_by(_OWN, maintain_order=True)
    missing = pl.col("n").filter(pl.col("port").is_null()).sum()
    errors = journeys.group_by(_OWN).agg(error=1 / (missing + 0.5).sqrt())
    empty = known.clear()
    odds = pl.concat([empty.with_columns(odds=pl.lit(0, pl.Int64)), *(_rate(part, known) for part in parts)])
    groups = pl.concat([empty.with_columns(port_group=pl.lit(0, pl.Int32)), *map(_group, parts)])
    return (
        known.join(groups, on=[*_OWN, "port"], how="left")
        .join(odds, on=[*_OWN, "port"], how="left")
        .join(errors, on=_OWN, how="left")
        .with_columns(pl.col("port_group", "odds").fill_null(0), pl.col("error").fill_null(1.0))
        .sort(*_OWN, "port")
    )


def rate_crossings(engine: Engine, name: str, crossings: Table, ports: pl.DataFrame) -> Table:
    """The crossings with port_group and odds, and those of the four that follow: port_group_1, odds_1 and so on."""
    follows = ", ".join(
        f"LEAD({column}, {step}) OVER h AS {column}_{step}"
        for step in (1, 2, 3, 4)
        for column in ("port_group", "odds")
    )
    return engine.step(
        name,
        f"""
        WITH rated AS (
            SELECT c.*, COALESCE(p.port_group, 0) AS port_group, COALESCE(p.odds, 0) AS odds
            FROM crossings c
            LEFT JOIN ports p ON p.is_arrival = c.is_arrival AND p.is_listed = c.is_listed AND p.port = c.port
        )
        SELECT *, {follows} FROM rated WINDOW h AS (PARTITION BY person_key ORDER BY position)
        """,
        crossings=crossings,
        ports=engine.frame(f"{name}_ports", ports),
    )


def partner_group(crossing: str = "", *, is_before: bool) -> str:
    """SQL for the group of a port if it is that of the other crossing of the journey that may hide one, else 0.

    crossing: the suffix of its columns; is_before: it comes before what may be hidden.
    """
    compared = "<>" if is_before else "="
    return f"CASE WHEN is_listed {compared} is_arrival{crossing} THEN port_group{crossing} ELSE 0 END"


def _rate(journeys: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """The odds that a crossing is missed at each port, of one direction, and of those ever listed or never.

    journeys: partner, port (null: missing), n.
    """
    own = journeys.select(_OWN).unique()
    seen = journeys.filter(pl.col("port").is_not_null()).sort("partner", "port")
    missing = journeys.filter(pl.col("port").is_null()).sort("partner")
    ports = known.join(own, on=_OWN, how="semi").select("port").sort("port")
    partners = journeys.select("partner").unique().sort("partner")
    n_ports, n_partners = ports.height, partners.height
    at = np.asarray(ports["port"].search_sorted(seen["port"]))
    of = partners["partner"].search_sorted(seen["partner"]).to_numpy()
    n = seen["n"].to_numpy()
    missed = np.zeros(n_partners)
    missed[partners["partner"].search_sorted(missing["partner"]).to_numpy()] = missing["n"].to_numpy()
    mean = float(missed.sum() / (missed.sum() + n.sum()))
    total: Numbers = np.bincount(at, n, n_ports).astype(np.float64)
    rate = np.full(n_ports, min(mean, _MOST_MISSED))
    for _ in range(_STEPS):
        rate = _share_out(missed, (n, at, of), total, rate, mean)
    rounded = np.round(rate / (1 - rate) * FRACTIONS).astype(np.int64)
    return ports.join(own, how="cross").select(*_OWN, "port").with_columns(odds=pl.Series(rounded))


def _share_out(
    missed: Numbers,
    seen: tuple[Numbers, npt.NDArray[Any], npt.NDArray[Any]],
    total: Numbers,
    rate: Numbers,
    mean: float,
) -> Numbers:
    """The rates that follow when missed crossings are shared out among ports by those of the step before."""
    n, at, of = seen
    odds = rate / (1 - rate)
    likely = n * odds[at]
    of_partner = np.bincount(of, likely, len(missed))
    is_known = of_partner > 0
    shares = np.divide(missed, of_partner, out=np.zeros_like(missed), where=is_known)
    shared = np.bincount(at, likely * shares[of], len(rate))
    # Where no journey with that other port is on record: as all journeys.
    overall = total * odds
    if overall.sum() > 0:
        shared += missed[~is_known].sum() * overall / overall.sum()
    found = (shared + _PRIOR_CROSSINGS * mean) / (shared + total + _PRIOR_CROSSINGS)
    return np.asarray(np.minimum(found, _MOST_MISSED), dtype=np.float64)


def _group(journeys: pl.DataFrame) -> pl.DataFrame:
    """The ports in groups by how often the other crossing of the journey is missing, as large as each other."""
    counts = journeys.group_by(*_OWN, "partner").agg(
        n=pl.col("n").sum(), missing=pl.col("n").filter(pl.col("port").is_null()).sum()
    )
    mean = pl.col("missing").sum() / pl.col("n").sum()
    rate = (pl.col("missing") + _PRIOR_CROSSINGS * mean) / (pl.col("n") + _PRIOR_CROSSINGS)
    place = (pl.col("n").cum_sum() - pl.col("n") / 2) / pl.col("n").sum()
    return (
        counts.with_columns(rate=rate)
        .sort("rate", "partner")
        .select(
            # The other crossing has the other direction.
            ~pl.col("is_arrival"),
            "is_listed",
            port="partner",
            port_group=1 + (place * _GROUPS).floor().clip(0, _GROUPS - 1).cast(pl.Int32),
        )
    )
