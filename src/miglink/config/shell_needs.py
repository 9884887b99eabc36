"""What a table shell needs that a run does not have, and which source or column would give it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from miglink.config.shells import AGES, STANDARD, Shell

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

    dimensions: those of which a source holds a value. other_countries: the measures of which it holds the country
    come from or gone to.
    """

    rules: Sequence[str]
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


def find_needs(shell: Shell, held: Held) -> list[Need]:
    """Everything that a shell asks for and the run does not hold; nothing where it can be produced."""
    asked = [one.rule for one in shell.asks_for(held.chosen_rules.get(shell.name))]
    found = []
    if not {*asked} & {*held.rules}:
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
    found += [need for name in shell.dimensions for need in _lacking(name, shell, held)]
    return list(dict.fromkeys(found))


def _lacking(name: str, shell: Shell, held: Held) -> list[Need]:
    """What is missing for one dimension."""
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
            for measure in shell.measures
            if measure not in held.other_countries
        ]
    if name in held.dimensions:
        return []
    what, columns = _SOURCES[name]
    return [Need(f"no source holds the {what}", columns)]
