"""The contracts of the tables that `miglink compare` writes: what moved from one run to the next, and why."""

from miglink.tables.contract import (
    CELL,
    COUNT,
    DATE,
    DIMENSIONS,
    NUMBER,
    POLICY,
    RULE,
    TEXT,
    Column,
    Contract,
    required,
)

_PAIR = (
    required("earlier", "INTEGER", "number of the earlier run, in the order of data_to_date from 1"),
    required("later", "INTEGER", "number of the later run that it is compared with"),
)
_PART = required("part", TEXT, "stocks or flows: the table that the figure is of")
_FIGURE = required("figure", TEXT, "residents (stocks); immigration, emigration or net (flows)")
_PERIOD = required("period", TEXT, "month, quarter, year or reference date")
_KIND = required("kind", TEXT, "month, quarter, year or date: what the period is")
_AGE = "completed months from the end of the period (or the reference date) to data_to_date"

COMPARISON_TABLES = (
    Contract(
        "revisions",
        "compare",
        "Every cell of stocks and flows that two runs, one after the other, both have: its figure in each. Cells in "
        "which nobody is in either are left out, but totals.",
        ("earlier", "later", "part", "rule", "policy", "period", "figure", *DIMENSIONS),
        (
            *_PAIR,
            _PART,
            *CELL,
            _FIGURE,
            _KIND,
            required("earlier_data_to_date", DATE, "the observation of the earlier run ends before this day"),
            required("later_data_to_date", DATE, "that of the later run"),
            required("earlier_age_months", COUNT, f"of the earlier figure: {_AGE}"),
            required("later_age_months", COUNT, "of the later figure"),
            required("earlier_status", TEXT, "final or provisional"),
            required("later_status", TEXT, "final or provisional"),
            required("earlier_n_settled", COUNT, "n_settled of the earlier run"),
            required("later_n_settled", COUNT, "n_settled of the later run"),
            required("revision", COUNT, "later_n_settled − earlier_n_settled"),
            Column("relative_revision", NUMBER, "revision / |earlier_n_settled|; null where that is 0"),
            required("earlier_n_undetermined", COUNT, "n_undetermined of the earlier run"),
            required("later_n_undetermined", COUNT, "n_undetermined of the later run"),
            Column("earlier_n", NUMBER, "headline of the earlier run"),
            Column("later_n", NUMBER, "headline of the later run"),
            Column("earlier_lower", NUMBER, "lower bound of the earlier headline"),
            Column("earlier_upper", NUMBER, "upper bound of the earlier headline"),
            Column(
                "is_covered", "BOOLEAN", "later_n lies within the earlier bounds; null where one is not known"
            ),
        ),
        is_aggregate=True,
    ),
    Contract(
        "triangle",
        "compare",
        "The totals of stocks and flows in every run that has them: periods down, runs or months of age across.",
        ("vintage", "part", "rule", "policy", "period", "figure"),
        (
            required("vintage", "INTEGER", "number of the run, in the order of data_to_date from 1"),
            _PART,
            RULE,
            POLICY,
            _PERIOD,
            _FIGURE,
            _KIND,
            required("data_to_date", DATE, "the observation of the run ends before this day"),
            required("age_months", COUNT, _AGE),
            required("status", TEXT, "final or provisional"),
            required("n_settled", COUNT, "settled persons or migrations"),
            required("n_undetermined", COUNT, "those that may be"),
            Column("n", NUMBER, "headline estimate"),
            Column("lower", NUMBER, "lower bound of the interval"),
            Column("upper", NUMBER, "upper bound of the interval"),
        ),
        is_aggregate=True,
    ),
    Contract(
        "revisions_by_age",
        "compare",
        "How far totals still moved, up to the last run, by how old they were.",
        ("part", "rule", "policy", "figure", "kind", "age_months"),
        (
            _PART,
            RULE,
            POLICY,
            _FIGURE,
            _KIND,
            required("age_months", COUNT, f"of the figure that was revised: {_AGE}"),
            required("n_figures", COUNT, "figures of that age that the last run has too"),
            required("n_final", COUNT, "of these, figures that were final"),
            required("mean_revision", NUMBER, "mean of (n_settled of the last run − n_settled)"),
            required("mean_absolute_revision", NUMBER, "mean of its absolute value"),
            Column(
                "mean_absolute_relative",
                NUMBER,
                "mean of its absolute value / |n_settled|, where that is not 0",
            ),
            Column(
                "covered_share",
                NUMBER,
                "share of headlines with bounds whose bounds hold that of the last run",
            ),
        ),
        is_aggregate=True,
    ),
    Contract(
        "movers",
        "compare",
        "Who is counted by one run and not by the next, by reason. The reasons of a figure and cell add up to its "
        "revision.",
        (
            "earlier",
            "later",
            "part",
            "rule",
            "policy",
            "period",
            "figure",
            "measure",
            "dimension",
            "value",
            "reason",
        ),
        (
            *_PAIR,
            _PART,
            RULE,
            POLICY,
            _PERIOD,
            required("figure", TEXT, "residents (stocks); immigration or emigration (flows)"),
            required("measure", TEXT, "n_settled or n_undetermined: the column that is revised"),
            required("dimension", TEXT, "the one dimension that the cell is broken down by, or total"),
            required("value", TEXT, "value of that dimension, or total"),
            required("reason", TEXT, "why, as docs/revisions.md says; the first that holds"),
            required("n_added", COUNT, "persons or migrations that the later run alone counts there"),
            required("n_removed", COUNT, "those that the earlier run alone counts there"),
        ),
        is_aggregate=True,
    ),
    Contract(
        "matched",
        "compare",
        "Persons and records of two runs, by what became of them; persons are matched by the records they share.",
        ("earlier", "later", "item", "outcome"),
        (
            *_PAIR,
            required("item", TEXT, "persons or records"),
            required(
                "outcome",
                TEXT,
                "persons: same (one in each), merged (several are one), split (one is several), regrouped (records "
                "moved between persons), new, gone. records: same, changed, new (dated before the earlier run's "
                "end), later (dated after it), withdrawn",
            ),
            required("n_earlier", COUNT, "of the earlier run"),
            required("n_later", COUNT, "of the later run"),
        ),
        is_aggregate=True,
    ),
    Contract(
        "account_revisions",
        "compare",
        "The totals of the accounts of each year in two runs, and whether one opens as the other closed.",
        ("earlier", "later", "rule", "policy", "period", "term"),
        (
            *_PAIR,
            RULE,
            POLICY,
            required("period", TEXT, "year (2019)"),
            required(
                "term",
                TEXT,
                "a term of accounts, in both runs; opening_after_closing: the closing of the year before in the "
                "earlier run, and the opening of this year in the later one",
            ),
            required("earlier_n", COUNT, "value in the earlier run"),
            required("later_n", COUNT, "value in the later run"),
            required("revision", COUNT, "later_n − earlier_n"),
        ),
        is_aggregate=True,
    ),
)
