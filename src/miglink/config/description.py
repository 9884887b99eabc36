"""The configuration described: as JSON Schema for editors, and as the page docs/configuration.md."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from miglink.config.models import Section
from miglink.config.rules import RULE_KINDS
from miglink.config.run import Config
from miglink.config.shells import Shell
from miglink.config.sources import KIND_COLUMNS, PERSON_COLUMNS, REQUIRED_COLUMNS

_OPENING = """# Configuration

One YAML file (YAML 1.2), its sections in the order in which data flow. This page is generated from the models
(`make docs`). Paths are relative to the configuration file. Unknown keys are errors. Write codes that look like
numbers in quotes (`"955"`). `miglink schema` prints the same as JSON Schema, for editors.

`--set section.key=value` overrides one value for one run. So does a variable of the environment whose name is the path
in capitals with two underscores between the keys, such as `MIGLINK_ENGINE__MEMORY_LIMIT=4GB`; `--set` comes last. The
run's manifest states what was used. Options of the commands have variables too: `MIGLINK_OUT`, `MIGLINK_RUNS`,
`MIGLINK_LOG_FORMAT`.
"""


_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path"}


def config_schema() -> dict[str, Any]:
    """The configuration as JSON Schema, with the sentences of the models as descriptions."""
    schema = Config.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    rules = schema["$defs"]["ResidenceSettings"]["properties"]["rules"]
    rules["items"] = {
        "anyOf": [{"type": "string", "description": "Preset or path of a rule file."}, rules["items"]]
    }
    shells = schema["$defs"]["PublishSettings"]["properties"]["tables"]
    shells["items"] = {
        "anyOf": [{"type": "string", "description": "Preset or path of a shell file."}, shells["items"]]
    }
    return schema


def describe_config() -> str:
    """The configuration as a page of Markdown."""
    parts = [_OPENING, _table(Config)]
    for title, section in _sections(Config, ""):
        parts.append(f"## {title}\n\n{_sentence(section.__doc__)}\n")
        parts.append(_table(section))
    parts.append(_columns())
    return "\n".join(parts)


def _sections(model: type[Section], path: str) -> Iterator[tuple[str, type[Section]]]:
    for name, field in model.model_fields.items():
        for section, step in _found_in(field.annotation, ""):
            title = f"{path}{field.alias or name}{step}"
            yield _title(section, title), section
            yield from _sections(section, f"{title}.")


def _title(section: type[Section], path: str) -> str:
    """The heading of a section; a rule may also be a file, of the kind that it names, and so may a table shell."""
    if section is Shell:
        return f"A table shell file (`{path}`)"
    kinds = [kind for kind, model in RULE_KINDS.items() if model is section]
    return f"A rule file of kind `{kinds[0]}` (`{path}`)" if kinds else f"`{path}`"


def _found_in(type_: Any, step: str) -> Iterator[tuple[type[Section], str]]:
    """The sections within a type, with what stands between the key and them: .NAME or an entry of a list."""
    if isinstance(type_, type) and issubclass(type_, Section):
        yield type_, step
    for argument in get_args(type_):
        inner = ".NAME" if get_origin(type_) is dict else "[]" if get_origin(type_) is tuple else ""
        yield from _found_in(argument, step + inner)


def _table(section: type[Section]) -> str:
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name, field in section.model_fields.items():
        cells = (
            f"`{field.alias or name}`",
            _type(field.annotation),
            _default(field),
            _sentence(field.description),
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _type(type_: Any) -> str:
    origin = get_origin(type_)
    arguments = [argument for argument in get_args(type_) if argument is not type(None)]
    if isinstance(type_, type) and issubclass(type_, Section):
        return "name of a preset, or file" if type_ in (*RULE_KINDS.values(), Shell) else "section"
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is dict:
        return f"names -> {_type(arguments[1])}"
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if arguments:
        return " or ".join(dict.fromkeys(map(_type, arguments)))
    return _WORDS.get(type_, str(type_.__name__))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None:
        return ""
    if isinstance(field.default, Section):
        return "as below"
    return f"`{json.dumps(field.default, ensure_ascii=False)}`"


def _columns() -> str:
    lines = [
        "## Columns of the kinds of sources",
        "",
        f"Every kind but judgements may map the fields of a person: {_names(PERSON_COLUMNS)}, and the columns named in",
        "`identities.further_columns`. Besides:",
        "",
        "| kind | required | optional |",
        "|---|---|---|",
    ]
    for kind, columns in KIND_COLUMNS.items():
        required = REQUIRED_COLUMNS[kind]
        optional = tuple(column for column in columns if column not in required)
        lines.append(f"| `{kind}` | {_names(required)} | {_names(optional)} |")
    return "\n".join(lines) + "\n"


def _names(columns: tuple[str, ...]) -> str:
    return ", ".join(f"`{column}`" for column in columns)


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split())
