"""The generated pages are what the code generates today."""

from pathlib import Path

from miglink.config import describe_config
from miglink.contracts import contracts_as_markdown
from miglink.tables import TABLES

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_of_tables_is_up_to_date() -> None:
    assert (DOCS / "tables.md").read_text("utf-8") == contracts_as_markdown(), "run `make docs`"


def test_the_page_of_the_configuration_is_up_to_date() -> None:
    assert (DOCS / "configuration.md").read_text("utf-8") == describe_config(), "run `make docs`"


def test_every_table_and_column_is_on_its_page() -> None:
    page = contracts_as_markdown()
    for contract in TABLES.values():
        section = page.split(f"\n## {contract.name}\n")[1].split("\n## ")[0]
        assert all(f"| `{column.name}` |" in section for column in contract.columns)
