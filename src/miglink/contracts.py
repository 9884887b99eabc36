"""The contracts of the tables and the table shells in words: for the terminal, as JSON, and as docs/tables.md."""

import dataclasses
import json

from miglink.codes.lists import list_facts, list_names
from miglink.config import Shell, preset_shells, read_shell
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
_SHELLS = """# Table shells

Tables in the columns and codes of those who publish them, for `publish.tables` (`docs/publication.md`). A table not
verified has a title, columns or codes that were not read in the primary source.
"""
_LISTS = """# Code lists

The codes of publishers for ours: `src/miglink/codes/lists/NAME.csv`.
"""
_SECTIONS = (
    (_OPENING, TABLES),
    (_EVALUATION, EVALUATION_TABLES),
    (_COMPARISON, COMPARISON_TABLES),
    (_TRUTH, TRUTH_TABLES),
)


def contracts_as_text() -> str:
    """One paragraph for each table, its columns indented."""
    contracts = [_paragraph(contract) for _, tables in _SECTIONS for contract in tables.values()]
    return "\n".join([*contracts, *map(_shell_paragraph, _shells())])


def contracts_as_json() -> str:
    """All contracts as JSON, by name; those of the truth as truth/name, table shells as shell/name."""
    contracts = {
        _label(contract): dataclasses.asdict(contract)
        for _, tables in _SECTIONS
        for contract in tables.values()
    }
    shells = {f"shell/{shell.name}": shell.model_dump(mode="json", by_alias=True) for shell in _shells()}
    return json.dumps(contracts | shells, indent=2) + "\n"


def contracts_as_markdown() -> str:
    """The page docs/tables.md."""
    contracts = [text for opening, tables in _SECTIONS for text in _chapter(opening, list(tables.values()))]
    return "\n".join([*contracts, *_shell_chapter(), *_list_chapter()])


def _chapter(opening: str, contracts: list[Contract]) -> list[str]:
    overview = ["| table | stage | key | rows |", "|---|---|---|---|"]
    overview += [
        f"| [{_label(c)}](#{_label(c).replace('/', '')}) | {c.stage} | {', '.join(c.key)} | {c.sentence} |"
        for c in contracts
    ]
    return [opening, *overview, "", *map(_section, contracts)]


def _shells() -> list[Shell]:
    return [read_shell(name, path.parent) for name, path in preset_shells().items()]


def _shell_paragraph(shell: Shell) -> str:
    doubt = "" if shell.is_verified else "; not all read in the primary source"
    return (
        f"{shell.name} (table shell): {shell.title}\n  {shell.publisher}; {shell.reference}{doubt}\n"
        f"  {shell.measure} by {', '.join(shell.dimensions)}; rules: {_rules(shell)}\n"
    )


def _rules(shell: Shell) -> str:
    return ", ".join(dict.fromkeys(one.rule for one in shell.rules))


def _shell_chapter() -> list[str]:
    lines = [
        _SHELLS,
        "| table | title | publisher | reference | counts | by | rules | verified |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{s.name}` | {s.title} | {s.publisher} | {s.reference} | {s.measure} | {', '.join(s.dimensions)} | "
        f"{_rules(s)} | {'yes' if s.is_verified else 'no'} |"
        for s in _shells()
    ]
    return [*lines, ""]


def _list_chapter() -> list[str]:
    lines = [_LISTS, "| list | codes of | source | looked up | verified |", "|---|---|---|---|---|"]
    for facts in map(list_facts, list_names()):
        verified = "yes" if facts.is_verified else "no"
        lines.append(f"| `{facts.name}` | {facts.title} | {facts.source} | {facts.date} | {verified} |")
    return [*lines, ""]


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
