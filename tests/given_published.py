"""A little run that is published, table by table."""

from datetime import date, datetime
from typing import Any

from given_tables import make_table
from miglink.engine import Engine, Table
from miglink.tables import TABLES
from miglink.tables.contract import DIMENSIONS

Rows = list[dict[str, Any]]
END = date(2020, 1, 1)
STRATUM = {"rule": "nz_12_16", "policy": "unresolved"}
OTHER = {"other_rule": "nz_12_16", "other_policy": "midpoint"}
TOTAL = dict.fromkeys(DIMENSIONS, "total")
HISTORY = STRATUM | {"draw": 0, "person_id": "a"}


def flows(year: str, status: str, **n_settled: int) -> Rows:
    vintage = {"data_to_date": END, "status": status, "n_undetermined": 7 if status == "provisional" else 0}
    return [
        STRATUM | TOTAL | vintage | {"period": year, "flow": name, "n_settled": n}
        for name, n in n_settled.items()
    ]


def accounts(**cell: str) -> dict[str, Any]:
    terms = ("immigration", "emigration", "births", "deaths", "moves", "net_undetermined", "discrepancy")
    stocks = {"opening": 1234567, "closing": 1234568, "births": 1}
    vintage = {"data_to_date": END, "status": "final"}
    return STRATUM | TOTAL | dict.fromkeys(terms, 0) | {"period": "2018"} | stocks | vintage | cell


