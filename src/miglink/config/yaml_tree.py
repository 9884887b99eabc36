"""YAML 1.2 as a tree that knows where each key and value stands in its file."""

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml import nodes as yaml_nodes
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from miglink.errors import ConfigError

_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, order=True)
class Place:
    """Line and column of a file; line 0 for an option of the command line."""

    line: int
    column: int
    origin: str

    def __str__(self) -> str:
        return f"{self.origin}:{self.line}:{self.column}" if self.line else self.origin


@dataclass(frozen=True, order=True)
class Problem:
    """Something wrong at a place, about a key written with dots; what is wrong stands in `message`."""

    place: Place
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.key}: {self.message}" if self.key else f"{self.place}: {self.message}"


@dataclass
class Node:
    """A value with its place, the place of its key, and (single values) the text as it was written."""

    value: "str | int | float | bool | dict[str, Node] | list[Node] | None"
    place: Place
    key_place: Place
    text: str = ""

    @property
    def shape(self) -> str:
        """section, list or single."""
        return (
            "section"
            if isinstance(self.value, dict)
            else "list"
            if isinstance(self.value, list)
            else "single"
        )

    def child(self, key: str | int) -> "Node | None":
        """The value under a key of a section, or at a position of a list."""
        if isinstance(self.value, dict):
            return self.value.get(str(key))
        if isinstance(self.value, list) and isinstance(key, int) and key < len(self.value):
            return self.value[key]
        return None

    def plain(self) -> Any:
        """The value and all below it as dicts, lists and single values."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def read_yaml(path: Path, what: str, problems: list[Problem]) -> Node:
    """The tree of a file; keys given twice and keys that are not text are added to the problems."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: the {what} is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: the {what} cannot be read: {error.strerror}; check the path") from None
    return parse_yaml(text, path.name, problems)


def parse_yaml(text: str, origin: str, problems: list[Problem], place: Place | None = None) -> Node:
    """The tree of a text; with `place`, everything in it stands there (an option of the command line)."""
    if text.lstrip().startswith("%YAML 1.1"):
        raise ConfigError(
            f"{place or origin}: YAML 1.1 reads NO (Norway) as false; remove the line %YAML 1.1"
        )
    try:
        node = YAML(typ="safe", pure=True).compose(io.StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = place or Place(mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, origin)
        raise ConfigError(f"{at}: not YAML: {error.problem or error.context}") from None
    except YAMLError as error:
        kind = type(error).__name__
        raise ConfigError(
            f"{place or origin}: not YAML: it holds a character YAML does not allow ({kind})"
        ) from None
    if node is None:
        at = place or Place(1, 1, origin)
        return Node(None, at, at)
    return _Tree(origin, problems, place).build(node, "", ())


@dataclass
class _Tree:
    """Turns the nodes of ruamel.yaml into ours: aliases copied, merges (<<) resolved, YAML 1.2 words only."""

    origin: str
    problems: list[Problem]
    fixed: Place | None

    def build(self, node: Any, path: str, above: tuple[int, ...]) -> Node:
        place = self.place(node)
        if id(node) in above:
            raise ConfigError(f"{place}: {path}: an anchor that holds itself cannot be read")
        above = (*above, id(node))
        if isinstance(node, yaml_nodes.MappingNode):
            return Node(self.section(node, path, above), place, place)
        if isinstance(node, yaml_nodes.SequenceNode):
            items = [self.build(item, _join(path, str(i)), above) for i, item in enumerate(node.value)]
            return Node(list(items), place, place)
        return Node(self.single(node, path), place, place, str(node.value))

    def section(self, node: Any, path: str, above: tuple[int, ...]) -> dict[str, Node]:
        merged: dict[str, Node] = {}
        own: dict[str, Node] = {}
        for key, value in node.value:
            place, name = self.place(key), str(key.value)
            if not isinstance(key, yaml_nodes.ScalarNode):
                self.problems.append(Problem(place, path, "a key must be one word or text in quotes"))
            elif key.tag == f"{_TAG}merge":
                for source in value.value if isinstance(value, yaml_nodes.SequenceNode) else [value]:
                    if isinstance(source, yaml_nodes.MappingNode):
                        merged = {**self.section(source, path, (*above, id(source))), **merged}
                    else:
                        self.problems.append(
                            Problem(place, path, "`<<` must be followed by an alias of a section")
                        )
            else:
                if key.tag != f"{_TAG}str":
                    self.problems.append(Problem(place, _join(path, name), _quote_advice(name, str(key.tag))))
                if name in own:
                    message = f"given twice, first in line {own[name].key_place.line}; keep one"
                    self.problems.append(Problem(place, _join(path, name), message))
                own[name] = replace(self.build(value, _join(path, name), above), key_place=place)
        return {**merged, **own}

    def single(self, node: Any, path: str) -> str | int | float | bool | None:
        kind, text = str(node.tag).removeprefix(_TAG), str(node.value)
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            return _whole_number(text)
        if kind == "float" and text.lower().lstrip("+-") not in (".inf", ".nan"):
            return float(text.replace("_", ""))
        if kind not in ("str", "timestamp", "float"):
            self.problems.append(
                Problem(self.place(node), path, f"the tag {node.tag} has no meaning here; remove it")
            )
        return text

    def place(self, node: Any) -> Place:
        return self.fixed or Place(node.start_mark.line + 1, node.start_mark.column + 1, self.origin)


def found(node: Node) -> str:
    """What stands at a node, in words short enough for a message."""
    if node.shape != "single":
        return f"a {node.shape}"
    if node.value is None:
        return "nothing"
    kind = {bool: "", int: "the number ", float: "the number "}.get(type(node.value))
    text = node.text if len(node.text) <= 40 else node.text[:40] + "…"
    return repr(text) if kind is None else f"{kind}{text}"


def _quote_advice(text: str, tag: str) -> str:
    kinds = {"int": "a number", "float": "a number", "bool": "true or false", "null": "nothing"}
    kind = kinds.get(tag.removeprefix(_TAG), "no text")
    return f'YAML reads this key as {kind}; write it in quotes: "{text}"'


def _whole_number(text: str) -> int:
    digits = text.replace("_", "").lower()
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    return sign * (int(digits, 0) if digits[:2] in ("0x", "0o", "0b") else int(digits))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
