"""Every error that miglink raises on purpose, with the exit code of the command line.

MiglinkError
├── ConfigError    exit 2   the configuration or the command is wrong; lists every wrong key
├── SourceError    exit 1   a source file is missing, unreadable, incomplete or out of its bounds
├── ResourceError  exit 1   memory, disk or a permission is lacking; what is done so far can be resumed
├── ResultError    exit 1   a result contradicts itself (accounts that do not balance, rows that vanished)
└── TableError     exit 1   a stage broke the contract of its table: a defect of miglink, please report it

A message says what, where, what was found, what was expected and what to do. It never holds personal data:
columns, row numbers and reasons, not values of a person's fields.
"""


class MiglinkError(Exception):
    """Anything miglink reports to its user in words instead of a traceback."""

    exit_code = 1


class ConfigError(MiglinkError):
    """The configuration is wrong; `problems` holds one line for each wrong key."""

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SourceError(MiglinkError):
    """A source cannot be read as the configuration says."""


class ResourceError(MiglinkError):
    """The machine lacks memory, disk space or a permission."""


class ResultError(MiglinkError):
    """A result contradicts itself, so nothing is published."""


class TableError(MiglinkError):
    """A stage gave a table that breaks its contract."""