def little_run() -> dict[str, Rows]:
    """One person with two crossings, a double scan and a registration, and tables of two years."""
    record = {"source": "border", "kind": "crossings", "is_repeat": False, "purpose": "work", "port": "AKL"}
    names = {"surname": "SECRET", "document_number": "X123", "birth_date": date(1980, 5, 17)}
    first = (
        record
        | names
        | {"record_date": date(2019, 3, 1)}
        | {"crossed_date": date(2019, 3, 1), "crossed_at": datetime(2019, 3, 1, 9)}
    )
    stock = STRATUM | TOTAL | {"coverage": "travellers_only", "n_undetermined": 0, "data_to_date": END}
    return {
        "stocks": [
            stock | {"period": "2018-01-01", "n_settled": 1234567, "n": 1234567.0, "status": "final"},
            stock
            | {"period": "2019-01-01", "n_settled": 1234568, "n_undetermined": 9, "status": "provisional"},
        ],
        "flows": flows("2018", "final", immigration=2000, emigration=3500, net=-1500)
        + flows("2019", "provisional", immigration=10, emigration=4, net=6)
        + flows("2018-02", "final", immigration=88888, emigration=0, net=88888)
        + flows("2018-Q1", "final", immigration=77777, emigration=0, net=77777)
        + [row | {"age_group": "0-4"} for row in flows("2018", "final", immigration=66666, net=66666)],
        "accounts": [
            accounts(),
            accounts(sex="female"),
            accounts(citizenship_group="candidate"),
            accounts(birth_country="NOR"),
        ],
        "stock_differences": [
            STRATUM
            | OTHER
            | {
                "period": "2018-01-01",
                "basis": "register",
                "other_status": "resident",
                "other_basis": "permit",
            }
            | {"n": 1234567, "data_to_date": END, "status": "final"}
        ],
        "flow_differences": [
            STRATUM
            | OTHER
            | {"period": "2018", "flow": "immigration", "other_outcome": "counted"}
            | {"n": 2000, "data_to_date": END, "status": "final"}
        ],
        "person_time": [
            STRATUM
            | {"period": "2018", "status": "resident", "basis": "register", "person_days": 365}
            | {"least_present_days": 1, "most_present_days": 2, "unseen_days": 3, "data_to_date": END}
        ],
        "mobility": [
            STRATUM
            | {"period": "2018", "measure": "stays", "duration": "1-29", "purpose": "work"}
            | {"citizenship_group": "other", "n_settled": 1, "n_undetermined": 2}
            | {"data_to_date": END, "status": "final"}
        ],
        "list_status": [
            STRATUM
            | {"source": "census", "period": "2019-01-01", "migratory_status": "resident"}
            | {"reason": "none", "n": 1, "weight": 2.5, "data_to_date": END, "status": "final"}
        ],
        "listed_people": [
            STRATUM
            | {"source": "census", "record_id": "C-0017", "person_id": "a", "record_number": 1}
            | {"reference_date": date(2019, 1, 1), "weight": 2.5, "residence_status": "resident"}
            | {"is_final": True, "migratory_status": "foreign_born_citizen", "birth_group": "foreign"}
            | {"citizenship_group": "national", "is_foreign_born": True, "is_foreign_citizen": False}
        ],
        "expired_stays": [
            {"period": "2018", "kind": "visas", "purpose": "work", "outcome": "left_late"}
            | {"n": 1, "data_to_date": END}
        ],
        "shells": [
            {"shell": "migr_imm1ctz", "title": "t", "publisher": "p", "reference": "r", "looked_up_date": END}
            | {"is_verified": False, "rules": "nz_12_16", "is_produced": True}
        ],
        "shell_cells": [
            STRATUM
            | TOTAL
            | {"measure": "immigration", "period": "2018", "first_date": date(2018, 1, 1), "n_settled": 3}
            | {"n_undetermined": 1, "data_to_date": END, "status": "provisional"}
            | cell
            for cell in (
                {},
                {"sex": "male", "citizenship": "DEU", "age_group": "20-24"},
                {"sex": "male", "citizenship": "DEU", "age_reached": "25"},
            )
        ],
        "quality": [{"stage": "persons", "measure": "persons", "item": "all", "value": 1.0}],
        "cell_keys": [],
        "persons": [
            {
                "person_id": "a",
                "sex": "female",
                "birth_date": date(1980, 5, 17),
                "birth_country": "FJI",
                "death_date": date(2019, 12, 30),
                "mother_person_id": "m",
                "is_born_here": False,
                "n_identities": 2,
                "n_records": 4,
                "is_doubtful": True,
                "id_since_date": END,
            }
        ],
        "person_traits": [
            {
                "person_id": "a",
                "trait": trait,
                "value": value,
                "valid_from": start,
                "valid_to": end,
                "source": "s",
            }
            for trait, value, start, end in (
                ("citizenship", "AUS", date(1, 1, 1), date(2019, 12, 31)),
                ("citizenship", "NZL", date(2019, 12, 31), END),
                ("citizenship", "FRA", END, None),
                ("surname_ascii", "SECRET", date(1, 1, 1), None),
                ("region", "south", date(1, 1, 1), date(1980, 5, 17)),
                ("region", "north", date(1980, 5, 17), None),
            )
        ],
        "residence": [HISTORY | {"from_date": date(2018, 12, 31), "status": "resident", "basis": "register"}],
        "migrations": [
            HISTORY
            | {
                "event_date": date(2019, 3, 1),
                "counted_date": date(2019, 3, 1),
                "sequence": 2,
                "direction": "emigration",
                "outcome": "undetermined",
            }
            | {"is_implied": False}
        ],
        "spells": [
            {"draw": 0, "person_id": "a", "start_date": date(2019, 3, 1), "sequence": 2, "state": "absent"}
            | {"start_direction": "departure", "start_basis": "crossing", "end_basis": "observation_end"}
            | {"start_source": "border", "start_record_id": "17"}
        ],
        "records": [
            first | {"record_id": "17", "direction": "arrival"},
            first | {"record_id": "18", "direction": "arrival", "is_repeat": True},
            first | {"record_id": "19", "direction": "departure", "crossed_at": datetime(2019, 3, 1, 7)},
            names
            | {"source": "register", "record_id": "1", "kind": "register", "is_repeat": False}
            | {"record_date": date(2018, 7, 1)},
        ],
        "record_persons": [
            {"source": source, "record_id": record_id, "person_id": "a"}
            for source, record_id in (("border", "17"), ("border", "18"), ("border", "19"), ("register", "1"))
        ],
    }


def make_whole(engine: Engine, name: str, rows: Rows) -> Table:
    """Make a table whose cells are the total in every dimension that the rows do not name."""
    rest = {c.name: "total" for c in TABLES[name].columns if c.type == "VARCHAR" and not c.nullable}
    is_of_cells = name in ("stocks", "flows", "accounts", "shell_cells", "cell_keys")
    return make_table(engine, name, [rest | row for row in rows] if is_of_cells else rows)
