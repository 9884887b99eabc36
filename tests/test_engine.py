"""What a stage may ask of an engine, on both: the same tables, the same refusals."""

from contextlib import closing
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest

from miglink.engine import Engine, Table
from miglink.engine.columnar import Described
from miglink.engine.duckdb_engine import DuckDBEngine
from miglink.errors import TableError
from miglink.tables import TABLES

# A table of few columns stands for all.
CONTRACT = TABLES["record_persons"]
ROWS = pl.DataFrame({"source": ["b", "a", "a"], "record_id": ["1", "2", "1"], "person_id": ["x", "y", "z"]})
ALL = "SELECT source, record_id, person_id FROM rows"


def test_a_table_is_sorted_by_its_key_and_whole(engine: Engine, tmp_path: Path) -> None:
    table = engine.query(CONTRACT.name, ALL, rows=ROWS)
    assert pl.read_parquet(table.path, glob=False).equals(ROWS.sort("source", "record_id"))
    assert engine.count(table) == ROWS.height
    assert not list(tmp_path.rglob("*.part"))
    # Nothing but Parquet, or other programs would not read a table of Spark's.
    assert {file.suffix for file in table.path.rglob("*")} <= {".parquet"}


@pytest.mark.parametrize(
    ("select", "said"),
    [
        ("SELECT source, record_id FROM rows", "columns differ from the contract"),
        ("SELECT source, record_id, 1 AS person_id FROM rows", "columns differ from the contract"),
        (f"{ALL} UNION ALL {ALL}", "key .* repeats, 6 rows but 3 keys"),
        (
            "SELECT source, record_id, nullif(person_id, 'y') AS person_id FROM rows",
            "null in required columns",
        ),
    ],
)
def test_a_breach_of_contract_is_refused(engine: Engine, select: str, said: str) -> None:
    """The table that was there before stays."""
    before = engine.query(CONTRACT.name, ALL, rows=ROWS)
    with pytest.raises(TableError, match=said):
        engine.query(CONTRACT.name, select, rows=ROWS)
    assert pl.read_parquet(before.path, glob=False).height == ROWS.height


def test_an_aggregate_is_one_file_on_both(engine: Engine, tmp_path: Path) -> None:
    """It is read like any table, checked like any, and handed out as a file that describes itself."""
    contract = TABLES["row_accounts"]
    counts = ", ".join(
        f"CAST({n} AS BIGINT) AS {column.name}" for n, column in enumerate(contract.columns[1:])
    )
    select = f"SELECT source, {counts} FROM rows"
    table = engine.query(contract.name, select, rows=ROWS.unique("source"))
    assert table.path.is_file()
    assert engine.collect("SELECT source FROM t ORDER BY source", t=table)["source"].to_list() == ["a", "b"]
    for breach, said in (
        (select, "key"),
        (select.replace("source,", "nullif(source, 'a') AS source,"), "null"),
    ):
        with pytest.raises(TableError, match=said):
            engine.query(contract.name, breach, rows=ROWS)
    with pytest.raises(TableError, match="columns"):
        engine.query(contract.name, "SELECT source FROM rows", rows=ROWS)
    told = Described(
        {"run": "x"}, {column.name: {"description": column.meaning} for column in contract.columns}
    )
    engine.export(table, tmp_path / "out" / "accounts.parquet", told)
    schema = pq.read_schema(tmp_path / "out" / "accounts.parquet")
    assert schema.metadata[b"run"] == b"x"
    assert schema.field("source").metadata[b"description"] == b"name of the source"


def test_people_are_handed_out_under_their_final_name(engine: Engine, tmp_path: Path) -> None:
    target = tmp_path / "out" / "people.parquet"
    told = Described({"run": "x"}, {name: {} for name in ROWS.columns})
    engine.export(engine.step("people", f"{ALL} ORDER BY source, record_id", rows=ROWS), target, told)
    assert pl.read_parquet(target, glob=False).equals(ROWS.sort("source", "record_id"))
    assert {file.suffix for file in target.rglob("*")} <= {".parquet"}
    assert not list(tmp_path.rglob("*.part"))


