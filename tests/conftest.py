"""What several tests need."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from miglink.engine.duckdb_engine import DuckDBEngine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DuckDBEngine]:
    """A DuckDB engine whose tables are written into a folder of the test."""
    opened = DuckDBEngine(tmp_path / "tables")
    yield opened
    opened.close()
