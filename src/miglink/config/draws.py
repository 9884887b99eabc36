"""How the uncertainty of the figures is drawn."""

from pydantic import Field

from miglink.config.models import Section


class DrawsSettings(Section):
    """Draws of what could also be true: of the persons in doubt, the crossings that are missing, what is still to come.

    The intervals of the figures rest on them. The same seed gives the same draws whatever the order of rows.
    """

    number: int = Field(default=50, ge=0, le=1000)
    """Draws. 0: none, and no figure has an interval; a figure with anything undetermined then has no headline. Below
    20 the intervals are wide and rough."""
    seed: int = Field(default=1, ge=0, le=2**31 - 1)
    """Where the random numbers begin. Keep it from run to run, so that figures move for other reasons alone."""
    level: float = Field(default=0.95, ge=0.5, le=0.999)
    """Probability with which an interval should hold the true figure."""
    largest_relative_error: float = Field(default=0.5, gt=0)
    """Standard error, as a share of the figure, above which an interval wider than ten persons is flagged too_wide. The
    Australian Bureau of Statistics flags survey estimates at 25 % and at 50 % (unverified). Net migration, which may be
    near none, is measured against the mean of immigration and emigration."""
