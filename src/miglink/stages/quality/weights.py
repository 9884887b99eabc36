"""How strongly the links of a run are weighed: their number by match weight."""

import polars as pl

from miglink.engine import Engine, Table


def measure_weights(engine: Engine, links: Table, accept_p_match: float) -> pl.DataFrame:
    """Count scored links by match weight, and those of them that reach the probability from which links join.

    Reads: links; not those that a judgement or a linked source binds.
    Gives: measure, item, value: links_by_weight and links_accepted_by_weight, in bands of two (`weight from 4`) from
        −10, where all below are in the first, to 40, where all above are in the last.
    """
    by_weight = engine.collect(
        f"""
        SELECT CONCAT('weight from ', CAST(band AS VARCHAR)) AS item, CAST(COUNT(*) AS DOUBLE) AS links_by_weight,
               CAST(SUM(CASE WHEN p_calibrated >= {accept_p_match} THEN 1 ELSE 0 END) AS DOUBLE)
                   AS links_accepted_by_weight
        FROM (
            SELECT CAST(LEAST(GREATEST(FLOOR(match_weight / 2) * 2, -10), 40) AS INTEGER) AS band, p_calibrated
            FROM links WHERE blocking_rule NOT IN ('judgement', 'given_person')
        ) AS banded
        GROUP BY band
        """,
        links=links,
    )
    counted = by_weight.unpivot(index="item", variable_name="measure")
    return counted.select("measure", "item", "value").sort("measure", "item")
