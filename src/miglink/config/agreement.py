"""What the sections of a configuration must agree on, and every disagreement at its place."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import chain, pairwise

from miglink.codes import code_lookup, countries, country_key
from miglink.config.problems import suggest
from miglink.config.run import Config
from miglink.config.stages import Period
from miglink.config.windows import (
    Days,
    Group,
    covered_spans,
    crossings_group,
    listing_group,
    needed_groups,
    observed_days,
    split_parts,
)
from miglink.config.yaml_tree import Node, Problem

_DAY = timedelta(days=1)


def find_disagreements(config: Config, tree: Node) -> list[Problem]:
    """Days that the sources do not cover but should, and a reporting country that nothing knows."""
    return [*_uncovered_days(config, tree), *_unknown_country(config, tree)]


def _uncovered_days(config: Config, tree: Node) -> Iterator[Problem]:
    """What is not covered would be published as if nobody moved, so it is refused, or left out of the windows."""
    node = tree.child("period")
    if node is None or config.period is None:
        return
    rules = config.residence.rules if config.residence else ()
    groups = {rule.name: needed_groups(config, rule) for rule in rules}
    crossings = crossings_group(config)
    needed = [*chain.from_iterable(groups.values())] if rules else [crossings]
    problem = _days_of_nobody(config.period, needed) or _gap(config.period, [crossings, *needed])
    if problem is not None:
        yield Problem(node.key_place, "period", problem)
        return
    listing = listing_group(config)
    residence = tree.child("residence")
    place = residence.child("rules") if residence else None
    for key, where, what, needs in (
        ("period", node, "the spells", [crossings]),
        ("sources", tree.child("sources") or node, "`covers_population`", [listing] if listing else []),
        *(("residence.rules", place or node, f"rule {name}", needs) for name, needs in groups.items()),
    ):
        if observed_days(needs, config.period) is None:
            yield Problem(where.key_place, key, _nothing_observed(what, needs, config.period))
            return


def _days_of_nobody(period: Period, groups: Sequence[Group]) -> str | None:
    """Days of the period on which no source records anything on which a rule rests: the period is too long."""
    names, kinds = _names(groups), _kinds(groups)
    covered = covered_spans((source for group in groups for source in group.values()), period)
    days = list(_days_between(period, covered))
    if not names or not days:
        return None
    return (
        f"no {kinds} source covers {_in_words(days)} (`covers` of {names}); shorten the period to days that are "
        "covered, add the source that has these days, or correct its `covers`"
    )


def _gap(period: Period, groups: Sequence[Group]) -> str | None:
    """Days between the first and the last that a part of a kind covers: a window is one stretch."""
    for group in groups:
        for part, sources in split_parts(group).items():
            spans = covered_spans(sources.values(), period)
            days = [(a[1] + _DAY, b[0] - _DAY) for a, b in pairwise(spans)]
            if days:
                of_part = f" of part {part}" if part else ""
                return (
                    f"no {_kinds([sources])} source{of_part} covers {_in_words(days)} (`covers` of "
                    f"{_names([sources])}); what is observed must be one stretch: shorten the period to the days "
                    "before or after, add the source that has these days, or correct its `covers`"
                )
    return None


def _nothing_observed(what: str, groups: Sequence[Group], period: Period) -> str:
    sources = {name: source for group in groups for name, source in group.items()}
    said = ", ".join(
        f"{name} {source.covers.from_date} to {source.covers.to_date}"
        if source.covers
        else f"{name} the period"
        for name, source in sources.items()
    )
    return (
        f"{what}: no two days of {period.from_date} to {period.to_date} would be observed. All sources that are needed "
        f"must cover them ({said}); correct `covers`, give sources that follow one another the same `part`, choose "
        "another period, or leave out what cannot be observed"
    )


def _names(groups: Sequence[Group]) -> str:
    return ", ".join(dict.fromkeys(name for group in groups for name in group))


def _kinds(groups: Sequence[Group]) -> str:
    return " or ".join(dict.fromkeys(source.kind for group in groups for source in group.values()))


def _in_words(days: Sequence[Days]) -> str:
    return ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in days)


def _days_between(period: Period, spans: Sequence[Days]) -> Iterator[Days]:
    """The stretches of the period, first and last day, that lie in none of the spans."""
    next_day = period.from_date
    for first, last in spans:
        if first > next_day:
            yield next_day, first - _DAY
        next_day = last + _DAY
    if next_day <= period.to_date:
        yield next_day, period.to_date


def _unknown_country(config: Config, tree: Node) -> Iterator[Problem]:
    estimates = tree.child("estimates")
    node = estimates.child("reporting_country") if estimates else None
    if node is None or config.estimates is None:
        return
    code = config.estimates.reporting_country
    known = {*config.countries.values(), *countries()["country"]}
    if code in known:
        return
    # Codes of other standards are known by their country: GER is Germany's of the Olympics and of many files.
    others = dict(code_lookup().iter_rows())
    # Of codes that are as like, those that begin alike are first.
    by_beginning = sorted(known, key=lambda one: (one[:2] != code[:2], one[:1] != code[:1], one))
    guess = others.get(country_key(code)) or suggest(code, by_beginning)
    yield Problem(
        node.place,
        "estimates.reporting_country",
        f"no country has the code '{code}'; "
        + (f"did you mean '{guess}'? " if guess else "")
        + "A country that no standard has is named under `countries`",
    )
