"""SDMX: files that pysdmx reads as the rows of the other formats, and structures that are as the XSD says."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pysdmx.errors import Invalid
from pysdmx.io import get_datasets, read_sdmx
from pysdmx.model import Codelist

from given_published import END, STRATUM, TOTAL, little_run, make_whole
from given_run import BORDER, CONFIG, write
from miglink.check import check_config
from miglink.config import Shell, preset_shells, read_config, read_shell
from miglink.config.protection import ProtectionSettings
from miglink.engine import Engine
from miglink.engine.duckdb_engine import DuckDBEngine
from miglink.errors import ConfigError
from miglink.pipeline import make_plan
from miglink.runrecord import Course
from miglink.stages.publish import Protection, Publication, publish
from miglink.stages.publish.sdmx import write_structures
from miglink.stages.publish.sdmx.flows import (
    Flow,
    close_codes,
    describe_rows,
    describe_shell_flow,
    describe_table_flow,
    fill_flow,
)
from miglink.stages.publish.shells import describe_shell
from miglink.tables import TABLES
from miglink.tables.contract import DIMENSIONS, NUMBER, Column

HERE = Path(__file__).parent
EVERY = ("parquet", "csv", "sdmx-csv", "sdmx-ml")
MIGRANTS = {"GRC": "EL", "GBR": "UK", "RKS": "XK", "DEU": "DE"}
OWN = """\
name: moves_by_job
title: "Arrivals by job: 'all' of them"
publisher: the office
reference: its handbook
looked_up: 2026-01-31
measure: immigration
rules: [{rule: nz_12_16}]
columns:
  year: {gives: year, meaning: year of the move}
  2nd job: {dimension: occupation, meaning: job}
  Rule_: {constant: x, meaning: "kind; x: all kinds"}
  n: {gives: value, meaning: settled immigrations}
  when: {gives: flag, codes: {provisional: early}, meaning: what is provisional}
