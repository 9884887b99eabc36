"""Stage 6."""
from miglink.stages.residence.classification import classify

__all__ = ["classify"]
