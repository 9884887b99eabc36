"""Published tables as a report gets them: two policies, four years of which the last is provisional."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from given_tables import TYPES
from miglink.stages.publish.report import About
from miglink.tables import TABLES
from miglink.tables.contract import DIMENSIONS

Rows = list[dict[str, Any]]
END = date(2020, 1, 1)
YEARS = ("2016", "2017", "2018", "2019")
POLICIES = ("unresolved", "midpoint")
NASTY = "<script>alert(1)</script>"
# More than a chart has room for; XXA has no name among the countries of ISO 3166.
COUNTRIES = (
    *("AUS", "BRA", "CHN", "DEU", "EGY", "FRA", "GBR", "HRV", "IND", "JPN"),
    *("KEN", "LVA", "MEX", "NOR", "OMN", "PER", "QVR", "XXA"),
)
ABOUT = About(
    "national",
    "NZL",
    END,
    {"nz_12_16": "12 of 16 months"},
    POLICIES,
    ("border", "register"),
    protection="Counts are rounded to base 3.",
    configuration="name: national\n",
    miglink="0.1",
)


def frames(tables: Mapping[str, Rows]) -> dict[str, pl.LazyFrame]:
    """Tables of rows, whose cells are the total in every dimension that they do not name."""
    made = {}
    for name, rows in tables.items():
        columns = TABLES[name].columns
        rest = {
            c.name: "total" if c.name in DIMENSIONS else {"BIGINT": 0, "DATE": END}.get(c.type)
            for c in columns
        }
        made[name] = pl.LazyFrame(
            [rest | row for row in rows],
            schema={column.name: TYPES[column.type] for column in columns},
            orient="row",
        )
    return made


def flow(policy: str, period: str, figures: tuple[int, int], **cell: str) -> Rows:
    """Immigration and emigration of a cell with what is undetermined of each, and the net of both."""
    is_final = period < "2019"
    undetermined = 5 if is_final else 400
    stratum = {"rule": "nz_12_16", "policy": policy, "period": period, "data_to_date": END}
    counted = (*figures, figures[0] - figures[1])
    return [
        stratum
        | cell
        | {"flow": name, "n_settled": n, "status": "final" if is_final else "provisional"}
        | {"n_undetermined": undetermined * (2 if name == "net" else 1)}
        for name, n in zip(("immigration", "emigration", "net"), counted, strict=True)
    ]


def flows(policies: Sequence[str] = POLICIES) -> Iterator[dict[str, Any]]:
    for policy in policies:
        for year in YEARS:
            yield from flow(policy, year, (1234 + int(year), 1000))
            for month in range(1, 13):
                yield from flow(policy, f"{year}-{month:02}", (100 + month, 90))
            for n, country in enumerate(COUNTRIES):
                yield from flow(policy, year, (n + 1, 2), citizenship=country)
            yield from flow(policy, year, (40, 30), purpose=NASTY)
            for sex in ("female", "male"):
                yield from flow(policy, year, (600, 500), sex=sex)
                for age in ("0-4", "5-9", "100+", "unknown"):
                    yield from flow(policy, year, (len(age), 3), sex=sex, age_group=age)


def stocks() -> Iterator[dict[str, Any]]:
    for policy in POLICIES:
        for year in (*YEARS, "2020"):
            status = "provisional" if year > "2019" else "final"
            stock = {"rule": "nz_12_16", "policy": policy, "period": f"{year}-01-01", "data_to_date": END}
            stock |= {"coverage": "population", "status": status, "n_undetermined": 11}
            yield stock | {"n_settled": 45678 + int(year)}
            yield stock | {"n_settled": 45000, "birth_group": "native"}


def quality() -> Rows:
    measured = [
        ("ingest", "rows_read", "border", 10.0),
        ("ingest", "rows_accepted", "border", 9.0),
        ("ingest", "rows_rejected", "border", 1.0),
        ("ingest", "rows_read", "all", 10.0),
        ("ingest", "rows_rejected_because", "border: crossed_date_unreadable", 1.0),
        ("linkage", "links_by_weight", "weight from -4", 3.0),
        ("linkage", "links_by_weight", "weight from 12", 70.0),
        ("linkage", "links_accepted_by_weight", "weight from -4", 0.0),
        ("linkage", "links_accepted_by_weight", "weight from 12", 70.0),
        ("linkage", "held_out_gap", "all", 0.01),
        ("linkage", "held_out_pairs", "p from 0.9", 40.0),
        ("linkage", "held_out_expected_share", "p from 0.9", 0.95),
        ("linkage", "held_out_observed_share", "p from 0.9", 0.9),
        ("linkage", "clerical_precision", "all", 0.99),
        ("linkage", "clerical_decided", "all", 200.0),
        ("persons", "persons", "all", 5000.0),
        ("persons", "persons_by_records", "1", 12.0),
        ("spells", "spells", "absent", 4.0),
        ("spells", "persons_unresolved_share", "all", 0.04),
    ]
    for item in ("all", "national", "border|register"):
        for name in ("false_link_rate", "missed_link_rate"):
            for end, value in (("", 0.001), ("_low", 0.0), ("_high", 0.004)):
                measured.append(("linkage", name + end, item, value))
    return [dict(zip(("stage", "measure", "item", "value"), row, strict=True)) for row in measured]


def published() -> dict[str, pl.LazyFrame]:
    """All tables of outputs/."""
    stratum = {"rule": "nz_12_16", "policy": "unresolved", "data_to_date": END}
    account = {"opening": 47694, "closing": 47695, "immigration": 3, "deaths": 2, "status": "final"}
    other = {"other_rule": "nz_12_16", "other_policy": "midpoint", "status": "final"}
    return frames(
        {
            "flows": list(flows()),
            "stocks": list(stocks()),
            "accounts": [stratum | account | {"period": year} for year in YEARS],
            "flow_differences": [
                stratum | other | {"period": "2018", "flow": "immigration", "other_outcome": outcome, "n": n}
                for outcome, n in (("counted", 900), ("kept_status", 77))
            ],
            "stock_differences": [],
            "person_time": [
                stratum | {"period": "2018", "status": "resident", "basis": basis, "person_days": n}
                for basis, n in (("register", 900), ("crossing", 100))
            ],
            "expired_stays": [
                {"period": "2018", "kind": "visas", "purpose": "work", "outcome": "left_late", "n": 6}
            ],
            "mobility": [
                stratum
                | {"period": "2018", "measure": "stays", "duration": "1-29", "purpose": "work"}
                | {"citizenship_group": "eu", "n_settled": 8, "status": "final"}
            ],
            "quality": quality(),
        }
    )
