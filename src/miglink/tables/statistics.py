"""The contracts of the tables of stages estimates and quality: published figures, and what they are made of."""

from miglink.tables.contract import (
    CELL,
    COUNT,
    DATE,
    DIMENSIONS,
    FLAG,
    NUMBER,
    POLICY,
    RULE,
    TEXT,
    VINTAGE,
    Column,
    Contract,
    required,
)

_OTHER = (
    required("other_rule", TEXT, "rule that it is compared with; the same rule where the policies differ"),
    required("other_policy", TEXT, "policy that it is compared with"),
)

_POINT = Column(
    "n",
    NUMBER,
    "headline estimate: settled, and what is in doubt at its mean over the draws of the best linkage; null where "
    "anything stays undetermined, or a month lacks its crossings; without draws null unless the figure is final "
    "and nothing in it is undetermined",
)
_HEADLINE = (
    _POINT,
    Column(
        "mean",
        NUMBER,
        "mean over the draws in which the linkage is drawn as well, around which the interval lies; null without draws",
    ),
    Column(
        "lower", NUMBER, "lower bound of the interval, whole (docs/intervals.md); n where nothing is in doubt"
    ),
    Column("upper", NUMBER, "upper bound of the interval, whole"),
    Column(
        "standard_error",
        NUMBER,
        "standard error of mean as a forecast of the truth; 0 where nothing is in doubt",
    ),
    Column(
        "share_linkage",
        NUMBER,
        "share of the variance that comes of doubtful linkage; the five shares add up to 1, one may be negative; null "
        "where the standard error is 0 or null",
    ),
    Column("share_missing_crossing", NUMBER, "share that comes of crossings that are missing"),
    Column("share_first_status", NUMBER, "share that comes of statuses unknown at the beginning"),
    Column("share_follow_up", NUMBER, "share that comes of what is not observed for long enough"),
    Column(
        "share_citizenship",
        NUMBER,
        "share that comes of when foreigners became citizens, of whom nothing else is in doubt",
    ),
    Column(
        "interval_flag",
        TEXT,
        "point_outside: n does not lie within the bounds; too_wide: the standard error is above "
        "draws.largest_relative_error; else null",
    ),
)

