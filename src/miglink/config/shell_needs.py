"""What a table shell needs that a run does not have, and which source or column would give it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from miglink.config.shells import AGES, STANDARD, Shell, ShellRule

_DAY = timedelta(days=1)
_MONTHS = {"year": 12, "quarter": 3, "month": 1}
_BIRTH_COUNTRY = "`birth_country` of a register, of permits, visas or a list of people"
_CITIZENSHIP = "`citizenship` of any source"
# Dimension -> what it tells, and the columns of sources that would fill it.
_SOURCES: dict[str, tuple[str, str]] = {
    "sex": ("sex", "`sex` of any source"),
    **dict.fromkeys(AGES, ("date of birth", "`birth_date` of any source")),
    "citizenship": ("citizenship", _CITIZENSHIP),
    "citizenship_group": ("citizenship", _CITIZENSHIP),
    "birth_country": ("country of birth", _BIRTH_COUNTRY),
    "birth_group": ("country of birth", _BIRTH_COUNTRY),
    "origin_group": ("country of birth and citizenship", f"{_BIRTH_COUNTRY}, and {_CITIZENSHIP}"),
    "region": ("region", "`region` of a register, of permits or a list of people"),
    "purpose": ("purpose of crossings", "`purpose` of crossings"),
}
_OTHER_COUNTRY = {
    "immigration": "country of previous residence",
    "emigration": "country of next residence",
}


@dataclass(frozen=True)
class Held:
    """What a run has: its rules, further columns, whether a source lists the population, and known dimensions.

    rules: with the first and last day at whose end each gives a status. by_year_only: those without flow dates.
    dimensions: those of which a source holds a value. other_countries: the measures of which it holds the country
    come from or gone to.
    """

    rules: Mapping[str, tuple[date, date]]
    by_year_only: Collection[str]
    traits: Collection[str]
    has_population_list: bool
    dimensions: Collection[str]
    other_countries: Collection[str]
    chosen_rules: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Need:
    """One thing that is missing, and what would make it possible."""

    reason: str
    needs: str


def covered_days(
    from_date: date, to_date: date, first_date: date | None, last_date: date | None
) -> tuple[date, date]:
    """The first and last day at whose end a rule gives a status within an observation; none if the first is later."""
    opening = from_date - _DAY
    return max(opening, first_date or opening), min(to_date, last_date or to_date)


def find_needs(shell: Shell, held: Held) -> list[Need]:
    """Everything that a shell asks for and the run does not hold; nothing where it can be produced."""
    rules = shell.asks_for(held.chosen_rules.get(shell.name))
    asked = [one.rule for one in rules]
    found = []
    if {*asked} & {*held.rules}:
        if not any(has_period(shell, one, held) for one in rules if one.rule in held.rules):
            what = "reference date" if shell.measure == "stock" else shell.frequency
            found.append(
                Need(
                    f"{' or '.join(asked)} gives no {what} of the table within `period`",
                    "a longer `period`, or another rule of the run under publish.table_rules",
                )
            )
    else:
        found.append(
            Need(
                f"the run has no rule {' or '.join(asked)}",
                f"{' or '.join(asked)} under residence.rules, or another rule of the run under publish.table_rules",
            )
        )
    if shell.measure == "stock" and not held.has_population_list:
        found.append(
            Need(
                "stocks hold travellers only: no source lists everybody who lives here",
                "a source with `covers_population: true`, such as a population register",
            )
        )
    found += [need for name in shell.dimensions for need in find_lacking(name, shell.measures, held)]
    return list(dict.fromkeys(found))


def has_period(shell: Shell, asked: ShellRule, held: Held) -> bool:
    """Whether a reference date or whole period of the table lies in the days of a rule."""
    start, end = held.rules[asked.rule]
    first, last = asked.from_date or date.min, asked.to_date or date.max
    years = range(start.year, end.year + 1)
    if shell.measure == "stock":
        days = [date(year, 12, 31) for year in years]
        return any(start <= day <= end and first <= day <= last for day in days)
    if shell.frequency != "year" and asked.rule in held.by_year_only:
        return False
    step = _MONTHS[shell.frequency]
    firsts = [date(year, month, 1) for year in (*years, end.year + 1) for month in range(1, 13, step)]
    begun = [
        (day, date(day.year + (day.month + step > 12), (day.month + step - 1) % 12 + 1, 1) - _DAY)
        for day in firsts
    ]
    return any(start < day and until <= end and first <= day <= last for day, until in begun)


def find_lacking(name: str, measures: Sequence[str], held: Held) -> list[Need]:
    """What is missing for one dimension of counts of these measures; nothing where a source holds it."""
    if name not in STANDARD:
        if name in held.traits and name in held.dimensions:
            return []
        return [
            Need(
                f"no source holds {name}",
                f"`{name}` as a column of a source, and under estimates.traits",
            )
        ]
    if name == "other_country":
        return [
            Need(f"no source holds the {_OTHER_COUNTRY[measure]}", "`country_from_to` of crossings")
            for measure in measures
            if measure not in held.other_countries
        ]
    if name in held.dimensions:
        return []
    what, columns = _SOURCES[name]
    return [Need(f"no source holds the {what}", columns)]
