"""What the sections of a configuration must agree on, and every disagreement at its place."""

from collections.abc import Iterator
from datetime import date, timedelta

from miglink.codes import code_lookup, countries, country_key
from miglink.config.problems import suggest
from miglink.config.run import Config
from miglink.config.sources import Covers
from miglink.config.stages import Period
from miglink.config.yaml_tree import Node, Problem

_DAY = timedelta(days=1)


def find_disagreements(config: Config, tree: Node) -> list[Problem]:
    """Days of the period that no crossings source covers, and a reporting country that nothing knows."""
    return [*_uncovered_days(config, tree), *_unknown_country(config, tree)]


def _uncovered_days(config: Config, tree: Node) -> Iterator[Problem]:
    """Without a crossing nobody moves: days that are not covered would be published as zeros."""
    node = tree.child("period")
    stated = {name: source.covers for name, source in config.sources.items() if source.kind == "crossings"}
    covers = [one for one in stated.values() if one is not None]
    # A source that states nothing covers the period, and so does a run without crossings.
    if node is None or config.period is None or not stated or len(covers) < len(stated):
        return
    gaps = list(_gaps(config.period, covers))
    if gaps:
        days = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in gaps)
        yield Problem(
            node.key_place,
            "period",
            f"no crossings source covers {days} (`covers` of {', '.join(stated)}); shorten the period to days that "
            "are covered, add the source that has these days, or correct its `covers`",
        )


def _gaps(period: Period, covers: list[Covers]) -> Iterator[tuple[date, date]]:
    """The stretches of the period, first and last day, that lie in none of the spans."""
    spans = sorted(
        (max(one.from_date, period.from_date), min(one.to_date, period.to_date))
        for one in covers
        if max(one.from_date, period.from_date) <= min(one.to_date, period.to_date)
    )
    next_day = period.from_date
    for first, last in spans:
        if first > next_day:
            yield next_day, first - _DAY
        next_day = max(next_day, last + _DAY)
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
