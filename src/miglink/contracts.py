"""The contracts of the tables in words: for the terminal, as JSON, and as the page docs/tables.md."""

import dataclasses
import json

from miglink.tables import COMPARISON_TABLES, EVALUATION_TABLES, TABLES, TRUTH_TABLES, Contract

_OPENING = """# Tables

Every table a run makes, in the order of the stages. This page is generated from `src/miglink/tables/`
(`make docs`); engines check each table against it when they write it. Types are DuckDB's.
"""
_EVALUATION = """# Tables of an evaluation

What `miglink evaluate` writes into `evaluation/` of the run (`docs/evaluation.md`).
"""
_COMPARISON = """# Tables of a comparison

What `miglink compare RUN_A RUN_B … --out DIR` writes into DIR (`docs/revisions.md`).
"""
_TRUTH = """# Tables of the truth

What `miglink evaluate RUN --truth DIR` reads: Parquet files in DIR, `record_persons.parquet` and whichever of the
others there are. Ids may be of any type; further columns are left out.
"""
_SECTIONS = (
    (_OPENING, TABLES),
    (_EVALUATION, EVALUATION_TABLES),
    (_COMPARISON, COMPARISON_TABLES),
    (_TRUTH, TRUTH_TABLES),
)


def contracts_as_text() -> str:
    """One paragraph for each table, its columns indented."""
    return "\n".join(_paragraph(contract) for _, tables in _SECTIONS for contract in tables.values())


def contracts_as_json() -> str:
    """All contracts as JSON, by name; those of the truth as truth/name."""
    contracts = {
        _label(contract): dataclasses.asdict(contract)
        for _, tables in _SECTIONS
        for contract in tables.values()
    }
    return json.dumps(contracts, indent=2) + "\n"


def contracts_as_markdown() -> str:
    """The page docs/tables.md."""
    return "\n".join(
        text for opening, tables in _SECTIONS for text in _chapter(opening, list(tables.values()))
    )


def _chapter(opening: str, contracts: list[Contract]) -> list[str]:
    overview = ["| table | stage | key | rows |", "|---|---|---|---|"]
    overview += [
        f"| [{_label(c)}](#{_label(c).replace('/', '')}) | {c.stage} | {', '.join(c.key)} | {c.sentence} |"
        for c in contracts
    ]
    return [opening, *overview, "", *map(_section, contracts)]


def _label(contract: Contract) -> str:
    """Tables of the truth bear names of a run's tables: their label tells them apart."""
    return f"truth/{contract.name}" if contract.stage == "truth" else contract.name


def _paragraph(contract: Contract) -> str:
    lines = [
        f"{_label(contract)} ({contract.stage}): {contract.sentence}",
        f"  key: {', '.join(contract.key)}",
    ]
    for column in contract.columns:
        required = "" if column.nullable else ", required"
        lines.append(f"  {column.name:<22} {column.type}{required}: {column.meaning}")
    if contract.open_columns:
        lines.append("  … and the further columns of the configuration")
    return "\n".join(lines) + "\n"


def _section(contract: Contract) -> str:
    lines = [
        f"## {_label(contract)}",
        "",
        f"{contract.sentence} Stage: {contract.stage}. Key: {', '.join(contract.key)}.",
        "",
    ]
    lines += ["| column | type | null | meaning |", "|---|---|---|---|"]
    for column in contract.columns:
        lines.append(
            f"| `{column.name}` | {column.type} | {'yes' if column.nullable else 'no'} | {column.meaning} |"
        )
    if contract.open_columns:
        lines += ["", "Further columns that the configuration names follow."]
    return "\n".join(lines) + "\n"
