"""The configuration that a run has used, for readers of its results: without secrets, and without places."""

import io
import re
from collections.abc import Mapping
from datetime import date
from pathlib import PurePath
from typing import Any

from ruamel.yaml import YAML

from miglink.config.run import Config

_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.\-]*://\S*", re.IGNORECASE)


def describe_used(config: Config) -> str:
    """The configuration as YAML: every value of the statistical choices, and of sources what is not a default.

    Left out are where the run computes and where its key is kept. Of paths the name of the file alone is told, and of
    addresses nothing.
    """
    values = config.model_dump(mode="python", by_alias=True, exclude_none=True)
    sources = config.model_dump(mode="python", by_alias=True, exclude_none=True, exclude_defaults=True)
    values["sources"] = {
        name: {key: _name(value) if key == "files" else value for key, value in source.items()}
        for name, source in sources["sources"].items()
    }
    values["engine"] = {"kind": values["engine"]["kind"]}
    values["key"] = {"demo": True} if config.key.demo else "not shown"
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.allow_unicode = True
    yaml.width = 110
    stream = io.StringIO()
    yaml.dump(_plain(values), stream)
    return stream.getvalue()


def _name(files: Any) -> Any:
    """The names of files without their folders."""
    if isinstance(files, list | tuple):
        return [_name(file) for file in files]
    return re.split(r"[/\\]", str(files).rstrip("/\\"))[-1]


def _plain(value: Any) -> Any:
    """A value as YAML writes it; sections without a value are left out."""
    if isinstance(value, Mapping):
        plain = {_plain(key): _plain(inner) for key, inner in value.items()}
        return {key: inner for key, inner in plain.items() if inner not in ({}, [])}
    if isinstance(value, PurePath):
        return value.name
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    return _ADDRESS.sub("(address not shown)", value) if isinstance(value, str) else value
