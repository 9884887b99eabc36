"""The section that sets rules and policies side by side, and says whom one counts and another does not."""

import polars as pl

from miglink.stages.publish.report.cells import (
    Published,
    figures,
    figures_of_net,
    finest,
    last_period,
    of_kind,
)
from miglink.stages.publish.report.charts_of_groups import ranges
from miglink.stages.publish.report.parts import Chart, Listing, Part, Section, words, write

Stratum = tuple[str, str]
_MOST_STRATA = 24


def rules(published: Published) -> Section:
    """How far rules and policies lie apart in the last year that all of them call final, and why."""
    title = "Rules and policies compared"
    strata = published.strata()
    if len(strata) < 2:
        return Section(
            "rules", title, ["The run has one rule and one policy for missing crossings: nothing to compare."]
        )
    parts: list[Part] = [
        "The same data under each rule and policy. What one counts and another does not is a matter of the "
        "definition, not of error."
    ]
    titles = [(name, said) for name, said in published.about.rules.items()]
    if len(titles) > 1:
        parts.append(Listing("The rules", [("rule", "text"), ("title", "text")], titles))
    shown = strata[:_MOST_STRATA]
    chart = _side_by_side(published, shown)
    parts += [chart] if chart is not None else ["No year is published under more than one of them."]
    if len(strata) > len(shown):
        parts.append(f"Left out: {len(strata) - len(shown)} further rules and policies; see outputs/flows.")
    parts += _differences(published, strata[0])
    return Section("rules", title, parts)


def _side_by_side(published: Published, strata: list[Stratum]) -> Chart | None:
    flow = published.cells("flows")
    flow = of_kind(flow, finest(flow)) if finest(flow) else flow
    whole = flow.filter(flow="net")
    # The last period that most of them call final; rules that begin later are then left out by name.
    final = whole.filter(status="final").group_by("period").len().sort("len", "period")
    period = str(final["period"][-1]) if final.height else last_period(whole)[0]
    if not period:
        return None
    panels, rows = [], []
    for name in ("immigration", "emigration", "net"):
        of_period = flow.filter(period=period) if name == "net" else flow.filter(flow=name, period=period)
        find = figures_of_net if name == "net" else figures
        points = []
        for stratum in strata:
            (found,) = find(of_period.filter(rule=stratum[0], policy=stratum[1]), [period])
            if found.settled is not None and found.least is not None and found.most is not None:
                points.append((_name(stratum, strata), found.settled, found.least, found.most))
                rows.append((words(name), *stratum, found.settled, found.undetermined))
        if points:
            panels.append((words(name), points))
    title = f"Flows of {period} under each rule and policy"
    text = (
        "Points for settled figures, with a line to what they are at most with all that is undetermined. "
        + " ".join(
            f"{name}: {write(min(p[1] for p in points))} to {write(max(p[1] for p in points))}."
            for name, points in panels
        )
    )
    heads = [("flow", "text"), ("rule", "text"), ("policy", "text"), ("settled", "count")]
    n_final = int(final["len"][-1]) if final.height else 0
    return Chart(
        title,
        f"data to {published.about.last_day} · final under {n_final} of {len(strata)} rules and policies",
        ranges(panels, "count", title, text),
        Listing(f"{title}, migrations", [*heads, ("undetermined", "count")], rows),
        "The point is what is settled; the line goes as far as what is undetermined can move it: upwards, "
        "and for net migration downwards as well.",
    )


def _name(stratum: Stratum, strata: list[Stratum]) -> str:
    """The rule, the policy, or both: what tells the strata of this run apart."""
    rule, policy = stratum
    if len({p for _, p in strata}) == 1:
        return rule
    return policy if len({r for r, _ in strata}) == 1 else f"{rule}, {policy}"


def _differences(published: Published, stratum: Stratum) -> list[Part]:
    """What the others make of the migrations that the first counts, in its last final year."""
    table = published.table("flow_differences").filter(rule=stratum[0], policy=stratum[1]).collect()
    period, status = last_period(table)
    if not period:
        return ["Why they differ is not published."]
    rows = table.filter(period=period)
    wide = (
        rows.with_columns(other=pl.format("{}, {}", "other_rule", "other_policy"))
        .pivot("other_outcome", index=["other", "flow"], values="n")
        .sort("flow", "other", descending=[True, False])
    )
    outcomes = sorted(set(wide.columns) - {"other", "flow", "counted"})
    outcomes = [*(["counted"] if "counted" in wide.columns else []), *outcomes]
    heads = [("other rule and policy", "text"), ("flow", "text"), *((words(o), "count") for o in outcomes)]
    caption = "What the others make of the migrations that the first counts"
    note = (
        "Counted: by both. Had status, kept status: under the other the person already had the new status, "
        "or keeps the old one. –: none, or not published. Without disclosure control each row adds up to the "
        "published flow of the first."
    )
    rests_on = published.rests_on(stratum, period, status)
    return [Listing(caption, heads, wide.select("other", "flow", *outcomes).rows(), (), note, rests_on)]
