"""What `miglink check` predicts: pairs counted or from sampled identities, rows found again, time and memory."""

import gzip
from pathlib import Path

import pytest

import miglink.check.reading
from miglink.check import Findings, check_config
from miglink.check.cost import Size, limit_bytes, predict_cost
from miglink.check.report import duration
from miglink.config import read_config
from miglink.engine.duckdb_engine import DuckDBEngine
from miglink.stages.identities import find_identities
from miglink.stages.ingest import ingest
from miglink.stages.linkage.blocking import choose_blocks
from miglink.stages.linkage.comparisons import choose_comparisons, prepare_identities
from miglink.stages.linkage.travel import find_travel
from synthetic.__main__ import make_country
from synthetic.chance import Chance

CONFIG = """
name: small
period: {from: 2015-01-01, to: 2020-12-31}
key: {demo: true}
sources:
  border:
    kind: crossings
    files: border
    format: {separator: ";", trailer: TOTAL}
    columns:
      crossed_at: WHEN
      direction: {from: WAY, map: {E: arrival, S: departure}}
      document_number: DOCUMENT
      surname: SURNAME
      given_names: GIVEN
      birth_date: BORN
    bounds: {max_rejected_share: 0.5}
residence: {rules: [nz_12_16]}
estimates: {reporting_country: NOR}
"""
HEADER = "WHEN;WAY;DOCUMENT;SURNAME;GIVEN;BORN"


def crossing(document: str, surname: str = "Lindqvist", way: str = "E") -> str:
    """One line of the border file."""
    return f"2016-03-05;{way};{document};{surname};Astrid;1980-02-03"


def check(folder: Path, files: dict[str, list[str]], n_sampled: int, more: str = "") -> Findings:
    """Write the files of the border and its configuration, and check them with a sample of about so many rows."""
    (folder / "border").mkdir()
    for name, lines in files.items():
        with (gzip.open if name.endswith(".gz") else open)(folder / "border" / name, "wt") as stream:
            stream.write("\n".join(lines) + "\n")
    (folder / "small.yml").write_text(CONFIG + more, encoding="utf-8")
    return check_config(read_config(folder / "small.yml"), n_sampled=n_sampled)


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("country") / "made"
    make_country(4000, "high", Chance(5), folder)
    return folder / "country.yml"


