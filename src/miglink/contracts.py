"""The contracts of the tables in words: for the terminal, as JSON, and as the page docs/tables.md."""

import dataclasses
import json

from miglink.tables import TABLES, Contract

_OPENING = """# Tables

Every table a run makes, in the order of the stages. This page is generated from `src/miglink/tables/`
(`make docs`); engines check each table against it when they write it. Types are DuckDB's.
"""


def contracts_as_text() -> str:
    """One paragraph for each table, its columns indented."""
    return "\n".join(_paragraph(contract) for contract in TABLES.values())


def contracts_as_json() -> str:
    """All contracts as JSON, by name."""
    return (
        json.dumps({name: dataclasses.asdict(contract) for name, contract in TABLES.items()}, indent=2) + "\n"
    )


def contracts_as_markdown() -> str:
    """The page docs/tables.md."""
    overview = ["| table | stage | key | rows |", "|---|---|---|---|"]
    overview += [
        f"| [{c.name}](#{c.name}) | {c.stage} | {', '.join(c.key)} | {c.sentence} |" for c in TABLES.values()
    ]
    return "\n".join([_OPENING, *overview, "", *map(_section, TABLES.values())])


def _paragraph(contract: Contract) -> str:
    lines = [f"{contract.name} ({contract.stage}): {contract.sentence}", f"  key: {', '.join(contract.key)}"]
    for column in contract.columns:
        required = "" if column.nullable else ", required"
        lines.append(f"  {column.name:<22} {column.type}{required}: {column.meaning}")
    if contract.open_columns:
        lines.append("  … and the further columns of the configuration")
    return "\n".join(lines) + "\n"


def _section(contract: Contract) -> str:
    lines = [
        f"## {contract.name}",
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
