"""Reads a configuration: every wrong key at once, with its line and what was probably meant."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from miglink.config.agreement import find_disagreements
from miglink.config.mobility import RollingWindowRule
from miglink.config.models import Section
from miglink.config.problems import find_problems, unknown_key
from miglink.config.rules import RULE_KINDS, Rule
from miglink.config.run import Config
from miglink.config.shells import Shell
from miglink.config.sources import KIND_COLUMNS, PERSON_COLUMNS
from miglink.config.yaml_tree import Node, Place, Problem, parse_yaml, read_yaml
from miglink.errors import ConfigError

_VARIABLE = "MIGLINK_"
_PATHS = (
    ("key", "file"),
    ("engine", "temp_directory"),
    ("engine", "checkpoint_folder"),
    ("linkage", "model"),
    ("persons", "previous"),
    ("publish", "protection", "ptable"),
)

AnySection = TypeVar("AnySection", bound=Section)

# All kinds of rules, and the sections that name those which give what the section is called.
_KINDS: dict[str, type[Rule | RollingWindowRule]] = {**RULE_KINDS, "rolling_window": RollingWindowRule}
_SECTIONS = ("residence", "mobility")


def read_config(
    path: Path, overrides: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Config:
    """Read a configuration file, with `a.b=v` overrides; ConfigError lists everything that is wrong with it.

    A variable of the environment such as MIGLINK_ENGINE__MEMORY_LIMIT overrides the file; `overrides` override both.
    """
    problems: list[Problem] = []
    tree = read_yaml(path, "configuration", problems)
    for name, value in sorted((environment or {}).items()):
        if name.startswith(_VARIABLE) and "__" in name.removeprefix(_VARIABLE):
            keys = name.removeprefix(_VARIABLE).lower().split("__")
            _override(tree, f"{'.'.join(keys)}={value}", name, problems)
    for override in overrides:
        _override(tree, override, f"--set {override.partition('=')[0]}", problems)
    if not isinstance(tree.value, dict):
        raise ConfigError(
            f"{tree.place}: the configuration must be a section with keys; it begins with `name: …`"
        )
    base = Path(os.path.abspath(path)).parent
    _make_paths_absolute(tree, base)
    wrong_rules = _insert_rules(tree, base) + _insert_shells(tree, base)
    _check_columns(tree, problems)
    config, found = _validate(Config, tree)
    if config is not None:
        found = find_disagreements(config, tree)
    if wrong_rules:
        named = ("publish.tables", *(f"{name}.rules" for name in _SECTIONS))
        found = [one for one in found if not one.key.startswith(named)]
    _raise(problems + wrong_rules + found)
    assert config is not None
    return config


def read_rule(name_or_path: str, base: Path) -> Rule:
    """Read a usual-residence rule, as `read_any_rule` does; ConfigError for one that gives something else."""
    rule = read_any_rule(name_or_path, base)
    if isinstance(rule, RollingWindowRule):
        raise ConfigError(
            f"rule '{name_or_path}' says how long somebody may stay, not who lives here; name it under "
            "`mobility.rules` of a configuration, and use `miglink run`"
        )
    return rule


def read_any_rule(name_or_path: str, base: Path) -> Rule | RollingWindowRule:
    """Read a rule: the name of a preset, or a file, its path relative to `base`."""
    problems: list[Problem] = []
    tree = _read_preset("rule", name_or_path, base, problems)
    rule, found = _validate_rule(tree)
    if name_or_path not in preset_rules():
        found += _taken_name(rule, tree)
    _raise(problems + found)
    assert rule is not None
    return rule


def read_shell(name_or_path: str, base: Path) -> Shell:
    """Read a table shell: the name of one that miglink brings, or a file, its path relative to `base`."""
    problems: list[Problem] = []
    shell, found = _validate(Shell, _read_preset("table", name_or_path, base, problems))
    _raise(problems + found)
    assert shell is not None
    return shell


def _read_preset(what: str, name_or_path: str, base: Path, problems: list[Problem]) -> Node:
    """The tree of a rule or table shell: a preset by its name, or a file."""
    presets = preset_rules() if what == "rule" else preset_shells()
    if name_or_path in presets:
        path = presets[name_or_path]
    elif name_or_path.endswith((".yml", ".yaml")) or "/" in name_or_path or "\\" in name_or_path:
        path = base / name_or_path
    else:
        raise ConfigError(
            f"{what} '{name_or_path}': no such preset, {unknown_key(name_or_path, presets)}; a {what} of your own "
            "is named by the path of its file, ending in .yml"
        )
    tree = read_yaml(path, what, problems)
    if not isinstance(tree.value, dict):
        raise ConfigError(f"{tree.place}: a {what} must be a section with keys; see the presets")
    return tree


def _taken_name(rule: Rule | RollingWindowRule | None, tree: Node) -> list[Problem]:
    """A rule of the user's own that bears the name of a preset but decides otherwise: results would be mistaken."""
    name = tree.child("name")
    if rule is None or name is None or rule.name not in preset_rules():
        return []
    preset = read_any_rule(rule.name, Path())
    if rule.model_copy(update={"title": preset.title}) == preset:
        return []
    message = f"'{rule.name}' is the name of a preset that has other values; give the rule a name of its own"
    return [Problem(name.place, "name", message)]


