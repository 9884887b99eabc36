"""Linking lists of people by columns of the user's own: the kinds of comparison, their keys, and what they add."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from benchmarks.people_lists import DIFFICULTIES, make_lists, write_lists
from given_links import link_identities, sized
from given_tables import make_table
from miglink.cli import main
from miglink.config import read_config
from miglink.config.sources import Source
from miglink.config.stages import ComparisonSettings, LinkageSettings, Period
from miglink.engine import Engine, Table
from miglink.errors import ConfigError
from miglink.stages.identities import find_identities
from miglink.stages.ingest import ingest
from miglink.stages.linkage import Identified, check_settings, choose_comparisons, prepare_identities
from miglink.stages.linkage.further import FURTHER_KINDS
from miglink.stages.linkage.keys import FURTHER_KEYS, STANDARD_KEYS, block_columns
from miglink.stages.linkage.levels import both_sides_sql, label_sql
from miglink.stages.linkage.travel import TRAVEL_COLUMNS
from miglink.tables import TABLES

FURTHER = ("address", "postcode", "mother_name")
COMPARED = LinkageSettings(
    comparisons=(
        ComparisonSettings(field="name"),
        ComparisonSettings(field="birth_date"),
        ComparisonSettings(field="sex"),
        ComparisonSettings(field="mother_name", kind="name"),
        ComparisonSettings(field="address", kind="text"),
        ComparisonSettings(field="postcode", kind="code", unless_same="address"),
    )
)
ROOT = Path(__file__).parents[1]


def identities_with(engine: Engine, column: str, values: list[str | None]) -> Table:
    """Identities that hold nothing but one further column."""
    rows = [{"identity_id": f"{n:03d}", "n_records": 1} for n in range(len(values))]
    plain = make_table(engine, "identities", rows)
    further = pl.DataFrame({"identity_id": [row["identity_id"] for row in rows], column: values})
    return engine.step(
        "with_further", "SELECT i.*, f.* EXCLUDE (identity_id) FROM i JOIN f USING (identity_id)",
        i=plain, f=further,
    )  # fmt: skip


def levels(engine: Engine, kind: str, pairs: list[tuple[str | None, str | None]]) -> list[str]:
    """The level of agreement of each pair of values, the same whichever stands left."""
    prepared = prepare_identities(
        engine, identities_with(engine, "x", [value for pair in pairs for value in pair])
    )
    comparison = FURTHER_KINDS[kind]("x")
    found = engine.collect(
        f"""WITH sides AS (SELECT *, CAST(identity_id AS INTEGER) AS place FROM p),
        pairs AS (
            SELECT {both_sides_sql(comparison.columns)}, l.place AS place_l, r.place AS place_r
            FROM sides l JOIN sides r ON l.place // 2 = r.place // 2 AND l.place <> r.place)
        SELECT {label_sql(comparison)} AS level, place_l FROM pairs ORDER BY place_l""",
        p=prepared,
    )["level"].to_list()
    assert found[::2] == found[1::2]
    return found[::2]


CASES = [
    ("name", "Anna Maria Lopez", "LOPEZ, Anna María", "same words"),
    ("name", "Olga Ivanova", "Olga Ivanowa", "similar"),
    ("name", "Maria Fernandez Ruiz", "Maria Fernandez R", "similar"),
    ("name", "Anna Maria Lopez", "Lopez Anna", "cut off, or words left out"),
    ("name", "Oleksandr Petrenko", "Petrenko Alexander", "words that sound alike"),
    ("name", "Jane Miller", "Jane Okafor", "a word in common"),
    ("name", "Jane Miller", "Petra Okafor", "other"),
    ("name", "李", "李", "same words"),
    ("name", "Jane", None, "not known"),
    ("name", "Jane", "?", "not known"),
    ("text", "12 Main Street", "MAIN STREET, 12", "same words and numbers"),
    ("text", "12A Main Street", "12 a Main-Street", "same words and numbers"),
    ("text", "Łąkowa 7", "Lakowa 7", "same words and numbers"),
    ("text", "شارع ١٢", "شارع 12", "same words and numbers"),
    ("text", "12 Miller Street", "12 Miler Street", "same numbers, similar words"),
    ("text", "12 Miller Street", "12 Miller Street Springfield", "same numbers, similar words"),
    ("text", "12 Ocean Street", "12 Miller Street", "same numbers, a word in common"),
    ("text", "12 Miller Street", "21 Miller Street", "other numbers, similar words"),
    ("text", "12 Miller Street", "Miller Street", "other numbers, similar words"),
    ("text", "12 Ocean Street", "3 Miller Street", "a word in common"),
    ("text", "12 Ocean Road", "12 Miller Street", "other"),
    ("text", "12", "12", "same words and numbers"),
    ("text", "12", "13", "other"),
    ("text", "12", None, "not known"),
    ("code", "SW1A 1AA", "sw1a1aa", "same code"),
    ("code", "12345", "12354", "one character, or two swapped"),
    ("code", "12345", "1234", "one character, or two swapped"),
    ("code", "12345", "12399", "same first half"),
    ("code", "12345", "99345", "other"),
    ("code", "AB", "AC", "other"),
    ("code", "12345", "-", "not known"),
    ("date", "2001-02-03", "2001-02-03", "same day"),
    ("date", "2001-02-03", "2001", "same year, day not known or 1 January"),
    ("date", "2001-02-03", "2001-01-01", "same year, day not known or 1 January"),
    ("date", "2001-02", "2001", "same year, day not known or 1 January"),
    ("date", "2001-02-03", "2001-03-02", "day and month swapped"),
    ("date", "2001-02-03", "2001-02-08", "one digit"),
    ("date", "2001-02-03", "2001-11-28", "same year"),
    ("date", "2001-02-03", "1987-02-03", "same day and month"),
    ("date", "2001-02-03", "1987-11-28", "other"),
    ("date", "2001-02-03", "2001-02-31", "not known"),
    ("date", "2001-02-03", "2001-13", "not known"),
    ("date", "2001-02-03", "3 February", "not known"),
    ("number", "AB-123456", "ab 123456", "same number"),
    ("number", "AB-123456", "AB-123457", "one digit"),
    ("number", "12345", "12346", "other"),
    ("quantity", "172.0", "172", "same number"),
    ("quantity", "172", "173", "1 apart, or 1 %"),
    ("quantity", "1000", "1010", "1 apart, or 1 %"),
    ("quantity", "100", "110", "10 %"),
    ("quantity", "-100", "100", "other"),
    ("quantity", "100", "about 100", "not known"),
    ("exact", "A+", "A+", "same"),
    ("exact", "A+", "A-", "other"),
]


@pytest.mark.parametrize("kind", [*FURTHER_KINDS])
def test_levels(engine: Engine, kind: str) -> None:
    cases = [(one, other, expected) for name, one, other, expected in CASES if name == kind]
    found = levels(engine, kind, [(one, other) for one, other, _ in cases])
    told = [(one, other, level) for (one, other, _), level in zip(cases, found, strict=True)]
    assert told == cases


def test_every_level_of_every_kind_has_a_case() -> None:
    reached = {(kind, expected) for kind, _, _, expected in CASES}
    every = {(kind, step.label) for kind, make in FURTHER_KINDS.items() for step in make("x").levels}
    assert every <= reached


def test_every_kind_says_what_its_levels_are() -> None:
    assert all("Levels:" in (make.__doc__ or "") for make in FURTHER_KINDS.values())


def test_the_keys_are_the_columns_there_are(engine: Engine) -> None:
    prepared = prepare_identities(engine, identities_with(engine, "x", ["12 Miller Street"]))
    columns = engine.collect("SELECT * FROM p LIMIT 0", p=prepared).columns
    contract = [column.name for column in TABLES["identities"].columns]
    assert set(columns) == {
        *contract, "unique_id", "is_likely_woman", "x", *STANDARD_KEYS, *TRAVEL_COLUMNS,
        *("x" + key for key in FURTHER_KEYS),
    }  # fmt: skip
    assert set(block_columns(["x"])) <= set(columns)


def test_a_text_in_a_script_of_many_letters_is_read(engine: Engine) -> None:
    """Thousands of different characters, each spelt with several letters."""
    value = "".join(chr(code) for code in range(0x4E00, 0x4E00 + 3000))
    prepared = prepare_identities(engine, identities_with(engine, "x", [value, "x"]))
    (key, _) = engine.collect("SELECT x_key FROM p ORDER BY identity_id", p=prepared)["x_key"]
    assert key.isascii()
    assert len(key) > 3000


def test_every_wrong_name_is_told_at_once_before_any_work() -> None:
    settings = LinkageSettings(
        comparisons=(
            ComparisonSettings(field="shoe_size"),
            ComparisonSettings(field="address", kind="document"),
            ComparisonSettings(field="name", kind="text"),
        ),
        blocking=(("birth_year", "adress"),),
    )
    with pytest.raises(ConfigError) as raised:
        check_settings(settings, ("address", "birth"))
    told = raised.value.problems
    assert len(told) == 5
    assert "'birth'" in told[0]
    assert "no field 'shoe_size'; there are name, birth_date" in told[1]
    assert (
        "kind 'document' does not suit field 'address', which may be compared as exact, name, text" in told[2]
    )
    assert "kind 'text' does not suit field 'name', which may be compared as name" in told[3]
    assert "there is no column 'adress' to block on; there are" in told[4]
    assert "address_words" in told[4]


def test_a_comparison_that_is_a_part_follows_its_whole() -> None:
    with pytest.raises(ValueError, match="must be the field of a comparison before it"):
        LinkageSettings(comparisons=(ComparisonSettings(field="postcode", unless_same="address"),))
    with pytest.raises(ValueError, match="'sex' is compared twice"):
        LinkageSettings(comparisons=(ComparisonSettings(field="sex"), ComparisonSettings(field="sex")))


def test_a_date_of_which_no_value_can_be_read_is_told(engine: Engine) -> None:
    prepared = prepare_identities(
        engine, identities_with(engine, "wedding", ["3 May 2001", "4 May 2002", None])
    )
    settings = LinkageSettings(comparisons=(ComparisonSettings(field="wedding", kind="date"),))
    with pytest.raises(ConfigError, match="none of the 2 values of 'wedding' is a date"):
        choose_comparisons(engine, prepared, settings, ("wedding",))


def records_of(engine: Engine, folder: Path, config: str = "people.yml") -> Table:
    """The records of configs/people.yml, its lists taken from a folder."""
    given = read_config(ROOT / "configs" / config)
    sources = {
        name: source.model_copy(update={"files": str(folder / f"{name}.csv")})
        for name, source in given.sources.items()
    }
    return ingest(engine, sources, given.countries, given.observation, FURTHER).records


def persons_found(
    engine: Engine, records: Table, folder: Path, settings: LinkageSettings, further: tuple[str, ...]
) -> dict[str, float]:
    """Precision and recall over the pairs of records of different identities that links of 0.9 join."""
    known, record_identities = find_identities(engine, records, further)
    judgements = make_table(engine, "judgements", [])
    identified = Identified(known, record_identities, judgements)
    links = link_identities(engine, identified, settings, further, folder)
    truth = pl.read_csv(folder / "truth.csv")
    (found,) = engine.collect(
        """WITH owners AS (
            SELECT i.identity_id, i.record_id, t.person FROM ids i JOIN t USING (source, record_id)),
        joined AS (
            SELECT l.person = r.person AS is_right FROM k JOIN owners l ON l.identity_id = k.identity_id_l
            JOIN owners r ON r.identity_id = k.identity_id_r WHERE k.p_match >= 0.9),
        possible AS (
            SELECT count(*) AS n FROM owners l JOIN owners r ON l.person = r.person
            WHERE l.record_id < r.record_id AND l.identity_id <> r.identity_id)
        SELECT avg(CAST(is_right AS INTEGER)) AS precision, sum(CAST(is_right AS INTEGER)) / max(n) AS recall
        FROM joined CROSS JOIN possible""",
        k=links,
        ids=record_identities,
        t=truth,
    ).to_dicts()
    return found


@pytest.mark.parametrize("difficulty", [*DIFFICULTIES])
def test_further_columns_find_more_persons(engine: Engine, tmp_path: Path, difficulty: str) -> None:
    """The same two lists with and without an address, a postcode and a mother's name."""
    write_lists(tmp_path, make_lists(sized(engine, 5000), 11, DIFFICULTIES[difficulty]))
    records = records_of(engine, tmp_path)
    without = persons_found(engine, records, tmp_path, LinkageSettings(), ())
    with_further = persons_found(engine, records, tmp_path, COMPARED, FURTHER)
    assert with_further["recall"] > without["recall"] + 0.08
    # The pairs found besides are harder ones: relatives who share a name, where a date of birth is missing.
    assert with_further["precision"] > {"plain": 0.99, "hard": 0.97}[difficulty]


def test_a_family_at_one_address_stays_apart(engine: Engine, tmp_path: Path) -> None:
    """Brothers and sisters share surname, address, postcode and mother; only given names and birth dates differ."""
    write_lists(tmp_path, make_lists(sized(engine, 2000), 12, DIFFICULTIES["plain"]))
    census = pl.read_csv(tmp_path / "census.csv", infer_schema=False)
    family = [
        {"id": f"f{n}", "given_names": given, "surname": "Quarrington", "birth_date": f"19{60 + 3 * n}-0{n + 1}-1{n}",
         "sex": "F", "address": "7 Quarry Lane", "postcode": "10100", "mother_name": "Ottilie Quarrington"}
        for n, given in enumerate(["Bertha", "Louise", "Mathilde", "Sophie"])
    ]  # fmt: skip
    pl.concat([census, pl.DataFrame(family)]).write_csv(tmp_path / "census.csv")
    records = records_of(engine, tmp_path)
    known, record_identities = find_identities(engine, records, FURTHER)
    identified = Identified(known, record_identities, make_table(engine, "judgements", []))
    links = link_identities(engine, identified, COMPARED, FURTHER, tmp_path)
    joined = engine.collect(
        """SELECT count(*) AS n FROM k JOIN ids l ON l.identity_id = k.identity_id_l
        JOIN ids r ON r.identity_id = k.identity_id_r
        WHERE starts_with(l.record_id, 'f') AND starts_with(r.record_id, 'f') AND k.p_match >= 0.9""",
        k=links,
        ids=record_identities,
    )
    assert joined.item() == 0


def test_the_lists_of_the_example_are_made_again_the_same(tmp_path: Path) -> None:
    write_lists(tmp_path, make_lists(400, 5, DIFFICULTIES["plain"]))
    for name in ("census.csv", "enrolment.csv", "truth.csv"):
        assert (tmp_path / name).read_text() == (ROOT / "tests" / "data" / "people" / name).read_text()


def test_identities_without_further_columns_keep_their_ids(engine: Engine, tmp_path: Path) -> None:
    records = records_of(engine, ROOT / "tests" / "data" / "people")
    plain, _ = find_identities(engine, records, ())
    ids = engine.collect("SELECT identity_id FROM i ORDER BY identity_id", i=plain)["identity_id"]
    known, _ = find_identities(engine, records, FURTHER)
    assert engine.count(known) > len(ids)
    given = engine.collect("SELECT address FROM i WHERE address LIKE '% St.'", i=known)
    assert given.height > 0  # the given value is kept; what is compared is made beside it


def test_dates_of_a_further_column_are_read_as_their_source_writes_them(
    engine: Engine, tmp_path: Path
) -> None:
    """Two lists that write the same wedding otherwise; what is no date stays as it is given."""
    (tmp_path / "a.csv").write_text("id,name,wedding\n1,Ana,2001-02-03\n2,Eva,2001\n")
    (tmp_path / "b.csv").write_text(
        "id,name,wedding\n1,Ana,3/2/2001\n2,Eva,00/00/2001\n3,Olga,in spring\n4,Ida,\n"
    )
    columns = {"record_id": "id", "given_names": "name"}
    written = {"a": "wedding", "b": {"from": "wedding", "formats": ["%d.%m.%Y", "%d/%m/%Y"]}}
    sources = {
        name: Source.model_validate(
            {
                "kind": "people",
                "files": str(tmp_path / f"{name}.csv"),
                "columns": {**columns, "wedding": wedding},
            },
            strict=False,
        )
        for name, wedding in written.items()
    }
    period = Period.model_validate({"from": dt.date(2000, 1, 1), "to": dt.date(2020, 12, 31)})
    read = ingest(engine, sources, {}, period, ("wedding",))
    found = engine.collect("SELECT source, wedding FROM r ORDER BY source, record_id", r=read.records)
    assert found["wedding"].to_list() == ["2001-02-03", "2001", "2001-02-03", "2001", "in spring", None]


def test_the_example_runs_to_persons(tmp_path: Path) -> None:
    """Two lists and nothing about migration: `miglink run configs/people.yml --to persons`."""
    config = ROOT / "configs" / "people.yml"
    assert main(["run", str(config), "--to", "persons", "--out", str(tmp_path / "run")]) == 0
    found = pl.read_parquet(tmp_path / "run" / "tables" / "record_persons.parquet")
    truth = pl.read_csv(ROOT / "tests" / "data" / "people" / "truth.csv")
    both = truth.join(found, on=["source", "record_id"], validate="1:1")
    assert both.height == found.height
    pairs = both.join(both, on="person").filter(pl.col("record_id") < pl.col("record_id_right"))
    joined = both.join(both, on="person_id").filter(pl.col("record_id") < pl.col("record_id_right"))
    assert (pairs["person_id"] == pairs["person_id_right"]).mean() > 0.9  # type: ignore[operator]
    assert (joined["person"] == joined["person_right"]).mean() > 0.96  # type: ignore[operator]
    # The same lists scored with the model of this run: the same links.
    again = ["--set", f"linkage.model={tmp_path / 'run'}", "--out", str(tmp_path / "again")]
    assert main(["run", str(config), "--to", "linkage", *again]) == 0
    first, second = (pl.read_parquet(tmp_path / run / "tables" / "links.parquet") for run in ("run", "again"))
    assert first.equals(second)
