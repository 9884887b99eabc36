"""How often evidence of a stay in doubt is not believed."""

import polars as pl

from miglink.engine import Engine, Table


def measure_contradictions(engine: Engine, contradictions: Table) -> pl.DataFrame:
    """Stays by the evidence that is believed of them and the evidence that is not: `register, not permit`."""
    return engine.collect(
        """
        SELECT 'contradictions' AS measure, CONCAT(winner, ', not ', loser) AS item, COUNT(*) AS value
        FROM contradictions WHERE draw = 0 GROUP BY winner, loser ORDER BY winner, loser
        """,
        contradictions=contradictions,
    )
