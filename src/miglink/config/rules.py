"""Usual-residence rules: data in configs/rules/*.yml, never code."""

from datetime import date
from typing import Literal

from pydantic import Field, model_validator

from miglink.config.models import Section

MissingCrossings = Literal["unresolved", "midpoint", "open_until_next", "reject_person"]


class Parameter(Section):
    """A number of a rule with its unit, the date it applies from and where it is written."""

    value: int = Field(gt=0)
    """The number."""
    unit: Literal["days"]
    """Its unit."""
    applies_from: date | None = None
    """First event date the value applies to; absent: always."""
    reference: str
    """Publication and section."""
    is_verified: bool = True
    """False: not read in the primary source."""


class Rule(Section):
    """A forward-window rule: a crossing is a migration if enough of the window after it is spent in the new state."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Name of the rule, as in the tables."""
    title: str
    """One line for people."""
    gives: Literal["residence"]
    """What the rule decides."""
    kind: Literal["forward_window"]
    """The family of rules it belongs to."""
    threshold: Parameter
    """V: days in the new state, within the window, that make a crossing a migration."""
    window: Parameter
    """W: length of the window from the crossing."""
    counting: Literal["half_open"]
    """The day of entry counts, the day of exit does not."""
    duration: Literal["cumulative"]
    """Days add up over several stays within the window."""
    death_in_window: Literal["hold", "actual"] = "hold"
    """hold: the state at death is held to the window's end; actual: the window ends at death."""
    missing_crossings: MissingCrossings = "unresolved"
    """What is done where a crossing must be missing; the run's policies override it."""
    reference: str
    """Publication the rule is taken from."""

    @model_validator(mode="after")
    def _threshold_fits_window(self) -> "Rule":
        if not self.window.value / 2 < self.threshold.value <= self.window.value:
            raise ValueError(
                f"threshold ({self.threshold.value} days) must be more than half of the window "
                f"({self.window.value} days) and at most the whole of it, or a person could live in both places or "
                "neither"
            )
        return self
