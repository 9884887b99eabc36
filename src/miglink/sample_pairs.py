"""`miglink sample-pairs`: pairs drawn at random for clerks to decide on, each with the number of pairs it stands for.

The population is the pairs of identities that the model scored and kept in `links`. Pairs below keep_p_match, and pairs
that no blocking rule proposes, are not in it.
"""

import io
import json
import math
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from rich.console import Group
from rich.text import Text

from miglink.engine import Table, identifier, text_literal
from miglink.errors import ConfigError
from miglink.explain.grids import grid
from miglink.explain.inputs import Run, open_run
from miglink.stages.publish.delimited import LINE_END, guard_formulas

Numbers = npt.NDArray[np.float64]

# Weights (log2 of the odds) between which the bands lie, beside that of accept_p_match: close together where the model
# doubts, and further apart above, where it is sure but may be wrong.
_EDGES = (-3.0, 0.0, 7.0, 10.0, 20.0)
# Two sources that hold less than this share of a band share a stratum with the others.
_LEAST_SHARE = 0.1
# With fewer pairs drawn than this for each stratum of bands and sources, bands alone are strata.
_LEAST_EACH = 4
# However sure the model is, so large a share may be otherwise: scores are not calibrated.
_LEAST_P = 0.01
# Of a record, what a clerk compares; further columns of the configuration come after these.
_SHOWN = (
    "surname", "given_names", "birth_date", "birth_date_precision", "sex", "citizenship", "citizenship_2",
    "birth_country", "document_number", "document_country", "person_number", "region", "record_date",
)  # fmt: skip
_NOT_FURTHER = ("identity_id", "n_records", "first_date", "last_date", "given_person")


@dataclass(frozen=True)
class Drawn:
    """The file of the drawn pairs, and its strata: stratum, n_pairs, n_drawn, sampling_weight."""

    file: Path
    strata: pl.DataFrame


def sample_pairs(
    run_folder: Path, n: int, seed: int, out: Path | None, *, show_values: bool = False
) -> Drawn:
    """Draw n pairs of a finished run, stratified by match weight and sources, and write them as CSV to be filled in.

    Reads: links, record_identities; with show_values records.
    Gives: a file readable by its owner only, in random order: the two records, with show_values their fields, verdict,
    reviewer and decided_at to be filled in, stratum, weight_band, sampling_weight, match_weight, p_match.
    Units: sampling_weight is pairs of the stratum / pairs drawn in it; match_weight is log2 of the odds.
    Errors: ConfigError if the folder holds no finished run or no scored pairs, n is too small, or the file exists.
    Source: Cochran 1977, chapter 5 (stratified sampling; allocation after Neyman).
    """
    target = out if out is not None else run_folder / f"sample_pairs-{seed}.csv"
    with open_run(run_folder) as run:
        if target.exists():
            raise ConfigError(f"{target}: exists, and may hold decisions; name another file with --out")
        scored = _scored(run)
        strata = plan_sample(_count(run, scored), n)
        pairs = _draw(run, scored, strata, seed)
        rows = _with_values(run, pairs) if show_values else pairs
    _write(target, rows)
    summary = strata.group_by("stratum", maintain_order=True).agg(
        pl.col("n_pairs").sum(), pl.col("n_drawn").first(), pl.col("sampling_weight").first()
    )
    return Drawn(target, summary)


def _scored(run: Run) -> Table:
    """Every pair that the model scored, its band and the first source of each side, whatever a clerk bound since.

    A source already linked binds its pairs without a doubt: they are left out.
    """
    edges = band_edges(run.persons.accept_p_match)
    band = " + ".join(f"CASE WHEN weight >= CAST('{edge!r}' AS DOUBLE) THEN 1 ELSE 0 END" for edge in edges)
    return run.engine.step(
        "sample_scored",
        f"""WITH firsts AS (SELECT identity_id, min(source) AS source FROM record_identities GROUP BY identity_id),
        weighed AS (
            SELECT identity_id_l, identity_id_r,
                   CASE WHEN blocking_rule = 'judgement' THEN model_match_weight ELSE match_weight END AS weight,
                   CASE WHEN blocking_rule = 'judgement' THEN model_p_match ELSE p_match END AS p_match
            FROM links WHERE blocking_rule <> 'given_person')
        SELECT w.identity_id_l, w.identity_id_r, w.p_match, w.weight AS match_weight, {band} AS band,
               l.source AS first_l, r.source AS first_r,
               concat(least(l.source, r.source), ' / ', greatest(l.source, r.source)) AS sources
        FROM weighed w JOIN firsts l ON l.identity_id = w.identity_id_l
        JOIN firsts r ON r.identity_id = w.identity_id_r WHERE w.weight IS NOT NULL""",
        links=run.tables["links"],
        record_identities=run.tables["record_identities"],
    )


