"""Whether the tables of `publish.tables` can be produced, as far as configuration and columns tell."""

from collections.abc import Sequence

from miglink.check.findings import ShellFindings, SourceFindings
from miglink.config import Config
from miglink.config.shell_needs import Held, covered_days, find_needs
from miglink.config.shells import AGES

# Dimension -> the columns of sources that must all hold a value.
_COLUMNS = {
    "sex": ("sex",),
    **dict.fromkeys(AGES, ("birth_date",)),
    "citizenship": ("citizenship",),
    "citizenship_group": ("citizenship",),
    "birth_country": ("birth_country",),
    "birth_group": ("birth_country",),
    "origin_group": ("birth_country", "citizenship"),
    "region": ("region",),
}


def find_shells(config: Config, sources: Sequence[SourceFindings]) -> tuple[ShellFindings, ...]:
    """Every table asked for, with what it would need."""
    if config.period is None or config.residence is None or config.estimates is None:
        return ()
    traits = config.estimates.traits
    filled = _filled(sources)
    of_crossings = _filled([source for source in sources if source.kind == "crossings"])
    known = {name for name, columns in _COLUMNS.items() if filled >= {*columns}}
    known |= (filled & {*traits}) | (of_crossings & {"purpose"})
    first, last = config.period.from_date, config.period.to_date
    held = Held(
        {
            rule.name: covered_days(first, last, rule.first_date, rule.last_date)
            for rule in config.residence.rules
        },
        {rule.name for rule in config.residence.rules if not rule.has_flow_dates},
        traits,
        any(source.covers_population for source in config.sources.values()),
        known,
        ("immigration", "emigration") if "country_from_to" in of_crossings else (),
        config.publish.table_rules,
    )
    found = []
    for shell in config.publish.tables:
        needs = find_needs(shell, held)
        found.append(
            ShellFindings(
                shell.name,
                shell.title,
                tuple(one.reason for one in needs),
                tuple(one.needs for one in needs),
            )
        )
    return tuple(found)


def _filled(sources: Sequence[SourceFindings]) -> set[str]:
    """The columns that some source maps and fills in some of the rows looked at."""
    return {
        column.name
        for source in sources
        for column in source.blank
        if source.n_looked_at and column.share < 1
    }