def test_steps_views_and_frames(engine: Engine) -> None:
    given = engine.frame("given", ROWS)
    first = engine.view("first", "SELECT * FROM t WHERE source = 'a'", t=given)
    # A view keeps its inputs whatever their names stand for afterwards.
    second = engine.step("second", "SELECT t.person_id, length(t.source) AS n FROM t", t=first)
    assert engine.count(first) == engine.count(second) == 2
    third = engine.step("third", "SELECT 'b' AS source FROM t LIMIT 1", t=second)
    joined = engine.collect("SELECT a.* FROM a JOIN t USING (source)", a=given, t=third)
    assert joined.equals(ROWS.filter(pl.col("source") == "b"))
    empty = engine.step("empty", "SELECT * FROM t WHERE false", t=given)
    assert engine.count(empty) == 0
    assert engine.collect("SELECT * FROM t", t=empty).schema == ROWS.schema


def test_what_is_held_is_read_until_its_end(engine: Engine) -> None:
    """Also by its own successor, and what was held before stays."""
    engine.hold("outer", "SELECT 1 AS x")
    with engine.holding():
        held = engine.hold("inner", "SELECT x + 1 AS x FROM t", t=engine.hold("outer", "SELECT 1 AS x"))
        held = engine.hold("inner", "SELECT x + 1 AS x FROM t", t=held)
        kept = engine.step("kept", "SELECT * FROM t", t=held)
    outer = engine.hold("outer", "SELECT 7 AS x")
    both = engine.collect("SELECT kept.x AS a, t.x AS b FROM kept, t", kept=kept, t=outer)
    assert both.rows() == [(3, 7)]


def test_what_duckdb_holds_goes_at_the_end(duckdb_engine: Engine) -> None:
    outer = duckdb_engine.hold("outer", "SELECT 1 AS x")
    with duckdb_engine.holding():
        inner = duckdb_engine.hold("inner", "SELECT 1 AS x")
    assert duckdb_engine.count(outer) == 1
    with pytest.raises(duckdb.CatalogException):
        duckdb_engine.count(inner)


def test_joins_as_written_give_the_same(engine: Engine) -> None:
    few, many = (engine.step(f"rows_{n}", f"SELECT unnest(range({n})) AS a, 'x' AS b") for n in (10, 1000))
    select = "SELECT count(*) AS n FROM few JOIN many m ON m.a = few.a JOIN many o ON o.a = m.a + 1"
    with engine.as_written():
        assert engine.collect(select, few=few, many=many).item() == 10
    assert engine.collect(select, few=few, many=many).item() == 10


def test_duckdb_holds_the_right_side_of_a_join_as_written(duckdb_engine: Engine) -> None:
    few, many = (
        duckdb_engine.hold(name, f"SELECT unnest(range({n})) AS a")
        for name, n in (("ten", 10), ("more", 100_000))
    )

    def held() -> str:
        plan = duckdb_engine.collect(
            "EXPLAIN SELECT * FROM few JOIN many ON many.a = few.a", few=few, many=many
        )
        return str(plan["explain_value"][0])

    def is_left(plan: str) -> bool:
        return plan.index("view_ten") < plan.index("view_more")

    with duckdb_engine.as_written():
        assert is_left(held())
    assert not is_left(held())


def test_an_engine_knows_what_it_may_hold(tmp_path: Path) -> None:
    for limit, least in (("2GB", 2e9), ("750MB", 750e6)):
        with closing(DuckDBEngine(tmp_path / limit, memory_limit=limit)) as limited:
            assert limited.memory == pytest.approx(least, rel=0.06)  # DuckDB rounds it down to a digit


