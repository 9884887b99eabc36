"""Usual-residence rules: data in configs/rules/*.yml, never code. Each family of rules is one model, told by `kind`."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, model_validator

from miglink.config.calendar_months import range_of_days
from miglink.config.models import Section
from miglink.config.rules_of_evidence import (
    LONGEST_YEAR,
    Delay,
    NamedRule,
    RegistrationRule,
    ResidencyIndexRule,
)

MissingCrossings = Literal["unresolved", "midpoint", "open_until_next", "reject_person", "visa_end"]

_SHORTEST_YEAR = 365


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


class Span(Section):
    """A number of days or calendar months of a rule, the date it applies from and where it is written."""

    value: int = Field(gt=0)
    """The number."""
    unit: Literal["days", "months"]
    """Its unit; months reach from a day to the same day of a later month, or that month's last day."""
    applies_from: date | None = None
    """First event date the value applies to; absent: always."""
    reference: str
    """Publication and section."""
    is_verified: bool = True
    """False: not read in the primary source."""

    @property
    def most_days(self) -> int:
        """The days that it is, or the most that so many calendar months can be."""
        return self.value if self.unit == "days" else range_of_days(0, self.value)[1]


class Months(Section):
    """A number of calendar months of a rule, the date it applies from and where it is written."""

    value: Literal[12]
    """The number; statuses and accounts are of years, so it is 12."""
    unit: Literal["months"]
    """Its unit; from a day to the same day of a later month, or that month's last day."""
    applies_from: date | None = None
    """First event date the value applies to; absent: always."""
    reference: str
    """Publication and section."""
    is_verified: bool = True
    """False: not read in the primary source."""


class _Rule(NamedRule):
    """What every rule states that rests on crossings."""

    missing_crossings: MissingCrossings = "unresolved"
    """What is done where a crossing must be missing; the run's policies override it."""

    @property
    def needs_crossings(self) -> bool:
        """Whether crossings must tell who is here, or other evidence does."""
        return True


class ForwardWindowRule(_Rule):
    """A forward-window rule: a crossing is a migration if enough of the window after it is spent in the new state."""

    kind: Literal["forward_window"]
    """The family of rules it belongs to."""
    threshold: Span
    """V: days in the new state, within the window, that make a crossing a migration."""
    window: Span
    """W: length of the window from the crossing, in the unit of the threshold."""
    duration: Literal["cumulative"]
    """Days add up over several stays within the window."""
    death_in_window: Literal["hold", "actual"] = "hold"
    """hold: the state at death is held to the window's end; actual: the window ends at death."""

    @property
    def has_flow_dates(self) -> bool:
        """Whether a migration happens on a day of its own, so that flows of months have a meaning."""
        return True

    @property
    def follow_up_days(self) -> int:
        """The most days after an event that must be observed before a figure counted there cannot change."""
        return self.window.most_days

    @property
    def settling_days(self) -> int:
        """Days in one state, without a crossing, that show that somebody lived there when they began."""
        return self.threshold.most_days

    @property
    def least_stay_days(self) -> int:
        """Whoever returns after fewer days in the other state cannot have migrated both ways: 2V − W, at least."""
        threshold, window = self.threshold.value, self.window.value
        if self.window.unit == "days":
            return 2 * threshold - window
        return range_of_days(0, threshold)[0] - range_of_days(threshold, window)[1]

    @model_validator(mode="after")
    def _threshold_fits_window(self) -> "ForwardWindowRule":
        threshold, window = self.threshold, self.window
        _check_half_open(self)
        if threshold.unit != window.unit:
            raise ValueError(
                f"threshold is in {threshold.unit} and window in {window.unit}: give both in one unit, or nobody "
                "can tell how much of the window the threshold is"
            )
        if not window.value / 2 < threshold.value <= window.value:
            raise ValueError(
                f"threshold ({threshold.value} {threshold.unit}) must be more than half of the window "
                f"({window.value} {window.unit}) and at most the whole of it, or a person could live in both places "
                "or neither"
            )
        return self