def _validate_rule(tree: Node) -> tuple[Rule | RollingWindowRule | None, list[Problem]]:
    """Validate a rule by the model of its kind, so that problems speak of that kind only."""
    kind = tree.child("kind")
    if kind is None or str(kind.value) not in _KINDS:
        advice = unknown_key(str(kind.value), _KINDS) if kind else f"known: {', '.join(_KINDS)}"
        what = f"no such kind of rule, {advice}" if kind else f"missing: the family of rules; {advice}"
        return None, [Problem(kind.place if kind else tree.place, "kind", what)]
    return _validate(_KINDS[str(kind.value)], tree)


def preset_rules() -> dict[str, Path]:
    """The rules that miglink brings, by name: in the installed package, or beside the sources."""
    return _presets("rules")


def preset_shells() -> dict[str, Path]:
    """The table shells that miglink brings, by name."""
    return _presets("tables")


def _presets(kind: str) -> dict[str, Path]:
    installed = Path(str(files("miglink"))) / "presets" / kind
    folder = installed if installed.is_dir() else Path(__file__).parents[3] / "configs" / kind
    return {path.stem: path for path in sorted(folder.glob("*.yml"))}


def _validate(model: type[AnySection], tree: Node) -> tuple[AnySection | None, list[Problem]]:
    """Validate as JSON: strict about types, while lists, dates and paths have only their JSON forms anyway."""
    try:
        return model.model_validate_json(json.dumps(tree.plain())), []
    except ValidationError as error:
        return None, find_problems(error, model, tree)


def _raise(problems: Sequence[Problem]) -> None:
    if problems:
        raise ConfigError(*map(str, sorted(set(problems))))


def _override(tree: Node, override: str, origin: str, problems: list[Problem]) -> None:
    """Set one value of the tree; an unknown key is found by the validation that follows."""
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    place = Place(0, 0, origin)
    if not equals or not all(keys):
        problems.append(Problem(place, "", "write it as section.key=value"))
        return
    value = parse_yaml(text, "", problems, place)
    node = tree
    for depth, key in enumerate(keys):
        is_last = depth == len(keys) - 1
        if isinstance(node.value, list) and key.isdigit() and int(key) < len(node.value):
            if is_last:
                node.value[int(key)] = value
            node = node.value[int(key)]
        elif isinstance(node.value, dict):
            if is_last:
                node.value[key] = value
            node = node.value.setdefault(key, Node({}, place, place))
        else:
            where = ".".join(keys[:depth]) or "the configuration"
            problems.append(Problem(place, "", f"{where} has no `{key}`: it is {_SHAPE[node.shape]}"))
            return


_SHAPE = {
    "list": "a list with fewer entries, or one that is not counted from 0",
    "single": "one value",
    "section": "",
}


