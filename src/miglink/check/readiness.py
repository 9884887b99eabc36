"""Which outputs these sources can produce, at what quality, and what is missing: an assessment of data needs."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Literal

from miglink.check.findings import Limit, Readiness
from miglink.check.held import Inspected, describe_held, find_days, find_final_years
from miglink.check.limits import Counted, find_dimension_limits, find_limits
from miglink.check.other_outputs import assess_others
from miglink.config import Rule, Shell, preset_rules, preset_shells, read_rule, read_shell
from miglink.config.shell_needs import Held, find_needs, has_period
from miglink.config.shells import OF_FLOWS, ShellRule
from miglink.stages.estimates.dimensions import ALWAYS, DEFAULTS

Named = tuple[Literal["rule", "other", "table"], str, str, str]
_SECTION = Limit(
    "setting",
    "the configuration has no sections `residence` and `estimates`",
    "`residence: {rules: […]}` and `estimates: {reporting_country: …}`",
)


def assess_readiness(inspected: Inspected) -> tuple[Readiness, ...]:
    """Every output of the run under each of its rules, its other outputs, and every published table, asked for or not.

    Nothing without a `period`: no rule gives a status then.
    """
    config = inspected.config
    if config.period is None:
        return ()
    rules = config.residence.rules if config.residence else ()
    held = describe_held(inspected, rules)
    rows: list[Readiness] = []
    if config.residence is not None and config.estimates is not None:
        rows += [row for rule in rules for row in _assess_rule(inspected, rule, held)]
        rows += [
            _grade(("other", "", name, title), is_asked, limits)
            for name, title, is_asked, limits in assess_others(inspected)
        ]
    asked = {shell.name: shell for shell in config.publish.tables}
    shells = sorted((_published() | asked).values(), key=lambda shell: (shell.publisher, shell.name))
    named = {one.rule for shell in shells for one in shell.rules} - {rule.name for rule in rules}
    lacking = [read_rule(name, path.parent) for name, path in preset_rules().items() if name in named]
    wide = replace(held, rules=describe_held(inspected, (*rules, *lacking)).rules)
    available = {rule.name: rule for rule in (*rules, *lacking)}
    for shell in shells:
        is_asked = shell.name in asked
        rows.append(_assess_shell(inspected, (shell, is_asked), available, held if is_asked else wide))
    return tuple(rows)


@cache
def _published() -> dict[str, Shell]:
    """The tables that miglink brings; they are the same all along."""
    return {name: read_shell(name, path.parent) for name, path in preset_shells().items()}


def _grade(
    named: Named, is_asked: bool, limits: Iterable[Limit], final_years: tuple[int, ...] = ()
) -> Readiness:
    """The row of an output: its limits say what can be produced, and how good that is (docs/readiness.md)."""
    limits = tuple(dict.fromkeys(limits))
    effects = {one.effect for one in limits}
    if "prevents" in effects or (is_asked and "setting" in effects):
        # What else is wrong with figures that there are not is of no interest.
        reasons = tuple(one for one in limits if one.effect in ("prevents", "setting"))
        return Readiness(*named, is_asked, "no", None, (), reasons)
    quality: Literal["good", "fair", "poor"] = (
        "poor" if "undermines" in effects else "fair" if "weakens" in effects else "good"
    )
    produced: Literal["partly", "yes"] = "partly" if "leaves_out" in effects else "yes"
    return Readiness(*named, is_asked, produced, quality, final_years, limits)


def _assess_rule(inspected: Inspected, rule: Rule, held: Held) -> Iterator[Readiness]:
    """Stocks, flows and accounts under a rule of the run, in all and by each breakdown."""
    settings = inspected.config.estimates
    assert settings is not None  # only called with the section
    days = find_days(inspected, rule)
    years = find_final_years(rule, days) if days else ()
    chosen = settings.breakdowns
    if chosen is None:
        chosen = (ALWAYS, *DEFAULTS, *((name,) for name in settings.traits))
    counted: Counted
    for counted in ("stocks", "flows", "accounts"):
        general = find_limits(inspected, rule, counted)
        yield _grade(("rule", rule.name, counted, "in all"), True, general, years)
        for names in dict.fromkeys(chosen):
            if counted != "flows" and OF_FLOWS & {*names}:
                continue
            limits = [*general, *find_dimension_limits(inspected, rule, counted, names, held)]
            title = f"by {' × '.join(names).replace('_', ' ')}"
            yield _grade(("rule", rule.name, counted, title), True, limits, years)
        shorter = [period for period in ("quarter", "month") if period in settings.periods]
        if counted == "flows" and shorter:
            why = f"changes under {rule.name} have no day of their own: flows are of years"
            no_days = [] if rule.has_flow_dates else [Limit("prevents", why, "a rule with flow dates")]
            title = f"by {' and '.join(shorter)}"
            yield _grade(("rule", rule.name, counted, title), True, [*general, *no_days], years)


def _assess_shell(
    inspected: Inspected, told: tuple[Shell, bool], available: Mapping[str, Rule], held: Held
) -> Readiness:
    """A published table, asked for or not, under the rules of its definition: those of the run, or else the presets."""
    shell, is_asked = told
    config = inspected.config
    own = {rule.name for rule in (config.residence.rules if config.residence else ())}
    wanted = shell.asks_for(config.publish.table_rules.get(shell.name))
    named: Named = ("table", shell.publisher, shell.name, shell.title)
    limits = [Limit("prevents", need.reason, need.needs) for need in find_needs(shell, held)]
    if config.residence is None or config.estimates is None:
        limits.append(_SECTION)
    if any(one.effect == "prevents" for one in limits):
        return _grade(named, is_asked, limits)

    counted: Counted = "stocks" if shell.measure == "stock" else "flows"
    due = [one for one in wanted if one.rule in available and _applies(inspected, shell, one, available)]
    replaced = [] if is_asked else _replace_rules(inspected, shell, due, (counted, available))
    limits += _of_settings(due, own, is_asked) if not replaced else []
    limits += _of_definition(shell, [one.rule for one in replaced or wanted], is_asked)
    years: set[int] = set()
    for one in replaced or [one for one in due if one.rule in own] or due:
        rule = available[one.rule]
        limits += find_limits(inspected, rule, counted)
        limits += find_dimension_limits(inspected, rule, counted, shell.dimensions, held)
        days = find_days(inspected, rule)
        years |= {*_years_of(one, counted, find_final_years(rule, days) if days else ())}
    return _grade(named, is_asked, limits, tuple(sorted(years)))


def _replace_rules(
    inspected: Inspected, shell: Shell, due: Sequence[ShellRule], told: tuple[Counted, Mapping[str, Rule]]
) -> list[ShellRule]:
    """The first rule of the run that can make a table, where none of its definition is possible with these sources."""
    counted, available = told
    settings = inspected.config.residence
    if settings is None or any(_is_possible(inspected, available[one.rule], counted) for one in due):
        return []
    others = [
        one
        for rule in settings.rules
        for one in shell.asks_for(rule.name)
        if _applies(inspected, shell, one, available) and _is_possible(inspected, rule, counted)
    ]
    return others[:1]


def _is_possible(inspected: Inspected, rule: Rule, counted: Counted) -> bool:
    return not any(limit.effect == "prevents" for limit in find_limits(inspected, rule, counted))


def _of_definition(shell: Shell, used: Sequence[str], is_asked: bool) -> Iterator[Limit]:
    """Where a table is made by a rule that its definition does not name."""
    others = [name for name in used if name not in {one.rule for one in shell.rules}]
    if not others:
        return
    asked_for = " or ".join(one.rule for one in shell.rules)
    why = f"made by {others[0]}, which is another definition of residence than {asked_for} of the table"
    if not is_asked:
        needs = f"{others[0]} for the table under publish.table_rules"
        yield Limit("setting", f"{asked_for} is not possible with these sources", needs)
    yield Limit("weakens", why, f"what {asked_for} rests on, such as crossings")


def _applies(inspected: Inspected, shell: Shell, one: ShellRule, available: Mapping[str, Rule]) -> bool:
    """Whether the period holds a date or year of a table for which it asks for a rule."""
    return has_period(shell, one, describe_held(inspected, [available[one.rule]]))


def _of_settings(due: Sequence[ShellRule], own: Collection[str], is_asked: bool) -> Iterator[Limit]:
    """The rules that a table asks for in the period and the run does not have."""
    missing = [one for one in due if one.rule not in own]
    if not missing:
        return
    names = " and ".join(one.rule for one in missing)
    needs = f"{names} under residence.rules, or another rule of the run under publish.table_rules"
    if len(missing) == len(due) or not is_asked:
        yield Limit("setting", f"the run has no rule {names}", needs)
    else:
        yield Limit(
            "leaves_out", f"the run has no rule {names}, and the table asks for it in some years", needs
        )


def _years_of(one: ShellRule, counted: Counted, years: Iterable[int]) -> Iterator[int]:
    """The years for which a table asks for a rule."""
    for year in years:
        day = date(year, 12, 31) if counted == "stocks" else date(year, 1, 1)
        if (one.from_date or day) <= day <= (one.to_date or day):
            yield year
