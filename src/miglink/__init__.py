"""miglink links administrative records into persons, spells and migration statistics."""

__version__ = "0.1.0"
