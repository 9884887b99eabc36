"""`python -m benchmarks.slowed STAGE run …`: the same command, one stage done twice: a slowdown to be noticed."""

import sys
from collections.abc import Callable
from typing import Any

from miglink import cli
from miglink.stages import (
    estimates,
    identities,
    ingest,
    linkage,
    persons,
    publish,
    quality,
    residence,
    spells,
)

_FUNCTIONS = {
    "ingest": (ingest, "ingest"),
    "identities": (identities, "find_identities"),
    "linkage": (linkage, "link"),
    "persons": (persons, "find_persons"),
    "spells": (spells, "find_spells"),
    "residence": (residence, "find_residence"),
    "estimates": (estimates, "estimate"),
    "quality": (quality, "measure"),
    "publish": (publish, "publish"),
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