STATISTICS_TABLES = (
    Contract(
        "stocks",
        "estimates",
        "Usual residents at reference dates.",
        ("rule", "policy", "period", *DIMENSIONS),
        (
            *CELL,
            required(
                "coverage",
                TEXT,
                "population, or travellers_only where no source lists residents who never travel",
            ),
            required("n_settled", COUNT, "persons whose status is resident"),
            required("n_undetermined", COUNT, "persons whose status is undetermined"),
            *_HEADLINE,
            *VINTAGE,
        ),
        is_aggregate=True,
    ),
    Contract(
        "flows",
        "estimates",
        "Immigration, emigration and net migration in months, quarters and years.",
        ("rule", "policy", "period", "flow", *DIMENSIONS),
        (
            *CELL,
            required("flow", TEXT, "immigration, emigration or net"),
            required("n_settled", COUNT, "settled migrations (net: immigration − emigration)"),
            required(
                "n_undetermined", COUNT, "crossings that may become migrations (net: sum of both directions)"
            ),
            *_HEADLINE,
            *VINTAGE,
        ),
        is_aggregate=True,
    ),
    Contract(
        "cell_keys",
        "estimates",
        "Cell keys of stocks, flows and shell_cells, which decide the noise under publish.protection.method cell_key; "
        "else no row.",
        ("rule", "policy", "period", "measure", *DIMENSIONS),
        (
            *CELL,
            required("measure", TEXT, "stock, immigration or emigration"),
            required(
                "settled_key", COUNT, "sum of the record keys of who is counted in n_settled, modulo 4096"
            ),
            required("undetermined_key", COUNT, "sum of those of who is counted in n_undetermined"),
        ),
        is_aggregate=True,
    ),
    Contract(
        "accounts",
        "estimates",
        "Opening to closing stock of settled residents by year, every term counted from events.",
        ("rule", "policy", "period", *DIMENSIONS),
        (
            *CELL,
            required("opening", COUNT, "settled residents at 1 January"),
            required("immigration", COUNT, "settled immigrations in the year"),
            required("emigration", COUNT, "settled emigrations in the year"),
            required("births", COUNT, "children born resident"),
            required("deaths", COUNT, "residents who died"),
            required(
                "moves", COUNT, "net moves into the cell by a change of trait or a birthday while resident"
            ),
            required(
                "net_undetermined",
                COUNT,
                "residents whose status was settled minus those whose status became undetermined",
            ),
            required("closing", COUNT, "settled residents at the next 1 January"),
            required("discrepancy", COUNT, "closing minus the sum of the terms; always 0, or the run fails"),
            *VINTAGE,
        ),
        is_aggregate=True,
    ),
    Contract(
        "shell_cells",
        "estimates",
        "What the tables of `publish.tables` are added up from: the cells of each breakdown in which somebody is "
        "counted, without totals, and the total of every period; no row where no table is asked for.",
        ("rule", "policy", "measure", "period", *DIMENSIONS),
        (
            *CELL,
            required("measure", TEXT, "stock, immigration or emigration"),
            required(
                "first_date",
                DATE,
                "first day of the period; of a stock the day before the reference date, at whose end it is counted",
            ),
            required("n_settled", COUNT, "residents or settled migrations"),
            required("n_undetermined", COUNT, "persons or crossings whose status or outcome is undetermined"),
            _POINT,
            *VINTAGE,
        ),
        is_aggregate=True,
    ),
    Contract(
        "shells",
        "estimates",
        "The tables of `publish.tables`: which are produced, and what those that are not would need.",
        ("shell",),
        (
            required("shell", TEXT, "name of the table and of its files"),
            required("title", TEXT, "title of the table"),
            required("publisher", TEXT, "who asks for it, or publishes it"),
            required("reference", TEXT, "where its definition stands"),
            required("looked_up_date", DATE, "day on which the definition was looked up"),
            required(
                "is_verified",
                FLAG,
                "false: title, columns or codes were not all read in the primary source; the shell's note says which",
            ),
            required("rules", TEXT, "rules of the run by which it is made, or those that it asks for"),
            required("is_produced", FLAG, "whether it holds figures; if not, its files have no row"),
            Column("reason", TEXT, "why it is not produced"),
            Column("needs", TEXT, "the rule, source or column that would make it possible"),
            Column(
                "values_without_code",
                TEXT,
                "values of ours for which its publisher has no code, such as a state that has ended: counted in groups "
                "and totals alone",
            ),
        ),
        is_aggregate=True,
    ),
    Contract(
        "stock_differences",
        "estimates",
        "Settled residents under one rule and policy, by the status that each other rule and policy gives them: the "
        "rows of one other add up to the total of stocks; no row where the run has one rule and policy.",
        (
            "rule",
            "policy",
            "period",
            "other_rule",
            "other_policy",
            "basis",
            "other_status",
            "other_basis",
        ),
        (
            RULE,
            POLICY,
            required("period", TEXT, "reference date (2019-01-01)"),
            *_OTHER,
            required("basis", TEXT, "what the status resident rests on, as in residence"),
            required(
                "other_status",
                TEXT,
                "status under the other: resident (counted by both), non_resident, undetermined; not_covered: the "
                "other rule gives no status at that date; none: it has none of the person",
            ),
            required("other_basis", TEXT, "what that status rests on; none where there is none"),
            required("n", COUNT, "persons"),
            *VINTAGE,
        ),
        is_aggregate=True,
    ),
    Contract(
        "flow_differences",
        "estimates",
        "Settled migrations of a year under one rule and policy, by what each other rule and policy makes of them: "
        "the rows of one other add up to the total of flows; no row where the run has one rule and policy.",
        ("rule", "policy", "period", "flow", "other_rule", "other_policy", "other_outcome"),
        (
            RULE,
            POLICY,
            required("period", TEXT, "year (2019)"),
            required("flow", TEXT, "immigration or emigration"),
            *_OTHER,
            required(
                "other_outcome",
                TEXT,
                "counted (by both: the person, the direction and the year are the same), counted_earlier and "
                "counted_later (the same change, in another year), undetermined (the other does not know the status "
                "before or after), had_status (the person had the new status already), kept_status (the person keeps "
                "the old one: under the other the stay is too short), rejected_person, not_covered (the other rule "
                "gives no status in that year)",
            ),
            required("n", COUNT, "migrations"),
            *VINTAGE,
        ),
        is_aggregate=True,
    ),
    Contract(
        "person_time",
        "estimates",
        "Days lived under each status by what it rests on, and how many of them were spent here at least and at most.",
        ("rule", "policy", "period", "status", "basis"),
        (
            RULE,
            POLICY,
            required("period", TEXT, "year (2019); of the first and the last, the days observed"),
            required("status", TEXT, "resident, non_resident or undetermined, at the end of the day"),
            required("basis", TEXT, "what the status rests on, as in residence"),
            required("person_days", COUNT, "days of all persons who have the status"),
            required("least_present_days", COUNT, "of these, days in spells of state present"),
            required("most_present_days", COUNT, "of these, days in spells of state present or unresolved"),
            required(
                "unseen_days",
                COUNT,
                "of these, days of persons without any crossing, and days on which crossings are not observed: where "
                "they were is not seen",
            ),
            required(
                "data_to_date",
                DATE,
                "the observation ends before this day; no row is final or provisional as a whole: its undetermined "
                "days are what can still move",
            ),
        ),
        is_aggregate=True,
    ),
    Contract(
        "expired_stays",
        "quality",
        "Visas and permits that ended in a year, by what became of the last stay under them; those that follow one "
        "another are one.",
        ("period", "kind", "purpose", "outcome"),
        (
            required("period", TEXT, "year (2019) of the last day of validity"),
            required("kind", TEXT, "visas or permits: what the right to stay was when it ended"),
            required("purpose", TEXT, "purpose of that visa or permit, or unknown"),
            required(
                "outcome",
                TEXT,
                "no_stay (none is seen in it), left_in_time, died, prolonged (another visa or permit began before a "
                "departure), registered (in the population register after it), left_late and seen_later (a departure, "
                "or a sign of life, after its last day: overstayed), arrived_again (a departure is missing), "
                "no_departure_found (overstayed, or left unrecorded)",
            ),
            required("n", COUNT, "rights to stay; a person may have several, one after the other"),
            required(
                "data_to_date",
                DATE,
                "the observation ends before this day; no row is ever final, for a departure or a sign of life may be "
                "seen at any later time",
            ),
        ),
        is_aggregate=True,
    ),
    Contract(
        "quality",
        "quality",
        "Row accounts and rates that describe the run, by stage.",
        ("stage", "measure", "item"),
        (
            required("stage", TEXT, "stage that the measure belongs to"),
            required("measure", TEXT, "what is measured"),
            required("item", TEXT, "source, field, rule … it is measured for; all for the whole"),
            required("value", NUMBER, "the value, a count or a share from 0 to 1 as the measure says"),
        ),
        is_aggregate=True,
    ),
)
