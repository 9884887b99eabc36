"""datapackage.json: what the files of a folder are, for people and for programs.

Version 1 of the standard: frictionless of Python and of R both read it. Only CSV is tabular there. Parquet is a `file`
with a schema, so that programs compare its size and hash, and leave its rows to readers of Parquet.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from miglink.elsewhere import find_note
from miglink.engine.columnar import Described
from miglink.runfolder import describe_file, files_of
from miglink.stages.publish.delimited import LINE_END
from miglink.tables import Column, Contract

DATAPACKAGE = "datapackage.json"
_TYPES = {
    "VARCHAR": "string",
    "DATE": "date",
    "INTEGER": "integer",
    "BIGINT": "integer",
    "DOUBLE": "number",
    "BOOLEAN": "boolean",
    "TIMESTAMP": "datetime",
}
# Columns carry their unit in their name; the first that fits.
_UNITS_BY_END = {
    "_date": "local calendar day",
    "_days": "days",
    "_year": "calendar year",
    "_share": "share, 0 to 1",
}
_DIALECT = {
    "header": True,
    "delimiter": ",",
    "lineTerminator": LINE_END,
    "quoteChar": '"',
    "doubleQuote": True,
}
_MEDIA = {
    "csv": "text/csv",
    "html": "text/html",
    "parquet": "application/vnd.apache.parquet",
    "sdmx.csv": "application/vnd.sdmx.data+csv; version=2.0.0",
    "xml": "application/vnd.sdmx.structure+xml; version=3.0.0",
}
_PAGES = {
    "html": "The published figures as a report, to be opened in a browser; it asks nothing of a network.",
    "xml": "Code lists, concepts, data structures and data flows of the SDMX-CSV files, as SDMX-ML 3.0.",
}


@dataclass(frozen=True)
class Package:
    """What a folder holds in all: the run, a title, a description, names of sources, and facts of the run."""

    run: str
    title: str
    description: str
    sources: Sequence[str]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class File:
    """A file, what its columns are, and its rows."""

    path: Path
    contract: Contract
    n_rows: int


def write_datapackage(
    folder: Path, package: Package, files: Sequence[File], pages: Sequence[Path] = ()
) -> Path:
    """Write datapackage.json for tables and pages of the folder; it appears under its name only when whole.

    No time and no path is in it, so that a run repeated gives the same bytes.
    Source: Data Package 1.0, Table Schema, CSV Dialect (specs.frictionlessdata.io).
    """
    names = {file.path.name for file in files}
    descriptor: dict[str, Any] = {
        "profile": "data-package",
        "name": f"{package.run}-{folder.name}".lower(),
        "title": f"{package.title}: {package.run}",
        "description": package.description,
        **package.facts,
    }
    if package.sources:
        descriptor["sources"] = [{"title": source} for source in sorted(package.sources)]
    descriptor["resources"] = [
        *(_describe_file(file, names) for file in files),
        *(_describe_page(page) for page in pages),
    ]
    return write_page(folder / DATAPACKAGE, json.dumps(descriptor, indent=2, ensure_ascii=False) + "\n")


def write_page(target: Path, text: str) -> Path:
    """Write a text; it appears under its name only when whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    part.write_text(text, encoding="utf-8", newline="\n")
    os.replace(part, target)
    return target


def describe_schema(contract: Contract) -> dict[str, Any]:
    """The columns and the key of a table as a Table Schema; `unit` is ours."""
    schema: dict[str, Any] = {"fields": [_describe_column(column) for column in contract.columns]}
    if contract.key:
        schema["primaryKey"] = list(contract.key)
    return {**schema, "missingValues": [""]}


def describe_table(contract: Contract, facts: Mapping[str, Any]) -> Described:
    """What a Parquet file says of itself: sentence, key, columns as in datapackage.json, and the facts of the run."""
    table = {
        "description": contract.sentence,
        "key": ", ".join(contract.key),
        "table_schema": json.dumps(describe_schema(contract), ensure_ascii=False),
        **{
            name: fact if isinstance(fact, str) else json.dumps(fact, ensure_ascii=False)
            for name, fact in facts.items()
        },
    }
    columns = {}
    for column in contract.columns:
        unit = unit_of(column)
        columns[column.name] = {"description": column.meaning, **({"unit": unit} if unit else {})}
    return Described(table, columns)


def unit_of(column: Column) -> str | None:
    """The unit that the name of a column carries; None where it has none."""
    for end, unit in _UNITS_BY_END.items():
        if column.name.endswith(end):
            return unit
    if column.name.startswith("p_"):
        return "probability, 0 to 1"
    return "count" if column.type == "BIGINT" or column.name == "n" else None


def _describe_column(column: Column) -> dict[str, Any]:
    unit = unit_of(column)
    constraints: dict[str, Any] = {} if column.nullable else {"required": True}
    if unit is not None and unit.endswith("0 to 1"):
        constraints |= {"minimum": 0, "maximum": 1}
    return {
        "name": column.name,
        "type": _TYPES[column.type],
        "description": column.meaning,
        **({"unit": unit} if unit else {}),
        **({"constraints": constraints} if constraints else {}),
    }


def _describe_bytes(path: Path) -> dict[str, Any]:
    """Where the bytes are: a file, or the parts of a folder that Spark wrote, which may lie elsewhere."""
    note = find_note(path)
    if note is not None:
        parts = [f"{path.name}/{name}" for name in sorted(note.n_bytes)]
        return {"path": parts, "bytes": sum(note.n_bytes.values()), "lies_at": note.address}
    size = describe_file(path)
    parts = [file.relative_to(path.parent).as_posix() for file in files_of(path)]
    return {
        "path": parts if path.is_dir() else path.name,
        "bytes": size["bytes"],
        "hash": f"sha256:{size['sha256']}",
    }


def _describe_page(path: Path) -> dict[str, Any]:
    """A page for people made from the tables beside it, or what says how they are structured."""
    page_format = path.suffix.removeprefix(".")
    return {
        "name": path.name,
        "profile": "data-resource",
        "type": "file",
        "description": _PAGES[page_format],
        "format": page_format,
        "mediatype": _MEDIA[page_format],
        **_describe_bytes(path),
    }


def _describe_file(file: File, names: set[str]) -> dict[str, Any]:
    path, contract = file.path, file.contract
    file_format = path.suffix.removeprefix(".")
    is_csv = file_format == "csv"
    described: dict[str, Any] = {
        "name": path.name,
        "profile": "tabular-data-resource" if is_csv else "data-resource",
        "type": "table" if is_csv else "file",
        "description": contract.sentence,
        "format": file_format,
        "mediatype": _MEDIA["sdmx.csv" if path.name.endswith(".sdmx.csv") else file_format],
        **_describe_bytes(path),
    }
    if is_csv:
        described |= {"rows": file.n_rows, "encoding": "utf-8", "dialect": _DIALECT}
    schema = describe_schema(contract)
    persons = "persons.parquet"
    if contract.name != "persons" and persons in names and "person_id" in {c.name for c in contract.columns}:
        reference = {"resource": persons, "fields": ["person_id"]}
        schema["foreignKeys"] = [{"fields": ["person_id"], "reference": reference}]
    return {**described, "schema": schema}