"""


def publish_little(engine: Engine, folder: Path) -> Path:
    """The little run in every format, with migrants of countries that Eurostat codes in its own way."""
    given = little_run()
    cells = [row for row in given["shell_cells"] if row["citizenship"] == "DEU"]
    assert cells
    given["shell_cells"] += [
        row | {"citizenship": code} for row in cells for code in MIGRANTS if code != "DEU"
    ]
    shells = (read_shell("migr_imm1ctz", HERE), read_shell("migr_pop1ctz", HERE))
    tables = {name: make_whole(engine, name, rows) for name, rows in given.items()}
    asked = Publication(
        reporting_country="NZL", formats=EVERY, shells=shells, table_rules={"migr_imm1ctz": "nz_12_16"}
    )
    publish(engine, tables, folder / "run", END, asked)
    return folder / "run" / "outputs"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("sdmx")
    engine = DuckDBEngine(folder / "tables")
    yield publish_little(engine, folder)
    engine.close()


def read(outputs: Path, name: str) -> pl.DataFrame:
    """A file of SDMX-CSV as pysdmx reads it with its structure; what is empty there is null here."""
    (dataset,) = get_datasets(outputs / f"{name}.sdmx.csv", outputs / "structure.xml")
    data = dataset.data
    columns = {
        column: data[column].astype(object).where(data[column].notna(), None).tolist() for column in data
    }
    rows = pl.DataFrame(columns, strict=False)
    texts = [column for column, kind in rows.schema.items() if kind == pl.String]
    return rows.with_columns(pl.col(texts).replace({"": None}))


def flow_of(shell: Shell, country: str = "NZL") -> Flow:
    return describe_shell_flow(shell, describe_shell(shell), country)


def written(shell: Shell, *rows: Mapping[str, Any]) -> tuple[Flow, list[dict[str, Any]]]:
    """Rows of a table of publishers, given in its columns, as those of SDMX-CSV."""
    types = {"BIGINT": pl.Int64(), "DATE": pl.Date()}
    schema = {c.name: types.get(c.type, pl.String()) for c in describe_shell(shell).columns}
    filled = fill_flow(pl.LazyFrame(list(rows), schema=schema), flow_of(shell))
    return close_codes(flow_of(shell), filled), filled.to_dicts()


def test_pysdmx_reads_the_rows_of_the_parquet_file(engine: Engine, tmp_path: Path) -> None:
    outputs = publish_little(engine, tmp_path)
    rows = read(outputs, "migr_imm1ctz")
    given = pl.read_parquet(outputs / "migr_imm1ctz.parquet")
    assert set(MIGRANTS.values()) <= {*given["citizen"]}
    assert rows.equals(given.select(rows.columns).cast(rows.schema))
    assert rows.columns == [
        "freq", "citizen", "agedef", "age", "unit", "sex", "geo", "TIME_PERIOD", "OBS_VALUE", "OBS_FLAG", "CONF_STATUS",
    ]  # fmt: skip
    for name in ("stocks", "flows"):
        given = pl.read_parquet(outputs / f"{name}.parquet")
        rows = read(outputs, name).rename(str.lower)
        same = {"time_period": "period", "obs_value": "n_settled"}
        shared = [column for column in rows.columns if same.get(column, column) in given.columns]
        assert {*DIMENSIONS, "rule", "policy", "n_undetermined", "lower", "upper", "data_to_date"} <= {
            *shared
        }
        theirs = given.select(pl.col(same.get(column, column)).alias(column) for column in shared)
        assert rows.select(shared).cast(theirs.schema).equals(theirs), name
        statuses = given["status"].replace({"final": "A", "provisional": "P"}).to_list()
        assert rows["obs_status"].to_list() == statuses
    frequencies = dict(read(outputs, "flows").select("TIME_PERIOD", "FREQ").iter_rows())
    assert frequencies == {"2018": "A", "2019": "A", "2018-02": "M", "2018-Q1": "Q"}


def test_every_row_names_its_data_flow(outputs: Path) -> None:
    for name, flow in (("migr_imm1ctz", "ESTAT:MIGR_IMM1CTZ(1.0)"), ("stocks", "MIGLINK:STOCKS(1.0)")):
        rows = pl.read_csv(outputs / f"{name}.sdmx.csv", infer_schema=False)
        assert rows.columns[:3] == ["STRUCTURE", "STRUCTURE_ID", "ACTION"]
        assert rows.select(rows.columns[:3]).unique().rows() == [("dataflow", flow, "I")]
    # A table without figures has no rows that could say so: it is a data flow, but no file.
    assert pl.read_parquet(outputs / "migr_pop1ctz.parquet").is_empty()
    assert not (outputs / "migr_pop1ctz.sdmx.csv").exists()
    assert "Dataflow=ESTAT:MIGR_POP1CTZ(1.0)" in {
        one.short_urn for one in structures(outputs / "structure.xml")
    }


def structures(document: Path | str) -> list[Any]:
    """What a document of structures holds; pysdmx checks it against the XSD first."""
    return list(read_sdmx(document, validate=True).structures or ())


def test_every_code_of_the_rows_is_in_its_list(outputs: Path) -> None:
    found = {one.short_urn: one for one in structures(outputs / "structure.xml")}
    for name, structure in (("migr_imm1ctz", "ESTAT:MIGR_IMM1CTZ"), ("flows", "MIGLINK:FLOWS")):
        rows = read(outputs, name)
        components = found[f"DataStructure={structure}(1.0)"].components
        assert {component.id for component in components} == {*rows.columns}
        coded = {one.id: one.enumeration for one in components if isinstance(one.enumeration, Codelist)}
        assert len(coded) >= 9
        for column, codes in coded.items():
            assert {*rows[column].drop_nulls()} <= {code.id for code in codes}, column
    labels = {code.id: code.name for code in found["Codelist=MIGLINK:CL_EUROSTAT_COUNTRIES(1.0)"]}
    assert labels["EL"] == "Greece"
    assert labels["CI"] == "Côte d’Ivoire"


def test_the_xsd_finds_what_is_wrong(outputs: Path) -> None:
    text = (outputs / "structure.xml").read_text("utf-8")
    with pytest.raises(Invalid, match="agencyID"):
        structures(text.replace(' agencyID="ESTAT"', ""))


def test_every_preset_has_a_structure_that_the_xsd_accepts() -> None:
    flows = [flow_of(read_shell(name, HERE)) for name in preset_shells()]
    flows += [describe_table_flow(TABLES[name], "NZL") for name in ("stocks", "flows")]
    text = write_structures(flows, "all", END)
    found = [one.short_urn for one in structures(text)]
    assert len(set(found)) == len(found)
    assert {f"Dataflow=ESTAT:{name.upper()}(1.0)" for name in preset_shells() if name[:5] == "migr_"} <= {
        *found
    }
    # Three tables of the OECD are one data flow.
    assert {urn for urn in found if "OECD" in urn and "Dataflow" in urn} == {
        "Dataflow=OECD.ELS.IMD:DSD_MIG@DF_MIG(1.0)",
        "Dataflow=OECD.ELS.IMD:DSD_MIG_F@DF_MIG_POPF(1.0)",
    }
    measures = next(one for one in structures(text) if one.id == "CL_DSD_MIG_MEASURE")
    assert [code.id for code in measures] == ["B11", "B12", "B15"]
    assert "Not all of it was read in the primary source" in text


OURS = {
    "rule": "r",
    "policy": "p",
    "n_settled": 3,
    "n_undetermined": 0,
    "status": "provisional",
    "data_to_date": END,
}


def test_a_suppressed_figure_is_empty_and_says_why() -> None:
    estat = {
        "freq": "A",
        "citizen": "EL",
        "agedef": "REACH",
        "age": "TOTAL",
        "unit": "NR",
        "sex": "T",
        "geo": "NZ",
    }
    flags = {"TIME_PERIOD": "2019", "OBS_FLAG": "p"}
    shell = read_shell("migr_imm1ctz", HERE)
    cells = ({"OBS_VALUE": 3}, {"OBS_VALUE": None}, {"OBS_VALUE": None, "CONF_STATUS": "N"})
    _, rows = written(shell, *(estat | flags | OURS | {"CONF_STATUS": None} | cell for cell in cells))
    assert [(row["OBS_VALUE"], row["OBS_FLAG"], row["CONF_STATUS"]) for row in rows] == [
        (3, "p", None), (None, "p", "C"), (None, "p", "N"),
    ]  # fmt: skip
    shell = read_shell("oecd_b11", HERE)
    oecd = dict.fromkeys(shell.columns, "_Z") | OURS | {"TIME_PERIOD": "2019", "OBS_STATUS": "P"}
    _, rows = written(shell, oecd | {"OBS_VALUE": 3}, oecd | {"OBS_VALUE": None})
    assert [(row["OBS_VALUE"], row["OBS_STATUS"]) for row in rows] == [(3, "P"), (None, "Q")]
    contract = TABLES["stocks"]
    cell = STRATUM | TOTAL | {"period": "2019-01-01", "status": "final", "data_to_date": END}
    types = {"BIGINT": pl.Int64(), "DATE": pl.Date(), "DOUBLE": pl.Float64()}
    schema = {column.name: types.get(column.type, pl.String()) for column in contract.columns}
    given = pl.LazyFrame([cell | {"n_settled": 3}, cell | {"n_settled": None}], schema=schema)
    ours = fill_flow(given, describe_table_flow(contract, "NZL"))
    told = ours.select("OBS_VALUE", "OBS_STATUS", "CONF_STATUS").rows()
    assert told == [(3, "A", None), (None, "Q", "C")]


def test_a_protected_run_tells_no_count_by_sdmx(duckdb_engine: Engine, tmp_path: Path) -> None:
    tables = {name: make_whole(duckdb_engine, name, rows) for name, rows in little_run().items()}
    settings = ProtectionSettings.model_validate({"method": "suppression", "minimum_count": 5})
    publication = Publication(reporting_country="NZL", formats=EVERY, protection=Protection(settings, "key"))
    publish(duckdb_engine, tables, tmp_path / "run", END, publication)
    outputs = tmp_path / "run" / "outputs"
    rows, given = read(outputs, "flows"), pl.read_parquet(outputs / "flows.parquet")
    assert rows["OBS_VALUE"].cast(pl.Int64).to_list() == given["n_settled"].to_list()
    assert 0 < given["n_settled"].null_count() < given.height
    suppressed = rows.filter(pl.col("OBS_VALUE").is_null())
    assert suppressed.select("OBS_STATUS", "CONF_STATUS").unique().rows() == [("Q", "C")]
    assert rows["CONF_STATUS"].null_count() == rows.height - suppressed.height


def test_what_the_tables_gain_becomes_an_attribute() -> None:
    contract = TABLES["stocks"]
    further = (*contract.columns, Column("standard_error", NUMBER, "standard error of n"))
    flow = describe_table_flow(replace(contract, columns=further), "NZL")
    attributes = {one.name: one.meaning for one in flow.of("attribute")}
    assert attributes["STD_ERROR"] == "standard error of n"
    assert {"LOWER", "UPPER", "N", "N_UNDETERMINED", "COVERAGE"} <= {*attributes}
    kinds = {column.name: column.type for column in describe_rows(flow).columns}
    assert (kinds["OBS_VALUE"], kinds["STD_ERROR"]) == ("BIGINT", "DOUBLE")


def test_a_table_of_the_office_is_a_data_flow_of_ours(tmp_path: Path) -> None:
    (tmp_path / "own.yml").write_text(OWN, encoding="utf-8")
    shell = read_shell("own.yml", tmp_path)
    cell = OURS | {"year": "2019", "Rule_": "x", "n": 3, "when": "early"}
    flow, rows = written(shell, cell | {"2nd job": "nurse, =1+1"}, cell | {"2nd job": "total"})
    assert list(rows[0].values())[:8] == [
        "dataflow", "MIGLINK:MOVES_BY_JOB(1.0)", "I", "nurse, =1+1", "x", "2019", 3, "P",
    ]  # fmt: skip
    assert list(rows[0])[3:] == [
        "C_2ND_JOB", "RULE_", "TIME_PERIOD", "OBS_VALUE", "OBS_STATUS", "CONF_STATUS",
        "RULE", "POLICY", "N_SETTLED", "N_UNDETERMINED", "DATA_TO_DATE",
    ]  # fmt: skip
    lists = {one.name: one.codelist for one in flow.of("dimension")}
    assert lists == {"C_2ND_JOB": None, "RULE_": "CL_MOVES_BY_JOB_RULE_"}
    found = structures(write_structures([flow], "own", END))
    assert {one.short_urn for one in found} >= {"Dataflow=MIGLINK:MOVES_BY_JOB(1.0)"}


def test_frictionless_accepts_every_format(outputs: Path) -> None:
    from frictionless import validate

    report = validate(str(outputs / "datapackage.json"))
    assert report.valid, report.flatten(["name", "type", "note"])
    assert {task.name for task in report.tasks} == {path.name for path in outputs.iterdir()} - {
        "datapackage.json"
    }
    package = json.loads((outputs / "datapackage.json").read_text("utf-8"))
    media = {one["name"]: one["mediatype"] for one in package["resources"]}
    assert media["stocks.sdmx.csv"] == "application/vnd.sdmx.data+csv; version=2.0.0"
    assert media["structure.xml"] == "application/vnd.sdmx.structure+xml; version=3.0.0"


def test_published_twice_gives_the_same_bytes(outputs: Path, duckdb_engine: Engine, tmp_path: Path) -> None:
    again = publish_little(duckdb_engine, tmp_path)
    names = [path.name for path in outputs.iterdir() if ".sdmx." in path.name or path.suffix == ".xml"]
    assert len(names) == 4
    for name in names:
        assert (outputs / name).read_bytes() == (again / name).read_bytes(), name


def test_without_the_extra_a_run_does_not_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, CONFIG + "publish: {formats: [csv, sdmx-csv, sdmx-ml]}\n", "config.yml")
    config = read_config(tmp_path / "config.yml")
    assert make_plan(config, "key", Course()).to_do
    monkeypatch.setitem(sys.modules, "pysdmx.io.xml.sdmx30.writer.structure", None)
    with pytest.raises(ConfigError, match=r"pip install 'miglink\[sdmx\]'"):
        make_plan(config, "key", Course())
    write(tmp_path, BORDER, "border.csv")
    assert "pip install 'miglink[sdmx]'" in check_config(config).problems[0]
    assert make_plan(
        read_config(tmp_path / "config.yml", ["publish.formats=[csv, sdmx-csv]"]), "key", Course()
    )


THEIRS = OWN.replace("  n:", "  OBS_VALUE:").replace("  year:", "  TIME_PERIOD:").replace("2nd job", "job")


@pytest.mark.parametrize(
    ("text", "sdmx", "said"),
    [
        (THEIRS, "{agency: X}", "sdmx.dataflow: missing"),
        (THEIRS, "{agency: X., dataflow: Y}", "sdmx.agency"),
        (THEIRS, "{agency: X, dataflow: Y, suppressed: {job: C}}", "'job' is no column with `gives: flag`"),
        (THEIRS.replace("OBS_VALUE", "n"), "{agency: X, dataflow: Y}", "must be called OBS_VALUE"),
        (THEIRS.replace("TIME_PERIOD", "year"), "{agency: X, dataflow: Y}", "a column TIME_PERIOD must"),
        (THEIRS.replace("job:", "2nd job:"), "{agency: X, dataflow: Y}", "'2nd job' is no id of SDMX"),
    ],
)
def test_what_is_wrong_with_a_data_flow_is_said(tmp_path: Path, text: str, sdmx: str, said: str) -> None:
    (tmp_path / "own.yml").write_text(f"{THEIRS}sdmx: {{agency: X, dataflow: Y}}\n", encoding="utf-8")
    assert flow_of(read_shell("own.yml", tmp_path)).structure == "Y"
    (tmp_path / "own.yml").write_text(f"{text}sdmx: {sdmx}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        read_shell("own.yml", tmp_path)
