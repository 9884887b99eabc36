"""The outputs of a run that are no stocks, flows or accounts: what each rests on, and what limits it."""

from collections.abc import Iterator
from datetime import date

from miglink.check.findings import Limit
from miglink.check.held import Inspected
from miglink.check.limits import describe_missing, find_limits, find_travellers_only
from miglink.config.mobility import RollingWindowRule
from miglink.config.windows import find_windows

# Name of the table, what of it, whether it is asked for, and what limits it.
Output = tuple[str, str, bool, list[Limit]]

_NO_CROSSINGS = Limit("prevents", "no source tells who came and left", "crossings, with `borders: recorded`")


def assess_others(inspected: Inspected) -> Iterator[Output]:
    """Mobility, lists of people, rights to stay that ended, and how wrong the links are."""
    mobility = inspected.config.mobility
    crossed = _of_statuses(inspected) if inspected.crossings else [_NO_CROSSINGS]
    yield "mobility", "short stays, trips, returns, commuters", True, crossed
    circular = f"circular migrants ({mobility.circular.years} years)"
    yield "mobility", circular, True, [*crossed, *_of_years(inspected, mobility.circular.years)]
    yield "mobility", "residents who lived abroad", True, [*crossed, *_of_birth_countries(inspected)]
    for rule in mobility.rules:
        yield "mobility", f"days above the limit: {rule.name}", True, [*crossed, *_of_limit(inspected, rule)]
    lists = [*_of_statuses(inspected), *_of_lists(inspected)]
    yield "list_status", "lists of people by migratory status", inspected.has("people"), lists
    is_asked = inspected.has("visas", "permits")
    yield "expired_stays", "rights to stay that ended", is_asked, _of_rights(inspected)
    yield "quality", "rates of false and of missed links", True, _of_checks(inspected)


def _of_statuses(inspected: Inspected) -> list[Limit]:
    """What makes it less certain who is a resident, under the main rule."""
    settings = inspected.config.residence
    limits = find_limits(inspected, settings.rules[0], "flows") if settings else []
    return [limit for limit in limits if limit.effect in ("weakens", "undermines")]


def _of_years(inspected: Inspected, years: int) -> list[Limit]:
    observed = find_windows(inspected.config).crossings
    begun = observed.from_date
    reached = date(begun.year + years, begun.month, min(begun.day, 28))
    if reached <= observed.data_to_date:
        return []
    why = f"fewer than {years} years are observed: the number of circular migrants can only be too small"
    return [Limit("leaves_out", why, "older crossings")]


def _of_birth_countries(inspected: Inspected) -> list[Limit]:
    lists = list(inspected.population_lists)
    limits = find_travellers_only(inspected)
    if not inspected.holders("birth_country"):
        why = "no source holds the country of birth: only who came since observation began has lived abroad"
        needs = "`birth_country` of a register, of permits, visas or a list of people"
        return [*limits, Limit("leaves_out", why, needs)]
    share = inspected.missing_share(lists, "birth_country")
    return limits + (describe_missing(share, "birth_country", lists) if lists else [])


def _of_limit(inspected: Inspected, rule: RollingWindowRule) -> list[Limit]:
    """Days that do not count because of a right or a registration nobody has a record of."""
    lacking = [kind for kind in rule.excluded if not inspected.has(kind)]
    if not lacking:
        return []
    why = f"{rule.name}: no source of {', '.join(lacking)}, so days of who may stay longer are counted too"
    return [Limit("weakens", why, f"a source of {' and of '.join(lacking)}")]


def _of_lists(inspected: Inspected) -> list[Limit]:
    names = inspected.names("people")
    if not names:
        return [Limit("prevents", "no list of people", "a census, survey or enrolment list (kind people)")]
    share = inspected.missing_share(names, "reference_date")
    if share == 1:
        why = f"no reference date in {', '.join(names)}: no status can be told for any day"
        return [Limit("prevents", why, "`reference_date` of the list; `constant` if it is one day")]
    return describe_missing(share, "reference_date", names)


def _of_rights(inspected: Inspected) -> list[Limit]:
    if not inspected.crossings:
        return [_NO_CROSSINGS]
    if not inspected.has("visas", "permits"):
        return [Limit("prevents", "no source of visas or permits", "visas and permits with their last day")]
    found = []
    if not inspected.has("permits"):
        why = "visas without permits: who got a permit looks like somebody who overstayed"
        found.append(Limit("weakens", why, "a source of permits"))
    if not inspected.has("register"):
        why = "no register tells who lives here after a visa or permit ended"
        found.append(Limit("weakens", why, "a register"))
    return found


def _of_checks(inspected: Inspected) -> list[Limit]:
    """Numbers that the score was not shown, or decisions of people, against which links are checked."""
    if inspected.has("judgements") or inspected.holders("person_number"):
        return []
    needs = "`person_number` of sources, or judgements of pairs (`miglink sample-pairs`)"
    if inspected.holders("document_number"):
        why = "links are checked against documents alone, and a person has several of them"
        return [Limit("weakens", why, needs)]
    return [Limit("prevents", "no number or document against which links could be checked", needs)]
