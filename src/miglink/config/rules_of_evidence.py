"""Rules that rest on other evidence than crossings, and what every rule states."""

from datetime import date
from typing import Literal

from pydantic import Field, model_validator

from miglink.config.models import Section

LONGEST_YEAR = 366


class Delay(Section):
    """A number of days of a rule, which may be none, the date it applies from and where it is written."""

    value: int = Field(ge=0)
    """The number."""
    unit: Literal["days"]
    """Its unit."""
    applies_from: date | None = None
    """First event date the value applies to; absent: always."""
    reference: str
    """Publication and section."""
    is_verified: bool = True
    """False: not read in the primary source."""


class Share(Section):
    """A number from 0 to 1 of a rule, and where it is written."""

    value: float = Field(ge=0, le=1)
    """The number."""
    unit: Literal["share"]
    """Its unit."""
    reference: str
    """Publication and section."""
    is_verified: bool = True
    """False: not read in the primary source."""


class NamedRule(Section):
    """What every rule states."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Name of the rule, as in the tables."""
    title: str
    """One line for people."""
    gives: Literal["residence"]
    """What the rule decides."""
    counting: Literal["half_open", "inclusive"]
    """half_open: the day of entry counts, the day of exit does not. inclusive: both do, and no day counts twice."""
    reference: str
    """Publication the rule is taken from."""

    @property
    def first_date(self) -> date | None:
        """The first day at whose end the rule gives a status, if there is one."""
        return None

    @property
    def last_date(self) -> date | None:
        """The last day at whose end the rule gives a status, if there is one."""
        return None

    @property
    def has_flow_dates(self) -> bool:
        """Whether a migration happens on a day of its own, so that flows of months have a meaning."""
        return True

    @property
    def needs_crossings(self) -> bool:
        """Whether crossings must tell who is here, or other evidence does."""
        return False

    @property
    def evidence_kinds(self) -> tuple[str, ...]:
        """Kinds of sources of which the rule needs one, or it would find nobody; empty: any will do."""
        return ()

    @property
    def settling_days(self) -> int:
        """Days in one state, without a crossing, that show that somebody lived there when they began."""
        return LONGEST_YEAR


class RegistrationRule(NamedRule):
    """A rule by the register alone: a resident is who is registered. Policies for missing crossings change nothing."""

    kind: Literal["registration"]
    """The family of rules it belongs to."""
    counting: Literal["half_open"]
    """The day of entry counts, the day of exit does not."""
    tolerated_gap: Delay
    """Days from the end of a registration to the next one that leave the two one registration."""
    birth_registration: Delay
    """Days from a birth in the country within which a registration is that of the birth, and holds from birth."""

    @property
    def evidence_kinds(self) -> tuple[str, ...]:
        """Kinds of sources of which the rule needs one, or it would find nobody."""
        return ("register",)

    @property
    def follow_up_days(self) -> int:
        """Days after an event until no registration can undo it: of a birth, or one that goes on after a gap."""
        return max(self.tolerated_gap.value, self.birth_registration.value)


class Sign(Section):
    """A kind of records that speak for residence in each year in which they are valid, however many there are."""

    kind: Literal["activity", "register", "permits", "visas", "crossings"]
    """Kind of the sources."""
    sources: tuple[str, ...] = ()
    """Names of the sources; default: all of the kind."""
    domains: tuple[str, ...] = ()
    """Domains of the activity, such as tax or school; default: all, also none."""
    weight: Share
    """What one such sign in a year is worth; those of several entries add up to 1 at most."""


class ResidencyIndexRule(NamedRule):
    """A rule that adds up signs of life: a yearly index, of which a share is kept and to which the year's signs add."""

    kind: Literal["residency_index"]
    """The family of rules it belongs to."""
    counting: Literal["half_open"]
    """The day of entry counts, the day of exit does not."""
    stability: Share
    """What is kept of last year's index."""
    signs_of_life: Share
    """What the signs of the year add, where they are worth 1."""
    threshold: Share
    """Resident at the end of the year whose index is above it."""
    registered: Share
    """Index of who is registered when observation begins, or of a child whose mother is a resident."""
    not_registered: Share
    """Index of everybody else then."""
    on_registration: Literal["restarts", "ignored"]
    """restarts: in a year with a registration or removal the index is that of who is registered at its end, or not."""
    signs: tuple[Sign, ...] = Field(min_length=1)
    """The signs of life."""

    @property
    def has_flow_dates(self) -> bool:
        """Whether a migration happens on a day of its own, so that flows of months have a meaning."""
        return False

    @property
    def death_in_window(self) -> Literal["hold"]:
        """Who dies keeps the status of the last end of year."""
        return "hold"

    @property
    def evidence_kinds(self) -> tuple[str, ...]:
        """Kinds of sources of which the rule needs one, or it would find nobody."""
        return tuple(dict.fromkeys(sign.kind for sign in self.signs))

    @property
    def follow_up_days(self) -> int:
        """None: the index of a year rests on that year and those before."""
        return 0

    @model_validator(mode="after")
    def _index_stays_a_share(self) -> "ResidencyIndexRule":
        if not 0 < self.stability.value <= 1 - self.signs_of_life.value:
            raise ValueError(
                "stability must be above 0, and stability and signs_of_life at most 1 together, or an index could "
                "exceed 1"
            )
        if not self.not_registered.value <= self.threshold.value < self.registered.value:
            raise ValueError("the index of who is registered must be above the threshold, the other must not")
        return self
