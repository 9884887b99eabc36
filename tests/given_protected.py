"""Tables of counts that must not leave as they are, and the files of outputs/ that are made of them."""

from pathlib import Path
from typing import Any

from given_published import END, OTHER, STRATUM, TOTAL, Rows, little_run, make_whole
from miglink.config import read_shell
from miglink.config.protection import ProtectionSettings
from miglink.engine import Engine
from miglink.stages.publish import Protection, Publication, publish

KEY = "a-secret-of-more-than-32-characters-for-tests"
VINTAGE: dict[str, Any] = {"data_to_date": END, "status": "final"}
SHARES = (
    "share_linkage", "share_missing_crossing", "share_first_status", "share_follow_up", "share_citizenship",
)  # fmt: skip
POLICIES = ("unresolved", "midpoint")
# No multiple of 2, 3, 5 or 10, and so rare that none is found by chance in a file.
SECRETS = [70001 + 30 * n for n in range(65)]
# The table of publish.tables that the run has.
SHELL = "migr_imm1ctz"


def counted_run() -> dict[str, Rows]:
    """Stocks of 40 citizenships, flows and accounts that agree with them, and one row of each other table."""
    citizenships = [f"C{n:02}" for n in range(40)]
    run = little_run()
    cells = [TOTAL | {"citizenship": name} for name in ("total", *citizenships)]
    stocks, flows, accounts = [], [], []
    for cell, count in zip(cells, SECRETS, strict=False):
        for policy in POLICIES:
            of = STRATUM | cell | VINTAGE | {"policy": policy}
            stock = of | {"coverage": "population", "n_undetermined": 0, "n": float(count)}
            bounds = {"lower": count - 10.5, "upper": count + 10.5, "mean": float(count)}
            bounds |= dict.fromkeys(("standard_error", *SHARES), float(SECRETS[58]))
            stocks += [
                stock | bounds | {"period": f"{year}-01-01", "n_settled": count} for year in (2018, 2019)
            ]
            sides = {"immigration": count + 2, "emigration": count - 4, "net": 6}
            flows += [
                of | {"period": "2018", "flow": flow, "n_settled": n, "n_undetermined": 0, "n": float(n)}
                for flow, n in sides.items()
            ]
            terms = {"opening": count, "closing": count, "births": 0, "deaths": 0, "moves": -6}
            accounts.append(of | terms | sides | {"period": "2018", "net_undetermined": 0, "discrepancy": 0})
    run |= {"stocks": stocks, "flows": flows, "accounts": accounts}
    both = {"basis": "register", "other_status": "resident", "other_basis": "register"}
    sides_of_pair = [STRATUM | OTHER, {"other_rule": STRATUM["rule"], "other_policy": STRATUM["policy"]}]
    sides_of_pair[1] |= {"rule": OTHER["other_rule"], "policy": OTHER["other_policy"]}
    run["stock_differences"] = [
        side | both | VINTAGE | {"period": "2018-01-01", "n": SECRETS[50]} for side in sides_of_pair
    ]
    run["flow_differences"] = [row | {"n": SECRETS[51]} for row in run["flow_differences"]]
    stay = run["mobility"][0] | {"n_settled": SECRETS[52], "n_undetermined": SECRETS[53]}
    run["mobility"] = [stay, stay | {"measure": "days_above_limit"}]
    run["list_status"] = [row | {"n": SECRETS[58], "weight": SECRETS[59] + 0.5} for row in run["list_status"]]
    run["shell_cells"] = [
        row | {"n_settled": 2 * SECRETS[60], "n_undetermined": SECRETS[63]}
        if "sex" not in row
        else row | {"n_settled": SECRETS[60], "n_undetermined": 0}
        for row in run["shell_cells"]
    ]
    other = {"sex": "female", "citizenship": "UKR", "n_undetermined": SECRETS[63]}
    run["shell_cells"] += [row | other for row in run["shell_cells"] if row.get("sex") == "male"]
    run["shells"] = [row | {"values_without_code": "SUN"} for row in run["shells"]]
    run["expired_stays"] = [row | {"n": SECRETS[54]} for row in run["expired_stays"]]
    run["person_time"] = [row | {"person_days": SECRETS[55]} for row in run["person_time"]]
    quality = {"persons": 3 * SECRETS[56] + 1, "doubtful_persons": SECRETS[57], "doubtful_share": 0.31234567}
    run["quality"] = [
        {"stage": "persons", "measure": name, "item": "all", "value": float(value)}
        for name, value in quality.items()
    ] + [{"stage": "ingest", "measure": "months_without_crossings", "item": "2019-02", "value": 1.0}]
    return run


def drawn_run() -> dict[str, Rows]:
    """The same run with draws: every point is 6.37 from its settled count, with bounds of fractions around it."""
    run = counted_run()
    for name in ("stocks", "flows"):
        for row in run[name]:
            point = row["n"] if row.get("flow") == "net" else row["n"] + 6.37
            row.update({"n": point, "mean": point + 0.21, "lower": point - 10.53, "upper": point + 10.53})
            row.update(dict.fromkeys(("standard_error", *SHARES), float(SECRETS[58])))
            row["interval_flag"] = "point_outside"
    return run


def publish_protected(
    engine: Engine,
    folder: Path,
    settings: dict[str, Any] | None,
    key: str = KEY,
    run: dict[str, Rows] | None = None,
) -> Path:
    """Publish a run with protected counts, without settings as they are; gives the folder of outputs."""
    tables = {name: make_whole(engine, name, rows) for name, rows in (run or counted_run()).items()}
    protection = Protection(ProtectionSettings.model_validate(settings), key) if settings else None
    shells = (read_shell(SHELL, Path()),)
    publication = Publication(
        protection=protection,
        shells=shells,
        table_rules={SHELL: STRATUM["rule"]},
        reporting_country="NZL",
    )
    publish(engine, tables, folder, END, publication)
    return folder / "outputs"
