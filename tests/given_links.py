"""Linkage for tests that run on every engine."""

from contextlib import closing
from pathlib import Path

from given_examples import is_quick
from miglink.config.stages import LinkageSettings
from miglink.engine import Engine, Table
from miglink.engine.duckdb_engine import DuckDBEngine
from miglink.stages.linkage import Identified, link


def link_identities(
    engine: Engine, identified: Identified, settings: LinkageSettings, further: tuple[str, ...], folder: Path
) -> Table:
    """The links; on Spark they are scored with a model that DuckDB has trained on the same identities.

    Training takes Spark more than a minute however few identities there are; test_linkage_engines has it train once.
    """
    if not is_quick(engine) and settings.model is None:
        model = folder / "trained" / "model.json"
        with closing(DuckDBEngine(folder / "trained")) as trainer:
            link(trainer, identified, settings, further, model)
        if model.exists():
            settings = settings.model_copy(update={"model": model})
    return link(engine, identified, settings, further, folder / "model.json")


def sized(engine: Engine, n: int) -> int:
    """So many persons on DuckDB, an eighth of them on Spark."""
    return n if is_quick(engine) else n // 8
