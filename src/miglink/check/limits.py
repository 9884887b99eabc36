"""What the sources do not give the figures under a rule, and what that does to them (docs/readiness.md)."""

from collections.abc import Iterable, Sequence
from typing import Literal

from miglink.check.findings import Limit
from miglink.check.held import COLUMNS, Inspected, find_days, find_final_years
from miglink.config import Rule
from miglink.config.rules import ForwardMonthsRule, ReferenceDateRule, VisaSpanRule
from miglink.config.rules_of_evidence import RegistrationRule, ResidencyIndexRule
from miglink.config.shell_needs import Held, find_lacking

Counted = Literal["stocks", "flows", "accounts"]

# Beyond so many rows without a value a breakdown is weakened, or undermined; assumed, no publication has them.
SOME_MISSING, MANY_MISSING = 0.05, 0.20
_WORDS = {
    "sex": "sex",
    "birth_date": "date of birth",
    "citizenship": "citizenship",
    "birth_country": "country of birth",
    "region": "region",
    "purpose": "purpose of crossings",
    "country_from_to": "country come from or gone to",
    "reference_date": "reference date",
}
_OF_CROSSINGS = {"purpose": "purpose", "other_country": "country_from_to"}
_NUMBERS = {"document_number", "person_number", "person_id"}


def find_limits(inspected: Inspected, rule: Rule, counted: Counted) -> list[Limit]:
    """Everything known before a run that limits stocks, flows or accounts under a rule, whatever they are split by."""
    impossible = _find_impossible(inspected, rule)
    if impossible:
        return impossible
    found = [*_of_days(inspected, rule), *_of_start(inspected, rule), *_of_links(inspected, rule)]
    found += [*_of_deaths(inspected, rule, counted), *_of_births(inspected, rule, counted)]
    if isinstance(rule, RegistrationRule):
        found += _of_register(inspected, counted)
    elif counted != "flows":
        found += find_travellers_only(inspected)
    return found


def find_travellers_only(inspected: Inspected) -> list[Limit]:
    """Whether nobody lists who lives here: then stocks hold only who is seen."""
    if inspected.population_lists:
        return []
    return [
        Limit(
            "leaves_out",
            "stocks hold travellers only: no source lists everybody who lives here",
            "a source with `covers_population: true`, such as a population register",
        )
    ]


def _find_impossible(inspected: Inspected, rule: Rule) -> list[Limit]:
    """Why a rule gives no figures at all with these sources."""
    if rule.needs_crossings and not inspected.crossings:
        if inspected.has("crossings"):
            why = (
                f"{rule.name} follows crossings, and with `spells.borders: open` they do not tell who is here"
            )
            return [Limit("prevents", why, "a rule that rests on other evidence, such as register")]
        return [
            Limit(
                "prevents", f"{rule.name} follows crossings, and no source has any", "a source of crossings"
            )
        ]
    kinds = rule.evidence_kinds
    if kinds and not inspected.has(*kinds):
        names = " or ".join(kinds)
        return [
            Limit("prevents", f"{rule.name} rests on {names}, and there are none", f"a source of {names}")
        ]
    days = find_days(inspected, rule)
    if days is None or (rule.first_date or days.to_date) > days.to_date:
        why = f"{rule.name} gives no status on any day of the period that its sources cover"
        return [Limit("prevents", why, "a longer `period`, or sources that cover more of it (`covers`)")]
    if (rule.last_date or days.from_date) < days.from_date:
        return [Limit("prevents", f"{rule.name} ends before the period begins", "a rule that still applies")]
    return []


def _of_days(inspected: Inspected, rule: Rule) -> list[Limit]:
    """Days that are not observed, and whether any year is followed up to its end."""
    days, period = find_days(inspected, rule), inspected.period
    assert days is not None  # else the rule is impossible
    found = []
    if days != period:
        why = f"{rule.name} is observed from {days.from_date} to {days.to_date} only, not in the whole period"
        found.append(Limit("leaves_out", why, "sources that cover the rest of the period (`covers`)"))
    if not find_final_years(rule, days):
        wait = (
            f"a whole year with {rule.follow_up_days:,} days after it, within `period` and what sources cover"
        )
        found.append(Limit("undermines", f"no year is final under {rule.name}", wait))
    if rule.needs_crossings and inspected.has_gaps:
        why = "crossings do not fill the period: what rests on the months that lack them stays provisional"
        found.append(Limit("weakens", why, "the crossings of the months named in the note on them"))
    return found


def _of_start(inspected: Inspected, rule: Rule) -> list[Limit]:
    """What tells who lived here when observation began, and who means to stay."""
    found = []
    told: dict[str, bool] = {
        "register": inspected.has("register"),
        "active_registration": inspected.has("register") and inspected.has("activity"),
        "permit": inspected.has("permits"),
        "not_registered": bool(inspected.population_lists),
        "not_listed": bool(inspected.population_lists),
    }
    settings = inspected.config.residence
    tried = settings.initial_status if settings else ("register", "permit")
    if rule.needs_crossings and not any(told.get(name, False) for name in tried):
        found.append(
            Limit(
                "weakens",
                f"who lived here on {inspected.period.from_date} is told by the first crossing alone: who crosses "
                "early is undetermined, until later crossings agree",
                "a register or residence permits, tried in `residence.initial_status`",
            )
        )
    if isinstance(rule, ResidencyIndexRule) and not inspected.has("register"):
        found.append(
            Limit(
                "weakens",
                f"{rule.name}: without a register nobody is a resident at first, until signs of life add up",
                "a register",
            )
        )
    means = (isinstance(rule, ForwardMonthsRule) and rule.expected_stay == "decides_unfinished") or (
        isinstance(rule, ReferenceDateRule) and rule.intended_stay == "counts"
    )
    if means and not inspected.has("visas", "permits"):
        found.append(
            Limit(
                "weakens",
                f"{rule.name} asks how long somebody means to stay, and no visa or permit tells: it is judged by the "
                "days seen",
                "visas or permits with their purpose and last day",
            )
        )
    return found


