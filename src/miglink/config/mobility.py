"""What is counted of mobility that is no migration: short stays, trips, circular migrants, commuters."""

from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from miglink.config.models import Section
from miglink.config.rules import Parameter


class RollingWindowRule(Section):
    """A limit on the days of presence in any window that ends on a day of presence, for who may stay a short time."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Name of the rule, as in the tables."""
    title: str
    """One line for people."""
    gives: Literal["mobility"]
    """What the rule decides."""
    kind: Literal["rolling_window"]
    """The family of rules it belongs to."""
    limit: Parameter
    """Days of presence that are allowed in every window."""
    window: Parameter
    """Length of the windows; each ends on a day of presence, and counts that day."""
    counting: Literal["inclusive", "half_open"]
    """inclusive: the day of entry and the day of exit both count. half_open: the day of exit does not."""
    excluded: tuple[Literal["permits", "visas", "register"], ...] = ()
    """Days on which one of these is valid do not count: who may stay longer, or lives here, is no visitor."""
    visit_purposes: tuple[str, ...] = ()
    """Purposes of permits and visas that are visits: days on them count."""
    citizenship_groups: tuple[str, ...] | None = None
    """Whom the rule binds, by the group of citizenship on the first day above it in a year; absent: everybody."""
    reference: str
    """Publication the rule is taken from."""

    @model_validator(mode="after")
    def _limit_fits_window(self) -> "RollingWindowRule":
        if self.limit.value >= self.window.value:
            raise ValueError(
                f"limit ({self.limit.value} days) must be less than the window ({self.window.value} days), or nobody "
                "can ever be above it"
            )
        return self


class CircularSettings(Section):
    """Who is a circular migrant, with the values of the UNECE Task Force on Measuring Circular Migration (2016)."""

    migrations: int = Field(default=3, ge=2)
    """Changes of residence, immigrations and emigrations together, that there must be."""
    years: int = Field(default=10, gt=0)
    """Years before the reference date in which they lie."""
    least_months: int = Field(default=12, gt=0)
    """Calendar months that each of the stays after them must last."""


class CommuterSettings(Section):
    """Who is a commuter: who comes or goes at least once a week as a rule (Reg. (EC) 883/2004 Art 1(f))."""

    weeks: int = Field(default=40, gt=0, le=53)
    """Weeks of a year in which a short stay begins; "as a rule" is taken for so many (assumed)."""
    longest_days: int = Field(default=7, gt=0)
    """Days that such a stay lasts at most."""


class MobilitySettings(Section):
    """Mobility beyond migration."""

    rules: tuple[RollingWindowRule, ...] = ()
    """Names of presets that give mobility, such as schengen_90_180, or paths of rule files."""
    durations: tuple[int, ...] = (1, 30, 90, 183, 365)
    """Days with which the classes of duration of stays and trips begin; the first class is of shorter ones."""
    circular: CircularSettings = CircularSettings()
    """Who is a circular migrant."""
    commuters: CommuterSettings = CommuterSettings()
    """Who is a commuter."""

    @model_validator(mode="after")
    def _in_order(self) -> "MobilitySettings":
        if not self.durations or self.durations[0] < 1 or any(a >= b for a, b in pairwise(self.durations)):
            raise ValueError(
                "durations: give the days with which each class begins, from the smallest to the largest"
            )
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            raise ValueError("rules: a rule is given twice; their names tell the results apart")
        return self
