"""The days observed: the period, cut by what the sources cover on which each rule rests."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from miglink.config.rules import AnyRule
from miglink.config.rules_of_evidence import ResidencyIndexRule
from miglink.config.run import Config
from miglink.config.sources import Source
from miglink.config.stages import Period
from miglink.errors import ConfigError

_DAY = timedelta(days=1)
# The first and the last day of a stretch.
Days = tuple[date, date]
# Sources of one kind, by name.
Group = Mapping[str, Source]


@dataclass(frozen=True)
class Windows:
    """What is observed: the period, the days on which crossings are, those of each rule, and those of a full register.

    rules: the rules whose days are not the whole period. listed: the days on which who lives here stands in a register
    that covers the population; none: there is no such register.
    """

    period: Period
    crossings: Period
    rules: Mapping[str, Period] = field(default_factory=dict)
    listed: Period | None = None

    def of(self, rule: str) -> Period:
        """The days observed under a rule."""
        return self.rules.get(rule, self.period)


def whole(period: Period) -> Windows:
    """Every source covers the period."""
    return Windows(period, period)


def find_windows(config: Config) -> Windows:
    """The windows of a run with a period.

    Sources of one part of a kind (`covers.part`, also none) stand in for each other: what any of them covers is
    covered. Different parts and different kinds are all needed: only what each covers is observed. ConfigError where
    that is nothing; `find_disagreements` says so with the place in the file, and refuses gaps.
    """
    assert config.period is not None  # the caller has no use for windows without one
    period = config.period
    rules = config.residence.rules if config.residence else ()
    windows = {rule.name: _window(rule.name, needed_groups(config, rule), period) for rule in rules}
    listing = listing_group(config)
    return Windows(
        period,
        _window("crossings", [crossings_group(config)], period),
        {name: window for name, window in windows.items() if window != period},
        _window("covers_population", [listing], period) if listing else None,
    )


def describe_windows(windows: Windows) -> dict[str, dict[str, str]]:
    """The days of each rule and of the crossings where they are not the whole period, as a manifest states them."""
    crossings = {"crossings": windows.crossings} if windows.crossings != windows.period else {}
    stated = {**crossings, **{f"rule {name}": window for name, window in windows.rules.items()}}
    return {name: window.model_dump(mode="json", by_alias=True) for name, window in stated.items()}


def read_windows(period: Period, described: Mapping[str, object]) -> Windows:
    """The windows that a manifest states (`describe_windows`)."""
    stated = {name: Period.model_validate_json(json.dumps(days)) for name, days in described.items()}
    rules = {name.removeprefix("rule "): days for name, days in stated.items() if name.startswith("rule ")}
    return Windows(period, stated.get("crossings", period), rules)


def needed_groups(config: Config, rule: AnyRule) -> list[Group]:
    """The sources that must cover a day for it to be observed under a rule, those of one kind in a group.

    Crossings where the rule needs them: what else it asks, such as permits or the register on the first day, is
    evidence, and may be missing. Otherwise its evidence itself; of signs of life each entry, and the register.
    """
    if rule.needs_crossings:
        return [crossings_group(config)]
    if isinstance(rule, ResidencyIndexRule):
        signs = [
            {
                name: one
                for name, one in of_kind(config, sign.kind).items()
                if name in (sign.sources or (name,))
            }
            for sign in rule.signs
        ]
        return [group for group in (*signs, of_kind(config, "register")) if group]
    return [of_kind(config, kind) for kind in rule.evidence_kinds]


def crossings_group(config: Config) -> Group:
    """The sources of crossings; none where borders are open, for then they do not tell who is here."""
    return of_kind(config, "crossings") if config.spells.borders == "recorded" else {}


def listing_group(config: Config) -> Group:
    """The registers that everybody who lives here stands in."""
    return {name: source for name, source in config.sources.items() if source.covers_population}


def of_kind(config: Config, kind: str) -> Group:
    """The sources of a kind."""
    return {name: source for name, source in config.sources.items() if source.kind == kind}


def split_parts(group: Group) -> dict[str | None, Group]:
    """The sources of a group by the part that they record; none: those that name no part."""
    parts: dict[str | None, dict[str, Source]] = {}
    for name, source in group.items():
        parts.setdefault(source.covers.part if source.covers else None, {})[name] = source
    return dict(parts)


def covered_spans(sources: Iterable[Source], period: Period) -> list[Days]:
    """The stretches of the period that any of the sources covers, in order; one that states nothing covers all."""
    whole_period = (period.from_date, period.to_date)
    stated = [(s.covers.from_date, s.covers.to_date) if s.covers else whole_period for s in sources]
    cut = sorted((max(first, whole_period[0]), min(last, whole_period[1])) for first, last in stated)
    spans: list[Days] = []
    for first, last in cut:
        if first > last:
            continue
        if spans and first <= spans[-1][1] + _DAY:
            spans[-1] = (spans[-1][0], max(spans[-1][1], last))
        else:
            spans.append((first, last))
    return spans


def repeats_others(name: str, part: Group, period: Period) -> bool:
    """Whether a source covers fewer days than the others of its part, and none that they do not."""
    own, others = [part[name]], [source for other, source in part.items() if other != name]
    covered = covered_spans(others, period)
    return covered_spans(own, period) != covered == covered_spans([*own, *others], period)


def observed_days(groups: Iterable[Group], period: Period) -> Days | None:
    """The first and the last day that every part of every group covers; none where that is not two days at least."""
    first, last = period.from_date, period.to_date
    for group in groups:
        for part in split_parts(group).values():
            spans = covered_spans(part.values(), period)
            if not spans:
                return None
            first, last = max(first, spans[0][0]), min(last, spans[-1][1])
    return (first, last) if first < last else None


def _window(name: str, groups: Iterable[Group], period: Period) -> Period:
    days = observed_days(groups, period)
    if days is None:
        raise ConfigError(
            f"{name}: no days of the period are covered by all sources that are needed; see `covers`"
        )
    return Period.model_validate({"from": days[0], "to": days[1]})