def _of_links(inspected: Inspected, rule: Rule) -> list[Limit]:
    """Crossings that only names and dates can link: a missed link is an emigrant and an immigrant too many."""
    if not rule.needs_crossings:
        return []
    unnumbered = [name for name in inspected.crossings if not _NUMBERS & {*inspected.sources[name].links_on}]
    if not unnumbered:
        return []
    why = f"crossings of {', '.join(unnumbered)} have neither a document nor a number: they link by names and dates"
    return [Limit("weakens", why, "`document_number` of crossings")]


def _of_deaths(inspected: Inspected, rule: Rule, counted: Counted) -> list[Limit]:
    if inspected.tells("vital", "event", "death") or inspected.tells("register", "end_reason", "death"):
        return []
    needs = "deaths (a source of kind vital), or `end_reason` of a register"
    found = []
    if rule.needs_crossings:
        if counted != "flows":
            found.append(Limit("weakens", "deaths are not known: who dies here stays in the stock", needs))
    elif counted != "stocks":
        why = f"deaths are not known: under {rule.name} who dies leaves as an emigrant"
        found.append(Limit("weakens", why, needs))
    if counted == "accounts":
        found.append(Limit("leaves_out", "deaths are not known: accounts have none", needs))
    return found


def _of_births(inspected: Inspected, rule: Rule, counted: Counted) -> list[Limit]:
    if inspected.tells("vital", "event", "birth") or inspected.tells("register", "reason", "birth"):
        return []
    needs = "births (a source of kind vital), or `reason` of a register"
    found = []
    if rule.needs_crossings:
        why = "births are not known: children born here count as living abroad until they are seen to come"
        found.append(Limit("weakens", why, needs))
    elif counted != "stocks":
        why = f"births are not known: under {rule.name} children born here come as immigrants"
        found.append(Limit("weakens", why, needs))
    if counted == "accounts":
        found.append(Limit("leaves_out", "births are not known: accounts have none", needs))
    return found


def _of_register(inspected: Inspected, counted: Counted) -> list[Limit]:
    """What a register must say where it alone decides."""
    found = []
    if not inspected.population_lists:
        what = "stocks" if counted == "stocks" else "stocks and flows" if counted == "accounts" else "flows"
        why = f"{what} hold only who is registered: no register lists everybody who lives here"
        needs = "a source with `covers_population: true`, such as a population register"
        found.append(Limit("leaves_out", why, needs))
    if inspected.missing_share(inspected.names("register"), "registered_to") == 1:
        why = "no register says when a registration ended: nobody emigrates"
        found.append(Limit("undermines", why, "`registered_to` of the register"))
    return found


def find_dimension_limits(
    inspected: Inspected, rule: Rule, counted: Counted, names: Iterable[str], held: Held
) -> list[Limit]:
    """What limits a breakdown by some dimensions: nobody holds one, some sources do, or rows lack it."""
    found = []
    for name in names:
        if name in _OF_CROSSINGS and not rule.needs_crossings:
            why = f"{_WORDS[_OF_CROSSINGS[name]]}: changes under {rule.name} are no crossings, and have none"
            found.append(Limit("prevents", why, "a rule that follows crossings"))
            continue
        lacking = find_lacking(name, ("immigration", "emigration"), held)
        if lacking:
            found += [Limit("prevents", need.reason, need.needs) for need in lacking]
            continue
        for column in COLUMNS.get(name, (_OF_CROSSINGS.get(name, name),)):
            found += _of_column(inspected, column, _carriers(inspected, rule, counted, name))
    return list(dict.fromkeys(found))


def _carriers(inspected: Inspected, rule: Rule, counted: Counted, name: str) -> list[Sequence[str]]:
    """The groups of sources in which everybody who is counted has a record, each on its own."""
    if name in _OF_CROSSINGS:
        return [inspected.names("crossings")]
    lists = [list(inspected.population_lists)] if inspected.population_lists else []
    if counted != "flows" and lists:
        return [*lists]
    if isinstance(rule, VisaSpanRule):
        return [list(inspected.crossings), inspected.names("visas", "permits")]
    if rule.needs_crossings:
        return [list(inspected.crossings), *lists]
    return [inspected.names(*rule.evidence_kinds), *lists]


def _of_column(inspected: Inspected, column: str, carriers: Sequence[Sequence[str]]) -> list[Limit]:
    """Rows without a value, where everybody counted has a row; else who it is that has one."""
    what = _WORDS.get(column, column)
    share, best = min((inspected.missing_share(names, column), names) for names in carriers)
    if share == 1:
        also = ", ".join(inspected.holders(column))
        needs = f"`{column}` of {' or of '.join(' and '.join(names) for names in carriers)}"
        return [Limit("weakens", f"{what} is known only of who is also in {also}", needs)]
    return describe_missing(share, column, best)


def describe_missing(share: float, column: str, names: Sequence[str]) -> list[Limit]:
    """What a share of rows without a value does."""
    if share <= SOME_MISSING:
        return []
    why = f"{_WORDS.get(column, column)} is missing in {share:.0%} of the rows of {', '.join(names)}"
    effect: Literal["weakens", "undermines"] = "undermines" if share > MANY_MISSING else "weakens"
    return [Limit(effect, why, f"`{column}` filled in there, or codes and formats for the values not read")]