def band_edges(accept_p_match: float) -> list[float]:
    """The match weights between which the bands lie; that of accept_p_match is one of them."""
    accepted = round(math.log2(accept_p_match / (1 - accept_p_match)), 6)
    return sorted({*_EDGES, accepted})


def _bands(accept_p_match: float) -> list[str]:
    """The bands in words, lowest first."""
    edges = [f"{edge:.4g}" for edge in band_edges(accept_p_match)]
    between = [f"weight {low} to {high}" for low, high in pairwise(edges)]
    return [f"weight below {edges[0]}", *between, f"weight {edges[-1]} and above"]


def _count(run: Run, scored: Table) -> pl.DataFrame:
    """Pairs and their mean p_match by band and sources."""
    counted = run.engine.collect(
        """SELECT band, sources, count(*) AS n_pairs, avg(p_match) AS p_match FROM scored
        GROUP BY band, sources ORDER BY band, sources""",
        scored=scored,
    )
    if counted.is_empty():
        raise ConfigError("the run holds no pair that a model scored; there is nothing to draw from")
    words = dict(enumerate(_bands(run.persons.accept_p_match)))
    return counted.with_columns(weight_band=pl.col("band").replace_strict(words, return_dtype=pl.String))


def plan_sample(counted: pl.DataFrame, n: int) -> pl.DataFrame:
    """Give the rows counted (band, weight_band, sources, n_pairs, p_match), with stratum, n_drawn, sampling_weight.

    Within a band two sources are a stratum if they hold a tenth of its pairs, all others together another; where n is
    less than four times their number, the bands alone are strata. ConfigError where n is less than the bands.
    """
    in_band = pl.col("n_pairs") / pl.col("n_pairs").sum().over("band")
    own = pl.when(in_band >= _LEAST_SHARE).then("sources").otherwise(pl.lit("other sources"))
    planned = counted.with_columns(stratum=pl.format("{}; {}", "weight_band", own))
    if n < _LEAST_EACH * planned["stratum"].n_unique():
        planned = counted.with_columns(stratum=pl.col("weight_band"))
    if n < (least := planned["stratum"].n_unique()):
        raise ConfigError(f"--n {n}: fewer than the {least} bands of weight, of which each needs a pair")
    strata = planned.group_by("stratum", maintain_order=True).agg(
        size=pl.col("n_pairs").sum(),
        p=((pl.col("n_pairs") * pl.col("p_match")).sum() / pl.col("n_pairs").sum()).clip(
            _LEAST_P, 1 - _LEAST_P
        ),
    )
    spread = (strata["p"] * (1 - strata["p"])).sqrt().to_numpy()
    strata = strata.with_columns(n_drawn=pl.Series(allocate(strata["size"].to_numpy(), spread, n)))
    return planned.join(
        strata.select("stratum", "n_drawn", sampling_weight=pl.col("size") / pl.col("n_drawn")),
        on="stratum",
        maintain_order="left",
    )