def _make_paths_absolute(tree: Node, base: Path) -> None:
    nodes = []
    for path in _PATHS:
        found: Node | None = tree
        for name in path:
            found = found.child(name) if found else None
        nodes.append(found)
    sources = tree.child("sources")
    for source in sources.value.values() if sources and isinstance(sources.value, dict) else ():
        names = source.child("files")
        nodes.extend(names.value if names and isinstance(names.value, list) else [names])
    for node in nodes:
        if node is not None and isinstance(node.value, str) and node.value:
            node.value = os.path.abspath(base / node.value)


def _insert_rules(tree: Node, base: Path) -> list[Problem]:
    """Put the rules themselves where the configuration names them; gives what is wrong with them."""
    problems: list[Problem] = []
    for section in _SECTIONS:
        parent = tree.child(section)
        rules = parent.child("rules") if parent else None
        for number, node in enumerate(rules.value if rules and isinstance(rules.value, list) else ()):
            problems += _insert_rule(node, base, section, number)
    return problems


def _insert_rule(node: Node, base: Path, section: str, number: int) -> list[Problem]:
    """Put a rule in the place of its name; gives what is wrong with it."""
    key = f"{section}.rules"
    if isinstance(node.value, dict):
        rule, wrong = _validate_rule(node)
        wrong += _taken_name(rule, node)
        wrong = [
            replace(one, key=f"{key}.{number}.{one.key}" if one.key else f"{key}.{number}") for one in wrong
        ]
    elif isinstance(node.value, str):
        try:
            rule, wrong = read_any_rule(node.value, base), []
        except ConfigError as error:
            return [Problem(node.place, key, line) for line in error.problems]
        node.value = parse_yaml(rule.model_dump_json(by_alias=True), "", [], node.place).value
    else:
        return []
    if rule is not None and rule.gives != section:
        message = f"rule {rule.name} gives {rule.gives}: name it under `{rule.gives}.rules`"
        wrong.append(Problem(node.place, key, message))
    return wrong


def _insert_shells(tree: Node, base: Path) -> list[Problem]:
    """Put the table shells themselves where the configuration names them; gives what is wrong with them."""
    problems: list[Problem] = []
    parent = tree.child("publish")
    shells = parent.child("tables") if parent else None
    for node in shells.value if shells and isinstance(shells.value, list) else ():
        if not isinstance(node.value, str):
            continue
        try:
            shell = read_shell(node.value, base)
        except ConfigError as error:
            problems += [Problem(node.place, "publish.tables", line) for line in error.problems]
            continue
        node.value = parse_yaml(shell.model_dump_json(by_alias=True), "", [], node.place).value
    return problems


def _check_columns(tree: Node, problems: list[Problem]) -> None:
    """Each source maps only columns that its kind has; each further column is mapped by a source."""
    names: dict[str, tuple[str, Node]] = {}
    for section, key in (("identities", "further_columns"), ("estimates", "traits")):
        parent = tree.child(section)
        further = parent.child(key) if parent else None
        for node in further.value if further and isinstance(further.value, list) else ():
            names[str(node.value)] = (f"{section}.{key}", node)
    sources = tree.child("sources")
    mapped: set[str] = set()
    for name, source in sources.value.items() if sources and isinstance(sources.value, dict) else ():
        kind, columns = source.child("kind"), source.child("columns")
        if (
            kind is None
            or str(kind.value) not in KIND_COLUMNS
            or columns is None
            or not isinstance(columns.value, dict)
        ):
            continue
        own = KIND_COLUMNS[str(kind.value)]
        known = own if kind.value == "judgements" else (*PERSON_COLUMNS, *own, *names)
        mapped.update(columns.value)
        for column, node in columns.value.items():
            if column not in known:
                message = f"kind {kind.value} has no such column, {unknown_key(column, known)}"
                problems.append(Problem(node.key_place, f"sources.{name}.columns.{column}", message))
    for column, (key, node) in names.items():
        if mapped and column not in mapped:
            message = (
                f"no source maps '{column}': add it under the `columns` of a source, or leave it out here"
            )
            problems.append(Problem(node.place, key, message))
