"""Why two records, or two identities, were or were not linked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from miglink.engine import text_literal
from miglink.explain.constraints import Conflict, find_conflicts
from miglink.explain.inputs import SHOWN, Run, find_identity, open_run
from miglink.explain.paths import shortest_path
from miglink.explain.scores import compare_rules, pair_identities, prior_weight, score_pairs, sum_scores
from miglink.stages.linkage import find_travel

BOUND = ("judgement", "given_person")
_NOT_FIELDS = ("identity_id", "n_records", "first_date", "last_date")


@dataclass(frozen=True)
class Side:
    """One of the two identities: its id (a beginning of it without values), its person, and where its records are."""

    identity_id: str
    person_id: str
    n_records: int
    sources: tuple[str, ...]
    years: str


@dataclass(frozen=True)
class Field:
    """One field of both: whether each side holds it and both agree; the values only when they are asked for."""

    name: str
    is_held_l: bool
    is_held_r: bool
    is_equal: bool
    value_l: str | None
    value_r: str | None


@dataclass(frozen=True)
class Agreement:
    """What one comparison says: level, m, u, weight; where the frequency of the value takes the place of u, that too.

    weight is log2 of m/u; adjusted_weight is what counts. frequency is the share of other persons that carry the value,
    n_identities the identities that do.
    """

    comparison: str
    level: str
    m: float | None
    u: float | None
    weight: float
    frequency: float | None
    n_identities: int | None
    adjusted_weight: float


@dataclass(frozen=True)
class Route:
    """One blocking rule: whether it proposes the pair, which columns differ, which a side does not hold.

    n_block: the identities of the block that both are in, where it is over-full and split; parted_by: the columns that
    split it and in which the two differ.
    """

    name: str
    proposes: bool
    differs: tuple[str, ...]
    missing: tuple[str, ...]
    n_block: int | None
    parted_by: tuple[str, ...]


@dataclass(frozen=True)
class Link:
    """A row of `links`."""

    identity_id_l: str
    identity_id_r: str
    blocking_rule: str
    match_weight: float
    p_match: float
    p_calibrated: float


@dataclass(frozen=True)
class PairExplanation:
    """All that decided on a pair. match_weight and p_match are the model's own; they are None if it scored nothing.

    path is in the order in which it is walked from left to right: identity_id_l is where a step begins.
    """

    left: Side
    right: Side
    is_one_identity: bool
    is_one_person: bool
    reason: str
    fields: tuple[Field, ...]
    agreements: tuple[Agreement, ...]
    prior_weight: float | None
    match_weight: float | None
    p_match: float | None
    keep_p_match: float
    accept_p_match: float
    link: Link | None
    routes: tuple[Route, ...]
    judgements: tuple[str, ...]
    conflicts: tuple[Conflict, ...]
    path: tuple[Link, ...]


def explain_pair(run_folder: Path, left: str, right: str, *, show_values: bool = False) -> PairExplanation:
    """Say why two records or identities were or were not linked.

    Reads: the tables and the model of a finished run; nothing is trained or scored anew but the pair itself.
    Units: weights are log2, as in `links`.
    Errors: ConfigError for a folder that holds no finished run and for what `--pair` does not name; SourceError for
    missing parts of the run.
    """
    with open_run(run_folder) as run:
        ids = (find_identity(run, left, "--pair, first"), find_identity(run, right, "--pair, second"))
        sides = tuple(_side(run, identity_id, show_values) for identity_id in ids)
        persons = tuple(_person(run, identity_id) for identity_id in ids)
        model: dict[str, Any] = _score(run, ids) if ids[0] != ids[1] and run.model is not None else {}
        link = None if ids[0] == ids[1] else _find_link(run, ids, show_values)
        is_one_person = persons[0] == persons[1]
        is_direct = link is not None and link.p_calibrated >= run.persons.accept_p_match
        needs_path = is_one_person and ids[0] != ids[1] and not is_direct
        facts: dict[str, Any] = {
            "left": sides[0],
            "right": sides[1],
            "is_one_identity": ids[0] == ids[1],
            "is_one_person": is_one_person,
            "fields": _fields(run, ids, show_values),
            "agreements": model.get("agreements", ()),
            "prior_weight": model.get("prior_weight"),
            "match_weight": model.get("match_weight"),
            "p_match": model.get("p_match"),
            "keep_p_match": run.linkage.keep_p_match,
            "accept_p_match": run.persons.accept_p_match,
            "link": link,
            "routes": model.get("routes", ()),
            "judgements": _judgements(run, ids),
            "conflicts": () if is_one_person else find_conflicts(run, persons, show_values),
            "path": _path(run, ids, persons[0], show_values) if needs_path else (),
        }
        return PairExplanation(reason=_state_reason(facts), **facts)


def _score(run: Run, ids: tuple[str, ...]) -> dict[str, Any]:
    """What the model says of the pair."""
    assert run.model is not None
    pairs = pl.DataFrame({"pair_number": [0], "identity_id_a": [ids[0]], "identity_id_b": [ids[1]]})
    travel = find_travel(run.engine, run.tables["records"], run.tables["record_identities"])
    prepared, paired = pair_identities(run.engine, run.tables["identities"], pairs, travel)
    scored = score_pairs(run.engine, prepared, paired, run.model)
    (total,) = sum_scores(scored, run.model).to_dicts()
    columns = (
        "comparison", "label", "m", "u", "weight", "frequency", "n_identities", "adjusted_weight",
    )  # fmt: skip
    routes = compare_rules(run.engine, prepared, paired, run.model)
    return {
        "agreements": tuple(Agreement(*row) for row in scored.select(columns).iter_rows()),
        "prior_weight": prior_weight(run.model),
        "match_weight": total["match_weight"],
        "p_match": total["p_match"],
        "routes": tuple(
            Route(proposes=not (r["differs"] or r["missing"] or r["parted_by"]), **r) for r in routes
        ),
    }


def _side(run: Run, identity_id: str, show_values: bool) -> Side:
    described = run.engine.collect(
        f"""SELECT i.n_records, i.first_date, i.last_date, list_sort(list(DISTINCT r.source)) AS sources
        FROM identities i JOIN record_identities r USING (identity_id)
        WHERE i.identity_id = {text_literal(identity_id)} GROUP BY ALL""",
        identities=run.tables["identities"],
        record_identities=run.tables["record_identities"],
    ).row(0, named=True)
    # Years alone: the day of a record may be that of a birth.
    years = [str(described[name].year) for name in ("first_date", "last_date") if described[name] is not None]
    return Side(
        _shown(identity_id, show_values),
        _person(run, identity_id),
        described["n_records"],
        tuple(described["sources"]),
        "–".join(dict.fromkeys(years)),
    )


def _person(run: Run, identity_id: str) -> str:
    return str(
        run.engine.collect(
            f"SELECT person_id FROM identity_persons WHERE identity_id = {text_literal(identity_id)}",
            identity_persons=run.tables["identity_persons"],
        ).item()
    )


def _shown(identity_id: str, show_values: bool) -> str:
    return identity_id if show_values else identity_id[:SHOWN]


def _fields(run: Run, ids: tuple[str, ...], show_values: bool) -> tuple[Field, ...]:
    """Every field that tells identities apart, further columns too."""
    rows = run.engine.collect(
        f"SELECT * FROM identities WHERE identity_id IN ({', '.join(map(text_literal, ids))})",
        identities=run.tables["identities"],
    )
    held = {row["identity_id"]: row for row in rows.iter_rows(named=True)}
    left, right = (held[identity_id] for identity_id in ids)
    return tuple(
        Field(
            name,
            left[name] is not None,
            right[name] is not None,
            left[name] is not None and left[name] == right[name],
            str(left[name]) if show_values and left[name] is not None else None,
            str(right[name]) if show_values and right[name] is not None else None,
        )
        for name in rows.columns
        if name not in _NOT_FIELDS
    )


def _find_link(run: Run, ids: tuple[str, ...], show_values: bool) -> Link | None:
    """The row of `links` for the pair."""
    found = _links_where(
        run, f"identity_id_l = {text_literal(min(ids))} AND identity_id_r = {text_literal(max(ids))}"
    )
    return None if found.is_empty() else _links(found, show_values)[0]


def _links_where(run: Run, condition: str) -> pl.DataFrame:
    return run.engine.collect(
        f"""SELECT identity_id_l, identity_id_r, blocking_rule, match_weight, p_match, p_calibrated FROM links
        WHERE {condition}
        ORDER BY identity_id_l, identity_id_r""",
        links=run.tables["links"],
        identity_persons=run.tables["identity_persons"],
    )


def _links(rows: pl.DataFrame, show_values: bool) -> tuple[Link, ...]:
    return tuple(
        Link(_shown(left, show_values), _shown(right, show_values), rule, weight, p, calibrated)
        for left, right, rule, weight, p, calibrated in rows.iter_rows()
    )


def _judgements(run: Run, ids: tuple[str, ...]) -> tuple[str, ...]:
    """The verdicts of clerks on records of the two identities."""
    left, right = map(text_literal, ids)
    found = run.engine.collect(
        f"""SELECT DISTINCT j.verdict FROM judgements j
        JOIN records l ON l.source = j.source_l AND l.record_id = j.record_id_l
        JOIN records r ON r.source = j.source_r AND r.record_id = j.record_id_r
        WHERE j.verdict IS NOT NULL AND ((l.identity_id = {left} AND r.identity_id = {right})
           OR (l.identity_id = {right} AND r.identity_id = {left}))
        ORDER BY j.verdict""",
        judgements=run.tables["judgements"],
        records=run.tables["record_identities"],
    )
    return tuple(found["verdict"])


def _path(run: Run, ids: tuple[str, ...], person_id: str, show_values: bool) -> tuple[Link, ...]:
    """The fewest accepted links that lead from one identity to the other within their person."""
    own = f"(SELECT identity_id FROM identity_persons WHERE person_id = {text_literal(person_id)})"
    links = _links_where(
        run,
        f"p_calibrated >= {run.persons.accept_p_match} AND identity_id_l IN {own} AND identity_id_r IN {own}",
    )
    passed = shortest_path(links, *ids)
    steps = pl.DataFrame({"a": passed[:-1], "b": passed[1:]}, schema={"a": pl.String, "b": pl.String})
    walked = steps.with_columns(
        identity_id_l=pl.min_horizontal("a", "b"), identity_id_r=pl.max_horizontal("a", "b")
    ).join(links, on=["identity_id_l", "identity_id_r"], maintain_order="left")
    return _links(
        walked.select("a", "b", "blocking_rule", "match_weight", "p_match", "p_calibrated"), show_values
    )


def _state_reason(facts: dict[str, Any]) -> str:
    """The outcome in one or two sentences."""
    link, accept, keep = facts["link"], facts["accept_p_match"], facts["keep_p_match"]
    if facts["is_one_identity"]:
        return "One identity: the records agree in every identifying field, so nothing was compared."
    if facts["is_one_person"]:
        if link is not None and link.blocking_rule in BOUND:
            return f"One person: {_BINDING[link.blocking_rule]} binds the two, whatever the model says."
        if link is not None and link.p_calibrated >= accept:
            return f"One person: linked directly, for p_calibrated is at least accept_p_match ({accept:g})."
        return (
            f"One person, but not linked directly ({_why_no_link(facts)}): joined through others, "
            f"by {len(facts['path'])} accepted links."
        )
    if "non_match" in facts["judgements"]:
        return "Two persons: a judgement parts the two, whatever the model says."
    if link is not None and link.p_calibrated >= accept:
        kinds = ", ".join(conflict.kind for conflict in facts["conflicts"]) or "none is recorded"
        return (
            f"Two persons although p_calibrated is at least accept_p_match ({accept:g}). Conflict: {kinds}."
        )
    others = (
        "what would join them through others was cut"
        if facts["conflicts"]
        else "no other identity joins them"
    )
    if link is not None:
        between = f"between keep_p_match ({keep:g}) and accept_p_match ({accept:g})"
        return f"Two persons: p_calibrated lies {between}, and {others}."
    return f"Two persons: {_why_no_link(facts)}, and {others}."


_BINDING = {"judgement": "a judgement", "given_person": "a source already linked"}


def _why_no_link(facts: dict[str, Any]) -> str:
    """Why the pair is not among the accepted links."""
    if facts["link"] is not None:
        return "p_calibrated is below accept_p_match"
    if facts["match_weight"] is None:
        return "the run compared nothing"
    if not any(route.proposes for route in facts["routes"]):
        return "no blocking rule proposes the pair"
    if facts["p_match"] < facts["keep_p_match"]:
        return f"p_match is below keep_p_match ({facts['keep_p_match']:g})"
    return "the pair is not in `links`"
