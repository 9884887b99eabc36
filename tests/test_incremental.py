"""Runs that go on from an earlier one: the persons of the full run, under the ids they had."""

import datetime as dt
import gzip
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import strategies as st

from given_examples import for_all
from given_run import write
from miglink.cli import main
from miglink.engine import Engine
from miglink.stages.persons.ids import find_id_changes, give_ids
from synthetic.__main__ import make_country
from synthetic.chance import Chance

# The first day without data.
END = dt.date(2024, 1, 1)
RECORD = ["source", "record_id"]
Change = Callable[[str, pl.DataFrame], pl.DataFrame]


def table(run: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(run / "tables" / f"{name}.parquet")


def change_sources(made: Path, folder: Path, change: Change) -> Path:
    """The sources of a made country with the rows of each changed."""
    (folder / "border").mkdir(parents=True)
    for path in [made / "census.csv", made / "visas.csv", made / "births.csv", made / "deaths.csv",
                 *sorted((made / "border").glob("*.csv"))]:  # fmt: skip
        separator = ";" if path.stem in {"visas", "births"} else ","
        rows = change(path.stem, pl.read_csv(path, separator=separator, infer_schema=False))
        rows.write_csv(folder / path.relative_to(made), separator=separator)
    text = gzip.decompress((made / "register.csv.gz").read_bytes())
    register = change("register", pl.read_csv(text, separator="|", infer_schema=False))
    (folder / "register.csv.gz").write_bytes(gzip.compress(register.write_csv(separator="|").encode()))
    for name in ("permits", "activity"):
        change(name, pl.read_parquet(made / f"{name}.parquet")).write_parquet(folder / f"{name}.parquet")
    (folder / "country.yml").write_text((made / "country.yml").read_text("utf-8"), "utf-8")
    return folder / "country.yml"


def until(last: dt.date) -> Change:
    """What the agencies had on a day: rows of that day or before, and no end of a registration that came later."""
    dated = {"visas": "issued", "births": "born", "deaths": "died", "permits": "begins"}

    def change(name: str, rows: pl.DataFrame) -> pl.DataFrame:
        if name == "census":
            return rows
        if name == "activity":
            return rows.filter(pl.col("year") <= last.year)
        if name == "register":
            rows = rows.filter(pl.col("since") <= f"{last:%Y%m%d}")
            is_open = pl.col("until").fill_null("") <= f"{last:%Y%m%d}"
            return rows.with_columns(pl.when(is_open).then(pl.col(end)) for end in ("removal", "until"))
        return rows.filter(pl.col(dated.get(name, "time")).cast(pl.String).str.head(10) <= last.isoformat())

    return change


def shuffled(_: str, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sample(fraction=1, shuffle=True, seed=5)


def link(config: Path, out: Path, *further: str) -> Path:
    """A run to its persons; fewer random pairs than of a large country are enough."""
    further = ("linkage.training_pairs=100000", *further)
    settings = [part for setting in further for part in ("--set", setting)]
    assert main(["run", str(config), "--out", str(out), "--to", "persons", *settings]) == 0
    return out


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A country in which so much goes wrong that new records join earlier persons, and part them."""
    folder = tmp_path_factory.mktemp("grown") / "made"
    make_country(600, "high", Chance(3), folder)
    return folder


@pytest.fixture(scope="module")
def full(made: Path) -> Path:
    return link(made / "country.yml", made.parent / "full")


@pytest.fixture(scope="module", params=[dt.date(2023, 11, 30), dt.date(2022, 6, 30)], ids=str)
def earlier(request: pytest.FixtureRequest, made: Path) -> Path:
    """The run on what was there a month before the end, and a year and a half before."""
    last: dt.date = request.param
    folder = made.parent / str(last)
    config = change_sources(made, folder / "sources", until(last))
    return link(config, folder / "run", f"period.to={last}")


@pytest.fixture(scope="module")
def grown(made: Path, earlier: Path) -> Path:
    return link(made / "country.yml", earlier.parent / "grown", f"persons.previous={earlier}")


def parts(run: Path) -> set[frozenset[tuple[str, str]]]:
    """The records of each person, whatever its id."""
    records = table(run, "record_persons").group_by("person_id").agg(pl.struct(RECORD))
    return {frozenset((r["source"], r["record_id"]) for r in person) for person in records["source"]}


def shared_records(earlier: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """How many records each earlier person shares with each person now."""
    return (
        earlier.rename({"person_id": "earlier_id"})
        .join(now, on=RECORD)
        .group_by("earlier_id", "person_id")
        .agg(pl.len().alias("n"))
    )


def check_ids(earlier: pl.DataFrame, now: pl.DataFrame, logged: set[tuple[str, str, str]]) -> None:
    """Ids go on where most records do, new ones were nobody's, and the log names every change and nothing else."""
    shared = shared_records(earlier, now)
    kept = set(earlier["person_id"]) & set(now["person_id"])
    # The person with most records of an earlier one, and of these the earlier one with most, where no two are equal.
    most = shared.filter(pl.col("n") == pl.col("n").max().over("earlier_id"))
    most = most.filter(pl.len().over("earlier_id") == 1)
    contested = shared.filter(~pl.col("earlier_id").is_in(most["earlier_id"].implode()))["person_id"]
    most = most.filter(pl.col("n") == pl.col("n").max().over("person_id"))
    most = most.filter(pl.len().over("person_id") == 1, ~pl.col("person_id").is_in(contested.implode()))
    assert most.filter(pl.col("earlier_id") != pl.col("person_id")).is_empty()
    # An id that goes on does so with a person that has most of its records, none more.
    of_kept = shared.filter(pl.col("earlier_id").is_in(list(kept)))
    best = of_kept.filter(pl.col("earlier_id") == pl.col("person_id")).select("earlier_id", best="n")
    assert set(best["earlier_id"]) == kept
    assert of_kept.join(best, on="earlier_id").filter(pl.col("n") > pl.col("best")).is_empty()
    moved = shared.filter(pl.col("earlier_id") != pl.col("person_id"))
    assert {(before, after) for _, before, after in logged} == set(
        moved.select("earlier_id", "person_id").iter_rows()
    )
    assert len(logged) == moved.height
    merged = [before for kind, before, _ in logged if kind == "id_merged"]
    assert sorted(merged) == sorted(set(moved["earlier_id"]) - kept)
    found = pl.DataFrame(list(logged), schema=["kind", "earlier_id", "person_id"], orient="row")
    found = found.cast(pl.String).join(moved, on=["earlier_id", "person_id"])
    most_moved = found.filter(pl.col("n") == pl.col("n").max().over("earlier_id"))
    assert set(merged) <= set(most_moved.filter(kind="id_merged")["earlier_id"])


def logged_changes(run: Path) -> set[tuple[str, str, str]]:
    """Kind, earlier id, id now; what the log says of ids it says of the person that has the records now."""
    rows = table(run, "conflicts").filter(pl.col("kind").str.starts_with("id_"))
    assert rows.filter(pl.col("person_id") != pl.col("detail_r")).is_empty()
    return set(rows.select("kind", "detail_l", "detail_r").iter_rows())


def test_a_grown_run_is_the_full_run(grown: Path, full: Path) -> None:
    """Not a weight differs: what an earlier run has linked teaches the model nothing."""
    links = table(grown, "links")
    assert links.filter(blocking_rule="previous").is_empty()  # no block of these is so large that it is split
    assert links.equals(table(full, "links"))
    assert parts(grown) == parts(full)


def test_a_grown_run_with_the_earlier_model_finds_nearly_the_same_persons(
    made: Path, earlier: Path, full: Path
) -> None:
    """Its weights are those of fewer months, so that a pair near the limit may fall on the other side."""
    settings = f"persons.previous={earlier}", f"linkage.model={earlier}"
    again = link(made / "country.yml", earlier.parent / "reused", *settings)
    assert len(parts(again) & parts(full)) >= 0.99 * len(parts(full))
    check_ids(table(earlier, "record_persons"), table(again, "record_persons"), logged_changes(again))


def test_persons_keep_their_ids_and_changes_are_logged(earlier: Path, grown: Path, full: Path) -> None:
    before, now = table(earlier, "record_persons"), table(grown, "record_persons")
    check_ids(before, now, logged_changes(grown))
    assert not logged_changes(full)
    strangers = set(now["person_id"]) - set(now.join(before, on=RECORD, how="semi")["person_id"])
    assert not strangers & set(before["person_id"])
    since = dict(table(grown, "persons").select("person_id", "id_since_date").iter_rows())
    (first,) = set(table(earlier, "persons")["id_since_date"])
    assert all((day == first) == (person in set(before["person_id"])) for person, day in since.items())
    # Who is new, and who was parted from somebody who keeps the id.
    assert set(since.values()) == ({first, END} if set(since) - set(before["person_id"]) else {first})


def test_the_order_of_rows_never_matters(made: Path, earlier: Path, grown: Path) -> None:
    """The run again, on rows in another order: every table is the same to the last byte."""
    config = change_sources(made, earlier.parent / "shuffled", shuffled)
    again = link(config, earlier.parent / "again", f"persons.previous={earlier}")
    names = sorted(path.name for path in (grown / "tables").glob("*.parquet"))
    assert len(names) > 8
    different = [
        n for n in names if (grown / "tables" / n).read_bytes() != (again / "tables" / n).read_bytes()
    ]
    assert different == []


# Six identities of some records each, and three runs: the person of each identity in each, 0 for not there yet.
identities = st.lists(st.integers(1, 3), min_size=6, max_size=6)
persons_of = st.lists(st.integers(0, 3), min_size=6, max_size=6)


def records_of(sizes: list[int], present: list[int]) -> pl.DataFrame:
    """Records of the identities that a run has; a record once there stays."""
    rows = [
        (f"{identity}-{number}", f"{identity:064}")
        for identity, (size, person) in enumerate(zip(sizes, present, strict=True))
        if person
        for number in range(size)
    ]
    return pl.DataFrame(rows, schema=["record_id", "identity_id"], orient="row").cast(pl.String)


@for_all(25, sizes=identities, runs=st.lists(persons_of.filter(any), min_size=2, max_size=4))
def test_ids_through_many_runs(engine: Engine, sizes: list[int], runs: list[list[int]]) -> None:
    """However persons part and join: no id twice, none given anew, every change in the log."""
    with TemporaryDirectory() as folder:
        previous, before = None, None
        for number, persons in enumerate(runs):
            here = Path(folder) / str(number)
            (here / "tables").mkdir(parents=True)
            given = records_of(sizes, persons).with_columns(source=pl.lit("s"))
            members = [(f"{i:064}", cluster) for i, cluster in enumerate(persons) if cluster]
            clusters = engine.frame(
                "clusters", pl.DataFrame(members, schema=["identity_id", "cluster"], orient="row")
            )
            record_identities = engine.frame("record_identities", given)
            ids = give_ids(engine, clusters, record_identities, "key", previous, dt.date(2020, 1, 1 + number))
            clustered = engine.step(
                "clustered",
                "SELECT c.identity_id, c.cluster, i.person_id FROM c JOIN i USING (cluster)",
                c=clusters,
                i=ids,
            )
            found = engine.collect("SELECT * FROM t", t=clustered)
            assert found["person_id"].n_unique() == found["cluster"].n_unique()
            now = given.join(found, on="identity_id").select(*RECORD, "person_id")
            if before is not None:
                changes = engine.collect(
                    "SELECT kind, detail_l, detail_r FROM t",
                    t=find_id_changes(engine, clustered, record_identities, previous),
                )
                check_ids(before, now, set(changes.iter_rows()))
                strangers = now.join(before, on=RECORD, how="anti").join(
                    now.join(before, on=RECORD), on="person_id", how="anti"
                )
                assert not set(strangers["person_id"]) & set(before["person_id"])
            now.write_parquet(here / "tables" / "record_persons.parquet")
            dated = engine.collect("SELECT person_id, id_since_date FROM t", t=ids)
            dated.write_parquet(here / "tables" / "persons.parquet")
            previous, before = here, now


CONFIG = """\
name: little
key: {demo: true}
sources:
  list:
    kind: people
    files: list.csv
    columns: {record_id: ID, surname: NAME, birth_date: BORN, document_number: PASS}
  review:
    kind: judgements
    files: review.csv
    columns: {source_l: SL, record_id_l: L, source_r: SR, record_id_r: R, verdict: VERDICT}
    bounds: {min_rows: 0}
"""
LISTED = """\
ID,NAME,BORN,PASS
a,PEREZ,1980-05-17,A1
b,ILIESCU,1991-12-03,B2
c,OKAFOR,1955-02-28,C3
"""


def reviewed(folder: Path, name: str, pairs: list[tuple[str, str]], *further: str) -> Path:
    """A run in which clerks have joined these pairs of records."""
    (folder / name).mkdir()
    config = write(folder / name, CONFIG, "config.yml")
    write(folder / name, LISTED, "list.csv")
    lines = [f"list,{left},list,{right},match" for left, right in pairs]
    write(folder / name, "\n".join(["SL,L,SR,R,VERDICT", *lines, ""]), "review.csv")
    return link(config, folder / name / "run", *further)


def test_a_link_that_vanishes_parts_a_person_and_a_new_one_joins_two(tmp_path: Path) -> None:
    """The record that leaves is that of the smallest identity, by which the id was given."""
    listed = reviewed(tmp_path, "listed", [])
    first, second, third = table(listed, "record_identities").sort("identity_id")["record_id"]
    together = reviewed(tmp_path, "together", [(first, second), (second, third)])
    apart = reviewed(tmp_path, "apart", [(second, third)], f"persons.previous={together}")
    again = reviewed(tmp_path, "again", [(first, second), (second, third)], f"persons.previous={apart}")
    ids = [
        dict(table(run, "record_persons").select("record_id", "person_id").iter_rows())
        for run in (together, apart, again)
    ]
    joined = ids[0][first]
    assert ids[0] == dict.fromkeys((first, second, third), joined)
    assert ids[1] == {first: ids[1][first], second: joined, third: joined}
    assert ids[1][first] != joined
    assert logged_changes(apart) == {("id_split", joined, ids[1][first])}
    assert ids[2] == ids[0]
    assert logged_changes(again) == {("id_merged", ids[1][first], joined)}
