"""SDMX: `stocks`, `flows` and the tables of publishers as SDMX-CSV 2.0, and their structures as SDMX-ML 3.0."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from miglink.config.shells import Shell
from miglink.engine import Table
from miglink.stages.publish.sdmx.flows import (
    Flow,
    close_codes,
    describe_rows,
    describe_shell_flow,
    describe_table_flow,
    fill_flow,
)
from miglink.stages.publish.sdmx.structure import check_formats, write_structures
from miglink.tables import Contract

__all__ = ["FORMATS", "STRUCTURE", "Filled", "check_formats", "fill_flows", "write_structures"]

FORMATS = ("sdmx-csv", "sdmx-ml")
STRUCTURE = "structure.xml"
_COUNTED = ("stocks", "flows")


@dataclass(frozen=True)
class Filled:
    """A table as a data flow, with its rows, their number and the contract of their file."""

    flow: Flow
    table: Table
    contract: Contract
    n_rows: int


def fill_flows(
    tables: Sequence[tuple[Table, Contract]], shells: Sequence[Shell], reporting_country: str, scratch: Path
) -> list[Filled]:
    """The tables that are data flows, as they leave: their rows in the columns of SDMX-CSV, in a folder of scratch.

    Reads: stocks, flows and the tables of publishers, protected or not; a suppressed figure is null.
    """
    by_name = {shell.name: shell for shell in shells}
    filled = []
    for table, contract in tables:
        if contract.name in by_name:
            flow = describe_shell_flow(by_name[contract.name], contract, reporting_country)
        elif contract.name in _COUNTED:
            flow = describe_table_flow(contract, reporting_country)
        else:
            continue
        rows = fill_flow(pl.scan_parquet(table.path, glob=False), flow)
        described = describe_rows(flow)
        made = Table(described.name, scratch / f"{described.name}.parquet")
        rows.write_parquet(made.path)
        filled.append(Filled(close_codes(flow, rows), made, described, rows.height))
    return filled
