"""What the sources hold, as far as configuration and the rows looked at tell: kinds, columns and what they lack."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from miglink.check.findings import SourceFindings
from miglink.config import Config, Rule
from miglink.config.shell_needs import Held, covered_days
from miglink.config.shells import AGES
from miglink.config.sources import Mapping as ColumnMapping
from miglink.config.sources import Source
from miglink.config.stages import Period
from miglink.config.windows import crossings_group, listing_group, needed_groups, observed_days

# Dimension -> the columns of sources that must all hold a value.
COLUMNS = {
    "sex": ("sex",),
    **dict.fromkeys(AGES, ("birth_date",)),
    "citizenship": ("citizenship",),
    "citizenship_group": ("citizenship",),
    "birth_country": ("birth_country",),
    "birth_group": ("birth_country",),
    "origin_group": ("birth_country", "citizenship"),
    "region": ("region",),
}


@dataclass(frozen=True)
class Inspected:
    """The configuration with what was found in its sources; has_gaps: whether crossings do not fill the period."""

    config: Config
    sources: Mapping[str, SourceFindings]
    has_gaps: bool = False

    @property
    def period(self) -> Period:
        """The days of the run."""
        assert self.config.period is not None  # without one nothing is assessed
        return self.config.period

    def has(self, *kinds: str) -> bool:
        """Whether there is a source of one of the kinds."""
        return any(source.kind in kinds for source in self.config.sources.values())

    @property
    def crossings(self) -> Collection[str]:
        """The sources that tell who came and left; none where borders are open."""
        return crossings_group(self.config).keys()

    @property
    def population_lists(self) -> Collection[str]:
        """The sources that list everybody who lives here."""
        return listing_group(self.config).keys()

    def names(self, *kinds: str) -> list[str]:
        """The sources of some kinds."""
        return [name for name, source in self.config.sources.items() if source.kind in kinds]

    def tells(self, kind: str, column: str, value: str) -> bool:
        """Whether a source of a kind may say a word in a coded column, such as `death` in `event`."""
        return any(
            _may_say(source, column, value) for source in self.config.sources.values() if source.kind == kind
        )

    def missing_share(self, names: Iterable[str], column: str) -> float:
        """The share of the rows looked at of some sources without a value that can be read; 1 where none maps it."""
        looked = [self.sources[name] for name in names if self.sources[name].n_looked_at]
        n_rows = sum(one.n_looked_at for one in looked)
        return (
            sum(_share_missing(one, column) * one.n_looked_at for one in looked) / n_rows if n_rows else 1.0
        )

    def holders(self, column: str) -> list[str]:
        """The sources that hold a value of a column in some of the rows looked at."""
        return [name for name in self.sources if self.missing_share([name], column) < 1]


def find_days(inspected: Inspected, rule: Rule) -> Period | None:
    """The days observed under a rule, of the run or not; none where its sources have no day in common."""
    days = observed_days(needed_groups(inspected.config, rule), inspected.period)
    return Period.model_validate({"from": days[0], "to": days[1]}) if days else None


def find_final_years(rule: Rule, period: Period) -> tuple[int, ...]:
    """A year is final when every event in it has been followed up for as long as the rule may wait.

    Years are those of which the rule gives the status at both ends.
    """
    first = period.from_date.year + (period.from_date > date(period.from_date.year, 1, 1))
    followed_to = period.to_date + timedelta(days=1) - timedelta(days=rule.follow_up_days)
    opened, closed = rule.first_date or date.min, rule.last_date or date.max
    return tuple(
        year
        for year in range(first, followed_to.year)
        if date(year + 1, 1, 1) <= followed_to
        and opened <= date(year - 1, 12, 31)
        and date(year, 12, 31) <= closed
    )


def describe_held(inspected: Inspected, rules: Iterable[Rule]) -> Held:
    """What the needs of published tables are held against, with these rules."""
    config, rules = inspected.config, list(rules)
    filled = {column for columns in COLUMNS.values() for column in columns if inspected.holders(column)}
    traits = config.estimates.traits if config.estimates else ()
    of_crossings = {
        column
        for column in ("purpose", "country_from_to")
        if inspected.missing_share(inspected.names("crossings"), column) < 1
    }
    known = {name for name, columns in COLUMNS.items() if filled >= {*columns}}
    known |= {name for name in traits if inspected.holders(name)} | (of_crossings & {"purpose"})
    first, last = inspected.period.from_date, inspected.period.to_date
    return Held(
        {rule.name: covered_days(first, last, rule.first_date, rule.last_date) for rule in rules},
        {rule.name for rule in rules if not rule.has_flow_dates},
        traits,
        bool(inspected.population_lists),
        known,
        ("immigration", "emigration") if "country_from_to" in of_crossings else (),
        config.publish.table_rules,
    )


def _may_say(source: Source, column: str, value: str) -> bool:
    given = source.columns.get(column)
    if not isinstance(given, ColumnMapping):
        return given is not None
    if given.constant is not None:
        return given.constant == value
    return given.map is None or value in given.map.values() or given.unmapped == "keep"


def _share_missing(one: SourceFindings, column: str) -> float:
    """Blank, or with a value that no code names or no format reads; 1 where the source does not map the column."""
    blank = [shares.share for shares in one.blank if shares.name == column]
    if not blank:
        return 1.0
    unread = [shares.share for shares in one.unreadable if shares.name == column]
    unknown = [codes.share for codes in one.unknown_codes if codes.column == column]
    return min(1.0, sum(blank) + sum(unread) + sum(unknown))
