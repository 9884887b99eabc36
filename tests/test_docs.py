"""The generated pages are what the code generates today."""

import re
from pathlib import Path

from miglink.cli import app
from miglink.config import describe_config
from miglink.contracts import contracts_as_markdown
from miglink.tables import TABLES
from miglink.tables.contract import VINTAGE

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


def test_every_figure_has_a_vintage_or_the_page_of_revisions_says_why_not() -> None:
    vintage = {column.name for column in VINTAGE}
    page = (DOCS / "revisions.md").read_text("utf-8").split("## Vintages\n")[1].split("\n## ")[0]
    counted = [contract for contract in TABLES.values() if contract.is_aggregate]
    without = {
        c.name for c in counted if not vintage <= {column.name for column in c.columns if column in VINTAGE}
    }
    assert without == {
        "person_time", "expired_stays", "quality", "row_accounts", "cell_keys", "shells", "follow_up",
        "back_tests",
    }  # fmt: skip
    assert all(f"| `{contract.name}` |" in page for contract in counted)


def commands() -> list[str]:
    """The commands of the command line, by name."""
    return sorted(
        command.callback.__name__.replace("_", "-") for command in app.registered_commands if command.callback
    )


def test_each_command_has_a_session_and_a_line_in_the_readme() -> None:
    sessions = (DOCS / "sessions.md").read_text("utf-8")
    readme = (DOCS.parent / "README.md").read_text("utf-8")
    assert len(commands()) > 8
    for name in commands():
        assert f"$ miglink {name}" in sessions, f"{name}: run .ci/sessions.py"
        assert f"`miglink {name}" in readme or f"`{name}`" in readme, name


def test_pages_point_at_files_that_exist() -> None:
    pages = [DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md", *DOCS.glob("*.md")]
    for page in pages:
        for path in re.findall(
            r"`((?:docs|configs|benchmarks|tests|synthetic|src)/[\w./-]+\.\w+)`", page.read_text("utf-8")
        ):
            assert "NAME" in path or (DOCS.parent / path).exists(), f"{page.name}: {path}"
