"""Turns what pydantic found wrong into sentences with a place, a key and what was probably meant."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from rapidfuzz import fuzz, process

from miglink.config.models import Section
from miglink.config.yaml_tree import Node, Problem, found

_SIMILAR = 60  # of 100; below, a suggestion misleads more often than it helps
_SHAPES = {"section": "a section with keys", "list": "a list", "single": "text"}
_EXPECTED = {
    "string_type": "text",
    "path_type": "a path",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a section with keys",
    "model_type": "a section with keys",
    "model_attributes_type": "a section with keys",
    "date_type": "a date such as 2019-03-31",
    "date_parsing": "a date such as 2019-03-31",
    "date_from_datetime_parsing": "a date such as 2019-03-31",
    "date_from_datetime_inexact": "a date such as 2019-03-31, without a time",
}


def find_problems(error: ValidationError, model: type[Section], tree: Node) -> list[Problem]:
    """Every problem that a validation found, at its place in the tree."""
    problems: list[Problem] = []
    unmatched: dict[str, tuple[Node, list[str]]] = {}
    for detail in error.errors(include_url=False):
        path, node, alternative = _locate(detail["loc"], tree)
        key = ".".join(path)
        if alternative is not None and alternative != node.shape:
            unmatched.setdefault(key, (node, []))[1].append(_SHAPES[alternative])
            continue
        message = _message(detail, path, node, model)
        if message:
            is_about_key = (
                detail["type"] in ("missing", "extra_forbidden", "value_error")
                or detail["loc"][-1] == "[key]"
            )
            problems.append(Problem(node.key_place if is_about_key else node.place, key, message))
    explained = [problem.key for problem in problems]
    for key, (node, shapes) in unmatched.items():
        if not any(other == key or other.startswith(f"{key}.") for other in explained):
            problems.append(Problem(node.place, key, f"expected {' or '.join(shapes)}, found {found(node)}"))
    return problems


def unknown_key(word: str, known: Iterable[str]) -> str:
    """The message for a key or name that is not known, with the nearest known one or all of them."""
    names = list(known)
    guess = suggest(word, names)
    return f"did you mean '{guess}'?" if guess else f"known: {', '.join(names) or 'none'}"


def suggest(word: str, known: Sequence[str]) -> str | None:
    """The known word most like this one, if any is like it."""
    best = process.extractOne(
        word.lower(), known, scorer=fuzz.ratio, processor=str.lower, score_cutoff=_SIMILAR
    )
    return best[0] if best else None


def fields_at(model: type[Section], path: Sequence[str]) -> dict[str, FieldInfo]:
    """The keys that the section at a path may have."""
    types: list[Any] = [model]
    for name in path:
        types = [inner for type_ in types for inner in _below(type_, name)]
    sections = [section for type_ in types for section in _sections(type_)]
    return {
        field.alias or name: field for section in sections for name, field in section.model_fields.items()
    }


def _below(type_: Any, name: str) -> Iterator[Any]:
    """The types of what may stand under a name."""
    for section in _sections(type_):
        for field_name, field in section.model_fields.items():
            if name in (field_name, field.alias):
                yield field.annotation
    arguments = [argument for argument in get_args(type_) if argument is not Ellipsis]
    if type_ is not None and arguments:
        for argument in arguments:
            if get_origin(type_) in (dict, tuple):
                yield argument
            else:
                yield from _below(argument, name)


def _sections(type_: Any) -> Iterator[type[Section]]:
    if isinstance(type_, type) and issubclass(type_, Section):
        yield type_
    elif get_origin(type_) not in (dict, tuple):
        for argument in get_args(type_):
            yield from _sections(argument)


def _locate(location: Sequence[str | int], tree: Node) -> tuple[list[str], Node, str | None]:
    """The keys down to what is wrong, the deepest node on the way, and the shape that an alternative asks for.

    Where a value may have several types, pydantic reports each with a name of its own in the location: `str`,
    `tuple[…]` or the name of a section.
    """
    path: list[str] = []
    node, alternative = tree, None
    for step in location:
        below = node.child(step)
        if below is not None:
            node, alternative = below, None
            path.append(str(step))
        elif step == location[-1] and alternative is None and not _is_alternative(step):
            path.append(str(step))
        elif step != "[key]":
            is_list = str(step).startswith("tuple[")
            alternative = "single" if step == "str" else "list" if is_list else "section"
            if alternative != node.shape:
                break
    return path, node, alternative


def _is_alternative(step: str | int) -> bool:
    return step == "str" or str(step).startswith(("tuple[", "function-", "[key]")) or str(step)[:1].isupper()


def _message(detail: ErrorDetails, path: Sequence[str], node: Node, model: type[Section]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key, {unknown_key(path[-1], fields_at(model, path[:-1]))}"
    if kind == "missing":
        field = fields_at(model, path[:-1]).get(path[-1])
        return "missing" + (f": {' '.join(field.description.split())}" if field and field.description else "")
    if kind in ("value_error", "assertion_error"):
        return detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if kind in ("too_short", "too_long") and isinstance(node.value, dict | list):
        least, most = context.get("min_length", 0), context.get("max_length", len(node.value))
        if least <= len(node.value) <= most:
            return ""  # the entries are there, but wrong in themselves
        return f"expected at {f'least {least}' if kind == 'too_short' else f'most {most}'} entries"
    return f"expected {_expected(detail, context)}{_but_found(kind, path, node, context)}"


def _expected(detail: ErrorDetails, context: dict[str, Any]) -> str:
    kind = detail["type"]
    if kind == "literal_error":
        return str(context["expected"])
    if kind == "string_pattern_mismatch":
        return f"text that matches {context['pattern']}"
    return _EXPECTED.get(kind) or detail["msg"].replace("Input should be", "a value").replace(
        "String should have", "text of"
    )


def _but_found(kind: str, path: Sequence[str], node: Node, context: dict[str, Any]) -> str:
    if path and path[0] == "key":  # a secret may have been written here
        return ""
    if kind == "string_type" and isinstance(node.value, bool | int | float):
        return f', found {found(node)}: write it in quotes, "{node.text}"'
    guess = None
    if kind == "literal_error" and isinstance(node.value, str):
        guess = suggest(
            node.value, str(context["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
        )
    return f", found {found(node)}" + (f"; did you mean '{guess}'?" if guess else "")
