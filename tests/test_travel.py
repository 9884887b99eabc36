"""Travel as evidence: what the crossings of two identities say of each other, and what linkage makes of it."""

import itertools
import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from given_examples import is_quick
from given_links import link_identities, sized
from miglink.config.stages import ComparisonSettings, LinkageSettings
from miglink.engine import Engine, Table
from miglink.errors import ConfigError
from miglink.stages.identities import find_identities
from miglink.stages.linkage import check_settings, choose_blocks, choose_comparisons, prepare_identities
from miglink.stages.linkage.levels import both_sides_sql, label_sql
from miglink.stages.linkage.travel import compare_travel, find_travel, measure_open_ends
from test_linkage import document, linked, person, records_of

CROSSINGS: dict[str, Any] = {
    "source": pl.String, "record_id": pl.String, "kind": pl.String, "is_repeat": pl.Boolean,
    "crossed_date": pl.Date, "crossed_at": pl.Datetime("us"), "direction": pl.String, "holder": pl.String,
}  # fmt: skip
Crossing = tuple[str, str, bool]  # moment as ISO text, direction, whether the hour is known


def travel_of(engine: Engine, travellers: dict[str, list[Crossing]], repeats: int = 0) -> pl.DataFrame:
    """The table of find_travel by identity; the last so many crossings are double scans."""
    every = [(who, *crossing) for who, crossings in travellers.items() for crossing in crossings]
    records = [
        {
            "source": "border",
            "record_id": f"{number}",
            "kind": "crossings",
            "is_repeat": number >= len(every) - repeats,
            "crossed_date": datetime.fromisoformat(moment).date(),
            "crossed_at": datetime.fromisoformat(moment) if is_timed else None,
            "direction": direction,
            "holder": who,
        }
        for number, (who, moment, direction, is_timed) in enumerate(every)
    ]
    frame = pl.DataFrame(records, schema=CROSSINGS)
    return pl.read_parquet(find_travel(engine, *tables_of(engine, frame)).path).sort("identity_id")


def tables_of(engine: Engine, frame: pl.DataFrame) -> tuple[Table, Table]:
    """Records, and who holds them as an identity."""
    records = engine.step("given_records", "SELECT * FROM given", given=frame)
    holders = engine.step(
        "given_holders", "SELECT source, record_id, holder AS identity_id FROM given", given=frame
    )
    return records, holders


def n_changes(crossings: list[tuple[datetime, str]]) -> int:
    """So many crossings follow one of the other way."""
    ways = [way for _, way in sorted(crossings)]
    return sum(a != b for a, b in itertools.pairwise(ways))


def level_by_definition(left: list[tuple[datetime, str]], right: list[tuple[datetime, str]]) -> str:
    def whole(crossings: list[tuple[datetime, str]], first: str, second: str) -> int:
        ways = [way for _, way in sorted(crossings)]
        return sum((a, b) == (first, second) for a, b in itertools.pairwise(ways))

    both = left + right
    stays, absences = (
        whole(both, *ways) - whole(left, *ways) - whole(right, *ways)
        for ways in (("arrival", "departure"), ("departure", "arrival"))
    )
    n_left = len(both) - 1 - n_changes(both)  # gaps that remain
    n_apart = len(left) + len(right) - 2 - n_changes(left) - n_changes(right)
    if stays + absences >= 3 and n_left <= n_apart - n_left:
        return "together most open ends close"
    if stays > 0 and absences > 0:
        return "together a stay and an absence close"
    if stays > 0:
        return "together a stay closes"
    if absences > 0:
        return "together an absence closes"
    return "together nothing closes" if stays + absences == 0 else "other"


