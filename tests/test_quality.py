"""Stage 8: measures of a little run whose numbers are known by hand, and rows that must not vanish."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from given_tables import name_table
from miglink.config.stages import Period
from miglink.config.windows import whole
from miglink.engine import Engine
from miglink.errors import ResultError
from miglink.stages.quality import measure
from miglink.stages.quality.register_coverage import measure_register
from miglink.stages.quality.weights import measure_weights

Rows = list[dict[str, Any]]
WINDOWS = whole(Period.model_validate({"from": date(2018, 1, 1), "to": date(2019, 1, 10)}))
MONTHS = (date(2019, 2, 1), date(2019, 3, 1))
STRATUM = {"draw": 0, "rule": "nz_12_16", "policy": "unresolved"}


def spell(person: str, start: date, end: date | None, state: str, sequence: int = 1) -> dict[str, Any]:
    return {
        "draw": 0,
        "person_id": person,
        "start_date": start,
        "end_date": end,
        "sequence": sequence,
        "state": state,
        "start_direction": "none",
        "start_basis": "observation_start",
        "end_basis": "crossing",
    }


def status(person: str, start: date, end: date | None, word: str, basis: str) -> dict[str, Any]:
    return STRATUM | {"person_id": person, "from_date": start, "to_date": end, "status": word, "basis": basis}


def person(name: str, n_records: int, is_doubtful: bool) -> dict[str, Any]:
    facts = {"is_born_here": False, "n_identities": 1, "id_since_date": date(2019, 1, 1)}
    return facts | {"person_id": name, "n_records": n_records, "is_doubtful": is_doubtful}


def little_run() -> dict[str, Rows]:
    """Four records and a judgement of two persons, ten days observed: 1 to 10 January 2019."""
    keys = [("border", "1"), ("border", "2"), ("border", "3"), ("register", "1")]
    records = [{"source": source, "record_id": record} for source, record in keys]
    rejected = [
        ("border", 4, "crossed_date_unreadable"),
        ("border", 4, "direction_unknown"),
        ("register", 9, "empty"),
    ]
    accounts = [("border", 4, 3, 1, 1, 1), ("clerks", 1, 1, 0, 0, 0), ("register", 2, 1, 1, 0, 0)]
    counted = ("source", "n_read", "n_accepted", "n_rejected", "n_repeats", "n_trailers")
    pair = {
        "source_l": "border",
        "record_id_l": "1",
        "source_r": "border",
        "record_id_r": "2",
        "verdict": "match",
    }
    migration = STRATUM | {
        "person_id": "a",
        "event_date": date(2019, 1, 5),
        "counted_date": date(2019, 1, 5),
        "direction": "emigration",
    }
    return {
        "records": [row | {"kind": "crossings", "is_repeat": False} for row in records],
        "rejected": [
            {"source": s, "file": "f.csv", "row_number": n, "reason": why} for s, n, why in rejected
        ],
        "row_accounts": [dict(zip(counted, row, strict=True)) | {"n_files": 1} for row in accounts],
        "judgements": [pair],
        "identities": [{"identity_id": name, "n_records": 2} for name in ("i", "j")],
        "record_identities": [row | {"identity_id": "i"} for row in records],
        "identity_persons": [{"identity_id": "i", "person_id": "a"}, {"identity_id": "j", "person_id": "b"}],
        "record_persons": [row | {"person_id": "a"} for row in records],
        "links": [
            {
                "identity_id_l": "i",
                "identity_id_r": "j",
                "blocking_rule": "birth_date",
                "match_weight": -3.0,
                "p_match": 0.2,
                "p_calibrated": 0.2,
            }
        ],
        "persons": [person("a", 3, True), person("b", 1, False)],
        "person_traits": [
            {
                "person_id": name,
                "trait": "citizenship",
                "valid_from": date(1, 1, 1),
                "value": value,
                "source": "border",
            }
            for name, value in (("a", "NZL"), ("b", "XXX"))
        ],
        "conflicts": [
            {"person_id": "a", "kind": "dead_twice", "detail_l": "x", "detail_r": "y", "winner": "x"}
        ],
        "spells": [
            spell("a", date(2019, 1, 1), date(2019, 1, 6), "present"),
            spell("a", date(2019, 1, 6), None, "unresolved", 2),
            spell("b", date(2019, 1, 1), date(2019, 1, 11), "absent"),
            spell("c", date(2019, 1, 1), None, "absent"),
            spell("b", date(2019, 1, 1), None, "unresolved") | {"draw": 1},
        ],
        "contradictions": [
            {
                "draw": 0,
                "person_id": person,
                "sequence": 1,
                "loser": loser,
                "loser_says": "away",
                "winner": "register",
                "since_date": date(2019, 1, 3),
                "loser_source": "s",
                "loser_record_id": "1",
                "winner_source": "s",
                "winner_record_id": "2",
            }
            for person, loser in (("a", "permit"), ("a", "visa"), ("b", "permit"))
        ],
        "left_out": [{"reason": "repeat"}, {"reason": "after_death"}, {"reason": "repeat"}],
        "open_ends": [{"measure": "open_ends_remaining_share", "item": "all", "value": 0.5}],
        "residence": [
            status("a", date(2018, 12, 31), date(2019, 1, 5), "resident", "register"),
            status("a", date(2019, 1, 5), None, "undetermined", "crossing"),
            status("b", date(2018, 12, 31), date(2019, 1, 4), "undetermined", "none"),
            # A death may be known beyond the last observed day.
            status("b", date(2019, 1, 4), date(2019, 3, 1), "non_resident", "crossing"),
        ],
        "migrations": [
            migration | {"sequence": 1, "outcome": "undetermined", "is_implied": True},
            migration | {"sequence": 2, "outcome": "undetermined", "is_implied": False},
            migration | {"sequence": 1, "outcome": "migration", "is_implied": False, "draw": 1},
        ],
        "back_tests": [
            {
                "rule": "nz_12_16",
                "policy": "midpoint",
                "cut_date": date(year, 1, 1),
                "direction": direction,
                "n_open": 10,
                "n_migrations": n,
                "n_forecast": 4.0,
                "standard_error": error,
            }
            for year, direction, n, error in (
                (2017, "arrival", 4, 1.0),
                (2018, "arrival", 9, 2.5),
                (2018, "departure", 4, 0.0),
            )
        ],
    }


def measured(engine: Engine, run: dict[str, Rows]) -> dict[tuple[str, str, str], float]:
    tables = {
        name: name_table(engine, name, rows)
        for name, rows in run.items()
        if name not in ("left_out", "open_ends")
    }
    reasons = pl.DataFrame(run["left_out"], schema={"reason": pl.String})
    tables["left_out"] = engine.frame("left_out", reasons)
    schema = {"measure": pl.String, "item": pl.String, "value": pl.Float64}
    tables["open_ends"] = engine.frame("open_ends", pl.DataFrame(run["open_ends"], schema=schema))
    quality = pl.read_parquet(measure(engine, tables, WINDOWS, MONTHS).path)
    return {(stage, name, item): value for stage, name, item, value in quality.iter_rows()}


def test_measures_by_hand(engine: Engine) -> None:
    found = measured(engine, little_run())
    stratum = "nz_12_16 / unresolved"
    expected = {
        ("ingest", "files", "all"): 3,
        ("ingest", "rows_read", "border"): 4,
        ("ingest", "rows_read", "all"): 7,
        ("ingest", "rows_accepted", "clerks"): 1,
        ("ingest", "rows_rejected", "all"): 2,
        ("ingest", "rows_repeated", "border"): 1,
        ("ingest", "trailers", "border"): 1,
        ("ingest", "rejected_share", "border"): 0.25,
        ("ingest", "rejected_share", "all"): 2 / 7,
        ("ingest", "rows_rejected_because", "border: crossed_date_unreadable"): 1,
        ("ingest", "months_without_crossings", "all"): 2,
        ("ingest", "months_without_crossings", "2019-03"): 1,
        ("identities", "identities", "all"): 2,
        ("identities", "records", "all"): 4,
        ("linkage", "links", "all"): 1,
        ("linkage", "links_proposed_by", "birth_date"): 1,
        ("persons", "persons", "all"): 2,
        ("persons", "persons_by_records", "1"): 1,
        ("persons", "persons_by_records", "3-5"): 1,
        ("persons", "doubtful_persons", "all"): 1,
        ("persons", "doubtful_share", "all"): 0.5,
        ("persons", "unknown_citizenship_share", "all"): 0.5,
        ("persons", "conflicts", "dead_twice"): 1,
        ("persons", "open_ends_remaining_share", "all"): 0.5,
        # a: 5 days present, 5 unresolved; b and c: 10 days absent; the alternative draw is left out.
        ("spells", "spells", "unresolved"): 1,
        ("spells", "crossings_left_out", "repeat"): 2,
        ("spells", "crossings_left_out", "after_death"): 1,
        ("spells", "contradictions", "register, not permit"): 2,
        ("spells", "contradictions", "register, not visa"): 1,
        ("spells", "persons_unresolved_share", "all"): 1 / 3,
        ("spells", "person_days_unresolved_share", "all"): 5 / 30,
        ("residence", "persons_ever_undetermined", stratum): 2,
        ("residence", "persons_ever_undetermined_share", stratum): 1,
        ("residence", "persons_undetermined_at_end", stratum): 1,
        # From the end of 31 December there are 11 days: a 5 register + 6 crossing, b 4 none + 7 crossing.
        ("residence", "person_days_by_basis_share", f"{stratum} / register"): 5 / 22,
        ("residence", "person_days_by_basis_share", f"{stratum} / none"): 4 / 22,
        ("residence", "person_days_by_basis_share", f"{stratum} / crossing"): 13 / 22,
        ("residence", "migrations", f"{stratum} / undetermined"): 2,
        ("residence", "implied_migrations", f"{stratum} / undetermined"): 1,
        # Of the last day alone: 9 where 4 were forecast, give or take 2.5.
        ("residence", "follow_up_open", "nz_12_16 / midpoint / arrival"): 10,
        ("residence", "follow_up_migrations", "nz_12_16 / midpoint / arrival"): 9,
        ("residence", "follow_up_forecast", "nz_12_16 / midpoint / arrival"): 4,
        ("residence", "follow_up_drift", "nz_12_16 / midpoint / arrival"): 2,
        ("residence", "follow_up_migrations", "nz_12_16 / midpoint / departure"): 4,
    }
    assert {key: found.get(key) for key in expected} == pytest.approx(expected)
    assert ("residence", "migrations", f"{stratum} / migration") not in found
    assert ("residence", "follow_up_drift", "nz_12_16 / midpoint / departure") not in found
    assert all(0 <= value <= 1 for (_, name, _), value in found.items() if name.endswith("_share"))


def test_whom_the_register_holds_and_the_rule_does_not(engine: Engine) -> None:
    """Of a, b, c and d, registered on the last day and alive, b lives elsewhere; e was removed, f died."""
    statuses = {
        "a": "resident",
        "b": "non_resident",
        "c": "undetermined",
        "d": "resident",
        "e": "non_resident",
    }
    ended = {"d": date(2019, 1, 11), "e": date(2019, 1, 10)}
    run: dict[str, Rows] = {
        "records": [
            {"source": "r", "record_id": name, "kind": "register", "is_repeat": False}
            | {"valid_from": date(2010, 1, 1), "ended_date": ended.get(name)}
            for name in "abcdef"
        ],
        "record_persons": [{"source": "r", "record_id": name, "person_id": name} for name in "abcdef"],
        "residence": [
            status("a", date(2018, 12, 31), date(2019, 1, 2), "non_resident", "register"),
            *(status(name, date(2019, 1, 2), None, word, "crossing") for name, word in statuses.items()),
            status("f", date(2018, 12, 31), date(2019, 1, 2), "non_resident", "crossing"),
        ],
    }
    tables = {name: name_table(engine, name, rows) for name, rows in run.items()}
    (row,) = measure_register(engine, tables, WINDOWS).iter_rows()
    assert row == ("registered_non_resident_share", "nz_12_16 / unresolved", 0.25)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("records", "source border: 3 rows accepted, but 2 in records"),
        ("rejected", "source border: 1 rows rejected, but 0 in rejected"),
        ("row_accounts", "source border: 0 rows rejected, but 1 in rejected"),
        (
            "judgements",
            "accepted rows of sources without records that repeat none, against judgements: 1, expected 0",
        ),
        ("record_identities", "rows of record_identities, against records: 3, expected 4"),
        ("record_persons", "rows of record_persons, against records: 3, expected 4"),
        ("identity_persons", "rows of identity_persons, against identities: 1, expected 2"),
        ("persons", "records of all persons, against records: 1, expected 4"),
    ],
)
def test_a_row_that_vanished_stops_the_run(engine: Engine, table: str, message: str) -> None:
    run = little_run()
    run[table] = run[table][2:] if table == "rejected" else run[table][1:]
    with pytest.raises(ResultError) as raised:
        measured(engine, run)
    assert message in str(raised.value)


def test_rows_read_must_be_accepted_or_rejected(engine: Engine) -> None:
    run = little_run()
    run["row_accounts"][2]["n_read"] = 3
    with pytest.raises(ResultError, match=r"source register: 3 rows read, but 1 accepted \+ 1 rejected"):
        measured(engine, run)


def test_a_run_without_rows_has_counts_and_no_shares(engine: Engine) -> None:
    found = measured(engine, {name: [] for name in little_run()})
    assert found[("persons", "persons", "all")] == 0
    assert found[("ingest", "rows_read", "all")] == 0
    assert not [name for _, name, _ in found if name.endswith("_share")]


def test_links_by_weight(engine: Engine) -> None:
    links = [
        {"identity_id_l": str(n), "identity_id_r": "z", "blocking_rule": rule, "match_weight": weight}
        | {"p_match": p, "p_calibrated": p}
        for n, (rule, weight, p) in enumerate(
            [
                ("birth_date", -30.0, 0.0),
                ("birth_date", -0.5, 0.4),
                ("birth_date", -1.5, 0.7),
                ("birth_date", 77.7, 1.0),
                ("judgement", 5.0, 1.0),  # bound, whatever the model says
            ]
        )
    ]
    found = measure_weights(engine, name_table(engine, "links", links), 0.65)
    assert {(name, item): n for name, item, n in found.iter_rows()} == {
        (name, f"weight from {band}"): n
        for name, counts in (("links_by_weight", (1, 2, 1)), ("links_accepted_by_weight", (0, 1, 1)))
        for band, n in zip((-10, -2, 40), counts, strict=True)
    }
