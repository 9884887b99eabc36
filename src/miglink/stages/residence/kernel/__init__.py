"""Stage 6 on arrays: the forward-window rule for the engine that computes here, with the same results as its SQL."""

from miglink.stages.residence.kernel.crossings import (
    Classified,
    Histories,
    Observation,
    classify_histories,
)

__all__ = ["Classified", "Histories", "Observation", "classify_histories"]