class ForwardMonthsRule(_Rule):
    """A forward rule in calendar months: a crossing is a migration if the person then lives in the new state for them.

    More than half of the window is spent in the new state, and no stay in the old one that begins in the window lasts
    longer than is tolerated. The same holds in both directions.
    """

    kind: Literal["forward_months"]
    """The family of rules it belongs to."""
    window: Months
    """Length of the window from the crossing."""
    duration: Literal["most_of_window"]
    """More than half of the window is spent in the new state, over several stays."""
    tolerated_absence: Parameter
    """Days that one stay in the old state may last; counted whole, also beyond the window's end."""
    expected_stay: Literal["decides_unfinished", "ignored"]
    """decides_unfinished: a permit or visa that covers the window stands for the days not observed yet."""
    visit_purposes: tuple[str, ...] = ()
    """Purposes of permits and visas that are visits: they say nothing of a stay that is expected."""
    death_in_window: Literal["hold"] = "hold"
    """hold: the state at death is held to the window's end."""

    @property
    def has_flow_dates(self) -> bool:
        """Whether a migration happens on a day of its own, so that flows of months have a meaning."""
        return True

    @property
    def follow_up_days(self) -> int:
        """The window, and the longest stay in the old state that may begin on its last day."""
        return LONGEST_YEAR + self.tolerated_absence.value

    @property
    def settling_days(self) -> int:
        """Days in one state, without a crossing, that show that somebody lived there when they began."""
        return LONGEST_YEAR

    @model_validator(mode="after")
    def _absence_fits_window(self) -> "ForwardMonthsRule":
        _check_half_open(self)
        _check_tolerated(self.tolerated_absence)
        return self


class ReferenceDateRule(_Rule):
    """A rule that looks back: status is decided at the reference dates that bound years, by the time before them."""

    kind: Literal["reference_date"]
    """The family of rules it belongs to."""
    window: Months
    """The time before the reference date that is looked at."""
    duration: Literal["most_of_window", "continuous", "cumulative"]
    """most_of_window: more than half of its days. continuous: also no longer absence than is tolerated. cumulative: as
    many of its days as the threshold says, over several stays."""
    threshold: Parameter | None = None
    """cumulative: days within the window that make a resident; of a child born in it, the same share of its days."""
    tolerated_absence: Parameter | None = None
    """continuous: days that one absence may last without breaking residence; counted whole, also beyond the window."""
    intended_stay: Literal["counts", "ignored"] = "ignored"
    """counts: who arrived within the window to stay for 12 months, as the duration asks, is a resident too."""
    visit_purposes: tuple[str, ...] = ()
    """Purposes of permits and visas that are visits: they say nothing of a stay that is intended."""
    applies_from: date | None = None
    """First reference date (the day at whose end the status holds); before it the rule gives no status."""
    applies_to: date | None = None
    """Last reference date (the day at whose end the status holds); after it the rule gives no status."""

    @property
    def first_date(self) -> date | None:
        """The first day at whose end the rule gives a status, if there is one."""
        return self.applies_from

    @property
    def last_date(self) -> date | None:
        """The last day at whose end the rule gives a status, if there is one."""
        return self.applies_to

    @property
    def has_flow_dates(self) -> bool:
        """Whether a migration happens on a day of its own, so that flows of months have a meaning."""
        return False

    @property
    def follow_up_days(self) -> int:
        """Days after a reference date: none, or until the stay of the last arrival is known to last or not."""
        tolerated = self.tolerated_absence.value if self.tolerated_absence else 0
        return tolerated + (LONGEST_YEAR if self.intended_stay == "counts" else 0)

    @property
    def death_in_window(self) -> Literal["hold"]:
        """Who dies after a reference date is judged as if the state at death lasted."""
        return "hold"

    @property
    def settling_days(self) -> int:
        """Days in one state, without a crossing, that show that somebody lived there when they began."""
        return LONGEST_YEAR

    @model_validator(mode="after")
    def _fits_together(self) -> "ReferenceDateRule":
        if (self.duration == "continuous") != (self.tolerated_absence is not None):
            raise ValueError(
                "`tolerated_absence` says what breaks a continuous stay: give it where `duration` is continuous, and "
                "only there"
            )
        if (self.duration == "cumulative") != (self.threshold is not None):
            raise ValueError(
                "`threshold` says how many days are enough: give it where `duration` is cumulative, and only there"
            )
        if self.intended_stay == "counts" and self.duration == "cumulative":
            raise ValueError(
                "`intended_stay: counts` needs `duration: continuous` or `most_of_window`: a number of days in the "
                "past does not say which stay is to last"
            )
        if self.intended_stay == "counts" or self.duration == "continuous":
            _check_half_open(self)
        if self.threshold is not None and self.threshold.value > _SHORTEST_YEAR:
            raise ValueError(
                f"threshold ({self.threshold.value} days) is above the window: 12 months have {_SHORTEST_YEAR} days in "
                "most years, so that nobody could live here"
            )
        if self.applies_from and self.applies_to and self.applies_from > self.applies_to:
            raise ValueError(
                f"applies_from ({self.applies_from}) is after applies_to ({self.applies_to}): the rule would never "
                "give a status"
            )
        if self.tolerated_absence is not None:
            _check_tolerated(self.tolerated_absence)
        return self


