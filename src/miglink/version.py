"""The version of miglink, where everything that states it can read it."""

__version__ = "0.1.0"