def test_levels_are_those_of_the_definition(engine: Engine) -> None:
    """Random histories, interlaced and not, with crossings missing."""
    rng = random.Random(1)
    histories: dict[str, list[tuple[datetime, str]]] = {}
    for number in range(sized(engine, 80)):
        start = datetime(2020, 1, 1) + timedelta(hours=rng.randrange(8_000))
        way = rng.choice(["arrival", "departure"])
        history: list[tuple[datetime, str]] = []
        for _ in range(rng.randint(1, 6)):
            start += timedelta(minutes=rng.randrange(1, 100_000))
            if not history or rng.random() > 0.2:
                history.append((start, way))
            way = "departure" if way == "arrival" else "arrival"
        histories[f"i{number:02d}"] = history
    rows = {
        who: [(moment.isoformat(), way, True) for moment, way in history]
        for who, history in histories.items()
    }
    comparison = compare_travel("travel")
    travel = travel_of(engine, rows)
    found = engine.collect(
        f"""WITH both_sides AS (
            SELECT l.identity_id AS l, r.identity_id AS r, {both_sides_sql(comparison.columns)}
            FROM travel l JOIN travel r ON l.identity_id < r.identity_id)
        SELECT l, r, {label_sql(comparison)} AS label FROM both_sides""",
        travel=engine.step("given_travel", "SELECT * FROM given", given=travel),
    )
    expected = {(a, b): level_by_definition(histories[a], histories[b]) for a, b, _ in found.iter_rows()}
    assert {(a, b): label for a, b, label in found.iter_rows()} == expected
    if is_quick(engine):
        assert len(set(expected.values())) == 6


def test_travel_of_an_identity(engine: Engine) -> None:
    """In order; double scans left out; of days without the hour the surplus alone."""
    found = travel_of(
        engine,
        {
            "a": [
                ("2020-03-01T10:00", "departure", True),
                ("2020-03-01T08:00", "arrival", True),
                ("2020-01-01T08:00", "departure", True),
            ],
            "b": [
                ("2020-01-01T00:00", "arrival", False),
                ("2020-01-02T00:00", "departure", False),
                ("2020-01-02T00:00", "arrival", False),
                ("2020-01-03T00:00", "departure", False),
                ("2020-01-03T00:00", "arrival", False),
                ("2020-01-03T00:00", "departure", False),
            ],
            "c": [("2020-01-02T00:00", "departure", False), ("2020-01-02T00:00", "arrival", False)],
            "d": [("2020-01-02T07:00", "departure", True), ("2020-01-02T07:02", "departure", True)],
        },
        repeats=1,
    )
    assert dict(found.select("identity_id", "travel_ways").iter_rows()) == {"a": "DAD", "b": "AD", "d": "D"}
    assert found["travel"].to_list() == [
        ["20200101080000D", "20200301080000A", "20200301100000D"],
        ["20200101120000A", "20200103120000D"],
        ["20200102070000D"],
    ]
    assert found["travel_open_stays"].to_list() == [1, 0, 1]
    assert found["travel_open_absences"].to_list() == [1, 2, 1]


def test_open_ends_by_hand(engine: Engine) -> None:
    """Two documents of one person, who renewed hers abroad, and somebody who came for good."""
    crossings = [
        ("old", "ann", "2020-01-01", "departure"),
        ("old", "ann", "2020-02-01", "arrival"),
        ("old", "ann", "2020-03-01", "departure"),
        ("new", "ann", "2020-04-01", "arrival"),
        ("new", "ann", "2020-05-01", "departure"),
        ("new", "ann", "2020-06-01", "departure"),
        ("new", "ann", "2020-07-01", "arrival"),
        ("b", "bob", "2020-07-01", "arrival"),
    ]
    frame = pl.DataFrame(
        [
            {"source": "border", "record_id": f"{number}", "kind": "crossings", "is_repeat": False,
             "crossed_date": datetime.fromisoformat(day).date(), "crossed_at": None, "direction": way,
             "holder": holder}
            for number, (holder, _, day, way) in enumerate(crossings)
        ],
        schema=CROSSINGS,
    )  # fmt: skip
    owners = frame.select("source", "record_id", person_id=pl.Series([who for _, who, _, _ in crossings]))
    persons = engine.step("given_persons", "SELECT * FROM given", given=owners)
    found = measure_open_ends(engine, *tables_of(engine, frame), persons)
    assert {(name, item): value for name, item, value in found.iter_rows()} == {
        ("open_ends", "identities"): 1 + 2 + 1,
        ("open_ends", "persons"): 1 + 1,
        ("travel_gaps", "identities"): 1,
        ("travel_gaps", "persons"): 1,
        ("open_ends_remaining_share", "all"): 0.5,
        ("crossings_missing_share", "all"): pytest.approx((1 / 6) / (5 / 6)),
    }


