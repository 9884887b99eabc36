"""What two runs were told, read with and given: whether a difference of their figures can come from that alone."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from miglink.compare.inputs import Vintage

# What moves no figure, or is compared by other means: where a run computes and writes, its key, how far its data go.
_WITHOUT_EFFECT = ("name", "engine", "key", "publish", "mobility", "period.to", "persons.previous")
_OF_A_SOURCE = ("files", "bounds")
# What moves the statuses of persons who hold the same records; links show in the persons themselves.
_OF_EVERY_RULE = (
    "period.from",
    "countries",
    "sources.",
    "spells.",
    "residence.initial_status",
    "residence.resident_permits",
    "estimates.reporting_country",
)
_MOST = 48  # characters of a value that are shown


@dataclass(frozen=True)
class Change:
    """One key of the configuration that differs, with both values as JSON; `none` where a run does not have it."""

    key: str
    earlier: str
    later: str


@dataclass(frozen=True)
class Settings:
    """What sets two runs apart beside their data.

    changes: keys of the configuration that can move a figure. changed_rules: rules for which one of them does so
    for who holds the same records. rules_apart, policies_apart, sources_apart: of one of the two alone. software:
    name, earlier and later version. is_other_key: the pseudonyms of the two cannot be compared. engines: of both.
    """

    changes: tuple[Change, ...]
    changed_rules: frozenset[str]
    rules_apart: tuple[str, ...]
    policies_apart: tuple[str, ...]
    sources_apart: tuple[str, ...]
    software: tuple[Change, ...]
    is_other_key: bool
    engines: tuple[str, str]


def compare_settings(earlier: Vintage, later: Vintage) -> Settings:
    """Compare the manifests of two runs."""
    sides = [dict(_flatten(vintage.config)) for vintage in (earlier, later)]
    changes = tuple(
        Change(key, *(_shown(side.get(key)) for side in sides))
        for key in sorted({*sides[0], *sides[1]})
        if sides[0].get(key) != sides[1].get(key) and _has_effect(key)
    )
    rules = [{str(rule["name"]) for rule in v.config["residence"]["rules"]} for v in (earlier, later)]
    is_general = any(change.key.startswith(_OF_EVERY_RULE) for change in changes)
    changed = {
        rule
        for rule in rules[0] & rules[1]
        if is_general or any(change.key.startswith(f"residence.rules.{rule}.") for change in changes)
    }
    policies = [set(vintage.config["residence"].get("policies", ())) for vintage in (earlier, later)]
    sources = [set(vintage.config["sources"]) for vintage in (earlier, later)]
    versions = [
        {"miglink": str(v.manifest.get("miglink")), **v.manifest.get("libraries", {})}
        for v in (earlier, later)
    ]
    return Settings(
        changes,
        frozenset(changed),
        tuple(sorted(rules[0] ^ rules[1])),
        tuple(sorted(policies[0] ^ policies[1])),
        tuple(sorted(sources[0] ^ sources[1])),
        tuple(
            Change(name, str(versions[0].get(name)), str(versions[1].get(name)))
            for name in sorted({*versions[0], *versions[1]})
            if versions[0].get(name) != versions[1].get(name)
        ),
        _fingerprint(earlier) != _fingerprint(later),
        (earlier.engine.kind, later.engine.kind),
    )


def _flatten(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The values of the configuration by dotted key, as JSON; a rule by its name."""
    if path == "residence.rules":
        value = {str(rule["name"]): rule for rule in value}
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flatten(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, json.dumps(value, ensure_ascii=False, sort_keys=True)


def _has_effect(key: str) -> bool:
    parts = key.split(".")
    if parts[0] == "sources":
        return len(parts) < 3 or parts[2] not in _OF_A_SOURCE
    return not any(key == name or key.startswith(f"{name}.") for name in _WITHOUT_EFFECT)


def _shown(value: str | None) -> str:
    if value is None:
        return "none"
    return value if len(value) <= _MOST else f"{value[: _MOST - 1]}…"


def _fingerprint(vintage: Vintage) -> str | None:
    """What the manifest keeps of the key: enough to tell another one, not to find it."""
    for stage in vintage.manifest.get("stages", ()):
        if stage.get("name") == "persons":
            return str(stage.get("rests_on", {}).get("key"))
    return None
