"""What benchmarks/linkage_scale.py runs, each in a process of its own: miglink's linkage and clusters, and bare Splink.

Each reads what linkage_population.py has written into a folder, writes links (l, r) and clusters (id, cluster) beside
it, and gives the seconds of each step.
"""

import itertools
import json
import logging
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import polars as pl
from splink import DuckDBAPI, Linker, block_on

from benchmarks.linkage_population import read_rules
from benchmarks.peer_linkage import MEMORY
from miglink.config.stages import LinkageSettings, PersonsSettings
from miglink.engine import Engine, Table
from miglink.engine.duckdb_engine import DuckDBEngine
from miglink.stages.identities import find_identities
from miglink.stages.linkage import Identified, link
from miglink.stages.persons.clusters import (
    TELLS_SQL,
    accepted_links,
    constrained_clusters,
    exclusive_values,
    weigh_links,
)
from miglink.tables import TABLES
from miglink.tables.numbering import numbered_sql

_KEPT, _LINKED = LinkageSettings().keep_p_match, PersonsSettings().accept_p_match
# Splink's probabilities are not calibrated: what its users take instead.
_SPLINK_LINKED = 0.9
# What an analyst would name to Splink: who agrees on these is one person, and they find so large a share of matches.
_CERTAIN = (("person_number",), ("document_number",), ("surname_key", "given_names_key", "birth_day_iso"))
_CERTAIN_RECALL = 0.7
# Blocks of training sessions: between them every comparison is outside one block at least.
_TRAINED_WITHIN = (("surname_key", "birth_day_iso"), ("document_number",), ("person_number",))
# No block is split, however many pairs that makes.
_WHOLE = {"pairs_per_identity": None, "max_pairs": 10**15}
Seconds = dict[str, float]


def with_miglink(folder: Path, out: Path, settings: LinkageSettings) -> Seconds:
    """Train, block, score, cluster as a run does, without crossings and decisions; events are collapsed before."""
    events = folder / "records.parquet"
    with (
        TemporaryDirectory(dir=folder) as name,
        closing(DuckDBEngine(Path(name), memory_limit=MEMORY)) as engine,
    ):
        times = {"began": time.perf_counter()}
        if events.exists():
            identities, record_identities = find_identities(engine, Table("records", events))
            times["identities"] = time.perf_counter()
        else:
            identities, record_identities = (
                Table(table, folder / f"{table}.parquet") for table in ("identities", "record_identities")
            )
        identified = Identified(identities, record_identities, _empty(engine, "judgements"))
        links = link(engine, identified, settings, (), Path(name) / "model.json")
        times["linkage"] = time.perf_counter()
        clusters = _cluster(engine, identities, record_identities, links)
        times["clusters"] = time.perf_counter()
        # Links join identities, also where what is given is events: clusters say of these who they are.
        whose = (
            "SELECT r.record_id AS id, c.cluster FROM c JOIN record_identities r USING (identity_id)"
            if events.exists()
            else "SELECT identity_id AS id, cluster FROM c"
        )
        accepted = engine.step(
            "accepted",
            f"SELECT identity_id_l AS l, identity_id_r AS r FROM links WHERE p_calibrated >= {_LINKED}",
            links=links,
        )
        found = engine.step("found", whose, c=clusters, record_identities=record_identities)
        accepted.path.rename(out / "links.parquet")
        found.path.rename(out / "clusters.parquet")
    return _between(times)


def _cluster(engine: Engine, identities: Table, record_identities: Table, links: Table) -> Table:
    """Clusters of identities, as stage persons makes them: identity_id, cluster."""
    nodes = engine.step(
        "nodes",
        f"""WITH numbered AS ({numbered_sql("identities", "identity_id", "unique_id")})
        SELECT unique_id, identity_id, given_person, {TELLS_SQL} AS tells FROM numbered""",
        identities=identities,
    )
    edges = accepted_links(engine, weigh_links(engine, nodes, links, _LINKED))
    # No source says that it holds one current record a person, so that no record is looked at.
    inputs = {"records": _empty(engine, "records"), "record_identities": record_identities, "nodes": nodes}
    apart = engine.frame("apart", pl.DataFrame(schema={"a": pl.Int64, "b": pl.Int64}))
    clusters = constrained_clusters(engine, nodes, edges, exclusive_values(engine, inputs, ()), apart)
    return engine.step(
        "clustered",
        "SELECT n.identity_id, c.cluster FROM nodes n JOIN clusters c USING (unique_id)",
        nodes=nodes,
        clusters=clusters,
    )