@pytest.fixture(scope="module")
def true_pairs(country: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Pairs of each rule, joined one by one from the identities of the run's own stages."""
    config = read_config(country)
    engine = DuckDBEngine(tmp_path_factory.mktemp("tables"))
    records = ingest(engine, config.sources, config.countries, config.observation, ()).records
    identities, record_identities = find_identities(engine, records)
    prepared = prepare_identities(engine, identities, find_travel(engine, records, record_identities))
    blocks = choose_blocks(choose_comparisons(engine, prepared, config.linkage, ()), config.linkage)
    joined = {
        block.name: engine.collect(
            f"SELECT count(*) FROM l JOIN r ON {block.condition()} AND l.unique_id < r.unique_id",
            l=prepared,
            r=prepared,
        ).item()
        for block in blocks
    }
    engine.close()
    return joined


@pytest.fixture(scope="module")
def exact(country: Path) -> Findings:
    """What is found when everything is read."""
    return check_config(read_config(country))


def test_pairs_are_exact_when_everything_is_read(exact: Findings, true_pairs: dict[str, int]) -> None:
    assert exact.is_exact and exact.problems == ()
    assert {rule.rule: rule.n_pairs for rule in exact.pairs} == true_pairs


@pytest.mark.parametrize("most_whole", [0, 10**9], ids=["files sampled on reading", "files read whole"])
def test_pairs_are_near_when_identities_are_sampled(
    country: Path,
    exact: Findings,
    true_pairs: dict[str, int],
    most_whole: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(miglink.check.reading, "WHOLE_ROWS", most_whole)
    findings = check_config(read_config(country), n_sampled=exact.n_rows // 5)
    assert 0.15 < findings.identity_share < 0.25
    assert findings.problems == ()
    assert [source.n_rows for source in findings.sources] == [source.n_rows for source in exact.sources]
    assert findings.n_identities == pytest.approx(exact.n_identities, rel=0.1)
    assert sum(rule.n_pairs for rule in findings.pairs) == pytest.approx(sum(true_pairs.values()), rel=0.15)
    for rule in findings.pairs:
        assert rule.n_pairs == pytest.approx(true_pairs[rule.rule], rel=0.3), rule.rule
    if most_whole == 0:
        looked = sum(source.n_looked_at for source in findings.sources)
        assert looked == pytest.approx(findings.identity_share * findings.n_rows, rel=0.2)
    assert findings == check_config(read_config(country), n_sampled=exact.n_rows // 5)


def test_a_number_that_many_share_shows_in_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """3,000 persons under one default number make 4.5 million pairs: they are not all in, or all out.

    Where their block is split, the rule says by what, and how many pairs there were else.
    """
    names = ["".join(chr(97 + int(digit)) for digit in f"{n:05d}") for n in range(12_000)]
    lines = [crossing("NONE" if n < 3000 else f"D{n}", name) for n, name in enumerate(names)]
    monkeypatch.setattr(miglink.check.reading, "WHOLE_ROWS", 1000)
    whole = "linkage: {pairs_per_identity: null}\n"
    findings = check(tmp_path, {"2016.csv": [HEADER, *lines]}, 1500, whole)
    (rule,) = [rule for rule in findings.pairs if rule.rule == "document_number"]
    assert rule.n_pairs == pytest.approx(3000 * 2999 / 2, rel=0.2)
    assert abs(rule.n_pairs - 3000 * 2999 / 2) < 3 * rule.standard_error
    assert 1500 < rule.largest_block < 3000
    (tmp_path / "small.yml").write_text(CONFIG, encoding="utf-8")
    split = check_config(read_config(tmp_path / "small.yml"), n_sampled=1500)
    (told,) = [one for one in split.pairs if one.rule.startswith("document_number")]
    assert "large blocks by" in told.rule and f"else {rule.n_pairs:,} pairs" in told.rule
    assert told.n_pairs < rule.n_pairs / 2


def test_rows_of_a_sample_are_counted_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows, malformed lines, control lines and the place of a wrong code, in files of which a sample is judged."""
    lines = [crossing(f"D{n}", way="X" if n % 50 == 7 else "E") for n in range(2000)]
    files = {
        "a.csv": [HEADER, *lines[:900], "TOTAL;900"],
        "b.csv": [HEADER, *lines[900:], "a;b", "TOTAL;1100"],
    }
    monkeypatch.setattr(miglink.check.reading, "WHOLE_ROWS", 0)
    border = check(tmp_path, files, 500).sources[0]
    assert (border.n_rows, border.n_malformed, border.is_whole) == (2000, 1, False)
    assert 300 < border.n_looked_at < 700
    (code,) = border.unknown_codes
    assert code.share == pytest.approx(0.02, abs=0.015)
    file, row = code.place.split(", row ")
    assert files[file][int(row)].split(";")[1] == "X"


def test_compressed_files_are_sampled_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(miglink.check.reading, "WHOLE_ROWS", 0)
    lines = [crossing(f"D{n}") for n in range(2000)]
    border = check(tmp_path, {"2016.csv.gz": [HEADER, *lines]}, 400).sources[0]
    assert border.n_rows == 2000
    assert border.n_looked_at < 700


def test_bytes_that_a_sample_cannot_decode_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first lines are plain; one in the middle is not UTF-8 and counts as a line that cannot be read."""
    monkeypatch.setattr(miglink.check.reading, "WHOLE_ROWS", 0)
    check(tmp_path, {"2016.csv": [HEADER, *(crossing(f"D{n}") for n in range(2000))]}, 400)
    path = tmp_path / "border" / "2016.csv"
    path.write_bytes(path.read_bytes().replace(b"D1000;Lindqvist", b"D1000;Lindqv\xedst"))
    border = check_config(read_config(tmp_path / "small.yml"), n_sampled=400).sources[0]
    assert border.problems or border.n_malformed == 1


def test_a_larger_run_takes_no_less() -> None:
    stages = (
        "ingest",
        "identities",
        "linkage",
        "persons",
        "spells",
        "residence",
        "estimates",
        "quality",
        "publish",
    )
    small = predict_cost(Size(100_000, 30_000, 100_000, 100_000), stages, "8GB")
    large = predict_cost(Size(10_000_000, 3_000_000, 30_000_000, 10_000_000), stages, "8GB")
    assert small.seconds < large.seconds
    assert small.peak_memory_bytes < large.peak_memory_bytes <= 8_000_000_000
    assert [stage.stage for stage in small.stages] == list(stages)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("4GB", 4e9), ("512MB", 512e6), ("1.5 GB", 1.5e9), ("2GiB", 2 * 2**30), ("2G", 2e9)],
)
def test_memory_limits_are_read_as_the_engine_reads_them(text: str, expected: float) -> None:
    assert limit_bytes(text) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(12.4, "12 s"), (89, "89 s"), (100, "2 min"), (3000, "50 min"), (9000, "2.5 h")]
)
def test_durations_have_the_unit_that_suits_them(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected
