"""Rules and policies side by side on the terminal: in the summary of a run, and in the explanation of a person."""

from typing import Any

from rich.console import Console, RenderableType

from given_published import END, STRATUM, TOTAL, make_whole
from miglink.engine import Engine
from miglink.explain.lines import PersonExplanation, Status
from miglink.explain.report_histories import render_person
from miglink.stages.publish import render_summary

MIDPOINT, YEARLY = {"policy": "midpoint"}, {"rule": "most_of_12"}


def lines_of(shown: RenderableType, width: int = 120) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(shown)
    return captured.get().splitlines()


def figure(n: int, status: str = "final", **cell: str) -> dict[str, Any]:
    fixed = {"n_settled": n, "n_undetermined": 5, "data_to_date": END, "coverage": "population"}
    return STRATUM | TOTAL | fixed | {"status": status} | cell


def summary(engine: Engine, stocks: list[Any], flows: list[Any], width: int = 120) -> list[str]:
    given = {"stocks": stocks, "flows": flows, "accounts": []}
    stock, flow, account = (make_whole(engine, name, rows) for name, rows in given.items())
    return lines_of(render_summary(stock, flow, account), width)


def spread(lines: list[str]) -> dict[tuple[str, str], list[str]]:
    """The cells of the table by measure and year; numbers and the mark of what is provisional."""
    start = next(n for n, line in enumerate(lines) if line.startswith("Rules and policies compared"))
    found, measure = {}, ""
    for line in lines[start:]:
        cells = line.split()
        if line.strip() in ("immigration", "emigration", "net", "stock at 1 January"):
            measure = line.strip()
        elif measure and cells and cells[0].isdigit():
            found[measure, cells[0]] = [cell.strip() for cell in line.split("  ") if cell.strip()][1:]
    return found


def test_the_summary_shows_how_far_rules_and_policies_lie_apart(engine: Engine) -> None:
    stocks = [
        figure(1200, period="2018-01-01"),
        figure(1500, period="2018-01-01", **MIDPOINT),
        figure(1300, period="2018-01-01", **YEARLY),
        figure(1300, "provisional", period="2019-01-01", **YEARLY),
        figure(7, period="2018-01-01", sex="female"),
    ]
    flows = [
        figure(20, period="2018", flow="immigration"),
        figure(24, period="2018", flow="immigration", **MIDPOINT),
        figure(30, period="2018", flow="immigration", **YEARLY),
        figure(-3, period="2018", flow="net"),
        figure(-3, period="2018", flow="net", **MIDPOINT),
        figure(99, period="2018-02", flow="immigration"),
    ]
    lines = summary(engine, stocks, flows)
    assert spread(lines) == {
        # most_of_12, nz_12_16, all rules
        ("immigration", "2018"): ["30", "20 to 24", "20 to 30"],
        ("net", "2018"): ["-3", "-3"],
        ("stock at 1 January", "2018"): ["1,300", "1,200 to 1,500", "1,200 to 1,500"],
        ("stock at 1 January", "2019"): ["p", "1,300", "1,300"],
    }
    assert "…" not in "\n".join(summary(engine, stocks, flows, 60))


def test_one_rule_and_policy_is_not_compared(engine: Engine) -> None:
    lines = summary(engine, [figure(1200, period="2018-01-01")], [])
    assert not any("compared" in line for line in lines)
    # The column of all rules says nothing new where there is one.
    both = [figure(n, period="2018-01-01", policy=name) for n, name in ((1, "midpoint"), (2, "unresolved"))]
    assert spread(summary(engine, both, []))["stock at 1 January", "2018"] == ["1 to 2"]


def explained(*statuses: tuple[str, str, str, str]) -> list[str]:
    """The explanation of a person with statuses: rule, policy, first day, status."""
    rows = tuple(
        Status(rule, policy, day, None, status, "crossing", None, None)
        for rule, policy, day, status in statuses
    )
    nothing: dict[str, Any] = dict.fromkeys(
        (
            "records",
            "identities",
            "neighbours",
            "traits",
            "conflicts",
            "contradictions",
            "spells",
            "migrations",
        ),
        (),
    )
    person = PersonExplanation(
        person_id="a" * 64,
        birth="1980",
        is_born_here=False,
        death_date=None,
        mother_person_id=None,
        is_doubtful=False,
        id_since_date="2020-01-01",
        accept_p_match=0.65,
        certain_p_match=0.999,
        weakest_p_match=None,
        stages_not_run=(),
        residence=rows,
        **nothing,
    )
    return lines_of(render_person(person))


def test_the_statuses_of_a_person_stand_side_by_side() -> None:
    """Rules and policies that agree on every day share a column."""
    start, day, later = "2011-12-31", "2015-03-01", "2015-12-31"
    lines = explained(
        ("most_of_12", "midpoint", start, "non_resident"),
        ("most_of_12", "midpoint", later, "resident"),
        ("nz_12_16", "midpoint", start, "non_resident"),
        ("nz_12_16", "midpoint", day, "resident"),
        ("nz_12_16", "unresolved", start, "non_resident"),
        ("nz_12_16", "unresolved", day, "resident"),
    )
    first = next(n for n, line in enumerate(lines) if line.startswith("Rules and policies compared"))
    last = next(n for n, line in enumerate(lines) if line.startswith("Residence:"))
    table = lines[first:last]
    assert [line.split() for line in table if line.strip().startswith("20")] == [
        [start, "non_resident", "non_resident"],
        [day, "non_resident", "resident"],
        [later, "resident", "resident"],
    ]
    assert [line.split() for line in table[2:5]] == [
        ["nz_12_16:"],
        ["most_of_12:", "midpoint"],
        ["from", "midpoint", "unresolved"],
    ]


def test_who_has_one_status_under_all_rules_is_told_so() -> None:
    start = "2011-12-31"
    lines = explained(("a", "midpoint", start, "resident"), ("a", "unresolved", start, "resident"))
    assert "All 2 rules and policies give the same statuses on every day." in lines
    assert not any("compared" in line for line in lines)
    lines = explained(("a", "midpoint", start, "resident"))
    assert not any("compared" in line or "All 1" in line for line in lines)