def travellers(n: int, seed: int) -> tuple[list[dict[str, Any]], list[int]]:
    """Crossings of n persons, some of whom show another document from some day on; and whose each is."""
    rng = random.Random(seed)
    rows, owners = [], []
    for owner in range(n):
        who = person(rng)
        renewed = rng.random() < 0.4
        at, way = datetime(2015, 1, 1) + timedelta(days=rng.randrange(500)), "arrival"
        n_crossings = 2 * rng.randint(1, 6)
        renewal = rng.randrange(1, n_crossings)
        for number in range(n_crossings):
            at += timedelta(days=rng.randrange(3, 60) if way == "departure" else rng.randrange(30, 400))
            if renewed and number == renewal:
                who = who | {"document_number": document(rng)}
            if rng.random() > 0.03:
                rows.append(who | crossing(at, way))
                owners.append(owner)
            way = "departure" if way == "arrival" else "arrival"
    return rows, owners


def crossing(at: datetime, way: str) -> dict[str, Any]:
    moment = at + timedelta(hours=9)
    return {
        "crossed_date": f"{moment:%Y-%m-%d}", "crossed_at": f"{moment:%Y-%m-%d %H:%M:%S}", "direction": way,
    }  # fmt: skip


def namesakes(rng: random.Random) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Two documents of much the same name, born on one day: once with stays that follow on, once that overlap."""
    (who, other), (she, sister) = (
        (one, one | {"document_number": document(rng), "surname": one["surname"] + "OVA"})
        for one in (person(rng), person(rng))
    )
    days = [datetime(2016, 5, 1) + timedelta(days=30 * number) for number in range(5)]
    one = [who | crossing(days[0], "arrival"), other | crossing(days[1], "departure")]
    two = [
        she | crossing(days[0], "arrival"), sister | crossing(days[1], "arrival"),
        sister | crossing(days[2], "departure"), she | crossing(days[3], "departure"),
    ]  # fmt: skip
    return one, two


def test_open_ends_that_close_speak_for_a_link_and_presence_that_overlaps_against(
    engine: Engine, tmp_path: Path
) -> None:
    rows, owners = travellers(sized(engine, 500), 2)
    n_before = len(rows)
    following, overlapping = namesakes(random.Random(3))
    rows += [*following, *overlapping]
    pairs, model = linked(engine, rows, tmp_path)
    (entry,) = [c for c in model["settings"]["comparisons"] if c["output_column_name"] == "travel"]
    ratio = {
        level["label_for_charts"]: level["m_probability"] / level["u_probability"]
        for level in entry["comparison_levels"][1:]
    }
    assert ratio["together a stay closes"] > 1 > ratio["together nothing closes"]
    assert ratio["other"] < 1 / 8
    weights = {
        label: pairs.filter(pl.col("l") >= n_before, pl.col("level_travel") == label)["match_weight"].max()
        for label in ("together a stay closes", "other")
    }
    assert weights["together a stay closes"] is not None
    if weights["other"] is not None:  # else it is below what links keep
        assert weights["together a stay closes"] > weights["other"] + 3  # type: ignore[operator]
    accepted = pairs.filter(pl.col("p_match") >= 0.9, pl.col("r") < n_before, pl.col("l") < n_before)
    assert sum(owners[a] != owners[b] for a, b in accepted.select("l", "r").iter_rows()) == 0


def test_links_by_travel_are_those_of_splink(duckdb_engine: Engine, tmp_path: Path) -> None:
    rows, _ = travellers(400, 4)
    found = []
    for by in ("miglink", "splink"):
        (tmp_path / by).mkdir()
        settings = LinkageSettings.model_validate({"scored_by": by})
        found.append(linked(duckdb_engine, rows, tmp_path / by, settings)[0].sort("l", "r"))
    assert found[0].height > 100 and "level_travel" in found[0].columns
    labels = [frame.select("l", "r", "blocking_rule", "level_travel") for frame in found]
    assert labels[0].equals(labels[1])
    assert (found[0]["match_weight"] - found[1]["match_weight"]).abs().max() < 1e-5  # type: ignore[operator]


def test_the_order_of_rows_does_not_matter(duckdb_engine: Engine, tmp_path: Path) -> None:
    rows, _ = travellers(300, 5)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    columns = ["identity_id_l", "identity_id_r", "match_weight", "level_travel"]
    found = [
        linked(duckdb_engine, given, tmp_path / name)[0].select(columns).unique().sort(columns)
        for name, given in (("a", rows), ("b", rows[::-1]))
    ]
    assert found[0].equals(found[1])


def test_who_crossed_on_one_birth_date_is_compared_whatever_the_name(
    duckdb_engine: Engine, tmp_path: Path
) -> None:
    rows, _ = travellers(300, 6)
    stranger = rows[0] | {"surname": "QUITEOTHER", "given_names": "XU", "document_number": "Z00000001"}
    pairs, _ = linked(duckdb_engine, [*rows, stranger], tmp_path, LinkageSettings(keep_p_match=0.0))
    of_stranger = pairs.filter((pl.col("r") == len(rows)) | (pl.col("l") == len(rows)))
    assert of_stranger["blocking_rule"].unique().to_list() == ["travel_birth_day + sex"]


def test_travel_is_compared_where_there_are_crossings_and_unless_left_out(
    duckdb_engine: Engine, tmp_path: Path
) -> None:
    rows, _ = travellers(100, 7)
    named = LinkageSettings(
        comparisons=(ComparisonSettings(field="name"), ComparisonSettings(field="birth_date"))
    )
    records = records_of(rows, duckdb_engine)
    identities, record_identities = find_identities(duckdb_engine, records)
    without = prepare_identities(duckdb_engine, identities)
    fields = [c.field for c in choose_comparisons(duckdb_engine, without, LinkageSettings(), ())]
    assert "name" in fields and "travel" not in fields
    travel = find_travel(duckdb_engine, records, record_identities)
    prepared = prepare_identities(duckdb_engine, identities, travel)
    fields = [c.field for c in choose_comparisons(duckdb_engine, prepared, LinkageSettings(), ())]
    assert fields[-1] == "travel"
    chosen = choose_comparisons(duckdb_engine, prepared, named, ())
    assert [c.field for c in chosen] == ["name", "birth_date"]
    assert all("travel_birth_day" not in block.columns for block in choose_blocks(chosen, named))
    (tmp_path / "named").mkdir()
    asked = LinkageSettings(comparisons=(*named.comparisons, ComparisonSettings(field="travel")))  # type: ignore[misc]
    pairs, model = linked(duckdb_engine, rows, tmp_path / "named", asked, link_identities)
    assert [entry["field"] for entry in model["comparisons"]] == ["name", "birth_date", "travel"]
    assert "level_travel" in pairs.columns
    with pytest.raises(ConfigError, match="kind 'text' does not suit field 'travel'"):
        check_settings(LinkageSettings(comparisons=(ComparisonSettings(field="travel", kind="text"),)), ())