def _empty(engine: Engine, name: str) -> Table:
    """A table of the contract without rows."""
    columns = ", ".join(f"CAST(NULL AS {column.type}) AS {column.name}" for column in TABLES[name].columns)
    return engine.step(f"empty_{name}", f"SELECT * FROM (SELECT {columns}) AS nothing WHERE false")


def with_splink(folder: Path, out: Path, *, n_parts: int, is_tuned: bool) -> Seconds:
    """Train, predict and cluster as Splink's tutorial does, on keys made beforehand.

    n_parts: so many parts of the pairs are predicted one after another. is_tuned: with integers as ids, and what was
    compared is not kept; else rows have the ids they came with, and pairs keep what Splink keeps by itself.
    """
    logging.getLogger("splink").setLevel(logging.CRITICAL)
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    if not is_tuned:
        given = "record_id" if (folder / "records.parquet").exists() else "identity_id"
        settings |= {"unique_id_column_name": given}
        settings = {name: value for name, value in settings.items() if not name.startswith("retain_")}
    key = settings["unique_id_column_name"]
    spilled: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "temp_directory": str(out / "spilled"),
    }
    with duckdb.connect(config=spilled) as connection:
        connection.execute(f"CREATE TABLE given AS FROM '{folder / 'prepared.parquet'}'")
        fields = {entry["output_column_name"] for entry in settings["comparisons"]}
        blocks = {"certain": _held(_CERTAIN, fields), "training": _held(_TRAINED_WITHIN, fields)}
        times = {"began": time.perf_counter()}
        api = DuckDBAPI(connection=connection)
        linker = Linker(api.register("given"), settings, log_level=None)
        linker.training.estimate_probability_two_random_records_match(
            [block_on(*columns) for columns in blocks["certain"]], recall=_CERTAIN_RECALL
        )
        linker.training.estimate_u_using_random_sampling()
        for columns in blocks["training"]:
            # Where all pairs of a block are matches, Splink may take an m for 0 and end the session: the others count.
            with suppress(ValueError):
                linker.training.estimate_parameters_using_expectation_maximisation(block_on(*columns))
        times["training"] = time.perf_counter()
        pairs = linker.inference.predict(
            threshold_match_probability=_KEPT, num_chunks_left=n_parts, num_chunks_right=1
        )
        times["predict"] = time.perf_counter()
        clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(
            pairs, threshold_match_probability=_SPLINK_LINKED
        )
        times["cluster"] = time.perf_counter()
        accepted = f"""SELECT {key}_l AS l, {key}_r AS r FROM {pairs.physical_name}
            WHERE match_probability >= {_SPLINK_LINKED}"""
        found = f"SELECT {key} AS id, cluster_id AS cluster FROM {clusters.physical_name}"
        for name, select in (("links", accepted), ("clusters", found)):
            connection.execute(f"COPY ({select}) TO '{out / name}.parquet' (FORMAT parquet)")
    return _between(times)


def _held(blocks: tuple[tuple[str, ...], ...], fields: set[str]) -> list[tuple[str, ...]]:
    """The blocks whose fields are compared: a number that hardly anybody has is not."""
    numbers = {"person_number": "person_number", "document_number": "document"}
    return [columns for columns in blocks if numbers.get(columns[0], "name") in fields]


def _between(times: dict[str, float]) -> Seconds:
    """The seconds of each step, from the times at which they ended."""
    steps = list(times.items())
    return {name: round(ended - began, 2) for (_, began), (name, ended) in itertools.pairwise(steps)}


# Of an input folder and one for what is found; the last is the number of parts of Splink's pairs.
PROGRAMS: dict[str, Callable[[Path, Path, int], Seconds]] = {
    "ours": lambda folder, out, _: with_miglink(folder, out, read_rules(folder)),
    "whole": lambda folder, out, _: with_miglink(folder, out, read_rules(folder).model_copy(update=_WHOLE)),
    "splink": lambda folder, out, n: with_splink(folder, out, n_parts=n, is_tuned=True),
    "bare": lambda folder, out, n: with_splink(folder, out, n_parts=n, is_tuned=False),
}
