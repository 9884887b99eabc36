"""Drawn examples for tests that run on every engine."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from miglink.engine import Engine
from miglink.engine.duckdb_engine import DuckDBEngine

# A query of few rows takes Spark a hundred times as long as DuckDB. The engines share every line of SQL, so drawing
# many cases is DuckDB's part, and Spark's is to show that a few of them mean the same.
FEW = 2
# A failure is shown as it was drawn where making it smaller takes longer than reading it.
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)


def is_quick(engine: Engine) -> bool:
    """Whether many cases, or large ones, cost little on an engine."""
    return isinstance(engine, DuckDBEngine)


def for_all(
    n_examples: int, *, shrinks: bool = True, **drawn: SearchStrategy[Any]
) -> Callable[[Callable[..., None]], Callable[[Engine], None]]:
    """Run a test with `n_examples` drawn cases on DuckDB and a few on Spark, all on one engine."""

    def decorate(test: Callable[..., None]) -> Callable[[Engine], None]:
        def run(engine: Engine) -> None:
            def check(**case: Any) -> None:
                test(engine, **case)

            check.__name__ = test.__name__
            chosen = settings(
                max_examples=n_examples if is_quick(engine) else FEW,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
                phases=tuple(Phase) if shrinks and is_quick(engine) else UNSHRUNK,
            )
            chosen(given(**drawn)(check))()

        run.__name__, run.__doc__ = test.__name__, test.__doc__
        return run

    return decorate
