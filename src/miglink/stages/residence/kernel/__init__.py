"""Stage 6 on arrays: the forward-window rule for the engine that computes here, with the same results as its SQL."""

from miglink.stages.residence.kernel.crossings import (
    Classified,
    Histories,
    Observation,
    classify_histories,
)
from miglink.stages.residence.kernel.elements import keep_freed_memory

__all__ = ["Classified", "Histories", "Observation", "classify_histories", "keep_freed_memory"]
