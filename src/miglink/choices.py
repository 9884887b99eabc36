"""What the options of commands may be."""

from enum import StrEnum


class Stage(StrEnum):
    """The nine stages, in their order."""

    ingest = "ingest"
    identities = "identities"
    linkage = "linkage"
    persons = "persons"
    spells = "spells"
    residence = "residence"
    estimates = "estimates"
    quality = "quality"
    publish = "publish"


class CountrySize(StrEnum):
    """How many crossings the synthetic country has, about."""

    tiny = "tiny"
    small = "small"
    medium = "medium"


class AnswerFormat(StrEnum):
    """How an answer is printed."""

    text = "text"
    json = "json"


class TablesFormat(StrEnum):
    """How the contracts of the tables are printed."""

    text = "text"
    json = "json"
    markdown = "markdown"


class Part(StrEnum):
    """The figures that two runs are compared by."""

    stocks = "stocks"
    flows = "flows"
    accounts = "accounts"
