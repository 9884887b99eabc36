"""Stage 6: decides who is a usual resident, from when, and which crossings are migrations."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from miglink.config.draws import DrawsSettings
from miglink.config.rules import (
    AnyRule,
    CrossingsRule,
    MissingCrossings,
    ReferenceDateRule,
    VisaSpanRule,
)
from miglink.config.rules_of_evidence import RegistrationRule, ResidencyIndexRule
from miglink.config.stages import Period, ResidenceSettings
from miglink.config.windows import Windows
from miglink.engine import Engine, Table
from miglink.stages.residence.chain import find_chain, find_expectations
from miglink.stages.residence.classification import ForwardRule, classify, settle_chain
from miglink.stages.residence.draws import (
    Asked,
    Case,
    Drawn,
    Learnt,
    Seen,
    draw_case,
    learn,
    open_at_cuts,
    see,
)
from miglink.stages.residence.draws.linked import Linkages, find_drawn_evidence
from miglink.stages.residence.draws.patterns import Patterns
from miglink.stages.residence.draws.tables import (
    find_best_rows,
    find_linked_rows,
    find_shares,
    write_back_tests,
    write_draws,
    write_follow_up,
)
from miglink.stages.residence.elements import presumed_day
from miglink.stages.residence.histories import (
    Decided,
    find_changes,
    find_events,
    find_status_days,
    find_statuses,
    hide_statuses,
    leave_open,
    write_migrations,
    write_residence,
)
from miglink.stages.residence.initial_status import (
    Evidence,
    as_known,
    find_newborns,
    find_people,
    find_starters,
)
from miglink.stages.residence.kernel import (
    Histories,
    Observation,
    classify_histories,
    keep_freed_memory,
)
from miglink.stages.residence.reference_dates import Question, first_listed_day, judge_reference_dates
from miglink.stages.residence.registrations import follow_register
from miglink.stages.residence.residency_index import follow_index
from miglink.stages.residence.visa_spans import VisaQuestion, judge_visa_spans
from miglink.stages.residence.visas import add_visa_ends

__all__ = [
    "Drawing", "Evidence", "ForwardRule", "Histories", "Linkages", "Observation", "classify", "classify_histories",
    "draw_residence", "find_residence", "keep_freed_memory",
]  # fmt: skip


@dataclass(frozen=True)
class Drawing:
    """What draws are asked for: how many, the reporting country, whose citizens are nationals, and other linkages.

    country: None where it is not known. linkages: None where only the best linkage is followed.
    """

    settings: DrawsSettings
    country: str | None
    linkages: Linkages | None = None


@dataclass
class _Draws:
    """The draws made so far, what they have learnt by rule and policy, and by rule the crossings open at cuts.

    seen: what is on record, by the first and last day of the window; patterns: what hidden crossings were learnt from.
    """

    drawing: Drawing
    is_of_draw: bool = False
    made: list[Drawn] = field(default_factory=list)
    learnt: dict[tuple[str, str], Learnt] = field(default_factory=dict)
    opened: dict[str, Table] = field(default_factory=dict)
    seen: dict[tuple[date, date], Seen] = field(default_factory=dict)
    patterns: dict[tuple[date, date], Patterns] = field(default_factory=dict)


def draw_residence(
    engine: Engine, evidence: Evidence, windows: Windows, settings: ResidenceSettings, drawing: Drawing
) -> tuple[Table, ...]:
    """Decide each person's status, and draw the histories that persons in doubt may have had.

    Reads: as `find_residence`.
    Gives: residence and migrations, as `find_residence` (with p_migration of undetermined crossings: the share of
        draws in which they are one); doubts, residence_draws, migration_draws; follow_up, the model that unfinished
        crossings are drawn from, and back_tests, what it would have forecast on earlier days. Rules that rest on no
        crossings, or look back, are not drawn.
    Units: as `find_residence`.
    Errors: TableError if a contract is broken.
    Source: docs/decisions/0021; methods of miglink, sections 2 and 5.
    """
    draws, number = _Draws(drawing), drawing.settings.number
    decided = _decide_all(engine, evidence, windows, settings, draws if number else None)
    by_crossings = tuple(rule.name for rule in settings.rules if rule.needs_crossings)
    shares = find_shares(engine, draws.made, number)
    residence = write_residence(engine, decided)
    migrations = write_migrations(engine, evidence, decided, by_crossings, shares)
    models = write_follow_up(engine, draws.made), write_back_tests(engine, draws.made)
    has_linkages = bool(number and drawing.linkages and engine.count(drawing.linkages.person_draws))
    rows = [find_best_rows(engine, evidence, draws.made, has_linkages=has_linkages)]
    if drawing.linkages is not None and has_linkages:
        # What was decided of the persons as linked best is written by now: scratch tables are used again.
        linked = find_drawn_evidence(engine, evidence, drawing.linkages)
        patterns = {days: seen.patterns for days, seen in draws.seen.items()}
        again = _Draws(drawing, is_of_draw=True, learnt=draws.learnt, patterns=patterns)
        others = _decide_all(engine, linked, windows, settings, again)
        rows.append(find_linked_rows(engine, linked, others, again.made, residence))
    return residence, migrations, *write_draws(engine, rows), *models


def find_residence(
    engine: Engine, evidence: Evidence, windows: Windows, settings: ResidenceSettings
) -> tuple[Table, Table]:
    """Decide each person's status under every rule and policy, and the crossings that are migrations or may be.

    Reads: spells (draw 0), records (register and permits as evidence; country and purpose of crossings),
        record_persons, persons (births, deaths, mothers).
    Gives: residence (every person who lives in the rule's window, also without crossings) and migrations (settled
        ones, and those that are undetermined). A change between two known statuses has one settled migration, and the
        reverse.
    Units: a status holds from the end of from_date. Days are observed up to and including the last of the rule's
        window, so what a rule looks forward to is cut at the day after. A missing crossing is dated on its first
        possible day; the change of status that it is sure to bring is settled on its last one.
    Errors: TableError if a contract is broken.
    Source: StatisticsNZ migrbc 2.0.9 and migstat 1.0.6; methods of miglink, sections 1 and 2.

    A child born here has the mother's status at the end of that day. With no mother known: resident if registered
    within the rule's threshold of days from birth, else undetermined. A person born in the period but not here is
    non_resident from birth. Under `reject_person` whoever has a missing crossing keeps the first status, with the basis
    `rejected_person`, by which they can be counted. A rule by registration follows the register alone, and is the same
    under every policy.
    """
    decided = _decide_all(engine, evidence, windows, settings, None)
    by_crossings = tuple(rule.name for rule in settings.rules if rule.needs_crossings)
    return write_residence(engine, decided), write_migrations(engine, evidence, decided, by_crossings)


def _decide_all(
    engine: Engine, evidence: Evidence, windows: Windows, settings: ResidenceSettings, draws: _Draws | None
) -> list[Decided]:
    """What the rules decide, those observed over the same days together."""
    by_window: dict[tuple[date, date], list[AnyRule]] = {}
    for rule in settings.rules:
        window = windows.of(rule.name)
        by_window.setdefault((window.from_date, window.to_date), []).append(rule)
    return [
        _decide_window(engine, evidence, windows, settings.model_copy(update={"rules": tuple(rules)}), draws)
        for rules in by_window.values()
    ]


def _decide_window(
    engine: Engine, evidence: Evidence, windows: Windows, settings: ResidenceSettings, draws: _Draws | None
) -> Decided:
    """What the rules decide that are observed over one window.

    Absence from a register says nothing of the first day where the register begins later, or has ended.
    """
    first, period = settings.rules[0].name, windows.of(settings.rules[0].name)
    evidence = as_known(engine, f"residence_known_{first}", evidence, period)
    listed = windows.listed
    if listed is not None and not listed.from_date <= period.from_date <= listed.to_date:
        order = [one for one in settings.initial_status if one not in ("not_registered", "not_listed")]
        settings = settings.model_copy(update={"initial_status": tuple(order)})
    people = find_people(engine, evidence, period, settings, f"residence_people_{first}")
    chain = find_chain(engine, evidence.spells, people)
    if "visa_end" in settings.policies:
        chain = add_visa_ends(engine, chain, people, evidence)
    statuses: dict[tuple[str, str], list[Table]] = {}
    changes: dict[tuple[str, str], list[Table]] = {}
    for rule in settings.rules:
        found = _decide(engine, evidence, _Known(people, chain, period, settings, draws), rule)
        for policy in settings.policies:
            # Where a rule does not ask for policies, all have the same.
            one = found.get(policy) or found["unresolved"]
            statuses[rule.name, policy] = _listed(engine, [found_statuses for found_statuses, _ in one], rule)
            changes[rule.name, policy] = [moves for _, moves in one]
    return Decided(people, statuses, changes)


@dataclass(frozen=True)
class _Known:
    """What every rule looks at: the persons, their chains of crossings, the period, the settings, and what to draw."""

    people: Table
    chain: Table
    period: Period
    settings: ResidenceSettings
    draws: _Draws | None


@dataclass(frozen=True)
class _Case:
    """One rule and policy, the period, and the stays that permits and visas let expect."""

    rule: CrossingsRule | VisaSpanRule
    policy: MissingCrossings
    period: Period
    expectations: Table


def _decide(
    engine: Engine, evidence: Evidence, known: _Known, rule: AnyRule
) -> dict[MissingCrossings, list[tuple[Table, Table]]]:
    """Statuses and changes under one rule, by policy: of those who start by themselves, and of newborns."""
    people, period, settings = known.people, known.period, known.settings
    if isinstance(rule, RegistrationRule):
        return {"unresolved": [follow_register(engine, people, evidence, rule, period)]}
    if isinstance(rule, ResidencyIndexRule):
        return {"unresolved": follow_index(engine, people, evidence, rule, period)}
    starters = find_starters(engine, people, rule, period, settings.initial_status)
    expectations = find_expectations(engine, evidence, people, rule, settings.resident_permits)
    found: dict[MissingCrossings, list[tuple[Table, Table]]] = {}
    for policy in settings.policies if isinstance(rule, CrossingsRule) else ("unresolved",):
        name = f"residence_{rule.name}_{policy}"
        case = _Case(rule, policy, period, expectations)
        grown = _follow(engine, name, known.chain, starters, case)
        newborns = find_newborns(engine, people, grown[0], rule, period)
        found[policy] = [grown, _follow(engine, f"{name}_newborns", known.chain, newborns, case)]
        if known.draws is not None and isinstance(rule, ForwardRule):
            _draw(engine, evidence, known, (rule, policy, expectations, (starters, newborns), found[policy]))
    return found


def _draw(
    engine: Engine,
    evidence: Evidence,
    known: _Known,
    decided: tuple[ForwardRule, MissingCrossings, Table, tuple[Table, Table], list[tuple[Table, Table]]],
) -> None:
    """Add the draws under one rule and policy to those made; what they rest on is learnt the first time."""
    draws = known.draws
    assert draws is not None  # the caller asks
    rule, policy, expectations, travellers, found = decided
    columns = "person_key, from_day, death_day, start, observed_day, is_window_cut, initial_status"
    days = (known.period.from_date, known.period.to_date)
    if days not in draws.seen:
        name = f"residence_seen_{len(draws.seen)}"
        tables, chosen = (known.people, known.chain, evidence), (known.period, known.settings)
        asked_of = (draws.drawing.settings.seed, draws.drawing.country)
        draws.seen[days] = see(engine, name, tables, chosen, asked_of, draws.patterns.get(days))
    seen = draws.seen[days]
    name = f"residence_all_{rule.name}_{policy}"
    case = Case(
        rule,
        policy,
        known.people,
        known.chain,
        expectations,
        _stack(engine, f"{name}_travellers", travellers, columns),
        _stack(engine, f"{name}_statuses", [statuses for statuses, _ in found], "*"),
        _stack(engine, f"{name}_changes", [changes for _, changes in found], "*"),
        seen.crossings,
        seen.missed if policy == "unresolved" else None,
    )
    asked = Asked(draws.drawing.settings, days, draws.drawing.country, draws.is_of_draw)
    if (rule.name, policy) not in draws.learnt:
        if rule.name not in draws.opened:
            draws.opened[rule.name] = open_at_cuts(engine, case, evidence, days, draws.drawing.country)
        draws.learnt[rule.name, policy] = learn(engine, case, seen, draws.opened[rule.name], asked)
    draws.made.append(draw_case(engine, case, evidence, seen, draws.learnt[rule.name, policy], asked))


def _stack(engine: Engine, name: str, tables: Sequence[Table], columns: str) -> Table:
    """The rows of several tables."""
    numbered = {f"part_{number}": table for number, table in enumerate(tables)}
    return engine.view(
        name, " UNION ALL ".join(f"SELECT {columns} FROM {one}" for one in numbered), **numbered
    )


def _follow(engine: Engine, name: str, chain: Table, travellers: Table, case: _Case) -> tuple[Table, Table]:
    """The statuses and changes of some persons under one rule and policy.

    Where the policy dates a crossing that is presumed missing after the last one recorded, what rests on its day is
    never final.
    """
    found = _judge(engine, name, chain, travellers, case)
    if case.policy in ("midpoint", "visa_end"):
        return leave_open(engine, name, _find_presumed(engine, chain, case.policy), *found)
    return found


def _find_presumed(engine: Engine, chain: Table, policy: MissingCrossings) -> Table:
    """The persons of whom evidence says that a crossing is missing after the last one recorded, and its day."""
    return engine.step(
        "residence_presumed",
        f"""
        WITH ordered AS (
            SELECT person_key, {presumed_day(policy)} AS presumed_day, is_crossing AND gap_day IS NOT NULL AS is_open,
                   ROW_NUMBER() OVER (PARTITION BY person_key ORDER BY position DESC) AS nth
            FROM chain
        )
        SELECT person_key, presumed_day FROM ordered WHERE nth = 1 AND is_open
        """,
        chain=chain,
    )


def _judge(engine: Engine, name: str, chain: Table, travellers: Table, case: _Case) -> tuple[Table, Table]:
    """The same, by what is recorded and presumed."""
    rejected = "has_gap" if case.policy == "reject_person" else "FALSE"
    followed = engine.step(
        "residence_followed",
        f"""SELECT person_key, from_day, death_day, start, observed_day, is_window_cut, initial_status,
                   initial_final_day,
                   CASE WHEN {rejected} THEN 'rejected_person' ELSE initial_basis END AS initial_basis
        FROM travellers""",
        travellers=travellers,
    )
    own = engine.step(
        "residence_own_chain",
        "SELECT c.* FROM chain c WHERE c.person_key IN (SELECT person_key FROM travellers)",
        chain=chain,
        travellers=travellers,
    )
    if isinstance(case.rule, VisaSpanRule):
        own_visas = VisaQuestion(case.rule, case.period, case.expectations)
        corrected, status_days, moves = judge_visa_spans(engine, own, followed, own_visas)
        changes = engine.step(f"{name}_changes", "SELECT * FROM moves", moves=moves)
        return find_statuses(engine, f"{name}_statuses", status_days, corrected), changes
    if isinstance(case.rule, ReferenceDateRule):
        question = Question(case.rule, case.policy, case.period, case.expectations)
        corrected, status_days, moves = judge_reference_dates(engine, own, followed, question)
        changes = engine.step(f"{name}_changes", "SELECT * FROM moves", moves=moves)
        return find_statuses(engine, f"{name}_statuses", status_days, corrected), changes
    settled, _ = settle_chain(engine, own, followed, case.rule, case.policy, case.expectations)
    events = find_events(engine, settled, followed)
    return (
        find_statuses(engine, f"{name}_statuses", find_status_days(engine, events), followed),
        find_changes(engine, f"{name}_changes", events),
    )


def _listed(engine: Engine, statuses: list[Table], rule: AnyRule) -> list[Table]:
    """The statuses that the rule gives: none before the date from which it applies."""
    first_day = first_listed_day(rule)
    if first_day is None:
        return statuses
    return [hide_statuses(engine, f"{table.name}_listed", table, first_day) for table in statuses]
