"""The rules that miglink brings, in words: for the terminal and as JSON."""

import json
from collections.abc import Iterator
from textwrap import wrap
from typing import Any

from miglink.config import Rule, preset_rules, read_any_rule
from miglink.config.mobility import RollingWindowRule

_WIDTH = 96
_SAID_FIRST = ("name", "title", "reference")


def rules_as_text() -> str:
    """One paragraph for each preset: what it says, every value with its unit, and where it is written."""
    return "\n".join(_paragraph(rule) for rule in _presets())


def rules_as_json() -> str:
    """All presets as JSON, by name."""
    rules = {rule.name: rule.model_dump(mode="json", by_alias=True) for rule in _presets()}
    return json.dumps(rules, indent=2, ensure_ascii=False) + "\n"


def _presets() -> list[Rule | RollingWindowRule]:
    return [read_any_rule(name, path.parent) for name, path in preset_rules().items()]


def _paragraph(rule: Rule | RollingWindowRule) -> str:
    values: dict[str, Any] = rule.model_dump(mode="json", by_alias=True)
    lines = [f"{values['name']}: {values['title']}", *_folded(f"Source: {values['reference']}")]
    for key, value in values.items():
        if key not in _SAID_FIRST and value is not None:
            lines += _folded(f"{key}: {_said(value)}")
    return "\n".join(lines) + "\n"


def _said(value: Any) -> str:
    """A parameter with its unit and source; anything else as it is."""
    if not isinstance(value, dict) or "value" not in value:
        return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list | bool) else str(value)
    since = f", from {value['applies_from']}" if value.get("applies_from") else ""
    doubt = "" if value.get("is_verified", True) else "; not read in the primary source"
    return f"{value['value']} {value['unit']}{since} ({value['reference']}{doubt})"


def _folded(text: str) -> Iterator[str]:
    return iter(wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="      "))
