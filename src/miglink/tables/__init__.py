"""The contract of every table: key, columns, types, units and one sentence each.

Engines check each table against this page when they write it; `miglink tables` and docs/tables.md print it.
Types are DuckDB's. A column that is not in the contract may follow only where `open_columns` says so.
"""

from miglink.tables.contract import IDENTIFYING, Column, Contract
from miglink.tables.linkage import LINKAGE_TABLES
from miglink.tables.statistics import STATISTICS_TABLES

TABLES: dict[str, Contract] = {contract.name: contract for contract in (*LINKAGE_TABLES, *STATISTICS_TABLES)}

__all__ = ["IDENTIFYING", "TABLES", "Column", "Contract"]
