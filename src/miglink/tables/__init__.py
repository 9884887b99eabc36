"""The contract of every table: key, columns, types, units and one sentence each.

Engines check each table against this page when they write it; `miglink tables` and docs/tables.md print it.
Types are DuckDB's. A column that is not in the contract may follow only where `open_columns` says so.
"""

from miglink.tables.comparison import COMPARISON_TABLES as _COMPARISON_TABLES
from miglink.tables.contract import IDENTIFYING, Column, Contract
from miglink.tables.draws import DRAW_TABLES
from miglink.tables.evaluation import EVALUATION_TABLES as _EVALUATION_TABLES
from miglink.tables.histories import HISTORY_TABLES
from miglink.tables.linkage import LINKAGE_TABLES
from miglink.tables.lists import LIST_TABLES
from miglink.tables.mobility import MOBILITY_TABLES
from miglink.tables.statistics import STATISTICS_TABLES
from miglink.tables.truth import TRUTH_TABLES as _TRUTH_TABLES

TABLES: dict[str, Contract] = {
    contract.name: contract
    for contract in (
        *LINKAGE_TABLES,
        *HISTORY_TABLES,
        *DRAW_TABLES,
        *STATISTICS_TABLES,
        *MOBILITY_TABLES,
        *LIST_TABLES,
    )
}
# The tables of a folder of truth; some bear the name of the table of a run that they are compared with.
TRUTH_TABLES: dict[str, Contract] = {contract.name: contract for contract in _TRUTH_TABLES}
# The tables that `miglink evaluate` adds to a run.
EVALUATION_TABLES: dict[str, Contract] = {contract.name: contract for contract in _EVALUATION_TABLES}
# The tables that `miglink compare` makes of two runs or more.
COMPARISON_TABLES: dict[str, Contract] = {contract.name: contract for contract in _COMPARISON_TABLES}

__all__ = [
    "COMPARISON_TABLES",
    "EVALUATION_TABLES",
    "IDENTIFYING",
    "TABLES",
    "TRUTH_TABLES",
    "Column",
    "Contract",
]
