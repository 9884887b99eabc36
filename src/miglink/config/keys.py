"""The secret behind the pseudonyms: made once, read from a file of mode 0600 or from the environment."""

import os
import secrets
import stat
from pathlib import Path

from miglink.config.stages import KeySettings
from miglink.errors import ConfigError

DEMO_KEY = "miglink-demonstration-key-with-which-anyone-can-recompute-the-pseudonyms"
_SHORTEST_KEY = 32


def make_key(file: Path) -> None:
    """Write a new key into a new file, readable by its owner alone; ConfigError if the file exists."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(f"{file} exists; a key is never overwritten: other runs may depend on it") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be made: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(secrets.token_hex(32) + "\n")


def load_key(settings: KeySettings) -> str:
    """The secret behind the pseudonyms; ConfigError where it is missing, too short or readable by others."""
    if settings.demo:
        return DEMO_KEY
    if settings.environment is not None:
        key = os.environ.get(settings.environment, "").strip()
        where = f"environment variable {settings.environment}"
        if not key:
            raise ConfigError(
                f"key.environment: the {where} is not set; set it to the content of a file of `miglink key`"
            )
    else:
        assert settings.file is not None  # the model admits exactly one of the three
        key, where = _key_of_file(settings.file), f"file {settings.file}"
    if len(key) < _SHORTEST_KEY:
        raise ConfigError(
            f"key: the {where} holds fewer than {_SHORTEST_KEY} characters; make a key with `miglink key`"
        )
    return key


def _key_of_file(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        key = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigError(
            f"key.file: {path} cannot be read: {error.strerror}; make one with `miglink key {path}`"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"key.file: {path} is not a key; make one with `miglink key`") from None
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise ConfigError(f"key.file: others can read {path}; run `chmod 600 {path}`")
    return key
