"""The explanation of a person for the terminal."""

from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from miglink.explain.grids import grid, probability
from miglink.explain.lines import Identity, Migration, PersonExplanation, Record, Spell, Status


def render_person(found: PersonExplanation) -> Group:
    """What was seen, joined, contradicted, and taken to mean, in this order."""
    shown: list[RenderableType] = [_facts(found), _records(found), _identities(found)]
    if any(identity.values for identity in found.identities):
        shown.append(_values(found))
    if found.neighbours:
        shown.append(_neighbours(found))
    if found.traits:
        shown.append(_traits(found))
    if found.conflicts:
        rows = [[one.kind, one.detail_l or "", one.detail_r or "", one.winner] for one in found.conflicts]
        shown.append(grid("Conflicts", ["kind", "<one side", "<other side", "<outcome"], rows))
    if "spells" not in found.stages_not_run:
        shown += [_spells(found), *_disbeliefs(found)]
    if "residence" not in found.stages_not_run:
        shown += [*_compared(found), *_residence(found), *_migrations(found)]
    if found.stages_not_run:
        shown.append(Text(f"The run was ended before {found.stages_not_run[0]}.\n"))
    return Group(*shown)


def _facts(found: PersonExplanation) -> RenderableType:
    born = f"born {found.birth or '(not known)'}{' here' if found.is_born_here else ''}"
    died = f", died {found.death_date}" if found.death_date else ""
    mother = f" Mother: {found.mother_person_id[:12]}." if found.mother_person_id else ""
    # A run without a period knows no day of its data.
    since = "" if found.id_since_date.startswith("9999") else f" Id since {found.id_since_date}."
    n_records, n_identities = len(found.records), len(found.identities)
    lines = [
        f"Person {found.person_id}",
        f"{n_records:,} records in {n_identities:,} identities; {born}{died}.{since}{mother}",
        _state_doubt(found),
    ]
    return Text("\n".join(lines) + "\n")


def _state_doubt(found: PersonExplanation) -> str:
    """Whether the person is doubtful, and what makes it so."""
    if not found.is_doubtful:
        return f"Certain: no needed link is below certain_p_match ({found.certain_p_match:g}), none is open."
    reasons = []
    if found.weakest_p_match is not None and found.weakest_p_match < found.certain_p_match:
        weakest = probability(found.weakest_p_match)
        reasons.append(
            f"the weakest needed link ({weakest}) is below certain_p_match ({found.certain_p_match:g})"
        )
    if any(one.n_not_accepted for one in found.neighbours):
        reasons.append("links to other persons are open")
    return f"Doubtful: {', and '.join(reasons) or 'links are not certain'}."


def _records(found: PersonExplanation) -> RenderableType:
    has_ids = any(record.record_id for record in found.records)
    rows = [
        [
            record.date or "–",
            f"{record.source} {record.number}",
            str(record.identity),
            _say(record),
            *([record.record_id or ""] if has_ids else []),
        ]
        for record in found.records
    ]
    further = ["<record_id"] if has_ids else []
    return grid(
        "Records in the order of time", ["date", "<record", "identity", "<what it says", *further], rows
    )


def _say(record: Record) -> str:
    """What a record says, in words."""
    at = f"at {record.port}" if record.port else None
    other = f"{'from' if record.direction == 'arrival' else 'to'} {record.country_from_to}"
    until = record.valid_to or record.ended_date
    # The first day is often the day of the record.
    since = record.valid_from if record.valid_from != record.date else None
    period = f"{since or ''} to {until or ''}".strip() if since or until else None
    parts = (
        " ".join(filter(None, (record.direction, at))) or None,
        other if record.country_from_to else None,
        record.reason,
        record.domain,
        record.purpose,
        period,
        record.end_reason,
        record.notes,
        "double scan" if record.is_repeat else None,
    )
    return ", ".join(part for part in parts if part) or record.kind


def _identities(found: PersonExplanation) -> RenderableType:
    lightest = min((one.p_match for one in found.identities if one.p_match is not None), default=None)

    def row(one: Identity) -> list[str]:
        days = " to ".join(dict.fromkeys(day for day in (one.first_date, one.last_date) if day))
        by, p = f"{one.joined_to or ''}", probability(one.p_match)
        mark = " *" if one.p_match is not None and one.p_match == lightest and lightest < 1 else ""
        sources = ", ".join(one.sources)
        return [str(one.number), one.identity_id[:12], f"{one.n_records:,}", sources, days, by, p + mark]

    seen = {one.blocking_rule for one in found.identities}
    rules = [rule for rule in ("judgement", "given_person") if rule in seen]
    bound = f" Bound, whatever the model says: {', '.join(rules)}." if rules else ""
    caption = "joined to: by the strongest links that hold all together. * the weakest of them."
    return grid(
        "Identities and the links that join them",
        ["", "<identity", "records", "<sources", "<seen", "joined\nto", "p_match"],
        [row(one) for one in found.identities],
        (caption if len(found.identities) > 1 else "") + bound,
    )


def _values(found: PersonExplanation) -> RenderableType:
    rows = [
        [str(one.number), ", ".join(f"{name} {value}" for name, value in (one.values or {}).items())]
        for one in found.identities
    ]
    return grid("Values of the identities", ["", "<fields held"], rows)


