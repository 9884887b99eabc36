"""The identities and pairs of the run: counted where every row was read, else predicted from sampled identities.

Where the share s of identities was sampled, a pair of identities that share a number came whole or not at all: it
stands for 1/s pairs. Any other pair came if both its identities did, each by its own chance: it stands for 1/s² pairs.
Both are unbiased whatever the data are like; no pattern of repetition or agreement is assumed. Two approximations
remain: an identity without a number that is written in several ways within one source (upper and lower case, two
formats of a date) is a little more likely to be sampled; so is one whose number is shared by many. What chance alone
does is stated with each rule, as a standard error.
Measured on synthetic countries of 50,000 to 1,680,000 rows (benchmarks/results/predict.json): from 20 % of the
identities all pairs together come within 1.5 %, a single rule within 7 %; from 5 % within 8 % where there are 1.7
million rows and within 32 % where there are 170,000, for so small a sample holds a hundred pairs of strangers.
`miglink check` samples at least 250,000 rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from miglink.check.findings import PairFindings
from miglink.config import Config
from miglink.engine import Engine, Table
from miglink.stages.identities import find_identities
from miglink.stages.ingest.names import split_names, standardise_names
from miglink.stages.ingest.records import type_rows, write_records
from miglink.stages.ingest.rows import Layout
from miglink.stages.linkage.blocking import Block, choose_blocks, count_pairs
from miglink.stages.linkage.comparisons import choose_comparisons, prepare_identities
from miglink.stages.linkage.splitting import split_blocks
from miglink.stages.linkage.travel import find_travel


@dataclass(frozen=True)
class Predicted:
    """What linkage will be given: records and identities in numbers, the fields compared, the pairs of each rule."""

    n_records: int
    n_crossings: int
    n_identities: int
    comparisons: tuple[str, ...]
    pairs: tuple[PairFindings, ...]


def predict_pairs(
    engine: Engine, config: Config, judged: dict[str, Table], sampling: tuple[float, pl.DataFrame]
) -> Predicted:
    """Make records, identities and blocking keys of the judged rows as the run would, and count pairs by rule.

    `sampling`: the share of identities among the rows, and the numbers that are not one person's.
    """
    share, _ = sampling
    further = config.identities.further_columns
    typed = []
    for name, table in judged.items():
        source = config.sources[name]
        # Keys do not matter here, and may repeat: rows are numbered instead.
        columns = {column: value for column, value in source.columns.items() if column != "record_id"}
        unkeyed = source.model_copy(update={"columns": columns})
        typed.append(type_rows(engine, Layout(name, unkeyed, further, config.observation.to_date), table))
    rows = engine.step(
        "check_rows",
        " UNION ALL ".join(f"SELECT * FROM typed_{index}" for index in range(len(typed))),
        **{f"typed_{index}": table for index, table in enumerate(typed)},
    )
    splits = split_names(engine, rows)
    records = write_records(engine, rows, splits, config.sources, further, standardise_names)
    counted = engine.collect(
        "SELECT count(*) AS n, count(*) FILTER (WHERE kind = 'crossings') AS n_crossings FROM records",
        records=records,
    )
    identities, record_identities = find_identities(engine, records, further)
    prepared = prepare_identities(engine, identities, find_travel(engine, records, record_identities))
    comparisons = choose_comparisons(engine, prepared, config.linkage, further)
    blocks = choose_blocks(comparisons, config.linkage) if comparisons else []
    found = _pairs_of(engine, prepared, blocks, sampling)
    if config.linkage.pairs_per_identity is not None:
        whole = {block.columns: n for block, n in zip(blocks, found["n_pairs"], strict=True)}
        prepared, blocks = split_blocks(engine, prepared, blocks, config.linkage.pairs_per_identity, share)
        rules = [_rule(block, whole[block.columns]) for block in blocks]
        found = _pairs_of(engine, prepared, blocks, sampling).with_columns(
            rule=pl.Series(rules, dtype=pl.String)
        )
    n_records, n_crossings = counted.row(0)
    return Predicted(
        round(n_records / share),
        round(n_crossings / share),
        round(engine.count(prepared) / share),
        tuple(comparison.field for comparison in comparisons),
        tuple(PairFindings(**row) for row in found.iter_rows(named=True)),
    )


def _pairs_of(
    engine: Engine, prepared: Table, blocks: Sequence[Block], sampling: tuple[float, pl.DataFrame]
) -> pl.DataFrame:
    if sampling[0] == 1:
        return count_pairs(engine, prepared, blocks).with_columns(standard_error=0.0)
    return extrapolate_pairs(engine, prepared, blocks, sampling)


def _rule(block: Block, n_whole: int) -> str:
    """The rule in words; where its over-full blocks are split, by what, and the pairs that it would propose else."""
    if not block.split:
        return block.name
    if block.is_beside:
        return f"{block.name}; large blocks also by {', '.join(block.split)}"
    return f"{block.name}; large blocks by {', '.join(block.split)}, else {n_whole:,} pairs"


def extrapolate_pairs(
    engine: Engine, prepared: Table, blocks: Sequence[Block], sampling: tuple[float, pl.DataFrame]
) -> pl.DataFrame:
    """The pairs of each rule among all identities, from a share of them; columns as of `count_pairs`, and the error.

    The standard error sums, over the sampled numbers, the square of the pairs that rest on each (the linear part of
    the variance of a sum over pairs). The largest block is given cautiously, three standard deviations below what the
    sample says, for the largest of many small counts is large by chance.
    """
    share, heavy = sampling
    clustered = engine.step(
        "check_clusters",
        """SELECT *, CASE WHEN coalesce(document_number, person_number) IS NULL
                          OR coalesce(document_number, person_number) IN (SELECT number FROM heavy)
                     THEN identity_id ELSE coalesce(document_number, person_number) END AS cluster
        FROM prepared""",
        prepared=prepared,
        heavy=heavy,
    )
    found = []
    for block in blocks:
        names = [f"key_{place}" for place, _ in enumerate(block.keys())]
        keys = ", ".join(names)
        made = ", ".join(f"{key} AS {name}" for key, name in zip(block.keys(), names, strict=True))
        counted = engine.collect(
            f"""WITH keyed AS (SELECT {made}, cluster FROM clustered WHERE {block.holds()}),
            within AS (
                SELECT {keys}, cluster, CAST(count(*) AS DOUBLE) AS n FROM keyed GROUP BY {keys}, cluster),
            sizes AS (
                SELECT cluster, n, sum(n) OVER (PARTITION BY {keys}) AS size,
                       CAST(count(*) OVER (PARTITION BY {keys}) AS DOUBLE) AS n_clusters FROM within),
            numbers AS (
                SELECT sum(n * (n - 1) / 2) AS n_alike, sum(n * (size - n)) AS n_other,
                       max(greatest(n, (1 - 3 / sqrt(n_clusters)) * size / {share})) AS largest
                FROM sizes GROUP BY cluster)
            SELECT coalesce(sum(n_alike), 0) / {share} + coalesce(sum(n_other), 0) / 2 / {share**2} AS n_pairs,
                   coalesce(max(largest), 0) AS largest,
                   sqrt({1 - share} * coalesce(sum(power(n_alike / {share} + n_other / {share**2}, 2)), 0)) AS error
            FROM numbers""",
            clustered=clustered,
        )
        n_pairs, largest, error = counted.row(0)
        found.append((block.name, round(n_pairs), round(largest), round(error, 1)))
    schema = {"rule": pl.String, "n_pairs": pl.Int64, "largest_block": pl.Int64, "standard_error": pl.Float64}
    return pl.DataFrame(found, schema=schema, orient="row")
