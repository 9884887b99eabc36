"""The explanation of a pair for the terminal."""

from rich.console import Group, RenderableType
from rich.text import Text

from miglink.explain.constraints import Conflict
from miglink.explain.grids import grid, number, probability, share
from miglink.explain.pairs import Field, Link, PairExplanation, Route, Side


def render_pair(found: PairExplanation) -> Group:
    """The two sides and the outcome, then fields, comparisons, blocking rules, judgements and conflicts, the path."""
    shown: list[RenderableType] = [Text(found.reason, style="bold"), Text(), _sides(found), _fields(found)]
    if found.agreements:
        shown.append(_agreements(found))
    if found.link is not None:
        shown.append(Text(_state_link(found.link)))
    if found.routes:
        shown.append(_routes(found.routes))
    if found.judgements:
        shown.append(Text(f"Judgements on records of the two: {', '.join(found.judgements)}."))
    if found.conflicts:
        shown.append(_conflicts(found.conflicts))
    if found.path:
        shown.append(_path(found))
    return Group(*shown)


def _sides(found: PairExplanation) -> RenderableType:
    def column(side: Side) -> list[str]:
        short = [side.identity_id[:12], side.person_id[:12]]
        return [*short, f"{side.n_records:,}", ", ".join(side.sources), side.years]

    names = ("identity", "person", "records", "sources", "years")
    rows = zip(names, column(found.left), column(found.right), strict=True)
    return grid("The pair", ["", "<first", "<second"], [list(row) for row in rows])


def _fields(found: PairExplanation) -> RenderableType:
    """Values side by side where there are values; else whether each side holds one."""

    def row(field: Field) -> list[str]:
        agree = "" if not (field.is_held_l and field.is_held_r) else "equal" if field.is_equal else "differ"
        if field.value_l is not None or field.value_r is not None:
            return [field.name, field.value_l or "–", field.value_r or "–", agree]
        return [field.name, *("held" if held else "–" for held in (field.is_held_l, field.is_held_r)), agree]

    kept = [field for field in found.fields if field.is_held_l or field.is_held_r]
    absent = [field.name for field in found.fields if field not in kept]
    caption = f"On neither side: {', '.join(absent)}." if absent else ""
    return grid("Fields", ["", "<first", "<second", "<"], [row(field) for field in kept], caption)


def _agreements(found: PairExplanation) -> RenderableType:
    assert found.prior_weight is not None and found.match_weight is not None and found.p_match is not None
    rows = [
        [
            "(prior)",
            "two random identities",
            "",
            "",
            number(found.prior_weight),
            "",
            number(found.prior_weight),
        ]
    ]
    held = {field.name for field in found.fields if field.is_held_l and field.is_held_r}
    for one in found.agreements:
        carried = "" if one.n_identities is None else f"{share(one.frequency)}\n({one.n_identities:,})"
        weight, adjusted = number(one.weight), number(one.adjusted_weight)
        # Both hold it: what it says is counted with another comparison, or cannot be compared.
        is_left_out = one.level == "not known" and one.comparison in held
        level = "not compared by itself" if is_left_out else one.level
        rows.append([one.comparison, level, share(one.m), share(one.u), weight, carried, adjusted])
    rows.append(["match_weight", "", "", "", "", "", number(found.match_weight)])
    rows.append(["p_match", "", "", "", "", "", probability(found.p_match)])
    return grid(
        "Comparisons: weights are log2 of m/u; where the value's frequency is given, it takes the place of u",
        ["", "<level", "m", "u", "weight", "frequency", "counts"],
        rows,
        "frequency: share of other persons that carry the value; in brackets the identities that do. "
        f"Kept from {found.keep_p_match:g}, accepted from {found.accept_p_match:g}.",
    )


def _state_link(link: Link) -> str:
    """The row of `links`."""
    if link.blocking_rule in ("judgement", "given_person"):
        return f"In links: bound by {link.blocking_rule}, so p_match 1, whatever the model says.\n"
    calibrated = f", p_calibrated {link.p_calibrated:.6f}" if link.p_calibrated != link.p_match else ""
    return (
        f"In links: first proposed by {link.blocking_rule}; match_weight {link.match_weight:.6f}, "
        f"p_match {link.p_match:.6f}{calibrated}.\n"
    )


def _routes(routes: tuple[Route, ...]) -> RenderableType:
    def row(route: Route) -> list[str]:
        differs = f"{', '.join(route.differs)} {'differ' if len(route.differs) > 1 else 'differs'}"
        missing = f"{', '.join(route.missing)} not held by both"
        why = [text for text, columns in ((differs, route.differs), (missing, route.missing)) if columns]
        if route.n_block is not None:
            parted = f", and {', '.join(route.parted_by)} differ" if route.parted_by else ""
            why.append(f"its block of {route.n_block:,} identities is over-full and split{parted}")
        return [route.name, "; ".join(["proposes the pair", *why] if route.proposes else why)]

    n = sum(route.proposes for route in routes)
    title = f"{n} of {len(routes)} propose the pair" if n else "none proposes the pair"
    return grid(f"Blocking rules: {title}", ["rule", "<"], [row(route) for route in routes])


def _conflicts(conflicts: tuple[Conflict, ...]) -> RenderableType:
    """Each constraint in words, and the identities of the first and of the second person that it rests on."""

    def row(one: Conflict) -> list[str]:
        kind = one.kind if one.source is None else f"{one.kind} ({one.source})"
        sides = (
            "\n".join(ids[:3]) + ("\n…" if len(ids) > 3 else "")
            for ids in (one.identities_l, one.identities_r)
        )
        return [kind, f"{one.winner}: {one.meaning}" if one.meaning else one.winner, *sides]

    return grid(
        "What parts the two persons (table conflicts)",
        ["kind", "<outcome", "<of the first", "<of the second"],
        [row(one) for one in conflicts],
    )


def _path(found: PairExplanation) -> RenderableType:
    rows = [
        [link.identity_id_l[:12], link.identity_id_r[:12], link.blocking_rule, number(link.match_weight),
         probability(link.p_calibrated)]
        for link in found.path
    ]  # fmt: skip
    return grid(
        "The shortest way over accepted links",
        ["identity", "<identity", "<first proposed by", "weight", "p_calibrated"],
        rows,
    )