def _neighbours(found: PersonExplanation) -> RenderableType:
    rows = [
        [
            one.person_id[:12],
            f"{one.n_links:,}",
            f"{one.n_not_accepted:,}",
            probability(one.p_match),
            one.outcome,
        ]
        for one in found.neighbours
    ]
    return grid(
        "Other persons to whom links lead",
        ["person", "links", "not accepted", "largest p_match", "<outcome"],
        rows,
    )


def _traits(found: PersonExplanation) -> RenderableType:
    rows = [
        [one.trait, one.value, one.valid_from or "the beginning", one.valid_to or "", one.source]
        for one in found.traits
    ]
    return grid("Traits", ["", "<value", "<from", "<to", "<source"], rows)


def _spells(found: PersonExplanation) -> RenderableType:
    if not found.spells:
        return Text("No spells: the person has no crossings that count.\n")
    has_missing = any(one.earliest_date for one in found.spells)

    def row(one: Spell) -> list[str]:
        record = f" ({one.start_source} {one.start_number})" if one.start_number else ""
        begins = one.start_direction if one.start_basis == "crossing" else one.start_basis.replace("_", " ")
        ends = {"death": "death", "observation_end": "data end"}.get(one.end_basis)
        until = " ".join(filter(None, (one.end_date, ends and f"({ends})")))
        likely = f", likely {one.likely_date}" if one.likely_date else ""
        missing = f"{one.earliest_date} to {one.latest_date}{likely}" if one.earliest_date else ""
        return [one.start_date, until, one.state, begins + record, *([missing] if has_missing else [])]

    return grid(
        "Spells, from the first day up to but not on the last",
        ["from", "<to", "<state", "<begins with", *(["<missing crossing"] if has_missing else [])],
        [row(one) for one in found.spells],
    )


def _disbeliefs(found: PersonExplanation) -> list[RenderableType]:
    """Which evidence of a stay in doubt was not believed, and why."""
    says = {"here": "lives here", "away": "lives elsewhere"}
    rows = [
        [
            one.since_date,
            next(spell.start_date for spell in found.spells if spell.sequence == one.sequence),
            f"{one.loser} ({one.loser_source} {one.loser_number}): {says[one.loser_says]}",
            f"{one.winner} ({one.winner_source} {one.winner_number})",
        ]
        for one in found.contradictions
    ]
    headings = ["on", "<spell from", "<not believed", "<believed, for it is trusted more"]
    return [grid("Evidence that contradicts itself", headings, rows)] if rows else []


def _compared(found: PersonExplanation) -> list[RenderableType]:
    """The statuses under all rules and policies side by side, a column for those that agree on every day."""
    histories: dict[tuple[tuple[str, str], ...], list[tuple[str, str]]] = {}
    for (rule, policy), statuses in groupby(found.residence, key=lambda one: (one.rule, one.policy)):
        history = tuple((one.from_date, one.status) for one in statuses)
        histories.setdefault(history, []).append((rule, policy))
    n_strata = sum(map(len, histories.values()))
    if n_strata < 2:
        return []
    if len(histories) == 1:
        return [Text(f"All {n_strata} rules and policies give the same statuses on every day.\n")]
    days = sorted({day for history in histories for day, _ in history})
    rows = [
        [day, *([status for since, status in history if since <= day][-1] for history in histories)]
        for day in days
    ]
    headings = [
        "\n".join(
            "\n ".join([f"{rule}:", *(policy for _, policy in policies)])
            for rule, policies in groupby(strata, key=lambda stratum: stratum[0])
        )
        for strata in histories.values()
    ]
    title = "Rules and policies compared: the status in force from the end of the day"
    return [grid(title, ["from", *(f"<{heading}" for heading in headings)], rows)]


def _residence(found: PersonExplanation) -> list[RenderableType]:
    def row(one: Status) -> list[str]:
        final = one.status_final_date or ""
        end = one.end_reason or ""
        return [one.from_date, one.to_date or "", one.status, one.basis.replace("_", " "), final, end]

    return [
        grid(
            f"Residence: rule {rule}, policy {policy}, in force from the end of the first day",
            ["from", "<to", "<status", "<basis", "<final on", "<ends by"],
            [row(one) for one in statuses],
        )
        for (rule, policy), statuses in groupby(found.residence, key=lambda one: (one.rule, one.policy))
    ]


def _migrations(found: PersonExplanation) -> list[RenderableType]:
    def row(one: Migration) -> list[str]:
        what = f"{one.direction}{', implied' if one.is_implied else ''}"
        other = ", ".join(filter(None, (one.other_country, one.purpose)))
        return [one.event_date, what, one.outcome, one.counted_month, one.migration_final_date or "", other]

    if not found.migrations:
        return [Text("No migrations under any rule and policy.\n")]
    return [
        grid(
            f"Migrations: rule {rule}, policy {policy}",
            ["date", "<direction", "<outcome", "<counted in", "<final on", "<country, purpose"],
            [row(one) for one in moves],
        )
        for (rule, policy), moves in groupby(found.migrations, key=lambda one: (one.rule, one.policy))
    ]