def test_texts_have_one_fingerprint_where_they_are_the_same(engine: Engine) -> None:
    """Also the place counts, and where a text ends."""
    rows = [("ab", "c", 1), ("ab", "c", 1), ("a", "bc", 2), ("c", "ab", 3), ("abc", "", 4)]
    given = engine.frame("texts", pl.DataFrame(rows, schema=["a", "b", "same"], orient="row"))
    numbers = engine.collect(f"SELECT same, {engine.fingerprint(['a', 'b'])} AS n FROM t", t=given)
    assert numbers.unique().height == numbers["n"].n_unique() == 4


def test_a_table_may_be_written_again_from_itself(engine: Engine) -> None:
    once = engine.step("growing", "SELECT source FROM rows", rows=ROWS)
    twice = engine.step("growing", "SELECT source FROM t UNION ALL SELECT source FROM t", t=once)
    assert engine.count(twice) == 2 * ROWS.height


def test_duckdb_reads_the_tables_of_either(engine: Engine, tmp_path: Path) -> None:
    table = engine.query(CONTRACT.name, ALL, rows=ROWS)
    reader = DuckDBEngine(tmp_path / "a folder [1]" / "read")
    assert reader.collect("SELECT count(*) AS n FROM t", t=table).item() == ROWS.height
    reader.close()


@pytest.mark.parametrize(
    "select",
    [
        # Nulls last, text in order of its bytes.
        "SELECT x FROM (VALUES ('b'), (NULL), ('é'), ('a'), ('Z')) AS t(x) ORDER BY x",
        "SELECT x FROM (VALUES (2), (NULL), (1)) AS t(x) ORDER BY x DESC",
        # Groups of a pattern in its replacement.
        r"SELECT regexp_replace('A1B2', '([A-Z])([0-9])', '\2\1$', 'g') AS x",
        "SELECT sha256('é') AS x, sha256(concat('a', 'b')) AS y",
        "SELECT date_diff('day', DATE '2019-02-27', DATE '2020-03-01') AS x",
        "SELECT CAST(DATE '2020-02-29' + INTERVAL 12 MONTH AS DATE) AS x",
        "SELECT strftime(DATE '2019-01-05', '%Y-%m') AS x, CAST(date_trunc('month', DATE '2019-01-05') AS DATE) AS y",
        "SELECT 7 // 2 AS x, 7 / 2 AS y, 7 % 4 AS z",
        "SELECT ROUND(CAST(2.345678915 AS DOUBLE), 6) AS x, ROUND(CAST(-2.5 AS DOUBLE), 0) AS y",
        "SELECT greatest(1, NULL, 3) AS x, least(DATE '2020-01-01', NULL) AS y",
        "SELECT string_split('a  b', ' ') AS x, split_part('a:b:c', ':', 2) AS y, list_sort(['b', 'a']) AS z",
        "SELECT translate('abc', 'ab', 'é') AS x, substring('héllo', 2, 3) AS y, upper('éß') = 'x' AS z",
        "SELECT TRY_CAST('2019-02-30' AS DATE) AS x, TRY_CAST('x' AS BIGINT) AS y, TRY_CAST('12' AS BIGINT) AS z",
        "SELECT levenshtein('kitten', 'sitting') AS x, starts_with('abc', 'ab') AS y",
    ],
)
def test_the_same_sql_means_the_same(engine: Engine, tmp_path: Path, select: str) -> None:
    """Against DuckDB, whose words they are."""
    other = DuckDBEngine(tmp_path / "other")
    found, expected = engine.collect(select), other.collect(select)
    other.close()
    assert found.rows() == expected.rows()


def test_a_name_stands_for_what_it_was_given_last(engine: Engine) -> None:
    """A table, then a frame, then a table again under one name."""
    table = engine.step("made", "SELECT 1 AS n")
    frame = pl.DataFrame({"n": [2]})
    given: list[Table | pl.DataFrame] = [table, frame, table, frame]
    found = [engine.collect("SELECT n FROM same_name", same_name=one).item() for one in given]
    assert found == [1, 2, 1, 2]
