"""The forward-window rule (12 of 16 months) as an analyst would write it in pandas, and with care in polars.

Both expect what an analyst expects: every crossing recorded, directions that alternate, and a status before the first
crossing that its direction tells. They know no missing crossing, no unknown start and no final date, and leave what the
end of the data leaves open as null. Where these expectations hold, they must agree with miglink (tests/test_peers.py).
Input: person_id, crossed_date, direction, in any order. Output: the same rows sorted by person and date, is_migration.
"""

from datetime import date

import pandas as pd
import polars as pl

_WINDOW, _THRESHOLD = 487, 365


def in_pandas(crossings: pd.DataFrame, observed_to: date) -> pd.DataFrame:
    """A loop over the crossings of each person, each of which looks forward over those that follow."""
    ordered = crossings.sort_values(["person_id", "crossed_date"], kind="stable").reset_index(drop=True)
    day = pd.to_datetime(ordered["crossed_date"]).to_numpy().astype("datetime64[D]").astype(int)
    end = (observed_to - date(1970, 1, 1)).days
    is_arrival = (ordered["direction"] == "arrival").to_numpy()
    found: list[bool | None] = [None] * len(ordered)
    for rows in ordered.groupby("person_id", sort=False).indices.values():
        is_resident: bool | None = not is_arrival[rows[0]]
        for position, row in enumerate(rows):
            to_resident = bool(is_arrival[row])
            if is_resident is None:
                continue
            if to_resident == is_resident:
                found[row] = False
                continue
            until = min(day[row] + _WINDOW, end)
            in_new, at, state = 0, day[row], to_resident
            for later in rows[position + 1 :]:
                if day[later] >= until:
                    break
                in_new += (day[later] - at) * (state == to_resident)
                at, state = day[later], bool(is_arrival[later])
            in_new += (until - at) * (state == to_resident)
            in_old = until - day[row] - in_new
            if in_new >= _THRESHOLD:
                found[row], is_resident = True, to_resident
            elif in_old > _WINDOW - _THRESHOLD:
                found[row] = False
            else:
                is_resident = None
    return ordered.assign(is_migration=pd.Series(found, dtype="boolean"))


def in_polars(crossings: pl.DataFrame, observed_to: date) -> pl.DataFrame:
    """Days present as a running sum, looked up at the end of each window; the last crossing that settles carries on."""
    ordered = crossings.sort("person_id", "crossed_date", maintain_order=True).with_columns(
        day=pl.col("crossed_date").cast(pl.Int32), is_arrival=pl.col("direction") == "arrival"
    )
    before = (pl.col("day") - pl.col("day").shift(1)) * pl.col("is_arrival").shift(1)
    ordered = ordered.with_columns(present=before.fill_null(0).cum_sum().over("person_id"))
    end = (observed_to - date(1970, 1, 1)).days
    asked = ordered.select(
        "person_id", row=pl.int_range(pl.len()), until=pl.min_horizontal(pl.col("day") + _WINDOW, end)
    ).sort("until")
    steps = ordered.select("person_id", "day", at="day", sum="present", inside="is_arrival").sort(
        "day", maintain_order=True
    )
    looked_up = (
        asked.join_asof(
            steps,
            left_on="until",
            right_on="day",
            by="person_id",
            strategy="backward",
            check_sortedness=False,
        )
        .with_columns(present_then=pl.col("sum") + (pl.col("until") - pl.col("at")) * pl.col("inside"))
        .sort("row")
    )
    present = looked_up["present_then"] - ordered["present"]
    days = looked_up["until"] - ordered["day"]
    ordered = ordered.with_columns(
        in_new=pl.when("is_arrival").then(present).otherwise(days - present), n_days=days
    )
    is_long = pl.col("in_new") >= _THRESHOLD
    is_short = pl.col("n_days") - pl.col("in_new") > _WINDOW - _THRESHOLD
    ordered = ordered.with_columns(is_long=is_long, is_short=is_short)
    first = ~pl.col("is_arrival").first()
    settled = pl.when("is_long").then("is_arrival").otherwise(None)
    after = settled.forward_fill().over("person_id").fill_null(first.over("person_id"))
    ordered = ordered.with_columns(after=after)
    was = pl.col("after").shift(1).over("person_id").fill_null(first.over("person_id"))
    fits = pl.col("is_arrival") != was
    found = pl.when(~fits).then(False).when("is_long").then(True).when("is_short").then(False)
    ordered = ordered.with_columns(
        is_migration=found, is_open=fits & ~pl.col("is_long") & ~pl.col("is_short")
    )
    # After an open crossing nothing is known of this person.
    opened = pl.col("is_open").cum_max().over("person_id")
    return ordered.with_columns(is_migration=pl.when(opened).then(None).otherwise("is_migration")).select(
        *crossings.columns, "is_migration"
    )