def allocate(sizes: npt.NDArray[np.int64], spreads: Numbers, n: int) -> npt.NDArray[np.int64]:
    """How many of n to draw in each stratum: half of them evenly, the rest by size × standard deviation (Neyman).

    Never more than the stratum holds, at least one, n in all (everything, if n is more than there is).
    """
    n = min(n, int(sizes.sum()))
    counts = np.minimum(sizes, max(n // (2 * len(sizes)), 1))
    while rest := n - int(counts.sum()):
        weights = np.where(counts < sizes, sizes * spreads, 0.0)
        shares = rest * weights / weights.sum()
        more = np.minimum(np.floor(shares).astype(np.int64), sizes - counts)
        if not more.any():  # less than one for each: one to those nearest to it
            more[np.argsort(-shares, kind="stable")[:rest]] = 1
            more = np.minimum(more, sizes - counts)
        counts = counts + more
    return counts


def _draw(run: Run, scored: Table, strata: pl.DataFrame, seed: int) -> pl.DataFrame:
    """The first pairs of each stratum in the order of a hash, each represented by the first record of both sides."""
    drawn = run.engine.step(
        "sample_drawn",
        f"""WITH placed AS (
            SELECT s.*, p.stratum, p.weight_band, p.n_drawn, p.sampling_weight,
                   sha256(concat({text_literal(f"{seed}:")}, s.identity_id_l, ':', s.identity_id_r)) AS place
            FROM scored s JOIN strata p ON p.band = s.band AND p.sources = s.sources),
        ranked AS (
            SELECT *, row_number() OVER (PARTITION BY stratum ORDER BY place, identity_id_l, identity_id_r) AS rank
            FROM placed)
        SELECT * FROM ranked WHERE rank <= n_drawn""",
        scored=scored,
        strata=strata.drop("n_pairs", "p_match"),
    )
    pairs = run.engine.collect(
        """WITH sides AS (
            SELECT identity_id_l AS identity_id, first_l AS source FROM drawn
            UNION SELECT identity_id_r, first_r FROM drawn),
        firsts AS (
            SELECT s.identity_id, s.source, min(i.record_id) AS record_id
            FROM sides s JOIN record_identities i ON i.identity_id = s.identity_id AND i.source = s.source
            GROUP BY s.identity_id, s.source)
        SELECT l.source AS a_source, l.record_id AS a_record, r.source AS b_source, r.record_id AS b_record,
               d.stratum, d.weight_band, d.sampling_weight, d.match_weight, d.p_match
        FROM drawn d JOIN firsts l ON l.identity_id = d.identity_id_l
        JOIN firsts r ON r.identity_id = d.identity_id_r ORDER BY d.place, d.identity_id_l, d.identity_id_r""",
        drawn=drawn,
        record_identities=run.tables["record_identities"],
    )
    # The smaller record stands on the left, as in `judgements`.
    swap = (pl.col("a_source") > pl.col("b_source")) | (
        (pl.col("a_source") == pl.col("b_source")) & (pl.col("a_record") > pl.col("b_record"))
    )
    return pairs.select(
        source_l=pl.when(swap).then("b_source").otherwise("a_source"),
        record_id_l=pl.when(swap).then("b_record").otherwise("a_record"),
        source_r=pl.when(swap).then("a_source").otherwise("b_source"),
        record_id_r=pl.when(swap).then("a_record").otherwise("b_record"),
        verdict=pl.lit(None, pl.String),
        reviewer=pl.lit(None, pl.String),
        decided_at=pl.lit(None, pl.String),
        stratum="stratum",
        weight_band="weight_band",
        sampling_weight="sampling_weight",
        match_weight="match_weight",
        p_match="p_match",
    )


def _with_values(run: Run, pairs: pl.DataFrame) -> pl.DataFrame:
    """The pairs with what both records hold, field by field, the two sides next to each other."""
    further = [
        name
        for name in pl.read_parquet_schema(run.tables["identities"].path)
        if name not in (*_NOT_FURTHER, *_SHOWN) and not name.endswith(("_icao", "_ascii"))
    ]
    names = [
        name for name in (*_SHOWN, *further) if name in pl.read_parquet_schema(run.tables["records"].path)
    ]
    columns = ", ".join(
        f"CAST({side}.{identifier(name)} AS VARCHAR) AS {identifier(f'{name}_{side}')}"
        for name in names
        for side in ("l", "r")
    )
    key = ["source_l", "record_id_l", "source_r", "record_id_r"]
    values = run.engine.collect(
        f"""SELECT p.source_l, p.record_id_l, p.source_r, p.record_id_r, {columns} FROM pairs p
        JOIN records l ON l.source = p.source_l AND l.record_id = p.record_id_l
        JOIN records r ON r.source = p.source_r AND r.record_id = p.record_id_r""",
        pairs=pairs.select(key),
        records=run.tables["records"],
    )
    held = [
        column
        for name in names
        for column in (f"{name}_l", f"{name}_r")
        if values[f"{name}_l"].count() + values[f"{name}_r"].count()
    ]
    shown = guard_formulas(values.select(held)).hstack(values.select(key))
    return pairs.select(key).join(shown, on=key, how="left", maintain_order="left").hstack(pairs.drop(key))


def _write(target: Path, rows: pl.DataFrame) -> None:
    """A new file that only its owner can read: keys of records may be numbers of persons."""
    text = io.BytesIO()
    rows.write_csv(text, line_terminator=LINE_END)
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(f"{target}: cannot be made: {error.strerror}") from None
    with open(descriptor, "wb") as stream:
        stream.write(text.getvalue())


def render_sample(drawn: Drawn) -> Group:
    """The strata for the terminal, and how the file is read back."""
    rows = [
        [row["stratum"], f"{row['n_pairs']:,}", f"{row['n_drawn']:,}", f"{row['sampling_weight']:,.2f}"]
        for row in drawn.strata.iter_rows(named=True)
    ]
    n_pairs, n_drawn = (int(drawn.strata[name].sum()) for name in ("n_pairs", "n_drawn"))
    rows.append(["all", f"{n_pairs:,}", f"{n_drawn:,}", ""])
    return Group(
        grid("Pairs drawn for clerical review", ["stratum", "pairs", "drawn", "weight"], rows),
        Text(
            f"{drawn.file}: fill in verdict (match, non_match, unsure; empty: not decided yet), reviewer and "
            "decided_at. Then add the file to `sources`, every column by its own name, and run again:"
        ),
    )


def source_of(file: Path) -> str:
    """The lines of a configuration that read a filled-in file back."""
    return f"""
  review:
    kind: judgements
    files: {json.dumps(str(file.resolve()), ensure_ascii=False)}
    columns:
      {{source_l: source_l, record_id_l: record_id_l, source_r: source_r, record_id_r: record_id_r,
      verdict: verdict, reviewer: reviewer, decided_at: decided_at,
      stratum: stratum, sampling_weight: sampling_weight}}
"""
