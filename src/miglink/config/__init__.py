"""The configuration: one YAML file, read into frozen, typed sections; a stage gets its own section only."""

from miglink.config.description import config_schema, describe_config
from miglink.config.keys import load_key, make_key
from miglink.config.reading import (
    preset_rules,
    preset_shells,
    read_any_rule,
    read_config,
    read_rule,
    read_shell,
)
from miglink.config.rules import Rule
from miglink.config.run import Config
from miglink.config.shells import Shell
from miglink.config.used import describe_used

__all__ = [
    "Config",
    "Rule",
    "Shell",
    "config_schema",
    "describe_config",
    "describe_used",
    "load_key",
    "make_key",
    "preset_rules",
    "preset_shells",
    "read_any_rule",
    "read_config",
    "read_rule",
    "read_shell",
]