class VisaSpanRule(NamedRule):
    """A rule by the time from first arrival to last departure under visas and permits, however often people travel.

    It places missing last departures itself, so policies for missing crossings change nothing.
    """

    kind: Literal["visa_span"]
    """The family of rules it belongs to."""
    counting: Literal["half_open"]
    """The day of entry counts, the day of exit does not."""
    least_span: Months
    """A span of at least this length makes a resident from its first day to its last."""
    tolerated_gap: Delay
    """Days without a visa that are tolerated: between two visas, and between the first arrival and the first visa."""
    visit_purposes: tuple[str, ...] = ()
    """Purposes of permits and visas that are visits: the rule disregards them."""
    endless_purposes: tuple[str, ...] = ()
    """Purposes of permits that do not end: their last day is that of the card."""

    @property
    def needs_crossings(self) -> bool:
        """Whether crossings must tell who is here, or other evidence does."""
        return True

    @property
    def evidence_kinds(self) -> tuple[str, ...]:
        """Kinds of sources of which the rule needs one, or it would find nobody."""
        return ("visas", "permits")

    @property
    def death_in_window(self) -> Literal["hold"]:
        """Who dies here is judged as if the stay went on to the end of the visa."""
        return "hold"

    @property
    def follow_up_days(self) -> int:
        """Days until a span is long, and no visa can prolong it; who may still return is undetermined for longer."""
        return LONGEST_YEAR + self.tolerated_gap.value


# The rules that follow each person's crossings.
CrossingsRule = ForwardWindowRule | ForwardMonthsRule | ReferenceDateRule
# The rules whose histories start with a status that other evidence tells.
StartedRule = CrossingsRule | VisaSpanRule | ResidencyIndexRule
AnyRule = StartedRule | RegistrationRule
Rule = Annotated[AnyRule, Field(discriminator="kind")]

RULE_KINDS: dict[str, type[AnyRule]] = {
    "forward_window": ForwardWindowRule,
    "forward_months": ForwardMonthsRule,
    "reference_date": ReferenceDateRule,
    "registration": RegistrationRule,
    "visa_span": VisaSpanRule,
    "residency_index": ResidencyIndexRule,
}


def _check_half_open(rule: _Rule) -> None:
    if rule.counting == "inclusive":
        raise ValueError(
            "`counting: inclusive` is for rules that count days of presence back from a reference date: where a stay "
            "in one state ends that in the other, the day of a crossing would count in both"
        )


def _check_tolerated(tolerated: Parameter) -> None:
    if tolerated.value >= LONGEST_YEAR / 2:
        raise ValueError(
            f"tolerated_absence ({tolerated.value} days) must be less than half of the 12 months, or a person could "
            "be away for most of the time and yet live here"
        )
