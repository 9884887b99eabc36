"""`python -m benchmarks.slowed STAGE run …`: the same command, one stage done twice: a slowdown to be noticed."""

import sys
from collections.abc import Callable
from typing import Any

from miglink import cli, pipeline

_FUNCTIONS = {
    "ingest": (pipeline.ingest, "ingest"),
    "identities": (pipeline.identities, "find_identities"),
    "linkage": (pipeline.linkage, "link"),
    "persons": (pipeline.persons, "find_persons"),
    "spells": (pipeline.spells, "find_spells"),
    "residence": (pipeline.residence, "find_residence"),
    "estimates": (pipeline.estimates, "estimate"),
    "quality": (pipeline.quality, "measure"),
    "publish": (pipeline.publish, "publish"),
}


def twice(work: Callable[..., Any]) -> Callable[..., Any]:
    """The same work, done twice."""

    def slow(*given: Any, **named: Any) -> Any:
        work(*given, **named)
        return work(*given, **named)

    return slow


if __name__ == "__main__":
    module, name = _FUNCTIONS[sys.argv[1]]
    setattr(module, name, twice(getattr(module, name)))
    sys.exit(cli.main(sys.argv[2:]))
